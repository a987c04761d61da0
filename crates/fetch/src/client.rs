//! The requests: one client for each kind of allowed addresses, built on first use.

use crate::{
    Body, FetchError, Policy,
    body::Patience,
    cache::Documents,
    document::Flights,
    policy::{Addresses, admit},
    resolver::{CheckedResolver, Lookup, ResolveError, SystemLookup},
    tls::{self, Authorities, Tls},
};
use bytes::Bytes;
use hallpass_core::time::{Clock, SystemClock};
use reqwest::redirect;
use rustls::{ClientConfig, pki_types::CertificateDer};
use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::time::{Instant, timeout_at};

/// Time for a TCP connection and TLS session.
const CONNECT: Duration = Duration::from_secs(2);

/// What the constructor needs.
pub struct Settings {
    /// Additional certificate authorities, each a PEM text (one certificate or a bundle). They count beside
    /// those of the system.
    pub extra_ca: Vec<Vec<u8>>,
    /// Hosts that may have private addresses, by exact name, whoever names them. Weakens [`Policy::strict`].
    pub private_hosts: Vec<String>,
    /// Sent with every request: firewalls in front of sign-in servers refuse requests without one.
    pub user_agent: String,
    /// Where names are looked up.
    pub lookup: Arc<dyn Lookup>,
    /// What tells whether a kept document is old.
    pub clock: Arc<dyn Clock>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            extra_ca: Vec::new(),
            private_hosts: Vec::new(),
            user_agent: concat!("hallpass/", env!("CARGO_PKG_VERSION")).to_owned(),
            lookup: Arc::new(SystemLookup),
            clock: Arc::new(SystemClock),
        }
    }
}

/// Bounds of one exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the answer's body.
    pub body: u64,
    /// Time for everything, from the look-up of the name to the last byte.
    pub total: Duration,
}

impl Limits {
    /// Metadata, keys, token answers: 64 KiB, 5 s.
    pub const DOCUMENT: Self = Self { body: 64 * 1024, total: Duration::from_secs(5) };
    /// A token request may wait for a slow database on the other side; ours answers within 8 s: 64 KiB, 15 s.
    pub const TOKEN: Self = Self { body: 64 * 1024, total: Duration::from_secs(15) };
}

impl Default for Limits {
    fn default() -> Self {
        Self::DOCUMENT
    }
}

/// Makes outbound requests. Cheap to clone; clones share connections and kept documents.
#[derive(Clone)]
pub struct Fetch(pub(crate) Arc<Inner>);

pub(crate) struct Inner {
    private_hosts: Vec<String>,
    user_agent: String,
    extra_ca: Vec<CertificateDer<'static>>,
    lookup: Arc<dyn Lookup>,
    pub(crate) clock: Arc<dyn Clock>,
    clients: Clients,
    pub(crate) documents: Documents,
    pub(crate) flights: Flights,
}

/// One connection pool for each: a connection that was opened to a private address under one rule must not
/// be found by a request under another.
#[derive(Default)]
struct Clients {
    public: OnceLock<reqwest::Client>,
    any: OnceLock<reqwest::Client>,
    loopback: OnceLock<reqwest::Client>,
    plain: OnceLock<reqwest::Client>,
}

impl fmt::Debug for Fetch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fetch").field("private_hosts", &self.0.private_hosts).finish_non_exhaustive()
    }
}

impl Fetch {
    /// Reads the certificates and builds nothing else: TLS and the system's certificates are loaded at the
    /// first request that needs them.
    ///
    /// # Errors
    /// [`FetchError::ExtraCertificates`].
    pub fn new(settings: Settings) -> Result<Self, FetchError> {
        let mut extra_ca = Vec::new();
        for text in &settings.extra_ca {
            extra_ca.extend(tls::authorities(text).map_err(|_| FetchError::ExtraCertificates)?);
        }
        Ok(Self(Arc::new(Inner {
            private_hosts: settings.private_hosts,
            user_agent: settings.user_agent,
            extra_ca,
            lookup: settings.lookup,
            clock: settings.clock,
            clients: Clients::default(),
            documents: Documents::new(),
            flights: Flights::default(),
        })))
    }

    /// Sends one request and reads the whole answer, whatever its status. Redirects are answers.
    ///
    /// # Errors
    /// Every variant but `Status`.
    pub async fn send(
        &self,
        request: http::Request<Bytes>,
        policy: &Policy,
        limits: Limits,
    ) -> Result<http::Response<Bytes>, FetchError> {
        let until = Instant::now() + limits.total;
        let response = self.start(request, policy, until).await?;
        let (head, response) = split(response);
        let body = Body::new(response, limits.body, Patience::Until(until)).collect().await?;
        Ok(with_head(&head, body))
    }

