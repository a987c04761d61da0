//! A server that works with an account of the person at a third party: whoever is asked for access to it and has connected
//! none is told so on the same page, also where a device asks, with the page where that is done. Then a client's first call finds it connected, and no
//! client has to understand anything.

use crate::{app::App, connections::page_for, http::browser::SignedIn, settings::Resource};
use hallpass_core::time::Timestamp;
use hallpass_store::StoreError;

/// What is to be connected.
pub(crate) struct Missing {
    /// The service, for people.
    pub service: String,
    /// Where, for this person alone.
    pub page: String,
}

/// What this person lacks for the server that is asked for.
pub(crate) async fn missing(
    app: &App,
    signed_in: &SignedIn,
    resource: &Resource,
    now: Timestamp,
) -> Result<Option<Missing>, StoreError> {
    let name = resource.connection.as_deref();
    let Some(connection) = name.and_then(|name| app.settings.connection(name)) else { return Ok(None) };
    let person = signed_in.person.id;
    let kept = app.store.connection_read(person, connection.name.clone()).await?;
    if kept.is_some_and(|row| row.died_at.is_none()) {
        return Ok(None);
    }
    let page = page_for(app, person, &connection.name, now);
    Ok(Some(Missing { service: connection.title.clone(), page }))
}
