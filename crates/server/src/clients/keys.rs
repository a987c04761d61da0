//! The public keys of those who sign assertions, clients and issuers that an operator trusts, and the verification with them.
//!
//! Keys behind an address are kept by the rules of HTTP and renewed in the background. A request waits for them only
//! where this node has none yet, or none with the `kid` that the assertion names; then one request is made for all who
//! wait, and not again for half a minute: a flood of invented key ids is one request.

use arc_swap::ArcSwapOption;
use hallpass_core::{
    grant::digest16,
    jose::{Algorithm, JwsError, KeySet},
    jwt::client_assertion::{self, ClientAssertion, ClientAssertionError, Expectations},
    metadata::{authorization_server::endpoint_of, well_known},
    time::Timestamp,
    uri::Issuer,
};
use hallpass_fetch::{Document, Fetch, FetchError, Policy};
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

/// Where keys are.
#[derive(Clone, Debug)]
pub enum KeyPlace {
    /// In what was written down.
    Inline(KeySet),
    /// At an address that a client named: a public one.
    At(Url),
    /// At an address that an operator named: a private one too.
    Named(Url),
    /// Where the metadata of an issuer that an operator named says. An address on the issuer's own host may be private.
    Discovered(Issuer),
}

impl KeyPlace {
    /// What its keys are kept under; nothing is kept of what is at hand.
    fn name(&self) -> Option<&str> {
        match self {
            Self::Inline(_) => None,
            Self::At(url) | Self::Named(url) => Some(url.as_str()),
            Self::Discovered(issuer) => Some(issuer.as_str()),
        }
    }
}

/// Why an assertion proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyRefusal<E = ClientAssertionError> {
    /// It breaks a rule.
    Assertion(E),
    /// The keys are gone or are none.
    NoKeys,
    /// The keys cannot be reached right now.
    Unreachable(FetchError),
}

/// Why there are no keys.
#[derive(Clone, Copy, Debug)]
enum Unread {
    Gone,
    Unreachable(FetchError),
}

impl<E> From<Unread> for KeyRefusal<E> {
    fn from(unread: Unread) -> Self {
        match unread {
            Unread::Gone => Self::NoKeys,
            Unread::Unreachable(error) => Self::Unreachable(error),
        }
    }
}

