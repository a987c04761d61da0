//! `hallpass connect` beside npm's `mcp-remote`: how soon each answers, what each adds to a round trip, what each weighs.

use super::{SignedIn, folder_of, median, milliseconds};
use crate::{
    exchange::{self, Connection},
    measure::{Bench, say},
    peer,
    report::{Report, Verdict, mebibytes, thousands},
    subject::program,
};
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::{
    fs,
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::timeout,
};

/// Starts of which the median counts.
const STARTS: usize = 5;
/// Calls one after another, of which the median counts.
const CALLS: usize = 1_000;
/// Under way at the same time, when calls a second are counted.
const AT_ONCE: u64 = 32;
const PATIENCE: Duration = Duration::from_secs(30);

/// What the bridge may add to a round trip at p50, and calls that it has to pass.
const ADDED: Duration = Duration::from_millis(1);
const PER_SECOND: f64 = 2_000.0;
/// Of the memory and of the start time of the peer.
const OF_MEMORY: f64 = 0.2;
const OF_START: f64 = 0.1;

/// What was seen of one bridge.
struct Seen {
    start: Duration,
    round_trip: Duration,
    per_second: f64,
    resident_kib: u32,
}

impl Bench<'_> {
    /// Both bridges to the same server, and no bridge.
    pub(super) async fn bridges(&self, signed_in: &SignedIn, report: &mut Report) -> Result<()> {
        peer::install(peer::BRIDGE)?;
        let direct = self.direct(signed_in).await?;
        say("hallpass connect");
        let own = seen(signed_in, own, self.options.time).await?;
        say("mcp-remote");
        let other = seen(signed_in, mcp_remote, self.options.time).await?;
        let added = own.round_trip.saturating_sub(direct);
        let micros = |time: Duration| time.as_secs_f64() * 1e6;
        let verdict = |goal: String, found: String, reached| Verdict { goal, found, reached };
        report.below(
            "t. a round trip through the bridge, p50",
            &verdict(
                format!("≤ {} ms more than without", ADDED.as_millis()),
                format!(
                    "{:.0} µs, without {:.0}, with mcp-remote {:.0}",
                    micros(own.round_trip),
                    micros(direct),
                    micros(other.round_trip)
                ),
                added <= ADDED,
            ),
        );
        report.below(
            "t. calls through the bridge, 32 at a time",
            &verdict(
                format!("≥ {}/s", thousands(PER_SECOND)),
                format!("{}/s, mcp-remote {}/s", thousands(own.per_second), thousands(other.per_second)),
                own.per_second >= PER_SECOND,
            ),
        );
        let share = own.start.as_secs_f64() / other.start.as_secs_f64();
        let times =
            format!("{:.1} ms, mcp-remote {:.0} ms", milliseconds(own.start), milliseconds(other.start));
        report.below(
            "t. the bridge from its start to the answer to initialize",
            &verdict("≤ a tenth of mcp-remote's".into(), times, share <= OF_START),
        );
        let share = f64::from(own.resident_kib) / f64::from(other.resident_kib);
        let (mine, theirs) = (mebibytes(own.resident_kib), mebibytes(other.resident_kib));
        report.below(
            "t. the bridge after that, resident",
            &verdict(
                "≤ a fifth of mcp-remote's".into(),
                format!("{mine:.1} MiB, mcp-remote {theirs:.1} MiB"),
                share <= OF_MEMORY,
            ),
        );
        Ok(())
    }

    /// The same calls on one connection of HTTP.
    async fn direct(&self, signed_in: &SignedIn) -> Result<Duration> {
        let fields = format!(
            "authorization: Bearer {}\r\ncontent-type: application/json\r\n\
             accept: application/json, text/event-stream\r\nmcp-protocol-version: 2025-06-18\r\n",
            signed_in.token
        );
        let request = exchange::post(&self.host(), super::PATH, &fields, &call(1).to_string());
        let mut connection = Connection::open(self.address()).await?;
        let mut times = Vec::new();
        for _ in 0..CALLS {
            let began = Instant::now();
            let answer = connection.ask(&request).await?;
            if answer.status != 200 {
                bail!("answered {}: {}", answer.status, answer.text());
            }
            times.push(began.elapsed());
        }
        median(times)
    }
}

