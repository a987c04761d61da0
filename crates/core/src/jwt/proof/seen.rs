//! Proofs that were used, so that none is used twice (RFC 9449 §11.1): the memory of one node, bounded whatever comes.

use super::{Proof, Target, WINDOW};
use crate::{jose::Verified, time::Timestamp};
use std::{
    collections::{HashSet, hash_map::RandomState},
    fmt,
    hash::BuildHasher,
    mem,
    sync::{Mutex, PoisonError},
};

/// Most proofs that are remembered: about 10 MB, and ten minutes of 800 a second.
pub const MOST: usize = 500_000;

/// What was used. A proof is remembered for as long as its `iat` lets it be used, in two generations of that length, or
/// until [`MOST`] others have come after it: the oldest are forgotten first, so that a flood costs no memory and the
/// proof of a moment ago is known all the same. A proof alone opens nothing, and what a node does not know because another
/// one has seen it, or because of a flood, is bounded by nonces where an operator asks for them: to five minutes, whatever
/// `iat` says.
pub struct SeenProofs {
    hasher: RandomState,
    generations: Mutex<Generations>,
    most: usize,
}

#[derive(Default)]
struct Generations {
    since: Option<Timestamp>,
    /// Keyed digests: nobody who does not know the keys of this process finds two proofs with one.
    present: HashSet<u64>,
    before: HashSet<u64>,
}

impl Default for SeenProofs {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for SeenProofs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SeenProofs").finish_non_exhaustive()
    }
}

impl SeenProofs {
    /// Nothing was used yet.
    pub fn new() -> Self {
        Self { hasher: RandomState::new(), generations: Mutex::default(), most: MOST }
    }

    /// Uses a proof for this URL; `false` when that was done before.
    pub fn spend(&self, proof: &Verified<Proof>, target: &Target, now: Timestamp) -> bool {
        let proof = proof.get();
        let digest = self.hasher.hash_one((&proof.thumbprint, target.as_str(), &proof.token_id));
        let mut generations = self.generations.lock().unwrap_or_else(PoisonError::into_inner);
        let since = *generations.since.get_or_insert(now);
        // One from the future is good for two windows.
        if now.since(since) > 2 * WINDOW || generations.present.len() >= self.most / 2 {
            generations.since = Some(now);
            generations.before = mem::take(&mut generations.present);
        }
        !generations.before.contains(&digest) && generations.present.insert(digest)
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        let generations = self.generations.lock().unwrap();
        generations.present.len() + generations.before.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const START: Timestamp = Timestamp::from_seconds(1_800_000_000);

    fn proof(key: u8, id: impl fmt::Display) -> Verified<Proof> {
        Verified::new(Proof { thumbprint: [key; 32], token_id: id.to_string(), nonce: None })
    }

    fn target(path: &str) -> Target {
        Target::parse(&format!("https://as.example/{path}")).unwrap()
    }

    #[test]
    fn as_192_t_89_a_proof_is_good_once_for_each_key_and_url() {
        let (seen, token) = (SeenProofs::new(), target("token"));
        assert!(seen.spend(&proof(1, "a"), &token, START));
        assert!(!seen.spend(&proof(1, "a"), &token, START));
        assert!(seen.spend(&proof(2, "a"), &token, START) && seen.spend(&proof(1, "b"), &token, START));
        assert!(seen.spend(&proof(1, "a"), &target("par"), START));
        let last = START.plus(2 * WINDOW);
        assert!(!seen.spend(&proof(1, "a"), &token, last), "as long as iat may let it pass");
        for n in 0..3 {
            let _ = seen.spend(&proof(3, n), &token, START.plus(Duration::from_secs(601 * (n + 1))));
        }
        assert!(seen.len() <= 2, "what is over by itself is forgotten");
    }

    #[test]
    fn as_192_one_of_many_at_once_uses_it() {
        let (seen, token) = (SeenProofs::new(), target("token"));
        let used = std::thread::scope(|scope| {
            let spend = || (0..1_000).filter(|n| seen.spend(&proof(1, n), &token, START)).count();
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(spend)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum::<usize>()
        });
        assert_eq!(used, 1_000);
    }

    #[test]
    fn as_192_t_95_a_million_ids_cost_no_more_and_the_newest_are_known() {
        let (seen, token) = (SeenProofs::new(), target("token"));
        for n in 0..1_000_000 {
            assert!(seen.spend(&proof(9, n), &token, START));
        }
        assert!(seen.len() <= MOST, "{}", seen.len());
        assert!(seen.spend(&proof(1, "a"), &token, START));
        for n in 0..MOST / 2 - 1 {
            let _ = seen.spend(&proof(8, n), &token, START);
        }
        assert!(!seen.spend(&proof(1, "a"), &token, START));
    }
}
