//! The program as a child process.

use std::{
    io::{BufRead, BufReader, Read},
    net::TcpListener,
    path::Path,
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::{Duration, Instant},
};

/// A port that nobody has. Until it is used, no connection of another test gets it either: the system gives those ports above
/// 32,768, and each process of tests begins elsewhere below.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let next = std::process::id().wrapping_mul(64).wrapping_add(NEXT.fetch_add(1, Relaxed));
        let port = 10_000 + u16::try_from(next % 20_000).unwrap();
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// A running `hallpass`.
pub struct Node {
    child: Child,
    pub setup_link: Option<String>,
    /// The line that was waited for.
    pub last: String,
}

impl Node {
    /// `hallpass run` with the built-in demo server.
    pub fn run(state: &Path, port: u16) -> Self {
        Self::spawn(command(&["run", "--port", &port.to_string(), "--state", state.to_str().unwrap()]), port)
    }

    /// Any server command; waits until it listens.
    pub fn spawn(command: Command, port: u16) -> Self {
        Self::spawn_logging(command, port, Stdio::null())
    }

    /// The same, with its log somewhere.
    pub fn spawn_logging(command: Command, port: u16, log: Stdio) -> Self {
        Self::spawn_until(command, port, log, "Try in a second terminal")
    }

    /// The same, for a command whose last line begins like this.
    pub fn spawn_until(mut command: Command, port: u16, log: Stdio, last: &str) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let (mut setup_link, mut said) = (None, String::new());
        for line in lines.by_ref() {
            let line = line.unwrap();
            if let Some(link) = line.strip_prefix("Setup link: ") {
                setup_link = Some(link.to_owned());
            }
            if line.starts_with(last) {
                said = line;
                break;
            }
        }
        std::thread::spawn(move || lines.for_each(drop));
        let node = Self { child, setup_link, last: said };
        let deadline = Instant::now() + Duration::from_secs(20);
        while super::http::send(port, "GET", "/jwks", &[], "").is_none() {
            assert!(Instant::now() < deadline, "the server does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
        node
    }

    /// The process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// SIGKILL: nothing is flushed, nothing is closed.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, and how it ended.
    pub fn stop(mut self) -> bool {
        let status = Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        assert!(status.success());
        self.child.wait().unwrap().success()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The program with these arguments.
pub fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hallpass"));
    // Nothing of ours gets into the keyring of whoever runs the tests.
    command.args(arguments).stdin(Stdio::null()).env("HALLPASS_CLIENT_KEYRING", "off");
    command
}

/// Runs it to its end: exit code, standard output, standard error.
pub fn finished(arguments: &[&str]) -> (i32, String, String) {
    let output = command(arguments).output().unwrap();
    let mut text = String::new();
    output.stderr.as_slice().read_to_string(&mut text).unwrap();
    (output.status.code().unwrap_or(-1), String::from_utf8(output.stdout).unwrap(), text)
}
