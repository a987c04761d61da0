//! What holds for every message, compared with another parser.

use super::{Message, MessageError};
use crate::json::Limits;
use proptest::prelude::*;
use serde_json::{Value, json};

fn parse(text: &str) -> Result<Message, MessageError> {
    Message::parse(text.as_bytes(), Message::LIMITS)
}

pub(super) fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 12, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..12)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn rs_049_never_panics(bytes: Vec<u8>) {
        let _ = Message::parse(&bytes, Message::LIMITS);
    }

    /// Built from the pieces that matter, so that it often gets far. What is accepted here is accepted by
    /// serde_json, says the same there, and stays the same when it is read again.
    #[test]
    fn rs_049_what_is_accepted_has_one_reading(text in concat!(
        r#"\{ ?("jsonrpc":"2.0"|"\\u006asonrpc":"2.0"),("id":(1|"a"|null|-1e3),)?"m(e|\\u0065)thod": ?"tools/call","#,
        r#"("[mM]ethod\\u0000":1,|"x":\[[0-9,\\"]{0,6}\],)?"params":\{("(nam|Nam)e":"[a-b\\"u0-9]{1,7}",?){1,2}"#,
        r#"("arguments":\{("[ab]{1,2}":(1|-0.5|"é\\n"|\[true,null\]|\{"a":\{\}\}),?){0,3}\},?)?\}\} ?"#,
    )) {
        if let Ok(message) = parse(&text) {
            let theirs: Value = serde_json::from_str(&text).unwrap();
            prop_assert_eq!(message.name(), theirs["params"]["name"].as_str());
            let written = message.to_canonical();
            prop_assert_eq!(&Message::parse(&written, Message::LIMITS).unwrap(), &message);
            let reread: Value = serde_json::from_slice(&written).unwrap();
            prop_assert_eq!(&reread["params"], &theirs["params"]);
        }
    }

    #[test]
    fn rs_049_agrees_with_serde_json_on_valid_messages(
        arguments in any_json(), name in "[^\\p{Cc}]{1,20}", id: i64, pretty: bool
    ) {
        let message = json!({
            "jsonrpc": "2.0", "id": id, "method": "tools/call",
            "params": {"name": name, "arguments": arguments},
        });
        let text = if pretty { serde_json::to_string_pretty(&message) } else { serde_json::to_string(&message) };
        let text = text.unwrap();
        let parsed = parse(&text).unwrap();
        prop_assert_eq!(parsed.name(), Some(name.as_str()));
        let written = parsed.to_canonical();
        prop_assert_eq!(Message::parse(&written, Message::LIMITS), Ok(parsed));
        // serde_json rounds some floats when it reads them, so both sides are what it reads.
        let theirs: Value = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(serde_json::from_slice::<Value>(&written).unwrap(), theirs);
        prop_assert!(!written.contains(&b'\n'));
    }

    #[test]
    fn rs_049_agrees_with_the_strict_reader(text in r#"[\[\]{}",:0-2a\\. -]{0,24}"#) {
        let theirs = crate::json::parse_value(text.as_bytes(), Limits::default());
        let ours = parse(&format!(r#"{{"jsonrpc":"2.0","id":1,"result":{text}}}"#));
        // Text that closes our object is none of this test's business.
        if theirs.is_ok() {
            prop_assert!(ours.is_ok(), "{:?}", ours);
        } else if !text.contains('}') && !text.contains(',') {
            prop_assert!(ours.is_err());
        }
    }
}
