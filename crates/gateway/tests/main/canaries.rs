//! A hundred thousand requests of people, of people who are called so elsewhere, and of strangers, many at once through one
//! gateway. Each session and each call has a word of its own: nobody is ever answered with another's (RS-059, T-82).

use crate::support::{ORIGIN, World, claims, world_with};
use axum::{
    Router,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, Method, Request, StatusCode, header},
    response::{IntoResponse, Response},
    routing::any,
};
use hallpass_core::{
    jose::{Algorithm, KeySet, SigningKey},
    jwt::{AccessToken, access_token::AccessTokenSigner, foreign_token::TokenType},
};
use hallpass_gateway::{CallerLimits, Policy, Rule, Unlisted};
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

const REQUESTS: usize = 100_000;
const AT_ONCE: usize = 64;
const SEED: u64 = 0x5eed_ca4a_71e5_0001;
const ELSEWHERE: &str = "https://login.example/";

/// The server behind: it remembers the word that each session began with, and says it in every answer.
#[derive(Clone, Default)]
struct Behind {
    words: Arc<Mutex<HashMap<String, String>>>,
    next: Arc<AtomicUsize>,
}

impl Behind {
    #[allow(clippy::unused_async, reason = "a handler of axum is one")]
    async fn answer(State(behind): State<Self>, method: Method, headers: HeaderMap, body: Bytes) -> Response {
        let session = headers.get("mcp-session-id").map(|id| id.to_str().unwrap().to_owned());
        let word = |id: &String| behind.words.lock().unwrap().get(id).cloned();
        let known = session.as_ref().and_then(word);
        if method == Method::GET {
            let Some(word) = known else { return StatusCode::NOT_FOUND.into_response() };
            return events((0..3).map(|at| json!({ "jsonrpc": "2.0", "method": "notifications/message", "params": { "at": at, "data": word } })));
        }
        if method == Method::DELETE {
            behind.words.lock().unwrap().remove(&session.unwrap());
            return StatusCode::NO_CONTENT.into_response();
        }
        let message: Value = serde_json::from_slice(&body).unwrap();
        let (id, params) = (&message["id"], &message["params"]);
        if message["method"] == "initialize" {
            let session = format!("session-{}", behind.next.fetch_add(1, Ordering::SeqCst));
            let word = params["word"].as_str().unwrap().to_owned();
            let answer = json!({ "jsonrpc": "2.0", "id": id, "result": { "word": word } });
            behind.words.lock().unwrap().insert(session.clone(), word);
            return ([("mcp-session-id", session)], as_json(&answer)).into_response();
        }
        let Some(word) = known else { return StatusCode::NOT_FOUND.into_response() };
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
        let url = format!("http://{}/mcp", listener.local_addr().unwrap());
        let router = Router::new().fallback(any(Self::answer)).with_state(self);
        tokio::spawn(async move { axum::serve(listener, router).await });
        url
    }
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
struct Who(Option<String>);

/// A session as its owner knows it.
#[derive(Clone, Debug)]
struct Session {
    who: Who,
    id: String,
    word: String,
    task: Option<String>,
}

struct Crowd {
    world: World,
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
    let url = Behind::default().start().await;
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
        let server = &mut config.servers[0];
        server.upstream = url.as_str().into();
        server.issuers = vec![trusted];
        server.policy = Policy { rules: vec![open], unlisted: Unlisted::Default, ..Policy::default() };
        server.callers = CallerLimits { anonymous_per_minute: Some(u32::MAX), ..CallerLimits::default() };
    })
    .await;
    let mut people = vec![Who(None)];
    for name in ["ann", "bob", "eve", "zoe"] {
        for client in ["one", "two"] {
            let change =
                |token: &mut AccessToken| (token.subject, token.client_id) = (name.into(), client.into());
            people.push(Who(Some(format!("Bearer {}", world.token_of(change)))));
            let mut theirs = AccessToken { issuer: ELSEWHERE.into(), ..claims() };
            change(&mut theirs);
            let theirs = AccessTokenSigner::new(&key).sign(&theirs).unwrap();
            people.push(Who(Some(format!("Bearer {}", theirs.expose()))));
        }
    }
    let [words, answered, refused] = [(); 3].map(|()| AtomicUsize::new(0));
    Crowd { world, people, sessions: Mutex::default(), words, answered, refused }
}

impl Crowd {
    fn word(&self) -> String {
        format!("canary-{:06}-", self.words.fetch_add(1, Ordering::SeqCst))
    }

    async fn send(
        &self,
        who: &Who,
        method: Method,
        session: Option<&str>,
        body: &Value,
    ) -> (u16, HeaderMap, String) {
        let mut request = Request::builder().method(method.clone()).uri("/mcp");
        if let Some(authorization) = &who.0 {
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
        let (parts, body) = self.world.send(request.body(body).unwrap()).await.into_parts();
        let text = body.collect().await.unwrap().to_bytes();
        (parts.status.as_u16(), parts.headers, String::from_utf8(text.to_vec()).unwrap())
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
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": { "word": word } });
        let (status, headers, text) = self.send(&who, Method::POST, None, &body).await;
        assert_eq!(status, 200, "{text}");
        Self::only(&text, &[&word]);
        let id = headers["mcp-session-id"].to_str().unwrap().to_owned();
        self.sessions.lock().unwrap().push(Session { who, id, word, task: None });
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
            (4..8, Some(task)) if session.who.0.is_some() => {
                let body =
                    json!({ "jsonrpc": "2.0", "id": 3, "method": "tasks/get", "params": { "taskId": task } });
                (Method::POST, body)
            }
            (8..13, _) => (Method::POST, call(true)),
            _ => (Method::POST, call(false)),
        };
        let (status, _, text) = self.send(&who, method.clone(), Some(&session.id), &body).await;
        if own {
            // Somebody else may have ended it meanwhile: its owner, who is everybody for a stranger's.
            let crowded = status == 429 && who.0.is_none();
            assert!(matches!(status, 200 | 204 | 404) || crowded, "{status} {method} {text}");
            Self::only(&text, &[&session.word, &said]);
            self.answered.fetch_add(usize::from(status == 200), Ordering::SeqCst);
            self.learn(&session, &text);
        } else {
            assert_eq!(status, 404, "{who:?} with the session of {:?}: {text}", session.who);
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
            let known: Vec<&Session> = sessions.iter().filter(|session| session.who.0.is_some()).collect();
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
        let (status, _, text) = self.send(&thief.who, Method::POST, Some(&thief.id), &body).await;
        assert_eq!(status, 400, "{text}");
        Self::only(&text, &[]);
        self.refused.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rs_059_rs_056_t_82_t_83_nobody_sees_what_is_anothers() {
    let crowd = Arc::new(crowd().await);
    let mut all = tokio::task::JoinSet::new();
    for number in 0..AT_ONCE {
        let crowd = Arc::clone(&crowd);
        all.spawn(async move {
            let mut dice =
                Dice(SEED.wrapping_add(u64::try_from(number).unwrap().wrapping_mul(0x9e37_79b9_7f4a_7c15)));
            for _ in 0..REQUESTS / AT_ONCE {
                if dice.below(10) == 0 {
                    crowd.stolen_task(&mut dice).await;
                } else {
                    crowd.step(&mut dice).await;
                }
            }
        });
    }
    while let Some(ended) = all.join_next().await {
        ended.unwrap();
    }
    let (answered, refused) = (crowd.answered.load(Ordering::SeqCst), crowd.refused.load(Ordering::SeqCst));
    assert!(answered > REQUESTS / 3 && refused > REQUESTS / 5, "{answered} answered, {refused} refused");
}
