//! Workloads: a platform's token is the grant. Which are let in, what they get, and that nothing is asked of an address that
//! only a token names.

use crate::{
    audit::{audited, lines},
    machines::{jwt, key_set},
    support::*,
};
use hallpass_core::{
    encoding::base64url,
    jose::{Algorithm, SigningKey},
    jwt::grant_assertion::GRANT_TYPE,
};
use hallpass_server::{
    Settings,
    issuers::{
        TrustedIssuer, WorkloadIssuer, WrittenKeys,
        workload::{Workload, WrittenWorkload},
    },
};
use hallpass_store::{Block, BlockKind};
use http::{Request, StatusCode};
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};

const CLUSTER: &str = "https://kubernetes.default.svc.cluster.local";
const ACTIONS: &str = "https://token.actions.githubusercontent.com";
const SPIRE: &str = "https://spire.example.org";
static MADE: AtomicUsize = AtomicUsize::new(0);

/// A platform with a key.
pub struct Platform {
    issuer: &'static str,
    key: SigningKey,
}

impl Platform {
    fn new(issuer: &'static str, algorithm: Algorithm) -> Self {
        Self { issuer, key: SigningKey::generate(algorithm).unwrap() }
    }

    fn trusted(&self) -> TrustedIssuer {
        let keys = key_set(&[&self.key]).to_string();
        let written = WrittenKeys { jwks: Some(keys.as_bytes()), jwks_uri: None };
        TrustedIssuer::new(self.issuer, &[], None, written).unwrap()
    }

    fn with(&self, workloads: Vec<Workload>) -> WorkloadIssuer {
        WorkloadIssuer::new(self.trusted(), workloads).unwrap()
    }

    pub fn token(&self, server: &Server, change: impl FnOnce(&mut Value)) -> String {
        let now = server.now().seconds();
        let number = MADE.fetch_add(1, Ordering::SeqCst);
        let mut claims = json!({"iss": self.issuer, "aud": ISSUER, "jti": format!("w{number}"), "iat": now, "exp": now + 600});
        change(&mut claims);
        jwt(&self.key, "JWT", &claims)
    }
}

fn workload(id: &str, claims: &[(&str, &str)]) -> Workload {
    called(id, None, claims)
}

fn called(id: &str, subject: Option<&str>, claims: &[(&str, &str)]) -> Workload {
    let claims = claims.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let scopes = ["read".to_owned()];
    Workload::new(&WrittenWorkload { id, subject, claims: &claims, scopes: &scopes, resources: None })
        .unwrap()
}

pub fn platforms() -> [Platform; 3] {
    [
        Platform::new(CLUSTER, Algorithm::Rs256),
        Platform::new(ACTIONS, Algorithm::Rs256),
        Platform::new(SPIRE, Algorithm::Es256),
    ]
}

pub fn trusting([cluster, actions, spire]: &[Platform; 3]) -> Settings {
    let workload_issuers = vec![
        cluster.with(vec![
            workload("deploy", &[("sub", "system:serviceaccount:ci:deploy")]),
            workload(
                "batch",
                &[("kubernetes.io/namespace", "batch"), ("sub", "system:serviceaccount:batch:*")],
            ),
        ]),
        actions.with(vec![workload("release", &[("repository", "acme/app"), ("ref", "refs/heads/main")])]),
        spire.with(vec![workload("billing", &[("sub", "spiffe://example.org/ns/billing/sa/*")])]),
    ];
    Settings { workload_issuers, ..settings() }
}

pub async fn ask(server: &Server, assertion: &str, more: &[(&str, &str)]) -> Answer {
    let pairs = [&[("grant_type", GRANT_TYPE), ("assertion", assertion)], more].concat();
    server.form("/token", &pairs).await
}

fn is(answer: &Answer, status: StatusCode, error: &str) {
    assert_eq!((answer.status, answer.error().as_str()), (status, error), "{answer:?}");
}

/// As a cluster writes it.
pub fn kubernetes(namespace: &str, account: &str) -> impl FnOnce(&mut Value) + use<> {
    let kubernetes = json!({
        "namespace": namespace, "node": {"name": "n1", "uid": "u1"}, "pod": {"name": "p1", "uid": "u2"},
        "serviceaccount": {"name": account, "uid": "u3"},
    });
    let sub = format!("system:serviceaccount:{namespace}:{account}");
    move |claims| {
        (claims["aud"], claims["nbf"]) = (json!([ISSUER]), claims["iat"].clone());
        (claims["sub"], claims["kubernetes.io"]) = (json!(sub), kubernetes);
    }
}

