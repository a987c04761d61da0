//! Signatures over JSON: keys, key sets and compact JWS (RFC 7515, RFC 7517, RFC 7518, RFC 8037), on one crypto
//! library.
//!
//! The algorithm is a property of the key. The header only says which key is meant, and it is refused when it
//! names another algorithm than the key's own; whatever else it offers as a key (`jwk`, `jku`, `x5c`, `x5u`) is
//! not read, but for the `jwk` of a proof of possession, which says nothing about who sends it.
//!
//! | to read | file |
//! |---|---|
//! | the three algorithms | [`algorithm`] |
//! | a public key as peers write it | [`jwk`] |
//! | the keys of one issuer | [`key_set`] |
//! | keys that are ready to use | [`key`] |
//! | sign and verify | [`jws`] |
//! | ECDSA for keys that come again | [`p256`] |
//! | the proof that something was verified | [`verified`] |
//!
//! ```
//! use hallpass_core::jose::{Algorithm, ExpectedType, KeySet, SigningKey, jws};
//!
//! let key = SigningKey::generate(Algorithm::Es256).unwrap();
//! let text = jws::sign(&key, "example+jwt", b"{}").unwrap();
//! let keys = KeySet::from_keys(vec![key.verifying_key()]);
//! let payload = jws::verify(&text, &ExpectedType::only("example+jwt"), &keys).unwrap();
//! assert_eq!(payload.get(), b"{}");
//! ```

pub mod algorithm;
pub mod jwk;
pub mod jws;
pub mod key;
pub mod key_set;
mod p256;
pub mod verified;

pub use algorithm::Algorithm;
pub use jwk::{Jwk, JwkError};
pub use jws::{ExpectedType, JwsError, Signer};
pub use key::{SigningFailed, SigningKey, SigningKeyError, VerifyingKey};
pub use key_set::{KeySet, KeySetError};
pub use verified::Verified;

#[cfg(test)]
mod wycheproof;
