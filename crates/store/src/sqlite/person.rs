//! People and their browsers.

use super::{
    SqliteStore, feed,
    rows::{maybe_time, person_id, session_id, time},
    sql::{all, any, change, first, statements},
};
use crate::{
    Answer, Attempt, ErrorKind, FirstPerson, People, Person, Revoked, Session, Sessions, StoreError,
};
use hallpass_core::{
    id::{PersonId, SessionId},
    time::Timestamp,
};
use rusqlite::{Connection, Row, params};
use std::time::Duration;

statements! {
    ANYBODY = "SELECT id FROM person LIMIT 1";
    SETUP_PUT = "INSERT INTO setup (id, digest, expires_at) SELECT 1, $1, $2
        WHERE NOT EXISTS (SELECT 1 FROM person)
        ON CONFLICT (id) DO UPDATE SET digest = excluded.digest, expires_at = excluded.expires_at RETURNING id";
    SETUP_USE = "DELETE FROM setup WHERE digest = $1 AND expires_at > $2
        AND NOT EXISTS (SELECT 1 FROM person) RETURNING id";
    CREATE = "INSERT INTO person (id, name, password, epoch, disabled_at, created_at)
        VALUES ($1, $2, $3, $4, $5, $6)";
    CREATE_FREE = "INSERT INTO person (id, name, password, epoch, disabled_at, created_at)
        VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING";
    CREATED = "SELECT id FROM person WHERE id = $1 AND name = $2";
    LIST = "SELECT id, name, password, epoch, disabled_at, created_at FROM person WHERE id > $1
        ORDER BY id LIMIT $2";
    DISABLE = "UPDATE person SET disabled_at = $1 WHERE id = $2 AND disabled_at IS NULL RETURNING id";
    ENABLE = "UPDATE person SET disabled_at = NULL WHERE id = $1";
    INVITE = "INSERT INTO invitation (person, digest, expires_at) SELECT p.id, $1, $2 FROM person p WHERE p.id = $3
        ON CONFLICT (person) DO UPDATE SET digest = excluded.digest, expires_at = excluded.expires_at
        RETURNING person";
    INVITED = "SELECT p.id, p.name, p.password, p.epoch, p.disabled_at, p.created_at
        FROM invitation i JOIN person p ON p.id = i.person AND p.disabled_at IS NULL
        WHERE i.digest = $1 AND i.expires_at > $2";
    INVITATION_USE = "UPDATE invitation SET expires_at = 0 WHERE digest = $1 AND expires_at > $2 RETURNING person";
    // The password's salt was drawn for this attempt: finding it means that this very write was run before.
    INVITATION_USED = "SELECT p.id, p.name, p.password, p.epoch, p.disabled_at, p.created_at
        FROM invitation i JOIN person p ON p.id = i.person WHERE i.digest = $1 AND p.password = $2";
    PASSWORD = "UPDATE person SET password = $1, attempts = 0 WHERE id = $2 AND disabled_at IS NULL";
    BY_NAME = "SELECT id, name, password, epoch, disabled_at, created_at FROM person WHERE name = $1";
    READ = "SELECT id, name, password, epoch, disabled_at, created_at FROM person WHERE id = $1";
    // $1 begin of the window that ends now, $2 end of the window that begins now, $3 now, $5 limit. A window that
    // begins after that end was stamped by a clock that was wrong: it counts as over.
    ATTEMPT = "UPDATE person SET
            attempts = CASE WHEN attempts_since <= $1 OR attempts_since > $2 THEN 1 ELSE attempts + 1 END,
            attempts_since = CASE WHEN attempts_since <= $1 OR attempts_since > $2 THEN $3 ELSE attempts_since END
        WHERE id = $4 AND (attempts < $5 OR attempts_since <= $1 OR attempts_since > $2) RETURNING id";
    ATTEMPTS_SINCE = "SELECT attempts_since FROM person WHERE id = $1";
    ATTEMPTS_CLEAR = "UPDATE person SET attempts = 0 WHERE id = $1 AND attempts <> 0";
    EPOCH_RAISE = "UPDATE person SET epoch = epoch + 1 WHERE id = $1 AND epoch < 4294967295 RETURNING epoch";
    SESSION_OPEN = "INSERT INTO session (id, person, epoch, signed_in_at, expires_at)
        SELECT $1, p.id, p.epoch, $2, $3 FROM person p
        WHERE p.id = $4 AND p.epoch = $5 AND p.disabled_at IS NULL
        ON CONFLICT (id) DO NOTHING RETURNING id";
    SESSION_OPENED = "SELECT s.id FROM session s
        JOIN person p ON p.id = s.person AND p.epoch = s.epoch AND p.disabled_at IS NULL
        WHERE s.id = $1 AND s.person = $2 AND s.epoch = $3";
    SESSION_READ = "SELECT p.id, p.name, p.password, p.epoch, p.disabled_at, p.created_at,
            s.id, s.signed_in_at, s.expires_at
        FROM session s JOIN person p ON p.id = s.person AND p.epoch = s.epoch AND p.disabled_at IS NULL
        WHERE s.id = $1 AND s.expires_at > $2";
    SESSION_CLOSE = "DELETE FROM session WHERE id = $1";
}

