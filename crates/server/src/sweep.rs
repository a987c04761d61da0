//! Removing what can never matter again, in small slices behind everything else.

use crate::app::{App, Live};
use hallpass_store::{EndedBefore, StoreError};
use std::time::Duration;

const EVERY: Duration = Duration::from_mins(10);
const SLICE: u32 = 200;
/// Between two slices.
const BETWEEN: Duration = Duration::from_millis(50);
/// Ended grants stay this long: a replayed code or token must still be recognised.
const KEEP_ENDED: Duration = Duration::from_hours(48);

/// The sweep looks at the time of so long ago: a clock that has jumped ahead by an hour finds sessions over, and proofs,
/// that are good again when it is set right. A row removed does not come back, and a proof could be used twice.
const BEHIND: Duration = Duration::from_hours(2);

/// Sweeps for ever.
pub async fn sweep_forever(live: Live) {
    loop {
        tokio::time::sleep(EVERY).await;
        if let Err(error) = sweep(&live.app()).await {
            tracing::warn!(?error, "sweep failed");
        }
    }
}

/// Sweeps once through everything.
pub async fn sweep(app: &App) -> Result<(), StoreError> {
    sweep_once(app, BETWEEN).await.map(|_| ())
}

/// The same with another pause between two slices. Answers how many rows it removed.
pub async fn sweep_once(app: &App, pause: Duration) -> Result<u64, StoreError> {
    let now = app.clock.now().minus(BEHIND);
    let idle = now.minus(KEEP_ENDED).minus(app.settings.refresh_idle_lifetime);
    let given = now.minus(KEEP_ENDED).minus(app.settings.grant_lifetime);
    let before = EndedBefore { revoked: idle, used: idle, given };
    let mut rows = 0;
    loop {
        let swept = app.store.sweep(before, now, SLICE).await?;
        rows += swept.rows;
        if !swept.more {
            return Ok(rows);
        }
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
    }
}
