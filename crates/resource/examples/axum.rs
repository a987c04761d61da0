//! A server of two routes behind tokens of an authorization server: `cargo run -p hallpass-resource --example axum`.

use axum::{Router, extract::State, http::Method, routing::any, routing::post};
use hallpass_core::{scope::Scope, uri::ResourceUri};
use hallpass_fetch::{Fetch, Policy};
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
    let issuer = "http://localhost:8080";
    let resource = ResourceUri::parse("http://localhost:3000/hello")?;
    let needed = Scope::parse("hello")?;
    let keys = KeySource::jwks(
        format!("{issuer}/jwks").parse()?,
        Fetch::new(hallpass_fetch::Settings::default())?,
        Policy::trusted(["localhost"]),
    );
    let document = metadata::document(&metadata::Description {
        resource: resource.clone(),
        authorization_servers: vec![issuer.into()],
        scopes: needed.clone(),
        title: Some("Hello".into()),
        bound_tokens: BoundTokens::Offered,
        reads_details: false,
    });
    let settings = Settings { metadata_url: metadata::url(&resource), resource, issuer: issuer.into() };
    let resource =
        Arc::new(ProtectedResource::new(settings, keys.into(), Arc::new(Revocations::without_feed())));
    let serve_document =
        move |method: Method| async move { metadata::respond(&method, document).map(axum::body::Body::from) };
    let router = Router::new()
        .route("/hello", post(hello))
        .route(&metadata::path("/hello"), any(serve_document))
        .with_state(App { resource, needed });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    Ok(axum::serve(listener, router).await?)
}
