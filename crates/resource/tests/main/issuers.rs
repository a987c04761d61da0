//! Tokens of other authorization servers: each by its own keys, for its own audience, under its own name.

use crate::support::{GRANT, ISSUER, ManualClock, RESOURCE, START, World, bearer, claims, head, sign, world};
use hallpass_core::{
    jose::{Algorithm, JwsError, KeySet, SigningKey, jws},
    jwt::{AccessToken, AccessTokenError, foreign_token::TokenType},
    scope::Scope,
};
use hallpass_resource::{
    Authenticated, KeySource, ProtectedResource, Reason, Revocation, Revoked, ScopeNames, TrustedIssuer,
    Verification,
};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};

pub const A: &str = "https://a.example/";
pub const B: &str = "https://b.example";

pub fn trusting(issuer: &str, keys: &Arc<KeySource>) -> TrustedIssuer {
    TrustedIssuer {
        issuer: issuer.into(),
        audiences: vec![RESOURCE.into()],
        verification: Verification::Keys(Arc::clone(keys)),
        typ: TokenType::AccessToken,
        scope_claims: vec![],
        groups_claim: None,
        scopes: ScopeNames::default(),
    }
}

fn with_kid(mut jwk: Value, kid: &str) -> Value {
    jwk["kid"] = kid.into();
    jwk
}

fn source(keys: &[Value]) -> Arc<KeySource> {
    let set = json!({ "keys": keys }).to_string();
    Arc::new(KeySource::fixed(KeySet::parse(set.as_bytes()).unwrap()))
}

/// Our own server and two others, one resource that trusts all three.
struct Three {
    own: World,
    a: SigningKey,
    b: SigningKey,
    a_keys: Arc<KeySource>,
    resource: ProtectedResource,
}

fn resource(world: &World, others: Vec<TrustedIssuer>) -> ProtectedResource {
    let settings = world.resource.settings().clone();
    ProtectedResource::new(settings, Arc::clone(&world.keys), Arc::clone(&world.revocations))
        .with_clock(Arc::new(world.clock.clone()))
        .with_issuers(others)
}

fn three() -> Three {
    let own = world();
    let [a, b] = [(); 2].map(|()| SigningKey::generate(Algorithm::Es256).unwrap());
    let [a_keys, b_keys] = [&a, &b].map(|key| source(&[key.public_jwk().to_json()]));
    let resource = resource(&own, vec![trusting(A, &a_keys), trusting(B, &b_keys)]);
    Three { own, a, b, a_keys, resource }
}

fn of(issuer: &str) -> AccessToken {
    AccessToken { issuer: issuer.into(), ..claims() }
}

async fn ask(resource: &ProtectedResource, token: &str) -> Result<Authenticated, Reason> {
    resource.authenticate(head(&bearer(token)), resource.now()).await
}

const UNKNOWN: Reason = Reason::Token(AccessTokenError::Jws(JwsError::UnknownKey));
const OF_NOBODY: Reason = Reason::Token(AccessTokenError::WrongIssuer);

#[tokio::test]
async fn rs_023_each_issuer_by_its_own_keys_and_by_no_others() {
    let Three { own, a, b, resource, .. } = three();
    for _ in 0..2 {
        for (issuer, key, name) in
            [(ISSUER, &own.key, "ann"), (A, &a, "https://a.example/ ann"), (B, &b, "https://b.example ann")]
        {
            let caller = ask(&resource, &sign(key, &of(issuer))).await.unwrap();
            assert_eq!(caller.subject(), name);
            assert_eq!(caller.foreign_issuer(), (issuer != ISSUER).then_some(issuer));
        }
    }
    // Each token signed by each other's key.
    for (issuer, key) in [(ISSUER, &a), (ISSUER, &b), (A, &own.key), (A, &b), (B, &own.key), (B, &a)] {
        assert_eq!(ask(&resource, &sign(key, &of(issuer))).await.unwrap_err(), UNKNOWN, "{issuer}");
    }
}

