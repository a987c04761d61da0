//! What is kept: registrations by issuer, credentials by (issuer, resource, account).

use super::Begun;
use crate::{assertion::KeyFile, platform::Platform, proof::ProofKey};
use aws_lc_rs::digest;
use hallpass_core::{scope::Scope, secret::SecretString, time::Timestamp};
use std::time::Duration;

/// Most credentials and registrations that are kept; the longest unused go first.
const MAX_ENTRIES: usize = 256;
/// Credentials that cannot be renewed go this long after their end.
const DEAD_AFTER: Duration = Duration::from_hours(24);
/// Registrations that no credential needs go after this long.
const UNUSED_AFTER: Duration = Duration::from_hours(24 * 90);

/// What credentials are found by. The issuer and the resource are kept as written: a client that keys by server
/// or globally hands the credentials of one authorization server to another (B-41).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct EntryKey {
    /// The issuer identifier, as written in the validated metadata.
    pub issuer: String,
    /// The resource identifier that the tokens were issued for.
    pub resource: String,
    /// The person's own name for the account; `default` unless chosen.
    pub account: String,
}

impl EntryKey {
    /// For lock names and the like: nothing of the texts is in it.
    pub(crate) fn digest(&self) -> [u8; 32] {
        let mut context = digest::Context::new(&digest::SHA256);
        for part in [&self.issuer, &self.resource, &self.account] {
            let length = u64::try_from(part.len()).unwrap_or(u64::MAX);
            context.update(&length.to_be_bytes());
            context.update(part.as_bytes());
        }
        context.finish().as_ref().try_into().unwrap_or([0; 32])
    }
}

/// How the client authenticates at the token endpoint (RFC 7591 §2, `token_endpoint_auth_method`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenAuth {
    /// A public client: `none`.
    None,
    /// `client_secret_basic`.
    Basic,
    /// `client_secret_post`.
    Post,
    /// `private_key_jwt`: the key stays with whoever brought it.
    PrivateKey,
}

impl TokenAuth {
    /// As registered.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Basic => "client_secret_basic",
            Self::Post => "client_secret_post",
            Self::PrivateKey => "private_key_jwt",
        }
    }

    /// Reads what [`Self::name`] wrote.
    pub(super) fn of_name(name: &str) -> Option<Self> {
        Self::parse(name).or_else(|| Some(Self::PrivateKey).filter(|method| method.name() == name))
    }

    /// Reads the name in a registration that a person's client made; it never has a key.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::None, Self::Basic, Self::Post].into_iter().find(|method| method.name() == name)
    }
}

/// Who this client is at one issuer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCredentials {
    /// As issued, configured, or the URL of the metadata document.
    pub client_id: String,
    /// Present where `auth` needs it.
    pub client_secret: Option<SecretString>,
    /// The one method that is used.
    pub auth: TokenAuth,
}

/// A dynamic registration. It belongs to one issuer and never goes to another (CL-025).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registration {
    /// The issuer identifier, as written.
    pub issuer: String,
    /// What it gave.
    pub client: ClientCredentials,
    /// The redirect URI that was registered, with its port.
    pub redirect_uri: String,
    /// When the secret ends (RFC 7591 §3.2.1); `None`: never.
    pub secret_expires_at: Option<Timestamp>,
    /// When it was last used to sign in.
    pub used_at: Timestamp,
}

/// Tokens of one grant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tokens {
    /// For the `Authorization` header, and only there.
    pub access_token: SecretString,
    /// When this client received it.
    pub issued_at: Timestamp,
    /// When it ends; `None`: the server did not say.
    pub expires_at: Option<Timestamp>,
    /// For the token endpoint of the same issuer.
    pub refresh_token: Option<SecretString>,
    /// What was granted.
    pub scope: Scope,
    /// The key that they are bound to (RFC 9449); `None`: of type `Bearer`.
    pub proof_key: Option<ProofKey>,
}

