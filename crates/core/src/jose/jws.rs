//! Compact JWS (RFC 7515 §7.1): sign, and verify with every check that a token of a stranger needs.

use crate::{
    encoding,
    jose::{
        Algorithm, Jwk, JwkError, KeySet, SigningKey, Verified, VerifyingKey, jwk::MAX_KEY_ID_LENGTH,
        key::SigningFailed,
    },
    json::{self, JsonError, Limits},
};
use serde_json::{Map, Value, json};

/// Longest compact JWS that is read, in bytes.
pub const MAX_LENGTH: usize = 16 * 1024;

/// Why a JWS is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwsError {
    /// More than [`MAX_LENGTH`] bytes.
    #[error("the token is too long")]
    TooLong,
    /// Not three parts: a JWE has five, an unsecured one has an empty third.
    #[error("the token does not have three parts")]
    NotThreeParts,
    /// The header is not strict base64url.
    #[error("the header is not base64url")]
    HeaderEncoding,
    /// The header is not one strict JSON object.
    #[error("the header is not strict JSON: {0}")]
    HeaderJson(JsonError),
    /// `crit`: we know no extension that has to be understood (RFC 7515 §4.1.11).
    #[error("the header asks for extensions")]
    CriticalExtension,
    /// `b64` (RFC 7797): the same text would be signed and read in two ways.
    #[error("the header asks for an unencoded payload")]
    UnencodedPayload,
    /// `zip`: a small token that is large inside.
    #[error("the header asks for decompression")]
    Compressed,
    /// `alg` is missing or not a string.
    #[error("the header names no algorithm")]
    NoAlgorithm,
    /// `alg` is `none`.
    #[error("the token is unsigned")]
    Unsigned,
    /// `alg` is HMAC: a public key could be the secret (RFC 8725 §2.1).
    #[error("the token is signed with a shared secret")]
    SymmetricAlgorithm,
    /// `alg` is none of ours.
    #[error("the algorithm is not supported")]
    UnknownAlgorithm,
    /// `typ` is missing.
    #[error("the header names no type")]
    NoType,
    /// `typ` is another one, so this is a token of another kind (RFC 8725 §3.11).
    #[error("the token is of another type")]
    WrongType,
    /// `kid` is not a string of at most 255 bytes.
    #[error("the key id is not a short string")]
    KeyIdForm,
    /// No key with this `kid`, or, without `kid`, none for this algorithm.
    #[error("the key is not known")]
    UnknownKey,
    /// Without `kid`, several keys would do.
    #[error("the token does not say which of several keys it is signed with")]
    AmbiguousKey,
    /// The key with this `kid` is for another algorithm.
    #[error("the algorithm is not the one of the key")]
    AlgorithmMismatch,
    /// No `jwk`, where the token has to bring its key.
    #[error("the header brings no key")]
    NoKey,
    /// `jwk` is not a public key that we use.
    #[error("the key of the header: {0}")]
    Key(JwkError),
    /// The signature is not strict base64url.
    #[error("the signature is not base64url")]
    SignatureEncoding,
    /// The signature is wrong.
    #[error("the signature is wrong")]
    Signature,
    /// The payload is not strict base64url.
    #[error("the payload is not base64url")]
    PayloadEncoding,
}

/// The values of `typ` that are accepted. Without this, a token made for one purpose is taken for another.
#[derive(Clone, Copy, Debug)]
pub struct ExpectedType<'a> {
    names: Names<'a>,
    may_be_absent: bool,
}

#[derive(Clone, Copy, Debug)]
enum Names<'a> {
    One(&'a str),
    Several(&'a [&'a str]),
}

impl<'a> ExpectedType<'a> {
    /// This type only, without its `application/`, and it must be there.
    pub const fn only(name: &'a str) -> Self {
        Self { names: Names::One(name), may_be_absent: false }
    }

