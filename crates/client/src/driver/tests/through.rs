//! Sign-ins through a kept sign-in at a company.
use super::world::*;
use crate::{
    driver::{LoginOptions, SignedIn},
    error::{ClientError, Failed},
    storage::Through,
    token::TokenError,
};
use hallpass_core::{encoding::base64url, jwt::grant_assertion::IDENTITY_PROFILE, secret::SecretString};
use serde_json::{Value, json};
use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

const ID_JAG: &str = "urn:ietf:params:oauth:token-type:id-jag";
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";

/// A company with a server of its own, whose token endpoint makes of each exchange what it is told to.
struct Company {
    mcp: String,
    log: Log,
    /// Answers to exchanges, the first first; without any, a good assertion.
    answers: Arc<Mutex<VecDeque<Value>>>,
    knobs: Arc<Mutex<Knobs>>,
}

fn jag(audience: &str, number: u32) -> Value {
    let claims = json!({ "aud": audience, "jti": number.to_string() }).to_string();
    let compact = format!("h{number}.{}.s", base64url(claims.as_bytes()));
    json!({ "access_token": compact, "issued_token_type": ID_JAG, "token_type": "N_A", "expires_in": 300 })
}

async fn company(world: &World) -> Company {
    let (mcp, server) = (bind().await, bind().await);
    let (base, issuer) = (origin(&mcp), origin(&server));
    let knobs = Arc::new(Mutex::new(Knobs { expires_in: Some(600), ..Knobs::default() }));
    let answers: Arc<Mutex<VecDeque<Value>>> = Arc::default();
    let (of_mcp, of_as, of_answers) = (Arc::clone(&knobs), Arc::clone(&knobs), Arc::clone(&answers));
    let (at, as_base, audience) = (base.clone(), issuer.clone(), world.issuer.clone());
    serve(mcp, move |seen| mcp_server(&at, &as_base, &mut of_mcp.lock().unwrap(), seen));
    let count = std::sync::atomic::AtomicU32::new(0);
    let log = serve(server, move |seen| {
        if seen.path() == "/token" && seen.form().get("requested_token_type").is_some() {
            let number = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            let told = of_answers.lock().unwrap().pop_front();
            let body = told.unwrap_or_else(|| jag(&audience, number));
            let status = if body.get("error").is_some() { 400 } else { 200 };
            return Reply(status, "content-type: application/json\r\n".into(), body.to_string());
        }
        authorization_server(&issuer, &mut of_as.lock().unwrap(), seen)
    });
    Company { mcp: format!("{base}/mcp"), log, answers, knobs }
}

impl Company {
    fn exchanges(&self) -> Vec<Seen> {
        let of = |seen: &&Seen| seen.path() == "/token" && seen.form().get("audience").is_some();
        self.log.lock().unwrap().iter().filter(of).cloned().collect()
    }

    fn sign_ins(&self) -> Vec<Seen> {
        self.log.lock().unwrap().iter().filter(|seen| seen.path() == "/authorize").cloned().collect()
    }
}

/// A server that takes a company's word, and says so.
fn taking(world: &World) {
    world.set(|knobs| {
        knobs.metadata = vec![
            ("grant_types_supported", json!(["authorization_code", JWT_BEARER])),
            ("authorization_grant_profiles_supported", json!([IDENTITY_PROFILE])),
            ("token_endpoint_auth_methods_supported", json!(["none", "client_secret_basic"])),
        ];
    });
}

fn known() -> LoginOptions {
    LoginOptions {
        client: Some(("acme".into(), Some(SecretString::new("secret-there")))),
        ..LoginOptions::default()
    }
}

async fn through(world: &World, company: &Company, options: &LoginOptions) -> Result<SignedIn, Failed> {
    let through = Through { server: company.mcp.clone(), account: "default".into() };
    world.client.login_through(&world.mcp, options, &through, &mut Robot::default()).await
}

async fn at_company(world: &World, company: &Company) {
    world.client.login(&company.mcp, &LoginOptions::default(), &mut Robot::default()).await.unwrap();
}

