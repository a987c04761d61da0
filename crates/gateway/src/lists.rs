//! Lists without what the caller may not use with any scope. Presentation only: the call would be refused all the same (M15).

use crate::{
    rules::{Asker, Rules},
    tools::Kind,
};
use hallpass_core::mcp::{Message, Outcome};
use serde_json::{Value, value::RawValue};
use std::collections::BTreeMap;

/// Whether the answer to this method is a list.
pub(crate) fn is_list(method: &str) -> bool {
    matches!(method, "tools/list" | "prompts/list" | "resources/list" | "resources/templates/list")
}

/// What lists are in, by what their items are called, and what that is.
const LISTS: [(&str, &str, Option<Kind>); 4] = [
    ("tools", "name", Some(Kind::Tool)),
    ("prompts", "name", Some(Kind::Prompt)),
    ("resources", "uri", Some(Kind::Resource)),
    ("resourceTemplates", "uriTemplate", None),
];

/// The message as it is shown, when it is a list: known by what it is, since a stream that is resumed delivers it
/// apart from its request. What is kept stays as it was written. Marked private, as what is shown depends on the
/// rules (RS-054, T-84).
pub(crate) fn filtered(rules: &Rules, asker: &Asker<'_>, message: &Message) -> Option<Vec<u8>> {
    let Message::Response { id: Some(id), outcome: Outcome::Result(result) } = message else { return None };
    let mut members: BTreeMap<String, &RawValue> = serde_json::from_str(result.as_str()).ok()?;
    let mut lists = Vec::new();
    for (member, key, kind) in LISTS {
        let Some(items) = members.get(member).filter(|items| items.get().starts_with('[')) else { continue };
        let mut items: Vec<&RawValue> = serde_json::from_str(items.get()).ok()?;
        items.retain(|item| shows(rules, asker, (kind, key), item));
        lists.push((member, serde_json::value::to_raw_value(&items).ok()?));
    }
    if lists.is_empty() {
        return None;
    }
    let private = serde_json::value::to_raw_value("private").ok()?;
    if members.contains_key("cacheScope") || members.contains_key("ttlMs") {
        members.insert("cacheScope".to_owned(), &private);
    }
    for (member, items) in &lists {
        members.insert((*member).to_owned(), items);
    }
    let result = serde_json::to_string(&members).ok()?;
    Some(format!("{{\"jsonrpc\":\"2.0\",\"id\":{},\"result\":{result}}}", id.as_str()).into_bytes())
}

/// What has no name cannot be asked for, and is not shown.
fn shows(rules: &Rules, asker: &Asker<'_>, (kind, key): (Option<Kind>, &str), item: &RawValue) -> bool {
    let item: Option<Value> = serde_json::from_str(item.get()).ok();
    let name = item.as_ref().and_then(|item| item.get(key)).and_then(Value::as_str);
    name.is_some_and(|name| match kind {
        Some(kind) => rules.shows(asker, kind, name),
        None => rules.shows_template(asker, name),
    })
}
