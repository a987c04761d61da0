//! What is measured, in which order: in each round the floor, then ours, so that noise of the machine hits both.

use crate::{
    CONNECTIONS,
    exchange::{self, Connection},
    floor::{Bare, Floor},
    load::{self, Sample, Target, Work},
    nodes,
    options::{Options, Part},
    peer::{Keeps, OfPeer, Peer},
    process::Running,
    report::{Goal, Report, Row},
    start,
    subject::{Account, METADATA, Setting, Subject},
    upstream,
    work::{self, Redemptions, Refreshes, Same},
};
use anyhow::{Context, Result, bail};
use std::{fs, net::SocketAddr, path::PathBuf, sync::Arc};

pub const ROUNDS: usize = 2;
/// The same where a commit on disk is compared with a commit on disk: a disk is busier in one second than in the next.
const ROUNDS_ON_DISK: usize = 6;
/// What redemption and refresh have to reach: of the durable floor, and times the peer.
const OF_FLOOR: f64 = 0.65;
const TIMES_PEER: f64 = 12.0;
/// The p99 of a refresh, in microseconds.
const SLOWEST: u32 = 10_000;
/// More codes a second than the peer redeems.
const CODES: u64 = 3000;
/// Grants that each connection refreshes in turn: together as many as the floor has rows.
pub const GRANTS: usize = crate::floor::ROWS / CONNECTIONS;

/// Measures what is asked for and prints the table.
pub fn run(options: &Options) -> Result<()> {
    let folder = Scratch::new()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut report = Report::new(options)?;
    runtime.block_on(all(options, &folder, &mut report))?;
    println!("\n{}", report.table());
    if options.write {
        report.write()?;
    }
    Ok(())
}

async fn all(options: &Options, folder: &Scratch, report: &mut Report) -> Result<()> {
    let upstream = upstream::start().await?;
    let setting = Setting::new(folder.0.join("state"), upstream, options.log.clone())?;
    let subject = Subject::start(setting.clone())?;
    let account = Arc::new(subject.account().await?);
    let bench = Bench { options, subject, account, folder, upstream };
    if options.wants(Part::Metadata) {
        bench.metadata(report).await?;
    }
    if options.wants(Part::Redemption) {
        bench.redemptions(report).await?;
    }
    if options.wants(Part::Refresh) {
        bench.refreshes(report).await?;
    }
    if options.wants(Part::Gateway) {
        bench.gateway(report).await?;
    }
    if options.wants(Part::Introspection) {
        bench.introspections(report).await?;
    }
    if options.wants(Part::Flood) {
        bench.flood(report).await?;
    }
    if report.has_rows() {
        report.resident("a to g. after all of that load", bench.subject.process.resident_kib()?);
    }
    if options.wants(Part::OneConnection) {
        bench.one_connection(report).await?;
    }
    if options.wants(Part::NeverSeen) {
        bench.never_seen(report).await?;
    }
    if options.wants(Part::LongList) {
        bench.long_list(report).await?;
    }
    if options.wants(Part::Machines) {
        bench.machines(report).await?;
    }
    if options.wants(Part::Bound) {
        bench.bound(report).await?;
    }
    if options.wants(Part::Streams) {
        bench.streams(report).await?;
    }
    if options.wants(Part::Middleware) {
        bench.middleware(report).await?;
    }
    if options.wants(Part::Client) {
        bench.client(report).await?;
    }
    if options.wants(Part::Million) {
        bench.million(report).await?;
    }
    bench.subject.process.stop()?;
    if options.wants(Part::Start) {
        say("start and rest");
        report.starts(&start::measure(&setting)?);
    }
    if options.wants(Part::Nodes) {
        nodes::measure(options, &folder.0, report).await?;
    }
    Ok(())
}

pub struct Bench<'a> {
    /// As typed.
    pub options: &'a Options,
    pub subject: Subject,
    pub account: Arc<Account>,
    pub folder: &'a Scratch,
    /// Port of the upstream.
    pub upstream: u16,
}

