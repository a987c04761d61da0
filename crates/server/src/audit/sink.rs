//! From the requests to the file, on a thread of its own.
//!
//! A request hands its line over and goes on: it never waits for a disk. The queue is bounded. While the disk is full
//! or away the lines wait in it, then they are counted, and the number becomes a line of the chain when writing works
//! again: nothing is lost silently. A strict operator has no tokens issued meanwhile.

use super::{
    Circumstances, Event,
    chain::{self, Head},
    file::{LogFile, Resumed},
    line,
};
use arc_swap::ArcSwap;
use hallpass_core::{seal::KeyRing, time::Clock};
use std::{
    io::{self, Write},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

/// Lines that wait at most: some megabytes, some seconds of the busiest node.
const WAITING: usize = 16_384;
/// A line waits this long for others, unless it is urgent.
const DELAY: Duration = Duration::from_millis(50);
/// What was written is on the disk after this.
const SYNC: Duration = Duration::from_secs(1);

/// Where lines go.
pub(super) enum Target {
    /// Files.
    File(Box<Resumed>),
    /// Standard output: a chain of its own for each start.
    Stdout,
}

/// The requests' end of the queue.
pub(super) struct Sink {
    shared: Arc<Shared>,
    keys: Arc<ArcSwap<KeyRing>>,
    writer: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Default)]
struct Queue {
    lines: Vec<String>,
    urgent: bool,
    closing: bool,
    closed: bool,
    /// Lines taken by the writer and not yet written.
    taken: usize,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    arrived: Condvar,
    written: Condvar,
    lost: AtomicU64,
    failing: AtomicBool,
    /// The last line that is on the disk for sure.
    on_disk: Mutex<Head>,
}

/// What the writer needs.
pub(super) struct WriterParts {
    /// Name in the lines.
    pub node: String,
    /// For the chain: what is in force when lines are written.
    pub keys: Arc<ArcSwap<KeyRing>>,
    /// For the sink's own lines.
    pub clock: Arc<dyn Clock>,
}

