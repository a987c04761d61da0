//! What an operator says of the authorization server that guards a server behind.

use crate::connections::settings::{TokenAuth, auth};
use hallpass_client::{assertion::ClientKey, storage::ClientCredentials};
use hallpass_core::{
    scope::{self, Scope},
    secret::SecretString,
    uri::{EndpointUrl, Issuer, ResourceUri},
};
use hallpass_fetch::Policy;
use url::Url;

/// How it is told who calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Token exchange (RFC 8693): what servers behind are told about who calls is the subject token.
    Exchange,
    /// An identity assertion (ID-JAG) is the grant: we are an identity provider that it trusts, and a client there.
    IdentityAssertion,
}

/// The authorization server that guards a server behind.
#[derive(Clone, Debug)]
pub struct UpstreamTokenSettings {
    /// The server behind, by its short name: for the log.
    pub server: String,
    /// How.
    pub way: Way,
    /// Whom our word is for.
    pub issuer: Issuer,
    /// Where it is asked.
    pub token_endpoint: EndpointUrl,
    /// Who we are there.
    pub client: ClientCredentials,
    /// Our key there, with `private_key_jwt`. Its assertions are for `issuer`.
    pub key: Option<ClientKey>,
    /// What the token is for, by a name of that server's (RFC 8693 §2.1).
    pub audience: Option<String>,
    /// What the token is for, by its URL (RFC 8707).
    pub resource: Option<String>,
    /// What we ask for.
    pub scope: Scope,
}

/// The same as it was typed.
#[derive(Clone, Debug, Default)]
pub struct WrittenUpstreamToken<'a> {
    /// The server behind.
    pub server: &'a str,
    /// Its URL: the resource, where nothing else is said.
    pub upstream: &'a str,
    /// `token_exchange` or `identity_assertion`.
    pub by: &'a str,
    /// Whom our word is for.
    pub issuer: &'a str,
    /// Where it is asked.
    pub token_endpoint: &'a str,
    /// Ours there.
    pub client_id: &'a str,
    /// Ours there.
    pub secret: Option<SecretString>,
    /// In place of a secret.
    pub key: Option<ClientKey>,
    /// Default: `client_secret_basic` with a secret, `private_key_jwt` with a key, `none` without.
    pub auth: Option<&'a str>,
    /// RFC 8693 §2.1.
    pub audience: Option<&'a str>,
    /// RFC 8707.
    pub resource: Option<&'a str>,
    /// What we ask for.
    pub scopes: &'a [String],
}

/// What is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UpstreamTokenError {
    /// No way that is known.
    #[error("by must be \"token_exchange\" (RFC 8693) or \"identity_assertion\" (ID-JAG)")]
    Way,
    /// Not one.
    #[error("issuer is not the https URL that the metadata of the other authorization server has as issuer")]
    Issuer,
    /// Not one.
    #[error("token_endpoint is not an https URL, or one of this computer")]
    TokenEndpoint,
    /// Nobody.
    #[error("client_id is missing: register hallpass at the other authorization server")]
    ClientId,
    /// Not one of those that are known.
    #[error(
        "auth must be \"client_secret_basic\" or \"client_secret_post\" with a secret_file, \"private_key_jwt\" with a key_file, or \"none\" without"
    )]
    Auth,
    /// Anybody could send our assertion on.
    #[error(
        "identity_assertion takes a secret_file or a key_file: the other server gives nothing to a client that it cannot tell from others"
    )]
    NoSecret,
    /// Only an exchange has one.
    #[error("audience is for token_exchange: an identity assertion names a resource")]
    Audience,
    /// Not one.
    #[error("resource is not the identifier of a resource: write it as that server's metadata does")]
    Resource,
    /// Not one.
    #[error("the scope {0:?} is no scope")]
    Scope(String),
    /// An assertion without is for nothing.
    #[error("scopes is empty: list what the token is to be good for there")]
    NoScopes,
}

