//! The feed of revocations: tickets are taken last in a transaction, so their order is commit order.

use super::{Backend, Row, Statements, args, operation, statements};
use crate::{Answer, ErrorKind, Feed, FeedPage, Revocation, Revoked, StoreError};
use hallpass_core::{id::GrantId, time::Timestamp};

statements! {
    TICKET = "UPDATE feed SET n = n + 1 WHERE id = 1 RETURNING n";
    APPEND = "INSERT INTO revocation (ticket, kind, key, epoch, until) VALUES ($1, $2, $3, $4, $5)";
    // One statement, so the counter and the entries are of the same moment.
    AFTER = "SELECT f.n, r.ticket, r.kind, r.key, r.epoch, r.until FROM feed f
        LEFT JOIN revocation r ON r.ticket > $1 WHERE f.id = 1 ORDER BY r.ticket LIMIT $2";
    COUNTER = "SELECT n FROM feed WHERE id = 1";
    OF = "SELECT ticket FROM revocation WHERE key = $1 AND kind = $2 LIMIT 1";
}

const GRANT: i64 = 1;
const PERSON: i64 = 2;
const CLIENT: i64 = 3;
const CLIENT_AGAIN: i64 = 4;
const RECEIVER: i64 = 5;

operation! {
    After { cursor: i64, limit: u32 } -> FeedPage, Read, |on, this| {
        let rows = on
            .all(AFTER, args![this.cursor, this.limit], |row| Ok((row.int(0)?, entry(row)?)))
            .await?;
        let counter = match rows.first() {
            Some((counter, _)) => Some(*counter),
            None => on.first(COUNTER, args![], |row| row.int(0)).await?,
        };
        let counter = counter.ok_or_else(|| StoreError::new(ErrorKind::Corrupt))?;
        Ok(FeedPage { counter, entries: rows.into_iter().filter_map(|(_, entry)| entry).collect() })
    }
}

operation! {
    TokenRevoke { id: GrantId, until: Timestamp } -> bool, Ending, |on, this| {
        let known = on.any(OF, args![&this.id, GRANT]).await?;
        if !known {
            append(on, &Revoked::Grant(this.id), this.until).await?;
        }
        Ok(!known)
    }
}

operation! {
    TokenRevoked { id: GrantId } -> bool, Read, |on, this| on.any(OF, args![&this.id, GRANT]).await
}

impl<B: Backend> Feed for B {
    fn feed_after(&self, cursor: i64, limit: u32) -> Answer<'_, FeedPage> {
        self.run(After { cursor, limit })
    }

    fn token_revoke(&self, id: GrantId, until: Timestamp) -> Answer<'_, bool> {
        self.run(TokenRevoke { id, until })
    }

    fn token_revoked(&self, id: GrantId) -> Answer<'_, bool> {
        self.run(TokenRevoked { id })
    }
}

/// Takes the next ticket and puts the entry under it. Has to be the last thing in its transaction: the row of the
/// counter stays locked from here to the commit.
pub(super) async fn append(
    on: &mut impl Statements,
    what: &Revoked,
    until: Timestamp,
) -> Result<(), StoreError> {
    let ticket = on.first(TICKET, args![], |row| row.int(0)).await?;
    let ticket = ticket.ok_or_else(|| StoreError::new(ErrorKind::Corrupt))?;
    let (kind, key, epoch) = match what {
        Revoked::Grant(id) => (GRANT, id.as_bytes().as_slice(), None),
        Revoked::Person { person, epoch } => (PERSON, person.as_bytes().as_slice(), Some(*epoch)),
        Revoked::Client(id) => (CLIENT, id.as_bytes(), None),
        Revoked::ClientAgain(id) => (CLIENT_AGAIN, id.as_bytes(), None),
        Revoked::Receiver(key) => (RECEIVER, key.as_bytes(), None),
    };
    on.change(APPEND, args![ticket, kind, key, epoch, until]).await?;
    Ok(())
}

fn entry(row: &Row<'_>) -> Result<Option<Revocation>, StoreError> {
    let Some(ticket) = row.maybe_int(1)? else { return Ok(None) };
    let unreadable = || StoreError::caused_by(ErrorKind::Corrupt, "an entry of the feed is damaged");
    let text = || row.bytes(3).and_then(|bytes| String::from_utf8(bytes).map_err(|_| unreadable()));
    let what = match row.int(2)? {
        GRANT => Revoked::Grant(row.grant_id(3)?),
        PERSON => Revoked::Person { person: row.person_id(3)?, epoch: row.unsigned(4)? },
        CLIENT => Revoked::Client(text()?),
        CLIENT_AGAIN => Revoked::ClientAgain(text()?),
        RECEIVER => Revoked::Receiver(text()?),
        _ => return Err(unreadable()),
    };
    Ok(Some(Revocation { ticket, what, until: row.time(5)? }))
}
