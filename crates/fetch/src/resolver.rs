//! From a name to the addresses that were checked: asked once, refused if any is forbidden, and the
//! connection goes to exactly those addresses. A name that changes its answer in between (DNS rebinding)
//! gains nothing, and TLS still sees the name.

use crate::policy::Addresses;
use futures_util::future::BoxFuture;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

/// Where names are looked up.
pub trait Lookup: Send + Sync + 'static {
    /// All addresses of `host`.
    fn lookup(&self, host: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>>;
}

/// The resolver of the operating system.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemLookup;

impl Lookup for SystemLookup {
    fn lookup(&self, host: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        Box::pin(async move {
            Ok(tokio::net::lookup_host((host.as_str(), 0)).await?.map(|address| address.ip()).collect())
        })
    }
}

/// Why a name led nowhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ResolveError {
    #[error("no address")]
    Unknown,
    #[error("a forbidden address")]
    Forbidden,
}

/// Looks up and checks; one for each kind of allowed addresses.
pub(crate) struct CheckedResolver {
    pub(crate) addresses: Addresses,
    pub(crate) lookup: Arc<dyn Lookup>,
}

impl Resolve for CheckedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let answer = self.lookup.lookup(name.as_str().to_owned());
        let allowed = self.addresses;
        Box::pin(async move {
            let found = answer.await.map_err(|_| ResolveError::Unknown)?;
            let addresses: Addrs = Box::new(checked(found, allowed)?.into_iter());
            Ok(addresses)
        })
    }
}

/// One forbidden address spoils the answer: a stranger who mixes a private address among public ones hopes
/// that some retry takes it.
fn checked(found: Vec<IpAddr>, allowed: Addresses) -> Result<Vec<SocketAddr>, ResolveError> {
    if found.is_empty() {
        return Err(ResolveError::Unknown);
    }
    if found.iter().any(|address| !allowed.allow(*address)) {
        return Err(ResolveError::Forbidden);
    }
    // Port 0 is replaced by the URL's.
    Ok(found.into_iter().map(|address| SocketAddr::new(address, 0)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ips(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn as_050_one_private_address_among_public_ones_spoils_the_answer() {
        for private in ["10.0.0.1", "127.0.0.1", "::1", "::ffff:10.0.0.1", "fd00::1", "169.254.169.254"] {
            for list in [
                [private, "1.1.1.1", "8.8.8.8"],
                ["1.1.1.1", private, "8.8.8.8"],
                ["1.1.1.1", "8.8.8.8", private],
            ] {
                assert_eq!(checked(ips(&list), Addresses::Public), Err(ResolveError::Forbidden), "{list:?}");
            }
        }
        let fine = checked(ips(&["1.1.1.1", "2606:4700::1"]), Addresses::Public).unwrap();
        assert_eq!(fine.iter().map(SocketAddr::ip).collect::<Vec<_>>(), ips(&["1.1.1.1", "2606:4700::1"]));
    }

    #[test]
    fn plain_http_names_lead_to_loopback_only() {
        assert!(checked(ips(&["127.0.0.1", "::1"]), Addresses::Loopback).is_ok());
        assert_eq!(
            checked(ips(&["127.0.0.1", "192.168.1.1"]), Addresses::Loopback),
            Err(ResolveError::Forbidden)
        );
        assert_eq!(checked(Vec::new(), Addresses::Any), Err(ResolveError::Unknown));
    }
}
