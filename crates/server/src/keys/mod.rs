//! The keys that sign access tokens: made at the first start, sealed in the store, followed by the next ones.

mod reseal;
pub mod schedule;

pub use reseal::{in_use, left_behind, one as reseal_one, opens};

use crate::{
    app::{App, Live, StartError},
    audit::Event,
    http::respond::Document,
    settings::KeySettings,
};
use arc_swap::ArcSwap;
use hallpass_core::{
    entropy::Entropy,
    jose::{Algorithm, KeySet, SigningKey},
    jwt::{AccessTokenSigner, caller_assertion::CallerAssertionSigner},
    seal::{KeyRing, Purpose},
    time::Timestamp,
};
use hallpass_store::{Store, StoreError, StoredKey};
use schedule::Stage;
use std::{sync::Arc, time::Duration};

/// How often a node looks at the keys: one that was retired is refused within this time.
const LOOK: Duration = Duration::from_millis(800);

/// What signs and what verifies at a moment.
pub struct Current {
    /// Signs new access tokens.
    pub signer: AccessTokenSigner,
    /// Signs what servers behind a gateway are told about who calls.
    pub callers: CallerAssertionSigner,
    /// Verifies all that may still be alive.
    pub verifying: KeySet,
    /// The JWKS document.
    pub jwks: Document,
    stages: Vec<(String, Stage)>,
}

/// What signs and what verifies; it changes while the server runs.
pub struct TokenKeys(ArcSwap<Current>);

impl TokenKeys {
    /// Reads the keys, or makes the first one. Two nodes that start at once agree on the one that was kept.
    pub async fn load(
        store: &dyn Store,
        ring: &KeyRing,
        (settings, entropy): (&KeySettings, &dyn Entropy),
        now: Timestamp,
    ) -> Result<Self, StartError> {
        let mut stored = store.keys_read().await?;
        if stored.is_empty() {
            let first = fresh(ring, settings.algorithm, entropy, (now, now))?;
            stored = store.key_put_first(first).await?;
        }
        Ok(Self(ArcSwap::from_pointee(current(ring, &stored, now)?)))
    }

    /// What is in force now.
    pub fn current(&self) -> Arc<Current> {
        self.0.load_full()
    }
}

/// Looks at the rows, makes the next key where that is due, and puts in force what they say. Answers the key set when it
/// has changed.
pub async fn step(app: &App) -> Result<Option<KeySet>, StartError> {
    let now = app.clock.now();
    let mut stored = app.store.keys_read().await?;
    let settings = &app.settings.keys;
    if schedule::is_due(&stored, settings.rotate_every, settings.algorithm.name(), now) {
        let next =
            fresh(&app.keys, settings.algorithm, &*app.entropy, (now, now.plus(schedule::PUBLISHED_AHEAD)))?;
        if put_after(&*app.store, &next, &stored).await? {
            app.audit.record_at(now, Event::key_made(&next.kid));
        }
        stored = app.store.keys_read().await?;
    }
    let missing = reseal::not_here(&app.keys, &stored, now);
    if app.metrics.master_key_missing(!missing.is_empty()) && !missing.is_empty() {
        tracing::error!(
            keys = ?missing,
            "this node lacks a master key that another one uses already: put the same master.key here as there"
        );
    }
    reseal::all(app, &stored).await?;
    for kid in schedule::removable(&stored, now) {
        app.store.key_remove(kid).await?;
    }
    let before = app.tokens.current();
    let names: Vec<(String, Stage)> =
        stored.iter().map(|key| key.kid.clone()).zip(schedule::stages(&stored, now)).collect();
    if names == before.stages {
        return Ok(None);
    }
    let current = current(&app.keys, &stored, now)?;
    let verifying = current.verifying.clone();
    if current.signer.key().key_id() != before.signer.key().key_id() {
        app.audit.record_at(now, Event::key_rotated(current.signer.key().key_id()));
    }
    app.tokens.0.store(Arc::new(current));
    Ok(Some(verifying))
}

/// Follows the keys for ever, and tells `tell` when what verifies has changed.
pub async fn follow_keys(live: Live, tell: impl Fn(KeySet) + Send) {
    loop {
        tokio::time::sleep(LOOK).await;
        match step(&live.app()).await {
            Ok(Some(keys)) => tell(keys),
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "the signing keys cannot be read; those in force stay"),
        }
    }
}

/// A key as the successor of the newest of `known`; `false` when somebody else was faster.
pub async fn put_after(store: &dyn Store, key: &StoredKey, known: &[StoredKey]) -> Result<bool, StoreError> {
    match known.iter().max_by_key(|one| one.created_at) {
        Some(newest) => store.key_put_after(key.clone(), newest.kid.clone()).await,
        None => Ok(!store.key_put_first(key.clone()).await?.is_empty()),
    }
}

fn current(ring: &KeyRing, stored: &[StoredKey], now: Timestamp) -> Result<Current, StartError> {
    let stages = schedule::stages(stored, now);
    let (mut public, mut verifying, mut signer) = (Vec::new(), Vec::new(), None);
    for (key, stage) in stored.iter().zip(&stages) {
        if *stage == Stage::Ended {
            continue;
        }
        let key = open(ring, key)?;
        public.push(key.public_jwk().to_json());
        verifying.push(key.verifying_key());
        if *stage == Stage::Signing {
            signer = Some((AccessTokenSigner::new(&key), CallerAssertionSigner::new(&key)));
        }
    }
    let jwks = serde_json::json!({ "keys": public }).to_string();
    let names = stored.iter().map(|key| key.kid.clone()).zip(stages).collect();
    let (signer, callers) = signer.ok_or(StartError::NoSigningKey)?;
    Ok(Current {
        signer,
        callers,
        verifying: KeySet::from_keys(verifying),
        jwks: Document::new("application/jwk-set+json", jwks.into()),
        stages: names,
    })
}

/// A new key, sealed: made and published at the first of these times, signing from the second.
pub fn fresh(
    ring: &KeyRing,
    algorithm: Algorithm,
    entropy: &dyn Entropy,
    (created_at, signs_from): (Timestamp, Timestamp),
) -> Result<StoredKey, StartError> {
    let key = SigningKey::generate(algorithm).map_err(|_| StartError::NoSigningKey)?;
    let pkcs8 = key.to_pkcs8().map_err(|_| StartError::NoSigningKey)?;
    let kid = key.key_id().to_owned();
    let sealed = ring.seal(Purpose::SigningKey, context(&kid).as_bytes(), &pkcs8, entropy);
    let algorithm = algorithm.name().to_owned();
    Ok(StoredKey { kid, algorithm, sealed, created_at, signs_from, retired_at: None })
}

fn open(ring: &KeyRing, stored: &StoredKey) -> Result<SigningKey, StartError> {
    let pkcs8 = ring
        .open(Purpose::SigningKey, context(&stored.kid).as_bytes(), &stored.sealed)
        .map_err(|_| StartError::WrongMasterKey)?;
    let algorithm = Algorithm::from_name(&stored.algorithm).ok_or(StartError::WrongMasterKey)?;
    SigningKey::from_pkcs8(algorithm, &pkcs8).map_err(|_| StartError::WrongMasterKey)
}

/// Table, column and row: a sealed key moved to another row does not open.
fn context(kid: &str) -> String {
    format!("signing_key/sealed/{kid}")
}
