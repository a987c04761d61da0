//! Device codes and user codes (RFC 8628): the request of a device, sealed, and the eight letters by which a person finds it.
//!
//! Anybody's device may ask, so nothing is stored for it. A person who is signed in types the letters, which makes a row;
//! the device's next poll brings its request there. Two devices with the same letters are possible, and then nobody gets
//! anything.

use super::{digest16, take};
use crate::{
    encoding,
    entropy::{self, Entropy},
    id::GrantId,
    seal::{KeyRing, Purpose},
    secret::SecretString,
    time::Timestamp,
};
use std::{fmt, time::Duration};

/// How long a device may poll, and a person type.
pub const DEVICE_LIFETIME: Duration = Duration::from_mins(10);
/// How far the clock of the node that sealed it may be ahead of ours.
const FUTURE: Duration = Duration::from_secs(30);
const FORMAT: u8 = 1;
/// No vowels, so no words; nothing that looks like a digit or sounds like another one (RFC 8628 §6.1).
const LETTERS: [char; 20] =
    ['B', 'C', 'D', 'F', 'G', 'H', 'J', 'K', 'L', 'M', 'N', 'P', 'Q', 'R', 'S', 'T', 'V', 'W', 'X', 'Z'];
const LENGTH: u32 = 8;
/// So many codes there are: 2.56 × 10^10.
const CODES: u64 = 20_u64.pow(LENGTH);
/// Longest text that is looked at as a user code.
const LONGEST: usize = 64;

/// What a person types. It finds a device that polls, opens nothing, and is no secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserCode(u64);

impl UserCode {
    /// One at random.
    pub fn new(entropy: &dyn Entropy) -> Self {
        // The highest bits of a product: each code has the same chance, but for one in 10^9.
        let random = u128::from(u64::from_be_bytes(entropy::random(entropy)));
        Self(u64::try_from((random * u128::from(CODES)) >> 64).unwrap_or(0))
    }

    /// As somebody types it: small letters, spaces and hyphens do not matter.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > LONGEST {
            return None;
        }
        let (mut number, mut count) = (0_u64, 0_u32);
        for typed in text
            .chars()
            .filter(|typed| !typed.is_whitespace() && !matches!(typed, '-' | '\u{2010}' | '\u{2011}'))
        {
            let at = LETTERS.iter().position(|letter| *letter == typed.to_ascii_uppercase())?;
            count += 1;
            number = number.checked_mul(20)?.checked_add(u64::try_from(at).ok()?)?;
        }
        (count == LENGTH).then_some(Self(number))
    }

    /// As stored.
    pub fn number(self) -> i64 {
        i64::try_from(self.0).unwrap_or(0)
    }

    /// As stored.
    pub fn from_number(number: i64) -> Option<Self> {
        u64::try_from(number).ok().filter(|number| *number < CODES).map(Self)
    }
}

impl fmt::Display for UserCode {
    /// `BCDF-GHJK`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for at in (0..LENGTH).rev() {
            let digit = usize::try_from(self.0 / 20_u64.pow(at) % 20).unwrap_or(0);
            write!(f, "{}", LETTERS.get(digit).copied().unwrap_or('B'))?;
            if at == LENGTH / 2 {
                write!(f, "-")?;
            }
        }
        Ok(())
    }
}

/// Why a text is not a device code that can be polled with now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeviceCodeError {
    /// Not sealed by this server as one.
    #[error("not a device code of this server")]
    Foreign,
    /// It says that it was sealed under a master key which this node does not have yet.
    #[error("under a master key that is not here yet")]
    KeyNotHere,
    /// Sealed by us, in a format that this release does not know.
    #[error("a device code of another release")]
    Format,
    /// Older than [`DEVICE_LIFETIME`].
    #[error("the device code has expired")]
    Expired,
    /// From the future: clocks of the nodes are apart.
    #[error("the device code is from the future")]
    Future,
}

/// What a device code holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceCode {
    /// The grant that it may open: single use is its primary key.
    pub id: GrantId,
    /// [`digest16`] of the `client_id`.
    pub client: [u8; 16],
    /// [`digest16`] of the resource in its registered form.
    pub resource: [u8; 16],
    /// [`digest16`] of the resource's scope list that the positions refer to.
    pub scope_list: [u8; 16],
    /// Bit `n` of byte `n / 8` stands for scope `n` of that list; no trailing zero byte.
    pub scopes: Vec<u8>,
    /// What a person types.
    pub user_code: UserCode,
    /// When the device asked.
    pub asked_at: Timestamp,
}

impl DeviceCode {
    /// Seals it for the device.
    pub fn seal(&self, keys: &KeyRing, entropy: &dyn Entropy) -> SecretString {
        let mut bytes = vec![FORMAT];
        bytes.extend(self.id.as_bytes());
        bytes.extend(self.client);
        bytes.extend(self.resource);
        bytes.extend(self.scope_list);
        bytes.extend(self.user_code.0.to_be_bytes());
        bytes.extend(self.asked_at.millis().to_be_bytes());
        bytes.extend(&self.scopes);
        SecretString::new(encoding::base64url(&keys.seal(Purpose::DeviceCode, b"", &bytes, entropy)))
    }

