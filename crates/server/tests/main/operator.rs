//! Clients that an operator made, and what an operator lets others do.

use crate::{
    proofs::{Key, send},
    support::*,
};
use axum::body::Body;
use hallpass_core::{encoding::base64url, grant::digest32, time::Timestamp};
use hallpass_server::{
    ClientRecord, DocumentPolicy, OperatorClient, RegistrationPolicy, Settings, initial_access,
};
use hallpass_store::{Block, BlockKind, StoredClient};
use http::{Request, StatusCode};
use serde_json::{Value, json};
use std::time::Duration;

const OLD: &str = "the-old-secret-of-the-client";
const NEW: &str = "the-new-secret-of-the-client";

fn client(id: &str, change: impl FnOnce(&mut Value)) -> OperatorClient {
    let mut record = json!({
        "name": "Reports", "redirect_uris": [REDIRECT], "auth": "none",
        "grant_types": ["authorization_code", "refresh_token"],
    });
    change(&mut record);
    let record: ClientRecord = serde_json::from_value(record).unwrap();
    OperatorClient::new(id, &record).unwrap()
}

fn with_secret(record: &mut Value) {
    record["auth"] = json!("client_secret_basic");
    record["secrets"] = json!([base64url(&digest32(NEW)), base64url(&digest32(OLD))]);
}

fn with(clients: Vec<OperatorClient>) -> Settings {
    Settings { clients, ..settings() }
}

#[tokio::test]
async fn as_043_as_127_as_133_a_client_of_the_configuration_signs_in_with_either_of_its_secrets() {
    let server = Server::with(with(vec![client("reports", with_secret)])).await;
    let mut browser = server.set_up().await;
    for secret in [OLD, NEW] {
        let code = browser.allow(&Server::request("reports")).await;
        for (sent, error) in [("", "invalid_client"), ("the-wrong-secret-of-the-client", "invalid_client")] {
            let refused = server.redeem_with("reports", &code, &[("client_secret", sent)]).await;
            assert_eq!(refused.error(), error, "{refused:?}");
        }
        let assertion = [
            ("client_assertion", "a.b.c"),
            ("client_assertion_type", hallpass_core::jwt::client_assertion::ASSERTION_TYPE),
        ];
        assert_eq!(server.redeem_with("reports", &code, &assertion).await.error(), "invalid_client");
        let tokens = server.redeem_with("reports", &code, &[("client_secret", secret)]).await;
        assert_eq!(tokens.status, StatusCode::OK, "{tokens:?}");
        let tokens = tokens.json();
        let refresh = text(&tokens, "refresh_token");
        assert_eq!(server.refresh("reports", refresh).await.error(), "invalid_client");
        let pairs = [
            ("grant_type", "refresh_token"),
            ("client_id", "reports"),
            ("client_secret", secret),
            ("refresh_token", refresh),
        ];
        assert_eq!(server.form("/token", &pairs).await.status, StatusCode::OK);
        assert_eq!(claims(text(&tokens, "access_token"))["client_id"], json!("reports"));
    }
    // Changed over: the old one is out.
    let newest = |record: &mut Value| {
        with_secret(record);
        record["secrets"] = json!([base64url(&digest32(NEW))]);
    };
    let server = Server::with(with(vec![client("reports", newest)])).await;
    let mut browser = server.set_up().await;
    let code = browser.allow(&Server::request("reports")).await;
    assert_eq!(
        server.redeem_with("reports", &code, &[("client_secret", OLD)]).await.error(),
        "invalid_client"
    );
    assert_eq!(server.redeem_with("reports", &code, &[("client_secret", NEW)]).await.status, StatusCode::OK);
}

#[tokio::test]
async fn as_043_an_operators_word_wins_over_a_document_and_asks_nobody() {
    let (server, host) = Server::with_documents(settings()).await;
    let url = host.url("/client.json");
    let fetch = host.fetch(std::sync::Arc::new(server.clock.clone())).unwrap();
    let server = Server::fetching(with(vec![client(&url, |_| {})]), server.clock.clone(), fetch).await;
    let mut browser = server.set_up().await;
    let code = browser.allow(&Server::request(&url)).await;
    assert_eq!(server.redeem(&url, &code).await.status, StatusCode::OK);
    assert_eq!((host.lookups(), host.requests("/client.json")), (0, 0));
}

#[tokio::test]
async fn as_069_as_034_the_ceiling_of_a_client_is_never_passed() {
    let read_only = client("reports", |record| record["scopes"] = json!(["read"]));
    let server =
        Server::with(with(vec![read_only, client("nothing", |record| record["scopes"] = json!(["other"]))]))
            .await;
    let mut browser = server.set_up().await;
    for (asked, granted) in
        [(Some("read write offline_access"), "read offline_access"), (None, "read"), (Some("openid"), "read")]
    {
        let mut request = Server::request("reports");
        match asked {
            Some(asked) => request.insert("scope".into(), asked.into()),
            None => request.remove("scope"),
        };
        let code = browser.allow(&request).await;
        let tokens = server.redeem("reports", &code).await.json();
        assert_eq!(text(&tokens, "scope"), granted, "{asked:?}");
    }
    for (id, scope) in [("reports", "write"), ("nothing", "read")] {
        let mut request = Server::request(id);
        request.insert("scope".into(), scope.into());
        let answer = browser.get(&query(&request)).await;
        assert_eq!(answer.answered("error").as_deref(), Some("invalid_scope"), "{}", answer.text);
    }
}

