//! Polling with a device code (RFC 8628 §3.4): checks, one read, and after a person's yes one conditional insert.
//!
//! The device code carries the request and the user code; the row that a person made by typing the user code is found by
//! its primary key. The first poll brings the request there; a second device with the same letters spoils the row.

use super::{
    TokenRefusal,
    authorization_code::open_and_issue,
    binding::Binding,
    issue::{Issued, TokenResponse},
    rules,
};
use crate::{
    app::App,
    audit::{Event, Who},
    cx::Cx,
    device,
    http::{client_auth::AuthenticatedClient, proof::ProvenKey},
};
use hallpass_core::{
    grant::{DeviceCode, digest32},
    id::AttemptId,
    parameters::Parameters,
    scope::Scope,
};
use hallpass_store::{Claim, ClaimDevice, ClaimState, NewGrant};

/// A code that may be polled with by who presents it.
struct Checked {
    code: DeviceCode,
    resource: String,
    scope: Scope,
}

/// Answers a poll.
pub async fn poll(
    app: &App,
    cx: Cx,
    client: &AuthenticatedClient,
    parameters: &Parameters,
    proven: Option<ProvenKey>,
) -> Result<TokenResponse, TokenRefusal> {
    let text = parameters.get("device_code").ok_or(TokenRefusal::DeviceCodeMissing)?;
    let code = DeviceCode::open(&app.keys, text, cx.now).map_err(TokenRefusal::DeviceCode)?;
    if !code.is_of(client.id()) {
        return Err(TokenRefusal::DeviceCodeOfAnotherClient);
    }
    if !app.polls.may_poll(code.id, cx.now) {
        return Err(TokenRefusal::SlowDown);
    }
    let (resource, scope) = rules::check_device(&code, parameters, &app.settings)?;
    let key = Binding::new(proven, client, Some(resource), &app.settings).of_code(None)?;
    let checked = Checked { resource: resource.uri.as_str().to_owned(), scope, code };
    let claim = meet(app, cx, client, &checked).await?;
    let code_digest = digest32(text);
    let attempt = app.unsettled.take(&code_digest).unwrap_or_else(|| AttemptId::new(cx.now, &*app.entropy));
    let grant = NewGrant {
        id: checked.code.id,
        attempt,
        person: claim.person,
        epoch: claim.epoch,
        client_id: client.id().to_owned(),
        client_name: client.name().to_owned(),
        redirect_host: device::receiver(claim.device.as_ref().and_then(|device| device.from)),
        resource: checked.resource.clone(),
        scope: checked.scope.to_string(),
        consented_at: claim.decided_at.unwrap_or(cx.now),
        code_digest,
        from: Some(cx.address),
        // One who proves who it is needs no second lock on its refresh token (RFC 9449 §5).
        key_thumbprint: key.filter(|_| !client.is_confidential()),
        details: None,
    };
    let resource = checked.resource;
    let issued = Issued {
        grant: grant.id,
        subject: grant.person.to_string(),
        epoch: grant.epoch,
        client_id: client.id(),
        resource: &resource,
        scope: &checked.scope,
        generation: 0,
        ends_at: grant.consented_at.plus(app.settings.grant_lifetime),
        refresh: claim.stays && client.may_refresh(),
        key,
        actors: &[],
        details: None,
    };
    open_and_issue(app, cx, client, grant, &issued).await
}

/// The row in which a person said yes to this very device.
async fn meet(
    app: &App,
    cx: Cx,
    client: &AuthenticatedClient,
    checked: &Checked,
) -> Result<Claim, TokenRefusal> {
    let code = &checked.code;
    let since = device::typed_since(code.asked_at);
    let current = |claim: &Claim| claim.claimed_at >= since && device::is_current(claim, cx.now);
    let claim = app.store.claim_read(code.user_code).await?.filter(current);
    let Some(mut claim) = claim else { return Err(TokenRefusal::Pending) };
    let is_ours = |claim: &Claim| claim.device.as_ref().is_some_and(|device| device.id == code.id);
    if claim.state == ClaimState::Open && !is_ours(&claim) {
        let device = ClaimDevice {
            id: code.id,
            client_id: client.id().to_owned(),
            resource: checked.resource.clone(),
            scope: checked.scope.to_string(),
            from: Some(cx.address),
        };
        let attached = app.store.claim_attach(code.user_code, device, since).await?;
        claim = attached.filter(current).ok_or(TokenRefusal::Pending)?;
        if claim.state == ClaimState::Spoiled {
            app.audit.record(cx, Event::device_spoiled(Who { id: claim.person, name: "" }, "two_devices"));
        }
    }
    match claim.state {
        ClaimState::Open => Err(TokenRefusal::Pending),
        ClaimState::Allowed if is_ours(&claim) => Ok(claim),
        ClaimState::Declined if is_ours(&claim) => Err(TokenRefusal::DeviceDenied),
        // Another device got there first, or nobody does: this one has to start over.
        ClaimState::Allowed | ClaimState::Declined | ClaimState::Spoiled => Err(TokenRefusal::DeviceSpoiled),
    }
}
