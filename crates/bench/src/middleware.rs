//! The tower layer around a service that does nothing, without a network: what it adds to a request.

use crate::{
    measure::Bench,
    report::{Report, Verdict},
};
use anyhow::{Context, Result, bail};
use aws_lc_rs::signature::{self, KeyPair as _};
use hallpass_core::{
    entropy::SystemEntropy,
    id::GrantId,
    jose::{Algorithm, KeySet, SigningKey},
    jwt::{AccessToken, AccessTokenSigner, GrantReference},
    scope::Scope,
    time::{Clock, SystemClock},
    uri::ResourceUri,
};
use hallpass_resource::{KeySource, ProtectLayer, ProtectedResource, Revocations, Settings, metadata};
use http::{Request, Response, header};
use http_body_util::Empty;
use std::{
    convert::Infallible,
    hint::black_box,
    sync::Arc,
    time::{Duration, Instant},
};
use tower::{Layer, Service, service_fn};

/// Requests of one round, each with a token of its own or all with one.
const REQUESTS: u32 = 4_000;
const ROUNDS: usize = 5;
/// A request, in microseconds.
const SEEN: f64 = 3.0;
const NEVER_SEEN: f64 = 45.0;
const ISSUER: &str = "https://auth.example";
const RESOURCE: &str = "https://mcp.example/mcp";

impl Bench<'_> {
    /// In this process, on the core of the load.
    pub async fn middleware(&self, report: &mut Report) -> Result<()> {
        let key = SigningKey::generate(Algorithm::Es256)?;
        let (mut seen, mut never) = (Duration::MAX, Duration::MAX);
        for _ in 0..ROUNDS {
            let resource = resource(&key)?;
            let one = token(&key)?;
            // The cache is full of others before it counts, as in a server that has run for a while.
            never = never.min(asked(&resource, &fresh(&key)?).await?);
            asked(&resource, std::slice::from_ref(&one)).await?;
            seen = seen.min(asked(&resource, &vec![one; usize::try_from(REQUESTS)?]).await?);
        }
        let verification = verification()?;
        let micros = |time: Duration| time.as_secs_f64() * 1e6;
        let verdict = |most: f64, time: Duration, more: String| Verdict {
            goal: format!("≤ {most} µs"),
            found: format!("{:.2} µs{more}", micros(time)),
            reached: micros(time) <= most,
        };
        report.below("q. the tower layer, token seen before", &verdict(SEEN, seen, String::new()));
        let bare = format!(", of which one bare ES256 verification is {:.1}", micros(verification));
        report.below("q. the tower layer, token never seen", &verdict(NEVER_SEEN, never, bare));
        Ok(())
    }
}

fn resource(key: &SigningKey) -> Result<Arc<ProtectedResource>> {
    let keys = serde_json::json!({ "keys": [key.public_jwk().to_json()] }).to_string();
    let keys = KeySource::fixed(KeySet::parse(keys.as_bytes())?);
    let resource = ResourceUri::parse(RESOURCE)?;
    let settings = Settings { metadata_url: metadata::url(&resource), resource, issuer: ISSUER.into() };
    Ok(Arc::new(ProtectedResource::new(settings, Arc::new(keys), Arc::new(Revocations::without_feed()))))
}

fn token(key: &SigningKey) -> Result<String> {
    let now = SystemClock.now();
    let token = AccessToken {
        issuer: ISSUER.to_owned(),
        subject: "ada".to_owned(),
        audience: RESOURCE.to_owned(),
        client_id: "benchmark".to_owned(),
        issued_at: now,
        expires_at: now.plus(Duration::from_mins(10)),
        scope: Some("mcp".to_owned()),
        grant: GrantReference {
            grant: GrantId::new(now, &SystemEntropy),
            generation: 0,
            epoch: 0,
            salt: hallpass_core::entropy::random(&SystemEntropy),
        },
        key_thumbprint: None,
        details: None,
        actors: Vec::new(),
    };
    Ok(AccessTokenSigner::new(key).sign(&token)?.expose().to_owned())
}

fn fresh(key: &SigningKey) -> Result<Vec<String>> {
    (0..REQUESTS).map(|_| token(key)).collect()
}

/// The time of one request, on average. Requests are made before, answers are thrown away after.
async fn asked(resource: &Arc<ProtectedResource>, tokens: &[String]) -> Result<Duration> {
    let inner = service_fn(|request: Request<Empty<bytes::Bytes>>| async move {
        black_box(&request);
        Ok::<_, Infallible>(Response::new(Empty::<bytes::Bytes>::new()))
    });
    let mut service = ProtectLayer::new(Arc::clone(resource), Scope::parse("mcp")?).layer(inner);
    let mut requests = Vec::new();
    for token in tokens {
        let request = Request::post(RESOURCE).header(header::AUTHORIZATION, format!("Bearer {token}"));
        requests.push(request.body(Empty::new())?);
    }
    let began = Instant::now();
    for request in requests {
        let Ok(answer) = service.call(request).await;
        if !answer.status().is_success() {
            bail!("the layer refused: {}", answer.status());
        }
    }
    let count = u32::try_from(tokens.len())?;
    began.elapsed().checked_div(count).context("no request")
}

/// One ES256 verification, with nothing around it.
fn verification() -> Result<Duration> {
    let random = aws_lc_rs::rand::SystemRandom::new();
    let document =
        signature::EcdsaKeyPair::generate_pkcs8(&signature::ECDSA_P256_SHA256_FIXED_SIGNING, &random)
            .context("no key")?;
    let pair =
        signature::EcdsaKeyPair::from_pkcs8(&signature::ECDSA_P256_SHA256_FIXED_SIGNING, document.as_ref())
            .context("no key")?;
    let message = [7_u8; 600];
    let signed = pair.sign(&random, &message).context("no signature")?;
    let key =
        signature::UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, pair.public_key().as_ref());
    let began = Instant::now();
    for _ in 0..REQUESTS {
        key.verify(black_box(&message), signed.as_ref()).context("not verified")?;
    }
    began.elapsed().checked_div(REQUESTS).context("no request")
}
