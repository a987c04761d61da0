//! Rules for some callers and some arguments, limits, and what is told of them.

use crate::support::{Answer, START, World, world_with};
use hallpass_core::{mcp::Constraints, scope::Scope};
use hallpass_gateway::{
    CallLog, CallOutcome, CallRecord, CallerLimits, Callers, ChallengeScopes, ChallengeStyle, Policy,
    RecordedArguments, Rule, StyleFor,
};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, Mutex},
    time::Duration,
};

/// What the log was told: rule, outcome, what was let through.
#[derive(Default)]
struct Told(Mutex<Vec<String>>);

impl CallLog for Told {
    fn call(&self, record: &CallRecord<'_>) {
        let outcome = match record.outcome {
            CallOutcome::Answered(status) => status.as_u16().to_string(),
            CallOutcome::Refused(reason) => reason.to_owned(),
        };
        assert_eq!(record.address, Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7))));
        assert!(record.took < Duration::from_mins(1) && !record.request.to_string().is_empty());
        let line = format!("{:?} {outcome} {:?}", record.rule, record.let_through);
        self.0.lock().unwrap().push(line);
    }
}

impl Told {
    fn last(&self) -> String {
        self.0.lock().unwrap().last().cloned().unwrap_or_default()
    }
}

fn rule(tool: &str) -> Rule {
    Rule { tools: vec![tool.to_owned()], ..Rule::default() }
}

fn policy() -> Policy {
    let people = |name: &str| Callers { people: Some(vec![name.to_owned()]), ..Callers::default() };
    Policy {
        rules: vec![
            Rule { callers: people("ann"), scopes: Scope::of(["files:write"]), ..rule("delete") },
            Rule {
                name: Some("public files".into()),
                arguments: Constraints::parse(&json!({ "path": { "matches": "/public/*" } })).unwrap(),
                ..rule("read")
            },
            Rule { calls_per_minute: Some(2), ..rule("report") },
        ],
        ..Policy::default()
    }
}

async fn world(change: impl FnOnce(&mut hallpass_gateway::GatewayConfig)) -> (World, Arc<Told>) {
    let told = Arc::new(Told::default());
    let log = Arc::clone(&told);
    let world = world_with("echo", |config| {
        config.servers[0].policy = policy();
        config.calls = Some(log);
        config.address = Some(Arc::new(|_| Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7)))));
        change(config);
    })
    .await;
    (world, told)
}

async fn call(world: &World, subject: &str, scope: &str, params: Value) -> Answer {
    let token = world.token_of(|token| {
        subject.clone_into(&mut token.subject);
        token.scope = Some(scope.to_owned());
    });
    let call = json!({ "jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": params });
    world.post(&call.to_string(), &[("authorization", &format!("Bearer {token}"))]).await
}

#[tokio::test]
async fn rs_035_who_may_not_is_refused_though_the_token_has_the_scope() {
    let (world, told) = world(|_| {}).await;
    let both = "files:read files:write";
    let ask = |who, scope| call(&world, who, scope, json!({ "name": "delete" }));
    assert_eq!(ask("ann", both).await.status, 200);
    assert_eq!(told.last(), "Some(\"#1\") 200 None");
    for who in ["bob", "Ann", "client"] {
        let answer = ask(who, both).await;
        assert_eq!((answer.status, answer.header("www-authenticate")), (403, ""), "{who}");
        assert_eq!(answer.json()["id"], 7);
        assert_eq!(told.last(), "Some(\"#1\") denied_caller None");
        assert!(answer.header("x-request-id").len() > 10);
    }
    let answer = ask("ann", "files:read").await;
    assert!(answer.header("www-authenticate").contains("scope=\"files:read files:write\""));
    assert_eq!(world.upstream.asked(), 1);
}

