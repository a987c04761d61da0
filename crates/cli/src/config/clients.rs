//! `[clients]` and `[[client]]`: who may be a client, and those that the operator made.

use super::{Check, file::ConfigFile};
use hallpass_core::secret::SecretString;
use hallpass_server::{
    ClientRecord, DocumentLife, DocumentPolicy, EXCHANGE_LIFETIME, MAX_SECRETS, Machine, OFFLINE_ACCESS,
    OperatorClient, RegistrationPolicy, Resource, Settings, digest_of_secret,
};
use serde::Deserialize;
use std::{path::Path, time::Duration};
use toml::Spanned;

/// `[clients]`.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub struct ClientsSection {
    /// "open", "token" or "closed".
    pub registration: Option<Registration>,
    /// Hosts whose metadata documents are accepted; none at all: an empty list.
    pub documents_only: Option<Spanned<Vec<String>>>,
    /// Hosts whose metadata documents are not.
    pub documents_never: Option<Spanned<Vec<String>>>,
    /// "1h": a document seen gone again after it suspends its client.
    pub document_suspended_after: Option<Spanned<String>>,
    /// Whether devices without a browser may ask. Default: yes.
    pub device_authorization: Option<bool>,
    /// Whether only pushed authorization requests are answered.
    pub require_pushed_authorization_requests: Option<bool>,
    /// "24h": a client suspended for so long is refused.
    pub document_refused_after: Option<Spanned<String>>,
    /// Ids, or patterns of ids, of clients that look for challenges in the results of tools.
    pub tool_result_challenges: Option<Spanned<Vec<String>>>,
}

/// Who may register.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Registration {
    /// Everybody.
    Open,
    /// Who has an initial access token.
    Token,
    /// Nobody.
    Closed,
}

/// `[[client]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientEntry {
    /// Its `client_id`.
    pub id: Spanned<String>,
    /// For people.
    pub name: String,
    /// Where answers may go.
    #[serde(default)]
    pub redirect_uris: Vec<String>,
    /// Names of vendors' rules.
    #[serde(default)]
    pub redirect_rules: Vec<String>,
    /// Authentication method. Default: "none".
    pub auth: Option<String>,
    /// A file with its secret, or two lines while it changes over, the newest first.
    pub secret_file: Option<Spanned<String>>,
    /// A file with its public keys.
    pub jwks_file: Option<Spanned<String>>,
    /// The address of its public keys.
    pub jwks_uri: Option<String>,
    /// Default: both.
    pub grant_types: Option<Vec<String>>,
    /// All that it can ever get.
    pub scopes: Option<Spanned<Vec<String>>>,
    /// The only servers that a machine may use.
    pub resources: Option<Spanned<Vec<String>>>,
    /// Whether only requests that it pushed are answered.
    #[serde(default)]
    pub require_pushed_authorization_requests: bool,
    /// Whether it gets tokens only that are bound to a key.
    #[serde(default)]
    pub dpop_bound_access_tokens: bool,
    /// The clients whose tokens it may exchange, beside its own.
    pub exchange_from: Option<Vec<String>>,
    /// "2m": how long what it gets by exchange lives at most.
    pub exchange_lifetime: Option<Spanned<String>>,
}

/// Whether the servers that a machine may use are there, and said where there are several.
pub fn servers_of_machine(machine: &Machine, resources: &[Resource]) -> Result<(), String> {
    let known = || resources.iter().map(|one| one.uri.as_str()).collect::<Vec<_>>().join(", ");
    match &machine.resources {
        None if resources.len() == 1 => Ok(()),
        None => Err(format!("a machine names the servers that it may use, of {}", known())),
        Some(named) => {
            let is_missing = |asked: &&hallpass_core::uri::ResourceUri| {
                !resources.iter().any(|resource| resource.uri.is_meant_by(asked.as_str()))
            };
            match named.iter().find(is_missing) {
                Some(unknown) => Err(format!("there is no server {unknown}; there are {}", known())),
                None if named.is_empty() => Err("resources names no server".to_owned()),
                None => Ok(()),
            }
        }
    }
}

