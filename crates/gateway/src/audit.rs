//! What the operator sees of each call: who, through what, which method, how it went. Never arguments, never tokens.

use crate::{message::Call, refuse::Refusal, router::Server};
use hallpass_resource::Authenticated;
use http::StatusCode;
use std::time::Instant;

/// The target of the events of calls, so that a filter can have them without the rest.
const TARGET: &str = "hallpass::call";

/// A call that was sent on.
pub(crate) fn answered(
    server: &Server,
    caller: &Authenticated,
    call: &Call,
    status: StatusCode,
    started: Instant,
) {
    let operation = call.operation();
    tracing::info!(
        target: TARGET,
        server = %server.name,
        subject = caller.subject(),
        client = caller.client_id(),
        grant = caller.grant().map(|reference| tracing::field::display(reference.grant)),
        method = operation.method(),
        name = operation.name(),
        status = status.as_u16(),
        ms = started.elapsed().as_millis(),
        "call"
    );
}

/// A request that was not, with the exact rule. `caller` and `call` as far as they are known.
pub(crate) fn refused(
    server: &Server,
    caller: Option<&Authenticated>,
    call: Option<&Call>,
    refusal: &Refusal,
    started: Instant,
) {
    tracing::info!(
        target: TARGET,
        server = %server.name,
        subject = caller.map(Authenticated::subject),
        client = caller.map(Authenticated::client_id),
        grant = caller.and_then(Authenticated::grant).map(|reference| tracing::field::display(reference.grant)),
        method = call.map(|call| call.operation().method()),
        name = call.and_then(|call| call.operation().name()),
        reason = %refusal,
        ms = started.elapsed().as_millis(),
        "refused"
    );
}
