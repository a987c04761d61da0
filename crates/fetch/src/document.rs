//! Documents: fetched once for everybody who wants them at the same moment, and kept as HTTP says.

use crate::{
    Fetch, FetchError, Limits, Policy,
    cache::{Kept, Key, keep_for},
};
use bytes::Bytes;
use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared, WeakShared},
};
use http::header;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::Semaphore;
use url::Url;

/// Requests under way to one host, so that strangers cannot aim us at it (T-54); more wait.
const PER_HOST: usize = 4;
/// Requests that wait for one host; more are refused.
const WAITING_PER_HOST: usize = 64;
/// Requests under way at all.
const AT_ALL: usize = 32;

/// A document that was answered with status 200.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// The media type as sent, or empty.
    pub content_type: String,
    /// The bytes as sent, at most 64 KiB.
    pub body: Bytes,
    /// The validator, for a later conditional request.
    pub etag: Option<String>,
    /// For how long HTTP allows to keep it, within our bounds; `None`: not at all.
    pub cache_for: Option<Duration>,
}

impl Document {
    /// Whether the media type is `application/json` or `application/*+json`, parameters aside.
    pub fn is_json(&self) -> bool {
        Self::is_json_type(&self.content_type)
    }

    /// The same of a media type as sent.
    pub fn is_json_type(content_type: &str) -> bool {
        let media_type = content_type.split(';').next().unwrap_or("").trim().to_ascii_lowercase();
        media_type.strip_prefix("application/").is_some_and(|kind| kind == "json" || kind.ends_with("+json"))
    }
}

type Outcome = Result<Document, FetchError>;
type Flight = BoxFuture<'static, Outcome>;

/// Fetches under way, and how many may be.
pub(crate) struct Flights {
    by_key: Mutex<HashMap<Key, WeakShared<Flight>>>,
    by_host: Mutex<HashMap<String, Arc<Semaphore>>>,
    all: Semaphore,
}

impl Default for Flights {
    fn default() -> Self {
        Self { by_key: Mutex::default(), by_host: Mutex::default(), all: Semaphore::new(AT_ALL) }
    }
}

impl Fetch {
    /// The document at exactly this URL: a kept copy while it is fresh, else fetched (with `If-None-Match`
    /// where there is an old copy). Callers at the same moment share one request. Only status 200 counts,
    /// and errors are never kept. A caller who finds the content invalid calls [`Fetch::forget`].
    ///
    /// # Errors
    /// Every variant; `Status` or `Challenged` for any status but 200, redirects included.
    pub async fn get_document(&self, url: &Url, policy: &Policy) -> Outcome {
        let key = Key { url: url.as_str().to_owned(), policy: policy.key() };
        let now = self.0.clock.now();
        if let Some(kept) = self.0.documents.find(&key).filter(|kept| now < kept.until) {
            return Ok(kept.document);
        }
        self.flight(key, url, policy).await
    }

    /// The document as it is now, whatever is kept: for a caller who has a reason to think that it changed.
    ///
    /// # Errors
    /// As [`Fetch::get_document`].
    pub async fn get_document_again(&self, url: &Url, policy: &Policy) -> Outcome {
        let key = Key { url: url.as_str().to_owned(), policy: policy.key() };
        self.flight(key, url, policy).await
    }

    /// Keeps no copy of this document any longer.
    pub fn forget(&self, url: &Url, policy: &Policy) {
        self.0.documents.forget(&Key { url: url.as_str().to_owned(), policy: policy.key() });
    }

    fn flight(&self, key: Key, url: &Url, policy: &Policy) -> Shared<Flight> {
        let mut flights = self.0.flights.by_key.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(under_way) = flights.get(&key).and_then(WeakShared::upgrade) {
            return under_way;
        }
        // Flights that all callers left are dead entries; the map never holds more than are under way.
        flights.retain(|_, flight| flight.upgrade().is_some());
        let (fetch, url, policy, mine) = (self.clone(), url.clone(), policy.clone(), key.clone());
        let flight = async move {
            let outcome = fetch.fetch_document(&mine, &url, &policy).await;
            fetch.0.flights.by_key.lock().unwrap_or_else(PoisonError::into_inner).remove(&mine);
            outcome
        };
        let flight = flight.boxed().shared();
        if let Some(weak) = flight.downgrade() {
            flights.insert(key, weak);
        }
        flight
    }

    async fn fetch_document(&self, key: &Key, url: &Url, policy: &Policy) -> Outcome {
        let host = url.host_str().unwrap_or_default().to_owned();
        let work = self.within_limits(host, self.conditional_get(key, url, policy));
        let total = Limits::DOCUMENT.total;
        tokio::time::timeout(total, work).await.unwrap_or(Err(FetchError::Timeout))
    }

    async fn conditional_get(&self, key: &Key, url: &Url, policy: &Policy) -> Outcome {
        let old = self.0.documents.find(key);
        let mut request = http::Request::get(url.as_str()).header(header::ACCEPT, "application/json");
        if let Some(etag) = old.as_ref().and_then(|kept| kept.document.etag.as_deref()) {
            request = request.header(header::IF_NONE_MATCH, etag);
        }
        let request = request.body(Bytes::new()).map_err(|_| FetchError::InvalidRequest)?;
        let answer = self.send(request, policy, Limits::DOCUMENT).await?;
        let now = self.0.clock.now();
        let cache_for = keep_for(answer.headers(), now);
        let text = |name| answer.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let document = match (answer.status().as_u16(), old) {
            (200, _) => Document {
                content_type: text(header::CONTENT_TYPE).unwrap_or_default(),
                etag: text(header::ETAG),
                body: answer.into_body(),
                cache_for,
            },
            (304, Some(kept)) => Document { cache_for, ..kept.document },
            // The header's value is not of ours to show: that it is there says enough.
            (status, _) if answer.headers().contains_key("cf-mitigated") => {
                return Err(FetchError::Challenged(status));
            }
            (status, _) => return Err(FetchError::Status(status)),
        };
        match document.cache_for {
            Some(time) => {
                let until = now.plus(time);
                self.0.documents.keep(key.clone(), Kept { document: document.clone(), until });
            }
            None => self.0.documents.forget(key),
        }
        Ok(document)
    }

    /// Waits for a place at this host and at all.
    async fn within_limits(&self, host: String, work: impl Future<Output = Outcome>) -> Outcome {
        let places = {
            let mut hosts = self.0.flights.by_host.lock().unwrap_or_else(PoisonError::into_inner);
            hosts.retain(|_, places| Arc::strong_count(places) > 1);
            let places = hosts.entry(host).or_insert_with(|| Arc::new(Semaphore::new(PER_HOST)));
            if Arc::strong_count(places) > PER_HOST + WAITING_PER_HOST {
                return Err(FetchError::Busy);
            }
            Arc::clone(places)
        };
        let _at_host = places.acquire().await.map_err(|_| FetchError::Busy)?;
        let _at_all = self.0.flights.all.acquire().await.map_err(|_| FetchError::Busy)?;
        work.await
    }
}
