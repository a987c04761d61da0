//! What an operator does not want: clients by id or document, hosts, beginnings of redirect URIs.
//!
//! An id alone blocks nobody who can register again (M7), so hosts are what counts. The list is in the memory of every
//! node, read again when the feed says that it changed, and asked before anything else: before a fetch, before the
//! resolver.

use arc_swap::ArcSwap;
use hallpass_core::uri::RedirectUri;
use hallpass_store::{Block, BlockKind, Store, StoreError};
use std::{collections::HashSet, sync::Arc};

/// The list in force.
pub struct BlockList(ArcSwap<Lists>);

#[derive(Debug, Default, PartialEq, Eq)]
struct Lists {
    clients: HashSet<String>,
    hosts: Vec<String>,
    redirects: Vec<String>,
}

impl BlockList {
    /// Reads it.
    pub async fn load(store: &dyn Store) -> Result<Self, StoreError> {
        Ok(Self(ArcSwap::from_pointee(Lists::of(store.blocks_read().await?))))
    }

    /// Reads it again.
    pub async fn reload(&self, store: &dyn Store) -> Result<(), StoreError> {
        self.0.store(Arc::new(Lists::of(store.blocks_read().await?)));
        Ok(())
    }

    /// Whether this `client_id` is blocked, by itself or by the host of its document.
    pub fn client(&self, id: &str) -> bool {
        let lists = self.0.load();
        if lists.clients.contains(id) {
            return true;
        }
        let host = || url::Url::parse(id).ok().and_then(|url| url.host_str().map(str::to_owned));
        !lists.hosts.is_empty()
            && super::document::is_document(id)
            && host().is_some_and(|host| is_listed(&lists.hosts, &host))
    }

    /// Whether answers to this redirect URI are blocked.
    pub fn redirect(&self, uri: &RedirectUri) -> bool {
        let lists = self.0.load();
        let written = uri.parsed().as_str();
        lists.redirects.iter().any(|beginning| written.starts_with(beginning))
            || self.receiver(&uri.receiver())
    }

    /// Whether any receiver of a code can be blocked at all.
    pub fn some_hosts(&self) -> bool {
        !self.0.load().hosts.is_empty()
    }

    /// Whether this receiver of a code, as a grant remembers it, is blocked.
    pub fn receiver(&self, receiver: &str) -> bool {
        let lists = self.0.load();
        !lists.hosts.is_empty() && is_listed(&lists.hosts, host_of(receiver))
    }
}

impl Lists {
    fn of(blocks: Vec<Block>) -> Self {
        let mut lists = Self::default();
        for Block { kind, key, .. } in blocks {
            match kind {
                BlockKind::Client => drop(lists.clients.insert(key)),
                BlockKind::Host => lists.hosts.push(key),
                BlockKind::Redirect => lists.redirects.push(key),
            }
        }
        lists
    }
}

/// The host of `host:port`; an app's own scheme is a receiver as a whole.
pub fn host_of(receiver: &str) -> &str {
    match receiver.rsplit_once(':') {
        Some((host, port)) if !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => receiver,
    }
}

/// Whether a host is one of these; `*.example.com` is every name below it, and not itself.
pub fn is_listed(hosts: &[String], host: &str) -> bool {
    hosts.iter().any(|one| match one.strip_prefix('*') {
        Some(below) => host.ends_with(below) && host.len() > below.len(),
        None => one == host,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use hallpass_core::time::Timestamp;

    fn list(blocks: &[(BlockKind, &str)]) -> BlockList {
        let block = |(kind, key): &(BlockKind, &str)| Block {
            kind: *kind,
            key: (*key).to_owned(),
            created_at: Timestamp::from_seconds(0),
            note: String::new(),
        };
        BlockList(ArcSwap::from_pointee(Lists::of(blocks.iter().map(block).collect())))
    }

    #[test]
    fn m7_hosts_ports_schemes_and_beginnings() {
        let list = list(&[
            (BlockKind::Host, "evil.example"),
            (BlockKind::Host, "*.bad.example"),
            (BlockKind::Host, "evilapp://callback"),
            (BlockKind::Redirect, "https://shared.example/tenant/"),
            (BlockKind::Client, "hpc_AQ"),
        ]);
        let uri = |text: &str| RedirectUri::parse(text).unwrap();
        for (text, blocked) in [
            ("https://evil.example/cb", true),
            ("https://EVIL.example/cb", true),
            ("https://evil.example:8443/cb", true),
            ("https://a.evil.example/cb", false),
            ("https://xevil.example/cb", false),
            ("https://a.bad.example/cb", true),
            ("https://bad.example/cb", false),
            ("evilapp://callback", true),
            ("https://shared.example/tenant/cb", true),
            ("https://SHARED.example/tenant/cb", true),
            ("https://shared.example/tenant", false),
            ("https://shared.example/other/cb", false),
        ] {
            assert_eq!(list.redirect(&uri(text)), blocked, "{text}");
        }
        for (id, blocked) in [
            ("hpc_AQ", true),
            ("hpc_AQA", false),
            ("https://evil.example/client.json", true),
            ("https://good.example/evil.example", false),
            ("evil.example", false),
        ] {
            assert_eq!(list.client(id), blocked, "{id}");
        }
        assert!(list.receiver("evil.example:8443") && !list.receiver("[::1]:80"));
    }
}
