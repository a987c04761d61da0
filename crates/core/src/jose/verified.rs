//! The proof that a signature was checked.

/// Something whose signature was verified with a key that we trust for it.
///
/// There is no public way to make one: a function that takes it cannot be reached with an unverified token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified<T>(T);

impl<T> Verified<T> {
    pub(crate) const fn new(verified: T) -> Self {
        Self(verified)
    }

    /// What was verified.
    pub const fn get(&self) -> &T {
        &self.0
    }

    /// What was verified, without the proof.
    pub fn into_inner(self) -> T {
        self.0
    }
}
