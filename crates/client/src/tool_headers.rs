//! Arguments of tools that a server wants in headers too (`x-mcp-header`, SEP-2243), on the stateless wire.
//!
//! The schema comes from the server, so a name in it is a claim: what could become another header, or two values for
//! one header, makes the tool unusable, and only that tool.

use hallpass_core::mcp::encode_header_value;
use serde_json::{Map, Value};
use std::collections::HashMap;

const ANNOTATION: &str = "x-mcp-header";
const PREFIX: &str = "mcp-param-";
/// Deepest object whose members are looked at.
const DEEPEST: usize = 16;
/// Most tools that are remembered.
const MOST: usize = 4096;

/// Which arguments of which tool go into which header.
#[derive(Clone, Debug, Default)]
pub struct ToolHeaders(HashMap<String, Vec<Mirrored>>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Mirrored {
    path: Vec<String>,
    header: String,
}

impl ToolHeaders {
    /// Takes the result of `tools/list`: remembers what the tools want, and drops those that want the impossible.
    pub fn learn(&mut self, result: &mut Value) {
        let Some(tools) = result.get_mut("tools").and_then(Value::as_array_mut) else { return };
        tools.retain(|tool| {
            let Some(name) = tool.get("name").and_then(Value::as_str) else { return true };
            self.0.remove(name);
            let Some(mirrored) = mirrored(tool.get("inputSchema")) else { return false };
            if !mirrored.is_empty() && self.0.len() < MOST {
                self.0.insert(name.to_owned(), mirrored);
            }
            true
        });
    }

    /// The headers for a call: name and value. What is null or left out has none.
    pub fn of_call(&self, params: &Map<String, Value>) -> Vec<(String, String)> {
        let name = params.get("name").and_then(Value::as_str).unwrap_or_default();
        let wanted = self.0.get(name).map(Vec::as_slice).unwrap_or_default();
        let value = |mirrored: &Mirrored| {
            let mut value = params.get("arguments")?;
            for member in &mirrored.path {
                value = value.get(member)?;
            }
            let text = match value {
                Value::String(text) => text.clone(),
                Value::Number(_) | Value::Bool(_) => value.to_string(),
                Value::Null | Value::Array(_) | Value::Object(_) => return None,
            };
            Some((mirrored.header.clone(), encode_header_value(&text)))
        };
        wanted.iter().filter_map(value).collect()
    }
}

/// `None`: an annotation that must not be followed.
fn mirrored(schema: Option<&Value>) -> Option<Vec<Mirrored>> {
    let mut found = Vec::new();
    collect(schema, &mut Vec::new(), &mut found)?;
    let mut names: Vec<&str> = found.iter().map(|mirrored| mirrored.header.as_str()).collect();
    names.sort_unstable();
    let twice = names.windows(2).any(|pair| pair.first() == pair.last());
    (!twice).then_some(found)
}

fn collect(schema: Option<&Value>, path: &mut Vec<String>, found: &mut Vec<Mirrored>) -> Option<()> {
    let properties = schema.and_then(|schema| schema.get("properties")).and_then(Value::as_object);
    let Some(properties) = properties.filter(|_| path.len() < DEEPEST) else { return Some(()) };
    for (name, property) in properties {
        path.push(name.clone());
        match property.get(ANNOTATION) {
            Some(annotation) => {
                let header = header(annotation.as_str()?, property.get("type"))?;
                found.push(Mirrored { path: path.clone(), header });
            }
            None => collect(Some(property), path, found)?,
        }
        path.pop();
    }
    Some(())
}

/// A header name is a token (RFC 9110 §5.6.2), without case; only strings, integers and booleans have one spelling.
fn header(name: &str, kind: Option<&Value>) -> Option<String> {
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let plain = matches!(kind.and_then(Value::as_str), Some("string" | "integer" | "boolean"));
    let fits = plain && !name.is_empty() && name.len() <= 128 && name.bytes().all(token);
    fits.then(|| format!("{PREFIX}{}", name.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn list(properties: &Value) -> Value {
        json!({ "tools": [
            { "name": "t", "inputSchema": { "type": "object", "properties": properties } },
            { "name": "other", "inputSchema": { "type": "object" } },
        ] })
    }

    fn headers(properties: &Value, arguments: &Value) -> Vec<(String, String)> {
        let mut known = ToolHeaders::default();
        known.learn(&mut list(properties));
        let params = json!({ "name": "t", "arguments": arguments });
        known.of_call(params.as_object().unwrap())
    }

    #[test]
    fn cl_095_annotated_arguments_are_repeated_in_headers() {
        let properties = json!({
            "region": { "type": "string", "x-mcp-header": "Region" },
            "count": { "type": "integer", "x-mcp-header": "Count" },
            "on": { "type": "boolean", "x-mcp-header": "On" },
            "plain": { "type": "string" },
            "in": { "type": "object", "properties": { "x": { "type": "string", "x-mcp-header": "Deep" } } },
        });
        let arguments =
            json!({ "region": " größe", "count": 42, "on": false, "plain": "p", "in": { "x": "d" } });
        let mut sent = headers(&properties, &arguments);
        sent.sort();
        let of = |name: &str, value: &str| (format!("mcp-param-{name}"), value.to_owned());
        let encoded = encode_header_value(" größe");
        assert!(encoded.starts_with("=?base64?"));
        assert_eq!(sent, [of("count", "42"), of("deep", "d"), of("on", "false"), of("region", &encoded)]);
        assert_eq!(headers(&properties, &json!({ "region": null, "count": [1] })), []);
        assert_eq!(headers(&properties, &json!("text")), []);
    }

    #[test]
    fn cl_095_a_tool_with_an_impossible_header_is_dropped_and_no_other() {
        let one = |kind: &str, name: Value| json!({ "a": { "type": kind, "x-mcp-header": name } });
        let two = |second: &str| json!({ "a": { "type": "string", "x-mcp-header": "Same" }, "b": { "type": "string", "x-mcp-header": second } });
        for bad in [
            one("string", json!("")),
            one("string", json!("My Region")),
            one("string", json!("Region:Primary")),
            one("string", json!("a\r\nauthorization")),
            one("string", json!("Région")),
            one("string", json!(7)),
            one("object", json!("X")),
            one("array", json!("X")),
            one("null", json!("X")),
            one("number", json!("X")),
            two("Same"),
            two("sAME"),
        ] {
            let mut result = list(&bad);
            ToolHeaders::default().learn(&mut result);
            let names: Vec<_> =
                result["tools"].as_array().unwrap().iter().map(|tool| &tool["name"]).collect();
            assert_eq!(names, ["other"], "{bad}");
        }
        let mut known = ToolHeaders::default();
        known.learn(&mut list(&two("Other")));
        assert_eq!(known.0.len(), 1);
        // A newer list replaces what an older one said.
        known.learn(&mut list(&json!({})));
        assert!(known.0.is_empty());
    }
}
