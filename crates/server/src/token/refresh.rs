//! Refreshing (RFC 6749 §6): one write where all is as it should be; else the checks one by one, then one conditional update
//! that knows honest concurrency from theft.

use super::{
    TokenRefusal,
    binding::Binding,
    issue::{self, Issued, TokenResponse},
    rules,
};
use crate::{
    app::App,
    audit::{Event, Which},
    cx::Cx,
    http::{
        client_auth::{AuthenticatedClient, ClientAuthRefusal},
        proof::ProvenKey,
        rate_limit::Limited,
    },
    settings::Resource,
};
use hallpass_core::{
    id::AttemptId, parameters::Parameters, scope::Scope, time::Timestamp, token::RefreshToken,
};
use hallpass_store::{ErrorKind, Grant, GrantRotated, LiveRotation, RevocationReason, Rotation, StoreError};

/// Exchanges the refresh token of the request.
pub async fn refresh(
    app: &App,
    cx: Cx,
    client: &AuthenticatedClient,
    parameters: &Parameters,
    proven: Option<ProvenKey>,
) -> Result<TokenResponse, TokenRefusal> {
    let text = parameters.get("refresh_token").ok_or(TokenRefusal::RefreshMissing)?;
    let token = RefreshToken::check(&app.keys, text).map_err(TokenRefusal::Refresh)?;
    let binding = |grant: &Grant| {
        let resource = app.settings.resource(&grant.resource);
        Binding::new(proven, client, resource, &app.settings).of_grant(grant.key_thumbprint)
    };
    if let Some(grant) = as_usual(app, cx, (client, proven), parameters, token).await? {
        let (scope, key) = (rules::granted(&grant, client)?, binding(&grant)?);
        let details = rules::details(grant.details.as_deref())?;
        let details = details.as_ref();
        app.audit.record(cx, Event::refresh_rotated(Which::of(&grant), grant.generation));
        let issued = Issued { key, details, ..issued(app, &grant, &scope, grant.generation) };
        return issue::issue(app, &issued, cx.now);
    }
    let grant = app.store.grant_read(token.grant).await?.ok_or(TokenRefusal::GrantMissing)?;
    if !client.may_refresh() {
        return Err(TokenRefusal::GrantTypeNotRegistered);
    }
    let scope = rules::check_refresh(&grant, client, parameters, &app.settings, cx.now)?;
    let (key, details) = (binding(&grant)?, rules::details(grant.details.as_deref())?);
    if app.blocks.receiver(&grant.redirect_host) {
        return Err(TokenRefusal::ReceiverBlocked);
    }
    // After the checks: a stranger does not use up what belongs to the client.
    if !app.settings.is_local() {
        let most = app.settings.limits.refreshes;
        app.limits.take(Limited::Refresh, &grant.id, most, cx.now).map_err(TokenRefusal::TooOften)?;
    }
    let which = Which::of(&grant);
    let generation = match rotate(app, client, token, cx).await? {
        GrantRotated::Rotated { generation } => {
            app.audit.record(cx, Event::refresh_rotated(which, generation));
            generation
        }
        GrantRotated::Repeated { generation } => {
            app.audit.record(cx, Event::refresh_repeated(which, generation));
            generation
        }
        GrantRotated::Replaced { generation } => {
            app.audit.record(cx, Event::refresh_replaced(which, generation));
            generation
        }
        GrantRotated::StoreWentBack { generation } => {
            app.audit.record(cx, Event::store_went_back(which, token.generation, generation));
            generation
        }
        GrantRotated::AssertionSpent => {
            return Err(TokenRefusal::Client(ClientAuthRefusal::AssertionSpent, false));
        }
        GrantRotated::Reused if client.proved_key() || grant.key_thumbprint.is_some() => {
            let live = live_again(app, client, token, cx.now).await?;
            app.audit.record(cx, Event::refresh_repeated(which, live));
            live
        }
        GrantRotated::Reused => {
            return Err(reused(app, cx, &grant, token.generation).await?);
        }
        GrantRotated::Revoked => return Err(TokenRefusal::Revoked),
        GrantRotated::Withdrawn => return Err(TokenRefusal::Withdrawn),
        GrantRotated::Missing => return Err(TokenRefusal::GrantMissing),
    };
    let issued = Issued { key, details: details.as_ref(), ..issued(app, &grant, &scope, generation) };
    issue::issue(app, &issued, cx.now)
}

