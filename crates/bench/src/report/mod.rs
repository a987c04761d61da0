//! The table, and the words around it.

mod goal;
mod row;
mod write;

use crate::{options::Options, start::Starts};
use anyhow::Result;
pub use goal::{Goal, Verdict, percent};
pub use row::Row;
use std::time::Duration;
pub use write::{machine, mebibytes, milliseconds, thousands, within_megabytes};

const READY: Duration = Duration::from_millis(50);
const RESIDENT_AT_REST: f64 = 20.0;
const RESIDENT_AFTER_LOAD: f64 = 40.0;
const BYTES_OF_A_GRANT: u64 = 400;

const HEAD: &str = "| | answers/s (each round) | per core-second | processor time of each | core busy | p50 | p99 | \
     of the floor: per second, per core-second | goal |\n|---|---|---|---|---|---|---|---|---|\n";

/// Everything that was found.
#[derive(Debug)]
pub struct Report {
    command: String,
    machine: String,
    lines: Vec<String>,
    below: Vec<String>,
    missed: Vec<String>,
    judged: usize,
    floor: Option<Row>,
    peer: Option<Row>,
}

impl Report {
    /// Looks at the machine before anything runs on it.
    pub fn new(options: &Options) -> Result<Self> {
        let typed = if options.typed.is_empty() { String::new() } else { format!(" -- {}", options.typed) };
        Ok(Self {
            command: format!("cargo run --release -p hallpass-bench{typed}"),
            machine: machine()?,
            lines: Vec::new(),
            below: Vec::new(),
            missed: Vec::new(),
            judged: 0,
            floor: None,
            peer: None,
        })
    }

    /// A floor; what follows is compared with it.
    pub fn floor(&mut self, row: Row) {
        self.lines.push(format!("{} | | |", row.line()));
        self.floor = Some(row);
        self.peer = None;
    }

    /// Somebody else's server that does the same; what follows is compared with it too.
    pub fn peer(&mut self, row: Row) {
        self.beside(&row);
        self.peer = Some(row);
    }

    /// A line that nothing is compared with.
    pub fn beside(&mut self, row: &Row) {
        self.lines.push(format!("{} | | |", row.line()));
    }

    /// Forgets floor and peer: what follows has others, or none.
    pub fn fresh(&mut self) {
        (self.floor, self.peer) = (None, None);
    }

    /// Ours, with what it has to reach.
    pub fn own(&mut self, row: &Row, goals: &[Goal]) {
        let ratios = self.floor.as_ref().map_or_else(String::new, |floor| {
            let (time, core) =
                (row.per_second / floor.per_second, row.per_core_second / floor.per_core_second);
            format!("**{}, {}**", percent(time), percent(core))
        });
        let mut words = Vec::new();
        for goal in goals {
            let verdict = goal.judge(row, self.floor.as_ref(), self.peer.as_ref());
            words.push(self.judged(row.name, &verdict));
        }
        self.lines.push(format!("{} {ratios} | {} |", row.line(), words.join("; ")));
    }

    /// Whether anything was asked under load yet.
    pub const fn has_rows(&self) -> bool {
        !self.lines.is_empty()
    }

    /// Something below the table, with what it has to reach.
    pub fn below(&mut self, name: &str, verdict: &Verdict) {
        let words = self.judged(name, verdict);
        self.below.push(format!("- {name}: {words}"));
    }

    /// Resident memory of one process after its load.
    pub fn resident(&mut self, name: &str, kib: u32) {
        let verdict = Verdict {
            goal: format!("≤ {RESIDENT_AFTER_LOAD:.0} MB resident"),
            found: format!("{:.1} MiB", mebibytes(kib)),
            reached: within_megabytes(kib, RESIDENT_AFTER_LOAD),
        };
        self.below(name, &verdict);
    }

    /// What a grant takes on disk.
    pub fn bytes_of_a_grant(&mut self, bytes: u64) {
        let verdict = Verdict {
            goal: format!("≤ {BYTES_OF_A_GRANT} bytes"),
            found: bytes.to_string(),
            reached: bytes <= BYTES_OF_A_GRANT,
        };
        self.below("h. a grant among a million, on disk", &verdict);
    }

