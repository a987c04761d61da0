//! Bytes that no client sends, and doors that a hurried build leaves open, at the real listener.

use super::{
    http,
    node::{Node, free_port},
};
use std::{
    fs,
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    time::Duration,
};

/// A request hidden in the body of another. Its answer has this in it.
const ANSWERED: &str = "\"keys\"";

fn hidden(port: u16) -> String {
    format!("GET /jwks HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n")
}

fn post(port: u16, path: &str, fields: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: localhost:{port}\r\nContent-Type: application/x-www-form-urlencoded\r\n{fields}\r\n{body}"
    )
}

/// Everything that comes back, and whether the connection was ended within five seconds.
fn exchange(port: u16, bytes: &str) -> (String, bool) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    stream.write_all(bytes.as_bytes()).unwrap();
    let (mut all, mut buffer) = (Vec::new(), [0; 4096]);
    let ended = loop {
        match stream.read(&mut buffer) {
            Ok(0) => break true,
            Ok(length) => all.extend_from_slice(&buffer[..length]),
            Err(error) => break error.kind() == ErrorKind::ConnectionReset,
        }
    };
    (String::from_utf8_lossy(&all).into_owned(), ended)
}

#[test]
fn rs_048_t_80_what_two_servers_could_read_differently_is_refused_and_ends_the_connection() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let node = Node::run(folder.path(), port);
    let hidden = hidden(port);
    let (whole, chunk) = (5 + hidden.len(), format!("{:x}\r\n{hidden}\r\n0\r\n\r\n", hidden.len()));
    let behind = format!("0\r\n\r\n{hidden}");
    for (fields, body) in [
        // Which length counts?
        (format!("Content-Length: {whole}\r\nTransfer-Encoding: chunked\r\n"), behind.clone()),
        (format!("Transfer-Encoding: chunked\r\nContent-Length: {whole}\r\n"), behind.clone()),
        ("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n".to_owned(), chunk),
        (format!("Content-Length: 0\r\nContent-Length: {}\r\n", hidden.len()), hidden.clone()),
        (format!("Content-Length: 0, {}\r\n", hidden.len()), hidden.clone()),
        // Is that a length?
        ("Content-Length: +3\r\n".to_owned(), format!("a=b{hidden}")),
        ("Content-Length: -1\r\n".to_owned(), hidden.clone()),
        ("Content-Length: 0x3\r\n".to_owned(), format!("a=b{hidden}")),
        ("Content-Length : 3\r\n".to_owned(), format!("a=b{hidden}")),
        ("Content-Length: 18446744073709551617\r\n".to_owned(), format!("a{hidden}")),
        // Is that chunked?
        ("Transfer-Encoding: identity\r\nContent-Length: 3\r\n".to_owned(), format!("a=b{hidden}")),
        ("Transfer-Encoding: xchunked\r\nContent-Length: 3\r\n".to_owned(), format!("a=b{hidden}")),
        ("Transfer-Encoding: chunked, identity\r\n".to_owned(), behind.clone()),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n".to_owned(), behind.clone()),
        ("Transfer-Encoding : chunked\r\n".to_owned(), behind.clone()),
        ("Transfer-Encoding: \u{b}chunked\r\nContent-Length: 3\r\n".to_owned(), format!("a=b{hidden}")),
        // Where does a field end?
        ("Transfer-Encoding:\r\n chunked\r\n".to_owned(), behind.clone()),
        ("X-A: b\r\n Content-Length: 3\r\n".to_owned(), hidden.clone()),
        (format!("X: y\nTransfer-Encoding: chunked\r\nContent-Length: {whole}\r\n"), behind.clone()),
        ("X: y\rTransfer-Encoding: chunked\r\nContent-Length: 0\r\n".to_owned(), hidden.clone()),
        ("X: a\0b\r\nContent-Length: 0\r\n".to_owned(), hidden.clone()),
        // Where does a chunk end?
        ("Transfer-Encoding: chunked\r\n".to_owned(), format!("zz\r\na=b\r\n{behind}")),
        ("Transfer-Encoding: chunked\r\n".to_owned(), format!("0x3\r\na=b\r\n{behind}")),
        ("Transfer-Encoding: chunked\r\n".to_owned(), format!("fffffffffffffffff\r\na=b\r\n{behind}")),
        ("Transfer-Encoding: chunked\r\n".to_owned(), format!("3\r\na=bXX{behind}")),
        ("Transfer-Encoding: chunked\r\n".to_owned(), format!("3\na=b\n0\n\n{hidden}")),
        // Which host?
        ("Host: evil.example\r\nContent-Length: 0\r\n".to_owned(), hidden.clone()),
    ] {
        for path in ["/token", "/mcp"] {
            // The gateway looks for a token before it looks at a body.
            let due: &[&str] = if path == "/mcp" { &["400", "401"] } else { &["400"] };
            let (answer, ended) = exchange(port, &post(port, path, &fields, &body));
            let status = answer.split(' ').nth(1).unwrap_or_default();
            assert!(due.contains(&status), "{path} {fields:?} {body:?}: {answer:?}");
            assert!(ended, "the connection goes on after {path} {fields:?} {body:?}: {answer:?}");
            assert!(!answer.contains(ANSWERED), "two requests in {path} {fields:?} {body:?}");
        }
    }
    // What comes after a whole request is a request.
    let (answer, _) = exchange(port, &post(port, "/token", "Content-Length: 3\r\n", &format!("a=b{hidden}")));
    assert!(answer.contains(ANSWERED), "{answer}");
    drop(node);
}

