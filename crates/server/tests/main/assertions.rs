//! Clients that sign: which keys count, which assertions are accepted, and that each is good once.

use crate::support::*;
use hallpass_core::{
    encoding::base64url,
    jose::{Algorithm, SigningKey},
    jwt::client_assertion::ASSERTION_TYPE,
};
use hallpass_testkit::DocumentHost;
use http::StatusCode;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};

const PATH: &str = "/signing.json";
const KEYS: &str = "/jwks.json";

/// A client whose document names keys, and the keys.
pub struct SigningClient {
    pub url: String,
    key: SigningKey,
    made: AtomicUsize,
}

impl SigningClient {
    pub fn publish(host: &DocumentHost, algorithm: Algorithm, listed: &[&str]) -> Self {
        let client = Self {
            url: host.url(PATH),
            key: SigningKey::generate(algorithm).unwrap(),
            made: AtomicUsize::new(0),
        };
        let document = json!({
            "client_id": client.url, "client_name": "Signing", "redirect_uris": [REDIRECT],
            "grant_types": ["authorization_code", "refresh_token"], "jwks_uri": host.url(KEYS),
            "token_endpoint_auth_method": "private_key_jwt", "token_endpoint_auth_methods_supported": listed,
            "token_endpoint_auth_signing_alg": algorithm.name(),
        });
        host.publish(PATH, &document.to_string());
        host.publish(KEYS, &client.keys().to_string());
        client
    }

    fn keys(&self) -> Value {
        json!({ "keys": [self.key.public_jwk().to_json()] })
    }

    fn claims(&self, server: &Server) -> Value {
        let now = server.now().seconds();
        let number = self.made.fetch_add(1, Ordering::SeqCst);
        json!({"iss": self.url, "sub": self.url, "aud": ISSUER, "jti": format!("j{number}"), "iat": now, "exp": now + 60})
    }

    fn sign(&self, claims: &Value) -> String {
        self.sign_as(self.key.key_id(), claims)
    }

    fn sign_as(&self, kid: &str, claims: &Value) -> String {
        let header = json!({"alg": self.key.algorithm().name(), "kid": kid, "typ": "JWT"});
        let part = |value: &Value| base64url(value.to_string().as_bytes());
        let signed = format!("{}.{}", part(&header), part(claims));
        format!("{signed}.{}", base64url(&self.key.sign_bytes(signed.as_bytes()).unwrap()))
    }

    pub fn assertion(&self, server: &Server) -> String {
        self.sign(&self.claims(server))
    }
}

pub fn signed<'a>(assertion: &'a str, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let mut pairs = vec![("client_assertion_type", ASSERTION_TYPE), ("client_assertion", assertion)];
    pairs.extend(more);
    pairs
}

async fn redeem(server: &Server, client: &SigningClient, code: &str, assertion: &str) -> Answer {
    server.redeem_with(&client.url, code, &signed(assertion, &[])).await
}

async fn refresh(server: &Server, assertion: &str, token: &str) -> Answer {
    let pairs = signed(assertion, &[("grant_type", "refresh_token"), ("refresh_token", token)]);
    server.form("/token", &pairs).await
}

#[tokio::test]
async fn as_054_as_127_as_128_as_130_a_client_with_a_key_must_sign_everywhere() {
    let (server, host) = Server::with_documents(settings()).await;
    let client = SigningClient::publish(&host, Algorithm::Rs256, &["private_key_jwt"]);
    let mut browser = server.set_up().await;
    let code = browser.allow(&Server::request(&client.url)).await;
    let refused = |answer: Answer| {
        assert_eq!(
            (answer.status, answer.error().as_str()),
            (StatusCode::UNAUTHORIZED, "invalid_client"),
            "{answer:?}"
        );
    };
    refused(server.redeem(&client.url, &code).await);
    refused(server.redeem_with(&client.url, &code, &[("client_secret", "x")]).await);
    let foreign = SigningClient {
        url: client.url.clone(),
        key: SigningKey::generate(Algorithm::Rs256).unwrap(),
        made: AtomicUsize::new(0),
    };
    refused(redeem(&server, &client, &code, &foreign.assertion(&server)).await);
    let mut claims = client.claims(&server);
    claims["sub"] = json!("https://dev.internal/other.json");
    refused(redeem(&server, &client, &code, &client.sign(&claims)).await);
    refused(
        server
            .redeem_with("https://dev.internal/other.json", &code, &signed(&client.assertion(&server), &[]))
            .await,
    );
    let both = signed(&client.assertion(&server), &[("client_secret", "x")])
        .iter()
        .map(|(n, v)| ((*n).to_owned(), (*v).to_owned()))
        .collect::<Vec<_>>();
    let both: Vec<(&str, &str)> = both.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    assert_eq!(server.redeem_with(&client.url, &code, &both).await.error(), "invalid_request");
    // With the key, and without a client_id: the assertion says it.
    let assertion = client.assertion(&server);
    let answer = server.redeem_with("", &code, &signed(&assertion, &[])).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    let token = text(&answer.json(), "refresh_token").to_owned();
    refused(server.refresh(&client.url, &token).await);
    refused(server.form("/revoke", &[("client_id", &client.url), ("token", &token)]).await);
    let next = refresh(&server, &client.assertion(&server), &token).await;
    assert_eq!(next.status, StatusCode::OK, "{next:?}");
    let assertion = client.assertion(&server);
    assert_eq!(
        server.form("/revoke", &signed(&assertion, &[("token", &token)])).await.status,
        StatusCode::OK
    );
    refused(server.form("/revoke", &signed(&assertion, &[("token", &token)])).await);
    let dead = refresh(&server, &client.assertion(&server), text(&next.json(), "refresh_token")).await;
    assert_eq!(dead.error(), "invalid_grant");
}

