//! People.

use super::{Backend, Row, Statements, args, feed, operation, statements};
use crate::{Answer, Attempt, ErrorKind, FirstPerson, People, Person, Revoked, StoreError};
use hallpass_core::{id::PersonId, time::Timestamp};
use std::time::Duration;

statements! {
    ANYBODY = "SELECT id FROM person LIMIT 1";
    SETUP_PUT = "INSERT INTO setup (id, digest, expires_at) SELECT 1, $1, $2
        WHERE NOT EXISTS (SELECT 1 FROM person)
        ON CONFLICT (id) DO UPDATE SET digest = excluded.digest, expires_at = excluded.expires_at RETURNING id";
    SETUP_USE = "DELETE FROM setup WHERE digest = $1 AND expires_at > $2
        AND NOT EXISTS (SELECT 1 FROM person) RETURNING id";
    SETUP_END = "DELETE FROM setup WHERE digest = $1 AND expires_at > $2 RETURNING id";
    SETUP_END_ANY = "DELETE FROM setup WHERE expires_at > $1 RETURNING id";
    CREATE = "INSERT INTO person (id, name, password, epoch, disabled_at, created_at)
        VALUES ($1, $2, $3, $4, $5, $6)";
    CREATE_FREE = "INSERT INTO person (id, name, password, epoch, disabled_at, created_at)
        VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING";
    CREATED = "SELECT id FROM person WHERE id = $1 AND name = $2";
    LIST = "SELECT id, name, password, epoch, disabled_at, created_at FROM person WHERE id > $1
        ORDER BY id LIMIT $2";
    DISABLE = "UPDATE person SET disabled_at = $1 WHERE id = $2 AND disabled_at IS NULL RETURNING id";
    ENABLE = "UPDATE person SET disabled_at = NULL WHERE id = $1";
    REMOVE = "DELETE FROM person WHERE id = $1 RETURNING epoch";
    REMOVE_SESSIONS = "DELETE FROM session WHERE person = $1";
    REMOVE_INVITATION = "DELETE FROM invitation WHERE person = $1";
    REMOVE_CONNECTIONS = "DELETE FROM connection WHERE person = $1";
    REMOVE_LINKS = "DELETE FROM account_link WHERE person = $1";
    REMOVE_FACTOR = "DELETE FROM second_factor WHERE person = $1";
    REMOVE_CODES = "DELETE FROM recovery_code WHERE person = $1";
    // Kind 2 is a person: see the first migration.
    REMOVED = "SELECT epoch FROM revocation WHERE kind = 2 AND key = $1 ORDER BY ticket DESC LIMIT 1";
    INVITE = "INSERT INTO invitation (person, digest, expires_at) SELECT p.id, $1, $2 FROM person p WHERE p.id = $3
        ON CONFLICT (person) DO UPDATE SET digest = excluded.digest, expires_at = excluded.expires_at
        RETURNING person";
    INVITED = "SELECT p.id, p.name, p.password, p.epoch, p.disabled_at, p.created_at
        FROM invitation i JOIN person p ON p.id = i.person AND p.disabled_at IS NULL
        WHERE i.digest = $1 AND i.expires_at > $2";
    INVITATION_USE = "UPDATE invitation SET expires_at = 0 WHERE digest = $1 AND expires_at > $2 RETURNING person";
    INVITATION_END = "DELETE FROM invitation WHERE person = $1 AND digest <> $2 AND expires_at > $3 RETURNING person";
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
}

operation! {
    Exists {} -> bool, Read, |on, _this| on.any(ANYBODY, args![]).await
}

operation! {
    SetupCodePut { digest: [u8; 32], expires_at: Timestamp } -> bool, Write,
    |on, this| on.any(SETUP_PUT, args![&this.digest, this.expires_at]).await
}

operation! {
    CreateFirst { code_digest: [u8; 32], person: Person, now: Timestamp } -> FirstPerson, Several, |on, this| {
        if on.any(SETUP_USE, args![&this.code_digest, this.now]).await? {
            insert(on, CREATE, &this.person).await?;
            return Ok(FirstPerson::Created);
        }
        match on.first(ANYBODY, args![], |row| row.person_id(0)).await? {
            None => Ok(FirstPerson::WrongCode),
            // The id was drawn for this attempt: this very write was run before.
            Some(id) if id == this.person.id => Ok(FirstPerson::Created),
            Some(_) => Ok(FirstPerson::Closed),
        }
    }
}

operation! {
    Create { person: Person } -> bool, Write, |on, this| {
        insert_free(on, &this.person).await
    }
}

