//! Who asks: a registered client, whose registration is its `client_id`, or one described by a metadata document.

pub mod assertions;
pub mod blocked;
pub mod display;
pub mod document;
pub mod initial_access;
pub mod keys;
pub mod known;
pub mod life;
pub mod look_alike;
pub mod operator;
pub mod registered;
pub mod source;

use crate::{app::App, audit::Reason};
use display::DisplayName;
use hallpass_core::{
    encoding,
    redirect::{self, CheckedRedirect, RedirectError},
    scope::Scope,
    seal::KeyRing,
    time::Timestamp,
    uri::{ClientMetadataUrl, RedirectUri},
};
use hallpass_store::StoreError;
use keys::ClientKeys;
use operator::{Exchange, OperatorClient};
use std::sync::Arc;

/// How a client proves at the token endpoint who it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthMethod {
    /// A public client.
    None,
    /// A secret in the `Authorization` header.
    SecretBasic,
    /// A secret in the body.
    SecretPost,
    /// An assertion, signed with a key of its own (OpenID Connect Core §9).
    PrivateKeyJwt,
}

impl AuthMethod {
    /// All that are offered.
    pub const ALL: [Self; 4] = [Self::None, Self::SecretBasic, Self::SecretPost, Self::PrivateKeyJwt];

    /// As registered at IANA.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::SecretBasic => "client_secret_basic",
            Self::SecretPost => "client_secret_post",
            Self::PrivateKeyJwt => "private_key_jwt",
        }
    }

    /// By its registered name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.name() == name)
    }
}

/// Where a client came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It registered itself; the registration is the id.
    Registered,
    /// An operator made it.
    Operator,
    /// The document at its id, as received.
    Document {
        /// The URL.
        url: ClientMetadataUrl,
        /// The body that was found valid, to be kept with the first yes.
        body: bytes::Bytes,
        /// Until when HTTP lets it be kept.
        fresh_until: Timestamp,
    },
}

/// A client, known well enough to ask a person about it.
#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is a grant type or a flag of its own")]
pub struct Client {
    /// As written.
    pub id: String,
    /// What it calls itself, made harmless.
    pub name: DisplayName,
    /// Where it came from.
    pub origin: Origin,
    /// Whether it may be given refresh tokens.
    pub refresh: bool,
    /// Its redirect URIs.
    pub redirects: Redirects,
    /// How it may prove at an endpoint who it is.
    pub proofs: Proofs,
    /// All that it can ever get, where an operator said so.
    pub scopes: Option<Scope>,
    /// Whether only requests that it pushed are answered (RFC 9126 §6).
    pub pushed_only: bool,
    /// Whether it wants tokens only that are bound to a key (`dpop_bound_access_tokens`, RFC 9449 §5.2).
    pub bound: bool,
    /// Whose tokens it may exchange for narrower ones, if it may at all.
    pub exchange: Option<Arc<Exchange>>,
    /// Whether it may ask from a device (RFC 8628).
    pub device: bool,
}

impl Client {
    /// What a person's yes rests on beside what the page shows: redirect URIs, keys and method. A page that was shown
    /// before these changed is shown again (AS-055).
    pub fn foundation(&self) -> String {
        let keys = self.proofs.keys.as_ref().map(|keys| encoding::base64url(&keys.digest));
        let mut parts: Vec<&str> = self.redirects.texts.iter().map(RedirectUri::as_str).collect();
        parts.push(if self.proofs.none { "none" } else { "" });
        parts.push(if self.proofs.secret { "secret" } else { "" });
        parts.push(keys.as_deref().unwrap_or_default());
        parts.join(" ")
    }
}

/// How a client may prove at an endpoint who it is.
#[derive(Clone, Debug, Default)]
pub struct Proofs {
    /// Not at all: it is public.
    pub none: bool,
    /// By a secret.
    pub secret: bool,
    /// By a signature with one of these.
    pub keys: Option<ClientKeys>,
}

/// Redirect URIs: as text, or as keyed tags where the text did not fit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Redirects {
    /// As text.
    pub texts: Vec<RedirectUri>,
    /// The first 8 bytes of a MAC over [`redirect::comparable`] and the salt.
    pub tags: Vec<[u8; 8]>,
    /// What makes the tags of one registration differ from those of another.
    pub salt: Vec<u8>,
    /// Number of the key that made the tags.
    pub key: u8,
    /// Names of vendors' rules that an operator gave to the client.
    pub rules: Vec<String>,
}

impl Redirects {
    /// Finds the asked URI among them.
    pub fn check(&self, keys: &KeyRing, asked: Option<&str>) -> Result<CheckedRedirect, RedirectError> {
        let only = match (self.texts.as_slice(), self.tags.as_slice()) {
            ([only], []) => Some(only),
            _ => None,
        };
        redirect::check(asked, only, |asked| self.contain(keys, asked))
    }

