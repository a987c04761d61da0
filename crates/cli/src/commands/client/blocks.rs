//! What the operator does not want.

use super::super::{
    grants::{self, Pages},
    place::Place,
};
use crate::{output::note, say};
use anyhow::bail;
use clap::Args;
use hallpass_core::uri::RedirectUri;
use hallpass_server::{audit::Event, blocked::BlockList};
use hallpass_store::{Block, BlockKind};

/// What to block: exactly one.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
pub struct What {
    /// A client, by its id or the URL of its metadata document.
    #[arg(long, value_name = "ID")]
    client: Option<String>,
    /// A host that receives codes or publishes documents, such as evil.example or *.evil.example. What it was given is
    /// revoked: an unblocked host does not get it back.
    #[arg(long, value_name = "HOST")]
    host: Option<String>,
    /// Redirect URIs that begin so, such as <https://shared.example/tenant/>. Grants that exist are not known by it.
    #[arg(long, value_name = "BEGINNING")]
    redirect: Option<String>,
}

impl What {
    fn read(&self) -> anyhow::Result<(BlockKind, String)> {
        match (&self.client, &self.host, &self.redirect) {
            (Some(id), ..) => Ok((BlockKind::Client, id.clone())),
            (_, Some(host), _) => Ok((BlockKind::Host, named_host(host)?)),
            (.., Some(beginning)) => match RedirectUri::parse(beginning) {
                // As the server reads it, so that another spelling of the same beginning is the same.
                Ok(uri) if uri.parsed().has_host() => {
                    Ok((BlockKind::Redirect, uri.parsed().as_str().to_owned()))
                }
                _ => {
                    bail!("{beginning:?} is not the beginning of a redirect URI: write scheme, host and path")
                }
            },
            (None, None, None) => bail!("name one of --client, --host, --redirect"),
        }
    }
}

/// A host as it is compared with those of clients: a block that matches nothing must not look like one.
fn named_host(text: &str) -> anyhow::Result<String> {
    // An app's own scheme is compared as it is written.
    if let Some((scheme, _)) = text.split_once("://") {
        if matches!(scheme.to_ascii_lowercase().as_str(), "http" | "https") {
            bail!("{text:?} is a URL: write the name of the host alone, such as evil.example");
        }
        return Ok(text.to_owned());
    }
    let (below, name) = text.strip_prefix("*.").map_or(("", text), |name| ("*.", name));
    match url::Host::parse(name) {
        Ok(host) if below.is_empty() || matches!(host, url::Host::Domain(_)) => Ok(format!("{below}{host}")),
        _ => bail!(
            "{text:?} is not a host: write a name such as evil.example, or *.evil.example, without port and path"
        ),
    }
}

/// Puts a block in force.
pub async fn block(place: &Place, what: &What, why: String, json: bool) -> anyhow::Result<()> {
    let (kind, key) = what.read()?;
    let block = Block { kind, key: key.clone(), created_at: place.now, note: why };
    let new = place.store.block_put(block, place.tokens_until()).await?;
    let mut revoked = 0;
    if kind == BlockKind::Host {
        revoked = revoke_at_host(place).await?;
    }
    if new {
        let named = format!("{} {key}", kind.name());
        place.record(&[Event::client_blocked(&named, place.tokens_until())]).await?;
    }
    if json {
        let done = serde_json::json!({
            "kind": kind.name(), "key": key, "blocked_before": !new, "grants_revoked": revoked,
        });
        say!("{done}");
    }
    note(&match (new, revoked) {
        (false, 0) => "it was blocked before".to_owned(),
        (_, 0) => "blocked".to_owned(),
        (_, revoked) => format!("blocked; {revoked} grants that went there are revoked"),
    });
    Ok(())
}

/// Revokes what blocked hosts were given: who holds a refresh token there must not get it back with the host.
async fn revoke_at_host(place: &Place) -> anyhow::Result<usize> {
    let blocks = BlockList::load(&*place.store).await?;
    let (mut pages, mut revoked) = (Pages::of_everybody(place), 0);
    while let Some(mut page) = pages.next().await? {
        page.retain(|grant| blocks.receiver(&grant.redirect_host) || blocks.client(&grant.client_id));
        revoked += grants::revoke(place, page).await?;
    }
    Ok(revoked)
}

/// Lifts a block.
pub async fn unblock(place: &Place, what: &What, json: bool) -> anyhow::Result<()> {
    let (kind, key) = what.read()?;
    if !place.store.block_remove(kind, key.clone(), place.tokens_until()).await? {
        bail!("there is no block of the {} {key:?}: `hallpass client blocks` lists them", kind.name());
    }
    let named = format!("{} {key}", kind.name());
    place.record(&[Event::client_unblocked(&named)]).await?;
    if json {
        say!("{}", serde_json::json!({ "kind": kind.name(), "key": key, "unblocked": true }));
    }
    note("no longer blocked");
    Ok(())
}

/// Lists what is blocked.
pub async fn list(place: &Place, json: bool) -> anyhow::Result<()> {
    let blocks = place.store.blocks_read().await?;
    if json {
        let rows: Vec<_> = blocks
            .iter()
            .map(|block| {
                serde_json::json!({
                    "kind": block.kind.name(), "key": block.key, "note": block.note,
                    "since": block.created_at.to_rfc3339(),
                })
            })
            .collect();
        say!("{}", serde_json::to_string_pretty(&rows)?);
        return Ok(());
    }
    for block in &blocks {
        say!("{:8}  {}  {}", block.kind.name(), block.key, block.note);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::named_host;

    #[test]
    fn a_block_is_written_as_it_is_compared_or_refused() {
        for (typed, compared) in [
            ("evil.example", "evil.example"),
            ("Evil.EXAMPLE", "evil.example"),
            ("*.evil.example", "*.evil.example"),
            ("b\u{fc}cher.example", "xn--bcher-kva.example"),
            ("192.0.2.7", "192.0.2.7"),
            ("com.example.App://", "com.example.App://"),
        ] {
            assert_eq!(named_host(typed).unwrap(), compared, "{typed}");
        }
        for wrong in [
            "https://evil.example",
            "HTTP://evil.example/",
            "evil.example/a",
            "evil.example:8080",
            "evil .example",
            "",
            "*.",
            "*.192.0.2.7",
        ] {
            assert!(named_host(wrong).is_err(), "{wrong}");
        }
    }
}
