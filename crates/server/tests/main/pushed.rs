//! Pushed authorization requests (RFC 9126): authenticated and checked before the answer, used once, stored nowhere.

use crate::{
    assertions::{SigningClient, signed},
    support::*,
};
use axum::body::Body;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use hallpass_core::{
    jose::Algorithm,
    parameters,
    seal::{MasterKey, MasterKeys},
    secret::{SecretBytes, SecretString},
};
use hallpass_server::{ClientRecord, OperatorClient, Settings, digest_of_secret};
use http::{Request, StatusCode};
use serde_json::{Value, json};
use std::{collections::BTreeMap, fs};

/// Pushes the usual request with these parameters instead of the usual ones; an empty value leaves one out.
async fn push_with(server: &Server, client: &str, other: &[(&str, &str)]) -> Answer {
    let mut request = Server::request(client);
    request.extend(other.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    request.retain(|_, value| !value.is_empty());
    let pairs: Vec<(&str, &str)> = request.iter().map(|(name, value)| (&**name, &**value)).collect();
    server.form("/par", &pairs).await
}

async fn push(server: &Server, client: &str, other: &[(&str, &str)]) -> String {
    let pushed = push_with(server, client, other).await;
    assert_eq!(pushed.status, StatusCode::CREATED, "{pushed:?}");
    text(&pushed.json(), "request_uri").to_owned()
}

fn taken(client: &str, uri: &str) -> BTreeMap<String, String> {
    [("client_id", client), ("request_uri", uri)]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

fn is_stopped(page: &Answer) {
    assert_eq!(page.status, StatusCode::BAD_REQUEST, "{}", page.text);
    assert_eq!((page.target(), page.link(), page.header("location")), (None, None, ""));
    assert!(page.text.contains("This request is no longer valid"), "{}", page.text);
}

#[tokio::test]
async fn as_198_as_199_as_200_a_pushed_request_goes_through_sign_in_and_consent() {
    let server = Server::start().await;
    let client = server.register(REDIRECT).await;
    drop(server.set_up().await);
    let pushed = push_with(&server, &client, &[]).await;
    assert_eq!((pushed.status, pushed.header("cache-control")), (StatusCode::CREATED, "no-store"));
    assert_eq!(pushed.json()["expires_in"], 90);
    let uri = text(&pushed.json(), "request_uri").to_owned();
    assert!(uri.starts_with("urn:ietf:params:oauth:request_uri:") && uri.len() <= 600, "{}", uri.len());
    // Signing in takes longer than a pushed request lives: what was begun in time goes on.
    let mut browser = Browser::new(&server);
    let form = browser.get(&query(&taken(&client, &uri))).await;
    server.push(600);
    let next = browser.sign_in(&form).await;
    assert_eq!(next.status, StatusCode::SEE_OTHER);
    let back = next.header("location").to_owned();
    assert!(!back.contains("redirect_uri=") && !back.contains("state="), "{back}");
    let page = browser.get(&back).await;
    server.push(500);
    let answer = browser.answer(&page, "allow").await;
    assert_eq!(answer.answered("state").as_deref(), Some("st/a+te %&"));
    assert_eq!(answer.answered("iss").as_deref(), Some(ISSUER));
    assert!(answer.target().unwrap().starts_with(REDIRECT));
    let tokens = server.redeem(&client, &answer.answered("code").unwrap()).await;
    assert_eq!((tokens.status, text(&tokens.json(), "scope")), (StatusCode::OK, "read"), "{tokens:?}");
}

#[tokio::test]
async fn as_200_one_grant_and_reloading_until_then() {
    let server = Server::start().await;
    let client = server.register(REDIRECT).await;
    let mut browser = server.set_up().await;
    let uri = push(&server, &client, &[]).await;
    let asked = taken(&client, &uri);
    let (one, two) = (browser.allow(&asked).await, browser.allow(&asked).await);
    assert_ne!(one, two);
    assert_eq!(server.redeem(&client, &one).await.status, StatusCode::OK);
    let second = server.redeem(&client, &two).await;
    assert_eq!((second.status, second.error().as_str()), (StatusCode::BAD_REQUEST, "invalid_grant"));
    // Used up, although the 90 seconds are not over.
    is_stopped(&browser.get(&query(&asked)).await);
    // A no burns nothing.
    let asked = taken(&client, &push(&server, &client, &[]).await);
    let page = browser.ask(&asked).await;
    assert_eq!(browser.answer(&page, "deny").await.answered("error").as_deref(), Some("access_denied"));
    let code = browser.allow(&asked).await;
    assert_eq!(server.redeem(&client, &code).await.status, StatusCode::OK);
}

#[tokio::test]
async fn as_200_late_foreign_and_forged_ones_stop_at_a_page() {
    let server = Server::start().await;
    let (client, other) = (server.register(REDIRECT).await, server.register(REDIRECT).await);
    let mut browser = server.set_up().await;
    let uri = push(&server, &client, &[]).await;
    is_stopped(&browser.get(&query(&taken(&other, &uri))).await);
    is_stopped(&browser.get(&query(&taken(&client, &altered(&uri)))).await);
    is_stopped(&browser.get(&query(&taken(&client, "urn:ietf:params:oauth:request_uri:x"))).await);
    let nameless = browser.get(&query(&[("request_uri".to_owned(), uri.clone())].into())).await;
    assert_eq!((nameless.status, nameless.target()), (StatusCode::BAD_REQUEST, None));
    server.push(89);
    let page = browser.ask(&taken(&client, &uri)).await;
    server.push(1);
    is_stopped(&browser.get(&query(&taken(&client, &uri))).await);
    // What one browser has begun is nothing in another one, and not for ever in the same.
    let begun = page.hidden("query").unwrap();
    assert!(!begun.contains(&uri[40..]));
    let mut elsewhere = browser.clone();
    elsewhere.cookies.remove("__Host-hallpass_browser");
    is_stopped(&elsewhere.get(&format!("/authorize?{begun}")).await);
    assert!(browser.get(&format!("/authorize?{begun}")).await.hidden("page").is_some());
    server.push(3_600);
    is_stopped(&browser.get(&format!("/authorize?{begun}")).await);
}

#[tokio::test]
async fn as_200_t_16_what_stands_beside_it_is_ignored() {
    let server = Server::start().await;
    let client = server.register(REDIRECT).await;
    let mut browser = server.set_up().await;
    let mut asked = taken(&client, &push(&server, &client, &[]).await);
    for (name, value) in [
        ("redirect_uri", "http://127.0.0.1:5000/evil"),
        ("state", "evil"),
        ("scope", "read write"),
        ("code_challenge", "evil"),
        ("resource", "https://evil.example/"),
        ("prompt", "none"),
        ("response_type", "token"),
    ] {
        asked.insert(name.into(), value.into());
    }
    let page = browser.ask(&asked).await;
    assert!(!page.text.contains("evil") && !page.text.contains("May write"), "{}", page.text);
    let answer = browser.answer(&page, "allow").await;
    assert_eq!(answer.answered("state").as_deref(), Some("st/a+te %&"));
    let tokens = server.redeem(&client, &answer.answered("code").unwrap()).await;
    assert_eq!(text(&tokens.json(), "scope"), "read");
    // Twice is a fault here too, and a URL of anybody's is still not fetched.
    let twice = format!("{}&request_uri=x", query(&asked));
    assert_eq!(browser.get(&twice).await.status, StatusCode::BAD_REQUEST);
    let mut request = Server::request(&client);
    request.insert("request_uri".into(), "https://client.example/request".into());
    let answer = browser.get(&query(&request)).await;
    assert_eq!(answer.answered("error").as_deref(), Some("request_uri_not_supported"));
}

#[tokio::test]
async fn as_092_prompt_and_max_age_work_when_pushed() {
    let server = Server::start().await;
    let client = server.register(REDIRECT).await;
    let mut browser = server.set_up().await;
    server.push(100);
    for (name, value) in [("prompt", "login"), ("max_age", "10")] {
        let uri = push(&server, &client, &[(name, value)]).await;
        let form = browser.get(&query(&taken(&client, &uri))).await;
        assert!(form.hidden("waiting").is_some(), "{name}: {}", form.text);
        server.push(300);
        let back = browser.sign_in(&form).await.header("location").to_owned();
        let page = browser.get(&back).await;
        assert!(page.hidden("page").is_some(), "{name}: signed in since: {}", page.text);
        server.push(100);
    }
    let uri = push(&server, &client, &[("prompt", "select_account")]).await;
    let form = browser.get(&query(&taken(&client, &uri))).await;
    let link = form.text.split("class=\"button\" href=\"").nth(1).unwrap().split('"').next().unwrap();
    let page = browser.get(&link.replace("&#38;", "&")).await;
    assert!(page.hidden("page").is_some(), "goes on as the same person: {}", page.text);
    let uri = push(&server, &client, &[("prompt", "none")]).await;
    let answer = browser.get(&query(&taken(&client, &uri))).await;
    assert_eq!(answer.answered("error").as_deref(), Some("consent_required"));
    // Another account on the way: the request goes along.
    let uri = push(&server, &client, &[]).await;
    let page = browser.ask(&taken(&client, &uri)).await;
    server.push(300);
    let out = browser.submit(&page, "/sign-out", &["csrf", "query"], &[]).await;
    let form = browser.get(out.header("location")).await;
    let back = browser.sign_in(&form).await.header("location").to_owned();
    assert!(browser.get(&back).await.hidden("page").is_some());
}

#[tokio::test]
async fn as_198_as_202_each_broken_rule_is_json_and_never_a_redirect() {
    let server = Server::start().await;
    let client = server.register(REDIRECT).await;
    let long = "s".repeat(1_100);
    for (name, value, status, error) in [
        ("request_uri", "urn:ietf:params:oauth:request_uri:x", 400, "invalid_request"),
        ("request_uri", "https://client.example/", 400, "invalid_request"),
        ("request", "eyJ.e30.", 400, "request_not_supported"),
        ("response_type", "", 400, "invalid_request"),
        ("response_type", "token", 400, "unsupported_response_type"),
        ("response_mode", "fragment", 400, "invalid_request"),
        ("redirect_uri", "https://evil.example/", 400, "invalid_request"),
        ("redirect_uri", "javascript:x", 400, "invalid_request"),
        ("code_challenge", "", 400, "invalid_request"),
        ("code_challenge_method", "plain", 400, "invalid_request"),
        ("resource", "https://evil.example/", 400, "invalid_target"),
        ("scope", "nothing", 400, "invalid_scope"),
        ("scope", "\"", 400, "invalid_scope"),
        ("client_id", "", 400, "invalid_request"),
        ("client_id", "nobody", 401, "invalid_client"),
        ("client_secret", "x", 401, "invalid_client"),
        ("client_assertion", "x", 401, "invalid_client"),
        ("state", &long, 413, "invalid_request"),
        ("state", &"s".repeat(5_000), 400, "invalid_request"),
        ("state", &"s".repeat(17_000), 413, "invalid_request"),
    ] {
        let refused = push_with(&server, &client, &[(name, value)]).await;
        let short = &value[..value.len().min(30)];
        assert_eq!(refused.status.as_u16(), status, "{name}={short}: {refused:?}");
        assert_eq!(refused.error(), error, "{name}={short}");
        assert_eq!(refused.header("location"), "", "{name}={short}");
        assert_eq!(refused.header("cache-control"), "no-store", "{name}={short}");
    }
    assert!(push_with(&server, &client, &[("state", &long)]).await.text.contains("1500 characters"));
    let twice = parameters::encode([("client_id", &*client), ("scope", "read"), ("scope", "write")]);
    let post = |kind: &str, body: String| {
        Request::post("/par").header("content-type", kind).body(Body::from(body)).unwrap()
    };
    let form = "application/x-www-form-urlencoded";
    assert_eq!(server.send(post(form, twice)).await.error(), "invalid_request");
    assert_eq!(server.send(post("application/json", "{}".into())).await.error(), "invalid_request");
    let get = server.get(&format!("/par?client_id={client}")).await;
    assert_eq!((get.status, get.header("allow")), (StatusCode::METHOD_NOT_ALLOWED, "POST"));
}

fn operator(id: &str, auth: &str, pushed: bool) -> OperatorClient {
    let secret =
        (auth != "none").then(|| digest_of_secret(&SecretString::new("one-secret-of-the-client-abc")));
    let record = json!({
        "name": "Reports", "redirect_uris": [REDIRECT], "auth": auth,
        "secrets": secret.into_iter().collect::<Vec<_>>(),
        "grant_types": ["authorization_code", "refresh_token"],
        "require_pushed_authorization_requests": pushed,
    });
    OperatorClient::new(id, &serde_json::from_value::<ClientRecord>(record).unwrap()).unwrap()
}

#[tokio::test]
async fn as_127_as_198_the_registered_method_counts_for_a_push_too() {
    let (server, host) = Server::with_documents(Settings {
        clients: vec![operator("reports", "client_secret_basic", false)],
        ..settings()
    })
    .await;
    let secret = "one-secret-of-the-client-abc";
    let basic = |user: &str, secret: &str| format!("Basic {}", STANDARD.encode(format!("{user}:{secret}")));
    let with_header = async |header: String, body: &[(&str, &str)]| {
        let mut request = Server::request("");
        request.remove("client_id");
        request.extend(body.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let encoded = parameters::encode(request.iter().map(|(name, value)| (&**name, &**value)));
        let post = Request::post("/par")
            .header("content-type", "application/x-www-form-urlencoded")
            .header("authorization", header);
        server.send(post.body(Body::from(encoded)).unwrap()).await
    };
    assert_eq!(with_header(basic("reports", secret), &[]).await.status, StatusCode::CREATED);
    let named = [("client_id", "reports")];
    assert_eq!(with_header(basic("reports", secret), &named).await.status, StatusCode::CREATED);
    let wrong = with_header(basic("reports", "wrong"), &named).await;
    assert_eq!((wrong.status, wrong.error().as_str()), (StatusCode::UNAUTHORIZED, "invalid_client"));
    assert!(wrong.header("www-authenticate").starts_with("Basic"));
    let other = with_header(basic("reports", secret), &[("client_id", "other")]).await;
    assert_eq!(other.error(), "invalid_request");
    let both = with_header(basic("reports", secret), &[("client_secret", secret)]).await;
    assert_eq!(both.error(), "invalid_request");
    for without in [&[][..], &[("client_secret", "wrong")][..]] {
        assert_eq!(push_with(&server, "reports", without).await.error(), "invalid_client");
    }
    // One that signs has to sign here too, and is known here before anybody said yes to it.
    let client = SigningClient::publish(&host, Algorithm::Es256, &["private_key_jwt"]);
    assert_eq!(push_with(&server, &client.url, &[]).await.error(), "invalid_client");
    assert_eq!(push_with(&server, &client.url, &[("client_secret", "x")]).await.error(), "invalid_client");
    let assertion = client.assertion(&server);
    let pushed = push_with(&server, &client.url, &signed(&assertion, &[])).await;
    assert_eq!(pushed.status, StatusCode::CREATED, "{pushed:?}");
    let again = push_with(&server, &client.url, &signed(&assertion, &[])).await;
    assert_eq!(again.error(), "invalid_client", "T-27: an assertion is good once");
    // The secret and the assertion are not in what goes through the browser.
    let mut browser = server.set_up().await;
    let page = browser.ask(&taken(&client.url, text(&pushed.json(), "request_uri"))).await;
    assert!(page.text.contains("dev.internal"));
}

#[tokio::test]
async fn as_201_where_pushing_is_required_direct_requests_are_refused() {
    let everybody =
        Server::with(Settings { require_pushed_authorization_requests: true, ..settings() }).await;
    let metadata = everybody.get("/.well-known/oauth-authorization-server").await.json();
    assert_eq!(metadata["require_pushed_authorization_requests"], true);
    assert_eq!(metadata["pushed_authorization_request_endpoint"], format!("{ISSUER}/par"));
    let client = everybody.register(REDIRECT).await;
    let mut browser = everybody.set_up().await;
    let answer = browser.get(&query(&Server::request(&client))).await;
    assert_eq!(answer.answered("error").as_deref(), Some("invalid_request"));
    let uri = push(&everybody, &client, &[]).await;
    browser.allow(&taken(&client, &uri)).await;

    let settings = Settings { clients: vec![operator("pushes", "none", true)], ..settings() };
    let (server, host) = Server::with_documents(settings).await;
    let metadata = server.get("/.well-known/oauth-authorization-server").await.json();
    assert_eq!(metadata.get("require_pushed_authorization_requests"), None);
    let registration = json!({
        "redirect_uris": [REDIRECT], "token_endpoint_auth_method": "none",
        "require_pushed_authorization_requests": true,
    });
    let registered = server.post_json("/register", &registration).await.json();
    assert_eq!(registered["require_pushed_authorization_requests"], true);
    let url = host.url("/client.json");
    let mut document = registration.clone();
    document["client_id"] = Value::from(url.as_str());
    document["client_name"] = "Documented".into();
    host.publish("/client.json", &document.to_string());
    let mut browser = server.set_up().await;
    for client in ["pushes", text(&registered, "client_id"), &url] {
        let answer = browser.get(&query(&Server::request(client))).await;
        assert_eq!(answer.answered("error").as_deref(), Some("invalid_request"), "{client}: {}", answer.text);
        browser.allow(&taken(client, &push(&server, client, &[]).await)).await;
    }
    let free = server.register(REDIRECT).await;
    browser.allow(&Server::request(&free)).await;
}

#[tokio::test]
async fn as_223_as_202_failures_and_strangers_documents_are_limited() {
    let mut settings = Settings { trusted_proxies: vec!["127.0.0.1".parse().unwrap()], ..settings() };
    (settings.limits.failures, settings.limits.authorizations) = (5, 5);
    let (server, host) = Server::with_documents(settings).await;
    let client = server.register(REDIRECT).await;
    for _ in 0..5 {
        assert_eq!(
            push_with(&server, &client, &[("scope", "nothing")]).await.status,
            StatusCode::BAD_REQUEST
        );
    }
    let over = push_with(&server, &client, &[("scope", "nothing")]).await;
    assert_eq!(
        (over.status, over.error().as_str()),
        (StatusCode::TOO_MANY_REQUESTS, "temporarily_unavailable")
    );
    assert!(over.headers.contains_key("retry-after"));
    // Whoever brings what is right is not turned away for them.
    for _ in 0..20 {
        push(&server, &client, &[]).await;
    }
    // A document may cost a fetch each time.
    for number in 0..7 {
        let path = format!("/nobody{number}.json");
        let answer = push_with(&server, &host.url(&path), &[]).await;
        let (status, requests) = if number < 5 { (401, 1) } else { (429, 0) };
        assert_eq!(answer.status.as_u16(), status, "{number}: {answer:?}");
        assert_eq!(host.requests(&path), requests, "{number}");
    }
}

#[tokio::test]
async fn t_95_pushed_requests_leave_the_database_as_it_was() {
    let server = Server::start().await;
    let client = server.register(REDIRECT).await;
    let file = server.folder.path().join("hallpass.sqlite");
    let server = server.restarted().await;
    server.app.store.close().await.unwrap();
    let before = fs::read(&file).unwrap();
    let server = server.restarted().await;
    for _ in 0..3_000 {
        push(&server, &client, &[]).await;
    }
    server.app.store.close().await.unwrap();
    assert!(fs::read(&file).unwrap() == before, "something was written");
}

#[tokio::test]
async fn as_200_any_node_takes_it_and_one_that_is_behind_says_later() {
    let server = Server::start().await;
    let client = server.register(REDIRECT).await;
    let cookies = server.set_up().await.cookies;
    let other = server.beside().await;
    let mut browser = Browser::new(&other);
    browser.cookies = cookies;
    browser.allow(&taken(&client, &push(&server, &client, &[]).await)).await;
    let key = |number: u8, byte: u8| MasterKey { number, bytes: SecretBytes::new([byte; 32]) };
    let ahead = server.taking(&MasterKeys::from(vec![key(1, 8), key(0, 7)])).await.unwrap();
    let uri = push(&ahead, &client, &[]).await;
    assert_eq!(browser.get(&query(&taken(&client, &uri))).await.status, StatusCode::SERVICE_UNAVAILABLE);
}
