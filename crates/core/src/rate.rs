//! How often: the generic cell rate algorithm, of which a source keeps one number. Pure.
//!
//! The number is when everything that was taken so far will have been used up, in microseconds. So much a minute is allowed,
//! all of it at once or bit by bit.

use crate::time::Timestamp;
use std::time::Duration;

const MINUTE: i64 = 60_000_000;

/// The number of a source that took nothing yet.
pub const NOTHING: i64 = i64::MIN;

/// Takes one of `per_minute`.
///
/// # Errors
/// How long to wait, when there is none left.
pub fn take(used: i64, per_minute: u32, now: Timestamp) -> Result<i64, Duration> {
    let over = over(used, per_minute, now);
    if over.is_zero() { Ok(begin(used, now).saturating_add(interval(per_minute))) } else { Err(over) }
}

/// How long to wait until there is one; nothing when there is one now.
pub fn over(used: i64, per_minute: u32, now: Timestamp) -> Duration {
    let next = begin(used, now).saturating_add(interval(per_minute));
    let over = next.saturating_sub(micros(now)).saturating_sub(MINUTE);
    Duration::from_micros(u64::try_from(over).unwrap_or(0))
}

/// Microseconds between two, so that a large number a minute still has an interval.
fn interval(per_minute: u32) -> i64 {
    (MINUTE / i64::from(per_minute.max(1))).max(1)
}

/// Never is more than a minute used up ahead. Where it looks so, the clock was set back, and nobody has to wait for that.
fn begin(used: i64, now: Timestamp) -> i64 {
    let now = micros(now);
    if used > now.saturating_add(MINUTE) { now } else { used.max(now) }
}

const fn micros(now: Timestamp) -> i64 {
    now.millis().saturating_mul(1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_223_a_burst_and_then_the_rate() {
        let now = Timestamp::from_seconds(1_000);
        let mut used = NOTHING;
        for _ in 0..60 {
            used = take(used, 60, now).unwrap();
        }
        assert_eq!(take(used, 60, now), Err(Duration::from_secs(1)));
        assert!(take(used, 60, now.plus(Duration::from_secs(1))).is_ok());
        assert!(take(used, 60, now.minus(Duration::from_hours(1))).is_ok(), "as_219 the clock was set back");
    }
}
