//! What comes back: one answer, or a stream of messages that may break and be taken up again.

use super::{Bridge, exchange::Answered};
use crate::{
    driver::call::of_server,
    error::{ClientError, Failed, Party},
    sse::EventReader,
    wire::{self, MAX_MESSAGE, Wire},
};
use hallpass_core::mcp::{Message, Outcome, Raw};
use hallpass_fetch::Body;
use http::{HeaderMap, Response, StatusCode, header};
use serde_json::Value;
use std::time::Duration;

/// How often a broken stream is taken up again before its request is given up.
const RESUMPTIONS: u32 = 5;
/// Between two tries; doubled each time.
const PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// What reading a stream to its end has shown.
struct Read {
    answered: bool,
    last_event: Option<String>,
}

impl Bridge {
    /// Hands over everything that an answer brings.
    pub(super) async fn deliver(&self, sent: &Message, answered: Answered) -> Result<(), Failed> {
        let Answered { response, wire } = answered;
        let status = response.status();
        let (head, body) = response.into_parts();
        if status.is_success() && is_stream(&head.headers) {
            let read = self.pass_stream(body, Some((sent, &head.headers))).await;
            return self.after_stream(sent, wire, read).await;
        }
        let body = body.collect().await.map_err(of_server)?;
        match (sent, Message::parse(&body, Message::LIMITS)) {
            (Message::Request { .. }, Ok(message @ Message::Response { .. })) => {
                self.hand_over(message, Some((sent, &head.headers))).await;
                Ok(())
            }
            (Message::Request { .. }, _) if status.is_success() => Err(ClientError::NotMcp.into()),
            _ if status.is_success() => {
                self.accepted(sent);
                Ok(())
            }
            _ => Err(ClientError::Status { what: Party::Server, status: status.as_u16() }.into()),
        }
    }

    /// Reads the answer to `initialize` that the client is not shown.
    pub(super) async fn read_opening(&self, response: Response<Body>) -> Result<Wire, Failed> {
        let (head, mut body) = response.into_parts();
        let opened = |message: &Message| session_of(message, &head.headers);
        if !is_stream(&head.headers) {
            let body = body.collect().await.map_err(of_server)?;
            let message = Message::parse(&body, Message::LIMITS).map_err(|_| ClientError::NotMcp)?;
            return opened(&message).ok_or_else(|| ClientError::NotMcp.into());
        }
        let mut events = EventReader::new(MAX_MESSAGE);
        while let Some(piece) = body.chunk().await.map_err(of_server)? {
            for event in events.push(&piece).map_err(|_| ClientError::NotMcp)? {
                let message = Message::parse(&event, Message::LIMITS);
                if let Some(wire) = message.ok().as_ref().and_then(opened) {
                    return Ok(wire);
                }
            }
        }
        Err(ClientError::NotMcp.into())
    }

    /// Listens for what the server says by itself, as long as it offers that (2025 wire).
    pub(super) fn listen(&self, wire: Wire) {
        let bridge = self.clone();
        let task = tokio::spawn(async move { bridge.listen_on(&wire).await });
        if let Some(before) = self.state().listening.replace(task.abort_handle()) {
            before.abort();
        }
    }

