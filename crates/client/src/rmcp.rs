//! The HTTP client for rmcp, the SDK for Rust: its requests carry a good token, a proof where it is bound, and the person signs
//! in where the server asks for that. Behind the feature `rmcp`.
//!
//! ```no_run
//! # #[cfg(feature = "rmcp")]
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use hallpass_client::{driver::{Client, LoginOptions, Settings}, rmcp::SignedIn, storage::Store};
//! use hallpass_fetch::Fetch;
//! use rmcp::{ServiceExt as _, transport::{StreamableHttpClientTransport, streamable_http_client::StreamableHttpClientTransportConfig}};
//!
//! let fetch = Fetch::new(hallpass_fetch::Settings::default())?;
//! let client = Client::new(fetch, Store::new("/home/me/.local/share/hallpass".into()), Settings::default());
//! let server = "https://mcp.example/mcp";
//! let credentials = client.credentials(server, LoginOptions::default(), None)?;
//!
//! // Without redirects: a token is for one address.
//! let plain = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build()?;
//! let config = StreamableHttpClientTransportConfig::with_uri(server);
//! let transport = StreamableHttpClientTransport::with_client(SignedIn::new(plain, credentials), config);
//! let mcp = ().serve(transport).await?;
//! println!("{:?}", mcp.list_all_tools().await?);
//! # Ok(())
//! # }
//! ```

use crate::{
    driver::Credentials,
    layer::{SignIn, SignInLayer},
    sse::EventReader,
};
use futures_util::stream::{BoxStream, StreamExt as _, unfold};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use reqwest::{Request, Response};
use rmcp::{
    model::{ClientJsonRpcMessage, ClientRequest, ErrorData, ServerJsonRpcMessage},
    transport::streamable_http_client::{
        AuthRequiredError, HttpStatusError, InsufficientScopeError, StreamableHttpClient,
        StreamableHttpError, StreamableHttpPostResponse, StreamableHttpResponseLimits,
    },
};
use sse_stream::{Error as SseError, Sse};
use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};
use tower::{BoxError, Layer as _, ServiceExt as _};

const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");
const LAST_EVENT: HeaderName = HeaderName::from_static("last-event-id");
const BOTH: HeaderValue = HeaderValue::from_static("application/json, text/event-stream");

/// The client of somebody else, signed in. Cheap to clone.
#[derive(Clone, Debug)]
pub struct SignedIn {
    http: SignIn<reqwest::Client>,
}

/// The request was not sent, or not answered: a [`Failed`](crate::error::Failed), or the error of the client inside.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NotAnswered(#[source] BoxError);

type Error = StreamableHttpError<NotAnswered>;
type Headers = HashMap<HeaderName, HeaderValue>;

impl SignedIn {
    /// Around a client that follows no redirects.
    pub fn new(http: reqwest::Client, credentials: Credentials) -> Self {
        Self { http: SignInLayer::new(credentials).layer(http) }
    }

    /// Whatever `Authorization` rmcp was given is replaced for the server that the credentials are for.
    async fn send(&self, request: Request) -> Result<Response, Error> {
        let answer = self.http.clone().oneshot(request).await;
        let answer = answer.map_err(|error| StreamableHttpError::Client(NotAnswered(error)))?;
        // Here nothing could mend it: nobody is there to sign in, or the person does not want to.
        let challenge = answer.headers().get(header::WWW_AUTHENTICATE).and_then(|value| value.to_str().ok());
        match (answer.status(), challenge) {
            (StatusCode::UNAUTHORIZED, Some(challenge)) => {
                Err(StreamableHttpError::AuthRequired(AuthRequiredError::new(challenge.to_owned())))
            }
            (StatusCode::FORBIDDEN, Some(challenge)) => {
                let scope = crate::discovery::Challenged::from_headers(&[challenge])
                    .scope
                    .map(|scope| scope.to_string());
                let missing = InsufficientScopeError::new(challenge.to_owned(), scope);
                Err(StreamableHttpError::InsufficientScope(missing))
            }
            _ => Ok(answer),
        }
    }
}

impl StreamableHttpClient for SignedIn {
    type Error = NotAnswered;

    async fn post_message(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session: Option<Arc<str>>,
        token: Option<String>,
        headers: Headers,
    ) -> Result<StreamableHttpPostResponse, Error> {
        let limits = StreamableHttpResponseLimits::default();
        self.post_message_with_response_limits(uri, message, session, token, headers, limits).await
    }

