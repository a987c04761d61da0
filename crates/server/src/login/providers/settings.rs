//! What an operator says of a provider at which people sign in.

use crate::{
    connections::settings::{ConnectionError, ConnectionSettings, Endpoints, Provider, WrittenConnection},
    login::second_factor::rules::SecondFactorPolicy,
    settings::{Settings, SettingsError},
};
use hallpass_core::uri::Issuer;
use hallpass_store::Session;
use std::{collections::BTreeMap, time::Duration};

/// How people sign in.
#[derive(Clone, Debug)]
pub struct SignInSettings {
    /// Whether with name and password.
    pub passwords: bool,
    /// Or where else.
    pub providers: Vec<SignInProvider>,
    /// Whether with a second factor.
    pub second_factor: SecondFactorPolicy,
}

/// A provider at which people sign in.
#[derive(Clone, Debug)]
pub struct SignInProvider {
    /// Its name, its title, where it is asked, and who we are there.
    pub service: ConnectionSettings,
    /// Under what accounts are linked, character by character. An OpenID provider says it in every token.
    pub issuer: String,
    /// How it says who somebody is.
    pub says: Says,
    /// What it has to say of everybody who is let in.
    pub claims: BTreeMap<String, String>,
    /// Who is let in.
    pub accounts: Accounts,
    /// What a new account is called after.
    pub name_claim: String,
    /// How often it is asked again whether somebody still may; `None`: never.
    pub check: Option<Duration>,
}

/// How a provider says who somebody is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Says {
    /// In an ID token (OpenID Connect).
    IdToken,
    /// At its userinfo endpoint, under this name (plain OAuth 2.0).
    UserInfo(String),
}

/// Whom a provider's word lets in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accounts {
    /// Those whose account is linked.
    Linked,
    /// And who comes for the first time: with a new account. Never with one that is there: a name or an e-mail address there
    /// is no proof of a name here.
    Create,
}

/// The same as it was typed.
#[derive(Clone, Debug, Default)]
pub struct WrittenProvider<'a> {
    /// Its `issuer` is that of a provider with metadata; without endpoints it is asked for them.
    pub service: WrittenConnection<'a>,
    /// See [`SignInProvider::issuer`].
    pub issuer: Option<&'a str>,
    /// Default: `sub`.
    pub subject_claim: Option<&'a str>,
    /// Default: `preferred_username`.
    pub name_claim: Option<&'a str>,
    /// See [`SignInProvider::claims`].
    pub claims: BTreeMap<String, String>,
    /// `linked` or `create`.
    pub accounts: Option<&'a str>,
    /// See [`SignInProvider::check`].
    pub check: Option<Duration>,
}

/// What is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignInProviderError {
    /// Accounts are linked under it.
    #[error("issuer is missing: write the provider's iss, or the address of a service that has none")]
    Issuer,
    /// Half.
    #[error(
        "it takes issuer alone, or with it authorization_endpoint, token_endpoint and userinfo_endpoint for a service without ID tokens"
    )]
    Endpoints,
    /// Nobody.
    #[error(
        "client_id is missing: register hallpass there, with the redirect URI {{public_url}}/sign-in/callback/NAME"
    )]
    ClientId,
    /// Another word.
    #[error("accounts must be \"linked\" or \"create\"")]
    Accounts,
    /// In an ID token it is always `sub`.
    #[error("subject_claim is for a service without ID tokens: remove it")]
    Subject,
    /// Everybody would fit, or nobody.
    #[error("the claim {0:?} has no value: write what it has to be")]
    Claim(String),
    /// We set it.
    #[error("parameters cannot set {0}: hallpass does")]
    Parameter(String),
    /// The rest.
    #[error(transparent)]
    Service(ConnectionError),
}

/// Names that only the request itself may set.
const OURS: [&str; 3] = ["nonce", "max_age", "response_mode"];

impl SignInProvider {
    /// Checks what was typed.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn new(written: &WrittenProvider<'_>) -> Result<Self, SignInProviderError> {
        let issuer = written.issuer.ok_or(SignInProviderError::Issuer)?;
        let service = &written.service;
        let endpoints = [service.authorization_endpoint, service.token_endpoint, service.userinfo_endpoint];
        let (open_id, mut service) = match endpoints.iter().flatten().count() {
            0 => (true, WrittenConnection { issuer: Some(issuer), ..service.clone() }),
            3 => (false, service.clone()),
            _ => return Err(SignInProviderError::Endpoints),
        };
        if service.client_id.is_empty() {
            return Err(SignInProviderError::ClientId);
        }
        if let Some((ours, _)) = service.parameters.iter().find(|(name, _)| OURS.contains(&&**name)) {
            return Err(SignInProviderError::Parameter(ours.clone()));
        }
        let says = match (open_id, written.subject_claim) {
            (true, None) => Says::IdToken,
            (true, Some(_)) => return Err(SignInProviderError::Subject),
            (false, claim) => Says::UserInfo(claim.unwrap_or("sub").to_owned()),
        };
        if let Some((claim, _)) =
            written.claims.iter().find(|(name, value)| name.is_empty() || value.is_empty())
        {
            return Err(SignInProviderError::Claim(claim.clone()));
        }
        let mut scopes = service.scopes.to_vec();
        if open_id && !scopes.iter().any(|scope| scope == "openid") {
            // Without it there is no ID token (OpenID Connect Core §3.1.2.1).
            scopes.insert(0, "openid".to_owned());
        }
        service.scopes = &scopes;
        let mut service = ConnectionSettings::new(&service).map_err(SignInProviderError::Service)?;
        if open_id {
            let issuer = Issuer::parse(issuer).map_err(|_| ConnectionError::Url("issuer"));
            service.provider = Provider::OpenId(issuer.map_err(SignInProviderError::Service)?);
        }
        Ok(Self {
            service,
            issuer: issuer.to_owned(),
            says,
            claims: written.claims.clone(),
            accounts: match written.accounts {
                None | Some("linked") => Accounts::Linked,
                Some("create") => Accounts::Create,
                Some(_) => return Err(SignInProviderError::Accounts),
            },
            name_claim: written.name_claim.unwrap_or("preferred_username").to_owned(),
            check: written.check,
        })
    }

    /// Its short name.
    pub fn name(&self) -> &str {
        &self.service.name
    }

    /// What people call it.
    pub fn title(&self) -> &str {
        &self.service.title
    }

    /// Whether whoever has an account there gets one here.
    pub fn lets_everybody_in(&self) -> bool {
        self.accounts == Accounts::Create && self.claims.is_empty()
    }

    /// Whether it may have to be asked for what an ID token leaves out.
    pub(crate) fn can_say_more(&self, endpoints: &Endpoints) -> bool {
        self.says == Says::IdToken && endpoints.userinfo.is_some()
    }
}

