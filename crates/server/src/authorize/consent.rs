//! Asking a person, and the answer.
//!
//! The page seals what it showed and the id of the grant that it may become. At the answer everything is worked out
//! again from the sealed query; if something looks different by then, the question is asked again. A page sent twice
//! is still one grant, because both codes carry the page's id. A refusal stores nothing and burns nothing.

use super::{Asked, Stop, again, connect_first, pushed, respond, step_up, stopped};
use crate::{
    app::App,
    audit::{Event, Which},
    clients::{
        Origin,
        look_alike::{self, LookAlike},
    },
    cx::Cx,
    http::{
        browser::{self, Browser, SignedIn},
        respond::{Reply, see_other},
    },
    pages::{self, ConsentPage, Problem},
    router::Incoming,
    settings::OFFLINE_ACCESS,
};
use hallpass_core::{
    authorization_details::AuthorizationDetails,
    encoding,
    grant::{AuthorizationCode, digest16},
    id::GrantId,
    seal::Purpose,
    time::Timestamp,
};
use hallpass_store::StoreError;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How long a page may be answered.
const PAGE_LIFETIME: Duration = Duration::from_mins(10);
/// How far the clock of the node that showed it may be ahead of ours.
const FUTURE: Duration = Duration::from_secs(30);

/// What a page seals. Only ever read back from our own seal.
#[derive(Serialize, Deserialize)]
struct Sealed {
    grant: [u8; 16],
    shown: [u8; 16],
    at: i64,
    query: String,
}

/// The page that asks.
pub(super) async fn page(
    app: &App,
    cx: Cx,
    browser: &Browser,
    signed_in: &SignedIn,
    asked: &Asked<'_>,
) -> Result<Reply, StoreError> {
    let held = step_up::held(app, signed_in, asked, cx.now).await?;
    let missing = connect_first::missing(app, signed_in, asked.checked.resource, cx.now).await?;
    let sealed = Sealed {
        grant: *asked.pushed.unwrap_or_else(|| GrantId::new(cx.now, &*app.entropy)).as_bytes(),
        shown: shown(asked, signed_in),
        at: cx.now.millis(),
        query: asked.query.to_owned(),
    };
    let plaintext = serde_json::to_vec(&sealed).unwrap_or_default();
    let context = signed_in.session.id.as_bytes();
    let sealed = app.keys.seal(Purpose::ConsentPage, context, &plaintext, &*app.entropy);
    let title = |name: &str| {
        let entry = asked.checked.resource.scopes.iter().find(|entry| entry.name == name);
        entry.map_or_else(|| name.to_owned(), |entry| entry.title.clone())
    };
    let redirect = asked.redirect.uri();
    let vouched = match &asked.client.origin {
        Origin::Registered | Origin::Operator => None,
        Origin::Document { url, .. } => Some(url.host()),
    };
    let local = redirect.is_loopback() || redirect.is_private_use();
    let look_alikes = look_alike::found(asked.client.name.as_str(), &redirect.receiver(), vouched, local);
    let (before, scopes): (Vec<&str>, Vec<&str>) = asked
        .checked
        .scope
        .iter()
        .filter(|name| *name != OFFLINE_ACCESS)
        .partition(|name| held.contains(name));
    Ok(pages::consent(&ConsentPage {
        base: app.settings.issuer.path(),
        receiver: &redirect.receiver(),
        on_this_computer: redirect.is_loopback(),
        private_use: redirect.is_private_use(),
        client_name: asked.client.name.as_str(),
        client_host: vouched,
        known: asked.client.origin == Origin::Operator,
        look_alikes: look_alikes.into_iter().map(LookAlike::sentence).collect(),
        resource_title: &asked.checked.resource.title,
        resource: asked.checked.resource.uri.as_str(),
        scopes: scopes.into_iter().map(title).collect(),
        before: before.into_iter().map(title).collect(),
        tools: asked.checked.details.iter().flat_map(AuthorizationDetails::sentences).collect(),
        offline: asked.refresh,
        connect: missing.as_ref().map(|missing| (&*missing.service, &*missing.page)),
        person: &signed_in.person.name,
        csrf: &browser.csrf(app),
        query: asked.query,
        page: &encoding::base64url(&sealed),
    }))
}

/// `POST /consent`.
pub async fn decide(app: &App, incoming: &Incoming) -> Reply {
    match decision(app, incoming).await {
        Ok(reply) => reply,
        Err(stop) => stopped(app, incoming.cx, &stop),
    }
}

