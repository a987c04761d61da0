//! Two nodes on one PostgreSQL, beside what `pgbench` gets out of the same server in the same run.
//!
//! Server, nodes and load share both cores, as PostgreSQL and `pgbench` do: what the nodes cost is in the comparison.

use crate::{
    exchange::Connection,
    load::{self, Sample, Target},
    measure::{ROUNDS, say},
    options::Options,
    process::{self, BOTH_CORES, LOAD_CORE, Running},
    report::{Report, Row, Verdict, milliseconds, percent, thousands},
    start,
    subject::{Account, Setting, Subject},
    work::{self, Refreshes},
};
use anyhow::{Context, Result, bail};
use hallpass_core::secret::SecretString;
use hallpass_store::{Maintenance as _, PostgresSettings, PostgresStore};
use hallpass_testkit::postgres::Cluster;
use std::{
    fs,
    net::SocketAddr,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

/// Connections of the load, over both nodes, and of `pgbench`.
const CLIENTS: usize = 64;
/// Grants that each refreshes in turn.
const GRANTS: usize = 32;
/// Of the updates of `pgbench`.
const OF_UPDATES: f64 = 0.45;

/// One update by primary key, and its commit.
const UPDATE: &str = "\\set id random(1, 100000)\n\
     UPDATE pgbench_accounts SET abalance = abalance + 1 WHERE aid = :id;\n";

/// Measures both in turn.
pub async fn measure(options: &Options, folder: &Path, report: &mut Report) -> Result<()> {
    process::move_self(BOTH_CORES)?;
    say("starting PostgreSQL");
    let cluster = Cluster::private();
    let database = cluster.database().await;
    let nodes = Nodes::start(options, folder, &database.url).await?;
    let mut works = nodes.works().await?;
    prepare_updates(&cluster)?;
    let (mut updates, mut samples) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        updates.push(measure_updates(&cluster, options.time)?);
        let target = Target {
            addresses: &nodes.addresses(),
            servers: &[&nodes.first.process, &nodes.second],
            own_core: false,
        };
        let (sample, back) = load::run(target, works, options.time).await?;
        samples.push(sample);
        works = back;
        // In the next round each grant is refreshed by the other node.
        works.rotate_left(1);
    }
    say_all(report, &updates, &samples);
    report.resident("i. the first node, after its load", nodes.first.process.resident_kib()?);
    report.resident("i. the second node, after its load", nodes.second.resident_kib()?);
    nodes.stop()?;
    drop(database);
    drop(cluster);
    process::move_self(LOAD_CORE)
}

fn say_all(report: &mut Report, updates: &[f64], samples: &[Sample]) {
    let row = Row::new("i. refresh, two nodes on PostgreSQL", samples);
    say(&row.line());
    let rounds: Vec<String> = updates.iter().map(|rate| thousands(*rate)).collect();
    let count = u32::try_from(updates.len().max(1)).map_or(1.0, f64::from);
    let mean = updates.iter().sum::<f64>() / count;
    let share = row.per_second / mean;
    let verdict = Verdict {
        goal: format!("≥ {} of pgbench", percent(OF_UPDATES)),
        found: format!(
            "{}: {} refreshes a second against {} updates ({}), {CLIENTS} connections each, p99 {}, {:.0} µs of the nodes \
             for each, all of it on cores {BOTH_CORES}",
            percent(share),
            thousands(row.per_second),
            thousands(mean),
            rounds.join(", "),
            milliseconds(row.p99),
            1e6 / row.per_core_second,
        ),
        reached: share >= OF_UPDATES,
    };
    report.below("i. two nodes on PostgreSQL", &verdict);
}

/// Two nodes with one account.
struct Nodes {
    first: Subject,
    second: Running,
    second_address: SocketAddr,
    account: Account,
}

impl Nodes {
    async fn start(options: &Options, folder: &Path, url: &str) -> Result<Self> {
        let setting = Setting::node(folder.join("node-1"), None, url, options.log.clone())?;
        let first = Subject::start(setting)?;
        let store = PostgresStore::open(PostgresSettings::new(SecretString::new(url))).await?;
        let account = first.account_in(&store).await?;
        store.close().await?;
        let other = folder.join("node-2");
        copy_key(&first.setting.folder, &other)?;
        let setting = Setting::node(other, Some(&first.setting), url, options.log.clone())?;
        let (second, _) = start::started(&setting)?;
        Ok(Self { first, second, second_address: setting.address(), account })
    }

    fn addresses(&self) -> [SocketAddr; 2] {
        [self.first.setting.address(), self.second_address]
    }

    /// Fresh grants for all connections. As on one node, those of one moment are no neighbours in the database.
    async fn works(&self) -> Result<Vec<Refreshes>> {
        let mut connection = Connection::open(self.first.setting.address()).await?;
        let mut all: Vec<Vec<String>> = vec![Vec::new(); CLIENTS];
        for turn in 0..GRANTS {
            for (at, tokens) in all.iter_mut().enumerate() {
                let answer = connection.ask(&work::redemption(&self.account)).await?;
                if answer.status != 200 {
                    bail!("not redeemed ({}): {}", answer.status, answer.text());
                }
                let place = turn.wrapping_mul(13).wrapping_add(at.wrapping_mul(7)) % (tokens.len() + 1);
                tokens.insert(place, work::member(answer.body, "refresh_token")?.to_owned());
            }
        }
        let of = |tokens| Refreshes::new(&self.account.host, &self.account.client_id, tokens);
        Ok(all.into_iter().map(of).collect())
    }

    fn stop(self) -> Result<()> {
        self.second.stop()?;
        self.first.process.stop()
    }
}

/// Both nodes derive their keys from the same one.
fn copy_key(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    // The copy has the mode of its source.
    fs::copy(from.join("master.key"), to.join("master.key")).context("the first node has no master.key")?;
    Ok(())
}

fn prepare_updates(cluster: &Cluster) -> Result<()> {
    let mut command = cluster.program("pgbench");
    let done = command.args(["--initialize", "--quiet", "--scale=1"]).output()?;
    if !done.status.success() {
        bail!("pgbench --initialize: {}", String::from_utf8_lossy(&done.stderr));
    }
    Ok(())
}

/// Updates a second.
fn measure_updates(cluster: &Cluster, time: Duration) -> Result<f64> {
    let mut command = cluster.program("pgbench");
    command.args(["--no-vacuum", "--protocol=prepared", "--jobs=2", "--file=-"]);
    command.arg(format!("--client={CLIENTS}")).arg(format!("--time={}", time.as_secs()));
    let answer = fed(&mut command, UPDATE)?;
    let rate = rate(&answer).context("pgbench says no tps")?;
    say(&format!("pgbench: {} updates a second", thousands(rate)));
    Ok(rate)
}

fn fed(command: &mut Command, input: &str) -> Result<String> {
    use std::io::Write as _;
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("pgbench cannot be started: it is in Debian's package postgresql")?;
    child.stdin.take().context("no input")?.write_all(input.as_bytes())?;
    let done = child.wait_with_output()?;
    if !done.status.success() {
        bail!("pgbench failed");
    }
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}

fn rate(answer: &str) -> Option<f64> {
    answer.lines().find_map(|line| line.strip_prefix("tps = ")?.split_whitespace().next()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_of_pgbench_is_found() {
        let answer = "latency average = 5.8 ms\ntps = 10900.25 (without initial connection time)\n";
        assert_eq!(rate(answer), Some(10_900.25));
        assert_eq!(rate("latency average = 5.8 ms\n"), None);
    }
}
