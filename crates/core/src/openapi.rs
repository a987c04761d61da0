//! What can be asked over HTTP, described once beside the routes, and how OpenAPI 3.1 writes it.
//!
//! Our own and small: a derive describes types, and most of what is asked here is read parameter by parameter. A schema is
//! named by a reference to it, so a document cannot name one that it does not contain.

use serde_json::{Map, Value, json};

/// A shape of JSON, with an example in it.
#[derive(Clone, Copy, Debug)]
pub struct Schema {
    /// Under `components`.
    pub name: &'static str,
    /// JSON Schema 2020-12.
    pub json: fn() -> Value,
}

/// What a parameter may be.
#[derive(Clone, Copy, Debug)]
pub enum Kind {
    /// Any text.
    Text,
    /// An absolute URI.
    Uri,
    /// One of these.
    OneOf(&'static [&'static str]),
    /// An absolute URI; may occur more than once.
    Uris,
    /// A whole number, not negative.
    Number,
}

/// A parameter of a query, a form or the header.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// As sent.
    pub name: &'static str,
    /// What it may be.
    pub kind: Kind,
    /// Whether a request without it is refused.
    pub required: bool,
    /// For people.
    pub text: &'static str,
    /// What it may look like; empty where that helps nobody.
    pub example: &'static str,
}

/// An answer that is no refusal of the common form.
#[derive(Clone, Copy, Debug)]
pub struct Answer {
    /// HTTP.
    pub status: u16,
    /// For people.
    pub text: &'static str,
    /// Media types, with the shape of what is JSON.
    pub content: &'static [(&'static str, Option<&'static Schema>)],
    /// Header fields worth naming, and what they say.
    pub headers: &'static [(&'static str, &'static str)],
}

/// One method of one path.
#[derive(Clone, Copy, Debug)]
pub struct Operation {
    /// For generated code.
    pub id: &'static str,
    /// A line.
    pub summary: &'static str,
    /// For people; may be empty.
    pub text: &'static str,
    /// Which part of the program it belongs to.
    pub group: &'static str,
    /// Of the URL.
    pub query: &'static [Field],
    /// Of the header.
    pub headers: &'static [Field],
    /// `application/x-www-form-urlencoded`.
    pub form: &'static [Field],
    /// `application/json`.
    pub body: Option<&'static Schema>,
    /// Answers.
    pub answers: &'static [Answer],
    /// Names of security schemes, any one of which will do; the empty name is none at all.
    pub security: &'static [&'static str],
}

impl Operation {
    /// To be filled in.
    pub const NONE: Self = Self {
        id: "",
        summary: "",
        text: "",
        group: "",
        query: &[],
        headers: &[],
        form: &[],
        body: None,
        answers: &[],
        security: &[""],
    };
}

/// A method, and how it refuses: status, and which codes `error` then has.
#[derive(Clone, Debug)]
pub struct Method {
    /// In small letters.
    pub name: &'static str,
    /// That of the operation, or another where it is at several paths.
    pub id: String,
    /// What it does.
    pub operation: &'static Operation,
    /// Refusals in the common form.
    pub refusals: Vec<(u16, Vec<&'static str>)>,
    /// Statuses that come with a page for a person, saying what to do.
    pub pages: Vec<u16>,
}

/// A path with its methods.
#[derive(Clone, Debug)]
pub struct Path {
    /// Below the origin.
    pub path: String,
    /// Methods.
    pub methods: Vec<Method>,
    /// On another listener than the rest, under this name.
    pub listener: Option<&'static str>,
}

/// The document: `frame` with `paths` and `components.schemas`. `refusal` is the common form of a refusal.
pub fn document(mut frame: Value, paths: &[Path], refusal: &'static Schema) -> Value {
    let mut writer = Writer { refusal, schemas: Map::new() };
    let written: Map<String, Value> =
        paths.iter().map(|path| (path.path.clone(), writer.path(path))).collect();
    if let Some(frame) = frame.as_object_mut() {
        frame.insert("paths".into(), Value::Object(written));
        let components = frame.entry("components").or_insert_with(|| json!({}));
        if let Some(components) = components.as_object_mut() {
            components.insert("schemas".into(), Value::Object(writer.schemas));
        }
    }
    frame
}

struct Writer {
    refusal: &'static Schema,
    schemas: Map<String, Value>,
}

impl Writer {
    fn path(&mut self, path: &Path) -> Value {
        let mut item = Map::new();
        if let Some(listener) = path.listener {
            item.insert(
                "servers".into(),
                json!([{
                    "url": "http://{address}",
                    "description": listener,
                    "variables": { "address": { "default": "127.0.0.1:9090" } },
                }]),
            );
        }
        for method in &path.methods {
            item.insert(method.name.into(), self.operation(&path.path, method));
        }
        Value::Object(item)
    }

