//! Calls take a short way past the router, on which nothing may be different.

use crate::support::{Answer, PING, World, bare, read, server, world_with};
use hallpass_gateway::Upstream;

async fn world() -> World {
    world_with("echo", |config| {
        let behind = match &config.servers[0].upstream {
            Upstream::Http(behind) => behind.url.clone(),
            Upstream::Stdio(_) => panic!("a server over HTTP"),
        };
        config.servers.push(server("/teams/files-2.x_y~", &behind));
    })
    .await
}

/// Without what differs each time, and what the router says of the length: whoever listens says it otherwise.
fn shown(mut answer: Answer) -> (u16, Vec<(String, Vec<u8>)>, String) {
    assert_eq!(answer.header("x-request-id").len(), if answer.status == 404 { 0 } else { 22 });
    answer.headers.remove("x-request-id");
    answer.headers.remove("content-length");
    let mut headers: Vec<_> =
        answer.headers.iter().map(|(name, value)| (name.to_string(), value.as_bytes().to_vec())).collect();
    headers.sort();
    (answer.status, headers, answer.text)
}

#[tokio::test]
async fn a_call_is_answered_the_same_on_the_short_way() {
    let world = world().await;
    let token = format!("Bearer {}", world.token());
    let mut short = 0;
    for path in [
        "/mcp",
        "/mcp?x=1",
        "/teams/files-2.x_y~",
        "/mcp/",
        "/MCP",
        "/%6dcp",
        "//mcp",
        "/mcp/x",
        "/",
        "/teams",
    ] {
        for method in ["POST", "GET", "DELETE", "OPTIONS", "HEAD", "PUT", "PATCH", "TRACE", "X"] {
            for (token, body) in [(&*token, PING), ("", PING), (&*token, "{"), ("Bearer x", "")] {
                let request = || {
                    let mut more = vec![("origin", "https://page.example"), ("accept", "application/json")];
                    if !token.is_empty() {
                        more.push(("authorization", token));
                    }
                    bare(method, path, body, &more)
                };
                let asked = request();
                short += usize::from(world.calls.find(asked.method(), asked.uri().path()).is_some());
                let one = read(world.send(asked).await).await;
                let other = read(world.by_routes(request()).await).await;
                assert_eq!(shown(one), shown(other), "{method} {path} {token} {body}");
            }
        }
    }
    assert_eq!(short, 3 * 4 * 4, "three targets, four methods, each with four bodies and tokens");
}

#[tokio::test]
async fn only_what_is_a_route_has_a_short_way() {
    let world = world().await;
    let found = |method: &str, path: &str| world.calls.find(&method.parse().unwrap(), path).is_some();
    assert!(found("POST", "/mcp") && found("GET", "/teams/files-2.x_y~"));
    for path in ["", "/", "/mcp/", "/MCP", "/%6dcp", "mcp", "/.well-known/oauth-protected-resource/mcp"] {
        assert!(!found("POST", path), "{path}");
    }
    for method in ["HEAD", "PUT", "CONNECT", "post"] {
        assert!(!found(method, "/mcp"), "{method}");
    }
}
