//! Clients by command, beside a running server: made, changed over, blocked and removed.

use super::{
    http,
    node::{Node, finished, free_port},
    person,
};
use std::time::Duration;

/// A block is in force on every node within a second.
const A_SECOND: Duration = Duration::from_secs(1);

fn hallpass(state: &std::path::Path, port: u16, words: &[&str]) -> (i32, String, String) {
    let (state, port) = (state.to_str().unwrap().to_owned(), port.to_string());
    let mut arguments = words.to_vec();
    arguments.extend(["--state", &state, "--port", &port]);
    finished(&arguments)
}

fn call(port: u16, tokens: &serde_json::Value) -> u16 {
    let bearer = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
    let body = serde_json::json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
    http::json(port, "/mcp", &body, &[("Authorization", &bearer)]).unwrap().status
}

#[test]
fn as_136_as_059_a_block_ends_tokens_within_a_second_and_unblocking_brings_them_back() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let node = Node::run(folder.path(), port);
    let (_, client, tokens) = person::granted(port, node.setup_link.as_deref());
    let run = |words: &[&str]| hallpass(folder.path(), port, words);
    let token = tokens["refresh_token"].as_str().unwrap();
    let open = call(port, &tokens);
    assert_ne!(open, 401);
    assert_eq!(run(&["client", "block", "--client", &client, "--note", "too curious"]).0, 0);
    std::thread::sleep(A_SECOND);
    assert_eq!(call(port, &tokens), 401, "at the gateway");
    let refused = person::refresh(port, &client, token).unwrap();
    assert_eq!((refused.status, refused.json()["error"].as_str().unwrap()), (401, "invalid_client"));
    let blocks: serde_json::Value = serde_json::from_str(&run(&["client", "blocks", "--json"]).1).unwrap();
    assert_eq!((&blocks[0]["key"], &blocks[0]["note"]), (&client.clone().into(), &"too curious".into()));
    assert_eq!(run(&["client", "unblock", "--client", &client]).0, 0);
    assert_eq!(run(&["client", "unblock", "--client", &client]).0, 1);
    std::thread::sleep(A_SECOND);
    assert_eq!(call(port, &tokens), open);
    let tokens = person::refresh(port, &client, token).unwrap().json();
    let token = tokens["refresh_token"].as_str().unwrap();
    // A host: what it was given is gone for good.
    let (code, _, err) = run(&["client", "block", "--host", "127.0.0.1"]);
    assert!(code == 0 && err.contains("1 grants"), "{err}");
    std::thread::sleep(A_SECOND);
    assert_eq!(call(port, &tokens), 401);
    assert_eq!(person::refresh(port, &client, token).unwrap().status, 400);
    assert_eq!(run(&["client", "unblock", "--host", "127.0.0.1"]).0, 0);
    std::thread::sleep(A_SECOND);
    assert_eq!(person::refresh(port, &client, token).unwrap().status, 400);
    for wrong in [&["client", "block"][..], &["client", "block", "--client", "a", "--host", "b"]] {
        assert_eq!(run(wrong).0, 2);
    }
    let (code, _, err) = run(&["client", "block", "--redirect", "evil.example"]);
    assert!(code == 1 && err.contains("scheme, host and path"), "{err}");
}

#[test]
fn as_133_as_061_a_client_is_made_changed_over_and_removed_by_command() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let node = Node::run(folder.path(), port);
    let mut person = person::Person::set_up(port, node.setup_link.as_deref().unwrap());
    let run = |words: &[&str]| hallpass(folder.path(), port, words);
    let add = ["client", "add", "--name", "Reports", "--redirect-uri", person::REDIRECT, "--json"];
    let with_secret = [&add[..], &["--auth", "client_secret_post"]].concat();
    let (code, out, err) = run(&with_secret);
    assert!(code == 0 && err.contains("not shown again"), "{err}");
    let made: serde_json::Value = serde_json::from_str(&out).unwrap();
    let (id, first) =
        (made["client_id"].as_str().unwrap(), made["client_secret"].as_str().unwrap().to_owned());
    let redeem = |person: &mut person::Person, secret: &str| {
        let code = person.allow(id).unwrap();
        person::redeem_with(port, id, &code, secret).unwrap().status
    };
    assert_eq!(redeem(&mut person, &first), 200);
    assert_eq!(redeem(&mut person, "hps_wrong"), 401);
    let second = run(&["client", "rotate-secret", id]).1.trim().to_owned();
    assert_eq!((redeem(&mut person, &first), redeem(&mut person, &second)), (200, 200));
    let third = run(&["client", "rotate-secret", id, "--only-new"]).1.trim().to_owned();
    assert_eq!((redeem(&mut person, &second), redeem(&mut person, &third)), (401, 200));
    // Neither shown nor kept.
    let shown = run(&["client", "show", id]).1;
    assert!(shown.contains("\"secrets\": 1") && !shown.contains(&third), "{shown}");
    assert!(run(&["client", "list"]).1.contains(id) && run(&["client", "list", "--json"]).1.contains(id));
    for file in
        std::fs::read_dir(folder.path()).unwrap().filter_map(Result::ok).filter(|f| f.path().is_file())
    {
        let bytes = std::fs::read(file.path()).unwrap();
        assert!(!bytes.windows(third.len()).any(|part| part == third.as_bytes()), "{:?}", file.path());
    }
    assert_eq!(run(&["client", "remove", id]).0, 0);
    assert_eq!(run(&["client", "remove", id]).0, 1);
    assert!(run(&["client", "token", "--valid", "1h"]).1.starts_with("hpi_"));
    for (words, what) in [
        (vec!["client", "add", "--name", "x"], "with --redirect-uri"),
        (
            vec!["client", "add", "--name", "x", "--machine", "--scopes", "a", "--auth", "none"],
            "--auth client_secret_basic",
        ),
        (
            vec![
                "client",
                "add",
                "--name",
                "x",
                "--redirect-uri",
                "https://a.example/",
                "--auth",
                "private_key_jwt",
            ],
            "--jwks-file",
        ),
        (vec!["client", "add", "--name", "x", "--redirect-uri", "javascript:x"], "redirect URI"),
        (vec!["client", "add", "--name", "x", "--redirect-rule", "nobody"], "docs/clients.md"),
        (
            vec!["client", "add", "--name", "x", "--id", "hpc_x", "--redirect-uri", "https://a.example/"],
            "the id",
        ),
        (vec!["client", "token", "--valid", "soon"], "length of time"),
        (vec!["client", "show", "nobody"], "client list"),
    ] {
        let (code, _, err) = run(&words);
        assert!(code == 1 && err.contains(what), "{words:?}: {err}");
    }
}

