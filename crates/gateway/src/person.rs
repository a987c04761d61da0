//! A server that is asked with the token of whoever calls, at a service that each person connects (P12). The token of one
//! person goes out with that person's calls and no others; without one the person is told, through the client, where to
//! connect. No token ever goes to the client.

use crate::{
    connect::{Form, Prompt},
    forward::{ask, judged},
    message::{Action, Call},
    on_behalf,
    refuse::Refusal,
    router::Server,
    tools::Operation,
    upstream::Answer,
    upstream_credential::{SecretHeader, UpstreamCredential},
};
use hallpass_resource::Authorized;
use http::StatusCode;
use serde_json::Value;
use std::{future::Future, pin::Pin};

/// What is answered with.
pub type CredentialAnswer<'a> = Pin<Box<dyn Future<Output = Result<SecretHeader, NoCredential>> + Send + 'a>>;

/// Keeps what people connected.
pub trait PersonCredentials: Send + Sync + 'static {
    /// The header for a call of this person, by the `sub` of the token, and for no other. `refused` is one that the server
    /// behind did not take just now.
    fn credential<'a>(&'a self, person: &'a str, refused: Option<&'a SecretHeader>) -> CredentialAnswer<'a>;

    /// What people call the service.
    fn title(&self) -> &str;

    /// Where this person connects it. Good for nobody else, and it says nothing of the person in the open.
    fn page(&self, person: &str) -> String;
}

/// Why there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoCredential {
    /// The person never connected it, or took it back.
    #[error("the person has not connected the service")]
    NotConnected,
    /// The service no longer takes it.
    #[error("the connection to the service is over")]
    Ended,
    /// It cannot be asked right now.
    #[error("the service cannot be asked right now")]
    Unavailable,
    /// The authorization server of the server behind gives none for this caller.
    #[error("the authorization server of the server behind gives no token for this caller")]
    Refused,
}

/// Asks the server behind as it wants to be asked.
pub(crate) async fn asked(server: &Server, authorized: &Authorized<Call>) -> Result<Answer, Refusal> {
    match &server.credential {
        None => judged(server, ask(server, authorized, None).await?),
        Some(UpstreamCredential::Header(header)) => {
            judged(server, ask(server, authorized, Some(header.clone())).await?)
        }
        Some(UpstreamCredential::Person(people)) => of_person(server, &**people, authorized).await,
        Some(UpstreamCredential::Caller(callers)) => on_behalf::asked(server, &**callers, authorized).await,
    }
}

async fn of_person(
    server: &Server,
    people: &dyn PersonCredentials,
    authorized: &Authorized<Call>,
) -> Result<Answer, Refusal> {
    let caller = authorized.caller();
    // Whoever is called so at another authorization server is nobody who connected anything here.
    let person = caller.person().filter(|_| caller.foreign_issuer().is_none());
    let Some(person) = person else { return Err(Refusal::NoPerson) };
    let call = authorized.operation();
    let refused = |why: NoCredential| refusal(server, people, person, (call, why));
    let header = match people.credential(person, None).await {
        Ok(header) => header,
        Err(why @ (NoCredential::NotConnected | NoCredential::Ended)) => {
            server.upstream.end_all_of(authorized);
            let has_to_wait =
                server.upstream.is_of_one_person() && !matches!(call.operation(), Operation::EndSession);
            if has_to_wait || !greets(call.operation()) {
                return Err(refused(why));
            }
            // Many servers say what they can do before they want to know whose account it is about.
            let answer = ask(server, authorized, None).await?;
            return if wants_credentials(answer.status) { Err(refused(why)) } else { judged(server, answer) };
        }
        Err(why) => return Err(refused(why)),
    };
    let answer = ask(server, authorized, Some(header.clone())).await?;
    if answer.status != StatusCode::UNAUTHORIZED {
        return judged(server, answer);
    }
    // By its clock the token is over, or it was taken back at the service. Nothing was done: it may be asked again, once.
    drop(answer);
    let header = people.credential(person, Some(&header)).await.map_err(&refused)?;
    let answer = ask(server, authorized, Some(header)).await?;
    if answer.status == StatusCode::UNAUTHORIZED {
        return Err(refused(NoCredential::Ended));
    }
    judged(server, answer)
}

fn refusal(
    server: &Server,
    people: &dyn PersonCredentials,
    person: &str,
    (call, why): (&Call, NoCredential),
) -> Refusal {
    let again = match why {
        NoCredential::Unavailable => return Refusal::Service,
        NoCredential::Refused => return Refusal::NoToken,
        NoCredential::NotConnected => false,
        NoCredential::Ended => true,
    };
    let prompt = Prompt {
        service: people.title().to_owned(),
        server: server.title.clone(),
        page: people.page(person),
        again,
        form: Form::of(call),
    };
    Refusal::Connect(Box::new(prompt))
}

const fn is_listing(method: &str) -> bool {
    matches!(
        method.as_bytes(),
        b"initialize"
            | b"ping"
            | b"server/discover"
            | b"tools/list"
            | b"prompts/list"
            | b"resources/list"
            | b"resources/templates/list"
            | b"logging/setLevel"
            | b"notifications/initialized"
            | b"notifications/cancelled"
            | b"notifications/roots/list_changed"
    )
}

/// What says hello and goodbye, and asks what there is. Everything else is done in somebody's name.
fn greets(operation: Operation<'_>) -> bool {
    match operation {
        Operation::Call(call) => is_listing(call.method()),
        Operation::Listen | Operation::EndSession => true,
        Operation::Response => false,
    }
}

fn wants_credentials(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::PROXY_AUTHENTICATION_REQUIRED
    )
}

/// Whether a client says at `initialize` that it opens URLs for its person (MCP 2025-11-25, elicitation, `url`).
pub(crate) fn opens_urls(call: &Call) -> bool {
    let Action::Message(message) = &call.action else { return false };
    let Some(call) = message.call().filter(|call| call.method() == "initialize") else { return false };
    let params = call.params().and_then(hallpass_core::mcp::Raw::to_value);
    params.is_some_and(|params| params.pointer("/capabilities/elicitation/url").is_some_and(Value::is_object))
}
