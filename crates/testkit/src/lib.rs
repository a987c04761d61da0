//! Parts for tests of every crate: a clock that can be pushed, randomness that repeats, a host of documents, certificates, PostgreSQL.

pub mod document_host;
#[cfg(unix)]
pub mod postgres;
pub mod tls;

pub use document_host::DocumentHost;

use hallpass_core::{
    entropy::Entropy,
    time::{Clock, Timestamp},
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

/// A clock that stands still until it is pushed. Clones share the time.
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<AtomicI64>);

impl ManualClock {
    /// Starts at `now`.
    pub fn at(now: Timestamp) -> Self {
        Self(Arc::new(AtomicI64::new(now.millis())))
    }

    /// Moves forward.
    pub fn push(&self, by: Duration) {
        let next = self.now().plus(by);
        self.0.store(next.millis(), Ordering::SeqCst);
    }

    /// Moves anywhere, also back.
    pub fn set(&self, now: Timestamp) {
        self.0.store(now.millis(), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}

/// How far the state of SplitMix64 moves from one number to the next.
pub const SPLIT_MIX_STEP: u64 = 0x9E37_79B9_7F4A_7C15;

/// The number that belongs to a state of SplitMix64.
pub const fn split_mix(state: u64) -> u64 {
    let mut z = state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

/// Repeatable bytes (SplitMix64). For tests only: whoever knows the seed knows every secret.
#[derive(Debug)]
pub struct SeededEntropy(AtomicU64);

impl SeededEntropy {
    /// The same seed gives the same bytes.
    pub const fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, out: &mut [u8]) {
        for chunk in out.chunks_mut(8) {
            let number = split_mix(self.0.fetch_add(SPLIT_MIX_STEP, Ordering::SeqCst));
            for (to, from) in chunk.iter_mut().zip(number.to_le_bytes()) {
                *to = from;
            }
        }
    }
}
