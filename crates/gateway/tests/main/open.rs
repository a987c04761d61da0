//! Tools that are open to anybody: what is done without a token, and what is not.

use crate::support::{Answer, METADATA, PING, START, World, bare, world_with};
use axum::{
    Router,
    body::Bytes,
    http::{HeaderMap, HeaderValue, header},
    routing::post,
};
use hallpass_core::{challenge, mcp::Constraints, scope::Scope};
use hallpass_gateway::{
    BrowserPage, CallLog, CallRecord, CallerLimits, Callers, ChallengeStyle, GatewayConfig, Policy, Rule,
    StyleFor, Unlisted,
};
use serde_json::{Value, json};
use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, Mutex},
};

fn rule(tools: &[&str]) -> Rule {
    Rule { tools: tools.iter().map(|tool| (*tool).to_owned()).collect(), ..Rule::default() }
}

fn policy() -> Policy {
    let public = Constraints::parse(&json!({ "path": { "matches": "/public/*" } })).unwrap();
    let ann = Callers { people: Some(vec!["ann".into()]), ..Callers::default() };
    Policy {
        rules: vec![
            Rule { name: Some("open".into()), open: true, ..rule(&["search", "get_*"]) },
            Rule { open: true, arguments: public, ..rule(&["read"]) },
            Rule { scopes: Scope::of(["files:read"]), ..rule(&["read", "free"]) },
            Rule { scopes: Scope::of(["files:write"]), ..rule(&["write"]) },
            Rule { callers: ann, ..rule(&["anns"]) },
            Rule { deny: true, ..rule(&["get_secret"]) },
        ],
        unlisted: Unlisted::Deny,
        ..Policy::default()
    }
}

async fn opened(behaviour: &str, change: impl FnOnce(&mut GatewayConfig)) -> World {
    world_with(behaviour, |config| {
        config.servers[0].policy = policy();
        config.address = Some(Arc::new(|parts| {
            let from =
                parts.headers.get("x-test-address").and_then(|value| value.to_str().ok()?.parse().ok());
            Some(from.unwrap_or(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7))))
        }));
        change(config);
    })
    .await
}

