//! What can be typed into the file. Unknown keys are errors: a misspelt setting must not be a silent default.

use super::{
    clients::{ClientEntry, ClientsSection},
    connections::ConnectionEntry,
    cross_domain::CrossDomainEntry,
    database::DatabaseEntry,
    issuers::{IdentityProviderEntry, WorkloadIssuerEntry},
    proofs::DpopSection,
    resources::ResourceEntry,
    sign_in::SignInSection,
    traces::TracesEntry,
    trust::{AuthorizationServerEntry, TokensEntry},
    upstream_secrets::UpstreamHeaderEntry,
    upstream_tls::UpstreamTlsEntry,
    upstream_token::UpstreamTokenEntry,
    watching::{AdminEntry, AuditEntry},
};
use hallpass_server::RefreshPolicy;
use serde::{Deserialize, Deserializer};
use std::collections::BTreeMap;
use toml::Spanned;

/// The file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConfigFile {
    /// The issuer: the address that people and clients use.
    pub public_url: Spanned<String>,
    /// Addresses to listen on.
    #[serde(default, deserialize_with = "one_or_many")]
    pub listen: Vec<Spanned<String>>,
    /// The state folder.
    pub state: Option<Spanned<String>>,
    /// Peers whose `X-Forwarded-For` is believed.
    #[serde(default)]
    pub trusted_proxies: Vec<Spanned<String>>,
    /// `[tokens]`.
    #[serde(default)]
    pub tokens: TokenSection,
    /// `[dpop]`.
    #[serde(default)]
    pub dpop: DpopSection,
    /// `[keys]`.
    #[serde(default)]
    pub keys: KeysSection,
    /// `[sign_in]`.
    #[serde(default)]
    pub sign_in: SignInSection,
    /// `[limits]`.
    #[serde(default)]
    pub limits: Limits,
    /// `[fetch]`.
    #[serde(default)]
    pub fetch: FetchEntry,
    /// `[audit]`.
    #[serde(default)]
    pub audit: AuditEntry,
    /// `[clients]`.
    #[serde(default)]
    pub clients: ClientsSection,
    /// `[[client]]`.
    #[serde(default)]
    pub client: Vec<ClientEntry>,
    /// `[[workload_issuer]]`.
    #[serde(default)]
    pub workload_issuer: Vec<WorkloadIssuerEntry>,
    /// `[[identity_provider]]`.
    #[serde(default)]
    pub identity_provider: Vec<IdentityProviderEntry>,
    /// `[[authorization_server]]`.
    #[serde(default)]
    pub authorization_server: Vec<AuthorizationServerEntry>,
    /// `[groups]`: people under a name, for rules.
    #[serde(default)]
    pub groups: BTreeMap<String, Spanned<Vec<String>>>,
    /// `[[connection]]`.
    #[serde(default)]
    pub connection: Vec<ConnectionEntry>,
    /// `[[cross_domain_access]]`.
    #[serde(default)]
    pub cross_domain_access: Vec<CrossDomainEntry>,
    /// `[admin]`.
    #[serde(default)]
    pub admin: AdminEntry,
    /// `[traces]`.
    pub traces: Option<Spanned<TracesEntry>>,
    /// `[database]`.
    pub database: Option<Spanned<DatabaseEntry>>,
    /// `[dangerous]`.
    #[serde(default)]
    pub dangerous: Dangerous,
    /// `[[server]]`.
    #[serde(default)]
    pub server: Vec<ServerEntry>,
    /// `[[resource]]`.
    #[serde(default)]
    pub resource: Vec<ResourceEntry>,
}

/// `[tokens]`.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub struct TokenSection {
    /// "10m".
    pub access_token_lifetime: Option<Spanned<String>>,
    /// "30d".
    pub refresh_idle_lifetime: Option<Spanned<String>>,
    /// "365d": how old a grant may become.
    pub grant_lifetime: Option<Spanned<String>>,
    /// "always", "offline_access" or "never".
    pub refresh_tokens: Option<IssueRefresh>,
    /// "30s": within it a repeated refresh gets the same successor.
    pub rotation_window: Option<Spanned<String>>,
    /// "365d": within it a lost answer is forgiven while the successor is unused; "0s" is strict.
    pub lost_answer_window: Option<Spanned<String>>,
}

