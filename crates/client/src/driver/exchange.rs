//! A narrower token for a sub-agent, over the network. Nothing of it is kept: it is good for minutes, and ends with the token that it
//! was made of.

use super::{AccessToken, Client, named_policy, prepare::Wanted, server_url};
use crate::{
    error::{ClientError, Failed},
    exchange::{TOKEN_EXCHANGE, narrower_request, read_narrower},
    machine::{Asking, MachineAuth, MachineClient},
    storage::Tokens,
};
use hallpass_core::{scope::Scope, secret::SecretString, uri::ResourceUri};

/// How a sub-agent gets a token of its own.
#[derive(Clone, Debug)]
pub struct ExchangeOptions {
    /// Who the sub-agent is at the authorization server, whose operator lets it act for the agent.
    pub client: MachineClient,
    /// The agent's access token for this server, handed over for this one purpose.
    pub subject_token: SecretString,
    /// Ask for exactly these scopes; empty: the server decides, up to those of the agent's token.
    pub scope: Scope,
    /// The only issuer that both may go to; `None`: the one that the server names, if that is on the server's own host.
    pub issuer: Option<String>,
}

impl Client {
    /// A token for the part of an agent's access that a sub-agent needs (RFC 8693), for the same server. It is kept nowhere.
    ///
    /// # Errors
    /// `ServerUrl`, `NotProtected`, `Discovery`, `Token`, `KeyFile`, `SecretForWhom`, `Fetch`, `Status`, `Storage`.
    pub async fn exchange(&self, server: &str, options: &ExchangeOptions) -> Result<AccessToken, Failed> {
        let wanted = Wanted {
            account: "",
            challenged: None,
            scope: Some(&options.scope),
            more_scope: None,
            grant_type: Some(TOKEN_EXCHANGE),
            issuer: options.issuer.as_deref(),
        };
        let prepared = self.prepare(server_url(server)?, wanted).await?;
        let found = &prepared.authorization_server;
        // Somebody else's token is as good as a secret: a server has no say in who gets it (CL-025).
        if options.issuer.is_none() && !prepared.is_at_home() {
            return Err(ClientError::SecretForWhom(found.issuer.as_str().to_owned()).into());
        }
        let client = self.with_key(&options.client).await?;
        let key = if let MachineAuth::Key(key) = &client.auth { Some(key) } else { None };
        let asking = Asking {
            endpoint: found.token_endpoint.as_str(),
            issuer: found.issuer.as_str(),
            client: &client.credentials(found)?,
            key,
        };
        let what_for = (prepared.resource.as_str(), &options.scope);
        self.narrower(&prepared.server, &asking, &options.subject_token, what_for).await
    }

    /// A token for a part of what a kept sign-in may do, to be handed to a sub-agent: it has these scopes and no way to renew itself.
    /// The authorization server has to let this client do that.
    ///
    /// # Errors
    /// Those of [`Client::token`].
    pub async fn narrowed(&self, server: &str, account: &str, scope: &Scope) -> Result<AccessToken, Failed> {
        let server = server_url(server)?;
        let entry = self.access(&server, account).await?.ok_or(ClientError::SignInNeeded)?;
        // What comes of it is bound to the same key, which stays here.
        if entry.tokens.proof_key.is_some() {
            return Err(ClientError::BoundToken.into());
        }
        let key = self.key_of_program(entry.machine()).await?;
        let asking = Asking::of(&entry, key.as_ref());
        self.narrower(&server, &asking, &entry.tokens.access_token, (&entry.key.resource, scope)).await
    }

    async fn narrower(
        &self,
        server: &ResourceUri,
        asking: &Asking<'_>,
        subject_token: &SecretString,
        (resource, scope): (&str, &Scope),
    ) -> Result<AccessToken, Failed> {
        let moment = (self.clock.now(), &*self.entropy);
        let request = narrower_request(asking, subject_token, (resource, scope), moment)?;
        let response = self.ask_token(request, &named_policy(server), None).await?;
        let Tokens { access_token, expires_at, scope, .. } =
            read_narrower(&response, scope, self.clock.now())?;
        Ok(AccessToken { token: access_token, expires_at, scope })
    }
}
