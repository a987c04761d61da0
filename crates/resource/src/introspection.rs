//! Asks an authorization server about tokens that only it can read (RFC 7662).
//!
//! An answer is used for a moment and for one token; a flood of invented tokens is bounded by how many questions may be under
//! way, and a server that does not answer lets nobody in (RS-031, RS-064).

use crate::{
    cache::Fingerprint,
    discovery::{self, NotFound},
    refuse::Reason,
    validate::LEEWAY,
};
use bytes::Bytes;
use hallpass_core::{
    basic,
    jwt::{
        AccessTokenError, Expectations,
        foreign_token::{self, Introspected, IntrospectionError, Style},
    },
    parameters,
    secret::SecretString,
    time::Timestamp,
    uri::{EndpointUrl, Issuer},
};
use hallpass_fetch::{Document, Fetch, FetchError, Limits, Policy};
use http::{HeaderValue, Request, header};
use quick_cache::sync::Cache;
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};
use tokio::sync::Semaphore;
use url::Url;

/// Longest that an answer may be used, whatever is configured.
pub const LONGEST: Duration = Duration::from_mins(1);
/// How long an answer is used by default.
pub const USUAL: Duration = Duration::from_secs(5);
/// How long a token that is not alive is not asked about again.
const REFUSED: Duration = Duration::from_secs(2);
/// How long nothing is asked of a server that did not answer.
const PAUSE: Duration = Duration::from_secs(1);
/// Answers remembered.
const ANSWERS: usize = 2_000;
/// Questions under way; more wait.
const AT_ONCE: usize = 32;
/// Questions that wait; more are refused.
const WAITING: usize = 256;
/// Longest token that is asked about, in bytes.
const LONGEST_TOKEN: usize = 4 * 1024;

/// One server that is asked, shared by all resources that take its tokens.
pub struct Introspector {
    place: Place,
    client_id: String,
    secret: SecretString,
    used_for: Duration,
    fetch: Fetch,
    answers: Cache<[u8; 32], Answer>,
    places: Semaphore,
    waiting: Semaphore,
    /// Until when nothing is asked.
    pausing: AtomicI64,
}

enum Place {
    /// At an address that somebody wrote down.
    At(Url, Policy),
    /// Where its metadata says.
    Discovered(Issuer, Policy),
}

#[derive(Clone)]
struct Answer {
    said: Result<Arc<Introspected>, AccessTokenError>,
    until: Timestamp,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
enum Silent {
    #[error("{0}")]
    Fetch(#[from] FetchError),
    #[error("{0}")]
    Place(#[from] NotFound),
    #[error("the endpoint answered {0}: are client id and secret those that it knows?")]
    Status(u16),
    #[error("the answer is not JSON by its media type")]
    MediaType,
    #[error("{0}")]
    Answer(IntrospectionError),
    #[error("the question cannot be written")]
    Request,
}

impl fmt::Debug for Introspector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Introspector").field("client_id", &self.client_id).finish_non_exhaustive()
    }
}

impl Introspector {
    /// Asks where the metadata of the issuer says, as this client (`client_secret_basic`).
    pub fn discovered(issuer: &Issuer, client_id: &str, secret: SecretString, fetch: Fetch) -> Self {
        let place = Place::Discovered(issuer.clone(), discovery::policy(issuer));
        Self::new(place, client_id, secret, fetch)
    }

    /// Asks at this address.
    pub fn at(endpoint: &EndpointUrl, client_id: &str, secret: SecretString, fetch: Fetch) -> Self {
        let url = endpoint.parsed().clone();
        let policy = Policy::trusted(url.host_str());
        Self::new(Place::At(url, policy), client_id, secret, fetch)
    }

    fn new(place: Place, client_id: &str, secret: SecretString, fetch: Fetch) -> Self {
        Self {
            place,
            client_id: client_id.to_owned(),
            secret,
            used_for: USUAL,
            fetch,
            answers: Cache::new(ANSWERS),
            places: Semaphore::new(AT_ONCE),
            waiting: Semaphore::new(WAITING),
            pausing: AtomicI64::new(0),
        }
    }

