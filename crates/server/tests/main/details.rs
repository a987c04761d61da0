//! Rich authorization requests (RFC 9396): who may send them, what a person reads, and that nothing becomes wider.

use crate::{
    audit::{audited, lines},
    machines::is_active,
    support::*,
};
use hallpass_core::secret::SecretString;
use hallpass_server::{ClientRecord, OperatorClient, Settings, TOKEN_EXCHANGE, digest_of_secret};
use http::StatusCode;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const SECRET: &str = "a-secret-of-everybody-here";
const FAR: &str = "https://client.example/cb";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const SENT: &str = r#"[ {"tool": "pay", "type": "mcp_tool", "arguments": {"amount": {"min": 1, "max": 100}, "to": "Ada"}} ]"#;

fn client(id: &str, change: impl FnOnce(&mut Value)) -> OperatorClient {
    let mut record = json!({
        "name": id, "auth": "client_secret_post", "grant_types": ["authorization_code", "refresh_token"],
        "redirect_uris": [FAR], "secrets": [digest_of_secret(&SecretString::new(SECRET)).unwrap()],
    });
    change(&mut record);
    let record: ClientRecord = serde_json::from_value(record).unwrap();
    OperatorClient::new(id, &record).unwrap()
}

fn agents() -> Settings {
    let mut settings = settings();
    settings.resources[0].introspectors = vec!["things".into()];
    let alone = |record: &mut Value| record["redirect_uris"] = json!([]);
    settings.clients = vec![
        client("agent", |_| {}),
        client("helper", |record| {
            alone(record);
            (record["grant_types"], record["exchange_from"]) = (json!([TOKEN_EXCHANGE]), json!(["agent"]));
        }),
        client("nightly", |record| {
            alone(record);
            record["grant_types"] = json!(["client_credentials"]);
            (record["scopes"], record["resources"]) = (json!(["read"]), json!([RESOURCE]));
        }),
        crate::machines::asking("things"),
    ];
    settings
}

fn as_read() -> Value {
    json!([{"type": "mcp_tool", "tool": "pay", "arguments": {"amount": {"min": 1, "max": 100}, "to": "Ada"}}])
}

async fn push_as(server: &Server, id: &str, secret: bool, details: &str) -> Answer {
    let mut request = Server::request(id);
    request.insert("redirect_uri".into(), if secret { FAR.into() } else { REDIRECT.into() });
    request.insert("scope".into(), "read write".into());
    request.insert("authorization_details".into(), details.into());
    if secret {
        request.insert("client_secret".into(), SECRET.into());
    }
    request.retain(|_, value| !value.is_empty());
    let pairs: Vec<(&str, &str)> = request.iter().map(|(name, value)| (&**name, &**value)).collect();
    server.form("/par", &pairs).await
}

fn taken(id: &str, pushed: &Answer) -> BTreeMap<String, String> {
    assert_eq!(pushed.status, StatusCode::CREATED, "{pushed:?}");
    let uri = text(&pushed.json(), "request_uri").to_owned();
    [("client_id".to_owned(), id.to_owned()), ("request_uri".to_owned(), uri)].into()
}

fn refused(answer: &Answer, error: &str) {
    assert_eq!((answer.status, answer.error().as_str()), (StatusCode::BAD_REQUEST, error), "{answer:?}");
}

async fn token(server: &Server, more: &[(&str, &str)]) -> Answer {
    let by = [("client_id", "agent"), ("client_secret", SECRET)];
    server.form("/token", &[&by, more].concat()).await
}

/// The answer, and the token in it.
fn limited(answer: &Answer) -> (Value, String) {
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    let said = answer.json();
    let access = text(&said, "access_token").to_owned();
    assert_eq!(said["authorization_details"], as_read(), "RFC 9396 §7");
    assert_eq!(claims(&access)["authorization_details"], as_read());
    (said, access)
}

