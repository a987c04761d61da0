//! Taking back: by the client, by the person, everywhere.

use crate::support::*;
use hallpass_server::feed::Change;
use hallpass_store::Revoked;
use http::StatusCode;
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

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

/// Time is what the follower pauses for, so nothing here depends on how fast the machine is. The revocation comes at the
/// worst moment, right after a read.
#[tokio::test]
async fn as_207_p23_a_gateway_is_told_of_a_revocation_within_a_second() {
    let server = Server::start().await;
    let other = server.beside().await;
    let (client, tokens) = server.granted().await;
    let token = text(&tokens, "refresh_token");
    let (passed, pauses) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    let (revoked_at, told_at) = (AtomicU64::new(u64::MAX), Mutex::new(None));
    let done = tokio::sync::Notify::new();
    // Copies of references, for each pause one.
    let (server, client, passed, pauses) = (&server, &*client, &passed, &pauses);
    let (revoked_at, told_at, done) = (&revoked_at, &told_at, &done);
    let pause = move |length: Duration| async move {
        let turn = {
            let mut pauses = pauses.lock().unwrap();
            pauses.push(length);
            pauses.len()
        };
        if turn == 3 {
            revoked_at.store(passed.load(Ordering::SeqCst), Ordering::SeqCst);
            let revoked = server.form("/revoke", &[("client_id", client), ("token", token)]).await;
            assert_eq!(revoked.status, StatusCode::OK);
        }
        // The store of both is gone, and is asked again as often.
        if turn == 8 {
            server.app.store.close().await.unwrap();
        }
        if turn == 12 {
            done.notify_one();
        }
        passed.fetch_add(u64::try_from(length.as_millis()).unwrap(), Ordering::SeqCst);
        tokio::task::yield_now().await;
    };
    let tell = |change: Change| {
        let (Change::Loaded(entries, _) | Change::Added(entries, _)) = change else { return };
        if entries.iter().any(|entry| matches!(entry.what, Revoked::Grant(_))) {
            told_at.lock().unwrap().get_or_insert(passed.load(Ordering::SeqCst));
        }
    };
    tokio::select! {
        () = hallpass_server::feed::follow_by(Arc::clone(&other.app), tell, pause) => panic!("it follows for ever"),
        () = done.notified() => {}
    }
    let told = told_at.lock().unwrap().expect("it was told");
    let late = told - revoked_at.load(Ordering::SeqCst);
    assert!(late > 0 && late < 1_000, "{late} ms");
    let pauses = pauses.lock().unwrap();
    assert!(pauses.iter().all(|pause| *pause < Duration::from_secs(1)), "{pauses:?}");
}

/// Whoever could go on by refreshing after an end would not have been ended.
#[tokio::test]
async fn as_147_a_disabled_account_and_a_new_password_end_every_refresh() {
    for disabled in [true, false] {
        let server = Server::start().await;
        let (client, tokens) = server.granted().await;
        let kept = server.refresh(&client, text(&tokens, "refresh_token")).await;
        assert_eq!(kept.status, StatusCode::OK, "alive before");
        let token = text(&kept.json(), "refresh_token").to_owned();
        let (store, now) = (&*server.app.store, server.now());
        let person = store.person_by_name(NAME.into()).await.unwrap().unwrap().id;
        if disabled {
            let until = server.app.settings.tokens_until(now);
            assert!(store.person_disable(person, true, until, now).await.unwrap());
        } else {
            let link =
                hallpass_server::invitation_link(store, &server.app.settings, person, now).await.unwrap();
            assert_eq!(
                server.refresh(&client, &token).await.status,
                StatusCode::OK,
                "a link alone ends nothing"
            );
            let mut browser = Browser::new(&server);
            let page = browser.get(link.link.expose().strip_prefix(ISSUER).unwrap()).await;
            let typed = [("password", "another long password")];
            let changed = browser.submit(&page, "/invitation", &["csrf", "code"], &typed).await;
            assert_eq!(changed.status, StatusCode::SEE_OTHER, "{changed:?}");
        }
        let refused = server.refresh(&client, &token).await;
        assert_eq!(
            (refused.status, refused.error().as_str()),
            (StatusCode::BAD_REQUEST, "invalid_grant"),
            "disabled: {disabled}"
        );
        let again = text(&tokens, "refresh_token");
        assert_eq!(server.refresh(&client, again).await.error(), "invalid_grant", "nor its predecessor");
    }
}
