//! base64url without padding and without spare bits, so that nothing has two spellings (RFC 4648 §3.5).

use base64::{Engine as _, display::Base64Display, engine::general_purpose::URL_SAFE_NO_PAD};
use std::fmt::Display;

/// Encodes as base64url without padding.
pub fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The same to be written somewhere.
pub fn shown_base64url(bytes: &[u8]) -> impl Display {
    Base64Display::new(bytes, &URL_SAFE_NO_PAD)
}

/// Decodes strictly: padding, white space, other alphabets and non-zero spare bits are refused, because an
/// identifier with several spellings makes a block list void.
pub fn from_base64url(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// Decodes exactly `N` bytes, strictly.
pub fn array_from_base64url<const N: usize>(text: &str) -> Option<[u8; N]> {
    from_base64url(text)?.try_into().ok()
}

const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// Encodes as base32 without padding (RFC 4648 §6): for secrets that people type.
pub fn base32(bytes: &[u8]) -> String {
    let bit = |at: usize| bytes.get(at / 8).map_or(0, |byte| (byte >> (7 - at % 8)) & 1);
    let letter = |first: usize| {
        let index = (first..first + 5).fold(0_u8, |sum, at| (sum << 1) | bit(at));
        BASE32.get(usize::from(index)).map_or('A', |letter| char::from(*letter))
    };
    (0..bytes.len() * 8).step_by(5).map(letter).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base32_of_rfc_4648_without_padding() {
        for (bytes, text) in [
            ("", ""),
            ("f", "MY"),
            ("fo", "MZXQ"),
            ("foo", "MZXW6"),
            ("foob", "MZXW6YQ"),
            ("fooba", "MZXW6YTB"),
            ("foobar", "MZXW6YTBOI"),
        ] {
            assert_eq!(base32(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn one_spelling_only() {
        assert_eq!(from_base64url("AA").as_deref(), Some(&[0][..]));
        assert_eq!(shown_base64url(&[0xfb, 0xff, 0]).to_string(), base64url(&[0xfb, 0xff, 0]));
        for other in ["AB", "AA==", "AA ", " AA", "A+", "A", "A\n"] {
            assert_eq!(from_base64url(other), None, "{other:?}");
        }
    }
}
