//! What a measurement has to reach, and whether it did.

use super::{
    row::Row,
    write::{milliseconds, thousands},
};

/// What a measurement has to reach.
#[derive(Clone, Copy, Debug)]
pub enum Goal {
    /// Answers a second.
    PerSecond(f64),
    /// Share of the floor's answers a second.
    OfFloor(f64),
    /// Share of the floor's answers in a second of processor time.
    PerCoreSecond(f64),
    /// Answers in a second of processor time.
    CallsPerCoreSecond(f64),
    /// So many times the answers of the peer a second.
    TimesPeer(f64),
    /// The p99 is at most this, in microseconds.
    Slowest(u32),
    /// The p99 is at most this many times the p99 of the floor.
    SlowestOfFloor(f64),
    /// The p50 is at most this many times the p50 of the floor.
    TypicalOfFloor(f64),
    /// The p50 is at most so many microseconds above the p50 of the floor.
    TypicalAbove(u32),
}

/// A goal that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// What was to be reached.
    pub goal: String,
    /// What was found, where the goal is a ratio.
    pub found: String,
    /// Whether it was.
    pub reached: bool,
}

impl Verdict {
    /// For the table. What was missed is loud.
    pub fn words(&self) -> String {
        let found = if self.found.is_empty() { String::new() } else { format!(" ({})", self.found) };
        let verdict = if self.reached { "reached" } else { "**not reached**" };
        format!("{}{found}: {verdict}", self.goal)
    }
}

impl Goal {
    /// Looks at a row beside the row of its floor and of its peer. What there is nothing to compare with is not reached.
    pub fn judge(self, row: &Row, floor: Option<&Row>, peer: Option<&Row>) -> Verdict {
        let verdict = |goal, found, reached| Verdict { goal, found, reached };
        let share = |of: Option<f64>| of.filter(|of| *of > 0.0);
        match self {
            Self::PerSecond(least) => {
                verdict(format!("≥ {}/s", thousands(least)), String::new(), row.per_second >= least)
            }
            Self::OfFloor(least) => {
                let found = share(floor.map(|floor| floor.per_second)).map(|of| row.per_second / of);
                verdict(format!("≥ {}", percent(least)), shown(found, percent), at_least(found, least))
            }
            Self::PerCoreSecond(least) => {
                let found =
                    share(floor.map(|floor| floor.per_core_second)).map(|of| row.per_core_second / of);
                let goal = format!("≥ {} per core-second", percent(least));
                verdict(goal, shown(found, percent), at_least(found, least))
            }
            Self::CallsPerCoreSecond(least) => {
                let goal = format!("≥ {} per core-second", thousands(least));
                verdict(goal, String::new(), row.per_core_second >= least)
            }
            Self::TimesPeer(least) => {
                let found = share(peer.map(|peer| peer.per_second)).map(|of| row.per_second / of);
                let goal = format!("≥ {least:.0} × the peer");
                verdict(goal, shown(found, |times| format!("{times:.1} ×")), at_least(found, least))
            }
            Self::Slowest(most) => {
                verdict(format!("p99 ≤ {}", milliseconds(most)), String::new(), (1..=most).contains(&row.p99))
            }
            Self::SlowestOfFloor(most) => {
                let found = share(floor.map(|floor| f64::from(floor.p99))).map(|of| f64::from(row.p99) / of);
                let goal = format!("p99 ≤ {most} × of the row above");
                let words = shown(found, |times| format!("{times:.1} ×"));
                verdict(goal, words, found.is_some_and(|times| times <= most))
            }
            Self::TypicalOfFloor(most) => {
                let found = share(floor.map(|floor| f64::from(floor.p50))).map(|of| f64::from(row.p50) / of);
                let words = shown(found, |times| format!("{times:.2} ×"));
                verdict(
                    format!("p50 ≤ {most} × of the row above"),
                    words,
                    found.is_some_and(|times| times <= most),
                )
            }
            Self::TypicalAbove(most) => {
                let found = floor.map(|floor| row.p50.saturating_sub(floor.p50));
                let words = found.map_or_else(|| "nothing to compare with".to_owned(), milliseconds);
                let goal = format!("p50 ≤ {} above the row above", milliseconds(most));
                verdict(goal, words, found.is_some_and(|above| above <= most))
            }
        }
    }
}

/// Whole percents.
pub fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

fn shown(found: Option<f64>, words: impl Fn(f64) -> String) -> String {
    found.map_or_else(|| "nothing to compare with".to_owned(), words)
}

fn at_least(found: Option<f64>, least: f64) -> bool {
    found.is_some_and(|found| found >= least)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::row::tests::row;

    #[test]
    fn a_goal_is_reached_exactly_from_its_number_on() {
        let (floor, peer) = (row("floor", 1000, 500, 100), row("peer", 50, 1000, 900));
        let own = |answers, cpu, slowest| row("own", answers, cpu, slowest);
        let cases = [
            (Goal::PerSecond(650.0), own(650, 900, 1), own(649, 900, 1)),
            (Goal::OfFloor(0.65), own(650, 900, 1), own(649, 900, 1)),
            (Goal::PerCoreSecond(0.5), own(900, 900, 1), own(899, 900, 1)),
            (Goal::CallsPerCoreSecond(1000.0), own(900, 900, 1), own(899, 900, 1)),
            (Goal::TimesPeer(12.0), own(600, 900, 1), own(599, 900, 1)),
            (Goal::Slowest(200), own(1, 900, 200), own(1, 900, 201)),
            (Goal::SlowestOfFloor(2.0), own(1, 900, 200), own(1, 900, 201)),
            (Goal::TypicalOfFloor(1.25), own(1, 900, 125), own(1, 900, 126)),
            (Goal::TypicalAbove(50), own(1, 900, 150), own(1, 900, 151)),
        ];
        for (goal, enough, too_little) in cases {
            assert!(goal.judge(&enough, Some(&floor), Some(&peer)).reached, "{goal:?}");
            assert!(!goal.judge(&too_little, Some(&floor), Some(&peer)).reached, "{goal:?}");
        }
    }

    #[test]
    fn without_anything_to_compare_with_nothing_is_reached() {
        let own = row("own", 1_000_000, 1, 1);
        for goal in [
            Goal::OfFloor(0.1),
            Goal::PerCoreSecond(0.1),
            Goal::TimesPeer(1.0),
            Goal::SlowestOfFloor(9.0),
            Goal::TypicalOfFloor(9.0),
            Goal::TypicalAbove(9),
        ] {
            let verdict = goal.judge(&own, None, None);
            assert!(
                !verdict.reached && verdict.words().ends_with("(nothing to compare with): **not reached**")
            );
        }
    }
}
