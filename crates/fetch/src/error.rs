//! What can go wrong with an outbound request: forbidden, broken on the way, or not what was wanted.

use crate::tls::Distrust;

/// Why there is no answer. Nothing that the peer sent is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// Only https, or http to this machine where the policy allows it.
    #[error("the scheme is not allowed")]
    ForbiddenScheme,
    /// The host is an IP literal, a local name, or not one of the hosts that may be asked.
    #[error("the host is not allowed")]
    ForbiddenHost,
    /// The name leads to an address that must not be reached.
    #[error("the host's address is not a public one")]
    ForbiddenAddress,
    /// `https://name@host/` shows one name and asks another.
    #[error("a URL with a user name or password is not allowed")]
    ForbiddenUserinfo,
    /// A fragment is never sent, so two spellings would name one document.
    #[error("a URL with a fragment is not allowed")]
    ForbiddenFragment,
    /// The request could not be made from what the caller gave.
    #[error("the request is not a valid one")]
    InvalidRequest,
    /// The name has no address, or no name server answered.
    #[error("the host's name could not be resolved")]
    Dns,
    /// Nobody accepted the connection.
    #[error("the host could not be reached")]
    Connect,
    /// No TLS session: a wrong, expired or unknown certificate, or no common version.
    #[error("no TLS session with the host: {0}")]
    Tls(Distrust),
    /// Nobody's word on a certificate counts here.
    #[error(
        "this machine knows no certificate authorities: install its package of them, often called ca-certificates"
    )]
    NoAuthorities,
    /// The time for the whole exchange, body included, is over.
    #[error("the host took too long")]
    Timeout,
    /// The connection broke, or what came was not HTTP.
    #[error("the connection broke")]
    Interrupted,
    /// The body is larger than allowed.
    #[error("the answer is too large")]
    TooLarge,
    /// An answer, with another status than the one that counts. A redirect is one of these.
    #[error("the host answered with status {0}")]
    Status(u16),
    /// A bot wall in front of the host answered in its place, with this status (P28): it says so in a header.
    #[error("a bot wall answered for the host, with status {0}")]
    Challenged(u16),
    /// Too many requests to this host, or at all, are under way.
    #[error("too many requests to this host are under way")]
    Busy,
    /// The certificates given to the constructor are no PEM certificates.
    #[error("the additional certificates are not valid PEM")]
    ExtraCertificates,
}

impl FetchError {
    /// Whether the policy forbade it. Trying again does not help.
    pub const fn is_forbidden(self) -> bool {
        matches!(
            self,
            Self::ForbiddenScheme
                | Self::ForbiddenHost
                | Self::ForbiddenAddress
                | Self::ForbiddenUserinfo
                | Self::ForbiddenFragment
        )
    }

    /// Whether the network or the host's machine failed, so that a kept copy may still be good and a later
    /// attempt may succeed.
    pub const fn is_transport(self) -> bool {
        matches!(
            self,
            Self::Dns
                | Self::Connect
                | Self::Tls(_)
                | Self::NoAuthorities
                | Self::Timeout
                | Self::Interrupted
                | Self::Busy
        )
    }
}
