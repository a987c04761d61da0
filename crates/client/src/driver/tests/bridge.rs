//! The bridge: what a client on stdio sees of a protected server.
use super::world::*;
use crate::driver::{Bridge, LoginOptions};
use serde_json::{Value, json};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{sync::mpsc, time::timeout};

struct Stdio {
    bridge: Bridge,
    out: mpsc::Receiver<Vec<u8>>,
    reports: Arc<Mutex<Vec<String>>>,
}

impl Stdio {
    fn of(world: &World, options: LoginOptions) -> Self {
        let (sender, out) = mpsc::channel(64);
        let reports = Arc::<Mutex<Vec<String>>>::default();
        let told = Arc::clone(&reports);
        let report = Box::new(move |failed: &crate::error::Failed| {
            told.lock().unwrap().push(failed.to_string());
        });
        let person = Box::new(Robot::default());
        let bridge = world.client.bridge(&world.mcp, options, (person, report), sender).unwrap();
        Self { bridge, out, reports }
    }

    async fn say(&self, message: Value) {
        self.bridge.take(message.to_string().as_bytes()).await;
    }

    async fn hear(&mut self) -> Value {
        let line = timeout(Duration::from_secs(10), self.out.recv()).await.expect("an answer").unwrap();
        assert!(!line.contains(&b'\n'), "one line is one message");
        serde_json::from_slice(&line).unwrap()
    }

    async fn initialize(&mut self, world: &World) {
        self.say(request(0, "initialize", json!({ "protocolVersion": "2025-11-25", "capabilities": {} })))
            .await;
        assert_eq!(self.hear().await["result"]["serverInfo"]["name"], "t");
        self.say(json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })).await;
        while !world.called().iter().any(|seen| seen.method == "GET") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

fn request(id: i64, method: &str, params: impl Into<Value>) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params.into() })
}

fn call(id: i64) -> Value {
    request(id, "tools/call", json!({ "name": "t", "arguments": {} }))
}

