//! The feed of revocations: tickets are taken last in a transaction, so their order is commit order.

use super::{
    SqliteStore,
    rows::time,
    sql::{all, change, first, statements},
};
use crate::{Answer, ErrorKind, Feed, FeedPage, Revocation, Revoked, StoreError};
use hallpass_core::{
    id::{GrantId, PersonId},
    time::Timestamp,
};
use rusqlite::{
    Connection, Row, params,
    types::{FromSqlError, Type},
};

statements! {
    TICKET = "UPDATE feed SET n = n + 1 WHERE id = 1 RETURNING n";
    APPEND = "INSERT INTO revocation (ticket, kind, key, epoch, until) VALUES ($1, $2, $3, $4, $5)";
    // One statement, so the counter and the entries are of the same moment.
    AFTER = "SELECT f.n, r.ticket, r.kind, r.key, r.epoch, r.until FROM feed f
        LEFT JOIN revocation r ON r.ticket > $1 WHERE f.id = 1 ORDER BY r.ticket LIMIT $2";
    COUNTER = "SELECT n FROM feed WHERE id = 1";
}

const GRANT: i64 = 1;
const PERSON: i64 = 2;
const CLIENT: i64 = 3;

impl Feed for SqliteStore {
    fn feed_after(&self, cursor: i64, limit: u32) -> Answer<'_, FeedPage> {
        self.read(move |connection| {
            let rows = all(connection, AFTER, params![cursor, limit], |row| Ok((row.get(0)?, entry(row)?)))?;
            let counter = match rows.first() {
                Some((counter, _)) => Some(*counter),
                None => first(connection, COUNTER, [], |row| row.get(0))?,
            };
            let counter = counter.ok_or(StoreError::new(ErrorKind::Corrupt))?;
            Ok(FeedPage { counter, entries: rows.into_iter().filter_map(|(_, entry)| entry).collect() })
        })
    }
}

/// Takes the next ticket and puts the entry under it. Has to be the last thing in its transaction: the row of the
/// counter stays locked from here to the commit.
pub(super) fn append(connection: &Connection, what: &Revoked, until: Timestamp) -> Result<(), StoreError> {
    let ticket: i64 =
        first(connection, TICKET, [], |row| row.get(0))?.ok_or(StoreError::new(ErrorKind::Corrupt))?;
    let (kind, key, epoch) = match what {
        Revoked::Grant(id) => (GRANT, id.as_bytes().as_slice(), None),
        Revoked::Person { person, epoch } => (PERSON, person.as_bytes().as_slice(), Some(*epoch)),
        Revoked::Client(id) => (CLIENT, id.as_bytes(), None),
    };
    change(connection, APPEND, params![ticket, kind, key, epoch, until.millis()])?;
    Ok(())
}

fn entry(row: &Row<'_>) -> rusqlite::Result<Option<Revocation>> {
    let Some(ticket) = row.get(1)? else { return Ok(None) };
    let what = match row.get::<_, i64>(2)? {
        GRANT => Revoked::Grant(GrantId::from_bytes(row.get(3)?)),
        PERSON => Revoked::Person { person: PersonId::from_bytes(row.get(3)?), epoch: row.get(4)? },
        CLIENT => Revoked::Client(String::from_utf8(row.get(3)?).map_err(|_| unreadable())?),
        _ => return Err(unreadable()),
    };
    Ok(Some(Revocation { ticket, what, until: time(row, 5)? }))
}

fn unreadable() -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(2, Type::Integer, Box::new(FromSqlError::InvalidType))
}
