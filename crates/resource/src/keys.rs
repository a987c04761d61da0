//! The keys that access tokens are verified with: given, or fetched from one URL, or from where the metadata of one issuer says.

use crate::discovery::{self, NotFound};
use arc_swap::ArcSwapOption;
use hallpass_core::{
    jose::{Algorithm, KeySet},
    time::Timestamp,
    uri::Issuer,
};
use hallpass_fetch::{Document, Fetch, Policy};
use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::sync::MutexGuard;
use url::Url;

/// After this long a fetched set is fetched again.
const FRESH: Duration = Duration::from_mins(10);
/// Between two fetches, whatever is asked: a flood of unknown `kid`s is one request in this time (RS-028).
const BETWEEN: Duration = Duration::from_secs(30);
/// How long a set is still used when the authorization server does not answer.
const STALE: Duration = Duration::from_hours(24);

/// The keys of one issuer. All tasks share one, so a fetch is made once for all.
pub struct KeySource {
    current: ArcSwapOption<Fetched>,
    version: AtomicU64,
    remote: Option<Remote>,
}

struct Fetched {
    keys: KeySet,
    version: u64,
    at: Timestamp,
}

/// A key set and a number that changes when it does.
#[derive(Clone)]
pub(crate) struct Keys(Arc<Fetched>);

impl Keys {
    pub(crate) fn set(&self) -> &KeySet {
        &self.0.keys
    }

    pub(crate) fn version(&self) -> u64 {
        self.0.version
    }
}

struct Remote {
    place: Place,
    fetch: Fetch,
    policy: Policy,
    /// Keys of others are not used.
    algorithms: Vec<Algorithm>,
    /// When the last fetch was begun.
    tried: Mutex<Option<Timestamp>>,
    /// The bytes of the last set: the same again is no change.
    body: Mutex<bytes::Bytes>,
    one_at_a_time: tokio::sync::Mutex<()>,
}

/// Where keys are.
#[derive(Debug)]
enum Place {
    /// At an address that somebody wrote down.
    At(Url),
    /// At the `jwks_uri` of this issuer's metadata.
    Discovered(Issuer),
}

impl std::fmt::Debug for KeySource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KeySource")
            .field("place", &self.remote.as_ref().map(|remote| &remote.place))
            .finish_non_exhaustive()
    }
}

impl KeySource {
    /// Keys that are known here, for an authorization server in the same process. See [`Self::replace`].
    pub fn fixed(keys: KeySet) -> Self {
        let first = Fetched { keys, version: 0, at: Timestamp::from_millis(0) };
        Self { current: ArcSwapOption::from_pointee(first), version: AtomicU64::new(0), remote: None }
    }

    /// Keys from a `jwks_uri` that the operator or verified metadata named. Nothing is fetched before the first
    /// token; until a fetch succeeds every token is refused with 503.
    pub fn jwks(url: Url, fetch: Fetch, policy: Policy) -> Self {
        Self::remote(Place::At(url), fetch, policy)
    }

    /// Keys of an issuer that somebody wrote down, from where its own metadata says (RFC 8414, OpenID Connect Discovery). As
    /// [`Self::jwks`] otherwise.
    pub fn discovered(issuer: &Issuer, fetch: Fetch) -> Self {
        Self::remote(Place::Discovered(issuer.clone()), fetch, discovery::policy(issuer))
    }

    /// Uses keys for these algorithms only, of a source that fetches.
    #[must_use]
    pub fn with_algorithms(mut self, algorithms: &[Algorithm]) -> Self {
        if let Some(remote) = &mut self.remote {
            remote.algorithms = algorithms.to_vec();
        }
        self
    }

    fn remote(place: Place, fetch: Fetch, policy: Policy) -> Self {
        let remote = Remote {
            place,
            fetch,
            policy,
            algorithms: Algorithm::ALL.to_vec(),
            tried: Mutex::default(),
            body: Mutex::default(),
            one_at_a_time: tokio::sync::Mutex::new(()),
        };
        Self { current: ArcSwapOption::empty(), version: AtomicU64::new(0), remote: Some(remote) }
    }

    /// Replaces the keys. Tokens that were verified by the old ones are verified again.
    pub fn replace(&self, keys: KeySet) {
        self.store(keys, Timestamp::from_millis(0));
    }

