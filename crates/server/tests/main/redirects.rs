//! Redirect URIs that look like the client's: none of them is, whatever kind the client registered (T-01).

use crate::support::*;
use http::StatusCode;
use serde_json::json;
use std::time::Duration;

/// One way to write a redirect URI wrongly; nothing where it does not apply.
type Miss = (&'static str, fn(&Written) -> Option<String>);

/// A registered redirect URI in its parts, as written.
struct Written {
    whole: String,
    scheme: String,
    host: String,
    port: String,
    path: String,
    query: String,
}

impl Written {
    fn read(text: &str) -> Self {
        let (scheme, rest) = text.split_once("://").unwrap();
        let (rest, query) = rest.split_once('?').map_or((rest, String::new()), |(a, b)| (a, format!("?{b}")));
        let (authority, path) = rest.split_once('/').map_or((rest, ""), |(a, b)| (a, b));
        let after_bracket = authority.rfind(']').unwrap_or(0);
        let colon = authority[after_bracket..].find(':').map(|at| at + after_bracket);
        let (host, port) = colon.map_or((authority, ""), |at| authority.split_at(at));
        Self {
            whole: text.to_owned(),
            scheme: scheme.to_owned(),
            host: host.to_owned(),
            port: port.to_owned(),
            path: format!("/{path}"),
            query,
        }
    }

    fn with(&self, host: &str, path: &str) -> String {
        format!("{}://{host}{}{path}{}", self.scheme, self.port, self.query)
    }

    /// Where the port is the client's own affair (RFC 8252 §7.3).
    fn any_port(&self) -> bool {
        self.scheme == "http"
    }
}

#[rustfmt::skip]
const MISSES: [Miss; 48] = [
    ("user information",       |w| Some(w.with(&format!("user@{}", w.host), &w.path))),
    ("password",               |w| Some(w.with(&format!("a:b@{}", w.host), &w.path))),
    ("the host as user",       |w| Some(format!("{}://{}@evil.example{}", w.scheme, w.host, w.path))),
    ("the host as user, slash",|w| Some(format!("{}://{}%2f@evil.example{}", w.scheme, w.host, w.path))),
    ("backslash and at",       |w| Some(format!("{}://{}\\@evil.example{}", w.scheme, w.host, w.path))),
    ("backslash for slash",    |w| Some(w.with(&w.host, &w.path.replace('/', "\\")))),
    ("backslashes in front",   |w| Some(w.whole.replacen("://", ":\\\\", 1))),
    ("no scheme",              |w| Some(w.whole.replacen(&format!("{}:", w.scheme), "", 1))),
    ("one slash",              |w| Some(w.whole.replacen("://", ":/", 1))),
    ("three slashes",          |w| Some(w.whole.replacen("://", ":///", 1))),
    ("two slashes in the path",|w| Some(w.with(&w.host, &format!("/{}", w.path)))),
    ("slash at the end",       |w| Some(w.with(&w.host, &format!("{}/", w.path)))),
    ("dot segment",            |w| Some(w.with(&w.host, &format!("/.{}", w.path)))),
    ("dot dot segment",        |w| Some(w.with(&w.host, &format!("/x/..{}", w.path)))),
    ("encoded dot segment",    |w| Some(w.with(&w.host, &format!("/%2e{}", w.path)))),
    ("encoded dot dot",        |w| Some(w.with(&w.host, &format!("/x/%2e%2E{}", w.path)))),
    ("encoded slash",          |w| Some(w.with(&w.host, &format!("{}%2f", w.path)))),
    ("encoded letter",         |w| Some(w.with(&w.host, &format!("/%63{}", w.path.get(2..)?)))),
    ("encoded host",           |w| Some(w.with(&format!("%63{}", w.host.get(1..)?), &w.path))),
    ("encoded NUL",            |w| Some(w.with(&w.host, &format!("{}%00", w.path)))),
    ("ideographic full stop",  |w| w.host.contains('.').then(|| w.with(&w.host.replace('.', "。"), &w.path))),
    ("full-width full stop",   |w| w.host.contains('.').then(|| w.with(&w.host.replace('.', "．"), &w.path))),
    ("full-width letters",     |w| Some(w.with(&w.host.replace('e', "ｅ").replace('1', "１").replace('o', "ｏ"), &w.path)).filter(|text| *text != w.whole)),
    ("letter of elsewhere",    |w| Some(w.with(&w.host.replace('e', "е").replace('o', "о"), &w.path)).filter(|text| *text != w.whole)),
    ("tab inside",             |w| Some(w.with(&w.host, &w.path.replacen('/', "/\t", 1)))),
    ("tab in the scheme",      |w| Some(w.whole.replacen(':', "\t:", 1))),
    ("line feed inside",       |w| Some(w.with(&w.host, &w.path.replacen('/', "/\n", 1)))),
    ("carriage return",        |w| Some(format!("{}\r", w.whole))),
    ("blank in front",         |w| Some(format!(" {}", w.whole))),
    ("blank behind",           |w| Some(format!("{} ", w.whole))),
    ("another port",           |w| (!w.any_port()).then(|| format!("{}://{}:8443{}{}", w.scheme, w.host, w.path, w.query))),
    ("the usual port",         |w| (!w.any_port()).then(|| format!("{}://{}:443{}{}", w.scheme, w.host, w.path, w.query))),
    ("a port that is none",    |w| Some(format!("{}://{}:99999{}", w.scheme, w.host, w.path))),
    ("a port and a user",      |w| Some(format!("{}://{}:80@evil.example{}", w.scheme, w.host, w.path))),
    ("host in capitals",       |w| Some(w.with(&w.host.to_uppercase(), &w.path)).filter(|text| *text != w.whole)),
    ("path in capitals",       |w| Some(w.with(&w.host, &w.path.to_uppercase()))),
    ("fragment",               |w| Some(format!("{}#x", w.whole))),
    ("empty fragment",         |w| Some(format!("{}#", w.whole))),
    ("fragment with a host",   |w| Some(format!("{}://evil.example/#{}", w.scheme, w.whole))),
    ("mapped IPv4 in IPv6",    |w| Some(w.with("[::ffff:127.0.0.1]", &w.path))),
    ("long IPv6",              |w| Some(w.with("[0:0:0:0:0:0:0:1%25lo]", &w.path))),
    ("another IPv6",           |w| Some(w.with("[2001:db8::1]", &w.path))),
    ("semicolon",              |w| Some(w.with(&w.host, &format!("{};x", w.path)))),
    ("dot behind the host",    |w| Some(w.with(&format!("{}.", w.host), &w.path))),
    ("host in front of another",|w| Some(w.with(&format!("{}.evil.example", w.host.trim_matches(['[', ']'])), &w.path))),
    ("host behind another",    |w| Some(w.with(&format!("evil{}", w.host.trim_matches(['[', ']'])), &w.path))),
    ("one more parameter",     |w| Some(format!("{}{}x=1", w.whole, if w.query.is_empty() { "?" } else { "&" }))),
    ("another host",           |w| Some(w.with("evil.example", &w.path))),
];

const REGISTERED: [&str; 7] = [
    "https://client.example/callback",
    "https://client.example/callback?tenant=1",
    "https://client.example:8444/callback",
    "http://127.0.0.1:5000/callback",
    "http://localhost/callback",
    "http://[::1]:3000/callback",
    "cursor://anysphere.cursor-mcp/oauth/callback",
];

#[tokio::test]
async fn t_01_as_075_as_076_forty_near_misses_of_every_kind_of_redirect_uri_go_nowhere() {
    let server = Server::start().await;
    let mut browser = server.set_up().await;
    for registered in REGISTERED {
        let own = Written::read(registered);
        let document = format!("https://documents.invalid/{}", own.host.trim_matches(['[', ']', '.']).len());
        let body = json!({ "client_id": document, "client_name": "Client", "redirect_uris": [registered] });
        // Fresh for longer than the test's clock runs: nobody is asked for it anew.
        let mut kept = stored(&document, body.to_string().into_bytes(), server.now());
        kept.fresh_until = server.now().plus(Duration::from_hours(24));
        server.app.store.document_put(kept).await.unwrap();
        for client in [server.register(registered).await, document] {
            let mut tried = 0;
            for (kind, miss) in &MISSES {
                let Some(near) = miss(&own) else { continue };
                assert_ne!(near, registered, "{kind} changes nothing");
                tried += 1;
                let mut request = Server::request(&client);
                request.insert("redirect_uri".into(), near.clone());
                // With a fault that would go to the client, so that no check before this one hides it.
                request.insert("scope".into(), "broken \"".into());
                server.push(1);
                let page = browser.get(&query(&request)).await;
                assert_eq!(page.status, StatusCode::BAD_REQUEST, "{kind}: {near}");
                let led = (page.target(), page.link(), page.header("location"));
                assert_eq!(led, (None, None, ""), "{kind}: {near}");
                assert!(!page.text.contains("evil"), "{kind}: {near}");
            }
            assert!(tried >= 40, "{tried} for {registered}");
            // And the client's own one does go through.
            let mut request = Server::request(&client);
            request.insert("redirect_uri".into(), registered.into());
            assert!(browser.get(&query(&request)).await.hidden("page").is_some(), "{registered}");
        }
    }
}
