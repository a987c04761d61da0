//! Another configuration while the node runs: nobody's connection ends, and a broken file changes nothing.

use super::{
    http,
    node::{Node, command, finished, free_port},
    person,
};
use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::Command,
    sync::mpsc,
    time::{Duration, Instant},
};

/// An MCP server that answers each request with a stream: an event, and another one when told to.
fn upstream() -> (u16, mpsc::Sender<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        while !String::from_utf8_lossy(&request).contains("\"ping\"") {
            let mut piece = [0; 4096];
            let read = stream.read(&mut piece).unwrap();
            request.extend(&piece[..read]);
        }
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
            .unwrap();
        stream.write_all(b"data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/first\"}\n\n").unwrap();
        told.recv().unwrap();
        stream.write_all(b"data: {\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{}}\n\n").unwrap();
    });
    (port, tell)
}

fn configuration(port: u16, upstream: u16, more: &str) -> String {
    format!(
        "public_url = \"http://localhost:{port}\"\nlisten = \"127.0.0.1:{port}\"\nstate = \"state\"\n\
         [[server]]\nname = \"mcp\"\npath = \"/mcp\"\nupstream = \"http://127.0.0.1:{upstream}/mcp\"\n{more}"
    )
}

fn serve(file: &Path, port: u16, watch: bool, log: &Path) -> (Node, u32) {
    let mut command = command(&["serve", "--config", file.to_str().unwrap()]);
    if !watch {
        command.arg("--no-watch");
    }
    let node = Node::spawn_until(command, port, fs::File::create(log).unwrap().into(), "Setup link");
    let id = node.id();
    (node, id)
}

/// A connection that is kept.
struct Kept(TcpStream, u16);

