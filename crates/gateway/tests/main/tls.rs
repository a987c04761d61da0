//! Servers behind over TLS (RS-068): who is not who they should be gets no call, and a stream is one over TLS too.

use crate::support::{Answer, PING, Upstream, World, upstream_router, world_with};
use hallpass_fetch::tls::{Authorities, Identity, Tls, authorities};
use hallpass_gateway::HttpServer;
use hallpass_testkit::tls::{CA, CLIENT, Certificate, KEY, OTHER_CA, TlsAcceptor, TlsStream, acceptor};
use http_body_util::BodyExt;
use std::{net::SocketAddr, time::Duration};
use tokio::net::{TcpListener, TcpStream};

struct Listener(TcpListener, TlsAcceptor);

impl axum::serve::Listener for Listener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        loop {
            let (stream, from) = self.0.accept().await.unwrap();
            if let Ok(stream) = self.1.accept(stream).await {
                return (stream, from);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

/// The server of the other tests, with this certificate. It speaks HTTP/2 too, if it is asked to.
async fn serves(certificate: Certificate, wants_client: bool) -> (u16, Upstream) {
    let upstream = Upstream::default();
    let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = tcp.local_addr().unwrap().port();
    let listener = Listener(tcp, acceptor(certificate, wants_client).unwrap());
    let router = upstream_router(upstream.clone());
    tokio::spawn(async move { axum::serve(listener, router).await });
    (port, upstream)
}

fn only(pem: &[u8]) -> Tls {
    Tls { authorities: Authorities::Only(authorities(pem).unwrap()), identity: None }
}

async fn world(url: String, tls: Tls) -> World {
    world_with("unused", |config| {
        config.servers[0].upstream = hallpass_gateway::Upstream::Http(HttpServer { url, tls });
        config.limits.connect = Duration::from_secs(2);
    })
    .await
}

async fn asked(certificate: Certificate, host: &str, tls: Tls) -> (Answer, usize) {
    let (port, upstream) = serves(certificate, false).await;
    let world = world(format!("https://{host}:{port}/echo"), tls).await;
    let answer = world.post(PING, &[]).await;
    (answer, upstream.asked())
}

#[tokio::test]
async fn rs_068_a_server_with_a_certificate_of_its_authority_is_asked_by_name_and_by_address() {
    for host in ["localhost", "127.0.0.1"] {
        let (answer, count) = asked(Certificate::Good, host, only(CA)).await;
        assert_eq!((answer.status, count), (200, 1), "{}", answer.text);
        assert!(answer.seen("host")[0].starts_with(host) && answer.seen("authorization").is_empty());
        let also = Tls { authorities: Authorities::System(authorities(CA).unwrap()), identity: None };
        assert_eq!(asked(Certificate::Good, host, also).await.0.status, 200);
    }
    let both = [CA, OTHER_CA].concat();
    assert_eq!(asked(Certificate::OfOther, "localhost", only(&both)).await.0.status, 200);
}

#[tokio::test]
async fn rs_068_a_server_that_is_not_who_it_should_be_gets_no_call() {
    for (certificate, tls) in [
        (Certificate::Good, Tls::default()),
        (Certificate::Good, only(OTHER_CA)),
        (Certificate::OfOther, only(CA)),
        (Certificate::Elsewhere, only(CA)),
        (Certificate::Expired, only(CA)),
        (Certificate::OwnAuthority, only(CA)),
        (Certificate::OwnAuthority, only(Certificate::OwnAuthority.pem())),
    ] {
        let (answer, count) = asked(certificate, "localhost", tls).await;
        assert_eq!((answer.status, count), (502, 0), "{certificate:?}: {}", answer.text);
        assert!(answer.text.contains("cannot be reached"), "{}", answer.text);
        assert!(
            !answer.text.contains("localhost") && !answer.text.contains("certificate"),
            "{}",
            answer.text
        );
    }
}

#[tokio::test]
async fn rs_068_a_server_that_asks_for_a_certificate_gets_ours() {
    let (port, upstream) = serves(Certificate::Good, true).await;
    let url = format!("https://localhost:{port}/echo");
    assert_eq!(world(url.clone(), only(CA)).await.post(PING, &[]).await.status, 502);
    assert_eq!(upstream.asked(), 0);
    let known = Tls { identity: Some(Identity::new(CLIENT, KEY).unwrap()), ..only(CA) };
    assert_eq!(world(url, known).await.post(PING, &[]).await.status, 200);
}

#[tokio::test]
async fn rs_068_what_speaks_in_the_open_at_an_https_url_is_not_asked_and_redirects_are_answers() {
    let plain = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, upstream) = (plain.local_addr().unwrap().port(), Upstream::default());
    let router = upstream_router(upstream.clone());
    tokio::spawn(async move { axum::serve(plain, router).await });
    let answer = world(format!("https://localhost:{port}/echo"), only(CA)).await.post(PING, &[]).await;
    assert_eq!((answer.status, upstream.asked()), (502, 0));
    let (port, upstream) = serves(Certificate::Good, false).await;
    let world = world(format!("https://localhost:{port}/redirect"), only(CA)).await;
    assert_eq!((world.post(PING, &[]).await.status, upstream.asked()), (502, 1));
}

#[tokio::test]
async fn rs_068_who_never_finishes_the_handshake_is_left_in_the_time_for_a_connection() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let world = world(format!("https://127.0.0.1:{port}/echo"), only(CA)).await;
    let answer = tokio::time::timeout(Duration::from_secs(30), world.post(PING, &[])).await.unwrap();
    assert_eq!(answer.status, 502);
    drop(silent);
}

#[tokio::test]
async fn rs_068_rs_058_events_come_one_by_one_through_tls_and_leaving_ends_them() {
    let (port, upstream) = serves(Certificate::Good, false).await;
    let world = world(format!("https://localhost:{port}/events"), only(CA)).await;
    let mut body = world.send(world.request("POST", PING, &[])).await.into_body();
    for number in 0..3 {
        let frame = body.frame().await.unwrap().unwrap().into_data().unwrap();
        assert!(String::from_utf8_lossy(&frame).contains(&format!("{{\"n\":{number}}}")), "{frame:?}");
    }
    assert_eq!(upstream.open(), 1);
    drop(body);
    for _ in 0..100 {
        if upstream.open() == 0 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the server behind is still asked");
}

#[tokio::test]
async fn rs_068_a_connection_that_dies_is_a_broken_answer_and_the_next_call_has_a_new_one() {
    let (port, upstream) = serves(Certificate::Good, false).await;
    let world = world(format!("https://localhost:{port}/dying"), only(CA)).await;
    for _ in 0..2 {
        let mut body = world.send(world.request("POST", PING, &[])).await.into_body();
        let mut broken = false;
        while let Some(frame) = body.frame().await {
            broken |= frame.is_err();
        }
        assert!(broken);
    }
    assert_eq!(upstream.asked(), 2);
}
