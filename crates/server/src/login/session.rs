//! Opening a session: always a new id, so that a planted one is worth nothing.

use crate::{app::App, cx::Cx, http::browser};
use hallpass_core::id::SessionId;
use hallpass_store::{Person, Session, StoreError};
use http::HeaderValue;

/// Opens a session and answers its cookie; `None` when the person was signed out everywhere in this very moment.
pub async fn open(app: &App, cx: Cx, person: &Person) -> Result<Option<HeaderValue>, StoreError> {
    let session = Session {
        id: SessionId::new(cx.now, &*app.entropy),
        person: person.id,
        epoch: person.epoch,
        signed_in_at: cx.now,
        expires_at: cx.now.plus(app.settings.session_lifetime),
    };
    let id = session.id;
    let opened = app.store.session_open(session).await?;
    Ok(if opened { browser::session_cookie(app, id) } else { None })
}
