//! Compact JWS: the RFCs' vectors, the corpus of algorithm confusion, and what no byte may change.

use super::*;
use crate::jose::{Jwk, key::VerifyingKey};
use aws_lc_rs::{hmac, signature::KeyPair as _};
use proptest::prelude::*;
use std::sync::OnceLock;

const TYPE: &str = "test+jwt";
/// The payload of RFC 7515 appendices A.2 and A.3.
const RFC_PAYLOAD: &str =
    "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ";

fn keys() -> &'static [SigningKey; 3] {
    static KEYS: OnceLock<[SigningKey; 3]> = OnceLock::new();
    KEYS.get_or_init(|| {
        [Algorithm::Es256, Algorithm::EdDsa, Algorithm::Rs256].map(|each| SigningKey::generate(each).unwrap())
    })
}

fn es256() -> &'static SigningKey {
    &keys()[0]
}

fn set() -> KeySet {
    KeySet::from_keys(keys().iter().map(SigningKey::verifying_key).collect())
}

fn only(key: &Value) -> KeySet {
    KeySet::from_keys(vec![Jwk::parse(key).unwrap().verifying_key()])
}

/// A token with any header, signed rightly.
fn signed_by(key: &SigningKey, header: &str) -> String {
    let signed = format!("{}.{}", encoding::base64url(header.as_bytes()), encoding::base64url(b"{}"));
    let signature = key.sign_bytes(signed.as_bytes()).unwrap();
    format!("{signed}.{}", encoding::base64url(&signature))
}

fn with_header(header: &Value) -> String {
    signed_by(es256(), &header.to_string())
}

/// The header that is right for the ES256 key, with one member more or changed.
fn header_with(name: &str, value: Value) -> Value {
    let mut header = json!({ "alg": "ES256", "typ": TYPE, "kid": es256().key_id() });
    header[name] = value;
    header
}

fn check(text: &str) -> Result<Verified<Vec<u8>>, JwsError> {
    verify(text, &ExpectedType::only(TYPE), &set())
}

#[test]
fn vectors_of_rfc_7515_a_2_and_a_3_and_rfc_8037_a_4() {
    let rs256 = only(&json!({"kty": "RSA", "e": "AQAB",
        "n": "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SF\
              d2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo\
              7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkM\
              Ls91kzk2PAcDTW9gb54h4FRWyuXpoQ"}));
    let es256 =
        only(&json!({"kty": "EC", "crv": "P-256", "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
        "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}));
    let eddsa =
        only(&json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}));
    let claims = "{\"iss\":\"joe\",\r\n \"exp\":1300819380,\r\n \"http://example.com/is_root\":true}";
    for (keys, header, payload, signature, expected) in [
        (
            &rs256,
            "eyJhbGciOiJSUzI1NiJ9",
            RFC_PAYLOAD,
            "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5jujGbds9uJdb\
             F9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L07Qe7K0GarZRmB_eSN9383\
             LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUipUTI8np6LbgGY9Fs98rqVt5AXLIhWkWy\
             wlVmtVrBp0igcN_IoypGlUPQGe77Rw",
            claims,
        ),
        (
            &es256,
            "eyJhbGciOiJFUzI1NiJ9",
            RFC_PAYLOAD,
            "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q",
            claims,
        ),
        (
            &eddsa,
            "eyJhbGciOiJFZERTQSJ9",
            "RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc",
            "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
            "Example of Ed25519 signing",
        ),
    ] {
        let text = format!("{header}.{payload}.{signature}");
        let any = ExpectedType::only("JWT").or_absent();
        assert_eq!(verify(&text, &any, keys).unwrap().get(), expected.as_bytes());
        assert_eq!(verify(&text, &ExpectedType::only("JWT"), keys), Err(JwsError::NoType));
    }
}

#[test]
fn rs_026_b_33_the_algorithm_comes_from_the_key() {
    for (name, expected) in [
        ("none", JwsError::Unsigned),
        ("None", JwsError::Unsigned),
        ("nOnE", JwsError::Unsigned),
        ("HS256", JwsError::SymmetricAlgorithm),
        ("HS512", JwsError::SymmetricAlgorithm),
        ("RS256", JwsError::AlgorithmMismatch),
        ("EdDSA", JwsError::AlgorithmMismatch),
        ("es256", JwsError::UnknownAlgorithm),
        ("ES256K", JwsError::UnknownAlgorithm),
        ("PS256", JwsError::UnknownAlgorithm),
        ("", JwsError::UnknownAlgorithm),
    ] {
        assert_eq!(check(&with_header(&header_with("alg", json!(name)))), Err(expected), "{name}");
    }
    for no_name in [json!(null), json!(["ES256"]), json!(256), json!({})] {
        assert_eq!(check(&with_header(&header_with("alg", no_name))), Err(JwsError::NoAlgorithm));
    }
    let absent = json!({ "typ": TYPE, "kid": es256().key_id() });
    assert_eq!(check(&with_header(&absent)), Err(JwsError::NoAlgorithm));
}

#[test]
fn rs_026_t_40_an_unsigned_token_is_refused_in_every_form() {
    let (header, payload) = (json!({"alg": "none", "typ": TYPE}).to_string(), encoding::base64url(b"{}"));
    let header = encoding::base64url(header.as_bytes());
    assert_eq!(check(&format!("{header}.{payload}.")), Err(JwsError::Unsigned));
    assert_eq!(check(&format!("{header}.{payload}")), Err(JwsError::NotThreeParts));
    // A right header without a signature.
    let good = sign(es256(), TYPE, b"{}").unwrap();
    let (signed, _) = good.rsplit_once('.').unwrap();
    assert_eq!(check(&format!("{signed}.")), Err(JwsError::Signature));
}

#[test]
fn rs_026_t_40_a_public_key_is_no_shared_secret() {
    for key in keys() {
        let jwk = key.public_jwk().to_json().to_string();
        let document = key.to_pkcs8().unwrap();
        let secrets = [jwk.as_bytes(), key.key_id().as_bytes(), b"", document.as_slice()];
        let header = json!({ "alg": "HS256", "typ": TYPE, "kid": key.key_id() }).to_string();
        let signed = format!("{}.{}", encoding::base64url(header.as_bytes()), encoding::base64url(b"{}"));
        for secret in secrets {
            let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), signed.as_bytes());
            let text = format!("{signed}.{}", encoding::base64url(tag.as_ref()));
            assert_eq!(check(&text), Err(JwsError::SymmetricAlgorithm));
        }
    }
}

