//! An axum extractor: a handler that takes it is reached by authorized requests only.

use crate::{Authenticated, Authorized, ProtectedResource, Reason, Scheme};
use axum::{
    extract::{FromRef, FromRequestParts},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use hallpass_core::scope::Scope;
use http::request::Parts;
use std::sync::Arc;

/// The caller of this request, whose token is good for this resource. What the caller may do is decided with
/// [`Caller::authorize`].
#[derive(Clone, Debug)]
pub struct Caller {
    authenticated: Authenticated,
    resource: Arc<ProtectedResource>,
}

impl Caller {
    /// Who calls.
    pub fn authenticated(&self) -> &Authenticated {
        &self.authenticated
    }

    /// Allows an operation when the token has all of `required`, else gives the answer that tells the client what
    /// to ask for.
    ///
    /// # Errors
    /// [`Refused`], to be returned from the handler.
    pub fn authorize<T>(&self, operation: T, required: &Scope) -> Result<Authorized<T>, Refused> {
        let authorized = self.authenticated.clone().authorize(operation, required);
        authorized
            .map_err(|reason| Refused::new(&self.resource, reason, required, self.authenticated.scheme()))
    }
}

/// A refusal as an axum response: status, challenge and body of [`crate::refuse`].
#[derive(Debug)]
pub struct Refused {
    reason: Reason,
    response: Box<http::Response<Bytes>>,
}

impl Refused {
    fn new(resource: &ProtectedResource, reason: Reason, required: &Scope, scheme: Scheme) -> Self {
        let mut response = Box::new(resource.refuse(reason, required, scheme));
        crate::cors::open(response.headers_mut());
        Self { reason, response }
    }

    /// The exact reason, for the log.
    pub const fn reason(&self) -> Reason {
        self.reason
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        tracing::info!(reason = %self.reason, "refused");
        self.response.map(::axum::body::Body::from)
    }
}

impl<S> FromRequestParts<S> for Caller
where
    Arc<ProtectedResource>: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refused> {
        let resource = Arc::<ProtectedResource>::from_ref(state);
        match resource.authenticate(&*parts, resource.now()).await {
            Ok(authenticated) => Ok(Self { authenticated, resource }),
            Err(reason) => Err(Refused::new(&resource, reason, &Scope::none(), Scheme::of(&parts.headers))),
        }
    }
}
