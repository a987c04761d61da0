//! Ten thousand tokens, judged by us and by jsonwebtoken, an unrelated reading of the same standards. npm's jose judges the
//! same ones in `tests/e2e/tokens.test.mjs`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use hallpass_core::time::{Clock, SystemClock};
use hallpass_fuzz::tokens::{AUDIENCE, COUNT, Case, ISSUER, LEEWAY, SEED, generate, keys::Keys};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, jwk::JwkSet};
use serde_json::Value;
use std::collections::BTreeMap;

/// What we refuse and the other library takes, with how many of the tokens are like that.
const STRICTER: [(&str, usize); 20] = [
    // RFC 7515 §4: it reads the last of two members with one name, others the first.
    ("Jws(HeaderJson(DuplicateMember))", 67),
    ("ClaimsJson(DuplicateMember)", 79),
    // RFC 7515 §4.1.11, RFC 7797, RFC 7516 §4.1.3: it passes over what it does not understand.
    ("Jws(CriticalExtension)", 48),
    ("Jws(UnencodedPayload)", 38),
    ("Jws(Compressed)", 15),
    // RFC 8725 §3.11: it leaves the type to its caller.
    ("Jws(NoType)", 59),
    ("Jws(WrongType)", 472),
    // `null` is no key id, and not the same as none.
    ("Jws(KeyIdForm)", 9),
    // RFC 9068 §2.2: claims of access tokens, which it does not know.
    ("ClientIdForm", 141),
    ("TokenIdForm", 133),
    ("ScopeForm", 105),
    ("SubjectForm", 26),
    // RFC 7519 §4.1.1: `iss` is one string, it takes an array.
    ("IssuerForm", 34),
    // RFC 7519 §4.1.6: it does not read `iat`.
    ("IssuedAtForm", 39),
    ("IssuedInTheFuture", 34),
    // Numbers that are no second of any calendar.
    ("ExpiryForm", 7),
    // RFC 7800 §3.1, RFC 8693 §4.1: bindings and chains that we cannot check are not passed over.
    ("ConfirmationForm", 92),
    ("ConfirmationUnsupported", 54),
    ("ActorForm", 114),
    // Sixteen levels are enough for any claim.
    ("ClaimsJson(TooDeep)", 54),
];
/// What the other library refuses and we take, by what was done to the token.
const WIDER: [(&str, usize); 1] = [
    // RFC 9864 §2.2: the newer name of the same algorithm.
    (r#"alg "Ed25519""#, 14),
];

/// As a program uses it: the key by its id, or the only one for the algorithm; the algorithm is that of the key.
fn accepts(text: &str, keys: &JwkSet) -> bool {
    let Ok(header) = jsonwebtoken::decode_header(text) else { return false };
    let for_algorithm = |algorithm: Algorithm| {
        let mut fitting = keys.keys.iter().filter(move |key| {
            key.common
                .key_algorithm
                .is_some_and(|name| name.to_string().parse::<Algorithm>().is_ok_and(|it| it == algorithm))
        });
        let first = fitting.next();
        if fitting.next().is_none() { first } else { None }
    };
    let key = match &header.kid {
        Some(kid) => keys.find(kid),
        None => for_algorithm(header.alg),
    };
    let Some(key) = key else { return false };
    let algorithm = key.common.key_algorithm.unwrap().to_string().parse().unwrap();
    let mut validation = Validation::new(algorithm);
    validation.set_audience(&[AUDIENCE]);
    validation.set_issuer(&[ISSUER]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    validation.leeway = LEEWAY.as_secs();
    validation.validate_nbf = true;
    jsonwebtoken::decode::<Value>(text, &DecodingKey::from_jwk(key).unwrap(), &validation).is_ok()
}

fn counted(table: &[(&str, usize)]) -> BTreeMap<String, usize> {
    table.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect()
}

#[test]
fn t_40_t_42_t_47_t_48_rs_029_ten_thousand_tokens_get_the_same_verdict() {
    let (keys, now) = (Keys::generate(), SystemClock.now());
    let published: JwkSet = serde_json::from_value(keys.published()).unwrap();
    let cases = generate(SEED, &keys, now);
    assert_eq!(cases.len(), COUNT);
    let (mut stricter, mut wider) = (BTreeMap::new(), BTreeMap::new());
    let (mut accepted, mut refused, mut exact) = (0, 0, 0);
    for case in &cases {
        let Case { what, text, .. } = case;
        let ours = case.ours(&keys, now);
        let theirs = accepts(text, &published);
        match (ours, theirs) {
            _ if case.exact => exact += 1,
            (Ok(()), true) => accepted += 1,
            (Err(_), false) => refused += 1,
            (Err(error), true) => *stricter.entry(format!("{error:?}")).or_insert(0_usize) += 1,
            (Ok(()), false) => {
                let done = what.split(", ").next().unwrap_or_default().to_owned();
                *wider.entry(done).or_insert(0_usize) += 1;
            }
        }
    }
    let seed = format!(
        "seed {SEED}: {accepted} accepted by both, {refused} refused by both, {exact} hang on the second"
    );
    assert_eq!(stricter, counted(&STRICTER), "we refuse, they accept; {seed}");
    assert_eq!(wider, counted(&WIDER), "they refuse, we accept; {seed}");
}
