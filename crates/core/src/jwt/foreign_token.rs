//! Access tokens of authorization servers that are not ours: signed ones, and what a server says of opaque ones (RFC 7662).
//!
//! A signature, or an answer, is worth as much here as for a token of ours: issuer, audience, times and forms are compared in
//! the same way. What differs is how a server names scopes, clients and machines, and whether it marks access tokens as such.

use super::{
    access_token::{
        AccessTokenError, Expectations, MAX_CLAIM_LENGTH, MAX_SCOPE_LENGTH, TYPE, audiences, details,
        key_thumbprint, parse_claims, text, times,
    },
    actor,
};
use crate::{
    authorization_details::AuthorizationDetails,
    encoding,
    jose::{ExpectedType, KeySet, Verified, jws},
    json::{self, JsonError, Limits},
    scope::{self, Scope},
    time::Timestamp,
};
use serde_json::{Map, Value};

/// Longest answer of an introspection endpoint that is read, in bytes.
pub const MAX_ANSWER: usize = 64 * 1024;
/// Most audiences of one token.
const MAX_AUDIENCES: usize = 32;
/// Most groups of one token: Entra writes up to 200.
const MAX_GROUPS: usize = 256;

/// What a server writes into the header of its access tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TokenType {
    /// `at+jwt` (RFC 9068 §2.1), which no other kind of token has.
    #[default]
    AccessToken,
    /// `JWT`, or nothing: as its ID tokens have, which are told apart by what they say.
    Plain,
}

/// How the tokens of one server are read.
#[derive(Clone, Copy, Debug, Default)]
pub struct Style<'a> {
    /// Their `typ`.
    pub typ: TokenType,
    /// The claims that hold scopes, each as a text with spaces or as a list. Without any, `scope` as a text (RS-034).
    pub scope_claims: &'a [String],
    /// The claim that holds the groups of a person, as a list or as one text. Without it nobody has any.
    pub groups_claim: Option<&'a str>,
}

/// What a token says, once it is known to be genuine and for us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignToken {
    /// `sub`, as that server has it: the same text is somebody else at another one.
    pub subject: String,
    /// The client, as that server has it.
    pub client_id: String,
    /// No person is behind it (RFC 9700 §4.15).
    pub is_machine: bool,
    /// What was granted, by that server's names.
    pub scope: Scope,
    /// `exp`.
    pub expires_at: Timestamp,
    /// `cnf.jkt`: the key without whose proof the token must not be accepted (RFC 9449 §6.1).
    pub key: Option<[u8; 32]>,
    /// `act`: who acts for the subject, the one who acts now first.
    pub actors: Vec<String>,
    /// `authorization_details`: which tools it is for.
    pub details: Option<AuthorizationDetails>,
    /// The groups of the person, by that server's names.
    pub groups: Vec<String>,
}

/// A token that its server calls active. For whom it is has still to be asked: [`Self::at`] is the only way in.
#[derive(Clone, Debug)]
pub struct Introspected {
    token: ForeignToken,
    audiences: Vec<String>,
}

