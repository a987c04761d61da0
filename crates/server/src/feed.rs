//! Following the feed of revocations, for the gateways in this process.

use crate::{app::App, metrics::FEED_LATE};
use hallpass_store::{Revocation, Revoked, StoreError};
use std::{sync::Arc, time::Duration};

/// How often the feed is read: a revocation is honoured well within a second.
const INTERVAL: Duration = Duration::from_millis(400);
const PAGE: u32 = 1_000;

/// What a follower is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// All that is in force, and the counter: forget what was known before.
    Loaded(Vec<Revocation>, i64),
    /// New entries, in the order of their commits, and the counter. None, where nothing happened.
    Added(Vec<Revocation>, i64),
    /// The feed cannot be read; tried again.
    Failing,
}

/// Reads the feed for ever and tells `tell` what changed. The first call is [`Change::Loaded`]; there is another when
/// the store went back behind the cursor.
pub async fn follow(app: Arc<App>, tell: impl FnMut(Change) + Send) {
    follow_by(app, tell, tokio::time::sleep).await;
}

/// The same by another clock: `pause` is all the time that passes between two reads.
pub async fn follow_by<F: Future<Output = ()> + Send>(
    app: Arc<App>,
    mut tell: impl FnMut(Change) + Send,
    pause: impl Fn(Duration) -> F + Send,
) {
    let (mut cursor, mut failing, mut late) = (None, false, false);
    loop {
        match step(&app, cursor).await {
            Ok((next, change)) => {
                cursor = Some(next);
                tell(change);
                app.metrics.feed_read(app.clock.now());
                late = false;
            }
            Err(error) => {
                app.metrics.feed_failed();
                tell(Change::Failing);
                let now_late = app.metrics.feed_age(app.clock.now()).is_none_or(|age| age > FEED_LATE);
                // Once when it begins, once when it has lasted: not each 400 ms.
                if !failing || (now_late && !late) {
                    tracing::warn!(
                        ?error,
                        late = now_late,
                        "the feed of revocations cannot be read: gateways do not learn what is revoked"
                    );
                }
                (failing, late) = (true, now_late);
                pause(INTERVAL).await;
                continue;
            }
        }
        if std::mem::take(&mut failing) {
            tracing::info!("the feed of revocations is read again");
        }
        pause(INTERVAL).await;
    }
}

/// Reads on from `cursor`, once: what [`follow`] does again and again. Answers the next cursor.
pub async fn step(app: &App, cursor: Option<i64>) -> Result<(i64, Change), StoreError> {
    let (entries, counter) = all_after(app, cursor.unwrap_or(0)).await?;
    match cursor {
        Some(cursor) if counter < cursor => {
            tracing::error!(
                cursor,
                counter,
                "the store went back: revocations are loaded anew, some may be lost"
            );
            let (entries, counter) = all_after(app, 0).await?;
            app.blocks.reload(&*app.store).await?;
            Ok((counter, Change::Loaded(entries, counter)))
        }
        Some(_) => {
            if entries.iter().any(|entry| is_about_blocks(&entry.what)) {
                app.blocks.reload(&*app.store).await?;
            }
            Ok((counter, Change::Added(entries, counter)))
        }
        None => {
            app.blocks.reload(&*app.store).await?;
            Ok((counter, Change::Loaded(entries, counter)))
        }
    }
}

const fn is_about_blocks(what: &Revoked) -> bool {
    match what {
        Revoked::Client(_) | Revoked::ClientAgain(_) | Revoked::Receiver(_) => true,
        Revoked::Grant(_) | Revoked::Person { .. } => false,
    }
}

async fn all_after(app: &App, cursor: i64) -> Result<(Vec<Revocation>, i64), StoreError> {
    let mut all = Vec::new();
    let mut last = cursor;
    loop {
        let page = app.store.feed_after(last, PAGE).await?;
        let Some(end) = page.entries.last().map(|entry| entry.ticket) else {
            return Ok((all, page.counter));
        };
        last = end;
        all.extend(page.entries);
        if last >= page.counter {
            return Ok((all, page.counter));
        }
    }
}
