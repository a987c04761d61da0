//! Access across domains (draft-ietf-oauth-identity-assertion-authz-grant §4): which client may have our word about its
//! people, for which authorization server of somebody else, and for how much there. The operator decides, and nothing
//! is allowed that is not written down. Pure.

use crate::{audit::Reason, http::respond::Refusal};
use hallpass_core::{
    error::ErrorCode,
    jwt::identity_assertion::TOKEN_TYPE,
    parameters::Parameters,
    scope::{self, Scope},
    time::Timestamp,
    uri::{Issuer, ResourceUri},
};
use std::time::Duration;

/// The one subject token that we take: we issue no ID tokens, and an access token is seen by the server that it is for
/// (RFC 8693 §3, draft §4.3).
pub const REFRESH_TOKEN: &str = "urn:ietf:params:oauth:token-type:refresh_token";
/// Longest `client_id` of another server.
const LONGEST_ID: usize = 2_048;

/// What one client may ask for, at one authorization server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CrossDomainAccess {
    /// Who asks, by its id here.
    pub client: String,
    /// `aud`: the issuer identifier of the resource authorization server, compared character by character.
    pub audience: Issuer,
    /// `client_id`: what the client is called there.
    pub client_id: String,
    /// The servers that it guards, of those that we speak about.
    pub resources: Vec<ResourceUri>,
    /// No more than these scopes there.
    pub scopes: Scope,
    /// How long ago the person may have said yes to the client here.
    pub max_age: Option<Duration>,
}

/// Why access cannot be written down so. The text names the fix.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CrossDomainError {
    /// Not an issuer identifier.
    #[error("audience {0:?} is not an issuer: write the https URL that its metadata has as issuer")]
    Audience(String),
    /// No id that a client could have.
    #[error("client_id is empty or too long: write what the client is called there")]
    ClientId,
    /// Not the identifier of a server.
    #[error("{0:?} in resources is not the URL of a server: write it as that server's metadata does")]
    Resource(String),
    /// Nothing to be used at.
    #[error("resources is empty: list the servers there that it may be for")]
    NoResources,
    /// Not a scope.
    #[error("the scope {0:?} is not a scope token")]
    Scope(String),
    /// Nothing to be used for.
    #[error("scopes is empty: list all that the client may ever ask for there")]
    NoScopes,
}

/// Access as it is written down.
#[derive(Clone, Copy, Debug)]
pub struct WrittenAccess<'a> {
    /// By its id here.
    pub client: &'a str,
    /// The issuer of the other server.
    pub audience: &'a str,
    /// By its id there.
    pub client_id: &'a str,
    /// Servers there.
    pub resources: &'a [String],
    /// Scopes there.
    pub scopes: &'a [String],
}

impl CrossDomainAccess {
    /// Checks what was written down.
    pub fn new(written: &WrittenAccess<'_>, max_age: Option<Duration>) -> Result<Self, CrossDomainError> {
        let audience = Issuer::parse(written.audience)
            .map_err(|_| CrossDomainError::Audience(written.audience.to_owned()))?;
        let id = written.client_id;
        if id.is_empty()
            || id.len() > LONGEST_ID
            || id.chars().any(|one| one.is_whitespace() || one.is_control())
        {
            return Err(CrossDomainError::ClientId);
        }
        let resource =
            |text: &String| ResourceUri::parse(text).map_err(|_| CrossDomainError::Resource(text.clone()));
        let resources = written.resources.iter().map(resource).collect::<Result<Vec<_>, _>>()?;
        if resources.is_empty() {
            return Err(CrossDomainError::NoResources);
        }
        if let Some(bad) = written.scopes.iter().find(|name| !scope::is_token(name)) {
            return Err(CrossDomainError::Scope(bad.clone()));
        }
        if written.scopes.is_empty() {
            return Err(CrossDomainError::NoScopes);
        }
        Ok(Self {
            client: written.client.to_owned(),
            audience,
            client_id: id.to_owned(),
            resources,
            scopes: Scope::of(written.scopes.iter().map(String::as_str)),
            max_age,
        })
    }
}

/// Every rule about what is asked for. The first that is broken counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrossDomainRefusal {
    /// No `subject_token`.
    SubjectTokenMissing,
    /// Another kind of subject token than we take.
    SubjectTokenType,
    /// Who asks is the client, and there is nobody else.
    ActorToken,
    /// The person gave the client some tools only (RFC 9396): our word would say more than they did.
    Limited,
    /// No `audience`.
    AudienceMissing,
    /// Nobody may ask for this server.
    Audience,
    /// Others may, this client may not.
    Client,
    /// Not a server that the rule pairs with the audience.
    Resource,
    /// None of the scopes, or no scope at all.
    Scope,
    /// The person said yes too long ago, and has to be asked again.
    TooOld(Duration),
}

impl Reason for CrossDomainRefusal {
    fn reason(&self) -> &'static str {
        match self {
            Self::SubjectTokenMissing => "subject_token_missing",
            Self::SubjectTokenType => "subject_token_type",
            Self::ActorToken => "actor_token",
            Self::Limited => "sign_in_for_some_tools_only",
            Self::AudienceMissing => "audience_missing",
            Self::Audience => "audience",
            Self::Client => "client_without_this_audience",
            Self::Resource => "audience_without_this_resource",
            Self::Scope => "scope_not_allowed",
            Self::TooOld(_) => "sign_in_too_old",
        }
    }
}

