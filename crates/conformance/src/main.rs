//! The client that the official MCP conformance suite runs, made of the public API of `hallpass-client`.
//!
//! It reads what the suite gives it, signs in where the library says that it is needed, and calls the tools. It knows
//! nothing of OAuth or MCP: what the suite measures is the library.

mod browser;
mod context;
mod tools;

use anyhow::{Context as _, Result, bail};
use browser::Robot;
use context::Context;
use hallpass_client::{
    driver::{Caller, Client, LoginOptions, Proofs, Settings, SignIn},
    storage::Store,
    wire::Incoming,
};
use hallpass_core::mcp::revision::Revision;
use hallpass_fetch::Fetch;
use serde_json::{Value, json};
use std::{io::Write as _, process::ExitCode, time::Duration};

/// The suite's own document; it is never fetched.
const METADATA_DOCUMENT: &str = "https://conformance-test.local/client-metadata.json";
/// The suite does not end a client that hangs.
const PATIENCE: Duration = Duration::from_secs(25);

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let outcome = tokio::time::timeout(PATIENCE, run()).await.unwrap_or_else(|_| bail_late());
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr().lock(), "{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn bail_late() -> Result<()> {
    bail!("{} s were over", PATIENCE.as_secs())
}

async fn run() -> Result<()> {
    let server = std::env::args().next_back().context("the last argument is the server's URL")?;
    let context = Context::read()?;
    let folder = tempfile::tempdir().context("a folder for credentials")?;
    let fetch = Fetch::new(hallpass_fetch::Settings::default())?;
    let settings = Settings {
        name: "hallpass conformance client".to_owned(),
        metadata_document: Some(METADATA_DOCUMENT.to_owned()),
        registered: context.registered(),
        revision: context.revision.as_deref().and_then(Revision::parse),
        proofs: Proofs::WhereOffered,
        ..Settings::default()
    };
    let client = Client::new(fetch.clone(), Store::new(folder.path().to_owned()), settings);
    let mut caller = client.caller(&server, "default")?;
    let (machine, mut robot) = (context.machine()?, Robot::new(fetch));
    let options = LoginOptions { patience: Duration::from_secs(10), ..LoginOptions::default() };
    let mut sign_in = match &machine {
        Some(options) => SignIn::Machine(options),
        None => SignIn::Person { options: &options, interaction: &mut robot },
    };
    let list = call(&mut caller, "tools/list", &json!({}), &mut sign_in).await?;
    let calls = context.tool_calls().unwrap_or_else(|| tools::calls(&list));
    for params in calls {
        call(&mut caller, "tools/call", &params, &mut sign_in).await?;
    }
    caller.close().await;
    Ok(())
}

async fn call(caller: &mut Caller, method: &str, params: &Value, sign_in: &mut SignIn<'_>) -> Result<Value> {
    let messages = caller.call_signing_in(method, params.as_object(), sign_in).await;
    let mut messages = messages.context(method.to_owned())?;
    while let Some(message) = messages.next().await? {
        match message {
            Incoming::Result(result) => return Ok(result),
            Incoming::Error(error) => bail!("{method}: {error}"),
            Incoming::Notification(_) | Incoming::Request { .. } => {}
        }
    }
    bail!("{method}: no answer")
}
