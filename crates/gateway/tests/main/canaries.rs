//! A hundred thousand requests of people, of people who are called so elsewhere, and of strangers, many at once through one
//! gateway. Each session and each call has a word of its own: nobody is ever answered with another's (RS-059, T-82). One of the
//! two servers is asked with the token of whoever calls: it never sees another's, and nobody is ever shown one (RS-061, P12).
//! Streams stay open while everything else goes on, and hear of their own session alone.

use crate::people::People;
use crate::support::{ORIGIN, World, claims, server, world_with};
use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, Method, Request, StatusCode, Uri, header},
    response::{IntoResponse, Response},
    routing::any,
};
use futures_util::FutureExt;
use hallpass_core::{
    jose::{Algorithm, KeySet, SigningKey},
    jwt::{AccessToken, access_token::AccessTokenSigner, foreign_token::TokenType},
};
use hallpass_gateway::{CallerLimits, Policy, Rule, Unlisted, UpstreamCredential};
use hallpass_resource::{KeySource, ScopeNames, TrustedIssuer, Verification};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

const REQUESTS: usize = 100_000;
const AT_ONCE: usize = 64;
const SEED: u64 = 0x5eed_ca4a_71e5_0001;
const ELSEWHERE: &str = "https://login.example/";

const PEOPLE: [&str; 4] = ["ann", "bob", "eve", "zoe"];
/// The server that works with the accounts of people.
const ACCOUNTS: &str = "/accounts";
/// Streams that are open at a time.
const OPEN: usize = 48;

/// What a person's account is used with, at the service and nowhere else.
fn token_of(person: &str) -> String {
    format!("upstream-secret-of-{person}")
}

/// A session of the server behind.
struct Kept {
    word: String,
    /// Whose account it works with, as its first message said.
    person: Option<String>,
    streams: Vec<UnboundedSender<Bytes>>,
}

/// The server behind: it remembers the word that each session began with, and says it in every answer and stream.
#[derive(Clone, Default)]
struct Behind {
    sessions: Arc<Mutex<HashMap<String, Kept>>>,
    next: Arc<AtomicUsize>,
    /// Requests that came with the token of their person, and what came with anything else.
    right: Arc<AtomicUsize>,
    wrong: Arc<Mutex<Vec<String>>>,
}

impl Behind {
    /// Each request has the token of the person who asks, and where none is meant, none.
    fn judge(&self, path: &str, person: Option<&str>, headers: &HeaderMap) {
        let found: Vec<_> = headers.get_all(header::AUTHORIZATION).iter().collect();
        let expected =
            person.filter(|_| path == ACCOUNTS).map(|person| format!("Bearer {}", token_of(person)));
        let same = match &expected {
            Some(expected) => found.len() == 1 && *found[0] == **expected,
            None => found.is_empty() && path != ACCOUNTS,
        };
        let elsewhere = headers.iter().filter(|(name, _)| *name != header::AUTHORIZATION);
        let elsewhere =
            elsewhere.filter(|(_, value)| value.to_str().unwrap().contains("upstream-secret")).count();
        if same && elsewhere == 0 {
            self.right.fetch_add(usize::from(expected.is_some()), Ordering::SeqCst);
        } else {
            self.wrong.lock().unwrap().push(format!("{path} {person:?} {headers:?}"));
        }
    }

