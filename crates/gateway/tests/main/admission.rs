//! What is answered to whom: metadata to everybody, everything else to good tokens only.

use crate::support::{GRANT, METADATA, ORIGIN, PING, START, World, bare, server, world, world_with};
use hallpass_core::challenge;
use hallpass_resource::{Revocation, Revocations, Revoked};
use std::{sync::Arc, time::Duration};

#[tokio::test]
async fn rs_001_rs_002_rs_003_metadata_for_everybody() {
    let world = world("echo").await;
    for path in ["/.well-known/oauth-protected-resource/mcp", "/.well-known/oauth-protected-resource"] {
        let answer = world
            .ask(bare("GET", path, "", &[("host", "evil.example"), ("x-forwarded-host", "evil.example")]))
            .await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.json()["resource"], "https://mcp.example/mcp", "rs_006");
        assert_eq!(answer.json()["authorization_servers"][0], ORIGIN);
        assert_eq!(answer.json()["scopes_supported"][1], "files:write");
        assert_eq!(
            (answer.header("content-type"), answer.header("access-control-allow-origin")),
            ("application/json", "*")
        );
        let head = world.ask(bare("HEAD", path, "", &[])).await;
        assert_eq!((head.status, head.text.as_str()), (200, ""));
        assert_eq!(world.ask(bare("POST", path, "", &[])).await.status, 405);
    }
}

#[tokio::test]
async fn rs_002_each_server_has_its_own_document() {
    let second = server("/mail", "http://127.0.0.1:1/mcp");
    let world = world_with("echo", |config| config.servers.push(second)).await;
    for name in ["mcp", "mail"] {
        let answer =
            world.ask(bare("GET", &format!("/.well-known/oauth-protected-resource/{name}"), "", &[])).await;
        assert_eq!(answer.json()["resource"], format!("https://mcp.example/{name}"));
    }
    assert_eq!(world.ask(bare("GET", "/.well-known/oauth-protected-resource", "", &[])).await.status, 404);
}

#[tokio::test]
async fn rs_007_rs_008_b_17_the_first_401_says_where_and_what() {
    let world = world("echo").await;
    for more in [&[][..], &[("authorization", "Basic YTpi")]] {
        let answer = world.ask(bare("POST", "/mcp", PING, more)).await;
        let challenges = challenge::parse(&[answer.header("www-authenticate")]);
        assert_eq!((answer.status, challenges.len()), (401, 1));
        assert_eq!(challenges[0].parameter("resource_metadata"), Some(METADATA));
        assert_eq!(challenges[0].parameter("scope"), Some("files:read"));
        assert_eq!(challenges[0].parameter("error"), None);
        assert!(answer.header("access-control-expose-headers").contains("WWW-Authenticate"), "rs_014");
        assert!(answer.json().get("id").is_none());
    }
}

async fn refused(world: &World, token: &str) -> (u16, String) {
    let answer = world.post(PING, &[("authorization", &format!("Bearer {token}"))]).await;
    let challenges = challenge::parse(&[answer.header("www-authenticate")]);
    (answer.status, challenges[0].parameter("error").unwrap_or_default().to_owned())
}

#[tokio::test]
async fn rs_009_rs_010_b_15_b_18_t_70_the_status_table() {
    let world = world("echo").await;
    let invalid = (401, "invalid_token".to_owned());
    for audience in [
        "https://mcp.example",
        "https://mcp.example/mcpx",
        "https://mcp.example/mail",
        "https://other.example/mcp",
    ] {
        assert_eq!(
            refused(&world, &world.token_of(|token| token.audience = audience.into())).await,
            invalid,
            "{audience}"
        );
    }
    assert_eq!(
        refused(&world, &world.token_of(|token| token.issuer = "https://other.example".into())).await,
        invalid
    );
    assert_eq!(refused(&world, "garbage").await, invalid);
    assert_eq!(refused(&world, &world.token()[..100]).await, invalid);
    let unscoped = world.token_of(|token| token.scope = Some("files:write".into()));
    assert_eq!(refused(&world, &unscoped).await, (403, "insufficient_scope".to_owned()));
    assert_eq!(refused(&world, "a b").await, (400, "invalid_request".to_owned()));
    world.clock.push(Duration::from_mins(6));
    assert_eq!(refused(&world, &world.token()).await, invalid);
    assert_eq!(world.upstream.asked(), 0);
}

#[tokio::test]
async fn rs_032_a_revoked_grant_is_refused_at_the_next_call() {
    let world = world("echo").await;
    assert_eq!(world.post(PING, &[]).await.status, 200);
    let until = START.plus(Duration::from_mins(5));
    world.revocations.apply([Revocation { what: Revoked::Grant(GRANT), until }], 1, START);
    assert_eq!(refused(&world, &world.token()).await, (401, "invalid_token".to_owned()));
    assert_eq!(world.upstream.asked(), 1);
}

