//! Protected resource metadata: what a guarded server says of itself (RFC 9728).

use serde::Serialize;

use super::{MetadataError, authorization_server::is_false, well_known};
use crate::{
    json::{self, Limits},
    uri::{EndpointUrl, Issuer, ResourceUri},
};

/// The metadata document of a protected resource (RFC 9728 §2). Absent members are not written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ProtectedResourceMetadata {
    /// The resource identifier: the exact URL that people type into their client.
    pub resource: String,
    /// Issuer identifiers, best first. As read they are unverified.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub authorization_servers: Vec<String>,
    /// The least that is useful, never `offline_access` (RS-004).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scopes_supported: Option<Vec<String>>,
    /// `["header"]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bearer_methods_supported: Option<Vec<String>>,
    /// Keys of the resource, not of the authorization server.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwks_uri: Option<String>,
    /// A name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_name: Option<String>,
    /// A page for developers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resource_documentation: Option<String>,
    /// RFC 9396: the types of `authorization_details` that it understands.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorization_details_types_supported: Option<Vec<String>>,
    /// RFC 9449: the algorithms of proofs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dpop_signing_alg_values_supported: Option<Vec<String>>,
    /// Whether only DPoP-bound tokens are taken. Absent is `false`.
    #[serde(skip_serializing_if = "is_false")]
    pub dpop_bound_access_tokens_required: bool,
}

impl ProtectedResourceMetadata {
    /// Reads the document that was found for a server, and refuses one that speaks for another (RFC 9728 §3.3).
    ///
    /// A hostile server could otherwise name an honest one as its `resource` and receive tokens meant for that one.
    pub fn parse(bytes: &[u8], server_url: &str) -> Result<Self, MetadataError> {
        let metadata = Self::parse_unverified(bytes)?;
        if metadata.accepts(server_url) { Ok(metadata) } else { Err(MetadataError::ResourceMismatch) }
    }

    /// Reads a document without knowing whose it should be. Only for showing what it says.
    pub fn parse_unverified(bytes: &[u8]) -> Result<Self, MetadataError> {
        let members = json::parse_object(bytes, Limits::default())?;
        let text = |name| json::string(&members, name).map(|text| text.map(str::to_owned));
        let list = |name| json::strings(&members, name);
        let jwks_uri = text("jwks_uri")?;
        if jwks_uri.as_deref().is_some_and(|url| EndpointUrl::parse(url).is_err()) {
            return Err(MetadataError::Endpoint("jwks_uri"));
        }
        Ok(Self {
            resource: text("resource")?.ok_or(MetadataError::Missing("resource"))?,
            authorization_servers: list("authorization_servers")?.unwrap_or_default(),
            scopes_supported: list("scopes_supported")?,
            bearer_methods_supported: list("bearer_methods_supported")?,
            jwks_uri,
            resource_name: text("resource_name")?,
            resource_documentation: text("resource_documentation")?,
            authorization_details_types_supported: list("authorization_details_types_supported")?,
            dpop_signing_alg_values_supported: list("dpop_signing_alg_values_supported")?,
            dpop_bound_access_tokens_required: json::boolean(&members, "dpop_bound_access_tokens_required")?
                .unwrap_or_default(),
        })
    }

    /// Whether `resource` stands for the server at this URL: the same text, or the same origin and a path that
    /// is a prefix of the server's at a segment boundary. Only scheme and host have no case, and one terminating
    /// slash says nothing.
    pub fn accepts(&self, server_url: &str) -> bool {
        let (Some(resource), Some(server)) = (Place::of(&self.resource), Place::of(server_url)) else {
            return false;
        };
        if resource.origin != server.origin {
            return false;
        }
        let plain = |path: &str| path.strip_suffix('/').unwrap_or(path).to_owned();
        let (above, below) = (plain(resource.path), plain(server.path));
        if above == below && resource.query == server.query {
            return true;
        }
        // `/a/../b` is below `/a` as text only; the server that gets the request may see `/b`.
        resource.query.is_empty()
            && !has_dot_segment(&below)
            && below.strip_prefix(above.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// The authorization servers whose identifiers are such, in their order.
    pub fn issuers(&self) -> impl Iterator<Item = Issuer> {
        self.authorization_servers.iter().filter_map(|issuer| Issuer::parse(issuer).ok())
    }
}

/// A resource identifier in the parts that are compared.
struct Place<'a> {
    origin: String,
    path: &'a str,
    query: &'a str,
}

impl<'a> Place<'a> {
    /// Nothing for what is no resource identifier: user information, a fragment, http to another machine.
    fn of(url: &'a str) -> Option<Self> {
        if url.contains('#') {
            return None;
        }
        let (origin, path, query) = well_known::split(url);
        let origin = origin.to_ascii_lowercase();
        ResourceUri::parse(&format!("{origin}{path}{query}")).ok()?;
        Some(Self { origin, path, query })
    }
}

fn has_dot_segment(path: &str) -> bool {
    path.split('/').any(|segment| {
        let plain = segment.to_ascii_lowercase().replace("%2e", ".");
        plain == "." || plain == ".."
    })
}
