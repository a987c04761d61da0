//! What the honest server would answer, and what a case makes of it. Everything follows from the case's number.

use super::network::HOST;
use hallpass_core::parameters::{Limits, Parameters, append_to};
use serde_json::{Map, Value, json};

/// Ports of this machine that nobody may be sent to. Both are beyond those that systems give out by themselves.
pub(super) const TRAPS: [(&str, u16); 2] = [("127.0.0.1", 28_651), ("::1", 28_651)];

/// Where hostile documents would like to send the client, or its browser.
const PLACES: [&str; 44] = [
    "http://127.0.0.1:28651/",
    "https://127.0.0.1:28651/",
    "https://localhost:28651/x",
    "http://localhost:28651/x",
    "https://[::1]:28651/",
    "https://[::ffff:127.0.0.1]:28651/",
    "https://2130706433:28651/",
    "https://0x7f.1:28651/",
    "https://0177.0.0.1:28651/",
    "https://127.1:28651/",
    "https://dev.internal@127.0.0.1:28651/",
    "https://name:word@user.public.example/",
    "https://service.localhost:28651/",
    "https://10.0.0.1/",
    "https://192.168.0.1/admin",
    "https://169.254.169.254/latest/meta-data/",
    "http://169.254.169.254/latest/meta-data/",
    "https://metadata.google.internal/",
    "https://printer.local/",
    "https://router/",
    "https://db.corp/",
    "https://[fe80::1]/",
    "https://[fd00::1]/",
    "http://plain.public.invalid/",
    "https://public.example/",
    "https://public.example:22/",
    "https://other.public.example/token",
    "javascript:fetch('http://127.0.0.1:28651/')",
    "data:text/html,<script>alert(1)</script>",
    "file:///etc/passwd",
    "vbscript:msgbox(1)",
    "ftp://127.0.0.1:28651/",
    "ws://127.0.0.1:28651/",
    "smb://127.0.0.1:28651/share",
    "cursor://anysphere.cursor-mcp/oauth",
    "\\\\127.0.0.1\\share",
    "//public.example/x",
    "/relative",
    "-v",
    "--help",
    "https://public.example/$(reboot)",
    "https://public.example/\";calc.exe;\"",
    "https://public.example/\r\nHost: 127.0.0.1",
    "https://public.example/\u{202e}gpj.exe",
];

/// Values that are of no type that is expected.
const ODD: [&str; 14] = [
    "null",
    "true",
    "0",
    "-1",
    "1e400",
    "18446744073709551616",
    "\"\"",
    "[]",
    "{}",
    "[null]",
    "[[\"S256\"]]",
    "\"\\u0000\\u001b[2J\\u202e\"",
    "{\"a\":{\"b\":[1,2,{}]}}",
    "[\"https://public.example/\",\"https://127.0.0.1:28651/\"]",
];

/// A request as the server saw it.
pub(super) struct Asked<'a> {
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    pub(super) authorized: bool,
    pub(super) port: u16,
}

/// One hostile server.
#[derive(Clone, Copy, Debug)]
pub(super) struct Case {
    pub(super) number: u64,
}

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(end).unwrap().max(1)).unwrap()
    }

    fn pick<'a>(&mut self, list: &[&'a str]) -> &'a str {
        list[self.below(list.len())]
    }
}

impl Case {
    /// Whose turn it is by the path, in which the number stands as `/cN`.
    pub(super) fn of(path: &str) -> Option<Self> {
        let number = path.split(['/', '?']).find_map(|part| part.strip_prefix('c')?.parse().ok())?;
        Some(Self { number })
    }

    pub(super) fn server(self, port: u16) -> String {
        format!("https://{HOST}:{port}/c{}/mcp", self.number)
    }

