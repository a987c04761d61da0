//! One message to the server: with a good token, with a sign-in where the server asks for one, in a new session where
//! it has forgotten the old one.

use super::{Bridge, session_id};
use crate::{
    driver::{
        call::{IDLE, LIMITS, of_server, refusal_of},
        server_policy,
    },
    error::{ClientError, Failed, Party},
    step_up::Refusal,
    storage::Entry,
    wire::{self, Wire},
};
use bytes::Bytes;
use hallpass_core::mcp::{Message, Revision};
use hallpass_fetch::Body;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use serde_json::Value;

/// Most sign-ins and new sessions for one message (CL-077).
const MOST: u8 = 3;

/// A server's answer, and the wire that it came over.
pub(super) struct Answered {
    pub(super) response: Response<Body>,
    pub(super) wire: Option<Wire>,
}

impl Bridge {
    /// Sends the message until it is answered with something else than a refusal that can be mended.
    pub(super) async fn exchange(&self, message: &Message) -> Result<Answered, Failed> {
        for _ in 0..=MOST {
            let wire = self.wire_of(message);
            let entry = self.0.credentials.current().await?;
            let request = self.passed_on(wire.as_ref(), message)?;
            let response = self.ask(request, entry.as_deref()).await?;
            match refusal_of(&response) {
                Some(Refusal::Token(challenged)) => {
                    self.0.credentials.sign_in_anew(challenged, entry.as_deref()).await?;
                }
                Some(Refusal::Scope(more)) => {
                    let (method, name) = (message.method(), message.name());
                    let operation = format!("{} {}", method.unwrap_or_default(), name.unwrap_or_default());
                    self.0.credentials.step_up(&operation, more, entry.as_deref()).await?;
                }
                None if is_forgotten(&response, wire.as_ref()) => {
                    self.reopen(wire.as_ref().and_then(session_id)).await?;
                }
                None => return Ok(Answered { response, wire }),
            }
        }
        Err(ClientError::SignInNeeded.into())
    }

    /// What the client speaks: each message of the stateless wire says so itself, the others belong to its session.
    fn wire_of(&self, message: &Message) -> Option<Wire> {
        let mut state = self.state();
        let stateless =
            message.protocol_version().and_then(Revision::parse).is_some_and(|r| !r.has_sessions());
        if stateless {
            state.stateless = true;
            return Some(Wire::Stateless);
        }
        state.session.clone()
    }

    fn passed_on(&self, wire: Option<&Wire>, message: &Message) -> Result<Request<Bytes>, Failed> {
        let request = wire::passed_on(self.0.credentials.server(), wire, message);
        let mut request = request.map_err(|_| ClientError::NotMcp)?;
        let call =
            message.call().filter(|call| call.method() == "tools/call" && wire == Some(&Wire::Stateless));
        let params = call.and_then(|call| call.params()?.to_value());
        if let Some(Value::Object(params)) = params {
            for (name, value) in self.state().tool_headers.of_call(&params) {
                let header = HeaderName::try_from(name).ok().zip(HeaderValue::try_from(value).ok());
                let (name, value) = header.ok_or(ClientError::NotMcp)?;
                request.headers_mut().insert(name, value);
            }
        }
        Ok(request)
    }

    /// Sends one request with the token of this account, to the server that it is for and nowhere else (CL-062).
    pub(super) async fn ask(
        &self,
        request: Request<Bytes>,
        entry: Option<&Entry>,
    ) -> Result<Response<Body>, Failed> {
        let response = self.ask_once(request.clone(), entry).await?;
        let head = (response.status(), response.headers());
        if self.client().wants_another_proof(request.uri(), entry, head) {
            return self.ask_once(request, entry).await;
        }
        Ok(response)
    }

    async fn ask_once(
        &self,
        request: Request<Bytes>,
        entry: Option<&Entry>,
    ) -> Result<Response<Body>, Failed> {
        let request = self.client().authorized(request, entry)?;
        let policy = server_policy(self.0.credentials.server());
        self.client().fetch.stream(request, &policy, LIMITS, IDLE).await.map_err(of_server)
    }

    /// A new session in place of the `lost` one, opened with the client's own words. What the server says to it stays
    /// here: the client has had its answer.
    async fn reopen(&self, lost: Option<&HeaderValue>) -> Result<(), Failed> {
        let _turn = self.0.reopening.lock().await;
        let opening = {
            let state = self.state();
            if state.session.as_ref().and_then(session_id) != lost {
                return Ok(());
            }
            state.opening.clone()
        };
        let opening = opening.ok_or(ClientError::NotMcp)?;
        let entry = self.0.credentials.current().await?;
        let response = self.ask(self.passed_on(None, &opening)?, entry.as_deref()).await?;
        let status = response.status();
        if !status.is_success() {
            return Err(ClientError::Status { what: Party::Server, status: status.as_u16() }.into());
        }
        let wire = self.read_opening(response).await?;
        let initialized = serde_json::json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        let initialized =
            wire::other(self.0.credentials.server(), &wire, &initialized).map_err(|_| ClientError::NotMcp)?;
        self.ask(initialized, entry.as_deref()).await?;
        self.state().session = Some(wire.clone());
        self.listen(wire);
        Ok(())
    }
}

/// 404 for a session's message: the server does not know the session any more (MCP 2025-11-25, session management).
fn is_forgotten(response: &Response<Body>, wire: Option<&Wire>) -> bool {
    response.status() == StatusCode::NOT_FOUND && wire.and_then(session_id).is_some()
}
