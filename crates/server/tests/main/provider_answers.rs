//! What hostile and faulty providers answer, who gets which account, and that nothing of a provider's leaves the server.

use crate::{
    providers::*,
    secrets::Log,
    support::*,
    third_party::{Mood, Signs, ThirdParty},
};
use hallpass_core::secret::SecretString;
use hallpass_server::{
    Accounts, SignInProvider, WrittenProvider, audit::Kind, connections::WrittenConnection,
};
use http::StatusCode;
use serde_json::{Value, json};

#[tokio::test]
async fn as_213_as_215_rs_026_no_false_id_token_signs_anybody_in() {
    let (server, third, _) = world().await;
    third.at(server.now());
    let now = server.now().seconds();
    for (name, value, reason) in [
        ("nonce", json!("another"), "id_token_nonce"),
        ("nonce", Value::Null, "id_token_nonce"),
        ("aud", json!("others"), "id_token_audience"),
        ("aud", json!(["us", "others"]), "id_token_audience"),
        ("azp", json!("others"), "id_token_authorized_party"),
        ("iss", json!("https://evil.example"), "id_token_issuer"),
        ("exp", json!(now - 60), "id_token_expired"),
        ("iat", json!(now + 600), "id_token_not_yet_valid"),
        ("sub", json!(""), "id_token_subject"),
        ("sub", json!(7), "id_token_subject"),
    ] {
        let said = value.clone();
        third.lies(move |claims| claims[name] = said.clone());
        let mut browser = Browser::new(&server);
        let refused = come_back(&server, &mut browser, &third, "sub-of-ada").await;
        assert_eq!(refused.status, StatusCode::BAD_GATEWAY, "{name} {value}");
        assert!(!is_signed_in(&browser) && refused.text.contains("cannot be used"), "{}", refused.text);
        assert!(counted(&server, Kind::SignInRefused, Some(reason)) >= 1, "{name} {value}");
        server.push(60);
    }
    third.honest();
    for signs in [
        Signs::WithAnotherKey,
        Signs::NotAtAll,
        Signs::WithItsPublicKey,
        Signs::AsAccessToken,
        Signs::Nothing,
    ] {
        third.signs(signs);
        let mut browser = Browser::new(&server);
        let refused = come_back(&server, &mut browser, &third, "sub-of-ada").await;
        assert_eq!((refused.status, is_signed_in(&browser)), (StatusCode::BAD_GATEWAY, false), "{signs:?}");
        server.push(60);
    }
    third.honest();
    for mood in [Mood::Down, Mood::Forgetful] {
        third.mood(mood);
        let mut browser = Browser::new(&server);
        let refused = come_back(&server, &mut browser, &third, "sub-of-ada").await;
        assert_eq!((refused.status, is_signed_in(&browser)), (StatusCode::BAD_GATEWAY, false));
        assert!(refused.text.contains("cannot be asked at this moment"), "{}", refused.text);
    }
    third.mood(Mood::Good);
    assert_eq!(counted(&server, Kind::SignedIn, None), 0);
    let mut browser = Browser::new(&server);
    let done = come_back(&server, &mut browser, &third, "sub-of-ada").await;
    assert_eq!(done.header("location"), "/account", "{}", done.text);
}

