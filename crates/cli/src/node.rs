//! One process: authorization server and gateway on one listener, the feed between them.

mod connections;
mod framing;
mod host;
mod issuers;
mod listen;
mod patient;
mod reload;
pub mod store;
mod traces;
mod upstream_tokens;
mod version;

pub use listen::asked_to_stop;
pub use reload::Followed;

use crate::{
    config::{self, Behind, Config},
    state::StateFolder,
};
use anyhow::{Context, bail};
use axum::{Router, extract::ConnectInfo};
use hallpass_core::{
    entropy::{IdEntropy, SystemEntropy},
    id::PersonId,
    jwt::caller_assertion::{Caller, Terms},
    secret::SecretString,
    time::{Clock, SystemClock},
};
use hallpass_fetch::Fetch;
use hallpass_gateway::{
    BrowserPage, CallLog, CallOutcome, CallRecord, CallerAddress, Gateway, GatewayConfig, HttpServer,
    KeyRingSealer, ProtectedServer, SignsCallers, Upstream,
};
use hallpass_resource::{ANONYMOUS, BoundTokens, KeySource, Proofs, Revocation, Revocations, Revoked};
use hallpass_server::{
    App, Cx, Live, Parts, StartError, SteadyClock,
    audit::{self, Event},
    caller_address,
    feed::Change,
};
use hallpass_store::{ErrorKind, StoreError};
use issuers::Issuers;
use reload::{InForce, KeyFileText, Running};
use std::{
    error::Error as _,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};
use tokio::{net::TcpListener, sync::Mutex};
use traces::{Exporter, Traces};

/// How long open requests and streams may go on after a stop.
const DRAIN: Duration = Duration::from_secs(5);

/// A node that is ready to serve.
pub struct Node {
    running: Arc<Running>,
    listeners: Vec<TcpListener>,
    demo: Option<(TcpListener, Router)>,
    admin: Option<TcpListener>,
    /// What `master.key` held before it was read, until it is followed.
    key_file: Option<KeyFileText>,
}

/// Puts a node together. Everything that can fail fails here, before anything is announced.
pub async fn start(config: Config) -> anyhow::Result<Node> {
    for weak in &config.dangerous {
        tracing::warn!("{weak}");
    }
    for absent in &config.absent {
        tracing::warn!("{absent}");
    }
    let listeners = listen::bind(&config.listen).await?;
    let admin = listen::bind(config.admin.as_slice()).await?.pop();
    let state = StateFolder::open(&config.state)?;
    let had_key = state.has_master_key();
    let key_file = state.look_at_master_key();
    let masters = state.master_keys()?;
    let key_file = key_file.or_else(|| state.look_at_master_key());
    let store = store::open(&config, &state, true).await?;
    let clock: Arc<dyn Clock> = Arc::new(SteadyClock::new(Arc::new(SystemClock)));
    let fetch = fetch(&config, Arc::clone(&clock))?;
    let issuers = Issuers::new(fetch.clone());
    let parts = Parts {
        settings: config.settings.clone(),
        masters,
        store,
        clock,
        entropy: Arc::new(SystemEntropy),
        fetch,
    };
    let app = match App::start(parts).await {
        // A key that was made a moment ago belongs to nothing: left here, it would be in the way of the right one.
        Err(StartError::WrongMasterKey) if !had_key => {
            state.forget_made_key()?;
            bail!(
                "the database belongs to a master.key that is not here: copy it from another node, or from your backup, to \
                 {}, with mode 0600",
                state.key_path()
            );
        }
        started => started.map_err(|error| start_words(error, &state))?,
    };
    let demo = demo(&config).await?;
    let demo_url = demo
        .as_ref()
        .and_then(|(listener, _)| listener.local_addr().ok())
        .map(|at| format!("http://{at}/mcp"));
    let revocations = Arc::new(Revocations::new());
    let keys = Arc::new(KeySource::fixed(app.tokens.current().verifying.clone()));
    let traces = Traces::start(config.traces.as_ref(), &app);
    let gateway_config =
        gateway(&config, &app, (&revocations, &keys, &issuers), (demo_url.as_deref(), &traces))?;
    let gateway = hallpass_gateway::start(gateway_config)?;
    let routes = routes(&app, &gateway);
    let running = Running {
        state,
        live: Live::new(app),
        router: listen::Current::new(routes),
        revocations,
        keys,
        issuers,
        stop: listen::Stop::new(),
        in_force: Mutex::new(InForce { config, gateway, demo: demo_url, traces }),
    };
    Ok(Node { running: Arc::new(running), listeners, demo, admin, key_file })
}

