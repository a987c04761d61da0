//! Every route of the gateway: for each server its MCP path and its metadata document, and nothing else.

use crate::{
    admit::Admission,
    config::{ConfigError, GatewayConfig, Limits, ProtectedServer},
    forward,
    session::SessionSealer,
    tools::Rules,
    upstream::HttpUpstream,
};
use axum::{Router, body::Body, extract::Request, routing::any};
use bytes::Bytes;
use hallpass_resource::{ProtectedResource, Settings, metadata};
use http::Method;
use std::sync::Arc;

/// One MCP server, ready to be asked.
pub(crate) struct Server {
    pub name: String,
    pub resource: ProtectedResource,
    pub rules: Rules,
    pub upstream: HttpUpstream,
    pub sessions: Arc<dyn SessionSealer>,
    pub admission: Admission,
    pub limits: Limits,
}

/// The routes, to be merged with those of an authorization server on the same listener. Other paths are not
/// touched: no fallback, so an upstream's `/authorize` or `/.well-known` is never reached.
///
/// # Errors
/// [`ConfigError`], one sentence that names the fix.
pub fn router(mut config: GatewayConfig) -> Result<Router, ConfigError> {
    config.check()?;
    let admission = if config.local {
        Admission::local(&config.public_origin, &config.allowed_origins)
    } else {
        Admission::Public
    };
    let mut router = Router::new();
    let servers = std::mem::take(&mut config.servers);
    let only_one = servers.len() == 1;
    for protected in &servers {
        let document = document(protected);
        router = router.route(&metadata::path(&protected.path), serve_document(document.clone()));
        if only_one {
            // Clients of the older revisions ask at the root only (RS-001).
            router = router.route(&metadata::path(""), serve_document(document));
        }
        let server = Arc::new(server(protected, &config, admission.clone())?);
        let serve = move |request: Request<Body>| forward::serve(Arc::clone(&server), request);
        router = router.route(&protected.path, any(serve));
    }
    Ok(router)
}

fn serve_document(document: Bytes) -> axum::routing::MethodRouter {
    any(move |method: Method| async move { metadata::respond(&method, document).map(Body::from) })
}

fn document(protected: &ProtectedServer) -> Bytes {
    metadata::document(&metadata::Description {
        resource: protected.resource.clone(),
        authorization_servers: protected.authorization_servers.clone(),
        scopes: protected.scopes.clone(),
        title: protected.title.clone(),
    })
}

fn server(
    protected: &ProtectedServer,
    config: &GatewayConfig,
    admission: Admission,
) -> Result<Server, ConfigError> {
    let settings = Settings {
        metadata_url: format!("{}{}", config.public_origin, metadata::path(&protected.path)),
        resource: protected.resource.clone(),
        issuer: protected.issuer.clone(),
    };
    let resource =
        ProtectedResource::new(settings, Arc::clone(&config.keys), Arc::clone(&config.revocations));
    Ok(Server {
        name: protected.name.clone(),
        resource: resource.with_clock(Arc::clone(&config.clock)),
        rules: Rules { required: protected.required_scope.clone() },
        upstream: HttpUpstream::new(protected.upstream_uri()?, &config.limits),
        sessions: Arc::clone(&config.sessions),
        admission,
        limits: config.limits,
    })
}