    /// Which answer is changed. Some of the last need all before them to be honest.
    fn target(self) -> &'static str {
        const TARGETS: [&str; 9] =
            ["challenge", "resource", "server", "server", "register", "callback", "token", "mcp", "revoke"];
        TARGETS[Dice(self.number).below(TARGETS.len())]
    }

    /// The bytes of the answer; `None`: never one.
    pub(super) fn answer(self, asked: &Asked<'_>) -> Option<Vec<u8>> {
        let base = format!("https://{HOST}:{}/c{}", asked.port, self.number);
        let (name, status, headers, body) = self.honest(&base, asked);
        let mut dice = Dice(self.number ^ 0x5eed);
        // By and by: a second look at the same place may be answered otherwise.
        if name != self.target() || dice.below(8) == 0 {
            return Some(bytes_of(status, &headers, body.to_string().as_bytes()));
        }
        changed(&mut dice, status, &headers, body)
    }

    fn honest(self, base: &str, asked: &Asked<'_>) -> (&'static str, u16, String, Value) {
        let json_type = || "content-type: application/json\r\n".to_owned();
        let path = asked.path;
        if path.contains("oauth-protected-resource") {
            let body = json!({ "resource": format!("{base}/mcp"), "authorization_servers": [base], "scopes_supported": ["read"], "resource_name": "Notes" });
            return ("resource", 200, json_type(), body);
        }
        if path.contains("oauth-authorization-server") || path.contains("openid-configuration") {
            return ("server", 200, json_type(), metadata(base));
        }
        if path.ends_with("/register") {
            let body = json!({ "client_id": "c", "client_secret": "s", "client_secret_expires_at": 0, "token_endpoint_auth_method": "client_secret_post", "redirect_uris": ["http://127.0.0.1/callback"] });
            return ("register", 201, json_type(), body);
        }
        if path.ends_with("/token") {
            let body = json!({ "access_token": "token-canary", "token_type": "Bearer", "expires_in": 3600, "refresh_token": "refresh-canary", "scope": "read" });
            return ("token", 200, json_type(), body);
        }
        if path.ends_with("/revoke") {
            return ("revoke", 200, json_type(), json!({}));
        }
        if asked.method == "POST" && asked.authorized {
            let body = json!({ "jsonrpc": "2.0", "id": 0, "result": { "protocolVersion": "2025-11-25", "capabilities": {}, "serverInfo": { "name": "t", "version": "1" }, "tools": [] } });
            return ("mcp", 200, json_type(), body);
        }
        let metadata = format!(
            "https://{HOST}:{}/.well-known/oauth-protected-resource/c{}/mcp",
            asked.port, self.number
        );
        let mut dice = Dice(self.number ^ 0xc4a1);
        let challenge = match dice.below(3) {
            _ if self.target() != "challenge" => {
                format!("Bearer resource_metadata=\"{metadata}\", scope=\"read\"")
            }
            0 => format!("Bearer resource_metadata=\"{}\"", quoted(dice.pick(&PLACES))),
            1 => format!("Bearer resource_metadata=\"{metadata}\", scope=\"{}\"", quoted(dice.pick(&ODD))),
            _ => format!(
                "Basic realm=\"{}\", Bearer resource_metadata=\"{metadata}\", resource_metadata=\"{}\"",
                quoted(dice.pick(&ODD)),
                quoted(dice.pick(&PLACES))
            ),
        };
        ("challenge", 401, format!("www-authenticate: {challenge}\r\n"), Value::Null)
    }

    /// Where the person's browser is sent after the page: to the client, with what this case makes of the answer. `None`: it
    /// is not the honest page.
    pub(super) fn callback(self, page: &str) -> Option<String> {
        let (at, query) = page.split_once('?')?;
        let base =
            at.strip_suffix("/authorize").filter(|base| base.ends_with(&format!("/c{}", self.number)))?;
        let query = Parameters::parse(query.as_bytes(), Limits::default()).ok()?;
        let (to, state) = (query.get("redirect_uri")?, query.get("state")?);
        let mut dice = Dice(self.number ^ 0xca11);
        let (hostile, odd) = (dice.pick(&PLACES), dice.pick(&ODD));
        let mut answer = vec![("code", "code-canary"), ("state", state), ("iss", base)];
        if self.target() == "callback" {
            match dice.below(7) {
                0 => answer[2].1 = hostile,
                1 => answer[1].1 = odd,
                2 => answer.push(("code", "other")),
                3 => {
                    answer = vec![
                        ("error", odd),
                        ("error_description", hostile),
                        ("error_uri", hostile),
                        ("state", state),
                        ("iss", base),
                    ];
                }
                4 => {
                    answer = vec![
                        ("error", "access_denied"),
                        ("error_description", "\u{1b}[2J\u{202e}"),
                        ("state", state),
                        ("iss", hostile),
                    ];
                }
                5 => drop(answer.remove(2)),
                _ => answer.push(("next", hostile)),
            }
        }
        Some(append_to(to, answer))
    }
}

