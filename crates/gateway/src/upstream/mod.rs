//! The MCP servers behind us. What is sent to them is written from an authorized call, and from nothing else.

mod http;

pub(crate) use http::HttpUpstream;

/// Why there is no answer of the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UpstreamError {
    /// Nobody accepts connections there.
    #[error("the upstream cannot be reached: is the MCP server running at its configured URL?")]
    Unreachable,
    /// It accepted and did not answer in time.
    #[error("the upstream did not answer in time")]
    Timeout,
    /// The connection broke before the answer, or what came is not HTTP.
    #[error("the upstream broke the connection")]
    Broken,
}
