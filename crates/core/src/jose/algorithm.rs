//! The signature algorithms that we know: three, all asymmetric.
//!
//! There is no `none` and no HMAC to switch off: what does not exist cannot be talked into use (RFC 8725 §3.1).

use std::fmt;

/// A signature algorithm, always chosen by the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// ECDSA with P-256 and SHA-256 (RFC 7518 §3.4).
    Es256,
    /// Ed25519 (RFC 8037 §3.1).
    EdDsa,
    /// RSASSA-PKCS1-v1_5 with SHA-256 (RFC 7518 §3.3).
    Rs256,
}

impl Algorithm {
    /// Bytes of a signature by a key that we generate.
    pub(crate) const fn signature_length(self) -> usize {
        match self {
            Self::Es256 | Self::EdDsa => 64,
            Self::Rs256 => 256,
        }
    }

    /// All of them.
    pub const ALL: [Self; 3] = [Self::Es256, Self::EdDsa, Self::Rs256];

    /// As registered and as we write it in `alg`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
            Self::Rs256 => "RS256",
        }
    }

    /// Reads a registered name, case-sensitive (RFC 7515 §4.1.1). `Ed25519` is the newer name of the only `EdDSA`
    /// that we know (RFC 9864 §2.2).
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "ES256" => Some(Self::Es256),
            "EdDSA" | "Ed25519" => Some(Self::EdDsa),
            "RS256" => Some(Self::Rs256),
            _ => None,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rs_026_only_three_algorithms_have_a_name() {
        for known in [Algorithm::Es256, Algorithm::EdDsa, Algorithm::Rs256] {
            assert_eq!(Algorithm::from_name(known.name()), Some(known));
        }
        assert_eq!(Algorithm::from_name("Ed25519"), Some(Algorithm::EdDsa));
        for other in [
            "none", "None", "NONE", "", "HS256", "es256", "ES256 ", "ES384", "ES256K", "RS1", "PS256",
            "Ed448",
        ] {
            assert_eq!(Algorithm::from_name(other), None, "{other}");
        }
    }
}
