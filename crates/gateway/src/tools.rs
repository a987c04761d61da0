//! What an operation takes. Pure: the one function that says which scope is needed for what.

use hallpass_core::{mcp::Message, scope::Scope};

/// What a caller wants to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation<'a> {
    /// A request or notification, with what it acts on (a tool, a prompt, a resource).
    Method {
        /// The method.
        method: &'a str,
        /// The name of the tool or prompt, or the URI of the resource.
        name: Option<&'a str>,
    },
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
        match message.call() {
            Some(call) => Self::Method { method: call.method(), name: call.name() },
            None => Self::Response,
        }
    }

    /// For the log: the method, or what stands for it.
    pub(crate) fn method(self) -> &'a str {
        match self {
            Self::Method { method, .. } => method,
            Self::Response => "(response)",
            Self::Listen => "(listen)",
            Self::EndSession => "(end session)",
        }
    }

    /// For the log: what it acts on.
    pub(crate) fn name(self) -> Option<&'a str> {
        match self {
            Self::Method { name, .. } => name,
            Self::Response | Self::Listen | Self::EndSession => None,
        }
    }
}

/// What one server asks for.
#[derive(Clone, Debug)]
pub(crate) struct Rules {
    /// Needed for anything at all.
    pub required: Scope,
}

/// The scopes that an operation needs, all of them, always the same ones (RS-017).
pub(crate) fn required<'r>(rules: &'r Rules, operation: Operation<'_>) -> &'r Scope {
    match operation {
        Operation::Method { .. } | Operation::Response | Operation::Listen | Operation::EndSession => {
            &rules.required
        }
    }
}
