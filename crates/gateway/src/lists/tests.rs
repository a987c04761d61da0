//! What is left of lists, compared with a reader that builds a tree, however they are written.

use super::*;
use crate::{
    config::{Policy, Rule, Unlisted},
    rules::tests::ANN,
};
use hallpass_core::{json::Limits, scope::Scope};
use proptest::prelude::*;
use serde_json::Value;
use std::fmt::Write as _;

fn rules() -> Rules {
    let strings = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let allowed = Rule {
        tools: strings(&["read_*", "na\"me", "é\u{2028}"]),
        prompts: strings(&["read_*"]),
        resources: strings(&["file:///public/*"]),
        ..Rule::default()
    };
    let denied = Rule { tools: strings(&["*_drop"]), deny: true, ..Rule::default() };
    let policy = Policy { rules: vec![allowed, denied], unlisted: Unlisted::Deny, ..Policy::default() };
    Rules::new(Scope::none(), &policy)
}

fn message(result: &str) -> Message {
    let text = format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{result}}}");
    Message::parse(text.as_bytes(), Limits { bytes: 1 << 20, depth: 64 }).unwrap()
}

fn shown(result: &str) -> Option<String> {
    filtered(&rules(), &ANN, &message(result)).map(|text| String::from_utf8(text).unwrap())
}

/// The same by a tree.
fn expected(result: &Value) -> Option<Value> {
    let mut members = result.as_object()?.clone();
    let mut lists = false;
    for (list, key, kind) in LISTS {
        let Some(Value::Array(items)) = members.get_mut(list) else { continue };
        lists = true;
        items.retain(|item| item[key].as_str().is_some_and(|name| shows(&rules(), &ANN, kind, name)));
    }
    if members.contains_key("cacheScope") || members.contains_key("ttlMs") {
        members.insert("cacheScope".to_owned(), json!("private"));
    }
    lists.then(|| json!({ "jsonrpc": "2.0", "id": 1, "result": members }))
}

/// A text of the value. `choices` say where a letter is written as an escape, and where white space stands.
fn written(value: &Value, choices: &mut dyn Iterator<Item = bool>, spaced: bool) -> String {
    let space = |out: &mut String, choices: &mut dyn Iterator<Item = bool>| {
        if spaced && choices.next() == Some(true) {
            out.push_str("\r\n \t");
        }
    };
    let string = |text: &str, choices: &mut dyn Iterator<Item = bool>| {
        let plain = Value::from(text).to_string();
        let mut out = String::new();
        let mut escaped = false;
        for c in plain.chars() {
            if !escaped && c.is_ascii_alphanumeric() && choices.next() == Some(true) {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            } else {
                out.push(c);
            }
            escaped = !escaped && c == '\\';
        }
        out
    };
    let mut out = String::new();
    match value {
        Value::Object(members) => {
            out.push('{');
            for (at, (name, value)) in members.iter().enumerate() {
                out.push_str(if at > 0 { "," } else { "" });
                space(&mut out, choices);
                out.push_str(&string(name, choices));
                space(&mut out, choices);
                out.push(':');
                out.push_str(&written(value, choices, spaced));
                space(&mut out, choices);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                out.push_str(if at > 0 { "," } else { "" });
                out.push_str(&written(item, choices, spaced));
                space(&mut out, choices);
            }
            out.push(']');
        }
        Value::String(text) => out.push_str(&string(text, choices)),
        Value::Null | Value::Bool(_) | Value::Number(_) => out.push_str(&value.to_string()),
    }
    out
}

fn small() -> impl Strategy<Value = Value> {
    let names = [
        "read_a",
        "read_b",
        "write",
        "read_drop",
        "na\"me",
        "é\u{2028}",
        "",
        "]},{\"name\":\"read_c\"",
        "\\",
        "file:///public/x",
        "file:///public/{x}",
        "file:///private",
    ];
    let leaf = prop_oneof![
        4 => prop::sample::select(names.to_vec()).prop_map(Value::from),
        1 => any::<i32>().prop_map(Value::from),
        1 => prop::sample::select(vec![json!(null), json!(true), json!({}), json!([])]),
    ];
    leaf.prop_recursive(2, 8, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            members(&["name", "tools", "a"], inner),
        ]
    })
}

