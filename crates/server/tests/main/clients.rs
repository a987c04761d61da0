//! Each well-known client, one by one: what it registers, asks and sends gets through (P04, P06, P09, P19, P34, P39).
//!
//! The requests stand in `assets/clients`, one file per client, beside what the server needs to know about it.

use crate::support::*;
use axum::body::Body;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use hallpass_core::parameters;
use http::{Request, StatusCode};
use serde_json::{Value, json};
use std::collections::BTreeMap;

fn table() -> Vec<(String, Value)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/assets/clients");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    files.sort();
    let read = |path: &std::path::PathBuf| {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        (name, serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap())
    };
    files.iter().map(read).collect()
}

fn strings<'a>(value: &'a Value, name: &str) -> Vec<&'a str> {
    value[name]
        .as_array()
        .map(|list| list.iter().map(|one| one.as_str().unwrap()).collect())
        .unwrap_or_default()
}

/// How a client proves itself in this request.
struct Credentials<'a> {
    id: &'a str,
    secret: Option<&'a str>,
    by_header: bool,
}

impl Credentials<'_> {
    /// Sends a token request the way the client does: its Basic header without the inner encoding.
    async fn send(&self, server: &Server, pairs: &[(&str, &str)]) -> Answer {
        let mut all: Vec<(&str, &str)> = pairs.to_vec();
        let mut request = Request::post("/token").header("content-type", "application/x-www-form-urlencoded");
        match self.secret {
            Some(secret) if self.by_header => {
                let pair = STANDARD.encode(format!("{}:{secret}", self.id));
                request = request.header("authorization", format!("Basic {pair}"));
            }
            Some(secret) => all.extend([("client_id", self.id), ("client_secret", secret)]),
            None => all.push(("client_id", self.id)),
        }
        server.send(request.body(Body::from(parameters::encode(all.iter().copied()))).unwrap()).await
    }
}

/// Registers, and holds the answer against what was asked for: ChatGPT and others give up where it differs.
async fn registered(server: &Server, client: &str, body: &Value) -> (String, Option<String>) {
    let answer = server.post_json("/register", body).await;
    assert_eq!(answer.status, StatusCode::CREATED, "{client}: {}", answer.text);
    let registered = answer.json();
    let method = body["token_endpoint_auth_method"].as_str().unwrap_or("client_secret_basic");
    assert_eq!(text(&registered, "token_endpoint_auth_method"), method, "{client}");
    assert_eq!(strings(&registered, "redirect_uris"), strings(body, "redirect_uris"), "{client}");
    for grant in strings(&registered, "grant_types") {
        assert!(body["grant_types"].is_null() || strings(body, "grant_types").contains(&grant), "{client}");
    }
    let secret = registered["client_secret"].as_str().map(str::to_owned);
    assert_eq!(secret.is_some(), method != "none", "{client}");
    assert_eq!(registered["client_secret_expires_at"], if method == "none" { Value::Null } else { json!(0) });
    let id = text(&registered, "client_id").to_owned();
    assert!(id.len() <= 160, "{client}: a client_id of {} characters", id.len());
    (id, secret)
}

#[tokio::test]
async fn p04_p06_p09_p19_p34_p39_as_060_as_125_every_well_known_client_gets_through() {
    let (server, _host) = Server::with_documents(settings()).await;
    let mut browser = server.set_up().await;
    let mut asked = 0;
    for (client, entry) in table() {
        assert!(!strings(&entry, "quirks").is_empty(), "{client}");
        for replayed in entry["replayed"].as_array().unwrap() {
            let (id, secret) = match replayed["document"].as_str() {
                Some(url) => (url.to_owned(), None),
                None => registered(&server, &client, &replayed["registration"]).await,
            };
            for ask in replayed["asks"].as_array().unwrap() {
                let by_header = ask["secret"].as_str() != Some("body");
                let credentials = Credentials { id: &id, secret: secret.as_deref(), by_header };
                through(&server, &mut browser, &client, &credentials, ask).await;
                asked += 1;
            }
        }
    }
    assert!(asked >= 60, "{asked}");
}

