//! What somebody can do to a person through the browser: forms of other sites, swapped and stale pages, planted sessions,
//! doubled parameters, markup in what a client says of itself (T-02 to T-19).

use crate::support::*;
use http::StatusCode;
use serde_json::{Value, json};

const FAR: &str = "https://client.example/cb";

fn to(client: &str, redirect: &str) -> std::collections::BTreeMap<String, String> {
    let mut request = Server::request(client);
    request.insert("redirect_uri".into(), redirect.into());
    request
}

#[tokio::test]
async fn as_090_t_02_no_fault_of_a_request_sends_a_stranger_anywhere() {
    let server = Server::start().await;
    let _ = server.set_up().await;
    for redirect in [FAR, REDIRECT, "cursor://anysphere.cursor-mcp/oauth/callback"] {
        let client = server.register(redirect).await;
        for (name, value) in [
            ("scope", "unknown"),
            ("scope", "\""),
            ("response_type", "token"),
            ("response_type", ""),
            ("response_mode", "fragment"),
            ("code_challenge", ""),
            ("code_challenge_method", "plain"),
            ("resource", "https://other.example/"),
            ("request", "x"),
            ("request_uri", "https://other.example/"),
            ("prompt", "login"),
        ] {
            let mut request = to(&client, redirect);
            request.insert(name.into(), value.into());
            let page = Browser::new(&server).get(&query(&request)).await;
            let led = (page.target(), page.link(), page.header("location"));
            assert_eq!((page.status, led), (StatusCode::OK, (None, None, "")), "{name}={value}");
            assert!(page.hidden("waiting").is_some(), "a sign-in comes first: {name}={value}");
        }
    }
}

#[tokio::test]
async fn as_091_t_02_an_answer_nobody_decided_about_shows_where_it_goes_and_waits() {
    let server = Server::start().await;
    let mut browser = server.set_up().await;
    let client = server.register(FAR).await;
    // A fault, in a link that somebody sent: it would carry the person to a host that anybody can have registered.
    let mut request = to(&client, FAR);
    request.insert("scope".into(), "unknown".into());
    let page = browser.get(&query(&request)).await;
    assert_eq!((page.status, page.target(), page.header("location")), (StatusCode::OK, None, ""));
    assert!(
        page.text.contains("<strong>client.example</strong>") && page.text.contains("Nothing was allowed")
    );
    let link = page.link().unwrap();
    assert!(link.starts_with("https://client.example/cb?error=invalid_scope&"), "{link}");
    assert!(link.contains("iss=") && link.contains("state="), "{link}");
    // What the person decided, having seen where it goes, moves on by itself, and says where again.
    request.insert("scope".into(), "read".into());
    let consent = browser.ask(&request).await;
    assert!(consent.text.contains("client.example</span>"));
    let denied = browser.answer(&consent, "deny").await;
    assert!(denied.target().unwrap().starts_with("https://client.example/cb?error=access_denied&"));
    assert!(denied.text.contains("Not allowed") && denied.text.contains("<strong>client.example</strong>"));
    // A program on the person's own computer learns of its fault at once.
    let near = server.register(REDIRECT).await;
    let mut request = Server::request(&near);
    request.insert("scope".into(), "unknown".into());
    assert_eq!(browser.get(&query(&request)).await.answered("error").as_deref(), Some("invalid_scope"));
}

#[tokio::test]
async fn as_106_an_answer_hands_on_no_fragment() {
    // Browsers attach the fragment of the page before to a redirect's target that has none of its own. There is no
    // redirect: the answer is a page, and what it names has no fragment.
    let server = Server::start().await;
    let client = server.register(REDIRECT).await;
    let mut browser = server.set_up().await;
    let consent = browser.ask(&Server::request(&client)).await;
    for decision in ["allow", "deny"] {
        let answer = browser.answer(&consent, decision).await;
        assert_eq!((answer.status, answer.header("location")), (StatusCode::OK, ""));
        assert!(!answer.target().unwrap().contains('#'));
    }
}

