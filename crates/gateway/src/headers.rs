//! What a client may see of an upstream's answer: two short lists, media types and headers (M8).
//!
//! The sign-in pages may be on our origin. A page of the upstream would be a page of ours to a browser, its cookie
//! ours, its `WWW-Authenticate` would send our clients to another authorization server. So nothing passes that is
//! not on a list, and what passes cannot be taken for a page.

use crate::message::{PROTOCOL_VERSION, SESSION_ID};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

/// What kind of body an answer has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `application/json`.
    Json,
    /// `text/event-stream`.
    Events,
    /// None.
    Empty,
    /// Anything else: it is not passed on.
    Other,
}

/// Answers that are no answers for a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AnswerFault {
    /// 3xx. Followed, it could lead anywhere; passed on, it would send the client past us.
    #[error("the upstream redirects: configure the URL that it redirects to")]
    Redirect,
    /// 401, 403 or 407: it wants credentials, and never gets the client's.
    #[error("the upstream wants credentials: let it accept requests of this gateway without a token")]
    Credentials,
    /// 101 or another status that ends nothing.
    #[error("the upstream answered with a status that is no answer")]
    Status,
    /// It broke off, or fell silent in the middle.
    #[error("the upstream broke off its answer")]
    Broken,
    /// Longer than the operator wants answers to be.
    #[error("the upstream's answer is longer than answer_megabytes of [limits]")]
    TooLong,
    /// With a state, a cursor or a task in it that would have to be sealed, and cannot be.
    #[error(
        "the upstream's answer has a state, cursor or task that cannot be sealed: it is too long, or no proper message"
    )]
    Handles,
    /// A list that has to be filtered and cannot be read.
    #[error("the upstream answered with a list that is no message or is too long")]
    List,
}

const JSON: HeaderValue = HeaderValue::from_static("application/json");
const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream");
const CONTENT_SECURITY_POLICY: HeaderValue =
    HeaderValue::from_static("sandbox; default-src 'none'; frame-ancestors 'none'");
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
const BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// Whether an answer of this status goes to the client.
pub(crate) fn check_status(status: StatusCode) -> Result<(), AnswerFault> {
    match status.as_u16() {
        401 | 403 | 407 => Err(AnswerFault::Credentials),
        300..=399 => Err(AnswerFault::Redirect),
        200..=299 | 400..=599 => Ok(()),
        _ => Err(AnswerFault::Status),
    }
}

/// The kind of a body, by what the upstream says of it.
pub(crate) fn kind(status: StatusCode, headers: &HeaderMap, empty: bool) -> Kind {
    // 202 is the answer to notifications; several servers send a text with it that nobody reads.
    if empty || matches!(status, StatusCode::ACCEPTED | StatusCode::NO_CONTENT | StatusCode::RESET_CONTENT) {
        return Kind::Empty;
    }
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(value), None) = (types.next(), types.next()) else { return Kind::Other };
    // Coded, it could be anything inside; we asked for nothing coded.
    if headers.contains_key(header::CONTENT_ENCODING) {
        return Kind::Other;
    }
    let text = value.to_str().unwrap_or_default();
    let media_type = text.split(';').next().unwrap_or_default().trim();
    if media_type.eq_ignore_ascii_case("application/json") {
        Kind::Json
    } else if media_type.eq_ignore_ascii_case("text/event-stream") {
        Kind::Events
    } else {
        Kind::Other
    }
}

/// The headers for the client. `session` gives its form of the upstream's session id.
pub(crate) fn answer(kind: Kind, upstream: &HeaderMap, session: Option<HeaderValue>) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(12);
    match kind {
        // Written anew: parameters such as `charset=utf-7` make text into something else.
        Kind::Json | Kind::Other => {
            headers.insert(header::CONTENT_TYPE, JSON);
        }
        Kind::Events => {
            headers.insert(header::CONTENT_TYPE, EVENTS);
            headers.insert(BUFFERING, HeaderValue::from_static("no"));
        }
        Kind::Empty => {}
    }
    for name in [PROTOCOL_VERSION, header::ALLOW, header::RETRY_AFTER] {
        if let Some(value) = upstream.get(&name) {
            headers.insert(name, value.clone());
        }
    }
    if let Some(session) = session {
        headers.insert(SESSION_ID, session);
    }
    headers.insert(header::CACHE_CONTROL, cache_control(upstream));
    protect(&mut headers);
    headers
}

/// For what depends on who asks (RS-054).
pub(crate) fn private(headers: &mut HeaderMap) {
    if headers.get(header::CACHE_CONTROL).is_none_or(|value| value != "no-store") {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    }
}

