//! The table, and the words around it.

use crate::{load::Sample, options::Options, process, start::Starts};
use anyhow::{Context, Result};
use std::{fs, process::Command, time::Duration};

const BEGIN: &str = "<!-- figures: begin -->";
const END: &str = "<!-- figures: end -->";
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/benchmarks.md");

const READY: Duration = Duration::from_millis(50);
const RESIDENT_MIB: f64 = 20.0;
const BYTES_OF_A_GRANT: u64 = 400;

/// What a measurement has to reach.
#[derive(Clone, Copy, Debug)]
pub enum Goal {
    /// Answers a second.
    PerSecond(f64),
    /// Share of the floor's answers in a second of processor time.
    PerCoreSecond(f64),
    /// Share of the answers of the row before, a second.
    OfBefore(f64),
    /// At most this many times the p99 of the row before.
    SlowestOfBefore(f64),
}

/// One server, all rounds together.
#[derive(Clone, Debug)]
pub struct Row {
    name: &'static str,
    rounds: Vec<f64>,
    per_second: f64,
    per_core_second: f64,
    busy: f64,
    p50: u32,
    p99: u32,
}

impl Row {
    /// From its samples.
    pub fn new(name: &'static str, samples: &[Sample]) -> Self {
        let answers: f64 = samples.iter().map(|sample| number(sample.answers)).sum();
        let time: f64 = samples.iter().map(|sample| sample.time.as_secs_f64()).sum();
        let cpu: f64 = samples.iter().map(|sample| sample.cpu.as_secs_f64()).sum();
        let mut latencies: Vec<u32> = samples.iter().flat_map(|sample| &sample.latencies).copied().collect();
        latencies.sort_unstable();
        let at = |share: usize| latencies.get(latencies.len() * share / 100).copied().unwrap_or_default();
        Self {
            name,
            rounds: samples.iter().map(|sample| number(sample.answers) / sample.time.as_secs_f64()).collect(),
            per_second: answers / time,
            per_core_second: answers / cpu,
            busy: cpu / time,
            p50: at(50),
            p99: at(99),
        }
    }

    /// The columns that every row has.
    pub fn line(&self) -> String {
        let rounds: Vec<String> = self.rounds.iter().map(|rate| thousands(*rate)).collect();
        format!(
            "| {} | {} ({}) | {} | {:.1} µs | {:.0} % | {} | {} |",
            self.name,
            thousands(self.per_second),
            rounds.join(", "),
            thousands(self.per_core_second),
            1e6 / self.per_core_second,
            self.busy * 100.0,
            milliseconds(self.p50),
            milliseconds(self.p99),
        )
    }
}

/// Everything that was found.
#[derive(Debug)]
pub struct Report {
    command: String,
    machine: String,
    lines: Vec<String>,
    floor: Option<Row>,
    /// Resident memory of the program after all measurements.
    pub resident_after_load_kib: Option<u32>,
    /// Start and rest.
    pub starts: Option<Starts>,
    /// What a grant takes on disk, in bytes.
    pub bytes_of_a_grant: Option<u64>,
}

impl Report {
    /// Looks at the machine before anything runs on it.
    pub fn new(options: &Options) -> Result<Self> {
        let typed = if options.typed.is_empty() { String::new() } else { format!(" -- {}", options.typed) };
        Ok(Self {
            command: format!("cargo run --release -p hallpass-bench{typed}"),
            machine: machine()?,
            lines: Vec::new(),
            floor: None,
            resident_after_load_kib: None,
            starts: None,
            bytes_of_a_grant: None,
        })
    }

    /// A floor; what follows is compared with it.
    pub fn floor(&mut self, row: Row) {
        self.lines.push(format!("{} | | |", row.line()));
        self.floor = Some(row);
    }

    /// Ours, with what it has to reach.
    pub fn own(&mut self, row: &Row, goal: Goal) {
        let Some(floor) = &self.floor else { return };
        let (time, core) = (row.per_second / floor.per_second, row.per_core_second / floor.per_core_second);
        let (words, reached) = match goal {
            Goal::PerSecond(least) => (format!("≥ {}/s", thousands(least)), row.per_second >= least),
            Goal::PerCoreSecond(least) => {
                (format!("≥ {:.0} % per core-second", least * 100.0), core >= least)
            }
            Goal::OfBefore(least) => (format!("≥ {:.0} % of before", least * 100.0), time >= least),
            Goal::SlowestOfBefore(most) => {
                (format!("p99 ≤ {most} × of before"), f64::from(row.p99) <= f64::from(floor.p99) * most)
            }
        };
        let ratios = format!("{:.0} %, {:.0} %", time * 100.0, core * 100.0);
        self.lines.push(format!("{} **{ratios}** | {words}: {} |", row.line(), verdict(reached)));
    }

