//! One call from top to bottom. The order is a security property (RS-015): where from, who, what, may it, and only
//! then anything that tells a caller about the server.

use crate::{
    anonymous,
    audit::{self, Trace},
    browser,
    challenge::ChallengeStyle,
    events::EventFilter,
    handles::{self, Handles},
    headers::{self, AnswerFault, Kind},
    lists,
    message::{self, Action, Call, SESSION_ID, Unread},
    person,
    refuse::{self, Refusal},
    router::Server,
    rules::{Asker, Outcome, Viewer},
    session::{Principal, is_session_id, marked},
    stream::{Guarded, RECHECK},
    tools::{self, Operation},
    traffic::{Counted, Place},
    upstream::{Answer, UpstreamError},
    upstream_credential::{Added, SecretHeader},
};
use axum::body::Body;
use hallpass_core::{
    json,
    mcp::{self, Message},
    time::Timestamp,
};
use hallpass_resource::{Authenticated, Authorized, Scheme, cors, refuse::ERROR_CODE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, header, request::Parts};
use http_body::Body as _;
use http_body_util::{BodyExt, Limited};
use std::{pin::pin, sync::Arc, time::Duration};
use tokio::time::{Instant, timeout};

/// Answers a request at an MCP path.
pub(crate) async fn serve(server: Arc<Server>, request: Request<Body>) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let mut trace = Trace::begin(&server, &parts);
    let admitted = match server.admission.admit(&parts) {
        Ok(admitted) => admitted,
        Err(reason) => {
            let refusal = Refusal::NotAdmitted(reason);
            audit::refused(&server, &trace, None, None, &refusal);
            return let_go(
                &parts,
                body,
                refuse::respond(&refusal, &server, None, Scheme::of(&parts.headers)),
            )
            .await;
        }
    };
    let mut response = if parts.method == Method::OPTIONS {
        preflight()
    } else {
        guarded(&server, parts, body, &mut trace).await
    };
    admitted.open(response.headers_mut());
    trace.name(response.headers_mut());
    response
}

/// Browsers ask without a token.
fn preflight() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    cors::preflight(&mut response, refuse::METHODS);
    headers::protect(response.headers_mut());
    response
}

/// Most that is still read of a request which is refused by its head, and for how long.
const LEFT: (usize, Duration) = (64 * 1024, Duration::from_secs(1));

