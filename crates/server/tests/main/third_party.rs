//! An authorization server of somebody else: strict about codes, PKCE and who asks; refresh tokens are good once. It can be
//! told to fail.

use axum::{Router, extract::State, response::IntoResponse, routing::any};
use bytes::Bytes;
use hallpass_core::{
    parameters::{Limits, Parameters, append_to},
    pkce::CodeChallenge,
};
use http::{HeaderMap, StatusCode, Uri};
use serde_json::json;
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
    time::Duration,
};

/// What it does at the token endpoint.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    Good,
    /// 503.
    Down,
    /// Says that it does not know us.
    Forgetful,
    /// Takes its time.
    Slow,
    /// An access token and no more.
    ForEver,
}

struct Code {
    account: String,
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
}

#[derive(Clone)]
pub struct ThirdParty {
    pub issuer: String,
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
        };
        let third = Self { issuer, inner: Arc::new(Mutex::new(inner)) };
        let served = Router::new().fallback(any(serve)).with_state(third.clone());
        tokio::spawn(async move { axum::serve(listener, served).await });
        third
    }

    pub fn mood(&self, mood: Mood) {
        self.inner.lock().unwrap().mood = mood;
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
        let kept = Code { account: account.into(), challenge, redirect_uri: redirect_uri.clone() };
        inner.codes.insert(code.clone(), kept);
        append_to(&redirect_uri, [("code", &*code), ("state", &*get("state")), ("iss", &*self.issuer)])
    }
}

fn typed(body: &serde_json::Value) -> impl IntoResponse + use<> {
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
        "/revoke" => {
            let form = Parameters::parse(&body, Limits::default()).unwrap();
            let token = form.get("token").unwrap().to_owned();
            third.inner.lock().unwrap().revoked.push(token);
            StatusCode::OK.into_response()
        }
        _ => StatusCode::NOT_FOUND.into_response(),
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
            Mood::Good | Mood::Slow | Mood::ForEver => {}
        }
        // "us:secret of ours", the secret form-encoded.
        if headers.get("authorization").is_none_or(|value| value != "Basic dXM6c2VjcmV0K29mK291cnM=") {
            return refused("invalid_client");
        }
        let account = match form.get("grant_type") {
            Some("authorization_code") => {
                inner.codes.remove(form.get("code").unwrap_or_default()).and_then(|code| {
                    let verifier = form.get("code_verifier");
                    let challenge = CodeChallenge::from_request(Some(&code.challenge), Some("S256")).unwrap();
                    let good = challenge.verify(verifier).is_ok()
                        && form.get("redirect_uri") == Some(&*code.redirect_uri);
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
        if inner.mood != Mood::ForEver {
            let refresh = format!("refresh-of-{account}-{number}");
            inner.live.insert(refresh.clone(), account);
            answer["refresh_token"] = refresh.into();
            answer["expires_in"] = 3600.into();
        }
        typed(&answer).into_response()
    }
}
