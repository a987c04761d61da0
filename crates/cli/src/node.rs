//! One process: authorization server and gateway on one listener, the feed between them.

mod listen;

pub use listen::asked_to_stop;

use crate::{
    config::{self, Behind, Config},
    state::StateFolder,
};
use anyhow::{Context, bail};
use axum::Router;
use hallpass_core::{
    entropy::SystemEntropy,
    secret::SecretString,
    time::{Clock, SystemClock},
};
use hallpass_fetch::Fetch;
use hallpass_gateway::{Gateway, GatewayConfig, KeyRingSealer, Limits, Processes, ProtectedServer, Upstream};
use hallpass_resource::{KeySource, Revocation, Revocations, Revoked};
use hallpass_server::{App, Parts, StartError, audit::Event, feed::Change};
use hallpass_store::{
    ErrorKind, Store, StoreError,
    sqlite::{SqliteSettings, SqliteStore},
};
use std::{error::Error as _, process::ExitCode, sync::Arc, time::Duration};
use tokio::net::TcpListener;

/// How long open requests and streams may go on after a stop.
const DRAIN: Duration = Duration::from_secs(5);

/// A node that is ready to serve.
pub struct Node {
    app: Arc<App>,
    router: Router,
    listeners: Vec<TcpListener>,
    demo: Option<(TcpListener, Router)>,
    revocations: Arc<Revocations>,
    processes: Processes,
}

/// Puts a node together. Everything that can fail fails here, before anything is announced.
pub async fn start(config: Config) -> anyhow::Result<Node> {
    for weak in &config.dangerous {
        tracing::warn!("{weak}");
    }
    let listeners = listen::bind(&config.listen).await?;
    let state = StateFolder::open(&config.state)?;
    let masters = state.master_keys()?;
    let store = SqliteStore::open(&state.database(), SqliteSettings::default())
        .map_err(|error| store_words(&error, &state))?;
    let store: Arc<dyn Store> = Arc::new(store);
    let mut extra_ca = Vec::new();
    for path in &config.extra_ca {
        let pem = std::fs::read(path)
            .with_context(|| format!("[fetch] extra_ca: {} cannot be read", path.display()))?;
        extra_ca.push(pem);
    }
    let fetch = Fetch::new(hallpass_fetch::Settings {
        extra_ca,
        private_hosts: config.private_hosts.clone(),
        ..hallpass_fetch::Settings::default()
    })?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let parts = Parts {
        settings: config.settings.clone(),
        masters,
        store,
        clock,
        entropy: Arc::new(SystemEntropy),
        fetch,
    };
    let app = App::start(parts).await.map_err(|error| start_words(error, &state))?;
    let demo = demo(&config).await?;
    let demo_url = demo
        .as_ref()
        .and_then(|(listener, _)| listener.local_addr().ok())
        .map(|at| format!("http://{at}/mcp"));
    let revocations = Arc::new(Revocations::new());
    let gateway = gateway(&config, &app, &revocations, demo_url.as_deref())?;
    let router = hallpass_server::router(Arc::clone(&app)).merge(gateway.router);
    Ok(Node { app, router, listeners, demo, revocations, processes: gateway.processes })
}

impl Node {
    /// URLs to give to clients.
    pub fn mcp_urls(&self) -> Vec<String> {
        self.app.settings.resources.iter().map(|resource| resource.uri.as_str().to_owned()).collect()
    }

    /// A one-time link for the first account, if there is none yet.
    pub async fn setup_link(&self) -> anyhow::Result<Option<SecretString>> {
        Ok(hallpass_server::setup_link(&self.app).await?)
    }

