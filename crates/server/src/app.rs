//! Everything that the handlers share.

use crate::{
    audit::{self, Audit, Event},
    clients::{
        assertions::SpentAssertions, blocked::BlockList, keys::ClientKeySource, source::DocumentSource,
    },
    device::Polls,
    http::{proof::Targets, rate_limit::RateLimiter, respond::Document},
    keys::{self, TokenKeys},
    login::password::PasswordHasher,
    metadata,
    metrics::Metrics,
    router,
    settings::{Settings, SettingsError},
    token::Unsettled,
};
use arc_swap::ArcSwap;
use hallpass_core::{
    entropy::Entropy,
    jwt::proof::SeenProofs,
    seal::{KeyRing, MasterKeys},
    secret::SecretBytes,
    time::Clock,
};
use hallpass_fetch::Fetch;
use hallpass_store::{Store, StoreError};
use std::sync::{Arc, OnceLock};

/// The authorization server.
#[derive(Clone)]
pub struct App {
    /// What the operator decided.
    pub settings: Settings,
    /// Sealing and authenticating.
    pub keys: Arc<KeyRing>,
    /// Signing of access tokens.
    pub tokens: Arc<TokenKeys>,
    /// What is kept.
    pub store: Arc<dyn Store>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Outbound requests.
    pub fetch: Fetch,
    /// Client ID metadata documents.
    pub documents: Arc<DocumentSource>,
    /// Keys of clients that sign assertions.
    pub client_keys: Arc<ClientKeySource>,
    /// Keys of issuers whose assertions an operator trusts.
    pub issuer_keys: Arc<ClientKeySource>,
    /// What the operator does not want.
    pub blocks: Arc<BlockList>,
    /// Assertions that were used at endpoints which write nothing for them.
    pub spent: Arc<SpentAssertions>,
    /// Redemptions whose outcome nobody has learnt.
    pub unsettled: Arc<Unsettled>,
    /// Proofs of possession that were used.
    pub proofs: Arc<SeenProofs>,
    /// Our endpoints as those have to name them.
    pub targets: Arc<Targets>,
    /// Password hashing off the runtime's threads.
    pub passwords: Arc<PasswordHasher>,
    /// Limits by address.
    pub limits: Arc<RateLimiter>,
    /// Devices that poll.
    pub polls: Arc<Polls>,
    /// Takes every security decision.
    pub audit: Arc<Audit>,
    /// What is counted beside them.
    pub metrics: Arc<Metrics>,
    /// The metadata document, written once.
    pub metadata: Document,
    /// The description of the whole surface, written once, when somebody asks for it.
    pub openapi: OnceLock<Document>,
}

/// What the server is made of.
pub struct Parts {
    /// What the operator decided.
    pub settings: Settings,
    /// Master keys, the first one for what is new.
    pub masters: MasterKeys,
    /// What is kept.
    pub store: Arc<dyn Store>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub entropy: Arc<dyn Entropy>,
    /// Outbound requests.
    pub fetch: Fetch,
}

/// Why the server cannot be put together.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The settings contradict each other.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What is in the store was not sealed under this master key.
    #[error(
        "the keys in the database were sealed under another master key or another public URL: put back the master.key that belongs to this database (the same on every node), and the public URL it was made for"
    )]
    WrongMasterKey,
    /// The crypto library made no key.
    #[error("no signing key could be made")]
    NoSigningKey,
    /// No master key.
    #[error("there is no master key")]
    NoMasterKey,
    /// The audit log cannot be written.
    #[error("the audit log cannot be written ({0}): {fix}", fix = audit_fix(.0))]
    Audit(std::io::Error),
}

fn audit_fix(error: &std::io::Error) -> &'static str {
    if matches!(error.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded) {
        "its disk is full, make room"
    } else {
        "give its folder to this user, and each node a name of its own with [audit] node"
    }
}

