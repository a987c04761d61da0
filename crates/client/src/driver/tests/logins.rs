//! Signing in.
use super::world::*;
use crate::{
    callback::CallbackError,
    discovery::DiscoveryError,
    driver::{LoginOptions, Revoked, Settings},
    error::{ClientError, Failed},
    push::PushError,
    registration::RegistrationError,
    storage::TokenAuth,
    token::TokenError,
};
use hallpass_core::{metadata::MetadataError, scope::Scope, secret::SecretString};
use hallpass_fetch::FetchError;
use serde_json::json;
use std::{sync::Arc, time::Duration};

#[tokio::test]
async fn cl_029_cl_031_cl_032_cl_052_a_whole_sign_in() {
    let world = World::new().await;
    let done = world.login().await.unwrap();
    assert_eq!((done.issuer.as_str(), done.resource.as_str()), (world.issuer.as_str(), world.mcp.as_str()));
    assert!(done.renewable && done.expires_at.is_some());
    let (authorize, token) = (&world.asked("/authorize")[0], &world.asked("/token")[0]);
    let (query, form) = (authorize.query(), token.form());
    for name in ["resource", "client_id", "redirect_uri"] {
        assert_eq!(query.get(name), form.get(name), "{name}");
    }
    assert_eq!(query.get("resource"), Some(world.mcp.as_str()));
    assert_eq!(query.get("scope"), Some("read write"));
    assert_eq!(form.get("client_id"), Some("client-1"));
    assert_eq!(world.asked("/register")[0].json()["application_type"], "native");
    let entry = &world.kept().entries[0];
    assert_eq!(
        (entry.server.as_str(), entry.key.issuer.as_str()),
        (world.mcp.as_str(), world.issuer.as_str())
    );
    assert_eq!(entry.client.auth, TokenAuth::None);
}

#[tokio::test]
async fn cl_042_p17_a_second_sign_in_uses_the_same_registration_and_port() {
    let world = World::new().await;
    world.login().await.unwrap();
    world.login().await.unwrap();
    assert_eq!(world.asked("/register").len(), 1);
    let ports: Vec<_> = world
        .asked("/authorize")
        .iter()
        .map(|seen| seen.query().get("redirect_uri").unwrap().to_owned())
        .collect();
    assert_eq!(ports[0], ports[1]);
    assert_eq!(world.kept().entries.len(), 1);
    // Another account beside it.
    world.login_with(&LoginOptions { account: "work".into(), ..LoginOptions::default() }).await.unwrap();
    assert_eq!(world.kept().entries.len(), 2);
}

#[tokio::test]
async fn b_38_t_06_cl_044_no_code_goes_out_after_a_wrong_iss() {
    let world = World::new().await;
    world.set(|knobs| knobs.iss = Some("https://honest.example"));
    let end = error(world.login().await);
    assert!(matches!(end, ClientError::Callback(CallbackError::IssuerWrong)));
    assert!(world.asked("/token").is_empty() && world.kept().entries.is_empty());
}

#[tokio::test]
async fn b_38_t_07_cl_009_spoofed_metadata_stops_before_the_browser() {
    let world = World::new().await;
    world.set(|knobs| knobs.metadata = vec![("issuer", json!("https://honest.example"))]);
    let end = error(world.login().await);
    assert!(matches!(end, ClientError::Discovery(DiscoveryError::Server(MetadataError::IssuerMismatch))));
    assert!(world.asked("/register").is_empty() && world.asked("/authorize").is_empty());
}

#[tokio::test]
async fn b_38_cl_003_metadata_of_another_resource_stops_everything() {
    let world = World::new().await;
    let body = json!({ "resource": "https://honest.example/mcp", "authorization_servers": [world.issuer] });
    let json = "content-type: application/json\r\n".to_owned();
    world.set(|knobs| {
        knobs.instead = vec![("/.well-known/oauth-protected-resource/mcp", 200, json, body.to_string())];
    });
    let end = error(world.login().await);
    assert!(matches!(end, ClientError::Discovery(DiscoveryError::Resource(MetadataError::ResourceMismatch))));
    assert!(world.at_as.lock().unwrap().is_empty());
}

