//! Signing out: deleted here, revoked there. And what a new sign-in does to the one before.

use super::{Client, named_policy, server_url};
use crate::{
    error::Failed,
    revoke::{has_ended, is_another_grant, revocation_request},
    storage::Entry,
};
use hallpass_core::uri::ResourceUri;
use hallpass_fetch::Limits;

/// What became of the tokens at the authorization server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Revoked {
    /// It confirmed.
    Yes,
    /// It has no revocation endpoint: access tokens end by themselves.
    NotOffered,
    /// It did not confirm. The grant can be ended on its own pages.
    NotConfirmed,
}

/// A sign-out that was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedOut {
    /// Of which issuer.
    pub issuer: String,
    /// At the authorization server.
    pub revoked: Revoked,
}

/// A sign-in that another one took the place of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replaced {
    /// Of which issuer.
    pub issuer: String,
    /// At the authorization server. `None`: it was not asked, because for all that can be known here the new sign-in is of the
    /// same grant and would end with it.
    pub revoked: Option<Revoked>,
}

impl Client {
    /// Signs the account out of the server: forgotten on this machine whatever happens, and revoked where the
    /// authorization server offers that (RFC 7009, CL-081). Empty: it was not signed in.
    ///
    /// # Errors
    /// `ServerUrl`, `Storage`.
    pub async fn logout(&self, server: &str, account: &str) -> Result<Vec<SignedOut>, Failed> {
        let server = server_url(server)?;
        let (url, name) = (server.as_str().to_owned(), account.to_owned());
        let mine = move |entry: &Entry| entry.server == url && entry.key.account == name;
        let of_server = mine.clone();
        let (url, name, now) = (server.as_str().to_owned(), account.to_owned(), self.clock.now());
        let (begun, keys) = self
            .read_store(move |contents| {
                let begun = contents.begun(&url, &name, now).is_some();
                let keys = contents
                    .entries
                    .iter()
                    .filter(|entry| of_server(entry))
                    .map(|entry| entry.key.clone())
                    .collect::<Vec<_>>();
                (begun, keys)
            })
            .await?;
        if begun {
            let (url, name) = (server.as_str().to_owned(), account.to_owned());
            self.change_store(self.clock.now(), move |contents| contents.remove_begun(&url, &name)).await?;
        }
        let mut done = Vec::new();
        for key in keys {
            // Not between a refresh and its answer, or the answer would be a token that nobody revokes.
            let lock = self.refresh_lock(&key).await.ok();
            let issuer = key.issuer.clone();
            let removed = self
                .change_store(self.clock.now(), move |contents| {
                    let entry = contents.entry(&key).cloned();
                    contents.entries.retain(|entry| entry.key != key);
                    entry
                })
                .await?;
            drop(lock);
            if let Some(entry) = removed {
                done.push(SignedOut { issuer, revoked: self.revoke(&server, &entry).await });
            }
        }
        Ok(done)
    }

    /// Revokes the sign-ins that `new`, which is kept by now, took the place of, each at its own issuer. Whoever uses one of them
    /// at this moment is refused once, and finds the new one.
    pub(super) async fn give_up_replaced(
        &self,
        server: &ResourceUri,
        replaced: Vec<Entry>,
        new: &Entry,
    ) -> Vec<Replaced> {
        let mut given_up = Vec::new();
        for old in replaced {
            if has_ended(&old, self.clock.now()) {
                continue;
            }
            let revoked =
                if is_another_grant(&old, new) { Some(self.revoke(server, &old).await) } else { None };
            given_up.push(Replaced { issuer: old.key.issuer, revoked });
        }
        given_up
    }

    pub(super) async fn revoke(&self, server: &ResourceUri, entry: &Entry) -> Revoked {
        let key = self.key_of_program(entry.machine()).await.unwrap_or_default();
        let moment = (self.clock.now(), &*self.entropy);
        let request = match revocation_request(entry, key.as_ref(), moment) {
            Ok(Some(request)) => request,
            Ok(None) => return Revoked::NotOffered,
            Err(_) => return Revoked::NotConfirmed,
        };
        match self.fetch.send(request, &named_policy(server), Limits::DOCUMENT).await {
            Ok(response) if response.status().is_success() => Revoked::Yes,
            Ok(_) | Err(_) => Revoked::NotConfirmed,
        }
    }
}
