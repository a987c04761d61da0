//! Where it listens, which proxies stand in front, and which hosts of a private network may be asked.

use super::Check;
use hallpass_core::uri::Issuer;
use hallpass_server::Cidr;
use std::net::SocketAddr;
use toml::Spanned;

impl Check<'_> {
    pub(super) fn listen(&mut self, entries: &[Spanned<String>], issuer: Option<&Issuer>) -> Vec<SocketAddr> {
        let mut listen = Vec::new();
        for entry in entries {
            match entry.get_ref().parse() {
                Ok(address) => listen.push(address),
                Err(_) => self.wrong(
                    entry,
                    "listen is not an address with a port",
                    "write \"127.0.0.1:8080\" or \"[::1]:8080\"",
                ),
            }
        }
        if entries.is_empty() {
            // On this computer nothing stands in front that could translate ports.
            let port = issuer.filter(|issuer| issuer.is_loopback()).and_then(|issuer| issuer.parsed().port());
            listen.push(SocketAddr::from(([127, 0, 0, 1], port.unwrap_or(8080))));
        }
        listen
    }

    /// Names as they are compared with those of URLs: another spelling would silently do nothing.
    pub(super) fn private_hosts(&mut self, entries: &[Spanned<String>]) -> Vec<String> {
        for entry in entries {
            let text = entry.get_ref();
            if !url::Host::parse(text).is_ok_and(|host| host.to_string() == text.to_ascii_lowercase()) {
                let what = format!("{text:?} is not the name of a host");
                self.wrong(
                    entry,
                    what,
                    "write the name alone, such as \"intranet.example\", or an address such as \"10.0.0.7\"",
                );
            }
        }
        entries.iter().map(|entry| entry.get_ref().clone()).collect()
    }

    pub(super) fn proxies(&mut self, entries: &[Spanned<String>]) -> Vec<Cidr> {
        let mut proxies = Vec::new();
        for entry in entries {
            match entry.get_ref().parse() {
                Ok(address) => proxies.push(address),
                Err(_) => self.wrong(
                    entry,
                    "not an IP address or network",
                    "write where your reverse proxy connects from, such as \"127.0.0.1\" or \"10.0.0.0/8\"",
                ),
            }
        }
        proxies
    }
}
