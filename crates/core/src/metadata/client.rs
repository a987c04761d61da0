//! Client metadata: what a client says of itself when it registers (RFC 7591 §2) and in a client ID metadata
//! document (draft-ietf-oauth-client-id-metadata-document-01).

use serde::Serialize;
use serde_json::{Map, Value};
use thiserror::Error;

use crate::{
    json::{self, JsonError, Limits, WrongType},
    uri::{EndpointUrl, RedirectUri},
};

/// Most redirect URIs of one client.
pub const MAX_REDIRECT_URIS: usize = 16;
/// Longest redirect URI, in bytes.
pub const MAX_REDIRECT_URI: usize = 2048;
/// Longest `client_name` that is read, in characters. Pages show far less.
pub const MAX_NAME: usize = 1024;

/// What a client says of itself. Everything in it is its own claim. Absent members are not written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ClientMetadata {
    /// Where responses may go, as written; [`RedirectUri::parse`] has not seen them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub redirect_uris: Vec<String>,
    /// A name for people, as sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_name: Option<String>,
    /// Its home page: https, or http on loopback; any other was left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_uri: Option<String>,
    /// Its picture, in the same way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logo_uri: Option<String>,
    /// Its privacy policy, in the same way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy_uri: Option<String>,
    /// Its terms, in the same way.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tos_uri: Option<String>,
    /// Scopes with spaces between them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<String>,
    /// Absent is `["authorization_code"]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grant_types: Option<Vec<String>>,
    /// Absent is `["code"]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_types: Option<Vec<String>>,
    /// Absent is `client_secret_basic` for a registration, `none` for a document.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_endpoint_auth_method: Option<String>,
    /// Not a standard: ChatGPT's document lists what it can do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_endpoint_auth_methods_supported: Option<Vec<String>>,
    /// The algorithm of its assertions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_endpoint_auth_signing_alg: Option<String>,
    /// `native` or `web` (OpenID Connect Registration §2).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub application_type: Option<String>,
    /// Its public keys. Never together with `jwks_uri`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwks: Option<Value>,
    /// Where its public keys are: https, or http on loopback.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwks_uri: Option<String>,
    /// Names the software, the same for all its installations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub software_id: Option<String>,
    /// Its version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub software_version: Option<String>,
    /// A signed statement. Never trusted as it is: verify it or refuse it (AS-074).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub software_statement: Option<String>,
    /// People to write to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contacts: Option<Vec<String>>,
    /// Whether only requests that it pushed are to be answered (RFC 9126 §6).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub require_pushed_authorization_requests: Option<bool>,
    /// Whether it wants DPoP-bound tokens only (RFC 9449 §5.2).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dpop_bound_access_tokens: Option<bool>,
}

