//! Public keys: the RFCs' vectors, and every way to be refused.

use super::*;
use crate::jose::SigningKey;

/// RFC 7638 §3.1.
const RFC_7638_N: &str = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjB\
    ZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdA\
    ZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awa\
    pJzKnqDKgw";
/// RFC 7515 appendix A.3.1.
const X: &str = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
const Y: &str = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";
/// RFC 8037 appendix A.2.
const ED: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

fn ec() -> Value {
    json!({"kty": "EC", "crv": "P-256", "x": X, "y": Y})
}

fn ed(x: &str) -> Value {
    json!({"kty": "OKP", "crv": "Ed25519", "x": x})
}

fn rsa_key(n: &str, e: &str) -> Value {
    json!({"kty": "RSA", "n": n, "e": e})
}

fn with(mut key: Value, name: &str, value: Value) -> Value {
    key[name] = value;
    key
}

fn refused(key: &Value) -> Option<JwkError> {
    Jwk::parse(key).err()
}

fn thumbprint(key: &Value) -> String {
    encoding::base64url(&Jwk::parse(key).unwrap().thumbprint())
}

#[test]
fn thumbprints_of_rfc_7638_and_rfc_8037() {
    let rsa = json!({"kty": "RSA", "n": RFC_7638_N, "e": "AQAB", "alg": "RS256", "kid": "2011-04-29"});
    assert_eq!(thumbprint(&rsa), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    assert_eq!(thumbprint(&ed(ED)), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    // RFC 7638 §3.2: the form that is hashed, for the type without a vector.
    let form = format!(r#"{{"crv":"P-256","kty":"EC","x":"{X}","y":"{Y}"}}"#);
    let hash = digest::digest(&digest::SHA256, form.as_bytes());
    assert_eq!(thumbprint(&ec()), encoding::base64url(hash.as_ref()));
    assert_eq!(thumbprint(&with(ec(), "kid", json!("x"))), thumbprint(&ec()));
}

#[test]
fn as_048_t_41_private_and_symmetric_keys_are_refused() {
    for private in PRIVATE_MEMBERS {
        for key in [ec(), ed(ED), rsa_key(RFC_7638_N, "AQAB"), json!({"kty": "oct"}), json!({})] {
            for value in [json!("AA"), json!(null), json!([])] {
                assert_eq!(
                    refused(&with(key.clone(), private, value)),
                    Some(JwkError::PrivateMember),
                    "{private}"
                );
            }
        }
    }
    assert_eq!(refused(&json!({"kty": "oct"})), Some(JwkError::Symmetric));
}

#[test]
fn form_and_type() {
    assert_eq!(refused(&json!([])), Some(JwkError::NotAnObject));
    assert_eq!(refused(&json!({})), Some(JwkError::MissingMember));
    assert_eq!(refused(&json!({"kty": "EC", "crv": "P-256", "x": X})), Some(JwkError::MissingMember));
    assert_eq!(refused(&with(ec(), "x", json!(1))), Some(JwkError::MemberType));
    assert_eq!(refused(&with(ec(), "kid", json!(1))), Some(JwkError::MemberType));
    assert_eq!(refused(&with(ec(), "kty", json!("ec"))), Some(JwkError::UnknownKeyType));
    assert_eq!(refused(&with(ec(), "crv", json!("P-384"))), Some(JwkError::UnknownCurve));
    assert_eq!(refused(&with(ec(), "crv", json!("secp256k1"))), Some(JwkError::UnknownCurve));
    assert_eq!(refused(&with(ed(ED), "crv", json!("X25519"))), Some(JwkError::UnknownCurve));
    assert_eq!(refused(&with(ec(), "kid", json!("k".repeat(256)))), Some(JwkError::KeyIdTooLong));
    assert!(Jwk::parse(&with(ec(), "kid", json!("k".repeat(255)))).is_ok());
}

#[test]
fn rs_026_a_key_is_for_its_own_algorithm_and_for_signatures() {
    for (key, own) in [(ec(), "ES256"), (ed(ED), "EdDSA"), (rsa_key(RFC_7638_N, "AQAB"), "RS256")] {
        assert_eq!(Jwk::parse(&key).unwrap().algorithm().name(), own);
        for alg in ["ES256", "EdDSA", "RS256", "PS256", "HS256", "RSA-OAEP", "none", "ES384"] {
            let expected = (alg != own).then_some(JwkError::UnsupportedAlgorithm);
            assert_eq!(refused(&with(key.clone(), "alg", json!(alg))), expected, "{own} {alg}");
        }
        assert_eq!(refused(&with(key.clone(), "use", json!("enc"))), Some(JwkError::NotForSignatures));
        assert_eq!(refused(&with(key.clone(), "use", json!("sig"))), None);
        assert_eq!(
            refused(&with(key.clone(), "key_ops", json!(["sign"]))),
            Some(JwkError::NotForVerification)
        );
        assert_eq!(refused(&with(key.clone(), "key_ops", json!(["verify"]))), None);
    }
}

#[test]
fn rs_030_t_46_points_are_on_the_curve() {
    // The coordinates swapped, an x that no point has, the point at infinity, a coordinate not below p.
    let zero = encoding::base64url(&[0; 32]);
    let ones = encoding::base64url(&[0xff; 32]);
    for (x, y) in [(Y, X), (X, X), (zero.as_str(), zero.as_str()), (ones.as_str(), Y), (X, ones.as_str())] {
        let key = with(with(ec(), "x", json!(x)), "y", json!(y));
        assert_eq!(refused(&key), Some(JwkError::NotOnCurve), "{x} {y}");
    }
    for x in ["", "AA", &X[..42], &format!("AA{X}"), &format!("{X}="), &format!("{} ", &X[..42])] {
        assert_eq!(refused(&with(ec(), "x", json!(x))), Some(JwkError::Encoding), "{x}");
    }
    // Another spelling of the same number: the last character has two spare bits.
    let spare = format!("{}V", &X[..42]);
    assert_eq!(refused(&with(ec(), "x", json!(spare))), Some(JwkError::Encoding));
}

#[test]
fn rs_030_t_46_weak_ed25519_points_are_refused() {
    assert_eq!(refused(&ed(ED)), None);
    let mut low = [0xff; 32];
    for (first, last) in [(0xec, 0x7f), (0xed, 0x7f), (0xee, 0x7f), (0xff, 0x7f), (0xec, 0xff), (0xee, 0xff)]
    {
        (low[0], low[31]) = (first, last);
        assert_eq!(refused(&ed(&encoding::base64url(&low))), Some(JwkError::WeakPoint), "{first:x} {last:x}");
    }
    for hex in [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    ] {
        let bytes: Vec<u8> =
            (0..32).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()).collect();
        assert_eq!(refused(&ed(&encoding::base64url(&bytes))), Some(JwkError::WeakPoint), "{hex}");
    }
    assert_eq!(refused(&ed("AA")), Some(JwkError::Encoding));
}

#[test]
fn rs_030_as_187_rsa_has_2048_to_8192_bits() {
    let modulus = |bytes: usize, first: u8, last: u8| {
        let mut n = vec![0x55; bytes];
        n[0] = first;
        n[bytes - 1] = last;
        encoding::base64url(&n)
    };
    for (bytes, first, last, expected) in [
        (256, 0x80, 1, None),
        (256, 0x7f, 1, Some(JwkError::RsaModulus)),
        (128, 0x80, 1, Some(JwkError::RsaModulus)),
        (257, 0x01, 1, None),
        (1024, 0xff, 1, None),
        (1025, 0x01, 1, Some(JwkError::RsaModulus)),
        (256, 0x80, 2, Some(JwkError::RsaModulus)),
        (257, 0x00, 1, Some(JwkError::Encoding)),
    ] {
        assert_eq!(
            refused(&rsa_key(&modulus(bytes, first, last), "AQAB")),
            expected,
            "{bytes} {first:x} {last}"
        );
    }
    for (e, expected) in [
        ("AQAB", None),
        ("Aw", None),
        ("AQ", Some(JwkError::RsaExponent)),
        ("Ag", Some(JwkError::RsaExponent)),
        ("AQAC", Some(JwkError::RsaExponent)),
        ("AQAAAAE", Some(JwkError::RsaExponent)),
        ("AAEAAQ", Some(JwkError::Encoding)),
        ("AA", Some(JwkError::Encoding)),
        ("", Some(JwkError::Encoding)),
    ] {
        assert_eq!(refused(&rsa_key(RFC_7638_N, e)), expected, "{e}");
    }
    assert_eq!(refused(&rsa_key("", "AQAB")), Some(JwkError::Encoding));
}

#[test]
fn as_186_what_is_published_says_use_and_alg_and_is_read_back() {
    let key = SigningKey::generate(Algorithm::EdDsa).unwrap();
    let set = set_to_json(&[key.public_jwk().clone()]);
    let published = &set["keys"][0];
    assert_eq!(published["kid"], json!(key.key_id()));
    assert_eq!((&published["use"], &published["alg"]), (&json!("sig"), &json!("EdDSA")));
    assert_eq!(Jwk::parse(published).unwrap(), *key.public_jwk());
    assert!(encoding::base64url(&key.public_jwk().thumbprint()).starts_with(key.key_id()));
}
