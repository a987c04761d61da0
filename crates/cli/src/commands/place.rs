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
    keys::{in_use, opens},
};
use hallpass_store::{Person, Store, StoredKey};
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
    /// The configuration file, where one was named.
    pub file: Option<PathBuf>,
}

impl PlaceArgs {
    /// The configuration file, where one is named.
    pub fn file(&self) -> Option<&Path> {
        self.config.as_deref()
    }

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

    /// Opens the store. A running server sees what changes: sessions and grants are read from the store, and
    /// revocations come through its feed.
    pub async fn open(&self) -> anyhow::Result<Place> {
        let config = self.config()?;
        let folder = config.state.clone();
        if config.database == config::Database::File && !folder.join("hallpass.sqlite").exists() {
            let fix = match &self.config {
                Some(file) => {
                    format!(
                        "start the server once, which makes it: hallpass serve --config {}",
                        file.display()
                    )
                }
                None => "name the folder with --state, or the configuration with --config".to_owned(),
            };
            bail!("there is no database in {}: {fix}", folder.display());
        }
        let state = StateFolder::open(&folder)?;
        let store = node::store::open(&config, &state, false).await?;
        let several_nodes = config.database != config::Database::File;
        let (settings, now, file) = (config.settings, SystemClock.now(), self.config.clone());
        let place = Place { settings, store, state, several_nodes, now, file };
        place.fits().await?;
        Ok(place)
    }
}

/// Nothing that is made under other keys is of use here.
pub const OTHER_KEYS: &str = "the keys that are there were made under another public URL or master key: name the configuration \
    with --config, or the folder and the port of `hallpass run` with --state and --port";

impl Place {
    /// The person of this name, or a sentence.
    pub async fn person(&self, name: &str) -> anyhow::Result<Person> {
        let folded = hallpass_server::fold_name(name);
        match self.store.person_by_name(folded).await? {
            Some(person) => Ok(person),
            None => bail!("there is no account {name:?}: `hallpass user list` shows them"),
        }
    }

    /// Whether the public URL is the one of the server. With another one links would lead nowhere, each line of the audit log
    /// would look forged, and those that are written would be.
    async fn fits(&self) -> anyhow::Result<()> {
        // Without keys somebody can still be shut out; it is said when that is to be recorded.
        let Ok(ring) = self.keys().await else { return Ok(()) };
        let known = self.store.keys_read().await?;
        let is_ours =
            |key: &&StoredKey| KeyRing::number_of(&key.sealed).is_some_and(|number| ring.has(number));
        let mut ours = in_use(&known, self.now).filter(is_ours).peekable();
        if ours.peek().is_some() && !ours.any(|key| opens(&ring, key)) {
            bail!(OTHER_KEYS);
        }
        Ok(())
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
