//! The revocation request (RFC 7009), sent at sign-out.

use crate::{
    storage::Entry,
    token::{TokenError, form_post},
};
use bytes::Bytes;
use http::Request;

/// Revokes the refresh token, and with it the grant; without one, the access token. `None` where the server has
/// no endpoint for it.
///
/// # Errors
/// [`TokenError::Request`].
pub fn revocation_request(entry: &Entry) -> Result<Option<Request<Bytes>>, TokenError> {
    let Some(endpoint) = &entry.revocation_endpoint else { return Ok(None) };
    let tokens = &entry.tokens;
    let (token, hint) = match &tokens.refresh_token {
        Some(token) => (token, "refresh_token"),
        None => (&tokens.access_token, "access_token"),
    };
    let parameters = [("token", token.expose()), ("token_type_hint", hint)];
    form_post(endpoint, &entry.client, &parameters).map(Some)
}
