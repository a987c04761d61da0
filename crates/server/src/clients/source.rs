//! Where metadata documents come from: their host, the copy that is kept since the first yes, and for well-known clients
//! our own copy as the last resort.
//!
//! A person is asked by what the host says now. An exchange goes by the copy, and waits for no fetch: the copy is renewed
//! in the background, by the rules of HTTP.

use super::{
    Client, ClientRefusal, Origin, document, known,
    life::{DocumentLife, Standing, standing},
};
use crate::metrics::{DocumentCounts, DocumentOutcome};
use bytes::Bytes;
use hallpass_core::{time::Timestamp, uri::ClientMetadataUrl};
use hallpass_fetch::{Fetch, FetchError, Policy};
use hallpass_store::{Store, StoreError, StoredDocument};
use quick_cache::sync::Cache;
use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

/// Documents whose copies are remembered; the one used longest ago is forgotten first.
const MAX_KNOWN: usize = 1_024;
/// How long a copy is believed without a look at the store: another node may have put a newer one there.
const KNOWN_FOR: Duration = Duration::from_secs(30);
/// How often the host of a copy that is no longer fresh is asked in the background.
const RENEWED_EVERY: Duration = Duration::from_mins(5);

/// Fetches documents, and keeps copies.
pub struct DocumentSource {
    fetch: Fetch,
    store: Arc<dyn Store>,
    known: Cache<String, Known>,
    /// Where documents came from.
    pub counts: DocumentCounts,
}

/// A copy as read from the store, and when.
#[derive(Clone)]
struct Known {
    client: Arc<Client>,
    row: Arc<StoredDocument>,
    read_at: Timestamp,
    /// When this node asked the host last, in the background.
    asked_at: Arc<AtomicI64>,
}

/// What a host said.
enum Said {
    /// A valid document.
    Document(Box<Client>),
    /// That there is none, or a broken one: the owner's word.
    Gone(ClientRefusal),
    /// Nothing that is the owner's word: the way failed, or something in front of the host answered.
    Nothing(FetchError),
    /// Something that is neither.
    Other(FetchError),
}

impl DocumentSource {
    /// With the one door out and the store of the copies.
    pub fn new(fetch: Fetch, store: Arc<dyn Store>) -> Self {
        Self { fetch, store, known: Cache::new(MAX_KNOWN), counts: DocumentCounts::default() }
    }

    /// The client of this document, to ask a person about.
    pub async fn client(
        &self,
        url: ClientMetadataUrl,
        life: DocumentLife,
        now: Timestamp,
    ) -> Result<Client, ClientRefusal> {
        let (from, client) = self.look(&url, life, now).await;
        self.counts.add(if client.is_ok() { from } else { DocumentOutcome::Refused });
        client
    }

    async fn look(
        &self,
        url: &ClientMetadataUrl,
        life: DocumentLife,
        now: Timestamp,
    ) -> (DocumentOutcome, Result<Client, ClientRefusal>) {
        match self.ask(url, false, now).await {
            Said::Document(client) => (DocumentOutcome::Fetched, Ok(*client)),
            Said::Gone(refusal) => {
                let kept = self.gone(url, life, now).await.map_err(|_| ClientRefusal::Unavailable);
                (DocumentOutcome::Refused, kept.and(Err(refusal)))
            }
            Said::Nothing(error) => {
                tracing::warn!(%url, ?error, "client metadata document not fetched, looking for a copy");
                (DocumentOutcome::Copy, self.copy(url, error).await)
            }
            Said::Other(error) => (DocumentOutcome::Refused, Err(ClientRefusal::DocumentUnreachable(error))),
        }
    }

    /// The client of this document by the copy that is kept, for an exchange. A document that no person has said yes to
    /// is nobody's.
    pub async fn kept(
        self: &Arc<Self>,
        url: &str,
        life: DocumentLife,
        now: Timestamp,
    ) -> Result<Arc<Client>, ClientRefusal> {
        let known = match self.known.get(url) {
            Some(known) if now < known.read_at.plus(KNOWN_FOR) => known,
            _ => {
                let row = self.store.document_read(url.to_owned()).await;
                let row = row.map_err(|_| ClientRefusal::Unavailable)?.ok_or(ClientRefusal::Unknown)?;
                self.learn(row, now)?
            }
        };
        self.renew_if_due(&known, life, now);
        match standing(&known.row, life, now) {
            Standing::Good | Standing::Gone => Ok(known.client),
            Standing::Suspended => Err(ClientRefusal::DocumentSuspended),
            Standing::Refused => Err(ClientRefusal::DocumentGone),
        }
    }

    /// Keeps the copy that a person has just said yes to.
    pub async fn keep(&self, client: &Client, now: Timestamp) -> Result<(), StoreError> {
        let Origin::Document { url, body, fresh_until } = &client.origin else { return Ok(()) };
        let row = StoredDocument {
            url: url.as_str().to_owned(),
            body: body.to_vec(),
            checked_at: now,
            fresh_until: *fresh_until,
            gone_since: None,
            suspended_at: None,
        };
        self.store.document_put(row.clone()).await?;
        drop(self.learn(row, now));
        Ok(())
    }

