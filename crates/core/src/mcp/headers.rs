//! The headers that mirror a message, as revision 2026-07-28 demands them (SEP-2243).

use base64::{Engine as _, engine::general_purpose::STANDARD};
use thiserror::Error;

use super::{message::Message, revision::Revision};

/// All values of each mirrored header, in the order of the request.
#[derive(Clone, Copy, Debug, Default)]
pub struct MirroredHeaders<'a> {
    /// `MCP-Protocol-Version`.
    pub protocol_version: &'a [&'a str],
    /// `Mcp-Method`.
    pub method: &'a [&'a str],
    /// `Mcp-Name`.
    pub name: &'a [&'a str],
}

/// How headers and message differ. HTTP 400 with [`HEADER_MISMATCH`](super::error::HEADER_MISMATCH), but for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum HeaderMismatch {
    /// A header occurs more than once: two readers may take different ones.
    #[error("the header `{0}` occurs more than once")]
    Repeated(&'static str),
    /// A required header is absent.
    #[error("the header `{0}` is missing")]
    Missing(&'static str),
    /// A header's encoded value cannot be decoded.
    #[error("the header `{0}` cannot be decoded")]
    Undecodable(&'static str),
    /// A header says something else than the message.
    #[error("the header `{0}` differs from the message")]
    Different(&'static str),
    /// A header says the revision and the message does not: no mismatch, but a message without what it must have
    /// (SEP-2575), which is -32602.
    #[error("the message does not say its protocol version")]
    Unsaid,
}

const PROTOCOL_VERSION: &str = "MCP-Protocol-Version";
const METHOD: &str = "Mcp-Method";
const NAME: &str = "Mcp-Name";

/// Compares the headers with the message. The message is the truth; a header can only make it be refused.
///
/// Which rules hold is said by the header and by the message itself: as soon as one of the two names revision
/// 2026-07-28, both have to. For older revisions only repeated headers are refused and the rest means nothing:
/// who trusts it trusts the caller (RS-052).
pub fn check_headers(message: &Message, headers: &MirroredHeaders<'_>) -> Result<(), HeaderMismatch> {
    let version = single(headers.protocol_version, PROTOCOL_VERSION)?;
    let method = single(headers.method, METHOD)?;
    let name = single(headers.name, NAME)?;
    let mirrors = |text: &str| Revision::parse(text).is_some_and(Revision::mirrors_headers);
    let (Some(call), inside) = (message.call(), message.protocol_version()) else { return Ok(()) };
    if !version.is_some_and(mirrors) && !inside.is_some_and(mirrors) {
        return Ok(());
    }
    let is_request = matches!(message, Message::Request { .. });
    let version = version.ok_or(HeaderMismatch::Missing(PROTOCOL_VERSION))?;
    // What notifications carry is left open by the revision; what they do carry has to be true.
    match inside {
        Some(inside) if inside != version => return Err(HeaderMismatch::Different(PROTOCOL_VERSION)),
        None if is_request => return Err(HeaderMismatch::Unsaid),
        Some(_) | None => {}
    }
    compare(METHOD, method, Some(call.method()), is_request)?;
    compare(NAME, name, call.mirrored_name().as_deref(), is_request)
}

/// A header for which the message has no counterpart is not looked at: extensions mirror other members in it.
fn compare(
    header: &'static str,
    value: Option<&str>,
    expected: Option<&str>,
    required: bool,
) -> Result<(), HeaderMismatch> {
    let Some(expected) = expected else { return Ok(()) };
    let Some(value) = value else {
        return if required { Err(HeaderMismatch::Missing(header)) } else { Ok(()) };
    };
    let value = decode_header_value(value).ok_or(HeaderMismatch::Undecodable(header))?;
    if value == expected { Ok(()) } else { Err(HeaderMismatch::Different(header)) }
}

fn single<'a>(values: &[&'a str], header: &'static str) -> Result<Option<&'a str>, HeaderMismatch> {
    match values {
        [] => Ok(None),
        [one] => Ok(Some(one.trim_matches([' ', '\t']))),
        _ => Err(HeaderMismatch::Repeated(header)),
    }
}

/// Reads a header value: `=?base64?…?=` with these very markers is UTF-8 in base64, anything else is itself.
/// Nothing for base64 or UTF-8 that is none, and for characters that no header may have.
pub fn decode_header_value(value: &str) -> Option<String> {
    if let Some(encoded) = encoded_part(value) {
        return String::from_utf8(STANDARD.decode(encoded).ok()?).ok();
    }
    value.bytes().all(|byte| matches!(byte, b' '..=b'~' | b'\t')).then(|| value.to_owned())
}

/// Writes a header value so that [`decode_header_value`] gives the text back, whatever is in it.
pub fn encode_header_value(text: &str) -> String {
    let plain = text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
        && text.trim_matches(' ') == text
        && encoded_part(text).is_none();
    if plain { text.to_owned() } else { format!("=?base64?{}?=", STANDARD.encode(text)) }
}

fn encoded_part(value: &str) -> Option<&str> {
    value.strip_prefix("=?base64?")?.strip_suffix("?=")
}

#[cfg(test)]
mod tests {
    use super::{HeaderMismatch as H, *};
    use proptest::prelude::*;

    const VERSION: &str = "2026-07-28";

    fn message(id: &str, method: &str, params: &str) -> Message {
        let text = format!(
            r#"{{"jsonrpc":"2.0"{id},"method":"{method}","params":{{"_meta":{{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}{params}}}}}"#
        );
        Message::parse(text.as_bytes(), Message::LIMITS).unwrap()
    }

    fn call() -> Message {
        message(r#","id":1"#, "tools/call", r#","name":"größe""#)
    }

    fn check(message: &Message, version: &[&str], method: &[&str], name: &[&str]) -> Result<(), H> {
        check_headers(message, &MirroredHeaders { protocol_version: version, method, name })
    }

    #[test]
    fn rs_051_headers_and_body_say_the_same() {
        let name = encode_header_value("größe");
        assert_eq!(check(&call(), &[VERSION], &["tools/call"], &[&name]), Ok(()));
        assert_eq!(check(&call(), &[" 2026-07-28\t"], &["tools/call "], &[&format!(" {name}")]), Ok(()));
        for (version, method, name, rule) in [
            (&[][..], &["tools/call"][..], &[name.as_str()][..], H::Missing("MCP-Protocol-Version")),
            (&[VERSION], &[], &[&name], H::Missing("Mcp-Method")),
            (&[VERSION], &["tools/call"], &[], H::Missing("Mcp-Name")),
            (&["2025-11-25"], &["tools/call"], &[&name], H::Different("MCP-Protocol-Version")),
            (&["2027-01-01"], &["tools/call"], &[&name], H::Different("MCP-Protocol-Version")),
            (&[VERSION], &["tools/list"], &[&name], H::Different("Mcp-Method")),
            (&[VERSION], &["Tools/Call"], &[&name], H::Different("Mcp-Method")),
            (&[VERSION], &["tools/call"], &["other"], H::Different("Mcp-Name")),
            (&[VERSION], &["tools/call"], &["=?BASE64?Z3LDtsOfZQ==?="], H::Different("Mcp-Name")),
            (&[VERSION], &["tools/call"], &["=?base64?Z3LDtsOfZQ?="], H::Undecodable("Mcp-Name")),
            (&[VERSION], &["tools/call"], &["größe"], H::Undecodable("Mcp-Name")),
            (&[VERSION, VERSION], &["tools/call"], &[&name], H::Repeated("MCP-Protocol-Version")),
            (&[VERSION], &["tools/call", "tools/call"], &[&name], H::Repeated("Mcp-Method")),
            (&[VERSION], &["tools/call"], &[&name, "x"], H::Repeated("Mcp-Name")),
        ] {
            assert_eq!(check(&call(), version, method, name), Err(rule), "{version:?} {method:?} {name:?}");
        }
    }

    #[test]
    fn rs_051_a_name_that_looks_encoded_is_encoded() {
        let literal = message(r#","id":1"#, "prompts/get", r#","name":"=?base64?YQ==?=""#);
        assert_eq!(
            check(&literal, &[VERSION], &["prompts/get"], &["=?base64?YQ==?="]),
            Err(H::Different("Mcp-Name"))
        );
        let written = encode_header_value("=?base64?YQ==?=");
        assert_eq!(check(&literal, &[VERSION], &["prompts/get"], &[&written]), Ok(()));
    }

    #[test]
    fn t_75_only_methods_with_a_name_need_one() {
        let list = message(r#","id":1"#, "tools/list", "");
        assert_eq!(check(&list, &[VERSION], &["tools/list"], &[]), Ok(()));
        assert_eq!(check(&list, &[VERSION], &["tools/list"], &["x"]), Ok(()));
        let read = message(r#","id":1"#, "resources/read", r#","uri":"file:///x""#);
        assert_eq!(check(&read, &[VERSION], &["resources/read"], &["file:///x"]), Ok(()));
        assert_eq!(
            check(&read, &[VERSION], &["resources/read"], &["file:///y"]),
            Err(H::Different("Mcp-Name"))
        );
        // Of a task, its id (SEP-2663).
        let get = message(r#","id":1"#, "tasks/get", r#","taskId":"t-1""#);
        assert_eq!(check(&get, &[VERSION], &["tasks/get"], &["t-1"]), Ok(()));
        assert_eq!(check(&get, &[VERSION], &["tasks/get"], &["t-2"]), Err(H::Different("Mcp-Name")));
        assert_eq!(check(&get, &[VERSION], &["tasks/get"], &[]), Err(H::Missing("Mcp-Name")));
        let notification = message("", "notifications/cancelled", "");
        assert_eq!(check(&notification, &[VERSION], &[], &[]), Ok(()));
        assert_eq!(check(&notification, &[VERSION], &["tools/call"], &[]), Err(H::Different("Mcp-Method")));
    }

    #[test]
    fn rs_052_older_revisions_compare_nothing() {
        let text = br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a"}}"#;
        let old = Message::parse(text, Message::LIMITS).unwrap();
        for version in [&[][..], &["2025-11-25"], &["nonsense"]] {
            assert_eq!(check(&old, version, &["tools/list"], &["b"]), Ok(()));
            assert_eq!(check(&old, version, &["a", "b"], &[]), Err(H::Repeated("Mcp-Method")));
        }
        // The header alone names the new revision: the body has to as well.
        assert_eq!(check(&old, &[VERSION], &["tools/call"], &["a"]), Err(H::Unsaid));
    }

    #[test]
    fn values_are_decoded_strictly() {
        assert_eq!(decode_header_value("=?base64?SGVsbG8sIOS4lueVjA==?=").as_deref(), Some("Hello, 世界"));
        assert_eq!(decode_header_value("us-west1").as_deref(), Some("us-west1"));
        assert_eq!(decode_header_value("=?base64?").as_deref(), Some("=?base64?"));
        assert_eq!(decode_header_value("=?base64??=").as_deref(), Some(""));
        // HTTP trims white space, so a name that has some around it would arrive as another one.
        assert_eq!(encode_header_value(" padded "), "=?base64?IHBhZGRlZCA=?=");
        for broken in ["=?base64?%%%?=", "=?base64?/w==?=", "=?base64?YR==?=", "a\nb", "é"] {
            assert_eq!(decode_header_value(broken), None, "{broken:?}");
        }
    }

    proptest! {
        #[test]
        fn values_come_back(text: String) {
            let written = encode_header_value(&text);
            prop_assert!(written.bytes().all(|byte| matches!(byte, b' '..=b'~')));
            prop_assert_eq!(written.trim(), written.as_str());
            prop_assert_eq!(decode_header_value(&written), Some(text));
        }

        #[test]
        fn decoding_never_panics(text: String) {
            let _ = decode_header_value(&text);
        }
    }
}
