//! What can end an operation of the driver.

use crate::{
    assertion::KeyFileError,
    authorize::{AuthorizeError, SignInDemand},
    browser::BrowserError,
    callback::CallbackError,
    device::DeviceError,
    discovery::DiscoveryError,
    peer::Failure,
    platform::PlatformError,
    proof::ProofError,
    push::PushError,
    registration::RegistrationError,
    storage::StorageError,
    token::TokenError,
};
use hallpass_core::{scope::Scope, uri::UriError};
use hallpass_fetch::FetchError;
use std::io;

/// Why an operation ended. With what the peer said about it: [`Failed`].
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The server's URL.
    #[error("the server's URL: {0}")]
    ServerUrl(UriError),
    /// The server wants a token and there is none (any more): sign in.
    #[error("not signed in to this server (any more)")]
    SignInNeeded,
    /// The token is good, and not enough: sign in for more.
    #[error("the server asks for more permissions: {0}")]
    MoreScopeNeeded(
        /// What it asks for, in union with what was asked for before.
        Scope,
    ),
    /// The token only works with a key that stays here (DPoP).
    #[error("the token is bound to a key that stays here: no other program can use it")]
    BoundToken,
    /// The server answers without a token and has no metadata.
    #[error("the server does not ask for a sign-in")]
    NotProtected,
    /// Discovery.
    #[error(transparent)]
    Discovery(#[from] DiscoveryError),
    /// Registration.
    #[error(transparent)]
    Registration(#[from] RegistrationError),
    /// The authorization request.
    #[error(transparent)]
    Authorize(#[from] AuthorizeError),
    /// The pushed authorization request.
    #[error(transparent)]
    Push(#[from] PushError),
    /// The authorization response.
    #[error(transparent)]
    Callback(#[from] CallbackError),
    /// A sign-in on another device.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The person did not come back in time.
    #[error("nobody answered in the browser in time")]
    NobodyAnswered,
    /// No sign-in was begun for this account, or its time is over, or somebody else has finished it.
    #[error("no sign-in to this server was begun for this account, or its time is over")]
    NothingBegun,
    /// Another program has the port where the answer is awaited.
    #[error("another program uses port {0} of this computer, where the answer is to arrive")]
    PortTaken(
        /// The port.
        u16,
    ),
    /// No page can be opened, and nobody is there who could do it elsewhere.
    #[error("nobody is there to sign in")]
    NobodyThere,
    /// The token endpoint.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// The token of the platform.
    #[error(transparent)]
    Platform(#[from] PlatformError),
    /// The file of a client's key.
    #[error(transparent)]
    KeyFile(#[from] KeyFileError),
    /// A secret would go to an authorization server on another host than the server's, on the word of that server alone.
    #[error("the server names {0} as its authorization server; no secret is sent there on its word alone")]
    SecretForWhom(
        /// The issuer, as the server's metadata writes it.
        String,
    ),
    /// A proof of possession.
    #[error(transparent)]
    Proof(#[from] ProofError),
    /// The kept credentials.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The callback listener.
    #[error("no callback on 127.0.0.1 can be received: {0}")]
    Loopback(io::Error),
    /// The browser.
    #[error(transparent)]
    Browser(#[from] BrowserError),
    /// The network, or a URL that must not be asked.
    #[error("{what}: {source}")]
    Fetch {
        /// Who was asked.
        what: Party,
        /// What happened.
        source: FetchError,
    },
    /// An answer with a status that says nothing useful.
    #[error("{what} answered with status {status}")]
    Status {
        /// Who answered.
        what: Party,
        /// HTTP status.
        status: u16,
    },
    /// The server does not begin a conversation. Why, it says itself.
    #[error("the server refused to begin (initialize)")]
    NotBegun,
    /// The server does not speak MCP over Streamable HTTP.
    #[error("the server's answer is no MCP message")]
    NotMcp,
    /// The sign-in at the identity provider that this one goes through is not there (any more).
    #[error("not signed in at {0}, through which this sign-in goes (any more)")]
    ThroughEnded(
        /// The URL there.
        String,
    ),
    /// An identity assertion is of use only to a client that the server knows already.
    #[error("the authorization server has to know this client: its operator gives it an id and a secret")]
    ThroughUnknownClient,
    /// The identity provider wants another sign-in of the person.
    #[error("the identity provider wants the person to sign in again")]
    SignInDemanded(
        /// What kind of one.
        SignInDemand,
    ),
    /// Another process refreshes this token and does not come to an end.
    #[error("another process is busy refreshing this sign-in")]
    Busy,
}

impl ClientError {
    /// Whether it may work a moment later.
    pub const fn is_passing(&self) -> bool {
        if let Self::Fetch { source, .. } = self {
            return source.is_transport();
        }
        matches!(
            self,
            Self::Busy
                | Self::Token(TokenError::Unavailable { .. })
                | Self::Push(PushError::Unavailable)
                | Self::Device(DeviceError::Unavailable)
        )
    }

    /// Whether one authorization server cannot be asked, so that another of the same server may be.
    pub(crate) fn is_absent(&self) -> bool {
        matches!(
            self,
            Self::Discovery(DiscoveryError::NoServerMetadata) | Self::Fetch { .. } | Self::Status { .. }
        )
    }
}

/// Who was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Party {
    /// The MCP server.
    Server,
    /// The authorization server.
    AuthorizationServer,
    /// The company's sign-in, in enterprise-managed authorization.
    IdentityProvider,
    /// What gives a program the token of its platform.
    Platform,
    /// Where this client's own metadata document is published.
    OwnDocument,
}

impl std::fmt::Display for Party {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Server => "the server",
            Self::AuthorizationServer => "the authorization server",
            Self::IdentityProvider => "the identity provider",
            Self::Platform => "the platform",
            Self::OwnDocument => "the client's metadata document",
        })
    }
}

/// An ended operation, and what the peer said about it.
pub type Failed = Failure<ClientError>;

macro_rules! widened {
    ($($error:ty)+) => {$(
        impl From<$error> for Failed {
            fn from(error: $error) -> Self {
                ClientError::from(error).into()
            }
        }

        impl From<Failure<$error>> for Failed {
            fn from(failure: Failure<$error>) -> Self {
                failure.widen()
            }
        }
    )+};
}

widened! { DiscoveryError RegistrationError AuthorizeError PushError DeviceError CallbackError TokenError StorageError PlatformError KeyFileError }
