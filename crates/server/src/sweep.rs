//! Removing what can never matter again, in small slices behind everything else.

use crate::app::Live;
use hallpass_store::EndedBefore;
use std::time::Duration;

const EVERY: Duration = Duration::from_mins(10);
const SLICE: u32 = 200;
/// Ended grants stay this long: a replayed code or token must still be recognised.
const KEEP_ENDED: Duration = Duration::from_hours(48);

/// Sweeps for ever.
pub async fn sweep_forever(live: Live) {
    loop {
        tokio::time::sleep(EVERY).await;
        let app = live.app();
        let now = app.clock.now();
        let idle = now.minus(KEEP_ENDED).minus(app.settings.refresh_idle_lifetime);
        let given = now.minus(KEEP_ENDED).minus(app.settings.grant_lifetime);
        let before = EndedBefore { revoked: idle, used: idle, given };
        loop {
            match app.store.sweep(before, now, SLICE).await {
                Ok(swept) if swept.more => tokio::time::sleep(Duration::from_millis(50)).await,
                Ok(_) => break,
                Err(error) => {
                    tracing::warn!(?error, "sweep failed");
                    break;
                }
            }
        }
    }
}
