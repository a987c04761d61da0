//! A server that another authorization server guards: it is asked with a token that was made for whoever calls, and that
//! goes with no other call (P12). Who is not a person with an account here is asserted to nobody.

use crate::{
    assertion::Said,
    forward::{ask, judged},
    message::Call,
    person::{CredentialAnswer, NoCredential},
    refuse::Refusal,
    router::Server,
    upstream::Answer,
    upstream_credential::SecretHeader,
};
use hallpass_core::jwt::caller_assertion::Caller;
use hallpass_resource::Authorized;
use http::StatusCode;

/// Gets tokens for callers.
pub trait CallerCredentials: Send + Sync + 'static {
    /// The header for calls of this caller, who is a person with an account here, and for no other. `refused` is one that the
    /// server behind did not take just now.
    fn credential<'a>(
        &'a self,
        caller: &'a Caller<'a>,
        refused: Option<&'a SecretHeader>,
    ) -> CredentialAnswer<'a>;
}

/// Asks with a token for the caller; once more with another, where the first is not taken.
pub(crate) async fn asked(
    server: &Server,
    callers: &dyn CallerCredentials,
    authorized: &Authorized<Call>,
) -> Result<Answer, Refusal> {
    let caller = authorized.caller();
    // Machines and people of elsewhere may be called as a person here is, where the token is looked at (RS-033).
    if caller.person().is_none() || caller.foreign_issuer().is_some() {
        return Err(Refusal::NoPerson);
    }
    let said = Said::of(caller);
    let who = said.caller(caller);
    let header = callers.credential(&who, None).await.map_err(refusal)?;
    let answer = ask(server, authorized, Some(header.clone())).await?;
    if answer.status != StatusCode::UNAUTHORIZED {
        return judged(server, answer);
    }
    // Nothing was done: it may be asked again, once.
    drop(answer);
    let another = callers.credential(&who, Some(&header)).await.map_err(refusal)?;
    judged(server, ask(server, authorized, Some(another)).await?)
}

fn refusal(why: NoCredential) -> Refusal {
    match why {
        NoCredential::Unavailable => Refusal::Service,
        NoCredential::NotConnected | NoCredential::Ended | NoCredential::Refused => Refusal::NoToken,
    }
}
