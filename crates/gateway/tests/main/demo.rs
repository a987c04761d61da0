//! The built-in server, behind the gateway, in the old and the new way to speak.

use crate::support::{Answer, World, world_with};
use hallpass_gateway::demo::demo_router;
use serde_json::{Value, json};

async fn demo() -> World {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, demo_router()).await });
    world_with("unused", |config| config.servers[0].upstream = url.into()).await
}

async fn old(world: &World, method: &str, params: Value) -> Answer {
    let message = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    world
        .post(
            &message.to_string(),
            &[("mcp-protocol-version", "2025-11-25"), ("accept", "application/json, text/event-stream")],
        )
        .await
}

async fn new(world: &World, method: &str, mut params: Value, version: &str) -> Answer {
    params["_meta"] = json!({ "io.modelcontextprotocol/protocolVersion": version });
    let name = params["name"].as_str().unwrap_or_default().to_owned();
    let message = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let mut more = vec![("mcp-protocol-version", version), ("mcp-method", method)];
    if !name.is_empty() {
        more.push(("mcp-name", &name));
    }
    world.post(&message.to_string(), &more).await
}

#[tokio::test]
async fn a_session_of_the_old_wire() {
    let world = demo().await;
    for (asked, given) in [
        ("2025-06-18", "2025-06-18"),
        ("2025-11-25", "2025-11-25"),
        ("2024-11-05", "2025-11-25"),
        ("2026-07-28", "2025-11-25"),
    ] {
        let answer = old(&world, "initialize", json!({ "protocolVersion": asked, "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } })).await;
        assert_eq!(answer.json()["result"]["protocolVersion"], given, "{asked}");
    }
    let initialized = world.post(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#, &[]).await;
    assert_eq!((initialized.status, initialized.text.as_str()), (202, ""));
    assert_eq!(old(&world, "ping", json!({})).await.json()["result"], json!({}));
    let tools = old(&world, "tools/list", json!({})).await.json();
    let names: Vec<_> = tools["result"]["tools"]
        .as_array()
        .unwrap()
        .iter()
        .map(|tool| tool["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["echo", "add", "time"]);
    for (name, arguments, text) in [
        ("echo", json!({ "message": "grüße" }), "grüße"),
        ("add", json!({ "a": 2, "b": 0.5 }), "2.5"),
        ("add", json!({ "a": 2, "b": 3 }), "5"),
    ] {
        let answer = old(&world, "tools/call", json!({ "name": name, "arguments": arguments })).await;
        assert_eq!(answer.json()["result"]["content"][0], json!({ "type": "text", "text": text }));
    }
    for (method, params, code) in [
        ("tools/call", json!({ "name": "nothing" }), -32602),
        ("tools/call", json!({ "name": "add", "arguments": { "a": "2" } }), -32602),
        ("resources/list", json!({}), -32601),
    ] {
        let answer = old(&world, method, params).await;
        assert_eq!((answer.status, &answer.json()["error"]["code"]), (200, &code.into()), "{method}");
    }
    let listening = world.ask(world.request("GET", "", &[])).await;
    assert_eq!((listening.status, listening.header("allow")), (405, "POST"));
}

#[tokio::test]
async fn requests_of_the_new_wire() {
    let world = demo().await;
    let found = new(&world, "server/discover", json!({}), "2026-07-28").await.json();
    assert_eq!(found["result"]["resultType"], "complete");
    assert!(found["result"]["supportedVersions"].as_array().unwrap().contains(&json!("2026-07-28")));
    assert_eq!(found["result"]["_meta"]["io.modelcontextprotocol/serverInfo"]["name"], "hallpass-demo");
    let list = new(&world, "tools/list", json!({}), "2026-07-28").await.json();
    assert_eq!(
        (list["result"]["tools"].as_array().unwrap().len(), &list["result"]["cacheScope"]),
        (3, &json!("public"))
    );
    let answer =
        new(&world, "tools/call", json!({ "name": "echo", "arguments": { "message": "x" } }), "2026-07-28")
            .await
            .json();
    assert_eq!(
        (&answer["result"]["content"][0]["text"], &answer["result"]["resultType"]),
        (&json!("x"), &json!("complete"))
    );
    for method in ["initialize", "ping", "no/such"] {
        let answer = new(&world, method, json!({}), "2026-07-28").await;
        assert_eq!((answer.status, &answer.json()["error"]["code"]), (404, &json!(-32601)), "{method}");
    }
    let unknown = new(&world, "tools/list", json!({}), "2027-01-01").await;
    assert_eq!((unknown.status, &unknown.json()["error"]["code"]), (400, &json!(-32022)));
    assert_eq!(unknown.json()["error"]["data"]["requested"], "2027-01-01");
}
