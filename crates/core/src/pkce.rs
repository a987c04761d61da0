//! Proof Key for Code Exchange (RFC 7636), S256 only: `plain` would put the verifier into the front channel.

use crate::{
    encoding,
    entropy::{self, Entropy},
    secret::{self, SecretString},
};
use aws_lc_rs::digest;

/// Broken rules of PKCE.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PkceError {
    /// No `code_challenge`.
    #[error("code_challenge is required")]
    ChallengeMissing,
    /// The method is absent (which means `plain`) or not `S256`.
    #[error("code_challenge_method must be S256")]
    MethodNotS256,
    /// Not 43 characters of base64url.
    #[error("code_challenge must be 43 characters of base64url")]
    ChallengeMalformed,
    /// No `code_verifier`.
    #[error("code_verifier is required")]
    VerifierMissing,
    /// Not 43 to 128 unreserved characters (RFC 7636 §4.1).
    #[error("code_verifier must be 43 to 128 unreserved characters")]
    VerifierMalformed,
    /// The verifier does not belong to the challenge.
    #[error("code_verifier does not match")]
    VerifierWrong,
}

/// The S256 challenge: a SHA-256 digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodeChallenge([u8; 32]);

impl CodeChallenge {
    /// From the parameters of an authorization request.
    pub fn from_request(challenge: Option<&str>, method: Option<&str>) -> Result<Self, PkceError> {
        let challenge = challenge.ok_or(PkceError::ChallengeMissing)?;
        if method != Some("S256") {
            return Err(PkceError::MethodNotS256);
        }
        encoding::array_from_base64url(challenge).map(Self).ok_or(PkceError::ChallengeMalformed)
    }

    /// From what was sealed.
    pub const fn from_bytes(digest: [u8; 32]) -> Self {
        Self(digest)
    }

    /// For sealing.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// RFC 7636 §4.6, in constant time.
    pub fn verify(&self, verifier: Option<&str>) -> Result<(), PkceError> {
        let verifier = verifier.ok_or(PkceError::VerifierMissing)?;
        if !well_formed(verifier) {
            return Err(PkceError::VerifierMalformed);
        }
        if secret::equal(digest::digest(&digest::SHA256, verifier.as_bytes()).as_ref(), &self.0) {
            Ok(())
        } else {
            Err(PkceError::VerifierWrong)
        }
    }
}

fn well_formed(verifier: &str) -> bool {
    (43..=128).contains(&verifier.len())
        && verifier.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b'~'))
}

/// A client's verifier: 32 random bytes as base64url (43 characters), one per authorization request.
#[derive(Clone, Debug)]
pub struct CodeVerifier(SecretString);

impl CodeVerifier {
    /// A new one.
    pub fn new(entropy: &dyn Entropy) -> Self {
        Self(SecretString::new(encoding::base64url(&entropy::random::<32>(entropy))))
    }

    /// From where it was kept while the person was away.
    pub fn from_text(text: &str) -> Result<Self, PkceError> {
        if well_formed(text) { Ok(Self(SecretString::new(text))) } else { Err(PkceError::VerifierMalformed) }
    }

    /// For the token request.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    /// `code_challenge` for the authorization request.
    pub fn challenge(&self) -> String {
        encoding::base64url(digest::digest(&digest::SHA256, self.0.expose().as_bytes()).as_ref())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SystemEntropy;

    const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

    #[test]
    fn rfc_7636_appendix_b() {
        let challenge = CodeChallenge::from_request(Some(CHALLENGE), Some("S256")).unwrap();
        assert_eq!(challenge.verify(Some(VERIFIER)), Ok(()));
        assert_eq!(CodeVerifier::from_text(VERIFIER).unwrap().challenge(), CHALLENGE);
    }

    #[test]
    fn as_080_b_02_only_s256_and_never_by_default() {
        for method in [None, Some("plain"), Some("S512"), Some("s256"), Some("")] {
            let refused = CodeChallenge::from_request(Some(CHALLENGE), method);
            assert_eq!(refused, Err(PkceError::MethodNotS256), "{method:?}");
        }
    }

    #[test]
    fn as_079_as_081_a_challenge_is_43_characters_of_base64url() {
        assert_eq!(CodeChallenge::from_request(None, Some("S256")), Err(PkceError::ChallengeMissing));
        let long = "A".repeat(128);
        for bad in [
            &CHALLENGE[..42],
            &format!("{CHALLENGE}A"),
            &long,
            &CHALLENGE.replace('-', "+"),
            &format!("{}=", &CHALLENGE[..42]),
        ] {
            let refused = CodeChallenge::from_request(Some(bad), Some("S256"));
            assert_eq!(refused, Err(PkceError::ChallengeMalformed), "{bad}");
        }
    }

    #[test]
    fn as_115_the_verifier_is_checked() {
        let challenge = CodeChallenge::from_request(Some(CHALLENGE), Some("S256")).unwrap();
        assert_eq!(challenge.verify(None), Err(PkceError::VerifierMissing));
        assert_eq!(challenge.verify(Some(CHALLENGE)), Err(PkceError::VerifierWrong));
        assert_eq!(challenge.verify(Some(&VERIFIER[..42])), Err(PkceError::VerifierMalformed));
        assert_eq!(challenge.verify(Some(&"a".repeat(129))), Err(PkceError::VerifierMalformed));
        assert_eq!(challenge.verify(Some(&VERIFIER.replace('-', "+"))), Err(PkceError::VerifierMalformed));
    }

    #[test]
    fn b_01_a_fresh_verifier_each_time() {
        let one = CodeVerifier::new(&SystemEntropy);
        assert_eq!(one.expose().len(), 43);
        assert_ne!(one.expose(), CodeVerifier::new(&SystemEntropy).expose());
        assert!(!format!("{one:?}").contains(one.expose()));
    }
}