#[tokio::test]
async fn rs_035_t_78_arguments_that_are_not_allowed_never_reach_the_upstream() {
    let (world, told) = world(|_| {}).await;
    let ask = |arguments: Value| {
        call(&world, "ann", "files:read", json!({ "name": "read", "arguments": arguments }))
    };
    assert_eq!(ask(json!({ "path": "/public/a" })).await.status, 200);
    assert_eq!(told.last(), "Some(\"public files\") 200 None");
    for arguments in [
        json!({}),
        json!({ "path": "/etc/passwd" }),
        json!({ "path": "/public/../etc/passwd" }),
        json!({ "path": "/public/%2e%2e/etc/passwd" }),
        json!({ "path": "/public/a", "Path": "/etc/passwd" }),
        json!({ "path": "/public/a", "PATH": "/etc/passwd" }),
        json!({ "path": ["/public/a"] }),
        json!({ "Path": "/public/a" }),
    ] {
        let answer = ask(arguments.clone()).await;
        assert_eq!((answer.status, answer.header("www-authenticate")), (403, ""), "{arguments}");
        assert_eq!(told.last(), "Some(\"public files\") denied_arguments None");
    }
    let twice = r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"read","arguments":{"path":"/public/a","path":"/etc"}}}"#;
    assert_eq!(world.post(twice, &[]).await.status, 400);
    assert_eq!(world.upstream.asked(), 1);
}

#[tokio::test]
async fn a_dry_run_tells_what_the_rules_would_refuse_and_asks_for_the_required_scopes_all_the_same() {
    let (world, told) = world(|config| config.servers[0].policy.dry_run = true).await;
    assert_eq!(call(&world, "bob", "files:read", json!({ "name": "delete" })).await.status, 200);
    assert_eq!(told.last(), "Some(\"#1\") 200 Some(\"denied_caller\")");
    assert_eq!(call(&world, "ann", "files:read", json!({ "name": "delete" })).await.status, 200);
    assert_eq!(told.last(), "Some(\"#1\") 200 Some(\"scope\")");
    assert_eq!(call(&world, "ann", "files:write", json!({ "name": "delete" })).await.status, 403);
    assert_eq!(call(&world, "ann", "files:read", json!({ "name": "read" })).await.status, 200);
    assert_eq!(told.last(), "Some(\"public files\") 200 Some(\"denied_arguments\")");
}

#[tokio::test]
async fn p33_a_client_that_looks_into_results_finds_the_challenge_there() {
    let (world, told) = world(|config| {
        let client = "client".to_owned();
        config.challenge_styles = vec![StyleFor { client, style: ChallengeStyle::ToolResult }];
    })
    .await;
    let answer = call(&world, "ann", "files:read", json!({ "name": "delete" })).await;
    assert_eq!((answer.status, answer.header("www-authenticate")), (200, ""));
    let json = answer.json();
    assert_eq!((&json["id"], &json["result"]["isError"]), (&json!(7), &json!(true)));
    let challenge = json["result"]["_meta"]["mcp/www_authenticate"][0].as_str().unwrap();
    for part in
        ["Bearer ", "error=\"insufficient_scope\"", "scope=\"files:read files:write\"", "resource_metadata="]
    {
        assert!(challenge.contains(part), "{challenge}");
    }
    assert_eq!(told.last(), "Some(\"#1\") scope None");
    // What is no call of a tool has no result that could be an error, and who may not is not sent to sign in.
    let token = format!("Bearer {}", world.token_of(|token| token.scope = None));
    let list = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    assert_eq!(world.post(list, &[("authorization", &token)]).await.status, 403);
    assert_eq!(call(&world, "bob", "files:read", json!({ "name": "delete" })).await.status, 403);
    assert_eq!(world.upstream.asked(), 0);
}

#[tokio::test]
async fn p20_a_challenge_may_name_what_was_granted_too() {
    let (world, _) = world(|config| {
        config.servers[0].policy.challenge = ChallengeScopes::Granted;
    })
    .await;
    let answer = call(&world, "ann", "files:read other", json!({ "name": "delete" })).await;
    assert!(answer.header("www-authenticate").contains("scope=\"files:read files:write other\""));
}

