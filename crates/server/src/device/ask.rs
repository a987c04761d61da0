//! Asking a person about the device that really polls, and the answer.
//!
//! Whoever gets somebody else's letters typed gets that person's access (RFC 8628 §5.4). So the page says who asks, from
//! which address, and what the person has to see with their own eyes before a yes. What was shown is sealed; if
//! anything is different at the answer, it is shown again.

use super::{SETTLED, enter::place, receiver};
use crate::{
    app::App,
    audit::{Event, Which},
    authorize::connect_first,
    clients::{
        self, Client, Origin,
        look_alike::{self, LookAlike},
    },
    http::{
        browser::{Browser, SignedIn},
        respond::{Reply, see_other},
    },
    pages::{self, DeviceAskPage, Problem},
    router::Incoming,
    settings::{OFFLINE_ACCESS, Resource},
};
use hallpass_core::{
    encoding,
    grant::{UserCode, digest16},
    scope::Scope,
    seal::Purpose,
};
use hallpass_store::{Claim, ClaimDecision, ClaimDevice, StoreError};
use http::StatusCode;
use serde::{Deserialize, Serialize};

/// What a page seals. Only ever read back from our own seal.
#[derive(Serialize, Deserialize)]
struct Sealed {
    user_code: i64,
    device: [u8; 16],
    shown: [u8; 16],
}

/// Who asks, worked out anew each time.
struct Asked<'a> {
    client: Client,
    resource: &'a Resource,
    scope: Scope,
    /// Whether the client would stay signed in.
    stays: bool,
}

/// The client and the resource of a device, if both are still wanted here.
async fn asked<'a>(app: &'a App, device: &ClaimDevice) -> Option<Asked<'a>> {
    let client = clients::find(app, Some(&device.client_id)).await.ok()?;
    let resource = app.settings.resource(&device.resource)?;
    let scope = Scope::parse(&device.scope).ok()?;
    let stays = app.settings.issues_refresh(client.refresh, &scope);
    Some(Asked { client, resource, scope, stays })
}

fn gone() -> Reply {
    pages::problem(StatusCode::BAD_REQUEST, Problem::DeviceGone)
}

/// The page that asks.
pub(super) async fn page(
    app: &App,
    incoming: &Incoming,
    (browser, signed_in): (&Browser, &SignedIn),
    (claim, device): (&Claim, &ClaimDevice),
) -> Result<Reply, StoreError> {
    let Some(asked) = asked(app, device).await else { return Ok(gone()) };
    let missing = connect_first::missing(app, signed_in, asked.resource, incoming.cx.now).await?;
    let sealed = Sealed {
        user_code: claim.user_code.number(),
        device: *device.id.as_bytes(),
        shown: shown(&asked, signed_in, device),
    };
    let plaintext = serde_json::to_vec(&sealed).unwrap_or_default();
    let sealed =
        app.keys.seal(Purpose::DevicePage, signed_in.session.id.as_bytes(), &plaintext, &*app.entropy);
    let vouched = match &asked.client.origin {
        Origin::Registered | Origin::Operator => None,
        Origin::Document { url, .. } => Some(url.host()),
    };
    let name = asked.client.name.as_str();
    let look_alikes = look_alike::found(name, vouched.unwrap_or_default(), vouched, true);
    let title = |name: &str| {
        let entry = asked.resource.scopes.iter().find(|entry| entry.name == name);
        entry.map_or_else(|| name.to_owned(), |entry| entry.title.clone())
    };
    let here = incoming.cx.address.to_canonical();
    Ok(pages::device_ask(&DeviceAskPage {
        base: app.settings.issuer.path(),
        user_code: &claim.user_code.to_string(),
        place: device.from.map(|from| from.to_canonical().to_string()).as_deref(),
        elsewhere: device.from.is_some_and(|from| from.to_canonical() != here),
        here: &here.to_string(),
        client_name: name,
        client_host: vouched,
        known: asked.client.origin == Origin::Operator,
        look_alikes: look_alikes.into_iter().map(LookAlike::sentence).collect(),
        resource_title: &asked.resource.title,
        resource: asked.resource.uri.as_str(),
        scopes: asked.scope.iter().filter(|name| *name != OFFLINE_ACCESS).map(title).collect(),
        offline: asked.stays,
        connect: missing.as_ref().map(|missing| (&*missing.service, &*missing.page)),
        person: &signed_in.person.name,
        csrf: &browser.csrf(app),
        page: &encoding::base64url(&sealed),
    }))
}

