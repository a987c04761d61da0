//! Lists without what the caller may not use with any scope. Presentation only: the call would be refused all the same (M15).

use crate::{
    rules::{Asker, Rules},
    tools::Kind,
};
use hallpass_core::mcp::{Message, Outcome};
use hallpass_resource::ScopeNames;
use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::{json, value::RawValue};
use std::{borrow::Cow, collections::BTreeMap, fmt};

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
        let mut items: Vec<Cow<'_, RawValue>> = serde_json::from_str::<Vec<&RawValue>>(items.get())
            .ok()?
            .into_iter()
            .filter(|item| shows(rules, asker, (kind, key), item))
            .map(Cow::Borrowed)
            .collect();
        if let (Some(Kind::Tool), Some(names)) = (kind, asker.schemes) {
            for item in &mut items {
                if let Some(told) = with_schemes(rules, names, item) {
                    *item = Cow::Owned(told);
                }
            }
        }
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

/// A tool with what it takes, in the place where some clients look before they offer a sign-in (P33): `securitySchemes`, and the
/// same in `_meta`. What the server behind says of that is replaced: it does not decide.
fn with_schemes(rules: &Rules, names: &ScopeNames, tool: &RawValue) -> Option<Box<RawValue>> {
    let (open, scopes) = rules.scheme(&text_of(tool, "name")?);
    let mut schemes = Vec::new();
    if open {
        schemes.push(json!({ "type": "noauth" }));
    }
    if let Some(scopes) = scopes {
        let asked = names.asked(&scopes);
        schemes.push(json!({ "type": "oauth2", "scopes": asked.iter().collect::<Vec<_>>() }));
    }
    let schemes = serde_json::value::to_raw_value(&schemes).ok()?;
    let mut members: BTreeMap<String, &RawValue> = serde_json::from_str(tool.get()).ok()?;
    let mut meta: BTreeMap<String, &RawValue> =
        members.get("_meta").and_then(|meta| serde_json::from_str(meta.get()).ok()).unwrap_or_default();
    meta.insert(SCHEMES.to_owned(), &schemes);
    let meta = serde_json::value::to_raw_value(&meta).ok()?;
    members.insert(SCHEMES.to_owned(), &schemes);
    members.insert("_meta".to_owned(), &meta);
    serde_json::value::to_raw_value(&members).ok()
}

const SCHEMES: &str = "securitySchemes";

/// What has no name cannot be asked for, and is not shown.
fn shows(rules: &Rules, asker: &Asker<'_>, (kind, key): (Option<Kind>, &str), item: &RawValue) -> bool {
    text_of(item, key).is_some_and(|name| match kind {
        // The person gave it some tools only (RFC 9396): it would be refused every other.
        Some(Kind::Tool) if asker.details.is_some_and(|details| !details.name(&name)) => false,
        Some(kind) => rules.shows(asker, kind, &name),
        None => rules.shows_template(asker, &name),
    })
}

/// The text of this member. The rest of an item, which may be long, is not read once more: it is known to be JSON without
/// repeated members.
fn text_of(item: &RawValue, key: &str) -> Option<String> {
    let mut found = None;
    let mut reader = serde_json::Deserializer::from_str(item.get());
    // Whether it went on to the end does not matter: what was found was found.
    drop(Member { key, found: &mut found }.deserialize(&mut reader));
    found
}

/// Reads an object as far as this member.
struct Member<'m> {
    key: &'m str,
    found: &'m mut Option<String>,
}

impl<'de> DeserializeSeed<'de> for Member<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<(), D::Error> {
        reader.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Member<'_> {
    type Value = ();

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        while let Some(name) = members.next_key::<String>()? {
            if name == self.key {
                *self.found = members.next_value().ok();
                return Ok(());
            }
            members.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_item_is_known_by_its_member_wherever_it_stands_and_however_it_is_written() {
        let text = |item: &str| text_of(&RawValue::from_string(item.to_owned()).unwrap(), "name");
        for item in [
            r#"{"name":"read_file","more":{"name":"x"}}"#,
            r#"{"more":{"name":"x"},"list":[{"name":"y"}],"name":"read_file"}"#,
            r#"{"n\u0061me":"read\u005ffile"}"#,
        ] {
            assert_eq!(text(item).as_deref(), Some("read_file"), "{item}");
        }
        for item in
            [r"{}", r#"{"name":7}"#, r#"{"name":null}"#, r#"{"Name":"x"}"#, "7", r#""name""#, r#"["name"]"#]
        {
            assert_eq!(text(item), None, "{item}");
        }
    }
}
