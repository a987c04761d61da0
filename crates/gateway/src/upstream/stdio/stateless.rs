//! Clients that know no sessions (revision 2026-07-28), and processes that know nothing else: what differs between the two.
//! Pure.
//!
//! We are the process's client then. It has our `initialize`, which offers it what its client offers, where it is one client's
//! alone; requests go to it without what the revision puts into `params._meta`, and its answers get what the revision wants in
//! them.

use super::modern;
use bytes::Bytes;
use hallpass_core::mcp::{
    Call, Message, Outcome, Raw, Revision,
    error::{INTERNAL_ERROR, INVALID_PARAMS, METHOD_NOT_FOUND},
    error_body,
};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What the revision puts into `params._meta` of each request, for servers that keep nothing between two.
pub(super) const OF_THE_REVISION: &str = "io.modelcontextprotocol/";
pub(super) const META: &str = "_meta";
pub(super) const TOKEN: &str = "progressToken";
const CLIENT_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
/// What older servers answer where there is no such resource; the newest revision says -32602 (SEP-2164).
const OLD_NO_RESOURCE: i64 = -32002;
/// The request's protocol version is not supported.
const UNSUPPORTED_VERSION: i64 = -32022;
pub(super) const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";
/// How long, in milliseconds, what a process says of itself may be used again: tomorrow it may be another one.
pub(super) const KNOWN_FOR: u32 = 60_000;
/// What the newest revision has taken away.
const GONE: [&str; 5] =
    ["initialize", "ping", "logging/setLevel", "resources/subscribe", "resources/unsubscribe"];
/// Results that say how long they may be kept (SEP-2549). What a process says nothing of is kept by nobody.
const KEPT: [&str; 5] =
    ["tools/list", "prompts/list", "resources/list", "resources/templates/list", "resources/read"];
/// What a process can do that such a client can use.
const CAPABILITIES: [&str; 4] = ["tools", "prompts", "resources", "completions"];

/// Whether it is a method of the newest revision.
pub(super) fn is_known(method: &str) -> bool {
    !GONE.contains(&method)
}

/// Whether such a client can use it here, where the process knows only sessions: what such a process could only say on a
/// stream, or keeps under other names, is not there.
pub(super) fn is_there(method: &str) -> bool {
    is_known(method) && method != modern::LISTEN && !method.starts_with("tasks/")
}

/// What a request says that its client can be asked, for our `initialize`; nothing, where it says more than can be meant.
pub(super) fn offers(call: &Call) -> Raw {
    const LONGEST: usize = 512;
    let meta = call.params().and_then(Raw::members).and_then(|params| params.get(META)?.members());
    let offered = meta.and_then(|meta| meta.get(CLIENT_CAPABILITIES)?.members()).unwrap_or_default();
    let offered =
        offered.into_iter().filter(|(name, _)| modern::INPUTS.iter().any(|(_, needed)| name == needed));
    // Of roots that change nobody tells.
    let offered = offered.map(|(name, what)| if name == "roots" { (name, nothing()) } else { (name, what) });
    let offered = Raw::object(&offered.collect());
    if offered.as_str().len() > LONGEST { nothing() } else { offered }
}

/// `{}`.
pub(super) fn nothing() -> Raw {
    Raw::object(&BTreeMap::new())
}

/// Whether a request goes on with one that asked its client.
pub(super) fn resumes(call: &Call) -> bool {
    call.params().and_then(Raw::members).is_some_and(|params| params.contains_key("requestState"))
}

/// A question as the result of a request.
pub(super) fn input_required(name: &str, question: &Call, state: &str) -> Raw {
    let mut asked = BTreeMap::from([("method".to_owned(), Raw::from_value(&Value::from(question.method())))]);
    asked.extend(question.params().map(|params| ("params".to_owned(), params.clone())));
    let asked = BTreeMap::from([(name.to_owned(), Raw::object(&asked))]);
    Raw::object(&BTreeMap::from([
        ("inputRequests".to_owned(), Raw::object(&asked)),
        ("requestState".to_owned(), Raw::from_value(&Value::from(state))),
        ("resultType".to_owned(), Raw::from_value(&Value::from("input_required"))),
    ]))
}

