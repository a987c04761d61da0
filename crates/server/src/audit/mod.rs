//! The audit: one event for each security decision. One call says it in the log, counts it, and appends a line to the
//! node's chained log, so that nothing is said twice and nothing is forgotten.

mod chain;
mod connections;
mod counts;
mod end;
mod event;
mod facts;
mod file;
mod kind;
mod line;
mod providers;
mod reason;
mod second_factor;
mod sink;
mod tokens;
mod verify;

pub use chain::Broken;
pub(crate) use end::compare;
pub use end::{remember, remember_forever};
pub use event::Event;
pub use facts::{Actors, By, Call, Foreign, Which, Who, cut};
pub use file::{Found, files};
pub use kind::{Kind, Loudness};
pub use line::Line;
pub use reason::Reason;
pub use verify::{Finding, Verified, verify};

use crate::cx::Cx;
use arc_swap::ArcSwap;
use counts::Counts;
use facts::Facts;
use hallpass_core::{
    seal::KeyRing,
    time::{Clock, Timestamp},
};
use line::Circumstances;
use sink::{Sink, Target, WriterParts};
use std::{borrow::Cow, io, path::PathBuf, sync::Arc};

/// What an operator decided about the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditSettings {
    /// Where lines go.
    pub to: AuditTo,
    /// The name of this node in its lines and file names: lower case letters, digits and hyphens.
    pub node: Cow<'static, str>,
    /// A file is followed by the next one above so many bytes, and each day (UTC).
    pub file_bytes: u64,
    /// What happens while lines cannot be written.
    pub on_failure: OnFailure,
    /// Of each kind of event that strangers can cause, so many are written per minute; the others are counted.
    pub strangers_per_minute: u32,
    /// Whether each call through the gateway is a line.
    pub calls: bool,
}

/// Where lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuditTo {
    /// Nowhere: only log and counters. For programs that use this crate.
    Nothing,
    /// Files in this folder.
    Folder(PathBuf),
    /// Standard output.
    Stdout,
}

/// What happens while lines cannot be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// The server goes on; what the queue cannot hold is counted, and the count becomes a line.
    Continue,
    /// Nobody gets a code or a token meanwhile (503). Revoking and signing out still work.
    Refuse,
}

impl AuditSettings {
    /// No lines.
    pub const fn nothing() -> Self {
        Self {
            to: AuditTo::Nothing,
            node: Cow::Borrowed("main"),
            file_bytes: 64 * 1024 * 1024,
            on_failure: OnFailure::Continue,
            strangers_per_minute: 1_000,
            calls: false,
        }
    }

    /// Whether the node's name can be part of a file name and of a line.
    pub fn has_node_name(&self) -> bool {
        let plain = |byte: u8| byte == b'-' || byte.is_ascii_digit() || byte.is_ascii_lowercase();
        (1..=32).contains(&self.node.len()) && self.node.bytes().all(plain)
    }
}

/// Takes events.
pub struct Audit {
    sink: Option<Sink>,
    node: String,
    resumed: Option<u64>,
    on_failure: OnFailure,
    calls: bool,
    counts: Counts,
}

impl Audit {
    /// Opens the log behind its last line.
    ///
    /// # Errors
    /// When nothing can be written there, or another node does.
    pub fn open(settings: &AuditSettings, keys: Arc<KeyRing>, clock: Arc<dyn Clock>) -> io::Result<Self> {
        Self::opened(settings, keys, clock, false)
    }

    /// The same for a short command, which waits for its turn.
    ///
    /// # Errors
    /// When nothing can be written there.
    pub fn open_in_turn(
        settings: &AuditSettings,
        keys: Arc<KeyRing>,
        clock: Arc<dyn Clock>,
    ) -> io::Result<Self> {
        Self::opened(settings, keys, clock, true)
    }

    fn opened(
        settings: &AuditSettings,
        keys: Arc<KeyRing>,
        clock: Arc<dyn Clock>,
        wait: bool,
    ) -> io::Result<Self> {
        let mut at = None;
        let target = match &settings.to {
            AuditTo::Nothing => None,
            AuditTo::Stdout => Some(Target::Stdout),
            AuditTo::Folder(folder) => {
                let with = (&*keys, clock.now());
                let resumed = file::open(folder, &settings.node, settings.file_bytes, with, wait)?;
                at = Some(resumed.head.sequence);
                Some(Target::File(Box::new(resumed)))
            }
        };
        let node = settings.node.clone().into_owned();
        let parts = WriterParts { node: node.clone(), keys: Arc::new(ArcSwap::new(keys)), clock };
        let sink = target.map(|target| Sink::open(target, parts)).transpose()?;
        let counts = Counts::new(settings.strangers_per_minute);
        Ok(Self { sink, node, resumed: at, on_failure: settings.on_failure, calls: settings.calls, counts })
    }

