//! The only place where a reason becomes a status and headers.

use crate::pages::STYLE;
use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use hallpass_core::{encoding, error::ErrorCode};
use http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use serde::Serialize;
use std::{sync::OnceLock, time::Duration};

/// What every handler answers with.
pub type Reply = Response<Full<Bytes>>;

/// What the browser may do with our pages: nothing but show them, with this very style, and send their forms to us.
/// There is no redirect behind a form that `form-action` could block.
fn page_policy() -> HeaderValue {
    static POLICY: OnceLock<HeaderValue> = OnceLock::new();
    let policy = || {
        let style = STANDARD.encode(digest::digest(&digest::SHA256, STYLE.as_bytes()));
        let text = format!(
            "default-src 'none'; style-src 'sha256-{style}'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
        );
        HeaderValue::from_str(&text)
            .unwrap_or(HeaderValue::from_static("default-src 'none'; form-action 'self'"))
    };
    POLICY.get_or_init(policy).clone()
}

/// A refusal, as the peer learns it: a registered code and a fixed description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The code.
    pub code: ErrorCode,
    /// Fixed text without anything of the request in it.
    pub description: &'static str,
    /// When to try again, because of a limit.
    pub retry_after: Option<Duration>,
    /// When to try again, because something is not there.
    pub back_in: Option<Duration>,
    /// How old a sign-in may be that is good enough (RFC 9470 §3).
    pub max_age: Option<Duration>,
    /// Whether the client used the `Authorization` header, and so has to be told the scheme (RFC 6749 §5.2).
    pub basic: bool,
    /// Whether a bearer token would have opened it (RFC 6750 §3).
    pub bearer: bool,
}

impl Refusal {
    /// With this code and description.
    pub const fn new(code: ErrorCode, description: &'static str) -> Self {
        Self {
            code,
            description,
            retry_after: None,
            back_in: None,
            max_age: None,
            basic: false,
            bearer: false,
        }
    }
}

/// The table: which status a code has at the endpoints that answer JSON.
pub const fn status(code: ErrorCode, limited: bool) -> StatusCode {
    match code {
        ErrorCode::InvalidClient | ErrorCode::InvalidToken => StatusCode::UNAUTHORIZED,
        ErrorCode::TemporarilyUnavailable if limited => StatusCode::TOO_MANY_REQUESTS,
        ErrorCode::TemporarilyUnavailable => StatusCode::SERVICE_UNAVAILABLE,
        ErrorCode::ServerError => StatusCode::INTERNAL_SERVER_ERROR,
        ErrorCode::InsufficientScope => StatusCode::FORBIDDEN,
        ErrorCode::InvalidRequest
        | ErrorCode::InvalidGrant
        | ErrorCode::UnauthorizedClient
        | ErrorCode::UnsupportedGrantType
        | ErrorCode::InvalidScope
        | ErrorCode::AccessDenied
        | ErrorCode::UnsupportedResponseType
        | ErrorCode::InvalidTarget
        | ErrorCode::InvalidAuthorizationDetails
        | ErrorCode::InvalidRedirectUri
        | ErrorCode::InvalidClientMetadata
        | ErrorCode::InvalidSoftwareStatement
        | ErrorCode::RequestNotSupported
        | ErrorCode::RequestUriNotSupported
        | ErrorCode::LoginRequired
        | ErrorCode::ConsentRequired
        | ErrorCode::AuthorizationPending
        | ErrorCode::SlowDown
        | ErrorCode::ExpiredToken
        | ErrorCode::UnsupportedTokenType
        | ErrorCode::InvalidDpopProof
        | ErrorCode::UseDpopNonce
        | ErrorCode::InsufficientUserAuthentication => StatusCode::BAD_REQUEST,
    }
}

#[derive(Serialize)]
struct ErrorBody {
    error: &'static str,
    error_description: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_age: Option<u64>,
}

/// A refusal at an endpoint that answers JSON.
pub fn refused(refusal: &Refusal) -> Reply {
    let body = ErrorBody {
        error: refusal.code.name(),
        error_description: refusal.description,
        max_age: refusal.max_age.map(|age| age.as_secs()),
    };
    let status = status(refusal.code, refusal.retry_after.is_some());
    let mut reply = protocol(status, &body);
    if matches!(refusal.code, ErrorCode::AuthorizationPending | ErrorCode::SlowDown) {
        reply = uncounted(reply);
    }
    let unavailable = (status == StatusCode::SERVICE_UNAVAILABLE).then_some(Duration::from_secs(1));
    if let Some(wait) = refusal.retry_after.or(refusal.back_in).or(unavailable) {
        reply = with_retry_after(reply, wait);
    }
    if refusal.basic && status == StatusCode::UNAUTHORIZED {
        reply
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"hallpass\""));
    }
    if refusal.bearer {
        let challenge = HeaderValue::from_static("Bearer realm=\"hallpass\", error=\"invalid_token\"");
        reply.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    reply
}

