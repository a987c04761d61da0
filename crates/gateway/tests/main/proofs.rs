//! Bound tokens through the gateway: each call with its own proof, and nothing of it for the upstream.

use crate::support::{GRANT, METADATA, ORIGIN, PING, START, World, bare, world, world_with};
use hallpass_core::{
    challenge,
    encoding::base64url,
    grant::digest32,
    jose::{Algorithm, SigningKey},
    seal::{KeyRing, MasterKey},
    secret::SecretBytes,
};
use hallpass_resource::{BoundTokens, Proofs, Revocation, Revoked};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};

fn proof(key: &SigningKey, (method, token): (&str, &str), id: &str, nonce: Option<&str>) -> String {
    let ath = base64url(&digest32(token));
    let mut claims =
        json!({"jti": id, "htm": method, "htu": format!("{ORIGIN}/mcp"), "iat": START.seconds(), "ath": ath});
    if let Some(nonce) = nonce {
        claims["nonce"] = json!(nonce);
    }
    let header = json!({"typ": "dpop+jwt", "alg": key.algorithm().name(), "jwk": key.public_jwk().to_json()});
    let part = |value: &Value| base64url(value.to_string().as_bytes());
    let signed = format!("{}.{}", part(&header), part(&claims));
    format!("{signed}.{}", base64url(&key.sign_bytes(signed.as_bytes()).unwrap()))
}

fn bound(world: &World) -> (SigningKey, String) {
    let key = SigningKey::generate(Algorithm::Es256).unwrap();
    let thumbprint = key.public_jwk().thumbprint();
    (key, world.token_of(|token| token.key_thumbprint = Some(thumbprint)))
}

#[tokio::test]
async fn rs_038_rs_044_t_89_each_call_has_its_own_proof_and_the_upstream_sees_neither() {
    let world = world("echo").await;
    let (key, token) = bound(&world);
    let authorization = format!("DPoP {token}");
    let send = async |method: &str, body: &str, proof: &str| {
        let more = [("authorization", &*authorization), ("dpop", proof), ("host", "evil.example")];
        world.ask(bare(method, "/mcp", body, &more)).await
    };
    let first = proof(&key, ("POST", &token), "1", None);
    let answer = send("POST", PING, &first).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    assert!(answer.seen("dpop").is_empty() && answer.seen("authorization").is_empty());
    assert!(!answer.text.contains(&token) && !answer.text.contains(&first));
    let again = send("POST", PING, &first).await;
    assert_eq!((again.status, world.upstream.asked()), (401, 1));
    let challenges = challenge::parse(&[again.header("www-authenticate")]);
    assert_eq!((challenges.len(), challenges[0].scheme()), (1, "DPoP"));
    assert_eq!(challenges[0].parameter("error"), Some("invalid_dpop_proof"));
    assert_eq!(challenges[0].parameter("resource_metadata"), Some(METADATA));
    assert!(answer.header("access-control-expose-headers").contains("DPoP-Nonce"), "rs_014");
    // A proof for a message opens no stream.
    assert_eq!(send("GET", "", &proof(&key, ("POST", &token), "2", None)).await.status, 401);
    assert_eq!(send("DELETE", "", &proof(&key, ("DELETE", &token), "3", None)).await.status, 200);
    // As a bearer token it is of no use.
    let stolen = world.post(PING, &[("authorization", &format!("Bearer {token}"))]).await;
    assert_eq!(stolen.status, 401);
}

#[tokio::test]
async fn rs_010_rs_040_more_scope_and_revocation_speak_the_scheme_of_the_request() {
    let world = world("echo").await;
    let key = SigningKey::generate(Algorithm::Es256).unwrap();
    let thumbprint = key.public_jwk().thumbprint();
    let token = world.token_of(|token| {
        token.key_thumbprint = Some(thumbprint);
        token.scope = Some("files:write".into());
    });
    let authorization = format!("DPoP {token}");
    let send = async |id: &str| {
        let proof = proof(&key, ("POST", &token), id, None);
        world.ask(bare("POST", "/mcp", PING, &[("authorization", &authorization), ("dpop", &proof)])).await
    };
    let answer = send("1").await;
    let challenges = challenge::parse(&[answer.header("www-authenticate")]);
    assert_eq!((answer.status, challenges[0].scheme()), (403, "DPoP"));
    assert_eq!(challenges[0].parameter("error"), Some("insufficient_scope"));
    assert_eq!(challenges[0].parameter("scope"), Some("files:read"));
    let until = START.plus(Duration::from_hours(1));
    world.revocations.apply([Revocation { what: Revoked::Grant(GRANT), until }], 1, START);
    let answer = send("2").await;
    let challenges = challenge::parse(&[answer.header("www-authenticate")]);
    assert_eq!((answer.status, challenges[0].parameter("error")), (401, Some("invalid_token")));
}

#[tokio::test]
async fn rs_040_as_193_a_nonce_comes_with_the_refusal_and_the_next_one_with_the_answer() {
    let master = MasterKey { number: 1, bytes: SecretBytes::new([7; 32]) };
    let ring = KeyRing::new(&[master], &SecretBytes::new([9; 32]), ORIGIN).unwrap();
    let nonces = Some(Arc::new(ring));
    let world = world_with("echo", |config| config.proofs = Proofs { nonces, ..Proofs::default() }).await;
    let (key, token) = bound(&world);
    let authorization = format!("DPoP {token}");
    let send = async |id: &str, nonce: Option<&str>| {
        let proof = proof(&key, ("POST", &token), id, nonce);
        world.ask(bare("POST", "/mcp", PING, &[("authorization", &authorization), ("dpop", &proof)])).await
    };
    let challenged = send("1", None).await;
    assert_eq!((challenged.status, world.upstream.asked()), (401, 0));
    assert!(challenged.header("www-authenticate").contains("use_dpop_nonce"));
    assert_eq!(challenged.headers.get_all("dpop-nonce").iter().count(), 1);
    let nonce = challenged.header("dpop-nonce").to_owned();
    let answer = send("2", Some(&nonce)).await;
    assert_eq!((answer.status, answer.header("dpop-nonce")), (200, &*nonce));
    world.clock.push(Duration::from_mins(1));
    let answer = send("3", Some(&nonce)).await;
    assert!(answer.status == 200 && answer.header("dpop-nonce") != nonce);
    let plain = world.post(PING, &[]).await;
    assert_eq!((plain.status, plain.header("dpop-nonce")), (200, ""), "nothing for a bearer token");
}

#[tokio::test]
async fn rs_005_rs_037_a_server_that_takes_bound_tokens_only_says_so_everywhere() {
    let world = world_with("echo", |config| config.servers[0].bound_tokens = BoundTokens::Required).await;
    let document = world.ask(bare("GET", "/.well-known/oauth-protected-resource/mcp", "", &[])).await.json();
    assert_eq!(document["dpop_bound_access_tokens_required"], true);
    assert_eq!(document["dpop_signing_alg_values_supported"][0], "ES256");
    for answer in [world.ask(bare("POST", "/mcp", PING, &[])).await, world.post(PING, &[]).await] {
        let challenges = challenge::parse(&[answer.header("www-authenticate")]);
        assert_eq!((answer.status, challenges[0].scheme()), (401, "DPoP"));
        assert_eq!(challenges[0].parameter("resource_metadata"), Some(METADATA));
    }
    let (key, token) = bound(&world);
    let proof = proof(&key, ("POST", &token), "1", None);
    let more = [("authorization", &*format!("DPoP {token}")), ("dpop", &proof)];
    assert_eq!(world.ask(bare("POST", "/mcp", PING, &more)).await.status, 200);
}
