//! Bytes that no client sends, and doors that a hurried build leaves open, at the real listener.

use super::{
    http,
    node::{Node, command, free_port},
    person,
};
use std::{
    fs,
    io::{ErrorKind, Read, Write},
    net::{TcpListener, TcpStream},
    process::Stdio,
    sync::{Arc, Mutex},
    time::Duration,
};

/// A request hidden in the body of another. Its answer has this in it.
const ANSWERED: &str = "\"keys\"";
/// As the gateway writes it anew, byte by byte.
const PING: &str = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;

fn hidden(port: u16) -> String {
    format!("GET /jwks HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n")
}

/// The same at the token endpoint, and at an MCP path with a good token.
#[derive(Clone, Copy)]
struct Target<'a> {
    path: &'a str,
    fields: &'a str,
    body: &'a str,
}

impl Target<'_> {
    fn post(&self, port: u16, fields: &str, body: &str) -> String {
        format!("POST {} HTTP/1.1\r\nHost: localhost:{port}\r\n{}{fields}\r\n{body}", self.path, self.fields)
    }
}

const FORM: Target<'static> =
    Target { path: "/token", fields: "Content-Type: application/x-www-form-urlencoded\r\n", body: "a=b" };

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

/// A server behind that answers whatever says `jsonrpc`, and keeps every byte that it is sent.
fn recording() -> (u16, Arc<Mutex<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, seen) = (listener.local_addr().unwrap().port(), Arc::new(Mutex::new(String::new())));
    let all = Arc::clone(&seen);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, all) = (stream.unwrap(), Arc::clone(&all));
            std::thread::spawn(move || {
                let (mut said, mut piece) = (String::new(), [0; 4096]);
                while let Ok(length @ 1..) = stream.read(&mut piece) {
                    let text = String::from_utf8_lossy(&piece[..length]).into_owned();
                    all.lock().unwrap().push_str(&text);
                    said.push_str(&text);
                    if said.contains("\"jsonrpc\"") {
                        said.clear();
                        let body = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
                        let length = body.len();
                        let answer = format!(
                            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
                        );
                        if stream.write_all(answer.as_bytes()).is_err() {
                            return;
                        }
                    }
                }
            });
        }
    });
    (port, seen)
}

/// A node with such a server behind it, and a good token for it.
struct Guarded {
    _node: Node,
    _folder: tempfile::TempDir,
    port: u16,
    seen: Arc<Mutex<String>>,
    token: String,
}

impl Guarded {
    fn new() -> Self {
        let (folder, port, (behind, seen)) = (tempfile::tempdir().unwrap(), free_port(), recording());
        let upstream = format!("http://127.0.0.1:{behind}/mcp");
        let state = folder.path().to_str().unwrap();
        let node =
            Node::spawn(command(&["run", &upstream, "--port", &port.to_string(), "--state", state]), port);
        let (_, _, tokens) = person::granted(port, node.setup_link.as_deref());
        let token = tokens["access_token"].as_str().unwrap().to_owned();
        Self { _node: node, _folder: folder, port, seen, token }
    }