/// Our own first request to a process.
pub(super) fn initialize(offers: &Raw) -> Option<Message> {
    let version = Revision::ALL.into_iter().rfind(|revision| revision.has_sessions())?;
    let params = json!({
        "protocolVersion": version.as_str(),
        "capabilities": offers.to_value().unwrap_or_else(|| json!({})),
        "clientInfo": { "name": "hallpass", "version": env!("CARGO_PKG_VERSION") },
    });
    let text = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params }).to_string();
    Message::parse(text.as_bytes(), Message::LIMITS).ok()
}

/// What follows its answer.
pub(super) const INITIALIZED: &[u8] = br#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;

/// The request without what only the newest revision knows. A progress token becomes the number `ours`: two clients that
/// share the process, or two requests of one, may have chosen the same (T-82).
pub(super) fn to_process(request: Message, ours: i64) -> Message {
    let Message::Request { id, call } = request else { return request };
    let Some(mut params) = call.params().and_then(Raw::members) else { return Message::Request { id, call } };
    if let Some(mut meta) = params.get(META).and_then(Raw::members) {
        meta.retain(|name, _| !name.starts_with(OF_THE_REVISION));
        if let Some(token) = meta.get_mut(TOKEN) {
            *token = Raw::integer(ours);
        }
        if meta.is_empty() {
            params.remove(META);
        } else {
            params.insert(META.to_owned(), Raw::object(&meta));
        }
    }
    // What else is in it was not looked at by anybody who knows only older revisions (MRTR, SEP-2322).
    for stray in ["requestState", "inputResponses"] {
        params.remove(stray);
    }
    Message::Request { id, call: call.with_params(Raw::object(&params)) }
}

/// Whether a request says what its client can do, as each has to.
pub(super) fn says_capabilities(call: &Call) -> bool {
    let meta = call.params().and_then(Raw::members).and_then(|params| params.get(META)?.members());
    meta.and_then(|meta| meta.get(CLIENT_CAPABILITIES)?.members()).is_some()
}

/// The answer where it does not.
pub(super) fn no_capabilities(id: &Raw) -> Vec<u8> {
    error_body(
        Some(id),
        INVALID_PARAMS,
        "`_meta` has to say the protocol version and the client's capabilities",
    )
}

/// Says which versions are understood, so that a client takes one of them, and which one is not.
pub(super) fn unsupported_version(id: Option<&Raw>, requested: Option<&str>) -> Vec<u8> {
    let error = json!({
        "code": UNSUPPORTED_VERSION,
        "message": "Unsupported protocol version",
        "data": { "supported": Revision::ALL.map(Revision::as_str), "requested": requested },
    });
    Message::Response { id: id.cloned(), outcome: Outcome::Error(Raw::from_value(&error)) }.to_canonical()
}

/// The answer with what the newest revision wants in it.
pub(super) fn to_client(method: &str, outcome: Outcome) -> Outcome {
    let result = match &outcome {
        Outcome::Result(result) => result,
        Outcome::Error(error) if method == "resources/read" => {
            let Some(mut members) = error.members() else { return outcome };
            if members.get("code").is_some_and(|code| code.as_str() == OLD_NO_RESOURCE.to_string()) {
                members.insert("code".to_owned(), Raw::integer(INVALID_PARAMS));
            }
            return Outcome::Error(Raw::object(&members));
        }
        Outcome::Error(_) => return outcome,
    };
    let Some(mut members) = result.members() else { return outcome };
    complete(method, &mut members);
    Outcome::Result(Raw::object(&members))
}

