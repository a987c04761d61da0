//! Introspection: who may ask, about which tokens, and how much is said.

use crate::support::*;
use hallpass_core::secret::SecretString;
use hallpass_server::{ClientRecord, OperatorClient, Resource, ScopeEntry, Settings, digest_of_secret};
use hallpass_store::RevocationReason;
use http::StatusCode;
use serde_json::{Value, json};

const SECRET: &str = "a-secret-of-the-calendar-server";

fn asking(id: &str) -> OperatorClient {
    let record = json!({
        "name": "Things", "auth": "client_secret_basic", "grant_types": [],
        "secrets": [digest_of_secret(&SecretString::new(SECRET)).unwrap()],
    });
    let record: ClientRecord = serde_json::from_value(record).unwrap();
    OperatorClient::new(id, &record).unwrap()
}

/// Two protected servers, each with a client that may ask about its tokens.
pub fn asked() -> Settings {
    let mut settings = settings();
    let scopes = vec![ScopeEntry { name: "read".into(), title: "Read".into() }];
    let uri = hallpass_core::uri::ResourceUri::parse("https://auth.example/other").unwrap();
    settings.resources.push(Resource::new(uri, "Other".into(), scopes).unwrap());
    settings.resources[0].introspectors = vec!["things".into()];
    settings.resources[1].introspectors = vec!["other".into()];
    settings.clients = vec![asking("things"), asking("other"), asking("nobodys")];
    settings
}

pub async fn ask(server: &Server, caller: &str, token: &str) -> Answer {
    server.form("/introspect", &[("client_id", caller), ("client_secret", SECRET), ("token", token)]).await
}

async fn granted(server: &Server) -> (String, Value) {
    let client = server.register(REDIRECT).await;
    let mut browser = server.set_up().await;
    let mut request = Server::request(&client);
    request.insert("resource".into(), RESOURCE.into());
    let code = browser.allow(&request).await;
    (client.clone(), server.redeem(&client, &code).await.json())
}

fn inactive(answer: &Answer) {
    assert_eq!((answer.status, answer.text.as_str()), (StatusCode::OK, "{\"active\":false}"));
}

#[tokio::test]
async fn as_210_an_active_token_is_told_with_what_the_token_says_itself() {
    let server = Server::with(asked()).await;
    let (client, tokens) = granted(&server).await;
    let token = text(&tokens, "access_token");
    let answer = ask(&server, "things", token).await;
    let (said, claims) = (answer.json(), claims(token));
    assert_eq!(said["active"], true);
    for name in ["iss", "sub", "client_id", "scope", "exp", "iat", "jti"] {
        assert_eq!(said[name], claims[name], "{name}");
    }
    assert_eq!((&said["aud"], &said["token_type"]), (&json!(RESOURCE), &json!("Bearer")));
    assert_eq!(said["client_id"], client);
    assert_eq!(answer.header("cache-control"), "no-store");
    assert!(!answer.text.contains(NAME), "nothing about the person beyond the token");
}

#[tokio::test]
async fn as_209_as_211_t_31_everything_else_is_inactive_and_nothing_more() {
    let server = Server::with(asked()).await;
    let (_, tokens) = granted(&server).await;
    let (access, refresh) = (text(&tokens, "access_token"), text(&tokens, "refresh_token"));
    inactive(&ask(&server, "other", access).await);
    inactive(&ask(&server, "things", refresh).await);
    let forged = altered(access);
    for nonsense in ["x", "a.b.c", forged.as_str(), "hpr_x"] {
        inactive(&ask(&server, "things", nonsense).await);
    }
    assert_eq!(ask(&server, "things", access).await.json()["active"], true);
    server.push(601);
    inactive(&ask(&server, "things", access).await);
}

#[tokio::test]
async fn as_207_as_136_a_revocation_shows_at_once() {
    let server = Server::with(asked()).await;
    let (client, tokens) = granted(&server).await;
    let access = text(&tokens, "access_token");
    let token = text(&tokens, "refresh_token");
    server.form("/revoke", &[("client_id", &client), ("token", token)]).await;
    inactive(&ask(&server, "things", access).await);

    let server = Server::with(asked()).await;
    let (_, tokens) = granted(&server).await;
    let access = text(&tokens, "access_token");
    let person = server.app.store.people_list(None, 1).await.unwrap()[0].id;
    server.app.store.person_disable(person, true, server.now(), server.now()).await.unwrap();
    inactive(&ask(&server, "things", access).await);

    let server = Server::with(asked()).await;
    let (_, tokens) = granted(&server).await;
    let grant = server.app.store.grants_list(None, 1).await.unwrap()[0].id;
    let reason = RevocationReason::Operator;
    server.app.store.grant_revoke(grant, reason, server.now(), server.now()).await.unwrap();
    inactive(&ask(&server, "things", text(&tokens, "access_token")).await);
}

