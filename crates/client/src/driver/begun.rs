//! A sign-in in two steps, for scripts and agents: one process makes the page and ends, another one waits for the answer.

use super::{Client, Interaction, LoginOptions, SignedIn, login::Started, prepare::Prepared, server_url};
use crate::{
    authorize::{AuthorizationRequest, Pending, SignInDemand},
    browser::PageUrl,
    callback::Code,
    discovery::AuthorizationServer,
    error::{ClientError, Failed},
    loopback::Listener,
    peer::{Failure, PeerText},
    push::PushError,
    storage::{Begun, Contents, LIFETIME, Registration},
    token::TokenError,
};
use hallpass_core::{
    pkce::CodeVerifier,
    scope::Scope,
    secret::SecretString,
    time::Timestamp,
    uri::{EndpointUrl, Issuer, ResourceUri},
};
use std::time::Duration;
use tokio::time::timeout;

/// A sign-in that was begun.
#[derive(Clone, Debug)]
pub struct BegunLogin {
    /// What to open. It holds the request's `state`: for the person who signs in, and for nobody else.
    pub page: PageUrl,
    /// What the server calls itself. Its own words: show as such.
    pub server_name: Option<PeerText>,
    /// Scopes that are asked for.
    pub scope: Scope,
    /// Where the browser ends up.
    pub redirect_uri: String,
    /// Until when [`Client::finish_login`] takes the answer.
    pub ends_at: Timestamp,
}

impl Client {
    /// Begins a sign-in that [`Client::finish_login`] finishes, in this process or another one, within 15 minutes. What
    /// has to be remembered is kept encrypted, one for each account at a server; another one begun takes its place.
    ///
    /// # Errors
    /// Those of [`Client::login`] but those of the answer and of the tokens.
    pub async fn begin_login(&self, server: &str, options: &LoginOptions) -> Result<BegunLogin, Failed> {
        let prepared = self.prepare(server_url(server)?, options.wanted(None, None)).await?;
        let options = &self.with_given_client(&prepared, options).await?;
        let kept = self.registration_for(&prepared, options).await?;
        let reused = kept.as_ref().map(|kept| kept.client.client_id.clone());
        match (self.begin_once(&prepared, options, kept).await, reused) {
            (Err(Failure { error: ClientError::Push(PushError::InvalidClient), .. }), Some(client_id)) => {
                self.forget_registration(&prepared, client_id).await?;
                self.begin_once(&prepared, options, None).await
            }
            (outcome, _) => outcome,
        }
    }

    async fn begin_once(
        &self,
        prepared: &Prepared,
        options: &LoginOptions,
        kept: Option<Registration>,
    ) -> Result<BegunLogin, Failed> {
        let registered_before = kept.is_some();
        let Started { listener, page, pending } = self.start(prepared, options, kept).await?;
        let ends_at = self.clock.now().plus(LIFETIME);
        let begun = begun(prepared, &pending, (&options.account, ends_at, registered_before));
        self.store_now(move |contents| contents.put_begun(begun)).await?;
        // Closed only now: whoever waits opens the same port again. A program that takes it in between gets a code that is
        // of no use without the verifier.
        drop(listener);
        Ok(BegunLogin {
            page,
            server_name: prepared.name.clone(),
            scope: prepared.scope.clone(),
            redirect_uri: pending.request.redirect_uri,
            ends_at,
        })
    }

    /// Waits for the answer to a sign-in that was begun, and finishes it. Where the time is over first, what was begun stays
    /// for another try, until its end. The page is not opened: the person has it.
    ///
    /// # Errors
    /// `NothingBegun`, `PortTaken`, and those of [`Client::login`] that concern the answer and the tokens.
    pub async fn finish_login(
        &self,
        server: &str,
        (account, patience): (&str, Option<Duration>),
        interaction: &mut dyn Interaction,
    ) -> Result<SignedIn, Failed> {
        let server = server_url(server)?;
        let (url, name, now) = (server.as_str().to_owned(), account.to_owned(), self.clock.now());
        let found = self.read_store(move |contents| contents.begun(&url, &name, now).cloned()).await?;
        let begun = found.ok_or(ClientError::NothingBegun)?;
        let pending = begun.pending().ok_or(ClientError::NothingBegun)?;
        let left = begun.ends_at.since(now);
        let wait = self.answer_of(&begun, &pending, interaction);
        let code = match timeout(patience.map_or(left, |patience| patience.min(left)), wait).await {
            Ok(Ok(code)) => code,
            // The request goes on: nobody has said anything to it.
            Ok(Err(failed))
                if matches!(failed.error, ClientError::NobodyThere | ClientError::PortTaken(_)) =>
            {
                return Err(failed);
            }
            Ok(Err(failed)) => {
                self.claim(&begun).await?;
                return Err(failed);
            }
            Err(_) if patience.is_some_and(|patience| patience < left) => {
                return Err(ClientError::NobodyAnswered.into());
            }
            Err(_) => return self.give_up(begun).await,
        };
        // Before the code is used: of two that have it, one goes on.
        if !self.claim(&begun).await? {
            return Err(ClientError::NothingBegun.into());
        }
        let prepared = begun.prepared(server, &pending);
        match self.redeem(&prepared, pending, &code).await {
            Err(failed) if matches!(failed.error, ClientError::Token(TokenError::InvalidClient)) => {
                self.forget_registration(&prepared, begun.client.client_id).await?;
                Err(failed)
            }
            Err(failed) => Err(failed),
            Ok(tokens) => self.keep(&prepared, account, begun.client, tokens).await,
        }
    }

