//! A process that asks in its results, and a client that is asked by requests: between the two the question waits here, on the
//! stream of the request that it belongs to, and the request is sent once more with the answers.

use super::{
    modern::{self, Wanted},
    pending::Kind,
    session::{Session, State},
};
use bytes::Bytes;
use hallpass_core::mcp::{Message, Outcome, Raw, error::INTERNAL_ERROR, error_body};
use serde_json::Value;
use std::{collections::BTreeMap, sync::Arc};
use tokio::time::Instant;

/// How often one request is sent again: a process that is never content does not ask for ever.
const MOST: u8 = 10;

/// A request that may be sent again.
#[derive(Debug)]
pub(super) struct Round {
    /// As the process got it.
    request: Message,
    /// What it wants to have back.
    state: Option<Raw>,
    /// What the client has answered until now.
    answers: BTreeMap<String, Raw>,
    /// How many answers are not there yet.
    open: usize,
    turns: u8,
}

impl Round {
    pub(super) const fn new(request: Message) -> Self {
        Self { request, state: None, answers: BTreeMap::new(), open: 0, turns: 0 }
    }
}

impl Session {
    /// What a process without sessions answers to a client with one.
    pub(super) fn deliver_to_session(&self, id: Option<&Raw>, outcome: Outcome) {
        let Some(client) = self.kept_for() else { return };
        if self.unsubscribed(id) {
            return;
        }
        let mut state = self.lock();
        state.used = Instant::now();
        let Some(ours) = id.and_then(|id| state.ours(id)) else {
            tracing::debug!("an answer to no request");
            return;
        };
        let line = match modern::wanted(&outcome, client) {
            None => {
                let answer = modern::to_session(outcome);
                state.answer(ours, |id| {
                    Message::Response { id: Some(id.clone()), outcome: answer }.to_canonical()
                });
                return;
            }
            Some(wanted) => wanted.and_then(|wanted| state.ask(ours, wanted)),
        };
        match line {
            Ok(Some(line)) => drop(self.to_process.try_send(line)),
            Ok(None) => {}
            Err(text) => state.answer(ours, |id| error_body(Some(id), INTERNAL_ERROR, &text)),
        }
    }

    /// What a process without sessions says beside progress: on a subscription, or into the log of the newest request that
    /// wants it, where all requests are of one person.
    pub(super) fn deliver_of_the_revision(&self, message: &Message) -> bool {
        let state = self.lock();
        let found = match modern::subscription_of(message) {
            Some(ours) => {
                state.pending.get(&ours).filter(|pending| pending.kind == Kind::Listen).and_then(|pending| {
                    Some((modern::for_subscriber(message, &pending.id)?, Arc::clone(&pending.queue)))
                })
            }
            None if message.method() == Some("notifications/message") && !self.owner.is_everybody() => {
                let mut newest = state.pending.values().rev();
                newest
                    .find(|pending| pending.streams && pending.kind == Kind::Logged)
                    .map(|pending| (message.to_canonical(), Arc::clone(&pending.queue)))
            }
            None => None,
        };
        drop(state);
        let Some((line, queue)) = found else { return false };
        queue.push(line.into());
        true
    }

    /// What the client says beside its requests: answers to what it was asked, which the process gets with the request.
    /// Everything else is of the session, and the process knows none.
    pub(super) fn answered_by_client(&self, message: &Message) -> Option<Bytes> {
        let Message::Response { id, outcome } = message else { return None };
        let number: i64 = id.as_ref()?.as_str().parse().ok()?;
        let mut state = self.lock();
        let (ours, name) = state.asked.remove(&number)?;
        match outcome {
            Outcome::Result(result) => state.learn(ours, name, result.clone()),
            Outcome::Error(error) => {
                let said = error.to_value();
                let said = said.as_ref().and_then(|error| error.get("message")).and_then(Value::as_str);
                let text =
                    format!("The client did not answer the MCP server: {}", said.unwrap_or("an error"));
                state.answer(ours, |id| error_body(Some(id), INTERNAL_ERROR, &text));
                None
            }
        }
    }
}

impl State {
    /// Our number of the request that the process knows by this one.
    fn ours(&self, id: &Raw) -> Option<i64> {
        let number: i64 = id.as_str().parse().ok()?;
        let ours = self.again.get(&number).copied().unwrap_or(number);
        self.pending.get(&ours).filter(|pending| pending.current == number).map(|_| ours)
    }

    fn answer(&mut self, ours: i64, write: impl FnOnce(&Raw) -> Vec<u8>) {
        let Some(pending) = self.remove(ours) else { return };
        pending.queue.push_last(write(&pending.id).into());
    }

    /// Asks the client; or, where only a state was given, the process again at once.
    fn ask(&mut self, ours: i64, wanted: Wanted) -> Result<Option<Bytes>, String> {
        let Some(pending) = self.pending.get_mut(&ours) else { return Ok(None) };
        let queue = match (pending.streams, self.listening) {
            (true, _) => Some(Arc::clone(&pending.queue)),
            (false, Some(_)) => Some(Arc::clone(&self.listener)),
            (false, None) => None,
        };
        let Some(round) = &mut pending.round else { return Ok(None) };
        round.turns += 1;
        if round.turns > MOST {
            return Err("The MCP server asks its client again and again".to_owned());
        }
        (round.state, round.open) = (wanted.state, wanted.questions.len());
        round.answers.clear();
        if round.open == 0 {
            return Ok(self.once_more(ours));
        }
        let queue = queue.ok_or("The MCP server asks its client, and this client reads no stream")?;
        for (name, method, params) in wanted.questions {
            let number = self.next_id;
            self.next_id += 1;
            self.asked.insert(number, (ours, name));
            if !queue.push(modern::question(number, &method, params.as_ref()).into()) {
                return Err("The client does not read its stream".to_owned());
            }
        }
        Ok(None)
    }

    /// An answer of the client; with the last one the request goes to the process again.
    fn learn(&mut self, ours: i64, name: String, answer: Raw) -> Option<Bytes> {
        let round = self.pending.get_mut(&ours)?.round.as_mut()?;
        round.answers.insert(name, answer);
        round.open = round.open.saturating_sub(1);
        if round.open == 0 { self.once_more(ours) } else { None }
    }

    fn once_more(&mut self, ours: i64) -> Option<Bytes> {
        let number = self.next_id;
        self.next_id += 1;
        let pending = self.pending.get_mut(&ours)?;
        let round = pending.round.as_ref()?;
        let request = modern::again(&round.request, round.state.as_ref(), &round.answers);
        self.again.remove(&pending.current);
        pending.current = number;
        self.again.insert(number, ours);
        Some(request.with_id(Raw::integer(number)).to_canonical().into())
    }
}
