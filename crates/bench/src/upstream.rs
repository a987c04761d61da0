//! The trivial MCP server behind the gateway and behind the bare proxies: it answers every message with the same result, a
//! small one at `/mcp`, a list of many tools at `/tools`. A stream that somebody opens stays silent. It runs in the process
//! of the load, so its time is not the gateway's.

use anyhow::Result;
use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Either, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::json;
use std::{
    convert::Infallible,
    pin::Pin,
    task::{Context, Poll},
};
use tokio::net::TcpListener;

const RESULT: &[u8] = br#"{"jsonrpc":"2.0","id":7,"result":{"tools":[{"name":"echo","description":"Says it again","inputSchema":{"type":"object","properties":{"text":{"type":"string"}}}}]}}"#;

/// Of how many tools each kind is listed: those that a token for `read` may use, those that more scope would allow, and
/// those that nobody may.
pub const TOOLS: [(&str, usize); 3] = [("read", 250), ("admin", 100), ("secret", 150)];

/// A stream on which nothing comes.
pub struct Silent;

impl Body for Silent {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Pending
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

/// Starts it on the running runtime. Answers its port.
pub async fn start() -> Result<u16> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let port = listener.local_addr()?.port();
    let tools = Bytes::from(list());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            drop(stream.set_nodelay(true));
            let tools = tools.clone();
            let service = service_fn(move |request| answer(request, tools.clone()));
            let serving = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            tokio::spawn(async move { drop(serving.await) });
        }
    });
    Ok(port)
}

async fn answer(
    request: Request<Incoming>,
    tools: Bytes,
) -> Result<Response<Either<Full<Bytes>, Silent>>, hyper::Error> {
    if request.method() == Method::GET {
        return Ok(typed("text/event-stream", Either::Right(Silent)));
    }
    let many = request.uri().path() == "/tools";
    request.into_body().collect().await?;
    let body = if many { tools } else { Bytes::from_static(RESULT) };
    Ok(typed("application/json", Either::Left(Full::new(body))))
}

fn typed<B>(media_type: &'static str, body: B) -> Response<B> {
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

/// 500 tools, of about 400 bytes each.
fn list() -> String {
    let mut tools = Vec::new();
    for (kind, count) in TOOLS {
        for number in 0..count {
            tools.push(json!({
                "name": format!("{kind}_{number}"),
                "description": "Looks something up in a store of many things, and tells what is known about it today",
                "inputSchema": { "type": "object", "required": ["name"], "properties": {
                    "name": { "type": "string", "description": "What to look for" },
                    "limit": { "type": "integer", "minimum": 1, "maximum": 100, "description": "How many at most" },
                    "deep": { "type": "boolean", "description": "Whether to look into what it consists of" },
                } },
            }));
        }
    }
    json!({ "jsonrpc": "2.0", "id": 7, "result": { "tools": tools } }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_long_list_has_500_tools() {
        let list: serde_json::Value = serde_json::from_str(&list()).unwrap();
        assert_eq!(list["result"]["tools"].as_array().unwrap().len(), 500);
    }
}
