//! `[[connection]]`: services of third parties that people connect, and which server gets whose tokens.

use super::{Check, Protected, file::ServerEntry};
use hallpass_server::{
    Resource,
    connections::{ConnectionSettings, WrittenConnection},
};
use serde::Deserialize;
use std::{collections::BTreeMap, path::Path};
use toml::Spanned;

/// `[[connection]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConnectionEntry {
    /// Its short name: part of the redirect URI.
    pub name: Spanned<String>,
    /// For people.
    pub title: Option<String>,
    /// The issuer whose metadata says where it is asked.
    pub issuer: Option<String>,
    /// Where people are sent, where there is no metadata.
    pub authorization_endpoint: Option<String>,
    /// Where codes go.
    pub token_endpoint: Option<String>,
    /// Where tokens are given back.
    pub revocation_endpoint: Option<String>,
    /// Ours there.
    #[serde(default)]
    pub client_id: String,
    /// A file with our secret there.
    pub secret_file: Option<Spanned<String>>,
    /// A file with our private key there, in place of a secret.
    pub key_file: Option<Spanned<String>>,
    /// The name of that key there.
    pub key_id: Option<Spanned<String>>,
    /// Whom what it signs is for, where that is not the issuer.
    pub key_audience: Option<String>,
    /// How we prove who we are.
    pub auth: Option<String>,
    /// What is asked for.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// For which resource.
    pub resource: Option<String>,
    /// What else the request has to say.
    #[serde(default)]
    pub parameters: BTreeMap<String, String>,
}

const GUIDE: &str = "docs/guide/connections.md has examples";

