//! The kept sign-in of one account at one server, for requests of any kind: a good token in each, and what a refusal
//! asks for: another proof, a renewed token, a sign-in, one for more.

use super::{Client, Interaction, LoginOptions, challenges, server_url};
use crate::{
    discovery::Challenged,
    error::{ClientError, Failed},
    refresh::{Due, due},
    step_up::{Attempts, Refusal, refusal},
    storage::Entry,
};
use hallpass_core::{scope::Scope, uri::ResourceUri};
use http::{HeaderMap, Request, StatusCode, Uri};
use std::sync::{Arc, Mutex, PoisonError};

/// One account at one server. Cheap to clone; all clones share one memory of the token and ask one person, one question
/// at a time.
#[derive(Clone)]
pub struct Credentials(Arc<Inner>);

struct Inner {
    client: Client,
    server: ResourceUri,
    options: LoginOptions,
    person: Option<tokio::sync::Mutex<Person>>,
    /// Read from the store last: a call for which nothing is due costs no file and no lock of another process.
    known: Mutex<Option<Arc<Entry>>>,
}

struct Person {
    interaction: Box<dyn Interaction>,
    attempts: Attempts,
}

/// What comes after a server's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Use the answer: no refusal, or one that cannot be mended.
    Done,
    /// Send the request again: the server refused it before doing anything, and what it missed is there now.
    Again,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials").field("server", &self.0.server).finish_non_exhaustive()
    }
}

impl Client {
    /// The credentials of `options.account` at this server; nothing is sent yet. With a person, the server's wish for a
    /// sign-in is one for them, by `options`; without, its refusal stands.
    ///
    /// # Errors
    /// `ServerUrl`.
    pub fn credentials(
        &self,
        server: &str,
        options: LoginOptions,
        interaction: Option<Box<dyn Interaction>>,
    ) -> Result<Credentials, Failed> {
        let person = interaction.map(|interaction| {
            tokio::sync::Mutex::new(Person { interaction, attempts: Attempts::default() })
        });
        let (client, server) = (self.clone(), server_url(server)?);
        Ok(Credentials(Arc::new(Inner { client, server, options, person, known: Mutex::default() })))
    }
}

impl Credentials {
    /// The server that they are for.
    pub fn server(&self) -> &ResourceUri {
        &self.0.server
    }

    pub(super) fn client(&self) -> &Client {
        &self.0.client
    }

    /// Whether a request to this address may carry the token: the server's own URL, whatever its query. Another path of
    /// the host may be another application, and a token goes to no second one (CL-062).
    pub fn are_for(&self, uri: &Uri) -> bool {
        let text = uri.to_string();
        let own = self.0.server.as_str();
        let (text, own) = (text.split('?').next(), own.split('?').next());
        // An empty path and `/` are one address (RFC 9110 §4.2.3).
        text.map(|text| text.trim_end_matches('/')) == own.map(|own| own.trim_end_matches('/'))
    }

    /// The sign-in with a token that is good as far as this client can know; `None`: not signed in.
    ///
    /// # Errors
    /// Those of [`Client::token`] but `SignInNeeded` and `BoundToken`.
    pub async fn current(&self) -> Result<Option<Arc<Entry>>, Failed> {
        let known = self.known().clone();
        if let Some(entry) =
            known.filter(|entry| due(&entry.tokens, self.0.client.clock.now(), 0) == Due::Fresh)
        {
            return Ok(Some(entry));
        }
        let entry = self.0.client.access(&self.0.server, &self.0.options.account).await?.map(Arc::new);
        self.known().clone_from(&entry);
        Ok(entry)
    }

    /// Puts the token into a request, and a proof of its key where it is bound to one. Whatever was there is replaced.
    ///
    /// # Errors
    /// `Proof`.
    pub fn put_into<B>(&self, request: Request<B>, entry: Option<&Entry>) -> Result<Request<B>, Failed> {
        self.0.client.authorized(request, entry)
    }

