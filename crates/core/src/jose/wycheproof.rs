//! Our verification against the vectors of Wycheproof: the signatures that libraries took for good ones, and should not have.

use super::{Algorithm, ExpectedType, Jwk, KeySet, jws};
use crate::{
    encoding,
    json::{self, Limits},
};
use serde_json::Value;

const P256: &str = include_str!("../../tests/wycheproof/ecdsa-p256.json");
const ED25519: &str = include_str!("../../tests/wycheproof/ed25519.json");
const RSA_2048: &str = include_str!("../../tests/wycheproof/rsa-2048.json");
const RSA_LARGER: &str = include_str!("../../tests/wycheproof/rsa-larger.json");
const JWS: &str = include_str!("../../tests/wycheproof/jws.json");
const JWK: &str = include_str!("../../tests/wycheproof/jwk.json");

/// The vectors' own words.
const VALID: &str = "valid";

fn groups(text: &str) -> Vec<(Value, Vec<Vec<Value>>)> {
    let limits = Limits { bytes: text.len(), depth: 8 };
    let groups = json::parse_value(text.as_bytes(), limits).unwrap();
    let list = |value: &Value| value.as_array().unwrap().clone();
    list(&groups)
        .iter()
        .map(|group| (group["key"].clone(), list(&group["tests"]).iter().map(list).collect()))
        .collect()
}

/// Verifies each signature; answers how many are valid and how many are not. What is only "acceptable" is not accepted.
fn signatures(text: &str, algorithm: Algorithm) -> (usize, usize) {
    let (mut good, mut bad) = (0, 0);
    for (key, tests) in groups(text) {
        let key = Jwk::parse(&key).unwrap_or_else(|error| panic!("{error}: {key}")).verifying_key();
        assert_eq!(key.algorithm(), algorithm);
        let by = |test: &[Value], at: usize| encoding::from_base64url(test[at].as_str().unwrap()).unwrap();
        for test in &tests {
            let valid = test[3] == VALID;
            assert_eq!(key.verifies(&by(test, 1), &by(test, 2)), valid, "{algorithm} {}", test[0]);
            if valid { good += 1 } else { bad += 1 }
        }
        // Once more, now by its table, where there is one good signature to make it with.
        if let Some(first) = tests.iter().find(|test| test[3] == VALID) {
            key.prepare(&by(first, 1), &by(first, 2));
            assert_eq!(key.is_prepared(), algorithm == Algorithm::Es256);
            for test in &tests {
                assert_eq!(
                    key.verifies(&by(test, 1), &by(test, 2)),
                    test[3] == VALID,
                    "{algorithm} {}",
                    test[0]
                );
            }
        }
    }
    (good, bad)
}

#[test]
fn rs_030_t_46_wycheproof_signatures() {
    assert_eq!(signatures(P256, Algorithm::Es256), (173, 89));
    assert_eq!(signatures(ED25519, Algorithm::EdDsa), (88, 63));
    assert_eq!(signatures(RSA_2048, Algorithm::Rs256), (9, 250));
    assert_eq!(signatures(RSA_LARGER, Algorithm::Rs256), (8, 67));
}

/// A valid vector that we refuse, by what its key or set is for.
fn not_ours(key: &Value) -> Option<&'static str> {
    let keys = key.get("keys").and_then(Value::as_array).map_or(std::slice::from_ref(key), Vec::as_slice);
    let all = |name: &str, of: &[&str]| keys.iter().all(|key| of.iter().any(|one| key[name] == **one));
    if all("kty", &["oct"]) {
        Some("a shared secret")
    } else if all("alg", &["RS384", "RS512", "PS256", "PS384", "PS512", "ES521"]) {
        Some("an algorithm that nobody needs here")
    } else {
        None
    }
}

/// Compares each verdict; answers how many valid ones are accepted, how many are refused as not ours, and how many are invalid.
fn tokens(text: &str) -> [usize; 3] {
    let mut counts = [0; 3];
    let typ = ExpectedType::only("JWT").or_absent();
    for (key, tests) in groups(text) {
        let set = if key.get("keys").is_some() { key.clone() } else { serde_json::json!({ "keys": [key] }) };
        let set = KeySet::parse(set.to_string().as_bytes());
        for test in tests {
            let compact = test[2].as_str().unwrap();
            let accepted = set.as_ref().is_ok_and(|set| jws::verify(compact, &typ, set).is_ok());
            let valid = test[3] == VALID;
            let expected = valid && not_ours(&key).is_none();
            assert_eq!(accepted, expected, "{} {}: {key}", test[0], test[1]);
            let at = match (accepted, valid) {
                (true, _) => 0,
                (false, true) => 1,
                (false, false) => 2,
            };
            counts[at] += 1;
        }
    }
    counts
}

#[test]
fn rs_026_rs_030_t_40_t_42_t_46_wycheproof_tokens() {
    assert_eq!(tokens(JWS), [10, 36, 355]);
}

#[test]
fn rs_030_t_46_wycheproof_keys() {
    assert_eq!(tokens(JWK), [1, 4, 21]);
}
