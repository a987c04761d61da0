//! One-time codes of an authenticator app (TOTP, RFC 6238 on RFC 4226), in the one form that every app has: HMAC-SHA-1, six
//! digits, steps of 30 seconds. SHA-1 stands here for the apps alone: HMAC does not need it to be free of collisions.
//!
//! A code is good in its own step and the one before and after (RFC 6238 §5.2), for a phone whose clock is half a minute off and
//! for whoever types slowly. Which step it was is answered, so that the caller can see to it that each counts once.

use crate::{encoding, entropy, entropy::Entropy, secret, secret::SecretBytes, time::Timestamp};
use aws_lc_rs::hmac;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// Length of a code.
pub const DIGITS: usize = 6;
/// Length of a step, in seconds.
pub const STEP: i64 = 30;
/// Steps before and after the present one whose codes are good.
const AROUND: i64 = 1;
/// What a URI does not need to escape (RFC 3986 §2.3).
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The secret that a server and an authenticator app share: 160 bits, as RFC 4226 §4 (R6) recommends.
#[derive(Clone, Debug)]
pub struct TotpSecret(SecretBytes<20>);

impl TotpSecret {
    /// A new one.
    pub fn new(entropy: &dyn Entropy) -> Self {
        Self(SecretBytes::new(entropy::random(entropy)))
    }

    /// As kept.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Some(Self(SecretBytes::new(bytes.try_into().ok()?)))
    }

    /// To be sealed.
    pub const fn expose(&self) -> &[u8; 20] {
        self.0.expose()
    }

    /// As people type it into an app: base32 without padding.
    pub fn to_base32(&self) -> String {
        encoding::base32(self.expose())
    }

    /// The code of a step.
    pub fn code(&self, step: i64) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, self.expose());
        let tag = hmac::sign(&key, &step.to_be_bytes());
        let bytes = tag.as_ref();
        // Dynamic truncation (RFC 4226 §5.3): the last four bits say where the 31 bits are taken from.
        let offset = usize::from(bytes.last().copied().unwrap_or(0) & 0xF);
        let taken = bytes.iter().skip(offset).take(4).fold(0_u32, |sum, byte| (sum << 8) | u32::from(*byte));
        format!("{:06}", (taken & 0x7FFF_FFFF) % 1_000_000)
    }

    /// The step whose code this is, among those that are good now; the latest, where it is that of two. All of them are
    /// compared, each in constant time: how long it takes says nothing of the code.
    pub fn step_of(&self, typed: &str, now: Timestamp) -> Option<i64> {
        let present = step_at(now);
        (present - AROUND..=present + AROUND).fold(None, |found, step| {
            if secret::equal(self.code(step).as_bytes(), typed.as_bytes()) { Some(step) } else { found }
        })
    }

    /// What an app reads from a QR code. `issuer` and `account` are shown in it, and neither may contain a colon.
    pub fn to_uri(&self, issuer: &str, account: &str) -> String {
        let plain = |text: &str| {
            let text = text.replace(':', " ");
            utf8_percent_encode(&text, ESCAPED).to_string()
        };
        let (issuer, account) = (plain(issuer), plain(account));
        let secret = self.to_base32();
        format!(
            "otpauth://totp/{issuer}:{account}?secret={secret}&issuer={issuer}&algorithm=SHA1&digits={DIGITS}&period={STEP}"
        )
    }
}

/// The step of a moment.
pub const fn step_at(now: Timestamp) -> i64 {
    now.seconds().div_euclid(STEP)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret() -> TotpSecret {
        TotpSecret::from_bytes(b"12345678901234567890").unwrap()
    }

    #[test]
    fn as_097_the_test_vectors_of_rfc_4226_and_rfc_6238() {
        let codes = [
            "755224", "287082", "359152", "969429", "338314", "254676", "287922", "162583", "399871",
            "520489",
        ];
        for (step, code) in (0..).zip(codes) {
            assert_eq!(secret().code(step), code, "RFC 4226, Appendix D");
        }
        // RFC 6238, Appendix B; it has eight digits, of which ours are the last six.
        for (seconds, code) in [
            (59, "94287082"),
            (1_111_111_109, "07081804"),
            (1_111_111_111, "14050471"),
            (1_234_567_890, "89005924"),
            (2_000_000_000, "69279037"),
            (20_000_000_000, "65353130"),
        ] {
            assert_eq!(secret().code(step_at(Timestamp::from_seconds(seconds))), code[2..], "{seconds}");
        }
    }

    #[test]
    fn as_097_a_code_is_good_in_its_step_and_the_ones_beside_it() {
        let now = Timestamp::from_seconds(1_790_000_010);
        let present = step_at(now);
        for (step, good) in [(-2, false), (-1, true), (0, true), (1, true), (2, false)] {
            let found = secret().step_of(&secret().code(present + step), now);
            assert_eq!(found, good.then_some(present + step), "{step}");
        }
        let code = secret().code(present);
        for wrong in ["", "0", &code[1..], &format!("{code}0"), &format!(" {code}"), "abcdef", "１２３４５６"]
        {
            assert_eq!(secret().step_of(wrong, now), None, "{wrong:?}");
        }
    }

    #[test]
    fn what_an_app_reads_and_what_nobody_does() {
        let uri = secret().to_uri("mcp.example.com", "ada:x &y");
        assert_eq!(
            uri,
            "otpauth://totp/mcp.example.com:ada%20x%20%26y?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=mcp.example.com&algorithm=SHA1&digits=6&period=30"
        );
        assert!(!format!("{:?}", secret()).contains("1234"));
    }
}
