//! Calls with a token: where it goes, and what is done when it is refused.
use super::world::*;
use crate::{
    driver::{Client, LoginOptions, Settings},
    error::ClientError,
    wire::Incoming,
};
use hallpass_core::mcp::revision::Revision;
use serde_json::{Value, json};
use std::sync::Arc;

async fn list(client: &Client, server: &str) -> Result<Vec<Incoming>, ClientError> {
    call(client, server, "tools/list", None).await
}

async fn call(
    client: &Client,
    server: &str,
    method: &str,
    params: Option<Value>,
) -> Result<Vec<Incoming>, ClientError> {
    let mut caller = client.caller(server, "default").map_err(|failed| failed.error)?;
    let params = params.as_ref().and_then(Value::as_object);
    let mut messages = caller.call(method, params).await.map_err(|failed| failed.error)?;
    let mut all = Vec::new();
    while let Some(message) = messages.next().await.map_err(|failed| failed.error)? {
        all.push(message);
    }
    caller.close().await;
    Ok(all)
}

#[tokio::test]
async fn cl_062_the_token_is_in_the_header_of_every_request_and_nowhere_else() {
    let world = World::new().await;
    world.login().await.unwrap();
    let before = world.called().len();
    let answer = call(&world.client, &world.mcp, "tools/call", Some(json!({ "name": "t", "arguments": {} })))
        .await
        .unwrap();
    assert!(
        matches!(&answer[..], [Incoming::Notification(_), Incoming::Result(result)] if *result == json!({ "content": [] }))
    );
    let called = world.called()[before..].to_vec();
    let methods: Vec<_> = called.iter().map(|seen| seen.method.as_str()).collect();
    assert_eq!(methods, ["POST", "POST", "POST", "DELETE"]);
    for seen in &called {
        assert_eq!(seen.headers["authorization"], "Bearer access-2");
        assert!(!seen.target.contains("access") && !seen.body.contains("access-2"));
    }
    assert_eq!(called[2].headers["mcp-session-id"], "s1");
    assert_eq!(called[2].headers["mcp-protocol-version"], "2025-11-25");
}

#[tokio::test]
async fn t_62_cl_062_the_token_does_not_follow_redirects() {
    let world = World::new().await;
    world.login().await.unwrap();
    let thief = bind().await;
    let location = format!("location: {}/mcp\r\n", origin(&thief));
    let stolen = serve(thief, |_| Reply::status(200));
    for status in [301, 302, 303, 307, 308] {
        world.set(|knobs| knobs.instead = vec![("/mcp", status, location.clone(), String::new())]);
        let end = list(&world.client, &world.mcp).await.unwrap_err();
        assert!(matches!(end, ClientError::Status { status: found, .. } if found == status), "{end:?}");
    }
    assert!(stolen.lock().unwrap().is_empty());
}

#[tokio::test]
async fn t_62_cl_063_no_token_for_any_other_url() {
    let world = World::new().await;
    world.login().await.unwrap();
    let port = world.mcp.strip_prefix("http://127.0.0.1:").unwrap().strip_suffix("/mcp").unwrap();
    for other in ["/mcpx", "/other", "/mcp/", "/", "/mcp?x=1"] {
        let url = format!("http://127.0.0.1:{port}{other}");
        let _ = list(&world.client, &url).await;
    }
    let _ = list(&world.client, &format!("http://localhost:{port}/mcp")).await;
    let with_token =
        world.at_mcp.lock().unwrap().iter().filter(|seen| seen.headers.contains_key("authorization")).count();
    assert_eq!(with_token, 0);
}

#[tokio::test]
async fn cl_067_cl_079_a_refused_token_is_renewed_once_under_a_new_id() {
    let world = World::new().await;
    world.login().await.unwrap();
    let before = world.called().len();
    world.set(|knobs| knobs.good.clear());
    assert_eq!(list(&world.client, &world.mcp).await.unwrap().len(), 1);
    let called = world.called()[before..].to_vec();
    let sent: Vec<_> = called.iter().map(|seen| seen.headers["authorization"].as_str()).collect();
    assert_eq!(sent[..2], ["Bearer access-2", "Bearer access-3"]);
    assert_ne!(called[0].json()["id"], called[1].json()["id"]);
    assert_eq!(world.asked("/token").len(), 2);
}

