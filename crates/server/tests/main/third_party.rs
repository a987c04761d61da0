//! An authorization server of somebody else: strict about codes, PKCE and who asks; refresh tokens are good once. It can be
//! told to fail. Asked for the scope `openid` it says who somebody is as well (OpenID Connect), and it can be told to lie.

use axum::{Router, extract::State, response::IntoResponse, routing::any};
use bytes::Bytes;
use hallpass_core::{
    encoding,
    jose::{Algorithm, KeySet, SigningKey, jws},
    jwt::client_assertion::{self, ASSERTION_TYPE, Expectations},
    parameters::{Limits, Parameters, append_to},
    pkce::CodeChallenge,
    time::Timestamp,
};
use http::{HeaderMap, StatusCode, Uri};
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

/// What it does at the token endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mood {
    Good,
    /// 503.
    Down,
    /// Says that it does not know us.
    Forgetful,
    /// 429.
    Busy,
    /// Something in front of it answers 401 with a page.
    Wall,
    /// Takes its time.
    Slow,
    /// An access token and no more.
    ForEver,
}

/// How it signs ID tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signs {
    Well,
    /// With a key that nobody published.
    WithAnotherKey,
    /// `alg: none`.
    NotAtAll,
    /// HMAC, with its own public key as the secret.
    WithItsPublicKey,
    /// As the provider's other kind of token.
    AsAccessToken,
    /// There is no ID token.
    Nothing,
}

type Lie = Arc<dyn Fn(&mut Value) + Send + Sync>;

struct Code {
    account: String,
    nonce: Option<String>,
    challenge: String,
    redirect_uri: String,
}

struct Inner {
    mood: Mood,
    codes: HashMap<String, Code>,
    /// Live refresh tokens and whose they are.
    live: HashMap<String, String>,
    number: usize,
    asked: Vec<String>,
    revoked: Vec<String>,
    now: i64,
    signs: Signs,
    lie: Option<Lie>,
    userinfo: Option<(u16, String)>,
    /// The keys of its client, where that signs in place of a secret.
    keys: Option<KeySet>,
    /// What it has signed.
    assertions: Vec<String>,
}

#[derive(Clone)]
pub struct ThirdParty {
    pub issuer: String,
    key: Arc<SigningKey>,
    inner: Arc<Mutex<Inner>>,
}

impl ThirdParty {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let inner = Inner {
            mood: Mood::Good,
            codes: HashMap::new(),
            live: HashMap::new(),
            number: 0,
            asked: vec![],
            revoked: vec![],
            now: crate::support::NOW.seconds(),
            signs: Signs::Well,
            lie: None,
            userinfo: None,
            keys: None,
            assertions: vec![],
        };
        let key = Arc::new(SigningKey::generate(Algorithm::Es256).unwrap());
        let third = Self { issuer, key, inner: Arc::new(Mutex::new(inner)) };
        let served = Router::new().fallback(any(serve)).with_state(third.clone());
        tokio::spawn(async move { axum::serve(listener, served).await });
        third
    }

    pub fn mood(&self, mood: Mood) {
        self.inner.lock().unwrap().mood = mood;
    }

    /// Its client signs with this key from now on, and has no secret.
    pub fn knows(&self, key: &SigningKey) {
        self.inner.lock().unwrap().keys = Some(KeySet::from_keys(vec![key.verifying_key()]));
    }

    /// One that nobody reaches, at an address that was one.
    pub async fn stopped(&self) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        Self { issuer, ..self.clone() }
    }

    /// Its clock.
    pub fn at(&self, now: Timestamp) {
        self.inner.lock().unwrap().now = now.seconds();
    }

    /// How it signs from now on.
    pub fn signs(&self, signs: Signs) {
        self.inner.lock().unwrap().signs = signs;
    }

    /// What it makes of the claims of an ID token from now on.
    pub fn lies(&self, lie: impl Fn(&mut Value) + Send + Sync + 'static) {
        self.inner.lock().unwrap().lie = Some(Arc::new(lie));
    }

    /// No more lies.
    pub fn honest(&self) {
        let mut inner = self.inner.lock().unwrap();
        (inner.lie, inner.signs, inner.userinfo) = (None, Signs::Well, None);
    }

    /// What its userinfo endpoint answers from now on.
    pub fn userinfo(&self, status: u16, body: &str) {
        self.inner.lock().unwrap().userinfo = Some((status, body.to_owned()));
    }

    /// Grant types asked for so far.
    pub fn asked(&self) -> Vec<String> {
        self.inner.lock().unwrap().asked.clone()
    }

    pub fn revoked(&self) -> Vec<String> {
        self.inner.lock().unwrap().revoked.clone()
    }

    /// Takes back everything of everybody.
    pub fn forget(&self) {
        self.inner.lock().unwrap().live.clear();
    }

    /// A person with this account says yes at the page: where the browser is sent.
    pub fn allows(&self, page: &str, account: &str) -> String {
        let query =
            page.strip_prefix(&format!("{}/authorize?", self.issuer)).unwrap_or_else(|| panic!("{page}"));
        let asked = Parameters::parse(query.as_bytes(), Limits::default()).unwrap();
        let get = |name: &str| asked.get(name).unwrap_or_else(|| panic!("{name} in {query}")).to_owned();
        assert_eq!((get("response_type"), get("client_id")), ("code".into(), "us".into()));
        CodeChallenge::from_request(asked.get("code_challenge"), asked.get("code_challenge_method")).unwrap();
        let mut inner = self.inner.lock().unwrap();
        inner.number += 1;
        let (code, redirect_uri) = (format!("code-{}", inner.number), get("redirect_uri"));
        let challenge = get("code_challenge");
        let scope = asked.get("scope").unwrap_or_default();
        let nonce = asked.get("nonce").filter(|_| scope.contains("openid")).map(str::to_owned);
        let kept = Code { account: account.into(), nonce, challenge, redirect_uri: redirect_uri.clone() };
        inner.codes.insert(code.clone(), kept);
        append_to(&redirect_uri, [("code", &*code), ("state", &*get("state")), ("iss", &*self.issuer)])
    }
}

