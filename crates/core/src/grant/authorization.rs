//! Authorization codes: the grant itself, sealed.
//!
//! Nothing is stored until the code is redeemed. The grant's primary key is the code's id, so the second redemption
//! conflicts. Client, redirect URI and resource are in it as digests and the scopes as positions in the resource's
//! list, because callback URLs are pasted and handed over by operating systems that cut long ones.

use super::take;
use crate::{
    encoding,
    entropy::Entropy,
    id::{GrantId, PersonId},
    pkce::CodeChallenge,
    seal::{KeyRing, Purpose},
    secret::SecretString,
    time::Timestamp,
};
use aws_lc_rs::digest;
use std::time::Duration;

/// How long a code may be redeemed.
pub const CODE_LIFETIME: Duration = Duration::from_mins(1);
/// How far the clock of the node that sealed it may be ahead of ours.
const FUTURE: Duration = Duration::from_secs(30);
const FORMAT: u8 = 1;
const REDIRECT_SENT: u8 = 0b1;
const REFRESH: u8 = 0b10;
/// Releases from before refuse a code with it, as who cannot check a proof has to.
const KEY: u8 = 0b100;
/// The same: who would pass over them would give more than was asked for.
const DETAILS: u8 = 0b1000;
/// Positions of scopes that fit: one bit each.
pub const MAX_SCOPES: usize = 256;
/// Bytes of the receiver that are kept.
pub const MAX_RECEIVER: usize = 64;

/// SHA-256 of a text: what is kept of a code that must be recognised and not be known.
pub fn digest32(text: &str) -> [u8; 32] {
    digest::digest(&digest::SHA256, text.as_bytes()).as_ref().try_into().unwrap_or([0; 32])
}

/// The first 16 bytes of SHA-256: enough to compare, useless to whoever reads it.
pub fn digest16(text: &str) -> [u8; 16] {
    let mut out = [0; 16];
    for (to, from) in out.iter_mut().zip(digest32(text)) {
        *to = from;
    }
    out
}

/// Why a text is not a code that can be redeemed now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodeError {
    /// Not sealed by this server as a code.
    #[error("not an authorization code of this server")]
    Foreign,
    /// It says that it was sealed under a master key which this node does not have yet: by a node that is ahead, or forged.
    #[error("under a master key that is not here yet")]
    KeyNotHere,
    /// Sealed by us, in a format that this release does not know.
    #[error("an authorization code of another release")]
    Format,
    /// Older than [`CODE_LIFETIME`].
    #[error("the authorization code has expired")]
    Expired,
    /// From the future: clocks of the nodes are apart.
    #[error("the authorization code is from the future")]
    Future,
}

/// What a code holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorizationCode {
    /// The grant that it opens. Also the id of the consent page.
    pub grant: GrantId,
    /// Who said yes.
    pub person: PersonId,
    /// The person's epoch when the page was shown.
    pub epoch: u32,
    /// When the yes was said.
    pub consented_at: Timestamp,
    /// [`digest16`] of the `client_id`.
    pub client: [u8; 16],
    /// [`digest16`] of the redirect URI as the request wrote it.
    pub redirect: [u8; 16],
    /// Whether the request named the redirect URI (it may be left out where there is only one).
    pub redirect_was_sent: bool,
    /// Whether the page said that the client stays signed in: only then is there a refresh token.
    pub refresh: bool,
    /// [`digest16`] of the resource in its registered form.
    pub resource: [u8; 16],
    /// [`digest16`] of the resource's scope list that the positions refer to.
    pub scope_list: [u8; 16],
    /// Bit `n` of byte `n / 8` stands for scope `n` of that list; no trailing zero byte.
    pub scopes: Vec<u8>,
    /// PKCE.
    pub challenge: CodeChallenge,
    /// The first half of the thumbprint of the key that the request named (RFC 9449 §10): who redeems it has to prove it.
    pub key: Option<[u8; 16]>,
    /// Who receives the code, for the account page; its end, where it is longer than [`MAX_RECEIVER`] bytes.
    pub receiver: String,
    /// What tools it is for, as text; `None` for all that the scopes allow (RFC 9396).
    pub details: Option<String>,
}

