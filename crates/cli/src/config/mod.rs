//! The configuration file: what was typed, and what it means, checked together with line and fix.

mod addresses;
mod callers;
mod clients;
mod command;
mod connections;
mod cross_domain;
mod database;
mod duration;
mod file;
mod groups;
mod issuers;
mod limits;
mod local;
mod named;
mod problem;
mod proofs;
mod resources;
mod rules;
mod sign_in;
mod traces;
mod trust;
mod upstream_secrets;
mod upstream_tls;
mod upstream_token;
mod watching;

pub use clients::{scopes_of_servers, servers_of_machine};
pub use command::{Behind, is_there, with_environment};
pub use database::Database;
pub use duration::parse as length_of_time;
pub use local::{Given, local, on_this_computer};
pub use named::NamedFile;
pub use problem::Problem;
pub use traces::TraceSettings;
pub use trust::{AuthorizationServer, KeyPlace, Trusted, VerifiedBy, foreign};
pub use upstream_tls::UpstreamTls;
pub use watching::operator_of;

use file::{ConfigFile, Dangerous, ServerEntry, TokenSection};
use hallpass_core::{
    scope::Scope,
    uri::{Issuer, ResourceUri, UriError},
};
use hallpass_gateway::{
    CallerLimits, Limits as GatewayLimits, Policy, RecordedArguments, StyleFor, UpstreamCredential,
};
use hallpass_server::{Resource, ScopeEntry, Settings, upstream_token::UpstreamTokenSettings};
use hallpass_store::RotationWindows;
use resources::scope_entries;
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use toml::Spanned;
use trust::Trust;

/// A protected server, as the gateway needs it.
#[derive(Clone, Debug)]
pub struct Protected {
    /// For the log.
    pub name: String,
    /// Path of the MCP endpoint.
    pub path: String,
    /// Where requests go.
    pub behind: Behind,
    /// Scopes that every call needs.
    pub required_scope: Scope,
    /// What takes which scopes beyond that, and for whom.
    pub policy: Policy,
    /// How much one caller may ask.
    pub callers: CallerLimits,
    /// The audience of what it is told about who calls.
    pub caller_audience: Option<String>,
    /// How hallpass is known to it.
    pub upstream_credential: Option<UpstreamCredential>,
    /// Where tokens for it come from, for whoever calls.
    pub upstream_token: Option<UpstreamTokenSettings>,
    /// Whose word counts on who it is, over https, in place of the system's; and who hallpass is to it.
    pub upstream_tls: UpstreamTls,
    /// Whose tokens it takes.
    pub trust: Trust,
    /// The arguments of its tools that the audit log has.
    pub recorded: RecordedArguments,
    /// The service whose tokens of the person it gets.
    pub connection: Option<String>,
}

/// Everything that a node is started with.
#[derive(Debug)]
pub struct Config {
    /// For the authorization server. Its resources are in the order of `servers`; those that are elsewhere come after them.
    pub settings: Settings,
    /// For the gateway.
    pub servers: Vec<Protected>,
    /// Other authorization servers.
    pub authorization_servers: Vec<AuthorizationServer>,
    /// Bounds of one call through the gateway.
    pub gateway: GatewayLimits,
    /// How some clients want to be told that more scope is needed.
    pub challenge_styles: Vec<StyleFor>,
    /// Where to listen; the first one has to work.
    pub listen: Vec<SocketAddr>,
    /// Where numbers and health are served, if anywhere.
    pub admin: Option<SocketAddr>,
    /// Where spans of calls are sent, if anywhere.
    pub traces: Option<TraceSettings>,
    /// The folder of the state.
    pub state: PathBuf,
    /// Where everything is kept.
    pub database: Database,
    /// PEM texts of further certificate authorities.
    pub extra_ca: Vec<Vec<u8>>,
    /// The files of certificates that were read, and what was in them: they are followed like the file itself.
    pub certificates: Vec<NamedFile>,
    /// `[dangerous] private_hosts`.
    pub private_hosts: Vec<String>,
    /// What weakens anything, to be logged at start.
    pub dangerous: Vec<String>,
    /// What is named and not there (yet): a check fails by it, a start does not, because the other servers work.
    pub absent: Vec<Problem>,
}

