//! Refresh tokens: derived, never stored.
//!
//! `hpr_` and 60 characters of base64url: version, key number, grant id (16), generation (4), MAC (20), checksum (3).
//! A forged one costs no lookup, a dump of the database contains none, and a scanner finds a leaked one by prefix and
//! checksum without asking us.

use crate::{
    encoding,
    id::GrantId,
    seal::{KeyRing, Purpose},
    secret::SecretString,
};
use aws_lc_rs::digest;

/// What every refresh token starts with.
pub const REFRESH_PREFIX: &str = "hpr_";
const VERSION: u8 = 1;
const MAC: usize = 20;
const SUM: usize = 3;

/// Why a text is not one of our refresh tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RefreshTokenError {
    /// Not of the form at all, for example an access token.
    #[error("not a refresh token")]
    Form,
    /// Damaged on the way: the checksum is wrong.
    #[error("a damaged refresh token")]
    Damaged,
    /// Of the form, but not made by this server.
    #[error("not a refresh token of this server")]
    Forged,
    /// It says that it was made under a master key which this node does not have yet: by a node that is ahead, or forged.
    #[error("under a master key that is not here yet")]
    KeyNotHere,
}

/// What a genuine refresh token says. Whether it is alive is the store's to decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefreshToken {
    /// The grant.
    pub grant: GrantId,
    /// Counts the refreshes of the grant.
    pub generation: u32,
}

impl RefreshToken {
    /// The text for the client. The same grant and generation give the same text: a repeated refresh converges.
    pub fn mint(self, keys: &KeyRing) -> SecretString {
        let number = keys.current();
        let mut bytes = self.body(number);
        let mac = keys.mac(number, Purpose::RefreshToken, &bytes).unwrap_or_default();
        bytes.extend(mac.iter().take(MAC));
        let sum = checksum(&bytes);
        bytes.extend(sum);
        let mut text = String::with_capacity(REFRESH_PREFIX.len() + bytes.len().div_ceil(3) * 4);
        text.push_str(REFRESH_PREFIX);
        encoding::push_base64url(&mut text, &bytes);
        SecretString::new(text)
    }

    /// Checks form, checksum and MAC, in this order.
    pub fn check(keys: &KeyRing, text: &str) -> Result<Self, RefreshTokenError> {
        let bytes = summed(text)?;
        let (body, mac) = bytes.split_at(22);
        let (number, token) = Self::said(body)?;
        if keys.is_later(number) {
            return Err(RefreshTokenError::KeyNotHere);
        }
        keys.check(number, Purpose::RefreshToken, body, mac).map_err(|_| RefreshTokenError::Forged)?;
        Ok(token)
    }

    /// The grant that a text names, for who has no keys: a client that has two and wants to know whether they are of one grant.
    /// Whether it is genuine is not looked at. `None`: not of this form.
    pub fn grant_named_in(text: &str) -> Option<GrantId> {
        let bytes = summed(text).ok()?;
        let (body, _) = bytes.split_at(22);
        Self::said(body).ok().map(|(_, token)| token.grant)
    }

    /// The number of the key, and what the token says.
    fn said(body: &[u8]) -> Result<(u8, Self), RefreshTokenError> {
        let (head, rest) = body.split_at_checked(2).ok_or(RefreshTokenError::Form)?;
        let (grant, generation) = rest.split_at_checked(16).ok_or(RefreshTokenError::Form)?;
        match (head, <[u8; 16]>::try_from(grant), <[u8; 4]>::try_from(generation)) {
            (&[VERSION, number], Ok(grant), Ok(generation)) => {
                let generation = u32::from_be_bytes(generation);
                Ok((number, Self { grant: GrantId::from_bytes(grant), generation }))
            }
            _ => Err(RefreshTokenError::Form),
        }
    }

    fn body(self, number: u8) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(22 + MAC + SUM);
        bytes.extend([VERSION, number]);
        bytes.extend(self.grant.as_bytes());
        bytes.extend(self.generation.to_be_bytes());
        bytes
    }
}

/// Body and MAC of a text whose checksum is right.
fn summed(text: &str) -> Result<[u8; 22 + MAC], RefreshTokenError> {
    let text = text.strip_prefix(REFRESH_PREFIX).ok_or(RefreshTokenError::Form)?;
    let bytes: [u8; 22 + MAC + SUM] = encoding::array_from_base64url(text).ok_or(RefreshTokenError::Form)?;
    let (summed, sum) = bytes.split_at(22 + MAC);
    if checksum(summed) != sum {
        return Err(RefreshTokenError::Damaged);
    }
    summed.try_into().map_err(|_| RefreshTokenError::Form)
}

