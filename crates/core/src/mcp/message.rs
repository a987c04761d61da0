//! A message after its one reading, and the only text that is sent on.

use std::borrow::Cow;

use super::{
    error::MessageError,
    raw::{Raw, write_string},
    scan::{Scanned, decode, scan},
};
use crate::json::Limits;
use serde_json::Value;

/// Longest `method`, in bytes.
const MAX_METHOD: usize = 256;
/// Longest name of a tool or prompt, or URI of a resource, in bytes.
const MAX_NAME: usize = 4096;
/// Longest `id`, in bytes with its quotes.
const MAX_ID: usize = 256;
/// Longest integer as `id`: every 64-bit number.
const MAX_INTEGER: usize = 20;

/// One JSON-RPC 2.0 message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Expects a response.
    Request {
        /// A string or an integer.
        id: Raw,
        /// What is to be done.
        call: Call,
    },
    /// Expects none. A server may still act on it: it is authorized like a request.
    Notification {
        /// What happened.
        call: Call,
    },
    /// Answers a request.
    Response {
        /// Nothing (`null`, or absent) only where an error could not be tied to a request.
        id: Option<Raw>,
        /// How it went.
        outcome: Outcome,
    },
}

/// A method with its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    method: String,
    params: Option<Raw>,
    name: Option<String>,
    protocol_version: Option<String>,
}

/// What a response carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Any value.
    Result(Raw),
    /// An object.
    Error(Raw),
}

impl Message {
    /// 4 MiB, 64 levels.
    pub const LIMITS: Limits = Limits { bytes: 4 * 1024 * 1024, depth: 64 };

    /// Reads one message.
    ///
    /// Refuses whatever two readers could read differently: duplicate members at any depth, member names that
    /// fold to known ones, arrays in place of objects, half surrogate pairs, text behind the message. Unknown
    /// members of the envelope are dropped.
    pub fn parse(bytes: &[u8], limits: Limits) -> Result<Self, MessageError> {
        if bytes.len() > limits.bytes {
            return Err(MessageError::TooLong);
        }
        if bytes.starts_with(b"\xef\xbb\xbf") {
            return Err(MessageError::ByteOrderMark);
        }
        let text = std::str::from_utf8(bytes).map_err(|_| MessageError::NotUtf8)?;
        let scanned = scan(text, limits.depth)?;
        if scanned.jsonrpc.and_then(decode).as_deref() != Some("2.0") {
            return Err(MessageError::JsonRpcVersion);
        }
        match (scanned.method, scanned.result, scanned.error) {
            (Some(method), None, None) => {
                let call = Call::read(method, &scanned)?;
                Ok(match scanned.id {
                    Some(id) => Self::Request { id: read_id(id, &scanned)?, call },
                    None => Self::Notification { call },
                })
            }
            (None, Some(result), None) if scanned.params.is_none() => {
                let id = read_id(scanned.id.ok_or(MessageError::Id)?, &scanned)?;
                Ok(Self::Response {
                    id: Some(id),
                    outcome: Outcome::Result(Raw::scanned(result, scanned.dirty)),
                })
            }
            (None, None, Some(error)) if scanned.params.is_none() => {
                if !error.starts_with('{') {
                    return Err(MessageError::Error);
                }
                let id = scanned.id.filter(|id| *id != "null").map(|id| read_id(id, &scanned)).transpose()?;
                Ok(Self::Response { id, outcome: Outcome::Error(Raw::scanned(error, scanned.dirty)) })
            }
            (None, None, None) => Err(MessageError::Incomplete),
            _ => Err(MessageError::Ambiguous),
        }
    }

    /// The message as it is sent on: one line, only `jsonrpc`, `id`, `method`, `params`, `result`, `error`, their
    /// names in plain form, the values as they were read.
    pub fn to_canonical(&self) -> Vec<u8> {
        let mut out = String::with_capacity(64 + self.values_length());
        out.push_str("{\"jsonrpc\":\"2.0\"");
        match self {
            Self::Request { id, call } => {
                push_member(&mut out, "id", id.as_str());
                call.write(&mut out);
            }
            Self::Notification { call } => call.write(&mut out),
            Self::Response { id, outcome } => {
                push_member(&mut out, "id", id.as_ref().map_or("null", Raw::as_str));
                match outcome {
                    Outcome::Result(result) => push_member(&mut out, "result", result.as_str()),
                    Outcome::Error(error) => push_member(&mut out, "error", error.as_str()),
                }
            }
        }
        out.push('}');
        out.into_bytes()
    }

    /// The request's or response's id.
    pub const fn id(&self) -> Option<&Raw> {
        match self {
            Self::Request { id, .. } => Some(id),
            Self::Response { id, .. } => id.as_ref(),
            Self::Notification { .. } => None,
        }
    }

    /// The method and parameters of a request or notification.
    pub const fn call(&self) -> Option<&Call> {
        match self {
            Self::Request { call, .. } | Self::Notification { call } => Some(call),
            Self::Response { .. } => None,
        }
    }

    /// The method of a request or notification.
    pub fn method(&self) -> Option<&str> {
        self.call().map(Call::method)
    }

    /// What the method acts on; see [`Call::name`].
    pub fn name(&self) -> Option<&str> {
        self.call().and_then(Call::name)
    }

    /// The protocol version inside the message; see [`Call::protocol_version`].
    pub fn protocol_version(&self) -> Option<&str> {
        self.call().and_then(Call::protocol_version)
    }

