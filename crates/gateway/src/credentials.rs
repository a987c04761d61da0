//! What the upstream may see: headers that are written here, from a list. Nothing else of a request passes.
//!
//! A list of what to remove has a hole for each spelling of `X-Forwarded-User`; a list of what to write has none
//! (RS-044, RS-045, T-71, T-72). The query of the request is not passed either: tokens end up in queries.

use crate::{
    message::{Action, Call, LAST_EVENT_ID, MCP_METHOD, MCP_NAME, PARAMETER, PROTOCOL_VERSION, SESSION_ID},
    span::TRACEPARENT,
};
use hallpass_core::mcp::{self, encode_header_value};
use http::{HeaderMap, HeaderName, HeaderValue, header};

/// What a message is posted with where the client did not say what it accepts.
const ANSWERS: HeaderValue = HeaderValue::from_static("application/json, text/event-stream");

/// The headers for the upstream.
pub(crate) fn headers(call: &Call) -> HeaderMap {
    let client = &call.headers;
    let mut headers = HeaderMap::with_capacity(8);
    pass(client, &header::ACCEPT, &mut headers);
    if let Some(version) = &call.version {
        headers.insert(PROTOCOL_VERSION, version.clone());
    }
    if let Some(session) = &call.session {
        headers.insert(SESSION_ID, session.upstream.clone());
        // Events of a stream that no session owns could be anybody's (RS-056), so without one nothing is resumed.
        pass(client, &LAST_EVENT_ID, &mut headers);
    }
    if let Action::Message(message) = &call.action {
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if !headers.contains_key(header::ACCEPT) {
            headers.insert(header::ACCEPT, ANSWERS);
        }
        if call.writes_mirrors {
            mirror(MCP_METHOD, message.method(), &mut headers);
            // Of what is sent on, in which a task has the id that the server gave it.
            let name = message.call().and_then(mcp::Call::mirrored_name);
            mirror(MCP_NAME, name.as_deref(), &mut headers);
            // Of an unknown revision nothing was compared, and what was not compared is not passed.
            if call.mirrors && message.call().is_some() {
                pass_parameters(client, &mut headers);
            }
        }
    }
    if let Some(trace) = &call.traceparent {
        headers.insert(TRACEPARENT, trace.clone());
    }
    headers
}

/// Passes every value of a header, unless `Connection` says that it is for us alone (RFC 9110 §7.6.1).
fn pass(client: &HeaderMap, name: &HeaderName, headers: &mut HeaderMap) {
    if is_for_us(client, name.as_str()) {
        return;
    }
    for value in client.get_all(name) {
        headers.append(name.clone(), value.clone());
    }
}

/// Untouched, for servers that know which argument each is about: each has the value of one (`message`).
fn pass_parameters(client: &HeaderMap, headers: &mut HeaderMap) {
    for (name, value) in client.iter().filter(|(name, _)| name.as_str().starts_with(PARAMETER)) {
        if !is_for_us(client, name.as_str()) {
            headers.append(name.clone(), value.clone());
        }
    }
}

/// Written from the message, not taken from the request (M15).
fn mirror(name: HeaderName, text: Option<&str>, headers: &mut HeaderMap) {
    if let Some(value) = text.and_then(|text| HeaderValue::try_from(encode_header_value(text)).ok()) {
        headers.insert(name, value);
    }
}

fn is_for_us(client: &HeaderMap, name: &str) -> bool {
    client.get_all(header::CONNECTION).iter().any(|value| {
        let listed = value.to_str().unwrap_or_default();
        listed.split(',').any(|option| option.trim().eq_ignore_ascii_case(name))
    })
}
