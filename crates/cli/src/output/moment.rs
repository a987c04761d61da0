//! When a line of the log was written, in UTC to the microsecond.

use hallpass_core::time::Timestamp;
use std::{
    fmt::{self, Write},
    time::{Duration, SystemTime, UNIX_EPOCH},
};
use tracing_subscriber::fmt::{format::Writer, time::FormatTime};

/// The present, by the clock of the machine.
pub struct Moment;

impl FormatTime for Moment {
    #[allow(
        clippy::disallowed_methods,
        reason = "a line says when it was written, and nothing depends on it"
    )]
    fn format_time(&self, writer: &mut Writer<'_>) -> fmt::Result {
        write(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default(), writer)
    }
}

fn write(now: Duration, out: &mut dyn Write) -> fmt::Result {
    let millis = Timestamp::from_millis(i64::try_from(now.as_millis()).unwrap_or(i64::MAX)).to_rfc3339();
    out.write_str(millis.trim_end_matches('Z'))?;
    let micros = now.subsec_micros() % 1000;
    for digit in [micros / 100, micros / 10 % 10, micros % 10] {
        out.write_char(char::from_digit(digit, 10).unwrap_or('0'))?;
    }
    out.write_char('Z')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_written_to_the_microsecond() {
        for (micros, text) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (1_796_092_998_000_001, "2026-12-01T02:43:18.000001Z"),
            (1_796_092_998_987_650, "2026-12-01T02:43:18.987650Z"),
        ] {
            let mut out = String::new();
            write(Duration::from_micros(micros), &mut out).unwrap();
            assert_eq!(out, text);
        }
    }
}
