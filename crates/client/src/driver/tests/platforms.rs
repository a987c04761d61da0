//! Sign-ins by the token of a platform.
use super::world::*;
use crate::{
    driver::{Client, MachineOptions, Settings},
    error::ClientError,
    machine::{MachineAuth, MachineClient, MachineGrant},
    platform::{Platform, PlatformError, TokenSource, Variables},
    storage::Renewal,
};
use hallpass_core::{encoding::base64url, secret::SecretString};
use serde_json::{Value, json};
use std::{
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

fn token(audience: &Value, number: u32) -> String {
    format!("e30.{}.c2ln", base64url(json!({ "aud": audience, "jti": number }).to_string().as_bytes()))
}

fn options(source: TokenSource) -> MachineOptions {
    MachineOptions {
        account: "default".into(),
        client: MachineClient { client_id: String::new(), auth: MachineAuth::None },
        grant: MachineGrant::Platform(Platform { source, audience: None }),
        scope: None,
        issuer: None,
    }
}

struct Pod {
    world: World,
    path: PathBuf,
}

impl Pod {
    async fn new() -> Self {
        let world = World::new().await;
        world.set(|knobs| knobs.metadata = vec![("grant_types_supported", json!([GRANT]))]);
        let path = world.folder.path().join("token");
        let pod = Self { world, path };
        pod.write(1);
        pod
    }

    fn write(&self, number: u32) {
        std::fs::write(&self.path, token(&json!(self.world.issuer), number) + "\n").unwrap();
    }

    fn options(&self) -> MachineOptions {
        options(TokenSource::File(self.path.to_str().unwrap().to_owned()))
    }

    async fn login(&self) -> Result<crate::driver::SignedIn, crate::error::Failed> {
        self.world.client.login_machine(&self.world.mcp, &self.options()).await
    }

    fn sent(&self) -> Vec<String> {
        let of = |seen: &Seen| seen.form().get("assertion").unwrap().to_owned();
        self.world.asked("/token").iter().map(of).collect()
    }
}

fn with_variables(world: &World, variables: &[(&'static str, String)]) -> Client {
    let variables = variables.to_vec();
    let read = move |name: &str| {
        let found = variables.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| SecretString::new(value.clone()))
    };
    let settings = Settings { variables: Variables::read_by(read), ..Settings::default() };
    client(world.folder.path().join("state"), Arc::clone(&world.clock), settings)
}

#[tokio::test]
async fn cl_093_the_file_is_read_again_for_each_token_and_no_person_is_asked() {
    let pod = Pod::new().await;
    let done = pod.login().await.unwrap();
    assert!(done.renewable);
    let first = pod.world.asked("/token")[0].form();
    assert_eq!((first.get("grant_type"), first.get("client_id")), (Some(GRANT), None));
    assert_eq!(first.get("resource"), Some(pod.world.mcp.as_str()));

    pod.write(2);
    pod.world.clock.push(Duration::from_secs(3590));
    assert!(pod.world.client.token(&pod.world.mcp, "default").await.is_ok());
    assert!(pod.world.client.token(&pod.world.mcp, "default").await.is_ok());
    let audience = json!(pod.world.issuer);
    assert_eq!(pod.sent(), [token(&audience, 1), token(&audience, 2)]);
    let kept = pod.world.kept();
    assert_eq!((kept.entries.len(), kept.registrations.len()), (1, 0));
    assert_eq!(kept.entries[0].tokens.refresh_token, None);
    assert!(matches!(&kept.entries[0].renewal, Some(Renewal::Platform(..))));
    assert!(pod.world.asked("/authorize").is_empty() && pod.world.asked("/register").is_empty());
}

#[tokio::test]
async fn cl_093_a_token_that_was_used_is_not_sent_again_while_there_is_time() {
    let pod = Pod::new().await;
    pod.login().await.unwrap();
    pod.world.clock.push(Duration::from_secs(3590));
    // Due, and the platform has written nothing new: what is there is used to its end.
    assert!(pod.world.client.token(&pod.world.mcp, "default").await.is_ok());
    assert_eq!(pod.sent().len(), 1);
    pod.world.clock.push(Duration::from_secs(11));
    let spent = json!({ "error": "invalid_grant" }).to_string();
    pod.world.set(|knobs| knobs.instead = vec![("/token", 400, String::new(), spent)]);
    let end = error(pod.world.client.token(&pod.world.mcp, "default").await);
    assert!(matches!(end, ClientError::Platform(PlatformError::Unchanged(_))));
    assert_eq!(pod.sent().len(), 2);
    // The sign-in is still there, and goes on as soon as there is a new one.
    pod.world.set(|knobs| knobs.instead.clear());
    pod.write(2);
    assert!(pod.world.client.token(&pod.world.mcp, "default").await.is_ok());
}

#[tokio::test]
async fn t_62_cl_093_a_token_for_somebody_else_stays_here() {
    let pod = Pod::new().await;
    let ours = json!(pod.world.issuer);
    for audience in
        [json!("https://kubernetes.default.svc"), json!([ours, "https://other.example"]), Value::Null]
    {
        std::fs::write(&pod.path, token(&audience, 1)).unwrap();
        let end = error(pod.login().await);
        assert!(matches!(end, ClientError::Platform(PlatformError::Audience { .. })));
    }
    // Called by another name: only together with the one issuer that is meant.
    let named = |issuer: Option<&str>| MachineOptions {
        grant: MachineGrant::Platform(Platform {
            source: TokenSource::File(pod.path.to_str().unwrap().to_owned()),
            audience: Some("hallpass".to_owned()),
        }),
        issuer: issuer.map(str::to_owned),
        ..pod.options()
    };
    std::fs::write(&pod.path, token(&json!("hallpass"), 1)).unwrap();
    let login =
        async |options: MachineOptions| pod.world.client.login_machine(&pod.world.mcp, &options).await;
    let end = error(login(named(None)).await);
    assert!(matches!(end, ClientError::Platform(PlatformError::AudienceAlone)));
    assert!(matches!(error(login(named(Some("https://as.example"))).await), ClientError::Discovery(_)));
    assert!(pod.sent().is_empty());
    login(named(Some(&pod.world.issuer))).await.unwrap();
    assert_eq!(pod.sent().len(), 1);
}

#[tokio::test]
async fn cl_093_what_is_no_token_is_not_sent_and_not_shown() {
    let pod = Pod::new().await;
    for text in ["", "password canary", "a.b"] {
        std::fs::write(&pod.path, text).unwrap();
        let failed = pod.login().await.unwrap_err();
        assert!(matches!(failed.error, ClientError::Platform(PlatformError::NotAToken(_))));
        assert!(!format!("{failed} {failed:?}").contains("canary"));
    }
    std::fs::write(&pod.path, vec![b'a'; 1 << 20]).unwrap();
    assert!(matches!(error(pod.login().await), ClientError::Platform(PlatformError::NotAToken(_))));
    std::fs::remove_file(&pod.path).unwrap();
    assert!(matches!(error(pod.login().await), ClientError::Platform(PlatformError::File { .. })));
    std::fs::create_dir(&pod.path).unwrap();
    assert!(matches!(error(pod.login().await), ClientError::Platform(PlatformError::File { .. })));
    std::fs::remove_dir(&pod.path).unwrap();
    // A pipe into which nobody writes is not waited for.
    assert!(std::process::Command::new("mkfifo").arg(&pod.path).status().unwrap().success());
    let end = tokio::time::timeout(Duration::from_secs(5), pod.login()).await.unwrap();
    assert!(matches!(error(end), ClientError::Platform(PlatformError::File { .. })));
    assert!(pod.sent().is_empty());
}

#[tokio::test]
async fn cl_093_a_variable_is_a_source_too() {
    let world = World::new().await;
    let held = token(&json!(world.issuer), 1);
    let login = async |client: &Client| {
        client.login_machine(&world.mcp, &options(TokenSource::Variable("CI_TOKEN".into()))).await
    };
    let end = error(login(&world.client).await);
    assert!(matches!(end, ClientError::Platform(PlatformError::NotSet(_))));
    login(&with_variables(&world, &[("CI_TOKEN", held.clone())])).await.unwrap();
    assert_eq!(world.asked("/token")[0].form().get("assertion"), Some(held.as_str()));
}

#[tokio::test]
async fn cl_093_github_is_asked_for_a_token_for_this_server_with_the_jobs_secret() {
    let world = World::new().await;
    let github = bind().await;
    let base = format!("{}/token?api-version=2.0", origin(&github));
    let answer = Arc::new(Mutex::new(Reply::status(500)));
    let answers = Arc::clone(&answer);
    let asked = serve(github, move |_| std::mem::replace(&mut *answers.lock().unwrap(), Reply::status(500)));
    let client = with_variables(
        &world,
        &[("ACTIONS_ID_TOKEN_REQUEST_URL", base), ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "job-canary".into())],
    );
    let login =
        async |client: &Client| client.login_machine(&world.mcp, &options(TokenSource::GitHubActions)).await;
    let end = error(login(&world.client).await);
    assert!(matches!(end, ClientError::Platform(PlatformError::NoJobToken)));

    let failed = login(&client).await.unwrap_err();
    assert!(matches!(failed.error, ClientError::Status { status: 500, .. }));
    assert!(!format!("{failed} {failed:?}").contains("canary"));
    *answer.lock().unwrap() = Reply::json(&json!({ "count": 1, "value": token(&json!("https://other"), 1) }));
    assert!(matches!(error(login(&client).await), ClientError::Platform(PlatformError::Audience { .. })));
    *answer.lock().unwrap() = Reply::json(&json!({ "count": 1, "value": token(&json!(world.issuer), 1) }));
    login(&client).await.unwrap();

    let asked = asked.lock().unwrap();
    assert_eq!(asked.len(), 3);
    for request in asked.iter() {
        assert_eq!(request.query().get("audience"), Some(world.issuer.as_str()));
        assert_eq!(request.query().get("api-version"), Some("2.0"));
        assert_eq!(request.headers.get("authorization").map(String::as_str), Some("Bearer job-canary"));
    }
    // The job's secret goes to GitHub, and to nobody else.
    assert!(world.at_as.lock().unwrap().iter().all(|seen| !format!("{seen:?}").contains("canary")));
    assert!(world.at_mcp.lock().unwrap().iter().all(|seen| !format!("{seen:?}").contains("canary")));
}

#[tokio::test]
async fn cl_093_no_person_mends_a_programs_sign_in() {
    let pod = Pod::new().await;
    pod.login().await.unwrap();
    pod.world.set(|knobs| knobs.good.clear());
    let mut robot = Robot::default();
    let pages = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&pages);
    robot.instead = Some(Box::new(move |_| *counted.lock().unwrap() += 1));
    let person: Box<dyn crate::driver::Interaction> = Box::new(robot);
    let credentials = pod
        .world
        .client
        .credentials(&pod.world.mcp, crate::driver::LoginOptions::default(), Some(person))
        .unwrap();
    let seen = credentials.current().await.unwrap();
    let uri = pod.world.mcp.parse().unwrap();
    let mut headers = http::HeaderMap::new();
    let challenge = "Bearer error=\"invalid_token\"".parse().unwrap();
    headers.insert(http::header::WWW_AUTHENTICATE, challenge);
    let answer = (http::StatusCode::UNAUTHORIZED, &headers);
    let end = credentials.after((&uri, "POST"), seen.as_deref(), answer).await;
    assert!(matches!(error(end), ClientError::Platform(PlatformError::Unchanged(_))));
    let more = "Bearer error=\"insufficient_scope\", scope=\"admin\"".parse().unwrap();
    headers.insert(http::header::WWW_AUTHENTICATE, more);
    let answer = (http::StatusCode::FORBIDDEN, &headers);
    let next = credentials.after((&uri, "POST"), seen.as_deref(), answer).await;
    assert_eq!(next.unwrap(), crate::driver::Next::Done);
    // Signed out meanwhile: the refusal stands.
    pod.world.client.logout(&pod.world.mcp, "default").await.unwrap();
    let challenge = "Bearer error=\"invalid_token\"".parse().unwrap();
    headers.insert(http::header::WWW_AUTHENTICATE, challenge);
    let answer = (http::StatusCode::UNAUTHORIZED, &headers);
    let next = credentials.after((&uri, "POST"), seen.as_deref(), answer).await;
    assert_eq!(next.unwrap(), crate::driver::Next::Done);
    assert_eq!(*pages.lock().unwrap(), 0);
}

