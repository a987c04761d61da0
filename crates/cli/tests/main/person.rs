//! A person with a browser, and a client of theirs, over real HTTP.

use super::http::{self, Answer};
use std::collections::BTreeMap;

pub const REDIRECT: &str = "http://127.0.0.1:5000/callback";
const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

/// Signed in at a server on this machine.
#[derive(Clone)]
pub struct Person {
    port: u16,
    cookies: BTreeMap<String, String>,
}

impl Person {
    /// Makes the first account through the link.
    pub fn set_up(port: u16, link: &str) -> Self {
        let mut person = Self { port, cookies: BTreeMap::new() };
        let path = link.split_once("/setup").map(|(_, rest)| format!("/setup{rest}")).unwrap();
        let page = person.send("GET", &path, &[]).unwrap();
        let (csrf, code) = (page.hidden("csrf"), page.hidden("code"));
        let done = person.send(
            "POST",
            "/setup",
            &[("csrf", &csrf), ("code", &code), ("name", "ada"), ("password", "an analytical engine")],
        );
        assert_eq!(done.unwrap().status, 303);
        person
    }

    /// Chooses a password through a one-time link.
    pub fn invited(port: u16, path: &str, password: &str) -> Self {
        let mut person = Self { port, cookies: BTreeMap::new() };
        let page = person.send("GET", path, &[]).unwrap();
        let (csrf, code) = (page.hidden("csrf"), page.hidden("code"));
        let done =
            person.send("POST", "/invitation", &[("csrf", &csrf), ("code", &code), ("password", password)]);
        assert_eq!(done.unwrap().status, 303);
        person
    }

    /// From here on over another node: the cookies are the same, because the host is.
    pub const fn over(&mut self, port: u16) -> &mut Self {
        self.port = port;
        self
    }

    /// In another browser: signs in with the password; the form comes from one node and goes to another.
    pub fn signed_in(shown_by: u16, answered_by: u16) -> Self {
        let mut person = Self { port: shown_by, cookies: BTreeMap::new() };
        let done = person.try_sign_in(answered_by);
        assert_eq!(done.status, 303, "{done:?}");
        person
    }

    /// In another browser: what comes of signing in.
    pub fn sign_in(port: u16) -> Answer {
        Self { port, cookies: BTreeMap::new() }.try_sign_in(port)
    }

    fn try_sign_in(&mut self, answered_by: u16) -> Answer {
        let page = self.send("GET", "/sign-in", &[]).unwrap();
        let (csrf, waiting) = (page.hidden("csrf"), page.hidden("waiting"));
        let typed = [
            ("csrf", csrf.as_str()),
            ("waiting", &waiting),
            ("name", "ada"),
            ("password", "an analytical engine"),
        ];
        self.over(answered_by).send("POST", "/sign-in", &typed).unwrap()
    }

