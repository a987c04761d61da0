//! The sweep: looks at rows where reading is cheap, then removes what was due, in small slices behind everything else.

use super::{Backend, Row, Statements, args, operation, statements};
use crate::{Answer, EndedBefore, Maintenance, StoreError, StoreTrouble, Swept};
use hallpass_core::time::Timestamp;
use std::{sync::PoisonError, time::Duration};

statements! {
    SESSIONS_WALK = "SELECT id, expires_at FROM session WHERE id > $1 ORDER BY id LIMIT $2";
    SESSION_SWEEP = "DELETE FROM session WHERE id = $1 AND expires_at <= $2";
    ENTRIES_WALK = "SELECT ticket, until FROM revocation WHERE ticket > $1 ORDER BY ticket LIMIT $2";
    ENTRY_SWEEP = "DELETE FROM revocation WHERE ticket = $1 AND until < $2";
    ASSERTIONS_WALK = "SELECT digest, until FROM assertion WHERE digest > $1 ORDER BY digest LIMIT $2";
    ASSERTION_SWEEP = "DELETE FROM assertion WHERE digest = $1 AND until < $2";
    CLAIMS_WALK = "SELECT user_code, claimed_at FROM device_claim WHERE user_code > $1 ORDER BY user_code LIMIT $2";
    CLAIM_SWEEP = "DELETE FROM device_claim WHERE user_code = $1 AND claimed_at < $2";
    // A node of an older release removes a person and knows nothing of what that person connected.
    CONNECTIONS_WALK = "SELECT id, CASE WHEN EXISTS (SELECT 1 FROM person p WHERE p.id = connection.person) THEN 0 ELSE 1 END
        FROM connection WHERE id > $1 ORDER BY id LIMIT $2";
    CONNECTION_SWEEP = "DELETE FROM connection WHERE id = $1
        AND NOT EXISTS (SELECT 1 FROM person p WHERE p.id = connection.person)";
    // The same of whom an identity provider means.
    LINKS_WALK = "SELECT id, CASE WHEN EXISTS (SELECT 1 FROM person p WHERE p.id = account_link.person) THEN 0 ELSE 1 END
        FROM account_link WHERE id > $1 ORDER BY id LIMIT $2";
    LINK_SWEEP = "DELETE FROM account_link WHERE id = $1
        AND NOT EXISTS (SELECT 1 FROM person p WHERE p.id = account_link.person)";
    // A copy is renewed when its client uses a grant. What no host said anything about for as long as a grant may live, and
    // no grant needs, is nobody's; only for such a row the grants are looked through.
    DOCUMENTS_WALK = "SELECT url, CASE WHEN checked_at < $1
            AND NOT EXISTS (SELECT 1 FROM grants g WHERE g.client_id = document.url) THEN 1 ELSE 0 END
        FROM document WHERE url > $2 ORDER BY url LIMIT $3";
    // Whoever was asked about it meanwhile has made it young again, before there can be a grant.
    DOCUMENT_SWEEP = "DELETE FROM document WHERE url = $1 AND checked_at < $2";
    GRANTS_WALK = "SELECT id, revoked_at, rotated_at, consented_at FROM grants WHERE id > $1 ORDER BY id LIMIT $2";
    GRANT_SWEEP = "DELETE FROM grants WHERE id = $1
        AND (revoked_at < $2 OR rotated_at < $3 OR consented_at < $4)";
}

/// Rows that one slice looks at. Reading is cheap and takes no lock; a slice that finds nothing writes nothing.
const LOOK_AT: u32 = 4096;

/// No device code is as old: what a person typed before can be found by none.
const CLAIM_IS_OVER: Duration = Duration::from_hours(1);

/// Where the sweep stands. It walks the primary keys, because an index for it would make each refresh dearer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Walk {
    /// Sessions above this id.
    Sessions {
        /// The last one seen.
        after: [u8; 16],
    },
    /// Entries of the feed above this ticket.
    Entries {
        /// The last one seen.
        after: i64,
    },
    /// Spent assertions above this digest.
    Assertions {
        /// The last one seen.
        after: [u8; 32],
    },
    /// Typed user codes above this one.
    Claims {
        /// The last one seen.
        after: i64,
    },
    /// Connections above this id.
    Connections {
        /// The last one seen.
        after: [u8; 16],
    },
    /// Links above this id.
    Links {
        /// The last one seen.
        after: [u8; 16],
    },
    /// Copies of documents above this URL.
    Documents {
        /// The last one seen.
        after: String,
    },
    /// Grants above this id.
    Grants {
        /// The last one seen.
        after: [u8; 16],
    },
}

