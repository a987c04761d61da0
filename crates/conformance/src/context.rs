//! What the suite says about itself in the environment.

use anyhow::{Context as _, Result};
use hallpass_client::{
    assertion::ClientKey,
    driver::{MachineOptions, Registered},
    machine::{IdentityProvider, MachineAuth, MachineClient, MachineGrant, SubjectToken},
    storage::{ClientCredentials, TokenAuth},
};
use hallpass_core::{secret::SecretString, uri::EndpointUrl};
use serde_json::{Map, Value};

/// Credentials for the scenario, and the revision to speak.
pub struct Context {
    /// `MCP_CONFORMANCE_PROTOCOL_VERSION`.
    pub revision: Option<String>,
    members: Map<String, Value>,
}

impl Context {
    /// Reads the environment. Most scenarios have no context.
    pub fn read() -> Result<Self> {
        let members = match environment("MCP_CONFORMANCE_CONTEXT") {
            Some(text) => serde_json::from_str(&text).context("MCP_CONFORMANCE_CONTEXT")?,
            None => Map::new(),
        };
        Ok(Self { revision: environment("MCP_CONFORMANCE_PROTOCOL_VERSION"), members })
    }

    /// A registration for people, which names its issuer.
    pub fn registered(&self) -> Vec<Registered> {
        let (Some(issuer), Some(client_id)) = (self.text("issuer"), self.text("client_id")) else {
            return Vec::new();
        };
        let client_secret = self.text("client_secret").map(SecretString::new);
        vec![Registered { issuer: issuer.to_owned(), client_id: client_id.to_owned(), client_secret }]
    }

    /// Credentials for programs, which name none.
    pub fn machine(&self) -> Result<Option<MachineOptions>> {
        let Some(client_id) = self.text("client_id").filter(|_| self.text("issuer").is_none()) else {
            return Ok(None);
        };
        let auth = match (self.secret("private_key_pem"), self.secret("client_secret")) {
            (Some(pem), _) => {
                let algorithm = self.text("signing_algorithm").context("signing_algorithm")?;
                MachineAuth::Key(ClientKey::from_pem(&pem, algorithm)?)
            }
            (None, Some(secret)) => MachineAuth::Secret(secret),
            (None, None) => MachineAuth::None,
        };
        let grant = match (self.secret("idp_id_token"), self.secret("valid_jwt")) {
            (Some(id_token), _) => MachineGrant::Enterprise(self.provider(id_token)?),
            (None, Some(token)) => MachineGrant::Workload(token),
            (None, None) => MachineGrant::ClientCredentials,
        };
        Ok(Some(MachineOptions {
            account: "default".to_owned(),
            client: MachineClient { client_id: client_id.to_owned(), auth },
            grant,
            scope: None,
            issuer: None,
        }))
    }

    /// The calls to make, where the scenario says which.
    pub fn tool_calls(&self) -> Option<Vec<Value>> {
        self.members.get("toolCalls")?.as_array().cloned()
    }

    fn provider(&self, id_token: SecretString) -> Result<IdentityProvider> {
        let endpoint = self.text("idp_token_endpoint").context("idp_token_endpoint")?;
        Ok(IdentityProvider {
            token_endpoint: EndpointUrl::parse(endpoint)?,
            client: ClientCredentials {
                client_id: self.text("idp_client_id").context("idp_client_id")?.to_owned(),
                client_secret: None,
                auth: TokenAuth::None,
            },
            subject: SubjectToken::IdToken(id_token),
        })
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.members.get(name)?.as_str()
    }

    fn secret(&self, name: &str) -> Option<SecretString> {
        self.text(name).map(SecretString::new)
    }
}

#[allow(clippy::disallowed_methods, reason = "the suite speaks through the environment")]
fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
