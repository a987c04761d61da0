//! A server of one route behind tokens of an authorization server.
//!
//!     cargo run -p hallpass-resource --example axum -- http://localhost:8080 http://localhost:3000/hello 127.0.0.1:3000
//!
//! The issuer, the URL that clients use, and where to listen. These are the defaults; the port may be 0.

#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a program of somebody else")]

use axum::{Router, extract::State, http::Method, routing::any, routing::post};
use hallpass_core::{
    scope::Scope,
    uri::{Issuer, ResourceUri},
};
use hallpass_fetch::Fetch;
use hallpass_resource::{
    BoundTokens, KeySource, ProtectedResource, Revocations, Settings,
    axum::{Caller, Refused},
    metadata,
};
use std::{error::Error, sync::Arc};

async fn hello(State(needed): State<Scope>, caller: Caller) -> Result<String, Refused> {
    let authorized = caller.authorize("hello", &needed)?;
    Ok(format!("{} for {}, through {}", authorized.operation(), authorized.subject(), authorized.client_id()))
}

#[derive(Clone)]
struct App {
    resource: Arc<ProtectedResource>,
    needed: Scope,
}

impl axum::extract::FromRef<App> for Arc<ProtectedResource> {
    fn from_ref(app: &App) -> Self {
        Arc::clone(&app.resource)
    }
}

impl axum::extract::FromRef<App> for Scope {
    fn from_ref(app: &App) -> Self {
        app.needed.clone()
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    let mut word = |usual: &str| words.next().unwrap_or_else(|| usual.to_owned());
    let issuer = Issuer::parse(&word("http://localhost:8080"))?;
    let resource = ResourceUri::parse(&word("http://localhost:3000/hello"))?;
    let listen = word("127.0.0.1:3000");

    let path = resource.parsed().path().to_owned();
    let needed = Scope::parse("hello")?;
    // The authorization server says where its keys are; they are fetched when the first token comes.
    let keys = KeySource::discovered(&issuer, Fetch::new(hallpass_fetch::Settings::default())?);
    let document = metadata::document(&metadata::Description {
        resource: resource.clone(),
        authorization_servers: vec![issuer.as_str().into()],
        scopes: needed.clone(),
        title: Some("Hello".into()),
        bound_tokens: BoundTokens::Offered,
        reads_details: false,
    });
    let settings =
        Settings { metadata_url: metadata::url(&resource), resource, issuer: issuer.as_str().into() };
    let resource =
        Arc::new(ProtectedResource::new(settings, keys.into(), Arc::new(Revocations::without_feed())));
    let serve_document =
        move |method: Method| async move { metadata::respond(&method, document).map(axum::body::Body::from) };
    let router = Router::new()
        .route(&path, post(hello))
        .route(&metadata::path(&path), any(serve_document))
        .with_state(App { resource, needed });
    let listener = tokio::net::TcpListener::bind(&listen).await?;
    println!("LISTENING http://{}", listener.local_addr()?);
    Ok(axum::serve(listener, router).await?)
}
