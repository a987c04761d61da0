//! What the operator sees of each call: who, through what, which method, how it went. Never tokens, and of
//! arguments those alone that the operator named, which go to the audit log and not into this one.

use crate::{
    message::Call,
    refuse::Refusal,
    router::Server,
    rules::Denied,
    span::Span,
    tools::{Kind, Operation, Target, target},
};
use hallpass_core::id::{GrantId, RequestId};
use hallpass_resource::{Authenticated, Reason};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, request::Parts};
use serde_json::{Map, Value};
use std::{
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

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
    /// The authorization server of the token, where that is not the gateway's own.
    pub issuer: Option<&'a str>,
    /// The person of the token; nobody where a machine calls. Of another authorization server, its issuer and the person's
    /// name there, with a space between; so is the client.
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
    /// The arguments of the tool that an operator wants to be written, as they are to be written.
    pub arguments: Option<&'a Map<String, Value>>,
    /// The rule that decided whether it may be.
    pub rule: Option<&'a str>,
    /// Why it would have been refused, where the rules only tell.
    pub let_through: Option<&'static str>,
    /// Until its answer began.
    pub took: Duration,
    /// Its id, also in the answer.
    pub request: RequestId,
    /// Where it came from.
    pub address: Option<IpAddr>,
    /// Its place in a trace, where calls are traced and this one is recorded.
    pub span: Option<Span>,
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

/// Tells where a request comes from, by its extensions and headers: only whoever listens knows which proxies to believe.
pub type CallerAddress = Arc<dyn Fn(&Parts) -> Option<IpAddr> + Send + Sync>;

/// What is known of a request beside what it says, and what the rules said to it.
pub(crate) struct Trace<'r> {
    started: Instant,
    request: RequestId,
    address: Option<IpAddr>,
    span: Option<Span>,
    /// The rule that decided.
    pub rule: Option<&'r str>,
    /// Why it would have been refused, if the rules were not only to tell.
    pub let_through: Option<&'static str>,
}

impl Trace<'_> {
    /// At the beginning of a request.
    pub(crate) fn begin(server: &Server, parts: &Parts) -> Self {
        Self {
            started: Instant::now(),
            request: RequestId::new(server.resource.now(), &*server.entropy),
            address: server.address.as_ref().and_then(|address| address(parts)),
            span: server.tracing.map(|how| Span::begin(how, &parts.headers, &*server.entropy)),
            rule: None,
            let_through: None,
        }
    }

    /// Where the request comes from.
    pub(crate) const fn address(&self) -> Option<IpAddr> {
        self.address
    }

    /// The call goes on with its own place in the trace.
    pub(crate) fn pass_on(&self, call: &mut Call) {
        if let Some(span) = &self.span {
            call.traceparent = span.header();
        }
    }

    /// Names the request in its answer, so that a person can say to an operator which one it was.
    pub(crate) fn name(&self, headers: &mut HeaderMap) {
        if let Ok(id) = HeaderValue::try_from(self.request.to_string()) {
            headers.insert(REQUEST_ID, id);
        }
    }
}

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The target of the events of calls, so that a filter can have them without the rest.
const TARGET: &str = "hallpass::call";

/// A call that was sent on.
pub(crate) fn answered(
    server: &Server,
    trace: &Trace<'_>,
    caller: &Authenticated,
    call: &Call,
    status: StatusCode,
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
        rule = trace.rule,
        let_through = trace.let_through,
        status = status.as_u16(),
        ms = trace.started.elapsed().as_millis(),
        request = %trace.request,
        "call"
    );
    tell(server, trace, Some(caller), Some(call), CallOutcome::Answered(status));
}

/// A request that was not, with the exact rule. `caller` and `call` as far as they are known.
pub(crate) fn refused(
    server: &Server,
    trace: &Trace<'_>,
    caller: Option<&Authenticated>,
    call: Option<&Call>,
    refusal: &Refusal,
) {
    tracing::info!(
        target: TARGET,
        server = %server.name,
        subject = caller.map(Authenticated::subject),
        client = caller.map(Authenticated::client_id),
        grant = caller.and_then(Authenticated::grant).map(|reference| tracing::field::display(reference.grant)),
        method = call.map(|call| call.operation().method()),
        name = call.and_then(|call| call.operation().name()),
        rule = trace.rule,
        reason = %refusal,
        ms = trace.started.elapsed().as_millis(),
        request = %trace.request,
        "refused"
    );
    tell(server, trace, caller, call, CallOutcome::Refused(rule(refusal)));
}

fn tell(
    server: &Server,
    trace: &Trace<'_>,
    caller: Option<&Authenticated>,
    call: Option<&Call>,
    outcome: CallOutcome,
) {
    let Some(calls) = &server.calls else { return };
    let arguments = call.and_then(|call| recorded(server, call));
    calls.call(&CallRecord {
        server: &server.name,
        issuer: caller.and_then(Authenticated::foreign_issuer),
        person: caller.and_then(Authenticated::person),
        client: caller.map(Authenticated::client_id),
        actors: caller.map_or(&[], Authenticated::actors),
        grant: caller.and_then(Authenticated::grant).map(|reference| reference.grant),
        method: call.map(|call| call.operation().method()),
        target: call.and_then(|call| call.operation().name()),
        arguments: arguments.as_ref(),
        rule: trace.rule,
        let_through: trace.let_through,
        took: trace.started.elapsed(),
        request: trace.request,
        address: trace.address,
        span: trace.span.filter(|span| span.recorded),
        outcome,
    });
}

fn recorded(server: &Server, call: &Call) -> Option<Map<String, Value>> {
    let Operation::Call(message) = call.operation() else { return None };
    let Target::One(Kind::Tool, tool) = target(message) else { return None };
    server.recorded.of(&tool, || message.arguments())
}

/// The name of a refusal, from a closed list.
pub(crate) const fn rule(refusal: &Refusal) -> &'static str {
    match refusal {
        Refusal::NotAdmitted(_) => "not_admitted",
        Refusal::Token(reason) => token_rule(*reason),
        Refusal::Scope { .. } => "scope",
        Refusal::SignIn { .. } => "no_token",
        Refusal::Denied(Denied::Unlisted) => "denied",
        Refusal::Denied(Denied::Caller) => "denied_caller",
        Refusal::Denied(Denied::Arguments) => "denied_arguments",
        Refusal::Details => "authorization_details",
        Refusal::TooMany(_) => "too_many",
        Refusal::Streams => "too_many_streams",
        Refusal::NoPerson => "no_person",
        Refusal::Connect(_) => "not_connected",
        Refusal::Service => "service_unavailable",
        Refusal::NoToken => "no_upstream_token",
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
        Reason::IntrospectionNotAvailable => "introspection_not_available",
        Reason::KeysNotAvailable => "keys_not_available",
    }
}
