//! The device grant (RFC 8628): a device that asks, a person who decides elsewhere, and everybody who would like to stand
//! between them.

use crate::{
    assertions::{SigningClient, signed},
    machines::key_set,
    places::{Backend, Place},
    support::*,
};
use axum::body::Body;
use hallpass_core::{
    jose::{Algorithm, SigningKey},
    parameters,
    secret::SecretString,
};
use hallpass_server::{ClientRecord, OperatorClient, Settings, digest_of_secret};
use hallpass_testkit::{ManualClock, postgres::Cluster};
use http::{Request, StatusCode};
use serde_json::{Value, json};
use std::{fs, net::SocketAddr, sync::Arc};

const GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// Registers a client that may ask from a device.
pub async fn register(server: &Server) -> String {
    let body = json!({
        "client_name": "A television", "token_endpoint_auth_method": "none", "grant_types": [GRANT, "refresh_token"],
    });
    let answer = server.post_json("/register", &body).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
    text(&answer.json(), "client_id").to_owned()
}

pub async fn asks(server: &Server, client: &str) -> Value {
    let answer = server.form("/device_authorization", &[("client_id", client), ("scope", "read")]).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    answer.json()
}

pub async fn polls(server: &Server, client: &str, device: &Value) -> Answer {
    let pairs = [("grant_type", GRANT), ("client_id", client), ("device_code", text(device, "device_code"))];
    server.form("/token", &pairs).await
}

/// Types the code of a device: the page after it.
pub async fn types(browser: &mut Browser<'_>, code: &str) -> Answer {
    let form = browser.get("/device").await;
    let typed = browser.submit(&form, "/device", &["csrf"], &[("user_code", code)]).await;
    if typed.status != StatusCode::SEE_OTHER {
        return typed;
    }
    browser.get(typed.header("location")).await
}

pub async fn decides(browser: &mut Browser<'_>, page: &Answer, decision: &str) -> Answer {
    let done = browser.submit(page, "/device", &["csrf", "page"], &[("decision", decision)]).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.text);
    browser.get(done.header("location")).await
}

pub fn looks_for(code: &str) -> String {
    format!("/device?user_code={code}")
}

#[tokio::test]
async fn as_178_the_whole_story_of_a_device() {
    let server = Server::start().await;
    let metadata = server.get("/.well-known/oauth-authorization-server").await.json();
    assert_eq!(metadata["device_authorization_endpoint"], format!("{ISSUER}/device_authorization"));
    assert!(metadata["grant_types_supported"].as_array().unwrap().contains(&json!(GRANT)));
    let client = register(&server).await;
    let mut browser = server.set_up().await;
    let answer = server.form("/device_authorization", &[("client_id", &client), ("scope", "read")]).await;
    assert_eq!(answer.header("cache-control"), "no-store");
    let device = answer.json();
    let code = text(&device, "user_code").to_owned();
    assert_eq!(text(&device, "verification_uri"), format!("{ISSUER}/device"));
    assert_eq!(text(&device, "verification_uri_complete"), format!("{ISSUER}/device?user_code={code}"));
    assert_eq!((&device["expires_in"], &device["interval"]), (&json!(600), &json!(5)));
    let early = polls(&server, &client, &device).await;
    assert_eq!((early.status, early.error().as_str()), (StatusCode::BAD_REQUEST, "authorization_pending"));

    server.push(30);
    let waits = types(&mut browser, &code.to_lowercase()).await;
    assert!(
        waits.text.contains("Looking for the device") && waits.header("refresh") == "3",
        "{}",
        waits.text
    );
    server.push(5);
    assert_eq!(polls(&server, &client, &device).await.error(), "authorization_pending");
    assert!(browser.get(&looks_for(&code)).await.text.contains("Looking for"), "six seconds have not passed");
    server.push(1);
    let page = browser.get(&looks_for(&code)).await;
    assert_eq!(page.header("refresh"), "");
    for part in
        ["127.0.0.1", &*code, "A television", "nobody has checked", "Things", "May read", "Stay signed in"]
    {
        assert!(page.text.contains(part), "{part}: {}", page.text);
    }
    assert!(!page.text.contains("May write"));
    let done = decides(&mut browser, &page, "allow").await;
    assert!(done.text.contains("goes on by itself"), "{}", done.text);
    server.push(4);
    let tokens = polls(&server, &client, &device).await;
    assert_eq!((tokens.status, text(&tokens.json(), "scope")), (StatusCode::OK, "read"), "{tokens:?}");
    assert_eq!(claims(text(&tokens.json(), "access_token"))["aud"], RESOURCE);
    // An ordinary grant: it refreshes, and stands on the account page.
    let next = server.refresh(&client, text(&tokens.json(), "refresh_token")).await;
    assert_eq!(next.status, StatusCode::OK);
    let account = browser.get("/account").await;
    assert!(account.text.contains("A television") && account.text.contains("a device on this computer"));
    // The device code is good once; who sends it again ends the grant.
    server.push(5);
    let again = polls(&server, &client, &device).await;
    assert_eq!((again.status, again.error().as_str()), (StatusCode::BAD_REQUEST, "invalid_grant"));
    let refused = server.refresh(&client, text(&next.json(), "refresh_token")).await;
    assert_eq!(refused.error(), "invalid_grant");
}