#[tokio::test]
async fn as_208_as_127_only_callers_that_the_operator_named_and_that_prove_it() {
    let server = Server::with(asked()).await;
    let (client, tokens) = granted(&server).await;
    let token = text(&tokens, "access_token");
    let of = |pairs: Vec<(&'static str, String)>| {
        let server = &server;
        async move {
            let pairs: Vec<(&str, &str)> =
                pairs.iter().map(|(name, value)| (*name, value.as_str())).collect();
            server.form("/introspect", &pairs).await
        }
    };
    let token = ("token", token.to_owned());
    for (pairs, status, error) in [
        (vec![token.clone()], 400, "invalid_request"),
        (vec![("client_id", "things".into()), token.clone()], 401, "invalid_client"),
        (
            vec![("client_id", "things".into()), ("client_secret", "wrong".into()), token.clone()],
            401,
            "invalid_client",
        ),
        (vec![("client_id", client.clone()), token.clone()], 401, "invalid_client"),
        (
            vec![("client_id", "nobodys".into()), ("client_secret", SECRET.into()), token.clone()],
            401,
            "invalid_client",
        ),
        (vec![("client_id", "things".into()), ("client_secret", SECRET.into())], 400, "invalid_request"),
    ] {
        let answer = of(pairs.clone()).await;
        assert_eq!((answer.status.as_u16(), answer.error().as_str()), (status, error), "{pairs:?}");
        assert!(!answer.text.contains("active"));
    }
    assert_eq!(
        server.get(&format!("/introspect?token={}", token.1)).await.status,
        StatusCode::METHOD_NOT_ALLOWED
    );
}

#[tokio::test]
async fn as_029_the_endpoint_is_named_exactly_where_somebody_may_ask() {
    let named = Server::with(asked()).await.get("/.well-known/oauth-authorization-server").await.json();
    assert_eq!(named["introspection_endpoint"], "https://auth.example/introspect");
    let methods = named["introspection_endpoint_auth_methods_supported"].as_array().unwrap();
    assert!(!methods.contains(&json!("none")) && methods.contains(&json!("client_secret_basic")));
    let unnamed = Server::start().await.get("/.well-known/oauth-authorization-server").await.json();
    assert_eq!(unnamed.get("introspection_endpoint"), None);
}

#[tokio::test]
async fn as_223_a_caller_that_asks_too_much_is_told_when_to_come_back() {
    let mut settings = asked();
    settings.limits.introspections = 3;
    let server = Server::with(settings).await;
    let (_, tokens) = granted(&server).await;
    let token = text(&tokens, "access_token");
    for _ in 0..3 {
        assert_eq!(ask(&server, "things", token).await.status, StatusCode::OK);
    }
    let late = ask(&server, "things", token).await;
    assert_eq!(
        (late.status, late.error().as_str()),
        (StatusCode::TOO_MANY_REQUESTS, "temporarily_unavailable")
    );
    assert_eq!(late.header("retry-after"), "20");
    assert_eq!(ask(&server, "other", token).await.status, StatusCode::OK, "others are unaffected");
    server.push(20);
    assert_eq!(ask(&server, "things", token).await.status, StatusCode::OK);
}

#[tokio::test]
async fn as_136_t_31_tokens_of_a_blocked_or_removed_client_are_inactive() {
    let server = Server::with(asked()).await;
    let (client, tokens) = granted(&server).await;
    let token = text(&tokens, "access_token");
    assert_eq!(ask(&server, "things", token).await.json()["active"], true);
    let until = server.app.settings.tokens_until(server.now());
    let block = hallpass_store::Block {
        kind: hallpass_store::BlockKind::Client,
        key: client.clone(),
        created_at: server.now(),
        note: String::new(),
    };
    server.app.store.block_put(block, until).await.unwrap();
    server.app.blocks.reload(&*server.app.store).await.unwrap();
    inactive(&ask(&server, "things", token).await);
    server.app.store.block_remove(hallpass_store::BlockKind::Client, client, until).await.unwrap();
    server.app.blocks.reload(&*server.app.store).await.unwrap();
    assert_eq!(ask(&server, "things", token).await.json()["active"], true);
    let record = serde_json::json!({
        "name": "Stored", "redirect_uris": [REDIRECT], "auth": "none", "grant_types": ["authorization_code"],
    });
    let stored = hallpass_store::StoredClient {
        id: "stored".into(),
        version: 1,
        created_at: server.now(),
        body: record.to_string(),
    };
    assert!(server.app.store.client_create(stored, until).await.unwrap());
    let mut browser = Browser::new(&server);
    let page = browser.get(&query(&Server::request("stored"))).await;
    browser.sign_in(&page).await;
    let code = browser.allow(&Server::request("stored")).await;
    let tokens = server.redeem("stored", &code).await.json();
    let token = text(&tokens, "access_token");
    assert_eq!(ask(&server, "things", token).await.json()["active"], true);
    assert!(server.app.store.client_remove("stored".into(), until).await.unwrap());
    inactive(&ask(&server, "things", token).await);
}

#[tokio::test]
async fn as_182_a_token_lives_ten_minutes_by_default_and_expires_in_is_true() {
    for lifetime in [None, Some(90)] {
        let mut settings = asked();
        if let Some(seconds) = lifetime {
            settings.access_token_lifetime = std::time::Duration::from_secs(seconds);
        }
        let server = Server::with(settings).await;
        let (_, tokens) = granted(&server).await;
        let token = text(&tokens, "access_token");
        let (seconds, claims) = (tokens["expires_in"].as_u64().unwrap(), claims(token));
        assert_eq!(seconds, lifetime.unwrap_or(600));
        assert_eq!(claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap(), seconds);
        assert_eq!(claims["iat"].as_i64().unwrap(), server.now().millis() / 1000);
        server.push(seconds - 1);
        assert_eq!(ask(&server, "things", token).await.json()["active"], true);
        server.push(1);
        inactive(&ask(&server, "things", token).await);
    }
}