/// One signed-in account at one server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What it is found by.
    pub key: EntryKey,
    /// The server's URL as the person wrote it.
    pub server: String,
    /// Who this client is at the issuer.
    pub client: ClientCredentials,
    /// Whether somebody brought that id: no registration, and no metadata document. It serves again at the next sign-in.
    pub client_is_given: bool,
    /// From the metadata of the issuer: that which the sign-in was recorded with (CL-055), or as it was read since (CL-014).
    pub token_endpoint: String,
    /// From the same metadata.
    pub revocation_endpoint: Option<String>,
    /// When both were read.
    pub endpoints_read_at: Timestamp,
    /// What was asked for, for the union at step-up (SEP-2350).
    pub requested_scope: Scope,
    /// The tokens.
    pub tokens: Tokens,
    /// When the person signed in.
    pub signed_in_at: Timestamp,
    /// Of what a new token comes, where it does not come of a refresh token.
    pub renewal: Option<Renewal>,
}

/// What a new token comes of, where nothing was given for that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Renewal {
    /// Another sign-in.
    Through(Through),
    /// The token of the platform, and a digest of the one that was used last.
    Platform(Platform, String),
    /// The client itself.
    Machine(MachineProof),
}

/// How a client that asks for itself proves who it is each time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MachineProof {
    /// By the secret that is kept beside its id.
    Secret,
    /// By the key in this file.
    KeyFile(KeyFile),
}

impl MachineProof {
    /// The file of its key.
    pub const fn key_file(&self) -> Option<&KeyFile> {
        match self {
            Self::Secret => None,
            Self::KeyFile(file) => Some(file),
        }
    }
}

/// A sign-in at a company's identity provider, kept beside those that go through it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Through {
    /// The URL of the server there, as the person wrote it.
    pub server: String,
    /// The person's own name for the account.
    pub account: String,
}

/// Where an authorization server is asked, out of its metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoints {
    pub(crate) token: String,
    pub(crate) revocation: Option<String>,
    pub(crate) read_at: Timestamp,
}

impl Entry {
    pub(crate) fn with_endpoints(self, endpoints: Endpoints) -> Self {
        Self {
            token_endpoint: endpoints.token,
            revocation_endpoint: endpoints.revocation,
            endpoints_read_at: endpoints.read_at,
            ..self
        }
    }

    /// Whether a new token comes without the person.
    pub const fn is_renewable(&self) -> bool {
        self.tokens.refresh_token.is_some() || self.renewal.is_some()
    }

    /// The sign-in that this one goes through.
    pub const fn through(&self) -> Option<&Through> {
        match &self.renewal {
            Some(Renewal::Through(through)) => Some(through),
            Some(Renewal::Platform(..) | Renewal::Machine(_)) | None => None,
        }
    }

    /// The platform whose token this sign-in is by.
    pub const fn platform(&self) -> Option<&Platform> {
        match &self.renewal {
            Some(Renewal::Platform(platform, _)) => Some(platform),
            Some(Renewal::Through(_) | Renewal::Machine(_)) | None => None,
        }
    }

    /// How the client asks for itself, where it does.
    pub const fn machine(&self) -> Option<&MachineProof> {
        match &self.renewal {
            Some(Renewal::Machine(proof)) => Some(proof),
            Some(Renewal::Through(_) | Renewal::Platform(..)) | None => None,
        }
    }

    /// Whether a program signed in by itself: no person mends it, and none is asked for more (CL-093).
    pub const fn is_of_a_program(&self) -> bool {
        self.platform().is_some() || self.machine().is_some()
    }
}

/// Everything in the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// One for each issuer.
    pub registrations: Vec<Registration>,
    /// One for each key.
    pub entries: Vec<Entry>,
    /// Sign-ins that wait for their answer, one for each account at a server.
    pub begun: Vec<Begun>,
}

