//! What an operator sets, and the checks at start: a gateway that would take a path of ours does not start.

mod policy;

pub use policy::{Callers, ChallengeScopes, Group, Members, Policy, Rule, Unlisted};

use crate::{
    assertion::SignsCallers,
    audit::{CallLog, CallerAddress},
    challenge::StyleFor,
    recorded::RecordedArguments,
    session::SessionSealer,
    span::Tracing,
    upstream_credential::UpstreamCredential,
};
use bytes::Bytes;
use hallpass_core::{entropy::Entropy, scope::Scope, time::Clock, uri::ResourceUri};
use hallpass_fetch::tls::{Tls, TlsFault};
use hallpass_resource::{BoundTokens, KeySource, Proofs, Revocations, TrustedIssuer};
use http::{HeaderMap, Uri};
use std::{ffi::OsString, fmt, path::PathBuf, sync::Arc, time::Duration};
use url::Url;

/// All that the gateway needs.
pub struct GatewayConfig {
    /// `scheme://host[:port]` as written, without a path and without a terminating slash.
    pub public_origin: String,
    /// What is protected. One path each.
    pub servers: Vec<ProtectedServer>,
    /// The keys of the servers' issuer.
    pub keys: Arc<KeySource>,
    /// What is revoked. Until its first full load every call is refused with 503.
    pub revocations: Arc<Revocations>,
    /// Seals the session ids of upstreams.
    pub sessions: Arc<dyn SessionSealer>,
    /// What proofs of bound tokens are checked with.
    pub proofs: Proofs,
    /// Where `now` comes from.
    pub clock: Arc<dyn Clock>,
    /// Bound to loopback: `Host` and `Origin` are checked, because a page that rebinds its own name reaches us
    /// (RS-060). On a public host the token alone decides, and any origin may ask.
    pub local: bool,
    /// Origins that may ask when `local`, beside those of this machine, as browsers write them.
    pub allowed_origins: Vec<String>,
    /// Paths of other routers on the same listener that no server may take, beside those of the authorization
    /// server.
    pub reserved_paths: Vec<String>,
    /// Bounds of one call.
    pub limits: Limits,
    /// Told of each call.
    pub calls: Option<Arc<dyn CallLog>>,
    /// Where a request comes from, for the log.
    pub address: Option<CallerAddress>,
    /// Where the ids of requests come from.
    pub entropy: Arc<dyn Entropy>,
    /// How calls are traced, where they are.
    pub tracing: Option<Tracing>,
    /// Signs what servers are told about who calls.
    pub caller_signer: Option<Arc<dyn SignsCallers>>,
    /// How clients want to be told that more scope is needed, before what is known of them; the first that fits counts.
    pub challenge_styles: Vec<StyleFor>,
}

/// One MCP server behind the gateway.
#[derive(Clone, Debug)]
pub struct ProtectedServer {
    /// Its short name, for logs. Part of what its sessions are bound to, so keep it.
    pub name: String,
    /// Its path here, such as `/mcp`.
    pub path: String,
    /// Its resource identifier: the public origin and the path.
    pub resource: ResourceUri,
    /// The gateway's own issuer, as written in its tokens.
    pub issuer: String,
    /// Whether it takes tokens of that issuer.
    pub own_tokens: bool,
    /// Other authorization servers whose tokens it takes.
    pub issuers: Vec<TrustedIssuer>,
    /// Issuer identifiers for the metadata, the best first.
    pub authorization_servers: Vec<String>,
    /// Scopes that the metadata lists.
    pub scopes: Scope,
    /// Scopes that every call needs.
    pub required_scope: Scope,
    /// Where it really is.
    pub upstream: Upstream,
    /// A name for people.
    pub title: Option<String>,
    /// Which scopes what takes, beyond `required_scope`.
    pub policy: Policy,
    /// Whether it takes tokens that are bound to a key, and no others.
    pub bound_tokens: BoundTokens,
    /// How much one caller may ask of it.
    pub callers: CallerLimits,
    /// The audience of signed assertions that tell it who calls. Without one it is told nothing.
    pub caller_audience: Option<String>,
    /// How we are known to it. On stdio only what people connected, in a variable.
    pub upstream_credential: Option<UpstreamCredential>,
    /// The arguments of its tools that [`CallLog`] is told.
    pub recorded: RecordedArguments,
    /// What a browser sees that opens the path without a token, in place of JSON.
    pub page: Option<BrowserPage>,
}

