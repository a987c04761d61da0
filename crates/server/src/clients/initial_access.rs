//! Initial access tokens (RFC 7591 §3): who holds one may register where registration is not open. Nothing is kept of
//! them: `hpi_` and base64url of version, key number, expiry (seconds, 4), random (8), MAC (16).

use hallpass_core::{
    encoding,
    entropy::{self, Entropy},
    seal::{KeyRing, Purpose},
    secret::SecretString,
    time::Timestamp,
};

const PREFIX: &str = "hpi_";
const VERSION: u8 = 1;
const MAC: usize = 16;

/// Why it opens nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InitialAccessError {
    /// Not one of ours.
    Foreign,
    /// Over.
    Expired,
}

/// One that is good until then, for any number of registrations.
pub fn issue(keys: &KeyRing, entropy: &dyn Entropy, expires_at: Timestamp) -> SecretString {
    let number = keys.current();
    let seconds = u32::try_from(expires_at.seconds()).unwrap_or(u32::MAX);
    let mut bytes = vec![VERSION, number];
    bytes.extend(seconds.to_be_bytes());
    bytes.extend(entropy::random::<8>(entropy));
    let mac = keys.mac(number, Purpose::InitialAccess, &bytes).unwrap_or_default();
    bytes.extend(mac.iter().take(MAC));
    SecretString::new(format!("{PREFIX}{}", encoding::base64url(&bytes)))
}

/// Whether it is one of ours and not over.
pub fn check(keys: &KeyRing, text: &str, now: Timestamp) -> Result<(), InitialAccessError> {
    let expires_at = authentic(keys, text).ok_or(InitialAccessError::Foreign)?;
    if now < expires_at { Ok(()) } else { Err(InitialAccessError::Expired) }
}

fn authentic(keys: &KeyRing, text: &str) -> Option<Timestamp> {
    let bytes = encoding::from_base64url(text.strip_prefix(PREFIX).filter(|rest| rest.len() <= 64)?)?;
    let (body, mac) = bytes.split_at_checked(bytes.len().checked_sub(MAC)?)?;
    let [VERSION, number, a, b, c, d, _, _, _, _, _, _, _, _] = *body else { return None };
    keys.check(number, Purpose::InitialAccess, body, mac).ok()?;
    Some(Timestamp::from_seconds(i64::from(u32::from_be_bytes([a, b, c, d]))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hallpass_core::{entropy::SystemEntropy, seal::MasterKey, secret::SecretBytes};

    fn ring(fill: u8) -> KeyRing {
        let master = MasterKey { number: 3, bytes: SecretBytes::new([fill; 32]) };
        KeyRing::new(&[master], &SecretBytes::new([9; 32]), "https://a.example").unwrap()
    }

    #[test]
    fn as_072_good_until_it_is_over_and_only_as_it_was_made() {
        let (keys, end) = (ring(1), Timestamp::from_seconds(1_800_000_000));
        let token = issue(&keys, &SystemEntropy, end);
        let text = token.expose();
        assert_eq!(check(&keys, text, Timestamp::from_seconds(1_799_999_999)), Ok(()));
        assert_eq!(check(&keys, text, end), Err(InitialAccessError::Expired));
        assert_eq!(check(&ring(2), text, Timestamp::from_seconds(1)), Err(InitialAccessError::Foreign));
        for at in 0..text.len() {
            let mut bad = text.to_owned();
            bad.replace_range(at..=at, if &text[at..=at] == "A" { "B" } else { "A" });
            assert_eq!(
                check(&keys, &bad, Timestamp::from_seconds(1)),
                Err(InitialAccessError::Foreign),
                "{bad}"
            );
        }
        for bad in ["", "hpi_", "hpi_AQ", &text[..text.len() - 1], &format!("{text}A")] {
            assert!(check(&keys, bad, Timestamp::from_seconds(1)).is_err(), "{bad}");
        }
    }
}
