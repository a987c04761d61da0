//! Every endpoint, every kind of nonsense: the registered error or a page, never a 500, nothing echoed.

use crate::support::*;
use axum::body::Body;
use http::{Method, Request, StatusCode};

const FORM: &str = "application/x-www-form-urlencoded";

#[tokio::test]
async fn as_003_as_004_wrong_methods() {
    let server = Server::start().await;
    for (path, allowed) in [
        ("/jwks", "GET, HEAD"),
        ("/register", "POST"),
        ("/token", "POST"),
        ("/revoke", "POST"),
        ("/authorize", "GET, HEAD"),
        ("/consent", "POST"),
        ("/sign-out", "POST"),
        ("/.well-known/oauth-authorization-server", "GET, HEAD"),
    ] {
        for method in ["GET", "POST", "PUT", "DELETE", "PATCH", "TRACE"] {
            if allowed.contains(method) {
                continue;
            }
            let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
            let answer = server.send(request).await;
            assert_eq!(
                (answer.status, answer.header("allow")),
                (StatusCode::METHOD_NOT_ALLOWED, allowed),
                "{method} {path}"
            );
        }
    }
}

#[tokio::test]
async fn as_004_as_010_t_34_nothing_of_a_query_counts_at_the_token_endpoint() {
    let server = Server::start().await;
    let client = server.register(REDIRECT).await;
    let mut browser = server.set_up().await;
    let code = browser.allow(&Server::request(&client)).await;
    let query = format!(
        "/token?grant_type=authorization_code&client_id={client}&code={code}&code_verifier={VERIFIER}"
    );
    assert_eq!(server.get(&query).await.status, StatusCode::METHOD_NOT_ALLOWED);
    assert_eq!(server.form(&query, &[]).await.error(), "invalid_request");
    assert_eq!(server.redeem(&client, &code).await.status, StatusCode::OK);
}

fn typed(path: &str, media_types: &[&str], body: &'static str) -> Request<Body> {
    let request = Request::post(path);
    let request = media_types.iter().fold(request, |request, kind| request.header("content-type", *kind));
    request.body(Body::from(body)).unwrap()
}

/// None, several at once, and all that is not a form.
const NO_FORM: [&[&str]; 8] = [
    &[],
    &[""],
    &["application/json"],
    &["multipart/form-data; boundary=x"],
    &["text/plain"],
    &["application/json, application/x-www-form-urlencoded"],
    &["application/x-www-form-urlencodedx"],
    &[FORM, FORM],
];

const REGISTRATION: &str = r#"{"redirect_uris":["http://127.0.0.1/cb"]}"#;

#[tokio::test]
async fn as_005_media_types() {
    let server = Server::start().await;
    for path in ["/token", "/revoke", "/introspect", "/par", "/device_authorization"] {
        for media_types in NO_FORM {
            let answer = server.send(typed(path, media_types, "grant_type=x")).await;
            assert_eq!(
                (answer.status, answer.error().as_str()),
                (StatusCode::BAD_REQUEST, "invalid_request"),
                "{path} {media_types:?}"
            );
            assert_eq!((answer.header("cache-control"), answer.header("pragma")), ("no-store", "no-cache"));
        }
        let usual = ["Application/X-WWW-Form-Urlencoded; charset=UTF-8"];
        assert_eq!(server.send(typed(path, &usual, "client_id=x")).await.error(), "invalid_client", "{path}");
    }
    for media_types in [&[][..], &[""], &["text/plain"], &[FORM], &["application/jsonx"]] {
        let answer = server.send(typed("/register", media_types, REGISTRATION)).await;
        assert_eq!(
            (answer.status, answer.error().as_str()),
            (StatusCode::BAD_REQUEST, "invalid_client_metadata"),
            "{media_types:?}"
        );
    }
    let usual = server.send(typed("/register", &["Application/JSON; charset=utf-8"], REGISTRATION)).await;
    assert_eq!(usual.status, StatusCode::CREATED, "{usual:?}");
}

