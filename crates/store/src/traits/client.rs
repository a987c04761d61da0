//! Clients that an operator made, and the block list.

use crate::{Answer, Block, BlockKind, StoredClient};
use hallpass_core::time::Timestamp;

/// Clients that an operator made.
pub trait Clients: Send + Sync + 'static {
    /// Keeps a new one; `false` when the id is taken. Running it again with the same client is success. `until` is
    /// when the last access token that an earlier client of this id may have has expired.
    fn client_create(&self, client: StoredClient, until: Timestamp) -> Answer<'_, bool>;

    /// Replaces its body and raises its version, if it still has the version given; `false` otherwise. Running it again
    /// with the same body is success.
    fn client_change(&self, client: StoredClient) -> Answer<'_, bool>;

    /// Removes it, with its entry in the feed; `false` for nobody.
    fn client_remove(&self, id: String, until: Timestamp) -> Answer<'_, bool>;

    /// The client with this id.
    fn client_read(&self, id: String) -> Answer<'_, Option<StoredClient>>;

    /// All of them by id, at most `limit`, only those above `after` if given.
    fn clients_list(&self, after: Option<String>, limit: u32) -> Answer<'_, Vec<StoredClient>>;
}

/// What an operator does not want.
pub trait Blocks: Send + Sync + 'static {
    /// Puts a block in force, with its entry in the feed; `false` when it was there.
    fn block_put(&self, block: Block, until: Timestamp) -> Answer<'_, bool>;

    /// Lifts it, with its entry in the feed; `false` when there is none.
    fn block_remove(&self, kind: BlockKind, key: String, until: Timestamp) -> Answer<'_, bool>;

    /// All that are in force.
    fn blocks_read(&self) -> Answer<'_, Vec<Block>>;
}
