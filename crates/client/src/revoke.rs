//! The revocation request (RFC 7009), sent at sign-out.

use crate::{assertion::ClientKey, machine::Asking, storage::Entry, token::TokenError};
use bytes::Bytes;
use hallpass_core::{entropy::Entropy, time::Timestamp};
use http::Request;

/// Revokes the refresh token, and with it the grant; without one, the access token. `key` is that of a client that has one.
/// `None` where the server has no endpoint for it.
///
/// # Errors
/// [`TokenError::Request`].
pub fn revocation_request(
    entry: &Entry,
    key: Option<&ClientKey>,
    moment: (Timestamp, &dyn Entropy),
) -> Result<Option<Request<Bytes>>, TokenError> {
    let Some(endpoint) = &entry.revocation_endpoint else { return Ok(None) };
    let tokens = &entry.tokens;
    let (token, hint) = match &tokens.refresh_token {
        Some(token) => (token, "refresh_token"),
        None => (&tokens.access_token, "access_token"),
    };
    let asking = Asking { endpoint, issuer: &entry.key.issuer, client: &entry.client, key };
    let parameters = [("token", token.expose()), ("token_type_hint", hint)];
    asking.post(&parameters, moment).map(Some)
}