/// The forms of pages too: with any other type nothing of them counts.
#[tokio::test]
async fn as_005_the_forms_of_pages_take_nothing_else() {
    let server = Server::start().await;
    let mut person = server.set_up().await;
    let page = person.get("/account").await;
    let csrf = page.hidden("csrf").unwrap();
    let table = hallpass_server::router::table().0;
    let pages = table.iter().filter(|route| {
        route.class == hallpass_server::router::Class::Page && route.methods.contains(&Method::POST)
    });
    let body: &'static str =
        Box::leak(format!("csrf={csrf}&action=everywhere&decision=allow").into_boxed_str());
    let mut refused = 0;
    for path in pages.map(|route| route.path) {
        for media_types in NO_FORM {
            server.push(2);
            let answer = person.send(typed(path, media_types, body)).await;
            // Some are not there for this person at all, or not now, and say so first.
            let expected = [400, 303, 403, 404];
            assert!(expected.contains(&answer.status.as_u16()), "{path} {media_types:?}: {answer:?}");
            refused += u32::from(answer.status == StatusCode::BAD_REQUEST);
        }
    }
    assert!(refused >= 7 * 8, "{refused}");
    assert_eq!(person.get("/account").await.status, StatusCode::OK, "nobody was signed out");
}

#[tokio::test]
async fn as_006_as_007_as_011_as_013_broken_bodies() {
    let server = Server::start().await;
    for path in ["/token", "/revoke"] {
        for body in [
            &b"a=%"[..],
            b"a=%zz",
            b"a=\xff",
            b"a=%00",
            b"client_id=a&client_id=a",
            b"code=a&code=b",
            b"&&&===",
            b"client_id=%22%3Cscript%3E%0d%0a",
        ] {
            let request = Request::post(path).header("content-type", FORM).body(Body::from(body)).unwrap();
            let answer = server.send(request).await;
            assert!(answer.status.is_client_error(), "{path} {body:?} {answer:?}");
            assert_eq!(answer.header("cache-control"), "no-store");
            let description = answer.json()["error_description"].as_str().unwrap().to_owned();
            assert!(
                description.bytes().all(|b| matches!(b, 0x20..=0x21 | 0x23..=0x5B | 0x5D..=0x7E))
                    && !description.contains("script")
            );
        }
    }
}

#[tokio::test]
async fn as_017_t_88_oversize_is_refused_before_it_is_read() {
    let server = Server::start().await;
    for path in ["/token", "/revoke", "/register", "/consent", "/sign-in", "/setup"] {
        let request =
            Request::post(path).header("content-type", FORM).body(Body::from(vec![b'a'; 100_000])).unwrap();
        assert_eq!(server.send(request).await.status, StatusCode::PAYLOAD_TOO_LARGE, "{path}");
    }
    // A message that went to a wrong path learns that, as long as it is not a flood.
    for (length, status) in [(10_000, StatusCode::NOT_FOUND), (100_000, StatusCode::PAYLOAD_TOO_LARGE)] {
        let request = Request::post("/wrong/path").body(Body::from(vec![b'a'; length])).unwrap();
        assert_eq!(server.send(request).await.status, status, "{length}");
    }
    let long = format!("/authorize?state={}", "x".repeat(9_000));
    assert_eq!(server.get(&long).await.status, StatusCode::URI_TOO_LONG);
    let many = "a=1&".repeat(200);
    let request = Request::post("/token").header("content-type", FORM).body(Body::from(many)).unwrap();
    assert_eq!(server.send(request).await.error(), "invalid_request");
}

#[tokio::test]
async fn as_009_unknown_parameters_are_ignored() {
    let server = Server::start().await;
    let client = server.register(REDIRECT).await;
    let mut browser = server.set_up().await;
    let mut request = Server::request(&client);
    for n in 0..50 {
        request.insert(format!("unknown_{n}"), "x".into());
    }
    let code = browser.allow(&request).await;
    assert_eq!(server.redeem_with(&client, &code, &[("unknown", "x")]).await.status, StatusCode::OK);
}

#[tokio::test]
async fn as_122_p03_an_unknown_client_is_401_at_the_token_endpoint_and_a_page_at_authorize() {
    let server = Server::start().await;
    let mut browser = server.set_up().await;
    let answer = server.refresh("hpc_unknown", "x").await;
    assert_eq!((answer.status, answer.error().as_str()), (StatusCode::UNAUTHORIZED, "invalid_client"));
    let page = browser.get(&query(&Server::request("hpc_unknown"))).await;
    assert_eq!(page.status, StatusCode::BAD_REQUEST);
    assert!(page.text.contains("remove the connection and add it again"));
}

