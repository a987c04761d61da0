//! Every kind of JWT, presented wherever another kind is expected: seven kinds at seven places, all signed with a key that the
//! place trusts.

use crate::{
    assertions::signed,
    machines::{MACHINE, key_set},
    support::*,
};
use axum::body::Body;
use hallpass_core::{
    encoding::base64url,
    jose::{Algorithm, KeySet, SigningKey},
    jwt::{caller_assertion, grant_assertion::GRANT_TYPE},
    parameters,
    secret::SecretString,
};
use hallpass_server::{
    ClientRecord, OperatorClient, Settings, TOKEN_EXCHANGE, digest_of_secret,
    issuers::{
        TrustedIssuer, WorkloadIssuer, WrittenKeys,
        identity_provider::IdentityProvider,
        workload::{Workload, WrittenWorkload},
    },
};
use http::Request;
use serde_json::{Map, Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};

const SECRET: &str = "a-secret-of-everybody-here";
const CLUSTER: &str = "https://kubernetes.example";
const COMPANY: &str = "https://acme.idp.example";
const UPSTREAM: &str = "http://127.0.0.1:3001/mcp";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
static MADE: AtomicUsize = AtomicUsize::new(0);

/// What a JWT is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Access,
    Client,
    Workload,
    Identity,
    Proof,
    /// What a gateway tells the server behind it, signed with the same key as access tokens.
    Caller,
    /// Of the company, for another client: accepted nowhere.
    IdToken,
}

const KINDS: [Kind; 7] =
    [Kind::Access, Kind::Client, Kind::Workload, Kind::Identity, Kind::Proof, Kind::Caller, Kind::IdToken];

/// Where one is expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Introspection,
    Exchange,
    ClientAssertion,
    WorkloadGrant,
    IdentityGrant,
    ProofHeader,
    /// A server behind the gateway.
    Upstream,
}

const PLACES: [Place; 7] = [
    Place::Introspection,
    Place::Exchange,
    Place::ClientAssertion,
    Place::WorkloadGrant,
    Place::IdentityGrant,
    Place::ProofHeader,
    Place::Upstream,
];

impl Place {
    fn wants(self) -> Kind {
        match self {
            Self::Introspection | Self::Exchange => Kind::Access,
            Self::ClientAssertion => Kind::Client,
            Self::WorkloadGrant => Kind::Workload,
            Self::IdentityGrant => Kind::Identity,
            Self::ProofHeader => Kind::Proof,
            Self::Upstream => Kind::Caller,
        }
    }
}

impl Kind {
    /// As its standard names it. Platforms and identity providers write only `JWT`, and so do many clients.
    fn typ(self) -> &'static str {
        match self {
            Self::Access => "at+jwt",
            Self::Client => "client-authentication+jwt",
            Self::Workload | Self::IdToken => "JWT",
            Self::Identity => "oauth-id-jag+jwt",
            Self::Proof => "dpop+jwt",
            Self::Caller => caller_assertion::TYPE,
        }
    }
}

fn client(id: &str, change: impl FnOnce(&mut Value)) -> OperatorClient {
    let mut record = json!({
        "name": id, "auth": "client_secret_post", "grant_types": ["client_credentials"], "scopes": ["read"],
        "resources": [RESOURCE], "secrets": [digest_of_secret(&SecretString::new(SECRET)).unwrap()],
    });
    change(&mut record);
    let record: ClientRecord = serde_json::from_value(record).unwrap();
    OperatorClient::new(id, &record).unwrap()
}

