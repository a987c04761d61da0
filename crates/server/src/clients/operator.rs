//! Clients that an operator made, in the configuration or by `hallpass client add`: what is written down, and what it
//! means once it is checked. One form for both, so that what one place accepts the other does too.

use super::{
    AuthMethod, Client, Origin, Proofs, Redirects,
    display::DisplayName,
    document,
    keys::{ClientKeys, KeyPlace},
    known, registered,
};
use crate::device;
use hallpass_core::{
    encoding,
    grant::digest32,
    id::PersonId,
    jose::KeySet,
    jwt::grant_assertion::GRANT_TYPE,
    scope::{self, Scope},
    secret::{self, SecretString},
    uri::{ClientMetadataUrl, EndpointUrl, RedirectUri, ResourceUri},
};
use hallpass_store::StoredClient;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{ops::RangeInclusive, sync::Arc, time::Duration};

/// The grant type of an exchange (RFC 8693 §2.1).
pub const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

/// Secrets of a client that are good at the same time, so that it can change over without a pause.
pub const MAX_SECRETS: usize = 2;
/// Most characters of an id.
pub const LONGEST_ID: usize = 160;
/// Seconds that tokens of an exchange may be limited to: to be used at all, and to a day.
pub const EXCHANGE_LIFETIME: RangeInclusive<u64> = 10..=86_400;
/// Fewest characters of a secret: 128 bits of base64url.
const SHORTEST_SECRET: usize = 22;

/// The type of what is exchanged, and of what is given for it (RFC 8693 §3).
pub const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// A client as it is written down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientRecord {
    /// For people.
    pub name: String,
    /// Where answers may go.
    #[serde(default)]
    pub redirect_uris: Vec<String>,
    /// Vendors' rules for what else is a redirect URI of this client.
    #[serde(default)]
    pub redirect_rules: Vec<String>,
    /// `token_endpoint_auth_method`.
    pub auth: String,
    /// SHA-256 of each live secret in base64url, the newest first. The secrets are nowhere.
    #[serde(default)]
    pub secrets: Vec<String>,
    /// Its public keys.
    #[serde(default)]
    pub jwks: Option<Value>,
    /// Where its public keys are.
    #[serde(default)]
    pub jwks_uri: Option<String>,
    /// `authorization_code`, and `refresh_token` or not; `client_credentials` for a machine.
    pub grant_types: Vec<String>,
    /// All that it can ever get; without it, whatever a person allows.
    #[serde(default)]
    pub scopes: Option<Vec<String>>,
    /// The only servers that a machine may use; without it, the only one that there is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Vec<String>>,
    /// Whether only requests that it pushed are answered (RFC 9126 §6).
    #[serde(default, skip_serializing_if = "is_false")]
    pub require_pushed_authorization_requests: bool,
    /// Whether it gets tokens only that are bound to a key (RFC 9449 §5.2).
    #[serde(default, skip_serializing_if = "is_false")]
    pub dpop_bound_access_tokens: bool,
    /// The clients whose tokens it may exchange, beside its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exchange_from: Option<Vec<String>>,
    /// Seconds that what it gets by exchange lives at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exchange_lifetime: Option<u64>,
}

/// What is not said is not written, so that a release that does not know of it can read the record.
#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
const fn is_false(flag: &bool) -> bool {
    !*flag
}

