//! The device grant (RFC 8628): this program shows letters, and a person allows it in a browser elsewhere.

use crate::{
    browser::{BrowserError, PageUrl},
    discovery::AuthorizationServer,
    peer::{Failure, PeerText},
    storage::{ClientCredentials, TokenAuth, Tokens},
    token::{Asked, TokenError, form_post, members_of, read_tokens},
};
use bytes::Bytes;
use hallpass_core::{json, scope::Scope, secret::SecretString, time::Timestamp};
use http::{Request, Response};
use serde_json::{Map, Value};
use std::time::Duration;

/// RFC 8628 §3.4.
pub const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";
/// Where the server names no interval (RFC 8628 §3.2), and what `slow_down` adds (§3.5).
const FIVE_SECONDS: Duration = Duration::from_secs(5);
/// Nobody is asked less often than that.
const LONGEST_INTERVAL: u64 = 60;
/// A longer life is a mistake, or a trick to keep this program polling.
const LONGEST_LIFE: u64 = 60 * 60;
/// Longest user code that a person types.
const LONGEST_CODE: usize = 32;

/// Why a device does not get in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeviceError {
    /// The server names no place for it, or the request cannot be written.
    #[error("the authorization server does not offer sign-in with a code on another device")]
    NotOffered,
    /// The page that a person would be sent to is none.
    #[error(transparent)]
    Page(#[from] BrowserError),
    /// `invalid_client` or `unauthorized_client`: it does not know this client, or not for this.
    #[error("the authorization server does not know this client (any more)")]
    InvalidClient,
    /// `invalid_target` (RFC 8707 §2).
    #[error("the authorization server does not issue tokens for this server (invalid_target)")]
    InvalidTarget,
    /// `invalid_scope`.
    #[error("the authorization server does not grant these scopes")]
    InvalidScope,
    /// `access_denied`: the person said no. Not asked again by itself (CL-080).
    #[error("the permission was not given")]
    Denied,
    /// `expired_token`, or nobody typed the code in time.
    #[error("the code has expired: start again for a new one")]
    Expired,
    /// It may work later.
    #[error("the authorization server is not able to answer at the moment")]
    Unavailable,
    /// A redirect. Not followed (CL-056).
    #[error("the authorization server answered with a redirect, which is not followed")]
    Redirect,
    /// Any other refusal.
    #[error("the authorization server refused the request")]
    Refused,
    /// Success without a usable answer.
    #[error("the authorization server's answer cannot be read")]
    Malformed,
}

/// Asks for a code (RFC 8628 §3.1), for a resource as at any other request.
///
/// # Errors
/// `NotOffered`.
pub fn device_request(
    server: &AuthorizationServer,
    client: &ClientCredentials,
    resource: &str,
    scope: &Scope,
) -> Result<Request<Bytes>, DeviceError> {
    let endpoint = server.device_authorization_endpoint.as_ref().ok_or(DeviceError::NotOffered)?;
    let scope = scope.to_string();
    let mut parameters = vec![("resource", resource)];
    if !scope.is_empty() {
        parameters.push(("scope", &scope));
    }
    // The other methods write it themselves; it is part of the request in any case.
    if client.auth == TokenAuth::Basic {
        parameters.push(("client_id", &client.client_id));
    }
    form_post(endpoint.as_str(), client, &parameters).map_err(|_| DeviceError::NotOffered)
}

/// What a person is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DevicePrompt {
    /// To be typed, cleaned of everything that acts on a terminal.
    pub user_code: PeerText,
    /// The page to open on another device.
    pub page: PageUrl,
    /// The same with the code in it, for a QR code.
    pub complete: Option<PageUrl>,
    /// For how long.
    pub lifetime: Duration,
}

/// An answered request: what to show, and how to poll.
#[derive(Clone, Debug)]
pub struct DeviceAuthorization {
    /// What to show.
    pub prompt: DevicePrompt,
    device_code: SecretString,
    interval: Duration,
}

/// What a poll brought.
#[derive(Clone, Debug)]
pub enum Polled {
    /// Tokens.
    Tokens(Box<Tokens>),
    /// Nobody has decided yet.
    NotYet,
}

