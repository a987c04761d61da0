//! Numbers modulo the order of P-256: what a signature is made of, and what points are multiplied with.

use crypto_bigint::{Odd, U256};
use fiat_crypto::p256_scalar_64 as fiat;

/// The order n of the group (SP 800-186 §3.2.1.3).
const ORDER: Odd<U256> =
    Odd::<U256>::from_be_hex("ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551");
/// The prime of the field less the order: a coordinate below it may have lost an `n` on its way into `r`.
const PRIME_LESS_ORDER: U256 =
    U256::from_be_hex("000000000000000000000000000000004319055358e8617b0c46353d039cdaae");

/// A number below the order.
#[derive(Clone, Copy, Debug)]
pub(super) struct Scalar(U256);

impl Scalar {
    /// One half of a signature, 32 bytes, most significant first; nothing unless it is from 1 to n - 1 (FIPS 186-5 §6.4.2).
    pub(super) fn of_signature(bytes: &[u8; 32]) -> Option<Self> {
        let number = U256::from_be_slice(bytes);
        (number != U256::ZERO && number < *ORDER.as_ref()).then_some(Self(number))
    }

    /// A SHA-256 digest as a number, reduced (FIPS 186-5 §6.4.2).
    pub(super) fn of_digest(digest: &[u8; 32]) -> Self {
        let number = U256::from_be_slice(digest);
        // Below 2^256, which is below two times the order.
        if number < *ORDER.as_ref() { Self(number) } else { Self(number.wrapping_sub(ORDER.as_ref())) }
    }

    /// Both numbers divided by this one; nothing for zero.
    pub(super) fn divide<const N: usize>(self, numbers: [Self; N]) -> Option<[Self; N]> {
        let inverse: Option<U256> = self.0.invert_odd_mod_vartime(&ORDER).into();
        let mut factor = fiat::fiat_p256_scalar_montgomery_domain_field_element([0; 4]);
        fiat::fiat_p256_scalar_to_montgomery(
            &mut factor,
            &fiat::fiat_p256_scalar_non_montgomery_domain_field_element(words(&inverse?)),
        );
        Some(numbers.map(|number| {
            // Montgomery's product of a plain number and one in his form is plain.
            let plain = fiat::fiat_p256_scalar_montgomery_domain_field_element(words(&number.0));
            let mut product = fiat::fiat_p256_scalar_montgomery_domain_field_element([0; 4]);
            fiat::fiat_p256_scalar_mul(&mut product, &plain, &factor);
            let mut bytes = [0; 32];
            fiat::fiat_p256_scalar_to_bytes(&mut bytes, &product.0);
            Self(U256::from_le_slice(&bytes))
        }))
    }

    /// 32 bytes, least significant first.
    pub(super) fn to_le_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(self.0.to_le_bytes().as_ref());
        bytes
    }

    /// The coordinates below the prime that are this number modulo the order: itself, and rarely another (once in 2^128), each
    /// most significant byte first.
    pub(super) fn coordinates(self) -> [Option<[u8; 32]>; 2] {
        let written = |number: U256| {
            let mut bytes = [0; 32];
            bytes.copy_from_slice(number.to_be_bytes().as_ref());
            bytes
        };
        let second = (self.0 < PRIME_LESS_ORDER).then(|| written(self.0.wrapping_add(ORDER.as_ref())));
        [Some(written(self.0)), second]
    }
}

fn words(number: &U256) -> [u64; 4] {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(number.to_le_bytes().as_ref());
    let mut words = [0; 4];
    fiat::fiat_p256_scalar_from_bytes(&mut words, &bytes);
    words
}