#[tokio::test]
async fn cl_067_t_66_a_server_that_always_refuses_is_asked_twice() {
    let world = World::new().await;
    world.login().await.unwrap();
    let before = world.called().len();
    world.set(|knobs| {
        knobs.instead = vec![("/mcp", 401, "www-authenticate: Bearer\r\n".into(), String::new())];
    });
    let end = list(&world.client, &world.mcp).await.unwrap_err();
    assert!(matches!(end, ClientError::SignInNeeded));
    assert_eq!((world.called().len() - before, world.asked("/token").len()), (2, 2));
    // Nothing is deleted for that: the server may be the one that is wrong.
    assert_eq!(world.kept().entries.len(), 1);
}

#[tokio::test]
async fn not_signed_in_is_said_at_once() {
    let world = World::new().await;
    let end = list(&world.client, &world.mcp).await.unwrap_err();
    assert!(matches!(end, ClientError::SignInNeeded));
    assert_eq!(world.called().len(), 1);
}

#[tokio::test]
async fn t_69_why_a_server_does_not_begin_is_shown_harmless_and_whole() {
    let world = World::new().await;
    world.login().await.unwrap();
    let page = format!("https://as.example/account/connections?link={}", "x".repeat(500));
    let message = format!("Files works with your account.\u{1b}[2J\nOpen {page} to connect it");
    let error = json!({ "code": -32000, "message": message });
    let body = json!({ "jsonrpc": "2.0", "id": 1, "error": error }).to_string();
    for status in [200, 400, 403] {
        let typed = "content-type: application/json\r\n".to_owned();
        world.set(|knobs| knobs.instead = vec![("/mcp", status, typed, body.clone())]);
        let mut caller = world.client.caller(&world.mcp, "default").unwrap();
        let failed = caller.call("tools/list", None).await.unwrap_err();
        assert!(matches!(failed.error, ClientError::NotBegun), "{failed:?}");
        let said = failed.said.unwrap();
        assert_eq!(said.as_str(), format!("Files works with your account.[2J Open {page} to connect it"));
    }
    // Without a message of theirs the status is all there is.
    world.set(|knobs| knobs.instead = vec![("/mcp", 400, String::new(), "no".into())]);
    assert!(matches!(
        list(&world.client, &world.mcp).await.unwrap_err(),
        ClientError::Status { status: 400, .. }
    ));
}

#[tokio::test]
async fn cl_076_t_66_more_scope_is_named_in_union_and_asked_once() {
    let world = World::new().await;
    world.login().await.unwrap();
    let before = world.called().len();
    let challenge = "www-authenticate: Bearer error=\"insufficient_scope\", scope=\"admin read\"\r\n";
    world.set(|knobs| knobs.instead = vec![("/mcp", 403, challenge.into(), String::new())]);
    let end = list(&world.client, &world.mcp).await.unwrap_err();
    let ClientError::MoreScopeNeeded(scope) = end else { panic!("{end:?}") };
    assert_eq!(scope.to_string(), "read write admin");
    assert_eq!((world.called().len() - before, world.asked("/token").len()), (1, 1));
}

#[tokio::test]
async fn cl_101_p30_a_forgotten_session_is_opened_anew_once() {
    let world = World::new().await;
    world.login().await.unwrap();
    let mut caller = world.client.caller(&world.mcp, "default").unwrap();
    drop(caller.call("tools/list", None).await.unwrap());
    let before = world.called().len();
    world.set(|knobs| {
        knobs.instead = vec![("/mcp", 404, String::new(), String::new())];
        knobs.times.insert("/mcp", 1);
    });
    let mut messages = caller.call("tools/list", None).await.unwrap();
    assert!(matches!(messages.next().await.unwrap(), Some(Incoming::Result(_))));
    let methods: Vec<_> = world.called()[before..].iter().map(|seen| seen.json()["method"].clone()).collect();
    assert_eq!(methods, ["tools/list", "initialize", "notifications/initialized", "tools/list"]);
    world.set(|knobs| knobs.times.clear());
    assert!(matches!(error(caller.call("tools/list", None).await), ClientError::Status { status: 404, .. }));
}

