//! Requests against real local servers that misbehave.
use super::*;
use crate::tls::Distrust;
use futures_util::future::{BoxFuture, join_all};
use hallpass_core::time::Timestamp;
use rustls::pki_types::{PrivateKeyDer, pem::PemObject};
use std::{
    io::{self, Read, Write},
    net::IpAddr,
    sync::{
        Mutex,
        atomic::{AtomicI64, AtomicUsize, Ordering::SeqCst},
    },
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use url::Url;

/// Stands still until it is pushed.
struct ManualClock(AtomicI64);

impl ManualClock {
    fn push(&self, seconds: i64) {
        self.0.fetch_add(seconds * 1000, SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(SeqCst))
    }
}

/// Answers every name with the same addresses and counts the questions.
#[derive(Default)]
struct FixedLookup {
    answer: Mutex<Vec<IpAddr>>,
    asked: AtomicUsize,
}

impl FixedLookup {
    fn to(addresses: &[&str]) -> Arc<Self> {
        let answer = addresses.iter().map(|text| text.parse().unwrap()).collect();
        Arc::new(Self { answer: Mutex::new(answer), asked: AtomicUsize::new(0) })
    }
}

impl Lookup for FixedLookup {
    fn lookup(&self, _host: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        self.asked.fetch_add(1, SeqCst);
        let answer = self.answer.lock().unwrap().clone();
        Box::pin(async move { Ok(answer) })
    }
}

fn private() -> Settings {
    Settings {
        private_hosts: vec!["dev.internal".into()],
        lookup: FixedLookup::to(&["127.0.0.1"]),
        ..Settings::default()
    }
}

/// A server that hands each connection, after the head of its request, to `answer`.
async fn serve<F, R>(answer: F) -> (u16, Arc<Mutex<Vec<String>>>)
where
    F: Fn(TcpStream, usize) -> R + Send + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let heads = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&heads);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                match stream.read_u8().await {
                    Ok(byte) => head.push(byte),
                    Err(_) => break,
                }
            }
            let count = {
                let mut seen = seen.lock().unwrap();
                seen.push(String::from_utf8(head).unwrap());
                seen.len()
            };
            tokio::spawn(answer(stream, count));
        }
    });
    (port, heads)
}

/// A server with one canned answer for each request in turn; the last one repeats.
async fn canned(answers: Vec<String>) -> (u16, Arc<Mutex<Vec<String>>>) {
    serve(move |mut stream, count| {
        let answer = answers[count.min(answers.len()) - 1].clone();
        async move {
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    })
    .await
}

fn ok(headers: &str, body: &str) -> String {
    let length = body.len();
    format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}\r\n{body}")
}

fn url(port: u16) -> Url {
    format!("http://dev.internal:{port}/doc").parse().unwrap()
}

async fn get(fetch: &Fetch, port: u16, limits: Limits) -> Result<Bytes, FetchError> {
    let request = http::Request::get(url(port).as_str()).body(Bytes::new()).unwrap();
    fetch.send(request, &Policy::strict(), limits).await.map(http::Response::into_body)
}

const SHORT: Limits = Limits { body: 1000, total: Duration::from_millis(300) };

#[tokio::test]
async fn as_046_redirects_are_not_followed() {
    let (target, hits) = canned(vec![ok("", "secret")]).await;
    for status in [301, 302, 303, 307, 308] {
        let line = format!(
            "HTTP/1.1 {status} x\r\nlocation: http://dev.internal:{target}/\r\ncontent-length: 0\r\n\r\n"
        );
        let (port, _) = canned(vec![line]).await;
        let fetch = Fetch::new(private()).unwrap();
        let outcome = fetch.get_document(&url(port), &Policy::strict()).await;
        assert_eq!(outcome, Err(FetchError::Status(status)));
    }
    assert!(hits.lock().unwrap().is_empty());
}