    /// Start and rest.
    pub fn starts(&mut self, starts: &Starts) {
        let (median, ready) = (starts.median(), &starts.ready);
        let ms = |time: Option<&Duration>| time.copied().unwrap_or_default().as_secs_f64() * 1e3;
        let found = format!(
            "median of {}: {:.1} ms, {:.1} to {:.1}",
            ready.len(),
            ms(Some(&median)),
            ms(ready.first()),
            ms(ready.last())
        );
        let goal = format!("≤ {:.0} ms", ms(Some(&READY)));
        self.below(
            "e. ready after start, on the folder of the measurements above",
            &Verdict { goal, found, reached: median <= READY },
        );
        let rest = Verdict {
            goal: format!("≤ {RESIDENT_AT_REST:.0} MB resident"),
            found: format!("{:.1} MiB", mebibytes(starts.resident_kib)),
            reached: within_megabytes(starts.resident_kib, RESIDENT_AT_REST),
        };
        self.below("e. at rest, 3 s after start", &rest);
    }

    fn judged(&mut self, name: &str, verdict: &Verdict) -> String {
        self.judged += 1;
        let words = verdict.words();
        if !verdict.reached {
            self.missed.push(format!("{name}: {words}"));
        }
        words
    }

    /// As Markdown.
    pub fn table(&self) -> String {
        let mut text = format!("`{}`, {}\n\n", self.command, self.machine);
        if !self.lines.is_empty() {
            text.push_str(HEAD);
            text.push_str(&self.lines.join("\n"));
            text.push_str("\n\n");
        }
        for line in &self.below {
            text.push_str(line);
            text.push('\n');
        }
        text.push_str(&self.verdict());
        text
    }

    /// What the reader wants to know first.
    fn verdict(&self) -> String {
        if self.missed.is_empty() {
            return format!("\nGoals: {} of {} reached.\n", self.judged, self.judged);
        }
        let reached = self.judged - self.missed.len();
        let missed: Vec<String> = self.missed.iter().map(|missed| format!("- {missed}\n")).collect();
        format!("\nGoals: {reached} of {} reached. These were not:\n\n{}", self.judged, missed.concat())
    }

    /// Puts the table into the documentation.
    pub fn write(&self) -> Result<()> {
        write::into_page(&self.table())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use row::tests::row;

    #[test]
    fn what_was_missed_is_said_again_at_the_end() {
        let mut report = Report::new(&Options::parse(&[]).unwrap()).unwrap();
        report.floor(row("floor", 1000, 1000, 5));
        report.peer(row("peer", 50, 1000, 5));
        report.beside(&row("the peer in another way", 10, 1000, 5));
        report.own(&row("c. ours", 700, 1000, 5), &[Goal::OfFloor(0.65), Goal::TimesPeer(15.0)]);
        let table = report.table();
        assert!(table.contains(
            "**70 %, 70 %** | ≥ 65 % (70 %): reached; ≥ 15 × the peer (14.0 ×): **not reached** |"
        ));
        assert!(table.ends_with(
            "Goals: 1 of 2 reached. These were not:\n\n- c. ours: ≥ 15 × the peer (14.0 ×): **not reached**\n"
        ));
    }

    #[test]
    fn a_floor_of_another_measurement_is_compared_with_nothing() {
        let mut report = Report::new(&Options::parse(&[]).unwrap()).unwrap();
        report.floor(row("floor", 1000, 1000, 5));
        report.fresh();
        report.own(&row("f. ours", 12_000, 1000, 5), &[Goal::PerSecond(12_000.0)]);
        report.resident("ours", 50_000);
        let table = report.table();
        assert!(table.contains("|  | ≥ 12,000/s: reached |"), "{table}");
        assert!(table.contains("- ours: ≤ 40 MB resident (48.8 MiB): **not reached**\n"), "{table}");
    }
}