#[tokio::test]
async fn cl_095_a_stateless_server_is_spoken_to_without_a_session() {
    let world = World::new().await;
    world.set(|knobs| knobs.stateless = true);
    world.login().await.unwrap();
    let answer = call(&world.client, &world.mcp, "tools/call", Some(json!({ "name": "t" }))).await.unwrap();
    assert!(matches!(answer.last(), Some(Incoming::Result(_))));
    let last = world.called().last().unwrap().clone();
    assert_eq!((last.headers["mcp-method"].as_str(), last.headers["mcp-name"].as_str()), ("tools/call", "t"));
    assert_eq!(last.headers["mcp-protocol-version"], "2026-07-28");
    assert!(!last.headers.contains_key("mcp-session-id"));
}

#[tokio::test]
async fn cl_063_two_servers_of_one_authorization_server_get_two_tokens() {
    let world = World::new().await;
    world.login().await.unwrap();
    let second = bind().await;
    let (base, issuer) = (origin(&second), world.issuer.clone());
    let mcp = format!("{base}/mcp");
    let log = serve(second, move |seen| match seen.path() {
        "/mcp" if seen.headers.contains_key("authorization") => Reply::status(500),
        "/mcp" => Reply(401, "www-authenticate: Bearer\r\n".into(), String::new()),
        "/.well-known/oauth-protected-resource/mcp" => {
            Reply::json(&json!({ "resource": format!("{base}/mcp"), "authorization_servers": [issuer] }))
        }
        _ => Reply::status(404),
    });
    let _ = list(&world.client, &mcp).await;
    assert!(log.lock().unwrap().iter().all(|seen| !seen.headers.contains_key("authorization")));
    world.client.login(&mcp, &LoginOptions::default(), &mut Robot::default()).await.unwrap();
    let _ = list(&world.client, &mcp).await;
    let sent: Vec<_> =
        log.lock().unwrap().iter().filter_map(|seen| seen.headers.get("authorization").cloned()).collect();
    assert_eq!(sent, ["Bearer access-4"]);
    assert_eq!(world.asked("/token")[1].form().get("resource"), Some(mcp.as_str()));
    assert_eq!(world.asked("/register").len(), 1);
}

#[tokio::test]
async fn a_refused_revision_is_replaced_by_one_that_the_server_names_once() {
    let refusal = |supported: &str| {
        let data = json!({ "supported": [supported] });
        json!({ "jsonrpc": "2.0", "id": 1, "error": { "code": -32022, "message": "no", "data": data } })
            .to_string()
    };
    let world = World::new().await;
    let settings = Settings { revision: Some(Revision::V2026_07_28), ..Settings::default() };
    let client = client(world.folder.path().join("state"), Arc::clone(&world.clock), settings);
    world.login().await.unwrap();
    for (supported, expected) in [
        ("2025-06-18", vec!["tools/list", "initialize", "notifications/initialized", "tools/list"]),
        ("2026-07-28", vec!["tools/list", "tools/list"]),
    ] {
        let before = world.called().len();
        world.set(|knobs| {
            knobs.stateless = supported == "2026-07-28";
            knobs.instead = vec![("/mcp", 400, String::new(), refusal(supported))];
            knobs.times.insert("/mcp", 1);
        });
        let mut caller = client.caller(&world.mcp, "default").unwrap();
        let mut messages = caller.call("tools/list", None).await.unwrap();
        assert!(matches!(messages.next().await.unwrap(), Some(Incoming::Result(_))));
        let methods: Vec<Value> =
            world.called()[before..].iter().map(|seen| seen.json()["method"].clone()).collect();
        assert_eq!(methods, expected);
    }
    // A server that refuses what it has named itself is not asked a third time.
    world.set(|knobs| knobs.times.clear());
    let before = world.called().len();
    let mut caller = client.caller(&world.mcp, "default").unwrap();
    let mut messages = caller.call("tools/list", None).await.unwrap();
    assert!(matches!(messages.next().await.unwrap(), Some(Incoming::Error(_))));
    assert_eq!(world.called().len() - before, 2);
}