impl CrossDomainRefusal {
    /// What the client learns.
    pub const fn refusal(self) -> Refusal {
        use ErrorCode::{
            AccessDenied, InsufficientUserAuthentication, InvalidGrant, InvalidRequest, InvalidScope,
            InvalidTarget,
        };
        let (code, description) = match self {
            Self::SubjectTokenMissing => (InvalidRequest, "subject_token is required"),
            Self::SubjectTokenType => (
                InvalidRequest,
                "for an identity assertion, subject_token_type is urn:ietf:params:oauth:token-type:refresh_token",
            ),
            Self::ActorToken => (InvalidRequest, "the client that asks is the actor: leave actor_token out"),
            Self::Limited => {
                (InvalidGrant, "this sign-in is for some tools only: sign in without authorization_details")
            }
            Self::AudienceMissing => (
                InvalidRequest,
                "audience is required once: the issuer of the server that the assertion is for",
            ),
            Self::Audience => (InvalidTarget, "no identity assertion is issued for this audience"),
            Self::Client => {
                (AccessDenied, "this client may not have an identity assertion for this audience")
            }
            Self::Resource => {
                (InvalidTarget, "resource is not a server of this audience that the client may use")
            }
            Self::Scope => (InvalidScope, "the client may have none of these scopes there"),
            Self::TooOld(_) => {
                (InsufficientUserAuthentication, "the person has to sign in to this client again")
            }
        };
        let refusal = Refusal::new(code, description);
        match self {
            Self::TooOld(most) => Refusal { max_age: Some(most), ..refusal },
            Self::SubjectTokenMissing
            | Self::SubjectTokenType
            | Self::ActorToken
            | Self::Limited
            | Self::AudienceMissing
            | Self::Audience
            | Self::Client
            | Self::Resource
            | Self::Scope => refusal,
        }
    }
}

/// The form of a request for an identity assertion.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// What the person gave to the client here.
    pub subject_token: &'a str,
    /// The server that it is for.
    pub audience: &'a str,
}

/// Whether an exchange asks for an identity assertion, and not for a token.
pub fn is_meant(parameters: &Parameters) -> bool {
    parameters.get("requested_token_type") == Some(TOKEN_TYPE)
}

/// The form (draft §4.3).
pub fn check_form(parameters: &Parameters) -> Result<Asked<'_>, CrossDomainRefusal> {
    let subject_token = parameters.get("subject_token").ok_or(CrossDomainRefusal::SubjectTokenMissing)?;
    if parameters.get("subject_token_type") != Some(REFRESH_TOKEN) {
        return Err(CrossDomainRefusal::SubjectTokenType);
    }
    if parameters.get("actor_token").is_some() || parameters.get("actor_token_type").is_some() {
        return Err(CrossDomainRefusal::ActorToken);
    }
    let mut audiences = parameters.all("audience");
    match (audiences.next(), audiences.next()) {
        (Some(audience), None) => Ok(Asked { subject_token, audience }),
        // One assertion is for one server.
        (None, _) | (Some(_), Some(_)) => Err(CrossDomainRefusal::AudienceMissing),
    }
}

/// What the assertion will say.
#[derive(Debug)]
pub struct Granted<'a> {
    /// By which rule.
    pub access: &'a CrossDomainAccess,
    /// Servers there.
    pub resources: Vec<&'a str>,
    /// Scopes there.
    pub scope: Scope,
}

/// What this client may have of what it asks for. Audience and resource have to be a pair that the operator wrote down: with
/// one of each of two pairs, a server would get an assertion that names another's (AS-159).
pub fn check_access<'a>(
    all: &'a [CrossDomainAccess],
    client_id: &str,
    parameters: &Parameters,
    (audience, consented_at, now): (&str, Timestamp, Timestamp),
) -> Result<Granted<'a>, CrossDomainRefusal> {
    let mut for_audience = all.iter().filter(|one| one.audience.as_str() == audience).peekable();
    for_audience.peek().ok_or(CrossDomainRefusal::Audience)?;
    let access = for_audience.find(|one| one.client == client_id).ok_or(CrossDomainRefusal::Client)?;
    let mut resources: Vec<&str> = Vec::new();
    for asked in parameters.all("resource") {
        let meant = access.resources.iter().find(|one| one.is_meant_by(asked));
        let meant = meant.ok_or(CrossDomainRefusal::Resource)?.as_str();
        if !resources.contains(&meant) {
            resources.push(meant);
        }
    }
    if resources.is_empty() {
        resources = access.resources.iter().map(ResourceUri::as_str).collect();
    }
    let scope = match parameters.get("scope") {
        None => access.scopes.clone(),
        Some(asked) => {
            Scope::parse(asked).map_err(|_| CrossDomainRefusal::Scope)?.narrowed_to(&access.scopes)
        }
    };
    if scope.is_empty() {
        return Err(CrossDomainRefusal::Scope);
    }
    match access.max_age {
        Some(most) if now.since(consented_at) > most => Err(CrossDomainRefusal::TooOld(most)),
        _ => Ok(Granted { access, resources, scope }),
    }
}
