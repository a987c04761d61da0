//! Tokens for servers behind that another authorization server guards: it is told who calls, and gives a token for that
//! person, which goes with that person's calls and with nobody else's (P12).
//!
//! Nothing is kept at rest: an identity that we assert anew costs no person anything. A token is for one caller as the
//! assertion names it (person, client, grant, scope), so it is of no use once that grant has ended: no call brings it up.
//!
//! | to read | file |
//! |---|---|
//! | what an operator says of the other server | [`settings`] |
//! | what is asked (pure) | `request` |

mod request;
pub mod settings;

pub use settings::{UpstreamTokenError, UpstreamTokenSettings, Way, WrittenUpstreamToken};

use crate::{
    app::App,
    audit::{Event, Who},
};
use hallpass_client::token::{Asked, TokenError, read_tokens};
use hallpass_core::{id::PersonId, jwt::caller_assertion::Caller, secret::SecretString, time::Timestamp};
use hallpass_fetch::{FetchError, Limits};
use quick_cache::sync::Cache;
use std::{sync::Arc, time::Duration};

/// Callers whose tokens are kept, for one server behind. Of more, those that were not asked for are asked for anew.
const KEPT: usize = 4096;
/// A token is kept no longer, whatever it says: what changes over there is seen here by then.
const LONGEST: Duration = Duration::from_hours(1);
/// How long one is kept that does not say how long it is good.
const UNSAID: Duration = Duration::from_mins(5);
/// After a no nobody asks again for so long: a client that tries and tries is not passed on to somebody else's server.
const PAUSE: Duration = Duration::from_secs(10);
/// The same where it was not there.
const SHORT_PAUSE: Duration = Duration::from_secs(3);

/// Why there is no token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoUpstreamToken {
    /// The other server gives none for this caller, or none to us.
    #[error("the authorization server of the server behind gives no token for this caller")]
    Refused,
    /// It is not there right now.
    #[error("the authorization server of the server behind cannot be asked right now")]
    Unavailable,
}

/// The tokens of one server behind.
pub struct UpstreamTokens {
    settings: UpstreamTokenSettings,
    kept: Cache<Box<str>, Arc<Kept>>,
}

struct Kept {
    outcome: Result<SecretString, NoUpstreamToken>,
    from: Timestamp,
    until: Timestamp,
}

impl Kept {
    /// Whether it may be answered with. One that the server behind did not take is none, unless it is fresh: another one of
    /// the same would not help.
    fn is_good(&self, now: Timestamp, refused: Option<&SecretString>) -> bool {
        let is_refused = refused.is_some() && self.outcome.as_ref().ok() == refused;
        now < self.until && (!is_refused || now < self.from.plus(PAUSE))
    }
}

#[derive(Debug, thiserror::Error)]
enum Fault {
    #[error("{}", said(*.0))]
    Token(#[from] TokenError),
    #[error("{0}")]
    Fetch(#[from] FetchError),
    #[error("our word about the caller could not be signed")]
    Unsigned,
}

impl UpstreamTokens {
    /// None yet.
    pub fn new(settings: UpstreamTokenSettings) -> Self {
        Self { settings, kept: Cache::new(KEPT) }
    }

    /// The token for calls of this caller. `refused` is one that the server behind did not take just now. Of many calls of one
    /// caller that find none, one asks.
    ///
    /// # Errors
    /// [`NoUpstreamToken`].
    pub async fn token(
        &self,
        app: &App,
        caller: &Caller<'_>,
        refused: Option<&SecretString>,
    ) -> Result<SecretString, NoUpstreamToken> {
        let key: Box<str> = caller.key().into();
        loop {
            match self.kept.get_value_or_guard_async(&key).await {
                Ok(kept) if kept.is_good(app.clock.now(), refused) => return kept.outcome.clone(),
                // Whoever sees it first takes it away; one that came meanwhile stays.
                Ok(kept) => drop(self.kept.remove_if(&key, |other| Arc::ptr_eq(other, &kept))),
                Err(guard) => {
                    let kept = Arc::new(self.ask(app, caller).await);
                    // It fails where the cache was cleared meanwhile: then the next call asks.
                    let _ = guard.insert(Arc::clone(&kept));
                    return kept.outcome.clone();
                }
            }
        }
    }

    async fn ask(&self, app: &App, caller: &Caller<'_>) -> Kept {
        let person = PersonId::parse(caller.subject);
        let who = person.map(|id| Who { id, name: "" });
        let (name, asked) = (&*self.settings.server, self.fetched(app, caller).await);
        let from = app.clock.now();
        let (outcome, pause) = match asked {
            Ok((token, until)) => {
                if let Some(who) = who {
                    app.audit.record_at(from, Event::upstream_token_issued(who, name));
                }
                return Kept { outcome: Ok(token), from, until };
            }
            Err(Fault::Token(TokenError::Unavailable { retry_after })) => (
                NoUpstreamToken::Unavailable,
                retry_after.unwrap_or(SHORT_PAUSE).clamp(SHORT_PAUSE, PAUSE * 6),
            ),
            Err(Fault::Fetch(ref error)) if error.is_transport() => {
                (NoUpstreamToken::Unavailable, SHORT_PAUSE)
            }
            Err(Fault::Token(_) | Fault::Fetch(_) | Fault::Unsigned) => (NoUpstreamToken::Refused, PAUSE),
        };
        if let Err(error) = &asked {
            // What the other server says beside its code is for nobody: it may quote what we sent.
            tracing::warn!(server = name, reason = reason(error), %error, "the authorization server of a server behind gave no token");
            if let Some(who) = who {
                app.audit.record_at(from, Event::upstream_token_refused(who, name, reason(error)));
            }
        }
        Kept { outcome: Err(outcome), from, until: from.plus(pause) }
    }

    async fn fetched(&self, app: &App, caller: &Caller<'_>) -> Result<(SecretString, Timestamp), Fault> {
        let (settings, now) = (&self.settings, app.clock.now());
        let assertion = request::assertion(app, settings, caller, now).ok_or(Fault::Unsigned)?;
        let request = request::request(app, settings, &assertion, now)?;
        let response = app.fetch.send(request, &settings.policy(), Limits::TOKEN).await?;
        let asked = Asked { scope: &settings.scope, refresh_token: None, proof_key: None };
        let tokens = read_tokens(&response, asked, now).map_err(|failure| failure.error)?;
        // Its last tenth is not used: a call may be on its way for a while.
        let good = tokens.expires_at.map_or(UNSAID, |end| end.since(now) / 10 * 9).min(LONGEST);
        Ok((tokens.access_token, now.plus(good)))
    }
}

/// The words of a client are about a person who signed in there, and nobody did.
fn said(error: TokenError) -> String {
    if error == TokenError::InvalidGrant {
        "it does not take our word for this person: is our issuer known there, and the person linked?"
            .to_owned()
    } else {
        error.to_string()
    }
}

/// For the logs.
const fn reason(fault: &Fault) -> &'static str {
    match fault {
        Fault::Fetch(_) => "unreachable",
        Fault::Unsigned => "signing",
        Fault::Token(TokenError::InvalidClient) => "invalid_client",
        Fault::Token(TokenError::InvalidGrant) => "invalid_grant",
        Fault::Token(TokenError::InvalidTarget) => "invalid_target",
        Fault::Token(TokenError::InvalidScope) => "invalid_scope",
        Fault::Token(TokenError::Unavailable { .. }) => "unavailable",
        Fault::Token(_) => "refused",
    }
}
