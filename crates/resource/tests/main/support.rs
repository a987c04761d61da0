//! An authorization server of five lines, and a resource that trusts it.

use hallpass_core::{
    id::GrantId,
    jose::{Algorithm, KeySet, SigningKey},
    jwt::{AccessToken, GrantReference, access_token::AccessTokenSigner},
    time::{Clock, Timestamp},
    uri::ResourceUri,
};
use hallpass_resource::{Head, KeySource, ProtectedResource, Revocations, Settings, metadata};
use http::{HeaderMap, HeaderValue, Method, header};
use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

pub const ISSUER: &str = "https://as.example";
pub const RESOURCE: &str = "https://mcp.example/mcp";
pub const METADATA: &str = "https://mcp.example/.well-known/oauth-protected-resource/mcp";
pub const START: Timestamp = Timestamp::from_seconds(1_800_000_000);
pub const GRANT: GrantId = GrantId::from_bytes([5; 16]);

/// A clock that stands still until it is pushed. Not the shared one: this library is tested without a database too.
#[derive(Clone)]
pub struct ManualClock(Arc<AtomicI64>);

impl ManualClock {
    pub fn set(&self, now: Timestamp) {
        self.0.store(now.millis(), Ordering::SeqCst);
    }

    pub fn push(&self, by: Duration) {
        self.set(self.now().plus(by));
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }
}

pub struct World {
    pub key: SigningKey,
    pub keys: Arc<KeySource>,
    pub revocations: Arc<Revocations>,
    pub clock: ManualClock,
    pub resource: Arc<ProtectedResource>,
}

pub fn world() -> World {
    let key = SigningKey::generate(Algorithm::Es256).unwrap();
    let keys = Arc::new(KeySource::fixed(KeySet::from_keys(vec![key.verifying_key()])));
    world_with(key, keys)
}

pub fn world_with(key: SigningKey, keys: Arc<KeySource>) -> World {
    let revocations = Arc::new(Revocations::new());
    revocations.replace_all([], 0);
    let clock = ManualClock(Arc::new(AtomicI64::new(START.millis())));
    let resource = ResourceUri::parse(RESOURCE).unwrap();
    let settings = Settings { metadata_url: metadata::url(&resource), resource, issuer: ISSUER.into() };
    let resource = ProtectedResource::new(settings, Arc::clone(&keys), Arc::clone(&revocations))
        .with_clock(Arc::new(clock.clone()));
    World { key, keys, revocations, clock, resource: Arc::new(resource) }
}

pub fn claims() -> AccessToken {
    AccessToken {
        issuer: ISSUER.into(),
        subject: "ann".into(),
        audience: RESOURCE.into(),
        client_id: "client".into(),
        issued_at: START,
        expires_at: START.plus(Duration::from_mins(5)),
        scope: Some("files:read files:write".into()),
        grant: GrantReference { grant: GRANT, generation: 0, epoch: 1, salt: [0; 6] },
        key_thumbprint: None,
        details: None,
        actors: Vec::new(),
    }
}

pub fn sign(key: &SigningKey, token: &AccessToken) -> String {
    AccessTokenSigner::new(key).sign(token).unwrap().expose().to_owned()
}

pub fn bearer(token: &str) -> HeaderMap {
    let value = HeaderValue::try_from(format!("Bearer {token}")).unwrap();
    HeaderMap::from_iter([(header::AUTHORIZATION, value)])
}

/// A message with these header fields.
pub fn head(headers: &HeaderMap) -> Head<'_> {
    Head { method: &Method::POST, path: "/mcp", headers }
}

impl World {
    pub fn token(&self) -> String {
        sign(&self.key, &claims())
    }

    pub async fn ask(
        &self,
        token: &str,
    ) -> Result<hallpass_resource::Authenticated, hallpass_resource::Reason> {
        self.resource.authenticate(head(&bearer(token)), self.clock.now()).await
    }
}