#[test]
fn rs_048_t_80_no_other_protocol_is_spoken_and_every_request_names_its_host() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let _node = Node::run(folder.path(), port);
    for (request, status) in [
        ("GET /jwks HTTP/1.1\r\n\r\n".to_owned(), "400"),
        (format!(" {}", hidden(port)), "400"),
        (hidden(port).replace("HTTP/1.1", "HTTP/1.2"), "400"),
        ("GET /jwks\r\n\r\n".to_owned(), "400"),
        (format!("GET /jwks HTTP/1.1\r\nHost: localhost:{port}\r\nHost: localhost:{port}\r\n\r\n"), "400"),
        // Over HTTP/1.1, as if nothing had been asked for.
        (
            hidden(port).replace(
                "\r\n\r\n",
                "\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n",
            ),
            "200",
        ),
    ] {
        let (answer, ended) = exchange(port, &request);
        assert_eq!(answer.split(' ').nth(1), Some(status), "{request:?}: {answer:?}");
        assert!(ended || status == "200", "{request:?}");
        assert!(!answer.contains("101 Switching"), "{answer:?}");
    }
}

#[test]
fn t_74_no_header_opens_a_door_no_path_shows_the_inside_and_nothing_secret_is_in_sight() {
    let folders = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let ports = [free_port(), free_port()];
    let nodes: Vec<Node> =
        folders.iter().zip(ports).map(|(folder, port)| Node::run(folder.path(), port)).collect();
    let port = ports[0];
    let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    for (name, value) in [
        ("X-Forwarded-User", "admin"),
        ("X-Forwarded-For", "127.0.0.1"),
        ("X-Forwarded-Uri", "/jwks"),
        ("X-Original-URL", "/jwks"),
        ("X-Rewrite-URL", "/jwks"),
        ("X-Auth-Request-Email", "ada@example.com"),
        ("X-Remote-User", "admin"),
        ("X-Internal", "1"),
        ("X-Debug", "1"),
        ("X-Mcp-Router-Key", "secret"),
        ("X-Api-Key", "secret"),
        ("Proxy-Authorization", "Basic YWRtaW46YWRtaW4="),
        ("Cookie", "hallpass_session=admin"),
        ("Authorization", "Bearer admin"),
        ("Authorization", "Basic YWRtaW46YWRtaW4="),
    ] {
        let headers = [("Content-Type", "application/json"), (name, value)];
        let answer = http::send(port, "POST", "/mcp", &headers, ping).unwrap();
        assert_eq!(answer.status, 401, "{name}: {answer:?}");
        let page = http::send(port, "GET", "/account", &[(name, value)], "").unwrap();
        assert_eq!(page.header("location"), "/sign-in", "{name}: {page:?}");
    }
    for path in [
        "/debug",
        "/debug/pprof/",
        "/metrics",
        "/health",
        "/healthz",
        "/status",
        "/admin",
        "/internal",
        "/env",
        "/config",
        "/actuator/env",
        "/.env",
        "/.git/config",
        "/server-status",
        "/trace",
        "/console",
        "/swagger",
        "/hallpass.sqlite",
        "/master.key",
        "/../master.key",
        "/static/..%2fmaster.key",
    ] {
        let answer = http::send(port, "GET", path, &[], "").unwrap();
        assert_eq!(answer.status, 404, "{path}: {answer:?}");
    }
    let keys: Vec<Vec<u8>> =
        folders.iter().map(|folder| fs::read(folder.path().join("master.key")).unwrap()).collect();
    assert_ne!(keys[0], keys[1], "a key that came with the program");
    let published = |port| http::send(port, "GET", "/jwks", &[], "").unwrap().body;
    assert_ne!(published(ports[0]), published(ports[1]), "a signing key that came with the program");
    let key = String::from_utf8_lossy(&keys[0]).trim().to_owned();
    for file in ["cmdline", "environ"] {
        let seen = fs::read(format!("/proc/{}/{file}", nodes[0].id())).unwrap();
        let seen = String::from_utf8_lossy(&seen);
        assert!(!seen.contains(&key), "{file} shows the master key");
        let link = nodes[0].setup_link.as_deref().unwrap();
        assert!(!seen.contains(link.split("code=").nth(1).unwrap()), "{file} shows the set-up code");
    }
}
