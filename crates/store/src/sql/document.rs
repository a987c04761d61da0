//! Copies of metadata documents, and how their owners' word about them is remembered.

use super::{Backend, Row, args, operation, statements};
use crate::{Answer, Documents, StoreError, StoredDocument};
use hallpass_core::time::Timestamp;

statements! {
    READ = "SELECT url, body, checked_at, fresh_until, gone_since, suspended_at FROM document WHERE url = $1";
    // An older copy that comes late does not replace a newer one.
    PUT = "INSERT INTO document (url, body, checked_at, fresh_until) VALUES ($1, $2, $3, $4)
        ON CONFLICT (url) DO UPDATE SET body = excluded.body, checked_at = excluded.checked_at,
            fresh_until = excluded.fresh_until, gone_since = NULL, suspended_at = NULL
        WHERE excluded.checked_at >= document.checked_at";
    // $1 now, $2 whoever was gone before this is suspended. Every value on the right is the one before.
    GONE = "UPDATE document SET
            gone_since = CASE WHEN gone_since IS NULL THEN $1 ELSE gone_since END,
            suspended_at = CASE WHEN suspended_at IS NULL AND gone_since <= $2 THEN $1 ELSE suspended_at END,
            checked_at = $1
        WHERE url = $3 AND checked_at <= $1
        RETURNING url, body, checked_at, fresh_until, gone_since, suspended_at";
}

operation! {
    ReadOne { url: String } -> Option<StoredDocument>, Read, |on, this| {
        on.first(READ, args![&this.url], document).await
    }
}

operation! {
    Put { document: StoredDocument } -> (), Write, |on, this| {
        let StoredDocument { url, body, checked_at, fresh_until, .. } = &this.document;
        on.change(PUT, args![url, body, *checked_at, *fresh_until]).await.map(|_| ())
    }
}

operation! {
    Gone { url: String, before: Timestamp, now: Timestamp } -> Option<StoredDocument>, Write, |on, this| {
        on.first(GONE, args![this.now, this.before, &this.url], document).await
    }
}

impl<B: Backend> Documents for B {
    fn document_read(&self, url: String) -> Answer<'_, Option<StoredDocument>> {
        self.run(ReadOne { url })
    }

    fn document_put(&self, document: StoredDocument) -> Answer<'_, ()> {
        self.run(Put { document })
    }

    fn document_gone(
        &self,
        url: String,
        before: Timestamp,
        now: Timestamp,
    ) -> Answer<'_, Option<StoredDocument>> {
        self.run(Gone { url, before, now })
    }
}

fn document(row: &Row<'_>) -> Result<StoredDocument, StoreError> {
    Ok(StoredDocument {
        url: row.text(0)?,
        body: row.bytes(1)?,
        checked_at: row.time(2)?,
        fresh_until: row.time(3)?,
        gone_since: row.maybe_time(4)?,
        suspended_at: row.maybe_time(5)?,
    })
}
