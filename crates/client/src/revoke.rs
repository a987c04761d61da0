//! The revocation request (RFC 7009), sent at sign-out, and for a sign-in that another one has taken the place of.

use crate::{assertion::ClientKey, machine::Asking, storage::Entry, token::TokenError};
use bytes::Bytes;
use hallpass_core::{entropy::Entropy, secret::SecretString, time::Timestamp, token::RefreshToken};
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
    let asking = Asking { endpoint, ..Asking::of(entry, key) };
    let parameters = [("token", token.expose()), ("token_type_hint", hint)];
    asking.post(&parameters, moment).map(Some)
}

/// Whether `old` is certainly of another grant than `new`. Revoking a token ends its whole grant (RFC 7009 §2.1), and many servers
/// have one for a client and a person, however often they sign in (oidc-provider, Google): there the new sign-in would end with
/// the old one. So it takes another issuer, another client, programs without a person, or refresh tokens that say it.
pub fn is_another_grant(old: &Entry, new: &Entry) -> bool {
    let (before, after) = (old.tokens.refresh_token.as_ref(), new.tokens.refresh_token.as_ref());
    if old.tokens.access_token == new.tokens.access_token || before.is_some() && before == after {
        return false;
    }
    // Our own server has a grant for each sign-in, and its refresh tokens name it.
    let grant = |token: Option<&SecretString>| RefreshToken::grant_named_in(token?.expose());
    let is_said = grant(before).zip(grant(after)).is_some_and(|(before, after)| before != after);
    old.key.issuer != new.key.issuer
        || old.client.client_id != new.client.client_id
        // Each of their tokens stands alone, and what it comes of stays (RFC 6749 §4.4).
        || old.renewal.is_some()
        || is_said
}

/// Whether there is nothing left to revoke.
pub fn has_ended(entry: &Entry, now: Timestamp) -> bool {
    let tokens = &entry.tokens;
    tokens.refresh_token.is_none() && tokens.expires_at.is_some_and(|end| end <= now)
}
