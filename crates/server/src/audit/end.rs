//! The end of the log, remembered in the store: lines that were taken off it show against it.
//!
//! The chain shows a line that is missing before another one. A log that was cut back to where it was closed once, while
//! the node did not run, looks whole; the store knows better.

use super::{Audit, Event};
use crate::app::{App, Live};
use hallpass_core::time::Timestamp;
use hallpass_store::{AuditHead, Store, StoreError};
use std::time::Duration;

/// How often the store learns where the log ends.
const EVERY: Duration = Duration::from_secs(10);

/// Compares where a log ended with what the store remembers of it.
pub(crate) async fn compare(audit: &Audit, store: &dyn Store, now: Timestamp) -> Result<(), StoreError> {
    let Some(found) = audit.resumed() else { return Ok(()) };
    let heads = store.audit_heads().await?;
    let remembered = heads.iter().find(|head| head.node == audit.node()).map_or(0, |head| head.sequence);
    let missing = u64::try_from(remembered).unwrap_or(0).saturating_sub(found);
    if missing > 0 {
        audit.record_at(now, Event::log_set_back(missing));
    }
    Ok(())
}

/// Tells the store where the log ends on its disk.
///
/// # Errors
/// When the store fails.
pub async fn remember(audit: &Audit, store: &dyn Store) -> Result<(), StoreError> {
    let Some((sequence, mac)) = audit.on_disk() else { return Ok(()) };
    let sequence = i64::try_from(sequence).unwrap_or(i64::MAX);
    store.audit_head_put(AuditHead { node: audit.node().to_owned(), sequence, mac }).await
}

/// Does so for ever, while there is something new.
pub async fn remember_forever(live: Live) {
    let mut last = None;
    loop {
        tokio::time::sleep(EVERY).await;
        let app = live.app();
        let now = app.audit.on_disk();
        if now == last {
            continue;
        }
        match remember(&app.audit, &*app.store).await {
            Ok(()) => last = now,
            Err(error) => tracing::debug!(?error, "the end of the audit log is not remembered"),
        }
    }
}

impl App {
    /// Closes the audit log, remembers its end, and closes the store.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn close(&self) -> Result<(), StoreError> {
        let (audit, now) = (std::sync::Arc::clone(&self.audit), self.clock.now());
        if tokio::task::spawn_blocking(move || audit.close(now)).await.is_err() {
            tracing::error!("the audit log could not be closed");
        }
        let remembered = remember(&self.audit, &*self.store).await;
        self.store.close().await?;
        remembered
    }
}