/// The keys of all who signed lately.
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
            verified.map(hallpass_core::jose::Verified::into_inner)
        };
        let unknown =
            |error: &ClientAssertionError| *error == ClientAssertionError::Jws(JwsError::UnknownKey);
        self.with_keys(&keys.place, expected.now, check, unknown).await
    }

    /// Runs `check` with the keys that are kept of this place, and once more with newer ones where the key is `unknown`.
    pub async fn with_keys<T: Send, E: Send>(
        self: &Arc<Self>,
        place: &KeyPlace,
        now: Timestamp,
        check: impl Fn(&KeySet) -> Result<T, E> + Send + Sync,
        unknown: impl Fn(&E) -> bool + Send + Sync,
    ) -> Result<T, KeyRefusal<E>> {
        let check = |set: &KeySet| check(set).map_err(KeyRefusal::Assertion);
        let name = match (place, place.name()) {
            (KeyPlace::Inline(set), _) => return check(set),
            (_, Some(name)) => name,
            (_, None) => return Err(KeyRefusal::NoKeys),
        };
        let entry = self.entry(name);
        let old = entry.kept.load_full().filter(|kept| now < kept.read_at.plus(LONGEST));
        let Some(old) = old else { return check(&self.read(&entry, place, None, now).await?.keys) };
        if now >= old.fresh_until {
            self.renew(&entry, place, &old, now);
        }
        match check(&old.keys) {
            Err(KeyRefusal::Assertion(error)) if unknown(&error) => {
                match self.read(&entry, place, Some(&old), now).await {
                    Ok(new) => check(&new.keys),
                    Err(_) => Err(KeyRefusal::Assertion(error)),
                }
            }
            checked => checked,
        }
    }

    fn entry(&self, name: &str) -> Arc<Entry> {
        let made = self.sets.get_or_insert_with(name, || Ok::<_, std::convert::Infallible>(Arc::default()));
        match made {
            Ok(entry) => entry,
            Err(never) => match never {},
        }
    }

    fn renew(self: &Arc<Self>, entry: &Arc<Entry>, place: &KeyPlace, old: &Arc<Kept>, now: Timestamp) {
        let (source, entry, old) = (Arc::clone(self), Arc::clone(entry), Arc::clone(old));
        let place = place.clone();
        tokio::spawn(async move {
            if let Err(error) = source.read(&entry, &place, Some(&old), now).await {
                tracing::debug!(place = place.name(), ?error, "keys were not renewed");
            }
        });
    }

    /// Asks the host, once for all who wait, and not sooner than the cool-down allows.
    async fn read(
        &self,
        entry: &Entry,
        place: &KeyPlace,
        old: Option<&Arc<Kept>>,
        now: Timestamp,
    ) -> Result<Arc<Kept>, Unread> {
        let _one = entry.asking.lock().await;
        let current = entry.kept.load_full();
        match (&current, old) {
            (Some(current), Some(old)) if !Arc::ptr_eq(current, old) => return Ok(Arc::clone(current)),
            (Some(current), None) if now < current.read_at.plus(LONGEST) => return Ok(Arc::clone(current)),
            _ => {}
        }
        let asked_at = Timestamp::from_millis(entry.asked_at.load(Ordering::Acquire));
        if now < asked_at.plus(COOL_DOWN) && asked_at <= now {
            return Err(Unread::Unreachable(FetchError::Busy));
        }
        entry.asked_at.store(now.millis(), Ordering::Release);
        let kept = Arc::new(self.ask(place, now).await?);
        entry.kept.store(Some(Arc::clone(&kept)));
        Ok(kept)
    }

    async fn ask(&self, place: &KeyPlace, now: Timestamp) -> Result<Kept, Unread> {
        match place {
            KeyPlace::Inline(_) => Err(Unread::Gone),
            KeyPlace::At(url) => self.ask_at(url, &Policy::strict(), now).await,
            KeyPlace::Named(url) => self.ask_at(url, &Policy::trusted(url.host_str()), now).await,
            KeyPlace::Discovered(issuer) => {
                let policy = Policy::trusted(issuer.parsed().host_str());
                let url = self.discover(issuer, &policy).await?;
                self.ask_at(&url, &policy, now).await
            }
        }
    }

    async fn ask_at(&self, url: &Url, policy: &Policy, now: Timestamp) -> Result<Kept, Unread> {
        let document = self.document(url, policy).await?;
        let keys = KeySet::parse(&document.body).map_err(|_| Unread::Gone)?;
        let fresh_until = now.plus(document.cache_for.unwrap_or(COOL_DOWN));
        Ok(Kept { keys, read_at: now, fresh_until })
    }

    /// `jwks_uri` of an issuer's metadata, which has to be the issuer's own (OpenID Connect Discovery §4.3, RFC 8414 §3.3).
    async fn discover(&self, issuer: &Issuer, policy: &Policy) -> Result<Url, Unread> {
        let mut missing = Unread::Gone;
        for url in well_known::issuer_urls(issuer.as_str()) {
            let Ok(url) = url.parse() else { continue };
            match self.document(&url, policy).await {
                Ok(document) => {
                    let found = endpoint_of(issuer.as_str(), &document.body, "jwks_uri");
                    return found.ok_or(Unread::Gone);
                }
                Err(error) => missing = error,
            }
        }
        Err(missing)
    }

    async fn document(&self, url: &Url, policy: &Policy) -> Result<Document, Unread> {
        match self.fetch.get_document_again(url, policy).await {
            Ok(document) if document.is_json() => Ok(document),
            Ok(_) | Err(FetchError::Status(404 | 410)) => Err(Unread::Gone),
            Err(error) if error.is_forbidden() => Err(Unread::Gone),
            Err(error) => Err(Unread::Unreachable(error)),
        }
    }
}