    /// What has come to the server behind since it was asked last.
    fn seen(&self) -> String {
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}

/// Whether these are so many requests, each with our own framing and the message that was allowed.
fn are_pings(seen: &str, many: usize) -> bool {
    let length = format!("content-length: {}\r\n", PING.len());
    let each = |piece: &str| {
        let Some((head, rest)) = piece.split_once("\r\n\r\n") else { return false };
        let head = format!("{}\r\n", head.to_ascii_lowercase());
        head.matches(&length).count() == 1 && !head.contains("transfer-encoding") && rest == PING
    };
    let requests: Vec<&str> = seen.split("POST /mcp HTTP/1.1\r\n").collect();
    requests.len() == many + 1 && requests[0].is_empty() && requests[1..].iter().all(|piece| each(piece))
}

/// Fields and bodies with two readings, for a body that would be good.
fn corpus(body: &str, hidden: &str) -> Vec<(String, String)> {
    let length = body.len();
    let text = |text: &str| text.to_owned();
    let chunked = |line: &str| format!("{length:x}{line}{body}\r\n0\r\n\r\n{hidden}");
    let (plain, behind) = (format!("{body}{hidden}"), format!("0\r\n\r\n{hidden}"));
    let (good, whole) = (chunked("\r\n"), 5 + hidden.len());
    let inside = format!("{:x}\r\n{hidden}\r\n0\r\n\r\n", hidden.len());
    vec![
        // Which length counts?
        (format!("Content-Length: {whole}\r\nTransfer-Encoding: chunked\r\n"), behind.clone()),
        (format!("Transfer-Encoding: chunked\r\nContent-Length: {whole}\r\n"), behind.clone()),
        (text("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n"), inside),
        (format!("Content-Length: {}\r\nTransfer-Encoding: chunked\r\n", good.len()), good.clone()),
        (format!("Transfer-Encoding: chunked\r\nContent-Length: {}\r\n", good.len()), good.clone()),
        (text("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n"), good.clone()),
        (text("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n"), good.clone()),
        (format!("Content-Length: 0\r\nContent-Length: {length}\r\n"), plain.clone()),
        (format!("Content-Length: {length}\r\nContent-Length: {length}\r\n"), plain.clone()),
        (format!("Content-Length: {length}, {length}\r\n"), plain.clone()),
        // Is that a length?
        (format!("Content-Length: +{length}\r\n"), plain.clone()),
        (text("Content-Length: -1\r\n"), plain.clone()),
        (format!("Content-Length: 0x{length:x}\r\n"), plain.clone()),
        (format!("Content-Length : {length}\r\n"), plain.clone()),
        (text("Content-Length: 18446744073709551617\r\n"), plain.clone()),
        // Is that chunked?
        (format!("Transfer-Encoding: identity\r\nContent-Length: {length}\r\n"), plain.clone()),
        (format!("Transfer-Encoding: xchunked\r\nContent-Length: {length}\r\n"), plain.clone()),
        (text("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"), good.clone()),
        (text("Transfer-Encoding: gzip, chunked\r\n"), good.clone()),
        (text("Transfer-Encoding: chunked, chunked\r\n"), good.clone()),
        (text("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n"), good.clone()),
        (text("Transfer-Encoding: chunked, identity\r\n"), good.clone()),
        (text("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n"), good.clone()),
        (text("Transfer-Encoding : chunked\r\n"), good.clone()),
        (format!("Transfer-Encoding: \u{b}chunked\r\nContent-Length: {length}\r\n"), plain.clone()),
        // Where does a field end?
        (text("Transfer-Encoding:\r\n chunked\r\n"), good.clone()),
        (format!("X-A: b\r\n Content-Length: {length}\r\n"), plain.clone()),
        (format!("X: y\nContent-Length: {length}\r\n"), plain.clone()),
        (format!("Content-Length: {length}\n"), plain.clone()),
        (text("X: y\nTransfer-Encoding: chunked\r\n"), good.clone()),
        (format!("X: y\rTransfer-Encoding: chunked\r\nContent-Length: {length}\r\n"), plain.clone()),
        (format!("X: a\0b\r\nContent-Length: {length}\r\n"), plain.clone()),
        (format!("Content-Length: {length}\r\n\n"), plain.clone()),
        // Where does a chunk end?
        (text("Transfer-Encoding: chunked\r\n"), chunked(";a=b\r\n")),
        (text("Transfer-Encoding: chunked\r\n"), chunked(";\n\r\n")),
        (text("Transfer-Encoding: chunked\r\n"), chunked(" \r\n")),
        (text("Transfer-Encoding: chunked\r\n"), chunked("\n")),
        (text("Transfer-Encoding: chunked\r\n"), good.replace("\r\n", "\n")),
        (text("Transfer-Encoding: chunked\r\n"), format!("zz\r\n{body}\r\n{behind}")),
        (text("Transfer-Encoding: chunked\r\n"), format!("0x{length:x}\r\n{body}\r\n{behind}")),
        (text("Transfer-Encoding: chunked\r\n"), format!("fffffffffffffffff\r\n{body}\r\n{behind}")),
        (text("Transfer-Encoding: chunked\r\n"), format!("{length:x}\r\n{body}XX{behind}")),
        // Which host?
        (format!("Host: evil.example\r\nContent-Length: {length}\r\n"), plain),
    ]
}

#[test]
fn rs_048_t_80_what_two_servers_could_read_differently_is_refused_and_ends_the_connection() {
    let guarded = Guarded::new();
    let port = guarded.port;
    let hidden = hidden(port);
    let fields = format!("Content-Type: application/json\r\nAuthorization: Bearer {}\r\n", guarded.token);
    let mcp = Target { path: "/mcp", fields: &fields, body: PING };
    let strangers = Target { fields: "Content-Type: application/json\r\n", ..mcp };
    for (target, due) in [(FORM, &["400"][..]), (mcp, &["400"]), (strangers, &["400", "401"])] {
        for (fields, body) in corpus(target.body, &hidden) {
            let (answer, ended) = exchange(port, &target.post(port, &fields, &body));
            let said = format!("{} {fields:?} {body:?}: {answer:?}", target.path);
            assert!(due.contains(&answer.split(' ').nth(1).unwrap_or_default()), "{said}");
            assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "two answers to {said}");
            assert!(ended, "the connection goes on after {said}");
            assert!(!answer.contains(ANSWERED), "two requests in {said}");
            assert_eq!(guarded.seen(), "", "passed on: {said}");
        }
    }
    let length = format!("Content-Length: {}\r\n", PING.len());
    let lines = mcp.post(port, &length, PING).replace("\r\n", "\n");
    let (answer, ended) = exchange(port, &lines);
    assert!(answer.starts_with("HTTP/1.1 400 ") && ended && guarded.seen().is_empty(), "{answer}");

