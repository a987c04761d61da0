//! Grants and sessions in the words of the account page.

use crate::{
    app::App,
    clients::{document, registered},
    pages::{BrowserRow, GrantRow},
    settings::OFFLINE_ACCESS,
};
use hallpass_core::{authorization_details::AuthorizationDetails, time::Timestamp};
use hallpass_store::{Grant, Session};
use std::{net::IpAddr, time::Duration};

/// One grant.
pub(super) fn grant(app: &App, grant: &Grant, now: Timestamp) -> GrantRow {
    let resource = app.settings.resource(&grant.resource);
    // The document was fetched from there, so its host vouches for what it says. Nobody does for another name.
    let host = grant.client_id.strip_prefix("https://").filter(|_| document::is_document(&grant.client_id));
    let host = host.and_then(|rest| rest.split('/').next()).map(str::to_owned);
    let name = if grant.client_name.is_empty() {
        host.clone().unwrap_or_else(|| "An application without a name".to_owned())
    } else {
        grant.client_name.clone()
    };
    let title = |name: &str| {
        let entry = resource.and_then(|one| one.scopes.iter().find(|entry| entry.name == name));
        entry.map_or_else(|| name.to_owned(), |entry| entry.title.clone())
    };
    let made = app.settings.clients.iter().any(|client| client.id() == grant.client_id)
        || !(document::is_document(&grant.client_id) || grant.client_id.starts_with(registered::PREFIX));
    let vouched = if made { Some("whoever runs this server".to_owned()) } else { host };
    GrantRow {
        id: grant.id.to_string(),
        name,
        vouched,
        receiver: grant.redirect_host.clone(),
        resource: resource.map_or_else(|| grant.resource.clone(), |resource| resource.title.clone()),
        scopes: grant
            .scope
            .split(' ')
            .filter(|name| !["", OFFLINE_ACCESS].contains(name))
            .map(title)
            .chain(tools(grant))
            .collect(),
        allowed: ago(now.since(grant.consented_at)),
        used: ago(now.since(grant.rotated_at)),
        place: grant.used_from.map(place),
    }
}

/// The only tools that it is for, in words.
fn tools(grant: &Grant) -> Vec<String> {
    let details = grant.details.as_deref().map(AuthorizationDetails::parse);
    let details = details.and_then(Result::ok);
    details.iter().flat_map(AuthorizationDetails::sentences).map(|tool| format!("Only {tool}")).collect()
}

/// One browser; `this` is the one that shows the page.
pub(super) fn browser(session: &Session, this: &Session, now: Timestamp) -> BrowserRow {
    let name = if session.browser.is_empty() { "A browser" } else { &session.browser };
    BrowserRow {
        id: session.id.to_string(),
        name: name.to_owned(),
        since: ago(now.since(session.signed_in_at)),
        place: session.from.map(place),
        this: session.id == this.id,
    }
}

fn place(address: IpAddr) -> String {
    if address.is_loopback() { "this computer".to_owned() } else { address.to_canonical().to_string() }
}

pub(super) fn ago(past: Duration) -> String {
    let seconds = past.as_secs();
    let (number, unit) = match seconds {
        0..60 => return "just now".to_owned(),
        60..3_600 => (seconds / 60, "minute"),
        3_600..86_400 => (seconds / 3_600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    format!("{number} {unit}{} ago", if number == 1 { "" } else { "s" })
}
