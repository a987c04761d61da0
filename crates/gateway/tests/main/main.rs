//! The gateway as a client and as an upstream see it: real tokens, a real server behind it, nothing between mocked.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::wildcard_enum_match_arm,
    reason = "tests fail by panicking"
)]

mod acting;
mod admission;
mod assertions;
mod canaries;
mod client_sees;
mod credentials;
mod demo;
mod details;
mod envelope;
mod handles;
mod many_callers;
mod on_behalf;
mod open;
mod people;
mod policy;
mod proofs;
mod routes;
mod rules;
mod sessions;
mod stateless;
#[cfg(unix)]
mod stdio;
#[cfg(unix)]
mod stdio_modern;
#[cfg(unix)]
mod stdio_people;
#[cfg(unix)]
mod strangers;
mod streams;
mod support;
mod tls;
mod trust;
mod upstream_sees;
