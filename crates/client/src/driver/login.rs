//! Signing in: discovery, registration, the person in the browser, tokens.

use super::{
    Client, DeviceInteraction, Replaced, named_policy,
    prepare::{Prepared, Wanted},
    server_url,
};
use crate::{
    authorize::{AuthorizationRequest, Pending, SignInDemand},
    browser::PageUrl,
    callback::Code,
    device::{DEVICE_CODE, DeviceError},
    discovery::Challenged,
    error::{ClientError, Failed, Party},
    loopback::Listener,
    peer::{Failure, PeerText},
    proof::ProofKey,
    push::PushError,
    registration::{Identity, Route, read_registration, registration_request, route},
    storage::{ClientCredentials, Entry, EntryKey, Registration, Renewal, Tokens},
    token::{Asked, TokenError, read_tokens},
};
use hallpass_core::{scope::Scope, secret::SecretString, time::Timestamp, uri::ResourceUri};
use hallpass_fetch::Limits;
use std::{path::PathBuf, time::Duration};
use tokio::{sync::mpsc, time::timeout};

/// How to sign in.
#[derive(Clone, Debug)]
pub struct LoginOptions {
    /// The person's own name for the account.
    pub account: String,
    /// Ask for exactly these scopes.
    pub scope: Option<Scope>,
    /// Ask for these beside what was asked for at the last sign-in (step-up).
    pub more_scope: Option<Scope>,
    /// A client id from the authorization server's operator, and its secret where it has one.
    pub client: Option<(String, Option<SecretString>)>,
    /// An account to suggest to the authorization server.
    pub login_hint: Option<String>,
    /// How the person has to have signed in.
    pub sign_in: SignInDemand,
    /// The only issuer to sign in at; `None`: whichever the server names.
    pub issuer: Option<String>,
    /// Register anew even where a registration is kept.
    pub register_anew: bool,
    /// How long to wait for the person.
    pub patience: Duration,
}

impl Default for LoginOptions {
    fn default() -> Self {
        Self {
            account: "default".to_owned(),
            scope: None,
            more_scope: None,
            client: None,
            login_hint: None,
            sign_in: SignInDemand::default(),
            issuer: None,
            register_anew: false,
            patience: Duration::from_mins(5),
        }
    }
}

/// What a person is told when the page is to be opened.
#[derive(Clone, Debug)]
pub struct WhatFor<'a> {
    /// The server that is signed in to.
    pub server: &'a str,
    /// What it calls itself. Its own words: show as such.
    pub server_name: Option<&'a PeerText>,
    /// Scopes that are asked for.
    pub scope: &'a Scope,
}

/// The person, as far as signing in needs one.
pub trait Interaction: Send {
    /// Shows the page's URL and host, and opens it. The sign-in waits for the callback meanwhile.
    fn open(&mut self, page: &PageUrl, what_for: &WhatFor<'_>);

    /// Asked after `open`: whether it turned out that nobody can open the page, here or elsewhere. The sign-in ends at
    /// once, with `NobodyThere`.
    fn nobody(&self) -> bool {
        false
    }

    /// Asked after `open`: addresses that the person copies from a browser elsewhere, each at most 8 KiB, beside
    /// whatever arrives at the redirect URI; `None`: there will be none. When the sender is gone, nobody is there.
    fn pasted(&mut self) -> Option<mpsc::Receiver<String>> {
        None
    }

    /// What was pasted is not the answer to this request. The wait goes on.
    fn not_the_answer(&mut self) {}
}

/// A sign-in that was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedIn {
    /// Who issued the tokens.
    pub issuer: String,
    /// The resource that they are for.
    pub resource: String,
    /// What was asked for.
    pub requested_scope: Scope,
    /// What was granted; it may be less (CL-059).
    pub scope: Scope,
    /// When the access token ends.
    pub expires_at: Option<Timestamp>,
    /// Whether it is renewed without the person.
    pub renewable: bool,
    /// Where it is kept.
    pub kept_in: PathBuf,
    /// Sign-ins that it took the place of.
    pub replaced: Vec<Replaced>,
}

impl LoginOptions {
    pub(super) fn wanted(
        &self,
        challenged: Option<Challenged>,
        grant_type: Option<&'static str>,
    ) -> Wanted<'_> {
        Wanted {
            account: &self.account,
            challenged,
            scope: self.scope.as_ref(),
            more_scope: self.more_scope.as_ref(),
            grant_type,
            issuer: self.issuer.as_deref(),
        }
    }
}

