//! Removing what can never matter again, in small slices behind everything else.

use crate::app::Live;
use std::time::Duration;

const EVERY: Duration = Duration::from_mins(10);
const SLICE: u32 = 200;
/// Revoked grants stay this long: a replayed code or token must still be recognised.
const KEEP_REVOKED: Duration = Duration::from_hours(48);

/// Sweeps for ever.
pub async fn sweep_forever(live: Live) {
    loop {
        tokio::time::sleep(EVERY).await;
        let app = live.app();
        let now = app.clock.now();
        let before = now.minus(KEEP_REVOKED).minus(app.settings.refresh_idle_lifetime);
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