/// Ours, and those of the gateway.
fn routes(app: &Arc<App>, gateway: &Gateway) -> listen::Routes {
    let router = hallpass_server::router(Arc::clone(app)).merge(gateway.router.clone());
    listen::Routes { router, calls: gateway.calls.clone() }
}

fn fetch(config: &Config, clock: Arc<dyn Clock>) -> anyhow::Result<Fetch> {
    Ok(Fetch::new(hallpass_fetch::Settings {
        extra_ca: config.extra_ca.clone(),
        private_hosts: config.private_hosts.clone(),
        clock,
        ..hallpass_fetch::Settings::default()
    })?)
}

impl Node {
    /// URLs to give to clients.
    pub fn mcp_urls(&self) -> Vec<String> {
        let app = self.running.live.app();
        app.settings.resources.iter().map(|resource| resource.uri.as_str().to_owned()).collect()
    }

    /// A one-time link for the first account, if there is none yet.
    pub async fn setup_link(&self) -> anyhow::Result<Option<SecretString>> {
        let link = hallpass_server::setup_link(&self.running.live.app()).await;
        link.map_err(|error| anyhow::anyhow!("no link for the first account can be made: {}", words(&error)))
    }

    /// Whether there is no account yet.
    pub async fn is_empty(&self) -> anyhow::Result<bool> {
        let there = self.running.live.app().store.person_exists().await;
        Ok(!there.map_err(|error| anyhow::anyhow!("the accounts cannot be read: {}", words(&error)))?)
    }

    /// Reads its configuration again from this file, and its master keys, when told to and, with `watch`, when they change.
    /// From this call on a SIGHUP is heard. Without a configuration file it ends the process, as it does without us: its
    /// terminal is gone.
    pub fn follow(&mut self, file: Option<Followed>, watch: bool) {
        let told = if file.is_some() { listen::Told::new() } else { listen::Told::never() };
        let seen = (file, self.key_file.take());
        tokio::spawn(Arc::clone(&self.running).follow(seen, told, watch));
    }

    /// Serves until Ctrl-C or SIGTERM, then drains.
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let asked = asked_to_stop();
        let running = self.running;
        let (app, stop) = (running.live.app(), running.stop.clone());
        let (clock, revocations) = (Arc::clone(&app.clock), Arc::clone(&running.revocations));
        tokio::spawn(hallpass_server::follow(Arc::clone(&app), move |change| {
            tell(&revocations, change, &*clock);
        }));
        tokio::spawn(hallpass_server::sweep_forever(running.live.clone()));
        tokio::spawn(hallpass_server::ask_again_forever(running.live.clone()));
        tokio::spawn(store::compare_clocks(running.live.clone()));
        tokio::spawn(audit::remember_forever(running.live.clone()));
        let keys = Arc::clone(&running.keys);
        tokio::spawn(hallpass_server::follow_keys(running.live.clone(), move |set| keys.replace(set)));
        let mut serving = Vec::new();
        for listener in self.listeners {
            serving.push(tokio::spawn(listen::serve(listener, running.router.clone(), stop.clone())));
        }
        if let Some((listener, router)) = self.demo {
            let router = listen::Current::new(router);
            serving.push(tokio::spawn(listen::serve(listener, router, stop.clone())));
        }
        let admin_stop = listen::Stop::new();
        if let Some(listener) = self.admin {
            let router = listen::Current::new(hallpass_server::admin_router(running.live.clone()));
            tokio::spawn(listen::serve(listener, router, admin_stop.clone()));
        }
        asked.await;
        app.metrics.drain();
        app.audit.record_at(app.clock.now(), Event::stopped());
        stop.stop();
        let drained = tokio::time::timeout(DRAIN, async {
            for one in serving {
                let _ = one.await;
            }
        });
        let processes = running.in_force.lock().await.gateway.processes.clone();
        let (drained, ()) = tokio::join!(drained, processes.stop(DRAIN));
        running.in_force.lock().await.traces.stop().await;
        if drained.is_err() {
            tracing::info!("open streams were cut");
        }
        app.close().await?;
        admin_stop.stop();
        Ok(ExitCode::SUCCESS)
    }
}

