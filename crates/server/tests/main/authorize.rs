//! The authorization endpoint: who may be answered, what is asked, what a yes becomes.

use crate::support::*;
use http::StatusCode;

#[tokio::test]
async fn the_whole_story() {
    let server = Server::start().await;
    let (client, tokens) = server.granted().await;
    let claims = claims(text(&tokens, "access_token"));
    assert_eq!(
        (text(&claims, "iss"), text(&claims, "aud"), text(&claims, "client_id")),
        (ISSUER, RESOURCE, &*client)
    );
    assert_eq!(
        (text(&claims, "scope"), text(&tokens, "scope"), text(&tokens, "token_type")),
        ("read", "read", "Bearer")
    );
    assert_eq!(tokens["expires_in"], 600);
    assert!(text(&tokens, "access_token").len() <= 750);
    assert_eq!(text(&tokens, "refresh_token").len(), 64);
}

#[tokio::test]
async fn as_075_as_076_b_07_t_01_nothing_goes_to_an_unchecked_redirect_uri() {
    let server = Server::start().await;
    let client = server.register("https://client.example/cb").await;
    let mut browser = server.set_up().await;
    let near: Vec<String> = [
        "https://client.example/cb/",
        "https://client.example/CB",
        "https://client.example/cb?x",
        "https://client.example:443/cb",
        "https://client.example@evil.example/cb",
        "https://evil.example/cb",
        "https://client.example/cb%2f",
        "https://client.example/./cb",
        "https://client.example.evil.example/cb",
        "http://client.example/cb",
        "https://client.example/cb#x",
        "javascript:alert(1)",
        "https://client.example\\@evil.example/cb",
        "https://client.example/cb;x",
        "https://CLIENT.example/cb",
        "//client.example/cb",
        "https://client。example/cb",
        "https://client.example./cb",
        "https://clientXexample/cb",
        " https://client.example/cb",
    ]
    .map(str::to_owned)
    .into();
    for redirect in near {
        for fault in ["", "response_type", "code_challenge", "scope"] {
            let mut request = Server::request(&client);
            request.insert("redirect_uri".into(), redirect.clone());
            request.insert(fault.into(), "broken \"".into());
            let page = browser.get(&query(&request)).await;
            assert_eq!(page.status, StatusCode::BAD_REQUEST, "{redirect}");
            assert!(
                page.target().is_none() && page.header("location").is_empty() && !page.text.contains("evil")
            );
        }
    }
    for (name, value) in [
        ("client_id", ""),
        ("client_id", "nobody"),
        ("client_id", "<script>alert(1)</script>"),
        ("redirect_uri", "\"><script>alert(1)</script>"),
    ] {
        let mut request = Server::request(&client);
        request.insert(name.into(), value.into());
        let page = browser.get(&query(&request)).await;
        assert_eq!(page.status, StatusCode::BAD_REQUEST);
        assert!(!page.text.contains("<script") && page.target().is_none());
    }
}

#[tokio::test]
async fn as_090_t_02_nobody_is_bounced_before_signing_in() {
    let server = Server::start().await;
    let client = server.register(REDIRECT).await;
    let browser = server.set_up().await;
    let mut request = Server::request(&client);
    request.insert("scope".into(), "\"".into());
    let page = Browser::new(&server).get(&query(&request)).await;
    assert!(page.hidden("waiting").is_some() && page.target().is_none());
    let mut signed_in = browser;
    assert_eq!(signed_in.get(&query(&request)).await.answered("error").as_deref(), Some("invalid_scope"));
}

