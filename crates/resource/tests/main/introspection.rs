//! Tokens that only their server can read, and servers that are found by their metadata: a server that can be told what to
//! answer.

use crate::{
    issuers::trusting,
    support::{RESOURCE, START, World, bearer, claims, head, sign, world},
};
use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use hallpass_core::{
    jose::{Algorithm, SigningKey, jwk},
    jwt::{AccessToken, AccessTokenError, foreign_token::TokenType},
    parameters::{Limits, Parameters},
    secret::SecretString,
    uri::{EndpointUrl, Issuer},
};
use hallpass_fetch::{Fetch, Settings};
use hallpass_resource::{
    Authenticated, Introspector, KeySource, ProtectedResource, Reason, ScopeNames, TrustedIssuer,
    Verification,
};
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

/// What the server says, and what it was asked.
#[derive(Clone, Default)]
struct Server {
    metadata: Arc<Mutex<Value>>,
    keys: Arc<Mutex<Value>>,
    answers: Arc<Mutex<HashMap<String, Value>>>,
    status: Arc<Mutex<Option<u16>>>,
    asked: Arc<Mutex<Vec<(String, String)>>>,
    slow: Arc<Mutex<Duration>>,
    url: Arc<Mutex<String>>,
}

fn as_json(value: &Value) -> Response {
    ([(CONTENT_TYPE, "application/json")], value.to_string()).into_response()
}

async fn introspect(State(server): State<Server>, headers: HeaderMap, body: bytes::Bytes) -> Response {
    let form = Parameters::parse(&body, Limits::default()).unwrap();
    let token = form.get("token").unwrap().to_owned();
    let credentials = headers.get("authorization").map_or("", |value| value.to_str().unwrap()).to_owned();
    server.asked.lock().unwrap().push((credentials, token.clone()));
    let slow = *server.slow.lock().unwrap();
    tokio::time::sleep(slow).await;
    if let Some(status) = *server.status.lock().unwrap() {
        return StatusCode::from_u16(status).unwrap().into_response();
    }
    let answer = server.answers.lock().unwrap().get(&token).cloned();
    as_json(&answer.unwrap_or_else(|| json!({ "active": false })))
}

impl Server {
    async fn start() -> Self {
        let server = Self::default();
        let metadata = |State(server): State<Self>| async move { as_json(&server.metadata.lock().unwrap()) };
        let keys = |State(server): State<Self>| async move { as_json(&server.keys.lock().unwrap()) };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(metadata))
            .route("/keys", get(keys))
            .route("/introspect", post(introspect))
            .with_state(server.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        *server.metadata.lock().unwrap() = json!({
            "issuer": url, "jwks_uri": format!("{url}/keys"), "introspection_endpoint": format!("{url}/introspect"),
        });
        *server.url.lock().unwrap() = url;
        server
    }

    fn url(&self) -> String {
        self.url.lock().unwrap().clone()
    }

    fn issuer(&self) -> Issuer {
        Issuer::parse(&self.url()).unwrap()
    }

    fn knows(&self, token: &str, changes: &Value) {
        let mut answer = json!({
            "active": true, "sub": "ann", "client_id": "app", "aud": RESOURCE, "scope": "files:read",
            "exp": START.plus(Duration::from_mins(5)).seconds(), "token_type": "Bearer",
        });
        answer.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        self.answers.lock().unwrap().insert(token.into(), answer);
    }

