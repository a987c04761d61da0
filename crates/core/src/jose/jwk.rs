//! Public keys as JSON (RFC 7517), their validation, and their thumbprints (RFC 7638).
//!
//! A key is checked when it is read, not when it is used: the curve point, the size of a modulus, the order of a
//! point. A private or symmetric key is never read, because whoever publishes one has lost it.

use crate::{
    encoding,
    jose::{Algorithm, VerifyingKey, key::Public, p256},
    json,
};
use aws_lc_rs::{
    digest,
    signature::{ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents},
};
use serde_json::{Map, Value, json};

mod roca;

/// Longest `kid` that is read, in bytes.
pub const MAX_KEY_ID_LENGTH: usize = 255;

/// Members that only private or symmetric keys have (RFC 7518 §6.2.2, §6.3.2, §6.4; RFC 8037 §2).
const PRIVATE_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// Why a JWK is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwkError {
    /// Not a JSON object.
    #[error("the key is not a JSON object")]
    NotAnObject,
    /// One of `d`, `p`, `q`, `dp`, `dq`, `qi`, `oth`, `k`.
    #[error("the key contains private members")]
    PrivateMember,
    /// `kty` is `oct`: a shared secret can not be a public key.
    #[error("the key is symmetric")]
    Symmetric,
    /// A required member is missing.
    #[error("the key lacks a required member")]
    MissingMember,
    /// A member has another JSON type than its standard gives it.
    #[error("a member of the key has the wrong type")]
    MemberType,
    /// Neither EC, OKP nor RSA.
    #[error("the key type is not supported")]
    UnknownKeyType,
    /// Neither P-256 with EC nor Ed25519 with OKP.
    #[error("the curve is not supported")]
    UnknownCurve,
    /// `alg` is not the one algorithm that we use with keys of this type.
    #[error("the algorithm of the key is not supported")]
    UnsupportedAlgorithm,
    /// `use` is not `sig` (RFC 7517 §4.2).
    #[error("the key is not for signatures")]
    NotForSignatures,
    /// `key_ops` lacks `verify` (RFC 7517 §4.3).
    #[error("the key is not for verification")]
    NotForVerification,
    /// A number is not strict base64url, or not of the full or minimal length that its standard asks.
    #[error("a number of the key is not encoded as its standard says")]
    Encoding,
    /// Not a point of P-256.
    #[error("the point is not on the curve")]
    NotOnCurve,
    /// A point of Ed25519 under which signatures prove nothing, or in a second spelling.
    #[error("the point has a small order or is not reduced")]
    WeakPoint,
    /// An RSA modulus below 2048 or above 8192 bits, or an even one.
    #[error("the RSA modulus must have 2048 to 8192 bits")]
    RsaModulus,
    /// An RSA exponent that is even, below 3 or above 32 bits.
    #[error("the RSA exponent must be odd, at least 3, and have at most 32 bits")]
    RsaExponent,
    /// An RSA modulus whose factors anybody can work out (CVE-2017-15361).
    #[error("the RSA key was made by a broken generator; make a new one")]
    RsaBroken,
    /// `kid` is longer than [`MAX_KEY_ID_LENGTH`].
    #[error("the key id is longer than 255 characters")]
    KeyIdTooLong,
}

impl From<json::WrongType> for JwkError {
    fn from(_: json::WrongType) -> Self {
        Self::MemberType
    }
}

/// A public key that passed every check.
#[derive(Clone, Debug)]
pub struct Jwk {
    kid: Option<String>,
    material: Material,
    public: Public,
}

/// The numbers of the key, as they are written.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Material {
    P256 { x: [u8; 32], y: [u8; 32] },
    Ed25519 { x: [u8; 32] },
    Rsa { n: Vec<u8>, e: Vec<u8> },
}

impl PartialEq for Jwk {
    fn eq(&self, other: &Self) -> bool {
        self.kid == other.kid && self.material == other.material
    }
}

impl Eq for Jwk {}

impl Jwk {
    /// Reads one key. The value has to come from [`json::parse_value`] or [`json::parse_object`], which refuse two
    /// members with one name.
    pub fn parse(value: &Value) -> Result<Self, JwkError> {
        let members = value.as_object().ok_or(JwkError::NotAnObject)?;
        // First of all, and for every key type: a published private key is refused, whatever else it is.
        if PRIVATE_MEMBERS.iter().any(|private| members.contains_key(*private)) {
            return Err(JwkError::PrivateMember);
        }
        let material = match required(members, "kty")? {
            "EC" => ec(members)?,
            "OKP" => ed25519(members)?,
            "RSA" => rsa(members)?,
            "oct" => return Err(JwkError::Symmetric),
            _ => return Err(JwkError::UnknownKeyType),
        };
        let kid = json::string(members, "kid")?;
        if kid.is_some_and(|kid| kid.len() > MAX_KEY_ID_LENGTH) {
            return Err(JwkError::KeyIdTooLong);
        }
        purpose(members, material.algorithm())?;
        Self::new(material, kid.map(str::to_owned))
    }

