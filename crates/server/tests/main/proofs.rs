//! Tokens that are bound to a key: what a proof has to be, what it binds, and that asking for a nonce costs nothing.

use crate::{assertions::SigningClient, support::*};
use axum::body::Body;
use hallpass_core::{
    encoding::base64url,
    jose::{Algorithm, SigningKey},
    parameters,
    seal::MasterKey,
    secret::SecretBytes,
};
use hallpass_server::{ProofSettings, Settings};
use http::{Request, StatusCode};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};

const TOKEN: &str = "https://auth.example/token";

/// A client's key, and its proofs.
pub struct Key {
    key: SigningKey,
    made: AtomicUsize,
}

impl Key {
    pub fn new() -> Self {
        Self::of(Algorithm::Es256)
    }

    fn of(algorithm: Algorithm) -> Self {
        Self { key: SigningKey::generate(algorithm).unwrap(), made: AtomicUsize::new(0) }
    }

    pub fn thumbprint(&self) -> String {
        base64url(&self.key.public_jwk().thumbprint())
    }

    fn claims(&self, server: &Server) -> Value {
        let number = self.made.fetch_add(1, Ordering::SeqCst);
        json!({"jti": format!("{}{number}", self.key.key_id()), "htm": "POST", "htu": TOKEN, "iat": server.now().seconds()})
    }

    fn sign(&self, claims: &Value) -> String {
        let mut jwk = self.key.public_jwk().to_json();
        for extra in ["alg", "use", "kid"] {
            jwk.as_object_mut().unwrap().remove(extra);
        }
        let header = json!({"typ": "dpop+jwt", "alg": self.key.algorithm().name(), "jwk": jwk});
        let part = |value: &Value| base64url(value.to_string().as_bytes());
        let signed = format!("{}.{}", part(&header), part(claims));
        format!("{signed}.{}", base64url(&self.key.sign_bytes(signed.as_bytes()).unwrap()))
    }

    pub fn proof(&self, server: &Server) -> String {
        self.sign(&self.claims(server))
    }

    fn with(&self, server: &Server, name: &str, value: Value) -> String {
        let mut claims = self.claims(server);
        claims[name] = value;
        self.sign(&claims)
    }
}

/// Sends a form to the token endpoint with these proofs.
pub async fn send(server: &Server, proofs: &[&str], pairs: &[(&str, &str)]) -> Answer {
    send_to(server, "/token", proofs, pairs).await
}

async fn send_to(server: &Server, path: &str, proofs: &[&str], pairs: &[(&str, &str)]) -> Answer {
    let mut request = Request::post(path).header("content-type", "application/x-www-form-urlencoded");
    for proof in proofs {
        request = request.header("DPoP", *proof);
    }
    server.send(request.body(Body::from(parameters::encode(pairs.iter().copied()))).unwrap()).await
}

async fn redeem(server: &Server, client: &str, code: &str, proof: &str) -> Answer {
    let pairs = [
        ("grant_type", "authorization_code"),
        ("client_id", client),
        ("code", code),
        ("code_verifier", VERIFIER),
        ("redirect_uri", REDIRECT),
    ];
    send(server, &[proof], &pairs).await
}

async fn refresh(server: &Server, client: &str, token: &str, proof: &str) -> Answer {
    let pairs = [("grant_type", "refresh_token"), ("client_id", client), ("refresh_token", token)];
    send(server, &[proof], &pairs).await
}

fn with_nonces() -> Settings {
    Settings { proofs: ProofSettings { offered: true, nonces: true }, ..settings() }
}

fn refused(answer: &Answer, error: &str) {
    assert_eq!((answer.status, answer.error().as_str()), (StatusCode::BAD_REQUEST, error), "{answer:?}");
}

fn bound_to(answer: &Answer, key: &Key) -> (String, String) {
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    let tokens = answer.json();
    assert_eq!(tokens["token_type"], "DPoP");
    let access = text(&tokens, "access_token").to_owned();
    assert_eq!(claims(&access)["cnf"], json!({"jkt": key.thumbprint()}));
    (access, text(&tokens, "refresh_token").to_owned())
}

