//! Revocations in the order of their commits.

use hallpass_core::{
    id::{GrantId, PersonId},
    time::Timestamp,
};

/// What was revoked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Revoked {
    /// One grant.
    Grant(GrantId),
    /// Everything of a person that names an epoch below this one.
    Person {
        /// Whose.
        person: PersonId,
        /// The first epoch that is still good.
        epoch: u32,
    },
    /// Everything of a client, until [`Revoked::ClientAgain`]: it was blocked or removed.
    Client(String),
    /// A client that is no longer blocked, or made anew.
    ClientAgain(String),
    /// The blocks of hosts and redirect URIs changed, this one of them.
    Receiver(String),
}

/// One entry of the feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Revocation {
    /// Position: ticket order is commit order, without gaps.
    pub ticket: i64,
    /// What.
    pub what: Revoked,
    /// After this no token that it concerns is alive, and the entry may be swept.
    pub until: Timestamp,
}

/// A page of the feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedPage {
    /// The counter at the time of reading. A cursor above it means that the store went back: load anew.
    pub counter: i64,
    /// Entries with a ticket above the cursor, ascending, at most the number asked for.
    pub entries: Vec<Revocation>,
}
