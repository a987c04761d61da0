//! What an operator decided, checked together before the server starts.

use crate::{
    audit::AuditSettings,
    cidr::Cidr,
    clients::{blocked::is_listed, life::DocumentLife, operator::OperatorClient},
    connections::ConnectionSettings,
    cross_domain::CrossDomainAccess,
    http::rate_limit::Limits,
    issuers::{WorkloadIssuer, identity_provider::IdentityProvider, workload::Workload},
    login::providers::settings::SignInSettings,
};
use hallpass_core::{
    grant::{MAX_SCOPES, digest16},
    jose::Algorithm,
    scope::{self, Scope},
    time::Timestamp,
    uri::{Issuer, ResourceUri},
};
use hallpass_store::{Grant, RotationWindows};
use std::time::Duration;

/// How far the clock that stamped a token may have been ahead of the one that stamps its revocation: a jump of an hour, a
/// node beside which a command runs. A revocation that is forgotten sooner would bring the token to life again.
const CLOCKS_APART: Duration = Duration::from_hours(2);

/// The scope with which a client asks for a refresh token (OpenID Connect Core §11). Always grantable.
pub const OFFLINE_ACCESS: &str = "offline_access";

/// Everything the authorization server is told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The issuer identifier. Every URL is built from it and never from a request.
    pub issuer: Issuer,
    /// The protected resources: at least one.
    pub resources: Vec<Resource>,
    /// How long an access token lives.
    pub access_token_lifetime: Duration,
    /// When a refresh token is issued.
    pub refresh_tokens: RefreshPolicy,
    /// How long a refresh token may lie unused.
    pub refresh_idle_lifetime: Duration,
    /// How old a grant may become, however often it is refreshed.
    pub grant_lifetime: Duration,
    /// What the predecessor of a refresh token is still good for.
    pub rotation: RotationWindows,
    /// How long a browser stays signed in.
    pub session_lifetime: Duration,
    /// Peers whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Cidr>,
    /// How much of what, for whom.
    pub limits: Limits,
    /// How tokens are signed.
    pub keys: KeySettings,
    /// Clients that the operator made.
    pub clients: Vec<OperatorClient>,
    /// Platforms whose word about a program counts.
    pub workload_issuers: Vec<WorkloadIssuer>,
    /// Companies' identity providers whose word about a person counts.
    pub identity_providers: Vec<IdentityProvider>,
    /// How people sign in.
    pub sign_in: SignInSettings,
    /// Services of third parties that people may connect.
    pub connections: Vec<ConnectionSettings>,
    /// Which clients may have our word about their people, for which servers of others.
    pub cross_domain: Vec<CrossDomainAccess>,
    /// Whose metadata documents are accepted.
    pub documents: DocumentPolicy,
    /// How long a document may be gone.
    pub document_life: DocumentLife,
    /// Who may register.
    pub registration: RegistrationPolicy,
    /// Whether devices without a browser may ask (RFC 8628).
    pub device_authorization: bool,
    /// Whether only pushed requests are answered (RFC 9126 §5).
    pub require_pushed_authorization_requests: bool,
    /// Clients by id whose assertions may name the token endpoint as their audience, as old ones do.
    pub old_assertion_audience: Vec<String>,
    /// Proofs of possession.
    pub proofs: ProofSettings,
    /// Where the audit log goes.
    pub audit: AuditSettings,
    /// What others serve on the same listener, for the description of the whole surface.
    pub beside: Vec<hallpass_core::openapi::Path>,
}

/// How access tokens are signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeySettings {
    /// With what. Another one than that of the newest key brings the next key.
    pub algorithm: Algorithm,
    /// How old a key becomes before the next one is made; `None`: only an operator makes one.
    pub rotate_every: Option<Duration>,
}

/// Tokens that are bound to a key (DPoP, RFC 9449).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProofSettings {
    /// Whether tokens are bound to the key that a request proves. Without it nobody is told of it and no new token is
    /// bound; what is bound stays bound.
    pub offered: bool,
    /// Whether each proof has to carry a nonce of ours (§8).
    pub nonces: bool,
}