#[tokio::test]
async fn p10_a_stdio_client_is_signed_in_and_sees_its_own_session() {
    let world = World::new().await;
    let mut stdio = Stdio::of(&world, LoginOptions::default());
    stdio.initialize(&world).await;
    stdio.say(call(7)).await;
    assert_eq!(stdio.hear().await["method"], "notifications/progress");
    assert_eq!(stdio.hear().await, json!({ "jsonrpc": "2.0", "id": 7, "result": { "content": [] } }));
    stdio.bridge.settle(Duration::from_secs(5)).await;
    stdio.bridge.close().await;
    let called = world.called();
    let posts: Vec<_> = called.iter().filter(|seen| seen.method == "POST").collect();
    let initialize = posts.iter().find(|seen| seen.headers.contains_key("authorization")).unwrap();
    assert_eq!(initialize.json()["params"], json!({ "protocolVersion": "2025-11-25", "capabilities": {} }));
    let last = posts.last().unwrap();
    assert_eq!(
        (&*last.headers["mcp-session-id"], &*last.headers["mcp-protocol-version"]),
        ("s1", "2025-11-25")
    );
    assert!(last.headers["authorization"].starts_with("Bearer ") && !last.body.contains("access-"));
    assert_eq!(called.last().unwrap().method, "DELETE");
    assert_eq!(*stdio.reports.lock().unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn p16_a_token_that_dies_and_a_session_that_is_forgotten_cost_the_client_nothing() {
    let world = World::new().await;
    let mut stdio = Stdio::of(&world, LoginOptions::default());
    stdio.initialize(&world).await;
    world.set(|knobs| knobs.good.clear());
    stdio.say(request(1, "tools/list", json!({}))).await;
    assert_eq!(stdio.hear().await["result"], json!({ "tools": [] }));
    let refreshes =
        world.asked("/token").iter().filter(|seen| seen.form().get("refresh_token").is_some()).count();
    assert_eq!((refreshes, world.asked("/authorize").len()), (1, 1), "renewed, nobody was asked again");

    world.set(|knobs| {
        knobs.instead = vec![("/mcp", 404, String::new(), String::new())];
        knobs.times.insert("/mcp", 1);
    });
    stdio.say(request(2, "tools/list", json!({}))).await;
    assert_eq!(stdio.hear().await["id"], 2);
    let opened = world.called().iter().filter(|seen| seen.body.contains("\"initialize\"")).count();
    assert_eq!(opened, 3, "one without a token, one with it, one for the new session");
}

#[tokio::test]
async fn p20_cl_076_t_66_more_scope_is_asked_for_once() {
    let world = World::new().await;
    let mut stdio = Stdio::of(&world, LoginOptions::default());
    stdio.initialize(&world).await;
    let challenge = "www-authenticate: Bearer error=\"insufficient_scope\", scope=\"write\"\r\n";
    world.set(|knobs| {
        knobs.instead = vec![("/mcp", 403, challenge.to_owned(), String::new())];
        knobs.times.insert("/mcp", 1);
    });
    stdio.say(request(1, "tools/list", json!({}))).await;
    assert_eq!(stdio.hear().await["result"], json!({ "tools": [] }));
    let asked = world.asked("/authorize");
    assert_eq!(asked.len(), 2);
    assert!(asked[1].query().get("scope").unwrap().contains("write"));

    world.set(|knobs| {
        knobs.times.insert("/mcp", 50);
    });
    stdio.say(request(2, "tools/list", json!({}))).await;
    let refused = stdio.hear().await;
    assert!(refused["error"]["message"].as_str().unwrap().contains("more permissions"), "{refused}");
    assert_eq!(world.asked("/authorize").len(), 2, "not asked again for what was granted");
}

#[tokio::test]
async fn cl_095_the_stateless_wire_is_passed_on_with_its_headers() {
    let world = World::new().await;
    world.login().await.unwrap();
    world.set(|knobs| knobs.stateless = true);
    let mut stdio = Stdio::of(&world, LoginOptions::default());
    let meta = json!({ "io.modelcontextprotocol/protocolVersion": "2026-07-28" });
    stdio.say(request(3, "tools/call", json!({ "name": "größe", "arguments": {}, "_meta": meta }))).await;
    assert_eq!(stdio.hear().await["method"], "notifications/progress");
    assert_eq!(stdio.hear().await["id"], 3);
    let last = world.called().pop().unwrap();
    assert_eq!(last.headers["mcp-protocol-version"], "2026-07-28");
    assert_eq!(last.headers["mcp-method"], "tools/call");
    assert_eq!(last.headers["mcp-name"], "=?base64?Z3LDtsOfZQ==?=");
    assert!(!last.headers.contains_key("mcp-session-id"));
}

#[tokio::test]
async fn what_is_no_message_and_what_cannot_be_answered_gets_an_error_of_ours() {
    let world = World::new().await;
    let mut stdio = Stdio::of(&world, LoginOptions::default());
    for bad in ["{", "[]", "{\"jsonrpc\":\"2.0\",\"id\":1,\"id\":2,\"method\":\"x\"}"] {
        stdio.bridge.take(bad.as_bytes()).await;
        let refused = stdio.hear().await;
        assert!(refused["id"].is_null() && refused["error"]["code"].as_i64().unwrap() < 0, "{refused}");
    }
    assert_eq!(world.called().len(), 0, "nothing of it was sent");
    stdio.initialize(&world).await;
    world.set(|knobs| knobs.instead = vec![("/mcp", 502, String::new(), "<html>secret</html>".into())]);
    stdio.say(request(1, "tools/list", json!({}))).await;
    let refused = stdio.hear().await;
    assert_eq!((&refused["id"], &refused["error"]["code"]), (&json!(1), &json!(-32603)));
    assert!(
        refused["error"]["message"].as_str().unwrap().contains("502")
            && !refused.to_string().contains("html")
    );
    assert_eq!(stdio.reports.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn a_stream_that_breaks_is_taken_up_where_it_broke() {
    let world = World::new().await;
    let mut stdio = Stdio::of(&world, LoginOptions::default());
    stdio.initialize(&world).await;
    let stream = "content-type: text/event-stream\r\n".to_owned();
    let progress = json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": {} });
    let answer = json!({ "jsonrpc": "2.0", "id": 9, "result": { "content": [1] } });
    world.set(|knobs| {
        knobs.instead = vec![("/mcp", 200, stream.clone(), format!("id: e7\ndata: {progress}\n\n"))];
        knobs.times.insert("/mcp", 1);
    });
    stdio.say(call(9)).await;
    assert_eq!(stdio.hear().await["method"], "notifications/progress");
    world.set(|knobs| {
        knobs.instead = vec![("/mcp", 200, stream, format!("id: e8\ndata: {answer}\n\n"))];
        knobs.times.insert("/mcp", 1);
    });
    assert_eq!(stdio.hear().await, answer);
    let resumed = world.called().pop().unwrap();
    assert_eq!((&*resumed.method, &*resumed.headers["last-event-id"]), ("GET", "e7"));
}

#[tokio::test]
async fn a_token_for_other_programs_is_fresh_or_there_is_none() {
    let world = World::new().await;
    assert!(matches!(
        error(world.client.token(&world.mcp, "default").await),
        crate::error::ClientError::SignInNeeded
    ));
    world.login().await.unwrap();
    let first = world.client.token(&world.mcp, "default").await.unwrap();
    world.clock.push(Duration::from_secs(3_590));
    let second = world.client.token(&world.mcp, "default").await.unwrap();
    assert_ne!(first.token, second.token, "renewed ahead of its end");
    assert!(second.expires_at > first.expires_at);
    world.set(|knobs| knobs.refresh = None);
    world.clock.push(Duration::from_hours(2));
    assert!(matches!(
        error(world.client.token(&world.mcp, "default").await),
        crate::error::ClientError::SignInNeeded
    ));
}

#[tokio::test]
async fn cl_013_what_an_inner_service_says_reaches_neither_the_client_nor_the_servers() {
    const CANARY: &str = "inner-canary";
    let page = format!("<h1>{CANARY}</h1>");
    let refusal = json!({ "error": "server_error", "error_description": CANARY }).to_string();
    for (path, status, body) in [
        ("/.well-known/oauth-protected-resource/mcp", 500, &page),
        ("/.well-known/oauth-protected-resource/mcp", 200, &page),
        ("/.well-known/oauth-authorization-server", 500, &page),
        ("/.well-known/oauth-authorization-server", 200, &page),
        ("/register", 400, &refusal),
        ("/token", 400, &refusal),
        ("/token", 500, &page),
    ] {
        let world = World::new().await;
        world.set(|knobs| knobs.instead = vec![(path, status, String::new(), body.clone())]);
        let mut stdio = Stdio::of(&world, LoginOptions::default());
        stdio
            .say(request(1, "initialize", json!({ "protocolVersion": "2025-11-25", "capabilities": {} })))
            .await;
        let answer = stdio.hear().await;
        assert!(answer["error"].is_object(), "{path} {status}: {answer}");
        assert!(!answer.to_string().contains(CANARY), "{path} {status}: {answer}");
        let told = stdio.reports.lock().unwrap().clone();
        assert!(
            !told.is_empty() && told.iter().all(|line| !line.contains(CANARY)),
            "{path} {status}: {told:?}"
        );
        for seen in world.at_mcp.lock().unwrap().iter().chain(world.at_as.lock().unwrap().iter()) {
            assert!(!format!("{seen:?}").contains(CANARY), "{seen:?}");
        }
    }
}
