//! The API reference as one HTML file, which needs nothing else: no script, no font, no network.

use serde_json::{Map, Value};

const STYLE: &str = include_str!("page.css");
const VERBS: [&str; 3] = ["get", "post", "delete"];

/// The page of an OpenAPI document.
pub fn write(api: &Value) -> String {
    let (mut links, mut body) = (String::new(), String::new());
    for tag in list(&api["tags"]) {
        let name = text(&tag["name"]);
        links.extend([format!("<strong>{}</strong>\n", escape(name))]);
        body.extend([format!("<h2>{}</h2>\n<p>{}</p>\n", escape(name), prose(text(&tag["description"])))]);
        for (path, item) in members(&api["paths"]) {
            for verb in VERBS {
                let operation = &item[verb];
                if list(&operation["tags"]).iter().any(|tag| tag == name) {
                    let id = escape(text(&operation["operationId"]));
                    let head = format!("<b class=\"{verb}\">{}</b>{}", verb.to_uppercase(), escape(path));
                    links.extend([format!("<a href=\"#{id}\">{head}</a>\n")]);
                    body.extend([format!("<h3 id=\"{id}\">{head}</h3>\n{}", operation_body(operation))]);
                }
            }
        }
    }
    links += "<strong>shapes</strong>\n";
    body += "<h2>Shapes</h2>\n";
    for (name, schema) in members(at(api, "/components/schemas")) {
        let name = escape(name);
        links.extend([format!("<a href=\"#shape-{name}\">{name}</a>\n")]);
        body.extend([format!("<h3 id=\"shape-{name}\">{name}</h3>\n{}", shape_body(schema))]);
    }
    let info = &api["info"];
    let (version, summary) = (escape(text(&info["version"])), escape(text(&info["summary"])));
    let description = prose(text(&info["description"]));
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>hallpass {version}: API reference</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <nav aria-label=\"Operations\">\n<b>hallpass {version}</b>\n{links}</nav>\n<main>\n\
         <h1>API reference</h1>\n<p>{summary}</p>\n<p class=\"soft\">{description}</p>\n{body}</main>\n</body>\n</html>\n"
    )
}

fn operation_body(operation: &Value) -> String {
    let mut out = format!("<p>{}.</p>\n", escape(text(&operation["summary"])));
    if let Some(description) = operation["description"].as_str() {
        out.extend([format!("<p>{}</p>\n", prose(description))]);
    }
    let security = list(&operation["security"]);
    let names: Vec<String> =
        security.iter().flat_map(members).map(|(name, _)| format!("<code>{}</code>", escape(name))).collect();
    if !names.is_empty() {
        let open = security.iter().any(|one| one.as_object().is_some_and(Map::is_empty));
        let rest = if open { ", or none of these" } else { "" };
        out.extend([format!("<p class=\"soft\">Authentication: {}{rest}.</p>\n", names.join(" or "))]);
    }
    out += &asked(operation);
    let mut answers = String::new();
    for (status, answer) in members(&operation["responses"]) {
        let bodies: Vec<String> = members(&answer["content"])
            .map(
                |(media, body)| {
                    if at(body, "/schema/$ref").is_string() { kind(&body["schema"]) } else { escape(media) }
                },
            )
            .collect();
        let (body, meaning) = (bodies.join(", "), prose(text(&answer["description"])));
        answers
            .extend([format!("<tr><td><code>{status}</code></td><td>{body}</td><td>{meaning}</td></tr>\n")]);
    }
    out + &table(["Status", "Body", "Meaning"], &answers)
}

fn asked(operation: &Value) -> String {
    let mut rows = String::new();
    for parameter in list(&operation["parameters"]) {
        let place = text(&parameter["in"]);
        let must = parameter["required"] == true;
        rows += &row(
            text(&parameter["name"]),
            must,
            &parameter["schema"],
            text(&parameter["description"]),
            place,
        );
    }
    for (media, body) in members(at(operation, "/requestBody/content")) {
        let schema = &body["schema"];
        if schema["$ref"].is_string() {
            rows.extend([format!(
                "<tr><td>body</td><td>{}</td><td>{}</td></tr>\n",
                kind(schema),
                escape(media)
            )]);
        }
        for (name, shape) in members(&schema["properties"]) {
            rows += &row(name, requires(schema, name), shape, text(&shape["description"]), "form");
        }
    }
    table(["Parameter", "Shape", "Meaning"], &rows)
}