#[tokio::test]
async fn rs_023_rs_027_two_issuers_may_have_keys_of_the_same_name() {
    let own = world();
    let [a, b] = [(); 2].map(|()| SigningKey::generate(Algorithm::Es256).unwrap());
    // Both publish a key under the name of a's; b's own tokens name it too, by the name that b's key has.
    let kid = a.key_id().to_owned();
    let a_keys = source(&[a.public_jwk().to_json()]);
    let b_keys = source(&[with_kid(b.public_jwk().to_json(), &kid)]);
    let resource = resource(&own, vec![trusting(A, &a_keys), trusting(B, &b_keys)]);
    assert!(ask(&resource, &sign(&a, &of(A))).await.is_ok());
    let forged = ask(&resource, &sign(&a, &of(B))).await.unwrap_err();
    assert_eq!(forged, Reason::Token(AccessTokenError::Jws(JwsError::Signature)));
}

#[tokio::test]
async fn rs_023_an_issuer_is_what_is_written_and_nothing_near_it() {
    let Three { a, b, resource, .. } = three();
    for other in ["https://a.example", "https://A.example/", "https://a.example//", "http://a.example/"] {
        assert_eq!(ask(&resource, &sign(&a, &of(other))).await.unwrap_err(), OF_NOBODY, "{other}");
    }
    assert_eq!(ask(&resource, &sign(&b, &of("https://b.example/"))).await.unwrap_err(), OF_NOBODY);
    let mut payload: Value =
        serde_json::from_slice(&jws::unverified_payload(&sign(&a, &of(A))).unwrap()).unwrap();
    payload.as_object_mut().unwrap().remove("iss");
    let without = jws::sign(&a, "at+jwt", payload.to_string().as_bytes()).unwrap();
    assert_eq!(ask(&resource, &without).await.unwrap_err(), Reason::Token(AccessTokenError::IssuerForm));
}

#[tokio::test]
async fn rs_033_somebody_elses_people_and_clients_are_nobody_here() {
    let Three { own, a, resource, .. } = three();
    let ours = ask(&resource, &sign(&own.key, &claims())).await.unwrap();
    let theirs = ask(&resource, &sign(&a, &of(A))).await.unwrap();
    assert_ne!(ours.subject(), theirs.subject());
    assert_ne!(ours.client_id(), theirs.client_id());
    assert_ne!(ours.person(), theirs.person());
    assert!(theirs.person().is_some());
    // A machine there is none that has our names, whatever it calls itself.
    let machine = AccessToken { client_id: "ann".into(), ..of(A) };
    let machine = ask(&resource, &sign(&a, &machine)).await.unwrap();
    assert_eq!((machine.person(), machine.subject()), (None, "https://a.example/ ann"));
    let chain = AccessToken { actors: vec!["client".into(), "agent".into()], ..of(A) };
    let chain = ask(&resource, &sign(&a, &chain)).await.unwrap();
    assert_eq!(chain.actors(), ["https://a.example/ client", "https://a.example/ agent"]);
}

/// A `jti` of somebody else may look like ours: what is revoked here says nothing of it, and no rule about a grant does.
#[tokio::test]
async fn rs_032_our_revocations_are_of_our_tokens() {
    let Three { own, a, resource, .. } = three();
    let caller = ask(&resource, &sign(&a, &of(A))).await.unwrap();
    assert!(caller.grant().is_none());
    assert_eq!(ask(&resource, &sign(&own.key, &claims())).await.unwrap().grant().unwrap().grant, GRANT);
    let until = START.plus(Duration::from_mins(5));
    let revoked = [
        Revoked::Grant(GRANT),
        Revoked::Person { subject: "ann".into(), epoch: 9 },
        Revoked::Client("client".into()),
    ];
    own.revocations.apply(revoked.map(|what| Revocation { what, until }), 1, START);
    assert_eq!(ask(&resource, &sign(&own.key, &claims())).await.unwrap_err(), Reason::Revoked);
    assert!(ask(&resource, &sign(&a, &of(A))).await.is_ok());
}

#[tokio::test]
async fn rs_024_t_70_each_issuer_has_its_own_audiences() {
    let Three { own, a, b, a_keys, .. } = three();
    let called = TrustedIssuer { audiences: vec!["api://files".into()], ..trusting(A, &a_keys) };
    let b_keys = source(&[b.public_jwk().to_json()]);
    let resource = resource(&own, vec![called, trusting(B, &b_keys)]);
    let for_files = |issuer| AccessToken { audience: "api://files".into(), ..of(issuer) };
    assert!(ask(&resource, &sign(&a, &for_files(A))).await.is_ok());
    let wrong = Reason::Token(AccessTokenError::WrongAudience);
    assert_eq!(ask(&resource, &sign(&a, &of(A))).await.unwrap_err(), wrong, "its own name there alone");
    assert_eq!(ask(&resource, &sign(&b, &for_files(B))).await.unwrap_err(), wrong);
    assert_eq!(ask(&resource, &sign(&own.key, &for_files(ISSUER))).await.unwrap_err(), wrong);
}

