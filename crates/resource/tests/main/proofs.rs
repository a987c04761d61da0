//! Tokens that are bound to a key: which proof lets one in, and what everything else is told.

use crate::support::{START, World, claims, head, sign, world};
use axum::{Router, body::Body, http::Request, routing::any};
use hallpass_core::{
    encoding::base64url,
    grant::digest32,
    jose::{Algorithm, JwsError, SigningKey},
    jwt::{
        AccessTokenError,
        proof::{ProofError, SeenProofs},
    },
    scope::Scope,
    seal::{KeyRing, MasterKey},
    secret::SecretBytes,
};
use hallpass_resource::{
    Authenticated, BoundTokens, Proofs, ProtectLayer, ProtectedResource, Reason, Scheme,
};
use http::HeaderMap;
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};
use tower::ServiceExt;

pub const URL: &str = "https://mcp.example/mcp";

pub fn proof_claims(token: &str, id: &str) -> Value {
    let ath = base64url(&digest32(token));
    json!({"jti": id, "htm": "POST", "htu": URL, "iat": START.seconds(), "ath": ath})
}

pub fn proof(key: &SigningKey, claims: &Value) -> String {
    let header = json!({"typ": "dpop+jwt", "alg": key.algorithm().name(), "jwk": key.public_jwk().to_json()});
    let part = |value: &Value| base64url(value.to_string().as_bytes());
    let signed = format!("{}.{}", part(&header), part(claims));
    format!("{signed}.{}", base64url(&key.sign_bytes(signed.as_bytes()).unwrap()))
}

/// A world, a key of a client, and a token that is bound to it.
fn bound() -> (World, SigningKey, String) {
    let (world, key) = (world(), SigningKey::generate(Algorithm::Es256).unwrap());
    let mut token = claims();
    token.key_thumbprint = Some(key.public_jwk().thumbprint());
    let token = sign(&world.key, &token);
    (world, key, token)
}

fn headers(scheme: &str, token: &str, proofs: &[&str]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("authorization", format!("{scheme} {token}").parse().unwrap());
    for proof in proofs {
        headers.append("dpop", proof.parse().unwrap());
    }
    headers
}

async fn ask(resource: &ProtectedResource, headers: &HeaderMap) -> Result<Authenticated, Reason> {
    resource.authenticate(head(headers), resource.now()).await
}

#[tokio::test]
async fn rs_038_rs_042_a_bound_token_with_its_proof_and_every_check_beside() {
    let (world, key, token) = bound();
    let caller =
        ask(&world.resource, &headers("DPoP", &token, &[&proof(&key, &proof_claims(&token, "1"))])).await;
    let caller = caller.unwrap();
    assert!(caller.is_bound() && caller.subject() == "ann");
    // From the memory of verified tokens, and a proof all the same.
    assert_eq!(ask(&world.resource, &headers("DPoP", &token, &[])).await.unwrap_err(), Reason::ProofMissing);
    let more = headers("DPoP", &token, &[&proof(&key, &proof_claims(&token, "2"))]);
    assert!(ask(&world.resource, &more).await.is_ok());
    let mine = || {
        let mut token = claims();
        token.key_thumbprint = Some(key.public_jwk().thumbprint());
        token
    };
    let mut others = [mine(), mine(), mine()];
    others[0].audience = "https://mcp.example/other".into();
    others[1].issuer = "https://evil.example".into();
    others[2].issued_at = START.minus(Duration::from_hours(1));
    others[2].expires_at = START.minus(Duration::from_mins(30));
    for other in others {
        let token = sign(&world.key, &other);
        let headers = headers("DPoP", &token, &[&proof(&key, &proof_claims(&token, "3"))]);
        let reason = ask(&world.resource, &headers).await.unwrap_err();
        assert!(matches!(reason, Reason::Token(_)), "{reason}");
    }
    let write = Scope::parse("files:admin").unwrap();
    let more = headers("DPoP", &token, &[&proof(&key, &proof_claims(&token, "4"))]);
    let outcome = world.resource.authorize(head(&more), &write, START).await;
    assert_eq!(outcome.unwrap_err(), Reason::InsufficientScope);
}

