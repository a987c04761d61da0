//! Answers of honest and of hostile providers.

use super::*;
use crate::{
    encoding,
    jose::{Algorithm, SigningKey},
};
use serde_json::json;

const NOW: Timestamp = Timestamp::from_seconds(1_790_000_000);
const EXPECTED: Expectations<'_> =
    Expectations { issuer: "https://idp.example", client_id: "us", nonce: "n-0S6_WzA2Mj", now: NOW };

fn good() -> Value {
    let now = NOW.seconds();
    json!({
        "iss": "https://idp.example", "sub": "248289761001", "aud": "us", "nonce": "n-0S6_WzA2Mj",
        "exp": now + 600, "iat": now, "auth_time": now - 5,
    })
}

fn key() -> SigningKey {
    SigningKey::generate(Algorithm::Es256).unwrap()
}

fn judge(change: impl FnOnce(&mut Value)) -> Result<IdToken, IdTokenError> {
    let (key, mut claims) = (key(), good());
    change(&mut claims);
    let text = jws::sign(&key, "JWT", claims.to_string().as_bytes()).unwrap();
    verify(&text, &KeySet::from_keys(vec![key.verifying_key()]), &EXPECTED).map(Verified::into_inner)
}

#[test]
fn as_213_what_an_honest_provider_says() {
    let said = judge(|_| {}).unwrap();
    assert_eq!(said.subject, "248289761001");
    assert_eq!(said.authenticated_at, Some(NOW.minus(Duration::from_secs(5))));
    for change in
        [json!({"aud": ["us"]}), json!({"azp": "us"}), json!({"auth_time": null}), json!({"hd": "a.example"})]
    {
        let (name, value) = change.as_object().unwrap().iter().next().unwrap();
        assert!(judge(|claims| claims[name] = value.clone()).is_ok(), "{change}");
    }
}

#[test]
fn as_213_as_215_t_09_what_answers_another_question_or_another_client_is_refused() {
    let now = NOW.seconds();
    let long = "x".repeat(256);
    for (name, value, error) in [
        ("iss", json!("https://idp.example/"), IdTokenError::Issuer),
        ("iss", json!("https://evil.example"), IdTokenError::Issuer),
        ("iss", json!(null), IdTokenError::Issuer),
        ("iss", json!(["https://idp.example"]), IdTokenError::Issuer),
        ("aud", json!("others"), IdTokenError::Audience),
        ("aud", json!(["us", "others"]), IdTokenError::Audience),
        ("aud", json!([]), IdTokenError::Audience),
        ("aud", json!(null), IdTokenError::Audience),
        ("azp", json!("others"), IdTokenError::AuthorizedParty),
        ("azp", json!(1), IdTokenError::AuthorizedParty),
        ("sub", json!(""), IdTokenError::Subject),
        ("sub", json!(7), IdTokenError::Subject),
        ("sub", json!("a\u{0}b"), IdTokenError::Subject),
        ("sub", json!(long), IdTokenError::Subject),
        ("exp", json!(now - 31), IdTokenError::Expired),
        ("exp", json!(null), IdTokenError::ExpiryForm),
        ("exp", json!("soon"), IdTokenError::ExpiryForm),
        ("exp", json!(now + 90_000), IdTokenError::TooLong),
        ("iat", json!(now + 60), IdTokenError::NotYetValid),
        ("nbf", json!(now + 60), IdTokenError::NotYetValid),
        ("nonce", json!("n-0S6_WzA2Mk"), IdTokenError::Nonce),
        ("nonce", json!(""), IdTokenError::Nonce),
        ("nonce", json!(null), IdTokenError::Nonce),
        ("nonce", json!(["n-0S6_WzA2Mj"]), IdTokenError::Nonce),
        ("auth_time", json!("now"), IdTokenError::AuthenticationTime),
    ] {
        assert_eq!(judge(|claims| claims[name] = value.clone()).unwrap_err(), error, "{name} {value}");
    }
    for (name, error) in [
        ("iss", IdTokenError::Issuer),
        ("aud", IdTokenError::Audience),
        ("sub", IdTokenError::Subject),
        ("exp", IdTokenError::ExpiryForm),
        ("iat", IdTokenError::IssuedAtMissing),
        ("nonce", IdTokenError::Nonce),
    ] {
        let without = judge(|claims| drop(claims.as_object_mut().unwrap().remove(name)));
        assert_eq!(without.unwrap_err(), error, "{name}");
    }
}

#[test]
fn as_213_rs_026_only_the_providers_own_key_with_its_own_algorithm() {
    let (ours, theirs) = (key(), key());
    let keys = KeySet::from_keys(vec![ours.verifying_key()]);
    let body = good().to_string();
    let refused = |text: &str| verify(text, &keys, &EXPECTED).map(Verified::into_inner).unwrap_err();
    let signed = |key: &SigningKey, typ: &str| jws::sign(key, typ, body.as_bytes()).unwrap();
    assert_eq!(refused(&signed(&theirs, "JWT")), IdTokenError::Jws(JwsError::UnknownKey));
    for typ in ["at+jwt", "logout+jwt", "oauth-id-jag+jwt"] {
        assert_eq!(refused(&signed(&ours, typ)), IdTokenError::Jws(JwsError::WrongType), "{typ}");
    }
    let payload = encoding::base64url(body.as_bytes());
    let unsigned = |header: Value, signature: &str| {
        format!("{}.{payload}.{signature}", encoding::base64url(header.to_string().as_bytes()))
    };
    let kid = ours.key_id();
    assert_eq!(refused(&unsigned(json!({"alg": "none"}), "")), IdTokenError::Jws(JwsError::Unsigned));
    let shared = unsigned(json!({"alg": "HS256", "kid": kid}), "AAAA");
    assert_eq!(refused(&shared), IdTokenError::Jws(JwsError::SymmetricAlgorithm));
    let other = unsigned(json!({"alg": "RS256", "kid": kid}), "AAAA");
    assert_eq!(refused(&other), IdTokenError::Jws(JwsError::AlgorithmMismatch));
    let good = signed(&ours, "JWT");
    let mut parts: Vec<&str> = good.split('.').collect();
    let other = encoding::base64url(body.replace("248289761001", "1").as_bytes());
    parts[1] = &other;
    assert_eq!(refused(&parts.join(".")), IdTokenError::Jws(JwsError::Signature));
}