#[tokio::test]
async fn as_194_as_150_t_23_what_is_issued_is_bound_and_a_refresh_takes_the_same_key() {
    let server = Server::start().await;
    let (client, mut browser) = (server.register(REDIRECT).await, server.set_up().await);
    let (key, other) = (Key::new(), Key::of(Algorithm::EdDsa));
    let code = browser.allow(&Server::request(&client)).await;
    let (_, first) = bound_to(&redeem(&server, &client, &code, &key.proof(&server)).await, &key);
    // Whoever has the refresh token alone has nothing, and what was tried with it costs the client nothing.
    refused(&server.refresh(&client, &first).await, "invalid_dpop_proof");
    refused(&refresh(&server, &client, &first, &other.proof(&server)).await, "invalid_grant");
    refused(&refresh(&server, &client, &first, "x.y.z").await, "invalid_dpop_proof");
    let (_, second) = bound_to(&refresh(&server, &client, &first, &key.proof(&server)).await, &key);
    // Somebody else with the same key, asleep for two generations: the live one again, and no alarm (C10).
    let (_, third) = bound_to(&refresh(&server, &client, &second, &key.proof(&server)).await, &key);
    server.push(3_600);
    let (_, again) = bound_to(&refresh(&server, &client, &first, &key.proof(&server)).await, &key);
    assert_eq!(again, third);
    bound_to(&refresh(&server, &client, &third, &key.proof(&server)).await, &key);
}

#[tokio::test]
async fn as_150_t_21_an_older_token_with_another_key_or_none_revokes_nothing_and_gets_nothing() {
    let server = Server::start().await;
    let (client, mut browser, key) = (server.register(REDIRECT).await, server.set_up().await, Key::new());
    let code = browser.allow(&Server::request(&client)).await;
    let (_, first) = bound_to(&redeem(&server, &client, &code, &key.proof(&server)).await, &key);
    let (_, second) = bound_to(&refresh(&server, &client, &first, &key.proof(&server)).await, &key);
    let (_, third) = bound_to(&refresh(&server, &client, &second, &key.proof(&server)).await, &key);
    refused(&server.refresh(&client, &first).await, "invalid_dpop_proof");
    refused(&refresh(&server, &client, &first, &Key::new().proof(&server)).await, "invalid_grant");
    bound_to(&refresh(&server, &client, &third, &key.proof(&server)).await, &key);
    // Revocation asks for no proof.
    server.form("/revoke", &[("client_id", &client), ("token", &third)]).await;
    refused(&refresh(&server, &client, &first, &key.proof(&server)).await, "invalid_grant");
}

#[tokio::test]
async fn as_150_a_client_that_proves_who_it_is_needs_no_second_lock() {
    let (server, host) = Server::with_documents(settings()).await;
    let client = SigningClient::publish(&host, Algorithm::Es256, &["private_key_jwt"]);
    let (mut browser, key, other) = (server.set_up().await, Key::new(), Key::new());
    let code = browser.allow(&Server::request(&client.url)).await;
    let assertion = client.assertion(&server);
    let pairs = [("grant_type", "authorization_code"), ("code", &code), ("code_verifier", VERIFIER)];
    let pairs = crate::assertions::signed(&assertion, &pairs);
    let (_, token) = bound_to(&send(&server, &[&key.proof(&server)], &pairs).await, &key);
    let assertion = client.assertion(&server);
    let pairs = [("grant_type", "refresh_token"), ("refresh_token", &*token)];
    let pairs = crate::assertions::signed(&assertion, &pairs);
    let answer = send(&server, &[&other.proof(&server)], &pairs).await;
    bound_to(&answer, &other);
    // A refused proof has not used the assertion up.
    let assertion = client.assertion(&server);
    let token = text(&answer.json(), "refresh_token").to_owned();
    let pairs = [("grant_type", "refresh_token"), ("refresh_token", &*token)];
    let pairs = crate::assertions::signed(&assertion, &pairs);
    refused(&send(&server, &["x.y.z"], &pairs).await, "invalid_dpop_proof");
    bound_to(&send(&server, &[&other.proof(&server)], &pairs).await, &other);
}

#[tokio::test]
async fn as_118_t_89_a_code_that_names_a_key_needs_its_proof() {
    let server = Server::start().await;
    let (client, mut browser) = (server.register(REDIRECT).await, server.set_up().await);
    let (key, other) = (Key::new(), Key::new());
    let mut request = Server::request(&client);
    request.insert("dpop_jkt".into(), key.thumbprint());
    let code = browser.allow(&request).await;
    assert!(code.len() <= 400, "{}", code.len());
    refused(&server.redeem(&client, &code).await, "invalid_grant");
    refused(&redeem(&server, &client, &code, &other.proof(&server)).await, "invalid_grant");
    bound_to(&redeem(&server, &client, &code, &key.proof(&server)).await, &key);
    for bad in ["x", "AAAA", &format!("{}A", key.thumbprint())] {
        request.insert("dpop_jkt".into(), bad.to_owned());
        let answer = browser.get(&query(&request)).await;
        assert!(answer.text.contains("error=invalid_request"), "{bad}: {}", answer.text);
    }
}