impl Check<'_> {
    pub(super) fn connections(
        &mut self,
        entries: &[ConnectionEntry],
        folder: &Path,
    ) -> Vec<ConnectionSettings> {
        let mut connections: Vec<ConnectionSettings> = Vec::new();
        for entry in entries {
            let Some(connection) = self.connection(entry, folder) else { continue };
            if connections.iter().any(|other| other.name == connection.name) {
                let what = format!("two connections have the name {:?}", connection.name);
                self.wrong(&entry.name, what, "give each of them one of its own");
            } else {
                connections.push(connection);
            }
        }
        connections
    }

    fn connection(&mut self, entry: &ConnectionEntry, folder: &Path) -> Option<ConnectionSettings> {
        let files = [entry.secret_file.as_ref(), entry.key_file.as_ref(), entry.key_id.as_ref()];
        let (secret, key) = self.own_credentials(files, folder)?;
        let parameters = entry.parameters.iter().map(|(name, value)| (name.clone(), value.clone()));
        let written = WrittenConnection {
            name: entry.name.get_ref(),
            title: entry.title.as_deref(),
            issuer: entry.issuer.as_deref(),
            authorization_endpoint: entry.authorization_endpoint.as_deref(),
            token_endpoint: entry.token_endpoint.as_deref(),
            revocation_endpoint: entry.revocation_endpoint.as_deref(),
            userinfo_endpoint: None,
            client_id: &entry.client_id,
            secret,
            key,
            key_audience: entry.key_audience.as_deref(),
            auth: entry.auth.as_deref(),
            scopes: &entry.scopes,
            resource: entry.resource.as_deref(),
            parameters: parameters.collect(),
        };
        match ConnectionSettings::new(&written) {
            Ok(connection) => Some(connection),
            Err(error) => {
                let what = format!("the connection {:?}: {error}", entry.name.get_ref());
                self.wrong(&entry.name, what, GUIDE);
                None
            }
        }
    }

    /// Which servers get the tokens of which service.
    pub(super) fn connected(
        &mut self,
        entries: &[ServerEntry],
        known: &[ConnectionEntry],
        servers: &mut [Protected],
        resources: &mut [Resource],
    ) {
        for entry in entries {
            let Some(at) = &entry.connection else { continue };
            let name = at.get_ref();
            if entry.upstream.is_none() && entry.command.is_none() {
                self.wrong(at, "connection takes an upstream or a command", "add one of them, or remove it");
            } else if entry.command.is_some() && entry.connection_env.is_none() {
                let what =
                    "a server on stdio gets no headers, and connection does not say how it gets the token";
                let fix = "add connection_env = \"NAME\", the variable that the command reads";
                self.wrong(at, what, fix);
            } else if entry.upstream_header.is_some() {
                let what = "there is an upstream_header and a connection";
                self.wrong(at, what, "keep one of them: a server is asked with one credential");
            } else if !known.iter().any(|connection| connection.name.get_ref() == name) {
                let what = format!("there is no [[connection]] with the name {name:?}");
                self.wrong(at, what, "write the name of one, or add it");
            }
            let made = servers.iter_mut().zip(resources.iter_mut());
            for (server, resource) in made.filter(|(server, _)| server.path == *entry.path.get_ref()) {
                if !server.trust.own {
                    let what = "connection is for people with an account here, and this server takes none of our tokens";
                    self.wrong(at, what, "add \"self\" to authorization_servers, or remove it");
                }
                server.connection = Some(name.clone());
                resource.connection = Some(name.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Problem, parse};
    use std::path::Path;

    const GOOD: &str = r#"
public_url = "https://mcp.example.com"
[[connection]]
name = "git"
title = "Git"
authorization_endpoint = "https://git.example/authorize"
token_endpoint = "https://git.example/token"
client_id = "us"
scopes = ["repo"]
parameters = { access_type = "offline" }
[[server]]
name = "files"
path = "/files"
upstream = "http://10.0.0.5:3001/mcp"
connection = "git"
[[server]]
name = "other"
path = "/other"
"#;

    const UPSTREAM: &str = "upstream = \"http://10.0.0.5:3001/mcp\"";

    fn problems(text: &str) -> Vec<Problem> {
        parse(text, Path::new("/x")).map_or_else(|problems| problems, |_| Vec::new())
    }

    #[test]
    fn rs_061_rs_068_a_server_names_the_service_whose_tokens_it_gets() {
        let config = parse(GOOD, Path::new("/x")).unwrap();
        let of = |at: usize| {
            (config.servers[at].connection.clone(), config.settings.resources[at].connection.clone())
        };
        assert_eq!((of(0), of(1)), ((Some("git".into()), Some("git".into())), (None, None)));
        assert_eq!(config.settings.connection("git").map(|connection| &*connection.title), Some("Git"));
        assert!(config.dangerous.iter().any(|word| word.contains("files") && word.contains("plain http")));
    }

    #[cfg(unix)]
    #[test]
    fn rs_061_t_101_a_key_in_place_of_a_secret() {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &[u8], mode| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        };
        write("key.pem", hallpass_testkit::tls::KEY, 0o600);
        write("open.pem", hallpass_testkit::tls::KEY, 0o644);
        write("none.pem", b"no key", 0o600);
        let with = |lines: &str| {
            let text = GOOD.replacen("client_id = \"us\"", &format!("client_id = \"us\"\n{lines}"), 1);
            parse(&text, folder.path()).map(|config| config.settings.connections[0].clone())
        };
        let audience = "key_audience = \"https://git.example/token\"";
        let made = with(&format!("key_file = \"key.pem\"\nkey_id = \"k1\"\n{audience}")).unwrap();
        assert_eq!(made.client.auth.name(), "private_key_jwt");
        assert_eq!(made.key.unwrap().audience, "https://git.example/token");
        for (lines, what) in [
            ("key_file = \"key.pem\"".to_owned(), "needed where there is no issuer"),
            (audience.to_owned(), "key_audience goes with key_file"),
            ("key_id = \"k1\"".to_owned(), "the name of a key_file"),
            (format!("key_file = \"open.pem\"\n{audience}"), "read by others"),
            (format!("key_file = \"none.pem\"\n{audience}"), "not a private key"),
            (format!("key_file = \"nowhere\"\n{audience}"), "cannot be read"),
            (format!("key_file = \"key.pem\"\nauth = \"client_secret_post\"\n{audience}"), "auth must be"),
        ] {
            let found = with(&lines).unwrap_err();
            assert!(found.len() == 1 && found[0].what.contains(what), "{lines}: {found:?}");
        }
    }

    #[test]
    fn rs_061_rs_069_a_command_gets_the_token_of_its_person_in_a_variable() {
        let text = GOOD.replace(UPSTREAM, "command = [\"x\"]\nconnection_env = \"GITHUB_TOKEN\"");
        let config = parse(&text, Path::new("/x")).unwrap();
        let super::super::Behind::Command { command, .. } = &config.servers[0].behind else {
            panic!("no command")
        };
        assert_eq!(command.token_variable.as_deref(), Some("GITHUB_TOKEN"));
        assert_eq!(config.servers[0].connection.as_deref(), Some("git"));
    }

    #[test]
    fn rs_061_t_101_what_is_wrong_with_a_connection_is_told_with_line_and_fix() {
        let second =
            "[[connection]]\nname = \"git\"\nissuer = \"https://g.example\"\nclient_id = \"us\"\n[[server]]";
        let elsewhere = "[[authorization_server]]\nname = \"company\"\nissuer = \"https://login.example/\"\n[[server]]\nauthorization_servers = [\"company\"]";
        for (from, to, line, what) in [
            ("token_endpoint = \"https://git.example/token\"\n", "", 4, "takes issuer"),
            ("https://git.example/token", "http://git.example/token", 4, "token_endpoint"),
            ("client_id = \"us\"\n", "", 4, "redirect URI"),
            ("client_id = \"us\"", "client_id = \"us\"\nauth = \"client_secret_post\"", 4, "secret_file"),
            ("client_id = \"us\"", "client_id = \"us\"\nsecret_file = \"none\"", 9, "cannot be read"),
            ("access_type", "state", 4, "hallpass does"),
            ("connection = \"git\"", "connection = \"mail\"", 15, "no [[connection]]"),
            ("upstream = \"http://10.0.0.5:3001/mcp\"", "command = [\"x\"]", 15, "how it gets the token"),
            (UPSTREAM, "command = [\"x\"]\nconnection_env = \"HALLPASS_A\"", 15, "no name of a variable"),
            (UPSTREAM, "command = [\"x\"]\nconnection_env = \"A\"\nenv = { A = \"b\" }", 15, "is set by"),
            (
                UPSTREAM,
                "command = [\"x\"]\nconnection_env = \"A\"\nshared_processes = 1",
                15,
                "several people share",
            ),
            (
                UPSTREAM,
                "upstream = \"http://10.0.0.5:3001/mcp\"\nconnection_env = \"A\"",
                15,
                "only for a server with a command",
            ),
            ("[[server]]", second, 12, "two connections"),
            ("scopes", "scope", 9, "unknown field"),
            ("[[server]]", elsewhere, 19, "none of our tokens"),
        ] {
            let text = GOOD.replacen(from, to, 1);
            assert_ne!(text, GOOD);
            let found = problems(&text);
            assert_eq!(found.len(), 1, "{found:?}");
            let right =
                found[0].line == Some(line) && found[0].what.contains(what) && !found[0].fix.is_empty();
            assert!(right, "{from}: {found:?}");
        }
    }
}
