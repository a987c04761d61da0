//! Proofs of possession (DPoP, RFC 9449): a JWT made for one request, signed with a key that it brings along. It shows
//! that the sender holds the key which a token is bound to, so that a stolen token is of no use.
//!
//! | to read | file |
//! |---|---|
//! | the checks | here |
//! | which URL a proof is for | [`target`] |
//! | proofs that were used | [`seen`] |
//! | nonces, of which nothing is kept | [`nonce`] |
//!
//! Pure but for the memory of [`seen`]. Whether a nonce is asked for and what a key is good for is for the caller.

pub mod nonce;
pub mod seen;
pub mod target;

pub use seen::SeenProofs;
pub use target::Target;

use crate::{
    encoding,
    grant::digest32,
    jose::{JwsError, Verified, jws},
    json::{self, JsonError, Limits},
    secret,
    time::Timestamp,
};
use serde_json::{Map, Value};
use std::time::Duration;

/// The header that a proof comes in (RFC 9449 §4.1).
pub const HEADER: &str = "dpop";
/// The header that a nonce goes out in (RFC 9449 §8).
pub const NONCE_HEADER: &str = "dpop-nonce";
/// `typ`.
pub const TYPE: &str = "dpop+jwt";
/// What proofs may be signed with, for metadata: asymmetric, the one that everybody has first. `Ed25519` is the newer
/// name of the only `EdDSA` that we know (RFC 9864 §2.2).
pub const ALGORITHMS: [&str; 4] = ["ES256", "EdDSA", "Ed25519", "RS256"];
/// How far `iat` may be from now, in both directions (RFC 9449 §11.1; the extension of MCP says five minutes).
pub const WINDOW: Duration = Duration::from_mins(5);
/// Longest proof, in bytes: one with an RSA key of 8192 bits has 3,300.
pub const MAX_LENGTH: usize = 4096;
/// Longest `jti`, in bytes.
pub const MAX_TOKEN_ID: usize = 255;
/// Longest nonce that is looked at, in bytes.
const MAX_NONCE: usize = 512;

/// What a proof has to be for.
#[derive(Clone, Copy, Debug)]
pub struct Expectations<'a> {
    /// The method of the request.
    pub method: &'a str,
    /// The URL of the request as the client sees it: from the configuration, never from `Host`.
    pub target: &'a Target,
    /// The access token that is sent along; `None` at a token endpoint.
    pub access_token: Option<&'a str>,
    /// The present.
    pub now: Timestamp,
}

/// A proof that was verified. It says which key was used for this request, and not whose key that is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Proof {
    /// The key (RFC 7638): what tokens are bound to.
    pub thumbprint: [u8; 32],
    /// `jti`: good once.
    pub token_id: String,
    /// `nonce`, unchecked.
    pub nonce: Option<String>,
}

/// Why a proof is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProofError {
    /// More than one header: two readers may pick different ones.
    #[error("more than one proof")]
    Several,
    /// Not text, or longer than [`MAX_LENGTH`].
    #[error("the proof is not a short text")]
    Form,
    /// Its signature, header, type or key.
    #[error("{0}")]
    Jws(#[from] JwsError),
    /// The claims are not one strict JSON object.
    #[error("the claims are not strict JSON: {0}")]
    ClaimsJson(JsonError),
    /// `jti` is missing, empty, too long or not a string.
    #[error("jti is missing or malformed")]
    TokenId,
    /// `htm` is not the method of the request.
    #[error("htm is not the method of the request")]
    Method,
    /// `htu` is not the URL of the request.
    #[error("htu is not the URL of the request")]
    Target,
    /// `iat` is missing or not a number.
    #[error("iat is missing or malformed")]
    IssuedAtForm,
    /// `iat` is more than [`WINDOW`] ago or away.
    #[error("iat is too far from now")]
    NotNow,
    /// `ath` is not the digest of the access token.
    #[error("ath is not the digest of the access token")]
    TokenHash,
    /// `nonce` is not a short string.
    #[error("the nonce is malformed")]
    NonceForm,
}

/// The one proof among the values of [`HEADER`], unread; `None` where there is none (RFC 9449 §4.3, 1 and 2).
pub fn in_headers<'a>(mut values: impl Iterator<Item = &'a [u8]>) -> Result<Option<&'a str>, ProofError> {
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(ProofError::Several);
    }
    // Two that a proxy joined with a comma are not one compact JWS, and fail there.
    if value.len() > MAX_LENGTH {
        return Err(ProofError::Form);
    }
    std::str::from_utf8(value).map(Some).map_err(|_| ProofError::Form)
}

/// Verifies a proof (RFC 9449 §4.3). Whether it was used before, and whether its nonce is good, is for the caller.
pub fn verify(compact: &str, expected: &Expectations<'_>) -> Result<Verified<Proof>, ProofError> {
    if compact.len() > MAX_LENGTH {
        return Err(ProofError::Form);
    }
    let (payload, key) = jws::verify_with_own_key(compact, TYPE)?.into_inner();
    let claims = json::parse_object(&payload, Limits { bytes: MAX_LENGTH, ..Limits::default() })
        .map_err(ProofError::ClaimsJson)?;
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let token_id = text("jti").filter(|id| !id.is_empty() && id.len() <= MAX_TOKEN_ID);
    let token_id = token_id.ok_or(ProofError::TokenId)?.to_owned();
    if text("htm") != Some(expected.method) {
        return Err(ProofError::Method);
    }
    if !text("htu").is_some_and(|url| expected.target.is_meant_by(url)) {
        return Err(ProofError::Target);
    }
    check_time(&claims, expected.now)?;
    if let Some(token) = expected.access_token {
        let digest = encoding::base64url(&digest32(token));
        if !text("ath").is_some_and(|hash| secret::equal(hash.as_bytes(), digest.as_bytes())) {
            return Err(ProofError::TokenHash);
        }
    }
    let nonce = match claims.get("nonce") {
        None => None,
        Some(Value::String(nonce)) if nonce.len() <= MAX_NONCE => Some(nonce.clone()),
        Some(_) => return Err(ProofError::NonceForm),
    };
    Ok(Verified::new(Proof { thumbprint: key.thumbprint(), token_id, nonce }))
}

fn check_time(claims: &Map<String, Value>, now: Timestamp) -> Result<(), ProofError> {
    let issued_at = json::numeric_date(claims, "iat").ok().flatten().ok_or(ProofError::IssuedAtForm)?;
    let issued_at = Timestamp::from_seconds(issued_at);
    if now.since(issued_at) > WINDOW || issued_at.since(now) > WINDOW {
        return Err(ProofError::NotNow);
    }
    Ok(())
}

#[cfg(test)]
mod tests;
