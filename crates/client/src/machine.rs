//! Grants without a person in a browser: client credentials, enterprise-managed authorization (a company's sign-in
//! decides), workload identity (the platform says what runs). All three are MCP extensions and off unless asked for.

use crate::{
    assertion::{ClientKey, KeyFile},
    discovery::AuthorizationServer,
    exchange::TOKEN_EXCHANGE,
    peer::Failure,
    platform::Platform,
    proof::ProofKey,
    registration::secret_method,
    storage::{ClientCredentials, Entry, TokenAuth},
    token::{TokenError, form_post, members_of},
};
use bytes::Bytes;
use hallpass_core::{
    encoding::from_base64url, entropy::Entropy, json, jwt::client_assertion::ASSERTION_TYPE, scope::Scope,
    secret::SecretString, time::Timestamp, uri::EndpointUrl,
};
use http::{Request, Response};
use serde_json::Value;

/// RFC 6749 §4.4.
pub const CLIENT_CREDENTIALS: &str = "client_credentials";
/// RFC 7523 §2.1.
pub const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";
const REFRESH_TOKEN: &str = "urn:ietf:params:oauth:token-type:refresh_token";
const ID_JAG: &str = "urn:ietf:params:oauth:token-type:id-jag";

/// How a registered client proves who it is.
#[derive(Clone, Debug)]
pub enum MachineAuth {
    /// Not at all: what is presented for the grant says enough.
    None,
    /// A secret, by whichever method the server lists.
    Secret(SecretString),
    /// `private_key_jwt`.
    Key(ClientKey),
    /// The same with the key in this file. With it a new token comes by itself, as it does with a secret.
    KeyFile(KeyFile),
}

/// A client that an operator registered.
#[derive(Clone, Debug)]
pub struct MachineClient {
    /// As registered; empty for one that has none, and whom the token of its platform names.
    pub client_id: String,
    /// Its proof.
    pub auth: MachineAuth,
}

/// Where a company's people sign in, and what this one brought from there.
#[derive(Clone, Debug)]
pub struct IdentityProvider {
    /// Its token endpoint. From the configuration: nothing that a server says changes it.
    pub token_endpoint: EndpointUrl,
    /// Who this client is there.
    pub client: ClientCredentials,
    /// What the person's sign-in there brought.
    pub subject: SubjectToken,
}

/// What says who the person is, at the provider that issued it (RFC 8693 §3).
#[derive(Clone, Debug)]
pub enum SubjectToken {
    /// An ID token.
    IdToken(SecretString),
    /// A refresh token. It stays as it is.
    RefreshToken(SecretString),
}

impl SubjectToken {
    fn named(&self) -> (&SecretString, &'static str) {
        match self {
            Self::IdToken(token) => (token, ID_TOKEN),
            Self::RefreshToken(token) => (token, REFRESH_TOKEN),
        }
    }
}

/// What is presented.
#[derive(Clone, Debug)]
pub enum MachineGrant {
    /// The client itself.
    ClientCredentials,
    /// A person's sign-in at the company, exchanged for an identity assertion for each token request
    /// (`id-jag`, draft-ietf-oauth-identity-assertion-authz-grant).
    Enterprise(IdentityProvider),
    /// A token of the platform that this program runs on (SEP-1933).
    Workload(SecretString),
    /// The same, taken from where the platform puts it, again for each token.
    Platform(Platform),
}

impl MachineGrant {
    /// Its identifier as an extension of MCP.
    pub const fn extension(&self) -> &'static str {
        match self {
            Self::ClientCredentials => "io.modelcontextprotocol/oauth-client-credentials",
            Self::Enterprise(_) => "io.modelcontextprotocol/enterprise-managed-authorization",
            Self::Workload(_) | Self::Platform(_) => "io.modelcontextprotocol/auth/wif",
        }
    }

    /// The grant type at the authorization server.
    pub const fn grant_type(&self) -> &'static str {
        match self {
            Self::ClientCredentials => CLIENT_CREDENTIALS,
            Self::Enterprise(_) | Self::Workload(_) | Self::Platform(_) => JWT_BEARER,
        }
    }
}

/// What for.
#[derive(Clone, Copy, Debug)]
pub struct MachineTarget<'a> {
    /// Who is asked.
    pub server: &'a AuthorizationServer,
    /// For which resource, as its metadata writes it.
    pub resource: &'a str,
    /// Which scopes; empty: those of the registration.
    pub scope: &'a Scope,
}