/// Why a client cannot be made so. The text names the fix.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OperatorClientError {
    /// Characters that clients forget to encode, or a form that is taken.
    #[error(
        "the id {0:?} is not usable: 1 to 160 of the characters A-Z a-z 0-9 - . _ ~ that do not begin with hpc_, or the URL of the client's metadata document"
    )]
    Id(String),
    /// Nowhere to answer.
    #[error("there is no redirect URI: give redirect_uris, or the name of a rule in redirect_rules")]
    NoRedirects,
    /// Not a redirect URI.
    #[error("the redirect URI {0:?} is not usable: {1}")]
    Redirect(String, hallpass_core::uri::UriError),
    /// No such rule.
    #[error("there is no redirect rule {0:?}: docs/clients.md lists them")]
    Rule(String),
    /// No such method.
    #[error("auth is {0:?}: write none, client_secret_basic, client_secret_post or private_key_jwt")]
    Method(String),
    /// Secrets where there is nothing to do with them.
    #[error("a client with this auth has no secret: remove the secret, or write client_secret_basic")]
    SecretWithoutUse,
    /// Too many or none.
    #[error("a client with this auth has one secret, or two while it changes over")]
    Secrets,
    /// Not a digest.
    #[error("a secret is kept as SHA-256 in base64url")]
    SecretForm,
    /// Keys where there is nothing to do with them, or none where they are needed.
    #[error("private_key_jwt takes either jwks or jwks_uri, and no other auth takes any")]
    Keys,
    /// Not a set of public keys.
    #[error("jwks is not a set of public keys")]
    KeySet,
    /// Not an https URL.
    #[error("jwks_uri is not an https URL")]
    KeyPlace,
    /// Not the two that there are.
    #[error(
        "grant_types lists authorization_code or urn:ietf:params:oauth:grant-type:device_code, with refresh_token or without, for people, client_credentials for a machine, and urn:ietf:params:oauth:grant-type:token-exchange for an agent that acts with narrower tokens; or nothing, for a client with a secret or keys which only introspects. Without authorization_code there are no redirect URIs"
    )]
    GrantTypes,
    /// Anybody could say its id.
    #[error("a machine proves who it is: write auth = \"client_secret_basic\", or \"private_key_jwt\"")]
    MachineWithoutProof,
    /// Nobody is asked about a machine, so the operator has to say what it may.
    #[error("a machine takes scopes: all that it can ever get, since no person is asked")]
    MachineWithoutScopes,
    /// Anybody could say its id.
    #[error(
        "a client that exchanges the tokens of others proves who it is: write auth = \"client_secret_basic\", or \"private_key_jwt\""
    )]
    ExchangeWithoutProof,
    /// Whose tokens, where it exchanges none.
    #[error(
        "exchange_from and exchange_lifetime are for a client with urn:ietf:params:oauth:grant-type:token-exchange in grant_types"
    )]
    ExchangeWithoutUse,
    /// Over before it is used, or longer than any access token.
    #[error("exchange_lifetime is between 10s and 24h")]
    ExchangeLifetime,
    /// For people, the person decides.
    #[error("resources is for a client with client_credentials: elsewhere a person decides")]
    ResourcesWithoutUse,
    /// Not a resource identifier.
    #[error("{0:?} in resources is not the URL of a server: write it as clients use it")]
    Resource(String),
    /// Not a scope.
    #[error("the scope {0:?} is not a scope token")]
    Scope(String),
}

/// A client that an operator made, checked.
#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of the client's own")]
pub struct OperatorClient {
    id: String,
    name: DisplayName,
    redirects: Redirects,
    auth: AuthMethod,
    secrets: Vec<[u8; 32]>,
    keys: Option<ClientKeys>,
    code: bool,
    device: bool,
    assertions: bool,
    refresh: bool,
    scopes: Option<Scope>,
    machine: Option<Arc<Machine>>,
    pushed_only: bool,
    bound: bool,
    exchange: Option<Arc<Exchange>>,
}

/// Whose tokens a client may exchange for narrower ones, beside its own, and for how long (RFC 8693).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exchange {
    /// The ids of the clients that they were issued to.
    pub from: Vec<String>,
    /// How long what it gets lives at most. Never longer than what was given for it, whatever this says.
    pub lifetime: Option<Duration>,
}

/// What a machine may get, which nobody says yes to: the ceiling that the operator set (RFC 6749 §4.4).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// These scopes.
    pub scopes: Scope,
    /// At these servers; without it, at the only one that there is.
    pub resources: Option<Vec<ResourceUri>>,
}