/// A retired token, by somebody who proves no key: one of two who have it stole it, and the grant ends (AS-140).
pub async fn reused(app: &App, cx: Cx, grant: &Grant, presented: u32) -> Result<TokenRefusal, StoreError> {
    let until = app.settings.tokens_until(cx.now);
    app.store.grant_revoke(grant.id, RevocationReason::RefreshReuse, until, cx.now).await?;
    app.audit.record(cx, Event::refresh_reused(Which::of(grant), presented, grant.generation, until));
    Ok(TokenRefusal::RefreshReused)
}

fn issued<'a>(app: &App, grant: &'a Grant, scope: &'a Scope, generation: u32) -> Issued<'a> {
    Issued {
        grant: grant.id,
        subject: grant.person.to_string(),
        epoch: grant.epoch,
        client_id: &grant.client_id,
        resource: &grant.resource,
        scope,
        generation,
        ends_at: grant.consented_at.plus(app.settings.grant_lifetime),
        refresh: true,
        key: None,
        actors: &[],
        details: None,
    }
}

/// The live token, in one write that has every check as its condition. `None`: nothing was written, and the long way finds
/// out what it was. A read before the write is a tenth of a refresh on one file, and half of one on PostgreSQL.
async fn as_usual(
    app: &App,
    cx: Cx,
    (client, proven): (&AuthenticatedClient, Option<ProvenKey>),
    parameters: &Parameters,
    token: RefreshToken,
) -> Result<Option<Grant>, StoreError> {
    // Where hosts are blocked, the row says which host this grant went to.
    if app.blocks.some_hosts() {
        return Ok(None);
    }
    let Some(rotation) = rules::ordinary(token, client, parameters, &app.settings, cx) else {
        return Ok(None);
    };
    // Where some server takes bound tokens only, the row says which server this grant is for.
    let only_bound = |resource: &Resource| resource.bound_tokens_only;
    if proven.is_none() && (client.wants_bound() || app.settings.resources.iter().any(only_bound)) {
        return Ok(None);
    }
    let rotation = LiveRotation { key: proven.map(ProvenKey::thumbprint), ..rotation };
    let limited = !app.settings.is_local();
    let most = app.settings.limits.refreshes;
    if limited && !app.limits.has_room(Limited::Refresh, &token.grant, most, cx.now) {
        return Ok(None);
    }
    let grant = match app.store.grant_rotate_live(rotation, cx.now).await {
        // Where nothing can be written, such as on a full disk, what can be read is still answered: that a grant has ended.
        Err(error) if error.kind() == ErrorKind::Unavailable => return Ok(None),
        answer => answer?,
    };
    // Counted when it is done: a stranger does not use up what belongs to the client.
    if limited && let Some(grant) = &grant {
        let _ = app.limits.take(Limited::Refresh, &grant.id, most, cx.now);
    }
    Ok(grant)
}

/// Who signs with its own key has said who asks: an older token is a sibling that shares the key, not a thief. It gets the
/// live one, for an assertion that is good once on all nodes; a public client for the proof of the key that the grant is
/// bound to, which was checked.
async fn live_again(
    app: &App,
    client: &AuthenticatedClient,
    token: RefreshToken,
    now: Timestamp,
) -> Result<u32, TokenRefusal> {
    if let Some(assertion) = client.assertion() {
        let spends = assertion.with_attempt(AttemptId::new(now, &*app.entropy));
        if !app.store.assertion_spend(spends).await? || !app.spent.spend(assertion) {
            return Err(TokenRefusal::Client(ClientAuthRefusal::AssertionSpent, false));
        }
    }
    let live = app.store.grant_read(token.grant).await?.ok_or(TokenRefusal::GrantMissing)?;
    if live.revoked_at.is_some() { Err(TokenRefusal::Revoked) } else { Ok(live.generation) }
}

/// One write; where the client signed, its assertion is spent in it.
async fn rotate(
    app: &App,
    client: &AuthenticatedClient,
    token: RefreshToken,
    cx: Cx,
) -> Result<GrantRotated, StoreError> {
    let (id, presented, windows) = (token.grant, token.generation, app.settings.rotation);
    let rotation = Rotation { id, presented, windows, from: Some(cx.address) };
    let Some(assertion) = client.assertion() else {
        return app.store.grant_rotate(rotation, cx.now).await;
    };
    let spends = assertion.with_attempt(AttemptId::new(cx.now, &*app.entropy));
    let rotated = app.store.grant_rotate_spending(rotation, spends, cx.now).await?;
    if matches!(
        rotated,
        GrantRotated::Rotated { .. }
            | GrantRotated::Repeated { .. }
            | GrantRotated::Replaced { .. }
            | GrantRotated::StoreWentBack { .. }
    ) {
        app.spent.spend(assertion);
    }
    Ok(rotated)
}
