//! What a service is asked, through `fetch`: its metadata, tokens for a code or a refresh token, to forget a token. The
//! operator named its hosts, so they may have private addresses; what its metadata names beside them may not.

use super::settings::{ConnectionSettings, Endpoints, Provider};
use crate::app::App;
use bytes::Bytes;
use hallpass_client::{
    discovery::{Answer, DiscoveryError, ServerProbe, ServerStep},
    storage::Tokens,
    token::{Asked, TokenError, form_post, read_tokens},
};
use hallpass_core::{scope::Scope, secret::SecretString, time::Timestamp};
use hallpass_fetch::{FetchError, Limits, Policy};
use http::{Request, Response};
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
}

/// Where it is asked.
pub(crate) async fn endpoints(
    app: &App,
    connection: &ConnectionSettings,
) -> Result<Endpoints, ProviderError> {
    let issuer = match &connection.provider {
        Provider::Written(endpoints) => return Ok((**endpoints).clone()),
        Provider::Discovered(issuer) => issuer,
    };
    let policy = policy(connection);
    let mut probe = ServerProbe::new(issuer.clone());
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
                return Ok(Endpoints {
                    authorization: found.authorization_endpoint.ok_or(DiscoveryError::NoCodeGrant)?,
                    token: found.token_endpoint,
                    revocation: found.revocation_endpoint,
                    issuer: Some(found.issuer.as_str().to_owned()),
                    sends_iss: found.sends_iss,
                });
            }
        }
    }
    Err(DiscoveryError::NoServerMetadata.into())
}

/// Tokens for a code.
pub(crate) async fn redeem(
    app: &App,
    (connection, endpoints): (&ConnectionSettings, &Endpoints),
    (code, verifier): (&SecretString, &str),
    redirect_uri: &str,
    now: Timestamp,
) -> Result<Tokens, ProviderError> {
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code.expose()),
        ("redirect_uri", redirect_uri),
        ("code_verifier", verifier),
    ];
    let asked = Asked { scope: &connection.scope, refresh_token: None, proof_key: None };
    tokens(app, (connection, endpoints), &form, asked, now).await
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
    tokens(app, (connection, endpoints), &form, asked, now).await
}

async fn tokens(
    app: &App,
    (connection, endpoints): (&ConnectionSettings, &Endpoints),
    form: &[(&str, &str)],
    asked: Asked<'_>,
    now: Timestamp,
) -> Result<Tokens, ProviderError> {
    let mut form = form.to_vec();
    if let Some(resource) = &connection.resource {
        form.push(("resource", resource));
    }
    let request = form_post(endpoints.token.as_str(), &connection.client, &form)?;
    let response = ask(app, connection, request).await?;
    // What the service says beside its code is for nobody: it may quote what we sent.
    read_tokens(&response, asked, now).map_err(|failure| failure.error.into())
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
    let request = form_post(endpoint.as_str(), &connection.client, &form)?;
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

/// The hosts that the operator named.
fn policy(connection: &ConnectionSettings) -> Policy {
    let named: Vec<&str> = match &connection.provider {
        Provider::Discovered(issuer) => vec![issuer.as_str()],
        Provider::Written(endpoints) => [&endpoints.token]
            .into_iter()
            .chain(endpoints.revocation.as_ref())
            .map(hallpass_core::uri::EndpointUrl::as_str)
            .collect(),
    };
    let hosts = named.into_iter().filter_map(|text| Some(Url::parse(text).ok()?.host_str()?.to_owned()));
    Policy::trusted(hosts)
}
