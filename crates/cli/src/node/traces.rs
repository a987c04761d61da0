//! Spans of calls to a collector: OTLP over HTTP, in its JSON (OTLP 1.x, "JSON Protobuf Encoding").
//!
//! Written here, because one message with one kind of span is less than what the crates of OpenTelemetry would add, and
//! because everything that leaves this process leaves through `fetch`. A call never waits for a collector: what does not
//! fit into the queue is counted, and said once. It is off until a configuration has `[traces]`, and no Cargo feature: there is no
//! package that a build without it would be rid of.

use crate::config::TraceSettings;
use bytes::Bytes;
use hallpass_core::time::{Clock, Timestamp};
use hallpass_fetch::{Fetch, Limits, Policy};
use hallpass_gateway::{CallOutcome, CallRecord, Span};
use hallpass_server::App;
use http::{HeaderName, HeaderValue, Request, header};
use serde_json::{Value, json};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::{Mutex, mpsc, watch},
    task::JoinHandle,
};

/// Spans that wait at most, and that are sent at a time.
const WAITING: usize = 4_096;
const AT_A_TIME: usize = 512;
/// A span waits this long for others.
const DELAY: Duration = Duration::from_secs(1);
/// How long is waited before a request is repeated, once.
const AGAIN: Duration = Duration::from_secs(5);
/// How long a stop waits for the last ones.
const LAST: Duration = Duration::from_secs(3);
/// Longest text of an attribute, in characters: clients choose some of them.
const LONGEST: usize = 256;

/// What a configuration says of traces, at work.
pub struct Traces(Option<Started>);

struct Started {
    exporter: Arc<Exporter>,
    stop: watch::Sender<bool>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Traces {
    /// Begins to send where the configuration says so.
    pub fn start(settings: Option<&TraceSettings>, app: &App) -> Self {
        Self(settings.map(|settings| {
            let (spans, queue) = mpsc::channel(WAITING);
            let (stop, stopped) = watch::channel(false);
            let lost = Arc::new(AtomicU64::new(0));
            let sender = Sender {
                fetch: app.fetch.clone(),
                policy: settings.policy(),
                endpoint: settings.endpoint.as_str().to_owned(),
                header: settings.header.clone(),
                resource: resource(&settings.service, &app.settings.audit.node),
                lost: Arc::clone(&lost),
                failing: false,
            };
            let task = Mutex::new(Some(tokio::spawn(sender.run(queue, stopped))));
            let clock = Arc::clone(&app.clock);
            Started { exporter: Arc::new(Exporter { spans, lost, clock }), stop, task }
        }))
    }

    /// The calls' end of it.
    pub fn exporter(&self) -> Option<Arc<Exporter>> {
        self.0.as_ref().map(|started| Arc::clone(&started.exporter))
    }

    /// Sends what waits, and ends.
    pub async fn stop(&self) {
        let Some(started) = &self.0 else { return };
        started.stop.send_replace(true);
        if let Some(task) = started.task.lock().await.take() {
            let _ = tokio::time::timeout(LAST, task).await;
        }
    }
}

/// The calls' end of the queue.
pub struct Exporter {
    spans: mpsc::Sender<Value>,
    lost: Arc<AtomicU64>,
    clock: Arc<dyn Clock>,
}

impl Exporter {
    /// Takes a call that is recorded.
    pub fn put(&self, record: &CallRecord<'_>) {
        let Some(span) = &record.span else { return };
        if self.spans.try_send(described(record, span, self.clock.now())).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }
}

struct Sender {
    fetch: Fetch,
    policy: Policy,
    endpoint: String,
    header: Option<(HeaderName, HeaderValue)>,
    resource: Value,
    lost: Arc<AtomicU64>,
    failing: bool,
}

impl Sender {
    async fn run(mut self, mut queue: mpsc::Receiver<Value>, mut stopped: watch::Receiver<bool>) {
        loop {
            let first = tokio::select! {
                first = queue.recv() => first,
                _ = stopped.wait_for(|stopped| *stopped) => break,
            };
            let Some(first) = first else { return };
            let mut batch = vec![first];
            if queue.len() < AT_A_TIME {
                let _ = tokio::time::timeout(DELAY, stopped.wait_for(|stopped| *stopped)).await;
            }
            fill(&mut batch, &mut queue);
            self.send(batch, &mut stopped).await;
        }
        while !queue.is_empty() {
            let mut batch = Vec::new();
            fill(&mut batch, &mut queue);
            self.send(batch, &mut stopped).await;
        }
    }

