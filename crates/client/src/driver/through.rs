//! Signing in to a server through a sign-in that is kept already, at a company's identity provider: an identity assertion
//! from there is the grant here (ID-JAG), for each token a new one. No browser opens but where the provider wants the person
//! again, or where the server does not take assertions.

use super::{Client, Interaction, LoginOptions, SignedIn, named_policy, prepare::Wanted, server_url};
use crate::{
    authorize::SignInDemand,
    discovery::DiscoveryError,
    error::{ClientError, Failed, Party},
    machine::{
        IdentityProvider, JWT_BEARER, SubjectToken, check_assertion, exchange_request, read_exchange,
        redeem_request,
    },
    proof::ProofKey,
    registration::{Identity, Route, route},
    storage::{ClientCredentials, Entry, Renewal, Through, Tokens},
    token::{Asked, TokenError, read_tokens},
};
use bytes::Bytes;
use hallpass_core::{
    json,
    scope::Scope,
    uri::{EndpointUrl, ResourceUri},
};
use hallpass_fetch::Limits;
use http::Response;

/// Where a token is to come from, and for what.
struct Target<'a> {
    server: &'a ResourceUri,
    issuer: &'a str,
    token_endpoint: &'a str,
    client: &'a ClientCredentials,
    resource: &'a str,
    scope: &'a Scope,
    proof_key: Option<&'a ProofKey>,
}

impl Client {
    /// Signs in to the server through a kept sign-in. Where its authorization server does not say that it takes identity
    /// assertions, the person is asked there as usual (CL-092); where the provider wants a newer or stronger sign-in of the
    /// person, that is done once (CL-094).
    ///
    /// # Errors
    /// Those of [`Client::login`], `ThroughEnded`, `ThroughUnknownClient`, `SignInDemanded`.
    pub async fn login_through(
        &self,
        server: &str,
        options: &LoginOptions,
        through: &Through,
        interaction: &mut dyn Interaction,
    ) -> Result<SignedIn, Failed> {
        let server = server_url(server)?;
        let wanted = Wanted {
            account: &options.account,
            challenged: None,
            scope: options.scope.as_ref(),
            more_scope: options.more_scope.as_ref(),
            grant_type: Some(JWT_BEARER),
            issuer: None,
        };
        let prepared = match self.prepare(server.clone(), wanted).await {
            Ok(prepared) if prepared.authorization_server.takes_identity_assertions => prepared,
            Ok(_) => return self.login_for(server, options, None, interaction).await,
            Err(Failed { error: ClientError::Discovery(DiscoveryError::NoMachineGrant), .. }) => {
                return self.login_for(server, options, None, interaction).await;
            }
            Err(failed) => return Err(failed),
        };
        let authorization_server = &prepared.authorization_server;
        let issuer = authorization_server.issuer.as_str();
        let configured = options.client.as_ref().map(|(id, secret)| (id.as_str(), secret.as_ref()));
        let identity = Identity {
            configured: configured.or_else(|| self.registered_at(issuer)),
            metadata_document: None,
            kept: None,
        };
        // Anybody could say an id: only one with a secret is let in by an assertion (ID-JAG §9.1).
        let Some((_, Some(_))) = identity.configured else {
            return Err(ClientError::ThroughUnknownClient.into());
        };
        let Route::Known(client) = route(authorization_server, identity)? else {
            return Err(ClientError::ThroughUnknownClient.into());
        };
        let target = Target {
            server: &prepared.server,
            issuer,
            token_endpoint: authorization_server.token_endpoint.as_str(),
            client: &client,
            resource: &prepared.resource,
            scope: &prepared.scope,
            proof_key: prepared.proof_key.as_ref(),
        };
        let tokens = match self.tokens_through(&target, through).await {
            Err(Failed { error: ClientError::SignInDemanded(demand), .. }) => {
                self.sign_in_again(through, demand, options, interaction).await?;
                self.tokens_through(&target, through).await?
            }
            outcome => outcome?,
        };
        let who = (client.clone(), Some(Renewal::Through(through.clone())));
        self.keep_through(&prepared, &options.account, who, tokens).await
    }