/// Each flag at the endpoint that it is about, and the same client without it beside it.
#[test]
fn as_178_as_195_as_201_as_177_what_a_client_is_made_with_is_what_it_is_held_to() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let node = Node::run(folder.path(), port);
    let mut person = person::Person::set_up(port, node.setup_link.as_deref().unwrap());
    let run = |words: &[&str]| hallpass(folder.path(), port, words);
    let add = |more: &[&str]| {
        let (code, out, err) = run(&[&["client", "add", "--name", "x", "--json"], more].concat());
        assert_eq!(code, 0, "{more:?}: {err}");
        let made: serde_json::Value = serde_json::from_str(&out).unwrap();
        ["client_id", "client_secret"].map(|name| made[name].as_str().unwrap_or_default().to_owned())
    };
    let said = |answer: http::Answer| {
        (answer.status, answer.json()["error"].as_str().unwrap_or_default().to_owned())
    };
    let people = ["--redirect-uri", person::REDIRECT];
    let [plain, _] = add(&people);
    let [device, _] = add(&["--device"]);
    let ask = |id: &str| said(http::form(port, "/device_authorization", &[("client_id", id)], &[]).unwrap());
    assert_eq!((ask(&device), ask(&plain).1), ((200, String::new()), "unauthorized_client".into()));
    let [pushes, _] = add(&[&people[..], &["--require-pushed"]].concat());
    let mut shown = |id: &str| person.asked_for(id, port).unwrap().body.contains("error=invalid_request");
    assert!(shown(&pushes) && !shown(&plain));
    let [bound, _] = add(&[&people[..], &["--bound-tokens"]].concat());
    let mut redeem = |id: &str| {
        let code = person.allow(id).unwrap();
        said(person::redeem(port, id, &code).unwrap())
    };
    assert_eq!((redeem(&bound), redeem(&plain).0), ((400, "invalid_dpop_proof".into()), 200));
    let machine = ["--machine", "--scopes", "mcp"];
    let own = |[id, secret]: [String; 2]| {
        let pairs = [("grant_type", "client_credentials"), ("client_id", &*id), ("client_secret", &*secret)];
        said(http::form(port, "/token", &pairs, &[]).unwrap())
    };
    assert_eq!(own(add(&machine)).0, 200);
    assert_eq!(own(add(&[&machine[..], &["--bound-tokens"]].concat())).1, "invalid_dpop_proof");
    let [acts, _] = add(&["--exchange", "--exchange-lifetime", "2m"]);
    let shown = run(&["client", "show", &acts]).1;
    assert!(shown.contains("\"exchange_lifetime\": 120"), "{shown}");
    for (more, what) in [
        (&["--exchange", "--exchange-lifetime", "soon"][..], "length of time"),
        (&["--exchange", "--exchange-lifetime", "1s"], "between 10s and 24h"),
        (&["--redirect-uri", person::REDIRECT, "--exchange-lifetime", "2m"], "token-exchange in grant_types"),
        (
            &["--redirect-uri", person::REDIRECT, "--scopes", "mcp nosuch"],
            "no server has the scope \"nosuch\"",
        ),
        (&["--machine", "--scopes", "nosuch"], "no server has the scope \"nosuch\""),
    ] {
        let (code, out, err) = run(&[&["client", "add", "--name", "x"], more].concat());
        assert!(code == 1 && out.is_empty() && err.contains(what), "{more:?}: {out}{err}");
    }
}
