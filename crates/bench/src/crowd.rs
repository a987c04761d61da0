//! What many do to the few: introspections of tokens never seen, a flood of sign-ins, a million grants.

use crate::{
    exchange::{self, Connection},
    load::Work,
    measure::{Bench, ROUNDS, Rounds, each, say},
    peer::{Keeps, Peer},
    report::{Goal, Report},
    subject::{Account, Setting},
    work,
};
use anyhow::{Context, Result, bail};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use hallpass_core::{
    id::GrantId,
    jwt::AccessTokenSigner,
    parameters,
    time::{Clock, SystemClock},
};
use hallpass_store::{GrantOpened, Grants, SqliteSettings, SqliteStore};
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};
use tokio::task::JoinSet;

/// Grants beside which a refresh is measured again.
const CROWD: u64 = 1_000_000;
/// Written at the same time, so that many share a commit.
const WRITERS: u64 = 512;
/// Tokens of the peer, each of a grant of its own: it looks them up, it remembers none.
const OPAQUE: usize = 16_384;
/// Connections that try to sign in.
const FLOOD: usize = 8;

/// Asks about a token that nobody has seen before, each time.
struct Introspections {
    account: Arc<Account>,
    signer: AccessTokenSigner,
    grants: Arc<Vec<GrantId>>,
    authorization: String,
    at: usize,
}

impl Work for Introspections {
    fn request(&mut self, out: &mut Vec<u8>) -> Result<()> {
        self.at = (self.at + 1) % self.grants.len();
        let grant = self.grants.get(self.at).context("no grant")?;
        let token = self.account.access_token(&self.signer, *grant)?;
        let host = &self.account.host;
        out.extend_from_slice(&work::introspection_of(
            host,
            "/introspect",
            &self.authorization,
            token.expose(),
        ));
        Ok(())
    }

    fn answer(&mut self, body: &[u8]) -> Result<()> {
        if body.starts_with(b"{\"active\":true") { Ok(()) } else { bail!("a live token is not active") }
    }
}

impl Bench<'_> {
    /// First-seen tokens: a signature is verified and the grant is read, each time.
    pub async fn introspections(&self, report: &mut Report) -> Result<()> {
        self.grants(8).await?;
        let setting = &self.subject.setting;
        let grants = Arc::new(live(&setting.folder.join("hallpass.sqlite"))?);
        let signer = self.account.signer(setting)?;
        let authorization = format!("Basic {}", STANDARD.encode(format!("asks:{}", Setting::SECRET)));
        let mut works = each(|| Introspections {
            account: Arc::clone(&self.account),
            signer: signer.clone(),
            grants: Arc::clone(&grants),
            authorization: authorization.clone(),
            at: 0,
        });
        let peer =
            Peer::start(Keeps::Memory, self.folder.0.join("peer-memory"), &format!("access:{OPAQUE}"))?;
        let of_peer = peer.introspections(&authorization)?;
        let (mut own, mut other) = (Rounds::new(), Rounds::new());
        for _ in 0..ROUNDS {
            works = own.run(self, &self.subject.process, self.address(), works).await?;
            other.run(self, &peer.process, peer.address, each(|| of_peer.clone())).await?;
        }
        report.fresh();
        report.peer(other.row("oidc-provider, in memory, introspection of opaque tokens"));
        report.own(&own.row("f. introspection, token never seen"), &[Goal::PerSecond(12_000.0)]);
        Ok(())
    }

    /// The same refreshes without and with a flood of wrong sign-ins, each of which costs an argon2id hash.
    pub async fn flood(&self, report: &mut Report) -> Result<()> {
        let mut works = self.works_of_refreshes().await?;
        let (mut calm, mut flooded) = (Rounds::new(), Rounds::new());
        for _ in 0..ROUNDS {
            works = calm.run(self, &self.subject.process, self.address(), works).await?;
            let flood = Flood::begin(self).await?;
            works = flooded.run(self, &self.subject.process, self.address(), works).await?;
            say(&format!("sign-ins answered meanwhile: {}", flood.end().await));
        }
        report.floor(calm.row("refresh, nobody signs in"));
        report.own(&flooded.row("g. refresh, flood of sign-ins"), &[Goal::SlowestOfFloor(2.0)]);
        Ok(())
    }

    /// The same refreshes before and after a million grants more.
    pub async fn million(&self, report: &mut Report) -> Result<()> {
        let database = self.subject.setting.folder.join("hallpass.sqlite");
        let mut works = self.works_of_refreshes().await?;
        let (mut before, mut after) = (Rounds::new(), Rounds::new());
        for _ in 0..ROUNDS {
            works = before.run(self, &self.subject.process, self.address(), works).await?;
        }
        let empty = size(&database)?;
        say("opening a million grants");
        fill(&database, &self.account).await?;
        let bytes = (size(&database)? - empty) / CROWD;
        for _ in 0..ROUNDS {
            works = after.run(self, &self.subject.process, self.address(), works).await?;
        }
        report.floor(before.row("refresh, few grants"));
        report.own(&after.row("h. refresh among a million grants"), &[Goal::OfFloor(0.85)]);
        report.bytes_of_a_grant(bytes);
        Ok(())
    }
}