    /// Sends one request and hands the body over as it comes: for event streams. `limits.total` is the time
    /// until the head of the answer; after it, each piece may take `idle`.
    ///
    /// # Errors
    /// Every variant but `Status`.
    pub async fn stream(
        &self,
        request: http::Request<Bytes>,
        policy: &Policy,
        limits: Limits,
        idle: Duration,
    ) -> Result<http::Response<Body>, FetchError> {
        let response = self.start(request, policy, Instant::now() + limits.total).await?;
        let (head, response) = split(response);
        Ok(with_head(&head, Body::new(response, limits.body, Patience::Idle(idle))))
    }

    async fn start(
        &self,
        request: http::Request<Bytes>,
        policy: &Policy,
        until: Instant,
    ) -> Result<reqwest::Response, FetchError> {
        let request = reqwest::Request::try_from(request).map_err(|_| FetchError::InvalidRequest)?;
        // What is judged is what is sent: the URL as the HTTP client holds it.
        let admitted = admit(request.url(), policy, &self.0.private_hosts)?;
        let client = self.0.client(admitted.addresses, admitted.tls)?;
        match timeout_at(until, client.execute(request)).await {
            Err(_) => Err(FetchError::Timeout),
            Ok(answer) => answer.map_err(|error| reason(&error)),
        }
    }
}

type Head = (http::StatusCode, http::HeaderMap);

fn split(mut response: reqwest::Response) -> (Head, reqwest::Response) {
    let headers = std::mem::take(response.headers_mut());
    ((response.status(), headers), response)
}

fn with_head<B>((status, headers): &Head, body: B) -> http::Response<B> {
    let mut response = http::Response::new(body);
    *response.status_mut() = *status;
    response.headers_mut().clone_from(headers);
    response
}

impl Inner {
    fn client(&self, addresses: Addresses, tls: bool) -> Result<&reqwest::Client, FetchError> {
        let slot = match (addresses, tls) {
            (_, false) => &self.clients.plain,
            (Addresses::Public, true) => &self.clients.public,
            (Addresses::Loopback, true) => &self.clients.loopback,
            (Addresses::Any, true) => &self.clients.any,
        };
        if let Some(client) = slot.get() {
            return Ok(client);
        }
        // Plain http is for this machine only, whatever the caller computed.
        let addresses = if tls { addresses } else { Addresses::Loopback };
        let built = self.build(addresses, tls)?;
        Ok(slot.get_or_init(|| built))
    }

    #[allow(clippy::disallowed_methods, reason = "the one place that builds HTTP clients")]
    fn build(&self, addresses: Addresses, tls: bool) -> Result<reqwest::Client, FetchError> {
        reqwest::Client::builder()
            .tls_backend_preconfigured(self.tls(tls)?)
            .dns_resolver(Arc::new(CheckedResolver { addresses, lookup: Arc::clone(&self.lookup) }))
            .redirect(redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .https_only(tls)
            .referer(false)
            .connect_timeout(CONNECT)
            .pool_idle_timeout(Duration::from_secs(30))
            .pool_max_idle_per_host(4)
            .user_agent(&self.user_agent)
            .build()
            .map_err(|_| FetchError::InvalidRequest)
    }

    fn tls(&self, needed: bool) -> Result<ClientConfig, FetchError> {
        if !needed {
            return Tls::nobody().map_err(|_| FetchError::NoAuthorities);
        }
        let trusted = Tls { authorities: Authorities::System(self.extra_ca.clone()), identity: None };
        trusted.client(&[b"h2", b"http/1.1"]).map_err(|_| FetchError::NoAuthorities)
    }
}

fn reason(error: &reqwest::Error) -> FetchError {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(cause) = source {
        if let Some(resolve) = cause.downcast_ref::<ResolveError>() {
            return match resolve {
                ResolveError::Forbidden => FetchError::ForbiddenAddress,
                ResolveError::Unknown => FetchError::Dns,
            };
        }
        if let Some(found) = tls::of_rustls(cause) {
            return FetchError::Tls(tls::judged(found));
        }
        source = cause.source();
    }
    if error.is_timeout() {
        FetchError::Timeout
    } else if error.is_connect() {
        FetchError::Connect
    } else if error.is_builder() || error.is_request() && error.url().is_none() {
        FetchError::InvalidRequest
    } else {
        FetchError::Interrupted
    }
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
