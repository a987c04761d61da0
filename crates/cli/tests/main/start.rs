//! What can be wrong at the start, and mistakes in what is typed: one sentence that names the fix.

use super::{
    http,
    node::{Node, finished, free_port},
    person,
};
use std::{fs, net::TcpListener, path::Path};

fn run(state: &Path, port: u16) -> (i32, String, String) {
    finished(&["run", "--port", &port.to_string(), "--state", state.to_str().unwrap()])
}

fn fails(state: &Path, port: u16, words: &[&str]) {
    let (code, out, err) = run(state, port);
    assert_eq!((code, out.as_str()), (1, ""), "{err}");
    let sentence = err.lines().last().unwrap_or_default();
    for word in words {
        assert!(sentence.contains(word), "{word} in: {sentence}");
    }
}

#[test]
fn a_port_in_use() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    fails(folder.path(), taken.local_addr().unwrap().port(), &["is in use", "--port"]);
}

#[test]
fn a_folder_that_cannot_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    fails(&file.join("state"), free_port(), &["cannot be made", "--state"]);
}

#[test]
fn a_database_that_is_none() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    Node::run(folder.path(), port).kill();
    for entry in fs::read_dir(folder.path()).unwrap() {
        let path = entry.unwrap().path();
        if path.to_string_lossy().contains("sqlite-") {
            fs::remove_file(path).unwrap();
        }
    }
    fs::write(folder.path().join("hallpass.sqlite"), vec![7; 100_000]).unwrap();
    fails(folder.path(), port, &["hallpass.sqlite", "cannot be used"]);
}

#[test]
fn t_101_a_lost_and_a_foreign_master_key() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    Node::run(folder.path(), port).kill();
    let key = folder.path().join("master.key");
    fs::remove_file(&key).unwrap();
    fails(folder.path(), port, &["master.key", "is missing", "put back"]);
    let other = tempfile::tempdir().unwrap();
    Node::run(other.path(), port).kill();
    fs::copy(other.path().join("master.key"), &key).unwrap();
    fails(folder.path(), port, &["another master key", "put back"]);
    fs::write(&key, "nonsense").unwrap();
    fails(folder.path(), port, &["master.key", "damaged"]);
}

#[test]
fn a_second_server_on_the_same_folder() {
    let folder = tempfile::tempdir().unwrap();
    let _first = Node::run(folder.path(), free_port());
    let (code, _, err) = run(folder.path(), free_port());
    assert_eq!(code, 1);
    assert!(err.contains("another"), "{err}");
}

#[test]
fn a_folder_of_another_port() {
    let folder = tempfile::tempdir().unwrap();
    Node::run(folder.path(), free_port()).kill();
    fails(folder.path(), free_port(), &["another --port", "its own port", "--state"]);
}

#[test]
fn wrong_usage_is_2_and_a_wrong_url_says_so() {
    assert_eq!(finished(&["nonsense"]).0, 2);
    let (code, _, err) = finished(&["run", "not a url"]);
    assert!(code == 1 && err.contains("upstream is not the URL"), "{err}");
    assert!(err.contains("hallpass run -- npx"), "{err}");
    let (code, _, err) = finished(&["run", "ftp://127.0.0.1/mcp"]);
    assert!(code == 1 && err.contains("http://127.0.0.1:3001/mcp") && !err.contains("--:"), "{err}");
    let (code, out, _) = finished(&["--help"]);
    assert!(code == 0 && out.contains("hallpass login"));
}

#[test]
fn a_command_that_is_missing_or_in_the_wrong_place_is_wrong_usage_and_starts_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let (port, state) = (free_port().to_string(), folder.path().join("state"));
    let options = ["run", "--port", &port, "--state", state.to_str().unwrap()];
    for typed in [&["--"][..], &["--verbose", "--"]] {
        let (code, out, err) = finished(&[&options[..], typed].concat());
        assert!(code == 2 && out.is_empty() && err.contains("no command is behind --"), "{err}");
    }
    for typed in [&["run", "npx", "-y", "server"][..], &["-v", "run", "--port", "1", "npx", "-y", "server"]] {
        let (code, out, err) = finished(typed);
        assert!(code == 2 && out.is_empty(), "{err}");
        assert!(err.contains("hallpass run -- npx -y server") && !err.contains("'-- -y'"), "{err}");
    }
    // Where it is not about a command, the usual words.
    let (code, _, err) = finished(&["run", "http://127.0.0.1:1/mcp", "--nonsense"]);
    assert!(code == 2 && err.contains("--nonsense") && !err.contains("behind --"), "{err}");
}

