//! What comes back, piece by piece, for as long as the caller's token is good (RS-058, T-86).

use crate::{
    events::EventFilter, handles::Passing, headers::AnswerFault, router::Server, traffic::Place,
    upstream::AnswerBody,
};
use bytes::{Bytes, BytesMut};
use hallpass_resource::Authenticated;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt as _;
use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::time::{Instant, Sleep};

/// How often an open stream asks whether its token is still good.
pub(crate) const RECHECK: Duration = Duration::from_secs(1);

/// The body of an answer. Nothing is buffered: an event passes when it comes, and when the client leaves, the
/// connection to the upstream is dropped with this.
pub(crate) struct Guarded {
    inner: AnswerBody,
    server: Arc<Server>,
    caller: Authenticated,
    /// How long it may be silent. Nothing for event streams.
    silence: Option<Duration>,
    heard: Instant,
    next_check: Instant,
    /// Made when there is something to wait for: most answers are there at once.
    timer: Option<Pin<Box<Sleep>>>,
    ended: bool,
    /// Where lists are filtered.
    filter: Option<EventFilter>,
    /// For streams of events.
    alive: Option<KeepAlive>,
    /// What was read already, and is passed on before the rest.
    ahead: Option<Bytes>,
    /// How much may still come. Of streams of events, each event has its own limit.
    left: u64,
    /// Where a handle would pass unsealed.
    passing: Option<Passing>,
}

/// Comments for a stream that is silent.
struct KeepAlive {
    /// After so much silence.
    every: Duration,
    /// When something was passed on last.
    passed: Instant,
    /// Its place among those of its caller, for as long as it is open.
    _place: Option<Place>,
}

/// A line that every reader of events skips. Streams of events pass a filter that gives whole events, so it never comes into the
/// middle of one.
const COMMENT: Bytes = Bytes::from_static(b": \n");

/// Why an answer is cut off. The client sees a broken connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CutOff {
    /// The upstream.
    #[error("the upstream broke off its answer: {0}")]
    Upstream(#[from] hyper::Error),
    /// Silence where there has to be more.
    #[error("the upstream fell silent in the middle of its answer")]
    Silent,
    /// Only where lists are filtered.
    #[error("the upstream sent an event that is no message or is too long")]
    Event,
    /// Longer than the operator wants.
    #[error("{}", AnswerFault::TooLong)]
    TooLong,
    /// With a handle where none can be sealed.
    #[error("{}", AnswerFault::Handles)]
    Handle,
}

impl CutOff {
    /// The same of an answer of which nothing was passed on yet.
    pub(crate) const fn fault(&self) -> AnswerFault {
        match self {
            Self::TooLong => AnswerFault::TooLong,
            Self::Handle => AnswerFault::Handles,
            Self::Upstream(_) | Self::Silent | Self::Event => AnswerFault::Broken,
        }
    }
}

impl Guarded {
    /// Passes `inner` on to this caller.
    pub(crate) fn new(
        inner: AnswerBody,
        server: Arc<Server>,
        caller: Authenticated,
        silence: Option<Duration>,
    ) -> Self {
        let now = Instant::now();
        let left = if silence.is_some() { server.limits.answer_length } else { u64::MAX };
        Self {
            inner,
            left,
            passing: None,
            server,
            caller,
            silence,
            heard: now,
            next_check: now + RECHECK,
            timer: None,
            ended: false,
            filter: None,
            alive: None,
            ahead: None,
        }
    }

    /// All of it, where that is no more than `most`. Where it is more, nothing, and all of it is still passed on.
    pub(crate) async fn whole(&mut self, most: u64) -> Result<Option<Bytes>, CutOff> {
        let mut read = BytesMut::new();
        while let Some(frame) = self.frame().await {
            if let Ok(piece) = frame?.into_data() {
                read.extend_from_slice(&piece);
            }
            if u64::try_from(read.len()).is_ok_and(|length| length > most) {
                self.ahead = Some(read.freeze());
                return Ok(None);
            }
        }
        Ok(Some(read.freeze()))
    }

    /// The same, and it is cut off where a handle would pass. At once where there is one in what was read already.
    pub(crate) fn without_handles(mut self) -> Result<Self, CutOff> {
        let mut passing = Passing::default();
        if self.ahead.as_ref().is_some_and(|ahead| passing.finds(ahead)) {
            return Err(CutOff::Handle);
        }
        self.passing = Some(passing);
        Ok(self)
    }

