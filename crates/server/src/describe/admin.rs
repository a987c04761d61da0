//! Numbers and health.

use super::schemas;
use hallpass_core::openapi::{Answer, Operation};

const JSON: &str = "application/json";
const GROUP: &str = "operation";

/// `/metrics`.
pub static METRICS: Operation = Operation {
    id: "metrics",
    summary: "Numbers for Prometheus",
    group: GROUP,
    answers: &[Answer {
        status: 200,
        text: "The text format of Prometheus.",
        content: &[("text/plain", None)],
        headers: &[],
    }],
    ..Operation::NONE
};

/// `/health/live`.
pub static LIVE: Operation = Operation {
    id: "live",
    summary: "Whether the process answers",
    group: GROUP,
    answers: &[Answer {
        status: 200,
        text: "It does.",
        content: &[(JSON, Some(&schemas::LIVE))],
        headers: &[],
    }],
    ..Operation::NONE
};

/// `/health/ready`.
pub static READY: Operation = Operation {
    id: "ready",
    summary: "Whether requests should come here",
    group: GROUP,
    answers: &[
        Answer { status: 200, text: "Yes.", content: &[(JSON, Some(&schemas::READY))], headers: &[] },
        Answer {
            status: 503,
            text: "No, and why not.",
            content: &[(JSON, Some(&schemas::READY))],
            headers: &[],
        },
    ],
    ..Operation::NONE
};
