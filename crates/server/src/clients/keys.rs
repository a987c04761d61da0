//! The public keys of clients that sign assertions, and the verification with them.
//!
//! Keys behind a `jwks_uri` are kept by the rules of HTTP and renewed in the background. A request waits for them only
//! where this node has none yet, or none with the `kid` that the assertion names; then one request is made for all who
//! wait, and not again for half a minute: a flood of invented key ids is one request.

use arc_swap::ArcSwapOption;
use hallpass_core::{
    grant::digest16,
    jose::{Algorithm, JwsError, KeySet},
    jwt::client_assertion::{self, ClientAssertion, ClientAssertionError, Expectations},
    time::Timestamp,
};
use hallpass_fetch::{Fetch, FetchError, Policy};
use quick_cache::sync::Cache;
use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};
use tokio::sync::Mutex;
use url::Url;

/// Key sets remembered, each of at most 64 KiB; the one used longest ago is forgotten first.
const MAX_SETS: usize = 256;
/// Time between two requests for one set, whatever is asked for.
const COOL_DOWN: Duration = Duration::from_secs(30);
/// How long keys are used whose host does not answer.
const LONGEST: Duration = Duration::from_hours(24);

/// With what a client signs.
#[derive(Clone, Debug)]
pub struct ClientKeys {
    /// Where they are.
    pub place: KeyPlace,
    /// The one algorithm that the client registered (RFC 7591 §2), if it did.
    pub algorithm: Option<Algorithm>,
    /// Of what the client wrote down about them: it changes when they do.
    pub digest: [u8; 16],
}

impl ClientKeys {
    /// `written` is the key set or its address.
    pub fn new(place: KeyPlace, algorithm: Option<Algorithm>, written: &str) -> Self {
        let digest = digest16(&format!("{algorithm:?} {written}"));
        Self { place, algorithm, digest }
    }
}

/// Where a client's keys are.
#[derive(Clone, Debug)]
pub enum KeyPlace {
    /// In what it registered.
    Inline(KeySet),
    /// At its `jwks_uri`.
    At(Url),
}

/// Why an assertion proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyRefusal {
    /// It breaks a rule.
    Assertion(ClientAssertionError),
    /// The client's keys are gone or are none.
    NoKeys,
    /// The client's keys cannot be reached right now.
    Unreachable(FetchError),
}

/// The keys of all clients that signed lately.
pub struct ClientKeySource {
    fetch: Fetch,
    sets: Cache<String, Arc<Entry>>,
}

#[derive(Default)]
struct Entry {
    /// Held by the one request that asks the host.
    asking: Mutex<()>,
    asked_at: AtomicI64,
    kept: ArcSwapOption<Kept>,
}

struct Kept {
    keys: KeySet,
    read_at: Timestamp,
    fresh_until: Timestamp,
}

impl ClientKeySource {
    /// Empty.
    pub fn new(fetch: Fetch) -> Arc<Self> {
        Arc::new(Self { fetch, sets: Cache::new(MAX_SETS) })
    }

    /// Verifies an assertion of the client with these keys.
    pub async fn verify(
        self: &Arc<Self>,
        keys: &ClientKeys,
        compact: &str,
        expected: &Expectations<'_>,
    ) -> Result<ClientAssertion, KeyRefusal> {
        let check = |set: &KeySet| {
            let verified = match keys.algorithm {
                Some(algorithm) => client_assertion::verify(compact, &set.only(algorithm), expected),
                None => client_assertion::verify(compact, set, expected),
            };
            verified.map(hallpass_core::jose::Verified::into_inner).map_err(KeyRefusal::Assertion)
        };
        let url = match &keys.place {
            KeyPlace::Inline(set) => return check(set),
            KeyPlace::At(url) => url,
        };
        let now = expected.now;
        let entry = self.entry(url);
        let old = entry.kept.load_full().filter(|kept| now < kept.read_at.plus(LONGEST));
        let Some(old) = old else { return check(&self.read(&entry, url, None, now).await?.keys) };
        if now >= old.fresh_until {
            self.renew(&entry, url, &old, now);
        }
        match check(&old.keys) {
            Err(unknown @ KeyRefusal::Assertion(ClientAssertionError::Jws(JwsError::UnknownKey))) => {
                match self.read(&entry, url, Some(&old), now).await {
                    Ok(new) => check(&new.keys),
                    Err(_) => Err(unknown),
                }
            }
            checked => checked,
        }
    }

    fn entry(&self, url: &Url) -> Arc<Entry> {
        let made =
            self.sets.get_or_insert_with(url.as_str(), || Ok::<_, std::convert::Infallible>(Arc::default()));
        match made {
            Ok(entry) => entry,
            Err(never) => match never {},
        }
    }

    fn renew(self: &Arc<Self>, entry: &Arc<Entry>, url: &Url, old: &Arc<Kept>, now: Timestamp) {
        let (source, entry, url, old) = (Arc::clone(self), Arc::clone(entry), url.clone(), Arc::clone(old));
        tokio::spawn(async move {
            if let Err(error) = source.read(&entry, &url, Some(&old), now).await {
                tracing::debug!(%url, ?error, "the keys of a client were not renewed");
            }
        });
    }

    /// Asks the host, once for all who wait, and not sooner than the cool-down allows.
    async fn read(
        &self,
        entry: &Entry,
        url: &Url,
        old: Option<&Arc<Kept>>,
        now: Timestamp,
    ) -> Result<Arc<Kept>, KeyRefusal> {
        let _one = entry.asking.lock().await;
        let current = entry.kept.load_full();
        match (&current, old) {
            (Some(current), Some(old)) if !Arc::ptr_eq(current, old) => return Ok(Arc::clone(current)),
            (Some(current), None) if now < current.read_at.plus(LONGEST) => return Ok(Arc::clone(current)),
            _ => {}
        }
        let asked_at = Timestamp::from_millis(entry.asked_at.load(Ordering::Acquire));
        if now < asked_at.plus(COOL_DOWN) && asked_at <= now {
            return Err(KeyRefusal::Unreachable(FetchError::Busy));
        }
        entry.asked_at.store(now.millis(), Ordering::Release);
        let kept = Arc::new(self.ask(url, now).await?);
        entry.kept.store(Some(Arc::clone(&kept)));
        Ok(kept)
    }

    async fn ask(&self, url: &Url, now: Timestamp) -> Result<Kept, KeyRefusal> {
        let document = match self.fetch.get_document_again(url, &Policy::strict()).await {
            Ok(document) if document.is_json() => document,
            Ok(_) | Err(FetchError::Status(404 | 410)) => return Err(KeyRefusal::NoKeys),
            Err(error) if error.is_forbidden() => return Err(KeyRefusal::NoKeys),
            Err(error) => return Err(KeyRefusal::Unreachable(error)),
        };
        let keys = KeySet::parse(&document.body).map_err(|_| KeyRefusal::NoKeys)?;
        let fresh_until = now.plus(document.cache_for.unwrap_or(COOL_DOWN));
        Ok(Kept { keys, read_at: now, fresh_until })
    }
}