#[tokio::test]
async fn t_08_as_096_a_planted_session_is_worth_nothing_after_the_sign_in() {
    let server = Server::start().await;
    let attacker = server.set_up().await;
    let planted = attacker.cookies["__Host-hallpass_session"].clone();
    let mut victim = Browser::new(&server);
    victim.get("/sign-in").await;
    victim.cookies.insert("__Host-hallpass_session".into(), planted.clone());
    let form = victim.get("/sign-in").await;
    assert_eq!(victim.sign_in(&form).await.status, StatusCode::SEE_OTHER);
    let now = victim.cookies["__Host-hallpass_session"].clone();
    assert_ne!(now, planted);
    assert!(victim.get("/account").await.status.is_success());
    // Whoever planted it is not in there with the victim, and is out of the session that was used up.
    let mut attacker = attacker;
    assert_eq!(attacker.get("/account").await.header("location"), "/sign-in");
    // A form of before the sign-in does nothing after it.
    let stale =
        victim.submit(&form, "/sign-in", &["csrf", "waiting"], &[("name", NAME), ("password", PASSWORD)]);
    assert_eq!(stale.await.status, StatusCode::FORBIDDEN);
    // Made up or altered, it costs no lookup and is nobody's.
    for forged in [altered(&now), "x".repeat(50), String::new()] {
        let mut browser = victim.clone();
        browser.cookies.insert("__Host-hallpass_session".into(), forged);
        assert_eq!(browser.get("/account").await.header("location"), "/sign-in");
    }
}

/// Sends a form as another site would: with all that is in the page, from elsewhere.
async fn from_elsewhere(browser: &Browser<'_>, path: &str, pairs: &[(&str, &str)]) {
    for (origin, site) in [
        (Some("https://evil.example"), Some("cross-site")),
        (Some("https://evil.auth.example"), Some("same-site")),
        (Some("null"), Some("cross-site")),
        (None, Some("cross-site")),
        (Some("https://evil.example"), None),
        (Some("https://auth.example.evil.example"), None),
        (Some("http://auth.example"), None),
    ] {
        let mut evil = browser.clone();
        (evil.origin, evil.site) = (origin.map(str::to_owned), site.map(str::to_owned));
        let before = evil.cookies.clone();
        let answer = evil.post(path, pairs).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{path} from {origin:?} {site:?}");
        assert_eq!((answer.target(), answer.header("location")), (None, ""), "{path}");
        assert_eq!(evil.cookies, before, "{path}");
    }
}

#[tokio::test]
async fn as_094_t_10_no_form_of_another_site_does_anything() {
    let server = Server::start().await;
    let link = hallpass_server::setup_link(&server.app).await.unwrap().unwrap();
    let mut stranger = Browser::new(&server);
    let page = stranger.get(link.expose().strip_prefix(ISSUER).unwrap()).await;
    let (csrf, code) = (page.hidden("csrf").unwrap(), page.hidden("code").unwrap());
    let typed = [("csrf", &*csrf), ("code", &*code), ("name", "eve"), ("password", PASSWORD)];
    from_elsewhere(&stranger, "/setup", &typed).await;
    let mut person = server.set_up().await;
    let id = server.app.store.person_by_name(NAME.into()).await.unwrap().unwrap().id;
    let invitation =
        hallpass_server::invitation_link(&*server.app.store, &server.app.settings, id, server.now()).await;
    let page = stranger.get(invitation.unwrap().link.expose().strip_prefix(ISSUER).unwrap()).await;
    let (csrf, code) = (page.hidden("csrf").unwrap(), page.hidden("code").unwrap());
    let typed = [("csrf", &*csrf), ("code", &*code), ("password", "another long password")];
    from_elsewhere(&stranger, "/invitation", &typed).await;
    let page = stranger.get("/sign-in").await;
    let (csrf, waiting) = (page.hidden("csrf").unwrap(), page.hidden("waiting").unwrap());
    let typed = [("csrf", &*csrf), ("waiting", &*waiting), ("name", NAME), ("password", PASSWORD)];
    from_elsewhere(&stranger, "/sign-in", &typed).await;
    let client = server.register(REDIRECT).await;
    let page = person.ask(&Server::request(&client)).await;
    let (csrf, sealed) = (page.hidden("csrf").unwrap(), page.hidden("page").unwrap());
    from_elsewhere(&person, "/consent", &[("csrf", &csrf), ("page", &sealed), ("decision", "allow")]).await;
    from_elsewhere(&person, "/account", &[("csrf", &csrf), ("action", "everywhere")]).await;
    from_elsewhere(&person, "/sign-out", &[("csrf", &csrf)]).await;
    // Nothing of it happened, and every one of these forms still works from where it belongs.
    let done = stranger.post("/sign-in", &typed).await;
    assert_eq!(done.status, StatusCode::SEE_OTHER);
    assert!(person.answer(&page, "allow").await.answered("code").is_some());
    let out = person.post("/account", &[("csrf", &csrf), ("action", "everywhere")]).await;
    assert_eq!((out.status, out.header("location")), (StatusCode::SEE_OTHER, "/sign-in"));
}