fn complete(method: &str, members: &mut BTreeMap<String, Raw>) {
    let text = |text: &str| Raw::from_value(&Value::from(text));
    // A process that knows nothing of other types cannot mean one by this name.
    members.insert("resultType".to_owned(), text("complete"));
    if KEPT.contains(&method) {
        members.entry("ttlMs".to_owned()).or_insert_with(|| Raw::integer(0));
        members.entry("cacheScope".to_owned()).or_insert_with(|| text("private"));
    }
}

/// The answer to `server/discover`, from what the process answered to our `initialize`.
pub(super) fn discovery(id: &Raw, initialized: &Value) -> Vec<u8> {
    let of_process = |name: &str| initialized.get(name).cloned();
    let offered = of_process("capabilities").unwrap_or_default();
    let mut capabilities = serde_json::Map::new();
    for name in CAPABILITIES {
        if offered.get(name).is_some_and(Value::is_object) {
            // Without `listChanged` and `subscribe`: nobody listens to the process.
            capabilities.insert(name.to_owned(), json!({}));
        }
    }
    let mut result = json!({
        "resultType": "complete",
        "supportedVersions": Revision::ALL.map(Revision::as_str),
        "capabilities": capabilities,
        "ttlMs": KNOWN_FOR,
        "cacheScope": "private",
        "_meta": { SERVER_INFO: of_process("serverInfo").unwrap_or_else(|| json!({})) },
    });
    if let (Some(instructions), Some(members)) = (of_process("instructions"), result.as_object_mut()) {
        members.insert("instructions".to_owned(), instructions);
    }
    let answer =
        Message::Response { id: Some(id.clone()), outcome: Outcome::Result(Raw::from_value(&result)) };
    answer.to_canonical()
}

/// What a process is told that asks us for something: there is no client that it could ask.
pub(super) fn refuse(id: &Raw, method: &str) -> Bytes {
    if method == "ping" {
        let result = Outcome::Result(Raw::from_value(&json!({})));
        return Message::Response { id: Some(id.clone()), outcome: result }.to_canonical().into();
    }
    error_body(
        Some(id),
        METHOD_NOT_FOUND,
        "Nobody can be asked: no capability was offered, or nothing is under way",
    )
    .into()
}

/// The number of the request whose progress this is.
pub(super) fn progress_of(message: &Message) -> Option<i64> {
    let call = message.call().filter(|call| call.method() == "notifications/progress")?;
    call.params()?.members()?.get(TOKEN)?.as_str().parse().ok()
}

/// The progress under the token that its client chose.
pub(super) fn with_token(message: &Message, token: &Value) -> Option<Vec<u8>> {
    let call = message.call()?;
    let mut params = call.params()?.members()?;
    params.insert(TOKEN.to_owned(), Raw::from_value(token));
    let call = call.clone().with_params(Raw::object(&params));
    Some(Message::Notification { call }.to_canonical())
}

/// The answer to a method that is not there.
pub(super) fn no_such_method(id: &Raw) -> Vec<u8> {
    error_body(Some(id), METHOD_NOT_FOUND, "No such method")
}

/// Whether an answer says that there is no such method, which is 404 in this revision. A result, which may be long, is only
/// skipped.
pub(super) fn is_no_such_method(answer: &[u8]) -> bool {
    let said: Option<Said> = serde_json::from_slice(answer).ok();
    said.and_then(|said| said.error).is_some_and(|error| error.code == METHOD_NOT_FOUND)
}

/// What of an answer matters here.
#[derive(Deserialize)]
struct Said {
    error: Option<Code>,
}

#[derive(Deserialize)]
struct Code {
    code: i64,
}