async fn demo(config: &Config) -> anyhow::Result<Option<(TcpListener, Router)>> {
    if !config.servers.iter().any(|server| server.behind.is_demo()) {
        return Ok(None);
    }
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.context("no free port for the demo server")?;
    Ok(Some((listener, hallpass_gateway::demo::demo_router())))
}

fn gateway(
    config: &Config,
    app: &Arc<App>,
    (revocations, keys, issuers): (&Arc<Revocations>, &Arc<KeySource>, &Issuers),
    (demo_url, traces): (Option<&str>, &Traces),
) -> anyhow::Result<GatewayConfig> {
    let issuer = config.settings.issuer.as_str().to_owned();
    let mut servers = Vec::new();
    for (server, resource) in config.servers.iter().zip(&config.settings.resources) {
        let upstream = match (&server.behind, demo_url) {
            (Behind::Url(url), _) => {
                let tls = server.upstream_tls.with_extra(&config.extra_ca)?;
                Upstream::Http(HttpServer { url: url.clone(), tls })
            }
            (Behind::Command { command, pass }, _) => {
                Upstream::Stdio(config::with_environment(command, pass, std::env::vars_os()))
            }
            (Behind::Demo, Some(url)) => url.into(),
            (Behind::Demo, None) => bail!("the server {} has no upstream", server.name),
        };
        let (headers, body) = hallpass_server::page_of_server(&config.settings, resource, server.trust.own);
        servers.push(ProtectedServer {
            name: server.name.clone(),
            path: server.path.clone(),
            resource: resource.uri.clone(),
            issuer: issuer.clone(),
            own_tokens: server.trust.own,
            issuers: issuers.of(server, resource.uri.as_str())?,
            authorization_servers: server
                .trust
                .order
                .iter()
                .map(|named| named.as_ref().map_or_else(|| issuer.clone(), |named| named.as_str().to_owned()))
                .collect(),
            scopes: resource.usual(),
            required_scope: server.required_scope.clone(),
            upstream,
            title: Some(resource.title.clone()),
            policy: server.policy.clone(),
            bound_tokens: bound_tokens(config.settings.proofs.offered, resource.bound_tokens_only),
            callers: server.callers,
            caller_audience: server.caller_audience.clone(),
            recorded: server.recorded.clone(),
            upstream_credential: match (&server.connection, &server.upstream_token) {
                (Some(name), _) => Some(connections::of(app, name)),
                (None, Some(settings)) => Some(upstream_tokens::of(app, settings)),
                (None, None) => server.upstream_credential.clone(),
            },
            page: Some(BrowserPage { headers, body }),
        });
    }
    Ok(GatewayConfig {
        public_origin: config.settings.issuer.origin().to_owned(),
        servers,
        keys: Arc::clone(keys),
        revocations: Arc::clone(revocations),
        sessions: Arc::new(KeyRingSealer::new(Arc::clone(&app.keys), Arc::clone(&app.entropy))),
        proofs: Proofs {
            seen: Arc::clone(&app.proofs),
            nonces: config.settings.proofs.nonces.then(|| Arc::clone(&app.keys)),
        },
        clock: Arc::clone(&app.clock),
        local: config.settings.is_local(),
        allowed_origins: Vec::new(),
        reserved_paths: hallpass_server::own_paths()
            .filter(|path| *path != "/")
            .map(|path| format!("{}{path}", config.settings.issuer.path()))
            .collect(),
        limits: config.gateway,
        calls: Some(Arc::new(Calls { app: Arc::clone(app), traces: traces.exporter() })),
        address: Some(address_by(app)),
        // Names requests and traces, and nothing else.
        entropy: Arc::new(IdEntropy),
        tracing: config.traces.as_ref().map(|settings| settings.tracing),
        challenge_styles: config.challenge_styles.clone(),
        caller_signer: Some(Arc::new(SignsForUs(Arc::clone(app)))),
    })
}

const fn bound_tokens(offered: bool, only: bool) -> BoundTokens {
    match (offered, only) {
        (_, true) => BoundTokens::Required,
        (true, false) => BoundTokens::Offered,
        (false, false) => BoundTokens::NotListed,
    }
}