/// The exchange of a person's sign-in for an identity assertion, at the company's identity provider. The audience
/// is the issuer that guards the resource: the assertion is good there and nowhere else.
///
/// # Errors
/// [`TokenError::Request`].
pub fn exchange_request(
    provider: &IdentityProvider,
    audience: &str,
    resource: &str,
    scope: &Scope,
) -> Result<Request<Bytes>, TokenError> {
    let scope = scope.to_string();
    let (token, kind) = provider.subject.named();
    let mut parameters = vec![
        ("grant_type", TOKEN_EXCHANGE),
        ("requested_token_type", ID_JAG),
        ("audience", audience),
        ("resource", resource),
        ("subject_token", token.expose()),
        ("subject_token_type", kind),
    ];
    if !scope.is_empty() {
        parameters.push(("scope", &scope));
    }
    form_post(provider.token_endpoint.as_str(), &provider.client, &parameters)
}

/// The identity assertion out of the answer. It serves one token request (CL-091).
///
/// # Errors
/// Every variant but `Request`.
pub fn read_exchange(response: &Response<Bytes>) -> Result<SecretString, Failure<TokenError>> {
    let members = members_of(response)?;
    let text = |name| json::string(&members, name).map_err(|_| TokenError::Malformed);
    if text("issued_token_type")? != Some(ID_JAG) {
        return Err(TokenError::TokenType.into());
    }
    let assertion = text("access_token")?.filter(|assertion| !assertion.is_empty());
    Ok(SecretString::new(assertion.ok_or(TokenError::Malformed)?))
}

/// Whether an assertion is bound to a key, and to this one; and that it is for this audience. Looked at before it leaves: one
/// for another server is nobody's business at this one, and one that should be bound and is not was downgraded on the way
/// (ID-JAG §9.8.1.1). Who it is good for is for the server to say, which verifies it.
///
/// # Errors
/// `Malformed`, `Audience`, `NotBound`.
pub fn check_assertion(
    assertion: &SecretString,
    audience: &str,
    key: Option<&ProofKey>,
) -> Result<bool, TokenError> {
    let payload =
        assertion.expose().split('.').nth(1).and_then(from_base64url).ok_or(TokenError::Malformed)?;
    let claims = json::parse_object(&payload, json::Limits::default()).map_err(|_| TokenError::Malformed)?;
    let is_for = match claims.get("aud") {
        Some(Value::Array(all)) => all.len() == 1 && all.iter().all(|one| one == audience),
        Some(one) => one == audience,
        None => false,
    };
    if !is_for {
        return Err(TokenError::Audience);
    }
    let Some(confirmation) = claims.get("cnf") else { return Ok(false) };
    match (confirmation.get("jkt").and_then(Value::as_str), key) {
        (Some(bound), Some(key)) if bound == key.thumbprint() => Ok(true),
        _ => Err(TokenError::NotBound),
    }
}

/// The token request with an assertion, of a client that has its credentials at this issuer.
///
/// # Errors
/// [`TokenError::Request`].
pub fn redeem_request(
    token_endpoint: &str,
    client: &ClientCredentials,
    (resource, scope): (&str, &Scope),
    assertion: &SecretString,
) -> Result<Request<Bytes>, TokenError> {
    let scope = scope.to_string();
    let mut parameters =
        vec![("grant_type", JWT_BEARER), ("assertion", assertion.expose()), ("resource", resource)];
    if !scope.is_empty() {
        parameters.push(("scope", &scope));
    }
    form_post(token_endpoint, client, &parameters)
}

/// The token request. `assertion` is the identity assertion or the platform's token; without one, the client asks
/// for itself.
///
/// # Errors
/// [`TokenError::Request`].
pub fn machine_request(
    target: MachineTarget<'_>,
    client: &MachineClient,
    assertion: Option<&SecretString>,
    moment: (Timestamp, &dyn Entropy),
) -> Result<Request<Bytes>, TokenError> {
    let key = match &client.auth {
        MachineAuth::None | MachineAuth::Secret(_) => None,
        MachineAuth::Key(key) => Some(key),
        // Somebody with I/O has to read it first.
        MachineAuth::KeyFile(_) => return Err(TokenError::Request),
    };
    let asking = Asking {
        endpoint: target.server.token_endpoint.as_str(),
        issuer: target.server.issuer.as_str(),
        client: &client.credentials(target.server)?,
        key,
    };
    asking.grant(assertion, (target.resource, target.scope), moment)
}