    /// A stream that says the word of its session whenever something is asked in it.
    fn stream(&self, session: &str) -> Response {
        let (tell, told) = unbounded_channel::<Bytes>();
        let mut sessions = self.sessions.lock().unwrap();
        let Some(kept) = sessions.get_mut(session) else { return StatusCode::NOT_FOUND.into_response() };
        tell.send(event(&kept.word)).unwrap();
        kept.streams.push(tell);
        let stream = futures_util::stream::unfold(told, |mut told| async move {
            Some((Ok::<_, std::io::Error>(told.recv().await?), told))
        });
        ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(stream)).into_response()
    }

    #[allow(clippy::unused_async, reason = "a handler of axum is one")]
    async fn answer(
        State(behind): State<Self>,
        (method, uri): (Method, Uri),
        headers: HeaderMap,
        body: Bytes,
    ) -> Response {
        let session = headers.get("mcp-session-id").map(|id| id.to_str().unwrap().to_owned());
        let known = session.as_ref().and_then(|id| {
            let mut sessions = behind.sessions.lock().unwrap();
            let kept = sessions.get_mut(id)?;
            behind.judge(uri.path(), kept.person.as_deref(), &headers);
            kept.streams.retain(|stream| stream.send(event(&kept.word)).is_ok());
            Some((kept.word.clone(), kept.person.is_some()))
        });
        if method == Method::GET {
            let Some((word, of_person)) = known else { return StatusCode::NOT_FOUND.into_response() };
            if of_person {
                return behind.stream(&session.unwrap());
            }
            return events((0..3).map(|at| json!({ "jsonrpc": "2.0", "method": "notifications/message", "params": { "at": at, "data": word } })));
        }
        if method == Method::DELETE {
            behind.sessions.lock().unwrap().remove(&session.unwrap());
            return StatusCode::NO_CONTENT.into_response();
        }
        let message: Value = serde_json::from_slice(&body).unwrap();
        let (id, params) = (&message["id"], &message["params"]);
        if message["method"] == "initialize" {
            let session = format!("session-{}", behind.next.fetch_add(1, Ordering::SeqCst));
            let word = params["word"].as_str().unwrap().to_owned();
            let answer = json!({ "jsonrpc": "2.0", "id": id, "result": { "word": word } });
            let person = params["person"].as_str().map(str::to_owned);
            behind.judge(uri.path(), person.as_deref(), &headers);
            let kept = Kept { word, person, streams: Vec::new() };
            behind.sessions.lock().unwrap().insert(session.clone(), kept);
            return ([("mcp-session-id", session)], as_json(&answer)).into_response();
        }
        let Some((word, _)) = known else { return StatusCode::NOT_FOUND.into_response() };
        if message["method"] == "tasks/get" {
            return as_json(
                &json!({ "jsonrpc": "2.0", "id": id, "result": { "said": params["taskId"], "word": word } }),
            );
        }
        let said = &params["arguments"]["word"];
        let result = json!({ "said": said, "word": word, "task": { "taskId": format!("task of {word}") } });
        let answer = json!({ "jsonrpc": "2.0", "id": id, "result": result });
        if params["arguments"]["stream"] == true {
            let before = json!({ "jsonrpc": "2.0", "method": "notifications/progress", "params": { "said": said, "word": word } });
            return events([before.clone(), before, answer].into_iter());
        }
        as_json(&answer)
    }

    async fn start(self) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(any(Self::answer)).with_state(self);
        tokio::spawn(async move { axum::serve(listener, router).await });
        url
    }
}

fn event(word: &str) -> Bytes {
    let said = json!({ "jsonrpc": "2.0", "method": "notifications/message", "params": { "data": word } });
    format!("data: {said}\n\n").into()
}

fn as_json(value: &Value) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], value.to_string()).into_response()
}

/// One event after the other, with something else to do between them.
fn events(all: impl Iterator<Item = Value>) -> Response {
    let pieces: Vec<String> = all.map(|value| format!("data: {value}\n\n")).collect();
    let stream = futures_util::stream::unfold(pieces.into_iter(), |mut pieces| async move {
        let piece = pieces.next()?;
        tokio::task::yield_now().await;
        Some((Ok::<_, std::io::Error>(Bytes::from(piece)), pieces))
    });
    ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(stream)).into_response()
}

/// Somebody, as a request shows it. Strangers show nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Who {
    authorization: Option<String>,
    /// The same at the server that works with accounts: a token is for one.
    accounts: Option<String>,
    /// Who it is here; nobody where the name is one of elsewhere.
    person: Option<&'static str>,
}

/// A session as its owner knows it.
#[derive(Clone, Debug)]
struct Session {
    who: Who,
    path: &'static str,
    id: String,
    word: String,
    task: Option<String>,
}

/// A stream of somebody's, as far as it was read.
struct Listening {
    session: Session,
    body: Body,
    heard: String,
}

struct Crowd {
    world: World,
    behind: Behind,
    streams: Mutex<Vec<Listening>>,
    sent: AtomicUsize,
    /// Events of streams that were open while others asked.
    heard: AtomicUsize,
    people: Vec<Who>,
    sessions: Mutex<Vec<Session>>,
    words: AtomicUsize,
    answered: AtomicUsize,
    refused: AtomicUsize,
}

