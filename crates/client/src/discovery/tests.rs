//! Orders of questions, and answers of servers that are broken or hostile.
use super::*;
use serde_json::{Value, json};

/// An honest authorization server, for tests of other parts too.
pub(crate) fn server() -> AuthorizationServer {
    let metadata = metadata().to_string();
    match ServerProbe::new(issuer()).receive(Answer::Found(metadata.as_bytes())).unwrap() {
        ServerStep::Found(server) => *server,
        ServerStep::Again(_) => panic!("not found"),
    }
}

fn issuer() -> Issuer {
    Issuer::parse("https://as.example").unwrap()
}

fn metadata() -> Value {
    json!({
        "issuer": "https://as.example",
        "authorization_endpoint": "https://as.example/authorize",
        "token_endpoint": "https://as.example/token",
        "registration_endpoint": "https://as.example/register",
        "response_types_supported": ["code"],
        "code_challenge_methods_supported": ["S256"],
    })
}

fn mcp() -> ResourceUri {
    ResourceUri::parse("https://mcp.example/a/mcp").unwrap()
}

/// Asks until something is found, and lists what was asked for; `answers` are bodies by URL.
fn find_resource(
    named: Option<&str>,
    answers: &[(&str, Value)],
) -> (Vec<String>, Result<ResourceStep, DiscoveryError>) {
    let mut asked = Vec::new();
    let mut probe = match ResourceProbe::new(mcp(), named) {
        Ok(probe) => probe,
        Err(error) => return (asked, Err(error)),
    };
    loop {
        let url = probe.ask().unwrap().url;
        asked.push(url.clone());
        let body = answers.iter().find(|(at, _)| *at == url).map(|(_, body)| body.to_string());
        match probe.receive(body.as_ref().map_or(Answer::Missing, |body| Answer::Found(body.as_bytes()))) {
            Ok(ResourceStep::Again(next)) => probe = next,
            end => return (asked, end),
        }
    }
}

fn found(step: Result<ResourceStep, DiscoveryError>) -> ProtectedResource {
    match step {
        Ok(ResourceStep::Found(resource)) => resource,
        other => panic!("{other:?}"),
    }
}

const PATH: &str = "https://mcp.example/.well-known/oauth-protected-resource/a/mcp";
const ROOT: &str = "https://mcp.example/.well-known/oauth-protected-resource";

fn prm(resource: &str) -> Value {
    json!({ "resource": resource, "authorization_servers": ["https://as.example"] })
}

