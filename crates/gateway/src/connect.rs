//! How a person is told, through a client, to connect a service: in the way that this client understands. The client opens
//! the page itself where it says that it does (MCP 2025-11-25, elicitation in URL mode); else the text names it.

use crate::{
    headers,
    message::{Action, Call},
    refuse::{self},
};
use axum::body::Body;
use hallpass_core::mcp::Raw;
use hallpass_resource::refuse::ERROR_CODE;
use http::{HeaderValue, Response, StatusCode, header};
use serde_json::{Value, json};

/// `URLElicitationRequiredError` (MCP 2025-11-25, schema).
const URL_ELICITATION_REQUIRED: i64 = -32042;

/// What a client is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Prompt {
    /// What is to be connected, for people.
    pub service: String,
    /// Which server needs it, for people.
    pub server: String,
    /// Where.
    pub page: String,
    /// Whether it was connected before.
    pub again: bool,
    /// In which form.
    pub form: Form,
}

/// The forms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// The error that makes a client open a page.
    Elicitation,
    /// The result of a tool, for whoever reads it.
    ToolResult,
    /// An error of the request.
    Error,
    /// There is no request that could be answered.
    Status,
}

impl Form {
    /// What the client of this call understands.
    pub(crate) fn of(call: &Call) -> Self {
        let opens = match &call.session {
            Some(session) => session.opens_urls,
            None => crate::person::opens_urls(call),
        };
        match (&call.action, call.id()) {
            (Action::Message(_), Some(_)) if opens => Self::Elicitation,
            (Action::Message(message), Some(_)) if message.method() == Some("tools/call") => Self::ToolResult,
            (Action::Message(_), Some(_)) => Self::Error,
            (Action::Message(_) | Action::Listen | Action::EndSession, _) => Self::Status,
        }
    }
}

impl Prompt {
    fn text(&self) -> String {
        let Self { service, server, page, again, .. } = self;
        if *again {
            format!(
                "Your connection to {service}, which {server} uses, is over. Open {page} to connect it again, then try again."
            )
        } else {
            format!(
                "{server} works with your account at {service}. Open {page} to connect it, then try again."
            )
        }
    }

    /// The member that says it, and whether it is a result.
    fn member(&self) -> (&'static str, Value) {
        let text = self.text();
        match self.form {
            Form::Elicitation => {
                let asked = json!({
                    "mode": "url",
                    "elicitationId": elicitation(&self.page),
                    "url": self.page,
                    "message": format!("{} needs your account at {}.", self.server, self.service),
                });
                (
                    "error",
                    json!({ "code": URL_ELICITATION_REQUIRED, "message": text, "data": { "elicitations": [asked] } }),
                )
            }
            Form::ToolResult => {
                ("result", json!({ "content": [{ "type": "text", "text": text }], "isError": true }))
            }
            Form::Error | Form::Status => ("error", json!({ "code": ERROR_CODE, "message": text })),
        }
    }

    /// The answer. A request that was read is answered with 200, because clients read no errors out of others.
    pub(crate) fn respond(&self, id: Option<&Raw>) -> Response<Body> {
        let (name, value) = self.member();
        let Some(id) = id.filter(|_| self.form != Form::Status) else {
            return refuse::error(StatusCode::FORBIDDEN, None, i64::from(ERROR_CODE), &self.text());
        };
        let body = format!("{{\"jsonrpc\":\"2.0\",\"id\":{},\"{name}\":{value}}}", id.as_str());
        let mut response = Response::new(Body::from(body));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers::protect(headers);
        response
    }
}

/// Fresh with each prompt, as its link is, of which it is the end.
fn elicitation(page: &str) -> &str {
    page.get(page.len().saturating_sub(22)..).unwrap_or(page)
}
