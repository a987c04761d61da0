//! Secrets for the servers behind: a header, or variables of a command, out of files that nobody else reads.

use super::{Check, file::ServerEntry};
use crate::state;
use hallpass_client::assertion::ClientKey;
use hallpass_core::secret::SecretString;
use hallpass_gateway::{SecretHeader, UpstreamCredential};
use serde::Deserialize;
use std::{ffi::OsString, path::Path};
use toml::Spanned;

/// `upstream_header` of a `[[server]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpstreamHeaderEntry {
    /// Such as "Authorization".
    pub name: Spanned<String>,
    /// What stands before the secret, such as "Bearer ".
    #[serde(default)]
    pub prefix: String,
    /// The file with the secret.
    pub secret_file: Spanned<String>,
}

/// Longer is no secret for a header.
const LONGEST: usize = 8 * 1024;

impl Check<'_> {
    /// The header that the server behind gets with each request.
    pub(super) fn upstream_credential(
        &mut self,
        entry: &ServerEntry,
        folder: &Path,
    ) -> Option<UpstreamCredential> {
        let typed = entry.upstream_header.as_ref()?;
        let header = typed.get_ref();
        if entry.upstream.is_none() {
            let what = "upstream_header takes an upstream: a server on stdio gets no headers";
            self.wrong(typed, what, "write secret_env = { NAME = \"file\" } for a command, or remove it");
            return None;
        }
        let value = self.header_value(header, folder)?;
        match SecretHeader::new(header.name.get_ref(), &value) {
            Ok(header) => Some(UpstreamCredential::Header(header)),
            Err(fault) => {
                let fix = "write the header that the MCP server wants, such as { name = \"Authorization\", prefix = \"Bearer \", secret_file = \"files.token\" }";
                self.wrong(&header.name, format!("upstream_header: {fault}"), fix);
                None
            }
        }
    }

    /// Variables of a command, each out of a file.
    pub(super) fn secret_environment(
        &mut self,
        entry: &ServerEntry,
        folder: &Path,
    ) -> Vec<(OsString, OsString)> {
        let Some(variables) = &entry.secret_env else { return Vec::new() };
        let mut environment = Vec::new();
        for (name, file) in variables.get_ref() {
            let is_twice = entry.env.as_ref().is_some_and(|env| env.get_ref().contains_key(name))
                || entry.pass_env.as_ref().is_some_and(|names| names.get_ref().contains(name));
            if is_twice {
                let what = format!("{name} is in secret_env and in env or pass_env");
                self.wrong(file, what, "keep one of them");
            } else if name.is_empty() || name.contains(['=', '\0']) {
                self.wrong(file, "secret_env has a name that no process can get", "write names without =");
            } else if let Some(secret) = self.secret(file, folder) {
                environment.push((name.into(), secret.expose().into()));
            }
        }
        environment
    }

    /// What a header with a secret says.
    pub(super) fn header_value(
        &mut self,
        header: &UpstreamHeaderEntry,
        folder: &Path,
    ) -> Option<SecretString> {
        let secret = self.secret(&header.secret_file, folder)?;
        Some(SecretString::new(format!("{}{}", header.prefix, secret.expose())))
    }

    /// The one line of a file that nobody else may read.
    pub(super) fn secret(&mut self, at: &Spanned<String>, folder: &Path) -> Option<SecretString> {
        let text = SecretString::new(self.file(at, folder)?);
        if state::check_mode(&folder.join(at.get_ref())).is_err() {
            let fix = format!("run chmod 600 {}", folder.join(at.get_ref()).display());
            self.wrong(at, "the file with the secret can be read by others", fix);
            return None;
        }
        let line = text.expose().trim_matches(['\r', '\n']);
        if line.is_empty() || line.len() > LONGEST || line.contains(['\r', '\n', '\0']) {
            let what = "the file does not hold one line with a secret";
            self.wrong(at, what, "write the secret into it, on one line, and nothing else");
            return None;
        }
        Some(SecretString::new(line))
    }

    /// What we prove with who we are at a server of somebody else: a secret, or a key and its name there, or neither.
    pub(super) fn own_credentials(
        &mut self,
        [secret, key, key_id]: [Option<&Spanned<String>>; 3],
        folder: &Path,
    ) -> Option<(Option<SecretString>, Option<ClientKey>)> {
        let secret = match secret {
            Some(at) => Some(self.secret(at, folder)?),
            None => None,
        };
        let key = match (key, key_id) {
            (Some(at), id) => Some(self.own_key(at, id, folder)?),
            (None, Some(id)) => {
                self.wrong(id, "key_id is the name of a key_file", "add key_file, or remove it");
                None
            }
            (None, None) => None,
        };
        Some((secret, key))
    }

    fn own_key(
        &mut self,
        at: &Spanned<String>,
        key_id: Option<&Spanned<String>>,
        folder: &Path,
    ) -> Option<ClientKey> {
        let pem = SecretString::new(self.file(at, folder)?);
        let path = folder.join(at.get_ref());
        if state::check_mode(&path).is_err() {
            let fix = format!("run chmod 600 {}", path.display());
            self.wrong(at, "the file with the key can be read by others", fix);
            return None;
        }
        let key = ClientKey::from_pem_of_its_algorithm(&pem).inspect_err(|error| {
            let fix =
                "make one with: openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out key.pem";
            self.wrong(at, error.to_string(), fix);
        });
        let key = key.ok()?;
        Some(match key_id {
            Some(id) => key.with_key_id(id.get_ref()),
            None => key,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Behind, Problem, parse};
    use super::*;
    use std::fs;

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), "good", "canary-1\n", 0o600);
        folder
    }

    fn write(folder: &Path, name: &str, text: &str, mode: u32) {
        let path = folder.join(name);
        fs::write(&path, text).unwrap();
        #[cfg(unix)]
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    }

    fn file(server: &str) -> String {
        format!(
            "public_url = \"https://mcp.example.com\"\n[[server]]\nname = \"files\"\npath = \"/files\"\n{server}\n"
        )
    }

    fn problems(server: &str, folder: &Path) -> Vec<Problem> {
        parse(&file(server), folder).map_or_else(|problems| problems, |_| Vec::new())
    }

    fn http(header: &str) -> String {
        format!("upstream = \"http://10.0.0.5:3001/mcp\"\nupstream_header = {header}")
    }

    #[test]
    fn rs_067_rs_068_a_secret_of_a_file_is_in_no_debug_and_leaves_the_machine_with_a_word() {
        let folder = folder();
        let good = http(r#"{ name = "Authorization", prefix = "Bearer ", secret_file = "good" }"#);
        let config = parse(&file(&good), folder.path()).unwrap();
        let shown = format!("{config:?}");
        assert!(shown.contains("authorization") && !shown.contains("canary-1"), "{shown}");
        assert!(config.dangerous.iter().any(|word| word.contains("files") && word.contains("plain http")));
        let here = file(&good.replace("10.0.0.5", "127.0.0.1"));
        assert!(parse(&here, folder.path()).unwrap().dangerous.is_empty());
        let command = "command = [\"x\"]\nsecret_env = { KEY = \"good\" }";
        let config = parse(&file(command), folder.path()).unwrap();
        let Behind::Command { command, .. } = &config.servers[0].behind else { panic!("no command") };
        assert_eq!(command.environment, [("KEY".into(), "canary-1".into())]);
        assert!(!format!("{config:?}").contains("canary-1"));
    }

    #[test]
    fn t_101_what_is_wrong_with_a_secret_is_told_and_the_secret_is_not() {
        let folder = folder();
        write(folder.path(), "two", "canary-2\ncanary-3\n", 0o600);
        write(folder.path(), "empty", "\n", 0o600);
        write(folder.path(), "odd", "canary-ü\n", 0o600);
        write(folder.path(), "open", "canary-4\n", 0o644);
        let header =
            |name: &str, file: &str| http(&format!("{{ name = \"{name}\", secret_file = \"{file}\" }}"));
        for (server, what, fix) in [
            (header("Authorization", "none"), "cannot be read", "existing file"),
            (header("Authorization", "two"), "one line", "one line"),
            (header("Authorization", "empty"), "one line", "one line"),
            (header("Authorization", "odd"), "no header may have", "Authorization"),
            (header("Mcp-Session-Id", "good"), "writes this header itself", "Authorization"),
            (header("a b", "good"), "no name of a header", "Authorization"),
            #[cfg(unix)]
            (header("Authorization", "open"), "read by others", "chmod 600"),
            (
                "upstream_header = { name = \"x\", secret_file = \"good\" }".into(),
                "takes an upstream",
                "secret_env",
            ),
            (
                "command = [\"x\"]\nupstream_header = { name = \"x\", secret_file = \"good\" }".into(),
                "takes an upstream",
                "secret_env",
            ),
            (
                "upstream = \"http://h/\"\nsecret_env = { A = \"good\" }".into(),
                "only for a server",
                "command",
            ),
            (
                "command = [\"x\"]\nsecret_env = { A = \"good\" }\nenv = { A = \"b\" }".into(),
                "in secret_env",
                "one",
            ),
            ("command = [\"x\"]\nsecret_env = { \"A=B\" = \"good\" }".into(), "no process", "names"),
            #[cfg(unix)]
            ("command = [\"x\"]\nsecret_env = { A = \"open\" }".into(), "read by others", "chmod 600"),
        ] {
            let found = problems(&server, folder.path());
            assert_eq!(found.len(), 1, "{server}: {found:?}");
            assert!(found[0].what.contains(what) && found[0].fix.contains(fix), "{server}: {found:?}");
            assert!(!format!("{found:?}").contains("canary"), "{found:?}");
        }
    }
}
