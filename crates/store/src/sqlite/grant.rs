//! Grants: the statements that decide, and what their answers mean.

use super::{
    SqliteStore, feed,
    rows::{attempt_id, grant_id, maybe_time, person_id, time},
    sql::{all, any, first, statements},
};
use crate::{
    Answer, ErrorKind, Grant, GrantOpened, GrantRotated, Grants, NewGrant, RevocationReason, Revoked,
    RotationWindows, StoreError,
};
use hallpass_core::{
    id::{GrantId, PersonId},
    time::Timestamp,
};
use rusqlite::{Connection, Row, params};
use std::time::Duration;

statements! {
    OPEN = "INSERT INTO grants (id, attempt, epoch, client_id, client_name, redirect_host, resource, scope,
            consented_at, code_digest, person, generation, rotated_at, turn)
        SELECT $1, $2, p.epoch, $3, $4, $5, $6, $7, $8, $9, p.id, 0, $10, 0 FROM person p
        WHERE p.id = $11 AND p.epoch = $12 AND p.disabled_at IS NULL
        ON CONFLICT (id) DO NOTHING RETURNING id";
    OPENED_BEFORE = "SELECT attempt, person, client_id, code_digest FROM grants WHERE id = $1";
    // $1 presented, $2 begin of the first window, $3 now, $5 begin of the second window. 4294967295 is the last
    // generation there can be. `turn` tells the branches apart: the other values cannot, because a rotation and
    // its repetition in the same millisecond leave the same row.
    ROTATE = "UPDATE grants SET
            generation = CASE WHEN $1 >= generation THEN $1 + 1 WHEN rotated_at < $2 THEN generation + 1
                ELSE generation END,
            predecessor = CASE WHEN $1 >= generation THEN $1 ELSE predecessor END,
            rotated_at = CASE WHEN $1 >= generation OR rotated_at < $2 THEN $3 ELSE rotated_at END,
            turn = CASE WHEN $1 = generation THEN 0 WHEN $1 > generation THEN 3 WHEN rotated_at < $2 THEN 2
                ELSE 1 END
        WHERE id = $4 AND revoked_at IS NULL
            AND (($1 >= generation AND $1 < 4294967295)
                OR ($1 = predecessor
                    AND (rotated_at >= $2 OR (rotated_at >= $5 AND generation < 4294967295))))
            AND EXISTS (SELECT 1 FROM person p
                WHERE p.id = grants.person AND p.epoch = grants.epoch AND p.disabled_at IS NULL)
        RETURNING generation, turn";
    NOT_ROTATED = "SELECT g.generation, g.revoked_at IS NOT NULL, p.id IS NOT NULL FROM grants g
        LEFT JOIN person p ON p.id = g.person AND p.epoch = g.epoch AND p.disabled_at IS NULL
        WHERE g.id = $1";
    REVOKE = "UPDATE grants SET revoked_at = $1, reason = $2 WHERE id = $3 AND revoked_at IS NULL RETURNING id";
    READ = "SELECT id, person, epoch, client_id, client_name, redirect_host, resource, scope, consented_at,
            generation, predecessor, rotated_at, revoked_at
        FROM grants WHERE id = $1";
    OF_PERSON = "SELECT g.id, g.person, g.epoch, g.client_id, g.client_name, g.redirect_host, g.resource, g.scope,
            g.consented_at, g.generation, g.predecessor, g.rotated_at, g.revoked_at
        FROM grants g JOIN person p ON p.id = g.person AND p.epoch = g.epoch
        WHERE g.person = $1 AND g.id < $2 AND g.revoked_at IS NULL
        ORDER BY g.id DESC LIMIT $3";
    LIST = "SELECT g.id, g.person, g.epoch, g.client_id, g.client_name, g.redirect_host, g.resource, g.scope,
            g.consented_at, g.generation, g.predecessor, g.rotated_at, g.revoked_at
        FROM grants g JOIN person p ON p.id = g.person AND p.epoch = g.epoch
        WHERE g.id < $1 AND g.revoked_at IS NULL
        ORDER BY g.id DESC LIMIT $2";
}

/// Above every id: its milliseconds would be in the year 10889.
const ABOVE_ALL: [u8; 16] = [0xFF; 16];

