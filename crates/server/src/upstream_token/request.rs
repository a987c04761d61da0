//! What the other authorization server is asked, and with which word of ours about who calls.

use super::settings::{UpstreamTokenSettings, Way};
use crate::app::App;
use bytes::Bytes;
use hallpass_client::{machine::Asking, token::TokenError};
use hallpass_core::{
    entropy,
    jwt::{
        caller_assertion::{Caller, LIFETIME, Terms},
        grant_assertion::GRANT_TYPE,
        identity_assertion::IdentityAssertion,
    },
    secret::SecretString,
    time::Timestamp,
};
use http::Request;

const EXCHANGE: &str = crate::TOKEN_EXCHANGE;
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// Our word about the caller, for this server and a minute. Nothing of the client's is in it: its token never leaves us.
pub(super) fn assertion(
    app: &App,
    settings: &UpstreamTokenSettings,
    caller: &Caller<'_>,
    now: Timestamp,
) -> Option<SecretString> {
    let (keys, expires_at) = (app.tokens.current(), now.plus(LIFETIME));
    let (issuer, audience) = (app.settings.issuer.as_str(), settings.issuer.as_str());
    match settings.way {
        Way::Exchange => {
            keys.callers.sign(caller, &Terms { issuer, audience, issued_at: now, expires_at }).ok()
        }
        Way::IdentityAssertion => {
            let scope = settings.scope.to_string();
            let assertion = IdentityAssertion {
                issuer,
                subject: caller.subject,
                audience,
                client_id: &settings.client.client_id,
                issued_at: now,
                expires_at,
                token_id: entropy::random(&*app.entropy),
                resources: settings.resource.iter().map(String::as_str).collect(),
                scope: &scope,
                key_thumbprint: None,
            };
            assertion.sign(keys.signer.key()).ok()
        }
    }
}

/// The request (RFC 8693 §2.1, RFC 7523 §2.1).
pub(super) fn request(
    app: &App,
    settings: &UpstreamTokenSettings,
    assertion: &SecretString,
    now: Timestamp,
) -> Result<Request<Bytes>, TokenError> {
    let scope = settings.scope.to_string();
    let mut form = match settings.way {
        Way::Exchange => vec![
            ("grant_type", EXCHANGE),
            ("subject_token", assertion.expose()),
            ("subject_token_type", JWT),
            ("requested_token_type", ACCESS_TOKEN),
        ],
        Way::IdentityAssertion => vec![("grant_type", GRANT_TYPE), ("assertion", assertion.expose())],
    };
    let more = [("audience", settings.audience.as_deref()), ("resource", settings.resource.as_deref())];
    form.extend(more.into_iter().filter_map(|(name, value)| Some((name, value?))));
    if !scope.is_empty() {
        form.push(("scope", &scope));
    }
    let asking = Asking {
        endpoint: settings.token_endpoint.as_str(),
        issuer: settings.issuer.as_str(),
        client: &settings.client,
        key: settings.key.as_ref(),
    };
    asking.post(&form, (now, &*app.entropy))
}
