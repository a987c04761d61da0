//! Assertions that were used at endpoints which write nothing for them: revocation, introspection. Bounded memory of
//! this node; what a second use could do there was done by the first.

use hallpass_core::{
    id::AttemptId,
    jwt::{client_assertion::ClientAssertion, grant_assertion::GrantAssertion},
    time::Timestamp,
};
use hallpass_store::SpentAssertion;
use quick_cache::sync::Cache;

/// Assertions remembered, in 40 bytes each.
const MOST: usize = 100_000;

/// An assertion by what is remembered of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unspent {
    /// SHA-256 of client and `jti`.
    pub digest: [u8; 32],
    /// After this the assertion itself is refused.
    pub until: Timestamp,
}

impl Unspent {
    /// Of a verified assertion of this client.
    pub fn new(client_id: &str, assertion: &ClientAssertion) -> Self {
        let text = format!("{client_id}\n{}", assertion.token_id);
        Self { digest: hallpass_core::grant::digest32(&text), until: assertion.remember_until }
    }

    /// Of a verified assertion that is a grant itself, told apart from those of clients: no id has a space.
    pub fn of_grant(assertion: &GrantAssertion) -> Self {
        let text = format!("grant {}\n{}", assertion.issuer, assertion.token_id);
        Self { digest: hallpass_core::grant::digest32(&text), until: assertion.remember_until }
    }

    /// For the write that it pays for.
    pub const fn with_attempt(&self, attempt: AttemptId) -> SpentAssertion {
        SpentAssertion { digest: self.digest, attempt, until: self.until }
    }
}

/// What was spent.
pub struct SpentAssertions(Cache<[u8; 32], ()>);

impl SpentAssertions {
    /// Nothing.
    pub fn new() -> Self {
        Self(Cache::new(MOST))
    }

    /// Whether it was spent here.
    pub fn is_spent(&self, unspent: &Unspent) -> bool {
        self.0.get(&unspent.digest).is_some()
    }

    /// Spends it; `false` when that was done before.
    pub fn spend(&self, unspent: &Unspent) -> bool {
        let mut first = false;
        let inserted = self.0.get_or_insert_with(&unspent.digest, || {
            first = true;
            Ok::<_, std::convert::Infallible>(())
        });
        inserted.is_ok() && first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t_27_t_95_one_of_many_spends_it_and_memory_is_bounded() {
        let spent = SpentAssertions::new();
        let unspent = |n: usize| {
            let assertion =
                ClientAssertion { token_id: n.to_string(), remember_until: Timestamp::from_seconds(9) };
            Unspent::new("https://client.example/id.json", &assertion)
        };
        let wins = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8)
                .map(|_| scope.spawn(|| (0..1_000).filter(|n| spent.spend(&unspent(*n))).count()))
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum::<usize>()
        });
        assert_eq!(wins, 1_000);
        for n in 0..150_000 {
            spent.spend(&unspent(n));
        }
        assert!(spent.0.len() <= MOST);
        let other = Unspent { digest: [0; 32], ..unspent(1) };
        assert!(spent.spend(&other) && !spent.spend(&other));
    }
}
