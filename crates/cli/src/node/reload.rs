//! Another configuration while the node runs: open connections, streams and processes go on, the next request meets the
//! new settings. A file with anything wrong in it changes nothing. The same for other master keys.

use super::{demo, fetch, gateway, issuers::Issuers, listen, routes, traces::Traces};
use crate::{
    config::{self, Config, NamedFile},
    state::StateFolder,
};
use anyhow::Context;
use hallpass_core::secret::SecretString;
use hallpass_gateway::Gateway;
use hallpass_resource::{KeySource, Revocation, Revocations, Revoked};
use hallpass_server::{App, Live, OperatorClient, audit::Event, issuers::workload::Workload};
use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};
use tokio::sync::Mutex;

/// How often the file is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How long the processes of a server that is no longer configured may finish.
const GRACE: Duration = Duration::from_secs(30);

/// A configuration file and what it held before it was read: what is written while the node starts is a change too.
pub struct Followed {
    path: PathBuf,
    seen: Option<Vec<u8>>,
}

impl Followed {
    /// Call it before the file is read.
    pub fn look(path: PathBuf) -> Self {
        let seen = std::fs::read(&path).ok();
        Self { path, seen }
    }
}

/// The text of `master.key`, and whether it is its owner's alone.
pub type KeyFileText = (SecretString, bool);

/// What a running node is made of.
pub struct Running {
    /// Where the master keys are.
    pub state: StateFolder,
    /// The authorization server.
    pub live: Live,
    /// The routes in force.
    pub router: listen::Current,
    /// What is revoked, for every gateway that this node ever has.
    pub revocations: Arc<Revocations>,
    /// The keys that verify access tokens.
    pub keys: Arc<KeySource>,
    /// The other authorization servers that are in use.
    pub issuers: Issuers,
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
    /// Where its spans go.
    pub traces: Traces,
}

impl Running {
    /// Reads the configuration and the master keys again whenever the process is told to (SIGHUP), and when they have changed:
    /// the file, or one of the certificates that it names, which are renewed without it.
    pub async fn follow(
        self: Arc<Self>,
        (file, key_file): (Option<Followed>, Option<KeyFileText>),
        mut told: listen::Told,
        watch: bool,
    ) {
        let (file, seen) = file.map(|file| (file.path, file.seen)).unzip();
        let mut configuration = Changing::new(seen.flatten());
        let mut certificates = Changing::new(Some(self.certificates().await));
        let mut keys = Changing::new(key_file);
        let mut refused = false;
        loop {
            let told = tokio::select! {
                () = told.again() => true,
                () = tokio::time::sleep(LOOK) => false,
            };
            let now = read(file.as_deref()).await;
            if let Some(file) = &file {
                let named = self.certificates().await.iter().map(NamedFile::again).collect();
                let renewed = certificates.is_to_take(named, watch, false);
                if (configuration.is_to_take(now, watch, told) || renewed) && self.reload(file).await {
                    certificates = Changing::new(Some(self.certificates().await));
                }
            }
            let now = self.state.look_at_master_key();
            let told = told && (refused || keys.is_other(now.as_ref()));
            if keys.is_to_take(now, watch, told) {
                refused = !self.reload_master_keys().await;
            }
        }
    }

    /// The files of certificates that are in force.
    async fn certificates(&self) -> Vec<NamedFile> {
        self.in_force.lock().await.config.certificates.clone()
    }

    /// Whether what is in the file is in force now.
    async fn reload(&self, file: &Path) -> bool {
        let app = self.live.app();
        let refused = match config::read(file) {
            Err(problems) => problems.iter().map(ToString::to_string).collect(),
            Ok(config) => match self.apply(config).await {
                Ok(()) => {
                    app.audit.record_at(app.clock.now(), Event::configuration_reloaded());
                    return true;
                }
                Err(error) => vec![format!("{error:#}")],
            },
        };
        for problem in &refused {
            tracing::error!("{}: {problem}", file.display());
        }
        let count = u64::try_from(refused.len()).unwrap_or(u64::MAX);
        app.audit.record_at(app.clock.now(), Event::configuration_refused(count));
        false
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
        if let Some(fetch) = &fetch {
            self.issuers.ask_with(fetch.clone());
        }
        let app = app.with_settings(next.settings.clone(), fetch)?;
        let mut demo_url = in_force.demo.clone();
        if demo_url.is_none()
            && let Some((listener, router)) = demo(&next).await?
        {
            demo_url = Some(format!("http://{}/mcp", listener.local_addr().context("the demo server")?));
            tokio::spawn(listen::serve(listener, listen::Current::new(router), self.stop.clone()));
        }
        let shared = (&self.revocations, &self.keys, &self.issuers);
        let traces = Traces::start(next.traces.as_ref(), &app);
        let config = gateway(&next, &app, shared, (demo_url.as_deref(), &traces))?;
        let (gateway, left) = hallpass_gateway::restart(config, &in_force.gateway)?;
        for weak in next.dangerous.iter().filter(|weak| !in_force.config.dangerous.contains(weak)) {
            tracing::warn!("{weak}");
        }
        for absent in next.absent.iter().filter(|absent| !in_force.config.absent.contains(absent)) {
            tracing::warn!("{absent}");
        }
        let machines = machines_changed(&in_force.config, &next, &app);
        self.put_in_force(app, &gateway);
        self.issuers.keep(&next.authorization_servers);
        // When nothing can be issued to them any more.
        self.revocations.add(machines);
        let before =
            std::mem::replace(&mut *in_force, InForce { config: next, gateway, demo: demo_url, traces });
        tokio::spawn(async move {
            left.stop(GRACE).await;
            before.traces.stop().await;
        });
        Ok(())
    }

