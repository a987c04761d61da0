//! The whole surface as an OpenAPI 3.1 document, made from THE TABLE: what a route takes is said beside it, how it refuses
//! follows from its row and from the table of statuses.

pub mod admin;
pub mod authorization;
pub mod pages;
pub mod protocol;
mod schemas;

use crate::{
    admin as admin_listener,
    app::App,
    http::{
        rate_limit::Limited,
        respond::{self, Document, Reply},
    },
    metadata,
    router::{self, Class, Incoming, Route},
    settings::Settings,
};
use bytes::Bytes;
use hallpass_core::{
    error::ErrorCode,
    openapi::{self, Method, Operation, Path},
};
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, time::Duration};

const MAX_AGE: Duration = Duration::from_mins(5);

/// What a row of the table takes and answers.
#[derive(Clone, Copy, Debug)]
pub struct Description {
    /// With `GET`, and `HEAD`.
    pub get: Option<Described>,
    /// With `POST`.
    pub post: Option<Described>,
}

/// One method, and with which codes it refuses where it answers JSON.
#[derive(Clone, Copy, Debug)]
pub struct Described {
    /// What it does.
    pub operation: &'static Operation,
    /// Beyond those of every route.
    pub codes: &'static [ErrorCode],
}

/// For what is no path of its own: any other one.
pub const NOTHING: Description = Description { get: None, post: None };

/// `GET /openapi.json`.
pub async fn document_of_this(app: &App, incoming: &Incoming) -> Reply {
    let openapi = app.openapi.get_or_init(|| document(&app.settings));
    respond::public(openapi, &incoming.headers, MAX_AGE)
}

/// The document of these settings.
pub fn document(settings: &Settings) -> Document {
    let mut paths = own(settings);
    paths.extend(settings.beside.iter().cloned());
    paths.extend(admin_listener::described());
    let document = openapi::document(frame(settings), &paths, &schemas::REFUSAL);
    Document::new("application/json", Bytes::from(serde_json::to_vec(&document).unwrap_or_default()))
}

/// Each row of the table, and the metadata document wherever it is found.
fn own(settings: &Settings) -> Vec<Path> {
    let (rows, found) = router::table();
    let prefix = settings.issuer.path();
    let mut paths: Vec<Path> = Vec::new();
    for (at, path) in metadata::paths(settings).into_iter().enumerate() {
        paths.push(described(found, path, at));
    }
    for row in rows {
        let path = if row.path == "/" && !prefix.is_empty() {
            prefix.to_owned()
        } else {
            format!("{prefix}{}", row.path)
        };
        paths.push(described(row, path, 0));
    }
    paths
}

/// The same document at several paths has a number from the second on.
fn described(row: &Route, path: String, at: usize) -> Path {
    let both = [("get", row.description.get), ("post", row.description.post)];
    let methods = both.into_iter().filter_map(|(name, described)| {
        let described = described?;
        let id = described.operation.id;
        let id = if at == 0 { id.to_owned() } else { format!("{id}{}", at + 1) };
        Some(Method { id, ..method(row, name, &described) })
    });
    Path { path, methods: methods.collect(), listener: None }
}

fn method(row: &Route, name: &'static str, described: &Described) -> Method {
    let (operation, id) = (described.operation, String::new());
    let limited = matches!(
        (row.limited, name),
        (Some(Limited::Authorization | Limited::Failure), _) | (Some(Limited::SignIn), "post")
    );
    // Too slow, too long, and a query that is too long: the router asks this of each request.
    let mut refused = vec![400, 408, 413, 414];
    if limited {
        refused.push(429);
    }
    if row.class == Class::Page {
        return Method { name, id, operation, refusals: Vec::new(), pages: refused };
    }
    let mut refusals: BTreeMap<u16, Vec<&'static str>> = BTreeMap::new();
    for status in refused {
        let code = if status == 429 { ErrorCode::TemporarilyUnavailable } else { ErrorCode::InvalidRequest };
        refusals.entry(status).or_default().push(code.name());
    }
    for code in described.codes {
        let listed = refusals.entry(respond::status(*code, false).as_u16()).or_default();
        if !listed.contains(&code.name()) {
            listed.push(code.name());
        }
    }
    Method { name, id, operation, refusals: refusals.into_iter().collect(), pages: Vec::new() }
}

fn frame(settings: &Settings) -> Value {
    let issuer = &settings.issuer;
    let mut scopes = Map::new();
    for entry in settings.resources.iter().flat_map(|resource| &resource.scopes) {
        scopes.entry(entry.name.clone()).or_insert_with(|| entry.title.clone().into());
    }
    scopes.insert(crate::settings::OFFLINE_ACCESS.into(), "Stay signed in: a refresh token.".into());
    let cookie = if settings.is_https() { "__Host-hallpass_session" } else { "hallpass_session" };
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "hallpass",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "OAuth 2.1 for MCP: the authorization server, the gateway and what watches them.",
            "description": "Every path is here with every method; `HEAD` answers as `GET` does without a body, and what is not a page answers `OPTIONS` for browsers. Answers of the protocol are for any origin and never use cookies; pages are for no other origin at all. Answers carry `X-Request-Id`, which is in the log too.",
            "license": { "name": "MIT or Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "servers": [{ "url": issuer.origin() }],
        "tags": [
            { "name": "discovery", "description": "Documents for everybody, with a validator (`ETag`)." },
            { "name": "protocol", "description": "What clients and protected servers ask." },
            { "name": "pages", "description": "What people see. The forms are made by the pages themselves, with tokens that only they have." },
            { "name": "gateway", "description": "The protected MCP servers." },
            { "name": "operation", "description": "Numbers and health, on a listener of their own." },
        ],
        "components": { "securitySchemes": {
            "clientSecretBasic": { "type": "http", "scheme": "basic", "description": "`client_secret_basic`: id and secret, each form-encoded first (RFC 6749 §2.3.1). Other methods put what they need into the form: `client_secret_post`, `private_key_jwt`, or `none` with the `client_id` alone." },
            "initialAccess": { "type": "http", "scheme": "bearer", "description": "An initial access token of the operator, where registration takes one." },
            "session": { "type": "apiKey", "in": "cookie", "name": cookie, "description": "A browser that is signed in." },
            "accessToken": { "type": "oauth2", "flows": { "authorizationCode": {
                "authorizationUrl": issuer.endpoint("/authorize"),
                "tokenUrl": issuer.endpoint("/token"),
                "refreshUrl": issuer.endpoint("/token"),
                "scopes": scopes,
            } } },
        } },
    })
}

#[cfg(test)]
mod tests;