#[tokio::test]
async fn cl_012_t_51_a_server_cannot_send_us_inside_the_network() {
    let world = World::new().await;
    for (issuer, source) in [
        ("https://169.254.169.254", FetchError::ForbiddenHost),
        ("https://[fd00::1]", FetchError::ForbiddenHost),
        ("https://10.0.0.1", FetchError::ForbiddenHost),
        ("https://printer.local", FetchError::ForbiddenHost),
        ("https://intranet", FetchError::ForbiddenHost),
    ] {
        let body = json!({ "resource": world.mcp, "authorization_servers": [issuer] }).to_string();
        world.set(|knobs| {
            knobs.instead = vec![("/.well-known/oauth-protected-resource/mcp", 200, String::new(), body)];
        });
        let end = error(world.login().await);
        assert!(
            matches!(end, ClientError::Fetch { source: found, .. } if found == source),
            "{issuer}: {end:?}"
        );
    }
    world.set(|knobs| knobs.instead.clear());
    for endpoint in ["registration_endpoint", "token_endpoint"] {
        world.set(|knobs| knobs.metadata = vec![(endpoint, json!("https://192.168.0.1/x"))]);
        let end = error(world.login().await);
        assert!(
            matches!(end, ClientError::Fetch { source: FetchError::ForbiddenHost, .. }),
            "{endpoint}: {end:?}"
        );
    }
}

#[tokio::test]
async fn cl_030_t_05_t_08_a_foreign_callback_neither_ends_nor_finishes_the_sign_in() {
    let world = World::new().await;
    let act = |url: &str| {
        let url = url.to_owned();
        tokio::spawn(async move {
            let page = url::Url::parse(&url).unwrap();
            let redirect =
                page.query_pairs().find(|(name, _)| name == "redirect_uri").unwrap().1.into_owned();
            assert!(
                get(&format!("{redirect}?code=attacker&state=attacker")).await.starts_with("HTTP/1.1 400")
            );
            assert!(get(&format!("{redirect}?code=attacker")).await.starts_with("HTTP/1.1 400"));
            assert!(get(&format!("{redirect}?error=access_denied")).await.starts_with("HTTP/1.1 400"));
            visit(&url).await;
        });
    };
    let mut robot = Robot { instead: Some(Box::new(act)), ..Robot::default() };
    world.client.login(&world.mcp, &LoginOptions::default(), &mut robot).await.unwrap();
    let codes: Vec<_> =
        world.asked("/token").iter().map(|seen| seen.form().get("code").unwrap().to_owned()).collect();
    assert_eq!(codes, ["code-1"]);
}

#[tokio::test]
async fn cl_080_access_denied_stops_and_is_explained() {
    let world = World::new().await;
    let issuer = world.issuer.clone();
    let act = move |url: &str| {
        let page = url::Url::parse(url).unwrap();
        let value = |name: &str| page.query_pairs().find(|(have, _)| have == name).unwrap().1.into_owned();
        let url = format!(
            "{}?error=access_denied&error_description=%1b%5b2JYour+admin+said+no&state={}&iss={issuer}",
            value("redirect_uri"),
            value("state")
        );
        tokio::spawn(async move { assert!(get(&url).await.contains("Not signed in")) });
    };
    let mut robot = Robot { instead: Some(Box::new(act)), ..Robot::default() };
    let failed = world.client.login(&world.mcp, &LoginOptions::default(), &mut robot).await.unwrap_err();
    assert!(matches!(failed.error, ClientError::Callback(CallbackError::Denied)));
    assert_eq!(failed.said.unwrap().as_str(), "access_denied: [2JYour admin said no");
    assert_eq!(robot.pages.len(), 1);
}

#[tokio::test]
async fn cl_056_secrets_do_not_follow_redirects() {
    for path in ["/token", "/register"] {
        let world = World::new().await;
        let thief = bind().await;
        let location = format!("location: {}/steal\r\n", origin(&thief));
        let stolen = serve(thief, |_| Reply::status(200));
        for status in [301, 302, 307, 308] {
            world.set(|knobs| knobs.instead = vec![(path, status, location.clone(), String::new())]);
            let end = error(world.login().await);
            assert!(
                matches!(
                    end,
                    ClientError::Token(TokenError::Redirect)
                        | ClientError::Registration(RegistrationError::Redirect)
                ),
                "{path} {status} {end:?}"
            );
        }
        assert!(stolen.lock().unwrap().is_empty());
    }
}

