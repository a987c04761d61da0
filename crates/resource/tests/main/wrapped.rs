//! A service behind the layer, and a handler with the extractor.

use crate::support::{METADATA, RESOURCE, World, bearer, claims, sign, world};
use axum::{
    Extension, Router,
    body::{Body, to_bytes},
    extract::FromRef,
    http::{HeaderMap, Method, Request, Response},
    routing::{any, post},
};
use hallpass_core::{challenge, scope::Scope, uri::ResourceUri};
use hallpass_resource::{
    Authorized, ProtectLayer, ProtectedResource,
    axum::{Caller, Refused},
    metadata::Description,
};
use std::sync::Arc;
use tower::ServiceExt;

async fn through(router: Router, request: Request<Body>) -> (Response<Body>, String) {
    let (parts, body) = router.oneshot(request).await.unwrap().into_parts();
    let text = String::from_utf8(to_bytes(body, 100_000).await.unwrap().to_vec()).unwrap();
    (Response::from_parts(parts, Body::empty()), text)
}

fn request(method: Method, path: &str, headers: HeaderMap) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
    *request.headers_mut() = headers;
    request
}

fn layered(world: &World) -> Router {
    let needed = Scope::parse("files:read").unwrap();
    let description = Description {
        resource: ResourceUri::parse(RESOURCE).unwrap(),
        authorization_servers: vec!["https://as.example".into()],
        scopes: needed.clone(),
        title: None,
        bound_tokens: hallpass_resource::BoundTokens::Offered,
        reads_details: false,
    };
    let layer = ProtectLayer::new(Arc::clone(&world.resource), needed).with_metadata(&description);
    let inner = |headers: HeaderMap, Extension(authorized): Extension<Authorized>| async move {
        format!("{} {}", authorized.subject(), headers.contains_key("authorization"))
    };
    Router::new().fallback(any(inner)).layer(layer)
}

#[tokio::test]
async fn rs_001_rs_007_rs_014_the_layer_does_all_of_it() {
    let world = world();
    let (answer, text) =
        through(layered(&world), request(Method::POST, "/mcp", bearer(&world.token()))).await;
    assert_eq!((answer.status().as_u16(), text.as_str()), (200, "ann false"));

    let (answer, _) = through(layered(&world), request(Method::POST, "/mcp", HeaderMap::new())).await;
    let written = answer.headers()["www-authenticate"].to_str().unwrap();
    let challenges = challenge::parse(&[written]);
    assert_eq!(
        (answer.status().as_u16(), challenges[0].parameter("resource_metadata")),
        (401, Some(METADATA))
    );
    assert!(answer.headers()["access-control-expose-headers"].to_str().unwrap().contains("WWW-Authenticate"));

    let (answer, text) = through(layered(&world), request(Method::OPTIONS, "/mcp", HeaderMap::new())).await;
    assert_eq!((answer.status().as_u16(), text.as_str()), (204, ""));

    let path = "/.well-known/oauth-protected-resource/mcp";
    let (answer, text) = through(layered(&world), request(Method::GET, path, HeaderMap::new())).await;
    assert_eq!(answer.status(), 200);
    assert!(text.contains(RESOURCE));
}

#[tokio::test]
async fn rs_020_a_token_in_the_query_is_not_there() {
    let world = world();
    let path = format!("/mcp?access_token={}", world.token());
    let (answer, _) = through(layered(&world), request(Method::POST, &path, HeaderMap::new())).await;
    assert_eq!(answer.status(), 401);
}

#[derive(Clone)]
struct App(Arc<ProtectedResource>);

impl FromRef<App> for Arc<ProtectedResource> {
    fn from_ref(app: &App) -> Self {
        Arc::clone(&app.0)
    }
}

async fn write(caller: Caller) -> Result<String, Refused> {
    let authorized = caller.authorize("write", &Scope::parse("files:write").unwrap())?;
    Ok(format!("{} by {}", authorized.operation(), authorized.subject()))
}

#[tokio::test]
async fn rs_010_the_extractor_asks_for_what_the_operation_needs() {
    let world = world();
    let router = || Router::new().route("/", post(write)).with_state(App(Arc::clone(&world.resource)));
    let (answer, text) = through(router(), request(Method::POST, "/", bearer(&world.token()))).await;
    assert_eq!((answer.status().as_u16(), text.as_str()), (200, "write by ann"));

    let mut token = claims();
    token.scope = Some("files:read".into());
    let headers = bearer(&sign(&world.key, &token));
    let (answer, _) = through(router(), request(Method::POST, "/", headers)).await;
    let challenges = challenge::parse(&[answer.headers()["www-authenticate"].to_str().unwrap()]);
    assert_eq!(answer.status(), 403);
    assert_eq!(challenges[0].parameter("scope"), Some("files:write"));

    let (answer, _) = through(router(), request(Method::POST, "/", HeaderMap::new())).await;
    assert_eq!(answer.status(), 401);
}