#[tokio::test]
async fn rs_037_t_89_neither_kind_of_token_passes_for_the_other() {
    let (world, key, token) = bound();
    let good = proof(&key, &proof_claims(&token, "1"));
    for proofs in [&[][..], &[&*good]] {
        let reason = ask(&world.resource, &headers("Bearer", &token, proofs)).await.unwrap_err();
        assert_eq!(reason, Reason::BoundToken);
    }
    let plain = world.token();
    let made = proof(&key, &proof_claims(&plain, "2"));
    let reason = ask(&world.resource, &headers("DPoP", &plain, &[&made])).await.unwrap_err();
    assert_eq!(reason, Reason::UnboundToken);
    assert!(ask(&world.resource, &headers("Bearer", &plain, &["whatever"])).await.is_ok());
    for scheme in ["dpop", "DPOP"] {
        let proof = proof(&key, &proof_claims(&token, scheme));
        assert!(ask(&world.resource, &headers(scheme, &token, &[&proof])).await.is_ok());
    }
}

#[tokio::test]
async fn rs_038_rs_039_rs_041_t_89_the_battery() {
    let (world, key, token) = bound();
    let other_key = SigningKey::generate(Algorithm::EdDsa).unwrap();
    let mut other = claims();
    (other.key_thumbprint, other.client_id) = (Some(key.public_jwk().thumbprint()), "other".into());
    let other = sign(&world.key, &other);
    let now = START.seconds();
    let with = |name: &str, value: Value| {
        let mut claims = proof_claims(&token, "battery");
        claims[name] = value;
        proof(&key, &claims)
    };
    for (bad, reason) in [
        (with("htm", json!("GET")), Reason::Proof(ProofError::Method)),
        (with("htu", json!("https://mcp.example/")), Reason::Proof(ProofError::Target)),
        (with("htu", json!("https://mcp.example/mcp/admin")), Reason::Proof(ProofError::Target)),
        (with("htu", json!("http://mcp.example/mcp")), Reason::Proof(ProofError::Target)),
        (with("htu", json!("http://127.0.0.1:3001/mcp")), Reason::Proof(ProofError::Target)),
        (with("htu", json!(1)), Reason::Proof(ProofError::Target)),
        (with("iat", json!(now - 301)), Reason::Proof(ProofError::NotNow)),
        (with("iat", json!(now + 301)), Reason::Proof(ProofError::NotNow)),
        (with("iat", json!(null)), Reason::Proof(ProofError::IssuedAtForm)),
        (with("jti", json!("")), Reason::Proof(ProofError::TokenId)),
        (with("jti", json!("j".repeat(300))), Reason::Proof(ProofError::TokenId)),
        (with("ath", json!(base64url(&digest32(&other)))), Reason::Proof(ProofError::TokenHash)),
        (with("ath", json!(null)), Reason::Proof(ProofError::TokenHash)),
        (proof(&other_key, &proof_claims(&token, "k")), Reason::ProofOfAnotherKey),
        (token.clone(), Reason::Proof(ProofError::Jws(JwsError::WrongType))),
        ("x".to_owned(), Reason::Proof(ProofError::Jws(JwsError::NotThreeParts))),
    ] {
        assert_eq!(ask(&world.resource, &headers("DPoP", &token, &[&bad])).await.unwrap_err(), reason);
    }
    let good = proof(&key, &proof_claims(&token, "good"));
    let twice = ask(&world.resource, &headers("DPoP", &token, &[&good, &good])).await.unwrap_err();
    assert_eq!(twice, Reason::Proof(ProofError::Several));
    let joined = format!("{good}, {good}");
    let joined = ask(&world.resource, &headers("DPoP", &token, &[&joined])).await.unwrap_err();
    assert!(matches!(joined, Reason::Proof(ProofError::Jws(_))));
    for within in [now - 299, now + 299] {
        let mut claims = proof_claims(&token, &within.to_string());
        claims["iat"] = json!(within);
        let headers = headers("DPoP", &token, &[&proof(&key, &claims)]);
        assert!(ask(&world.resource, &headers).await.is_ok(), "{within}");
    }
    assert!(
        ask(&world.resource, &headers("DPoP", &token, &[&good])).await.is_ok(),
        "nothing of this used it up"
    );
    // A forged token with a good proof of the forger's.
    let forged = sign(&SigningKey::generate(Algorithm::Es256).unwrap(), &claims());
    let reason = ask(&world.resource, &headers("DPoP", &forged, &[&good])).await.unwrap_err();
    assert!(matches!(reason, Reason::Token(AccessTokenError::Jws(_))), "{reason}");
}

