//! `[[authorization_server]]` and `[server.tokens.NAME]`: whose tokens a server takes beside or in place of our own.

use super::{Check, Protected, file::ServerEntry};
use hallpass_core::{
    jose::{Algorithm, KeySet},
    jwt::foreign_token::TokenType,
    secret::SecretString,
    uri::{EndpointUrl, Issuer},
};
use hallpass_resource::{ScopeNames, introspection, issuer::qualified};
use hallpass_server::ScopeEntry;
use serde::Deserialize;
use std::{collections::BTreeMap, path::Path, time::Duration};
use toml::Spanned;

/// What a server writes for our own authorization server.
const SELF: &str = "self";

/// `[[authorization_server]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthorizationServerEntry {
    /// What servers and rules call it.
    pub name: Spanned<String>,
    /// `iss` of its tokens, as written there.
    pub issuer: Spanned<String>,
    /// The address of its public keys. Without any of these three, its metadata document says it.
    pub jwks_uri: Option<Spanned<String>>,
    /// A file with its public keys.
    pub jwks_file: Option<Spanned<String>>,
    /// It is asked about each token.
    pub introspection: Option<Spanned<IntrospectionEntry>>,
    /// What it signs with. Default: all that there are.
    pub algorithms: Option<Spanned<Vec<String>>>,
    /// "at+jwt" or "jwt".
    pub token_type: Option<Spanned<String>>,
    /// The claims that hold scopes. Default: `scope` as a text.
    pub scope_claims: Option<Spanned<Vec<String>>>,
    /// The claim that holds the groups of a person. Default: none.
    pub groups_claim: Option<Spanned<String>>,
}

/// `introspection = { … }`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IntrospectionEntry {
    /// As whom.
    pub client_id: String,
    /// A file with the secret.
    pub secret_file: Spanned<String>,
    /// Where. Default: as its metadata document says.
    pub endpoint: Option<Spanned<String>>,
    /// "5s": how long an answer is used.
    pub used_for: Option<Spanned<String>>,
}

/// `[server.tokens.NAME]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokensEntry {
    /// What that authorization server calls this one. Default: its URL.
    pub audiences: Option<Spanned<Vec<String>>>,
    /// Scopes of this server with their names there, of which one is enough.
    #[serde(default)]
    pub scopes: BTreeMap<String, Vec<String>>,
    /// What the names begin with where clients ask for them.
    pub scope_prefix: Option<Spanned<String>>,
}

/// Another authorization server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuthorizationServer {
    /// What servers and rules call it.
    pub name: String,
    /// `iss` of its tokens.
    pub issuer: Issuer,
    /// How its tokens are verified.
    pub verified: VerifiedBy,
    /// Their `typ`.
    pub typ: TokenType,
    /// The claims that hold scopes.
    pub scope_claims: Vec<String>,
    /// The claim that holds groups.
    pub groups_claim: Option<String>,
}

/// How tokens are verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VerifiedBy {
    /// By keys.
    Keys {
        /// Where they are.
        place: KeyPlace,
        /// For these algorithms.
        algorithms: Vec<Algorithm>,
    },
    /// By asking.
    Introspection {
        /// Where, if not as the metadata says.
        endpoint: Option<EndpointUrl>,
        /// As whom.
        client_id: String,
        /// Its secret.
        secret: SecretString,
        /// How long an answer is used.
        used_for: Duration,
    },
}

/// Where keys are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyPlace {
    /// Where the metadata says.
    Discovered,
    /// There.
    At(EndpointUrl),
    /// In this text.
    Inline(String),
}

/// Whose tokens a server takes.
#[derive(Clone, Debug)]
pub struct Trust {
    /// Ours.
    pub own: bool,
    /// Issuers for the metadata, in the order written. Ours is empty: what it is called is known later.
    pub order: Vec<Option<Issuer>>,
    /// The others.
    pub others: Vec<Trusted>,
}

/// Another authorization server, as one server sees it.
#[derive(Clone, Debug)]
pub struct Trusted {
    /// Which.
    pub server: AuthorizationServer,
    /// What it calls this one; nothing written is its URL.
    pub audiences: Vec<String>,
    /// What it calls the scopes.
    pub scopes: ScopeNames,
}