fn checksum(bytes: &[u8]) -> [u8; SUM] {
    let digest = digest::digest(&digest::SHA256, bytes);
    let mut sum = [0; SUM];
    for (to, from) in sum.iter_mut().zip(digest.as_ref()) {
        *to = *from;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{seal::MasterKey, secret::SecretBytes};

    fn ring(fill: u8) -> KeyRing {
        let master = MasterKey { number: 3, bytes: SecretBytes::new([fill; 32]) };
        KeyRing::new(&[master], &SecretBytes::new([1; 32]), "https://a.example").unwrap()
    }

    fn token() -> RefreshToken {
        RefreshToken { grant: GrantId::from_bytes([5; 16]), generation: 7 }
    }

    #[test]
    fn sixty_four_characters_and_always_the_same() {
        let text = token().mint(&ring(1));
        assert_eq!(text.expose().len(), 64);
        assert_eq!(text, token().mint(&ring(1)));
        assert_eq!(RefreshToken::check(&ring(1), text.expose()), Ok(token()));
    }

    #[test]
    fn golden_vector_of_version_1() {
        // Written by the first release: tokens outlive releases, so this text must be read for ever. Its MAC and checksum were
        // computed from RFC 5869 and RFC 2104 by another program.
        let text = "hpr_AQMFBQUFBQUFBQUFBQUFBQUFAAAABzZM47a4SWccgoPlYeB0X7a6jZ7S-V9U";
        assert_eq!(token().mint(&ring(1)).expose(), text);
        assert_eq!(RefreshToken::check(&ring(1), text), Ok(token()));
    }

    #[test]
    fn without_keys_the_grant_can_be_read_and_nothing_else_is_one() {
        let text = token().mint(&ring(1));
        assert_eq!(RefreshToken::grant_named_in(text.expose()), Some(GrantId::from_bytes([5; 16])));
        let next = RefreshToken { generation: 8, ..token() }.mint(&ring(2));
        assert_eq!(RefreshToken::grant_named_in(next.expose()), Some(GrantId::from_bytes([5; 16])));
        for other in ["", "hpr_", "refresh-1", &text.expose()[..63], &text.expose().replace("hpr_A", "hpr_B")]
        {
            assert_eq!(RefreshToken::grant_named_in(other), None, "{other}");
        }
    }

    #[test]
    fn t_97_a_later_key_is_called_not_here_and_an_earlier_one_forged() {
        let under = |number| {
            let master = MasterKey { number, bytes: SecretBytes::new([1; 32]) };
            let ring = KeyRing::new(&[master], &SecretBytes::new([1; 32]), "https://a.example").unwrap();
            token().mint(&ring).expose().to_owned()
        };
        let check = |number| RefreshToken::check(&ring(1), &under(number));
        assert_eq!((check(3), check(4)), (Ok(token()), Err(RefreshTokenError::KeyNotHere)));
        assert_eq!(
            (check(2), check(255)),
            (Err(RefreshTokenError::Forged), Err(RefreshTokenError::KeyNotHere))
        );
        let mut damaged = under(4);
        damaged.replace_range(63.., if damaged.ends_with('A') { "B" } else { "A" });
        assert_eq!(
            RefreshToken::check(&ring(1), &damaged),
            Err(RefreshTokenError::Damaged),
            "first things first"
        );
    }

    #[test]
    fn t_99_another_key_opens_nothing() {
        let text = token().mint(&ring(1));
        assert_eq!(RefreshToken::check(&ring(2), text.expose()), Err(RefreshTokenError::Forged));
    }

    #[test]
    fn every_changed_character_is_noticed() {
        let ring = ring(1);
        let text = token().mint(&ring).expose().to_owned();
        for at in 0..text.len() {
            for other in ['A', 'B', '-', '_', '9', '='] {
                let mut bad: Vec<char> = text.chars().collect();
                if bad[at] == other {
                    continue;
                }
                bad[at] = other;
                let bad: String = bad.into_iter().collect();
                assert!(RefreshToken::check(&ring, &bad).is_err(), "{bad}");
            }
        }
        assert_eq!(RefreshToken::check(&ring, ""), Err(RefreshTokenError::Form));
        assert_eq!(RefreshToken::check(&ring, &format!("{text}A")), Err(RefreshTokenError::Form));
    }

    #[test]
    fn b_26_a_right_checksum_is_no_mac() {
        let mut bytes = token().body(3);
        bytes.extend([0; MAC]);
        bytes.extend(checksum(&bytes));
        let forged = format!("{REFRESH_PREFIX}{}", encoding::base64url(&bytes));
        assert_eq!(RefreshToken::check(&ring(1), &forged), Err(RefreshTokenError::Forged));
    }
}
