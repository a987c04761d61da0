//! What is read once per request and passed down: the time and the caller's address.

use crate::settings::Settings;
use hallpass_core::time::Timestamp;
use http::HeaderMap;
use std::net::IpAddr;

/// The circumstances of one request.
#[derive(Clone, Copy, Debug)]
pub struct Cx {
    /// Now, for everything in this request.
    pub now: Timestamp,
    /// Who calls: the peer, or what a trusted proxy says.
    pub address: IpAddr,
}

/// The caller's address. `X-Forwarded-For` counts only from a proxy that the operator named, and only its last entry,
/// which that proxy wrote itself; the others were written by whoever called it.
pub fn address(peer: IpAddr, headers: &HeaderMap, settings: &Settings) -> IpAddr {
    if !settings.trusted_proxies.contains(&peer) {
        return peer;
    }
    let last = headers.get_all("x-forwarded-for").iter().next_back();
    last.and_then(|value| value.to_str().ok())
        .and_then(|value| value.rsplit(',').next())
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(peer)
}