impl Grants for SqliteStore {
    fn grant_open(&self, grant: NewGrant, now: Timestamp) -> Answer<'_, GrantOpened> {
        self.write(move |connection| open(connection, &grant, now))
    }

    fn grant_rotate(
        &self,
        id: GrantId,
        presented: u32,
        windows: RotationWindows,
        now: Timestamp,
    ) -> Answer<'_, GrantRotated> {
        self.write(move |connection| rotate(connection, id, presented, windows, now))
    }

    fn grant_revoke(
        &self,
        id: GrantId,
        reason: RevocationReason,
        until: Timestamp,
        now: Timestamp,
    ) -> Answer<'_, bool> {
        self.write_several(move |connection| {
            let marked = any(connection, REVOKE, params![now.millis(), reason.name(), id.as_bytes()])?;
            if marked {
                feed::append(connection, &Revoked::Grant(id), until)?;
            }
            Ok(marked)
        })
    }

    fn grant_read(&self, id: GrantId) -> Answer<'_, Option<Grant>> {
        self.read(move |connection| first(connection, READ, [id.as_bytes()], grant))
    }

    fn grants_list(&self, before: Option<GrantId>, limit: u32) -> Answer<'_, Vec<Grant>> {
        let before = before.map_or(ABOVE_ALL, |id| *id.as_bytes());
        self.list(move |connection| all(connection, LIST, params![before, limit], grant))
    }

    fn grants_of_person(
        &self,
        person: PersonId,
        before: Option<GrantId>,
        limit: u32,
    ) -> Answer<'_, Vec<Grant>> {
        let before = before.map_or(ABOVE_ALL, |id| *id.as_bytes());
        self.list(move |connection| {
            all(connection, OF_PERSON, params![person.as_bytes(), before, limit], grant)
        })
    }
}

fn open(connection: &Connection, new: &NewGrant, now: Timestamp) -> Result<GrantOpened, StoreError> {
    let inserted = any(
        connection,
        OPEN,
        params![
            new.id.as_bytes(),
            new.attempt.as_bytes(),
            new.client_id,
            new.client_name,
            new.redirect_host,
            new.resource,
            new.scope,
            new.consented_at.millis(),
            new.code_digest,
            now.millis(),
            new.person.as_bytes(),
            new.epoch,
        ],
    )?;
    if inserted {
        return Ok(GrantOpened::Opened);
    }
    let before = first(connection, OPENED_BEFORE, [new.id.as_bytes()], |row| {
        Ok((attempt_id(row, 0)?, person_id(row, 1)?, row.get::<_, String>(2)?, row.get::<_, [u8; 32]>(3)?))
    })?;
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

fn rotate(
    connection: &Connection,
    id: GrantId,
    presented: u32,
    windows: RotationWindows,
    now: Timestamp,
) -> Result<GrantRotated, StoreError> {
    let same_since = window_begin(windows.same_successor, now);
    let new_since = window_begin(windows.new_successor, now);
    let params = params![presented, same_since, now.millis(), id.as_bytes(), new_since];
    let rotated =
        first(connection, ROTATE, params, |row| Ok((row.get::<_, u32>(0)?, row.get::<_, i64>(1)?)))?;
    match rotated {
        Some((generation, 0)) => Ok(GrantRotated::Rotated { generation }),
        Some((generation, 1)) => Ok(GrantRotated::Repeated { generation }),
        Some((generation, 2)) => Ok(GrantRotated::Replaced { generation }),
        Some((generation, _)) => Ok(GrantRotated::StoreWentBack { generation }),
        None => why_not_rotated(connection, id, presented),
    }
}

fn why_not_rotated(connection: &Connection, id: GrantId, presented: u32) -> Result<GrantRotated, StoreError> {
    let row = first(connection, NOT_ROTATED, [id.as_bytes()], |row| {
        Ok((row.get::<_, u32>(0)?, row.get::<_, bool>(1)?, row.get::<_, bool>(2)?))
    })?;
    match row {
        None => Ok(GrantRotated::Missing),
        Some((_, true, _)) => Ok(GrantRotated::Revoked),
        Some((_, _, false)) => Ok(GrantRotated::Withdrawn),
        Some((generation, ..)) if presented < generation => Ok(GrantRotated::Reused),
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

fn grant(row: &Row<'_>) -> rusqlite::Result<Grant> {
    Ok(Grant {
        id: grant_id(row, 0)?,
        person: person_id(row, 1)?,
        epoch: row.get(2)?,
        client_id: row.get(3)?,
        client_name: row.get(4)?,
        redirect_host: row.get(5)?,
        resource: row.get(6)?,
        scope: row.get(7)?,
        consented_at: time(row, 8)?,
        generation: row.get(9)?,
        predecessor: row.get(10)?,
        rotated_at: time(row, 11)?,
        revoked_at: maybe_time(row, 12)?,
    })
}
