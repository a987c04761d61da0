//! `/device_authorization` (RFC 8628 §3.1): a device asks, and gets its own request back, sealed, with letters to show.

use super::INTERVAL;
use crate::{
    app::App,
    audit::{Event, Reason},
    authorize::{
        begin::{self, BeginRefusal},
        rules::{self, AuthorizeRefusal},
    },
    http::respond::{self, Refusal, Reply},
    router::Incoming,
};
use hallpass_core::{
    error::ErrorCode,
    grant::{DEVICE_LIFETIME, DeviceCode, UserCode, digest16},
    id::GrantId,
};
use http::StatusCode;
use serde::Serialize;

/// Every rule that such a request can break.
enum DeviceRefusal {
    /// The operator switched it off.
    Off,
    Begin(BeginRefusal),
    /// The client did not register the grant type.
    NotRegistered,
    Rule(AuthorizeRefusal),
}

impl Reason for DeviceRefusal {
    fn reason(&self) -> &'static str {
        match self {
            Self::Off => "device_authorization_off",
            Self::Begin(refusal) => refusal.reason(),
            Self::NotRegistered => "grant_type_not_registered",
            Self::Rule(refusal) => refusal.reason(),
        }
    }
}

impl DeviceRefusal {
    fn refusal(&self) -> Refusal {
        match self {
            Self::Off => {
                Refusal::new(ErrorCode::UnauthorizedClient, "whoever runs this server switched this off")
            }
            Self::Begin(refusal) => refusal.refusal(),
            Self::NotRegistered => Refusal::new(
                ErrorCode::UnauthorizedClient,
                "the client did not register the grant type urn:ietf:params:oauth:grant-type:device_code",
            ),
            Self::Rule(refusal) => {
                let (code, description) = refusal.code();
                Refusal::new(code, description)
            }
        }
    }
}

/// RFC 8628 §3.2.
#[derive(Serialize)]
struct DeviceAuthorization {
    device_code: String,
    user_code: String,
    verification_uri: String,
    verification_uri_complete: String,
    expires_in: u64,
    interval: u64,
}

/// `POST /device_authorization`.
pub async fn device_authorization(app: &App, incoming: &Incoming) -> Reply {
    match authorization(app, incoming).await {
        Ok(answer) => respond::protocol(StatusCode::OK, &answer),
        Err(refusal) => {
            app.audit.record(incoming.cx, Event::device_refused(refusal.reason()));
            respond::refused(&refusal.refusal())
        }
    }
}

async fn authorization(app: &App, incoming: &Incoming) -> Result<DeviceAuthorization, DeviceRefusal> {
    let begun = begin::begin(app, incoming).await.map_err(DeviceRefusal::Begin)?;
    if !app.settings.device_authorization {
        return Err(DeviceRefusal::Off);
    }
    if !begun.client.device {
        return Err(DeviceRefusal::NotRegistered);
    }
    // The device code has no room for them, and the page no words.
    if begun.request.authorization_details.is_some() {
        return Err(DeviceRefusal::Rule(AuthorizeRefusal::DetailsNotPushed));
    }
    let (resource, scope) =
        rules::target(&begun.request, &app.settings, &begun.client).map_err(DeviceRefusal::Rule)?;
    let now = incoming.cx.now;
    let user_code = UserCode::new(&*app.entropy);
    let code = DeviceCode {
        id: GrantId::new(now, &*app.entropy),
        client: digest16(&begun.client.id),
        resource: digest16(resource.uri.as_str()),
        scope_list: resource.list_digest(),
        scopes: resource.positions(&scope),
        user_code,
        asked_at: now,
    };
    app.audit.record(incoming.cx, Event::device_asked(&begun.client.id));
    let page = app.settings.issuer.endpoint("/device");
    Ok(DeviceAuthorization {
        device_code: code.seal(&app.keys, &*app.entropy).expose().to_owned(),
        user_code: user_code.to_string(),
        verification_uri_complete: format!("{page}?user_code={user_code}"),
        verification_uri: page,
        expires_in: DEVICE_LIFETIME.as_secs(),
        interval: INTERVAL.as_secs(),
    })
}