/// A request that the person can answer from now on.
pub(super) struct Started {
    pub(super) listener: Listener,
    pub(super) page: PageUrl,
    pub(super) pending: Pending,
}

impl SignedIn {
    /// What was asked for and not granted.
    pub fn not_granted(&self) -> Scope {
        Scope::of(self.requested_scope.iter().filter(|scope| !self.scope.contains(scope)))
    }
}

/// Where the person is.
enum How<'a> {
    /// At a browser on this computer.
    Browser(&'a mut dyn Interaction),
    /// At another device.
    Device(&'a mut dyn DeviceInteraction),
}

impl How<'_> {
    const fn grant_type(&self) -> Option<&'static str> {
        match self {
            Self::Browser(_) => None,
            Self::Device(_) => Some(DEVICE_CODE),
        }
    }
}

impl Client {
    /// Signs in to the server. One verifier, one `state`, one listener; nothing is tried twice by itself except
    /// that a registration which the authorization server has forgotten is replaced once (CL-026).
    ///
    /// # Errors
    /// Every variant but `MoreScopeNeeded` and `SignInNeeded`.
    pub async fn login(
        &self,
        server: &str,
        options: &LoginOptions,
        interaction: &mut dyn Interaction,
    ) -> Result<SignedIn, Failed> {
        self.login_for(server_url(server)?, options, None, interaction).await
    }

    /// Signs in to the server with a code that the person types on another device (RFC 8628).
    ///
    /// # Errors
    /// Those of [`Client::login`], with `Device` in place of those of the browser and its answer.
    pub async fn login_on_device(
        &self,
        server: &str,
        options: &LoginOptions,
        interaction: &mut dyn DeviceInteraction,
    ) -> Result<SignedIn, Failed> {
        self.login_by(server_url(server)?, options, None, &mut How::Device(interaction)).await
    }

    /// The same for a request that the server has just refused: what its challenge says counts.
    pub(super) async fn login_for(
        &self,
        server: ResourceUri,
        options: &LoginOptions,
        challenged: Option<Challenged>,
        interaction: &mut dyn Interaction,
    ) -> Result<SignedIn, Failed> {
        self.login_by(server, options, challenged, &mut How::Browser(interaction)).await
    }

    async fn login_by(
        &self,
        server: ResourceUri,
        options: &LoginOptions,
        challenged: Option<Challenged>,
        how: &mut How<'_>,
    ) -> Result<SignedIn, Failed> {
        let prepared = self.prepare(server, options.wanted(challenged, how.grant_type())).await?;
        let options = &self.with_given_client(&prepared, options).await?;
        let kept = self.registration_for(&prepared, options).await?;
        let reused = kept.as_ref().map(|registration| registration.client.client_id.clone());
        let first = self.attempt(&prepared, options, kept, how).await;
        let Some(client_id) = reused else { return first };
        match first {
            Err(Failure {
                error:
                    ClientError::Token(TokenError::InvalidClient)
                    | ClientError::Push(PushError::InvalidClient)
                    | ClientError::Device(DeviceError::InvalidClient),
                ..
            }) => {
                self.forget_registration(&prepared, client_id).await?;
                self.attempt(&prepared, options, None, how).await
            }
            // A server that forgot the client shows an error page and never calls back (P03): start afresh
            // next time.
            Err(failed) if matches!(failed.error, ClientError::NobodyAnswered) => {
                self.forget_registration(&prepared, client_id).await?;
                Err(failed)
            }
            other => other,
        }
    }

    /// With the id that somebody brought to the last sign-in of this account at this very issuer, unless this one has another
    /// identity: whoever was let in by an operator once, such as a bridge that needs more scopes, cannot name it again.
    pub(super) async fn with_given_client(
        &self,
        prepared: &Prepared,
        options: &LoginOptions,
    ) -> Result<LoginOptions, Failed> {
        let has_another = options.client.is_some()
            || options.register_anew
            || self.settings.metadata_document.is_some()
            || self.registered_at(prepared.authorization_server.issuer.as_str()).is_some();
        if has_another {
            return Ok(options.clone());
        }
        let (server, account) = (prepared.server.as_str().to_owned(), options.account.clone());
        let before = self.read_store(move |contents| contents.for_server(&server, &account).cloned()).await?;
        let before = before.filter(|entry| {
            let issuer = prepared.authorization_server.issuer.as_str();
            entry.client_is_given && entry.renewal.is_none() && entry.key.issuer == issuer
        });
        let client = before.map(|entry| (entry.client.client_id, entry.client.client_secret));
        Ok(LoginOptions { client, ..options.clone() })
    }

