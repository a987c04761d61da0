//! MCP messages over Streamable HTTP, both wires: with sessions (until 2025-11-25) and stateless (2026-07-28).
//! Requests are written here and answers are read here, without I/O.

use bytes::Bytes;
use hallpass_core::{
    json,
    mcp::{Message, encode_header_value, revision::Revision},
    uri::ResourceUri,
};
use http::{HeaderMap, HeaderValue, Request, StatusCode, header, request::Builder};
use serde_json::{Map, Value, json};

const VERSION_HEADER: &str = "mcp-protocol-version";
const SESSION_HEADER: &str = "mcp-session-id";
/// Largest message that is read: 4 MiB.
pub const MAX_MESSAGE: usize = 4 * 1024 * 1024;
/// "Unsupported protocol version" of the stateless wire, with the supported ones in `data`.
const UNSUPPORTED_VERSION: i64 = -32022;

/// How this server is spoken to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wire {
    /// After `initialize`.
    Session {
        /// What the server chose.
        revision: Revision,
        /// `Mcp-Session-Id`, where the server gave one. As secret as a token (CL-101).
        session: Option<HeaderValue>,
    },
    /// Revision 2026-07-28: every request speaks for itself.
    Stateless,
}

/// One message of the server.
#[derive(Clone, Debug, PartialEq)]
pub enum Incoming {
    /// The answer: `result`.
    Result(Value),
    /// The answer: `error`.
    Error(Value),
    /// On the way to the answer: progress, logging.
    Notification(Map<String, Value>),
    /// The server asks the client something (2025 wire).
    Request {
        /// To be repeated in the response.
        id: Value,
        /// What it asks for.
        method: String,
        /// Its parameters; null where there are none.
        params: Value,
    },
}

/// Who this client says it is.
#[derive(Clone, Copy, Debug)]
pub struct ClientInfo<'a> {
    /// A name.
    pub name: &'a str,
    /// Its version.
    pub version: &'a str,
    /// Extensions of MCP that are in use. Declared on the stateless wire.
    pub extensions: &'a [&'a str],
    /// Whether somebody is there to be asked about pages. Offered on the session wire.
    pub pages: bool,
}

/// The first request of the session wire, which offers this revision.
///
/// # Errors
/// The server's URL is none that HTTP can ask.
pub fn initialize(
    server: &ResourceUri,
    info: ClientInfo<'_>,
    (id, revision): (i64, Revision),
) -> Result<Request<Bytes>, http::Error> {
    let params = json!({
        "protocolVersion": revision.as_str(),
        "capabilities": if info.pages { json!({ "elicitation": { "url": {} } }) } else { json!({}) },
        "clientInfo": { "name": info.name, "version": info.version },
    });
    let body = json!({ "jsonrpc": "2.0", "id": id, "method": "initialize", "params": params });
    post(server).body(Bytes::from(body.to_string()))
}

/// One request. On the stateless wire the headers repeat what the body says (SEP-2243).
///
/// # Errors
/// The server's URL or the method is none that HTTP can carry.
pub fn request(
    server: &ResourceUri,
    wire: &Wire,
    info: ClientInfo<'_>,
    (id, method, params): (i64, &str, Option<&Map<String, Value>>),
) -> Result<Request<Bytes>, http::Error> {
    let mut request = with_wire(post(server), wire);
    let mut params = params.cloned();
    if *wire == Wire::Stateless {
        request = request.header("mcp-method", method);
        let named = match method {
            "tools/call" | "prompts/get" => Some("name"),
            "resources/read" => Some("uri"),
            _ => None,
        };
        let members = params.get_or_insert_default();
        if let Some(name) = named.and_then(|member| members.get(member)).and_then(Value::as_str) {
            request = request.header("mcp-name", encode_header_value(name));
        }
        let meta = members.entry("_meta").or_insert_with(|| json!({}));
        if let Value::Object(meta) = meta {
            let ours = [
                ("protocolVersion", json!(Revision::V2026_07_28.as_str())),
                ("clientInfo", json!({ "name": info.name, "version": info.version })),
                ("clientCapabilities", capabilities(info.extensions)),
            ];
            meta.extend(ours.map(|(name, value)| (format!("io.modelcontextprotocol/{name}"), value)));
        }
    }
    let mut body = json!({ "jsonrpc": "2.0", "id": id, "method": method });
    if let (Some(members), Some(params)) = (body.as_object_mut(), params) {
        members.insert("params".to_owned(), Value::Object(params));
    }
    request.body(Bytes::from(body.to_string()))
}

