//! What a person sees, and what no other site can do with it.

use crate::support::*;
use hallpass_server::{OperatorClient, Settings};
use http::StatusCode;
use serde_json::json;

#[tokio::test]
async fn as_056_as_092_the_consent_page_leads_with_the_host() {
    let server = Server::start().await;
    let body = json!({"redirect_uris": ["https://client.example/cb"], "client_name": "bank.example\u{202e}", "token_endpoint_auth_method": "none", "grant_types": ["authorization_code", "refresh_token"]});
    let client = text(&server.post_json("/register", &body).await.json(), "client_id").to_owned();
    let mut browser = server.set_up().await;
    let mut request = Server::request(&client);
    request.insert("redirect_uri".into(), "https://client.example/cb".into());
    let page = browser.ask(&request).await;
    let host = page.text.find("client.example</span>").unwrap();
    let name = page.text.find("<q>bank.example</q>").unwrap();
    assert!(host < name);
    for part in [
        "May read your things",
        "Things",
        RESOURCE,
        "Stay signed in",
        "ada",
        "Switch account",
        "nobody has checked",
    ] {
        assert!(page.text.contains(part), "{part}");
    }
    assert!(
        !page.text.contains('\u{202e}')
            && !page.text.contains("on this computer")
            && !page.text.contains("May write")
    );
    request.insert("redirect_uri".into(), REDIRECT.into());
    let loopback = server.register(REDIRECT).await;
    request.insert("client_id".into(), loopback);
    assert!(browser.ask(&request).await.text.contains("on this computer"));
}

#[tokio::test]
async fn as_095_t_14_every_page_is_framed_by_nobody_and_loads_nothing() {
    let server = Server::start().await;
    let client = server.register(REDIRECT).await;
    let mut browser = server.set_up().await;
    let consent = browser.ask(&Server::request(&client)).await;
    let moving = browser.answer(&consent, "allow").await;
    let mut pages = vec![consent, moving];
    for path in ["/sign-in", "/account", "/nowhere", "/authorize", "/consent"] {
        pages.push(browser.get(path).await);
    }
    pages.push(Browser::new(&server).get("/sign-in").await);
    for page in pages {
        let policy = page.header("content-security-policy");
        assert!(
            policy.contains("frame-ancestors 'none'")
                && policy.contains("default-src 'none'")
                && !policy.contains("unsafe")
        );
        assert_eq!((page.header("x-frame-options"), page.header("referrer-policy")), ("DENY", "no-referrer"));
        assert_eq!(
            (page.header("x-content-type-options"), page.header("cache-control")),
            ("nosniff", "no-store")
        );
        assert!(!page.text.contains("<script") && !page.text.contains("src="), "{}", page.text);
    }
}

#[tokio::test]
async fn as_096_cookies_are_bound_to_the_host() {
    let server = Server::start().await;
    let browser = server.set_up().await;
    assert!(!browser.cookies.is_empty() && browser.cookies.keys().all(|name| name.starts_with("__Host-")));
    let answer = Browser::new(&server).get("/sign-in").await;
    let cookie = answer.header("set-cookie");
    for attribute in ["; Path=/", "; HttpOnly", "; SameSite=Lax", "; Secure"] {
        assert!(cookie.contains(attribute), "{cookie}");
    }
}

#[tokio::test]
async fn t_101_set_up_needs_the_link_and_is_closed_after_use() {
    let server = Server::start().await;
    let mut stranger = Browser::new(&server);
    assert_eq!(stranger.get("/").await.header("location"), "/setup");
    let page = stranger.get("/setup").await;
    assert!(page.text.contains("one-time link") && page.hidden("code").is_none());
    let page = stranger.get("/setup?code=guess").await;
    let refused =
        stranger.submit(&page, "/setup", &["csrf", "code"], &[("name", "eve"), ("password", PASSWORD)]).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    let old = hallpass_server::setup_link(&server.app).await.unwrap().unwrap();
    let _ = server.set_up().await;
    assert!(hallpass_server::setup_link(&server.app).await.unwrap().is_none());
    assert_eq!(stranger.get(old.expose().strip_prefix(ISSUER).unwrap()).await.header("location"), "/account");
    let late = stranger
        .post("/setup", &[("csrf", "x"), ("code", "x"), ("name", "eve"), ("password", PASSWORD)])
        .await;
    assert_eq!(late.header("location"), "/account");
}

