//! What a service is asked, through `fetch`: its metadata, tokens for a code or a refresh token, to forget a token. The
//! operator named its hosts, so they may have private addresses; what its metadata names beside them may not.

use super::settings::{ConnectionSettings, Endpoints, Provider};
use crate::app::App;
use bytes::Bytes;
use hallpass_client::{
    discovery::{Answer, DiscoveryError, ServerProbe, ServerStep},
    machine::Asking,
    storage::Tokens,
    token::{Asked, TokenError, read_tokens},
};
use hallpass_core::{
    json, metadata::authorization_server::endpoint_of, scope::Scope, secret::SecretString, time::Timestamp,
    uri::EndpointUrl,
};
use hallpass_fetch::{Document, FetchError, Limits, Policy};
use http::{HeaderValue, Request, Response, header};
use serde_json::{Map, Value};
use url::Url;

/// Why a service gave nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ProviderError {
    /// Its metadata.
    #[error("{0}")]
    Metadata(#[from] DiscoveryError),
    /// It is not there.
    #[error("{0}")]
    Fetch(#[from] FetchError),
    /// It said no.
    #[error("{0}")]
    Token(#[from] TokenError),
    /// It did not say about whom a token is.
    #[error("its userinfo endpoint answered nothing of use")]
    UserInfo,
}

/// Where it is asked.
pub(crate) async fn endpoints(
    app: &App,
    connection: &ConnectionSettings,
) -> Result<Endpoints, ProviderError> {
    let issuer = match &connection.provider {
        Provider::Written(endpoints) => return Ok((**endpoints).clone()),
        Provider::Discovered(issuer) | Provider::OpenId(issuer) => issuer,
    };
    let policy = policy(connection);
    let mut probe = ServerProbe::new(issuer.clone());
    if matches!(connection.provider, Provider::OpenId(_)) {
        probe = probe.for_sign_in();
    }
    while let Some(ask) = probe.ask() {
        let url: Url = ask.url.parse().map_err(|_| DiscoveryError::NoServerMetadata)?;
        let document = match app.fetch.get_document(&url, &policy).await {
            Ok(document) => Some(document),
            // Not now is not "not there".
            Err(FetchError::Status(status @ (429 | 500..))) => return Err(FetchError::Status(status).into()),
            Err(FetchError::Status(_)) => None,
            Err(error) => return Err(error.into()),
        };
        let answer = document.as_ref().map_or(Answer::Missing, |document| Answer::Found(&document.body));
        match probe.receive(answer)? {
            ServerStep::Again(next) => probe = next,
            ServerStep::Found(found) => {
                let named = document
                    .and_then(|document| endpoint_of(issuer.as_str(), &document.body, "userinfo_endpoint"));
                return Ok(Endpoints {
                    authorization: found.authorization_endpoint.ok_or(DiscoveryError::NoCodeGrant)?,
                    token: found.token_endpoint,
                    revocation: found.revocation_endpoint,
                    userinfo: named.and_then(|url| EndpointUrl::parse(url.as_str()).ok()),
                    issuer: Some(found.issuer.as_str().to_owned()),
                    sends_iss: found.sends_iss,
                });
            }
        }
    }
    Err(DiscoveryError::NoServerMetadata.into())
}

/// What a code was good for.
pub(crate) struct Redeemed {
    /// For its servers, and to ask for newer ones.
    pub tokens: Tokens,
    /// Who signed in there (OpenID Connect Core §3.1.3.3), unverified.
    pub id_token: Option<SecretString>,
}

/// Tokens for a code.
pub(crate) async fn redeem(
    app: &App,
    (connection, endpoints): (&ConnectionSettings, &Endpoints),
    (code, verifier): (&SecretString, &str),
    redirect_uri: &str,
    now: Timestamp,
) -> Result<Redeemed, ProviderError> {
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code.expose()),
        ("redirect_uri", redirect_uri),
        ("code_verifier", verifier),
    ];
    let asked = Asked { scope: &connection.scope, refresh_token: None, proof_key: None };
    let response = post(app, (connection, endpoints), &form).await?;
    let tokens = read(&response, asked, now)?;
    let members = json::parse_object(response.body(), json::Limits::default()).unwrap_or_default();
    let id_token = json::string(&members, "id_token").ok().flatten().map(SecretString::new);
    Ok(Redeemed { tokens, id_token })
}

