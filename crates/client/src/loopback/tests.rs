//! The listener among scanners, other sign-ins and hostile pages.
use super::*;
use std::net::TcpStream as Blocking;
use tokio::io::AsyncReadExt as _;

async fn send(port: u16, request: String) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer).await;
    answer
}

async fn get(port: u16, target: &str) -> String {
    send(port, format!("GET {target} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n")).await
}

/// Waits for `state=good` and answers everything else as the driver does.
fn wait(listener: Listener) -> tokio::task::JoinHandle<String> {
    tokio::spawn(async move {
        let judge = |arrived: Arrived| {
            if arrived.query.contains("state=good") {
                let query = arrived.query.clone();
                arrived.answer(Page::accepted("tool", "https://mcp.example"));
                Some(query)
            } else {
                arrived.answer(Page::unrelated());
                None
            }
        };
        listener.wait(judge).await
    })
}

#[tokio::test]
async fn cl_043_noise_is_refused_and_does_not_end_the_wait() {
    let listener = Listener::bind(None).await.unwrap();
    let port = listener.port;
    let waiting = wait(listener);
    for target in [
        "/",
        "/favicon.ico",
        "/callback/",
        "/callbackx?state=good",
        "/CALLBACK?state=good",
        "/callback%2f?state=good",
        "//callback?state=good",
        "/x/../callback?state=good",
        "http://127.0.0.1/callback?state=good",
    ] {
        assert!(get(port, target).await.starts_with("HTTP/1.1 404"), "{target}");
    }
    for method in ["POST", "HEAD", "OPTIONS", "PUT", "get"] {
        let answer =
            send(port, format!("{method} /callback?state=good HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n"))
                .await;
        assert!(answer.starts_with("HTTP/1.1 405"), "{method}");
    }
    for junk in [
        "\r\n\r\n".to_owned(),
        "\u{16}\u{3}\u{1}\r\n\r\n".to_owned(),
        format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(20_000)),
    ] {
        let _ = send(port, junk).await;
    }
    let _silent = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    assert!(get(port, "/callback?state=wrong&code=x").await.starts_with("HTTP/1.1 400"));
    assert!(!waiting.is_finished());
    let answer = get(port, "/callback?code=abc&state=good").await;
    assert!(
        answer.starts_with("HTTP/1.1 200")
            && answer.contains("tool")
            && answer.contains("https://mcp.example")
    );
    assert!(answer.contains("You can close this window"));
    assert_eq!(waiting.await.unwrap(), "code=abc&state=good");
}

/// Whatever a link says, the browser stays where it is and is shown nothing of it.
#[tokio::test]
async fn cl_051_the_listener_sends_no_browser_anywhere() {
    let listener = Listener::bind(None).await.unwrap();
    let port = listener.port;
    let waiting = wait(listener);
    let evil = "https%3A%2F%2Fevil.example%2F";
    let mut targets = vec![
        "//evil.example/callback".to_owned(),
        "/\\evil.example".to_owned(),
        "https://evil.example/".to_owned(),
        format!("/callback?error=access_denied&error_uri={evil}&error_description={evil}"),
        format!("/callback?{evil}"),
    ];
    for name in ["redirect_uri", "next", "url", "return_to", "continue", "iss", "state", "code"] {
        targets.push(format!("/?{name}={evil}"));
        targets.push(format!("/callback?{name}={evil}"));
        targets.push(format!("/callback?{name}=//evil.example"));
    }
    targets.push(format!("/callback?state=good&code=x&redirect_uri={evil}"));
    for target in targets {
        let answer = get(port, &target).await.to_ascii_lowercase();
        assert!(["200", "400", "404"].contains(&&answer[9..12]), "{target}: {answer}");
        for way in ["\r\nlocation:", "\r\nrefresh:", "http-equiv", "evil.example", "<script", "<a "] {
            assert!(!answer.contains(way), "{target}: {way}");
        }
    }
    waiting.await.unwrap();
}

#[tokio::test]
async fn cl_043_t_53_the_host_header_must_be_this_machine() {
    let listener = Listener::bind(None).await.unwrap();
    let port = listener.port;
    let waiting = wait(listener);
    let target = "GET /callback?state=good HTTP/1.1\r\n";
    for hosts in [
        String::new(),
        format!("Host: evil.example:{port}\r\n"),
        "Host: 127.0.0.1\r\n".into(),
        "Host: 127.0.0.1:1\r\n".into(),
        format!("Host: 127.0.0.1.evil.example:{port}\r\n"),
        format!("Host: 127.0.0.1:{port}\r\nHost: evil.example\r\n"),
    ] {
        assert!(send(port, format!("{target}{hosts}\r\n")).await.starts_with("HTTP/1.1 404"), "{hosts}");
    }
    assert!(!waiting.is_finished());
    assert!(send(port, format!("{target}Host: localhost:{port}\r\n\r\n")).await.starts_with("HTTP/1.1 200"));
    waiting.await.unwrap();
}

#[tokio::test]
async fn cl_042_t_65_only_loopback_only_for_the_flow() {
    let listener = Listener::bind(None).await.unwrap();
    let port = listener.port;
    assert_eq!(listener.tcp.local_addr().unwrap().ip(), Ipv4Addr::LOCALHOST);
    assert_eq!(listener.redirect_uri(), format!("http://127.0.0.1:{port}/callback"));
    let waiting = wait(listener);
    get(port, "/callback?state=good").await;
    waiting.await.unwrap();
    // Finished: a second callback finds nobody (CL-050).
    assert!(Blocking::connect(("127.0.0.1", port)).is_err());
}

#[tokio::test]
async fn t_65_two_sign_ins_do_not_cross() {
    let (one, two) = (Listener::bind(None).await.unwrap(), Listener::bind(None).await.unwrap());
    assert_ne!(one.port, two.port);
    let (first, second) = (one.port, two.port);
    let (one, two) = (wait(one), wait(two));
    get(first, "/callback?state=good&n=1").await;
    assert_eq!(one.await.unwrap(), "state=good&n=1");
    assert!(!two.is_finished());
    get(second, "/callback?state=good&n=2").await;
    assert_eq!(two.await.unwrap(), "state=good&n=2");
}

#[tokio::test]
async fn p31_a_taken_port_is_replaced_by_a_free_one() {
    let first = Listener::bind(None).await.unwrap();
    let second = Listener::bind(Some(first.port)).await.unwrap();
    assert_ne!(first.port, second.port);
    let port = second.port;
    drop(second);
    assert_eq!(Listener::bind(Some(port)).await.unwrap().port, port);
}

#[tokio::test]
async fn cl_043_many_silent_connections_do_not_block_the_answer() {
    let listener = Listener::bind(None).await.unwrap();
    let port = listener.port;
    let waiting = wait(listener);
    let mut silent = Vec::new();
    for _ in 0..CONNECTIONS - 1 {
        silent.push(TcpStream::connect(("127.0.0.1", port)).await.unwrap());
    }
    assert!(get(port, "/callback?state=good").await.starts_with("HTTP/1.1 200"));
    waiting.await.unwrap();
}
