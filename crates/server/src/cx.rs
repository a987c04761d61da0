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

/// The caller's address. `X-Forwarded-For` counts only from a proxy that the operator named, read from its end: each
/// trusted proxy appended who called it, and what stands before that was written by whoever it was.
pub fn address(peer: IpAddr, headers: &HeaderMap, settings: &Settings) -> IpAddr {
    let trusted = |address: IpAddr| settings.trusted_proxies.iter().any(|network| network.contains(address));
    if !trusted(peer) {
        return peer;
    }
    let mut caller = peer;
    for line in headers.get_all("x-forwarded-for").iter().rev() {
        for entry in line.to_str().unwrap_or_default().rsplit(',') {
            match entry.trim().parse() {
                Ok(address) => caller = address,
                Err(_) => return caller,
            }
            if !trusted(caller) {
                return caller;
            }
        }
    }
    caller
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Settings;
    use hallpass_core::uri::Issuer;

    fn asked(peer: &str, lines: &[&str]) -> String {
        let settings = Settings {
            trusted_proxies: vec!["10.0.0.0/24".parse().unwrap(), "fd00::1".parse().unwrap()],
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
        // A chain of them: the first from the end that is no proxy of ours.
        assert_eq!(asked("10.0.0.1", &["203.0.113.9, 198.51.100.1, 10.0.0.7"]), "198.51.100.1");
        assert_eq!(asked("fd00::1", &["198.51.100.1", "10.0.0.8", "10.0.0.7"]), "198.51.100.1");
        assert_eq!(asked("10.0.0.1", &["198.51.100.1, nonsense, 10.0.0.7"]), "10.0.0.7");
        assert_eq!(asked("10.0.1.1", &["198.51.100.1"]), "10.0.1.1");
    }
}