#[tokio::test]
async fn the_setup_link_lives_for_an_hour_and_a_new_one_replaces_it() {
    let server = Server::start().await;
    let first = hallpass_server::setup_link(&server.app).await.unwrap().unwrap();
    let second = hallpass_server::setup_link(&server.app).await.unwrap().unwrap();
    let mut browser = Browser::new(&server);
    for (link, push) in [(&first, 0), (&second, 3601)] {
        server.push(push);
        let page = browser.get(link.expose().strip_prefix(ISSUER).unwrap()).await;
        let refused = browser
            .submit(&page, "/setup", &["csrf", "code"], &[("name", NAME), ("password", PASSWORD)])
            .await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN);
    }
}

#[tokio::test]
async fn as_100_t_29_guesses_are_limited_and_the_owners_browser_still_gets_in() {
    let server = Server::start().await;
    let mut owner = server.set_up().await;
    let mut guesser = Browser::new(&server);
    let form = guesser.get("/sign-in").await;
    for guess in 0..25 {
        let refused = guesser
            .submit(
                &form,
                "/sign-in",
                &["csrf", "waiting"],
                &[("name", NAME), ("password", "not the password")],
            )
            .await;
        let over = guess >= 20;
        let expected = if over { StatusCode::TOO_MANY_REQUESTS } else { StatusCode::UNAUTHORIZED };
        assert_eq!(refused.status, expected, "{guess}: {refused:?}");
        assert_eq!(
            (refused.text.contains("Too many"), !refused.header("retry-after").is_empty()),
            (over, over)
        );
    }
    server.push(61);
    // From many addresses: the account's own limit, counted on its row.
    let mut stopped = false;
    for _ in 0..20 {
        server.push(61);
        for _ in 0..20 {
            let person = server.app.store.person_by_name(NAME.into()).await.unwrap().unwrap();
            let attempt = server
                .app
                .store
                .person_attempt(person.id, 100, std::time::Duration::from_mins(15), server.now())
                .await
                .unwrap();
            stopped |= matches!(attempt, hallpass_store::Attempt::Refused { .. });
        }
        if stopped {
            break;
        }
    }
    assert!(stopped);
    server.push(61);
    let form = guesser.get("/sign-in").await;
    assert!(guesser.sign_in(&form).await.text.contains("Too many"));
    owner.cookies.remove("__Host-hallpass_session");
    let form = owner.get("/sign-in").await;
    assert_eq!(owner.sign_in(&form).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn signing_out_ends_the_session() {
    let server = Server::start().await;
    let mut browser = server.set_up().await;
    let page = browser.get("/account").await;
    let stale = browser.clone();
    browser.submit(&page, "/sign-out", &["csrf"], &[]).await;
    assert_eq!(browser.get("/account").await.header("location"), "/sign-in");
    let mut stale = stale;
    assert_eq!(stale.get("/account").await.header("location"), "/sign-in");
}

#[tokio::test]
async fn as_098_t_11_the_consent_page_says_what_could_be_taken_for_another() {
    let server = Server::start().await;
    let mut browser = server.set_up().await;
    for (name, redirect, said) in [
        ("\u{421}laude", "https://evil.example/cb", vec!["mixes letters", "not known to be its own"]),
        ("claude.ai", "https://evil.example/cb", vec!["looks like an address"]),
        ("Notes", "https://xn--80ak6aa92e.com/cb", vec!["letter by letter"]),
        ("Notes", "https://notes.example/cb", vec![]),
    ] {
        let body = serde_json::json!({
            "redirect_uris": [redirect], "client_name": name, "token_endpoint_auth_method": "none",
        });
        let client = text(&server.post_json("/register", &body).await.json(), "client_id").to_owned();
        let mut request = Server::request(&client);
        request.insert("redirect_uri".into(), redirect.into());
        let page = browser.ask(&request).await;
        assert_eq!(page.text.matches("warning look-alike").count(), said.len(), "{name}: {}", page.text);
        for words in said {
            assert!(page.text.contains(words), "{name}: {words}");
        }
        let host = page.text.find("class=\"host\"").unwrap();
        let called = page.text.find("It calls itself").unwrap();
        assert!(host < called, "the address first, what it calls itself after");
    }
}

#[tokio::test]
async fn the_name_of_a_client_that_the_operator_made_is_not_called_unchecked() {
    let record = serde_json::json!({ "name": "Ours", "auth": "none", "redirect_uris": [REDIRECT], "grant_types": ["authorization_code"] });
    let ours = OperatorClient::new("ours", &serde_json::from_value(record).unwrap()).unwrap();
    let server = Server::with(Settings { clients: vec![ours], ..settings() }).await;
    let mut browser = server.set_up().await;
    let page = browser.ask(&Server::request("ours")).await;
    assert!(page.text.contains("whoever runs this server knows it"), "{}", page.text);
    assert!(!page.text.contains("nobody has checked"));
}