    async fn post_message_with_response_limits(
        &self,
        uri: Arc<str>,
        message: ClientJsonRpcMessage,
        session: Option<Arc<str>>,
        token: Option<String>,
        headers: Headers,
        limits: StreamableHttpResponseLimits,
    ) -> Result<StreamableHttpPostResponse, Error> {
        let mut request = request(Method::POST, &uri, (session.as_deref(), token), headers)?;
        request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        *request.body_mut() = Some(serde_json::to_vec(&message)?.into());
        let answer = self.send(request).await?;
        let status = answer.status();
        if matches!(status, StatusCode::ACCEPTED | StatusCode::NO_CONTENT) {
            return Ok(StreamableHttpPostResponse::Accepted);
        }
        if status == StatusCode::NOT_FOUND && session.is_some() {
            return Err(StreamableHttpError::SessionExpired);
        }
        let waits = matches!(message, ClientJsonRpcMessage::Request(_));
        let new_session = text(answer.headers(), &SESSION);
        let kind = text(answer.headers(), &header::CONTENT_TYPE);
        if status.is_success() && is(kind.as_deref(), "text/event-stream") {
            return Ok(StreamableHttpPostResponse::Sse(
                events(answer, limits.max_sse_event_size),
                new_session,
            ));
        }
        let failure = failure(&answer);
        let body = match bounded(answer, limits.max_json_response_size).await {
            Ok(body) => body,
            Err(error) => return Err(failure.map_or(error, Into::into)),
        };
        if status.is_success() && !waits {
            return Ok(StreamableHttpPostResponse::Accepted);
        }
        if let Some(refusal) = refused_discovery(&message, status, &body).filter(|_| session.is_none()) {
            return Ok(StreamableHttpPostResponse::Json(refusal, None));
        }
        match serde_json::from_slice::<ServerJsonRpcMessage>(&body) {
            Ok(answer) if status.is_success() || matches!(answer, ServerJsonRpcMessage::Error(_)) => {
                Ok(StreamableHttpPostResponse::Json(answer, new_session))
            }
            Err(error) if status.is_success() => Err(error.into()),
            Ok(_) | Err(_) => Err(failure.map_or_else(|| unexpected(status), Into::into)),
        }
    }

    async fn get_stream(
        &self,
        uri: Arc<str>,
        session: Option<Arc<str>>,
        last_event: Option<String>,
        token: Option<String>,
        headers: Headers,
    ) -> Result<BoxStream<'static, Result<Sse, SseError>>, Error> {
        let max = StreamableHttpResponseLimits::default().max_sse_event_size;
        self.get_stream_with_max_sse_event_size(uri, session, last_event, token, headers, max).await
    }

    async fn get_stream_with_max_sse_event_size(
        &self,
        uri: Arc<str>,
        session: Option<Arc<str>>,
        last_event: Option<String>,
        token: Option<String>,
        headers: Headers,
        max: usize,
    ) -> Result<BoxStream<'static, Result<Sse, SseError>>, Error> {
        let mut request = request(Method::GET, &uri, (session.as_deref(), token), headers)?;
        if let Some(last) = last_event {
            request.headers_mut().insert(LAST_EVENT, header_value(&last)?);
        }
        let answer = self.send(request).await?;
        let kind = text(answer.headers(), &header::CONTENT_TYPE);
        match answer.status() {
            StatusCode::METHOD_NOT_ALLOWED => Err(StreamableHttpError::ServerDoesNotSupportSse),
            status if !status.is_success() => {
                Err(failure(&answer).map_or_else(|| unexpected(status), Into::into))
            }
            _ if is(kind.as_deref(), "text/event-stream") => Ok(events(answer, max)),
            _ => Err(StreamableHttpError::UnexpectedContentType(kind)),
        }
    }

    async fn delete_session(
        &self,
        uri: Arc<str>,
        session: Arc<str>,
        token: Option<String>,
        headers: Headers,
    ) -> Result<(), Error> {
        let answer = self.send(request(Method::DELETE, &uri, (Some(&session), token), headers)?).await?;
        match answer.status() {
            StatusCode::METHOD_NOT_ALLOWED => Ok(()),
            status if status.is_success() => Ok(()),
            status => Err(unexpected(status)),
        }
    }
}

fn request(
    method: Method,
    uri: &str,
    (session, token): (Option<&str>, Option<String>),
    headers: Headers,
) -> Result<Request, Error> {
    let url = uri.parse().map_err(|_| StreamableHttpError::UnexpectedServerResponse("not a URL".into()))?;
    let mut request = Request::new(method, url);
    let all = request.headers_mut();
    for (name, value) in headers {
        if [header::ACCEPT, SESSION, LAST_EVENT].contains(&name) {
            return Err(StreamableHttpError::ReservedHeaderConflict(name.to_string()));
        }
        all.insert(name, value);
    }
    all.insert(header::ACCEPT, BOTH);
    if let Some(session) = session {
        all.insert(SESSION, header_value(session)?);
    }
    if let Some(token) = token {
        all.insert(header::AUTHORIZATION, header_value(&format!("Bearer {token}"))?);
    }
    Ok(request)
}

