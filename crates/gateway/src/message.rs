//! What is asked: the body under its limits, read once, and compared with the headers that mirror it.

use crate::{
    admit::single,
    config::Limits,
    session::{Principal, SessionSealer, unmarked},
    span,
    tools::Operation,
};
use axum::body::Body;
use bytes::Bytes;
use hallpass_core::{
    json,
    mcp::{HeaderMismatch, Message, MessageError, MirroredHeaders, Raw, Revision, check_headers},
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, header, request::Parts};
use http_body_util::{BodyExt, LengthLimitError, Limited};

pub(crate) const SESSION_ID: HeaderName = HeaderName::from_static("mcp-session-id");
pub(crate) const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
pub(crate) const MCP_METHOD: HeaderName = HeaderName::from_static("mcp-method");
pub(crate) const MCP_NAME: HeaderName = HeaderName::from_static("mcp-name");
pub(crate) const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// How the headers for tool parameters begin (SEP-2243).
pub(crate) const PARAMETER: &str = "mcp-param-";

/// How deep a message may be nested.
const DEPTH: usize = 64;

/// One call, read and consistent, but not yet allowed.
#[derive(Debug)]
pub(crate) struct Call {
    /// What is asked.
    pub action: Action,
    /// The version that it speaks, as the client named it in the header.
    pub version: Option<HeaderValue>,
    /// Whether that revision's servers compare headers with the body, so that the headers mean something.
    pub mirrors: bool,
    /// The session that it belongs to.
    pub session: Option<Session>,
    /// Where it stands in a trace: what the client said, or what is said of it here.
    pub traceparent: Option<HeaderValue>,
    /// The client's headers, of which `credentials` takes what is on its list.
    pub headers: HeaderMap,
}

/// What is asked.
#[derive(Debug)]
pub(crate) enum Action {
    /// `POST`.
    Message(Message),
    /// `GET`.
    Listen,
    /// `DELETE`.
    EndSession,
}

/// A session id in its two forms.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    /// What the client has.
    pub sealed: HeaderValue,
    /// What the upstream has.
    pub upstream: HeaderValue,
    /// Whether its client opens URLs for its person.
    pub opens_urls: bool,
}

/// Why a call is not read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unread {
    /// Not one of `POST`, `GET`, `DELETE`.
    #[error("the HTTP method is not allowed")]
    Method,
    /// Not `application/json` in UTF-8 without a coding, or several `Content-Type` fields.
    #[error("the media type is not application/json")]
    MediaType,
    /// Over the limit.
    #[error("the message is too long")]
    TooLong,
    /// Not received in time.
    #[error("the message was not received in time")]
    Slow,
    /// The client went away in the middle.
    #[error("the message was cut off")]
    CutOff,
    /// Not a message.
    #[error("{0}")]
    Message(#[from] MessageError),
    /// The headers say something else than the message.
    #[error("{rule}")]
    Headers {
        /// Which.
        rule: HeaderMismatch,
        /// The request that is answered.
        id: Option<Raw>,
    },
    /// Several session ids, or versions, or event ids.
    #[error("a header occurs more than once")]
    Repeated,
    /// A state, a task or a cursor is not one that this principal got from us.
    #[error("no such state, task or cursor of this caller")]
    NoHandle {
        /// The request that is answered.
        id: Option<Raw>,
    },
    /// The session id is not one that this principal got from us.
    #[error("no such session of this caller")]
    NoSession,
}

impl Call {
    /// What it wants to do.
    pub(crate) fn operation(&self) -> Operation<'_> {
        match &self.action {
            Action::Message(message) => Operation::of(message),
            Action::Listen => Operation::Listen,
            Action::EndSession => Operation::EndSession,
        }
    }

    /// The id of a request, so that an error of ours reaches who waits for it.
    pub(crate) fn id(&self) -> Option<&Raw> {
        match &self.action {
            Action::Message(message @ Message::Request { .. }) => message.id(),
            Action::Message(Message::Notification { .. } | Message::Response { .. })
            | Action::Listen
            | Action::EndSession => None,
        }
    }
}

/// Reads a call.
pub(crate) async fn read(
    parts: Parts,
    body: Body,
    limits: &Limits,
    principal: &Principal<'_>,
    sealer: &dyn SessionSealer,
) -> Result<Call, Unread> {
    let headers = parts.headers;
    let action = match parts.method {
        Method::POST => {
            check_media_type(&headers)?;
            Action::Message(read_message(&headers, body, limits).await?)
        }
        Method::GET => Action::Listen,
        Method::DELETE => Action::EndSession,
        _ => return Err(Unread::Method),
    };
    let version = single(&headers, &PROTOCOL_VERSION).map_err(|()| Unread::Repeated)?.cloned();
    let mirrors = mirrors(version.as_ref(), &action);
    // Revision 2026-07-28 has no sessions, and a server of several revisions must not see one with it (RS-057).
    let session = if mirrors { None } else { open_session(&headers, principal, sealer)? };
    let traceparent = span::received(&headers).cloned();
    Ok(Call { action, version, mirrors, session, traceparent, headers })
}

fn mirrors(version: Option<&HeaderValue>, action: &Action) -> bool {
    let mirrors = |text: &str| Revision::parse(text).is_some_and(Revision::mirrors_headers);
    let inside = match action {
        Action::Message(message) => message.protocol_version(),
        Action::Listen | Action::EndSession => None,
    };
    version.and_then(|value| value.to_str().ok()).is_some_and(mirrors) || inside.is_some_and(mirrors)
}