#[tokio::test]
async fn as_077_to_as_081_as_083_as_084_as_086_as_088_as_102_each_broken_rule_goes_back_with_state_and_iss() {
    let server = Server::start().await;
    let client = server.register(REDIRECT).await;
    let mut browser = server.set_up().await;
    for (name, value, error) in [
        ("response_type", "", "invalid_request"),
        ("response_type", "token", "unsupported_response_type"),
        ("response_type", "code token", "unsupported_response_type"),
        ("response_type", "Code", "unsupported_response_type"),
        ("response_mode", "fragment", "invalid_request"),
        ("code_challenge", "", "invalid_request"),
        ("code_challenge", "short", "invalid_request"),
        ("code_challenge_method", "", "invalid_request"),
        ("code_challenge_method", "plain", "invalid_request"),
        ("code_challenge_method", "s256", "invalid_request"),
        ("resource", "https://other.example/mcp", "invalid_target"),
        ("resource", "https://auth.example/mcpx", "invalid_target"),
        ("resource", "https://auth.example/mcp#x", "invalid_target"),
        ("scope", "unknown", "invalid_scope"),
        ("scope", "re\"ad", "invalid_scope"),
        ("scope", "read  write", "invalid_scope"),
        ("request", "eyJ", "request_not_supported"),
        ("request_uri", "http://169.254.169.254/", "request_uri_not_supported"),
    ] {
        let mut request = Server::request(&client);
        request.insert(name.into(), value.into());
        let page = browser.get(&query(&request)).await;
        assert_eq!(page.answered("error").as_deref(), Some(error), "{name}={value}: {}", page.text);
        assert_eq!(page.answered("state").as_deref(), Some("st/a+te %&"));
        assert_eq!(page.answered("iss").as_deref(), Some(ISSUER));
        assert_eq!(page.answered("code"), None);
    }
}

#[tokio::test]
async fn as_101_as_102_a_success_answer_has_exactly_code_state_and_iss() {
    let server = Server::start().await;
    let client = server.register("http://127.0.0.1:5000/callback?tenant=1").await;
    let mut browser = server.set_up().await;
    let mut request = Server::request(&client);
    request.insert("redirect_uri".into(), "http://127.0.0.1:5000/callback?tenant=1".into());
    let page = browser.ask(&request).await;
    let target = browser.answer(&page, "allow").await.target().unwrap();
    let (uri, query) = target.split_once("&code=").unwrap();
    assert_eq!(uri, "http://127.0.0.1:5000/callback?tenant=1");
    let names: Vec<_> = query.split('&').skip(1).map(|pair| pair.split('=').next().unwrap()).collect();
    assert_eq!(names, ["state", "iss"]);
    assert!(query.ends_with("iss=https%3A%2F%2Fauth.example") && !target.contains('#'));
}

#[tokio::test]
async fn as_049_as_037_a_metadata_documents_redirect_uris_are_exact() {
    let server = Server::start().await;
    let mut browser = server.set_up().await;
    let id = "https://client.invalid/id.json";
    let document = serde_json::json!({
        "client_id": id, "client_name": "Client", "token_endpoint_auth_method": "none",
        "redirect_uris": ["https://client.example/cb", "http://127.0.0.1/cb"],
    });
    // The host does not answer: the copy kept with an earlier yes does (P28).
    let kept = stored(id, document.to_string().into_bytes(), server.now());
    server.app.store.document_put(kept).await.unwrap();
    let mut request = Server::request(id);
    for (redirect, good) in [
        ("https://client.example/cb", true),
        ("http://127.0.0.1:49152/cb", true),
        ("https://client.example/cb/", false),
        ("https://client.example/CB", false),
        ("https://client.example/cb?x", false),
        ("https://client.example:443/cb", false),
        ("https://client.invalid/cb", false),
        ("http://127.0.0.1:49152/cb2", false),
        ("http://localhost:49152/cb", false),
    ] {
        request.insert("redirect_uri".into(), redirect.into());
        let page = browser.get(&query(&request)).await;
        assert_eq!(page.hidden("page").is_some(), good, "{redirect}: {}", page.text);
        assert!(page.target().is_none());
    }
}