#[test]
fn cl_001_challenges_in_every_shape() {
    for headers in [
        &[r#"Bearer resource_metadata="https://m.example/x", scope="a b", error="invalid_token""#][..],
        &[r#"bEARER error=invalid_token,scope="a b",unknown=1, resource_metadata="https://m.example/x""#],
        &[
            "Negotiate",
            r#"Basic realm="a, b\"", Bearer scope="a b", error="invalid_token", resource_metadata="https://m.example/x""#,
        ],
        &[
            r#"DPoP algs="ES256", scope="other""#,
            r#"Bearer scope="a b", error="invalid_token", resource_metadata="https://m.example/x""#,
        ],
    ] {
        let challenged = Challenged::from_headers(headers);
        assert_eq!(challenged.resource_metadata.as_deref(), Some("https://m.example/x"), "{headers:?}");
        assert_eq!(challenged.scope.unwrap().to_string(), "a b", "{headers:?}");
        assert_eq!(challenged.error.as_deref(), Some("invalid_token"));
    }
    assert_eq!(Challenged::from_headers(&["Bearer", "", "=", "Basic YQ=="]), Challenged::default());
}

#[test]
fn cl_002_the_named_metadata_else_by_path_else_root() {
    let named = "https://mcp.example/custom/metadata.json";
    let (asked, end) =
        find_resource(Some(named), &[(named, prm("https://mcp.example/a/mcp")), (ROOT, prm("x"))]);
    assert_eq!(
        (asked.as_slice(), found(end).resource.as_str()),
        (&[named.to_owned()][..], "https://mcp.example/a/mcp")
    );
    let (asked, end) = find_resource(None, &[(PATH, prm("https://mcp.example/a/mcp")), (ROOT, prm("trap"))]);
    assert_eq!(
        (asked.as_slice(), found(end).resource.as_str()),
        (&[PATH.to_owned()][..], "https://mcp.example/a/mcp")
    );
    let (asked, end) = find_resource(None, &[(ROOT, prm("https://mcp.example"))]);
    assert_eq!(
        (asked.as_slice(), found(end).resource.as_str()),
        (&[PATH.to_owned(), ROOT.to_owned()][..], "https://mcp.example")
    );
    // Named and not there: no second guess.
    assert_eq!(
        find_resource(Some(named), &[(ROOT, prm("https://mcp.example"))]).1.unwrap_err(),
        DiscoveryError::NoMetadata
    );
    let (asked, end) = find_resource(None, &[]);
    assert!(matches!(end, Ok(ResourceStep::Legacy)) && asked.len() == 2);
}

#[test]
fn p11_start_pages_that_answer_everything_count_as_missing() {
    let probe = ResourceProbe::new(mcp(), None).unwrap();
    let next = probe.receive(Answer::Found(b"<!doctype html>")).unwrap();
    assert!(matches!(next, ResourceStep::Again(probe) if probe.ask().unwrap().url == ROOT));
}

#[test]
fn cl_003_b_38_metadata_of_another_server_ends_everything() {
    for resource in [
        "https://evil.example/a/mcp",
        "https://mcp.example/other",
        "https://mcp.example/a/mcpx",
        "https://mcp.example/a/m",
        "http://mcp.example/a/mcp",
        "https://mcp.example:8443/a/mcp",
        "https://mcp.example/a/mcp/deeper",
        "https://mcp.example@evil.example/a/mcp",
        "https://mcp.example/a/mcp#x",
        "https://sub.mcp.example/a/mcp",
    ] {
        let end = find_resource(None, &[(PATH, prm(resource)), (ROOT, prm("https://mcp.example"))]).1;
        assert_eq!(end.unwrap_err(), DiscoveryError::Resource(MetadataError::ResourceMismatch), "{resource}");
    }
    for resource in
        ["https://mcp.example/a/mcp", "https://mcp.example/a", "https://mcp.example", "https://mcp.example/"]
    {
        // As written: that is what authorization and token requests will name (CL-032).
        assert_eq!(found(find_resource(None, &[(PATH, prm(resource))]).1).resource, resource);
    }
}

#[test]
fn cl_004_t_51_metadata_is_read_from_the_servers_own_origin() {
    for named in [
        "https://evil.example/x",
        "http://mcp.example/x",
        "https://mcp.example:444/x",
        "http://169.254.169.254/latest",
        "http://127.0.0.1/x",
        "file:///etc/passwd",
        "/relative",
        "https://mcp.example@evil.example/x",
        "",
    ] {
        let end = find_resource(Some(named), &[]);
        assert_eq!(end.1.unwrap_err(), DiscoveryError::ForeignMetadata, "{named}");
        assert!(end.0.is_empty());
    }
}

#[test]
fn cl_005_metadata_without_an_authorization_server() {
    for servers in [json!([]), json!(null), json!(["not a url", "http://public.example", "javascript:x"])] {
        let body = json!({ "resource": "https://mcp.example/a/mcp", "authorization_servers": servers });
        assert_eq!(find_resource(None, &[(PATH, body)]).1.unwrap_err(), DiscoveryError::NoIssuer);
    }
    let mut bound = prm("https://mcp.example/a/mcp");
    bound["dpop_bound_access_tokens_required"] = json!(true);
    assert!(found(find_resource(None, &[(PATH, bound)]).1).requires_proof);
}

#[test]
fn cl_007_cl_016_the_order_for_issuers() {
    for (issuer, urls) in [
        (
            "https://as.example",
            &[
                "https://as.example/.well-known/oauth-authorization-server",
                "https://as.example/.well-known/openid-configuration",
            ][..],
        ),
        (
            "https://as.example/t",
            &[
                "https://as.example/.well-known/oauth-authorization-server/t",
                "https://as.example/.well-known/openid-configuration/t",
                "https://as.example/t/.well-known/openid-configuration",
            ],
        ),
    ] {
        let mut probe = ServerProbe::new(Issuer::parse(issuer).unwrap());
        let mut asked = vec![probe.ask().unwrap().url];
        let end = loop {
            match probe.receive(Answer::Missing) {
                Ok(ServerStep::Again(next)) => probe = next,
                end => break end.unwrap_err(),
            }
            asked.push(probe.ask().unwrap().url);
        };
        assert_eq!(
            (asked.as_slice(), end),
            (
                urls.iter().map(|url| (*url).to_owned()).collect::<Vec<_>>().as_slice(),
                DiscoveryError::NoServerMetadata
            )
        );
    }
}

fn judge(change: impl FnOnce(&mut Value)) -> Result<ServerStep, DiscoveryError> {
    let mut metadata = metadata();
    change(&mut metadata);
    ServerProbe::new(issuer()).receive(Answer::Found(metadata.to_string().as_bytes()))
}

#[test]
fn cl_008_cl_009_b_38_t_07_another_issuer_is_a_hard_stop() {
    for other in [
        "https://evil.example",
        "https://as.example/",
        "https://AS.example",
        "https://as.example:443",
        "https://as.example/t",
    ] {
        let end = judge(|metadata| metadata["issuer"] = json!(other)).unwrap_err();
        assert_eq!(end, DiscoveryError::Server(MetadataError::IssuerMismatch), "{other}");
    }
    // Not a document at all: the next place is asked.
    let next = ServerProbe::new(issuer()).receive(Answer::Found(b"<html>")).unwrap();
    assert!(matches!(next, ServerStep::Again(_)));
}

#[test]
fn cl_010_endpoints_are_https_or_on_this_machine() {
    for name in ["authorization_endpoint", "token_endpoint", "registration_endpoint"] {
        for bad in [
            "http://as.example/x",
            "javascript:alert(1)",
            "file:///x",
            "https://u@as.example/x",
            "/x",
            "http://10.0.0.1/x",
        ] {
            let end = judge(|metadata| metadata[name] = json!(bad)).unwrap_err();
            assert_eq!(end, DiscoveryError::Server(MetadataError::Endpoint(name)), "{bad}");
        }
        assert!(judge(|metadata| metadata[name] = json!("http://127.0.0.1:9/x")).is_ok());
    }
}

#[test]
fn cl_011_without_pkce_nothing_is_started() {
    for methods in [json!(null), json!([]), json!(["plain"]), json!(["s256"])] {
        let end = judge(|metadata| metadata["code_challenge_methods_supported"] = methods).unwrap_err();
        assert_eq!(end, DiscoveryError::NoPkce);
    }
    // Where a nonce in a signed token says the same, it does not have to be promised.
    let mut quiet = metadata();
    quiet.as_object_mut().unwrap().remove("code_challenge_methods_supported");
    let quiet = quiet.to_string();
    assert!(ServerProbe::new(issuer()).for_sign_in().receive(Answer::Found(quiet.as_bytes())).is_ok());
    let end =
        judge(|metadata| metadata["grant_types_supported"] = json!(["client_credentials"])).unwrap_err();
    assert_eq!(end, DiscoveryError::NoCodeGrant);
    let end = judge(|metadata| metadata["token_endpoint"] = json!(null)).unwrap_err();
    assert_eq!(end, DiscoveryError::NoCodeGrant);
    let end = judge(|metadata| metadata["require_pushed_authorization_requests"] = json!(true)).unwrap_err();
    assert_eq!(end, DiscoveryError::NoPushEndpoint);
}

#[test]
fn cl_015_servers_of_the_first_revision() {
    let probe = ServerProbe::legacy(&mcp()).unwrap();
    let ask = probe.ask().unwrap();
    assert_eq!(ask.url, "https://mcp.example/.well-known/oauth-authorization-server");
    assert_eq!(ask.revision, Revision::V2025_03_26);
    let ServerStep::Found(server) = probe.clone().receive(Answer::Missing).unwrap() else {
        panic!("not found")
    };
    assert_eq!(server.authorization_endpoint.unwrap().as_str(), "https://mcp.example/authorize");
    assert_eq!(server.token_endpoint.as_str(), "https://mcp.example/token");
    assert_eq!(server.registration_endpoint.unwrap().as_str(), "https://mcp.example/register");
    let mut own = metadata();
    own["issuer"] = json!("https://mcp.example/");
    let ServerStep::Found(server) = probe.clone().receive(Answer::Found(own.to_string().as_bytes())).unwrap()
    else {
        panic!("not found")
    };
    assert_eq!(server.issuer.as_str(), "https://mcp.example/");
    let end = probe.receive(Answer::Found(metadata().to_string().as_bytes())).unwrap_err();
    assert_eq!(end, DiscoveryError::Server(MetadataError::IssuerMismatch));
}

#[test]
fn cl_017_hostile_documents_do_no_harm() {
    let deep = "[".repeat(100_000);
    let long = format!(r#"{{"issuer":"https://as.example","x":"{}"}}"#, "x".repeat(100_000));
    for body in [
        "",
        "null",
        "[]",
        "{}",
        "{\"issuer\":1}",
        &deep,
        &long,
        "{\"issuer\":\"a\",\"issuer\":\"b\"}",
        "\u{0}",
    ] {
        let _ = ServerProbe::new(issuer()).receive(Answer::Found(body.as_bytes()));
        let _ = ResourceProbe::new(mcp(), None).unwrap().receive(Answer::Found(body.as_bytes()));
    }
}
