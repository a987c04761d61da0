//! A program with an HTTP client of its own, signed in by the layer: the page to open goes to standard output, and then what the
//! MCP server answers.
//!
//!     cargo run --example reqwest https://mcp.example/mcp FOLDER

#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a program of somebody else")]

use hallpass_client::{
    browser::PageUrl,
    driver::{Client, Interaction, LoginOptions, Settings, WhatFor},
    layer::SignInLayer,
    storage::Store,
};
use hallpass_fetch::Fetch;
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

    // Whatever cryptography the HTTP client uses elsewhere in the program.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    // Without redirects: a token is for one address.
    let plain = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build()?;
    let mut http = ServiceBuilder::new().layer(SignInLayer::new(credentials)).service(plain.clone());
    let hello = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"example","version":"1"}}}"#;
    let request = plain
        .post(&server)
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .body(hello)
        .build()?;
    let answer = http.ready().await?.call(request).await?;
    println!("ANSWER {}", answer.text().await?.replace('\n', " "));
    Ok(())
}