#[tokio::test]
async fn as_149_as_092_a_refresh_token_is_given_exactly_when_the_page_said_so() {
    let server = Server::start().await;
    let mut browser = server.set_up().await;
    for (at, grant_types) in
        [None, Some(vec!["authorization_code"]), Some(vec!["authorization_code", "refresh_token"])]
            .into_iter()
            .enumerate()
    {
        let id = format!("https://client.invalid/{at}.json");
        let mut document =
            serde_json::json!({ "client_id": id, "client_name": "Client", "redirect_uris": [REDIRECT] });
        if let Some(types) = &grant_types {
            document["grant_types"] = serde_json::json!(types);
        }
        let body = document.to_string().into_bytes();
        let kept = stored(&id, body, server.now());
        server.app.store.document_put(kept).await.unwrap();
        let page = browser.ask(&Server::request(&id)).await;
        let code = browser.answer(&page, "allow").await.answered("code").unwrap();
        let tokens = server.redeem(&id, &code).await.json();
        assert_eq!(tokens.get("refresh_token").is_some(), at == 2, "{grant_types:?}");
        assert_eq!(page.text.contains("Stay signed in"), at == 2, "{grant_types:?}");
    }
}

#[tokio::test]
async fn as_042_a_native_client_with_a_secret_still_needs_pkce_and_consent() {
    let server = Server::start().await;
    let body = serde_json::json!({
        "redirect_uris": [REDIRECT], "application_type": "native", "token_endpoint_auth_method": "client_secret_post",
    });
    let client = text(&server.post_json("/register", &body).await.json(), "client_id").to_owned();
    let mut browser = server.set_up().await;
    let mut request = Server::request(&client);
    request.remove("code_challenge");
    assert_eq!(browser.get(&query(&request)).await.answered("error").as_deref(), Some("invalid_request"));
    browser.allow(&Server::request(&client)).await;
    assert!(browser.ask(&Server::request(&client)).await.target().is_none());
}

#[tokio::test]
async fn as_033_a_client_of_2025_03_26_finds_everything_at_the_root() {
    // No metadata, no resource: the paths that the first revision falls back on.
    let server = Server::start().await;
    let client = server.register(REDIRECT).await;
    let mut browser = server.set_up().await;
    let mut request = Server::request(&client);
    request.remove("resource");
    request.remove("scope");
    let code = browser.allow(&request).await;
    let tokens = server.redeem(&client, &code).await.json();
    assert_eq!(text(&claims(text(&tokens, "access_token")), "aud"), RESOURCE);
}

#[tokio::test]
async fn as_083_as_183_scopes_are_narrowed_and_no_other_is_in_the_token() {
    let server = Server::start().await;
    let client = server.register(REDIRECT).await;
    let mut browser = server.set_up().await;
    for (asked, granted) in [
        ("read write", "read write"),
        ("write unknown", "write"),
        ("openid email profile", "read write"),
        ("", "read write"),
        ("read offline_access", "read offline_access"),
        ("read read", "read"),
    ] {
        let mut request = Server::request(&client);
        request.insert("scope".into(), asked.into());
        let code = browser.allow(&request).await;
        let tokens = server.redeem(&client, &code).await.json();
        assert_eq!(text(&tokens, "scope"), granted, "{asked}");
        // `offline_access` is about the refresh token and means nothing to a server.
        let signed = claims(text(&tokens, "access_token"));
        assert_eq!(text(&signed, "scope"), granted, "{asked}");
    }
}

#[tokio::test]
async fn as_086_b_24_state_comes_back_byte_for_byte() {
    let server = Server::start().await;
    let client = server.register(REDIRECT).await;
    let mut browser = server.set_up().await;
    for state in ["a", "%25", "+ +", "ü€😀", "a&b=c#d", &"x".repeat(2048), "\"'<>"] {
        let mut request = Server::request(&client);
        request.insert("state".into(), state.into());
        let page = browser.ask(&request).await;
        let moving = browser.answer(&page, "allow").await;
        assert_eq!(moving.answered("state").as_deref(), Some(state));
    }
    let mut request = Server::request(&client);
    request.remove("state");
    let page = browser.ask(&request).await;
    assert_eq!(browser.answer(&page, "deny").await.answered("state"), None);
}

