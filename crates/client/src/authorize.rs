//! The authorization request: everything that has to be remembered until the answer comes, and the page to open.

use crate::{
    browser::{BrowserError, PageUrl},
    discovery::AuthorizationServer,
    storage::ClientCredentials,
};
use hallpass_core::{
    encoding::base64url,
    entropy::{Entropy, random},
    parameters::append_to,
    pkce::CodeVerifier,
    scope::Scope,
    secret::SecretString,
};
use serde_json::{Map, Value};

/// Why no authorization request can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthorizeError {
    /// The endpoint cannot be opened in a browser.
    #[error(transparent)]
    Page(#[from] BrowserError),
    /// The endpoint's own query already holds a parameter that only the client may set.
    #[error("the authorization endpoint's URL already contains a parameter of the request")]
    EndpointQuery,
    /// The metadata was read for a grant without a person.
    #[error("the authorization server names no page to sign in at")]
    NoEndpoint,
}

/// What to ask for, complete.
#[derive(Clone, Debug)]
pub struct AuthorizationRequest {
    /// Who is asked, with validated metadata. Recorded here before the person leaves (CL-037), so that the code
    /// goes to the token endpoint of the very metadata that named the authorization endpoint (CL-055).
    pub server: AuthorizationServer,
    /// Who asks.
    pub client: ClientCredentials,
    /// Where the answer is awaited.
    pub redirect_uri: String,
    /// For which resource, as its validated metadata writes it (RFC 8707).
    pub resource: String,
    /// What for; empty: what the server grants by default.
    pub scope: Scope,
    /// An account to suggest, where the person named one.
    pub login_hint: Option<String>,
    /// The key that the code and the tokens are to be bound to (RFC 9449 §10).
    pub key_thumbprint: Option<String>,
    /// How the person has to have signed in.
    pub sign_in: SignInDemand,
}

/// What somebody demands of a sign-in (RFC 9470 §3, OpenID Connect Core §3.1.2.1). Its own texts, passed on as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SignInDemand {
    /// Seconds that it may be old.
    pub max_age: Option<u64>,
    /// In which way; the first is wanted most.
    pub acr_values: Option<String>,
}

/// Longest `acr_values`.
const MAX_ACR: usize = 500;

impl SignInDemand {
    /// What the members of a refusal say.
    pub fn of_members(members: &Map<String, Value>) -> Self {
        let readable =
            |text: &&str| text.len() <= MAX_ACR && text.bytes().all(|byte| matches!(byte, 0x20..=0x7e));
        let max_age = members.get("max_age");
        Self {
            max_age: max_age.and_then(|value| value.as_u64().or_else(|| value.as_str()?.parse().ok())),
            acr_values: members.get("acr_values").and_then(Value::as_str).filter(readable).map(str::to_owned),
        }
    }
}

/// A request that a person is busy with. It answers to one response and is used up by it.
#[derive(Clone, Debug)]
pub struct Pending {
    pub(crate) request: AuthorizationRequest,
    pub(crate) state: SecretString,
    pub(crate) verifier: CodeVerifier,
}

/// Names that the request sets. A hostile endpoint URL could carry them already and win where the first counts.
const OURS: [&str; 15] = [
    "response_type",
    "client_id",
    "redirect_uri",
    "code_challenge",
    "code_challenge_method",
    "state",
    "resource",
    "scope",
    "login_hint",
    "dpop_jkt",
    "max_age",
    "acr_values",
    "request",
    "request_uri",
    "response_mode",
];

impl AuthorizationRequest {
    /// Draws `state` and verifier, both fresh for each request (CL-028, CL-030), and writes the page's URL.
    ///
    /// # Errors
    /// The endpoint is not one that a browser may open.
    pub fn begin(self, entropy: &dyn Entropy) -> Result<(PageUrl, Pending), AuthorizeError> {
        let pending = self.pending(entropy);
        let parameters = pending.parameters();
        let client = ("client_id", pending.request.client.client_id.as_str());
        let pairs = parameters.iter().map(|(name, value)| (*name, value.as_str()));
        let page = pending.request.page(pairs.chain([client]))?;
        Ok((page, pending))
    }

    /// With `state` and verifier, both fresh.
    pub(crate) fn pending(self, entropy: &dyn Entropy) -> Pending {
        let state = SecretString::new(base64url(&random::<24>(entropy)));
        Pending { request: self, state, verifier: CodeVerifier::new(entropy) }
    }

    /// The page with these parameters.
    pub(crate) fn page<'a>(
        &self,
        parameters: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<PageUrl, AuthorizeError> {
        let endpoint = self.server.authorization_endpoint.as_ref().ok_or(AuthorizeError::NoEndpoint)?;
        if endpoint.parsed().query_pairs().any(|(name, _)| OURS.contains(&&*name)) {
            return Err(AuthorizeError::EndpointQuery);
        }
        Ok(PageUrl::parse(&append_to(endpoint.as_str(), parameters))?)
    }
}

impl Pending {
    /// What is asked for, without `client_id`.
    pub(crate) fn parameters(&self) -> Vec<(&'static str, String)> {
        let request = &self.request;
        let mut parameters = vec![
            ("response_type", "code".to_owned()),
            ("redirect_uri", request.redirect_uri.clone()),
            ("code_challenge", self.verifier.challenge()),
            ("code_challenge_method", "S256".to_owned()),
            ("state", self.state.expose().to_owned()),
            ("resource", request.resource.clone()),
        ];
        if !request.scope.is_empty() {
            parameters.push(("scope", request.scope.to_string()));
        }
        if let Some(hint) = &request.login_hint {
            parameters.push(("login_hint", hint.clone()));
        }
        if let Some(thumbprint) = &request.key_thumbprint {
            parameters.push(("dpop_jkt", thumbprint.clone()));
        }
        if let Some(age) = request.sign_in.max_age {
            parameters.push(("max_age", age.to_string()));
        }
        if let Some(values) = &request.sign_in.acr_values {
            parameters.push(("acr_values", values.clone()));
        }
        parameters
    }
}