/// The answer to a request of which only the head was looked at. Several clients send the rest apart from it: an answer
/// that overtakes the rest ends the connection behind it, and who asks again there, as those do that are sent to sign in,
/// finds nobody. So a short rest is waited for, and with a longer one the answer says that the connection ends.
async fn let_go(parts: &Parts, body: Body, mut response: Response<Body>) -> Response<Body> {
    let (most, time) = LEFT;
    // Who expects to be told to go on sends nothing before.
    let comes = !parts.headers.contains_key(header::EXPECT);
    let came = comes && matches!(timeout(time, Limited::new(body, most).collect()).await, Ok(Ok(_)));
    if !came {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Everything behind the token.
async fn guarded<'r>(
    server: &'r Arc<Server>,
    parts: Parts,
    body: Body,
    trace: &mut Trace<'r>,
) -> Response<Body> {
    let (now, scheme) = (server.resource.now(), Scheme::of(&parts.headers));
    let caller = match anonymous::caller(server, &parts, trace.address(), now).await {
        Ok(caller) => caller,
        Err(refusal) => {
            audit::refused(server, trace, None, None, &refusal);
            let response = refuse::respond(&refusal, server, None, scheme);
            let response = browser::shown(response, (server.page.as_ref(), &refusal), &parts);
            return let_go(&parts, body, response).await;
        }
    };
    let mut call = match read(server, parts, body, &caller).await {
        Ok(call) => call,
        Err(refusal) => {
            audit::refused(server, trace, Some(&caller), None, &refusal);
            return refuse::respond(&refusal, server, None, scheme);
        }
    };
    trace.pass_on(&mut call);
    let authorized = match allow(server, &caller, call, trace) {
        Ok(authorized) => authorized,
        Err(refused) => {
            let (call, refusal) = *refused;
            audit::refused(server, trace, Some(&caller), Some(&call), &refusal);
            return refuse::respond(&refusal, server, call.id(), scheme);
        }
    };
    match passed(server, &authorized).await {
        Ok(mut response) => {
            audit::answered(server, trace, &caller, authorized.operation(), response.status());
            server.resource.offer_nonce(scheme, response.headers_mut());
            response
        }
        Err(refusal) => {
            let call = authorized.operation();
            audit::refused(server, trace, Some(&caller), Some(call), &refusal);
            refuse::respond(&refusal, server, call.id(), scheme)
        }
    }
}

/// The message, unless this caller asks too often: that costs nothing but its token.
async fn read(server: &Server, parts: Parts, body: Body, caller: &Authenticated) -> Result<Call, Refusal> {
    let most = if caller.is_anonymous() {
        Some(server.callers.anonymous_per_minute.unwrap_or(anonymous::CALLS_PER_MINUTE))
    } else {
        server.callers.calls_per_minute
    };
    if let Some(most) = most {
        take(server, Counted::All, caller, most)?;
    }
    let principal = server.principal(caller);
    let mut call = message::read(parts, body, &server.limits, &principal, &*server.sessions).await?;
    let handles = server.handles(caller, &call);
    if let Action::Message(message) = &mut call.action
        && let Some(opened) = handles.opened(message).map_err(|_| no_handle(message, call.mirrors))?
    {
        *message = opened;
    }
    Ok(call)
}

fn no_handle(message: &Message, is_newest: bool) -> Refusal {
    let id = matches!(message, Message::Request { .. }).then(|| message.id().cloned()).flatten();
    let is_undeclared = |call: &mcp::Call| call.method().starts_with("tasks/") && !call.declares_tasks();
    if is_newest && message.call().is_some_and(is_undeclared) {
        Unread::NoTasks { id }.into()
    } else {
        Unread::NoHandle { id }.into()
    }
}

fn take(server: &Server, what: Counted, caller: &Authenticated, per_minute: u32) -> Result<(), Refusal> {
    let taken = server.traffic.take(what, caller.counted_as(), per_minute, server.resource.now());
    taken.map_err(Refusal::TooMany)
}

/// Whether the caller may do it: with all the scopes that it takes, or not at all.
fn allow<'r>(
    server: &'r Server,
    caller: &Authenticated,
    call: Call,
    trace: &mut Trace<'r>,
) -> Result<Authorized<Call>, Box<(Call, Refusal)>> {
    let rules = &server.rules;
    let outcome = caller.clone().authorize_by(call, |granted, call| {
        // Before the operator's rules, which may only be tried out: the person allowed this and no more.
        if !tools::within(caller.details(), call.operation()) {
            return Err(Refusal::Details);
        }
        let decision = rules.decide(&asker(caller), granted, call.operation());
        trace.rule = Some(decision.rule);
        let refusal = match decision.outcome {
            Outcome::Allowed => return within_limits(server, caller, call),
            Outcome::Lacks(needed) => {
                let scope = server.asked.by(caller, &rules.challenged(needed, granted));
                Refusal::Scope { scope, style: style(server, caller, call) }
            }
            Outcome::SignIn(needed) => {
                let scope = server.asked.without_token(&needed);
                Refusal::SignIn { scope, style: style(server, caller, call) }
            }
            Outcome::Denied(why) => Refusal::Denied(why),
        };
        // Rules that are tried out let nobody in who is not known.
        if rules.dry_run && !caller.is_anonymous() && rules.covers(granted, &rules.required) {
            trace.let_through = Some(audit::rule(&refusal));
            return within_limits(server, caller, call);
        }
        Err(refusal)
    });
    outcome.map_err(Box::new)
}

/// The limits of the rules that name it, after the answer to whether it may be at all.
fn within_limits(server: &Server, caller: &Authenticated, call: &Call) -> Result<(), Refusal> {
    let limits = server.rules.limits(call.operation());
    limits.into_iter().try_for_each(|(rule, most)| take(server, Counted::Rule(rule), caller, most))
}

/// Only the call of a tool has a result to put a challenge into.
fn style(server: &Server, caller: &Authenticated, call: &Call) -> ChallengeStyle {
    let is_tool = call.id().is_some() && call.operation().method() == "tools/call";
    if is_tool { server.styles.of(caller.client_id()) } else { ChallengeStyle::Http }
}

fn asker(caller: &Authenticated) -> Asker<'_> {
    Asker {
        person: caller.person(),
        client: caller.client_id(),
        machine: caller.machine(),
        groups: caller.groups(),
        actors: caller.actors(),
        grant: caller.grant().map(|reference| reference.grant),
        anonymous: caller.is_anonymous(),
        schemes: None,
        details: caller.details(),
    }
}

