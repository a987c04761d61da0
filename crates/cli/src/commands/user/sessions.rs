//! `hallpass user sessions` and `end-session`: the browsers in which somebody is signed in, as the account page shows them.

use super::super::{grant, place::Place};
use crate::{output::note, say};
use anyhow::bail;
use hallpass_core::id::{PersonId, SessionId};
use hallpass_server::audit::{By, Event, Who};
use hallpass_store::Session;

/// More than anybody has. Which are beyond them cannot be seen, and `sign-out` ends them all.
const MOST: u32 = 1_000;

/// Those of this person, the newest first.
pub async fn of(place: &Place, person: PersonId) -> anyhow::Result<Vec<Session>> {
    Ok(place.store.sessions_of_person(person, place.now, MOST).await?)
}

/// Lists them.
pub async fn list(place: &Place, name: &str, json: bool) -> anyhow::Result<()> {
    let person = place.person(name).await?;
    let sessions = of(place, person.id).await?;
    if json {
        let rows: Vec<_> = sessions.iter().map(described).collect();
        say!("{}", serde_json::to_string_pretty(&rows)?);
        return Ok(());
    }
    for session in &sessions {
        let browser = if session.browser.is_empty() { "a browser" } else { &session.browser };
        let (since, until) = (session.signed_in_at.to_rfc3339(), session.expires_at.to_rfc3339());
        say!("{}  {browser}  since {since}{}  until {until}", session.id, grant::from(session.from));
    }
    Ok(())
}

fn described(session: &Session) -> serde_json::Value {
    serde_json::json!({
        "id": session.id.to_string(), "browser": session.browser, "signed_in_from": session.from,
        "signed_in_at": session.signed_in_at.to_rfc3339(), "expires_at": session.expires_at.to_rfc3339(),
        "second_factor": session.second_factor_at.is_some(),
    })
}

/// Ends one.
pub async fn end(place: &Place, name: &str, id: &str, json: bool) -> anyhow::Result<()> {
    let person = place.person(name).await?;
    let session = SessionId::parse(id);
    let ended = match session {
        Some(session) => place.store.session_end(session, person.id).await?,
        None => false,
    };
    let Some(session) = session.filter(|_| ended) else {
        bail!(
            "{} is not signed in with {id:?}: `hallpass user sessions {}` shows where",
            person.name,
            person.name
        );
    };
    place.record(&[Event::session_ended(Who::of(&person), session, By::Operator)]).await?;
    if json {
        say!("{}", serde_json::json!({ "name": person.name, "id": session.to_string(), "ended": true }));
    }
    note(&format!(
        "that browser is signed out. What {} allowed in it stays: `hallpass grant list --user {}`",
        person.name, person.name
    ));
    Ok(())
}
