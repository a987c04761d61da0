//! Which tokens are taken, and for how long.

use crate::support::{GRANT, START, World, bearer, claims, head, sign, world};
use hallpass_core::{
    authorization_details::AuthorizationDetails,
    jose::{Algorithm, JwsError, KeySet, SigningKey, jws},
    jwt::{AccessToken, AccessTokenError},
    scope::Scope,
};
use hallpass_resource::{ProtectedResource, Reason, Revocation, Revoked, Scheme};
use std::{sync::Arc, time::Duration};

async fn refused(world: &World, change: impl FnOnce(&mut AccessToken)) -> Reason {
    let mut token = claims();
    change(&mut token);
    world.ask(&sign(&world.key, &token)).await.unwrap_err()
}

#[tokio::test]
async fn a_good_token_says_who_calls() {
    let world = world();
    for _ in 0..2 {
        let caller = world.ask(&world.token()).await.unwrap();
        assert_eq!((caller.subject(), caller.client_id()), ("ann", "client"));
        assert_eq!(caller.grant().unwrap().grant, GRANT);
        assert_eq!(caller.expires_at(), START.plus(Duration::from_mins(5)));
    }
}

#[tokio::test]
async fn rs_033_a_client_with_the_id_of_a_person_is_no_person() {
    let world = world();
    let caller = world.ask(&world.token()).await.unwrap();
    assert_eq!(caller.person(), Some("ann"));
    // Elsewhere anybody may have registered a client that is called like a person.
    let machine = AccessToken { client_id: "ann".into(), ..claims() };
    let caller = world.ask(&sign(&world.key, &machine)).await.unwrap();
    assert_eq!((caller.person(), caller.subject()), (None, "ann"));
}

#[tokio::test]
async fn rs_024_b_15_b_16_t_70_only_the_exact_audience() {
    let world = world();
    for other in [
        "https://mcp.example",
        "https://mcp.example/",
        "https://mcp.example/mcp/",
        "https://mcp.example/mcpx",
        "https://mcp.example/mcp-other",
        "https://mcp.example:443/mcp",
        "https://MCP.example/mcp",
        "https://u@mcp.example/mcp",
        "http://mcp.example/mcp",
        "https://as.example",
        "::not a uri::",
        "",
    ] {
        let reason = refused(&world, |token| token.audience = other.into()).await;
        assert_eq!(reason, Reason::Token(AccessTokenError::WrongAudience), "{other}");
    }
}

#[tokio::test]
async fn rs_023_only_the_exact_issuer_and_its_own_keys() {
    let world = world();
    for other in ["https://as.example/", "https://AS.example", "https://other.example"] {
        let reason = refused(&world, |token| token.issuer = other.into()).await;
        assert_eq!(reason, Reason::Token(AccessTokenError::WrongIssuer), "{other}");
    }
    let stranger = SigningKey::generate(Algorithm::Es256).unwrap();
    let reason = world.ask(&sign(&stranger, &claims())).await.unwrap_err();
    assert_eq!(reason, Reason::Token(AccessTokenError::Jws(JwsError::UnknownKey)));
}

#[tokio::test]
async fn rs_025_b_33_tokens_of_other_kinds_are_refused() {
    let world = world();
    let good = world.token();
    let payload = jws::unverified_payload(&good).unwrap();
    for typ in ["JWT", "id_token+jwt", "logout+jwt", "oauth-id-jag+jwt", "dpop+jwt", ""] {
        let token = jws::sign(&world.key, typ, &payload).unwrap();
        assert!(matches!(world.ask(&token).await, Err(Reason::Token(AccessTokenError::Jws(_)))), "{typ}");
    }
    assert!(world.ask(&jws::sign(&world.key, "application/at+jwt", &payload).unwrap()).await.is_ok());
}

#[tokio::test]
async fn rs_026_rs_029_b_18_garbage_is_an_invalid_token_never_a_failure() {
    let world = world();
    let good = world.token();
    let none = "eyJhbGciOiJub25lIiwidHlwIjoiYXQrand0In0.e30.";
    let mut texts =
        vec!["x".into(), "a.b.c".into(), none.into(), format!("{good}."), format!("{good}A"), "=".repeat(3)];
    texts.extend((0..good.len()).step_by(7).map(|at| good[..at].to_owned()));
    for text in texts {
        let refusal =
            world.resource.refuse(world.ask(&text).await.unwrap_err(), &Scope::none(), Scheme::Bearer);
        assert!(matches!(refusal.status().as_u16(), 400 | 401), "{text}");
    }
}

#[tokio::test]
async fn rs_022_expiry_and_start_within_thirty_seconds() {
    let world = world();
    let token = world.token();
    world.clock.set(START.plus(Duration::from_secs(329)));
    assert!(world.ask(&token).await.is_ok());
    world.clock.set(START.plus(Duration::from_secs(330)));
    assert_eq!(world.ask(&token).await.unwrap_err(), Reason::Expired, "seen before");
    assert_eq!(world.ask(&token).await.unwrap_err(), Reason::Token(AccessTokenError::Expired), "forgotten");
    world.clock.set(START.minus(Duration::from_secs(31)));
    let early = world.ask(&token).await.unwrap_err();
    assert_eq!(early, Reason::Token(AccessTokenError::IssuedInTheFuture));
}

