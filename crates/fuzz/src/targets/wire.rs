//! What goes over the wire: JSON-RPC messages, challenges, header values.

use super::lines;
use hallpass_core::{
    challenge::{self, Challenge},
    mcp::{Message, decode_header_value, encode_header_value},
};
use serde_json::Value;
use std::str;

/// A message that is passed on means to every reader what it meant to us.
pub fn message(bytes: &[u8]) {
    let Ok(message) = Message::parse(bytes, Message::LIMITS) else { return };
    let sent = message.to_canonical();
    assert!(!sent.contains(&b'\n'), "one line");
    let again = Message::parse(&sent, Message::LIMITS).expect("what we send we read");
    assert_eq!(again, message);
    assert_eq!(again.to_canonical(), sent);
    let theirs: Value = serde_json::from_slice(&sent).expect("JSON for everybody");
    let received: Value = serde_json::from_slice(bytes).expect("JSON for everybody");
    for member in ["jsonrpc", "method", "params", "result", "error"] {
        assert_eq!(theirs.get(member), received.get(member), "{member}");
    }
    assert_eq!(theirs.get("method").and_then(Value::as_str), message.method());
    if let Some(name) = message.name() {
        let params = &theirs["params"];
        assert!([&params["name"], &params["uri"]].iter().any(|value| value.as_str() == Some(name)), "{name}");
    }
}

/// Nothing that a stranger writes into a challenge becomes another parameter, and none of ours is lost.
pub fn challenge(bytes: &[u8]) {
    let Some(texts) = lines(bytes) else { return };
    for read in challenge::parse(&texts) {
        assert!(!read.scheme().is_empty());
        for (name, _) in read.parameters() {
            assert_eq!(name, name.trim());
        }
    }
    let first = texts.first().copied().unwrap_or_default();
    let second = texts.get(1).copied().unwrap_or_default();
    let written = Challenge::bearer()
        .realm(second)
        .error("invalid_token")
        .error_description(first)
        .scope(second)
        .to_string();
    assert!(written.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{written:?}");
    let read = challenge::parse(&[&written]);
    if written.len() <= 8192 {
        assert_eq!(read.len(), 1, "{written}");
        assert_eq!(read[0].parameter("error"), Some("invalid_token"), "{written}");
        assert!(read[0].parameter("error_description").is_some() || first.is_empty(), "{written}");
        assert_eq!(read[0].parameter("resource_metadata"), None, "{written}");
    }
}

/// Any text gets through a header and back.
pub fn header_value(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let written = encode_header_value(text);
    assert!(written.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{written:?}");
    assert_eq!(decode_header_value(&written).as_deref(), Some(text));
    if let Some(read) = decode_header_value(text) {
        assert_eq!(decode_header_value(&encode_header_value(&read)), Some(read));
    }
}
