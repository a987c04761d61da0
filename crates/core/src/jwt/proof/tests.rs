//! Proofs as they should be, and each rule broken by itself.

use super::*;
use crate::{
    encoding::base64url,
    jose::{Algorithm, JwkError, SigningKey},
};
use serde_json::json;

const URL: &str = "https://as.example/token";
const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

fn header(key: &SigningKey) -> Value {
    let mut jwk = key.public_jwk().to_json();
    for name in ["use", "alg", "kid"] {
        jwk.as_object_mut().unwrap().remove(name);
    }
    json!({"typ": "dpop+jwt", "alg": key.algorithm().name(), "jwk": jwk})
}

fn claims() -> Value {
    json!({"jti": "-BwC3ESc6acc2lTc", "htm": "POST", "htu": URL, "iat": NOW.seconds()})
}

fn compact(key: &SigningKey, header: &Value, claims: &str) -> String {
    let part = |text: &str| base64url(text.as_bytes());
    let signed = format!("{}.{}", part(&header.to_string()), part(claims));
    format!("{signed}.{}", base64url(&key.sign_bytes(signed.as_bytes()).unwrap()))
}

fn judge(compact: &str, access_token: Option<&str>) -> Result<Proof, ProofError> {
    let target = Target::parse(URL).unwrap();
    let expected = Expectations { method: "POST", target: &target, access_token, now: NOW };
    verify(compact, &expected).map(Verified::into_inner)
}

fn changed(name: &str, value: Value) -> Result<Proof, ProofError> {
    let (key, mut claims) = (SigningKey::generate(Algorithm::EdDsa).unwrap(), claims());
    if value.is_null() {
        claims.as_object_mut().unwrap().remove(name);
    } else {
        claims[name] = value;
    }
    judge(&compact(&key, &header(&key), &claims.to_string()), None)
}

#[test]
fn as_190_the_example_of_the_standard_and_its_thumbprint() {
    // RFC 9449 figures 1 and 9.
    let example = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6IkVDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCRnMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JEQSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiItQndDM0VTYzZhY2MybFRjIiwiaHRtIjoiUE9TVCIsImh0dSI6Imh0dHBzOi8vc2VydmVyLmV4YW1wbGUuY29tL3Rva2VuIiwiaWF0IjoxNTYyMjYyNjE2fQ.2-GxA6T8lP4vfrg8v-FdWP0A0zdrj8igiMLvqRMUvwnQg4PtFLbdLXiOSsX0x7NVY-FNyJK70nfbV37xRZT3Lg";
    let target = Target::parse("https://server.example.com/token").unwrap();
    let now = Timestamp::from_seconds(1_562_262_616);
    let expected = Expectations { method: "POST", target: &target, access_token: None, now };
    let proof = verify(example, &expected).unwrap().into_inner();
    assert_eq!(base64url(&proof.thumbprint), "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I");
    assert_eq!((proof.token_id.as_str(), proof.nonce), ("-BwC3ESc6acc2lTc", None));
}

#[test]
fn as_190_as_196_each_algorithm_that_is_listed_and_no_other() {
    for algorithm in Algorithm::ALL {
        let key = SigningKey::generate(algorithm).unwrap();
        let text = compact(&key, &header(&key), &claims().to_string());
        assert!(text.len() < MAX_LENGTH / 2, "{algorithm}: {}", text.len());
        assert_eq!(judge(&text, None).unwrap().thumbprint, key.public_jwk().thumbprint());
        assert!(ALGORITHMS.contains(&algorithm.name()));
        for (name, error) in [
            ("none", JwsError::Unsigned),
            ("HS256", JwsError::SymmetricAlgorithm),
            ("PS256", JwsError::UnknownAlgorithm),
            ("ES384", JwsError::UnknownAlgorithm),
        ] {
            let mut header = header(&key);
            header["alg"] = json!(name);
            assert_eq!(
                judge(&compact(&key, &header, &claims().to_string()), None),
                Err(error.into()),
                "{name}"
            );
        }
    }
    assert!(ALGORITHMS.iter().all(|name| Algorithm::from_name(name).is_some()));
}

