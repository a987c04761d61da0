//! How servers behind are reached: in the open or over TLS (RS-068), by whose word they are who they should be, and who we
//! are to them.

use super::{Check, NamedFile, Protected, command::Behind, file::ServerEntry};
use crate::state;
use hallpass_fetch::tls::{self, Authorities, Identity, Tls, TlsFault};
use serde::Deserialize;
use std::path::Path;
use toml::Spanned;

/// `upstream_tls` of a `[[server]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpstreamTlsEntry {
    /// PEM file of the authorities that count for this server, and no others.
    #[serde(rename = "ca_file")]
    pub ca: Option<Spanned<String>>,
    /// PEM file with our certificate, for a server that asks for one.
    #[serde(rename = "client_cert_file")]
    pub client_cert: Option<Spanned<String>>,
    /// PEM file with its key.
    #[serde(rename = "client_key_file")]
    pub client_key: Option<Spanned<String>>,
}

/// What a server says of its TLS.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UpstreamTls {
    /// The authorities that count, and no others; without them those of everything else.
    only: Option<Authorities>,
    identity: Option<Identity>,
}

impl UpstreamTls {
    /// With the authorities of `[fetch] extra_ca`, which count where this server names none of its own.
    ///
    /// # Errors
    /// Where they are no certificates.
    pub fn with_extra(&self, extra: &[Vec<u8>]) -> Result<Tls, TlsFault> {
        let authorities = if let Some(only) = &self.only {
            only.clone()
        } else {
            let read: Result<Vec<_>, _> = extra.iter().map(|pem| tls::authorities(pem)).collect();
            Authorities::System(read?.concat())
        };
        Ok(Tls { authorities, identity: self.identity.clone() })
    }
}

impl Check<'_> {
    /// The operator's own network: any host, with or without TLS.
    pub(super) fn upstream(&mut self, at: &Spanned<String>) {
        let parsed = url::Url::parse(at.get_ref());
        let usable = parsed.is_ok_and(|url| {
            matches!(url.scheme(), "http" | "https")
                && url.has_host()
                && url.username().is_empty()
                && url.password().is_none()
                && url.fragment().is_none()
        });
        if !usable {
            self.wrong(
                at,
                "upstream is not the URL of an MCP server",
                "write the URL of its streamable HTTP endpoint, such as \"http://127.0.0.1:3001/mcp\" or \"https://mcp.example.com/mcp\"",
            );
        }
    }

    /// The PEM texts of `[fetch] extra_ca`.
    pub(super) fn extra_authorities(&mut self, files: &[Spanned<String>], folder: &Path) -> Vec<Vec<u8>> {
        files.iter().filter_map(|at| self.authorities(at, folder).map(|(pem, _)| pem)).collect()
    }

    fn authorities(&mut self, at: &Spanned<String>, folder: &Path) -> Option<(Vec<u8>, Authorities)> {
        let pem = self.bytes(at, folder)?;
        match tls::authorities(&pem) {
            Ok(found) => Some((pem, Authorities::Only(found))),
            Err(fault) => {
                let fix = "name a file with the certificate of your authority, or several, in PEM: -----BEGIN CERTIFICATE-----";
                self.wrong(at, format!("the file of certificate authorities: {fault}"), fix);
                None
            }
        }
    }

    fn bytes(&mut self, at: &Spanned<String>, folder: &Path) -> Option<Vec<u8>> {
        let path = folder.join(at.get_ref());
        let read = std::fs::read(&path);
        if let Ok(bytes) = &read {
            self.certificates.push(NamedFile::new(path, bytes));
        }
        let fix = "name an existing file that the user who runs hallpass may read";
        read.inspect_err(|error| self.wrong(at, format!("the file cannot be read ({error})"), fix)).ok()
    }

    pub(super) fn upstream_tls(&mut self, entry: &ServerEntry, folder: &Path) -> UpstreamTls {
        let Some(typed) = &entry.upstream_tls else { return UpstreamTls::default() };
        let is_tls = entry.upstream.as_ref().is_some_and(|url| url.get_ref().starts_with("https://"));
        if !is_tls {
            let what = "upstream_tls takes an https upstream";
            self.wrong(typed, what, "write upstream = \"https://…\", or remove it");
            return UpstreamTls::default();
        }
        let written = typed.get_ref();
        let only = written.ca.as_ref().and_then(|at| self.authorities(at, folder));
        let identity = match (&written.client_cert, &written.client_key) {
            (Some(certificate), Some(key)) => self.client_identity(certificate, key, folder),
            (Some(half), None) | (None, Some(half)) => {
                let fix = "write both, or neither";
                self.wrong(half, "client_cert_file and client_key_file belong together", fix);
                None
            }
            (None, None) => None,
        };
        UpstreamTls { only: only.map(|(_, only)| only), identity }
    }

    fn client_identity(
        &mut self,
        certificate: &Spanned<String>,
        key: &Spanned<String>,
        folder: &Path,
    ) -> Option<Identity> {
        let (chain, secret) = (self.bytes(certificate, folder)?, self.bytes(key, folder)?);
        let path = folder.join(key.get_ref());
        if state::check_mode(&path).is_err() {
            let what = "the file with the key can be read by others";
            self.wrong(key, what, format!("run chmod 600 {}", path.display()));
            return None;
        }
        match Identity::new(&chain, &secret) {
            Ok(identity) => Some(identity),
            Err(fault) => {
                let at = if fault == TlsFault::Certificates { certificate } else { key };
                let fix = "write the certificate, those that lead to its authority behind it, and its private key, in PEM";
                self.wrong(at, format!("our certificate for this server: {fault}"), fix);
                None
            }
        }
    }
}

