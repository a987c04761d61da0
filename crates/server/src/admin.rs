//! The routes for those who run the node: numbers and health. They have a listener of their own and are on no other
//! (AS-225).

use crate::{
    app::{App, Live},
    metrics,
};
use axum::{Router, body::Body, extract::State, response::Response, routing::get};
use http::{HeaderValue, StatusCode, header};

/// `/metrics`, `/health/live`, `/health/ready`, and nothing else.
pub fn admin_router(live: Live) -> Router {
    Router::new()
        .route("/metrics", get(async |State(live): State<Live>| numbers(&live.app())))
        .route("/health/live", get(async || json(StatusCode::OK, "{\"live\":true}".to_owned())))
        .route("/health/ready", get(async |State(live): State<Live>| ready(&live.app())))
        .fallback(async || {
            json(
                StatusCode::NOT_FOUND,
                "{\"error\":\"here are /metrics, /health/live and /health/ready\"}".to_owned(),
            )
        })
        .with_state(live)
}

fn numbers(app: &App) -> Response {
    answer(StatusCode::OK, metrics::CONTENT_TYPE, metrics::render(app, app.clock.now()))
}

/// 503 with the reasons, so that a load balancer sends nobody here and a person sees why.
fn ready(app: &App) -> Response {
    let reasons = app.metrics.not_ready(app.clock.now(), app.audit.refuses());
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
