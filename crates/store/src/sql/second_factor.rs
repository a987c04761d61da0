//! Second factors at sign-in: a code counts once, and so does a recovery code.

use super::{Backend, Row, Statements, args, operation, statements};
use crate::{
    Answer, Attempt, FactorTry, FactorUse, NewSecondFactor, SecondFactor, SecondFactors, StoreError,
};
use hallpass_core::{
    id::{AttemptId, FactorId, PersonId},
    time::Timestamp,
};

statements! {
    READ = "SELECT f.person, f.id, f.sealed, f.turned_on_at,
            (SELECT count(*) FROM recovery_code c WHERE c.person = f.person AND c.used_at IS NULL)
        FROM second_factor f WHERE f.person = $1";
    PUT = "INSERT INTO second_factor (person, id, sealed, turned_on_at, last_step, last_use)
        SELECT p.id, $1, $2, $3, $4, $1 FROM person p WHERE p.id = $5 AND p.epoch = $6 AND p.disabled_at IS NULL
        ON CONFLICT (person) DO UPDATE SET id = excluded.id, sealed = excluded.sealed,
            turned_on_at = excluded.turned_on_at, last_step = excluded.last_step, last_use = excluded.last_use
        WHERE second_factor.id = $7 RETURNING id";
    // The id was drawn for this attempt: this very write was run before.
    IS = "SELECT id FROM second_factor WHERE person = $1 AND id = $2";
    PASSED = "UPDATE session SET second_factor_at = $1 WHERE id = $2 AND person = $3";
    // Whoever has the password alone, and was faster, is signed out with them.
    END_SESSIONS = "DELETE FROM session WHERE person = $1 AND second_factor_at IS NULL";
    CODES_FORGET = "DELETE FROM recovery_code WHERE person = $1";
    CODE_PUT = "INSERT INTO recovery_code (person, digest) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    // As for passwords (person): $1 begin of the window that ends now, $2 end of the one that begins now, $3 now, $5 limit.
    TRY = "UPDATE second_factor SET
            tries = CASE WHEN tries_since <= $1 OR tries_since > $2 THEN 1 ELSE tries + 1 END,
            tries_since = CASE WHEN tries_since <= $1 OR tries_since > $2 THEN $3 ELSE tries_since END
        WHERE person = $4 AND (tries < $5 OR tries_since <= $1 OR tries_since > $2) RETURNING person";
    TRY_KNOWN = "UPDATE second_factor SET
            known_tries = CASE WHEN known_tries_since <= $1 OR known_tries_since > $2 THEN 1 ELSE known_tries + 1 END,
            known_tries_since =
                CASE WHEN known_tries_since <= $1 OR known_tries_since > $2 THEN $3 ELSE known_tries_since END
        WHERE person = $4 AND (known_tries < $5 OR known_tries_since <= $1 OR known_tries_since > $2) RETURNING person";
    TRIES_SINCE = "SELECT tries_since, known_tries_since FROM second_factor WHERE person = $1";
    // A step after $6 was used by a clock that was wrong: without that, its person would be locked out until then.
    USE = "UPDATE second_factor SET last_step = $1, last_use = $2,
            tries = CASE WHEN $3 = 0 AND tries > 0 THEN tries - 1 ELSE tries END,
            known_tries = CASE WHEN $3 = 1 AND known_tries > 0 THEN known_tries - 1 ELSE known_tries END
        WHERE person = $4 AND id = $5 AND (last_step < $1 OR last_step > $6) RETURNING person";
    // The try was drawn for this write: it was run before.
    USED = "SELECT person FROM second_factor WHERE person = $1 AND id = $2 AND last_step = $3 AND last_use = $4";
    CODE_USE = "UPDATE recovery_code SET used_at = $1, used_by = $2
        WHERE person = $3 AND digest = $4 AND used_at IS NULL RETURNING person";
    CODE_USED = "SELECT person FROM recovery_code WHERE person = $1 AND digest = $2 AND used_by = $3";
    REMOVE = "DELETE FROM second_factor WHERE person = $1 AND id = $2";
    // The second byte of what is sealed is the number of its key (core, seal).
    UNDER = "SELECT f.person, f.id, f.sealed, f.turned_on_at,
            (SELECT count(*) FROM recovery_code c WHERE c.person = f.person AND c.used_at IS NULL)
        FROM second_factor f WHERE substr(f.sealed, 2, 1) = $1 AND f.person > $2 ORDER BY f.person LIMIT $3";
    RESEAL = "UPDATE second_factor SET sealed = $1 WHERE person = $2 AND sealed = $3";
    // Sealed twice, a secret never has the same bytes: these can only be ours, from a run before.
    RESEALED = "SELECT person FROM second_factor WHERE person = $1 AND sealed = $2";
}

operation! {
    Read { person: PersonId } -> Option<SecondFactor>, Read,
    |on, this| on.first(READ, args![&this.person], factor).await
}

operation! {
    Put { factor: NewSecondFactor } -> bool, Several, |on, this| {
        let NewSecondFactor { person, epoch, id, sealed, turned_on_at, step, replaces, codes, session } = &this.factor;
        let replaced = replaces.unwrap_or(*id);
        let put = args![id, sealed, *turned_on_at, *step, person, *epoch, &replaced];
        if !on.any(PUT, put).await? && !on.any(IS, args![person, id]).await? {
            return Ok(false);
        }
        codes_put(on, *person, codes).await?;
        if let Some(session) = session {
            on.change(PASSED, args![*turned_on_at, session, person]).await?;
        }
        on.change(END_SESSIONS, args![person]).await?;
        Ok(true)
    }
}

