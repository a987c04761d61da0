//! Scopes by tool: refused with all that is needed, and lists without what nobody may use.

use crate::support::{Answer, METADATA, World, world_with};
use axum::{
    Router,
    body::Bytes,
    http::{HeaderMap, header},
    response::IntoResponse,
    routing::any,
};
use hallpass_core::scope::Scope;
use hallpass_gateway::{Policy, Rule, Unlisted};
use serde_json::json;

/// A server with lists, in JSON or as events, with a hint that would let a cache share them.
async fn listing(headers: HeaderMap, body: Bytes) -> axum::response::Response {
    let text = String::from_utf8(body.to_vec()).unwrap();
    let result = if text.contains("/list") {
        json!({
            "tools": [{ "name": "read_a", "inputSchema": { "z": 1.0, "a": 2 } }, { "name": "write" }, { "name": "secret" }, { "name": "read_\u{202e}x" }],
            "nextCursor": "c",
            "cacheScope": "public",
        })
    } else {
        json!({ "called": text })
    };
    let message = json!({ "jsonrpc": "2.0", "id": 1, "result": result }).to_string();
    let shared = (header::CACHE_CONTROL, "max-age=60");
    if text.contains("broken") {
        ([(header::CONTENT_TYPE, "application/json")], "{\"tools\":[]").into_response()
    } else if headers[header::ACCEPT] == "text/event-stream" {
        ([(header::CONTENT_TYPE, "text/event-stream"), shared], format!("id: 7\ndata: {message}\n\n"))
            .into_response()
    } else {
        ([(header::CONTENT_TYPE, "application/json"), shared], message).into_response()
    }
}

async fn world(unlisted: Unlisted) -> World {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, Router::new().fallback(any(listing))).await });
    world_with("", |config| {
        let server = &mut config.servers[0];
        server.upstream = format!("http://{address}/mcp").into();
        server.required_scope = Scope::none();
        let scope = |text| Scope::parse(text).unwrap();
        let rule = |tools: &[&str], text| Rule {
            tools: tools.iter().map(|name| (*name).to_owned()).collect(),
            scopes: scope(text),
            ..Rule::default()
        };
        server.policy = Policy {
            rules: vec![rule(&["read_*"], "read"), rule(&["write", "read_and_write"], "write")],
            unlisted,
            implies: vec![("admin".into(), scope("write read"))],
            ..Policy::default()
        };
    })
    .await
}

async fn ask(world: &World, scope: &str, body: &str, accept: &str) -> Answer {
    let token = world.token_of(|token| token.scope = (!scope.is_empty()).then(|| scope.to_owned()));
    let bearer = format!("Bearer {token}");
    world.post(body, &[("authorization", &bearer), ("accept", accept)]).await
}

async fn call(world: &World, scope: &str, tool: &str) -> Answer {
    let call = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": tool } });
    ask(world, scope, &call.to_string(), "application/json").await
}

#[tokio::test]
async fn rs_010_rs_017_one_challenge_names_all_scopes_of_the_operation() {
    let world = world(Unlisted::Deny).await;
    for _ in 0..100 {
        let answer = call(&world, "read", "read_and_write").await;
        assert_eq!(answer.status, 403);
        let challenge = answer.header("www-authenticate");
        for part in [
            "error=\"insufficient_scope\"",
            "scope=\"read write\"",
            &format!("resource_metadata=\"{METADATA}\""),
        ] {
            assert!(challenge.contains(part), "{challenge}");
        }
    }
    assert_eq!(call(&world, "read write", "read_and_write").await.status, 200);
    assert_eq!(call(&world, "read", "read_a").await.status, 200);
    for near in ["", "Read", "readwrite", "rea", "*"] {
        assert_eq!(call(&world, near, "read_a").await.status, 403, "rs_034 {near}");
    }
}

#[tokio::test]
async fn rs_016_a_broader_scope_is_enough() {
    let world = world(Unlisted::Deny).await;
    assert_eq!(call(&world, "admin", "read_and_write").await.status, 200);
    assert_eq!(call(&world, "write", "read_a").await.status, 403);
}

#[tokio::test]
async fn rs_053_t_78_what_no_rule_names_is_denied_without_a_challenge() {
    for (unlisted, status) in [(Unlisted::Deny, 403), (Unlisted::Default, 200)] {
        let world = world(unlisted).await;
        for name in ["secret", "Read_a", "write ", "wr\u{131}te", "read_\u{202e}x", "read_a\u{200b}"] {
            let answer = call(&world, "read write admin", name).await;
            assert_eq!(answer.status, status, "{name:?}");
            if status == 403 {
                assert_eq!(answer.header("www-authenticate"), "", "asking for more would not help");
                assert_eq!(answer.json()["id"], 1);
            }
        }
    }
}

#[tokio::test]
async fn t_90_a_name_of_a_tool_does_not_get_into_a_challenge() {
    let world = world(Unlisted::Deny).await;
    for (name, status) in [
        ("read_\", scope=\"evil", 403),
        ("read_\\\", scope=\\\"evil", 403),
        ("read_\u{85}x-evil: 1", 400),
        // In any spelling, a line break is in no name.
        ("read_\r\nx-evil: 1", 400),
        ("read_\nx-evil: 1", 400),
        ("read_\rx-evil: 1", 400),
        ("read_\0x-evil: 1", 400),
    ] {
        let answer = call(&world, "", name).await;
        assert_eq!(answer.status, status, "{name:?}");
        let mut fields = answer.headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap()));
        assert!(!fields.any(|(name, value)| format!("{name} {value}").contains("evil")), "{name:?}");
        assert!(!answer.text.contains("evil"), "{name:?}: {}", answer.text);
    }
}

#[tokio::test]
async fn rs_054_t_84_lists_show_what_is_allowed_or_can_be_and_are_private() {
    let list = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    let world = world(Unlisted::Deny).await;
    for accept in ["application/json", "text/event-stream"] {
        for scope in ["read", "", "admin"] {
            let answer = ask(&world, scope, list, accept).await;
            assert_eq!(
                (answer.status, answer.header("cache-control")),
                (200, "private, no-cache"),
                "{accept}"
            );
            let json: serde_json::Value =
                serde_json::from_str(answer.text.trim_start_matches("id: 7\ndata: ").trim()).unwrap();
            let names: Vec<_> =
                json["result"]["tools"].as_array().unwrap().iter().map(|tool| &tool["name"]).collect();
            assert_eq!(names, ["read_a", "write"], "{accept} {scope}");
            assert_eq!(json["result"]["cacheScope"], "private");
            assert!(json["result"]["nextCursor"].as_str().unwrap().len() > 20, "rs_055 it is this caller's");
        }
    }
    let broken = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list","params":{"x":"broken"}}"#;
    let answer = ask(&world, "read", broken, "application/json").await;
    assert_eq!((answer.status, &answer.json()["id"]), (502, &json!(1)));
}

#[tokio::test]
async fn rs_054_without_a_rule_that_hides_lists_pass_as_they_are() {
    let list = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    let answer = ask(&world(Unlisted::Default).await, "", list, "application/json").await;
    assert_eq!(answer.json()["result"]["tools"].as_array().unwrap().len(), 4);
}