impl OperatorClient {
    /// Checks what was written down.
    pub fn new(id: &str, record: &ClientRecord) -> Result<Self, OperatorClientError> {
        if !is_usable_id(id) {
            return Err(OperatorClientError::Id(id.to_owned()));
        }
        let auth = AuthMethod::from_name(&record.auth);
        let auth = auth.ok_or_else(|| OperatorClientError::Method(record.auth.clone()))?;
        let lists = |name: &str| record.grant_types.iter().any(|one| one == name);
        let known = |name: &String| {
            matches!(
                name.as_str(),
                "authorization_code"
                    | "refresh_token"
                    | "client_credentials"
                    | TOKEN_EXCHANGE
                    | device::GRANT_TYPE
                    | GRANT_TYPE
            )
        };
        let (code, refresh) = (lists("authorization_code"), lists("refresh_token"));
        let device = lists(device::GRANT_TYPE);
        // One that gets no tokens, and only proves who it is: a protected server that introspects.
        let only_asks = record.grant_types.is_empty() && auth != AuthMethod::None;
        let assertions = lists(GRANT_TYPE);
        if assertions && auth == AuthMethod::None {
            return Err(OperatorClientError::MachineWithoutProof);
        }
        let by_itself = lists("client_credentials") || lists(TOKEN_EXCHANGE) || assertions;
        let gets = code || device || (by_itself && !refresh);
        if !(gets || only_asks) || !record.grant_types.iter().all(known) {
            return Err(OperatorClientError::GrantTypes);
        }
        Ok(Self {
            id: id.to_owned(),
            name: DisplayName::new(&record.name),
            redirects: if code { redirects(record)? } else { nowhere(record)? },
            auth,
            secrets: secrets(auth, record)?,
            keys: keys(auth, record)?,
            code,
            device,
            assertions,
            refresh,
            scopes: scopes(record.scopes.as_deref())?,
            machine: machine(auth, record)?.map(Arc::new),
            pushed_only: record.require_pushed_authorization_requests,
            bound: record.dpop_bound_access_tokens,
            exchange: exchange(auth, record)?.map(Arc::new),
        })
    }

    /// What was kept of one, if it can be read.
    pub fn from_stored(stored: &StoredClient) -> Option<Self> {
        let record: ClientRecord = serde_json::from_str(&stored.body).ok()?;
        Self::new(&stored.id, &record).ok()
    }

    /// Its `client_id`.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What it calls itself.
    pub fn name(&self) -> &str {
        self.name.as_str()
    }

    /// Whether it may be given refresh tokens.
    pub const fn may_refresh(&self) -> bool {
        self.refresh
    }

    /// All that it can ever get.
    pub const fn scopes(&self) -> Option<&Scope> {
        self.scopes.as_ref()
    }

    /// Whether people can be asked for it: it lists `authorization_code` or the grant type of devices.
    pub const fn is_for_people(&self) -> bool {
        self.code || self.device
    }

    /// Whether it may bring identity assertions: it lists `jwt-bearer`.
    pub const fn may_assert(&self) -> bool {
        self.assertions
    }

    /// What it may get by itself, if it may.
    pub const fn machine(&self) -> Option<&Arc<Machine>> {
        self.machine.as_ref()
    }

    /// Whether it gets tokens only that are bound to a key.
    pub const fn wants_bound(&self) -> bool {
        self.bound
    }

    /// Whose tokens it may exchange, if it may at all.
    pub const fn exchange(&self) -> Option<&Arc<Exchange>> {
        self.exchange.as_ref()
    }

    /// How it may prove at an endpoint who it is.
    pub fn proofs(&self) -> Proofs {
        Proofs {
            none: self.auth == AuthMethod::None,
            secret: !self.secrets.is_empty(),
            keys: self.keys.clone(),
        }
    }