    /// Serves until Ctrl-C or SIGTERM, then drains.
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let stop = listen::Stop::new();
        let clock = Arc::clone(&self.app.clock);
        let revocations = self.revocations;
        let follower = Arc::clone(&clock);
        tokio::spawn(hallpass_server::follow(Arc::clone(&self.app), move |change| {
            tell(&revocations, change, &*follower);
        }));
        tokio::spawn(hallpass_server::sweep_forever(Arc::clone(&self.app)));
        let mut serving = Vec::new();
        for listener in self.listeners {
            serving.push(tokio::spawn(listen::serve(listener, self.router.clone(), stop.clone())));
        }
        if let Some((listener, router)) = self.demo {
            serving.push(tokio::spawn(listen::serve(listener, router, stop.clone())));
        }
        asked_to_stop().await;
        self.app.audit.record_at(clock.now(), Event::stopped());
        stop.stop();
        let drained = tokio::time::timeout(DRAIN, async {
            for one in serving {
                let _ = one.await;
            }
        });
        let (drained, ()) = tokio::join!(drained, self.processes.stop(DRAIN));
        if drained.is_err() {
            tracing::info!("open streams were cut");
        }
        self.app.store.close().await?;
        let audit = Arc::clone(&self.app.audit);
        tokio::task::spawn_blocking(move || audit.close(clock.now())).await?;
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
    app: &App,
    revocations: &Arc<Revocations>,
    demo_url: Option<&str>,
) -> anyhow::Result<Gateway> {
    let issuer = config.settings.issuer.as_str().to_owned();
    let mut servers = Vec::new();
    for (server, resource) in config.servers.iter().zip(&config.settings.resources) {
        let upstream = match (&server.behind, demo_url) {
            (Behind::Url(url), _) => Upstream::Http(url.clone()),
            (Behind::Command { command, pass }, _) => {
                Upstream::Stdio(config::with_environment(command, pass, std::env::vars_os()))
            }
            (Behind::Demo, Some(url)) => Upstream::Http(url.to_owned()),
            (Behind::Demo, None) => bail!("the server {} has no upstream", server.name),
        };
        servers.push(ProtectedServer {
            name: server.name.clone(),
            path: server.path.clone(),
            resource: resource.uri.clone(),
            issuer: issuer.clone(),
            authorization_servers: vec![issuer.clone()],
            scopes: resource.usual(),
            required_scope: server.required_scope.clone(),
            upstream,
            title: Some(resource.title.clone()),
            policy: server.policy.clone(),
        });
    }
    let config = GatewayConfig {
        public_origin: config.settings.issuer.origin().to_owned(),
        servers,
        keys: Arc::new(KeySource::fixed(app.tokens.verifying.clone())),
        revocations: Arc::clone(revocations),
        sessions: Arc::new(KeyRingSealer::new(Arc::clone(&app.keys), Arc::clone(&app.entropy))),
        clock: Arc::clone(&app.clock),
        local: config.settings.is_local(),
        allowed_origins: Vec::new(),
        reserved_paths: hallpass_server::own_paths()
            .filter(|path| *path != "/")
            .map(|path| format!("{}{path}", config.settings.issuer.path()))
            .collect(),
        limits: Limits::default(),
    };
    Ok(hallpass_gateway::start(config)?)
}

/// From the store's feed to the gateway's memory.
fn tell(revocations: &Revocations, change: Change, clock: &dyn Clock) {
    let translate = |entry: hallpass_store::Revocation| Revocation {
        what: match entry.what {
            hallpass_store::Revoked::Grant(id) => Revoked::Grant(id),
            hallpass_store::Revoked::Person { person, epoch } => {
                Revoked::Person { subject: person.to_string().into(), epoch }
            }
            hallpass_store::Revoked::Client(id) => Revoked::Client(id.into()),
        },
        until: entry.until,
    };
    match change {
        Change::Loaded(entries, counter) => {
            revocations.replace_all(entries.into_iter().map(translate), counter);
        }
        Change::Added(entries, counter) => {
            revocations.apply(entries.into_iter().map(translate), counter, clock.now());
        }
        Change::Failing => {}
    }
}

/// A sentence for the operator.
pub fn store_words(error: &StoreError, state: &StateFolder) -> anyhow::Error {
    let path = state.database();
    let reason = error.source().map_or_else(|| error.to_string(), ToString::to_string);
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