fn typed(body: &Value) -> impl IntoResponse + use<> {
    ([("content-type", "application/json")], body.to_string())
}

async fn serve(
    State(third): State<ThirdParty>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> axum::response::Response {
    let issuer = &third.issuer;
    match uri.path() {
        "/.well-known/oauth-authorization-server" => typed(&json!({
            "issuer": issuer,
            "authorization_endpoint": format!("{issuer}/authorize"),
            "token_endpoint": format!("{issuer}/token"),
            "revocation_endpoint": format!("{issuer}/revoke"),
            "jwks_uri": format!("{issuer}/jwks"),
            "userinfo_endpoint": format!("{issuer}/userinfo"),
            "response_types_supported": ["code"],
            "code_challenge_methods_supported": ["S256"],
            "authorization_response_iss_parameter_supported": true,
        }))
        .into_response(),
        "/token" => {
            let mood = third.inner.lock().unwrap().mood;
            if mood == Mood::Slow {
                tokio::time::sleep(Duration::from_millis(300)).await;
            }
            third.token(&headers, &body)
        }
        "/jwks" => typed(&json!({ "keys": [third.key.public_jwk().to_json()] })).into_response(),
        "/userinfo" => third.about(&headers),
        "/revoke" => {
            let form = Parameters::parse(&body, Limits::default()).unwrap();
            let token = form.get("token").unwrap().to_owned();
            third.inner.lock().unwrap().revoked.push(token);
            StatusCode::OK.into_response()
        }
        _ => StatusCode::NOT_FOUND.into_response(),
    }
}

impl Inner {
    /// By its secret, or by an assertion for this issuer that was not seen before.
    fn is_client(&mut self, headers: &HeaderMap, form: &Parameters, issuer: &str) -> bool {
        let header = headers.get("authorization");
        let Some(keys) = &self.keys else {
            return header.is_some_and(|value| value == "Basic dXM6c2VjcmV0K29mK291cnM=");
        };
        let expected =
            Expectations { client_id: "us", audiences: &[issuer], now: Timestamp::from_seconds(self.now) };
        let assertion = form.get("client_assertion").unwrap_or_default();
        let typed = form.get("client_assertion_type") == Some(ASSERTION_TYPE);
        let alone = header.is_none() && form.get("client_secret").is_none();
        let Ok(said) = client_assertion::verify(assertion, keys, &expected) else { return false };
        let token_id = said.into_inner().token_id;
        let is_new = !self.assertions.contains(&token_id);
        self.assertions.push(token_id);
        typed && alone && is_new
    }
}

impl ThirdParty {
    fn token(&self, headers: &HeaderMap, body: &Bytes) -> axum::response::Response {
        let refused =
            |error: &str| (StatusCode::BAD_REQUEST, typed(&json!({ "error": error }))).into_response();
        let form = Parameters::parse(body, Limits::default()).unwrap();
        let mut inner = self.inner.lock().unwrap();
        inner.asked.push(form.get("grant_type").unwrap().to_owned());
        match inner.mood {
            Mood::Down => return StatusCode::SERVICE_UNAVAILABLE.into_response(),
            Mood::Forgetful => return refused("invalid_client"),
            Mood::Busy => return StatusCode::TOO_MANY_REQUESTS.into_response(),
            Mood::Wall => return (StatusCode::UNAUTHORIZED, "<html>invalid_grant</html>").into_response(),
            Mood::Good | Mood::Slow | Mood::ForEver => {}
        }
        // "us:secret of ours", the secret form-encoded.
        if !inner.is_client(headers, &form, &self.issuer) {
            return refused("invalid_client");
        }
        let mut nonce = None;
        let account = match form.get("grant_type") {
            Some("authorization_code") => {
                inner.codes.remove(form.get("code").unwrap_or_default()).and_then(|code| {
                    let verifier = form.get("code_verifier");
                    let challenge = CodeChallenge::from_request(Some(&code.challenge), Some("S256")).unwrap();
                    let good = challenge.verify(verifier).is_ok()
                        && form.get("redirect_uri") == Some(&*code.redirect_uri);
                    nonce = code.nonce;
                    good.then_some(code.account)
                })
            }
            Some("refresh_token") => inner.live.remove(form.get("refresh_token").unwrap_or_default()),
            _ => None,
        };
        let Some(account) = account else { return refused("invalid_grant") };
        inner.number += 1;
        let number = inner.number;
        let mut answer =
            json!({ "access_token": format!("access-of-{account}-{number}"), "token_type": "bearer" });
        if let Some(nonce) = nonce
            && inner.signs != Signs::Nothing
        {
            answer["id_token"] = self.id_token(&inner, &account, &nonce).into();
        }
        if inner.mood != Mood::ForEver {
            let refresh = format!("refresh-of-{account}-{number}");
            inner.live.insert(refresh.clone(), account);
            answer["refresh_token"] = refresh.into();
            answer["expires_in"] = 3600.into();
        }
        typed(&answer).into_response()
    }

    fn id_token(&self, inner: &Inner, account: &str, nonce: &str) -> String {
        let now = inner.now;
        let mut claims = json!({
            "iss": self.issuer, "aud": "us", "sub": account, "nonce": nonce, "iat": now, "exp": now + 600,
            "auth_time": now, "preferred_username": account,
        });
        if let Some(lie) = &inner.lie {
            lie(&mut claims);
        }
        let body = claims.to_string();
        let by_hand = |algorithm: &str| {
            let header = json!({ "alg": algorithm, "kid": self.key.key_id(), "typ": "JWT" }).to_string();
            format!("{}.{}", encoding::base64url(header.as_bytes()), encoding::base64url(body.as_bytes()))
        };
        let signed = |key: &SigningKey, typ: &str| jws::sign(key, typ, body.as_bytes()).unwrap();
        match inner.signs {
            Signs::Well | Signs::Nothing => signed(&self.key, "JWT"),
            Signs::AsAccessToken => signed(&self.key, "at+jwt"),
            Signs::WithAnotherKey => signed(&SigningKey::generate(Algorithm::Es256).unwrap(), "JWT"),
            Signs::NotAtAll => format!("{}.", by_hand("none")),
            Signs::WithItsPublicKey => {
                let text = by_hand("HS256");
                let secret = self.key.public_jwk().to_json().to_string();
                let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret.as_bytes());
                let mac = aws_lc_rs::hmac::sign(&key, text.as_bytes());
                format!("{text}.{}", encoding::base64url(mac.as_ref()))
            }
        }
    }

    fn about(&self, headers: &HeaderMap) -> axum::response::Response {
        let inner = self.inner.lock().unwrap();
        if let Some((status, body)) = &inner.userinfo {
            let status = StatusCode::from_u16(*status).unwrap();
            return (status, [("content-type", "application/json")], body.clone()).into_response();
        }
        let bearer = headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let account = bearer.strip_prefix("Bearer access-of-").and_then(|rest| rest.rsplit_once('-'));
        let Some((account, _)) = account else { return StatusCode::UNAUTHORIZED.into_response() };
        typed(&json!({ "sub": account, "name": format!("{account} of there"), "login": account }))
            .into_response()
    }
}
