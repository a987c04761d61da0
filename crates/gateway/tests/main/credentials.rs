//! How hallpass is known to the servers behind it: by what the operator or the person gave, never by what a client sends.

use crate::support::{PING, world_with};
use hallpass_core::secret::SecretString;
use hallpass_gateway::{SecretHeader, UpstreamCredential};

fn header(name: &str, value: &str) -> UpstreamCredential {
    UpstreamCredential::Header(SecretHeader::new(name, &SecretString::new(value)).unwrap())
}

#[tokio::test]
async fn rs_044_rs_067_a_secret_of_the_operator_goes_to_the_server_alone_and_none_of_the_client() {
    for name in ["X-Api-Key", "Authorization", "Cookie"] {
        let world = world_with("echo", |config| {
            config.servers[0].upstream_credential = Some(header(name, "canary of the operator"));
        })
        .await;
        let spellings = [name.to_owned(), name.to_uppercase(), name.to_lowercase(), name.replace('-', "_")];
        let clients = spellings.iter().filter(|name| !name.eq_ignore_ascii_case("authorization"));
        let clients: Vec<_> = clients.map(|name| (&**name, "canary of the client")).collect();
        let answer = world.post(PING, &clients).await;
        assert_eq!(answer.seen(&name.to_lowercase()), ["canary of the operator"], "{}", answer.text);
        assert!(!answer.text.contains("canary of the client"), "{}", answer.text);
    }
}

#[tokio::test]
async fn rs_061_a_server_that_refuses_the_secret_tells_the_client_nothing_of_it() {
    let world = world_with("unauthorized", |config| {
        config.servers[0].upstream_credential = Some(header("Authorization", "Bearer canary"));
    })
    .await;
    let answer = world.post(PING, &[]).await;
    assert_eq!(answer.status, 502);
    assert!(!answer.text.contains("canary") && !format!("{:?}", answer.headers).contains("canary"));
}

#[cfg(unix)]
#[tokio::test]
#[should_panic(expected = "Credential(\"mcp\")")]
async fn rs_061_a_header_for_a_server_on_stdio_is_refused_at_start() {
    world_with("echo", |config| {
        config.servers[0].upstream = hallpass_gateway::Upstream::Stdio(crate::support::script("cat"));
        config.servers[0].upstream_credential = Some(header("X-Api-Key", "canary"));
    })
    .await;
}