impl People for SqliteStore {
    fn person_exists(&self) -> Answer<'_, bool> {
        self.read(|connection| any(connection, ANYBODY, []))
    }

    fn setup_code_put(&self, digest: [u8; 32], expires_at: Timestamp) -> Answer<'_, bool> {
        self.write(move |connection| any(connection, SETUP_PUT, params![digest, expires_at.millis()]))
    }

    fn person_create_first(
        &self,
        code_digest: [u8; 32],
        person: Person,
        now: Timestamp,
    ) -> Answer<'_, FirstPerson> {
        self.write_several(move |connection| create_first(connection, code_digest, &person, now))
    }

    fn person_create(&self, person: Person) -> Answer<'_, bool> {
        self.write(move |connection| {
            insert(connection, CREATE_FREE, &person)?;
            any(connection, CREATED, params![person.id.as_bytes(), person.name])
        })
    }

    fn people_list(&self, after: Option<PersonId>, limit: u32) -> Answer<'_, Vec<Person>> {
        let after = after.map_or([0; 16], |id| *id.as_bytes());
        self.list(move |connection| all(connection, LIST, params![after, limit], person))
    }

    fn person_disable(
        &self,
        id: PersonId,
        disabled: bool,
        until: Timestamp,
        now: Timestamp,
    ) -> Answer<'_, bool> {
        self.write_several(move |connection| {
            if !disabled {
                return Ok(change(connection, ENABLE, [id.as_bytes()])? > 0);
            }
            if any(connection, DISABLE, params![now.millis(), id.as_bytes()])? {
                epoch_raise(connection, id, until)?;
                return Ok(true);
            }
            any(connection, READ, [id.as_bytes()])
        })
    }

    fn invitation_put(&self, person: PersonId, digest: [u8; 32], expires_at: Timestamp) -> Answer<'_, bool> {
        self.write(move |connection| {
            any(connection, INVITE, params![digest, expires_at.millis(), person.as_bytes()])
        })
    }

    fn invitation_read(&self, digest: [u8; 32], now: Timestamp) -> Answer<'_, Option<Person>> {
        self.read(move |connection| first(connection, INVITED, params![digest, now.millis()], person))
    }

    fn invitation_redeem(
        &self,
        digest: [u8; 32],
        password: String,
        until: Timestamp,
        now: Timestamp,
    ) -> Answer<'_, Option<Person>> {
        self.write_several(move |connection| {
            let used =
                first(connection, INVITATION_USE, params![digest, now.millis()], |row| person_id(row, 0))?;
            let Some(id) = used else {
                return first(connection, INVITATION_USED, params![digest, password], person);
            };
            if change(connection, PASSWORD, params![password, id.as_bytes()])? == 0 {
                return Ok(None);
            }
            epoch_raise(connection, id, until)?;
            first(connection, READ, [id.as_bytes()], person)
        })
    }

    fn person_by_name(&self, name: String) -> Answer<'_, Option<Person>> {
        self.read(move |connection| first(connection, BY_NAME, [name], person))
    }

    fn person_read(&self, id: PersonId) -> Answer<'_, Option<Person>> {
        self.read(move |connection| first(connection, READ, [id.as_bytes()], person))
    }

    fn person_attempt(
        &self,
        id: PersonId,
        limit: u32,
        window: Duration,
        now: Timestamp,
    ) -> Answer<'_, Attempt> {
        self.write(move |connection| attempt(connection, id, limit, window, now))
    }

    fn person_attempts_clear(&self, id: PersonId) -> Answer<'_, ()> {
        self.write(move |connection| change(connection, ATTEMPTS_CLEAR, [id.as_bytes()]).map(|_| ()))
    }

    fn person_epoch_raise(&self, id: PersonId, until: Timestamp, _now: Timestamp) -> Answer<'_, Option<u32>> {
        self.write_several(move |connection| epoch_raise(connection, id, until))
    }
}