#[tokio::test]
async fn as_046_only_200_is_a_document() {
    for status in [201, 202, 204, 206, 304, 400, 403, 404, 410, 500, 503] {
        let (port, _) = canned(vec![format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\n\r\n")]).await;
        let fetch = Fetch::new(private()).unwrap();
        let outcome = fetch.get_document(&url(port), &Policy::strict()).await;
        assert_eq!(outcome, Err(FetchError::Status(status)));
    }
}

#[tokio::test]
async fn as_050_names_that_lead_inside_are_refused_without_a_connection() {
    let (port, hits) = canned(vec![ok("", "inside")]).await;
    for answer in
        [&["127.0.0.1"][..], &["::ffff:127.0.0.1"], &["10.0.0.1"], &["1.1.1.1", "127.0.0.1"], &["fd00::1"]]
    {
        let lookup = FixedLookup::to(answer);
        let fetch = Fetch::new(Settings { lookup, ..Settings::default() }).unwrap();
        let url = format!("https://innocent.example:{port}/").parse().unwrap();
        let outcome = fetch.get_document(&url, &Policy::strict()).await;
        assert_eq!(outcome, Err(FetchError::ForbiddenAddress), "{answer:?}");
    }
    assert!(hits.lock().unwrap().is_empty());
}

#[tokio::test]
async fn as_050_the_connection_goes_to_the_address_that_was_checked() {
    // The name exists nowhere: only the one checked answer can have led to this server.
    let (port, _) = canned(vec![ok("", "here")]).await;
    let lookup = FixedLookup::to(&["127.0.0.1"]);
    let fetch = Fetch::new(Settings { lookup: lookup.clone(), ..private() }).unwrap();
    assert_eq!(get(&fetch, port, SHORT).await.unwrap(), "here");
    assert_eq!(lookup.asked.load(SeqCst), 1);
    // The next connection asks again, and what was fine before is refused now (rebinding).
    *lookup.answer.lock().unwrap() = vec!["192.168.0.1".parse().unwrap()];
    assert_eq!(get(&fetch, port, SHORT).await, Err(FetchError::ForbiddenAddress));
    assert_eq!(lookup.asked.load(SeqCst), 2);
}

#[tokio::test]
async fn as_050_literals_never_reach_the_client() {
    let (port, hits) = canned(vec![ok("", "inside")]).await;
    let fetch = Fetch::new(Settings::default()).unwrap();
    for host in ["127.0.0.1", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]", "localhost"] {
        for scheme in ["http", "https"] {
            let request =
                http::Request::get(format!("{scheme}://{host}:{port}/")).body(Bytes::new()).unwrap();
            let outcome = fetch.send(request, &Policy::strict(), SHORT).await;
            assert!(outcome.unwrap_err().is_forbidden(), "{scheme} {host}");
        }
    }
    assert!(hits.lock().unwrap().is_empty());
}

#[tokio::test]
async fn as_051_endless_body_is_cut_at_the_limit() {
    let sent = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&sent);
    let (port, _) = serve(move |mut stream, _| {
        let count = Arc::clone(&count);
        async move {
            stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await.unwrap();
            while stream.write_all(b"400\r\n").await.is_ok()
                && stream.write_all(&[b'x'; 0x400]).await.is_ok()
                && stream.write_all(b"\r\n").await.is_ok()
            {
                count.fetch_add(0x400, SeqCst);
            }
        }
    })
    .await;
    let fetch = Fetch::new(private()).unwrap();
    let limits = Limits { body: 10_000, total: Duration::from_secs(5) };
    assert_eq!(get(&fetch, port, limits).await, Err(FetchError::TooLarge));
    // The connection is dropped: the server runs into an error instead of sending for ever.
    tokio::time::sleep(Duration::from_millis(200)).await;
    let stopped = sent.load(SeqCst);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(sent.load(SeqCst), stopped);
}

