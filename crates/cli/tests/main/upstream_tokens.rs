//! A gateway in front of a server that another hallpass guards: who calls here is somebody there, by identity assertion.

use super::{
    http,
    node::{Node, command, finished, free_port},
    person,
};
use serde_json::{Value, json};
use std::{path::Path, process::Stdio};

const SECRET: &str = "a-secret-of-the-gateway-at-partner";

struct Site {
    folder: tempfile::TempDir,
    port: u16,
}

impl Site {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), port: free_port() }
    }

    fn url(&self) -> String {
        format!("http://localhost:{}", self.port)
    }

    fn file(&self) -> String {
        self.folder.path().join("hallpass.toml").to_str().unwrap().to_owned()
    }

    /// `last`: what it says last, which is the link for the first account only while there is none.
    fn serve(&self, server: &str, last: &str) -> Node {
        secret(self.folder.path());
        let port = self.port;
        let text = format!(
            "public_url = \"http://localhost:{port}\"\nlisten = \"127.0.0.1:{port}\"\nstate = \"state\"\n\
             [audit]\nfolder = \"audit\"\ncalls = true\n[[server]]\nname = \"mcp\"\npath = \"/mcp\"\n{server}"
        );
        std::fs::write(self.file(), text).unwrap();
        let command = command(&["serve", "--config", &self.file()]);
        Node::spawn_until(command, port, Stdio::null(), last)
    }

    fn id_of(&self, name: &str) -> String {
        let (code, out, err) = finished(&["user", "show", name, "--json", "--config", &self.file()]);
        assert_eq!(code, 0, "{err}");
        serde_json::from_str::<Value>(&out).unwrap()["id"].as_str().unwrap().to_owned()
    }

    fn audit(&self) -> String {
        let files = std::fs::read_dir(self.folder.path().join("audit")).unwrap();
        files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap()).collect()
    }
}

fn secret(folder: &Path) {
    let path = folder.join("gateway.secret");
    std::fs::write(&path, SECRET).unwrap();
    #[cfg(unix)]
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
}

#[test]
fn rs_061_p12_who_calls_through_the_gateway_is_asserted_to_the_server_of_somebody_else() {
    let (company, partner) = (Site::new(), Site::new());
    let upstream = format!(
        "upstream = \"{0}/mcp\"\nupstream_token = {{ by = \"identity_assertion\", issuer = \"{0}\", \
         token_endpoint = \"{0}/token\", client_id = \"acme-gateway\", secret_file = \"gateway.secret\", scopes = [\"mcp\"] }}\n",
        partner.url()
    );
    let gateway = company.serve(&upstream, "Setup link");
    let (_, _, tokens) = person::granted(company.port, gateway.setup_link.as_deref());
    let subject = company.id_of("ada");
    let accounts = |linked: &str| {
        format!(
            "[[client]]\nid = \"acme-gateway\"\nname = \"Gateway\"\nauth = \"client_secret_basic\"\n\
             secret_file = \"gateway.secret\"\ngrant_types = [\"urn:ietf:params:oauth:grant-type:jwt-bearer\"]\n\
             [[identity_provider]]\nissuer = \"{}\"\naccounts = {{ \"{linked}\" = \"ada\" }}\n",
            company.url()
        )
    };
    let guarded = partner.serve(&accounts("somebody-else"), "Setup link");
    person::Person::set_up(partner.port, guarded.setup_link.as_deref().unwrap());
    let bearer = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
    let call = || {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"});
        http::json(company.port, "/mcp", &body, &[("Authorization", &bearer)]).unwrap()
    };
    // Nobody there is linked to her yet.
    let refused = call();
    assert_eq!(refused.status, 403, "{refused:?}");
    assert!(
        refused.body.contains("gives no access for this person")
            && !refused.head.contains("WWW-Authenticate")
    );
    assert!(guarded.stop());
    let guarded = partner.serve(&accounts(&subject), "MCP URL");
    std::thread::sleep(std::time::Duration::from_secs(11));
    let answered = call();
    assert_eq!(answered.status, 200, "{answered:?}");
    assert!(answered.body.contains("\"tools\""), "{answered:?}");
    assert!(guarded.stop() && gateway.stop());
    let account = {
        let lines = partner.audit();
        let called = lines
            .lines()
            .rfind(|line| line.contains("\"call_answered\""))
            .unwrap_or_else(|| panic!("{lines}"));
        serde_json::from_str::<Value>(called).unwrap()["person"].as_str().unwrap().to_owned()
    };
    assert_eq!(account, partner.id_of("ada"));
    assert_ne!(account, subject);
    let ours = company.audit();
    assert!(ours.contains("upstream_token_refused") && ours.contains("upstream_token_issued"), "{ours}");
}