    fn operation(&mut self, path: &str, method: &Method) -> Value {
        let operation = method.operation;
        let mut out = json!({
            "operationId": method.id,
            "summary": operation.summary,
            "tags": [operation.group],
            "security": operation.security.iter().map(|name| requirement(name)).collect::<Vec<_>>(),
            "responses": self.responses(method),
        });
        let Some(members) = out.as_object_mut() else { return out };
        if !operation.text.is_empty() {
            members.insert("description".into(), operation.text.into());
        }
        let named = path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
        let named = named.map(|name| {
            let description = format!("The {name}, by the name that the operator gave it.");
            json!({
                "name": name, "in": "path", "required": true, "description": description,
                "schema": { "type": "string" },
            })
        });
        let query = operation.query.iter().map(|field| parameter("query", field));
        let headers = operation.headers.iter().map(|field| parameter("header", field));
        let parameters: Vec<Value> = named.chain(query).chain(headers).collect();
        if !parameters.is_empty() {
            members.insert("parameters".into(), parameters.into());
        }
        let content = match operation.body {
            Some(schema) => Some(json!({ "application/json": { "schema": self.reference(schema) } })),
            None if operation.form.is_empty() => None,
            None => Some(json!({ "application/x-www-form-urlencoded": { "schema": form(operation.form) } })),
        };
        if let Some(content) = content {
            members.insert("requestBody".into(), json!({ "required": true, "content": content }));
        }
        out
    }

    fn responses(&mut self, method: &Method) -> Value {
        let mut responses = Map::new();
        for answer in method.operation.answers {
            responses.insert(answer.status.to_string(), self.answer(answer));
        }
        for status in &method.pages {
            let page = json!({
                "description": "Refused, with a page that says what to do.",
                "content": { "text/html": { "schema": { "type": "string" } } },
            });
            responses.entry(status.to_string()).or_insert(page);
        }
        for (status, codes) in &method.refusals {
            let mut schema = self.reference(self.refusal);
            if let Some(schema) = schema.as_object_mut() {
                schema.insert("properties".into(), json!({ "error": { "enum": codes } }));
            }
            let mut response = json!({
                "description": format!("Refused: {}.", codes.join(", ")),
                "content": { "application/json": { "schema": schema } },
            });
            let headers = match status {
                401 => {
                    json!({ "WWW-Authenticate": header("How to authenticate, where a header was used or is missing.") })
                }
                405 => json!({ "Allow": header("The methods that there are.") }),
                429 | 503 => json!({ "Retry-After": header("Seconds to wait.") }),
                _ => json!({}),
            };
            if let Some(response) = response.as_object_mut() {
                response.insert("headers".into(), headers);
            }
            responses.entry(status.to_string()).or_insert(response);
        }
        Value::Object(responses)
    }

    fn answer(&mut self, answer: &Answer) -> Value {
        let mut out = Map::new();
        out.insert("description".into(), answer.text.into());
        let headers: Map<String, Value> =
            answer.headers.iter().map(|(name, text)| ((*name).to_owned(), header(text))).collect();
        if !headers.is_empty() {
            out.insert("headers".into(), Value::Object(headers));
        }
        let mut content = Map::new();
        for (media, schema) in answer.content {
            let schema = schema.map_or_else(|| json!({ "type": "string" }), |schema| self.reference(schema));
            content.insert((*media).into(), json!({ "schema": schema }));
        }
        if !content.is_empty() {
            out.insert("content".into(), Value::Object(content));
        }
        Value::Object(out)
    }

