//! Metadata documents whose host answers, answers badly, or does not answer.

use crate::support::*;
use http::StatusCode;
use serde_json::{Value, json};

const PATH: &str = "/client.json";

fn document(url: &str) -> Value {
    json!({
        "client_id": url,
        "client_name": "Documented",
        "redirect_uris": [REDIRECT],
        "grant_types": ["authorization_code", "refresh_token"],
        "token_endpoint_auth_method": "none",
    })
}

#[tokio::test]
async fn as_043_as_049_a_documents_client_signs_in() {
    let (server, host) = Server::with_documents(settings()).await;
    let url = host.url(PATH);
    host.publish(PATH, &document(&url).to_string());
    let mut browser = server.set_up().await;
    let page = browser.ask(&Server::request(&url)).await;
    assert!(page.text.contains("dev.internal"), "{}", page.text);
    let code = browser.answer(&page, "allow").await.answered("code").unwrap();
    assert_eq!(server.redeem(&url, &code).await.status, StatusCode::OK);
    let mut other = Server::request(&url);
    other.insert("redirect_uri".into(), "http://127.0.0.1:5000/other".into());
    assert_eq!(browser.get(&query(&other)).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(host.requests(PATH), 1);
}

#[tokio::test]
async fn p28_as_046_as_053_only_a_failure_on_the_way_falls_back_on_the_last_good_copy() {
    let (server, host) = Server::with_documents(settings()).await;
    let url = host.url(PATH);
    host.publish(PATH, &document(&url).to_string());
    let mut browser = server.set_up().await;
    browser.allow(&Server::request(&url)).await;
    let json = "content-type: application/json\r\n";
    let html = "content-type: text/html\r\n";
    for (status, headers, body, falls_back) in [
        (403, "cf-mitigated: challenge\r\n", "<html>", true),
        (403, html, "<html>", true),
        (429, "", "", true),
        (500, "", "", true),
        (503, html, "<html>", true),
        (200, html, "<html>One moment</html>", true),
        (302, "location: /login\r\n", "", false),
        (401, "", "", false),
        (404, html, "<html>", false),
        (410, "", "", false),
        (200, json, "{", false),
        (200, json, "{\"client_id\":\"https://dev.internal/other\"}", false),
    ] {
        // The copy that HTTP lets us keep is over: each request asks the host again.
        server.push(400);
        host.answer(PATH, status, headers, body);
        let before = host.requests(PATH);
        let page = browser.get(&query(&Server::request(&url))).await;
        assert_eq!(page.hidden("page").is_some(), falls_back, "{status} {headers}: {}", page.text);
        assert!(falls_back || !page.status.is_success() && page.target().is_none(), "{status}");
        assert_eq!(host.requests(PATH), before + 1, "{status} {headers}");
        // AS-052: what failed is never kept.
        host.publish(PATH, &document(&url).to_string());
        assert!(
            browser.get(&query(&Server::request(&url))).await.hidden("page").is_some(),
            "{status} {headers}"
        );
    }
}

#[tokio::test]
async fn p28_a_pinned_copy_is_the_last_resort_of_a_well_known_client_and_of_nobody_else() {
    let (server, _host) = Server::with_documents(settings()).await;
    let mut browser = server.set_up().await;
    let claude = "https://claude.ai/oauth/claude-code-client-metadata";
    let mut request = Server::request(claude);
    request.insert("redirect_uri".into(), "http://localhost:3118/callback".into());
    let page = browser.ask(&request).await;
    assert!(page.text.contains("claude.ai") && page.text.contains("Claude Code"), "{}", page.text);
    request.insert("client_id".into(), "https://claude.ai/oauth/other-client-metadata".into());
    let page = browser.get(&query(&request)).await;
    assert_eq!(page.status, StatusCode::BAD_GATEWAY, "{}", page.text);
}
