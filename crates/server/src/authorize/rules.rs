//! Every check of an authorization request after client and redirect URI, in the order of the standards. Pure.

use super::request::AuthorizationRequest;
use crate::{
    audit::Reason,
    clients::Client,
    settings::{OFFLINE_ACCESS, Resource, Settings},
};
use hallpass_core::{
    authorization_details::{AuthorizationDetails, DetailsError},
    encoding,
    error::ErrorCode,
    pkce::{CodeChallenge, PkceError},
    scope::Scope,
};

/// A request that a person may be asked about.
#[derive(Debug)]
pub struct CheckedRequest<'a> {
    /// What it is for.
    pub resource: &'a Resource,
    /// What it may get there.
    pub scope: Scope,
    /// PKCE.
    pub challenge: CodeChallenge,
    /// Half of the thumbprint of the key that the code is bound to.
    pub key: Option<[u8; 16]>,
    /// Which tools it is for; all that the scopes allow where there are none.
    pub details: Option<AuthorizationDetails>,
}

/// Broken rules that the client learns of, at its redirect URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthorizeRefusal {
    /// `request` (RFC 9101) is not supported.
    RequestObject,
    /// A `request_uri` that is no pushed request's is not supported, and never fetched.
    RequestUri,
    /// The client or the operator wants requests pushed, and this one was not.
    NotPushed,
    /// No `response_type`.
    ResponseTypeMissing,
    /// Anything but `code`: there is no implicit grant.
    ResponseType,
    /// Anything but `query`.
    ResponseMode,
    /// PKCE.
    Pkce(PkceError),
    /// `dpop_jkt` is no thumbprint.
    KeyThumbprint,
    /// `authorization_details` in a request that anybody could have written.
    DetailsNotPushed,
    /// `authorization_details` of a client that nobody here has said anything about.
    DetailsOfStranger,
    /// `authorization_details` that are not understood.
    Details(DetailsError),
    /// None given, and there is more than one.
    ResourceMissing,
    /// More than one.
    SeveralResources,
    /// Not one of ours.
    ResourceUnknown,
    /// Not a scope at all.
    ScopeMalformed,
    /// Nothing that was asked for exists here.
    ScopeUnknown,
    /// `prompt=none`, and nobody is signed in.
    SignInNeeded,
    /// `prompt=none`, and there is no answer without asking.
    ConsentNeeded,
    /// The person said no.
    Denied,
}

impl Reason for AuthorizeRefusal {
    fn reason(&self) -> &'static str {
        match self {
            Self::RequestObject => "request_object",
            Self::RequestUri => "request_uri",
            Self::NotPushed => "not_pushed",
            Self::ResponseTypeMissing => "response_type_missing",
            Self::ResponseType => "response_type",
            Self::ResponseMode => "response_mode",
            Self::Pkce(error) => error.reason(),
            Self::KeyThumbprint => "dpop_jkt_malformed",
            Self::DetailsNotPushed => "authorization_details_not_pushed",
            Self::DetailsOfStranger => "authorization_details_of_stranger",
            Self::Details(_) => "authorization_details",
            Self::ResourceMissing => "resource_missing",
            Self::SeveralResources => "resource_several",
            Self::ResourceUnknown => "resource_unknown",
            Self::ScopeMalformed => "scope_malformed",
            Self::ScopeUnknown => "scope_unknown",
            Self::SignInNeeded => "sign_in_needed",
            Self::ConsentNeeded => "consent_needed",
            Self::Denied => "denied",
        }
    }
}

impl AuthorizeRefusal {
    /// What the client learns.
    pub const fn code(self) -> (ErrorCode, &'static str) {
        match self {
            Self::RequestObject => (ErrorCode::RequestNotSupported, "request objects are not supported"),
            Self::RequestUri => {
                (ErrorCode::RequestUriNotSupported, "only the request_uri of a pushed request is supported")
            }
            Self::NotPushed => (
                ErrorCode::InvalidRequest,
                "push the request to pushed_authorization_request_endpoint and come with its request_uri",
            ),
            Self::ResponseTypeMissing => (ErrorCode::InvalidRequest, "response_type is required"),
            Self::ResponseType => (ErrorCode::UnsupportedResponseType, "response_type must be code"),
            Self::ResponseMode => (ErrorCode::InvalidRequest, "response_mode must be query"),
            Self::Pkce(PkceError::ChallengeMissing) => {
                (ErrorCode::InvalidRequest, "code_challenge is required")
            }
            Self::Pkce(_) => (
                ErrorCode::InvalidRequest,
                "code_challenge_method must be S256 and code_challenge 43 characters of base64url",
            ),
            Self::KeyThumbprint => {
                (ErrorCode::InvalidRequest, "dpop_jkt must be the SHA-256 thumbprint of a key in base64url")
            }
            Self::DetailsNotPushed => (
                ErrorCode::InvalidAuthorizationDetails,
                "push the request to pushed_authorization_request_endpoint: authorization_details are read there only",
            ),
            Self::DetailsOfStranger => (
                ErrorCode::InvalidAuthorizationDetails,
                "authorization_details are for clients of the operator, and for documents that a person has allowed before",
            ),
            Self::Details(error) => (ErrorCode::InvalidAuthorizationDetails, error.description()),
            Self::ResourceMissing => {
                (ErrorCode::InvalidTarget, "resource is required: there is more than one")
            }
            Self::SeveralResources => (ErrorCode::InvalidTarget, "ask for one resource at a time"),
            Self::ResourceUnknown => {
                (ErrorCode::InvalidTarget, "resource is not one that this server protects")
            }
            Self::ScopeMalformed => (ErrorCode::InvalidScope, "scope is malformed"),
            Self::ScopeUnknown => (ErrorCode::InvalidScope, "none of the scopes exists at this resource"),
            Self::SignInNeeded => (ErrorCode::LoginRequired, "the person has to sign in"),
            Self::ConsentNeeded => (ErrorCode::ConsentRequired, "the person is always asked"),
            Self::Denied => (ErrorCode::AccessDenied, "the person declined"),
        }
    }
}