    fn reference(&mut self, schema: &'static Schema) -> Value {
        self.schemas.entry(schema.name).or_insert_with(schema.json);
        json!({ "$ref": format!("#/components/schemas/{}", schema.name) })
    }
}

fn header(text: &str) -> Value {
    json!({ "description": text, "schema": { "type": "string" } })
}

fn requirement(name: &str) -> Value {
    if name.is_empty() { json!({}) } else { json!({ name: [] }) }
}

fn parameter(place: &str, field: &Field) -> Value {
    json!({
        "in": place,
        "name": field.name,
        "required": field.required,
        "description": field.text,
        "schema": shape(field),
    })
}

fn form(fields: &[Field]) -> Value {
    let mut properties = Map::new();
    for field in fields {
        let mut shape = shape(field);
        if let Some(shape) = shape.as_object_mut() {
            shape.insert("description".into(), field.text.into());
        }
        properties.insert(field.name.into(), shape);
    }
    let required: Vec<&str> = fields.iter().filter(|field| field.required).map(|field| field.name).collect();
    json!({ "type": "object", "properties": properties, "required": required })
}

fn shape(field: &Field) -> Value {
    let mut shape = match field.kind {
        Kind::Text => json!({ "type": "string" }),
        Kind::Uri => json!({ "type": "string", "format": "uri" }),
        Kind::OneOf(values) => json!({ "type": "string", "enum": values }),
        Kind::Uris => json!({ "type": "array", "items": { "type": "string", "format": "uri" } }),
        Kind::Number => json!({ "type": "integer", "minimum": 0 }),
    };
    let example = match field.kind {
        Kind::Uris => json!([field.example]),
        Kind::Number => field.example.parse::<u64>().map_or(Value::Null, Value::from),
        Kind::Text | Kind::Uri | Kind::OneOf(_) => field.example.into(),
    };
    if let Some(shape) = shape.as_object_mut().filter(|_| !field.example.is_empty()) {
        shape.insert("examples".into(), json!([example]));
    }
    shape
}

#[cfg(test)]
mod tests {
    use super::*;

    static REFUSAL: Schema = Schema { name: "Refusal", json: || json!({ "type": "object" }) };
    static ASK: Operation = Operation {
        id: "ask",
        summary: "Asks",
        group: "things",
        form: &[
            Field { name: "a", kind: Kind::Text, required: true, text: "An a.", example: "x" },
            Field {
                name: "b",
                kind: Kind::Uris,
                required: false,
                text: "Some b.",
                example: "https://b.example",
            },
        ],
        answers: &[Answer { status: 200, text: "Done.", content: &[("text/html", None)], headers: &[] }],
        security: &["key", ""],
        ..Operation::NONE
    };

    #[test]
    fn everything_that_is_described_is_written_and_every_schema_is_there() {
        let method = Method {
            name: "post",
            id: "ask".into(),
            operation: &ASK,
            refusals: vec![(200, vec!["never"]), (400, vec!["invalid_request"])],
            pages: vec![405],
        };
        let path = Path { path: "/ask".into(), methods: vec![method], listener: None };
        let document = document(json!({ "openapi": "3.1.0" }), &[path], &REFUSAL);
        let post = &document["paths"]["/ask"]["post"];
        assert_eq!(post["security"], json!([{ "key": [] }, {}]));
        let form = &post["requestBody"]["content"]["application/x-www-form-urlencoded"]["schema"];
        assert_eq!(form["required"], json!(["a"]));
        assert_eq!(form["properties"]["b"]["examples"], json!([["https://b.example"]]));
        // What an operation says of a status goes before the common form.
        assert_eq!(post["responses"]["200"]["description"], "Done.");
        let refused = &post["responses"]["400"]["content"]["application/json"]["schema"];
        assert_eq!(refused["$ref"], "#/components/schemas/Refusal");
        assert_eq!(refused["properties"]["error"]["enum"], json!(["invalid_request"]));
        assert!(post["responses"]["405"]["content"]["text/html"].is_object());
        assert!(document["components"]["schemas"]["Refusal"].is_object());
    }
}
