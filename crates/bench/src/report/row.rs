//! One line of the table: a server, all rounds together.

use super::write::{milliseconds, number, thousands};
use crate::load::Sample;

/// What was counted of one server.
#[derive(Clone, Debug)]
pub struct Row {
    /// What was asked of whom.
    pub name: &'static str,
    /// Answers in a second of real time.
    pub per_second: f64,
    /// Answers in a second of the server's processor time.
    pub per_core_second: f64,
    /// In microseconds.
    pub p50: u32,
    /// In microseconds.
    pub p99: u32,
    rounds: Vec<f64>,
    busy: f64,
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

#[cfg(test)]
pub mod tests {
    use super::*;
    use std::time::Duration;

    /// So many answers a second in a second of real time, of which the server worked so many milliseconds.
    pub fn row(name: &'static str, answers: u64, cpu: u64, slowest: u32) -> Row {
        let (time, cpu) = (Duration::from_secs(1), Duration::from_millis(cpu));
        Row::new(name, &[Sample { answers, time, cpu, latencies: vec![slowest] }])
    }

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
}
