//! Connections: a bounded pool, TLS, and time limits on the server's side.

use super::{PostgresSettings, failure::away};
use crate::{ErrorKind, StoreError};
use deadpool_postgres::{
    ClientWrapper, Manager, ManagerConfig, Object, Pool, PoolError, RecyclingMethod, Runtime, Timeouts,
};
use rustls::{
    ClientConfig,
    pki_types::{CertificateDer, pem::PemObject},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio_postgres::{
    Config,
    config::{Host, SslMode, TargetSessionAttrs},
};
use tokio_postgres_rustls::MakeRustlsConnect;

const CONNECT: Duration = Duration::from_secs(3);

/// What the server ends by itself, should we hang: none of our statements takes long, and a lock that is held for
/// seconds is held by somebody who hangs.
const SERVER_LIMITS: &str =
    "-c statement_timeout=7000 -c lock_timeout=5000 -c idle_in_transaction_session_timeout=15000";

/// The connections of one node.
pub(super) struct Connections {
    pool: Pool,
    waiting: AtomicUsize,
    queue_limit: usize,
}

impl Connections {
    /// Reads the settings; nothing is connected yet.
    pub fn new(settings: &PostgresSettings) -> Result<Self, StoreError> {
        let config = config(settings)?;
        let tls = MakeRustlsConnect::new(tls(settings)?);
        let manager = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let pool = Pool::builder(Manager::from_config(config, tls, manager))
            .max_size(settings.connections.max(1))
            .runtime(Runtime::Tokio1)
            .timeouts(Timeouts { wait: None, create: Some(CONNECT), recycle: Some(CONNECT) })
            .build()
            .map_err(|error| StoreError::caused_by(ErrorKind::Internal, error))?;
        Ok(Self { pool, waiting: AtomicUsize::new(0), queue_limit: settings.queue_limit })
    }

    /// A connection of one's own. Too many who wait for one: busy at once.
    pub async fn get(&self) -> Result<Held, StoreError> {
        let _place = Waiting::take(&self.waiting, self.queue_limit)?;
        match self.pool.get().await {
            Ok(object) => Ok(Held { object: Some(object) }),
            Err(PoolError::Backend(error)) if error.code().is_some() => Err(error.into()),
            Err(PoolError::Backend(error)) => {
                let cause =
                    std::error::Error::source(&error).map_or_else(String::new, |cause| format!(": {cause}"));
                Err(away(format!("the database server cannot be reached ({error}{cause})")))
            }
            Err(PoolError::Closed) => {
                Err(StoreError::caused_by(ErrorKind::Busy, "the store is shutting down"))
            }
            Err(PoolError::Timeout(_) | PoolError::NoRuntimeSpecified | PoolError::PostCreateHook(_)) => {
                Err(away("the database server did not answer in time".to_owned()))
            }
        }
    }

    /// Operations that wait for a connection or are being given one.
    pub fn waiting(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Hands out no more.
    pub fn close(&self) {
        self.pool.close();
    }
}

/// One who waits, counted.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn take(count: &'a AtomicUsize, limit: usize) -> Result<Self, StoreError> {
        let place = Self(count);
        if count.fetch_add(1, Ordering::Relaxed) >= limit {
            return Err(StoreError::caused_by(ErrorKind::Busy, "too many operations wait for the database"));
        }
        Ok(place)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A connection that goes back to the pool only when it is said to be good.
pub(super) struct Held {
    object: Option<Object>,
}

impl Held {
    /// The connection.
    pub fn client(&self) -> Result<&ClientWrapper, StoreError> {
        self.object.as_deref().ok_or_else(|| StoreError::new(ErrorKind::Internal))
    }

    /// It is in order: back to the pool with it.
    pub fn keep(&mut self) {
        drop(self.object.take());
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        // Also when the caller left in the middle: half a transaction must not meet the next one.
        if let Some(object) = self.object.take() {
            drop(Object::take(object));
        }
    }
}

/// What a URL says of the way to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TLS with a verified certificate, or this very machine.
    Guarded,
    /// In the open to another machine, because the URL says so.
    Open,
}

/// Looks at the URL of the settings before anything is connected.
///
/// # Errors
/// A sentence without anything of the URL.
pub fn check_url(settings: &PostgresSettings) -> Result<Transport, &'static str> {
    let config = read(settings)?;
    let open = config.get_ssl_mode() == SslMode::Disable && !config.get_hosts().iter().all(is_here);
    Ok(if open { Transport::Open } else { Transport::Guarded })
}

