//! Registrations without a row: the `client_id` is the registration (RFC 7591 appendix A.5.2).
//!
//! `hpc_` and base64url of: version, key number, flags, issue time (seconds, 4), random (6), name (length, at most 32
//! bytes), counts (texts, tags), texts (length, packed), tags (8 each), MAC (12). At most 160 characters for up to
//! seven redirect URIs, never above 255: ids are in every access token, and clients store both in places that hold
//! 1,280 characters for everything. The random part keeps two equal registrations from sharing an id and a secret.

use super::{AuthMethod, Redirects};
use hallpass_core::{
    encoding,
    entropy::{self, Entropy},
    redirect,
    seal::{KeyRing, Purpose},
    secret::SecretString,
    time::Timestamp,
    uri::RedirectUri,
};

/// What every registered `client_id` starts with. It can never be taken for a document's URL or a person's id.
pub const PREFIX: &str = "hpc_";
/// Redirect URIs of one registration.
pub const MAX_REDIRECTS: usize = 15;
const VERSION: u8 = 1;
const MAC: usize = 12;
const NAME: usize = 32;
/// Bytes before redirect URIs are written as tags: 117 bytes are 156 characters.
const ROOMY: usize = 117;
const AUTH_MASK: u8 = 0b11;
const REFRESH: u8 = 0b100;
const NATIVE: u8 = 0b1000;
const PUSHED_ONLY: u8 = 0b1_0000;
/// Releases from before do not look at it, nor do they bind tokens.
const BOUND: u8 = 0b10_0000;
const DEVICE: u8 = 0b100_0000;
/// Beginnings of nearly all redirect URIs, as one byte. Only ever appended to: ids live for years.
const BEGINNINGS: [&str; 4] = ["https://", "http://127.0.0.1", "http://localhost", "http://[::1]"];

/// What is registered.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of the client's own")]
pub struct Registration {
    /// Authentication at the token endpoint.
    pub auth: AuthMethod,
    /// Whether the grant type `refresh_token` is registered.
    pub refresh: bool,
    /// `application_type`: native or web.
    pub native: bool,
    /// `require_pushed_authorization_requests` (RFC 9126 §6).
    pub pushed_only: bool,
    /// `dpop_bound_access_tokens`: no tokens but such that are bound to a key.
    pub bound: bool,
    /// Whether the grant type of devices is registered (RFC 8628).
    pub device: bool,
    /// The client's name, cut to 32 bytes.
    pub name: String,
    /// When.
    pub issued_at: Timestamp,
    /// Where answers may go.
    pub redirects: Redirects,
}

/// Writes an id for this registration. `uris` are at most [`MAX_REDIRECTS`].
pub fn issue(
    keys: &KeyRing,
    entropy: &dyn Entropy,
    registration: &Registration,
    uris: &[RedirectUri],
) -> String {
    let number = keys.current();
    let salt = entropy::random::<6>(entropy);
    let name = cut(&registration.name);
    let seconds = u32::try_from(registration.issued_at.seconds()).unwrap_or(0);
    let mut bytes = vec![VERSION, number, flags(registration)];
    bytes.extend(seconds.to_be_bytes());
    bytes.extend(salt);
    bytes.push(u8::try_from(name.len()).unwrap_or(0));
    bytes.extend(name.as_bytes());
    let (texts, tags) = place(uris, ROOMY.saturating_sub(bytes.len() + 1 + MAC));
    let count = |list: &[&RedirectUri]| u8::try_from(list.len()).unwrap_or(0) & 0x0F;
    bytes.push(count(&texts) << 4 | count(&tags));
    for packed in texts.iter().filter_map(|uri| pack(uri)) {
        bytes.push(u8::try_from(packed.len()).unwrap_or(0));
        bytes.extend(packed);
    }
    for tag in tags.iter().filter_map(|uri| redirect_tag(keys, number, &salt, uri)) {
        bytes.extend(tag);
    }
    let mac = keys.mac(number, Purpose::ClientId, &bytes).unwrap_or_default();
    bytes.extend(mac.iter().take(MAC));
    format!("{PREFIX}{}", encoding::base64url(&bytes))
}

/// Reads an id back, if it is one of ours.
pub fn read(keys: &KeyRing, id: &str) -> Option<Registration> {
    parse(&authentic(keys, id)?)
}

/// What the token endpoint needs of an id: everything but the redirect URIs, whose parsing costs more than the rest.
pub fn read_head(keys: &KeyRing, id: &str) -> Option<Registration> {
    parse_head(&authentic(keys, id)?).map(|(registration, _)| registration)
}

/// Whether an id is a registration of ours: of a client that need not have any grant.
pub fn is_registration(keys: &KeyRing, id: &str) -> bool {
    read_head(keys, id).is_some()
}

/// Whether an id says that it was made under a master key which is not here yet: nobody knows whether it is one of ours.
/// Whoever were told that it is not would throw its registration away.
pub fn is_later(keys: &KeyRing, id: &str) -> bool {
    master_key_of(id).is_some_and(|number| keys.is_later(number))
}

/// The number of the master key that an id of ours was made under. The MAC is not checked: this is for ids that grants name.
pub fn master_key_of(id: &str) -> Option<u8> {
    // Four characters are three bytes.
    let head = encoding::from_base64url(id.strip_prefix(PREFIX)?.get(..4)?)?;
    (head.first() == Some(&VERSION)).then(|| head.get(1).copied()).flatten()
}

/// The bytes before the MAC, when the MAC is ours.
fn authentic(keys: &KeyRing, id: &str) -> Option<Vec<u8>> {
    if id.len() > 255 {
        return None;
    }
    let mut bytes = encoding::from_base64url(id.strip_prefix(PREFIX)?)?;
    let length = bytes.len().checked_sub(MAC)?;
    let (body, mac) = bytes.split_at_checked(length)?;
    keys.check(*body.get(1)?, Purpose::ClientId, body, mac).ok()?;
    bytes.truncate(length);
    Some(bytes)
}

