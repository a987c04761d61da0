//! The routes for those who run the node: numbers and health. They have a listener of their own and are on no other
//! (AS-225).

use crate::{
    app::{App, Live},
    describe::admin as describe,
    metrics,
};
use axum::{Router, body::Body, extract::State, response::Response, routing::get};
use hallpass_core::openapi::{Method, Operation, Path};
use http::{HeaderValue, StatusCode, header};

/// Path, answer, and what it is.
type AdminRoute = (&'static str, fn(&App) -> Response, &'static Operation);

/// Their table.
const ROUTES: [AdminRoute; 3] = [
    ("/metrics", numbers, &describe::METRICS),
    ("/health/live", live, &describe::LIVE),
    ("/health/ready", ready, &describe::READY),
];

/// What is in the table, and nothing else.
pub fn admin_router(live: Live) -> Router {
    let mut router = Router::new();
    for (path, answer, _) in &ROUTES {
        router = router.route(path, get(async move |State(live): State<Live>| answer(&live.app())));
    }
    router
        .fallback(async || {
            json(
                StatusCode::NOT_FOUND,
                "{\"error\":\"here are /metrics, /health/live and /health/ready\"}".to_owned(),
            )
        })
        .with_state(live)
}

/// For the description of the whole surface.
pub fn described() -> impl Iterator<Item = Path> {
    ROUTES.iter().map(|(path, _, operation)| Path {
        path: (*path).to_owned(),
        methods: vec![Method {
            name: "get",
            id: operation.id.to_owned(),
            operation,
            refusals: Vec::new(),
            pages: Vec::new(),
        }],
        listener: Some("The listener of `[admin] listen`; nowhere without it"),
    })
}

fn live(_: &App) -> Response {
    json(StatusCode::OK, "{\"live\":true}".to_owned())
}

fn numbers(app: &App) -> Response {
    answer(StatusCode::OK, metrics::CONTENT_TYPE, metrics::render(app, app.clock.now()))
}

/// 503 with the reasons, so that a load balancer sends nobody here and a person sees why.
fn ready(app: &App) -> Response {
    let reasons = app.metrics.not_ready(app.clock.now(), app.audit.refuses(), app.store.trouble());
    let status = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let names: Vec<&str> = reasons.iter().map(|reason| reason.name()).collect();
    json(status, serde_json::json!({ "ready": names.is_empty(), "reasons": names }).to_string())
}

fn json(status: StatusCode, body: String) -> Response {
    answer(status, "application/json", body)
}

fn answer(status: StatusCode, content_type: &'static str, body: String) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
