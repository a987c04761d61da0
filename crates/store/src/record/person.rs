//! People, their browsers, and the one-time link that makes the first of them.

use hallpass_core::{
    id::{PersonId, SessionId},
    time::Timestamp,
};
use std::{fmt, net::IpAddr};

/// A person with an account. `Debug` leaves the password hash out.
#[derive(Clone, PartialEq, Eq)]
pub struct Person {
    /// Primary key; its text form is the `sub` of tokens.
    pub id: PersonId,
    /// The name to sign in with, unique after folding by the caller.
    pub name: String,
    /// PHC string of the password (argon2id); empty while the person has not chosen one.
    pub password: String,
    /// Raised by "sign out everywhere": whatever names an older epoch is void.
    pub epoch: u32,
    /// When the account was disabled, if it was.
    pub disabled_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
}

impl fmt::Debug for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Person")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("epoch", &self.epoch)
            .field("disabled_at", &self.disabled_at)
            .field("created_at", &self.created_at)
            .finish_non_exhaustive()
    }
}

/// Answer of `person_create_first`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstPerson {
    /// Made, and the setup code is used up.
    Created,
    /// The code is unknown, used or expired.
    WrongCode,
    /// There is an account already: set-up is closed for ever.
    Closed,
}

/// Answer of `person_attempt`, which counts a try before the password is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// Go on.
    Allowed,
    /// Too many in this window.
    Refused {
        /// When the window ends.
        until: Timestamp,
    },
}

/// A signed-in browser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Primary key.
    pub id: SessionId,
    /// Who.
    pub person: PersonId,
    /// The person's epoch at sign-in; a session of an older epoch is void.
    pub epoch: u32,
    /// When the person signed in.
    pub signed_in_at: Timestamp,
    /// When it ends at the latest.
    pub expires_at: Timestamp,
    /// The address that the person signed in from.
    pub from: Option<IpAddr>,
    /// Which browser that was, in a few words.
    pub browser: String,
    /// When it passed the person's second factor. Without, it is none while the person has one.
    pub second_factor_at: Option<Timestamp>,
}
