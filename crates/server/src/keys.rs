//! The key that signs access tokens: made at the first start, sealed in the store.

use crate::app::StartError;
use bytes::Bytes;
use hallpass_core::{
    entropy::Entropy,
    jose::{Algorithm, KeySet, SigningKey},
    jwt::AccessTokenSigner,
    seal::{KeyRing, Purpose},
    time::Timestamp,
};
use hallpass_store::{Store, StoredKey};

/// What signs and what verifies.
pub struct TokenKeys {
    /// Signs new access tokens.
    pub signer: AccessTokenSigner,
    /// Verifies all that may still be alive.
    pub verifying: KeySet,
    /// The JWKS document.
    pub jwks: Bytes,
}

impl TokenKeys {
    /// Reads the keys, or makes the first one. Two nodes that start at once agree on the one that was kept.
    pub async fn load(
        store: &dyn Store,
        ring: &KeyRing,
        entropy: &dyn Entropy,
        now: Timestamp,
    ) -> Result<Self, StartError> {
        let mut stored = store.keys_read().await?;
        if stored.is_empty() {
            stored = store.key_put_first(fresh(ring, entropy, now)?).await?;
        }
        let keys = stored.iter().map(|key| open(ring, key)).collect::<Result<Vec<_>, _>>()?;
        let jwks = serde_json::json!({ "keys": keys.iter().map(|key| key.public_jwk().to_json()).collect::<Vec<_>>() });
        let verifying = KeySet::from_keys(keys.iter().map(SigningKey::verifying_key).collect());
        let signing = keys.into_iter().next_back().ok_or(StartError::WrongMasterKey)?;
        Ok(Self { signer: AccessTokenSigner::new(&signing), verifying, jwks: Bytes::from(jwks.to_string()) })
    }
}

fn fresh(ring: &KeyRing, entropy: &dyn Entropy, now: Timestamp) -> Result<StoredKey, StartError> {
    let key = SigningKey::generate(Algorithm::Es256).map_err(|_| StartError::NoSigningKey)?;
    let pkcs8 = key.to_pkcs8().map_err(|_| StartError::NoSigningKey)?;
    let kid = key.key_id().to_owned();
    let sealed = ring.seal(Purpose::SigningKey, context(&kid).as_bytes(), &pkcs8, entropy);
    Ok(StoredKey {
        kid,
        algorithm: Algorithm::Es256.name().to_owned(),
        sealed,
        created_at: now,
        retired_at: None,
    })
}

fn open(ring: &KeyRing, stored: &StoredKey) -> Result<SigningKey, StartError> {
    let pkcs8 = ring
        .open(Purpose::SigningKey, context(&stored.kid).as_bytes(), &stored.sealed)
        .map_err(|_| StartError::WrongMasterKey)?;
    let algorithm = Algorithm::from_name(&stored.algorithm).ok_or(StartError::WrongMasterKey)?;
    SigningKey::from_pkcs8(algorithm, &pkcs8).map_err(|_| StartError::WrongMasterKey)
}

/// Table, column and row: a sealed key moved to another row does not open.
fn context(kid: &str) -> String {
    format!("signing_key/sealed/{kid}")
}
