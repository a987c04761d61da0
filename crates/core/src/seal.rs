//! Every key of the program, and the two things done with them: sealing and authenticating.
//!
//! A key is `HKDF-SHA-256(master key, salt = root secret, info = format ‖ purpose ‖ issuer)`. The master key lives
//! outside the database, the root secret inside: a dump alone opens nothing, the key file alone forges nothing.
//! Sealing is AES-256-GCM-SIV (RFC 8452), because strangers can make us seal as often as they like and GCM's
//! random nonces are used up after 2^32. Purpose and issuer are authenticated with everything.
//!
//! A sealed value: `version ‖ key number ‖ nonce (12) ‖ ciphertext ‖ tag (16)`. A release reads a new version before
//! any release writes it.

use crate::{
    entropy::{self, Entropy},
    secret::{self, SecretBytes},
};
use aws_lc_rs::{
    aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hkdf, hmac,
};
use std::fmt;

const VERSION: u8 = 1;
const HEADER: usize = 2 + NONCE_LEN;

/// What a key is for. One key per purpose: a value of one kind can never be taken for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Authorization codes.
    AuthorizationCode,
    /// What a consent page showed.
    ConsentPage,
    /// The request that waits behind a sign-in form.
    SignInForm,
    /// Pushed authorization requests.
    PushedRequest,
    /// Device codes.
    DeviceCode,
    /// What the page about a device showed.
    DevicePage,
    /// MAC of refresh tokens.
    RefreshToken,
    /// MAC of registered `client_id`s. Never retired: it is in other people's programs for years.
    ClientId,
    /// Derivation of client secrets from the `client_id`.
    ClientSecret,
    /// MAC of initial access tokens.
    InitialAccess,
    /// Keyed tags of redirect URIs that do not fit into a `client_id`.
    RedirectTag,
    /// MAC of session cookies.
    SessionCookie,
    /// Tokens against cross-site requests, derived from the browser's cookie.
    CrossSiteRequest,
    /// The cookie of a browser in which a person signed in before.
    KnownBrowser,
    /// Signing keys at rest.
    SigningKey,
    /// Session ids of MCP servers behind the gateway.
    McpSession,
    /// The chain of a node's audit lines.
    AuditLog,
    /// Nonces for proofs of possession.
    ProofNonce,
    /// Tokens of third parties at rest.
    ConnectionTokens,
    /// A person's request to a third party, in a cookie.
    ConnectionRequest,
    /// The link with which a client sends its person to connect a third party.
    ConnectionPrompt,
    /// A sign-in at an identity provider that a browser is busy with, in a cookie.
    SignInRequest,
    /// What an identity provider gave to ask it again, at rest.
    LinkTokens,
    /// The secret of a person's second factor at rest.
    SecondFactor,
    /// A sign-in that has passed the first factor and not the second, in a cookie. It is no session.
    HalfSignedIn,
    /// A second factor that is not in force yet, in a cookie.
    ProposedFactor,
}

impl Purpose {
    const ALL: [Self; 26] = [
        Self::AuthorizationCode,
        Self::ConsentPage,
        Self::SignInForm,
        Self::PushedRequest,
        Self::DeviceCode,
        Self::DevicePage,
        Self::RefreshToken,
        Self::ClientId,
        Self::ClientSecret,
        Self::InitialAccess,
        Self::RedirectTag,
        Self::SessionCookie,
        Self::CrossSiteRequest,
        Self::KnownBrowser,
        Self::SigningKey,
        Self::McpSession,
        Self::AuditLog,
        Self::ProofNonce,
        Self::ConnectionTokens,
        Self::ConnectionRequest,
        Self::ConnectionPrompt,
        Self::SignInRequest,
        Self::LinkTokens,
        Self::SecondFactor,
        Self::HalfSignedIn,
        Self::ProposedFactor,
    ];