/// A page that is ready: nothing of a request is ever in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrowserPage {
    /// All that its answer says beside status and challenge.
    pub headers: HeaderMap,
    /// HTML.
    pub body: Bytes,
}

/// What one caller, a person or a machine, may ask of one server, with all its clients together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CallerLimits {
    /// Requests a minute, all of which may come at once.
    pub calls_per_minute: Option<u32>,
    /// The same of one address without a token, where rules open something to anybody.
    pub anonymous_per_minute: Option<u32>,
    /// Streams of the server's own messages that are open at a time.
    pub streams: Option<u32>,
}

/// How an MCP server is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Upstream {
    /// At an http or https URL, also on a private network.
    Http(HttpServer),
    /// As a process of ours, over its standard input and output.
    Stdio(StdioCommand),
}

/// An MCP server at a URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpServer {
    /// Where.
    pub url: String,
    /// By whose word it is who it says it is, and who we are to it. For https.
    pub tls: Tls,
}

impl From<&str> for Upstream {
    fn from(url: &str) -> Self {
        Self::from(url.to_owned())
    }
}

impl From<String> for Upstream {
    fn from(url: String) -> Self {
        Self::Http(HttpServer { url, tls: Tls::default() })
    }
}

/// An MCP server on stdio. One process is started for each session, and one for each person with one client of the newest
/// revision, which knows no sessions.
#[derive(Clone, PartialEq, Eq)]
pub struct StdioCommand {
    /// A path, or a name to be found in the `PATH` of `environment`.
    pub program: String,
    /// Its arguments, as they are: no shell reads them.
    pub arguments: Vec<String>,
    /// Its working folder; ours when there is none.
    pub folder: Option<PathBuf>,
    /// All of its environment. Nothing of ours is added.
    pub environment: Vec<(OsString, OsString)>,
    /// Processes that serve everybody's requests of the newest revision in turn; 0: each person has their own with each
    /// client. Only for a server that keeps nothing about anybody.
    pub shared_processes: usize,
    /// The variable that each process gets the token of its person in, of the service that the person connected.
    pub token_variable: Option<String>,
    /// Bounds.
    pub limits: StdioLimits,
}

impl fmt::Debug for StdioCommand {
    /// Arguments and environment hold secrets.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("StdioCommand").field("program", &self.program).finish_non_exhaustive()
    }
}

/// Bounds of the processes of one server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StdioLimits {
    /// Processes at a time.
    pub processes: usize,
    /// Of them, those of one person.
    pub processes_per_subject: usize,
    /// A session without a request and without a stream ends after so long.
    pub idle: Duration,
    /// Bytes of a message of the process.
    pub line: usize,
    /// How long a process may take to end when its input is closed, and again when it is told to.
    pub stop: Duration,
}

impl Default for StdioLimits {
    fn default() -> Self {
        Self {
            processes: 64,
            processes_per_subject: 8,
            idle: Duration::from_mins(15),
            line: 16 * 1024 * 1024,
            stop: Duration::from_secs(2),
        }
    }
}

/// Bounds of one call.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of a message from a client.
    pub body: usize,
    /// Time to receive it.
    pub receive: Duration,
    /// Time for a connection to the upstream.
    pub connect: Duration,
    /// Time until the upstream starts to answer. Tools may work for minutes.
    pub answer: Duration,
    /// Bytes of a JSON answer, and of one event in a stream, where 16 MiB is the most.
    pub answer_length: u64,
    /// Silence in the middle of a JSON answer. Event streams may be silent for as long as the token is good.
    pub silence: Duration,
    /// After so much silence a stream of events gets a comment, so that nobody in between takes it for dead.
    pub keep_alive: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body: 4 * 1024 * 1024,
            receive: Duration::from_secs(30),
            connect: Duration::from_secs(5),
            answer: Duration::from_mins(5),
            answer_length: 64 * 1024 * 1024,
            silence: Duration::from_mins(1),
            keep_alive: Duration::from_secs(15),
        }
    }
}

