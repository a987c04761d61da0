//! Callers without a token at a server on stdio: each address has a process of its own, and all of them no more than a person.

use crate::support::{Answer, World, bare, script, world_with};
use hallpass_gateway::{Policy, Rule, Unlisted, Upstream};
use serde_json::{Value, json};
use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::Duration,
};
use tokio::time::sleep;

/// Remembers what it is told, and tells it to whoever asks: what such servers do.
const SERVER: &str = r#"
kept=nothing
while IFS= read -r line; do
  id=${line#*\"id\":}; id=${id%%,*}
  case $line in
    *'"initialize"'*) echo '{"jsonrpc":"2.0","id":'$id',"result":{"protocolVersion":"2025-11-25","capabilities":{},"serverInfo":{"name":"s","version":"1"}}}' ;;
    *'"slow"'*) sleep 2; echo '{"jsonrpc":"2.0","id":'$id',"result":{"pid":'$$'}}' ;;
    *'"canary'*) kept=${line#*canary-}; kept=${kept%%\"*}; echo '{"jsonrpc":"2.0","id":'$id',"result":{}}' ;;
    *'"id"'*) echo '{"jsonrpc":"2.0","id":'$id',"result":{"pid":'$$',"kept":"'$kept'"}}' ;;
  esac
done
"#;

async fn world() -> World {
    world_with("", |config| {
        let mut command = script(SERVER);
        command.limits.processes_per_subject = 2;
        config.servers[0].upstream = Upstream::Stdio(command);
        let open = Rule { tools: vec!["*".into()], open: true, ..Rule::default() };
        config.servers[0].policy =
            Policy { rules: vec![open], unlisted: Unlisted::Deny, ..Policy::default() };
        config.address = Some(Arc::new(|parts| {
            let from =
                parts.headers.get("x-test-address").and_then(|value| value.to_str().ok()?.parse().ok());
            Some(from.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST)))
        }));
    })
    .await
}

/// A call as clients of the newest revision make it.
async fn call(world: &World, from: &str, tool: &str) -> Answer {
    let meta = json!({ "io.modelcontextprotocol/protocolVersion": "2026-07-28", "io.modelcontextprotocol/clientCapabilities": {} });
    let body = json!({ "jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": { "name": tool, "_meta": meta } });
    let headers = [
        ("x-test-address", from),
        ("mcp-protocol-version", "2026-07-28"),
        ("mcp-method", "tools/call"),
        ("mcp-name", tool),
        ("accept", "application/json"),
    ];
    world.ask(bare("POST", "/mcp", &body.to_string(), &headers)).await
}

async fn result(world: &World, from: &str, tool: &str) -> Value {
    let answer = call(world, from, tool).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()["result"].clone()
}

#[tokio::test]
async fn rs_059_t_81_what_one_stranger_leaves_with_a_process_is_not_for_another_to_find() {
    let world = world().await;
    let (one, two, three) = ("192.0.2.1", "192.0.2.2", "192.0.2.3");
    result(&world, one, "canary-of-one").await;
    let (first, second) = (result(&world, one, "get").await, result(&world, two, "get").await);
    assert_eq!((&first["kept"], &second["kept"]), (&json!("of-one"), &json!("nothing")));
    assert_ne!(first["pid"], second["pid"]);
    // Who asks for a third process gets the place of who has been silent for longest.
    let third = result(&world, three, "get").await;
    assert_eq!(third["kept"], "nothing");
    assert_eq!(result(&world, two, "get").await["pid"], second["pid"], "it was asked later");
    assert_eq!(result(&world, one, "get").await["kept"], "nothing", "its process has ended");
}

#[tokio::test]
async fn rs_065_t_88_strangers_wait_for_no_more_than_a_person_has_and_take_nothing_from_who_is_answered() {
    let world = world().await;
    let slow = async |from: &str| call(&world, from, "slow").await.status;
    let (one, two, other) = tokio::join!(slow("192.0.2.1"), slow("192.0.2.2"), async {
        sleep(Duration::from_millis(700)).await;
        call(&world, "192.0.2.3", "get").await
    });
    assert_eq!((one, two, other.status), (200, 200, 503), "{}", other.text);
    assert!(!other.header("retry-after").is_empty());
}

#[tokio::test]
async fn rs_056_t_83_a_session_of_one_address_is_not_there_for_another() {
    let world = world().await;
    let params = json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } });
    let initialize =
        json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params }).to_string();
    let begun = world.ask(bare("POST", "/mcp", &initialize, &[("x-test-address", "192.0.2.1")])).await;
    let session = begun.header("mcp-session-id").to_owned();
    assert!(begun.status == 200 && !session.is_empty(), "{}", begun.text);
    let get =
        json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": { "name": "get" } }).to_string();
    for (from, status) in [("192.0.2.2", 404), ("192.0.2.1", 200)] {
        let headers = [("x-test-address", from), ("mcp-session-id", &*session)];
        assert_eq!(world.ask(bare("POST", "/mcp", &get, &headers)).await.status, status, "{from}");
    }
}