#[test]
fn rs_026_t_40_every_algorithm_with_every_other_key_is_refused() {
    for signer in keys() {
        for named in keys() {
            let header = json!({ "alg": signer.algorithm().name(), "typ": TYPE, "kid": named.key_id() });
            let outcome = check(&signed_by(signer, &header.to_string()));
            let same = signer.key_id() == named.key_id();
            assert_eq!(outcome.err(), (!same).then_some(JwsError::AlgorithmMismatch), "{signer:?} {named:?}");
            let header = json!({ "alg": named.algorithm().name(), "typ": TYPE, "kid": named.key_id() });
            let outcome = check(&signed_by(signer, &header.to_string()));
            assert_eq!(outcome.err(), (!same).then_some(JwsError::Signature), "{signer:?} {named:?}");
        }
    }
}

#[test]
fn rs_026_extensions_are_refused() {
    for (name, value, expected) in [
        ("crit", json!(["b64"]), JwsError::CriticalExtension),
        ("crit", json!(["exp"]), JwsError::CriticalExtension),
        ("crit", json!([]), JwsError::CriticalExtension),
        ("crit", json!(null), JwsError::CriticalExtension),
        ("b64", json!(false), JwsError::UnencodedPayload),
        ("b64", json!(true), JwsError::UnencodedPayload),
        ("zip", json!("DEF"), JwsError::Compressed),
    ] {
        assert_eq!(check(&with_header(&header_with(name, value))), Err(expected), "{name}");
    }
}

#[test]
fn b_33_rs_027_t_41_a_key_in_the_header_is_not_read() {
    let attacker = SigningKey::generate(Algorithm::Es256).unwrap();
    let jwk = attacker.public_jwk().to_json();
    let offers = [
        ("jwk", jwk.clone()),
        ("jku", json!("https://attacker.example/keys")),
        ("x5u", json!("http://169.254.169.254/")),
        ("x5c", json!(["MIIB"])),
        ("jwk", json!(42)),
    ];
    for (name, value) in offers {
        let ours = header_with(name, value.clone());
        assert!(check(&with_header(&ours)).is_ok(), "{name} of no effect");
        assert_eq!(check(&signed_by(&attacker, &ours.to_string())), Err(JwsError::Signature), "{name}");
        let mut theirs = header_with("kid", json!(attacker.key_id()));
        theirs[name] = value;
        assert_eq!(check(&signed_by(&attacker, &theirs.to_string())), Err(JwsError::UnknownKey), "{name}");
    }
}

