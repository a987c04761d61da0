//! The id: budgets, round trips, forgeries.
use super::*;
use hallpass_core::{entropy::SystemEntropy, seal::MasterKey, secret::SecretBytes};
use std::collections::HashSet;

fn ring(fill: u8) -> KeyRing {
    let master = MasterKey { number: 0, bytes: SecretBytes::new([fill; 32]) };
    KeyRing::new(&[master], &SecretBytes::new([1; 32]), "https://a.example").unwrap()
}

fn registration(name: &str) -> Registration {
    Registration {
        auth: AuthMethod::None,
        refresh: true,
        bound: false,
        native: true,
        pushed_only: false,
        device: false,
        name: name.into(),
        issued_at: Timestamp::from_seconds(1_790_000_000),
        redirects: Redirects::default(),
    }
}

fn uris(texts: &[&str]) -> Vec<RedirectUri> {
    texts.iter().map(|text| RedirectUri::parse(text).unwrap()).collect()
}

fn round_trip(name: &str, texts: &[&str]) -> String {
    let id = issue(&ring(1), &SystemEntropy, &registration(name), &uris(texts));
    let read = read(&ring(1), &id).unwrap();
    for text in texts {
        assert!(read.redirects.check(&ring(1), Some(text)).is_ok(), "{name} {text}");
    }
    assert!(read.redirects.check(&ring(1), Some("https://evil.example/cb")).is_err());
    assert!(name.starts_with(&read.name));
    assert_eq!((read.auth, read.refresh, read.native), (AuthMethod::None, true, true));
    assert_eq!(read.issued_at, registration("").issued_at);
    id
}

#[test]
fn m6_recorded_registrations_stay_within_the_budget() {
    let recorded: [(&str, &[&str]); 8] = [
        ("Claude", &["https://claude.ai/api/mcp/auth_callback"]),
        ("Claude Desktop (x)", &["http://127.0.0.1:53280/callback"]),
        (
            "Visual Studio Code",
            &[
                "https://insiders.vscode.dev/redirect",
                "https://vscode.dev/redirect",
                "http://127.0.0.1/",
                "http://127.0.0.1:33418/",
            ],
        ),
        (
            "Cursor",
            &[
                "cursor://anysphere.cursor-mcp/oauth/callback",
                "https://www.cursor.com/agents/mcp/oauth/callback",
                "http://localhost:8787/callback",
            ],
        ),
        ("ChatGPT", &["https://chatgpt.com/connector/oauth/aBcDeFgHiJkLmNoPqRsTuVwXyZ012345"]),
        (
            "MCP Inspector",
            &["http://localhost:6274/oauth/callback", "http://localhost:6274/oauth/callback/debug"],
        ),
        ("Gemini CLI MCP Client", &["http://localhost:7777/oauth/callback"]),
        (
            "Microsoft Copilot Studio agents",
            &[
                "https://global.consent.azure-apim.net/redirect",
                "https://global.consent.azure-apim.net/redirect/hallpass-5f1b2c3d4e5f6a7b8c9d",
            ],
        ),
    ];
    for (name, texts) in recorded {
        let id = round_trip(name, texts);
        assert!(id.len() <= 160, "{name}: {}", id.len());
    }
    let seven: Vec<String> = (0..7)
        .map(|n| format!("https://a-rather-long-host-{n}.example.com/with/a/long/path/oauth/callback"))
        .collect();
    let seven: Vec<&str> = seven.iter().map(|text| &**text).collect();
    assert!(round_trip("A name of exactly 32 characters.", &seven).len() <= 160);
    let most: Vec<String> =
        (0..MAX_REDIRECTS).map(|n| format!("https://host-{n}.example.com/{}", "x".repeat(2000))).collect();
    let most: Vec<&str> = most.iter().map(|text| &**text).collect();
    assert!(round_trip("A name that is longer than thirty-two bytes", &most).len() <= 255);
}