#[tokio::test]
async fn as_089_t_24_as_137_a_person_reads_it_and_every_token_of_the_grant_keeps_it() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::with(Settings { audit: audited(folder.path()).audit, ..agents() }).await;
    let mut browser = server.set_up().await;
    let asked = taken("agent", &push_as(&server, "agent", true, SENT).await);
    let page = browser.ask(&asked).await;
    assert!(page.text.contains("With these tools only"), "{}", page.text);
    for words in ["<li>pay, only with ", "amount: at least 1 and at most 100", "to: &#34;Ada&#34;"] {
        assert!(page.text.contains(words), "{words} in {}", page.text);
    }
    let code = browser.answer(&page, "allow").await.answered("code").unwrap();
    assert!(code.len() <= 1_000, "{}", code.len());
    let redeeming = [
        ("grant_type", "authorization_code"),
        ("code", &*code),
        ("code_verifier", VERIFIER),
        ("redirect_uri", FAR),
    ];
    // Who asks for less than it has does not get all of it, and an innocent mistake burns nothing.
    let with = [&redeeming[..], &[("authorization_details", "[]")]].concat();
    refused(&token(&server, &with).await, "invalid_authorization_details");
    let (said, access) = limited(&token(&server, &redeeming).await);
    let kept = server.app.store.people_list(None, 1).await.unwrap()[0].id;
    let grants = server.app.store.grants_of_person(kept, None, 2).await.unwrap();
    assert_eq!(serde_json::from_str::<Value>(grants[0].details.as_deref().unwrap()).unwrap(), as_read());
    for event in ["consent_allowed", "grant_opened"] {
        let written = lines(&server, folder.path());
        let line = written.iter().find(|line| line["event"] == event).unwrap();
        assert_eq!(serde_json::from_str::<Value>(text(line, "authorization_details")).unwrap(), as_read());
    }
    // A refresh in one write, and one that takes a longer look.
    let mut refresh = text(&said, "refresh_token").to_owned();
    for more in [&[][..], &[("scope", "read")]] {
        let pairs = [&[("grant_type", "refresh_token"), ("refresh_token", &*refresh)], more].concat();
        let with = [&pairs[..], &[("authorization_details", SENT)]].concat();
        refused(&token(&server, &with).await, "invalid_authorization_details");
        let (said, access) = limited(&token(&server, &pairs).await);
        assert!(is_active(&server, &access).await);
        refresh = text(&said, "refresh_token").to_owned();
    }
    // Who trades it gets no more, and whoever asks about it hears of the limits.
    let by = [("grant_type", TOKEN_EXCHANGE), ("client_id", "helper"), ("client_secret", SECRET)];
    let traded = [("subject_token", &*access), ("subject_token_type", ACCESS_TOKEN)];
    let (_, traded) = limited(&server.form("/token", &[&by[..], &traded].concat()).await);
    for token in [&access, &traded] {
        let asking = [("client_id", "things"), ("client_secret", crate::machines::SECRET), ("token", token)];
        let answer = server.form("/introspect", &asking).await.json();
        assert_eq!((&answer["active"], &answer["authorization_details"]), (&json!(true), &as_read()));
    }
    let account = browser.get("/account").await;
    assert!(account.text.contains("Only pay, only with"), "{}", account.text);
}

#[tokio::test]
async fn as_089_t_24_a_grant_for_some_tools_is_not_what_was_allowed_before() {
    let server = Server::with(agents()).await;
    let mut browser = server.set_up().await;
    for details in [SENT, ""] {
        let asked = taken("agent", &push_as(&server, "agent", true, details).await);
        let page = browser.ask(&asked).await;
        assert!(!page.text.contains("You allowed this to it before"), "more than before: {}", page.text);
        let code = browser.answer(&page, "allow").await.answered("code").unwrap();
        let more = [
            ("grant_type", "authorization_code"),
            ("code", &*code),
            ("code_verifier", VERIFIER),
            ("redirect_uri", FAR),
        ];
        let answer = token(&server, &more).await;
        assert_eq!(answer.json().get("authorization_details").is_some(), !details.is_empty(), "{answer:?}");
        assert_eq!(
            claims(text(&answer.json(), "access_token")).get("authorization_details").is_some(),
            !details.is_empty()
        );
        server.push(1);
    }
}

