//! Redemptions whose outcome this node did not learn.
//!
//! When the store is away for longer than a request may wait, the client hears 503 while its grant may have been opened.
//! It comes back with the same code, and that is no replay: nobody has been answered. The attempt that was under way is run
//! again, and a conflict with it is success. It is good for one more run, on this node, as long as a code lives; else the
//! replay of a code would look like its second run.

use hallpass_core::id::AttemptId;
use quick_cache::sync::Cache;

/// Attempts remembered, in 48 bytes each.
const MOST: usize = 10_000;

/// The attempts, by the digest of their code.
pub struct Unsettled(Cache<[u8; 32], AttemptId>);

impl Unsettled {
    /// Nothing is open.
    pub fn new() -> Self {
        Self(Cache::new(MOST))
    }

    /// Nobody knows whether this attempt opened its grant.
    pub fn remember(&self, code: [u8; 32], attempt: AttemptId) {
        self.0.insert(code, attempt);
    }

    /// The attempt that is under way for this code, for one of those who ask.
    pub fn take(&self, code: &[u8; 32]) -> Option<AttemptId> {
        self.0.remove(code).map(|(_, attempt)| attempt)
    }
}
