//! rmcp's own client, signed in by ours: what the module's example shows, run.
use super::world::*;
use crate::{
    driver::{Client, Credentials, Interaction, LoginOptions, Proofs, Settings},
    rmcp::SignedIn,
};
use hallpass_core::mcp::revision::Revision;
use rmcp::{
    RoleClient, ServiceExt as _,
    model::CallToolRequestParams,
    service::RunningService,
    transport::{StreamableHttpClientTransport, streamable_http_client::StreamableHttpClientTransportConfig},
};
use std::{sync::Arc, time::Duration};

#[allow(clippy::disallowed_methods, reason = "it stands for the HTTP client of somebody else")]
fn plain() -> reqwest::Client {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

async fn serve(world: &World, credentials: Credentials) -> Result<RunningService<RoleClient, ()>, String> {
    let config = StreamableHttpClientTransportConfig::with_uri(world.mcp.as_str());
    let transport = StreamableHttpClientTransport::with_client(SignedIn::new(plain(), credentials), config);
    ().serve(transport).await.map_err(|error| format!("{error:?}"))
}

fn credentials(world: &World, client: &Client, person: Option<Robot>) -> Credentials {
    let person = person.map(|robot| -> Box<dyn Interaction> { Box::new(robot) });
    client.credentials(&world.mcp, LoginOptions::default(), person).unwrap()
}

#[tokio::test]
async fn rmcp_signs_in_when_the_server_asks_and_renews_what_ends() {
    let world = World::new().await;
    let mcp = serve(&world, credentials(&world, &world.client, Some(Robot::default()))).await.unwrap();
    assert!(mcp.list_all_tools().await.unwrap().is_empty());
    assert_eq!(world.asked("/authorize").len(), 1, "one person, asked once");
    // An event stream with a notification before the answer.
    mcp.call_tool(CallToolRequestParams::new("any")).await.unwrap();
    world.clock.push(Duration::from_hours(2));
    world.set(|knobs| knobs.good.clear());
    mcp.list_all_tools().await.unwrap();
    assert_eq!(world.asked("/token").len(), 2);
    mcp.cancel().await.unwrap();
}

#[tokio::test]
async fn rmcp_without_a_person_hears_what_is_missing_and_sees_no_token() {
    let world = World::new().await;
    let error = serve(&world, credentials(&world, &world.client, None)).await.unwrap_err();
    assert!(error.contains("AuthRequired"), "{error}");
    world.login().await.unwrap();
    let mcp = serve(&world, credentials(&world, &world.client, None)).await.unwrap();
    let challenge = "www-authenticate: Bearer error=\"insufficient_scope\", scope=\"admin\"\r\n";
    world.set(|knobs| knobs.instead = vec![("/mcp", 403, challenge.into(), String::new())]);
    let error = mcp.call_tool(CallToolRequestParams::new("any")).await.unwrap_err();
    assert!(format!("{error:?}").contains("admin"), "{error:?}");
    assert!(!format!("{error:?}").contains("access-"));
}

#[tokio::test]
async fn cl_085_cl_086_rmcp_proves_a_key_and_with_the_nonces_that_the_server_wants() {
    let world = World::new().await;
    world.set(|knobs| {
        knobs.bound = true;
        knobs.metadata = vec![("dpop_signing_alg_values_supported", serde_json::json!(["ES256"]))];
    });
    let settings = Settings {
        proofs: Proofs::WhereOffered,
        revision: Some(Revision::V2025_11_25),
        ..Settings::default()
    };
    let client = client(world.folder.path().join("bound"), Arc::clone(&world.clock), settings);
    let mcp = serve(&world, credentials(&world, &client, Some(Robot::default()))).await.unwrap();
    mcp.list_all_tools().await.unwrap();
    let proofs: Vec<String> =
        world.called().iter().filter_map(|seen| seen.headers.get("dpop").cloned()).collect();
    assert!(proofs.len() >= 2);
    assert!(proofs.windows(2).all(|two| two[0] != two[1]), "each request has its own");
    // A server that wants a nonce in them gets the same call with one, and each further call with the newest.
    let wants = |nonce: &str| {
        let challenge = "www-authenticate: DPoP error=\"use_dpop_nonce\"\r\n";
        world.set(|knobs| {
            knobs.instead = vec![("/mcp", 401, format!("{challenge}dpop-nonce: {nonce}\r\n"), String::new())];
            knobs.times.insert("/mcp", 1);
        });
    };
    let (before, tokens) = (world.called().len(), world.asked("/token").len());
    wants("first");
    mcp.list_all_tools().await.unwrap();
    mcp.list_all_tools().await.unwrap();
    wants("second");
    mcp.call_tool(CallToolRequestParams::new("any")).await.unwrap();
    let nonces: Vec<serde_json::Value> =
        world.called()[before..].iter().filter(|seen| seen.method == "POST").map(nonce_of).collect();
    let of = |nonce: &str| serde_json::json!(nonce);
    let expected = [serde_json::Value::Null, of("first"), of("first"), of("first"), of("second")];
    assert_eq!(nonces, expected);
    assert_eq!((world.asked("/token").len(), world.asked("/authorize").len()), (tokens, 1));
}

fn nonce_of(seen: &Seen) -> serde_json::Value {
    let claims = seen.headers["dpop"].split('.').nth(1).unwrap();
    let claims = hallpass_core::encoding::from_base64url(claims).unwrap();
    serde_json::from_slice::<serde_json::Value>(&claims).unwrap()["nonce"].clone()
}
