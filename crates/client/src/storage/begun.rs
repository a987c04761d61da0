//! A sign-in that one process began and another one finishes: what has to be remembered in between.

use super::ClientCredentials;
use crate::proof::ProofKey;
use hallpass_core::{scope::Scope, secret::SecretString, time::Timestamp};
use std::time::Duration;

/// How long the answer is awaited. A page that is answered later belongs to somebody who has forgotten it.
pub(crate) const LIFETIME: Duration = Duration::from_mins(15);
/// Most that are kept; the oldest go first.
const MAX_BEGUN: usize = 16;

/// One that waits for its answer. `state` and verifier are shown to nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Begun {
    /// The server's URL as the person wrote it.
    pub server: String,
    /// The person's own name for the account.
    pub account: String,
    /// When the answer comes too late.
    pub ends_at: Timestamp,
    /// The issuer identifier, as written in the validated metadata.
    pub issuer: String,
    /// From that metadata (CL-055): the code goes there whatever the server says when it has come.
    pub token_endpoint: String,
    /// From the same metadata.
    pub revocation_endpoint: Option<String>,
    /// Whether that metadata promises `iss` in the answer.
    pub sends_iss: bool,
    /// Who this client is there.
    pub client: ClientCredentials,
    /// Where the answer arrives.
    pub redirect_uri: String,
    /// What the tokens are for.
    pub resource: String,
    /// What was asked for.
    pub scope: Scope,
    /// Of this request alone.
    pub state: SecretString,
    /// Of this request alone.
    pub verifier: SecretString,
    /// The key that the tokens are to be bound to.
    pub proof_key: Option<ProofKey>,
    /// Whether the registration is older: a server that has forgotten it shows an error page and never answers (P03).
    pub registered_before: bool,
}

impl super::Contents {
    /// The sign-in that was begun for this account, while there is time.
    pub fn begun(&self, server: &str, account: &str, now: Timestamp) -> Option<&Begun> {
        let begun = self.begun.iter().find(|begun| begun.server == server && begun.account == account)?;
        begun.is_alive(now).then_some(begun)
    }

    /// All that wait for an answer, while there is time.
    pub fn all_begun(&self, now: Timestamp) -> impl Iterator<Item = &Begun> {
        self.begun.iter().filter(move |begun| begun.is_alive(now))
    }

    /// Keeps one, in place of another one for the same account: whoever begins anew has given that up.
    pub fn put_begun(&mut self, begun: Begun) {
        self.remove_begun(&begun.server, &begun.account);
        self.begun.push(begun);
    }

    /// Takes one out, for whoever has its answer. `false`: somebody else has it, or another one was begun.
    pub fn claim_begun(&mut self, state: &SecretString) -> bool {
        let before = self.begun.len();
        self.begun.retain(|begun| begun.state != *state);
        self.begun.len() != before
    }

    /// Forgets what was begun for an account.
    pub fn remove_begun(&mut self, server: &str, account: &str) {
        self.begun.retain(|begun| begun.server != server || begun.account != account);
    }

    pub(super) fn prune_begun(&mut self, now: Timestamp) {
        self.begun.retain(|begun| begun.is_alive(now));
        let excess = self.begun.len().saturating_sub(MAX_BEGUN);
        self.begun.drain(..excess);
    }
}

impl Begun {
    /// Also not by a clock that was set back meanwhile.
    fn is_alive(&self, now: Timestamp) -> bool {
        now < self.ends_at && self.ends_at <= now.plus(LIFETIME)
    }
}
