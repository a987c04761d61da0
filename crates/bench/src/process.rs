//! Child processes on a core of their own, and what the kernel says of them.

use anyhow::{Context, Result};
use std::{
    fs,
    path::Path,
    process::{Child, Command},
    time::{Duration, Instant},
};

/// Where the server runs, ours or a floor.
pub const SERVER_CORE: &str = "0";
/// Where the load and the upstream run.
pub const LOAD_CORE: &str = "1";

/// Where everything runs that shares the machine with PostgreSQL.
pub const BOTH_CORES: &str = "0,1";

/// Ticks a second in `/proc`: 100 in the interface to user space, whatever the kernel counts with.
const TICKS: u32 = 100;

/// A command for `program` that runs on this core only. `taskset` becomes the program, so the process id is its own.
pub fn pinned(core: &str, program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", core]).arg(program);
    command
}

/// Moves this process, and what it starts from now on, to these cores.
pub fn move_self(cores: &str) -> Result<()> {
    let own = std::process::id().to_string();
    let moved = Command::new("taskset").args(["--all-tasks", "--cpu-list", "--pid", cores, &own]).output()?;
    if moved.status.success() { Ok(()) } else { anyhow::bail!("taskset cannot move a process to {cores}") }
}

/// Resident memory of this process in KiB, as [`Running::resident_kib`].
pub fn resident_kib(process: u32) -> Result<u32> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).context("the process is gone")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    line.split_whitespace().next().and_then(|text| text.parse().ok()).context("VmRSS is no number")
}

/// A running child, stopped when dropped.
#[derive(Debug)]
pub struct Running(Child);

impl Running {
    /// Takes it over.
    pub const fn new(child: Child) -> Self {
        Self(child)
    }

    /// Processor time in user and kernel mode since its start, of all its threads (`proc(5)`, to 10 ms).
    pub fn cpu(&self) -> Result<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0.id())).context("the server is gone")?;
        // The name in parentheses may hold spaces; user and system time are the 12th and 13th field after it.
        let fields = stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().skip(11).take(2));
        let ticks: Vec<u32> =
            fields.context("/proc/PID/stat has another form")?.map_while(|text| text.parse().ok()).collect();
        Ok(Duration::from_secs(1) * ticks.iter().sum::<u32>() / TICKS)
    }

    /// Resident memory in KiB, everything included that is mapped and touched, the program's own text too.
    pub fn resident_kib(&self) -> Result<u32> {
        resident_kib(self.0.id())
    }

    /// SIGTERM, then waits: everything is on disk afterwards.
    pub fn stop(mut self) -> Result<()> {
        Command::new("sh").args(["-c", "kill -TERM \"$0\"", &self.0.id().to_string()]).status()?;
        let until = Instant::now() + Duration::from_secs(15);
        while Instant::now() < until {
            if self.0.try_wait()?.is_some() {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        anyhow::bail!("the program did not stop within 15 s of SIGTERM")
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
