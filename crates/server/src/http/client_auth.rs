//! Who calls an endpoint that clients authenticate at (RFC 6749 §2.3).

mod credentials;

use super::respond::Refusal;
use crate::{
    app::App,
    audit::Reason,
    clients::{
        self, AuthMethod, Client, ClientRefusal, Proofs,
        assertions::Unspent,
        document,
        keys::{ClientKeys, KeyRefusal},
        known,
        operator::{Exchange, Machine, OperatorClient},
        registered,
    },
    router::Incoming,
};
use credentials::{Credentials, Presented};
use hallpass_core::{
    error::ErrorCode,
    jwt::client_assertion::{ClientAssertionError, Expectations},
    parameters::{Limits, Parameters},
    scope::Scope,
    secret,
    time::Timestamp,
};
use std::{sync::Arc, time::Duration};

/// When a suspended client may ask again: how often its document is looked at.
const SUSPENDED: Duration = Duration::from_mins(5);

/// When an assertion is spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spend {
    /// Now, in the memory of this node: nothing is written for it.
    Now,
    /// With the write that it pays for, and only if that happens.
    WithTheWrite,
}

/// Proof of who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of the client's own")]
pub struct AuthenticatedClient {
    id: String,
    name: String,
    refresh: bool,
    scopes: Option<Scope>,
    assertion: Option<Unspent>,
    confidential: bool,
    people: bool,
    asserts: bool,
    machine: Option<Arc<Machine>>,
    bound: bool,
    exchange: Option<Arc<Exchange>>,
}

impl AuthenticatedClient {
    /// Somebody whom no operator made: it acts for people, and for nobody else.
    fn stranger(id: &str, name: &str) -> Self {
        Self {
            id: id.to_owned(),
            name: name.to_owned(),
            refresh: false,
            scopes: None,
            assertion: None,
            confidential: false,
            people: true,
            asserts: false,
            machine: None,
            bound: false,
            exchange: None,
        }
    }

    /// The `client_id` as written.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// What it registered as its name; empty for a metadata document's client, which is shown by its host.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the client registered the grant type `refresh_token`.
    pub const fn may_refresh(&self) -> bool {
        self.refresh
    }

    /// Whether it acts for people: by codes, and refresh tokens.
    pub const fn is_for_people(&self) -> bool {
        self.people
    }

    /// Whether an operator lets it bring identity assertions.
    pub const fn may_assert(&self) -> bool {
        self.asserts
    }

    /// What it may get by itself, if an operator said that it may.
    pub fn machine(&self) -> Option<&Machine> {
        self.machine.as_deref()
    }

    /// Whose tokens it may exchange, if it may at all.
    pub fn exchange(&self) -> Option<&Exchange> {
        self.exchange.as_deref()
    }

    /// All that it can ever get, where an operator said so.
    pub const fn scopes(&self) -> Option<&Scope> {
        self.scopes.as_ref()
    }

    /// Whether it proved who it is, by a secret or a key; else everybody may say the same id.
    pub const fn is_confidential(&self) -> bool {
        self.confidential
    }

    /// Whether it wants tokens only that are bound to a key (RFC 9449 §5.2).
    pub const fn wants_bound(&self) -> bool {
        self.bound
    }

    /// The assertion that the write of an exchange spends.
    pub const fn assertion(&self) -> Option<&Unspent> {
        self.assertion.as_ref()
    }

    /// Whether it proved a key of its own, which says more than any token that it holds.
    pub const fn proved_key(&self) -> bool {
        self.assertion.is_some()
    }
}

/// Broken rules of client authentication.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAuthRefusal {
    /// No `client_id` anywhere.
    Missing,
    /// More than one way of authentication, or two different client ids.
    TwoMethods,
    /// The `Authorization` header is not Basic with base64 of `id:secret`.
    MalformedHeader,
    /// Not a client of ours. A wrong secret looks the same.
    Unknown,
    /// Its id says that it was made under a master key which this node does not have yet.
    KeyNotHere,
    /// The operator does not want it.
    Blocked,
    /// Its document has been gone for long: it may come back.
    Suspended,
    /// A secret is due and none was sent.
    SecretMissing,
    /// Not the secret.
    SecretWrong,
    /// The client registered as public and sends a secret: it was misled, or somebody downgrades.
    SecretOfPublicClient,
    /// A method that this server does not offer.
    MethodNotOffered,
    /// A method that is not the client's.
    MethodNotRegistered,
    /// A signature is due and none was sent.
    AssertionMissing,
    /// The assertion breaks a rule.
    Assertion(ClientAssertionError),
    /// The assertion was used before.
    AssertionSpent,
    /// The client's keys are gone or are none.
    NoKeys,
    /// The client's keys cannot be reached right now.
    KeysUnreachable,
    /// The store failed.
    Unavailable,
}

