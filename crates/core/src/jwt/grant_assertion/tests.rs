//! Assertions as they should be, and each rule broken by itself.

use super::*;
use crate::{
    encoding::base64url,
    jose::{Algorithm, SigningKey},
};
use serde_json::json;

const PLATFORM: &str = "https://platform.example";
const ISSUER: &str = "https://as.example";
const ENDPOINT: &str = "https://as.example/token";
const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

fn good() -> Value {
    let now = NOW.seconds();
    json!({"iss": PLATFORM, "sub": "system:serviceaccount:ci:deploy", "aud": [ISSUER], "jti": "a", "iat": now, "nbf": now, "exp": now + 3600})
}

fn compact(key: &SigningKey, header: &Value, claims: &Value) -> String {
    let part = |value: &Value| base64url(value.to_string().as_bytes());
    let signed = format!("{}.{}", part(header), part(claims));
    format!("{signed}.{}", base64url(&key.sign_bytes(signed.as_bytes()).unwrap()))
}

fn check(
    key: &SigningKey,
    header: &Value,
    claims: &Value,
    kind: Kind,
) -> Result<GrantAssertion, GrantAssertionError> {
    let keys = KeySet::from_keys(vec![key.verifying_key()]);
    let audiences = [ISSUER, ENDPOINT];
    let expected = Expectations { kind, issuer: PLATFORM, audiences: &audiences, now: NOW };
    verify(&compact(key, header, claims), &keys, &expected).map(Verified::into_inner)
}

fn changed(name: &str, value: Value) -> Result<GrantAssertion, GrantAssertionError> {
    let key = SigningKey::generate(Algorithm::EdDsa).unwrap();
    let mut claims = good();
    if value.is_null() {
        claims.as_object_mut().unwrap().remove(name);
    } else {
        claims[name] = value;
    }
    check(&key, &json!({"alg": "EdDSA"}), &claims, Kind::Workload)
}

#[test]
fn as_156_as_175_a_platforms_token_of_each_algorithm() {
    for (algorithm, name) in
        [(Algorithm::Rs256, "RS256"), (Algorithm::Es256, "ES256"), (Algorithm::EdDsa, "EdDSA")]
    {
        let key = SigningKey::generate(algorithm).unwrap();
        // Kubernetes names no type.
        for header in [json!({"alg": name, "kid": key.key_id()}), json!({"alg": name, "typ": "JWT"})] {
            let read = check(&key, &header, &good(), Kind::Workload).unwrap();
            assert_eq!((read.issuer.as_str(), read.token_id.as_str()), (PLATFORM, "a"));
            assert_eq!(read.remember_until, NOW.plus(Duration::from_secs(3630)));
        }
        for other in ["none", "HS256", "RS512", "PS256"] {
            let header = json!({"alg": other, "kid": key.key_id()});
            let refused = check(&key, &header, &good(), Kind::Workload);
            assert!(matches!(refused, Err(GrantAssertionError::Jws(_))), "t_40 {other}");
        }
    }
}

#[test]
fn as_156_as_175_t_48_each_claim_has_to_be_there_and_right() {
    use GrantAssertionError::*;
    let now = NOW.seconds();
    for (name, value, outcome) in [
        ("iss", json!(null), Err(Issuer)),
        ("iss", json!("https://platform.example/"), Err(Issuer)),
        ("iss", json!("https://PLATFORM.example"), Err(Issuer)),
        ("iss", json!([PLATFORM]), Err(Issuer)),
        ("sub", json!(null), Err(Subject)),
        ("sub", json!(""), Err(Subject)),
        ("sub", json!(7), Err(Subject)),
        ("sub", json!("x".repeat(2049)), Err(Subject)),
        ("aud", json!(null), Err(Audience)),
        ("aud", json!([]), Err(Audience)),
        ("aud", json!([ISSUER, "https://other.example"]), Err(Audience)),
        ("aud", json!([ISSUER, ISSUER]), Err(Audience)),
        ("aud", json!("https://as.example/"), Err(Audience)),
        ("aud", json!("https://as.example.evil.example"), Err(Audience)),
        ("aud", json!({"a": ISSUER}), Err(Audience)),
        ("exp", json!(null), Err(ExpiryForm)),
        ("exp", json!((now + 60).to_string()), Err(ExpiryForm)),
        ("exp", json!(now - 31), Err(Expired)),
        ("exp", json!(now + 86_400 + 31), Err(TooLong)),
        ("iat", json!(null), Err(IssuedAtMissing)),
        ("iat", json!(now + 61), Err(NotYetValid)),
        ("iat", json!("now"), Err(NotYetValid)),
        ("nbf", json!(now + 61), Err(NotYetValid)),
        ("jti", json!(null), Err(TokenId)),
        ("jti", json!(""), Err(TokenId)),
        ("jti", json!(1), Err(TokenId)),
        ("jti", json!("x".repeat(256)), Err(TokenId)),
        ("aud", json!(ENDPOINT), Ok(())),
        ("aud", json!(ISSUER), Ok(())),
        ("exp", json!(now - 29), Ok(())),
        ("iat", json!(now + 29), Ok(())),
        ("nbf", json!(null), Ok(())),
    ] {
        assert_eq!(changed(name, value.clone()).map(|_| ()), outcome, "{name} {value}");
    }
}

