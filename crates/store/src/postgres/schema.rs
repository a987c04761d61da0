//! Bringing the schema up to date, once, however many nodes start at the same time.

use super::{connect::Connections, failure};
use crate::{ErrorKind, StoreError, migrations};
use deadpool_postgres::ClientWrapper;

/// The table says whose database it is by its name, and which schema it has by its row.
const TABLE: &str = "CREATE TABLE IF NOT EXISTS hallpass_schema (
        id BIGINT NOT NULL PRIMARY KEY, version BIGINT NOT NULL);
    INSERT INTO hallpass_schema (id, version) VALUES (1, 0) ON CONFLICT (id) DO NOTHING";
const LOCKED: &str = "SELECT version FROM hallpass_schema WHERE id = 1 FOR UPDATE";
const MOVED: &str = "UPDATE hallpass_schema SET version = $1 WHERE id = 1";
const VERSION: &str = "SELECT version FROM hallpass_schema WHERE id = 1";

/// How often two nodes that make the table at once may get into each other's way.
const TRIES: u32 = 10;

pub(super) async fn migrate(connections: &Connections) -> Result<(), StoreError> {
    for tries in 1.. {
        let mut held = connections.get().await?;
        let done = step(held.client()?).await;
        match done {
            Ok(()) => {
                held.keep();
                return Ok(());
            }
            Err(error) if tries < TRIES && failure::trouble(&error) == failure::Trouble::Again => {}
            // Two who make one table at once: one of them is told that a name is taken.
            Err(error) if tries < TRIES && error.kind() == ErrorKind::Internal => {}
            Err(error) => return Err(error),
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    Ok(())
}

async fn step(client: &ClientWrapper) -> Result<(), StoreError> {
    // The usual start changes nothing, and needs no right to change anything.
    if let Ok(row) = client.query_one(VERSION, &[]).await
        && checked(row.try_get(0)?)? == migrations::newest()
    {
        return Ok(());
    }
    client.batch_execute(TABLE).await?;
    client.batch_execute("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE").await?;
    let done = apply(client).await;
    client.batch_execute(if done.is_ok() { "COMMIT" } else { "ROLLBACK" }).await?;
    done
}

async fn apply(client: &ClientWrapper) -> Result<(), StoreError> {
    // Whoever was faster holds the row until it is done.
    let version = checked(client.query_one(LOCKED, &[]).await?.try_get(0)?)?;
    for (number, text) in migrations::after(version, migrations::Dialect::POSTGRES) {
        client.batch_execute(&text).await?;
        client.execute(MOVED, &[&number]).await?;
    }
    Ok(())
}

fn checked(version: i64) -> Result<i64, StoreError> {
    let newest = migrations::newest();
    if version > newest {
        let text = format!(
            "the database is of schema {version}, this release knows up to {newest}: \
             start the newer release, or restore a backup"
        );
        return Err(StoreError::caused_by(ErrorKind::Corrupt, text));
    }
    Ok(version)
}