#[tokio::test]
async fn as_059_documents_of_other_hosts_cost_not_even_a_question_to_the_resolver() {
    let never = DocumentPolicy { only: None, never: vec!["dev.internal".into()] };
    let only = DocumentPolicy { only: Some(vec!["claude.ai".into()]), never: Vec::new() };
    for documents in [never, only, DocumentPolicy { only: Some(Vec::new()), never: Vec::new() }] {
        let advertised = documents.accepts_some();
        let (server, host) = Server::with_documents(Settings { documents, ..settings() }).await;
        let metadata = server.get("/.well-known/oauth-authorization-server").await.json();
        assert_eq!(metadata["client_id_metadata_document_supported"] == json!(true), advertised);
        let mut browser = server.set_up().await;
        let page = browser.get(&query(&Server::request(&host.url("/client.json")))).await;
        assert_eq!((page.status, page.target()), (StatusCode::FORBIDDEN, None), "{}", page.text);
        assert_eq!(host.lookups(), 0);
    }
}

#[tokio::test]
async fn as_072_registration_with_a_token_and_not_at_all() {
    let body = json!({"redirect_uris": [REDIRECT], "token_endpoint_auth_method": "none"});
    let server = Server::with(Settings { registration: RegistrationPolicy::WithToken, ..settings() }).await;
    let token =
        |end: Timestamp| initial_access::issue(&server.app.keys, &hallpass_core::entropy::SystemEntropy, end);
    let good = token(server.now().plus(Duration::from_hours(1)));
    let over = token(server.now());
    let register = async |header: Option<String>| {
        let mut request = Request::post("/register").header("content-type", "application/json");
        if let Some(header) = header {
            request = request.header("authorization", header);
        }
        server.send(request.body(Body::from(body.to_string())).unwrap()).await
    };
    for header in [
        None,
        Some("Bearer hpi_x".to_owned()),
        Some(format!("Basic {}", good.expose())),
        Some(format!("Bearer {}", over.expose())),
    ] {
        let answer = register(header).await;
        assert_eq!((answer.status, answer.error().as_str()), (StatusCode::UNAUTHORIZED, "invalid_token"));
        assert!(answer.header("www-authenticate").starts_with("Bearer "), "{answer:?}");
    }
    let answer = register(Some(format!("Bearer {}", good.expose()))).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
    let id = text(&answer.json(), "client_id").to_owned();
    let metadata = server.get("/.well-known/oauth-authorization-server").await.json();
    assert!(metadata["registration_endpoint"].is_string());
    let mut browser = server.set_up().await;
    browser.ask(&Server::request(&id)).await;

    let server = Server::with(Settings { registration: RegistrationPolicy::Closed, ..settings() }).await;
    let answer = server.post_json("/register", &body).await;
    assert_eq!(
        (answer.status, answer.error().as_str()),
        (StatusCode::BAD_REQUEST, "invalid_client_metadata")
    );
    let metadata = server.get("/.well-known/oauth-authorization-server").await.json();
    assert!(metadata.get("registration_endpoint").is_none());
}

fn block(kind: BlockKind, key: &str) -> Block {
    Block { kind, key: key.to_owned(), created_at: Timestamp::from_seconds(0), note: String::new() }
}