impl Sessions for SqliteStore {
    fn session_open(&self, session: Session) -> Answer<'_, bool> {
        self.write(move |connection| {
            let (id, person) = (session.id.as_bytes(), session.person.as_bytes());
            let times = (session.signed_in_at.millis(), session.expires_at.millis());
            let opened = any(connection, SESSION_OPEN, params![id, times.0, times.1, person, session.epoch])?;
            // A conflict with our own row is success: this very write was run before.
            Ok(opened || any(connection, SESSION_OPENED, params![id, person, session.epoch])?)
        })
    }

    fn session_read(&self, id: SessionId, now: Timestamp) -> Answer<'_, Option<(Session, Person)>> {
        self.read(move |connection| {
            first(connection, SESSION_READ, params![id.as_bytes(), now.millis()], |row| {
                let person = person(row)?;
                let session = Session {
                    id: session_id(row, 6)?,
                    person: person.id,
                    epoch: person.epoch,
                    signed_in_at: time(row, 7)?,
                    expires_at: time(row, 8)?,
                };
                Ok((session, person))
            })
        })
    }

    fn session_close(&self, id: SessionId) -> Answer<'_, ()> {
        self.write(move |connection| change(connection, SESSION_CLOSE, [id.as_bytes()]).map(|_| ()))
    }
}

fn create_first(
    connection: &Connection,
    code_digest: [u8; 32],
    new: &Person,
    now: Timestamp,
) -> Result<FirstPerson, StoreError> {
    if any(connection, SETUP_USE, params![code_digest, now.millis()])? {
        insert(connection, CREATE, new)?;
        return Ok(FirstPerson::Created);
    }
    match first(connection, ANYBODY, [], |row| person_id(row, 0))? {
        None => Ok(FirstPerson::WrongCode),
        // The id was drawn for this attempt: this very write was run before.
        Some(id) if id == new.id => Ok(FirstPerson::Created),
        Some(_) => Ok(FirstPerson::Closed),
    }
}

fn insert(connection: &Connection, statement: &'static str, new: &Person) -> Result<(), StoreError> {
    let disabled_at = new.disabled_at.map(Timestamp::millis);
    let (id, created_at) = (new.id.as_bytes(), new.created_at.millis());
    change(connection, statement, params![id, new.name, new.password, new.epoch, disabled_at, created_at])?;
    Ok(())
}

fn attempt(
    connection: &Connection,
    id: PersonId,
    limit: u32,
    window: Duration,
    now: Timestamp,
) -> Result<Attempt, StoreError> {
    let (begin, end) = (now.minus(window).millis(), now.plus(window).millis());
    let allowed = any(connection, ATTEMPT, params![begin, end, now.millis(), id.as_bytes(), limit])?;
    if allowed {
        return Ok(Attempt::Allowed);
    }
    let since = first(connection, ATTEMPTS_SINCE, [id.as_bytes()], |row| time(row, 0))?;
    // An account that was removed meanwhile: nothing to count on, so nothing to try.
    Ok(Attempt::Refused { until: since.map_or(now, |since| since.plus(window)) })
}

fn epoch_raise(connection: &Connection, id: PersonId, until: Timestamp) -> Result<Option<u32>, StoreError> {
    let Some(epoch) = first(connection, EPOCH_RAISE, [id.as_bytes()], |row| row.get(0))? else {
        if any(connection, READ, [id.as_bytes()])? {
            return Err(StoreError::caused_by(
                ErrorKind::Internal,
                "the last epoch of this person is used up",
            ));
        }
        return Ok(None);
    };
    feed::append(connection, &Revoked::Person { person: id, epoch }, until)?;
    Ok(Some(epoch))
}

fn person(row: &Row<'_>) -> rusqlite::Result<Person> {
    Ok(Person {
        id: person_id(row, 0)?,
        name: row.get(1)?,
        password: row.get(2)?,
        epoch: row.get(3)?,
        disabled_at: maybe_time(row, 4)?,
        created_at: time(row, 5)?,
    })
}
