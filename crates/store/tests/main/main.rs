//! What can be seen of the stores from outside: the contract of both, restarts, kills, files that are not ours.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::similar_names,
    clippy::wildcard_enum_match_arm,
    clippy::print_stdout,
    reason = "tests fail by panicking"
)]

mod files;
mod kill;
mod postgres;
mod reopen;

use hallpass_store::{SqliteSettings, SqliteStore, Store};
use std::sync::Arc;
use tempfile::TempDir;

mod contract {
    hallpass_store::contract_tests!(super::fresh());
}

fn fresh() -> (Arc<dyn Store>, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    (Arc::new(open(&folder)), folder)
}

fn open(folder: &TempDir) -> SqliteStore {
    SqliteStore::open(&folder.path().join("hallpass.db"), SqliteSettings::default()).unwrap()
}
