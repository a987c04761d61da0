//! A sub-agent: exchanges the access token that an agent hands it for a narrower one, and calls the MCP server with that. Its own
//! secret and the agent's token are lines of standard input, where no list of processes shows them.
//!
//!     cargo run --example sub_agent https://mcp.example/mcp researcher read

#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a program of somebody else")]

use hallpass_client::{
    driver::{Client, ExchangeOptions, Settings},
    machine::{MachineAuth, MachineClient},
    storage::Store,
};
use hallpass_core::{scope::Scope, secret::SecretString};
use hallpass_fetch::Fetch;
use std::{error::Error, io::BufRead as _};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    let mut word = |what: &'static str| words.next().ok_or(what);
    let (server, client_id, scope) = (word("the server's URL")?, word("a client id")?, word("a scope")?);
    let mut lines = std::io::stdin().lock().lines();
    let mut line = || lines.next().and_then(Result::ok).map(SecretString::new).ok_or("two lines of input");
    let (secret, subject_token) = (line()?, line()?);

    // The folder stays as it is: nothing of an exchange is kept.
    let fetch = Fetch::new(hallpass_fetch::Settings::default())?;
    let client = Client::new(fetch, Store::new(std::env::temp_dir()), Settings::default());
    let options = ExchangeOptions {
        client: MachineClient { client_id, auth: MachineAuth::Secret(secret) },
        subject_token,
        scope: Scope::parse(&scope)?,
        issuer: None,
    };
    let narrower = client.exchange(&server, &options).await?;
    println!("GRANTED {}", narrower.scope);

    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build()?;
    let hello = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"example","version":"1"}}}"#;
    let request =
        http.post(&server).bearer_auth(narrower.token.expose()).header("content-type", "application/json");
    let answer = request.header("accept", "application/json, text/event-stream").body(hello).send().await?;
    println!("ANSWER {}", answer.text().await?.replace('\n', " "));
    Ok(())
}
