//! Numbers and health: on their own listener, without anybody's name in them.

use super::{
    http,
    node::{Node, command, finished, free_port},
    person,
};
use std::{fs, process::Stdio};

#[test]
fn as_221_as_225_p36_t_98_numbers_and_health_are_on_their_own_listener_and_nobody_is_in_them() {
    let folder = tempfile::tempdir().unwrap();
    let (port, admin) = (free_port(), free_port());
    let file = folder.path().join("hallpass.toml");
    let text = format!(
        "public_url = \"http://localhost:{port}\"\nlisten = \"127.0.0.1:{port}\"\n\
         [admin]\nlisten = \"127.0.0.1:{admin}\"\n[audit]\ncalls = true\n[[server]]\nname = \"mcp\"\npath = \"/mcp\"\n"
    );
    fs::write(&file, &text).unwrap();
    let command = command(&["serve", "--config", file.to_str().unwrap()]);
    let node = Node::spawn_until(command, port, Stdio::null(), "Setup link");
    let (_, client, tokens) = person::granted(port, node.setup_link.as_deref());
    let refresh = tokens["refresh_token"].as_str().unwrap();
    for _ in 0..2 {
        assert_eq!(person::refresh(port, &client, refresh).unwrap().status, 200);
    }
    assert_eq!(person::refresh(port, "nobody", refresh).unwrap().status, 401);
    let bearer = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
    let call = serde_json::json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": "whoami", "arguments": {}}});
    let called = http::json(port, "/mcp", &call, &[("Authorization", &bearer)]).unwrap();
    assert_eq!(http::json(port, "/mcp", &call, &[]).unwrap().status, 401);
    let get = |path: &str| http::send(admin, "GET", path, &[], "").unwrap();
    assert_eq!((get("/health/live").status, get("/health/ready").status), (200, 200));
    let numbers = get("/metrics");
    assert!(numbers.header("content-type").starts_with("text/plain; version=0.0.4"));
    for line in [
        "hallpass_events_total{event=\"grant_opened\",reason=\"\"} 1",
        "hallpass_events_total{event=\"refresh_rotated\",reason=\"\"} 1",
        "hallpass_events_total{event=\"refresh_repeated\",reason=\"\"} 1",
        "hallpass_events_total{event=\"token_refused\",reason=\"client_unknown\"} 1",
        "hallpass_requests_total{route=\"/token\",status=\"2xx\"} 3",
        "hallpass_request_duration_seconds_count{route=\"/token\"} 4",
        "hallpass_events_total{event=\"call_refused\",reason=\"no_token\"} 1",
        "hallpass_events_total{event=\"call_answered\",reason=\"\"} 1",
        "hallpass_ready 1",
        "hallpass_audit_lines_lost 0",
        "hallpass_rate_limited_total{limit=\"registration\"} 0",
    ] {
        assert!(numbers.body.contains(&format!("{line}\n")), "{line} in\n{}", numbers.body);
    }
    let access = tokens["access_token"].as_str().unwrap();
    for secret in [&*client, refresh, access, "\"ada\"", "127.0.0.1", "Test"] {
        assert!(!numbers.body.contains(secret), "{secret}");
    }
    for path in ["/token", "/authorize", "/account", "/mcp", "/"] {
        assert_eq!(get(path).status, 404, "{path} is not on the listener of the operator");
    }
    for path in ["/metrics", "/health/ready", "/health/live", "/admin"] {
        assert_eq!(
            http::send(port, "GET", path, &[], "").unwrap().status,
            404,
            "{path} is not on the public one"
        );
    }
    assert!(node.stop());
    let (_, shown, _) = finished(&["audit", "tail", "--json", "--config", file.to_str().unwrap()]);
    let calls: Vec<serde_json::Value> = shown
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|line: &serde_json::Value| line["event"].as_str().unwrap().starts_with("call_"))
        .collect();
    let (answered, refused) = (&calls[0], &calls[1]);
    assert_eq!(
        (&answered["server"], &answered["method"], &answered["target"]),
        (&"mcp".into(), &"tools/call".into(), &"whoami".into())
    );
    assert_eq!(
        (answered["client"].as_str(), answered["status"].as_u64()),
        (Some(&*client), Some(u64::from(called.status)))
    );
    assert!(
        answered["person"].is_string() && answered["grant"].is_string(),
        "as whom, and by which installation"
    );
    assert_eq!(
        (refused["reason"].as_str(), &refused["person"]),
        (Some("no_token"), &serde_json::Value::Null)
    );
    fs::write(&file, text.replace(&admin.to_string(), &port.to_string())).unwrap();
    let (code, out, _) = finished(&["config", "check", file.to_str().unwrap()]);
    assert!(code == 1 && out.contains("the public listener"), "{out}");
}