#[tokio::test]
async fn as_094_as_099_t_10_a_swapped_page_allows_what_it_showed_and_a_stale_one_nothing() {
    let server = Server::start().await;
    let mut browser = server.set_up().await;
    let (small, large) = (server.register(REDIRECT).await, server.register(REDIRECT).await);
    let first = browser.ask(&Server::request(&small)).await;
    let mut wide = Server::request(&large);
    wide.insert("scope".into(), "read write".into());
    let second = browser.ask(&wide).await;
    // The page of one in the form of the other: what was shown on it is what is given, and to whom it named.
    let swapped = [
        ("csrf", second.hidden("csrf").unwrap()),
        ("page", first.hidden("page").unwrap()),
        ("decision", "allow".to_owned()),
        ("scope", "read write".to_owned()),
        ("client_id", large.clone()),
        ("redirect_uri", "https://evil.example/".to_owned()),
    ];
    let pairs: Vec<(&str, &str)> = swapped.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let code = browser.post("/consent", &pairs).await.answered("code").unwrap();
    assert_eq!(server.redeem(&large, &code).await.error(), "invalid_grant");
    let tokens = server.redeem(&small, &code).await.json();
    assert_eq!(text(&tokens, "scope"), "read");
    // Of a session that is over: the same person, signed in again in the same browser.
    let form = browser.get("/sign-in").await;
    browser.sign_in(&form).await;
    let stale = browser.answer(&second, "allow").await;
    assert_eq!((stale.status, stale.target()), (StatusCode::FORBIDDEN, None));
    let csrf = browser.get("/account").await.hidden("csrf").unwrap();
    let sealed = second.hidden("page").unwrap();
    let stale = browser.post("/consent", &[("csrf", &csrf), ("page", &sealed), ("decision", "allow")]).await;
    assert_eq!((stale.status, stale.target()), (StatusCode::BAD_REQUEST, None));
}

/// Texts that would be markup in one place or another.
const POLYGLOTS: [&str; 7] = [
    "\"><svg onload=alert(1)>'</title><script>alert(1)</script>",
    "javascript:/*--></title></style></textarea></script><svg/onload='+/\"/+/onmouseover=1/+/[*/[]/+alert(1)//'>",
    "{{7331*7}}<%= 7331*7 %>${7331*7}",
    "'-alert(1)-'\" autofocus onfocus=alert(1) x=\"",
    "&lt;script&gt;alert(1)&lt;/script&gt;&#60;svg&#62;",
    "]]><!--<img src=x onerror=alert(1)>-->",
    "data:text/html,<script>alert(1)</script>",
];

const FIELDS: [&str; 12] = [
    "client_name",
    "client_name#ja-Jpan-JP",
    "client_name#<svg>",
    "client_uri",
    "client_uri#fr",
    "logo_uri",
    "logo_uri#de",
    "tos_uri",
    "policy_uri",
    "contacts",
    "software_id",
    "software_version",
];

fn assert_inert(page: &Answer, what: &str) {
    let text = page.text.to_lowercase();
    for live in [
        "<script",
        "<svg",
        "<img",
        "<%=",
        "onload=alert(1)>",
        "\" autofocus",
        "href=\"javascript",
        "href=\"data",
    ] {
        assert!(!text.contains(live), "{what}: {live} in {text}");
    }
    assert!(!page.text.contains("51317"), "{what}: nothing is computed");
    assert!(page.header("content-security-policy").starts_with("default-src 'none'"), "{what}");
}

#[tokio::test]
async fn as_066_t_12_markup_in_each_field_of_a_registration_and_a_document_is_inert() {
    let (server, host) = Server::with_documents(settings()).await;
    let mut browser = server.set_up().await;
    let (mut asked, mut at) = (0, 0);
    for polyglot in POLYGLOTS {
        for field in FIELDS {
            let value = if field == "contacts" { json!([polyglot]) } else { json!(polyglot) };
            let mut body = json!({ "redirect_uris": [REDIRECT], "client_name": "Client", "token_endpoint_auth_method": "none" });
            body[field] = value;
            let what = format!("{field}: {polyglot}");
            at += 1;
            server.push(61);
            let path = format!("/{at}.json");
            let url = host.url(&path);
            let mut document = body.clone();
            document["client_id"] = json!(url);
            host.publish(&path, &document.to_string());
            let registered = server.post_json("/register", &body).await;
            let id = registered.json().get("client_id").and_then(Value::as_str).map(str::to_owned);
            assert!(id.is_some() || registered.status == StatusCode::BAD_REQUEST, "{what}");
            for client in id.into_iter().chain([url]) {
                let request = Server::request(&client);
                let form = Browser::new(&server).get(&query(&request)).await;
                assert_inert(&form, &what);
                let page = browser.get(&query(&request)).await;
                assert_inert(&page, &what);
                if page.hidden("page").is_none() {
                    assert_eq!(page.status, StatusCode::BAD_REQUEST, "{what}");
                    continue;
                }
                let moving = browser.answer(&page, "allow").await;
                assert_inert(&moving, &what);
                if field == "client_name" {
                    let code = moving.answered("code").unwrap();
                    assert_eq!(server.redeem(&client, &code).await.status, StatusCode::OK, "{what}");
                    assert_inert(&browser.get("/account").await, &what);
                }
                asked += 1;
            }
        }
    }
    assert!(asked > POLYGLOTS.len() * FIELDS.len(), "{asked}");
}