    /// The registration of an earlier sign-in, unless this one has another identity.
    pub(super) async fn registration_for(
        &self,
        prepared: &Prepared,
        options: &LoginOptions,
    ) -> Result<Option<Registration>, Failed> {
        let server = &prepared.authorization_server;
        let issuer = server.issuer.as_str();
        let by_document = self.settings.metadata_document.is_some() && server.takes_metadata_documents;
        let configured = options.client.is_some() || self.registered_at(issuer).is_some();
        if options.register_anew || configured || by_document {
            return Ok(None);
        }
        let (issuer, now) = (issuer.to_owned(), self.clock.now());
        Ok(self.read_store(move |contents| contents.registration(&issuer, now).cloned()).await?)
    }

    pub(super) async fn forget_registration(
        &self,
        prepared: &Prepared,
        client_id: String,
    ) -> Result<(), Failed> {
        let issuer = prepared.authorization_server.issuer.as_str().to_owned();
        self.store_now(move |contents| contents.remove_registration(&issuer, &client_id)).await
    }

    async fn attempt(
        &self,
        prepared: &Prepared,
        options: &LoginOptions,
        kept: Option<Registration>,
        how: &mut How<'_>,
    ) -> Result<SignedIn, Failed> {
        let interaction = match how {
            How::Browser(interaction) => interaction,
            How::Device(interaction) => {
                return self.attempt_device(prepared, options, kept, &mut **interaction).await;
            }
        };
        let Started { listener, page, pending } = self.start(prepared, options, kept).await?;
        let server = prepared.server.as_str();
        interaction
            .open(&page, &WhatFor { server, server_name: prepared.name.as_ref(), scope: &prepared.scope });
        let client = pending.request.client.clone();
        let answer = self.answer(Some(listener), &pending, server, &mut **interaction);
        let code = timeout(options.patience, answer).await.map_err(|_| ClientError::NobodyAnswered)??;
        let tokens = self.redeem(prepared, pending, &code.ok_or(ClientError::NobodyThere)?).await?;
        self.keep(prepared, &options.account, client, tokens).await
    }

    /// Everything until the person is asked.
    pub(super) async fn start(
        &self,
        prepared: &Prepared,
        options: &LoginOptions,
        kept: Option<Registration>,
    ) -> Result<Started, Failed> {
        let port = kept.as_ref().and_then(|kept| url::Url::parse(&kept.redirect_uri).ok()?.port());
        let listener = Listener::bind(port).await.map_err(ClientError::Loopback)?;
        let redirect_uri = listener.redirect_uri();
        let client = self.identity(prepared, options, kept, &redirect_uri).await?;
        let request = AuthorizationRequest {
            server: prepared.authorization_server.clone(),
            client,
            redirect_uri,
            resource: prepared.resource.clone(),
            scope: prepared.scope.clone(),
            login_hint: options.login_hint.clone(),
            sign_in: options.sign_in.clone(),
            key_thumbprint: prepared.proof_key.as_ref().map(ProofKey::thumbprint),
        };
        let (page, pending) = self.begin(prepared, request).await?;
        Ok(Started { listener, page, pending })
    }

    /// The page to open. Where the server wants that, the request is pushed first (CL-040).
    async fn begin(
        &self,
        prepared: &Prepared,
        request: AuthorizationRequest,
    ) -> Result<(PageUrl, Pending), Failed> {
        if !request.server.requires_pushed_requests {
            return Ok(request.begin(&*self.entropy)?);
        }
        let (push, pushing) = request.push(&*self.entropy)?;
        let policy = named_policy(&prepared.server);
        let response = self.ask(Party::AuthorizationServer, push, &policy, Limits::TOKEN).await?;
        Ok(pushing.receive(&response)?)
    }

    /// What an operator registered at this very issuer.
    pub(super) fn registered_at(&self, issuer: &str) -> Option<(&str, Option<&SecretString>)> {
        let found = self.settings.registered.iter().find(|registered| registered.issuer == issuer)?;
        Some((&found.client_id, found.client_secret.as_ref()))
    }