#[tokio::test]
async fn as_089_only_a_client_that_somebody_knows_and_only_pushed() {
    let (server, host) = Server::with_documents(agents()).await;
    let mut browser = server.set_up().await;
    // In a link, which anybody can write.
    let mut link = Server::request("agent");
    link.insert("redirect_uri".into(), FAR.into());
    link.insert("authorization_details".into(), SENT.into());
    let answer = browser.get(&query(&link)).await;
    assert_eq!(answer.answered("error").as_deref(), Some("invalid_authorization_details"), "{}", answer.text);
    assert!(answer.answered("error_description").unwrap().contains("pushed_authorization_request_endpoint"));
    // Who registered itself is a stranger; so is who has a document, until a person has said yes to it.
    let registered = server.register(REDIRECT).await;
    refused(&push_as(&server, &registered, false, SENT).await, "invalid_authorization_details");
    assert_eq!(push_as(&server, &registered, false, "").await.status, StatusCode::CREATED);
    let document = host.url("/client.json");
    let says = json!({
        "client_id": document, "client_name": "Documented", "redirect_uris": [REDIRECT],
        "token_endpoint_auth_method": "none", "grant_types": ["authorization_code", "refresh_token"],
    });
    host.publish("/client.json", &says.to_string());
    refused(&push_as(&server, &document, false, SENT).await, "invalid_authorization_details");
    browser.allow(&Server::request(&document)).await;
    let asked = taken(&document, &push_as(&server, &document, false, SENT).await);
    assert!(browser.ask(&asked).await.text.contains("With these tools only"));
    // Where nobody is asked, or the page has no words for it.
    let machine = [
        ("grant_type", "client_credentials"),
        ("client_id", "nightly"),
        ("client_secret", SECRET),
        ("authorization_details", SENT),
    ];
    refused(&server.form("/token", &machine).await, "invalid_authorization_details");
    assert_eq!(server.form("/token", &machine[..3]).await.status, StatusCode::OK);
    let device = json!({
        "redirect_uris": [REDIRECT], "client_name": "Device", "token_endpoint_auth_method": "none",
        "grant_types": ["authorization_code", "urn:ietf:params:oauth:grant-type:device_code"],
    });
    let device = server.post_json("/register", &device).await.json();
    let asking = [("client_id", text(&device, "client_id")), ("authorization_details", SENT)];
    refused(&server.form("/device_authorization", &asking).await, "invalid_authorization_details");
    assert_eq!(server.form("/device_authorization", &asking[..1]).await.status, StatusCode::OK);
}

#[tokio::test]
async fn as_089_what_is_not_understood_or_too_long_is_refused_at_the_push_with_what_to_change() {
    let server = Server::with(agents()).await;
    let entry = |more: Value| {
        let mut entry = json!({"type": "mcp_tool", "tool": "pay"});
        for (name, value) in more.as_object().unwrap() {
            entry[name] = value.clone();
        }
        json!([entry]).to_string()
    };
    for (details, words) in [
        ("pay".to_owned(), "strict JSON"),
        (r#"[{"type":"mcp_tool","tool":"a","tool":"b"}]"#.to_owned(), "strict JSON"),
        ("[]".to_owned(), "array of 1 to 16 objects"),
        (entry(json!({"type": "account_information"})), "mcp_tool"),
        (entry(json!({"locations": [RESOURCE]})), "type, tool and arguments"),
        (entry(json!({"tool": "p\u{e4}y"})), "visible ASCII"),
        (entry(json!({"arguments": {"amount": {"below": 7}}})), "conditions"),
        (entry(json!({"arguments": {"to": "x".repeat(400)}})), "400 characters"),
    ] {
        let answer = push_as(&server, "agent", true, &details).await;
        refused(&answer, "invalid_authorization_details");
        let said = answer.json();
        assert!(text(&said, "error_description").contains(words), "{details}: {said}");
    }
    let fits = entry(json!({"arguments": {"to": "x".repeat(330)}}));
    assert_eq!(push_as(&server, "agent", true, &fits).await.status, StatusCode::CREATED);
    let metadata = server.get("/.well-known/oauth-authorization-server").await.json();
    assert_eq!(metadata["authorization_details_types_supported"], json!(["mcp_tool"]));
}
