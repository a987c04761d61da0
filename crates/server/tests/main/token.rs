//! Redeeming codes: once, by whom they were given to, and an innocent mistake burns nothing.

use crate::support::*;
use axum::body::Body;
use hallpass_core::{entropy::SystemEntropy, id::PersonId};
use hallpass_fetch::Fetch;
use hallpass_store::{SqliteSettings, SqliteStore, Store, contract::Forgetful};
use hallpass_testkit::ManualClock;
use http::{Request, StatusCode};
use std::sync::Arc;

#[tokio::test]
async fn as_110_as_111_b_03_b_04_a_code_is_redeemed_once_and_a_replay_revokes() {
    let server = Server::start().await;
    let client = server.register(REDIRECT).await;
    let mut browser = server.set_up().await;
    let code = browser.allow(&Server::request(&client)).await;
    let tokens = server.redeem(&client, &code).await.json();
    let replay = server.redeem(&client, &code).await;
    assert_eq!((replay.status, replay.error().as_str()), (StatusCode::BAD_REQUEST, "invalid_grant"));
    let dead = server.refresh(&client, text(&tokens, "refresh_token")).await;
    assert_eq!(dead.error(), "invalid_grant");
}

/// PostgreSQL was away for longer than a request may wait: the grant is there, the client heard 503.
#[tokio::test]
async fn as_111_as_220_a_code_whose_redemption_was_never_answered_is_redeemed_and_no_replay() {
    let folder = tempfile::tempdir().unwrap();
    let inner = SqliteStore::open(&folder.path().join("hallpass.sqlite"), SqliteSettings::default()).unwrap();
    let store = Arc::new(Forgetful::new(inner));
    let shared: Arc<dyn Store> = store.clone();
    let (clock, fetch) = (ManualClock::at(NOW), Fetch::new(hallpass_fetch::Settings::default()).unwrap());
    let server = Server::on(shared, settings(), folder, clock, fetch).await;
    let client = server.register(REDIRECT).await;
    let mut browser = server.set_up().await;
    let code = browser.allow(&Server::request(&client)).await;
    for _ in 0..2 {
        store.lose(1);
        let away = server.redeem(&client, &code).await;
        assert_eq!(
            (away.status, away.error().as_str()),
            (StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable")
        );
    }
    let tokens = server.redeem(&client, &code).await.json();
    let refreshed = server.refresh(&client, text(&tokens, "refresh_token")).await;
    assert_eq!(refreshed.status, StatusCode::OK, "{refreshed:?}");
    // From here on somebody has been answered.
    assert_eq!(server.redeem(&client, &code).await.error(), "invalid_grant");
    let dead = server.refresh(&client, text(&refreshed.json(), "refresh_token")).await;
    assert_eq!(dead.error(), "invalid_grant", "the replay revoked it");
}

#[tokio::test]
async fn as_112_b_04_t_32_a_replay_without_the_verifier_or_by_another_client_revokes_nothing() {
    let server = Server::start().await;
    let (client, other) = (server.register(REDIRECT).await, server.register(REDIRECT).await);
    let mut browser = server.set_up().await;
    let code = browser.allow(&Server::request(&client)).await;
    let tokens = server.redeem(&client, &code).await.json();
    let wrong = "x".repeat(43);
    assert_eq!(
        server.redeem_with(&client, &code, &[("code_verifier", &wrong)]).await.error(),
        "invalid_grant"
    );
    assert_eq!(server.redeem_with(&client, &code, &[("code_verifier", "")]).await.error(), "invalid_request");
    assert_eq!(server.redeem(&other, &code).await.error(), "invalid_grant");
    assert_eq!(
        server
            .redeem_with(&client, &code, &[("redirect_uri", "http://127.0.0.1:5001/callback")])
            .await
            .error(),
        "invalid_grant"
    );
    let alive = server.refresh(&client, text(&tokens, "refresh_token")).await;
    assert_eq!(alive.status, StatusCode::OK, "{alive:?}");
}

#[tokio::test]
async fn as_113_as_114_as_117_as_119_b_21_b_42_t_05_mistakes_burn_nothing() {
    let server = Server::start().await;
    let (client, other) = (server.register(REDIRECT).await, server.register(REDIRECT).await);
    let mut browser = server.set_up().await;
    let code = browser.allow(&Server::request(&client)).await;
    for (who, change, error) in [
        (&client, ("code_verifier", "a-wrong-verifier-a-wrong-verifier-a-wrong-ver"), "invalid_grant"),
        (&client, ("code_verifier", "short"), "invalid_grant"),
        (&client, ("redirect_uri", "http://127.0.0.1:5000/other"), "invalid_grant"),
        (&client, ("resource", "https://other.example/mcp"), "invalid_target"),
        (&client, ("grant_type", "password"), "unsupported_grant_type"),
        (&client, ("grant_type", ""), "invalid_request"),
        (&client, ("code", ""), "invalid_request"),
        (&client, ("client_secret", "x"), "invalid_client"),
        (&client, ("client_assertion", "x"), "invalid_client"),
        (&other, ("x", "y"), "invalid_grant"),
    ] {
        assert_eq!(server.redeem_with(who, &code, &[change]).await.error(), error, "{change:?}");
    }
    let late = server.redeem_with(&client, &code, &[("redirect_uri", "")]).await;
    assert_eq!(late.status, StatusCode::OK, "{late:?}");
}

#[tokio::test]
async fn as_109_b_08_an_expired_code() {
    let server = Server::start().await;
    let client = server.register(REDIRECT).await;
    let mut browser = server.set_up().await;
    let code = browser.allow(&Server::request(&client)).await;
    server.push(60);
    assert_eq!(server.redeem(&client, &code).await.error(), "invalid_grant");
}

#[tokio::test]
async fn m14_a_page_sent_twice_is_one_grant_and_the_second_code_revokes_nothing() {
    let server = Server::start().await;
    let client = server.register(REDIRECT).await;
    let mut browser = server.set_up().await;
    let page = browser.ask(&Server::request(&client)).await;
    let first = browser.answer(&page, "allow").await.answered("code").unwrap();
    let second = browser.answer(&page, "allow").await.answered("code").unwrap();
    assert_ne!(first, second);
    let tokens = server.redeem(&client, &second).await.json();
    assert_eq!(server.redeem(&client, &first).await.error(), "invalid_grant");
    assert_eq!(server.refresh(&client, text(&tokens, "refresh_token")).await.status, StatusCode::OK);
    let account = browser.get("/account").await;
    assert_eq!(account.text.matches("Take access back from").count(), 1);
}

#[tokio::test]
async fn as_120_m11_a_code_after_sign_out_everywhere_opens_nothing() {
    let server = Server::start().await;
    let client = server.register(REDIRECT).await;
    let mut browser = server.set_up().await;
    let code = browser.allow(&Server::request(&client)).await;
    let page = browser.get("/account").await;
    browser.submit(&page, "/account", &["csrf"], &[("action", "everywhere")]).await;
    assert_eq!(server.redeem(&client, &code).await.error(), "invalid_grant");
}

#[tokio::test]
async fn as_116_b_22_t_03_only_s256_with_the_right_verifier_passes() {
    let server = Server::start().await;
    let client = server.register(REDIRECT).await;
    let mut browser = server.set_up().await;
    for (challenge, method) in
        [(None, None), (None, Some("S256")), (Some(VERIFIER), Some("plain")), (Some(CHALLENGE), None)]
    {
        let mut request = Server::request(&client);
        for (name, value) in [("code_challenge", challenge), ("code_challenge_method", method)] {
            request.insert(name.into(), value.unwrap_or_default().into());
        }
        let page = browser.get(&query(&request)).await;
        assert_eq!(page.answered("error").as_deref(), Some("invalid_request"), "{challenge:?} {method:?}");
        assert_eq!(page.answered("code"), None, "{challenge:?} {method:?}");
    }
    // A fresh code each time: a code that was used would be refused for that.
    let other = "M25iVXpKU3puUjFaYWg3T1NDTDQtcW1ROUY5YXlwalNoc0hhakxifmZHag";
    for (verifier, error) in [
        ("", "invalid_request"),
        (other, "invalid_grant"),
        // What `plain` would compare.
        (CHALLENGE, "invalid_grant"),
        (&VERIFIER[..VERIFIER.len() - 1], "invalid_grant"),
        (&*VERIFIER.to_lowercase(), "invalid_grant"),
    ] {
        let code = browser.allow(&Server::request(&client)).await;
        let refused = server.redeem_with(&client, &code, &[("code_verifier", verifier)]).await;
        assert_eq!((refused.status, &*refused.error()), (StatusCode::BAD_REQUEST, error), "{verifier}");
        assert_eq!(refused.json().get("access_token"), None);
        // It was the verifier: the same code passes with the right one.
        let right = server.redeem_with(&client, &code, &[("code_verifier", VERIFIER)]).await;
        assert_eq!(right.status, StatusCode::OK, "{verifier}: {right:?}");
    }
}

#[tokio::test]
async fn as_122_as_123_as_125_as_127_b_19_client_authentication() {
    let server = Server::start().await;
    let body = serde_json::json!({ "redirect_uris": [REDIRECT], "grant_types": ["authorization_code", "refresh_token"] });
    let registered = server.post_json("/register", &body).await.json();
    let (id, secret) =
        (text(&registered, "client_id").to_owned(), text(&registered, "client_secret").to_owned());
    assert_eq!(registered["token_endpoint_auth_method"], "client_secret_basic");
    let mut browser = server.set_up().await;
    let code = browser.allow(&Server::request(&id)).await;
    assert_eq!(server.redeem(&id, &code).await.error(), "invalid_client");
    assert_eq!(server.redeem_with(&id, &code, &[("client_secret", "wrong")]).await.error(), "invalid_client");
    let basic = |id: &str, secret: &str| {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")))
    };
    let post = |authorization: String, extra: &str| {
        let body = format!("grant_type=authorization_code&code={code}&code_verifier={VERIFIER}{extra}");
        let request = Request::post("/token").header("content-type", "application/x-www-form-urlencoded");
        request.header("authorization", authorization).body(Body::from(body)).unwrap()
    };
    for (authorization, extra, error) in [
        (basic(&id, "wrong"), String::new(), "invalid_client"),
        (basic("nobody", &secret), String::new(), "invalid_client"),
        ("Basic !!!".to_owned(), String::new(), "invalid_client"),
        ("Bearer x".to_owned(), String::new(), "invalid_client"),
        (basic(&id, &secret), format!("&client_secret={secret}"), "invalid_request"),
        (basic(&id, &secret), "&client_id=other".to_owned(), "invalid_request"),
    ] {
        let answer = server.send(post(authorization, &extra)).await;
        assert_eq!(answer.error(), error);
        if error == "invalid_client" {
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
            assert!(answer.header("www-authenticate").starts_with("Basic "));
        }
    }
    assert_eq!(server.send(post(basic(&id, &secret), "")).await.status, StatusCode::OK);
}

#[tokio::test]
async fn as_123_two_ways_of_client_authentication_are_refused_whichever_two_and_wherever() {
    use base64::{Engine as _, engine::general_purpose::STANDARD};
    let server = Server::start().await;
    let body = serde_json::json!({ "redirect_uris": [REDIRECT], "grant_types": ["authorization_code"] });
    let registered = server.post_json("/register", &body).await.json();
    let (id, secret) = (text(&registered, "client_id"), text(&registered, "client_secret"));
    let basic = format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")));
    let (named, other) = (("client_id", id), ("client_id", "other"));
    let in_body = ("client_secret", secret);
    let kind = ("client_assertion_type", hallpass_core::jwt::client_assertion::ASSERTION_TYPE);
    let signed = ("client_assertion", "a.b.c");
    for path in ["/token", "/revoke", "/introspect", "/par", "/device_authorization"] {
        for (headers, pairs) in [
            (vec![&*basic], vec![named, in_body]),
            (vec![&*basic], vec![in_body]),
            (vec![&*basic], vec![named, kind, signed]),
            (vec![&*basic], vec![kind, signed]),
            (vec!["Bearer x"], vec![named, kind, signed]),
            (vec![], vec![named, in_body, kind, signed]),
            (vec![&*basic], vec![named, in_body, kind, signed]),
            (vec![&*basic, &*basic], vec![named]),
            (vec![&*basic], vec![other]),
        ] {
            let rest = [("grant_type", "authorization_code"), ("code", "x"), ("token", "x")];
            let body = hallpass_core::parameters::encode(pairs.iter().copied().chain(rest));
            let mut request = Request::post(path).header("content-type", "application/x-www-form-urlencoded");
            for header in &headers {
                request = request.header("authorization", *header);
            }
            let answer = server.send(request.body(Body::from(body)).unwrap()).await;
            let said = (answer.status, answer.error());
            assert_eq!(
                said,
                (StatusCode::BAD_REQUEST, "invalid_request".into()),
                "{path} {headers:?} {pairs:?}"
            );
        }
    }
}

#[tokio::test]
async fn as_126_a_public_client_names_itself_and_brings_no_secret() {
    let server = Server::start().await;
    let (id, mut browser) = (server.register(REDIRECT).await, server.set_up().await);
    let code = browser.allow(&Server::request(&id)).await;
    let redeem = [
        ("grant_type", "authorization_code"),
        ("code", &*code),
        ("code_verifier", VERIFIER),
        ("redirect_uri", REDIRECT),
    ];
    let nameless = server.form("/token", &redeem).await;
    assert_eq!((nameless.status, nameless.error().as_str()), (StatusCode::BAD_REQUEST, "invalid_request"));
    let secret = server.redeem_with(&id, &code, &[("client_secret", "x")]).await;
    assert_eq!((secret.status, secret.error().as_str()), (StatusCode::UNAUTHORIZED, "invalid_client"));
    let tokens = server.redeem(&id, &code).await;
    assert_eq!(tokens.status, StatusCode::OK, "nothing was burnt: {tokens:?}");
    let tokens = tokens.json();
    let refresh = [("grant_type", "refresh_token"), ("refresh_token", text(&tokens, "refresh_token"))];
    let nameless = server.form("/token", &refresh).await;
    assert_eq!((nameless.status, nameless.error().as_str()), (StatusCode::BAD_REQUEST, "invalid_request"));
}

#[tokio::test]
async fn as_121_a_grant_type_that_was_not_registered_is_refused() {
    let server = Server::start().await;
    let (_, tokens) = server.granted().await;
    let body = serde_json::json!({ "redirect_uris": [REDIRECT], "token_endpoint_auth_method": "none" });
    let other = text(&server.post_json("/register", &body).await.json(), "client_id").to_owned();
    let answer = server.refresh(&other, text(&tokens, "refresh_token")).await;
    assert_eq!((answer.status, answer.error().as_str()), (StatusCode::BAD_REQUEST, "unauthorized_client"));
}

#[tokio::test]
async fn as_138_as_124_a_client_with_a_secret_proves_itself_at_each_refresh() {
    let server = Server::start().await;
    let body = serde_json::json!({
        "redirect_uris": [REDIRECT], "grant_types": ["authorization_code", "refresh_token"],
        "token_endpoint_auth_method": "client_secret_post",
    });
    let registered = server.post_json("/register", &body).await.json();
    let (id, secret) =
        (text(&registered, "client_id").to_owned(), text(&registered, "client_secret").to_owned());
    let mut browser = server.set_up().await;
    let code = browser.allow(&Server::request(&id)).await;
    let tokens = server.redeem_with(&id, &code, &[("client_secret", &secret)]).await.json();
    let token = text(&tokens, "refresh_token").to_owned();
    let refresh = |secret: &str| {
        let (id, token, secret, server) = (id.clone(), token.clone(), secret.to_owned(), &server);
        async move {
            let mut pairs =
                vec![("grant_type", "refresh_token"), ("client_id", &*id), ("refresh_token", &*token)];
            pairs.extend((!secret.is_empty()).then_some(("client_secret", &*secret)));
            server.form("/token", &pairs).await
        }
    };
    for wrong in ["", "wrong", &secret[..secret.len() - 1]] {
        let answer = refresh(wrong).await;
        assert_eq!(
            (answer.status, answer.error().as_str()),
            (StatusCode::UNAUTHORIZED, "invalid_client"),
            "{wrong}"
        );
    }
    server.push(3600);
    let answer = refresh(&secret).await;
    assert_eq!(answer.status, StatusCode::OK, "nothing was rotated by the others: {answer:?}");
}

#[tokio::test]
async fn as_149_a_client_that_did_not_register_refresh_tokens_gets_none() {
    let server = Server::start().await;
    let body = serde_json::json!({ "redirect_uris": [REDIRECT], "token_endpoint_auth_method": "none" });
    let client = text(&server.post_json("/register", &body).await.json(), "client_id").to_owned();
    let mut browser = server.set_up().await;
    let code = browser.allow(&Server::request(&client)).await;
    let tokens = server.redeem(&client, &code).await.json();
    assert!(tokens.get("refresh_token").is_none() && tokens.get("access_token").is_some());
}

#[tokio::test]
async fn restarted_everything_that_was_issued_still_works() {
    let server = Server::start().await;
    let (client, tokens) = server.granted().await;
    let mut browser = Browser::new(&server);
    let form = browser.get("/sign-in").await;
    browser.sign_in(&form).await;
    let code = browser.allow(&Server::request(&client)).await;
    let cookies = browser.cookies.clone();
    let jwks = server.get("/jwks").await.text;
    let server = server.restarted().await;
    assert_eq!(server.get("/jwks").await.text, jwks);
    assert_eq!(server.redeem(&client, &code).await.status, StatusCode::OK);
    assert_eq!(server.refresh(&client, text(&tokens, "refresh_token")).await.status, StatusCode::OK);
    let mut browser = Browser::new(&server);
    browser.cookies = cookies;
    assert_eq!(browser.get("/account").await.status, StatusCode::OK);
}

#[tokio::test]
async fn t_33_a_client_never_has_the_id_of_a_person() {
    let server = Server::start().await;
    let (client, tokens) = server.granted().await;
    let claims = claims(text(&tokens, "access_token"));
    let subject = text(&claims, "sub");
    assert_ne!(subject, client);
    // A registration chooses its name and never its id; the id of a person is none that a client can have.
    let body = serde_json::json!({"redirect_uris": [REDIRECT], "client_name": subject, "client_id": subject});
    let registered = server.post_json("/register", &body).await.json();
    assert_ne!(text(&registered, "client_id"), subject);
    assert!(text(&registered, "client_id").starts_with("hpc_"));
    assert_eq!(hallpass_core::encoding::from_base64url(subject).map(|bytes| bytes.len()), Some(16));
}

#[tokio::test]
async fn as_185_sub_stays_the_same_says_nothing_and_is_nobody_elses() {
    let server = Server::start().await;
    let mut browser = server.set_up().await;
    let store = &server.app.store;
    let (until, ada) = (server.now(), store.person_by_name(NAME.into()).await.unwrap().unwrap());
    let mut subs = std::collections::BTreeSet::new();
    for round in 0..3 {
        let client = server.register(REDIRECT).await;
        let code = browser.allow(&Server::request(&client)).await;
        let sub = claims(text(&server.redeem(&client, &code).await.json(), "access_token"))["sub"].clone();
        subs.insert(sub.as_str().unwrap().to_owned());
        // Signed out everywhere, disabled and enabled again: still the same person.
        if round == 0 {
            assert!(store.person_epoch_raise(ada.id, until, server.now()).await.unwrap().is_some());
        } else {
            assert!(store.person_disable(ada.id, true, until, server.now()).await.unwrap());
            assert!(store.person_disable(ada.id, false, until, server.now()).await.unwrap());
        }
        let form = browser.get("/sign-in").await;
        browser.sign_in(&form).await;
    }
    assert_eq!(subs.len(), 1, "{subs:?}");
    let sub = subs.first().unwrap();
    assert!(!sub.to_lowercase().contains(NAME) && !sub.contains('@') && sub.len() >= 22, "{sub}");
    // Somebody else has another one, also who is made under this name when the account is gone.
    let again = hallpass_store::Person { id: PersonId::new(server.now(), &SystemEntropy), ..ada.clone() };
    assert!(!store.person_create(again.clone()).await.unwrap(), "the name is taken");
    assert!(store.person_remove(ada.id, until).await.unwrap().is_some());
    assert!(store.person_create(again).await.unwrap());
    let mut browser = Browser::new(&server);
    let form = browser.get("/sign-in").await;
    browser.sign_in(&form).await;
    let client = server.register(REDIRECT).await;
    let code = browser.allow(&Server::request(&client)).await;
    let of_another = claims(text(&server.redeem(&client, &code).await.json(), "access_token"))["sub"].clone();
    assert_ne!(of_another.as_str(), Some(&**sub));
}
