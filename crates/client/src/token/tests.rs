//! Token responses as servers really send them.
use super::*;
use crate::{authorize::AuthorizationRequest, discovery::tests::server};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use hallpass_core::{entropy::SystemEntropy, parameters::Parameters};

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

fn client(auth: TokenAuth) -> ClientCredentials {
    let client_secret = (auth != TokenAuth::None).then(|| SecretString::new("p:+%/ é"));
    ClientCredentials { client_id: "https://c.example/id:1".into(), client_secret, auth }
}

fn form(request: &Request<Bytes>) -> Parameters {
    Parameters::parse(request.body(), hallpass_core::parameters::Limits::default()).unwrap()
}

fn read(status: u16, body: &str) -> Result<Tokens, TokenError> {
    let response = Response::builder().status(status).body(Bytes::from(body.to_owned())).unwrap();
    let asked = Asked {
        scope: &Scope::parse("asked").unwrap(),
        refresh_token: Some(&SecretString::new("old")),
        proof_key: None,
    };
    read_tokens(&response, asked, NOW).map_err(|failure| failure.error)
}

#[test]
fn cl_052_cl_055_the_code_goes_to_the_recorded_endpoint() {
    let request = AuthorizationRequest {
        server: server(),
        client: client(TokenAuth::None),
        redirect_uri: "http://127.0.0.1:9/callback".into(),
        resource: "https://mcp.example/mcp".into(),
        scope: Scope::none(),
        login_hint: None,
        sign_in: crate::authorize::SignInDemand::default(),
        key_thumbprint: None,
    };
    let pending = request.begin(&SystemEntropy).unwrap().1;
    let verifier = pending.verifier.expose().to_owned();
    let request = pending.token_request(&Code(SecretString::new("the code"))).unwrap();
    assert_eq!(
        (request.method().as_str(), request.uri().to_string().as_str()),
        ("POST", "https://as.example/token")
    );
    assert_eq!(request.headers()["content-type"], "application/x-www-form-urlencoded");
    assert!(!request.headers().contains_key("authorization"));
    let form = form(&request);
    for (name, value) in [
        ("grant_type", "authorization_code"),
        ("code", "the code"),
        ("redirect_uri", "http://127.0.0.1:9/callback"),
        ("code_verifier", &verifier),
        ("resource", "https://mcp.example/mcp"),
        ("client_id", "https://c.example/id:1"),
    ] {
        assert_eq!(form.all(name).collect::<Vec<_>>(), [value], "{name}");
    }
    assert_eq!(form.get("client_secret"), None);
}

#[test]
fn cl_053_exactly_one_kind_of_client_authentication() {
    let request = |auth| {
        refresh_request("https://as.example/token", &client(auth), &SecretString::new("r"), "res").unwrap()
    };
    let basic = request(TokenAuth::Basic);
    let header = basic.headers()["authorization"].to_str().unwrap().strip_prefix("Basic ").unwrap();
    let pair = String::from_utf8(STANDARD.decode(header).unwrap()).unwrap();
    assert_eq!(pair, "https%3A%2F%2Fc.example%2Fid%3A1:p%3A%2B%25%2F+%C3%A9");
    assert!(basic.headers()["authorization"].is_sensitive());
    assert_eq!((form(&basic).get("client_id"), form(&basic).get("client_secret")), (None, None));
    let post = request(TokenAuth::Post);
    assert_eq!(form(&post).get("client_secret"), Some("p:+%/ é"));
    assert!(!post.headers().contains_key("authorization"));
    let without = ClientCredentials { client_secret: None, ..client(TokenAuth::Post) };
    let refused = refresh_request("https://as.example/token", &without, &SecretString::new("r"), "res");
    assert_eq!(refused.unwrap_err(), TokenError::Request);
}

#[test]
fn cl_073_a_refresh_names_the_resource_and_no_scope() {
    let request = refresh_request(
        "https://as.example/token",
        &client(TokenAuth::None),
        &SecretString::new("r"),
        "https://mcp.example/mcp",
    );
    let form = form(&request.unwrap());
    assert_eq!(form.get("resource"), Some("https://mcp.example/mcp"));
    assert_eq!(
        (form.get("grant_type"), form.get("refresh_token"), form.get("scope")),
        (Some("refresh_token"), Some("r"), None)
    );
}

