//! Limits by source: the generic cell rate algorithm in bounded memory.
//!
//! Two ideas keep honest crowds in (P27). Volume is only limited where a request costs more than it proves: pages that may
//! fetch, sign-ins, registrations. Where a client brings something that cannot be guessed, only its *failures* count: a
//! hosted client whose users all come from one address is never turned away for being many. And addresses that are known to
//! be shared by many get a multiple of everything.

use crate::cidr::Cidr;
use hallpass_core::{grant::digest16, id::GrantId, rate, time::Timestamp};
use quick_cache::sync::Cache;
use std::{
    net::{IpAddr, Ipv4Addr},
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::Duration,
};

/// Sources remembered. The one seen longest ago is forgotten first, so a flood from many costs no memory.
const SOURCES: usize = 10_000;

/// So many clients may go wrong at one address before it is stopped.
const CLIENTS_OF_ADDRESS: u32 = 10;

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
    /// Refused requests at an endpoint where secrets, codes and tokens could be guessed.
    Failure,
    /// Refreshes of one grant.
    Refresh,
    /// Introspections of one caller.
    Introspection,
}

impl Limited {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Registration,
        Self::Password,
        Self::SignIn,
        Self::Authorization,
        Self::Failure,
        Self::Refresh,
        Self::Introspection,
    ];

    /// For numbers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Registration => "registration",
            Self::Password => "password",
            Self::SignIn => "sign_in",
            Self::Authorization => "authorization",
            Self::Failure => "failure",
            Self::Refresh => "refresh",
            Self::Introspection => "introspection",
        }
    }
}

/// How much of what, a minute. On a loopback issuer none of it counts: everybody is the same address there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Dynamic registrations of an address.
    pub registrations: u32,
    /// Authorization requests of an address.
    pub authorizations: u32,
    /// Sign-in forms of an address.
    pub sign_ins: u32,
    /// Refused requests of a client from an address at the token, revocation and introspection endpoints.
    pub failures: u32,
    /// Refreshes of one grant.
    pub refreshes: u32,
    /// Introspections of one caller.
    pub introspections: u32,
    /// Networks behind which many people share addresses.
    pub shared: Vec<Cidr>,
    /// How many times as much such an address gets.
    pub shared_factor: u32,
}

impl Limits {
    /// Without an operator's word. The shared network is the one from which the hosted clients of Anthropic call.
    pub fn usual() -> Self {
        Self {
            registrations: 60,
            authorizations: 300,
            sign_ins: 60,
            failures: 120,
            refreshes: 120,
            introspections: 600_000,
            shared: Cidr::new(IpAddr::V4(Ipv4Addr::new(160, 79, 104, 0)), 21).into_iter().collect(),
            shared_factor: 100,
        }
    }

    /// Refused requests of an address in the names of all clients together.
    pub const fn failures_of_address(&self) -> u32 {
        self.failures.saturating_mul(CLIENTS_OF_ADDRESS)
    }

    /// What an address gets of `per_minute`.
    pub fn for_address(&self, address: IpAddr, per_minute: u32) -> u32 {
        let shared = self.shared.iter().any(|network| network.contains(address));
        if shared { per_minute.saturating_mul(self.shared_factor.max(1)) } else { per_minute }
    }
}

/// Who is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Source {
    /// An address; an IPv6 caller has a whole /64 to itself.
    Address(IpAddr),
    /// A client, by the digest of its id.
    Client([u8; 16]),
    /// A client as one address knows it, by the digest of both.
    ClientAt([u8; 16]),
    /// A grant.
    Grant([u8; 16]),
}

impl From<IpAddr> for Source {
    fn from(address: IpAddr) -> Self {
        Self::Address(match address {
            IpAddr::V4(_) => address,
            IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
                Some(v4) => IpAddr::V4(v4),
                None => IpAddr::V6((u128::from(v6) & !u128::from(u64::MAX)).into()),
            },
        })
    }
}

impl From<&GrantId> for Source {
    fn from(grant: &GrantId) -> Self {
        Self::Grant(*grant.as_bytes())
    }
}

impl Source {
    /// A client.
    pub fn client(id: &str) -> Self {
        Self::Client(digest16(id))
    }

    /// A client at this address: what strangers do elsewhere with its id is no matter of the client's own.
    pub fn client_at(id: &str, address: IpAddr) -> Self {
        Self::ClientAt(digest16(&format!("{:?} {id}", Self::from(address))))
    }
}

/// Remembers when each source will have used up what it was allowed.
pub struct RateLimiter {
    seen: Cache<(Limited, Source), Arc<AtomicI64>>,
    /// In the order of [`Limited::ALL`].
    refused: [AtomicU64; Limited::ALL.len()],
}

impl RateLimiter {
    /// Empty.
    pub fn new() -> Self {
        Self { seen: Cache::new(SOURCES), refused: Default::default() }
    }

