//! Which server a command is about: its configuration file, or the state folder of `hallpass run`.

use crate::{config, node, state::StateFolder};
use anyhow::bail;
use hallpass_core::time::{Clock, SystemClock, Timestamp};
use hallpass_server::Settings;
use hallpass_store::{
    Person, Store,
    sqlite::{SqliteSettings, SqliteStore},
};
use std::{path::PathBuf, sync::Arc};

/// `--config` or `--state` and `--port`.
#[derive(clap::Args, Debug)]
pub struct PlaceArgs {
    /// The configuration file of `hallpass serve`.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["state", "port"])]
    config: Option<PathBuf>,
    /// The state folder of `hallpass run`.
    #[arg(long, value_name = "FOLDER", default_value = ".hallpass")]
    state: PathBuf,
    /// The port of `hallpass run`, for links.
    #[arg(long, default_value_t = 8080)]
    port: u16,
}

/// An opened store, beside a server that may be running.
pub struct Place {
    /// What the server is told.
    pub settings: Settings,
    /// What it keeps.
    pub store: Arc<dyn Store>,
    /// Now.
    pub now: Timestamp,
}

impl PlaceArgs {
    /// Opens the store. A running server sees what changes: sessions and grants are read from the store, and
    /// revocations come through its feed.
    pub fn open(&self) -> anyhow::Result<Place> {
        let config = match &self.config {
            Some(file) => config::read(file),
            None => config::local(None, self.port, &self.state),
        };
        let config = match config {
            Ok(config) => config,
            Err(problems) => {
                bail!("{}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
            }
        };
        let folder = config.state.clone();
        if !folder.join("hallpass.sqlite").exists() {
            bail!(
                "there is no database in {}: name the folder with --state, or the configuration with --config",
                folder.display()
            );
        }
        let state = StateFolder::open(&folder)?;
        let settings = SqliteSettings { exclusive: false, ..SqliteSettings::default() };
        let store = SqliteStore::open(&state.database(), settings)
            .map_err(|error| node::store_words(&error, &state))?;
        Ok(Place { settings: config.settings, store: Arc::new(store), now: SystemClock.now() })
    }
}

impl Place {
    /// The person of this name, or a sentence.
    pub async fn person(&self, name: &str) -> anyhow::Result<Person> {
        let folded = hallpass_server::fold_name(name);
        match self.store.person_by_name(folded).await? {
            Some(person) => Ok(person),
            None => bail!("there is no account {name:?}: `hallpass user list` shows them"),
        }
    }

    /// When the last access token that may be alive has expired.
    pub fn tokens_until(&self) -> Timestamp {
        self.settings.tokens_until(self.now)
    }
}
