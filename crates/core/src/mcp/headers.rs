//! The headers that mirror a message, as revision 2026-07-28 demands them (SEP-2243).

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::Value;
use std::collections::BTreeMap;
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
    /// `Mcp-Param-*`: the rest of the name in lower case, and the value, where it is text.
    pub parameters: &'a [(&'a str, Option<&'a str>)],
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
const PARAMETER: &str = "Mcp-Param-*";

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
    compare(NAME, name, call.mirrored_name().as_deref(), is_request)?;
    if headers.parameters.is_empty() {
        return Ok(());
    }
    compare_parameters(headers.parameters, call.arguments().as_ref())
}

/// Which argument such a header is about says the schema of the tool, which is not at hand here. But it is one of them, in an
/// object and not in a list, and has this value: so a header with a value that no argument has is a lie about any, and is
/// refused. What is left is passed untouched, and is compared by who knows the schema.
fn compare_parameters(
    parameters: &[(&str, Option<&str>)],
    arguments: Option<&Value>,
) -> Result<(), HeaderMismatch> {
    let mut names: Vec<&str> = parameters.iter().map(|(name, _)| *name).collect();
    names.sort_unstable();
    if names.windows(2).any(|pair| pair.first() == pair.last()) {
        return Err(HeaderMismatch::Repeated(PARAMETER));
    }
    // Whether it was found. One walk over the arguments, however many headers there are.
    let mut wanted = BTreeMap::new();
    let mut numbers = BTreeMap::new();
    for (_, value) in parameters {
        let value = value.map(|value| value.trim_matches([' ', '\t'])).and_then(decode_header_value);
        let value = value.ok_or(HeaderMismatch::Undecodable(PARAMETER))?;
        if let Some(number) = whole_number(&value) {
            numbers.insert(number, value.clone());
        }
        wanted.insert(value, false);
    }
    let mut places: Vec<&Value> = arguments.into_iter().collect();
    while let Some(place) = places.pop() {
        let (text, number) = match place {
            Value::Object(members) => {
                places.extend(members.values());
                continue;
            }
            Value::String(text) => (text.clone(), None),
            Value::Number(number) => (number.to_string(), whole_number(&number.to_string())),
            Value::Bool(truth) => (truth.to_string(), None),
            Value::Null | Value::Array(_) => continue,
        };
        let as_number = number.and_then(|number| numbers.get(&number));
        for found in [Some(&text), as_number].into_iter().flatten() {
            if let Some(seen) = wanted.get_mut(found) {
                *seen = true;
            }
        }
    }
    if wanted.values().all(|found| *found) { Ok(()) } else { Err(HeaderMismatch::Different(PARAMETER)) }
}

/// An integer as it is written without a fraction: `42.0` is `42`, in the range in which all readers agree.
fn whole_number(text: &str) -> Option<String> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b'.'));
    let number: f64 = text.parse().ok().filter(|_| plain)?;
    let is_safe = number.fract() == 0.0 && number.abs() < 9_007_199_254_740_992.0;
    is_safe.then(|| format!("{:.0}", number + 0.0))
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
        check_headers(message, &MirroredHeaders { protocol_version: version, method, name, parameters: &[] })
    }

    fn check_parameters(arguments: &str, parameters: &[(&str, Option<&str>)]) -> Result<(), H> {
        let message = message(r#","id":1"#, "tools/call", &format!(r#","name":"t","arguments":{arguments}"#));
        let (version, method, name) = (&[VERSION][..], &["tools/call"][..], &["t"][..]);
        check_headers(&message, &MirroredHeaders { protocol_version: version, method, name, parameters })
    }

    #[test]
    fn rs_051_t_75_a_header_for_a_parameter_has_the_value_of_an_argument() {
        let arguments = r#"{"region":"us-west1","in":{"deep":{"text":" größe"}},"n":42,"f":7.0,"b":true,"big":9007199254740993,"list":["x",{"y":"z"}],"none":null,"empty":"","minus":-1,"word":"5.0"}"#;
        let of = |text: &str| check_parameters(arguments, &[("a", Some(text))]);
        let deep = encode_header_value(" größe");
        for good in [
            "us-west1",
            " us-west1\t",
            "=?base64?dXMtd2VzdDE=?=",
            &*deep,
            "42",
            "42.0",
            "7",
            "7.0",
            "true",
            "9007199254740993",
            "-1",
            "",
            "5.0",
        ] {
            assert_eq!(of(good), Ok(()), "{good:?}");
        }
        // Of no argument, of a list, in other letters, and numbers that texts look like.
        for lie in [
            "LIE",
            "US-west1",
            "region",
            "x",
            "z",
            "null",
            "43",
            "True",
            "9007199254740992",
            "4.2e1",
            "1",
            "5",
        ] {
            assert_eq!(of(lie), Err(H::Different(PARAMETER)), "{lie:?}");
        }
        for broken in ["=?base64?%%?=", "=?base64?/w==?=", "größe", "a\nb"] {
            assert_eq!(of(broken), Err(H::Undecodable(PARAMETER)), "{broken:?}");
        }
        let check = |parameters: &[(&str, Option<&str>)]| check_parameters(arguments, parameters);
        assert_eq!(check(&[("a", None)]), Err(H::Undecodable(PARAMETER)));
        let (region, truth) = (Some("us-west1"), Some("true"));
        assert_eq!(check(&[("a", region), ("b", truth), ("c", region)]), Ok(()));
        assert_eq!(check(&[("a", region), ("b", Some("LIE"))]), Err(H::Different(PARAMETER)));
        assert_eq!(check(&[("a", region), ("b", truth), ("a", region)]), Err(H::Repeated(PARAMETER)));
        assert_eq!(check_parameters("{}", &[("a", region)]), Err(H::Different(PARAMETER)));
    }

    #[test]
    fn rs_051_what_has_no_arguments_has_no_parameters_and_older_revisions_compare_nothing() {
        let parameters = &[("a", Some("x"))][..];
        let list = message(r#","id":1"#, "tools/list", "");
        let headers = MirroredHeaders {
            protocol_version: &[VERSION],
            method: &["tools/list"],
            parameters,
            ..MirroredHeaders::default()
        };
        assert_eq!(check_headers(&list, &headers), Err(H::Different(PARAMETER)));
        let text = br#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
        let old = Message::parse(text, Message::LIMITS).unwrap();
        assert_eq!(
            check_headers(&old, &MirroredHeaders { parameters, ..MirroredHeaders::default() }),
            Ok(())
        );
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