#[tokio::test]
async fn as_219_t_97_t_27_an_assertion_is_good_once_though_a_sweep_ran_while_the_clock_was_ahead() {
    let (server, host) = Server::with_documents(settings()).await;
    let client = SigningClient::publish(&host, Algorithm::Es256, &["private_key_jwt"]);
    let mut browser = server.set_up().await;
    let codes = [
        browser.allow(&Server::request(&client.url)).await,
        browser.allow(&Server::request(&client.url)).await,
    ];
    let assertion = client.assertion(&server);
    assert_eq!(redeem(&server, &client, &codes[0], &assertion).await.status, StatusCode::OK);
    server.push(3_600);
    hallpass_server::sweep(&server.app).await.unwrap();
    server.clock.set(server.now().minus(std::time::Duration::from_hours(1)));
    // On another node, which does not remember it: only the row does.
    let other = server.beside().await;
    let again = redeem(&other, &client, &codes[1], &assertion).await;
    assert_eq!((again.status, again.error().as_str()), (StatusCode::UNAUTHORIZED, "invalid_client"));
    let another = client.assertion(&server);
    assert_eq!(redeem(&other, &client, &codes[1], &another).await.status, StatusCode::OK);
}

#[tokio::test]
async fn as_127_what_a_document_lists_beside_its_key_may_be_used_and_others_may_not_sign() {
    let (server, host) = Server::with_documents(settings()).await;
    let client = SigningClient::publish(&host, Algorithm::Es256, &["none", "private_key_jwt"]);
    let mut browser = server.set_up().await;
    let code = browser.allow(&Server::request(&client.url)).await;
    assert_eq!(server.redeem(&client.url, &code).await.status, StatusCode::OK);
    let code = browser.allow(&Server::request(&client.url)).await;
    assert_eq!(redeem(&server, &client, &code, &client.assertion(&server)).await.status, StatusCode::OK);
    // A registered client has no key here, whatever it signs.
    let registered = server.register(REDIRECT).await;
    let code = browser.allow(&Server::request(&registered)).await;
    let mut claims = client.claims(&server);
    (claims["iss"], claims["sub"]) = (json!(registered), json!(registered));
    let answer = server.redeem_with(&registered, &code, &signed(&client.sign(&claims), &[])).await;
    assert_eq!(answer.error(), "invalid_client");
    let body = json!({"redirect_uris": [REDIRECT], "token_endpoint_auth_method": "private_key_jwt", "jwks_uri": host.url(KEYS)});
    assert_eq!(server.post_json("/register", &body).await.error(), "invalid_client_metadata");
}

#[tokio::test]
async fn t_26_as_128_an_assertion_for_somebody_else_or_for_an_endpoint_is_refused() {
    let mut settings = settings();
    for (old, status) in [(false, StatusCode::UNAUTHORIZED), (true, StatusCode::OK)] {
        let (server, host) = Server::with_documents(settings.clone()).await;
        let client = SigningClient::publish(&host, Algorithm::EdDsa, &[]);
        if old {
            settings.old_assertion_audience = vec![client.url.clone()];
        }
        let server = if old {
            Server::fetching(
                settings.clone(),
                server.clock.clone(),
                host.fetch(std::sync::Arc::new(server.clock.clone())).unwrap(),
            )
            .await
        } else {
            server
        };
        let mut browser = server.set_up().await;
        let code = browser.allow(&Server::request(&client.url)).await;
        for audience in [
            json!("https://other.example"),
            json!([ISSUER, "https://other.example"]),
            json!("https://auth.example/revoke"),
            json!("https://auth.example/"),
        ] {
            let mut claims = client.claims(&server);
            claims["aud"] = audience.clone();
            let answer = redeem(&server, &client, &code, &client.sign(&claims)).await;
            assert_eq!(answer.error(), "invalid_client", "{audience}");
        }
        let mut claims = client.claims(&server);
        claims["aud"] = json!("https://auth.example/token");
        let answer = redeem(&server, &client, &code, &client.sign(&claims)).await;
        assert_eq!(answer.status, status, "{answer:?}");
    }
}