/// Always the same numbers for the same seed.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(end).unwrap()).unwrap()
    }
}

async fn crowd() -> Crowd {
    let behind = Behind::default();
    let url = behind.clone().start().await;
    let accounts = Arc::new(People::default());
    for person in PEOPLE {
        accounts.set(person, Ok(&token_of(person)));
    }
    let key = SigningKey::generate(Algorithm::Es256).unwrap();
    let keys = KeySource::fixed(KeySet::from_keys(vec![key.verifying_key()]));
    let trusted = TrustedIssuer {
        issuer: ELSEWHERE.into(),
        audiences: vec![format!("{ORIGIN}/mcp")],
        verification: Verification::Keys(Arc::new(keys)),
        typ: TokenType::AccessToken,
        scope_claims: vec![],
        groups_claim: None,
        scopes: ScopeNames::default(),
    };
    let open = Rule { tools: vec!["say".into()], open: true, ..Rule::default() };
    let world = world_with("echo", |config| {
        let mut second = server(ACCOUNTS, &format!("{url}{ACCOUNTS}"));
        second.upstream_credential = Some(UpstreamCredential::Person(accounts));
        config.servers.push(second);
        let server = &mut config.servers[0];
        server.upstream = format!("{url}/mcp").into();
        server.issuers = vec![trusted];
        server.policy = Policy { rules: vec![open], unlisted: Unlisted::Default, ..Policy::default() };
        server.callers = CallerLimits { anonymous_per_minute: Some(u32::MAX), ..CallerLimits::default() };
    })
    .await;
    let mut people = vec![Who { authorization: None, accounts: None, person: None }];
    for name in PEOPLE {
        for client in ["one", "two"] {
            let change =
                |token: &mut AccessToken| (token.subject, token.client_id) = (name.into(), client.into());
            let for_accounts = |token: &mut AccessToken| {
                change(token);
                token.audience = format!("{ORIGIN}{ACCOUNTS}");
            };
            let bearer = |token: String| Some(format!("Bearer {token}"));
            people.push(Who {
                authorization: bearer(world.token_of(change)),
                accounts: bearer(world.token_of(for_accounts)),
                person: Some(name),
            });
            let mut theirs = AccessToken { issuer: ELSEWHERE.into(), ..claims() };
            change(&mut theirs);
            let theirs = AccessTokenSigner::new(&key).sign(&theirs).unwrap();
            let authorization = bearer(theirs.expose().to_owned());
            people.push(Who { accounts: authorization.clone(), authorization, person: None });
        }
    }
    let [words, answered, refused, sent, heard] = [(); 5].map(|()| AtomicUsize::new(0));
    let (sessions, streams) = (Mutex::default(), Mutex::default());
    Crowd { world, behind, streams, sent, heard, people, sessions, words, answered, refused }
}

impl Crowd {
    fn word(&self) -> String {
        format!("canary-{:06}-", self.words.fetch_add(1, Ordering::SeqCst))
    }

    /// Asks, and answers as soon as the gateway does.
    async fn ask(
        &self,
        (who, path): (&Who, &str),
        method: Method,
        session: Option<&str>,
        body: &Value,
    ) -> Response {
        let mut request = Request::builder().method(method.clone()).uri(path);
        let authorization = if path == ACCOUNTS { &who.accounts } else { &who.authorization };
        if let Some(authorization) = authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        if let Some(session) = session {
            request = request.header("mcp-session-id", session);
        }
        let body = if method == Method::POST {
            request = request.header(header::CONTENT_TYPE, "application/json");
            Body::from(body.to_string())
        } else {
            Body::empty()
        };
        self.sent.fetch_add(1, Ordering::SeqCst);
        self.world.send(request.body(body).unwrap()).await
    }

    async fn send(
        &self,
        whom: (&Who, &str),
        method: Method,
        session: Option<&str>,
        body: &Value,
    ) -> (u16, HeaderMap, String) {
        let (parts, body) = self.ask(whom, method, session, body).await.into_parts();
        let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
        for part in [&text, &format!("{:?}", parts.headers)] {
            assert!(!part.contains("upstream-secret"), "a token of an account: {part}");
        }
        (parts.status.as_u16(), parts.headers, text)
    }