    /// Ours without a floor, with what it has to reach a second.
    pub fn alone(&mut self, row: &Row, least: f64) {
        let words = format!("≥ {}/s: {}", thousands(least), verdict(row.per_second >= least));
        self.lines.push(format!("{} | {words} |", row.line()));
    }

    /// As Markdown.
    pub fn table(&self) -> String {
        let mut text = format!("`{}`, {}\n\n", self.command, self.machine);
        if !self.lines.is_empty() {
            text.push_str(
                "| | answers/s (each round) | per core-second | processor time of each | core busy | p50 | p99 | \
                 of the floor: per second, per core-second | goal |\n|---|---|---|---|---|---|---|---|---|\n",
            );
            text.push_str(&self.lines.join("\n"));
            text.push('\n');
        }
        if let Some(starts) = &self.starts {
            text.push_str(&lines_of_starts(starts));
        }
        if let Some(bytes) = self.bytes_of_a_grant {
            let reached = verdict(bytes <= BYTES_OF_A_GRANT);
            let line = format!(
                "\nA grant among a million takes {bytes} bytes on disk; goal ≤ {BYTES_OF_A_GRANT}: {reached}.\n"
            );
            text.push_str(&line);
        }
        if let Some(kib) = self.resident_after_load_kib {
            let rest = format!("\nResident after all of this load: {:.1} MiB.\n", mebibytes(kib));
            text.push_str(&rest);
        }
        text
    }
}

fn lines_of_starts(starts: &Starts) -> String {
    let median = starts.median();
    let ends =
        (starts.ready.first().copied().unwrap_or_default(), starts.ready.last().copied().unwrap_or_default());
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    let resident = mebibytes(starts.resident_kib);
    format!(
        "\n| e. | | goal |\n|---|---|---|\n\
         | ready after start, folder of the measurements above, median of {} | {:.1} ms ({:.1} to {:.1}) | ≤ {:.0} ms: {} |\n\
         | resident memory, 3 s after start | {resident:.1} MiB | ≤ {RESIDENT_MIB:.0} MB: {} |\n",
        starts.ready.len(),
        ms(median),
        ms(ends.0),
        ms(ends.1),
        ms(READY),
        verdict(median <= READY),
        // Megabytes, the stricter of the two.
        verdict(resident * 1.048_576 <= RESIDENT_MIB),
    )
}

const fn verdict(reached: bool) -> &'static str {
    if reached { "reached" } else { "**not reached**" }
}

/// Date, processor, and how busy it was before we came: figures of a machine that others use are low.
fn machine() -> Result<String> {
    let date = Command::new("date").args(["-u", "+%Y-%m-%d"]).output().context("no date")?;
    let date = String::from_utf8_lossy(&date.stdout).trim().to_owned();
    let processors = fs::read_to_string("/proc/cpuinfo")?;
    let names: Vec<&str> = processors.lines().filter_map(|line| line.strip_prefix("model name")).collect();
    let name = names.first().map_or("unknown", |name| name.trim_start_matches([' ', '\t', ':']));
    let load = fs::read_to_string("/proc/loadavg")?;
    let load = load.split_whitespace().next().unwrap_or_default().to_owned();
    Ok(format!(
        "{date}, {} × {name}; server on core {}, load on core {}; load average before: {load}",
        names.len(),
        process::SERVER_CORE,
        process::LOAD_CORE
    ))
}

/// Puts the table into the page, between its marks.
pub fn write(report: &Report) -> Result<()> {
    let page = fs::read_to_string(PAGE).context("docs/benchmarks.md cannot be read")?;
    let page = between_marks(&page, &report.table()).context("docs/benchmarks.md has lost its marks")?;
    fs::write(PAGE, page).context("docs/benchmarks.md cannot be written")
}

fn between_marks(page: &str, table: &str) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n\n{}\n\n{END}{after}", table.trim()))
}

fn number(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

fn mebibytes(kib: u32) -> f64 {
    f64::from(kib) / 1024.0
}

fn milliseconds(micros: u32) -> String {
    format!("{:.2} ms", f64::from(micros) / 1e3)
}

/// Whole, with commas.
fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_says_what_was_counted() {
        let sample = |answers, seconds, cpu| Sample {
            answers,
            time: Duration::from_secs(seconds),
            cpu: Duration::from_millis(cpu),
            latencies: (1..=100).collect(),
        };
        let row = Row::new("x", &[sample(30_000, 2, 1000), sample(10_000, 2, 1000)]);
        assert_eq!(
            row.line(),
            "| x | 10,000 (15,000, 5,000) | 20,000 | 50.0 µs | 50 % | 0.05 ms | 0.10 ms |"
        );
    }

    #[test]
    fn only_what_is_between_the_marks_is_replaced() {
        let page = format!("a\n{BEGIN}\nold\n{END}\nb\n");
        assert_eq!(between_marks(&page, "new\n").unwrap(), format!("a\n{BEGIN}\n\nnew\n\n{END}\nb\n"));
        assert_eq!(between_marks("a", "new"), None);
    }
}
