//! The only place that mints tokens.

use super::TokenRefusal;
use crate::app::App;
use hallpass_core::{
    authorization_details::AuthorizationDetails,
    entropy::{self, IdEntropy},
    id::GrantId,
    jwt::{
        AccessToken, GrantReference,
        identity_assertion::{self, IdentityAssertion},
    },
    scope::Scope,
    secret::SecretString,
    time::Timestamp,
    token::RefreshToken,
};
use serde::{Serialize, Serializer};
use std::time::Duration;

/// What a token is minted from: a grant whose write has been answered, or what an operator lets a machine have.
pub struct Issued<'a> {
    /// The grant, or an id without a row.
    pub grant: GrantId,
    /// `sub`: the person, or the client where there is none.
    pub subject: String,
    /// The person's epoch at consent; 0 for a machine.
    pub epoch: u32,
    /// `client_id`.
    pub client_id: &'a str,
    /// `aud`.
    pub resource: &'a str,
    /// `scope` of the access token.
    pub scope: &'a Scope,
    /// Generation of the refresh token that goes with it.
    pub generation: u32,
    /// When the grant ends whatever happens: no token outlives it.
    pub ends_at: Timestamp,
    /// Whether to hand out the refresh token.
    pub refresh: bool,
    /// The key that the access token is bound to.
    pub key: Option<[u8; 32]>,
    /// `act`: who acts for the subject, the one who acts now first.
    pub actors: &'a [String],
    /// Which tools it is for; all that the scope allows where there are none.
    pub details: Option<&'a AuthorizationDetails>,
}

/// The answer of the token endpoint (RFC 6749 §5.1).
#[derive(Serialize)]
pub struct TokenResponse {
    #[serde(serialize_with = "expose")]
    access_token: SecretString,
    #[serde(skip_serializing_if = "Option::is_none")]
    issued_token_type: Option<&'static str>,
    token_type: &'static str,
    expires_in: u64,
    #[serde(serialize_with = "expose_some", skip_serializing_if = "Option::is_none")]
    refresh_token: Option<SecretString>,
    scope: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    authorization_details: Option<AuthorizationDetails>,
}

/// Mints the access token and, where due, the refresh token.
pub fn issue(app: &App, issued: &Issued<'_>, now: Timestamp) -> Result<TokenResponse, TokenRefusal> {
    // In whole seconds, as the token says it; none lives for 0.
    let left = issued.ends_at.since(now).as_secs().max(1);
    let lifetime = app.settings.access_token_lifetime.min(Duration::from_secs(left));
    let scope = issued.scope.to_string();
    let token = AccessToken {
        issuer: app.settings.issuer.as_str().to_owned(),
        subject: issued.subject.clone(),
        audience: issued.resource.to_owned(),
        client_id: issued.client_id.to_owned(),
        issued_at: now,
        expires_at: now.plus(lifetime),
        scope: Some(scope.clone()),
        grant: GrantReference {
            grant: issued.grant,
            generation: issued.generation,
            epoch: issued.epoch,
            // It tells tokens apart and is no secret.
            salt: entropy::random(&IdEntropy),
        },
        key_thumbprint: issued.key,
        actors: issued.actors.to_vec(),
        details: issued.details.cloned(),
    };
    let refresh = RefreshToken { grant: issued.grant, generation: issued.generation };
    Ok(TokenResponse {
        access_token: app.tokens.current().signer.sign(&token).map_err(|_| TokenRefusal::Signing)?,
        token_type: if issued.key.is_some() { "DPoP" } else { "Bearer" },
        issued_token_type: None,
        expires_in: lifetime.as_secs(),
        refresh_token: issued.refresh.then(|| refresh.mint(&app.keys)),
        scope,
        authorization_details: token.details,
    })
}

/// Signs an identity assertion. It is no access token, and the answer says so (RFC 8693 §2.2.1).
pub fn assert(app: &App, assertion: &IdentityAssertion<'_>) -> Result<TokenResponse, TokenRefusal> {
    let keys = app.tokens.current();
    Ok(TokenResponse {
        access_token: assertion.sign(keys.signer.key()).map_err(|_| TokenRefusal::Signing)?,
        token_type: "N_A",
        authorization_details: None,
        issued_token_type: Some(identity_assertion::TOKEN_TYPE),
        expires_in: assertion.expires_at.since(assertion.issued_at).as_secs(),
        refresh_token: None,
        scope: assertion.scope.to_owned(),
    })
}

impl TokenResponse {
    /// As the answer to an exchange, which says what kind of token it gives (RFC 8693 §2.2.1).
    pub fn of_type(self, kind: &'static str) -> Self {
        Self { issued_token_type: Some(kind), ..self }
    }
}

fn expose<S: Serializer>(secret: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose())
}

#[allow(clippy::ref_option, reason = "the signature that serde calls")]
fn expose_some<S: Serializer>(secret: &Option<SecretString>, serializer: S) -> Result<S::Ok, S::Error> {
    match secret {
        Some(secret) => expose(secret, serializer),
        None => serializer.serialize_none(),
    }
}