    /// The same message under another id, for several clients that share one upstream connection. A notification
    /// stays as it is.
    #[must_use]
    pub fn with_id(self, id: Raw) -> Self {
        match self {
            Self::Request { call, .. } => Self::Request { id, call },
            Self::Response { outcome, .. } => Self::Response { id: Some(id), outcome },
            Self::Notification { .. } => self,
        }
    }

    fn values_length(&self) -> usize {
        let outcome = match self {
            Self::Response { outcome: Outcome::Result(raw) | Outcome::Error(raw), .. } => Some(raw),
            Self::Request { .. } | Self::Notification { .. } => None,
        };
        let params = self.call().and_then(Call::params);
        [outcome, params, self.id()].into_iter().flatten().map(|raw| raw.as_str().len()).sum()
    }
}

impl Call {
    fn read(method: &str, scanned: &Scanned<'_>) -> Result<Self, MessageError> {
        let method = read_text(method, MAX_METHOD).ok_or(MessageError::Method)?;
        if scanned.params.is_some_and(|params| !params.starts_with('{')) {
            return Err(MessageError::Params);
        }
        let acted_on = match &*method {
            "tools/call" | "prompts/get" => Some(scanned.name),
            "resources/read" => Some(scanned.uri),
            _ => None,
        };
        let name = acted_on
            .map(|raw| raw.and_then(|raw| read_text(raw, MAX_NAME)).ok_or(MessageError::Name))
            .transpose()?
            .map(Cow::into_owned);
        let protocol_version = scanned
            .protocol_version
            .map(|raw| read_text(raw, MAX_METHOD).ok_or(MessageError::ProtocolVersion))
            .transpose()?
            .map(Cow::into_owned);
        let params = scanned.params.map(|params| Raw::scanned(params, scanned.dirty));
        Ok(Self { method: method.into_owned(), params, name, protocol_version })
    }

    /// The method, escapes read.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// The parameters, an object.
    pub const fn params(&self) -> Option<&Raw> {
        self.params.as_ref()
    }

    /// What the method acts on, escapes read: `params.name` of `tools/call` and `prompts/get`, `params.uri` of
    /// `resources/read`. These three always have it; other methods never.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// What `Mcp-Name` says of it: what it acts on, or the task of a method that is about one (SEP-2663).
    pub fn mirrored_name(&self) -> Option<Cow<'_, str>> {
        if !matches!(self.method(), "tasks/get" | "tasks/update" | "tasks/cancel") {
            return self.name().map(Cow::Borrowed);
        }
        match self.params.as_ref()?.members()?.get("taskId")?.to_value()? {
            Value::String(id) => Some(Cow::Owned(id)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => None,
        }
    }

    /// The same with other parameters. What it acts on stays: they are to differ in nothing that was read of them.
    #[must_use]
    pub fn with_params(self, params: Raw) -> Self {
        Self { params: Some(params), ..self }
    }

    /// `params.arguments` of a tool or prompt, read anew: only where something depends on them.
    pub fn arguments(&self) -> Option<Value> {
        let mut params = self.params.as_ref()?.to_value()?;
        params.get_mut("arguments").map(Value::take)
    }

    /// Whether the client says in `_meta` that it knows tasks (SEP-2663), which since revision 2026-07-28 each request says.
    pub fn declares_tasks(&self) -> bool {
        let params = self.params.as_ref().and_then(Raw::to_value);
        let declared = [
            "_meta",
            "io.modelcontextprotocol/clientCapabilities",
            "extensions",
            "io.modelcontextprotocol/tasks",
        ];
        let said = |params: &Value| {
            declared.iter().try_fold(params, |within, name| within.get(name)).is_some_and(Value::is_object)
        };
        params.as_ref().is_some_and(said)
    }

    /// `params._meta["io.modelcontextprotocol/protocolVersion"]` (revision 2026-07-28).
    pub fn protocol_version(&self) -> Option<&str> {
        self.protocol_version.as_deref()
    }

    fn write(&self, out: &mut String) {
        out.push_str(",\"method\":");
        write_string(out, &self.method);
        if let Some(params) = &self.params {
            push_member(out, "params", params.as_str());
        }
    }
}

fn push_member(out: &mut String, name: &str, value: &str) {
    out.push_str(",\"");
    out.push_str(name);
    out.push_str("\":");
    out.push_str(value);
}

/// A string of 1 to `longest` bytes without control characters: `danger\0` is `danger` to whoever stops at NUL.
fn read_text(raw: &str, longest: usize) -> Option<Cow<'_, str>> {
    let text = decode(raw)?;
    let plain = !text.is_empty() && text.len() <= longest && !text.chars().any(char::is_control);
    plain.then_some(text)
}

/// A string or an integer. Fractions and exponents are refused: 1, 1.0 and 1e0 are one id to some, three to others.
fn read_id(raw: &str, scanned: &Scanned<'_>) -> Result<Raw, MessageError> {
    let is_string = raw.starts_with('"') && raw.len() <= MAX_ID;
    let digits = raw.strip_prefix('-').unwrap_or(raw);
    let is_integer =
        !digits.is_empty() && raw.len() <= MAX_INTEGER && digits.bytes().all(|byte| byte.is_ascii_digit());
    if is_string || is_integer { Ok(Raw::scanned(raw, scanned.dirty)) } else { Err(MessageError::Id) }
}
