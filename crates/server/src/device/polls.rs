//! Who polls too fast (RFC 8628 §3.5), in bounded memory of this node: it keeps devices polite, and protects nothing that
//! could be guessed.

use super::INTERVAL;
use hallpass_core::{id::GrantId, time::Timestamp};
use quick_cache::sync::Cache;
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// Devices remembered; the one that polled longest ago is forgotten first.
const DEVICES: usize = 10_000;
/// Timers of devices are not exact, and neither is the way here.
const TOLERANCE: Duration = Duration::from_millis(500);
/// Nobody is told to wait longer than this between two polls.
const LONGEST: Duration = Duration::from_mins(1);

struct Poll {
    last: Option<Timestamp>,
    interval: Duration,
}

/// When each device polled last, and how often it may.
pub struct Polls(Cache<GrantId, Arc<Mutex<Poll>>>);

impl Polls {
    /// Nobody yet.
    pub fn new() -> Self {
        Self(Cache::new(DEVICES))
    }

    /// Whether the device may poll now. If not, its interval is 5 seconds longer from here on, for this and all that follow.
    pub fn may_poll(&self, device: GrantId, now: Timestamp) -> bool {
        let begin = || Arc::new(Mutex::new(Poll { last: None, interval: INTERVAL }));
        let Ok(poll) = self.0.get_or_insert_with(&device, || Ok::<_, std::convert::Infallible>(begin()));
        let mut poll = poll.lock().unwrap_or_else(PoisonError::into_inner);
        let early = poll.last.is_some_and(|last| now.since(last) + TOLERANCE < poll.interval);
        poll.last = Some(now);
        if early {
            poll.interval = (poll.interval + INTERVAL).min(LONGEST);
        }
        !early
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_178_too_fast_is_five_seconds_more_from_then_on() {
        let polls = Polls::new();
        let device = GrantId::from_bytes([1; 16]);
        let poll = |millis: i64| polls.may_poll(device, Timestamp::from_millis(1_000_000 + millis));
        assert!(poll(0) && poll(5_000) && poll(9_600), "half a second is no haste");
        assert!(!poll(12_000));
        assert!(!poll(20_000), "ten seconds now");
        assert!(poll(35_000) && !poll(49_000) && poll(69_000));
        assert!(
            polls.may_poll(GrantId::from_bytes([2; 16]), Timestamp::from_millis(1_069_001)),
            "another device"
        );
        assert!(polls.may_poll(device, Timestamp::from_millis(10_000_000)));
    }

    #[test]
    fn t_95_a_million_devices_take_no_more_room_than_ten_thousand() {
        let polls = Polls::new();
        for number in 0..1_000_000_u128 {
            polls.may_poll(GrantId::from_bytes(number.to_be_bytes()), Timestamp::from_millis(1));
        }
        assert!(polls.0.len() <= DEVICES);
    }
}