fn capabilities(extensions: &[&str]) -> Value {
    if extensions.is_empty() {
        return json!({});
    }
    let declared: Map<String, Value> =
        extensions.iter().map(|name| ((*name).to_owned(), json!({}))).collect();
    json!({ "extensions": declared })
}

/// A notification or response of ours, on the session wire.
///
/// # Errors
/// As [`request`].
pub fn other(server: &ResourceUri, wire: &Wire, message: &Value) -> Result<Request<Bytes>, http::Error> {
    with_wire(post(server), wire).body(Bytes::from(message.to_string()))
}

/// A message of somebody else's, passed on as it is. Without a wire it is the first one. On the stateless wire the
/// headers repeat what the message says (SEP-2243).
///
/// # Errors
/// As [`request`].
pub fn passed_on(
    server: &ResourceUri,
    wire: Option<&Wire>,
    message: &Message,
) -> Result<Request<Bytes>, http::Error> {
    let mut request = match wire {
        Some(wire) => with_wire(post(server), wire),
        None => post(server),
    };
    if wire == Some(&Wire::Stateless) {
        if let Some(method) = message.method() {
            request = request.header("mcp-method", method);
        }
        if let Some(name) = message.name() {
            request = request.header("mcp-name", encode_header_value(name));
        }
    }
    request.body(Bytes::from(message.to_canonical()))
}

/// Asks for the server's own messages, or for the rest of a stream that broke after `last_event` (2025 wire).
///
/// # Errors
/// As [`request`].
pub fn listen(
    server: &ResourceUri,
    wire: &Wire,
    last_event: Option<&str>,
) -> Result<Request<Bytes>, http::Error> {
    let mut request =
        with_wire(Request::get(server.as_str()).header(header::ACCEPT, "text/event-stream"), wire);
    if let Some(id) = last_event {
        request = request.header("last-event-id", id);
    }
    request.body(Bytes::new())
}

/// Ends the session; `None` where there is none to end.
///
/// # Errors
/// As [`request`].
pub fn end_session(server: &ResourceUri, wire: &Wire) -> Result<Option<Request<Bytes>>, http::Error> {
    match wire {
        Wire::Session { session: Some(_), .. } => {
            with_wire(Request::delete(server.as_str()), wire).body(Bytes::new()).map(Some)
        }
        Wire::Session { session: None, .. } | Wire::Stateless => Ok(None),
    }
}

fn post(server: &ResourceUri) -> Builder {
    Request::post(server.as_str())
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::ACCEPT, "application/json, text/event-stream")
}

fn with_wire(request: Builder, wire: &Wire) -> Builder {
    match wire {
        Wire::Session { revision, session } => {
            let request = request.header(VERSION_HEADER, revision.as_str());
            match session {
                Some(session) => request.header(SESSION_HEADER, session),
                None => request,
            }
        }
        Wire::Stateless => request.header(VERSION_HEADER, Revision::V2026_07_28.as_str()),
    }
}

/// The wire after the answer to `initialize`; `None` for a revision that is not known.
pub fn session(headers: &HeaderMap, result: &Value) -> Option<Wire> {
    let revision = Revision::parse(result.get("protocolVersion")?.as_str()?)?;
    let mut session = headers.get(SESSION_HEADER).cloned();
    if let Some(session) = &mut session {
        session.set_sensitive(true);
    }
    revision.has_sessions().then_some(Wire::Session { revision, session })
}

