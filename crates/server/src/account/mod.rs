//! What I allowed and where I am signed in, with a button to take each back.

pub mod connections;
mod links;
pub mod second_factor;
mod view;

use crate::{
    app::App,
    audit::{By, Event, Which, Who},
    http::{
        browser::{self, Browser, SignedIn},
        respond::{Reply, see_other, with_cookie},
    },
    login::unavailable,
    pages::{self, AccountPage, Crowd, Problem},
    router::Incoming,
};
use hallpass_core::{
    id::{GrantId, SessionId},
    parameters::{Limits, Parameters},
};
use hallpass_store::{RevocationReason, StoreError};
use http::{Method, StatusCode};
use std::time::Duration;

/// Rows of one page.
const ROWS: u32 = 100;
/// Browsers that are shown.
const BROWSERS: u32 = 50;
/// How long after a sign-in it may be changed how somebody signs in.
const RECENTLY: Duration = Duration::from_mins(15);
/// More live grants than this, and the page offers the one that was unused longest. None ends by itself: that would be
/// a sign-in lost in some program for no reason that anybody could see.
const MANY: u32 = 200;

/// `GET` and `POST /account`.
pub async fn account(app: &App, incoming: &Incoming) -> Reply {
    let browser = match browser::read(app, incoming).await {
        Ok(browser) => browser,
        Err(error) => return unavailable(&error),
    };
    let base = app.settings.issuer.path();
    let Some(signed_in) = browser.signed_in.as_ref() else {
        return with_cookie(see_other(&format!("{base}/sign-in")), browser.cookie(app));
    };
    let done = if incoming.method == Method::POST {
        let Some(parameters) = browser::form(incoming) else {
            return pages::problem(StatusCode::BAD_REQUEST, Problem::BadRequest);
        };
        if !browser.sent_this(app, incoming, parameters.get("csrf")) {
            return pages::problem(StatusCode::FORBIDDEN, Problem::NotFromHere);
        }
        act(app, incoming, (&browser, signed_in), &parameters).await
    } else {
        page(app, incoming, &browser, signed_in).await
    };
    done.unwrap_or_else(|error| unavailable(&error))
}

async fn page(
    app: &App,
    incoming: &Incoming,
    browser: &Browser,
    signed_in: &SignedIn,
) -> Result<Reply, StoreError> {
    let (now, settings) = (incoming.cx.now, &app.settings);
    let query = Parameters::parse(incoming.query.as_bytes(), Limits::default()).unwrap_or_default();
    let before = query.get("before").and_then(GrantId::parse);
    let person = signed_in.person.id;
    let grants = app.store.grants_of_person(person, before, ROWS).await?;
    let full = grants.len() >= usize::try_from(ROWS).unwrap_or(usize::MAX);
    let next = grants.last().filter(|_| full).map(|grant| grant.id.to_string());
    // What has ended by itself is not taken back any more.
    let alive = grants.iter().filter(|grant| settings.is_alive(grant, now));
    let crowd = if full || before.is_some() { crowd(app, signed_in, incoming).await? } else { None };
    let sessions = app.store.sessions_of_person(person, now, BROWSERS).await?;
    let reply = pages::account(&AccountPage {
        base: settings.issuer.path(),
        person: &signed_in.person.name,
        csrf: &browser.csrf(app),
        rows: alive.map(|grant| view::grant(app, grant, now)).collect(),
        next: next.as_deref(),
        crowd,
        connections: !settings.connections.is_empty(),
        providers: links::rows(app, signed_in, now).await?,
        second_factor: second_factor::row(app, signed_in, now).await?,
        browsers: sessions.iter().map(|one| view::browser(one, &signed_in.session, now)).collect(),
    });
    // A session outlives a closed browser and the browser's cookie does not: the forms here are bound to the new one.
    Ok(with_cookie(reply, browser.cookie(app)))
}

async fn crowd(app: &App, signed_in: &SignedIn, incoming: &Incoming) -> Result<Option<Crowd>, StoreError> {
    let (now, settings) = (incoming.cx.now, &app.settings);
    let (used, given) = (settings.alive_if_used_since(now), settings.alive_if_given_since(now));
    let held = app.store.grants_held(signed_in.person.id, used, given).await?;
    Ok((held.live > MANY).then(|| Crowd {
        live: held.live,
        oldest: held.longest_unused.map(|grant| view::grant(app, &grant, now)),
    }))
}

async fn act(
    app: &App,
    incoming: &Incoming,
    (browser, signed_in): (&Browser, &SignedIn),
    parameters: &Parameters,
) -> Result<Reply, StoreError> {
    let now = incoming.cx.now;
    let until = app.settings.tokens_until(now);
    let person = signed_in.person.id;
    let base = app.settings.issuer.path();
    let again = || see_other(&format!("{base}/account"));
    let grant = parameters.get("grant").and_then(GrantId::parse);
    let session = parameters.get("session").and_then(SessionId::parse);
    match (parameters.get("action"), grant, session) {
        (Some("revoke"), Some(id), _) => {
            let grant = app.store.grant_read(id).await?;
            if let Some(grant) = grant.filter(|grant| grant.person == person)
                && app.store.grant_revoke(id, RevocationReason::Person, until, now).await?
            {
                app.audit.record(incoming.cx, Event::grant_revoked(Which::of(&grant), until, By::Person));
            }
            Ok(again())
        }
        (Some("end"), _, Some(id)) => {
            if app.store.session_end(id, person).await? {
                let who = Who::of(&signed_in.person);
                app.audit.record(incoming.cx, Event::session_ended(who, id, By::Person));
            }
            Ok(again())
        }
        (Some("everywhere"), ..) => {
            if let Some(epoch) = app.store.person_epoch_raise(person, until, now).await? {
                let who = Who::of(&signed_in.person);
                app.audit.record(incoming.cx, Event::signed_out_everywhere(who, epoch, until, By::Person));
            }
            Ok(with_cookie(see_other(&format!("{base}/sign-in")), browser::clear_session(app)))
        }
        (Some("link" | "unlink"), ..) => links::act(app, incoming, (browser, signed_in), parameters).await,
        _ => Ok(pages::problem(StatusCode::BAD_REQUEST, Problem::BadRequest)),
    }
}