fn metadata(base: &str) -> Value {
    json!({
        "issuer": base,
        "authorization_endpoint": format!("{base}/authorize"),
        "token_endpoint": format!("{base}/token"),
        "registration_endpoint": format!("{base}/register"),
        "revocation_endpoint": format!("{base}/revoke"),
        "response_types_supported": ["code"],
        "grant_types_supported": ["authorization_code", "refresh_token"],
        "code_challenge_methods_supported": ["S256"],
        "token_endpoint_auth_methods_supported": ["none", "client_secret_post"],
        "authorization_response_iss_parameter_supported": true,
        "scopes_supported": ["read", "offline_access"],
    })
}

/// One to three changes of a document, then perhaps of its bytes, then perhaps of the answer around it.
fn changed(dice: &mut Dice, status: u16, headers: &str, body: Value) -> Option<Vec<u8>> {
    let mut members = if let Value::Object(members) = body { members } else { Map::new() };
    for _ in 0..=dice.below(3) {
        let names: Vec<String> = members.keys().cloned().collect();
        let name = names.get(dice.below(names.len())).cloned().unwrap_or_else(|| "issuer".to_owned());
        let value = match dice.below(6) {
            0 => {
                members.remove(&name);
                continue;
            }
            1 => serde_json::from_str(dice.pick(&ODD)).unwrap_or(Value::Null),
            2 => json!("A".repeat(1 << dice.below(18))),
            3 => json!([dice.pick(&PLACES), dice.pick(&PLACES)]),
            _ => json!(dice.pick(&PLACES)),
        };
        members.insert(name, value);
    }
    let mut bytes = Value::Object(members).to_string().into_bytes();
    match dice.below(24) {
        0 => bytes.truncate(dice.below(bytes.len())),
        1 => {
            let at = dice.below(bytes.len());
            bytes[at] = u8::try_from(dice.below(256)).unwrap();
        }
        2 => bytes = vec![b'['; 1 << dice.below(17)],
        3 => bytes
            .splice(1..1, br#""issuer":"https://public.example/","issuer":null,"#.iter().copied())
            .for_each(drop),
        4 => bytes = b"<html><script>alert(1)</script>".to_vec(),
        _ => {}
    }
    let headers = match dice.below(32) {
        0 => "content-type: text/html\r\n".to_owned(),
        1 => {
            format!("{headers}set-cookie: a=b; domain={HOST}\r\nrefresh: 0; url=https://public.example/\r\n")
        }
        _ => headers.to_owned(),
    };
    let (status, headers) = match dice.below(16) {
        0 => (
            [301, 302, 303, 307, 308][dice.below(5)],
            format!("{headers}location: {}\r\n", quoted(dice.pick(&PLACES))),
        ),
        1 => (
            [204, 400, 401, 403, 404, 418, 429, 500, 503][dice.below(9)],
            format!("{headers}retry-after: 0\r\n"),
        ),
        _ => (status, headers),
    };
    // Few: each takes the time until it is given up.
    (dice.below(400) != 0).then(|| bytes_of(status, &headers, &bytes))
}

/// As it may stand in a header.
fn quoted(text: &str) -> String {
    text.chars().filter(|letter| letter.is_ascii_graphic() && *letter != '"').collect()
}

fn bytes_of(status: u16, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\n{headers}\r\n", body.len());
    [head.as_bytes(), body].concat()
}
