//! An MCP server made with rmcp, the SDK for Rust: notes that each person has of their own. To look at them takes the scope
//! `notes:read`, to write one takes `notes:write` too, which a client asks its person for when it is needed.
//!
//!     cargo run -p hallpass-resource --example rmcp_server -- \
//!         http://localhost:8080 http://localhost:3000/mcp 127.0.0.1:3000 notes.secret
//!
//! The issuer, the URL that clients use, where to listen (these are the defaults, the port may be 0), and a file with the secret
//! of the client `notes-server`, as which it asks the issuer whether tokens are still good. Without it they are good until they
//! expire.

#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a program of somebody else")]

use axum::Router;
use hallpass_core::{
    scope::Scope,
    secret::SecretString,
    uri::{Issuer, ResourceUri},
};
use hallpass_fetch::Fetch;
use hallpass_resource::{
    Authorized, BoundTokens, Introspector, KeySource, ProtectLayer, ProtectToolsLayer, ProtectedResource,
    Revocations, Settings, ToolScopes, metadata,
};
use http::request::Parts;
use rmcp::{
    ErrorData, ServerHandler,
    handler::server::{tool::Extension, wrapper::Parameters},
    schemars, tool, tool_handler, tool_router,
    transport::streamable_http_server::{
        StreamableHttpServerConfig, StreamableHttpService, session::never::NeverSessionManager,
    },
};
use std::{
    collections::HashMap,
    error::Error,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// The notes, by the `sub` of whose they are.
#[derive(Clone, Default)]
struct Notes(Arc<Mutex<HashMap<String, Vec<String>>>>);

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Note {
    /// What to remember.
    text: String,
}

#[tool_router]
impl Notes {
    #[tool(description = "Who calls, and with which client.")]
    fn whoami(Extension(parts): Extension<Parts>) -> Result<String, ErrorData> {
        let caller = caller(&parts)?;
        Ok(format!("{} through {}", caller.subject(), caller.client_id()))
    }

    #[tool(description = "All notes of whoever calls.")]
    fn read_notes(&self, Extension(parts): Extension<Parts>) -> Result<String, ErrorData> {
        let notes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(notes.get(caller(&parts)?.subject()).map_or_else(String::new, |notes| notes.join("\n")))
    }

    #[tool(description = "Adds a note to those of whoever calls.")]
    fn add_note(
        &self,
        Parameters(note): Parameters<Note>,
        Extension(parts): Extension<Parts>,
    ) -> Result<String, ErrorData> {
        let mut notes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let own = notes.entry(caller(&parts)?.subject().to_owned()).or_default();
        own.push(note.text);
        Ok(format!("Note {} is kept.", own.len()))
    }
}

#[tool_handler(name = "notes")]
impl ServerHandler for Notes {}

/// What the layer put into the request: rmcp hands its head to each tool. Nobody but the layer can make one.
fn caller(parts: &Parts) -> Result<&Authorized, ErrorData> {
    parts.extensions.get().ok_or_else(|| ErrorData::internal_error("the server is not protected", None))
}

/// What everything takes, and what each tool takes beyond that. A tool that is not here is refused to everybody.
fn scopes() -> Result<(Scope, ToolScopes), Box<dyn Error>> {
    let tools = ToolScopes::new()
        .tool("whoami", Scope::none())
        .tool("read_notes", Scope::none())
        .tool("add_note", Scope::parse("notes:write")?);
    Ok((Scope::parse("notes:read")?, tools))
}

fn protection(
    issuer: &Issuer,
    resource: &ResourceUri,
    secret_file: Option<&str>,
) -> Result<ProtectToolsLayer, Box<dyn Error>> {
    let fetch = Fetch::new(hallpass_fetch::Settings::default())?;
    let settings = Settings {
        metadata_url: metadata::url(resource),
        resource: resource.clone(),
        issuer: issuer.as_str().into(),
    };
    // The authorization server says where its keys are; they are fetched when the first token comes.
    let keys = KeySource::discovered(issuer, fetch.clone());
    let mut protected = ProtectedResource::new(settings, keys.into(), Revocations::without_feed().into());
    if let Some(file) = secret_file {
        let secret = SecretString::new(std::fs::read_to_string(file)?.trim());
        let introspector = Introspector::discovered(issuer, "notes-server", secret, fetch);
        // Whoever takes an installation back waits no longer than this.
        let introspector = introspector.using_answers_for(Duration::from_millis(500));
        protected = protected.with_introspection(introspector.into());
    }
    let (required, tools) = scopes()?;
    let description = metadata::Description {
        resource: resource.clone(),
        authorization_servers: vec![issuer.as_str().into()],
        scopes: required.clone(),
        title: Some("Notes".into()),
        bound_tokens: BoundTokens::Offered,
        reads_details: false,
    };
    Ok(ProtectLayer::new(protected.into(), required).with_metadata(&description).with_tools(tools))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    let mut word = |usual: &str| words.next().unwrap_or_else(|| usual.to_owned());
    let issuer = Issuer::parse(&word("http://localhost:8080"))?;
    let resource = ResourceUri::parse(&word("http://localhost:3000/mcp"))?;
    let listen = word("127.0.0.1:3000");
    let secret_file = words.next();

    // rmcp answers to the names of this machine alone, so that no page whose name was rebound to 127.0.0.1 gets through. The name
    // in the URL that clients use is to be added.
    let mut config = StreamableHttpServerConfig::default();
    config.allowed_hosts.extend(resource.parsed().host_str().map(str::to_owned));
    // No sessions, in the older revisions either: rmcp does not know whose a session is, so whoever learnt of its id could go on
    // with it under a token of their own.
    let config = config.with_legacy_session_mode(false).with_json_response(true);
    let notes = Notes::default();
    let service = StreamableHttpService::new(
        move || Ok(notes.clone()),
        Arc::new(NeverSessionManager::default()),
        config,
    );

    let layer = protection(&issuer, &resource, secret_file.as_deref())?;
    let router = Router::new().route_service(resource.parsed().path(), service).layer(layer);
    let listener = tokio::net::TcpListener::bind(&listen).await?;
    println!("LISTENING http://{}", listener.local_addr()?);
    Ok(axum::serve(listener, router).await?)
}