#[test]
fn t_43_as_181_tokens_of_other_kinds_are_no_platforms_tokens() {
    let key = SigningKey::generate(Algorithm::Es256).unwrap();
    for typ in [
        "at+jwt",
        "application/at+jwt",
        "dpop+jwt",
        "oauth-id-jag+jwt",
        "client-authentication+jwt",
        "logout+jwt",
        "secevent+jwt",
        "",
    ] {
        let header = json!({"alg": "ES256", "typ": typ});
        let refused = check(&key, &header, &good(), Kind::Workload);
        assert_eq!(refused, Err(GrantAssertionError::Jws(JwsError::WrongType)), "{typ}");
    }
}

#[test]
fn t_41_t_42_keys_come_from_the_operator_and_not_from_the_header() {
    let (ours, theirs) =
        (SigningKey::generate(Algorithm::Es256).unwrap(), SigningKey::generate(Algorithm::Es256).unwrap());
    let keys = KeySet::from_keys(vec![ours.verifying_key()]);
    let expected = Expectations { kind: Kind::Workload, issuer: PLATFORM, audiences: &[ISSUER], now: NOW };
    for more in [
        json!({}),
        json!({"jwk": theirs.public_jwk().to_json()}),
        json!({"jku": "https://evil.example/jwks"}),
        json!({"x5u": "https://evil.example/cert"}),
        json!({"kid": ours.key_id()}),
        json!({"crit": ["b64"]}),
    ] {
        let mut header = json!({"alg": "ES256"});
        header.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let refused = verify(&compact(&theirs, &header, &good()), &keys, &expected);
        assert!(matches!(refused, Err(GrantAssertionError::Jws(_))), "{header}");
    }
}

#[test]
fn as_155_t_47_what_is_no_signed_token_is_refused_before_anything_is_decoded() {
    let key = SigningKey::generate(Algorithm::Es256).unwrap();
    let keys = KeySet::from_keys(vec![key.verifying_key()]);
    let expected = Expectations { kind: Kind::Workload, issuer: PLATFORM, audiences: &[ISSUER], now: NOW };
    let whole = compact(&key, &json!({"alg": "ES256"}), &good());
    let two = whole.rsplit_once('.').unwrap().0.to_owned();
    let jwe = format!("{whole}.a.b");
    let long = format!("{whole}{}", "A".repeat(jws::MAX_LENGTH));
    for bad in ["", "x", "a.b.c", two.as_str(), jwe.as_str(), long.as_str()] {
        assert!(verify(bad, &keys, &expected).is_err());
    }
    assert!(verify(&whole, &keys, &expected).is_ok());
    assert_eq!(unverified_issuer(&whole).as_deref(), Some(PLATFORM));
    assert_eq!(unverified_issuer(&long), None);
}

#[test]
fn as_163_t_43_an_identity_assertion_says_what_it_is() {
    let key = SigningKey::generate(Algorithm::Es256).unwrap();
    let with = |header: Value| check(&key, &header, &good(), Kind::Identity).map(|_| ());
    for typ in ["oauth-id-jag+jwt", "application/oauth-id-jag+jwt", "OAuth-ID-JAG+jwt"] {
        assert_eq!(with(json!({"alg": "ES256", "typ": typ})), Ok(()), "{typ}");
    }
    for typ in ["JWT", "at+jwt", "id_token+jwt", "oauth-id-jag", "text/oauth-id-jag+jwt", "dpop+jwt", ""] {
        let refused = with(json!({"alg": "ES256", "typ": typ}));
        assert_eq!(refused, Err(GrantAssertionError::Jws(JwsError::WrongType)), "{typ}");
    }
    assert_eq!(with(json!({"alg": "ES256"})), Err(GrantAssertionError::Jws(JwsError::NoType)));
}