fn members(
    names: &'static [&'static str],
    value: impl Strategy<Value = Value> + 'static,
) -> impl Strategy<Value = Value> {
    let names = prop::sample::select(names.to_vec()).prop_map(str::to_owned);
    prop::collection::btree_map(names, value, 0..7)
        .prop_map(|members| Value::Object(members.into_iter().collect()))
}

const NAMES: &[&str] = &[
    "tools",
    "prompts",
    "resources",
    "resourceTemplates",
    "cacheScope",
    "ttlMs",
    "Tools",
    "nextCursor",
    "z",
];

fn a_result() -> impl Strategy<Value = Value> {
    let item = prop_oneof![
        6 => members(&["name", "uri", "uriTemplate", "Name", "description", "inputSchema"], small()),
        1 => small(),
    ];
    let value = prop_oneof![3 => prop::collection::vec(item, 0..6).prop_map(Value::from), 1 => small()];
    members(NAMES, value)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn rs_054_a_list_is_what_a_tree_would_have_left_of_it(
        result in a_result(), choices in prop::collection::vec(any::<bool>(), 1..64), spaced: bool
    ) {
        let text = written(&result, &mut choices.iter().copied().cycle(), spaced);
        prop_assert_eq!(&serde_json::from_str::<Value>(&text).unwrap(), &result);
        let shown = shown(&text);
        let read = shown.as_deref().map(|shown| serde_json::from_str::<Value>(shown).unwrap());
        prop_assert_eq!(read, expected(&result), "{}", text);
        // What is sent on has one reading, and is one line.
        if let Some(shown) = shown {
            prop_assert!(Message::parse(shown.as_bytes(), Message::LIMITS).is_ok(), "{}", shown);
            prop_assert!(!shown.contains(['\n', '\r', '\t', '\u{2028}']), "{}", shown);
        }
    }
}

#[test]
fn rs_054_what_is_kept_stays_as_it_was_written() {
    for (result, left) in [
        (
            r#"{"ttlMs":1.0, "tools":[{"x":1e2,"n\u0061me":"read\u005fa"},{"name":"no"} ,{"name":"read_b" }],"z":[]}"#,
            Some(
                r#"{"ttlMs":1.0,"tools":[{"x":1e2,"n\u0061me":"read\u005fa"},{"name":"read_b"}],"z":[],"cacheScope":"private"}"#,
            ),
        ),
        (
            r#"{"cacheScope":{"a":[]},"t\u006fols":[{"name":"no"}],"prompts":[]}"#,
            Some(r#"{"cacheScope":"private","t\u006fols":[],"prompts":[]}"#),
        ),
        (r#"{"tools":{"name":"no"}}"#, None),
        (r#"{"Tools":[{"name":"no"}]}"#, None),
        (r#"[{"tools":[]}]"#, None),
        ("{}", None),
    ] {
        let left = left.map(|left| format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":{left}}}"));
        assert_eq!(shown(result), left, "{result}");
    }
}

#[test]
fn an_item_is_known_by_its_member_wherever_it_stands_and_however_it_is_written() {
    let name = |item: &str| {
        let Message::Response { outcome: Outcome::Result(raw), .. } = message(item) else { panic!("{item}") };
        let mut walk = Walk::new(&raw);
        let name = named(&mut walk, "name").map(Cow::into_owned);
        assert!(walk.is_done(), "{item}");
        name
    };
    for item in [
        r#"{"name":"read_file","more":{"name":"x"}}"#,
        r#"{"more":{"name":"x"},"list":[{"name":"y"}],"name":"read_file"}"#,
        r#"{"n\u0061me":"read\u005ffile"}"#,
    ] {
        assert_eq!(name(item).as_deref(), Some("read_file"), "{item}");
    }
    for item in [
        r"{}",
        r#"{"name":7}"#,
        r#"{"name":null}"#,
        r#"{"name":["x"],"a":1}"#,
        r#"{"Name":"x"}"#,
        "7",
        r#""name""#,
        r#"["name"]"#,
    ] {
        assert_eq!(name(item), None, "{item}");
    }
}
