//! What a client in a session hears of when it changes, where the process knows no sessions: one subscription of ours stands for
//! all of it, and another takes its place when the client wants to hear of more or less.
//!
//! The one before goes on until the process has said that it took the new one, so that nothing is missed between the two.

use super::{
    modern::{self, Envelope, LISTEN},
    session::Session,
};
use bytes::Bytes;
use hallpass_core::mcp::{Message, Raw, error::INTERNAL_ERROR, error_body};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Resources of one session that are heard of.
const RESOURCES: usize = 64;
/// Bytes of the URI of one.
const LONGEST: usize = 4096;
/// Subscriptions that were replaced and that the process still has.
const REPLACED: usize = 8;
const ACKNOWLEDGED: &str = "notifications/subscriptions/acknowledged";
/// What a process says that it can do, and what that is in a subscription.
const LISTS: [(&str, &str); 3] =
    [("tools", "toolsListChanged"), ("prompts", "promptsListChanged"), ("resources", "resourcesListChanged")];

/// What the client of a session is to hear of, and by which subscription.
#[derive(Debug, Default)]
pub(super) struct Subscribed {
    /// Changes of lists, from the moment in which the client is ready.
    lists: Vec<&'static str>,
    /// Whether the process tells of single resources.
    by_resource: bool,
    ready: bool,
    resources: BTreeSet<String>,
    /// Our number of the subscription.
    number: Option<i64>,
    replaced: Vec<i64>,
}

impl Subscribed {
    /// As far as the process says that it can.
    pub(super) fn of(discovered: &Value) -> Self {
        let lists = LISTS.iter().filter(|(of, _)| tells(discovered, of, "listChanged"));
        Self {
            lists: lists.map(|(_, name)| *name).collect(),
            by_resource: tells(discovered, "resources", "subscribe"),
            ..Self::default()
        }
    }

    fn filter(&self) -> Option<Value> {
        let mut filter = serde_json::Map::new();
        if self.ready {
            filter.extend(self.lists.iter().map(|name| ((*name).to_owned(), json!(true))));
        }
        if !self.resources.is_empty() {
            filter.insert("resourceSubscriptions".to_owned(), json!(self.resources));
        }
        (!filter.is_empty()).then_some(Value::Object(filter))
    }

    /// Another subscription under this number, in place of the one before: what to send for it, and what to cancel at once.
    fn renew(&mut self, number: i64, client: &Envelope) -> (Option<Bytes>, Vec<i64>) {
        let request = self.filter().and_then(|filter| request(number, &filter, client));
        let mut over = Vec::new();
        self.replaced.extend(self.number.take());
        if request.is_none() {
            over.append(&mut self.replaced);
        } else {
            self.number = Some(number);
            let most = self.replaced.len().saturating_sub(REPLACED);
            over.extend(self.replaced.drain(..most));
        }
        (request, over)
    }

    /// Whether a subscription with this number is over, which the process says. True where there was one.
    fn ended(&mut self, number: i64) -> bool {
        let known = self.replaced.len();
        self.replaced.retain(|replaced| *replaced != number);
        let current = self.number.take_if(|current| *current == number);
        current.is_some() || self.replaced.len() < known
    }
}

/// Whether a process tells of such changes: what its client is told that it can do.
pub(super) fn tells(discovered: &Value, of: &str, what: &str) -> bool {
    let capability = discovered.get("capabilities").and_then(|offered| offered.get(of)?.get(what));
    capability == Some(&Value::Bool(true))
}

fn request(number: i64, filter: &Value, client: &Envelope) -> Option<Bytes> {
    let params = json!({ "notifications": filter });
    let text = json!({ "jsonrpc": "2.0", "id": number, "method": LISTEN, "params": params }).to_string();
    let request = Message::parse(text.as_bytes(), Message::LIMITS).ok()?;
    Some(client.around(request, None).to_canonical().into())
}

impl Session {
    /// The client is ready to hear of changes.
    pub(super) fn is_ready(&self) {
        let wanted = {
            let subscribed = &mut self.lock().subscribed;
            !std::mem::replace(&mut subscribed.ready, true) && !subscribed.lists.is_empty()
        };
        if wanted {
            self.subscribe_anew();
        }
    }

