//! User codes that people typed (RFC 8628): where a device that polls and the person who decides about it meet.

use hallpass_core::{
    grant::UserCode,
    id::{GrantId, PersonId, SessionId},
    time::Timestamp,
};
use std::{net::IpAddr, time::Duration};

/// A user code that a signed-in person typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewClaim {
    /// What was typed.
    pub user_code: UserCode,
    /// In which browser.
    pub session: SessionId,
    /// By whom.
    pub person: PersonId,
}

/// How often, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClaimLimits {
    /// So many codes a person may type in `window`.
    pub most: u32,
    /// The window.
    pub window: Duration,
    /// How long one is open. No device code lives longer.
    pub lifetime: Duration,
}

/// Answer of `claim_open`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimOpened {
    /// It waits for a device, or went on since: this browser typed it before.
    Opened,
    /// Somebody else typed the same code, and now it is nobody's.
    Taken,
    /// Too many in this window.
    TooMany {
        /// When the window ends.
        until: Timestamp,
    },
}

/// What became of a typed code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClaimState {
    /// Nothing yet.
    Open,
    /// The person said yes.
    Allowed,
    /// The person said no.
    Declined,
    /// Two devices or two people had the same code, or this browser typed another one since.
    Spoiled,
}

/// The device that polls with the code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimDevice {
    /// Of its device code, and of the grant that may come of it.
    pub id: GrantId,
    /// Its client.
    pub client_id: String,
    /// For what.
    pub resource: String,
    /// Scopes.
    pub scope: String,
    /// The address that it polls from.
    pub from: Option<IpAddr>,
}

/// A typed code as kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// What was typed.
    pub user_code: UserCode,
    /// In which browser.
    pub session: SessionId,
    /// By whom.
    pub person: PersonId,
    /// When.
    pub claimed_at: Timestamp,
    /// What became of it.
    pub state: ClaimState,
    /// Who polls, once somebody has.
    pub device: Option<ClaimDevice>,
    /// When the person decided.
    pub decided_at: Option<Timestamp>,
    /// The person's epoch at a yes.
    pub epoch: u32,
    /// Whether the page said that the client stays signed in.
    pub stays: bool,
}

/// The person's word about a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClaimDecision {
    /// What was typed.
    pub user_code: UserCode,
    /// In which browser.
    pub session: SessionId,
    /// About which device.
    pub device: GrantId,
    /// Yes or no.
    pub allow: bool,
    /// The person's epoch.
    pub epoch: u32,
    /// Whether the page said that the client stays signed in.
    pub stays: bool,
    /// The code has to have been typed by then: every device that has it polls in between.
    pub claimed_by: Timestamp,
}
