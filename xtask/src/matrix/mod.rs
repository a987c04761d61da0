//! `cargo xtask matrix`: which requirement is shipped, and which test shows it, as a page.

mod id;
mod page;
mod proofs;
mod rules;
mod scan;
mod shows;
mod table;

use crate::check::files;
use crate::check::finding::Finding;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::Path;

/// The page that is written.
const PAGE: &str = "docs/conformance.md";

/// Writes the page, then says what is wrong with the table.
pub fn write(root: &Path) -> Result<()> {
    let (page, findings) = judge(root)?;
    fs::write(root.join(PAGE), page).with_context(|| format!("cannot write {PAGE}"))?;
    println!("wrote {PAGE}");
    report(&findings)
}

/// Writes nothing: says what is wrong with the table, and whether the page is the one that would be written.
pub fn only_check(root: &Path) -> Result<()> {
    let mut findings = Vec::new();
    check(root, &mut findings)?;
    report(&findings)
}

/// The same for `cargo xtask check`.
pub fn check(root: &Path, findings: &mut Vec<Finding>) -> Result<()> {
    let (page, found) = judge(root)?;
    findings.extend(found);
    let committed = files::read(root, PAGE).unwrap_or_default();
    findings.extend(stale(&committed, &page));
    Ok(())
}

fn judge(root: &Path) -> Result<(String, Vec<Finding>)> {
    let documents = table::documents()?;
    let also = proofs::also()?;
    let tests = scan::tests(root)?;
    let proofs = proofs::Proofs::new(&tests, &also).with_one_sided(proofs::one_sided()?);
    Ok((page::write(&documents, &proofs), rules::check(&documents, &also, &proofs, rules::OWED)))
}

fn stale(committed: &str, written: &str) -> Option<Finding> {
    let line = page::difference(committed, written)?;
    Some(Finding::new(PAGE, line, "not what the table and the tests say; run `cargo xtask matrix`"))
}

fn report(findings: &[Finding]) -> Result<()> {
    for finding in findings {
        println!("{finding}");
    }
    if findings.is_empty() {
        return Ok(());
    }
    bail!("{} finding(s)", findings.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_differs_from_the_committed_one_is_found() {
        assert_eq!(stale("a\nb\n", "a\nb\n"), None);
        let found = stale("a\nb\n", "a\nc\n").unwrap().to_string();
        assert!(
            found.starts_with("docs/conformance.md:2: ") && found.contains("cargo xtask matrix"),
            "{found}"
        );
        assert!(stale("", "a\n").is_some(), "a missing page");
    }
}