fn config(settings: &PostgresSettings) -> Result<Config, StoreError> {
    read(settings).map_err(|what| StoreError::caused_by(ErrorKind::Unavailable, what))
}

fn read(settings: &PostgresSettings) -> Result<Config, &'static str> {
    let mut config: Config =
        settings.url.expose().parse().map_err(
            |_| "the database URL cannot be read: write postgres://user:password@host:5432/database",
        )?;
    if config.get_hosts().is_empty() {
        return Err("the database URL names no host");
    }
    if config.get_dbname().is_none() {
        return Err(
            "the database URL names no database: write it behind the host, as in postgres://host/hallpass",
        );
    }
    if config.get_ssl_mode() == SslMode::Prefer && !config.get_hosts().iter().all(is_here) {
        config.ssl_mode(SslMode::Require);
    }
    let options = match config.get_options() {
        Some(given) => format!("{SERVER_LIMITS} {given}"),
        None => SERVER_LIMITS.to_owned(),
    };
    config
        .options(options)
        // Whoever brings the schema up to date sees by it who is still there.
        .application_name(format!("hallpass/{}", settings.schema.newest()))
        .connect_timeout(CONNECT)
        .target_session_attrs(TargetSessionAttrs::ReadWrite);
    Ok(config)
}

/// A socket of this machine.
fn is_here(host: &Host) -> bool {
    match host {
        Host::Tcp(name) => {
            name == "localhost" || name.parse().is_ok_and(|address: std::net::IpAddr| address.is_loopback())
        }
        #[cfg(unix)]
        Host::Unix(_) => true,
    }
}

/// Certificates of the system and those of the settings, as for every other outbound connection.
fn tls(settings: &PostgresSettings) -> Result<ClientConfig, StoreError> {
    let wrong = || StoreError::caused_by(ErrorKind::Unavailable, "a certificate authority cannot be read");
    let mut roots = Vec::new();
    for text in &settings.extra_ca {
        for certificate in CertificateDer::pem_slice_iter(text) {
            roots.push(certificate.map_err(|_| wrong())?);
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = rustls_platform_verifier::Verifier::new_with_extra_roots(roots, Arc::clone(&provider))
        .map_err(|_| wrong())?;
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|_| wrong())?;
    Ok(builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth())
}

#[cfg(test)]
mod tests {
    use super::*;
    use hallpass_core::secret::SecretString;

    fn read(url: &str) -> Result<Config, &'static str> {
        super::read(&PostgresSettings::new(SecretString::new(url)))
    }

    #[test]
    fn tls_is_a_must_for_another_machine_unless_it_is_written_otherwise() {
        let mode = |url: &str| read(url).unwrap().get_ssl_mode();
        assert_eq!(mode("postgres://db.example/hallpass"), SslMode::Require);
        assert_eq!(mode("postgres://db.example/hallpass?sslmode=prefer"), SslMode::Require);
        assert_eq!(mode("postgres://db.example/hallpass?sslmode=disable"), SslMode::Disable);
        assert_eq!(mode("postgres://127.0.0.1/hallpass"), SslMode::Prefer);
        assert_eq!(mode("host=/run/postgresql dbname=hallpass"), SslMode::Prefer);
        assert_eq!(mode("postgres://127.0.0.1,db.example/hallpass"), SslMode::Require);
        let way = |url: &str| check_url(&PostgresSettings::new(SecretString::new(url))).unwrap();
        assert_eq!(way("postgres://db.example/hallpass?sslmode=disable"), Transport::Open);
        assert_eq!(way("postgres://127.0.0.1/hallpass?sslmode=disable"), Transport::Guarded);
        assert_eq!(way("postgres://db.example/hallpass"), Transport::Guarded);
    }

    #[test]
    fn what_is_wrong_with_a_url_is_said_without_its_password() {
        for (url, said) in [
            ("postgres://user:canary@host:x/db", "cannot be read"),
            ("postgres:///db?user=u&password=canary", "names no host"),
            ("postgres://user:canary@host", "names no database"),
        ] {
            let text = read(url).unwrap_err();
            assert!(text.contains(said) && !text.contains("canary"), "{text}");
        }
        let settings = PostgresSettings::new(SecretString::new("postgres://u:canary@h/d"));
        assert!(!format!("{settings:?}").contains("canary"));
    }

    #[test]
    fn only_the_primary_will_do() {
        let config = read("postgres://localhost/db").unwrap();
        assert_eq!(config.get_target_session_attrs(), TargetSessionAttrs::ReadWrite);
        assert!(config.get_options().unwrap().contains("statement_timeout"));
    }
}
