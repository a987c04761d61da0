//! Keys, client ID metadata documents, and what a sweep did.

use hallpass_core::time::Timestamp;

/// A signing key, sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredKey {
    /// `kid`.
    pub kid: String,
    /// JOSE algorithm name.
    pub algorithm: String,
    /// PKCS#8, sealed with (table, row, column) as associated data.
    pub sealed: Vec<u8>,
    /// When it was made, and published.
    pub created_at: Timestamp,
    /// From when on it signs.
    pub signs_from: Timestamp,
    /// When it was taken out of use, before its time or after. What it has signed is refused from then on.
    pub retired_at: Option<Timestamp>,
}

/// The last good copy of a client ID metadata document that some person has said yes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredDocument {
    /// The `client_id`.
    pub url: String,
    /// As received and found valid.
    pub body: Vec<u8>,
    /// When its host last said anything about it.
    pub checked_at: Timestamp,
    /// Until when HTTP lets it be kept without asking.
    pub fresh_until: Timestamp,
    /// Since when the owner says that it is gone or publishes a broken one.
    pub gone_since: Option<Timestamp>,
    /// Since when its client is suspended for that.
    pub suspended_at: Option<Timestamp>,
}

/// What is wrong with the place where things are kept. Writes are refused meanwhile, and it ends by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreTrouble {
    /// The disk is full: only what ends access is written.
    Full,
    /// The database file was removed or replaced under the server: nothing is answered from it.
    Moved,
}

/// The last line of a node's audit log that is on its disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditHead {
    /// Which node.
    pub node: String,
    /// Number of the line.
    pub sequence: i64,
    /// Its MAC.
    pub mac: String,
}

/// Which grants can never matter again. Each time has to lie so far back that a replayed code or token of such a grant is
/// still recognised by its row until nothing of it is alive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EndedBefore {
    /// Those revoked before this.
    pub revoked: Timestamp,
    /// Those whose refresh token was last exchanged before this: it has lain unused for too long.
    pub used: Timestamp,
    /// Those given before this: older than any grant may become. Copies of documents that nobody said anything about since
    /// go too, where no grant needs them: until then a client that comes back is told about its grant, not about itself.
    pub given: Timestamp,
}

/// What one slice of the sweep removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Rows removed.
    pub rows: u64,
    /// Whether another slice is due at once.
    pub more: bool,
}
