//! Pushed authorization requests: the request itself, sealed into its `request_uri` (RFC 9126 §2.2).
//!
//! Anybody can be a client here, so nothing is stored for a push. The id in it becomes the id of the consent page, the
//! code and the grant: however often one is used, at most one grant comes of it.
//!
//! A pushed request is good for 90 seconds, and a person takes longer to sign in. So the first look at it within that
//! time seals it again, for this one browser, and that is what goes through sign-in and consent.

use super::{digest16, take};
use crate::{
    encoding,
    entropy::Entropy,
    id::GrantId,
    parameters::{self, Parameters},
    seal::{KeyRing, Purpose},
    time::Timestamp,
};
use std::time::Duration;

/// What every `request_uri` begins with.
pub const REQUEST_URI: &str = "urn:ietf:params:oauth:request_uri:";
/// How long a pushed request may be taken to the authorization endpoint.
pub const PUSHED_LIFETIME: Duration = Duration::from_secs(90);
/// How long it may be on its way through sign-in and consent, in the browser that took it there.
pub const BEGUN_LIFETIME: Duration = Duration::from_hours(1);
/// Longest `request_uri`, in characters: it goes through URLs, as the request itself would.
pub const MAX_REQUEST_URI: usize = 1_500;
/// How far the clock of the node that sealed it may be ahead of ours.
const FUTURE: Duration = Duration::from_secs(30);
const FORMAT: u8 = 1;
/// The parameters that are kept, as one byte each. Only ever appended to: another release may open what this one sealed.
const NAMES: [&str; 17] = [
    "response_type",
    "redirect_uri",
    "state",
    "scope",
    "code_challenge",
    "code_challenge_method",
    "resource",
    "response_mode",
    "prompt",
    "max_age",
    "login_hint",
    "nonce",
    "dpop_jkt",
    "ui_locales",
    "acr_values",
    "claims",
    // Releases from before refuse a request with it.
    "authorization_details",
];

/// Why a text is not a pushed request that can be used now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PushedError {
    /// Not sealed by this server as one, or begun in another browser.
    #[error("not a pushed request of this server")]
    Foreign,
    /// It says that it was sealed under a master key which this node does not have yet.
    #[error("under a master key that is not here yet")]
    KeyNotHere,
    /// Sealed by us, in a format that this release does not know.
    #[error("a pushed request of another release")]
    Format,
    /// Older than [`PUSHED_LIFETIME`], or begun and older than [`BEGUN_LIFETIME`].
    #[error("the pushed request has expired")]
    Expired,
    /// From the future: clocks of the nodes are apart.
    #[error("the pushed request is from the future")]
    Future,
}

/// What a `request_uri` holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushedRequest {
    /// The grant that it may become.
    pub id: GrantId,
    /// [`digest16`] of the `client_id` that pushed it.
    pub client: [u8; 16],
    /// When.
    pub pushed_at: Timestamp,
    parameters: Vec<(u8, String)>,
}

impl PushedRequest {
    /// What this client pushes now. Parameters that the authorization endpoint does not read are left out.
    pub fn new(id: GrantId, client_id: &str, pushed_at: Timestamp, parameters: &Parameters) -> Self {
        let named = (0_u8..).zip(NAMES);
        let kept = named.flat_map(|(at, name)| parameters.all(name).map(move |value| (at, value.to_owned())));
        Self { id, client: digest16(client_id), pushed_at, parameters: kept.collect() }
    }

    /// Its parameters as a query, without `client_id`.
    pub fn query(&self) -> String {
        let named = |(at, value): &'_ (u8, String)| Some((*NAMES.get(usize::from(*at))?, value.clone()));
        let pairs: Vec<(&str, String)> = self.parameters.iter().filter_map(named).collect();
        parameters::encode(pairs.iter().map(|(name, value)| (*name, value.as_str())))
    }

