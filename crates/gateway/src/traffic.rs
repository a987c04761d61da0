//! How much one caller may ask of a server: calls a minute, and streams at a time (RS-018, RS-065, T-88).
//!
//! Counted by subject, never by address: a hosted client calls for all its people from one (P27).

use crate::config::CallerLimits;
use hallpass_core::{grant::digest16, rate, time::Timestamp};
use quick_cache::sync::Cache;
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

/// Callers remembered, times the limits that hold for them. The one seen longest ago is forgotten first.
const REMEMBERED: usize = 20_000;

/// What is counted for one caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Counted {
    /// All its calls.
    All,
    /// Those that a rule names, by its place.
    Rule(usize),
}

/// What the callers of one server have asked of it lately.
pub(crate) struct Traffic {
    calls: Cache<(Counted, [u8; 16]), Arc<AtomicI64>>,
    streams: Mutex<HashMap<[u8; 16], u32>>,
}

/// The place of an open stream, free again when this is dropped.
pub(crate) struct Place {
    traffic: Arc<Traffic>,
    caller: [u8; 16],
}

impl Traffic {
    /// Nobody has asked anything.
    pub(crate) fn new() -> Self {
        Self { calls: Cache::new(REMEMBERED), streams: Mutex::default() }
    }

    /// Takes a call of `per_minute`.
    ///
    /// # Errors
    /// How long to wait.
    pub(crate) fn take(
        &self,
        what: Counted,
        subject: &str,
        per_minute: u32,
        now: Timestamp,
    ) -> Result<(), Duration> {
        let key = (what, digest16(subject));
        let Ok(cell) = self.calls.get_or_insert_with(&key, || {
            Ok::<_, std::convert::Infallible>(Arc::new(AtomicI64::new(rate::NOTHING)))
        });
        let mut over = Duration::ZERO;
        let taken = cell.fetch_update(Ordering::AcqRel, Ordering::Acquire, |used| {
            rate::take(used, per_minute, now).map_err(|wait| over = wait).ok()
        });
        taken.map(|_| ()).map_err(|_| over)
    }

    /// A place for a stream, where there is one; nothing is counted where there is no limit.
    pub(crate) fn stream(self: &Arc<Self>, subject: &str, limits: CallerLimits) -> Result<Option<Place>, ()> {
        let Some(most) = limits.streams else { return Ok(None) };
        let caller = digest16(subject);
        let mut streams = self.streams();
        let open = streams.get(&caller).copied().unwrap_or_default();
        if open >= most {
            return Err(());
        }
        streams.insert(caller, open + 1);
        drop(streams);
        Ok(Some(Place { traffic: Arc::clone(self), caller }))
    }

    fn streams(&self) -> MutexGuard<'_, HashMap<[u8; 16], u32>> {
        self.streams.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut streams = self.traffic.streams();
        match streams.get_mut(&self.caller) {
            Some(open) if *open > 1 => *open -= 1,
            _ => {
                streams.remove(&self.caller);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_000_000);

    #[test]
    fn rs_018_each_caller_has_its_own_rate() {
        let traffic = Traffic::new();
        let take = |what, who| traffic.take(what, who, 60, NOW);
        for _ in 0..60 {
            assert_eq!(take(Counted::All, "ann"), Ok(()));
        }
        assert_eq!(take(Counted::All, "ann"), Err(Duration::from_secs(1)));
        assert_eq!((take(Counted::All, "bob"), take(Counted::Rule(0), "ann")), (Ok(()), Ok(())));
    }

    #[test]
    fn rs_065_t_88_streams_are_bounded_for_each_caller_and_places_come_back() {
        let traffic = Arc::new(Traffic::new());
        let limits = CallerLimits { streams: Some(2), ..CallerLimits::default() };
        let open = |who| traffic.stream(who, limits);
        let (one, two) = (open("ann").unwrap(), open("ann").unwrap());
        assert!(open("ann").is_err() && open("bob").is_ok());
        drop(one);
        assert!(open("ann").is_ok(), "and dropped again");
        drop(two);
        assert!(traffic.streams().is_empty(), "who has none is not remembered");
    }

    #[test]
    fn t_95_a_million_callers_take_no_more_room() {
        let traffic = Traffic::new();
        for number in 0..100_000_u32 {
            let _ = traffic.take(Counted::All, &number.to_string(), 60, NOW);
        }
        assert!(traffic.calls.len() <= REMEMBERED);
    }
}
