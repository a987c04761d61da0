//! Every page, also those that say what is wrong: framed by nobody, loading nothing, kept by nobody, moved by 303 only.

use crate::support::*;
use axum::body::Body;
use hallpass_server::router::{Class, table};
use http::{Method, Request, StatusCode, header};

const FORM: &str = "application/x-www-form-urlencoded";

/// What every page carries (AS-095), and what no page has in it.
fn assert_safe(answer: &Answer, what: &str) {
    assert_eq!(answer.header("referrer-policy"), "no-referrer", "{what}");
    assert_eq!(answer.header("x-content-type-options"), "nosniff", "{what}");
    assert_eq!(answer.header("cache-control"), "no-store", "{what}");
    assert_eq!(answer.header("access-control-allow-origin"), "", "{what}");
    for cookie in answer.headers.get_all(header::SET_COOKIE) {
        let cookie = cookie.to_str().unwrap();
        assert!(cookie.starts_with("__Host-"), "{what}: {cookie}");
        for attribute in ["; Path=/", "; HttpOnly", "; SameSite=Lax", "; Secure"] {
            assert!(cookie.contains(attribute), "{what}: {cookie}");
        }
    }
    if answer.status.is_redirection() {
        // 303 and no other, so that no browser carries a password on (T-15); within these pages only.
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{what}");
        let location = answer.header("location");
        assert!(
            location.starts_with('/') && !location.starts_with("//") && !location.contains('\\'),
            "{what}"
        );
        return;
    }
    assert_eq!(answer.header("location"), "", "{what}");
    assert_eq!(answer.header("content-type"), "text/html; charset=utf-8", "{what}: {}", answer.text);
    assert_eq!(answer.header("x-frame-options"), "DENY", "{what}");
    assert_eq!(answer.header("cross-origin-opener-policy"), "same-origin", "{what}");
    let policy = answer.header("content-security-policy");
    for part in ["default-src 'none'", "form-action 'self'", "frame-ancestors 'none'", "base-uri 'none'"] {
        assert!(policy.contains(part), "{what}: {policy}");
    }
    assert!(
        !policy.contains("unsafe") && !policy.contains("script-src") && !policy.contains("http"),
        "{what}"
    );
    let text = answer.text.to_lowercase();
    for forbidden in [
        "<script",
        "<img",
        "<link",
        "<iframe",
        "<object",
        " src=",
        " onload",
        " onclick",
        "javascript:",
        "url(",
    ] {
        assert!(!text.contains(forbidden), "{what}: {forbidden}");
    }
    for attribute in ["action=\"", "href=\""] {
        for (at, _) in text.match_indices(attribute) {
            let target = &text[at + attribute.len()..];
            let own = target.starts_with('/') && !target.starts_with("//")
                // An authenticator app on this device.
                || target.starts_with("otpauth://totp/");
            assert!(own || answer.target().is_some() || answer.link().is_some(), "{what}: {target:.60}");
        }
    }
}

fn request(method: &Method, path: &str, body: &str) -> Request<Body> {
    let request = Request::builder().method(method).uri(path).header("content-type", FORM);
    request.body(Body::from(body.to_owned())).unwrap()
}

#[tokio::test]
async fn as_095_t_10_t_14_t_15_the_headers_of_every_page_by_every_method_for_everybody() {
    let server = Server::start().await;
    let mut person = server.set_up().await;
    let client = server.register(REDIRECT).await;
    let paths: Vec<&str> =
        table().0.iter().filter(|route| route.class == Class::Page).map(|route| route.path).collect();
    assert!(paths.len() >= 8 && paths.contains(&"/account") && paths.contains(&"/authorize"));
    let long = format!("x={}", "x".repeat(9_000));
    let large = "x".repeat(30_000);
    let usual = query(&Server::request(&client));
    let usual = usual.split_once('?').unwrap().1;
    let mut seen = std::collections::BTreeSet::new();
    for path in paths.into_iter().chain(["/nowhere", "/authorize/x"]) {
        for method in ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"] {
            for (query, body) in
                [("", ""), (usual, ""), (&*long, ""), ("", &*large), ("%", "%"), ("a=1&a=2", "csrf=x")]
            {
                let method = Method::from_bytes(method.as_bytes()).unwrap();
                let target = format!("{path}?{query}");
                let what = format!("{method} {path} {query:.20} {body:.20}");
                server.push(2);
                let stranger = server.send(request(&method, &target, body)).await;
                assert_safe(&stranger, &what);
                let known = person.send(request(&method, &target, body)).await;
                assert_safe(&known, &what);
                seen.extend([stranger.status.as_u16(), known.status.as_u16()]);
            }
        }
    }
    assert!(
        !seen.contains(&307) && !seen.contains(&308),
        "they would send a form on, password and all: {seen:?}"
    );
    for status in [200, 303, 400, 403, 404, 405, 413, 414] {
        assert!(seen.contains(&status), "{status} is not among {seen:?}");
    }
    assert!(
        person.get("/account").await.status.is_success(),
        "still signed in: nothing of that was an answer"
    );
}

#[tokio::test]
async fn as_095_t_14_the_headers_of_pages_that_carry_something() {
    let server = Server::start().await;
    let far = server.register("https://client.example/cb").await;
    let near = server.register(REDIRECT).await;
    let mut browser = server.set_up().await;
    let mut request = Server::request(&far);
    request.insert("redirect_uri".into(), "https://client.example/cb".into());
    let consent = browser.ask(&request).await;
    assert_safe(&consent, "consent");
    for decision in ["allow", "deny", "neither"] {
        assert_safe(&browser.answer(&consent, decision).await, decision);
    }
    request.insert("scope".into(), "unknown".into());
    assert_safe(&browser.get(&query(&request)).await, "a fault, to a host");
    let mut request = Server::request(&near);
    request.insert("scope".into(), "unknown".into());
    assert_safe(&browser.get(&query(&request)).await, "a fault, to this computer");
    // Wrong password, too many, and no store at all.
    let mut guesser = Browser::new(&server);
    let form = guesser.get("/sign-in").await;
    let mut last = StatusCode::OK;
    for _ in 0..25 {
        let typed = [("name", NAME), ("password", "not the password")];
        let refused = guesser.submit(&form, "/sign-in", &["csrf", "waiting"], &typed).await;
        assert_safe(&refused, "a guess");
        last = refused.status;
    }
    assert_eq!(last, StatusCode::TOO_MANY_REQUESTS);
    server.app.store.close().await.unwrap();
    for path in ["/", "/account", "/sign-in", "/setup", "/invitation?code=x"] {
        let page = browser.get(path).await;
        assert_safe(&page, path);
        assert!([StatusCode::SERVICE_UNAVAILABLE, StatusCode::SEE_OTHER].contains(&page.status), "{path}");
    }
}
