//! Dynamic registration (RFC 7591): packs what was asked for into the id and stores nothing.

use crate::{
    app::App,
    audit::{Event, Reason},
    clients::{
        AuthMethod, Redirects,
        initial_access::{self, InitialAccessError},
        registered::{self, MAX_REDIRECTS, Registration},
    },
    device,
    http::{
        rate_limit::Limited,
        respond::{self, Refusal, Reply},
    },
    router::Incoming,
    settings::RegistrationPolicy,
};
use hallpass_core::{
    error::ErrorCode,
    json::{self, Limits},
    metadata::{client::ClientMetadata, registration::ClientRegistrationResponse},
    uri::RedirectUri,
};
use http::StatusCode;

/// Broken rules of a registration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RegisterRefusal {
    Closed,
    TokenMissing,
    TokenWrong(InitialAccessError),
    TooMany(std::time::Duration),
    MediaType,
    NotAnObject,
    Metadata,
    NoRedirects,
    TooManyRedirects,
    UnusableRedirects,
    Redirect(hallpass_core::uri::UriError),
    AuthMethod,
    KeysNeedDocument,
    GrantTypes,
    ResponseTypes,
    SoftwareStatement,
    KeysAndAddress,
}

impl Reason for RegisterRefusal {
    fn reason(&self) -> &'static str {
        match self {
            Self::Closed => "registration_closed",
            Self::TokenMissing => "initial_access_missing",
            Self::TokenWrong(InitialAccessError::Foreign) => "initial_access_foreign",
            Self::TokenWrong(InitialAccessError::Expired) => "initial_access_expired",
            Self::TooMany(_) => "too_many",
            Self::MediaType => "media_type",
            Self::NotAnObject => "not_an_object",
            Self::Metadata => "metadata",
            Self::NoRedirects => "redirect_uris_missing",
            Self::TooManyRedirects => "redirect_uris_too_many",
            Self::UnusableRedirects => "redirect_uris_unusable",
            Self::Redirect(error) => error.reason(),
            Self::AuthMethod => "auth_method",
            Self::KeysNeedDocument => "keys_need_document",
            Self::GrantTypes => "grant_types",
            Self::ResponseTypes => "response_types",
            Self::SoftwareStatement => "software_statement",
            Self::KeysAndAddress => "keys_and_address",
        }
    }
}

impl RegisterRefusal {
    fn refusal(self) -> Refusal {
        use ErrorCode::{
            InvalidClientMetadata, InvalidRedirectUri, InvalidSoftwareStatement, TemporarilyUnavailable,
        };
        let (code, description) = match self {
            Self::Closed => (
                InvalidClientMetadata,
                "registration is not open here: ask who runs this server for a client_id",
            ),
            Self::TokenMissing | Self::TokenWrong(_) => {
                let refusal = Refusal::new(
                    ErrorCode::InvalidToken,
                    "registration takes an initial access token: ask who runs this server for one",
                );
                return Refusal { bearer: true, ..refusal };
            }
            Self::TooMany(wait) => {
                let refusal =
                    Refusal::new(TemporarilyUnavailable, "too many registrations from this address");
                return Refusal { retry_after: Some(wait), ..refusal };
            }
            Self::MediaType => (InvalidClientMetadata, "send application/json"),
            Self::NotAnObject => {
                (InvalidClientMetadata, "the body is not a JSON object without repeated members")
            }
            Self::Metadata => (InvalidClientMetadata, "a member has the wrong type or is too long"),
            Self::NoRedirects => (InvalidRedirectUri, "redirect_uris must list at least one URI"),
            Self::TooManyRedirects => (InvalidRedirectUri, "redirect_uris may list at most 15 URIs"),
            Self::UnusableRedirects => (
                InvalidRedirectUri,
                "none of the redirect_uris can be used: https, http on localhost, 127.0.0.1 or [::1], or a scheme of the app's own; a web application (application_type) has https only",
            ),
            Self::Redirect(_) => (
                InvalidRedirectUri,
                "the redirect URI cannot be used: https, http on localhost, 127.0.0.1 or [::1], or a scheme of the app's own, without fragment and user name",
            ),
            Self::AuthMethod => (
                InvalidClientMetadata,
                "token_endpoint_auth_method must be none, client_secret_basic or client_secret_post",
            ),
            Self::KeysNeedDocument => (
                InvalidClientMetadata,
                "private_key_jwt takes a client ID metadata document, or a client that the operator made",
            ),
            Self::GrantTypes => (
                InvalidClientMetadata,
                "grant_types must include authorization_code or urn:ietf:params:oauth:grant-type:device_code",
            ),
            Self::ResponseTypes => (InvalidClientMetadata, "response_types must include code"),
            Self::SoftwareStatement => (InvalidSoftwareStatement, "software statements are not supported"),
            Self::KeysAndAddress => (InvalidClientMetadata, "jwks and jwks_uri exclude each other"),
        };
        Refusal::new(code, description)
    }
}