/// Reads the answer (RFC 8628 §3.2).
///
/// # Errors
/// `InvalidClient`, `InvalidTarget`, `InvalidScope`, `Unavailable`, `Redirect`, `Refused`, `Malformed`, `Page`.
pub fn read_device(response: &Response<Bytes>) -> Result<DeviceAuthorization, Failure<DeviceError>> {
    let members = members_of(response).map_err(of_token)?;
    let text = |name| json::string(&members, name).ok().flatten().filter(|text| !text.is_empty());
    let device_code = text("device_code").ok_or(DeviceError::Malformed)?;
    let user_code = text("user_code").filter(|code| code.chars().count() <= LONGEST_CODE);
    let user_code = user_code.and_then(PeerText::of).ok_or(DeviceError::Malformed)?;
    let page = PageUrl::parse(text("verification_uri").ok_or(DeviceError::Malformed)?);
    let page = page.map_err(DeviceError::Page)?;
    // One that could not be opened is left out: there is another way to type it.
    let complete = text("verification_uri_complete").and_then(|url| PageUrl::parse(url).ok());
    let lifetime = seconds(&members, "expires_in").ok_or(DeviceError::Malformed)?.min(LONGEST_LIFE);
    let interval = seconds(&members, "interval").map(|seconds| seconds.clamp(1, LONGEST_INTERVAL));
    Ok(DeviceAuthorization {
        prompt: DevicePrompt { user_code, page, complete, lifetime: Duration::from_secs(lifetime) },
        device_code: SecretString::new(device_code),
        interval: interval.map_or(FIVE_SECONDS, Duration::from_secs),
    })
}

fn seconds(members: &Map<String, Value>, name: &'static str) -> Option<u64> {
    json::numeric_date(members, name).ok().flatten().and_then(|seconds| u64::try_from(seconds).ok())
}

impl DeviceAuthorization {
    /// How long to wait before the next poll.
    pub const fn interval(&self) -> Duration {
        self.interval
    }

    /// The next poll.
    ///
    /// # Errors
    /// `NotOffered`.
    pub fn poll(
        &self,
        server: &AuthorizationServer,
        client: &ClientCredentials,
    ) -> Result<Request<Bytes>, DeviceError> {
        let parameters = [("grant_type", DEVICE_CODE), ("device_code", self.device_code.expose())];
        form_post(server.token_endpoint.as_str(), client, &parameters).map_err(|_| DeviceError::NotOffered)
    }

    /// The way failed: twice as long until the next poll (RFC 8628 §3.5).
    pub fn lost(&mut self) {
        self.interval = (self.interval * 2).min(Duration::from_secs(LONGEST_INTERVAL));
    }

    /// Judges the answer to a poll.
    ///
    /// # Errors
    /// Every variant but `NotOffered` and `Page`.
    pub fn judge(
        &mut self,
        response: &Response<Bytes>,
        asked: Asked<'_>,
        now: Timestamp,
    ) -> Result<Polled, Failure<DeviceError>> {
        let members = json::parse_object(response.body(), json::Limits::default()).ok();
        let code = members.as_ref().and_then(|members| json::string(members, "error").ok().flatten());
        let said = || members.as_ref().and_then(PeerText::of_members);
        match code {
            Some("authorization_pending") => Ok(Polled::NotYet),
            Some("slow_down") => {
                self.interval = (self.interval + FIVE_SECONDS).min(Duration::from_secs(LONGEST_INTERVAL));
                Ok(Polled::NotYet)
            }
            Some("access_denied") => Err(Failure { error: DeviceError::Denied, said: said() }),
            Some("expired_token") => Err(Failure { error: DeviceError::Expired, said: said() }),
            Some(_) | None => {
                let tokens = read_tokens(response, asked, now).map_err(of_token)?;
                Ok(Polled::Tokens(Box::new(tokens)))
            }
        }
    }
}