#[tokio::test]
async fn as_104_a_refusal_goes_back_and_burns_nothing() {
    let server = Server::start().await;
    let client = server.register(REDIRECT).await;
    let mut browser = server.set_up().await;
    let page = browser.ask(&Server::request(&client)).await;
    let denied = browser.answer(&page, "deny").await;
    assert_eq!(denied.answered("error").as_deref(), Some("access_denied"));
    assert_eq!(denied.answered("iss").as_deref(), Some(ISSUER));
    let code = browser.answer(&page, "allow").await.answered("code").unwrap();
    assert_eq!(server.redeem(&client, &code).await.status, StatusCode::OK);
}

async fn post(browser: &mut Browser<'_>, pairs: Vec<(String, String)>) -> Answer {
    let pairs: Vec<(&str, &str)> = pairs.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
    browser.post("/consent", &pairs).await
}

#[tokio::test]
async fn as_094_t_10_a_consent_is_bound_to_its_browser_and_its_page() {
    let server = Server::start().await;
    let client = server.register(REDIRECT).await;
    let mut browser = server.set_up().await;
    let page = browser.ask(&Server::request(&client)).await;
    let (csrf, sealed) = (page.hidden("csrf").unwrap(), page.hidden("page").unwrap());
    let mut other = Browser::new(&server);
    let form = other.get("/sign-in").await;
    other.sign_in(&form).await;
    let theirs = other.ask(&Server::request(&client)).await;
    let status = |answer: Answer| (answer.status, answer.target());
    let pairs = |csrf: &str, page: &str| {
        vec![
            ("csrf".to_owned(), csrf.to_owned()),
            ("page".to_owned(), page.to_owned()),
            ("decision".to_owned(), "allow".to_owned()),
        ]
    };
    // Without a token, with another browser's token, with another session's page, from another site, without cookies.
    assert_eq!(status(post(&mut browser, pairs("", &sealed)).await), (StatusCode::FORBIDDEN, None));
    assert_eq!(
        status(post(&mut browser, pairs(&theirs.hidden("csrf").unwrap(), &sealed)).await),
        (StatusCode::FORBIDDEN, None)
    );
    assert_eq!(
        status(post(&mut browser, pairs(&csrf, &theirs.hidden("page").unwrap())).await),
        (StatusCode::BAD_REQUEST, None)
    );
    let mut evil = browser.clone();
    evil.origin = Some("https://evil.example".into());
    assert_eq!(status(post(&mut evil, pairs(&csrf, &sealed)).await), (StatusCode::FORBIDDEN, None));
    // A sandboxed frame of another site has the origin "null" as our own pages have; its site gives it away.
    evil.origin = Some("null".into());
    evil.site = Some("cross-site".into());
    assert_eq!(status(post(&mut evil, pairs(&csrf, &sealed)).await), (StatusCode::FORBIDDEN, None));
    let mut bare = Browser::new(&server);
    assert_eq!(status(post(&mut bare, pairs(&csrf, &sealed)).await), (StatusCode::FORBIDDEN, None));
    let mut tampered = sealed.clone();
    tampered.replace_range(40..41, if &tampered[40..41] == "A" { "B" } else { "A" });
    assert_eq!(status(post(&mut browser, pairs(&csrf, &tampered)).await), (StatusCode::BAD_REQUEST, None));
    assert!(post(&mut browser, pairs(&csrf, &sealed)).await.answered("code").is_some());
}

#[tokio::test]
async fn as_099_an_old_page_asks_again() {
    let server = Server::start().await;
    let client = server.register(REDIRECT).await;
    let mut browser = server.set_up().await;
    let page = browser.ask(&Server::request(&client)).await;
    server.push(601);
    let again = browser.answer(&page, "allow").await;
    assert_eq!(again.status, StatusCode::SEE_OTHER);
    assert!(again.header("location").starts_with("/authorize?"));
    assert!(browser.get(again.header("location")).await.hidden("page").is_some());
}

