//! Authorization responses, honest and hostile.
use super::*;
use crate::{
    authorize::AuthorizationRequest,
    discovery::tests::server,
    storage::{ClientCredentials, TokenAuth},
};
use hallpass_core::{entropy::SystemEntropy, scope::Scope};

fn pending(sends_iss: bool) -> Pending {
    let mut server = server();
    server.sends_iss = sends_iss;
    let request = AuthorizationRequest {
        server,
        client: ClientCredentials { client_id: "c".into(), client_secret: None, auth: TokenAuth::None },
        redirect_uri: "http://127.0.0.1:9/callback".into(),
        resource: "https://mcp.example/mcp".into(),
        scope: Scope::none(),
        login_hint: None,
        sign_in: crate::authorize::SignInDemand::default(),
        key_thumbprint: None,
    };
    request.begin(&SystemEntropy).unwrap().1
}

fn judge(pending: &Pending, query: &str) -> Result<String, CallbackError> {
    let query = query.replace("STATE", pending.state.expose());
    pending.receive(&query).map(|code| code.0.expose().to_owned()).map_err(|failure| failure.error)
}

const ISS: &str = "iss=https%3A%2F%2Fas.example";

#[test]
fn cl_044_b_38_t_06_the_table_of_rfc_9207() {
    let (promised, silent) = (pending(true), pending(false));
    let with = format!("code=x&state=STATE&{ISS}");
    assert_eq!(judge(&promised, &with).unwrap(), "x");
    assert_eq!(judge(&silent, &with).unwrap(), "x");
    assert_eq!(judge(&silent, "code=x&state=STATE").unwrap(), "x");
    assert_eq!(judge(&promised, "code=x&state=STATE"), Err(CallbackError::IssuerMissing));
    for pending in [&promised, &silent] {
        let wrong = "code=x&state=STATE&iss=https%3A%2F%2Fevil.example";
        assert_eq!(judge(pending, wrong), Err(CallbackError::IssuerWrong));
        assert_eq!(judge(pending, "code=x&state=STATE&iss="), Err(CallbackError::IssuerWrong));
    }
}

#[test]
fn cl_045_t_07_iss_is_compared_byte_by_byte() {
    for iss in [
        "https://as.example/",
        "https://AS.example",
        "https://as.example:443",
        "https://as.%65xample",
        "https%3A%2F%2Fas.example",
        "HTTPS://as.example",
        " https://as.example",
    ] {
        let query = format!("code=x&state=STATE&iss={}", iss.replace('%', "%25"));
        assert_eq!(judge(&pending(false), &query), Err(CallbackError::IssuerWrong), "{iss}");
    }
}

#[test]
fn cl_046_errors_of_strangers_are_neither_acted_on_nor_shown() {
    let pending = pending(true);
    let state = pending.state.expose();
    let error = "error=access_denied&error_description=call+me&error_uri=https://evil.example";
    let stranger = pending.receive(&format!("{error}&state={state}&iss=https://evil.example")).unwrap_err();
    assert_eq!((stranger.error, stranger.said), (CallbackError::IssuerWrong, None));
    let silent = pending.receive(&format!("{error}&state={state}")).unwrap_err();
    assert_eq!((silent.error, silent.said), (CallbackError::IssuerMissing, None));
    let real = pending.receive(&format!("{error}&state={state}&{ISS}")).unwrap_err();
    assert_eq!(real.error, CallbackError::Denied);
    assert_eq!(real.said.unwrap().as_str(), "access_denied: call me");
}

#[test]
fn cl_030_t_08_only_our_state_counts() {
    let (one, two) = (pending(false), pending(false));
    for query in [
        "code=x",
        "code=x&state=",
        "code=x&state=wrong",
        "code=x&state=STATEx",
        "code=x&state=STATE&state=STATE",
        "code=x&state=STATE&state=y",
        "code=x&STATE=STATE",
        "",
    ] {
        assert_eq!(judge(&one, query), Err(CallbackError::Unrelated), "{query}");
    }
    let swapped = format!("code=x&state={}", two.state.expose());
    assert_eq!(judge(&one, &swapped), Err(CallbackError::Unrelated));
}

#[test]
fn cl_047_duplicates_and_contradictions() {
    let pending = pending(false);
    for query in
        ["code=x&code=x", "code=x&code=y", &format!("code=x&{ISS}&{ISS}"), "error=a&error=b", "code=x&code="]
    {
        assert_eq!(
            judge(&pending, &format!("state=STATE&{query}")),
            Err(CallbackError::Duplicate),
            "{query}"
        );
    }
    for query in ["code=x&error=access_denied", "x=y", "code=", ""] {
        assert_eq!(
            judge(&pending, &format!("state=STATE&{query}")),
            Err(CallbackError::NeitherOrBoth),
            "{query}"
        );
    }
}

#[test]
fn cl_048_cl_080_unknown_parameters_are_ignored_and_codes_are_opaque() {
    let pending = pending(false);
    let long = "c".repeat(4000);
    assert_eq!(
        judge(&pending, &format!("code={long}&state=STATE&session_state=1&scope=a&x=1&x=2")).unwrap(),
        long
    );
    assert_eq!(judge(&pending, "code=a%2Bb+c%3D&state=STATE").unwrap(), "a+b c=");
    assert_eq!(judge(&pending, "error=access_denied&state=STATE"), Err(CallbackError::Denied));
    assert_eq!(judge(&pending, "error=server_error&state=STATE"), Err(CallbackError::Unavailable));
    assert_eq!(judge(&pending, "error=brand_new&state=STATE"), Err(CallbackError::Refused));
}

#[test]
fn what_is_pasted_is_the_redirect_uri_as_asked_for_and_a_query() {
    let uri = "http://127.0.0.1:41234/callback";
    for (text, query) in [
        ("http://127.0.0.1:41234/callback?code=a&state=b", Some("code=a&state=b")),
        ("  127.0.0.1:41234/callback?code=a&state=b#_=_ \r\n", Some("code=a&state=b")),
        ("http://127.0.0.1:41234/callback?", Some("")),
        ("http://127.0.0.1:41235/callback?code=a&state=b", None),
        ("http://localhost:41234/callback?code=a", None),
        ("https://127.0.0.1:41234/callback?code=a", None),
        ("http://127.0.0.1:41234/callback/x?code=a", None),
        ("http://127.0.0.1:41234/callback", None),
        ("code=a&state=b", None),
        ("", None),
    ] {
        assert_eq!(pasted(uri, text), query, "{text}");
    }
    assert_eq!(pasted(uri, &format!("{uri}?{}", "x".repeat(9_000))), None);
}