impl AuthorizationCode {
    /// Seals it for the redirect URI.
    pub fn seal(&self, keys: &KeyRing, entropy: &dyn Entropy) -> SecretString {
        let mut bytes = Vec::with_capacity(192);
        bytes.push(FORMAT);
        let flag = |set: bool, bit: u8| if set { bit } else { 0 };
        bytes.push(
            flag(self.redirect_was_sent, REDIRECT_SENT)
                | flag(self.refresh, REFRESH)
                | flag(self.key.is_some(), KEY)
                | flag(self.details.is_some(), DETAILS),
        );
        bytes.extend(self.grant.as_bytes());
        bytes.extend(self.person.as_bytes());
        bytes.extend(self.epoch.to_be_bytes());
        bytes.extend(self.consented_at.millis().to_be_bytes());
        bytes.extend(self.client);
        bytes.extend(self.redirect);
        bytes.extend(self.resource);
        bytes.extend(self.scope_list);
        bytes.extend(self.challenge.as_bytes());
        bytes.extend(self.key.iter().flatten());
        let receiver = end_of(&self.receiver);
        bytes.push(u8::try_from(receiver.len()).unwrap_or(0));
        bytes.extend(receiver.as_bytes());
        if let Some(details) = &self.details {
            bytes.extend(u16::try_from(details.len()).unwrap_or(0).to_be_bytes());
            bytes.extend(details.as_bytes());
        }
        bytes.extend(&self.scopes);
        SecretString::new(encoding::base64url(&keys.seal(Purpose::AuthorizationCode, b"", &bytes, entropy)))
    }

    /// Opens a code and checks its age, nothing else.
    pub fn open(keys: &KeyRing, text: &str, now: Timestamp) -> Result<Self, CodeError> {
        if text.len() > 1024 {
            return Err(CodeError::Foreign);
        }
        let sealed = encoding::from_base64url(text).ok_or(CodeError::Foreign)?;
        if KeyRing::number_of(&sealed).is_some_and(|number| keys.is_later(number)) {
            return Err(CodeError::KeyNotHere);
        }
        let bytes = keys.open(Purpose::AuthorizationCode, b"", &sealed).map_err(|_| CodeError::Foreign)?;
        let code = Self::read(&bytes).ok_or(CodeError::Format)?;
        if code.consented_at > now.plus(FUTURE) {
            return Err(CodeError::Future);
        }
        if now.since(code.consented_at) >= CODE_LIFETIME {
            return Err(CodeError::Expired);
        }
        Ok(code)
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        if *take::<1>(&mut rest)?.first()? != FORMAT {
            return None;
        }
        let [flags] = take(&mut rest)?;
        if flags & !(REDIRECT_SENT | REFRESH | KEY | DETAILS) != 0 {
            return None;
        }
        Some(Self {
            redirect_was_sent: flags & REDIRECT_SENT != 0,
            refresh: flags & REFRESH != 0,
            grant: GrantId::from_bytes(take(&mut rest)?),
            person: PersonId::from_bytes(take(&mut rest)?),
            epoch: u32::from_be_bytes(take(&mut rest)?),
            consented_at: Timestamp::from_millis(i64::from_be_bytes(take(&mut rest)?)),
            client: take(&mut rest)?,
            redirect: take(&mut rest)?,
            resource: take(&mut rest)?,
            scope_list: take(&mut rest)?,
            challenge: CodeChallenge::from_bytes(take(&mut rest)?),
            key: if flags & KEY == 0 { None } else { Some(take(&mut rest)?) },
            receiver: take_text(&mut rest)?,
            details: if flags & DETAILS == 0 { None } else { Some(take_long_text(&mut rest)?) },
            scopes: if rest.len() <= MAX_SCOPES / 8 { rest.to_vec() } else { return None },
        })
    }
}

fn take_text(rest: &mut &[u8]) -> Option<String> {
    let [length] = take(rest)?;
    take_of(rest, usize::from(length))
}

fn take_long_text(rest: &mut &[u8]) -> Option<String> {
    let length = u16::from_be_bytes(take(rest)?);
    take_of(rest, usize::from(length))
}

fn take_of(rest: &mut &[u8], length: usize) -> Option<String> {
    let (text, tail) = rest.split_at_checked(length)?;
    *rest = tail;
    Some(std::str::from_utf8(text).ok()?.to_owned())
}

