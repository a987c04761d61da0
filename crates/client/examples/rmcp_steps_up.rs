//! The OAuth client of the SDK for Rust, unmodified and without anything of ours: it calls tools one after the other at a server,
//! and asks for more scopes whenever one is refused for want of them. For the tests of our server.
//!
//! It prints `OPEN number url` when a person has to open something and reads the address where that ended from standard input,
//! and prints `HAD scopes` after each call.

#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a program of somebody else")]

use rmcp::{
    RoleClient, ServiceExt as _,
    model::CallToolRequestParams,
    service::{RunningService, ServiceError},
    transport::{
        StreamableHttpClientTransport,
        auth::{AuthClient, AuthorizationCallback, AuthorizationRequest, OAuthState, WWWAuthenticateParams},
        streamable_http_client::StreamableHttpClientTransportConfig,
    },
};
use serde_json::{Map, Value};
use std::{error::Error, io::BufRead as _};

type Outcome<T> = Result<T, Box<dyn Error>>;

const REDIRECT: &str = "http://127.0.0.1:49152/callback";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Outcome<()> {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut words = std::env::args().skip(1);
    let (server, calls) = (words.next().ok_or("the server's URL")?, words.next().ok_or("calls as JSON")?);
    let calls: Vec<(String, Map<String, Value>)> = serde_json::from_str(&calls)?;
    let mut person = Person(0);
    let mut state = OAuthState::new(&server, None).await?;
    let request = AuthorizationRequest::new(REDIRECT).with_client_name("rmcp").with_initial_scope_selection();
    state.start_authorization(request).await?;
    let answer = person.answers(&state.get_authorization_url().await?)?;
    state.handle_callback_url(&answer).await?;
    let manager = state.into_authorization_manager().ok_or("not signed in")?;
    let http = AuthClient::new(reqwest::Client::new(), manager);
    let config = StreamableHttpClientTransportConfig::with_uri(server.as_str());
    let mcp = ().serve(StreamableHttpClientTransport::with_client(http.clone(), config)).await?;
    for (tool, given) in calls {
        let call = CallToolRequestParams::new(tool).with_arguments(given);
        if let Err(refused) = answered(&mcp, call.clone()).await? {
            step_up(&http, &server, (&refused, &mut person)).await?;
            answered(&mcp, call).await?.map_err(|again| format!("refused again: {again}"))?;
        }
        println!("HAD {}", http.auth_manager.lock().await.get_current_scopes().await.join(" "));
    }
    mcp.cancel().await?;
    Ok(())
}

/// Whether the tool was called, or the challenge by which the server refused.
async fn answered(
    mcp: &RunningService<RoleClient, ()>,
    call: CallToolRequestParams,
) -> Outcome<Result<(), String>> {
    match mcp.call_tool(call).await {
        Ok(result) if result.is_error != Some(true) => Ok(Ok(())),
        Ok(result) => Err(format!("{result:?}").into()),
        Err(error @ ServiceError::TransportSend(_)) => match error.auth_challenge() {
            Some(challenge) => Ok(Err(challenge.to_owned())),
            None => Err(error.into()),
        },
        Err(error) => Err(error.into()),
    }
}

/// What the SDK leaves to its caller: the scopes out of the challenge go to its manager, which asks for them beside those it had.
async fn step_up(
    http: &AuthClient<reqwest::Client>,
    server: &str,
    (challenge, person): (&str, &mut Person),
) -> Outcome<()> {
    let challenge = WWWAuthenticateParams::parse(challenge, &server.parse()?);
    if !challenge.is_insufficient_scope() {
        return Err("refused for something else".into());
    }
    let manager = http.auth_manager.lock().await;
    let page = manager.request_scope_upgrade(&challenge.scope.ok_or("no scope is named")?).await?;
    let answer = AuthorizationCallback::from_redirect_url(&person.answers(&page)?)?;
    let issuer = answer.issuer.as_deref();
    manager.exchange_code_for_token_with_issuer(&answer.code, &answer.csrf_token, issuer).await?;
    Ok(())
}

/// Whoever opens pages, and how many it were.
struct Person(u32);

impl Person {
    fn answers(&mut self, page: &str) -> Outcome<String> {
        self.0 += 1;
        println!("OPEN {} {page}", self.0);
        let mut line = String::new();
        std::io::stdin().lock().read_line(&mut line)?;
        Ok(line.trim().to_owned())
    }
}
