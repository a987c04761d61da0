//! Reading an authorization request (RFC 6749 §4.1.1).

use crate::audit::Reason;
use hallpass_core::{
    grant::PushedError,
    parameters::{Limits, ParameterError, Parameters},
};

/// Longest `state` that is given back.
const MAX_STATE: usize = 4096;

/// Why there is no request to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestRefusal {
    /// It cannot be read, or says something twice.
    Parameters(ParameterError),
    /// A `state` of more than 4,096 bytes.
    State,
    /// What was sealed into a page no longer holds.
    Changed,
    /// Not a pushed request that can be used now.
    Pushed(PushedError),
    /// Another client pushed it.
    PushedByAnother,
    /// A grant came of it already.
    PushedSpent,
}

impl Reason for RequestRefusal {
    fn reason(&self) -> &'static str {
        match self {
            Self::Parameters(error) => error.reason(),
            Self::State => "state_too_long",
            Self::Changed => "changed_since_shown",
            Self::Pushed(error) => error.reason(),
            Self::PushedByAnother => "pushed_by_another_client",
            Self::PushedSpent => "pushed_request_spent",
        }
    }
}

/// What the request says, decoded, unchecked.
#[derive(Debug, Default)]
pub struct AuthorizationRequest {
    /// `client_id`.
    pub client_id: Option<String>,
    /// `redirect_uri`.
    pub redirect_uri: Option<String>,
    /// `state`, given back as it came.
    pub state: Option<String>,
    /// `response_type`.
    pub response_type: Option<String>,
    /// `response_mode`.
    pub response_mode: Option<String>,
    /// `scope`.
    pub scope: Option<String>,
    /// `code_challenge`.
    pub code_challenge: Option<String>,
    /// `code_challenge_method`.
    pub code_challenge_method: Option<String>,
    /// `resource`, all of them (RFC 8707 §2).
    pub resources: Vec<String>,
    /// `prompt` (OpenID Connect Core §3.1.2.1).
    pub prompt: Option<String>,
    /// `max_age`, seconds.
    pub max_age: Option<String>,
    /// `login_hint`: what the client thinks the person is called here. It is never looked up.
    pub login_hint: Option<String>,
    /// `dpop_jkt`: the key that the code is to be bound to (RFC 9449 §10).
    pub dpop_jkt: Option<String>,
    /// `authorization_details` (RFC 9396).
    pub authorization_details: Option<String>,
    /// `request`, not supported.
    pub request: bool,
    /// `request_uri`, other than of a pushed request: not supported and never fetched.
    pub request_uri: bool,
    /// Whether the client pushed it before.
    pub pushed: bool,
    /// Ours: when this request was first seen, sealed, so that a sign-in since then satisfies `prompt=login`.
    pub since: Option<String>,
}

impl AuthorizationRequest {
    /// Whether `prompt` has this value among its values.
    pub fn prompts(&self, value: &str) -> bool {
        self.prompt.as_deref().is_some_and(|prompt| prompt.split(' ').any(|one| one == value))
    }
}

/// The name of our own parameter.
pub const SINCE: &str = "hallpass_since";

/// Reads the query.
pub fn parameters(query: &str) -> Result<Parameters, RequestRefusal> {
    Parameters::parse(query.as_bytes(), Limits::default()).map_err(RequestRefusal::Parameters)
}

/// The request of these parameters.
pub fn of(parameters: &Parameters) -> Result<AuthorizationRequest, RequestRefusal> {
    let get = |name: &str| parameters.get(name).map(str::to_owned);
    let state = get("state");
    if state.as_ref().is_some_and(|state| state.len() > MAX_STATE) {
        return Err(RequestRefusal::State);
    }
    Ok(AuthorizationRequest {
        client_id: get("client_id"),
        redirect_uri: get("redirect_uri"),
        state,
        response_type: get("response_type"),
        response_mode: get("response_mode"),
        scope: get("scope"),
        code_challenge: get("code_challenge"),
        code_challenge_method: get("code_challenge_method"),
        resources: parameters.all("resource").map(str::to_owned).collect(),
        prompt: get("prompt"),
        max_age: get("max_age"),
        login_hint: get("login_hint"),
        dpop_jkt: get("dpop_jkt"),
        authorization_details: get("authorization_details"),
        request: parameters.get("request").is_some(),
        request_uri: parameters.get("request_uri").is_some(),
        pushed: false,
        since: get(SINCE),
    })
}