/// The secret of a client, derived from its id: nothing is kept, and it is as good as random to everybody else.
pub fn secret(keys: &KeyRing, id: &str) -> Option<SecretString> {
    let bytes = encoding::from_base64url(id.strip_prefix(PREFIX)?)?;
    let mac = keys.mac(*bytes.get(1)?, Purpose::ClientSecret, id.as_bytes()).ok()?;
    Some(SecretString::new(format!("hps_{}", encoding::base64url(&mac))))
}

/// The tag of a redirect URI: keyed, so that nobody can search for the host behind it.
pub fn redirect_tag(keys: &KeyRing, number: u8, salt: &[u8], uri: &RedirectUri) -> Option<[u8; 8]> {
    let mut data = salt.to_vec();
    data.extend(redirect::comparable(uri).as_bytes());
    let mac = keys.mac(number, Purpose::RedirectTag, &data).ok()?;
    mac.first_chunk::<8>().copied()
}

/// Texts while there is room, the shortest first, tags for the rest.
fn place(uris: &[RedirectUri], room: usize) -> (Vec<&RedirectUri>, Vec<&RedirectUri>) {
    let mut by_length: Vec<&RedirectUri> = uris.iter().take(MAX_REDIRECTS).collect();
    by_length.sort_by_key(|uri| uri.as_str().len());
    let mut left = room.saturating_sub(8 * by_length.len());
    let fits = |uri: &&RedirectUri| {
        let more = pack(uri).map(|packed| (packed.len() + 1).saturating_sub(8));
        match more {
            Some(more) if more <= left => {
                left -= more;
                true
            }
            _ => false,
        }
    };
    by_length.into_iter().partition(fits)
}

fn pack(uri: &RedirectUri) -> Option<Vec<u8>> {
    let text = uri.as_str();
    let (at, rest) = BEGINNINGS
        .iter()
        .zip(1_u8..)
        .find_map(|(beginning, at)| text.strip_prefix(beginning).map(|rest| (at, rest)))
        .unwrap_or((0, text));
    if rest.len() > 254 {
        return None;
    }
    let mut packed = vec![at];
    packed.extend(rest.as_bytes());
    Some(packed)
}

fn unpack(packed: &[u8]) -> Option<RedirectUri> {
    let (&at, rest) = packed.split_first()?;
    let beginning = match usize::from(at).checked_sub(1) {
        None => "",
        Some(at) => BEGINNINGS.get(at)?,
    };
    RedirectUri::parse(&format!("{beginning}{}", std::str::from_utf8(rest).ok()?)).ok()
}

fn flags(registration: &Registration) -> u8 {
    let auth = match registration.auth {
        AuthMethod::None => 0,
        AuthMethod::SecretBasic => 1,
        AuthMethod::SecretPost => 2,
        // Never issued: keys do not fit into an id. They take a document, or a client that an operator made.
        AuthMethod::PrivateKeyJwt => 3,
    };
    let refresh = if registration.refresh { REFRESH } else { 0 };
    let native = if registration.native { NATIVE } else { 0 };
    let pushed_only = if registration.pushed_only { PUSHED_ONLY } else { 0 };
    let bound = if registration.bound { BOUND } else { 0 };
    let device = if registration.device { DEVICE } else { 0 };
    auth | refresh | native | pushed_only | bound | device
}

fn parse(body: &[u8]) -> Option<Registration> {
    let (mut registration, mut rest) = parse_head(body)?;
    let counts = take(&mut rest, 1).and_then(|count| count.first().copied())?;
    for _ in 0..counts >> 4 {
        let length = usize::from(*take(&mut rest, 1)?.first()?);
        registration.redirects.texts.push(unpack(take(&mut rest, length)?)?);
    }
    for _ in 0..counts & 0x0F {
        registration.redirects.tags.push(take(&mut rest, 8)?.try_into().ok()?);
    }
    rest.is_empty().then_some(registration)
}

/// Everything before the redirect URIs, and the bytes that hold them.
fn parse_head(body: &[u8]) -> Option<(Registration, &[u8])> {
    let mut rest = body;
    let &[VERSION, key, flags] = take(&mut rest, 3)? else { return None };
    let seconds = u32::from_be_bytes(take(&mut rest, 4)?.try_into().ok()?);
    let salt = take(&mut rest, 6)?.to_vec();
    let length = usize::from(*take(&mut rest, 1)?.first()?);
    let name = std::str::from_utf8(take(&mut rest, length)?).ok()?.to_owned();
    let auth = match flags & AUTH_MASK {
        0 => AuthMethod::None,
        1 => AuthMethod::SecretBasic,
        2 => AuthMethod::SecretPost,
        _ => return None,
    };
    let registration = Registration {
        auth,
        refresh: flags & REFRESH != 0,
        native: flags & NATIVE != 0,
        pushed_only: flags & PUSHED_ONLY != 0,
        bound: flags & BOUND != 0,
        device: flags & DEVICE != 0,
        name,
        issued_at: Timestamp::from_seconds(i64::from(seconds)),
        redirects: Redirects { salt, key, ..Redirects::default() },
    };
    Some((registration, rest))
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (head, tail) = rest.split_at_checked(length)?;
    *rest = tail;
    Some(head)
}

fn cut(name: &str) -> &str {
    let end = (0..=name.len().min(NAME)).rev().find(|at| name.is_char_boundary(*at)).unwrap_or(0);
    name.get(..end).unwrap_or("")
}

#[cfg(test)]
#[path = "registered_tests.rs"]
mod tests;