impl Kept {
    fn open(port: u16) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        Self(stream, port)
    }

    fn send(&mut self, method: &str, path: &str, headers: &str, body: &str) {
        let (length, port) = (body.len(), self.1);
        write!(self.0, "{method} {path} HTTP/1.1\r\nHost: localhost:{port}\r\n{headers}Content-Length: {length}\r\n\r\n{body}").unwrap();
    }

    fn until(&mut self, marker: &str) -> String {
        let (mut seen, mut piece) = (Vec::new(), [0; 4096]);
        while !String::from_utf8_lossy(&seen).contains(marker) {
            let read = self.0.read(&mut piece).unwrap();
            assert!(read > 0, "the connection ended after {}", String::from_utf8_lossy(&seen));
            seen.extend(&piece[..read]);
        }
        String::from_utf8_lossy(&seen).into_owned()
    }

    /// The scopes that the metadata of the server lists.
    fn scopes(&mut self) -> String {
        self.send("GET", "/.well-known/oauth-protected-resource/mcp", "", "");
        let answer = self.until("}");
        let (_, rest) = answer.split_once("\"scopes_supported\":[").unwrap();
        rest.split(']').next().unwrap().to_owned()
    }

    fn comes(&mut self, scope: &str) {
        let deadline = Instant::now() + Duration::from_mins(1);
        while !self.scopes().contains(scope) {
            assert!(Instant::now() < deadline, "{scope} never came");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn hang_up(id: u32) {
    assert!(Command::new("kill").args(["-HUP", &id.to_string()]).status().unwrap().success());
}

fn comes(log: &Path, words: &str) -> String {
    let deadline = Instant::now() + Duration::from_mins(1);
    loop {
        let text = fs::read_to_string(log).unwrap();
        if text.contains(words) {
            return text;
        }
        assert!(Instant::now() < deadline, "{words} never came in {text}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_stream_and_a_connection_go_on_over_a_reload_and_the_next_request_sees_the_new_scopes() {
    let folder = tempfile::tempdir().unwrap();
    let (file, log, port) = (folder.path().join("hallpass.toml"), folder.path().join("log"), free_port());
    let (upstream, tell) = upstream();
    fs::write(&file, configuration(port, upstream, "")).unwrap();
    let (node, id) = serve(&file, port, false, &log);
    let (_, client, tokens) = person::granted(port, node.setup_link.as_deref());
    let mut kept = Kept::open(port);
    assert_eq!(kept.scopes(), "\"mcp\"");
    let mut streaming = Kept::open(port);
    let headers = format!(
        "Authorization: Bearer {}\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\n",
        tokens["access_token"].as_str().unwrap()
    );
    streaming.send("POST", "/mcp", &headers, r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#);
    streaming.until("notifications/first");
    let scopes = "scopes = [{ name = \"read\", title = \"Read\" }, { name = \"mcp\", title = \"All\" }]\n[tokens]\naccess_token_lifetime = \"77s\"\n";
    fs::write(&file, configuration(port, upstream, scopes)).unwrap();
    std::thread::sleep(Duration::from_millis(1500));
    assert_eq!(kept.scopes(), "\"mcp\"", "it was not told to look");
    hang_up(id);
    kept.comes("\"read\"");
    comes(&log, "configuration reloaded");
    let again = person::refresh(port, &client, tokens["refresh_token"].as_str().unwrap()).unwrap();
    assert_eq!(
        (again.status, &again.json()["expires_in"]),
        (200, &77.into()),
        "the grant goes on, under the new settings"
    );
    tell.send(()).unwrap();
    streaming.until("\"result\":{}");
    // A server more, and the first one gone.
    let other = configuration(port, upstream, "").replace("/mcp\"\nupstream", "/other\"\nupstream");
    fs::write(&file, other).unwrap();
    hang_up(id);
    comes(&log, "event=\"configuration_reloaded\"");
    let deadline = Instant::now() + Duration::from_mins(1);
    let status = |path: &str| http::send(port, "GET", path, &[], "").unwrap().status;
    while status("/.well-known/oauth-protected-resource/other") != 200 {
        assert!(Instant::now() < deadline);
    }
    assert_eq!(status("/.well-known/oauth-protected-resource/mcp"), 404);
    assert!(node.stop());
}

#[test]
fn a_changed_file_is_taken_by_itself_and_a_broken_one_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (file, log, port) = (folder.path().join("hallpass.toml"), folder.path().join("log"), free_port());
    let scopes = |name: &str| format!("scopes = [{{ name = \"{name}\" }}]\n");
    fs::write(&file, configuration(port, 9, &scopes("first"))).unwrap();
    let (_node, id) = serve(&file, port, true, &log);
    let mut kept = Kept::open(port);
    assert_eq!(kept.scopes(), "\"first\"");
    fs::write(&file, configuration(port, 9, &scopes("second"))).unwrap();
    kept.comes("second");
    // Wrong in two places: the same sentences as `config check` says.
    let broken = configuration(
        port,
        9,
        "scopes = [{ name = \"third\" }]\nrequired_scopes = [\"x\"]\n[tokens]\naccess_token_lifetime = \"soon\"\n",
    );
    fs::write(&file, broken).unwrap();
    let said = comes(&log, "configuration_refused");
    let (code, check, _) = finished(&["config", "check", file.to_str().unwrap()]);
    assert_eq!((code, check.lines().count()), (1, 2), "{check}");
    for line in check.lines() {
        assert!(said.contains(line), "{line} in {said}");
    }
    assert_eq!(kept.scopes(), "\"second\"");
    // What cannot change is said, and the rest is taken.
    let moved =
        configuration(port, 9, &scopes("fourth")).replace("state = \"state\"", "state = \"elsewhere\"");
    fs::write(&file, moved).unwrap();
    kept.comes("fourth");
    comes(&log, "state needs a restart");
    let renamed = configuration(port, 9, &scopes("fifth"))
        .replace("public_url = \"http://localhost", "public_url = \"http://127.0.0.1");
    fs::write(&file, renamed).unwrap();
    hang_up(id);
    comes(&log, "public_url needs a restart");
    assert_eq!(kept.scopes(), "\"fourth\"");
}

/// Answers each request with its process id.
const PROCESS: &str = r#"while IFS= read -r line; do id=${line#*\"id\":}; id=${id%%,*}; case $line in *'"initialize"'*) echo '{"jsonrpc":"2.0","id":'$id',"result":{"protocolVersion":"2025-11-25","capabilities":{},"serverInfo":{"name":"s","version":"1"}}}' ;; *'"id"'*) echo '{"jsonrpc":"2.0","id":'$id',"result":{"pid":'$$'}}' ;; esac; done"#;

#[test]
fn a_session_of_a_stdio_server_goes_on_over_a_reload_unless_its_command_changed() {
    let folder = tempfile::tempdir().unwrap();
    let (file, log, port) = (folder.path().join("hallpass.toml"), folder.path().join("log"), free_port());
    let with = |script: &str, more: &str| {
        let command = toml::Value::from(vec!["sh", "-c", script]);
        let upstream = "upstream = \"http://127.0.0.1:9/mcp\"";
        configuration(port, 9, more).replace(upstream, &format!("command = {command}"))
    };
    fs::write(&file, with(PROCESS, "")).unwrap();
    let (node, id) = serve(&file, port, false, &log);
    let (_, _, tokens) = person::granted(port, node.setup_link.as_deref());
    let bearer = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
    let initialize = serde_json::json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}});
    let opened = http::json(port, "/mcp", &initialize, &[("Authorization", &bearer)]).unwrap();
    let session = opened.header("mcp-session-id");
    let ping = || {
        let body = serde_json::json!({"jsonrpc": "2.0", "id": 2, "method": "ping", "params": {}});
        http::json(port, "/mcp", &body, &[("Authorization", &bearer), ("Mcp-Session-Id", &session)]).unwrap()
    };
    let first = ping();
    assert_eq!(first.status, 200, "{first:?}");
    let mut kept = Kept::open(port);
    fs::write(&file, with(PROCESS, "scopes = [{ name = \"mcp\" }, { name = \"more\" }]\n")).unwrap();
    hang_up(id);
    kept.comes("more");
    assert_eq!(ping().json()["result"], first.json()["result"], "the very process");
    fs::write(
        &file,
        with(&format!("true; {PROCESS}"), "scopes = [{ name = \"mcp\" }, { name = \"other\" }]\n"),
    )
    .unwrap();
    hang_up(id);
    kept.comes("other");
    assert_eq!(ping().status, 404, "the client initializes again");
    assert!(node.stop());
}

#[test]
fn rs_035_who_is_in_a_group_is_what_the_last_file_says_also_for_tokens_from_before() {
    let folder = tempfile::tempdir().unwrap();
    let (file, log, port) = (folder.path().join("hallpass.toml"), folder.path().join("log"), free_port());
    let with = |staff: &str| {
        format!(
            "public_url = \"http://localhost:{port}\"\nlisten = \"127.0.0.1:{port}\"\n[groups]\nstaff = [{staff}]\n\
             [[server]]\nname = \"mcp\"\npath = \"/mcp\"\n[[server.rules]]\ntools = [\"time\"]\ngroups = [\"staff\"]\n"
        )
    };
    fs::write(&file, with("")).unwrap();
    let (node, id) = serve(&file, port, false, &log);
    let (_, _, tokens) = person::granted(port, node.setup_link.as_deref());
    let token = tokens["access_token"].as_str().unwrap();
    let claims = hallpass_core::encoding::from_base64url(token.split('.').nth(1).unwrap()).unwrap();
    let claims: serde_json::Value = serde_json::from_slice(&claims).unwrap();
    let bearer = format!("Bearer {token}");
    let call = serde_json::json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": "time", "arguments": {} } });
    let status = || http::json(port, "/mcp", &call, &[("Authorization", &bearer)]).unwrap().status;
    let becomes = |expected: u16| {
        let deadline = Instant::now() + Duration::from_mins(1);
        while status() != expected {
            assert!(Instant::now() < deadline, "{expected} never came");
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    assert_eq!(status(), 403);
    fs::write(&file, with(&claims["sub"].to_string())).unwrap();
    hang_up(id);
    becomes(200);
    // A group that is no more is a mistake in the file, and what held before goes on.
    fs::write(&file, with(&claims["sub"].to_string()).replace("staff = ", "stuff = ")).unwrap();
    hang_up(id);
    assert!(comes(&log, "configuration_refused").contains("groups names \"staff\""));
    assert_eq!(status(), 200);
    fs::write(&file, with("")).unwrap();
    hang_up(id);
    becomes(403);
}
