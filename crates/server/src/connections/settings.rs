//! What an operator says of a service that people may connect.

use crate::settings::Settings;
pub use hallpass_client::storage::TokenAuth;
use hallpass_client::{assertion::ClientKey, storage::ClientCredentials};
use hallpass_core::{
    grant::digest16,
    scope::{self, Scope},
    secret::SecretString,
    uri::{EndpointUrl, Issuer, ResourceUri},
};

/// A service of a third party.
#[derive(Clone, Debug)]
pub struct ConnectionSettings {
    /// Its short name: part of the redirect URI and of what its tokens are sealed with, so keep it.
    pub name: String,
    /// What people call it.
    pub title: String,
    /// Where it is asked.
    pub provider: Provider,
    /// Who we are there.
    pub client: ClientCredentials,
    /// Our key there, with `private_key_jwt`.
    pub key: Option<OurKey>,
    /// What we ask for.
    pub scope: Scope,
    /// For which resource (RFC 8707), where the service wants to be told.
    pub resource: Option<String>,
    /// What else the service wants in the request.
    pub parameters: Vec<(String, String)>,
}

/// A key by which we prove who we are at somebody else's token endpoint, and whom the proof is for (RFC 7523).
#[derive(Clone, Debug)]
pub struct OurKey {
    /// It signs.
    pub key: ClientKey,
    /// The issuer there, or what the other side wants in its place.
    pub audience: String,
}

/// Where a service is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Provider {
    /// Where the metadata of this issuer says.
    Discovered(Issuer),
    /// The same, and it says in signed tokens who signs in there.
    OpenId(Issuer),
    /// Where the operator says.
    Written(Box<Endpoints>),
}

/// Where an authorization server is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoints {
    /// Where the person is sent.
    pub authorization: EndpointUrl,
    /// Where the code goes.
    pub token: EndpointUrl,
    /// Where a token is given back (RFC 7009).
    pub revocation: Option<EndpointUrl>,
    /// Where it says about whom an access token is (OpenID Connect Core §5.3, and what others have like it).
    pub userinfo: Option<EndpointUrl>,
    /// What `iss` of an answer has to be, where it is known (RFC 9207).
    pub issuer: Option<String>,
    /// Whether there has to be one.
    pub sends_iss: bool,
}

/// The same as it was typed.
#[derive(Clone, Debug, Default)]
pub struct WrittenConnection<'a> {
    /// See [`ConnectionSettings::name`].
    pub name: &'a str,
    /// The name where there is none.
    pub title: Option<&'a str>,
    /// Either this.
    pub issuer: Option<&'a str>,
    /// Or these.
    pub authorization_endpoint: Option<&'a str>,
    /// With it.
    pub token_endpoint: Option<&'a str>,
    /// Maybe.
    pub userinfo_endpoint: Option<&'a str>,
    /// Maybe.
    pub revocation_endpoint: Option<&'a str>,
    /// Ours there.
    pub client_id: &'a str,
    /// Ours there.
    pub secret: Option<SecretString>,
    /// In place of a secret.
    pub key: Option<ClientKey>,
    /// Whom its assertions are for. Default: `issuer`.
    pub key_audience: Option<&'a str>,
    /// Default: `client_secret_basic` with a secret, `private_key_jwt` with a key, `none` without.
    pub auth: Option<&'a str>,
    /// What we ask for.
    pub scopes: &'a [String],
    /// RFC 8707.
    pub resource: Option<&'a str>,
    /// More for the request.
    pub parameters: Vec<(String, String)>,
}

/// What is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectionError {
    /// It becomes part of a URL.
    #[error("the name must be 1 to 32 lower case letters, digits and hyphens")]
    Name,
    /// Both, neither, or half.
    #[error("it takes issuer, or authorization_endpoint and token_endpoint")]
    Provider,
    /// Not one.
    #[error("{0} is not an https URL, or one of this computer")]
    Url(&'static str),
    /// Nobody.
    #[error(
        "client_id is missing: register hallpass at the service, with the redirect URI {{public_url}}/account/connections/callback/NAME"
    )]
    ClientId,
    /// Not one of those that are known.
    #[error(
        "auth must be \"client_secret_basic\" or \"client_secret_post\" with a secret_file, \"private_key_jwt\" with a key_file, or \"none\" without"
    )]
    Auth,
    /// Nobody knows for whom.
    #[error(
        "key_audience goes with key_file, and is needed where there is no issuer: write whom the service wants as aud, often its token_endpoint"
    )]
    KeyAudience,
    /// Not one.
    #[error("the scope {0:?} is no scope")]
    Scope(String),
    /// Not one.
    #[error("resource is not the identifier of a resource")]
    Resource,
    /// We set it.
    #[error("parameters cannot set {0}: hallpass does")]
    Parameter(String),
}

