//! Whatever the upstream answers, it is no page of ours, sets no cookie, and sends nobody elsewhere (M8).

use crate::support::{Answer, PING, bare, world, world_with};
use bytes::Bytes;
use hallpass_gateway::BrowserPage;
use http::{HeaderMap, HeaderValue, header};

fn assert_ours(answer: &Answer) {
    for name in [
        "set-cookie",
        "location",
        "www-authenticate",
        "clear-site-data",
        "access-control-allow-credentials",
        "server",
        "refresh",
        "link",
    ] {
        assert_eq!(answer.header(name), "", "{name}");
    }
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert!(answer.header("content-security-policy").starts_with("sandbox; default-src 'none'"));
    assert_eq!(answer.header("cross-origin-resource-policy"), "same-origin");
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    for text in ["evil.example", "secret", "<script", "<h1", "<b>"] {
        assert!(!answer.text.contains(text) && !format!("{:?}", answer.headers).contains(text), "{text}");
    }
}

#[tokio::test]
async fn rs_013_pages_of_the_upstream_are_replaced_under_the_same_status() {
    for (behaviour, status) in [("html", 200), ("html-error", 405)] {
        let world = world(behaviour).await;
        let answer = world.post(PING, &[]).await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (status, "application/json"),
            "{behaviour}"
        );
        assert_eq!((&answer.json()["id"], &answer.json()["error"]["code"]), (&1.into(), &(-32000).into()));
        assert_ours(&answer);
    }
}

#[tokio::test]
async fn rs_059_headers_of_the_upstream_pass_by_a_list() {
    let world = world("cookie").await;
    let answer = world.post(PING, &[]).await;
    assert_eq!((answer.status, answer.text.as_str()), (200, "{}"));
    assert_eq!(
        (answer.header("content-type"), answer.header("mcp-protocol-version")),
        ("application/json", "2025-11-25")
    );
    assert_ours(&answer);
}

#[tokio::test]
async fn redirects_and_challenges_of_the_upstream_are_bad_gateways_that_name_the_fix() {
    for (behaviour, fix) in [("redirect", "configure its new URL"), ("unauthorized", "without a token")] {
        let world = world(behaviour).await;
        let answer = world.post(PING, &[]).await;
        assert_eq!((answer.status, &answer.json()["id"]), (502, &1.into()), "{behaviour}");
        assert!(answer.json()["error"]["message"].as_str().unwrap().contains(fix));
        assert_ours(&answer);
        assert_eq!(world.upstream.asked(), 1);
    }
}

#[tokio::test]
async fn statuses_and_bodies_of_json_pass_and_empty_answers_stay_empty() {
    let answer = world("not-found").await.post(PING, &[]).await;
    assert_eq!((answer.status, &answer.json()["error"]["code"]), (404, &(-32601).into()));
    assert_ours(&answer);
    for (behaviour, status) in [("accepted", 202), ("none", 204)] {
        let notification = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
        let answer = world(behaviour).await.post(notification, &[]).await;
        assert_eq!((answer.status, answer.text.as_str(), answer.header("content-type")), (status, "", ""));
        assert_ours(&answer);
    }
}

#[tokio::test]
async fn rs_007_a_browser_that_opens_the_address_sees_a_page_and_every_client_the_same_challenge() {
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    let policy = HeaderValue::from_static("default-src 'none'");
    let headers =
        HeaderMap::from_iter([(header::CONTENT_TYPE, html), (header::CONTENT_SECURITY_POLICY, policy)]);
    let page = BrowserPage { headers, body: Bytes::from_static(b"<h1>Files</h1>") };
    let world = world_with("echo", |config| config.servers[0].page = Some(page)).await;
    let browser = "text/html,application/xhtml+xml,*/*;q=0.8";
    let ask = async |method, accept, token: &str| {
        let both = [("accept", accept), ("authorization", token)];
        let headers = if token.is_empty() { &both[..1] } else { &both[..] };
        world.ask(bare(method, "/mcp?q=%3Cscript%3E", "", headers)).await
    };
    let plain = ask("GET", "application/json, text/event-stream", "").await;
    let seen = ask("GET", browser, "").await;
    assert_eq!((plain.status, seen.status, seen.text.as_str()), (401, 401, "<h1>Files</h1>"));
    assert!(!seen.header("www-authenticate").is_empty());
    assert_eq!(seen.header("www-authenticate"), plain.header("www-authenticate"));
    assert_eq!(seen.header("content-type"), "text/html; charset=utf-8");
    assert_eq!(seen.header("content-security-policy"), "default-src 'none'");
    assert_eq!(seen.header("x-content-type-options"), "nosniff");
    // Nobody else: another method, another wish, a token that is no good.
    for (method, accept, token) in
        [("POST", browser, ""), ("DELETE", browser, ""), ("GET", "*/*", ""), ("GET", browser, "Bearer x")]
    {
        let answer = ask(method, accept, token).await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (401, "application/json"),
            "{method} {accept}"
        );
    }
    assert_eq!(world.upstream.asked(), 0);
}

#[tokio::test]
async fn t_84_nothing_is_kept_by_shared_caches() {
    let answer = world("echo").await.post(PING, &[]).await;
    assert_eq!(answer.header("cache-control"), "no-store");
}
