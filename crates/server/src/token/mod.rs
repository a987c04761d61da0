//! The token endpoint (RFC 6749 §3.2): who calls, which grant type, one file each.

mod authorization_code;
mod binding;
mod client_credentials;
mod device;
mod exchange;
mod form;
mod identity_assertion;
mod identity_exchange;
mod issue;
mod jwt_bearer;
pub mod presented;
mod refresh;
mod rules;
mod unsettled;
pub mod without_row;

use exchange::ExchangeRefusal;
pub use form::{FormRefusal, form};
pub use unsettled::Unsettled;

use crate::{
    app::App,
    audit::{Event, Reason},
    clients::operator::TOKEN_EXCHANGE,
    cross_domain::{self, CrossDomainRefusal},
    http::{
        client_auth::{self, AuthenticatedClient, ClientAuthRefusal, Spend},
        proof::{self, ProofRefusal, ProvenKey},
        respond::{self, Refusal, Reply},
    },
    router::Incoming,
};
use hallpass_core::{
    error::ErrorCode,
    grant::{CodeError, DeviceCodeError},
    parameters::{ParameterError, Parameters},
    pkce::PkceError,
    token::{RefreshToken, RefreshTokenError},
};
use hallpass_store::{Grant, LiveRotation, RotationWindows, StoreError};
use http::StatusCode;
use jwt_bearer::AssertionRefusal;
use std::time::Duration;

/// Every rule that a token request can break. The text is for the log.
#[derive(Debug, thiserror::Error)]
pub enum TokenRefusal {
    /// Not `application/x-www-form-urlencoded`.
    #[error("media_type")]
    MediaType,
    /// The body cannot be read.
    #[error("parameters: {0}")]
    Parameters(ParameterError),
    /// Who calls is not clear, with whether the `Authorization` header was used.
    #[error("client: {0:?}")]
    Client(ClientAuthRefusal, bool),
    /// The proof of a key.
    #[error("proof: {0:?}")]
    Proof(ProofRefusal),
    /// A code that is bound to a key, and the request does not prove that key. It stays good for who has it.
    #[error("code_of_another_key")]
    CodeOfAnotherKey,
    /// A refresh token that is bound to another key. It stays good for who has that.
    #[error("grant_of_another_key")]
    GrantOfAnotherKey,
    /// No `grant_type`.
    #[error("grant_type_missing")]
    GrantTypeMissing,
    /// A `grant_type` that is not offered.
    #[error("grant_type_unknown")]
    GrantTypeUnknown,
    /// The client did not register it.
    #[error("grant_type_not_registered")]
    GrantTypeNotRegistered,
    /// No `code`.
    #[error("code_missing")]
    CodeMissing,
    /// Not a code that can be redeemed.
    #[error("code: {0}")]
    Code(CodeError),
    /// A code of another client. It stays good for its own.
    #[error("code_of_another_client")]
    CodeOfAnotherClient,
    /// Not the redirect URI of the authorization request.
    #[error("redirect_differs")]
    RedirectDiffers,
    /// PKCE.
    #[error("pkce: {0}")]
    Pkce(PkceError),
    /// Not among the resources of the grant.
    #[error("target")]
    Target,
    /// The resource or its scopes were changed in the configuration since.
    #[error("resource_changed")]
    ResourceChanged,
    /// The same code was redeemed before; the grant is revoked.
    #[error("code_replayed")]
    CodeReplayed,
    /// Another code of the same consent page was redeemed before.
    #[error("second_code")]
    SecondCode,
    /// The person signed out everywhere or was disabled.
    #[error("withdrawn")]
    Withdrawn,
    /// No `device_code`.
    #[error("device_code_missing")]
    DeviceCodeMissing,
    /// Not a device code that can be polled with.
    #[error("device_code: {0}")]
    DeviceCode(DeviceCodeError),
    /// A device code of another client. It stays good for its own.
    #[error("device_code_of_another_client")]
    DeviceCodeOfAnotherClient,
    /// Nobody has decided yet.
    #[error("authorization_pending")]
    Pending,
    /// The device polls too fast.
    #[error("slow_down")]
    SlowDown,
    /// The person said no.
    #[error("device_denied")]
    DeviceDenied,
    /// Another device had the same letters, or they were typed in two places.
    #[error("device_spoiled")]
    DeviceSpoiled,
    /// No `refresh_token`.
    #[error("refresh_missing")]
    RefreshMissing,
    /// Not a refresh token of ours.
    #[error("refresh: {0}")]
    Refresh(RefreshTokenError),
    /// No such grant.
    #[error("grant_missing")]
    GrantMissing,
    /// A refresh token of another client. It stays good for its own.
    #[error("refresh_of_another_client")]
    RefreshOfAnotherClient,
    /// The grant was revoked.
    #[error("revoked")]
    Revoked,
    /// The code or the token went to a host that the operator does not want.
    #[error("receiver_blocked")]
    ReceiverBlocked,
    /// The client proved a key when the grant was opened, and now does not.
    #[error("key_not_proven")]
    KeyNotProven,
    /// Unused for longer than the idle lifetime.
    #[error("idle")]
    Idle,
    /// Older than a grant may become.
    #[error("outlived")]
    Outlived,
    /// More refreshes of one grant than any client has a use for, with how long to wait.
    #[error("too_often")]
    TooOften(Duration),
    /// More than was granted, or not a scope at all.
    #[error("scope")]
    Scope,
    /// `authorization_details`, which are asked for in a pushed request and nowhere else.
    #[error("authorization_details")]
    Details,
    /// What a grant keeps of them cannot be read.
    #[error("authorization_details_unreadable")]
    DetailsUnreadable,
    /// A machine that may use several servers names none.
    #[error("resource_missing")]
    ResourceMissing,
    /// Not a server that this machine may use, or several at once.
    #[error("resource_not_allowed")]
    ResourceNotAllowed,
    /// An assertion that is no grant.
    #[error("assertion: {0:?}")]
    Assertion(AssertionRefusal),
    /// Nothing of what was asked for is within what this machine may have there.
    #[error("scope_not_allowed")]
    ScopeNotAllowed,
    /// A retired refresh token; the grant is revoked.
    #[error("refresh_reused")]
    RefreshReused,
    /// What is traded, or by whom.
    #[error("exchange: {0:?}")]
    Exchange(ExchangeRefusal),
    /// What a client asks for at another server.
    #[error("cross_domain: {0:?}")]
    CrossDomain(CrossDomainRefusal),
    /// The crypto library refused to sign. Nothing is lost: the client tries again and gets the same grant.
    #[error("signing")]
    Signing,
    /// The store failed.
    #[error("store: {0}")]
    Store(StoreError),
    /// The audit log cannot be written, and the operator wants no token without its line.
    #[error("audit_failing")]
    AuditFailing,
}

