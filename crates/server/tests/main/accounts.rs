//! Accounts and their sessions, where a test is not about passwords: a hash costs what a hundred requests do.

use hallpass_core::{
    encoding,
    entropy::SystemEntropy,
    id::{PersonId, SessionId},
    seal::Purpose,
    time::Timestamp,
};
use hallpass_server::App;
use hallpass_store::{Person, Session};

/// An account without a password.
pub async fn add_person(app: &App, now: Timestamp) -> PersonId {
    let id = PersonId::new(now, &SystemEntropy);
    let person = Person {
        id,
        name: id.to_string(),
        password: String::new(),
        epoch: 0,
        disabled_at: None,
        created_at: now,
    };
    assert!(app.store.person_create(person).await.unwrap());
    id
}

/// The cookie to which a right password leads, without the time that its hash costs. None for somebody who is disabled.
pub async fn session_of(app: &App, person: PersonId, now: Timestamp) -> Option<String> {
    let id = SessionId::new(now, &SystemEntropy);
    let account = app.store.person_read(person).await.unwrap().unwrap();
    let session = Session {
        id,
        person: account.id,
        epoch: account.epoch,
        signed_in_at: now,
        expires_at: now.plus(app.settings.session_lifetime),
        from: None,
        browser: String::new(),
        second_factor_at: None,
    };
    if !app.store.session_open(session).await.unwrap() {
        return None;
    }
    let mut bytes = vec![app.keys.current()];
    bytes.extend(id.as_bytes());
    let mac = app.keys.mac(app.keys.current(), Purpose::SessionCookie, &bytes).unwrap();
    bytes.extend(&mac[..20]);
    Some(encoding::base64url(&bytes))
}
