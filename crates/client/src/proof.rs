//! Proofs that the sender of a token holds its key (DPoP, RFC 9449), written here and sent elsewhere.

use crate::assertion::compact;
use aws_lc_rs::digest;
use hallpass_core::{
    encoding::base64url,
    entropy::{Entropy, random},
    jose::{Algorithm, SigningKey},
    secret::SecretString,
    time::Timestamp,
};
use http::{HeaderMap, HeaderValue, Request, header};
use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

/// The header of a proof (RFC 9449 §4.1).
pub const PROOF_HEADER: &str = "dpop";
/// The header with a nonce for the next proof (RFC 9449 §8).
const NONCE_HEADER: &str = "dpop-nonce";
/// Its identifier as an extension of MCP.
pub const EXTENSION: &str = "io.modelcontextprotocol/auth/dpop";
/// A proof needs a nonce, which comes along (RFC 9449 §8, §9).
pub const USE_NONCE: &str = "use_dpop_nonce";
/// A proof is not accepted.
pub const INVALID_PROOF: &str = "invalid_dpop_proof";
/// A longer nonce is not kept: it would be sent with every request.
const MAX_NONCE: usize = 512;

/// Why there is no proof.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// No key could be made.
    #[error("a key for DPoP proofs could not be made")]
    Generation,
    /// The library could not sign, or a token cannot be put into a header.
    #[error("a DPoP proof could not be made")]
    Signing,
}

/// A private key that tokens are bound to: P-256, which every server that knows DPoP takes. It is kept sealed
/// beside its tokens and never leaves this machine (RFC 9449 §11.4).
#[derive(Clone, Debug)]
pub struct ProofKey(SigningKey);

impl PartialEq for ProofKey {
    fn eq(&self, other: &Self) -> bool {
        self.0.public_jwk() == other.0.public_jwk()
    }
}

impl Eq for ProofKey {}

impl ProofKey {
    /// The name of the algorithm in metadata.
    pub const ALGORITHM: &str = "ES256";

    /// A new key, for one sign-in.
    ///
    /// # Errors
    /// [`ProofError::Generation`].
    pub fn generate() -> Result<Self, ProofError> {
        SigningKey::generate(Algorithm::Es256).map(Self).map_err(|_| ProofError::Generation)
    }

    /// The thumbprint of the public half, as requests and tokens name it (RFC 9449 §6.1, §10).
    pub fn thumbprint(&self) -> String {
        base64url(&self.0.public_jwk().thumbprint())
    }

    pub(crate) fn from_pkcs8(document: &[u8]) -> Option<Self> {
        SigningKey::from_pkcs8(Algorithm::Es256, document).ok().map(Self)
    }

    pub(crate) fn to_pkcs8(&self) -> Option<Zeroizing<Vec<u8>>> {
        self.0.to_pkcs8().ok()
    }

    /// Puts a fresh proof into a request, and the token under the scheme `DPoP` where it is for a resource
    /// (RFC 9449 §4.2, §7.1). What was there of both is replaced: a proof serves once (§11.1).
    ///
    /// # Errors
    /// [`ProofError::Signing`].
    pub fn prove<B>(
        &self,
        request: &mut Request<B>,
        token: Option<&SecretString>,
        nonce: Option<&str>,
        (now, entropy): (Timestamp, &dyn Entropy),
    ) -> Result<(), ProofError> {
        let hash = token.map(|token| digest::digest(&digest::SHA256, token.expose().as_bytes()));
        let claims = [
            ("jti", Some(json!(base64url(&random::<16>(entropy))))),
            ("htm", Some(json!(request.method().as_str()))),
            ("htu", Some(json!(without_query(&request.uri().to_string())))),
            ("iat", Some(json!(now.millis().div_euclid(1000)))),
            ("ath", hash.map(|hash| json!(base64url(hash.as_ref())))),
            ("nonce", nonce.map(|nonce| json!(nonce))),
        ];
        let claims: Map<String, Value> =
            claims.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
        let jwk = self.0.public_jwk().to_json();
        let jwk: Map<String, Value> = ["kty", "crv", "x", "y"]
            .into_iter()
            .filter_map(|name| Some((name.to_owned(), jwk.get(name)?.clone())))
            .collect();
        let header = json!({ "typ": "dpop+jwt", "alg": Self::ALGORITHM, "jwk": jwk });
        let proof = compact(&self.0, &header, &Value::Object(claims)).map_err(|_| ProofError::Signing)?;
        let headers = request.headers_mut();
        headers.insert(PROOF_HEADER, HeaderValue::try_from(proof).map_err(|_| ProofError::Signing)?);
        if let Some(token) = token {
            let value = HeaderValue::try_from(format!("DPoP {}", token.expose()));
            let mut value = value.map_err(|_| ProofError::Signing)?;
            value.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, value);
        }
        Ok(())
    }
}

