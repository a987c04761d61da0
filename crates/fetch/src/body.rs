//! A body with a limit on its size and on its time, read piece by piece.

use crate::error::FetchError;
use bytes::{Bytes, BytesMut};
use std::time::Duration;
use tokio::time::{Instant, timeout, timeout_at};

/// The body of an answer. It is never decompressed, so what is counted is what is kept.
#[derive(Debug)]
pub struct Body {
    response: reqwest::Response,
    left: u64,
    until: Patience,
}

/// How long to wait for the rest of a body.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Patience {
    /// All of it before this instant.
    Until(Instant),
    /// Each piece within this time: for event streams, which have no end.
    Idle(Duration),
}

impl Body {
    pub(crate) const fn new(response: reqwest::Response, max: u64, until: Patience) -> Self {
        Self { response, left: max, until }
    }

    /// The next piece, or `None` at the end.
    ///
    /// # Errors
    /// `TooLarge`, `Timeout`, or `Interrupted` where the peer stopped before the length that it announced.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, FetchError> {
        let next = self.response.chunk();
        let read = match self.until {
            Patience::Until(instant) => timeout_at(instant, next).await,
            Patience::Idle(duration) => timeout(duration, next).await,
        };
        let Some(piece) = read.map_err(|_| FetchError::Timeout)?.map_err(|_| FetchError::Interrupted)? else {
            return Ok(None);
        };
        let size = u64::try_from(piece.len()).unwrap_or(u64::MAX);
        self.left = self.left.checked_sub(size).ok_or(FetchError::TooLarge)?;
        Ok(Some(piece))
    }

    /// All of it.
    ///
    /// # Errors
    /// As [`Body::chunk`]. An announced length above the limit is refused before anything is read.
    pub async fn collect(mut self) -> Result<Bytes, FetchError> {
        if self.response.content_length().is_some_and(|announced| announced > self.left) {
            return Err(FetchError::TooLarge);
        }
        let mut all = BytesMut::new();
        while let Some(piece) = self.chunk().await? {
            all.extend_from_slice(&piece);
        }
        Ok(all.freeze())
    }
}
