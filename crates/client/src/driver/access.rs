//! A good access token: renewed ahead of its end, by one process at a time, and never deleted by a loser.

use super::{Client, is_lost, metadata::is_gone, named_policy, server_url};
use crate::{
    error::{ClientError, Failed},
    refresh::{Due, due},
    revoke::is_another_grant,
    storage::{Entry, EntryKey, RefreshLock, Renewal},
    token::{Asked, TokenError, read_tokens, refresh_request},
};
use hallpass_core::{entropy::random, scope::Scope, secret::SecretString, time::Timestamp, uri::ResourceUri};
use http::Response;
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// How long to wait for another process that refreshes the same token: longer than its request may take.
const LOCK_PATIENCE: Duration = Duration::from_secs(35);
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// A token for somebody else's request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessToken {
    /// For `Authorization: Bearer`.
    pub token: SecretString,
    /// When it ends; `None`: the server did not say.
    pub expires_at: Option<Timestamp>,
    /// What it is good for.
    pub scope: Scope,
}

impl Client {
    /// A token of this account that is good as far as this client can know, renewed where that is due.
    ///
    /// # Errors
    /// `SignInNeeded`; `BoundToken` for one that is of no use without its key; `ServerUrl`, `Storage`, `Token`,
    /// `Fetch`, `Busy`.
    pub async fn token(&self, server: &str, account: &str) -> Result<AccessToken, Failed> {
        let entry = self.access(&server_url(server)?, account).await?.ok_or(ClientError::SignInNeeded)?;
        let tokens = entry.tokens;
        if tokens.expires_at.is_some_and(|end| end <= self.clock.now()) {
            return Err(ClientError::SignInNeeded.into());
        }
        match tokens.proof_key {
            None => Ok(AccessToken {
                token: tokens.access_token,
                expires_at: tokens.expires_at,
                scope: tokens.scope,
            }),
            Some(_) => Err(ClientError::BoundToken.into()),
        }
    }

    /// The sign-in of this account, with a token that is good as far as this client can know; `None`: not
    /// signed in.
    pub(super) async fn access(&self, server: &ResourceUri, account: &str) -> Result<Option<Entry>, Failed> {
        let (url, account) = (server.as_str().to_owned(), account.to_owned());
        let Some(entry) =
            self.read_store(move |contents| contents.for_server(&url, &account).cloned()).await?
        else {
            return Ok(None);
        };
        let [spread] = random::<1>(&*self.entropy);
        match due(&entry.tokens, self.clock.now(), spread) {
            _ if !entry.is_renewable() => Ok(Some(entry)),
            Due::Fresh => Ok(Some(entry)),
            Due::Ended => self.renew(server, &entry).await,
            // An outage of the authorization server must not stop a token that is still good.
            Due::Soon => match self.renew(server, &entry).await {
                // So must a platform that has not made another token yet.
                Err(failed) if failed.error.is_passing() || entry.is_of_a_program() => Ok(Some(entry)),
                outcome => outcome,
            },
        }
    }

    /// A newer sign-in than `seen`: another process's, or refreshed now. `None`: there is none to be had.
    pub(super) async fn renew(&self, server: &ResourceUri, seen: &Entry) -> Result<Option<Entry>, Failed> {
        // One that goes through another sign-in uses nothing up, and renews the other one, whose lock may be the same file.
        let _lock = match seen.through() {
            None => Some(self.refresh_lock(&seen.key).await?),
            Some(_) => None,
        };
        // Whoever waited for the lock finds here what the other one brought (CL-068).
        let Some(current) = self.current(seen).await? else { return Ok(None) };
        if current.tokens.access_token != seen.tokens.access_token {
            return Ok(Some(current));
        }
        match current.renewal.clone() {
            Some(Renewal::Through(through)) => {
                return Box::pin(self.renew_through(server, current, &through)).await.map(Some);
            }
            Some(Renewal::Platform(platform, used)) => {
                let current = self.with_fresh_endpoints(server, current).await;
                return self.renew_from_platform(server, current, (platform, used)).await.map(Some);
            }
            Some(Renewal::Machine(proof)) => {
                let current = self.with_fresh_endpoints(server, current).await;
                return self.renew_as_machine(server, current, proof).await.map(Some);
            }
            None => {}
        }
        let Some(refresh_token) = current.tokens.refresh_token.clone() else { return Ok(None) };
        let current = self.with_fresh_endpoints(server, current).await;
        let (current, response) = self.refreshed(server, current, &refresh_token).await?;
        let asked = Asked {
            scope: &current.tokens.scope,
            refresh_token: Some(&refresh_token),
            proof_key: current.tokens.proof_key.as_ref(),
        };
        let now = self.clock.now();
        match read_tokens(&response, asked, now) {
            Ok(tokens) => {
                // On disk before first use, and before the old one is forgotten (CL-070).
                let (key, used, new) = (current.key.clone(), refresh_token, tokens.clone());
                let kept =
                    self.change_store(now, move |contents| contents.replace_tokens(&key, &used, new)).await?;
                let renewed = Entry { tokens, ..current };
                if kept {
                    return Ok(Some(renewed));
                }
                // Signed out, or in anew, while the answer was on its way: nothing is brought back, and nothing taken from the
                // new sign-in.
                let now = self.current(&renewed).await?;
                if now.as_ref().is_none_or(|now| is_another_grant(&renewed, now)) {
                    self.revoke(server, &renewed).await;
                }
                Ok(now)
            }
            Err(failure) => self.refused(&refresh_token, &current, failure.widen()).await,
        }
    }

