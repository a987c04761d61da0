//! Guards an MCP server that is written in Rust: validation of access tokens, challenges, metadata, as a tower layer,
//! an axum extractor, or plain functions.
//!
//! It knows no authorization server in particular: whoever signs access tokens as RFC 9068 has them and publishes its
//! keys will do.
//!
//! | to read | module |
//! |---|---|
//! | the check that every request goes through | [`protected_resource`] |
//! | its parts, pure | [`validate`] |
//! | proofs of tokens that are bound to a key | [`head`], [`proof`] |
//! | what it results in | [`authorized`], [`refuse`] |
//! | what it needs | [`keys`], [`revocations`] |
//! | tokens of other servers | [`issuer`], [`introspection`] |
//! | the document that names the authorization server | [`metadata`] |
//! | the ways to use it | [`layer`], [`axum`] |
//! | scopes for each tool of an MCP server | [`tools`], [`message`] |
//!
//! ```
//! use hallpass_core::{jose::KeySet, scope::Scope, uri::ResourceUri};
//! use hallpass_resource::{KeySource, ProtectedResource, Revocations, Scheme, Settings, metadata};
//! use std::sync::Arc;
//!
//! # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
//! let resource = ResourceUri::parse("https://mcp.example/mcp").unwrap();
//! let settings = Settings {
//!     metadata_url: metadata::url(&resource),
//!     resource,
//!     issuer: "https://as.example".into(),
//! };
//! let keys = Arc::new(KeySource::fixed(KeySet::default())); // or KeySource::jwks(url, fetch, policy)
//! let server = ProtectedResource::new(settings, keys, Arc::new(Revocations::without_feed()));
//!
//! let needed = Scope::parse("files:read").unwrap();
//! let request = http::Request::post("/mcp").body(()).unwrap();
//! let reason = server.authorize(&request, &needed, server.now()).await.unwrap_err();
//! let answer = server.refuse(reason, &needed, Scheme::of(request.headers()));
//! assert_eq!(answer.status(), 401);
//! assert_eq!(
//!     answer.headers()["www-authenticate"],
//!     "Bearer resource_metadata=\"https://mcp.example/.well-known/oauth-protected-resource/mcp\", scope=\"files:read\"",
//! );
//! # });
//! ```

pub mod authorized;
pub mod axum;
mod cache;
pub mod cors;
mod discovery;
pub mod head;
pub mod introspection;
pub mod issuer;
pub mod keys;
pub mod layer;
pub mod message;
pub mod metadata;
pub mod proof;
pub mod protected_resource;
pub mod refuse;
pub mod revocations;
pub mod tools;
pub mod validate;

pub use authorized::{ANONYMOUS, Authenticated, Authorized};
pub use head::{Head, Scheme};
pub use introspection::Introspector;
pub use issuer::{ScopeNames, TrustedIssuer, Verification};
pub use keys::KeySource;
pub use layer::{Protect, ProtectLayer};
pub use proof::{BoundTokens, Proofs};
pub use protected_resource::{ProtectedResource, Settings};
pub use refuse::Reason;
pub use revocations::{Revocation, Revocations, Revoked};
pub use tools::{ProtectToolsLayer, ToolScopes};
