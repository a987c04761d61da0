//! An MCP server that speaks streamable HTTP.

use super::{UpstreamError, connector::Connector};
use crate::{
    config::Limits,
    credentials,
    message::{Action, Call},
    upstream_credential::Added,
};
use bytes::Bytes;
use hallpass_fetch::tls::{self, Distrust, Tls, TlsFault};
use hallpass_resource::Authorized;
use http::{HeaderValue, Method, Request, Response, Uri, header, uri::Scheme};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::{
    client::legacy::{self, Client},
    rt::{TokioExecutor, TokioTimer},
};
use std::{fmt, time::Duration};

/// How long an idle connection is kept. Servers close theirs after 5 s (Node) to 75 s; a request on a connection
/// that was just closed is sent again by the client, as none of it was read.
const IDLE: Duration = Duration::from_secs(30);

/// Connections to one server, and where it is.
pub(crate) struct HttpUpstream {
    client: Client<Connector, Full<Bytes>>,
    uri: Uri,
    /// Where it is, as each request says it.
    host: HeaderValue,
}

impl fmt::Debug for HttpUpstream {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("HttpUpstream").field("uri", &self.uri).finish_non_exhaustive()
    }
}

impl HttpUpstream {
    /// Connects to nothing yet.
    pub(crate) fn new(uri: Uri, tls: &Tls, limits: &Limits) -> Result<Self, TlsFault> {
        let connector = Connector::new(&uri, tls, limits.connect)?;
        let mut client = Client::builder(TokioExecutor::new());
        client.pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE);
        client.set_host(false);
        let host = host(&uri);
        Ok(Self { client: client.build(connector), uri, host })
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
        request.headers_mut().insert(header::HOST, self.host.clone());
        added.write(request.headers_mut());
        self.client.request(request).await.map_err(|error| {
            let reason = reason(&error);
            let fix = if let UpstreamError::Untrusted(why) = reason { Some(fix(why)) } else { None };
            tracing::warn!(upstream = %self.uri, error = ?error, %reason, fix, "no answer");
            reason
        })
    }
}

/// Host and port, without the port that the scheme has anyway (RFC 9110 §7.2).
fn host(uri: &Uri) -> HeaderValue {
    let usual = if uri.scheme() == Some(&Scheme::HTTPS) { 443 } else { 80 };
    let name = uri.host().unwrap_or_default();
    let text = match uri.port_u16() {
        Some(port) if port != usual => format!("{name}:{port}"),
        _ => name.to_owned(),
    };
    HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}

/// For the operator.
const fn fix(why: Distrust) -> &'static str {
    match why {
        Distrust::UnknownAuthority => {
            "name its authority: upstream_tls = { ca_file = \"ca.pem\" } of the server, or --ca ca.pem of hallpass run"
        }
        Distrust::OwnAuthority => "give the server a certificate that this authority signs",
        Distrust::Time => "renew its certificate, or set the clock",
        Distrust::Name => "write the name that the certificate is for into the URL",
        Distrust::OurCertificate => "upstream_tls takes a client_cert_file and client_key_file that it knows",
        Distrust::Session => "does it speak https at this port?",
    }
}

/// A server that wants a certificate of ours may say so only after the handshake (RFC 8446 §4.6.2), when it was asked.
fn reason(error: &legacy::Error) -> UpstreamError {
    match tls::distrust(error) {
        Some(why) => UpstreamError::Untrusted(why),
        None if error.is_connect() => UpstreamError::Unreachable,
        None => UpstreamError::Broken,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_told_its_own_name() {
        for (uri, expected) in [
            ("http://files.example/mcp", "files.example"),
            ("http://files.example:80/mcp", "files.example"),
            ("http://files.example:443/mcp", "files.example:443"),
            ("https://files.example:443/", "files.example"),
            ("https://files.example:80/", "files.example:80"),
            ("http://[::1]:8080/mcp", "[::1]:8080"),
            ("http://127.0.0.1/mcp", "127.0.0.1"),
        ] {
            assert_eq!(host(&uri.parse().unwrap()), expected, "{uri}");
        }
    }
}