    /// Goes on with other keys: lines to come are chained with the first of them.
    pub fn use_keys(&self, keys: &Arc<KeyRing>) {
        if let Some(sink) = &self.sink {
            sink.use_keys(Arc::clone(keys));
        }
    }

    /// Records what was decided in a request.
    pub fn record(&self, cx: Cx, event: Event<'_>) {
        let circumstances =
            Circumstances { at: cx.now, request: Some(cx.request), address: Some(cx.address) };
        self.put(circumstances, event);
    }

    /// Records what happened outside any request.
    pub fn record_at(&self, at: Timestamp, event: Event<'_>) {
        self.put(Circumstances { at, request: None, address: None }, event);
    }

    fn put(&self, circumstances: Circumstances, Event { kind, facts }: Event<'_>) {
        let admitted = self.counts.add(kind, facts.reason, circumstances.at);
        if admitted.left_out > 0 && (self.calls || !kind.is_call()) {
            let Event { kind, facts } = Event::left_out(kind, admitted.left_out);
            self.write(Circumstances { request: None, address: None, ..circumstances }, kind, facts);
        }
        if admitted.written && (self.calls || !kind.is_call()) {
            self.write(circumstances, kind, facts);
        }
    }

    fn write(&self, circumstances: Circumstances, kind: Kind, facts: Facts<'_>) {
        log(circumstances, kind, facts);
        if let Some(sink) = &self.sink {
            sink.put(line::members(circumstances, kind, facts), kind.is_urgent());
        }
    }

    /// Whether codes and tokens are to be refused because their lines could not be written.
    pub fn refuses(&self) -> bool {
        self.on_failure == OnFailure::Refuse
            && self.sink.as_ref().is_some_and(|sink| sink.is_failing() || sink.lost() > 0)
    }

    /// How often each event happened since the start, by reason where it has one.
    pub fn counted(&self) -> Vec<(Kind, Option<&'static str>, u64)> {
        self.counts.all()
    }

    /// Lines that wait to be written, lines that are lost, and whether writing fails.
    pub fn state(&self) -> (usize, u64, bool) {
        self.sink.as_ref().map_or((0, 0, false), |sink| (sink.waiting(), sink.lost(), sink.is_failing()))
    }

    /// The name of the node in the lines.
    pub fn node(&self) -> &str {
        &self.node
    }

    /// Behind which line the log went on when it was opened; `None` where there are no files.
    pub const fn resumed(&self) -> Option<u64> {
        self.resumed
    }

    /// The last line that is on the disk: its number and MAC. `None` before the first, and where there are no files.
    pub fn on_disk(&self) -> Option<(u64, String)> {
        let head = self.sink.as_ref()?.on_disk();
        (head.sequence > 0).then_some((head.sequence, head.mac))
    }

    /// Waits until all lines are written, or cannot be. Blocks.
    pub fn flush(&self) {
        if let Some(sink) = &self.sink {
            sink.flush();
        }
    }

    /// Writes what waits and closes the log. Blocks.
    pub fn close(&self, now: Timestamp) {
        let left_out = self.counts.take_left_out();
        for (kind, count) in left_out.into_iter().filter(|(kind, _)| self.calls || !kind.is_call()) {
            self.record_at(now, Event::left_out(kind, count));
        }
        if let Some(sink) = &self.sink {
            sink.close();
        }
    }
}

/// The same for the log.
fn log(circumstances: Circumstances, kind: Kind, facts: Facts<'_>) {
    macro_rules! say {
        ($level:ident) => {
            tracing::$level!(
                target: "hallpass::audit",
                event = kind.name(),
                reason = facts.reason,
                by = facts.by.map(By::name),
                person = facts.person.map(tracing::field::display),
                client = facts.client,
                grant = facts.grant().map(tracing::field::display),
                session = facts.session().map(tracing::field::display),
                resource = facts.resource,
                receiver = facts.receiver,
                scope = facts.scope,
                presented = facts.presented,
                generation = facts.generation,
                key = facts.key,
                version = facts.version,
                count = facts.count,
                address = circumstances.address.map(tracing::field::display),
                request = circumstances.request.map(tracing::field::display),
                "{}",
                kind.sentence()
            )
        };
    }
    match kind.loudness() {
        Loudness::Silent => {}
        Loudness::Debug => say!(debug),
        Loudness::Info => say!(info),
        Loudness::Warn => say!(warn),
        Loudness::Error => say!(error),
    }
}
