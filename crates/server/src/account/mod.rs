//! What I allowed, with a button to take each back.

use crate::{
    app::App,
    audit::{By, Event, Which, Who},
    http::{
        browser::{self, Browser, SignedIn},
        respond::{Reply, see_other, with_cookie},
    },
    login::unavailable,
    pages::{self, AccountPage, GrantRow, Problem},
    router::Incoming,
};
use hallpass_core::{id::GrantId, parameters::Parameters, time::Timestamp};
use hallpass_store::{Grant, RevocationReason, StoreError};
use http::{Method, StatusCode};
use std::time::Duration;

/// Rows of one page.
const ROWS: u32 = 100;

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
        act(app, incoming, signed_in, &parameters).await
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
    let query = Parameters::parse(incoming.query.as_bytes(), hallpass_core::parameters::Limits::default())
        .unwrap_or_default();
    let before = query.get("before").and_then(GrantId::parse);
    let grants = app.store.grants_of_person(signed_in.person.id, before, ROWS).await?;
    let next = (grants.len() >= usize::try_from(ROWS).unwrap_or(usize::MAX))
        .then(|| grants.last().map(|grant| grant.id.to_string()))
        .flatten();
    let rows = grants.iter().map(|grant| row(app, grant, incoming.cx.now)).collect();
    Ok(pages::account(&AccountPage {
        base: app.settings.issuer.path(),
        person: &signed_in.person.name,
        csrf: &browser.csrf(app),
        rows,
        next: next.as_deref(),
    }))
}

fn row(app: &App, grant: &Grant, now: Timestamp) -> GrantRow {
    let resource = app.settings.resource(&grant.resource);
    let host = grant.client_id.strip_prefix("https://").and_then(|rest| rest.split('/').next());
    let name = if grant.client_name.is_empty() {
        host.unwrap_or("An application without a name").to_owned()
    } else {
        grant.client_name.clone()
    };
    GrantRow {
        id: grant.id.to_string(),
        name,
        receiver: grant.redirect_host.clone(),
        resource: resource.map_or_else(|| grant.resource.clone(), |resource| resource.title.clone()),
        scope: grant.scope.clone(),
        allowed: ago(now.since(grant.consented_at)),
        used: ago(now.since(grant.rotated_at)),
    }
}

fn ago(past: Duration) -> String {
    let seconds = past.as_secs();
    let (number, unit) = match seconds {
        0..60 => return "just now".to_owned(),
        60..3_600 => (seconds / 60, "minute"),
        3_600..86_400 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    format!("{number} {unit}{} ago", if number == 1 { "" } else { "s" })
}

async fn act(
    app: &App,
    incoming: &Incoming,
    signed_in: &SignedIn,
    parameters: &Parameters,
) -> Result<Reply, StoreError> {
    let now = incoming.cx.now;
    let until = app.settings.tokens_until(now);
    let person = signed_in.person.id;
    let base = app.settings.issuer.path();
    match (parameters.get("action"), parameters.get("grant").and_then(GrantId::parse)) {
        (Some("revoke"), Some(id)) => {
            let grant = app.store.grant_read(id).await?;
            if let Some(grant) = grant.filter(|grant| grant.person == person)
                && app.store.grant_revoke(id, RevocationReason::Person, until, now).await?
            {
                app.audit.record(incoming.cx, Event::grant_revoked(Which::of(&grant), until, By::Person));
            }
            Ok(see_other(&format!("{base}/account")))
        }
        (Some("everywhere"), _) => {
            if let Some(epoch) = app.store.person_epoch_raise(person, until, now).await? {
                let who = Who::of(&signed_in.person);
                app.audit.record(incoming.cx, Event::signed_out_everywhere(who, epoch, until, By::Person));
            }
            Ok(with_cookie(see_other(&format!("{base}/sign-in")), browser::clear_session(app)))
        }
        _ => Ok(pages::problem(StatusCode::BAD_REQUEST, Problem::BadRequest)),
    }
}