/// The platform, the company, the client and the holder of the proof are one, with one key, and all speak of somebody of one
/// name.
fn trusting(key: &SigningKey) -> Settings {
    let keys = key_set(&[key]);
    let issuer = |url: &str| {
        let text = keys.to_string();
        let written = WrittenKeys { jwks: Some(text.as_bytes()), jwks_uri: None };
        TrustedIssuer::new(url, &[], None, written).unwrap()
    };
    let without_machine = |record: &mut Value, grant: &[&str]| {
        record["grant_types"] = json!(grant);
        (record["scopes"], record["resources"]) = (Value::Null, Value::Null);
    };
    let mut settings = settings();
    settings.clients = vec![
        client("robot", |record| record["grant_types"] = json!(["client_credentials", TOKEN_EXCHANGE])),
        client("signer", |record| {
            (record["auth"], record["secrets"], record["jwks"]) =
                (json!("private_key_jwt"), json!([]), keys.clone());
        }),
        client("assistant", |record| without_machine(record, &[GRANT_TYPE])),
        client("things", |record| without_machine(record, &[])),
    ];
    settings.resources[0].introspectors = vec!["things".into()];
    let (claims, scopes) = ([("sub".to_owned(), "signer".to_owned())].into(), ["read".to_owned()]);
    let workload = Workload::new(&WrittenWorkload {
        id: "ci",
        subject: None,
        claims: &claims,
        scopes: &scopes,
        resources: None,
    });
    settings.workload_issuers = vec![WorkloadIssuer::new(issuer(CLUSTER), vec![workload.unwrap()]).unwrap()];
    let accounts = [("signer".to_owned(), NAME.to_owned())].into();
    settings.identity_providers = vec![IdentityProvider { issuer: issuer(COMPANY), tenant: None, accounts }];
    settings
}

struct World {
    server: Server,
    /// Everybody's but the server's.
    shared: SigningKey,
    /// The server's own: nothing that it signs may be taken for a word of somebody else.
    own: SigningKey,
}

impl World {
    async fn new() -> Self {
        let shared = SigningKey::generate(Algorithm::Es256).unwrap();
        let server = Server::with(trusting(&shared)).await;
        server.set_up().await;
        let own = server.app.tokens.current().signer.key().clone();
        Self { server, shared, own }
    }

    fn signs(&self, kind: Kind) -> &SigningKey {
        match kind {
            Kind::Access | Kind::Caller => &self.own,
            Kind::Client | Kind::Workload | Kind::Identity | Kind::Proof | Kind::IdToken => &self.shared,
        }
    }

    /// What the others need too, so that nothing is refused because something is missing.
    async fn claims(&self, kind: Kind) -> Value {
        let (now, number) = (self.server.now().seconds(), MADE.fetch_add(1, Ordering::SeqCst));
        let mut claims = json!({
            "jti": format!("k{number}"), "iat": now, "exp": now + 60, "htm": "POST", "htu": format!("{ISSUER}/token"),
            "client_id": "assistant", "resource": RESOURCE, "scope": "read", "nonce": "n", "azp": "assistant",
        });
        let (iss, sub, aud) = match kind {
            Kind::Access => {
                let asked = [MACHINE, ("client_id", "robot"), ("client_secret", SECRET)];
                let answer = self.server.form("/token", &asked).await.json();
                claims["jti"] = crate::support::claims(text(&answer, "access_token"))["jti"].clone();
                claims["client_id"] = json!("robot");
                (ISSUER, "robot", RESOURCE)
            }
            Kind::Client => ("signer", "signer", ISSUER),
            Kind::Workload => (CLUSTER, "signer", ISSUER),
            Kind::Identity => (COMPANY, "signer", ISSUER),
            // A key says nothing about who holds it.
            Kind::Proof => ("", "", ""),
            Kind::Caller => (ISSUER, "robot", UPSTREAM),
            Kind::IdToken => (COMPANY, "signer", "assistant"),
        };
        for (name, value) in [("iss", iss), ("sub", sub), ("aud", aud)] {
            claims[name] = json!(value);
        }
        claims
    }

