//! base64url without padding and without spare bits, so that nothing has two spellings (RFC 4648 §3.5).

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

/// Encodes as base64url without padding.
pub fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_spelling_only() {
        assert_eq!(from_base64url("AA").as_deref(), Some(&[0][..]));
        for other in ["AB", "AA==", "AA ", " AA", "A+", "A", "A\n"] {
            assert_eq!(from_base64url(other), None, "{other:?}");
        }
    }
}
