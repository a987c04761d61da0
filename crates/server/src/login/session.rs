//! Opening a session: always a new id, so that a planted one is worth nothing.

use crate::{app::App, http::browser, login::agent, router::Incoming};
use hallpass_core::id::SessionId;
use hallpass_store::{Person, Session, StoreError};
use http::{HeaderValue, header};

/// Opens a session and answers its cookie; `None` when the person was signed out everywhere in this very moment.
pub async fn open(
    app: &App,
    incoming: &Incoming,
    person: &Person,
) -> Result<Option<HeaderValue>, StoreError> {
    let cx = incoming.cx;
    let agent = incoming.headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
    let session = Session {
        id: SessionId::new(cx.now, &*app.entropy),
        person: person.id,
        epoch: person.epoch,
        signed_in_at: cx.now,
        expires_at: cx.now.plus(app.settings.session_lifetime),
        from: Some(cx.address),
        browser: agent::in_words(agent.unwrap_or_default()),
    };
    let id = session.id;
    let opened = app.store.session_open(session).await?;
    Ok(if opened { browser::session_cookie(app, id) } else { None })
}