#[tokio::test]
async fn as_066_t_12_redirect_uris_that_would_run_are_refused_and_markup_in_a_request_is_inert() {
    let server = Server::start().await;
    for uri in [
        "javascript:alert(1)//",
        "JaVaScRiPt:alert(1)",
        "data:text/html,x",
        "vbscript:x",
        "blob:https://a/b",
        "file:///etc/passwd",
        "about:blank",
        "view-source:https://a.example/",
    ] {
        let body =
            json!({ "redirect_uris": [uri], "client_name": "Client", "token_endpoint_auth_method": "none" });
        assert_eq!(server.post_json("/register", &body).await.error(), "invalid_redirect_uri", "{uri}");
    }
    let mut browser = server.set_up().await;
    let client = server.register(FAR).await;
    for polyglot in POLYGLOTS {
        for name in [
            "state",
            "scope",
            "client_id",
            "redirect_uri",
            "resource",
            "prompt",
            "response_type",
            "nonce",
            "login_hint",
        ] {
            server.push(2);
            let mut request = to(&client, FAR);
            request.insert(name.into(), polyglot.into());
            let what = format!("{name}: {polyglot}");
            assert_inert(&Browser::new(&server).get(&query(&request)).await, &what);
            let page = browser.get(&query(&request)).await;
            assert_inert(&page, &what);
            if page.hidden("page").is_some() {
                assert_inert(&browser.answer(&page, "allow").await, &what);
            }
        }
    }
}

#[tokio::test]
async fn t_13_as_093_somebody_elses_document_with_a_program_of_ones_own_is_never_let_through_silently() {
    let (server, host) = Server::with_documents(settings()).await;
    let mut browser = server.set_up().await;
    let url = host.url("/client.json");
    let body = json!({
        "client_id": url, "client_name": "Known client", "redirect_uris": ["http://127.0.0.1/callback", FAR],
        "token_endpoint_auth_method": "none", "grant_types": ["authorization_code", "refresh_token"],
    });
    host.publish("/client.json", &body.to_string());
    for (redirect, warned) in
        [(FAR, false), (REDIRECT, true), (REDIRECT, true), ("http://127.0.0.1:6666/callback", true)]
    {
        let request = to(&url, redirect);
        let page = browser.ask(&request).await;
        assert_eq!(page.target(), None);
        assert_eq!(page.text.contains("An application on this computer asks"), warned, "{redirect}");
        if warned {
            let warning = page.text.find("class=\"warning\"").unwrap();
            assert!(warning < page.text.find("Known client").unwrap(), "the warning is read first");
        }
        let code = browser.answer(&page, "allow").await.answered("code").unwrap();
        let tokens = server.redeem_with(&url, &code, &[("redirect_uri", redirect)]).await;
        assert_eq!(tokens.status, StatusCode::OK);
    }
}