/// Why other master keys are not taken while the server runs.
#[derive(Debug, thiserror::Error)]
pub enum MasterKeysError {
    /// There is none.
    #[error("there is no master key")]
    NoMasterKey,
    /// A number stands for another key than before.
    #[error(
        "key {0} is another one than before: put back the line that was there, and give a new key a number of its own"
    )]
    OtherKey(u8),
    /// Something in the store is sealed under a key that would be gone.
    #[error(
        "key {number} is gone, and the signing key {kid} is sealed under it: put it back; it can go when the server has used another one for a few seconds"
    )]
    StillNeeded {
        /// The number of the key that would be gone.
        number: u8,
        /// The signing key.
        kid: String,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl App {
    /// Puts the server together: derives the keys, reads or makes the signing key.
    pub async fn start(parts: Parts) -> Result<Arc<Self>, StartError> {
        parts.settings.check()?;
        let candidate = SecretBytes::new(hallpass_core::entropy::random(&*parts.entropy));
        let root = parts.store.root_secret(candidate).await?;
        let keys = KeyRing::of(&parts.masters, &root, parts.settings.issuer.as_str())
            .map_err(|_| StartError::NoMasterKey)?;
        let now = parts.clock.now();
        let keys = Arc::new(keys);
        let load = || TokenKeys::load(&*parts.store, &keys, (&parts.settings.keys, &*parts.entropy), now);
        // Before the log is opened: lines under a key that does not belong to this database would stand in it for ever as
        // lines that somebody changed.
        let kept = if parts.store.keys_read().await?.is_empty() { None } else { Some(load().await?) };
        let audit = Audit::open(&parts.settings.audit, Arc::clone(&keys), Arc::clone(&parts.clock))
            .map_err(StartError::Audit)?;
        audit::compare(&audit, &*parts.store, now).await?;
        audit.record_at(now, Event::started(&env!("CARGO_PKG_VERSION")));
        let tokens = if let Some(tokens) = kept {
            tokens
        } else {
            let tokens = load().await?;
            for key in parts.store.keys_read().await? {
                audit.record_at(now, Event::key_made(&key.kid));
            }
            tokens
        };
        let metadata = metadata::document(&parts.settings);
        let blocks = BlockList::load(&*parts.store).await?;
        Ok(Arc::new(Self {
            keys,
            audit: Arc::new(audit),
            metrics: Arc::new(Metrics::new(router::routes(), now)),
            tokens: Arc::new(tokens),
            client_keys: ClientKeySource::new(parts.fetch.clone()),
            issuer_keys: ClientKeySource::new(parts.fetch.clone()),
            blocks: Arc::new(blocks),
            spent: Arc::new(SpentAssertions::new()),
            unsettled: Arc::new(Unsettled::new()),
            proofs: Arc::new(SeenProofs::new()),
            targets: Arc::new(Targets::new(&parts.settings.issuer)),
            documents: Arc::new(DocumentSource::new(parts.fetch.clone(), Arc::clone(&parts.store))),
            fetch: parts.fetch,
            passwords: Arc::new(PasswordHasher::new()),
            limits: Arc::new(RateLimiter::new()),
            polls: Arc::new(Polls::new()),
            metadata,
            openapi: OnceLock::new(),
            store: parts.store,
            clock: parts.clock,
            entropy: parts.entropy,
            settings: parts.settings,
        }))
    }

    /// The same server with other settings: keys, store, limits, what is cached and the audit go on. `fetch` only where
    /// outbound requests are made in another way. The issuer stays, since keys and ids are bound to it.
    pub fn with_settings(
        &self,
        settings: Settings,
        fetch: Option<Fetch>,
    ) -> Result<Arc<Self>, SettingsError> {
        settings.check()?;
        if settings.issuer.as_str() != self.settings.issuer.as_str() {
            return Err(SettingsError::IssuerChanged);
        }
        let now = fetch.clone().unwrap_or_else(|| self.fetch.clone());
        let (client_keys, issuer_keys, documents) = match fetch {
            Some(fetch) => (
                ClientKeySource::new(fetch.clone()),
                ClientKeySource::new(fetch.clone()),
                Arc::new(DocumentSource::new(fetch, Arc::clone(&self.store))),
            ),
            None => {
                (Arc::clone(&self.client_keys), Arc::clone(&self.issuer_keys), Arc::clone(&self.documents))
            }
        };
        Ok(Arc::new(Self {
            client_keys,
            issuer_keys,
            documents,
            fetch: now,
            metadata: metadata::document(&settings),
            targets: Arc::new(Targets::new(&settings.issuer)),
            openapi: OnceLock::new(),
            settings,
            ..self.clone()
        }))
    }

    /// The same server with other master keys; everything else goes on. Refused is what would take away a key that something
    /// in the store still hangs on, because the server would not start again without it.
    pub async fn with_master_keys(&self, masters: &MasterKeys) -> Result<Arc<Self>, MasterKeysError> {
        let candidate = SecretBytes::new(hallpass_core::entropy::random(&*self.entropy));
        let root = self.store.root_secret(candidate).await?;
        let keys = KeyRing::of(masters, &root, self.settings.issuer.as_str())
            .map_err(|_| MasterKeysError::NoMasterKey)?;
        if let Some(number) = keys.conflict(&self.keys) {
            return Err(MasterKeysError::OtherKey(number));
        }
        let stored = self.store.keys_read().await?;
        if let Some((kid, number)) = keys::left_behind(&stored, (&self.keys, &keys), self.clock.now()) {
            return Err(MasterKeysError::StillNeeded { number, kid });
        }
        Ok(Arc::new(Self { keys: Arc::new(keys), ..self.clone() }))
    }
}

/// The server as it is at this moment. What runs beside the requests holds this, and sees the settings that are in
/// force; a request keeps the ones that it began with.
#[derive(Clone)]
pub struct Live(Arc<ArcSwap<App>>);

impl Live {
    /// With these settings at first.
    pub fn new(app: Arc<App>) -> Self {
        Self(Arc::new(ArcSwap::new(app)))
    }

    /// With the settings in force.
    pub fn app(&self) -> Arc<App> {
        self.0.load_full()
    }

    /// Puts others in force. The audit log is chained with the keys of that server from here on.
    pub fn replace(&self, app: Arc<App>) {
        app.audit.use_keys(&app.keys);
        self.0.store(app);
    }
}
