//! What hangs on a master key, as far as it can be known.

use super::super::super::{grants::Pages, place::Place};
use crate::state::KeyFile;
use hallpass_core::{
    entropy::{self, SystemEntropy},
    seal::KeyRing,
    secret::SecretBytes,
    time::Timestamp,
};
use hallpass_server::keys::{in_use, reseal_one};
use hallpass_store::{Connection, SecondFactor, StoreError};
use std::collections::BTreeSet;

/// Rows that are read at once.
const PAGE: u32 = 500;

/// What was made with a key and is not over.
#[derive(Debug, Default)]
pub struct Depends {
    /// Signing keys in use that are sealed under it.
    pub signing_keys: usize,
    /// Whether refresh tokens, sessions and pages made with it may be alive.
    tokens: bool,
    /// Until when that is so; `None` where nobody knows, or while it is used.
    pub tokens_until: Option<Timestamp>,
    /// Live grants of clients whose ids were made with it.
    pub grants: usize,
    /// These clients.
    pub clients: BTreeSet<String>,
    /// Whether clients may have ids that were made with it.
    ids: bool,
    /// Connections to services of third parties whose tokens are sealed under it.
    pub connections: usize,
    /// Second factors of people whose secrets are sealed under it.
    pub second_factors: usize,
}

impl Depends {
    /// Looks.
    pub async fn find(place: &Place, file: &KeyFile, number: u8) -> anyhow::Result<Self> {
        let mut found = Self::default();
        let stored = place.store.keys_read().await?;
        let of_this = |sealed: &[u8]| KeyRing::number_of(sealed) == Some(number);
        found.signing_keys = in_use(&stored, place.now).filter(|key| of_this(&key.sealed)).count();
        if file.was_never_used(number) {
            return Ok(found);
        }
        found.ids = true;
        let count = async |page: Vec<Connection>| {
            found.connections += page.len();
            Ok(())
        };
        connections((place, number), count).await?;
        let count = async |page: Vec<SecondFactor>| {
            found.second_factors += page.len();
            Ok(())
        };
        second_factors((place, number), count).await?;
        let settings = &place.settings;
        let longest = settings.refresh_idle_lifetime.max(settings.session_lifetime);
        found.tokens_until = file.only_read_since(number).map(|since| since.plus(longest));
        found.tokens = found.tokens_until.is_none_or(|until| place.now < until);
        let mut pages = Pages::of_everybody(place);
        while let Some(page) = pages.next().await? {
            for grant in page {
                if hallpass_server::master_key_of_client(&grant.client_id) == Some(number) {
                    found.grants += 1;
                    found.clients.insert(grant.client_id);
                }
            }
        }
        Ok(found)
    }

    /// Whether it can go, and nobody notices.
    pub fn is_nothing(&self) -> bool {
        self.signing_keys == 0
            && self.connections == 0
            && self.second_factors == 0
            && !self.tokens
            && !self.ids
    }

    /// For people.
    pub fn sentences(&self) -> Vec<String> {
        let mut sentences = Vec::new();
        if self.signing_keys > 0 {
            sentences.push(format!("{} signing key(s) are sealed under it", self.signing_keys));
        }
        if self.connections > 0 {
            let count = self.connections;
            sentences.push(format!(
                "the tokens of {count} connection(s) to other services are sealed under it: without it each person connects again"
            ));
        }
        if self.second_factors > 0 {
            let count = self.second_factors;
            sentences.push(format!(
                "the second factor of {count} account(s) is sealed under it: without it they get in with recovery codes alone"
            ));
        }
        if self.tokens {
            let until =
                self.tokens_until.map_or_else(String::new, |until| format!(" until {}", until.to_rfc3339()));
            sentences.push(format!("refresh tokens, sessions and open pages made with it are good{until}"));
        }
        if self.grants > 0 {
            let (grants, clients) = (self.grants, self.clients.len());
            sentences
                .push(format!("{grants} live grant(s) are of {clients} client(s) that registered under it"));
        }
        if self.ids {
            sentences.push("clients that registered under it keep their id and secret for years".to_owned());
        }
        sentences
    }
}

/// Seals anew what is sealed under this key, under the one for what is new. The running server does so by itself where the
/// number goes up; this is for a key that was taken back, and for a server that does not run.
pub async fn reseal(place: &Place, file: &KeyFile, number: u8) -> anyhow::Result<()> {
    let candidate = SecretBytes::new(entropy::random(&SystemEntropy));
    let root = place.store.root_secret(candidate).await?;
    let ring = KeyRing::of(&file.master_keys(), &root, place.settings.issuer.as_str())?;
    for key in place.store.keys_read().await? {
        if KeyRing::number_of(&key.sealed) == Some(number) {
            reseal_one(&*place.store, &ring, &SystemEntropy, &key).await?;
        }
    }
    let (store, entropy) = (&*place.store, &SystemEntropy);
    let anew = async |page: Vec<SecondFactor>| {
        for row in page {
            hallpass_server::reseal_second_factor(store, &ring, entropy, &row).await?;
        }
        Ok(())
    };
    second_factors((place, number), anew).await?;
    let anew = async |page: Vec<Connection>| {
        for row in page {
            hallpass_server::connections::reseal_one(store, &ring, entropy, (&row, place.now)).await?;
        }
        Ok(())
    };
    connections((place, number), anew).await?;
    Ok(())
}

/// Connections under one master key, a page at a time.
async fn connections(
    (place, number): (&Place, u8),
    each: impl AsyncFnMut(Vec<Connection>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let read = async |after| place.store.connections_under(number, after, PAGE).await;
    pages(read, |row| row.id, each).await
}

/// Second factors under one master key, a page at a time.
async fn second_factors(
    (place, number): (&Place, u8),
    each: impl AsyncFnMut(Vec<SecondFactor>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let read = async |after| place.store.second_factors_under(number, after, PAGE).await;
    pages(read, |row| row.person, each).await
}

async fn pages<Row, After>(
    read: impl AsyncFn(Option<After>) -> Result<Vec<Row>, StoreError>,
    last_of: impl Fn(&Row) -> After,
    mut each: impl AsyncFnMut(Vec<Row>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut after = None;
    loop {
        let page = read(after).await?;
        let Some(last) = page.last() else { return Ok(()) };
        after = Some(last_of(last));
        each(page).await?;
    }
}
