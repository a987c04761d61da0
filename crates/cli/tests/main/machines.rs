//! Machines through the whole program: made by command or in the file, let in by the gateway within their scopes, and shut
//! out within a second.

use super::{
    http,
    node::{Node, command, finished, free_port},
};
use std::{
    path::Path,
    time::{Duration, Instant},
};

const A_SECOND: Duration = Duration::from_secs(1);
const SECRET: &str = "a-secret-of-the-nightly-report";

fn configuration(port: u16, clients: &str) -> String {
    format!(
        "public_url = \"http://localhost:{port}\"\nlisten = \"127.0.0.1:{port}\"\nstate = \"state\"\n\
         [[server]]\nname = \"demo\"\npath = \"/mcp\"\nrequired_scopes = []\n\
         scopes = [{{ name = \"read\" }}, {{ name = \"write\" }}]\n\
         [[server.rules]]\ntools = [\"*\"]\nscopes = [\"write\"]\n{clients}"
    )
}

fn nightly(scopes: &str) -> String {
    format!(
        "[[client]]\nid = \"nightly\"\nname = \"Nightly\"\nauth = \"client_secret_basic\"\n\
         secret_file = \"nightly.secret\"\ngrant_types = [\"client_credentials\"]\nscopes = [{scopes}]\n"
    )
}

fn ask(port: u16, id: &str, secret: &str) -> http::Answer {
    let pairs = [("grant_type", "client_credentials"), ("client_id", id), ("client_secret", secret)];
    http::form(port, "/token", &pairs, &[]).unwrap()
}

fn token(port: u16, id: &str, secret: &str) -> String {
    let answer = ask(port, id, secret);
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["access_token"].as_str().unwrap().to_owned()
}

fn call(port: u16, token: &str, method: &str) -> http::Answer {
    let body = serde_json::json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": {"name": "add", "arguments": {"a": 1, "b": 2}}});
    http::json(port, "/mcp", &body, &[("Authorization", &format!("Bearer {token}"))]).unwrap()
}