    /// Part of the derivation: changing one voids everything under it.
    const fn label(self) -> &'static str {
        match self {
            Self::AuthorizationCode => "authorization-code",
            Self::ConsentPage => "consent-page",
            Self::SignInForm => "sign-in-form",
            Self::PushedRequest => "pushed-request",
            Self::DeviceCode => "device-code",
            Self::DevicePage => "device-page",
            Self::RefreshToken => "refresh-token",
            Self::ClientId => "client-id",
            Self::ClientSecret => "client-secret",
            Self::InitialAccess => "initial-access",
            Self::RedirectTag => "redirect-tag",
            Self::SessionCookie => "session-cookie",
            Self::CrossSiteRequest => "cross-site-request",
            Self::KnownBrowser => "known-browser",
            Self::SigningKey => "signing-key",
            Self::McpSession => "mcp-session",
            Self::AuditLog => "audit-log",
            Self::ProofNonce => "proof-nonce",
            Self::ConnectionTokens => "connection-tokens",
            Self::ConnectionRequest => "connection-request",
            Self::ConnectionPrompt => "connection-prompt",
            Self::SignInRequest => "sign-in-request",
            Self::LinkTokens => "link-tokens",
            Self::SecondFactor => "second-factor",
            Self::HalfSignedIn => "half-signed-in",
            Self::ProposedFactor => "proposed-factor",
        }
    }
}

/// A master key and the number that everything made with it carries.
#[derive(Clone, Debug)]
pub struct MasterKey {
    /// 0 to 255, unique among the keys in use.
    pub number: u8,
    /// 32 random bytes.
    pub bytes: SecretBytes<32>,
}

/// The master keys of a server.
#[derive(Clone, Debug, Default)]
pub struct MasterKeys {
    /// The first one is for what is new; all of them are accepted.
    pub keys: Vec<MasterKey>,
    /// The highest number that any of them ever had, where it is higher than those of `keys`.
    pub highest: u8,
}

impl From<Vec<MasterKey>> for MasterKeys {
    fn from(keys: Vec<MasterKey>) -> Self {
        Self { keys, highest: 0 }
    }
}

/// A sealed value or a MAC that is not ours, not for this purpose, or damaged. Deliberately says no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not sealed by this server for this purpose")]
pub struct NotOurs;

struct PurposeKeys {
    purpose: Purpose,
    aead: LessSafeKey,
    mac: hmac::Key,
}

struct Derived {
    number: u8,
    purposes: Vec<PurposeKeys>,
}

/// All keys, derived once. Other master keys are another ring: whoever works with one keeps it to the end.
pub struct KeyRing {
    keys: Vec<Derived>,
    highest: u8,
    issuer: Box<str>,
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyRing({} keys)", self.keys.len())
    }
}

impl KeyRing {
    /// Derives every key. The first master key is used for what is new; all of them are accepted.
    ///
    /// # Errors
    /// [`NotOurs`] when there is no master key.
    pub fn new(masters: &[MasterKey], root_secret: &SecretBytes<32>, issuer: &str) -> Result<Self, NotOurs> {
        if masters.is_empty() {
            return Err(NotOurs);
        }
        let keys: Vec<Derived> =
            masters.iter().map(|master| derive(master, root_secret, issuer)).collect::<Result<_, _>>()?;
        let highest = keys.iter().map(|key| key.number).max().unwrap_or(0);
        Ok(Self { keys, highest, issuer: issuer.into() })
    }

    /// The same, knowing of keys that were given up.
    ///
    /// # Errors
    /// [`NotOurs`] when there is no master key.
    pub fn of(masters: &MasterKeys, root_secret: &SecretBytes<32>, issuer: &str) -> Result<Self, NotOurs> {
        let ring = Self::new(&masters.keys, root_secret, issuer)?;
        Ok(Self { highest: ring.highest.max(masters.highest), ..ring })
    }

    /// Seals `plaintext`. `context` is authenticated with it and has to be given again to open.
    pub fn seal(&self, purpose: Purpose, context: &[u8], plaintext: &[u8], entropy: &dyn Entropy) -> Vec<u8> {
        let Some((number, keys)) = self.keys.first().and_then(|key| Some((key.number, key.of(purpose)?)))
        else {
            return Vec::new();
        };
        let nonce = entropy::random::<NONCE_LEN>(entropy);
        let mut text = plaintext.to_vec();
        let aad = self.associated(number, purpose, context);
        let sealed = keys.aead.seal_in_place_append_tag(
            Nonce::assume_unique_for_key(nonce),
            Aad::from(aad),
            &mut text,
        );
        if sealed.is_err() {
            // Only a plaintext of more than 2^36 bytes fails. An empty value never opens.
            return Vec::new();
        }
        let mut out = Vec::with_capacity(HEADER + text.len());
        out.extend_from_slice(&[VERSION, number]);
        out.extend_from_slice(&nonce);
        out.extend_from_slice(&text);
        out
    }