fn of_token(failure: Failure<TokenError>) -> Failure<DeviceError> {
    let error = match failure.error {
        TokenError::InvalidClient => DeviceError::InvalidClient,
        TokenError::InvalidTarget => DeviceError::InvalidTarget,
        TokenError::InvalidScope => DeviceError::InvalidScope,
        TokenError::InvalidGrant => DeviceError::Expired,
        TokenError::Unavailable { .. } => DeviceError::Unavailable,
        TokenError::Redirect => DeviceError::Redirect,
        TokenError::Malformed
        | TokenError::TokenType
        | TokenError::NotBound
        | TokenError::MoreThanAsked
        | TokenError::Audience => DeviceError::Malformed,
        TokenError::Request | TokenError::Refused | TokenError::SignInAgain => DeviceError::Refused,
    };
    Failure { error, said: failure.said }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::tests::server;
    use hallpass_core::{
        parameters::{Limits, Parameters},
        uri::EndpointUrl,
    };
    use serde_json::json;

    fn answer(status: u16, body: &Value) -> Response<Bytes> {
        Response::builder().status(status).body(Bytes::from(body.to_string())).unwrap()
    }

    fn good() -> Value {
        json!({
            "device_code": "d", "user_code": "WDJB-MJHT", "expires_in": 600, "interval": 5,
            "verification_uri": "https://as.example/device",
            "verification_uri_complete": "https://as.example/device?user_code=WDJB-MJHT",
        })
    }

    fn asked(scope: &Scope) -> Asked<'_> {
        Asked { scope, refresh_token: None, proof_key: None }
    }

    #[test]
    fn as_178_the_request_names_resource_and_scope_and_the_poll_the_code() {
        let mut server = server();
        let client = ClientCredentials { client_id: "c".into(), client_secret: None, auth: TokenAuth::None };
        let scope = Scope::parse("a b").unwrap();
        let refused = device_request(&server, &client, "https://mcp.example/mcp", &scope).unwrap_err();
        assert_eq!(refused, DeviceError::NotOffered);
        server.device_authorization_endpoint = Some(EndpointUrl::parse("https://as.example/da").unwrap());
        let request = device_request(&server, &client, "https://mcp.example/mcp", &scope).unwrap();
        let form = |request: &Request<Bytes>| Parameters::parse(request.body(), Limits::default()).unwrap();
        let sent = form(&request);
        assert_eq!(request.uri(), "https://as.example/da");
        for (name, value) in [("client_id", "c"), ("resource", "https://mcp.example/mcp"), ("scope", "a b")] {
            assert_eq!(sent.all(name).collect::<Vec<_>>(), [value], "{name}");
        }
        let device = read_device(&answer(200, &good())).unwrap();
        let poll = device.poll(&server, &client).unwrap();
        assert_eq!(form(&poll).get("device_code"), Some("d"));
        assert_eq!(form(&poll).get("grant_type"), Some(DEVICE_CODE));
        assert_eq!(poll.uri(), "https://as.example/token");
    }

    #[test]
    fn as_178_t_69_what_a_server_shows_is_bounded_and_cannot_act() {
        let read = |name: &str, value: Value| {
            let mut body = good();
            body[name] = value;
            read_device(&answer(200, &body)).map_err(|failure| failure.error)
        };
        let hostile = read("user_code", json!("AB\u{1b}[2J-\u{202e}CD")).unwrap();
        assert_eq!(hostile.prompt.user_code.as_str(), "AB[2J-CD");
        assert_eq!(read("user_code", json!("x".repeat(33))).unwrap_err(), DeviceError::Malformed);
        for page in ["javascript:alert(1)", "http://as.example/", "https://as.example/$(reboot)"] {
            assert!(matches!(read("verification_uri", json!(page)), Err(DeviceError::Page(_))), "{page}");
        }
        let without = read("verification_uri_complete", json!("file:///etc/passwd")).unwrap();
        assert_eq!(without.prompt.complete, None);
        assert_eq!(read("interval", json!(0)).unwrap().interval, Duration::from_secs(1));
        assert_eq!(read("interval", json!(99_999)).unwrap().interval, Duration::from_mins(1));
        assert_eq!(read("interval", json!(null)).unwrap().interval, FIVE_SECONDS);
        assert_eq!(read("expires_in", json!(9_999_999)).unwrap().prompt.lifetime, Duration::from_hours(1));
        assert_eq!(read("expires_in", json!(null)).unwrap_err(), DeviceError::Malformed);
        for (status, code, error) in [
            (400, "invalid_client", DeviceError::InvalidClient),
            (401, "unauthorized_client", DeviceError::InvalidClient),
            (400, "invalid_scope", DeviceError::InvalidScope),
            (400, "invalid_target", DeviceError::InvalidTarget),
            (503, "", DeviceError::Unavailable),
            (302, "", DeviceError::Redirect),
            (400, "x", DeviceError::Refused),
        ] {
            let refused = read_device(&answer(status, &json!({ "error": code }))).unwrap_err();
            assert_eq!(refused.error, error, "{status} {code}");
        }
    }

    #[test]
    fn as_178_polling_goes_on_slows_down_and_ends() {
        let now = Timestamp::from_seconds(1);
        let scope = Scope::none();
        let mut device = read_device(&answer(200, &good())).unwrap();
        let mut poll = |status: u16, body: Value| {
            let polled = device.judge(&answer(status, &body), asked(&scope), now);
            (polled.map_err(|failure| failure.error), device.interval.as_secs())
        };
        let error = |code: &str| json!({ "error": code });
        assert!(matches!(poll(400, error("authorization_pending")), (Ok(Polled::NotYet), 5)));
        assert!(matches!(poll(400, error("slow_down")), (Ok(Polled::NotYet), 10)));
        assert!(matches!(poll(400, error("slow_down")), (Ok(Polled::NotYet), 15)));
        for (code, end) in [
            ("access_denied", DeviceError::Denied),
            ("expired_token", DeviceError::Expired),
            ("invalid_grant", DeviceError::Expired),
            ("invalid_client", DeviceError::InvalidClient),
        ] {
            assert_eq!(poll(400, error(code)).0.unwrap_err(), end, "{code}");
        }
        let tokens = json!({ "access_token": "t", "token_type": "Bearer", "expires_in": 60 });
        assert!(matches!(poll(200, tokens), (Ok(Polled::Tokens(_)), 15)));
        device.lost();
        assert_eq!(device.interval(), Duration::from_secs(30));
    }
}