impl Reason for ClientAuthRefusal {
    fn reason(&self) -> &'static str {
        match self {
            Self::Missing => "client_missing",
            Self::TwoMethods => "client_two_methods",
            Self::MalformedHeader => "client_malformed_header",
            Self::Unknown => "client_unknown",
            Self::KeyNotHere => "client_master_key_not_here",
            Self::Blocked => "client_blocked",
            Self::Suspended => "client_suspended",
            Self::SecretMissing => "client_secret_missing",
            Self::SecretWrong => "client_secret_wrong",
            Self::SecretOfPublicClient => "client_secret_of_public_client",
            Self::MethodNotOffered => "client_method_not_offered",
            Self::MethodNotRegistered => "client_method_not_registered",
            Self::AssertionMissing => "client_assertion_missing",
            Self::Assertion(error) => error.reason(),
            Self::AssertionSpent => "client_assertion_spent",
            Self::NoKeys => "client_keys_gone",
            Self::KeysUnreachable => "client_keys_unreachable",
            Self::Unavailable => "store",
        }
    }
}

impl ClientAuthRefusal {
    /// What the client learns.
    pub fn refusal(self, by_header: bool) -> Refusal {
        let refusal = match self {
            Self::Missing => Refusal::new(ErrorCode::InvalidRequest, "client_id is required"),
            Self::TwoMethods => {
                Refusal::new(ErrorCode::InvalidRequest, "use one method of client authentication only")
            }
            Self::MethodNotOffered => {
                Refusal::new(ErrorCode::InvalidClient, "this method of client authentication is not offered")
            }
            Self::Blocked => Refusal::new(ErrorCode::InvalidClient, "this client is not allowed here"),
            Self::Suspended => Refusal {
                back_in: Some(SUSPENDED),
                ..Refusal::new(
                    ErrorCode::TemporarilyUnavailable,
                    "the metadata document of the client is gone: try again later, nothing was lost",
                )
            },
            Self::MethodNotRegistered | Self::AssertionMissing => Refusal::new(
                ErrorCode::InvalidClient,
                "use the authentication method that the client registered",
            ),
            Self::Assertion(_) | Self::AssertionSpent => Refusal::new(
                ErrorCode::InvalidClient,
                "the client assertion is not accepted: sign a new one, with the issuer as its only audience",
            ),
            Self::NoKeys => Refusal::new(ErrorCode::InvalidClient, "the keys of the client cannot be used"),
            Self::KeyNotHere | Self::KeysUnreachable | Self::Unavailable => {
                Refusal::new(ErrorCode::TemporarilyUnavailable, "try again in a moment: nothing was lost")
            }
            Self::SecretOfPublicClient => {
                Refusal::new(ErrorCode::InvalidClient, "this client is registered without a secret")
            }
            Self::MalformedHeader | Self::Unknown | Self::SecretMissing | Self::SecretWrong => {
                Refusal::new(ErrorCode::InvalidClient, "unknown client or wrong credentials: register again")
            }
        };
        Refusal { basic: by_header, ..refusal }
    }
}

/// The client that a request names, true or not; empty where it names none.
pub fn named(incoming: &Incoming) -> String {
    let parameters = Parameters::parse(&incoming.body, Limits::default()).ok();
    let read = parameters.and_then(|parameters| credentials::read(&incoming.headers, &parameters).ok());
    read.map(|credentials| credentials.id).unwrap_or_default()
}

/// The `client_id` of whoever says to call, not yet believed.
pub fn claimed(incoming: &Incoming, parameters: &Parameters) -> Result<String, (ClientAuthRefusal, bool)> {
    match credentials::read(&incoming.headers, parameters) {
        Ok(credentials) => Ok(credentials.id),
        Err(refusal) => Err((refusal, incoming.headers.contains_key("authorization"))),
    }
}

/// Finds out who calls, or why not. The flag says whether the `Authorization` header was used.
pub async fn authenticate(
    app: &App,
    incoming: &Incoming,
    parameters: &Parameters,
    spend: Spend,
) -> Result<AuthenticatedClient, (ClientAuthRefusal, bool)> {
    authenticate_as(app, incoming, parameters, spend, None).await
}