/// When a refresh token is issued (`decisions`, 18).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefreshPolicy {
    /// To each client that listed the grant type.
    Always,
    /// To those that also asked for `offline_access`.
    OfflineAccess,
    /// To nobody.
    Never,
}

/// Whose metadata documents are accepted, by the host of their URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentPolicy {
    /// Only these; everybody's without.
    pub only: Option<Vec<String>>,
    /// Never these.
    pub never: Vec<String>,
}

impl DocumentPolicy {
    /// Everybody's.
    pub const fn any() -> Self {
        Self { only: None, never: Vec::new() }
    }

    /// Whether documents are accepted at all.
    pub fn accepts_some(&self) -> bool {
        self.only.as_ref().is_none_or(|hosts| !hosts.is_empty())
    }

    /// Whether documents of this host are. `*.example.com` is every name below it, and not itself.
    pub fn allow(&self, host: &str) -> bool {
        self.only.as_deref().is_none_or(|hosts| is_listed(hosts, host)) && !is_listed(&self.never, host)
    }
}

/// Who may register at `/register`. What was registered before stays good: it is in the ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegistrationPolicy {
    /// Everybody.
    Open,
    /// Who has an initial access token (RFC 7591 §3).
    WithToken,
    /// Nobody.
    Closed,
}

/// A protected MCP server, as the authorization server knows it.
#[derive(Clone, Debug)]
pub struct Resource {
    /// Its identifier, in the form that tokens carry.
    pub uri: ResourceUri,
    /// What a person calls it.
    pub title: String,
    /// Its scopes in words.
    pub scopes: Vec<ScopeEntry>,
    /// Clients that may introspect its tokens: the server itself, or what stands in front of it.
    pub introspectors: Vec<String>,
    /// Whether it takes tokens only that are bound to a key: no other is issued for it.
    pub bound_tokens_only: bool,
    /// The service whose tokens of the person it gets.
    pub connection: Option<String>,
    list_digest: [u8; 16],
}

/// A scope and what it means to a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScopeEntry {
    /// The scope token.
    pub name: String,
    /// In words: "Read your calendar".
    pub title: String,
}

/// What is wrong with settings.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// A scope that no request could ask for.
    #[error(
        "the scope {0:?} is not a scope token: use printable characters without spaces, quotes and backslashes"
    )]
    ScopeToken(String),
    /// Listed twice.
    #[error("the scope {0:?} is listed twice")]
    ScopeTwice(String),
    /// A code has one bit for each.
    #[error("a server can have at most 255 scopes")]
    TooManyScopes,
    /// Nothing to protect.
    #[error("there is no protected server")]
    NoResource,
    /// Two of them share an identifier.
    #[error("two servers have the same resource identifier {0}")]
    ResourceTwice(String),
    /// Every key and every id is bound to it.
    #[error("the public URL cannot change while the server runs")]
    IssuerChanged,
    /// An id has one meaning.
    #[error("two clients have the id {0}")]
    ClientTwice(String),
    /// One place says what its tokens are worth.
    #[error("two sections have the issuer {0}: put what is in them into one")]
    IssuerTwice(String),
    /// Two providers at which people sign in have one name.
    #[error("two [[sign_in.provider]] have the name {0}")]
    ProviderTwice(String),
    /// Without passwords somebody else has to say who people are.
    #[error("[sign_in] passwords = false takes a [[sign_in.provider]]")]
    NobodySignsIn,
    /// What we sign ourselves is no word of somebody else (ID-JAG §9.3).
    #[error("this server cannot trust itself as an issuer: name the issuer of the others")]
    OwnIssuer,
    /// Nobody takes an assertion that it made itself (ID-JAG §9.3).
    #[error(
        "[[cross_domain_access]] is for authorization servers of others: this one is asked for a token directly"
    )]
    OwnAudience,
    /// One rule says what it may.
    #[error("two [[cross_domain_access]] are for {0} at {1}: put what is in them into one")]
    AccessTwice(String, String),
    /// It could not get one.
    #[error(
        "[[cross_domain_access]] is for {0}, which cannot ask: give it a secret or keys, and authorization_code, refresh_token and urn:ietf:params:oauth:grant-type:token-exchange in grant_types"
    )]
    AccessWithoutUse(String),
    /// It is part of file names and lines.
    #[error("the name of the node {0:?} must be 1 to 32 lower case letters, digits and hyphens")]
    NodeName(String),
}