impl SignInSettings {
    /// Name and password, and nothing else.
    pub const fn usual() -> Self {
        Self { passwords: true, providers: Vec::new(), second_factor: SecondFactorPolicy::Optional }
    }

    /// Whether a session has passed what is required of everybody. What its person has is the store's to see.
    pub(crate) fn is_enough(&self, session: &Session) -> bool {
        match self.second_factor {
            SecondFactorPolicy::Required => session.second_factor_at.is_some(),
            SecondFactorPolicy::Off | SecondFactorPolicy::Optional => true,
        }
    }

    /// The provider of this name.
    pub fn provider(&self, name: &str) -> Option<&SignInProvider> {
        self.providers.iter().find(|provider| provider.name() == name)
    }

    /// Checks what only the whole can show.
    pub(crate) fn check(&self, settings: &Settings) -> Result<(), SettingsError> {
        if !self.passwords && self.providers.is_empty() {
            return Err(SettingsError::NobodySignsIn);
        }
        for (at, provider) in self.providers.iter().enumerate() {
            let mut earlier = self.providers.iter().take(at);
            if provider.issuer == settings.issuer.as_str() {
                return Err(SettingsError::OwnIssuer);
            }
            if earlier.clone().any(|other| other.name() == provider.name()) {
                return Err(SettingsError::ProviderTwice(provider.name().to_owned()));
            }
            // A subject of the one would be taken for one of the other.
            if earlier.any(|other| other.issuer == provider.issuer) {
                return Err(SettingsError::IssuerTwice(provider.issuer.clone()));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_215_t_101_what_is_wrong_with_a_provider_is_told() {
        let good = WrittenProvider {
            service: WrittenConnection { name: "idp", client_id: "us", ..WrittenConnection::default() },
            issuer: Some("https://idp.example"),
            ..WrittenProvider::default()
        };
        let made = SignInProvider::new(&good).unwrap();
        assert_eq!((made.says, made.service.scope.to_string()), (Says::IdToken, "openid".into()));
        assert_eq!((made.accounts, made.name_claim.as_str()), (Accounts::Linked, "preferred_username"));
        let plain = WrittenConnection {
            authorization_endpoint: Some("https://git.example/a"),
            token_endpoint: Some("https://git.example/t"),
            userinfo_endpoint: Some("https://api.git.example/user"),
            ..good.service.clone()
        };
        let git = WrittenProvider { service: plain.clone(), subject_claim: Some("id"), ..good.clone() };
        let made = SignInProvider::new(&git).unwrap();
        assert_eq!((made.says, made.service.scope.to_string()), (Says::UserInfo("id".into()), String::new()));
        let service = |service| WrittenProvider { service, ..good.clone() };
        let own = |name: &str| vec![(name.to_owned(), "x".to_owned())];
        let wrong_url = SignInProviderError::Service(ConnectionError::Url("issuer"));
        for (wrong, error) in [
            (WrittenProvider { issuer: None, ..good.clone() }, SignInProviderError::Issuer),
            (WrittenProvider { issuer: Some("http://idp.example"), ..good.clone() }, wrong_url),
            (service(WrittenConnection { userinfo_endpoint: None, ..plain }), SignInProviderError::Endpoints),
            (
                service(WrittenConnection { client_id: "", ..good.service.clone() }),
                SignInProviderError::ClientId,
            ),
            (WrittenProvider { accounts: Some("all"), ..good.clone() }, SignInProviderError::Accounts),
            (WrittenProvider { subject_claim: Some("id"), ..good.clone() }, SignInProviderError::Subject),
            (
                WrittenProvider { claims: [("hd".into(), String::new())].into(), ..good.clone() },
                SignInProviderError::Claim("hd".into()),
            ),
            (
                service(WrittenConnection { parameters: own("nonce"), ..good.service.clone() }),
                SignInProviderError::Parameter("nonce".into()),
            ),
            (
                service(WrittenConnection { name: "a/b", ..good.service.clone() }),
                SignInProviderError::Service(ConnectionError::Name),
            ),
        ] {
            assert_eq!(SignInProvider::new(&wrong).unwrap_err(), error);
        }
    }
}