#[test]
fn rs_027_the_key_id_is_only_looked_up() {
    for kid in ["", "../../dev/null", "' OR 1=1 --", "*)(uid=*", "\u{0}", "ключ"] {
        assert_eq!(check(&with_header(&header_with("kid", json!(kid)))), Err(JwsError::UnknownKey), "{kid}");
    }
    for kid in [json!(1), json!(null), json!([es256().key_id()]), json!("k".repeat(256))] {
        assert_eq!(check(&with_header(&header_with("kid", kid))), Err(JwsError::KeyIdForm));
    }
}

#[test]
fn without_a_key_id_only_one_key_may_fit() {
    let (first, second) = (es256(), SigningKey::generate(Algorithm::Es256).unwrap());
    let text = signed_by(first, &json!({ "alg": "ES256", "typ": TYPE }).to_string());
    let check = |keys: Vec<VerifyingKey>| verify(&text, &ExpectedType::only(TYPE), &KeySet::from_keys(keys));
    assert!(check(vec![keys()[1].verifying_key(), first.verifying_key()]).is_ok());
    assert_eq!(
        check(vec![first.verifying_key(), second.verifying_key()]).err(),
        Some(JwsError::AmbiguousKey)
    );
    assert_eq!(check(vec![keys()[1].verifying_key()]).err(), Some(JwsError::UnknownKey));
    assert_eq!(check(vec![]).err(), Some(JwsError::UnknownKey));
}

#[test]
fn one_key_id_may_name_keys_of_two_types() {
    let named = |key: &SigningKey| key.public_jwk().clone().with_key_id("1".into()).verifying_key();
    let keys = KeySet::from_keys(vec![named(&keys()[1]), named(es256())]);
    let text = with_header(&header_with("kid", json!("1")));
    assert!(verify(&text, &ExpectedType::only(TYPE), &keys).is_ok());
}

#[test]
fn rs_025_b_33_the_type_is_compared() {
    let expected = ExpectedType::only("at+jwt");
    let outcome = |typ: Value, expected: &ExpectedType<'_>| {
        verify(&with_header(&header_with("typ", typ)), expected, &set()).err()
    };
    for typ in ["at+jwt", "at+JWT", "AT+JWT", "application/at+jwt", "Application/At+Jwt"] {
        assert_eq!(outcome(json!(typ), &expected), None, "{typ}");
    }
    for typ in [
        "JWT",
        "jwt",
        "dpop+jwt",
        "oauth-id-jag+jwt",
        "logout+jwt",
        "client-authentication+jwt",
        "at+jwt ",
        " at+jwt",
        "at",
        "",
        "application/",
        "application/application/at+jwt",
        "text/at+jwt",
        "xapplication/at+jwt",
        "/at+jwt",
        "at+jwtx",
        "application/at+jwt; charset=utf-8",
    ] {
        assert_eq!(outcome(json!(typ), &expected), Some(JwsError::WrongType), "{typ}");
    }
    for typ in [json!(null), json!(["at+jwt"]), json!(1)] {
        assert_eq!(outcome(typ, &expected.or_absent()), Some(JwsError::WrongType));
    }
    let names = ["JWT", "client-authentication+jwt"];
    let several = ExpectedType::one_of(&names).or_absent();
    assert_eq!(outcome(json!("jwt"), &several), None);
    assert_eq!(outcome(json!("at+jwt"), &several), Some(JwsError::WrongType));
    let absent = with_header(&json!({ "alg": "ES256", "kid": es256().key_id() }));
    assert_eq!(verify(&absent, &several, &set()).err(), None);
    assert_eq!(verify(&absent, &expected, &set()).err(), Some(JwsError::NoType));
}