    /// `invalid_grant` deletes the sign-in only if it still is the one that was refused (CL-069), a client that
    /// is not known any more only its registration (CL-026), anything else nothing (CL-072).
    async fn refused(
        &self,
        refused: &SecretString,
        current: &Entry,
        failed: Failed,
    ) -> Result<Option<Entry>, Failed> {
        let now = self.clock.now();
        let ClientError::Token(reason) = failed.error else { return Err(failed) };
        if reason == TokenError::InvalidGrant {
            let (current, refused) = (current.clone(), refused.clone());
            let newer = move |contents: &mut crate::storage::Contents| {
                contents.remove_refused(&current.key, &refused);
                contents.now_in_place_of(&current).cloned()
            };
            return Ok(self.change_store(now, newer).await?);
        }
        if reason == TokenError::InvalidClient {
            let (issuer, client_id) = (current.key.issuer.clone(), current.client.client_id.clone());
            self.change_store(now, move |contents| contents.remove_registration(&issuer, &client_id)).await?;
        }
        Err(failed)
    }

    /// The answer to a refresh. An endpoint that is not there any more is looked for once: where the metadata names another one
    /// by now, that is asked (CL-014).
    async fn refreshed(
        &self,
        server: &ResourceUri,
        entry: Entry,
        refresh_token: &SecretString,
    ) -> Result<(Entry, Response<bytes::Bytes>), Failed> {
        let response = self.send_refresh(server, &entry, refresh_token).await?;
        if !is_gone(response.status()) {
            return Ok((entry, response));
        }
        let before = entry.token_endpoint.clone();
        let entry = self.with_endpoints_of_now(server, entry).await;
        if entry.token_endpoint == before {
            return Ok((entry, response));
        }
        let response = self.send_refresh(server, &entry, refresh_token).await?;
        Ok((entry, response))
    }

    async fn send_refresh(
        &self,
        server: &ResourceUri,
        entry: &Entry,
        refresh_token: &SecretString,
    ) -> Result<Response<bytes::Bytes>, Failed> {
        let request =
            || refresh_request(&entry.token_endpoint, &entry.client, refresh_token, &entry.key.resource);
        let (policy, key) = (named_policy(server), entry.tokens.proof_key.as_ref());
        match self.ask_token(request()?, &policy, key).await {
            // The answer may be lost and the token used up: at once again, within the server's grace (CL-071).
            Err(Failed { error: ClientError::Fetch { source, .. }, .. }) if is_lost(source) => {
                self.ask_token(request()?, &policy, key).await
            }
            outcome => outcome,
        }
    }

    pub(super) async fn refresh_lock(&self, key: &EntryKey) -> Result<RefreshLock, Failed> {
        let until = Instant::now() + LOCK_PATIENCE;
        loop {
            if let Some(lock) = self.store.try_refresh_lock(key)? {
                return Ok(lock);
            }
            if Instant::now() >= until {
                return Err(ClientError::Busy.into());
            }
            sleep(LOCK_PAUSE).await;
        }
    }

    /// The sign-in as it is by now.
    pub(super) async fn current(&self, seen: &Entry) -> Result<Option<Entry>, Failed> {
        let seen = seen.clone();
        Ok(self.read_store(move |contents| contents.now_in_place_of(&seen).cloned()).await?)
    }
}
