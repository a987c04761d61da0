//! Every route of the gateway: for each server its MCP path and its metadata document, and nothing else.

use crate::{
    admit::Admission,
    assertion::Assertions,
    audit::{CallLog, CallerAddress},
    challenge::Styles,
    config::{self, BrowserPage, CallerLimits, ConfigError, GatewayConfig, Limits, ProtectedServer},
    describe::{self, Serves},
    forward,
    recorded::RecordedArguments,
    rules::Rules,
    session::SessionSealer,
    span::Tracing,
    traffic::Traffic,
    trust::Asked,
    upstream::{HttpUpstream, StdioUpstream, Upstream},
    upstream_credential::UpstreamCredential,
};
use axum::{Router, body::Body, extract::Request, routing::any};
use bytes::Bytes;
use hallpass_core::entropy::Entropy;
use hallpass_resource::{ProtectedResource, Settings, metadata};
use http::{Method, Response};
use std::{collections::HashMap, fmt, future::Future, pin::Pin, sync::Arc, time::Duration};

/// One MCP server, ready to be asked.
pub(crate) struct Server {
    pub name: Arc<str>,
    /// For people.
    pub title: String,
    pub resource: ProtectedResource,
    pub rules: Arc<Rules>,
    pub upstream: Upstream,
    pub sessions: Arc<dyn SessionSealer>,
    pub admission: Admission,
    pub limits: Limits,
    pub calls: Option<Arc<dyn CallLog>>,
    /// What it is told of arguments.
    pub recorded: RecordedArguments,
    pub address: Option<CallerAddress>,
    pub entropy: Arc<dyn Entropy>,
    pub tracing: Option<Tracing>,
    pub styles: Arc<Styles>,
    pub callers: CallerLimits,
    pub traffic: Arc<Traffic>,
    pub assertions: Option<Assertions>,
    pub credential: Option<UpstreamCredential>,
    pub asked: Asked,
    pub page: Option<BrowserPage>,
}

/// The routes, to be merged with those of an authorization server on the same listener. Other paths are not
/// touched: no fallback, so an upstream's `/authorize` or `/.well-known` is never reached.
///
/// # Errors
/// [`ConfigError`], one sentence that names the fix.
pub fn router(config: GatewayConfig) -> Result<Router, ConfigError> {
    start(config).map(|gateway| gateway.router)
}

/// A gateway that may have processes.
pub struct Gateway {
    /// Its routes, see [`router`].
    pub router: Router,
    /// Those of them that calls take.
    pub calls: CallPaths,
    /// The servers on stdio.
    pub processes: Processes,
    upstreams: Vec<Known>,
}

/// The short way to the MCP paths, for whoever listens: what goes through a router costs a tenth more. They are those of
/// [`Gateway::router`], and what is answered there is answered here.
#[derive(Clone, Default)]
pub struct CallPaths(Arc<HashMap<String, Arc<Server>>>);

/// An answer in the making.
pub type Answering = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;

impl fmt::Debug for CallPaths {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_set().entries(self.0.keys()).finish()
    }
}

impl CallPaths {
    /// What answers a request of this method at this path, as it is written. Nothing where the routes have to be asked: they
    /// know the rest, and what else a method means.
    pub fn find(
        &self,
        method: &Method,
        path: &str,
    ) -> Option<impl FnOnce(Request<Body>) -> Answering + use<>> {
        let here = [Method::POST, Method::GET, Method::DELETE, Method::OPTIONS].contains(method);
        let server = self.0.get(path).filter(|_| here).map(Arc::clone)?;
        Some(move |request: Request<Body>| -> Answering { Box::pin(forward::serve(server, request)) })
    }
}

/// An upstream and what it was made from.
struct Known {
    name: String,
    path: String,
    from: config::Upstream,
    upstream: Upstream,
    traffic: Arc<Traffic>,
}

/// The processes that a gateway has started and will start.
#[derive(Clone)]
pub struct Processes(Vec<StdioUpstream>);

impl Processes {
    /// Starts no more and ends all: those without a request at once, the others when they have answered or `grace`
    /// is over. A process that does not end by itself is killed, with what it started.
    pub async fn stop(&self, grace: Duration) {
        let mut stopping = tokio::task::JoinSet::new();
        for upstream in &self.0 {
            let upstream = upstream.clone();
            stopping.spawn(async move { upstream.stop(grace).await });
        }
        stopping.join_all().await;
    }
}

/// Like [`router`], with a hold on the processes of servers on stdio. Without it they end when the program does,
/// as their standard input closes.
///
/// # Errors
/// [`ConfigError`], one sentence that names the fix.
pub fn start(config: GatewayConfig) -> Result<Gateway, ConfigError> {
    build(config, &[])
}

/// The gateway of another configuration. A server whose upstream is the same keeps its connections, processes and
/// sessions; open calls and streams go on as they began. Answers also the processes that nothing leads to any more, to
/// be stopped.
///
/// # Errors
/// [`ConfigError`], one sentence that names the fix; the gateway before it is as it was.
pub fn restart(config: GatewayConfig, before: &Gateway) -> Result<(Gateway, Processes), ConfigError> {
    let gateway = build(config, &before.upstreams)?;
    let kept = &gateway.processes.0;
    let left = before.processes.0.iter().filter(|old| !kept.iter().any(|new| new.is(old))).cloned();
    let left = Processes(left.collect());
    Ok((gateway, left))
}

