//! Assertions that are the grant themselves (RFC 7523 §2.1): somebody whom an operator trusts says who asks.
//!
//! The signature proves who made it, its single audience that it was made for us, its `jti` that it is used once. Which
//! access that is worth is for the caller's rules.

use super::assertion::{TimeError, claims, is_for, times, token_id};
use crate::{
    jose::{ExpectedType, JwsError, KeySet, Verified, jws},
    json::JsonError,
    time::Timestamp,
};
use serde_json::{Map, Value};
use std::time::Duration;

/// `grant_type` (RFC 7523 §2.1).
pub const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// Types that a platform's token names, if it names one. Every other kind of token has its own and is refused.
const WORKLOAD_TYPES: [&str; 2] = ["JWT", "JOSE"];
/// The one type of an identity assertion (draft-ietf-oauth-identity-assertion-authz-grant §3.1).
pub const IDENTITY_TYPE: &str = "oauth-id-jag+jwt";
/// The profile that says so in metadata (§7).
pub const IDENTITY_PROFILE: &str = "urn:ietf:params:oauth:grant-profile:id-jag";
/// Longest life that is left of an identity assertion, which is made for one request.
pub const LONGEST_IDENTITY: Duration = Duration::from_hours(1);
/// Longest life that is left of a platform's token: its `jti` has to be remembered until it ends.
pub const LONGEST_WORKLOAD: Duration = Duration::from_hours(24);
/// Longest text of one claim that is used, in bytes.
pub const MAX_CLAIM_LENGTH: usize = 2048;

/// What kind of assertion is expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A platform says which program asks (SEP-1933).
    Workload,
    /// A company's identity provider says which person a client asks for (ID-JAG).
    Identity,
}

/// What an assertion has to say.
#[derive(Clone, Copy, Debug)]
pub struct Expectations<'a> {
    /// What it is.
    pub kind: Kind,
    /// The issuer that the keys belong to, compared character by character.
    pub issuer: &'a str,
    /// What we are called, compared character by character: one of these is the only audience.
    pub audiences: &'a [&'a str],
    /// The present.
    pub now: Timestamp,
}

/// What a verified assertion says.
#[derive(Clone, Debug, PartialEq)]
pub struct GrantAssertion {
    /// `iss`.
    pub issuer: String,
    /// `sub`.
    pub subject: String,
    /// `jti`: good once.
    pub token_id: String,
    /// Until when the `jti` has to be remembered: `exp` and what clocks may differ.
    pub remember_until: Timestamp,
    /// Everything that it says.
    pub claims: Map<String, Value>,
}

/// Why an assertion is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GrantAssertionError {
    /// Its signature, header or type.
    #[error("{0}")]
    Jws(#[from] JwsError),
    /// The claims are not one strict JSON object.
    #[error("the claims are not strict JSON: {0}")]
    ClaimsJson(JsonError),
    /// `iss` is not the issuer whose keys these are.
    #[error("iss is not this issuer")]
    Issuer,
    /// `sub` is missing, empty, too long or not a string.
    #[error("sub is missing or malformed")]
    Subject,
    /// `aud` is not this authorization server alone.
    #[error("aud is not this server alone")]
    Audience,
    /// `exp` is missing or not a number.
    #[error("exp is missing or malformed")]
    ExpiryForm,
    /// `exp` is past.
    #[error("the assertion has expired")]
    Expired,
    /// `exp` is too far away.
    #[error("the assertion lives for too long")]
    TooLong,
    /// `iat` is missing.
    #[error("iat is missing")]
    IssuedAtMissing,
    /// `nbf` or `iat` is malformed or in the future.
    #[error("nbf or iat is malformed or in the future")]
    NotYetValid,
    /// `jti` is missing, empty, too long or not a string.
    #[error("jti is missing or malformed")]
    TokenId,
}

impl From<TimeError> for GrantAssertionError {
    fn from(error: TimeError) -> Self {
        match error {
            TimeError::ExpiryForm => Self::ExpiryForm,
            TimeError::Expired => Self::Expired,
            TimeError::TooLong => Self::TooLong,
            TimeError::NotYetValid => Self::NotYetValid,
        }
    }
}

/// The `iss` of an assertion that nobody has verified, to choose among the issuers that an operator named. Never fetch
/// from it.
pub fn unverified_issuer(compact: &str) -> Option<String> {
    let claims = claims(&jws::unverified_payload(compact).ok()?).ok()?;
    text(&claims, "iss").map(str::to_owned)
}

/// Verifies an assertion with the keys of [`Expectations::issuer`] and of nobody else. Whether its `jti` was used before is
/// for the caller to find out.
pub fn verify(
    compact: &str,
    keys: &KeySet,
    expected: &Expectations<'_>,
) -> Result<Verified<GrantAssertion>, GrantAssertionError> {
    let (typ, longest) = match expected.kind {
        Kind::Workload => (ExpectedType::one_of(&WORKLOAD_TYPES).or_absent(), LONGEST_WORKLOAD),
        Kind::Identity => (ExpectedType::only(IDENTITY_TYPE), LONGEST_IDENTITY),
    };
    let payload = jws::verify(compact, &typ, keys)?;
    let claims = claims(payload.get()).map_err(GrantAssertionError::ClaimsJson)?;
    let issuer = text(&claims, "iss").ok_or(GrantAssertionError::Issuer)?.to_owned();
    if issuer != expected.issuer {
        return Err(GrantAssertionError::Issuer);
    }
    if !is_for(claims.get("aud"), expected.audiences) {
        return Err(GrantAssertionError::Audience);
    }
    let subject = text(&claims, "sub").ok_or(GrantAssertionError::Subject)?.to_owned();
    let remember_until = times(&claims, expected.now, longest)?;
    if !claims.contains_key("iat") {
        return Err(GrantAssertionError::IssuedAtMissing);
    }
    let token_id = token_id(&claims).ok_or(GrantAssertionError::TokenId)?.to_owned();
    Ok(Verified::new(GrantAssertion { issuer, subject, token_id, remember_until, claims }))
}

fn text<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    claims.get(name)?.as_str().filter(|text| !text.is_empty() && text.len() <= MAX_CLAIM_LENGTH)
}

#[cfg(test)]
mod tests;
