//! Signing keys, metadata documents, the root secret, the sweep, the end.

use super::{
    SqliteStore,
    command::Shape,
    queue::Lane,
    rows::{maybe_time, time},
    sql::{all, change, first, statements},
};
use crate::{Answer, Documents, ErrorKind, Keys, Maintenance, StoreError, StoredDocument, StoredKey, Swept};
use hallpass_core::{secret::SecretBytes, time::Timestamp};
use rusqlite::{Connection, Row, ToSql, params};
use std::sync::PoisonError;

statements! {
    ROOT_PUT = "INSERT INTO root (id, secret) VALUES (1, $1) ON CONFLICT (id) DO NOTHING";
    ROOT_READ = "SELECT secret FROM root WHERE id = 1";
    KEYS = "SELECT kid, algorithm, sealed, created_at, retired_at FROM signing_key ORDER BY created_at, kid";
    KEY_PUT_FIRST = "INSERT INTO signing_key (kid, algorithm, sealed, created_at, retired_at)
        SELECT $1, $2, $3, $4, $5 WHERE NOT EXISTS (SELECT 1 FROM signing_key)";
    DOCUMENT = "SELECT url, body, checked_at FROM document WHERE url = $1";
    // An older copy that comes late does not replace a newer one.
    DOCUMENT_PUT = "INSERT INTO document (url, body, checked_at) VALUES ($1, $2, $3)
        ON CONFLICT (url) DO UPDATE SET body = excluded.body, checked_at = excluded.checked_at
        WHERE excluded.checked_at >= document.checked_at";
    SESSIONS_WALK = "SELECT id, expires_at FROM session WHERE id > $1 ORDER BY id LIMIT $2";
    SESSION_SWEEP = "DELETE FROM session WHERE id = $1 AND expires_at <= $2";
    ENTRIES_WALK = "SELECT ticket, until FROM revocation WHERE ticket > $1 ORDER BY ticket LIMIT $2";
    ENTRY_SWEEP = "DELETE FROM revocation WHERE ticket = $1 AND until < $2";
    GRANTS_WALK = "SELECT id, revoked_at FROM grants WHERE id > $1 ORDER BY id LIMIT $2";
    GRANT_SWEEP = "DELETE FROM grants WHERE id = $1 AND revoked_at < $2";
}

/// Rows that one slice looks at. Reading is cheap and off the writer; a slice that finds nothing writes nothing.
const LOOK_AT: u32 = 4096;

/// Where the sweep stands. It walks the primary keys, because an index for it would make each refresh dearer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Walk {
    Sessions { after: [u8; 16] },
    Entries { after: i64 },
    Grants { after: [u8; 16] },
}

impl Default for Walk {
    fn default() -> Self {
        Self::Sessions { after: [0; 16] }
    }
}

impl Keys for SqliteStore {
    fn root_secret(&self, candidate: SecretBytes<32>) -> Answer<'_, SecretBytes<32>> {
        self.write(move |connection| {
            change(connection, ROOT_PUT, [candidate.expose()])?;
            let kept = first(connection, ROOT_READ, [], |row| row.get(0))?;
            kept.map(SecretBytes::new).ok_or(StoreError::new(ErrorKind::Corrupt))
        })
    }

    fn keys_read(&self) -> Answer<'_, Vec<StoredKey>> {
        self.read(keys)
    }

    fn key_put_first(&self, key: StoredKey) -> Answer<'_, Vec<StoredKey>> {
        self.write(move |connection| {
            let retired_at = key.retired_at.map(Timestamp::millis);
            let values = params![key.kid, key.algorithm, key.sealed, key.created_at.millis(), retired_at];
            change(connection, KEY_PUT_FIRST, values)?;
            keys(connection)
        })
    }
}

impl Documents for SqliteStore {
    fn document_read(&self, url: String) -> Answer<'_, Option<StoredDocument>> {
        self.read(move |connection| {
            first(connection, DOCUMENT, [url], |row| {
                Ok(StoredDocument { url: row.get(0)?, body: row.get(1)?, checked_at: time(row, 2)? })
            })
        })
    }

    fn document_put(&self, document: StoredDocument) -> Answer<'_, ()> {
        self.write(move |connection| {
            let values = params![document.url, document.body, document.checked_at.millis()];
            change(connection, DOCUMENT_PUT, values).map(|_| ())
        })
    }
}