/// As a workflow gets it.
fn github(repository: &str, reference: &str) -> impl FnOnce(&mut Value) + use<> {
    let (owner, sub) =
        (repository.split('/').next().unwrap().to_owned(), format!("repo:{repository}:ref:{reference}"));
    let (repository, reference) = (repository.to_owned(), reference.to_owned());
    move |claims| {
        (claims["sub"], claims["repository"], claims["ref"]) =
            (json!(sub), json!(repository), json!(reference));
        (claims["repository_owner"], claims["event_name"]) = (json!(owner), json!("push"));
        (claims["run_attempt"], claims["runner_environment"]) = (json!("1"), json!("github-hosted"));
    }
}

/// As SPIRE writes a JWT-SVID.
fn spiffe(path: &str) -> impl FnOnce(&mut Value) + use<> {
    let sub = format!("spiffe://example.org/{path}");
    move |claims| (claims["sub"], claims["aud"]) = (json!(sub), json!([ISSUER]))
}

#[tokio::test]
async fn as_194_as_195_t_27_a_workload_proves_its_key_where_that_is_asked_and_a_refusal_burns_nothing() {
    let platforms = platforms();
    let mut settings = trusting(&platforms);
    settings.resources[0].bound_tokens_only = true;
    let (server, key) = (Server::with(settings).await, crate::proofs::Key::new());
    let assertion = platforms[0].token(&server, kubernetes("ci", "deploy"));
    is(&ask(&server, &assertion, &[]).await, StatusCode::BAD_REQUEST, "invalid_dpop_proof");
    let pairs = [("grant_type", GRANT_TYPE), ("assertion", &*assertion)];
    let answer = crate::proofs::send(&server, &["x.y.z"], &pairs).await;
    is(&answer, StatusCode::BAD_REQUEST, "invalid_dpop_proof");
    let answer = crate::proofs::send(&server, &[&key.proof(&server)], &pairs).await.json();
    assert_eq!(answer["token_type"], "DPoP", "{answer}");
    assert_eq!(claims(text(&answer, "access_token"))["cnf"], json!({"jkt": key.thumbprint()}));
}

#[tokio::test]
async fn as_174_as_175_as_157_tokens_of_clusters_workflows_and_spire_are_the_grant() {
    let platforms = platforms();
    let [cluster, actions, spire] = &platforms;
    let folder = tempfile::tempdir().unwrap();
    let settings = Settings { audit: audited(folder.path()).audit, ..trusting(&platforms) };
    let server = Server::with(settings).await;
    for (assertion, id, subject) in [
        (cluster.token(&server, kubernetes("ci", "deploy")), "deploy", "system:serviceaccount:ci:deploy"),
        (
            cluster.token(&server, kubernetes("batch", "nightly")),
            "batch",
            "system:serviceaccount:batch:nightly",
        ),
        (
            actions.token(&server, github("acme/app", "refs/heads/main")),
            "release",
            "repo:acme/app:ref:refs/heads/main",
        ),
        (
            spire.token(&server, spiffe("ns/billing/sa/api")),
            "billing",
            "spiffe://example.org/ns/billing/sa/api",
        ),
    ] {
        // No client_id is needed, and its own is accepted.
        let named = [("resource", RESOURCE), ("scope", "read write"), ("client_id", id)];
        let answer = ask(&server, &assertion, if id == "deploy" { &named } else { &[] }).await;
        assert_eq!(answer.status, StatusCode::OK, "{id}: {answer:?}");
        let said = answer.json();
        assert!(said.get("refresh_token").is_none() && text(&said, "scope") == "read", "{said}");
        let claims = claims(text(&said, "access_token"));
        // Nothing of what the platform said is in it.
        assert_eq!((text(&claims, "sub"), text(&claims, "client_id")), (id, id));
        assert_eq!(text(&claims, "aud"), RESOURCE);
        assert_eq!(claims.as_object().unwrap().len(), 8, "{claims}");
        let written = lines(&server, folder.path());
        let line = written.last().unwrap();
        assert_eq!((text(line, "event"), text(line, "client")), ("token_issued", id));
        assert_eq!(text(line, "client_name"), subject);
        let signature = assertion.rsplit('.').next().unwrap();
        assert!(written.iter().all(|line| !line.to_string().contains(signature)), "as_173");
    }
    assert!(server.app.store.grants_list(None, 1).await.unwrap().is_empty());
}