/// Names that only the request itself may set.
const OURS: [&str; 11] = [
    "response_type",
    "client_id",
    "client_secret",
    "redirect_uri",
    "code_challenge",
    "code_challenge_method",
    "state",
    "scope",
    "resource",
    "request",
    "request_uri",
];

impl ConnectionSettings {
    /// Checks what was typed.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn new(written: &WrittenConnection<'_>) -> Result<Self, ConnectionError> {
        let name = written.name;
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if !(1..=32).contains(&name.len()) || !name.bytes().all(plain) {
            return Err(ConnectionError::Name);
        }
        if written.client_id.is_empty() {
            return Err(ConnectionError::ClientId);
        }
        if let Some(wrong) = written.scopes.iter().find(|scope| !scope::is_token(scope)) {
            return Err(ConnectionError::Scope(wrong.clone()));
        }
        if written.resource.is_some_and(|resource| ResourceUri::parse(resource).is_err()) {
            return Err(ConnectionError::Resource);
        }
        if let Some((ours, _)) = written.parameters.iter().find(|(name, _)| OURS.contains(&&**name)) {
            return Err(ConnectionError::Parameter(ours.clone()));
        }
        Ok(Self {
            name: name.to_owned(),
            title: written.title.unwrap_or(name).to_owned(),
            provider: provider(written)?,
            client: ClientCredentials {
                client_id: written.client_id.to_owned(),
                client_secret: written.secret.clone(),
                auth: auth(written.auth, written.secret.is_some(), written.key.is_some())
                    .ok_or(ConnectionError::Auth)?,
            },
            key: key(written)?,
            scope: Scope::of(written.scopes.iter().map(String::as_str)),
            resource: written.resource.map(str::to_owned),
            parameters: written.parameters.clone(),
        })
    }

    /// Changes with whatever decides to whom a code and a secret go: an answer to a request of another configuration is none.
    pub(crate) fn digest(&self) -> [u8; 16] {
        digest16(&format!("{} {:?} {}", self.name, self.provider, self.client.client_id))
    }
}

impl Settings {
    /// The service of this name.
    pub fn connection(&self, name: &str) -> Option<&ConnectionSettings> {
        self.connections.iter().find(|connection| connection.name == name)
    }
}

/// How we prove who we are, by its name; nothing where that does not go with having a secret, or a key.
pub(crate) fn auth(named: Option<&str>, has_secret: bool, has_key: bool) -> Option<TokenAuth> {
    if has_key {
        let by_key = named.is_none_or(|named| named == TokenAuth::PrivateKey.name());
        return (by_key && !has_secret).then_some(TokenAuth::PrivateKey);
    }
    let auth = match named {
        Some(named) => TokenAuth::parse(named)?,
        None if has_secret => TokenAuth::Basic,
        None => TokenAuth::None,
    };
    (has_secret != (auth == TokenAuth::None)).then_some(auth)
}

fn key(written: &WrittenConnection<'_>) -> Result<Option<OurKey>, ConnectionError> {
    match (&written.key, written.key_audience.or(written.issuer)) {
        (Some(key), Some(audience)) if !audience.is_empty() => {
            Ok(Some(OurKey { key: key.clone(), audience: audience.to_owned() }))
        }
        (None, _) if written.key_audience.is_none() => Ok(None),
        (Some(_) | None, _) => Err(ConnectionError::KeyAudience),
    }
}

