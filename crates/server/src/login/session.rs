//! Opening a session: always a new id, so that a planted one is worth nothing, and for nobody who has not passed every factor.

use super::second_factor::Passed;
use crate::{
    app::App,
    audit::{Event, Who},
    http::browser::{self, Browser},
    login::agent,
    router::Incoming,
};
use hallpass_core::id::SessionId;
use hallpass_store::{Session, StoreError};
use http::{HeaderValue, header};

/// Opens a session in the place of the one that this browser had, and answers its cookie; `None` when the person was signed out
/// everywhere, or turned on a second factor, in this very moment.
pub async fn open(
    app: &App,
    incoming: &Incoming,
    browser: &Browser,
    passed: &Passed,
) -> Result<Option<HeaderValue>, StoreError> {
    let cx = incoming.cx;
    let agent = incoming.headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok());
    let session = Session {
        id: SessionId::new(cx.now, &*app.entropy),
        person: passed.person.id,
        epoch: passed.person.epoch,
        signed_in_at: cx.now,
        expires_at: cx.now.plus(app.settings.session_lifetime),
        from: Some(cx.address),
        browser: agent::in_words(agent.unwrap_or_default()),
        second_factor_at: passed.second_factor_at(),
    };
    let id = session.id;
    if !app.store.session_open(session).await? {
        return Ok(None);
    }
    // Whoever planted or copied the cookie of the one before has nothing, also after a restore.
    if let Some(before) = &browser.signed_in {
        app.store.session_close(before.session.id).await?;
        app.audit.record(cx, Event::signed_out(Who::of(&before.person), before.session.id));
    }
    if let Some(before) = browser.half_session {
        app.store.session_close(before).await?;
    }
    Ok(browser::session_cookie(app, id))
}
