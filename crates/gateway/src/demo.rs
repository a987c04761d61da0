//! A small MCP server to try the gateway with: what `hallpass run` protects when it is given nothing else.
//!
//! It is stateless, answers in JSON, and speaks the revisions from 2025-03-26 to 2026-07-28.
//!
//! ```
//! let router: axum::Router = hallpass_gateway::demo::demo_router();
//! ```

use axum::{
    Router,
    body::{Body, Bytes},
    extract::DefaultBodyLimit,
    http::{HeaderMap, HeaderValue, Response, StatusCode, header},
    routing::post,
};
use hallpass_core::{
    mcp::{
        Call, Message, Raw, Revision,
        error::{INVALID_PARAMS, METHOD_NOT_FOUND},
        error_body,
    },
    time::{Clock, SystemClock, Timestamp},
};
use serde_json::{Value, json};

/// The revision that is offered to a client that asks for one which is not known here.
const OFFERED: Revision = Revision::V2025_11_25;
/// MCP 2026-07-28, schema: the request's protocol version is not supported.
const UNSUPPORTED_VERSION: i64 = -32022;
/// Largest message that is read.
const MAX_BODY: usize = 1024 * 1024;

/// The demo server, at `/mcp`.
pub fn demo_router() -> Router {
    Router::new().route("/mcp", post(answer)).layer(DefaultBodyLimit::max(MAX_BODY))
}