/// Why an answer is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IntrospectionError {
    /// Not one strict JSON object.
    #[error("the answer is not strict JSON: {0}")]
    Json(#[from] JsonError),
    /// It does not say whether the token is active.
    #[error("the answer does not say whether the token is active")]
    NoVerdict,
    /// It does, and the token is not to be taken.
    #[error("{0}")]
    Token(#[from] AccessTokenError),
}

impl Introspected {
    /// The token, where it is for one of these, compared character by character. An answer without `aud` is for nobody: a
    /// server that says of every token only that it is alive would make one for another server good here (RS-031).
    ///
    /// # Errors
    /// [`AccessTokenError::WrongAudience`].
    pub fn at(&self, accepted: &[String]) -> Result<ForeignToken, AccessTokenError> {
        let ours = self.audiences.iter().any(|audience| accepted.contains(audience));
        if ours { Ok(self.token.clone()) } else { Err(AccessTokenError::WrongAudience) }
    }

    /// `exp`.
    pub const fn expires_at(&self) -> Timestamp {
        self.token.expires_at
    }
}

/// Verifies a signed access token of another server (RFC 9068 §4). `keys` are those of [`Expectations::issuer`] and of nobody
/// else.
///
/// # Errors
/// As for a token of ours, and [`AccessTokenError::OtherKind`].
pub fn verify(
    compact: &str,
    keys: &KeySet,
    expected: &Expectations<'_>,
    style: &Style<'_>,
) -> Result<Verified<ForeignToken>, AccessTokenError> {
    let typ = match style.typ {
        TokenType::AccessToken => ExpectedType::only(TYPE),
        TokenType::Plain => ExpectedType::one_of(&["JWT", TYPE]).or_absent(),
    };
    let payload = jws::verify(compact, &typ, keys)?;
    let claims = parse_claims(payload.get())?;
    let issuer = text(&claims, "iss", MAX_CLAIM_LENGTH).ok_or(AccessTokenError::IssuerForm)?;
    if issuer != expected.issuer {
        return Err(AccessTokenError::WrongIssuer);
    }
    let audiences = bounded_audiences(&claims)?;
    if !audiences.iter().any(|audience| expected.audiences.contains(&audience.as_str())) {
        return Err(AccessTokenError::WrongAudience);
    }
    if style.typ == TokenType::Plain && is_of_another_kind(&claims, &audiences) {
        return Err(AccessTokenError::OtherKind);
    }
    let subject = name(&claims, "sub").ok_or(AccessTokenError::SubjectForm)?;
    let token = read(&claims, Some(subject), expected, style)?;
    Ok(Verified::new(token))
}

/// Reads the answer of an introspection endpoint (RFC 7662 §2.2). `expected.audiences` is not looked at:
/// [`Introspected::at`] compares. Nor is the `typ` of `style`: there is no header.
///
/// # Errors
/// That the answer is none, or what is wrong with the token.
pub fn introspected(
    answer: &[u8],
    expected: &Expectations<'_>,
    style: &Style<'_>,
) -> Result<Introspected, IntrospectionError> {
    let claims = json::parse_object(answer, Limits { bytes: MAX_ANSWER, ..Limits::default() })?;
    match claims.get("active") {
        Some(Value::Bool(true)) => {}
        Some(Value::Bool(false)) => return Err(AccessTokenError::Inactive.into()),
        Some(_) | None => return Err(IntrospectionError::NoVerdict),
    }
    // Optional here; where it is there, it is whom we asked.
    if claims.get("iss").is_some_and(|issuer| issuer.as_str() != Some(expected.issuer)) {
        return Err(AccessTokenError::WrongIssuer.into());
    }
    let kind = |name: &str, usual: &[&str]| match claims.get(name) {
        None => true,
        Some(value) => {
            value.as_str().is_some_and(|value| usual.iter().any(|one| one.eq_ignore_ascii_case(value)))
        }
    };
    // A refresh token is alive too.
    if !kind("token_type", &["Bearer", "DPoP"]) || !kind("token_use", &["access_token", "access"]) {
        return Err(AccessTokenError::OtherKind.into());
    }
    let audiences = bounded_audiences(&claims)?;
    // Of a client that asked for itself, many servers say no more than its id.
    let subject = match claims.get("sub") {
        Some(_) => Some(name(&claims, "sub").ok_or(AccessTokenError::SubjectForm)?),
        None => None,
    };
    let token = read(&claims, subject, expected, style)?;
    let bound = claims.get("token_type").and_then(Value::as_str);
    if bound.is_some_and(|typ| typ.eq_ignore_ascii_case("DPoP")) && token.key.is_none() {
        return Err(AccessTokenError::ConfirmationForm.into());
    }
    Ok(Introspected { token, audiences })
}

/// What is read in the same way wherever it comes from.
fn read(
    claims: &Map<String, Value>,
    subject: Option<&str>,
    expected: &Expectations<'_>,
    style: &Style<'_>,
) -> Result<ForeignToken, AccessTokenError> {
    let (_, expires_at) = times(claims, expected)?;
    let client_id = client_id(claims).ok_or(AccessTokenError::ClientIdForm)?;
    let key = match key_thumbprint(claims)? {
        None => None,
        Some(text) => {
            let key = encoding::array_from_base64url(&text);
            Some(key.ok_or(AccessTokenError::ConfirmationForm)?)
        }
    };
    let actors = actor::read(claims).ok_or(AccessTokenError::ActorForm)?;
    if actors.iter().any(|actor| !is_printable(actor)) {
        return Err(AccessTokenError::ActorForm);
    }
    Ok(ForeignToken {
        subject: subject.unwrap_or(client_id).to_owned(),
        client_id: client_id.to_owned(),
        is_machine: subject.is_none_or(|subject| is_of_the_client(claims, subject, client_id)),
        scope: scope(claims, style.scope_claims)?,
        expires_at,
        key,
        actors,
        details: details(claims)?,
        groups: groups(claims, style.groups_claim)?,
    })
}

/// The groups that a claim names. What is not understood is refused and not left out, since a rule may forbid something to a
/// group; so is a token that says that they are elsewhere, as Entra's of somebody in very many.
fn groups(claims: &Map<String, Value>, claim: Option<&str>) -> Result<Vec<String>, AccessTokenError> {
    let Some(claim) = claim else { return Ok(Vec::new()) };
    let elsewhere = claims.get("_claim_names").is_some_and(|names| names.get(claim).is_some())
        || claims.get("hasgroups") == Some(&Value::Bool(true));
    let usable = |value: &Value| {
        let text = value.as_str()?;
        let fits = !text.is_empty() && text.len() <= MAX_CLAIM_LENGTH && is_printable(text);
        fits.then(|| text.to_owned())
    };
    let found = match claims.get(claim) {
        _ if elsewhere => None,
        None | Some(Value::Null) => Some(Vec::new()),
        Some(Value::Array(values)) if values.len() <= MAX_GROUPS => values.iter().map(usable).collect(),
        Some(one) => usable(one).map(|one| vec![one]),
    };
    found.ok_or(AccessTokenError::GroupsForm)
}

/// `client_id` (RFC 9068 §2.2), or what servers say in its place that have not read that: `azp` (Keycloak, Auth0, Entra v2),
/// `appid` (Entra v1), `cid` (Okta).
fn client_id(claims: &Map<String, Value>) -> Option<&str> {
    let names = ["client_id", "azp", "appid", "cid"];
    names.into_iter().find(|claim| claims.contains_key(*claim)).and_then(|claim| name(claims, claim))
}

/// Whether the client got it for itself: as RFC 9068 §2.2 has it, and as Entra (`idtyp`) and Auth0 (`gty`) do.
fn is_of_the_client(claims: &Map<String, Value>, subject: &str, client_id: &str) -> bool {
    let says = |claim: &str, value: &str| claims.get(claim).and_then(Value::as_str) == Some(value);
    subject == client_id
        || subject.strip_suffix("@clients") == Some(client_id)
        || says("idtyp", "app")
        || says("gty", "client-credentials")
}

/// Whether it is an ID token, or whatever else a server signs with the same keys and the same `typ`. Each mark alone is
/// enough: what an ID token says of its sign-in (OpenID Connect Core §2, §3.1.3.6), its audience, which is its client, and what
/// Cognito and Keycloak call it.
fn is_of_another_kind(claims: &Map<String, Value>, audiences: &[String]) -> bool {
    let says = |claim: &str, accepted: &[&str]| match claims.get(claim) {
        None => true,
        Some(value) => value.as_str().is_some_and(|value| accepted.contains(&value)),
    };
    let marks = ["nonce", "at_hash", "c_hash", "s_hash", "events", "logout_token"];
    let is_for_its_client =
        client_id(claims).is_some_and(|client| audiences.iter().any(|audience| audience == client));
    marks.iter().any(|mark| claims.contains_key(*mark))
        || is_for_its_client
        || !says("token_use", &["access"])
        || !says("typ", &["Bearer", "DPoP"])
}

/// A name that can stand in a log and before or after another one: no control characters.
fn name<'a>(claims: &'a Map<String, Value>, claim: &str) -> Option<&'a str> {
    text(claims, claim, MAX_CLAIM_LENGTH).filter(|name| is_printable(name))
}