#[tokio::test]
async fn cl_095_what_a_tool_wants_in_headers_is_learned_from_the_list() {
    let world = World::new().await;
    world.set(|knobs| knobs.stateless = true);
    world.login().await.unwrap();
    let mut caller = world.client.caller(&world.mcp, "default").unwrap();
    drop(caller.call("tools/list", None).await.unwrap());
    let tool = |header: &str| {
        let region = json!({ "type": "string", "x-mcp-header": header });
        json!({ "name": format!("t{}", header.len()), "inputSchema": { "properties": { "region": region } } })
    };
    let list = json!({ "jsonrpc": "2.0", "id": 2, "result": { "tools": [tool("Region"), tool("")] } });
    world.set(|knobs| {
        let json = "content-type: application/json\r\n".to_owned();
        knobs.instead = vec![("/mcp", 200, json, list.to_string())];
        knobs.times.insert("/mcp", 1);
    });
    let mut messages = caller.call("tools/list", None).await.unwrap();
    let Some(Incoming::Result(result)) = messages.next().await.unwrap() else { panic!("no result") };
    assert_eq!(result["tools"].as_array().unwrap().len(), 1);
    let params = json!({ "name": "t6", "arguments": { "region": "eu" } });
    drop(caller.call("tools/call", params.as_object()).await.unwrap());
    assert_eq!(world.called().last().unwrap().headers["mcp-param-region"], "eu");
}

#[tokio::test]
async fn cl_096_no_answer_is_kept_for_another_call_or_account() {
    let world = World::new().await;
    world.login().await.unwrap();
    world.login_with(&LoginOptions { account: "work".into(), ..LoginOptions::default() }).await.unwrap();
    world.set(|knobs| knobs.stateless = true);
    let before = world.called().len();
    for account in ["default", "work"] {
        let mut caller = world.client.caller(&world.mcp, account).unwrap();
        for _ in 0..2 {
            let mut messages = caller.call("tools/list", None).await.unwrap();
            let Some(Incoming::Result(result)) = messages.next().await.unwrap() else { panic!("no result") };
            assert_eq!(result["cacheScope"], "private");
        }
    }
    let lists = world.called()[before..].to_vec();
    let lists =
        lists.iter().filter(|seen| seen.headers.get("mcp-method").is_some_and(|name| name == "tools/list"));
    let tokens: Vec<String> = lists.map(|seen| seen.headers["authorization"].clone()).collect();
    assert_eq!(tokens, ["Bearer access-2", "Bearer access-2", "Bearer access-4", "Bearer access-4"]);
}

#[tokio::test]
async fn cl_100_t_67_what_is_no_address_is_no_server_and_nothing_is_started() {
    let world = World::new().await;
    let made = world.folder.path().join("made");
    let touch = format!("touch {}", made.display());
    for command in [
        "npx -y server",
        "stdio:npx",
        "file:///bin/sh",
        "/bin/sh",
        "cmd://calc",
        &touch,
        &format!("$({touch})"),
    ] {
        assert!(
            matches!(error(world.client.caller(command, "default")), ClientError::ServerUrl(_)),
            "{command}"
        );
        let login = world.client.login(command, &LoginOptions::default(), &mut Robot::default()).await;
        assert!(matches!(error(login), ClientError::ServerUrl(_)), "{command}");
    }
    assert!(!made.exists() && world.called().is_empty());
}
