//! Metadata documents whose host answers, answers badly, or does not answer.

use crate::support::*;
use hallpass_testkit::DocumentHost;
use http::StatusCode;
use serde_json::{Value, json};
use std::time::Duration;

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

/// Waits until the host was asked so often in the background.
async fn asked(host: &DocumentHost, times: usize) {
    for _ in 0..400 {
        if host.requests(PATH) >= times {
            // What was answered has to arrive.
            tokio::time::sleep(Duration::from_millis(50)).await;
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("asked {} times, not {times}", host.requests(PATH));
}

#[tokio::test]
async fn m12_as_053_a_document_that_is_gone_stops_sign_ins_at_once_and_exchanges_only_later() {
    let (server, host) = Server::with_documents(settings()).await;
    let url = host.url(PATH);
    host.publish(PATH, &document(&url).to_string());
    let mut browser = server.set_up().await;
    let code = browser.allow(&Server::request(&url)).await;
    let tokens = server.redeem(&url, &code).await.json();
    let mut token = text(&tokens, "refresh_token").to_owned();
    host.answer(PATH, 404, "", "");
    server.push(400);
    let page = browser.get(&query(&Server::request(&url))).await;
    assert_eq!((page.status, page.target()), (StatusCode::BAD_REQUEST, None), "{}", page.text);
    // Its owner's word is not forgotten because the host does not answer the next time.
    host.answer(PATH, 503, "", "");
    let page = browser.get(&query(&Server::request(&url))).await;
    assert_eq!((page.status, page.target()), (StatusCode::BAD_REQUEST, None), "{}", page.text);
    host.answer(PATH, 404, "", "");
    // One bad deploy signs nobody out: for an hour, and longer where nobody sees it again.
    for seconds in [60, 1_200, 1_200, 1_000] {
        server.push(seconds);
        let before = host.requests(PATH);
        let next = server.refresh(&url, &token).await;
        assert_eq!(next.status, StatusCode::OK, "{next:?}");
        text(&next.json(), "refresh_token").clone_into(&mut token);
        asked(&host, before + 1).await;
    }
    // Seen again after an hour: the client waits.
    server.push(600);
    let before = host.requests(PATH);
    server.refresh(&url, &token).await;
    asked(&host, before + 1).await;
    let waits = server.refresh(&url, &token).await;
    assert_eq!(
        (waits.status, waits.error().as_str()),
        (StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable")
    );
    assert_eq!(waits.header("retry-after"), "300");
    server.push(25 * 3_600);
    let refused = server.refresh(&url, &token).await;
    assert_eq!((refused.status, refused.error().as_str()), (StatusCode::UNAUTHORIZED, "invalid_client"));
    // And it returns with its document, and so do the grants.
    let before = host.requests(PATH);
    host.publish(PATH, &document(&url).to_string());
    server.push(400);
    server.refresh(&url, &token).await;
    asked(&host, before + 1).await;
    let back = server.refresh(&url, &token).await;
    assert_eq!(back.status, StatusCode::OK, "{back:?}");
}

#[tokio::test]
async fn m12_as_052_no_exchange_waits_for_a_fetch_and_the_copy_is_renewed_behind_it() {
    let (server, host) = Server::with_documents(settings()).await;
    let url = host.url(PATH);
    host.publish(PATH, &document(&url).to_string());
    let mut browser = server.set_up().await;
    let code = browser.allow(&Server::request(&url)).await;
    let mut token = text(&server.redeem(&url, &code).await.json(), "refresh_token").to_owned();
    assert_eq!(host.requests(PATH), 1, "fresh for five minutes");
    // A new document counts for exchanges once it was read.
    let mut once = document(&url);
    once["grant_types"] = json!(["authorization_code"]);
    host.publish(PATH, &once.to_string());
    server.push(400);
    let next = server.refresh(&url, &token).await;
    assert_eq!(next.status, StatusCode::OK, "by the old copy");
    text(&next.json(), "refresh_token").clone_into(&mut token);
    asked(&host, 2).await;
    assert_eq!(server.refresh(&url, &token).await.error(), "unauthorized_client");
    host.publish(PATH, &document(&url).to_string());
    server.push(400);
    server.refresh(&url, &token).await;
    asked(&host, 3).await;
    // The host takes the request and never answers.
    host.stall(PATH);
    server.push(400);
    let at_once = tokio::time::timeout(Duration::from_secs(2), server.refresh(&url, &token)).await;
    let next = at_once.expect("it waited for the host");
    assert_eq!(next.status, StatusCode::OK);
    text(&next.json(), "refresh_token").clone_into(&mut token);
    asked(&host, 4).await;
    for _ in 0..10 {
        let next = server.refresh(&url, &token).await;
        text(&next.json(), "refresh_token").clone_into(&mut token);
    }
    assert_eq!(host.requests(PATH), 4, "one request every few minutes, whoever asks");
}

#[tokio::test]
async fn as_055_a_document_that_changed_while_the_page_was_open_is_asked_about_again() {
    let (server, host) = Server::with_documents(settings()).await;
    let url = host.url(PATH);
    let mut browser = server.set_up().await;
    for (name, value) in [
        ("client_name", json!("Another")),
        ("redirect_uris", json!([REDIRECT, "https://new.example/cb"])),
        ("token_endpoint_auth_methods_supported", json!(["private_key_jwt"])),
        ("jwks_uri", json!("https://dev.internal/other-keys")),
    ] {
        let mut before = document(&url);
        before["jwks_uri"] = json!("https://dev.internal/keys");
        host.publish(PATH, &before.to_string());
        server.push(400);
        let page = browser.ask(&Server::request(&url)).await;
        before[name] = value;
        if name == "jwks_uri" {
            before["token_endpoint_auth_methods_supported"] = json!(["private_key_jwt"]);
        }
        host.publish(PATH, &before.to_string());
        server.push(400);
        let answer = browser.answer(&page, "allow").await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{name}: {}", answer.text);
        assert!(answer.header("location").starts_with("/authorize?"), "{name}");
    }
}
