//! Grants: the statements that decide, and what their answers mean.

use super::{Arg, Backend, Change, Row, Statements, args, feed, operation, row::octets, statements};
use crate::{
    Answer, ErrorKind, Grant, GrantOpened, GrantRotated, Grants, GrantsHeld, Installation, LiveRotation,
    NewGrant, RevocationReason, Revoked, Rotation, SpentAssertion, StoreError,
};
use hallpass_core::{
    id::{GrantId, PersonId},
    time::Timestamp,
};
use std::time::Duration;

/// What a [`Grant`] is read from, in this order. With the table's own name, because SQLite knows no other in `RETURNING`.
macro_rules! columns {
    () => {
        "grants.id, grants.person, grants.epoch, grants.client_id, grants.client_name, grants.redirect_host,
            grants.resource, grants.scope, grants.consented_at, grants.generation, grants.predecessor, grants.rotated_at,
            grants.revoked_at, grants.key_proven, grants.used_from, grants.key_thumbprint, grants.details"
    };
}

/// The way of nearly every refresh: the live token, and every term that the caller would check is a condition. A row that
/// is not as expected stays as it is, and who reads it then finds out why.
macro_rules! rotate_live {
    () => {
        "UPDATE grants SET generation = $1 + 1, predecessor = $1, rotated_at = $2, turn = 0, used_from = $3
        WHERE id = $4 AND generation = $1 AND $1 < 4294967295 AND client_id = $5 AND revoked_at IS NULL
            AND key_proven = 0 AND rotated_at >= $6 AND consented_at >= $7 AND ($8 = '' OR resource = $8)
            AND (key_thumbprint IS NULL OR key_thumbprint = $9)
            AND EXISTS (SELECT 1 FROM person p
                WHERE p.id = grants.person AND p.epoch = grants.epoch AND p.disabled_at IS NULL)"
    };
}

