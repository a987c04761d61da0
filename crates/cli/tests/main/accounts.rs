//! Accounts and grants by command, beside a running server: somebody who forgot a password is not lost.

use super::{
    http,
    node::{Node, finished, free_port},
    person::{self, Person},
};

fn hallpass(state: &std::path::Path, port: u16, words: &[&str]) -> (i32, String, String) {
    let (state, port) = (state.to_str().unwrap().to_owned(), port.to_string());
    let mut arguments = words.to_vec();
    arguments.extend(["--state", &state, "--port", &port]);
    finished(&arguments)
}

#[test]
fn a_forgotten_password_is_recovered_beside_the_running_server_and_ends_what_was_given() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let node = Node::run(folder.path(), port);
    let (_, client, tokens) = person::granted(port, node.setup_link.as_deref());
    let (code, link, _) = hallpass(folder.path(), port, &["user", "recover", "Ada"]);
    assert!(code == 0 && link.starts_with(&format!("http://localhost:{port}/invitation?code=")), "{link}");
    let path = link.trim().split_once(&port.to_string()).unwrap().1.to_owned();
    let page = http::send(port, "GET", &path, &[], "").unwrap();
    assert!(page.status == 200 && page.body.contains("ada"));
    let mut recovered = Person::invited(port, &path, "a different engine");
    assert!(recovered.allow(&client).is_some());
    assert_eq!(http::send(port, "GET", &path, &[], "").unwrap().status, 403);
    let refresh = tokens["refresh_token"].as_str().unwrap();
    assert_eq!(person::refresh(port, &client, refresh).unwrap().status, 400);
}

#[test]
fn accounts_and_grants_are_listed_added_disabled_and_revoked() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let node = Node::run(folder.path(), port);
    let (_, client, tokens) = person::granted(port, node.setup_link.as_deref());
    let run = |words: &[&str]| hallpass(folder.path(), port, words);
    let (code, link, _) = run(&["user", "add", "Grace"]);
    assert_eq!(code, 0);
    let path = link.trim().split_once(&port.to_string()).unwrap().1.to_owned();
    let _grace = Person::invited(port, &path, "nanoseconds of wire");
    let (code, _, err) = run(&["user", "add", "grace"]);
    assert!(code == 1 && err.contains("hallpass user recover"), "{err}");
    let people: serde_json::Value = serde_json::from_str(&run(&["user", "list", "--json"]).1).unwrap();
    let names: Vec<_> = people.as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["ada", "grace"]);
    let grants: serde_json::Value = serde_json::from_str(&run(&["grant", "list", "--json"]).1).unwrap();
    let id = grants[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(grants[0]["client_id"].as_str().unwrap(), client);
    assert!(
        run(&["grant", "list", "--user", "ada"]).1.contains(&id)
            && !run(&["grant", "list", "--user", "grace"]).1.contains(&id)
    );
    let (code, _, err) = run(&["grant", "revoke", &id]);
    assert!(code == 0 && err.contains("revoked"));
    assert_eq!(
        person::refresh(port, &client, tokens["refresh_token"].as_str().unwrap()).unwrap().status,
        400
    );
    assert_eq!(run(&["grant", "revoke", "nonsense"]).0, 1);
    assert_eq!(run(&["user", "disable", "ada"]).0, 0);
    assert!(run(&["user", "list"]).1.contains("disabled"));
    let bearer = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
    std::thread::sleep(std::time::Duration::from_secs(1));
    let body = serde_json::json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
    assert_eq!(http::json(port, "/mcp", &body, &[("Authorization", &bearer)]).unwrap().status, 401);
    let (code, _, err) = run(&["user", "recover", "nobody"]);
    assert!(code == 1 && err.contains("hallpass user list"), "{err}");
    let empty = tempfile::tempdir().unwrap();
    assert!(hallpass(empty.path(), port, &["user", "list"]).2.contains("--state"));
}
