//! The authorization response, judged before anything is done with it.

use crate::{
    authorize::Pending,
    peer::{Failure, PeerText},
};
use hallpass_core::secret::{self, SecretString};
use std::borrow::Cow;

/// Why a response is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallbackError {
    /// No `state`, several, or not ours: somebody else's answer. The wait goes on.
    #[error("the response belongs to another sign-in")]
    Unrelated,
    /// `code`, `iss` or `error` more than once.
    #[error("the authorization server answered with a parameter twice")]
    Duplicate,
    /// `iss` is another issuer than the one that was asked: a mix-up attack, RFC 9207 §2.4.
    #[error("the answer comes from another authorization server than the one that was asked")]
    IssuerWrong,
    /// The metadata promises `iss`, and it is not there (RFC 9207 §2.4).
    #[error("the authorization server did not say who it is, although its metadata promises that")]
    IssuerMissing,
    /// Neither or both of `code` and `error`.
    #[error("the authorization server answered neither yes nor no")]
    NeitherOrBoth,
    /// `access_denied`: a person or a policy said no. Not asked again by itself (CL-080).
    #[error("the permission was not given")]
    Denied,
    /// The requested scopes do not exist there.
    #[error("the authorization server does not know these scopes")]
    InvalidScope,
    /// The authorization server does not know the resource.
    #[error("the authorization server does not issue tokens for this server (invalid_target)")]
    InvalidTarget,
    /// It may work later.
    #[error("the authorization server is not able to answer at the moment")]
    Unavailable,
    /// Any other error.
    #[error("the authorization server refused the request")]
    Refused,
}

/// A code that passed every check, for one token request.
#[derive(Clone, Debug)]
pub struct Code(pub(crate) SecretString);

impl Pending {
    /// Judges the query of a callback. Order: `state`, then duplicates, then `iss` (also for errors: what a
    /// stranger says about an error is not shown, CL-046), then the outcome.
    ///
    /// # Errors
    /// Every variant; after `Unrelated` the wait goes on, after any other this request is over.
    pub fn receive(&self, query: &str) -> Result<Code, Failure<CallbackError>> {
        let pairs: Vec<(Cow<'_, str>, Cow<'_, str>)> =
            url::form_urlencoded::parse(query.as_bytes()).collect();
        let all = |name: &str| -> Vec<&str> {
            pairs.iter().filter(|(have, _)| have == name).map(|(_, value)| &**value).collect()
        };
        let states = all("state");
        let ours = states.iter().all(|state| secret::equal(state.as_bytes(), self.state.expose().as_bytes()));
        if states.len() != 1 || !ours {
            return Err(CallbackError::Unrelated.into());
        }
        let one = |name| match all(name).as_slice() {
            [] => Ok(None),
            [value] => Ok(Some(*value)),
            _ => Err(CallbackError::Duplicate),
        };
        let (code, error, iss) = (one("code")?, one("error")?, one("iss")?);
        let server = &self.request.server;
        match iss {
            // Decoded once, then byte by byte: no slash, port or case is repaired (CL-045).
            Some(iss) if iss != server.issuer.as_str() => return Err(CallbackError::IssuerWrong.into()),
            None if server.sends_iss => return Err(CallbackError::IssuerMissing.into()),
            Some(_) | None => {}
        }
        match (code.filter(|code| !code.is_empty()), error) {
            (Some(code), None) => Ok(Code(SecretString::new(code))),
            (None, Some(error)) => {
                let description = all("error_description");
                let said = PeerText::of_error(Some(error), description.first().copied());
                Err(Failure { error: refusal(error), said })
            }
            (Some(_), Some(_)) | (None, None) => Err(CallbackError::NeitherOrBoth.into()),
        }
    }
}

/// Longest text that is looked at when somebody pastes an answer: as much as the listener takes.
const MAX_PASTED: usize = 8 * 1024;

/// The query of an address that a person copied from a browser on another computer, where the redirect URI led
/// nowhere: the redirect URI as it was asked for, and a query. Browsers leave out `http://` when they show it.
pub fn pasted<'a>(redirect_uri: &str, text: &'a str) -> Option<&'a str> {
    let text = text.trim();
    if text.len() > MAX_PASTED {
        return None;
    }
    let shown = redirect_uri.strip_prefix("http://").unwrap_or(redirect_uri);
    let rest = text.strip_prefix(redirect_uri).or_else(|| text.strip_prefix(shown))?.strip_prefix('?')?;
    Some(rest.split('#').next().unwrap_or(rest))
}

fn refusal(error: &str) -> CallbackError {
    match error {
        "access_denied" => CallbackError::Denied,
        "invalid_scope" => CallbackError::InvalidScope,
        "invalid_target" => CallbackError::InvalidTarget,
        "temporarily_unavailable" | "server_error" => CallbackError::Unavailable,
        _ => CallbackError::Refused,
    }
}

#[cfg(test)]
mod tests;
