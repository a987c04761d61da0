//! Tokens of third parties at rest: sealed with table, person, connection and the one time that it was connected as
//! associated data. A row that somebody puts in the place of another's does not open (P12).

use crate::app::App;
use hallpass_client::storage::Tokens;
use hallpass_core::{
    entropy::Entropy,
    id::{ConnectionId, LinkId, PersonId},
    scope::Scope,
    seal::{KeyRing, NotOurs, Purpose},
    secret::SecretString,
    time::Timestamp,
};
use hallpass_store::{Connection, Store, StoreError};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// As sealed. A member that a later release adds is not an error.
#[derive(Serialize, Deserialize)]
struct Sealed<'a> {
    access_token: std::borrow::Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<std::borrow::Cow<'a, str>>,
    issued_at: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<i64>,
    #[serde(default)]
    scope: std::borrow::Cow<'a, str>,
}

/// The row that tokens are sealed for.
pub(crate) struct Place {
    purpose: Purpose,
    context: Vec<u8>,
}

impl Place {
    /// Of a connection.
    fn connection(person: PersonId, name: &str, id: ConnectionId) -> Self {
        let mut context = b"connection\0sealed\0".to_vec();
        context.extend_from_slice(person.as_bytes());
        context.extend_from_slice(id.as_bytes());
        context.extend_from_slice(name.as_bytes());
        Self { purpose: Purpose::ConnectionTokens, context }
    }

    /// Of a link to an identity provider.
    pub(crate) fn link(person: PersonId, id: LinkId) -> Self {
        let mut context = b"account_link\0sealed\0".to_vec();
        context.extend_from_slice(person.as_bytes());
        context.extend_from_slice(id.as_bytes());
        Self { purpose: Purpose::LinkTokens, context }
    }
}

/// Seals tokens for the row of a connection.
pub(crate) fn seal(
    app: &App,
    (person, name, id): (PersonId, &str, ConnectionId),
    tokens: &Tokens,
) -> Vec<u8> {
    seal_at(app, &Place::connection(person, name, id), tokens)
}

/// Seals tokens for their row.
pub(crate) fn seal_at(app: &App, place: &Place, tokens: &Tokens) -> Vec<u8> {
    let scope = tokens.scope.to_string();
    let sealed = Sealed {
        access_token: tokens.access_token.expose().into(),
        refresh_token: tokens.refresh_token.as_ref().map(|token| token.expose().into()),
        issued_at: tokens.issued_at.millis(),
        expires_at: tokens.expires_at.map(Timestamp::millis),
        scope: scope.into(),
    };
    let text = Zeroizing::new(serde_json::to_vec(&sealed).unwrap_or_default());
    app.keys.seal(place.purpose, &place.context, &text, &*app.entropy)
}

/// The tokens of a row, if they were sealed for it.
pub(crate) fn open(app: &App, row: &Connection) -> Result<Tokens, NotOurs> {
    open_at(app, &Place::connection(row.person, &row.name, row.id), &row.sealed)
}

/// The same of any row.
pub(crate) fn open_at(app: &App, place: &Place, sealed: &[u8]) -> Result<Tokens, NotOurs> {
    let text = Zeroizing::new(app.keys.open(place.purpose, &place.context, sealed)?);
    let sealed: Sealed<'_> = serde_json::from_slice(&text).map_err(|_| NotOurs)?;
    Ok(Tokens {
        access_token: SecretString::new(sealed.access_token),
        refresh_token: sealed.refresh_token.map(SecretString::new),
        issued_at: Timestamp::from_millis(sealed.issued_at),
        expires_at: sealed.expires_at.map(Timestamp::from_millis),
        scope: Scope::of(sealed.scope.split(' ')),
        proof_key: None,
    })
}

/// Seals the tokens of a row under the first master key of the ring, in one conditional write. `None` when the ring cannot open
/// them, `false` when somebody renews them: what comes of that would find another version.
///
/// # Errors
/// The store.
pub async fn reseal_one(
    store: &dyn Store,
    ring: &KeyRing,
    entropy: &dyn Entropy,
    (row, now): (&Connection, Timestamp),
) -> Result<Option<bool>, StoreError> {
    let place = Place::connection(row.person, &row.name, row.id);
    let Ok(text) = ring.open(place.purpose, &place.context, &row.sealed).map(Zeroizing::new) else {
        return Ok(None);
    };
    if now < row.held_until {
        return Ok(Some(false));
    }
    let sealed = ring.seal(place.purpose, &place.context, &text, entropy);
    store.connection_renew(row.id, row.version, sealed, row.renewed_at).await.map(Some)
}

/// Whether it was sealed by a node that has the next master key already: nothing is known of it then.
pub(crate) fn is_of_a_later_key(app: &App, sealed: &[u8]) -> bool {
    KeyRing::number_of(sealed).is_some_and(|number| app.keys.is_later(number))
}

/// Whether it is sealed under another key than what is new.
pub(crate) fn is_of_an_older_key(app: &App, row: &Connection) -> bool {
    KeyRing::number_of(&row.sealed).is_some_and(|number| number < app.keys.current())
}