#[tokio::test]
async fn as_178_polling_rules() {
    let server = Server::start().await;
    let client = register(&server).await;
    let mut browser = server.set_up().await;
    let device = asks(&server, &client).await;
    assert_eq!(polls(&server, &client, &device).await.error(), "authorization_pending");
    server.push(2);
    assert_eq!(polls(&server, &client, &device).await.error(), "slow_down");
    server.push(6);
    assert_eq!(polls(&server, &client, &device).await.error(), "slow_down", "ten seconds now");
    server.push(15);
    assert_eq!(polls(&server, &client, &device).await.error(), "authorization_pending");
    let page = types(&mut browser, text(&device, "user_code")).await;
    assert!(page.hidden("page").is_none());
    server.push(15);
    polls(&server, &client, &device).await;
    let page = browser.get(&looks_for(text(&device, "user_code"))).await;
    let done = decides(&mut browser, &page, "deny").await;
    assert!(done.text.contains("The device got nothing"), "{}", done.text);
    server.push(15);
    assert_eq!(polls(&server, &client, &device).await.error(), "access_denied");
    let late = asks(&server, &client).await;
    server.push(600);
    assert_eq!(polls(&server, &client, &late).await.error(), "expired_token");
    // What is older than any device finds nothing: a code that was typed is over too.
    let page = browser.get(&looks_for(text(&device, "user_code"))).await;
    assert!(page.text.contains("letter by letter") && page.hidden("page").is_none(), "{}", page.text);
}

#[tokio::test]
async fn t_23_as_178_as_113_a_device_code_is_its_own_clients_only() {
    let (server, host) = Server::with_documents(settings()).await;
    let (client, other) = (register(&server).await, register(&server).await);
    let mut browser = server.set_up().await;
    let device = asks(&server, &client).await;
    types(&mut browser, text(&device, "user_code")).await;
    server.push(6);
    polls(&server, &client, &device).await;
    let page = browser.get(&looks_for(text(&device, "user_code"))).await;
    decides(&mut browser, &page, "allow").await;
    server.push(5);
    assert_eq!(polls(&server, &other, &device).await.error(), "invalid_grant");
    let mut forged = device.clone();
    forged["device_code"] = altered(text(&device, "device_code")).into();
    assert_eq!(polls(&server, &client, &forged).await.error(), "invalid_grant");
    let elsewhere = [
        ("grant_type", GRANT),
        ("client_id", &*client),
        ("device_code", text(&device, "device_code")),
        ("resource", "https://other.example/"),
    ];
    assert_eq!(server.form("/token", &elsewhere).await.error(), "invalid_target");
    assert_eq!(server.form("/token", &elsewhere).await.error(), "slow_down", "it polls as any other");
    // Nothing of that burnt it.
    server.push(20);
    assert_eq!(polls(&server, &client, &device).await.status, StatusCode::OK);
    // One that signs has to sign here too (AS-127).
    let signing = SigningClient::publish(&host, Algorithm::Es256, &["private_key_jwt"]);
    let unsigned = server.form("/device_authorization", &[("client_id", &signing.url)]).await;
    assert_eq!((unsigned.status, unsigned.error().as_str()), (StatusCode::UNAUTHORIZED, "invalid_client"));
    let assertion = signing.assertion(&server);
    let signed = server.form("/device_authorization", &signed(&assertion, &[])).await;
    assert_eq!(signed.error(), "unauthorized_client", "its document does not list the grant");
}