#[tokio::test]
async fn as_197_a_pushed_request_is_bound_by_its_proof_or_by_name_and_both_must_agree() {
    let server = Server::with(with_nonces()).await;
    let (client, mut browser) = (server.register(REDIRECT).await, server.set_up().await);
    let (key, other) = (Key::new(), Key::new());
    let request = Server::request(&client);
    let mut pairs: Vec<(&str, &str)> = request.iter().map(|(name, value)| (&**name, &**value)).collect();
    let without = key.with(&server, "htu", json!("https://auth.example/par"));
    let nonce = send_to(&server, "/par", &[&without], &pairs).await;
    refused(&nonce, "use_dpop_nonce");
    let nonce = nonce.header("dpop-nonce").to_owned();
    let proof = |path: &str| {
        let mut claims = key.claims(&server);
        claims["htu"] = json!(format!("https://auth.example{path}"));
        claims["nonce"] = json!(nonce);
        key.sign(&claims)
    };
    refused(&send_to(&server, "/par", &[&proof("/token")], &pairs).await, "invalid_dpop_proof");
    let (thumbprint, others) = (key.thumbprint(), other.thumbprint());
    let mut pushed = vec![send_to(&server, "/par", &[&proof("/par")], &pairs).await];
    pairs.push(("dpop_jkt", &thumbprint));
    pushed.push(send_to(&server, "/par", &[], &pairs).await);
    pushed.push(send_to(&server, "/par", &[&proof("/par")], &pairs).await);
    for answer in pushed {
        assert_eq!(answer.status, StatusCode::CREATED, "{answer:?}");
        let uri = text(&answer.json(), "request_uri").to_owned();
        let taken = [("client_id".to_owned(), client.clone()), ("request_uri".to_owned(), uri)].into();
        let code = browser.allow(&taken).await;
        refused(&server.redeem(&client, &code).await, "invalid_grant");
        let wrong = other.with(&server, "nonce", json!(nonce));
        refused(&redeem(&server, &client, &code, &wrong).await, "invalid_grant");
        bound_to(&redeem(&server, &client, &code, &proof("/token")).await, &key);
    }
    pairs.pop();
    pairs.push(("dpop_jkt", &others));
    refused(&send_to(&server, "/par", &[&proof("/par")], &pairs).await, "invalid_request");
}

#[tokio::test]
async fn as_189_as_190_as_191_t_89_a_proof_that_breaks_a_rule_burns_nothing() {
    let server = Server::start().await;
    let (client, mut browser, key) = (server.register(REDIRECT).await, server.set_up().await, Key::new());
    let code = browser.allow(&Server::request(&client)).await;
    let now = server.now().seconds();
    let (good, another) = (key.proof(&server), key.proof(&server));
    let bad = [
        format!("{good},{another}"),
        format!("{good}, {another}"),
        "{}".to_owned(),
        key.with(&server, "htm", json!("GET")),
        key.with(&server, "htu", json!("https://auth.example/register")),
        key.with(&server, "htu", json!("https://evil.example/token")),
        key.with(&server, "htu", json!(7)),
        key.with(&server, "iat", json!(now - 301)),
        key.with(&server, "iat", json!(now + 301)),
        key.with(&server, "jti", json!("j".repeat(256))),
        Key::new().proof(&server).replace('.', ".."),
    ];
    for proof in &bad {
        refused(&redeem(&server, &client, &code, proof).await, "invalid_dpop_proof");
    }
    let pairs = [("grant_type", "authorization_code"), ("client_id", &*client), ("code", &code)];
    refused(&send(&server, &[&good, &another], &pairs).await, "invalid_dpop_proof");
    // As a proxy names us does not count, the metadata does; and what means the same URL is the same.
    let proof = key.with(&server, "htu", json!("HTTPS://Auth.Example:443/%74oken"));
    bound_to(&redeem(&server, &client, &code, &proof).await, &key);
}

