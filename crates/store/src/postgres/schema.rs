//! Bringing the schema up to date, once, however many nodes start at the same time, and beside nodes of the release before.

use super::{connect::Connections, failure};
use crate::{
    ErrorKind, Schema, StoreError,
    migrations::{Dialect, Found},
};
use deadpool_postgres::ClientWrapper;
use std::time::Duration;

/// The table says whose database it is by its name, and which schema it has by its row. The first releases had no record of
/// the oldest schema whose programs may use it.
const TABLE: &str = "CREATE TABLE IF NOT EXISTS hallpass_schema (
        id BIGINT NOT NULL PRIMARY KEY, version BIGINT NOT NULL);
    ALTER TABLE hallpass_schema ADD COLUMN IF NOT EXISTS oldest BIGINT;
    INSERT INTO hallpass_schema (id, version) VALUES (1, 0) ON CONFLICT (id) DO NOTHING";
/// Also where the column is not there yet.
const FOUND: &str = "SELECT version, (to_jsonb(s) ->> 'oldest')::BIGINT FROM hallpass_schema s WHERE id = 1";
const LOCKED: &str = "SELECT version, oldest FROM hallpass_schema WHERE id = 1 FOR UPDATE";
const MOVED: &str = "UPDATE hallpass_schema SET version = $1, oldest = $2 WHERE id = 1";
/// Filling a column may take longer than a request may. Waiting for a lock may not: whoever asks for the same table waits
/// behind us.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL statement_timeout = 0; \
     SET LOCAL idle_in_transaction_session_timeout = 0";
/// A connection has the schema that its program knows in its name.
const OLDER: &str = "SELECT count(*) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
        AND CASE WHEN application_name ~ '^hallpass/[0-9]{1,9}$'
            THEN split_part(application_name, '/', 2)::BIGINT < $1 ELSE FALSE END";

/// How often two nodes that make the table at once may get into each other's way.
const TRIES: u32 = 10;
/// How often to look whether the last connection of an older node is gone: one that was just closed may still be listed.
const LOOKS: u32 = 20;
const PAUSE: Duration = Duration::from_millis(100);

pub(super) async fn migrate(connections: &Connections, schema: Schema) -> Result<(), StoreError> {
    for tries in 1.. {
        let mut held = connections.get().await?;
        let done = step(held.client()?, schema).await;
        match done {
            Ok(()) => {
                held.keep();
                return Ok(());
            }
            Err(error) if tries < TRIES && failure::trouble(&error) == failure::Trouble::Again => {}
            // Two who make one table at once: one of them is told that a name is taken. And a lock was not to be had.
            Err(error) if tries < TRIES && matches!(error.kind(), ErrorKind::Internal | ErrorKind::Busy) => {}
            Err(error) => return Err(error),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

/// What the database says of its schema.
pub(super) async fn found(client: &ClientWrapper) -> Result<Found, StoreError> {
    let row = client.query_one(FOUND, &[]).await?;
    Ok(Found::new(row.try_get(0)?, row.try_get(1)?))
}

async fn step(client: &ClientWrapper, schema: Schema) -> Result<(), StoreError> {
    // The usual start changes nothing, and needs no right to change anything.
    if let Ok(found) = found(client).await
        && !schema.is_ahead_of(found)?
    {
        return Ok(());
    }
    client.batch_execute(TABLE).await?;
    nobody_is_left_behind(client, schema).await?;
    client.batch_execute(BEGIN).await?;
    let done = apply(client, schema).await;
    client.batch_execute(if done.is_ok() { "COMMIT" } else { "ROLLBACK" }).await?;
    done
}

async fn apply(client: &ClientWrapper, schema: Schema) -> Result<(), StoreError> {
    // Whoever was faster holds the row until it is done.
    let row = client.query_one(LOCKED, &[]).await?;
    let found = Found::new(row.try_get(0)?, row.try_get(1)?);
    if !schema.is_ahead_of(found)? {
        return Ok(());
    }
    for (_, text) in schema.after(found.version, Dialect::POSTGRES) {
        client.batch_execute(&text).await?;
    }
    client.execute(MOVED, &[&schema.newest(), &schema.oldest()]).await?;
    Ok(())
}

/// What is taken away is not taken from under a node that runs.
async fn nobody_is_left_behind(client: &ClientWrapper, schema: Schema) -> Result<(), StoreError> {
    let mut older = 0_i64;
    for _ in 0..LOOKS {
        older = client.query_one(OLDER, &[&schema.oldest()]).await?.try_get(0)?;
        if older == 0 {
            return Ok(());
        }
        tokio::time::sleep(PAUSE).await;
    }
    let text = format!(
        "nodes of an older release use the database ({older} connections) and cannot go on with the schema of this one: \
         stop them, then start this release"
    );
    Err(StoreError::caused_by(ErrorKind::Unavailable, text))
}