impl Resource {
    /// Checks the scopes. `offline_access` is added to what can be granted.
    pub fn new(uri: ResourceUri, title: String, scopes: Vec<ScopeEntry>) -> Result<Self, SettingsError> {
        if scopes.len() >= MAX_SCOPES {
            return Err(SettingsError::TooManyScopes);
        }
        for (at, entry) in scopes.iter().enumerate() {
            if !scope::is_token(&entry.name) {
                return Err(SettingsError::ScopeToken(entry.name.clone()));
            }
            let earlier = scopes.iter().take(at).any(|other| other.name == entry.name);
            if earlier || entry.name == OFFLINE_ACCESS {
                return Err(SettingsError::ScopeTwice(entry.name.clone()));
            }
        }
        let names: Vec<&str> = scopes.iter().map(|entry| &*entry.name).collect();
        let list_digest = digest16(&names.join(" "));
        let introspectors = Vec::new();
        Ok(Self {
            uri,
            title,
            scopes,
            introspectors,
            bound_tokens_only: false,
            connection: None,
            list_digest,
        })
    }

    /// What an authorization code refers its positions to.
    pub const fn list_digest(&self) -> [u8; 16] {
        self.list_digest
    }

    /// Everything that can be granted here, in the order of the positions.
    pub fn grantable(&self) -> Scope {
        Scope::of(self.scopes.iter().map(|entry| &*entry.name).chain([OFFLINE_ACCESS]))
    }

    /// What is granted when nothing is asked for: all scopes of the server, without `offline_access`.
    pub fn usual(&self) -> Scope {
        Scope::of(self.scopes.iter().map(|entry| &*entry.name))
    }

    /// Positions of these scopes, one bit each.
    pub fn positions(&self, scope: &Scope) -> Vec<u8> {
        let mut bits: Vec<u8> = Vec::new();
        for (at, _) in self.grantable().iter().enumerate().filter(|(_, name)| scope.contains(name)) {
            if bits.len() <= at / 8 {
                bits.resize(at / 8 + 1, 0);
            }
            if let Some(byte) = bits.get_mut(at / 8) {
                *byte |= 1 << (at % 8);
            }
        }
        bits
    }

    /// The scopes at these positions.
    pub fn at_positions(&self, bits: &[u8]) -> Scope {
        let set = |at: usize| bits.get(at / 8).is_some_and(|byte| byte & (1 << (at % 8)) != 0);
        let grantable = self.grantable();
        let chosen: Vec<&str> =
            grantable.iter().enumerate().filter(|(at, _)| set(*at)).map(|(_, name)| name).collect();
        Scope::of(chosen)
    }
}

impl Settings {
    /// What an operator gets who decides nothing but who he is and what he protects.
    pub fn new(issuer: Issuer, resources: Vec<Resource>) -> Self {
        Self {
            issuer,
            resources,
            access_token_lifetime: Duration::from_mins(10),
            refresh_tokens: RefreshPolicy::Always,
            refresh_idle_lifetime: Duration::from_hours(720),
            grant_lifetime: Duration::from_hours(8760),
            rotation: RotationWindows {
                same_successor: Duration::from_secs(30),
                new_successor: Duration::from_hours(8760),
            },
            session_lifetime: Duration::from_hours(12),
            trusted_proxies: Vec::new(),
            limits: Limits::usual(),
            keys: KeySettings {
                algorithm: Algorithm::Es256,
                rotate_every: Some(Duration::from_hours(2_160)),
            },
            clients: Vec::new(),
            workload_issuers: Vec::new(),
            identity_providers: Vec::new(),
            sign_in: SignInSettings::usual(),
            connections: Vec::new(),
            cross_domain: Vec::new(),
            documents: DocumentPolicy::any(),
            document_life: DocumentLife::usual(),
            registration: RegistrationPolicy::Open,
            device_authorization: true,
            require_pushed_authorization_requests: false,
            old_assertion_audience: Vec::new(),
            proofs: ProofSettings { offered: true, nonces: false },
            audit: AuditSettings::nothing(),
            beside: Vec::new(),
        }
    }

