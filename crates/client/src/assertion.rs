//! A client's own key, and the assertions that it signs to say who it is (`private_key_jwt`, RFC 7523bis).

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hallpass_core::{
    encoding::base64url,
    entropy::{Entropy, random},
    jose::{Algorithm, SigningFailed, SigningKey},
    secret::SecretString,
    time::Timestamp,
};
use serde_json::{Map, Value, json};
use std::io;
use zeroize::Zeroizing;

/// Time that an assertion is good for: the request and two clocks.
const LIFETIME: i64 = 60;

/// Why a key cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientKeyError {
    /// Not one of ES256, EdDSA, RS256.
    #[error("the signing algorithm of the client's key is not supported")]
    Algorithm,
    /// Not a PKCS#8 private key in PEM, or of another algorithm.
    #[error("the client's key is not a private key of its algorithm in PEM (PKCS#8)")]
    Malformed,
}

/// Where a client's key is kept. It is read again for each assertion, so that whoever replaces the file has replaced the key,
/// and no copy of it lies anywhere else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFile {
    /// A PKCS#8 private key in PEM.
    pub path: String,
    /// The `kid` under which it is registered, where the authorization server wants it named.
    pub key_id: Option<String>,
}

/// Why the file of a key is of no use.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// It cannot be read.
    #[error("{path}: {source}")]
    File {
        /// Which.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// It holds no key.
    #[error("{path}: {source}")]
    Key {
        /// Which.
        path: String,
        /// What is wrong with it.
        source: ClientKeyError,
    },
}

/// A private key whose public half the authorization server knows.
#[derive(Clone, Debug)]
pub struct ClientKey {
    key: SigningKey,
    key_id: Option<String>,
}

impl ClientKey {
    /// Reads `-----BEGIN PRIVATE KEY-----`.
    ///
    /// # Errors
    /// Every variant.
    pub fn from_pem(pem: &SecretString, algorithm: &str) -> Result<Self, ClientKeyError> {
        let algorithm = Algorithm::from_name(algorithm).ok_or(ClientKeyError::Algorithm)?;
        let document = document_of(pem)?;
        let key = SigningKey::from_pkcs8(algorithm, &document).map_err(|_| ClientKeyError::Malformed)?;
        Ok(Self { key, key_id: None })
    }

    /// The same for a key whose document says which algorithm it is for, as PKCS#8 does.
    ///
    /// # Errors
    /// `Malformed`.
    pub fn from_pem_of_its_algorithm(pem: &SecretString) -> Result<Self, ClientKeyError> {
        let document = document_of(pem)?;
        [Algorithm::Es256, Algorithm::EdDsa, Algorithm::Rs256]
            .into_iter()
            .find_map(|algorithm| SigningKey::from_pkcs8(algorithm, &document).ok())
            .map(|key| Self { key, key_id: None })
            .ok_or(ClientKeyError::Malformed)
    }

    /// A key that is there already.
    pub const fn of(key: SigningKey) -> Self {
        Self { key, key_id: None }
    }

    /// Names the key by the `kid` under which it is registered; without, the header names none.
    #[must_use]
    pub fn with_key_id(self, key_id: &str) -> Self {
        Self { key_id: Some(key_id.to_owned()), ..self }
    }

    /// An assertion for one request. Its audience is the issuer and nothing else: one made out to a token endpoint
    /// could be collected by a hostile server that names an honest one's endpoint as its own (rfc7523bis).
    pub(crate) fn assertion(
        &self,
        client_id: &str,
        issuer: &str,
        now: Timestamp,
        entropy: &dyn Entropy,
    ) -> Result<SecretString, SigningFailed> {
        let now = now.millis().div_euclid(1000);
        let mut header = Map::new();
        header.insert("alg".to_owned(), json!(self.key.algorithm().name()));
        header.insert("typ".to_owned(), json!("client-authentication+jwt"));
        if let Some(key_id) = &self.key_id {
            header.insert("kid".to_owned(), json!(key_id));
        }
        let claims = json!({
            "iss": client_id,
            "sub": client_id,
            "aud": issuer,
            "iat": now,
            "exp": now.saturating_add(LIFETIME),
            "jti": base64url(&random::<16>(entropy)),
        });
        compact(&self.key, &Value::Object(header), &claims).map(SecretString::new)
    }
}

