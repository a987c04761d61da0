//! From a server's URL to the authorization server that guards it, as questions and answers without I/O.
//!
//! Two probes, each a value: [`ResourceProbe`] finds the protected resource metadata (RFC 9728),
//! [`ServerProbe`] the authorization server metadata (RFC 8414, OpenID Connect Discovery). `ask` says which URL
//! is wanted, `receive` takes the answer and says what comes next. The driver only carries.

mod server;

pub use server::{AuthorizationServer, ServerProbe, ServerStep};

use crate::peer::PeerText;
use hallpass_core::{
    challenge,
    mcp::revision::Revision,
    metadata::{MetadataError, ProtectedResourceMetadata, well_known},
    scope::Scope,
    uri::{EndpointUrl, Issuer, ResourceUri},
};

/// Why discovery ends without an authorization server.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DiscoveryError {
    /// The challenge names metadata on another origin (or not https). Followed, it would let one server make us
    /// send requests anywhere (CL-004).
    #[error("the server names its metadata on another host than its own")]
    ForeignMetadata,
    /// The challenge names metadata that is not there.
    #[error("the server names its metadata at a URL where there is none")]
    NoMetadata,
    /// The protected resource metadata is not usable; most often it speaks for another server (RFC 9728 §3.3).
    #[error("the server's protected resource metadata: {0}")]
    Resource(MetadataError),
    /// No usable `authorization_servers` (CL-005).
    #[error("the server's metadata names no authorization server")]
    NoIssuer,
    /// No metadata at any of the places.
    #[error("the authorization server has no metadata at the places where it should be")]
    NoServerMetadata,
    /// The authorization server's document is not usable; most often its issuer is another (RFC 8414 §3.3).
    #[error("the authorization server's metadata: {0}")]
    Server(MetadataError),
    /// No authorization or token endpoint, or no authorization code grant.
    #[error("the authorization server does not offer sign-in with an authorization code")]
    NoCodeGrant,
    /// No token endpoint, or not the grant that a program without a person needs.
    #[error("the authorization server does not offer this grant")]
    NoMachineGrant,
    /// `code_challenge_methods_supported` is absent or lacks `S256` (CL-011).
    #[error(
        "the authorization server does not say that it checks PKCE (code_challenge_methods_supported: S256)"
    )]
    NoPkce,
    /// RFC 9126 §5.
    #[error(
        "the authorization server requires pushed authorization requests, and its metadata does not say where they go (pushed_authorization_request_endpoint)"
    )]
    NoPushEndpoint,
    /// RFC 9449: `dpop_bound_access_tokens_required`, and proofs are not switched on.
    #[error("the server requires DPoP-bound tokens, and this client was not told to use them")]
    ProofRequired,
}

/// What came for a question. Server errors and failures of the network are not answers: the driver stops there,
/// because "not now" must not be taken for "not there".
#[derive(Clone, Copy, Debug)]
pub enum Answer<'a> {
    /// Status 200 and this body.
    Found(&'a [u8]),
    /// Any 3xx or 4xx.
    Missing,
}

/// What an unauthenticated request to the server brought, as far as it matters here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Challenged {
    /// `resource_metadata` (RFC 9728 §5.1).
    pub resource_metadata: Option<String>,
    /// `scope` (RFC 6750 §3).
    pub scope: Option<Scope>,
    /// `error`.
    pub error: Option<String>,
}

impl Challenged {
    /// From the values of all `WWW-Authenticate` headers. A `Bearer` challenge counts before others; each
    /// parameter is taken from the first challenge that has it (CL-001).
    pub fn from_headers(values: &[&str]) -> Self {
        let mut challenges = challenge::parse(values);
        challenges.sort_by_key(|challenge| !challenge.is("Bearer"));
        let first = |name: &str| challenges.iter().find_map(|challenge| challenge.parameter(name));
        Self {
            resource_metadata: first("resource_metadata").map(str::to_owned),
            scope: first("scope").map(|scope| Scope::of(scope.split(' '))).filter(|scope| !scope.is_empty()),
            error: first("error").map(str::to_owned),
        }
    }
}

