//! The body is the truth, has one reading, and is written anew.

use crate::support::{PING, world};

const V26: (&str, &str) = ("mcp-protocol-version", "2026-07-28");

fn call(name: &str, version: bool) -> String {
    let meta =
        if version { r#","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}"# } else { "" };
    format!(r#"{{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{{"name":"{name}"{meta}}}}}"#)
}

#[tokio::test]
async fn rs_049_b_37_t_76_two_readings_are_none() {
    let world = world("echo").await;
    for (body, code) in [
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call"}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","Method":"tools/call"}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","Name":"b"}}"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","name":"b"}}"#, -32600),
        (
            r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"a","arguments":{"x":1,"x":2}}}"#,
            -32600,
        ),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","param\u017f":{}}"#, -32600),
        (r#"["2.0",1,"tools/call",["danger"]]"#, -32600),
        (r#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":["danger"]}"#, -32602),
        ("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"} {}", -32700),
        ("\u{feff}{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}", -32700),
        ("", -32700),
        ("garbage", -32700),
    ] {
        let answer = world.post(body, &[]).await;
        assert_eq!((answer.status, answer.json()["error"]["code"].as_i64()), (400, Some(code)), "{body}");
    }
    assert_eq!(world.upstream.asked(), 0);
}

#[tokio::test]
async fn rs_050_t_77_batches_are_refused() {
    let world = world("echo").await;
    for more in [&[][..], &[("mcp-protocol-version", "2025-03-26")]] {
        let answer = world.post(&format!("[{PING},{}]", call("danger", false)), more).await;
        assert_eq!(answer.status, 400);
    }
    assert_eq!(world.upstream.asked(), 0);
}

#[tokio::test]
async fn b_37_t_76_what_is_sent_on_is_written_from_what_was_read() {
    let world = world("echo").await;
    let sent = "{ \"extra\":[1], \"\\u006dethod\" : \"tools/call\",\n\"params\":{ \"name\":\"a\", \"arguments\":{\"n\":1e2, \"s\":\"\\u00e9\"} }, \"id\":\"x\", \"jsonrpc\":\"2.0\"}";
    let answer = world.post(sent, &[]).await;
    assert_eq!(
        answer.json()["body"],
        r#"{"jsonrpc":"2.0","id":"x","method":"tools/call","params":{"name":"a","arguments":{"n":1e2,"s":"\u00e9"}}}"#
    );
    assert_eq!(answer.seen("content-length").len(), 1);
}

#[tokio::test]
async fn rs_051_b_37_t_75_lying_headers_are_refused() {
    let world = world("echo").await;
    let body = call("a", true);
    let good = [V26, ("mcp-method", "tools/call"), ("mcp-name", "a")];
    assert_eq!(world.post(&body, &good).await.status, 200);
    for more in [
        &[][..],
        &[V26],
        &[V26, ("mcp-method", "tools/call")],
        &[V26, ("mcp-method", "ping"), ("mcp-name", "a")],
        &[V26, ("mcp-method", "Tools/Call"), ("mcp-name", "a")],
        &[V26, ("mcp-method", "tools/call"), ("mcp-name", "b")],
        &[V26, ("mcp-method", "tools/call"), ("mcp-name", "a"), ("mcp-name", "b")],
        &[V26, ("mcp-method", "tools/call"), ("mcp-name", "=?base64?Yg==?=")],
        &[V26, ("mcp-method", "tools/call"), ("mcp-name", "=?base64?%%?=")],
        &[V26, ("mcp-method", "tools/call"), ("mcp-name", "\u{e9}")],
        &[("mcp-protocol-version", "2025-11-25"), ("mcp-method", "tools/call"), ("mcp-name", "a")],
    ] {
        let answer = world.post(&body, more).await;
        assert_eq!((answer.status, answer.json()["error"]["code"].as_i64()), (400, Some(-32020)), "{more:?}");
        assert_eq!(answer.json()["id"], 7);
    }
    // No mismatch, but a message without what it must have.
    let answer = world.post(&call("a", false), &good).await;
    assert_eq!((answer.status, answer.json()["error"]["code"].as_i64()), (400, Some(-32602)));
    assert_eq!(answer.json()["id"], 7);
    assert_eq!(world.upstream.asked(), 1);
}

#[tokio::test]
async fn rs_052_t_75_in_older_revisions_the_headers_go_nowhere() {
    let world = world("echo").await;
    let lies = [
        ("mcp-protocol-version", "2025-11-25"),
        ("mcp-method", "ping"),
        ("mcp-name", "safe"),
        ("mcp-param-x", "y"),
    ];
    let answer = world.post(&call("danger", false), &lies).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.seen("mcp-protocol-version"), ["2025-11-25"]);
    for name in ["mcp-method", "mcp-name", "mcp-param-x"] {
        assert!(answer.seen(name).is_empty(), "{name}");
    }
}

