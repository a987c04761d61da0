//! A good token for a call. Renewed ahead of its end, by one of all who want it, on whatever node: a service that sees one
//! refresh token twice calls it theft (C13). What goes wrong at the service takes nothing away; only its word that the
//! connection is over does.

use super::{
    provider::{self, ProviderError},
    settings::ConnectionSettings,
    vault,
};
use crate::{
    app::App,
    audit::{Event, Who},
};
use hallpass_client::{
    refresh::{Due, due},
    storage::Tokens,
    token::TokenError,
};
use hallpass_core::{
    id::{AttemptId, PersonId},
    secret::SecretString,
    time::Timestamp,
};
use hallpass_store::{Connection, Hold, StoreError};
use std::{sync::Arc, time::Duration};
use tokio::time::{Instant, sleep};

/// Why there is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoToken {
    /// The person never connected it, or disconnected it.
    #[error("the person has not connected it")]
    NotConnected,
    /// The service says that it is over.
    #[error("the connection is over")]
    Ended,
    /// The service or the store is not there right now.
    #[error("the service cannot be asked right now")]
    Unavailable,
}

/// How long one alone may renew: longer than any request to a service.
const HELD: Duration = Duration::from_secs(40);
/// After a failure nobody asks again for so long.
const PAUSE: Duration = Duration::from_secs(5);
/// Nor for longer, whatever the service says.
const LONGEST_PAUSE: Duration = Duration::from_mins(1);
/// How long a call waits for the one who renews.
const PATIENCE: Duration = Duration::from_secs(20);
/// How often it looks.
const LOOK: Duration = Duration::from_millis(150);

/// The token of this person for this service. `refused` is one that the server behind did not take, although it was good by
/// what we know: then there is another by now, or one is fetched.
///
/// # Errors
/// [`NoToken`].
pub async fn token(
    app: &Arc<App>,
    person: PersonId,
    name: &str,
    refused: Option<&SecretString>,
) -> Result<SecretString, NoToken> {
    let connection = app.settings.connection(name).ok_or(NoToken::NotConnected)?;
    let until = Instant::now() + PATIENCE;
    loop {
        let now = app.clock.now();
        let row = read(app, person, name).await?;
        let tokens = open(app, &row)?;
        // A client's own word for how early: one that lives for minutes is renewed in its last tenth.
        let need =
            if refused == Some(&tokens.access_token) { Due::Ended } else { due(&tokens, now, u8::MAX) };
        if need == Due::Fresh {
            keep_under_the_newest_key(app, &row, now).await;
            return Ok(tokens.access_token);
        }
        let held = if tokens.refresh_token.is_some() { hold(app, &row, now).await? } else { None };
        if let Some(hold) = held {
            let (app, connection, old) = (Arc::clone(app), connection.clone(), tokens.clone());
            // To its end, also when the caller goes away: an answer that nobody keeps is a connection lost.
            let renewing = tokio::spawn(async move { renew(&app, &connection, (&row, &old), hold).await });
            match (renewing.await.unwrap_or(Err(NoToken::Unavailable)), need) {
                (Ok(token), _) => return Ok(token),
                (Err(NoToken::Unavailable), Due::Soon) => return Ok(tokens.access_token),
                (Err(NoToken::NotConnected), _) => continue,
                (Err(error), _) => return Err(error),
            }
        }
        match need {
            // Somebody else renews it, or nobody can; it is still good.
            Due::Soon => return Ok(tokens.access_token),
            _ if tokens.refresh_token.is_none() => return Err(NoToken::Ended),
            Due::Ended | Due::Fresh if Instant::now() >= until => return Err(NoToken::Unavailable),
            Due::Ended | Due::Fresh => sleep(LOOK).await,
        }
    }
}

async fn read(app: &App, person: PersonId, name: &str) -> Result<Connection, NoToken> {
    let row =
        app.store.connection_read(person, name.to_owned()).await.map_err(|error| unavailable(&error))?;
    // The store found it by person and name; the seal says the same once more.
    let row = row.filter(|row| row.person == person && row.name == name).ok_or(NoToken::NotConnected)?;
    if row.died_at.is_some() { Err(NoToken::Ended) } else { Ok(row) }
}

