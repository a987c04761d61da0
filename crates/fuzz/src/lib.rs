//! Fuzz targets: everything that reads bytes of strangers, as functions that two drivers call.
//!
//! A target panics when something that must hold does not: nothing panics by itself, what is written is read back
//! the same, and what we accept another reader accepts with the same meaning. `tests/brief.rs` runs each of them on
//! its corpus and on mutations of it, the same ones every time; `fuzz/` at the top of the repository runs them under
//! libFuzzer for as long as one likes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    reason = "a target reports by panicking"
)]

pub mod mutate;
mod targets;
pub mod tokens;

/// A target by its name, which is also the folder of its corpus.
pub struct Target {
    /// Lower case, with hyphens.
    pub name: &'static str,
    /// Reads one input.
    pub run: fn(&[u8]),
}

/// All of them.
pub const TARGETS: [Target; 21] = [
    Target { name: "parameters", run: targets::form::parameters },
    Target { name: "basic", run: targets::form::basic },
    Target { name: "scope", run: targets::form::scope },
    Target { name: "redirect", run: targets::uri::redirect },
    Target { name: "identifiers", run: targets::uri::identifiers },
    Target { name: "json", run: targets::document::json },
    Target { name: "client-document", run: targets::document::client },
    Target { name: "server-metadata", run: targets::document::server },
    Target { name: "resource-metadata", run: targets::document::resource },
    Target { name: "registration", run: targets::document::registration },
    Target { name: "authorization-details", run: targets::document::authorization_details },
    Target { name: "key-set", run: targets::document::key_set },
    Target { name: "jws", run: targets::token::jws },
    Target { name: "access-token", run: targets::token::access_token },
    Target { name: "grant-assertion", run: targets::token::grant_assertion },
    Target { name: "proof", run: targets::token::proof },
    Target { name: "refresh-token", run: targets::token::refresh_token },
    Target { name: "sealed", run: targets::token::sealed },
    Target { name: "message", run: targets::wire::message },
    Target { name: "challenge", run: targets::wire::challenge },
    Target { name: "header-value", run: targets::wire::header_value },
];

/// The target of this name.
pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}
