//! Opening what everything is kept in, for a node and for commands beside it.

use super::store_words;
use crate::{
    config::{Config, Database},
    state::StateFolder,
};
use hallpass_server::Live;
use hallpass_store::{
    ErrorKind, PostgresSettings, PostgresStore, Store, StoreError,
    sqlite::{SqliteSettings, SqliteStore},
};
use std::{error::Error as _, sync::Arc, time::Duration};

/// How often the clock is compared with the database's.
const COMPARE: Duration = Duration::from_mins(1);
/// From here on a difference is worth a warning. Ten seconds are too many for the node to take part.
const WORTH_A_WARNING: i64 = 2_000;

/// Room that is kept for revocations, sign-outs and the sweep on a full disk: hundreds of them without any checkpoint.
const RESERVE: u64 = 8 << 20;

/// The store of this configuration. `exclusive` for the server of a state folder, which keeps a second one off it.
pub async fn open(config: &Config, state: &StateFolder, exclusive: bool) -> anyhow::Result<Arc<dyn Store>> {
    match &config.database {
        Database::File => {
            let settings = SqliteSettings { exclusive, reserve: RESERVE, ..SqliteSettings::default() };
            let store = SqliteStore::open(&state.database(), settings);
            Ok(Arc::new(store.map_err(|error| store_words(&error, state))?))
        }
        Database::Server { url, connections } => {
            let settings = PostgresSettings {
                connections: if exclusive { *connections } else { 2 },
                extra_ca: config.extra_ca.clone(),
                ..PostgresSettings::new(url.clone())
            };
            Ok(Arc::new(PostgresStore::open(settings).await.map_err(|error| server_words(&error))?))
        }
    }
}

fn server_words(error: &StoreError) -> anyhow::Error {
    let reason = error.source().map_or_else(|| error.to_string(), ToString::to_string);
    let fix = match error.kind() {
        ErrorKind::Unavailable => ": is it running, and is the URL of [database] right?",
        ErrorKind::Corrupt | ErrorKind::Busy | ErrorKind::Unknown | ErrorKind::Internal => "",
    };
    anyhow::anyhow!("the database cannot be used: {reason}{fix}")
}

/// Compares this clock with the database's, for ever. A node whose clock is far off would find tokens of other nodes
/// expired, or its own alive.
pub async fn compare_clocks(live: Live) {
    loop {
        let app = live.app();
        if let Ok(Some(theirs)) = app.store.clock_read().await {
            let offset = app.clock.now().millis().saturating_sub(theirs.millis());
            app.metrics.clock_offset(offset);
            if offset.abs() >= WORTH_A_WARNING {
                tracing::warn!(offset_ms = offset, "this clock and the database's differ: set both by NTP");
            }
        }
        drop(app);
        tokio::time::sleep(COMPARE).await;
    }
}