#[tokio::test]
async fn rs_051_rs_063_the_mirror_is_written_by_us_and_parameters_pass_untouched() {
    let world = world("echo").await;
    let body = call("größe", true)
        .replace(r#""name""#, r#""arguments":{"region":"us-west1","in":{"x":"a"}},"name""#);
    let more = [
        V26,
        ("mcp-method", "tools/call"),
        ("mcp-name", "=?base64?Z3LDtsOfZQ==?="),
        ("mcp-param-region", "us-west1"),
        ("mcp-param-x", "=?base64?YQ==?="),
    ];
    let answer = world.post(&body, &more).await;
    assert_eq!(answer.seen("mcp-method"), ["tools/call"]);
    assert_eq!(answer.seen("mcp-name"), ["=?base64?Z3LDtsOfZQ==?="]);
    assert_eq!(answer.seen("mcp-param-region"), ["us-west1"]);
    assert_eq!(answer.seen("mcp-param-x"), ["=?base64?YQ==?="]);
    assert!(
        answer.seen("authorization").is_empty() && !answer.text.contains("eyJ"),
        "a secret is mirrored nowhere"
    );
}

#[tokio::test]
async fn rs_051_t_75_a_header_for_a_parameter_that_no_argument_has_is_refused() {
    let world = world("echo").await;
    let body = call("a", true).replace(r#""name""#, r#""arguments":{"region":"truth","n":42},"name""#);
    let ask = async |parameters: &[(&str, &str)], body: &str| {
        let more = [&[V26, ("mcp-method", "tools/call"), ("mcp-name", "a")], parameters].concat();
        world.post(body, &more).await
    };
    let good = ask(&[("mcp-param-region", "truth"), ("Mcp-Param-Count", "42.0")], &body).await;
    assert_eq!((good.status, good.seen("mcp-param-region")), (200, vec!["truth".to_owned()]));
    for lies in [
        &[("mcp-param-region", "LIE")][..],
        &[("MCP-PARAM-REGION", "LIE")],
        &[("mcp-param-region", "Truth")],
        &[("mcp-param-region", "=?base64?TElF?=")],
        &[("mcp-param-region", "=?base64?%%?=")],
        &[("mcp-param-region", "\u{e9}")],
        &[("mcp-param-region", "truth"), ("mcp-param-region", "truth")],
        &[("mcp-param-region", "truth"), ("mcp-param-region", "LIE")],
        &[("mcp-param-region", "truth"), ("mcp-param-other", "LIE")],
    ] {
        let answer = ask(lies, &body).await;
        assert_eq!((answer.status, answer.json()["error"]["code"].as_i64()), (400, Some(-32020)), "{lies:?}");
        assert_eq!(answer.json()["id"], 7);
    }
    assert_eq!(world.upstream.asked(), 1);
    // Where there is no message to compare with, there is none to speak of.
    for (method, body) in [("GET", ""), ("DELETE", ""), ("POST", r#"{"jsonrpc":"2.0","id":1,"result":{}}"#)] {
        let answer = world.ask(world.request(method, body, &[V26, ("mcp-param-region", "LIE")])).await;
        assert!(answer.status == 200 && answer.seen("mcp-param-region").is_empty(), "{method}");
    }
}

#[tokio::test]
async fn rs_065_limits() {
    let world = world("echo").await;
    let long =
        format!(r#"{{"jsonrpc":"2.0","id":1,"method":"ping","params":{{"x":"{}"}}}}"#, "a".repeat(10_000));
    assert_eq!(world.post(&long, &[]).await.status, 413);
    assert_eq!(
        world.post(PING, &[("content-length", "20000000")]).await.status,
        413,
        "before a byte is read"
    );
    let deep = format!(
        r#"{{"jsonrpc":"2.0","id":1,"method":"ping","params":{{"x":{}{}}}}}"#,
        "[".repeat(100),
        "]".repeat(100)
    );
    assert_eq!(world.post(&deep, &[]).await.status, 400);
    for (name, value, status) in [
        ("content-type", "text/plain", 415),
        ("content-type", "application/json; charset=utf-16", 415),
        ("content-encoding", "gzip", 415),
        ("content-type", "application/json; charset=utf-8", 200),
    ] {
        assert_eq!(world.post(PING, &[(name, value)]).await.status, status, "{name}: {value}");
    }
    let answer = world.ask(world.request("PUT", "", &[])).await;
    assert_eq!((answer.status, answer.header("allow")), (405, "GET, POST, DELETE, OPTIONS"));
    assert_eq!(world.upstream.asked(), 1);
}

#[tokio::test]
async fn rs_051_only_the_server_says_that_it_does_not_know_an_unknown_revision() {
    let world = world("echo").await;
    let body = call("a", true).replace("2026-07-28", "v999.0.0");
    let version = ("mcp-protocol-version", "v999.0.0");
    let answer = world.post(&body, &[version, ("mcp-param-region", "us-west1")]).await;
    assert_eq!(answer.seen("mcp-protocol-version"), ["v999.0.0"]);
    // A server that compares them would else complain of headers that the client sent.
    assert_eq!(answer.seen("mcp-method"), ["tools/call"]);
    assert_eq!(answer.seen("mcp-name"), ["a"]);
    assert!(answer.seen("mcp-param-region").is_empty(), "it was compared with nothing");
    let answer = world.post(&call("a", false), &[("mcp-protocol-version", "2025-11-25")]).await;
    assert!(answer.seen("mcp-method").is_empty() && answer.seen("mcp-name").is_empty());
}

#[tokio::test]
async fn rs_055_t_83_what_the_newest_revision_has_no_more_is_refused_as_there_is_no_such_method() {
    let world = world("echo").await;
    let ask = async |method: &str, declared: &str| {
        let body = format!(
            r#"{{"jsonrpc":"2.0","id":7,"method":"{method}","params":{{"taskId":"t","uri":"a:b","_meta":{{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{declared}}}}}}}"#
        );
        let answer = world.post(&body, &[V26, ("mcp-method", method), ("mcp-name", "t")]).await;
        let error = answer.json()["error"].clone();
        (answer.status, error["code"].as_i64(), error["data"].to_string())
    };
    for method in ["resources/subscribe", "resources/unsubscribe", "tasks/list", "tasks/result"] {
        let (status, code, _) = ask(method, "{}").await;
        assert_eq!((status, code), (404, Some(-32601)), "{method}");
    }
    // Nobody's task: who did not say that it knows tasks hears of that first, as from a server alone (SEP-2663).
    let tasks = r#"{"extensions":{"io.modelcontextprotocol/tasks":{}}}"#;
    let (status, code, data) = ask("tasks/get", "{}").await;
    assert_eq!((status, code), (400, Some(-32021)));
    assert_eq!(data, format!(r#"{{"requiredCapabilities":{tasks}}}"#));
    assert_eq!(ask("tasks/get", tasks).await.1, Some(-32602));
    assert_eq!(world.upstream.asked(), 0, "the server hears of none");
    let older = r#"{"jsonrpc":"2.0","id":7,"method":"resources/subscribe","params":{"uri":"a:b"}}"#;
    assert_eq!(world.post(older, &[("mcp-protocol-version", "2025-11-25")]).await.status, 200);
}