    fn asked(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    fn introspector(&self) -> Introspector {
        Introspector::discovered(&self.issuer(), "gate:way", SecretString::new("se cret"), fetch())
    }

    fn resource(&self, world: &World, introspector: Introspector) -> ProtectedResource {
        let trusted = TrustedIssuer {
            issuer: self.url().into(),
            audiences: vec![RESOURCE.into()],
            verification: Verification::Introspection(Arc::new(introspector)),
            typ: TokenType::AccessToken,
            scope_claims: vec![],
            groups_claim: None,
            scopes: ScopeNames::default(),
        };
        resource(world, vec![trusted])
    }
}

fn fetch() -> Fetch {
    Fetch::new(Settings::default()).unwrap()
}

fn resource(world: &World, others: Vec<TrustedIssuer>) -> ProtectedResource {
    let settings = world.resource.settings().clone();
    ProtectedResource::new(settings, Arc::clone(&world.keys), Arc::clone(&world.revocations))
        .with_clock(Arc::new(world.clock.clone()))
        .with_issuers(others)
}

async fn ask(resource: &ProtectedResource, token: &str) -> Result<Authenticated, Reason> {
    resource.authenticate(head(&bearer(token)), resource.now()).await
}

#[tokio::test]
async fn rs_031_an_opaque_token_is_asked_about_once_in_a_moment() {
    let (world, server) = (world(), Server::start().await);
    let resource = server.resource(&world, server.introspector());
    server.knows("opaque-1", &json!({}));
    for _ in 0..20 {
        let caller = ask(&resource, "opaque-1").await.unwrap();
        assert_eq!(caller.subject(), format!("{} ann", server.url()));
    }
    assert_eq!(server.asked(), 1);
    // As RFC 6749 §2.3.1 has it: both parts encoded, then joined.
    assert_eq!(server.asked.lock().unwrap()[0].0, "Basic Z2F0ZSUzQXdheTpzZStjcmV0");
    server.answers.lock().unwrap().clear();
    world.clock.push(Duration::from_secs(4));
    assert!(ask(&resource, "opaque-1").await.is_ok(), "for a moment");
    world.clock.push(Duration::from_secs(2));
    let gone = ask(&resource, "opaque-1").await.unwrap_err();
    assert_eq!(gone, Reason::Token(AccessTokenError::Inactive), "rs_032");
    assert_eq!(server.asked(), 2);
    for _ in 0..20 {
        assert!(ask(&resource, "opaque-1").await.is_err());
    }
    assert_eq!(server.asked(), 2, "nor is one that is not alive asked about again at once");
    world.clock.push(Duration::from_secs(3));
    server.knows("opaque-1", &json!({}));
    assert!(ask(&resource, "opaque-1").await.is_ok());
}

#[tokio::test]
async fn rs_031_t_70_alive_is_not_enough() {
    let (world, server) = (world(), Server::start().await);
    let resource = server.resource(&world, server.introspector());
    for (name, lie, reason) in [
        ("other", json!({ "aud": "https://other.example/mcp" }), AccessTokenError::WrongAudience),
        ("none", json!({ "aud": null }), AccessTokenError::AudienceForm),
        ("issuer", json!({ "iss": "https://evil.example" }), AccessTokenError::WrongIssuer),
        ("refresh", json!({ "token_type": "refresh_token" }), AccessTokenError::OtherKind),
    ] {
        server.knows(name, &lie);
        for _ in 0..2 {
            assert_eq!(ask(&resource, name).await.unwrap_err(), Reason::Token(reason), "{name}");
        }
    }
}

#[tokio::test]
async fn rs_031_rs_064_a_server_that_does_not_answer_lets_nobody_in() {
    let (world, server) = (world(), Server::start().await);
    let resource = server.resource(&world, server.introspector());
    server.knows("opaque-1", &json!({}));
    for status in [500, 401, 204, 302] {
        *server.status.lock().unwrap() = Some(status);
        world.clock.push(Duration::from_secs(2));
        assert_eq!(ask(&resource, "opaque-1").await.unwrap_err(), Reason::IntrospectionNotAvailable);
    }
    let asked = server.asked();
    assert_eq!(ask(&resource, "opaque-2").await.unwrap_err(), Reason::IntrospectionNotAvailable);
    assert_eq!(server.asked(), asked, "for a moment nobody asks it");
    assert!(ask(&resource, &world.token()).await.is_ok(), "our own tokens need nobody");
    *server.status.lock().unwrap() = None;
    world.clock.push(Duration::from_secs(2));
    assert!(ask(&resource, "opaque-1").await.is_ok());
    // No verdict is none.
    server.answers.lock().unwrap().insert("odd".into(), json!({ "active": "true" }));
    assert_eq!(ask(&resource, "odd").await.unwrap_err(), Reason::IntrospectionNotAvailable);
}

#[tokio::test]
async fn rs_031_many_who_bring_one_token_are_one_question() {
    let (world, server) = (world(), Server::start().await);
    let resource = Arc::new(server.resource(&world, server.introspector()));
    server.knows("opaque-1", &json!({}));
    *server.slow.lock().unwrap() = Duration::from_millis(100);
    let mut all = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let resource = Arc::clone(&resource);
        all.spawn(async move { ask(&resource, "opaque-1").await.is_ok() });
    }
    assert!(all.join_all().await.into_iter().all(|good| good));
    assert_eq!(server.asked(), 1);
}

