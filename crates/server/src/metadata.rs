//! What the server says about itself (RFC 8414, and the two places where OpenID clients look).

use crate::{
    app::App,
    clients::{AuthMethod, operator::TOKEN_EXCHANGE},
    device,
    http::respond::{self, Document, Reply},
    router::Incoming,
    settings::{OFFLINE_ACCESS, RegistrationPolicy, Settings},
};
use bytes::Bytes;
use hallpass_core::{
    authorization_details,
    jose::Algorithm,
    jwt::{grant_assertion, identity_assertion, proof},
    metadata::{authorization_server::AuthorizationServerMetadata, well_known},
};
use http::StatusCode;
use std::time::Duration;

/// For how long documents may be kept: a rotation of keys is seen within it.
const MAX_AGE: Duration = Duration::from_mins(5);

/// Where the document is found.
pub fn paths(settings: &Settings) -> Vec<String> {
    let mut paths: Vec<String> = well_known::authorization_server_paths(settings.issuer.path()).into();
    paths.sort();
    paths.dedup();
    paths
}

/// The document. Every URL in it comes from the configuration.
pub fn document(settings: &Settings) -> Document {
    let list = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let auth: Vec<String> = AuthMethod::ALL.iter().map(|method| method.name().to_owned()).collect();
    let algorithms: Vec<String> = Algorithm::ALL.iter().map(|one| one.name().to_owned()).collect();
    let mut scopes: Vec<String> = Vec::new();
    for entry in settings.resources.iter().flat_map(|resource| &resource.scopes) {
        if !scopes.contains(&entry.name) {
            scopes.push(entry.name.clone());
        }
    }
    scopes.push(OFFLINE_ACCESS.to_owned());
    let issuer = &settings.issuer;
    let introspects = settings.resources.iter().any(|resource| !resource.introspectors.is_empty());
    let metadata = AuthorizationServerMetadata {
        issuer: issuer.as_str().to_owned(),
        authorization_endpoint: Some(issuer.endpoint("/authorize")),
        token_endpoint: Some(issuer.endpoint("/token")),
        registration_endpoint: (settings.registration != RegistrationPolicy::Closed)
            .then(|| issuer.endpoint("/register")),
        revocation_endpoint: Some(issuer.endpoint("/revoke")),
        pushed_authorization_request_endpoint: Some(issuer.endpoint("/par")),
        require_pushed_authorization_requests: settings.require_pushed_authorization_requests,
        introspection_endpoint: introspects.then(|| issuer.endpoint("/introspect")),
        introspection_endpoint_auth_methods_supported: introspects
            .then(|| auth.iter().filter(|method| *method != AuthMethod::None.name()).cloned().collect()),
        introspection_endpoint_auth_signing_alg_values_supported: introspects.then(|| algorithms.clone()),
        jwks_uri: Some(issuer.endpoint("/jwks")),
        scopes_supported: Some(scopes),
        response_types_supported: Some(list(&["code"])),
        response_modes_supported: Some(list(&["query"])),
        grant_types_supported: Some(grant_types(settings)),
        device_authorization_endpoint: settings
            .device_authorization
            .then(|| issuer.endpoint("/device_authorization")),
        authorization_grant_profiles_supported: (!settings.identity_providers.is_empty())
            .then(|| list(&[grant_assertion::IDENTITY_PROFILE])),
        identity_chaining_requested_token_types_supported: (!settings.cross_domain.is_empty())
            .then(|| list(&[identity_assertion::TOKEN_TYPE])),
        token_endpoint_auth_methods_supported: Some(auth.clone()),
        token_endpoint_auth_signing_alg_values_supported: Some(algorithms.clone()),
        revocation_endpoint_auth_methods_supported: Some(auth),
        revocation_endpoint_auth_signing_alg_values_supported: Some(algorithms),
        dpop_signing_alg_values_supported: settings.proofs.offered.then(|| list(&proof::ALGORITHMS)),
        authorization_details_types_supported: Some(list(&[authorization_details::TYPE])),
        code_challenge_methods_supported: Some(list(&["S256"])),
        authorization_response_iss_parameter_supported: true,
        client_id_metadata_document_supported: settings.documents.accepts_some(),
        // Each of their documents names this issuer in turn.
        protected_resources: Some(settings.resources.iter().map(|one| one.uri.as_str().to_owned()).collect()),
        subject_types_supported: Some(list(&["public"])),
        id_token_signing_alg_values_supported: Some(list(&["ES256"])),
        ..AuthorizationServerMetadata::default()
    };
    Document::new("application/json", Bytes::from(serde_json::to_vec(&metadata).unwrap_or_default()))
}

/// Those that anybody may get something with. Who is trusted is nobody's business.
fn grant_types(settings: &Settings) -> Vec<String> {
    let always = ["authorization_code", "refresh_token", "client_credentials", TOKEN_EXCHANGE];
    let trusts = !settings.workload_issuers.is_empty() || !settings.identity_providers.is_empty();
    let assertions = trusts.then_some(grant_assertion::GRANT_TYPE);
    let devices = settings.device_authorization.then_some(device::GRANT_TYPE);
    always.into_iter().chain(assertions).chain(devices).map(str::to_owned).collect()
}

/// The metadata document.
pub async fn authorization_server(app: &App, incoming: &Incoming) -> Reply {
    respond::public(&app.metadata, &incoming.headers, MAX_AGE)
}

/// The keys that verify access tokens (RFC 7517 §5).
pub async fn jwks(app: &App, incoming: &Incoming) -> Reply {
    respond::public(&app.tokens.current().jwks, &incoming.headers, MAX_AGE)
}

/// Any other well-known URI: JSON, so that a client's probe is not answered by a page (P11).
pub async fn unknown(_: &App, _: &Incoming) -> Reply {
    respond::protocol(StatusCode::NOT_FOUND, &serde_json::json!({ "error": "not_found" }))
}
