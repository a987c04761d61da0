//! Somebody else's server that does the same, on the same core: npm's `oidc-provider`, as a careful user would run it.
//!
//! `peers/oidc-provider` pins the library and the Node that runs it, and holds its adapter for SQLite.

use crate::{
    load::Work,
    process::{Running, SERVER_CORE, pinned},
    work::{self, Refreshes, member},
};
use anyhow::{Context, Result, bail};
use std::{
    fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{ChildStdout, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/oidc-provider");
/// Of the bridge from stdio.
pub const BRIDGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/peers/mcp-remote");
const CLIENT: &str = "benchmark";

/// How it keeps what it keeps.
#[derive(Clone, Copy, Debug)]
pub enum Keeps {
    /// SQLite, a commit for each write.
    Sqlite,
    /// SQLite, one commit for all that wait.
    SharedCommits,
    /// A Map.
    Memory,
}

/// A running peer.
pub struct Peer {
    /// The process.
    pub process: Running,
    /// Where it listens.
    pub address: SocketAddr,
    folder: PathBuf,
    /// Kept open: what it says later is for nobody.
    _out: BufReader<ChildStdout>,
}

impl Peer {
    /// Starts one that has made so many codes, refresh tokens or access tokens, such as `code:1000`.
    pub fn start(keeps: Keeps, folder: PathBuf, made: &str) -> Result<Self> {
        install(FOLDER)?;
        fs::create_dir_all(&folder)?;
        let kind = match keeps {
            Keeps::Sqlite => "sqlite",
            Keeps::SharedCommits => "shared",
            Keeps::Memory => "memory",
        };
        let mut command = pinned(SERVER_CORE, &Path::new(FOLDER).join("node_modules/.bin/node"));
        command.args(["--disable-warning=ExperimentalWarning", "peer.mjs", kind]).arg(&folder).arg(made);
        command.current_dir(FOLDER).env("NODE_ENV", "production").stdin(Stdio::null());
        let mut child = command.stdout(Stdio::piped()).spawn().context("taskset cannot be started")?;
        let out = child.stdout.take();
        let process = Running::new(child);
        let (mut out, mut line) = (BufReader::new(out.context("no output")?), String::new());
        out.read_line(&mut line)?;
        let address = line.trim().parse().context("oidc-provider did not start")?;
        Ok(Self { process, address, folder, _out: out })
    }

    fn host(&self) -> String {
        self.address.to_string()
    }

    /// What it made of this kind, a line each.
    fn made(&self, what: &str) -> Result<Vec<String>> {
        let text = fs::read_to_string(self.folder.join(what)).context("oidc-provider made none")?;
        Ok(text.lines().map(str::to_owned).collect())
    }

    /// Refreshes of its grants, divided among so many connections.
    pub fn refreshes(&self, connections: usize) -> Result<Vec<Refreshes>> {
        let tokens = self.made("refresh")?;
        let of = |some: &[String]| Refreshes::new(&self.host(), CLIENT, some.to_vec());
        Ok(tokens.chunks(tokens.len() / connections).take(connections).map(of).collect())
    }

    /// Redemptions of its codes, each once.
    pub fn redemptions(&self) -> Result<OfPeer> {
        let host = self.host();
        let requests =
            self.made("code")?.iter().map(|code| work::redemption_of(&host, CLIENT, code)).collect();
        Ok(OfPeer::new(requests, false))
    }

    /// Introspections of its opaque access tokens, round and round.
    pub fn introspections(&self, authorization: &str) -> Result<OfPeer> {
        let host = self.host();
        let ask =
            |token: &String| work::introspection_of(&host, "/token/introspection", authorization, token);
        Ok(OfPeer::new(self.made("access")?.iter().map(ask).collect(), true))
    }
}

/// Prepared requests that all connections share.
#[derive(Clone)]
pub struct OfPeer {
    requests: Arc<Vec<Vec<u8>>>,
    next: Arc<AtomicUsize>,
    again: bool,
}

impl OfPeer {
    fn new(requests: Vec<Vec<u8>>, again: bool) -> Self {
        Self { requests: Arc::new(requests), next: Arc::default(), again }
    }
}

impl Work for OfPeer {
    fn request(&mut self, out: &mut Vec<u8>) -> Result<()> {
        let next = self.next.fetch_add(1, Ordering::Relaxed);
        let at = if self.again { next % self.requests.len().max(1) } else { next };
        let request = self.requests.get(at).context("oidc-provider was faster than its codes lasted")?;
        out.extend_from_slice(request);
        Ok(())
    }

    fn answer(&mut self, body: &[u8]) -> Result<()> {
        if !self.again {
            return member(body, "access_token").and(member(body, "refresh_token")).map(|_| ());
        }
        if body.starts_with(b"{\"active\":true") { Ok(()) } else { bail!("a live token is not active") }
    }
}

/// Installs what the lock in this folder pins, where it is not there yet.
pub fn install(folder: &str) -> Result<()> {
    let wanted = fs::read(Path::new(folder).join("package-lock.json"))?;
    let stamp = Path::new(folder).join("node_modules/.installed-lock");
    if fs::read(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    println!("npm ci, in {folder}");
    let done = Command::new("npm")
        .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
        .current_dir(folder)
        .stdout(Stdio::null())
        .status()
        .context("npm cannot be started: it is a Debian package")?;
    if !done.success() {
        bail!("npm ci failed in {folder}");
    }
    Ok(fs::write(stamp, wanted)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_sent_once_and_a_token_again() {
        let requests = vec![b"a".to_vec(), b"b".to_vec()];
        let ask = |work: &mut OfPeer| {
            let mut out = Vec::new();
            work.request(&mut out).map(|()| out)
        };
        let (mut one, mut other) = (OfPeer::new(requests.clone(), false), OfPeer::new(requests, true));
        let mut second = one.clone();
        assert_eq!((ask(&mut one).unwrap(), ask(&mut second).unwrap()), (b"a".to_vec(), b"b".to_vec()));
        assert!(ask(&mut one).is_err());
        for expected in [b"a", b"b", b"a"] {
            assert_eq!(ask(&mut other).unwrap(), expected);
        }
    }

    #[test]
    fn an_answer_without_tokens_is_not_counted() {
        let (mut code, mut token) = (OfPeer::new(Vec::new(), false), OfPeer::new(Vec::new(), true));
        assert!(code.answer(br#"{"access_token":"a","refresh_token":"b"}"#).is_ok());
        assert!(code.answer(br#"{"access_token":"a"}"#).is_err());
        assert!(token.answer(br#"{"active":true,"sub":"ada"}"#).is_ok());
        assert!(token.answer(br#"{"active":false}"#).is_err());
    }
}