    pub(super) async fn identity(
        &self,
        prepared: &Prepared,
        options: &LoginOptions,
        kept: Option<Registration>,
        redirect_uri: &str,
    ) -> Result<ClientCredentials, Failed> {
        let server = &prepared.authorization_server;
        let identity = Identity {
            configured: options
                .client
                .as_ref()
                .map(|(id, secret)| (id.as_str(), secret.as_ref()))
                .or_else(|| self.registered_at(server.issuer.as_str())),
            metadata_document: self.settings.metadata_document.as_deref(),
            kept: kept.as_ref(),
        };
        let registration = match route(server, identity)? {
            Route::Known(client) => return Ok(client),
            Route::Kept(registration) => Registration { used_at: self.clock.now(), ..registration },
            Route::Dynamic(endpoint) => {
                let request = registration_request(server, &endpoint, &self.settings.name, redirect_uri)?;
                let policy = named_policy(&prepared.server);
                let response = self.ask(Party::AuthorizationServer, request, &policy, Limits::TOKEN).await?;
                read_registration(&response, server, redirect_uri, self.clock.now())?
            }
        };
        let client = registration.client.clone();
        self.store_now(move |contents| contents.put_registration(registration)).await?;
        Ok(client)
    }

    pub(super) async fn redeem(
        &self,
        prepared: &Prepared,
        pending: Pending,
        code: &Code,
    ) -> Result<Tokens, Failed> {
        let request = pending.token_request(code)?;
        let policy = named_policy(&prepared.server);
        let response = self.ask_token(request, &policy, prepared.proof_key.as_ref()).await?;
        let asked =
            Asked { scope: &prepared.scope, refresh_token: None, proof_key: prepared.proof_key.as_ref() };
        Ok(read_tokens(&response, asked, self.clock.now())?)
    }

    pub(super) async fn keep(
        &self,
        prepared: &Prepared,
        account: &str,
        client: ClientCredentials,
        tokens: Tokens,
    ) -> Result<SignedIn, Failed> {
        self.keep_through(prepared, account, (client, None), tokens).await
    }

    pub(super) async fn keep_through(
        &self,
        prepared: &Prepared,
        account: &str,
        (client, renewal): (ClientCredentials, Option<Renewal>),
        tokens: Tokens,
    ) -> Result<SignedIn, Failed> {
        let server = &prepared.authorization_server;
        let mut done = SignedIn {
            issuer: server.issuer.as_str().to_owned(),
            resource: prepared.resource.clone(),
            requested_scope: prepared.scope.clone(),
            scope: tokens.scope.clone(),
            expires_at: tokens.expires_at,
            renewable: tokens.refresh_token.is_some() || renewal.is_some(),
            kept_in: self.store.file(),
            replaced: Vec::new(),
        };
        let entry = Entry {
            key: EntryKey {
                issuer: done.issuer.clone(),
                resource: done.resource.clone(),
                account: account.to_owned(),
            },
            server: prepared.server.as_str().to_owned(),
            client,
            client_is_given: false,
            token_endpoint: server.token_endpoint.as_str().to_owned(),
            revocation_endpoint: server
                .revocation_endpoint
                .as_ref()
                .map(|endpoint| endpoint.as_str().to_owned()),
            endpoints_read_at: self.clock.now(),
            requested_scope: prepared.scope.clone(),
            tokens,
            signed_in_at: self.clock.now(),
            renewal,
        };
        let (kept, document) = (entry.clone(), self.settings.metadata_document.clone());
        let put = move |contents: &mut crate::storage::Contents| {
            let id = &kept.client.client_id;
            let client_is_given =
                !contents.is_registered(&kept.key.issuer, id) && document.as_ref() != Some(id);
            contents.put_entry(Entry { client_is_given, ..kept })
        };
        let replaced = self.change_store(self.clock.now(), put).await?;
        // Not before: a sign-in that could not be kept takes nothing from the one that there is.
        done.replaced = self.give_up_replaced(&prepared.server, replaced, &entry).await;
        Ok(done)
    }

    pub(super) async fn store_now(
        &self,
        change: impl FnOnce(&mut crate::storage::Contents) + Send + 'static,
    ) -> Result<(), Failed> {
        Ok(self.change_store(self.clock.now(), change).await?)
    }
}
