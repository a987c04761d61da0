//! Tokens that are bound to a key.
use super::world::*;
use crate::{
    discovery::DiscoveryError,
    driver::{Client, LoginOptions, Proofs, Settings},
    error::ClientError,
    token::TokenError,
};
use hallpass_core::encoding::from_base64url;
use serde_json::{Value, json};
use std::{collections::HashSet, sync::Arc};

/// A world that binds tokens, and a client of it that wants that, or does not.
async fn bound(proofs: bool) -> (World, Client) {
    let world = World::new().await;
    world.set(|knobs| {
        knobs.bound = proofs;
        knobs.metadata = vec![("dpop_signing_alg_values_supported", json!(["ES256"]))];
    });
    let proofs = if proofs { Proofs::WhereOffered } else { Proofs::Off };
    let settings = Settings { proofs, ..Settings::default() };
    let client = client(world.folder.path().join("other"), Arc::clone(&world.clock), settings);
    (world, client)
}

async fn login(world: &World, client: &Client) -> Result<(), ClientError> {
    let done = client.login(&world.mcp, &LoginOptions::default(), &mut Robot::default()).await;
    done.map(drop).map_err(|failed| failed.error)
}

async fn list(world: &World, client: &Client) -> Result<(), ClientError> {
    let mut caller = client.caller(&world.mcp, "default").unwrap();
    caller.call("tools/list", None).await.map(drop).map_err(|failed| failed.error)
}

/// Header and claims of the proof in a request.
fn proof(seen: &Seen) -> (Value, Value) {
    let parts: Vec<&str> = seen.headers["dpop"].split('.').collect();
    let json = |part: &str| serde_json::from_slice(&from_base64url(part).unwrap()).unwrap();
    (json(parts[0]), json(parts[1]))
}

#[tokio::test]
async fn cl_083_cl_084_cl_085_one_key_and_a_fresh_proof_for_every_request() {
    let (world, client) = bound(true).await;
    login(&world, &client).await.unwrap();
    list(&world, &client).await.unwrap();
    world.set(|knobs| knobs.good.clear());
    // Refused, refreshed, sent again.
    list(&world, &client).await.unwrap();
    let mut with_proof = world.asked("/token");
    assert_eq!(with_proof.len(), 2);
    for seen in &with_proof {
        assert_eq!(proof(seen).1["htu"], json!(format!("{}/token", world.issuer)));
        assert!(proof(seen).1.get("ath").is_none() && !seen.headers.contains_key("authorization"));
    }
    let called: Vec<Seen> =
        world.called().into_iter().filter(|seen| seen.headers.contains_key("authorization")).collect();
    for seen in &called {
        assert!(seen.headers["authorization"].starts_with("DPoP access-"));
        assert_eq!((&proof(seen).1["htu"], &proof(seen).1["htm"]), (&json!(world.mcp), &json!("POST")));
        assert!(proof(seen).1["ath"].is_string());
    }
    with_proof.extend(called);
    let keys: HashSet<String> = with_proof.iter().map(|seen| proof(seen).0["jwk"].to_string()).collect();
    let ids: HashSet<String> = with_proof.iter().map(|seen| proof(seen).1["jti"].to_string()).collect();
    assert_eq!((keys.len(), ids.len()), (1, with_proof.len()));
}

#[tokio::test]
async fn cl_086_nonces_of_both_servers_are_used_kept_apart_and_remembered() {
    let (world, client) = bound(true).await;
    let refused = json!({ "error": "use_dpop_nonce" }).to_string();
    world.set(|knobs| {
        knobs.instead = vec![("/token", 400, "dpop-nonce: of-as\r\n".into(), refused)];
        knobs.times.insert("/token", 1);
    });
    login(&world, &client).await.unwrap();
    let nonces: Vec<Value> =
        world.asked("/token").iter().map(|seen| proof(seen).1["nonce"].clone()).collect();
    assert_eq!(nonces, [json!(null), json!("of-as")]);
    world.set(|knobs| {
        let challenge = "www-authenticate: DPoP error=\"use_dpop_nonce\"\r\ndpop-nonce: of-rs\r\n";
        knobs.instead = vec![("/mcp", 401, challenge.into(), String::new())];
        knobs.times.insert("/mcp", 1);
    });
    let before = world.called().len();
    list(&world, &client).await.unwrap();
    let called = world.called()[before..].to_vec();
    let nonces: Vec<Value> = called.iter().map(|seen| proof(seen).1["nonce"].clone()).collect();
    assert_eq!(nonces, [json!(null), json!("of-rs"), json!("of-rs"), json!("of-rs")]);
    // The token was good: it was not renewed for this.
    assert_eq!(world.asked("/token").len(), 2);
}

#[tokio::test]
async fn cl_086_t_66_a_server_that_always_wants_another_nonce_is_not_asked_for_ever() {
    let (world, client) = bound(true).await;
    let refused = json!({ "error": "use_dpop_nonce" }).to_string();
    world.set(|knobs| knobs.instead = vec![("/token", 400, "dpop-nonce: n\r\n".into(), refused)]);
    let end = login(&world, &client).await.unwrap_err();
    assert!(matches!(end, ClientError::Token(TokenError::Refused)), "{end:?}");
    assert_eq!(world.asked("/token").len(), 2);
    world.set(|knobs| knobs.instead.clear());
    login(&world, &client).await.unwrap();
    let before = world.called().len();
    world.set(|knobs| {
        let challenge = "www-authenticate: DPoP error=\"use_dpop_nonce\"\r\ndpop-nonce: n\r\n";
        knobs.instead = vec![("/mcp", 401, challenge.into(), String::new())];
    });
    assert!(matches!(list(&world, &client).await, Err(ClientError::SignInNeeded)));
    assert_eq!(world.called().len() - before, 4);
}

