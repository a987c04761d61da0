//! Pushed authorization requests (RFC 9126): the request goes to the authorization server first, and the browser takes
//! only a reference to it there.

use crate::{
    authorize::{AuthorizationRequest, AuthorizeError, Pending},
    browser::PageUrl,
    peer::Failure,
    storage::TokenAuth,
    token::{TokenError, form_post, members_of},
};
use bytes::Bytes;
use hallpass_core::{entropy::Entropy, json};
use http::{Request, Response};

/// Longest `request_uri` that is taken to a page.
const LONGEST: usize = 4_096;

/// Why a request was not pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PushError {
    /// The server names no place for it, or the request cannot be written.
    #[error("the authorization request cannot be pushed")]
    Request,
    /// The page cannot be opened.
    #[error(transparent)]
    Page(#[from] AuthorizeError),
    /// `invalid_client` or `unauthorized_client`: it does not know this client.
    #[error("the authorization server does not know this client (any more)")]
    InvalidClient,
    /// `invalid_target` (RFC 8707 §2).
    #[error("the authorization server does not issue tokens for this server (invalid_target)")]
    InvalidTarget,
    /// `invalid_scope`.
    #[error("the authorization server does not grant these scopes")]
    InvalidScope,
    /// It may work later.
    #[error("the authorization server is not able to answer at the moment")]
    Unavailable,
    /// A redirect. Not followed (CL-056).
    #[error("the endpoint for pushed requests answered with a redirect, which is not followed")]
    Redirect,
    /// Any other refusal.
    #[error("the authorization server refused the pushed request")]
    Refused,
    /// Success without a usable answer.
    #[error("the authorization server's answer to the pushed request cannot be read")]
    Malformed,
}

/// A request on its way to the authorization server.
#[derive(Clone, Debug)]
pub struct Pushing(Pending);

impl AuthorizationRequest {
    /// The same as [`AuthorizationRequest::begin`], pushed: the request to send, and what takes the answer to it.
    ///
    /// # Errors
    /// `Request`.
    pub fn push(self, entropy: &dyn Entropy) -> Result<(Request<Bytes>, Pushing), PushError> {
        let pending = self.pending(entropy);
        let (server, client) = (&pending.request.server, &pending.request.client);
        let endpoint = server.pushed_request_endpoint.as_ref().ok_or(PushError::Request)?;
        let parameters = pending.parameters();
        let mut pairs: Vec<(&str, &str)> =
            parameters.iter().map(|(name, value)| (*name, value.as_str())).collect();
        // The other methods write it themselves; it is part of the request in any case (RFC 9126 §2.1).
        if client.auth == TokenAuth::Basic {
            pairs.push(("client_id", &client.client_id));
        }
        let request = form_post(endpoint.as_str(), client, &pairs).map_err(|_| PushError::Request)?;
        Ok((request, Pushing(pending)))
    }
}

impl Pushing {
    /// Takes the answer. The page's URL has `client_id` and `request_uri`, and nothing else of the request.
    ///
    /// # Errors
    /// Every variant but `Request`.
    pub fn receive(self, response: &Response<Bytes>) -> Result<(PageUrl, Pending), Failure<PushError>> {
        let members = members_of(response)
            .map_err(|failure| Failure { error: of_token(failure.error), said: failure.said })?;
        let uri = json::string(&members, "request_uri").ok().flatten();
        let usable = |uri: &&str| !uri.is_empty() && uri.len() <= LONGEST;
        let uri = uri.filter(usable).ok_or(PushError::Malformed)?;
        let request = &self.0.request;
        let page = request.page([("client_id", request.client.client_id.as_str()), ("request_uri", uri)]);
        let page = page.map_err(PushError::Page)?;
        Ok((page, self.0))
    }
}

/// Both endpoints refuse in the same way (RFC 9126 §2.3).
const fn of_token(error: TokenError) -> PushError {
    match error {
        TokenError::InvalidClient => PushError::InvalidClient,
        TokenError::InvalidTarget => PushError::InvalidTarget,
        TokenError::InvalidScope => PushError::InvalidScope,
        TokenError::Unavailable { .. } => PushError::Unavailable,
        TokenError::Redirect => PushError::Redirect,
        TokenError::Malformed => PushError::Malformed,
        TokenError::Request
        | TokenError::InvalidGrant
        | TokenError::Refused
        | TokenError::TokenType
        | TokenError::SignInAgain
        | TokenError::MoreThanAsked
        | TokenError::Audience
        | TokenError::NotBound => PushError::Refused,
    }
}
