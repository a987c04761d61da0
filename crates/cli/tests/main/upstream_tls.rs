//! A server behind over TLS, with a certificate of a company's own authority: `run`, `serve`, and another authority while it
//! runs.

use super::{
    http,
    node::{Node, command, free_port},
    person,
};
use hallpass_testkit::tls::{CA, CLIENT, Certificate, KEY, OTHER_CA, OTHER_KEY, acceptor};
use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// An MCP server that answers each request with an empty result and keeps its connections.
fn upstream() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let acceptor = acceptor(Certificate::Good, false).unwrap();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                tokio::spawn(async move {
                    let (mut seen, mut piece) = (Vec::new(), [0; 4096]);
                    while let Ok(read @ 1..) = stream.read(&mut piece).await {
                        seen.extend_from_slice(&piece[..read]);
                        if !String::from_utf8_lossy(&seen).contains("\"jsonrpc\"") {
                            continue;
                        }
                        seen.clear();
                        let body = r#"{"jsonrpc":"2.0","id":1,"result":{}}"#;
                        let length = body.len();
                        let answer = format!(
                            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
                        );
                        stream.write_all(answer.as_bytes()).await.unwrap();
                    }
                });
            }
        });
    });
    port
}

fn until(mut done: impl FnMut() -> bool, what: &str) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while !done() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn tells(node: &Node, log: &Path, words: &str) {
    let before = fs::read_to_string(log).unwrap().matches(words).count();
    let told = Command::new("kill").args(["-HUP", &node.id().to_string()]).status().unwrap();
    assert!(told.success());
    until(|| fs::read_to_string(log).unwrap().matches(words).count() > before, words);
}

#[test]
fn rs_068_another_authority_counts_from_the_reload_on_and_a_broken_one_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (file, log, port) = (folder.path().join("hallpass.toml"), folder.path().join("log"), free_port());
    let (ca, behind) = (folder.path().join("ca.pem"), upstream());
    fs::write(&ca, OTHER_CA).unwrap();
    fs::write(
        &file,
        format!(
            "public_url = \"http://localhost:{port}\"\nlisten = \"127.0.0.1:{port}\"\nstate = \"state\"\n[[server]]\nname = \"mcp\"\n\
             path = \"/mcp\"\nupstream = \"https://localhost:{behind}/mcp\"\nupstream_tls = {{ ca_file = \"ca.pem\" }}\n\
             [[server.rules]]\ntools = [\"*\"]\nopen = true\n"
        ),
    )
    .unwrap();
    let serve = command(&["serve", "--no-watch", "--config", file.to_str().unwrap()]);
    let node = Node::spawn_until(serve, port, fs::File::create(&log).unwrap().into(), "Setup link");
    let status = || {
        let call =
            serde_json::json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "a"}});
        http::json(port, "/mcp", &call, &[]).unwrap().status
    };
    assert_eq!(status(), 502);
    let said = fs::read_to_string(&log).unwrap();
    assert!(said.contains("signed by no authority") && said.contains("upstream_tls = { ca_file"), "{said}");
    fs::write(&ca, CA).unwrap();
    assert_eq!(status(), 502, "it was not told");
    tells(&node, &log, "event=\"configuration_reloaded\"");
    until(|| status() == 200, "the new authority counts");
    fs::write(&ca, "rubbish").unwrap();
    tells(&node, &log, "event=\"configuration_refused\"");
    assert_eq!(status(), 200, "as it was");
    // The connection that is open was vouched for by the authority that counts no more.
    fs::write(&ca, OTHER_CA).unwrap();
    tells(&node, &log, "event=\"configuration_reloaded\"");
    until(|| status() == 502, "the old authority counts no more");
    assert!(node.stop());
}

