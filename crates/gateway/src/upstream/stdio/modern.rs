//! Processes that know no sessions (revision 2026-07-28 and nothing older). A client of that revision is passed on as it is, but
//! for numbers. For clients of the revisions before we keep the session: what they said of themselves goes into each request,
//! and what the process asks for in a result (`input_required`, SEP-2322) is asked of them as their revision does. Pure.

use super::{
    stateless::{self, KNOWN_FOR, META, OF_THE_REVISION, SERVER_INFO, TOKEN},
    subscribed::tells,
};
use hallpass_core::mcp::{Message, Outcome, Raw, Revision, error::METHOD_NOT_FOUND, error_body};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const SUBSCRIPTION: &str = "io.modelcontextprotocol/subscriptionId";
const LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";
/// Its answer is a stream, which ends when the client leaves.
pub(super) const LISTEN: &str = "subscriptions/listen";
/// What a process may ask of its client: the method, and what the client has to offer for it.
pub(super) const INPUTS: [(&str, &str); 3] =
    [("elicitation/create", "elicitation"), ("sampling/createMessage", "sampling"), ("roots/list", "roots")];
/// What a process can do that a client with a session can use.
const CAPABILITIES: [&str; 5] = ["tools", "prompts", "resources", "completions", "logging"];
/// More a client does not say of itself; it would be in each request.
const LONGEST: usize = 4096;
/// Questions in one result.
const QUESTIONS: usize = 16;

/// Our question who it is.
pub(super) fn discover() -> Option<Message> {
    let envelope = Envelope::ours();
    let params = Raw::object(&BTreeMap::from([(META.to_owned(), envelope.with(None, None))]));
    let text = format!(
        "{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"server/discover\",\"params\":{}}}",
        params.as_str()
    );
    Message::parse(text.as_bytes(), Message::LIMITS).ok()
}

/// What it says of itself, where it knows a revision without sessions that we know.
pub(super) fn discovered(outcome: &Outcome) -> Option<Value> {
    let Outcome::Result(result) = outcome else { return None };
    let result = result.to_value()?;
    let versions = result.get("supportedVersions")?.as_array()?;
    let knows = |version: &Value| version.as_str() == Some(newest().as_str());
    versions.iter().any(knows).then_some(result)
}

fn newest() -> Revision {
    Revision::V2026_07_28
}

/// The answer to `server/discover`: its own, with the revisions that we speak for it.
pub(super) fn discovery(id: &Raw, discovered: &Value) -> Vec<u8> {
    let mut result = discovered.clone();
    if let Value::Object(members) = &mut result {
        members.insert("resultType".to_owned(), json!("complete"));
        members.insert("supportedVersions".to_owned(), json!(Revision::ALL.map(Revision::as_str)));
        members.entry("ttlMs").or_insert_with(|| json!(KNOWN_FOR));
        // One person's process may say what another's does not.
        members.insert("cacheScope".to_owned(), json!("private"));
    }
    let outcome = Outcome::Result(Raw::from_value(&result));
    Message::Response { id: Some(id.clone()), outcome }.to_canonical()
}

/// The answer to the `initialize` of a client, from what the process says of itself.
pub(super) fn initialized(request: &Message, discovered: &Value) -> Vec<u8> {
    let params = request.call().and_then(|call| call.params()).and_then(Raw::to_value).unwrap_or_default();
    let asked = params.get("protocolVersion").and_then(Value::as_str).and_then(Revision::parse);
    let version = asked.filter(|revision| revision.has_sessions()).unwrap_or(Revision::V2025_11_25);
    let mut capabilities = serde_json::Map::new();
    for name in CAPABILITIES {
        if discovered.get("capabilities").and_then(|offered| offered.get(name)).is_some_and(Value::is_object)
        {
            let told = ["listChanged", "subscribe"].into_iter().filter(|what| tells(discovered, name, what));
            let told = told.map(|what| (what.to_owned(), Value::Bool(true))).collect();
            capabilities.insert(name.to_owned(), Value::Object(told));
        }
    }
    let info = discovered.get(META).and_then(|meta| meta.get(SERVER_INFO)).cloned();
    let mut result = json!({
        "protocolVersion": version.as_str(),
        "capabilities": capabilities,
        "serverInfo": info.unwrap_or_else(|| json!({ "name": "MCP server", "version": "unknown" })),
    });
    if let (Some(instructions), Some(members)) = (discovered.get("instructions"), result.as_object_mut()) {
        members.insert("instructions".to_owned(), instructions.clone());
    }
    Message::Response { id: request.id().cloned(), outcome: Outcome::Result(Raw::from_value(&result)) }
        .to_canonical()
}

/// What is in each request of the newest revision about who sends it.
#[derive(Debug)]
pub(super) struct Envelope {
    info: Raw,
    capabilities: Raw,
}

