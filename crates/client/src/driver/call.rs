//! Calls to the MCP server, with a good token, over whichever wire it speaks.

use super::{Client, Proofs, challenges, server_policy, server_url};
use crate::{
    discovery::Challenged,
    elicitation::{Asked, Pages},
    error::{ClientError, Failed, Party},
    peer::PeerText,
    proof,
    sse::EventReader,
    step_up::{Attempts, Refusal, refusal},
    storage::Entry,
    tool_headers::ToolHeaders,
    wire::{self, ClientInfo, Incoming, MAX_MESSAGE, Wire},
};
use bytes::Bytes;
use hallpass_core::{mcp::revision::Revision, uri::ResourceUri};
use hallpass_fetch::{Body, FetchError, Limits};
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, Uri, header};
use serde_json::{Map, Value};
use std::{collections::VecDeque, time::Duration};

/// A tool may think for minutes before the first byte.
pub(super) const LIMITS: Limits = Limits { body: 256 * 1024 * 1024, total: Duration::from_mins(5) };
/// Silence on a stream.
pub(super) const IDLE: Duration = Duration::from_mins(5);

/// A conversation with one server as one account. Not for several calls at the same time; clone the client.
#[derive(Debug)]
pub struct Caller {
    pub(super) client: Client,
    pub(super) server: ResourceUri,
    pub(super) account: String,
    wire: Option<Wire>,
    last_id: i64,
    /// Of the last request that was refused.
    pub(super) challenged: Option<Challenged>,
    pub(super) attempts: Attempts,
    /// The extension of MCP by which this program signs in without a person.
    pub(super) extension: Option<&'static str>,
    /// Whether the tokens in use are bound to a key.
    bound: bool,
    tool_headers: ToolHeaders,
    pages: Asked,
    /// What is offered first, or what the server has asked for since.
    revision: Revision,
}

/// The body of an answer, as it comes or read already.
pub(super) enum Content {
    Stream(Body),
    Whole(Bytes),
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
            challenged: None,
            attempts: Attempts::default(),
            extension: None,
            bound: false,
            tool_headers: ToolHeaders::default(),
            pages: Asked::default(),
            revision: self.settings.revision.unwrap_or(Revision::V2025_11_25),
        })
    }
}