/// A client with its proof at one authorization server, out of metadata, out of what was kept, or as an operator wrote it.
#[derive(Clone, Copy, Debug)]
pub struct Asking<'a> {
    /// Where it is asked.
    pub endpoint: &'a str,
    /// Whom an assertion is for.
    pub issuer: &'a str,
    /// Who asks.
    pub client: &'a ClientCredentials,
    /// Of a client that has one.
    pub key: Option<&'a ClientKey>,
}

impl<'a> Asking<'a> {
    /// Who signed in, at the token endpoint.
    pub fn of(entry: &'a Entry, key: Option<&'a ClientKey>) -> Self {
        Self { endpoint: &entry.token_endpoint, issuer: &entry.key.issuer, client: &entry.client, key }
    }
}

impl Asking<'_> {
    /// A token request: with an assertion as the grant, or of the client for itself.
    pub(crate) fn grant(
        &self,
        assertion: Option<&SecretString>,
        (resource, scope): (&str, &Scope),
        moment: (Timestamp, &dyn Entropy),
    ) -> Result<Request<Bytes>, TokenError> {
        let scope = scope.to_string();
        let mut parameters = match assertion {
            None => vec![("grant_type", CLIENT_CREDENTIALS)],
            Some(assertion) => vec![("grant_type", JWT_BEARER), ("assertion", assertion.expose())],
        };
        parameters.push(("resource", resource));
        if !scope.is_empty() {
            parameters.push(("scope", &scope));
        }
        self.post(&parameters, moment)
    }

    /// A form with the client's proof: its secret, or an assertion of its own for this one request.
    ///
    /// # Errors
    /// [`TokenError::Request`].
    pub fn post(
        &self,
        parameters: &[(&str, &str)],
        (now, entropy): (Timestamp, &dyn Entropy),
    ) -> Result<Request<Bytes>, TokenError> {
        let Some(key) = self.key else { return form_post(self.endpoint, self.client, parameters) };
        let client_id = &self.client.client_id;
        let signed = key.assertion(client_id, self.issuer, now, entropy).map_err(|_| TokenError::Request)?;
        let proof = [("client_assertion_type", ASSERTION_TYPE), ("client_assertion", signed.expose())];
        let named =
            ClientCredentials { client_id: client_id.clone(), client_secret: None, auth: TokenAuth::None };
        form_post(self.endpoint, &named, &[parameters, &proof].concat())
    }
}