    fn contain(&self, keys: &KeyRing, asked: &RedirectUri) -> bool {
        self.texts.iter().any(|registered| redirect::matches(registered, asked))
            || (!self.tags.is_empty() && {
                let tag = registered::redirect_tag(keys, self.key, &self.salt, asked);
                tag.is_some_and(|tag| self.tags.contains(&tag))
            })
            || known::lets(&self.rules, &self.texts, asked)
    }
}

/// Why there is no client to ask a person about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientRefusal {
    /// No `client_id`.
    Missing,
    /// Neither a registration of ours nor a metadata document URL.
    Unknown,
    /// Its id says that it was made under a master key which this node does not have yet.
    KeyNotHere,
    /// It works by itself: it does not have the code grant.
    NotForPeople,
    /// The operator blocked it, or where it wants its answer.
    Blocked,
    /// An https URL that cannot be a metadata document's.
    DocumentUrl(hallpass_core::uri::UriError),
    /// The operator does not want clients of this host.
    DocumentHostNotAllowed,
    /// The document could not be fetched, and there is no earlier copy.
    DocumentUnreachable(hallpass_fetch::FetchError),
    /// The document says that there is no such client any more (404, 410).
    DocumentGone,
    /// The document has been gone for so long that exchanges wait for its return.
    DocumentSuspended,
    /// The document breaks a rule.
    DocumentInvalid,
    /// The document wants a method of authentication that is not offered.
    DocumentAuthMethod,
    /// The store failed.
    Unavailable,
}

impl Reason for ClientRefusal {
    fn reason(&self) -> &'static str {
        match self {
            Self::Missing => "client_missing",
            Self::Unknown => "client_unknown",
            Self::KeyNotHere => "client_master_key_not_here",
            Self::DocumentUrl(error) => error.reason(),
            Self::NotForPeople => "client_not_for_people",
            Self::Blocked => "client_blocked",
            Self::DocumentSuspended => "document_suspended",
            Self::DocumentHostNotAllowed => "document_host_not_allowed",
            Self::DocumentUnreachable(_) => "document_unreachable",
            Self::DocumentGone => "document_gone",
            Self::DocumentInvalid => "document_invalid",
            Self::DocumentAuthMethod => "document_auth_method",
            Self::Unavailable => "store",
        }
    }
}

/// The client of this id that an operator made, if there is one: it wins over a registration and a document. The
/// configuration is asked first, then the store, for ids that nobody else can have.
pub async fn by_operator(app: &App, id: &str) -> Result<Option<OperatorClient>, StoreError> {
    if let Some(client) = app.settings.clients.iter().find(|client| client.id() == id) {
        return Ok(Some(client.clone()));
    }
    if id.starts_with(registered::PREFIX) || document::is_document(id) || id.len() > operator::LONGEST_ID {
        return Ok(None);
    }
    let Some(stored) = app.store.client_read(id.to_owned()).await? else { return Ok(None) };
    let client = OperatorClient::from_stored(&stored);
    if client.is_none() {
        tracing::error!(
            client = id,
            "what is kept of this client cannot be read: remove it and add it again"
        );
    }
    Ok(client)
}

/// Whether tokens of this client are still good: it is not blocked, and an operator who made it has not removed it
/// (AS-136).
pub async fn is_wanted(app: &App, id: &str) -> Result<bool, StoreError> {
    if app.blocks.client(id) {
        return Ok(false);
    }
    let of_a_stranger = id.starts_with(registered::PREFIX) || document::is_document(id);
    Ok(of_a_stranger || app.settings.is_workload(id) || by_operator(app, id).await?.is_some())
}

/// Finds the client: one that an operator made, else a registration of ours, else a document.
pub async fn find(app: &App, id: Option<&str>) -> Result<Client, ClientRefusal> {
    let id = id.ok_or(ClientRefusal::Missing)?;
    if app.blocks.client(id) {
        return Err(ClientRefusal::Blocked);
    }
    if let Some(client) = by_operator(app, id).await.map_err(|_| ClientRefusal::Unavailable)? {
        return if client.is_for_people() { Ok(client.client()) } else { Err(ClientRefusal::NotForPeople) };
    }
    if document::is_document(id) {
        let url = ClientMetadataUrl::parse(id).map_err(ClientRefusal::DocumentUrl)?;
        // Before anything is asked, the resolver included (AS-059).
        if !app.settings.documents.allow(url.host()) {
            return Err(ClientRefusal::DocumentHostNotAllowed);
        }
        return app.documents.client(url, app.settings.document_life, app.clock.now()).await;
    }
    if registered::is_later(&app.keys, id) {
        return Err(ClientRefusal::KeyNotHere);
    }
    let registered = registered::read(&app.keys, id).ok_or(ClientRefusal::Unknown)?;
    Ok(Client {
        id: id.to_owned(),
        name: DisplayName::new(&registered.name),
        origin: Origin::Registered,
        refresh: registered.refresh,
        redirects: registered.redirects,
        proofs: Proofs {
            none: registered.auth == AuthMethod::None,
            secret: registered.auth != AuthMethod::None,
            keys: None,
        },
        scopes: None,
        pushed_only: registered.pushed_only,
        bound: registered.bound,
        exchange: None,
        device: registered.device,
    })
}