impl Contents {
    /// The credentials under exactly this key.
    pub fn entry(&self, key: &EntryKey) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == *key)
    }

    /// The newest sign-in of this account at the server that the person wrote.
    pub fn for_server(&self, server: &str, account: &str) -> Option<&Entry> {
        let of_account = |entry: &&Entry| entry.server == server && entry.key.account == account;
        self.entries.iter().filter(of_account).max_by_key(|entry| entry.signed_in_at)
    }

    /// The registration at this issuer, unless its secret has ended.
    pub fn registration(&self, issuer: &str, now: Timestamp) -> Option<&Registration> {
        let registration = self.registrations.iter().find(|registration| registration.issuer == issuer)?;
        registration.secret_expires_at.is_none_or(|end| now < end).then_some(registration)
    }

    /// Keeps a registration, in place of an older one at the same issuer.
    pub fn put_registration(&mut self, registration: Registration) {
        self.registrations.retain(|old| old.issuer != registration.issuer);
        self.registrations.push(registration);
    }

    /// Forgets a registration, unless another process has already replaced it.
    pub fn remove_registration(&mut self, issuer: &str, client_id: &str) {
        self.registrations.retain(|old| old.issuer != issuer || old.client.client_id != client_id);
    }

    /// Keeps a sign-in, in place of an older one of the same account at the same server, whoever issued that. What it replaced.
    pub fn put_entry(&mut self, entry: Entry) -> Vec<Entry> {
        let is_replaced = |old: &mut Entry| {
            old.key == entry.key || (old.server == entry.server && old.key.account == entry.key.account)
        };
        let replaced = self.entries.extract_if(.., is_replaced).collect();
        self.remove_begun(&entry.server, &entry.key.account);
        self.entries.push(entry);
        replaced
    }

    /// Whether this client registered under this id at this issuer by itself.
    pub fn is_registered(&self, issuer: &str, client_id: &str) -> bool {
        self.registrations.iter().any(|one| one.issuer == issuer && one.client.client_id == client_id)
    }

    /// The sign-in that there is now where there was this one: also one at another authorization server.
    pub fn now_in_place_of(&self, seen: &Entry) -> Option<&Entry> {
        self.entry(&seen.key).or_else(|| self.for_server(&seen.server, &seen.key.account))
    }

    /// Replaces the tokens, if they still are those that were `used`. `false`: signed out or signed in anew
    /// meanwhile, and nothing is changed.
    pub fn replace_tokens(&mut self, key: &EntryKey, used: &SecretString, tokens: Tokens) -> bool {
        let entry = self.entries.iter_mut().find(|entry| entry.key == *key);
        match entry.filter(|entry| entry.tokens.refresh_token.as_ref() == Some(used)) {
            Some(entry) => {
                entry.tokens = tokens;
                true
            }
            None => false,
        }
    }

    /// Replaces the tokens and what the next come of, if the access token still is the one that was seen. `false`: another
    /// one was faster.
    pub fn replace_seen(
        &mut self,
        key: &EntryKey,
        seen: &SecretString,
        (tokens, renewal): (Tokens, Option<Renewal>),
    ) -> bool {
        let entry = self.entries.iter_mut().find(|entry| entry.key == *key);
        match entry.filter(|entry| entry.tokens.access_token == *seen) {
            Some(entry) => {
                entry.tokens = tokens;
                entry.renewal = renewal;
                true
            }
            None => false,
        }
    }

    /// Keeps what the metadata of the issuer says now, for this sign-in where it still is one.
    pub(crate) fn replace_endpoints(&mut self, key: &EntryKey, endpoints: Endpoints) {
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.key == *key) {
            *entry = entry.clone().with_endpoints(endpoints);
        }
    }

    /// Deletes a sign-in, if its refresh token still is the one that was refused: a loser must not delete the
    /// winner's newer credential (CL-069, B-39).
    pub fn remove_refused(&mut self, key: &EntryKey, refused: &SecretString) -> bool {
        let before = self.entries.len();
        self.entries
            .retain(|entry| entry.key != *key || entry.tokens.refresh_token.as_ref() != Some(refused));
        self.entries.len() != before
    }

    /// Drops what cannot be used any more, and what is too much.
    pub(super) fn prune(&mut self, now: Timestamp) {
        self.entries.retain(|entry| {
            let tokens = &entry.tokens;
            entry.is_renewable() || tokens.expires_at.is_none_or(|end| now < end.plus(DEAD_AFTER))
        });
        self.entries.sort_by_key(|entry| entry.tokens.issued_at);
        drop_first(&mut self.entries);
        self.prune_begun(now);
        let Self { registrations, entries, .. } = self;
        registrations.retain(|registration| {
            entries.iter().any(|entry| entry.key.issuer == registration.issuer)
                || now < registration.used_at.plus(UNUSED_AFTER)
        });
        registrations.sort_by_key(|registration| registration.used_at);
        drop_first(registrations);
    }
}

fn drop_first<T>(list: &mut Vec<T>) {
    let excess = list.len().saturating_sub(MAX_ENTRIES);
    list.drain(..excess);
}