    /// One of these types.
    pub const fn one_of(names: &'a [&'a str]) -> Self {
        Self { names: Names::Several(names), may_be_absent: false }
    }

    /// The same, and a header without `typ` too.
    #[must_use]
    pub const fn or_absent(self) -> Self {
        Self { may_be_absent: true, ..self }
    }

    /// Media types ignore case, and `application/` may be left out (RFC 7515 §4.1.9).
    fn check(&self, typ: Option<&Value>) -> Result<(), JwsError> {
        let Some(typ) = typ else {
            return if self.may_be_absent { Ok(()) } else { Err(JwsError::NoType) };
        };
        let typ = typ.as_str().ok_or(JwsError::WrongType)?;
        let short = match typ.split_once('/') {
            Some((top, rest)) if top.eq_ignore_ascii_case("application") => rest,
            Some(_) | None => typ,
        };
        let matches = match self.names {
            Names::One(name) => name.eq_ignore_ascii_case(short),
            Names::Several(names) => names.iter().any(|name| name.eq_ignore_ascii_case(short)),
        };
        if matches { Ok(()) } else { Err(JwsError::WrongType) }
    }
}

/// A key with the header that it writes, encoded once.
#[derive(Clone, Debug)]
pub struct Signer {
    key: SigningKey,
    header: Box<str>,
}

impl Signer {
    /// For tokens with this `typ`.
    pub fn new(key: &SigningKey, typ: &str) -> Self {
        let header = json!({ "alg": key.algorithm().name(), "kid": key.key_id(), "typ": typ }).to_string();
        Self { key: key.clone(), header: encoding::base64url(header.as_bytes()).into() }
    }

    /// The key.
    pub const fn key(&self) -> &SigningKey {
        &self.key
    }

    /// Signs `payload` as a compact JWS.
    pub fn sign(&self, payload: &[u8]) -> Result<String, SigningFailed> {
        // Allocated once. Room for more than there is makes a large piece of memory of a small one, which costs each token.
        let room = self.key.algorithm().signature_length();
        let length = |bytes: usize| bytes.div_ceil(3) * 4;
        let mut text = String::with_capacity(self.header.len() + length(payload.len()) + length(room) + 2);
        text.push_str(&self.header);
        text.push('.');
        encoding::push_base64url(&mut text, payload);
        let signature = self.key.sign_bytes(text.as_bytes())?;
        text.push('.');
        encoding::push_base64url(&mut text, &signature);
        Ok(text)
    }
}

/// Signs once. Whoever signs often keeps a [`Signer`].
pub fn sign(key: &SigningKey, typ: &str, payload: &[u8]) -> Result<String, SigningFailed> {
    Signer::new(key, typ).sign(payload)
}

/// Verifies a compact JWS and returns its payload.
///
/// The signature of ECDSA has a second form that is as good, so never block a token by its text.
pub fn verify(compact: &str, typ: &ExpectedType<'_>, keys: &KeySet) -> Result<Verified<Vec<u8>>, JwsError> {
    let parts = Parts::split(compact)?;
    let header = parts.header()?;
    refuse_extensions(&header)?;
    let algorithm = algorithm(&header)?;
    typ.check(header.get("typ"))?;
    let key = choose_key(&header, algorithm, keys)?;
    let signature = encoding::from_base64url(parts.signature).ok_or(JwsError::SignatureEncoding)?;
    if !key.verifies(parts.signed.as_bytes(), &signature) {
        return Err(JwsError::Signature);
    }
    parts.payload().map(Verified::new)
}

/// Verifies a compact JWS by the key that its own header brings (`jwk`), and returns its payload with the key.
///
/// That proves that the sender holds the key, and nothing about who the sender is: for proofs of possession (RFC 9449
/// §4.3) and for nothing else. `typ` is compared as written, so that no other kind of token is taken for one.
pub fn verify_with_own_key(compact: &str, typ: &str) -> Result<Verified<(Vec<u8>, Jwk)>, JwsError> {
    let parts = Parts::split(compact)?;
    let header = parts.header()?;
    refuse_extensions(&header)?;
    let algorithm = algorithm(&header)?;
    match header.get("typ") {
        None => return Err(JwsError::NoType),
        Some(Value::String(have)) if have == typ => {}
        Some(_) => return Err(JwsError::WrongType),
    }
    let key = Jwk::parse(header.get("jwk").ok_or(JwsError::NoKey)?).map_err(JwsError::Key)?;
    if key.algorithm() != algorithm {
        return Err(JwsError::AlgorithmMismatch);
    }
    let signature = encoding::from_base64url(parts.signature).ok_or(JwsError::SignatureEncoding)?;
    if !key.verifying_key().verifies(parts.signed.as_bytes(), &signature) {
        return Err(JwsError::Signature);
    }
    Ok(Verified::new((parts.payload()?, key)))
}

