//! Calls to the MCP server, with a good token, over whichever wire it speaks.

use super::{Client, challenges, server_policy, server_url};
use crate::{
    error::{ClientError, Failed, Party},
    sse::EventReader,
    step_up::{Refusal, refusal},
    storage::Entry,
    wire::{self, Incoming, MAX_MESSAGE, Wire},
};
use bytes::Bytes;
use hallpass_core::{secret::SecretString, uri::ResourceUri};
use hallpass_fetch::{Body, FetchError, Limits};
use http::{HeaderValue, Request, Response, StatusCode, header};
use serde_json::{Map, Value};
use std::{collections::VecDeque, time::Duration};

/// A tool may think for minutes before the first byte.
const LIMITS: Limits = Limits { body: 256 * 1024 * 1024, total: Duration::from_mins(5) };
/// Silence on a stream.
const IDLE: Duration = Duration::from_mins(5);

/// A conversation with one server as one account. Not for several calls at the same time; clone the client.
#[derive(Debug)]
pub struct Caller {
    client: Client,
    server: ResourceUri,
    account: String,
    wire: Option<Wire>,
    last_id: i64,
}

impl Client {
    /// Prepares calls; nothing is sent yet.
    ///
    /// # Errors
    /// `ServerUrl`.
    pub fn caller(&self, server: &str, account: &str) -> Result<Caller, Failed> {
        Ok(Caller {
            client: self.clone(),
            server: server_url(server)?,
            account: account.to_owned(),
            wire: None,
            last_id: 0,
        })
    }
}

impl Caller {
    /// Sends one request and gives the messages that come for it: notifications, then the answer. The first
    /// call opens the conversation.
    ///
    /// A refused token is renewed once and the request sent again under a new id: the server refused before it
    /// did anything (CL-079). A session that the server has forgotten is opened anew, once.
    ///
    /// # Errors
    /// `SignInNeeded`, `MoreScopeNeeded`, `Storage`, `Token`, `Fetch`, `Status`, `NotMcp`, `Busy`.
    pub async fn call(
        &mut self,
        method: &str,
        params: Option<&Map<String, Value>>,
    ) -> Result<Messages<'_>, Failed> {
        let response = self.request(method, params).await?;
        let session = matches!(self.wire, Some(Wire::Session { session: Some(_), .. }));
        let response = if session && response.status() == StatusCode::NOT_FOUND {
            self.wire = None;
            self.request(method, params).await?
        } else {
            response
        };
        Messages::of(self, response).await
    }

    /// Ends the session, where there is one. The server may refuse that, and it does not matter.
    pub async fn close(mut self) {
        let Some(wire) = self.wire.take() else { return };
        if let Ok(Some(request)) = wire::end_session(&self.server, &wire) {
            let limits = Limits { total: Duration::from_secs(2), ..LIMITS };
            if let Ok(Some(entry)) = self.client.access(&self.server, &self.account).await {
                let _ = self
                    .client
                    .fetch
                    .send(authorized(request, Some(&entry)), &server_policy(&self.server), limits)
                    .await;
            }
        }
    }

    async fn request(
        &mut self,
        method: &str,
        params: Option<&Map<String, Value>>,
    ) -> Result<Response<Body>, Failed> {
        let wire = match self.wire.clone() {
            Some(wire) => wire,
            None => self.open().await?,
        };
        self.wire = Some(wire.clone());
        self.send(|caller, id| {
            wire::request(&caller.server, &wire, caller.client.info(), (id, method, params))
        })
        .await
    }

    /// `initialize`; a server that only knows the stateless wire refuses that in a way that shows it.
    async fn open(&mut self) -> Result<Wire, Failed> {
        let response =
            self.send(|caller, id| wire::initialize(&caller.server, caller.client.info(), id)).await?;
        let (status, headers) = (response.status(), response.headers().clone());
        if !status.is_success() {
            let body = response.into_body().collect().await.unwrap_or_default();
            if wire::is_stateless_server(status, &body) {
                return Ok(Wire::Stateless);
            }
            return Err(ClientError::Status { what: Party::Server, status: status.as_u16() }.into());
        }
        let mut messages = Messages::of(self, response).await?;
        let wire = loop {
            match messages.next().await? {
                Some(Incoming::Result(result)) => break wire::session(&headers, &result),
                Some(Incoming::Error(error)) => {
                    let body = serde_json::json!({ "error": error }).to_string();
                    break wire::is_stateless_server(status, body.as_bytes()).then_some(Wire::Stateless);
                }
                Some(Incoming::Notification(_) | Incoming::Request { .. }) => {}
                None => break None,
            }
        };
        let wire = wire.ok_or(ClientError::NotMcp)?;
        if wire != Wire::Stateless {
            let initialized = serde_json::json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
            self.send(|caller, _| wire::other(&caller.server, &wire, &initialized)).await?;
        }
        Ok(wire)
    }

    /// Sends what `make` writes for a fresh id, with the token of this account, to the server that the token is
    /// for, and nowhere else (CL-062).
    async fn send(
        &mut self,
        make: impl Fn(&Self, i64) -> Result<Request<Bytes>, http::Error>,
    ) -> Result<Response<Body>, Failed> {
        let entry = self.client.access(&self.server, &self.account).await?;
        let response = self.send_with(&make, entry.as_ref()).await?;
        let Some(Refusal::Token(_)) = refusal_of(&response) else {
            return without_refusal(response, entry.as_ref());
        };
        let Some(seen) = entry else { return Err(ClientError::SignInNeeded.into()) };
        let renewed = self.client.renew(&self.server, &seen).await?.ok_or(ClientError::SignInNeeded)?;
        let response = self.send_with(&make, Some(&renewed)).await?;
        without_refusal(response, Some(&renewed))
    }

    async fn send_with(
        &mut self,
        make: &impl Fn(&Self, i64) -> Result<Request<Bytes>, http::Error>,
        entry: Option<&Entry>,
    ) -> Result<Response<Body>, Failed> {
        self.last_id = self.last_id.saturating_add(1);
        let request = make(self, self.last_id).map_err(|_| ClientError::NotMcp)?;
        let request = authorized(request, entry);
        let policy = server_policy(&self.server);
        self.client.fetch.stream(request, &policy, LIMITS, IDLE).await.map_err(of_server)
    }
}