    /// Checks what only the whole can show.
    pub fn check(&self) -> Result<(), SettingsError> {
        if self.resources.is_empty() {
            return Err(SettingsError::NoResource);
        }
        if !self.audit.has_node_name() {
            return Err(SettingsError::NodeName(self.audit.node.clone().into_owned()));
        }
        let clients = self.clients.iter().map(OperatorClient::id);
        let ids: Vec<&str> = clients.chain(self.workloads().map(Workload::id)).collect();
        for (at, id) in ids.iter().enumerate() {
            if ids.iter().take(at).any(|other| other == id) {
                return Err(SettingsError::ClientTwice((*id).to_owned()));
            }
        }
        let workloads = self.workload_issuers.iter().map(|one| &*one.issuer.issuer);
        let issuers: Vec<&str> =
            workloads.chain(self.identity_providers.iter().map(|one| &*one.issuer.issuer)).collect();
        for (at, issuer) in issuers.iter().enumerate() {
            if *issuer == self.issuer.as_str() {
                return Err(SettingsError::OwnIssuer);
            }
            if issuers.iter().take(at).any(|other| other == issuer) {
                return Err(SettingsError::IssuerTwice((*issuer).to_owned()));
            }
        }
        self.sign_in.check(self)?;
        self.check_cross_domain()?;
        for (at, resource) in self.resources.iter().enumerate() {
            if self.resources.iter().take(at).any(|other| other.uri == resource.uri) {
                return Err(SettingsError::ResourceTwice(resource.uri.to_string()));
            }
        }
        Ok(())
    }

    fn check_cross_domain(&self) -> Result<(), SettingsError> {
        for (at, access) in self.cross_domain.iter().enumerate() {
            let CrossDomainAccess { client, audience, .. } = access;
            if *audience == self.issuer {
                return Err(SettingsError::OwnAudience);
            }
            let same = |other: &CrossDomainAccess| other.client == *client && other.audience == *audience;
            if self.cross_domain.iter().take(at).any(same) {
                return Err(SettingsError::AccessTwice(client.clone(), audience.to_string()));
            }
            // One with a row or a document is judged when it asks.
            let configured = self.clients.iter().find(|one| one.id() == client);
            let asks = |one: &OperatorClient| {
                one.exchange().is_some() && one.may_refresh() && one.is_for_people() && !one.proofs().none
            };
            if configured.is_some_and(|one| !asks(one)) {
                return Err(SettingsError::AccessWithoutUse(client.clone()));
            }
        }
        Ok(())
    }

    /// Programs that a platform speaks for.
    pub fn workloads(&self) -> impl Iterator<Item = &Workload> {
        self.workload_issuers.iter().flat_map(|issuer| &issuer.workloads)
    }

    /// Whether a token of this client is of a program that a platform speaks for.
    pub fn is_workload(&self, client_id: &str) -> bool {
        self.workloads().any(|workload| workload.id() == client_id)
    }

    /// The resource that is meant by an identifier in a request.
    pub fn resource(&self, asked: &str) -> Option<&Resource> {
        self.resources.iter().find(|resource| resource.uri.is_meant_by(asked))
    }