#[tokio::test]
async fn as_054_b_34_new_keys_are_found_and_a_flood_of_invented_ones_is_one_request() {
    let (server, host) = Server::with_documents(settings()).await;
    let mut client = SigningClient::publish(&host, Algorithm::Es256, &[]);
    let mut browser = server.set_up().await;
    let code = browser.allow(&Server::request(&client.url)).await;
    let tokens = redeem(&server, &client, &code, &client.assertion(&server)).await.json();
    assert_eq!(host.requests(KEYS), 1);
    let token = text(&tokens, "refresh_token");
    for n in 0..50 {
        let invented = client.sign_as(&format!("invented{n}"), &client.claims(&server));
        assert_eq!(refresh(&server, &invented, token).await.error(), "invalid_client");
    }
    assert_eq!(host.requests(KEYS), 1, "within the cool-down nothing is asked");
    server.push(31);
    client.key = SigningKey::generate(Algorithm::Es256).unwrap();
    host.publish(KEYS, &client.keys().to_string());
    let flood = (0..20).map(|_| client.assertion(&server)).collect::<Vec<_>>();
    let answers =
        futures_util::future::join_all(flood.iter().map(|assertion| refresh(&server, assertion, token)))
            .await;
    assert!(answers.iter().all(|answer| answer.status == StatusCode::OK), "{answers:?}");
    assert_eq!(host.requests(KEYS), 2, "one request for all who wait");
    // The host is gone: what is known is used for a day, and nobody loses a grant for it.
    host.answer(KEYS, 503, "", "");
    host.answer(PATH, 503, "", "");
    server.push(3_600);
    let token = text(&answers[0].json(), "refresh_token").to_owned();
    let answer = refresh(&server, &client.assertion(&server), &token).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    server.push(25 * 3_600);
    let answer = refresh(&server, &client.assertion(&server), text(&answer.json(), "refresh_token")).await;
    assert_eq!(
        (answer.status, answer.error().as_str()),
        (StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable")
    );
    assert!(!answer.header("retry-after").is_empty());
}

#[tokio::test]
async fn t_50_as_054_keys_at_a_private_address_are_never_fetched() {
    let (server, host) = Server::with_documents(settings()).await;
    let client = SigningClient::publish(&host, Algorithm::Es256, &[]);
    let mut browser = server.set_up().await;
    for place in ["https://169.254.169.254/jwks", "https://localhost/jwks", "http://127.0.0.1:1/jwks"] {
        server.push(400);
        let document = json!({"client_id": client.url, "client_name": "S", "redirect_uris": [REDIRECT], "token_endpoint_auth_method": "private_key_jwt", "jwks_uri": place});
        host.publish(PATH, &document.to_string());
        let code = browser.allow(&Server::request(&client.url)).await;
        let (before, answer) =
            (host.lookups(), redeem(&server, &client, &code, &client.assertion(&server)).await);
        assert_eq!(
            (answer.error().as_str(), host.lookups()),
            ("invalid_client", before),
            "{place}: {answer:?}"
        );
    }
}

#[tokio::test]
async fn t_20_c10_who_proves_a_key_gets_the_live_token_for_an_older_one() {
    let (server, host) = Server::with_documents(settings()).await;
    let client = SigningClient::publish(&host, Algorithm::Es256, &["none"]);
    let mut browser = server.set_up().await;
    let code = browser.allow(&Server::request(&client.url)).await;
    let first = redeem(&server, &client, &code, &client.assertion(&server)).await.json();
    let mut token = text(&first, "refresh_token").to_owned();
    for _ in 0..3 {
        server.push(60);
        let next = refresh(&server, &client.assertion(&server), &token).await.json();
        text(&next, "refresh_token").clone_into(&mut token);
    }
    let (other, assertion) = (server.beside().await, client.assertion(&server));
    let sibling = refresh(&server, &assertion, text(&first, "refresh_token")).await;
    assert_eq!(sibling.status, StatusCode::OK, "{sibling:?}");
    for node in [&server, &other] {
        let replayed = refresh(node, &assertion, text(&first, "refresh_token")).await;
        assert_eq!(replayed.error(), "invalid_client", "the same assertion, on whatever node");
    }
    assert_eq!(text(&sibling.json(), "refresh_token"), token);
    assert_eq!(refresh(&server, &client.assertion(&server), &token).await.status, StatusCode::OK);
}

#[tokio::test]
async fn as_027_as_026_the_metadata_lists_the_signing_algorithms_and_no_shared_secret() {
    let server = Server::start().await;
    let metadata = server.get("/.well-known/oauth-authorization-server").await.json();
    for endpoint in ["token", "revocation"] {
        let methods =
            metadata[format!("{endpoint}_endpoint_auth_methods_supported")].as_array().unwrap().clone();
        assert!(
            methods.contains(&json!("private_key_jwt")) && methods.contains(&json!("none")),
            "{methods:?}"
        );
        let algorithms = &metadata[format!("{endpoint}_endpoint_auth_signing_alg_values_supported")];
        assert_eq!(algorithms, &json!(["ES256", "EdDSA", "RS256"]));
    }
}

#[tokio::test]
async fn t_27_as_128_an_assertion_is_good_once_in_parallel_on_two_nodes_and_after_a_restart() {
    let (server, host) = Server::with_documents(settings()).await;
    let client = SigningClient::publish(&host, Algorithm::Es256, &[]);
    let mut browser = server.set_up().await;
    let code = browser.allow(&Server::request(&client.url)).await;
    let assertion = client.assertion(&server);
    let first = redeem(&server, &client, &code, &assertion).await.json();
    let token = text(&first, "refresh_token").to_owned();
    let other = server.beside().await;
    for node in [&server, &other] {
        assert_eq!(refresh(node, &assertion, &token).await.error(), "invalid_client", "spent by the code");
    }
    let assertion = client.assertion(&server);
    let nodes = [&server, &other];
    let flood = (0..64).map(|n| refresh(nodes[n % 2], &assertion, &token));
    let answers = futures_util::future::join_all(flood).await;
    let done: Vec<_> = answers.iter().filter(|answer| answer.status == StatusCode::OK).collect();
    assert_eq!(done.len(), 1, "{answers:?}");
    let next = text(&done[0].json(), "refresh_token").to_owned();
    drop(other);
    let server = server.restarted().await;
    assert_eq!(refresh(&server, &assertion, &next).await.error(), "invalid_client", "after a restart");
    assert_eq!(refresh(&server, &client.assertion(&server), &next).await.status, StatusCode::OK);
    server.push(120);
    assert_eq!(refresh(&server, &assertion, &next).await.error(), "invalid_client", "over");
}

#[tokio::test]
async fn as_119_t_27_an_innocent_mistake_burns_no_assertion() {
    let (server, host) = Server::with_documents(settings()).await;
    let client = SigningClient::publish(&host, Algorithm::Es256, &[]);
    let mut browser = server.set_up().await;
    let code = browser.allow(&Server::request(&client.url)).await;
    let assertion = client.assertion(&server);
    let wrong = "a-wrong-verifier-a-wrong-verifier-a-wrong-ver";
    let mistaken = signed(&assertion, &[("code_verifier", wrong)]);
    assert_eq!(server.redeem_with(&client.url, &code, &mistaken).await.error(), "invalid_grant");
    let mistaken = signed(&assertion, &[("grant_type", "password")]);
    assert_eq!(server.redeem_with(&client.url, &code, &mistaken).await.error(), "unsupported_grant_type");
    assert_eq!(redeem(&server, &client, &code, &assertion).await.status, StatusCode::OK);
}

#[tokio::test]
async fn t_25_as_127_a_grant_opened_with_a_key_takes_the_key_ever_after() {
    let (server, host) = Server::with_documents(settings()).await;
    let client = SigningClient::publish(&host, Algorithm::Es256, &["none", "private_key_jwt"]);
    let mut browser = server.set_up().await;
    let code = browser.allow(&Server::request(&client.url)).await;
    let tokens = redeem(&server, &client, &code, &client.assertion(&server)).await.json();
    let token = text(&tokens, "refresh_token");
    let thief = server.refresh(&client.url, token).await;
    assert_eq!((thief.status, thief.error().as_str()), (StatusCode::UNAUTHORIZED, "invalid_client"));
    assert_eq!(refresh(&server, &client.assertion(&server), token).await.status, StatusCode::OK);
}