#[tokio::test]
async fn as_059_as_136_a_blocked_client_is_refused_on_every_node_within_a_second() {
    let (server, host) = Server::with_documents(settings()).await;
    let other = server.beside().await;
    tokio::spawn(hallpass_server::follow(std::sync::Arc::clone(&other.app), |_| {}));
    let client = server.register(REDIRECT).await;
    let mut browser = server.set_up().await;
    let code = browser.allow(&Server::request(&client)).await;
    let tokens = server.redeem(&client, &code).await.json();
    let token = text(&tokens, "refresh_token").to_owned();
    assert_eq!(other.refresh(&client, &token).await.status, StatusCode::OK);
    let late = browser.allow(&Server::request(&client)).await;
    let until = server.app.settings.tokens_until(server.now());
    server.app.store.block_put(block(BlockKind::Client, &client), until).await.unwrap();
    tokio::time::sleep(Duration::from_millis(900)).await;
    let refused = other.refresh(&client, &token).await;
    assert_eq!((refused.status, refused.error().as_str()), (StatusCode::UNAUTHORIZED, "invalid_client"));
    assert_eq!(other.redeem(&client, &late).await.error(), "invalid_client");
    assert_eq!(
        other.form("/revoke", &[("client_id", &client), ("token", &token)]).await.error(),
        "invalid_client"
    );
    assert_eq!(other.get(&query(&Server::request(&client))).await.status, StatusCode::FORBIDDEN);
    server.app.store.block_remove(BlockKind::Client, client.clone(), until).await.unwrap();
    tokio::time::sleep(Duration::from_millis(900)).await;
    let next = text(&other.refresh(&client, &token).await.json(), "refresh_token").to_owned();
    assert!(!next.is_empty(), "an unblocked client goes on");
    // Hosts, of documents and of receivers, and beginnings of redirect URIs: nothing is asked first.
    server.app.store.block_put(block(BlockKind::Host, "dev.internal"), until).await.unwrap();
    server.app.store.block_put(block(BlockKind::Host, "evil.example"), until).await.unwrap();
    server
        .app
        .store
        .block_put(block(BlockKind::Redirect, "https://shared.example/bad/"), until)
        .await
        .unwrap();
    server.app.blocks.reload(&*server.app.store).await.unwrap();
    let claude = "https://claude.ai/oauth/claude-code-client-metadata".to_owned();
    for (id, redirect) in [
        (host.url("/client.json"), REDIRECT),
        (claude.clone(), "https://evil.example/cb"),
        (claude, "https://shared.example/bad/cb"),
        (server.register("https://evil.example/cb").await, "https://evil.example/cb"),
    ] {
        let mut request = Server::request(&id);
        request.insert("redirect_uri".into(), redirect.into());
        let page = browser.get(&query(&request)).await;
        assert_eq!((page.status, page.target()), (StatusCode::FORBIDDEN, None), "{id}: {}", page.text);
    }
    assert_eq!(host.lookups(), 0);
    server.app.store.block_put(block(BlockKind::Host, "127.0.0.1"), until).await.unwrap();
    server.app.blocks.reload(&*server.app.store).await.unwrap();
    assert_eq!(server.refresh(&client, &next).await.error(), "invalid_client", "it went to that host");
    server.app.store.block_remove(BlockKind::Host, "127.0.0.1".into(), until).await.unwrap();
    let server = server.restarted().await;
    assert_eq!(server.get(&query(&Server::request(&host.url("/x")))).await.status, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn as_136_as_133_as_147_a_client_of_the_store_lives_changes_over_and_dies() {
    let server = Server::start().await;
    let mut record = json!({
        "name": "Stored", "redirect_uris": [REDIRECT], "grant_types": ["authorization_code", "refresh_token"],
    });
    with_secret(&mut record);
    let until = server.app.settings.tokens_until(server.now());
    let stored = |version, record: &Value| StoredClient {
        id: "stored".into(),
        version,
        created_at: Timestamp::from_seconds(0),
        body: record.to_string(),
    };
    assert!(server.app.store.client_create(stored(1, &record), until).await.unwrap());
    let mut browser = server.set_up().await;
    let code = browser.allow(&Server::request("stored")).await;
    let tokens = server.redeem_with("stored", &code, &[("client_secret", OLD)]).await;
    assert_eq!(tokens.status, StatusCode::OK, "{tokens:?}");
    let token = text(&tokens.json(), "refresh_token").to_owned();
    record["secrets"] = json!([base64url(&digest32(NEW))]);
    assert!(server.app.store.client_change(stored(1, &record)).await.unwrap());
    let refresh = async |secret: &str| {
        let pairs = [
            ("grant_type", "refresh_token"),
            ("client_id", "stored"),
            ("client_secret", secret),
            ("refresh_token", token.as_str()),
        ];
        server.form("/token", &pairs).await
    };
    assert_eq!(refresh(OLD).await.error(), "invalid_client");
    assert_eq!(refresh(NEW).await.status, StatusCode::OK);
    assert!(server.app.store.client_remove("stored".into(), until).await.unwrap());
    assert_eq!(refresh(NEW).await.error(), "invalid_client");
    assert_eq!(browser.get(&query(&Server::request("stored"))).await.status, StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn as_195_who_an_operator_made_for_bound_tokens_gets_no_others() {
    let machine = client("nightly", |record| {
        with_secret(record);
        (record["grant_types"], record["scopes"]) = (json!(["client_credentials"]), json!(["read"]));
        (record["redirect_uris"], record["dpop_bound_access_tokens"]) = (json!([]), json!(true));
    });
    let people = client("reports", |record| record["dpop_bound_access_tokens"] = json!(true));
    let server = Server::with(with(vec![machine, people])).await;
    let (mut browser, key) = (server.set_up().await, Key::new());
    let code = browser.allow(&Server::request("reports")).await;
    let redeem = [
        ("grant_type", "authorization_code"),
        ("client_id", "reports"),
        ("code", &*code),
        ("code_verifier", VERIFIER),
        ("redirect_uri", REDIRECT),
    ];
    let own = [("grant_type", "client_credentials"), ("client_id", "nightly"), ("client_secret", NEW)];
    for pairs in [&redeem[..], &own] {
        let refused = send(&server, &[], pairs).await;
        assert_eq!(
            (refused.status, refused.error().as_str()),
            (StatusCode::BAD_REQUEST, "invalid_dpop_proof")
        );
        let answer = send(&server, &[&key.proof(&server)], pairs).await;
        assert_eq!(answer.json()["token_type"], "DPoP", "{answer:?}");
        assert_eq!(claims(text(&answer.json(), "access_token"))["cnf"]["jkt"], json!(key.thumbprint()));
    }
}