/// Reads a file. All that is wrong is told at once.
pub fn read(path: &Path) -> Result<Config, Vec<Problem>> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        vec![Problem::whole(
            format!("{} cannot be read ({error})", path.display()),
            "name an existing file with --config".to_owned(),
        )]
    })?;
    parse(&text, path.parent().unwrap_or(Path::new(".")))
}

/// Reads a text; relative paths in it are below `folder`.
pub fn parse(text: &str, folder: &Path) -> Result<Config, Vec<Problem>> {
    let file: ConfigFile = toml::from_str(text).map_err(|error| vec![Problem::syntax(text, &error)])?;
    let mut check = Check {
        text,
        problems: Vec::new(),
        absent: Vec::new(),
        certificates: Vec::new(),
        trusted: Vec::new(),
        groups: BTreeMap::new(),
    };
    let config = check.config(&file, folder);
    match config {
        Some(config) if check.problems.is_empty() => Ok(config),
        _ => Err(check.problems),
    }
}

/// A sentence for each thing that weakens something.
fn weakened(dangerous: &Dangerous) -> Vec<String> {
    let hosts = dangerous.private_hosts.iter().map(|host| {
        format!(
            "[dangerous] private_hosts: documents may be fetched from {} at a private address",
            host.get_ref()
        )
    });
    let clients = dangerous.token_endpoint_audience.iter().map(|client| {
        format!("[dangerous] token_endpoint_audience: assertions of {client} may be made out to the token endpoint")
    });
    let database = dangerous.database_without_tls.then(|| {
        "[dangerous] database_without_tls: the database may be spoken to in the open across a network"
            .to_owned()
    });
    let rules = dangerous.rules_dry_run.iter().map(|server| {
        format!(
            "[dangerous] rules_dry_run: the rules of {} only tell what they would refuse, and let it pass",
            server.get_ref()
        )
    });
    hosts.chain(clients).chain(rules).chain(database).collect()
}

struct Check<'a> {
    text: &'a str,
    problems: Vec<Problem>,
    absent: Vec<Problem>,
    certificates: Vec<NamedFile>,
    /// Other authorization servers, for whatever names them.
    trusted: Vec<AuthorizationServer>,
    /// `[groups]`, with who is in them, for the rules that name them.
    groups: BTreeMap<String, Arc<[String]>>,
}