    fn new(material: Material, kid: Option<String>) -> Result<Self, JwkError> {
        let public = material.parse()?;
        Ok(Self { kid, material, public })
    }

    /// From an uncompressed SEC 1 point (`04 ‖ x ‖ y`).
    pub(crate) fn from_p256_point(point: &[u8]) -> Result<Self, JwkError> {
        let (x, y) = match point.split_first() {
            Some((4, rest)) => rest.split_at_checked(32).ok_or(JwkError::Encoding)?,
            Some(_) | None => return Err(JwkError::Encoding),
        };
        let half = |bytes: &[u8]| bytes.try_into().map_err(|_| JwkError::Encoding);
        Self::new(Material::P256 { x: half(x)?, y: half(y)? }, None)
    }

    /// From the 32 bytes of an Ed25519 public key.
    pub(crate) fn from_ed25519(bytes: &[u8]) -> Result<Self, JwkError> {
        Self::new(Material::Ed25519 { x: bytes.try_into().map_err(|_| JwkError::Encoding)? }, None)
    }

    /// From big-endian numbers without leading zeros.
    pub(crate) fn from_rsa(n: Vec<u8>, e: Vec<u8>) -> Result<Self, JwkError> {
        Self::new(Material::Rsa { n, e }, None)
    }

    pub(crate) fn with_key_id(self, kid: String) -> Self {
        Self { kid: Some(kid), ..self }
    }

    /// The one algorithm that this key is used with.
    pub const fn algorithm(&self) -> Algorithm {
        self.material.algorithm()
    }

    /// Its `kid`.
    pub fn key_id(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// SHA-256 over the required members (RFC 7638 §3). Its base64url form is the `jkt` of RFC 9449 §6.1.
    pub fn thumbprint(&self) -> [u8; 32] {
        match &self.public {
            Public::P256(key) => key.thumbprint_or(|| self.material.thumbprint()),
            Public::Library(_) => self.material.thumbprint(),
        }
    }

    /// The key as a JSON object with `use` and `alg`.
    pub fn to_json(&self) -> Value {
        let mut members = self.material.members();
        members.insert("use".into(), json!("sig"));
        members.insert("alg".into(), json!(self.algorithm().name()));
        if let Some(kid) = &self.kid {
            members.insert("kid".into(), json!(kid));
        }
        Value::Object(members)
    }

    /// The key ready to verify.
    pub fn verifying_key(&self) -> VerifyingKey {
        VerifyingKey::new(self.kid.clone(), self.algorithm(), self.public.clone())
    }
}

/// A JWK Set of these keys, as an endpoint publishes it (RFC 7517 §5).
pub fn set_to_json(keys: &[Jwk]) -> Value {
    json!({ "keys": keys.iter().map(Jwk::to_json).collect::<Vec<_>>() })
}

impl Material {
    const fn algorithm(&self) -> Algorithm {
        match self {
            Self::P256 { .. } => Algorithm::Es256,
            Self::Ed25519 { .. } => Algorithm::EdDsa,
            Self::Rsa { .. } => Algorithm::Rs256,
        }
    }

    /// The members that make the thumbprint, in the order of their names (RFC 7638 §3.2, RFC 8037 §2).
    fn members(&self) -> Map<String, Value> {
        let pairs = match self {
            Self::P256 { x, y } => vec![
                ("crv", "P-256".to_owned()),
                ("kty", "EC".to_owned()),
                ("x", encoding::base64url(x)),
                ("y", encoding::base64url(y)),
            ],
            Self::Ed25519 { x } => {
                vec![("crv", "Ed25519".to_owned()), ("kty", "OKP".to_owned()), ("x", encoding::base64url(x))]
            }
            Self::Rsa { n, e } => {
                vec![("e", encoding::base64url(e)), ("kty", "RSA".to_owned()), ("n", encoding::base64url(n))]
            }
        };
        pairs.into_iter().map(|(name, value)| (name.to_owned(), Value::String(value))).collect()
    }

    fn thumbprint(&self) -> [u8; 32] {
        // `members` lists them by name and `to_string` writes no white space, as RFC 7638 §3.3 asks, whichever map
        // serde_json is built with; the values are base64url and never need an escape.
        let text = Value::Object(self.members()).to_string();
        let mut thumbprint = [0; 32];
        thumbprint.copy_from_slice(digest::digest(&digest::SHA256, text.as_bytes()).as_ref());
        thumbprint
    }