fn without_refusal(response: Response<Body>, entry: Option<&Entry>) -> Result<Response<Body>, Failed> {
    match refusal_of(&response) {
        None => Ok(response),
        Some(Refusal::Token(_)) => Err(ClientError::SignInNeeded.into()),
        Some(Refusal::Scope(more)) => {
            let before = entry.map(|entry| entry.requested_scope.clone()).unwrap_or_default();
            Err(ClientError::MoreScopeNeeded(before.united_with(&more)).into())
        }
    }
}

fn refusal_of(response: &Response<Body>) -> Option<Refusal> {
    refusal(response.status(), &challenges(response.headers()))
}

fn of_server(source: FetchError) -> Failed {
    ClientError::Fetch { what: Party::Server, source }.into()
}

/// The one place that puts a token into a request: the header, never the URL.
fn authorized(mut request: Request<Bytes>, entry: Option<&Entry>) -> Request<Bytes> {
    if let Some(value) = entry.and_then(|entry| bearer(&entry.tokens.access_token)) {
        request.headers_mut().insert(header::AUTHORIZATION, value);
    }
    request
}

fn bearer(token: &SecretString) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(format!("Bearer {}", token.expose())).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The messages that come for one request.
#[derive(Debug)]
pub struct Messages<'a> {
    caller: &'a mut Caller,
    body: Option<Body>,
    events: EventReader,
    ready: VecDeque<Incoming>,
}

impl<'a> Messages<'a> {
    async fn of(caller: &'a mut Caller, response: Response<Body>) -> Result<Messages<'a>, Failed> {
        let status = response.status();
        let kind = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let is_stream = kind.is_some_and(|kind| media_type(kind).eq_ignore_ascii_case("text/event-stream"));
        let mut messages =
            Self { caller, body: None, events: EventReader::new(MAX_MESSAGE), ready: VecDeque::new() };
        if status.is_success() && is_stream {
            messages.body = Some(response.into_body());
            return Ok(messages);
        }
        // A status of 400 or 404 may carry a JSON-RPC error (revision 2026-07-28).
        let body = response.into_body().collect().await.map_err(of_server)?;
        match wire::read(&body) {
            Some(message @ Incoming::Error(_)) => messages.ready.push_back(message),
            Some(message @ Incoming::Result(_)) if status.is_success() => messages.ready.push_back(message),
            _ if !status.is_success() => {
                return Err(ClientError::Status { what: Party::Server, status: status.as_u16() }.into());
            }
            _ => return Err(ClientError::NotMcp.into()),
        }
        Ok(messages)
    }

    /// The next message; `None` after the answer.
    ///
    /// # Errors
    /// `Fetch` where the stream breaks before the answer, `NotMcp`.
    pub async fn next(&mut self) -> Result<Option<Incoming>, Failed> {
        loop {
            if let Some(message) = self.ready.pop_front() {
                match &message {
                    Incoming::Result(_) | Incoming::Error(_) => self.finish(),
                    Incoming::Request { id, method } => self.reply(wire::reply(id, method)).await,
                    Incoming::Notification(_) => {}
                }
                return Ok(Some(message));
            }
            let Some(body) = &mut self.body else { return Ok(None) };
            let Some(piece) = body.chunk().await.map_err(of_server)? else {
                self.body = None;
                return Err(of_server(FetchError::Interrupted));
            };
            for event in self.events.push(&piece).map_err(|_| ClientError::NotMcp)? {
                self.ready.push_back(wire::read(&event).ok_or(ClientError::NotMcp)?);
            }
        }
    }

    fn finish(&mut self) {
        self.body = None;
        self.ready.clear();
    }

    /// The server waits for this on its side; whether it arrives shows in what it sends next.
    async fn reply(&mut self, message: Value) {
        if let Some(wire) = self.caller.wire.clone() {
            let _ = self.caller.send(|caller, _| wire::other(&caller.server, &wire, &message)).await;
        }
    }
}

fn media_type(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or("").trim()
}