async fn read_message(headers: &HeaderMap, body: Body, limits: &Limits) -> Result<Message, Unread> {
    let bytes = receive(headers, body, limits).await?;
    let message = Message::parse(&bytes, json::Limits { bytes: limits.body, depth: DEPTH })?;
    let mismatch = |rule| Unread::Headers { rule, id: message.id().cloned() };
    let (version, method, name) = (
        texts(headers, &PROTOCOL_VERSION)
            .ok_or_else(|| mismatch(HeaderMismatch::Undecodable("MCP-Protocol-Version")))?,
        texts(headers, &MCP_METHOD).ok_or_else(|| mismatch(HeaderMismatch::Undecodable("Mcp-Method")))?,
        texts(headers, &MCP_NAME).ok_or_else(|| mismatch(HeaderMismatch::Undecodable("Mcp-Name")))?,
    );
    let parameters: Vec<_> = parameters(headers).collect();
    let mirrored = MirroredHeaders {
        protocol_version: version.as_slice(),
        method: method.as_slice(),
        name: name.as_slice(),
        parameters: &parameters,
    };
    check_headers(&message, &mirrored).map_err(mismatch)?;
    Ok(message)
}

/// The headers for tool parameters (SEP-2243), and what each says, where it is text.
fn parameters(headers: &HeaderMap) -> impl Iterator<Item = (&str, Option<&str>)> {
    let named = headers.iter().map(|(name, value)| (name.as_str().strip_prefix(PARAMETER), value));
    named.filter_map(|(name, value)| Some((name?, value.to_str().ok())))
}

/// Up to two values of a header: more than one is refused, so the third is never looked at.
struct Texts<'a>([&'a str; 2], usize);

impl<'a> Texts<'a> {
    fn as_slice(&self) -> &[&'a str] {
        self.0.get(..self.1).unwrap_or_default()
    }
}

fn texts<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<Texts<'a>> {
    let mut texts = Texts([""; 2], 0);
    for (slot, value) in texts.0.iter_mut().zip(headers.get_all(name)) {
        *slot = value.to_str().ok()?;
        texts.1 += 1;
    }
    Some(texts)
}

async fn receive(headers: &HeaderMap, body: Body, limits: &Limits) -> Result<Bytes, Unread> {
    let announced =
        headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| usize::try_from(length).is_ok_and(|length| length > limits.body)) {
        return Err(Unread::TooLong);
    }
    match tokio::time::timeout(limits.receive, Limited::new(body, limits.body).collect()).await {
        Ok(Ok(collected)) => Ok(collected.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Unread::TooLong),
        Ok(Err(_)) => Err(Unread::CutOff),
        Err(_) => Err(Unread::Slow),
    }
}

/// One `application/json`, at most with `charset=utf-8`: another charset is another text to another reader.
fn check_media_type(headers: &HeaderMap) -> Result<(), Unread> {
    let value =
        single(headers, &header::CONTENT_TYPE).map_err(|()| Unread::MediaType)?.ok_or(Unread::MediaType)?;
    if value.as_bytes() == b"application/json" && !headers.contains_key(header::CONTENT_ENCODING) {
        return Ok(());
    }
    let text = value.to_str().map_err(|_| Unread::MediaType)?;
    let mut parts = text.split(';').map(str::trim);
    let json = parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("application/json"));
    let plain = parts.all(|parameter| {
        parameter.eq_ignore_ascii_case("charset=utf-8") || parameter.eq_ignore_ascii_case("charset=\"utf-8\"")
    });
    if json && plain && !headers.contains_key(header::CONTENT_ENCODING) {
        Ok(())
    } else {
        Err(Unread::MediaType)
    }
}

fn open_session(
    headers: &HeaderMap,
    principal: &Principal<'_>,
    sealer: &dyn SessionSealer,
) -> Result<Option<Session>, Unread> {
    let Some(held) = single(headers, &SESSION_ID).map_err(|()| Unread::Repeated)? else { return Ok(None) };
    let text = held.to_str().map_err(|_| Unread::NoSession)?;
    let opened = sealer.open(principal, text).ok_or(Unread::NoSession)?;
    let (upstream, opens_urls) = unmarked(&opened);
    let upstream = HeaderValue::try_from(upstream).map_err(|_| Unread::NoSession)?;
    Ok(Some(Session { sealed: held.clone(), upstream, opens_urls }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_json_in_utf_8_and_plain() {
        let check = |fields: &[(HeaderName, &str)]| {
            let fields =
                fields.iter().map(|(name, value)| (name.clone(), HeaderValue::from_str(value).unwrap()));
            let mut headers = HeaderMap::new();
            fields.for_each(|(name, value)| {
                headers.append(name, value);
            });
            check_media_type(&headers).is_ok()
        };
        let typed = |value| check(&[(header::CONTENT_TYPE, value)]);
        for good in
            ["application/json", "Application/JSON; charset=UTF-8", "application/json;charset=\"utf-8\""]
        {
            assert!(typed(good), "{good}");
        }
        for bad in [
            "",
            "text/plain",
            "application/json; charset=utf-16",
            "application/jsonp",
            "application/json; x=y",
            "application/json, text/plain",
        ] {
            assert!(!typed(bad), "{bad}");
        }
        assert!(!check(&[]));
        assert!(!check(&[
            (header::CONTENT_TYPE, "application/json"),
            (header::CONTENT_TYPE, "application/json")
        ]));
        assert!(!check(&[(header::CONTENT_TYPE, "application/json"), (header::CONTENT_ENCODING, "gzip")]));
    }
}