#[tokio::test]
async fn as_051_slow_bodies_and_heads_end_with_the_total_time() {
    let (slow_body, _) = serve(|mut stream, _| async move {
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n").await.unwrap();
        // Each byte comes in time; all of them do not.
        while stream.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    let (silent, _) = serve(|stream, _| async move {
        tokio::time::sleep(Duration::from_mins(1)).await;
        drop(stream);
    })
    .await;
    let fetch = Fetch::new(private()).unwrap();
    for port in [slow_body, silent] {
        let start = Instant::now();
        assert_eq!(get(&fetch, port, SHORT).await, Err(FetchError::Timeout));
        assert!(start.elapsed() < Duration::from_secs(2));
    }
}

#[tokio::test]
async fn as_051_content_length_lies() {
    let (huge, _) = serve(|mut stream, _| async move {
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\nx").await.unwrap();
        tokio::time::sleep(Duration::from_mins(1)).await;
    })
    .await;
    let (short, _) = canned(vec!["HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{}".into()]).await;
    let fetch = Fetch::new(private()).unwrap();
    assert_eq!(get(&fetch, huge, SHORT).await, Err(FetchError::TooLarge));
    assert_eq!(get(&fetch, short, SHORT).await, Err(FetchError::Interrupted));
}

#[tokio::test]
async fn as_051_gzip_is_neither_asked_for_nor_decoded() {
    let (port, heads) = canned(vec![ok("content-encoding: gzip\r\n", "\u{1f}\u{b}not really")]).await;
    let fetch = Fetch::new(private()).unwrap();
    assert_eq!(get(&fetch, port, SHORT).await.unwrap(), "\u{1f}\u{b}not really");
    let head = heads.lock().unwrap()[0].to_ascii_lowercase();
    assert!(!head.contains("accept-encoding") && !head.contains("referer") && !head.contains("cookie"));
    assert!(head.contains("user-agent: hallpass/"));
}

#[tokio::test]
async fn as_051_t_54_requests_to_one_host_are_bounded() {
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let peak = Arc::clone(&most);
    let (port, heads) = serve(move |mut stream, _| {
        let (now, most) = (Arc::clone(&now), Arc::clone(&most));
        async move {
            most.fetch_max(now.fetch_add(1, SeqCst) + 1, SeqCst);
            tokio::time::sleep(Duration::from_millis(5)).await;
            now.fetch_sub(1, SeqCst);
            let _ = stream.write_all(ok("", "{}").as_bytes()).await;
        }
    })
    .await;
    let fetch = Fetch::new(private()).unwrap();
    let urls: Vec<Url> = (0..200).map(|n| url(port).join(&n.to_string()).unwrap()).collect();
    let policy = Policy::strict();
    let outcomes = join_all(urls.iter().map(|url| fetch.get_document(url, &policy))).await;
    let busy = outcomes.iter().filter(|outcome| **outcome == Err(FetchError::Busy)).count();
    assert!(peak.load(SeqCst) <= 4, "{}", peak.load(SeqCst));
    assert_eq!(heads.lock().unwrap().len() + busy, 200);
    assert!(busy >= 100, "{busy}");
}

#[tokio::test]
async fn as_052_documents_are_kept_and_revalidated() {
    let second = "HTTP/1.1 304 x\r\nconnection: close\r\ncache-control: max-age=7200\r\n\r\n".to_owned();
    let first = ok("etag: \"1\"\r\ncache-control: max-age=3600\r\n", "one");
    let (port, heads) = canned(vec![first, second, ok("", "two")]).await;
    let clock = Arc::new(ManualClock(AtomicI64::new(1_000_000_000)));
    let fetch = Fetch::new(Settings { clock: clock.clone(), ..private() }).unwrap();
    let policy = Policy::strict();
    let read = async || fetch.get_document(&url(port), &policy).await.unwrap().body;
    assert_eq!(read().await, "one");
    clock.push(3599);
    assert_eq!(read().await, "one");
    assert_eq!(heads.lock().unwrap().len(), 1);
    clock.push(1);
    assert_eq!(read().await, "one");
    assert!(heads.lock().unwrap()[1].contains("if-none-match: \"1\""));
    clock.push(7199);
    assert_eq!(read().await, "one");
    assert_eq!(heads.lock().unwrap().len(), 2);
    fetch.forget(&url(port), &policy);
    assert_eq!(read().await, "two");
}

#[tokio::test]
async fn as_052_errors_and_no_store_are_not_kept() {
    let error = "HTTP/1.1 500 x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n".to_owned();
    let (port, _) = canned(vec![error, ok("cache-control: no-store\r\n", "one"), ok("", "two")]).await;
    let fetch = Fetch::new(private()).unwrap();
    let policy = Policy::strict();
    assert_eq!(fetch.get_document(&url(port), &policy).await, Err(FetchError::Status(500)));
    let one = fetch.get_document(&url(port), &policy).await.unwrap();
    assert_eq!((&one.body[..], one.cache_for), (&b"one"[..], None));
    assert_eq!(fetch.get_document(&url(port), &policy).await.unwrap().body, "two");
}

#[tokio::test]
async fn as_052_t_54_a_stampede_is_one_request() {
    for status in ["200 OK", "500 x"] {
        let (port, heads) = serve(move |mut stream, _| async move {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let answer =
                format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\ncache-control: no-store\r\n\r\n{{}}");
            let _ = stream.write_all(answer.as_bytes()).await;
        })
        .await;
        let fetch = Fetch::new(private()).unwrap();
        let (url, policy) = (url(port), Policy::strict());
        let outcomes = join_all((0..1000).map(|_| fetch.get_document(&url, &policy))).await;
        assert!(outcomes.iter().all(|outcome| *outcome == outcomes[0]));
        assert_eq!(heads.lock().unwrap().len(), 1);
    }
}

#[tokio::test]
async fn as_052_what_a_trusted_reader_fetched_is_not_kept_for_others() {
    let (port, _) = canned(vec![ok("", "inside")]).await;
    let fetch = Fetch::new(Settings { private_hosts: vec![], ..private() }).unwrap();
    let url = url(port);
    assert!(fetch.get_document(&url, &Policy::trusted(["dev.internal"])).await.is_ok());
    assert!(fetch.get_document(&url, &Policy::strict()).await.unwrap_err().is_forbidden());
}

#[tokio::test]
async fn as_053_failures_are_told_apart() {
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
    let fetch = Fetch::new(private()).unwrap();
    assert_eq!(get(&fetch, closed, SHORT).await, Err(FetchError::Connect));
    let nowhere = Fetch::new(Settings { lookup: FixedLookup::to(&[]), ..private() }).unwrap();
    assert_eq!(get(&nowhere, closed, SHORT).await, Err(FetchError::Dns));
    let (garbage, _) = canned(vec!["hello\r\n\r\n".into()]).await;
    assert_eq!(get(&fetch, garbage, SHORT).await, Err(FetchError::Interrupted));
    assert!(FetchError::Connect.is_transport() && !FetchError::Connect.is_forbidden());
    assert!(FetchError::ForbiddenAddress.is_forbidden() && !FetchError::Status(404).is_transport());
}

#[tokio::test]
async fn streams_give_what_comes_when_it_comes() {
    let (port, _) = serve(|mut stream, _| async move {
        stream.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n").await.unwrap();
        tokio::time::sleep(Duration::from_millis(400)).await;
        stream.write_all(b"2\r\ncd\r\n").await.unwrap();
        tokio::time::sleep(Duration::from_mins(1)).await;
    })
    .await;
    let fetch = Fetch::new(private()).unwrap();
    let request = http::Request::get(url(port).as_str()).body(Bytes::new()).unwrap();
    let idle = Duration::from_millis(800);
    let mut body = fetch.stream(request, &Policy::strict(), SHORT, idle).await.unwrap().into_body();
    assert_eq!(body.chunk().await.unwrap().unwrap(), "ab");
    // Longer than the total time of the head: only silence ends a stream.
    assert_eq!(body.chunk().await.unwrap().unwrap(), "cd");
    assert_eq!(body.chunk().await, Err(FetchError::Timeout));
}

/// Answers one TLS connection for `dev.internal` and tells which name the client asked for.
fn tls_server() -> (u16, std::thread::JoinHandle<Option<String>>) {
    let chain =
        CertificateDer::pem_slice_iter(include_bytes!("fixtures/server.pem")).map(Result::unwrap).collect();
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("fixtures/server.key")).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let thread = std::thread::spawn(move || {
        let (mut tcp, _) = listener.accept().unwrap();
        let mut session = rustls::ServerConnection::new(Arc::new(config)).unwrap();
        let mut stream = rustls::Stream::new(&mut session, &mut tcp);
        let mut buffer = [0; 1024];
        if stream.read(&mut buffer).is_ok() {
            let _ = stream.write_all(ok("", "over tls").as_bytes());
        }
        session.server_name().map(str::to_owned)
    });
    (port, thread)
}

#[tokio::test]
async fn as_050_tls_sees_the_name_and_the_certificate_must_fit() {
    let ca = include_bytes!("fixtures/ca.pem").to_vec();
    let over_tls = async |settings: Settings, host: &str| {
        let (port, thread) = tls_server();
        let fetch = Fetch::new(settings).unwrap();
        let url = format!("https://{host}:{port}/").parse().unwrap();
        let outcome = fetch.get_document(&url, &Policy::strict()).await.map(|document| document.body);
        (outcome, thread.join().unwrap())
    };
    let (outcome, name) =
        over_tls(Settings { extra_ca: vec![ca.clone()], ..private() }, "dev.internal").await;
    assert_eq!((outcome.unwrap(), name.as_deref()), (Bytes::from_static(b"over tls"), Some("dev.internal")));
    // Unknown authority; known authority but another name.
    let (outcome, _) = over_tls(private(), "dev.internal").await;
    assert_eq!(outcome, Err(FetchError::Tls(Distrust::UnknownAuthority)));
    let other = Settings { private_hosts: vec!["other.internal".into()], extra_ca: vec![ca], ..private() };
    let (outcome, _) = over_tls(other, "other.internal").await;
    assert_eq!(outcome, Err(FetchError::Tls(Distrust::Name)));
}

#[test]
fn broken_certificates_are_reported_at_once() {
    for broken in ["", "no pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        let settings = Settings { extra_ca: vec![broken.into()], ..Settings::default() };
        assert_eq!(Fetch::new(settings).unwrap_err(), FetchError::ExtraCertificates, "{broken:?}");
    }
}
