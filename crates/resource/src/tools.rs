//! Scopes for each tool of an MCP server: decided by the message before the server sees it, so that a client hears of what it
//! lacks as HTTP says it, with 403 and a challenge, and can ask its person for more. A tool itself is too late for that.

use crate::{
    Authenticated, Authorized, Protect, ProtectLayer, ProtectedResource, Reason, message,
    message::Unread,
    refuse::{self, ERROR_CODE},
};
use axum::body::Body;
use bytes::Bytes;
use hallpass_core::{
    mcp::{Message, Raw},
    scope::Scope,
};
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use std::{
    collections::BTreeMap,
    convert::Infallible,
    error::Error,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};
use tower::{Layer, Service};

/// Which scopes each tool takes, beyond those that every request takes.
///
/// What is not named here is a tool for nobody, so that one which somebody adds later and forgets here is not open to everybody
/// (RS-053). Names are compared code point by code point.
#[derive(Clone, Debug, Default)]
pub struct ToolScopes {
    tools: BTreeMap<String, Scope>,
}

impl ToolScopes {
    /// No tools.
    pub fn new() -> Self {
        Self::default()
    }

    /// And this one, which takes these.
    #[must_use]
    pub fn tool(mut self, name: impl Into<String>, scope: Scope) -> Self {
        self.tools.insert(name.into(), scope);
        self
    }

    /// Whether this caller may have this message answered. `required` is what every request takes.
    fn judge(&self, required: &Scope, caller: &Authenticated, message: &Message) -> Result<(), Refusal> {
        let Some(call) = message.call().filter(|call| call.method() == "tools/call") else { return Ok(()) };
        let name = call.name().unwrap_or_default();
        // The person allowed this and no more (RFC 9396); no scope widens it.
        if let Some(details) = caller.details()
            && !details.allow(name, call.arguments().as_ref())
        {
            return Err(Refusal::Details);
        }
        let needed = required.united_with(self.tools.get(name).ok_or(Refusal::Unlisted)?);
        if caller.scope().covers(&needed) { Ok(()) } else { Err(Refusal::Scope(needed)) }
    }
}

/// Why a message goes no further.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("{0}")]
    Unread(#[from] Unread),
    /// All that the tool takes, so that one sign-in is enough (RS-010).
    #[error("the token lacks a scope that the tool takes")]
    Scope(Scope),
    #[error("no scopes are known of this tool")]
    Unlisted,
    #[error("the token is not for this tool with these arguments")]
    Details,
}

/// Guards a service like [`ProtectLayer`], and each of its tools by the scopes of that. Made by [`ProtectLayer::with_tools`].
///
/// The service gets a message that has exactly one reading, written anew from that: what was judged is what it acts on
/// (RS-049). What it may use is not left out of its lists.
#[derive(Clone, Debug)]
pub struct ProtectToolsLayer {
    layer: ProtectLayer,
    guard: Arc<Guard>,
}

#[derive(Debug)]
struct Guard {
    resource: Arc<ProtectedResource>,
    required: Scope,
    tools: ToolScopes,
    limits: message::Limits,
}

impl ProtectToolsLayer {
    pub(crate) fn new(layer: ProtectLayer, tools: ToolScopes) -> Self {
        let (resource, required) = layer.guards();
        let guard = Guard { resource, required, tools, limits: message::Limits::default() };
        Self { layer, guard: Arc::new(guard) }
    }

    /// With other bounds of a message than 4 MiB in 30 s.
    #[must_use]
    pub fn with_limits(self, limits: message::Limits) -> Self {
        let Guard { resource, required, tools, .. } = &*self.guard;
        let (resource, required, tools) = (Arc::clone(resource), required.clone(), tools.clone());
        Self { guard: Arc::new(Guard { resource, required, tools, limits }), ..self }
    }
}

impl<S> Layer<S> for ProtectToolsLayer {
    type Service = Protect<Tools<S>>;

    fn layer(&self, inner: S) -> Self::Service {
        self.layer.layer(Tools { inner, guard: Arc::clone(&self.guard) })
    }
}

/// The part of the service that [`ProtectToolsLayer`] makes which reads messages.
#[derive(Clone, Debug)]
pub struct Tools<S> {
    inner: S,
    guard: Arc<Guard>,
}

impl<S, B, C> Service<Request<B>> for Tools<S>
where
    S: Service<Request<Body>, Response = Response<C>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
    C: http_body::Body<Data = Bytes> + Send + 'static,
    C::Error: Into<Box<dyn Error + Send + Sync>>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        // The one that was polled ready is used, its clone waits for the next request (tower's contract).
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        let guard = Arc::clone(&self.guard);
        Box::pin(async move {
            match guard.pass(request).await {
                Ok(request) => Ok(inner.call(request).await?.map(Body::new)),
                Err(refused) => Ok(*refused),
            }
        })
    }
}

impl Guard {
    /// The request as the server gets it, or the answer in its place.
    async fn pass<B>(&self, request: Request<B>) -> Result<Request<Body>, Box<Response<Body>>>
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let (mut parts, body) = request.into_parts();
        let Some(caller) = parts.extensions.get::<Authorized>().map(|authorized| authorized.caller().clone())
        else {
            // The layer around this one always puts it there.
            let refused = self.resource.refuse(Reason::NoCredentials, &self.required, crate::Scheme::Bearer);
            return Err(Box::new(refused.map(Body::from)));
        };
        let refused = |refusal, message: Option<&Message>| {
            let id = message.filter(|message| matches!(message, Message::Request { .. }));
            Box::new(self.refused(&refusal, &caller, id.and_then(Message::id)).map(Body::from))
        };
        match parts.method {
            Method::POST => {}
            // Neither has a message.
            Method::GET | Method::DELETE => return Ok(Request::from_parts(parts, Body::new(body))),
            _ => return Err(refused(Unread::Method.into(), None)),
        }
        let message = message::read(&parts.headers, body, self.limits).await;
        let message = message.map_err(|unread| refused(unread.into(), None))?;
        let allowed = caller
            .clone()
            .authorize_by(message, |_, message| self.tools.judge(&self.required, &caller, message))
            .map_err(|(message, refusal)| refused(refusal, Some(&message)))?;
        let written = Bytes::from(allowed.operation().to_canonical());
        parts.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(written.len()));
        parts.headers.remove(header::TRANSFER_ENCODING);
        Ok(Request::from_parts(parts, Body::from(written)))
    }

    fn refused(&self, refusal: &Refusal, caller: &Authenticated, id: Option<&Raw>) -> Response<Bytes> {
        tracing::info!(reason = %refusal, "refused");
        let ours = i64::from(ERROR_CODE);
        match refusal {
            Refusal::Scope(needed) => {
                self.resource.refuse(Reason::InsufficientScope, needed, caller.scheme())
            }
            // Without a challenge: no token would be enough, and a client must not send its person to get one.
            Refusal::Unlisted => {
                refuse::error(StatusCode::FORBIDDEN, id, ours, "This is not allowed here to anybody")
            }
            Refusal::Details => refuse::error(
                StatusCode::FORBIDDEN,
                id,
                ours,
                "This access is not for this tool with these arguments",
            ),
            Refusal::Unread(unread) => {
                let (status, code, words) = unread.answer();
                let mut response = refuse::error(status, unread.id(), code, words);
                if *unread == Unread::Method {
                    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(METHODS));
                }
                if unread.ends_connection() {
                    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
                }
                response
            }
        }
    }
}

/// What is passed on, and what the layer around answers itself.
const METHODS: &str = "GET, POST, DELETE, OPTIONS";
