//! Services of third parties that a person connected.

use hallpass_core::{
    id::{AttemptId, ConnectionId, PersonId},
    time::Timestamp,
};

/// A connection, its tokens sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connection {
    /// The one time that the person connected it.
    pub id: ConnectionId,
    /// Whose it is.
    pub person: PersonId,
    /// Which service, by the operator's name for it.
    pub name: String,
    /// The tokens.
    pub sealed: Vec<u8>,
    /// Goes up with each renewal.
    pub version: u32,
    /// When the person connected it.
    pub connected_at: Timestamp,
    /// When the tokens came.
    pub renewed_at: Timestamp,
    /// When its provider said that it is over.
    pub died_at: Option<Timestamp>,
    /// Until when somebody renews it, or nobody asks again.
    pub held_until: Timestamp,
}

/// A connection that a person makes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewConnection {
    /// Drawn for this one time.
    pub id: ConnectionId,
    /// Whose it is.
    pub person: PersonId,
    /// The person's epoch when it was begun.
    pub epoch: u32,
    /// Which service.
    pub name: String,
    /// The tokens.
    pub sealed: Vec<u8>,
    /// When.
    pub connected_at: Timestamp,
}

/// The word that one node alone renews a connection, or asks an identity provider again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hold<Id = ConnectionId> {
    /// Which.
    pub id: Id,
    /// As it was read.
    pub version: u32,
    /// Who.
    pub holder: AttemptId,
    /// How long.
    pub until: Timestamp,
}
