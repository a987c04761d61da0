//! Who this client is at an authorization server: configured, a metadata document, or registered on the spot.

use crate::{
    discovery::AuthorizationServer,
    peer::{Failure, PeerText},
    storage::{ClientCredentials, Registration, TokenAuth},
};
use bytes::Bytes;
use hallpass_core::{
    json, metadata::ClientRegistrationResponse, secret::SecretString, time::Timestamp, uri::EndpointUrl,
};
use http::{Request, Response, header};

/// Why there is no registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegistrationError {
    /// No route is open: the person has to bring an id.
    #[error(
        "the authorization server registers no clients by itself; get a client id from its operator and give it with --client-id"
    )]
    NotOffered,
    /// The request cannot be written.
    #[error("the registration request cannot be made")]
    Request,
    /// `invalid_redirect_uri` (RFC 7591 §3.2.2).
    #[error("the authorization server does not accept a callback on this computer")]
    InvalidRedirectUri,
    /// Any other refusal.
    #[error("the authorization server refused to register this client")]
    Refused,
    /// It may work later.
    #[error("the authorization server is not able to register clients at the moment")]
    Unavailable,
    /// A redirect. Not followed (CL-056).
    #[error("the registration endpoint answered with a redirect, which is not followed")]
    Redirect,
    /// Success without a usable answer.
    #[error("the authorization server's registration answer cannot be read")]
    Malformed,
    /// It insists on a method that this client cannot do.
    #[error("the authorization server wants a client authentication that this client cannot do")]
    AuthMethod,
}

/// How to get an identity at one authorization server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// It is there: configured for this server, or the URL of the metadata document.
    Known(ClientCredentials),
    /// Registered earlier, with this redirect URI.
    Kept(Registration),
    /// To be registered here.
    Dynamic(EndpointUrl),
}

/// What the person or the program that uses this library brought.
#[derive(Clone, Copy, Debug, Default)]
pub struct Identity<'a> {
    /// Registered with the operator beforehand.
    pub configured: Option<(&'a str, Option<&'a SecretString>)>,
    /// URL of this client's metadata document.
    pub metadata_document: Option<&'a str>,
    /// A registration at this very issuer.
    pub kept: Option<&'a Registration>,
}

/// The order of MCP: configured, metadata document where it is supported, registration, ask the person (CL-018).
///
/// # Errors
/// `NotOffered`, `AuthMethod`.
pub fn route(server: &AuthorizationServer, identity: Identity<'_>) -> Result<Route, RegistrationError> {
    if let Some((client_id, secret)) = identity.configured {
        let auth = match secret {
            None => TokenAuth::None,
            Some(_) => secret_method(server).ok_or(RegistrationError::AuthMethod)?,
        };
        return Ok(Route::Known(ClientCredentials {
            client_id: client_id.to_owned(),
            client_secret: secret.cloned(),
            auth,
        }));
    }
    if let Some(url) = identity.metadata_document.filter(|_| server.takes_metadata_documents) {
        return Ok(Route::Known(ClientCredentials {
            client_id: url.to_owned(),
            client_secret: None,
            auth: TokenAuth::None,
        }));
    }
    if let Some(kept) = identity.kept.filter(|kept| kept.issuer == server.issuer.as_str()) {
        return Ok(Route::Kept(kept.clone()));
    }
    server.registration_endpoint.clone().map(Route::Dynamic).ok_or(RegistrationError::NotOffered)
}

/// Basic before post; where nothing is said, Basic (RFC 8414 §2).
fn secret_method(server: &AuthorizationServer) -> Option<TokenAuth> {
    [TokenAuth::Basic, TokenAuth::Post].into_iter().find(|method| supports(server, *method))
}

fn supports(server: &AuthorizationServer, method: TokenAuth) -> bool {
    match &server.auth_methods {
        None => method == TokenAuth::Basic,
        Some(list) => list.iter().any(|name| name == method.name()),
    }
}

/// What to ask for: a public client where that is possible, because a secret on a person's machine is none.
fn wanted_method(server: &AuthorizationServer) -> Option<TokenAuth> {
    Some(TokenAuth::None).filter(|method| supports(server, *method)).or_else(|| secret_method(server))
}

