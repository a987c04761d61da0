//! Requests to the token endpoint, written here and read here, sent elsewhere.

use crate::{
    authorize::Pending,
    callback::Code,
    peer::{Failure, PeerText},
    proof::ProofKey,
    storage::{ClientCredentials, TokenAuth, Tokens},
};
use bytes::Bytes;
use hallpass_core::{json, parameters::encode, scope::Scope, secret::SecretString, time::Timestamp};
use http::{HeaderMap, HeaderValue, Request, Response, header};
use serde_json::{Map, Value};
use std::time::Duration;

/// A longer lifetime is a mistake; the token is tried and refreshed when refused.
const MAX_LIFETIME: i64 = 366 * 24 * 60 * 60;
/// A server that asks for a longer pause is asked again by the person.
const MAX_RETRY_AFTER: u64 = 60 * 60;

/// Why there are no tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The request cannot be written: a configured secret or URL is unusable.
    #[error("the token request cannot be made from these credentials")]
    Request,
    /// `invalid_grant`: the code or refresh token is not good (any more).
    #[error("the authorization server no longer accepts this sign-in")]
    InvalidGrant,
    /// `invalid_client` or `unauthorized_client`: it does not know this client.
    #[error("the authorization server does not know this client (any more)")]
    InvalidClient,
    /// `invalid_target` (RFC 8707 §2).
    #[error("the authorization server does not issue tokens for this server (invalid_target)")]
    InvalidTarget,
    /// `invalid_scope`.
    #[error("the authorization server does not grant these scopes")]
    InvalidScope,
    /// It may work later: 5xx, 429, `temporarily_unavailable`. Nothing is deleted for this (CL-072).
    #[error("the authorization server is not able to answer at the moment")]
    Unavailable {
        /// `Retry-After`, at most an hour.
        retry_after: Option<Duration>,
    },
    /// A redirect. Not followed: the secrets would go elsewhere (CL-056).
    #[error("the token endpoint answered with a redirect, which is not followed")]
    Redirect,
    /// Any other refusal.
    #[error("the authorization server refused the token request")]
    Refused,
    /// Status 200 without a usable token response.
    #[error("the authorization server's token response cannot be read")]
    Malformed,
    /// Neither `Bearer` nor the `DPoP` that was asked for (OAuth 2.1 §3.2.3: an unknown type must not be used).
    #[error("the authorization server issued a token of a type that is not supported")]
    TokenType,
    /// `insufficient_user_authentication`: the person has to sign in at the identity provider again (ID-JAG §9.2).
    #[error("the identity provider wants the person to sign in again")]
    SignInAgain,
    /// A token exchange that gave more than was asked for.
    #[error("the authorization server gave more permissions than were asked for: the token is not handed on")]
    MoreThanAsked,
    /// An identity assertion for another server.
    #[error("the identity provider's assertion is for another authorization server")]
    Audience,
    /// `Bearer` although a proof was sent: whoever steals it can use it (RFC 9449 §5).
    #[error("the authorization server says that it binds tokens to keys, and did not")]
    NotBound,
}

impl Pending {
    /// The request that redeems the code, to the token endpoint of the metadata that was recorded before the
    /// person left. Uses the record up: a verifier serves once.
    ///
    /// # Errors
    /// [`TokenError::Request`].
    pub fn token_request(self, code: &Code) -> Result<Request<Bytes>, TokenError> {
        let request = &self.request;
        // `redirect_uri` is gone from OAuth 2.1, servers of 2.0 require it.
        let parameters = [
            ("grant_type", "authorization_code"),
            ("code", code.0.expose()),
            ("redirect_uri", request.redirect_uri.as_str()),
            ("code_verifier", self.verifier.expose()),
            ("resource", request.resource.as_str()),
        ];
        form_post(request.server.token_endpoint.as_str(), &request.client, &parameters)
    }
}

/// The request for a new access token: without `scope`, so that the grant stays as it is, and with the
/// `resource` of the sign-in (CL-073).
///
/// # Errors
/// [`TokenError::Request`].
pub fn refresh_request(
    token_endpoint: &str,
    client: &ClientCredentials,
    refresh_token: &SecretString,
    resource: &str,
) -> Result<Request<Bytes>, TokenError> {
    let parameters =
        [("grant_type", "refresh_token"), ("refresh_token", refresh_token.expose()), ("resource", resource)];
    form_post(token_endpoint, client, &parameters)
}

/// A form with exactly one kind of client authentication (OAuth 2.1 §2.4).
///
/// # Errors
/// [`TokenError::Request`].
pub fn form_post(
    endpoint: &str,
    client: &ClientCredentials,
    parameters: &[(&str, &str)],
) -> Result<Request<Bytes>, TokenError> {
    let mut form = parameters.to_vec();
    let mut request = Request::post(endpoint)
        .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
        .header(header::ACCEPT, "application/json");
    match (client.auth, &client.client_secret) {
        // Of a program that its platform's token names (SEP-1933).
        (TokenAuth::None, _) if client.client_id.is_empty() => {}
        (TokenAuth::None, _) => form.push(("client_id", &client.client_id)),
        (TokenAuth::Post, Some(secret)) => {
            form.push(("client_id", &client.client_id));
            form.push(("client_secret", secret.expose()));
        }
        (TokenAuth::Basic, Some(secret)) => {
            request = request.header(header::AUTHORIZATION, basic(&client.client_id, secret)?);
        }
        (TokenAuth::Post | TokenAuth::Basic, None) | (TokenAuth::PrivateKey, _) => {
            return Err(TokenError::Request);
        }
    }
    request.body(Bytes::from(encode(form))).map_err(|_| TokenError::Request)
}

