//! base64url without padding and without spare bits, so that nothing has two spellings (RFC 4648 §3.5).

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use std::fmt;

/// Encodes as base64url without padding.
pub fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The same at the end of a text.
pub fn push_base64url(text: &mut String, bytes: &[u8]) {
    URL_SAFE_NO_PAD.encode_string(bytes, text);
}

/// The same of an id, to be written somewhere: without memory of its own, as every line of the log has some.
pub fn write_base64url(id: &[u8; 16], out: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut text = [0; 22];
    let written = URL_SAFE_NO_PAD.encode_slice(id, &mut text).unwrap_or_default();
    out.pad(text.get(..written).and_then(|text| str::from_utf8(text).ok()).unwrap_or_default())
}

/// Decodes strictly: padding, white space, other alphabets and non-zero spare bits are refused, because an
/// identifier with several spellings makes a block list void.
pub fn from_base64url(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
}

/// Decodes exactly `N` bytes, strictly.
pub fn array_from_base64url<const N: usize>(text: &str) -> Option<[u8; N]> {
    // What is longer than any of ours takes the way through memory.
    let mut bytes = [0; 96];
    if text.len() > 128 {
        return from_base64url(text)?.try_into().ok();
    }
    let length = URL_SAFE_NO_PAD.decode_slice(text, &mut bytes).ok()?;
    bytes.get(..length)?.try_into().ok()
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
        for other in ["AB", "AA==", "AA ", " AA", "A+", "A", "A\n"] {
            assert_eq!(from_base64url(other), None, "{other:?}");
            assert_eq!(array_from_base64url::<1>(other), None, "{other:?}");
        }
    }

    /// What is shown or read without memory of its own is the same text, on both sides of its pieces.
    #[test]
    fn every_length_is_written_and_read_the_same_way() {
        let bytes: Vec<u8> = (0..=u8::MAX).collect();
        for length in 0..bytes.len() {
            let bytes = bytes.get(..length).unwrap();
            let text = base64url(bytes);
            let mut longer = "x".to_owned();
            push_base64url(&mut longer, bytes);
            assert_eq!(longer, format!("x{text}"));
            assert_eq!(array_from_base64url::<16>(&text).is_some(), length == 16);
            assert_eq!(array_from_base64url::<96>(&text).is_some(), length == 96);
            assert_eq!(
                array_from_base64url::<97>(&text).as_ref().map(<[u8; 97]>::as_slice),
                (length == 97).then_some(bytes)
            );
        }
    }
}
