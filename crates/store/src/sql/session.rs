//! Signed-in browsers.

use super::{Backend, Row, args, operation, person::person, row::octets, statements};
use crate::{Answer, Person, Session, Sessions, StoreError};
use hallpass_core::{
    id::{PersonId, SessionId},
    time::Timestamp,
};

statements! {
    // Whoever has a second factor gets no session without it, also where it was turned on in this very moment (T-17).
    OPEN = "INSERT INTO session (id, person, epoch, signed_in_at, expires_at, opened_from, browser, second_factor_at)
        SELECT $1, p.id, p.epoch, $2, $3, $4, $5, $6 FROM person p
        WHERE p.id = $7 AND p.epoch = $8 AND p.disabled_at IS NULL
            AND ($9 = 1 OR NOT EXISTS (SELECT 1 FROM second_factor f WHERE f.person = p.id))
        ON CONFLICT (id) DO NOTHING RETURNING id";
    OPENED = "SELECT s.id FROM session s
        JOIN person p ON p.id = s.person AND p.epoch = s.epoch AND p.disabled_at IS NULL
        WHERE s.id = $1 AND s.person = $2 AND s.epoch = $3";
    READ = "SELECT p.id, p.name, p.password, p.epoch, p.disabled_at, p.created_at,
            s.id, s.person, s.epoch, s.signed_in_at, s.expires_at, s.opened_from, s.browser, s.second_factor_at
        FROM session s JOIN person p ON p.id = s.person AND p.epoch = s.epoch AND p.disabled_at IS NULL
        WHERE s.id = $1 AND s.expires_at > $2
            AND (s.second_factor_at IS NOT NULL OR NOT EXISTS (SELECT 1 FROM second_factor f WHERE f.person = p.id))";
    CLOSE = "DELETE FROM session WHERE id = $1";
    END = "DELETE FROM session WHERE id = $1 AND person = $2";
    OF_PERSON = "SELECT s.id, s.person, s.epoch, s.signed_in_at, s.expires_at, s.opened_from, s.browser, s.second_factor_at
        FROM session s JOIN person p ON p.id = s.person AND p.epoch = s.epoch AND p.disabled_at IS NULL
        WHERE s.person = $1 AND s.expires_at > $2 ORDER BY s.id DESC LIMIT $3";
}

operation! {
    Open { session: Session } -> bool, Write, |on, this| {
        let Session { id, person, epoch, signed_in_at, expires_at, from, browser, second_factor_at } = &this.session;
        let from = octets(*from);
        let passed = i64::from(second_factor_at.is_some());
        let args = args![id, *signed_in_at, *expires_at, &from, browser, *second_factor_at, person, *epoch, passed];
        let opened = on.any(OPEN, args).await?;
        // A conflict with our own row is success: this very write was run before.
        Ok(opened || on.any(OPENED, args![id, person, *epoch]).await?)
    }
}

operation! {
    Read { id: SessionId, now: Timestamp } -> Option<(Session, Person)>, Read, |on, this| {
        on.first(READ, args![&this.id, this.now], |row| {
            Ok((session(row, 6)?, person(row)?))
        })
        .await
    }
}

operation! {
    Close { id: SessionId } -> (), Ending, |on, this| on.change(CLOSE, args![&this.id]).await.map(|_| ())
}

operation! {
    End { id: SessionId, person: PersonId } -> bool, Ending,
    |on, this| on.change(END, args![&this.id, &this.person]).await.map(|changed| changed > 0)
}

operation! {
    OfPerson { person: PersonId, now: Timestamp, limit: u32 } -> Vec<Session>, List,
    |on, this| on.all(OF_PERSON, args![&this.person, this.now, this.limit], |row| session(row, 0)).await
}

/// The columns of a session from this one on.
fn session(row: &Row<'_>, from: usize) -> Result<Session, StoreError> {
    Ok(Session {
        id: row.session_id(from)?,
        person: row.person_id(from + 1)?,
        epoch: row.unsigned(from + 2)?,
        signed_in_at: row.time(from + 3)?,
        expires_at: row.time(from + 4)?,
        from: row.maybe_address(from + 5)?,
        browser: row.text(from + 6)?,
        second_factor_at: row.maybe_time(from + 7)?,
    })
}

impl<B: Backend> Sessions for B {
    fn session_open(&self, session: Session) -> Answer<'_, bool> {
        self.run(Open { session })
    }

    fn session_read(&self, id: SessionId, now: Timestamp) -> Answer<'_, Option<(Session, Person)>> {
        self.run(Read { id, now })
    }

    fn session_close(&self, id: SessionId) -> Answer<'_, ()> {
        self.run(Close { id })
    }

    fn session_end(&self, id: SessionId, person: PersonId) -> Answer<'_, bool> {
        self.run(End { id, person })
    }

    fn sessions_of_person(&self, person: PersonId, now: Timestamp, limit: u32) -> Answer<'_, Vec<Session>> {
        self.run(OfPerson { person, now, limit })
    }
}
