//! What is wrong with a message, and the JSON-RPC errors that say so.

use thiserror::Error;

use super::raw::{Raw, write_string};

/// JSON-RPC 2.0 §5.1: not JSON.
pub const PARSE_ERROR: i64 = -32700;
/// JSON-RPC 2.0 §5.1: JSON, but no message.
pub const INVALID_REQUEST: i64 = -32600;
/// JSON-RPC 2.0 §5.1: no such method. HTTP 404 in revision 2026-07-28.
pub const METHOD_NOT_FOUND: i64 = -32601;
/// JSON-RPC 2.0 §5.1: parameters of a wrong shape.
pub const INVALID_PARAMS: i64 = -32602;
/// JSON-RPC 2.0 §5.1: our own failure.
pub const INTERNAL_ERROR: i64 = -32603;
/// The client did not declare a capability that the method takes (SEP-2575). HTTP 400; `data` names it.
pub const MISSING_CAPABILITY: i64 = -32021;
/// Headers and body differ (SEP-2243 as published in revision 2026-07-28). HTTP 400.
pub const HEADER_MISMATCH: i64 = -32020;

/// Why a message is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum MessageError {
    /// Longer than the limit.
    #[error("the message is too long")]
    TooLong,
    /// Starts with a byte order mark (RFC 8259 §8.1).
    #[error("the message starts with a byte order mark")]
    ByteOrderMark,
    /// Not UTF-8 (RFC 8259 §8.1).
    #[error("the message is not UTF-8")]
    NotUtf8,
    /// Not JSON; half a surrogate pair is none either (RFC 8259 §8.2).
    #[error("the message is not JSON")]
    Syntax,
    /// A number that no two parsers read alike.
    #[error("a number in the message is too long")]
    NumberTooLong,
    /// Nested deeper than the limit.
    #[error("the message is nested too deeply")]
    TooDeep,
    /// More than 64 members in the message itself, in `params` or in `_meta`.
    #[error("the message, its `params` or its `_meta` has too many members")]
    TooManyMembers,
    /// Two members of one object have the same name (RFC 7493 §2.3).
    #[error("an object has two members with the same name")]
    DuplicateMember,
    /// A member that a lenient parser takes for another one: another case, U+017F for `s`, U+212A for `k`, or
    /// NUL characters behind it.
    #[error("a member's name can be mistaken for another")]
    FoldedMember,
    /// Something follows the message.
    #[error("something follows the message")]
    TrailingData,
    /// A JSON-RPC batch, or an array in place of an object.
    #[error("a batch is not accepted")]
    Batch,
    /// Neither an object nor an array.
    #[error("the message is not an object")]
    NotAnObject,
    /// `jsonrpc` is not the string `2.0`.
    #[error("`jsonrpc` is not \"2.0\"")]
    JsonRpcVersion,
    /// `id` is neither a string nor an integer, is too long, or is absent where it has to be.
    #[error("`id` is not a short string or an integer")]
    Id,
    /// `method` is not a string of 1 to 256 bytes without control characters.
    #[error("`method` is not a short string")]
    Method,
    /// `params` is not an object.
    #[error("`params` is not an object")]
    Params,
    /// `error` is not an object (JSON-RPC 2.0 §5.1).
    #[error("`error` is not an object")]
    Error,
    /// Both a request and a response, or both a result and an error.
    #[error("the message is two things at once")]
    Ambiguous,
    /// Neither a request nor a response.
    #[error("the message is neither a request nor a response")]
    Incomplete,
    /// What the method acts on (`params.name` or `params.uri`) is no string, is too long or has control characters.
    #[error("`params` does not say what the method acts on")]
    Name,
    /// The protocol version in `_meta` is not a string.
    #[error("the protocol version in `_meta` is not a string")]
    ProtocolVersion,
}

impl MessageError {
    /// The JSON-RPC code that the peer sees.
    pub const fn code(self) -> i64 {
        match self {
            Self::ByteOrderMark | Self::NotUtf8 | Self::Syntax | Self::TrailingData => PARSE_ERROR,
            Self::TooLong
            | Self::NumberTooLong
            | Self::TooDeep
            | Self::TooManyMembers
            | Self::DuplicateMember
            | Self::FoldedMember
            | Self::Batch
            | Self::NotAnObject
            | Self::JsonRpcVersion
            | Self::Id
            | Self::Method
            | Self::Error
            | Self::Ambiguous
            | Self::Incomplete => INVALID_REQUEST,
            Self::Params | Self::Name | Self::ProtocolVersion => INVALID_PARAMS,
        }
    }
}

/// The body of a JSON-RPC error response (JSON-RPC 2.0 §5.1). Without an id, `id` is `null`.
pub fn error_body(id: Option<&Raw>, code: i64, message: &str) -> Vec<u8> {
    let id = id.map_or("null", Raw::as_str);
    let mut out = format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"error\":{{\"code\":{code},\"message\":");
    write_string(&mut out, message);
    out.push_str("}}");
    out.into_bytes()
}