#[tokio::test]
async fn rs_064_not_ready_is_503() {
    let world = world_with("echo", |config| config.revocations = Arc::new(Revocations::new())).await;
    let answer = world.post(PING, &[]).await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, "2"));
    assert_eq!(world.upstream.asked(), 0);
}

#[tokio::test]
async fn rs_015_t_85_without_a_token_nobody_learns_anything() {
    let world = world("echo").await;
    let first = world.ask(bare("POST", "/mcp", PING, &[])).await;
    for request in [
        bare("GET", "/mcp", "", &[]),
        bare("DELETE", "/mcp", "", &[("mcp-session-id", "x")]),
        bare("PUT", "/mcp", "", &[]),
        bare("HEAD", "/mcp", "", &[]),
        bare("POST", "/mcp", "not json", &[("content-type", "text/html")]),
        bare("POST", "/mcp", &"x".repeat(20_000), &[]),
        bare(
            "POST",
            "/mcp",
            r#"{"jsonrpc":"2.0","id":1,"method":"no/such"}"#,
            &[("mcp-protocol-version", "1999-01-01")],
        ),
        bare("POST", "/mcp?access_token=x", PING, &[]),
    ] {
        let described = format!("{request:?}");
        let head = request.method() == "HEAD";
        let answer = world.ask(request).await;
        assert_eq!(answer.status, 401, "{described}");
        assert_eq!(answer.header("www-authenticate"), first.header("www-authenticate"), "{described}");
        assert!(head || answer.text == first.text, "rs_013 {described}");
    }
    for path in [
        "/",
        "/mcp/",
        "/mcp/x",
        "/MCP",
        "/%6dcp",
        "/authorize",
        "/.well-known/oauth-authorization-server",
        "/sse",
        "/admin",
    ] {
        assert_eq!(world.ask(bare("POST", path, PING, &[])).await.status, 404, "{path}");
    }
    assert_eq!(world.upstream.asked(), 0);
}

#[tokio::test]
async fn rs_020_b_35_a_token_elsewhere_is_no_token() {
    let world = world("echo").await;
    let token = world.token();
    for request in [
        bare("POST", &format!("/mcp?access_token={token}"), PING, &[]),
        bare("POST", "/mcp", PING, &[("cookie", &format!("access_token={token}"))]),
        bare("POST", "/mcp", PING, &[("proxy-authorization", &format!("Bearer {token}"))]),
        bare(
            "POST",
            "/mcp",
            &format!("access_token={token}"),
            &[("content-type", "application/x-www-form-urlencoded")],
        ),
    ] {
        assert_eq!(world.ask(request).await.status, 401);
    }
}

#[tokio::test]
async fn rs_014_preflights_need_no_token() {
    let world = world("echo").await;
    let more = [("origin", "https://page.example"), ("access-control-request-method", "POST")];
    let answer = world.ask(bare("OPTIONS", "/mcp", "", &more)).await;
    assert_eq!((answer.status, answer.text.as_str()), (204, ""));
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    assert!(answer.header("access-control-allow-headers").contains("Authorization"));
    assert_eq!(answer.header("access-control-allow-credentials"), "");
    assert_eq!(world.post(PING, &[("origin", "https://page.example")]).await.status, 200);
}

#[tokio::test]
async fn t_53_t_61_rs_060_dns_rebinding_is_refused_with_a_valid_token() {
    let world = world_with("echo", |config| config.local = true).await;
    for (more, status) in [
        (&[("host", "localhost:8080")][..], 200),
        (&[("host", "localhost:8080"), ("origin", "http://localhost:6274")], 200),
        (&[("host", "evil.example:8080")], 403),
        (&[("host", "localhost:8080"), ("origin", "http://evil.example")], 403),
        (&[("host", "localhost:8080"), ("origin", "null")], 403),
        (&[], 403),
    ] {
        assert_eq!(world.post(PING, more).await.status, status, "{more:?}");
    }
    let more = [("host", "localhost:8080"), ("origin", "http://localhost:6274")];
    let answer = world.ask(bare("OPTIONS", "/mcp", "", &more)).await;
    assert_eq!((answer.status, answer.header("access-control-allow-origin")), (204, "http://localhost:6274"));
    assert_eq!(answer.header("vary"), "Origin");
    let more = [("host", "localhost:8080"), ("origin", "http://evil.example")];
    assert_eq!(world.ask(bare("OPTIONS", "/mcp", "", &more)).await.status, 403);
}

#[tokio::test]
async fn rs_006_t_73_forwarded_headers_decide_nothing() {
    let world = world("echo").await;
    let forged = [
        ("host", "evil.example"),
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-uri", "/.well-known/oauth-protected-resource"),
        ("x-original-url", "/public"),
        ("x-rewrite-url", "/public"),
        ("forwarded", "host=evil.example"),
    ];
    let answer = world.ask(bare("POST", "/mcp", PING, &forged)).await;
    assert_eq!(answer.status, 401);
    let challenges = challenge::parse(&[answer.header("www-authenticate")]);
    assert_eq!(challenges[0].parameter("resource_metadata"), Some(METADATA));
}