fn own(signed_in: &SignedIn) -> Result<Command> {
    let mut command = Command::new(program()?);
    command.args(["connect", &signed_in.url, "--no-browser", "--state"]).arg(&signed_in.state);
    Ok(command)
}

/// With the token given to it: its own sign-in needs a browser, and is not what is measured.
fn mcp_remote(signed_in: &SignedIn) -> Result<Command> {
    let folder = folder_of(signed_in, "mcp-remote");
    fs::create_dir_all(&folder)?;
    let modules = Path::new(peer::BRIDGE).join("node_modules");
    let mut command = Command::new(modules.join(".bin/node"));
    command.arg(modules.join("mcp-remote/dist/proxy.js")).arg(&signed_in.url);
    command.args(["--transport", "http-only", "--header", "Authorization:${BENCH_AUTHORIZATION}"]);
    command.env("BENCH_AUTHORIZATION", format!("Bearer {}", signed_in.token));
    command.env("MCP_REMOTE_CONFIG_DIR", folder).env("NODE_ENV", "production");
    Ok(command)
}

async fn seen(
    signed_in: &SignedIn,
    make: impl Fn(&SignedIn) -> Result<Command>,
    time: Duration,
) -> Result<Seen> {
    let mut starts = Vec::new();
    let mut bridge = None;
    for _ in 0..STARTS {
        drop(bridge.take());
        let began = Instant::now();
        let started = Bridge::start(make(signed_in)?).await?;
        starts.push(began.elapsed());
        bridge = Some(started);
    }
    let mut bridge = bridge.context("no bridge")?;
    let mut times = Vec::new();
    for _ in 0..CALLS {
        let began = Instant::now();
        bridge.say(&call(1)).await?;
        bridge.hear().await?;
        times.push(began.elapsed());
    }
    let per_second = bridge.count(time).await?;
    let resident_kib = bridge.resident_kib()?;
    Ok(Seen { start: median(starts)?, round_trip: median(times)?, per_second, resident_kib })
}

/// A bridge that has answered `initialize`.
struct Bridge {
    child: Child,
    to: ChildStdin,
    from: Lines<BufReader<ChildStdout>>,
}

impl Bridge {
    async fn start(mut command: Command) -> Result<Self> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
        let mut child = command.spawn().context("the bridge cannot be started")?;
        let to = child.stdin.take().context("no input")?;
        let from = BufReader::new(child.stdout.take().context("no output")?).lines();
        let mut bridge = Self { child, to, from };
        bridge
            .say(&json!({
                "jsonrpc": "2.0", "id": 0, "method": "initialize",
                "params": {
                    "protocolVersion": "2025-06-18", "capabilities": {},
                    "clientInfo": { "name": "benchmark", "version": "1" },
                },
            }))
            .await?;
        bridge.hear().await?;
        bridge.say(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })).await?;
        Ok(bridge)
    }

    async fn say(&mut self, message: &Value) -> Result<()> {
        Ok(self.to.write_all(format!("{message}\n").as_bytes()).await?)
    }

    /// The next result; an error ends the run.
    async fn hear(&mut self) -> Result<()> {
        let line = timeout(PATIENCE, self.from.next_line()).await.context("the bridge does not answer")??;
        let line = line.context("the bridge has ended")?;
        if line.contains("\"result\"") { Ok(()) } else { bail!("the bridge says: {line}") }
    }

    async fn count(&mut self, time: Duration) -> Result<f64> {
        for number in 0..AT_ONCE {
            self.say(&call(number)).await?;
        }
        let (began, mut answers, mut next) = (Instant::now(), 0_u32, AT_ONCE);
        while began.elapsed() < time {
            self.hear().await?;
            answers += 1;
            self.say(&call(next)).await?;
            next += 1;
        }
        let took = began.elapsed();
        for _ in 0..AT_ONCE {
            self.hear().await?;
        }
        Ok(f64::from(answers) / took.as_secs_f64())
    }

    fn resident_kib(&self) -> Result<u32> {
        crate::process::resident_kib(self.child.id().context("the bridge has ended")?)
    }
}

fn call(number: u64) -> Value {
    json!({
        "jsonrpc": "2.0", "id": number + 1, "method": "tools/call",
        "params": { "name": "echo", "arguments": { "message": "hello" } },
    })
}
