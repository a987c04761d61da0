//! Authorization server metadata: what ours publishes, and what a client reads of others (RFC 8414).

use serde::Serialize;
use serde_json::{Map, Value};
use url::Url;

use super::MetadataError;
use crate::{
    json::{self, Limits},
    uri::{EndpointUrl, Issuer},
};

/// The metadata document of an authorization server (RFC 8414 §2). Absent members are not written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AuthorizationServerMetadata {
    /// The issuer identifier, as written in configuration.
    pub issuer: String,
    /// Where people are sent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorization_endpoint: Option<String>,
    /// Where grants become tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_endpoint: Option<String>,
    /// RFC 7591.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registration_endpoint: Option<String>,
    /// RFC 7009.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revocation_endpoint: Option<String>,
    /// RFC 7662.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub introspection_endpoint: Option<String>,
    /// RFC 8628 §4.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub device_authorization_endpoint: Option<String>,
    /// RFC 9126 §5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pushed_authorization_request_endpoint: Option<String>,
    /// RFC 9126 §5. Absent is `false`.
    #[serde(skip_serializing_if = "is_false")]
    pub require_pushed_authorization_requests: bool,
    /// The keys of our tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwks_uri: Option<String>,
    /// Scopes, `offline_access` among them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scopes_supported: Option<Vec<String>>,
    /// Required; `["code"]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_types_supported: Option<Vec<String>>,
    /// Absent is `["query", "fragment"]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_modes_supported: Option<Vec<String>>,
    /// Absent is `["authorization_code", "implicit"]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grant_types_supported: Option<Vec<String>>,
    /// Absent is `["client_secret_basic"]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_endpoint_auth_methods_supported: Option<Vec<String>>,
    /// Required with `private_key_jwt`; never `none`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_endpoint_auth_signing_alg_values_supported: Option<Vec<String>>,
    /// Absent is `["client_secret_basic"]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revocation_endpoint_auth_methods_supported: Option<Vec<String>>,
    /// Required with `private_key_jwt` at the revocation endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revocation_endpoint_auth_signing_alg_values_supported: Option<Vec<String>>,
    /// Absent says nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub introspection_endpoint_auth_methods_supported: Option<Vec<String>>,
    /// Required with `private_key_jwt` at the introspection endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub introspection_endpoint_auth_signing_alg_values_supported: Option<Vec<String>>,
    /// `["S256"]`; without it MCP clients refuse.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code_challenge_methods_supported: Option<Vec<String>>,
    /// RFC 9207 §3. Absent is `false`.
    #[serde(skip_serializing_if = "is_false")]
    pub authorization_response_iss_parameter_supported: bool,
    /// draft-ietf-oauth-client-id-metadata-document-01 §4. Absent is `false`.
    #[serde(skip_serializing_if = "is_false")]
    pub client_id_metadata_document_supported: bool,
    /// RFC 9449 §5.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dpop_signing_alg_values_supported: Option<Vec<String>>,
    /// Profiles of identity assertions (draft-ietf-oauth-identity-assertion-authz-grant §7.2).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorization_grant_profiles_supported: Option<Vec<String>>,
    /// Kinds of tokens that are given for use at other authorization servers (the same draft, §7.1).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity_chaining_requested_token_types_supported: Option<Vec<String>>,
    /// RFC 9728 §4.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protected_resources: Option<Vec<String>>,
    /// RFC 9396 §10.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorization_details_types_supported: Option<Vec<String>>,
    /// `["public"]`: required by readers that take the document for OpenID Connect's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject_types_supported: Option<Vec<String>>,
    /// Required by the same readers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id_token_signing_alg_values_supported: Option<Vec<String>>,
    /// For developers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service_documentation: Option<String>,
    /// Languages of the pages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ui_locales_supported: Option<Vec<String>>,
    /// Rules for clients.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub op_policy_uri: Option<String>,
    /// Terms for clients.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub op_tos_uri: Option<String>,
}

/// The URL that the metadata of this issuer gives under a name, for whoever needs one endpoint of a server that may have written
/// the rest in its own way. The document has to be the issuer's own, compared as written (RFC 8414 §3.3).
pub fn endpoint_of(issuer: &str, document: &[u8], name: &'static str) -> Option<Url> {
    let members = json::parse_object(document, Limits { bytes: document.len(), ..Limits::default() }).ok()?;
    if json::string(&members, "issuer").ok()? != Some(issuer) {
        return None;
    }
    json::string(&members, name).ok()??.parse().ok()
}

impl AuthorizationServerMetadata {
    /// Reads the document that was found for an issuer.
    ///
    /// Its `issuer` has to be the very same text (RFC 8414 §3.3): a hostile server that lists the authorization
    /// endpoint of an honest one beside a token endpoint of its own would receive that one's codes.
    pub fn parse(bytes: &[u8], expected_issuer: &str) -> Result<Self, MetadataError> {
        let metadata = Self::parse_unverified(bytes)?;
        if metadata.issuer == expected_issuer { Ok(metadata) } else { Err(MetadataError::IssuerMismatch) }
    }

