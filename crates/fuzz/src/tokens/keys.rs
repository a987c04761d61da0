//! Four keys that everybody knows, of them two for one algorithm, and those of an attacker.

use crate::mutate::Dice;
use hallpass_core::jose::{Algorithm, KeySet, SigningKey, jwk};
use serde_json::Value;

/// Who signs, by number: an RSA key, Ed25519, and two of P-256.
pub struct Keys {
    known: Vec<SigningKey>,
    attackers: Vec<SigningKey>,
    /// What we verify with.
    pub set: KeySet,
}

impl Keys {
    /// New ones.
    pub fn generate() -> Self {
        let make = |algorithms: &[Algorithm]| -> Vec<SigningKey> {
            algorithms.iter().map(|each| SigningKey::generate(*each).expect("a key")).collect()
        };
        let known = make(&[Algorithm::Rs256, Algorithm::EdDsa, Algorithm::Es256, Algorithm::Es256]);
        let attackers = make(&[Algorithm::Rs256, Algorithm::EdDsa, Algorithm::Es256]);
        let set = KeySet::from_keys(known.iter().map(SigningKey::verifying_key).collect());
        Self { known, attackers, set }
    }

    /// As an issuer publishes them.
    pub fn published(&self) -> Value {
        jwk::set_to_json(&self.known.iter().map(|key| key.public_jwk().clone()).collect::<Vec<_>>())
    }

    /// One of them, RSA less often because its signatures take longest.
    pub(super) fn any(&self, dice: &mut Dice) -> usize {
        match dice.below(9) {
            0 => 0,
            1..=3 => 1,
            4..=6 => 2,
            _ => self.known.len() - 1,
        }
    }

    pub(super) fn key(&self, number: usize) -> &SigningKey {
        &self.known[number]
    }

    /// The attacker's key for the same algorithm.
    pub(super) fn attackers(&self, number: usize) -> &SigningKey {
        let wanted = self.key(number).algorithm();
        self.attackers.iter().find(|key| key.algorithm() == wanted).expect("one for each")
    }

    pub(super) fn id(&self, number: usize) -> &str {
        self.key(number).key_id()
    }

    pub(super) fn name(&self, number: usize) -> &'static str {
        self.key(number).algorithm().name()
    }
}
