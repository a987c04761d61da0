//! Thousands of streams on which nothing happens, and what they do to the calls beside them.

use crate::{
    measure::{Bench, ROUNDS, Rounds, say},
    report::{Goal, Report, Verdict, mebibytes, within_megabytes},
    work::{self, Same},
};
use anyhow::{Context, Result, bail};
use std::fs;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};

/// As many as are opened where the system allows that many files; each takes two.
const STREAMS: usize = 10_000;
/// Files that the gateway, and this process, have open beside the streams.
const OTHER_FILES: usize = 400;
/// Opened at a time.
const AT_ONCE: usize = 64;
/// Resident, with all of them open.
const MEGABYTES: f64 = 400.0;
const SLOWEST: f64 = 2.0;

impl Bench<'_> {
    /// Calls without the streams, then with them.
    pub async fn streams(&self, report: &mut Report) -> Result<()> {
        let tokens = self.access_tokens().await?;
        let mut works: Vec<Same> = tokens.iter().map(|token| Same::call(&self.host(), token)).collect();
        self.let_through(&works).await?;
        let (mut calm, mut beside) = (Rounds::new(), Rounds::new());
        for _ in 0..ROUNDS {
            works = calm.run(self, &self.subject.process, self.address(), works).await?;
        }
        let before = self.subject.process.resident_kib()?;
        let count = STREAMS.min((open_files()?.saturating_sub(OTHER_FILES)) / 2);
        say(&format!("opening {count} streams"));
        let streams = self.open(&tokens, count).await?;
        for _ in 0..ROUNDS {
            works = beside.run(self, &self.subject.process, self.address(), works).await?;
        }
        let resident = self.subject.process.resident_kib()?;
        report.floor(calm.row("gateway, no stream is open"));
        report.own(&beside.row("o. gateway, thousands of idle streams"), &[Goal::SlowestOfFloor(SLOWEST)]);
        let verdict = Verdict {
            goal: format!("≤ {MEGABYTES:.0} MB resident"),
            found: format!("{:.1} MiB, {:.1} before", mebibytes(resident), mebibytes(before)),
            reached: within_megabytes(resident, MEGABYTES),
        };
        report.below(&format!("o. with {} idle streams open, {STREAMS} asked for", streams.len()), &verdict);
        Ok(())
    }

    async fn open(&self, tokens: &[String], count: usize) -> Result<Vec<TcpStream>> {
        let (mut opening, mut open) = (JoinSet::new(), Vec::new());
        let address = self.address();
        for token in tokens.iter().cycle().take(count) {
            let request = work::listen(&self.host(), token);
            opening.spawn(async move {
                let mut stream = TcpStream::connect(address).await?;
                stream.write_all(&request).await?;
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    if head.len() > 4096 || stream.read_buf(&mut head).await? == 0 {
                        bail!("no stream: {}", String::from_utf8_lossy(&head));
                    }
                }
                if !head.starts_with(b"HTTP/1.1 200 ") {
                    bail!("no stream: {}", String::from_utf8_lossy(&head));
                }
                Ok(stream)
            });
            if opening.len() >= AT_ONCE {
                open.push(opening.join_next().await.context("none is under way")???);
            }
        }
        while let Some(stream) = opening.join_next().await {
            open.push(stream??);
        }
        Ok(open)
    }
}

/// `RLIMIT_NOFILE` of this process, which is that of its children.
fn open_files() -> Result<usize> {
    let limits = fs::read_to_string("/proc/self/limits")?;
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let soft = line.and_then(|line| line.split_whitespace().next()).context("no limit of open files")?;
    if soft == "unlimited" { Ok(usize::MAX) } else { soft.parse().context("the limit is no number") }
}