#[test]
fn a_tag_keeps_the_loopback_rule() {
    let mut texts = vec![
        "http://127.0.0.1:1111/callback/with/a/path/that/is/long/enough/to/become/a/tag/instead/of/a/text",
    ];
    texts.extend(["https://a.example/cb", "https://b.example/cb"]);
    let id = issue(&ring(1), &SystemEntropy, &registration("x"), &uris(&texts));
    let read = read(&ring(1), &id).unwrap();
    assert_eq!(read.redirects.tags.len(), 1);
    let other_port = texts[0].replace("1111", "2222");
    assert!(read.redirects.check(&ring(1), Some(&other_port)).is_ok());
    assert!(read.redirects.check(&ring(1), Some(&texts[0].replace("tag", "tig"))).is_err());
}

#[test]
fn b_28_every_changed_character_voids_an_id() {
    let id = round_trip("x", &["https://a.example/cb"]);
    for at in 0..id.len() {
        for other in ["A", "B", "_", "="] {
            let mut bad = id.clone();
            bad.replace_range(at..=at, other);
            assert!(bad == id || read(&ring(1), &bad).is_none(), "{bad}");
        }
    }
    assert!(read(&ring(2), &id).is_none());
    assert!(
        read(&ring(1), "").is_none()
            && read(&ring(1), PREFIX).is_none()
            && read(&ring(1), &"A".repeat(300)).is_none()
    );
}

#[test]
fn as_035_m7_two_equal_registrations_share_neither_id_nor_secret() {
    let ids: HashSet<String> = (0..1000).map(|_| round_trip("x", &["https://a.example/cb"])).collect();
    assert_eq!(ids.len(), 1000);
    let secrets: HashSet<String> =
        ids.iter().map(|id| secret(&ring(1), id).unwrap().expose().to_owned()).collect();
    assert_eq!(secrets.len(), 1000);
    assert!(
        ids.iter()
            .chain(&secrets)
            .all(|text| text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_')))
    );
}

#[test]
fn golden_id_of_version_1() {
    // Written by the first release and kept by clients for years: must be read for ever.
    let golden = GOLDEN;
    let read = read(&ring(1), golden).unwrap();
    assert_eq!(read.name, "Cursor");
    for text in ["cursor://anysphere.cursor-mcp/oauth/callback", "http://localhost:1/callback"] {
        assert!(read.redirects.check(&ring(1), Some(text)).is_ok());
    }
}

const GOLDEN: &str = "hpc_AQAMarE7gOErpM3ytgZDdXJzb3IhDwM6ODc4Ny9jYWxsYmFjay0AY3Vyc29yOi8vYW55c3BoZXJlLmN1cnNvci1tY3Avb2F1dGgvY2FsbGJhY2ujBoYNWCDLjIkb_DhfkWVpIOYN3A";

#[test]
fn as_195_golden_ids_with_the_flags_that_came_later() {
    // Their MACs were computed from RFC 5869 and RFC 2104 by another program.
    for (golden, pushed_only) in [
        ("hpc_AQAsarE7gAUFBQUFBQVCb3VuZBAJAjo1MDAwL2NiIdHtp_yFsVPqLx0U", false),
        ("hpc_AQA8arE7gAUFBQUFBQVCb3VuZBAJAjo1MDAwL2NiQj9-wmylCW98PZ-v", true),
    ] {
        let asked = Registration { bound: true, pushed_only, ..registration("Bound") };
        assert_eq!(issue(&ring(1), &Fives, &asked, &uris(&["http://127.0.0.1:5000/cb"])), golden);
        let read = read_head(&ring(1), golden).unwrap();
        assert_eq!((read.bound, read.pushed_only), (true, pushed_only));
    }
    let read = read_head(&ring(1), GOLDEN).unwrap();
    assert!(!read.bound && !read.pushed_only);
}

struct Fives;

impl Entropy for Fives {
    fn fill(&self, out: &mut [u8]) {
        out.fill(5);
    }
}

#[test]
fn the_head_says_the_same_as_the_whole() {
    let id = round_trip("x", &["https://a.example/cb", "http://localhost/cb"]);
    let (head, whole) = (read_head(&ring(1), &id).unwrap(), read(&ring(1), &id).unwrap());
    assert_eq!((head.auth, head.refresh, &head.name), (whole.auth, whole.refresh, &whole.name));
    assert!(head.redirects.texts.is_empty() && read_head(&ring(2), &id).is_none());
}