impl Caller {
    /// With somebody who is asked when the server wants a page opened. Before the first call: it is offered when the
    /// conversation begins.
    #[must_use]
    pub fn with_pages(self, pages: Box<dyn Pages>) -> Self {
        Self { pages: Asked(Some(pages)), ..self }
    }

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
        let response = self.response(method, params).await?;
        Messages::of(self, response, method).await
    }

    pub(super) async fn response(
        &mut self,
        method: &str,
        params: Option<&Map<String, Value>>,
    ) -> Result<Response<Content>, Failed> {
        let response = self.request(method, params).await?;
        let status = response.status();
        let session = matches!(self.wire, Some(Wire::Session { session: Some(_), .. }));
        if session && status == StatusCode::NOT_FOUND {
            self.wire = None;
            return Ok(self.request(method, params).await?.map(Content::Stream));
        }
        if self.wire != Some(Wire::Stateless) || status != StatusCode::BAD_REQUEST {
            return Ok(response.map(Content::Stream));
        }
        let (head, body) = response.into_parts();
        let body = body.collect().await.map_err(of_server)?;
        let Some(revision) = wire::revisions_instead(status, &body).and_then(|list| list.into_iter().max())
        else {
            return Ok(Response::from_parts(head, Content::Whole(body)));
        };
        // Refused for the revision, so nothing was done: once more, in the newest that both know.
        self.wire = None;
        self.revision = revision;
        Ok(self.request(method, params).await?.map(Content::Stream))
    }

    /// Ends the session, where there is one. The server may refuse that, and it does not matter.
    pub async fn close(mut self) {
        let Some(wire) = self.wire.take() else { return };
        if let Ok(Some(request)) = wire::end_session(&self.server, &wire) {
            let limits = Limits { total: Duration::from_secs(2), ..LIMITS };
            let entry = self.client.access(&self.server, &self.account).await.ok().flatten();
            if let Ok(request) = self.client.authorized(request, entry.as_ref()) {
                let _ = self.client.fetch.send(request, &server_policy(&self.server), limits).await;
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
            let extensions: Vec<&str> = caller.extensions().collect();
            let info = ClientInfo { extensions: &extensions, ..caller.client.info() };
            let mut request = wire::request(&caller.server, &wire, info, (id, method, params))?;
            if wire == Wire::Stateless && method == "tools/call" {
                for (name, value) in
                    params.map(|params| caller.tool_headers.of_call(params)).unwrap_or_default()
                {
                    request.headers_mut().insert(HeaderName::try_from(name)?, HeaderValue::try_from(value)?);
                }
            }
            Ok(request)
        })
        .await
    }

    /// What this client does beyond the core of MCP; declared, because nothing of it is on by itself (CL-088).
    fn extensions(&self) -> impl Iterator<Item = &'static str> {
        let proofs = self.bound || self.client.settings.proofs == Proofs::WhereOffered;
        proofs.then_some(proof::EXTENSION).into_iter().chain(self.extension)
    }

    /// `initialize`, unless the server is known to be stateless; one that only knows the stateless wire refuses it
    /// in a way that shows that.
    async fn open(&mut self) -> Result<Wire, Failed> {
        let revision = self.revision;
        if !revision.has_sessions() {
            return Ok(Wire::Stateless);
        }
        let response = self
            .send(|caller, id| {
                let info = ClientInfo { pages: caller.pages.0.is_some(), ..caller.client.info() };
                wire::initialize(&caller.server, info, (id, revision))
            })
            .await?;
        let (status, headers) = (response.status(), response.headers().clone());
        if !status.is_success() {
            let body = response.into_body().collect().await.unwrap_or_default();
            if wire::is_stateless_server(status, &body) {
                return Ok(Wire::Stateless);
            }
            if let Some(Incoming::Error(error)) = wire::read(&body) {
                return Err(not_begun(&error));
            }
            return Err(ClientError::Status { what: Party::Server, status: status.as_u16() }.into());
        }
        let mut messages = Messages::of(self, response.map(Content::Stream), "initialize").await?;
        let wire = loop {
            match messages.next().await? {
                Some(Incoming::Result(result)) => break wire::session(&headers, &result),
                Some(Incoming::Error(error)) => {
                    let body = serde_json::json!({ "error": error }).to_string();
                    if !wire::is_stateless_server(status, body.as_bytes()) {
                        return Err(not_begun(&error));
                    }
                    break Some(Wire::Stateless);
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
        let Some(Refusal::Token(challenged)) = refusal_of(&response) else {
            return self.without_refusal(response, entry.as_ref());
        };
        self.challenged = Some(challenged);
        let Some(seen) = entry else { return Err(ClientError::SignInNeeded.into()) };
        let renewed = self.client.renew(&self.server, &seen).await?.ok_or(ClientError::SignInNeeded)?;
        let response = self.send_with(&make, Some(&renewed)).await?;
        self.without_refusal(response, Some(&renewed))
    }

    async fn send_with(
        &mut self,
        make: &impl Fn(&Self, i64) -> Result<Request<Bytes>, http::Error>,
        entry: Option<&Entry>,
    ) -> Result<Response<Body>, Failed> {
        let (response, uri) = self.send_once(make, entry).await?;
        let head = (response.status(), response.headers());
        if self.client.wants_another_proof(&uri, entry, head) {
            return Ok(self.send_once(make, entry).await?.0);
        }
        Ok(response)
    }

    async fn send_once(
        &mut self,
        make: &impl Fn(&Self, i64) -> Result<Request<Bytes>, http::Error>,
        entry: Option<&Entry>,
    ) -> Result<(Response<Body>, Uri), Failed> {
        self.last_id = self.last_id.saturating_add(1);
        self.bound = entry.is_some_and(|entry| entry.tokens.proof_key.is_some());
        let request = make(self, self.last_id).map_err(|_| ClientError::NotMcp)?;
        let request = self.client.authorized(request, entry)?;
        let (policy, uri) = (server_policy(&self.server), request.uri().clone());
        let response = self.client.fetch.stream(request, &policy, LIMITS, IDLE).await.map_err(of_server)?;
        Ok((response, uri))
    }

    fn answer(&mut self, id: &Value, method: &str, params: &Value) -> Value {
        let Self { pages, server, .. } = self;
        let answer = if method == "elicitation/create" { pages.answer(id, params, server) } else { None };
        answer.unwrap_or_else(|| wire::reply(id, method))
    }

    fn without_refusal(
        &mut self,
        response: Response<Body>,
        entry: Option<&Entry>,
    ) -> Result<Response<Body>, Failed> {
        let refused = refusal_of(&response);
        if refused.is_some() {
            self.challenged = Some(Challenged::from_headers(&challenges(response.headers())));
        }
        match refused {
            None => Ok(response),
            Some(Refusal::Token(_)) => Err(ClientError::SignInNeeded.into()),
            Some(Refusal::Scope(more)) => {
                let before = entry.map(|entry| entry.requested_scope.clone()).unwrap_or_default();
                Err(ClientError::MoreScopeNeeded(before.united_with(&more)).into())
            }
        }
    }
}

/// Why a server does not begin, in its own words: it may name the page where an account has to be connected first.
fn not_begun(error: &Value) -> Failed {
    let said = error.get("message").and_then(Value::as_str).and_then(PeerText::with_link);
    Failed { error: ClientError::NotBegun, said }
}

/// What a refusal asks of the person, if it is one.
pub(super) fn refusal_of(response: &Response<Body>) -> Option<Refusal> {
    refusal(response.status(), &challenges(response.headers()))
}

pub(super) fn of_server(source: FetchError) -> Failed {
    ClientError::Fetch { what: Party::Server, source }.into()
}

/// The messages that come for one request.
#[derive(Debug)]
pub struct Messages<'a> {
    caller: &'a mut Caller,
    body: Option<Body>,
    events: EventReader,
    ready: VecDeque<Incoming>,
    lists_tools: bool,
}

impl<'a> Messages<'a> {
    pub(super) async fn of(
        caller: &'a mut Caller,
        response: Response<Content>,
        method: &str,
    ) -> Result<Messages<'a>, Failed> {
        let lists_tools = method == "tools/list" && caller.wire == Some(Wire::Stateless);
        let status = response.status();
        let kind = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let is_stream = kind.is_some_and(|kind| media_type(kind).eq_ignore_ascii_case("text/event-stream"));
        let mut messages = Self {
            caller,
            body: None,
            events: EventReader::new(MAX_MESSAGE),
            ready: VecDeque::new(),
            lists_tools,
        };
        let body = match response.into_body() {
            Content::Stream(body) if status.is_success() && is_stream => {
                messages.body = Some(body);
                return Ok(messages);
            }
            Content::Stream(body) => body.collect().await.map_err(of_server)?,
            Content::Whole(body) => body,
        };
        // A status of 400 or 404 may carry a JSON-RPC error (revision 2026-07-28).
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
            if let Some(mut message) = self.ready.pop_front() {
                match &mut message {
                    Incoming::Result(result) => {
                        if self.lists_tools {
                            self.caller.tool_headers.learn(result);
                        }
                        self.finish();
                    }
                    Incoming::Error(_) => self.finish(),
                    Incoming::Request { id, method, params } => {
                        let answer = self.caller.answer(id, method, params);
                        self.reply(answer).await;
                    }
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
