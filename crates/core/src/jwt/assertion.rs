//! What assertions have in common, whoever made them and whatever for: one audience, and a life that ends soon.

use crate::{
    jose::jws,
    json::{self, JsonError, Limits},
    time::Timestamp,
};
use serde_json::{Map, Value};
use std::time::Duration;

/// How far clocks may differ.
const LEEWAY: Duration = Duration::from_secs(30);
/// Longest `jti`, in bytes.
const MAX_TOKEN_ID: usize = 255;

/// What is wrong with the times of an assertion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TimeError {
    /// `exp` is missing or not a number.
    ExpiryForm,
    /// `exp` is past.
    Expired,
    /// `exp` is too far away.
    TooLong,
    /// `nbf` or `iat` is malformed or in the future.
    NotYetValid,
}

/// The claims: one strict object.
pub(super) fn claims(payload: &[u8]) -> Result<Map<String, Value>, JsonError> {
    json::parse_object(payload, Limits { bytes: jws::MAX_LENGTH, ..Limits::default() })
}

/// Whether `aud` is one of these and nothing else: one made out to several servers could be used by each of them at the
/// others.
pub(super) fn is_for(audience: Option<&Value>, accepted: &[&str]) -> bool {
    let audience = match audience {
        Some(Value::Array(values)) => match values.as_slice() {
            [only] => Some(only),
            _ => None,
        },
        other => other,
    };
    audience.and_then(Value::as_str).is_some_and(|audience| accepted.contains(&audience))
}

/// Checks `exp`, `nbf` and `iat`; answers when the assertion is over for everybody.
pub(super) fn times(
    claims: &Map<String, Value>,
    now: Timestamp,
    longest: Duration,
) -> Result<Timestamp, TimeError> {
    let date = |name| json::numeric_date(claims, name).map(|date| date.map(Timestamp::from_seconds));
    let expiry = date("exp").ok().flatten().ok_or(TimeError::ExpiryForm)?;
    let end = expiry.plus(LEEWAY);
    if now >= end {
        return Err(TimeError::Expired);
    }
    if expiry > now.plus(longest + LEEWAY) {
        return Err(TimeError::TooLong);
    }
    for name in ["nbf", "iat"] {
        match date(name) {
            Ok(Some(start)) if start > now.plus(LEEWAY) => return Err(TimeError::NotYetValid),
            Ok(Some(_) | None) => {}
            Err(_) => return Err(TimeError::NotYetValid),
        }
    }
    Ok(end)
}

/// `jti`, if it can be remembered.
pub(super) fn token_id(claims: &Map<String, Value>) -> Option<&str> {
    claims.get("jti").and_then(Value::as_str).filter(|id| !id.is_empty() && id.len() <= MAX_TOKEN_ID)
}