/// Calls with their headers and bodies.
type Calls = Arc<Mutex<Vec<(http::HeaderMap, Vec<u8>)>>>;

/// A Workload API behind a socket, as SPIRE's agent has one: it answers each call with the next of these tokens.
fn agent(path: &std::path::Path, tokens: Vec<String>) -> Calls {
    use http_body_util::{BodyExt as _, Full};
    let listener = tokio::net::UnixListener::bind(path).unwrap();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let (seen, tokens) = (Arc::clone(&asked), Arc::new(Mutex::new(tokens)));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (seen, tokens) = (Arc::clone(&seen), Arc::clone(&tokens));
            let service = hyper::service::service_fn(move |request: http::Request<hyper::body::Incoming>| {
                let (seen, tokens) = (Arc::clone(&seen), Arc::clone(&tokens));
                async move {
                    let (head, body) = request.into_parts();
                    let body = body.collect().await.unwrap().to_bytes().to_vec();
                    seen.lock().unwrap().push((head.headers, body));
                    let mut all = tokens.lock().unwrap();
                    let (body, code) = if all.is_empty() {
                        (Vec::new(), "7")
                    } else {
                        (crate::spiffe::tests::answer(&all.remove(0)), "0")
                    };
                    let mut trailers = http::HeaderMap::new();
                    trailers.insert("grpc-status", code.parse().unwrap());
                    let body = Full::new(bytes::Bytes::from(body));
                    let body = body
                        .with_trailers(std::future::ready(Some(Ok::<_, std::convert::Infallible>(trailers))));
                    Ok::<_, std::convert::Infallible>(http::Response::new(body))
                }
            });
            let executor = hyper_util::rt::TokioExecutor::new();
            let io = hyper_util::rt::TokioIo::new(stream);
            let _ = hyper::server::conn::http2::Builder::new(executor).serve_connection(io, service).await;
        }
    });
    asked
}