impl Envelope {
    /// Of a client, from its `initialize`.
    pub(super) fn of_initialize(request: &Message) -> Self {
        let params = request.call().and_then(|call| call.params()).and_then(Raw::members);
        let mut params = params.unwrap_or_default();
        let ours = Self::ours();
        let mut said = |name| params.remove(name).filter(|said| said.as_str().len() <= LONGEST);
        let info = said("clientInfo").unwrap_or(ours.info);
        let capabilities = said("capabilities").and_then(|offered| offered.members());
        let capabilities = capabilities.map(|mut offered| {
            offered.retain(|name, _| INPUTS.iter().any(|(_, needed)| name == needed));
            Raw::object(&offered)
        });
        Self { info, capabilities: capabilities.unwrap_or(ours.capabilities) }
    }

    fn ours() -> Self {
        let info = json!({ "name": "hallpass", "version": env!("CARGO_PKG_VERSION") });
        Self { info: Raw::from_value(&info), capabilities: Raw::from_value(&json!({})) }
    }

    /// `_meta` with it, over what the client has there.
    fn with(&self, meta: Option<BTreeMap<String, Raw>>, log_level: Option<&Raw>) -> Raw {
        let mut meta = meta.unwrap_or_default();
        meta.retain(|name, _| !name.starts_with(OF_THE_REVISION));
        let version = Raw::from_value(&Value::from(newest().as_str()));
        for (name, value) in [
            ("protocolVersion", &version),
            ("clientInfo", &self.info),
            ("clientCapabilities", &self.capabilities),
        ] {
            meta.insert(format!("{OF_THE_REVISION}{name}"), value.clone());
        }
        if let Some(level) = log_level {
            meta.insert(LOG_LEVEL.to_owned(), level.clone());
        }
        Raw::object(&meta)
    }

    /// A request of a client with a session, as the process wants it.
    pub(super) fn around(&self, request: Message, log_level: Option<&Raw>) -> Message {
        let Message::Request { id, call } = request else { return request };
        let mut params = call.params().and_then(Raw::members).unwrap_or_default();
        let meta = params.remove(META).and_then(|meta| meta.members());
        params.insert(META.to_owned(), self.with(meta, log_level));
        // Ours alone to say: the client knows nothing of them.
        for stray in ["requestState", "inputResponses"] {
            params.remove(stray);
        }
        Message::Request { id, call: call.with_params(Raw::object(&params)) }
    }

    /// Whether the client may be asked for this; in words why not.
    pub(super) fn may_be_asked(&self, method: &str) -> Result<(), String> {
        let Some((_, needed)) = INPUTS.iter().find(|(known, _)| *known == method) else {
            return Err(
                "The MCP server asks its client for something that this revision does not have".to_owned()
            );
        };
        if self.capabilities.members().is_some_and(|offered| offered.contains_key(*needed)) {
            return Ok(());
        }
        Err(format!("The MCP server asks its client for {method}, which this client does not offer"))
    }
}

/// What a process wants to know before it goes on.
#[derive(Debug)]
pub(super) struct Wanted {
    /// Under its names: the method and the parameters.
    pub questions: Vec<(String, String, Option<Raw>)>,
    /// What it wants to have back.
    pub state: Option<Raw>,
}

/// Whether a result asks instead of answering, and what; or why that cannot be passed on.
pub(super) fn wanted(outcome: &Outcome, envelope: &Envelope) -> Option<Result<Wanted, String>> {
    let Outcome::Result(result) = outcome else { return None };
    let mut members = result.members()?;
    let kind = members.get("resultType").and_then(Raw::to_value);
    if kind.as_ref().and_then(Value::as_str) != Some("input_required") {
        return None;
    }
    let state = members.remove("requestState");
    let asked = members.remove("inputRequests").and_then(|asked| asked.members()).unwrap_or_default();
    Some(questions(asked, envelope).and_then(|questions| {
        if questions.is_empty() && state.is_none() {
            return Err("The MCP server wants input and does not say which".to_owned());
        }
        Ok(Wanted { questions, state })
    }))
}

fn questions(
    asked: BTreeMap<String, Raw>,
    envelope: &Envelope,
) -> Result<Vec<(String, String, Option<Raw>)>, String> {
    if asked.len() > QUESTIONS {
        return Err("The MCP server asks its client too many things at once".to_owned());
    }
    let read = |(name, question): (String, Raw)| {
        let mut members = question.members().unwrap_or_default();
        let method = members.remove("method").and_then(|method| method.to_value());
        let method = method.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned();
        envelope.may_be_asked(&method)?;
        Ok((name, method, members.remove("params")))
    };
    asked.into_iter().map(read).collect()
}