impl Bench<'_> {
    async fn metadata(&self, report: &mut Report) -> Result<()> {
        let mut connection = Connection::open(self.address()).await?;
        let size = connection.ask(&exchange::get(&self.host(), METADATA, "")).await?.body.len();
        let floor = Bare::start(Floor::Http(size))?;
        let (mut bare, mut own) = (Rounds::new(), Rounds::new());
        for _ in 0..ROUNDS {
            bare.run(self, &floor.process, floor.address, same(&Same::get(&floor.host(), "/document")))
                .await?;
            own.run(self, &self.subject.process, self.address(), same(&Same::get(&self.host(), METADATA)))
                .await?;
        }
        report.floor(bare.row("bare axum handler, fixed JSON"));
        report.own(&own.row("a. metadata"), &[Goal::PerCoreSecond(0.6)]);
        Ok(())
    }

    async fn redemptions(&self, report: &mut Report) -> Result<()> {
        self.signing(report).await?;
        let floor = Bare::start(Floor::Durable(&self.folder.0.join("floor")))?;
        let seconds = u64::try_from(ROUNDS)? * (self.options.time.as_secs() + 1);
        let mut peers = Peers::start(self, &format!("code:{}", CODES * seconds))?;
        let peers_works: Vec<OfPeer> = peers.all.iter().map(Peer::redemptions).collect::<Result<_>>()?;
        let (mut bare, mut own) = (Rounds::new(), Rounds::new());
        for round in 0..ROUNDS_ON_DISK {
            bare.run(self, &floor.process, floor.address, same(&Same::form(&floor.host()))).await?;
            let works = each(|| Redemptions(Arc::clone(&self.account)));
            own.run(self, &self.subject.process, self.address(), works).await?;
            for (at, works) in peers_works.iter().enumerate().filter(|_| round < ROUNDS) {
                peers.run(self, at, each(|| works.clone())).await?;
            }
        }
        report.floor(bare.row("bare axum, ES256, one row committed"));
        peers.report(report, ["oidc-provider, SQLite, redemption", "the same, commits shared"]);
        report.own(&own.row("b. code redemption"), &[Goal::OfFloor(OF_FLOOR), Goal::TimesPeer(TIMES_PEER)]);
        Ok(())
    }

    /// Without a store: what durability costs is the difference to the next floor.
    async fn signing(&self, report: &mut Report) -> Result<()> {
        let floor = Bare::start(Floor::Sign)?;
        let mut bare = Rounds::new();
        bare.run(self, &floor.process, floor.address, same(&Same::form(&floor.host()))).await?;
        report.floor(bare.row("bare axum, ES256, in memory"));
        Ok(())
    }

    /// Fresh grants for all connections, to be refreshed.
    pub async fn works_of_refreshes(&self) -> Result<Vec<Refreshes>> {
        let tokens = self.grants(GRANTS).await?;
        let of = |tokens: Vec<Tokens>| {
            let tokens = tokens.into_iter().map(|tokens| tokens.refresh).collect();
            Refreshes::new(&self.account.host, &self.account.client_id, tokens)
        };
        Ok(tokens.into_iter().map(of).collect())
    }

    async fn refreshes(&self, report: &mut Report) -> Result<()> {
        let mut works = self.works_of_refreshes().await?;
        let floor = Bare::start(Floor::Durable(&self.folder.0.join("floor")))?;
        let mut peers = Peers::start(self, &format!("refresh:{}", crate::floor::ROWS))?;
        let of = |peer: &Peer| peer.refreshes(CONNECTIONS);
        let mut peers_works: Vec<_> = peers.all.iter().map(of).collect::<Result<_>>()?;
        let (mut bare, mut own) = (Rounds::new(), Rounds::new());
        for round in 0..ROUNDS_ON_DISK {
            bare.run(self, &floor.process, floor.address, same(&Same::form(&floor.host()))).await?;
            works = own.run(self, &self.subject.process, self.address(), works).await?;
            for (at, works) in peers_works.iter_mut().enumerate().filter(|_| round < ROUNDS) {
                *works = peers.run(self, at, std::mem::take(works)).await?;
            }
        }
        report.floor(bare.row("bare axum, ES256, one row committed"));
        peers.report(report, ["oidc-provider, SQLite, refresh", "the same, commits shared"]);
        let goals = [Goal::OfFloor(OF_FLOOR), Goal::TimesPeer(TIMES_PEER), Goal::Slowest(SLOWEST)];
        report.own(&own.row("c. refresh"), &goals);
        Ok(())
    }

    /// Opens grants: so many for each connection. Each connection gets them in an order of its own, so that those which
    /// are refreshed at the same time are not neighbours in the database.
    pub async fn grants(&self, each: usize) -> Result<Vec<Vec<Tokens>>> {
        let mut connection = Connection::open(self.address()).await?;
        let mut all: Vec<Vec<Tokens>> = (0..CONNECTIONS).map(|_| Vec::new()).collect();
        for turn in 0..each {
            for (at, tokens) in all.iter_mut().enumerate() {
                let answer = connection.ask(&work::redemption(&self.account)).await?;
                if answer.status != 200 {
                    bail!("not redeemed ({}): {}", answer.status, answer.text());
                }
                let access = work::member(answer.body, "access_token")?.to_owned();
                let refresh = work::member(answer.body, "refresh_token")?.to_owned();
                let place = turn.wrapping_mul(13).wrapping_add(at.wrapping_mul(7)) % (tokens.len() + 1);
                tokens.insert(place, Tokens { access, refresh });
            }
        }
        Ok(all)
    }

    pub fn address(&self) -> SocketAddr {
        self.subject.setting.address()
    }

    pub fn host(&self) -> String {
        self.subject.setting.host()
    }
}