impl Reason for TokenRefusal {
    fn reason(&self) -> &'static str {
        match self {
            Self::MediaType => "media_type",
            Self::Parameters(error) => error.reason(),
            Self::Client(refusal, _) => refusal.reason(),
            Self::Proof(refusal) => refusal.reason(),
            Self::CodeOfAnotherKey => "code_of_another_key",
            Self::GrantOfAnotherKey => "grant_of_another_key",
            Self::GrantTypeMissing => "grant_type_missing",
            Self::GrantTypeUnknown => "grant_type_unknown",
            Self::GrantTypeNotRegistered => "grant_type_not_registered",
            Self::CodeMissing => "code_missing",
            Self::Code(error) => error.reason(),
            Self::CodeOfAnotherClient => "code_of_another_client",
            Self::RedirectDiffers => "redirect_uri_differs",
            Self::Pkce(error) => error.reason(),
            Self::Target => "target",
            Self::ResourceChanged => "resource_changed",
            Self::CodeReplayed => "code_replayed",
            Self::SecondCode => "second_code",
            Self::Withdrawn => "withdrawn",
            Self::DeviceCodeMissing => "device_code_missing",
            Self::DeviceCode(error) => error.reason(),
            Self::DeviceCodeOfAnotherClient => "device_code_of_another_client",
            Self::Pending => "authorization_pending",
            Self::SlowDown => "slow_down",
            Self::DeviceDenied => "device_denied",
            Self::DeviceSpoiled => "device_spoiled",
            Self::RefreshMissing => "refresh_token_missing",
            Self::Refresh(error) => error.reason(),
            Self::GrantMissing => "grant_missing",
            Self::RefreshOfAnotherClient => "refresh_token_of_another_client",
            Self::Revoked => "revoked",
            Self::ReceiverBlocked => "receiver_blocked",
            Self::KeyNotProven => "key_not_proven",
            Self::Idle => "idle",
            Self::Outlived => "outlived",
            Self::TooOften(_) => "too_often",
            Self::Scope => "scope",
            Self::Details => "authorization_details",
            Self::DetailsUnreadable => "authorization_details_unreadable",
            Self::ResourceMissing => "resource_missing",
            Self::ResourceNotAllowed => "resource_not_allowed",
            Self::ScopeNotAllowed => "scope_not_allowed",
            Self::Assertion(refusal) => refusal.reason(),
            Self::RefreshReused => "refresh_reused",
            Self::Exchange(refusal) => refusal.reason(),
            Self::CrossDomain(refusal) => refusal.reason(),
            Self::Signing => "signing",
            Self::Store(_) => "store",
            Self::AuditFailing => "audit_failing",
        }
    }
}

