//! Exchanging an access token for a narrower one (RFC 8693): an agent hands a part of what it may do to a sub-agent.
//!
//! The new token belongs to the same grant, names everybody who acts (`act`), lives no longer and says no more than the one
//! it was made from. Nothing is stored: it ends with the grant, and with each of the clients in its chain.

use super::{
    TokenRefusal,
    binding::Binding,
    client_credentials,
    issue::{self, Issued, TokenResponse},
    presented, rules,
};
use crate::{
    app::App,
    audit::{Actors, Event, Reason},
    clients::operator::ACCESS_TOKEN,
    cx::Cx,
    http::{client_auth::AuthenticatedClient, proof::ProvenKey},
};
use hallpass_core::{encoding::array_from_base64url, id::PersonId, parameters::Parameters};

/// Every rule about what is traded and by whom. All are `invalid_request` to the client (RFC 8693 §2.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExchangeRefusal {
    /// No `subject_token`.
    SubjectTokenMissing,
    /// A kind of token that is not exchanged here, or not given.
    TokenType,
    /// Who asks is the actor.
    ActorToken,
    /// Not an access token of ours that is alive.
    SubjectToken,
    /// A token of a client that this one may not act for.
    SubjectTokenOfAnotherClient,
    /// Too many act one after the other.
    TooManyActors,
}

impl Reason for ExchangeRefusal {
    fn reason(&self) -> &'static str {
        match self {
            Self::SubjectTokenMissing => "subject_token_missing",
            Self::TokenType => "token_type",
            Self::ActorToken => "actor_token",
            Self::SubjectToken => "subject_token",
            Self::SubjectTokenOfAnotherClient => "subject_token_of_another_client",
            Self::TooManyActors => "too_many_actors",
        }
    }
}

impl ExchangeRefusal {
    /// What the client learns.
    pub const fn description(self) -> &'static str {
        match self {
            Self::SubjectTokenMissing => "subject_token is required",
            Self::TokenType => {
                "subject_token_type, and requested_token_type where it is sent, are urn:ietf:params:oauth:token-type:access_token"
            }
            Self::ActorToken => "the client that asks is the actor: leave actor_token out",
            Self::SubjectToken => "the subject token is not good here, or not any more",
            Self::SubjectTokenOfAnotherClient => {
                "the subject token is of a client that this one does not act for"
            }
            Self::TooManyActors => "the subject token went through too many hands",
        }
    }
}

/// Exchanges the subject token of the request.
pub async fn exchange(
    app: &App,
    cx: Cx,
    client: &AuthenticatedClient,
    parameters: &Parameters,
    proven: Option<ProvenKey>,
) -> Result<TokenResponse, TokenRefusal> {
    let may = client.exchange().ok_or(TokenRefusal::GrantTypeNotRegistered)?;
    let text = rules::check_exchange_request(parameters)?;
    let audiences: Vec<&str> = app.settings.resources.iter().map(|resource| resource.uri.as_str()).collect();
    let subject = presented::alive(app, text, &audiences, cx.now).await?;
    let subject = subject.ok_or(ExchangeRefusal::SubjectToken)?;
    let checked = rules::check_exchange(&subject, client, may, parameters, (&app.settings, cx.now))?;
    // What is bound to a key stays with it: else an exchange would make a bearer token of it (RFC 9449 §5).
    let bound = subject.key_thumbprint.as_deref().map(|text| array_from_base64url(text).unwrap_or_default());
    let key = Binding::new(proven, client, Some(checked.resource), &app.settings).of_grant(bound)?;
    // Last, when nothing can be refused any more: an innocent mistake burns no assertion.
    client_credentials::spend(app, client, cx).await?;
    let issued = Issued {
        grant: checked.reference.grant,
        subject: subject.subject.clone(),
        epoch: checked.reference.epoch,
        client_id: client.id(),
        resource: checked.resource.uri.as_str(),
        scope: &checked.scope,
        generation: checked.reference.generation,
        ends_at: checked.ends_at,
        refresh: false,
        key,
        actors: &checked.actors,
        details: subject.details.as_ref(),
    };
    let response = issue::issue(app, &issued, cx.now)?;
    let scope = checked.scope.to_string();
    let (person, about) = (PersonId::parse(&subject.subject), (issued.grant, issued.resource, &*scope));
    let actors = Actors(&checked.actors);
    app.audit.record(cx, Event::token_exchanged(person, client.id(), &actors, about));
    Ok(response.of_type(ACCESS_TOKEN))
}