fn provider(written: &WrittenConnection<'_>) -> Result<Provider, ConnectionError> {
    let maybe = |name, text: Option<&str>| text.map(|text| endpoint(name, text)).transpose();
    match (written.issuer, written.authorization_endpoint, written.token_endpoint) {
        (Some(issuer), None, None) if written.revocation_endpoint.is_none() => {
            Issuer::parse(issuer).map(Provider::Discovered).map_err(|_| ConnectionError::Url("issuer"))
        }
        (None, Some(authorization), Some(token)) => Ok(Provider::Written(Box::new(Endpoints {
            authorization: endpoint("authorization_endpoint", authorization)?,
            token: endpoint("token_endpoint", token)?,
            revocation: maybe("revocation_endpoint", written.revocation_endpoint)?,
            userinfo: maybe("userinfo_endpoint", written.userinfo_endpoint)?,
            issuer: None,
            sends_iss: false,
        }))),
        _ => Err(ConnectionError::Provider),
    }
}

fn endpoint(name: &'static str, text: &str) -> Result<EndpointUrl, ConnectionError> {
    EndpointUrl::parse(text).map_err(|_| ConnectionError::Url(name))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hallpass_core::jose::{Algorithm, SigningKey};

    #[test]
    fn rs_061_t_101_what_is_wrong_with_a_connection_is_told() {
        let good = WrittenConnection {
            name: "git",
            issuer: Some("https://git.example"),
            client_id: "us",
            ..WrittenConnection::default()
        };
        let made = ConnectionSettings::new(&good).unwrap();
        assert_eq!((&*made.title, made.client.auth), ("git", TokenAuth::None));
        let secret = Some(SecretString::new("canary"));
        let with = WrittenConnection { secret: secret.clone(), ..good.clone() };
        let made = ConnectionSettings::new(&with).unwrap();
        assert_eq!(made.client.auth, TokenAuth::Basic);
        assert!(!format!("{made:?} {with:?}").contains("canary"));
        let signing = SigningKey::generate(Algorithm::Es256).unwrap();
        let keyed = WrittenConnection { key: Some(ClientKey::of(signing)), ..good.clone() };
        let made = ConnectionSettings::new(&keyed).unwrap();
        assert_eq!(made.client.auth, TokenAuth::PrivateKey);
        assert_eq!(made.key.unwrap().audience, "https://git.example");
        let own = |name: &str| vec![(name.to_owned(), "x".to_owned())];
        let odd = ["a b".to_owned()];
        for (wrong, error) in [
            (WrittenConnection { name: "a/b", ..good.clone() }, ConnectionError::Name),
            (WrittenConnection { client_id: "", ..good.clone() }, ConnectionError::ClientId),
            (WrittenConnection { issuer: None, ..good.clone() }, ConnectionError::Provider),
            (
                WrittenConnection { token_endpoint: Some("https://g.example/t"), ..good.clone() },
                ConnectionError::Provider,
            ),
            (
                WrittenConnection { issuer: Some("http://g.example"), ..good.clone() },
                ConnectionError::Url("issuer"),
            ),
            (WrittenConnection { auth: Some("none"), ..with.clone() }, ConnectionError::Auth),
            (WrittenConnection { auth: Some("client_secret_post"), ..good.clone() }, ConnectionError::Auth),
            (WrittenConnection { auth: Some("private_key_jwt"), ..with.clone() }, ConnectionError::Auth),
            (WrittenConnection { auth: Some("client_secret_basic"), ..keyed.clone() }, ConnectionError::Auth),
            (WrittenConnection { secret, ..keyed.clone() }, ConnectionError::Auth),
            (WrittenConnection { key_audience: Some("x"), ..good.clone() }, ConnectionError::KeyAudience),
            (WrittenConnection { key_audience: Some(""), ..keyed.clone() }, ConnectionError::KeyAudience),
            (
                WrittenConnection {
                    issuer: None,
                    authorization_endpoint: Some("https://g.example/a"),
                    token_endpoint: Some("https://g.example/t"),
                    ..keyed
                },
                ConnectionError::KeyAudience,
            ),
            (WrittenConnection { scopes: &odd, ..good.clone() }, ConnectionError::Scope("a b".into())),
            (WrittenConnection { resource: Some("files"), ..good.clone() }, ConnectionError::Resource),
            (
                WrittenConnection { parameters: own("state"), ..good },
                ConnectionError::Parameter("state".into()),
            ),
        ] {
            assert_eq!(ConnectionSettings::new(&wrong).unwrap_err(), error);
        }
    }
}
