//! What an operation is about: a tool, a prompt, a resource, or nothing that has a name. Pure.

use hallpass_core::{
    authorization_details::AuthorizationDetails,
    mcp::{Call, Message, Raw},
};
use serde_json::Value;
use std::borrow::Cow;

/// What a caller wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation<'a> {
    /// A request or notification.
    Call(&'a Call),
    /// An answer to a request of the server.
    Response,
    /// Opens the stream of the server's own messages, or resumes one.
    Listen,
    /// Ends a session.
    EndSession,
}

impl<'a> Operation<'a> {
    /// What a message wants.
    pub(crate) fn of(message: &'a Message) -> Self {
        message.call().map_or(Self::Response, Self::Call)
    }

    /// For the log: the method, or what stands for it.
    pub(crate) fn method(self) -> &'a str {
        match self {
            Self::Call(call) => call.method(),
            Self::Response => "(response)",
            Self::Listen => "(listen)",
            Self::EndSession => "(end session)",
        }
    }

    /// For the log: what it acts on, a tool, a prompt or a resource.
    pub(crate) fn name(self) -> Option<&'a str> {
        match self {
            Self::Call(call) => call.name(),
            Self::Response | Self::Listen | Self::EndSession => None,
        }
    }
}

/// What is named by rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// By its name.
    Tool,
    /// By its name.
    Prompt,
    /// By its URI.
    Resource,
}

/// Whether a token that is limited to some tools is for this (RFC 9396). The limits speak of tools; of the rest the scopes do.
pub(crate) fn within(details: Option<&AuthorizationDetails>, operation: Operation<'_>) -> bool {
    let (Some(details), Operation::Call(call)) = (details, operation) else { return true };
    match target(call) {
        Target::One(Kind::Tool, name) => details.allow(&name, call.arguments().as_ref()),
        Target::Unreadable => false,
        Target::One(Kind::Prompt | Kind::Resource, _) | Target::Nothing => true,
    }
}

/// What a call acts on.
pub(crate) enum Target<'a> {
    /// The method is about nothing that has a name.
    Nothing,
    /// This.
    One(Kind, Cow<'a, str>),
    /// It is, and does not say which.
    Unreadable,
}

/// What a call acts on.
pub(crate) fn target(call: &Call) -> Target<'_> {
    let kind = match call.method() {
        "tools/call" => Kind::Tool,
        "prompts/get" => Kind::Prompt,
        "resources/read" => Kind::Resource,
        "resources/subscribe" | "resources/unsubscribe" => return inside(call, Kind::Resource, "/uri"),
        "completion/complete" => {
            let reference = call.params().and_then(Raw::to_value);
            let kind = reference.as_ref().and_then(|params| params.pointer("/ref/type")?.as_str());
            return match kind {
                Some("ref/prompt") => inside(call, Kind::Prompt, "/ref/name"),
                // A template, named as it is written.
                Some("ref/resource") => inside(call, Kind::Resource, "/ref/uri"),
                _ => Target::Unreadable,
            };
        }
        _ => return Target::Nothing,
    };
    call.name().map_or(Target::Unreadable, |name| Target::One(kind, Cow::Borrowed(name)))
}

fn inside(call: &Call, kind: Kind, pointer: &str) -> Target<'static> {
    let name = call.params().and_then(Raw::to_value);
    let name = name.as_ref().and_then(|params| params.pointer(pointer)).and_then(Value::as_str);
    name.map_or(Target::Unreadable, |name| Target::One(kind, Cow::Owned(name.to_owned())))
}

/// The characters that MCP recommends for names (SEP-986).
pub(crate) fn is_plain_name(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-./".contains(&byte))
}

/// Nothing in it that leads elsewhere once somebody resolves it.
pub(crate) fn is_plain_uri(uri: &str) -> bool {
    let lower = uri.to_ascii_lowercase();
    uri.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
        && !["%2e", "%2f", "%5c", "%25"].iter().any(|escape| lower.contains(escape))
        && !uri.split(['/', '?', '#']).any(|segment| matches!(segment, "." | ".."))
}
