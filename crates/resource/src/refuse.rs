//! From the reason why a request is refused to what the client sees: the only place that knows statuses.

use bytes::Bytes;
use hallpass_core::{challenge::Challenge, jwt::AccessTokenError, scope::Scope};
use http::{HeaderValue, Response, StatusCode, header};

/// Why a request is refused. For the operator's log: the client learns its class only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// No `Authorization` field.
    #[error("no credentials")]
    NoCredentials,
    /// Credentials of another scheme than `Bearer`.
    #[error("credentials of another scheme")]
    OtherScheme,
    /// More than one `Authorization` field.
    #[error("several Authorization fields")]
    SeveralAuthorizations,
    /// Not the scheme and one token.
    #[error("malformed Authorization field")]
    MalformedAuthorization,
    /// The token itself.
    #[error("{0}")]
    Token(#[from] AccessTokenError),
    /// It is bound to a key and came without the proof (RFC 9449 §7.2).
    #[error("a key-bound token was sent as a bearer token")]
    BoundToken,
    /// It was good once.
    #[error("the token has expired")]
    Expired,
    /// Its grant, its person's epoch or its client is revoked.
    #[error("the token was revoked")]
    Revoked,
    /// It lacks a scope that the operation needs.
    #[error("the token lacks a scope")]
    InsufficientScope,
    /// The revocations were not loaded yet.
    #[error("the revocations are not loaded yet")]
    RevocationsNotReady,
    /// There are no keys to verify with.
    #[error("the keys of the authorization server are not available")]
    KeysNotAvailable,
}

/// What the client learns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// 401 without an error code: nothing was tried (RFC 6750 §3.1).
    Unauthenticated,
    /// 400 `invalid_request`.
    InvalidRequest,
    /// 401 `invalid_token`.
    InvalidToken,
    /// 403 `insufficient_scope`.
    InsufficientScope,
    /// 503: not the client's fault, and its token may be good.
    Unavailable,
}

impl Reason {
    /// The class of this reason. All faults of a token are one class: which one it is helps only those who guess.
    pub const fn class(self) -> Class {
        match self {
            Self::NoCredentials | Self::OtherScheme => Class::Unauthenticated,
            Self::SeveralAuthorizations | Self::MalformedAuthorization => Class::InvalidRequest,
            Self::Token(_) | Self::BoundToken | Self::Expired | Self::Revoked => Class::InvalidToken,
            Self::InsufficientScope => Class::InsufficientScope,
            Self::RevocationsNotReady | Self::KeysNotAvailable => Class::Unavailable,
        }
    }
}

/// Code of the JSON-RPC error in a refusal, from the range for implementations (JSON-RPC 2.0 §5.1).
pub const ERROR_CODE: i32 = -32000;
/// Seconds after which a client may try again when we are not ready.
const RETRY_AFTER: &str = "2";