#[tokio::test]
async fn rs_065_a_flood_of_invented_tokens_is_bounded() {
    let (world, server) = (world(), Server::start().await);
    let resource = Arc::new(server.resource(&world, server.introspector()));
    *server.slow.lock().unwrap() = Duration::from_millis(300);
    let mut all = tokio::task::JoinSet::new();
    for number in 0..1000 {
        let resource = Arc::clone(&resource);
        all.spawn(async move { ask(&resource, &format!("invented-{number}")).await.unwrap_err() });
    }
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert!(server.asked() <= 32, "{}", server.asked());
    let refused = all.join_all().await;
    let busy = refused.iter().filter(|reason| **reason == Reason::IntrospectionNotAvailable).count();
    assert!(busy >= 700, "{busy} of them were told to come back");
}

/// Whoever is asked about a token can use it, so nobody is asked about the tokens of others.
#[tokio::test]
async fn rs_031_t_71_no_server_is_shown_the_tokens_of_others() {
    let (world, server) = (world(), Server::start().await);
    let resource = server.resource(&world, server.introspector());
    let key = SigningKey::generate(Algorithm::Es256).unwrap();
    let stranger = sign(&key, &AccessToken { issuer: "https://other.example".into(), ..claims() });
    for token in
        [&*world.token(), &stranger, "hpr_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"]
    {
        let _ = ask(&resource, token).await;
    }
    let long = "x".repeat(5000);
    assert!(ask(&resource, &long).await.is_err());
    assert_eq!(server.asked(), 0);
    // Its own are, whatever they look like.
    let own = sign(&key, &AccessToken { issuer: server.url(), ..claims() });
    server.knows(&own, &json!({}));
    assert!(ask(&resource, &own).await.is_ok());
}