fn tool(name: &str, arguments: &Value) -> String {
    let params = json!({ "name": name, "arguments": arguments });
    json!({ "jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params }).to_string()
}

async fn nobody(world: &World, body: &str, more: &[(&str, &str)]) -> Answer {
    world.ask(bare("POST", "/mcp", body, more)).await
}

fn challenged(answer: &Answer) -> Option<String> {
    let challenges = challenge::parse(&[answer.header("www-authenticate")]);
    let challenge = challenges.first()?;
    assert!(challenge.parameter("error").is_none(), "rs_007");
    assert_eq!(challenge.parameter("resource_metadata"), Some(METADATA));
    challenge.parameter("scope").map(str::to_owned)
}

#[tokio::test]
async fn t_85_without_a_token_what_is_open_and_nothing_else() {
    let world = opened("echo", |_| {}).await;
    let (none, public) = (json!({}), json!({ "path": "/public/a" }));
    for (name, arguments) in [("search", &none), ("get_it", &none), ("read", &public)] {
        assert_eq!(nobody(&world, &tool(name, arguments), &[]).await.status, 200, "{name}");
    }
    let asked = world.upstream.asked();
    let both = "files:read files:write";
    for (name, arguments, status, scope) in [
        ("read", &none, 401, Some("files:read")),
        ("free", &none, 401, Some("files:read")),
        ("write", &none, 401, Some(both)),
        ("anns", &none, 401, Some("files:read")),
        ("get_secret", &none, 403, None),
        ("unknown", &none, 403, None),
        ("Search", &none, 403, None),
        ("get_\u{202e}it", &none, 403, None),
    ] {
        let answer = nobody(&world, &tool(name, arguments), &[]).await;
        assert_eq!(
            (answer.status, challenged(&answer).as_deref()),
            (status, scope),
            "{name}: {}",
            answer.text
        );
    }
    for method in
        ["resources/read", "prompts/get", "completion/complete", "logging/setLevel", "tasks/list", "other"]
    {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": { "uri": "file:///a", "name": "a" } }).to_string();
        let status = nobody(&world, &body, &[]).await.status;
        assert!(matches!(status, 401 | 403), "{method}: {status}");
    }
    assert_eq!(world.upstream.asked(), asked, "none of it was heard of");
    // What this server echoes is no list, which is not passed on; that it was asked is what counts here.
    for (method, status) in
        [("initialize", 200), ("ping", 200), ("tools/list", 502), ("notifications/initialized", 200)]
    {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": {} }).to_string();
        assert_eq!(nobody(&world, &body, &[]).await.status, status, "{method}");
    }
    assert_eq!(world.upstream.asked(), asked + 4);
}

#[tokio::test]
async fn t_85_what_takes_no_scope_is_not_open() {
    let world = opened("echo", |config| {
        let server = &mut config.servers[0];
        server.required_scope = Scope::none();
        server.policy.rules.push(rule(&["plain"]));
        server.policy.unlisted = Unlisted::Default;
    })
    .await;
    let token = format!("Bearer {}", world.token_of(|token| token.scope = None));
    for name in ["plain", "unlisted"] {
        let call = tool(name, &json!({}));
        assert_eq!(nobody(&world, &call, &[]).await.status, 401, "{name}");
        assert_eq!(world.post(&call, &[("authorization", &token)]).await.status, 200, "{name}");
    }
}

#[tokio::test]
async fn rs_009_a_bad_token_is_never_taken_for_none() {
    let world = opened("echo", |_| {}).await;
    let call = tool("search", &json!({}));
    let expired = world.token_of(|token| token.expires_at = START.minus(std::time::Duration::from_mins(5)));
    for (authorization, status) in [
        ("Bearer x".to_owned(), 401),
        (format!("Bearer {expired}"), 401),
        (format!("Bearer {}x", world.token()), 401),
        (format!("DPoP {}", world.token()), 401),
        ("Basic YTpi".to_owned(), 401),
        ("Bearer".to_owned(), 400),
        (String::new(), 400),
    ] {
        let answer = nobody(&world, &call, &[("authorization", &authorization)]).await;
        assert_eq!(answer.status, status, "{authorization}");
    }
    let token = world.token();
    let two = [("authorization", "Bearer x"), ("authorization", token.as_str())];
    assert_eq!(nobody(&world, &call, &two).await.status, 400);
    assert_eq!(world.upstream.asked(), 0);
}

#[tokio::test]
async fn rs_007_where_nothing_is_open_nothing_is_read_without_a_token() {
    let world = world_with("echo", |_| {}).await;
    for body in [PING, "not json", &tool("search", &json!({}))] {
        let answer = nobody(&world, body, &[]).await;
        assert_eq!((answer.status, challenged(&answer).as_deref()), (401, Some("files:read")), "rs_015");
    }
}

#[tokio::test]
async fn a_person_may_what_anybody_may() {
    let world = opened("echo", |_| {}).await;
    for (name, scope, status) in [
        ("search", "", 200),
        ("search", "files:read", 200),
        ("read", "", 403),
        ("get_secret", "files:read", 403),
    ] {
        let token = format!("Bearer {}", world.token_of(|token| token.scope = Some(scope.into())));
        let answer = world.post(&tool(name, &json!({})), &[("authorization", &token)]).await;
        assert_eq!(answer.status, status, "{name} {scope}");
    }
}

#[tokio::test]
async fn rs_056_t_81_a_session_without_a_token_is_nobodys_and_no_persons_is_without() {
    let world = opened("session", |_| {}).await;
    let (open, mine) = (nobody(&world, PING, &[]).await, world.post(PING, &[]).await);
    let (open, mine) = (open.header("mcp-session-id").to_owned(), mine.header("mcp-session-id").to_owned());
    assert!(!open.is_empty() && !mine.is_empty());
    let (open, mine) = ([("mcp-session-id", open.as_str())], [("mcp-session-id", mine.as_str())]);
    assert_eq!(nobody(&world, PING, &open).await.status, 200);
    assert_eq!(world.post(PING, &mine).await.status, 200);
    assert_eq!(world.post(PING, &open).await.status, 404, "begin anew after a sign-in");
    assert_eq!(nobody(&world, PING, &mine).await.status, 404);
    assert_eq!(nobody(&world, PING, &[("mcp-session-id", "upstream-session-1")]).await.status, 404);
    // Nor is it that of a machine or a person who is called as nobody is.
    let named = world.token_of(|token| {
        token.subject = "(anonymous)".into();
        token.client_id = "client".into();
    });
    let more = [open[0], ("authorization", &*format!("Bearer {named}"))];
    assert_eq!(world.post(PING, &more).await.status, 404);
}

#[tokio::test]
async fn rs_018_t_88_whoever_has_no_token_is_counted_by_address() {
    let limits = CallerLimits { anonymous_per_minute: Some(3), ..CallerLimits::default() };
    let world = opened("echo", |config| config.servers[0].callers = limits).await;
    let call = tool("search", &json!({}));
    for _ in 0..3 {
        assert_eq!(nobody(&world, &call, &[]).await.status, 200);
    }
    let refused = nobody(&world, &call, &[]).await;
    assert_eq!(refused.status, 429);
    assert!(!refused.header("retry-after").is_empty());
    // Before a word of it is read.
    assert_eq!(nobody(&world, "not json", &[]).await.status, 429);
    assert_eq!(nobody(&world, &call, &[("x-test-address", "192.0.2.8")]).await.status, 200);
    assert_eq!(world.post(&call, &[]).await.status, 200, "a person is not counted with them");
}

#[tokio::test]
async fn rs_035_rules_that_are_tried_out_let_no_stranger_in() {
    let world = opened("echo", |config| config.servers[0].policy.dry_run = true).await;
    assert_eq!(nobody(&world, &tool("write", &json!({})), &[]).await.status, 401);
    assert_eq!(world.post(&tool("write", &json!({})), &[]).await.status, 200);
}

#[tokio::test]
async fn p33_a_client_that_looks_into_results_is_told_there_to_sign_in() {
    let style = StyleFor { client: "(anonymous)".into(), style: ChallengeStyle::ToolResult };
    let world = opened("echo", |config| config.challenge_styles = vec![style]).await;
    let answer = nobody(&world, &tool("write", &json!({})), &[]).await;
    let told = &answer.json()["result"]["_meta"]["mcp/www_authenticate"][0];
    assert!(answer.status == 200 && told.as_str().unwrap().contains("scope=\"files:read files:write\""));
}

struct Heard(Mutex<Vec<(Option<String>, Option<String>)>>);

impl CallLog for Heard {
    fn call(&self, record: &CallRecord<'_>) {
        let heard = (record.person.map(str::to_owned), record.client.map(str::to_owned));
        self.0.lock().unwrap().push(heard);
    }
}

#[tokio::test]
async fn rs_033_nobody_is_no_person() {
    let heard = Arc::new(Heard(Mutex::default()));
    let calls: Arc<dyn CallLog> = heard.clone();
    let world = opened("echo", |config| config.calls = Some(calls)).await;
    nobody(&world, &tool("search", &json!({})), &[]).await;
    assert_eq!(heard.0.lock().unwrap()[0], (None, Some("(anonymous)".into())));
}

/// A server with four tools.
async fn listing() -> String {
    let answer = |_: Bytes| async {
        let tools = ["search", "read", "write", "anns", "get_secret", "hidden"];
        let tools = tools.map(|name| json!({ "name": name, "inputSchema": {}, "securitySchemes": "theirs" }));
        let body = json!({ "jsonrpc": "2.0", "id": 1, "result": { "tools": tools } }).to_string();
        ([(header::CONTENT_TYPE, "application/json")], body)
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/mcp", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, Router::new().route("/mcp", post(answer))).await });
    url
}

#[tokio::test]
async fn rs_054_p33_lists_show_what_is_open_and_what_a_sign_in_would_allow() {
    let url = listing().await;
    let style = StyleFor { client: "looks".into(), style: ChallengeStyle::ToolResult };
    let world = opened("echo", |config| {
        config.servers[0].upstream = url.as_str().into();
        config.challenge_styles = vec![style];
    })
    .await;
    let list = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    let names = |answer: &Answer| -> Vec<String> {
        let json = answer.json();
        let tools = json["result"]["tools"].as_array().unwrap();
        tools.iter().map(|tool| tool["name"].as_str().unwrap().to_owned()).collect()
    };
    let open = nobody(&world, list, &[]).await;
    assert_eq!(names(&open), ["search", "read", "write"]);
    let scheme = |answer: &Answer, at: usize| answer.json()["result"]["tools"][at]["securitySchemes"].clone();
    assert_eq!(scheme(&open, 0), json!([{ "type": "noauth" }]));
    let read = json!([{ "type": "noauth" }, { "type": "oauth2", "scopes": ["files:read"] }]);
    assert_eq!(scheme(&open, 1), read);
    assert_eq!(scheme(&open, 2), json!([{ "type": "oauth2", "scopes": ["files:read", "files:write"] }]));
    assert_eq!(open.json()["result"]["tools"][1]["_meta"]["securitySchemes"], read);
    assert!(
        open.header("cache-control").contains("no-store") || open.header("cache-control").contains("private")
    );

    let ann = world.post(list, &[]).await;
    assert_eq!(names(&ann), ["search", "read", "write", "anns"]);
    assert_eq!(scheme(&ann, 0), "theirs", "for clients that look there alone");
    let looks = format!("Bearer {}", world.token_of(|token| token.client_id = "looks".into()));
    assert_eq!(scheme(&world.post(list, &[("authorization", &looks)]).await, 1), read);
}

#[tokio::test]
async fn rs_007_a_browser_that_opens_an_open_server_sees_the_page_of_all_servers() {
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, html)]);
    let page = BrowserPage { headers, body: Bytes::from_static(b"<h1>Files</h1>") };
    let world = opened("events", |config| config.servers[0].page = Some(page)).await;
    let ask = async |method, accept| world.ask(bare(method, "/mcp", PING, &[("accept", accept)])).await;
    let seen = ask("GET", "text/html,application/xhtml+xml,*/*;q=0.8").await;
    assert_eq!((seen.status, seen.text.as_str()), (401, "<h1>Files</h1>"));
    assert_eq!(seen.header("content-type"), "text/html; charset=utf-8");
    assert_eq!(world.upstream.asked(), 0);
    // Every client without a token is let in as before.
    for (method, accept) in [("POST", "text/html"), ("GET", "text/event-stream, text/html")] {
        let stream = world.send(bare(method, "/mcp", PING, &[("accept", accept)])).await;
        assert_eq!(stream.status(), 200, "{method}");
    }
    assert_eq!(world.upstream.asked(), 2);
}