    /// The answer to `resources/subscribe` and `resources/unsubscribe`, where the process tells of single resources.
    pub(super) fn subscribes(&self, request: &Message) -> Option<Vec<u8>> {
        let (id, call) = (request.id()?, request.call()?);
        let begins = match call.method() {
            "resources/subscribe" => true,
            "resources/unsubscribe" => false,
            _ => return None,
        };
        let refused = |text| Some(error_body(Some(id), INTERNAL_ERROR, text));
        let params = call.params().and_then(Raw::to_value);
        // The same reading as that by which it was allowed.
        let uri = params.as_ref().and_then(|params| params.get("uri")?.as_str()).unwrap_or_default();
        let changed = {
            let subscribed = &mut self.lock().subscribed;
            if !subscribed.by_resource {
                return None;
            }
            if begins && (uri.is_empty() || uri.len() > LONGEST || subscribed.resources.len() >= RESOURCES) {
                return refused("No more resources can be subscribed to in this session");
            }
            if begins {
                subscribed.resources.insert(uri.to_owned())
            } else {
                subscribed.resources.remove(uri)
            }
        };
        if changed && !self.subscribe_anew() {
            // Asked once more, it is tried once more.
            self.lock().subscribed.resources.remove(uri);
            return refused("The MCP server does not read what it is sent");
        }
        Some(modern::done(id))
    }

    fn subscribe_anew(&self) -> bool {
        let Some(client) = self.kept_for() else { return false };
        let (line, over) = {
            let mut state = self.lock();
            let number = state.next_id;
            state.next_id += 1;
            state.subscribed.renew(number, client)
        };
        let sent = line.is_none_or(|line| self.to_process.try_send(line).is_ok());
        self.unsubscribe(&over);
        sent
    }

    fn unsubscribe(&self, numbers: &[i64]) {
        for number in numbers {
            self.cancel(*number, "Another subscription takes its place");
        }
    }

    /// Whether a notification comes by a subscription of ours, or of one that there is not: then it is for the stream of the
    /// session, as its revision has it, or for nobody.
    pub(super) fn deliver_of_subscription(&self, message: &Message) -> bool {
        let Some(number) = modern::subscription_of(message) else { return false };
        let mut state = self.lock();
        let is_ours = state.subscribed.number == Some(number);
        if message.method() == Some(ACKNOWLEDGED) {
            let over = if is_ours { std::mem::take(&mut state.subscribed.replaced) } else { Vec::new() };
            drop(state);
            self.unsubscribe(&over);
        } else if (is_ours || state.subscribed.replaced.contains(&number))
            && let Some(line) = modern::for_session(message)
            && !state.listener.push(line.into())
        {
            tracing::debug!(method = message.method(), "nobody reads, a notification is dropped");
        }
        true
    }

    /// Whether an answer says that a subscription of ours is over.
    pub(super) fn unsubscribed(&self, id: Option<&Raw>) -> bool {
        let number = id.and_then(|id| id.as_str().parse().ok());
        number.is_some_and(|number| self.lock().subscribed.ended(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client() -> Envelope {
        let text = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"capabilities":{}}}"#;
        Envelope::of_initialize(&Message::parse(text.as_bytes(), Message::LIMITS).unwrap())
    }

    fn wants(line: Option<Bytes>) -> Value {
        let line: Value = serde_json::from_slice(&line.unwrap()).unwrap();
        assert_eq!(line["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"], "2026-07-28");
        line["params"]["notifications"].clone()
    }

    #[test]
    fn one_subscription_stands_for_all_that_the_client_wants_to_hear_of() {
        let can = json!({ "tools": { "listChanged": true }, "prompts": { "listChanged": "true" }, "resources": { "subscribe": true } });
        let mut subscribed = Subscribed::of(&json!({ "capabilities": can }));
        assert_eq!(subscribed.renew(1, &client()), (None, vec![]), "it is not ready");
        subscribed.ready = true;
        let (line, over) = subscribed.renew(2, &client());
        assert_eq!((wants(line), over), (json!({ "toolsListChanged": true }), vec![]));
        subscribed.resources.insert("file:///a".into());
        let (line, over) = subscribed.renew(3, &client());
        let both = json!({ "toolsListChanged": true, "resourceSubscriptions": ["file:///a"] });
        assert_eq!((wants(line), over, &*subscribed.replaced), (both, vec![], &[2][..]));
        assert!(!subscribed.ended(7) && subscribed.ended(2) && !subscribed.ended(2) && subscribed.ended(3));
        assert_eq!((subscribed.number, subscribed.replaced.len()), (None, 0));
    }

    #[test]
    fn a_process_that_acknowledges_nothing_has_a_bounded_number_of_them() {
        let mut subscribed = Subscribed::of(&json!({ "capabilities": { "tools": { "listChanged": true } } }));
        subscribed.ready = true;
        for number in 1..=20 {
            let (_, over) = subscribed.renew(number, &client());
            let expected = number - 1 - i64::try_from(REPLACED).unwrap();
            assert_eq!(over, if expected > 0 { vec![expected] } else { vec![] });
        }
        subscribed.lists.clear();
        let (line, over) = subscribed.renew(21, &client());
        assert_eq!((line, over, subscribed.number), (None, (12..=20).collect(), None));
    }
}
