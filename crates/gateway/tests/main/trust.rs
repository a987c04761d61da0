//! Callers of another authorization server: their names, their challenges, and what is theirs.

use crate::support::{GRANT, ORIGIN, PING, World, claims, world_with};
use hallpass_core::{
    challenge,
    jose::{Algorithm, KeySet, SigningKey},
    jwt::{AccessToken, access_token::AccessTokenSigner, foreign_token::TokenType},
    scope::Scope,
};
use hallpass_gateway::{CallLog, CallRecord, CallerLimits, Callers, GatewayConfig, Group, Members, Rule};
use hallpass_resource::{KeySource, ScopeNames, TrustedIssuer, Verification};
use std::sync::{Arc, Mutex};

const OTHER: &str = "https://login.example/";

fn trusting(key: &SigningKey) -> TrustedIssuer {
    let keys = KeySource::fixed(KeySet::from_keys(vec![key.verifying_key()]));
    TrustedIssuer {
        issuer: OTHER.into(),
        audiences: vec![format!("{ORIGIN}/mcp")],
        verification: Verification::Keys(Arc::new(keys)),
        typ: TokenType::AccessToken,
        scope_claims: vec![],
        groups_claim: None,
        scopes: ScopeNames::default(),
    }
}

pub async fn both(behaviour: &str, change: impl FnOnce(&mut GatewayConfig)) -> (World, SigningKey) {
    let key = SigningKey::generate(Algorithm::Es256).unwrap();
    let trusted = trusting(&key);
    let world = world_with(behaviour, |config| {
        config.servers[0].issuers = vec![trusted];
        config.servers[0].authorization_servers.push(OTHER.into());
        change(config);
    })
    .await;
    (world, key)
}

/// The same claims as a token of ours, but the issuer.
pub fn theirs(key: &SigningKey, change: impl FnOnce(&mut AccessToken)) -> String {
    let mut token = AccessToken { issuer: OTHER.into(), ..claims() };
    change(&mut token);
    format!("Bearer {}", AccessTokenSigner::new(key).sign(&token).unwrap().expose())
}

const CALL: &str =
    r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"read","arguments":{}}}"#;

#[tokio::test]
async fn rs_003_the_metadata_names_all_of_them() {
    let (world, _) = both("echo", |_| {}).await;
    let answer =
        world.ask(crate::support::bare("GET", "/.well-known/oauth-protected-resource/mcp", "", &[])).await;
    assert_eq!(answer.json()["authorization_servers"], serde_json::json!([ORIGIN, OTHER]));
}

#[tokio::test]
async fn rs_056_t_81_a_session_is_not_that_of_somebody_who_is_called_so_elsewhere() {
    let (world, key) = both("session", |_| {}).await;
    let other = theirs(&key, |_| {});
    let (mine, same) = (world.post(PING, &[]).await, world.post(PING, &[("authorization", &other)]).await);
    assert_eq!((mine.status, same.status), (200, 200));
    let (mine, same) = (mine.header("mcp-session-id").to_owned(), same.header("mcp-session-id").to_owned());
    for (session, authorization, status) in
        [(&mine, None, 200), (&same, Some(&*other), 200), (&mine, Some(&*other), 404), (&same, None, 404)]
    {
        let mut more = vec![("mcp-session-id", session.as_str())];
        more.extend(authorization.map(|value| ("authorization", value)));
        assert_eq!(world.post(PING, &more).await.status, status);
    }
}

#[tokio::test]
async fn rs_018_a_limit_is_each_callers_own() {
    let limits = CallerLimits { calls_per_minute: Some(2), ..CallerLimits::default() };
    let (world, key) = both("echo", |config| config.servers[0].callers = limits).await;
    let other = theirs(&key, |_| {});
    for _ in 0..2 {
        assert_eq!(world.post(PING, &[]).await.status, 200);
    }
    assert_eq!(world.post(PING, &[]).await.status, 429);
    assert_eq!(world.post(PING, &[("authorization", &other)]).await.status, 200);
}