/// Marks an answer of 400 that no wrong guess has led to.
#[derive(Clone, Copy, Debug)]
pub struct Uncounted;

/// A refusal that only says what is to be sent along: it is not counted as a guess.
pub fn uncounted(mut reply: Reply) -> Reply {
    reply.extensions_mut().insert(Uncounted);
    reply
}

/// JSON of an endpoint that hands out or takes secrets: never kept by anybody on the way (RFC 6749 §5.1).
pub fn protocol(status: StatusCode, body: &impl Serialize) -> Reply {
    // A token answer is about 900 bytes: no growing on the way. From 1,032 on the allocator tidies up for each one.
    let mut bytes = Vec::with_capacity(1_000);
    if serde_json::to_writer(&mut bytes, body).is_err() {
        bytes.clear();
    }
    let mut reply = plain(status, "application/json", Bytes::from(bytes));
    no_store(&mut reply);
    reply
}

/// A document for everybody, with the validator by which a copy of it is found to be the same (RFC 9110 §8.8.3).
#[derive(Clone, Debug)]
pub struct Document {
    content_type: &'static str,
    body: Bytes,
    tag: HeaderValue,
}

impl Document {
    /// The tag is computed once, not for each reader.
    pub fn new(content_type: &'static str, body: Bytes) -> Self {
        let digest = digest::digest(&digest::SHA256, &body);
        let tag = format!("\"{}\"", encoding::base64url(digest.as_ref().get(..16).unwrap_or_default()));
        let tag = HeaderValue::from_str(&tag).unwrap_or(HeaderValue::from_static("\"\""));
        Self { content_type, body, tag }
    }

    /// Whether the reader has exactly this (RFC 9110 §13.1.2, weak comparison).
    fn is_known(&self, headers: &HeaderMap) -> bool {
        let tag = self.tag.as_bytes();
        let known = |value: &HeaderValue| {
            value.as_bytes().split(|byte| *byte == b',').any(|one| {
                let one = one.trim_ascii();
                one == b"*" || one.strip_prefix(b"W/").unwrap_or(one) == tag
            })
        };
        headers.get_all(header::IF_NONE_MATCH).iter().any(known)
    }
}

/// A document for everybody, to be kept for `max_age`; only that it is the same, for who has it.
pub fn public(document: &Document, headers: &HeaderMap, max_age: Duration) -> Reply {
    let mut reply = if document.is_known(headers) {
        plain(StatusCode::NOT_MODIFIED, document.content_type, Bytes::new())
    } else {
        plain(StatusCode::OK, document.content_type, document.body.clone())
    };
    reply.headers_mut().insert(header::ETAG, document.tag.clone());
    if let Ok(value) = HeaderValue::from_str(&format!("public, max-age={}", max_age.as_secs())) {
        reply.headers_mut().insert(header::CACHE_CONTROL, value);
    }
    reply
}

/// A page for a person.
pub fn page(status: StatusCode, html: String) -> Reply {
    let mut reply = plain(status, "text/html; charset=utf-8", Bytes::from(html));
    let headers = reply.headers_mut();
    headers.insert(header::CONTENT_SECURITY_POLICY, page_policy());
    headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert("cross-origin-opener-policy", HeaderValue::from_static("same-origin"));
    headers.insert("permissions-policy", HeaderValue::from_static("interest-cohort=()"));
    no_store(&mut reply);
    if status == StatusCode::SERVICE_UNAVAILABLE {
        return with_retry_after(reply, Duration::from_secs(2));
    }
    reply
}

/// On to another page of ours. 303, so that no browser sends a password twice (RFC 9700 §4.12).
pub fn see_other(location: &str) -> Reply {
    let mut reply = plain(StatusCode::SEE_OTHER, "text/plain; charset=utf-8", Bytes::new());
    if let Ok(value) = HeaderValue::from_str(location) {
        reply.headers_mut().insert(header::LOCATION, value);
    }
    no_store(&mut reply);
    reply
}

/// Nothing but a status.
pub fn empty(status: StatusCode) -> Reply {
    let mut reply = plain(status, "text/plain; charset=utf-8", Bytes::new());
    no_store(&mut reply);
    reply
}

/// With the time to wait in whole seconds, at least one: 0 would invite to try at once.
pub fn with_retry_after(mut reply: Reply, wait: Duration) -> Reply {
    let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
    reply.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds.max(1)));
    reply
}

/// With a cookie, if there is one to set.
pub fn with_cookie(mut reply: Reply, cookie: Option<HeaderValue>) -> Reply {
    if let Some(cookie) = cookie {
        reply.headers_mut().append(header::SET_COOKIE, cookie);
    }
    reply
}

fn plain(status: StatusCode, content_type: &'static str, body: Bytes) -> Reply {
    let mut reply = Response::new(Full::new(body));
    *reply.status_mut() = status;
    let headers = reply.headers_mut();
    headers.reserve(12);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    reply
}

fn no_store(reply: &mut Reply) {
    reply.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    reply.headers_mut().insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
}
