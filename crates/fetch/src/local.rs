//! Requests to a program of this very machine, behind a Unix socket: HTTP/2 without TLS, as the SPIFFE Workload API speaks it.
//! Who named the path is trusted with it; there is no host, no name and no network.

use crate::{client::Limits, error::FetchError};
use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use std::path::Path;

/// Sends one request and reads the whole answer, whatever its status, with what stands behind its body (gRPC's status).
///
/// # Errors
/// `Connect`, `Interrupted`, `TooLarge`, `Timeout`.
#[cfg(unix)]
pub async fn over_socket(
    path: &Path,
    request: Request<Bytes>,
    limits: Limits,
) -> Result<(Response<Bytes>, HeaderMap), FetchError> {
    tokio::time::timeout(limits.total, unix::exchange(path, request, limits.body))
        .await
        .unwrap_or(Err(FetchError::Timeout))
}

/// There are none here.
///
/// # Errors
/// `Connect`.
#[cfg(not(unix))]
pub async fn over_socket(
    _: &Path,
    _: Request<Bytes>,
    _: Limits,
) -> Result<(Response<Bytes>, HeaderMap), FetchError> {
    Err(FetchError::Connect)
}

#[cfg(unix)]
mod unix {
    use super::{Bytes, FetchError, HeaderMap, Path, Request, Response};
    use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
    use hyper::client::conn::http2;
    use hyper_util::rt::{TokioExecutor, TokioIo};
    use tokio::{net::UnixStream, task::AbortHandle};

    /// Ends the connection with the exchange, however that ends.
    struct Ends(AbortHandle);

    impl Drop for Ends {
        fn drop(&mut self) {
            self.0.abort();
        }
    }

    pub(super) async fn exchange(
        path: &Path,
        request: Request<Bytes>,
        max: u64,
    ) -> Result<(Response<Bytes>, HeaderMap), FetchError> {
        let stream = UnixStream::connect(path).await.map_err(|_| FetchError::Connect)?;
        let handshake = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(|_| FetchError::Interrupted)?;
        let _ends = Ends(tokio::spawn(connection).abort_handle());
        let answer =
            sender.send_request(request.map(Full::new)).await.map_err(|_| FetchError::Interrupted)?;
        let (head, body) = answer.into_parts();
        let max = usize::try_from(max).unwrap_or(usize::MAX);
        let whole = Limited::new(body, max).collect().await.map_err(|error| {
            if error.is::<LengthLimitError>() { FetchError::TooLarge } else { FetchError::Interrupted }
        })?;
        let trailers = whole.trailers().cloned().unwrap_or_default();
        Ok((Response::from_parts(head, whole.to_bytes()), trailers))
    }
}