    /// The same with a comment now and then where there is nothing to say, and in its place among the caller's streams.
    pub(crate) fn kept_alive(mut self, place: Option<Place>) -> Self {
        let every = self.server.limits.keep_alive;
        self.alive = Some(KeepAlive { every, passed: self.heard, _place: place });
        self
    }

    /// A comment, when it is time for one.
    fn comment(&mut self, now: Instant) -> Option<Frame<Bytes>> {
        let alive = self.alive.as_mut()?;
        let due = now.duration_since(alive.passed) >= alive.every;
        due.then(|| {
            alive.passed = now;
            Frame::data(COMMENT)
        })
    }

    /// The same with the lists of an event stream filtered.
    pub(crate) fn filtered(mut self, filter: EventFilter) -> Self {
        self.filter = Some(filter);
        self
    }

    /// What of a piece is passed on now: maybe nothing yet.
    fn shown(&mut self, frame: Frame<Bytes>) -> Result<Option<Frame<Bytes>>, CutOff> {
        if let Some(piece) = frame.data_ref() {
            let left = u64::try_from(piece.len()).ok().and_then(|length| self.left.checked_sub(length));
            self.left = left.ok_or(CutOff::TooLong)?;
            if self.passing.as_mut().is_some_and(|passing| passing.finds(piece)) {
                return Err(CutOff::Handle);
            }
        }
        let Some(filter) = &mut self.filter else { return Ok(Some(frame)) };
        let Ok(piece) = frame.into_data() else { return Ok(None) };
        let shown = filter.take(&piece)?;
        Ok((!shown.is_empty()).then(|| Frame::data(shown)))
    }

    /// Whether it may go on. A stream whose token is no longer good ends, as if the upstream had ended it.
    fn may_go_on(&mut self, now: Instant) -> bool {
        self.next_check = now + RECHECK;
        let resource = &self.server.resource;
        match resource.recheck(&self.caller, resource.now()) {
            Ok(()) => true,
            Err(reason) => {
                tracing::info!(server = %self.server.name, client = self.caller.client_id(), %reason, "stream ended");
                self.ended = true;
                false
            }
        }
    }
}

impl Body for Guarded {
    type Data = Bytes;
    type Error = CutOff;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, CutOff>>> {
        loop {
            if self.ended {
                return Poll::Ready(None);
            }
            if let Some(ahead) = self.ahead.take() {
                return Poll::Ready(Some(Ok(Frame::data(ahead))));
            }
            if let Poll::Ready(frame) = Pin::new(&mut self.inner).poll_frame(context) {
                let now = Instant::now();
                // An upstream that never pauses never lets the timer run.
                if now >= self.next_check && !self.may_go_on(now) {
                    continue;
                }
                self.heard = now;
                // Trailers could carry headers past the list.
                return Poll::Ready(match frame {
                    Some(Ok(frame)) if frame.is_trailers() => None,
                    Some(Ok(frame)) => match self.shown(frame) {
                        Ok(Some(frame)) => {
                            if let Some(alive) = &mut self.alive {
                                alive.passed = now;
                            }
                            Some(Ok(frame))
                        }
                        Ok(None) => continue,
                        Err(error) => {
                            tracing::warn!(server = %self.server.name, %error, "an answer is cut off");
                            self.ended = true;
                            Some(Err(error))
                        }
                    },
                    Some(Err(error)) => Some(Err(error.into())),
                    None => None,
                });
            }
            let until = self.next_check;
            let timer = self.timer.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(until)));
            if timer.deadline() < until {
                timer.as_mut().reset(until);
            }
            ready!(timer.as_mut().poll(context));
            let now = Instant::now();
            let goes_on = self.may_go_on(now);
            if goes_on && let Some(comment) = self.comment(now) {
                return Poll::Ready(Some(Ok(comment)));
            }
            if goes_on && self.silence.is_some_and(|silence| now.duration_since(self.heard) >= silence) {
                self.ended = true;
                return Poll::Ready(Some(Err(CutOff::Silent)));
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ended || (self.ahead.is_none() && self.inner.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        if self.filter.is_some() || self.alive.is_some() || self.ahead.is_some() {
            SizeHint::default()
        } else {
            self.inner.size_hint()
        }
    }
}