#[tokio::test]
async fn as_192_t_89_a_proof_is_good_once() {
    let server = Server::start().await;
    let (client, mut browser, key) = (server.register(REDIRECT).await, server.set_up().await, Key::new());
    let codes =
        [browser.allow(&Server::request(&client)).await, browser.allow(&Server::request(&client)).await];
    let proof = key.proof(&server);
    bound_to(&redeem(&server, &client, &codes[0], &proof).await, &key);
    refused(&redeem(&server, &client, &codes[1], &proof).await, "invalid_dpop_proof");
    bound_to(&redeem(&server, &client, &codes[1], &key.proof(&server)).await, &key);
}

#[tokio::test]
async fn as_193_t_89_a_nonce_is_asked_for_and_nothing_is_used_up() {
    let (server, host) = Server::with_documents(with_nonces()).await;
    let (client, mut browser, key) = (server.register(REDIRECT).await, server.set_up().await, Key::new());
    let code = browser.allow(&Server::request(&client)).await;
    let challenged = redeem(&server, &client, &code, &key.proof(&server)).await;
    refused(&challenged, "use_dpop_nonce");
    assert_eq!(challenged.headers.get_all("dpop-nonce").iter().count(), 1);
    assert!(challenged.header("access-control-expose-headers").contains("DPoP-Nonce"), "as_014");
    let nonce = challenged.header("dpop-nonce").to_owned();
    for bad in ["", "x", &altered(&format!("{nonce}AAAAAAAAAA")), &nonce[1..]] {
        let proof = key.with(&server, "nonce", json!(bad));
        refused(&redeem(&server, &client, &code, &proof).await, "use_dpop_nonce");
    }
    // Another node has never heard of this one's nonce, and takes it.
    let other = server.beside().await;
    let answer = redeem(&other, &client, &code, &key.with(&server, "nonce", json!(nonce))).await;
    let (_, token) = bound_to(&answer, &key);
    assert_eq!(answer.header("dpop-nonce"), nonce, "the one of this moment");
    server.push(299);
    let answer = refresh(&server, &client, &token, &key.with(&server, "nonce", json!(nonce))).await;
    let (_, token) = bound_to(&answer, &key);
    let newer = answer.header("dpop-nonce").to_owned();
    assert_ne!(newer, nonce);
    server.push(60);
    refused(
        &refresh(&server, &client, &token, &key.with(&server, "nonce", json!(nonce))).await,
        "use_dpop_nonce",
    );
    let answer = refresh(&server, &client, &token, &key.with(&server, "nonce", json!(newer))).await;
    bound_to(&answer, &key);
    // Whoever proves no key is asked for no nonce.
    let code = browser.allow(&Server::request(&client)).await;
    let answer = server.redeem(&client, &code).await;
    assert_eq!((answer.json()["token_type"].as_str(), answer.header("dpop-nonce")), (Some("Bearer"), ""));
    // Nor is an assertion used up by the question.
    let signing = SigningClient::publish(&host, Algorithm::Es256, &["private_key_jwt"]);
    let code = browser.allow(&Server::request(&signing.url)).await;
    let assertion = signing.assertion(&server);
    let pairs = [("grant_type", "authorization_code"), ("code", &code), ("code_verifier", VERIFIER)];
    let pairs = crate::assertions::signed(&assertion, &pairs);
    let challenged = send(&server, &[&key.proof(&server)], &pairs).await;
    refused(&challenged, "use_dpop_nonce");
    let proof = key.with(&server, "nonce", json!(challenged.header("dpop-nonce")));
    bound_to(&send(&server, &[&proof], &pairs).await, &key);
}

/// Each node remembers what it has seen, and nothing of the others: elsewhere a proof ends with its nonce, however late its
/// `iat` says.
#[tokio::test]
async fn as_192_as_193_t_89_what_one_node_has_seen_another_takes_until_the_nonce_is_over() {
    let server = Server::with(with_nonces()).await;
    let (second, third, fourth) = (server.beside().await, server.beside().await, server.beside().await);
    let (client, mut browser, key) = (server.register(REDIRECT).await, server.set_up().await, Key::new());
    let code = browser.allow(&Server::request(&client)).await;
    let nonce = redeem(&server, &client, &code, &key.proof(&server)).await.header("dpop-nonce").to_owned();
    let mut claims = key.claims(&server);
    (claims["nonce"], claims["iat"]) = (json!(nonce), json!(server.now().seconds() + 299));
    let proof = key.sign(&claims);
    let (_, token) = bound_to(&redeem(&server, &client, &code, &proof).await, &key);
    refused(&refresh(&server, &client, &token, &proof).await, "invalid_dpop_proof");
    let (_, token) = bound_to(&refresh(&second, &client, &token, &proof).await, &key);
    refused(&refresh(&second, &client, &token, &proof).await, "invalid_dpop_proof");
    server.push(299);
    let (_, token) = bound_to(&refresh(&third, &client, &token, &proof).await, &key);
    server.push(60);
    refused(&refresh(&fourth, &client, &token, &proof).await, "use_dpop_nonce");
}

