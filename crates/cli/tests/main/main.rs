//! The program itself, started as a user starts it, stopped as no user should.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on has failed"
)]

mod accounts;
mod audit;
mod clients;
mod crash;
mod cross_domain;
mod crowd;
mod database_away;
mod disk;
mod dumps;
#[cfg(unix)]
mod exec;
mod floods;
mod full_disk;
mod hostile;
mod http;
mod keys;
mod machines;
mod many_grants;
mod master_keys;
mod node;
mod numbers;
mod person;
mod policy;
mod reload;
mod restored;
mod start;
mod store;
mod two_nodes;
mod upstream_tls;
mod upstream_tokens;
