//! Asks over all connections at once for a while, and counts.

use crate::{exchange::Connection, process::Running};
use anyhow::{Result, bail};
use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// Before anything is counted: caches fill, connections open.
const WARM_UP: Duration = Duration::from_secs(1);

/// What one connection asks, again and again.
pub trait Work: Send + 'static {
    /// Writes the next request into `out`, which is empty. Its time does not count.
    fn request(&mut self, out: &mut Vec<u8>) -> Result<()>;

    /// Looks at the body of an answer 200.
    fn answer(&mut self, body: &[u8]) -> Result<()>;
}

/// What was counted.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Answers.
    pub answers: u64,
    /// In this time.
    pub time: Duration,
    /// Processor time of the server meanwhile.
    pub cpu: Duration,
    /// From the first byte sent to the last byte received, in microseconds.
    pub latencies: Vec<u32>,
}

#[derive(Default)]
struct Shared {
    answers: AtomicU64,
    counting: AtomicBool,
    over: AtomicBool,
}

/// Who is asked.
#[derive(Clone, Copy, Debug)]
pub struct Target<'a> {
    /// Where to connect to; the connections go round.
    pub addresses: &'a [SocketAddr],
    /// Whose processor time counts.
    pub servers: &'a [&'a Running],
    /// Whether the core of the load is its own, and is kept awake.
    pub own_core: bool,
}

impl Target<'_> {
    fn cpu(&self) -> Result<Duration> {
        self.servers.iter().map(|server| server.cpu()).sum()
    }
}

/// Runs one work on each connection. They come back, to be gone on with in the next round.
pub async fn run<W: Work>(target: Target<'_>, works: Vec<W>, time: Duration) -> Result<(Sample, Vec<W>)> {
    let shared = Arc::new(Shared::default());
    let mut tasks = Vec::new();
    for (work, address) in works.into_iter().zip(target.addresses.iter().cycle()) {
        tasks.push(tokio::spawn(one(*address, work, Arc::clone(&shared))));
    }
    if target.own_core {
        stay_awake(&shared);
    }
    tokio::time::sleep(WARM_UP).await;
    let (began, cpu, before) = (Instant::now(), target.cpu()?, shared.answers.load(Ordering::Relaxed));
    shared.counting.store(true, Ordering::Relaxed);
    tokio::time::sleep(time).await;
    // The three are read together: the timer may have come late, what was counted is still what happened meanwhile.
    let answers = shared.answers.load(Ordering::Relaxed).saturating_sub(before);
    let (time, cpu) = (began.elapsed(), target.cpu()?.saturating_sub(cpu));
    shared.over.store(true, Ordering::Relaxed);
    let (mut latencies, mut works) = (Vec::new(), Vec::new());
    for task in tasks {
        let (work, mut seen) = task.await??;
        latencies.append(&mut seen);
        works.push(work);
    }
    Ok((Sample { answers, time, cpu, latencies }, works))
}

/// Keeps the core of the load awake. A server that answers slower lets it sleep more often, and then pays for waking it
/// with each answer: without this the floor would look better than it is, just because it is ahead.
fn stay_awake(shared: &Arc<Shared>) {
    let shared = Arc::clone(shared);
    tokio::spawn(async move {
        while !shared.over.load(Ordering::Relaxed) {
            tokio::task::yield_now().await;
        }
    });
}

async fn one<W: Work>(address: SocketAddr, mut work: W, shared: Arc<Shared>) -> Result<(W, Vec<u32>)> {
    let mut connection = Connection::open(address).await?;
    let (mut request, mut latencies) = (Vec::with_capacity(4096), Vec::new());
    while !shared.over.load(Ordering::Relaxed) {
        request.clear();
        work.request(&mut request)?;
        let sent = Instant::now();
        let answer = connection.ask(&request).await?;
        let took = sent.elapsed();
        if answer.status != 200 {
            bail!("answered {}: {}", answer.status, answer.text());
        }
        work.answer(answer.body)?;
        shared.answers.fetch_add(1, Ordering::Relaxed);
        if shared.counting.load(Ordering::Relaxed) {
            latencies.push(u32::try_from(took.as_micros()).unwrap_or(u32::MAX));
        }
    }
    Ok((work, latencies))
}
