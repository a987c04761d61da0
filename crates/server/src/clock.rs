//! A clock that no step of the machine's clock turns back.
//!
//! What has expired must not come to life again when somebody sets the clock back, and nothing may die early because a
//! clock jumped ahead for a moment. So the process keeps a line of its own: the time since its start by the monotonic
//! clock, which is never set. While the machine's clock agrees, it is followed. Behind the line it is not followed, so
//! nothing revives. Ahead of it, it is: a machine that slept has to know how late it is. When it comes back within
//! [`BELIEVED`], the line is where it was; after that it is the line.

use hallpass_core::time::{Clock, Timestamp};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Up to here a difference is the usual correction of a clock.
const USUAL: Duration = Duration::from_secs(2);
/// For how long a clock has to stay ahead until it is the truth.
const BELIEVED: Duration = Duration::from_mins(10);

type Elapsed = Box<dyn Fn() -> Duration + Send + Sync>;

/// See above.
pub struct SteadyClock {
    wall: Arc<dyn Clock>,
    elapsed: Elapsed,
    line: Mutex<Line>,
}

struct Line {
    /// Where the line was when so much had elapsed.
    anchor: (Timestamp, Duration),
    /// Since when the machine's clock is ahead of it.
    ahead_since: Option<Duration>,
    /// Whether it was said that it is behind.
    behind: bool,
}

impl SteadyClock {
    /// On the clock of this machine.
    pub fn new(wall: Arc<dyn Clock>) -> Self {
        let start = Instant::now();
        Self::measured(wall, Box::new(move || start.elapsed()))
    }

    /// With another measure of what has elapsed, which never goes back.
    pub fn measured(wall: Arc<dyn Clock>, elapsed: Elapsed) -> Self {
        let anchor = (wall.now(), elapsed());
        Self { wall, elapsed, line: Mutex::new(Line { anchor, ahead_since: None, behind: false }) }
    }
}

impl Clock for SteadyClock {
    fn now(&self) -> Timestamp {
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        line.now(self.wall.now(), (self.elapsed)())
    }
}

impl Line {
    fn now(&mut self, wall: Timestamp, elapsed: Duration) -> Timestamp {
        let steady = self.anchor.0.plus(elapsed.saturating_sub(self.anchor.1));
        if wall < steady {
            self.ahead_since = None;
            let behind = steady.since(wall) > USUAL;
            if behind && !self.behind {
                tracing::error!(
                    by_ms = steady.since(wall).as_millis(),
                    "the clock of this machine was set back: this node goes on by its own until it is restarted"
                );
            }
            self.behind = behind;
            return steady;
        }
        self.behind = false;
        if wall.since(steady) <= USUAL {
            (self.anchor, self.ahead_since) = ((wall, elapsed), None);
            return wall;
        }
        match self.ahead_since {
            None => {
                tracing::warn!(
                    by_ms = wall.since(steady).as_millis(),
                    "the clock of this machine jumped ahead, or the machine slept"
                );
                self.ahead_since = Some(elapsed);
            }
            Some(since) if elapsed.saturating_sub(since) >= BELIEVED => {
                (self.anchor, self.ahead_since) = ((wall, elapsed), None);
            }
            Some(_) => {}
        }
        wall
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_seconds(1_790_000_000);
    const HOUR: i64 = 3_600;

    struct Machine(Line);

    impl Machine {
        fn started() -> Self {
            Self(Line { anchor: (START, Duration::ZERO), ahead_since: None, behind: false })
        }

        /// What it says so many seconds after its start, with the machine's clock off by so many.
        fn at(&mut self, elapsed: u64, off: i64) -> i64 {
            let seconds = i64::try_from(elapsed).unwrap();
            let wall = Timestamp::from_seconds(START.seconds() + seconds + off);
            self.0.now(wall, Duration::from_secs(elapsed)).seconds() - START.seconds()
        }
    }

    #[test]
    fn as_219_a_clock_set_back_turns_nothing_back_and_time_goes_on() {
        let mut machine = Machine::started();
        assert_eq!(machine.at(10, 0), 10);
        for elapsed in [11, 60, 3_000, 7_200] {
            assert_eq!(machine.at(elapsed, -HOUR), i64::try_from(elapsed).unwrap(), "neither back nor still");
        }
        assert_eq!(machine.at(7_201, 0), 7_201, "set right again");
    }

    #[test]
    fn as_219_a_clock_that_jumps_ahead_and_back_has_done_no_harm() {
        let mut machine = Machine::started();
        assert_eq!(machine.at(10, HOUR), 10 + HOUR);
        assert_eq!(machine.at(300, HOUR), 300 + HOUR);
        assert_eq!(machine.at(301, 0), 301);
        assert_eq!(machine.at(302, 1), 303, "usual corrections are followed");
        assert_eq!(machine.at(303, 0), 304, "and not undone");
    }

    #[test]
    fn as_219_a_machine_that_slept_knows_how_late_it_is() {
        let mut machine = Machine::started();
        assert_eq!(machine.at(10, 8 * HOUR), 10 + 8 * HOUR);
        assert_eq!(machine.at(611, 8 * HOUR), 611 + 8 * HOUR);
        assert_eq!(machine.at(612, 7 * HOUR), 612 + 8 * HOUR, "from then on it is the truth");
    }
}
