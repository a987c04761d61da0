//! Access tokens as signed JWTs (RFC 9068).

use crate::{
    authorization_details::AuthorizationDetails,
    encoding,
    jose::{ExpectedType, JwsError, KeySet, Signer, SigningFailed, SigningKey, Verified, jws},
    json::{self, JsonError, Limits},
    jwt::{GrantReference, actor},
    secret::SecretString,
    time::Timestamp,
};
use serde::Serialize;
use serde_json::{Map, Value};
use std::time::Duration;

/// The `typ` of access tokens (RFC 9068 §2.1).
pub const TYPE: &str = "at+jwt";
/// Most that clocks may differ, whatever is configured.
pub const MAX_LEEWAY: Duration = Duration::from_mins(1);
/// Longest text of one claim that is read, in bytes.
pub(super) const MAX_CLAIM_LENGTH: usize = 2048;
/// Longest `scope` that is read, in bytes.
pub(super) const MAX_SCOPE_LENGTH: usize = crate::scope::MAX_LENGTH;

/// What an access token of ours says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessToken {
    /// `iss`: our issuer identifier as written.
    pub issuer: String,
    /// `sub`: the person, or the client where there is none.
    pub subject: String,
    /// `aud`: the one resource.
    pub audience: String,
    /// `client_id`.
    pub client_id: String,
    /// `iat`.
    pub issued_at: Timestamp,
    /// `exp`.
    pub expires_at: Timestamp,
    /// `scope`, tokens separated by single spaces.
    pub scope: Option<String>,
    /// `jti`.
    pub grant: GrantReference,
    /// `cnf.jkt`: the key without whose proof nobody takes the token (RFC 9449 §6.1).
    pub key_thumbprint: Option<[u8; 32]>,
    /// `act`: who acts for the subject, the one who acts now first (RFC 8693 §4.1). Empty for most.
    pub actors: Vec<String>,
    /// `authorization_details`: which tools it is for; all that the scope allows where it is not there (RFC 9396 §9.1).
    pub details: Option<AuthorizationDetails>,
}

/// The claims in the order written.
#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    client_id: &'a str,
    iat: i64,
    exp: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'a str>,
    jti: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    cnf: Option<Confirmation>,
    #[serde(skip_serializing_if = "Option::is_none")]
    act: Option<actor::Act<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    authorization_details: Option<&'a AuthorizationDetails>,
}

#[derive(Serialize)]
struct Confirmation {
    jkt: String,
}

/// Signs access tokens, and nothing else: its header always says [`TYPE`].
#[derive(Clone, Debug)]
pub struct AccessTokenSigner(Signer);

impl AccessTokenSigner {
    /// With this key. The header is encoded once.
    pub fn new(key: &SigningKey) -> Self {
        Self(Signer::new(key, TYPE))
    }

    /// The key.
    pub const fn key(&self) -> &SigningKey {
        self.0.key()
    }

    /// The token for the client.
    pub fn sign(&self, token: &AccessToken) -> Result<SecretString, SigningFailed> {
        let claims = Claims {
            iss: &token.issuer,
            sub: &token.subject,
            aud: &token.audience,
            client_id: &token.client_id,
            iat: token.issued_at.seconds(),
            exp: token.expires_at.seconds(),
            scope: token.scope.as_deref(),
            jti: &token.grant.to_string(),
            cnf: token.key_thumbprint.map(|key| Confirmation { jkt: encoding::base64url(&key) }),
            act: actor::written(&token.actors),
            authorization_details: token.details.as_ref(),
        };
        let mut payload = Vec::with_capacity(512);
        serde_json::to_writer(&mut payload, &claims).map_err(|_| SigningFailed)?;
        self.0.sign(&payload).map(SecretString::new)
    }
}

