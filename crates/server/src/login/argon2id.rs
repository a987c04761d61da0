//! One argon2id hash (RFC 9106), in memory that goes back to the system as soon as it is computed.

use argon2::{
    Algorithm, Argon2, Block, Params, Version,
    password_hash::phc::{Output, ParamsString, PasswordHash, Salt},
};

/// OWASP's profile: 19 MiB, two passes.
pub const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;

/// Asked for, whatever is needed: more than glibc ever keeps. It maps what is larger than 32 MiB by itself and unmaps it
/// when it is freed (`mallopt(3)`, `M_MMAP_THRESHOLD`). Below that it learns the size from the first hash and from then on
/// keeps one for each thread that ever computed any: a flood of sign-ins would leave hundreds of MiB behind. Pages that
/// are not touched take nothing.
const ASKED_FOR: usize = 33 * 1024 * 1024;

/// PHC string of a new password.
pub fn hash(password: &[u8], salt: &[u8; 16]) -> Option<String> {
    let params = Params::new(MEMORY_KIB, PASSES, 1, None).ok()?;
    let of = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
    let hashed = PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(of.params()).ok()?,
        salt: Some(Salt::new(salt).ok()?),
        hash: Some(computed(&of, password, salt, Params::DEFAULT_OUTPUT_LEN)?),
    };
    Some(hashed.to_string())
}

/// Whether this is the password, with the parameters that were used then. What cannot be read is nobody's password.
pub fn is_right(password: &[u8], phc: &str) -> Option<bool> {
    let kept = PasswordHash::new(phc).ok()?;
    let (salt, expected) = (kept.salt?, kept.hash?);
    let algorithm = Algorithm::try_from(kept.algorithm.as_str()).ok()?;
    let version = kept.version.map_or(Ok(Version::V0x13), Version::try_from).ok()?;
    let of = Argon2::new(algorithm, version, Params::try_from(&kept).ok()?);
    // Two outputs are compared in constant time.
    Some(computed(&of, password, salt.as_ref(), expected.len())? == expected)
}

fn computed(of: &Argon2<'_>, password: &[u8], salt: &[u8], length: usize) -> Option<Output> {
    let blocks = of.params().block_count();
    let mut memory: Vec<Block> = Vec::with_capacity(blocks.max(ASKED_FOR / Block::SIZE));
    memory.resize(blocks, Block::new());
    let mut output = [0; Output::MAX_LENGTH];
    let output = output.get_mut(..length)?;
    of.hash_password_into_with_memory(password, salt, output, &mut memory).ok()?;
    Output::new(output).ok()
}