    /// Posts them; once more a little later where that may help.
    async fn send(&mut self, batch: Vec<Value>, stopped: &mut watch::Receiver<bool>) {
        let count = u64::try_from(batch.len()).unwrap_or(u64::MAX);
        let scope = json!({ "name": "hallpass", "version": env!("CARGO_PKG_VERSION") });
        let spans = json!({ "scope": scope, "spans": batch });
        let body = json!({ "resourceSpans": [{ "resource": self.resource, "scopeSpans": [spans] }] });
        let body = Bytes::from(body.to_string());
        let mut outcome = self.post(body.clone()).await;
        if outcome.as_ref().is_err_and(|failure| failure.may_pass) && !*stopped.borrow() {
            let _ = tokio::time::timeout(AGAIN, stopped.wait_for(|stopped| *stopped)).await;
            outcome = self.post(body).await;
        }
        match outcome {
            Ok(()) => {
                if std::mem::replace(&mut self.failing, false) {
                    let lost = self.lost.swap(0, Ordering::Relaxed);
                    tracing::warn!(lost, "the collector of traces takes spans again");
                }
            }
            Err(failure) => {
                self.lost.fetch_add(count, Ordering::Relaxed);
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::warn!(
                        reason = failure.reason,
                        "the collector of traces takes no spans: they are lost"
                    );
                }
            }
        }
    }

    async fn post(&self, body: Bytes) -> Result<(), NotTaken> {
        let mut request = Request::post(&self.endpoint).header(header::CONTENT_TYPE, "application/json");
        if let Some((name, value)) = &self.header {
            request = request.header(name, value);
        }
        let request =
            request.body(body).map_err(|error| NotTaken { reason: error.to_string(), may_pass: false })?;
        match self.fetch.send(request, &self.policy, Limits::DOCUMENT).await {
            Ok(response) if response.status().is_success() => Ok(()),
            Ok(response) => {
                let status = response.status().as_u16();
                let may_pass = matches!(status, 429 | 502 | 503 | 504);
                Err(NotTaken { reason: format!("status {status}"), may_pass })
            }
            Err(error) => Err(NotTaken { reason: error.to_string(), may_pass: error.is_transport() }),
        }
    }
}

struct NotTaken {
    reason: String,
    may_pass: bool,
}

fn fill(batch: &mut Vec<Value>, queue: &mut mpsc::Receiver<Value>) {
    while batch.len() < AT_A_TIME
        && let Ok(span) = queue.try_recv()
    {
        batch.push(span);
    }
}

fn resource(service: &str, node: &str) -> Value {
    json!({ "attributes": [
        text("service.name", service),
        text("service.version", env!("CARGO_PKG_VERSION")),
        text("service.instance.id", node),
    ] })
}

/// One span: a server's, from the arrival of the call to the beginning of its answer. Names of attributes are those of
/// OpenTelemetry's conventions for MCP where there are any. Nothing that a call carries, and nothing that proves anything.
fn described(record: &CallRecord<'_>, span: &Span, now: Timestamp) -> Value {
    let method = record.method.map(clipped);
    let target = record.target.map(clipped);
    let key = match method.as_deref() {
        Some("tools/call") => Some("gen_ai.tool.name"),
        Some("prompts/get") => Some("gen_ai.prompt.name"),
        Some(_) | None => None,
    };
    let name = match (&method, &target) {
        (Some(method), Some(target)) if key.is_some() => format!("{method} {target}"),
        (Some(method), _) => method.clone(),
        (None, _) => "refused".to_owned(),
    };
    let mut attributes =
        vec![text("hallpass.server", record.server), text("hallpass.request", &record.request.to_string())];
    let grant = record.grant.map(|grant| grant.to_string());
    let resource = target.as_deref().filter(|_| key.is_none());
    for (name, value) in [
        ("mcp.method.name", method.as_deref()),
        (key.unwrap_or("mcp.resource.uri"), target.as_deref().filter(|_| key.is_some()).or(resource)),
        ("user.id", record.person),
        ("hallpass.client", record.client),
        ("hallpass.grant", grant.as_deref()),
        ("hallpass.rule", record.rule),
        ("hallpass.let_through", record.let_through),
    ] {
        if let Some(value) = value {
            attributes.push(text(name, value));
        }
    }
    let failed = match record.outcome {
        CallOutcome::Answered(status) => {
            attributes.push(
                json!({ "key": "http.response.status_code", "value": { "intValue": status.as_str() } }),
            );
            status.is_server_error()
        }
        CallOutcome::Refused(reason) => {
            attributes.push(text("error.type", reason));
            matches!(reason, "upstream" | "answer" | "service_unavailable")
        }
    };
    let [trace, own] = span.id.texts();
    let end = Duration::from_millis(u64::try_from(now.millis()).unwrap_or_default());
    let start = end.saturating_sub(record.took);
    let mut described = json!({
        "traceId": trace,
        "spanId": own,
        "name": name,
        "kind": 2,
        "startTimeUnixNano": start.as_nanos().to_string(),
        "endTimeUnixNano": end.as_nanos().to_string(),
        "attributes": attributes,
        "status": if failed { json!({ "code": 2 }) } else { json!({}) },
    });
    if let (Some(client), Some(members)) = (&span.client, described.as_object_mut()) {
        let [trace, parent] = client.texts();
        if client.trace == span.id.trace {
            members.insert("parentSpanId".to_owned(), parent.into());
        } else {
            members.insert("links".to_owned(), json!([{ "traceId": trace, "spanId": parent }]));
        }
    }
    described
}

fn text(key: &str, value: &str) -> Value {
    json!({ "key": key, "value": { "stringValue": clipped(value) } })
}

fn clipped(text: &str) -> String {
    text.chars().take(LONGEST).collect()
}