/// Why client metadata is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ClientMetadataError {
    /// Not strict JSON, or not an object.
    #[error("the client metadata is not usable JSON: {0}")]
    Json(#[from] JsonError),
    /// A known member has another type.
    #[error("{0}")]
    WrongType(#[from] WrongType),
    /// More than [`MAX_REDIRECT_URIS`].
    #[error("more than 16 redirect URIs")]
    TooManyRedirectUris,
    /// One is longer than [`MAX_REDIRECT_URI`].
    #[error("a redirect URI is longer than 2048 characters")]
    RedirectUriTooLong,
    /// Longer than [`MAX_NAME`].
    #[error("`client_name` is longer than 1024 characters")]
    NameTooLong,
    /// `jwks` and `jwks_uri` together (RFC 7591 §2).
    #[error("`jwks` and `jwks_uri` exclude each other")]
    BothKeySources,
    /// Not a set of keys (RFC 7517 §5).
    #[error("`jwks` is not a set of keys")]
    KeySet,
    /// A private or symmetric key in `jwks`: it is public now, and whoever reads it is the client.
    #[error("`jwks` contains a private or symmetric key")]
    PrivateKey,
    /// Not https, nor http on loopback.
    #[error("`jwks_uri` is not an https URL")]
    JwksUri,
    /// A document without `client_id`.
    #[error("`client_id` is missing")]
    NoClientId,
    /// The `client_id` of a document is not the URL that led to it.
    #[error("`client_id` is not the URL of the document")]
    ClientIdMismatch,
    /// A document without `client_name`.
    #[error("`client_name` is missing")]
    NoName,
    /// A document in which no redirect URI can be used.
    #[error("`redirect_uris` has no usable redirect URI")]
    NoRedirectUri,
    /// A document with a shared secret: anybody can read it.
    #[error("a metadata document must not contain a client secret")]
    ClientSecret,
    /// A document whose authentication needs a shared secret: there is nobody to share it with.
    #[error("a metadata document must not use a client secret for authentication")]
    SecretAuthMethod,
}

impl ClientMetadata {
    /// Picks the known members of a registration request or a document; others are ignored, those with a language
    /// tag (`client_name#fr`) among them.
    pub fn from_members(members: &Map<String, Value>) -> Result<Self, ClientMetadataError> {
        let text = |name| json::string(members, name).map(|text| text.map(str::to_owned));
        let list = |name| json::strings(members, name);
        let shown = |name| text(name).map(|url| url.filter(|url| EndpointUrl::parse(url).is_ok()));
        let metadata = Self {
            redirect_uris: list("redirect_uris")?.unwrap_or_default(),
            client_name: text("client_name")?,
            client_uri: shown("client_uri")?,
            logo_uri: shown("logo_uri")?,
            policy_uri: shown("policy_uri")?,
            tos_uri: shown("tos_uri")?,
            scope: text("scope")?,
            grant_types: list("grant_types")?,
            response_types: list("response_types")?,
            token_endpoint_auth_method: text("token_endpoint_auth_method")?,
            token_endpoint_auth_methods_supported: list("token_endpoint_auth_methods_supported")?,
            token_endpoint_auth_signing_alg: text("token_endpoint_auth_signing_alg")?,
            application_type: text("application_type")?,
            jwks: json::object(members, "jwks")?.cloned().map(Value::Object),
            jwks_uri: text("jwks_uri")?,
            software_id: text("software_id")?,
            software_version: text("software_version")?,
            software_statement: text("software_statement")?,
            contacts: list("contacts")?,
            require_pushed_authorization_requests: json::boolean(
                members,
                "require_pushed_authorization_requests",
            )?,
            dpop_bound_access_tokens: json::boolean(members, "dpop_bound_access_tokens")?,
        };
        metadata.check_sizes()?;
        metadata.check_keys()?;
        Ok(metadata)
    }

    /// Reads the metadata document of a client (draft-ietf-oauth-client-id-metadata-document-01 §3.1).
    ///
    /// `client_id` has to be the URL as the client sent it, byte for byte: otherwise one document could speak for
    /// another client.
    pub fn parse_document(bytes: &[u8], expected_client_id: &str) -> Result<Self, ClientMetadataError> {
        let members = json::parse_object(bytes, Limits::default())?;
        let client_id = json::string(&members, "client_id")?.ok_or(ClientMetadataError::NoClientId)?;
        if client_id != expected_client_id {
            return Err(ClientMetadataError::ClientIdMismatch);
        }
        if members.contains_key("client_secret") || members.contains_key("client_secret_expires_at") {
            return Err(ClientMetadataError::ClientSecret);
        }
        let metadata = Self::from_members(&members)?;
        let method = metadata.token_endpoint_auth_method.as_deref();
        if method.is_some_and(|method| method.starts_with("client_secret_")) {
            return Err(ClientMetadataError::SecretAuthMethod);
        }
        if metadata.client_name.as_deref().is_none_or(|name| name.trim().is_empty()) {
            return Err(ClientMetadataError::NoName);
        }
        if metadata.usable_redirect_uris().next().is_none() {
            return Err(ClientMetadataError::NoRedirectUri);
        }
        Ok(metadata)
    }

    /// The redirect URIs that a response could be sent to, in their order.
    pub fn usable_redirect_uris(&self) -> impl Iterator<Item = RedirectUri> {
        self.redirect_uris.iter().filter_map(|uri| RedirectUri::parse(uri).ok())
    }

    fn check_sizes(&self) -> Result<(), ClientMetadataError> {
        if self.redirect_uris.len() > MAX_REDIRECT_URIS {
            return Err(ClientMetadataError::TooManyRedirectUris);
        }
        if self.redirect_uris.iter().any(|uri| uri.len() > MAX_REDIRECT_URI) {
            return Err(ClientMetadataError::RedirectUriTooLong);
        }
        if self.client_name.as_deref().is_some_and(|name| name.chars().count() > MAX_NAME) {
            return Err(ClientMetadataError::NameTooLong);
        }
        Ok(())
    }

    fn check_keys(&self) -> Result<(), ClientMetadataError> {
        if self.jwks.is_some() && self.jwks_uri.is_some() {
            return Err(ClientMetadataError::BothKeySources);
        }
        if self.jwks_uri.as_deref().is_some_and(|url| EndpointUrl::parse(url).is_err()) {
            return Err(ClientMetadataError::JwksUri);
        }
        let Some(jwks) = &self.jwks else { return Ok(()) };
        let keys = jwks.get("keys").and_then(Value::as_array).ok_or(ClientMetadataError::KeySet)?;
        for key in keys {
            let members = key.as_object().ok_or(ClientMetadataError::KeySet)?;
            // RFC 7518 §6.2.2, §6.3.2 and §6.4.1.
            let private = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];
            if private.iter().any(|name| members.contains_key(*name))
                || members.get("kty").and_then(Value::as_str) == Some("oct")
            {
                return Err(ClientMetadataError::PrivateKey);
            }
        }
        Ok(())
    }
}

/// A client ID metadata document as a client publishes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClientMetadataDocument {
    /// The URL at which it is published, byte for byte.
    pub client_id: String,
    /// Everything else.
    #[serde(flatten)]
    pub metadata: ClientMetadata,
}

#[cfg(test)]
mod tests;
