//! Assertions as they should be, and each rule broken by itself.

use super::*;
use crate::{
    encoding::base64url,
    jose::{Algorithm, SigningKey},
};
use serde_json::json;

const CLIENT: &str = "https://client.example/id.json";
const ISSUER: &str = "https://as.example";
const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

fn now() -> i64 {
    NOW.seconds()
}

fn good() -> Value {
    json!({"iss": CLIENT, "sub": CLIENT, "aud": ISSUER, "jti": "a", "iat": now(), "exp": now() + 60})
}

fn compact(key: &SigningKey, header: &Value, claims: &Value) -> String {
    let part = |value: &Value| base64url(value.to_string().as_bytes());
    let signed = format!("{}.{}", part(header), part(claims));
    format!("{signed}.{}", base64url(&key.sign_bytes(signed.as_bytes()).unwrap()))
}

fn check(key: &SigningKey, header: &Value, claims: &Value) -> Result<ClientAssertion, ClientAssertionError> {
    let keys = KeySet::from_keys(vec![key.verifying_key()]);
    let expected = Expectations { client_id: CLIENT, audiences: &[ISSUER], now: NOW };
    verify(&compact(key, header, claims), &keys, &expected).map(Verified::into_inner)
}

fn changed(name: &str, value: Value) -> Result<ClientAssertion, ClientAssertionError> {
    let key = SigningKey::generate(Algorithm::EdDsa).unwrap();
    let mut claims = good();
    if value.is_null() {
        claims.as_object_mut().unwrap().remove(name);
    } else {
        claims[name] = value;
    }
    check(&key, &json!({"alg": "EdDSA"}), &claims)
}

#[test]
fn as_128_as_027_an_assertion_of_each_algorithm() {
    for (algorithm, name) in
        [(Algorithm::Rs256, "RS256"), (Algorithm::Es256, "ES256"), (Algorithm::EdDsa, "EdDSA")]
    {
        let key = SigningKey::generate(algorithm).unwrap();
        let header = json!({"alg": name, "kid": key.key_id(), "typ": "JWT"});
        let read = check(&key, &header, &good()).unwrap();
        assert_eq!(read.token_id, "a");
        assert_eq!(read.remember_until, NOW.plus(Duration::from_secs(90)));
        for other in ["none", "HS256", "RS512", "PS256"] {
            let header = json!({"alg": other, "kid": key.key_id()});
            assert!(matches!(check(&key, &header, &good()), Err(ClientAssertionError::Jws(_))), "{other}");
        }
    }
}

#[test]
fn as_128_t_26_each_claim_has_one_good_value() {
    use ClientAssertionError::*;
    for (name, value, error) in [
        ("iss", json!("https://client.example/ID.json"), Issuer),
        ("iss", Value::Null, Issuer),
        ("sub", json!("somebody"), Subject),
        ("sub", Value::Null, Subject),
        ("aud", json!("https://as.example/token"), Audience),
        ("aud", json!("https://as.example/"), Audience),
        ("aud", json!("https://other.example"), Audience),
        ("aud", json!([ISSUER, "https://other.example"]), Audience),
        ("aud", json!([ISSUER, ISSUER]), Audience),
        ("aud", json!([]), Audience),
        ("aud", Value::Null, Audience),
        ("exp", Value::Null, ExpiryForm),
        ("exp", json!("1800000060"), ExpiryForm),
        ("exp", json!(now() - 300), Expired),
        ("exp", json!(now() - 30), Expired),
        ("exp", json!(now() + 631), TooLong),
        ("nbf", json!(now() + 60), NotYetValid),
        ("iat", json!(now() + 60), NotYetValid),
        ("iat", json!("now"), NotYetValid),
        ("jti", Value::Null, TokenId),
        ("jti", json!(""), TokenId),
        ("jti", json!(7), TokenId),
        ("jti", json!("x".repeat(256)), TokenId),
    ] {
        assert_eq!(changed(name, value.clone()), Err(error), "{name} {value}");
    }
    for (name, value) in [
        ("aud", json!([ISSUER])),
        ("exp", json!(now() - 29)),
        ("exp", json!(now() + 630)),
        ("exp", json!(1_800_000_060.5)),
        ("nbf", json!(now() + 8)),
        ("iat", Value::Null),
        ("jti", json!("x".repeat(255))),
        ("more", json!({"a": []})),
    ] {
        assert!(changed(name, value.clone()).is_ok(), "{name} {value}");
    }
}

#[test]
fn as_129_tokens_of_other_kinds_are_no_assertions() {
    let key = SigningKey::generate(Algorithm::EdDsa).unwrap();
    for (typ, taken) in [
        ("JWT", true),
        ("jwt", true),
        ("client-authentication+jwt", true),
        ("application/client-authentication+jwt", true),
        ("at+jwt", false),
        ("dpop+jwt", false),
        ("oauth-id-jag+jwt", false),
        ("logout+jwt", false),
        ("", false),
    ] {
        assert_eq!(check(&key, &json!({"alg": "EdDSA", "typ": typ}), &good()).is_ok(), taken, "{typ}");
    }
}

#[test]
fn as_128_only_the_clients_own_keys_verify() {
    let (key, other) =
        (SigningKey::generate(Algorithm::EdDsa).unwrap(), SigningKey::generate(Algorithm::EdDsa).unwrap());
    let text = compact(&key, &json!({"alg": "EdDSA", "jwk": key.public_jwk().to_json()}), &good());
    let expected = Expectations { client_id: CLIENT, audiences: &[ISSUER], now: NOW };
    let keys = KeySet::from_keys(vec![other.verifying_key()]);
    assert_eq!(verify(&text, &keys, &expected), Err(ClientAssertionError::Jws(JwsError::Signature)));
    assert_eq!(unverified_subject(&text).as_deref(), Some(CLIENT));
    assert_eq!(unverified_subject("a.b.c"), None);
}
