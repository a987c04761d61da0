//! Services of third parties that people connected: one row, one winner of each renewal.

use super::{Backend, Row, args, operation, statements};
use crate::{Answer, Connection, Connections, Hold, NewConnection, StoreError};
use hallpass_core::{
    id::{AttemptId, ConnectionId, PersonId},
    time::Timestamp,
};

statements! {
    PUT = "INSERT INTO connection (id, person, name, sealed, version, connected_at, renewed_at)
        SELECT $1, p.id, $2, $3, 1, $4, $4 FROM person p
        WHERE p.id = $5 AND p.epoch = $6 AND p.disabled_at IS NULL
        ON CONFLICT (person, name) DO UPDATE SET id = excluded.id, sealed = excluded.sealed, version = 1,
            connected_at = excluded.connected_at, renewed_at = excluded.renewed_at, died_at = NULL, holder = NULL,
            held_until = 0
        WHERE connection.id <> excluded.id RETURNING id";
    // The id was drawn for this attempt: this very write was run before, and what came after it stays.
    PUT_BEFORE = "SELECT id FROM connection WHERE id = $1 AND person = $2";
    READ = "SELECT c.id, c.person, c.name, c.sealed, c.version, c.connected_at, c.renewed_at, c.died_at, c.held_until
        FROM connection c JOIN person p ON p.id = c.person AND p.disabled_at IS NULL
        WHERE c.person = $1 AND c.name = $2";
    OF_PERSON = "SELECT c.id, c.person, c.name, c.sealed, c.version, c.connected_at, c.renewed_at, c.died_at, c.held_until
        FROM connection c JOIN person p ON p.id = c.person AND p.disabled_at IS NULL
        WHERE c.person = $1 ORDER BY c.name";
    // The second byte of what is sealed is the number of its key (core, seal).
    UNDER = "SELECT id, person, name, sealed, version, connected_at, renewed_at, died_at, held_until
        FROM connection WHERE substr(sealed, 2, 1) = $1 AND id > $2 AND died_at IS NULL ORDER BY id LIMIT $3";
    // $2 is the end of the longest word that can be given now: one that ends later was stamped by a clock that was wrong.
    HOLD = "UPDATE connection SET holder = $1, held_until = $2
        WHERE id = $3 AND version = $4 AND died_at IS NULL
            AND (held_until <= $5 OR held_until > $2 OR holder = $1)";
    RELEASE = "UPDATE connection SET holder = NULL, held_until = $1 WHERE id = $2 AND holder = $3";
    RENEW = "UPDATE connection SET sealed = $1, version = version + 1, renewed_at = $2, holder = NULL, held_until = 0
        WHERE id = $3 AND version = $4 AND version < 4294967295";
    // Sealed twice, tokens never have the same bytes: they can only be ours, from a run before.
    RENEWED = "SELECT id FROM connection WHERE id = $1 AND sealed = $2";
    DIE = "UPDATE connection SET died_at = $1, holder = NULL, held_until = 0
        WHERE id = $2 AND version = $3 AND died_at IS NULL";
    DEAD = "SELECT id FROM connection WHERE id = $1 AND version = $2 AND died_at IS NOT NULL";
    REMOVE = "DELETE FROM connection WHERE id = $1 AND person = $2";
}

operation! {
    Put { connection: NewConnection } -> bool, Write, |on, this| {
        let NewConnection { id, person, epoch, name, sealed, connected_at } = &this.connection;
        let args = args![id, name, sealed, *connected_at, person, *epoch];
        Ok(on.any(PUT, args).await? || on.any(PUT_BEFORE, args![id, person]).await?)
    }
}

operation! {
    Read { person: PersonId, name: String } -> Option<Connection>, Read,
    |on, this| on.first(READ, args![&this.person, &this.name], connection).await
}

operation! {
    OfPerson { person: PersonId } -> Vec<Connection>, List,
    |on, this| on.all(OF_PERSON, args![&this.person], connection).await
}

operation! {
    Under { number: u8, after: Option<ConnectionId>, most: u32 } -> Vec<Connection>, List, |on, this| {
        let (number, after) = ([this.number], this.after.map_or([0; 16], |after| *after.as_bytes()));
        on.all(UNDER, args![&number[..], &after[..], this.most], connection).await
    }
}

operation! {
    Take { hold: Hold, now: Timestamp } -> bool, Write, |on, this| {
        let Hold { id, version, holder, until } = &this.hold;
        Ok(on.change(HOLD, args![holder, *until, id, *version, this.now]).await? > 0)
    }
}

operation! {
    Release { id: ConnectionId, holder: AttemptId, until: Timestamp } -> (), Write,
    |on, this| on.change(RELEASE, args![this.until, &this.id, &this.holder]).await.map(|_| ())
}

operation! {
    Renew { id: ConnectionId, version: u32, sealed: Vec<u8>, now: Timestamp } -> bool, Write, |on, this| {
        let (id, sealed) = (&this.id, &this.sealed);
        let renewed = on.change(RENEW, args![sealed, this.now, id, this.version]).await? > 0;
        Ok(renewed || on.any(RENEWED, args![id, sealed]).await?)
    }
}

operation! {
    Die { id: ConnectionId, version: u32, now: Timestamp } -> bool, Ending, |on, this| {
        let died = on.change(DIE, args![this.now, &this.id, this.version]).await? > 0;
        Ok(died || on.any(DEAD, args![&this.id, this.version]).await?)
    }
}

operation! {
    Remove { id: ConnectionId, person: PersonId } -> bool, Ending,
    |on, this| Ok(on.change(REMOVE, args![&this.id, &this.person]).await? > 0)
}

fn connection(row: &Row<'_>) -> Result<Connection, StoreError> {
    Ok(Connection {
        id: row.connection_id(0)?,
        person: row.person_id(1)?,
        name: row.text(2)?,
        sealed: row.bytes(3)?,
        version: row.unsigned(4)?,
        connected_at: row.time(5)?,
        renewed_at: row.time(6)?,
        died_at: row.maybe_time(7)?,
        held_until: row.time(8)?,
    })
}

impl<B: Backend> Connections for B {
    fn connection_put(&self, connection: NewConnection) -> Answer<'_, bool> {
        self.run(Put { connection })
    }

    fn connection_read(&self, person: PersonId, name: String) -> Answer<'_, Option<Connection>> {
        self.run(Read { person, name })
    }

    fn connections_of_person(&self, person: PersonId) -> Answer<'_, Vec<Connection>> {
        self.run(OfPerson { person })
    }

    fn connections_under(
        &self,
        number: u8,
        after: Option<ConnectionId>,
        most: u32,
    ) -> Answer<'_, Vec<Connection>> {
        self.run(Under { number, after, most })
    }

    fn connection_hold(&self, hold: Hold, now: Timestamp) -> Answer<'_, bool> {
        self.run(Take { hold, now })
    }

    fn connection_release(&self, id: ConnectionId, holder: AttemptId, until: Timestamp) -> Answer<'_, ()> {
        self.run(Release { id, holder, until })
    }

    fn connection_renew(
        &self,
        id: ConnectionId,
        version: u32,
        sealed: Vec<u8>,
        now: Timestamp,
    ) -> Answer<'_, bool> {
        self.run(Renew { id, version, sealed, now })
    }

    fn connection_die(&self, id: ConnectionId, version: u32, now: Timestamp) -> Answer<'_, bool> {
        self.run(Die { id, version, now })
    }

    fn connection_remove(&self, id: ConnectionId, person: PersonId) -> Answer<'_, bool> {
        self.run(Remove { id, person })
    }
}
