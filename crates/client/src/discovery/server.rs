//! The authorization server metadata of one issuer: where it is looked for, and what it has to say.

use super::{Answer, Ask, DiscoveryError, scopes};
use hallpass_core::{
    jwt::grant_assertion,
    mcp::revision::Revision,
    metadata::{AuthorizationServerMetadata, MetadataError, well_known},
    scope::Scope,
    uri::{EndpointUrl, Issuer, ResourceUri},
};

/// What a sign-in needs of an authorization server, validated.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is a member of the document")]
pub struct AuthorizationServer {
    /// As written; the key of everything that is kept.
    pub issuer: Issuer,
    /// Where the person is sent; always there unless it was looked for a grant without a person.
    pub authorization_endpoint: Option<EndpointUrl>,
    /// Where the code goes.
    pub token_endpoint: EndpointUrl,
    /// RFC 7591.
    pub registration_endpoint: Option<EndpointUrl>,
    /// RFC 7009.
    pub revocation_endpoint: Option<EndpointUrl>,
    /// RFC 8628 §4.
    pub device_authorization_endpoint: Option<EndpointUrl>,
    /// RFC 9126 §5.
    pub pushed_request_endpoint: Option<EndpointUrl>,
    /// `require_pushed_authorization_requests`.
    pub requires_pushed_requests: bool,
    /// `scopes_supported`.
    pub scopes: Option<Scope>,
    /// `token_endpoint_auth_methods_supported`; `None`: not said, which means `client_secret_basic` (RFC 8414 §2).
    pub auth_methods: Option<Vec<String>>,
    /// Whether its metadata promises `iss` in every authorization response (RFC 9207 §3).
    pub sends_iss: bool,
    /// `client_id_metadata_document_supported`.
    pub takes_metadata_documents: bool,
    /// Whether it lists the profile of identity assertions (ID-JAG §7.2).
    pub takes_identity_assertions: bool,
    /// `dpop_signing_alg_values_supported` (RFC 9449 §5.1); empty: it binds no tokens.
    pub proof_algorithms: Vec<String>,
}

/// Looks for the authorization server metadata of one issuer.
#[derive(Clone, Debug)]
pub struct ServerProbe {
    issuer: Issuer,
    legacy: bool,
    urls: Vec<String>,
    wanted: Wanted,
}

/// For what a server is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    /// With a person in a browser.
    Code,
    /// The same, to learn who that is, with a nonce beside PKCE.
    SignIn,
    /// By a program without a person, for this grant.
    Machine(&'static str),
}

/// After an answer to a [`ServerProbe`].
#[derive(Clone, Debug)]
pub enum ServerStep {
    /// Ask on.
    Again(ServerProbe),
    /// This is it.
    Found(Box<AuthorizationServer>),
}

impl ServerStep {
    fn found(server: AuthorizationServer) -> Self {
        Self::Found(Box::new(server))
    }
}

impl ServerProbe {
    /// For an issuer that the server's metadata names (CL-007).
    pub fn new(issuer: Issuer) -> Self {
        let urls = well_known::authorization_server_urls(issuer.as_str());
        Self { issuer, legacy: false, urls, wanted: Wanted::Code }
    }

    /// The same for a grant that needs no person: no authorization endpoint and no PKCE are asked for.
    #[must_use]
    pub fn for_grant(self, grant_type: &'static str) -> Self {
        Self { wanted: Wanted::Machine(grant_type), ..self }
    }

    /// The same for who signs people in and says so with a nonce of the request in a signed token: PKCE is sent, and does not have
    /// to be promised (RFC 9700 §2.1.1). Large providers check it and do not list it.
    #[must_use]
    pub fn for_sign_in(self) -> Self {
        Self { wanted: Wanted::SignIn, ..self }
    }

    /// For a server of 2025-03-26: its origin is the issuer.
    ///
    /// # Errors
    /// `NoIssuer` where the origin is none.
    pub fn legacy(server: &ResourceUri) -> Result<Self, DiscoveryError> {
        let origin = server.parsed().origin().ascii_serialization();
        let issuer = Issuer::parse(&origin).map_err(|_| DiscoveryError::NoIssuer)?;
        let urls = vec![format!("{origin}{}", well_known::AUTHORIZATION_SERVER)];
        Ok(Self { urls, issuer, legacy: true, wanted: Wanted::Code })
    }

    /// The next question.
    pub fn ask(&self) -> Option<Ask> {
        let revision = if self.legacy { Revision::V2025_03_26 } else { Revision::V2025_11_25 };
        Some(Ask { url: self.urls.first()?.clone(), revision })
    }

    /// Takes the answer to the last question. A document with another issuer ends everything: there is no
    /// shopping for a better one (CL-008, RFC 8414 §3.3).
    ///
    /// # Errors
    /// `NoServerMetadata`, `Server`, `NoCodeGrant`, `NoPkce`, `NoPushEndpoint`, `NoMachineGrant`.
    pub fn receive(mut self, answer: Answer<'_>) -> Result<ServerStep, DiscoveryError> {
        if let Answer::Found(body) = answer {
            match self.read(body) {
                Ok(metadata) => return self.server(&metadata).map(ServerStep::found),
                Err(MetadataError::Json(_) | MetadataError::Missing(_)) => {}
                Err(wrong) => return Err(DiscoveryError::Server(wrong)),
            }
        }
        self.urls.drain(..1.min(self.urls.len()));
        match (self.urls.is_empty(), self.legacy) {
            (false, _) => Ok(ServerStep::Again(self)),
            (true, false) => Err(DiscoveryError::NoServerMetadata),
            (true, true) => self.default_endpoints().map(ServerStep::found),
        }
    }