#[test]
fn rs_029_t_47_the_header_is_strict_json() {
    let kid = es256().key_id();
    for (header, expected) in [
        (
            format!(r#"{{"alg":"none","alg":"ES256","typ":"{TYPE}","kid":"{kid}"}}"#),
            JsonError::DuplicateMember,
        ),
        (
            format!(r#"{{"alg":"ES256","\u0061lg":"none","typ":"{TYPE}","kid":"{kid}"}}"#),
            JsonError::DuplicateMember,
        ),
        (format!(r#"["ES256","{TYPE}","{kid}"]"#), JsonError::NotAnObject),
        (format!(r#"{{"alg":"ES256","typ":"{TYPE}","kid":"{kid}"}}x"#), JsonError::TrailingData),
        ("\u{feff}{}".to_owned(), JsonError::ByteOrderMark),
        (String::new(), JsonError::Syntax),
        (format!("{{\"a\":{}{}}}", "[".repeat(9), "]".repeat(9)), JsonError::TooDeep),
    ] {
        assert_eq!(check(&signed_by(es256(), &header)), Err(JwsError::HeaderJson(expected)), "{header}");
    }
}

#[test]
fn rs_029_three_strict_base64url_parts() {
    let good = sign(es256(), TYPE, b"{\"a\":1}").unwrap();
    assert!(check(&good).is_ok());
    let parts: Vec<&str> = good.split('.').collect();
    for bad in
        ["", ".", "..", "...", "a.b", &format!("{good}.x"), &format!("{good}.x.y"), &parts[..2].join(".")]
    {
        assert!(
            matches!(check(bad), Err(JwsError::NotThreeParts | JwsError::HeaderJson(JsonError::Syntax))),
            "{bad}"
        );
    }
    for (at, expected) in
        [JwsError::HeaderEncoding, JwsError::Signature, JwsError::SignatureEncoding].iter().enumerate()
    {
        for bad in ["=", "==", " ", "\n", "+", "/", "%3D", "é", "\0"] {
            let mut changed: Vec<String> = parts.iter().map(ToString::to_string).collect();
            changed[at].push_str(bad);
            assert_eq!(check(&changed.join(".")), Err(*expected), "{at} {bad:?}");
        }
    }
    for bad in [format!(" {good}"), format!("{good}\n"), format!("Bearer {good}")] {
        assert!(check(&bad).is_err());
    }
    // 86 characters for 64 bytes leave four spare bits: fifteen other spellings of the same signature.
    let (head, last) = good.split_at(good.len() - 1);
    for other in "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".chars() {
        let outcome = check(&format!("{head}{other}"));
        if last == other.to_string() {
            assert!(outcome.is_ok());
        } else {
            assert!(matches!(outcome, Err(JwsError::SignatureEncoding | JwsError::Signature)), "{other}");
        }
    }
}

#[test]
fn a_payload_that_is_not_base64url_is_refused_even_if_signed() {
    let header = header_with("x", json!(1)).to_string();
    for payload in ["=", "A", "AB", "a b", "{}"] {
        let signed = format!("{}.{payload}", encoding::base64url(header.as_bytes()));
        let signature = es256().sign_bytes(signed.as_bytes()).unwrap();
        let text = format!("{signed}.{}", encoding::base64url(&signature));
        assert_eq!(check(&text), Err(JwsError::PayloadEncoding), "{payload}");
    }
}

#[test]
fn long_tokens_are_refused_before_anything_is_read() {
    let fits = sign(es256(), TYPE, &vec![b'a'; 12_000]).unwrap();
    assert!(fits.len() <= MAX_LENGTH && check(&fits).is_ok());
    let long = sign(es256(), TYPE, &vec![b'a'; 12_300]).unwrap();
    assert!(long.len() > MAX_LENGTH);
    assert_eq!(check(&long), Err(JwsError::TooLong));
    assert_eq!(unverified_payload(&long), Err(JwsError::TooLong));
}

#[test]
fn rs_030_t_46_signatures_without_meaning_are_refused() {
    let hex = |text: &str| -> Vec<u8> {
        (0..text.len() / 2).map(|at| u8::from_str_radix(&text[2 * at..2 * at + 2], 16).unwrap()).collect()
    };
    let order = hex("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551");
    let (zero, one, good) =
        (vec![0; 32], [vec![0; 31], vec![1]].concat(), sign(es256(), TYPE, b"{}").unwrap());
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let signature = encoding::from_base64url(signature).unwrap();
    let numbers = [&zero, &one, &order, &vec![0xff; 32]];
    let mut forged: Vec<Vec<u8>> =
        numbers.iter().flat_map(|r| numbers.iter().map(|s| [r.as_slice(), s].concat())).collect();
    forged.extend([vec![], vec![0], signature[..63].to_vec(), [&signature[..], &[0]].concat()]);
    forged.push([&signature[..32], &zero].concat());
    forged.push([&zero, &signature[32..]].concat());
    // The same numbers with leading zeros, and as DER, which is how other protocols write them.
    forged.push([&[0][..], &signature[..32], &[0], &signature[32..]].concat());
    forged.push([&[0x30, 70, 2, 33, 0][..], &signature[..32], &[2, 33, 0], &signature[32..]].concat());
    for bytes in forged {
        let text = format!("{signed}.{}", encoding::base64url(&bytes));
        assert_eq!(check(&text), Err(JwsError::Signature), "{bytes:?}");
    }
    for (key, length) in [(&keys()[1], 64), (&keys()[2], 256)] {
        let (signed, _) = sign(key, TYPE, b"{}").map(|text| text.rsplit_once('.').map(own)).unwrap().unwrap();
        for fill in [0, 1, 0xff] {
            let text = format!("{signed}.{}", encoding::base64url(&vec![fill; length]));
            assert_eq!(check(&text), Err(JwsError::Signature), "{key:?} {fill}");
        }
    }
}

fn own((a, b): (&str, &str)) -> (String, String) {
    (a.to_owned(), b.to_owned())
}

#[test]
fn rs_030_a_second_ed25519_signature_is_refused() {
    // S + L verifies wherever S is not compared with the group order (RFC 8032 §5.1.7).
    let order: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let good = sign(&keys()[1], TYPE, b"{}").unwrap();
    let (signed, signature) = good.rsplit_once('.').unwrap();
    let mut signature = encoding::from_base64url(signature).unwrap();
    let mut carry = 0;
    for (byte, add) in signature[32..].iter_mut().zip(order) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        *byte = sum.to_le_bytes()[0];
        carry = sum >> 8;
    }
    assert_eq!(carry, 0);
    assert_eq!(check(&format!("{signed}.{}", encoding::base64url(&signature))), Err(JwsError::Signature));
}

#[test]
fn the_header_that_is_written() {
    for key in keys() {
        let text = sign(key, TYPE, b"payload").unwrap();
        let header = encoding::from_base64url(text.split('.').next().unwrap()).unwrap();
        let header: Value = serde_json::from_slice(&header).unwrap();
        assert_eq!(header, json!({ "alg": key.algorithm().name(), "typ": TYPE, "kid": key.key_id() }));
        assert_eq!(check(&text).unwrap().into_inner(), b"payload");
        assert_eq!(unverified_payload(&text).unwrap(), b"payload");
    }
}

#[test]
fn no_changed_byte_is_accepted() {
    for key in keys() {
        let good = sign(key, TYPE, b"{\"sub\":\"someone\"}").unwrap();
        for at in 0..good.len() {
            for flip in [0x01, 0x02, 0x04, 0x20] {
                let mut bytes = good.clone().into_bytes();
                bytes[at] ^= flip;
                let Ok(bad) = String::from_utf8(bytes) else { continue };
                assert!(check(&bad).is_err(), "{at} {bad}");
            }
            let mut shorter = good.clone();
            shorter.remove(at);
            assert!(check(&shorter).is_err(), "without {at}");
        }
    }
}

proptest! {
    #[test]
    fn round_trip(payload: Vec<u8>, which in 0_usize..3) {
        let text = sign(&keys()[which], TYPE, &payload).unwrap();
        let verified = check(&text).unwrap();
        prop_assert_eq!(verified.get(), &payload);
    }

    #[test]
    fn flip_any_byte(payload: Vec<u8>, which in 0_usize..2, at: prop::sample::Index, to in 0x20_u8..0x7f) {
        let good = sign(&keys()[which], TYPE, &payload).unwrap();
        let mut bytes = good.clone().into_bytes();
        let at = at.index(bytes.len());
        prop_assume!(bytes[at] != to);
        bytes[at] = to;
        prop_assert!(check(&String::from_utf8(bytes).unwrap()).is_err());
    }

    #[test]
    fn never_panics(text in "[A-Za-z0-9_.=-]{0,80}|\\PC{0,40}") {
        prop_assert!(check(&text).is_err());
    }
}

#[test]
fn the_point_of_a_key_is_what_is_published() {
    // Guards the split of the point into x and y.
    let pair = aws_lc_rs::signature::EcdsaKeyPair::from_pkcs8(
        &aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED_SIGNING,
        &es256().to_pkcs8().unwrap(),
    )
    .unwrap();
    let published = es256().public_jwk().to_json();
    let bytes = |name: &str| encoding::from_base64url(published[name].as_str().unwrap()).unwrap();
    assert_eq!(pair.public_key().as_ref(), [vec![4], bytes("x"), bytes("y")].concat());
}
