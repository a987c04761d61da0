//! A tower layer that lets only authorized requests through to any HTTP service.

use crate::{Authorized, Head, ProtectToolsLayer, ProtectedResource, Scheme, ToolScopes, cors, metadata};
use axum::body::Body;
use bytes::Bytes;
use hallpass_core::{jwt::proof, scope::Scope};
use http::{Method, Request, Response, header};
use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};
use tower::{Layer, Service};

/// Guards a service: every request needs a token with these scopes. Answers preflights and, at its own path, the
/// metadata document.
///
/// The inner service gets the request without `Authorization` (a service that does not see the token cannot leak or
/// forward it) and with [`Authorized`] in its extensions, which nobody but this crate can make.
#[derive(Clone, Debug)]
pub struct ProtectLayer {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    resource: Arc<ProtectedResource>,
    required: Scope,
    document: Option<(String, Bytes)>,
}

impl ProtectLayer {
    /// With the scopes that every request needs.
    pub fn new(resource: Arc<ProtectedResource>, required: Scope) -> Self {
        Self { shared: Arc::new(Shared { resource, required, document: None }) }
    }

    /// Also serves the metadata document, at its path and for a service that stands at the root of its host.
    #[must_use]
    pub fn with_metadata(self, description: &metadata::Description) -> Self {
        let at = metadata::path(description.resource.parsed().path());
        let (resource, required) = (Arc::clone(&self.shared.resource), self.shared.required.clone());
        let document = Some((at, metadata::document(description)));
        Self { shared: Arc::new(Shared { resource, required, document }) }
    }

    /// Also reads what is asked, and lets nobody call a tool without the scopes of that, beside those that every request
    /// takes. For a service that is an MCP server and nothing else.
    #[must_use]
    pub fn with_tools(self, tools: ToolScopes) -> ProtectToolsLayer {
        ProtectToolsLayer::new(self, tools)
    }

    /// Which resource, and the scopes that every request needs.
    pub(crate) fn guards(&self) -> (Arc<ProtectedResource>, Scope) {
        (Arc::clone(&self.shared.resource), self.shared.required.clone())
    }
}

impl<S> Layer<S> for ProtectLayer {
    type Service = Protect<S>;

    fn layer(&self, inner: S) -> Protect<S> {
        Protect { inner, shared: Arc::clone(&self.shared) }
    }
}

/// The service that [`ProtectLayer`] makes.
#[derive(Clone, Debug)]
pub struct Protect<S> {
    inner: S,
    shared: Arc<Shared>,
}

impl<S, B, C> Service<Request<B>> for Protect<S>
where
    S: Service<Request<B>, Response = Response<C>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
    C: http_body::Body<Data = Bytes> + Send + 'static,
    C::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
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
        let inner = std::mem::replace(&mut self.inner, clone);
        let shared = Arc::clone(&self.shared);
        Box::pin(async move { Ok(shared.answer(inner, request).await) })
    }
}

impl Shared {
    async fn answer<S, B, C>(&self, mut inner: S, mut request: Request<B>) -> Response<Body>
    where
        S: Service<Request<B>, Response = Response<C>, Error = Infallible>,
        C: http_body::Body<Data = Bytes> + Send + 'static,
        C::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        if let Some((path, document)) = &self.document
            && path == request.uri().path()
        {
            return metadata::respond(request.method(), document.clone()).map(Body::from);
        }
        if request.method() == Method::OPTIONS {
            let mut response = Response::new(Body::empty());
            cors::open(response.headers_mut());
            cors::preflight(&mut response, "GET, POST, DELETE, OPTIONS");
            return response;
        }
        let now = self.resource.now();
        let scheme = Scheme::of(request.headers());
        let mut response = match self.resource.authorize(Head::from(&request), &self.required, now).await {
            Ok(authorized) => {
                request.headers_mut().remove(header::AUTHORIZATION);
                request.headers_mut().remove(proof::HEADER);
                request.extensions_mut().insert::<Authorized>(authorized);
                let mut response = match inner.call(request).await {
                    Ok(response) => response.map(Body::new),
                    Err(never) => match never {},
                };
                self.resource.offer_nonce(scheme, response.headers_mut());
                response
            }
            Err(reason) => {
                tracing::info!(%reason, "refused");
                self.resource.refuse(reason, &self.required, scheme).map(Body::from)
            }
        };
        cors::open(response.headers_mut());
        response
    }
}
