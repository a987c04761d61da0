//! How often each event happened, and how many of those that anybody on the network can cause are written down: a
//! flood of refusals must not fill the disk.

use super::Kind;
use hallpass_core::time::Timestamp;
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

const MINUTE: i64 = 60;

/// Counts since the start.
pub struct Counts {
    per_minute: u32,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    counts: BTreeMap<(Kind, Option<&'static str>), u64>,
    windows: BTreeMap<Kind, Window>,
}

#[derive(Clone, Copy, Default)]
struct Window {
    minute: i64,
    written: u32,
    left_out: u64,
}

/// What becomes of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// Whether it is written.
    pub written: bool,
    /// How many of its kind were left out in an earlier minute: told once, before it.
    pub left_out: u64,
}

impl Counts {
    /// Of a kind that strangers can cause, this many are written per minute.
    pub const fn new(per_minute: u32) -> Self {
        let state = State { counts: BTreeMap::new(), windows: BTreeMap::new() };
        Self { per_minute, state: Mutex::new(state) }
    }

    /// Counts one.
    pub fn add(&self, kind: Kind, reason: Option<&'static str>, at: Timestamp) -> Admitted {
        let mut state = self.state();
        *state.counts.entry((kind, reason)).or_default() += 1;
        if !kind.is_anybodys() {
            return Admitted { written: true, left_out: 0 };
        }
        let (minute, window) = (at.seconds().div_euclid(MINUTE), state.windows.entry(kind).or_default());
        let mut left_out = 0;
        if window.minute != minute {
            left_out = window.left_out;
            *window = Window { minute, ..Window::default() };
        }
        let written = window.written < self.per_minute;
        if written {
            window.written += 1;
        } else {
            window.left_out += 1;
        }
        Admitted { written, left_out }
    }

    /// All that was left out and not told yet.
    pub fn take_left_out(&self) -> Vec<(Kind, u64)> {
        let mut state = self.state();
        let windows = state.windows.iter_mut().filter(|(_, window)| window.left_out > 0);
        windows.map(|(kind, window)| (*kind, std::mem::take(&mut window.left_out))).collect()
    }

    /// All counts.
    pub fn all(&self) -> Vec<(Kind, Option<&'static str>, u64)> {
        self.state().counts.iter().map(|((kind, reason), count)| (*kind, *reason, *count)).collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t_95_what_strangers_cause_is_written_so_often_a_minute_and_counted_always() {
        let (counts, start) = (Counts::new(2), Timestamp::from_seconds(1_790_000_040));
        let add = |kind, seconds| {
            let at = Timestamp::from_seconds(start.seconds() + seconds);
            let admitted = counts.add(kind, Some("too_many"), at);
            (admitted.written, admitted.left_out)
        };
        let flood: Vec<bool> = (0..5).map(|_| add(Kind::RegistrationRefused, 0).0).collect();
        assert_eq!(flood, [true, true, false, false, false]);
        assert_eq!(add(Kind::TokenRefused, 0), (true, 0), "each kind for itself");
        assert_eq!(add(Kind::RegistrationRefused, 60), (true, 3));
        assert_eq!(add(Kind::RegistrationRefused, 60), (true, 0));
        assert_eq!(add(Kind::RegistrationRefused, 60), (false, 0));
        assert_eq!(counts.take_left_out(), [(Kind::RegistrationRefused, 1)]);
        assert_eq!(counts.take_left_out(), []);
        for _ in 0..9 {
            assert_eq!(add(Kind::GrantRevoked, 0), (true, 0), "what a restore needs is always written");
        }
        assert!(counts.all().contains(&(Kind::RegistrationRefused, Some("too_many"), 8)));
    }
}
