//! `hallpass store`: backups of a running server, and the move to PostgreSQL and back, with tokens that go on.

use super::{
    http,
    node::{Node, command, finished, free_port},
    person,
};
use hallpass_testkit::postgres::Cluster;
use std::{fs, path::Path, process::Stdio};

fn serve(config: &Path, port: u16) -> Node {
    Node::spawn_until(
        command(&["serve", "--config", config.to_str().unwrap()]),
        port,
        Stdio::null(),
        "MCP URL",
    )
}

fn store(arguments: &[&str]) -> (i32, String, String) {
    finished(&[&["store"], arguments].concat())
}

fn refreshed(port: u16, client: &str, token: &str) -> String {
    let answer = person::refresh(port, client, token).unwrap();
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()["refresh_token"].as_str().unwrap().to_owned()
}

#[test]
fn a_backup_of_a_running_server_is_a_server() {
    let folder = tempfile::tempdir().unwrap();
    let (state, other) = (folder.path().join("state"), folder.path().join("other"));
    let port = free_port();
    let node = Node::run(&state, port);
    let (_, client, tokens) = person::granted(port, node.setup_link.as_deref());
    fs::create_dir(&other).unwrap();
    let file = other.join("hallpass.sqlite");
    let backup = || store(&["backup", file.to_str().unwrap(), "--state", state.to_str().unwrap()]);
    let (code, _, err) = backup();
    assert!(code == 0 && err.contains("master.key"), "{err}");
    let (code, _, err) = backup();
    assert!(code == 1 && err.contains("choose another name"), "{err}");
    assert!(node.stop());
    fs::copy(state.join("master.key"), other.join("master.key")).unwrap();
    let _restored = Node::run(&other, port);
    refreshed(port, &client, tokens["refresh_token"].as_str().unwrap());
}

#[test]
fn p23_from_a_file_to_postgresql_and_back_nobody_signs_in_again() {
    let cluster = Cluster::shared();
    let database = tokio::runtime::Runtime::new().unwrap().block_on(cluster.database());
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let state = folder.path().join("state");
    let node = Node::run(&state, port);
    let (_, client, tokens) = person::granted(port, node.setup_link.as_deref());

    let config = folder.path().join("hallpass.toml");
    let text = format!(
        "public_url = \"http://localhost:{port}\"\nlisten = \"127.0.0.1:{port}\"\nstate = \"state\"\n\
         [database]\nurl_file = \"database.url\"\n[[server]]\nname = \"demo\"\npath = \"/mcp\"\n"
    );
    fs::write(&config, text).unwrap();
    fs::write(folder.path().join("database.url"), &database.url).unwrap();
    let back = folder.path().join("back");
    let [from, to, last] = [&state, &config, &back].map(|path| path.to_str().unwrap());

    let (code, _, err) = store(&["copy", "--from", from, "--to", to]);
    assert!(code == 1 && err.contains("another hallpass server is using"), "{err}");
    assert!(node.stop());
    let again = format!("{from}/../state");
    for same in [from, again.as_str()] {
        let (code, _, err) = store(&["copy", "--from", from, "--to", same, "--replace"]);
        assert!(code == 1 && err.contains("the same place"), "{err}");
    }
    let (code, _, err) = store(&["copy", "--from", from, "--to", &database.url]);
    assert!(code == 1 && err.contains("[database]") && !err.contains("postgres://"), "{err}");
    let (code, out, err) = store(&["copy", "--from", from, "--to", to, "--json"]);
    assert!(code == 0 && err.contains("found the same") && !err.contains("postgres://"), "{err}");
    assert!(out.contains(r#"{"rows":1,"table":"grants"}"#), "{out}");

    let node = serve(&config, port);
    let token = refreshed(port, &client, tokens["refresh_token"].as_str().unwrap());
    let (code, _, err) = store(&["copy", "--from", to, "--to", last]);
    assert!(code == 1 && err.contains("stop them first"), "{err}");
    assert!(node.stop());
    let (code, _, err) = store(&["copy", "--from", to, "--to", last]);
    assert!(code == 0 && err.contains("now copy"), "{err}");
    fs::copy(state.join("master.key"), back.join("master.key")).unwrap();
    let _node = Node::run(&back, port);
    refreshed(port, &client, &token);
    assert_eq!(http::send(port, "GET", "/jwks", &[], "").unwrap().status, 200);
}
