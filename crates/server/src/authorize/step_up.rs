//! What a client has already, so that a person who is asked for more sees at once what is new.
//!
//! A request does not say which grant it belongs to, and on a person's own computer any program can send the
//! `client_id` of any other. So this is only said of a client that proves itself by where its answer goes: an https
//! host that its operator or its own document names. Whatever is asked for stays on the page in any case, and a yes
//! is a yes to all of it: nothing is decided here.

use super::Asked;
use crate::{app::App, clients::Origin, http::browser::SignedIn};
use hallpass_core::{scope::Scope, time::Timestamp};
use hallpass_store::{Installation, StoreError};

/// Grants that are looked at, the newest.
const GRANTS: u32 = 20;

/// Of what is asked for, what this person has allowed to this client, at this receiver and for this resource.
pub(super) async fn held(
    app: &App,
    signed_in: &SignedIn,
    asked: &Asked<'_>,
    now: Timestamp,
) -> Result<Scope, StoreError> {
    if !proves_itself(asked) {
        return Ok(Scope::none());
    }
    let installation = Installation {
        person: signed_in.person.id,
        client_id: asked.client.id.clone(),
        redirect_host: asked.redirect.uri().receiver(),
        resource: asked.checked.resource.uri.as_str().to_owned(),
    };
    let grants = app.store.grants_of_installation(installation, GRANTS).await?;
    // One that is for some tools only gave less than its scopes say.
    let live = grants.iter().filter(|grant| grant.details.is_none() && app.settings.is_alive(grant, now));
    let before = live
        .filter_map(|grant| Scope::parse(&grant.scope).ok())
        .fold(Scope::none(), |all, scope| all.united_with(&scope));
    Ok(asked.checked.scope.narrowed_to(&before))
}

/// Anybody can register any name, and anything on this computer can listen there.
fn proves_itself(asked: &Asked<'_>) -> bool {
    let redirect = asked.redirect.uri();
    let named = match asked.client.origin {
        Origin::Registered => false,
        Origin::Operator | Origin::Document { .. } => true,
    };
    named && redirect.is_https() && !redirect.is_loopback()
}