/// `[keys]`.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub struct KeysSection {
    /// "ES256", "EdDSA" or "RS256".
    pub algorithm: Option<Spanned<String>>,
    /// "90d"; "0s": never by itself.
    pub rotate_every: Option<Spanned<String>>,
}

/// When a refresh token is issued.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IssueRefresh {
    /// To each client that registered the grant type.
    Always,
    /// To those that asked for `offline_access`.
    OfflineAccess,
    /// To nobody.
    Never,
}

impl From<IssueRefresh> for RefreshPolicy {
    fn from(typed: IssueRefresh) -> Self {
        match typed {
            IssueRefresh::Always => Self::Always,
            IssueRefresh::OfflineAccess => Self::OfflineAccess,
            IssueRefresh::Never => Self::Never,
        }
    }
}

/// `[limits]`.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Dynamic registrations a minute and address.
    pub registrations_per_minute: Option<Spanned<u32>>,
    /// Authorization requests a minute and address.
    pub authorizations_per_minute: Option<Spanned<u32>>,
    /// Sign-in forms a minute and address.
    pub sign_ins_per_minute: Option<Spanned<u32>>,
    /// Refused requests a minute and address at the token, revocation and introspection endpoints.
    pub failures_per_minute: Option<Spanned<u32>>,
    /// Refreshes a minute of one grant.
    pub refreshes_per_minute: Option<Spanned<u32>>,
    /// Introspections a minute of one caller.
    pub introspections_per_minute: Option<Spanned<u32>>,
    /// Networks behind which many people share addresses, in place of the known ones.
    pub shared_networks: Option<Spanned<Vec<String>>>,
    /// How many times as much such an address gets.
    pub shared_factor: Option<Spanned<u32>>,
    /// Longest message of a client at a protected server.
    pub message_kilobytes: Option<Spanned<u32>>,
    /// "5m": how long a protected server may take to begin its answer.
    pub answer_time: Option<Spanned<String>>,
    /// Longest answer of a protected server.
    pub answer_megabytes: Option<Spanned<u32>>,
    /// "15s": after so much silence a stream of events gets a comment.
    pub keep_alive: Option<Spanned<String>>,
}

/// `[fetch]`.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub struct FetchEntry {
    /// PEM files of further certificate authorities.
    #[serde(default, deserialize_with = "one_or_many")]
    pub extra_ca: Vec<Spanned<String>>,
}

/// `[dangerous]`: what weakens something. Logged at start.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
pub struct Dangerous {
    /// Hosts that may have private addresses although strangers name them.
    #[serde(default)]
    pub private_hosts: Vec<Spanned<String>>,
    /// Clients whose assertions may name the token endpoint as their audience.
    #[serde(default)]
    pub token_endpoint_audience: Vec<String>,
    /// Servers whose rules only tell what they would refuse.
    #[serde(default)]
    pub rules_dry_run: Vec<Spanned<String>>,
    /// The database server may be on another machine and spoken to without TLS.
    #[serde(default)]
    pub database_without_tls: bool,
}