/// The answer to the page.
pub(super) async fn decide(
    app: &App,
    incoming: &Incoming,
    signed_in: &SignedIn,
    (page, decision): (&str, Option<&str>),
) -> Result<Reply, StoreError> {
    let Some(sealed) = open(app, signed_in, page) else {
        return Ok(pages::problem(StatusCode::BAD_REQUEST, Problem::StartAgain));
    };
    let Some(user_code) = UserCode::from_number(sealed.user_code) else { return Ok(gone()) };
    let again = || Ok(see_other(&place(app, user_code)));
    let allow = match decision {
        Some("allow") => true,
        Some("deny") => false,
        Some(_) | None => return Ok(pages::problem(StatusCode::BAD_REQUEST, Problem::BadRequest)),
    };
    let claim = app.store.claim_read(user_code).await?;
    let claim = claim.filter(|claim| super::is_current(claim, incoming.cx.now));
    let Some(device) = claim.and_then(|claim| claim.device) else { return again() };
    let Some(asked) = asked(app, &device).await else { return Ok(gone()) };
    if *device.id.as_bytes() != sealed.device || shown(&asked, signed_in, &device) != sealed.shown {
        return again();
    }
    if allow {
        if app.audit.refuses() {
            return Ok(pages::problem(StatusCode::SERVICE_UNAVAILABLE, Problem::Unavailable));
        }
        app.documents.keep(&asked.client, incoming.cx.now).await?;
    }
    decided(app, incoming, signed_in, (user_code, &device, &asked, allow)).await?;
    again()
}

/// One conditional write: whoever opened another page, or another device that came in between, is told so by the next one.
async fn decided(
    app: &App,
    incoming: &Incoming,
    signed_in: &SignedIn,
    (user_code, device, asked, allow): (UserCode, &ClaimDevice, &Asked<'_>, bool),
) -> Result<(), StoreError> {
    let now = incoming.cx.now;
    let decision = ClaimDecision {
        user_code,
        session: signed_in.session.id,
        device: device.id,
        allow,
        epoch: signed_in.person.epoch,
        stays: asked.stays,
        claimed_by: now.minus(SETTLED),
    };
    if !app.store.claim_decide(decision, now).await? {
        return Ok(());
    }
    let which = Which {
        grant: device.id,
        person: signed_in.person.id,
        client: &device.client_id,
        resource: &device.resource,
    };
    let (name, client_name) = (&*signed_in.person.name, asked.client.name.as_str());
    let receiver = receiver(device.from);
    let event = if allow {
        Event::consent_allowed(which, name, client_name, &receiver, &device.scope)
    } else {
        Event::consent_denied(which, name, client_name, &receiver, &device.scope)
    };
    app.audit.record(incoming.cx, event);
    Ok(())
}

fn open(app: &App, signed_in: &SignedIn, text: &str) -> Option<Sealed> {
    let sealed = encoding::from_base64url(text)?;
    let plaintext = app.keys.open(Purpose::DevicePage, signed_in.session.id.as_bytes(), &sealed).ok()?;
    serde_json::from_slice(&plaintext).ok()
}

/// What the person saw and agreed to, in one digest.
fn shown(asked: &Asked<'_>, signed_in: &SignedIn, device: &ClaimDevice) -> [u8; 16] {
    let parts = [
        asked.client.id.as_str(),
        asked.client.name.as_str(),
        &asked.client.foundation(),
        asked.resource.uri.as_str(),
        &asked.scope.to_string(),
        &receiver(device.from),
        &signed_in.person.id.to_string(),
        &signed_in.person.epoch.to_string(),
        if asked.stays { "stays" } else { "once" },
    ];
    digest16(&parts.join("\n"))
}