fn is_printable(text: &str) -> bool {
    !text.chars().any(char::is_control)
}

fn bounded_audiences(claims: &Map<String, Value>) -> Result<Vec<String>, AccessTokenError> {
    let audiences = audiences(claims)?;
    if audiences.len() <= MAX_AUDIENCES { Ok(audiences) } else { Err(AccessTokenError::AudienceForm) }
}

/// The scopes of these claims together. A claim that is not there grants nothing.
fn scope(claims: &Map<String, Value>, names: &[String]) -> Result<Scope, AccessTokenError> {
    let malformed = AccessTokenError::ScopeForm;
    let one = |value: &Value, lists: bool| match value {
        Value::String(text) => Scope::parse(text).map_err(|_| malformed),
        Value::Array(values) if lists => {
            let tokens: Option<Vec<&str>> = values.iter().map(Value::as_str).collect();
            let tokens = tokens.filter(|tokens| tokens.iter().all(|token| scope::is_token(token)));
            let length = |tokens: &Vec<&str>| tokens.iter().map(|token| token.len() + 1).sum::<usize>();
            let tokens = tokens.filter(|tokens| length(tokens) <= MAX_SCOPE_LENGTH);
            tokens.map(Scope::of).ok_or(malformed)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            Err(malformed)
        }
    };
    if names.is_empty() {
        return claims.get("scope").map_or(Ok(Scope::none()), |value| one(value, false));
    }
    let there = names.iter().filter_map(|name| claims.get(name.as_str()));
    there.map(|value| one(value, true)).try_fold(Scope::none(), |all, next| Ok(all.united_with(&next?)))
}

#[cfg(test)]
mod tests;
