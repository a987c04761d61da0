//! The client that the official conformance suite runs measures `hallpass-client`. So it is made of that crate's public API and
//! knows nothing of OAuth or MCP itself: else the suite would be green for what nobody else gets.

use super::files::{File, has_extension};
use super::finding::Finding;
use super::source::Source;
use toml::Table;

const FOLDER: &str = "crates/conformance/";
const LIBRARY: &str = "crates/client/src/";

/// Nothing else of ours, and nothing that could sign in or speak MCP in the library's place.
const DEPENDENCIES: [&str; 9] = [
    "hallpass-client",
    "hallpass-core",
    "hallpass-fetch",
    "anyhow",
    "bytes",
    "http",
    "serde_json",
    "tempfile",
    "tokio",
];

/// What the library's public functions take and give that lives on a lower floor.
const VALUES: [(&str, &[&str]); 2] = [
    ("hallpass_core", &["mcp::revision", "secret", "uri"]),
    ("hallpass_fetch", &["Fetch", "Limits", "Policy", "Settings"]),
];

/// What only somebody writes who speaks the protocols.
const PROTOCOL: [&str; 16] = [
    "access_token",
    "bearer",
    "client_assertion",
    "code_challenge",
    "code_verifier",
    "dpop",
    "grant_type",
    "jsonrpc",
    "mcp-",
    "redirect_uri",
    "refresh_token",
    "response_type",
    "subject_token",
    "well-known",
    "www-authenticate",
    "/authorize",
];

/// Other people's files in this crate, and what the library would show this crate alone.
const DETOURS: [&str; 5] = ["#[path", "include!", "include_str!", "AUTHORIZATION", "WWW_AUTHENTICATE"];

/// Checks the harness's manifest.
pub fn manifests(manifests: &[File], findings: &mut Vec<Finding>) {
    let path = format!("{FOLDER}Cargo.toml");
    let Some((_, text)) = manifests.iter().find(|(found, _)| *found == path) else {
        findings.push(Finding::new(&path, 1, "the client of the conformance suite is not here"));
        return;
    };
    // A manifest that is none is found by the floors.
    let manifest: Table = text.parse().unwrap_or_default();
    for name in super::floors::dependencies(&manifest) {
        if !DEPENDENCIES.contains(&name.as_str()) {
            let line = text.lines().position(|line| line.contains(&name)).map_or(1, |at| at + 1);
            let what = format!(
                "the client of the conformance suite imports {name}; what it needs belongs into the public API of hallpass-client"
            );
            findings.push(Finding::new(&path, line, what));
        }
    }
}

/// Checks one file of Rust.
pub fn check(path: &str, source: &Source, findings: &mut Vec<Finding>) {
    if path.starts_with(LIBRARY) {
        for (number, line) in source.code.lines().enumerate() {
            if line.contains("doc(hidden)") {
                let what = "hidden from the documentation and public all the same: make it one or the other";
                findings.push(Finding::new(path, number + 1, what));
            }
        }
    }
    if !path.starts_with(FOLDER) || !has_extension(path, "rs") {
        return;
    }
    for (number, line) in source.code.lines().enumerate() {
        for detour in DETOURS.iter().filter(|detour| line.contains(*detour)) {
            let what = format!("{detour} goes around the public API of hallpass-client");
            findings.push(Finding::new(path, number + 1, what));
        }
    }
    for (package, allowed) in VALUES {
        for (line, item) in imports(&source.code, package) {
            if !allowed.iter().any(|path| item == *path || item.starts_with(&format!("{path}::"))) {
                let what = format!("{package}::{item} is no value of the public API of hallpass-client");
                findings.push(Finding::new(path, line, what));
            }
        }
    }
    for literal in &source.literals {
        let text = literal.text.to_ascii_lowercase();
        if let Some(word) = PROTOCOL.iter().find(|word| text.contains(*word)) {
            let what = format!("{word:?} is protocol, which belongs into hallpass-client");
            findings.push(Finding::new(path, literal.line, what));
        }
    }
}

/// Each thing that the code names of a package, without the package, and its line.
fn imports(code: &str, package: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices(package) {
        let line = code.get(..at).unwrap_or_default().matches('\n').count() + 1;
        let after = code.get(at + package.len()..).unwrap_or_default();
        let Some(rest) = after.strip_prefix("::") else {
            // `use package as x` hides what follows.
            found.push((line, "*".to_owned()));
            continue;
        };
        found.extend(items(rest).into_iter().map(|item| (line, item)));
    }
    found
}

