//! Limits by address: the generic cell rate algorithm in bounded memory.

use hallpass_core::time::Timestamp;
use quick_cache::sync::Cache;
use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

/// Addresses remembered. The one seen longest ago is forgotten first, so a flood from many costs no memory.
const ADDRESSES: usize = 10_000;

/// What is limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Limited {
    /// Dynamic registration.
    Registration,
    /// Guesses at a password.
    Password,
    /// Sign-in forms.
    SignIn,
    /// Authorization requests that may cost a fetch.
    Authorization,
}

impl Limited {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Registration, Self::Password, Self::SignIn, Self::Authorization];

    /// For numbers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Registration => "registration",
            Self::Password => "password",
            Self::SignIn => "sign_in",
            Self::Authorization => "authorization",
        }
    }
}

/// Remembers when each address will have used up what it was allowed.
pub struct RateLimiter {
    seen: Cache<(Limited, IpAddr), Arc<AtomicI64>>,
    /// In the order of [`Limited::ALL`].
    refused: [AtomicU64; Limited::ALL.len()],
}

impl RateLimiter {
    /// Empty.
    pub fn new() -> Self {
        Self { seen: Cache::new(ADDRESSES), refused: Default::default() }
    }

    /// Takes one of `per_minute`, of which all may come at once. When there is none left: how long to wait.
    pub fn take(
        &self,
        what: Limited,
        address: IpAddr,
        per_minute: u32,
        now: Timestamp,
    ) -> Result<(), Duration> {
        let interval = 60_000 / i64::from(per_minute.max(1));
        let Ok(cell) = self.seen.get_or_insert_with(&(what, key(address)), || {
            Ok::<_, std::convert::Infallible>(Arc::new(AtomicI64::new(i64::MIN)))
        });
        let mut wait = 0;
        let taken = cell.fetch_update(Ordering::AcqRel, Ordering::Acquire, |arrival| {
            let next = arrival.max(now.millis()).saturating_add(interval);
            wait = next.saturating_sub(now.millis()).saturating_sub(60_000);
            (wait <= 0).then_some(next)
        });
        taken.map(|_| ()).map_err(|_| {
            if let Some(refused) = self.counter(what) {
                refused.fetch_add(1, Ordering::Relaxed);
            }
            Duration::from_millis(u64::try_from(wait).unwrap_or(0))
        })
    }

    /// How often somebody was turned away.
    pub fn refused(&self, what: Limited) -> u64 {
        self.counter(what).map_or(0, |refused| refused.load(Ordering::Relaxed))
    }

    fn counter(&self, what: Limited) -> Option<&AtomicU64> {
        let at = Limited::ALL.iter().position(|one| *one == what)?;
        self.refused.get(at)
    }
}

/// An IPv6 caller has a whole /64 to itself.
fn key(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => IpAddr::V4(v4),
            None => IpAddr::V6((u128::from(v6) & !u128::from(u64::MAX)).into()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_223_a_burst_then_the_rate_and_others_are_unaffected() {
        let limiter = RateLimiter::new();
        let (one, other) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        let now = Timestamp::from_seconds(1_000_000);
        for _ in 0..60 {
            assert_eq!(limiter.take(Limited::SignIn, one, 60, now), Ok(()));
        }
        assert_eq!(limiter.take(Limited::SignIn, one, 60, now), Err(Duration::from_secs(1)));
        assert_eq!(limiter.take(Limited::SignIn, other, 60, now), Ok(()));
        assert_eq!(limiter.take(Limited::Registration, one, 60, now), Ok(()));
        assert_eq!(limiter.take(Limited::SignIn, one, 60, now.plus(Duration::from_secs(1))), Ok(()));
    }

    #[test]
    fn an_ipv6_network_counts_as_one() {
        assert_eq!(key("2001:db8::1".parse().unwrap()), key("2001:db8::ffff".parse().unwrap()));
        assert_ne!(key("2001:db8::1".parse().unwrap()), key("2001:db8:0:1::1".parse().unwrap()));
    }
}
