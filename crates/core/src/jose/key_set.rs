//! The keys of one issuer (JWK Set, RFC 7517 §5), bounded and ready to verify.

use crate::{
    jose::{Algorithm, Jwk, JwkError, VerifyingKey},
    json::{self, JsonError, Limits},
};

/// Longest JWK Set that is read, in bytes.
pub const MAX_LENGTH: usize = 64 * 1024;
/// Most keys of a set that are read.
pub const MAX_KEYS: usize = 64;

/// Why a key set is refused as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// Not one strict JSON object of at most [`MAX_LENGTH`] bytes.
    #[error("the key set is not strict JSON: {0}")]
    Json(#[from] JsonError),
    /// `keys` is missing or is not an array of objects.
    #[error("the key set has no array of keys")]
    NotASet,
    /// More than [`MAX_KEYS`].
    #[error("the key set has more than 64 keys")]
    TooManyKeys,
    /// A private or symmetric key is published. Whoever published it has lost it, so nothing of the set is trusted.
    #[error("the key set contains a private key")]
    PrivateKey,
}

/// The keys that one issuer signs with.
#[derive(Clone, Debug, Default)]
pub struct KeySet(Vec<VerifyingKey>);

impl KeySet {
    /// Reads a JWK Set. Keys of other types, of other uses or of the wrong form are skipped, as RFC 7517 §5 asks:
    /// a set grows new algorithms without notice. A private key voids the whole set.
    pub fn parse(bytes: &[u8]) -> Result<Self, KeySetError> {
        let members = json::parse_object(bytes, Limits { bytes: MAX_LENGTH, ..Limits::default() })?;
        let listed = members.get("keys").and_then(serde_json::Value::as_array).ok_or(KeySetError::NotASet)?;
        if listed.len() > MAX_KEYS {
            return Err(KeySetError::TooManyKeys);
        }
        let mut keys = Vec::with_capacity(listed.len());
        for value in listed {
            match Jwk::parse(value) {
                Ok(key) => keys.push(key.verifying_key()),
                Err(JwkError::PrivateMember) => return Err(KeySetError::PrivateKey),
                Err(JwkError::NotAnObject) => return Err(KeySetError::NotASet),
                Err(_) => {}
            }
        }
        Ok(Self(keys))
    }

    /// A set of keys that were read elsewhere.
    pub const fn from_keys(keys: Vec<VerifyingKey>) -> Self {
        Self(keys)
    }

    /// Those of them that are for this algorithm.
    #[must_use]
    pub fn only(&self, algorithm: Algorithm) -> Self {
        Self(self.0.iter().filter(|key| key.algorithm() == algorithm).cloned().collect())
    }

    /// The first key with this `kid`.
    pub fn find(&self, kid: &str) -> Option<&VerifyingKey> {
        self.0.iter().find(|key| key.key_id() == Some(kid))
    }

    /// The key with this `kid` for this algorithm: one `kid` may name keys of different types (RFC 7517 §4.5).
    pub(crate) fn find_for(&self, kid: &str, algorithm: Algorithm) -> Option<&VerifyingKey> {
        self.0.iter().find(|key| key.key_id() == Some(kid) && key.algorithm() == algorithm)
    }

    /// All keys.
    pub fn keys(&self) -> &[VerifyingKey] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jose::SigningKey;
    use serde_json::{Value, json};

    fn set(keys: &[Value]) -> Result<KeySet, KeySetError> {
        KeySet::parse(json!({ "keys": keys, "more": 1 }).to_string().as_bytes())
    }

    fn ours() -> Value {
        SigningKey::generate(Algorithm::Es256).unwrap().public_jwk().to_json()
    }

    #[test]
    fn what_we_cannot_use_is_skipped() {
        let (good, mut encryption) = (ours(), ours());
        encryption["use"] = json!("enc");
        let keys = set(&[
            json!({"kty": "AKP", "alg": "ML-DSA-44", "pub": "AA"}),
            json!({"kty": "EC", "crv": "P-384", "x": "AA", "y": "AA"}),
            json!({"kty": "RSA", "n": "AQ", "e": "AQAB"}),
            json!({"kid": "no type"}),
            encryption,
            good.clone(),
        ])
        .unwrap();
        assert_eq!(keys.keys().len(), 1);
        let kid = good["kid"].as_str().unwrap();
        assert!(keys.find(kid).is_some());
        assert!(keys.find("other").is_none());
        assert!(set(&[]).unwrap().keys().is_empty());
    }

    #[test]
    fn as_048_a_published_private_key_voids_the_set() {
        for private in [
            json!({"kty": "oct", "k": "AA"}),
            json!({"kty": "OKP", "crv": "Ed25519", "x": "AA", "d": "AA"}),
            json!({"kty": "new", "d": "AA"}),
        ] {
            assert_eq!(set(&[ours(), private]).err(), Some(KeySetError::PrivateKey));
        }
    }

    #[test]
    fn bounds_and_form() {
        assert_eq!(set(&vec![json!({}); 65]).err(), Some(KeySetError::TooManyKeys));
        assert!(set(&vec![json!({}); 64]).is_ok());
        assert_eq!(set(&[json!([])]).err(), Some(KeySetError::NotASet));
        for bad in [r#"{"keys":{}}"#, "{}", r#"{"keys":null}"#] {
            assert_eq!(KeySet::parse(bad.as_bytes()).err(), Some(KeySetError::NotASet), "{bad}");
        }
        let long = format!(r#"{{"keys":[],"x":"{}"}}"#, "a".repeat(MAX_LENGTH));
        assert_eq!(KeySet::parse(long.as_bytes()).err(), Some(KeySetError::Json(JsonError::TooLong)));
        let twice = br#"{"keys":[],"keys":[]}"#;
        assert_eq!(KeySet::parse(twice).err(), Some(KeySetError::Json(JsonError::DuplicateMember)));
        let inside = br#"{"keys":[{"kty":"EC","kty":"RSA"}]}"#;
        assert_eq!(KeySet::parse(inside).err(), Some(KeySetError::Json(JsonError::DuplicateMember)));
        assert_eq!(KeySet::parse(b"[]").err(), Some(KeySetError::Json(JsonError::NotAnObject)));
    }
}