    /// Reads a document without knowing whose it should be. Only for showing what it says.
    pub fn parse_unverified(bytes: &[u8]) -> Result<Self, MetadataError> {
        let members = json::parse_object(bytes, Limits::default())?;
        let metadata = Self::pick(&members)?;
        Issuer::parse(&metadata.issuer).map_err(|_| MetadataError::Issuer)?;
        Ok(metadata)
    }

    fn pick(members: &Map<String, Value>) -> Result<Self, MetadataError> {
        let text = |name| json::string(members, name).map(|text| text.map(str::to_owned));
        let list = |name| json::strings(members, name);
        let flag = |name| json::boolean(members, name).map(Option::unwrap_or_default);
        let endpoint = |name| -> Result<Option<String>, MetadataError> {
            let Some(url) = json::string(members, name)? else { return Ok(None) };
            EndpointUrl::parse(url).map_err(|_| MetadataError::Endpoint(name))?;
            Ok(Some(url.to_owned()))
        };
        Ok(Self {
            issuer: text("issuer")?.ok_or(MetadataError::Missing("issuer"))?,
            authorization_endpoint: endpoint("authorization_endpoint")?,
            token_endpoint: endpoint("token_endpoint")?,
            registration_endpoint: endpoint("registration_endpoint")?,
            revocation_endpoint: endpoint("revocation_endpoint")?,
            introspection_endpoint: endpoint("introspection_endpoint")?,
            device_authorization_endpoint: endpoint("device_authorization_endpoint")?,
            pushed_authorization_request_endpoint: endpoint("pushed_authorization_request_endpoint")?,
            require_pushed_authorization_requests: flag("require_pushed_authorization_requests")?,
            jwks_uri: endpoint("jwks_uri")?,
            scopes_supported: list("scopes_supported")?,
            response_types_supported: list("response_types_supported")?,
            response_modes_supported: list("response_modes_supported")?,
            grant_types_supported: list("grant_types_supported")?,
            token_endpoint_auth_methods_supported: list("token_endpoint_auth_methods_supported")?,
            token_endpoint_auth_signing_alg_values_supported: list(
                "token_endpoint_auth_signing_alg_values_supported",
            )?,
            revocation_endpoint_auth_methods_supported: list("revocation_endpoint_auth_methods_supported")?,
            revocation_endpoint_auth_signing_alg_values_supported: list(
                "revocation_endpoint_auth_signing_alg_values_supported",
            )?,
            introspection_endpoint_auth_methods_supported: list(
                "introspection_endpoint_auth_methods_supported",
            )?,
            introspection_endpoint_auth_signing_alg_values_supported: list(
                "introspection_endpoint_auth_signing_alg_values_supported",
            )?,
            code_challenge_methods_supported: list("code_challenge_methods_supported")?,
            authorization_response_iss_parameter_supported: flag(
                "authorization_response_iss_parameter_supported",
            )?,
            client_id_metadata_document_supported: flag("client_id_metadata_document_supported")?,
            dpop_signing_alg_values_supported: list("dpop_signing_alg_values_supported")?,
            authorization_grant_profiles_supported: list("authorization_grant_profiles_supported")?,
            identity_chaining_requested_token_types_supported: list(
                "identity_chaining_requested_token_types_supported",
            )?,
            protected_resources: list("protected_resources")?,
            authorization_details_types_supported: list("authorization_details_types_supported")?,
            subject_types_supported: list("subject_types_supported")?,
            id_token_signing_alg_values_supported: list("id_token_signing_alg_values_supported")?,
            service_documentation: text("service_documentation")?,
            ui_locales_supported: list("ui_locales_supported")?,
            op_policy_uri: text("op_policy_uri")?,
            op_tos_uri: text("op_tos_uri")?,
        })
    }

    /// Whether `S256` is listed. A client goes no further where it is not, even if the list is absent, because
    /// then nobody knows whether the challenge is looked at (CL-011).
    pub fn supports_s256(&self) -> bool {
        contains(self.code_challenge_methods_supported.as_deref(), "S256", &[])
    }

    /// Whether a client may authenticate so at the token endpoint; absent means `client_secret_basic` only.
    pub fn supports_auth_method(&self, method: &str) -> bool {
        contains(self.token_endpoint_auth_methods_supported.as_deref(), method, &["client_secret_basic"])
    }

    /// Whether a grant type is offered; absent means `authorization_code` and `implicit`.
    pub fn supports_grant_type(&self, grant_type: &str) -> bool {
        contains(self.grant_types_supported.as_deref(), grant_type, &["authorization_code", "implicit"])
    }

    /// Whether a scope is listed; an absent list lists nothing.
    pub fn lists_scope(&self, scope: &str) -> bool {
        contains(self.scopes_supported.as_deref(), scope, &[])
    }
}

fn contains(list: Option<&[String]>, wanted: &str, default: &[&str]) -> bool {
    list.map_or_else(|| default.contains(&wanted), |list| list.iter().any(|each| each == wanted))
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
pub(super) const fn is_false(flag: &bool) -> bool {
    !*flag
}
