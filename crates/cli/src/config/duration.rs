//! Lengths of time as people write them.

use std::time::Duration;

/// "90s", "10m", "12h", "30d".
pub fn parse(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds: u64 = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        _ => return None,
    };
    if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    number.parse::<u64>().ok()?.checked_mul(seconds).map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn units() {
        assert_eq!(parse("90s"), Some(Duration::from_secs(90)));
        assert_eq!(parse("30d"), Some(Duration::from_hours(720)));
        for bad in ["", "s", "10", "-1s", "1.5h", "10 m", "99999999999999999999d", "+1s", "1é"] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
