//! An MCP server that speaks streamable HTTP.

use super::UpstreamError;
use crate::{
    config::Limits,
    credentials,
    message::{Action, Call},
    upstream_credential::Added,
};
use bytes::Bytes;
use hallpass_resource::Authorized;
use http::{Method, Request, Response, Uri};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use std::time::Duration;

/// How long an idle connection is kept. Servers close theirs after 5 s (Node) to 75 s; a request on a connection
/// that was just closed is sent again by the client, as none of it was read.
const IDLE: Duration = Duration::from_secs(30);

/// Connections to one server, and where it is.
#[derive(Debug)]
pub(crate) struct HttpUpstream {
    client: Client<HttpConnector, Full<Bytes>>,
    uri: Uri,
}

impl HttpUpstream {
    /// Connects to nothing yet.
    pub(crate) fn new(uri: Uri, limits: &Limits) -> Self {
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        connector.set_connect_timeout(Some(limits.connect));
        let mut client = Client::builder(TokioExecutor::new());
        client.pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE);
        Self { client: client.build(connector), uri }
    }

    /// Sends a call that is allowed, and waits for the head of the answer for as long as the caller does. Dropping
    /// the future, or the answer's body, closes the connection: that is how a client cancels. Redirects are answers.
    pub(crate) async fn send(
        &self,
        authorized: &Authorized<Call>,
        added: Added,
    ) -> Result<Response<Incoming>, UpstreamError> {
        let call = authorized.operation();
        let (method, body) = match &call.action {
            Action::Message(message) => (Method::POST, Bytes::from(message.to_canonical())),
            Action::Listen => (Method::GET, Bytes::new()),
            Action::EndSession => (Method::DELETE, Bytes::new()),
        };
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = credentials::headers(call);
        added.write(request.headers_mut());
        self.client.request(request).await.map_err(|error| {
            let reason = if error.is_connect() { UpstreamError::Unreachable } else { UpstreamError::Broken };
            tracing::warn!(upstream = %self.uri, error = ?error, %reason, "no answer");
            reason
        })
    }
}