#[tokio::test]
async fn rs_032_revoked_at_once_also_when_seen_before() {
    let until = START.plus(Duration::from_mins(5));
    let person = |epoch| Revoked::Person { subject: "ann".into(), epoch };
    for (what, revoked) in [
        (Revoked::Grant(GRANT), true),
        (person(2), true),
        (person(1), false),
        (Revoked::Client("client".into()), true),
        (Revoked::Client("other".into()), false),
    ] {
        let world = world();
        let token = world.token();
        assert!(world.ask(&token).await.is_ok());
        world.revocations.apply([Revocation { what: what.clone(), until }], 1, START);
        let outcome = world.ask(&token).await.map(|_| ());
        assert_eq!(outcome, if revoked { Err(Reason::Revoked) } else { Ok(()) }, "{what:?}");
    }
}

/// With a client ends what others were given in its place (RFC 8693 §4.1).
#[tokio::test]
async fn as_177_rs_032_a_token_ends_with_each_client_that_acted_before() {
    let until = START.plus(Duration::from_mins(5));
    let chain = || vec!["client".to_owned(), "helper".to_owned(), "agent".to_owned()];
    for (gone, revoked) in [("agent", true), ("helper", true), ("client", true), ("other", false)] {
        let world = world();
        let token = sign(&world.key, &AccessToken { actors: chain(), ..claims() });
        assert_eq!(world.ask(&token).await.unwrap().actors(), chain());
        world.revocations.apply([Revocation { what: Revoked::Client(gone.into()), until }], 1, START);
        let outcome = world.ask(&token).await.map(|_| ());
        assert_eq!(outcome, if revoked { Err(Reason::Revoked) } else { Ok(()) }, "{gone}");
    }
}

#[tokio::test]
async fn rs_064_fails_closed_before_the_first_load() {
    let world = world();
    let empty = hallpass_resource::Revocations::new();
    let settings = world.resource.settings().clone();
    let resource = ProtectedResource::new(settings, Arc::clone(&world.keys), empty.into());
    let reason = resource.authenticate(head(&bearer(&world.token())), START).await.unwrap_err();
    assert_eq!(reason, Reason::RevocationsNotReady);
    // A stranger does not learn even that.
    assert_eq!(
        resource.authenticate(head(&http::HeaderMap::new()), START).await.unwrap_err(),
        Reason::NoCredentials
    );
}

#[tokio::test]
async fn rs_037_a_key_bound_token_is_no_bearer_token() {
    let world = world();
    let mut payload: serde_json::Value =
        serde_json::from_slice(&jws::unverified_payload(&world.token()).unwrap()).unwrap();
    payload["cnf"] = serde_json::json!({"jkt": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"});
    let token = jws::sign(&world.key, "at+jwt", payload.to_string().as_bytes()).unwrap();
    assert_eq!(world.ask(&token).await.unwrap_err(), Reason::BoundToken);
}

#[tokio::test]
async fn withdrawn_keys_take_the_tokens_along_that_they_verified() {
    let world = world();
    let token = world.token();
    assert!(world.ask(&token).await.is_ok());
    let next = SigningKey::generate(Algorithm::Es256).unwrap();
    world.keys.replace(KeySet::from_keys(vec![next.verifying_key()]));
    assert_eq!(
        world.ask(&token).await.unwrap_err(),
        Reason::Token(AccessTokenError::Jws(JwsError::UnknownKey))
    );
    assert!(world.ask(&sign(&next, &claims())).await.is_ok());
}

#[tokio::test]
async fn rs_034_scopes_are_exact_tokens() {
    let world = world();
    for (needed, enough) in [
        ("files:read", true),
        ("files:write files:read", true),
        ("", true),
        ("files", false),
        ("files:read admin", false),
        ("Files:read", false),
        ("*", false),
    ] {
        let needed = Scope::parse(needed).unwrap();
        let outcome = world.resource.authorize(head(&bearer(&world.token())), &needed, START).await;
        assert_eq!(
            outcome.map(|_| ()),
            if enough { Ok(()) } else { Err(Reason::InsufficientScope) },
            "{needed}"
        );
    }
    let reason = {
        let mut token = claims();
        token.scope = None;
        let caller = world.ask(&sign(&world.key, &token)).await.unwrap();
        caller.authorize((), &Scope::parse("files:read").unwrap()).unwrap_err()
    };
    assert_eq!(reason, Reason::InsufficientScope);
    assert_eq!(
        refused(&world, |token| token.scope = Some("files:read  x".into())).await,
        Reason::Token(AccessTokenError::ScopeForm)
    );
}

#[tokio::test]
async fn as_089_t_24_a_token_for_some_tools_is_refused_by_who_would_look_at_the_scope_alone() {
    let World { key, keys, revocations, clock, resource } = world();
    let details = AuthorizationDetails::parse(r#"[{"type":"mcp_tool","tool":"pay"}]"#).unwrap();
    let token = sign(&key, &AccessToken { details: Some(details.clone()), ..claims() });
    let (headers, now) = (bearer(&token), hallpass_core::time::Clock::now(&clock));
    for _ in 0..2 {
        let refused = resource.authenticate(head(&headers), now).await.err();
        assert_eq!(refused, Some(Reason::Token(AccessTokenError::Details)));
    }
    let reading = ProtectedResource::new(resource.settings().clone(), keys, revocations)
        .with_clock(Arc::new(clock))
        .with_authorization_details();
    let caller = reading.authenticate(head(&headers), now).await.unwrap();
    assert_eq!(caller.details(), Some(&details));
}
