//! All numbers as Prometheus reads them (text format 0.0.4).

use super::FEED_LATE;
use crate::{app::App, http::rate_limit::Limited};
use hallpass_core::time::Timestamp;
use hallpass_store::{ErrorKind, StoreTrouble};
use std::{fmt::Write, sync::atomic::Ordering};

/// The content type of [`render`].
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Everything.
pub fn render(app: &App, now: Timestamp) -> String {
    let mut out = Text(String::with_capacity(16 * 1024));
    out.node(app, now);
    out.events(app);
    out.requests(app);
    out.limits(app);
    out.audit(app);
    out.feed(app, now);
    out.store(app);
    out.documents(app);
    out.0
}

struct Text(String);

/// A label and its value.
type Label<'a> = (&'a str, &'a str);

impl Text {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: &[Label<'_>], value: impl std::fmt::Display) {
        self.0.push_str(name);
        for (at, (label, value)) in labels.iter().enumerate() {
            let _ = write!(self.0, "{}{label}=\"{value}\"", if at == 0 { '{' } else { ',' });
        }
        let _ = writeln!(self.0, "{} {value}", if labels.is_empty() { "" } else { "}" });
    }

    fn one(&mut self, name: &str, kind: &str, help: &str, value: impl std::fmt::Display) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }

    fn node(&mut self, app: &App, now: Timestamp) {
        self.family("hallpass_build_info", "gauge", "The version that runs.");
        self.sample("hallpass_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1);
        let started = app.metrics.started.seconds();
        self.one("hallpass_start_time_seconds", "gauge", "When the node started (Unix time).", started);
        let ready = app.metrics.not_ready(now, app.audit.refuses(), app.store.trouble()).is_empty();
        self.one("hallpass_ready", "gauge", "Whether the node is ready.", u8::from(ready));
        let offset = app.metrics.clock_offset.load(Ordering::Relaxed);
        self.one("hallpass_clock_offset_milliseconds", "gauge", "This clock against the store's.", offset);
    }

    fn events(&mut self, app: &App) {
        let name = "hallpass_events_total";
        self.family(
            name,
            "counter",
            "Security decisions and calls, as in the audit log, by event and reason.",
        );
        for (kind, reason, count) in app.audit.counted() {
            self.sample(name, &[("event", kind.name()), ("reason", reason.unwrap_or_default())], count);
        }
    }

    fn requests(&mut self, app: &App) {
        let name = "hallpass_requests_total";
        self.family(name, "counter", "Answers of the authorization server by route and status.");
        for (route, metrics) in &app.metrics.routes {
            for (class, count) in metrics.by_class().filter(|(_, count)| *count > 0) {
                self.sample(name, &[("route", route), ("status", class)], count);
            }
        }
        let name = "hallpass_request_duration_seconds";
        self.family(name, "histogram", "Time to an answer by route.");
        for (route, metrics) in &app.metrics.routes {
            let buckets = metrics.durations.cumulative();
            let all = buckets.last().map_or(0, |(_, count)| *count);
            if all == 0 {
                continue;
            }
            for (bound, count) in buckets {
                self.sample(&format!("{name}_bucket"), &[("route", route), ("le", bound)], count);
            }
            let micros = metrics.durations.micros();
            let seconds = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
            self.sample(&format!("{name}_sum"), &[("route", route)], seconds);
            self.sample(&format!("{name}_count"), &[("route", route)], all);
        }
    }

    fn limits(&mut self, app: &App) {
        let name = "hallpass_rate_limited_total";
        self.family(name, "counter", "Requests turned away because of too many before them.");
        for what in Limited::ALL {
            self.sample(name, &[("limit", what.name())], app.limits.refused(what));
        }
    }

    fn audit(&mut self, app: &App) {
        let (waiting, lost, failing) = app.audit.state();
        self.one("hallpass_audit_lines_waiting", "gauge", "Audit lines not written yet.", waiting);
        self.one(
            "hallpass_audit_lines_lost",
            "gauge",
            "Audit lines lost and not yet recorded as lost.",
            lost,
        );
        self.one(
            "hallpass_audit_failing",
            "gauge",
            "Whether the audit log cannot be written.",
            u8::from(failing),
        );
    }

    fn feed(&mut self, app: &App, now: Timestamp) {
        let age =
            app.metrics.feed_age(now).map_or(-1, |age| i64::try_from(age.as_millis()).unwrap_or(i64::MAX));
        let help = format!(
            "Age of what this node knows of revocations, -1 before the first load. Above {} somebody should look.",
            FEED_LATE.as_millis()
        );
        self.one("hallpass_feed_age_milliseconds", "gauge", &help, age);
        let failures = app.metrics.feed_failures.load(Ordering::Relaxed);
        self.one("hallpass_feed_failures_total", "counter", "Reads of the feed that failed.", failures);
    }

    fn store(&mut self, app: &App) {
        self.one("hallpass_store_waiting", "gauge", "Writes that wait for the store.", app.store.waiting());
        let full = app.store.trouble() == Some(StoreTrouble::Full);
        let help = "Whether the disk is full, so that only what ends access is written.";
        self.one("hallpass_store_full", "gauge", help, u8::from(full));
        let name = "hallpass_store_errors_total";
        self.family(name, "counter", "Failures of the store by kind.");
        for kind in ErrorKind::ALL {
            self.sample(name, &[("kind", kind.name())], kind.count());
        }
    }

    fn documents(&mut self, app: &App) {
        let name = "hallpass_client_documents_total";
        self.family(name, "counter", "Client ID metadata documents asked for, by where they came from.");
        for (outcome, count) in app.documents.counts.all() {
            self.sample(name, &[("outcome", outcome)], count);
        }
    }
}
