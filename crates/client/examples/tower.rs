//! The same as `reqwest.rs` with a tower service of hyper's, for a server of this computer.
//!
//!     cargo run --example tower http://localhost:8080/mcp FOLDER

#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a program of somebody else")]

use bytes::Bytes;
use hallpass_client::{
    browser::PageUrl,
    driver::{Client, Interaction, LoginOptions, Settings, WhatFor},
    layer::SignInLayer,
    storage::Store,
};
use hallpass_fetch::Fetch;
use http::Request;
use http_body_util::{BodyExt as _, Full};
use hyper_util::{client::legacy, rt::TokioExecutor};
use tower::{Service as _, ServiceBuilder, ServiceExt as _};

struct Terminal;

impl Interaction for Terminal {
    fn open(&mut self, page: &PageUrl, _: &WhatFor<'_>) {
        println!("OPEN {}", page.as_str());
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), tower::BoxError> {
    let mut words = std::env::args().skip(1);
    let (server, folder) = (words.next().ok_or("the server's URL")?, words.next().ok_or("a folder")?);
    let client = Client::new(
        Fetch::new(hallpass_fetch::Settings::default())?,
        Store::new(folder.into()),
        Settings::default(),
    );
    let credentials = client.credentials(&server, LoginOptions::default(), Some(Box::new(Terminal)))?;

    let plain = legacy::Client::builder(TokioExecutor::new()).build_http::<Full<Bytes>>();
    let mut http = ServiceBuilder::new().layer(SignInLayer::new(credentials)).service(plain);
    let hello = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"example","version":"1"}}}"#;
    let request = Request::post(&server)
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .body(Full::new(Bytes::from_static(hello.as_bytes())))?;
    let answer = http.ready().await?.call(request).await?;
    let body = answer.into_body().collect().await?.to_bytes();
    println!("ANSWER {}", String::from_utf8_lossy(&body).replace('\n', " "));
    Ok(())
}
