//! How long a document may be kept (RFC 9111, as far as it concerns whole documents), and the bounded place
//! where documents are.

use crate::document::Document;
use hallpass_core::time::Timestamp;
use http::{HeaderMap, header};
use quick_cache::{Weighter, sync::Cache};
use std::time::Duration;

/// Shortest time that a keepable document is kept: a host that says `max-age=0` must not make us ask it at
/// every sign-in.
pub const MIN_KEPT: Duration = Duration::from_mins(5);
/// Longest time, whatever the host says: a changed document must be seen within a day.
pub const MAX_KEPT: Duration = Duration::from_hours(24);
const MAX_DOCUMENTS: usize = 512;
const MAX_BYTES: u64 = 4 * 1024 * 1024;

/// For how long an answer may be kept, or `None` if it must not be kept at all.
///
/// `no-store`, `no-cache` and `private` are obeyed; otherwise `max-age` less `Age`, else `Expires`, else
/// nothing said, within [`MIN_KEPT`] and [`MAX_KEPT`].
pub fn keep_for(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let mut max_age = None;
    for value in headers.get_all(header::CACHE_CONTROL) {
        for directive in value.to_str().ok()?.split(',') {
            let (name, argument) = directive.split_once('=').unwrap_or((directive, ""));
            let name = name.trim();
            if ["no-store", "no-cache", "private"].iter().any(|stop| name.eq_ignore_ascii_case(stop)) {
                return None;
            }
            if name.eq_ignore_ascii_case("max-age") {
                // Two values, or one that is no number: the shortest (RFC 9111 §4.2.1).
                let seconds = argument.trim().trim_matches('"').parse::<u64>().unwrap_or(0);
                max_age = Some(max_age.map_or(seconds, |other: u64| other.min(seconds)));
            }
        }
    }
    let seconds = max_age.map(|seconds| seconds.saturating_sub(age(headers)));
    let said = seconds.map(Duration::from_secs).or_else(|| expires_in(headers, now)).unwrap_or(MIN_KEPT);
    Some(said.clamp(MIN_KEPT, MAX_KEPT))
}

fn age(headers: &HeaderMap) -> u64 {
    headers.get(header::AGE).and_then(|value| value.to_str().ok()?.trim().parse().ok()).unwrap_or(0)
}

fn expires_in(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let date = |name| headers.get(name).and_then(|value: &http::HeaderValue| http_date(value.to_str().ok()?));
    let expires = headers.get(header::EXPIRES)?;
    // An unreadable date means "already expired" (RFC 9111 §5.3).
    let Some(end) = expires.to_str().ok().and_then(http_date) else { return Some(Duration::ZERO) };
    Some(end.since(date(header::DATE).unwrap_or(now)))
}

/// `Sun, 06 Nov 1994 08:49:37 GMT`, the one form that senders may write (RFC 9110 §5.6.7).
pub fn http_date(text: &str) -> Option<Timestamp> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (_, rest) = text.split_once(", ")?;
    let mut parts = rest.strip_suffix(" GMT")?.split(' ');
    let day: i64 = parts.next()?.parse().ok()?;
    let name = parts.next()?;
    let month = i64::try_from(MONTHS.iter().position(|month| *month == name)?).ok()? + 1;
    let year: i64 = parts.next()?.parse().ok()?;
    let mut clock = parts.next()?.split(':').map(|part| part.parse::<i64>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    let in_day = (0..24).contains(&hour) && (0..60).contains(&minute) && (0..=60).contains(&second);
    if !(1..=31).contains(&day) || !(1970..=9999).contains(&year) || !in_day {
        return None;
    }
    // Days since the epoch: years start in March, so that the leap day is the last one.
    let shifted = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = 365 * shifted + shifted / 4 - shifted / 100 + shifted / 400 + day_of_year - 719_468;
    Some(Timestamp::from_seconds(days * 86_400 + hour * 3_600 + minute * 60 + second))
}

/// What a kept document is found by: the exact URL, and the policy, so that what was read from a trusted
/// private host is never handed to somebody who only may read public ones.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    pub(crate) url: String,
    pub(crate) policy: String,
}

/// A document and the time until which it need not be asked for again.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) document: Document,
    pub(crate) until: Timestamp,
}

#[derive(Clone)]
struct Size;

impl Weighter<Key, Kept> for Size {
    fn weight(&self, key: &Key, kept: &Kept) -> u64 {
        u64::try_from(key.url.len() + kept.document.body.len() + 512).unwrap_or(MAX_BYTES)
    }
}

/// At most 512 documents and 4 MiB; the least used goes first.
pub(crate) struct Documents(Cache<Key, Kept, Size>);

impl Documents {
    pub(crate) fn new() -> Self {
        Self(Cache::with_weighter(MAX_DOCUMENTS, MAX_BYTES, Size))
    }

    /// Also an old one: its `ETag` saves the body.
    pub(crate) fn find(&self, key: &Key) -> Option<Kept> {
        self.0.get(key)
    }

    pub(crate) fn keep(&self, key: Key, kept: Kept) {
        self.0.insert(key, kept);
    }

    pub(crate) fn forget(&self, key: &Key) {
        self.0.remove(key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(lines: &[(&'static str, &str)]) -> Option<u64> {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, value.parse().unwrap());
        }
        keep_for(&headers, Timestamp::from_seconds(784_111_777)).map(|duration| duration.as_secs())
    }

    #[test]
    fn as_052_cache_control_within_our_own_bounds() {
        assert_eq!(kept(&[]), Some(300));
        assert_eq!(kept(&[("cache-control", "max-age=0")]), Some(300));
        assert_eq!(kept(&[("cache-control", "max-age=10")]), Some(300));
        assert_eq!(kept(&[("cache-control", "public, Max-Age=3600")]), Some(3600));
        assert_eq!(kept(&[("cache-control", "max-age=\"3600\"")]), Some(3600));
        assert_eq!(kept(&[("cache-control", "max-age=1000000000")]), Some(86_400));
        assert_eq!(kept(&[("cache-control", "max-age=99999999999999999999999")]), Some(300));
        assert_eq!(kept(&[("cache-control", "max-age=7200"), ("age", "3600")]), Some(3600));
        assert_eq!(kept(&[("cache-control", "max-age=7200"), ("cache-control", "max-age=600")]), Some(600));
        for stop in ["no-store", "No-Store", "max-age=60, no-store", "no-cache", "private, max-age=600"] {
            assert_eq!(kept(&[("cache-control", stop)]), None, "{stop}");
        }
        assert_eq!(kept(&[("cache-control", "max-age=600"), ("cache-control", "no-store")]), None);
    }

    #[test]
    fn as_052_expires_counts_where_there_is_no_max_age() {
        let (date, hour_later) = ("Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 09:49:37 GMT");
        assert_eq!(http_date(date), Some(Timestamp::from_seconds(784_111_777)));
        assert_eq!(http_date("Thu, 29 Feb 2024 23:59:59 GMT"), Some(Timestamp::from_seconds(1_709_251_199)));
        assert_eq!(kept(&[("expires", hour_later)]), Some(3600));
        assert_eq!(kept(&[("expires", hour_later), ("date", "Sun, 06 Nov 1994 09:19:37 GMT")]), Some(1800));
        assert_eq!(kept(&[("expires", "0")]), Some(300));
        assert_eq!(kept(&[("expires", hour_later), ("cache-control", "max-age=600")]), Some(600));
    }
}