/// The same where a client begins something, before any person has said yes to it: it was just found at its source.
/// Nothing is written for it, so an assertion is spent in the memory of this node.
pub async fn authenticate_found(
    app: &App,
    incoming: &Incoming,
    parameters: &Parameters,
    found: &Client,
) -> Result<AuthenticatedClient, (ClientAuthRefusal, bool)> {
    authenticate_as(app, incoming, parameters, Spend::Now, Some(found)).await
}

async fn authenticate_as(
    app: &App,
    incoming: &Incoming,
    parameters: &Parameters,
    spend: Spend,
    found: Option<&Client>,
) -> Result<AuthenticatedClient, (ClientAuthRefusal, bool)> {
    let by_header = incoming.headers.contains_key("authorization");
    let authenticated = async {
        let credentials = credentials::read(&incoming.headers, parameters)?;
        let client = check(app, &credentials, found, incoming.cx.now).await?;
        let fresh = match (&client.assertion, spend) {
            (None, _) => true,
            (Some(assertion), Spend::Now) => app.spent.spend(assertion),
            (Some(assertion), Spend::WithTheWrite) => !app.spent.is_spent(assertion),
        };
        if fresh { Ok(client) } else { Err(ClientAuthRefusal::AssertionSpent) }
    };
    authenticated.await.map_err(|refusal| (refusal, by_header))
}

async fn check(
    app: &App,
    credentials: &Credentials,
    found: Option<&Client>,
    now: Timestamp,
) -> Result<AuthenticatedClient, ClientAuthRefusal> {
    let id = &credentials.id;
    if found.is_some_and(|found| found.id != *id) {
        return Err(ClientAuthRefusal::Unknown);
    }
    if app.blocks.client(id) {
        return Err(ClientAuthRefusal::Blocked);
    }
    let made = clients::by_operator(app, id).await.map_err(|_| ClientAuthRefusal::Unavailable)?;
    if let Some(client) = made {
        return by_operator(app, &client, &credentials.presented, now).await;
    }
    if document::is_document(id) {
        return by_document(app, id, found, &credentials.presented, now).await;
    }
    by_registration(app, id, &credentials.presented)
}

/// One with a metadata document, held to what it lists.
async fn by_document(
    app: &App,
    id: &str,
    found: Option<&Client>,
    presented: &Presented,
    now: Timestamp,
) -> Result<AuthenticatedClient, ClientAuthRefusal> {
    let host = url::Url::parse(id).ok().and_then(|url| url.host_str().map(str::to_owned));
    if !host.is_some_and(|host| app.settings.documents.allow(&host)) {
        return Err(ClientAuthRefusal::Blocked);
    }
    let kept;
    let client = if let Some(found) = found {
        found
    } else {
        // By the copy that is kept: no exchange waits for a fetch of the document.
        kept = app.documents.kept(id, app.settings.document_life, now).await.map_err(of_document)?;
        &*kept
    };
    let assertion = match presented {
        Presented::Assertion(text) => Some(proven(app, id, &client.proofs, text, now).await?),
        Presented::Nothing if client.proofs.none => None,
        Presented::Nothing => return Err(ClientAuthRefusal::AssertionMissing),
        Presented::Secret(_) => return Err(ClientAuthRefusal::SecretOfPublicClient),
    };
    let (confidential, refresh, bound) = (assertion.is_some(), client.refresh, client.bound);
    let exchange = client.exchange.clone();
    let stranger = AuthenticatedClient::stranger(id, client.name.as_str());
    Ok(AuthenticatedClient { refresh, assertion, confidential, bound, exchange, ..stranger })
}

/// One that registered itself, held to the method in its id.
fn by_registration(
    app: &App,
    id: &str,
    presented: &Presented,
) -> Result<AuthenticatedClient, ClientAuthRefusal> {
    if registered::is_later(&app.keys, id) {
        return Err(ClientAuthRefusal::KeyNotHere);
    }
    let client = registered::read_head(&app.keys, id).ok_or(ClientAuthRefusal::Unknown)?;
    match (client.auth, presented) {
        (AuthMethod::None, Presented::Nothing) => {}
        (AuthMethod::None, Presented::Secret(_)) => return Err(ClientAuthRefusal::SecretOfPublicClient),
        (AuthMethod::SecretBasic | AuthMethod::SecretPost, Presented::Nothing) => {
            return Err(ClientAuthRefusal::SecretMissing);
        }
        (AuthMethod::SecretBasic | AuthMethod::SecretPost, Presented::Secret(sent)) => {
            let expected = registered::secret(&app.keys, id).ok_or(ClientAuthRefusal::Unknown)?;
            if !secret::equal(sent.expose().as_bytes(), expected.expose().as_bytes()) {
                return Err(ClientAuthRefusal::SecretWrong);
            }
        }
        (_, Presented::Assertion(_)) | (AuthMethod::PrivateKeyJwt, _) => {
            return Err(ClientAuthRefusal::MethodNotRegistered);
        }
    }
    let (confidential, refresh, bound) = (client.auth != AuthMethod::None, client.refresh, client.bound);
    let stranger = AuthenticatedClient::stranger(id, &client.name);
    Ok(AuthenticatedClient { refresh, confidential, bound, ..stranger })
}