/// A scope that no server has is a misspelt one, and would never be given: what is wrong, and the fix.
pub fn scopes_of_servers(named: &[String], resources: &[Resource]) -> Result<(), (String, String)> {
    let all = || resources.iter().flat_map(|resource| &resource.scopes).map(|scope| &*scope.name);
    let known = |name: &str| name == OFFLINE_ACCESS || all().any(|one| one == name);
    // Without the servers nothing is known of their scopes.
    match named.iter().find(|name| !resources.is_empty() && !known(name)) {
        None => Ok(()),
        Some(unknown) => Err((
            format!("no server has the scope {unknown:?}"),
            format!("write some of {}", all().collect::<Vec<_>>().join(", ")),
        )),
    }
}

impl Check<'_> {
    /// Everything about clients.
    pub(super) fn who_may_be_a_client(&mut self, file: &ConfigFile, folder: &Path, settings: &mut Settings) {
        settings.registration = Self::registration(&file.clients);
        settings.device_authorization = file.clients.device_authorization.unwrap_or(true);
        settings.require_pushed_authorization_requests =
            file.clients.require_pushed_authorization_requests.unwrap_or_default();
        settings.documents = self.documents(&file.clients);
        settings.document_life = self.document_life(&file.clients);
        settings.clients =
            file.client.iter().filter_map(|entry| self.client(entry, folder, &settings.resources)).collect();
        settings.old_assertion_audience.clone_from(&file.dangerous.token_endpoint_audience);
    }

    fn registration(section: &ClientsSection) -> RegistrationPolicy {
        match section.registration {
            Some(Registration::Open) | None => RegistrationPolicy::Open,
            Some(Registration::Token) => RegistrationPolicy::WithToken,
            Some(Registration::Closed) => RegistrationPolicy::Closed,
        }
    }

    fn documents(&mut self, section: &ClientsSection) -> DocumentPolicy {
        DocumentPolicy {
            only: section.documents_only.as_ref().map(|hosts| self.hosts(hosts)),
            never: section.documents_never.as_ref().map(|hosts| self.hosts(hosts)).unwrap_or_default(),
        }
    }

    fn document_life(&mut self, section: &ClientsSection) -> DocumentLife {
        let usual = DocumentLife::usual();
        let mut length =
            |at: &Option<Spanned<String>>, usual| self.duration(at.as_ref(), usual, 60, 90 * 86_400);
        let life = DocumentLife {
            suspended_after: length(&section.document_suspended_after, usual.suspended_after),
            refused_after: length(&section.document_refused_after, usual.refused_after),
        };
        let at = section.document_refused_after.as_ref().or(section.document_suspended_after.as_ref());
        if let Some(at) = at.filter(|_| life.refused_after < life.suspended_after) {
            let what = "document_refused_after is shorter than document_suspended_after";
            self.wrong(at, what, "a document is suspended first and refused later: make it the longer one");
        }
        life
    }

    fn hosts(&mut self, hosts: &Spanned<Vec<String>>) -> Vec<String> {
        for host in hosts.get_ref() {
            let name = host.strip_prefix("*.").unwrap_or(host);
            let plain =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte);
            if name.is_empty() || !name.bytes().all(plain) {
                self.wrong(
                    hosts,
                    format!("{host:?} is not a host"),
                    "write names in lower case, such as \"claude.ai\", or \"*.example.com\" for all below it",
                );
            }
        }
        hosts.get_ref().clone()
    }

    fn client(
        &mut self,
        entry: &ClientEntry,
        folder: &Path,
        resources: &[Resource],
    ) -> Option<OperatorClient> {
        let both = || vec!["authorization_code".to_owned(), "refresh_token".to_owned()];
        let record = ClientRecord {
            name: entry.name.clone(),
            redirect_uris: entry.redirect_uris.clone(),
            redirect_rules: entry.redirect_rules.clone(),
            auth: entry.auth.clone().unwrap_or_else(|| "none".to_owned()),
            secrets: self.secrets(entry.secret_file.as_ref(), folder)?,
            jwks: match &entry.jwks_file {
                Some(at) => Some(self.jwks(at, folder)?),
                None => None,
            },
            jwks_uri: entry.jwks_uri.clone(),
            grant_types: entry.grant_types.clone().unwrap_or_else(both),
            scopes: entry.scopes.as_ref().map(|named| named.get_ref().clone()),
            resources: entry.resources.as_ref().map(|named| named.get_ref().clone()),
            require_pushed_authorization_requests: entry.require_pushed_authorization_requests,
            dpop_bound_access_tokens: entry.dpop_bound_access_tokens,
            exchange_from: entry.exchange_from.clone(),
            exchange_lifetime: self.exchange_lifetime(entry),
        };
        match OperatorClient::new(entry.id.get_ref(), &record) {
            Ok(client) => {
                self.servers_of(entry, &client, resources);
                self.scopes_of(entry, resources);
                Some(client)
            }
            Err(error) => {
                self.wrong(
                    &entry.id,
                    format!("the client {:?}: {error}", entry.id.get_ref()),
                    "correct this [[client]]; docs/clients.md has an example",
                );
                None
            }
        }
    }

    /// A machine that could use no server would only be refused when it asks.
    fn servers_of(&mut self, entry: &ClientEntry, client: &OperatorClient, resources: &[Resource]) {
        if let Some(machine) = client.machine()
            && let Err(complaint) = servers_of_machine(machine, resources)
        {
            let at = entry.resources.as_ref().map_or(entry.id.span(), Spanned::span).start;
            let fix = "write resources = [\"…\"] with the URLs of the servers as clients use them";
            self.wrong_at(at, format!("the client {:?}: {complaint}", entry.id.get_ref()), fix);
        }
    }

    fn exchange_lifetime(&mut self, entry: &ClientEntry) -> Option<u64> {
        let at = entry.exchange_lifetime.as_ref()?;
        let (least, most) = EXCHANGE_LIFETIME.into_inner();
        Some(self.duration(Some(at), Duration::from_secs(most), least, most).as_secs())
    }

    fn scopes_of(&mut self, entry: &ClientEntry, resources: &[Resource]) {
        let Some(named) = &entry.scopes else { return };
        if let Err((complaint, fix)) = scopes_of_servers(named.get_ref(), resources) {
            self.wrong(named, format!("the client {:?}: {complaint}", entry.id.get_ref()), fix);
        }
    }

    fn secrets(&mut self, at: Option<&Spanned<String>>, folder: &Path) -> Option<Vec<String>> {
        let Some(at) = at else { return Some(Vec::new()) };
        let text = SecretString::new(self.file(at, folder)?);
        let lines = text.expose().lines().map(str::trim).filter(|line| !line.is_empty());
        let digests: Option<Vec<String>> =
            lines.map(|line| digest_of_secret(&SecretString::new(line))).collect();
        match digests {
            Some(digests) if (1..=MAX_SECRETS).contains(&digests.len()) => Some(digests),
            _ => {
                self.wrong(
                    at,
                    "secret_file must hold one secret, or two lines while the client changes over, each of 22 to 256 of the characters A-Z a-z 0-9 - . _ ~",
                    "make one with: openssl rand -hex 32",
                );
                None
            }
        }
    }

    fn jwks(&mut self, at: &Spanned<String>, folder: &Path) -> Option<serde_json::Value> {
        let text = self.file(at, folder)?;
        let set = serde_json::from_str(&text).ok();
        if set.is_none() {
            self.wrong(at, "jwks_file is not JSON", "write a set of public keys: {\"keys\": [...]}");
        }
        set
    }

    /// What a file that is named in the configuration holds.
    pub(super) fn file(&mut self, at: &Spanned<String>, folder: &Path) -> Option<String> {
        match std::fs::read_to_string(folder.join(at.get_ref())) {
            Ok(text) => Some(text),
            Err(error) => {
                self.wrong(
                    at,
                    format!("{} cannot be read ({error})", folder.join(at.get_ref()).display()),
                    "name an existing file that the user who runs hallpass may read",
                );
                None
            }
        }
    }
}
