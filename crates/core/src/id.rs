//! 16-byte identifiers: 48 bits of milliseconds, then 80 random bits.
//!
//! The order is for the locality of database pages only (random keys cost SQLite 6 to 14 times) and means
//! nothing else. It is not the monotonic generator of `ulid`: neighbours there can be guessed, and cloned
//! machines collide.

use crate::{encoding, entropy::Entropy, time::Timestamp};

fn fresh(now: Timestamp, entropy: &dyn Entropy) -> [u8; 16] {
    let mut bytes = [0; 16];
    entropy.fill(&mut bytes);
    let millis = u64::try_from(now.millis()).unwrap_or(0).to_be_bytes();
    for (to, from) in bytes.iter_mut().zip(millis.iter().skip(2)) {
        *to = *from;
    }
    bytes
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident)+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 16]);

        impl $name {
            /// A new one.
            pub fn new(now: Timestamp, entropy: &dyn Entropy) -> Self {
                Self(fresh(now, entropy))
            }

            /// As stored.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// As stored.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }

            /// Reads the 22 characters that `Display` writes, and no other spelling.
            pub fn parse(text: &str) -> Option<Self> {
                encoding::array_from_base64url(text).map(Self)
            }

            /// When it was made.
            pub fn made_at(&self) -> Timestamp {
                let millis = self.0.iter().take(6).fold(0_i64, |sum, byte| (sum << 8) | i64::from(*byte));
                Timestamp::from_millis(millis)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                encoding::write_base64url(&self.0, f)
            }
        }
    )+};
}

ids! {
    /// A grant: what a person gave to one installation of a client. Also the id of the consent page and of the
    /// code that became it, so that a page sent twice is still one grant.
    GrantId
    /// A person with an account. Its text form is the `sub` of tokens.
    PersonId
    /// A signed-in browser.
    SessionId
    /// One attempt at a write: a conflict with one's own attempt is success, so every write may be run twice.
    AttemptId
    /// One time that a person connected a service of somebody else.
    ConnectionId
    /// One time that an account was linked to an identity provider.
    LinkId
    /// One time that a person turned on a second factor.
    FactorId
    /// One request, so that its answer, its log lines and its audit lines can be put together.
    RequestId
}

/// What no time of birth begins with before the year 10800.
const NO_ROW: u8 = 0xFF;

impl GrantId {
    /// The id of a token that stands behind no row: a machine's, which nobody said yes to. It is revoked like a grant, by
    /// an entry of the feed, and never looked for among the grants.
    #[must_use]
    pub const fn without_row(bytes: [u8; 16]) -> Self {
        let [_, rest @ ..] = bytes;
        let mut id = [NO_ROW; 16];
        let (_, tail) = id.split_at_mut(1);
        tail.copy_from_slice(&rest);
        Self(id)
    }

    /// Whether a grant of this id may be in the store.
    pub const fn has_row(&self) -> bool {
        let [first, ..] = self.0;
        first != NO_ROW
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SystemEntropy;

    #[test]
    fn ordered_by_time_and_read_back() {
        let early = GrantId::new(Timestamp::from_millis(1_000), &SystemEntropy);
        let late = GrantId::new(Timestamp::from_millis(2_000_000_000_000), &SystemEntropy);
        assert!(early < late);
        assert_eq!(late.made_at(), Timestamp::from_millis(2_000_000_000_000));
        assert_eq!(GrantId::parse(&late.to_string()), Some(late));
        assert_eq!(late.to_string(), encoding::base64url(late.as_bytes()));
        assert_eq!((late.to_string().len(), format!("{late:>24}").len()), (22, 24));
        assert_eq!(GrantId::parse(&format!("{late}A")), None);
    }

    #[test]
    fn ids_without_a_row_are_told_apart_and_never_those_of_a_grant() {
        for millis in [0, 1_000, 2_000_000_000_000, 253_402_300_799_999] {
            assert!(GrantId::new(Timestamp::from_millis(millis), &SystemEntropy).has_row());
        }
        for bytes in [[0; 16], [7; 16], [0xFF; 16]] {
            let id = GrantId::without_row(bytes);
            assert!(!id.has_row() && GrantId::parse(&id.to_string()) == Some(id));
            assert_eq!(id.as_bytes()[1..], bytes[1..]);
        }
    }
}