fn shape_body(schema: &Value) -> String {
    let mut out = format!("<p>{}</p>\n", prose(text(&schema["description"])));
    let rows: String = members(&schema["properties"])
        .map(|(name, shape)| row(name, requires(schema, name), shape, text(&shape["description"]), ""))
        .collect();
    out += &table(["Member", "Shape", "Meaning"], &rows);
    for example in list(&schema["examples"]) {
        let example = serde_json::to_string_pretty(example).unwrap_or_default();
        out.extend([format!("<pre>{}</pre>\n", escape(&example))]);
    }
    out
}

fn row(name: &str, must: bool, shape: &Value, meaning: &str, place: &str) -> String {
    let must = if must { " <span class=\"must\">required</span>" } else { "" };
    let place =
        if place.is_empty() { String::new() } else { format!(" <span class=\"soft\">({place})</span>") };
    let (name, meaning) = (escape(name), prose(meaning));
    format!("<tr><td><code>{name}</code>{must}</td><td>{}</td><td>{meaning}{place}</td></tr>\n", kind(shape))
}

fn table(heads: [&str; 3], rows: &str) -> String {
    if rows.is_empty() {
        return String::new();
    }
    let [first, second, third] = heads.map(|head| format!("<th scope=\"col\">{head}</th>"));
    format!("<table>\n<thead><tr>{first}{second}{third}</tr></thead>\n<tbody>\n{rows}</tbody>\n</table>\n")
}

fn kind(shape: &Value) -> String {
    if let Some(name) = shape["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        let name = escape(name);
        return format!("<a href=\"#shape-{name}\">{name}</a>");
    }
    let values = list(&shape["enum"]);
    if !values.is_empty() {
        let values: Vec<String> =
            values.iter().map(|value| format!("<code>{}</code>", escape(text(value)))).collect();
        return values.join(", ");
    }
    match (&shape["type"], &shape["const"]) {
        (Value::String(name), _) => escape(name),
        (Value::Array(names), _) => escape(&names.iter().map(text).collect::<Vec<_>>().join(" or ")),
        (_, Value::Null) => "any".to_owned(),
        (_, only) => format!("<code>{}</code>", escape(&only.to_string())),
    }
}

fn requires(schema: &Value, name: &str) -> bool {
    list(&schema["required"]).iter().any(|one| one == name)
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

/// What is there (RFC 6901), or nothing.
fn at<'a>(value: &'a Value, pointer: &str) -> &'a Value {
    value.pointer(pointer).unwrap_or(&Value::Null)
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// What stands between backquotes is code.
fn prose(text: &str) -> String {
    let parts = text.split('`').enumerate().map(|(at, part)| {
        let part = escape(part);
        if at % 2 == 1 { format!("<code>{part}</code>") } else { part }
    });
    parts.collect()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_operation_is_on_the_page_and_in_its_contents_and_nothing_is_taken_for_html() {
        let api = json!({
            "info": { "version": "1", "summary": "a < b", "description": "`code` & words" },
            "tags": [{ "name": "things", "description": "Some." }],
            "paths": { "/ask": { "post": {
                "operationId": "ask", "summary": "Asks", "tags": ["things"], "security": [{}, { "key": [] }],
                "parameters": [{ "in": "query", "name": "q", "required": true, "schema": { "type": "string" } }],
                "responses": { "200": { "description": "Done",
                    "content": { "application/json": { "schema": { "$ref": "#/components/schemas/Thing" } } } } },
            } } },
            "components": { "schemas": { "Thing": { "properties": { "a": { "const": "<b>" } } } } },
        });
        let page = write(&api);
        for part in [
            "<a href=\"#ask\">",
            "<h3 id=\"ask\">",
            "a &lt; b",
            "<code>code</code> &amp; words",
            "<code>key</code>, or none of these",
            "<code>q</code> <span class=\"must\">required</span>",
            "<a href=\"#shape-Thing\">Thing</a>",
            "&lt;b&gt;",
        ] {
            assert!(page.contains(part), "{part}\n{page}");
        }
        assert!(!page.contains("<script") && !page.contains("http://") && !page.contains("https://"));
    }
}
