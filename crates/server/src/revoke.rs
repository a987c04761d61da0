//! Revocation (RFC 7009): a client takes back a token of its own; anything else has no effect and looks the same.

use crate::{
    app::App,
    audit::{By, Event, Which},
    http::{
        client_auth::{self, Spend},
        respond::{self, Refusal, Reply},
    },
    router::Incoming,
    token::{FormRefusal, form, without_row},
};
use hallpass_core::{
    error::ErrorCode,
    jwt::{Expectations, VerifiedAccessToken, access_token},
    token::{RefreshToken, RefreshTokenError},
};
use hallpass_store::{RevocationReason, StoreError};
use http::StatusCode;
use std::time::Duration;

/// `POST /revoke`.
pub async fn revoke(app: &App, incoming: &Incoming) -> Reply {
    let parameters = match form(incoming) {
        Ok(parameters) => parameters,
        Err(FormRefusal::MediaType) => {
            return bad_request("send application/x-www-form-urlencoded");
        }
        Err(FormRefusal::Parameters(_)) => {
            return bad_request("a parameter is malformed, too long or occurs more than once");
        }
    };
    let client = match client_auth::authenticate(app, incoming, &parameters, Spend::Now).await {
        Ok(client) => client,
        Err((refusal, by_header)) => return respond::refused(&refusal.refusal(by_header)),
    };
    let Some(token) = parameters.get("token") else {
        return bad_request("token is required");
    };
    // RFC 7009 §2.2.1: a 503 says that the token still exists, which may be so.
    if RefreshToken::check(&app.keys, token) == Err(RefreshTokenError::KeyNotHere) {
        return respond::refused(&Refusal::new(ErrorCode::TemporarilyUnavailable, "try again in a moment"));
    }
    match end(app, incoming, client.id(), token).await {
        Ok(()) => respond::empty(StatusCode::OK),
        Err(error) => {
            tracing::error!(?error, "revocation failed in the store");
            respond::refused(&Refusal::new(ErrorCode::TemporarilyUnavailable, "try again in a moment"))
        }
    }
}

fn bad_request(description: &'static str) -> Reply {
    respond::refused(&Refusal::new(ErrorCode::InvalidRequest, description))
}

/// The hint is not needed: each kind of token says what it is. An access token ends its grant too, because nothing
/// else of it is kept that could be ended.
async fn end(app: &App, incoming: &Incoming, client: &str, token: &str) -> Result<(), StoreError> {
    let grant = match RefreshToken::check(&app.keys, token) {
        Ok(refresh) => refresh.grant,
        Err(_) => match access_token(app, incoming, token) {
            Some(VerifiedAccessToken { grant: Some(reference), .. }) if reference.grant.has_row() => {
                reference.grant
            }
            Some(token) => return without_row::end(app, incoming.cx, client, &token).await,
            None => return Ok(()),
        },
    };
    let Some(grant) = app.store.grant_read(grant).await? else { return Ok(()) };
    if grant.client_id != client {
        app.audit.record(incoming.cx, Event::revocation_ignored(grant.id, client));
        return Ok(());
    }
    let now = incoming.cx.now;
    let until = app.settings.tokens_until(now);
    if app.store.grant_revoke(grant.id, RevocationReason::Client, until, now).await? {
        app.audit.record(incoming.cx, Event::grant_revoked(Which::of(&grant), until, By::Client));
    }
    Ok(())
}

fn access_token(app: &App, incoming: &Incoming, token: &str) -> Option<VerifiedAccessToken> {
    let audiences: Vec<&str> = app.settings.resources.iter().map(|resource| resource.uri.as_str()).collect();
    let expectations = Expectations {
        issuer: app.settings.issuer.as_str(),
        audiences: &audiences,
        now: incoming.cx.now,
        leeway: Duration::ZERO,
    };
    let verified = access_token::verify(token, &app.tokens.current().verifying, &expectations).ok()?;
    Some(verified.into_inner())
}