    /// Whether this is one of its live secrets, compared in constant time.
    pub fn accepts(&self, sent: &str) -> bool {
        let sent = digest32(sent);
        self.secrets.iter().any(|live| secret::equal(live, &sent))
    }

    /// For the authorization endpoint.
    pub fn client(&self) -> Client {
        Client {
            id: self.id.clone(),
            name: self.name.clone(),
            origin: Origin::Operator,
            refresh: self.refresh,
            redirects: self.redirects.clone(),
            proofs: self.proofs(),
            scopes: self.scopes.clone(),
            pushed_only: self.pushed_only,
            bound: self.bound,
            exchange: self.exchange.clone(),
            device: self.device,
        }
    }
}

/// What is kept of a secret that an operator chose, if it can be one: long enough for a fast hash, and of characters
/// that read the same with and without the encoding that some clients forget.
pub fn digest_of_secret(secret: &SecretString) -> Option<String> {
    let text = secret.expose();
    let usable = text.len() >= SHORTEST_SECRET && text.len() <= 256 && text.bytes().all(is_unreserved);
    usable.then(|| encoding::base64url(&digest32(text)))
}

const fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~')
}

/// Never one that a registration could have, nor a person's: `sub` and `client_id` stand beside each other in tokens.
pub fn is_usable_id(id: &str) -> bool {
    let plain = (1..=LONGEST_ID).contains(&id.len()) && id.bytes().all(is_unreserved);
    if document::is_document(id) {
        return ClientMetadataUrl::parse(id).is_ok();
    }
    plain && !id.starts_with(registered::PREFIX) && PersonId::parse(id).is_none()
}

/// Without a code there is nothing to answer.
fn nowhere(record: &ClientRecord) -> Result<Redirects, OperatorClientError> {
    if record.redirect_uris.is_empty() && record.redirect_rules.is_empty() {
        return Ok(Redirects::default());
    }
    Err(OperatorClientError::GrantTypes)
}

fn redirects(record: &ClientRecord) -> Result<Redirects, OperatorClientError> {
    let parse = |text: &String| {
        RedirectUri::parse(text).map_err(|error| OperatorClientError::Redirect(text.clone(), error))
    };
    let texts = record.redirect_uris.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
    if let Some(unknown) = record.redirect_rules.iter().find(|name| !known::is_rule(name)) {
        return Err(OperatorClientError::Rule(unknown.clone()));
    }
    if texts.is_empty() && record.redirect_rules.is_empty() {
        return Err(OperatorClientError::NoRedirects);
    }
    Ok(Redirects { texts, rules: record.redirect_rules.clone(), ..Redirects::default() })
}

fn secrets(auth: AuthMethod, record: &ClientRecord) -> Result<Vec<[u8; 32]>, OperatorClientError> {
    let digest = |text: &String| encoding::array_from_base64url(text).ok_or(OperatorClientError::SecretForm);
    match (auth, record.secrets.len()) {
        (AuthMethod::None | AuthMethod::PrivateKeyJwt, 0) => Ok(Vec::new()),
        (AuthMethod::None | AuthMethod::PrivateKeyJwt, _) => Err(OperatorClientError::SecretWithoutUse),
        (AuthMethod::SecretBasic | AuthMethod::SecretPost, 1..=MAX_SECRETS) => {
            record.secrets.iter().map(digest).collect()
        }
        (AuthMethod::SecretBasic | AuthMethod::SecretPost, _) => Err(OperatorClientError::Secrets),
    }
}

