//! Whom identity providers mean here: one person for each issuer and subject.

use super::{
    Backend, Row, Statements, args, operation,
    person::{epoch_raise, insert_free, person},
    statements,
};
use crate::{
    Answer, CreatedLinked, DueLinks, Hold, Link, LinkUse, Linked, Links, NewLink, Person, StoreError,
};
use hallpass_core::{
    id::{AttemptId, LinkId, PersonId},
    time::Timestamp,
};

statements! {
    // A node of an older release removes a person and knows nothing of links: what it left is nobody's.
    FREE = "DELETE FROM account_link WHERE issuer = $1 AND subject = $2
        AND NOT EXISTS (SELECT 1 FROM person p WHERE p.id = account_link.person)";
    PUT = "INSERT INTO account_link (id, issuer, subject, person, linked_at)
        SELECT $1, $2, $3, p.id, $4 FROM person p WHERE p.id = $5 AND p.disabled_at IS NULL
        ON CONFLICT DO NOTHING RETURNING id";
    PUT_NEW = "INSERT INTO account_link (id, issuer, subject, person, linked_at) VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT DO NOTHING";
    OWNER = "SELECT id, person FROM account_link WHERE issuer = $1 AND subject = $2";
    TAKE_BACK = "DELETE FROM account_link WHERE id = $1";
    READ = "SELECT p.id, p.name, p.password, p.epoch, p.disabled_at, p.created_at,
            l.id, l.issuer, l.subject, l.person, l.linked_at, l.used_at, l.epoch, l.sealed, l.version, l.checked_at, l.held_until
        FROM account_link l JOIN person p ON p.id = l.person WHERE l.issuer = $1 AND l.subject = $2";
    OF_PERSON = "SELECT l.id, l.issuer, l.subject, l.person, l.linked_at, l.used_at, l.epoch, l.sealed, l.version,
            l.checked_at, l.held_until
        FROM account_link l WHERE l.person = $1 ORDER BY l.id";
    // Whoever asks about what was given before finds another version.
    USE = "UPDATE account_link SET used_at = $1, epoch = $2, sealed = COALESCE($3, sealed), version = version + 1,
            checked_at = $1, ended_at = NULL, holder = NULL, held_until = 0
        WHERE id = $4 AND version < 4294967295";
    REMOVE = "DELETE FROM account_link WHERE id = $1 AND person = $2";
    DUE = "SELECT l.id, l.issuer, l.subject, l.person, l.linked_at, l.used_at, l.epoch, l.sealed, l.version,
            l.checked_at, l.held_until
        FROM account_link l JOIN person p ON p.id = l.person AND p.epoch = l.epoch AND p.disabled_at IS NULL
        WHERE l.issuer = $1 AND l.sealed IS NOT NULL AND l.checked_at < $2 AND l.held_until <= $3
        ORDER BY l.checked_at, l.id LIMIT $4";
    // $2 is the end of the longest word that can be given now: one that ends later was stamped by a clock that was wrong.
    HOLD = "UPDATE account_link SET holder = $1, held_until = $2
        WHERE id = $3 AND version = $4 AND sealed IS NOT NULL
            AND (held_until <= $5 OR held_until > $2 OR holder = $1)";
    RELEASE = "UPDATE account_link SET holder = NULL, held_until = $1 WHERE id = $2 AND holder = $3";
    CHECKED = "UPDATE account_link SET sealed = $1, version = version + 1, checked_at = $2, holder = NULL, held_until = 0
        WHERE id = $3 AND version = $4 AND version < 4294967295";
    // Sealed twice, tokens never have the same bytes: they can only be ours, from a run before.
    CHECKED_BEFORE = "SELECT id FROM account_link WHERE id = $1 AND sealed = $2";
    END = "UPDATE account_link SET sealed = NULL, version = version + 1, ended_at = $1, holder = NULL, held_until = 0
        WHERE id = $2 AND version = $3 AND sealed IS NOT NULL AND version < 4294967295
            AND EXISTS (SELECT 1 FROM person p WHERE p.id = account_link.person AND p.epoch = account_link.epoch)
        RETURNING person";
    // This very write was run before: nothing else leaves the next version without anything to ask with.
    ENDED = "SELECT p.epoch FROM account_link l JOIN person p ON p.id = l.person
        WHERE l.id = $1 AND l.version = $2 AND l.ended_at IS NOT NULL";
}

operation! {
    Put { link: NewLink } -> Linked, Several, |on, this| {
        let NewLink { id, issuer, subject, person, linked_at } = &this.link;
        on.change(FREE, args![issuer, subject]).await?;
        if on.any(PUT, args![id, issuer, subject, *linked_at, person]).await? {
            return Ok(Linked::Yes);
        }
        Ok(match owner(on, &this.link).await? {
            Some((_, owner)) if owner == *person => Linked::Yes,
            Some((_, owner)) => Linked::Another(owner),
            None => Linked::Nobody,
        })
    }
}

operation! {
    Create { person: Person, link: NewLink } -> CreatedLinked, Several, |on, this| {
        let NewLink { id, issuer, subject, person, linked_at } = &this.link;
        on.change(FREE, args![issuer, subject]).await?;
        // The link first: of two who make an account for one subject at once, the second makes none.
        on.change(PUT_NEW, args![id, issuer, subject, person, *linked_at]).await?;
        if owner(on, &this.link).await?.is_none_or(|(found, _)| found != *id) {
            return Ok(CreatedLinked::LinkTaken);
        }
        if insert_free(on, &this.person).await? {
            return Ok(CreatedLinked::Yes);
        }
        on.change(TAKE_BACK, args![id]).await?;
        Ok(CreatedLinked::NameTaken)
    }
}