impl Maintenance for SqliteStore {
    fn sweep(&self, grants_before: Timestamp, now: Timestamp, limit: u32) -> Answer<'_, Swept> {
        Box::pin(async move {
            let from = self.walk.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let slice =
                self.list(move |connection| look(connection, &from, grants_before, now, limit)).await?;
            let Slice { due, next, more } = slice;
            let rows = if due.is_empty() {
                0
            } else {
                let before = (grants_before.millis(), now.millis());
                let work = move |connection: &Connection| remove(connection, &due, before);
                self.enqueue(Lane::Slow, Shape::Several, work).await?
            };
            *self.walk.lock().unwrap_or_else(PoisonError::into_inner) = next;
            Ok(Swept { rows, more })
        })
    }

    fn close(&self) -> Answer<'_, ()> {
        Box::pin(async move {
            self.queue.close();
            let mut ended = self.ended.clone();
            match ended.wait_for(|ended| *ended).await {
                Ok(_) => Ok(()),
                Err(gone) => Err(StoreError::caused_by(ErrorKind::Internal, gone)),
            }
        })
    }
}

fn keys(connection: &Connection) -> Result<Vec<StoredKey>, StoreError> {
    all(connection, KEYS, [], |row| {
        Ok(StoredKey {
            kid: row.get(0)?,
            algorithm: row.get(1)?,
            sealed: row.get(2)?,
            created_at: time(row, 3)?,
            retired_at: maybe_time(row, 4)?,
        })
    })
}

/// What one look at a table found.
struct Slice {
    due: Due,
    next: Walk,
    more: bool,
}

enum Due {
    Sessions(Vec<[u8; 16]>),
    Entries(Vec<i64>),
    Grants(Vec<[u8; 16]>),
}

impl Due {
    fn is_empty(&self) -> bool {
        match self {
            Self::Sessions(ids) | Self::Grants(ids) => ids.is_empty(),
            Self::Entries(tickets) => tickets.is_empty(),
        }
    }
}

/// Looks at the next rows of one table, on a connection that only reads.
fn look(
    connection: &Connection,
    from: &Walk,
    grants_before: Timestamp,
    now: Timestamp,
    limit: u32,
) -> Result<Slice, StoreError> {
    let id = |row: &Row<'_>| row.get(0);
    Ok(match from {
        Walk::Sessions { after } => {
            let seen = walk(connection, SESSIONS_WALK, after, limit, (id, |at| at <= now))?;
            let next = match seen.last {
                Some(after) => Walk::Sessions { after },
                None => Walk::Entries { after: 0 },
            };
            Slice { due: Due::Sessions(seen.due), next, more: true }
        }
        Walk::Entries { after } => {
            let ticket = |row: &Row<'_>| row.get(0);
            let seen = walk(connection, ENTRIES_WALK, after, limit, (ticket, |until| until < now))?;
            let next = match seen.last {
                Some(after) => Walk::Entries { after },
                None => Walk::Grants { after: [0; 16] },
            };
            Slice { due: Due::Entries(seen.due), next, more: true }
        }
        Walk::Grants { after } => {
            let seen = walk(connection, GRANTS_WALK, after, limit, (id, |at| at < grants_before))?;
            let (next, more) = match seen.last {
                Some(after) => (Walk::Grants { after }, true),
                None => (Walk::default(), false),
            };
            Slice { due: Due::Grants(seen.due), next, more }
        }
    })
}

/// What a walk found, and the key to go on from; `None` at the end of the table.
struct Seen<K> {
    due: Vec<K>,
    last: Option<K>,
}

fn walk<K: ToSql + Copy>(
    connection: &Connection,
    sql: &str,
    after: &K,
    limit: u32,
    (key, is_due): (impl Fn(&Row<'_>) -> rusqlite::Result<K>, impl Fn(Timestamp) -> bool),
) -> Result<Seen<K>, StoreError> {
    let limit = usize::try_from(limit.max(1)).unwrap_or(usize::MAX);
    let mut seen = Seen { due: Vec::new(), last: None };
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params![after, LOOK_AT])?;
    let mut looked_at = 0;
    while let Some(row) = rows.next()? {
        looked_at += 1;
        let key = key(row)?;
        if maybe_time(row, 1)?.is_some_and(&is_due) {
            seen.due.push(key);
        }
        if seen.due.len() == limit || looked_at == LOOK_AT {
            seen.last = Some(key);
            break;
        }
    }
    Ok(seen)
}

/// Removes what was found, if it is still due.
fn remove(connection: &Connection, due: &Due, (grants_before, now): (i64, i64)) -> Result<u64, StoreError> {
    let mut rows = 0_usize;
    match due {
        Due::Sessions(ids) => {
            for id in ids {
                rows += change(connection, SESSION_SWEEP, params![id, now])?;
            }
        }
        Due::Entries(tickets) => {
            for ticket in tickets {
                rows += change(connection, ENTRY_SWEEP, params![ticket, now])?;
            }
        }
        Due::Grants(ids) => {
            for id in ids {
                rows += change(connection, GRANT_SWEEP, params![id, grants_before])?;
            }
        }
    }
    Ok(u64::try_from(rows).unwrap_or(u64::MAX))
}
