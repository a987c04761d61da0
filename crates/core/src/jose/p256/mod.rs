//! Verification with ECDSA on P-256 (FIPS 186-5 §6.4.2), faster for a key that comes again.
//!
//! The crypto library doubles a point 256 times for each signature, because it knows nothing of the key. Whoever verifies again
//! and again with the same key (its own, that of an issuer, that of a client with many proofs) can keep multiples of that key's
//! point and only add: half of the time or less. No library offers it, so it is here, on field arithmetic that was proven
//! correct by machine (`fiat-crypto`), and kept so that it cannot become a second opinion:
//!
//! - A key gets a table after [`USES`] signatures that the library found good, where there is room or others are used less, and only
//!   if the table finds the last of them good and the same one over another message bad.
//! - Whatever is malformed or outside the formulas is the library's to decide.
//! - In builds with assertions the library is asked each time, and another answer is a panic: all tests and fuzz targets compare.
//!
//! Public keys and signatures are no secrets: nothing here runs in constant time, and nothing here may ever see a private key.
//!
//! | to read | file |
//! |---|---|
//! | numbers modulo the prime | [`field`] |
//! | numbers modulo the order | [`scalar`] |
//! | the sum of two points | [`point`] |
//! | multiples of a point | [`table`] |
//! | keys that came lately | [`recent`] |

mod field;
mod point;
mod recent;
mod scalar;
mod table;

use aws_lc_rs::{
    digest,
    signature::{ECDSA_P256_SHA256_FIXED, ParsedPublicKey},
};
use field::Field;
use scalar::Scalar;
use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};
use table::Table;

/// Good signatures of a key before it asks for a table, which costs as much as twenty verifications, and before it asks again.
const USES: u32 = 32;
/// The width of the table of a key: 33 multiples for a scalar, 264 KiB.
const KEY_WIDTH: u16 = 8;
/// The width of the one table of the base point: 29 multiples for a scalar, 464 KiB.
const BASE_WIDTH: u16 = 9;
/// Of both.
const MOST_TERMS: usize = 29 + 33;

/// The base point G (SP 800-186 §3.2.1.3).
const BASE: [[u8; 32]; 2] = [
    [
        0x6b, 0x17, 0xd1, 0xf2, 0xe1, 0x2c, 0x42, 0x47, 0xf8, 0xbc, 0xe6, 0xe5, 0x63, 0xa4, 0x40, 0xf2, 0x77,
        0x03, 0x7d, 0x81, 0x2d, 0xeb, 0x33, 0xa0, 0xf4, 0xa1, 0x39, 0x45, 0xd8, 0x98, 0xc2, 0x96,
    ],
    [
        0x4f, 0xe3, 0x42, 0xe2, 0xfe, 0x1a, 0x7f, 0x9b, 0x8e, 0xe7, 0xeb, 0x4a, 0x7c, 0x0f, 0x9e, 0x16, 0x2b,
        0xce, 0x33, 0x57, 0x6b, 0x31, 0x5e, 0xce, 0xcb, 0xb6, 0x40, 0x68, 0x37, 0xbf, 0x51, 0xf5,
    ],
];

/// A public key on P-256.
pub(super) struct Key {
    x: [u8; 32],
    y: [u8; 32],
    parsed: ParsedPublicKey,
    /// Its good signatures, now and then halved: how much it is used beside others.
    good: AtomicU32,
    /// Empty until it was tried.
    table: OnceLock<Option<Table>>,
    /// RFC 7638, once somebody asked: with each proof it is asked again.
    thumbprint: OnceLock<[u8; 32]>,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("p256::Key").finish_non_exhaustive()
    }
}

impl Key {
    /// The key with these coordinates, which several may share; nothing where they are no point of the curve.
    pub(super) fn new(x: &[u8; 32], y: &[u8; 32]) -> Option<Arc<Self>> {
        recent::find_or(x, y, || Self::parse(x, y))
    }

    fn parse(x: &[u8; 32], y: &[u8; 32]) -> Option<Self> {
        let point = [&[4][..], x, y].concat();
        let parsed = ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).ok()?;
        let (good, table, thumbprint) = (AtomicU32::new(0), OnceLock::new(), OnceLock::new());
        Some(Self { x: *x, y: *y, parsed, good, table, thumbprint })
    }

    /// Whether `signature` (r ‖ s, 64 bytes) is this key's over `message`.
    pub(super) fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        if let Some(verdict) = self.table().and_then(|table| verdict(table, message, signature)) {
            debug_assert_eq!(verdict, self.library_verifies(message, signature), "the table is wrong");
            if verdict {
                self.good.fetch_add(1, Ordering::Relaxed);
            }
            return verdict;
        }
        let good = self.library_verifies(message, signature);
        if good && self.asks_for_a_table() && recent::admits(self) {
            self.prepare(message, signature);
        }
        good
    }

    /// Counts a good signature.
    fn asks_for_a_table(&self) -> bool {
        let good = self.good.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        good.is_multiple_of(USES) && self.table.get().is_none()
    }

    fn library_verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        self.parsed.verify_sig(message, signature).is_ok()
    }

    fn table(&self) -> Option<&Table> {
        self.table.get().and_then(Option::as_ref)
    }

    /// Whether it has a table.
    pub(super) fn is_prepared(&self) -> bool {
        self.table().is_some()
    }

    /// Its thumbprint, which the first caller works out.
    pub(super) fn thumbprint_or(&self, work_out: impl FnOnce() -> [u8; 32]) -> [u8; 32] {
        *self.thumbprint.get_or_init(work_out)
    }

    /// Makes the table, by a signature that is known to be good.
    pub(super) fn prepare(&self, message: &[u8], signature: &[u8]) {
        self.table.get_or_init(|| {
            let table = Table::new(table::point(&self.x, &self.y)?, KEY_WIDTH)?;
            let other = [message, b"."].concat();
            let right = verdict(&table, message, signature) == Some(true)
                && verdict(&table, &other, signature) == Some(false);
            right.then_some(table)
        });
    }
}

fn base() -> Option<&'static Table> {
    static TABLE: OnceLock<Option<Table>> = OnceLock::new();
    TABLE
        .get_or_init(|| {
            let [x, y] = &BASE;
            Table::new(table::point(x, y)?, BASE_WIDTH)
        })
        .as_ref()
}

/// FIPS 186-5 §6.4.2 with the tables of both points; nothing where the library has to decide.
fn verdict(key: &Table, message: &[u8], signature: &[u8]) -> Option<bool> {
    let (r, s) = signature.split_first_chunk()?;
    let r = Scalar::of_signature(r)?;
    let s = Scalar::of_signature(s.try_into().ok()?)?;
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, message).as_ref());
    let [of_base, of_key] = s.divide([Scalar::of_digest(&hash), r])?;
    // All are fetched before the first is added: the memory answers many at once.
    let mut terms = Vec::with_capacity(MOST_TERMS);
    base()?.terms(of_base, &mut terms)?;
    key.terms(of_key, &mut terms)?;
    let sum = table::sum(&terms)?;
    Some(r.coordinates().iter().flatten().filter_map(Field::from_be_bytes).any(|x| sum.has_x(x)))
}

#[cfg(test)]
mod tests;
