//! Nonces for proofs (RFC 9449 §8, §9): a moment with a MAC. Nothing is kept, every node with the same keys accepts those
//! of the others, and nobody else can make one in advance.
//!
//! base64url of: version, key number, half minute (4), MAC (16). The MAC names the place as well: a nonce of the
//! authorization server is of no use at a resource, nor one of a resource at another.

use crate::{
    encoding,
    seal::{KeyRing, Purpose},
    time::Timestamp,
};

const VERSION: u8 = 1;
const MAC: usize = 16;
const LENGTH: usize = 6 + MAC;
/// Seconds for which there is one nonce for everybody.
const STEP: i64 = 30;
/// Steps after which one is no longer accepted: five minutes.
const MOST_STEPS: i64 = 10;

/// A nonce that is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Age {
    /// The one of this moment.
    Present,
    /// There is a newer one, for the next request.
    Older,
}

/// The nonce of this moment for this place.
pub fn present(keys: &KeyRing, place: &str, now: Timestamp) -> String {
    let step = u32::try_from(step(now)).unwrap_or(0).to_be_bytes();
    let number = keys.current();
    let mac = keys.mac(number, Purpose::ProofNonce, &data(step, place)).unwrap_or_default();
    let mut bytes = vec![VERSION, number];
    bytes.extend(step);
    bytes.extend(mac.iter().take(MAC));
    encoding::base64url(&bytes)
}

/// Whether a nonce was made for this place, at most five minutes ago; `None` where not.
pub fn check(keys: &KeyRing, place: &str, nonce: &str, now: Timestamp) -> Option<Age> {
    let bytes: [u8; LENGTH] = encoding::array_from_base64url(nonce)?;
    let [version, number, a, b, c, d, mac @ ..] = bytes;
    let (made, now) = (i64::from(u32::from_be_bytes([a, b, c, d])), step(now));
    // A node whose clock is ahead of ours may have made it.
    if version != VERSION || made > now + 1 || now - made > MOST_STEPS {
        return None;
    }
    keys.check(number, Purpose::ProofNonce, &data([a, b, c, d], place), &mac).ok()?;
    Some(if made < now { Age::Older } else { Age::Present })
}

const fn step(now: Timestamp) -> i64 {
    now.seconds().div_euclid(STEP)
}

fn data(step: [u8; 4], place: &str) -> Vec<u8> {
    [&[VERSION][..], &step, place.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{seal::MasterKey, secret::SecretBytes};
    use std::time::Duration;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
    const PLACE: &str = "https://as.example";

    fn ring(numbers: &[u8]) -> KeyRing {
        let master = |number: &u8| MasterKey { number: *number, bytes: SecretBytes::new([*number; 32]) };
        let masters: Vec<_> = numbers.iter().map(master).collect();
        KeyRing::new(&masters, &SecretBytes::new([1; 32]), PLACE).unwrap()
    }

    #[test]
    fn as_193_a_nonce_is_good_for_five_minutes_at_one_place() {
        let (keys, nonce) = (ring(&[3]), present(&ring(&[3]), PLACE, NOW));
        let at = |seconds: u64| check(&keys, PLACE, &nonce, NOW.plus(Duration::from_secs(seconds)));
        assert_eq!((at(0), at(29), at(30)), (Some(Age::Present), Some(Age::Present), Some(Age::Older)));
        assert_eq!((at(329), at(330), at(86_400)), (Some(Age::Older), None, None));
        let before = |seconds| check(&keys, PLACE, &nonce, NOW.minus(Duration::from_secs(seconds)));
        assert_eq!((before(30), before(31)), (Some(Age::Present), None));
        for place in ["https://as.example/mcp", "https://as.exampl", ""] {
            assert_eq!(check(&keys, place, &nonce, NOW), None, "{place}");
        }
    }

    #[test]
    fn as_193_every_node_accepts_those_of_the_others_and_a_stranger_makes_none() {
        let nonce = present(&ring(&[3]), PLACE, NOW);
        assert_eq!(check(&ring(&[3]), PLACE, &nonce, NOW), Some(Age::Present));
        assert_eq!(check(&ring(&[4, 3]), PLACE, &nonce, NOW), Some(Age::Present));
        assert_eq!(check(&ring(&[4]), PLACE, &nonce, NOW), None);
        let other = SecretBytes::new([7; 32]);
        let stranger =
            KeyRing::new(&[MasterKey { number: 3, bytes: other }], &SecretBytes::new([1; 32]), PLACE);
        assert_eq!(check(&ring(&[3]), PLACE, &present(&stranger.unwrap(), PLACE, NOW), NOW), None);
        for at in 0..nonce.len() {
            let mut bad = nonce.clone().into_bytes();
            bad[at] = if bad[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(check(&ring(&[3]), PLACE, std::str::from_utf8(&bad).unwrap(), NOW), None, "{at}");
        }
        for bad in ["", "A", &nonce[1..], &format!("{nonce}AA")] {
            assert_eq!(check(&ring(&[3]), PLACE, bad, NOW), None);
        }
    }

    #[test]
    fn golden_vector_of_version_1() {
        // Nodes of two releases stand side by side during an upgrade. The MAC was computed from RFC 5869 and RFC 2104 by
        // another program.
        let nonce = "AQMDk4cAmj3TNoLhOqY12YvRughHQw";
        assert_eq!(present(&ring(&[3]), PLACE, NOW), nonce);
        assert_eq!(check(&ring(&[3]), PLACE, nonce, NOW), Some(Age::Present));
    }
}