fn build(mut config: GatewayConfig, before: &[Known]) -> Result<Gateway, ConfigError> {
    config.check()?;
    let admission = if config.local {
        Admission::local(&config.public_origin, &config.allowed_origins)
    } else {
        Admission::Public
    };
    let styles = Arc::new(Styles::new(&config.challenge_styles));
    let (mut router, mut upstreams) = (Router::new(), Vec::new());
    let servers = std::mem::take(&mut config.servers);
    let paths = describe::paths(servers.iter().map(|protected| &*protected.path));
    let mut ready = Vec::new();
    for protected in &servers {
        let same = |known: &&Known| {
            (&known.name, &known.path, &known.from) == (&protected.name, &protected.path, &protected.upstream)
        };
        let (upstream, traffic) = match before.iter().find(same) {
            Some(known) => (known.upstream.clone(), Arc::clone(&known.traffic)),
            None => (upstream(protected, &config)?, Arc::new(Traffic::new())),
        };
        upstreams.push(Known {
            name: protected.name.clone(),
            path: protected.path.clone(),
            from: protected.upstream.clone(),
            upstream: upstream.clone(),
            traffic: Arc::clone(&traffic),
        });
        let shared = (admission.clone(), Arc::clone(&styles));
        ready.push((document(protected), Arc::new(server(protected, &config, shared, (upstream, traffic)))));
    }
    let mut calls = HashMap::new();
    for (path, at, serves) in paths {
        let Some((document, server)) = ready.get(at).cloned() else { continue };
        let route = match serves {
            Serves::Mcp => {
                calls.insert(path.clone(), Arc::clone(&server));
                any(move |request: Request<Body>| forward::serve(Arc::clone(&server), request))
            }
            Serves::Metadata => serve_document(document),
        };
        router = router.route(&path, route);
    }
    let processes = upstreams.iter().filter_map(|known| match &known.upstream {
        Upstream::Stdio(upstream) => Some(upstream.clone()),
        Upstream::Http(_) => None,
    });
    let processes = Processes(processes.collect());
    Ok(Gateway { router, calls: CallPaths(Arc::new(calls)), processes, upstreams })
}

fn serve_document(document: Bytes) -> axum::routing::MethodRouter {
    any(move |method: Method| async move { metadata::respond(&method, document).map(Body::from) })
}

fn document(protected: &ProtectedServer) -> Bytes {
    metadata::document(&metadata::Description {
        resource: protected.resource.clone(),
        authorization_servers: protected.authorization_servers.clone(),
        scopes: Asked::new(protected).without_token(&protected.scopes),
        title: protected.title.clone(),
        bound_tokens: protected.bound_tokens,
        reads_details: true,
    })
}

fn server(
    protected: &ProtectedServer,
    config: &GatewayConfig,
    (admission, styles): (Admission, Arc<Styles>),
    (upstream, traffic): (Upstream, Arc<Traffic>),
) -> Server {
    let settings = Settings {
        metadata_url: format!("{}{}", config.public_origin, metadata::path(&protected.path)),
        resource: protected.resource.clone(),
        issuer: protected.issuer.clone(),
    };
    let told = protected.caller_audience.as_deref().zip(config.caller_signer.as_ref());
    let assertions =
        told.map(|(audience, signer)| Assertions::new(Arc::clone(signer), &protected.issuer, audience));
    let resource =
        ProtectedResource::new(settings, Arc::clone(&config.keys), Arc::clone(&config.revocations));
    let resource = resource.with_issuers(protected.issuers.clone());
    let resource = if protected.own_tokens { resource } else { resource.without_own_tokens() };
    Server {
        name: protected.name.as_str().into(),
        title: protected.title.clone().unwrap_or_else(|| protected.name.clone()),
        resource: resource
            .with_clock(Arc::clone(&config.clock))
            .with_bound_tokens(protected.bound_tokens, config.proofs.clone())
            .with_authorization_details(),
        rules: Arc::new(Rules::new(protected.required_scope.clone(), &protected.policy)),
        upstream,
        sessions: Arc::clone(&config.sessions),
        admission,
        limits: config.limits,
        calls: config.calls.clone(),
        recorded: protected.recorded.clone(),
        address: config.address.clone(),
        entropy: Arc::clone(&config.entropy),
        tracing: config.tracing,
        styles,
        callers: protected.callers,
        traffic,
        assertions,
        credential: protected.upstream_credential.clone(),
        asked: Asked::new(protected),
        page: protected.page.clone(),
    }
}

fn upstream(protected: &ProtectedServer, config: &GatewayConfig) -> Result<Upstream, ConfigError> {
    Ok(match &protected.upstream {
        config::Upstream::Http(server) => {
            let made = HttpUpstream::new(protected.upstream_uri()?, &server.tls, &config.limits);
            let fault = |fault| ConfigError::Tls { name: protected.name.clone(), fault };
            Upstream::Http(Arc::new(made.map_err(fault)?))
        }
        config::Upstream::Stdio(command) => {
            Upstream::Stdio(StdioUpstream::new(&protected.name, command.clone(), config.clock.now()))
        }
    })
}