#[tokio::test]
async fn rs_035_rules_about_people_clients_and_grants_here_are_not_about_theirs() {
    for callers in [
        Callers { people: Some(vec!["ann".into()]), ..Callers::default() },
        Callers { clients: Some(vec!["client".into()]), ..Callers::default() },
        Callers { grants: Some(vec![GRANT]), ..Callers::default() },
    ] {
        let rule = Rule { tools: vec!["read".into()], callers: callers.clone(), ..Rule::default() };
        let (world, key) = both("echo", |config| config.servers[0].policy.rules = vec![rule]).await;
        assert_eq!(world.post(CALL, &[]).await.status, 200, "{callers:?}");
        let other = theirs(&key, |_| {});
        assert_eq!(world.post(CALL, &[("authorization", &other)]).await.status, 403, "{callers:?}");
    }
    // By the name that they have here.
    let people = Some(vec![format!("{OTHER} ann")]);
    let callers = Callers { people, ..Callers::default() };
    let rule = Rule { tools: vec!["read".into()], callers, ..Rule::default() };
    let (world, key) = both("echo", |config| config.servers[0].policy.rules = vec![rule]).await;
    let other = theirs(&key, |_| {});
    assert_eq!(world.post(CALL, &[("authorization", &other)]).await.status, 200);
    assert_eq!(world.post(CALL, &[]).await.status, 403);
    // The text of the name in a token of ours is still a token of ours.
    let forged = format!("Bearer {}", world.token_of(|token| token.subject = format!("{OTHER} bob")));
    assert_eq!(world.post(CALL, &[("authorization", &forged)]).await.status, 403);
}

#[tokio::test]
async fn rs_035_a_group_is_believed_of_whose_it_is_and_of_nobody_else() {
    let group = |name: &str, members| Group { name: name.into(), members };
    let groups = Some(vec![
        group("staff", Members::Listed(vec!["bob".to_owned()].into())),
        group("login:admins", Members::Claimed(format!("{OTHER} admins"))),
    ]);
    let callers = Callers { groups, ..Callers::default() };
    let rule = Rule { tools: vec!["read".into()], callers, ..Rule::default() };
    let (world, key) = both("echo", |config| {
        config.servers[0].policy.rules = vec![rule];
        config.servers[0].issuers[0].groups_claim = Some("groups".into());
    })
    .await;
    let ours = |person: &str, client: &str| {
        let change =
            |token: &mut AccessToken| (token.subject, token.client_id) = (person.into(), client.into());
        format!("Bearer {}", world.token_of(change))
    };
    // `AccessToken` writes no such claim, so that this one is signed by hand.
    let theirs = |subject: &str, groups: serde_json::Value| with_groups(&key, OTHER, subject, &groups);
    for (token, status) in [
        (ours("bob", "client"), 200),
        (ours("ann", "client"), 403),
        (ours("ann", "staff"), 403),
        (ours("staff", "client"), 403),
        (ours("ann", &format!("{OTHER} admins")), 403),
        (theirs("eve", serde_json::json!(["admins", "x"])), 200),
        (theirs("eve", serde_json::json!("admins")), 200),
        (theirs("eve", serde_json::json!(["staff"])), 403),
        (theirs("bob", serde_json::json!([])), 403),
        (theirs("eve", serde_json::json!([format!("{OTHER} admins")])), 403),
        // A machine is in no group.
        (theirs("client", serde_json::json!(["admins"])), 403),
        // What is not understood could be what a rule forbids.
        (theirs("eve", serde_json::json!({ "admins": true })), 401),
    ] {
        let answer = world.post(CALL, &[("authorization", &token)]).await;
        assert_eq!(answer.status, status, "{} of {token}", answer.text);
    }
    // A claim of ours, by the same name, is none: our accounts are in the groups of the configuration alone.
    let forged = with_groups(&world.key, ORIGIN, "eve", &serde_json::json!(["admins", "staff"]));
    assert_eq!(world.post(CALL, &[("authorization", &forged)]).await.status, 403);
}

/// The claims of [`claims`], with groups.
fn with_groups(key: &SigningKey, issuer: &str, subject: &str, groups: &serde_json::Value) -> String {
    let token = AccessToken { issuer: issuer.into(), subject: subject.into(), ..claims() };
    let signed = AccessTokenSigner::new(key).sign(&token).unwrap();
    let part = |at| signed.expose().split('.').nth(at).unwrap().to_owned();
    let payload = hallpass_core::encoding::from_base64url(&part(1)).unwrap();
    let mut said: serde_json::Value = serde_json::from_slice(&payload).unwrap();
    said["groups"] = groups.clone();
    let payload = hallpass_core::encoding::base64url(said.to_string().as_bytes());
    let text = format!("{}.{payload}", part(0));
    let signature = key.sign_bytes(text.as_bytes()).unwrap();
    format!("Bearer {text}.{}", hallpass_core::encoding::base64url(&signature))
}

