//! Connections to a server behind, over TLS where its URL says so: all of a connection, from the look-up of the name to the
//! end of the handshake, has one bound, or a server that says nothing after the first packet would hold a call for minutes.

use hallpass_fetch::tls::{Tls, TlsFault};
use http::Uri;
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::{client::legacy::connect::HttpConnector, rt::TokioIo};
use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::net::TcpStream;
use tower_service::Service;

type Fault = Box<dyn std::error::Error + Send + Sync>;

/// Opens connections to one server.
#[derive(Clone)]
pub(crate) struct Connector {
    https: HttpsConnector<HttpConnector>,
    within: Duration,
}

impl Connector {
    /// Connects to nothing yet; certificates of the system are read here, where `tls` counts on them and `uri` is https.
    ///
    /// HTTP/1.1 only: on a connection that several callers share, one that does not read its answer takes the window of all.
    pub(crate) fn new(uri: &Uri, tls: &Tls, within: Duration) -> Result<Self, TlsFault> {
        let is_tls = uri.scheme() == Some(&http::uri::Scheme::HTTPS);
        let config = if is_tls { tls.client(&[b"http/1.1"])? } else { Tls::nobody()? };
        let mut tcp = HttpConnector::new();
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(within));
        tcp.enforce_http(false);
        let mut https = HttpsConnector::from((tcp, config));
        if is_tls {
            https.enforce_https();
        }
        Ok(Self { https, within })
    }
}

impl Service<Uri> for Connector {
    type Response = MaybeHttpsStream<TokioIo<TcpStream>>;
    type Error = Fault;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Fault>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Fault>> {
        self.https.poll_ready(context)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = tokio::time::timeout(self.within, self.https.call(uri));
        Box::pin(async move {
            let late = |_| Fault::from(io::Error::from(io::ErrorKind::TimedOut));
            connecting.await.map_err(late)?
        })
    }
}