#[tokio::test]
async fn cl_093_the_spiffe_agent_is_asked_behind_its_socket_for_a_token_for_this_server() {
    let world = World::new().await;
    let path = world.folder.path().join("agent.sock");
    let audience = json!([world.issuer]);
    let asked =
        agent(&path, vec![token(&json!(["https://other"]), 1), token(&audience, 2), token(&audience, 3)]);
    let endpoint = format!("unix://{}", path.to_str().unwrap());
    let client = with_variables(&world, &[("SPIFFE_ENDPOINT_SOCKET", endpoint)]);
    let login = async |client: &Client| {
        let source = TokenSource::parse("spiffe").unwrap();
        client.login_machine(&world.mcp, &options(source)).await
    };
    assert!(matches!(error(login(&world.client).await), ClientError::Platform(PlatformError::NoSocket)));
    assert!(matches!(error(login(&client).await), ClientError::Platform(PlatformError::Audience { .. })));
    login(&client).await.unwrap();
    world.clock.push(Duration::from_secs(3590));
    client.token(&world.mcp, "default").await.unwrap();
    assert_eq!(world.asked("/token").len(), 2);
    world.clock.push(Duration::from_hours(2));
    let end = error(client.token(&world.mcp, "default").await);
    assert!(matches!(end, ClientError::Platform(PlatformError::NoIdentity { code: Some(7) })));
    let asked = asked.lock().unwrap();
    assert_eq!(asked.len(), 4);
    for (headers, body) in asked.iter() {
        assert_eq!(headers["workload.spiffe.io"], "true");
        assert!(body.ends_with(world.issuer.as_bytes()));
    }
}