#[tokio::test]
async fn as_214_claims_that_an_operator_wants_decide_and_may_come_of_the_userinfo_endpoint() {
    let third = ThirdParty::start().await;
    let company =
        SignInProvider { claims: [("hd".into(), "example.com".into())].into(), ..provider(&third, "idp") };
    let server = server_with(vec![company], |_| {}).await;
    let ada = person(&server, NAME).await.unwrap().id;
    link(&server, &third, "sub-of-ada", ada).await;
    let attempt = async || {
        server.push(10);
        let mut browser = Browser::new(&server);
        let answer = come_back(&server, &mut browser, &third, "sub-of-ada").await;
        (is_signed_in(&browser), answer.text)
    };
    let (signed_in, words) = attempt().await;
    assert!(!signed_in && words.contains("may not be used here"), "{words}");
    third.lies(|claims| claims["hd"] = json!("example.com.evil.example"));
    assert!(!attempt().await.0);
    third.lies(|claims| claims["hd"] = json!("example.com"));
    assert!(attempt().await.0);
    third.honest();
    third.userinfo(200, r#"{"sub": "sub-of-ada", "hd": "example.com"}"#);
    assert!(attempt().await.0, "said there");
    for (status, body) in [
        (200, r#"{"sub": "sub-of-eve", "hd": "example.com"}"#),
        (200, r#"{"hd": "example.com"}"#),
        (200, r#"{"sub": "sub-of-ada", "sub": "x", "hd": "example.com"}"#),
        (200, "<html>"),
        (403, r#"{"sub": "sub-of-ada", "hd": "example.com"}"#),
        (500, ""),
    ] {
        third.userinfo(status, body);
        assert!(!attempt().await.0, "{body}");
    }
    // What the signed token says is not replaced by what nobody signed.
    third.userinfo(200, r#"{"sub": "sub-of-ada", "hd": "example.com"}"#);
    third.lies(|claims| claims["hd"] = json!("other.example"));
    assert!(!attempt().await.0);
}

#[tokio::test]
async fn as_214_t_09_a_new_account_is_never_one_that_is_there() {
    let (one, two) = (ThirdParty::start().await, ThirdParty::start().await);
    let creating =
        |third: &ThirdParty, name| SignInProvider { accounts: Accounts::Create, ..provider(third, name) };
    let server = server_with(vec![creating(&one, "idp"), creating(&two, "two")], |_| {}).await;
    let ada = person(&server, NAME).await.unwrap();
    // Whoever is called there like somebody here, in name or address, is somebody else.
    for lie in [NAME, " ADA ", "ada"] {
        let said = lie.to_owned();
        one.lies(move |claims| {
            claims["preferred_username"] = json!(said);
            claims["email"] = json!("ada@example.com");
            claims["email_verified"] = json!(true);
        });
        let mut browser = Browser::new(&server);
        let done = come_back(&server, &mut browser, &one, "sub-of-eve").await;
        assert_eq!(done.header("location"), "/account", "{}", done.text);
        let page = browser.get("/account").await;
        assert!(page.text.contains("<strong>ada-2</strong>"), "the same one each time: {}", page.text);
    }
    let eve = person(&server, "ada-2").await.unwrap();
    assert_ne!(eve.id, ada.id);
    assert!(eve.password.is_empty());
    assert_eq!(server.app.store.links_of_person(ada.id).await.unwrap(), []);
    // The same subject of another provider, and another subject of the same.
    let mut browser = Browser::new(&server);
    two.at(server.now());
    two.lies(|claims| claims["preferred_username"] = json!("ada"));
    let back = two.allows(&begin(&mut browser, "two").await, "sub-of-eve");
    browser.get(path(&back)).await;
    assert!(browser.get("/account").await.text.contains("<strong>ada-3</strong>"));
    let mut browser = Browser::new(&server);
    come_back(&server, &mut browser, &one, "sub-of-mallory").await;
    assert!(browser.get("/account").await.text.contains("<strong>ada-4</strong>"));
    assert_eq!(counted(&server, Kind::PersonCreated, None), 3);
    // Without a name that can be one there is no account.
    for odd in [json!(null), json!(7), json!("a\u{202e}b"), json!("x".repeat(65))] {
        let said = odd.clone();
        one.lies(move |claims| claims["preferred_username"] = said.clone());
        one.userinfo(200, r#"{"sub": "sub-of-nobody"}"#);
        server.push(60);
        let mut browser = Browser::new(&server);
        let refused = come_back(&server, &mut browser, &one, "sub-of-nobody").await;
        assert!(!is_signed_in(&browser) && refused.text.contains("gives no name"), "{odd} {}", refused.text);
    }
    assert_eq!(server.app.store.people_list(None, 10).await.unwrap().len(), 4);
}

fn plain(third: &ThirdParty) -> SignInProvider {
    let endpoint = |path: &str| format!("{}{path}", third.issuer);
    let (authorization, token, userinfo) =
        (endpoint("/authorize"), endpoint("/token"), endpoint("/userinfo"));
    SignInProvider::new(&WrittenProvider {
        service: WrittenConnection {
            name: "idp",
            title: Some("Git"),
            client_id: "us",
            secret: Some(SecretString::new("secret of ours")),
            authorization_endpoint: Some(&authorization),
            token_endpoint: Some(&token),
            userinfo_endpoint: Some(&userinfo),
            ..WrittenConnection::default()
        },
        issuer: Some("https://git.example"),
        subject_claim: Some("id"),
        name_claim: Some("login"),
        accounts: Some("create"),
        ..WrittenProvider::default()
    })
    .unwrap()
}

#[tokio::test]
async fn as_213_as_214_a_service_without_id_tokens_says_at_its_userinfo_endpoint_who_it_is() {
    let third = ThirdParty::start().await;
    let server = server_with(vec![plain(&third)], |_| {}).await;
    let attempt = async |body: &str| {
        server.push(10);
        third.userinfo(200, body);
        let mut browser = Browser::new(&server);
        let answer = come_back(&server, &mut browser, &third, "whoever").await;
        if !is_signed_in(&browser) {
            assert!(answer.status.is_client_error() || answer.status.is_server_error());
            return None;
        }
        let page = browser.get("/account").await.text;
        let start = page.find("Signed in as <strong>").unwrap() + 21;
        Some(page[start..start + page[start..].find('<').unwrap()].to_owned())
    };
    assert_eq!(
        attempt(r#"{"id": 583231, "login": "octocat", "email": null}"#).await.as_deref(),
        Some("octocat")
    );
    let renamed = attempt(r#"{"id": 583231, "login": "other"}"#).await;
    assert_eq!(renamed.as_deref(), Some("octocat"), "the number counts, and no name");
    let taken = attempt(r#"{"id": 1, "login": "octocat"}"#).await;
    assert_eq!(taken.as_deref(), Some("octocat-2"));
    for odd in [
        r#"{"login": "octocat"}"#,
        r#"{"id": null, "login": "octocat"}"#,
        r#"{"id": true, "login": "octocat"}"#,
        r#"{"id": 583231.5, "login": "octocat"}"#,
        r#"{"id": -1, "login": "octocat"}"#,
        r#"{"id": [583231], "login": "octocat"}"#,
        r#"{"id": "", "login": "octocat"}"#,
        r#"{"id": 7, "id": 583231, "login": "octocat"}"#,
        r#"[{"id": 583231}]"#,
        "",
    ] {
        assert_eq!(attempt(odd).await, None, "{odd}");
    }
    let large = format!(r#"{{"id": 583231, "x": "{}"}}"#, "x".repeat(70_000));
    assert_eq!(attempt(&large).await, None, "too much");
    let link = server.app.store.link_read("https://git.example".into(), "583231".into()).await.unwrap();
    assert_eq!(link.map(|(_, person)| person.name).as_deref(), Some("octocat"));
}

#[tokio::test]
async fn as_214_t_101_passwords_can_be_off() {
    let third = ThirdParty::start().await;
    let creating = SignInProvider { accounts: Accounts::Create, ..provider(&third, "idp") };
    let server = server_with(vec![creating], |settings| settings.sign_in.passwords = false).await;
    let mut browser = Browser::new(&server);
    for path in ["/", "/setup"] {
        assert_eq!(browser.get(path).await.header("location"), "/account", "{path}");
    }
    assert!(hallpass_server::setup_link(&server.app).await.unwrap().is_none());
    let page = browser.get("/sign-in").await;
    assert!(!page.text.contains("id=\"password\"") && page.text.contains("Sign in with Company"));
    let tried = browser
        .submit(
            &page,
            "/sign-in",
            &["csrf", "waiting"],
            &[("name", "x"), ("password", "an analytical engine")],
        )
        .await;
    assert_eq!(tried.status, StatusCode::FORBIDDEN);
    assert_eq!(server.app.passwords.computed(), 0);
    let done = come_back(&server, &mut browser, &third, "grace").await;
    assert_eq!(done.header("location"), "/account", "{}", done.text);
    let grace = person(&server, "grace").await.unwrap();
    let now = server.now();
    let link =
        hallpass_server::invitation_link(&*server.app.store, &server.app.settings, grace.id, now).await;
    let refused = browser.get(path(link.unwrap().link.expose())).await;
    assert_eq!(refused.status, StatusCode::NOT_FOUND, "nobody gets a password by the way");
    let mut nobody = server.app.settings.clone();
    nobody.sign_in.providers.clear();
    assert!(server.app.with_settings(nobody, None).is_err());
}

#[tokio::test]
async fn as_214_nothing_of_a_provider_is_ever_shown_or_kept_in_the_open() {
    let (log, _logging) = Log::of_this_thread();
    let (third, folder) = (ThirdParty::start().await, tempfile::tempdir().unwrap());
    let audited = crate::audit::audited(folder.path()).audit;
    let server = server_with(vec![provider(&third, "idp")], |settings| settings.audit = audited).await;
    let ada = person(&server, NAME).await.unwrap().id;
    link(&server, &third, "sub-of-ada", ada).await;
    let client = server.register(REDIRECT).await;
    let mut browser = Browser::new(&server);
    let form = browser.get(&query(&Server::request(&client))).await;
    let page = press(&mut browser, &form, "idp").await;
    let back = third.allows(&page, "sub-of-ada");
    let done = browser.get(path(&back)).await;
    let consent = browser.get(done.header("location")).await;
    let moving = browser.answer(&consent, "allow").await;
    let tokens = server.redeem(&client, &moving.answered("code").unwrap()).await;
    let refreshed = server.refresh(&client, text(&tokens.json(), "refresh_token")).await;
    let account = browser.get("/account").await;
    for answer in [&form, &done, &consent, &moving, &tokens, &refreshed, &account] {
        let whole = format!("{:?} {}", answer.headers, answer.text);
        for canary in ["access-of-", "refresh-of-", "secret of ours"] {
            assert!(!whole.contains(canary), "{canary} in {whole}");
        }
    }
    let link =
        server.app.store.link_read(third.issuer.clone(), "sub-of-ada".into()).await.unwrap().unwrap().0;
    assert!(link.sealed.is_some(), "it is kept");
    // Nor is it, or the answer that brought it, in the log or the audit, where everybody reads who runs this.
    let audit = crate::audit::lines(&server, folder.path());
    let audit = audit.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    let written = log.written();
    assert!(audit.contains("signed_in") && written.contains("signed in"), "{audit}{written}");
    let of_the_answer =
        back.split_once('?').unwrap().1.split('&').map(|pair| pair.split_once('=').unwrap().1);
    for canary in of_the_answer.filter(|value| !value.contains("http")).chain([
        "access-of-",
        "refresh-of-",
        "secret of ours",
    ]) {
        assert!(!written.contains(canary) && !audit.contains(canary), "{canary} in {written}{audit}");
    }
    server.app.store.close().await.unwrap();
    for file in std::fs::read_dir(server.folder.path()).unwrap() {
        let file = file.unwrap().path();
        let bytes = std::fs::read(&file).unwrap_or_default();
        for canary in [&b"access-of-"[..], b"refresh-of-"] {
            let found = bytes.windows(canary.len()).any(|window| window == canary);
            assert!(!found, "{} in {}", String::from_utf8_lossy(canary), file.display());
        }
    }
}