/// The payload of a token that nobody has verified, to find out whose keys to verify it with. Believe nothing in it.
pub fn unverified_payload(compact: &str) -> Result<Vec<u8>, JwsError> {
    Parts::split(compact)?.payload()
}

struct Parts<'a> {
    /// Header and payload with the dot between: what the signature is over.
    signed: &'a str,
    header: &'a str,
    payload: &'a str,
    signature: &'a str,
}

impl<'a> Parts<'a> {
    fn split(compact: &'a str) -> Result<Self, JwsError> {
        if compact.len() > MAX_LENGTH {
            return Err(JwsError::TooLong);
        }
        let (signed, signature) = compact.rsplit_once('.').ok_or(JwsError::NotThreeParts)?;
        let (header, payload) = signed.split_once('.').ok_or(JwsError::NotThreeParts)?;
        if payload.contains('.') {
            return Err(JwsError::NotThreeParts);
        }
        Ok(Self { signed, header, payload, signature })
    }

    fn header(&self) -> Result<Map<String, Value>, JwsError> {
        let bytes = encoding::from_base64url(self.header).ok_or(JwsError::HeaderEncoding)?;
        let limits = Limits { bytes: MAX_LENGTH, depth: 8 };
        json::parse_object(&bytes, limits).map_err(JwsError::HeaderJson)
    }

    fn payload(&self) -> Result<Vec<u8>, JwsError> {
        encoding::from_base64url(self.payload).ok_or(JwsError::PayloadEncoding)
    }
}

fn refuse_extensions(header: &Map<String, Value>) -> Result<(), JwsError> {
    for (name, error) in [
        ("crit", JwsError::CriticalExtension),
        ("b64", JwsError::UnencodedPayload),
        ("zip", JwsError::Compressed),
    ] {
        if header.contains_key(name) {
            return Err(error);
        }
    }
    Ok(())
}

fn algorithm(header: &Map<String, Value>) -> Result<Algorithm, JwsError> {
    let name = header.get("alg").and_then(Value::as_str).ok_or(JwsError::NoAlgorithm)?;
    match Algorithm::from_name(name) {
        Some(algorithm) => Ok(algorithm),
        None if name.eq_ignore_ascii_case("none") => Err(JwsError::Unsigned),
        None if name.starts_with("HS") => Err(JwsError::SymmetricAlgorithm),
        None => Err(JwsError::UnknownAlgorithm),
    }
}

/// Only keys of the set: `jwk`, `jku`, `x5c` and `x5u` would let the sender bring a key of its own (RFC 8725 §3.10).
fn choose_key<'k>(
    header: &Map<String, Value>,
    algorithm: Algorithm,
    keys: &'k KeySet,
) -> Result<&'k VerifyingKey, JwsError> {
    let Some(kid) = header.get("kid") else {
        let mut fitting = keys.keys().iter().filter(|key| key.algorithm() == algorithm);
        let key = fitting.next().ok_or(JwsError::UnknownKey)?;
        return if fitting.next().is_none() { Ok(key) } else { Err(JwsError::AmbiguousKey) };
    };
    let kid = kid.as_str().filter(|kid| kid.len() <= MAX_KEY_ID_LENGTH).ok_or(JwsError::KeyIdForm)?;
    keys.find_for(kid, algorithm).ok_or_else(|| match keys.find(kid) {
        Some(_) => JwsError::AlgorithmMismatch,
        None => JwsError::UnknownKey,
    })
}

#[cfg(test)]
mod tests;
