//! RSA keys of a broken generator (ROCA, CVE-2017-15361): whoever has the public key can work out the private one.

/// Primes that tell such a modulus from others. A good one passes for one of them once in a hundred million.
const PRIMES: [u32; 17] = [11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157];
/// The generator makes each of its primes from a power of this number.
const GENERATOR: u32 = 65_537;

/// Whether a big-endian modulus was made that way: then it is a power of [`GENERATOR`] modulo each of [`PRIMES`].
pub(super) fn is_broken(modulus: &[u8]) -> bool {
    PRIMES.iter().all(|prime| {
        let rest = modulus.iter().fold(0, |rest, byte| (rest * 256 + u32::from(*byte)) % prime);
        let mut power = 1;
        loop {
            if power == rest {
                return true;
            }
            power = power * (GENERATOR % prime) % prime;
            if power == 1 {
                return false;
            }
        }
    })
}
