//! Keys that are ready to use: parsed once, then only signed and verified with.

use crate::{
    encoding,
    jose::{Algorithm, Jwk, p256},
};
use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, ParsedPublicKey,
        RSA_PKCS1_SHA256, RsaKeyPair,
    },
};
use std::{fmt, sync::Arc};
use zeroize::Zeroizing;

/// Why there is no signing key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SigningKeyError {
    /// The library could not make one.
    #[error("no key could be generated")]
    Generation,
    /// Not a PKCS#8 document of the asked algorithm.
    #[error("not a private key of this algorithm in PKCS#8 form")]
    Malformed,
}

/// The library could not sign, which only happens without memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the signature could not be made")]
pub struct SigningFailed;

/// A private key with its public half. Clones share it.
#[derive(Clone)]
pub struct SigningKey(Arc<Inner>);

struct Inner {
    pair: Pair,
    public: Jwk,
    key_id: String,
}

enum Pair {
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
    Rsa(RsaKeyPair),
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({} {})", self.algorithm(), self.key_id())
    }
}

impl SigningKey {
    /// Makes a new key; RSA keys have 2048 bits. The randomness is the crypto library's own, which takes no other.
    pub fn generate(algorithm: Algorithm) -> Result<Self, SigningKeyError> {
        let pair = match algorithm {
            Algorithm::Es256 => EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map(Pair::P256),
            Algorithm::EdDsa => Ed25519KeyPair::generate().map(Pair::Ed25519),
            Algorithm::Rs256 => RsaKeyPair::generate(KeySize::Rsa2048).map(Pair::Rsa),
        };
        Self::new(pair.map_err(|_| SigningKeyError::Generation)?).ok_or(SigningKeyError::Generation)
    }

    /// Reads what [`Self::to_pkcs8`] wrote.
    pub fn from_pkcs8(algorithm: Algorithm, document: &[u8]) -> Result<Self, SigningKeyError> {
        let pair = match algorithm {
            Algorithm::Es256 => {
                EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, document).map(Pair::P256)
            }
            Algorithm::EdDsa => Ed25519KeyPair::from_pkcs8(document).map(Pair::Ed25519),
            Algorithm::Rs256 => RsaKeyPair::from_pkcs8(document).map(Pair::Rsa),
        };
        Self::new(pair.map_err(|_| SigningKeyError::Malformed)?).ok_or(SigningKeyError::Malformed)
    }

    /// The private key as a PKCS#8 version 1 document, wiped when dropped. Seal it before it is stored.
    pub fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, SigningFailed> {
        let bytes = match &self.0.pair {
            Pair::P256(pair) => pair.to_pkcs8v1().map(|document| document.as_ref().to_vec()),
            Pair::Ed25519(pair) => pair.to_pkcs8v1().map(|document| document.as_ref().to_vec()),
            Pair::Rsa(pair) => {
                AsDer::<Pkcs8V1Der<'_>>::as_der(pair).map(|document| document.as_ref().to_vec())
            }
        };
        bytes.map(Zeroizing::new).map_err(|_| SigningFailed)
    }

    fn new(pair: Pair) -> Option<Self> {
        let public = match &pair {
            Pair::P256(pair) => Jwk::from_p256_point(pair.public_key().as_ref()).ok()?,
            Pair::Ed25519(pair) => Jwk::from_ed25519(pair.public_key().as_ref()).ok()?,
            Pair::Rsa(pair) => {
                let (n, e) = rsa_components(pair.public_key().as_ref())?;
                Jwk::from_rsa(n, e).ok()?
            }
        };
        // Short, because it is in every token; 72 bits are enough to tell the keys of one issuer apart.
        let key_id = encoding::base64url(public.thumbprint().get(..9)?);
        let public = public.with_key_id(key_id.clone());
        Some(Self(Arc::new(Inner { pair, public, key_id })))
    }

    /// Its `kid`: 12 characters, from its thumbprint.
    pub fn key_id(&self) -> &str {
        &self.0.key_id
    }

    /// What it signs with.
    pub fn algorithm(&self) -> Algorithm {
        self.0.public.algorithm()
    }

    /// The public half, to publish.
    pub fn public_jwk(&self) -> &Jwk {
        &self.0.public
    }

    /// The public half, to verify with.
    pub fn verifying_key(&self) -> VerifyingKey {
        self.0.public.verifying_key()
    }

    /// The signature over `message`, in the form that JWS wants (RFC 7518 §3.3, §3.4; RFC 8037 §3.1).
    pub fn sign_bytes(&self, message: &[u8]) -> Result<Vec<u8>, SigningFailed> {
        let signature = match &self.0.pair {
            Pair::P256(pair) => pair.sign(&SystemRandom::new(), message).map(|made| made.as_ref().to_vec()),
            Pair::Ed25519(pair) => pair.try_sign(message).map(|made| made.as_ref().to_vec()),
            Pair::Rsa(pair) => {
                let mut made = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut made).map(|()| made)
            }
        };
        signature.map_err(|_| SigningFailed)
    }
}

/// A public key that verifies with its own algorithm and with no other.
#[derive(Clone)]
pub struct VerifyingKey {
    kid: Option<String>,
    algorithm: Algorithm,
    public: Public,
}

/// A public key that was read, by who verifies with it.
#[derive(Clone, Debug)]
pub(super) enum Public {
    P256(Arc<p256::Key>),
    Library(ParsedPublicKey),
}

