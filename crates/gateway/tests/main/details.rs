//! Tokens that are limited to some tools (RFC 9396): what is within the limits passes, and nothing else is asked of a server.

use crate::support::{Answer, World, bare, world, world_with};
use axum::{Router, http::HeaderMap, routing::post};
use hallpass_core::authorization_details::AuthorizationDetails;
use serde_json::{Value, json};

const DOCUMENT: &str = "/.well-known/oauth-protected-resource/mcp";
const ONLY: &str = r#"[{"type":"mcp_tool","tool":"pay","arguments":{"amount":{"max":100},"to":"Ada"}},{"type":"mcp_tool","tool":"list"}]"#;

async fn ask(world: &World, method: &str, params: Value) -> Answer {
    let details = AuthorizationDetails::parse(ONLY).unwrap();
    let token = world.token_of(|token| token.details = Some(details));
    let message = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
    world.post(&message, &[("authorization", &format!("Bearer {token}"))]).await
}

#[tokio::test]
async fn as_089_t_24_rs_035_a_tool_is_called_within_the_limits_of_the_token_alone() {
    let world = world("echo").await;
    for (passed, params) in [
        json!({"name": "pay", "arguments": {"amount": 100, "to": "Ada", "note": "x"}}),
        json!({"name": "list"}),
        json!({"name": "list", "arguments": {"all": true}}),
    ]
    .into_iter()
    .enumerate()
    {
        let answer = ask(&world, "tools/call", params).await;
        assert_eq!((answer.status, world.upstream.asked()), (200, passed + 1), "{}", answer.text);
    }
    let before = world.upstream.asked();
    for params in [
        json!({"name": "pay", "arguments": {"amount": 101, "to": "Ada"}}),
        json!({"name": "pay", "arguments": {"amount": "100", "to": "Ada"}}),
        json!({"name": "pay", "arguments": {"amount": 100, "to": "Bob"}}),
        json!({"name": "pay", "arguments": {"amount": 100}}),
        json!({"name": "pay", "arguments": {"amount": 100, "to": "Ada", "TO": "Bob"}}),
        json!({"name": "pay"}),
        json!({"name": "Pay", "arguments": {"amount": 100, "to": "Ada"}}),
        json!({"name": "delete", "arguments": {}}),
    ] {
        let answer = ask(&world, "tools/call", params.clone()).await;
        assert_eq!((answer.status, world.upstream.asked()), (403, before), "{params}: {}", answer.text);
        // No scope widens it: a client must not send its person for one.
        assert_eq!(answer.header("www-authenticate"), "");
        assert!(answer.text.contains("not for this tool with these arguments"), "{}", answer.text);
    }
    let document = world.ask(bare("GET", DOCUMENT, "", &[])).await.text;
    let document: Value = serde_json::from_str(&document).unwrap();
    assert_eq!(document["authorization_details_types_supported"], json!(["mcp_tool"]));
    // The limits speak of tools.
    assert_eq!(ask(&world, "prompts/get", json!({"name": "pay"})).await.status, 200);
}

const LIST: &str = r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"pay"},{"name":"delete"},{"name":"list"},{"name":"Pay"}],"ttlMs":5}}"#;

/// Lists its tools as JSON, or as an event where nothing else is taken.
async fn lists(headers: HeaderMap) -> ([(&'static str, &'static str); 1], String) {
    if headers["accept"] == "text/event-stream" {
        ([("content-type", "text/event-stream")], format!("data: {LIST}\n\n"))
    } else {
        ([("content-type", "application/json")], LIST.to_owned())
    }
}

#[tokio::test]
async fn as_089_rs_054_a_list_shows_a_token_for_some_tools_those_alone() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/", post(lists))).await });
    let world = world_with("", |config| config.servers[0].upstream = url.into()).await;
    let details = AuthorizationDetails::parse(ONLY).unwrap();
    let limited = format!("Bearer {}", world.token_of(|token| token.details = Some(details)));
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {} }).to_string();
    for accept in ["application/json, text/event-stream", "text/event-stream"] {
        let answer = world.post(&body, &[("authorization", &limited), ("accept", accept)]).await;
        let text = answer.text.trim().trim_start_matches("data: ");
        let shown: Value = serde_json::from_str(text).unwrap_or_else(|_| panic!("{text}"));
        assert_eq!(shown["result"]["tools"], json!([{"name": "pay"}, {"name": "list"}]), "{text}");
        assert_eq!(shown["result"]["cacheScope"], "private", "{text}");
        // Whoever has no such limit gets what the server says.
        let whole = world.post(&body, &[("accept", accept)]).await;
        assert!(whole.text.contains("delete") && !whole.text.contains("private"), "{}", whole.text);
    }
}
