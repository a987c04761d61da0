//! Where an authorization server has its endpoints: what its own metadata says, and nothing else.

use hallpass_core::{
    metadata::{authorization_server::endpoint_of, well_known},
    uri::Issuer,
};
use hallpass_fetch::{Fetch, FetchError, Policy};
use url::Url;

/// Why an endpoint is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotFound {
    /// No document was to be had.
    #[error("{0}")]
    Fetch(#[from] FetchError),
    /// The document is another issuer's, or does not name the endpoint.
    #[error("the metadata is not that of this issuer as it is written, or does not name the endpoint")]
    Document,
}

/// Somebody wrote the issuer down, so its own host may have a private address. What else its metadata names is judged as what
/// a stranger names.
pub(crate) fn policy(issuer: &Issuer) -> Policy {
    Policy::trusted(issuer.parsed().host_str())
}

/// The endpoint of this name. The document is the first that there is at the places where it has to be (OpenID Connect
/// Discovery §4, RFC 8414 §3); its `issuer` is compared as written, so that no server speaks for another (RFC 8414 §3.3).
pub(crate) async fn endpoint(
    fetch: &Fetch,
    policy: &Policy,
    issuer: &Issuer,
    name: &'static str,
) -> Result<Url, NotFound> {
    let mut missing = NotFound::Document;
    for url in well_known::issuer_urls(issuer.as_str()) {
        let Ok(url) = url.parse() else { continue };
        match fetch.get_document(&url, policy).await {
            Ok(document) => {
                let found = endpoint_of(issuer.as_str(), &document.body, name);
                if found.is_none() {
                    // What is wrong now may be right in a moment.
                    fetch.forget(&url, policy);
                }
                return found.ok_or(NotFound::Document);
            }
            Err(error) => missing = error.into(),
        }
    }
    Err(missing)
}