impl MachineClient {
    /// What is kept of it beside the tokens; of a key, only that there is one.
    pub(crate) fn credentials(&self, server: &AuthorizationServer) -> Result<ClientCredentials, TokenError> {
        let (client_secret, auth) = match &self.auth {
            MachineAuth::None => (None, TokenAuth::None),
            MachineAuth::Key(_) | MachineAuth::KeyFile(_) => (None, TokenAuth::PrivateKey),
            MachineAuth::Secret(secret) => {
                (Some(secret.clone()), secret_method(server).ok_or(TokenError::Request)?)
            }
        };
        Ok(ClientCredentials { client_id: self.client_id.clone(), client_secret, auth })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::tests::server;
    use hallpass_core::{
        entropy::SystemEntropy,
        jose::{Algorithm, SigningKey},
        parameters::{Limits, Parameters},
    };

    const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

    fn request(auth: MachineAuth, assertion: Option<&str>) -> (Request<Bytes>, Parameters) {
        let (server, scope) = (server(), Scope::parse("a b").unwrap());
        let target = MachineTarget { server: &server, resource: "https://mcp.example/mcp", scope: &scope };
        let client = MachineClient { client_id: "robot".into(), auth };
        let assertion = assertion.map(SecretString::new);
        let request = machine_request(target, &client, assertion.as_ref(), (NOW, &SystemEntropy)).unwrap();
        let form = Parameters::parse(request.body(), Limits::default()).unwrap();
        (request, form)
    }

    #[test]
    fn cl_089_client_credentials_name_resource_and_scope() {
        let (sent, form) = request(MachineAuth::Secret(SecretString::new("s")), None);
        assert_eq!(sent.uri(), "https://as.example/token");
        assert_eq!(form.get("grant_type"), Some("client_credentials"));
        assert_eq!((form.get("resource"), form.get("scope")), (Some("https://mcp.example/mcp"), Some("a b")));
        assert!(sent.headers().contains_key("authorization") && form.get("client_secret").is_none());
        let key = SigningKey::generate(Algorithm::Es256).unwrap();
        let key = ClientKey::from_pem(&crate::assertion::tests::pem(&key), "ES256").unwrap();
        let (sent, form) = request(MachineAuth::Key(key), None);
        assert!(!sent.headers().contains_key("authorization"));
        assert_eq!(form.get("client_assertion_type"), Some(ASSERTION_TYPE));
        assert_eq!(form.get("client_assertion").unwrap().split('.').count(), 3);
        assert_eq!(form.get("client_id"), Some("robot"));
    }

    #[test]
    fn cl_090_cl_093_an_assertion_is_the_grant() {
        let (_, form) = request(MachineAuth::None, Some("a.b.c"));
        assert_eq!((form.get("grant_type"), form.get("assertion")), (Some(JWT_BEARER), Some("a.b.c")));
        assert_eq!((form.get("client_id"), form.get("client_assertion")), (Some("robot"), None));
    }

    #[test]
    fn cl_090_the_exchange_is_for_this_issuer_and_resource() {
        let provider = IdentityProvider {
            token_endpoint: EndpointUrl::parse("https://idp.example/token").unwrap(),
            client: ClientCredentials {
                client_id: "at-idp".into(),
                client_secret: None,
                auth: TokenAuth::None,
            },
            subject: SubjectToken::IdToken(SecretString::new("i.d.t")),
        };
        let exchange = |provider: &IdentityProvider| {
            exchange_request(provider, "https://as.example", "https://mcp.example/mcp", &Scope::none())
                .unwrap()
        };
        let request = exchange(&provider);
        assert_eq!(request.uri(), "https://idp.example/token");
        let form = Parameters::parse(request.body(), Limits::default()).unwrap();
        for (name, value) in [
            ("grant_type", TOKEN_EXCHANGE),
            ("requested_token_type", ID_JAG),
            ("audience", "https://as.example"),
            ("resource", "https://mcp.example/mcp"),
            ("subject_token", "i.d.t"),
            ("subject_token_type", ID_TOKEN),
            ("client_id", "at-idp"),
        ] {
            assert_eq!(form.all(name).collect::<Vec<_>>(), [value], "{name}");
        }
        let refresh = SubjectToken::RefreshToken(SecretString::new("rt"));
        let request = exchange(&IdentityProvider { subject: refresh, ..provider });
        let form = Parameters::parse(request.body(), Limits::default()).unwrap();
        assert_eq!(
            (form.get("subject_token"), form.get("subject_token_type")),
            (Some("rt"), Some(REFRESH_TOKEN))
        );
    }

    #[test]
    fn cl_090_an_assertion_for_another_server_or_key_goes_nowhere() {
        let (key, other) = (ProofKey::generate().unwrap(), ProofKey::generate().unwrap());
        let made = |claims: Value| {
            let payload = hallpass_core::encoding::base64url(claims.to_string().as_bytes());
            SecretString::new(format!("h.{payload}.s"))
        };
        let check =
            |claims: Value, key: Option<&ProofKey>| check_assertion(&made(claims), "https://as.example", key);
        let ours = serde_json::json!("https://as.example");
        assert_eq!(check(serde_json::json!({ "aud": ours }), None), Ok(false));
        assert_eq!(check(serde_json::json!({ "aud": [ours] }), Some(&key)), Ok(false));
        let bound = serde_json::json!({ "aud": ours, "cnf": { "jkt": key.thumbprint() } });
        assert_eq!(check(bound.clone(), Some(&key)), Ok(true));
        for wrong in [None, Some(&other)] {
            assert_eq!(check(bound.clone(), wrong), Err(TokenError::NotBound));
        }
        for aud in [serde_json::json!("https://as.example/"), serde_json::json!([ours, "x"]), Value::Null] {
            assert_eq!(check(serde_json::json!({ "aud": aud }), None), Err(TokenError::Audience));
        }
        assert_eq!(check_assertion(&SecretString::new("opaque"), "x", None), Err(TokenError::Malformed));
    }

    #[test]
    fn cl_090_only_an_identity_assertion_is_one() {
        let read = |body: &str| {
            let response = Response::builder().body(Bytes::from(body.to_owned())).unwrap();
            read_exchange(&response).map_err(|failure| failure.error)
        };
        let good = format!(r#"{{"access_token":"j","issued_token_type":"{ID_JAG}","token_type":"N_A"}}"#);
        assert_eq!(read(&good).unwrap().expose(), "j");
        let access = good.replace("id-jag", "access_token");
        assert_eq!(read(&access).unwrap_err(), TokenError::TokenType);
        assert_eq!(read(&good.replace(r#""j""#, "\"\"")).unwrap_err(), TokenError::Malformed);
        assert_eq!(read(r#"{"error":"invalid_grant"}"#).unwrap_err(), TokenError::InvalidGrant);
    }
}
