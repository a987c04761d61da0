//! People and their browsers.

use crate::{Answer, Attempt, FirstPerson, Person, Session};
use hallpass_core::{
    id::{PersonId, SessionId},
    time::Timestamp,
};
use std::time::Duration;

/// People.
pub trait People: Send + Sync + 'static {
    /// Whether there is an account at all: decides whether set-up is open.
    fn person_exists(&self) -> Answer<'_, bool>;

    /// Puts the setup code in force, replacing an older one. `digest` is its SHA-256; only the digest is kept.
    /// Does nothing (`false`) once an account exists.
    fn setup_code_put(&self, digest: [u8; 32], expires_at: Timestamp) -> Answer<'_, bool>;

    /// Makes the first account with the setup code: checks the code, uses it up and inserts, in one transaction.
    fn person_create_first(
        &self,
        code_digest: [u8; 32],
        person: Person,
        now: Timestamp,
    ) -> Answer<'_, FirstPerson>;

    /// Makes an account; `false` when the name is taken. Running it again with the same id is success.
    fn person_create(&self, person: Person) -> Answer<'_, bool>;

    /// All accounts, oldest first, at most `limit`, only those with an id above `after` if given.
    fn people_list(&self, after: Option<PersonId>, limit: u32) -> Answer<'_, Vec<Person>>;

    /// Disables or enables an account; `false` for nobody. Disabling raises the epoch and puts one entry into the
    /// feed, so that everything the account gave ends and stays ended.
    fn person_disable(
        &self,
        id: PersonId,
        disabled: bool,
        until: Timestamp,
        now: Timestamp,
    ) -> Answer<'_, bool>;

    /// Removes an account with its browsers and its invitation, and puts one entry into the feed, so that everything the
    /// account gave ends. Answers the epoch of that entry, also when it is run again; `None` for nobody. The rows of its
    /// grants are void from now on and are left to the sweep.
    fn person_remove(&self, id: PersonId, until: Timestamp) -> Answer<'_, Option<u32>>;

    /// Puts a one-time code in force with which this person chooses a password, replacing an older one. `false` for
    /// nobody.
    fn invitation_put(&self, person: PersonId, digest: [u8; 32], expires_at: Timestamp) -> Answer<'_, bool>;

    /// Whose code this is, while it is in force and the account is not disabled.
    fn invitation_read(&self, digest: [u8; 32], now: Timestamp) -> Answer<'_, Option<Person>>;

    /// Uses the code up and sets the password, in one transaction; the epoch is raised, with its entry in the feed.
    /// Answers the person as it is then, or `None` when the code is not in force.
    fn invitation_redeem(
        &self,
        digest: [u8; 32],
        password: String,
        until: Timestamp,
        now: Timestamp,
    ) -> Answer<'_, Option<Person>>;

    /// Takes away this person's one-time code, unless it is the one with the digest `keep`: after a restore, one that was used or
    /// replaced since. `false` where none is in force.
    fn invitation_end(&self, person: PersonId, keep: Option<[u8; 32]>, now: Timestamp) -> Answer<'_, bool>;

    /// Takes away the setup code with this digest, or whichever is in force. `false` where it is not.
    fn setup_code_end(&self, used: Option<[u8; 32]>, now: Timestamp) -> Answer<'_, bool>;

    /// By the folded name.
    fn person_by_name(&self, name: String) -> Answer<'_, Option<Person>>;

    /// By id.
    fn person_read(&self, id: PersonId) -> Answer<'_, Option<Person>>;

    /// Counts one try to guess the password: one conditional update on the person's row, before the hash is
    /// computed. At most `limit` in `window`.
    fn person_attempt(
        &self,
        id: PersonId,
        limit: u32,
        window: Duration,
        now: Timestamp,
    ) -> Answer<'_, Attempt>;

    /// Forgets the tries after a success.
    fn person_attempts_clear(&self, id: PersonId) -> Answer<'_, ()>;

    /// "Sign out everywhere": raises the epoch and puts one entry into the feed, ticket last. Answers the new epoch,
    /// or `None` for nobody.
    fn person_epoch_raise(&self, id: PersonId, until: Timestamp, now: Timestamp) -> Answer<'_, Option<u32>>;
}

/// Signed-in browsers.
pub trait Sessions: Send + Sync + 'static {
    /// Opens a session, if the person still has this epoch, is not disabled, and has no second factor that it did not pass;
    /// `false` otherwise.
    fn session_open(&self, session: Session) -> Answer<'_, bool>;

    /// The session, if it has not expired, its person has the same epoch and is not disabled, and it has passed the second
    /// factor, where the person has one.
    fn session_read(&self, id: SessionId, now: Timestamp) -> Answer<'_, Option<(Session, Person)>>;

    /// Ends it. Ending twice is the same.
    fn session_close(&self, id: SessionId) -> Answer<'_, ()>;

    /// Ends a session of this person; `false` when it is none of theirs.
    fn session_end(&self, id: SessionId, person: PersonId) -> Answer<'_, bool>;

    /// Browsers in which this person is signed in, newest first, at most `limit`.
    fn sessions_of_person(&self, person: PersonId, now: Timestamp, limit: u32) -> Answer<'_, Vec<Session>>;
}