    fn send(&mut self, method: &str, path: &str, pairs: &[(&str, &str)]) -> Option<Answer> {
        let cookies: Vec<String> =
            self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let cookies = cookies.join("; ");
        let headers = [("Cookie", cookies.as_str())];
        let answer = match method {
            "POST" => http::form(self.port, path, pairs, &headers)?,
            _ => http::send(self.port, method, path, &headers, "")?,
        };
        for cookie in answer.headers("set-cookie") {
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
        Some(answer)
    }

    /// Allows a client: the code, if the server lived to tell.
    pub fn allow(&mut self, client: &str) -> Option<String> {
        let port = self.port;
        self.allow_over(client, port)
    }

    /// The same, and the answer to the page goes to another node than the one that showed it.
    pub fn allow_over(&mut self, client: &str, port: u16) -> Option<String> {
        let ports = [self.port, port];
        Some(self.try_allow(client, ports)?.unwrap_or_else(|page| panic!("{page:?}")))
    }

    /// What a client that asks makes the person see.
    pub fn asked_for(&mut self, client: &str, port: u16) -> Option<Answer> {
        let request = hallpass_core::parameters::encode([
            ("response_type", "code"),
            ("client_id", client),
            ("redirect_uri", REDIRECT),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
            ("state", "x"),
        ]);
        self.over(port).send("GET", &format!("/authorize?{request}"), &[])
    }

    /// The same, or the page that came instead of a code. One node shows the page, the other takes the answer.
    pub fn try_allow(
        &mut self,
        client: &str,
        [shown_by, answered_by]: [u16; 2],
    ) -> Option<Result<String, Answer>> {
        let page = self.asked_for(client, shown_by)?;
        if page.status != 200 {
            return Some(Err(page));
        }
        let (csrf, sealed) = (page.hidden("csrf"), page.hidden("page"));
        let decided = [("csrf", csrf.as_str()), ("page", &sealed), ("decision", "allow")];
        let moving = self.over(answered_by).send("POST", "/consent", &decided)?;
        let code =
            moving.body.split("?code=").nth(1).and_then(|rest| rest.split('&').next()).map(str::to_owned);
        Some(code.ok_or(moving))
    }

    /// Whether the account page is shown.
    pub fn is_signed_in(&mut self) -> bool {
        self.send("GET", "/account", &[]).unwrap().status == 200
    }

    /// "Sign out everywhere".
    pub fn sign_out_everywhere(&mut self) {
        self.press("/account", &[("action", "everywhere")]);
    }

    /// Ends another browser of one's own.
    pub fn end_session(&mut self, id: &str) {
        self.press("/account", &[("action", "end"), ("session", id)]);
    }

    /// Signs out here.
    pub fn sign_out(&mut self) {
        self.press("/sign-out", &[]);
    }

    fn press(&mut self, path: &str, pairs: &[(&str, &str)]) {
        let page = self.send("GET", "/account", &[]).unwrap();
        let csrf = page.hidden("csrf");
        let pairs = [&[("csrf", &*csrf)], pairs].concat();
        assert_eq!(self.send("POST", path, &pairs).unwrap().status, 303);
    }
}

/// A grant, from set-up to redemption: the person, the client, its tokens.
pub fn granted(port: u16, setup_link: Option<&str>) -> (Person, String, serde_json::Value) {
    let mut person = Person::set_up(port, setup_link.unwrap());
    let client = register(port);
    let code = person.allow(&client).unwrap();
    let tokens = redeem(port, &client, &code).unwrap().json();
    (person, client, tokens)
}

/// Registers a public client.
pub fn register(port: u16) -> String {
    let body = serde_json::json!({
        "redirect_uris": [REDIRECT], "token_endpoint_auth_method": "none", "client_name": "Test",
        "grant_types": ["authorization_code", "refresh_token"],
    });
    http::json(port, "/register", &body, &[]).unwrap().json()["client_id"].as_str().unwrap().to_owned()
}

/// Redeems a code.
pub fn redeem(port: u16, client: &str, code: &str) -> Option<Answer> {
    let pairs = [
        ("grant_type", "authorization_code"),
        ("client_id", client),
        ("code", code),
        ("code_verifier", VERIFIER),
        ("redirect_uri", REDIRECT),
    ];
    http::form(port, "/token", &pairs, &[])
}

/// Redeems a code as a client with a secret.
pub fn redeem_with(port: u16, client: &str, code: &str, secret: &str) -> Option<Answer> {
    let pairs = [
        ("grant_type", "authorization_code"),
        ("client_id", client),
        ("client_secret", secret),
        ("code", code),
        ("code_verifier", VERIFIER),
        ("redirect_uri", REDIRECT),
    ];
    http::form(port, "/token", &pairs, &[])
}

/// Refreshes.
pub fn refresh(port: u16, client: &str, token: &str) -> Option<Answer> {
    http::form(
        port,
        "/token",
        &[("grant_type", "refresh_token"), ("client_id", client), ("refresh_token", token)],
        &[],
    )
}
