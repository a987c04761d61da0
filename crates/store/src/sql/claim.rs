//! User codes that people typed: each step is one conditional statement.

use super::{
    Backend, Row, Statements, args, operation,
    row::{damaged, octets},
    statements,
};
use crate::{
    Answer, Claim, ClaimDecision, ClaimDevice, ClaimLimits, ClaimOpened, ClaimState, Claims, NewClaim,
    StoreError,
};
use hallpass_core::{grant::UserCode, id::GrantId, time::Timestamp};

statements! {
    // $1 begin of the window that ends now, $2 end of the window that begins now, $3 now, $5 most: as tries at a password.
    COUNT_ONE = "UPDATE person SET
            claims = CASE WHEN claims_since <= $1 OR claims_since > $2 THEN 1 ELSE claims + 1 END,
            claims_since = CASE WHEN claims_since <= $1 OR claims_since > $2 THEN $3 ELSE claims_since END
        WHERE id = $4 AND disabled_at IS NULL AND (claims < $5 OR claims_since <= $1 OR claims_since > $2)
        RETURNING id";
    COUNTED_SINCE = "SELECT claims_since FROM person WHERE id = $1";
    // One that is over makes room: no device code is as old.
    OPEN = "INSERT INTO device_claim (user_code, session, person, claimed_at, state) VALUES ($1, $2, $3, $4, 0)
        ON CONFLICT (user_code) DO UPDATE SET session = excluded.session, person = excluded.person,
            claimed_at = excluded.claimed_at, state = 0, decided_at = NULL, epoch = 0, stays = 0, device = NULL,
            device_from = NULL, client_id = NULL, resource = NULL, scope = NULL
        WHERE device_claim.claimed_at <= $5 RETURNING user_code";
    OWN = "SELECT user_code FROM device_claim WHERE user_code = $1 AND session = $2 AND claimed_at > $3";
    SPOIL_OF_OTHERS = "UPDATE device_claim SET state = 3 WHERE user_code = $1 AND session <> $2 AND state = 0";
    CLOSE_OTHERS = "UPDATE device_claim SET state = 3 WHERE session = $1 AND user_code <> $2 AND state = 0";
    READ = "SELECT user_code, session, person, claimed_at, state, decided_at, epoch, stays, device, client_id, resource,
            scope, device_from
        FROM device_claim WHERE user_code = $1";
    ATTACH = "UPDATE device_claim SET device = $1, client_id = $2, resource = $3, scope = $4, device_from = $5
        WHERE user_code = $6 AND device IS NULL AND state = 0 AND claimed_at >= $7";
    SPOIL_BY_ANOTHER = "UPDATE device_claim SET state = 3
        WHERE user_code = $1 AND state = 0 AND device <> $2 AND claimed_at >= $3";
    DECIDE = "UPDATE device_claim SET state = $1, decided_at = $2, epoch = $3, stays = $4
        WHERE user_code = $5 AND session = $6 AND device = $7 AND state = 0 AND claimed_at <= $8";
    DECIDED = "SELECT user_code FROM device_claim WHERE user_code = $1 AND session = $2 AND device = $3 AND state = $4";
}

operation! {
    Open { claim: NewClaim, limits: ClaimLimits, now: Timestamp } -> ClaimOpened, Several,
    |on, this| open(on, this).await
}

operation! {
    Read { user_code: UserCode } -> Option<Claim>, Read,
    |on, this| on.first(READ, args![this.user_code.number()], claim).await
}

operation! {
    Attach { user_code: UserCode, device: ClaimDevice, since: Timestamp } -> Option<Claim>, Several, |on, this| {
        let ClaimDevice { id, client_id, resource, scope, from } = &this.device;
        let (from, code) = (octets(*from), this.user_code.number());
        on.change(ATTACH, args![id, client_id, resource, scope, &from, code, this.since]).await?;
        on.change(SPOIL_BY_ANOTHER, args![code, id, this.since]).await?;
        on.first(READ, args![code], claim).await
    }
}

operation! {
    Decide { decision: ClaimDecision, now: Timestamp } -> bool, Write, |on, this| {
        let ClaimDecision { user_code, session, device, allow, epoch, stays, claimed_by } = &this.decision;
        let (state, stays) = (if *allow { ALLOWED } else { DECLINED }, i64::from(*stays));
        let args = args![state, this.now, *epoch, stays, user_code.number(), session, device, *claimed_by];
        if on.change(DECIDE, args).await? > 0 {
            return Ok(true);
        }
        on.any(DECIDED, args![user_code.number(), session, device, state]).await
    }
}

impl<B: Backend> Claims for B {
    fn claim_open(&self, claim: NewClaim, limits: ClaimLimits, now: Timestamp) -> Answer<'_, ClaimOpened> {
        self.run(Open { claim, limits, now })
    }

    fn claim_read(&self, user_code: UserCode) -> Answer<'_, Option<Claim>> {
        self.run(Read { user_code })
    }

    fn claim_attach(
        &self,
        user_code: UserCode,
        device: ClaimDevice,
        since: Timestamp,
    ) -> Answer<'_, Option<Claim>> {
        self.run(Attach { user_code, device, since })
    }

    fn claim_decide(&self, decision: ClaimDecision, now: Timestamp) -> Answer<'_, bool> {
        self.run(Decide { decision, now })
    }
}

async fn open(on: &mut impl Statements, this: &Open) -> Result<ClaimOpened, StoreError> {
    let (NewClaim { user_code, session, person }, limits, now) = (&this.claim, this.limits, this.now);
    let (code, over) = (user_code.number(), now.minus(limits.lifetime));
    // Typed before in this browser: by a person who reloads, or by this very write, run before.
    if on.any(OWN, args![code, session, over]).await? {
        return Ok(ClaimOpened::Opened);
    }
    let (begin, end) = (now.minus(limits.window), now.plus(limits.window));
    if !on.any(COUNT_ONE, args![begin, end, now, person, limits.most]).await? {
        let since = on.first(COUNTED_SINCE, args![person], |row| row.time(0)).await?;
        return Ok(ClaimOpened::TooMany { until: since.map_or(now, |since| since.plus(limits.window)) });
    }
    on.change(CLOSE_OTHERS, args![session, code]).await?;
    if on.any(OPEN, args![code, session, person, now, over]).await? {
        return Ok(ClaimOpened::Opened);
    }
    on.change(SPOIL_OF_OTHERS, args![code, session]).await?;
    Ok(ClaimOpened::Taken)
}

const ALLOWED: i64 = 1;
const DECLINED: i64 = 2;

fn claim(row: &Row<'_>) -> Result<Claim, StoreError> {
    let state = match row.int(4)? {
        0 => ClaimState::Open,
        ALLOWED => ClaimState::Allowed,
        DECLINED => ClaimState::Declined,
        3 => ClaimState::Spoiled,
        _ => return Err(damaged(4)),
    };
    let device = match row.maybe_array(8)?.map(GrantId::from_bytes) {
        None => None,
        Some(id) => Some(ClaimDevice {
            id,
            client_id: row.text(9)?,
            resource: row.text(10)?,
            scope: row.text(11)?,
            from: row.maybe_address(12)?,
        }),
    };
    Ok(Claim {
        user_code: UserCode::from_number(row.int(0)?).ok_or_else(|| damaged(0))?,
        session: row.session_id(1)?,
        person: row.person_id(2)?,
        claimed_at: row.time(3)?,
        state,
        decided_at: row.maybe_time(5)?,
        epoch: row.unsigned(6)?,
        stays: row.yes(7)?,
        device,
    })
}