#[tokio::test]
async fn cl_090_cl_091_cl_092_a_kept_sign_in_is_enough_and_each_token_has_an_assertion_of_its_own() {
    let (world, options) = (World::new().await, known());
    let company = company(&world).await;
    taking(&world);
    at_company(&world, &company).await;
    let done = through(&world, &company, &options).await.unwrap();
    assert!(done.renewable && done.issuer == world.issuer);
    assert!(world.asked("/authorize").is_empty() && world.asked("/register").is_empty());
    let asked = company.exchanges()[0].form();
    let kept = world.kept();
    let there = kept.for_server(&company.mcp, "default").unwrap();
    for (name, value) in [
        ("requested_token_type", ID_JAG),
        ("audience", &*world.issuer),
        ("resource", &*world.mcp),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:refresh_token"),
        ("subject_token", there.tokens.refresh_token.as_ref().unwrap().expose()),
        ("client_id", &*there.client.client_id),
    ] {
        assert_eq!(asked.get(name), Some(value), "{name}");
    }
    let redeemed = world.asked("/token");
    assert_eq!(redeemed[0].form().get("grant_type"), Some(JWT_BEARER));
    assert!(redeemed[0].headers["authorization"].starts_with("Basic "));
    assert!(!company.log.lock().unwrap().iter().any(|seen| seen.body.contains("secret-there")));
    assert!(world.kept().for_server(&world.mcp, "default").unwrap().tokens.refresh_token.is_none());
    // When the token ends, the next one comes by the next assertion.
    world.clock.push(Duration::from_secs(3_601));
    world.client.token(&company.mcp, "default").await.unwrap();
    // Not even the lock of its own is waited for: the company's sign-in may have the same one.
    let key = world.kept().for_server(&world.mcp, "default").unwrap().key.clone();
    let _held = world.client.store().try_refresh_lock(&key).unwrap().unwrap();
    world.client.token(&world.mcp, "default").await.unwrap();
    let sent: Vec<String> =
        world.asked("/token").iter().map(|seen| seen.form().get("assertion").unwrap().to_owned()).collect();
    assert_eq!((sent.len(), company.exchanges().len()), (2, 2));
    assert_ne!(sent[0], sent[1]);
}

#[tokio::test]
async fn cl_092_a_server_that_does_not_say_so_is_signed_in_to_as_usual() {
    let world = World::new().await;
    let company = company(&world).await;
    at_company(&world, &company).await;
    for metadata in [
        vec![],
        vec![("grant_types_supported", json!(["authorization_code", JWT_BEARER]))],
        vec![("authorization_grant_profiles_supported", json!(["urn:other"]))],
    ] {
        world.set(|knobs| knobs.metadata = metadata);
        let done = through(&world, &company, &LoginOptions::default()).await.unwrap();
        assert!(done.renewable);
    }
    assert_eq!((world.asked("/authorize").len(), company.exchanges().len()), (3, 0));
    assert!(world.kept().for_server(&world.mcp, "default").unwrap().renewal.is_none());
}

#[tokio::test]
async fn cl_094_a_demand_for_another_sign_in_is_followed_once_and_as_demanded() {
    let (world, options) = (World::new().await, known());
    let company = company(&world).await;
    taking(&world);
    at_company(&world, &company).await;
    let demand = json!({
        "error": "insufficient_user_authentication", "max_age": 60, "acr_values": "urn:mfa",
    });
    company.answers.lock().unwrap().push_back(demand.clone());
    through(&world, &company, &options).await.unwrap();
    let asked = company.sign_ins();
    let query = asked[1].query();
    assert_eq!(
        (asked.len(), query.get("max_age"), query.get("acr_values")),
        (2, Some("60"), Some("urn:mfa"))
    );
    assert!(asked[0].query().get("max_age").is_none());
    company.answers.lock().unwrap().extend([demand.clone(), demand]);
    let end = error(through(&world, &company, &options).await);
    assert!(matches!(end, ClientError::SignInDemanded(demand) if demand.max_age == Some(60)));
    assert_eq!(company.sign_ins().len(), 3);
}

#[tokio::test]
async fn cl_090_what_is_wrong_goes_no_further() {
    let (world, options) = (World::new().await, known());
    let company = company(&world).await;
    taking(&world);
    assert!(matches!(error(through(&world, &company, &options).await), ClientError::ThroughEnded(_)));
    at_company(&world, &company).await;
    let public = LoginOptions { client: Some(("acme".into(), None)), ..LoginOptions::default() };
    for without in [LoginOptions::default(), public] {
        let end = error(through(&world, &company, &without).await);
        assert!(matches!(end, ClientError::ThroughUnknownClient));
    }
    for (answer, expected) in [
        (json!({ "error": "invalid_target" }), TokenError::InvalidTarget),
        (json!({ "error": "access_denied" }), TokenError::Refused),
        (jag("https://other.example", 1), TokenError::Audience),
        (json!({ "access_token": "x", "issued_token_type": ID_JAG }), TokenError::Malformed),
    ] {
        company.answers.lock().unwrap().push_back(answer);
        let end = error(through(&world, &company, &options).await);
        assert!(matches!(end, ClientError::Token(reason) if reason == expected), "{end:?}");
    }
    company.answers.lock().unwrap().push_back(json!({ "error": "invalid_grant" }));
    assert!(matches!(error(through(&world, &company, &options).await), ClientError::ThroughEnded(_)));
    assert!(world.asked("/token").is_empty(), "no assertion, no request");
    // Nothing is deleted for what somebody else says; and the sign-in at the company still renews itself.
    assert_eq!(world.kept().entries.len(), 1);
    company.knobs.lock().unwrap().expires_in = Some(3_600);
}
