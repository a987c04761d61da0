//! A process from its start to its end: what goes in, what comes out, and how it is stopped.

use super::{
    lines::{self, Line},
    session::Session,
};
use crate::config::StdioCommand;
use bytes::Bytes;
use hallpass_core::{
    json,
    mcp::{Message, MessageError},
    secret::SecretString,
};
use std::{
    collections::VecDeque,
    io,
    pin::pin,
    process::{ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    io::{AsyncWriteExt, BufReader},
    process::{Child, ChildStderr, ChildStdin, ChildStdout, Command},
    sync::mpsc,
    task::JoinHandle,
    time::timeout,
};

/// How deep a message may be nested.
const DEPTH: usize = 64;
/// Longest piece of a line of its standard error in our log.
const LOG_LINE: usize = 2048;
/// So many of its last lines are kept, for whoever asks why it has crashed.
const LAST_LINES: usize = 5;
/// What a process has already written is read for so long after its end.
const REST: Duration = Duration::from_millis(200);

/// Why a session is over.
#[derive(Debug, thiserror::Error)]
pub(super) enum Why {
    /// The client ended it, or left before it was made, or we stop.
    #[error("it was asked to")]
    Asked,
    /// Nobody has used it.
    #[error("nobody uses it")]
    Idle,
    /// It ended by itself.
    #[error("it ended by itself")]
    Exited,
    /// A line over the limit.
    #[error("it wrote a line that is longer than the limit to its standard output")]
    TooLong,
    /// Not a message of MCP.
    #[error("it wrote something else than an MCP message to its standard output: {0}")]
    NoMessage(MessageError),
    /// Its output cannot be read.
    #[error("its standard output cannot be read: {0}")]
    Unreadable(io::Error),
}

impl Why {
    /// Whether the process is to blame.
    pub(super) const fn is_crash(&self) -> bool {
        !matches!(self, Self::Asked | Self::Idle)
    }
}

/// What is read of the standard error of a process.
pub(super) struct StandardError {
    last: Arc<Mutex<VecDeque<String>>>,
    heard: JoinHandle<()>,
}

impl StandardError {
    /// The last lines, when the process has ended.
    pub(super) async fn last_lines(self) -> VecDeque<String> {
        let _ = timeout(REST, self.heard).await;
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *last)
    }
}

/// Starts the command. It has the environment of the configuration and nothing of ours, and a process group of its
/// own: Ctrl-C is for us, and what it starts ends with it.
///
/// The token of the person whose process it is comes last, and only there: no other process of this server has it.
pub(super) fn spawn(command: &StdioCommand, token: Option<&SecretString>) -> io::Result<Child> {
    let mut child = Command::new(&command.program);
    child
        .args(&command.arguments)
        .env_clear()
        .envs(command.environment.iter().map(|(name, value)| (name, value)));
    if let (Some(name), Some(token)) = (&command.token_variable, token) {
        child.env(name, token.expose());
    }
    if let Some(folder) = &command.folder {
        child.current_dir(folder);
    }
    child.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    #[cfg(unix)]
    child.process_group(0);
    child.spawn()
}

/// Serves the session until one side ends it. Then whoever waits gets an error, and the process is not yet stopped. What it says
/// on its standard error is read until it is.
pub(super) async fn serve(
    child: &mut Child,
    session: &Session,
    from_clients: mpsc::Receiver<Bytes>,
    command: &StdioCommand,
    name: &str,
) -> (Why, Option<StandardError>) {
    let (Some(stdin), Some(stdout), Some(stderr)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return (Why::Exited, None);
    };
    let process = child.id().unwrap_or_default();
    let writing = tokio::spawn(write(stdin, from_clients));
    let last = Arc::default();
    let whose = (name.to_owned(), process, session.token().cloned());
    // Ends with the process, or with the last of those that it started.
    let heard = tokio::spawn(log(stderr, whose, Arc::clone(&last)));
    let mut reading = pin!(read(stdout, session, command.limits.line));
    let why = tokio::select! {
        why = &mut reading => why,
        _ = child.wait() => timeout(REST, reading).await.unwrap_or(Why::Exited),
        () = session.end.notified() => Why::Asked,
        () = idle(session, command.limits.idle) => Why::Idle,
    };
    // Closes its standard input, which is how a server on stdio is told to end.
    writing.abort();
    session.close("The MCP server has ended: initialize a new session");
    (why, Some(StandardError { last, heard }))
}