/// `htu` is the URL without query and fragment (RFC 9449 §4.2).
fn without_query(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or(url)
}

/// The nonce for the next request to the same server. It comes with refusals and with answers (RFC 9449 §8.2).
pub fn nonce_of(headers: &HeaderMap) -> Option<&str> {
    let nonce = headers.get(NONCE_HEADER)?.to_str().ok()?;
    let plain = |byte: u8| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
    (!nonce.is_empty() && nonce.len() <= MAX_NONCE && nonce.bytes().all(plain)).then_some(nonce)
}

#[cfg(test)]
mod tests {
    use super::*;
    use hallpass_core::{encoding::from_base64url, entropy::SystemEntropy, jose::Jwk};

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

    fn proved(
        key: &ProofKey,
        token: Option<&SecretString>,
        nonce: Option<&str>,
    ) -> (Request<()>, Value, Value) {
        let mut request = Request::post("https://mcp.example:8443/mcp?x=1").body(()).unwrap();
        key.prove(&mut request, token, nonce, (NOW, &SystemEntropy)).unwrap();
        let proof = request.headers()["dpop"].to_str().unwrap().to_owned();
        let parts: Vec<&str> = proof.split('.').collect();
        let json = |part: &str| serde_json::from_slice(&from_base64url(part).unwrap()).unwrap();
        let (header, claims) = (json(parts[0]), json(parts[1]));
        (request, header, claims)
    }

    #[test]
    fn cl_084_cl_085_the_proof_says_what_is_sent() {
        let (key, token) = (ProofKey::generate().unwrap(), SecretString::new("a-token"));
        let (request, header, claims) = proved(&key, Some(&token), Some("n1"));
        assert_eq!((&header["typ"], &header["alg"]), (&json!("dpop+jwt"), &json!("ES256")));
        assert_eq!(Jwk::parse(&header["jwk"]).unwrap().thumbprint(), key.0.public_jwk().thumbprint());
        assert_eq!(header["jwk"].get("d"), None);
        assert_eq!(
            (&claims["htm"], &claims["htu"]),
            (&json!("POST"), &json!("https://mcp.example:8443/mcp"))
        );
        assert_eq!((&claims["iat"], &claims["nonce"]), (&json!(1_800_000_000), &json!("n1")));
        // printf a-token | openssl dgst -sha256 -binary | basenc --base64url
        assert_eq!(claims["ath"], json!("H2B246R7od7QgCX_4G5XryF8FPlAfzP7pQ-ZsccBk4c"));
        assert_eq!(request.headers()["authorization"], "DPoP a-token");
        assert!(!format!("{request:?}").contains("a-token"));
        let (request, _, claims) = proved(&key, None, None);
        assert!(claims.get("ath").is_none() && claims.get("nonce").is_none());
        assert!(!request.headers().contains_key("authorization"));
    }

    #[test]
    fn cl_086_a_request_that_is_sent_again_has_one_proof() {
        let key = ProofKey::generate().unwrap();
        let mut request = Request::post("https://as.example/token").body(()).unwrap();
        for _ in 0..2 {
            key.prove(&mut request, None, None, (NOW, &SystemEntropy)).unwrap();
        }
        assert_eq!(request.headers().get_all("dpop").iter().count(), 1);
    }

    #[test]
    fn cl_085_each_proof_has_its_own_id_of_128_bits() {
        let key = ProofKey::generate().unwrap();
        let mut seen = std::collections::HashSet::new();
        for _ in 0..100 {
            let (_, _, claims) = proved(&key, None, None);
            let id = claims["jti"].as_str().unwrap().to_owned();
            assert!(from_base64url(&id).unwrap().len() == 16 && seen.insert(id));
        }
    }

    #[test]
    fn cl_083_a_kept_key_is_the_same_key() {
        let key = ProofKey::generate().unwrap();
        assert_eq!(ProofKey::from_pkcs8(&key.to_pkcs8().unwrap()).unwrap(), key);
        assert_ne!(ProofKey::generate().unwrap(), key);
        assert!(ProofKey::from_pkcs8(b"x").is_none());
    }

    #[test]
    fn cl_086_nonces_are_short_and_plain() {
        let of = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("DPoP-Nonce", HeaderValue::from_str(text).unwrap());
            nonce_of(&headers).map(str::to_owned)
        };
        assert_eq!(of("eyJ7S_zG.eyJH0-Z").as_deref(), Some("eyJ7S_zG.eyJH0-Z"));
        for bad in ["", "a b", "a\"b", "a\\b"] {
            assert_eq!(of(bad), None, "{bad}");
        }
        assert_eq!(of(&"x".repeat(513)), None);
        assert_eq!(nonce_of(&HeaderMap::new()), None);
    }
}
