//! Tokens that stand behind no row: whether they are still good, and how they end.
//!
//! A machine's token costs no write, and of a workload's the assertion is all that is kept. Such a token ends with its client
//! (the feed says so), by its own entry in the feed, and within minutes by itself.

use crate::{app::App, audit::Event, clients, cx::Cx};
use hallpass_core::{
    id::PersonId,
    jwt::{GrantReference, VerifiedAccessToken},
};
use hallpass_store::StoreError;

/// Whether what a verified token was issued from is still good. That its client is wanted is checked before.
pub async fn is_live(
    app: &App,
    token: &VerifiedAccessToken,
    reference: &GrantReference,
) -> Result<bool, StoreError> {
    if app.store.token_revoked(reference.grant).await? {
        return Ok(false);
    }
    if !token.is_of_the_client() {
        let Some(id) = PersonId::parse(&token.subject) else { return Ok(false) };
        let person = app.store.person_read(id).await?;
        return Ok(person.is_some_and(|one| one.disabled_at.is_none() && one.epoch == reference.epoch));
    }
    if app.settings.is_workload(&token.client_id) {
        return Ok(true);
    }
    let client = clients::by_operator(app, &token.client_id).await?;
    Ok(client.is_some_and(|client| client.machine().is_some()))
}

/// A client takes back a token of its own; another's changes nothing.
pub async fn end(app: &App, cx: Cx, client: &str, token: &VerifiedAccessToken) -> Result<(), StoreError> {
    let Some(reference) = &token.grant else { return Ok(()) };
    // What was exchanged shares its id with what it was made of: a sub-agent does not end the agent's.
    if token.actors.last().unwrap_or(&token.client_id) != client {
        app.audit.record(cx, Event::revocation_ignored(reference.grant, client));
        return Ok(());
    }
    let until = app.settings.tokens_until(cx.now);
    if app.store.token_revoke(reference.grant, until).await? {
        app.audit.record(cx, Event::token_revoked(client, reference.grant, until));
    }
    Ok(())
}