/// The paths at the beginning of a text: one, or those in its braces, each up to its own braces.
fn items(text: &str) -> Vec<String> {
    let Some(inside) = text.strip_prefix('{') else { return vec![path_of(text)] };
    let (mut depth, mut parts, mut part) = (0_usize, Vec::new(), String::new());
    for found in inside.chars() {
        match found {
            '}' if depth == 0 => break,
            ',' if depth == 0 => parts.push(std::mem::take(&mut part)),
            _ => {
                depth = match found {
                    '{' => depth + 1,
                    '}' => depth - 1,
                    _ => depth,
                };
                part.push(found);
            }
        }
    }
    parts.push(part);
    parts.iter().map(|part| path_of(part.trim())).filter(|path| !path.is_empty()).collect()
}

fn path_of(text: &str) -> String {
    let end = text.find(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':' || c == '*'));
    text.get(..end.unwrap_or(text.len())).unwrap_or_default().trim_end_matches(':').to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::lines;
    use super::*;

    fn found(path: &str, text: &str) -> Vec<String> {
        let mut findings = Vec::new();
        check(path, &Source::read(text), &mut findings);
        lines(&findings)
    }

    fn of_manifest(text: &str) -> Vec<String> {
        let mut findings = Vec::new();
        manifests(&[("crates/conformance/Cargo.toml".to_owned(), text.to_owned())], &mut findings);
        lines(&findings)
    }

    #[test]
    fn the_harness_as_it_is_has_no_findings() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let sources = super::super::files::sources(root).unwrap();
        let ours: Vec<_> = sources.iter().filter(|(path, _)| path.starts_with(FOLDER)).collect();
        assert!(ours.len() >= 4, "{}", ours.len());
        for (path, text) in ours {
            assert_eq!(found(path, text), Vec::<String>::new());
        }
        assert_eq!(
            of_manifest(&super::super::files::read(root, "crates/conformance/Cargo.toml").unwrap()),
            Vec::<String>::new()
        );
    }

    #[test]
    fn what_is_not_the_public_api_is_found() {
        let path = "crates/conformance/src/main.rs";
        for (text, expected) in [
            ("use hallpass_core::jwt::sign;", "hallpass_core::jwt::sign is no value"),
            (
                "use hallpass_core::{\n    secret::SecretString,\n    pkce::{CodeVerifier, X},\n};",
                "hallpass_core::pkce is no value",
            ),
            (
                "let x = hallpass_core::mcp::Message::parse(a);",
                "hallpass_core::mcp::Message::parse is no value",
            ),
            ("use hallpass_core as c;", "hallpass_core::* is no value"),
            ("use hallpass_core::*;", "hallpass_core::* is no value"),
            ("use hallpass_fetch::tls::X;", "hallpass_fetch::tls::X is no value"),
            ("#[path = \"../../client/src/token.rs\"]\nmod token;", "#[path goes around"),
            ("include!(\"x.rs\");", "include! goes around"),
            ("f(http::header::AUTHORIZATION);", "AUTHORIZATION goes around"),
            ("let x = [(\"grant_type\", \"x\")];", "\"grant_type\" is protocol"),
            ("let x = \"/.well-known/oauth\";", "\"well-known\" is protocol"),
            ("let x = r#\"{\"jsonrpc\":1}\"#;", "\"jsonrpc\" is protocol"),
        ] {
            let found = found(path, text);
            assert!(found.len() == 1 && found[0].contains(expected), "{text}: {found:?}");
        }
        let fine = "use hallpass_core::{mcp::revision::Revision, secret::SecretString, uri::EndpointUrl};\n// grant_type\nf(\"tools/list\");";
        assert_eq!(found(path, fine), Vec::<String>::new());
        assert_eq!(found("crates/cli/src/x.rs", "use hallpass_core::jwt;"), Vec::<String>::new());
        assert_eq!(found("crates/client/src/x.rs", "#[doc(hidden)]\npub fn f() {}").len(), 1);
    }

    #[test]
    fn another_library_is_found() {
        let fine = "[dependencies]\nhallpass-client.workspace = true\ntokio = \"1\"\n[dev-dependencies]\nx = \"1\"\n";
        assert_eq!(of_manifest(fine), Vec::<String>::new());
        for more in ["reqwest = \"1\"", "hallpass-server.workspace = true", "http = { package = \"oauth2\" }"]
        {
            assert_eq!(of_manifest(&format!("[dependencies]\n{more}")).len(), 1, "{more}");
        }
        let mut findings = Vec::new();
        manifests(&[], &mut findings);
        assert_eq!(findings.len(), 1, "a harness that is gone is no harness that is clean");
    }
}