/// What a resource server asks of a token.
#[derive(Clone, Copy, Debug)]
pub struct Expectations<'a> {
    /// The issuer that the keys belong to, compared character by character.
    pub issuer: &'a str,
    /// The names of this resource server, compared character by character.
    pub audiences: &'a [&'a str],
    /// The present.
    pub now: Timestamp,
    /// How far clocks may differ; above [`MAX_LEEWAY`] it counts as that.
    pub leeway: Duration,
}

/// What a verified access token says, of any authorization server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedAccessToken {
    /// `iss`.
    pub issuer: String,
    /// `sub`.
    pub subject: String,
    /// `aud`, also when it was a single string.
    pub audiences: Vec<String>,
    /// `client_id`.
    pub client_id: String,
    /// `jti`.
    pub token_id: String,
    /// `jti` where it has our form. It only means something when the issuer is ours.
    pub grant: Option<GrantReference>,
    /// `iat`.
    pub issued_at: Option<Timestamp>,
    /// `exp`.
    pub expires_at: Timestamp,
    /// `scope` as sent; empty when missing.
    pub scope: String,
    /// `cnf.jkt`: the thumbprint of the DPoP key without which the token must not be accepted (RFC 9449 §6.1).
    pub key_thumbprint: Option<String>,
    /// `act`: who acts for the subject, the one who acts now first. Empty for most.
    pub actors: Vec<String>,
    /// `authorization_details`: which tools it is for; all that the scope allows where it is not there.
    pub details: Option<AuthorizationDetails>,
}

impl VerifiedAccessToken {
    /// Whether the client got it for itself and no person is behind it: `sub` is the client (RFC 9068 §2.2). Whoever takes
    /// `sub` for a person has to ask this first (RFC 9700 §4.15).
    pub fn is_of_the_client(&self) -> bool {
        is_of_client(&self.subject, &self.client_id)
    }
}

/// Whether a `sub` is the client and no person: the client itself, or the client, a space, and which of several programs it is.
/// No id of ours has a space in it, so that is the name of no person and of no other client.
pub fn is_of_client(subject: &str, client_id: &str) -> bool {
    subject.strip_prefix(client_id).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
}

/// Why an access token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccessTokenError {
    /// Its signature, header or type.
    #[error("{0}")]
    Jws(#[from] JwsError),
    /// The claims are not one strict JSON object.
    #[error("the claims are not strict JSON: {0}")]
    ClaimsJson(JsonError),
    /// `iss` is missing or not a string.
    #[error("the issuer is missing or malformed")]
    IssuerForm,
    /// `iss` is another issuer than the one whose keys verified it.
    #[error("the token is of another issuer")]
    WrongIssuer,
    /// `aud` is missing, or neither a string nor an array of strings.
    #[error("the audience is missing or malformed")]
    AudienceForm,
    /// `aud` does not contain us.
    #[error("the token is for another audience")]
    WrongAudience,
    /// `exp` is missing or not a whole number from 0.
    #[error("the expiry is missing or malformed")]
    ExpiryForm,
    /// `exp` is past.
    #[error("the token has expired")]
    Expired,
    /// `nbf` is not a whole number from 0.
    #[error("the start of validity is malformed")]
    NotBeforeForm,
    /// `nbf` is in the future.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// `iat` is not a whole number from 0.
    #[error("the time of issue is malformed")]
    IssuedAtForm,
    /// `iat` is in the future.
    #[error("the token was issued in the future")]
    IssuedInTheFuture,
    /// `sub` is missing, empty, too long or not a string.
    #[error("the subject is missing or malformed")]
    SubjectForm,
    /// `client_id` is missing, empty, too long or not a string.
    #[error("the client id is missing or malformed")]
    ClientIdForm,
    /// `jti` is missing, empty, too long or not a string.
    #[error("the token id is missing or malformed")]
    TokenIdForm,
    /// `scope` is too long or not a string.
    #[error("the scope is malformed")]
    ScopeForm,
    /// `act` is not a chain of names, or longer than one may be.
    #[error("the chain of actors is malformed")]
    ActorForm,
    /// The groups of the person are malformed, too many, or somewhere else. They may be what the person may not do.
    #[error("the groups are malformed, too many, or not in the token")]
    GroupsForm,
    /// `authorization_details` that we do not understand. They say what the token is not good for.
    #[error("the authorization details are not understood")]
    Details,
    /// `cnf` is not an object, or its `jkt` is not a thumbprint.
    #[error("the confirmation key is malformed")]
    ConfirmationForm,
    /// `cnf` binds the token by means that we cannot check. Taking it as a bearer token would undo the binding.
    #[error("the token is bound to a key in an unsupported way")]
    ConfirmationUnsupported,
    /// What says so is an ID token, a refresh token or a token of another kind, in a form that access tokens of this issuer
    /// have too.
    #[error("the token is of another kind than an access token")]
    OtherKind,
    /// Its authorization server says that it is not alive (RFC 7662 §2.2).
    #[error("the token is not active")]
    Inactive,
}