#[test]
fn cl_058_lenient_about_what_may_be_missing() {
    let expires = |json: &str| {
        let body = format!(r#"{{"access_token":"a","token_type":"Bearer","new_field":{{}}{json}}}"#);
        read(200, &body).unwrap().expires_at.map(|end| end.since(NOW).as_secs())
    };
    assert_eq!(expires(r#","expires_in":3600"#), Some(3600));
    assert_eq!(expires(r#","expires_in":"3600""#), Some(3600));
    assert_eq!(expires(r#","expires_in":3600.9"#), Some(3600));
    for unknown in [
        "",
        r#","expires_in":0"#,
        r#","expires_in":-5"#,
        r#","expires_in":null"#,
        r#","expires_in":"soon""#,
        r#","expires_in":1e18"#,
        r#","expires_in":[]"#,
        r#","expires_in":9223372036854775807"#,
    ] {
        assert_eq!(expires(unknown), None, "{unknown}");
    }
    let tokens = read(200, r#"{"access_token":"a","token_type":"bearer"}"#).unwrap();
    assert_eq!(tokens.scope.to_string(), "asked");
    let tokens = read(200, r#"{"access_token":"a","token_type":"BEARER","scope":"read  write"}"#).unwrap();
    assert_eq!(tokens.scope.to_string(), "read write");
}

#[test]
fn cl_057_unknown_token_types_are_not_used() {
    for kind in ["mac", "DPoP", "N_A", ""] {
        let body = format!(r#"{{"access_token":"a","token_type":"{kind}"}}"#);
        assert_eq!(read(200, &body), Err(TokenError::TokenType), "{kind}");
    }
    for bad in [
        r#"{"access_token":"a"}"#,
        r#"{"token_type":"Bearer"}"#,
        r#"{"access_token":"a\nb","token_type":"Bearer"}"#,
        r#"{"access_token":7,"token_type":"Bearer"}"#,
        "[]",
        "",
        "<html>",
        r#"{"access_token":"a","access_token":"b","token_type":"Bearer"}"#,
    ] {
        assert_eq!(read(200, bad), Err(TokenError::Malformed), "{bad}");
    }
}

#[test]
fn cl_070_the_old_refresh_token_stays_where_no_new_one_comes() {
    let refresh = |json: &str| {
        let body = format!(r#"{{"access_token":"a","token_type":"Bearer"{json}}}"#);
        read(200, &body).unwrap().refresh_token.unwrap().expose().to_owned()
    };
    assert_eq!(refresh(""), "old");
    assert_eq!(refresh(r#","refresh_token":null"#), "old");
    assert_eq!(refresh(r#","refresh_token":"new""#), "new");
}

#[test]
fn cl_060_b_39_cl_072_what_may_cost_a_credential_and_what_may_not() {
    let unavailable = Err(TokenError::Unavailable { retry_after: None });
    for (status, body, expected) in [
        (400, r#"{"error":"invalid_grant"}"#, Err(TokenError::InvalidGrant)),
        (200, r#"{"error":"invalid_grant"}"#, Err(TokenError::InvalidGrant)),
        (401, r#"{"error":"invalid_client"}"#, Err(TokenError::InvalidClient)),
        (400, r#"{"error":"invalid_target"}"#, Err(TokenError::InvalidTarget)),
        (400, r#"{"error":"invalid_scope"}"#, Err(TokenError::InvalidScope)),
        (400, r#"{"error":"temporarily_unavailable"}"#, unavailable.clone()),
        (503, r#"{"error":"invalid_grant"}"#, unavailable.clone()),
        (500, "", unavailable.clone()),
        (429, "<html>", unavailable.clone()),
        (408, "", unavailable),
        (400, "<html>", Err(TokenError::Refused)),
        (401, "", Err(TokenError::Refused)),
        (403, "blocked", Err(TokenError::Refused)),
        (404, "", Err(TokenError::Refused)),
        (400, r#"{"error":["invalid_grant"]}"#, Err(TokenError::Refused)),
        (307, "", Err(TokenError::Redirect)),
        (302, r#"{"error":"invalid_grant"}"#, Err(TokenError::Redirect)),
    ] {
        assert_eq!(read(status, body), expected, "{status} {body}");
    }
    let response = Response::builder().status(429).header("retry-after", "99999").body(Bytes::new()).unwrap();
    let asked = Asked { scope: &Scope::none(), refresh_token: None, proof_key: None };
    let expected = TokenError::Unavailable { retry_after: Some(Duration::from_hours(1)) };
    assert_eq!(read_tokens(&response, asked, NOW).unwrap_err().error, expected);
}