fn live(database: &Path) -> Result<Vec<GrantId>> {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let database = rusqlite::Connection::open_with_flags(database, flags)?;
    let mut statement =
        database.prepare("SELECT id FROM grants WHERE revoked_at IS NULL ORDER BY id LIMIT 2048")?;
    let ids = statement.query_map([], |row| row.get(0).map(GrantId::from_bytes))?;
    Ok(ids.collect::<Result<_, _>>()?)
}

/// Pages in use, times their size.
fn size(database: &Path) -> Result<u64> {
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
    let database = rusqlite::Connection::open_with_flags(database, flags)?;
    let ask = |pragma: &str| database.query_row(pragma, [], |row| row.get::<_, i64>(0));
    Ok(u64::try_from(ask("PRAGMA page_count")? * ask("PRAGMA page_size")?)?)
}

/// Through the store's own operations, beside the running program.
async fn fill(database: &Path, account: &Arc<Account>) -> Result<()> {
    let settings = SqliteSettings { exclusive: false, ..SqliteSettings::default() };
    let store = Arc::new(SqliteStore::open(database, settings)?);
    let left = Arc::new(AtomicU64::new(CROWD));
    let mut writers = Vec::new();
    for _ in 0..WRITERS {
        let (store, account, left) = (Arc::clone(&store), Arc::clone(account), Arc::clone(&left));
        writers.push(tokio::spawn(async move {
            while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok()
            {
                let opened = store.grant_open(account.new_grant(), SystemClock.now()).await?;
                if opened != GrantOpened::Opened {
                    bail!("a grant was not opened: {opened:?}");
                }
            }
            Ok(())
        }));
    }
    for writer in writers {
        writer.await??;
    }
    Ok(())
}

/// Tries to sign in until it is told to stop.
struct Flood {
    over: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    connections: JoinSet<()>,
}

impl Flood {
    async fn begin(bench: &Bench<'_>) -> Result<Self> {
        let mut flood = Self { over: Arc::default(), answered: Arc::default(), connections: JoinSet::new() };
        for _ in 0..FLOOD {
            let mut connection = Connection::open(bench.address()).await?;
            let host = bench.host();
            let page = connection.ask(&exchange::get(&host, "/sign-in", "")).await?;
            let cookie = page.field("set-cookie").context("no cookie")?;
            let cookie = cookie.split(';').next().unwrap_or_default().to_owned();
            let (csrf, waiting) = (hidden(page.text(), "csrf")?, hidden(page.text(), "waiting")?);
            let (over, answered) = (Arc::clone(&flood.over), Arc::clone(&flood.answered));
            flood.connections.spawn(async move {
                let fields = format!(
                    "content-type: application/x-www-form-urlencoded\r\ncookie: {cookie}\r\norigin: http://{host}\r\n"
                );
                let typed =
                    [("csrf", &*csrf), ("waiting", &waiting), ("name", "nobody"), ("password", "a guess")];
                let request = exchange::post(&host, "/sign-in", &fields, &parameters::encode(typed));
                while !over.load(Ordering::Relaxed) && connection.ask(&request).await.is_ok() {
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        Ok(flood)
    }

    /// When the last hash is computed: what it takes meanwhile belongs to the flood and not to what is measured next.
    async fn end(mut self) -> u64 {
        self.over.store(true, Ordering::Relaxed);
        while self.connections.join_next().await.is_some() {}
        self.answered.load(Ordering::Relaxed)
    }
}

fn hidden(page: impl AsRef<str>, name: &str) -> Result<String> {
    let marker = format!("name=\"{name}\" value=\"");
    let found = page.as_ref().split_once(&marker).and_then(|(_, rest)| rest.split_once('"'));
    Ok(found.with_context(|| format!("no {name} in the sign-in form"))?.0.to_owned())
}
