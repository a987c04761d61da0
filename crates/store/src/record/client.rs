//! Clients that an operator made, and those that an operator does not want.

use hallpass_core::{id::AttemptId, time::Timestamp};

/// A client that an operator made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredClient {
    /// Its `client_id`.
    pub id: String,
    /// Raised by each change.
    pub version: u32,
    /// When it was made.
    pub created_at: Timestamp,
    /// What the server knows of it, as the server wrote it. No secret is in it.
    pub body: String,
}

/// What is blocked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum BlockKind {
    /// A client, by its id or the URL of its document.
    Client,
    /// A host that receives codes or publishes documents.
    Host,
    /// Redirect URIs that begin so.
    Redirect,
}

impl BlockKind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Client, Self::Host, Self::Redirect];

    /// As kept.
    pub const fn number(self) -> i64 {
        match self {
            Self::Client => 1,
            Self::Host => 2,
            Self::Redirect => 3,
        }
    }

    /// For people and JSON.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Host => "host",
            Self::Redirect => "redirect",
        }
    }
}

/// One block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// What kind.
    pub kind: BlockKind,
    /// Which.
    pub key: String,
    /// Since when.
    pub created_at: Timestamp,
    /// Why, in the operator's words.
    pub note: String,
}

/// A client assertion that pays for a write: it is good once, and only if the write happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SpentAssertion {
    /// SHA-256 of client and `jti`.
    pub digest: [u8; 32],
    /// This attempt; a conflict with our own attempt is success.
    pub attempt: AttemptId,
    /// After this the assertion is refused by itself.
    pub until: Timestamp,
}