    /// Opens what [`Self::seal`] made for the same purpose and context.
    ///
    /// # Errors
    /// [`NotOurs`] for anything else.
    pub fn open(&self, purpose: Purpose, context: &[u8], sealed: &[u8]) -> Result<Vec<u8>, NotOurs> {
        let (header, text) = sealed.split_at_checked(HEADER).ok_or(NotOurs)?;
        let (&version, rest) = header.split_first().ok_or(NotOurs)?;
        let (&number, nonce) = rest.split_first().ok_or(NotOurs)?;
        if version != VERSION {
            return Err(NotOurs);
        }
        let keys = self.numbered(number)?.of(purpose).ok_or(NotOurs)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| NotOurs)?;
        let aad = self.associated(number, purpose, context);
        let mut text = text.to_vec();
        let length = keys.aead.open_in_place(nonce, Aad::from(aad), &mut text).map_err(|_| NotOurs)?.len();
        text.truncate(length);
        Ok(text)
    }

    /// The number of the key that [`Self::mac`] uses for new values.
    pub fn current(&self) -> u8 {
        self.keys.first().map_or(0, |key| key.number)
    }

    /// The numbers of all keys, that for new values first.
    pub fn numbers(&self) -> impl Iterator<Item = u8> {
        self.keys.iter().map(|key| key.number)
    }

    /// Whether a key of this number is among them.
    pub fn has(&self, number: u8) -> bool {
        self.numbered(number).is_ok()
    }

    /// Whether this is the number of a key that came after all that were ever here: then the value was made by a node that
    /// has the next master key already, or it is forged. Which of the two cannot be known, so nothing of it is believed,
    /// and it is not called wrong either. Numbers go up, and a number that was given up is below the highest. They stand
    /// in every id and token in the open: answering by them tells nobody anything.
    pub fn is_later(&self, number: u8) -> bool {
        number > self.highest
    }

    /// The number of the key that a value was sealed under, as the value says. Nothing is checked.
    pub fn number_of(sealed: &[u8]) -> Option<u8> {
        match *sealed {
            [VERSION, number, ..] => Some(number),
            _ => None,
        }
    }

    /// The first number that stands for one key here and for another one there.
    pub fn conflict(&self, other: &Self) -> Option<u8> {
        let sample = |ring: &Self, number| ring.mac(number, Purpose::ClientId, b"").ok();
        self.numbers().find(|&number| other.has(number) && sample(self, number) != sample(other, number))
    }

    /// Compares a whole MAC that does not say its key's number with those of all keys.
    ///
    /// # Errors
    /// [`NotOurs`] when it is none of them.
    pub fn check_any(&self, purpose: Purpose, data: &[u8], mac: &[u8; 32]) -> Result<(), NotOurs> {
        if self.numbers().any(|number| self.check(number, purpose, data, mac).is_ok()) {
            Ok(())
        } else {
            Err(NotOurs)
        }
    }

    /// HMAC-SHA-256 with the key of this number. Truncate as the format asks, and check with [`Self::check`].
    ///
    /// # Errors
    /// [`NotOurs`] when no key has this number.
    pub fn mac(&self, number: u8, purpose: Purpose, data: &[u8]) -> Result<[u8; 32], NotOurs> {
        let keys = self.numbered(number)?.of(purpose).ok_or(NotOurs)?;
        hmac::sign(&keys.mac, data).as_ref().try_into().map_err(|_| NotOurs)
    }

    /// Compares a truncated MAC (at least 8 bytes) in constant time.
    ///
    /// # Errors
    /// [`NotOurs`] when it differs.
    pub fn check(&self, number: u8, purpose: Purpose, data: &[u8], truncated: &[u8]) -> Result<(), NotOurs> {
        let mac = self.mac(number, purpose, data)?;
        match mac.get(..truncated.len()) {
            Some(expected) if truncated.len() >= 8 && secret::equal(expected, truncated) => Ok(()),
            Some(_) | None => Err(NotOurs),
        }
    }

    fn numbered(&self, number: u8) -> Result<&Derived, NotOurs> {
        self.keys.iter().find(|key| key.number == number).ok_or(NotOurs)
    }

    fn associated(&self, number: u8, purpose: Purpose, context: &[u8]) -> Vec<u8> {
        let label = purpose.label();
        let mut aad = Vec::with_capacity(label.len() + self.issuer.len() + context.len() + 4);
        aad.extend_from_slice(&[VERSION, number]);
        aad.extend_from_slice(label.as_bytes());
        aad.push(0);
        aad.extend_from_slice(self.issuer.as_bytes());
        aad.push(0);
        aad.extend_from_slice(context);
        aad
    }
}

