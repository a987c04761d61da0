//! Numbers modulo the prime of P-256 (SP 800-186 §3.2.1.3), multiplied by code that was proven correct by machine.

use crypto_bigint::{Odd, U256};
use fiat_crypto::p256_64 as fiat;
use std::ops::{Add, Mul, Neg, Sub};

/// 2^256 - 2^224 + 2^192 + 2^96 - 1.
const MODULUS: Odd<U256> =
    Odd::<U256>::from_be_hex("ffffffff00000001000000000000000000000000ffffffffffffffffffffffff");

/// A number modulo the prime, always reduced, in Montgomery's form.
#[derive(Clone, Copy)]
pub(super) struct Field(fiat::fiat_p256_montgomery_domain_field_element);

const EMPTY: fiat::fiat_p256_montgomery_domain_field_element =
    fiat::fiat_p256_montgomery_domain_field_element([0; 4]);

impl Field {
    /// One.
    pub(super) fn one() -> Self {
        let mut out = EMPTY;
        fiat::fiat_p256_set_one(&mut out);
        Self(out)
    }

    /// Reads 32 bytes, most significant first; nothing for a number that is not below the prime.
    pub(super) fn from_be_bytes(bytes: &[u8; 32]) -> Option<Self> {
        let number = U256::from_be_slice(bytes);
        (number < *MODULUS.as_ref()).then(|| Self::from_reduced(&number))
    }

    fn from_reduced(number: &U256) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(number.to_le_bytes().as_ref());
        let (mut plain, mut out) = (fiat::fiat_p256_non_montgomery_domain_field_element([0; 4]), EMPTY);
        fiat::fiat_p256_from_bytes(&mut plain.0, &bytes);
        fiat::fiat_p256_to_montgomery(&mut out, &plain);
        Self(out)
    }

    pub(super) fn square(self) -> Self {
        let mut out = EMPTY;
        fiat::fiat_p256_square(&mut out, &self.0);
        Self(out)
    }

    pub(super) fn is_zero(self) -> bool {
        self.0.0 == [0; 4]
    }

    /// Nothing for zero.
    pub(super) fn invert(self) -> Option<Self> {
        let (mut plain, mut bytes) = (fiat::fiat_p256_non_montgomery_domain_field_element([0; 4]), [0; 32]);
        fiat::fiat_p256_from_montgomery(&mut plain, &self.0);
        fiat::fiat_p256_to_bytes(&mut bytes, &plain.0);
        let inverse: Option<U256> = U256::from_le_slice(&bytes).invert_odd_mod_vartime(&MODULUS).into();
        inverse.map(|inverse| Self::from_reduced(&inverse))
    }
}

impl Add for Field {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let mut out = EMPTY;
        fiat::fiat_p256_add(&mut out, &self.0, &other.0);
        Self(out)
    }
}

impl Sub for Field {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        let mut out = EMPTY;
        fiat::fiat_p256_sub(&mut out, &self.0, &other.0);
        Self(out)
    }
}

impl Mul for Field {
    type Output = Self;

    fn mul(self, other: Self) -> Self {
        let mut out = EMPTY;
        fiat::fiat_p256_mul(&mut out, &self.0, &other.0);
        Self(out)
    }
}

impl Neg for Field {
    type Output = Self;

    fn neg(self) -> Self {
        let mut out = EMPTY;
        fiat::fiat_p256_opp(&mut out, &self.0);
        Self(out)
    }
}