    fn put_in_force(&self, app: Arc<App>, gateway: &Gateway) {
        let routes = routes(&app, gateway);
        self.live.replace(app);
        self.router.replace(routes);
    }

    /// Whether the master keys of the file are in force now.
    async fn reload_master_keys(&self) -> bool {
        let (audit, now) = {
            let app = self.live.app();
            (Arc::clone(&app.audit), app.clock.now())
        };
        match self.apply_master_keys().await {
            Ok(app) => {
                let count = u64::try_from(app.keys.numbers().count()).unwrap_or(u64::MAX);
                let number = app.keys.current().to_string();
                audit.record_at(now, Event::master_keys_taken(&number, count));
                true
            }
            Err(error) => {
                tracing::error!("master.key: {error:#}");
                audit.record_at(now, Event::master_keys_refused());
                false
            }
        }
    }

    /// The same server and gateway with other keys. What is under way keeps those that it began with.
    async fn apply_master_keys(&self) -> anyhow::Result<Arc<App>> {
        let masters = self.state.key_file()?.master_keys();
        self.state.sync_master_key()?;
        let mut in_force = self.in_force.lock().await;
        let app = self.live.app().with_master_keys(&masters).await?;
        let shared = (&self.revocations, &self.keys, &self.issuers);
        let at = (in_force.demo.as_deref(), &in_force.traces);
        let config = gateway(&in_force.config, &app, shared, at)?;
        let (gateway, left) = hallpass_gateway::restart(config, &in_force.gateway)?;
        self.put_in_force(Arc::clone(&app), &gateway);
        in_force.gateway = gateway;
        tokio::spawn(async move { left.stop(GRACE).await });
        Ok(app)
    }
}

/// Machines that are no longer in the file lose their tokens at once, as those that are removed by command do; one that is
/// back may use what it gets again. No grant is behind such a token that could be revoked.
fn machines_changed(now: &Config, next: &Config, app: &App) -> Vec<Revocation> {
    let machines = |config: &Config| -> BTreeSet<String> {
        let all = config.settings.clients.iter().filter(|client| client.machine().is_some());
        let workloads = config.settings.workloads().map(Workload::id);
        all.map(OperatorClient::id).chain(workloads).map(str::to_owned).collect()
    };
    let (before, after) = (machines(now), machines(next));
    let gone = before.difference(&after).map(|id| Revoked::Client(id.as_str().into()));
    let wanted = |id: &&String| !app.blocks.client(id);
    let back = after.difference(&before).filter(wanted).map(|id| Revoked::ClientAgain(id.as_str().into()));
    // With the longer life of the two: tokens from before were made under the old one.
    let at = app.clock.now();
    let until = now.settings.tokens_until(at).max(next.settings.tokens_until(at));
    gone.chain(back).map(|what| Revocation { what, until }).collect()
}

async fn read(file: Option<&Path>) -> Option<Vec<u8>> {
    tokio::fs::read(file?).await.ok()
}

/// Something that is looked at again and again, and taken when it has changed and then stayed the same for a moment: what
/// is being written is not taken. What is away for a moment, as while an editor replaces it, is no change.
struct Changing<T> {
    seen: Option<T>,
    changing: Option<T>,
}

impl<T: PartialEq> Changing<T> {
    const fn new(seen: Option<T>) -> Self {
        Self { seen, changing: None }
    }

    fn is_other(&self, now: Option<&T>) -> bool {
        now != self.seen.as_ref()
    }

    /// Looks: whether to take it now, because somebody said so or because it has settled.
    fn is_to_take(&mut self, now: Option<T>, watch: bool, told: bool) -> bool {
        let changed = watch && now.is_some() && now != self.seen;
        if told || (changed && now == self.changing) {
            (self.seen, self.changing) = (now, None);
            return true;
        }
        self.changing = if changed { now } else { None };
        false
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_changed_is_taken_when_it_stays_the_same() {
        let mut file = Changing::new(Some("a"));
        let mut looks = |now: &[Option<&'static str>]| {
            now.iter().map(|now| file.is_to_take(*now, true, false)).collect::<Vec<_>>()
        };
        assert_eq!(looks(&[Some("a"), Some("b"), Some("b"), Some("b")]), [false, false, true, false]);
        assert_eq!(looks(&[Some("c"), Some("cd"), Some("cde"), Some("cde")]), [false, false, false, true]);
        assert_eq!(looks(&[None, None, Some("cde")]), [false; 3], "away for a moment");
        assert_eq!(looks(&[Some("f"), Some("cde"), Some("f"), Some("f")]), [false, false, false, true]);
    }

    #[tokio::test]
    async fn what_is_written_while_the_node_starts_is_a_change() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hallpass.toml");
        std::fs::write(&path, "a").unwrap();
        let Followed { path, seen } = Followed::look(path);
        std::fs::write(&path, "b").unwrap();
        let mut file = Changing::new(seen);
        assert!(!file.is_to_take(read(Some(&path)).await, true, false));
        assert!(file.is_to_take(read(Some(&path)).await, true, false));
    }

    #[test]
    fn without_watching_only_a_word_counts() {
        let mut file = Changing::new(Some("a"));
        assert!(!file.is_to_take(Some("b"), false, false) && !file.is_to_take(Some("b"), false, false));
        assert!(file.is_to_take(Some("b"), false, true) && !file.is_other(Some(&"b")));
        assert!(file.is_to_take(Some("b"), false, true), "also when nothing changed");
    }
}
