//! The request as it came: in the query, or pushed before (RFC 9126 §4), which counts alone: parameters beside it are
//! somebody's who is not the client.

use super::{
    Stop,
    request::{self, AuthorizationRequest, RequestRefusal, SINCE},
};
use crate::{app::App, clients::ClientRefusal};
use hallpass_core::{
    grant::{PushedRequest, REQUEST_URI, digest16},
    id::GrantId,
    parameters::{self, Limits, Parameters},
    secret,
    time::Timestamp,
};

/// A request, and how it goes on through sign-in and consent.
pub struct Received {
    /// The request.
    pub request: AuthorizationRequest,
    /// The query with which the authorization endpoint is asked again. Of a pushed request, sealed for this browser.
    pub query: String,
    pushed: Option<PushedRequest>,
}

/// Reads the query of a browser with this id.
pub fn read(app: &App, query: &str, browser: &[u8; 16], now: Timestamp) -> Result<Received, Stop> {
    let outer = request::parameters(query).map_err(Stop::Request)?;
    let Some(uri) = outer.get("request_uri").filter(|uri| uri.starts_with(REQUEST_URI)) else {
        let request = request::of(&outer).map_err(Stop::Request)?;
        return Ok(Received { request, query: query.to_owned(), pushed: None });
    };
    let client_id = outer.get("client_id").ok_or(Stop::Client(ClientRefusal::Missing))?;
    let pushed = PushedRequest::open(&app.keys, uri, browser, now)
        .map_err(|error| Stop::Request(RequestRefusal::Pushed(error)))?;
    if !secret::equal(&digest16(client_id), &pushed.client) {
        return Err(Stop::Request(RequestRefusal::PushedByAnother));
    }
    let inner = Parameters::parse(pushed.query().as_bytes(), Limits::default())
        .map_err(|error| Stop::Request(RequestRefusal::Parameters(error)))?;
    let mut request = request::of(&inner).map_err(Stop::Request)?;
    request.client_id = Some(client_id.to_owned());
    request.since = outer.get(SINCE).map(str::to_owned);
    request.pushed = true;
    let query = query_of(app, &request, &pushed, browser);
    Ok(Received { request, query, pushed: Some(pushed) })
}

fn query_of(app: &App, request: &AuthorizationRequest, pushed: &PushedRequest, browser: &[u8; 16]) -> String {
    let uri = pushed.seal_for(&app.keys, browser, &*app.entropy).unwrap_or_default();
    let since = request.since.as_deref().map(|since| (SINCE, since));
    let client = ("client_id", request.client_id.as_deref().unwrap_or_default());
    parameters::encode([client, ("request_uri", uri.as_str())].into_iter().chain(since))
}

impl Received {
    /// The grant that a pushed request may become.
    pub fn grant(&self) -> Option<GrantId> {
        self.pushed.as_ref().map(|pushed| pushed.id)
    }

    /// The query of the same request without `prompt`: who is signed in already goes on with it.
    pub fn query_without_prompt(&self, app: &App, browser: &[u8; 16]) -> String {
        if let Some(pushed) = &self.pushed {
            return query_of(app, &self.request, &pushed.clone().without("prompt"), browser);
        }
        let pairs = self.query.split('&').filter(|pair| !pair.starts_with("prompt="));
        pairs.collect::<Vec<_>>().join("&")
    }
}
