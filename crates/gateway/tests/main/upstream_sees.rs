//! Nothing of the client's credentials, and no claim of the client about who it is, reaches the upstream.

use crate::support::{PING, world};

const CANARY: &str = "canary-5f3a";

#[tokio::test]
async fn rs_044_b_36_t_71_no_credentials_pass() {
    let world = world("echo").await;
    let token = world.token();
    let mut request = world.request(
        "POST",
        PING,
        &[
            ("cookie", CANARY),
            ("dpop", CANARY),
            ("proxy-authorization", CANARY),
            ("x-api-key", CANARY),
            ("origin", "https://canary-5f3a.example"),
            ("referer", CANARY),
            ("user-agent", CANARY),
        ],
    );
    *request.uri_mut() = format!("/mcp?token={CANARY}").parse().unwrap();
    let answer = world.ask(request).await;
    assert_eq!((answer.status, answer.json()["uri"].as_str()), (200, Some("/echo")));
    assert!(!answer.text.contains(CANARY) && !answer.text.contains(&token), "{}", answer.text);
    assert!(answer.seen("authorization").is_empty());
}

#[tokio::test]
async fn rs_045_b_36_t_72_two_hundred_spellings_of_an_identity() {
    let world = world("echo").await;
    let stems = [
        "user",
        "user-id",
        "user-name",
        "user-email",
        "user-groups",
        "email",
        "groups",
        "roles",
        "subject",
        "remote-user",
        "remote-email",
        "auth-user",
        "auth-request-user",
        "auth-request-email",
        "auth-request-access-token",
        "forwarded-user",
        "forwarded-email",
        "forwarded-groups",
        "forwarded-preferred-username",
        "forwarded-access-token",
        "forwarded-for",
        "forwarded-host",
        "forwarded-client-cert",
        "authenticated-user",
        "authenticated-userid",
        "authentik-username",
        "authentik-jwt",
        "webauth-user",
        "ssl-client-dn",
        "ssl-client-verify",
        "client-cert",
        "tailscale-user-login",
        "amzn-oidc-identity",
        "amzn-oidc-data",
        "goog-authenticated-user-email",
        "goog-iap-jwt-assertion",
        "ms-client-principal",
        "ms-client-principal-name",
        "hallpass-subject",
        "mcp-subject",
    ];
    let mut names = vec![
        "mcp-param".to_owned(),
        "mcp_param_user".into(),
        "authorization_".into(),
        "_authorization".into(),
        "forwarded".into(),
    ];
    for stem in stems {
        let folded = stem.replace('-', "_");
        names.extend([
            stem.to_owned(),
            format!("x-{stem}"),
            format!("X_{folded}"),
            folded,
            format!("x-{stem}-"),
        ]);
    }
    assert!(names.len() >= 200);
    for version in ["2025-11-25", ""] {
        let listed = format!("keep-alive, {}", names.join(", "));
        let mut more: Vec<_> = names.iter().map(|name| (name.as_str(), CANARY)).collect();
        more.extend(names.iter().map(|name| (name.as_str(), CANARY)));
        more.push(("connection", &listed));
        if !version.is_empty() {
            more.push(("mcp-protocol-version", version));
        }
        let answer = world.post(PING, &more).await;
        assert_eq!(answer.status, 200);
        assert!(!answer.text.contains(CANARY), "{}", answer.text);
    }
}

#[tokio::test]
async fn rs_044_what_does_pass_is_a_short_list() {
    let world = world("echo").await;
    let trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let more = [
        ("accept", "application/json, text/event-stream"),
        ("traceparent", trace),
        ("mcp-protocol-version", "2025-06-18"),
    ];
    let answer = world.post(PING, &more).await;
    let mut names: Vec<_> = answer.json()["headers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|pair| pair[0].as_str().unwrap().to_owned())
        .collect();
    names.sort_unstable();
    assert_eq!(
        names,
        ["accept", "content-length", "content-type", "host", "mcp-protocol-version", "traceparent"]
    );
    assert_eq!(answer.seen("traceparent"), [trace]);
    let answer = world.post(PING, &[("traceparent", CANARY)]).await;
    assert!(answer.seen("traceparent").is_empty(), "rs_067");
}

#[tokio::test]
async fn rs_021_b_35_every_request_is_authorized_by_itself() {
    let world = world("session").await;
    let first = world.post(PING, &[]).await;
    let session = first.header("mcp-session-id").to_owned();
    for authorization in ["Bearer garbage", "Basic x"] {
        let answer =
            world.post(PING, &[("mcp-session-id", &session), ("authorization", authorization)]).await;
        assert_eq!(answer.status, 401);
    }
    assert_eq!(world.upstream.asked(), 1);
}
