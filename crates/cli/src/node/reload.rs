//! Another configuration while the node runs: open connections, streams and processes go on, the next request meets the
//! new settings. A file with anything wrong in it changes nothing.

use super::{demo, fetch, gateway, listen};
use crate::config::{self, Config};
use anyhow::Context;
use hallpass_gateway::Gateway;
use hallpass_resource::{KeySource, Revocations};
use hallpass_server::{Live, audit::Event};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::sync::Mutex;

/// How often the file is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How long the processes of a server that is no longer configured may finish.
const GRACE: Duration = Duration::from_secs(30);

/// What a running node is made of.
pub struct Running {
    /// The authorization server.
    pub live: Live,
    /// The routes in force.
    pub router: listen::Current,
    /// What is revoked, for every gateway that this node ever has.
    pub revocations: Arc<Revocations>,
    /// The keys that verify access tokens.
    pub keys: Arc<KeySource>,
    /// Tells listeners to stop.
    pub stop: listen::Stop,
    /// What the last good configuration made.
    pub in_force: Mutex<InForce>,
}

/// What the last good configuration made.
pub struct InForce {
    /// The configuration.
    pub config: Config,
    /// The gateway.
    pub gateway: Gateway,
    /// Where the demo server is, if there is one.
    pub demo: Option<String>,
}

impl Running {
    /// Reads the file again whenever the process is told to (SIGHUP), and when it has changed.
    pub async fn follow(self: Arc<Self>, file: PathBuf, watch: bool) {
        let mut told = listen::Told::new();
        let mut seen = tokio::fs::read(&file).await.ok();
        let mut changing = None;
        loop {
            let told = tokio::select! {
                () = told.again() => true,
                () = tokio::time::sleep(LOOK) => false,
            };
            let now = tokio::fs::read(&file).await.ok();
            // A file that is being written is read when it has stayed the same for a moment. One that is away for a
            // moment, as while an editor replaces it, is not an empty one.
            let settled = changing.as_ref() == Some(&now);
            changing = (watch && now.is_some() && now != seen).then(|| now.clone());
            if told || (changing.is_some() && settled) {
                (seen, changing) = (now, None);
                self.reload(&file).await;
            }
        }
    }

    async fn reload(&self, file: &Path) {
        let app = self.live.app();
        let refused = match config::read(file) {
            Err(problems) => problems.iter().map(ToString::to_string).collect(),
            Ok(config) => match self.apply(config).await {
                Ok(()) => {
                    app.audit.record_at(app.clock.now(), Event::configuration_reloaded());
                    return;
                }
                Err(error) => vec![format!("{error:#}")],
            },
        };
        for problem in &refused {
            tracing::error!("{}: {problem}", file.display());
        }
        let count = u64::try_from(refused.len()).unwrap_or(u64::MAX);
        app.audit.record_at(app.clock.now(), Event::configuration_refused(count));
    }

    /// Builds everything anew that depends on the file, and puts it in force at the end, when nothing can fail any more.
    async fn apply(&self, mut next: Config) -> anyhow::Result<()> {
        let mut in_force = self.in_force.lock().await;
        let (app, now) = (self.live.app(), &in_force.config);
        if next.settings.issuer.as_str() != now.settings.issuer.as_str() {
            anyhow::bail!(
                "public_url needs a restart: every key and every id is bound to it; nothing was changed"
            );
        }
        for key in needs_restart(now, &next) {
            tracing::warn!("{key} needs a restart: it stays as it was, everything else is in force");
        }
        next.settings.audit = now.settings.audit.clone();
        (next.listen, next.admin, next.state) = (now.listen.clone(), now.admin, now.state.clone());
        next.database = now.database.clone();
        let other_fetch = next.extra_ca != now.extra_ca || next.private_hosts != now.private_hosts;
        let fetch = if other_fetch { Some(fetch(&next, Arc::clone(&app.clock))?) } else { None };
        let app = app.with_settings(next.settings.clone(), fetch)?;
        let mut demo_url = in_force.demo.clone();
        if demo_url.is_none()
            && let Some((listener, router)) = demo(&next).await?
        {
            demo_url = Some(format!("http://{}/mcp", listener.local_addr().context("the demo server")?));
            tokio::spawn(listen::serve(listener, listen::Current::new(router), self.stop.clone()));
        }
        let config = gateway(&next, &app, (&self.revocations, &self.keys), demo_url.as_deref())?;
        let (gateway, left) = hallpass_gateway::restart(config, &in_force.gateway)?;
        let router = hallpass_server::router(Arc::clone(&app)).merge(gateway.router.clone());
        for weak in next.dangerous.iter().filter(|weak| !in_force.config.dangerous.contains(weak)) {
            tracing::warn!("{weak}");
        }
        self.live.replace(app);
        self.router.replace(router);
        *in_force = InForce { config: next, gateway, demo: demo_url };
        tokio::spawn(async move { left.stop(GRACE).await });
        Ok(())
    }
}

/// What differs and cannot change while the node runs.
fn needs_restart(now: &Config, next: &Config) -> Vec<&'static str> {
    let differs = [
        ("listen", now.listen != next.listen),
        ("[admin]", now.admin != next.admin),
        ("state", now.state != next.state),
        ("[database]", now.database != next.database),
        ("[audit]", now.settings.audit != next.settings.audit),
    ];
    differs.into_iter().filter_map(|(key, differs)| differs.then_some(key)).collect()
}
