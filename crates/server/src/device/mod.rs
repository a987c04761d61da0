//! The device grant (RFC 8628): a device without a browser asks, and a person decides elsewhere.
//!
//! A stranger's request stores nothing on any number of nodes, because the device code is the request. A person who is
//! signed in types the letters that the device shows: that makes a row. The device polls anyway, finds the row and
//! brings its request there; the page shows who that is, and the person decides. Any node serves any step. Two devices
//! with the same letters are possible, and spoil the row: then nobody gets anything, and both start over.

mod ask;
mod authorization;
mod enter;
mod polls;

pub use authorization::device_authorization;
pub use enter::device;
pub use polls::Polls;

use hallpass_core::grant::DEVICE_LIFETIME;
use hallpass_core::time::Timestamp;
use hallpass_store::{Claim, ClaimLimits};
use std::{net::IpAddr, time::Duration};

/// RFC 8628 §3.4.
pub const GRANT_TYPE: &str = "urn:ietf:params:oauth:grant-type:device_code";
/// How often a device may poll.
pub const INTERVAL: Duration = Duration::from_secs(5);
/// How long after the typing a person may decide: every device with these letters has polled once by then, and a second
/// one has spoiled the row.
const SETTLED: Duration = Duration::from_secs(6);
/// How far the clock of the node that a device asked may be ahead of the one where its letters were typed.
const CLOCKS: Duration = Duration::from_secs(10);
/// Five letters-in-a-row a minute: in a year, one account finds one device among ten thousand that wait.
const LIMITS: ClaimLimits =
    ClaimLimits { most: 5, window: Duration::from_mins(1), lifetime: DEVICE_LIFETIME };

/// A row that was typed before this has nothing to do with a device that asked then.
pub fn typed_since(asked_at: Timestamp) -> Timestamp {
    asked_at.minus(CLOCKS)
}

/// Whether somebody may still decide about it, or has just done so.
pub fn is_current(claim: &Claim, now: Timestamp) -> bool {
    now.since(claim.claimed_at) < DEVICE_LIFETIME
}

/// What stands where other grants name the host that their code went to.
pub fn receiver(from: Option<IpAddr>) -> String {
    match from {
        Some(from) if from.is_loopback() => "a device on this computer".to_owned(),
        Some(from) => format!("a device at {}", from.to_canonical()),
        None => "a device".to_owned(),
    }
}