/// Checks everything.
pub fn check<'a>(
    request: &AuthorizationRequest,
    settings: &'a Settings,
    client: &Client,
) -> Result<CheckedRequest<'a>, AuthorizeRefusal> {
    if request.request {
        return Err(AuthorizeRefusal::RequestObject);
    }
    if request.request_uri {
        return Err(AuthorizeRefusal::RequestUri);
    }
    if !request.pushed && (settings.require_pushed_authorization_requests || client.pushed_only) {
        return Err(AuthorizeRefusal::NotPushed);
    }
    match request.response_type.as_deref() {
        None => return Err(AuthorizeRefusal::ResponseTypeMissing),
        Some("code") => {}
        Some(_) => return Err(AuthorizeRefusal::ResponseType),
    }
    if request.response_mode.as_deref().is_some_and(|mode| mode != "query") {
        return Err(AuthorizeRefusal::ResponseMode);
    }
    let challenge = CodeChallenge::from_request(
        request.code_challenge.as_deref(),
        request.code_challenge_method.as_deref(),
    )
    .map_err(AuthorizeRefusal::Pkce)?;
    let key = key(request, settings)?;
    let (resource, scope) = target(request, settings, client)?;
    let details = details(request)?;
    Ok(CheckedRequest { resource, scope, challenge, key, details })
}

/// Only what a client that we know has pushed: who pushed is looked at there. Anybody can write a link, and what would be
/// shown in it in words is somebody else's text.
fn details(request: &AuthorizationRequest) -> Result<Option<AuthorizationDetails>, AuthorizeRefusal> {
    let Some(text) = request.authorization_details.as_deref() else { return Ok(None) };
    if !request.pushed {
        return Err(AuthorizeRefusal::DetailsNotPushed);
    }
    AuthorizationDetails::parse(text).map(Some).map_err(AuthorizeRefusal::Details)
}

/// The key that the request names (RFC 9449 §10). Where proofs are not offered, it is a parameter that we do not know.
fn key(request: &AuthorizationRequest, settings: &Settings) -> Result<Option<[u8; 16]>, AuthorizeRefusal> {
    let Some(text) = request.dpop_jkt.as_deref().filter(|_| settings.proofs.offered) else { return Ok(None) };
    let thumbprint = encoding::array_from_base64url::<32>(text).ok_or(AuthorizeRefusal::KeyThumbprint)?;
    Ok(thumbprint.first_chunk().copied())
}

/// For what, and what it may get there.
pub fn target<'a>(
    request: &AuthorizationRequest,
    settings: &'a Settings,
    client: &Client,
) -> Result<(&'a Resource, Scope), AuthorizeRefusal> {
    let resource = resource(request, settings)?;
    Ok((resource, scope(request, resource, client.scopes.as_ref())?))
}

/// One resource, one audience. Clients of 2025-03-26 send none and mean the only one.
fn resource<'a>(
    request: &AuthorizationRequest,
    settings: &'a Settings,
) -> Result<&'a Resource, AuthorizeRefusal> {
    match request.resources.as_slice() {
        [] => settings.only_resource().ok_or(AuthorizeRefusal::ResourceMissing),
        [asked, others @ ..] => {
            let resource = settings.resource(asked).ok_or(AuthorizeRefusal::ResourceUnknown)?;
            let same =
                |other: &String| settings.resource(other).is_some_and(|other| other.uri == resource.uri);
            if others.iter().all(same) { Ok(resource) } else { Err(AuthorizeRefusal::SeveralResources) }
        }
    }
}

/// Narrowed to what exists here: clients ask for `openid email profile` where nobody has that (P32).
fn scope(
    request: &AuthorizationRequest,
    resource: &Resource,
    ceiling: Option<&Scope>,
) -> Result<Scope, AuthorizeRefusal> {
    let usual = ceiling.map_or_else(|| resource.usual(), |ceiling| resource.usual().narrowed_to(ceiling));
    if usual.is_empty() && !resource.usual().is_empty() {
        return Err(AuthorizeRefusal::ScopeUnknown);
    }
    let Some(asked) = request.scope.as_deref() else { return Ok(usual) };
    let asked = Scope::parse(asked).map_err(|_| AuthorizeRefusal::ScopeMalformed)?;
    let grantable = Scope::of(usual.iter().chain([OFFLINE_ACCESS]));
    let granted = asked.narrowed_to(&grantable);
    let openid_only =
        granted.is_empty() && asked.iter().all(|name| matches!(name, "openid" | "email" | "profile"));
    if openid_only {
        return Ok(usual);
    }
    if granted.is_empty() { Err(AuthorizeRefusal::ScopeUnknown) } else { Ok(granted) }
}