/// Goes on every answer at an MCP path: it is no page, no script, no image, and nobody guesses what it is.
pub(crate) fn protect(headers: &mut HeaderMap) {
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY);
    headers.insert(RESOURCE_POLICY, HeaderValue::from_static("same-origin"));
}

/// The upstream's hint, unless it would let a cache give one caller's answer to another (T-84).
fn cache_control(upstream: &HeaderMap) -> HeaderValue {
    let mut values = upstream.get_all(header::CACHE_CONTROL).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return HeaderValue::from_static("no-store");
    };
    let text = value.to_str().unwrap_or("public").to_ascii_lowercase();
    let shared = ["public", "s-maxage", "must-revalidate"].iter().any(|directive| text.contains(directive));
    if shared { HeaderValue::from_static("private, no-cache") } else { value.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upstream(fields: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    #[test]
    fn only_two_media_types_pass() {
        let of = |text: &str| kind(StatusCode::OK, &upstream(&[("content-type", text)]), false);
        assert_eq!(of("application/json; charset=utf-7"), Kind::Json);
        assert_eq!(of("Text/Event-Stream"), Kind::Events);
        for bad in [
            "text/html",
            "text/plain",
            "application/jsonp",
            "image/svg+xml",
            "application/json, text/html",
            "",
        ] {
            assert_eq!(of(bad), Kind::Other, "{bad}");
        }
        let twice = upstream(&[("content-type", "application/json"), ("content-type", "text/html")]);
        assert_eq!(kind(StatusCode::OK, &twice, false), Kind::Other);
        let coded = upstream(&[("content-type", "application/json"), ("content-encoding", "gzip")]);
        assert_eq!(kind(StatusCode::OK, &coded, false), Kind::Other);
        assert_eq!(
            kind(StatusCode::ACCEPTED, &upstream(&[("content-type", "text/html")]), false),
            Kind::Empty
        );
    }

    #[test]
    fn only_listed_headers_pass() {
        let from = upstream(&[
            ("content-type", "application/json; charset=utf-7"),
            ("set-cookie", "__Host-session=1"),
            ("location", "https://evil.example"),
            ("www-authenticate", "Bearer resource_metadata=\"https://evil.example\""),
            ("clear-site-data", "\"*\""),
            ("access-control-allow-origin", "https://evil.example"),
            ("access-control-allow-credentials", "true"),
            ("content-security-policy", "default-src *"),
            ("refresh", "0;url=https://evil.example"),
            ("link", "</x>; rel=preload"),
            ("mcp-protocol-version", "2025-11-25"),
            ("retry-after", "3"),
            ("allow", "POST"),
            ("mcp-session-id", "theirs"),
        ]);
        let to = answer(Kind::Json, &from, Some(HeaderValue::from_static("ours")));
        let mut names: Vec<_> = to.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            [
                "allow",
                "cache-control",
                "content-security-policy",
                "content-type",
                "cross-origin-resource-policy",
                "mcp-protocol-version",
                "mcp-session-id",
                "retry-after",
                "x-content-type-options",
            ]
        );
        assert_eq!((&to["content-type"], &to["mcp-session-id"]), (&JSON, &HeaderValue::from_static("ours")));
        assert_eq!(to["content-security-policy"], CONTENT_SECURITY_POLICY);
    }

    #[test]
    fn t_84_no_shared_cache() {
        for (hint, passed) in [
            ("max-age=60", "max-age=60"),
            ("private", "private"),
            ("public, max-age=60", "private, no-cache"),
            ("S-MaxAge=60", "private, no-cache"),
        ] {
            assert_eq!(cache_control(&upstream(&[("cache-control", hint)])), passed);
        }
        assert_eq!(cache_control(&HeaderMap::new()), "no-store");
    }

    #[test]
    fn statuses() {
        for (status, outcome) in [
            (200, Ok(())),
            (202, Ok(())),
            (404, Ok(())),
            (500, Ok(())),
            (302, Err(AnswerFault::Redirect)),
            (304, Err(AnswerFault::Redirect)),
            (401, Err(AnswerFault::Credentials)),
            (403, Err(AnswerFault::Credentials)),
            (407, Err(AnswerFault::Credentials)),
            (101, Err(AnswerFault::Status)),
            (999, Err(AnswerFault::Status)),
        ] {
            assert_eq!(check_status(StatusCode::from_u16(status).unwrap()), outcome, "{status}");
        }
    }
}