/// `POST /register`.
pub async fn register(app: &App, incoming: &Incoming) -> Reply {
    match registration(app, incoming) {
        Ok(response) => {
            let name = response.metadata.client_name.as_deref().unwrap_or_default();
            app.audit.record(incoming.cx, Event::client_registered(&response.client_id, name));
            respond::protocol(StatusCode::CREATED, &response)
        }
        Err(refusal) => {
            app.audit.record(incoming.cx, Event::registration_refused(refusal.reason()));
            respond::refused(&refusal.refusal())
        }
    }
}

fn registration(app: &App, incoming: &Incoming) -> Result<ClientRegistrationResponse, RegisterRefusal> {
    if !app.settings.is_local() {
        let cx = incoming.cx;
        let most = app.settings.limits.for_address(cx.address, app.settings.limits.registrations);
        app.limits.take(Limited::Registration, cx.address, most, cx.now).map_err(RegisterRefusal::TooMany)?;
    }
    may_register(app, incoming)?;
    let content_type =
        incoming.headers.get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !content_type.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json") {
        return Err(RegisterRefusal::MediaType);
    }
    let members =
        json::parse_object(&incoming.body, Limits::default()).map_err(|_| RegisterRefusal::NotAnObject)?;
    if members.contains_key("software_statement") {
        return Err(RegisterRefusal::SoftwareStatement);
    }
    let asked = ClientMetadata::from_members(&members).map_err(|_| RegisterRefusal::Metadata)?;
    if asked.jwks.is_some() && asked.jwks_uri.is_some() {
        return Err(RegisterRefusal::KeysAndAddress);
    }
    let grants = Grants::of(&asked)?;
    let uris = if grants.code { usable_redirects(&asked)? } else { Vec::new() };
    let registration = Registration {
        auth: auth_method(&asked)?,
        refresh: grants.refresh,
        device: grants.device,
        native: native(&asked, &uris),
        pushed_only: asked.require_pushed_authorization_requests.unwrap_or_default(),
        bound: app.settings.proofs.offered && asked.dpop_bound_access_tokens.unwrap_or(false),
        name: crate::clients::display::DisplayName::new(asked.client_name.as_deref().unwrap_or_default())
            .as_str()
            .to_owned(),
        issued_at: incoming.cx.now,
        redirects: Redirects::default(),
    };
    let id = registered::issue(&app.keys, &*app.entropy, &registration, &uris);
    Ok(response(app, id, &registration, &uris))
}

fn may_register(app: &App, incoming: &Incoming) -> Result<(), RegisterRefusal> {
    match app.settings.registration {
        RegistrationPolicy::Open => return Ok(()),
        RegistrationPolicy::Closed => return Err(RegisterRefusal::Closed),
        RegistrationPolicy::WithToken => {}
    }
    let header = incoming.headers.get("authorization").and_then(|value| value.to_str().ok());
    let (scheme, token) =
        header.and_then(|value| value.split_once(' ')).ok_or(RegisterRefusal::TokenMissing)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(RegisterRefusal::TokenMissing);
    }
    initial_access::check(&app.keys, token.trim(), incoming.cx.now).map_err(RegisterRefusal::TokenWrong)
}