#[test]
#[cfg(unix)]
fn rs_067_the_last_words_of_a_command_that_crashes_are_in_the_log_and_cannot_write_it() {
    let folder = tempfile::tempdir().unwrap();
    let (port, log, state) = (free_port(), folder.path().join("log"), folder.path().join("state"));
    // Seven lines, of which the last does not end and steers a terminal.
    let script =
        "for n in 1 2 3 4 5 6; do echo line-$n >&2; done; printf 'boom-missing-API-KEY\\033[31m' >&2; exit 1";
    let node = Node::spawn_logging(
        super::node::command(&[
            "run",
            "--port",
            &port.to_string(),
            "--state",
            state.to_str().unwrap(),
            "--",
            "sh",
            "-c",
            script,
        ]),
        port,
        fs::File::create(&log).unwrap().into(),
    );
    let (_, _, tokens) = person::granted(port, node.setup_link.as_deref());
    let bearer = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
    let body = serde_json::json!({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}});
    let answer = http::json(port, "/mcp", &body, &[("Authorization", &bearer)]).unwrap();
    assert!(!answer.body.contains("boom"), "{answer:?}");
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(20);
    let written = loop {
        let written = fs::read_to_string(&log).unwrap();
        if written.contains("has crashed") {
            break written;
        }
        assert!(std::time::Instant::now() < deadline, "{written}");
        std::thread::sleep(std::time::Duration::from_millis(50));
    };
    let warning = written.lines().find(|line| line.contains("has crashed")).unwrap();
    assert!(warning.contains("boom-missing-API-KEY") && warning.contains("line-6"), "{warning}");
    assert!(!warning.contains("line-2") && !written.contains('\u{1b}'), "{warning}");
}

#[test]
fn config_check_says_what_is_wrong_with_line_and_fix() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hallpass.toml");
    fs::write(&file, "public_url = \"http://mcp.example.com\"\n[[server]]\nname = \"a\"\npath = \"/a\"\n")
        .unwrap();
    let (code, out, _) = finished(&["config", "check", file.to_str().unwrap()]);
    assert!(code == 1 && out.contains("line 1") && out.contains("https"), "{out}");
    fs::write(&file, "public_url = \"https://mcp.example.com\"\n[[server]]\nname = \"a\"\npath = \"/a\"\n")
        .unwrap();
    assert_eq!(finished(&["config", "check", file.to_str().unwrap()]).0, 0);
    assert!(finished(&["config", "check", "/nowhere.toml"]).1.contains("cannot be read"));
}

#[test]
fn an_upstream_that_is_not_there_is_an_error_of_the_call_and_not_of_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let upstream = format!("http://127.0.0.1:{}/mcp", free_port());
    let command = super::node::command(&[
        "run",
        &upstream,
        "--port",
        &port.to_string(),
        "--state",
        folder.path().to_str().unwrap(),
    ]);
    let node = Node::spawn(command, port);
    let (_, _, tokens) = person::granted(port, node.setup_link.as_deref());
    let bearer = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
    let body = serde_json::json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
    let answer = http::json(port, "/mcp", &body, &[("Authorization", &bearer)]).unwrap();
    assert_eq!(answer.status, 502, "{answer:?}");
    assert!(!answer.body.contains("127.0.0.1"));
}

#[test]
fn b_17_b_36_the_demo_behind_the_gateway_and_a_revocation_within_a_second() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let node = Node::run(folder.path(), port);
    let body = serde_json::json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"});
    let refused = http::json(port, "/mcp", &body, &[]).unwrap();
    assert_eq!(refused.status, 401);
    let challenge = refused.header("www-authenticate");
    assert!(
        challenge.contains(&format!(
            "resource_metadata=\"http://localhost:{port}/.well-known/oauth-protected-resource/mcp\""
        )),
        "{challenge}"
    );
    let (mut person, _, tokens) = person::granted(port, node.setup_link.as_deref());
    let bearer = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
    let call = || http::json(port, "/mcp", &body, &[("Authorization", &bearer)]).unwrap();
    let answer = call();
    assert!(answer.status == 200 && answer.body.contains("echo"), "{answer:?}");
    person.sign_out_everywhere();
    std::thread::sleep(std::time::Duration::from_secs(1));
    let after = call();
    assert_eq!(after.status, 401, "{after:?}");
    assert!(after.header("www-authenticate").contains("invalid_token"));
}

#[test]
fn rs_067_as_221_b_43_no_token_is_in_the_log_of_a_whole_node() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let log = folder.path().join("log");
    let state = folder.path().join("state");
    let mut command =
        super::node::command(&["run", "--port", &port.to_string(), "--state", state.to_str().unwrap()]);
    command.env("HALLPASS_LOG", "trace");
    let node = Node::spawn_logging(command, port, fs::File::create(&log).unwrap().into());
    let (_, _, tokens) = person::granted(port, node.setup_link.as_deref());
    let (access, refresh) =
        (tokens["access_token"].as_str().unwrap(), tokens["refresh_token"].as_str().unwrap());
    let body = serde_json::json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": {"name": "echo", "arguments": {"message": "canary-argument"}}});
    let good = format!("Bearer {access}");
    assert_eq!(http::json(port, "/mcp", &body, &[("Authorization", &good)]).unwrap().status, 200);
    for bad in [format!("Bearer {refresh}"), format!("Bearer {access}x"), format!("Basic {access}")] {
        assert!(
            http::json(port, "/mcp", &body, &[("Authorization", &bad), ("Cookie", "a=canary-cookie")])
                .unwrap()
                .status
                >= 400
        );
    }
    http::json(port, &format!("/mcp?access_token={access}"), &body, &[]);
    let code = node.setup_link.clone().unwrap().split("code=").nth(1).unwrap().to_owned();
    assert!(node.stop());
    let written = fs::read_to_string(&log).unwrap();
    assert!(written.contains("grant opened") && written.contains("tools/call"), "{written}");
    for secret in [access, refresh, code.as_str(), "canary-argument", "canary-cookie"] {
        assert!(!written.contains(secret), "{secret} in the log");
    }
}