#[tokio::test]
async fn rs_018_rs_065_t_88_a_flood_is_429_with_a_time_and_no_challenge() {
    let (world, told) = world(|config| {
        config.servers[0].callers = CallerLimits { calls_per_minute: Some(5), ..CallerLimits::default() };
    })
    .await;
    let ask = |who| call(&world, who, "files:read", json!({ "name": "other" }));
    for _ in 0..5 {
        assert_eq!(ask("ann").await.status, 200);
    }
    for _ in 0..20 {
        let answer = ask("ann").await;
        assert_eq!((answer.status, answer.header("www-authenticate")), (429, ""));
        let wait: u64 = answer.header("retry-after").parse().unwrap();
        assert!((1..=13).contains(&wait), "{wait}");
        assert!(answer.header("access-control-expose-headers").contains("Retry-After"));
        assert_eq!(answer.json()["error"]["code"], -32000);
    }
    assert_eq!(told.last(), "None too_many None");
    assert_eq!(world.upstream.asked(), 5);
    assert_eq!(ask("bob").await.status, 200, "others are not affected");
    world.clock.push(Duration::from_secs(13));
    assert_eq!(ask("ann").await.status, 200);
    assert!(START.seconds() > 0);
}

#[tokio::test]
async fn rs_018_a_tool_has_a_rate_of_its_own() {
    let (world, told) = world(|_| {}).await;
    let ask = |name| call(&world, "ann", "files:read", json!({ "name": name }));
    assert_eq!((ask("report").await.status, ask("report").await.status), (200, 200));
    let answer = ask("report").await;
    assert_eq!((answer.status, &answer.json()["id"]), (429, &json!(7)));
    assert_eq!(told.last(), "Some(\"#3\") too_many None");
    assert_eq!(ask("other").await.status, 200);
    assert_eq!(call(&world, "bob", "files:read", json!({ "name": "report" })).await.status, 200);
    // Who may not anyway uses nothing up.
    for _ in 0..3 {
        assert_eq!(call(&world, "eve", "", json!({ "name": "report" })).await.status, 403);
    }
    assert_eq!(call(&world, "eve", "files:read", json!({ "name": "report" })).await.status, 200);
}

#[tokio::test]
async fn rs_065_t_88_streams_of_one_caller_are_bounded() {
    let world = world_with("silent-events", |config| {
        config.servers[0].callers = CallerLimits { streams: Some(2), ..CallerLimits::default() };
    })
    .await;
    let open = || world.send(world.request("GET", "", &[]));
    let (one, two) = (open().await, open().await);
    assert_eq!((one.status().as_u16(), two.status().as_u16()), (200, 200));
    let refused = world.ask(world.request("GET", "", &[])).await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, "10"));
    let bob = format!("Bearer {}", world.token_of(|token| "bob".clone_into(&mut token.subject)));
    let other = world.send(world.request("GET", "", &[("authorization", &bob)])).await;
    assert_eq!(other.status().as_u16(), 200);
    drop(one);
    assert_eq!(open().await.status().as_u16(), 200, "its place is free again");
}

#[tokio::test]
async fn an_idle_stream_gets_comments_between_its_events() {
    let world = world_with("silent-events", |config| config.limits.keep_alive = Duration::from_secs(1)).await;
    let mut body = world.send(world.request("GET", "", &[])).await.into_body();
    let mut seen = String::new();
    for _ in 0..3 {
        let frame = tokio::time::timeout(Duration::from_secs(10), body.frame()).await.unwrap();
        seen.push_str(std::str::from_utf8(frame.unwrap().unwrap().data_ref().unwrap()).unwrap());
    }
    assert_eq!(seen, "id: 0\nretry: 500\ndata: {\"n\":0}\n\n: \n: \n");
}

#[tokio::test]
async fn rs_058_no_comment_comes_into_the_middle_of_an_event() {
    let world = world_with("half-events", |config| config.limits.keep_alive = Duration::from_secs(1)).await;
    let answer = world.ask(world.request("GET", "", &[])).await;
    let comments = answer.text.matches(": \n").count();
    let events = answer.text.replace(": \n", "");
    assert_eq!(events, "id: 7\ndata: {\"n\":0}\n\ndata: {\"n\":1}\n\n", "{}", answer.text);
    assert!(comments >= 4 && answer.text.contains("id: 7\ndata: {\"n\":0}\n\n"), "{}", answer.text);
}

