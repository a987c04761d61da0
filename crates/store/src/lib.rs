//! What hallpass keeps, behind one small trait per noun; SQLite or PostgreSQL under it.
//!
//! A write decides by itself: its condition is inside the statement, and the answer is an enum
//! ([`GrantOpened`], [`GrantRotated`] …). Nobody reads first and decides after. Every write may be run twice:
//! an insert carries the id of its attempt, and a conflict with one's own attempt is success.

#[cfg(any(test, feature = "contract"))]
pub mod contract;
pub mod copy;
pub mod error;
mod migrations;
pub mod postgres;
pub mod record;
mod sql;
pub mod sqlite;
pub mod traits;

pub use error::{ErrorKind, StoreError};
pub use migrations::Schema;
pub use postgres::{PostgresSettings, PostgresStore};
pub use record::*;
pub use sqlite::{SqliteSettings, SqliteStore};
pub use traits::*;