impl Check<'_> {
    fn wrong<T>(&mut self, at: &Spanned<T>, what: impl Into<String>, fix: impl Into<String>) {
        self.wrong_at(at.span().start, what, fix);
    }

    fn wrong_at(&mut self, at: usize, what: impl Into<String>, fix: impl Into<String>) {
        self.problems.push(Problem::at(self.text, at, what.into(), fix.into()));
    }

    fn config(&mut self, file: &ConfigFile, folder: &Path) -> Option<Config> {
        let issuer = self.issuer(&file.public_url);
        let listen = self.listen(&file.listen, issuer.as_ref());
        self.authorization_servers(&file.authorization_server, folder, issuer.as_ref());
        self.groups(&file.groups);
        let (mut resources, mut servers) = (Vec::new(), Vec::new());
        for entry in &file.server {
            if let Some((resource, server)) = self.server(entry, folder, issuer.as_ref(), &servers) {
                resources.push(resource);
                servers.push(server);
            }
        }
        let nothing = file.server.is_empty() && file.resource.is_empty();
        if nothing {
            self.problems.push(Problem::whole(
                "there is no [[server]]".to_owned(),
                "add one with name, path, and upstream or command, or a [[resource]] with the url of a server that checks tokens itself"
                    .to_owned(),
            ));
        }
        // A stand-in, so that what is wrong further down is told at once too; with a problem, no settings come out.
        self.dry_run(&file.dangerous.rules_dry_run, &mut servers);
        let connections = self.connections(&file.connection, folder);
        self.connected(&file.server, &file.connection, &mut servers, &mut resources);
        resources.extend(self.resources(&file.resource));
        let issuer = issuer.or_else(|| Issuer::parse("https://unknown.invalid").ok())?;
        if servers.len() == file.server.len() {
            self.one_audience_each(&file.server, &servers, &issuer);
        }
        let mut settings = Settings::new(issuer, resources);
        settings.connections = connections;
        self.tokens(&file.tokens, &mut settings);
        self.sign_in(&file.sign_in, folder, &mut settings);
        settings.trusted_proxies = self.proxies(&file.trusted_proxies);
        self.keys(&file.keys, &mut settings.keys);
        self.limits(&file.limits, &mut settings.limits);
        let state = folder.join(self.state_folder(file.state.as_ref()));
        self.recorded(&file.audit, &mut servers);
        settings.audit = self.audit(&file.audit, folder, &state);
        self.who_may_be_a_client(file, folder, &mut settings);
        settings.identity_providers = self.identity_providers(&file.identity_provider, folder);
        settings.cross_domain = self.cross_domain(&file.cross_domain_access);
        settings.workload_issuers = self.workload_issuers(&file.workload_issuer, folder, &settings.resources);
        self.introspection(file, &mut settings);
        self.proofs(file, &mut settings);
        let named: Vec<(&str, &str)> = servers.iter().map(|server| (&*server.name, &*server.path)).collect();
        settings.beside = hallpass_gateway::describe(&named);
        let admin = self.admin(&file.admin, &listen);
        if let Err(error) = settings.check()
            && !nothing
            && self.problems.is_empty()
        {
            self.problems
                .push(Problem::whole(error.to_string(), "give each of them one of its own".to_owned()));
        }
        let gateway = self.gateway_limits(&file.limits);
        let mut dangerous = weakened(&file.dangerous);
        dangerous.extend(upstream_tls::in_the_open(&servers));
        dangerous.extend(sign_in::open_to_everybody(&settings));
        Some(Config {
            settings,
            servers,
            authorization_servers: std::mem::take(&mut self.trusted),
            gateway,
            challenge_styles: self.challenge_styles(&file.clients),
            listen,
            admin,
            traces: file.traces.as_ref().and_then(|entry| self.traces(entry.get_ref(), folder)),
            database: self.database(file.database.as_ref(), folder, file.dangerous.database_without_tls),
            state,
            extra_ca: self.extra_authorities(&file.fetch.extra_ca, folder),
            private_hosts: self.private_hosts(&file.dangerous.private_hosts),
            dangerous,
            absent: std::mem::take(&mut self.absent),
            certificates: std::mem::take(&mut self.certificates),
        })
    }

    fn state_folder(&mut self, at: Option<&Spanned<String>>) -> String {
        let Some(at) = at else { return "state".to_owned() };
        if at.get_ref().trim().is_empty() {
            self.wrong(at, "state names no folder", "write one such as \"state\", or remove the line");
        }
        at.get_ref().clone()
    }

    fn tokens(&mut self, tokens: &TokenSection, settings: &mut Settings) {
        settings.rotation = RotationWindows {
            same_successor: self.duration(
                tokens.rotation_window.as_ref(),
                settings.rotation.same_successor,
                0,
                300,
            ),
            new_successor: self.duration(
                tokens.lost_answer_window.as_ref(),
                settings.rotation.new_successor,
                0,
                366 * 86_400,
            ),
        };
        settings.access_token_lifetime =
            self.duration(tokens.access_token_lifetime.as_ref(), settings.access_token_lifetime, 1, 86_400);
        settings.refresh_idle_lifetime = self.duration(
            tokens.refresh_idle_lifetime.as_ref(),
            settings.refresh_idle_lifetime,
            60,
            3_650 * 86_400,
        );
        if let Some(policy) = tokens.refresh_tokens {
            settings.refresh_tokens = policy.into();
        }
        settings.grant_lifetime =
            self.duration(tokens.grant_lifetime.as_ref(), settings.grant_lifetime, 60, 3_650 * 86_400);
    }

    fn issuer(&mut self, at: &Spanned<String>) -> Option<Issuer> {
        let text = at.get_ref();
        match Issuer::parse(text) {
            Ok(issuer) if text.ends_with('/') => {
                self.wrong(
                    at,
                    "public_url ends with a slash, which clients compare as written",
                    format!("write \"{}\"", text.trim_end_matches('/')),
                );
                Some(issuer)
            }
            Ok(issuer) => Some(issuer),
            Err(UriError::Scheme) => {
                self.wrong(at, "public_url must be https", "put a reverse proxy with a certificate in front and write its https URL; http is only for localhost");
                None
            }
            Err(error) => {
                self.wrong(
                    at,
                    format!("public_url is not usable: {error}"),
                    "write the address that people and clients use, such as \"https://mcp.example.com\"",
                );
                None
            }
        }
    }

    fn duration(
        &mut self,
        at: Option<&Spanned<String>>,
        default: Duration,
        least: u64,
        most: u64,
    ) -> Duration {
        let Some(at) = at else { return default };
        match duration::parse(at.get_ref()) {
            Some(duration) if (least..=most).contains(&duration.as_secs()) => duration,
            Some(_) => {
                self.wrong(
                    at,
                    format!("must be between {least}s and {most}s"),
                    "choose a time within these bounds",
                );
                default
            }
            None => {
                self.wrong(at, "not a length of time", "write a number with s, m, h or d, such as \"10m\"");
                default
            }
        }
    }

    fn server(
        &mut self,
        entry: &ServerEntry,
        folder: &Path,
        issuer: Option<&Issuer>,
        earlier: &[Protected],
    ) -> Option<(Resource, Protected)> {
        let before = self.problems.len();
        let (path, name) = (entry.path.get_ref(), &entry.name);
        if let Err(error) = hallpass_gateway::check_path(name, path, &[]) {
            self.wrong(&entry.path, error.to_string(), "choose a path such as \"/mcp\"");
        }
        if earlier.iter().any(|other| other.name == *name) {
            // What servers give out is sealed under their names.
            self.wrong(
                &entry.path,
                format!("another server is named {name:?} too"),
                "give each server a name of its own",
            );
        }
        if earlier.iter().any(|other| other.path == *path) {
            self.wrong(&entry.path, "another server has this path", "give each server a path of its own");
        }
        let behind = self.behind(entry, folder);
        let title = entry.title.clone().unwrap_or_else(|| name.clone());
        let scopes = scope_entries(&title, &entry.scopes);
        let required_scope = self.required(entry, &scopes);
        let policy = self.policy(entry, &scopes);
        let (callers, caller_audience) = (self.callers(entry), self.caller_audience(entry));
        let upstream_credential = self.upstream_credential(entry, folder);
        let upstream_tls = self.upstream_tls(entry, folder);
        let upstream_token = self.upstream_token(entry, folder);
        let trust = self.trust(entry, &scopes);
        let uri = ResourceUri::parse(&format!("{}{path}", issuer?.origin())).ok()?;
        match Resource::new(uri, title, scopes) {
            Ok(resource) if self.problems.len() == before => {
                let (name, path) = (name.clone(), path.clone());
                let behind = behind?;
                let protected = Protected {
                    name,
                    path,
                    behind,
                    required_scope,
                    policy,
                    callers,
                    caller_audience,
                    upstream_credential,
                    upstream_tls,
                    upstream_token,
                    trust,
                    recorded: RecordedArguments::default(),
                    connection: None,
                };
                Some((resource, protected))
            }
            Ok(_) => None,
            Err(error) => {
                self.wrong(&entry.path, error.to_string(), "correct the scopes of this server");
                None
            }
        }
    }

    /// What every call needs: the only scope, where there is one, else what the file says.
    fn required(&mut self, entry: &ServerEntry, scopes: &[ScopeEntry]) -> Scope {
        let Some(names) = &entry.required_scopes else {
            return match scopes {
                [only] => Scope::of([&*only.name]),
                _ => Scope::none(),
            };
        };
        self.known("required_scopes", names, scopes)
    }
}

#[cfg(test)]
mod tests;