#[tokio::test]
async fn as_193_a_node_with_the_next_master_key_and_one_without_it_ask_again_and_end_nothing() {
    let server = Server::with(with_nonces()).await;
    let key = |number: u8, fill: u8| MasterKey { number, bytes: SecretBytes::new([fill; 32]) };
    let ahead = server.taking(&vec![key(1, 8), key(0, 7)].into()).await.unwrap();
    let (client, mut browser, proofs) = (server.register(REDIRECT).await, server.set_up().await, Key::new());
    let code = browser.allow(&Server::request(&client)).await;
    let nonce = redeem(&ahead, &client, &code, &proofs.proof(&server)).await.header("dpop-nonce").to_owned();
    let behind = redeem(&server, &client, &code, &proofs.with(&server, "nonce", json!(nonce))).await;
    refused(&behind, "use_dpop_nonce");
    let nonce = behind.header("dpop-nonce");
    bound_to(&redeem(&ahead, &client, &code, &proofs.with(&server, "nonce", json!(nonce))).await, &proofs);
}

#[tokio::test]
async fn as_193_questions_for_a_nonce_are_no_guesses() {
    let mut settings = with_nonces();
    settings.limits.failures = 3;
    let server = Server::with(settings).await;
    let (client, mut browser, key) = (server.register(REDIRECT).await, server.set_up().await, Key::new());
    let code = browser.allow(&Server::request(&client)).await;
    for _ in 0..10 {
        refused(&redeem(&server, &client, &code, &key.proof(&server)).await, "use_dpop_nonce");
    }
    let nonce = redeem(&server, &client, &code, &key.proof(&server)).await.header("dpop-nonce").to_owned();
    bound_to(&redeem(&server, &client, &code, &key.with(&server, "nonce", json!(nonce))).await, &key);
}

#[tokio::test]
async fn as_195_who_wants_bound_tokens_only_gets_no_others() {
    let (server, host) = Server::with_documents(settings()).await;
    let (mut browser, key) = (server.set_up().await, Key::new());
    let body = json!({
        "redirect_uris": [REDIRECT], "token_endpoint_auth_method": "none", "dpop_bound_access_tokens": true,
        "grant_types": ["authorization_code", "refresh_token"],
    });
    let registered = server.post_json("/register", &body).await.json();
    assert_eq!(registered["dpop_bound_access_tokens"], true);
    let document = json!({
        "client_id": host.url("/bound.json"), "client_name": "Bound", "redirect_uris": [REDIRECT], "dpop_bound_access_tokens": true,
        "grant_types": ["authorization_code", "refresh_token"], "token_endpoint_auth_method": "none",
    });
    host.publish("/bound.json", &document.to_string());
    for client in [text(&registered, "client_id").to_owned(), host.url("/bound.json")] {
        let code = browser.allow(&Server::request(&client)).await;
        refused(&server.redeem(&client, &code).await, "invalid_dpop_proof");
        bound_to(&redeem(&server, &client, &code, &key.proof(&server)).await, &key);
    }
}

#[tokio::test]
async fn as_195_for_a_server_that_takes_bound_tokens_only_no_other_is_issued() {
    let mut settings = settings();
    settings.resources[0].bound_tokens_only = true;
    let server = Server::with(settings).await;
    let (client, mut browser, key) = (server.register(REDIRECT).await, server.set_up().await, Key::new());
    let code = browser.allow(&Server::request(&client)).await;
    refused(&server.redeem(&client, &code).await, "invalid_dpop_proof");
    bound_to(&redeem(&server, &client, &code, &key.proof(&server)).await, &key);
}