/// Keeps the usable ones: Cursor registers three at once, and one that we cannot use must not lose the others (P09).
fn usable_redirects(asked: &ClientMetadata) -> Result<Vec<RedirectUri>, RegisterRefusal> {
    if asked.redirect_uris.is_empty() {
        return Err(RegisterRefusal::NoRedirects);
    }
    if asked.redirect_uris.len() > MAX_REDIRECTS {
        return Err(RegisterRefusal::TooManyRedirects);
    }
    // A web application has no port and no scheme on a person's computer (OpenID Connect Registration §2).
    let web = asked.application_type.as_deref() == Some("web");
    let fits = |uri: &RedirectUri| !web || !(uri.is_loopback() || uri.is_private_use());
    let mut usable = Vec::new();
    for text in &asked.redirect_uris {
        match RedirectUri::parse(text) {
            Ok(uri) if !usable.contains(&uri) && fits(&uri) => usable.push(uri),
            Err(error) if asked.redirect_uris.len() == 1 => return Err(RegisterRefusal::Redirect(error)),
            Ok(_) | Err(_) => {}
        }
    }
    if usable.is_empty() { Err(RegisterRefusal::UnusableRedirects) } else { Ok(usable) }
}

/// The one that was asked for, echoed; RFC 7591 §2 makes `client_secret_basic` the default.
fn auth_method(asked: &ClientMetadata) -> Result<AuthMethod, RegisterRefusal> {
    match asked.token_endpoint_auth_method.as_deref() {
        None => Ok(AuthMethod::SecretBasic),
        Some(name) => match AuthMethod::from_name(name) {
            Some(AuthMethod::PrivateKeyJwt) => Err(RegisterRefusal::KeysNeedDocument),
            Some(method) => Ok(method),
            None => Err(RegisterRefusal::AuthMethod),
        },
    }
}

/// The grant types that are registered.
struct Grants {
    code: bool,
    device: bool,
    refresh: bool,
}

impl Grants {
    /// Unknown grant types are ignored, as real clients list them; without `authorization_code` and without that of
    /// devices nothing is left. A device has no redirect URI to register.
    fn of(asked: &ClientMetadata) -> Result<Self, RegisterRefusal> {
        let lists = |name: &str| asked.grant_types.as_ref().map(|have| have.iter().any(|one| one == name));
        let code = lists("authorization_code").unwrap_or(true);
        let device = lists(device::GRANT_TYPE).unwrap_or_default();
        if !code && !device {
            return Err(RegisterRefusal::GrantTypes);
        }
        if code && asked.response_types.as_ref().is_some_and(|have| !have.iter().any(|one| one == "code")) {
            return Err(RegisterRefusal::ResponseTypes);
        }
        Ok(Self { code, device, refresh: lists("refresh_token").unwrap_or_default() })
    }
}

fn native(asked: &ClientMetadata, uris: &[RedirectUri]) -> bool {
    match asked.application_type.as_deref() {
        Some("web") => false,
        Some("native") => true,
        Some(_) | None => uris.iter().all(|uri| uri.is_private_use() || uri.is_loopback()),
    }
}

fn response(
    app: &App,
    id: String,
    registration: &Registration,
    uris: &[RedirectUri],
) -> ClientRegistrationResponse {
    let secret =
        (registration.auth != AuthMethod::None).then(|| registered::secret(&app.keys, &id)).flatten();
    let mut grant_types = Vec::new();
    if !uris.is_empty() {
        grant_types.push("authorization_code".to_owned());
    }
    if registration.device {
        grant_types.push(device::GRANT_TYPE.to_owned());
    }
    if registration.refresh {
        grant_types.push("refresh_token".to_owned());
    }
    ClientRegistrationResponse {
        client_id: id,
        client_id_issued_at: Some(registration.issued_at.seconds()),
        client_secret_expires_at: secret.as_ref().map(|_| 0),
        client_secret: secret,
        metadata: ClientMetadata {
            redirect_uris: uris.iter().map(|uri| uri.as_str().to_owned()).collect(),
            client_name: (!registration.name.is_empty()).then(|| registration.name.clone()),
            grant_types: Some(grant_types),
            response_types: Some(if uris.is_empty() { Vec::new() } else { vec!["code".to_owned()] }),
            token_endpoint_auth_method: Some(registration.auth.name().to_owned()),
            require_pushed_authorization_requests: registration.pushed_only.then_some(true),
            dpop_bound_access_tokens: registration.bound.then_some(true),
            application_type: Some(if registration.native { "native" } else { "web" }.to_owned()),
            ..ClientMetadata::default()
        },
    }
}