/// One sign-in as the client does it: authorization, redemption, refresh.
async fn through(
    server: &Server,
    browser: &mut Browser<'_>,
    client: &str,
    credentials: &Credentials<'_>,
    ask: &Value,
) {
    let redirect = text(ask, "redirect_uri");
    let mut request: BTreeMap<String, String> = Server::request(credentials.id);
    request.insert("redirect_uri".into(), redirect.into());
    let slash = ask["resource"].as_str() == Some("slash");
    let resource = if slash { format!("{RESOURCE}/") } else { RESOURCE.to_owned() };
    request.insert("resource".into(), resource.clone());
    match ask["scope"].as_str() {
        Some(scope) => request.insert("scope".into(), scope.into()),
        None => request.remove("scope"),
    };
    let page = browser.get(&query(&request)).await;
    assert_eq!(page.status, StatusCode::OK, "{client} {redirect}: {}", page.text);
    let moving = browser.answer(&page, "allow").await;
    let target = moving.target().unwrap_or_else(|| panic!("{client}: {}", moving.text));
    assert!(target.starts_with(&format!("{redirect}?")), "{client}: {target}");
    assert_eq!(moving.answered("iss").as_deref(), Some(ISSUER), "{client}");
    let code = moving.answered("code").unwrap();
    let mut pairs = vec![
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("code_verifier", VERIFIER),
        ("redirect_uri", redirect),
    ];
    if ask["token_resource"] == json!(true) {
        pairs.push(("resource", &resource));
    }
    let tokens = credentials.send(server, &pairs).await;
    assert_eq!(tokens.status, StatusCode::OK, "{client}: {}", tokens.text);
    let tokens = tokens.json();
    assert_eq!(claims(text(&tokens, "access_token"))["aud"], json!(RESOURCE), "{client}");
    let Some(refresh) = tokens["refresh_token"].as_str() else {
        assert_eq!(client, "cursor", "only old Cursor registers without the refresh grant");
        return;
    };
    for resource in [None, Some(RESOURCE), Some("https://auth.example/mcp/")] {
        let mut pairs = vec![("grant_type", "refresh_token"), ("refresh_token", refresh)];
        pairs.extend(resource.map(|resource| ("resource", resource)));
        let again = credentials.send(server, &pairs).await;
        assert_eq!(again.status, StatusCode::OK, "{client}: {}", again.text);
    }
}

#[tokio::test]
async fn p34_as_037_what_a_client_did_not_register_is_a_page_also_under_a_vendors_rule() {
    let server = Server::start().await;
    let mut browser = server.set_up().await;
    let cloud = server.register("https://visor.app.n8n.cloud/rest/oauth2-credential/callback").await;
    let chatgpt = server.register("https://chatgpt.com/connector/oauth/mine").await;
    for (client, redirect) in [
        (&cloud, "https://other.app.n8n.cloud/rest/oauth2-credential/callback"),
        (&cloud, "https://oauth.n8n.cloud/oauth2/callback/x"),
        (&chatgpt, "https://chatgpt.com/connector/oauth/yours"),
        (&chatgpt, "https://oauth.n8n.cloud/oauth2/callback"),
    ] {
        let mut request = Server::request(client);
        request.insert("redirect_uri".into(), redirect.into());
        let page = browser.get(&query(&request)).await;
        assert_eq!((page.status, page.target()), (StatusCode::BAD_REQUEST, None), "{redirect}");
    }
}

#[tokio::test]
async fn as_065_the_application_type_decides_which_redirects_fit() {
    let server = Server::start().await;
    let (https, loopback, own) = ("https://a.example/cb", "http://127.0.0.1:7/cb", "app.example:/cb");
    for (kind, uris, kept, registered) in [
        (Some("web"), vec![https], vec![https], "web"),
        (Some("web"), vec![https, loopback, own], vec![https], "web"),
        (Some("native"), vec![https, loopback, own], vec![https, loopback, own], "native"),
        (None, vec![https, loopback], vec![https, loopback], "web"),
        (None, vec![loopback, own], vec![loopback, own], "native"),
        (None, vec![https], vec![https], "web"),
        (Some("something"), vec![loopback], vec![loopback], "native"),
    ] {
        let body =
            json!({"redirect_uris": uris, "application_type": kind, "token_endpoint_auth_method": "none"});
        let answer = server.post_json("/register", &body).await.json();
        assert_eq!(strings(&answer, "redirect_uris"), kept, "{kind:?}");
        assert_eq!(text(&answer, "application_type"), registered, "{kind:?}");
    }
    for uris in [vec![loopback], vec![own], vec![loopback, own]] {
        let body = json!({"redirect_uris": uris, "application_type": "web"});
        assert_eq!(server.post_json("/register", &body).await.error(), "invalid_redirect_uri", "{uris:?}");
    }
}
