//! Two servers of two owners: people sign in at the one, its identity assertion is the grant at the other.

use super::{
    http,
    node::{Node, command, finished, free_port},
    person::{Person, REDIRECT, redeem_with},
};
use hallpass_core::encoding::from_base64url;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

const HERE: &str = "a-secret-of-the-assistant-at-acme";
const THERE: &str = "a-secret-of-the-assistant-at-partner";
const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const ID_JAG: &str = "urn:ietf:params:oauth:token-type:id-jag";

/// A server in a folder of its own.
struct Site {
    folder: tempfile::TempDir,
    port: u16,
}

impl Site {
    fn new(secret: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("assistant.secret"), secret).unwrap();
        Self { folder, port: free_port() }
    }

    fn issuer(&self) -> String {
        format!("http://localhost:{}", self.port)
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("hallpass.toml")
    }

    fn write(&self, more: &str) {
        let port = self.port;
        let text = format!(
            "public_url = \"http://localhost:{port}\"\nlisten = \"127.0.0.1:{port}\"\nstate = \"state\"\n\
             [[server]]\nname = \"demo\"\npath = \"/mcp\"\nscopes = [{{ name = \"read\" }}, {{ name = \"write\" }}]\n\
             required_scopes = [\"read\"]\n{more}"
        );
        std::fs::write(self.file(), text).unwrap();
    }

    fn serve(&self) -> Node {
        let command = command(&["serve", "--config", self.file().to_str().unwrap()]);
        Node::spawn_until(command, self.port, std::process::Stdio::null(), "Setup link")
    }

    fn run(&self, words: &[&str]) -> String {
        let (code, out, err) = finished(&[words, &["--config", self.file().to_str().unwrap()]].concat());
        assert_eq!(code, 0, "{words:?}: {err}");
        out
    }

    fn call(&self, token: &str) -> http::Answer {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
        http::json(self.port, "/mcp", &body, &[("Authorization", &format!("Bearer {token}"))]).unwrap()
    }
}

fn at_company(partner: &Site) -> String {
    format!(
        "[[client]]\nid = \"assistant\"\nname = \"Assistant\"\nauth = \"client_secret_post\"\n\
         secret_file = \"assistant.secret\"\nredirect_uris = [\"{REDIRECT}\"]\n\
         grant_types = [\"authorization_code\", \"refresh_token\", \"{EXCHANGE}\"]\n\
         [[cross_domain_access]]\nclient = \"assistant\"\naudience = \"{0}\"\nclient_id = \"acme-assistant\"\n\
         resources = [\"{0}/mcp\"]\nscopes = [\"read\"]\n",
        partner.issuer()
    )
}

fn at_partner(company: &Site, subject: &str) -> String {
    format!(
        "[[client]]\nid = \"acme-assistant\"\nname = \"Assistant\"\nauth = \"client_secret_post\"\n\
         secret_file = \"assistant.secret\"\ngrant_types = [\"{JWT_BEARER}\"]\n\
         [[identity_provider]]\nissuer = \"{}\"\naccounts = {{ \"{subject}\" = \"ada\" }}\n",
        company.issuer()
    )
}

fn assertion(company: &Site, partner: &Site, refresh_token: &str) -> http::Answer {
    let (audience, resource) = (partner.issuer(), format!("{}/mcp", partner.issuer()));
    let pairs = [
        ("grant_type", EXCHANGE),
        ("requested_token_type", ID_JAG),
        ("subject_token", refresh_token),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:refresh_token"),
        ("audience", &audience),
        ("resource", &resource),
        ("client_id", "assistant"),
        ("client_secret", HERE),
    ];
    http::form(company.port, "/token", &pairs, &[]).unwrap()
}

fn token(partner: &Site, assertion: &str) -> http::Answer {
    let pairs = [
        ("grant_type", JWT_BEARER),
        ("assertion", assertion),
        ("client_id", "acme-assistant"),
        ("client_secret", THERE),
    ];
    http::form(partner.port, "/token", &pairs, &[]).unwrap()
}

fn text(answer: &http::Answer, name: &str) -> String {
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.json()[name].as_str().unwrap_or_else(|| panic!("{name} in {answer:?}")).to_owned()
}

fn claims(compact: &str) -> Value {
    serde_json::from_slice(&from_base64url(compact.split('.').nth(1).unwrap()).unwrap()).unwrap()
}

fn lines(folder: &Path) -> String {
    let mut all = String::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        all.push_str(&std::fs::read_to_string(entry.unwrap().path()).unwrap());
    }
    all
}

#[test]
fn as_158_as_160_as_163_as_172_two_servers_complete_it_and_each_can_end_it() {
    let (company, partner) = (Site::new(HERE), Site::new(THERE));
    company.write(&at_company(&partner));
    let identity_provider = company.serve();
    let mut ada = Person::set_up(company.port, identity_provider.setup_link.as_deref().unwrap());
    let code = ada.allow("assistant").unwrap();
    let tokens = redeem_with(company.port, "assistant", &code, HERE).unwrap();
    let refresh_token = text(&tokens, "refresh_token");
    let shown: Value = serde_json::from_str(&company.run(&["user", "show", "ada", "--json"])).unwrap();
    let subject = shown["id"].as_str().unwrap();

    partner.write(&format!("{}[audit]\nfolder = \"audit\"\n", at_partner(&company, subject)));
    let resource_server = partner.serve();
    Person::set_up(partner.port, resource_server.setup_link.as_deref().unwrap());
    let here: Value = serde_json::from_str(&partner.run(&["user", "show", "ada", "--json"])).unwrap();

    let jag = text(&assertion(&company, &partner, &refresh_token), "access_token");
    let answer = token(&partner, &jag);
    let access = text(&answer, "access_token");
    assert_eq!((text(&answer, "scope"), answer.json().get("refresh_token")), ("read".into(), None));
    let said = claims(&access);
    assert_eq!((&said["sub"], &said["client_id"]), (&here["id"], &json!("acme-assistant")));
    assert_ne!(said["sub"], claims(&jag)["sub"], "the account here, by the id there");
    assert_eq!(partner.call(&access).status, 200);
    // Each is good where it belongs, and once.
    assert_eq!(token(&partner, &jag).json()["error"], "invalid_grant");
    assert_eq!((company.call(&access).status, partner.call(&jag).status), (401, 401));
    assert_eq!(company.call(&jag).status, 401);
    let own = text(&tokens, "access_token");
    assert_eq!((company.call(&own).status, partner.call(&own).status), (200, 401));
    assert_eq!(token(&partner, &own).json()["error"], "invalid_grant");
    // The partner ends it for the person, the company for the application.
    partner.run(&["user", "sign-out", "ada"]);
    let shut_out = (0..50).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(50));
        partner.call(&access).status == 401
    });
    assert!(shut_out);
    let again = text(&assertion(&company, &partner, &refresh_token), "access_token");
    text(&token(&partner, &again), "access_token");
    company.run(&["user", "sign-out", "ada"]);
    assert_eq!(assertion(&company, &partner, &refresh_token).json()["error"], "invalid_grant");
    assert!(resource_server.stop() && identity_provider.stop());
    let written = lines(&partner.folder.path().join("audit"));
    assert!(written.contains(subject) && !written.contains(jag.rsplit('.').next().unwrap()));
}