operation! {
    List { after: [u8; 16], limit: u32 } -> Vec<Person>, List,
    |on, this| on.all(LIST, args![&this.after, this.limit], person).await
}

operation! {
    Disable { id: PersonId, until: Timestamp, now: Timestamp } -> bool, Ending, |on, this| {
        if on.any(DISABLE, args![this.now, &this.id]).await? {
            epoch_raise(on, this.id, this.until).await?;
            return Ok(true);
        }
        on.any(READ, args![&this.id]).await
    }
}

operation! {
    Enable { id: PersonId } -> bool, Write, |on, this| Ok(on.change(ENABLE, args![&this.id]).await? > 0)
}

operation! {
    Remove { id: PersonId, until: Timestamp } -> Option<u32>, Ending, |on, this| {
        let Some(epoch) = on.first(REMOVE, args![&this.id], |row| row.unsigned(0)).await? else {
            // Its own entry means that this very write was run before.
            return on.first(REMOVED, args![&this.id], |row| row.unsigned(0)).await;
        };
        on.change(REMOVE_SESSIONS, args![&this.id]).await?;
        on.change(REMOVE_INVITATION, args![&this.id]).await?;
        on.change(REMOVE_CONNECTIONS, args![&this.id]).await?;
        on.change(REMOVE_LINKS, args![&this.id]).await?;
        on.change(REMOVE_FACTOR, args![&this.id]).await?;
        on.change(REMOVE_CODES, args![&this.id]).await?;
        let epoch = epoch.saturating_add(1);
        feed::append(on, &Revoked::Person { person: this.id, epoch }, this.until).await?;
        Ok(Some(epoch))
    }
}

operation! {
    InvitationPut { person: PersonId, digest: [u8; 32], expires_at: Timestamp } -> bool, Write,
    |on, this| on.any(INVITE, args![&this.digest, this.expires_at, &this.person]).await
}

operation! {
    InvitationRead { digest: [u8; 32], now: Timestamp } -> Option<Person>, Read,
    |on, this| on.first(INVITED, args![&this.digest, this.now], person).await
}

operation! {
    InvitationRedeem { digest: [u8; 32], password: String, until: Timestamp, now: Timestamp } -> Option<Person>,
    Several, |on, this| {
        let used = on
            .first(INVITATION_USE, args![&this.digest, this.now], |row| row.person_id(0))
            .await?;
        let Some(id) = used else {
            return on.first(INVITATION_USED, args![&this.digest, &this.password], person).await;
        };
        if on.change(PASSWORD, args![&this.password, &id]).await? == 0 {
            return Ok(None);
        }
        epoch_raise(on, id, this.until).await?;
        on.first(READ, args![&id], person).await
    }
}

operation! {
    InvitationEnd { person: PersonId, keep: [u8; 32], now: Timestamp } -> bool, Ending,
    |on, this| on.any(INVITATION_END, args![&this.person, &this.keep, this.now]).await
}

operation! {
    SetupCodeEnd { used: Option<[u8; 32]>, now: Timestamp } -> bool, Ending, |on, this| {
        match &this.used {
            Some(digest) => on.any(SETUP_END, args![digest, this.now]).await,
            None => on.any(SETUP_END_ANY, args![this.now]).await,
        }
    }
}

operation! {
    ByName { name: String } -> Option<Person>, Read,
    |on, this| on.first(BY_NAME, args![&this.name], person).await
}

operation! {
    ById { id: PersonId } -> Option<Person>, Read, |on, this| on.first(READ, args![&this.id], person).await
}

operation! {
    TryPassword { id: PersonId, limit: u32, window: Duration, now: Timestamp } -> Attempt, Write, |on, this| {
        let (begin, end) = (this.now.minus(this.window), this.now.plus(this.window));
        if on.any(ATTEMPT, args![begin, end, this.now, &this.id, this.limit]).await? {
            return Ok(Attempt::Allowed);
        }
        let since = on.first(ATTEMPTS_SINCE, args![&this.id], |row| row.time(0)).await?;
        // An account that was removed meanwhile: nothing to count on, so nothing to try.
        Ok(Attempt::Refused { until: since.map_or(this.now, |since| since.plus(this.window)) })
    }
}

operation! {
    AttemptsClear { id: PersonId } -> (), Write,
    |on, this| on.change(ATTEMPTS_CLEAR, args![&this.id]).await.map(|_| ())
}

operation! {
    EpochRaise { id: PersonId, until: Timestamp } -> Option<u32>, Ending,
    |on, this| epoch_raise(on, this.id, this.until).await
}