#[tokio::test]
async fn rs_027_rs_026_nothing_in_a_header_is_a_key_or_leads_to_one() {
    let Three { a, resource, .. } = three();
    let stranger = SigningKey::generate(Algorithm::Es256).unwrap();
    let payload = jws::unverified_payload(&sign(&a, &of(A))).unwrap();
    let signed = |header: Value| {
        let part = |bytes: &[u8]| hallpass_core::encoding::base64url(bytes);
        let text = format!("{}.{}", part(header.to_string().as_bytes()), part(&payload));
        let signature = stranger.sign_bytes(text.as_bytes()).unwrap();
        format!("{text}.{}", part(&signature))
    };
    let brought = stranger.public_jwk().to_json();
    for more in [
        json!({ "jwk": brought }),
        json!({ "jku": "https://evil.example/jwks" }),
        json!({ "x5u": "https://evil.example/chain" }),
        json!({ "x5c": ["AA=="] }),
    ] {
        for kid in [stranger.key_id(), a.key_id()] {
            let mut header = json!({ "alg": "ES256", "typ": "at+jwt", "kid": kid });
            header.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            let reason = ask(&resource, &signed(header)).await.unwrap_err();
            let expected = if kid == a.key_id() { JwsError::Signature } else { JwsError::UnknownKey };
            assert_eq!(reason, Reason::Token(AccessTokenError::Jws(expected)), "{more}");
        }
    }
}

#[tokio::test]
async fn withdrawn_keys_of_one_issuer_take_its_tokens_along_and_nobody_elses() {
    let Three { a, b, a_keys, resource, .. } = three();
    let (of_a, of_b) = (sign(&a, &of(A)), sign(&b, &of(B)));
    assert!(ask(&resource, &of_a).await.is_ok() && ask(&resource, &of_b).await.is_ok());
    a_keys.replace(KeySet::default());
    assert_eq!(ask(&resource, &of_a).await.unwrap_err(), UNKNOWN);
    assert!(ask(&resource, &of_b).await.is_ok());
}

#[tokio::test]
async fn a_resource_may_take_foreign_tokens_alone() {
    let Three { own, a, resource, .. } = three();
    let resource = resource.without_own_tokens();
    for _ in 0..2 {
        assert_eq!(ask(&resource, &own.token()).await.unwrap_err(), OF_NOBODY);
        assert!(ask(&resource, &sign(&a, &of(A))).await.is_ok());
        assert!(ask(&resource, "opaque").await.is_err());
    }
}

#[tokio::test]
async fn rs_034_scopes_of_others_count_by_their_name_here() {
    let Three { own, a, a_keys, .. } = three();
    let names = vec![("files:read".to_owned(), vec!["Files.Read".to_owned()])];
    let trusted =
        TrustedIssuer { scopes: ScopeNames { names, prefix: String::new() }, ..trusting(A, &a_keys) };
    let resource = resource(&own, vec![trusted]);
    let needed = Scope::parse("files:read").unwrap();
    for (granted, enough) in [("Files.Read", true), ("files:read", false), ("openid", false)] {
        let token = AccessToken { scope: Some(granted.into()), ..of(A) };
        let caller = ask(&resource, &sign(&a, &token)).await.unwrap();
        assert_eq!(caller.authorize((), &needed).is_ok(), enough, "{granted}");
    }
}

#[tokio::test]
async fn rs_022_a_foreign_token_lives_until_it_expires() {
    let Three { own, a, resource, .. } = three();
    let token = sign(&a, &of(A));
    assert!(ask(&resource, &token).await.is_ok());
    let clock: &ManualClock = &own.clock;
    clock.set(START.plus(Duration::from_secs(330)));
    assert_eq!(ask(&resource, &token).await.unwrap_err(), Reason::Expired);
}