fn basic(client_id: &str, secret: &SecretString) -> Result<HeaderValue, TokenError> {
    let text = hallpass_core::basic::written(client_id, secret);
    let mut value = HeaderValue::try_from(text.expose()).map_err(|_| TokenError::Request)?;
    value.set_sensitive(true);
    Ok(value)
}

/// What the tokens are for, where the response leaves it out.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The requested scope, or at a refresh the granted one.
    pub scope: &'a Scope,
    /// At a refresh, the token that was used: kept if no new one comes (CL-070).
    pub refresh_token: Option<&'a SecretString>,
    /// The key of the proof that was sent, to which the tokens have to be bound.
    pub proof_key: Option<&'a ProofKey>,
}

/// Reads a token response.
///
/// # Errors
/// Every variant but `Request`.
pub fn read_tokens(
    response: &Response<Bytes>,
    asked: Asked<'_>,
    now: Timestamp,
) -> Result<Tokens, Failure<TokenError>> {
    tokens(&members_of(response)?, asked, now).map_err(Failure::from)
}

/// The members of a success of the token endpoint.
pub(crate) fn members_of(response: &Response<Bytes>) -> Result<Map<String, Value>, Failure<TokenError>> {
    let status = response.status();
    let members = json::parse_object(response.body(), json::Limits::default());
    if status.is_redirection() {
        return Err(TokenError::Redirect.into());
    }
    // A refusal with status 200 is one too (GitHub answers so).
    let refused = members.as_ref().is_ok_and(|members| members.contains_key("error"));
    if !status.is_success() || refused {
        return Err(refusal(status.as_u16(), response.headers(), members.as_ref().ok()));
    }
    Ok(members.map_err(|_| TokenError::Malformed)?)
}

/// The tokens among the members of a success.
pub(crate) fn tokens(
    members: &Map<String, Value>,
    asked: Asked<'_>,
    now: Timestamp,
) -> Result<Tokens, TokenError> {
    let text = |name| json::string(members, name).map_err(|_| TokenError::Malformed);
    let kind = text("token_type")?.ok_or(TokenError::Malformed)?;
    let is = |name: &str| kind.eq_ignore_ascii_case(name);
    match asked.proof_key {
        None if is("bearer") => {}
        Some(_) if is("dpop") => {}
        Some(_) if is("bearer") => return Err(TokenError::NotBound),
        None | Some(_) => return Err(TokenError::TokenType),
    }
    let sendable = |token: &&str| !token.is_empty() && token.bytes().all(|byte| matches!(byte, 0x21..=0x7e));
    let access_token = text("access_token")?.filter(sendable).ok_or(TokenError::Malformed)?;
    let refresh_token = text("refresh_token")?.filter(|token| !token.is_empty());
    // Scopes are information for us; a malformed one must not cost the sign-in.
    let scope =
        text("scope").ok().flatten().map_or_else(|| asked.scope.clone(), |scope| Scope::of(scope.split(' ')));
    Ok(Tokens {
        access_token: SecretString::new(access_token),
        issued_at: now,
        expires_at: lifetime(members).map(|lifetime| now.plus(lifetime)),
        refresh_token: refresh_token.map(SecretString::new).or_else(|| asked.refresh_token.cloned()),
        scope,
        proof_key: asked.proof_key.cloned(),
    })
}

/// `expires_in`: a number, from some servers a string of digits; anything else is not known (CL-058).
fn lifetime(members: &Map<String, Value>) -> Option<Duration> {
    let seconds = match members.get("expires_in")? {
        Value::String(text) => text.parse().ok()?,
        Value::Number(_) => json::numeric_date(members, "expires_in").ok()??,
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
    };
    let seconds = Some(seconds).filter(|seconds| (1..=MAX_LIFETIME).contains(seconds))?;
    Some(Duration::from_secs(u64::try_from(seconds).ok()?))
}

/// Only a registered code in a JSON body decides about credentials. A 401 of some proxy does not.
fn refusal(status: u16, headers: &HeaderMap, members: Option<&Map<String, Value>>) -> Failure<TokenError> {
    let code = members.and_then(|members| json::string(members, "error").ok().flatten()).unwrap_or("");
    let unavailable = TokenError::Unavailable { retry_after: retry_after(headers) };
    let error = match (code, status) {
        (_, 408 | 425 | 429 | 500..=599) | ("temporarily_unavailable" | "server_error" | "slow_down", _) => {
            unavailable
        }
        ("invalid_grant", _) => TokenError::InvalidGrant,
        ("invalid_client" | "unauthorized_client", _) => TokenError::InvalidClient,
        ("invalid_target", _) => TokenError::InvalidTarget,
        ("invalid_scope", _) => TokenError::InvalidScope,
        ("insufficient_user_authentication", _) => TokenError::SignInAgain,
        _ => TokenError::Refused,
    };
    Failure { error, said: members.and_then(PeerText::of_members) }
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds: u64 = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds.min(MAX_RETRY_AFTER)))
}

#[cfg(test)]
mod tests;
