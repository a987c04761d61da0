//! Tokens that were verified before: a signature is checked once, everything that can change is checked each time.

use crate::authorized::Authenticated;
use aws_lc_rs::digest;
use quick_cache::sync::Cache;

/// Most tokens that are remembered, per resource.
const CAPACITY: usize = 10_000;

/// Verified tokens by SHA-256 of their text, so that neither a memory dump of this map nor the time that a look-up
/// takes tells anything of a token (RS-036). Only good tokens are kept: a flood of bad ones displaces nothing.
pub(crate) struct SeenTokens(Cache<[u8; 32], Seen>);

#[derive(Clone)]
struct Seen {
    caller: Authenticated,
    /// Which keys verified it: when keys are withdrawn, so is what they signed.
    keys: u64,
}

/// The name of a token in the cache.
pub(crate) struct Fingerprint([u8; 32]);

impl Fingerprint {
    pub(crate) fn of(token: &str) -> Self {
        let mut bytes = [0; 32];
        let digest = digest::digest(&digest::SHA256, token.as_bytes());
        for (to, from) in bytes.iter_mut().zip(digest.as_ref()) {
            *to = *from;
        }
        Self(bytes)
    }
}

impl SeenTokens {
    pub(crate) fn new() -> Self {
        Self(Cache::new(CAPACITY))
    }

    /// The caller, when this token was verified by the keys of this version.
    pub(crate) fn find(&self, token: &Fingerprint, keys: u64) -> Option<Authenticated> {
        self.0.get(&token.0).filter(|seen| seen.keys == keys).map(|seen| seen.caller)
    }

    pub(crate) fn keep(&self, token: &Fingerprint, caller: Authenticated, keys: u64) {
        self.0.insert(token.0, Seen { caller, keys });
    }

    pub(crate) fn forget(&self, token: &Fingerprint) {
        self.0.remove(&token.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authorized::Identity;
    use hallpass_core::{scope::Scope, time::Timestamp};
    use std::sync::Arc;

    fn caller(name: &str) -> Authenticated {
        Authenticated(Arc::new(Identity {
            subject: name.into(),
            client_id: "client".into(),
            scope: Scope::none(),
            grant: None,
            expires_at: Timestamp::from_seconds(0),
            key: None,
            actors: Box::default(),
            details: None,
        }))
    }

    #[test]
    fn rs_059_each_token_has_its_own_caller_and_its_own_keys() {
        let seen = SeenTokens::new();
        let (a, b) = (Fingerprint::of("a"), Fingerprint::of("b"));
        seen.keep(&a, caller("ann"), 1);
        assert_eq!(seen.find(&a, 1).unwrap().subject(), "ann");
        assert!(seen.find(&b, 1).is_none());
        assert!(seen.find(&a, 2).is_none(), "withdrawn keys take their tokens along");
        seen.forget(&a);
        assert!(seen.find(&a, 1).is_none());
    }

    #[test]
    fn rs_065_bounded() {
        let seen = SeenTokens::new();
        for number in 0..CAPACITY * 2 {
            seen.keep(&Fingerprint::of(&number.to_string()), caller("ann"), 1);
        }
        assert!(seen.0.len() <= CAPACITY);
    }
}
