//! Services of third parties that people connected.

use crate::{Answer, Connection, Hold, NewConnection};
use hallpass_core::{
    id::{AttemptId, ConnectionId, PersonId},
    time::Timestamp,
};

/// Services of third parties that people connected.
pub trait Connections: Send + Sync + 'static {
    /// Keeps what a person connected, in the place of what was connected under this name before, if the person still has
    /// this epoch and is not disabled; `false` otherwise.
    fn connection_put(&self, connection: NewConnection) -> Answer<'_, bool>;

    /// What this person connected under this name. Nothing of a disabled account.
    fn connection_read(&self, person: PersonId, name: String) -> Answer<'_, Option<Connection>>;

    /// All that this person connected, by name.
    fn connections_of_person(&self, person: PersonId) -> Answer<'_, Vec<Connection>>;

    /// Those that are alive and whose tokens are sealed under the master key of this number, as they say themselves: at most
    /// `most`, after this one, in the order of their ids.
    fn connections_under(
        &self,
        number: u8,
        after: Option<ConnectionId>,
        most: u32,
    ) -> Answer<'_, Vec<Connection>>;

    /// Takes the word to renew it, if it is alive, still as it was read, and nobody has the word at `now`. One of many gets
    /// it; whoever has it gets it again. A word that ends later than this one would was given by a clock that was wrong.
    fn connection_hold(&self, hold: Hold, now: Timestamp) -> Answer<'_, bool>;

    /// Gives the word back before its time; nobody gets it until `until`.
    fn connection_release(&self, id: ConnectionId, holder: AttemptId, until: Timestamp) -> Answer<'_, ()>;

    /// Puts new tokens in the place of those of `version`; `false` when they are not there any more. Who has the word does
    /// not matter: a token that came counts, whoever waits for another.
    fn connection_renew(
        &self,
        id: ConnectionId,
        version: u32,
        sealed: Vec<u8>,
        now: Timestamp,
    ) -> Answer<'_, bool>;

    /// Marks it as over by its provider's word about the tokens of `version`; `false` when others are there.
    fn connection_die(&self, id: ConnectionId, version: u32, now: Timestamp) -> Answer<'_, bool>;

    /// Removes one of this person; `false` when it is none of theirs, or gone.
    fn connection_remove(&self, id: ConnectionId, person: PersonId) -> Answer<'_, bool>;
}
