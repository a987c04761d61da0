//! The feed of revocations.

use crate::{Answer, FeedPage};

/// Revocations in commit order.
pub trait Feed: Send + Sync + 'static {
    /// Entries with a ticket above `cursor`, at most `limit`, with the counter of the same moment.
    fn feed_after(&self, cursor: i64, limit: u32) -> Answer<'_, FeedPage>;
}
