//! Numbers for people, and the page in the documentation.

use crate::process;
use anyhow::{Context, Result};
use std::{fs, process::Command};

const BEGIN: &str = "<!-- figures: begin -->";
const END: &str = "<!-- figures: end -->";
const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/benchmarks.md");

/// Puts the table into the page, between its marks.
pub fn into_page(table: &str) -> Result<()> {
    let page = fs::read_to_string(PAGE).context("docs/benchmarks.md cannot be read")?;
    let page = between_marks(&page, table).context("docs/benchmarks.md has lost its marks")?;
    fs::write(PAGE, page).context("docs/benchmarks.md cannot be written")
}

fn between_marks(page: &str, table: &str) -> Option<String> {
    let (before, rest) = page.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n\n{}\n\n{END}{after}", table.trim()))
}

/// Date, processor, and how busy it was before we came: figures of a machine that others use are low.
pub fn machine() -> Result<String> {
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

/// As a number to calculate with.
pub fn number(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

/// From KiB.
pub fn mebibytes(kib: u32) -> f64 {
    f64::from(kib) / 1024.0
}

/// Whether this is at most so many megabytes, the stricter of the two units.
pub fn within_megabytes(kib: u32, most: f64) -> bool {
    mebibytes(kib) * 1.048_576 <= most
}

/// From microseconds.
pub fn milliseconds(micros: u32) -> String {
    format!("{:.2} ms", f64::from(micros) / 1e3)
}

/// Whole, with commas.
pub fn thousands(value: f64) -> String {
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
    fn only_what_is_between_the_marks_is_replaced() {
        let page = format!("a\n{BEGIN}\nold\n{END}\nb\n");
        assert_eq!(between_marks(&page, "new\n").unwrap(), format!("a\n{BEGIN}\n\nnew\n\n{END}\nb\n"));
        assert_eq!(between_marks("a", "new"), None);
    }

    #[test]
    fn a_megabyte_is_the_smaller_one() {
        assert!(within_megabytes(39_062, 40.0));
        assert!(!within_megabytes(40_000, 40.0));
    }
}
