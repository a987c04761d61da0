//! Requests with proofs (RFC 9449): nonces are remembered for each server, and a refusal for want of one is
//! answered once.

use super::{Client, challenges};
use crate::{
    discovery::Challenged,
    error::{ClientError, Failed, Party},
    proof::{ProofKey, nonce_of, resource_wants_nonce, token_endpoint_wants_nonce},
    storage::Entry,
};
use bytes::Bytes;
use hallpass_core::{json, secret::SecretString};
use hallpass_fetch::{Limits, Policy};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, header};
use std::{collections::HashMap, sync::PoisonError};

/// Most servers whose nonce is remembered. A forgotten nonce costs one more request.
const MOST_NONCES: usize = 64;

/// The latest nonce of each server, in each of its roles: those of authorization server and resource are not the
/// same, even on one host (RFC 9449 §9).
pub(super) type Nonces = HashMap<(Party, String), String>;

impl Client {
    /// Sends a token request; with `key`, with a proof, and once more where a nonce is wanted (CL-084, CL-086).
    pub(super) async fn ask_token(
        &self,
        mut request: Request<Bytes>,
        policy: &Policy,
        key: Option<&ProofKey>,
    ) -> Result<Response<Bytes>, Failed> {
        let party = Party::AuthorizationServer;
        let Some(key) = key else { return self.ask(party, request, policy, Limits::TOKEN).await };
        self.prove(&mut request, party, key, None)?;
        let response = self.ask(party, request.clone(), policy, Limits::TOKEN).await?;
        let news = self.keep_nonce(party, request.uri(), response.headers());
        let members = json::parse_object(response.body(), json::Limits::default()).ok();
        let error = members.as_ref().and_then(|members| json::string(members, "error").ok().flatten());
        if !news || !token_endpoint_wants_nonce(response.status(), error) {
            return Ok(response);
        }
        self.prove(&mut request, party, key, None)?;
        let response = self.ask(party, request.clone(), policy, Limits::TOKEN).await?;
        self.keep_nonce(party, request.uri(), response.headers());
        Ok(response)
    }

    /// The one place that puts a token into a request: the header, never the URL.
    pub(super) fn authorized(
        &self,
        mut request: Request<Bytes>,
        entry: Option<&Entry>,
    ) -> Result<Request<Bytes>, Failed> {
        let Some(tokens) = entry.map(|entry| &entry.tokens) else { return Ok(request) };
        match &tokens.proof_key {
            Some(key) => self.prove(&mut request, Party::Server, key, Some(&tokens.access_token))?,
            None => {
                if let Some(value) = bearer(&tokens.access_token) {
                    request.headers_mut().insert(header::AUTHORIZATION, value);
                }
            }
        }
        Ok(request)
    }

    /// Notes the nonce of a resource's answer; whether it refused for want of just that.
    pub(super) fn wants_new_nonce(
        &self,
        uri: &Uri,
        entry: Option<&Entry>,
        (status, headers): (StatusCode, &HeaderMap),
    ) -> bool {
        if entry.is_none_or(|entry| entry.tokens.proof_key.is_none()) {
            return false;
        }
        let news = self.keep_nonce(Party::Server, uri, headers);
        let error = Challenged::from_headers(&challenges(headers)).error;
        news && resource_wants_nonce(status, error.as_deref())
    }

    fn prove(
        &self,
        request: &mut Request<Bytes>,
        party: Party,
        key: &ProofKey,
        token: Option<&SecretString>,
    ) -> Result<(), Failed> {
        let place = (party, origin(request.uri()));
        let nonce = self.nonces.lock().unwrap_or_else(PoisonError::into_inner).get(&place).cloned();
        let proved = key.prove(request, token, nonce.as_deref(), (self.clock.now(), &*self.entropy));
        proved.map_err(|error| ClientError::Proof(error).into())
    }

    /// Whether the answer brought a nonce.
    fn keep_nonce(&self, party: Party, uri: &Uri, headers: &HeaderMap) -> bool {
        let Some(nonce) = nonce_of(headers) else { return false };
        let mut nonces = self.nonces.lock().unwrap_or_else(PoisonError::into_inner);
        if nonces.len() >= MOST_NONCES {
            nonces.clear();
        }
        nonces.insert((party, origin(uri)), nonce.to_owned());
        true
    }
}

fn origin(uri: &Uri) -> String {
    let (scheme, authority) = (uri.scheme_str(), uri.authority().map(http::uri::Authority::as_str));
    format!("{}://{}", scheme.unwrap_or_default(), authority.unwrap_or_default())
}

fn bearer(token: &SecretString) -> Option<HeaderValue> {
    let mut value = HeaderValue::try_from(format!("Bearer {}", token.expose())).ok()?;
    value.set_sensitive(true);
    Some(value)
}
