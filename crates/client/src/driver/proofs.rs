//! Requests with proofs (RFC 9449): nonces are remembered for each server, and how far its clock is from ours; a refusal
//! for want of one, or for a wrong time, is answered once.

use super::{Client, challenges};
use crate::{
    discovery::Challenged,
    error::{ClientError, Failed, Party},
    proof::{self, ProofKey, nonce_of},
    storage::Entry,
};
use bytes::Bytes;
use hallpass_core::{json, secret::SecretString, time::Timestamp};
use hallpass_fetch::{Limits, Policy, http_date};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, header};
use std::{collections::HashMap, sync::PoisonError};

/// Most servers of which something is remembered. What is forgotten costs one more request.
const MOST_PLACES: usize = 64;
/// Milliseconds that a server's clock may be from ours before proofs follow it; far less than any server allows.
const CLOCKS_APART: i64 = 30_000;

/// What is known of each server, in each of its roles: nonces of authorization server and resource are not the same, even
/// on one host (RFC 9449 §9).
pub(super) type Places = HashMap<(Party, String), Known>;

/// What is known of one.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    /// Its latest nonce.
    nonce: Option<String>,
    /// Milliseconds that its clock is ahead of ours, once it has refused a proof for its time (CL-087). Whoever says a wrong
    /// time gets proofs of that time, which are of use at no other server.
    ahead: i64,
}

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
        let members = json::parse_object(response.body(), json::Limits::default()).ok();
        let error = members.as_ref().and_then(|members| json::string(members, "error").ok().flatten());
        let refused = response.status().is_client_error().then_some(error).flatten();
        if !self.learn(party, request.uri(), response.headers(), refused) {
            return Ok(response);
        }
        self.prove(&mut request, party, key, None)?;
        let response = self.ask(party, request.clone(), policy, Limits::TOKEN).await?;
        self.learn(party, request.uri(), response.headers(), None);
        Ok(response)
    }

    /// The one place that puts a token into a request: the header, never the URL.
    pub(super) fn authorized<B>(
        &self,
        mut request: Request<B>,
        entry: Option<&Entry>,
    ) -> Result<Request<B>, Failed> {
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

    /// Notes what a resource's answer says; whether it refused for want of just that.
    pub(super) fn wants_another_proof(
        &self,
        uri: &Uri,
        entry: Option<&Entry>,
        (status, headers): (StatusCode, &HeaderMap),
    ) -> bool {
        if entry.is_none_or(|entry| entry.tokens.proof_key.is_none()) {
            return false;
        }
        let error = Challenged::from_headers(&challenges(headers)).error;
        let refused = error.as_deref().filter(|_| status == StatusCode::UNAUTHORIZED);
        self.learn(Party::Server, uri, headers, refused)
    }

    fn prove<B>(
        &self,
        request: &mut Request<B>,
        party: Party,
        key: &ProofKey,
        token: Option<&SecretString>,
    ) -> Result<(), Failed> {
        let place = (party, origin(request.uri()));
        let known = self.places.lock().unwrap_or_else(PoisonError::into_inner).get(&place).cloned();
        let Known { nonce, ahead } = known.unwrap_or_default();
        let now = Timestamp::from_millis(self.clock.now().millis().saturating_add(ahead));
        let proved = key.prove(request, token, nonce.as_deref(), (now, &*self.entropy));
        proved.map_err(|error| ClientError::Proof(error).into())
    }

    /// Keeps the nonce that an answer brings, and what its server's time is; whether it refused for want of just that.
    fn learn(&self, party: Party, uri: &Uri, headers: &HeaderMap, refused: Option<&str>) -> bool {
        let (nonce, now) = (nonce_of(headers), self.clock.now());
        let date = headers.get(header::DATE).and_then(|date| http_date(date.to_str().ok()?));
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        if places.len() >= MOST_PLACES {
            places.clear();
        }
        let known = places.entry((party, origin(uri))).or_default();
        if let Some(nonce) = nonce {
            known.nonce = Some(nonce.to_owned());
        }
        match (refused, date) {
            (Some(proof::USE_NONCE), _) => nonce.is_some(),
            (Some(proof::INVALID_PROOF), Some(date)) => {
                let ahead = date.millis().saturating_sub(now.millis());
                let news = ahead.abs_diff(known.ahead) > CLOCKS_APART.unsigned_abs();
                if news {
                    known.ahead = ahead;
                }
                news
            }
            _ => false,
        }
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