/// The registration request (RFC 7591 §3.1): the least that works. `application_type` is `native`, without
/// which some servers refuse a callback on loopback (SEP-837).
///
/// # Errors
/// `Request`, `AuthMethod`.
pub fn registration_request(
    server: &AuthorizationServer,
    endpoint: &EndpointUrl,
    client_name: &str,
    redirect_uri: &str,
) -> Result<Request<Bytes>, RegistrationError> {
    let method = wanted_method(server).ok_or(RegistrationError::AuthMethod)?;
    let body = serde_json::json!({
        "client_name": client_name,
        "redirect_uris": [redirect_uri],
        "grant_types": ["authorization_code", "refresh_token"],
        "response_types": ["code"],
        "token_endpoint_auth_method": method.name(),
        "application_type": "native",
    });
    Request::post(endpoint.as_str())
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::ACCEPT, "application/json")
        .body(Bytes::from(body.to_string()))
        .map_err(|_| RegistrationError::Request)
}

/// Reads the answer. What the server registered counts, not what was asked for (CL-023, P19).
///
/// # Errors
/// Every variant but `NotOffered` and `Request`.
pub fn read_registration(
    response: &Response<Bytes>,
    server: &AuthorizationServer,
    redirect_uri: &str,
    now: Timestamp,
) -> Result<Registration, Failure<RegistrationError>> {
    let status = response.status();
    if status.is_redirection() {
        return Err(RegistrationError::Redirect.into());
    }
    if !status.is_success() {
        return Err(refusal(status.as_u16(), response.body()));
    }
    let answer =
        ClientRegistrationResponse::parse(response.body()).map_err(|_| RegistrationError::Malformed)?;
    let auth = match (answer.metadata.token_endpoint_auth_method.as_deref(), &answer.client_secret) {
        (Some(name), _) => TokenAuth::parse(name).ok_or(RegistrationError::AuthMethod)?,
        (None, None) => TokenAuth::None,
        (None, Some(_)) => secret_method(server).unwrap_or(TokenAuth::Basic),
    };
    if auth != TokenAuth::None && answer.client_secret.is_none() {
        return Err(RegistrationError::Malformed.into());
    }
    Ok(Registration {
        issuer: server.issuer.as_str().to_owned(),
        client: ClientCredentials { client_id: answer.client_id, client_secret: answer.client_secret, auth },
        redirect_uri: redirect_uri.to_owned(),
        secret_expires_at: answer
            .client_secret_expires_at
            .filter(|end| *end > 0)
            .map(Timestamp::from_seconds),
        used_at: now,
    })
}