#[tokio::test]
async fn as_196_as_029_where_it_is_off_nobody_is_told_and_what_is_bound_stays_bound() {
    let server = Server::start().await;
    let listed = server.get("/.well-known/oauth-authorization-server").await.json();
    assert_eq!(listed["dpop_signing_alg_values_supported"], json!(["ES256", "EdDSA", "Ed25519", "RS256"]));
    let (client, mut browser, key) = (server.register(REDIRECT).await, server.set_up().await, Key::new());
    let code = browser.allow(&Server::request(&client)).await;
    let (_, token) = bound_to(&redeem(&server, &client, &code, &key.proof(&server)).await, &key);
    let mut named = Server::request(&client);
    named.insert("dpop_jkt".into(), key.thumbprint());
    let bound_code = browser.allow(&named).await;

    let off =
        Settings { proofs: ProofSettings { offered: false, nonces: false }, ..server.app.settings.clone() };
    let off = Server::on(
        std::sync::Arc::clone(&server.app.store),
        off,
        tempfile::tempdir().unwrap(),
        server.clock.clone(),
        hallpass_fetch::Fetch::new(hallpass_fetch::Settings::default()).unwrap(),
    )
    .await;
    let listed = off.get("/.well-known/oauth-authorization-server").await.json();
    assert!(listed.get("dpop_signing_alg_values_supported").is_none());
    let code = browser.allow(&Server::request(&client)).await;
    for (proof, code) in
        [("x.y.z".to_owned(), code), (key.proof(&server), browser.allow(&Server::request(&client)).await)]
    {
        let answer = redeem(&off, &client, &code, &proof).await;
        assert_eq!(answer.json()["token_type"], "Bearer", "{answer:?}");
        assert!(claims(text(&answer.json(), "access_token")).get("cnf").is_none());
    }
    refused(&off.redeem(&client, &bound_code).await, "invalid_grant");
    bound_to(&redeem(&off, &client, &bound_code, &key.proof(&server)).await, &key);
    refused(&off.refresh(&client, &token).await, "invalid_dpop_proof");
    bound_to(&refresh(&off, &client, &token, &key.proof(&server)).await, &key);
    // A parameter that is not known here is ignored, whatever it says.
    named.insert("dpop_jkt".into(), "x".into());
    let mut elsewhere = Browser::new(&off);
    elsewhere.cookies.clone_from(&browser.cookies);
    elsewhere.allow(&named).await;
    let body = json!({"redirect_uris": [REDIRECT], "token_endpoint_auth_method": "none", "dpop_bound_access_tokens": true});
    let registered = off.post_json("/register", &body).await.json();
    assert!(registered.get("dpop_bound_access_tokens").is_none());
}

#[tokio::test]
async fn as_194_a_machine_gets_a_token_that_is_bound_to_its_key() {
    let server = Server::with(crate::machines::with_one("nightly")).await;
    let key = Key::new();
    let pairs = [
        ("grant_type", "client_credentials"),
        ("client_id", "nightly"),
        ("client_secret", crate::machines::SECRET),
    ];
    let answer = send(&server, &[&key.proof(&server)], &pairs).await;
    assert_eq!(answer.json()["token_type"], "DPoP", "{answer:?}");
    assert_eq!(claims(text(&answer.json(), "access_token"))["cnf"], json!({"jkt": key.thumbprint()}));
    let answer = send(&server, &[], &pairs).await;
    assert_eq!(answer.json()["token_type"], "Bearer", "{answer:?}");
}

#[tokio::test]
async fn as_194_introspection_says_what_a_token_is_bound_to() {
    let server = Server::with(crate::introspection::asked()).await;
    let (client, mut browser, key) = (server.register(REDIRECT).await, server.set_up().await, Key::new());
    let code = browser.allow(&Server::request(&client)).await;
    let (access, _) = bound_to(&redeem(&server, &client, &code, &key.proof(&server)).await, &key);
    let answer = crate::introspection::ask(&server, "things", &access).await.json();
    assert_eq!((&answer["active"], &answer["token_type"]), (&json!(true), &json!("DPoP")));
    assert_eq!(answer["cnf"], json!({"jkt": key.thumbprint()}));
}

#[tokio::test]
async fn as_192_keys_and_claims_of_strangers_cost_no_row() {
    let server = Server::start().await;
    let client = server.register(REDIRECT).await;
    let token = base64url(&[1; 45]);
    for _ in 0..50 {
        let answer = refresh(&server, &client, &format!("hpr_{token}"), &Key::new().proof(&server)).await;
        refused(&answer, "invalid_grant");
    }
}