/// Of one grant.
pub struct Tokens {
    /// For calls.
    pub access: String,
    /// For refreshes.
    pub refresh: String,
}

pub fn each<W>(make: impl Fn() -> W) -> Vec<W> {
    (0..CONNECTIONS).map(|_| make()).collect()
}

pub fn same(work: &Same) -> Vec<Same> {
    each(|| work.clone())
}

/// The samples of one server.
pub struct Rounds(Vec<Sample>);

impl Rounds {
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    pub async fn run<W: Work>(
        &mut self,
        bench: &Bench<'_>,
        server: &Running,
        address: SocketAddr,
        works: Vec<W>,
    ) -> Result<Vec<W>> {
        let target = Target { addresses: &[address], servers: &[server], own_core: true };
        let (sample, works) = load::run(target, works, bench.options.time).await?;
        self.0.push(sample);
        Ok(works)
    }

    pub fn row(self, name: &'static str) -> Row {
        let row = Row::new(name, &self.0);
        say(&row.line());
        row
    }
}

/// The peer, once as a careful user runs it and once as fast as it can be made.
struct Peers {
    all: [Peer; 2],
    rounds: [Rounds; 2],
}

impl Peers {
    fn start(bench: &Bench<'_>, made: &str) -> Result<Self> {
        let start = |keeps, name| Peer::start(keeps, bench.folder.0.join(name), made);
        let name = |kind| format!("peer-{kind}-{}", made.split(':').next().unwrap_or_default());
        let all = [start(Keeps::Sqlite, name("each"))?, start(Keeps::SharedCommits, name("shared"))?];
        Ok(Self { all, rounds: [Rounds::new(), Rounds::new()] })
    }

    async fn run<W: Work>(&mut self, bench: &Bench<'_>, at: usize, works: Vec<W>) -> Result<Vec<W>> {
        let (Some(peer), Some(rounds)) = (self.all.get(at), self.rounds.get_mut(at)) else {
            return Ok(works);
        };
        rounds.run(bench, &peer.process, peer.address, works).await
    }

    /// The first is what we are compared with.
    fn report(self, report: &mut Report, names: [&'static str; 2]) {
        let ([first, second], [name, other]) = (self.rounds, names);
        report.peer(first.row(name));
        report.beside(&second.row(other));
    }
}

pub fn say(text: &str) {
    println!("{text}");
}

/// A folder of this run, beside the program and so on the disk that it was built on: a folder in memory would make
/// every commit free.
pub struct Scratch(pub PathBuf);

impl Scratch {
    fn new() -> Result<Self> {
        let own = std::env::current_exe()?;
        let folder = own.parent().context("no folder")?.join(format!("bench-{}", std::process::id()));
        fs::create_dir_all(&folder)?;
        Ok(Self(folder))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}