    /// Opens a stream that stays open, whatever else happens.
    async fn listen(&self, session: Session) {
        let answer =
            self.ask((&session.who, session.path), Method::GET, Some(&session.id), &Value::Null).await;
        // Its owner may have ended it meanwhile.
        assert!(matches!(answer.status().as_u16(), 200 | 404), "{}", answer.status());
        if answer.status() == StatusCode::OK {
            self.answered.fetch_add(1, Ordering::SeqCst);
            let listening = Listening { session, body: answer.into_body(), heard: String::new() };
            self.streams.lock().unwrap().push(listening);
        }
    }

    /// What a stream heard meanwhile is of its own session.
    fn hear(&self, dice: &mut Dice) {
        let mut listening = {
            let mut streams = self.streams.lock().unwrap();
            if streams.is_empty() {
                return;
            }
            let at = dice.below(streams.len());
            streams.swap_remove(at)
        };
        let mut ended = false;
        while let Some(frame) = listening.body.frame().now_or_never() {
            let Some(frame) = frame else {
                ended = true;
                break;
            };
            let piece = frame.unwrap().into_data().unwrap_or_default();
            listening.heard.push_str(std::str::from_utf8(&piece).unwrap());
        }
        let whole = listening.heard.rfind("\n\n").map_or(0, |at| at + 2);
        let events: String = listening.heard.drain(..whole).collect();
        Self::only(&events, &[&listening.session.word]);
        assert!(!events.contains("upstream-secret"), "a token of an account: {events}");
        self.heard.fetch_add(events.matches("canary-").count(), Ordering::SeqCst);
        let mut streams = self.streams.lock().unwrap();
        if !ended && (streams.len() < OPEN || dice.below(4) > 0) {
            streams.push(listening);
        }
    }

    /// Every word in an answer is one of these.
    fn only(text: &str, own: &[&str]) {
        for (at, _) in text.match_indices("canary-") {
            let word = &text[at..text.len().min(at + 14)];
            assert!(own.contains(&word), "{word} in the answer of {own:?}: {text}");
        }
    }

    async fn begin(&self, dice: &mut Dice) {
        let (who, word) = (self.people[dice.below(self.people.len())].clone(), self.word());
        let path = if who.person.is_some() && dice.below(2) == 0 { ACCOUNTS } else { "/mcp" };
        let params = json!({ "word": word, "person": who.person });
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": params });
        let (status, headers, text) = self.send((&who, path), Method::POST, None, &body).await;
        assert_eq!(status, 200, "{text}");
        Self::only(&text, &[&word]);
        let id = headers["mcp-session-id"].to_str().unwrap().to_owned();
        self.sessions.lock().unwrap().push(Session { who, path, id, word, task: None });
    }