    // What comes after a whole request is a request: by its length, in chunks, and with empty lines between them.
    let chunks =
        format!("5\r\n{}\r\n{:x}\r\n{}\r\n0\r\nX: y\r\n\r\n", &PING[..5], PING.len() - 5, &PING[5..]);
    let (plain, chunked) =
        (mcp.post(port, &length, PING), mcp.post(port, "Transfer-Encoding: chunked\r\n", &chunks));
    let (answer, _) = exchange(port, &format!("{plain}{chunked}\r\n{plain}{hidden}"));
    assert_eq!(answer.matches("HTTP/1.1 200 OK").count(), 4, "{answer}");
    assert!(answer.contains(ANSWERED), "{answer}");
    let seen = guarded.seen();
    assert!(are_pings(&seen, 3), "{seen}");
    let (answer, _) = exchange(port, &FORM.post(port, "Content-Length: 3\r\n", &format!("a=b{hidden}")));
    assert!(answer.contains(ANSWERED), "{answer}");
}

/// A field of HTTP/2 as it is on the wire, written out (RFC 7541 §6.2.2), so that it can be anything.
fn field(name: &str, value: &str) -> Vec<u8> {
    let mut out = vec![0];
    for text in [name, value] {
        let mut length = text.len();
        if length < 127 {
            out.push(u8::try_from(length).unwrap());
        } else {
            out.push(127);
            length -= 127;
            while length >= 128 {
                out.push(u8::try_from(length % 128).unwrap() | 128);
                length /= 128;
            }
            out.push(u8::try_from(length).unwrap());
        }
        out.extend_from_slice(text.as_bytes());
    }
    out
}

/// A frame on the stream 1, or on the connection (RFC 9113 §4.1).
fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags, 0, 0, 0, stream], payload].concat()
}

/// A request over HTTP/2. Whether its answer begins with 200.
fn over_http2(port: u16, fields: &[(&str, &str)], body: &str) -> bool {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let fields: Vec<u8> = fields.iter().flat_map(|(name, value)| field(name, value)).collect();
    let said = [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        frame(4, 0, 0, &[]),
        frame(1, 4, 1, &fields),
        frame(0, 1, 1, body.as_bytes()),
    ];
    stream.write_all(&said.concat()).unwrap();
    let mut head = [0; 9];
    while stream.read_exact(&mut head).is_ok() {
        let mut payload = vec![0; usize::from(head[1]) * 256 + usize::from(head[2])];
        stream.read_exact(&mut payload).unwrap();
        match head[3] {
            // Of the static table, 200 is the eighth.
            1 => return payload[0] == 0x88,
            // The stream is reset, or the connection ends.
            3 | 7 => return false,
            _ => {}
        }
    }
    false
}

#[test]
fn rs_048_t_80_nothing_of_http2_gets_into_the_framing_of_the_server_behind() {
    let guarded = Guarded::new();
    let (authority, bearer) = (format!("localhost:{}", guarded.port), format!("Bearer {}", guarded.token));
    let usual = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", "/mcp"),
        (":authority", &*authority),
        ("content-type", "application/json"),
        ("authorization", &*bearer),
    ];
    let ask = |more: &[(&str, &str)]| over_http2(guarded.port, &[&usual[..], more].concat(), PING);
    let length = PING.len().to_string();
    for good in [&[][..], &[("content-length", &*length)], &[("te", "trailers"), ("x-other", "y")]] {
        assert!(ask(good), "{good:?}");
        let seen = guarded.seen();
        assert!(are_pings(&seen, 1), "{seen}");
    }
    for evil in [
        &[("transfer-encoding", "chunked")][..],
        &[("content-length", "0")],
        &[("content-length", "4")],
        &[("content-length", "4000")],
        &[("content-length", &length), ("content-length", "4")],
        &[("content-length", "+40")],
        &[("connection", "transfer-encoding")],
        &[("connection", "close")],
        &[("keep-alive", "x")],
        &[("proxy-connection", "x")],
        &[("upgrade", "h2c")],
        &[("te", "gzip")],
        &[("accept", "x\r\nTransfer-Encoding: chunked")],
        &[("accept", "x\nx: y")],
        &[("accept", "x\0y")],
        &[("mcp-protocol-version", "2025-11-25\r\n\r\nGET / HTTP/1.1")],
        &[("accept: x\r\nx", "y")],
        &[("X-Upper", "y")],
        &[("a b", "y")],
        &[("", "y")],
        &[(":path", "/mcp")],
        &[(":method", "GET /x HTTP/1.1")],
        &[("host", "evil.example")],
    ] {
        assert!(!ask(evil), "{evil:?}");
        let seen = guarded.seen();
        assert_eq!(seen, "", "{evil:?}");
    }
    for (name, value) in [(":path", "/mcp HTTP/1.1\r\nX: y"), (":method", "POST /x HTTP/1.1\r\n\r\nPOST")] {
        let fields = usual.map(|(named, as_usual)| (named, if named == name { value } else { as_usual }));
        assert!(!over_http2(guarded.port, &fields, PING), "{name} {value:?}");
        assert_eq!(guarded.seen(), "", "{name} {value:?}");
    }
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

