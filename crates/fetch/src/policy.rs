//! Which URLs may be asked and which addresses may be reached. Pure: no lookup, no request.

use crate::error::FetchError;
use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    sync::Arc,
};
use url::{Host, Url};

/// Who named the URL, and therefore what it may lead to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    trusted: Arc<[String]>,
    loopback: bool,
}

impl Policy {
    /// For anything that a stranger named: https, a domain name, and only public addresses.
    pub fn strict() -> Self {
        Self { trusted: Arc::from([]), loopback: false }
    }

    /// For hosts that the configuration or the person named: these may have private addresses, and http where
    /// they are this very machine. Every other host is judged as by [`Policy::strict`].
    pub fn trusted<T: AsRef<str>>(hosts: impl IntoIterator<Item = T>) -> Self {
        Self { trusted: hosts.into_iter().map(|host| spelled(host.as_ref())).collect(), loopback: false }
    }

    /// The same, and this machine (`localhost` and loopback addresses) may be asked too, also by http. For a
    /// client whose MCP server already is on this machine: development, RFC 8252 §8.3.
    #[must_use]
    pub fn with_loopback(mut self) -> Self {
        self.loopback = true;
        self
    }

    /// Whether these two admit the same things, so that they may share kept documents.
    pub(crate) fn key(&self) -> String {
        format!("{}{}", self.trusted.join(" "), if self.loopback { " +loopback" } else { "" })
    }
}

/// Which addresses a name may lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Addresses {
    /// Only those of the public internet.
    Public,
    /// Only this machine.
    Loopback,
    /// Any: somebody we trust named the host.
    Any,
}

impl Addresses {
    /// Whether `address` may be connected to.
    pub fn allow(self, address: IpAddr) -> bool {
        match self {
            Self::Public => is_public(address),
            Self::Loopback => is_loopback(address),
            Self::Any => true,
        }
    }
}

/// A URL that may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Admitted {
    /// What its name may lead to.
    pub addresses: Addresses,
    /// Whether it is https.
    pub tls: bool,
}

/// Judges a URL before anything is sent.
///
/// The HTTP client never asks its resolver about an IP literal, and `0x7f.1`, `2130706433` and
/// `[::ffff:127.0.0.1]` are IP literals too, so the kind of host is decided here.
pub fn admit(url: &Url, policy: &Policy, private_hosts: &[String]) -> Result<Admitted, FetchError> {
    if !url.username().is_empty() || url.password().is_some() {
        return Err(FetchError::ForbiddenUserinfo);
    }
    if url.fragment().is_some() {
        return Err(FetchError::ForbiddenFragment);
    }
    let tls = match url.scheme() {
        "https" => true,
        "http" => false,
        _ => return Err(FetchError::ForbiddenScheme),
    };
    let (Some(host), Some(text)) = (url.host(), url.host_str()) else {
        return Err(FetchError::ForbiddenHost);
    };
    let named = spelled(text);
    if policy.trusted.contains(&named) || private_hosts.iter().any(|host| spelled(host) == named) {
        return admit_trusted(&host, tls);
    }
    if policy.loopback && is_this_machine(&host) {
        return Ok(Admitted { addresses: Addresses::Loopback, tls });
    }
    if !tls {
        return Err(FetchError::ForbiddenScheme);
    }
    match host {
        Host::Domain(name) if is_public_name(name) => Ok(Admitted { addresses: Addresses::Public, tls }),
        Host::Domain(_) | Host::Ipv4(_) | Host::Ipv6(_) => Err(FetchError::ForbiddenHost),
    }
}

fn admit_trusted(host: &Host<&str>, tls: bool) -> Result<Admitted, FetchError> {
    let literal: Option<IpAddr> = match host {
        Host::Domain(_) => None,
        Host::Ipv4(address) => Some((*address).into()),
        Host::Ipv6(address) => Some((*address).into()),
    };
    match (tls, literal) {
        (true, _) => Ok(Admitted { addresses: Addresses::Any, tls }),
        // Without TLS nothing may leave this machine, so a name has to lead to loopback.
        (false, None) => Ok(Admitted { addresses: Addresses::Loopback, tls }),
        (false, Some(address)) if is_loopback(address) => {
            Ok(Admitted { addresses: Addresses::Loopback, tls })
        }
        (false, Some(_)) => Err(FetchError::ForbiddenScheme),
    }
}

