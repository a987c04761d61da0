//! Which tools to call with what, where the suite leaves it open: every tool that is listed, with arguments made from
//! its schema.

use serde_json::{Map, Value, json};

/// Parameters of `tools/call` for each tool in the result of `tools/list`. A tool that requires an argument which
/// cannot be made from its schema is left alone.
pub fn calls(list: &Value) -> Vec<Value> {
    let tools = list.get("tools").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let first = tools.first().and_then(|tool| tool.get("inputSchema")).unwrap_or(&Value::Null);
    let call = |tool: &Value| {
        let (name, schema) = (tool.get("name")?.as_str()?, tool.get("inputSchema")?);
        let arguments = arguments(schema, first);
        let required = schema.get("required").and_then(Value::as_array);
        let complete =
            required.into_iter().flatten().filter_map(Value::as_str).all(|name| arguments.contains_key(name));
        complete.then(|| json!({ "name": name, "arguments": arguments }))
    };
    tools.iter().filter_map(call).collect()
}

/// A value for each property. One that is called `schema` wants to see the schema of the first tool again.
fn arguments(schema: &Value, first: &Value) -> Map<String, Value> {
    let properties = schema.get("properties").and_then(Value::as_object);
    let value = |(name, property): (&String, &Value)| {
        let value = match property.get("type")?.as_str()? {
            "string" => json!("text"),
            "number" | "integer" => json!(2),
            "boolean" => json!(true),
            "object" if name == "schema" => first.clone(),
            _ => return None,
        };
        Some((name.clone(), value))
    };
    properties.into_iter().flatten().filter_map(value).collect()
}
