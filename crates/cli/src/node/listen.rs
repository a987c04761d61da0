//! Accepting connections: bounded in number and in the time that a peer may take to say something.

use super::{host, patient::Patient, version};
use anyhow::Context;
use arc_swap::ArcSwap;
use axum::{Router, body::Body, extract::ConnectInfo};
use hallpass_gateway::CallPaths;
use hyper::{
    body::Incoming,
    server::conn::{http1, http2},
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::graceful::{GracefulShutdown, Watcher},
};
use std::{io::ErrorKind, net::SocketAddr, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    time::timeout,
};
use tower::ServiceExt;

/// Connections at once; more wait in the kernel's queue.
const CONNECTIONS: usize = 20_000;
/// Time to send the head of a request: a peer that trickles bytes does not hold a connection (slowloris). Idle
/// connections end after it too; pooled ones of HTTP clients are given up by them long before.
const HEAD: Duration = Duration::from_mins(1);
/// Time to take a piece of an answer.
const TAKE: Duration = Duration::from_mins(1);

/// All routes of a listener.
pub struct Routes {
    /// Every one of them.
    pub router: Router,
    /// Those that have a shorter way too.
    pub calls: CallPaths,
}

impl From<Router> for Routes {
    /// None has a shorter way.
    fn from(router: Router) -> Self {
        Self { router, calls: CallPaths::default() }
    }
}

/// The routes in force: a request takes those of the moment in which it comes.
#[derive(Clone)]
pub struct Current(Arc<ArcSwap<Routes>>);

impl Current {
    /// These.
    pub fn new(routes: impl Into<Routes>) -> Self {
        Self(Arc::new(ArcSwap::from_pointee(routes.into())))
    }

    /// Others.
    pub fn replace(&self, routes: Routes) {
        self.0.store(Arc::new(routes));
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
pub async fn serve(listener: TcpListener, current: Current, stop: Stop) {
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
        let (current, watcher) = (current.clone(), graceful.watcher());
        let mut stopped = stopped.clone();
        tokio::spawn(async move {
            let _place = place;
            tokio::select! {
                // Who has asked nothing yet is not waited for.
                () = async { drop(stopped.wait_for(|stopped| *stopped).await); } => {}
                begun = begun(stream, HEAD) => if let Some(begun) = begun {
                    connection(begun, peer, current, watcher).await;
                }
            }
        });
    }
    graceful.shutdown().await;
}

/// What a client says first, where it says something in this time.
async fn begun(mut stream: TcpStream, within: Duration) -> Option<(version::First, TcpStream)> {
    let first = timeout(within, version::first(&mut stream)).await.ok()?.ok()?;
    Some((first, stream))
}

async fn connection(
    (first, stream): (version::First, TcpStream),
    peer: SocketAddr,
    current: Current,
    watcher: Watcher,
) {
    let _ = stream.set_nodelay(true);
    let service = hyper::service::service_fn(move |mut request: http::Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        let now = current.0.load();
        let way = match now.calls.find(request.method(), request.uri().path()) {
            Some(call) => Way::Short(call),
            None => Way::Router(now.router.clone()),
        };
        async move {
            if !host::is_named_once(request.version(), request.uri(), request.headers()) {
                return Ok(no_host());
            }
            match way {
                Way::Short(call) => Ok(call(request.map(Body::new)).await),
                Way::Router(router) => router.oneshot(request).await,
            }
        }
    });
    let stream = Patient::new(first.bytes, stream, TAKE);
    let served = if first.is_http2 {
        let io = TokioIo::new(stream);
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder.timer(TokioTimer::new()).max_concurrent_streams(100).max_header_list_size(64 * 1024);
        watcher.watch(builder.serve_connection(io, service)).await
    } else {
        let io = TokioIo::new(stream.watched());
        let mut builder = http1::Builder::new();
        builder.timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(64 * 1024);
        watcher.watch(builder.serve_connection(io, service)).await
    };
    if let Err(error) = served {
        tracing::debug!(%peer, %error, "a connection broke");
    }
}

/// How a request comes to its answer.
enum Way<C> {
    Short(C),
    Router(Router),
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

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;

    async fn listener() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    #[tokio::test]
    async fn rs_065_t_88_who_connects_and_says_nothing_is_not_waited_for() {
        let (listener, address) = listener().await;
        let mut theirs = TcpStream::connect(address).await.unwrap();
        for said in [&b""[..], b"PRI * HTTP"] {
            theirs.write_all(said).await.unwrap();
            let (ours, _) = listener.accept().await.unwrap();
            assert!(begun(ours, Duration::from_millis(100)).await.is_none());
            theirs = TcpStream::connect(address).await.unwrap();
        }
        theirs.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
        let (ours, _) = listener.accept().await.unwrap();
        assert!(begun(ours, Duration::from_secs(10)).await.is_some());
    }

    #[tokio::test]
    async fn a_stop_waits_for_nobody_who_has_asked_nothing() {
        let (listener, address) = listener().await;
        let stop = Stop::new();
        let router: Router = Router::new();
        let serving = tokio::spawn(serve(listener, Current::new(router), stop.clone()));
        let _silent = TcpStream::connect(address).await.unwrap();
        let mut half = TcpStream::connect(address).await.unwrap();
        half.write_all(b"PRI").await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        stop.stop();
        timeout(Duration::from_secs(5), serving).await.expect("it is waited for").unwrap();
    }
}
