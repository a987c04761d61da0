//! Accepting connections: bounded in number and in the time that a peer may take to say something.

use super::{host, patient::Patient};
use anyhow::Context;
use arc_swap::ArcSwap;
use axum::{Router, body::Body, extract::ConnectInfo};
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{
        conn::auto::Builder,
        graceful::{GracefulShutdown, Watcher},
    },
};
use std::{io::ErrorKind, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
};
use tower::ServiceExt;

/// Connections at once; more wait in the kernel's queue.
const CONNECTIONS: usize = 20_000;
/// Time to send the head of a request: a peer that trickles bytes does not hold a connection (slowloris). Idle
/// connections end after it too; pooled ones of HTTP clients are given up by them long before.
const HEAD: Duration = Duration::from_mins(1);
/// Time to take a piece of an answer.
const TAKE: Duration = Duration::from_mins(1);

/// The routes in force: a request takes those of the moment in which it comes.
#[derive(Clone)]
pub struct Current(Arc<ArcSwap<Router>>);

impl Current {
    /// These.
    pub fn new(router: Router) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(router)))
    }

    /// Others.
    pub fn replace(&self, router: Router) {
        self.0.store(Arc::new(router));
    }

    fn of_now(&self) -> Router {
        Router::clone(&self.0.load())
    }
}

/// Tells all listeners to stop.
#[derive(Clone)]
pub struct Stop(watch::Sender<bool>);

impl Stop {
    /// Not stopped.
    pub fn new() -> Self {
        Self(watch::Sender::new(false))
    }

    /// Stops.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

/// Binds the first address for sure and the others if they are there.
pub async fn bind(addresses: &[SocketAddr]) -> anyhow::Result<Vec<TcpListener>> {
    let mut listeners = Vec::new();
    for (at, address) in addresses.iter().enumerate() {
        match TcpListener::bind(address).await {
            Ok(listener) => listeners.push(listener),
            Err(error) if at == 0 && error.kind() == ErrorKind::AddrInUse => {
                anyhow::bail!(
                    "port {} on {} is in use: stop what runs there, or choose another with --port (or `listen` in the configuration)",
                    address.port(),
                    address.ip()
                );
            }
            Err(error) if at == 0 && error.kind() == ErrorKind::PermissionDenied => {
                anyhow::bail!("port {} may not be used by this user: choose one above 1023", address.port());
            }
            Err(error) if at == 0 => {
                return Err(error).with_context(|| {
                    format!("cannot listen on {address}: `listen` must be an address of this machine")
                });
            }
            // Without IPv6 there is no [::1].
            Err(error) => tracing::debug!(%address, %error, "not listening there"),
        }
    }
    Ok(listeners)
}

/// Serves a listener until the stop, then lets open requests end.
pub async fn serve(listener: TcpListener, router: Current, stop: Stop) {
    let graceful = GracefulShutdown::new();
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut stopped = stop.0.subscribe();
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        let (stream, peer) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of descriptors, for example: others may finish meanwhile.
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    continue;
                }
            },
            () = async { drop(stopped.wait_for(|stopped| *stopped).await); } => break,
        };
        let (router, watcher) = (router.clone(), graceful.watcher());
        tokio::spawn(async move {
            let _place = place;
            connection(stream, peer, router, watcher).await;
        });
    }
    graceful.shutdown().await;
}

async fn connection(stream: TcpStream, peer: SocketAddr, router: Current, watcher: Watcher) {
    let _ = stream.set_nodelay(true);
    let service = hyper::service::service_fn(move |mut request: http::Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        let router = router.of_now();
        async move {
            if host::is_named_once(request.version(), request.uri(), request.headers()) {
                router.oneshot(request).await
            } else {
                Ok(no_host())
            }
        }
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(64 * 1024);
    builder.http2().timer(TokioTimer::new()).max_concurrent_streams(100).max_header_list_size(64 * 1024);
    let serving = builder.serve_connection(TokioIo::new(Patient::new(stream, TAKE)), service);
    if let Err(error) = watcher.watch(serving.into_owned()).await {
        tracing::debug!(%peer, %error, "a connection broke");
    }
}

/// The connection ends with it: whoever sent this is not understood, and what follows might not be meant as a request.
fn no_host() -> http::Response<Body> {
    let mut answer = http::Response::new(Body::from("name the host once\n"));
    *answer.status_mut() = http::StatusCode::BAD_REQUEST;
    answer.headers_mut().insert(http::header::CONNECTION, http::HeaderValue::from_static("close"));
    answer
}

/// SIGHUP, again and again.
pub struct Told {
    #[cfg(unix)]
    hang_up: Option<tokio::signal::unix::Signal>,
}

impl Told {
    /// From now on a SIGHUP ends nothing.
    pub fn new() -> Self {
        Self {
            #[cfg(unix)]
            hang_up: tokio::signal::unix::signal(tokio::signal::unix::SignalKind::hangup()).ok(),
        }
    }

    /// A SIGHUP does what it always does.
    pub const fn never() -> Self {
        Self {
            #[cfg(unix)]
            hang_up: None,
        }
    }

    /// Waits for the next one.
    pub async fn again(&mut self) {
        #[cfg(unix)]
        if let Some(signal) = &mut self.hang_up
            && signal.recv().await.is_some()
        {
            return;
        }
        std::future::pending::<()>().await;
    }
}

/// Ctrl-C, or SIGTERM from whoever started us: from this call on, also before anybody waits for it. A node that answers
/// requests can be stopped without being cut off.
pub fn asked_to_stop() -> impl Future<Output = ()> + Send {
    #[cfg(unix)]
    let terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate());
    async move {
        #[cfg(unix)]
        if let Ok(mut terminate) = terminate {
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
            return;
        }
        let _ = tokio::signal::ctrl_c().await;
    }
}