statements! {
    OPEN = "INSERT INTO grants (id, attempt, epoch, client_id, client_name, redirect_host, resource, scope,
            consented_at, code_digest, person, generation, rotated_at, turn, used_from, key_thumbprint,
            details)
        SELECT $1, $2, p.epoch, $3, $4, $5, $6, $7, $8, $9, p.id, 0, $10, 0, $11, $12, $13 FROM person p
        WHERE p.id = $14 AND p.epoch = $15 AND p.disabled_at IS NULL
        ON CONFLICT (id) DO NOTHING";
    OPENED_BEFORE = "SELECT attempt, person, client_id, code_digest FROM grants WHERE id = $1";
    // $1 presented, $2 begin of the first window, $3 now, $4 from where, $6 begin of the second window. 4294967295 is the last
    // generation there can be. `turn` tells the branches apart: the other values cannot, because a rotation and
    // its repetition in the same millisecond leave the same row.
    ROTATE = "UPDATE grants SET
            generation = CASE WHEN $1 >= generation THEN $1 + 1 WHEN rotated_at < $2 THEN generation + 1
                ELSE generation END,
            predecessor = CASE WHEN $1 >= generation THEN $1 ELSE predecessor END,
            rotated_at = CASE WHEN $1 >= generation OR rotated_at < $2 THEN $3 ELSE rotated_at END,
            turn = CASE WHEN $1 = generation THEN 0 WHEN $1 > generation THEN 3 WHEN rotated_at < $2 THEN 2
                ELSE 1 END,
            used_from = $4
        WHERE id = $5 AND revoked_at IS NULL
            AND (($1 >= generation AND $1 < 4294967295)
                OR ($1 = predecessor
                    AND (rotated_at >= $2 OR (rotated_at >= $6 AND generation < 4294967295))))
            AND EXISTS (SELECT 1 FROM person p
                WHERE p.id = grants.person AND p.epoch = grants.epoch AND p.disabled_at IS NULL)
        RETURNING generation, turn";
    ROTATE_LIVE = rotate_live!();
    ROTATE_LIVE_RETURNING = concat!(rotate_live!(), " RETURNING ", columns!());
    NOT_ROTATED = "SELECT g.generation, CASE WHEN g.revoked_at IS NULL THEN 0 ELSE 1 END,
            CASE WHEN p.id IS NULL THEN 0 ELSE 1 END FROM grants g
        LEFT JOIN person p ON p.id = g.person AND p.epoch = g.epoch AND p.disabled_at IS NULL
        WHERE g.id = $1";
    KEY_PROVEN = "UPDATE grants SET key_proven = 1 WHERE id = $1";
    SPEND = "INSERT INTO assertion (digest, attempt, until) VALUES ($1, $2, $3)
        ON CONFLICT (digest) DO NOTHING";
    SPENT_BY = "SELECT attempt FROM assertion WHERE digest = $1";
    UNSPEND = "DELETE FROM assertion WHERE digest = $1 AND attempt = $2";
    REVOKE = "UPDATE grants SET revoked_at = $1, reason = $2 WHERE id = $3 AND revoked_at IS NULL RETURNING id";
    LIVE = "SELECT g.id FROM grants g JOIN person p ON p.id = g.person AND p.epoch = g.epoch AND p.disabled_at IS NULL
        WHERE g.id = $1 AND g.epoch = $2 AND g.revoked_at IS NULL";
    READ = concat!("SELECT ", columns!(), " FROM grants WHERE grants.id = $1");
    OF_PERSON = concat!("SELECT ", columns!(), "
        FROM grants JOIN person p ON p.id = grants.person AND p.epoch = grants.epoch
        WHERE grants.person = $1 AND grants.id < $2 AND grants.revoked_at IS NULL
        ORDER BY grants.id DESC LIMIT $3");
    LIST = concat!("SELECT ", columns!(), "
        FROM grants JOIN person p ON p.id = grants.person AND p.epoch = grants.epoch
        WHERE grants.id < $1 AND grants.revoked_at IS NULL
        ORDER BY grants.id DESC LIMIT $2");
    OF_INSTALLATION = concat!("SELECT ", columns!(), "
        FROM grants JOIN person p ON p.id = grants.person AND p.epoch = grants.epoch
        WHERE grants.person = $1 AND grants.client_id = $2 AND grants.redirect_host = $3 AND grants.resource = $4
            AND grants.revoked_at IS NULL
        ORDER BY grants.id DESC LIMIT $5");
    HELD = "SELECT COUNT(*) FROM grants g JOIN person p ON p.id = g.person AND p.epoch = g.epoch
        WHERE g.person = $1 AND g.revoked_at IS NULL AND g.rotated_at >= $2 AND g.consented_at >= $3";
    LONGEST_UNUSED = concat!("SELECT ", columns!(), "
        FROM grants JOIN person p ON p.id = grants.person AND p.epoch = grants.epoch
        WHERE grants.person = $1 AND grants.revoked_at IS NULL AND grants.rotated_at >= $2 AND grants.consented_at >= $3
        ORDER BY grants.rotated_at, grants.id LIMIT 1");
}

const LIVE_ROTATION: Change = Change { write: ROTATE_LIVE, returning: ROTATE_LIVE_RETURNING, read: READ };

/// Above every id: its milliseconds would be in the year 10889.
const ABOVE_ALL: [u8; 16] = [0xFF; 16];

operation! {
    Open { grant: NewGrant, now: Timestamp } -> GrantOpened, Write, |on, this| open(on, this).await
}

operation! {
    Rotate { rotation: Rotation, now: Timestamp } -> GrantRotated, Write, |on, this| rotate(on, this).await
}

operation! {
    RotateLive { rotation: LiveRotation, now: Timestamp } -> Option<Grant>, Write, |on, this| {
        let LiveRotation { id, presented, from, client_id, resource, key, used_since, given_since } = &this.rotation;
        let from = octets(*from);
        let resource = resource.as_deref().unwrap_or_default();
        let args = args![*presented, this.now, &from, id, client_id, *used_since, *given_since, resource, key];
        on.changed(&LIVE_ROTATION, args, Arg::from(id), grant).await
    }
}

operation! {
    OpenSpending { open: Open, spends: SpentAssertion } -> GrantOpened, Several, |on, this| {
        if !spend(on, &this.spends).await? {
            return Ok(GrantOpened::AssertionSpent);
        }
        let opened = open(on, &this.open).await?;
        if opened == GrantOpened::Opened {
            on.change(KEY_PROVEN, args![&this.open.grant.id]).await?;
        } else {
            unspend(on, &this.spends).await?;
        }
        Ok(opened)
    }
}

operation! {
    Spend { spends: SpentAssertion } -> bool, Write, |on, this| spend(on, &this.spends).await
}

operation! {
    RotateSpending { rotate: Rotate, spends: SpentAssertion } -> GrantRotated, Several, |on, this| {
        if !spend(on, &this.spends).await? {
            return Ok(GrantRotated::AssertionSpent);
        }
        let rotated = rotate(on, &this.rotate).await?;
        match rotated {
            GrantRotated::Rotated { .. }
            | GrantRotated::Repeated { .. }
            | GrantRotated::Replaced { .. }
            | GrantRotated::StoreWentBack { .. } => {}
            GrantRotated::Reused
            | GrantRotated::Revoked
            | GrantRotated::Withdrawn
            | GrantRotated::Missing
            | GrantRotated::AssertionSpent => unspend(on, &this.spends).await?,
        }
        Ok(rotated)
    }
}

operation! {
    Revoke { id: GrantId, reason: RevocationReason, until: Timestamp, now: Timestamp } -> bool, Ending,
    |on, this| {
        let marked = on.any(REVOKE, args![this.now, this.reason.name(), &this.id]).await?;
        if marked {
            feed::append(on, &Revoked::Grant(this.id), this.until).await?;
        }
        Ok(marked)
    }
}

operation! {
    Read { id: GrantId } -> Option<Grant>, Read, |on, this| on.first(READ, args![&this.id], grant).await
}

operation! {
    Live { id: GrantId, epoch: u32 } -> bool, Read, |on, this| on.any(LIVE, args![&this.id, this.epoch]).await
}

operation! {
    List { before: [u8; 16], limit: u32 } -> Vec<Grant>, List,
    |on, this| on.all(LIST, args![&this.before, this.limit], grant).await
}

operation! {
    OfPerson { person: PersonId, before: [u8; 16], limit: u32 } -> Vec<Grant>, List,
    |on, this| on.all(OF_PERSON, args![&this.person, &this.before, this.limit], grant).await
}

operation! {
    OfInstallation { installation: Installation, limit: u32 } -> Vec<Grant>, Read, |on, this| {
        let Installation { person, client_id, redirect_host, resource } = &this.installation;
        on.all(OF_INSTALLATION, args![person, client_id, redirect_host, resource, this.limit], grant).await
    }
}

operation! {
    Held { person: PersonId, used: Timestamp, given: Timestamp } -> GrantsHeld, List, |on, this| {
        let live = on.first(HELD, args![&this.person, this.used, this.given], |row| row.unsigned(0)).await?;
        let longest_unused =
            on.first(LONGEST_UNUSED, args![&this.person, this.used, this.given], grant).await?;
        Ok(GrantsHeld { live: live.unwrap_or_default(), longest_unused })
    }
}

impl<B: Backend> Grants for B {
    fn grant_open(&self, grant: NewGrant, now: Timestamp) -> Answer<'_, GrantOpened> {
        self.run(Open { grant, now })
    }

    fn grant_open_spending(
        &self,
        grant: NewGrant,
        spends: SpentAssertion,
        now: Timestamp,
    ) -> Answer<'_, GrantOpened> {
        self.run(OpenSpending { open: Open { grant, now }, spends })
    }

    fn assertion_spend(&self, spends: SpentAssertion) -> Answer<'_, bool> {
        self.run(Spend { spends })
    }

    fn grant_rotate_spending(
        &self,
        rotation: Rotation,
        spends: SpentAssertion,
        now: Timestamp,
    ) -> Answer<'_, GrantRotated> {
        self.run(RotateSpending { rotate: Rotate { rotation, now }, spends })
    }

    fn grant_rotate(&self, rotation: Rotation, now: Timestamp) -> Answer<'_, GrantRotated> {
        self.run(Rotate { rotation, now })
    }

    fn grant_rotate_live(&self, rotation: LiveRotation, now: Timestamp) -> Answer<'_, Option<Grant>> {
        self.run(RotateLive { rotation, now })
    }

    fn grant_revoke(
        &self,
        id: GrantId,
        reason: RevocationReason,
        until: Timestamp,
        now: Timestamp,
    ) -> Answer<'_, bool> {
        self.run(Revoke { id, reason, until, now })
    }

    fn grant_read(&self, id: GrantId) -> Answer<'_, Option<Grant>> {
        self.run(Read { id })
    }

    fn grant_live(&self, id: GrantId, epoch: u32) -> Answer<'_, bool> {
        self.run(Live { id, epoch })
    }

    fn grants_list(&self, before: Option<GrantId>, limit: u32) -> Answer<'_, Vec<Grant>> {
        self.run(List { before: before.map_or(ABOVE_ALL, |id| *id.as_bytes()), limit })
    }

    fn grants_of_person(
        &self,
        person: PersonId,
        before: Option<GrantId>,
        limit: u32,
    ) -> Answer<'_, Vec<Grant>> {
        self.run(OfPerson { person, before: before.map_or(ABOVE_ALL, |id| *id.as_bytes()), limit })
    }

    fn grants_of_installation(&self, installation: Installation, limit: u32) -> Answer<'_, Vec<Grant>> {
        self.run(OfInstallation { installation, limit })
    }

    fn grants_held(&self, person: PersonId, used: Timestamp, given: Timestamp) -> Answer<'_, GrantsHeld> {
        self.run(Held { person, used, given })
    }
}

