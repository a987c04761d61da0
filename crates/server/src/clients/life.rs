//! What the owner's word about a document means for grants that exist. Pure.
//!
//! One bad deploy at a client's maker must not sign everybody out: a document that is gone stops new authorizations at
//! once, but exchanges only when it is seen gone again an hour later, and then the client is suspended, never revoked.

use hallpass_core::time::Timestamp;
use hallpass_store::StoredDocument;
use std::time::Duration;

/// How patient an operator is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DocumentLife {
    /// Gone and seen gone again after this, the client is suspended: exchanges get 503.
    pub suspended_after: Duration,
    /// Suspended for this long, exchanges get `invalid_client`.
    pub refused_after: Duration,
}

impl DocumentLife {
    /// An hour, and a day.
    pub const fn usual() -> Self {
        Self { suspended_after: Duration::from_hours(1), refused_after: Duration::from_hours(24) }
    }
}

/// Where a kept document stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Its owner publishes it, as far as we know.
    Good,
    /// Its owner took it away or broke it: nobody new is asked, exchanges go on.
    Gone,
    /// The same for long: exchanges wait.
    Suspended,
    /// The same for so long that nobody waits any more.
    Refused,
}

/// Where it stands now.
pub fn standing(document: &StoredDocument, life: DocumentLife, now: Timestamp) -> Standing {
    match (document.gone_since, document.suspended_at) {
        (None, _) => Standing::Good,
        (Some(_), None) => Standing::Gone,
        (Some(_), Some(at)) if now < at.plus(life.refused_after) => Standing::Suspended,
        (Some(_), Some(_)) => Standing::Refused,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn m12_as_053_gone_then_suspended_then_refused() {
        let (start, life) = (Timestamp::from_seconds(1_000_000), DocumentLife::usual());
        let at = |gone: Option<u64>, suspended: Option<u64>, now: u64| {
            let time = |hours: u64| start.plus(Duration::from_hours(hours));
            let document = StoredDocument {
                url: String::new(),
                body: Vec::new(),
                checked_at: start,
                fresh_until: start,
                gone_since: gone.map(time),
                suspended_at: suspended.map(time),
            };
            standing(&document, life, time(now))
        };
        assert_eq!(at(None, None, 9), Standing::Good);
        assert_eq!(at(Some(0), None, 100), Standing::Gone, "seen once is not enough, however long ago");
        assert_eq!(at(Some(0), Some(1), 1), Standing::Suspended);
        assert_eq!(at(Some(0), Some(1), 24), Standing::Suspended);
        assert_eq!(at(Some(0), Some(1), 25), Standing::Refused);
    }
}