/// What goes wrong with a request, as a JSON-RPC error.
enum Fault {
    NoSuchMethod,
    NoSuchTool,
    Arguments(&'static str),
    Version(String),
}

async fn answer(headers: HeaderMap, body: Bytes) -> Response<Body> {
    let message = match Message::parse(&body, Message::LIMITS) {
        Ok(message) => message,
        Err(error) => {
            return write(StatusCode::BAD_REQUEST, error_body(None, error.code(), &error.to_string()));
        }
    };
    match &message {
        Message::Notification { .. } | Message::Response { .. } => {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::ACCEPTED;
            response
        }
        Message::Request { id, call } => reply(id, call, &headers, SystemClock.now()),
    }
}

fn reply(id: &Raw, call: &Call, headers: &HeaderMap, now: Timestamp) -> Response<Body> {
    let stateless = match call.protocol_version() {
        None => false,
        Some(version) => match Revision::parse(version) {
            Some(revision) => !revision.has_sessions(),
            None => return fault(id, true, &Fault::Version(version.to_owned())),
        },
    };
    if !stateless && !call.method().starts_with("initialize") && !knows_version(headers) {
        return fault(id, false, &Fault::Version(String::new()));
    }
    match result(call, stateless, now) {
        Ok(mut result) => {
            if stateless && let Some(members) = result.as_object_mut() {
                members.insert("resultType".to_owned(), json!("complete"));
                members.insert(
                    "_meta".to_owned(),
                    json!({ "io.modelcontextprotocol/serverInfo": server_info() }),
                );
            }
            let text = format!("{{\"jsonrpc\":\"2.0\",\"id\":{},\"result\":{result}}}", id.as_str());
            write(StatusCode::OK, text.into_bytes())
        }
        Err(wrong) => fault(id, stateless, &wrong),
    }
}

/// The header is absent before revision 2025-06-18, and must be a known one where it is there.
fn knows_version(headers: &HeaderMap) -> bool {
    let version = headers.get("mcp-protocol-version");
    version.is_none_or(|value| value.to_str().is_ok_and(|text| Revision::parse(text).is_some()))
}

fn result(call: &Call, stateless: bool, now: Timestamp) -> Result<Value, Fault> {
    let params = call.params().and_then(Raw::to_value).unwrap_or(Value::Null);
    match (call.method(), stateless) {
        ("initialize", false) => Ok(json!({
            "protocolVersion": negotiated(&params).as_str(),
            "capabilities": { "tools": {} },
            "serverInfo": server_info(),
            "instructions": INSTRUCTIONS,
        })),
        ("server/discover", true) => Ok(json!({
            "supportedVersions": Revision::ALL.map(Revision::as_str),
            "capabilities": { "tools": {} },
            "instructions": INSTRUCTIONS,
            "ttlMs": 3_600_000,
            "cacheScope": "public",
        })),
        ("ping", false) => Ok(json!({})),
        ("tools/list", true) => Ok(json!({ "tools": tools(), "ttlMs": 3_600_000, "cacheScope": "public" })),
        ("tools/list", false) => Ok(json!({ "tools": tools() })),
        ("tools/call", _) => {
            let arguments = params.get("arguments").unwrap_or(&Value::Null);
            let text = run(call.name().unwrap_or_default(), arguments, now)?;
            Ok(json!({ "content": [{ "type": "text", "text": text }], "isError": false }))
        }
        _ => Err(Fault::NoSuchMethod),
    }
}

const INSTRUCTIONS: &str = "A demonstration: try the tools echo, add and time.";

fn server_info() -> Value {
    json!({ "name": "hallpass-demo", "title": "hallpass demo", "version": env!("CARGO_PKG_VERSION") })
}

/// The client's version where it is one with a handshake, else ours.
fn negotiated(params: &Value) -> Revision {
    let asked = params.get("protocolVersion").and_then(Value::as_str).and_then(Revision::parse);
    asked.filter(|revision| revision.has_sessions()).unwrap_or(OFFERED)
}

fn tools() -> Value {
    let number = |what: &str| json!({ "type": "number", "description": what });
    let annotations = json!({ "readOnlyHint": true, "openWorldHint": false });
    json!([
        {
            "name": "echo",
            "title": "Echo",
            "description": "Gives back the text that it is given.",
            "inputSchema": {
                "type": "object",
                "properties": { "message": { "type": "string", "description": "Any text" } },
                "required": ["message"],
            },
            "annotations": annotations,
        },
        {
            "name": "add",
            "title": "Add",
            "description": "Adds two numbers.",
            "inputSchema": {
                "type": "object",
                "properties": { "a": number("The first"), "b": number("The second") },
                "required": ["a", "b"],
            },
            "annotations": annotations,
        },
        {
            "name": "time",
            "title": "Time",
            "description": "Tells the time of the server (UTC).",
            "inputSchema": { "type": "object", "properties": {} },
            "annotations": annotations,
        },
    ])
}

fn run(tool: &str, arguments: &Value, now: Timestamp) -> Result<String, Fault> {
    match tool {
        "echo" => {
            let message = arguments.get("message").and_then(Value::as_str);
            message.map(str::to_owned).ok_or(Fault::Arguments("`message` must be a text"))
        }
        "add" => {
            let number = |name| arguments.get(name).and_then(Value::as_f64);
            let (Some(a), Some(b)) = (number("a"), number("b")) else {
                return Err(Fault::Arguments("`a` and `b` must be numbers"));
            };
            Ok((a + b).to_string())
        }
        "time" => Ok(utc(now)),
        _ => Err(Fault::NoSuchTool),
    }
}

/// `2026-11-23T20:30:00Z`. Days to date by the civil calendar: eras of 400 years, years from March.
fn utc(now: Timestamp) -> String {
    let (days, seconds) = (now.seconds().div_euclid(86_400), now.seconds().rem_euclid(86_400));
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// Revision 2026-07-28 gives errors their HTTP status; before it, an error is a result like any other.
fn fault(id: &Raw, stateless: bool, wrong: &Fault) -> Response<Body> {
    let (status, code, message) = match wrong {
        Fault::NoSuchMethod => (StatusCode::NOT_FOUND, METHOD_NOT_FOUND, "No such method"),
        Fault::NoSuchTool => (StatusCode::OK, INVALID_PARAMS, "No such tool"),
        Fault::Arguments(what) => (StatusCode::OK, INVALID_PARAMS, *what),
        Fault::Version(requested) if stateless => {
            let supported = Revision::ALL.map(Revision::as_str);
            let error = json!({
                "code": UNSUPPORTED_VERSION,
                "message": "Unsupported protocol version",
                "data": { "supported": supported, "requested": requested },
            });
            let text = format!("{{\"jsonrpc\":\"2.0\",\"id\":{},\"error\":{error}}}", id.as_str());
            return write(StatusCode::BAD_REQUEST, text.into_bytes());
        }
        Fault::Version(_) => {
            return write(
                StatusCode::BAD_REQUEST,
                error_body(Some(id), -32600, "Unsupported protocol version"),
            );
        }
    };
    write(if stateless { status } else { StatusCode::OK }, error_body(Some(id), code, message))
}

fn write(status: StatusCode, body: Vec<u8>) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_right() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_800_000_000, "2027-01-15T08:00:00Z"),
            (4_107_542_399, "2100-02-28T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59Z"),
        ] {
            assert_eq!(utc(Timestamp::from_seconds(seconds)), text);
        }
    }
}