    fn read(&self, body: &[u8]) -> Result<AuthorizationServerMetadata, MetadataError> {
        if !self.legacy {
            return AuthorizationServerMetadata::parse(body, self.issuer.as_str());
        }
        // Nobody named this issuer: it was made from the origin, which is written with and without a slash.
        let metadata = AuthorizationServerMetadata::parse_unverified(body)?;
        let named = metadata.issuer.strip_suffix('/').unwrap_or(&metadata.issuer);
        if named == self.issuer.as_str() { Ok(metadata) } else { Err(MetadataError::IssuerMismatch) }
    }

    fn server(&self, metadata: &AuthorizationServerMetadata) -> Result<AuthorizationServer, DiscoveryError> {
        let endpoint = |url: &Option<String>, name| {
            let parsed = url.as_deref().map(EndpointUrl::parse).transpose();
            parsed.map_err(|_| DiscoveryError::Server(MetadataError::Endpoint(name)))
        };
        let authorization = endpoint(&metadata.authorization_endpoint, "authorization_endpoint")?;
        let token = endpoint(&metadata.token_endpoint, "token_endpoint")?;
        let token_endpoint = match self.wanted {
            Wanted::Machine(grant_type) => machine_endpoint(metadata, token, grant_type)?,
            Wanted::Code | Wanted::SignIn => {
                let promises = self.wanted == Wanted::SignIn || metadata.supports_s256();
                code_endpoint(metadata, authorization.as_ref(), token, promises)?
            }
        };
        let issuer =
            Issuer::parse(&metadata.issuer).map_err(|_| DiscoveryError::Server(MetadataError::Issuer))?;
        Ok(AuthorizationServer {
            issuer,
            authorization_endpoint: authorization,
            token_endpoint,
            registration_endpoint: endpoint(&metadata.registration_endpoint, "registration_endpoint")?,
            revocation_endpoint: endpoint(&metadata.revocation_endpoint, "revocation_endpoint")?,
            device_authorization_endpoint: endpoint(
                &metadata.device_authorization_endpoint,
                "device_authorization_endpoint",
            )?,
            pushed_request_endpoint: endpoint(
                &metadata.pushed_authorization_request_endpoint,
                "pushed_authorization_request_endpoint",
            )?,
            requires_pushed_requests: metadata.require_pushed_authorization_requests,
            scopes: scopes(metadata.scopes_supported.as_deref()),
            auth_methods: metadata.token_endpoint_auth_methods_supported.clone(),
            sends_iss: metadata.authorization_response_iss_parameter_supported,
            takes_metadata_documents: metadata.client_id_metadata_document_supported,
            takes_identity_assertions: metadata
                .authorization_grant_profiles_supported
                .as_ref()
                .is_some_and(|all| all.iter().any(|one| one == grant_assertion::IDENTITY_PROFILE)),
            proof_algorithms: metadata.dpop_signing_alg_values_supported.clone().unwrap_or_default(),
        })
    }

    /// MCP 2025-03-26, "fallbacks for servers without metadata discovery".
    fn default_endpoints(self) -> Result<AuthorizationServer, DiscoveryError> {
        let endpoint = |path| {
            EndpointUrl::parse(&self.issuer.endpoint(path)).map_err(|_| DiscoveryError::NoServerMetadata)
        };
        Ok(AuthorizationServer {
            authorization_endpoint: Some(endpoint("/authorize")?),
            token_endpoint: endpoint("/token")?,
            registration_endpoint: Some(endpoint("/register")?),
            revocation_endpoint: None,
            device_authorization_endpoint: None,
            pushed_request_endpoint: None,
            requires_pushed_requests: false,
            scopes: None,
            auth_methods: Some(vec!["none".to_owned()]),
            sends_iss: false,
            takes_metadata_documents: false,
            takes_identity_assertions: false,
            proof_algorithms: Vec::new(),
            issuer: self.issuer,
        })
    }
}

/// The token endpoint of a server that can be used with a person in a browser.
fn code_endpoint(
    metadata: &AuthorizationServerMetadata,
    authorization: Option<&EndpointUrl>,
    token: Option<EndpointUrl>,
    checks_pkce: bool,
) -> Result<EndpointUrl, DiscoveryError> {
    let token = token.filter(|_| authorization.is_some()).ok_or(DiscoveryError::NoCodeGrant)?;
    if !metadata.supports_grant_type("authorization_code") {
        return Err(DiscoveryError::NoCodeGrant);
    }
    if !checks_pkce {
        return Err(DiscoveryError::NoPkce);
    }
    if metadata.require_pushed_authorization_requests
        && metadata.pushed_authorization_request_endpoint.is_none()
    {
        return Err(DiscoveryError::NoPushEndpoint);
    }
    Ok(token)
}

/// The token endpoint of a server that offers this grant. Where it lists no grants it is asked all the same: the
/// default of RFC 8414 §2 is from before these grants were in use.
fn machine_endpoint(
    metadata: &AuthorizationServerMetadata,
    token: Option<EndpointUrl>,
    grant_type: &str,
) -> Result<EndpointUrl, DiscoveryError> {
    let offered = metadata.grant_types_supported.is_none() || metadata.supports_grant_type(grant_type);
    token.filter(|_| offered).ok_or(DiscoveryError::NoMachineGrant)
}