#[tokio::test]
async fn t_08_somebody_elses_form_signs_nobody_in() {
    let server = Server::start().await;
    let _ = server.set_up().await;
    let mut attacker = Browser::new(&server);
    let form = attacker.get("/sign-in").await;
    let mut victim = Browser::new(&server);
    victim.get("/sign-in").await;
    let refused = victim.sign_in(&form).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    assert!(!victim.cookies.keys().any(|name| name.contains("session")));
    let first = attacker.sign_in(&form).await;
    assert_eq!((first.status, first.header("location")), (StatusCode::SEE_OTHER, "/account"));
    let before = attacker.cookies["__Host-hallpass_session"].clone();
    let form = attacker.get("/sign-in").await;
    attacker.sign_in(&form).await;
    assert_ne!(before, attacker.cookies["__Host-hallpass_session"]);
}

#[tokio::test]
async fn as_016_t_15_a_sign_in_answers_303_and_goes_on_with_the_request() {
    let server = Server::start().await;
    let client = server.register(REDIRECT).await;
    let _ = server.set_up().await;
    let mut browser = Browser::new(&server);
    let form = browser.get(&query(&Server::request(&client))).await;
    assert!(form.text.contains("Test client"));
    let on = browser.sign_in(&form).await;
    assert_eq!(on.status, StatusCode::SEE_OTHER);
    let page = browser.get(on.header("location")).await;
    let allowed = browser.answer(&page, "allow").await;
    assert!(allowed.answered("code").is_some());
    for status in [on.status, allowed.status] {
        // With these two a browser sends the form, password and all, to wherever it is sent on to (RFC 9700 §4.12).
        assert!(![StatusCode::TEMPORARY_REDIRECT, StatusCode::PERMANENT_REDIRECT].contains(&status));
    }
}

#[tokio::test]
async fn m14_prompt_login_asks_once_and_does_not_loop() {
    let server = Server::start().await;
    let client = server.register(REDIRECT).await;
    let mut browser = server.set_up().await;
    server.push(5);
    let mut request = Server::request(&client);
    request.insert("prompt".into(), "login".into());
    let form = browser.get(&query(&request)).await;
    assert!(form.hidden("waiting").is_some());
    server.push(5);
    let on = browser.sign_in(&form).await;
    let page = browser.get(on.header("location")).await;
    assert!(page.hidden("page").is_some(), "{}", page.text);
    request.remove("prompt");
    request.insert("max_age".into(), "60".into());
    assert!(browser.get(&query(&request)).await.hidden("page").is_some());
    server.push(120);
    assert!(browser.get(&query(&request)).await.hidden("waiting").is_some());
}

#[tokio::test]
async fn as_093_b_30_t_13_there_is_no_silent_approval() {
    let server = Server::start().await;
    let client = server.register(REDIRECT).await;
    let mut browser = server.set_up().await;
    browser.allow(&Server::request(&client)).await;
    let again = browser.ask(&Server::request(&client)).await;
    assert!(again.target().is_none());
}

#[tokio::test]
async fn as_085_p02_p39_the_resource_may_be_left_out_or_spelt_with_a_slash() {
    let server = Server::start().await;
    let client = server.register(REDIRECT).await;
    let mut browser = server.set_up().await;
    for spelling in ["", "https://auth.example/mcp/", "HTTPS://Auth.Example/mcp"] {
        let mut request = Server::request(&client);
        request.insert("resource".into(), spelling.into());
        let code = browser.allow(&request).await;
        let tokens = server.redeem_with(&client, &code, &[("resource", spelling)]).await.json();
        assert_eq!(text(&claims(text(&tokens, "access_token")), "aud"), RESOURCE);
    }
}