impl UpstreamTokenSettings {
    /// Checks what was typed.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn new(written: &WrittenUpstreamToken<'_>) -> Result<Self, UpstreamTokenError> {
        let way = match written.by {
            "token_exchange" => Way::Exchange,
            "identity_assertion" => Way::IdentityAssertion,
            _ => return Err(UpstreamTokenError::Way),
        };
        if written.client_id.is_empty() {
            return Err(UpstreamTokenError::ClientId);
        }
        let (has_secret, asserts) = (written.secret.is_some(), way == Way::IdentityAssertion);
        let auth = auth(written.auth, has_secret, written.key.is_some()).ok_or(UpstreamTokenError::Auth)?;
        if asserts && auth == TokenAuth::None {
            return Err(UpstreamTokenError::NoSecret);
        }
        if asserts && written.audience.is_some() {
            return Err(UpstreamTokenError::Audience);
        }
        if let Some(wrong) = written.scopes.iter().find(|scope| !scope::is_token(scope)) {
            return Err(UpstreamTokenError::Scope(wrong.clone()));
        }
        if asserts && written.scopes.is_empty() {
            return Err(UpstreamTokenError::NoScopes);
        }
        let resource = match (written.resource, written.audience) {
            (Some(resource), _) => Some(resource),
            (None, Some(_)) => None,
            (None, None) => Some(written.upstream),
        };
        if resource.is_some_and(|resource| ResourceUri::parse(resource).is_err()) {
            return Err(UpstreamTokenError::Resource);
        }
        Ok(Self {
            server: written.server.to_owned(),
            way,
            issuer: Issuer::parse(written.issuer).map_err(|_| UpstreamTokenError::Issuer)?,
            token_endpoint: EndpointUrl::parse(written.token_endpoint)
                .map_err(|_| UpstreamTokenError::TokenEndpoint)?,
            client: ClientCredentials {
                client_id: written.client_id.to_owned(),
                client_secret: written.secret.clone(),
                auth,
            },
            key: written.key.clone(),
            audience: written.audience.map(str::to_owned),
            resource: resource.map(str::to_owned),
            scope: Scope::of(written.scopes.iter().map(String::as_str)),
        })
    }

    /// The operator named its host, which may have a private address.
    pub(super) fn policy(&self) -> Policy {
        let url = Url::parse(self.token_endpoint.as_str()).ok();
        Policy::trusted(url.as_ref().and_then(Url::host_str))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rs_061_t_101_what_is_wrong_with_an_exchange_is_told() {
        let scopes = ["read".to_owned()];
        let good = WrittenUpstreamToken {
            server: "files",
            upstream: "https://files.example/mcp",
            by: "identity_assertion",
            issuer: "https://auth.partner.example",
            token_endpoint: "https://auth.partner.example/token",
            client_id: "us",
            secret: Some(SecretString::new("canary")),
            scopes: &scopes,
            ..WrittenUpstreamToken::default()
        };
        let made = UpstreamTokenSettings::new(&good).unwrap();
        assert_eq!(made.resource.as_deref(), Some("https://files.example/mcp"));
        assert_eq!((made.way, made.client.auth), (Way::IdentityAssertion, TokenAuth::Basic));
        assert!(!format!("{made:?} {good:?}").contains("canary"));
        let exchange = WrittenUpstreamToken {
            by: "token_exchange",
            secret: None,
            audience: Some("files"),
            scopes: &[],
            ..good.clone()
        };
        let made = UpstreamTokenSettings::new(&exchange).unwrap();
        assert_eq!((made.audience.as_deref(), made.resource), (Some("files"), None));
        let odd = ["a b".to_owned()];
        for (wrong, error) in [
            (WrittenUpstreamToken { by: "magic", ..good.clone() }, UpstreamTokenError::Way),
            (WrittenUpstreamToken { issuer: "files", ..good.clone() }, UpstreamTokenError::Issuer),
            (
                WrittenUpstreamToken { token_endpoint: "http://auth.partner.example/t", ..good.clone() },
                UpstreamTokenError::TokenEndpoint,
            ),
            (WrittenUpstreamToken { client_id: "", ..good.clone() }, UpstreamTokenError::ClientId),
            (WrittenUpstreamToken { auth: Some("none"), ..good.clone() }, UpstreamTokenError::Auth),
            (WrittenUpstreamToken { secret: None, ..good.clone() }, UpstreamTokenError::NoSecret),
            (WrittenUpstreamToken { audience: Some("x"), ..good.clone() }, UpstreamTokenError::Audience),
            (WrittenUpstreamToken { resource: Some("files"), ..good.clone() }, UpstreamTokenError::Resource),
            (WrittenUpstreamToken { scopes: &odd, ..good.clone() }, UpstreamTokenError::Scope("a b".into())),
            (WrittenUpstreamToken { scopes: &[], ..good }, UpstreamTokenError::NoScopes),
        ] {
            assert_eq!(UpstreamTokenSettings::new(&wrong).unwrap_err(), error);
        }
    }
}
