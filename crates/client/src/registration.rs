//! Who this client is at an authorization server: configured, a metadata document, or registered on the spot.

use crate::{
    device::DEVICE_CODE,
    discovery::AuthorizationServer,
    peer::{Failure, PeerText},
    storage::{ClientCredentials, Registration, TokenAuth},
};
use bytes::Bytes;
use hallpass_core::{
    json,
    metadata::ClientRegistrationResponse,
    secret::SecretString,
    time::Timestamp,
    uri::{ClientMetadataUrl, EndpointUrl},
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
    /// What was given as the URL of the client's own document is none (CL-019).
    #[error(
        "the URL of this client's metadata document has to be https with a path, without query, fragment and dots"
    )]
    DocumentUrl,
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
/// `NotOffered`, `AuthMethod`, `DocumentUrl`.
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
        ClientMetadataUrl::parse(url).map_err(|_| RegistrationError::DocumentUrl)?;
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
pub(crate) fn secret_method(server: &AuthorizationServer) -> Option<TokenAuth> {
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
    Some(TokenAuth::None).filter(|method| supports(server, *method)).or_else(|| first_listed(server))
}

/// Of the two ways to send a secret the one that the server names first: servers of the Python SDK list both, and with Basic
/// they miss a `client_id` in the body.
fn first_listed(server: &AuthorizationServer) -> Option<TokenAuth> {
    let Some(list) = &server.auth_methods else { return secret_method(server) };
    list.iter().filter_map(|name| TokenAuth::parse(name)).find(|method| *method != TokenAuth::None)
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
    // Only where it is offered: some servers refuse what they do not know.
    let device = server.device_authorization_endpoint.as_ref().map(|_| DEVICE_CODE);
    let grant_types: Vec<&str> = ["authorization_code", "refresh_token"].into_iter().chain(device).collect();
    let body = serde_json::json!({
        "client_name": client_name,
        "redirect_uris": [redirect_uri],
        "grant_types": grant_types,
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
        // A secret although it knows none of the ways to send one: it takes public clients, so it is not sent.
        (None, Some(_)) => wanted_with_secret(server),
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

/// The method for a secret that came without saying how to send it: one that the server lists, else `none` if it
/// lists that, else the default of RFC 7591 §2.
fn wanted_with_secret(server: &AuthorizationServer) -> TokenAuth {
    first_listed(server)
        .or_else(|| Some(TokenAuth::None).filter(|method| supports(server, *method)))
        .unwrap_or(TokenAuth::Basic)
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
mod tests;