impl Default for Walk {
    fn default() -> Self {
        Self::Sessions { after: [0; 16] }
    }
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
    Assertions(Vec<[u8; 32]>),
    Claims(Vec<i64>),
    Connections(Vec<[u8; 16]>),
    Links(Vec<[u8; 16]>),
    Documents(Vec<String>),
    Grants(Vec<[u8; 16]>),
}

impl Due {
    fn is_empty(&self) -> bool {
        match self {
            Self::Sessions(ids) | Self::Connections(ids) | Self::Links(ids) | Self::Grants(ids) => {
                ids.is_empty()
            }
            Self::Entries(tickets) | Self::Claims(tickets) => tickets.is_empty(),
            Self::Assertions(digests) => digests.is_empty(),
            Self::Documents(urls) => urls.is_empty(),
        }
    }
}

operation! {
    Look { from: Walk, grants: EndedBefore, now: Timestamp, limit: u32 } -> Slice, List,
    |on, this| look(on, this).await
}

operation! {
    Remove { due: Due, grants: EndedBefore, now: Timestamp } -> u64, Slow, |on, this| remove(on, this).await
}

impl<B: Backend> Maintenance for B {
    fn sweep(&self, grants: EndedBefore, now: Timestamp, limit: u32) -> Answer<'_, Swept> {
        Box::pin(async move {
            let from = self.walk().lock().unwrap_or_else(PoisonError::into_inner).clone();
            let Slice { due, next, more } = self.run(Look { from, grants, now, limit }).await?;
            let rows = if due.is_empty() { 0 } else { self.run(Remove { due, grants, now }).await? };
            *self.walk().lock().unwrap_or_else(PoisonError::into_inner) = next;
            Ok(Swept { rows, more })
        })
    }

    fn waiting(&self) -> usize {
        Backend::waiting(self)
    }

    fn trouble(&self) -> Option<StoreTrouble> {
        Backend::trouble(self)
    }

    fn close(&self) -> Answer<'_, ()> {
        self.end()
    }

    fn clock_read(&self) -> Answer<'_, Option<Timestamp>> {
        self.clock()
    }
}

/// Looks at the next rows of one table.
async fn look(on: &mut impl Statements, this: &Look) -> Result<Slice, StoreError> {
    let (grants, now, limit) = (this.grants, this.now, this.limit);
    Ok(match &this.from {
        Walk::Sessions { after } => {
            let is_due = |row: &Row<'_>| Ok((row.array(0)?, row.time(1)? <= now));
            let rows = on.all(SESSIONS_WALK, args![after, LOOK_AT], is_due).await?;
            let then = Walk::Entries { after: 0 };
            slice(walk(rows, limit), Due::Sessions, |after| Walk::Sessions { after }, Some(then))
        }
        Walk::Entries { after } => {
            let is_due = |row: &Row<'_>| Ok((row.int(0)?, row.time(1)? < now));
            let rows = on.all(ENTRIES_WALK, args![*after, LOOK_AT], is_due).await?;
            let then = Walk::Assertions { after: [0; 32] };
            slice(walk(rows, limit), Due::Entries, |after| Walk::Entries { after }, Some(then))
        }
        Walk::Assertions { after } => {
            let is_due = |row: &Row<'_>| Ok((row.array(0)?, row.time(1)? < now));
            let rows = on.all(ASSERTIONS_WALK, args![after, LOOK_AT], is_due).await?;
            let then = Walk::Claims { after: -1 };
            slice(walk(rows, limit), Due::Assertions, |after| Walk::Assertions { after }, Some(then))
        }
        Walk::Claims { after } => {
            let is_due = |row: &Row<'_>| Ok((row.int(0)?, row.time(1)? < now.minus(CLAIM_IS_OVER)));
            let rows = on.all(CLAIMS_WALK, args![*after, LOOK_AT], is_due).await?;
            let then = Walk::Connections { after: [0; 16] };
            slice(walk(rows, limit), Due::Claims, |after| Walk::Claims { after }, Some(then))
        }
        Walk::Connections { after } => {
            let is_due = |row: &Row<'_>| Ok((row.array(0)?, row.yes(1)?));
            let rows = on.all(CONNECTIONS_WALK, args![after, LOOK_AT], is_due).await?;
            let then = Walk::Links { after: [0; 16] };
            slice(walk(rows, limit), Due::Connections, |after| Walk::Connections { after }, Some(then))
        }
        Walk::Links { after } => {
            let is_due = |row: &Row<'_>| Ok((row.array(0)?, row.yes(1)?));
            let rows = on.all(LINKS_WALK, args![after, LOOK_AT], is_due).await?;
            let then = Walk::Documents { after: String::new() };
            slice(walk(rows, limit), Due::Links, |after| Walk::Links { after }, Some(then))
        }
        Walk::Documents { after } => {
            let is_due = |row: &Row<'_>| Ok((row.text(0)?, row.yes(1)?));
            let rows = on.all(DOCUMENTS_WALK, args![grants.given, after, LOOK_AT], is_due).await?;
            let then = Walk::Grants { after: [0; 16] };
            slice(walk(rows, limit), Due::Documents, |after| Walk::Documents { after }, Some(then))
        }
        Walk::Grants { after } => {
            let is_due = |row: &Row<'_>| {
                let ended = row.maybe_time(1)?.is_some_and(|at| at < grants.revoked)
                    || row.time(2)? < grants.used
                    || row.time(3)? < grants.given;
                Ok((row.array(0)?, ended))
            };
            let rows = on.all(GRANTS_WALK, args![after, LOOK_AT], is_due).await?;
            slice(walk(rows, limit), Due::Grants, |after| Walk::Grants { after }, None)
        }
    })
}