fn refusal(status: u16, body: &[u8]) -> Failure<RegistrationError> {
    let members = json::parse_object(body, json::Limits::default()).ok();
    let code = members.as_ref().and_then(|members| json::string(members, "error").ok().flatten());
    let error = match (code, status) {
        (_, 408 | 425 | 429 | 500..=599) => RegistrationError::Unavailable,
        (Some("invalid_redirect_uri"), _) => RegistrationError::InvalidRedirectUri,
        _ => RegistrationError::Refused,
    };
    Failure { error, said: members.as_ref().and_then(PeerText::of_members) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::tests::server;
    use serde_json::Value;

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);
    const REDIRECT: &str = "http://127.0.0.1:9/callback";

    fn kept(issuer: &str) -> Registration {
        Registration {
            issuer: issuer.into(),
            client: ClientCredentials {
                client_id: "kept".into(),
                client_secret: None,
                auth: TokenAuth::None,
            },
            redirect_uri: REDIRECT.into(),
            secret_expires_at: None,
            used_at: NOW,
        }
    }

    #[test]
    fn cl_018_the_order_of_routes() {
        let secret = SecretString::new("s");
        let mine = kept("https://as.example");
        let all = Identity {
            configured: Some(("configured", Some(&secret))),
            metadata_document: Some("https://c.example/client.json"),
            kept: Some(&mine),
        };
        let id = |documents: bool, registers: bool, identity| {
            let mut server = server();
            server.takes_metadata_documents = documents;
            if !registers {
                server.registration_endpoint = None;
            }
            match route(&server, identity) {
                Ok(Route::Known(client)) => client.client_id,
                Ok(Route::Kept(registration)) => registration.client.client_id,
                Ok(Route::Dynamic(endpoint)) => endpoint.to_string(),
                Err(error) => format!("{error:?}"),
            }
        };
        let without = Identity { configured: None, ..all };
        assert_eq!(id(true, true, all), "configured");
        assert_eq!(id(true, true, without), "https://c.example/client.json");
        assert_eq!(id(false, true, without), "kept");
        assert_eq!(id(true, true, Identity { metadata_document: None, ..without }), "kept");
        let nothing = Identity::default();
        assert_eq!(id(true, true, nothing), "https://as.example/register");
        assert_eq!(id(true, false, nothing), "NotOffered");
    }

    #[test]
    fn cl_025_b_41_t_63_a_registration_stays_with_its_issuer() {
        let other = kept("https://other.example");
        let identity = Identity { kept: Some(&other), ..Identity::default() };
        assert!(matches!(route(&server(), identity), Ok(Route::Dynamic(_))));
    }

    #[test]
    fn cl_021_cl_022_cl_075_the_request_is_minimal_and_native() {
        let body = |methods: Option<&[&str]>| -> Value {
            let mut server = server();
            server.auth_methods = methods.map(|list| list.iter().map(|name| (*name).to_owned()).collect());
            let endpoint = server.registration_endpoint.clone().unwrap();
            let request = registration_request(&server, &endpoint, "hallpass", REDIRECT).unwrap();
            serde_json::from_slice(request.body()).unwrap()
        };
        assert_eq!(
            body(Some(&["client_secret_post", "none"])),
            serde_json::json!({
                "client_name": "hallpass",
                "redirect_uris": [REDIRECT],
                "grant_types": ["authorization_code", "refresh_token"],
                "response_types": ["code"],
                "token_endpoint_auth_method": "none",
                "application_type": "native",
            })
        );
        assert_eq!(body(None)["token_endpoint_auth_method"], "client_secret_basic");
        assert_eq!(
            body(Some(&["private_key_jwt", "client_secret_post"]))["token_endpoint_auth_method"],
            "client_secret_post"
        );
    }

    fn read(status: u16, body: &str) -> Result<Registration, RegistrationError> {
        let response = Response::builder().status(status).body(Bytes::from(body.to_owned())).unwrap();
        read_registration(&response, &server(), REDIRECT, NOW).map_err(|failure| failure.error)
    }

    #[test]
    fn cl_023_p19_what_the_server_registered_counts() {
        let post = r#"{"client_id":"c","client_secret":"s","token_endpoint_auth_method":"client_secret_post","client_secret_expires_at":1800000060}"#;
        let registration = read(201, post).unwrap();
        assert_eq!(
            (registration.client.auth, registration.client.client_secret),
            (TokenAuth::Post, Some(SecretString::new("s")))
        );
        assert_eq!(registration.secret_expires_at, Some(Timestamp::from_seconds(1_800_000_060)));
        assert_eq!(registration.issuer, "https://as.example");
        let plain = read(200, r#"{"client_id":"c"}"#).unwrap();
        assert_eq!((plain.client.auth, plain.secret_expires_at), (TokenAuth::None, None));
        assert_eq!(
            read(201, r#"{"client_id":"c","client_secret":"s","client_secret_expires_at":0}"#)
                .unwrap()
                .client
                .auth,
            TokenAuth::Basic
        );
        assert_eq!(
            read(201, r#"{"client_id":"c","token_endpoint_auth_method":"client_secret_basic"}"#),
            Err(RegistrationError::Malformed)
        );
        assert_eq!(
            read(201, r#"{"client_id":"c","token_endpoint_auth_method":"tls_client_auth"}"#),
            Err(RegistrationError::AuthMethod)
        );
    }

    #[test]
    fn cl_024_refusals_are_told_apart() {
        for (status, body, expected) in [
            (400, r#"{"error":"invalid_redirect_uri"}"#, RegistrationError::InvalidRedirectUri),
            (400, r#"{"error":"invalid_client_metadata"}"#, RegistrationError::Refused),
            (403, "<html>", RegistrationError::Refused),
            (429, "", RegistrationError::Unavailable),
            (502, "", RegistrationError::Unavailable),
            (307, "", RegistrationError::Redirect),
            (201, "{}", RegistrationError::Malformed),
            (201, "", RegistrationError::Malformed),
        ] {
            assert_eq!(read(status, body), Err(expected), "{status} {body}");
        }
    }
}