    async fn step(&self, dice: &mut Dice) {
        let picked = {
            let sessions = self.sessions.lock().unwrap();
            (sessions.len() >= 200)
                .then(|| dice.below(sessions.len()))
                .and_then(|at| sessions.get(at).cloned())
        };
        let Some(session) = picked else { return self.begin(dice).await };
        let who = if dice.below(3) == 0 {
            self.people[dice.below(self.people.len())].clone()
        } else {
            session.who.clone()
        };
        let (said, own) = (self.word(), who == session.who);
        let call = |stream: bool| {
            let arguments = json!({ "word": said, "stream": stream });
            json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": { "name": "say", "arguments": arguments } })
        };
        let (method, body) = match (dice.below(20), &session.task) {
            (0, _) if own => {
                self.sessions.lock().unwrap().retain(|other| other.id != session.id);
                (Method::DELETE, Value::Null)
            }
            (1..4, _) => (Method::GET, Value::Null),
            (4..8, Some(task)) if session.who.authorization.is_some() => {
                let body =
                    json!({ "jsonrpc": "2.0", "id": 3, "method": "tasks/get", "params": { "taskId": task } });
                (Method::POST, body)
            }
            (8..13, _) => (Method::POST, call(true)),
            _ => (Method::POST, call(false)),
        };
        if own && who.person.is_some() && method == Method::GET {
            return self.listen(session).await;
        }
        let (status, _, text) =
            self.send((&who, session.path), method.clone(), Some(&session.id), &body).await;
        if own {
            // Somebody else may have ended it meanwhile: its owner, who is everybody for a stranger's.
            let crowded = status == 429 && who.authorization.is_none();
            assert!(matches!(status, 200 | 204 | 404) || crowded, "{status} {method} {text}");
            Self::only(&text, &[&session.word, &said]);
            self.answered.fetch_add(usize::from(status == 200), Ordering::SeqCst);
            self.learn(&session, &text);
        } else {
            // Where accounts are used, strangers and people of elsewhere are nobody at all.
            let refused = if session.path == ACCOUNTS && who.person.is_none() { 401 } else { 404 };
            assert_eq!(status, refused, "{who:?} with the session of {:?}: {text}", session.who);
            Self::only(&text, &[]);
            self.refused.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// The task that an answer names, and what it is worth to others: nothing.
    fn learn(&self, session: &Session, text: &str) {
        let result = serde_json::from_str::<Value>(text).ok();
        let task = result.as_ref().and_then(|answer| answer["result"]["task"]["taskId"].as_str());
        if let Some(task) = task {
            assert!(!task.contains("canary"), "it is sealed: {task}");
            let mut sessions = self.sessions.lock().unwrap();
            if let Some(kept) = sessions.iter_mut().find(|other| other.id == session.id) {
                kept.task = Some(task.to_owned());
            }
        }
    }

    /// Somebody else's task, in a session of one's own.
    async fn stolen_task(&self, dice: &mut Dice) {
        let (thief, victim) = {
            let sessions = self.sessions.lock().unwrap();
            let with_task: Vec<&Session> = sessions.iter().filter(|session| session.task.is_some()).collect();
            let known: Vec<&Session> =
                sessions.iter().filter(|session| session.who.authorization.is_some()).collect();
            if with_task.is_empty() || known.is_empty() {
                return;
            }
            (known[dice.below(known.len())].clone(), with_task[dice.below(with_task.len())].clone())
        };
        if thief.who == victim.who {
            return;
        }
        let body =
            json!({ "jsonrpc": "2.0", "id": 3, "method": "tasks/get", "params": { "taskId": victim.task } });
        let (status, _, text) =
            self.send((&thief.who, thief.path), Method::POST, Some(&thief.id), &body).await;
        assert_eq!(status, 400, "{text}");
        Self::only(&text, &[]);
        self.refused.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rs_059_rs_056_rs_061_t_82_t_83_p12_nobody_sees_what_is_anothers() {
    let crowd = Arc::new(crowd().await);
    let mut all = tokio::task::JoinSet::new();
    for number in 0..AT_ONCE {
        let crowd = Arc::clone(&crowd);
        all.spawn(async move {
            let mut dice =
                Dice(SEED.wrapping_add(u64::try_from(number).unwrap().wrapping_mul(0x9e37_79b9_7f4a_7c15)));
            while crowd.sent.load(Ordering::SeqCst) < REQUESTS {
                match dice.below(10) {
                    0 => crowd.stolen_task(&mut dice).await,
                    _ => crowd.step(&mut dice).await,
                }
                if dice.below(4) == 0 {
                    crowd.hear(&mut dice);
                }
            }
        });
    }
    while let Some(ended) = all.join_next().await {
        ended.unwrap();
    }
    let (answered, refused) = (crowd.answered.load(Ordering::SeqCst), crowd.refused.load(Ordering::SeqCst));
    assert!(answered > REQUESTS / 3 && refused > REQUESTS / 5, "{answered} answered, {refused} refused");
    let wrong = crowd.behind.wrong.lock().unwrap().clone();
    assert!(
        wrong.is_empty(),
        "{} requests with a token of somebody else's: {:?}",
        wrong.len(),
        wrong.first()
    );
    let [right, heard, sent] =
        [&*crowd.behind.right, &crowd.heard, &crowd.sent].map(|count| count.load(Ordering::SeqCst));
    assert!(sent >= REQUESTS && right > REQUESTS / 20 && heard > REQUESTS / 100, "{sent} {right} {heard}");
}