#[tokio::test]
async fn cl_057_a_token_that_is_not_bound_is_not_taken() {
    let (world, client) = bound(true).await;
    world.set(|knobs| knobs.bound = false);
    let end = login(&world, &client).await.unwrap_err();
    assert!(matches!(end, ClientError::Token(TokenError::NotBound)));
    let (world, client) = bound(false).await;
    world.set(|knobs| knobs.bound = true);
    let end = login(&world, &client).await.unwrap_err();
    assert!(matches!(end, ClientError::Token(TokenError::TokenType)));
}

#[tokio::test]
async fn cl_088_no_proof_unless_it_was_switched_on() {
    let (world, client) = bound(false).await;
    login(&world, &client).await.unwrap();
    list(&world, &client).await.unwrap();
    let all = [world.called(), world.asked("/token")].concat();
    assert!(all.iter().all(|seen| !seen.headers.contains_key("dpop")));
    let required = json!({
        "resource": world.mcp,
        "authorization_servers": [world.issuer],
        "dpop_bound_access_tokens_required": true,
    });
    world.set(|knobs| {
        let json = "content-type: application/json\r\n".to_owned();
        knobs.instead = vec![("/.well-known/oauth-protected-resource/mcp", 200, json, required.to_string())];
    });
    let end = login(&world, &client).await.unwrap_err();
    assert!(matches!(end, ClientError::Discovery(DiscoveryError::ProofRequired)));
}

#[tokio::test]
async fn cl_041_the_code_is_bound_to_the_key_as_well() {
    let (world, client) = bound(true).await;
    login(&world, &client).await.unwrap();
    let asked = world.asked("/authorize");
    let query = asked[0].query();
    let thumbprint = query.get("dpop_jkt").expect("dpop_jkt");
    let jwk = &proof(&world.asked("/token")[0]).0["jwk"];
    let key = hallpass_core::jose::Jwk::parse(jwk).unwrap();
    assert_eq!(from_base64url(thumbprint).unwrap(), key.thumbprint());
}

#[tokio::test]
async fn cl_087_cl_082_proofs_follow_the_clock_of_the_server_that_refuses_ours() {
    let (world, client) = bound(true).await;
    // 1,800,000,000 is 08:00:00: the server is ten minutes behind, then ahead.
    let refused = json!({ "error": "invalid_dpop_proof" }).to_string();
    world.set(|knobs| {
        let date = "date: Fri, 15 Jan 2027 07:50:00 GMT\r\n".to_owned();
        knobs.instead = vec![("/token", 400, date, refused)];
        knobs.times.insert("/token", 1);
    });
    login(&world, &client).await.unwrap();
    let times =
        |seen: &[Seen]| seen.iter().map(|seen| proof(seen).1["iat"].as_i64().unwrap()).collect::<Vec<_>>();
    assert_eq!(times(&world.asked("/token")), [1_800_000_000, 1_799_999_400]);
    world.set(|knobs| {
        let challenge =
            "www-authenticate: DPoP error=\"invalid_dpop_proof\"\r\ndate: Fri, 15 Jan 2027 08:10:00 GMT\r\n";
        knobs.instead = vec![("/mcp", 401, challenge.into(), String::new())];
        knobs.times.insert("/mcp", 1);
    });
    let before = world.called().len();
    list(&world, &client).await.unwrap();
    let called = times(&world.called()[before..]);
    assert_eq!(called, [1_800_000_000, 1_800_000_600, 1_800_000_600, 1_800_000_600]);
    // One that refuses whatever the time is not asked for ever, nor one that says the same time again.
    let refused = json!({ "error": "invalid_dpop_proof" }).to_string();
    world.set(|knobs| {
        knobs.times.clear();
        knobs.instead = vec![("/token", 400, "date: Fri, 15 Jan 2027 07:50:00 GMT\r\n".into(), refused)];
    });
    let asked = world.asked("/token").len();
    login(&world, &client).await.unwrap_err();
    assert_eq!(world.asked("/token").len() - asked, 1);
}

#[tokio::test]
async fn cl_088_where_the_server_takes_bound_tokens_only_a_client_that_may_uses_them() {
    let (world, _) = bound(true).await;
    let settings = Settings { proofs: Proofs::WhereRequired, ..Settings::default() };
    let client = client(world.folder.path().join("third"), Arc::clone(&world.clock), settings);
    world.set(|knobs| knobs.bound = false);
    login(&world, &client).await.unwrap();
    list(&world, &client).await.unwrap();
    let all = [world.called(), world.asked("/token")].concat();
    assert!(all.iter().all(|seen| !seen.headers.contains_key("dpop")));
    let required = json!({
        "resource": world.mcp,
        "authorization_servers": [world.issuer],
        "dpop_bound_access_tokens_required": true,
    });
    world.set(|knobs| {
        knobs.bound = true;
        let json = "content-type: application/json\r\n".to_owned();
        knobs.instead = vec![("/.well-known/oauth-protected-resource/mcp", 200, json, required.to_string())];
    });
    login(&world, &client).await.unwrap();
    let before = world.called().len();
    list(&world, &client).await.unwrap();
    assert!(world.called()[before..].iter().all(|seen| seen.headers["authorization"].starts_with("DPoP ")));
}
