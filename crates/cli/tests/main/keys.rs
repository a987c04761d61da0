//! `hallpass key` beside a running server: a stolen key is given up, and nobody has to sign in again.

use super::{
    http,
    node::{Node, finished, free_port},
    person,
};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

fn call(port: u16, token: &str) -> u16 {
    let initialize = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } } });
    let authorization = format!("Bearer {token}");
    http::json(port, "/mcp", &initialize, &[("Authorization", &authorization)]).unwrap().status
}

fn within(what: &str, holds: impl Fn() -> bool) {
    let since = Instant::now();
    while !holds() {
        assert!(since.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn t_49_a_stolen_key_is_given_up_while_the_server_runs() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let node = Node::run(folder.path(), port);
    let (_, client, tokens) = person::granted(port, node.setup_link.as_deref());
    let key = |arguments: &[&str]| {
        let place =
            ["--state", folder.path().to_str().unwrap(), "--port", &port.to_string()].map(str::to_owned);
        let arguments: Vec<&str> =
            ["key"].iter().chain(arguments).copied().chain(place.iter().map(String::as_str)).collect();
        finished(&arguments)
    };
    let listed = || -> Vec<Value> { serde_json::from_str(&key(&["list", "--json"]).1).unwrap() };
    let stolen = listed()[0]["kid"].as_str().unwrap().to_owned();
    let access = tokens["access_token"].as_str().unwrap();
    assert_eq!(call(port, access), 200);

    let (code, _, err) = key(&["retire", &stolen]);
    assert_eq!(code, 1);
    assert!(err.contains("hallpass key rotate --now"), "{err}");
    let (code, _, err) = key(&["retire", "nobody"]);
    assert!(code == 1 && err.contains("hallpass key list"), "{err}");

    let elsewhere = ["key", "rotate", "--now", "--state", folder.path().to_str().unwrap(), "--port", "1"];
    let (code, _, err) = finished(&elsewhere);
    assert!(
        code == 1 && err.contains("--port") && listed().len() == 1,
        "sealed for another public URL: {err}"
    );
    assert_eq!(key(&["rotate", "--now"]).0, 0);
    assert_eq!(call(port, access), 200, "the old one still verifies");
    assert_eq!(key(&["retire", &stolen]).0, 0);
    within("its tokens are refused", || call(port, access) == 401);
    let refreshed = person::refresh(port, &client, tokens["refresh_token"].as_str().unwrap()).unwrap();
    assert_eq!(refreshed.status, 200);
    let fresh = refreshed.json()["access_token"].as_str().unwrap().to_owned();
    within("the new key is known", || call(port, &fresh) == 200);

    let stages: Vec<_> = listed().iter().map(|key| key["stage"].as_str().unwrap().to_owned()).collect();
    assert_eq!(stages, ["ended", "signing"]);
    let (_, text, _) = key(&["list"]);
    assert!(text.contains(&stolen) && text.contains("retired"), "{text}");
    let (code, audit, err) = finished(&["audit", "tail", "--state", folder.path().to_str().unwrap()]);
    assert!(code == 0 && audit.contains("key_retired"), "{audit}{err}");
}