    async fn listen_on(&self, wire: &Wire) {
        let (mut pause, mut last_event) = (PAUSE, None);
        loop {
            match self.resume(wire, last_event.as_deref(), None).await {
                Ok(Some(read)) => {
                    pause = PAUSE;
                    last_event = read.last_event.or(last_event);
                }
                // Not offered, or not to this sign-in: the client's next request says the rest.
                Ok(None) => return,
                Err(_) => pause = pause.saturating_mul(2).min(LONGEST_PAUSE),
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// One `GET` stream to its end; `None`: the server has none. With `sent`, it may bring the answer to that.
    async fn resume(
        &self,
        wire: &Wire,
        last_event: Option<&str>,
        sent: Option<&Message>,
    ) -> Result<Option<Read>, Failed> {
        let request =
            wire::listen(self.0.credentials.server(), wire, last_event).map_err(|_| ClientError::NotMcp)?;
        let entry = self.0.credentials.current().await?;
        let response = self.ask(request, entry.as_deref()).await?;
        let (head, body) = response.into_parts();
        if head.status.is_server_error() || head.status == StatusCode::TOO_MANY_REQUESTS {
            let status = head.status.as_u16();
            return Err(ClientError::Status { what: Party::Server, status }.into());
        }
        if !head.status.is_success() || !is_stream(&head.headers) {
            return Ok(None);
        }
        Ok(Some(self.pass_stream(body, sent.map(|sent| (sent, &head.headers))).await))
    }

    /// Hands over the messages of a stream until it ends, however it does. `sent` is what it answers.
    async fn pass_stream(&self, mut body: Body, sent: Option<(&Message, &HeaderMap)>) -> Read {
        let mut events = EventReader::new(MAX_MESSAGE);
        let mut answered = false;
        while let Ok(Some(piece)) = body.chunk().await {
            let Ok(messages) = events.push(&piece) else { break };
            for message in messages.iter().filter_map(|data| Message::parse(data, Message::LIMITS).ok()) {
                answered |= answers(&message, sent.map(|(sent, _)| sent));
                self.hand_over(message, sent).await;
            }
            if answered {
                break;
            }
        }
        Read { answered, last_event: events.last_id().map(str::to_owned) }
    }

    /// A stream that broke before its answer is taken up where it broke, where the server numbers its events.
    async fn after_stream(&self, sent: &Message, wire: Option<Wire>, read: Read) -> Result<(), Failed> {
        let Message::Request { .. } = sent else { return Ok(()) };
        let (mut last_event, mut pause) = (read.last_event, PAUSE);
        if read.answered {
            return Ok(());
        }
        for _ in 0..RESUMPTIONS {
            let (Some(wire @ Wire::Session { .. }), Some(event)) = (&wire, &last_event) else { break };
            tokio::time::sleep(pause).await;
            pause = pause.saturating_mul(2);
            match self.resume(wire, Some(event), Some(sent)).await {
                Ok(Some(read)) if read.answered => return Ok(()),
                Ok(Some(read)) => last_event = read.last_event.or(last_event),
                Ok(None) => break,
                Err(_) => {}
            }
        }
        Err(of_server(hallpass_fetch::FetchError::Interrupted))
    }

    /// One message to the client, and what it teaches on the way.
    async fn hand_over(&self, mut message: Message, sent: Option<(&Message, &HeaderMap)>) {
        if let Some((sent, headers)) = sent.filter(|(sent, _)| answers(&message, Some(sent))) {
            match sent.method() {
                Some("initialize") => self.state().session = session_of(&message, headers),
                Some("tools/list") => message = self.learn(message),
                _ => {}
            }
        }
        self.send(message.to_canonical()).await;
    }

    fn learn(&self, message: Message) -> Message {
        let mut state = self.state();
        let Message::Response { id, outcome: Outcome::Result(raw) } = &message else { return message };
        let Some(mut result) = raw.to_value().filter(|_| state.stateless) else { return message };
        state.tool_headers.learn(&mut result);
        Message::Response { id: id.clone(), outcome: Outcome::Result(Raw::from_value(&result)) }
    }

    /// The server has taken a message that has no answer.
    fn accepted(&self, sent: &Message) {
        let session = self.state().session.clone();
        if let (Some("notifications/initialized"), Some(wire)) = (sent.method(), session) {
            self.listen(wire);
        }
    }
}

fn answers(message: &Message, sent: Option<&Message>) -> bool {
    matches!(message, Message::Response { .. }) && sent.is_some_and(|sent| sent.id() == message.id())
}

fn session_of(message: &Message, headers: &HeaderMap) -> Option<Wire> {
    let Message::Response { outcome: Outcome::Result(raw), .. } = message else { return None };
    wire::session(headers, &raw.to_value().unwrap_or(Value::Null))
}

fn is_stream(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("text/event-stream"))
}