#[test]
fn rs_068_a_renewed_authority_and_a_renewed_certificate_are_taken_without_a_word() {
    let folder = tempfile::tempdir().unwrap();
    let (file, log, port) = (folder.path().join("hallpass.toml"), folder.path().join("log"), free_port());
    let (ca, extra, behind) = (folder.path().join("ca.pem"), folder.path().join("extra.pem"), upstream());
    let (certificate, key) = (folder.path().join("client.pem"), folder.path().join("client.key"));
    for (path, pem) in [(&ca, OTHER_CA), (&extra, OTHER_CA), (&certificate, CLIENT), (&key, KEY)] {
        fs::write(path, pem).unwrap();
    }
    assert!(Command::new("chmod").arg("600").arg(&key).status().unwrap().success());
    fs::write(
        &file,
        format!(
            "public_url = \"http://localhost:{port}\"\nlisten = \"127.0.0.1:{port}\"\nstate = \"state\"\n\
             [fetch]\nextra_ca = [\"extra.pem\"]\n[[server]]\nname = \"mcp\"\n\
             path = \"/mcp\"\nupstream = \"https://localhost:{behind}/mcp\"\n\
             upstream_tls = {{ ca_file = \"ca.pem\", client_cert_file = \"client.pem\", client_key_file = \"client.key\" }}\n\
             [[server.rules]]\ntools = [\"*\"]\nopen = true\n\
             [[server]]\nname = \"other\"\npath = \"/other\"\nupstream = \"https://localhost:{behind}/mcp\"\n\
             [[server.rules]]\ntools = [\"*\"]\nopen = true\n"
        ),
    )
    .unwrap();
    let serve = command(&["serve", "--config", file.to_str().unwrap()]);
    let node = Node::spawn_until(serve, port, fs::File::create(&log).unwrap().into(), "Setup link");
    let status = |path: &str| {
        let call =
            serde_json::json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "a"}});
        http::json(port, path, &call, &[]).unwrap().status
    };
    let said = |words: &str| fs::read_to_string(&log).unwrap().matches(words).count();
    assert_eq!((status("/mcp"), status("/other")), (502, 502));
    fs::write(&ca, CA).unwrap();
    until(|| status("/mcp") == 200, "the authority of the server");
    assert_eq!(status("/other"), 502);
    fs::write(&extra, CA).unwrap();
    until(|| status("/other") == 200, "the authority of everything");
    // A certificate whose key has not come yet is refused once, and everything goes on as it was.
    fs::write(&key, OTHER_KEY).unwrap();
    until(|| said("does not belong to the certificate") == 1, "a half renewed pair");
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!((said("does not belong to the certificate"), status("/mcp")), (1, 200));
    let reloads = said("event=\"configuration_reloaded\"");
    fs::write(&key, KEY).unwrap();
    until(|| said("event=\"configuration_reloaded\"") == reloads + 1, "the pair is whole again");
    assert_eq!(status("/mcp"), 200);
    assert!(node.stop());
}

#[test]
fn rs_068_run_takes_an_https_url_and_the_authority_of_a_company() {
    let folder = tempfile::tempdir().unwrap();
    let (ca, behind) = (folder.path().join("ca.pem"), upstream());
    fs::write(&ca, CA).unwrap();
    let url = format!("https://localhost:{behind}/mcp");
    let ask = |more: &[&str]| {
        let (port, state) = (free_port(), tempfile::tempdir().unwrap());
        let (port_text, state_text) = (port.to_string(), state.path().to_str().unwrap());
        let arguments = [&["run", &*url, "--port", &*port_text, "--state", state_text], more].concat();
        let node = Node::spawn_logging(command(&arguments), port, Stdio::null());
        let (_, _, tokens) = person::granted(port, node.setup_link.as_deref());
        let bearer = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
        let ping = serde_json::json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
        let status = http::json(port, "/mcp", &ping, &[("Authorization", &bearer)]).unwrap().status;
        assert!(node.stop());
        status
    };
    assert_eq!(ask(&["--ca", ca.to_str().unwrap()]), 200);
    assert_eq!(ask(&[]), 502);
}