/// What a listener answers a stranger at each path that the node at `public` describes, and at some that nobody has.
fn crawl(public: u16, listener: u16) -> Vec<(&'static str, String, http::Answer)> {
    let described = http::send(public, "GET", "/openapi.json", &[], "").unwrap().json();
    let mut paths: Vec<String> = described["paths"].as_object().unwrap().keys().cloned().collect();
    assert!(paths.len() > 20 && paths.iter().any(|path| path == "/mcp"), "{paths:?}");
    // Everything that is not in the table.
    paths.extend(["/unknown", "/sse", "/mcp/x", "/account/unknown"].map(str::to_owned));
    let mut answers = Vec::new();
    for path in &paths {
        let path = path.replace("{provider}", "x").replace("{connection}", "x");
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
            let body = if method.starts_with('P') { PING } else { "" };
            let answer = http::send(listener, method, &path, &[("Content-Type", "application/json")], body);
            let answer = answer.unwrap_or_else(|| panic!("{method} {path}"));
            assert!(answer.status < 500, "{method} {path}: {answer:?}");
            answers.push((method, path.clone(), answer));
        }
    }
    answers
}

#[test]
fn t_85_no_route_of_a_whole_node_does_anything_for_a_stranger() {
    let guarded = Guarded::new();
    let mut answered = Vec::new();
    for (method, path, answer) in crawl(guarded.port, guarded.port) {
        if path == "/mcp" {
            assert!(answer.status == 401 || method == "OPTIONS", "{method}: {answer:?}");
        } else if answer.status < 300 && method != "OPTIONS" {
            answered.push((format!("{method} {path}"), answer.body.contains("<h1>Sign in</h1>")));
        }
    }
    answered.sort_unstable();
    // Documents for everybody, and the page on which somebody signs in.
    let expected = [
        ("GET /.well-known/oauth-authorization-server", false),
        ("GET /.well-known/oauth-protected-resource", false),
        ("GET /.well-known/oauth-protected-resource/mcp", false),
        ("GET /.well-known/openid-configuration", false),
        ("GET /account/connections", true),
        ("GET /device", true),
        ("GET /jwks", false),
        ("GET /openapi.json", false),
        ("GET /sign-in", true),
    ];
    assert_eq!(answered, expected.map(|(route, is_sign_in)| (route.to_owned(), is_sign_in)));
    assert_eq!(guarded.seen(), "", "the server behind was asked");
}

#[test]
fn t_85_as_225_the_listener_of_the_operator_has_three_answers_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let (file, port, admin) = (folder.path().join("hallpass.toml"), free_port(), free_port());
    let text = format!(
        "public_url = \"http://localhost:{port}\"\nlisten = \"127.0.0.1:{port}\"\n\
         [admin]\nlisten = \"127.0.0.1:{admin}\"\n[[server]]\nname = \"mcp\"\npath = \"/mcp\"\n"
    );
    fs::write(&file, text).unwrap();
    let serve = command(&["serve", "--config", file.to_str().unwrap()]);
    let node = Node::spawn_until(serve, port, Stdio::null(), "Setup link");
    let mut answered = Vec::new();
    for (method, path, answer) in crawl(port, admin) {
        // No page of a browser on this machine reads what is here.
        assert_eq!(answer.header("access-control-allow-origin"), "", "{method} {path}");
        if answer.status < 400 {
            answered.push(format!("{method} {path}: {}", answer.status));
        } else {
            assert!(matches!(answer.status, 404 | 405), "{method} {path}: {answer:?}");
        }
    }
    answered.sort_unstable();
    assert_eq!(
        answered,
        ["/health/live", "/health/ready", "/metrics"].map(|path| format!("GET {path}: 200"))
    );
    // Nothing of what was posted there has become anything: the link of the set-up still makes the first account.
    person::Person::set_up(port, node.setup_link.as_deref().unwrap());
}