#[tokio::test]
async fn as_174_t_44_other_tenants_other_issuers_and_other_names_are_nobody() {
    let platforms = platforms();
    let [cluster, actions, spire] = &platforms;
    let server = Server::with(trusting(&platforms)).await;
    let stranger = Platform::new("https://evil.example", Algorithm::Es256);
    let same_name = Platform::new(CLUSTER, Algorithm::Rs256);
    for assertion in [
        cluster.token(&server, kubernetes("ci-evil", "deploy")),
        cluster.token(&server, kubernetes("ci", "deploy2")),
        cluster.token(&server, kubernetes("ci:deploy", "x")),
        // The namespace of its name and that of its claim.
        cluster.token(&server, |claims| {
            kubernetes("batch", "nightly")(claims);
            claims["kubernetes.io"]["namespace"] = json!("other");
        }),
        actions.token(&server, github("acme/app", "refs/heads/evil")),
        actions.token(&server, github("acme-evil/app", "refs/heads/main")),
        actions.token(&server, github("ACME/app", "refs/heads/main")),
        spire.token(&server, spiffe("ns/billing-evil/sa/api")),
        spire.token(&server, spiffe("ns/billing/sa/api/extra")),
        // What one platform signs in the name of another.
        cluster.token(&server, |claims| {
            spiffe("ns/billing/sa/api")(claims);
            claims["iss"] = json!(SPIRE);
        }),
        stranger.token(&server, kubernetes("ci", "deploy")),
        same_name.token(&server, kubernetes("ci", "deploy")),
        cluster.token(&server, |claims| {
            kubernetes("ci", "deploy")(claims);
            claims["aud"] = json!([ISSUER, "https://other.example"]);
        }),
    ] {
        is(&ask(&server, &assertion, &[]).await, StatusCode::BAD_REQUEST, "invalid_grant");
    }
    let other = [("client_id", "batch")];
    let assertion = cluster.token(&server, kubernetes("ci", "deploy"));
    is(&ask(&server, &assertion, &other).await, StatusCode::BAD_REQUEST, "invalid_grant");
    assert_eq!(ask(&server, &assertion, &[]).await.status, StatusCode::OK, "it burnt nothing");
}