/// Spends an assertion first, so that a second one waits here; what is not done in the end takes it back in the same
/// transaction, and a refusal has burnt nothing. `false` when another attempt spent it.
async fn spend(on: &mut impl Statements, spends: &SpentAssertion) -> Result<bool, StoreError> {
    let SpentAssertion { digest, attempt, until } = spends;
    if on.change(SPEND, args![digest, attempt, *until]).await? > 0 {
        return Ok(true);
    }
    let by = on.first(SPENT_BY, args![digest], |row| row.attempt_id(0)).await?;
    Ok(by == Some(*attempt))
}

async fn unspend(on: &mut impl Statements, spends: &SpentAssertion) -> Result<(), StoreError> {
    on.change(UNSPEND, args![&spends.digest, &spends.attempt]).await.map(|_| ())
}

async fn open(on: &mut impl Statements, this: &Open) -> Result<GrantOpened, StoreError> {
    let new = &this.grant;
    let inserted = on
        .change(
            OPEN,
            args![
                &new.id,
                &new.attempt,
                &new.client_id,
                &new.client_name,
                &new.redirect_host,
                &new.resource,
                &new.scope,
                new.consented_at,
                &new.code_digest,
                this.now,
                &octets(new.from),
                &new.key_thumbprint,
                new.details.as_deref(),
                &new.person,
                new.epoch,
            ],
        )
        .await?
        > 0;
    if inserted {
        return Ok(GrantOpened::Opened);
    }
    let before = on
        .first(OPENED_BEFORE, args![&new.id], |row| {
            Ok((row.attempt_id(0)?, row.person_id(1)?, row.text(2)?, row.array::<32>(3)?))
        })
        .await?;
    match before {
        None => Ok(GrantOpened::Withdrawn),
        // Cloned machines draw the same ids: they must not revoke each other's grants.
        Some((_, person, client, _)) if person != new.person || client != new.client_id => {
            Err(StoreError::caused_by(
                ErrorKind::Internal,
                "the id of this grant belongs to another person or client",
            ))
        }
        Some((attempt, ..)) if attempt == new.attempt => Ok(GrantOpened::Opened),
        Some((.., digest)) if digest == new.code_digest => Ok(GrantOpened::Replayed),
        Some(_) => Ok(GrantOpened::SecondCode),
    }
}

