//! How much time there is left for whoever has to sign in, said while they are waited for.

use crate::output::note;
use std::time::Duration;
use tokio::{task::JoinHandle, time::sleep};

const MINUTE: Duration = Duration::from_mins(1);

/// Begun ones count.
pub const fn minutes(time: Duration) -> u64 {
    time.as_secs().div_ceil(60)
}

/// One line.
pub fn say_left(minutes: u64) {
    note(&format!("Still waiting: {minutes} minute{} left.", if minutes == 1 { "" } else { "s" }));
}

/// Says it each minute, until it is dropped.
#[derive(Debug)]
pub struct Countdown(JoinHandle<()>);

impl Countdown {
    /// From now on.
    pub fn of(patience: Duration) -> Self {
        Self(tokio::spawn(async move {
            let mut left = minutes(patience);
            while left > 1 {
                sleep(MINUTE).await;
                left -= 1;
                say_left(left);
            }
        }))
    }
}

impl Drop for Countdown {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minutes_are_counted_once_each() {
        assert_eq!((minutes(Duration::from_mins(10)), minutes(Duration::from_secs(1))), (10, 1));
    }
}
