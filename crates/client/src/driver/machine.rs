//! Signing in without a person: discovery, the grant, tokens.

use super::{
    Client, SignedIn, named_policy,
    platform::read_secret_file,
    prepare::{Prepared, Wanted},
    server_url,
};
use crate::{
    assertion::{ClientKey, KeyFile, KeyFileError},
    discovery::Challenged,
    error::{ClientError, Failed, Party},
    machine::{
        Asking, MachineAuth, MachineClient, MachineGrant, MachineTarget, exchange_request, machine_request,
        read_exchange,
    },
    platform::{Platform, PlatformError, mark},
    storage::{Entry, MachineProof, Renewal, Tokens},
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
    /// The only issuer that these credentials may go to; `None`: the one that the server names, and a secret only where that
    /// is on the server's own host. With it, a hostile server cannot have them sent to an authorization server of its
    /// own (CL-025).
    pub issuer: Option<String>,
}

impl Client {
    /// Signs in without a person. One request, or two where an assertion is exchanged before: what was refused is
    /// not tried again and not tried in another way (CL-093).
    ///
    /// # Errors
    /// `ServerUrl`, `NotProtected`, `Discovery`, `Token`, `Platform`, `KeyFile`, `SecretForWhom`, `Proof`, `Fetch`, `Status`,
    /// `Storage`.
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
        check_receiver(&prepared, options)?;
        let asking = self.with_key(&options.client).await?;
        let assertion = self.machine_assertion(&prepared, &options.grant).await?;
        let (now, policy) = (self.clock.now(), named_policy(&prepared.server));
        let request = machine_request(target(&prepared), &asking, assertion.as_ref(), (now, &*self.entropy))?;
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
        // The grant can be presented again at any time: a refresh token would be a second secret for nothing (RFC 6749 §4.4.3).
        let tokens = Tokens { refresh_token: None, ..tokens };
        let client = options.client.credentials(&prepared.authorization_server)?;
        let renewal = renewal(options, assertion.as_ref());
        self.keep_through(&prepared, &options.account, (client, renewal), tokens).await
    }

    /// The client with its key, where that is in a file.
    pub(super) async fn with_key(&self, client: &MachineClient) -> Result<MachineClient, Failed> {
        let MachineAuth::KeyFile(file) = &client.auth else { return Ok(client.clone()) };
        let auth = MachineAuth::Key(self.key_of(file).await?);
        Ok(MachineClient { client_id: client.client_id.clone(), auth })
    }

    /// The key in a file, as it is now.
    async fn key_of(&self, file: &KeyFile) -> Result<ClientKey, KeyFileError> {
        let path = || file.path.clone();
        let read = read_secret_file(&file.path).await;
        let bytes = read.map_err(|source| KeyFileError::File { path: path(), source })?;
        let text = SecretString::new(String::from_utf8_lossy(&bytes));
        let key = ClientKey::from_pem_of_its_algorithm(&text)
            .map_err(|source| KeyFileError::Key { path: path(), source })?;
        Ok(match &file.key_id {
            Some(key_id) => key.with_key_id(key_id),
            None => key,
        })
    }

    /// The key of a program that signed in with one.
    pub(super) async fn key_of_program(
        &self,
        proof: Option<&MachineProof>,
    ) -> Result<Option<ClientKey>, KeyFileError> {
        match proof.and_then(MachineProof::key_file) {
            Some(file) => self.key_of(file).await.map(Some),
            None => Ok(None),
        }
    }

    /// A newer token for a client that asks for itself: by the same proof, at the same endpoint, for the same scopes.
    pub(super) async fn renew_as_machine(
        &self,
        server: &ResourceUri,
        current: Entry,
        proof: MachineProof,
    ) -> Result<Entry, Failed> {
        let key = self.key_of_program(Some(&proof)).await?;
        let asking = Asking::of(&current, key.as_ref());
        let what_for = (current.key.resource.as_str(), &current.requested_scope);
        let request = asking.grant(None, what_for, (self.clock.now(), &*self.entropy))?;
        let proof_key = current.tokens.proof_key.as_ref();
        let response = self.ask_token(request, &named_policy(server), proof_key).await?;
        let asked = Asked { scope: &current.requested_scope, refresh_token: None, proof_key };
        let tokens = read_tokens(&response, asked, self.clock.now())?;
        let tokens = Tokens { refresh_token: None, ..tokens };
        self.keep_renewed(current, tokens, Renewal::Machine(proof)).await
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

/// A server has no say in who gets a secret (CL-025): it goes to the issuer that was named with it, or to one on the host
/// that the person typed.
fn check_receiver(prepared: &Prepared, options: &MachineOptions) -> Result<(), Failed> {
    let issuer = &prepared.authorization_server.issuer;
    match &options.client.auth {
        MachineAuth::Secret(_) if options.issuer.is_none() && !prepared.is_at_home() => {
            Err(ClientError::SecretForWhom(issuer.as_str().to_owned()).into())
        }
        MachineAuth::None | MachineAuth::Secret(_) | MachineAuth::Key(_) | MachineAuth::KeyFile(_) => Ok(()),
    }
}

/// Of what the next token comes, without anybody.
fn renewal(options: &MachineOptions, assertion: Option<&SecretString>) -> Option<Renewal> {
    match (&options.grant, assertion) {
        (MachineGrant::Platform(platform), Some(used)) => {
            Some(Renewal::Platform(platform.clone(), mark(used)))
        }
        (MachineGrant::ClientCredentials, _) => match &options.client.auth {
            MachineAuth::Secret(_) => Some(Renewal::Machine(MachineProof::Secret)),
            MachineAuth::KeyFile(file) => Some(Renewal::Machine(MachineProof::KeyFile(file.clone()))),
            // A key that only the calling program has.
            MachineAuth::None | MachineAuth::Key(_) => None,
        },
        (MachineGrant::Platform(_) | MachineGrant::Enterprise(_) | MachineGrant::Workload(_), _) => None,
    }
}

fn target(prepared: &Prepared) -> MachineTarget<'_> {
    MachineTarget {
        server: &prepared.authorization_server,
        resource: &prepared.resource,
        scope: &prepared.scope,
    }
}
