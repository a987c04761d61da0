//! The feed of revocations.

use crate::{Answer, FeedPage};
use hallpass_core::{id::GrantId, time::Timestamp};

/// Revocations in commit order.
pub trait Feed: Send + Sync + 'static {
    /// Entries with a ticket above `cursor`, at most `limit`, with the counter of the same moment.
    fn feed_after(&self, cursor: i64, limit: u32) -> Answer<'_, FeedPage>;

    /// Ends a token that stands behind no row: its entry is all there is of it. `false` when there was one. Running it
    /// again changes nothing.
    fn token_revoke(&self, id: GrantId, until: Timestamp) -> Answer<'_, bool>;

    /// Whether there is such an entry.
    fn token_revoked(&self, id: GrantId) -> Answer<'_, bool>;
}
