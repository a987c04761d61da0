//! The operations, over the network: sign in, call, sign out. All rules are in the other modules; here answers
//! are carried to them and their requests are sent.

mod access;
mod answer;
mod begun;
mod bridge;
mod call;
mod credentials;
mod device;
mod exchange;
mod login;
mod logout;
mod machine;
mod metadata;
mod platform;
mod prepare;
mod proofs;
mod sign_in;
mod through;

pub use access::AccessToken;
pub use begun::BegunLogin;
pub use bridge::Bridge;
pub use call::{Caller, Messages};
pub use credentials::{Credentials, Next};
pub use device::DeviceInteraction;
pub use exchange::ExchangeOptions;
pub use login::{Interaction, LoginOptions, SignedIn, WhatFor};
pub use logout::{Replaced, Revoked, SignedOut};
pub use machine::MachineOptions;
pub use sign_in::SignIn;

use crate::{
    error::{ClientError, Failed, Party},
    platform::Variables,
    storage::{Begun, Entry, StorageError, Store},
    wire::ClientInfo,
};
use bytes::Bytes;
use hallpass_core::{
    entropy::{Entropy, SystemEntropy},
    mcp::revision::Revision,
    secret::SecretString,
    time::{Clock, SystemClock, Timestamp},
    uri::ResourceUri,
};
use hallpass_fetch::{Fetch, FetchError, Limits, Policy};
use http::{Request, Response};
use std::sync::{Arc, Mutex};

/// How this client presents itself.
#[derive(Clone, Debug)]
pub struct Settings {
    /// For registrations, consent pages and the callback page.
    pub name: String,
    /// Its version.
    pub version: String,
    /// URL of its metadata document, where it has one (`client_id` by URL). The document has to list
    /// `http://127.0.0.1/callback`.
    pub metadata_document: Option<String>,
    /// Registrations that operators made beforehand. Each is used at its issuer and nowhere else (CL-025).
    pub registered: Vec<Registered>,
    /// The revision of MCP to speak, where it is known; `None`: the one that the server turns out to speak.
    pub revision: Option<Revision>,
    /// Whether to ask for tokens that are bound to a key (DPoP, RFC 9449). An extension of MCP, therefore off by default
    /// (CL-088).
    pub proofs: Proofs,
    /// How the environment is read, for the tokens of platforms.
    pub variables: Variables,
}

/// When tokens are bound to a key that this client keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Proofs {
    /// Never: a server that asks for it cannot be used.
    #[default]
    Off,
    /// Where the server takes no others.
    WhereRequired,
    /// Where the authorization server issues them.
    WhereOffered,
}

/// A registration that the operator of an authorization server made.
#[derive(Clone, Debug)]
pub struct Registered {
    /// The issuer identifier, as the metadata writes it.
    pub issuer: String,
    /// The id.
    pub client_id: String,
    /// The secret, where there is one.
    pub client_secret: Option<SecretString>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            name: "hallpass".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            metadata_document: None,
            registered: Vec::new(),
            revision: None,
            proofs: Proofs::Off,
            variables: Variables::default(),
        }
    }
}

/// A client with its kept credentials. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    fetch: Fetch,
    store: Store,
    settings: Arc<Settings>,
    clock: Arc<dyn Clock>,
    entropy: Arc<dyn Entropy>,
    places: Arc<Mutex<proofs::Places>>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("settings", &self.settings)
            .field("store", &self.store)
            .finish_non_exhaustive()
    }
}

impl Client {
    /// A client on this machine's clock and randomness.
    pub fn new(fetch: Fetch, store: Store, settings: Settings) -> Self {
        Self::with(fetch, store, settings, Arc::new(SystemClock), Arc::new(SystemEntropy))
    }

    /// The same with a clock and a source of randomness of the caller's.
    pub fn with(
        fetch: Fetch,
        store: Store,
        settings: Settings,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> Self {
        Self { fetch, store, settings: Arc::new(settings), clock, entropy, places: Arc::default() }
    }

    /// Where the credentials are kept, to be shown to people.
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// All signed-in accounts.
    ///
    /// # Errors
    /// `Storage`.
    pub async fn status(&self) -> Result<Vec<Entry>, Failed> {
        Ok(self.read_store(|contents| contents.entries.clone()).await?)
    }

    /// All sign-ins that were begun and wait for their answer.
    ///
    /// # Errors
    /// `Storage`.
    pub async fn begun(&self) -> Result<Vec<Begun>, Failed> {
        let now = self.clock.now();
        Ok(self.read_store(move |contents| contents.all_begun(now).cloned().collect()).await?)
    }

    fn info(&self) -> ClientInfo<'_> {
        ClientInfo {
            name: &self.settings.name,
            version: &self.settings.version,
            extensions: &[],
            pages: false,
        }
    }

    /// Reads the store off the runtime's threads.
    async fn read_store<T: Send + 'static>(
        &self,
        pick: impl FnOnce(&crate::storage::Contents) -> T + Send + 'static,
    ) -> Result<T, StorageError> {
        let store = self.store.clone();
        blocking(move || store.read().map(|contents| pick(&contents))).await
    }

    /// Changes the store off the runtime's threads.
    async fn change_store<T: Send + 'static>(
        &self,
        now: Timestamp,
        change: impl FnOnce(&mut crate::storage::Contents) -> T + Send + 'static,
    ) -> Result<T, StorageError> {
        let (store, entropy) = (self.store.clone(), Arc::clone(&self.entropy));
        blocking(move || store.update(now, &*entropy, change)).await
    }

    async fn ask(
        &self,
        what: Party,
        request: Request<Bytes>,
        policy: &Policy,
        limits: Limits,
    ) -> Result<Response<Bytes>, Failed> {
        self.fetch
            .send(request, policy, limits)
            .await
            .map_err(|source| ClientError::Fetch { what, source }.into())
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StorageError> + Send + 'static,
) -> Result<T, StorageError> {
    match tokio::task::spawn_blocking(work).await.map_err(tokio::task::JoinError::try_into_panic) {
        Ok(outcome) => outcome,
        Err(Ok(panic)) => std::panic::resume_unwind(panic),
        // The runtime is shutting down, and this task with it.
        Err(Err(_)) => std::future::pending().await,
    }
}

fn server_url(text: &str) -> Result<ResourceUri, Failed> {
    ResourceUri::parse(text).map_err(|error| ClientError::ServerUrl(error).into())
}

/// For the server that the person named: any address, http only on this machine.
fn server_policy(server: &ResourceUri) -> Policy {
    Policy::trusted(server.parsed().host_str())
}

/// For everything that the server's metadata names: the same host, else public addresses only; this machine
/// only if the server already is here. A hostile server must not make us ask inside our own network (T-51).
fn named_policy(server: &ResourceUri) -> Policy {
    let policy = server_policy(server);
    if server.is_loopback() { policy.with_loopback() } else { policy }
}

/// Whether an answer may still be on its way or was lost, so that the same request may be sent once more.
const fn is_lost(error: FetchError) -> bool {
    matches!(error, FetchError::Timeout | FetchError::Interrupted)
}

/// All values of `WWW-Authenticate` that are text.
fn challenges(headers: &http::HeaderMap) -> Vec<&str> {
    headers.get_all(http::header::WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok()).collect()
}

#[cfg(test)]
mod tests;