#[tokio::test]
async fn as_105_t_97_a_store_that_is_gone_is_503_and_loses_nothing() {
    let server = Server::start().await;
    let (client, tokens) = server.granted().await;
    let mut browser = Browser::new(&server);
    server.app.store.close().await.unwrap();
    let answer = server.refresh(&client, text(&tokens, "refresh_token")).await;
    assert_eq!(
        (answer.status, answer.error().as_str()),
        (StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable")
    );
    assert!(!answer.header("retry-after").is_empty());
    let form = browser.get("/sign-in").await;
    let page = browser.sign_in(&form).await;
    assert!(matches!(page.status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::SEE_OTHER), "{page:?}");
    let server = server.restarted().await;
    assert_eq!(server.refresh(&client, text(&tokens, "refresh_token")).await.status, StatusCode::OK);
}

#[tokio::test]
async fn as_050_t_50_b_29_documents_at_private_addresses_are_never_fetched() {
    let server = Server::start().await;
    let mut browser = server.set_up().await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    for host in ["localhost", "127.0.0.1", "[::1]", "127.0.0.1.", "internal.local"] {
        let page = browser.get(&query(&Server::request(&format!("https://{host}:{port}/client.json")))).await;
        assert!(page.status.is_client_error() || page.status == StatusCode::BAD_GATEWAY, "{host}");
        assert!(page.target().is_none());
    }
    assert!(listener.accept().is_err());
}

#[tokio::test]
async fn head_is_get_without_a_body() {
    let server = Server::start().await;
    let request = Request::builder().method(Method::HEAD).uri("/jwks").body(Body::empty()).unwrap();
    assert_eq!(server.send(request).await.status, StatusCode::OK);
}

/// Whoever tries what is not theirs must not learn how far they got; whoever is honest needs to know what to do next.
#[tokio::test]
async fn as_113_as_121_t_23_invalid_grant_says_what_to_do_and_not_why() {
    let server = Server::start().await;
    let (client, other) = (server.register(REDIRECT).await, server.register(REDIRECT).await);
    let mut browser = server.set_up().await;
    let code = browser.allow(&Server::request(&client)).await;
    let again = "the authorization code cannot be redeemed: start again";
    let says = |answer: &Answer, words: &str| {
        assert_eq!(
            (answer.status, &*answer.error()),
            (StatusCode::BAD_REQUEST, "invalid_grant"),
            "{answer:?}"
        );
        assert_eq!(text(&answer.json(), "error_description"), words);
    };
    let wrong = "M25iVXpKU3puUjFaYWg3T1NDTDQtcW1ROUY5YXlwalNoc0hhakxifmZHag";
    says(&server.redeem(&client, "x").await, again);
    says(&server.redeem(&client, &altered(&code)).await, again);
    says(&server.redeem(&other, &code).await, again);
    says(&server.redeem_with(&client, &code, &[("code_verifier", wrong)]).await, again);
    says(
        &server.redeem_with(&client, &code, &[("redirect_uri", "http://127.0.0.1:5000/other")]).await,
        again,
    );
    let tokens = server.redeem(&client, &code).await.json();
    let first = text(&tokens, "refresh_token").to_owned();
    let ended = "the grant has ended: sign in again";
    says(&server.refresh(&client, "x").await, ended);
    says(&server.refresh(&client, &altered(&first)).await, ended);
    says(&server.refresh(&other, &first).await, ended);
    let mut live = first.clone();
    for _ in 0..2 {
        live = text(&server.refresh(&client, &live).await.json(), "refresh_token").to_owned();
        server.push(31);
    }
    // A retired one, and the live one of a grant that ended with it.
    says(&server.refresh(&client, &first).await, ended);
    says(&server.refresh(&client, &live).await, ended);
    let late = browser.allow(&Server::request(&client)).await;
    server.push(60);
    says(&server.redeem(&client, &late).await, "the authorization code has expired: start again");
    let code = browser.allow(&Server::request(&client)).await;
    let idle = server.redeem(&client, &code).await.json();
    says(&server.redeem(&client, &code).await, again);
    says(&server.refresh(&client, text(&idle, "refresh_token")).await, ended);
    let code = browser.allow(&Server::request(&client)).await;
    let idle = server.redeem(&client, &code).await.json();
    server.push(31 * 24 * 3_600);
    says(&server.refresh(&client, text(&idle, "refresh_token")).await, ended);
}