#[tokio::test]
async fn rs_010_a_challenge_is_in_the_names_of_the_clients_own_server() {
    let names = vec![("files:read".to_owned(), vec!["Files.Read".to_owned()])];
    let scopes = ScopeNames { names, prefix: "api://files/".into() };
    let renamed = scopes.clone();
    let (world, key) = both("echo", |config| config.servers[0].issuers[0].scopes = renamed).await;
    let scope_of = |answer: &crate::support::Answer| {
        let challenges = challenge::parse(&[answer.header("www-authenticate")]);
        challenges[0].parameter("scope").map(str::to_owned)
    };
    let other = theirs(&key, |token| token.scope = Some("files:read".into()));
    let refused = world.post(CALL, &[("authorization", &other)]).await;
    assert_eq!((refused.status, scope_of(&refused).as_deref()), (403, Some("api://files/Files.Read")));
    let granted = theirs(&key, |token| token.scope = Some("Files.Read".into()));
    assert_eq!(world.post(CALL, &[("authorization", &granted)]).await.status, 200);
    let ours = format!("Bearer {}", world.token_of(|token| token.scope = None));
    let refused = world.post(CALL, &[("authorization", &ours)]).await;
    assert_eq!((refused.status, scope_of(&refused).as_deref()), (403, Some("files:read")));
    let nobody = world.ask(crate::support::bare("POST", "/mcp", CALL, &[])).await;
    assert_eq!((nobody.status, scope_of(&nobody).as_deref()), (401, Some("files:read")), "ours is the first");

    let (world, _) = both("echo", |config| {
        config.servers[0].issuers[0].scopes = scopes;
        config.servers[0].authorization_servers = vec![OTHER.into()];
        config.servers[0].own_tokens = false;
        config.servers[0].scopes = Scope::parse("files:read").unwrap();
    })
    .await;
    let nobody = world.ask(crate::support::bare("POST", "/mcp", CALL, &[])).await;
    assert_eq!(scope_of(&nobody).as_deref(), Some("api://files/Files.Read"));
    let document =
        world.ask(crate::support::bare("GET", "/.well-known/oauth-protected-resource/mcp", "", &[])).await;
    assert_eq!(document.json()["scopes_supported"], serde_json::json!(["api://files/Files.Read"]));
    assert_eq!(world.post(PING, &[]).await.status, 401, "our own tokens are not taken");
}

struct Heard(Mutex<Vec<(Option<String>, Option<String>)>>);

impl CallLog for Heard {
    fn call(&self, record: &CallRecord<'_>) {
        let heard = (record.issuer.map(str::to_owned), record.person.map(str::to_owned));
        self.0.lock().unwrap().push(heard);
    }
}

#[tokio::test]
async fn as_222_the_line_about_a_call_names_the_issuer() {
    let heard = Arc::new(Heard(Mutex::default()));
    let calls: Arc<dyn CallLog> = heard.clone();
    let (world, key) = both("echo", |config| config.calls = Some(calls)).await;
    let other = theirs(&key, |_| {});
    world.post(PING, &[]).await;
    world.post(PING, &[("authorization", &other)]).await;
    let heard = heard.0.lock().unwrap();
    assert_eq!(heard[0], (None, Some("ann".into())));
    assert_eq!(heard[1], (Some(OTHER.into()), Some(format!("{OTHER} ann"))));
}

#[tokio::test]
async fn an_issuer_is_trusted_once() {
    let key = SigningKey::generate(Algorithm::Es256).unwrap();
    let base = crate::support::server("/mcp", "http://127.0.0.1:1/mcp");
    let own = TrustedIssuer { issuer: ORIGIN.into(), ..trusting(&key) };
    for issuers in [vec![trusting(&key), trusting(&key)], vec![own]] {
        let mut server = base.clone();
        server.issuers = issuers;
        let world = std::panic::AssertUnwindSafe(world_with("echo", |config| config.servers = vec![server]));
        assert!(futures_util::FutureExt::catch_unwind(world).await.is_err(), "refused at start");
    }
}
