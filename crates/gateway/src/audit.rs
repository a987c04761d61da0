//! What the operator sees of each call: who, through what, which method, how it went. Never arguments, never tokens.

use crate::{message::Call, refuse::Refusal, router::Server};
use hallpass_core::id::GrantId;
use hallpass_resource::{Authenticated, Reason};
use http::StatusCode;
use std::time::Instant;

/// Told of each call, beside the log, by whoever wants to keep or count them.
pub trait CallLog: Send + Sync + 'static {
    /// One call. It is answered when this has returned, so it must not wait for anything.
    fn call(&self, record: &CallRecord<'_>);
}

/// A call: who, through which client, what, and how it went. `None` is what was not known when it was refused.
#[derive(Clone, Copy, Debug)]
pub struct CallRecord<'a> {
    /// The short name of the server.
    pub server: &'a str,
    /// The person of the token; nobody where a machine calls.
    pub person: Option<&'a str>,
    /// The `client_id` of the token.
    pub client: Option<&'a str>,
    /// Who acts for the person, the client first and then who acted before it. Empty for most.
    pub actors: &'a [String],
    /// The grant of the token.
    pub grant: Option<GrantId>,
    /// The method, as the client wrote it.
    pub method: Option<&'a str>,
    /// The tool, prompt or resource, as the client wrote it.
    pub target: Option<&'a str>,
    /// How it went.
    pub outcome: CallOutcome,
}

/// How a call went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallOutcome {
    /// The upstream answered.
    Answered(StatusCode),
    /// It was refused: the name of the rule, from a closed list.
    Refused(&'static str),
}

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
    tell(server, Some(caller), Some(call), CallOutcome::Answered(status));
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
    tell(server, caller, call, CallOutcome::Refused(rule(refusal)));
}

fn tell(server: &Server, caller: Option<&Authenticated>, call: Option<&Call>, outcome: CallOutcome) {
    let Some(calls) = &server.calls else { return };
    calls.call(&CallRecord {
        server: &server.name,
        person: caller.and_then(Authenticated::person),
        client: caller.map(Authenticated::client_id),
        actors: caller.map_or(&[], Authenticated::actors),
        grant: caller.and_then(Authenticated::grant).map(|reference| reference.grant),
        method: call.map(|call| call.operation().method()),
        target: call.and_then(|call| call.operation().name()),
        outcome,
    });
}

const fn rule(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::NotAdmitted(_) => "not_admitted",
        Refusal::Token(reason) => token_rule(*reason),
        Refusal::Scope(_) => "scope",
        Refusal::Denied => "denied",
        Refusal::Unread(_) => "message",
        Refusal::Upstream(_) => "upstream",
        Refusal::Answer(_) => "answer",
    }
}

const fn token_rule(reason: Reason) -> &'static str {
    match reason {
        Reason::NoCredentials | Reason::OtherScheme => "no_token",
        Reason::SeveralAuthorizations | Reason::MalformedAuthorization => "authorization_malformed",
        Reason::Token(_) => "token_invalid",
        Reason::BoundToken => "token_bound",
        Reason::UnboundToken | Reason::BearerToken => "token_not_bound",
        Reason::Proof(_) => "proof_invalid",
        Reason::ProofMissing => "proof_missing",
        Reason::ProofOfAnotherKey => "proof_of_another_key",
        Reason::ProofReplayed => "proof_replayed",
        Reason::NonceNeeded => "proof_nonce_needed",
        Reason::Expired => "token_expired",
        Reason::Revoked => "token_revoked",
        Reason::InsufficientScope => "scope",
        Reason::RevocationsNotReady => "feed_not_loaded",
        Reason::KeysNotAvailable => "keys_not_available",
    }
}