/// With the key of the moment.
struct SignsForUs(Arc<App>);

impl SignsCallers for SignsForUs {
    fn sign(&self, caller: &Caller<'_>, terms: &Terms<'_>) -> Option<String> {
        let signed = self.0.tokens.current().callers.sign(caller, terms);
        signed.ok().map(|assertion| assertion.expose().to_owned())
    }
}

/// From the gateway's calls to the numbers and, where the operator wants it, to the audit log and a collector of traces.
struct Calls {
    app: Arc<App>,
    traces: Option<Arc<Exporter>>,
}

impl CallLog for Calls {
    fn call(&self, record: &CallRecord<'_>) {
        if let Some(traces) = &self.traces {
            traces.put(record);
        }
        let call = audit::Call {
            server: record.server,
            person: record.person.filter(|_| record.issuer.is_none()).and_then(PersonId::parse),
            foreign: record.issuer.map(|issuer| audit::Foreign { issuer, person: record.person }),
            client: record.client,
            actors: audit::Actors(record.actors),
            grant: record.grant,
            method: record.method,
            target: record.target,
            arguments: record.arguments,
            rule: record.rule,
            took: u64::try_from(record.took.as_millis()).unwrap_or(u64::MAX),
        };
        let now = self.app.clock.now();
        let address = record.address.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
        let cx = Cx { now, address, request: record.request };
        if let Some(reason) = record.let_through {
            self.app.audit.record(cx, Event::call_let_through(&call, reason));
        }
        let event = match record.outcome {
            CallOutcome::Answered(status) if record.client == Some(ANONYMOUS) => {
                Event::call_open(&call, status.as_u16())
            }
            CallOutcome::Answered(status) => Event::call_answered(&call, status.as_u16()),
            CallOutcome::Refused(reason) => Event::call_refused(&call, reason),
        };
        self.app.audit.record(cx, event);
    }
}

/// Where a call comes from: the peer, or what a trusted proxy says.
fn address_by(app: &Arc<App>) -> CallerAddress {
    let app = Arc::clone(app);
    Arc::new(move |parts| {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>()?.0.ip();
        Some(caller_address(peer, &parts.headers, &app.settings))
    })
}

/// From the store's feed to the gateway's memory.
fn tell(revocations: &Revocations, change: Change, clock: &dyn Clock) {
    let translate = |entry: hallpass_store::Revocation| {
        let what = match entry.what {
            hallpass_store::Revoked::Grant(id) => Revoked::Grant(id),
            hallpass_store::Revoked::Person { person, epoch } => {
                Revoked::Person { subject: person.to_string().into(), epoch }
            }
            hallpass_store::Revoked::Client(id) => Revoked::Client(id.into()),
            hallpass_store::Revoked::ClientAgain(id) => Revoked::ClientAgain(id.into()),
            // Grants whose codes went there were revoked one by one.
            hallpass_store::Revoked::Receiver(_) => return None,
        };
        Some(Revocation { what, until: entry.until })
    };
    match change {
        Change::Loaded(entries, counter) => {
            revocations.replace_all(entries.into_iter().filter_map(translate), counter);
        }
        Change::Added(entries, counter) => {
            revocations.apply(entries.into_iter().filter_map(translate), counter, clock.now());
        }
        Change::Failing => {}
    }
}

/// What happened, and what to do where SQLite only says what happened.
fn words(error: &StoreError) -> String {
    let reason = error.source().map_or_else(|| error.to_string(), ToString::to_string);
    let fix = if reason.ends_with("disk is full") { ": make room" } else { "" };
    format!("{reason}{fix}")
}

/// A sentence for the operator.
pub fn store_words(error: &StoreError, state: &StateFolder) -> anyhow::Error {
    let path = state.database();
    let reason = words(error);
    match error.kind() {
        ErrorKind::Corrupt => anyhow::anyhow!("the database {} cannot be used: {reason}", path.display()),
        ErrorKind::Unavailable | ErrorKind::Busy | ErrorKind::Unknown | ErrorKind::Internal => {
            anyhow::anyhow!("the database {} cannot be opened: {reason}", path.display())
        }
    }
}

fn start_words(error: StartError, state: &StateFolder) -> anyhow::Error {
    if let StartError::Store(error) = &error { store_words(error, state) } else { error.into() }
}