/// Waits for the end of the process; after a while it is told to, after another while it has no choice.
pub(super) async fn stop(mut child: Child, group: Option<u32>, patience: Duration) -> Option<ExitStatus> {
    let mut status = timeout(patience, child.wait()).await;
    if status.is_err() {
        signal(group, End::Ask);
        status = timeout(patience, child.wait()).await;
    }
    // What it started may be there still, also when it ended by itself. Its group keeps the number from being
    // another's for as long as it has members.
    signal(group, End::Force);
    if let Ok(status) = status {
        return status.ok();
    }
    let _ = child.start_kill();
    child.wait().await.ok()
}

#[derive(Clone, Copy)]
enum End {
    Ask,
    Force,
}

#[cfg(unix)]
fn signal(group: Option<u32>, end: End) {
    use rustix::process::{Pid, Signal, kill_process_group};
    let group = group.and_then(|group| Pid::from_raw(i32::try_from(group).ok()?));
    if let Some(group) = group {
        let signal = match end {
            End::Ask => Signal::TERM,
            End::Force => Signal::KILL,
        };
        // Nobody there is the usual case.
        let _ = kill_process_group(group, signal);
    }
}

/// Without process groups only the process itself is stopped, by its handle.
#[cfg(not(unix))]
fn signal(_group: Option<u32>, _end: End) {}

/// The one writer of its standard input. Each message is one line: canonical ones have no line ends inside.
async fn write(mut stdin: ChildStdin, mut from_clients: mpsc::Receiver<Bytes>) {
    while let Some(line) = from_clients.recv().await {
        let written = async {
            stdin.write_all(&line).await?;
            stdin.write_all(b"\n").await?;
            stdin.flush().await
        };
        if let Err(error) = written.await {
            tracing::debug!(%error, "an MCP server does not read its standard input");
            return;
        }
    }
}

async fn read(stdout: ChildStdout, session: &Session, most: usize) -> Why {
    let mut reader = BufReader::with_capacity(64 * 1024, stdout);
    let mut line = Vec::new();
    loop {
        match lines::next(&mut reader, &mut line, most).await {
            Ok(Line::Whole) if line.is_empty() => {}
            Ok(Line::Whole) => match Message::parse(&line, json::Limits { bytes: most, depth: DEPTH }) {
                Ok(message) => session.deliver(message),
                Err(error) => return Why::NoMessage(error),
            },
            Ok(Line::Cut) => return Why::TooLong,
            Ok(Line::End) => return Why::Exited,
            Err(error) => return Why::Unreadable(error),
        }
        // One large message must not hold its memory for the life of the session.
        line.shrink_to(64 * 1024);
    }
}

/// Its standard error is for the operator, never for a client. Escaped: it may hold what a client sent. The token of its person
/// does not get into a log, although the process has it.
async fn log(
    stderr: ChildStderr,
    (server, process, token): (String, u32, Option<SecretString>),
    last: Arc<Mutex<VecDeque<String>>>,
) {
    let mut reader = BufReader::new(stderr);
    let mut line = Vec::new();
    loop {
        let goes_on =
            matches!(lines::next(&mut reader, &mut line, LOG_LINE).await, Ok(Line::Whole | Line::Cut));
        // Whoever gives up may not even end its last line.
        if goes_on || !line.is_empty() {
            let mut text = String::from_utf8_lossy(&line).into_owned();
            if let Some(token) = &token {
                text = text.replace(token.expose(), "[token]");
            }
            tracing::debug!(target: "hallpass::stderr", %server, process, line = ?text);
            let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
            if last.len() == LAST_LINES {
                last.pop_front();
            }
            last.push_back(text);
        }
        if !goes_on {
            return;
        }
    }
}

async fn idle(session: &Session, time: Duration) {
    let pause = (time / 4).clamp(Duration::from_millis(50), Duration::from_secs(30));
    while !session.is_idle(time) {
        tokio::time::sleep(pause).await;
    }
}