    fn parse(&self) -> Result<Public, JwkError> {
        match self {
            Self::P256 { x, y } => p256::Key::new(x, y).map(Public::P256).ok_or(JwkError::NotOnCurve),
            Self::Ed25519 { x } => {
                if is_weak(x) {
                    return Err(JwkError::WeakPoint);
                }
                ParsedPublicKey::new(&ED25519, x).map(Public::Library).map_err(|_| JwkError::NotOnCurve)
            }
            Self::Rsa { n, e } => {
                check_rsa(n, e)?;
                RsaPublicKeyComponents { n, e }
                    .to_parsed_public_key(&RSA_PKCS1_2048_8192_SHA256)
                    .map(Public::Library)
                    .map_err(|_| JwkError::RsaModulus)
            }
        }
    }
}

fn required<'a>(members: &'a Map<String, Value>, name: &'static str) -> Result<&'a str, JwkError> {
    json::string(members, name)?.ok_or(JwkError::MissingMember)
}

fn number(members: &Map<String, Value>, name: &'static str) -> Result<Vec<u8>, JwkError> {
    encoding::from_base64url(required(members, name)?).ok_or(JwkError::Encoding)
}

/// A number of fixed length: leading zeros are written (RFC 7518 §6.2.1.2, RFC 8037 §2).
fn coordinate(members: &Map<String, Value>, name: &'static str) -> Result<[u8; 32], JwkError> {
    number(members, name)?.try_into().map_err(|_| JwkError::Encoding)
}

fn ec(members: &Map<String, Value>) -> Result<Material, JwkError> {
    match required(members, "crv")? {
        "P-256" => Ok(Material::P256 { x: coordinate(members, "x")?, y: coordinate(members, "y")? }),
        _ => Err(JwkError::UnknownCurve),
    }
}

fn ed25519(members: &Map<String, Value>) -> Result<Material, JwkError> {
    match required(members, "crv")? {
        "Ed25519" => Ok(Material::Ed25519 { x: coordinate(members, "x")? }),
        _ => Err(JwkError::UnknownCurve),
    }
}

fn rsa(members: &Map<String, Value>) -> Result<Material, JwkError> {
    Ok(Material::Rsa { n: number(members, "n")?, e: number(members, "e")? })
}

fn check_rsa(n: &[u8], e: &[u8]) -> Result<(), JwkError> {
    // Numbers use the fewest bytes (RFC 7518 §6.3.1), so that a key has one thumbprint only.
    if n.first().is_none_or(|first| *first == 0) || e.first().is_none_or(|first| *first == 0) {
        return Err(JwkError::Encoding);
    }
    let top_bits = n.first().map_or(0, |first| first.leading_zeros());
    let too_small = n.len() < 256 || (n.len() == 256 && top_bits > 0);
    if too_small || n.len() > 1024 || n.last().is_some_and(|last| last % 2 == 0) {
        return Err(JwkError::RsaModulus);
    }
    // With e = 1 a signature is the padded message itself: anybody could make one.
    let e_is_one = e == [1];
    if e_is_one || e.len() > 4 || e.last().is_some_and(|last| last % 2 == 0) {
        return Err(JwkError::RsaExponent);
    }
    if roca::is_broken(n) {
        return Err(JwkError::RsaBroken);
    }
    Ok(())
}

/// Whether a point has small order, or is written with a coordinate that is not below 2^255 - 19.
///
/// Under a point of small order one signature fits many messages (RFC 8032 §5.1.7 does not ask to refuse them).
fn is_weak(x: &[u8; 32]) -> bool {
    /// y-coordinates of the points of order 1, 2, 4 and 8, little-endian, sign bit cleared.
    const SMALL: [[u8; 32]; 5] = [
        [0; 32],
        [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        [
            0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0,
            0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
        ],
        [
            0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f,
            0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
        ],
        [
            0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
            0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f,
        ],
    ];
    let [low, middle @ .., high] = *x;
    let high = high & 0x7f;
    let not_reduced = high == 0x7f && middle == [0xff; 30] && low >= 0xed;
    let mut y = *x;
    if let Some(last) = y.last_mut() {
        *last = high;
    }
    not_reduced || SMALL.contains(&y)
}

/// `alg`, `use` and `key_ops`, which may each be absent.
fn purpose(members: &Map<String, Value>, algorithm: Algorithm) -> Result<(), JwkError> {
    if json::string(members, "alg")?.is_some_and(|alg| Algorithm::from_name(alg) != Some(algorithm)) {
        return Err(JwkError::UnsupportedAlgorithm);
    }
    if json::string(members, "use")?.is_some_and(|purpose| purpose != "sig") {
        return Err(JwkError::NotForSignatures);
    }
    match json::strings(members, "key_ops")? {
        Some(operations) if !operations.iter().any(|each| each == "verify") => {
            Err(JwkError::NotForVerification)
        }
        Some(_) | None => Ok(()),
    }
}

#[cfg(test)]
mod tests;
