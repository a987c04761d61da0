//! A one-time link with which a person chooses a password: for a new account, or because the old one was forgotten.
//! The operator makes it with `hallpass user`; no password ever passes through the operator.

use crate::{
    app::App,
    audit::{Event, Who},
    http::{
        browser::{self, Browser},
        respond::{Reply, with_cookie},
    },
    login::{
        Waiting, password,
        second_factor::{First, FirstFactor, after_first},
        unavailable,
    },
    pages::{self, InvitationPage, Problem},
    router::Incoming,
    settings::Settings,
};
use hallpass_core::{
    encoding,
    entropy::{self, SystemEntropy},
    grant::digest32,
    id::PersonId,
    parameters::{Limits, Parameters},
    secret::SecretString,
    time::Timestamp,
};
use hallpass_store::{Store, StoreError};
use http::{Method, StatusCode};
use std::time::Duration;

/// How long a link may be used.
const LINK_LIFETIME: Duration = Duration::from_hours(24);

/// A one-time link, for whoever is to have it.
#[derive(Debug)]
pub struct OneTimeLink {
    /// Where it leads.
    pub link: SecretString,
    /// SHA-256 of its code: what is kept of it, and what the audit calls it.
    pub digest: [u8; 32],
    /// When it is over.
    pub expires_at: Timestamp,
}

/// A new one-time link for this person; an older one dies. Only the digest of its code is kept.
pub async fn invitation_link(
    store: &dyn Store,
    settings: &Settings,
    person: PersonId,
    now: Timestamp,
) -> Result<OneTimeLink, StoreError> {
    let code = encoding::base64url(&entropy::random::<24>(&SystemEntropy));
    let (digest, expires_at) = (digest32(&code), now.plus(LINK_LIFETIME));
    store.invitation_put(person, digest, expires_at).await?;
    let link = SecretString::new(format!("{}?code={code}", settings.issuer.endpoint("/invitation")));
    Ok(OneTimeLink { link, digest, expires_at })
}

/// `GET` and `POST /invitation`.
pub async fn invitation(app: &App, incoming: &Incoming) -> Reply {
    match answer(app, incoming).await {
        Ok(reply) => reply,
        Err(error) => unavailable(&error),
    }
}

async fn answer(app: &App, incoming: &Incoming) -> Result<Reply, StoreError> {
    if !app.settings.sign_in.passwords {
        return Ok(pages::problem(StatusCode::NOT_FOUND, Problem::NotFound));
    }
    let browser = browser::read(app, incoming).await?;
    let posted = incoming.method == Method::POST;
    let parameters = if posted {
        browser::form(incoming)
    } else {
        Parameters::parse(incoming.query.as_bytes(), Limits::default()).ok()
    };
    let Some(parameters) = parameters else {
        return Ok(pages::problem(StatusCode::BAD_REQUEST, Problem::BadRequest));
    };
    let code = parameters.get("code").unwrap_or_default();
    let invited = app.store.invitation_read(digest32(code), incoming.cx.now).await?;
    let csrf = browser.csrf(app);
    let page = |message, status| {
        let person = invited.as_ref().map_or("", |person| person.name.as_str());
        let page = InvitationPage { base: app.settings.issuer.path(), person, code, csrf: &csrf, message };
        with_cookie(pages::invitation(status, &page), browser.cookie(app))
    };
    let Some(person) = &invited else { return Ok(page(None, StatusCode::FORBIDDEN)) };
    if !posted {
        return Ok(page(None, StatusCode::OK));
    }
    if !browser.sent_this(app, incoming, parameters.get("csrf")) {
        let message =
            "Please send the form again; if this page keeps coming back, allow cookies for this site.";
        return Ok(page(Some(message), StatusCode::FORBIDDEN));
    }
    let chosen = parameters.get("password").unwrap_or_default();
    if let Some(complaint) = password::complaint(&person.name, chosen) {
        return Ok(page(Some(complaint), StatusCode::BAD_REQUEST));
    }
    let Ok(hash) = app.passwords.hash(SecretString::new(chosen), &*app.entropy).await else {
        return Ok(page(Some("The server is busy. Please try again."), StatusCode::SERVICE_UNAVAILABLE));
    };
    redeem(app, incoming, &browser, (code, hash))
        .await
        .map(|reply| reply.unwrap_or_else(|| page(None, StatusCode::FORBIDDEN)))
}

/// Another password takes no second factor away: whoever has the link has shown that they have the link.
async fn redeem(
    app: &App,
    incoming: &Incoming,
    browser: &Browser,
    (code, hash): (&str, String),
) -> Result<Option<Reply>, StoreError> {
    let cx = incoming.cx;
    let until = app.settings.tokens_until(cx.now);
    let digest = digest32(code);
    let Some(person) = app.store.invitation_redeem(digest, hash, until, cx.now).await? else {
        return Ok(None);
    };
    app.audit.record(cx, Event::invitation_used(Who::of(&person), &digest, person.epoch, until));
    let first = First { person, factor: FirstFactor::Link, waiting: Waiting::default() };
    Ok(Some(after_first(app, incoming, browser, first).await))
}
