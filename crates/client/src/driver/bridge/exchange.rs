//! One message to the server: with a good token, with a sign-in where the server asks for one, in a new session where
//! it has forgotten the old one.

use super::{Bridge, session_id};
use crate::{
    discovery::Challenged,
    driver::{
        LoginOptions,
        call::{IDLE, LIMITS, of_server},
        challenges, server_policy,
    },
    error::{ClientError, Failed, Party},
    step_up::{Refusal, refusal},
    storage::Entry,
    wire::{self, Wire},
};
use bytes::Bytes;
use hallpass_core::{
    mcp::{Message, Revision},
    scope::Scope,
};
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
            let entry = self.0.client.access(&self.0.server, &self.0.options.account).await?;
            let request = self.passed_on(wire.as_ref(), message)?;
            let response = self.ask(request, entry.as_ref()).await?;
            let refused = refusal(response.status(), &challenges(response.headers()));
            match refused {
                Some(Refusal::Token(challenged)) => self.sign_in_anew(challenged, entry.as_ref()).await?,
                Some(Refusal::Scope(more)) => self.step_up(message, more, entry.as_ref()).await?,
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
        let request = wire::passed_on(&self.0.server, wire, message);
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
        if self.0.client.wants_another_proof(request.uri(), entry, head) {
            return self.ask_once(request, entry).await;
        }
        Ok(response)
    }

    async fn ask_once(
        &self,
        request: Request<Bytes>,
        entry: Option<&Entry>,
    ) -> Result<Response<Body>, Failed> {
        let request = self.0.client.authorized(request, entry)?;
        let policy = server_policy(&self.0.server);
        self.0.client.fetch.stream(request, &policy, LIMITS, IDLE).await.map_err(of_server)
    }

    /// A refused token is renewed; where that brings nothing new, the person signs in.
    async fn sign_in_anew(&self, challenged: Challenged, seen: Option<&Entry>) -> Result<(), Failed> {
        if let Some(seen) = seen {
            let renewed = self.0.client.renew(&self.0.server, seen).await?;
            if renewed.is_some_and(|renewed| renewed.tokens.access_token != seen.tokens.access_token) {
                return Ok(());
            }
        }
        self.ask_person(("sign-in", None), Some(challenged), seen).await
    }

    async fn step_up(&self, message: &Message, more: Scope, seen: Option<&Entry>) -> Result<(), Failed> {
        let operation =
            format!("{} {}", message.method().unwrap_or_default(), message.name().unwrap_or_default());
        let before = seen.map(|entry| entry.requested_scope.clone()).unwrap_or_default();
        // Whoever chose exactly these scopes is not asked for others.
        if self.0.options.scope.is_some() {
            return Err(ClientError::MoreScopeNeeded(before.united_with(&more)).into());
        }
        self.ask_person((&operation, Some(more)), None, seen).await
    }

    /// One sign-in at a time. Whoever waited for another one's tries with what that brought.
    async fn ask_person(
        &self,
        (operation, more): (&str, Option<Scope>),
        challenged: Option<Challenged>,
        seen: Option<&Entry>,
    ) -> Result<(), Failed> {
        let mut person = self.0.person.lock().await;
        let now = self.0.client.access(&self.0.server, &self.0.options.account).await?;
        let token = |entry: Option<&Entry>| entry.map(|entry| entry.tokens.access_token.clone());
        if now.is_some() && token(now.as_ref()) != token(seen) {
            return Ok(());
        }
        person.attempts.next_call();
        if !person.attempts.allow(operation, more.as_ref()) {
            let scope = more.unwrap_or_default();
            return Err(ClientError::MoreScopeNeeded(scope).into());
        }
        let options = LoginOptions { more_scope: more, ..self.0.options.clone() };
        let server = self.0.server.clone();
        self.0.client.login_for(server, &options, challenged, &mut *person.interaction).await?;
        Ok(())
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
        let entry = self.0.client.access(&self.0.server, &self.0.options.account).await?;
        let response = self.ask(self.passed_on(None, &opening)?, entry.as_ref()).await?;
        let status = response.status();
        if !status.is_success() {
            return Err(ClientError::Status { what: Party::Server, status: status.as_u16() }.into());
        }
        let wire = self.read_opening(response).await?;
        let initialized = serde_json::json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        let initialized =
            wire::other(&self.0.server, &wire, &initialized).map_err(|_| ClientError::NotMcp)?;
        self.ask(initialized, entry.as_ref()).await?;
        self.state().session = Some(wire.clone());
        self.listen(wire);
        Ok(())
    }
}

/// 404 for a session's message: the server does not know the session any more (MCP 2025-11-25, session management).
fn is_forgotten(response: &Response<Body>, wire: Option<&Wire>) -> bool {
    response.status() == StatusCode::NOT_FOUND && wire.and_then(session_id).is_some()
}
