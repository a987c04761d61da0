//! Signed-in browsers.

use super::{Backend, args, operation, person::person, statements};
use crate::{Answer, Person, Session, Sessions};
use hallpass_core::{id::SessionId, time::Timestamp};

statements! {
    OPEN = "INSERT INTO session (id, person, epoch, signed_in_at, expires_at)
        SELECT $1, p.id, p.epoch, $2, $3 FROM person p
        WHERE p.id = $4 AND p.epoch = $5 AND p.disabled_at IS NULL
        ON CONFLICT (id) DO NOTHING RETURNING id";
    OPENED = "SELECT s.id FROM session s
        JOIN person p ON p.id = s.person AND p.epoch = s.epoch AND p.disabled_at IS NULL
        WHERE s.id = $1 AND s.person = $2 AND s.epoch = $3";
    READ = "SELECT p.id, p.name, p.password, p.epoch, p.disabled_at, p.created_at,
            s.id, s.signed_in_at, s.expires_at
        FROM session s JOIN person p ON p.id = s.person AND p.epoch = s.epoch AND p.disabled_at IS NULL
        WHERE s.id = $1 AND s.expires_at > $2";
    CLOSE = "DELETE FROM session WHERE id = $1";
}

operation! {
    Open { session: Session } -> bool, Write, |on, this| {
        let Session { id, person, epoch, signed_in_at, expires_at } = &this.session;
        let opened = on.any(OPEN, args![id, *signed_in_at, *expires_at, person, *epoch]).await?;
        // A conflict with our own row is success: this very write was run before.
        Ok(opened || on.any(OPENED, args![id, person, *epoch]).await?)
    }
}

operation! {
    Read { id: SessionId, now: Timestamp } -> Option<(Session, Person)>, Read, |on, this| {
        on.first(READ, args![&this.id, this.now], |row| {
            let person = person(row)?;
            let session = Session {
                id: row.session_id(6)?,
                person: person.id,
                epoch: person.epoch,
                signed_in_at: row.time(7)?,
                expires_at: row.time(8)?,
            };
            Ok((session, person))
        })
        .await
    }
}

operation! {
    Close { id: SessionId } -> (), Write, |on, this| on.change(CLOSE, args![&this.id]).await.map(|_| ())
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
}
