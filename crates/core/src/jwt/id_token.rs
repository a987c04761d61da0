//! ID tokens (OpenID Connect Core §2): verify. An identity provider tells us, its client, who signed in there just now.
//!
//! What makes it the answer to our question and to nobody else's: the signature (who says so), the one audience (to whom), the
//! nonce (to which question), and, where that was asked, when the person was there.

use super::assertion::{TimeError, claims, is_for, times};
use crate::{
    jose::{ExpectedType, JwsError, KeySet, Verified, jws},
    json::{self, JsonError},
    secret,
    time::Timestamp,
};
use serde_json::{Map, Value};
use std::time::Duration;

/// Longest life that is left: it is read once, at once, and providers give it a day at most.
const LONGEST: Duration = Duration::from_hours(24);
/// Longest `sub`, in bytes (§2: 255 ASCII characters).
pub const MAX_SUBJECT: usize = 255;

/// What an ID token has to say.
#[derive(Clone, Copy, Debug)]
pub struct Expectations<'a> {
    /// The issuer that the keys belong to, compared character by character.
    pub issuer: &'a str,
    /// Our `client_id` there: the only audience.
    pub client_id: &'a str,
    /// Of the request that it answers.
    pub nonce: &'a str,
    /// The present.
    pub now: Timestamp,
}

/// What a verified ID token says.
#[derive(Clone, Debug, PartialEq)]
pub struct IdToken {
    /// `sub`: with the issuer the one name of a person that never means another (§2).
    pub subject: String,
    /// `auth_time`: when the person was there, where the provider says so.
    pub authenticated_at: Option<Timestamp>,
    /// Everything that it says.
    pub claims: Map<String, Value>,
}

/// Why an ID token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IdTokenError {
    /// Its signature, header or type.
    #[error("{0}")]
    Jws(#[from] JwsError),
    /// The claims are not one strict JSON object.
    #[error("the claims are not strict JSON: {0}")]
    ClaimsJson(JsonError),
    /// `iss` is not the issuer whose keys these are.
    #[error("iss is not this issuer")]
    Issuer,
    /// `sub` is missing, empty, too long or not a plain string.
    #[error("sub is missing or malformed")]
    Subject,
    /// `aud` is not this client alone.
    #[error("aud is not this client alone")]
    Audience,
    /// `azp` is another client: the token was made for that one (§3.1.3.7).
    #[error("azp is another client")]
    AuthorizedParty,
    /// `exp` is missing or not a number.
    #[error("exp is missing or malformed")]
    ExpiryForm,
    /// `exp` is past.
    #[error("the ID token has expired")]
    Expired,
    /// `exp` is too far away.
    #[error("the ID token lives for too long")]
    TooLong,
    /// `iat` is missing.
    #[error("iat is missing")]
    IssuedAtMissing,
    /// `nbf` or `iat` is malformed or in the future.
    #[error("nbf or iat is malformed or in the future")]
    NotYetValid,
    /// `nonce` is missing or another: this is the answer to another question.
    #[error("nonce is missing or of another request")]
    Nonce,
    /// `auth_time` is not a number.
    #[error("auth_time is malformed")]
    AuthenticationTime,
}

impl From<TimeError> for IdTokenError {
    fn from(error: TimeError) -> Self {
        match error {
            TimeError::ExpiryForm => Self::ExpiryForm,
            TimeError::Expired => Self::Expired,
            TimeError::TooLong => Self::TooLong,
            TimeError::NotYetValid => Self::NotYetValid,
        }
    }
}

/// Verifies an ID token with the keys of [`Expectations::issuer`] and of nobody else (§3.1.3.7).
pub fn verify(
    compact: &str,
    keys: &KeySet,
    expected: &Expectations<'_>,
) -> Result<Verified<IdToken>, IdTokenError> {
    // Every other token that a provider signs with the same keys names its kind: at+jwt, logout+jwt.
    let payload = jws::verify(compact, &ExpectedType::only("JWT").or_absent(), keys)?;
    let claims = claims(payload.get()).map_err(IdTokenError::ClaimsJson)?;
    let text = |name: &str| claims.get(name).map(|value| value.as_str().unwrap_or_default());
    if text("iss") != Some(expected.issuer) {
        return Err(IdTokenError::Issuer);
    }
    if !is_for(claims.get("aud"), &[expected.client_id]) {
        return Err(IdTokenError::Audience);
    }
    if text("azp").is_some_and(|party| party != expected.client_id) {
        return Err(IdTokenError::AuthorizedParty);
    }
    let subject = text("sub").filter(|subject| is_subject(subject)).ok_or(IdTokenError::Subject)?;
    times(&claims, expected.now, LONGEST)?;
    if !claims.contains_key("iat") {
        return Err(IdTokenError::IssuedAtMissing);
    }
    let nonce = text("nonce").ok_or(IdTokenError::Nonce)?;
    if !secret::equal(nonce.as_bytes(), expected.nonce.as_bytes()) {
        return Err(IdTokenError::Nonce);
    }
    let date = json::numeric_date(&claims, "auth_time").map_err(|_| IdTokenError::AuthenticationTime)?;
    let (subject, authenticated_at) = (subject.to_owned(), date.map(Timestamp::from_seconds));
    Ok(Verified::new(IdToken { subject, authenticated_at, claims }))
}

/// Whether this may be the name of a person at a provider: what is shown to people and kept in rows.
pub fn is_subject(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_SUBJECT && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests;
