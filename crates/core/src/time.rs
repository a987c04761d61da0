//! Points in time as milliseconds, and the one place that reads the clock.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970-01-01T00:00:00Z. Arithmetic saturates: a hostile `exp` cannot overflow it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// From milliseconds since the epoch.
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    /// From whole seconds since the epoch, the unit of `NumericDate` (RFC 7519 §2).
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// Milliseconds since the epoch.
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down.
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// Later by `by`.
    #[must_use]
    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(millis_of(by)))
    }

    /// Earlier by `by`.
    #[must_use]
    pub fn minus(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(millis_of(by)))
    }

    /// How long after `earlier` this is; zero when it is not after it.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl Timestamp {
    /// In UTC, as `2026-11-27T19:29:04.123Z` (RFC 3339), always 24 characters for the years 0 to 9999.
    pub fn to_rfc3339(self) -> String {
        let (days, in_day) = (self.0.div_euclid(DAY), self.0.rem_euclid(DAY));
        let (year, month, day) = civil(days);
        let (hour, minute, second) = (in_day / 3_600_000, in_day / 60_000 % 60, in_day / 1000 % 60);
        if !(0..=9999).contains(&year) {
            return format!(
                "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z",
                in_day % 1000
            );
        }
        // Digit by digit: every line of the log and of the audit begins with a time.
        let mut text = String::with_capacity(24);
        let digit = |number: i64| u8::try_from(number % 10).map_or('0', |digit| char::from(b'0' + digit));
        text.extend([year / 1000, year / 100, year / 10, year].map(digit));
        text.push('-');
        for (number, end) in [(month, '-'), (day, 'T'), (hour, ':'), (minute, ':'), (second, '.')] {
            text.extend([digit(number / 10), digit(number), end]);
        }
        let millis = in_day % 1000;
        text.extend([digit(millis / 100), digit(millis / 10), digit(millis), 'Z']);
        text
    }

    /// Reads `2026-11-27`, `2026-11-27T19:29Z`, `…:04Z` and `….123Z`: UTC only, so that no time zone is guessed.
    pub fn from_rfc3339(text: &str) -> Option<Self> {
        let (date, time) = text.split_once('T').unwrap_or((text, "00:00Z"));
        let [year, month, day] = numbers(date, '-')?;
        let (clock, fraction) =
            time.strip_suffix('Z').map(|time| time.split_once('.').unwrap_or((time, "")))?;
        let clock = if clock.len() == 5 { format!("{clock}:00") } else { clock.to_owned() };
        let [hour, minute, second] = numbers(&clock, ':')?;
        let millis: i64 = match fraction.len() {
            0 => 0,
            1..=9 if fraction.bytes().all(|byte| byte.is_ascii_digit()) => {
                format!("{fraction:0<3}").get(..3)?.parse().ok()?
            }
            _ => return None,
        };
        let days = days_of(year, month, day);
        let real = (0..=9999).contains(&year) && civil(days) == (year, month, day);
        let in_day = hour < 24 && minute < 60 && second < 60;
        let seconds = (hour * 60 + minute) * 60 + second;
        (real && in_day).then(|| Self(days * DAY + seconds * 1000 + millis))
    }
}

const DAY: i64 = 86_400_000;

fn numbers(text: &str, between: char) -> Option<[i64; 3]> {
    let digits = |part: &str| part.len() >= 2 && part.bytes().all(|byte| byte.is_ascii_digit());
    let parts: Vec<i64> =
        text.split(between).map(|part| digits(part).then(|| part.parse().ok())?).collect::<Option<_>>()?;
    parts.try_into().ok()
}

/// Year, month and day of a day since 1970, in the Gregorian calendar: years are counted from March, so that the
/// leap day is the last of a year.
const fn civil(days: i64) -> (i64, i64, i64) {
    let days = days.saturating_add(719_468);
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (year + era * 400 + if month <= 2 { 1 } else { 0 }, month, day)
}

/// The other way round.
const fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let of_era = year.rem_euclid(400);
    let from_march = (month + 9) % 12;
    let of_year = (153 * from_march + 2) / 5 + day - 1;
    year.div_euclid(400) * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

fn millis_of(by: Duration) -> i64 {
    i64::try_from(by.as_millis()).unwrap_or(i64::MAX)
}

/// Where `now` comes from. It is read once per request and passed down.
pub trait Clock: Send + Sync + 'static {
    /// The present.
    fn now(&self) -> Timestamp;
}

/// The clock of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[allow(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(millis_of(since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_round_down_on_both_sides_of_the_epoch() {
        assert_eq!(Timestamp::from_millis(1999).seconds(), 1);
        assert_eq!(Timestamp::from_millis(-1).seconds(), -1);
    }

    #[test]
    fn written_and_read_in_utc() {
        for (millis, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (1_795_807_744_123, "2026-11-27T19:29:04.123Z"),
            (4_107_542_399_999, "2100-02-28T23:59:59.999Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(Timestamp::from_millis(millis).to_rfc3339(), text);
            assert_eq!(Timestamp::from_rfc3339(text), Some(Timestamp::from_millis(millis)), "{text}");
        }
        for (millis, text) in [
            (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
            (253_402_300_800_000, "10000-01-01T00:00:00.000Z"),
            (-62_167_219_200_000, "0000-01-01T00:00:00.000Z"),
            (-62_167_219_200_001, "-001-12-31T23:59:59.999Z"),
        ] {
            assert_eq!(Timestamp::from_millis(millis).to_rfc3339(), text);
        }
        let day = Timestamp::from_rfc3339("2026-11-27").unwrap();
        assert_eq!(day.to_rfc3339(), "2026-11-27T00:00:00.000Z");
        assert_eq!(Timestamp::from_rfc3339("2026-11-27T01:02Z"), Some(Timestamp(day.0 + 3_720_000)));
        assert_eq!(Timestamp::from_rfc3339("2026-11-27T01:02:03.5Z"), Some(Timestamp(day.0 + 3_723_500)));
        for bad in [
            "",
            "now",
            "2026-11",
            "2026-02-29",
            "2026-13-01",
            "2026-1-1",
            "2026-11-27T24:00Z",
            "2026-11-27T01:02:03",
            "2026-11-27T01:02:03+01:00",
            "2026-11-27T01:02:03.Z0",
            "-2026-11-27",
        ] {
            assert_eq!(Timestamp::from_rfc3339(bad), None, "{bad}");
        }
    }

    #[test]
    fn arithmetic_saturates() {
        let end = Timestamp::from_millis(i64::MAX);
        assert_eq!(end.plus(Duration::from_secs(u64::MAX)), end);
        assert_eq!(Timestamp::from_seconds(i64::MAX), end);
        assert_eq!(Timestamp::from_millis(5).since(Timestamp::from_millis(9)), Duration::ZERO);
    }
}
