//! Signing in without a person: discovery, the grant, tokens.

use super::{
    Client, SignedIn, named_policy,
    prepare::{Prepared, Wanted},
    server_url,
};
use crate::{
    discovery::Challenged,
    error::{Failed, Party},
    machine::{MachineClient, MachineGrant, MachineTarget, exchange_request, machine_request, read_exchange},
    platform::{Platform, PlatformError, mark},
    storage::{Renewal, Tokens},
    token::{Asked, TokenError, read_tokens},
};
use hallpass_core::{scope::Scope, secret::SecretString, uri::ResourceUri};
use hallpass_fetch::{Limits, Policy};

/// How a program signs in by itself.
#[derive(Clone, Debug)]
pub struct MachineOptions {
    /// The name under which the tokens are kept.
    pub account: String,
    /// Who the program is at the authorization server.
    pub client: MachineClient,
    /// What it presents.
    pub grant: MachineGrant,
    /// Ask for exactly these scopes.
    pub scope: Option<Scope>,
    /// The only issuer that these credentials may go to; `None`: the one that the server names. With it, a hostile
    /// server cannot have them sent to an authorization server of its own (CL-025).
    pub issuer: Option<String>,
}

impl Client {
    /// Signs in without a person. One request, or two where an assertion is exchanged before: what was refused is
    /// not tried again and not tried in another way (CL-093).
    ///
    /// # Errors
    /// `ServerUrl`, `NotProtected`, `Discovery`, `Token`, `Platform`, `Proof`, `Fetch`, `Status`, `Storage`.
    pub async fn login_machine(&self, server: &str, options: &MachineOptions) -> Result<SignedIn, Failed> {
        self.login_machine_for(server_url(server)?, options, None, None).await
    }

    pub(super) async fn login_machine_for(
        &self,
        server: ResourceUri,
        options: &MachineOptions,
        challenged: Option<Challenged>,
        more_scope: Option<&Scope>,
    ) -> Result<SignedIn, Failed> {
        // Before anybody is asked: whoever is called otherwise than their issuer could be anybody.
        if let MachineGrant::Platform(Platform { audience: Some(_), .. }) = &options.grant
            && options.issuer.is_none()
        {
            return Err(PlatformError::AudienceAlone.into());
        }
        let wanted = Wanted {
            account: &options.account,
            challenged,
            scope: options.scope.as_ref(),
            more_scope,
            grant_type: Some(options.grant.grant_type()),
            issuer: options.issuer.as_deref(),
        };
        let prepared = self.prepare(server, wanted).await?;
        let assertion = self.machine_assertion(&prepared, &options.grant).await?;
        let (now, policy) = (self.clock.now(), named_policy(&prepared.server));
        let request =
            machine_request(target(&prepared), &options.client, assertion.as_ref(), (now, &*self.entropy))?;
        let response = self.ask_token(request, &policy, prepared.proof_key.as_ref()).await?;
        let asked =
            Asked { scope: &prepared.scope, refresh_token: None, proof_key: prepared.proof_key.as_ref() };
        let tokens = read_tokens(&response, asked, self.clock.now()).map_err(|failure| -> Failed {
            if let MachineGrant::Platform(platform) = &options.grant
                && failure.error == TokenError::InvalidGrant
            {
                return PlatformError::Refused(platform.source.clone()).into();
            }
            failure.widen()
        })?;
        // The grant can be presented again at any time, and the key of the client is not kept: a refresh token
        // would be a second secret for nothing (RFC 6749 §4.4.3).
        let tokens = Tokens { refresh_token: None, ..tokens };
        let client = options.client.credentials(&prepared.authorization_server)?;
        let renewal = if let (MachineGrant::Platform(platform), Some(used)) = (&options.grant, &assertion) {
            Some(Renewal::Platform(platform.clone(), mark(used)))
        } else {
            None
        };
        self.keep_through(&prepared, &options.account, (client, renewal), tokens).await
    }

    async fn machine_assertion(
        &self,
        prepared: &Prepared,
        grant: &MachineGrant,
    ) -> Result<Option<SecretString>, Failed> {
        let provider = match grant {
            MachineGrant::ClientCredentials => return Ok(None),
            MachineGrant::Workload(token) => return Ok(Some(token.clone())),
            MachineGrant::Platform(platform) => {
                let issuer = prepared.authorization_server.issuer.as_str();
                return self.platform_token(platform, issuer).await.map(Some);
            }
            MachineGrant::Enterprise(provider) => provider,
        };
        let audience = prepared.authorization_server.issuer.as_str();
        let request = exchange_request(provider, audience, &prepared.resource, &prepared.scope)?;
        // The company's own provider may be inside its network: the configuration named it.
        let policy = Policy::trusted(provider.token_endpoint.parsed().host_str());
        let response = self.ask(Party::IdentityProvider, request, &policy, Limits::TOKEN).await?;
        Ok(Some(read_exchange(&response)?))
    }
}

fn target(prepared: &Prepared) -> MachineTarget<'_> {
    MachineTarget {
        server: &prepared.authorization_server,
        resource: &prepared.resource,
        scope: &prepared.scope,
    }
}
