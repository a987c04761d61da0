//! Tokens that were verified before: a signature is checked once, everything that can change is checked each time.
//!
//! What was verified is good for as long as its proof: with keys, as long as they are the same; by an answer of its server,
//! as long as that may be used. Whose it was is kept with it, because two servers count their keys from the same number.

use crate::authorized::Authenticated;
use aws_lc_rs::digest;
use hallpass_core::time::Timestamp;
use quick_cache::sync::Cache;

/// Most tokens that are remembered, per resource.
const CAPACITY: usize = 10_000;

/// Verified tokens by SHA-256 of their text, so that neither a memory dump of this map nor the time that a look-up
/// takes tells anything of a token (RS-036). Only good tokens are kept: a flood of bad ones displaces nothing.
pub(crate) struct SeenTokens(Cache<[u8; 32], Seen>);

#[derive(Clone)]
struct Seen {
    caller: Authenticated,
    proof: Proof,
}

/// What a token was verified by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Proof {
    /// The keys of the resource's own server, of this version: when keys are withdrawn, so is what they signed.
    Own(u64),
    /// Those of another, by its place.
    Keys(usize, u64),
    /// An answer that may be used until then.
    Answer(Timestamp),
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

    /// For another map.
    pub(crate) const fn bytes(&self) -> [u8; 32] {
        self.0
    }
}

impl SeenTokens {
    pub(crate) fn new() -> Self {
        Self(Cache::new(CAPACITY))
    }

    /// The caller, when what this token was verified by still holds.
    pub(crate) fn find(
        &self,
        token: &Fingerprint,
        holds: impl FnOnce(Proof) -> bool,
    ) -> Option<Authenticated> {
        self.0.get(&token.0).filter(|seen| holds(seen.proof)).map(|seen| seen.caller)
    }

    pub(crate) fn keep(&self, token: &Fingerprint, caller: Authenticated, proof: Proof) {
        self.0.insert(token.0, Seen { caller, proof });
    }

    pub(crate) fn forget(&self, token: &Fingerprint) {
        self.0.remove(&token.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authorized::Identity;
    use hallpass_core::scope::Scope;
    use std::sync::Arc;

    fn caller(name: &str) -> Authenticated {
        Authenticated(Arc::new(Identity {
            issuer: None,
            subject: name.into(),
            client_id: "client".into(),
            scope: Scope::none(),
            grant: None,
            expires_at: Timestamp::from_seconds(0),
            key: None,
            actors: Box::default(),
            details: None,
            groups: Box::default(),
            counted_as: None,
        }))
    }

    #[test]
    fn rs_059_each_token_has_its_own_caller_and_its_own_keys() {
        let seen = SeenTokens::new();
        let (a, b) = (Fingerprint::of("a"), Fingerprint::of("b"));
        let by = |proof| move |found| found == proof;
        seen.keep(&a, caller("ann"), Proof::Own(1));
        assert_eq!(seen.find(&a, by(Proof::Own(1))).unwrap().subject(), "ann");
        assert!(seen.find(&b, by(Proof::Own(1))).is_none());
        assert!(seen.find(&a, by(Proof::Own(2))).is_none(), "withdrawn keys take their tokens along");
        assert!(seen.find(&a, by(Proof::Keys(0, 1))).is_none(), "another server's keys of the same number");
        seen.forget(&a);
        assert!(seen.find(&a, by(Proof::Own(1))).is_none());
    }

    #[test]
    fn rs_036_a_token_is_found_by_its_hash_and_by_nothing_of_its_text() {
        let token = "eyJhbGciOiJFUzI1NiJ9.canary.signature";
        let name = Fingerprint::of(token);
        assert_eq!(name.bytes()[..], *digest::digest(&digest::SHA256, token.as_bytes()).as_ref());
        let seen = SeenTokens::new();
        seen.keep(&name, caller("a"), Proof::Own(1));
        // Whoever guesses one byte after the other learns nothing by how far a guess is right: its hash is another one
        // from the first byte on.
        for guess in [&token[..token.len() - 1], &token[1..], &token.replace("canary", "canarz"), ""] {
            let name = Fingerprint::of(guess);
            assert_ne!(name.bytes()[..4], Fingerprint::of(token).bytes()[..4]);
            assert!(seen.find(&name, |_| true).is_none());
        }
        assert!(seen.find(&name, |_| true).is_some());
        let kept: Vec<([u8; 32], Seen)> = seen.0.iter().collect();
        assert!(kept.iter().all(|(_, seen)| !format!("{:?}", seen.caller).contains("canary")));
    }

    #[test]
    fn rs_065_bounded() {
        let seen = SeenTokens::new();
        for number in 0..CAPACITY * 2 {
            seen.keep(&Fingerprint::of(&number.to_string()), caller("ann"), Proof::Own(1));
        }
        assert!(seen.0.len() <= CAPACITY);
    }
}