/// The bytes between the lines.
fn document_of(pem: &SecretString) -> Result<Zeroizing<Vec<u8>>, ClientKeyError> {
    let (_, rest) =
        pem.expose().split_once("-----BEGIN PRIVATE KEY-----").ok_or(ClientKeyError::Malformed)?;
    let (inside, _) = rest.split_once("-----END PRIVATE KEY-----").ok_or(ClientKeyError::Malformed)?;
    let text: Zeroizing<String> = Zeroizing::new(inside.split_ascii_whitespace().collect());
    STANDARD.decode(&*text).map(Zeroizing::new).map_err(|_| ClientKeyError::Malformed)
}

/// A compact JWS (RFC 7515 §7.1) with a header of its own kind.
pub(crate) fn compact(key: &SigningKey, header: &Value, claims: &Value) -> Result<String, SigningFailed> {
    let part = |value: &Value| base64url(value.to_string().as_bytes());
    let signed = format!("{}.{}", part(header), part(claims));
    let signature = key.sign_bytes(signed.as_bytes())?;
    Ok(format!("{signed}.{}", base64url(&signature)))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use hallpass_core::{encoding::from_base64url, entropy::SystemEntropy};

    pub(crate) fn pem(key: &SigningKey) -> SecretString {
        let text = STANDARD.encode(&*key.to_pkcs8().unwrap());
        SecretString::new(format!("-----BEGIN PRIVATE KEY-----\n{text}\n-----END PRIVATE KEY-----\n"))
    }

    #[test]
    fn cl_054_the_assertion_is_for_the_issuer_once_and_short() {
        let key = SigningKey::generate(Algorithm::Es256).unwrap();
        let client = ClientKey::from_pem(&pem(&key), "ES256").unwrap();
        let now = Timestamp::from_seconds(1_800_000_000);
        let read = |client: &ClientKey| -> (Value, Value) {
            let text = client.assertion("me", "https://as.example", now, &SystemEntropy).unwrap();
            let parts: Vec<_> = text.expose().split('.').map(|part| from_base64url(part).unwrap()).collect();
            (serde_json::from_slice(&parts[0]).unwrap(), serde_json::from_slice(&parts[1]).unwrap())
        };
        let (header, claims) = read(&client);
        assert_eq!(header, json!({ "alg": "ES256", "typ": "client-authentication+jwt" }));
        assert_eq!((&claims["iss"], &claims["sub"]), (&json!("me"), &json!("me")));
        assert_eq!(claims["aud"], json!("https://as.example"));
        assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 60);
        let (header, again) = read(&client.with_key_id("k1"));
        assert_eq!(header["kid"], json!("k1"));
        assert_ne!(again["jti"], claims["jti"]);
    }

    #[test]
    fn keys_that_are_none() {
        let key = SigningKey::generate(Algorithm::Es256).unwrap();
        let error = |pem: &SecretString, algorithm| ClientKey::from_pem(pem, algorithm).unwrap_err();
        assert_eq!(error(&pem(&key), "HS256"), ClientKeyError::Algorithm);
        assert_eq!(error(&pem(&key), "RS256"), ClientKeyError::Malformed);
        for bad in [
            "",
            "-----BEGIN PRIVATE KEY-----",
            "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----",
        ] {
            let bad = SecretString::new(bad);
            assert_eq!(error(&bad, "ES256"), ClientKeyError::Malformed);
            let of_any = ClientKey::from_pem_of_its_algorithm(&bad).unwrap_err();
            assert_eq!(of_any, ClientKeyError::Malformed);
        }
        for algorithm in [Algorithm::Es256, Algorithm::EdDsa] {
            let key = pem(&SigningKey::generate(algorithm).unwrap());
            assert_eq!(ClientKey::from_pem_of_its_algorithm(&key).unwrap().key.algorithm(), algorithm);
        }
        assert!(!format!("{:?}", ClientKey::from_pem(&pem(&key), "ES256")).contains("PRIVATE"));
    }
}