impl fmt::Debug for VerifyingKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "VerifyingKey({} {:?})", self.algorithm, self.kid)
    }
}

impl VerifyingKey {
    pub(super) const fn new(kid: Option<String>, algorithm: Algorithm, public: Public) -> Self {
        Self { kid, algorithm, public }
    }

    /// Its `kid`.
    pub fn key_id(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// What it verifies with.
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// Whether `signature` is one over `message`. Only for callers that turn a yes into a
    /// [`Verified`](crate::jose::Verified).
    pub(crate) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.public {
            Public::P256(key) => key.verifies(message, signature),
            Public::Library(key) => key.verify_sig(message, signature).is_ok(),
        }
    }

    /// Whether its signatures are compared with a table.
    #[cfg(test)]
    pub(super) fn is_prepared(&self) -> bool {
        matches!(&self.public, Public::P256(key) if key.is_prepared())
    }

    /// Makes its table at once.
    #[cfg(test)]
    pub(super) fn prepare(&self, message: &[u8], signature: &[u8]) {
        if let Public::P256(key) = &self.public {
            key.prepare(message, signature);
        }
    }
}

/// Modulus and exponent out of the library's `RSAPublicKey` (RFC 8017 appendix A.1.1), without leading zeros.
fn rsa_components(der: &[u8]) -> Option<(Vec<u8>, Vec<u8>)> {
    let (sequence, _) = der_element(0x30, der)?;
    let (n, rest) = der_element(0x02, sequence)?;
    let (e, _) = der_element(0x02, rest)?;
    let plain = |number: &[u8]| number.iter().copied().skip_while(|byte| *byte == 0).collect();
    Some((plain(n), plain(e)))
}

/// The content of the first element and what follows it.
fn der_element(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&first, rest) = der.split_first()?;
    let (&length, rest) = rest.split_first()?;
    let (length, rest) = match length {
        0x81 => (usize::from(*rest.first()?), rest.get(1..)?),
        0x82 => (usize::from(u16::from_be_bytes(*rest.first_chunk()?)), rest.get(2..)?),
        short => (usize::from(short), rest),
    };
    if first == tag { rest.split_at_checked(length) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Algorithm; 3] = [Algorithm::Es256, Algorithm::EdDsa, Algorithm::Rs256];

    #[test]
    fn a_stored_key_is_the_same_key() {
        for algorithm in ALL {
            let key = SigningKey::generate(algorithm).unwrap();
            let again = SigningKey::from_pkcs8(algorithm, &key.to_pkcs8().unwrap()).unwrap();
            assert_eq!((again.key_id(), again.algorithm()), (key.key_id(), algorithm));
            assert_eq!(again.public_jwk(), key.public_jwk());
            assert_eq!(key.key_id().len(), 12);
            assert_eq!(key.public_jwk().key_id(), Some(key.key_id()));
            let signature = again.sign_bytes(b"message").unwrap();
            assert!(key.verifying_key().verifies(b"message", &signature));
            assert!(!key.verifying_key().verifies(b"massage", &signature));
            assert!(Jwk::parse(&key.public_jwk().to_json()).is_ok_and(|read| read == *key.public_jwk()));
        }
    }

    #[test]
    fn as_187_one_key_has_one_algorithm() {
        for made in ALL {
            let document = SigningKey::generate(made).unwrap().to_pkcs8().unwrap();
            for read in ALL.into_iter().filter(|read| *read != made) {
                let outcome = SigningKey::from_pkcs8(read, &document);
                assert_eq!(outcome.err(), Some(SigningKeyError::Malformed), "{made} as {read}");
            }
        }
        assert_eq!(SigningKey::from_pkcs8(Algorithm::Es256, b"").err(), Some(SigningKeyError::Malformed));
    }

    /// A nonce that comes twice, for two messages, gives the private key away to whoever sees both signatures: `r` is all
    /// that shows of it. The library draws it from its generator with SHA-512 over private key and digest mixed in, and ends
    /// the process where it has no randomness.
    #[test]
    fn as_188_no_two_messages_or_keys_share_a_nonce() {
        let keys = [(); 4].map(|()| SigningKey::generate(Algorithm::Es256).unwrap());
        let mut seen = std::collections::HashMap::new();
        for number in 0_u32..500 {
            let message = number.to_string();
            for (key, twice) in keys.iter().flat_map(|key| [(key, 1), (key, 2)]) {
                let signature = key.sign_bytes(message.as_bytes()).unwrap();
                assert!(key.verifying_key().verifies(message.as_bytes(), &signature));
                let (r, _) = signature.split_at(32);
                let who = (key.key_id(), message.clone());
                let before = seen.insert(r.to_vec(), who.clone());
                assert!(before.is_none_or(|before| before == who), "{number} {twice}: a nonce came again");
            }
        }
        assert!(seen.len() >= 2_000);
    }

    #[test]
    fn t_49_debug_and_the_published_form_say_nothing_secret() {
        for algorithm in ALL {
            let key = SigningKey::generate(algorithm).unwrap();
            assert_eq!(format!("{key:?}"), format!("SigningKey({algorithm} {})", key.key_id()));
            let public = key.public_jwk().to_json();
            for private in ["d", "p", "q", "dp", "dq", "qi", "k"] {
                assert!(public.get(private).is_none());
            }
        }
    }
}
