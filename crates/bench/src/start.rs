//! Time from start to the first answer, and memory at rest, on a folder that was used before.

use crate::{
    exchange,
    process::Running,
    subject::{METADATA, Setting},
};
use anyhow::{Result, bail};
use std::{
    io::{Read, Write},
    net::TcpStream,
    process::Stdio,
    time::{Duration, Instant},
};

/// Starts of which the median counts.
const STARTS: usize = 10;
/// Between the first answer and the look at the memory.
const REST: Duration = Duration::from_secs(3);

/// What was seen.
#[derive(Clone, Debug)]
pub struct Starts {
    /// From the start of the process to the whole answer, the shortest first.
    pub ready: Vec<Duration>,
    /// Resident memory of one that has rested, in KiB.
    pub resident_kib: u32,
}

impl Starts {
    /// The one in the middle.
    pub fn median(&self) -> Duration {
        self.ready.get(self.ready.len() / 2).copied().unwrap_or_default()
    }
}

/// Starts the program again and again.
pub fn measure(setting: &Setting) -> Result<Starts> {
    let mut ready = Vec::new();
    for _ in 0..STARTS {
        let (process, took) = started(setting)?;
        ready.push(took);
        process.stop()?;
    }
    ready.sort_unstable();
    let (process, _) = started(setting)?;
    std::thread::sleep(REST);
    let resident_kib = process.resident_kib()?;
    process.stop()?;
    Ok(Starts { ready, resident_kib })
}

/// Starts it and waits for its first answer.
pub fn started(setting: &Setting) -> Result<(Running, Duration)> {
    let mut command = setting.command()?;
    let began = Instant::now();
    let process = Running::new(command.stdout(Stdio::null()).spawn()?);
    while began.elapsed() < Duration::from_secs(10) {
        if answers(setting).unwrap_or(false) {
            return Ok((process, began.elapsed()));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    bail!("the program was not ready within 10 s")
}

fn answers(setting: &Setting) -> Result<bool> {
    let mut stream = TcpStream::connect(setting.address())?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    stream.write_all(&exchange::get(&setting.host(), METADATA, "connection: close\r\n"))?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    Ok(answer.starts_with(b"HTTP/1.1 200 "))
}
