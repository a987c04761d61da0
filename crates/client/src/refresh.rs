//! When an access token is renewed. Pure; the driver holds the locks.

use crate::storage::Tokens;
use hallpass_core::time::Timestamp;
use std::time::Duration;

/// Renewed at most this long before the end, and never before nine tenths of the lifetime are over.
const AHEAD: Duration = Duration::from_mins(1);

/// What to do with an access token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Use it.
    Fresh,
    /// Renew it; it can still be used if that does not work.
    Soon,
    /// Renew it; it has ended by our clock.
    Ended,
}

/// Whether the token has to be renewed. `spread` (0 to 255, drawn by each process) moves the moment, so that
/// many processes do not come at once.
///
/// An unknown end is fresh until the server says otherwise. So is a token "from the future": then this clock was
/// set back and says nothing about ends (CL-082).
pub fn due(tokens: &Tokens, now: Timestamp, spread: u8) -> Due {
    let Some(end) = tokens.expires_at else { return Due::Fresh };
    if now < tokens.issued_at {
        return Due::Fresh;
    }
    if now >= end {
        return Due::Ended;
    }
    let ahead = (end.since(tokens.issued_at) / 10).min(AHEAD);
    let early = ahead / 2 + ahead / 2 * u32::from(spread) / 255;
    if now.plus(early) >= end { Due::Soon } else { Due::Fresh }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hallpass_core::{scope::Scope, secret::SecretString};

    fn tokens(lifetime: Option<i64>) -> Tokens {
        Tokens {
            access_token: SecretString::new("a"),
            issued_at: Timestamp::from_seconds(1000),
            expires_at: lifetime.map(|seconds| Timestamp::from_seconds(1000 + seconds)),
            refresh_token: None,
            scope: Scope::none(),
            proof_key: None,
        }
    }

    #[test]
    fn cl_067_ahead_of_the_end_with_a_spread() {
        let at = |lifetime, second: i64, spread| {
            due(&tokens(Some(lifetime)), Timestamp::from_seconds(1000 + second), spread)
        };
        assert_eq!(at(3600, 3539, 255), Due::Fresh);
        assert_eq!(at(3600, 3540, 255), Due::Soon);
        assert_eq!(at(3600, 3569, 0), Due::Fresh);
        assert_eq!(at(3600, 3570, 0), Due::Soon);
        assert_eq!(at(3600, 3600, 0), Due::Ended);
        // A short-lived token is not renewed at every call.
        assert_eq!(at(10, 8, 255), Due::Fresh);
        assert_eq!(at(1, 0, 255), Due::Fresh);
    }

    #[test]
    fn cl_058_cl_082_unknown_ends_and_wrong_clocks() {
        assert_eq!(due(&tokens(None), Timestamp::from_seconds(i64::MAX), 0), Due::Fresh);
        assert_eq!(due(&tokens(Some(60)), Timestamp::from_seconds(0), 0), Due::Fresh);
    }
}
