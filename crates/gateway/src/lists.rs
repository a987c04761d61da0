//! Lists without what the caller may not use with any scope. Presentation only: the call would be refused all the same (M15).

use crate::{
    rules::{Asker, Rules},
    tools::Kind,
};
use hallpass_core::mcp::{Message, Outcome, Raw, Walk};
use hallpass_resource::ScopeNames;
use serde_json::{json, value::RawValue};
use std::{borrow::Cow, collections::BTreeMap, ops::Range};

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
    let mut walk = Walk::new(result);
    if !walk.enter_object() {
        return None;
    }
    let mut shown = Shown::begin(rules, asker, (id, result));
    let (mut lists, mut scope, mut lives) = (false, false, false);
    while let Some(member) = walk.member() {
        let list = LISTS.into_iter().find(|(name, ..)| *name == member);
        if let Some((_, key, kind)) = list
            && walk.enter_array()
        {
            lists = true;
            shown.items((kind, key), &mut walk);
            continue;
        }
        let at = walk.at();
        walk.value();
        lives |= member == "ttlMs";
        if member == "cacheScope" {
            scope = true;
            shown.instead(at..walk.at(), PRIVATE);
        }
    }
    if lives && !scope {
        // It has a member, so a comma belongs before this one.
        let end = walk.at().saturating_sub(1);
        shown.instead(end..end, ",\"cacheScope\":");
        shown.out.push_str(PRIVATE);
    }
    lists.then(|| shown.end())
}

const PRIVATE: &str = "\"private\"";

/// A list as it is written for a caller: pieces of what the server wrote, without what is not shown.
struct Shown<'a> {
    rules: &'a Rules,
    asker: &'a Asker<'a>,
    text: &'a str,
    /// Up to here it is written, or left out.
    from: usize,
    out: String,
}

impl<'a> Shown<'a> {
    fn begin(rules: &'a Rules, asker: &'a Asker<'a>, (id, result): (&Raw, &'a Raw)) -> Self {
        let text = result.as_str();
        let mut out = String::with_capacity(text.len() + 128);
        for part in ["{\"jsonrpc\":\"2.0\",\"id\":", id.as_str(), ",\"result\":"] {
            out.push_str(part);
        }
        Self { rules, asker, text, from: 0, out }
    }

    fn piece(&self, range: Range<usize>) -> &'a str {
        self.text.get(range).unwrap_or_default()
    }

    /// Everything up to this piece, and `other` in its place.
    fn instead(&mut self, piece: Range<usize>, other: &str) {
        self.out.push_str(self.piece(self.from..piece.start));
        self.out.push_str(other);
        self.from = piece.end;
    }

    /// The items of the array that the walk has gone into.
    fn items(&mut self, list: (Option<Kind>, &str), walk: &mut Walk<'_>) {
        self.instead(walk.at()..walk.at(), "");
        let mut between = "";
        while walk.item() {
            let start = walk.at();
            let name = named(walk, list.1);
            let item = self.piece(start..walk.at());
            // What has no name cannot be asked for, and is not shown.
            let Some(name) = name.filter(|name| shows(self.rules, self.asker, list.0, name)) else {
                continue;
            };
            let told = if let (Some(Kind::Tool), Some(names)) = (list.0, self.asker.schemes) {
                with_schemes(self.rules, names, (&*name, item))
            } else {
                None
            };
            self.out.push_str(between);
            self.out.push_str(told.as_deref().map_or(item, RawValue::get));
            between = ",";
        }
        self.from = walk.at().saturating_sub(1);
    }

    fn end(mut self) -> Vec<u8> {
        self.instead(self.text.len()..self.text.len(), "}");
        self.out.into_bytes()
    }
}

/// A tool with what it takes, in the place where some clients look before they offer a sign-in (P33): `securitySchemes`, and the
/// same in `_meta`. What the server behind says of that is replaced: it does not decide.
fn with_schemes(rules: &Rules, names: &ScopeNames, (name, tool): (&str, &str)) -> Option<Box<RawValue>> {
    let (open, scopes) = rules.scheme(name);
    let mut schemes = Vec::new();
    if open {
        schemes.push(json!({ "type": "noauth" }));
    }
    if let Some(scopes) = scopes {
        let asked = names.asked(&scopes);
        schemes.push(json!({ "type": "oauth2", "scopes": asked.iter().collect::<Vec<_>>() }));
    }
    let schemes = serde_json::value::to_raw_value(&schemes).ok()?;
    let mut members: BTreeMap<String, &RawValue> = serde_json::from_str(tool).ok()?;
    let mut meta: BTreeMap<String, &RawValue> =
        members.get("_meta").and_then(|meta| serde_json::from_str(meta.get()).ok()).unwrap_or_default();
    meta.insert(SCHEMES.to_owned(), &schemes);
    let meta = serde_json::value::to_raw_value(&meta).ok()?;
    members.insert(SCHEMES.to_owned(), &schemes);
    members.insert("_meta".to_owned(), &meta);
    serde_json::value::to_raw_value(&members).ok()
}

const SCHEMES: &str = "securitySchemes";

fn shows(rules: &Rules, asker: &Asker<'_>, kind: Option<Kind>, name: &str) -> bool {
    match kind {
        // The person gave it some tools only (RFC 9396): it would be refused every other.
        Some(Kind::Tool) if asker.details.is_some_and(|details| !details.name(name)) => false,
        Some(kind) => rules.shows(asker, kind, name),
        None => rules.shows_template(asker, name),
    }
}

/// Goes behind an item: what it is called, where that is a text.
fn named<'a>(walk: &mut Walk<'a>, key: &str) -> Option<Cow<'a, str>> {
    if !walk.enter_object() {
        walk.value();
        return None;
    }
    while let Some(member) = walk.member() {
        if member == key {
            // There is no second one: who repeats a member is no message.
            let name = walk.text();
            walk.rest();
            return name;
        }
        walk.value();
    }
    None
}

#[cfg(test)]
mod tests;