#[test]
fn as_190_t_43_the_header_of_a_proof_and_of_nothing_else() {
    let key = SigningKey::generate(Algorithm::Es256).unwrap();
    let with = |change: &dyn Fn(&mut Value)| {
        let mut header = header(&key);
        change(&mut header);
        match judge(&compact(&key, &header, &claims().to_string()), None) {
            Err(ProofError::Jws(error)) => error,
            other => panic!("{other:?}"),
        }
    };
    for typ in ["at+jwt", "JWT", "DPoP+JWT", "application/dpop+jwt", "dpop+jwt ", "oauth-id-jag+jwt", ""] {
        assert_eq!(with(&|header| header["typ"] = json!(typ)), JwsError::WrongType, "{typ}");
    }
    assert_eq!(with(&|header| header["typ"] = json!(1)), JwsError::WrongType);
    let without = |name: &'static str| with(&|header| drop(header.as_object_mut().unwrap().remove(name)));
    assert_eq!(without("typ"), JwsError::NoType);
    assert_eq!(without("alg"), JwsError::NoAlgorithm);
    assert_eq!(without("jwk"), JwsError::NoKey);
    let elsewhere = |header: &mut Value| {
        let jwk = header.as_object_mut().unwrap().remove("jwk").unwrap();
        header["kid"] = json!("k");
        header["jku"] = json!("https://evil.example/jwks");
        header["x5c"] = json!([jwk]);
    };
    assert_eq!(with(&elsewhere), JwsError::NoKey);
    for private in ["d", "k", "p", "dq"] {
        let error = with(&|header| header["jwk"][private] = json!("AA"));
        assert_eq!(error, JwsError::Key(JwkError::PrivateMember), "{private}");
    }
    let symmetric = json!({"kty": "oct", "x": "AA"});
    assert_eq!(with(&|header| header["jwk"] = symmetric.clone()), JwsError::Key(JwkError::Symmetric));
    assert_eq!(with(&|header| header["jwk"] = json!("x")), JwsError::Key(JwkError::NotAnObject));
    let other = SigningKey::generate(Algorithm::Es256).unwrap().public_jwk().to_json();
    assert_eq!(with(&|header| header["jwk"] = other.clone()), JwsError::Signature);
    let other = SigningKey::generate(Algorithm::EdDsa).unwrap().public_jwk().to_json();
    assert_eq!(with(&|header| header["jwk"] = other.clone()), JwsError::AlgorithmMismatch);
    assert_eq!(with(&|header| header["crit"] = json!(["b64"])), JwsError::CriticalExtension);
}

#[test]
fn as_191_t_89_each_claim_has_its_form_and_its_value() {
    use ProofError::*;
    let now = NOW.seconds();
    for (name, value, error) in [
        ("jti", Value::Null, TokenId),
        ("jti", json!(""), TokenId),
        ("jti", json!(7), TokenId),
        ("jti", json!("a".repeat(MAX_TOKEN_ID + 1)), TokenId),
        ("htm", Value::Null, Method),
        ("htm", json!("GET"), Method),
        ("htm", json!("post"), Method),
        ("htm", json!(["POST"]), Method),
        ("htu", Value::Null, Target),
        ("htu", json!(7), Target),
        ("htu", json!([URL]), Target),
        ("htu", json!("https://as.example/"), Target),
        ("htu", json!("https://evil.example/token"), Target),
        ("htu", json!("http://as.example/token"), Target),
        ("iat", Value::Null, IssuedAtForm),
        ("iat", json!("1800000000"), IssuedAtForm),
        ("iat", json!(now - 301), NotNow),
        ("iat", json!(now + 301), NotNow),
        ("iat", json!(i64::MIN), NotNow),
        ("iat", json!(i64::MAX), NotNow),
        ("iat", json!(now * 1000), NotNow),
        ("nonce", json!(7), NonceForm),
        ("nonce", json!("a".repeat(513)), NonceForm),
    ] {
        assert_eq!(changed(name, value.clone()), Err(error), "{name} {value}");
    }
}

