//! Numbers for whoever watches the node. Labels come from closed lists, never from a request: a stranger can neither
//! make a new series nor be found in one.

mod histogram;
mod text;

pub use histogram::Histogram;
pub use text::{CONTENT_TYPE, render};

use hallpass_core::time::Timestamp;
use hallpass_store::StoreTrouble;
use http::StatusCode;
use std::{
    sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    time::Duration,
};

/// The feed of revocations may be this old before somebody is told (C14).
pub const FEED_LATE: Duration = Duration::from_secs(5);
/// Off by this much, a node does not take part (C5): codes live for a minute.
pub const CLOCK_OFF: Duration = Duration::from_secs(10);

/// One route.
#[derive(Debug, Default)]
pub struct RouteMetrics {
    /// From the first byte of the request to the head of the answer.
    pub durations: Histogram,
    /// Answers by the first digit of their status.
    answers: [AtomicU64; 5],
}

impl RouteMetrics {
    /// Counts an answer.
    pub fn answered(&self, status: StatusCode, took: Duration) {
        self.durations.add(took);
        let class = usize::from(status.as_u16() / 100).saturating_sub(1);
        if let Some(answers) = self.answers.get(class) {
            answers.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn by_class(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let classes = ["1xx", "2xx", "3xx", "4xx", "5xx"];
        classes.into_iter().zip(self.answers.iter().map(|count| count.load(Ordering::Relaxed)))
    }
}

/// Where a client's metadata document came from, or why it did not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DocumentOutcome {
    /// Fetched, or fresh in the cache.
    Fetched,
    /// The last good copy, because its host did not answer.
    Copy,
    /// Refused: gone, invalid, forbidden, or unreachable without a copy.
    Refused,
}

impl DocumentOutcome {
    const ALL: [(Self, &'static str); 3] =
        [(Self::Fetched, "fetched"), (Self::Copy, "copy"), (Self::Refused, "refused")];
}

/// Documents by outcome.
#[derive(Debug, Default)]
pub struct DocumentCounts([AtomicU64; DocumentOutcome::ALL.len()]);

impl DocumentCounts {
    /// Counts one.
    pub fn add(&self, outcome: DocumentOutcome) {
        let at = DocumentOutcome::ALL.iter().position(|(known, _)| *known == outcome);
        if let Some(count) = at.and_then(|at| self.0.get(at)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn all(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let names = DocumentOutcome::ALL.iter().map(|(_, name)| *name);
        names.zip(self.0.iter().map(|count| count.load(Ordering::Relaxed)))
    }
}

/// What the node counts beside its events.
#[derive(Debug)]
pub struct Metrics {
    started: Timestamp,
    routes: Vec<(&'static str, RouteMetrics)>,
    feed_read: AtomicI64,
    feed_failures: AtomicU64,
    clock_offset: AtomicI64,
    draining: AtomicBool,
    master_key_missing: AtomicBool,
}

/// Why a node is not ready. Each is a reason of its own in the answer of the health endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NotReady {
    /// It is stopping.
    Draining,
    /// The revocations were not loaded yet: a revoked token would pass.
    FeedNotLoaded,
    /// The store did not answer for [`FEED_LATE`].
    StoreUnreachable,
    /// The database file was removed or replaced under the server.
    DatabaseMoved,
    /// The clock is off by [`CLOCK_OFF`] against the store's.
    ClockOff,
    /// The audit log cannot be written, and the operator is strict.
    AuditFailing,
    /// Other nodes use a master key that is not here: what they make cannot be read.
    MasterKeyMissing,
}

impl NotReady {
    /// For the answer.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Draining => "draining",
            Self::FeedNotLoaded => "feed_not_loaded",
            Self::StoreUnreachable => "store_unreachable",
            Self::DatabaseMoved => "database_moved",
            Self::ClockOff => "clock_off",
            Self::AuditFailing => "audit_failing",
            Self::MasterKeyMissing => "master_key_missing",
        }
    }
}

impl Metrics {
    /// For these routes.
    pub fn new(routes: impl IntoIterator<Item = &'static str>, now: Timestamp) -> Self {
        Self {
            started: now,
            routes: routes.into_iter().map(|route| (route, RouteMetrics::default())).collect(),
            feed_read: AtomicI64::new(i64::MIN),
            feed_failures: AtomicU64::new(0),
            clock_offset: AtomicI64::new(0),
            draining: AtomicBool::new(false),
            master_key_missing: AtomicBool::new(false),
        }
    }

    /// The numbers of a route.
    pub fn route(&self, path: &str) -> Option<&RouteMetrics> {
        self.routes.iter().find(|(route, _)| *route == path).map(|(_, metrics)| metrics)
    }

    /// The feed was read at this moment.
    pub fn feed_read(&self, now: Timestamp) {
        self.feed_read.store(now.millis(), Ordering::Relaxed);
    }

    /// The feed could not be read.
    pub fn feed_failed(&self) {
        self.feed_failures.fetch_add(1, Ordering::Relaxed);
    }

    /// How long ago the feed was read; `None` before the first time.
    pub fn feed_age(&self, now: Timestamp) -> Option<Duration> {
        let at = self.feed_read.load(Ordering::Relaxed);
        (at != i64::MIN).then(|| now.since(Timestamp::from_millis(at)))
    }

    /// How far this clock is from the store's, in milliseconds, whichever is ahead.
    pub fn clock_offset(&self, millis: i64) {
        self.clock_offset.store(millis, Ordering::Relaxed);
    }

    /// Whether a master key that others use is missing here; answers whether that changed.
    pub fn master_key_missing(&self, missing: bool) -> bool {
        self.master_key_missing.swap(missing, Ordering::Relaxed) != missing
    }

    /// The node takes no new work.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    /// Everything that keeps the node from taking part.
    pub fn not_ready(
        &self,
        now: Timestamp,
        audit_refuses: bool,
        store: Option<StoreTrouble>,
    ) -> Vec<NotReady> {
        let age = self.feed_age(now);
        let off = self.clock_offset.load(Ordering::Relaxed).unsigned_abs();
        let reasons = [
            (NotReady::Draining, self.draining.load(Ordering::Relaxed)),
            (NotReady::FeedNotLoaded, age.is_none()),
            (NotReady::StoreUnreachable, age.is_some_and(|age| age > FEED_LATE)),
            (NotReady::DatabaseMoved, store == Some(StoreTrouble::Moved)),
            (NotReady::ClockOff, Duration::from_millis(off) > CLOCK_OFF),
            (NotReady::AuditFailing, audit_refuses),
            (NotReady::MasterKeyMissing, self.master_key_missing.load(Ordering::Relaxed)),
        ];
        reasons.into_iter().filter_map(|(reason, holds)| holds.then_some(reason)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_ready_when_it_knows_what_is_revoked_and_says_why_it_is_not() {
        let now = Timestamp::from_seconds(1_790_000_000);
        let metrics = Metrics::new(["/token"], now);
        assert_eq!(metrics.not_ready(now, false, None), [NotReady::FeedNotLoaded]);
        metrics.feed_read(now);
        assert_eq!(metrics.not_ready(now.plus(FEED_LATE), false, Some(StoreTrouble::Full)), []);
        assert_eq!(metrics.not_ready(now, false, Some(StoreTrouble::Moved)), [NotReady::DatabaseMoved]);
        let late = now.plus(FEED_LATE).plus(Duration::from_millis(1));
        assert_eq!(metrics.not_ready(late, false, None), [NotReady::StoreUnreachable]);
        metrics.clock_offset(-10_001);
        assert_eq!(metrics.not_ready(now, false, None), [NotReady::ClockOff]);
        metrics.clock_offset(10_000);
        assert_eq!(metrics.not_ready(now, true, None), [NotReady::AuditFailing]);
        assert!(metrics.master_key_missing(true) && !metrics.master_key_missing(true));
        assert_eq!(metrics.not_ready(now, false, None), [NotReady::MasterKeyMissing]);
        assert!(metrics.master_key_missing(false));
        metrics.drain();
        assert_eq!(metrics.not_ready(now, false, None), [NotReady::Draining]);
    }
}