/// The same for a list. Where something is open, clients that look there are told what each tool takes; whoever has no token
/// may be one of them.
fn viewer<'a>(server: &'a Server, caller: &'a Authenticated) -> Asker<'a> {
    let looks =
        || caller.is_anonymous() || server.styles.of(caller.client_id()) == ChallengeStyle::ToolResult;
    let schemes = (server.rules.opens() && looks()).then(|| server.asked.names(caller));
    Asker { schemes, ..asker(caller) }
}

/// What the upstream answers, as the client gets it.
async fn passed(server: &Arc<Server>, authorized: &Authorized<Call>) -> Result<Response<Body>, Refusal> {
    let operation = authorized.operation().operation();
    let is_stream = matches!(operation, Operation::Listen) || operation.method() == "subscriptions/listen";
    let place = if is_stream {
        let caller = authorized.caller();
        let limits = if caller.is_anonymous() { anonymous::LIMITS } else { server.callers };
        let place = server.traffic.stream(caller.counted_as(), limits);
        place.map_err(|()| Refusal::Streams)?
    } else {
        None
    };
    let answer = person::asked(server, authorized).await?;
    pass_back(server, authorized, answer, place).await
}

/// What the server behind is told about who calls and who we are, where it is.
fn added(
    server: &Server,
    authorized: &Authorized<Call>,
    credential: Option<SecretHeader>,
) -> Result<Added, Refusal> {
    let caller = match &server.assertions {
        None => None,
        Some(assertions) => {
            let header = assertions.header(authorized.caller(), server.resource.now());
            Some(header.ok_or(UpstreamError::Unsigned)?)
        }
    };
    Ok(Added { caller, credential })
}

/// Sends the call and waits for the head of the answer: as long as is allowed, and as long as the token is good.
pub(crate) async fn ask(
    server: &Server,
    authorized: &Authorized<Call>,
    credential: Option<SecretHeader>,
) -> Result<Answer, Refusal> {
    let until = match authorized.operation().action {
        Action::Message(_) | Action::EndSession => Some(Instant::now() + server.limits.answer),
        // A server may hold the head of this stream back until it has something to say.
        Action::Listen => None,
    };
    let mut sent = pin!(server.upstream.send(authorized, added(server, authorized, credential)?));
    loop {
        let patience = until.map_or(RECHECK, |until| RECHECK.min(until.duration_since(Instant::now())));
        if let Ok(answer) = timeout(patience, sent.as_mut()).await {
            return Ok(answer?);
        }
        if until.is_some_and(|until| Instant::now() >= until) {
            return Err(UpstreamError::Timeout.into());
        }
        let now: Timestamp = server.resource.now();
        server.resource.recheck(authorized.caller(), now)?;
    }
}

/// Whether the answer is one for a client.
pub(crate) fn judged(server: &Server, answer: Answer) -> Result<Answer, Refusal> {
    headers::check_status(answer.status).inspect_err(|fault: &AnswerFault| {
        tracing::warn!(server = %server.name, status = answer.status.as_u16(), %fault, "answer not passed on");
    })?;
    Ok(answer)
}

/// The answer as the client gets it.
async fn pass_back(
    server: &Arc<Server>,
    authorized: &Authorized<Call>,
    answer: Answer,
    place: Option<Place>,
) -> Result<Response<Body>, Refusal> {
    let (caller, call) = (authorized.caller(), authorized.operation());
    let Answer { status, headers: received, body } = answer;
    let mut kind = headers::kind(status, &received, body.is_end_stream());
    // An empty body of no type, said in pieces: so those on the official TypeScript SDKs answer to the end of a session.
    if kind == Kind::Other && matches!(call.action, Action::EndSession) && status.is_success() {
        kind = Kind::Empty;
    }
    if kind == Kind::Json && body.size_hint().lower() > server.limits.answer_length {
        return Err(AnswerFault::TooLong.into());
    }
    let session = session(server, caller, call, &received);
    let mut headers = headers::answer(kind, &received, session);
    let guard = |silence| Guarded::new(body, Arc::clone(server), caller.clone(), silence);
    let hides = server.rules.hides() || server.rules.opens() || caller.details().is_some();
    let mut response = match kind {
        Kind::Json if hides && lists::is_list(call.operation().method()) => {
            headers::private(&mut headers);
            let body = guard(Some(server.limits.silence));
            Response::new(shown_list(server, (caller, call), body).await?)
        }
        Kind::Json => {
            Response::new(json(server.handles(caller, call), guard(Some(server.limits.silence))).await?)
        }
        Kind::Events if hides => {
            headers::private(&mut headers);
            let filter = EventFilter::new(Arc::clone(&server.rules), Viewer::of(&viewer(server, caller)));
            let filter = filter.sealing(server.handles(caller, call)).of_at_most(server.limits.answer_length);
            Response::new(Body::new(guard(None).kept_alive(place).filtered(filter)))
        }
        Kind::Events => {
            let filter = EventFilter::only_sealing(server.handles(caller, call));
            let filter = filter.of_at_most(server.limits.answer_length);
            Response::new(Body::new(guard(None).kept_alive(place).filtered(filter)))
        }
        Kind::Empty => Response::new(Body::empty()),
        Kind::Other => {
            tracing::warn!(server = %server.name, status = status.as_u16(), "body of another media type not passed on");
            let text = "The MCP server's answer is neither JSON nor an event stream";
            refuse::error(status, call.id(), i64::from(ERROR_CODE), text)
        }
    };
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    Ok(response)
}