    /// Takes one of `per_minute`, of which all may come at once. When there is none left: how long to wait.
    pub fn take(
        &self,
        what: Limited,
        source: impl Into<Source>,
        per_minute: u32,
        now: Timestamp,
    ) -> Result<(), Duration> {
        let Ok(cell) = self.seen.get_or_insert_with(&(what, source.into()), || {
            Ok::<_, std::convert::Infallible>(Arc::new(AtomicI64::new(rate::NOTHING)))
        });
        let mut over = Duration::ZERO;
        let taken = cell.fetch_update(Ordering::AcqRel, Ordering::Acquire, |used| {
            rate::take(used, per_minute, now).map_err(|wait| over = wait).ok()
        });
        taken.map(|_| ()).map_err(|_| self.turned_away(what, over))
    }

    /// Whether there is one left, without taking it.
    pub fn look(
        &self,
        what: Limited,
        source: impl Into<Source>,
        per_minute: u32,
        now: Timestamp,
    ) -> Result<(), Duration> {
        let over = self.over(what, source.into(), per_minute, now);
        if over.is_zero() { Ok(()) } else { Err(self.turned_away(what, over)) }
    }

    /// The same, for whoever turns nobody away by it.
    pub fn has_room(
        &self,
        what: Limited,
        source: impl Into<Source>,
        per_minute: u32,
        now: Timestamp,
    ) -> bool {
        self.over(what, source.into(), per_minute, now).is_zero()
    }

    fn over(&self, what: Limited, source: Source, per_minute: u32, now: Timestamp) -> Duration {
        let cell = self.seen.get(&(what, source));
        cell.map_or(Duration::ZERO, |cell| rate::over(cell.load(Ordering::Acquire), per_minute, now))
    }

    /// How often somebody was turned away.
    pub fn refused(&self, what: Limited) -> u64 {
        self.counter(what).map_or(0, |refused| refused.load(Ordering::Relaxed))
    }

    fn turned_away(&self, what: Limited, over: Duration) -> Duration {
        if let Some(refused) = self.counter(what) {
            refused.fetch_add(1, Ordering::Relaxed);
        }
        over
    }

    fn counter(&self, what: Limited) -> Option<&AtomicU64> {
        let at = Limited::ALL.iter().position(|one| *one == what)?;
        self.refused.get(at)
    }

    /// Sources remembered now.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.seen.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_seconds(1_000_000);

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn as_223_a_burst_then_the_rate_and_others_are_unaffected() {
        let limiter = RateLimiter::new();
        let (one, other) = (address("192.0.2.1"), address("192.0.2.2"));
        for _ in 0..60 {
            assert_eq!(limiter.look(Limited::SignIn, one, 60, NOW), Ok(()));
            assert_eq!(limiter.take(Limited::SignIn, one, 60, NOW), Ok(()));
        }
        assert_eq!(limiter.take(Limited::SignIn, one, 60, NOW), Err(Duration::from_secs(1)));
        assert_eq!(limiter.look(Limited::SignIn, one, 60, NOW), Err(Duration::from_secs(1)));
        assert_eq!(limiter.take(Limited::SignIn, other, 60, NOW), Ok(()));
        assert_eq!(limiter.take(Limited::Registration, one, 60, NOW), Ok(()));
        let later = NOW.plus(Duration::from_secs(1));
        assert_eq!(limiter.look(Limited::SignIn, one, 60, later), Ok(()), "looking takes nothing");
        assert_eq!(limiter.take(Limited::SignIn, one, 60, later), Ok(()));
        for _ in 0..100_000 {
            assert_eq!(limiter.take(Limited::Introspection, Source::client("c"), 600_000, NOW), Ok(()));
        }
    }

    #[test]
    fn as_219_a_clock_set_back_by_an_hour_turns_nobody_away_for_an_hour() {
        let limiter = RateLimiter::new();
        for now in [NOW, NOW.minus(Duration::from_hours(1))] {
            for _ in 0..60 {
                assert_eq!(limiter.take(Limited::SignIn, address("192.0.2.1"), 60, now), Ok(()));
            }
            let over = limiter.take(Limited::SignIn, address("192.0.2.1"), 60, now);
            assert_eq!(over, Err(Duration::from_secs(1)));
        }
    }

    #[test]
    fn an_ipv6_network_counts_as_one() {
        let key = |text| Source::from(address(text));
        assert_eq!(key("2001:db8::1"), key("2001:db8::ffff"));
        assert_ne!(key("2001:db8::1"), key("2001:db8:0:1::1"));
        assert_eq!(key("::ffff:192.0.2.1"), key("192.0.2.1"));
    }

    #[test]
    fn t_95_a_million_sources_take_no_more_room_than_ten_thousand() {
        let limiter = RateLimiter::new();
        for number in 0..1_000_000_u32 {
            let _ = limiter.take(Limited::Failure, IpAddr::from(number.to_be_bytes()), 60, NOW);
        }
        assert!(limiter.len() <= SOURCES, "{}", limiter.len());
    }

    #[test]
    fn p27_a_shared_address_gets_a_multiple() {
        let limits = Limits::usual();
        assert_eq!(limits.for_address(address("160.79.106.10"), 60), 6_000);
        assert_eq!(limits.for_address(address("::ffff:160.79.106.10"), 60), 6_000);
        assert_eq!(limits.for_address(address("160.79.112.1"), 60), 60);
    }
}