async fn decision(app: &App, incoming: &Incoming) -> Result<Reply, Stop> {
    let Some(parameters) = browser::form(incoming) else {
        return Ok(pages::problem(StatusCode::BAD_REQUEST, Problem::BadRequest));
    };
    let browser = browser::read(app, incoming).await.map_err(Stop::Store)?;
    let Some(signed_in) = browser.signed_in.as_ref() else {
        return Ok(pages::problem(StatusCode::FORBIDDEN, Problem::SignedOut));
    };
    if !browser.sent_this(app, incoming, parameters.get("csrf")) {
        return Ok(pages::problem(StatusCode::FORBIDDEN, Problem::NotFromHere));
    }
    let Some(sealed) = parameters.get("page").and_then(|text| open(app, signed_in, text)) else {
        return Ok(pages::problem(StatusCode::BAD_REQUEST, Problem::StartAgain));
    };
    let now = incoming.cx.now;
    let shown_at = Timestamp::from_millis(sealed.at);
    // One from the future was made before a clock was set back, and would be good for as long again.
    if now.since(shown_at) > PAGE_LIFETIME || shown_at > now.plus(FUTURE) {
        return Ok(ask_again(app, &sealed));
    }
    let once_more = pushed::read(app, &sealed.query, &browser.id, now)?;
    let (request, asked) = (&once_more.request, again(app, &once_more).await?);
    if shown(&asked, signed_in) != sealed.shown {
        return Ok(ask_again(app, &sealed));
    }
    let which = Which {
        grant: GrantId::from_bytes(sealed.grant),
        person: signed_in.person.id,
        client: &asked.client.id,
        resource: asked.checked.resource.uri.as_str(),
    };
    let (name, client_name) = (&*signed_in.person.name, asked.client.name.as_str());
    let (receiver, scope) = (asked.redirect.uri().receiver(), asked.checked.scope.to_string());
    let tools = asked.checked.details.as_ref().map(ToString::to_string);
    match parameters.get("decision") {
        Some("allow") if app.audit.refuses() => {
            Ok(pages::problem(StatusCode::SERVICE_UNAVAILABLE, Problem::Unavailable))
        }
        Some("allow") => {
            app.documents.keep(&asked.client, now).await.map_err(Stop::Store)?;
            let code = code(&sealed, signed_in, &asked, now);
            let event = Event::consent_allowed(which, name, client_name, &receiver, &scope);
            app.audit.record(incoming.cx, event.for_tools(tools.as_ref()));
            Ok(respond::code(app, &asked.redirect, request, &code.seal(&app.keys, &*app.entropy)))
        }
        Some("deny") => {
            let event = Event::consent_denied(which, name, client_name, &receiver, &scope);
            app.audit.record(incoming.cx, event.for_tools(tools.as_ref()));
            Ok(respond::declined(app, &asked.redirect, request))
        }
        Some(_) | None => Ok(pages::problem(StatusCode::BAD_REQUEST, Problem::BadRequest)),
    }
}

fn ask_again(app: &App, sealed: &Sealed) -> Reply {
    see_other(&format!("{}/authorize?{}", app.settings.issuer.path(), sealed.query))
}

fn open(app: &App, signed_in: &SignedIn, text: &str) -> Option<Sealed> {
    let sealed = encoding::from_base64url(text)?;
    let context = signed_in.session.id.as_bytes();
    let plaintext = app.keys.open(Purpose::ConsentPage, context, &sealed).ok()?;
    serde_json::from_slice(&plaintext).ok()
}

/// What the person saw and agreed to, in one digest.
fn shown(asked: &Asked<'_>, signed_in: &SignedIn) -> [u8; 16] {
    let parts = [
        asked.client.id.as_str(),
        asked.client.name.as_str(),
        &asked.client.foundation(),
        asked.redirect.uri().as_str(),
        asked.checked.resource.uri.as_str(),
        &asked.checked.scope.to_string(),
        &signed_in.person.id.to_string(),
        &signed_in.person.epoch.to_string(),
        if asked.refresh { "stays" } else { "once" },
        &asked.checked.details.as_ref().map(ToString::to_string).unwrap_or_default(),
    ];
    digest16(&parts.join("\n"))
}

fn code(sealed: &Sealed, signed_in: &SignedIn, asked: &Asked<'_>, now: Timestamp) -> AuthorizationCode {
    let resource = asked.checked.resource;
    AuthorizationCode {
        grant: GrantId::from_bytes(sealed.grant),
        person: signed_in.person.id,
        epoch: signed_in.person.epoch,
        consented_at: now,
        client: digest16(&asked.client.id),
        redirect: digest16(asked.redirect.uri().as_str()),
        redirect_was_sent: asked.redirect_was_sent,
        refresh: asked.refresh,
        resource: digest16(resource.uri.as_str()),
        scope_list: resource.list_digest(),
        scopes: resource.positions(&asked.checked.scope),
        challenge: asked.checked.challenge,
        key: asked.checked.key,
        receiver: asked.redirect.uri().receiver(),
        details: asked.checked.details.as_ref().map(ToString::to_string),
    }
}