impl Sink {
    pub(super) fn open(target: Target, parts: WriterParts) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let (head, out, opened) = match target {
            Target::Stdout => (Head::default(), None, "stdout"),
            Target::File(resumed) => {
                let before = resumed.before.name();
                (resumed.head, Some(resumed.file), before)
            }
        };
        let keys = Arc::clone(&parts.keys);
        let mut writer =
            Writer { parts, head, out, shared: Arc::clone(&shared), synced: Instant::now(), dirty: false };
        let first = writer.own(&Event::log_opened(opened));
        // What cannot be written at the start is told at once, and the node does not start.
        writer.write(&[first])?;
        let thread = std::thread::Builder::new().name("audit".to_owned()).spawn(move || writer.run())?;
        Ok(Self { shared, keys, writer: Mutex::new(Some(thread)) })
    }

    /// Lines are chained with these keys from the next batch on.
    pub(super) fn use_keys(&self, keys: Arc<KeyRing>) {
        self.keys.store(keys);
    }

    /// Hands a line over. A full queue counts it as lost.
    pub(super) fn put(&self, line: String, urgent: bool) {
        let mut queue = self.shared.queue();
        if queue.closing || queue.lines.len() >= WAITING {
            drop(queue);
            self.shared.lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        let wake = queue.lines.is_empty() || (urgent && !queue.urgent);
        queue.lines.push(line);
        queue.urgent |= urgent;
        drop(queue);
        if wake {
            self.shared.arrived.notify_one();
        }
    }

    /// Whether lines cannot be written at this moment.
    pub(super) fn is_failing(&self) -> bool {
        self.shared.failing.load(Ordering::Relaxed)
    }

    /// Lines lost that no line of the chain has told of yet.
    pub(super) fn lost(&self) -> u64 {
        self.shared.lost.load(Ordering::Relaxed)
    }

    /// The last line that is on the disk.
    pub(super) fn on_disk(&self) -> Head {
        self.shared.on_disk.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Lines that wait.
    pub(super) fn waiting(&self) -> usize {
        let queue = self.shared.queue();
        queue.lines.len() + queue.taken
    }

    /// Waits until all that was handed over is written, or cannot be.
    pub(super) fn flush(&self) {
        let mut queue = self.shared.queue();
        queue.urgent = true;
        self.shared.arrived.notify_one();
        while !(queue.closed || (queue.lines.is_empty() && queue.taken == 0) || self.is_failing()) {
            queue = self.shared.written.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Writes what waits and a closing line, and ends the thread.
    pub(super) fn close(&self) {
        self.shared.queue().closing = true;
        self.shared.arrived.notify_one();
        let thread = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = thread.join();
        }
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Writer {
    parts: WriterParts,
    head: Head,
    out: Option<LogFile>,
    shared: Arc<Shared>,
    synced: Instant,
    dirty: bool,
}

impl Writer {
    fn run(mut self) {
        let mut lines = Vec::new();
        loop {
            let closing = self.take(&mut lines);
            if !lines.is_empty() {
                let mut batch = std::mem::take(&mut lines);
                let lost = self.shared.lost.load(Ordering::Relaxed);
                if lost > 0 {
                    batch.push(self.own(&Event::counted(super::Kind::LinesLost, lost)));
                }
                let written = self.write(&batch);
                if written.is_ok() {
                    self.shared.lost.fetch_sub(lost, Ordering::Relaxed);
                } else if lost > 0 {
                    batch.pop();
                }
                self.told(&written);
                if written.is_err() {
                    lines = batch;
                }
            }
            self.sync();
            if closing {
                break;
            }
        }
        self.finish(lines);
    }

    /// Waits for lines. Those that could not be written stay at the front.
    fn take(&self, lines: &mut Vec<String>) -> bool {
        let mut queue = self.shared.queue();
        if lines.is_empty() {
            let nothing = |queue: &mut Queue| queue.lines.is_empty() && !queue.closing;
            queue = wait(&self.shared.arrived, queue, if self.dirty { SYNC } else { Duration::MAX }, nothing);
            queue = wait(&self.shared.arrived, queue, DELAY, |queue| {
                !queue.lines.is_empty() && !queue.urgent && !queue.closing && queue.lines.len() < WAITING / 2
            });
            *lines = std::mem::take(&mut queue.lines);
        } else {
            queue = wait(&self.shared.arrived, queue, SYNC, |queue| !queue.closing);
        }
        queue.urgent = false;
        queue.taken = lines.len();
        queue.closing
    }

    fn write(&mut self, batch: &[String]) -> io::Result<()> {
        let now = self.parts.clock.now();
        if let Some(file) = &mut self.out
            && file.is_full(now)
        {
            file.begin(now)?;
        }
        let keys = self.parts.keys.load();
        let (mut text, mut head) = (String::with_capacity(batch.len() * 640), self.head.clone());
        for members in batch {
            let (line, next) = chain::link(&keys, &self.parts.node, &head, members);
            text.push_str(&line);
            head = next;
        }
        match &mut self.out {
            Some(file) => file.append(text.as_bytes())?,
            None => stdout(text.as_bytes())?,
        }
        (self.head, self.dirty) = (head, self.out.is_some());
        Ok(())
    }

    /// Says once that writing fails, and once that it works again.
    fn told(&self, written: &io::Result<()>) {
        let failed_before = self.shared.failing.swap(written.is_err(), Ordering::Relaxed);
        match written {
            Err(error) if !failed_before => {
                tracing::error!(%error, "the audit log cannot be written: make room or give the folder back; lines wait");
            }
            Ok(()) if failed_before => tracing::warn!("the audit log is written again"),
            Ok(()) | Err(_) => {}
        }
        if written.is_ok() {
            self.shared.queue().taken = 0;
        }
        self.shared.written.notify_all();
    }

    fn sync(&mut self) {
        if self.dirty && self.synced.elapsed() >= SYNC {
            match self.out.as_ref().map(LogFile::sync) {
                Some(Err(error)) => {
                    self.shared.failing.store(true, Ordering::Relaxed);
                    tracing::error!(%error, "the audit log did not reach the disk");
                }
                Some(Ok(())) => self.reached_the_disk(),
                None => {}
            }
            (self.dirty, self.synced) = (false, Instant::now());
        }
    }

    fn reached_the_disk(&self) {
        *self.shared.on_disk.lock().unwrap_or_else(PoisonError::into_inner) = self.head.clone();
    }

    /// The last line, and where the chain ends: whoever keeps that sentence sees what is cut off later.
    fn finish(&mut self, mut batch: Vec<String>) {
        batch.append(&mut self.shared.queue().lines);
        let left = batch.len();
        let lost = self.shared.lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            batch.push(self.own(&Event::counted(super::Kind::LinesLost, lost)));
        }
        batch.push(self.own(&Event::log_closed()));
        match self.write(&batch) {
            Ok(()) => {
                if let Some(Ok(())) = self.out.as_ref().map(LogFile::sync) {
                    self.reached_the_disk();
                }
            }
            Err(error) => {
                tracing::error!(%error, lines = left, "the audit log could not be closed: lines are lost");
            }
        }
        let mut queue = self.shared.queue();
        (queue.closed, queue.taken) = (true, 0);
        drop(queue);
        self.shared.written.notify_all();
    }

    fn own(&self, event: &Event<'_>) -> String {
        let at = self.parts.clock.now();
        let circumstances = Circumstances { at, request: None, address: None };
        line::members(circumstances, event.kind, event.facts)
    }
}

fn wait<'a>(
    condition: &Condvar,
    queue: MutexGuard<'a, Queue>,
    most: Duration,
    until: impl FnMut(&mut Queue) -> bool,
) -> MutexGuard<'a, Queue> {
    if most == Duration::MAX {
        return condition.wait_while(queue, until).unwrap_or_else(PoisonError::into_inner);
    }
    condition.wait_timeout_while(queue, most, until).unwrap_or_else(PoisonError::into_inner).0
}

fn stdout(text: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text)?;
    out.flush()
}