/// Where scopes to ask for come from.
#[derive(Clone, Copy, Debug, Default)]
pub struct ScopeSources<'a> {
    /// What the person wants; nothing is added to it.
    pub chosen: Option<&'a Scope>,
    /// `scope` of the server's challenge.
    pub challenged: Option<&'a Scope>,
    /// `scopes_supported` of the protected resource metadata.
    pub of_resource: Option<&'a Scope>,
    /// `scopes_supported` of the authorization server metadata.
    pub of_server: Option<&'a Scope>,
    /// What was asked for at the last sign-in, when this one is for more.
    pub before: Option<&'a Scope>,
}

/// Which scopes to ask for: those of the challenge, which are authoritative and need not be among any supported
/// ones; else all of the resource; else none (CL-033, CL-034). At step-up in union with those of before
/// (SEP-2350). `offline_access` only where the authorization server lists it (CL-035).
pub fn scope_to_ask(sources: ScopeSources<'_>) -> Scope {
    const OFFLINE: &str = "offline_access";
    if let Some(chosen) = sources.chosen {
        return chosen.clone();
    }
    let mut scope = sources.challenged.or(sources.of_resource).cloned().unwrap_or_default();
    if let Some(before) = sources.before {
        scope = before.united_with(&scope);
    }
    if sources.of_server.is_some_and(|supported| supported.contains(OFFLINE)) {
        scope = scope.united_with(&Scope::of([OFFLINE]));
    }
    scope
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::tests::server;
    use crate::storage::TokenAuth;
    use hallpass_core::{entropy::SystemEntropy, parameters::Parameters, uri::EndpointUrl};

    fn request(endpoint: &str) -> AuthorizationRequest {
        let mut server = server();
        server.authorization_endpoint = Some(EndpointUrl::parse(endpoint).unwrap());
        AuthorizationRequest {
            server,
            client: ClientCredentials {
                client_id: "c &1".into(),
                client_secret: None,
                auth: TokenAuth::None,
            },
            redirect_uri: "http://127.0.0.1:9/callback".into(),
            resource: "https://mcp.example/mcp".into(),
            scope: Scope::parse("a b").unwrap(),
            login_hint: None,
            sign_in: SignInDemand::default(),
            key_thumbprint: None,
        }
    }

    #[test]
    fn cl_028_cl_029_cl_031_the_request_is_complete_and_encoded_once() {
        let (page, pending) =
            request("https://as.example/authorize?tenant=x&y=%20").begin(&SystemEntropy).unwrap();
        let query = page.as_str().strip_prefix("https://as.example/authorize?tenant=x&y=%20&").unwrap();
        let sent = Parameters::parse(query.as_bytes(), hallpass_core::parameters::Limits::default()).unwrap();
        for (name, value) in [
            ("response_type", "code"),
            ("client_id", "c &1"),
            ("redirect_uri", "http://127.0.0.1:9/callback"),
            ("code_challenge_method", "S256"),
            ("code_challenge", &pending.verifier.challenge()),
            ("state", pending.state.expose()),
            ("resource", "https://mcp.example/mcp"),
            ("scope", "a b"),
        ] {
            assert_eq!(sent.all(name).collect::<Vec<_>>(), [value], "{name}");
        }
        assert!(!page.as_str().contains(pending.verifier.expose()));
        assert_eq!(page.host(), "as.example");
    }

    #[test]
    fn cl_028_cl_030_state_and_verifier_are_fresh() {
        let mut seen = std::collections::HashSet::new();
        for _ in 0..1000 {
            let (_, pending) = request("https://as.example/a").begin(&SystemEntropy).unwrap();
            assert!(pending.state.expose().len() >= 22);
            assert!(seen.insert(pending.state.expose().to_owned()));
            assert!(seen.insert(pending.verifier.expose().to_owned()));
        }
    }

    #[test]
    fn an_endpoint_cannot_set_our_parameters() {
        for query in ["client_id=x", "state=", "a=b&redirect_uri=https://evil.example", "request_uri=u"] {
            let refused =
                request(&format!("https://as.example/a?{query}")).begin(&SystemEntropy).unwrap_err();
            assert_eq!(refused, AuthorizeError::EndpointQuery, "{query}");
        }
    }

    #[test]
    fn cl_033_cl_034_cl_035_which_scopes_are_asked_for_and_no_others() {
        let scope = |text: &str| Scope::parse(text).unwrap();
        let (challenged, resource, offline) = (scope("x y"), scope("a b"), scope("openid offline_access"));
        let ask = |sources: ScopeSources<'_>| scope_to_ask(sources).to_string();
        let both = ScopeSources {
            challenged: Some(&challenged),
            of_resource: Some(&resource),
            ..Default::default()
        };
        assert_eq!(ask(both), "x y");
        assert_eq!(ask(ScopeSources { of_resource: Some(&resource), ..Default::default() }), "a b");
        assert_eq!(ask(ScopeSources::default()), "");
        assert_eq!(ask(ScopeSources { of_server: Some(&offline), ..both }), "x y offline_access");
        assert_eq!(ask(ScopeSources { of_server: Some(&resource), ..both }), "x y");
        assert_eq!(ask(ScopeSources { chosen: Some(&resource), of_server: Some(&offline), ..both }), "a b");
        assert_eq!(ask(ScopeSources { before: Some(&resource), ..both }), "a b x y");
    }
}