    /// The same with this parameter, if it is one that is kept.
    #[must_use]
    pub fn with(self, name: &str, value: &str) -> Self {
        let mut with = self.without(name);
        let found = (0_u8..).zip(NAMES).find(|(_, one)| *one == name);
        with.parameters.extend(found.map(|(at, _)| (at, value.to_owned())));
        with
    }

    /// The same without this parameter.
    #[must_use]
    pub fn without(mut self, name: &str) -> Self {
        self.parameters.retain(|(at, _)| NAMES.get(usize::from(*at)) != Some(&name));
        self
    }

    /// Seals it for the client; `None` where it is longer than [`MAX_REQUEST_URI`].
    pub fn seal(&self, keys: &KeyRing, entropy: &dyn Entropy) -> Option<String> {
        self.sealed(keys, b"", entropy)
    }

    /// Seals it for the browser with this id, which has begun with it.
    pub fn seal_for(&self, keys: &KeyRing, browser: &[u8; 16], entropy: &dyn Entropy) -> Option<String> {
        self.sealed(keys, browser, entropy)
    }

    fn sealed(&self, keys: &KeyRing, context: &[u8], entropy: &dyn Entropy) -> Option<String> {
        let mut bytes = vec![FORMAT];
        bytes.extend(self.id.as_bytes());
        bytes.extend(self.client);
        bytes.extend(self.pushed_at.millis().to_be_bytes());
        for (at, value) in &self.parameters {
            bytes.push(*at);
            bytes.extend(u16::try_from(value.len()).ok()?.to_be_bytes());
            bytes.extend(value.as_bytes());
        }
        let sealed = keys.seal(Purpose::PushedRequest, context, &bytes, entropy);
        let uri = format!("{REQUEST_URI}{}", encoding::base64url(&sealed));
        (uri.len() <= MAX_REQUEST_URI).then_some(uri)
    }

    /// Opens one that a browser brings, and checks its age, nothing else.
    pub fn open(keys: &KeyRing, uri: &str, browser: &[u8; 16], now: Timestamp) -> Result<Self, PushedError> {
        if uri.len() > MAX_REQUEST_URI {
            return Err(PushedError::Foreign);
        }
        let sealed = uri.strip_prefix(REQUEST_URI).and_then(encoding::from_base64url);
        let sealed = sealed.ok_or(PushedError::Foreign)?;
        if KeyRing::number_of(&sealed).is_some_and(|number| keys.is_later(number)) {
            return Err(PushedError::KeyNotHere);
        }
        let open = |context: &[u8], lifetime| {
            keys.open(Purpose::PushedRequest, context, &sealed).map(|bytes| (bytes, lifetime))
        };
        let (bytes, lifetime) = open(b"", PUSHED_LIFETIME)
            .or_else(|_| open(browser, BEGUN_LIFETIME))
            .map_err(|_| PushedError::Foreign)?;
        let pushed = Self::read(&bytes).ok_or(PushedError::Format)?;
        if pushed.pushed_at > now.plus(FUTURE) {
            return Err(PushedError::Future);
        }
        if now.since(pushed.pushed_at) >= lifetime {
            return Err(PushedError::Expired);
        }
        Ok(pushed)
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        if take(&mut rest)? != [FORMAT] {
            return None;
        }
        let (id, client) = (GrantId::from_bytes(take(&mut rest)?), take(&mut rest)?);
        let pushed_at = Timestamp::from_millis(i64::from_be_bytes(take(&mut rest)?));
        let mut parameters = Vec::new();
        while !rest.is_empty() {
            let [at] = take(&mut rest)?;
            NAMES.get(usize::from(at))?;
            let length = usize::from(u16::from_be_bytes(take(&mut rest)?));
            let (value, tail) = rest.split_at_checked(length)?;
            rest = tail;
            parameters.push((at, std::str::from_utf8(value).ok()?.to_owned()));
        }
        Some(Self { id, client, pushed_at, parameters })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{entropy::SystemEntropy, parameters::Limits, seal::MasterKey, secret::SecretBytes};

    const NOW: Timestamp = Timestamp::from_seconds(1_000_000);
    const BROWSER: [u8; 16] = [5; 16];

    fn ring(number: u8) -> KeyRing {
        let master = MasterKey { number, bytes: SecretBytes::new([1; 32]) };
        KeyRing::new(&[master], &SecretBytes::new([2; 32]), "https://a.example").unwrap()
    }

    fn pushed(query: &str) -> PushedRequest {
        let parameters = Parameters::parse(query.as_bytes(), Limits::default()).unwrap();
        PushedRequest::new(GrantId::from_bytes([1; 16]), "client", NOW, &parameters)
    }

    const QUERY: &str =
        "response_type=code&redirect_uri=http%3A%2F%2F127.0.0.1%3A5000%2Fcb&state=a+b&resource=x&resource=y";

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(1_000_000 + seconds)
    }

