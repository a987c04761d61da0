//! A tower layer that signs the requests of any HTTP client in: a good token in each, renewed ahead of its end, a proof
//! where it is bound, a sign-in or one for more where the server asks for that.
//!
//! It goes around hyper's clients, a [`reqwest::Client`], and whatever else is a [`tower::Service`]. A request is sent
//! again only after a refusal (401, 403), when the server has done nothing with it, and at most three times. Give it a client
//! that follows no redirects: what a server sends elsewhere would carry the token there.
//!
//! ```no_run
//! use hallpass_client::{driver::{Client, LoginOptions, Settings}, layer::SignInLayer, storage::Store};
//! use hallpass_fetch::Fetch;
//! use tower::{Service, ServiceBuilder, ServiceExt};
//!
//! # async fn example() -> Result<(), tower::BoxError> {
//! let fetch = Fetch::new(hallpass_fetch::Settings::default())?;
//! let client = Client::new(fetch, Store::new("/home/me/.local/share/hallpass".into()), Settings::default());
//! let server = "https://mcp.example/mcp";
//! let credentials = client.credentials(server, LoginOptions::default(), None)?;
//!
//! // Without redirects: a token is for one address.
//! let plain = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build()?;
//! let request = plain.post(server).body("{}").build()?;
//! let mut http = ServiceBuilder::new().layer(SignInLayer::new(credentials)).service(plain);
//! let answer = http.ready().await?.call(request).await?;
//! # Ok(())
//! # }
//! ```

use crate::{
    driver::{Credentials, Next},
    storage::Entry,
};
use http::{HeaderMap, Request, Response, StatusCode, Uri};
use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};
use tower::{BoxError, Layer, Service};

/// Times that one request is sent again, for whatever reasons (CL-077).
const AGAIN: u8 = 3;

/// A request of some HTTP library.
pub trait Outgoing: Sized + Send + 'static {
    /// The same once more; `None` where its body is a stream.
    fn again(&self) -> Option<Self>;

    /// Method, address and headers of it, as [`http`] has them, without the body; `None` for an address that it cannot
    /// express.
    fn head(&self) -> Option<Request<()>>;

    /// Takes these headers in place of its own.
    #[must_use]
    fn with_headers(self, headers: HeaderMap) -> Self;
}

/// An answer of some HTTP library.
pub trait Answer {
    /// Its status and headers.
    fn head(&self) -> (StatusCode, &HeaderMap);
}

impl<B: Clone + Send + 'static> Outgoing for Request<B> {
    fn again(&self) -> Option<Self> {
        Some(self.clone())
    }

    fn head(&self) -> Option<Request<()>> {
        let mut head = Request::new(());
        head.method_mut().clone_from(self.method());
        head.uri_mut().clone_from(self.uri());
        head.headers_mut().clone_from(self.headers());
        Some(head)
    }

    fn with_headers(mut self, headers: HeaderMap) -> Self {
        *self.headers_mut() = headers;
        self
    }
}

impl<B> Answer for Response<B> {
    fn head(&self) -> (StatusCode, &HeaderMap) {
        (self.status(), self.headers())
    }
}

impl Outgoing for reqwest::Request {
    fn again(&self) -> Option<Self> {
        self.try_clone()
    }

    fn head(&self) -> Option<Request<()>> {
        let mut head = Request::new(());
        head.method_mut().clone_from(self.method());
        *head.uri_mut() = Uri::try_from(self.url().as_str()).ok()?;
        head.headers_mut().clone_from(self.headers());
        Some(head)
    }

    fn with_headers(mut self, headers: HeaderMap) -> Self {
        *self.headers_mut() = headers;
        self
    }
}

impl Answer for reqwest::Response {
    fn head(&self) -> (StatusCode, &HeaderMap) {
        (self.status(), self.headers())
    }
}

/// Signs requests in.
#[derive(Clone, Debug)]
pub struct SignInLayer {
    credentials: Credentials,
}

impl SignInLayer {
    /// With the credentials of one account at one server. Requests to any other address pass as they are.
    pub const fn new(credentials: Credentials) -> Self {
        Self { credentials }
    }
}

impl<S> Layer<S> for SignInLayer {
    type Service = SignIn<S>;

    fn layer(&self, inner: S) -> SignIn<S> {
        SignIn { inner, credentials: self.credentials.clone() }
    }
}

/// The service that [`SignInLayer`] makes.
#[derive(Clone, Debug)]
pub struct SignIn<S> {
    inner: S,
    credentials: Credentials,
}

impl<S, R> Service<R> for SignIn<S>
where
    R: Outgoing,
    S: Service<R> + Clone + Send + 'static,
    S::Response: Answer + Send,
    S::Error: Into<BoxError>,
    S::Future: Send,
{
    type Response = S::Response;
    /// [`Failed`](crate::error::Failed), or the error of the client inside.
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, request: R) -> Self::Future {
        // The clone that was made ready is the one that is used.
        let fresh = self.inner.clone();
        let inner = std::mem::replace(&mut self.inner, fresh);
        let credentials = self.credentials.clone();
        Box::pin(async move {
            match request.head().filter(|head| credentials.are_for(head.uri())) {
                Some(head) => send(inner, &credentials, request, &head).await,
                None => passed(inner, request).await,
            }
        })
    }
}

async fn passed<S: Service<R>, R>(mut inner: S, request: R) -> Result<S::Response, BoxError>
where
    S::Error: Into<BoxError>,
{
    inner.call(request).await.map_err(Into::into)
}

async fn send<S, R>(
    mut inner: S,
    credentials: &Credentials,
    request: R,
    head: &Request<()>,
) -> Result<S::Response, BoxError>
where
    R: Outgoing,
    S: Service<R>,
    S::Response: Answer,
    S::Error: Into<BoxError>,
{
    let mut request = request;
    let mut left = AGAIN;
    loop {
        let spare = request.again().filter(|_| left > 0);
        let entry: Option<Arc<Entry>> = credentials.current().await?;
        let signed = credentials.put_into(head.clone(), entry.as_deref())?;
        let sent = request.with_headers(signed.into_parts().0.headers);
        let answer = inner.call(sent).await.map_err(Into::into)?;
        let Some(spare) = spare else {
            // The next one is not to carry what was refused now.
            credentials.learn(head.uri(), entry.as_deref(), answer.head()).await;
            return Ok(answer);
        };
        let operation = format!("{} {}", head.method(), head.uri().path());
        if credentials.after((head.uri(), &operation), entry.as_deref(), answer.head()).await? == Next::Done {
            return Ok(answer);
        }
        std::future::poll_fn(|cx| inner.poll_ready(cx)).await.map_err(Into::into)?;
        request = spare;
        left = left.saturating_sub(1);
    }
}