/// One that an operator made, held to the method that the operator gave it.
async fn by_operator(
    app: &App,
    client: &OperatorClient,
    presented: &Presented,
    now: Timestamp,
) -> Result<AuthenticatedClient, ClientAuthRefusal> {
    let proofs = client.proofs();
    let assertion = match presented {
        Presented::Nothing if proofs.none => None,
        Presented::Nothing if proofs.secret => return Err(ClientAuthRefusal::SecretMissing),
        Presented::Nothing => return Err(ClientAuthRefusal::AssertionMissing),
        Presented::Secret(sent) if proofs.secret && client.accepts(sent.expose()) => None,
        Presented::Secret(_) if proofs.secret => return Err(ClientAuthRefusal::SecretWrong),
        Presented::Secret(_) if proofs.none => return Err(ClientAuthRefusal::SecretOfPublicClient),
        Presented::Secret(_) => return Err(ClientAuthRefusal::MethodNotRegistered),
        Presented::Assertion(text) => Some(proven(app, client.id(), &proofs, text, now).await?),
    };
    Ok(AuthenticatedClient {
        id: client.id().to_owned(),
        name: client.name().to_owned(),
        refresh: client.may_refresh(),
        scopes: client.scopes().cloned(),
        assertion,
        confidential: !matches!(presented, Presented::Nothing),
        people: client.is_for_people(),
        asserts: client.may_assert(),
        machine: client.machine().cloned(),
        bound: client.wants_bound(),
        exchange: client.exchange().cloned(),
    })
}

/// Verifies the assertion with the client's own keys.
async fn proven(
    app: &App,
    id: &str,
    proofs: &Proofs,
    compact: &str,
    now: Timestamp,
) -> Result<Unspent, ClientAuthRefusal> {
    let keys: &ClientKeys = proofs.keys.as_ref().ok_or(ClientAuthRefusal::MethodNotRegistered)?;
    let (issuer, endpoint) = (app.settings.issuer.as_str(), app.settings.issuer.endpoint("/token"));
    let old = known::signs_for_token_endpoint(id)
        || app.settings.old_assertion_audience.iter().any(|one| one == id);
    let both = [issuer, endpoint.as_str()];
    let audiences = if old { both.as_slice() } else { &both[..1] };
    let expected = Expectations { client_id: id, audiences, now };
    let assertion =
        app.client_keys.verify(keys, compact, &expected).await.map_err(|refusal| match refusal {
            KeyRefusal::Assertion(error) => ClientAuthRefusal::Assertion(error),
            KeyRefusal::NoKeys => ClientAuthRefusal::NoKeys,
            KeyRefusal::Unreachable(error) => {
                tracing::warn!(client = id, ?error, "the keys of a client cannot be reached");
                ClientAuthRefusal::KeysUnreachable
            }
        })?;
    Ok(Unspent::new(id, &assertion))
}

const fn of_document(refusal: ClientRefusal) -> ClientAuthRefusal {
    match refusal {
        ClientRefusal::Unavailable => ClientAuthRefusal::Unavailable,
        ClientRefusal::KeyNotHere => ClientAuthRefusal::KeyNotHere,
        ClientRefusal::DocumentSuspended => ClientAuthRefusal::Suspended,
        ClientRefusal::Blocked => ClientAuthRefusal::Blocked,
        ClientRefusal::Missing
        | ClientRefusal::Unknown
        | ClientRefusal::NotForPeople
        | ClientRefusal::DocumentUrl(_)
        | ClientRefusal::DocumentHostNotAllowed
        | ClientRefusal::DocumentUnreachable(_)
        | ClientRefusal::DocumentGone
        | ClientRefusal::DocumentInvalid
        | ClientRefusal::DocumentAuthMethod => ClientAuthRefusal::Unknown,
    }
}