/// What is due of it, and where to go on: in the same table, in the next one, or from the beginning another time.
fn slice<K>(
    seen: Seen<K>,
    due: impl FnOnce(Vec<K>) -> Due,
    again: impl FnOnce(K) -> Walk,
    then: Option<Walk>,
) -> Slice {
    let next = seen.last.map(again).or(then);
    Slice { due: due(seen.due), more: next.is_some(), next: next.unwrap_or_default() }
}

/// What a walk found, and the key to go on from; `None` at the end of the table.
struct Seen<K> {
    due: Vec<K>,
    last: Option<K>,
}

fn walk<K: Clone>(rows: Vec<(K, bool)>, limit: u32) -> Seen<K> {
    let limit = usize::try_from(limit.max(1)).unwrap_or(usize::MAX);
    let is_whole = u32::try_from(rows.len()).is_ok_and(|count| count == LOOK_AT);
    let mut seen = Seen { due: Vec::new(), last: None };
    let mut end = None;
    for (key, is_due) in rows {
        if is_due {
            seen.due.push(key.clone());
        }
        if seen.due.len() == limit {
            seen.last = Some(key);
            return seen;
        }
        end = Some(key);
    }
    seen.last = end.filter(|_| is_whole);
    seen
}

/// Removes what was found, if it is still due.
async fn remove(on: &mut impl Statements, this: &Remove) -> Result<u64, StoreError> {
    let mut rows = 0_u64;
    match &this.due {
        Due::Sessions(ids) => {
            for id in ids {
                rows += on.change(SESSION_SWEEP, args![id, this.now]).await?;
            }
        }
        Due::Entries(tickets) => {
            for ticket in tickets {
                rows += on.change(ENTRY_SWEEP, args![*ticket, this.now]).await?;
            }
        }
        Due::Assertions(digests) => {
            for digest in digests {
                rows += on.change(ASSERTION_SWEEP, args![digest, this.now]).await?;
            }
        }
        Due::Claims(codes) => {
            for code in codes {
                rows += on.change(CLAIM_SWEEP, args![*code, this.now.minus(CLAIM_IS_OVER)]).await?;
            }
        }
        Due::Connections(ids) => {
            for id in ids {
                rows += on.change(CONNECTION_SWEEP, args![id]).await?;
            }
        }
        Due::Links(ids) => {
            for id in ids {
                rows += on.change(LINK_SWEEP, args![id]).await?;
            }
        }
        Due::Documents(urls) => {
            for url in urls {
                rows += on.change(DOCUMENT_SWEEP, args![url, this.grants.given]).await?;
            }
        }
        Due::Grants(ids) => {
            for id in ids {
                rows += on
                    .change(GRANT_SWEEP, args![id, this.grants.revoked, this.grants.used, this.grants.given])
                    .await?;
            }
        }
    }
    Ok(rows)
}