/// A question: which URL, and the revision to name in `MCP-Protocol-Version`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ask {
    /// GET this.
    pub url: String,
    /// Servers of 2025-03-26 expect to be told (CL-015).
    pub revision: Revision,
}

/// The validated description of the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProtectedResource {
    /// The resource identifier as the metadata writes it: what every request of the sign-in names (CL-032).
    pub resource: String,
    /// Its authorization servers, in the order given, at least one.
    pub issuers: Vec<Issuer>,
    /// `scopes_supported`.
    pub scopes: Option<Scope>,
    /// What the server calls itself.
    pub name: Option<PeerText>,
    /// `dpop_bound_access_tokens_required` (RFC 9728 §2).
    pub requires_proof: bool,
}

/// Looks for the protected resource metadata.
#[derive(Clone, Debug)]
pub struct ResourceProbe {
    server: ResourceUri,
    named: bool,
    urls: Vec<String>,
}

/// After an answer to a [`ResourceProbe`].
#[derive(Clone, Debug)]
pub enum ResourceStep {
    /// Ask on.
    Again(ResourceProbe),
    /// This is it.
    Found(ProtectedResource),
    /// There is truly none: a server of 2025-03-26 is its own authorization server (CL-015).
    Legacy,
}

impl ResourceProbe {
    /// Where the challenge names a URL, that and nothing else; otherwise the path-inserted well-known location,
    /// then the root (CL-002).
    ///
    /// # Errors
    /// `ForeignMetadata`.
    pub fn new(server: ResourceUri, named: Option<&str>) -> Result<Self, DiscoveryError> {
        let urls = match named {
            Some(url) => {
                let parsed = EndpointUrl::parse(url).map_err(|_| DiscoveryError::ForeignMetadata)?;
                if parsed.parsed().origin() != server.parsed().origin() {
                    return Err(DiscoveryError::ForeignMetadata);
                }
                vec![url.to_owned()]
            }
            None => well_known::protected_resource_urls(server.as_str()),
        };
        Ok(Self { server, named: named.is_some(), urls })
    }

    /// The next question.
    pub fn ask(&self) -> Option<Ask> {
        let url = self.urls.first()?.clone();
        Some(Ask { url, revision: Revision::V2025_11_25 })
    }

    /// Takes the answer to the last question. What is not JSON (a start page that answers everything) counts as
    /// missing; what is metadata and wrong ends everything.
    ///
    /// # Errors
    /// `NoMetadata`, `Resource`, `NoIssuer`.
    pub fn receive(mut self, answer: Answer<'_>) -> Result<ResourceStep, DiscoveryError> {
        if let Answer::Found(body) = answer {
            match ProtectedResourceMetadata::parse(body, self.server.as_str()) {
                Ok(metadata) => return resource(&metadata).map(ResourceStep::Found),
                Err(MetadataError::Json(_) | MetadataError::Missing(_)) => {}
                Err(wrong) => return Err(DiscoveryError::Resource(wrong)),
            }
        }
        if self.named {
            return Err(DiscoveryError::NoMetadata);
        }
        self.urls.drain(..1.min(self.urls.len()));
        Ok(if self.urls.is_empty() { ResourceStep::Legacy } else { ResourceStep::Again(self) })
    }
}

fn resource(metadata: &ProtectedResourceMetadata) -> Result<ProtectedResource, DiscoveryError> {
    let issuers: Vec<Issuer> = metadata.issuers().collect();
    if issuers.is_empty() {
        return Err(DiscoveryError::NoIssuer);
    }
    Ok(ProtectedResource {
        resource: metadata.resource.clone(),
        issuers,
        scopes: scopes(metadata.scopes_supported.as_deref()),
        name: metadata.resource_name.as_deref().and_then(PeerText::of),
        requires_proof: metadata.dpop_bound_access_tokens_required,
    })
}

fn scopes(list: Option<&[String]>) -> Option<Scope> {
    list.map(|list| Scope::of(list.iter().map(String::as_str)))
}

#[cfg(test)]
pub(crate) mod tests;