operation! {
    Read { issuer: String, subject: String } -> Option<(Link, Person)>, Read, |on, this| {
        on.first(READ, args![&this.issuer, &this.subject], |row| Ok((link(row, 6)?, person(row)?))).await
    }
}

operation! {
    OfPerson { person: PersonId } -> Vec<Link>, List,
    |on, this| on.all(OF_PERSON, args![&this.person], |row| link(row, 0)).await
}

operation! {
    Use { link: LinkUse } -> (), Write, |on, this| {
        let LinkUse { id, epoch, sealed, now } = &this.link;
        on.change(USE, args![*now, *epoch, sealed, id]).await.map(|_| ())
    }
}

operation! {
    Remove { id: LinkId, person: PersonId } -> bool, Ending,
    |on, this| Ok(on.change(REMOVE, args![&this.id, &this.person]).await? > 0)
}

operation! {
    Due { due: DueLinks } -> Vec<Link>, List, |on, this| {
        let DueLinks { issuer, checked_before, now, limit } = &this.due;
        on.all(DUE, args![issuer, *checked_before, *now, *limit], |row| link(row, 0)).await
    }
}

operation! {
    Take { hold: Hold<LinkId>, now: Timestamp } -> bool, Write, |on, this| {
        let Hold { id, version, holder, until } = &this.hold;
        Ok(on.change(HOLD, args![holder, *until, id, *version, this.now]).await? > 0)
    }
}

operation! {
    Release { id: LinkId, holder: AttemptId, until: Timestamp } -> (), Write,
    |on, this| on.change(RELEASE, args![this.until, &this.id, &this.holder]).await.map(|_| ())
}

operation! {
    Checked { id: LinkId, version: u32, sealed: Vec<u8>, now: Timestamp } -> bool, Write, |on, this| {
        let (id, sealed) = (&this.id, &this.sealed);
        let done = on.change(CHECKED, args![sealed, this.now, id, this.version]).await? > 0;
        Ok(done || on.any(CHECKED_BEFORE, args![id, sealed]).await?)
    }
}

operation! {
    End { id: LinkId, version: u32, until: Timestamp, now: Timestamp } -> Option<u32>, Ending, |on, this| {
        let ended = on.first(END, args![this.now, &this.id, this.version], |row| row.person_id(0)).await?;
        if let Some(person) = ended {
            return epoch_raise(on, person, this.until).await;
        }
        let next = this.version.saturating_add(1);
        on.first(ENDED, args![&this.id, next], |row| row.unsigned(0)).await
    }
}

async fn owner(on: &mut impl Statements, link: &NewLink) -> Result<Option<(LinkId, PersonId)>, StoreError> {
    let found = |row: &Row<'_>| Ok((row.link_id(0)?, row.person_id(1)?));
    on.first(OWNER, args![&link.issuer, &link.subject], found).await
}

fn link(row: &Row<'_>, first: usize) -> Result<Link, StoreError> {
    Ok(Link {
        id: row.link_id(first)?,
        issuer: row.text(first + 1)?,
        subject: row.text(first + 2)?,
        person: row.person_id(first + 3)?,
        linked_at: row.time(first + 4)?,
        used_at: row.maybe_time(first + 5)?,
        epoch: row.unsigned(first + 6)?,
        sealed: row.maybe_bytes(first + 7)?,
        version: row.unsigned(first + 8)?,
        checked_at: row.time(first + 9)?,
        held_until: row.time(first + 10)?,
    })
}

impl<B: Backend> Links for B {
    fn link_put(&self, link: NewLink) -> Answer<'_, Linked> {
        self.run(Put { link })
    }

    fn person_create_linked(&self, person: Person, link: NewLink) -> Answer<'_, CreatedLinked> {
        self.run(Create { person, link })
    }

    fn link_read(&self, issuer: String, subject: String) -> Answer<'_, Option<(Link, Person)>> {
        self.run(Read { issuer, subject })
    }

    fn links_of_person(&self, person: PersonId) -> Answer<'_, Vec<Link>> {
        self.run(OfPerson { person })
    }

    fn link_use(&self, link: LinkUse) -> Answer<'_, ()> {
        self.run(Use { link })
    }

    fn link_remove(&self, id: LinkId, person: PersonId) -> Answer<'_, bool> {
        self.run(Remove { id, person })
    }

    fn links_due(&self, due: DueLinks) -> Answer<'_, Vec<Link>> {
        self.run(Due { due })
    }

    fn link_hold(&self, hold: Hold<LinkId>, now: Timestamp) -> Answer<'_, bool> {
        self.run(Take { hold, now })
    }

    fn link_release(&self, id: LinkId, holder: AttemptId, until: Timestamp) -> Answer<'_, ()> {
        self.run(Release { id, holder, until })
    }

    fn link_checked(&self, id: LinkId, version: u32, sealed: Vec<u8>, now: Timestamp) -> Answer<'_, bool> {
        self.run(Checked { id, version, sealed, now })
    }

    fn link_end(
        &self,
        id: LinkId,
        version: u32,
        until: Timestamp,
        now: Timestamp,
    ) -> Answer<'_, Option<u32>> {
        self.run(End { id, version, until, now })
    }
}
