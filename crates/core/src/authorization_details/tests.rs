//! What is read, what it allows, and what is said of it.

use super::*;

fn details(value: &Value) -> Result<AuthorizationDetails, DetailsError> {
    AuthorizationDetails::parse(&value.to_string())
}

fn one(more: &Value) -> Value {
    let mut entry = json!({"type": "mcp_tool", "tool": "pay"});
    for (name, value) in more.as_object().unwrap() {
        entry[name] = value.clone();
    }
    json!([entry])
}

#[test]
fn as_089_what_is_not_understood_is_refused() {
    for (bad, error) in [
        (json!({}), DetailsError::Form),
        (json!([]), DetailsError::Form),
        (json!(["mcp_tool"]), DetailsError::Form),
        (json!(vec![one(&json!({}))[0].clone(); MAX_TOOLS + 1]), DetailsError::Form),
        (json!([{}]), DetailsError::Type),
        (one(&json!({"type": "payment_initiation"})), DetailsError::Type),
        (one(&json!({"type": ["mcp_tool"]})), DetailsError::Type),
        (one(&json!({"type": "MCP_TOOL"})), DetailsError::Type),
        (one(&json!({"locations": ["https://mcp.example/mcp"]})), DetailsError::Member),
        (one(&json!({"actions": ["call"]})), DetailsError::Member),
        (json!([{"type": "mcp_tool"}]), DetailsError::Name),
        (one(&json!({"tool": ""})), DetailsError::Name),
        (one(&json!({"tool": "p\u{e4}y"})), DetailsError::Name),
        (one(&json!({"tool": "pay all"})), DetailsError::Name),
        (one(&json!({"tool": "x".repeat(129)})), DetailsError::Name),
        (one(&json!({"tool": ["pay"]})), DetailsError::Name),
        (one(&json!({"arguments": []})), DetailsError::Arguments),
        (one(&json!({"arguments": null})), DetailsError::Arguments),
        (one(&json!({"arguments": {"to": "x".repeat(400)}})), DetailsError::TooLong),
    ] {
        assert_eq!(details(&bad), Err(error), "{bad}");
    }
    let twice = r#"[{"type":"mcp_tool","tool":"read","tool":"pay"}]"#;
    assert_eq!(AuthorizationDetails::parse(twice), Err(DetailsError::Json(JsonError::DuplicateMember)));
    assert!(AuthorizationDetails::parse(&format!("[{}]", " ".repeat(5_000))).is_err());
}

#[test]
fn one_entry_has_to_allow_it_and_a_tool_that_is_not_named_is_not_allowed() {
    let details = details(&json!([
        {"type": "mcp_tool", "tool": "pay", "arguments": {"amount": {"max": 10}, "to": "Ada"}},
        {"type": "mcp_tool", "tool": "pay", "arguments": {"amount": {"max": 1}}},
        {"type": "mcp_tool", "tool": "list"},
    ]));
    let details = details.unwrap();
    for (tool, arguments, allowed) in [
        ("pay", json!({"amount": 10, "to": "Ada"}), true),
        ("pay", json!({"amount": 10, "to": "Bob"}), false),
        ("pay", json!({"amount": 1, "to": "Bob"}), true),
        ("pay", json!({"to": "Ada"}), false),
        ("pay", json!({"amount": "1", "to": "Ada"}), false),
        ("list", json!({}), true),
        ("List", json!({}), false),
        ("delete", json!({}), false),
    ] {
        assert_eq!(details.allow(tool, Some(&arguments)), allowed, "{tool} {arguments}");
    }
    assert!(details.allow("list", None) && !details.allow("pay", None));
    assert!(details.name("pay") && !details.name("delete"));
}

#[test]
fn what_is_written_is_read_back_the_same_and_has_one_text() {
    let spaced =
        r#" [ {"tool" : "pay", "arguments": {"amount": {"max": 100, "min": 1}}, "type": "mcp_tool"} ] "#;
    let details = AuthorizationDetails::parse(spaced).unwrap();
    let text = details.to_string();
    assert!(!text.contains(' '), "{text}");
    let again = AuthorizationDetails::parse(&text).unwrap();
    assert_eq!((again.to_string(), &again), (text.clone(), &details));
    assert_eq!(serde_json::to_string(&details).unwrap(), text);
}

#[test]
fn t_11_the_words_hide_nothing_and_show_nothing_else() {
    let details =
        details(&one(&json!({"arguments": {"to": "Z\u{fc}rich\u{202e}dab", "amount": {"max": 7}}})));
    let details = details.unwrap();
    let lines: Vec<_> = details.sentences().collect();
    let [line] = lines.as_slice() else { panic!("{lines:?}") };
    assert!(line.starts_with("pay, only with ") && line.contains("amount: at most 7"), "{line}");
    assert!(line.contains("to: \"Z\u{fc}rich\\u{202e}dab\""), "{line}");
}