/// Writes the refusal. `required` are all scopes that the operation needs, so that one step up is enough (RS-010).
pub fn refuse(reason: Reason, metadata_url: &str, required: &Scope) -> Response<Bytes> {
    let bearer = || Challenge::bearer().resource_metadata(metadata_url);
    let scoped = |challenge: Challenge| challenge.scope(&required.to_string());
    let (status, challenge, body) = match reason.class() {
        Class::Unauthenticated => (
            StatusCode::UNAUTHORIZED,
            Some(scoped(bearer())),
            body(r#"{"jsonrpc":"2.0","error":{"code":-32000,"message":"Authorization is required"}}"#),
        ),
        Class::InvalidRequest => (
            StatusCode::BAD_REQUEST,
            Some(
                bearer()
                    .error("invalid_request")
                    .error_description("one Authorization field with one bearer token"),
            ),
            body(r#"{"jsonrpc":"2.0","error":{"code":-32000,"message":"Malformed Authorization field"}}"#),
        ),
        Class::InvalidToken => (
            StatusCode::UNAUTHORIZED,
            Some(scoped(
                bearer().error("invalid_token").error_description("the access token is not valid here"),
            )),
            body(
                r#"{"jsonrpc":"2.0","error":{"code":-32000,"message":"The access token is not valid here"}}"#,
            ),
        ),
        Class::InsufficientScope => (
            StatusCode::FORBIDDEN,
            Some(scoped(bearer().error("insufficient_scope").error_description("more scope is needed"))),
            body(r#"{"jsonrpc":"2.0","error":{"code":-32000,"message":"More scope is needed"}}"#),
        ),
        Class::Unavailable => (
            StatusCode::SERVICE_UNAVAILABLE,
            None,
            body(r#"{"jsonrpc":"2.0","error":{"code":-32000,"message":"Not ready, try again"}}"#),
        ),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    match challenge {
        // A challenge is printable ASCII whatever was put in, so this does not fail.
        Some(challenge) => {
            if let Ok(value) = HeaderValue::try_from(challenge.to_string()) {
                headers.insert(header::WWW_AUTHENTICATE, value);
            }
        }
        None => {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static(RETRY_AFTER));
        }
    }
    response
}

/// A JSON-RPC error without an id: the message was not read, and must not be (RS-015).
const fn body(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use hallpass_core::{challenge, jose::JwsError};

    const METADATA: &str = "https://mcp.example/.well-known/oauth-protected-resource/mcp";

    fn refused(reason: Reason) -> (u16, Vec<Challenge>, Response<Bytes>) {
        let response = refuse(reason, METADATA, &Scope::parse("a b").unwrap());
        let values: Vec<_> = response
            .headers()
            .get_all(header::WWW_AUTHENTICATE)
            .iter()
            .map(|v| v.to_str().unwrap())
            .collect();
        let challenges = challenge::parse(&values);
        (response.status().as_u16(), challenges, response)
    }

    #[test]
    fn rs_007_b_17_without_credentials_there_is_no_error() {
        for reason in [Reason::NoCredentials, Reason::OtherScheme] {
            let (status, challenges, _) = refused(reason);
            assert_eq!((status, challenges.len()), (401, 1));
            assert!(challenges[0].is("Bearer") && challenges[0].parameter("error").is_none());
            assert_eq!(challenges[0].parameter("resource_metadata"), Some(METADATA));
            assert_eq!(challenges[0].parameter("scope"), Some("a b"), "rs_008");
        }
    }

    #[test]
    fn rs_009_b_18_every_fault_of_a_token_looks_the_same() {
        let faults = [
            Reason::Token(AccessTokenError::Expired),
            Reason::Token(AccessTokenError::WrongAudience),
            Reason::Token(AccessTokenError::WrongIssuer),
            Reason::Token(AccessTokenError::Jws(JwsError::Signature)),
            Reason::Token(AccessTokenError::Jws(JwsError::NotThreeParts)),
            Reason::BoundToken,
            Reason::Expired,
            Reason::Revoked,
        ];
        let (_, _, first) = refused(faults[0]);
        for reason in faults {
            let (status, challenges, response) = refused(reason);
            assert_eq!((status, challenges[0].parameter("error")), (401, Some("invalid_token")), "{reason}");
            assert_eq!(challenges[0].parameter("resource_metadata"), Some(METADATA));
            assert_eq!(
                (response.headers(), response.body()),
                (first.headers(), first.body()),
                "rs_013 {reason}"
            );
        }
    }

    #[test]
    fn rs_010_b_18_missing_scope_is_403_with_all_scopes() {
        let (status, challenges, _) = refused(Reason::InsufficientScope);
        assert_eq!((status, challenges[0].parameter("error")), (403, Some("insufficient_scope")));
        assert_eq!(challenges[0].parameter("scope"), Some("a b"));
        assert_eq!(challenges[0].parameter("resource_metadata"), Some(METADATA));
    }

    #[test]
    fn rs_011_malformed_use_is_400() {
        for reason in [Reason::SeveralAuthorizations, Reason::MalformedAuthorization] {
            let (status, challenges, _) = refused(reason);
            assert_eq!((status, challenges[0].parameter("error")), (400, Some("invalid_request")));
        }
    }

    #[test]
    fn rs_064_not_ready_is_503_without_a_challenge() {
        for reason in [Reason::RevocationsNotReady, Reason::KeysNotAvailable] {
            let (status, challenges, response) = refused(reason);
            assert_eq!((status, challenges.len()), (503, 0));
            assert_eq!(response.headers()["retry-after"], "2");
        }
    }

    #[test]
    fn rs_013_bodies_are_json_rpc_errors_without_an_id() {
        for reason in [
            Reason::NoCredentials,
            Reason::SeveralAuthorizations,
            Reason::Expired,
            Reason::InsufficientScope,
            Reason::KeysNotAvailable,
        ] {
            let (_, _, response) = refused(reason);
            let value: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
            assert_eq!(value["error"]["code"], ERROR_CODE);
            assert!(value.get("id").is_none() && value["jsonrpc"] == "2.0");
        }
    }
}