async fn rotate(on: &mut impl Statements, this: &Rotate) -> Result<GrantRotated, StoreError> {
    let Rotation { id, presented, windows, from } = &this.rotation;
    let same_since = window_begin(windows.same_successor, this.now);
    let new_since = window_begin(windows.new_successor, this.now);
    let from = octets(*from);
    let args = args![*presented, same_since, this.now, &from, id, new_since];
    let rotated = on.first(ROTATE, args, |row| Ok((row.unsigned(0)?, row.int(1)?))).await?;
    match rotated {
        Some((generation, 0)) => Ok(GrantRotated::Rotated { generation }),
        Some((generation, 1)) => Ok(GrantRotated::Repeated { generation }),
        Some((generation, 2)) => Ok(GrantRotated::Replaced { generation }),
        Some((generation, _)) => Ok(GrantRotated::StoreWentBack { generation }),
        None => why_not_rotated(on, &this.rotation).await,
    }
}

async fn why_not_rotated(on: &mut impl Statements, this: &Rotation) -> Result<GrantRotated, StoreError> {
    let row = on
        .first(NOT_ROTATED, args![&this.id], |row| Ok((row.unsigned(0)?, row.yes(1)?, row.yes(2)?)))
        .await?;
    match row {
        None => Ok(GrantRotated::Missing),
        Some((_, true, _)) => Ok(GrantRotated::Revoked),
        Some((_, _, false)) => Ok(GrantRotated::Withdrawn),
        Some((generation, ..)) if this.presented < generation => Ok(GrantRotated::Reused),
        // One rotation a second for 136 years. A new sign-in starts anew.
        Some(_) => {
            Err(StoreError::caused_by(ErrorKind::Internal, "the last generation of this grant is used up"))
        }
    }
}

/// A rotation before this is outside the window. Nothing is inside a window of no length, not even a rotation of
/// the same millisecond or one stamped by a clock that is ahead of ours.
fn window_begin(window: Duration, now: Timestamp) -> i64 {
    if window.is_zero() { i64::MAX } else { now.minus(window).millis() }
}

fn grant(row: &Row<'_>) -> Result<Grant, StoreError> {
    Ok(Grant {
        id: row.grant_id(0)?,
        person: row.person_id(1)?,
        epoch: row.unsigned(2)?,
        client_id: row.text(3)?,
        client_name: row.text(4)?,
        redirect_host: row.text(5)?,
        resource: row.text(6)?,
        scope: row.text(7)?,
        consented_at: row.time(8)?,
        generation: row.unsigned(9)?,
        predecessor: row.maybe_unsigned(10)?,
        rotated_at: row.time(11)?,
        revoked_at: row.maybe_time(12)?,
        key_proven: row.yes(13)?,
        used_from: row.maybe_address(14)?,
        key_thumbprint: row.maybe_array(15)?,
        details: row.maybe_text(16)?,
    })
}