    fn store(&self, keys: KeySet, at: Timestamp) {
        let version = self.version.fetch_add(1, Ordering::SeqCst).wrapping_add(1);
        self.current.store(Some(Arc::new(Fetched { keys, version, at })));
    }

    /// The version of the keys in use, when they may be used as they are. `None`: ask [`Self::keys`].
    pub(crate) fn usable_version(&self, now: Timestamp) -> Option<u64> {
        let current = self.current.load();
        let fetched = current.as_ref()?;
        (self.remote.is_none() || now < fetched.at.plus(FRESH)).then_some(fetched.version)
    }

    /// The keys: kept while fresh, else fetched; an old set is used for a day when the fetch fails.
    pub(crate) async fn keys(&self, now: Timestamp) -> Option<Keys> {
        let kept = self.current.load_full();
        let Some(remote) = &self.remote else { return kept.map(Keys) };
        if kept.as_ref().is_none_or(|fetched| now >= fetched.at.plus(FRESH)) {
            // With old keys at hand only one request waits for the new ones.
            match (kept.is_some(), remote.one_at_a_time.try_lock()) {
                (_, Ok(turn)) => self.refresh(remote, now, turn).await,
                (true, Err(_)) => {}
                (false, Err(_)) => self.refresh(remote, now, remote.one_at_a_time.lock().await).await,
            }
        }
        self.current.load_full().filter(|fetched| now < fetched.at.plus(STALE)).map(Keys)
    }

    /// The keys after a token named one that `old` does not have. `None` when there is nothing newer to be had.
    pub(crate) async fn keys_after_unknown(&self, old: &Keys, now: Timestamp) -> Option<Keys> {
        if let Some(remote) = &self.remote {
            self.refresh(remote, now, remote.one_at_a_time.lock().await).await;
        }
        self.current.load_full().filter(|fetched| fetched.version != old.version()).map(Keys)
    }

    /// One fetch at a time and one in [`BETWEEN`]; whoever comes meanwhile waits and takes what the first one got.
    async fn refresh(&self, remote: &Remote, now: Timestamp, _turn: MutexGuard<'_, ()>) {
        {
            let mut tried = remote.tried.lock().unwrap_or_else(PoisonError::into_inner);
            // Without keys every request is refused, so there the pause is short.
            let pause = if self.current.load().is_some() { BETWEEN } else { Duration::from_secs(2) };
            if tried.is_some_and(|at| now < at.plus(pause)) {
                return;
            }
            *tried = Some(now);
        }
        let document = match remote.document().await {
            Ok(document) => document,
            Err(error) => {
                tracing::warn!(place = ?remote.place, %error, "the key set could not be fetched");
                return;
            }
        };
        match KeySet::parse(&document.body) {
            Ok(keys) => self.take(remote, remote.usable(keys), document.body, now),
            Err(error) => tracing::warn!(place = ?remote.place, %error, "the key set could not be read"),
        }
    }

    fn take(&self, remote: &Remote, keys: KeySet, body: bytes::Bytes, now: Timestamp) {
        let mut last = remote.body.lock().unwrap_or_else(PoisonError::into_inner);
        match self.current.load_full() {
            Some(same) if *last == body => {
                self.current.store(Some(Arc::new(Fetched { keys, version: same.version, at: now })));
            }
            Some(_) | None => {
                *last = body;
                self.store(keys, now);
            }
        }
    }
}

impl Remote {
    async fn document(&self) -> Result<Document, NotFound> {
        let found;
        let url = match &self.place {
            Place::At(url) => url,
            Place::Discovered(issuer) => {
                found = discovery::endpoint(&self.fetch, &self.policy, issuer, "jwks_uri").await?;
                &found
            }
        };
        Ok(self.fetch.get_document_again(url, &self.policy).await?)
    }

    fn usable(&self, keys: KeySet) -> KeySet {
        if self.algorithms.len() == Algorithm::ALL.len() {
            return keys;
        }
        let listed = keys.keys().iter().filter(|key| self.algorithms.contains(&key.algorithm()));
        KeySet::from_keys(listed.cloned().collect())
    }
}