/// Longest list that is read whole.
const LONGEST_LIST: usize = 16 * 1024 * 1024;

/// A list as far as it is shown. Errors pass; what is no message does not.
async fn shown_list(
    server: &Server,
    (caller, call): (&Authenticated, &Call),
    body: Guarded,
) -> Result<Body, AnswerFault> {
    let read = Limited::new(body, LONGEST_LIST).collect().await.map_err(|_| AnswerFault::List)?.to_bytes();
    let limits = json::Limits { bytes: LONGEST_LIST, ..Message::LIMITS };
    let message = Message::parse(&read, limits).map_err(|error| {
        tracing::warn!(server = %server.name, %error, "a list is no message and not passed on");
        AnswerFault::List
    })?;
    let sealed =
        if handles::may_have(&read) { server.handles(caller, call).sealed(&message) } else { Ok(None) };
    let message = sealed.map_err(|_| AnswerFault::Handles)?.unwrap_or(message);
    let shown = lists::filtered(&server.rules, &viewer(server, caller), &message);
    Ok(Body::from(shown.unwrap_or_else(|| message.to_canonical())))
}

/// Longest answer that is read whole, so that the handles in it are sealed. A longer one passes piece by piece, and only without any.
const SEALED_UP_TO: u64 = 16 * 1024 * 1024;

/// An answer with its handles sealed. What is no message, or has none, passes as it is.
async fn json(handles: Handles, mut body: Guarded) -> Result<Body, AnswerFault> {
    let read = match body.size_hint().upper() {
        Some(length) if length <= SEALED_UP_TO => {
            body.collect().await.map_err(|error| error.fault())?.to_bytes()
        }
        Some(_) => return Ok(Body::new(body.without_handles().map_err(|error| error.fault())?)),
        // A server need not say how long its answer is; those on the official TypeScript SDK 2 do not.
        None => match body.whole(SEALED_UP_TO).await.map_err(|error| error.fault())? {
            Some(read) => read,
            None => return Ok(Body::new(body.without_handles().map_err(|error| error.fault())?)),
        },
    };
    if !handles::may_have(&read) {
        return Ok(Body::from(read));
    }
    let limits = json::Limits { bytes: read.len(), ..Message::LIMITS };
    let sealed = match Message::parse(&read, limits) {
        Ok(message) => handles.sealed(&message).map_err(|_| AnswerFault::Handles)?,
        // Whatever it is, no handle in it gets to a client as it is.
        Err(_) if handles::names_one(&read) => return Err(AnswerFault::Handles),
        Err(_) => None,
    };
    Ok(sealed.map_or_else(|| Body::from(read), |message| Body::from(message.to_canonical())))
}

/// The client's form of the session id that the upstream sent: what it has already, when it is the same session.
fn session(server: &Server, caller: &Authenticated, call: &Call, headers: &HeaderMap) -> Option<HeaderValue> {
    let upstream = headers.get(SESSION_ID)?;
    if let Some(known) = &call.session
        && known.upstream == *upstream
    {
        return Some(known.sealed.clone());
    }
    let text = upstream.to_str().ok().filter(|text| is_session_id(text))?;
    let text = marked(text, person::opens_urls(call));
    HeaderValue::try_from(server.sessions.seal(&server.principal(caller), &text)).ok()
}

impl Server {
    fn handles(&self, caller: &Authenticated, call: &Call) -> Handles {
        Handles::new(&self.sessions, caller, &self.name, call.operation(), self.resource.now())
    }

    fn principal<'a>(&'a self, caller: &'a Authenticated) -> Principal<'a> {
        Principal { subject: caller.subject(), client_id: caller.client_id(), server: &self.name }
    }
}
