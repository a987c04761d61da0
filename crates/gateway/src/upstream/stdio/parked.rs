//! Clients without sessions, and a process that asks in the middle of a request, as processes with sessions do: the client gets the
//! question as the result of its request (`input_required`, SEP-2322). The request waits here, and goes on when the client sends it
//! again with the answer. Its process belongs to one person with one client, so nobody else is ever asked.

use super::{
    pending::Pending,
    queue::Queue,
    session::{Session, State},
    stateless,
};
use bytes::Bytes;
use hallpass_core::mcp::{Call, Message, Outcome, Raw, error::INTERNAL_ERROR, error_body};
use serde_json::Value;
use std::{collections::VecDeque, sync::Arc, time::Duration};
use tokio::time::Instant;

/// Requests of one process that wait for a person.
const MOST: usize = 16;
/// Questions of one request that wait.
const QUESTIONS: usize = 16;
/// How long a process is kept waiting.
const LIFETIME: Duration = Duration::from_mins(10);
/// The requests whose result may be a question.
const MAY_ASK: [&str; 3] = ["tools/call", "prompts/get", "resources/read"];
/// The name of the one question in such a result.
const NAME: &str = "question";

/// A request that waits for an answer of its client.
#[derive(Debug)]
pub(super) struct Parked {
    pending: Pending,
    /// What the process asks, by its ids.
    questions: VecDeque<(Raw, Call)>,
    /// What it answered meanwhile, without waiting any more.
    outcome: Option<Outcome>,
    /// Which question it is: an answer to the one before is none to this one.
    turn: u32,
    since: Instant,
}

impl Parked {
    /// Whether nobody answers any more.
    pub(super) fn is_over(&self) -> bool {
        self.since.elapsed() >= LIFETIME
    }

    /// What the client has to bring back. It is sealed on its way, for this caller and this request.
    fn state(&self, process: &str, ours: i64) -> String {
        format!("{process}/{ours}/{}", self.turn)
    }

    /// The question that is due, as a result; it is the last that is said on this stream.
    fn ask(&self, process: &str, ours: i64) {
        let Some((_, call)) = self.questions.front() else { return };
        let result = stateless::input_required(NAME, call, &self.state(process, ours));
        let answer =
            Message::Response { id: Some(self.pending.id.clone()), outcome: Outcome::Result(result) };
        self.pending.queue.push_last(answer.to_canonical().into());
    }
}

impl Session {
    /// Passes a question of the process on to the client whose request is under way. `false`: there is none that could be asked.
    pub(super) fn park(&self, id: &Raw, call: &Call) -> bool {
        if !self.offered(call.method()) {
            return false;
        }
        let mut state = self.lock();
        let may_ask = |pending: &Pending| pending.method().is_some_and(|method| MAY_ASK.contains(&method));
        let newest = state.pending.iter().rev().find(|(_, pending)| may_ask(pending)).map(|(ours, _)| *ours);
        let Some(ours) = newest else {
            // It asks more than one thing at a time.
            let Some(waiting) = state.parked.values_mut().next_back() else { return false };
            let room = waiting.questions.len() < QUESTIONS && !waiting.is_over();
            if room {
                waiting.questions.push_back((id.clone(), call.clone()));
            }
            return room;
        };
        if state.parked.len() >= MOST {
            return false;
        }
        let Some(pending) = state.remove(ours) else { return false };
        let questions = VecDeque::from([(id.clone(), call.clone())]);
        let parked = Parked { pending, questions, outcome: None, turn: 0, since: Instant::now() };
        parked.ask(self.process(), ours);
        state.parked.insert(ours, parked);
        true
    }

    /// Keeps an answer for a request that waits for its client. Nothing, where it does not.
    pub(super) fn keep_for_parked(&self, ours: i64, outcome: Outcome) -> Option<Outcome> {
        match self.lock().parked.get_mut(&ours) {
            Some(parked) => {
                parked.outcome = Some(outcome);
                None
            }
            None => Some(outcome),
        }
    }

    /// The request that waits, with the answer of its client: its number, what the process is told, and where its messages
    /// will be. In words why not.
    pub(super) fn resume(
        &self,
        request: &Message,
        streams: bool,
    ) -> Result<(i64, Bytes, Arc<Queue>), &'static str> {
        const OVER: &str = "The MCP server does not wait for this answer any more: make the request again";
        let params = request.call().and_then(|call| call.params()).and_then(Raw::members).unwrap_or_default();
        let text = params.get("requestState").and_then(Raw::to_value);
        let text = text.as_ref().and_then(Value::as_str).unwrap_or_default();
        let answer = params.get("inputResponses").and_then(Raw::members).and_then(|mut all| all.remove(NAME));
        let mut state = self.lock();
        self.forget_old(&mut state);
        let is_it = |(ours, parked): &(&i64, &Parked)| parked.state(self.process(), **ours) == text;
        let ours = *state.parked.iter().find(is_it).ok_or(OVER)?.0;
        let answer = answer.ok_or("inputResponses has no answer to what the MCP server asked")?;
        let mut parked = state.parked.remove(&ours).ok_or(OVER)?;
        let (id, _) = parked.questions.pop_front().ok_or(OVER)?;
        let line = Message::Response { id: Some(id), outcome: Outcome::Result(answer) }.to_canonical();
        let queue = Arc::new(Queue::default());
        parked.pending.again(request, (Arc::clone(&queue), streams));
        (parked.turn, parked.since, state.used) = (parked.turn + 1, Instant::now(), Instant::now());
        if let Some(outcome) = parked.outcome.take() {
            parked.pending.answered(outcome);
        } else if parked.questions.is_empty() {
            state.pending.insert(ours, parked.pending);
        } else {
            parked.ask(self.process(), ours);
            state.parked.insert(ours, parked);
        }
        Ok((ours, line.into(), queue))
    }

    /// Tells the process of those whom nobody answered.
    pub(super) fn forget_old(&self, state: &mut State) {
        let over: Vec<i64> =
            state.parked.iter().filter(|(_, parked)| parked.is_over()).map(|(ours, _)| *ours).collect();
        for ours in over {
            let Some(parked) = state.parked.remove(&ours) else { continue };
            for (id, _) in parked.questions {
                let line = error_body(Some(&id), INTERNAL_ERROR, "The client did not answer");
                let _ = self.to_process.try_send(line.into());
            }
            self.cancel(ours, "The client did not come back");
        }
    }
}
