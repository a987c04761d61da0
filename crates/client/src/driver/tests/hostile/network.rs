//! A network that records: one honest host with a certificate, whose documents a case changes; every name that is looked up;
//! and traps on this machine, to which no case may lead.

use super::documents::{Asked, Case, TRAPS};
use hallpass_fetch::{Fetch, Settings, resolver::Lookup};
use rustls::{
    ServerConfig, ServerConnection, StreamOwned,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};
use std::{
    collections::BTreeSet,
    future::Future,
    io::{self, Read, Write},
    net::{IpAddr, Ipv4Addr, TcpListener, TcpStream},
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    thread,
};

pub(super) const HOST: &str = "dev.internal";

type Names = Arc<Mutex<BTreeSet<String>>>;

pub(super) struct Network {
    pub(super) port: u16,
    names: Names,
    trapped: Arc<AtomicU32>,
}

/// Every name leads here; which may be asked is for the client to say.
struct Recording(Names);

impl Lookup for Recording {
    fn lookup(&self, host: String) -> Pin<Box<dyn Future<Output = io::Result<Vec<IpAddr>>> + Send>> {
        self.0.lock().unwrap().insert(host);
        Box::pin(std::future::ready(Ok(vec![Ipv4Addr::LOCALHOST.into()])))
    }
}

impl Network {
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let config = Arc::new(server_config());
        thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let config = Arc::clone(&config);
                thread::spawn(move || converse(connection, config, port));
            }
        });
        let trapped = Arc::new(AtomicU32::new(0));
        for (address, port) in TRAPS {
            // Not every machine has IPv6.
            let Ok(trap) = TcpListener::bind((address, port)) else { continue };
            let trapped = Arc::clone(&trapped);
            thread::spawn(move || {
                for _ in trap.incoming() {
                    trapped.fetch_add(1, SeqCst);
                }
            });
        }
        Self { port, names: Names::default(), trapped }
    }

    pub(super) fn fetch(&self) -> Fetch {
        let lookup = Arc::new(Recording(Arc::clone(&self.names)));
        let extra_ca = vec![include_bytes!("../../../../../fetch/src/fixtures/ca.pem").to_vec()];
        Fetch::new(Settings { extra_ca, lookup, ..Settings::default() }).unwrap()
    }

    /// Beside the server itself only names of the public internet are looked up, and only for https.
    pub(super) fn assert_nobody_else_was_asked(&self) {
        let names = self.names.lock().unwrap();
        let strange: Vec<_> =
            names.iter().filter(|name| *name != HOST && !name.ends_with("public.example")).collect();
        assert!(strange.is_empty(), "looked up: {strange:?}");
        assert!(names.contains("public.example"), "no document leads anywhere");
        assert_eq!(self.trapped.load(SeqCst), 0, "something on this machine was asked");
    }
}

fn server_config() -> ServerConfig {
    let pem = include_bytes!("../../../../../fetch/src/fixtures/server.pem");
    let chain = CertificateDer::pem_slice_iter(pem).map(Result::unwrap).collect();
    let key = include_bytes!("../../../../../fetch/src/fixtures/server.key");
    let key = PrivateKeyDer::from_pem_slice(key).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    config.with_no_client_auth().with_single_cert(chain, key).unwrap()
}

/// One connection: a request, an answer, the next request.
fn converse(connection: TcpStream, config: Arc<ServerConfig>, port: u16) -> Option<()> {
    let mut stream = StreamOwned::new(ServerConnection::new(config).ok()?, connection);
    loop {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).ok()?;
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).ok()?;
        let length = head
            .lines()
            .find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        stream.read_exact(&mut body).ok()?;
        let mut first = head.split(' ');
        let (method, path) = (first.next()?, first.next()?);
        let asked = Asked {
            method,
            path,
            authorized: head.to_ascii_lowercase().contains("\r\nauthorization:"),
            port,
        };
        if let Some(answer) = Case::of(path)?.answer(&asked) {
            stream.write_all(&answer).ok()?;
        } else {
            // Says nothing until it is given up.
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).ok()?;
        }
    }
}
