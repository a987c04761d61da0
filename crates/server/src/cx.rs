//! What is read once per request and passed down: the time, the caller's address, the request's id.

use crate::settings::Settings;
use hallpass_core::{id::RequestId, time::Timestamp};
use http::HeaderMap;
use std::net::IpAddr;

/// The circumstances of one request.
#[derive(Clone, Copy, Debug)]
pub struct Cx {
    /// Now, for everything in this request.
    pub now: Timestamp,
    /// Who calls: the peer, or what a trusted proxy says.
    pub address: IpAddr,
    /// Which request this is, in the answer's `X-Request-Id`, the log and the audit.
    pub request: RequestId,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Settings;
    use hallpass_core::uri::Issuer;

    fn asked(peer: &str, lines: &[&str]) -> String {
        let settings = Settings {
            trusted_proxies: vec!["10.0.0.1".parse().unwrap()],
            ..Settings::new(Issuer::parse("https://a.example").unwrap(), Vec::new())
        };
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append("x-forwarded-for", line.parse().unwrap());
        }
        address(peer.parse().unwrap(), &headers, &settings).to_string()
    }

    #[test]
    fn rs_046_t_73_only_a_trusted_proxy_says_who_calls_and_only_its_own_entry_counts() {
        assert_eq!(asked("192.0.2.7", &["198.51.100.1"]), "192.0.2.7");
        assert_eq!(asked("10.0.0.1", &["198.51.100.1"]), "198.51.100.1");
        assert_eq!(asked("10.0.0.1", &["127.0.0.1, 198.51.100.1"]), "198.51.100.1");
        assert_eq!(asked("10.0.0.1", &["127.0.0.1", "198.51.100.1"]), "198.51.100.1");
        assert_eq!(asked("10.0.0.1", &["nonsense"]), "10.0.0.1");
        assert_eq!(asked("10.0.0.1", &[]), "10.0.0.1");
    }
}
