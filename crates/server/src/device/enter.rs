//! `/device`: where a person types the letters that a device shows, and waits until it has polled.

use super::{LIMITS, SETTLED, ask, is_current};
use crate::{
    app::App,
    audit::{Event, Who},
    http::{
        browser::{self, Browser, SignedIn},
        respond::{self, Reply, see_other, with_cookie},
    },
    login,
    pages::{self, DeviceEnd, DevicePage, DeviceWaitPage, Problem},
    router::Incoming,
};
use hallpass_core::{
    grant::UserCode,
    parameters::{Limits, Parameters},
};
use hallpass_store::{Claim, ClaimOpened, ClaimState, NewClaim, StoreError};
use http::{HeaderValue, Method, StatusCode, header};
use std::time::Duration;

/// How often the page looks again while it waits, in seconds.
const LOOK_AGAIN: HeaderValue = HeaderValue::from_static("3");

/// `GET` and `POST /device`.
pub async fn device(app: &App, incoming: &Incoming) -> Reply {
    if !app.settings.device_authorization {
        return pages::problem(StatusCode::NOT_FOUND, Problem::NotFound);
    }
    let browser = match browser::read(app, incoming).await {
        Ok(browser) => browser,
        Err(error) => return login::unavailable(&error),
    };
    let query = Parameters::parse(incoming.query.as_bytes(), Limits::default()).unwrap_or_default();
    let named = query.get("user_code").and_then(UserCode::parse);
    let Some(signed_in) = browser.signed_in.as_ref() else {
        if incoming.method == Method::POST {
            return pages::problem(StatusCode::FORBIDDEN, Problem::SignedOut);
        }
        return with_cookie(login::form_for_device(app, &browser, named), browser.cookie(app));
    };
    let done = if incoming.method == Method::POST {
        let Some(parameters) = browser::form(incoming) else {
            return pages::problem(StatusCode::BAD_REQUEST, Problem::BadRequest);
        };
        if !browser.sent_this(app, incoming, parameters.get("csrf")) {
            return pages::problem(StatusCode::FORBIDDEN, Problem::NotFromHere);
        }
        match parameters.get("page") {
            Some(page) => ask::decide(app, incoming, signed_in, (page, parameters.get("decision"))).await,
            None => typed(app, incoming, (&browser, signed_in), parameters.get("user_code")).await,
        }
    } else {
        show(app, incoming, (&browser, signed_in), named).await
    };
    with_cookie(done.unwrap_or_else(|error| login::unavailable(&error)), browser.cookie(app))
}

/// Where a code is shown again.
pub(super) fn place(app: &App, code: UserCode) -> String {
    format!("{}/device?user_code={code}", app.settings.issuer.path())
}

/// Nothing here says whether a device with these letters exists: only whether one has polled since they were typed.
async fn show(
    app: &App,
    incoming: &Incoming,
    (browser, signed_in): (&Browser, &SignedIn),
    named: Option<UserCode>,
) -> Result<Reply, StoreError> {
    let Some(code) = named else { return Ok(form(app, (browser, signed_in), None, None)) };
    let claim = app.store.claim_read(code).await?;
    let own = |claim: &Claim| claim.session == signed_in.session.id && is_current(claim, incoming.cx.now);
    let Some(claim) = claim.filter(own) else { return Ok(form(app, (browser, signed_in), named, None)) };
    let end = match (claim.state, &claim.device) {
        (ClaimState::Open, Some(device)) if incoming.cx.now >= claim.claimed_at.plus(SETTLED) => {
            return ask::page(app, incoming, (browser, signed_in), (&claim, device)).await;
        }
        (ClaimState::Open, _) => {
            let mut reply = pages::device_wait(&DeviceWaitPage {
                base: app.settings.issuer.path(),
                user_code: &code.to_string(),
            });
            // Not by an element of the page: a reader by voice is not thrown back to its begin, only the page is asked for.
            reply.headers_mut().insert(header::REFRESH, LOOK_AGAIN);
            return Ok(reply);
        }
        (ClaimState::Allowed, _) => DeviceEnd::Allowed,
        (ClaimState::Declined, _) => DeviceEnd::Declined,
        (ClaimState::Spoiled, _) => DeviceEnd::Spoiled,
    };
    Ok(pages::device_end(app.settings.issuer.path(), end))
}

fn form(
    app: &App,
    (browser, signed_in): (&Browser, &SignedIn),
    named: Option<UserCode>,
    message: Option<&str>,
) -> Reply {
    pages::device(&DevicePage {
        base: app.settings.issuer.path(),
        csrf: &browser.csrf(app),
        person: &signed_in.person.name,
        user_code: &named.map(|code| code.to_string()).unwrap_or_default(),
        message,
    })
}

/// The letters, typed. They are counted before anything else, so that nobody looks for devices of others.
async fn typed(
    app: &App,
    incoming: &Incoming,
    who: (&Browser, &SignedIn),
    text: Option<&str>,
) -> Result<Reply, StoreError> {
    let (now, person) = (incoming.cx.now, &who.1.person);
    let Some(code) = text.and_then(UserCode::parse) else {
        let message = "A code has eight letters, such as WDJB-MJHT. Read it again from the device.";
        let mut reply = form(app, who, None, Some(message));
        *reply.status_mut() = StatusCode::BAD_REQUEST;
        return Ok(reply);
    };
    let claim = NewClaim { user_code: code, session: who.1.session.id, person: person.id };
    match app.store.claim_open(claim, LIMITS, now).await? {
        ClaimOpened::Opened => {
            app.audit.record(incoming.cx, Event::user_code_entered(Who::of(person)));
            Ok(see_other(&place(app, code)))
        }
        ClaimOpened::Taken => {
            app.audit.record(incoming.cx, Event::device_spoiled(Who::of(person), "typed_by_two"));
            Ok(pages::device_end(app.settings.issuer.path(), DeviceEnd::Spoiled))
        }
        ClaimOpened::TooMany { until } => {
            app.audit.record(incoming.cx, Event::user_code_throttled(Who::of(person)));
            let message = "Too many codes in one minute. Please wait a minute and try again.";
            let mut reply = form(app, who, Some(code), Some(message));
            *reply.status_mut() = StatusCode::TOO_MANY_REQUESTS;
            Ok(respond::with_retry_after(reply, until.since(now).max(Duration::from_secs(1))))
        }
    }
}
