//! An https server that publishes client metadata documents and keys, with a name, a certificate and a resolver of
//! its own, so that a test fetches through the real client and nothing leaves this machine.

use hallpass_core::time::Clock;
use hallpass_fetch::{Fetch, Settings, resolver::Lookup};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use std::{
    collections::HashMap,
    future::Future,
    io,
    net::IpAddr,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

const NAME: &str = "dev.internal";
/// A status that means: no answer.
const STALLED: u16 = 0;

#[derive(Clone, Debug)]
struct Canned {
    status: u16,
    headers: String,
    body: String,
}

#[derive(Debug, Default)]
struct Shared {
    answers: Mutex<HashMap<String, Canned>>,
    requests: Mutex<HashMap<String, usize>>,
    lookups: AtomicUsize,
}

/// The server. It ends with the test's runtime.
#[derive(Clone, Debug)]
pub struct DocumentHost {
    port: u16,
    shared: Arc<Shared>,
}

impl DocumentHost {
    /// Starts one on a free port.
    ///
    /// # Errors
    /// Where the machine has no port to give, or the certificate cannot be read.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let host = Self { port: listener.local_addr()?.port(), shared: Arc::default() };
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(tls()?));
        let shared = Arc::clone(&host.shared);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(acceptor.clone(), stream, Arc::clone(&shared)));
            }
        });
        Ok(host)
    }

    /// The URL of a path here.
    pub fn url(&self, path: &str) -> String {
        format!("https://{NAME}:{}{path}", self.port)
    }

    /// Publishes JSON at a path, to be kept for five minutes.
    pub fn publish(&self, path: &str, body: &str) {
        self.answer(path, 200, "content-type: application/json\r\ncache-control: max-age=300\r\n", body);
    }

    /// Publishes any answer at a path; each line of `headers` ends with CRLF.
    pub fn answer(&self, path: &str, status: u16, headers: &str, body: &str) {
        let canned = Canned { status, headers: headers.to_owned(), body: body.to_owned() };
        lock(&self.shared.answers).insert(path.to_owned(), canned);
    }

    /// Takes requests for a path and never answers them.
    pub fn stall(&self, path: &str) {
        self.answer(path, STALLED, "", "");
    }

    /// Requests for a path so far.
    pub fn requests(&self, path: &str) -> usize {
        lock(&self.shared.requests).get(path).copied().unwrap_or(0)
    }

    /// Questions to the resolver so far, for whatever name.
    pub fn lookups(&self) -> usize {
        self.shared.lookups.load(Ordering::SeqCst)
    }

    /// Outbound requests that reach this host and no other: every other name has no address.
    pub fn fetch(&self, clock: Arc<dyn Clock>) -> Option<Fetch> {
        let settings = Settings {
            extra_ca: vec![include_bytes!("../../fetch/src/fixtures/ca.pem").to_vec()],
            private_hosts: vec![NAME.to_owned()],
            lookup: Arc::new(OnlyThis(Arc::clone(&self.shared))),
            clock,
            ..Settings::default()
        };
        Fetch::new(settings).ok()
    }
}

struct OnlyThis(Arc<Shared>);

impl Lookup for OnlyThis {
    fn lookup(
        &self,
        host: String,
    ) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send + 'static>> {
        self.0.lookups.fetch_add(1, Ordering::SeqCst);
        let known = host == NAME;
        Box::pin(async move {
            if known { Ok(vec![IpAddr::from([127, 0, 0, 1])]) } else { Err(io::ErrorKind::NotFound.into()) }
        })
    }
}

fn tls() -> io::Result<rustls::ServerConfig> {
    let wrong = |_| io::Error::from(io::ErrorKind::InvalidData);
    let chain = CertificateDer::pem_slice_iter(include_bytes!("../../fetch/src/fixtures/server.pem"));
    let chain = chain.collect::<Result<Vec<_>, _>>().map_err(|_| io::ErrorKind::InvalidData)?;
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("../../fetch/src/fixtures/server.key"));
    let key = key.map_err(|_| io::ErrorKind::InvalidData)?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = rustls::ServerConfig::builder_with_provider(provider);
    let builder = builder.with_safe_default_protocol_versions().map_err(wrong)?;
    builder.with_no_client_auth().with_single_cert(chain, key).map_err(wrong)
}

async fn serve(acceptor: tokio_rustls::TlsAcceptor, stream: TcpStream, shared: Arc<Shared>) {
    let Ok(mut stream) = acceptor.accept(stream).await else { return };
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return,
        }
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
    *lock(&shared.requests).entry(path.clone()).or_default() += 1;
    let missing = Canned { status: 404, headers: String::new(), body: String::new() };
    let canned = lock(&shared.answers).get(&path).cloned().unwrap_or(missing);
    let Canned { status, headers, body } = canned;
    if status == STALLED {
        return std::future::pending().await;
    }
    let answer = format!(
        "HTTP/1.1 {status} X\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n{body}",
        body.len()
    );
    let _ = stream.write_all(answer.as_bytes()).await;
    let _ = stream.shutdown().await;
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