impl Derived {
    fn of(&self, purpose: Purpose) -> Option<&PurposeKeys> {
        self.purposes.iter().find(|keys| keys.purpose == purpose)
    }
}

fn derive(master: &MasterKey, root_secret: &SecretBytes<32>, issuer: &str) -> Result<Derived, NotOurs> {
    let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, root_secret.expose()).extract(master.bytes.expose());
    let key = |kind: &str, purpose: Purpose| -> Result<[u8; 32], NotOurs> {
        let info = ["hallpass v1", kind, purpose.label(), issuer].map(str::as_bytes);
        let separated: Vec<&[u8]> = info.iter().flat_map(|part| [*part, &[0][..]]).collect();
        let okm = prk.expand(&separated, hkdf::HKDF_SHA256).map_err(|_| NotOurs)?;
        let mut bytes = [0; 32];
        okm.fill(&mut bytes).map_err(|_| NotOurs)?;
        Ok(bytes)
    };
    let purposes = Purpose::ALL
        .iter()
        .map(|&purpose| {
            let unbound = UnboundKey::new(&AES_256_GCM_SIV, &key("seal", purpose)?).map_err(|_| NotOurs)?;
            let mac = hmac::Key::new(hmac::HMAC_SHA256, &key("mac", purpose)?);
            Ok(PurposeKeys { purpose, aead: LessSafeKey::new(unbound), mac })
        })
        .collect::<Result<_, NotOurs>>()?;
    Ok(Derived { number: master.number, purposes })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::SystemEntropy;

    fn ring(numbers: &[(u8, u8)], root: u8, issuer: &str) -> KeyRing {
        let masters: Vec<_> = numbers
            .iter()
            .map(|&(number, fill)| MasterKey { number, bytes: SecretBytes::new([fill; 32]) })
            .collect();
        KeyRing::new(&masters, &SecretBytes::new([root; 32]), issuer).unwrap()
    }

    #[test]
    fn opens_only_with_the_same_purpose_context_issuer_and_both_halves_of_the_key() {
        let ours = ring(&[(1, 7)], 9, "https://a.example");
        let sealed = ours.seal(Purpose::AuthorizationCode, b"ctx", b"text", &SystemEntropy);
        assert_eq!(ours.open(Purpose::AuthorizationCode, b"ctx", &sealed).unwrap(), b"text");
        assert_eq!(ours.open(Purpose::ConsentPage, b"ctx", &sealed), Err(NotOurs));
        assert_eq!(ours.open(Purpose::AuthorizationCode, b"other", &sealed), Err(NotOurs));
        for other in [
            ring(&[(1, 8)], 9, "https://a.example"),
            ring(&[(1, 7)], 8, "https://a.example"),
            ring(&[(1, 7)], 9, "https://b.example"),
        ] {
            assert_eq!(other.open(Purpose::AuthorizationCode, b"ctx", &sealed), Err(NotOurs));
        }
    }

    #[test]
    fn any_flipped_bit_is_noticed() {
        let ring = ring(&[(1, 7)], 9, "https://a.example");
        let sealed = ring.seal(Purpose::ConsentPage, b"", b"text", &SystemEntropy);
        for at in 0..sealed.len() * 8 {
            let mut bad = sealed.clone();
            bad[at / 8] ^= 1 << (at % 8);
            assert_eq!(ring.open(Purpose::ConsentPage, b"", &bad), Err(NotOurs), "bit {at}");
        }
        for short in 0..sealed.len() {
            assert_eq!(ring.open(Purpose::ConsentPage, b"", &sealed[..short]), Err(NotOurs));
        }
    }

    #[test]
    fn a_new_key_takes_over_and_the_old_one_is_still_accepted() {
        let old = ring(&[(1, 7)], 9, "https://a.example");
        let both = ring(&[(2, 8), (1, 7)], 9, "https://a.example");
        let sealed = old.seal(Purpose::ConsentPage, b"", b"old", &SystemEntropy);
        assert_eq!(both.open(Purpose::ConsentPage, b"", &sealed).unwrap(), b"old");
        let new = both.seal(Purpose::ConsentPage, b"", b"new", &SystemEntropy);
        assert_eq!(old.open(Purpose::ConsentPage, b"", &new), Err(NotOurs));
        assert_eq!(both.current(), 2);
    }

    #[test]
    fn a_mac_without_a_number_is_good_under_every_key_and_under_no_other() {
        let (old, both) =
            (ring(&[(1, 7)], 9, "https://a.example"), ring(&[(2, 8), (1, 7)], 9, "https://a.example"));
        let purpose = Purpose::CrossSiteRequest;
        for number in [1, 2] {
            let mac = both.mac(number, purpose, b"browser").unwrap();
            assert_eq!(both.check_any(purpose, b"browser", &mac), Ok(()));
            assert_eq!(both.check_any(purpose, b"other", &mac), Err(NotOurs));
            assert_eq!(both.check_any(Purpose::SessionCookie, b"browser", &mac), Err(NotOurs));
            assert_eq!(old.check_any(purpose, b"browser", &mac).is_ok(), number == 1);
        }
        assert_eq!(both.check_any(purpose, b"browser", &[0; 32]), Err(NotOurs));
    }

    #[test]
    fn a_ring_knows_which_numbers_come_after_it_and_which_were_given_up() {
        let root = SecretBytes::new([9; 32]);
        let key = |number| MasterKey { number, bytes: SecretBytes::new([number; 32]) };
        let here = KeyRing::new(&[key(3), key(1)], &root, "https://a.example").unwrap();
        let later = |ring: &KeyRing| (0..=255).filter(|number| ring.is_later(*number)).min();
        assert_eq!((later(&here), here.has(2), here.has(1)), (Some(4), false, true));
        let regretted = MasterKeys { keys: vec![key(1), key(2)], highest: 5 };
        let regretted = KeyRing::of(&regretted, &root, "https://a.example").unwrap();
        assert_eq!(later(&regretted), Some(6));
        let last = KeyRing::new(&[key(255)], &root, "https://a.example").unwrap();
        assert_eq!(later(&last), None);
        assert_eq!(here.conflict(&regretted), None);
        let other = ring(&[(1, 8)], 9, "https://a.example");
        assert_eq!((other.conflict(&here), here.conflict(&other)), (Some(1), Some(1)));
        let sealed = here.seal(Purpose::SigningKey, b"", b"key", &SystemEntropy);
        assert_eq!(KeyRing::number_of(&sealed), Some(3));
        assert_eq!((KeyRing::number_of(&[]), KeyRing::number_of(&[9, 3, 0])), (None, None));
    }

    #[test]
    fn macs_differ_by_purpose_and_short_ones_are_refused() {
        let ring = ring(&[(1, 7)], 9, "https://a.example");
        let mac = ring.mac(1, Purpose::ClientId, b"data").unwrap();
        assert_ne!(mac, ring.mac(1, Purpose::RefreshToken, b"data").unwrap());
        assert_eq!(ring.check(1, Purpose::ClientId, b"data", &mac[..12]), Ok(()));
        assert_eq!(ring.check(1, Purpose::ClientId, b"data", &mac[..7]), Err(NotOurs));
        assert_eq!(ring.check(2, Purpose::ClientId, b"data", &mac[..12]), Err(NotOurs));
    }
}
