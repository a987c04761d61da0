//! The chain of a node's lines.
//!
//! Each line has its number, the MAC of the line before it, and a MAC over all of itself. The MAC's key is derived
//! from the master key and the root secret, so that whoever can write the file and no more cannot make a line, change
//! one, take one out or swap two without its showing. What is cut off at the very end shows as long as the node runs
//! (it knows its last line), and as a log that was not closed when it starts again.

use super::line::Line;
use hallpass_core::{
    encoding,
    seal::{KeyRing, Purpose},
};
use std::fmt::Write as _;

/// Bytes of a MAC in a line.
const MAC: usize = 16;

/// Where a chain stands: what the next line is put behind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// Number of the last line.
    pub sequence: u64,
    /// Its MAC; empty before the first.
    pub mac: String,
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// Cut off in the middle.
    #[error("is cut off")]
    CutOff,
    /// Not a line of an audit log.
    #[error("is not an audit line")]
    Form,
    /// No key to check it with.
    #[error("was made under master key {0}, which is not in master.key")]
    UnknownKey(u8),
    /// Its MAC differs.
    #[error("was changed, or not written by this server")]
    Changed,
    /// Lines between it and the one before it are missing.
    #[error("follows a gap: lines {from} to {to} are missing")]
    Missing {
        /// The first that is missing.
        from: u64,
        /// The last that is missing.
        to: u64,
    },
    /// It belongs somewhere else.
    #[error("is out of order: it is number {found}, and {expected} was due")]
    OutOfOrder {
        /// The number that was due.
        expected: u64,
        /// Its number.
        found: u64,
    },
    /// The database remembers later lines.
    #[error(
        "is the last one, and the database remembers line {remembered}: what comes after {last} was taken off"
    )]
    TakenOff {
        /// The last line.
        last: u64,
        /// What the database remembers as the last one.
        remembered: u64,
    },
    /// Right number, another predecessor: two chains were mixed, or a log was set back and went on.
    #[error("does not follow the line before it: another log was put in its place, or this one was set back")]
    OtherPredecessor,
}

/// The text of the next line, and where the chain stands then.
pub fn link(keys: &KeyRing, node: &str, head: &Head, members: &str) -> (String, Head) {
    let (sequence, master) = (head.sequence.saturating_add(1), keys.current());
    // Room for all of it: sequence, names of the members and two MACs are below 200 characters.
    let mut text = String::with_capacity(members.len() + node.len() + 200);
    let _ = write!(
        text,
        "{{\"sequence\":{sequence},\"node\":\"{node}\",{members},\"previous\":\"{}\",\"master\":{master}",
        head.mac
    );
    let mac = mac(keys, master, &text).unwrap_or_default();
    text.push_str(",\"mac\":\"");
    text.push_str(&mac);
    text.push_str("\"}\n");
    (text, Head { sequence, mac })
}

fn mac(keys: &KeyRing, master: u8, text: &str) -> Option<String> {
    let mac = keys.mac(master, Purpose::AuditLog, text.as_bytes()).ok()?;
    mac.get(..MAC).map(encoding::base64url)
}

/// Whether a line is whole and was written by this server, wherever it stands.
pub fn check(keys: &KeyRing, text: &str) -> Result<Line, Broken> {
    let line = Line::read(text).ok_or(Broken::Form)?;
    let signed = text.strip_suffix(&format!(",\"mac\":\"{}\"}}", line.mac)).ok_or(Broken::Changed)?;
    let tag = encoding::from_base64url(&line.mac).filter(|tag| tag.len() == MAC).ok_or(Broken::Changed)?;
    if keys.mac(line.master, Purpose::AuditLog, b"").is_err() {
        return Err(Broken::UnknownKey(line.master));
    }
    match keys.check(line.master, Purpose::AuditLog, signed.as_bytes(), &tag) {
        Ok(()) => Ok(line),
        Err(_) => Err(Broken::Changed),
    }
}

/// Whether a checked line follows the one before it. A line without predecessor begins a chain.
pub fn follows(head: &Head, line: &Line) -> Result<(), Broken> {
    let expected = head.sequence.saturating_add(1);
    if line.previous == head.mac && line.sequence == expected {
        return Ok(());
    }
    if line.sequence > expected {
        return Err(Broken::Missing { from: expected, to: line.sequence.saturating_sub(1) });
    }
    if line.sequence < expected {
        return Err(Broken::OutOfOrder { expected, found: line.sequence });
    }
    Err(Broken::OtherPredecessor)
}
