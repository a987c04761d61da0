//! Grants by the token of the platform: it is read anew for each, sent once, and to the issuer that it is for.

use super::{Client, named_policy};
use crate::{
    error::{ClientError, Failed, Party},
    machine::redeem_request,
    platform::{MAX_TOKEN, Platform, PlatformError, TokenSource, Variables, checked, job_token_url, mark},
    spiffe,
    storage::{Entry, Renewal, Tokens},
    token::{Asked, TokenError, read_tokens},
};
use bytes::Bytes;
use hallpass_core::{
    json,
    secret::SecretString,
    uri::{EndpointUrl, ResourceUri},
};
use hallpass_fetch::{FetchError, Limits, Policy, over_socket};
use http::{HeaderValue, Request, Response, StatusCode, header};
use std::{fs::File, io, io::Read as _};
use zeroize::Zeroizing;

impl Client {
    /// A token of the platform for this issuer.
    pub(super) async fn platform_token(
        &self,
        platform: &Platform,
        issuer: &str,
    ) -> Result<SecretString, Failed> {
        let audience = platform.audience.as_deref().unwrap_or(issuer);
        let source = &platform.source;
        let read = match source {
            TokenSource::File(path) => {
                let read = read_secret_file(path).await;
                read.map_err(|source| PlatformError::File { path: path.clone(), source })?
            }
            TokenSource::Variable(name) => bytes_of(&variable(&self.settings.variables, name)?),
            TokenSource::GitHubActions => bytes_of(&self.job_token(source, audience).await?),
            TokenSource::Spiffe(id) => bytes_of(&self.svid(id.as_deref(), audience).await?),
        };
        Ok(checked(&read, source, audience)?)
    }

    /// Asks GitHub. The address and the secret for it come from the job's environment, and from nobody else.
    async fn job_token(&self, source: &TokenSource, audience: &str) -> Result<SecretString, Failed> {
        let variables = &self.settings.variables;
        let (Some(base), Some(secret)) =
            (variables.get("ACTIONS_ID_TOKEN_REQUEST_URL"), variables.get("ACTIONS_ID_TOKEN_REQUEST_TOKEN"))
        else {
            return Err(PlatformError::NoJobToken.into());
        };
        let url = EndpointUrl::parse(&job_token_url(base.expose(), audience))
            .map_err(|_| PlatformError::NoJobToken)?;
        let mut bearer = HeaderValue::try_from(format!("Bearer {}", secret.expose()))
            .map_err(|_| PlatformError::NoJobToken)?;
        bearer.set_sensitive(true);
        let request = Request::get(url.as_str())
            .header(header::AUTHORIZATION, bearer)
            .header(header::ACCEPT, "application/json");
        let request = request.body(Bytes::new()).map_err(|_| PlatformError::NoJobToken)?;
        let policy = Policy::trusted(url.parsed().host_str());
        let what = Party::Platform;
        let response = self.ask(what, request, &policy, Limits::TOKEN).await?;
        if response.status() != StatusCode::OK {
            return Err(ClientError::Status { what, status: response.status().as_u16() }.into());
        }
        value_of(&response).ok_or_else(|| PlatformError::NotAToken(source.clone()).into())
    }

    /// Asks the SPIFFE agent, which knows by the socket's other end who asks.
    async fn svid(&self, id: Option<&str>, audience: &str) -> Result<SecretString, PlatformError> {
        let endpoint = self.settings.variables.get(spiffe::SOCKET);
        let path =
            endpoint.and_then(|endpoint| spiffe::socket(endpoint.expose())).ok_or(PlatformError::NoSocket)?;
        let request = spiffe::request(audience, id).map_err(|_| FetchError::InvalidRequest)?;
        let (response, trailers) = over_socket(&path, request, Limits::TOKEN).await?;
        spiffe::read(&response, &trailers)
    }

    /// A newer token for a sign-in by the platform. What was refused is not tried again, and nothing else is tried (CL-093).
    pub(super) async fn renew_from_platform(
        &self,
        server: &ResourceUri,
        current: Entry,
        (platform, used): (Platform, String),
    ) -> Result<Entry, Failed> {
        let assertion = self.platform_token(&platform, &current.key.issuer).await?;
        let (mark, now) = (mark(&assertion), self.clock.now());
        let unchanged = || Failed::from(PlatformError::Unchanged(platform.source.clone()));
        // Many servers take each once. While there is time, wait for the next one.
        if mark == used && current.tokens.expires_at.is_none_or(|end| now < end) {
            return Err(unchanged());
        }
        let what_for = (current.key.resource.as_str(), &current.requested_scope);
        let request = redeem_request(&current.token_endpoint, &current.client, what_for, &assertion)?;
        let key = current.tokens.proof_key.as_ref();
        let response = self.ask_token(request, &named_policy(server), key).await?;
        let asked = Asked { scope: &current.requested_scope, refresh_token: None, proof_key: key };
        let mut tokens = read_tokens(&response, asked, now).map_err(|failure| {
            if mark == used && failure.error == TokenError::InvalidGrant {
                unchanged()
            } else {
                failure.widen()
            }
        })?;
        tokens.refresh_token = None;
        self.keep_renewed(current, tokens, Renewal::Platform(platform, mark)).await
    }

    /// Keeps what a program's grant brought this time.
    pub(super) async fn keep_renewed(
        &self,
        current: Entry,
        tokens: Tokens,
        renewal: Renewal,
    ) -> Result<Entry, Failed> {
        let (key, seen) = (current.key.clone(), current.tokens.access_token.clone());
        let renewal = Some(renewal);
        let new = (tokens.clone(), renewal.clone());
        let now = self.clock.now();
        self.change_store(now, move |contents| contents.replace_seen(&key, &seen, new)).await?;
        Ok(Entry { tokens, renewal, ..current })
    }
}

fn variable(variables: &Variables, name: &str) -> Result<SecretString, PlatformError> {
    variables.get(name).ok_or_else(|| PlatformError::NotSet(name.to_owned()))
}

fn bytes_of(secret: &SecretString) -> Zeroizing<Vec<u8>> {
    Zeroizing::new(secret.expose().as_bytes().to_vec())
}

fn value_of(response: &Response<Bytes>) -> Option<SecretString> {
    let members = json::parse_object(response.body(), json::Limits::default()).ok()?;
    json::string(&members, "value").ok().flatten().map(SecretString::new)
}

/// What a file of at most [`MAX_TOKEN`] bytes holds.
pub(super) async fn read_secret_file(path: &str) -> io::Result<Zeroizing<Vec<u8>>> {
    let path = path.to_owned();
    let read = tokio::task::spawn_blocking(move || read_file(&path)).await;
    read.unwrap_or_else(|_| Err(io::ErrorKind::Interrupted.into()))
}

/// A regular file, also behind links, as Kubernetes makes them: whoever opens a pipe waits for somebody to write into it.
fn read_file(path: &str) -> io::Result<Zeroizing<Vec<u8>>> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(4096));
    File::open(path)?.take(MAX_TOKEN.saturating_add(2)).read_to_end(&mut bytes)?;
    Ok(bytes)
}