fn keys(auth: AuthMethod, record: &ClientRecord) -> Result<Option<ClientKeys>, OperatorClientError> {
    let place = match (auth, &record.jwks, &record.jwks_uri) {
        (AuthMethod::PrivateKeyJwt, Some(set), None) => {
            let keys = KeySet::parse(set.to_string().as_bytes()).map_err(|_| OperatorClientError::KeySet)?;
            if keys.keys().is_empty() {
                return Err(OperatorClientError::KeySet);
            }
            KeyPlace::Inline(keys)
        }
        (AuthMethod::PrivateKeyJwt, None, Some(url)) => {
            let parsed = EndpointUrl::parse(url).map_err(|_| OperatorClientError::KeyPlace)?;
            KeyPlace::At(parsed.parsed().clone())
        }
        (AuthMethod::None | AuthMethod::SecretBasic | AuthMethod::SecretPost, None, None) => return Ok(None),
        _ => return Err(OperatorClientError::Keys),
    };
    let named = record.jwks.as_ref().map(Value::to_string).or_else(|| record.jwks_uri.clone());
    Ok(Some(ClientKeys::new(place, None, &named.unwrap_or_default())))
}

fn exchange(auth: AuthMethod, record: &ClientRecord) -> Result<Option<Exchange>, OperatorClientError> {
    if !record.grant_types.iter().any(|name| name == TOKEN_EXCHANGE) {
        let unused = record.exchange_from.is_some() || record.exchange_lifetime.is_some();
        return if unused { Err(OperatorClientError::ExchangeWithoutUse) } else { Ok(None) };
    }
    let from = record.exchange_from.clone().unwrap_or_default();
    if auth == AuthMethod::None && !from.is_empty() {
        return Err(OperatorClientError::ExchangeWithoutProof);
    }
    if record.exchange_lifetime.is_some_and(|seconds| !EXCHANGE_LIFETIME.contains(&seconds)) {
        return Err(OperatorClientError::ExchangeLifetime);
    }
    Ok(Some(Exchange { from, lifetime: record.exchange_lifetime.map(Duration::from_secs) }))
}

fn machine(auth: AuthMethod, record: &ClientRecord) -> Result<Option<Machine>, OperatorClientError> {
    if !record.grant_types.iter().any(|name| name == "client_credentials") {
        let unused = record.resources.is_some();
        return if unused { Err(OperatorClientError::ResourcesWithoutUse) } else { Ok(None) };
    }
    if auth == AuthMethod::None {
        return Err(OperatorClientError::MachineWithoutProof);
    }
    machine_of(record.scopes.as_deref().unwrap_or_default(), record.resources.as_deref()).map(Some)
}

/// The ceiling of somebody whom no person is asked about.
pub fn machine_of(names: &[String], resources: Option<&[String]>) -> Result<Machine, OperatorClientError> {
    let scopes = scopes(Some(names))?.filter(|scopes| !scopes.is_empty());
    let scopes = scopes.ok_or(OperatorClientError::MachineWithoutScopes)?;
    let parse =
        |text: &String| ResourceUri::parse(text).map_err(|_| OperatorClientError::Resource(text.clone()));
    let resources = resources.map(|all| all.iter().map(parse).collect::<Result<Vec<_>, _>>()).transpose()?;
    Ok(Machine { scopes, resources })
}