/// Whether a refused `initialize` comes from a server that only knows the stateless wire: it does not know the
/// method, or it names revisions.
pub fn is_stateless_server(status: StatusCode, body: &[u8]) -> bool {
    let limits = json::Limits::default();
    let code =
        json::parse_object(body, limits).ok().and_then(|members| members.get("error")?.get("code")?.as_i64());
    let known = [
        UNSUPPORTED_VERSION,
        hallpass_core::mcp::error::HEADER_MISMATCH,
        hallpass_core::mcp::error::METHOD_NOT_FOUND,
    ];
    let refused = status.is_client_error() || status.is_success();
    refused
        && code
            .is_some_and(|code| known.contains(&code) || status == StatusCode::BAD_REQUEST && code == -32602)
}

/// The revisions that a server names when it refuses ours on the stateless wire; `None`: no such refusal. Unknown
/// ones are left out.
pub fn revisions_instead(status: StatusCode, body: &[u8]) -> Option<Vec<Revision>> {
    let members = json::parse_object(body, json::Limits::default()).ok()?;
    let error = members.get("error").filter(|_| status == StatusCode::BAD_REQUEST)?;
    if error.get("code")?.as_i64()? != UNSUPPORTED_VERSION {
        return None;
    }
    let supported = error.get("data")?.get("supported")?.as_array()?;
    Some(supported.iter().filter_map(|name| Revision::parse(name.as_str()?)).collect())
}

/// Reads one message; `None` for what is none.
pub fn read(bytes: &[u8]) -> Option<Incoming> {
    let limits = json::Limits { bytes: MAX_MESSAGE, depth: 64 };
    let mut members = json::parse_object(bytes, limits).ok()?;
    let method = members.get("method").and_then(Value::as_str).map(str::to_owned);
    match (method, members.remove("id")) {
        (Some(method), Some(id)) => {
            let params = members.remove("params").unwrap_or_default();
            Some(Incoming::Request { id, method, params })
        }
        (Some(_), None) => Some(Incoming::Notification(members)),
        (None, _) => match (members.remove("result"), members.remove("error")) {
            (Some(result), None) => Some(Incoming::Result(result)),
            (None, Some(error)) => Some(Incoming::Error(error)),
            (Some(_), Some(_)) | (None, None) => None,
        },
    }
}