/// Keys say that a token is genuine, and only the server that it was not taken back.
#[tokio::test]
async fn rs_032_as_207_tokens_of_our_own_server_are_asked_about_too_where_somebody_wants_to_know_at_once() {
    let (world, server) = (world(), Server::start().await);
    let introspector = server.introspector().using_answers_for(Duration::from_millis(500));
    let resource = resource(&world, vec![]).with_introspection(Arc::new(introspector));
    let stranger = sign(&SigningKey::generate(Algorithm::Es256).unwrap(), &claims());
    assert!(matches!(ask(&resource, &stranger).await, Err(Reason::Token(AccessTokenError::Jws(_)))));
    let other = AccessToken { audience: "https://mcp.example/other".into(), ..claims() };
    let other = ask(&resource, &sign(&world.key, &other)).await.unwrap_err();
    assert_eq!(other, Reason::Token(AccessTokenError::WrongAudience));
    assert_eq!(server.asked(), 0, "what is no token for this resource is shown to nobody");

    let token = world.token();
    server.knows(&token, &json!({ "client_id": "client", "scope": "files:read files:write" }));
    for _ in 0..20 {
        let caller = ask(&resource, &token).await.unwrap();
        assert_eq!((caller.subject(), caller.grant().is_some()), ("ann", true), "its names are ours");
    }
    assert_eq!(server.asked(), 1);
    server.answers.lock().unwrap().clear();
    world.clock.push(Duration::from_millis(499));
    assert!(ask(&resource, &token).await.is_ok());
    world.clock.push(Duration::from_millis(2));
    for _ in 0..2 {
        let gone = ask(&resource, &token).await.unwrap_err();
        assert_eq!(gone, Reason::Token(AccessTokenError::Inactive));
    }
    assert_eq!(server.asked(), 2);

    // Who cannot be asked lets nobody in (RS-064).
    let fresh = sign(&world.key, &AccessToken { client_id: "fresh".into(), ..claims() });
    *server.status.lock().unwrap() = Some(503);
    for _ in 0..2 {
        assert_eq!(ask(&resource, &fresh).await.unwrap_err(), Reason::IntrospectionNotAvailable);
    }
}

#[tokio::test]
async fn rs_031_an_address_may_be_written_down() {
    let (world, server) = (world(), Server::start().await);
    *server.metadata.lock().unwrap() = json!({});
    let endpoint = EndpointUrl::parse(&format!("{}/introspect", server.url())).unwrap();
    let introspector = Introspector::at(&endpoint, "a", SecretString::new("b"), fetch());
    let resource = server.resource(&world, introspector.using_answers_for(Duration::ZERO));
    server.knows("opaque-1", &json!({}));
    for number in 1..4 {
        assert!(ask(&resource, "opaque-1").await.is_ok());
        assert_eq!(server.asked(), number, "each time, where an answer is used for no time");
    }
}

#[tokio::test]
async fn rs_028_keys_are_where_the_metadata_of_the_issuer_says() {
    let (world, server) = (world(), Server::start().await);
    let key = SigningKey::generate(Algorithm::Es256).unwrap();
    *server.keys.lock().unwrap() =
        serde_json::from_str(&jwk::set_to_json(&[key.public_jwk().clone()]).to_string()).unwrap();
    let keys = Arc::new(KeySource::discovered(&server.issuer(), fetch()));
    let resource = resource(&world, vec![trusting(&server.url(), &keys)]);
    let token = sign(&key, &AccessToken { issuer: server.url(), ..claims() });
    assert!(ask(&resource, &token).await.is_ok());
    // Only some algorithms.
    let keys = KeySource::discovered(&server.issuer(), fetch()).with_algorithms(&[Algorithm::Rs256]);
    let strict = self::resource(&world, vec![trusting(&server.url(), &Arc::new(keys))]);
    assert!(matches!(ask(&strict, &token).await, Err(Reason::Token(AccessTokenError::Jws(_)))));
}

#[tokio::test]
async fn rs_003_rs_028_metadata_that_speaks_for_another_issuer_is_none() {
    let world = world();
    for lie in ["/", "http://127.0.0.1", "https://a.example"] {
        let server = Server::start().await;
        let key = SigningKey::generate(Algorithm::Es256).unwrap();
        *server.keys.lock().unwrap() =
            serde_json::from_str(&jwk::set_to_json(&[key.public_jwk().clone()]).to_string()).unwrap();
        let said = if lie == "/" { format!("{}/", server.url()) } else { lie.to_owned() };
        server.metadata.lock().unwrap()["issuer"] = said.clone().into();
        let keys = Arc::new(KeySource::discovered(&server.issuer(), fetch()));
        let resource = resource(&world, vec![trusting(&server.url(), &keys)]);
        for issuer in [server.url(), said] {
            let token = sign(&key, &AccessToken { issuer, ..claims() });
            assert!(ask(&resource, &token).await.is_err(), "{lie}");
        }
    }
}