/// `[[server]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerEntry {
    /// For the log.
    pub name: String,
    /// Path of the MCP endpoint, such as "/mcp".
    pub path: Spanned<String>,
    /// URL of the MCP server. Without it and without a command, the built-in demo server.
    pub upstream: Option<Spanned<String>>,
    /// Program and arguments of an MCP server on stdio.
    pub command: Option<Spanned<Vec<String>>>,
    /// Its working folder.
    pub cwd: Option<Spanned<String>>,
    /// Its environment, beside what each program needs.
    pub env: Option<Spanned<BTreeMap<String, String>>>,
    /// Names of variables that it gets as they are.
    pub pass_env: Option<Spanned<Vec<String>>>,
    /// Variables out of files with secrets.
    pub secret_env: Option<Spanned<BTreeMap<String, Spanned<String>>>>,
    /// Processes at a time.
    pub max_processes: Option<Spanned<u16>>,
    /// Of them, those of one person.
    pub max_processes_per_person: Option<Spanned<u16>>,
    /// Processes that all share, for clients without sessions.
    pub shared_processes: Option<Spanned<u16>>,
    /// "15m": an unused process ends.
    pub idle_time: Option<Spanned<String>>,
    /// For people.
    pub title: Option<String>,
    /// What can be granted.
    #[serde(default)]
    pub scopes: Vec<ScopeLine>,
    /// Which scopes what takes, beyond `required_scopes`.
    #[serde(default)]
    pub rules: Vec<Spanned<RuleEntry>>,
    /// For what no rule names. Default: "deny" where there are rules.
    pub unlisted: Option<Unlisted>,
    /// The audience of signed assertions that tell the server who calls.
    pub caller_audience: Option<Spanned<String>>,
    /// A header out of a file with a secret, for the server behind.
    pub upstream_header: Option<Spanned<UpstreamHeaderEntry>>,
    /// How TLS sessions with the server behind are made.
    pub upstream_tls: Option<Spanned<UpstreamTlsEntry>>,
    /// The authorization server of the server behind, which gives tokens for whoever calls.
    pub upstream_token: Option<Spanned<UpstreamTokenEntry>>,
    /// The service of a third party whose tokens of the person the server behind gets.
    pub connection: Option<Spanned<String>>,
    /// The variable that a command gets that token in.
    pub connection_env: Option<Spanned<String>>,
    /// What a challenge for more scope asks for.
    pub challenge_scopes: Option<ChallengeScopes>,
    /// Requests a minute of one person or machine.
    pub calls_per_minute: Option<Spanned<u32>>,
    /// Requests a minute of one address without a token, where rules open something to anybody.
    pub anonymous_calls_per_minute: Option<Spanned<u32>>,
    /// Streams of the server's own messages that one person or machine may have open.
    pub max_streams_per_person: Option<Spanned<u32>>,
    /// Whether it takes tokens only that are bound to a key.
    pub bound_tokens_only: Option<Spanned<bool>>,
    /// Whose tokens it takes, by name, the best first. Default: ours, `["self"]`.
    pub authorization_servers: Option<Spanned<Vec<String>>>,
    /// `[server.tokens.NAME]`: how the tokens of another authorization server are for this one.
    pub tokens: Option<BTreeMap<String, Spanned<TokensEntry>>>,
    /// Clients that may introspect its tokens.
    pub introspection_clients: Option<Spanned<Vec<String>>>,
    /// Which of them every call needs. Default: the only one, where there is one.
    pub required_scopes: Option<Spanned<Vec<String>>>,
}

/// A scope and its words.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScopeLine {
    /// The token.
    pub name: String,
    /// In words.
    pub title: Option<String>,
    /// Scopes that it includes.
    pub implies: Option<Spanned<Vec<String>>>,
}

/// `[[server.rules]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleEntry {
    /// What it is called in the log.
    pub name: Option<Spanned<String>>,
    /// Names or patterns of tools.
    #[serde(default)]
    pub tools: Vec<String>,
    /// Names or patterns of prompts.
    #[serde(default)]
    pub prompts: Vec<String>,
    /// URIs or patterns of resources.
    #[serde(default)]
    pub resources: Vec<String>,
    /// What each of them takes; nothing more than every call, where it is absent.
    pub scopes: Option<Spanned<Vec<String>>>,
    /// Ids of people that it is about.
    pub people: Option<Spanned<Vec<String>>>,
    /// Ids of clients that it is about.
    pub clients: Option<Spanned<Vec<String>>>,
    /// Names of groups that it is about.
    pub groups: Option<Spanned<Vec<String>>>,
    /// Ids of grants that it is about.
    pub grants: Option<Spanned<Vec<String>>>,
    /// Conditions on arguments.
    pub arguments: Option<Spanned<serde_json::Value>>,
    /// It opens what it names to anybody, with or without a token.
    #[serde(default)]
    pub open: bool,
    /// It forbids.
    #[serde(default)]
    pub deny: bool,
    /// Calls a minute of one person or machine, of all that it names.
    pub calls_per_minute: Option<Spanned<u32>>,
}

/// What a challenge for more scope asks for.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChallengeScopes {
    /// What the operation takes.
    Operation,
    /// That and what was granted.
    Granted,
}

/// What to do with what no rule names.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unlisted {
    /// Nobody may use it.
    Deny,
    /// It takes the required scopes.
    Default,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

fn one_or_many<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Spanned<String>>, D::Error> {
    let spanned = Spanned::<OneOrMany>::deserialize(from)?;
    let span = spanned.span();
    let texts = match spanned.into_inner() {
        OneOrMany::One(one) => vec![one],
        OneOrMany::Many(many) => many,
    };
    Ok(texts.into_iter().map(|text| Spanned::new(span.clone(), text)).collect())
}