#[tokio::test]
async fn rs_065_t_88_deep_wide_and_colliding_messages_cost_little() {
    let world = world_with("accepted", |config| config.limits.body = 4 * 1024 * 1024).await;
    let message = |params: &str| {
        format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"x\",\"params\":{{\"a\":{params}}}}}")
    };
    let members =
        |count: u32| (0..count).map(|number| format!("\"k{number}\":0")).collect::<Vec<_>>().join(",");
    let twice = format!("{{{0},{0}}}", members(50_000));
    for (params, status) in [
        (format!("{{{}}}", members(100_000)), 202),
        (twice, 400),
        (format!("{}1{}", "{\"a\":".repeat(200_000), "}".repeat(200_000)), 400),
        (format!("{}1{}", "[".repeat(1_000_000), "]".repeat(1_000_000)), 400),
        ("9".repeat(2_000_000), 400),
        (format!("\"{}\"", "\\u0061".repeat(200_000)), 202),
        (format!("\"{}\"", "a".repeat(5_000_000)), 413),
    ] {
        let started = std::time::Instant::now();
        let answer = world.post(&message(&params), &[]).await;
        assert_eq!(answer.status, status, "{:?}", params.get(..20));
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    }
}

/// What the log was told of arguments, and all of it that could be told in any other way.
#[derive(Default)]
struct Arguments(Mutex<Vec<(String, String)>>);

impl CallLog for Arguments {
    fn call(&self, record: &CallRecord<'_>) {
        let arguments = record.arguments.map(|map| Value::Object(map.clone()).to_string());
        let rest = format!("{:?}", CallRecord { arguments: None, ..*record });
        self.0.lock().unwrap().push((arguments.unwrap_or_default(), rest));
    }
}

#[tokio::test]
async fn rs_067_t_98_the_log_is_told_the_arguments_that_were_named_and_of_no_other_call() {
    let told = Arc::new(Arguments::default());
    let log = Arc::clone(&told);
    let (world, _) = world(|config| {
        config.calls = Some(log);
        let named = |tool: &str| (tool.to_owned(), ["path", "token"].map(str::to_owned).to_vec());
        config.servers[0].recorded = RecordedArguments(vec![named("read"), named("delete")]);
    })
    .await;
    let canary = "canary-of-an-argument";
    let arguments = json!({ "path": "/public/a", "token": canary, "other": canary, canary: 1 });
    let (whole, refused) = (r#"{"path":"/public/a","token":"[redacted]"}"#, r#"{"path":"/etc"}"#);
    for (who, params, status, said) in [
        ("ann", json!({ "name": "read", "arguments": arguments }), 200, whole),
        ("ann", json!({ "name": "read", "arguments": { "path": "/etc", "x": canary } }), 403, refused),
        ("bob", json!({ "name": "delete", "arguments": arguments }), 403, whole),
        ("ann", json!({ "name": "report", "arguments": arguments }), 200, ""),
        ("ann", json!({ "name": "reads", "arguments": arguments }), 200, ""),
        ("ann", json!({ "name": "read", "arguments": { "path": [canary] } }), 403, r#"{"path":"[list]"}"#),
    ] {
        assert_eq!(call(&world, who, "files:read files:write", params).await.status, status);
        let (arguments, rest) = told.0.lock().unwrap().pop().unwrap();
        assert_eq!(arguments, said);
        assert!(!rest.contains(canary) && !arguments.contains(canary), "{rest}");
    }
    let prompt = json!({ "jsonrpc": "2.0", "id": 7, "method": "prompts/get", "params": { "name": "read", "arguments": arguments } });
    assert_eq!(world.post(&prompt.to_string(), &[]).await.status, 200);
    assert_eq!(told.0.lock().unwrap().pop().unwrap().0, "", "a prompt is no tool");
    let stranger = json!({ "jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": { "name": "read", "arguments": arguments } });
    let bad = [("authorization", "Bearer bad")];
    assert_eq!(world.post(&stranger.to_string(), &bad).await.status, 401);
    assert_eq!(told.0.lock().unwrap().pop().unwrap().0, "", "nobody without a token writes into it");
}