    /// Asks the host; with `again` also where a kept answer is fresh.
    async fn ask(&self, url: &ClientMetadataUrl, again: bool, now: Timestamp) -> Said {
        let policy = Policy::strict();
        let answer = if again {
            self.fetch.get_document_again(url.parsed(), &policy).await
        } else {
            self.fetch.get_document(url.parsed(), &policy).await
        };
        let document = match answer {
            Ok(document) => document,
            Err(FetchError::Status(404 | 410)) => return Said::Gone(ClientRefusal::DocumentGone),
            Err(error) if is_on_the_way(error) => return Said::Nothing(error),
            Err(error) => return Said::Other(error),
        };
        if !document.is_json() {
            self.fetch.forget(url.parsed(), &policy);
            return Said::Nothing(FetchError::Status(200));
        }
        match document::read(url, &document.body) {
            Ok(mut client) => {
                if let Origin::Document { fresh_until, .. } = &mut client.origin {
                    *fresh_until = now.plus(document.cache_for.unwrap_or_default());
                }
                Said::Document(Box::new(client))
            }
            Err(refusal) => {
                self.fetch.forget(url.parsed(), &policy);
                Said::Gone(refusal)
            }
        }
    }

    /// The last good copy, else our own of a well-known client. Neither speaks against its owner.
    async fn copy(&self, url: &ClientMetadataUrl, error: FetchError) -> Result<Client, ClientRefusal> {
        let kept = self.store.document_read(url.as_str().to_owned()).await;
        let body = match kept.map_err(|_| ClientRefusal::Unavailable)? {
            Some(kept) if kept.gone_since.is_some() => return Err(ClientRefusal::DocumentGone),
            Some(kept) => Bytes::from(kept.body),
            None => known::pinned(url.as_str()).ok_or(ClientRefusal::DocumentUnreachable(error))?,
        };
        document::read(url, &body)
    }

    /// Remembers that the owner took the document away or broke it, where anybody's grant depends on it.
    async fn gone(
        &self,
        url: &ClientMetadataUrl,
        life: DocumentLife,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let text = url.as_str().to_owned();
        if self.store.document_read(text.clone()).await?.is_none() {
            return Ok(());
        }
        if let Some(row) = self.store.document_gone(text, now.minus(life.suspended_after), now).await? {
            tracing::warn!(%url, suspended = row.suspended_at.is_some(), "client metadata document is gone or broken");
            drop(self.learn(row, now));
        }
        Ok(())
    }

    fn learn(&self, row: StoredDocument, now: Timestamp) -> Result<Known, ClientRefusal> {
        let url = ClientMetadataUrl::parse(&row.url).map_err(ClientRefusal::DocumentUrl)?;
        let mut client = document::read(&url, &Bytes::from(row.body))?;
        // The text is in the store; a thousand of them would be the memory of a whole node.
        if let Origin::Document { body, .. } = &mut client.origin {
            *body = Bytes::new();
        }
        let (client, row) = (Arc::new(client), StoredDocument { body: Vec::new(), ..row });
        let asked_at = self.known.get(&row.url).map(|known| known.asked_at).unwrap_or_default();
        let known = Known { client, row: Arc::new(row), read_at: now, asked_at };
        self.known.insert(known.row.url.clone(), known.clone());
        Ok(known)
    }

    /// One request of this node every few minutes, whoever asks.
    fn renew_if_due(self: &Arc<Self>, known: &Known, life: DocumentLife, now: Timestamp) {
        if now < known.row.fresh_until {
            return;
        }
        let due = known.asked_at.fetch_update(Ordering::AcqRel, Ordering::Acquire, |asked_at| {
            (now >= Timestamp::from_millis(asked_at).plus(RENEWED_EVERY)).then_some(now.millis())
        });
        let Ok(url) = ClientMetadataUrl::parse(&known.row.url) else { return };
        if due.is_ok() {
            let source = Arc::clone(self);
            tokio::spawn(async move { source.renew(&url, life, now).await });
        }
    }

    async fn renew(&self, url: &ClientMetadataUrl, life: DocumentLife, now: Timestamp) {
        let kept = match self.ask(url, true, now).await {
            Said::Document(client) => self.keep(&client, now).await,
            Said::Gone(_) => self.gone(url, life, now).await,
            Said::Nothing(error) | Said::Other(error) => {
                tracing::info!(%url, ?error, "client metadata document not renewed");
                Ok(())
            }
        };
        if let Err(error) = kept {
            tracing::warn!(%url, ?error, "what was learnt about a client metadata document was not kept");
        }
    }
}

/// Whether the way to the host failed, or something in front of the host answered for it (P28). A redirect is neither:
/// it is never followed, and whoever owns the host can send one.
const fn is_on_the_way(error: FetchError) -> bool {
    error.is_transport()
        || matches!(error, FetchError::Challenged(_) | FetchError::Status(403 | 408 | 425 | 429 | 500..=599))
}