impl From<StoreError> for TokenRefusal {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<ExchangeRefusal> for TokenRefusal {
    fn from(refusal: ExchangeRefusal) -> Self {
        Self::Exchange(refusal)
    }
}

impl TokenRefusal {
    /// What the client learns: a rule more does not compile until somebody decides it here.
    fn refusal(&self) -> Refusal {
        use ErrorCode::{
            AccessDenied, AuthorizationPending, InvalidAuthorizationDetails, InvalidClient, InvalidGrant,
            InvalidRequest, InvalidScope, InvalidTarget, SlowDown, TemporarilyUnavailable,
            UnauthorizedClient, UnsupportedGrantType,
        };
        let (code, description) = match self {
            Self::Client(refusal, by_header) => return refusal.refusal(*by_header),
            Self::Assertion(refusal) => return refusal.refusal(),
            Self::CrossDomain(refusal) => return refusal.refusal(),
            Self::Proof(refusal) => return refusal.refusal(),
            Self::CodeOfAnotherKey => {
                (InvalidGrant, "the authorization code is bound to a key: send the DPoP proof of that key")
            }
            Self::GrantOfAnotherKey => {
                (InvalidGrant, "the grant is bound to another key than that of the DPoP proof: sign in again")
            }
            Self::TooOften(wait) => return too_often(*wait),
            Self::MediaType => (InvalidRequest, "send application/x-www-form-urlencoded"),
            Self::Parameters(ParameterError::TooLarge) => (InvalidRequest, "the request is too large"),
            Self::Parameters(ParameterError::Malformed) => {
                (InvalidRequest, "a parameter is not valid percent-encoded UTF-8")
            }
            Self::Parameters(ParameterError::Duplicate(_)) => {
                (InvalidRequest, "a parameter occurs more than once")
            }
            Self::ReceiverBlocked => (InvalidClient, "this client is not allowed here"),
            Self::KeyNotProven => {
                (InvalidClient, "this grant was opened with the client's key: sign a client assertion")
            }
            Self::GrantTypeMissing => (InvalidRequest, "grant_type is required"),
            Self::GrantTypeUnknown => (UnsupportedGrantType, "the metadata lists what is offered here"),
            Self::GrantTypeNotRegistered => (UnauthorizedClient, "this client may not use this grant type"),
            Self::Exchange(refusal) => (InvalidRequest, refusal.description()),
            Self::CodeMissing => (InvalidRequest, "code is required"),
            Self::Pkce(PkceError::VerifierMissing) => (InvalidRequest, "code_verifier is required"),
            Self::DeviceCodeMissing => (InvalidRequest, "device_code is required"),
            Self::Pending => (AuthorizationPending, "nobody has decided yet: poll again after the interval"),
            Self::SlowDown => (SlowDown, "poll less often: the interval is 5 seconds longer from now on"),
            Self::DeviceDenied => (AccessDenied, "the person declined"),
            Self::DeviceCode(error) => of_device_code(*error),
            Self::DeviceSpoiled => of_device_code(DeviceCodeError::Expired),
            Self::DeviceCodeOfAnotherClient => of_device_code(DeviceCodeError::Foreign),
            Self::RefreshMissing => (InvalidRequest, "refresh_token is required"),
            Self::Target => (InvalidTarget, "resource is not the one of the grant"),
            Self::Scope => (InvalidScope, "scope exceeds what was granted"),
            Self::Details => (InvalidAuthorizationDetails, DETAILS),
            Self::ResourceMissing => {
                (InvalidTarget, "resource is required: this client may use several servers")
            }
            Self::ResourceNotAllowed => (InvalidTarget, "resource is not one server that this client may use"),
            Self::ScopeNotAllowed => (InvalidScope, "this client may have none of these scopes there"),
            Self::Code(error) => of_code(*error),
            Self::Signing
            | Self::Store(_)
            | Self::AuditFailing
            // A node that is behind calls nothing wrong: another one may have made it a moment ago.
            | Self::Refresh(RefreshTokenError::KeyNotHere) => {
                (TemporarilyUnavailable, "try again in a moment: nothing was lost")
            }
            Self::CodeOfAnotherClient
            | Self::RedirectDiffers
            | Self::Pkce(_)
            | Self::ResourceChanged
            | Self::CodeReplayed
            | Self::SecondCode => (InvalidGrant, "the authorization code cannot be redeemed: start again"),
            Self::Withdrawn
            | Self::Refresh(_)
            | Self::GrantMissing
            | Self::DetailsUnreadable
            | Self::RefreshOfAnotherClient
            | Self::Revoked
            | Self::Idle
            | Self::Outlived
            | Self::RefreshReused => (InvalidGrant, "the grant has ended: sign in again"),
        };
        Refusal::new(code, description)
    }
}

/// What to do instead.
const DETAILS: &str =
    "ask for authorization_details in a pushed authorization request: tokens keep what the person allowed";

const fn of_code(error: CodeError) -> (ErrorCode, &'static str) {
    match error {
        CodeError::Expired => (ErrorCode::InvalidGrant, "the authorization code has expired: start again"),
        CodeError::KeyNotHere => {
            (ErrorCode::TemporarilyUnavailable, "try again in a moment: nothing was lost")
        }
        CodeError::Foreign | CodeError::Format | CodeError::Future => {
            (ErrorCode::InvalidGrant, "the authorization code cannot be redeemed: start again")
        }
    }
}

const fn too_often(wait: Duration) -> Refusal {
    let refusal = Refusal::new(ErrorCode::TemporarilyUnavailable, "too many refreshes of one grant");
    Refusal { retry_after: Some(wait), ..refusal }
}

const fn of_device_code(error: DeviceCodeError) -> (ErrorCode, &'static str) {
    match error {
        DeviceCodeError::Expired => {
            (ErrorCode::ExpiredToken, "the device code is over: start again for a new one")
        }
        DeviceCodeError::KeyNotHere => {
            (ErrorCode::TemporarilyUnavailable, "try again in a moment: nothing was lost")
        }
        DeviceCodeError::Foreign | DeviceCodeError::Format | DeviceCodeError::Future => {
            (ErrorCode::InvalidGrant, "the device code cannot be used: start again for a new one")
        }
    }
}

/// `POST /token`.
pub async fn token(app: &App, incoming: &Incoming) -> Reply {
    let parameters = match read(incoming) {
        Ok(parameters) => parameters,
        Err(refusal) => return refused(app, incoming, None, &refusal),
    };
    // Here the assertion says who asks, and no client does.
    if jwt_bearer::is_meant(app, &parameters) {
        let reply = match jwt_bearer::grant(app, incoming, &parameters).await {
            Ok(response) => respond::protocol(StatusCode::OK, &response),
            Err(refusal) => refused(app, incoming, None, &refusal),
        };
        return proof::offer_nonce(app, incoming, reply);
    }
    let client = match who(app, incoming, &parameters).await {
        Ok(client) => client,
        Err(refusal) => return refused(app, incoming, None, &refusal),
    };
    let reply = match exchange(app, incoming, &client, &parameters).await {
        Ok(response) => respond::protocol(StatusCode::OK, &response),
        Err(refusal) => refused(app, incoming, Some((&client, &parameters)), &refusal),
    };
    proof::offer_nonce(app, incoming, reply)
}

fn refused(
    app: &App,
    incoming: &Incoming,
    known: Option<(&AuthenticatedClient, &Parameters)>,
    refusal: &TokenRefusal,
) -> Reply {
    if let TokenRefusal::Store(error) = refusal {
        tracing::error!(?error, request = %incoming.cx.request, "token request failed in the store");
    }
    // Nothing was decided, and every waiting device says so every five seconds.
    if matches!(refusal, TokenRefusal::Pending | TokenRefusal::SlowDown) {
        return respond::refused(&refusal.refusal());
    }
    // Which grant it was about, as far as a token of ours says so.
    let grant = known
        .and_then(|(_, parameters)| {
            parameters.get("refresh_token").or_else(|| parameters.get("subject_token"))
        })
        .and_then(|text| RefreshToken::check(&app.keys, text).ok())
        .map(|token| token.grant);
    let client = known.map(|(client, _)| client.id());
    app.audit.record(incoming.cx, Event::token_refused(client, grant, refusal.reason()));
    let reply = respond::refused(&refusal.refusal());
    let only_asks = matches!(refusal, TokenRefusal::Proof(proof) if proof.is_challenge());
    if only_asks { respond::uncounted(reply) } else { reply }
}

fn read(incoming: &Incoming) -> Result<Parameters, TokenRefusal> {
    let parameters = form(incoming).map_err(|refusal| match refusal {
        FormRefusal::MediaType => TokenRefusal::MediaType,
        FormRefusal::Parameters(error) => TokenRefusal::Parameters(error),
    })?;
    // Who asks for less than it has must not get all of it (RFC 9396 §5, §6).
    if parameters.get("authorization_details").is_some() {
        Err(TokenRefusal::Details)
    } else {
        Ok(parameters)
    }
}

async fn who(
    app: &App,
    incoming: &Incoming,
    parameters: &Parameters,
) -> Result<AuthenticatedClient, TokenRefusal> {
    client_auth::authenticate(app, incoming, parameters, Spend::WithTheWrite)
        .await
        .map_err(|(refusal, by_header)| TokenRefusal::Client(refusal, by_header))
}

async fn exchange(
    app: &App,
    incoming: &Incoming,
    client: &AuthenticatedClient,
    parameters: &Parameters,
) -> Result<issue::TokenResponse, TokenRefusal> {
    if app.audit.refuses() {
        return Err(TokenRefusal::AuditFailing);
    }
    let proven = proven(app, incoming)?;
    match parameters.get("grant_type").ok_or(TokenRefusal::GrantTypeMissing)? {
        "authorization_code" | "refresh_token" if !client.is_for_people() => {
            Err(TokenRefusal::GrantTypeNotRegistered)
        }
        "authorization_code" => {
            authorization_code::redeem(app, incoming.cx, client, parameters, proven).await
        }
        crate::device::GRANT_TYPE => device::poll(app, incoming.cx, client, parameters, proven).await,
        "refresh_token" => refresh::refresh(app, incoming.cx, client, parameters, proven).await,
        "client_credentials" => client_credentials::grant(app, incoming.cx, client, parameters, proven).await,
        TOKEN_EXCHANGE if cross_domain::is_meant(parameters) => {
            identity_exchange::exchange(app, incoming.cx, client, parameters, proven).await
        }
        TOKEN_EXCHANGE => exchange::exchange(app, incoming.cx, client, parameters, proven).await,
        _ => Err(TokenRefusal::GrantTypeUnknown),
    }
}

/// The key that the request proves, if it proves one.
fn proven(app: &App, incoming: &Incoming) -> Result<Option<ProvenKey>, TokenRefusal> {
    match proof::read(app, incoming, app.targets.token.as_ref()) {
        Ok(proven) => Ok(proven),
        // Where nobody was told of proofs, a header of this name means nothing. What is bound needs a good one all the same.
        Err(_) if !app.settings.proofs.offered => Ok(None),
        Err(refusal) => Err(TokenRefusal::Proof(refusal)),
    }
}
