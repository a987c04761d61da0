//! Signing in with a code on another device: asks, shows, polls.

use super::{Client, LoginOptions, SignedIn, WhatFor, named_policy, prepare::Prepared};
use crate::{
    device::{DeviceAuthorization, DeviceError, DevicePrompt, Polled, device_request, read_device},
    error::{ClientError, Failed, Party},
    loopback::Listener,
    storage::{ClientCredentials, Registration, Tokens},
    token::Asked,
};
use hallpass_fetch::Limits;
use std::time::Duration;
use tokio::time::{Instant, sleep, timeout};

/// The person, as far as signing in on another device needs one.
pub trait DeviceInteraction: Send {
    /// Shows the code and the page to type it at. The sign-in polls meanwhile.
    fn show(&mut self, prompt: &DevicePrompt, what_for: &WhatFor<'_>);

    /// Nobody has decided yet; the code lives so much longer.
    fn waiting(&mut self, left: Duration) {
        let _ = left;
    }
}

impl Client {
    pub(super) async fn attempt_device(
        &self,
        prepared: &Prepared,
        options: &LoginOptions,
        kept: Option<Registration>,
        interaction: &mut dyn DeviceInteraction,
    ) -> Result<SignedIn, Failed> {
        // A registration names a callback although none is awaited: many servers refuse it without, and a sign-in with a
        // browser later goes on with it.
        let redirect_uri = match &kept {
            Some(kept) => kept.redirect_uri.clone(),
            None => Listener::bind(None).await.map_err(ClientError::Loopback)?.redirect_uri(),
        };
        let client = self.identity(prepared, options, kept, &redirect_uri).await?;
        let server = &prepared.authorization_server;
        let request = device_request(server, &client, &prepared.resource, &prepared.scope)?;
        let policy = named_policy(&prepared.server);
        let response = self.ask(Party::AuthorizationServer, request, &policy, Limits::TOKEN).await?;
        let device = read_device(&response)?;
        let what_for = WhatFor {
            server: prepared.server.as_str(),
            server_name: prepared.name.as_ref(),
            scope: &prepared.scope,
        };
        interaction.show(&device.prompt, &what_for);
        let (lifetime, patience) = (device.prompt.lifetime, options.patience);
        let polls = self.poll(prepared, &client, device, interaction);
        let tokens = match timeout(lifetime.min(patience), polls).await {
            Ok(tokens) => tokens?,
            Err(_) if patience < lifetime => return Err(ClientError::NobodyAnswered.into()),
            Err(_) => return Err(DeviceError::Expired.into()),
        };
        self.keep(prepared, &options.account, client, tokens).await
    }

    async fn poll(
        &self,
        prepared: &Prepared,
        client: &ClientCredentials,
        mut device: DeviceAuthorization,
        interaction: &mut dyn DeviceInteraction,
    ) -> Result<Tokens, Failed> {
        let (policy, server) = (named_policy(&prepared.server), &prepared.authorization_server);
        let end = Instant::now() + device.prompt.lifetime;
        loop {
            sleep(device.interval()).await;
            let request = device.poll(server, client)?;
            let response = match self.ask_token(request, &policy, prepared.proof_key.as_ref()).await {
                Ok(response) => response,
                Err(failed) if failed.error.is_passing() => {
                    device.lost();
                    continue;
                }
                Err(failed) => return Err(failed),
            };
            let asked =
                Asked { scope: &prepared.scope, refresh_token: None, proof_key: prepared.proof_key.as_ref() };
            match device.judge(&response, asked, self.clock.now()) {
                Ok(Polled::Tokens(tokens)) => return Ok(*tokens),
                Ok(Polled::NotYet) => {
                    interaction.waiting(end.saturating_duration_since(Instant::now()));
                }
                Err(failure) if failure.error == DeviceError::Unavailable => device.lost(),
                Err(failure) => return Err(failure.into()),
            }
        }
    }
}