/// The end of a host name is the part that its owner cannot choose freely.
fn end_of(receiver: &str) -> &str {
    let from = receiver.len().saturating_sub(MAX_RECEIVER);
    (from..=receiver.len()).find_map(|at| receiver.get(at..)).unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{entropy::SystemEntropy, seal::MasterKey, secret::SecretBytes};

    fn ring() -> KeyRing {
        let master = MasterKey { number: 0, bytes: SecretBytes::new([1; 32]) };
        KeyRing::new(&[master], &SecretBytes::new([2; 32]), "https://a.example").unwrap()
    }

    fn code() -> AuthorizationCode {
        AuthorizationCode {
            grant: GrantId::from_bytes([1; 16]),
            person: PersonId::from_bytes([2; 16]),
            epoch: 3,
            consented_at: Timestamp::from_seconds(1_000_000),
            client: digest16("client"),
            redirect: digest16("redirect"),
            redirect_was_sent: true,
            refresh: true,
            resource: digest16("resource"),
            scope_list: digest16("a b c"),
            scopes: vec![0b101],
            challenge: CodeChallenge::from_bytes([9; 32]),
            key: None,
            receiver: "localhost:33418".into(),
            details: None,
        }
    }

    #[test]
    fn as_107_round_trip_within_the_budget() {
        let full = AuthorizationCode {
            scopes: vec![0xFF; 32],
            receiver: "r".repeat(MAX_RECEIVER),
            key: Some([6; 16]),
            ..code()
        };
        let longest = "d".repeat(crate::authorization_details::MAX_LENGTH);
        let limited = AuthorizationCode { details: Some(longest), ..full.clone() };
        for code in [code(), AuthorizationCode { key: Some([6; 16]), ..code() }, full, limited] {
            let text = code.seal(&ring(), &SystemEntropy);
            let most = if code.details.is_some() { 1_000 } else { 400 };
            assert!(text.expose().len() <= most, "{}", text.expose().len());
            let bytes = encoding::from_base64url(text.expose()).unwrap();
            for part in
                [&code.challenge.as_bytes()[..], &code.person.as_bytes()[..], code.receiver.as_bytes()]
            {
                assert!(!bytes.windows(part.len()).any(|window| window == part), "readable in the code");
            }
            assert_eq!(AuthorizationCode::open(&ring(), text.expose(), code.consented_at), Ok(code));
        }
    }

    #[test]
    fn as_109_b_08_a_code_lives_for_a_minute() {
        let text = code().seal(&ring(), &SystemEntropy);
        let open = |at: i64| {
            AuthorizationCode::open(&ring(), text.expose(), Timestamp::from_seconds(1_000_000 + at))
        };
        assert!(open(59).is_ok() && open(-30).is_ok());
        assert_eq!(open(60), Err(CodeError::Expired));
        assert_eq!(open(-31), Err(CodeError::Future));
    }

    #[test]
    fn golden_vectors_of_version_1() {
        // Written by the releases without and with a key: a node reads the codes of its neighbour during an upgrade.
        for (text, key) in [(PLAIN, None), (WITH_KEY, Some([6; 16]))] {
            let code = AuthorizationCode { key, ..code() };
            assert_eq!(AuthorizationCode::open(&ring(), text, code.consented_at), Ok(code));
        }
    }

    const PLAIN: &str = "AQAC2uBosEh-j-msGtJzR4nbHZXWZeBSziE8rHN1LnJlOGxEjmeZyJIEi1GEGElYfeRzKy5lvMdMcZ4sm2lsMlsHFoD8Q7nwBeZO3HTrL6qUsm5DRYKMZadyh16MPMESAlJvFdsCICkAD-VCWRHZLaDsaZXF3bOOXeKU_dJTMVk3F3LM-Jy7mDZgDWqW1PnJBpCly0jR3QiG6c7nHEmnGxHLnxNxBfKk1y0agSBCIOqQn5UbJ560jp_lBmA1";
    const WITH_KEY: &str = "AQB9bNEvnPK487x02nygFyUy9gdb9yMWmCwJ-870hHDDXxuV42v_FmuuWVwTjYVKn0DHDxdDvosBEY3FL5_vzOndwLdW3RKKyoKCaEd6qSEYaytPz5xp6783ro17w-35nkIZ46ewwSBpcxrJkjkosK9S31LX5_z7GMdnoqA7wK1kKpuKGfZkeNNu7zJYK87tc6DomYreGscI7K0tZwkGV1mNVH5Q1Fg3GD4OjketFkRdoUf067fEKcr8ceAhqN6EHnI7DX5geaxhNFnqqw";

    #[test]
    fn t_32_a_forged_code_is_foreign() {
        let text = code().seal(&ring(), &SystemEntropy).expose().to_owned();
        let now = code().consented_at;
        for bad in ["", "x", &text[..text.len() - 4], &format!("{text}AAAA"), &"A".repeat(4000)] {
            assert_eq!(AuthorizationCode::open(&ring(), bad, now), Err(CodeError::Foreign));
        }
        let mut flipped = text.into_bytes();
        flipped[30] = if flipped[30] == b'A' { b'B' } else { b'A' };
        let flipped = String::from_utf8(flipped).unwrap();
        assert_eq!(AuthorizationCode::open(&ring(), &flipped, now), Err(CodeError::Foreign));
    }
}