    /// A newer token for a sign-in that goes through another one.
    pub(super) async fn renew_through(
        &self,
        server: &ResourceUri,
        current: Entry,
        through: &Through,
    ) -> Result<Entry, Failed> {
        let target = Target {
            server,
            issuer: &current.key.issuer,
            token_endpoint: &current.token_endpoint,
            client: &current.client,
            resource: &current.key.resource,
            scope: &current.requested_scope,
            proof_key: current.tokens.proof_key.as_ref(),
        };
        let tokens = self.tokens_through(&target, through).await?;
        let (key, seen) = (current.key.clone(), current.tokens.access_token.clone());
        let new = (tokens.clone(), current.renewal.clone());
        self.change_store(self.clock.now(), move |contents| contents.replace_seen(&key, &seen, new)).await?;
        Ok(Entry { tokens, ..current })
    }

    /// One assertion, one token (CL-091).
    async fn tokens_through(&self, target: &Target<'_>, through: &Through) -> Result<Tokens, Failed> {
        let entry = self.kept_at(through).await?;
        let ended = || ClientError::ThroughEnded(through.server.clone());
        let refresh_token = entry.tokens.refresh_token.clone().ok_or_else(ended)?;
        let provider = IdentityProvider {
            token_endpoint: EndpointUrl::parse(&entry.token_endpoint).map_err(|_| TokenError::Request)?,
            client: entry.client,
            subject: SubjectToken::RefreshToken(refresh_token),
        };
        let request = exchange_request(&provider, target.issuer, target.resource, target.scope)?;
        let policy = named_policy(&server_url(&through.server)?);
        let key = entry.tokens.proof_key.as_ref().or(target.proof_key);
        let response = match key {
            Some(key) => self.ask_token(request, &policy, Some(key)).await?,
            None => self.ask(Party::IdentityProvider, request, &policy, Limits::TOKEN).await?,
        };
        let assertion = read_exchange(&response).map_err(|failure| {
            let error = if failure.error == TokenError::InvalidGrant {
                ended()
            } else if failure.error == TokenError::SignInAgain {
                ClientError::SignInDemanded(demand(&response))
            } else {
                failure.error.into()
            };
            Failed { error, said: failure.said }
        })?;
        let bound = check_assertion(&assertion, target.issuer, key)?;
        let proof_key = if bound { key } else { target.proof_key };
        let what_for = (target.resource, target.scope);
        let request = redeem_request(target.token_endpoint, target.client, what_for, &assertion)?;
        let response = self.ask_token(request, &named_policy(target.server), proof_key).await?;
        let asked = Asked { scope: target.scope, refresh_token: None, proof_key };
        let tokens = read_tokens(&response, asked, self.clock.now())?;
        // The provider is asked again: a refresh token would outlive what it decides (AS-157).
        Ok(Tokens { refresh_token: None, ..tokens })
    }

    /// The sign-in at the provider, with a token that is good as far as anybody knows.
    async fn kept_at(&self, through: &Through) -> Result<Entry, Failed> {
        let provider = server_url(&through.server)?;
        let kept = Box::pin(self.access(&provider, &through.account)).await?;
        let kept = kept.filter(|entry| entry.renewal.is_none());
        kept.ok_or_else(|| ClientError::ThroughEnded(through.server.clone()).into())
    }

    /// The person signs in at the provider again, as it demands (CL-094).
    async fn sign_in_again(
        &self,
        through: &Through,
        demand: SignInDemand,
        options: &LoginOptions,
        interaction: &mut dyn Interaction,
    ) -> Result<(), Failed> {
        let entry = self.kept_at(through).await?;
        let again = LoginOptions {
            account: through.account.clone(),
            scope: Some(entry.requested_scope),
            client: Some((entry.client.client_id, entry.client.client_secret)),
            sign_in: demand,
            patience: options.patience,
            ..LoginOptions::default()
        };
        self.login_for(server_url(&through.server)?, &again, None, interaction).await.map(drop)
    }
}

fn demand(response: &Response<Bytes>) -> SignInDemand {
    let members = json::parse_object(response.body(), json::Limits::default());
    members.map(|members| SignInDemand::of_members(&members)).unwrap_or_default()
}
