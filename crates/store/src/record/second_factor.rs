//! Second factors at sign-in.

use hallpass_core::{
    id::{AttemptId, FactorId, PersonId, SessionId},
    time::Timestamp,
};
use std::time::Duration;

/// The second factor of a person, its secret sealed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecondFactor {
    /// Whose it is.
    pub person: PersonId,
    /// The one time that it was turned on.
    pub id: FactorId,
    /// The secret.
    pub sealed: Vec<u8>,
    /// When that was.
    pub turned_on_at: Timestamp,
    /// Recovery codes that were not used yet.
    pub codes_left: u32,
}

/// A second factor that is turned on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSecondFactor {
    /// Whose it is.
    pub person: PersonId,
    /// The person's epoch.
    pub epoch: u32,
    /// Drawn for this one time.
    pub id: FactorId,
    /// The secret.
    pub sealed: Vec<u8>,
    /// Now.
    pub turned_on_at: Timestamp,
    /// The step of the code that showed that the app has the secret: it is used with that.
    pub step: i64,
    /// The one that it takes the place of.
    pub replaces: Option<FactorId>,
    /// Digests of the recovery codes.
    pub codes: Vec<[u8; 32]>,
    /// The session in which that happens, if there is one already: it has passed this factor.
    pub session: Option<SessionId>,
}

/// A code that was right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FactorUse {
    /// Whose.
    pub person: PersonId,
    /// Of this factor.
    pub id: FactorId,
    /// The step that it is of.
    pub step: i64,
    /// No step after this one can have been used by a clock that is right.
    pub latest: i64,
    /// Drawn for this try.
    pub attempt: AttemptId,
    /// Whether the try came from a browser in which the person was signed in before.
    pub known: bool,
}

/// A try that is counted before the code is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FactorTry {
    /// Whose.
    pub person: PersonId,
    /// Whether it comes from a browser in which the person was signed in before: strangers cannot use up the tries of those.
    pub known: bool,
    /// So many at most.
    pub limit: u32,
    /// In this time.
    pub window: Duration,
}