/// Verifies an access token (RFC 9068 §4): signature and type, issuer, audience, times, and the form of every claim
/// that is passed on. `keys` must be the keys of [`Expectations::issuer`] and of nobody else.
pub fn verify(
    compact: &str,
    keys: &KeySet,
    expected: &Expectations<'_>,
) -> Result<Verified<VerifiedAccessToken>, AccessTokenError> {
    let payload = jws::verify(compact, &ExpectedType::only(TYPE), keys)?;
    let claims = parse_claims(payload.get())?;
    let issuer = text(&claims, "iss", MAX_CLAIM_LENGTH).ok_or(AccessTokenError::IssuerForm)?;
    // Issuers with a slash more or less, or another case, are others: prefixes and repairs let a stranger in.
    if issuer != expected.issuer {
        return Err(AccessTokenError::WrongIssuer);
    }
    let audiences = audiences(&claims)?;
    if !audiences.iter().any(|audience| expected.audiences.contains(&audience.as_str())) {
        return Err(AccessTokenError::WrongAudience);
    }
    let (issued_at, expires_at) = times(&claims, expected)?;
    let subject = text(&claims, "sub", MAX_CLAIM_LENGTH).ok_or(AccessTokenError::SubjectForm)?;
    let client_id = text(&claims, "client_id", MAX_CLAIM_LENGTH).ok_or(AccessTokenError::ClientIdForm)?;
    let token_id = text(&claims, "jti", MAX_CLAIM_LENGTH).ok_or(AccessTokenError::TokenIdForm)?;
    Ok(Verified::new(VerifiedAccessToken {
        issuer: issuer.to_owned(),
        subject: subject.to_owned(),
        audiences,
        client_id: client_id.to_owned(),
        token_id: token_id.to_owned(),
        grant: GrantReference::parse(token_id),
        issued_at,
        expires_at,
        scope: scope(&claims)?,
        key_thumbprint: key_thumbprint(&claims)?,
        actors: actor::read(&claims).ok_or(AccessTokenError::ActorForm)?,
        details: details(&claims)?,
    }))
}

/// The `iss` of a token that nobody has verified, to choose among the issuers that we trust. Never fetch from it.
pub fn unverified_issuer(compact: &str) -> Result<String, AccessTokenError> {
    let claims = parse_claims(&jws::unverified_payload(compact)?)?;
    text(&claims, "iss", MAX_CLAIM_LENGTH).map(str::to_owned).ok_or(AccessTokenError::IssuerForm)
}

pub(super) fn parse_claims(payload: &[u8]) -> Result<Map<String, Value>, AccessTokenError> {
    let limits = Limits { bytes: jws::MAX_LENGTH, ..Limits::default() };
    json::parse_object(payload, limits).map_err(AccessTokenError::ClaimsJson)
}