#[tokio::test]
async fn rs_043_a_digest_of_the_body_of_an_older_draft_is_accepted_and_nothing_rests_on_it() {
    let (world, key, token) = bound();
    for (number, digest) in
        [json!("sha-256=:AA==:"), json!("wrong"), json!(7), json!(null)].into_iter().enumerate()
    {
        let mut claims = proof_claims(&token, &number.to_string());
        claims["content_digest"] = digest.clone();
        let headers = headers("DPoP", &token, &[&proof(&key, &claims)]);
        assert!(ask(&world.resource, &headers).await.is_ok(), "{digest}");
    }
    let without = headers("DPoP", &token, &[&proof(&key, &proof_claims(&token, "without"))]);
    assert!(ask(&world.resource, &without).await.is_ok(), "and is not required");
}

#[tokio::test]
async fn rs_039_t_89_a_proof_is_good_once_whatever_host_is_named() {
    let (world, key, token) = bound();
    let mut headers = headers("DPoP", &token, &[&proof(&key, &proof_claims(&token, "1"))]);
    headers.insert("host", "evil.example".parse().unwrap());
    headers.insert("x-forwarded-host", "evil.example".parse().unwrap());
    assert!(ask(&world.resource, &headers).await.is_ok());
    assert_eq!(ask(&world.resource, &headers).await.unwrap_err(), Reason::ProofReplayed);
    world.clock.push(Duration::from_secs(280));
    assert_eq!(ask(&world.resource, &headers).await.unwrap_err(), Reason::ProofReplayed);
}

fn nonces(world: &World, seen: &Arc<SeenProofs>) -> ProtectedResource {
    let master = MasterKey { number: 1, bytes: SecretBytes::new([7; 32]) };
    let ring = KeyRing::new(&[master], &SecretBytes::new([9; 32]), "https://as.example").unwrap();
    let proofs = Proofs { seen: Arc::clone(seen), nonces: Some(Arc::new(ring)) };
    let settings = world.resource.settings().clone();
    ProtectedResource::new(settings, Arc::clone(&world.keys), Arc::clone(&world.revocations))
        .with_clock(Arc::new(world.clock.clone()))
        .with_bound_tokens(BoundTokens::Offered, proofs)
}

