//! The SDK for Rust, signed in by `hallpass_client::rmcp`: the page to open goes to standard output, and then the names of the
//! server's tools.
//!
//!     cargo run --features rmcp --example rmcp https://mcp.example/mcp FOLDER

#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a program of somebody else")]

use hallpass_client::{
    browser::PageUrl,
    driver::{Client, Interaction, LoginOptions, Settings, WhatFor},
    rmcp::SignedIn,
    storage::Store,
};
use hallpass_fetch::Fetch;
use rmcp::{
    ServiceExt as _,
    transport::{StreamableHttpClientTransport, streamable_http_client::StreamableHttpClientTransportConfig},
};
use std::error::Error;

struct Terminal;

impl Interaction for Terminal {
    fn open(&mut self, page: &PageUrl, _: &WhatFor<'_>) {
        println!("OPEN {}", page.as_str());
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
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
    let config = StreamableHttpClientTransportConfig::with_uri(server.as_str());
    let transport = StreamableHttpClientTransport::with_client(SignedIn::new(plain, credentials), config);
    let mcp = ().serve(transport).await?;
    let names: Vec<String> =
        mcp.list_all_tools().await?.into_iter().map(|tool| tool.name.into_owned()).collect();
    println!("ANSWER {}", names.join(" "));
    mcp.cancel().await?;
    Ok(())
}