fn open(app: &App, row: &Connection) -> Result<Tokens, NoToken> {
    vault::open(app, row).map_err(|_| {
        if vault::is_of_a_later_key(app, &row.sealed) {
            return NoToken::Unavailable;
        }
        tracing::error!(connection = %row.name, person = %row.person, "tokens of a connection do not open");
        NoToken::Ended
    })
}

fn unavailable(error: &StoreError) -> NoToken {
    tracing::warn!(?error, "a connection could not be read");
    NoToken::Unavailable
}

async fn hold(app: &App, row: &Connection, now: Timestamp) -> Result<Option<Hold>, NoToken> {
    let holder = AttemptId::new(now, &*app.entropy);
    let hold = Hold { id: row.id, version: row.version, holder, until: now.plus(HELD) };
    let taken = app.store.connection_hold(hold, now).await.map_err(|error| unavailable(&error))?;
    Ok(taken.then_some(hold))
}

/// The one request. `NotConnected` stands for: somebody else was faster, look again.
async fn renew(
    app: &App,
    connection: &ConnectionSettings,
    (row, old): (&Connection, &Tokens),
    hold: Hold,
) -> Result<SecretString, NoToken> {
    let who = Who { id: row.person, name: "" };
    match ask(app, connection, old).await {
        Ok(tokens) => {
            let now = app.clock.now();
            let sealed = vault::seal(app, (row.person, &row.name, row.id), &tokens);
            let kept = app.store.connection_renew(row.id, row.version, sealed, now).await;
            if !kept.map_err(|error| unavailable(&error))? {
                return Err(NoToken::NotConnected);
            }
            app.audit.record_at(now, Event::connection_renewed(who, &row.name));
            Ok(tokens.access_token)
        }
        Err(ProviderError::Token(TokenError::InvalidGrant)) => {
            let now = app.clock.now();
            let died = app.store.connection_die(row.id, row.version, now).await;
            if !died.map_err(|error| unavailable(&error))? {
                return Err(NoToken::NotConnected);
            }
            app.audit.record_at(now, Event::connection_died(who, &row.name));
            Err(NoToken::Ended)
        }
        Err(error) => {
            tracing::warn!(connection = %row.name, %error, "a connection could not be renewed; its tokens stay");
            let now = app.clock.now();
            app.audit.record_at(now, Event::connection_not_renewed(who, &row.name, reason(error)));
            let until = now.plus(pause(error));
            if let Err(error) = app.store.connection_release(row.id, hold.holder, until).await {
                tracing::warn!(?error, "nobody renews a connection until its time is over");
            }
            Err(NoToken::Unavailable)
        }
    }
}

async fn ask(app: &App, connection: &ConnectionSettings, old: &Tokens) -> Result<Tokens, ProviderError> {
    let token = old.refresh_token.as_ref().ok_or(TokenError::InvalidGrant)?;
    let endpoints = provider::endpoints(app, connection).await?;
    provider::refresh(app, (connection, &endpoints), (token, &old.scope), app.clock.now()).await
}

fn pause(error: ProviderError) -> Duration {
    match error {
        ProviderError::Token(TokenError::Unavailable { retry_after: Some(wait) }) => {
            wait.clamp(PAUSE, LONGEST_PAUSE)
        }
        ProviderError::Token(_)
        | ProviderError::Fetch(_)
        | ProviderError::Metadata(_)
        | ProviderError::UserInfo => PAUSE,
    }
}

/// For the audit log.
pub(crate) const fn reason(error: ProviderError) -> &'static str {
    match error {
        ProviderError::Metadata(_) => "metadata",
        ProviderError::Fetch(_) => "unreachable",
        ProviderError::Token(TokenError::InvalidClient) => "invalid_client",
        ProviderError::Token(TokenError::Unavailable { .. }) => "unavailable",
        ProviderError::UserInfo => "userinfo",
        ProviderError::Token(_) => "refused",
    }
}

/// Tokens that never change are sealed anew when they are next used, so that an old master key can go. Best effort.
async fn keep_under_the_newest_key(app: &App, row: &Connection, now: Timestamp) {
    if !vault::is_of_an_older_key(app, row) {
        return;
    }
    if let Err(error) = vault::reseal_one(&*app.store, &app.keys, &*app.entropy, (row, now)).await {
        tracing::warn!(?error, "the tokens of a connection stay under an older master key");
    }
}