/// A question as a request of the revisions with sessions.
pub(super) fn question(id: i64, method: &str, params: Option<&Raw>) -> Vec<u8> {
    let method = Value::from(method);
    let params = params.map_or_else(|| "{}".to_owned(), |params| params.as_str().to_owned());
    format!("{{\"jsonrpc\":\"2.0\",\"id\":{id},\"method\":{method},\"params\":{params}}}").into_bytes()
}

/// The request once more, with what the client answered.
pub(super) fn again(request: &Message, state: Option<&Raw>, answers: &BTreeMap<String, Raw>) -> Message {
    let Message::Request { id, call } = request.clone() else { return request.clone() };
    let mut params = call.params().and_then(Raw::members).unwrap_or_default();
    params.insert("inputResponses".to_owned(), Raw::object(answers));
    if let Some(state) = state {
        params.insert("requestState".to_owned(), state.clone());
    }
    Message::Request { id, call: call.with_params(Raw::object(&params)) }
}

/// An answer as the revisions with sessions have it.
pub(super) fn to_session(outcome: Outcome) -> Outcome {
    let Outcome::Result(result) = &outcome else { return outcome };
    let Some(mut members) = result.members() else { return outcome };
    for name in ["resultType", "ttlMs", "cacheScope"] {
        members.remove(name);
    }
    Outcome::Result(Raw::object(&members))
}

/// A request of a client of the newest revision: a progress token becomes the number `ours`, as for other processes (T-82).
pub(super) fn to_process(request: Message, ours: i64) -> Message {
    let Message::Request { id, call } = request else { return request };
    let Some(mut params) = call.params().and_then(Raw::members) else { return Message::Request { id, call } };
    if let Some(mut meta) = params.get(META).and_then(Raw::members)
        && let Some(token) = meta.get_mut(TOKEN)
    {
        *token = Raw::integer(ours);
        params.insert(META.to_owned(), Raw::object(&meta));
        return Message::Request { id, call: call.with_params(Raw::object(&params)) };
    }
    Message::Request { id, call }
}

/// The answer to such a client: that to `subscriptions/listen` names its request.
pub(super) fn to_client(outcome: Outcome, id: &Raw) -> Outcome {
    let Outcome::Result(result) = &outcome else { return outcome };
    named(result, id).map_or(outcome, Outcome::Result)
}

/// The number of our request whose subscription a notification is for.
pub(super) fn subscription_of(message: &Message) -> Option<i64> {
    message.call()?.params()?.members()?.get(META)?.members()?.get(SUBSCRIPTION)?.as_str().parse().ok()
}

/// The notification for the client that numbers its request like this.
pub(super) fn for_subscriber(message: &Message, id: &Raw) -> Option<Vec<u8>> {
    let call = message.call()?;
    let params = named(call.params()?, id)?;
    Some(Message::Notification { call: call.clone().with_params(params) }.to_canonical())
}

/// The notification as a session has it: there no subscription has a name.
pub(super) fn for_session(message: &Message) -> Option<Vec<u8>> {
    let call = message.call()?;
    let mut params = call.params()?.members()?;
    let mut meta = params.get(META)?.members()?;
    meta.remove(SUBSCRIPTION);
    if meta.is_empty() {
        params.remove(META);
    } else {
        params.insert(META.to_owned(), Raw::object(&meta));
    }
    Some(Message::Notification { call: call.clone().with_params(Raw::object(&params)) }.to_canonical())
}

fn named(raw: &Raw, id: &Raw) -> Option<Raw> {
    let mut members = raw.members()?;
    let mut meta = members.get(META)?.members()?;
    *meta.get_mut(SUBSCRIPTION)? = id.clone();
    members.insert(META.to_owned(), Raw::object(&meta));
    Some(Raw::object(&members))
}

/// Whether a request wants the log beside its answer.
pub(super) fn wants_log(request: &Message) -> bool {
    let params = request.call().and_then(|call| call.params());
    params.is_some_and(|params| params.as_str().contains(LOG_LEVEL))
}

/// What of a session the process does not know is answered here.
pub(super) fn answer_here(request: &Message) -> Option<Vec<u8>> {
    let (id, method) = (request.id()?, request.method()?);
    if matches!(method, "ping" | "logging/setLevel") {
        return Some(done(id));
    }
    let text = "The MCP server knows only revision 2026-07-28, in which this method is another one";
    (!stateless::is_there(method)).then(|| error_body(Some(id), METHOD_NOT_FOUND, text))
}

/// An answer that says nothing more.
pub(super) fn done(id: &Raw) -> Vec<u8> {
    Message::Response { id: Some(id.clone()), outcome: Outcome::Result(stateless::nothing()) }.to_canonical()
}

/// The level of `logging/setLevel`.
pub(super) fn log_level(request: &Message) -> Option<Raw> {
    let call = request.call().filter(|call| call.method() == "logging/setLevel")?;
    call.params()?.members()?.remove("level")
}

#[cfg(test)]
#[path = "modern_tests.rs"]
mod tests;