    async fn accepts(&self, place: Place, token: &str) -> bool {
        let secret = ("client_secret", SECRET);
        let (path, pairs, proof) = match place {
            Place::Introspection => {
                ("/introspect", vec![("client_id", "things"), secret, ("token", token)], None)
            }
            Place::Exchange => {
                let kind = ("subject_token_type", ACCESS_TOKEN);
                let by = [("grant_type", TOKEN_EXCHANGE), ("client_id", "robot"), secret];
                ("/token", [&by[..], &[("subject_token", token), kind]].concat(), None)
            }
            Place::ClientAssertion => ("/token", signed(token, &[MACHINE]), None),
            Place::WorkloadGrant => ("/token", vec![("grant_type", GRANT_TYPE), ("assertion", token)], None),
            Place::IdentityGrant => {
                let by = [("grant_type", GRANT_TYPE), ("client_id", "assistant"), secret];
                ("/token", [&by[..], &[("assertion", token)]].concat(), None)
            }
            Place::ProofHeader => ("/token", vec![MACHINE, ("client_id", "robot"), secret], Some(token)),
            Place::Upstream => {
                let keys = KeySet::from_keys(vec![self.own.verifying_key()]);
                return caller_assertion::verify(token, &keys, (ISSUER, UPSTREAM), self.server.now()).is_ok();
            }
        };
        let mut request = Request::post(path).header("content-type", "application/x-www-form-urlencoded");
        if let Some(proof) = proof {
            request = request.header("DPoP", proof);
        }
        let body = Body::from(parameters::encode(pairs));
        let answer = self.server.send(request.body(body).unwrap()).await;
        assert!(!answer.status.is_server_error(), "{place:?}: {answer:?}");
        if place == Place::Introspection {
            return answer.json()["active"] == true;
        }
        assert_eq!(answer.status.is_success(), answer.json().get("access_token").is_some(), "{answer:?}");
        answer.status.is_success()
    }
}

/// With both ways to find the key: its id, and itself.
fn made(key: &SigningKey, typ: &str, claims: &Value) -> String {
    let mut jwk: Map<String, Value> = key.public_jwk().to_json().as_object().unwrap().clone();
    jwk.retain(|name, _| !matches!(&**name, "alg" | "use" | "kid"));
    let header = json!({"alg": key.algorithm().name(), "kid": key.key_id(), "typ": typ, "jwk": jwk});
    let part = |value: &Value| base64url(value.to_string().as_bytes());
    let text = format!("{}.{}", part(&header), part(claims));
    format!("{text}.{}", base64url(&key.sign_bytes(text.as_bytes()).unwrap()))
}

#[tokio::test]
async fn t_43_rs_025_rs_045_as_163_each_kind_is_taken_where_it_belongs_alone() {
    let world = World::new().await;
    let (mut accepted, mut refused) = (0, 0);
    for kind in KINDS {
        for place in PLACES {
            for key in [&world.shared, &world.own] {
                let token = made(key, kind.typ(), &world.claims(kind).await);
                let right = place.wants() == kind && key.key_id() == world.signs(kind).key_id();
                // Anybody may bring any key along with a proof: that is what it proves.
                let right = right || (place.wants() == kind && kind == Kind::Proof);
                assert_eq!(world.accepts(place, &token).await, right, "{kind:?} at {place:?}, {key:?}");
                if right { accepted += 1 } else { refused += 1 }
            }
        }
    }
    assert_eq!((accepted, refused), (8, 90));
}

/// Everything is as the place wants it, and only the type says what it was made for.
#[tokio::test]
async fn t_43_as_190_rs_025_the_type_alone_keeps_them_apart() {
    let world = World::new().await;
    let types = KINDS.map(Kind::typ);
    let others =
        ["logout+jwt", "secevent+jwt", "token-introspection+jwt", "entity-statement+jwt", "at+jwt ", ""];
    for place in PLACES {
        for typ in types.into_iter().chain(others) {
            let claims = world.claims(place.wants()).await;
            let token = made(world.signs(place.wants()), typ, &claims);
            // A client may say no more than `JWT`, too (RFC 7523 has no type of its own).
            let right = typ == place.wants().typ() || (place == Place::ClientAssertion && typ == "JWT");
            assert_eq!(world.accepts(place, &token).await, right, "{typ:?} at {place:?}");
        }
    }
}