impl<B: Backend> People for B {
    fn person_exists(&self) -> Answer<'_, bool> {
        self.run(Exists {})
    }

    fn setup_code_put(&self, digest: [u8; 32], expires_at: Timestamp) -> Answer<'_, bool> {
        self.run(SetupCodePut { digest, expires_at })
    }

    fn person_create_first(
        &self,
        code_digest: [u8; 32],
        person: Person,
        now: Timestamp,
    ) -> Answer<'_, FirstPerson> {
        self.run(CreateFirst { code_digest, person, now })
    }

    fn person_create(&self, person: Person) -> Answer<'_, bool> {
        self.run(Create { person })
    }

    fn people_list(&self, after: Option<PersonId>, limit: u32) -> Answer<'_, Vec<Person>> {
        self.run(List { after: after.map_or([0; 16], |id| *id.as_bytes()), limit })
    }

    fn person_disable(
        &self,
        id: PersonId,
        disabled: bool,
        until: Timestamp,
        now: Timestamp,
    ) -> Answer<'_, bool> {
        if disabled { self.run(Disable { id, until, now }) } else { self.run(Enable { id }) }
    }

    fn person_remove(&self, id: PersonId, until: Timestamp) -> Answer<'_, Option<u32>> {
        self.run(Remove { id, until })
    }

    fn invitation_put(&self, person: PersonId, digest: [u8; 32], expires_at: Timestamp) -> Answer<'_, bool> {
        self.run(InvitationPut { person, digest, expires_at })
    }

    fn invitation_read(&self, digest: [u8; 32], now: Timestamp) -> Answer<'_, Option<Person>> {
        self.run(InvitationRead { digest, now })
    }

    fn invitation_redeem(
        &self,
        digest: [u8; 32],
        password: String,
        until: Timestamp,
        now: Timestamp,
    ) -> Answer<'_, Option<Person>> {
        self.run(InvitationRedeem { digest, password, until, now })
    }

    fn invitation_end(&self, person: PersonId, keep: Option<[u8; 32]>, now: Timestamp) -> Answer<'_, bool> {
        // No code has this digest.
        self.run(InvitationEnd { person, keep: keep.unwrap_or_default(), now })
    }

    fn setup_code_end(&self, used: Option<[u8; 32]>, now: Timestamp) -> Answer<'_, bool> {
        self.run(SetupCodeEnd { used, now })
    }

    fn person_by_name(&self, name: String) -> Answer<'_, Option<Person>> {
        self.run(ByName { name })
    }

    fn person_read(&self, id: PersonId) -> Answer<'_, Option<Person>> {
        self.run(ById { id })
    }

    fn person_attempt(
        &self,
        id: PersonId,
        limit: u32,
        window: Duration,
        now: Timestamp,
    ) -> Answer<'_, Attempt> {
        self.run(TryPassword { id, limit, window, now })
    }

    fn person_attempts_clear(&self, id: PersonId) -> Answer<'_, ()> {
        self.run(AttemptsClear { id })
    }

    fn person_epoch_raise(&self, id: PersonId, until: Timestamp, _now: Timestamp) -> Answer<'_, Option<u32>> {
        self.run(EpochRaise { id, until })
    }
}

pub(super) async fn insert_free(on: &mut impl Statements, new: &Person) -> Result<bool, StoreError> {
    insert(on, CREATE_FREE, new).await?;
    on.any(CREATED, args![&new.id, &new.name]).await
}

async fn insert(on: &mut impl Statements, statement: &'static str, new: &Person) -> Result<(), StoreError> {
    let args = args![&new.id, &new.name, &new.password, new.epoch, new.disabled_at, new.created_at];
    on.change(statement, args).await.map(|_| ())
}

pub(super) async fn epoch_raise(
    on: &mut impl Statements,
    id: PersonId,
    until: Timestamp,
) -> Result<Option<u32>, StoreError> {
    let Some(epoch) = on.first(EPOCH_RAISE, args![&id], |row| row.unsigned(0)).await? else {
        if on.any(READ, args![&id]).await? {
            return Err(StoreError::caused_by(
                ErrorKind::Internal,
                "the last epoch of this person is used up",
            ));
        }
        return Ok(None);
    };
    feed::append(on, &Revoked::Person { person: id, epoch }, until).await?;
    Ok(Some(epoch))
}

pub(super) fn person(row: &Row<'_>) -> Result<Person, StoreError> {
    Ok(Person {
        id: row.person_id(0)?,
        name: row.text(1)?,
        password: row.text(2)?,
        epoch: row.unsigned(3)?,
        disabled_at: row.maybe_time(4)?,
        created_at: row.time(5)?,
    })
}
