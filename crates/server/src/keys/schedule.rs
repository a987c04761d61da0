//! When a signing key does what: pure, from the rows alone, so that all nodes agree without asking each other.
//!
//! published → signing → verifying → ended. Published before it signs for longer than anybody may keep the key set; verifying
//! for longer than any access token may live; after that, or when an operator retires it, it is refused.

use hallpass_core::time::Timestamp;
use hallpass_store::StoredKey;
use std::time::Duration;

/// How long a key is published before it signs: the key set may be kept for five minutes, and clocks differ.
pub const PUBLISHED_AHEAD: Duration = Duration::from_mins(10);
/// How long a key verifies after another has taken over: access tokens live for a day at most, and clocks differ.
pub const VERIFIES_AFTER: Duration = Duration::from_hours(25);
/// How long an ended key is still listed for operators.
const LISTED_AFTER: Duration = Duration::from_hours(24 * 30);

/// What a key does at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Everybody can have it, and nothing is signed with it before this.
    Published(Timestamp),
    /// New tokens are signed with it.
    Signing,
    /// Nothing new is signed with it; what was is good until this at the latest.
    Verifying(Timestamp),
    /// What it has signed is refused.
    Ended,
}

impl Stage {
    /// In lists.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Published(_) => "published",
            Self::Signing => "signing",
            Self::Verifying(_) => "verifying",
            Self::Ended => "ended",
        }
    }
}

/// What each key does now, in the order of the keys. Exactly one signs, if any is left at all.
pub fn stages(keys: &[StoredKey], now: Timestamp) -> Vec<Stage> {
    let signing = signing(keys, now);
    keys.iter()
        .map(|key| {
            if key.retired_at.is_some() {
                Stage::Ended
            } else if signing.is_some_and(|signing| signing.kid == key.kid) {
                Stage::Signing
            } else if key.signs_from > now {
                Stage::Published(key.signs_from)
            } else {
                let after = |other: &&StoredKey| other.signs_from > key.signs_from && other.signs_from <= now;
                let taken_over = keys.iter().filter(after).map(|other| other.signs_from).min();
                let until = taken_over.unwrap_or(now).plus(VERIFIES_AFTER);
                if now < until { Stage::Verifying(until) } else { Stage::Ended }
            }
        })
        .collect()
}

/// The newest of those that may sign. On a clock that was set back before all of them, the oldest.
fn signing(keys: &[StoredKey], now: Timestamp) -> Option<&StoredKey> {
    let usable = || keys.iter().filter(|key| key.retired_at.is_none());
    let begun = usable().filter(|key| key.signs_from <= now);
    begun
        .max_by(|a, b| (a.signs_from, &a.kid).cmp(&(b.signs_from, &b.kid)))
        .or_else(|| usable().min_by(|a, b| (a.signs_from, &a.kid).cmp(&(b.signs_from, &b.kid))))
}

/// Whether it is time for the next key: the newest is too old, or of another algorithm than the setting says.
pub fn is_due(keys: &[StoredKey], every: Option<Duration>, algorithm: &str, now: Timestamp) -> bool {
    let newest = keys.iter().filter(|key| key.retired_at.is_none()).max_by_key(|key| key.created_at);
    newest.is_none_or(|newest| {
        newest.algorithm != algorithm || every.is_some_and(|every| now.since(newest.created_at) >= every)
    })
}

/// Keys of which nothing can be alive, and that operators have seen for long enough.
pub fn removable(keys: &[StoredKey], now: Timestamp) -> Vec<String> {
    let stages = stages(keys, now.minus(LISTED_AFTER));
    let ended = |(key, stage): (&StoredKey, Stage)| {
        let long_ago = key.retired_at.is_none_or(|at| now.since(at) > LISTED_AFTER);
        (stage == Stage::Ended && long_ago).then(|| key.kid.clone())
    };
    keys.iter().zip(stages).filter_map(ended).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGIN: Timestamp = Timestamp::from_seconds(1_800_000_000);

    fn at(hours: u64) -> Timestamp {
        BEGIN.plus(Duration::from_hours(hours))
    }

    fn key(kid: &str, made: u64, signs: u64) -> StoredKey {
        StoredKey {
            kid: kid.into(),
            algorithm: "ES256".into(),
            sealed: Vec::new(),
            created_at: at(made),
            signs_from: at(signs),
            retired_at: None,
        }
    }

    #[test]
    fn as_186_published_before_it_signs_and_kept_until_its_last_token_has_expired() {
        let keys = [key("a", 0, 0), key("b", 100, 101)];
        let names = |now| stages(&keys, now).into_iter().map(Stage::name).collect::<Vec<_>>();
        assert_eq!(names(at(99)), ["signing", "published"]);
        assert_eq!(names(at(101)), ["verifying", "signing"]);
        assert_eq!(names(at(101 + 24)), ["verifying", "signing"], "a token of a day is still good");
        assert_eq!(names(at(101 + 25)), ["ended", "signing"]);
        assert_eq!(stages(&keys, at(102))[0], Stage::Verifying(at(126)));
    }

    #[test]
    fn as_219_a_clock_that_was_set_back_finds_a_key_to_sign_with() {
        let keys = [key("a", 10, 10), key("b", 20, 21)];
        let now = stages(&keys, at(0));
        assert_eq!(now, [Stage::Signing, Stage::Published(at(21))]);
    }

    #[test]
    fn t_49_a_retired_key_is_ended_at_once_and_another_signs() {
        let mut keys = [key("a", 0, 0), key("b", 1, 1)];
        keys[1].retired_at = Some(at(2));
        assert_eq!(stages(&keys, at(3)), [Stage::Signing, Stage::Ended]);
        keys[0].retired_at = Some(at(2));
        assert_eq!(stages(&keys, at(3)), [Stage::Ended, Stage::Ended]);
    }

    #[test]
    fn the_next_key_is_due_by_age_and_by_algorithm() {
        let keys = [key("a", 0, 0)];
        let every = Some(Duration::from_hours(100));
        assert!(!is_due(&keys, every, "ES256", at(99)) && is_due(&keys, every, "ES256", at(100)));
        assert!(is_due(&keys, every, "EdDSA", at(0)) && !is_due(&keys, None, "ES256", at(100_000)));
        assert!(is_due(&[], every, "ES256", at(0)));
    }

    #[test]
    fn as_220_ended_keys_go_a_month_later() {
        let mut keys = vec![key("a", 0, 0), key("b", 100, 101)];
        assert_eq!(removable(&keys, at(126 + 719)), Vec::<String>::new());
        assert_eq!(removable(&keys, at(126 + 720)), ["a"]);
        keys[0].retired_at = Some(at(800));
        assert_eq!(removable(&keys, at(1_400)), Vec::<String>::new(), "a month from then");
    }
}