const GUIDE: &str = "docs/guide/another-authorization-server.md has examples";

impl Check<'_> {
    /// Reads those that there are, for the servers and rules that name them.
    pub(super) fn authorization_servers(
        &mut self,
        entries: &[AuthorizationServerEntry],
        folder: &Path,
        own: Option<&Issuer>,
    ) {
        for entry in entries {
            let before = self.problems.len();
            let (name, issuer) = (entry.name.get_ref(), entry.issuer.get_ref());
            let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            if !(1..=32).contains(&name.len()) || !name.bytes().all(plain) || RESERVED.contains(&&**name) {
                let what = format!("{name:?} cannot be the name of an authorization server");
                self.wrong(
                    &entry.name,
                    what,
                    "write 1 to 32 of a-z, 0-9 and -, other than self, http and https",
                );
            }
            if self.trusted.iter().any(|other| other.name == *name || other.issuer.as_str() == issuer) {
                let what = "another authorization server has this name or this issuer";
                self.wrong(&entry.name, what, "name each once");
            }
            if own.is_some_and(|own| own.as_str() == issuer) {
                let what = "this issuer is public_url: hallpass itself";
                self.wrong(
                    &entry.issuer,
                    what,
                    "write authorization_servers = [\"self\"] for our own tokens",
                );
            }
            let parsed = Issuer::parse(issuer);
            if let Err(error) = &parsed {
                let fix = "write the iss of its tokens, character by character: an https URL";
                self.wrong(&entry.issuer, format!("the issuer {issuer:?}: {error}"), fix);
            }
            let (verified, typ) = (self.verified_by(entry, folder), self.token_type(entry));
            let scope_claims = self.scope_claims(entry);
            let groups_claim = self.groups_claim(entry);
            if let (Ok(issuer), Some(verified)) = (parsed, verified)
                && self.problems.len() == before
            {
                self.trusted.push(AuthorizationServer {
                    name: name.clone(),
                    issuer,
                    verified,
                    typ,
                    scope_claims,
                    groups_claim,
                });
            }
        }
    }

    fn verified_by(&mut self, entry: &AuthorizationServerEntry, folder: &Path) -> Option<VerifiedBy> {
        match (&entry.introspection, &entry.jwks_uri, &entry.jwks_file) {
            (Some(at), None, None) => {
                if let Some(algorithms) = &entry.algorithms {
                    let what = "algorithms are of keys, and this server is asked";
                    self.wrong(algorithms, what, "remove algorithms, or introspection");
                }
                self.introspected_by(at.get_ref(), folder)
            }
            (None, None, None) => {
                Some(VerifiedBy::Keys { place: KeyPlace::Discovered, algorithms: self.algorithms(entry) })
            }
            (None, Some(uri), None) => {
                let place = KeyPlace::At(self.endpoint(uri)?);
                Some(VerifiedBy::Keys { place, algorithms: self.algorithms(entry) })
            }
            (None, None, Some(at)) => {
                let text = self.file(at, folder)?;
                if KeySet::parse(text.as_bytes()).is_ok_and(|set| !set.keys().is_empty()) {
                    let algorithms = self.algorithms(entry);
                    return Some(VerifiedBy::Keys { place: KeyPlace::Inline(text), algorithms });
                }
                self.wrong(at, "jwks_file is not a set of public keys", GUIDE);
                None
            }
            _ => {
                let what = "there is more than one of jwks_uri, jwks_file and introspection";
                self.wrong(&entry.name, what, "keep one, or none where its metadata document names its keys");
                None
            }
        }
    }

    fn introspected_by(&mut self, entry: &IntrospectionEntry, folder: &Path) -> Option<VerifiedBy> {
        let secret = self.file(&entry.secret_file, folder)?;
        if secret.trim().is_empty() || entry.client_id.is_empty() {
            let what = "client_id and the secret must not be empty";
            self.wrong(&entry.secret_file, what, "write what the authorization server knows us by");
        }
        let endpoint = match &entry.endpoint {
            Some(at) => Some(self.endpoint(at)?),
            None => None,
        };
        Some(VerifiedBy::Introspection {
            endpoint,
            client_id: entry.client_id.clone(),
            secret: SecretString::new(secret.trim()),
            used_for: self.duration(
                entry.used_for.as_ref(),
                introspection::USUAL,
                0,
                introspection::LONGEST.as_secs(),
            ),
        })
    }

    fn endpoint(&mut self, at: &Spanned<String>) -> Option<EndpointUrl> {
        match EndpointUrl::parse(at.get_ref()) {
            Ok(url) => Some(url),
            Err(error) => {
                let fix = "write an https URL, or leave it out where the metadata document names it";
                self.wrong(at, format!("{:?}: {error}", at.get_ref()), fix);
                None
            }
        }
    }

    fn algorithms(&mut self, entry: &AuthorizationServerEntry) -> Vec<Algorithm> {
        let Some(at) = &entry.algorithms else { return Algorithm::ALL.to_vec() };
        let known: Vec<Algorithm> =
            at.get_ref().iter().filter_map(|name| Algorithm::from_name(name)).collect();
        if known.is_empty() || known.len() != at.get_ref().len() {
            self.wrong(at, "not algorithms that are known", "list some of ES256, EdDSA and RS256");
        }
        known
    }

    fn token_type(&mut self, entry: &AuthorizationServerEntry) -> TokenType {
        match entry.token_type.as_ref().map(|at| (at, at.get_ref().as_str())) {
            None | Some((_, "at+jwt")) => TokenType::AccessToken,
            Some((_, "jwt")) => TokenType::Plain,
            Some((at, _)) => {
                let fix = "write \"at+jwt\", or \"jwt\" for a server that does not mark its access tokens";
                self.wrong(at, "token_type is the typ of its access tokens", fix);
                TokenType::AccessToken
            }
        }
    }

    fn scope_claims(&mut self, entry: &AuthorizationServerEntry) -> Vec<String> {
        let Some(at) = &entry.scope_claims else { return Vec::new() };
        let known = ["scope", "scp", "permissions", "roles"];
        if at.get_ref().is_empty() || !at.get_ref().iter().all(|claim| known.contains(&&**claim)) {
            let what = "scope_claims are claims of access tokens that hold scopes";
            self.wrong(
                at,
                what,
                "list some of scope, scp (Entra, Okta), permissions (Auth0) and roles (Entra)",
            );
        }
        at.get_ref().clone()
    }

    fn groups_claim(&mut self, entry: &AuthorizationServerEntry) -> Option<String> {
        let at = entry.groups_claim.as_ref()?;
        let name = at.get_ref();
        if name.is_empty() || name.len() > 128 || !name.bytes().all(|byte| byte.is_ascii_graphic()) {
            let what = "groups_claim is the claim of its access tokens that holds groups";
            self.wrong(at, what, "write its name, such as \"groups\" or \"cognito:groups\"");
        }
        Some(name.clone())
    }

    /// Whose tokens a server takes. `scopes` are all that it has.
    pub(super) fn trust(&mut self, entry: &ServerEntry, scopes: &[ScopeEntry]) -> Trust {
        let mut trust = Trust { own: false, order: Vec::new(), others: Vec::new() };
        for (name, tokens) in entry.tokens.iter().flatten() {
            let listed = entry.authorization_servers.as_ref();
            if !listed.is_some_and(|listed| listed.get_ref().contains(name)) {
                let what =
                    format!("tokens of {name:?} are described, and authorization_servers does not name it");
                self.wrong(tokens, what, "add it to authorization_servers, or remove it here");
            }
        }
        let Some(at) = &entry.authorization_servers else {
            return Trust { own: true, order: vec![None], ..trust };
        };
        if at.get_ref().is_empty() {
            self.wrong(at, "nobody could get a token", "write [\"self\"], or leave the line out");
        }
        for name in at.get_ref() {
            let issuer = if name == SELF {
                trust.own = true;
                None
            } else {
                let Some(server) = self.trusted.iter().find(|known| known.name == *name).cloned() else {
                    let what = format!(
                        "authorization_servers names {name:?}, and no [[authorization_server]] has this name"
                    );
                    self.wrong(at, what, "add it, or write \"self\" for our own");
                    continue;
                };
                let issuer = server.issuer.clone();
                let tokens = entry.tokens.as_ref().and_then(|tokens| tokens.get(name));
                let (audiences, scopes) = self.tokens_of(tokens, scopes);
                trust.others.push(Trusted { server, audiences, scopes });
                Some(issuer)
            };
            if trust.order.contains(&issuer) {
                self.wrong(at, format!("{name:?} is named twice"), "name each once");
            }
            trust.order.push(issuer);
        }
        let asks = |trusted: &&Trusted| matches!(trusted.server.verified, VerifiedBy::Introspection { .. });
        if trust.others.iter().filter(asks).count() > 1 {
            let what =
                "two of them would be asked about the same tokens, and each could use those of the other";
            self.wrong(at, what, "take the tokens of one by introspection, and of the others by their keys");
        }
        trust
    }

    fn tokens_of(
        &mut self,
        tokens: Option<&Spanned<TokensEntry>>,
        scopes: &[ScopeEntry],
    ) -> (Vec<String>, ScopeNames) {
        let Some(at) = tokens else { return (Vec::new(), ScopeNames::default()) };
        let entry = at.get_ref();
        if let Some(audiences) = &entry.audiences
            && (audiences.get_ref().is_empty() || audiences.get_ref().iter().any(String::is_empty))
        {
            self.wrong(audiences, "an audience is missing", "write the aud of its tokens for this server");
        }
        for (ours, theirs) in &entry.scopes {
            let usable = |name: &String| hallpass_core::scope::is_token(name);
            if !scopes.iter().any(|scope| scope.name == *ours) {
                let what = format!("{ours:?} is not one of the server's scopes");
                self.wrong(
                    at,
                    what,
                    "write scopes = { ours = [\"theirs\"] }, and ours as in scopes of the server",
                );
            } else if theirs.is_empty() || !theirs.iter().all(usable) {
                let what = format!("what {ours:?} is called there is no scope");
                self.wrong(at, what, "write a list of scopes without spaces");
            }
        }
        let prefix = entry.scope_prefix.as_ref();
        if let Some(prefix) = prefix.filter(|prefix| !hallpass_core::scope::is_token(prefix.get_ref())) {
            self.wrong(
                prefix,
                "scope_prefix is no beginning of a scope",
                "write for example \"api://files/\"",
            );
        }
        let names = entry.scopes.iter().map(|(ours, theirs)| (ours.clone(), theirs.clone())).collect();
        let prefix = prefix.map(|prefix| prefix.get_ref().clone()).unwrap_or_default();
        let audiences = entry.audiences.as_ref().map(|at| at.get_ref().clone()).unwrap_or_default();
        (audiences, ScopeNames { names, prefix })
    }

    /// A token for one server must not be one for another too (T-70): of no issuer do two servers have the same audience.
    pub(super) fn one_audience_each(&mut self, entries: &[ServerEntry], servers: &[Protected], own: &Issuer) {
        let url = |server: &Protected| format!("{}{}", own.origin(), server.path);
        for (entry, server) in entries.iter().zip(servers) {
            for other in servers.iter().filter(|other| other.path != server.path) {
                let shared = server.trust.others.iter().any(|mine| {
                    let theirs =
                        other.trust.others.iter().find(|theirs| theirs.server.name == mine.server.name);
                    let is_theirs = |audience: &String| {
                        *audience == url(other)
                            || theirs.is_some_and(|theirs| theirs.audiences.contains(audience))
                    };
                    mine.audiences.iter().any(is_theirs)
                });
                if shared {
                    let what = format!("a token for the server {:?} would be one for this too", other.name);
                    self.wrong(
                        &entry.path,
                        what,
                        "give each server audiences of its own in [server.tokens.NAME]",
                    );
                }
            }
        }
    }

    /// The name here of a person or client of another authorization server, which rules write `NAME:THEIR_ID`.
    pub(super) fn foreign(&self, written: &str) -> Option<String> {
        foreign(&self.trusted, written)
    }
}

/// The name here of whom `NAME:THEIR_ID` means; nothing where it begins with no authorization server's name.
pub fn foreign(servers: &[AuthorizationServer], written: &str) -> Option<String> {
    let (name, theirs) = written.split_once(':')?;
    let server = servers.iter().find(|server| server.name == name)?;
    (!theirs.is_empty()).then(|| qualified(server.issuer.as_str(), theirs))
}

/// What would be read as something else: our own, or the beginning of a `client_id`.
const RESERVED: [&str; 3] = [SELF, "http", "https"];