/// Lower case, IPv6 without brackets, so that a configured host and a URL's host can be compared.
fn spelled(host: &str) -> String {
    host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase()
}

/// Whether the host is `localhost`, a name below it (RFC 6761 §6.3), or a loopback literal.
pub fn is_this_machine(host: &Host<&str>) -> bool {
    match host {
        Host::Domain(name) => *name == "localhost" || name.ends_with(".localhost"),
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => is_loopback((*address).into()),
    }
}

/// Whether the name could be one of the public internet. Names that only a local network knows are refused
/// even where some name server maps them to a public address.
fn is_public_name(name: &str) -> bool {
    const LOCAL: [&str; 9] =
        ["localhost", "local", "internal", "intranet", "lan", "home", "corp", "onion", "home.arpa"];
    let dotted = name.contains('.') && !name.ends_with('.');
    dotted && !LOCAL.iter().any(|end| name.strip_suffix(end).is_some_and(|rest| rest.ends_with('.')))
}

fn is_loopback(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_loopback(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.to_ipv4_mapped().is_some_and(|v4| v4.is_loopback()),
    }
}

/// Whether the address is one of the public internet: none of the special-purpose blocks (RFC 6890 and the
/// IANA registries), whatever form it is written in.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => is_public_v4(v4),
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or_else(|| is_public_v6(v6), is_public_v4),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    /// Block and prefix length.
    const SPECIAL: [(Ipv4Addr, u32); 16] = [
        (Ipv4Addr::UNSPECIFIED, 8),
        (Ipv4Addr::new(10, 0, 0, 0), 8),
        (Ipv4Addr::new(100, 64, 0, 0), 10),
        (Ipv4Addr::new(127, 0, 0, 0), 8),
        (Ipv4Addr::new(169, 254, 0, 0), 16),
        (Ipv4Addr::new(172, 16, 0, 0), 12),
        (Ipv4Addr::new(192, 0, 0, 0), 24),
        (Ipv4Addr::new(192, 0, 2, 0), 24),
        (Ipv4Addr::new(192, 88, 99, 0), 24),
        (Ipv4Addr::new(192, 168, 0, 0), 16),
        (Ipv4Addr::new(198, 18, 0, 0), 15),
        (Ipv4Addr::new(198, 51, 100, 0), 24),
        (Ipv4Addr::new(203, 0, 113, 0), 24),
        (Ipv4Addr::new(224, 0, 0, 0), 4),
        (Ipv4Addr::new(240, 0, 0, 0), 4),
        // Cloud "wire server" of one large provider: public by number, reachable only from inside.
        (Ipv4Addr::new(168, 63, 129, 16), 32),
    ];
    let bits = address.to_bits();
    !SPECIAL.iter().any(|(block, length)| (bits ^ block.to_bits()) >> (32 - length) == 0)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    /// Inside 2000::/3, which is all that is public (this leaves out ULA, link-local, NAT64, multicast).
    const SPECIAL: [(Ipv6Addr, u32); 4] = [
        // Teredo, benchmarking, ORCHID and other protocol assignments.
        (Ipv6Addr::new(0x2001, 0, 0, 0, 0, 0, 0, 0), 23),
        (Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0), 32),
        // 6to4 carries an IPv4 address inside, which may be a private one.
        (Ipv6Addr::new(0x2002, 0, 0, 0, 0, 0, 0, 0), 16),
        (Ipv6Addr::new(0x3fff, 0, 0, 0, 0, 0, 0, 0), 20),
    ];
    let bits = address.to_bits();
    bits >> 125 == 0b001
        && !SPECIAL.iter().any(|(block, length)| (bits ^ block.to_bits()) >> (128 - length) == 0)
}

#[cfg(test)]
#[path = "policy_tests.rs"]
mod tests;
