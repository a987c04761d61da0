//! Which server a command is about: its configuration file, or the state folder of `hallpass run`.

use super::audit;
use crate::{
    config, node,
    state::{StateFolder, read_key_file},
};
use anyhow::{Context, bail};
use hallpass_core::{
    entropy::{self, SystemEntropy},
    seal::{KeyRing, MasterKey},
    secret::SecretBytes,
    time::{Clock, SystemClock, Timestamp},
};
use hallpass_server::{
    Settings,
    audit::{Audit, AuditSettings, AuditTo, Event},
};
use hallpass_store::{Person, Store};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

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
    /// The folder of the database and the master key.
    pub state: StateFolder,
    /// Whether several nodes may share the database.
    pub several_nodes: bool,
    /// Now.
    pub now: Timestamp,
}

impl PlaceArgs {
    /// The configuration.
    pub fn config(&self) -> anyhow::Result<config::Config> {
        let read = match &self.config {
            Some(file) => config::read(file),
            None => config::local(None, self.port, &self.state),
        };
        read.map_err(|problems| {
            anyhow::anyhow!("{}", problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
        })
    }

    /// The folder of the audit log.
    pub fn audit_folder(&self) -> anyhow::Result<PathBuf> {
        let config = self.config()?;
        Ok(audit::folder(&config.settings, &config.state))
    }

    /// Opens the store. A running server sees what changes: sessions and grants are read from the store, and
    /// revocations come through its feed.
    pub async fn open(&self) -> anyhow::Result<Place> {
        let config = self.config()?;
        let folder = config.state.clone();
        if config.database == config::Database::File && !folder.join("hallpass.sqlite").exists() {
            bail!(
                "there is no database in {}: name the folder with --state, or the configuration with --config",
                folder.display()
            );
        }
        let state = StateFolder::open(&folder)?;
        let store = node::store::open(&config, &state, false).await?;
        let several_nodes = config.database != config::Database::File;
        Ok(Place { settings: config.settings, store, state, several_nodes, now: SystemClock.now() })
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

    /// The folder of the audit log.
    pub fn audit_folder(&self) -> PathBuf {
        audit::folder(&self.settings, self.state.path())
    }

    /// The keys, for what is sealed or chained under them.
    pub async fn keys(&self) -> anyhow::Result<Arc<KeyRing>> {
        self.keys_with(None).await
    }

    /// The same, and those of an older `master.key` that are gone from it.
    pub async fn keys_with(&self, older: Option<&Path>) -> anyhow::Result<Arc<KeyRing>> {
        let candidate = SecretBytes::new(entropy::random(&SystemEntropy));
        let root = self.store.root_secret(candidate).await?;
        let mut masters = self.state.master_keys()?;
        if let Some(older) = older {
            let gone = read_key_file(older)?.master_keys().keys;
            let is_gone = |key: &MasterKey| masters.keys.iter().all(|mine| mine.number != key.number);
            let gone: Vec<MasterKey> = gone.into_iter().filter(is_gone).collect();
            masters.keys.extend(gone);
        }
        let keys = KeyRing::of(&masters, &root, self.settings.issuer.as_str())?;
        Ok(Arc::new(keys))
    }

    /// Writes what an operator did into the audit log of the operators, behind what others did at the same time.
    pub async fn record(&self, events: &[Event<'_>]) -> anyhow::Result<()> {
        self.write(events)
            .await
            .context("done, but not written to the audit log: make room, and give its folder to this user")
    }

    async fn write(&self, events: &[Event<'_>]) -> anyhow::Result<()> {
        // Files also where the server's lines go to standard output: that of a command is its result.
        let to = AuditTo::Folder(self.audit_folder());
        let node = config::operator_of(&self.settings.audit.node).into();
        let settings = AuditSettings { node, to, ..self.settings.audit.clone() };
        let audit = Audit::open_in_turn(&settings, self.keys().await?, Arc::new(SystemClock))?;
        for event in events {
            audit.record_at(self.now, *event);
        }
        audit.close(self.now);
        hallpass_server::audit::remember(&audit, &*self.store).await?;
        Ok(())
    }

    /// When the last access token that may be alive has expired.
    pub fn tokens_until(&self) -> Timestamp {
        self.settings.tokens_until(self.now)
    }
}