/// A string that is there, not empty and not too long.
pub(super) fn text<'a>(claims: &'a Map<String, Value>, name: &str, longest: usize) -> Option<&'a str> {
    claims.get(name)?.as_str().filter(|text| !text.is_empty() && text.len() <= longest)
}

/// A string or an array of strings (RFC 7519 §4.1.3), each within bounds.
pub(super) fn audiences(claims: &Map<String, Value>) -> Result<Vec<String>, AccessTokenError> {
    let read = |value: &Value| {
        let text = value.as_str().filter(|text| text.len() <= MAX_CLAIM_LENGTH);
        text.map(str::to_owned).ok_or(AccessTokenError::AudienceForm)
    };
    match claims.get("aud") {
        Some(Value::Array(values)) => values.iter().map(read).collect(),
        Some(value) => read(value).map(|one| vec![one]),
        None => Err(AccessTokenError::AudienceForm),
    }
}

/// `iat` and `exp`, after `exp`, `nbf` and `iat` were compared with the present (RFC 7519 §4.1.4 to §4.1.6).
pub(super) fn times(
    claims: &Map<String, Value>,
    expected: &Expectations<'_>,
) -> Result<(Option<Timestamp>, Timestamp), AccessTokenError> {
    let leeway = expected.leeway.min(MAX_LEEWAY);
    let expires_at =
        date(claims, "exp", AccessTokenError::ExpiryForm)?.ok_or(AccessTokenError::ExpiryForm)?;
    if expected.now >= expires_at.plus(leeway) {
        return Err(AccessTokenError::Expired);
    }
    let latest_start = expected.now.plus(leeway);
    let not_before = date(claims, "nbf", AccessTokenError::NotBeforeForm)?;
    if not_before.is_some_and(|start| start > latest_start) {
        return Err(AccessTokenError::NotYetValid);
    }
    let issued_at = date(claims, "iat", AccessTokenError::IssuedAtForm)?;
    if issued_at.is_some_and(|start| start > latest_start) {
        return Err(AccessTokenError::IssuedInTheFuture);
    }
    Ok((issued_at, expires_at))
}

/// A whole number of seconds from 0. Strings, fractions, exponents and negative numbers mean different times to
/// different readers, so they are refused although RFC 7519 §2 allows fractions.
fn date(
    claims: &Map<String, Value>,
    name: &str,
    error: AccessTokenError,
) -> Result<Option<Timestamp>, AccessTokenError> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    let seconds = value.as_i64().filter(|seconds| *seconds >= 0).ok_or(error)?;
    Ok(Some(Timestamp::from_seconds(seconds)))
}

fn scope(claims: &Map<String, Value>) -> Result<String, AccessTokenError> {
    let Some(value) = claims.get("scope") else { return Ok(String::new()) };
    let text = value.as_str().filter(|text| text.len() <= MAX_SCOPE_LENGTH);
    text.map(str::to_owned).ok_or(AccessTokenError::ScopeForm)
}

/// A token that is limited in a way which we cannot check is not taken for one without limits.
pub(super) fn details(claims: &Map<String, Value>) -> Result<Option<AuthorizationDetails>, AccessTokenError> {
    let read = |value| AuthorizationDetails::from_value(value).map_err(|_| AccessTokenError::Details);
    claims.get("authorization_details").map(read).transpose()
}

pub(super) fn key_thumbprint(claims: &Map<String, Value>) -> Result<Option<String>, AccessTokenError> {
    let Some(confirmation) = claims.get("cnf") else { return Ok(None) };
    let members = confirmation.as_object().ok_or(AccessTokenError::ConfirmationForm)?;
    let thumbprint = members.get("jkt").ok_or(AccessTokenError::ConfirmationUnsupported)?;
    let thumbprint = thumbprint.as_str().filter(|text| encoding::array_from_base64url::<32>(text).is_some());
    thumbprint.map(|text| Some(text.to_owned())).ok_or(AccessTokenError::ConfirmationForm)
}

#[cfg(test)]
mod tests;