operation! {
    Try { of: FactorTry, now: Timestamp } -> Attempt, Write, |on, this| {
        let FactorTry { person, known, limit, window } = &this.of;
        let (begin, end) = (this.now.minus(*window), this.now.plus(*window));
        let statement = if *known { TRY_KNOWN } else { TRY };
        if on.any(statement, args![begin, end, this.now, person, *limit]).await? {
            return Ok(Attempt::Allowed);
        }
        let column = usize::from(*known);
        let since = on.first(TRIES_SINCE, args![person], |row| row.time(column)).await?;
        // Turned off meanwhile: nothing to try.
        Ok(Attempt::Refused { until: since.map_or(this.now, |since| since.plus(*window)) })
    }
}

operation! {
    Use { of: FactorUse } -> bool, Write, |on, this| {
        let FactorUse { person, id, step, latest, attempt, known } = &this.of;
        let used = on.any(USE, args![*step, attempt, i64::from(*known), person, id, *latest]).await?;
        Ok(used || on.any(USED, args![person, id, *step, attempt]).await?)
    }
}

operation! {
    UseCode { person: PersonId, digest: [u8; 32], attempt: AttemptId, now: Timestamp } -> bool, Write, |on, this| {
        let (person, digest, attempt) = (&this.person, &this.digest, &this.attempt);
        let used = on.any(CODE_USE, args![this.now, attempt, person, digest]).await?;
        Ok(used || on.any(CODE_USED, args![person, digest, attempt]).await?)
    }
}

operation! {
    PutCodes { person: PersonId, factor: FactorId, codes: Vec<[u8; 32]> } -> bool, Several, |on, this| {
        let there = on.any(IS, args![&this.person, &this.factor]).await?;
        if there {
            codes_put(on, this.person, &this.codes).await?;
        }
        Ok(there)
    }
}

operation! {
    Remove { person: PersonId, factor: FactorId } -> bool, Several, |on, this| {
        let removed = on.change(REMOVE, args![&this.person, &this.factor]).await? > 0;
        if removed {
            on.change(CODES_FORGET, args![&this.person]).await?;
        }
        Ok(removed)
    }
}

operation! {
    Under { number: u8, after: Option<PersonId>, most: u32 } -> Vec<SecondFactor>, List, |on, this| {
        let (number, after) = ([this.number], this.after.map_or([0; 16], |after| *after.as_bytes()));
        on.all(UNDER, args![&number[..], &after[..], this.most], factor).await
    }
}

operation! {
    Reseal { person: PersonId, before: Vec<u8>, after: Vec<u8> } -> bool, Write, |on, this| {
        let (person, after) = (&this.person, &this.after);
        let resealed = on.change(RESEAL, args![after, person, &this.before]).await? > 0;
        Ok(resealed || on.any(RESEALED, args![person, after]).await?)
    }
}

async fn codes_put(on: &mut impl Statements, person: PersonId, codes: &[[u8; 32]]) -> Result<(), StoreError> {
    on.change(CODES_FORGET, args![&person]).await?;
    for digest in codes {
        on.change(CODE_PUT, args![&person, digest]).await?;
    }
    Ok(())
}

fn factor(row: &Row<'_>) -> Result<SecondFactor, StoreError> {
    Ok(SecondFactor {
        person: row.person_id(0)?,
        id: row.factor_id(1)?,
        sealed: row.bytes(2)?,
        turned_on_at: row.time(3)?,
        codes_left: row.unsigned(4)?,
    })
}

impl<B: Backend> SecondFactors for B {
    fn second_factor_read(&self, person: PersonId) -> Answer<'_, Option<SecondFactor>> {
        self.run(Read { person })
    }

    fn second_factor_put(&self, factor: NewSecondFactor) -> Answer<'_, bool> {
        self.run(Put { factor })
    }

    fn second_factor_try(&self, of: FactorTry, now: Timestamp) -> Answer<'_, Attempt> {
        self.run(Try { of, now })
    }

    fn second_factor_use(&self, of: FactorUse) -> Answer<'_, bool> {
        self.run(Use { of })
    }

    fn recovery_code_use(
        &self,
        person: PersonId,
        digest: [u8; 32],
        attempt: AttemptId,
        now: Timestamp,
    ) -> Answer<'_, bool> {
        self.run(UseCode { person, digest, attempt, now })
    }

    fn recovery_codes_put(
        &self,
        person: PersonId,
        factor: FactorId,
        codes: Vec<[u8; 32]>,
    ) -> Answer<'_, bool> {
        self.run(PutCodes { person, factor, codes })
    }

    fn second_factor_remove(&self, person: PersonId, factor: FactorId) -> Answer<'_, bool> {
        self.run(Remove { person, factor })
    }

    fn second_factors_under(
        &self,
        number: u8,
        after: Option<PersonId>,
        most: u32,
    ) -> Answer<'_, Vec<SecondFactor>> {
        self.run(Under { number, after, most })
    }

    fn second_factor_reseal(&self, person: PersonId, before: Vec<u8>, after: Vec<u8>) -> Answer<'_, bool> {
        self.run(Reseal { person, before, after })
    }
}
