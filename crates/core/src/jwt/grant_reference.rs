//! Which grant, in which state, an access token comes from: the `jti` of our access tokens.
//!
//! Gateways compare it with the revocation feed without a lookup, and it says nothing that the token does not say
//! already. One claim instead of four keeps tokens short.

use crate::{encoding, id::GrantId};
use std::fmt;

/// Names a grant, the state that it was in, and one token of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct GrantReference {
    /// The grant.
    pub grant: GrantId,
    /// Its refreshes so far.
    pub generation: u32,
    /// The person's epoch when they consented.
    pub epoch: u32,
    /// Tells apart the tokens of one generation, as a `jti` has to (RFC 7519 §4.1.7).
    pub salt: [u8; 6],
}

impl GrantReference {
    /// Reads what `Display` writes, `<grant>.<generation>.<epoch>.<salt>`, and no other spelling. Anything else is a
    /// `jti` of another authorization server. The form alone proves nothing: look at the issuer too.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let reference = Self {
            grant: GrantId::parse(parts.next()?)?,
            generation: parts.next()?.parse().ok()?,
            epoch: parts.next()?.parse().ok()?,
            salt: encoding::array_from_base64url(parts.next()?)?,
        };
        // Refuses `+1`, `01` and a fifth part: an identifier with two spellings makes a block list void.
        (reference.to_string() == text).then_some(reference)
    }
}

impl fmt::Display for GrantReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}.{}", self.grant, self.generation, self.epoch, encoding::base64url(&self.salt))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn golden_vector() {
        // Tokens of one release are read by gateways of another.
        let reference = GrantReference {
            grant: GrantId::from_bytes([5; 16]),
            generation: 7,
            epoch: 0,
            salt: [1, 2, 3, 4, 5, 6],
        };
        let text = "BQUFBQUFBQUFBQUFBQUFBQ.7.0.AQIDBAUG";
        assert_eq!(reference.to_string(), text);
        assert_eq!(GrantReference::parse(text), Some(reference));
    }

    #[test]
    fn one_spelling_only() {
        for bad in [
            "",
            "BQUFBQUFBQUFBQUFBQUFBQ",
            "BQUFBQUFBQUFBQUFBQUFBQ.7.0",
            "BQUFBQUFBQUFBQUFBQUFBQ.7.0.AQIDBAUG.",
            "BQUFBQUFBQUFBQUFBQUFBQ.7.0.AQIDBAUG.x",
            "BQUFBQUFBQUFBQUFBQUFBQ.07.0.AQIDBAUG",
            "BQUFBQUFBQUFBQUFBQUFBQ.+7.0.AQIDBAUG",
            "BQUFBQUFBQUFBQUFBQUFBQ.-7.0.AQIDBAUG",
            "BQUFBQUFBQUFBQUFBQUFBQ.7. 0.AQIDBAUG",
            "BQUFBQUFBQUFBQUFBQUFBQ.7.4294967296.AQIDBAUG",
            "BQUFBQUFBQUFBQUFBQUFBR.7.0.AQIDBAUG",
            "BQUFBQUFBQUFBQUFBQUFBQ.7.0.AQIDBAU",
            "dbe39bf3a3ba4238a513f51d6e1691c4",
        ] {
            assert_eq!(GrantReference::parse(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn round_trip(grant: [u8; 16], generation: u32, epoch: u32, salt: [u8; 6]) {
            let reference = GrantReference { grant: GrantId::from_bytes(grant), generation, epoch, salt };
            prop_assert_eq!(GrantReference::parse(&reference.to_string()), Some(reference));
        }

        #[test]
        fn whatever_is_read_is_written_the_same(text in "[A-Za-z0-9._+-]{22,50}") {
            if let Some(reference) = GrantReference::parse(&text) {
                prop_assert_eq!(reference.to_string(), text);
            }
        }
    }
}