fn scopes(scopes: Option<&[String]>) -> Result<Option<Scope>, OperatorClientError> {
    let Some(scopes) = scopes else { return Ok(None) };
    match scopes.iter().find(|name| !scope::is_token(name)) {
        Some(bad) => Err(OperatorClientError::Scope(bad.clone())),
        None => Ok(Some(Scope::of(scopes.iter().map(String::as_str)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn record(change: impl FnOnce(&mut Value)) -> Result<OperatorClient, OperatorClientError> {
        let mut record = json!({
            "name": "Reports", "redirect_uris": ["https://reports.example/cb"], "auth": "none",
            "grant_types": ["authorization_code", "refresh_token"],
        });
        change(&mut record);
        OperatorClient::new("reports", &serde_json::from_value(record).unwrap())
    }

    fn secret(text: &str) -> Value {
        json!(digest_of_secret(&SecretString::new(text)).unwrap())
    }

    const ONE: &str = "one-secret-of-the-client-abc";
    const TWO: &str = "two-secret-of-the-client-abc";

    #[test]
    fn as_133_two_secrets_are_good_at_the_same_time() {
        let both = record(|r| {
            r["auth"] = json!("client_secret_post");
            r["secrets"] = json!([secret(TWO), secret(ONE)]);
        });
        let both = both.unwrap();
        assert!(both.accepts(ONE) && both.accepts(TWO) && !both.accepts("") && !both.accepts("one"));
        let newest = record(|r| {
            r["auth"] = json!("client_secret_post");
            r["secrets"] = json!([secret(TWO)]);
        });
        assert!(!newest.unwrap().accepts(ONE));
    }

    #[test]
    fn as_034_as_035_as_061_what_cannot_be_a_client() {
        use OperatorClientError::*;
        for (name, value, error) in [
            ("redirect_uris", json!([]), NoRedirects),
            ("redirect_rules", json!(["nobody"]), Rule("nobody".into())),
            ("auth", json!("tls_client_auth"), Method("tls_client_auth".into())),
            ("auth", json!("client_secret_basic"), Secrets),
            ("auth", json!("private_key_jwt"), Keys),
            ("jwks_uri", json!("https://reports.example/jwks"), Keys),
            ("secrets", json!([secret(ONE)]), SecretWithoutUse),
            ("grant_types", json!(["refresh_token"]), GrantTypes),
            ("grant_types", json!([]), GrantTypes),
            ("grant_types", json!(["authorization_code", "implicit"]), GrantTypes),
            ("scopes", json!(["a b"]), Scope("a b".into())),
            ("grant_types", json!(["authorization_code", "client_credentials"]), MachineWithoutProof),
            ("grant_types", json!(["client_credentials", "refresh_token"]), GrantTypes),
            ("resources", json!(["https://mcp.example/a"]), ResourcesWithoutUse),
        ] {
            assert_eq!(record(|r| r[name] = value.clone()).unwrap_err(), error, "{name} {value}");
        }
        assert!(matches!(record(|r| r["redirect_uris"] = json!(["javascript:x"])), Err(Redirect(..))));
        let three = json!([secret(ONE), secret(TWO), secret("three-secret-of-the-client")]);
        let of_secrets = |secrets: Value| {
            record(|r| {
                r["auth"] = json!("client_secret_basic");
                r["secrets"] = secrets;
            })
        };
        assert_eq!(of_secrets(three).unwrap_err(), Secrets);
        assert_eq!(of_secrets(json!(["plain"])).unwrap_err(), SecretForm);
        for weak in ["short", "has a space in it, is long", "percent%20encoded-and-long-enough"] {
            assert_eq!(digest_of_secret(&SecretString::new(weak)), None, "{weak}");
        }
    }

    #[test]
    fn as_152_as_153_a_machine_proves_itself_and_has_a_ceiling() {
        use OperatorClientError::*;
        let machine = |change: &dyn Fn(&mut Value)| {
            record(|r| {
                r["grant_types"] = json!(["client_credentials"]);
                r["redirect_uris"] = json!([]);
                r["auth"] = json!("client_secret_basic");
                r["secrets"] = json!([secret(ONE)]);
                r["scopes"] = json!(["read"]);
                change(r);
            })
        };
        let made = machine(&|r| r["resources"] = json!(["https://mcp.example/a"])).unwrap();
        let ceiling = made.machine().unwrap();
        assert!(!made.is_for_people() && !made.may_refresh() && ceiling.scopes.contains("read"));
        assert!(ceiling.resources.as_ref().unwrap()[0].is_meant_by("https://mcp.example/a/"));
        assert_eq!(machine(&|_| {}).unwrap().machine().unwrap().resources, None);
        for (name, value, error) in [
            ("scopes", json!(null), MachineWithoutScopes),
            ("scopes", json!([]), MachineWithoutScopes),
            ("redirect_uris", json!(["https://reports.example/cb"]), GrantTypes),
            ("resources", json!(["calendar"]), Resource("calendar".into())),
            ("grant_types", json!(["client_credentials", "password"]), GrantTypes),
        ] {
            assert_eq!(machine(&|r| r[name] = value.clone()).unwrap_err(), error, "{name} {value}");
        }
        let public = machine(&|r| {
            r["auth"] = json!("none");
            r["secrets"] = json!([]);
        });
        assert_eq!(public.unwrap_err(), MachineWithoutProof);
    }

    #[test]
    fn as_177_who_exchanges_for_others_proves_itself_and_says_so() {
        use OperatorClientError::*;
        let agent = |change: &dyn Fn(&mut Value)| {
            record(|r| {
                r["grant_types"] = json!([TOKEN_EXCHANGE]);
                r["redirect_uris"] = json!([]);
                r["auth"] = json!("client_secret_basic");
                r["secrets"] = json!([secret(ONE)]);
                change(r);
            })
        };
        assert_eq!(agent(&|_| {}).unwrap().exchange().unwrap().from, [""; 0], "its own alone");
        let for_another = agent(&|r| r["exchange_from"] = json!(["agent"])).unwrap();
        assert_eq!(for_another.exchange().unwrap().from, ["agent"]);
        assert!(!for_another.is_for_people() && for_another.machine().is_none());
        let public = |from: &'static [&str]| {
            agent(&|r| {
                (r["auth"], r["secrets"]) = (json!("none"), json!([]));
                r["exchange_from"] = json!(from);
            })
        };
        assert!(public(&[]).unwrap().exchange().is_some(), "less of what it holds");
        assert_eq!(public(&["agent"]).unwrap_err(), ExchangeWithoutProof);
        let unused = agent(&|r| {
            (r["grant_types"], r["exchange_from"]) = (json!([]), json!(["agent"]));
        });
        assert_eq!(unused.unwrap_err(), ExchangeWithoutUse);
        for (seconds, outcome) in [(9, false), (10, true), (86_400, true), (86_401, false), (0, false)] {
            let limited = agent(&|r| r["exchange_lifetime"] = json!(seconds));
            assert_eq!(limited.is_ok(), outcome, "{seconds}");
        }
        assert_eq!(agent(&|_| {}).unwrap().exchange().unwrap().lifetime, None);
        let unused = agent(&|r| (r["grant_types"], r["exchange_lifetime"]) = (json!([]), json!(60)));
        assert_eq!(unused.unwrap_err(), ExchangeWithoutUse);
    }

    #[test]
    fn as_208_a_server_that_only_asks_has_a_secret_and_nowhere_to_answer() {
        let asks = |redirects: Value, auth: &str| {
            record(|r| {
                r["grant_types"] = json!([]);
                r["redirect_uris"] = redirects;
                r["auth"] = json!(auth);
                r["secrets"] = json!([secret(ONE)]);
            })
        };
        assert!(asks(json!([]), "client_secret_basic").is_ok());
        assert_eq!(
            asks(json!(["https://r.example/cb"]), "client_secret_basic").unwrap_err(),
            OperatorClientError::GrantTypes
        );
    }

    #[test]
    fn as_035_as_043_ids_of_operators_are_no_others() {
        let good = json!({"name": "", "redirect_rules": ["chatgpt-connector"], "auth": "none", "grant_types": ["authorization_code"]});
        let good: ClientRecord = serde_json::from_value(good).unwrap();
        let person = PersonId::new(
            hallpass_core::time::Timestamp::from_seconds(1),
            &hallpass_core::entropy::SystemEntropy,
        );
        for (id, usable) in [
            ("reports", true),
            ("0oa1b2.c3~d_e-f", true),
            ("https://grok.com/oauth/mcp-client.json", true),
            ("https://grok.com/", false),
            ("http://grok.com/oauth", false),
            ("hpc_AQ", false),
            ("", false),
            ("a b", false),
            ("ä", false),
            (&"x".repeat(161), false),
            (&person.to_string(), false),
        ] {
            assert_eq!(OperatorClient::new(id, &good).is_ok(), usable, "{id}");
        }
    }
}
