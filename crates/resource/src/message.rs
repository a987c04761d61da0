//! What is asked of an MCP server: one message, read once under its limits and by the strict envelope, and compared with the
//! headers that mirror it.
//!
//! Whoever decides by a message sends this reading on and never the bytes: they may say something else to another reader
//! (RS-049).

use crate::head::single;
use bytes::Bytes;
use hallpass_core::{
    json,
    mcp::{
        HeaderMismatch, Message, MessageError, MirroredHeaders, Raw, check_headers,
        error::{HEADER_MISMATCH, INVALID_PARAMS, INVALID_REQUEST, PARSE_ERROR},
    },
};
use http::{HeaderMap, HeaderName, StatusCode, header};
use http_body::Body;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use std::{error::Error, time::Duration};

/// The revision that the message is of.
pub const PROTOCOL_VERSION: HeaderName = HeaderName::from_static("mcp-protocol-version");
/// Mirrors the method.
pub const MCP_METHOD: HeaderName = HeaderName::from_static("mcp-method");
/// Mirrors what the method acts on.
pub const MCP_NAME: HeaderName = HeaderName::from_static("mcp-name");
/// How the headers for tool parameters begin (SEP-2243).
pub const PARAMETER: &str = "mcp-param-";

/// How deep a message may be nested.
const DEPTH: usize = 64;

/// Bounds of one message.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Its bytes.
    pub body: usize,
    /// Time to receive it.
    pub receive: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { body: 4 * 1024 * 1024, receive: Duration::from_secs(30) }
    }
}

/// Why a request has no message that could be judged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unread {
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
}

impl Unread {
    /// What the client gets: a status, the code of a JSON-RPC error, and its words.
    pub fn answer(&self) -> (StatusCode, i64, &'static str) {
        match self {
            Self::Method => (
                StatusCode::METHOD_NOT_ALLOWED,
                INVALID_REQUEST,
                "Only POST, GET and DELETE are understood here",
            ),
            Self::MediaType => {
                (StatusCode::UNSUPPORTED_MEDIA_TYPE, INVALID_REQUEST, "Content-Type must be application/json")
            }
            Self::TooLong => (StatusCode::PAYLOAD_TOO_LARGE, INVALID_REQUEST, "The message is too long"),
            Self::Slow => {
                (StatusCode::REQUEST_TIMEOUT, INVALID_REQUEST, "The message was not received in time")
            }
            Self::CutOff => (StatusCode::BAD_REQUEST, INVALID_REQUEST, "The message was cut off"),
            Self::Message(error) => (StatusCode::BAD_REQUEST, error.code(), describe(*error)),
            Self::Headers { rule: HeaderMismatch::Unsaid, .. } => {
                (StatusCode::BAD_REQUEST, INVALID_PARAMS, "The message does not say its protocol version")
            }
            Self::Headers { .. } => {
                (StatusCode::BAD_REQUEST, HEADER_MISMATCH, "The headers and the message differ")
            }
        }
    }

    /// The request that is answered, where it was read that far.
    pub const fn id(&self) -> Option<&Raw> {
        match self {
            Self::Headers { id, .. } => id.as_ref(),
            Self::Method | Self::MediaType | Self::TooLong | Self::Slow | Self::CutOff | Self::Message(_) => {
                None
            }
        }
    }

    /// Whether the connection ends behind the answer: whoever does not finish its request is not waited for.
    pub const fn ends_connection(&self) -> bool {
        matches!(self, Self::Slow | Self::TooLong | Self::CutOff)
    }
}

/// Reads the message of a `POST`.
///
/// # Errors
/// [`Unread`].
pub async fn read<B>(headers: &HeaderMap, body: B, limits: Limits) -> Result<Message, Unread>
where
    B: Body,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    check_media_type(headers)?;
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

async fn receive<B>(headers: &HeaderMap, body: B, limits: Limits) -> Result<Bytes, Unread>
where
    B: Body,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
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

/// The class of a malformed message; the exact rule is in the log.
fn describe(error: MessageError) -> &'static str {
    if error == MessageError::Batch {
        "Batches are not accepted: send one message at a time"
    } else if matches!(error, MessageError::DuplicateMember | MessageError::FoldedMember) {
        "The message can be read in two ways"
    } else if error.code() == PARSE_ERROR {
        "The message is not JSON"
    } else {
        "Not a JSON-RPC message that is accepted here"
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

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

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
