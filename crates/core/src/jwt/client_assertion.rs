//! Client assertions: a JWT with which a client proves at an endpoint who it is (`private_key_jwt`; RFC 7523 §3,
//! draft-ietf-oauth-rfc7523bis).

use super::assertion::{TimeError, claims, is_for, times, token_id};
use crate::{
    jose::{ExpectedType, JwsError, KeySet, Verified, jws},
    json::JsonError,
    time::Timestamp,
};
use serde_json::Value;
use std::time::Duration;

/// `client_assertion_type` (RFC 7523 §2.2).
pub const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
/// Types that the header may name; many clients name none. Every other kind of token has its own and is refused.
const TYPES: [&str; 2] = ["JWT", "client-authentication+jwt"];
/// Longest life that is left: an assertion is made for one request, and its `jti` has to be remembered until it ends.
const LONGEST: Duration = Duration::from_mins(10);

/// What an endpoint asks of an assertion.
#[derive(Clone, Copy, Debug)]
pub struct Expectations<'a> {
    /// `iss` and `sub`.
    pub client_id: &'a str,
    /// The issuer, and nothing else unless an operator knows an old client that needs it: an assertion for a token
    /// endpoint may have been made for a hostile server that names ours as its own (CVE-2025-27370).
    pub audiences: &'a [&'a str],
    /// The present.
    pub now: Timestamp,
}

/// What a verified assertion says beyond who signed it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientAssertion {
    /// `jti`: good once.
    pub token_id: String,
    /// Until when the `jti` has to be remembered: `exp` and the leeway.
    pub remember_until: Timestamp,
}

/// Why an assertion is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClientAssertionError {
    /// Its signature, header or type.
    #[error("{0}")]
    Jws(#[from] JwsError),
    /// The claims are not one strict JSON object.
    #[error("the claims are not strict JSON: {0}")]
    ClaimsJson(JsonError),
    /// `iss` is not the client.
    #[error("iss is not the client")]
    Issuer,
    /// `sub` is not the client.
    #[error("sub is not the client")]
    Subject,
    /// `aud` is not this authorization server alone.
    #[error("aud is not the issuer alone")]
    Audience,
    /// `exp` is missing or not a number.
    #[error("exp is missing or malformed")]
    ExpiryForm,
    /// `exp` is past.
    #[error("the assertion has expired")]
    Expired,
    /// `exp` is more than ten minutes away.
    #[error("the assertion lives for more than ten minutes")]
    TooLong,
    /// `nbf` or `iat` is malformed or in the future.
    #[error("nbf or iat is malformed or in the future")]
    NotYetValid,
    /// `jti` is missing, empty, too long or not a string.
    #[error("jti is missing or malformed")]
    TokenId,
}

/// The `sub` of an assertion that nobody has verified, to find the client whose keys verify it. Believe nothing in it.
pub fn unverified_subject(compact: &str) -> Option<String> {
    let claims = claims(&jws::unverified_payload(compact).ok()?).ok()?;
    claims.get("sub")?.as_str().map(str::to_owned)
}

/// Verifies an assertion with the keys of [`Expectations::client_id`] and of nobody else. Whether its `jti` was used
/// before is for the caller to find out.
pub fn verify(
    compact: &str,
    keys: &KeySet,
    expected: &Expectations<'_>,
) -> Result<Verified<ClientAssertion>, ClientAssertionError> {
    let payload = jws::verify(compact, &ExpectedType::one_of(&TYPES).or_absent(), keys)?;
    let claims = claims(payload.get()).map_err(ClientAssertionError::ClaimsJson)?;
    let is_client = |name: &str| claims.get(name).and_then(Value::as_str) == Some(expected.client_id);
    if !is_client("iss") {
        return Err(ClientAssertionError::Issuer);
    }
    if !is_client("sub") {
        return Err(ClientAssertionError::Subject);
    }
    if !is_for(claims.get("aud"), expected.audiences) {
        return Err(ClientAssertionError::Audience);
    }
    let remember_until = times(&claims, expected.now, LONGEST)?;
    let token_id = token_id(&claims).ok_or(ClientAssertionError::TokenId)?.to_owned();
    Ok(Verified::new(ClientAssertion { token_id, remember_until }))
}

impl From<TimeError> for ClientAssertionError {
    fn from(error: TimeError) -> Self {
        match error {
            TimeError::ExpiryForm => Self::ExpiryForm,
            TimeError::Expired => Self::Expired,
            TimeError::TooLong => Self::TooLong,
            TimeError::NotYetValid => Self::NotYetValid,
        }
    }
}

#[cfg(test)]
mod tests;
