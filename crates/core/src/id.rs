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
                f.write_str(&encoding::base64url(&self.0))
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
    /// One request, so that its answer, its log lines and its audit lines can be put together.
    RequestId
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
        assert_eq!(late.to_string().len(), 22);
        assert_eq!(GrantId::parse(&format!("{late}A")), None);
    }
}
