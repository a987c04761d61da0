//! What may not be in the tree of packages, and what may not be in the npm lock.

use super::finding::Finding;
use anyhow::{Context, Result, bail};
use std::path::Path;
use std::process::Command;

/// One crypto library (aws-lc-rs) and one TLS stack (rustls): a second one is a second set of advisories.
const FORBIDDEN: [&str; 3] = ["openssl-sys", "native-tls", "ring"];

/// Each package that is built on any platform, one on a line. Cargo.lock would not do: it also lists packages that an
/// unused feature could bring.
pub fn tree(root: &Path) -> Result<String> {
    let arguments =
        ["tree", "--workspace", "--target", "all", "--edges", "all", "--prefix", "none", "--format", "{p}"];
    let output = Command::new("cargo")
        .args(arguments)
        .current_dir(root)
        .output()
        .context("cannot start cargo tree")?;
    if !output.status.success() {
        bail!("cargo tree: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Checks the output of [`tree`].
pub fn cargo(tree: &str, findings: &mut Vec<Finding>) {
    for name in FORBIDDEN {
        if tree.lines().any(|line| line.split(' ').next() == Some(name)) {
            let what = format!(
                "{name} is built; `cargo tree --target all -i {name}` shows who brings it, choose its rustls or aws-lc feature"
            );
            findings.push(Finding::new("Cargo.toml", 1, what));
        }
    }
}

/// Checks package-lock.json: with an address in it, everybody downloads from where its author did.
pub fn npm(text: &str, findings: &mut Vec<Finding>) {
    for (at, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("\"resolved\":") {
            let what =
                "an address in the lock; run `npm install` in tests/e2e, whose .npmrc leaves addresses out";
            findings.push(Finding::new("tests/e2e/package-lock.json", at + 1, what));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::lines;
    use super::*;

    #[test]
    fn a_second_crypto_library_is_named() {
        let mut findings = Vec::new();
        cargo("aws-lc-rs v1.19.0\nring v0.17.14\nring v0.17.14 (*)\n", &mut findings);
        assert_eq!(findings.len(), 1);
        assert!(lines(&findings)[0].starts_with("Cargo.toml:1: ring is built"));
    }

    #[test]
    fn a_name_that_only_contains_a_forbidden_one_is_fine() {
        let mut findings = Vec::new();
        cargo("string v1.0.0\nring-buffer v1.0.0\naws-lc-rs feature \"ring\"\n", &mut findings);
        assert_eq!(findings, []);
    }

    #[test]
    fn an_address_in_the_npm_lock_is_a_finding() {
        let mut findings = Vec::new();
        npm("{\n  \"version\": \"1\",\n  \"resolved\": \"https://r.example/a.tgz\"\n}", &mut findings);
        assert!(lines(&findings)[0].starts_with("tests/e2e/package-lock.json:3: "));
    }
}