/// What a header carries is told to nobody: it may be a session's id, or a token.
fn header_value(text: &str) -> Result<HeaderValue, Error> {
    let value = HeaderValue::try_from(text);
    let mut value =
        value.map_err(|_| StreamableHttpError::UnexpectedServerResponse("a header cannot hold it".into()))?;
    value.set_sensitive(true);
    Ok(value)
}

fn text(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

fn is(kind: Option<&str>, wanted: &str) -> bool {
    kind.and_then(|kind| kind.split(';').next()).is_some_and(|kind| kind.trim().eq_ignore_ascii_case(wanted))
}

/// What may be better later, with what the server says about when.
fn failure(answer: &Response) -> Option<HttpStatusError> {
    let status = answer.status();
    let later = status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error();
    later.then(|| HttpStatusError::new(status.as_u16(), text(answer.headers(), &header::RETRY_AFTER)))
}

fn unexpected(status: StatusCode) -> Error {
    StreamableHttpError::UnexpectedServerResponse(format!("status {}", status.as_u16()).into())
}

/// A server of an older revision says no to `server/discover` in its own way, which rmcp wants as an answer to that request.
fn refused_discovery(
    message: &ClientJsonRpcMessage,
    status: StatusCode,
    body: &[u8],
) -> Option<ServerJsonRpcMessage> {
    let ClientJsonRpcMessage::Request(request) = message else { return None };
    let refused =
        status.is_client_error() && !matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
    if !refused || !matches!(request.request, ClientRequest::DiscoverRequest(_)) {
        return None;
    }
    let error = match serde_json::from_slice(body) {
        Ok(ServerJsonRpcMessage::Error(error)) => error.error,
        _ => ErrorData::invalid_request(format!("server/discover: status {}", status.as_u16()), None),
    };
    Some(ServerJsonRpcMessage::error(error, Some(request.id.clone())))
}

async fn bounded(mut answer: Response, max_size: usize) -> Result<Vec<u8>, Error> {
    let mut body = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(lost)? {
        if body.len().saturating_add(piece.len()) > max_size {
            return Err(StreamableHttpError::ResponseBodyTooLarge { max_size });
        }
        body.extend_from_slice(&piece);
    }
    Ok(body)
}

fn lost(error: reqwest::Error) -> Error {
    StreamableHttpError::Client(NotAnswered(error.into()))
}

/// The messages of a stream. It ends with the first event that is too large or that breaks off.
fn events(answer: Response, max: usize) -> BoxStream<'static, Result<Sse, SseError>> {
    let state = (Some(answer), EventReader::new(max), VecDeque::new());
    unfold(state, |(answer, mut reader, mut ready)| async move {
        let mut answer = answer;
        loop {
            if let Some(event) = ready.pop_front() {
                return Some((Ok(event), (answer, reader, ready)));
            }
            let piece = match answer.as_mut()?.chunk().await {
                Ok(piece) => piece?,
                Err(error) => return Some((Err(SseError::Body(error.into())), (None, reader, ready))),
            };
            match reader.push(&piece) {
                Ok(events) => {
                    ready.extend(events.into_iter().map(|data| event(&data)));
                    // With the last: who has seen less of the piece takes the stream up before it.
                    if let Some(last) = ready.back_mut() {
                        last.id = reader.last_id().map(str::to_owned);
                    }
                }
                Err(error) => return Some((Err(SseError::Body(error.into())), (None, reader, ready))),
            }
        }
    })
    .boxed()
}

fn event(data: &[u8]) -> Sse {
    Sse { data: Some(String::from_utf8_lossy(data).into_owned()), ..Sse::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(body: &str) -> Response {
        http::Response::new(body.to_owned()).into()
    }

    #[tokio::test]
    async fn t_52_an_answer_is_read_up_to_what_rmcp_wants_and_no_further() {
        assert_eq!(bounded(answer("12345"), 5).await.unwrap(), b"12345");
        let end = bounded(answer("123456"), 5).await;
        assert!(matches!(end, Err(StreamableHttpError::ResponseBodyTooLarge { max_size: 5 })));
        assert_eq!(bounded(answer(""), 0).await.unwrap(), b"");

        let mut stream = events(answer("id: 6\ndata: {}\n\nid: 7\ndata: [1]\n\n"), 16);
        let mut next = async || stream.next().await.unwrap().map(|event| (event.data.unwrap(), event.id));
        assert_eq!(next().await.unwrap(), ("{}".to_owned(), None));
        assert_eq!(next().await.unwrap(), ("[1]".to_owned(), Some("7".to_owned())));
        assert!(stream.next().await.is_none());
        let mut stream = events(answer("data: 0123456789abcdef\n\n"), 16);
        assert!(stream.next().await.unwrap().is_err());
        assert!(stream.next().await.is_none());
    }
}