    #[test]
    fn as_199_as_200_a_request_uri_is_sealed_short_and_good_for_ninety_seconds() {
        let request = pushed(&format!("{QUERY}&client_id=client&client_secret=s&unknown=1"));
        assert_eq!(request.query(), QUERY, "what is not read, and every secret, is left out");
        let uri = request.seal(&ring(0), &SystemEntropy).unwrap();
        assert!(uri.starts_with("urn:ietf:params:oauth:request_uri:") && uri.len() < 400, "{uri}");
        assert_ne!(request.seal(&ring(0), &SystemEntropy).unwrap(), uri);
        let open = |seconds| PushedRequest::open(&ring(0), &uri, &BROWSER, at(seconds));
        assert_eq!(open(0), Ok(request.clone()));
        assert!(open(89).is_ok() && open(-30).is_ok());
        assert_eq!(open(90), Err(PushedError::Expired));
        assert_eq!(open(-31), Err(PushedError::Future));
        let later = request.seal(&ring(9), &SystemEntropy).unwrap();
        assert_eq!(PushedRequest::open(&ring(0), &later, &BROWSER, NOW), Err(PushedError::KeyNotHere));
    }

    #[test]
    fn as_200_what_a_browser_has_begun_is_good_there_alone_and_for_an_hour() {
        let uri = pushed(QUERY).seal_for(&ring(0), &BROWSER, &SystemEntropy).unwrap();
        let open = |browser, seconds| PushedRequest::open(&ring(0), &uri, browser, at(seconds));
        assert_eq!(open(&BROWSER, 3_599), Ok(pushed(QUERY)));
        assert_eq!(open(&BROWSER, 3_600), Err(PushedError::Expired));
        assert_eq!(open(&[6; 16], 0), Err(PushedError::Foreign));
    }

    #[test]
    fn as_199_what_does_not_fit_is_not_sealed() {
        let with_hint = |length: usize| pushed(&format!("{QUERY}&login_hint={}", "s".repeat(length)));
        let fits = |length: usize| with_hint(length).seal(&ring(0), &SystemEntropy).is_some();
        let most = (0..2_000).rev().find(|length| fits(*length)).unwrap();
        assert!((850..1_100).contains(&most), "{most}");
        assert!(!fits(16_000));
    }

    #[test]
    fn t_32_a_forged_one_is_foreign() {
        let uri = pushed(QUERY).seal(&ring(0), &SystemEntropy).unwrap();
        let (head, tail) = uri.split_at(80);
        let other = if tail.starts_with('A') { "B" } else { "A" };
        let changed = format!("{head}{other}{}", &tail[1..]);
        let bare = uri.strip_prefix(REQUEST_URI).unwrap();
        for bad in [
            "",
            REQUEST_URI,
            bare,
            &changed,
            &format!("{uri}AAAA"),
            &format!("{REQUEST_URI}{}", "A".repeat(9_000)),
        ] {
            assert_eq!(PushedRequest::open(&ring(0), bad, &BROWSER, NOW), Err(PushedError::Foreign), "{bad}");
        }
    }

    #[test]
    fn a_parameter_can_be_taken_out() {
        let without = pushed(&format!("{QUERY}&prompt=login")).without("prompt");
        assert_eq!(without, pushed(QUERY));
    }
}
