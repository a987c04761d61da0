//! Grants without a person in a browser: client credentials, enterprise-managed authorization (a company's sign-in
//! decides), workload identity (the platform says what runs). All three are MCP extensions and off unless asked for.

use crate::{
    assertion::ClientKey,
    discovery::AuthorizationServer,
    peer::Failure,
    registration::secret_method,
    storage::{ClientCredentials, TokenAuth},
    token::{TokenError, form_post, members_of},
};
use bytes::Bytes;
use hallpass_core::{
    entropy::Entropy, json, jwt::client_assertion::ASSERTION_TYPE, scope::Scope, secret::SecretString,
    time::Timestamp, uri::EndpointUrl,
};
use http::{Request, Response};

/// RFC 6749 §4.4.
pub const CLIENT_CREDENTIALS: &str = "client_credentials";
/// RFC 7523 §2.1.
pub const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";
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
}

/// A client that an operator registered.
#[derive(Clone, Debug)]
pub struct MachineClient {
    /// As registered.
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
    pub client_id: String,
    /// Its secret there, where it has one.
    pub client_secret: Option<SecretString>,
    /// The ID token of the person.
    pub id_token: SecretString,
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
}

impl MachineGrant {
    /// Its identifier as an extension of MCP.
    pub const fn extension(&self) -> &'static str {
        match self {
            Self::ClientCredentials => "io.modelcontextprotocol/oauth-client-credentials",
            Self::Enterprise(_) => "io.modelcontextprotocol/enterprise-managed-authorization",
            Self::Workload(_) => "io.modelcontextprotocol/auth/wif",
        }
    }

    /// The grant type at the authorization server.
    pub const fn grant_type(&self) -> &'static str {
        match self {
            Self::ClientCredentials => CLIENT_CREDENTIALS,
            Self::Enterprise(_) | Self::Workload(_) => JWT_BEARER,
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

/// The exchange of a person's ID token for an identity assertion, at the company's identity provider. The audience
/// is the issuer that guards the resource: the assertion is good there and nowhere else.
///
/// # Errors
/// [`TokenError::Request`].
pub fn exchange_request(
    provider: &IdentityProvider,
    target: MachineTarget<'_>,
) -> Result<Request<Bytes>, TokenError> {
    let scope = target.scope.to_string();
    let mut parameters = vec![
        ("grant_type", TOKEN_EXCHANGE),
        ("requested_token_type", ID_JAG),
        ("audience", target.server.issuer.as_str()),
        ("resource", target.resource),
        ("subject_token", provider.id_token.expose()),
        ("subject_token_type", ID_TOKEN),
    ];
    if !scope.is_empty() {
        parameters.push(("scope", &scope));
    }
    let client = ClientCredentials {
        client_id: provider.client_id.clone(),
        client_secret: provider.client_secret.clone(),
        auth: provider.client_secret.as_ref().map_or(TokenAuth::None, |_| TokenAuth::Basic),
    };
    form_post(provider.token_endpoint.as_str(), &client, &parameters)
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

/// The token request. `assertion` is the identity assertion or the platform's token; without one, the client asks
/// for itself.
///
/// # Errors
/// [`TokenError::Request`].
pub fn machine_request(
    target: MachineTarget<'_>,
    client: &MachineClient,
    assertion: Option<&SecretString>,
    (now, entropy): (Timestamp, &dyn Entropy),
) -> Result<Request<Bytes>, TokenError> {
    let scope = target.scope.to_string();
    let mut parameters = match assertion {
        None => vec![("grant_type", CLIENT_CREDENTIALS)],
        Some(assertion) => vec![("grant_type", JWT_BEARER), ("assertion", assertion.expose())],
    };
    parameters.push(("resource", target.resource));
    if !scope.is_empty() {
        parameters.push(("scope", &scope));
    }
    let endpoint = target.server.token_endpoint.as_str();
    let MachineAuth::Key(key) = &client.auth else {
        return form_post(endpoint, &client.credentials(target.server)?, &parameters);
    };
    let issuer = target.server.issuer.as_str();
    let signed = key.assertion(&client.client_id, issuer, now, entropy).map_err(|_| TokenError::Request)?;
    parameters.push(("client_assertion_type", ASSERTION_TYPE));
    parameters.push(("client_assertion", signed.expose()));
    let named =
        ClientCredentials { client_id: client.client_id.clone(), client_secret: None, auth: TokenAuth::None };
    form_post(endpoint, &named, &parameters)
}

impl MachineClient {
    /// What is kept of it beside the tokens; of a key, only that there is one.
    pub(crate) fn credentials(&self, server: &AuthorizationServer) -> Result<ClientCredentials, TokenError> {
        let (client_secret, auth) = match &self.auth {
            MachineAuth::None => (None, TokenAuth::None),
            MachineAuth::Key(_) => (None, TokenAuth::PrivateKey),
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
            client_id: "at-idp".into(),
            client_secret: None,
            id_token: SecretString::new("i.d.t"),
        };
        let (server, scope) = (server(), Scope::none());
        let target = MachineTarget { server: &server, resource: "https://mcp.example/mcp", scope: &scope };
        let request = exchange_request(&provider, target).unwrap();
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