/// Newer ones.
pub(crate) async fn refresh(
    app: &App,
    (connection, endpoints): (&ConnectionSettings, &Endpoints),
    (refresh_token, scope): (&SecretString, &Scope),
    now: Timestamp,
) -> Result<Tokens, ProviderError> {
    let form = [("grant_type", "refresh_token"), ("refresh_token", refresh_token.expose())];
    let asked = Asked { scope, refresh_token: Some(refresh_token), proof_key: None };
    read(&post(app, (connection, endpoints), &form).await?, asked, now)
}

async fn post(
    app: &App,
    (connection, endpoints): (&ConnectionSettings, &Endpoints),
    form: &[(&str, &str)],
) -> Result<Response<Bytes>, ProviderError> {
    let mut form = form.to_vec();
    if let Some(resource) = &connection.resource {
        form.push(("resource", resource));
    }
    let request = asking(connection, &endpoints.token).post(&form, (app.clock.now(), &*app.entropy))?;
    Ok(ask(app, connection, request).await?)
}

/// What the service says beside its code is for nobody: it may quote what we sent.
fn read(response: &Response<Bytes>, asked: Asked<'_>, now: Timestamp) -> Result<Tokens, ProviderError> {
    read_tokens(response, asked, now).map_err(|failure| failure.error.into())
}

/// What it says about the person whose token this is: one strict object of bounded size.
pub(crate) async fn userinfo(
    app: &App,
    (connection, endpoints): (&ConnectionSettings, &Endpoints),
    token: &SecretString,
) -> Result<Map<String, Value>, ProviderError> {
    let endpoint = endpoints.userinfo.as_ref().ok_or(ProviderError::UserInfo)?;
    let mut bearer =
        HeaderValue::try_from(format!("Bearer {}", token.expose())).map_err(|_| ProviderError::UserInfo)?;
    bearer.set_sensitive(true);
    let request = Request::get(endpoint.as_str())
        .header(header::AUTHORIZATION, bearer)
        .header(header::ACCEPT, "application/json")
        .body(Bytes::new())
        .map_err(|_| ProviderError::UserInfo)?;
    let response = app.fetch.send(request, &policy(connection), Limits::DOCUMENT).await?;
    if response.status() != http::StatusCode::OK {
        return Err(FetchError::Status(response.status().as_u16()).into());
    }
    let kind = response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if !kind.is_some_and(Document::is_json_type) {
        return Err(ProviderError::UserInfo);
    }
    json::parse_object(response.body(), json::Limits::default()).map_err(|_| ProviderError::UserInfo)
}

/// Gives tokens back, as far as the service takes them: with the refresh token all that came of it ends (RFC 7009 §2.1).
pub(crate) async fn revoke(
    app: &App,
    connection: &ConnectionSettings,
    tokens: &Tokens,
) -> Result<(), ProviderError> {
    let endpoints = endpoints(app, connection).await?;
    let Some(endpoint) = &endpoints.revocation else { return Ok(()) };
    let (token, hint) = match &tokens.refresh_token {
        Some(token) => (token, "refresh_token"),
        None => (&tokens.access_token, "access_token"),
    };
    let form = [("token", token.expose()), ("token_type_hint", hint)];
    let request = asking(connection, endpoint).post(&form, (app.clock.now(), &*app.entropy))?;
    let response = ask(app, connection, request).await?;
    if response.status().is_success() {
        Ok(())
    } else {
        Err(FetchError::Status(response.status().as_u16()).into())
    }
}

async fn ask(
    app: &App,
    connection: &ConnectionSettings,
    request: Request<Bytes>,
) -> Result<Response<Bytes>, FetchError> {
    app.fetch.send(request, &policy(connection), Limits::TOKEN).await
}

/// Who we are there.
fn asking<'a>(connection: &'a ConnectionSettings, endpoint: &'a EndpointUrl) -> Asking<'a> {
    Asking {
        endpoint: endpoint.as_str(),
        issuer: connection.key.as_ref().map_or("", |ours| &ours.audience),
        client: &connection.client,
        key: connection.key.as_ref().map(|ours| &ours.key),
    }
}

/// The hosts that the operator named.
fn policy(connection: &ConnectionSettings) -> Policy {
    let named: Vec<&str> = match &connection.provider {
        Provider::Discovered(issuer) | Provider::OpenId(issuer) => vec![issuer.as_str()],
        Provider::Written(endpoints) => [&endpoints.token]
            .into_iter()
            .chain(&endpoints.revocation)
            .chain(&endpoints.userinfo)
            .map(EndpointUrl::as_str)
            .collect(),
    };
    let hosts = named.into_iter().filter_map(|text| Some(Url::parse(text).ok()?.host_str()?.to_owned()));
    Policy::trusted(hosts)
}