#[tokio::test]
async fn as_155_as_156_as_123_one_assertion_and_nothing_beside_it() {
    let platforms = platforms();
    let server = Server::with(trusting(&platforms)).await;
    let good = || platforms[0].token(&server, kubernetes("ci", "deploy"));
    let bad = StatusCode::BAD_REQUEST;
    is(&server.form("/token", &[("grant_type", GRANT_TYPE)]).await, bad, "invalid_request");
    is(&ask(&server, "", &[]).await, bad, "invalid_request");
    is(&ask(&server, &good(), &[("assertion", "x")]).await, bad, "invalid_request");
    is(&ask(&server, &"A".repeat(17_000), &[]).await, StatusCode::PAYLOAD_TOO_LARGE, "invalid_request");
    let (whole, none) = (good(), base64url(br#"{"alg":"none"}"#));
    let two = whole.rsplit_once('.').unwrap().0.to_owned();
    let (unsigned, jwe) = (format!("{none}.{}.", whole.split('.').nth(1).unwrap()), format!("{whole}.a.b"));
    for wrong in ["x", "a.b.c", &two, &unsigned, &jwe, &altered(&whole)] {
        is(&ask(&server, wrong, &[]).await, bad, "invalid_grant");
    }
    for proof in [("client_secret", "x"), ("client_assertion", "a.b.c")] {
        is(&ask(&server, &good(), &[proof]).await, bad, "invalid_request");
    }
    let body = hallpass_core::parameters::encode([("grant_type", GRANT_TYPE), ("assertion", &*good())]);
    let request = Request::post("/token")
        .header("content-type", "application/x-www-form-urlencoded")
        .header("authorization", "Basic eDp5");
    is(&server.send(request.body(body.into()).unwrap()).await, bad, "invalid_request");
    is(&ask(&server, &good(), &[("scope", "write")]).await, bad, "invalid_scope");
    is(&ask(&server, &good(), &[("resource", "https://evil.example")]).await, bad, "invalid_target");
    for (name, value) in [
        ("aud", json!("https://auth.example/token")),
        ("exp", json!(server.now().seconds() + 3600)),
        ("nbf", json!(server.now().seconds() + 20)),
    ] {
        let assertion = platforms[0].token(&server, |claims| {
            kubernetes("ci", "deploy")(claims);
            claims[name] = value;
        });
        assert_eq!(ask(&server, &assertion, &[]).await.status, StatusCode::OK, "{name}");
    }
    let late = good();
    server.push(631);
    is(&ask(&server, &late, &[]).await, bad, "invalid_grant");
}

#[tokio::test]
async fn as_175_t_27_a_token_of_a_platform_is_one_token_on_all_nodes_and_after_a_restart() {
    let platforms = platforms();
    let server = Server::with(trusting(&platforms)).await;
    let once = platforms[0].token(&server, kubernetes("ci", "deploy"));
    is(&ask(&server, &once, &[("scope", "write")]).await, StatusCode::BAD_REQUEST, "invalid_scope");
    let other = server.beside().await;
    let flood = (0..64).map(|turn| ask(if turn % 2 == 0 { &server } else { &other }, &once, &[]));
    let answers = futures_util::future::join_all(flood).await;
    let (good, spent): (Vec<_>, Vec<_>) = answers.iter().partition(|one| one.status == StatusCode::OK);
    assert_eq!((good.len(), spent.len()), (1, 63));
    assert!(spent.iter().all(|one| one.error() == "invalid_grant"), "{spent:?}");
    drop(other);
    let server = server.restarted().await;
    is(&ask(&server, &once, &[]).await, StatusCode::BAD_REQUEST, "invalid_grant");
    // Where nobody can know whether it was used, there is no token.
    let unknown = platforms[0].token(&server, kubernetes("ci", "deploy"));
    server.app.store.close().await.unwrap();
    is(&ask(&server, &unknown, &[]).await, StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable");
}

/// An issuer whose metadata and keys are on the host.
fn discovered(host: &hallpass_testkit::DocumentHost, issuer: &str, key: &SigningKey) -> Settings {
    let trusted = TrustedIssuer::new(issuer, &[], None, WrittenKeys::default()).unwrap();
    let metadata = json!({"issuer": issuer, "jwks_uri": host.url("/keys")});
    host.publish("/platform/.well-known/openid-configuration", &metadata.to_string());
    host.publish("/keys", &key_set(&[key]).to_string());
    let deploy = workload("deploy", &[("sub", "deploy")]);
    Settings { workload_issuers: vec![WorkloadIssuer::new(trusted, vec![deploy]).unwrap()], ..settings() }
}

fn signed(server: &Server, key: &SigningKey, issuer: &str) -> String {
    let (now, number) = (server.now().seconds(), MADE.fetch_add(1, Ordering::SeqCst));
    jwt(
        key,
        "JWT",
        &json!({"iss": issuer, "sub": "deploy", "aud": ISSUER, "jti": format!("d{number}"), "iat": now, "exp": now + 300}),
    )
}

#[tokio::test]
async fn as_176_t_50_nothing_is_asked_of_an_address_that_only_a_token_names() {
    let (server, host) = Server::with_documents(settings()).await;
    let (key, issuer) = (SigningKey::generate(Algorithm::Es256).unwrap(), host.url("/platform"));
    let server = server.reloaded(discovered(&host, &issuer, &key));
    for named in
        ["http://169.254.169.254", "https://evil.example", &host.url("/other"), &format!("{issuer}/"), "x"]
    {
        let refused = ask(&server, &signed(&server, &key, named), &[]).await;
        is(&refused, StatusCode::BAD_REQUEST, "invalid_grant");
    }
    assert_eq!(host.lookups(), 0);
    // Headers that name places are not looked at.
    let claims = json!({"iss": issuer, "sub": "deploy", "aud": ISSUER, "jti": "h", "iat": server.now().seconds(), "exp": server.now().seconds() + 60});
    let header =
        json!({"alg": "ES256", "kid": key.key_id(), "jku": host.url("/evil"), "x5u": host.url("/evil")});
    let part = |value: &Value| base64url(value.to_string().as_bytes());
    let signed_part = format!("{}.{}", part(&header), part(&claims));
    let compact = format!("{signed_part}.{}", base64url(&key.sign_bytes(signed_part.as_bytes()).unwrap()));
    assert_eq!(ask(&server, &compact, &[]).await.status, StatusCode::OK);
    assert_eq!((host.requests("/evil"), host.requests("/keys")), (0, 1));
    // What the metadata of another issuer says is nobody's, and private addresses are not its to name.
    for metadata in [
        json!({"issuer": host.url("/other"), "jwks_uri": host.url("/keys")}),
        json!({"issuer": issuer, "jwks_uri": "https://169.254.169.254/keys"}),
        json!({"issuer": issuer, "jwks_uri": "http://127.0.0.1:1/keys"}),
        json!({"issuer": issuer}),
    ] {
        let server = server.restarted_keys();
        host.publish("/platform/.well-known/openid-configuration", &metadata.to_string());
        let refused = ask(&server, &signed(&server, &key, &issuer), &[]).await;
        is(&refused, StatusCode::BAD_REQUEST, "invalid_grant");
    }
    assert_eq!(host.requests("/keys"), 1);
}

#[tokio::test]
async fn as_176_t_45_keys_are_found_kept_and_followed_with_few_requests() {
    let (server, host) = Server::with_documents(settings()).await;
    let (key, issuer) = (SigningKey::generate(Algorithm::Es256).unwrap(), host.url("/platform"));
    let server = server.reloaded(discovered(&host, &issuer, &key));
    for _ in 0..3 {
        assert_eq!(ask(&server, &signed(&server, &key, &issuer), &[]).await.status, StatusCode::OK);
    }
    assert_eq!(host.requests("/keys"), 1);
    for _ in 0..20 {
        let strange = SigningKey::generate(Algorithm::Es256).unwrap();
        let refused = ask(&server, &signed(&server, &strange, &issuer), &[]).await;
        is(&refused, StatusCode::BAD_REQUEST, "invalid_grant");
    }
    assert_eq!(host.requests("/keys"), 1, "within the cool-down nothing is asked");
    server.push(31);
    let next = SigningKey::generate(Algorithm::Es256).unwrap();
    host.publish("/keys", &key_set(&[&next, &key]).to_string());
    assert_eq!(ask(&server, &signed(&server, &next, &issuer), &[]).await.status, StatusCode::OK);
    assert_eq!(host.requests("/keys"), 2);
    host.answer("/keys", 503, "", "");
    server.push(3_600);
    assert_eq!(ask(&server, &signed(&server, &next, &issuer), &[]).await.status, StatusCode::OK);
    server.push(25 * 3_600);
    let away = ask(&server, &signed(&server, &next, &issuer), &[]).await;
    is(&away, StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable");
}

#[tokio::test]
async fn as_156_only_the_algorithms_that_the_operator_lists() {
    let key = SigningKey::generate(Algorithm::Es256).unwrap();
    let keys = key_set(&[&key]).to_string();
    let written = WrittenKeys { jwks: Some(keys.as_bytes()), jwks_uri: None };
    let with = |algorithms: &[&str]| {
        let names: Vec<String> = algorithms.iter().map(|name| (*name).to_owned()).collect();
        let trusted = TrustedIssuer::new(SPIRE, &[], Some(&names), written).unwrap();
        let deploy = workload("deploy", &[("sub", "deploy")]);
        Settings { workload_issuers: vec![WorkloadIssuer::new(trusted, vec![deploy]).unwrap()], ..settings() }
    };
    let server = Server::with(with(&["RS256"])).await;
    is(&ask(&server, &signed(&server, &key, SPIRE), &[]).await, StatusCode::BAD_REQUEST, "invalid_grant");
    let server = server.reloaded(with(&["RS256", "ES256"]));
    assert_eq!(ask(&server, &signed(&server, &key, SPIRE), &[]).await.status, StatusCode::OK);
}

#[tokio::test]
async fn as_174_as_136_as_171_it_is_offered_where_it_is_configured_and_ends_with_its_workload() {
    let server = Server::start().await;
    let lists = async |server: &Server| {
        let metadata = server.get("/.well-known/oauth-authorization-server").await;
        assert!(!metadata.text.contains("kubernetes") && !metadata.text.contains("githubusercontent"));
        metadata.json()["grant_types_supported"].as_array().unwrap().contains(&json!(GRANT_TYPE))
    };
    assert!(!lists(&server).await);
    let client = server.register(REDIRECT).await;
    let unknown = ask(&server, "a.b.c", &[("client_id", &client)]).await;
    is(&unknown, StatusCode::BAD_REQUEST, "unsupported_grant_type");
    let platforms = platforms();
    let mut settings = trusting(&platforms);
    settings.resources[0].introspectors = vec!["things".into()];
    settings.clients = vec![crate::machines::asking("things")];
    let server = Server::with(settings.clone()).await;
    assert!(lists(&server).await);
    let answer = ask(&server, &platforms[0].token(&server, kubernetes("ci", "deploy")), &[]).await.json();
    let token = text(&answer, "access_token");
    let is_active = crate::machines::is_active;
    assert!(is_active(&server, token).await);
    settings.workload_issuers[0] = platforms[0].with(vec![workload("other", &[("sub", "x")])]);
    assert!(!is_active(&server.reloaded(settings), token).await, "taken out of the file");
    let until = server.app.settings.tokens_until(server.now());
    let block = Block {
        kind: BlockKind::Client,
        key: "deploy".into(),
        created_at: server.now(),
        note: String::new(),
    };
    server.app.store.block_put(block, until).await.unwrap();
    server.app.blocks.reload(&*server.app.store).await.unwrap();
    assert!(!is_active(&server, token).await, "blocked");
    let refused = ask(&server, &platforms[0].token(&server, kubernetes("ci", "deploy")), &[]).await;
    is(&refused, StatusCode::BAD_REQUEST, "invalid_grant");
}

/// Many programs by one rule are told apart, and none of them is anybody else (RFC 9700 §4.15).
#[tokio::test]
async fn as_174_rs_033_t_44_which_of_the_programs_it_is_and_never_a_person_or_another_client() {
    let platforms = platforms();
    let mut settings = trusting(&platforms);
    settings.workload_issuers[0] = platforms[0].with(vec![
        called("ci", Some("{sub}"), &[("sub", "system:serviceaccount:ci:*")]),
        called("reports", Some("nightly"), &[("sub", "system:serviceaccount:reports:*")]),
    ]);
    settings.resources[0].introspectors = vec!["things".into()];
    settings.clients = vec![crate::machines::asking("things")];
    let folder = tempfile::tempdir().unwrap();
    settings.audit = audited(folder.path()).audit;
    let server = Server::with(settings).await;
    let mut tokens = Vec::new();
    for (namespace, account, id, subject) in [
        ("ci", "deploy", "ci", "ci system:serviceaccount:ci:deploy"),
        ("ci", "build", "ci", "ci system:serviceaccount:ci:build"),
        ("reports", "x", "reports", "reports nightly"),
    ] {
        let assertion = platforms[0].token(&server, kubernetes(namespace, account));
        let answer = ask(&server, &assertion, &[("client_id", id)]).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        let token = text(&answer.json(), "access_token").to_owned();
        let claims = claims(&token);
        assert_eq!((text(&claims, "sub"), text(&claims, "client_id")), (subject, id));
        assert_eq!(hallpass_core::id::PersonId::parse(subject), None);
        let record = json!({"name": "", "redirect_uris": [REDIRECT], "auth": "none", "grant_types": ["authorization_code"]});
        let record = serde_json::from_value(record).unwrap();
        assert!(hallpass_server::OperatorClient::new(subject, &record).is_err(), "no client is called so");
        assert!(crate::machines::is_active(&server, &token).await);
        tokens.push(token);
    }
    let written = lines(&server, folder.path());
    let issued = written.iter().filter(|line| text(line, "event") == "token_issued");
    let named: Vec<_> = issued.map(|line| text(line, "client_name")).collect();
    let account = |name: &str| format!("system:serviceaccount:{name}");
    assert_eq!(named, [account("ci:deploy"), account("ci:build"), account("reports:x")]);
    // What the platform calls it may be nothing that could be read as something else.
    for strange in ["deploy x".to_owned(), "d\u{e9}ploy".to_owned(), "x".repeat(300), "a\tb".to_owned()] {
        let assertion = platforms[0].token(&server, kubernetes("ci", &strange));
        is(&ask(&server, &assertion, &[]).await, StatusCode::BAD_REQUEST, "invalid_grant");
        assert_eq!(text(lines(&server, folder.path()).last().unwrap(), "reason"), "assertion_subject");
    }
    // They end with their client, all of them.
    let until = server.app.settings.tokens_until(server.now());
    let block =
        Block { kind: BlockKind::Client, key: "ci".into(), created_at: server.now(), note: String::new() };
    server.app.store.block_put(block, until).await.unwrap();
    server.app.blocks.reload(&*server.app.store).await.unwrap();
    for (token, alive) in tokens.iter().zip([false, false, true]) {
        assert_eq!(crate::machines::is_active(&server, token).await, alive);
    }
}
