//! The document in which a resource server names its authorization servers (RFC 9728), and where it is.

use crate::{cors, proof::BoundTokens};
use bytes::Bytes;
use hallpass_core::{
    authorization_details,
    jwt::proof::ALGORITHMS,
    metadata::{ProtectedResourceMetadata, well_known},
    scope::Scope,
    uri::ResourceUri,
};
use http::{HeaderValue, Method, Response, StatusCode, header};

/// What the document says.
#[derive(Clone, Debug)]
pub struct Description {
    /// The resource identifier, as people type it into their client.
    pub resource: ResourceUri,
    /// Issuer identifiers, the best first. At least one (RS-003).
    pub authorization_servers: Vec<String>,
    /// What a client should ask for at first. `offline_access` is left out: it says nothing about this resource
    /// (RS-004).
    pub scopes: Scope,
    /// A name for people.
    pub title: Option<String>,
    /// What it says of tokens that are bound to a key.
    pub bound_tokens: BoundTokens,
    /// Whether it holds to tokens that are limited to some tools, as
    /// [`crate::ProtectedResource::with_authorization_details`] says.
    pub reads_details: bool,
}

/// The document as JSON.
pub fn document(description: &Description) -> Bytes {
    let scopes: Vec<String> =
        description.scopes.iter().filter(|scope| *scope != "offline_access").map(str::to_owned).collect();
    let metadata = ProtectedResourceMetadata {
        resource: description.resource.as_str().to_owned(),
        authorization_servers: description.authorization_servers.clone(),
        scopes_supported: (!scopes.is_empty()).then_some(scopes),
        bearer_methods_supported: Some(vec!["header".to_owned()]),
        resource_name: description.title.clone(),
        authorization_details_types_supported: description
            .reads_details
            .then(|| vec![authorization_details::TYPE.to_owned()]),
        dpop_signing_alg_values_supported: (description.bound_tokens != BoundTokens::NotListed)
            .then(|| ALGORITHMS.map(str::to_owned).into()),
        dpop_bound_access_tokens_required: description.bound_tokens == BoundTokens::Required,
        ..ProtectedResourceMetadata::default()
    };
    // A struct of texts always serializes.
    Bytes::from(serde_json::to_vec(&metadata).unwrap_or_default())
}

/// Where the document of a resource with this path is published: path-inserted (RFC 9728 §3.1).
pub fn path(resource_path: &str) -> String {
    well_known::protected_resource_path(resource_path)
}

/// The absolute URL of the document of a resource: what challenges name. Built from the resource identifier as
/// configured.
pub fn url(resource: &ResourceUri) -> String {
    let text = resource.as_str();
    let host = text.find("://").map_or(0, |at| at + 3);
    let end = text.get(host..).and_then(|rest| rest.find(['/', '?'])).map_or(text.len(), |at| host + at);
    format!("{}{}", text.get(..end).unwrap_or(text), path(resource.parsed().path()))
}

/// Answers a request for the document: GET and HEAD from any origin, without authentication (RS-001).
pub fn respond(method: &Method, document: Bytes) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    let headers = response.headers_mut();
    cors::open(headers);
    match *method {
        Method::GET | Method::HEAD => {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=300"));
            headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
            // The server leaves the body of an answer to HEAD out and keeps its length.
            *response.body_mut() = document;
        }
        Method::OPTIONS => cors::preflight(&mut response, "GET, HEAD, OPTIONS"),
        _ => {
            headers.insert(header::ALLOW, HeaderValue::from_static("GET, HEAD, OPTIONS"));
            *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn description(resource: &str) -> Description {
        Description {
            resource: ResourceUri::parse(resource).unwrap(),
            authorization_servers: vec!["https://as.example".into()],
            scopes: Scope::parse("files:read offline_access").unwrap(),
            title: Some("Files".into()),
            bound_tokens: BoundTokens::NotListed,
            reads_details: false,
        }
    }

    #[test]
    fn rs_001_to_005_the_document() {
        let value: serde_json::Value =
            serde_json::from_slice(&document(&description("https://MCP.example:443/mcp"))).unwrap();
        assert_eq!(
            value,
            serde_json::json!({
                "resource": "https://MCP.example:443/mcp",
                "authorization_servers": ["https://as.example"],
                "scopes_supported": ["files:read"],
                "bearer_methods_supported": ["header"],
                "resource_name": "Files",
            })
        );
    }

    #[test]
    fn rs_005_what_it_says_of_bound_tokens() {
        let said = |bound_tokens| {
            let described = Description { bound_tokens, ..description("https://mcp.example/mcp") };
            let value: serde_json::Value = serde_json::from_slice(&document(&described)).unwrap();
            (
                value["dpop_signing_alg_values_supported"].clone(),
                value["dpop_bound_access_tokens_required"].clone(),
            )
        };
        let algorithms = serde_json::json!(["ES256", "EdDSA", "Ed25519", "RS256"]);
        let (nothing, yes) = (serde_json::Value::Null, serde_json::json!(true));
        assert_eq!(said(BoundTokens::NotListed), (nothing.clone(), nothing.clone()));
        assert_eq!(said(BoundTokens::Offered), (algorithms.clone(), nothing));
        assert_eq!(said(BoundTokens::Required), (algorithms, yes));
    }

    #[test]
    fn rs_001_the_path_is_inserted() {
        for (resource, expected) in [
            ("https://h.example/mcp", "https://h.example/.well-known/oauth-protected-resource/mcp"),
            (
                "https://h.example:8443/a/b/",
                "https://h.example:8443/.well-known/oauth-protected-resource/a/b",
            ),
            ("https://h.example", "https://h.example/.well-known/oauth-protected-resource"),
            ("http://localhost:8080/mcp", "http://localhost:8080/.well-known/oauth-protected-resource/mcp"),
        ] {
            assert_eq!(url(&ResourceUri::parse(resource).unwrap()), expected);
        }
    }

    #[test]
    fn rs_001_methods() {
        for (method, status, allow) in [
            (Method::GET, 200, false),
            (Method::HEAD, 200, false),
            (Method::OPTIONS, 204, false),
            (Method::POST, 405, true),
        ] {
            let response = respond(&method, Bytes::from_static(b"{}"));
            assert_eq!(response.status(), status, "{method}");
            assert_eq!(response.headers().contains_key(header::ALLOW), allow);
            assert_eq!(response.headers()[header::ACCESS_CONTROL_ALLOW_ORIGIN], "*");
        }
    }
}
