//! The answer to a registration (RFC 7591 §3.2.1): written by the server, read by the client.

use serde::{Serialize, Serializer};

use super::{ClientMetadata, MetadataError};
use crate::{
    json::{self, Limits},
    secret::SecretString,
};

/// What a client is called from now on, and what was really registered.
///
/// With a secret, `client_secret_expires_at` has to be present, 0 for never.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClientRegistrationResponse {
    /// Its identifier at this authorization server, and at no other.
    pub client_id: String,
    /// Only with an authentication method that uses one.
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "exposed")]
    pub client_secret: Option<SecretString>,
    /// Seconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id_issued_at: Option<i64>,
    /// Seconds since 1970, 0 for never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_secret_expires_at: Option<i64>,
    /// What was registered, defaults filled in; it may differ from what was asked.
    #[serde(flatten)]
    pub metadata: ClientMetadata,
}

impl ClientRegistrationResponse {
    /// Reads the answer of any authorization server.
    ///
    /// Only `client_id` has to be there. Of the metadata those members are read which change what a client does
    /// next; what is only echoed may have any shape.
    pub fn parse(bytes: &[u8]) -> Result<Self, MetadataError> {
        let members = json::parse_object(bytes, Limits::default())?;
        let text = |name| json::string(&members, name).map(|text| text.filter(|text| !text.is_empty()));
        let owned = |name| text(name).map(|text| text.map(str::to_owned));
        let list = |name| json::strings(&members, name);
        Ok(Self {
            client_id: owned("client_id")?.ok_or(MetadataError::Missing("client_id"))?,
            client_secret: text("client_secret")?.map(SecretString::new),
            client_id_issued_at: json::numeric_date(&members, "client_id_issued_at").unwrap_or_default(),
            client_secret_expires_at: json::numeric_date(&members, "client_secret_expires_at")?,
            metadata: ClientMetadata {
                redirect_uris: list("redirect_uris")?.unwrap_or_default(),
                scope: owned("scope")?,
                grant_types: list("grant_types")?,
                response_types: list("response_types")?,
                token_endpoint_auth_method: owned("token_endpoint_auth_method")?,
                ..ClientMetadata::default()
            },
        })
    }
}

/// The one place where the secret leaves the server.
#[expect(clippy::ref_option, reason = "serde passes a reference to the field")]
fn exposed<S: Serializer>(secret: &Option<SecretString>, serializer: S) -> Result<S::Ok, S::Error> {
    secret.as_ref().map(SecretString::expose).serialize(serializer)
}