/// Why a configuration is refused. Each says what to change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The public origin has a path, or is none.
    #[error("the public origin `{0}` must be a scheme, a host and maybe a port, without a path")]
    PublicOrigin(String),
    /// Not a plain path.
    #[error(
        "the path `{path}` of server `{name}` must start with `/`, not end with it, and contain only letters, digits and - . _ ~"
    )]
    Path {
        /// Of which server.
        name: String,
        /// The path.
        path: String,
    },
    /// The path is needed for something else.
    #[error("the path `{path}` of server `{name}` is needed for `{taken}`: choose another, such as `/mcp`")]
    PathTaken {
        /// Of which server.
        name: String,
        /// The path.
        path: String,
        /// What has it.
        taken: String,
    },
    /// Two servers at one path.
    #[error("the servers `{first}` and `{second}` have the same path: give one of them another")]
    SamePath {
        /// The first.
        first: String,
        /// The other.
        second: String,
    },
    /// The identifier is not the URL that clients call, so no client would accept the metadata (RFC 9728 §3.3).
    #[error("the resource of server `{name}` must be `{expected}`, the URL that clients call")]
    Resource {
        /// Of which server.
        name: String,
        /// Public origin and path.
        expected: String,
    },
    /// A token could be taken for one of two servers.
    #[error("server `{0}` trusts an issuer twice, or its own as another: name each once")]
    Issuers(String),
    /// Nobody to get a token from.
    #[error("server `{0}` names no authorization server")]
    NoAuthorizationServer(String),
    /// It is to be told who calls, and there is nothing to sign with or nowhere to put it.
    #[error(
        "server `{0}` has a caller_audience: it takes a server over http, and keys of the issuer to sign with"
    )]
    Caller(String),
    /// Headers have nowhere to go.
    #[error(
        "server `{0}` is on stdio and gets no headers: give its command a variable instead; the token of a person takes a variable for it and processes that nobody shares"
    )]
    Credential(String),
    /// Not an http URL.
    #[error(
        "the upstream of server `{0}` must be an http or https URL such as http://127.0.0.1:3001/mcp, without user name, password and fragment"
    )]
    Upstream(String),
    /// No TLS session could be made with it.
    #[error("the upstream of server `{name}` takes TLS: {fault}")]
    Tls {
        /// Which server.
        name: String,
        /// Why.
        fault: TlsFault,
    },
    /// Nothing to start.
    #[error("the command of server `{0}` must begin with the name of a program")]
    Command(String),
}

/// The paths of the authorization server. Nothing at them or below them is anybody else's.
const OURS: [&str; 17] = [
    "/.well-known",
    "/account",
    "/admin",
    "/assets",
    "/authorize",
    "/consent",
    "/device",
    "/health",
    "/introspect",
    "/jwks",
    "/par",
    "/register",
    "/revocations",
    "/revoke",
    "/setup",
    "/sign-in",
    "/sign-out",
];

impl GatewayConfig {
    /// Checks everything that can be checked without a request.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        let origin = Url::parse(&self.public_origin).ok().filter(|url| {
            matches!(url.scheme(), "http" | "https") && url.path() == "/" && url.query().is_none()
        });
        let written = self.public_origin.split_once("://").map_or("/", |(_, host)| host);
        if origin.is_none() || written.contains(['/', '?', '#', '@']) {
            return Err(ConfigError::PublicOrigin(self.public_origin.clone()));
        }
        for (at, server) in self.servers.iter().enumerate() {
            server.check(&self.public_origin, &self.reserved_paths)?;
            let is_told = server.caller_audience.is_some();
            if is_told && (self.caller_signer.is_none() || matches!(server.upstream, Upstream::Stdio(_))) {
                return Err(ConfigError::Caller(server.name.clone()));
            }
            if let Some(first) = self.servers.iter().take(at).find(|other| other.path == server.path) {
                let (first, second) = (first.name.clone(), server.name.clone());
                return Err(ConfigError::SamePath { first, second });
            }
        }
        Ok(())
    }
}