#[tokio::test]
async fn as_178_what_a_device_may_not_ask() {
    let record = |grants: Value| {
        let record = json!({ "name": "R", "auth": "none", "redirect_uris": [], "grant_types": grants });
        serde_json::from_value::<ClientRecord>(record).unwrap()
    };
    let made = OperatorClient::new("made", &record(json!([GRANT]))).unwrap();
    let off = Settings { device_authorization: false, ..settings() };
    let server = Server::with(Settings { clients: vec![made], ..settings() }).await;
    let plain = server.register(REDIRECT).await;
    let client = register(&server).await;
    for (pairs, status, error) in [
        (vec![("client_id", &*plain)], 400, "unauthorized_client"),
        (vec![("client_id", "nobody")], 401, "invalid_client"),
        (vec![("client_id", &*client), ("client_secret", "x")], 401, "invalid_client"),
        (vec![], 400, "invalid_request"),
        (vec![("client_id", &*client), ("scope", "nothing")], 400, "invalid_scope"),
        (vec![("client_id", &*client), ("scope", "\"")], 400, "invalid_scope"),
        (vec![("client_id", &*client), ("resource", "https://other.example/")], 400, "invalid_target"),
        (vec![("client_id", &*client), ("scope", "read"), ("scope", "write")], 400, "invalid_request"),
        (vec![("client_id", "made")], 200, ""),
    ] {
        let answer = server.form("/device_authorization", &pairs).await;
        assert_eq!(answer.status.as_u16(), status, "{pairs:?} {answer:?}");
        assert_eq!(answer.error(), error, "{pairs:?}");
    }
    let get = server.get(&format!("/device_authorization?client_id={client}")).await;
    assert_eq!(get.status, StatusCode::METHOD_NOT_ALLOWED);
    let missing = server.form("/token", &[("grant_type", GRANT), ("client_id", &client)]).await;
    assert_eq!(missing.error(), "invalid_request");
    // A client of a device has nowhere to send a person.
    let mut browser = server.set_up().await;
    assert_eq!(browser.get(&query(&Server::request(&client))).await.status, StatusCode::BAD_REQUEST);

    let server = Server::with(off).await;
    let metadata = server.get("/.well-known/oauth-authorization-server").await.json();
    assert_eq!(metadata.get("device_authorization_endpoint"), None);
    let client = register(&server).await;
    let answer = server.form("/device_authorization", &[("client_id", &client)]).await;
    assert_eq!(answer.error(), "unauthorized_client");
    assert_eq!(server.get("/device").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn as_127_at_the_device_endpoint_too_the_registered_method_is_the_only_one() {
    const SECRET: &str = "a-secret-of-the-television-here";
    let key = SigningKey::generate(Algorithm::Es256).unwrap();
    let made = |id: &str, auth: &str| {
        let mut record = json!({ "name": "R", "auth": auth, "redirect_uris": [], "grant_types": [GRANT] });
        match auth {
            "client_secret_post" => {
                record["secrets"] = json!([digest_of_secret(&SecretString::new(SECRET)).unwrap()]);
            }
            "private_key_jwt" => record["jwks"] = key_set(&[&key]),
            _ => {}
        }
        OperatorClient::new(id, &serde_json::from_value::<ClientRecord>(record).unwrap()).unwrap()
    };
    let clients =
        vec![made("none", "none"), made("shared", "client_secret_post"), made("signs", "private_key_jwt")];
    let server = Server::with(Settings { clients, ..settings() }).await;
    for (id, method) in [("none", 0), ("shared", 1), ("signs", 2)] {
        let with = async |path: &str, proof: usize, more: &[(&str, &str)]| {
            let assertion = crate::machines::assertion(&server, &key, id);
            let mut pairs = [&[("client_id", id)], more].concat();
            match proof {
                0 => {}
                1 => pairs.push(("client_secret", SECRET)),
                _ => pairs = signed(&assertion, &pairs),
            }
            server.form(path, &pairs).await
        };
        let device = with("/device_authorization", method, &[]).await;
        assert_eq!(device.status, StatusCode::OK, "{id} {device:?}");
        let code = text(&device.json(), "device_code").to_owned();
        let poll = [("grant_type", GRANT), ("device_code", &*code)];
        for proof in (0..3).filter(|proof| *proof != method) {
            for (path, more) in [("/device_authorization", &[][..]), ("/token", &poll)] {
                let refused = with(path, proof, more).await;
                let said = (refused.status, refused.error());
                assert_eq!(said, (StatusCode::UNAUTHORIZED, "invalid_client".into()), "{id} {proof} {path}");
            }
        }
        assert_eq!(with("/token", method, &poll).await.error(), "authorization_pending", "{id}");
    }
}

#[tokio::test]
async fn t_29_as_178_codes_are_not_found_by_trying() {
    let server = Server::start().await;
    let client = register(&server).await;
    let mut browser = server.set_up().await;
    let device = asks(&server, &client).await;
    polls(&server, &client, &device).await;
    // Whether a device with these letters waits is nothing that an answer says: both pages are the same.
    let real = types(&mut browser, text(&device, "user_code")).await;
    let guess = types(&mut browser, "BBBB-BBBB").await;
    let plain = |page: &Answer, code: &str| page.text.replace(code, "");
    assert_eq!(plain(&real, text(&device, "user_code")), plain(&guess, "BBBB-BBBB"));
    for code in ["CCCC-CCCC", "DDDD-DDDD", "FFFF-FFFF"] {
        assert!(types(&mut browser, code).await.text.contains("Looking for"));
    }
    let over = types(&mut browser, "GGGG-GGGG").await;
    assert_eq!(over.status, StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(over.header("retry-after"), "60");
    let malformed = types(&mut browser, "GGGG").await;
    assert_eq!(malformed.status, StatusCode::BAD_REQUEST);
    assert!(malformed.text.contains("eight letters"));
    // Another browser of the same person gets no more tries, nor does another node.
    let node = server.beside().await;
    let mut second = Browser::new(&node);
    let form = second.get("/device").await;
    assert!(form.text.contains("sign in first"), "{}", form.text);
    let back = second.sign_in(&form).await;
    assert_eq!(back.header("location"), "/device");
    assert_eq!(types(&mut second, "HHHH-HHHH").await.status, StatusCode::TOO_MANY_REQUESTS);
    server.push(60);
    assert!(types(&mut second, "HHHH-HHHH").await.text.contains("Looking for"));
}

#[tokio::test]
async fn as_178_somebody_elses_code_gets_nothing_from_a_person_who_reads() {
    let mut settings = settings();
    settings.trusted_proxies = vec!["127.0.0.1".parse().unwrap()];
    let server = Server::with(settings).await;
    let client = register(&server).await;
    let mut victim = server.set_up().await;
    let device = asks(&server, &client).await;
    // The attacker sends a link with the code of a device of their own. Opening it does nothing.
    let code = text(&device, "user_code").to_owned();
    let opened = victim.get(&looks_for(&code)).await;
    assert!(opened.text.contains("whoever gave you a code gets your access"));
    assert!(opened.text.contains(&code) && opened.hidden("page").is_none());
    let mut evil = victim.clone();
    (evil.origin, evil.site) = (Some("https://evil.example".into()), Some("cross-site".into()));
    let csrf = opened.hidden("csrf").unwrap();
    for pairs in [vec![("user_code", &*code)], vec![("user_code", &*code), ("csrf", &*csrf)]] {
        assert_eq!(evil.post("/device", &pairs).await.status, StatusCode::FORBIDDEN);
    }
    // Typed all the same: the page says that the device is somewhere else, and where.
    types(&mut victim, &code).await;
    server.push(6);
    let pairs =
        [("grant_type", GRANT), ("client_id", &*client), ("device_code", text(&device, "device_code"))];
    let poll = Request::post("/token")
        .header("content-type", "application/x-www-form-urlencoded")
        .header("x-forwarded-for", "203.0.113.7")
        .body(Body::from(parameters::encode(pairs)))
        .unwrap();
    server.send(poll).await;
    victim.address = Some(SocketAddr::from(([198, 51, 100, 4], 1)));
    let page = victim.get(&looks_for(&code)).await;
    for part in ["203.0.113.7", "not where you are", "198.51.100.4", "Is it in front of you?"] {
        assert!(page.text.contains(part), "{part}: {}", page.text);
    }
    // The attacker's own session cannot answer for the victim, and another site cannot press the button.
    let sealed = page.hidden("page").unwrap();
    let csrf = page.hidden("csrf").unwrap();
    let all = [("csrf", &*csrf), ("page", &*sealed), ("decision", "allow")];
    assert_eq!(evil.post("/device", &all).await.status, StatusCode::FORBIDDEN);
    server.push(5);
    assert_eq!(polls(&server, &client, &device).await.error(), "authorization_pending");
}

#[tokio::test]
async fn as_178_a_second_device_or_person_spoils_and_a_stale_page_decides_nothing() {
    let server = Server::start().await;
    let client = register(&server).await;
    let mut browser = server.set_up().await;
    let device = asks(&server, &client).await;
    let code = text(&device, "user_code").to_owned();
    types(&mut browser, &code).await;
    server.push(6);
    polls(&server, &client, &device).await;
    let page = browser.get(&looks_for(&code)).await;
    assert!(page.hidden("page").is_some());
    // The same person in another browser types it too.
    let mut second = Browser::new(&server);
    let form = second.get(&looks_for(&code)).await;
    let back = second.sign_in(&form).await;
    assert_eq!(back.header("location"), looks_for(&code));
    let taken = types(&mut second, &code).await;
    assert!(taken.text.contains("two places at once"), "{}", taken.text);
    let done = decides(&mut browser, &page, "allow").await;
    assert!(done.text.contains("two places at once"), "{}", done.text);
    server.push(5);
    assert_eq!(polls(&server, &client, &device).await.error(), "expired_token");
    // Signed out everywhere between the yes and the poll: nothing is opened.
    let device = asks(&server, &client).await;
    let code = text(&device, "user_code").to_owned();
    types(&mut browser, &code).await;
    server.push(6);
    polls(&server, &client, &device).await;
    let page = browser.get(&looks_for(&code)).await;
    decides(&mut browser, &page, "allow").await;
    let account = browser.get("/account").await;
    browser.submit(&account, "/account", &["csrf"], &[("action", "everywhere")]).await;
    server.push(5);
    assert_eq!(polls(&server, &client, &device).await.error(), "invalid_grant");
}

#[tokio::test]
async fn t_95_devices_of_strangers_leave_the_database_as_it_was() {
    let server = Server::start().await;
    let client = register(&server).await;
    let file = server.folder.path().join("hallpass.sqlite");
    let server = server.restarted().await;
    server.app.store.close().await.unwrap();
    let before = fs::read(&file).unwrap();
    let server = server.restarted().await;
    for _ in 0..1_500 {
        let device = asks(&server, &client).await;
        assert_eq!(polls(&server, &client, &device).await.error(), "authorization_pending");
    }
    server.app.store.close().await.unwrap();
    assert!(fs::read(&file).unwrap() == before, "something was written");
}

#[tokio::test]
async fn as_135_as_223_a_device_that_waits_is_no_guess() {
    let mut settings = Settings { trusted_proxies: vec!["127.0.0.1".parse().unwrap()], ..settings() };
    settings.limits.failures = 5;
    let server = Server::with(settings).await;
    let client = register(&server).await;
    let device = asks(&server, &client).await;
    for _ in 0..30 {
        server.push(1);
        let waits = polls(&server, &client, &device).await;
        assert_eq!(waits.status, StatusCode::BAD_REQUEST, "pending or too fast, and never 429: {waits:?}");
    }
    let mut forged = device.clone();
    forged["device_code"] = "x".repeat(100).into();
    let last = async || polls(&server, &client, &forged).await.status;
    for _ in 0..5 {
        assert_eq!(last().await, StatusCode::BAD_REQUEST);
    }
    assert_eq!(last().await, StatusCode::TOO_MANY_REQUESTS, "guesses are counted");
}

/// Every step on another node than the one before.
async fn on_nodes(backend: Backend) {
    let (place, clock): (Place, _) = (backend.place().await, ManualClock::at(NOW));
    let mut nodes = Vec::new();
    for store in place.open().await {
        let fetch = hallpass_fetch::Fetch::new(hallpass_fetch::Settings::default()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        nodes.push(Arc::new(Server::on(store, settings(), folder, clock.clone(), fetch).await));
    }
    let [one, two] = &*nodes else { panic!("two nodes") };
    let client = register(one).await;
    let cookies = one.set_up().await.cookies;
    let on = |node| {
        let mut browser = Browser::new(node);
        browser.cookies.clone_from(&cookies);
        browser
    };
    let device = asks(one, &client).await;
    let code = text(&device, "user_code").to_owned();
    types(&mut on(two), &code).await;
    one.push(6);
    assert_eq!(polls(one, &client, &device).await.error(), "authorization_pending");
    let mut browser = on(two);
    let page = browser.get(&looks_for(&code)).await;
    assert!(page.hidden("page").is_some(), "{}", page.text);
    decides(&mut on(one), &page, "allow").await;
    one.push(5);
    // Polled on both at the same moment: one opens the grant.
    let both = tokio::join!(polls(one, &client, &device), polls(two, &client, &device));
    let statuses = [both.0.status, both.1.status];
    assert_eq!(statuses.iter().filter(|status| **status == StatusCode::OK).count(), 1, "{both:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn as_178_any_node_serves_any_step_on_two_nodes_and_postgresql() {
    on_nodes(Backend::Postgres(Arc::new(Cluster::shared()))).await;
}