#[tokio::test]
async fn rs_040_as_193_a_nonce_of_this_resource_where_one_is_asked_for() {
    let (world, key, token) = bound();
    let seen = Arc::new(SeenProofs::new());
    let (resource, beside) = (nonces(&world, &seen), nonces(&world, &Arc::new(SeenProofs::new())));
    let reason = ask(&resource, &headers("DPoP", &token, &[&proof(&key, &proof_claims(&token, "1"))])).await;
    let answer = resource.refuse(reason.unwrap_err(), &Scope::none(), Scheme::Dpop);
    assert_eq!(answer.status(), 401);
    let nonces: Vec<_> = answer.headers().get_all("dpop-nonce").iter().collect();
    assert_eq!(nonces.len(), 1);
    let nonce = nonces[0].to_str().unwrap().to_owned();
    assert!(answer.headers()["www-authenticate"].to_str().unwrap().contains("use_dpop_nonce"));
    let with = |id: &str, nonce: &str| {
        let mut claims = proof_claims(&token, id);
        claims["nonce"] = json!(nonce);
        headers("DPoP", &token, &[&proof(&key, &claims)])
    };
    // Another node takes it, and a nonce of the authorization server is none here.
    assert!(ask(&beside, &with("1", &nonce)).await.is_ok());
    assert!(ask(&resource, &with("1", &nonce)).await.is_ok());
    let master = MasterKey { number: 1, bytes: SecretBytes::new([7; 32]) };
    let ring = KeyRing::new(&[master], &SecretBytes::new([9; 32]), "https://as.example").unwrap();
    let elsewhere = hallpass_core::jwt::proof::nonce::present(&ring, "https://as.example", START);
    assert_eq!(ask(&resource, &with("2", &elsewhere)).await.unwrap_err(), Reason::NonceNeeded);
    world.clock.push(Duration::from_secs(331));
    let mut late = proof_claims(&token, "3");
    (late["nonce"], late["iat"]) = (json!(nonce), json!(START.seconds() + 331));
    let reason = ask(&resource, &headers("DPoP", &token, &[&proof(&key, &late)])).await.unwrap_err();
    assert!(matches!(reason, Reason::NonceNeeded | Reason::Token(_) | Reason::Expired), "{reason}");
    // Bearer tokens are asked for nothing.
    let answer = resource.refuse(Reason::NoCredentials, &Scope::none(), Scheme::Bearer);
    assert!(!answer.headers().contains_key("dpop-nonce"));
}

#[tokio::test]
async fn rs_037_rs_040_where_only_bound_tokens_are_taken_every_challenge_says_so() {
    let (world, key, token) = bound();
    let settings = world.resource.settings().clone();
    let only = ProtectedResource::new(settings, Arc::clone(&world.keys), Arc::clone(&world.revocations))
        .with_clock(Arc::new(world.clock.clone()))
        .with_bound_tokens(BoundTokens::Required, Proofs::default());
    assert_eq!(ask(&only, &headers("Bearer", &world.token(), &[])).await.unwrap_err(), Reason::BearerToken);
    for reason in [Reason::NoCredentials, Reason::BearerToken, Reason::BoundToken] {
        let answer = only.refuse(reason, &Scope::none(), Scheme::Bearer);
        let challenge = answer.headers()["www-authenticate"].to_str().unwrap();
        assert!(answer.status() == 401 && challenge.starts_with("DPoP algs=\"ES256 "), "{challenge}");
    }
    assert!(ask(&only, &headers("DPoP", &token, &[&proof(&key, &proof_claims(&token, "1"))])).await.is_ok());
}

#[tokio::test]
async fn rs_038_rs_044_the_layer_knows_the_path_as_the_client_wrote_it_and_takes_the_proof_away() {
    let (world, key, token) = bound();
    let layer = ProtectLayer::new(Arc::clone(&world.resource), Scope::parse("files:read").unwrap());
    let inner = |headers: HeaderMap| async move { headers.contains_key("dpop").to_string() };
    let nested = Router::new().nest("/mcp", Router::new().fallback(any(inner)).layer(layer));
    let send = async |path: &str, id: &str, htu: &str| {
        let mut claims = proof_claims(&token, id);
        claims["htu"] = json!(htu);
        let mut request = Request::post(path).body(Body::empty()).unwrap();
        *request.headers_mut() = headers("DPoP", &token, &[&proof(&key, &claims)]);
        let answer = nested.clone().oneshot(request).await.unwrap();
        let status = answer.status().as_u16();
        (status, axum::body::to_bytes(answer.into_body(), 1_000).await.unwrap())
    };
    let (status, text) = send("/mcp/tools", "1", "https://mcp.example/mcp/tools").await;
    assert_eq!((status, &text[..]), (200, &b"false"[..]));
    assert_eq!(send("/mcp/tools", "2", "https://mcp.example/tools").await.0, 401);
    assert_eq!(send("/mcp/tools", "3", URL).await.0, 401);
}