    /// Opens one and checks its age, nothing else.
    pub fn open(keys: &KeyRing, text: &str, now: Timestamp) -> Result<Self, DeviceCodeError> {
        if text.len() > 1024 {
            return Err(DeviceCodeError::Foreign);
        }
        let sealed = encoding::from_base64url(text).ok_or(DeviceCodeError::Foreign)?;
        if KeyRing::number_of(&sealed).is_some_and(|number| keys.is_later(number)) {
            return Err(DeviceCodeError::KeyNotHere);
        }
        let bytes = keys.open(Purpose::DeviceCode, b"", &sealed).map_err(|_| DeviceCodeError::Foreign)?;
        let code = Self::read(&bytes).ok_or(DeviceCodeError::Format)?;
        if code.asked_at > now.plus(FUTURE) {
            return Err(DeviceCodeError::Future);
        }
        if now.since(code.asked_at) >= DEVICE_LIFETIME {
            return Err(DeviceCodeError::Expired);
        }
        Ok(code)
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        if take(&mut rest)? != [FORMAT] {
            return None;
        }
        Some(Self {
            id: GrantId::from_bytes(take(&mut rest)?),
            client: take(&mut rest)?,
            resource: take(&mut rest)?,
            scope_list: take(&mut rest)?,
            user_code: UserCode::from_number(i64::from_be_bytes(take(&mut rest)?))?,
            asked_at: Timestamp::from_millis(i64::from_be_bytes(take(&mut rest)?)),
            scopes: if rest.len() <= super::MAX_SCOPES / 8 { rest.to_vec() } else { return None },
        })
    }

    /// Whether this client asked for it.
    pub fn is_of(&self, client_id: &str) -> bool {
        crate::secret::equal(&self.client, &digest16(client_id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{entropy::SystemEntropy, seal::MasterKey, secret::SecretBytes};
    use std::collections::HashSet;

    fn ring(number: u8) -> KeyRing {
        let master = MasterKey { number, bytes: SecretBytes::new([1; 32]) };
        KeyRing::new(&[master], &SecretBytes::new([2; 32]), "https://a.example").unwrap()
    }

    fn code() -> DeviceCode {
        DeviceCode {
            id: GrantId::from_bytes([1; 16]),
            client: digest16("client"),
            resource: digest16("resource"),
            scope_list: digest16("a b c"),
            scopes: vec![0b101],
            user_code: UserCode::parse("WDJB-MJHT").unwrap(),
            asked_at: Timestamp::from_seconds(1_000_000),
        }
    }

    #[test]
    fn as_178_as_108_a_device_code_is_sealed_and_lives_ten_minutes() {
        let full = DeviceCode { scopes: vec![0xFF; 32], ..code() };
        let text = full.seal(&ring(0), &SystemEntropy);
        assert!(text.expose().len() <= 256, "{}", text.expose().len());
        let open =
            |at: i64| DeviceCode::open(&ring(0), text.expose(), Timestamp::from_seconds(1_000_000 + at));
        assert_eq!(open(0), Ok(full));
        assert!(open(599).is_ok() && open(-30).is_ok());
        assert_eq!(open(600), Err(DeviceCodeError::Expired));
        assert_eq!(open(-31), Err(DeviceCodeError::Future));
        assert!(code().is_of("client") && !code().is_of("other"));
        let later = code().seal(&ring(9), &SystemEntropy);
        let behind = DeviceCode::open(&ring(0), later.expose(), code().asked_at);
        assert_eq!(behind, Err(DeviceCodeError::KeyNotHere));
    }

    #[test]
    fn t_32_a_forged_device_code_is_foreign() {
        let text = code().seal(&ring(0), &SystemEntropy).expose().to_owned();
        let changed = text.replacen(&text[60..61], if &text[60..61] == "A" { "B" } else { "A" }, 1);
        for bad in ["", "x", &text[..text.len() - 4], &format!("{text}AAAA"), &changed, &"A".repeat(4_000)] {
            let opened = DeviceCode::open(&ring(0), bad, code().asked_at);
            assert_eq!(opened, Err(DeviceCodeError::Foreign), "{bad}");
        }
    }

    #[test]
    fn as_178_a_user_code_is_eight_letters_however_it_is_typed() {
        let wanted = UserCode::parse("WDJB-MJHT").unwrap();
        for typed in ["WDJBMJHT", "wdjb mjht", " w-d-j-b-m-j-h-t ", "WDJB\u{2011}MJHT"] {
            assert_eq!(UserCode::parse(typed), Some(wanted), "{typed}");
        }
        for wrong in ["", "WDJB-MJH", "WDJB-MJHTB", "WDJA-MJHT", "WDJ1-MJHT", "ẞDJB-MJHT", &"B".repeat(80)]
        {
            assert_eq!(UserCode::parse(wrong), None, "{wrong}");
        }
        let mut seen = HashSet::new();
        for _ in 0..10_000 {
            let code = UserCode::new(&SystemEntropy);
            let text = code.to_string();
            assert_eq!((text.len(), &text[4..5]), (9, "-"));
            assert_eq!(UserCode::parse(&text), Some(code));
            assert_eq!(UserCode::from_number(code.number()), Some(code));
            seen.insert(code);
        }
        assert!(seen.len() > 9_995);
        assert_eq!(UserCode::from_number(25_600_000_000), None);
        assert_eq!(UserCode(CODES - 1).to_string(), "ZZZZ-ZZZZ");
    }
}