/// What to send back for a request of the server: this client offers nothing, but it is alive.
pub fn reply(id: &Value, method: &str) -> Value {
    if method == "ping" {
        json!({ "jsonrpc": "2.0", "id": id, "result": {} })
    } else {
        let error = json!({ "code": -32601, "message": "this client does not offer that" });
        json!({ "jsonrpc": "2.0", "id": id, "error": error })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFO: ClientInfo<'_> = ClientInfo { name: "hallpass", version: "1", extensions: &[], pages: false };

    fn server() -> ResourceUri {
        ResourceUri::parse("https://mcp.example/mcp").unwrap()
    }

    fn body(request: &Request<Bytes>) -> Value {
        serde_json::from_slice(request.body()).unwrap()
    }

    #[test]
    fn cl_095_headers_say_what_the_body_says() {
        let params = json!({ "name": "größe", "arguments": {}, "_meta": { "progressToken": 1 } });
        let request =
            request(&server(), &Wire::Stateless, INFO, (7, "tools/call", params.as_object())).unwrap();
        assert_eq!(request.headers()["mcp-protocol-version"], "2026-07-28");
        assert_eq!(request.headers()["mcp-method"], "tools/call");
        assert_eq!(request.headers()["mcp-name"], "=?base64?Z3LDtsOfZQ==?=");
        let body = body(&request);
        assert_eq!(body["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"], "2026-07-28");
        assert_eq!(body["params"]["_meta"]["progressToken"], 1);
        assert_eq!((&body["id"], &body["params"]["name"]), (&json!(7), &json!("größe")));
        let list = super::request(&server(), &Wire::Stateless, INFO, (8, "tools/list", None)).unwrap();
        assert!(!list.headers().contains_key("mcp-name") && list.headers().contains_key("mcp-method"));
    }

    #[test]
    fn cl_088_extensions_are_declared_where_they_are_used() {
        let declared = |extensions: &[&str]| {
            let info = ClientInfo { extensions, ..INFO };
            let request = request(&server(), &Wire::Stateless, info, (1, "tools/list", None)).unwrap();
            body(&request)["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"].clone()
        };
        assert_eq!(declared(&[]), json!({}));
        assert_eq!(declared(&["a/b"]), json!({ "extensions": { "a/b": {} } }));
    }

    #[test]
    fn cl_101_the_session_goes_into_every_request_and_into_no_log() {
        let mut headers = HeaderMap::new();
        headers.insert(SESSION_HEADER, HeaderValue::from_static("session-canary"));
        let wire = session(&headers, &json!({ "protocolVersion": "2025-06-18" })).unwrap();
        let request = request(&server(), &wire, INFO, (1, "tools/list", None)).unwrap();
        assert_eq!(request.headers()["mcp-session-id"], "session-canary");
        assert_eq!(request.headers()["mcp-protocol-version"], "2025-06-18");
        assert_eq!(body(&request), json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" }));
        assert!(!format!("{wire:?} {request:?}").contains("canary"));
        assert_eq!(end_session(&server(), &wire).unwrap().unwrap().method(), "DELETE");
        for unknown in [
            json!({}),
            json!({ "protocolVersion": "1999-01-01" }),
            json!({ "protocolVersion": "2026-07-28" }),
        ] {
            assert_eq!(session(&headers, &unknown), None);
        }
    }

    #[test]
    fn which_wire_a_refusal_shows() {
        let error = |code: i64| json!({ "jsonrpc": "2.0", "id": 1, "error": { "code": code } }).to_string();
        assert!(is_stateless_server(StatusCode::BAD_REQUEST, error(-32022).as_bytes()));
        assert!(is_stateless_server(StatusCode::BAD_REQUEST, error(-32020).as_bytes()));
        assert!(is_stateless_server(StatusCode::NOT_FOUND, error(-32601).as_bytes()));
        assert!(!is_stateless_server(StatusCode::BAD_REQUEST, error(-32000).as_bytes()));
        assert!(!is_stateless_server(StatusCode::NOT_FOUND, b"<html>"));
        assert!(!is_stateless_server(StatusCode::BAD_GATEWAY, error(-32022).as_bytes()));
    }

    #[test]
    fn which_revisions_a_refusal_names() {
        let body = |code: i64, supported: Value| {
            json!({ "error": { "code": code, "data": { "supported": supported } } }).to_string()
        };
        let read =
            |status, body: &str| revisions_instead(StatusCode::from_u16(status).unwrap(), body.as_bytes());
        let both = json!(["2026-07-28", "2025-11-25", "3000-01-01", 7]);
        let named = vec![Revision::V2026_07_28, Revision::V2025_11_25];
        assert_eq!(read(400, &body(-32022, both.clone())), Some(named));
        for (status, code) in [(200, -32022), (401, -32022), (400, -32020)] {
            assert_eq!(read(status, &body(code, both.clone())), None);
        }
        assert_eq!(read(400, &body(-32022, json!("x"))), None);
        assert_eq!(read(400, "<html>"), None);
    }

    #[test]
    fn messages() {
        assert_eq!(
            read(br#"{"jsonrpc":"2.0","id":1,"result":{"a":1}}"#),
            Some(Incoming::Result(json!({ "a": 1 })))
        );
        assert_eq!(
            read(br#"{"jsonrpc":"2.0","id":1,"error":{"code":1}}"#),
            Some(Incoming::Error(json!({ "code": 1 })))
        );
        let ping = read(br#"{"jsonrpc":"2.0","id":"x","method":"ping"}"#);
        assert_eq!(
            ping,
            Some(Incoming::Request { id: json!("x"), method: "ping".into(), params: Value::Null })
        );
        assert!(matches!(
            read(br#"{"jsonrpc":"2.0","method":"notifications/progress"}"#),
            Some(Incoming::Notification(_))
        ));
        for none in [
            "",
            "[]",
            "{}",
            r#"{"id":1,"result":1,"error":2}"#,
            r#"[{"result":1}]"#,
            r#"{"result":1,"result":2}"#,
        ] {
            assert_eq!(read(none.as_bytes()), None, "{none}");
        }
        assert_eq!(reply(&json!(1), "ping")["result"], json!({}));
        assert_eq!(reply(&json!(1), "sampling/createMessage")["error"]["code"], -32601);
    }
}