    /// Uses an answer for so long, at most [`LONGEST`]. A token that is taken back is good for this time still.
    #[must_use]
    pub fn using_answers_for(self, used_for: Duration) -> Self {
        Self { used_for: used_for.min(LONGEST), ..self }
    }

    /// What the server says of this token, and until when that may be used.
    pub(crate) async fn ask(
        &self,
        issuer: &str,
        token: &str,
        style: &Style<'_>,
        now: Timestamp,
    ) -> Result<(Arc<Introspected>, Timestamp), Reason> {
        if token.len() > LONGEST_TOKEN {
            return Err(Reason::Token(AccessTokenError::Inactive));
        }
        let key = Fingerprint::of(token).bytes();
        if let Some(answer) = self.answers.get(&key) {
            if now < answer.until {
                return answer.outcome();
            }
            self.answers.remove(&key);
        }
        let _waits = self.waiting.try_acquire().map_err(|_| Reason::IntrospectionNotAvailable)?;
        // Whoever brings the same token meanwhile waits for this answer.
        let answer = match self.answers.get_value_or_guard_async(&key).await {
            Ok(answer) => answer,
            Err(guard) => {
                let expected = Expectations { issuer, audiences: &[], now, leeway: LEEWAY };
                let answer = self.answer(token, &expected, style).await.map_err(|silent| {
                    tracing::warn!(issuer, error = %silent, "a token could not be introspected");
                    Reason::IntrospectionNotAvailable
                })?;
                // Fails only where the entry was taken out meanwhile; then the next one asks again.
                let _ = guard.insert(answer.clone());
                answer
            }
        };
        answer.outcome()
    }

    async fn answer(
        &self,
        token: &str,
        expected: &Expectations<'_>,
        style: &Style<'_>,
    ) -> Result<Answer, Silent> {
        let _place = self.places.acquire().await.map_err(|_| FetchError::Busy)?;
        let now = expected.now;
        let pausing = Timestamp::from_millis(self.pausing.load(Ordering::Acquire));
        if now < pausing && pausing <= now.plus(PAUSE) {
            return Err(FetchError::Busy.into());
        }
        let said = match self.question(token).await {
            Ok(body) => foreign_token::introspected(&body, expected, style),
            Err(silent) => {
                self.pausing.store(now.plus(PAUSE).millis(), Ordering::Release);
                return Err(silent);
            }
        };
        Ok(match said {
            Ok(found) => {
                let until = now.plus(self.used_for).min(found.expires_at().plus(LEEWAY));
                Answer { said: Ok(Arc::new(found)), until }
            }
            Err(IntrospectionError::Token(error)) => {
                Answer { said: Err(error), until: now.plus(REFUSED.min(self.used_for)) }
            }
            Err(error @ (IntrospectionError::Json(_) | IntrospectionError::NoVerdict)) => {
                return Err(Silent::Answer(error));
            }
        })
    }

    async fn question(&self, token: &str) -> Result<Bytes, Silent> {
        let (url, policy) = match &self.place {
            Place::At(url, policy) => (url.clone(), policy),
            Place::Discovered(issuer, policy) => {
                let url = discovery::endpoint(&self.fetch, policy, issuer, "introspection_endpoint").await?;
                (url, policy)
            }
        };
        let credentials = basic::written(&self.client_id, &self.secret);
        let mut credentials = HeaderValue::try_from(credentials.expose()).map_err(|_| Silent::Request)?;
        credentials.set_sensitive(true);
        let form = parameters::encode([("token", token), ("token_type_hint", "access_token")]);
        let request = Request::post(url.as_str())
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(header::ACCEPT, "application/json")
            .header(header::AUTHORIZATION, credentials)
            .body(Bytes::from(form))
            .map_err(|_| Silent::Request)?;
        let answer = self.fetch.send(request, policy, Limits::DOCUMENT).await?;
        if answer.status() != http::StatusCode::OK {
            return Err(Silent::Status(answer.status().as_u16()));
        }
        let media_type = answer.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        if !Document::is_json_type(media_type.unwrap_or_default()) {
            return Err(Silent::MediaType);
        }
        Ok(answer.into_body())
    }
}

impl Answer {
    fn outcome(self) -> Result<(Arc<Introspected>, Timestamp), Reason> {
        Ok((self.said?, self.until))
    }
}
