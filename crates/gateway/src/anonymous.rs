//! Callers without a token, at a server that has something for anybody.
//!
//! No credentials at all is one thing, and credentials that are no good are another: those are refused as everywhere. What is
//! done without a token is counted by address, and belongs to whoever has its session id, and to no person.

use crate::{browser, config::CallerLimits, refuse::Refusal, router::Server};
use hallpass_core::time::Timestamp;
use hallpass_resource::{Authenticated, Reason};
use http::request::Parts;
use std::net::IpAddr;

/// Requests a minute of one address, where nothing else is configured.
pub(crate) const CALLS_PER_MINUTE: u32 = 60;
/// What one address may have open.
pub(crate) const LIMITS: CallerLimits =
    CallerLimits { calls_per_minute: None, anonymous_per_minute: None, streams: Some(4) };

/// Who calls, or that nobody does where that is allowed.
pub(crate) async fn caller(
    server: &Server,
    parts: &Parts,
    address: Option<IpAddr>,
    now: Timestamp,
) -> Result<Authenticated, Refusal> {
    match server.resource.authenticate(parts, now).await {
        // To a person in front of a browser an open server says what it is too, with the page that all servers have.
        Err(Reason::NoCredentials)
            if server.rules.opens() && !(server.page.is_some() && browser::visits(parts)) =>
        {
            let caller = server.resource.anonymous(&parts.headers, counted_as(address), now)?;
            Ok(caller)
        }
        outcome => outcome.map_err(Refusal::Token),
    }
}

/// What one connection at home or in an office has: the address, or the network of an IPv6 one.
fn counted_as(address: Option<IpAddr>) -> String {
    match address {
        Some(IpAddr::V4(address)) => format!("address {address}"),
        Some(IpAddr::V6(address)) => {
            let [a, b, c, d, ..] = address.segments();
            let mapped = address.to_ipv4_mapped();
            mapped.map_or_else(
                || format!("address {a:x}:{b:x}:{c:x}:{d:x}"),
                |address| format!("address {address}"),
            )
        }
        None => "address unknown".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t_88_an_ipv6_network_is_one_caller() {
        let counted = |text: &str| counted_as(Some(text.parse().unwrap()));
        assert_eq!(counted("2001:db8:1:2:3:4:5:6"), counted("2001:db8:1:2::1"));
        assert_ne!(counted("2001:db8:1:2::1"), counted("2001:db8:1:3::1"));
        assert_eq!(counted("::ffff:203.0.113.7"), counted("203.0.113.7"));
    }
}
