//! Taking back: by the client, by the person, everywhere.

use crate::support::*;
use hallpass_store::Revoked;
use http::StatusCode;

#[tokio::test]
async fn as_203_as_204_as_205_b_31_t_31_a_client_revokes_its_own_tokens_only() {
    let server = Server::start().await;
    let (client, tokens) = server.granted().await;
    let other = server.register(REDIRECT).await;
    let token = text(&tokens, "refresh_token");
    let foreign = server.form("/revoke", &[("client_id", &other), ("token", token)]).await;
    assert_eq!((foreign.status, foreign.text.as_str()), (StatusCode::OK, ""));
    assert_eq!(server.refresh(&client, token).await.status, StatusCode::OK);
    for nonsense in ["x", "hpr_x", "a.b.c"] {
        assert_eq!(
            server.form("/revoke", &[("client_id", &client), ("token", nonsense)]).await.status,
            StatusCode::OK
        );
    }
    let own = server
        .form("/revoke", &[("client_id", &client), ("token", token), ("token_type_hint", "access_token")])
        .await;
    assert_eq!(own.status, StatusCode::OK);
    assert_eq!(server.refresh(&client, token).await.error(), "invalid_grant");
    assert_eq!(server.app.store.feed_after(0, 10).await.unwrap().entries.len(), 1);
    assert_eq!(server.form("/revoke", &[("client_id", &client)]).await.error(), "invalid_request");
    assert_eq!(
        server.form("/revoke", &[("client_id", "nobody"), ("token", token)]).await.error(),
        "invalid_client"
    );
}

#[tokio::test]
async fn as_206_a_hint_is_only_a_hint() {
    for kind in ["refresh_token", "access_token"] {
        for hint in ["refresh_token", "access_token", "pizza", ""] {
            let server = Server::start().await;
            let (client, tokens) = server.granted().await;
            let pairs = [("client_id", &*client), ("token", text(&tokens, kind)), ("token_type_hint", hint)];
            let answer = server.form("/revoke", &pairs).await;
            assert_eq!((answer.status, answer.text.as_str()), (StatusCode::OK, ""), "{kind} {hint}");
            let refreshed = server.refresh(&client, text(&tokens, "refresh_token")).await;
            assert_eq!(refreshed.error(), "invalid_grant", "{kind} {hint}");
            assert_eq!(server.form("/revoke", &pairs).await.status, StatusCode::OK, "twice is once");
            assert_eq!(server.app.store.feed_after(0, 10).await.unwrap().entries.len(), 1);
        }
    }
}

#[tokio::test]
async fn as_203_a_client_with_a_secret_needs_it_to_take_back() {
    let server = Server::start().await;
    let body = serde_json::json!({
        "redirect_uris": [REDIRECT], "token_endpoint_auth_method": "client_secret_post",
        "grant_types": ["authorization_code", "refresh_token"],
    });
    let registered = server.post_json("/register", &body).await.json();
    let (id, secret) = (text(&registered, "client_id"), text(&registered, "client_secret"));
    let mut browser = server.set_up().await;
    let code = browser.allow(&Server::request(id)).await;
    let tokens = server.redeem_with(id, &code, &[("client_secret", secret)]).await.json();
    let token = text(&tokens, "refresh_token");
    let with = |secret: Option<&str>| {
        let mut pairs = vec![("client_id", id), ("token", token)];
        pairs.extend(secret.map(|secret| ("client_secret", secret)));
        let pairs: Vec<(String, String)> =
            pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let server = &server;
        async move {
            let pairs: Vec<(&str, &str)> = pairs.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
            server.form("/revoke", &pairs).await
        }
    };
    assert_eq!(with(None).await.error(), "invalid_client");
    assert_eq!(with(Some("wrong")).await.error(), "invalid_client");
    assert!(server.app.store.feed_after(0, 10).await.unwrap().entries.is_empty());
    assert_eq!(with(Some(secret)).await.status, StatusCode::OK);
    assert_eq!(server.app.store.feed_after(0, 10).await.unwrap().entries.len(), 1);
}

#[tokio::test]
async fn as_204_a_store_that_fails_is_not_a_revocation() {
    let server = Server::start().await;
    let (client, tokens) = server.granted().await;
    server.app.store.close().await.unwrap();
    let pairs = [("client_id", &*client), ("token", text(&tokens, "refresh_token"))];
    let answer = server.form("/revoke", &pairs).await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(answer.error(), "temporarily_unavailable");
    assert!(!answer.header("retry-after").is_empty());
}

#[tokio::test]
async fn an_access_token_ends_its_grant() {
    let server = Server::start().await;
    let (client, tokens) = server.granted().await;
    server.form("/revoke", &[("client_id", &client), ("token", text(&tokens, "access_token"))]).await;
    assert_eq!(server.refresh(&client, text(&tokens, "refresh_token")).await.error(), "invalid_grant");
}

#[tokio::test]
async fn as_227_the_account_page_takes_back_one_and_all() {
    let server = Server::start().await;
    let client = server.register(REDIRECT).await;
    let mut browser = server.set_up().await;
    let code = browser.allow(&Server::request(&client)).await;
    let one = server.redeem(&client, &code).await.json();
    server.push(1);
    let code = browser.allow(&Server::request(&client)).await;
    let two = server.redeem(&client, &code).await.json();
    let page = browser.get("/account").await;
    assert_eq!(page.text.matches("Take access back from").count(), 2);
    let done = browser.submit(&page, "/account", &["csrf", "grant"], &[("action", "revoke")]).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER);
    // The newest is listed first.
    assert_eq!(server.refresh(&client, text(&two, "refresh_token")).await.error(), "invalid_grant");
    let one = server.refresh(&client, text(&one, "refresh_token")).await;
    assert_eq!(one.status, StatusCode::OK);
    let page = browser.get("/account").await;
    let out = browser.submit(&page, "/account", &["csrf"], &[("action", "everywhere")]).await;
    assert_eq!(out.header("location"), "/sign-in");
    assert_eq!(server.refresh(&client, text(&one.json(), "refresh_token")).await.error(), "invalid_grant");
    let feed = server.app.store.feed_after(0, 10).await.unwrap();
    assert!(matches!(feed.entries.last().unwrap().what, Revoked::Person { epoch: 1, .. }));
}

#[tokio::test]
async fn nobody_takes_back_what_is_not_theirs_and_not_without_the_token_of_the_form() {
    let server = Server::start().await;
    let (client, tokens) = server.granted().await;
    let mut browser = Browser::new(&server);
    let form = browser.get("/sign-in").await;
    browser.sign_in(&form).await;
    let page = browser.get("/account").await;
    let grant = page.hidden("grant").unwrap();
    let refused = browser.post("/account", &[("action", "revoke"), ("grant", &grant)]).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert_eq!(server.refresh(&client, text(&tokens, "refresh_token")).await.status, StatusCode::OK);
}

#[tokio::test]
async fn as_227_a_browser_that_was_closed_meanwhile_can_take_access_back() {
    let server = Server::start().await;
    let (client, tokens) = server.granted().await;
    let mut browser = Browser::new(&server);
    let form = browser.get("/sign-in").await;
    browser.sign_in(&form).await;
    // It has no `Max-Age`, the session has.
    browser.cookies.remove("__Host-hallpass_browser").unwrap();
    let page = browser.get("/account").await;
    let done = browser.submit(&page, "/account", &["csrf", "grant"], &[("action", "revoke")]).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.text);
    assert_eq!(server.refresh(&client, text(&tokens, "refresh_token")).await.error(), "invalid_grant");
}