/// Whether a server may have this path, for whoever checks a configuration file.
///
/// # Errors
/// [`ConfigError::Path`] or [`ConfigError::PathTaken`].
pub fn check_path(name: &str, path: &str, reserved: &[String]) -> Result<(), ConfigError> {
    if !is_plain_path(path) {
        return Err(ConfigError::Path { name: name.to_owned(), path: path.to_owned() });
    }
    let mut ours = OURS.into_iter().chain(["/token"]).chain(reserved.iter().map(String::as_str));
    match ours.find(|taken| overlaps(path, taken)) {
        None => Ok(()),
        Some(taken) => Err(ConfigError::PathTaken {
            name: name.to_owned(),
            path: path.to_owned(),
            taken: taken.to_owned(),
        }),
    }
}

impl ProtectedServer {
    fn check(&self, public_origin: &str, reserved: &[String]) -> Result<(), ConfigError> {
        check_path(&self.name, &self.path, reserved)?;
        let name = self.name.clone();
        let expected = format!("{public_origin}{}", self.path);
        if self.resource.as_str() != expected {
            return Err(ConfigError::Resource { name, expected });
        }
        if self.authorization_servers.is_empty() || (!self.own_tokens && self.issuers.is_empty()) {
            return Err(ConfigError::NoAuthorizationServer(name));
        }
        let mut known = vec![&*self.issuer];
        for other in &self.issuers {
            if known.contains(&&*other.issuer) {
                return Err(ConfigError::Issuers(name));
            }
            known.push(&other.issuer);
        }
        match &self.upstream {
            Upstream::Http(_) => self.upstream_uri().map(|_| ()),
            Upstream::Stdio(command) if command.program.is_empty() => Err(ConfigError::Command(name)),
            Upstream::Stdio(command) => match (&self.upstream_credential, &command.token_variable) {
                (None, None) => Ok(()),
                // A process that several people share would have the token of one of them.
                (Some(UpstreamCredential::Person(_)), Some(_)) if command.shared_processes == 0 => Ok(()),
                (Some(_), _) | (None, Some(_)) => Err(ConfigError::Credential(name)),
            },
        }
    }

    /// The upstream as it is asked.
    pub(crate) fn upstream_uri(&self) -> Result<Uri, ConfigError> {
        let refused = || ConfigError::Upstream(self.name.clone());
        let Upstream::Http(server) = &self.upstream else { return Err(refused()) };
        let url = Url::parse(&server.url).map_err(|_| refused())?;
        let plain = matches!(url.scheme(), "http" | "https")
            && url.host_str().is_some_and(|host| !host.is_empty())
            && url.username().is_empty()
            && url.password().is_none()
            && url.fragment().is_none();
        if plain { url.as_str().parse().map_err(|_| refused()) } else { Err(refused()) }
    }
}

/// A path that every reader takes for the same one: no escapes, no dots, no empty segments, no pattern of a router.
fn is_plain_path(path: &str) -> bool {
    path.strip_prefix('/').is_some_and(|rest| {
        path == "/"
            || rest.split('/').all(|segment| {
                !matches!(segment, "" | "." | "..")
                    && segment.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b))
            })
    })
}

/// Whether one of the two is the other or is above it.
fn overlaps(path: &str, taken: &str) -> bool {
    let above = |above: &str, below: &str| {
        let above = above.trim_end_matches('/');
        below.strip_prefix(above).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    above(path, taken) || (taken != "/" && above(taken, path))
}

#[cfg(test)]
mod tests;