    async fn answer_of(
        &self,
        begun: &Begun,
        pending: &Pending,
        interaction: &mut dyn Interaction,
    ) -> Result<Code, Failed> {
        let port = url::Url::parse(&begun.redirect_uri).ok().and_then(|uri| uri.port());
        let port = port.ok_or(ClientError::NothingBegun)?;
        let listener = match Listener::bind_exactly(port).await {
            Ok(listener) => Some(listener),
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => None,
            Err(error) => return Err(ClientError::Loopback(error).into()),
        };
        let answer = self.answer(listener, pending, &begun.server, interaction);
        answer.await?.ok_or_else(|| ClientError::PortTaken(port).into())
    }

    async fn claim(&self, begun: &Begun) -> Result<bool, Failed> {
        let state = begun.state.clone();
        Ok(self.change_store(self.clock.now(), move |contents| contents.claim_begun(&state)).await?)
    }

    /// Its time is over.
    async fn give_up<T>(&self, begun: Begun) -> Result<T, Failed> {
        let forget = move |contents: &mut Contents| {
            contents.claim_begun(&begun.state);
            if begun.registered_before {
                contents.remove_registration(&begun.issuer, &begun.client.client_id);
            }
        };
        self.store_now(forget).await?;
        Err(ClientError::NobodyAnswered.into())
    }
}

fn begun(
    prepared: &Prepared,
    pending: &Pending,
    (account, ends_at, registered_before): (&str, Timestamp, bool),
) -> Begun {
    let (server, request) = (&prepared.authorization_server, &pending.request);
    let text = |endpoint: &EndpointUrl| endpoint.as_str().to_owned();
    Begun {
        server: prepared.server.as_str().to_owned(),
        account: account.to_owned(),
        ends_at,
        issuer: server.issuer.as_str().to_owned(),
        token_endpoint: text(&server.token_endpoint),
        revocation_endpoint: server.revocation_endpoint.as_ref().map(text),
        sends_iss: server.sends_iss,
        client: request.client.clone(),
        redirect_uri: request.redirect_uri.clone(),
        resource: request.resource.clone(),
        scope: request.scope.clone(),
        state: pending.state.clone(),
        verifier: SecretString::new(pending.verifier.expose()),
        proof_key: prepared.proof_key.clone(),
        registered_before,
    }
}

impl Begun {
    /// The request, as far as its answer and the tokens need it. `None`: this is not what was kept.
    fn pending(&self) -> Option<Pending> {
        let server = AuthorizationServer {
            issuer: Issuer::parse(&self.issuer).ok()?,
            authorization_endpoint: None,
            token_endpoint: EndpointUrl::parse(&self.token_endpoint).ok()?,
            registration_endpoint: None,
            revocation_endpoint: match &self.revocation_endpoint {
                Some(endpoint) => Some(EndpointUrl::parse(endpoint).ok()?),
                None => None,
            },
            device_authorization_endpoint: None,
            pushed_request_endpoint: None,
            requires_pushed_requests: false,
            scopes: None,
            auth_methods: None,
            sends_iss: self.sends_iss,
            takes_metadata_documents: false,
            takes_identity_assertions: false,
            proof_algorithms: Vec::new(),
        };
        let request = AuthorizationRequest {
            server,
            client: self.client.clone(),
            redirect_uri: self.redirect_uri.clone(),
            resource: self.resource.clone(),
            scope: self.scope.clone(),
            login_hint: None,
            key_thumbprint: None,
            sign_in: SignInDemand::default(),
        };
        let verifier = CodeVerifier::from_text(self.verifier.expose()).ok()?;
        Some(Pending { request, state: self.state.clone(), verifier })
    }

    fn prepared(&self, server: ResourceUri, pending: &Pending) -> Prepared {
        Prepared {
            server,
            resource: self.resource.clone(),
            name: None,
            scope: self.scope.clone(),
            authorization_server: pending.request.server.clone(),
            proof_key: self.proof_key.clone(),
        }
    }
}