    /// The resource of clients that never learnt to say which: the only one, if there is only one.
    pub fn only_resource(&self) -> Option<&Resource> {
        match self.resources.as_slice() {
            [only] => Some(only),
            _ => None,
        }
    }

    /// Whether a client that is `willing` (it lists the grant type) gets a refresh token with these scopes.
    pub fn issues_refresh(&self, willing: bool, scope: &Scope) -> bool {
        willing
            && match self.refresh_tokens {
                RefreshPolicy::Always => true,
                RefreshPolicy::OfflineAccess => scope.contains(OFFLINE_ACCESS),
                RefreshPolicy::Never => false,
            }
    }

    /// When the last access token that may have been issued until `now` has expired, by whatever clock: as long as a
    /// revocation matters.
    pub fn tokens_until(&self, now: Timestamp) -> Timestamp {
        now.plus(self.access_token_lifetime).plus(CLOCKS_APART)
    }

    /// Whether a grant can still be refreshed: not revoked, not unused for too long, not too old.
    pub fn is_alive(&self, grant: &Grant, now: Timestamp) -> bool {
        grant.revoked_at.is_none()
            && grant.rotated_at >= self.alive_if_used_since(now)
            && grant.consented_at >= self.alive_if_given_since(now)
    }

    /// A grant that was not used since then has ended by itself.
    pub fn alive_if_used_since(&self, now: Timestamp) -> Timestamp {
        now.minus(self.refresh_idle_lifetime)
    }

    /// A grant that was given before that has ended by itself.
    pub fn alive_if_given_since(&self, now: Timestamp) -> Timestamp {
        now.minus(self.grant_lifetime)
    }

    /// Whether the issuer is on this very machine and without TLS.
    pub fn is_local(&self) -> bool {
        self.issuer.is_loopback()
    }

    /// Whether cookies can carry `Secure` and the `__Host-` prefix.
    pub fn is_https(&self) -> bool {
        self.issuer.parsed().scheme() == "https"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_059_which_hosts_documents_are_accepted() {
        let list = |hosts: &[&str]| hosts.iter().map(|host| (*host).to_owned()).collect::<Vec<_>>();
        let policy = DocumentPolicy {
            only: Some(list(&["claude.ai", "*.vscode.dev"])),
            never: list(&["bad.vscode.dev"]),
        };
        for (host, allowed) in [
            ("claude.ai", true),
            ("a.claude.ai", false),
            ("xclaude.ai", false),
            ("vscode.dev", false),
            ("insiders.vscode.dev", true),
            ("xvscode.dev", false),
            ("bad.vscode.dev", false),
        ] {
            assert_eq!(policy.allow(host), allowed, "{host}");
        }
        assert!(DocumentPolicy::any().allow("anybody.example"));
        assert!(!DocumentPolicy { only: Some(Vec::new()), never: Vec::new() }.accepts_some());
    }

    fn resource(names: &[&str]) -> Result<Resource, SettingsError> {
        let scopes =
            names.iter().map(|name| ScopeEntry { name: (*name).into(), title: String::new() }).collect();
        Resource::new(ResourceUri::parse("https://a.example/mcp").unwrap(), "A".into(), scopes)
    }

    #[test]
    fn positions_round_trip() {
        let names: Vec<String> = (0..20).map(|n| format!("s{n}")).collect();
        let names: Vec<&str> = names.iter().map(|name| &**name).collect();
        let resource = resource(&names).unwrap();
        let scope = Scope::parse("s0 s9 s19 offline_access").unwrap();
        assert_eq!(resource.at_positions(&resource.positions(&scope)), scope);
        assert_eq!(resource.positions(&Scope::none()), Vec::<u8>::new());
    }

    #[test]
    fn scopes_are_checked() {
        assert!(matches!(resource(&["a b"]), Err(SettingsError::ScopeToken(_))));
        assert!(matches!(resource(&["a", "a"]), Err(SettingsError::ScopeTwice(_))));
        assert!(matches!(resource(&["offline_access"]), Err(SettingsError::ScopeTwice(_))));
    }
}
