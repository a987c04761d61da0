//! What browsers need to let a page of another origin use a protected resource (RS-014).
//!
//! Any origin, never with credentials: the browser sends no cookie of ours along, so a page can do no more than what
//! its token allows it to do.

use http::{HeaderMap, HeaderValue, Response, StatusCode, header};

/// What a page may read besides the body. Without `WWW-Authenticate` a browser client cannot discover anything.
const EXPOSED: HeaderValue = HeaderValue::from_static(
    "WWW-Authenticate, DPoP-Nonce, Mcp-Session-Id, MCP-Protocol-Version, Retry-After, Allow, X-Request-Id",
);
/// `*` does not cover `Authorization` (Fetch standard), and `Mcp-Param-*` has no end.
const ALLOWED: HeaderValue = HeaderValue::from_static(
    "Authorization, DPoP, Content-Type, Accept, Last-Event-ID, Mcp-Session-Id, MCP-Protocol-Version, Mcp-Method, Mcp-Name, *",
);

/// Any origin may read the answer.
pub fn open(headers: &mut HeaderMap) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
}

/// This origin may read the answer, which differs by origin.
pub fn open_to(headers: &mut HeaderMap, origin: HeaderValue) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED);
    headers.insert(header::VARY, HeaderValue::from_static("Origin"));
}

/// Makes the answer to a preflight, which browsers send without a token: never gated by authentication.
pub fn preflight<B>(response: &mut Response<B>, methods: &'static str) {
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(methods));
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, ALLOWED);
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("7200"));
}
