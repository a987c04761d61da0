//! What of a request its token and its proof are checked by.

use http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, Request, header, request::Parts};

/// Method, path and header of a request.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// The method.
    pub method: &'a Method,
    /// The path as the client wrote it, before any router took a part away.
    pub path: &'a str,
    /// The header fields.
    pub headers: &'a HeaderMap,
}

impl<'a> From<&'a Parts> for Head<'a> {
    fn from(parts: &'a Parts) -> Self {
        Self { method: &parts.method, path: path(&parts.extensions, &parts.uri), headers: &parts.headers }
    }
}

impl<'a, B> From<&'a Request<B>> for Head<'a> {
    fn from(request: &'a Request<B>) -> Self {
        let path = path(request.extensions(), request.uri());
        Self { method: request.method(), path, headers: request.headers() }
    }
}

/// A router inside another one sees the rest of the path only.
fn path<'a>(extensions: &'a Extensions, uri: &'a http::Uri) -> &'a str {
    extensions.get::<axum::extract::OriginalUri>().map_or(uri, |original| &original.0).path()
}

/// How a token is presented.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Whoever has it may use it (RFC 6750), and what a request without any token is told.
    Bearer,
    /// With the proof of a key (RFC 9449 §7.1).
    Dpop,
}

impl Scheme {
    /// As a request presents its token, if it does.
    pub fn of(headers: &HeaderMap) -> Self {
        let value = headers.get(header::AUTHORIZATION).map_or(&b""[..], |value| value.as_bytes());
        if value.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"DPoP ")) {
            Self::Dpop
        } else {
            Self::Bearer
        }
    }
}

/// At most one value of a header.
///
/// # Errors
/// There are several: two readers may take different ones.
#[expect(clippy::result_unit_err, reason = "each caller has its own word for it")]
pub fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a HeaderValue>, ()> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (first, None) => Ok(first),
        (_, Some(_)) => Err(()),
    }
}