/// Servers that are asked over a network in the open, in sentences: what else goes there is worth a word of its own.
pub(super) fn in_the_open(servers: &[Protected]) -> Vec<String> {
    let open = servers.iter().filter(|server| match &server.behind {
        Behind::Url(url) => is_open(url),
        Behind::Demo | Behind::Command { .. } => false,
    });
    open.map(|server| {
        let name = &server.name;
        if server.upstream_credential.is_some() || server.connection.is_some() || server.upstream_token.is_some() {
            format!("the upstream of {name} gets a secret over plain http: whoever listens on that network has it")
        } else {
            format!("the upstream of {name} is asked over plain http: whoever listens on that network reads each call")
        }
    })
    .collect()
}

fn is_open(url: &str) -> bool {
    let Ok(url) = url::Url::parse(url) else { return false };
    let is_here = match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    url.scheme() != "https" && !is_here
}

#[cfg(test)]
mod tests {
    use super::super::{Config, Problem, parse};
    use super::*;
    use std::fs;

    const CA: &[u8] = include_bytes!("../../../testkit/src/tls/ca.pem");
    const OURS: &[u8] = include_bytes!("../../../testkit/src/tls/client.pem");
    const KEY: &[u8] = include_bytes!("../../../testkit/src/tls/key.pem");
    const OTHER_KEY: &[u8] = include_bytes!("../../../testkit/src/tls/other-key.pem");

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (name, text, mode) in [
            ("ca.pem", CA, 0o644),
            ("two.pem", &*[CA, CA].concat(), 0o644),
            ("ours.pem", OURS, 0o644),
            ("key.pem", KEY, 0o600),
            ("open.pem", KEY, 0o644),
            ("other.pem", OTHER_KEY, 0o600),
            ("none.pem", b"no pem", 0o600),
        ] {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            #[cfg(unix)]
            fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
        }
        folder
    }

    fn read(lines: &str, folder: &Path) -> Result<Config, Vec<Problem>> {
        let before = "public_url = \"https://mcp.example.com\"\n";
        let server = "[[server]]\nname = \"files\"\npath = \"/files\"\n";
        match lines.strip_prefix("[fetch]") {
            Some(extra) => {
                parse(&format!("{before}[fetch]{extra}\n{server}upstream = \"https://h/\"\n"), folder)
            }
            None => parse(&format!("{before}{server}{lines}\n"), folder),
        }
    }

    #[test]
    fn rs_068_authorities_of_a_server_count_alone_and_those_of_all_beside_the_systems() {
        let folder = folder();
        let config = read(
            "upstream = \"https://10.0.0.5/mcp\"\nupstream_tls = { ca_file = \"two.pem\", client_cert_file = \"ours.pem\", client_key_file = \"key.pem\" }",
            folder.path(),
        )
        .unwrap();
        let tls = config.servers[0].upstream_tls.with_extra(&[CA.to_vec()]).unwrap();
        assert!(matches!(&tls.authorities, Authorities::Only(two) if two.len() == 2));
        let shown = format!("{config:?}");
        assert!(tls.identity.is_some() && !shown.contains("PRIVATE") && !shown.contains("secret"), "{shown}");
        assert!(config.dangerous.is_empty());
        let config = read("[fetch]\nextra_ca = \"ca.pem\"", folder.path()).unwrap();
        let tls = config.servers[0].upstream_tls.with_extra(&config.extra_ca).unwrap();
        assert!(matches!(&tls.authorities, Authorities::System(more) if more.len() == 1));
    }

    #[test]
    fn rs_068_what_goes_in_the_open_across_a_network_is_said() {
        let folder = folder();
        let said = |url: &str| read(&format!("upstream = \"{url}\""), folder.path()).unwrap().dangerous;
        assert!(said("http://files.internal:3001/mcp")[0].contains("reads each call"));
        for guarded in
            ["http://localhost:1/", "http://[::1]:1/", "http://127.9.9.9/", "https://files.internal/"]
        {
            assert!(said(guarded).is_empty(), "{guarded}");
        }
    }

    #[test]
    fn rs_068_t_101_what_is_wrong_with_tls_is_told_with_its_fix() {
        let folder = folder();
        let tls = |inside: &str| format!("upstream = \"https://h/\"\nupstream_tls = {{ {inside} }}");
        let pair = |certificate: &str, key: &str| {
            tls(&format!("client_cert_file = \"{certificate}\", client_key_file = \"{key}\""))
        };
        for (lines, what, fix) in [
            (
                "upstream = \"http://127.0.0.1/\"\nupstream_tls = { ca_file = \"ca.pem\" }".into(),
                "takes an https",
                "https://",
            ),
            (
                "command = [\"x\"]\nupstream_tls = { ca_file = \"ca.pem\" }".into(),
                "takes an https",
                "https://",
            ),
            (tls("ca_file = \"missing.pem\""), "cannot be read", "existing file"),
            (tls("ca_file = \"none.pem\""), "no PEM certificate", "BEGIN CERTIFICATE"),
            (tls("verify = false"), "unknown field", ""),
            (tls("client_cert_file = \"ours.pem\""), "belong together", "both"),
            (tls("client_key_file = \"key.pem\""), "belong together", "both"),
            (pair("none.pem", "key.pem"), "no PEM certificate", "in PEM"),
            (pair("ours.pem", "none.pem"), "no PEM private key", "in PEM"),
            (pair("ours.pem", "other.pem"), "does not belong", "in PEM"),
            #[cfg(unix)]
            (pair("ours.pem", "open.pem"), "read by others", "chmod 600"),
            (
                "[fetch]\nextra_ca = [\"ca.pem\", \"none.pem\"]".into(),
                "no PEM certificate",
                "BEGIN CERTIFICATE",
            ),
            ("[fetch]\nextra_ca = \"missing.pem\"".into(), "cannot be read", "existing file"),
            ("upstream = \"https://u:p@h/\"".into(), "not the URL", "streamable HTTP"),
        ] {
            let found = read(&lines, folder.path()).map_or_else(|problems| problems, |_| Vec::new());
            assert_eq!(found.len(), 1, "{lines}: {found:?}");
            assert!(found[0].what.contains(what) && found[0].fix.contains(fix), "{lines}: {found:?}");
        }
    }
}