fn refused_within_a_second(port: u16, token: &str) {
    let started = Instant::now();
    while call(port, token, "ping").status != 401 {
        assert!(started.elapsed() < A_SECOND, "still let in");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn serve(file: &Path, port: u16) -> Node {
    let command = command(&["serve", "--config", file.to_str().unwrap()]);
    Node::spawn_until(command, port, std::process::Stdio::null(), "Setup link")
}

#[test]
fn as_153_as_136_rs_032_a_machine_is_let_in_within_its_scopes_and_shut_out_within_a_second() {
    let folder = tempfile::tempdir().unwrap();
    let (port, file) = (free_port(), folder.path().join("hallpass.toml"));
    std::fs::write(folder.path().join("nightly.secret"), SECRET).unwrap();
    std::fs::write(&file, configuration(port, &nightly("\"read\""))).unwrap();
    let node = serve(&file, port);
    let run = |words: &[&str]| finished(&[words, &["--config", file.to_str().unwrap()]].concat());
    // Of the file: it may ask, and may not use a tool.
    let reader = token(port, "nightly", SECRET);
    assert_ne!(call(port, &reader, "ping").status, 401);
    let refused = call(port, &reader, "tools/call");
    assert_eq!(refused.status, 403, "{refused:?}");
    assert!(refused.header("www-authenticate").contains("insufficient_scope"), "{refused:?}");
    // By command: with both scopes it may.
    let add = ["client", "add", "--name", "Writer", "--machine", "--scopes", "read write", "--json"];
    let (code, out, err) = run(&add);
    assert_eq!(code, 0, "{err}");
    let made: serde_json::Value = serde_json::from_str(&out).unwrap();
    let (id, secret) = (made["client_id"].as_str().unwrap(), made["client_secret"].as_str().unwrap());
    let writer = token(port, id, secret);
    assert!(!matches!(call(port, &writer, "tools/call").status, 401 | 403));
    // Taken back by itself, removed, blocked, and taken out of the file.
    let other = token(port, id, secret);
    let pairs = [("client_id", id), ("client_secret", secret), ("token", &*other)];
    assert_eq!(http::form(port, "/revoke", &pairs, &[]).unwrap().status, 200);
    refused_within_a_second(port, &other);
    assert_ne!(call(port, &writer, "ping").status, 401);
    assert_eq!(run(&["client", "remove", id]).0, 0);
    refused_within_a_second(port, &writer);
    assert_eq!(ask(port, id, secret).status, 401);
    assert_eq!(run(&["client", "block", "--client", "nightly"]).0, 0);
    refused_within_a_second(port, &reader);
    assert_eq!(run(&["client", "unblock", "--client", "nightly"]).0, 0);
    std::thread::sleep(A_SECOND);
    assert_ne!(call(port, &reader, "ping").status, 401);
    std::fs::write(&file, configuration(port, "")).unwrap();
    hang_up(&node);
    refused_within_a_second(port, &reader);
    std::fs::write(&file, configuration(port, &nightly("\"read\""))).unwrap();
    hang_up(&node);
    let deadline = Instant::now() + 3 * A_SECOND;
    while call(port, &reader, "ping").status == 401 {
        assert!(Instant::now() < deadline, "it is back");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn hang_up(node: &Node) {
    let told = std::process::Command::new("kill").args(["-HUP", &node.id().to_string()]).status().unwrap();
    assert!(told.success());
}

#[test]
fn as_133_as_152_machines_by_command_and_what_is_wrong_with_them() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let _node = Node::run(folder.path(), port);
    let (state, number) = (folder.path().to_str().unwrap(), port.to_string());
    let run = |words: &[&str]| finished(&[words, &["--state", state, "--port", &number]].concat());
    let keys = folder.path().join("nightly.jwks");
    let jwk = |seed: &str| {
        format!(
            "{{\"keys\":[{{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"{seed}\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}}]}}"
        )
    };
    std::fs::write(&keys, jwk("one")).unwrap();
    let file = keys.to_str().unwrap();
    let add = ["client", "add", "--id", "signs", "--name", "Signs", "--machine", "--scopes", "mcp"];
    let (code, out, err) = run(&[&add[..], &["--auth", "private_key_jwt", "--jwks-file", file]].concat());
    assert!(code == 0 && !out.contains("client_secret"), "{out}{err}");
    std::fs::write(&keys, jwk("two")).unwrap();
    assert_eq!(run(&["client", "set-keys", "signs", "--jwks-file", file]).0, 0);
    let shown = run(&["client", "show", "signs"]).1;
    assert!(shown.contains("\"two\"") && !shown.contains("\"one\""), "{shown}");
    assert_eq!(run(&["client", "set-keys", "signs", "--jwks-uri", "https://a.example/jwks"]).0, 0);
    assert!(run(&["client", "show", "signs"]).1.contains("https://a.example/jwks"));
    let with_secret = ["client", "add", "--id", "plain", "--name", "Plain", "--machine", "--scopes", "mcp"];
    assert_eq!(run(&with_secret).0, 0);
    for (words, what) in [
        (vec!["client", "set-keys", "plain", "--jwks-file", file], "no other auth takes any"),
        (vec!["client", "set-keys", "signs", "--jwks-file", "/nowhere"], "cannot be read"),
        (vec!["client", "set-keys", "nobody", "--jwks-file", file], "client list"),
        (
            [&with_secret[..3], &["x", "--name", "x", "--machine", "--scopes", "mcp", "--auth", "none"]]
                .concat(),
            "proves who it is",
        ),
        (
            [
                &with_secret[..3],
                &["x", "--name", "x", "--machine", "--scopes", "mcp", "--resource", "https://a.example/mcp"],
            ]
            .concat(),
            "there is no server",
        ),
    ] {
        let (code, _, err) = run(&words);
        assert!(code == 1 && err.contains(what), "{words:?}: {err}");
    }
    for wrong in [
        &["client", "add", "--name", "x", "--machine"][..],
        &[
            "client",
            "add",
            "--name",
            "x",
            "--machine",
            "--scopes",
            "a",
            "--redirect-uri",
            "https://a.example/",
        ],
        &["client", "add", "--name", "x", "--resource", "https://a.example/mcp"],
        &["client", "set-keys", "signs"],
    ] {
        assert_eq!(run(wrong).0, 2, "{wrong:?}");
    }
}