    /// What to do about an answer to a request that carried `seen`. `operation` names what was asked for, so that more is
    /// asked of the person once for each (CL-077).
    ///
    /// # Errors
    /// Those of [`Client::login`], and those of a renewal that may work later.
    pub async fn after(
        &self,
        (uri, operation): (&Uri, &str),
        seen: Option<&Entry>,
        (status, headers): (StatusCode, &HeaderMap),
    ) -> Result<Next, Failed> {
        if self.0.client.wants_another_proof(uri, seen, (status, headers)) {
            return Ok(Next::Again);
        }
        let mended = match refusal(status, &challenges(headers)) {
            None => return Ok(Next::Done),
            Some(Refusal::Token(challenged)) => self.sign_in_anew(challenged, seen).await,
            Some(Refusal::Scope(more)) => self.step_up(operation, more, seen).await,
        };
        match mended {
            Ok(()) => Ok(Next::Again),
            Err(failed)
                if matches!(failed.error, ClientError::SignInNeeded | ClientError::MoreScopeNeeded(_)) =>
            {
                Ok(Next::Done)
            }
            Err(failed) => Err(failed),
        }
    }

    /// What there is to learn from an answer after which the request is not sent again: a token that was refused is renewed for
    /// the next one. Nobody is asked, and what does not work now is tried with the next one.
    pub async fn learn(&self, uri: &Uri, seen: Option<&Entry>, (status, headers): (StatusCode, &HeaderMap)) {
        if self.0.client.wants_another_proof(uri, seen, (status, headers)) {
            return;
        }
        if let (Some(Refusal::Token(_)), Some(seen)) = (refusal(status, &challenges(headers)), seen)
            && let Ok(renewed) = self.0.client.renew(&self.0.server, seen).await
        {
            *self.known() = renewed.map(Arc::new);
        }
    }

    /// A refused token is renewed; where that brings nothing new, the person signs in.
    pub(super) async fn sign_in_anew(
        &self,
        challenged: Challenged,
        seen: Option<&Entry>,
    ) -> Result<(), Failed> {
        if let Some(seen) = seen {
            let renewed = self.0.client.renew(&self.0.server, seen).await?.map(Arc::new);
            self.known().clone_from(&renewed);
            if renewed.is_some_and(|renewed| renewed.tokens.access_token != seen.tokens.access_token) {
                return Ok(());
            }
            // A program's sign-in is not mended by a person's (CL-093).
            if seen.is_of_a_program() {
                return Err(ClientError::SignInNeeded.into());
            }
        }
        self.ask_person(("sign-in", None), Some(challenged), seen).await
    }

    pub(super) async fn step_up(
        &self,
        operation: &str,
        more: Scope,
        seen: Option<&Entry>,
    ) -> Result<(), Failed> {
        let before = seen.map(|entry| entry.requested_scope.clone()).unwrap_or_default();
        // Whoever chose exactly these scopes is not asked for others, and nobody for a program's.
        if self.0.options.scope.is_some() || seen.is_some_and(Entry::is_of_a_program) {
            return Err(ClientError::MoreScopeNeeded(before.united_with(&more)).into());
        }
        self.ask_person((operation, Some(more)), None, seen).await
    }

    /// One sign-in at a time. Whoever waited for another one's tries with what that brought.
    async fn ask_person(
        &self,
        (operation, more): (&str, Option<Scope>),
        challenged: Option<Challenged>,
        seen: Option<&Entry>,
    ) -> Result<(), Failed> {
        let needed = || more.clone().map_or(ClientError::SignInNeeded, ClientError::MoreScopeNeeded);
        let Some(person) = &self.0.person else { return Err(needed().into()) };
        let mut person = person.lock().await;
        let now = self.0.client.access(&self.0.server, &self.0.options.account).await?.map(Arc::new);
        self.known().clone_from(&now);
        let token = |entry: Option<&Entry>| entry.map(|entry| entry.tokens.access_token.clone());
        if now.is_some() && token(now.as_deref()) != token(seen) {
            return Ok(());
        }
        person.attempts.next_call();
        if !person.attempts.allow(operation, more.as_ref()) {
            return Err(needed().into());
        }
        let options = LoginOptions { more_scope: more, ..self.0.options.clone() };
        let server = self.0.server.clone();
        self.0.client.login_for(server, &options, challenged, &mut *person.interaction).await?;
        *self.known() = None;
        Ok(())
    }

    // Nothing under this lock can panic half-way through a change.
    fn known(&self) -> std::sync::MutexGuard<'_, Option<Arc<Entry>>> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
