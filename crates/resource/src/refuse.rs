//! From the reason why a request is refused to what the client sees: the only place that knows statuses.

use crate::head::Scheme;
use bytes::Bytes;
use hallpass_core::{
    challenge::Challenge,
    jwt::{
        AccessTokenError,
        proof::{ALGORITHMS, ProofError},
    },
    mcp::{Raw, error_body},
    scope::Scope,
};
use http::{HeaderValue, Response, StatusCode, header};

/// Why a request is refused. For the operator's log: the client learns its class only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// No `Authorization` field.
    #[error("no credentials")]
    NoCredentials,
    /// Credentials of another scheme than `Bearer` and `DPoP`.
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
    /// It is bound to no key and came with the scheme of those that are.
    #[error("a bearer token was sent with the scheme DPoP")]
    UnboundToken,
    /// It is bound to no key, and only such are taken here that are.
    #[error("only key-bound tokens are taken here")]
    BearerToken,
    /// The proof itself.
    #[error("{0}")]
    Proof(#[from] ProofError),
    /// There is none.
    #[error("a key-bound token was sent without a proof")]
    ProofMissing,
    /// It shows another key than the one that the token is bound to.
    #[error("the proof is of another key than the token's")]
    ProofOfAnotherKey,
    /// It was used before.
    #[error("the proof was used before")]
    ProofReplayed,
    /// It has no nonce, or an old one.
    #[error("the proof has no good nonce")]
    NonceNeeded,
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
    /// Its authorization server, which alone can read it, does not answer.
    #[error("the authorization server does not say whether the token is good")]
    IntrospectionNotAvailable,
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
    /// 401 `invalid_dpop_proof`.
    InvalidProof,
    /// 401 `use_dpop_nonce`.
    UseNonce,
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
            Self::Token(_)
            | Self::BoundToken
            | Self::UnboundToken
            | Self::BearerToken
            // RFC 9449 §7.1: it is the binding of the token that does not hold.
            | Self::ProofOfAnotherKey
            | Self::Expired
            | Self::Revoked => Class::InvalidToken,
            Self::Proof(_) | Self::ProofMissing | Self::ProofReplayed => Class::InvalidProof,
            Self::NonceNeeded => Class::UseNonce,
            Self::InsufficientScope => Class::InsufficientScope,
            Self::RevocationsNotReady | Self::IntrospectionNotAvailable | Self::KeysNotAvailable => Class::Unavailable,
        }
    }
}

/// Code of the JSON-RPC error in a refusal, from the range for implementations (JSON-RPC 2.0 §5.1).
pub const ERROR_CODE: i32 = -32000;
/// Seconds after which a client may try again when we are not ready.
const RETRY_AFTER: &str = "2";

/// Writes the refusal, with one challenge: of the scheme that the request used. `required` are all scopes that the
/// operation needs, so that one step up is enough (RS-010).
pub fn refuse(reason: Reason, metadata_url: &str, required: &Scope, scheme: Scheme) -> Response<Bytes> {
    let bearer = || match scheme {
        Scheme::Bearer => Challenge::bearer().resource_metadata(metadata_url),
        Scheme::Dpop => {
            Challenge::new("DPoP").with("algs", &ALGORITHMS.join(" ")).resource_metadata(metadata_url)
        }
    };
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
                bearer().error("invalid_request").error_description("one Authorization field with one token"),
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
        Class::InvalidProof => (
            StatusCode::UNAUTHORIZED,
            Some(bearer().error("invalid_dpop_proof").error_description(
                "one DPoP header with a new proof for this method, URL and token, by a clock that is right",
            )),
            body(r#"{"jsonrpc":"2.0","error":{"code":-32000,"message":"The DPoP proof is not valid here"}}"#),
        ),
        Class::UseNonce => (
            StatusCode::UNAUTHORIZED,
            Some(
                bearer()
                    .error("use_dpop_nonce")
                    .error_description("put the nonce of the DPoP-Nonce header into a new proof"),
            ),
            body(r#"{"jsonrpc":"2.0","error":{"code":-32000,"message":"The DPoP proof needs a nonce"}}"#),
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
    let mut response = answer(status, body);
    let headers = response.headers_mut();
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

/// A refusal that no other token would change: a JSON-RPC error without a challenge, with the id of its request, once that was
/// read.
pub fn error(status: StatusCode, id: Option<&Raw>, code: i64, message: &str) -> Response<Bytes> {
    answer(status, error_body(id, code, message).into())
}

fn answer(status: StatusCode, body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
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
        let response = refuse(reason, METADATA, &Scope::parse("a b").unwrap(), Scheme::Bearer);
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
            Reason::UnboundToken,
            Reason::BearerToken,
            Reason::ProofOfAnotherKey,
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
    fn rs_040_rs_012_whoever_sends_proofs_gets_one_challenge_of_that_scheme() {
        let expected = [
            (Reason::Proof(ProofError::Several), 401, Some("invalid_dpop_proof")),
            (Reason::ProofMissing, 401, Some("invalid_dpop_proof")),
            (Reason::ProofReplayed, 401, Some("invalid_dpop_proof")),
            (Reason::NonceNeeded, 401, Some("use_dpop_nonce")),
            (Reason::ProofOfAnotherKey, 401, Some("invalid_token")),
            (Reason::Expired, 401, Some("invalid_token")),
            (Reason::InsufficientScope, 403, Some("insufficient_scope")),
            (Reason::NoCredentials, 401, None),
        ];
        for (reason, status, error) in expected {
            let response = refuse(reason, METADATA, &Scope::parse("a b").unwrap(), Scheme::Dpop);
            let values: Vec<_> = response.headers().get_all(header::WWW_AUTHENTICATE).iter().collect();
            assert_eq!((values.len(), response.status().as_u16()), (1, status), "{reason}");
            let challenges = challenge::parse(&[values[0].to_str().unwrap()]);
            assert_eq!((challenges.len(), challenges[0].scheme()), (1, "DPoP"), "{reason}");
            assert_eq!(challenges[0].parameter("error"), error, "{reason}");
            assert_eq!(challenges[0].parameter("algs"), Some("ES256 EdDSA Ed25519 RS256"));
            assert_eq!(challenges[0].parameter("resource_metadata"), Some(METADATA));
        }
    }

    #[test]
    fn rs_064_not_ready_is_503_without_a_challenge() {
        for reason in
            [Reason::RevocationsNotReady, Reason::IntrospectionNotAvailable, Reason::KeysNotAvailable]
        {
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
