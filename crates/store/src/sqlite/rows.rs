//! From columns to records.

use hallpass_core::{
    id::{AttemptId, GrantId, PersonId, SessionId},
    time::Timestamp,
};
use rusqlite::{Result, Row};

macro_rules! id_column {
    ($($name:ident $id:ident)+) => {$(
        pub(super) fn $name(row: &Row<'_>, column: usize) -> Result<$id> {
            row.get(column).map($id::from_bytes)
        }
    )+};
}

id_column! {
    attempt_id AttemptId
    grant_id GrantId
    person_id PersonId
    session_id SessionId
}

/// A point in time.
pub(super) fn time(row: &Row<'_>, column: usize) -> Result<Timestamp> {
    row.get(column).map(Timestamp::from_millis)
}

/// A point in time, or NULL.
pub(super) fn maybe_time(row: &Row<'_>, column: usize) -> Result<Option<Timestamp>> {
    Ok(row.get::<_, Option<i64>>(column)?.map(Timestamp::from_millis))
}