/// The answer of a process that did not take our `initialize`.
pub(super) fn not_initialized(id: &Raw) -> Vec<u8> {
    error_body(
        Some(id),
        INTERNAL_ERROR,
        "The MCP server takes no session; its operator finds more in the log",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(text: &str) -> Message {
        Message::parse(text.as_bytes(), Message::LIMITS).unwrap()
    }

    fn written(message: &Message) -> String {
        String::from_utf8(message.to_canonical()).unwrap()
    }

    #[test]
    fn what_only_the_newest_revision_knows_does_not_reach_the_process() {
        let request = message(
            r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"a","arguments":{"n":1.000000000000000000001},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"progressToken":"mine","example.com/x":1},"requestState":"s","inputResponses":{}}}"#,
        );
        assert_eq!(
            written(&to_process(request, 9)),
            r#"{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"_meta":{"example.com/x":1,"progressToken":9},"arguments":{"n":1.000000000000000000001},"name":"a"}}"#
        );
        let request = message(
            r#"{"jsonrpc":"2.0","id":7,"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#,
        );
        assert_eq!(
            written(&to_process(request, 9)),
            r#"{"jsonrpc":"2.0","id":7,"method":"tools/list","params":{}}"#
        );
    }

    #[test]
    fn results_say_what_they_are_and_that_nobody_else_may_have_them() {
        let of = |method, text: &str| {
            let Message::Response { outcome, .. } = message(text) else { unreachable!() };
            match to_client(method, outcome) {
                Outcome::Result(raw) => raw.as_str().to_owned(),
                Outcome::Error(raw) => format!("error {}", raw.as_str()),
            }
        };
        let list = r#"{"jsonrpc":"2.0","id":1,"result":{"tools":[]}}"#;
        let expected = r#"{"cacheScope":"private","resultType":"complete","tools":[],"ttlMs":0}"#;
        assert_eq!(of("tools/list", list), expected);
        let says = r#"{"jsonrpc":"2.0","id":1,"result":{"resultType":"input_required","ttlMs":5}}"#;
        assert_eq!(of("tools/call", says), r#"{"resultType":"complete","ttlMs":5}"#);
        assert_eq!(of("x", r#"{"jsonrpc":"2.0","id":1,"result":[1]}"#), "[1]");
        assert_eq!(of("x", r#"{"jsonrpc":"2.0","id":1,"error":{"code":1}}"#), r#"error {"code":1}"#);
        let absent = r#"{"jsonrpc":"2.0","id":1,"error":{"code":-32002,"data":{"uri":"a:b"}}}"#;
        assert_eq!(of("resources/read", absent), r#"error {"code":-32602,"data":{"uri":"a:b"}}"#);
        assert_eq!(of("tools/call", absent), r#"error {"code":-32002,"data":{"uri":"a:b"}}"#);
    }

    #[test]
    fn what_is_discovered_is_what_such_a_client_can_use() {
        let initialized = json!({
            "protocolVersion": "2025-11-25", "serverInfo": { "name": "files", "version": "1" }, "instructions": "Read",
            "capabilities": { "tools": { "listChanged": true }, "logging": {}, "resources": { "subscribe": true } },
        });
        let answer: Value = serde_json::from_slice(&discovery(&Raw::integer(3), &initialized)).unwrap();
        let result = &answer["result"];
        assert_eq!(result["capabilities"], json!({ "tools": {}, "resources": {} }));
        assert_eq!((&answer["id"], &result["instructions"]), (&json!(3), &json!("Read")));
        assert_eq!(result["_meta"][SERVER_INFO]["name"], "files");
        assert!(result["supportedVersions"].as_array().unwrap().contains(&json!("2026-07-28")));
    }

    #[test]
    fn a_process_that_asks_is_told_that_nobody_is_there() {
        let refused = |method| serde_json::from_slice::<Value>(&refuse(&Raw::integer(3), method)).unwrap();
        assert_eq!(refused("ping"), json!({ "jsonrpc": "2.0", "id": 3, "result": {} }));
        assert_eq!(refused("sampling/createMessage")["error"]["code"], METHOD_NOT_FOUND);
        assert!(!is_there("tasks/get") && !is_there("ping") && is_there("tools/call"));
    }
}
