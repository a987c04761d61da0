//! Introspection (RFC 7662): a protected server, or what stands in front of it, asks whether a token is alive.
//!
//! Only callers that the operator named for a resource get an answer, and only about tokens of that resource. Everything else
//! looks the same: not active, with not a word more, so that the endpoint is of no use for sorting stolen tokens.

use crate::{
    app::App,
    audit::{Event, Reason},
    http::{
        client_auth::{self, AuthenticatedClient, ClientAuthRefusal, Spend},
        rate_limit::{Limited, Source},
        respond::{self, Refusal, Reply},
    },
    router::Incoming,
    token::{FormRefusal, form, presented},
};
use hallpass_core::{
    authorization_details::AuthorizationDetails,
    error::ErrorCode,
    jwt::{VerifiedAccessToken, actor},
    parameters::Parameters,
    time::Timestamp,
};
use hallpass_store::StoreError;
use http::StatusCode;
use serde::Serialize;
use std::time::Duration;

/// Every rule that an introspection request can break.
#[derive(Debug)]
enum IntrospectionRefusal {
    MediaType,
    Parameters,
    Client(ClientAuthRefusal, bool),
    /// Anybody can say the id of a client without a secret.
    NotConfidential(bool),
    /// No server has this client among those that may ask.
    NotAnIntrospector(bool),
    TokenMissing,
    TooMany(Duration),
    Store(StoreError),
}

impl Reason for IntrospectionRefusal {
    fn reason(&self) -> &'static str {
        match self {
            Self::MediaType => "media_type",
            Self::Parameters => "parameters",
            Self::Client(refusal, _) => refusal.reason(),
            Self::NotConfidential(_) => "not_confidential",
            Self::NotAnIntrospector(_) => "not_an_introspector",
            Self::TokenMissing => "token_missing",
            Self::TooMany(_) => "too_many",
            Self::Store(_) => "store",
        }
    }
}

impl IntrospectionRefusal {
    fn refusal(&self) -> Refusal {
        match self {
            Self::MediaType => {
                Refusal::new(ErrorCode::InvalidRequest, "send application/x-www-form-urlencoded")
            }
            Self::Parameters => Refusal::new(
                ErrorCode::InvalidRequest,
                "a parameter is malformed, too long or occurs more than once",
            ),
            Self::Client(refusal, by_header) => refusal.refusal(*by_header),
            Self::NotConfidential(basic) | Self::NotAnIntrospector(basic) => Refusal {
                basic: *basic,
                ..Refusal::new(ErrorCode::InvalidClient, "this client may not introspect tokens")
            },
            Self::TokenMissing => Refusal::new(ErrorCode::InvalidRequest, "token is required"),
            Self::TooMany(wait) => Refusal {
                retry_after: Some(*wait),
                ..Refusal::new(ErrorCode::TemporarilyUnavailable, "too many introspections")
            },
            Self::Store(_) => Refusal::new(ErrorCode::TemporarilyUnavailable, "try again in a moment"),
        }
    }
}

/// What is said about a token (RFC 7662 §2.2). Nothing about the person but the identifier that the token has too.
#[derive(Serialize)]
struct Answer<'a> {
    active: bool,
    #[serde(flatten)]
    of: Option<Facts<'a>>,
}

#[derive(Serialize)]
struct Facts<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    client_id: &'a str,
    scope: &'a str,
    exp: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    iat: Option<i64>,
    jti: &'a str,
    token_type: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    cnf: Option<Confirmation<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    act: Option<actor::Act<'a>>,
    /// RFC 9396 §9.2: without it a server would allow all that the scope says.
    #[serde(skip_serializing_if = "Option::is_none")]
    authorization_details: Option<&'a AuthorizationDetails>,
}

/// RFC 9449 §6.2: without it a server would take the token from whoever has it.
#[derive(Serialize)]
struct Confirmation<'a> {
    jkt: &'a str,
}

/// `POST /introspect`.
pub async fn introspect(app: &App, incoming: &Incoming) -> Reply {
    match look(app, incoming).await {
        Ok((caller, alive)) => {
            let grant = alive.as_ref().and_then(|token| token.grant.as_ref()).map(|grant| grant.grant);
            app.audit.record(incoming.cx, Event::introspected(caller.id(), grant, alive.is_some()));
            let of = alive.as_ref().map(facts);
            respond::protocol(StatusCode::OK, &Answer { active: of.is_some(), of })
        }
        Err(refusal) => {
            if let IntrospectionRefusal::Store(error) = &refusal {
                tracing::error!(?error, "introspection failed in the store");
            }
            app.audit.record(incoming.cx, Event::introspection_refused(refusal.reason()));
            respond::refused(&refusal.refusal())
        }
    }
}

type Looked = (AuthenticatedClient, Option<VerifiedAccessToken>);

async fn look(app: &App, incoming: &Incoming) -> Result<Looked, IntrospectionRefusal> {
    let parameters = form(incoming).map_err(|refusal| match refusal {
        FormRefusal::MediaType => IntrospectionRefusal::MediaType,
        FormRefusal::Parameters(_) => IntrospectionRefusal::Parameters,
    })?;
    let caller = client_auth::authenticate(app, incoming, &parameters, Spend::Now)
        .await
        .map_err(|(refusal, by_header)| IntrospectionRefusal::Client(refusal, by_header))?;
    let by_header = incoming.headers.contains_key("authorization");
    if !caller.is_confidential() {
        return Err(IntrospectionRefusal::NotConfidential(by_header));
    }
    let mut audiences: Vec<&str> = Vec::new();
    for resource in &app.settings.resources {
        if resource.introspectors.iter().any(|id| id == caller.id()) {
            audiences.push(resource.uri.as_str());
        }
    }
    if audiences.is_empty() {
        return Err(IntrospectionRefusal::NotAnIntrospector(by_header));
    }
    let now = incoming.cx.now;
    if !app.settings.is_local() {
        let (source, most) = (Source::client(caller.id()), app.settings.limits.introspections);
        app.limits.take(Limited::Introspection, source, most, now).map_err(IntrospectionRefusal::TooMany)?;
    }
    let alive = alive(app, &parameters, &audiences, now).await?;
    Ok((caller, alive))
}

/// The token, if it is one of ours for one of these resources, and what it was issued from is still good at this moment.
/// A refresh token is for the token endpoint, and nothing to a server.
async fn alive(
    app: &App,
    parameters: &Parameters,
    audiences: &[&str],
    now: Timestamp,
) -> Result<Option<VerifiedAccessToken>, IntrospectionRefusal> {
    let token = parameters.get("token").ok_or(IntrospectionRefusal::TokenMissing)?;
    presented::alive(app, token, audiences, now).await.map_err(IntrospectionRefusal::Store)
}

fn facts(token: &VerifiedAccessToken) -> Facts<'_> {
    Facts {
        iss: &token.issuer,
        sub: &token.subject,
        aud: token.audiences.first().map_or("", String::as_str),
        client_id: &token.client_id,
        scope: &token.scope,
        exp: token.expires_at.seconds(),
        iat: token.issued_at.map(Timestamp::seconds),
        jti: &token.token_id,
        token_type: if token.key_thumbprint.is_some() { "DPoP" } else { "Bearer" },
        cnf: token.key_thumbprint.as_deref().map(|jkt| Confirmation { jkt }),
        act: actor::written(&token.actors),
        authorization_details: token.details.as_ref(),
    }
}