#[tokio::test]
async fn as_007_t_16_a_doubled_parameter_of_a_query_or_a_form_is_refused() {
    let server = Server::start().await;
    let mut browser = server.set_up().await;
    let client = server.register(REDIRECT).await;
    let usual = query(&Server::request(&client));
    for name in [
        "client_id",
        "redirect_uri",
        "response_type",
        "state",
        "scope",
        "code_challenge",
        "code_challenge_method",
        "prompt",
    ] {
        for value in ["", "x", "code"] {
            let doubled = format!("{usual}&{name}={value}&{name}={value}");
            let page = browser.get(&doubled).await;
            assert_eq!((page.status, page.target()), (StatusCode::BAD_REQUEST, None), "{name}");
            assert!(page.hidden("waiting").is_none() && page.hidden("page").is_none(), "{name}");
        }
    }
    let page = browser.ask(&Server::request(&client)).await;
    let (csrf, sealed) = (page.hidden("csrf").unwrap(), page.hidden("page").unwrap());
    let whole = [("csrf", &*csrf), ("page", &*sealed), ("decision", "deny")];
    for (name, value) in [("decision", "allow"), ("page", &*sealed), ("csrf", &*csrf), ("decision", "")] {
        for at in [0, whole.len()] {
            let mut pairs = whole.to_vec();
            pairs.insert(at, (name, value));
            let answer = browser.post("/consent", &pairs).await;
            assert_eq!((answer.status, answer.target()), (StatusCode::BAD_REQUEST, None), "{name}");
        }
    }
    // What stands in the query of a form does not count.
    let path = format!("/consent?decision=allow&page={sealed}&csrf={csrf}");
    assert_eq!(browser.post(&path, &whole[..2]).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(browser.post(&path, &[]).await.status, StatusCode::FORBIDDEN);
    let everywhere = [("csrf", &*csrf), ("action", "revoke"), ("action", "everywhere")];
    assert_eq!(browser.post("/account", &everywhere).await.status, StatusCode::BAD_REQUEST);
    let form = Browser::new(&server).get("/sign-in").await;
    let waiting = form.hidden("waiting").unwrap();
    let names =
        [("csrf", &*csrf), ("waiting", &*waiting), ("name", NAME), ("name", "eve"), ("password", PASSWORD)];
    assert_eq!(browser.post("/sign-in", &names).await.status, StatusCode::BAD_REQUEST);
    assert!(browser.answer(&page, "allow").await.answered("code").is_some());
}

#[tokio::test]
async fn t_18_as_088_a_request_uri_and_a_request_object_cause_no_request_of_ours() {
    let (server, host) = Server::with_documents(settings()).await;
    let mut browser = server.set_up().await;
    let client = server.register(REDIRECT).await;
    host.publish("/request.jwt", "eyJhbGciOiJub25lIn0.e30.");
    for uri in [
        host.url("/request.jwt"),
        "http://169.254.169.254/latest/".into(),
        "urn:example:request".into(),
        "file:///etc/passwd".into(),
    ] {
        let mut request = Server::request(&client);
        request.insert("request_uri".into(), uri.clone());
        let refused = browser.get(&query(&request)).await;
        assert_eq!(refused.answered("error").as_deref(), Some("request_uri_not_supported"), "{uri}");
        assert!(Browser::new(&server).get(&query(&request)).await.hidden("waiting").is_some());
    }
    // An unsigned object does not change what is asked.
    let mut request = Server::request(&client);
    request.insert("request".into(), "eyJhbGciOiJub25lIn0.eyJzY29wZSI6IndyaXRlIn0.".into());
    assert_eq!(
        browser.get(&query(&request)).await.answered("error").as_deref(),
        Some("request_not_supported")
    );
    assert_eq!((host.requests("/request.jwt"), host.lookups()), (0, 0));
}

#[tokio::test]
async fn t_19_as_077_another_response_type_on_the_way_gives_no_token() {
    let server = Server::start().await;
    let mut browser = server.set_up().await;
    let client = server.register(REDIRECT).await;
    // While the sign-in waits and while the question waits, somebody rewrites what the browser sends.
    for swapped in ["token", "id_token", "code token", "code id_token token", "none", "code "] {
        let mut away = Browser::new(&server);
        let form = away.get(&query(&Server::request(&client))).await;
        let typed = [
            ("name", NAME),
            ("password", PASSWORD),
            ("response_type", swapped),
            ("response_mode", "fragment"),
        ];
        let on = away.submit(&form, "/sign-in", &["csrf", "waiting"], &typed).await;
        let location = on.header("location").to_owned();
        assert!(location.contains("response_type=code&"), "{location}");
        let rewritten =
            location.replace("response_type=code&", &format!("response_type={}&", swapped.replace(' ', "+")));
        let refused = away.get(&rewritten).await;
        assert_eq!(refused.answered("error").as_deref(), Some("unsupported_response_type"), "{swapped}");
        let page = away.get(&location).await;
        let typed = [("decision", "allow"), ("response_type", swapped), ("response_mode", "fragment")];
        let answer = away.submit(&page, "/consent", &["csrf", "page"], &typed).await;
        for page in [&refused, &answer] {
            let target = page.target().unwrap();
            for token in ["access_token", "id_token=", "#", "token_type"] {
                assert!(!target.contains(token), "{swapped}: {target}");
            }
        }
        let code = answer.answered("code").unwrap();
        assert_eq!(server.redeem(&client, &code).await.status, StatusCode::OK);
    }
    assert!(browser.get("/account").await.status.is_success());
}