#[test]
fn as_191_rs_039_what_is_good_within_the_bounds() {
    let now = NOW.seconds();
    for (name, value) in [
        ("iat", json!(now - 299)),
        ("iat", json!(now + 299)),
        ("iat", json!(now - 10)),
        ("iat", json!(1_800_000_000.5)),
        ("jti", json!("a".repeat(MAX_TOKEN_ID))),
        ("htu", json!("HTTPS://AS.example:443/token")),
        ("htu", json!("https://as.example/%74oken?x=y")),
        ("nbf", json!("whatever")),
        // Of an older draft of the extension: accepted, and nothing rests on it (RS-043).
        ("content_digest", json!("sha-256=:AA==:")),
    ] {
        assert!(changed(name, value.clone()).is_ok(), "{name} {value}");
    }
    assert_eq!(changed("nonce", json!("n")).unwrap().nonce.as_deref(), Some("n"));
    assert_eq!(changed("ath", json!("whatever")).unwrap().nonce, None, "nothing is sent that it could be of");
}

#[test]
fn rs_038_t_89_a_proof_goes_with_one_access_token() {
    let key = SigningKey::generate(Algorithm::Es256).unwrap();
    let with = |ath: Value| {
        let mut claims = claims();
        claims["ath"] = ath;
        judge(&compact(&key, &header(&key), &claims.to_string()), Some("a-token"))
    };
    // printf a-token | openssl dgst -sha256 -binary | basenc --base64url
    assert!(with(json!("H2B246R7od7QgCX_4G5XryF8FPlAfzP7pQ-ZsccBk4c")).is_ok());
    for bad in [
        json!(base64url(&digest32("another-token"))),
        json!("a-token"),
        json!("H2B246R7od7QgCX_4G5XryF8FPlAfzP7pQ-ZsccBk4c="),
        json!("H2B246R7od7QgCX_4G5XryF8FPlAfzP7pQ-ZsccBk4"),
        json!(""),
        json!(1),
        Value::Null,
    ] {
        assert_eq!(with(bad.clone()), Err(ProofError::TokenHash), "{bad}");
    }
}

#[test]
fn as_189_rs_041_one_compact_proof_or_none() {
    let key = SigningKey::generate(Algorithm::Es256).unwrap();
    let good = compact(&key, &header(&key), &claims().to_string());
    let in_headers = |values: &[&[u8]]| in_headers(values.iter().copied()).map(|one| one.map(str::to_owned));
    assert_eq!(in_headers(&[]), Ok(None));
    assert_eq!(in_headers(&[good.as_bytes()]), Ok(Some(good.clone())));
    assert_eq!(in_headers(&[good.as_bytes(), good.as_bytes()]), Err(ProofError::Several));
    assert_eq!(in_headers(&[b"\xff"]), Err(ProofError::Form));
    assert_eq!(in_headers(&[&[b'a'; MAX_LENGTH + 1]]), Err(ProofError::Form));
    assert_eq!(judge(&"a".repeat(MAX_LENGTH + 1), None), Err(ProofError::Form));
    let json_form = json!({"payload": "e30", "signatures": []}).to_string();
    for bad in [
        format!("{good},{good}"),
        format!("{good}, {good}"),
        format!(" {good}"),
        format!("{good}."),
        good.rsplit_once('.').unwrap().0.to_owned(),
        format!("{}.", good.rsplit_once('.').unwrap().0),
        json_form,
        String::new(),
    ] {
        assert!(matches!(judge(&bad, None), Err(ProofError::Jws(_))), "{bad}");
    }
    for bad in ["[]", "\"x\"", "{} {}", "{\"jti\":\"a\",\"jti\":\"b\"}"] {
        let error = judge(&compact(&key, &header(&key), bad), None);
        assert!(matches!(error, Err(ProofError::ClaimsJson(_))), "{bad}");
    }
}