#[tokio::test]
async fn cl_026_p03_a_forgotten_registration_is_replaced_once() {
    let world = World::new().await;
    world.login().await.unwrap();
    world.set(|knobs| {
        knobs.instead = vec![("/token", 401, String::new(), r#"{"error":"invalid_client"}"#.into())];
        knobs.times.insert("/token", 1);
    });
    world.login().await.unwrap();
    assert_eq!(world.asked("/register").len(), 2);
    assert_eq!(world.kept().registrations[0].client.client_id, "client-2");
    // One that stays unknown is an error, not a loop.
    world.set(|knobs| knobs.times.clear());
    let end = error(world.login().await);
    assert!(matches!(end, ClientError::Token(TokenError::InvalidClient)));
    assert_eq!(world.asked("/register").len(), 3);
}

#[tokio::test]
async fn p03_when_nobody_comes_back_the_next_sign_in_registers_anew() {
    let world = World::new().await;
    world.login().await.unwrap();
    let mut robot = Robot { instead: Some(Box::new(|_| ())), ..Robot::default() };
    let options = LoginOptions { patience: Duration::from_millis(50), ..LoginOptions::default() };
    let end = error(world.client.login(&world.mcp, &options, &mut robot).await);
    assert!(matches!(end, ClientError::NobodyAnswered));
    assert!(world.kept().registrations.is_empty());
    assert_eq!(world.kept().entries.len(), 1);
}

#[tokio::test]
async fn b_41_cl_025_t_63_a_new_authorization_server_sees_nothing_of_the_old_one() {
    let world = World::new().await;
    world.login().await.unwrap();
    let (second, issuer) = {
        let other = World::new().await;
        (other.issuer.clone(), other)
    };
    let body = json!({ "resource": world.mcp, "authorization_servers": [second] }).to_string();
    world.set(|knobs| {
        knobs.instead = vec![("/.well-known/oauth-protected-resource/mcp", 200, String::new(), body)];
    });
    issuer.set(|knobs| knobs.clients = 100);
    world.login().await.unwrap();
    assert_eq!(issuer.asked("/register").len(), 1);
    for seen in issuer.at_as.lock().unwrap().iter() {
        let text = format!("{} {} {:?}", seen.target, seen.body, seen.headers);
        for old in ["client-1\"", "client_id=client-1&", "access-", "refresh-"] {
            assert!(!text.contains(old), "{text}");
        }
    }
    let kept = world.kept();
    assert_eq!(kept.registrations.len(), 2);
    assert_eq!(kept.entries.iter().map(|entry| &entry.key.issuer).collect::<Vec<_>>(), [&second]);
}

/// The first of the list that answers, then the one that is known; each with what is its own.
#[tokio::test]
async fn cl_006_of_two_authorization_servers_one_is_chosen_and_stays() {
    let (world, other) = (World::new().await, World::new().await);
    other.set(|knobs| knobs.clients = 100);
    let list = |issuers: [&str; 2]| {
        let body = json!({ "resource": world.mcp, "authorization_servers": issuers }).to_string();
        world.set(|knobs| {
            knobs.instead = vec![("/.well-known/oauth-protected-resource/mcp", 200, String::new(), body)];
        });
    };
    list([&other.issuer, &world.issuer]);
    assert_eq!(world.login().await.unwrap().issuer, other.issuer);
    list([&world.issuer, &other.issuer]);
    assert_eq!(world.login().await.unwrap().issuer, other.issuer, "that one knows us");
    assert!(world.at_as.lock().unwrap().is_empty(), "the other one was not even asked");
    list([&world.issuer, &world.issuer]);
    assert_eq!(world.login().await.unwrap().issuer, world.issuer, "the known one is not named any more");
    let kept = world.kept();
    for (issuer, client) in [(&other.issuer, "client-101"), (&world.issuer, "client-1")] {
        let registration = kept.registrations.iter().find(|one| one.issuer == *issuer).unwrap();
        assert_eq!(registration.client.client_id, client);
    }
    for seen in world.at_as.lock().unwrap().iter() {
        assert!(!format!("{} {}", seen.target, seen.body).contains("client-101"));
    }
    // One that is gone is passed over.
    let fresh = World::new().await;
    let dead = bind().await;
    let gone = origin(&dead);
    drop(dead);
    let body = json!({ "resource": fresh.mcp, "authorization_servers": [gone, fresh.issuer] }).to_string();
    fresh.set(|knobs| {
        knobs.instead = vec![("/.well-known/oauth-protected-resource/mcp", 200, String::new(), body)];
    });
    assert_eq!(fresh.login().await.unwrap().issuer, fresh.issuer);
}

#[tokio::test]
async fn cl_018_cl_027_configured_clients_and_metadata_documents() {
    let world = World::new().await;
    world.set(|knobs| {
        knobs.metadata = vec![("token_endpoint_auth_methods_supported", json!(["client_secret_post"]))];
    });
    let options = LoginOptions {
        client: Some(("mine".into(), Some(SecretString::new("s")))),
        ..LoginOptions::default()
    };
    world.login_with(&options).await.unwrap();
    let form = world.asked("/token")[0].form();
    assert_eq!((form.get("client_id"), form.get("client_secret")), (Some("mine"), Some("s")));
    assert!(world.asked("/register").is_empty());

    let document = "https://client.example/client.json";
    let settings = Settings { metadata_document: Some(document.into()), ..Settings::default() };
    let client = client(world.folder.path().join("other"), Arc::clone(&world.clock), settings);
    world.set(|knobs| knobs.metadata = vec![("client_id_metadata_document_supported", json!(true))]);
    client.login(&world.mcp, &LoginOptions::default(), &mut Robot::default()).await.unwrap();
    assert_eq!(world.asked("/authorize")[1].query().get("client_id"), Some(document));
    assert!(world.asked("/register").is_empty());

    // Another account, which has brought no id.
    world.set(|knobs| knobs.metadata = vec![("registration_endpoint", json!(null))]);
    let other = LoginOptions { account: "other".into(), ..LoginOptions::default() };
    let end = error(world.login_with(&other).await);
    assert!(matches!(end, ClientError::Registration(RegistrationError::NotOffered)));
}

#[tokio::test]
async fn cl_033_cl_076_p20_scopes_of_the_challenge_and_the_union_at_step_up() {
    let world = World::new().await;
    world.set(|knobs| knobs.challenge_scope = Some("files:read"));
    world.login().await.unwrap();
    let more =
        LoginOptions { more_scope: Some(Scope::parse("files:write").unwrap()), ..LoginOptions::default() };
    world.login_with(&more).await.unwrap();
    let exact = LoginOptions { scope: Some(Scope::parse("x").unwrap()), ..LoginOptions::default() };
    world.login_with(&exact).await.unwrap();
    let asked: Vec<_> =
        world.asked("/authorize").iter().map(|seen| seen.query().get("scope").unwrap().to_owned()).collect();
    assert_eq!(asked, ["files:read", "files:read files:write", "x"]);
}

#[tokio::test]
async fn cl_015_a_server_of_the_first_revision_is_its_own_authorization_server() {
    let listener = bind().await;
    let base = origin(&listener);
    let mcp = format!("{base}/mcp");
    let log = serve(listener, |seen| match seen.path() {
        "/mcp" => Reply::status(401),
        "/register" => Reply::json(&json!({ "client_id": "c" })),
        "/token" => Reply::json(&json!({ "access_token": "a", "token_type": "bearer" })),
        "/authorize" => {
            let query = seen.query();
            let location = format!(
                "location: {}?code=x&state={}\r\n",
                query.get("redirect_uri").unwrap(),
                query.get("state").unwrap()
            );
            Reply(302, location, String::new())
        }
        _ => Reply::status(404),
    });
    let world = World::new().await;
    let done = world.client.login(&mcp, &LoginOptions::default(), &mut Robot::default()).await.unwrap();
    assert_eq!((done.issuer, done.resource, done.renewable), (base, mcp, false));
    let log = log.lock().unwrap();
    let metadata = log.iter().find(|seen| seen.path() == "/.well-known/oauth-authorization-server").unwrap();
    assert_eq!(metadata.headers["mcp-protocol-version"], "2025-03-26");
}

#[tokio::test]
async fn cl_015_not_now_is_not_taken_for_not_there() {
    for path in ["/.well-known/oauth-protected-resource/mcp", "/.well-known/oauth-protected-resource"] {
        let world = World::new().await;
        world.set(|knobs| {
            knobs.instead =
                vec![("/.well-known/oauth-protected-resource/mcp", 404, String::new(), String::new())];
            knobs.instead.insert(0, (path, 503, String::new(), String::new()));
        });
        let end = error(world.login().await);
        assert!(matches!(end, ClientError::Status { status: 503, .. }), "{path} {end:?}");
    }
}

#[tokio::test]
async fn an_open_server_needs_no_sign_in() {
    let listener = bind().await;
    let mcp = format!("{}/mcp", origin(&listener));
    let _log =
        serve(listener, |seen| if seen.path() == "/mcp" { Reply::status(200) } else { Reply::status(404) });
    let world = World::new().await;
    let end = error(world.client.login(&mcp, &LoginOptions::default(), &mut Robot::default()).await);
    assert!(matches!(end, ClientError::NotProtected));
    for bad in [
        "http://mcp.example/mcp",
        "ftp://x",
        "mcp.example",
        "https://u@mcp.example/",
        "https://mcp.example/#x",
    ] {
        let end = error(world.client.login(bad, &LoginOptions::default(), &mut Robot::default()).await);
        assert!(matches!(end, ClientError::ServerUrl(_)), "{bad}");
    }
}

#[tokio::test]
async fn cl_081_signing_out_revokes_and_forgets() {
    let world = World::new().await;
    world.login().await.unwrap();
    let done = world.client.logout(&world.mcp, "default").await.unwrap();
    assert_eq!((done.len(), done[0].revoked), (1, Revoked::Yes));
    let form = world.asked("/revoke")[0].form();
    assert_eq!((form.get("token"), form.get("token_type_hint")), (Some("refresh-2"), Some("refresh_token")));
    assert!(world.kept().entries.is_empty());
    assert!(world.client.logout(&world.mcp, "default").await.unwrap().is_empty());

    world.login().await.unwrap();
    world.set(|knobs| knobs.instead = vec![("/revoke", 503, String::new(), String::new())]);
    let done = world.client.logout(&world.mcp, "default").await.unwrap();
    assert_eq!(done[0].revoked, Revoked::NotConfirmed);
    assert!(world.kept().entries.is_empty());
}

#[tokio::test]
async fn cl_040_where_pushing_is_required_the_request_goes_there_and_the_page_gets_a_reference() {
    let world = World::new().await;
    let endpoint = json!(format!("{}/par", world.issuer));
    let required = ("require_pushed_authorization_requests", json!(true));
    world.set(|knobs| {
        knobs.metadata = vec![required.clone(), ("pushed_authorization_request_endpoint", endpoint.clone())];
    });
    world.login().await.unwrap();
    let (pushed, page) = (&world.asked("/par")[0], &world.asked("/authorize")[0]);
    let form = pushed.form();
    for (name, value) in [
        ("response_type", "code"),
        ("client_id", "client-1"),
        ("code_challenge_method", "S256"),
        ("resource", world.mcp.as_str()),
        ("scope", "read write"),
    ] {
        assert_eq!(form.all(name).collect::<Vec<_>>(), [value], "{name}");
    }
    assert!(form.get("state").is_some() && form.get("code_challenge").is_some());
    assert_eq!(
        page.target,
        "/authorize?client_id=client-1&request_uri=urn%3Aietf%3Aparams%3Aoauth%3Arequest_uri%3A0"
    );
    // Where it is offered and not required, one request less is made.
    world.set(|knobs| knobs.metadata = vec![("pushed_authorization_request_endpoint", endpoint.clone())]);
    world.login().await.unwrap();
    assert_eq!(world.asked("/par").len(), 1);
}

#[tokio::test]
async fn cl_040_a_refused_push_opens_no_page_and_a_forgotten_registration_is_replaced_once() {
    let world = World::new().await;
    world.login().await.unwrap();
    let endpoint = json!(format!("{}/par", world.issuer));
    world.set(|knobs| {
        knobs.metadata = vec![
            ("require_pushed_authorization_requests", json!(true)),
            ("pushed_authorization_request_endpoint", endpoint),
        ];
    });
    let pages = world.asked("/authorize").len();
    let kind = "content-type: application/json\r\n";
    for (status, body, error) in [
        (400, "{\"error\":\"invalid_scope\"}", PushError::InvalidScope),
        (400, "{\"error\":\"invalid_target\"}", PushError::InvalidTarget),
        (413, "{\"error\":\"invalid_request\"}", PushError::Refused),
        (503, "", PushError::Unavailable),
        (302, "", PushError::Redirect),
        (201, "{}", PushError::Malformed),
        (201, "{\"request_uri\":\"\"}", PushError::Malformed),
    ] {
        world.set(|knobs| knobs.instead = vec![("/par", status, kind.to_owned(), body.to_owned())]);
        let end = error_of(world.login().await);
        assert_eq!(end, error, "{status} {body}");
        assert_eq!(world.asked("/authorize").len(), pages, "{status} {body}");
    }
    let forgotten = "{\"error\":\"invalid_client\"}".to_owned();
    world.set(|knobs| {
        knobs.instead = vec![("/par", 401, kind.to_owned(), forgotten)];
        knobs.times.insert("/par", 1);
    });
    world.login().await.unwrap();
    assert_eq!(world.asked("/register").len(), 2);
}

fn error_of<T>(outcome: Result<T, Failed>) -> PushError {
    let ClientError::Push(error) = error(outcome) else { panic!("another error") };
    error
}
