//! What may be built into the program: from a registry, under a licence that asks for nothing but its text, once.

use super::finding::Finding;
use crate::packages::{Origin, Package};
use std::collections::BTreeMap;

/// Licences that fit into a program under MIT or Apache-2.0.
const LICENCES: [&str; 11] = [
    "MIT",
    "MIT-0",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-3-Clause",
    "ISC",
    "Zlib",
    "Unicode-3.0",
    "CC0-1.0",
    "Unlicense",
    "CDLA-Permissive-2.0",
];

/// Packages of which two versions are built in, because the packages that bring them have not moved on. When one of
/// them does, its line goes.
const TWICE: [&str; 5] = ["base64", "const-oid", "fallible-iterator", "syn", "wasi"];

/// Checks all of them.
pub fn check(packages: &BTreeMap<String, Package>, findings: &mut Vec<Finding>) {
    let mut versions: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for package in packages.values() {
        versions.entry(&package.name).or_default().push(&package.version);
        for what in [source(package), licence(package)].into_iter().flatten() {
            findings.push(Finding::new("Cargo.lock", 1, what));
        }
    }
    for (name, versions) in versions {
        let versions = versions.join(" and ");
        let twice = versions.contains(' ');
        if twice && !TWICE.contains(&name) {
            let what = format!(
                "{name} is built in as {versions}; `cargo tree -i {name}` shows why: move to one, or name it in TWICE of xtask/src/check/packages.rs"
            );
            findings.push(Finding::new("Cargo.lock", 1, what));
        }
        if !twice && TWICE.contains(&name) {
            let what =
                format!("{name} is built in once; take it out of TWICE in xtask/src/check/packages.rs");
            findings.push(Finding::new("xtask/src/check/packages.rs", 1, what));
        }
    }
}

fn source(package: &Package) -> Option<String> {
    let Package { name, version, .. } = package;
    match package.origin {
        Origin::Elsewhere => Some(format!("{name} {version} is not from a registry; what it is can change")),
        Origin::Registry if package.checksum.is_none() => {
            Some(format!("{name} {version} has no checksum; run `cargo update -p {name}`"))
        }
        Origin::Here | Origin::Registry => None,
    }
}

fn licence(package: &Package) -> Option<String> {
    let Package { name, version, licence, .. } = package;
    (!is_allowed(licence)).then(|| {
        format!("{name} {version} is under {licence:?}; find another, or add the licence to xtask/src/check/packages.rs and say why it fits")
    })
}

/// Whether an SPDX expression can be met with our licences: one of those joined by OR (or `/`), all of those by AND.
fn is_allowed(expression: &str) -> bool {
    let spaced = expression.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    any_of(&mut rest) == Some(true) && rest.is_empty()
}

fn any_of(rest: &mut &[&str]) -> Option<bool> {
    let mut allowed = all_of(rest)?;
    while let Some((&"OR", tail)) = rest.split_first() {
        *rest = tail;
        allowed |= all_of(rest)?;
    }
    Some(allowed)
}

fn all_of(rest: &mut &[&str]) -> Option<bool> {
    let mut allowed = one(rest)?;
    while let Some((&"AND", tail)) = rest.split_first() {
        *rest = tail;
        allowed &= one(rest)?;
    }
    Some(allowed)
}

/// Nothing, where the expression is none.
fn one(rest: &mut &[&str]) -> Option<bool> {
    let (&first, tail) = rest.split_first()?;
    *rest = tail;
    if first == "(" {
        let allowed = any_of(rest)?;
        let (&")", tail) = rest.split_first()? else { return None };
        *rest = tail;
        return Some(allowed);
    }
    if let [with @ "WITH", exception, tail @ ..] = *rest {
        *rest = tail;
        return Some(LICENCES.contains(&format!("{first} {with} {exception}").as_str()));
    }
    Some(LICENCES.contains(&first))
}

#[cfg(test)]
mod tests {
    use super::super::lines;
    use super::*;

    #[test]
    fn t_100_an_expression_has_to_be_met_and_not_only_mentioned() {
        for good in [
            "MIT",
            "MIT OR Apache-2.0",
            "MIT/Apache-2.0",
            "GPL-3.0-only OR MIT",
            "(MIT OR Apache-2.0) AND Unicode-3.0",
            "Apache-2.0 WITH LLVM-exception OR Apache-2.0",
            "ISC AND (Apache-2.0 OR ISC) AND BSD-3-Clause",
        ] {
            assert!(is_allowed(good), "{good}");
        }
        for bad in [
            "",
            "GPL-3.0-only",
            "MIT AND GPL-3.0-only",
            "(MIT OR Apache-2.0) AND LGPL-2.1-or-later",
            "MIT WITH something",
            "MIT (",
            "MIT OR",
        ] {
            assert!(!is_allowed(bad), "{bad}");
        }
    }

    #[test]
    fn t_100_two_versions_a_foreign_source_and_a_missing_checksum_are_findings() {
        let package = |name: &str, version: &str, origin, checksum: Option<&str>| {
            let package = Package {
                name: name.into(),
                version: version.into(),
                licence: "MIT".into(),
                origin,
                checksum: checksum.map(str::to_owned),
                ..Package::default()
            };
            (format!("{name}@{version}"), package)
        };
        let packages = BTreeMap::from([
            package("hallpass-cli", "0.1.0", Origin::Here, None),
            package("a", "1.0.0", Origin::Registry, Some("00")),
            package("a", "2.0.0", Origin::Registry, Some("00")),
            package("b", "1.0.0", Origin::Registry, None),
            package("c", "1.0.0", Origin::Elsewhere, None),
        ]);
        let mut findings = Vec::new();
        check(&packages, &mut findings);
        let found = lines(&findings).join("\n");
        assert_eq!(findings.len(), 3, "{found}");
        for part in
            ["a is built in as 1.0.0 and 2.0.0", "b 1.0.0 has no checksum", "c 1.0.0 is not from a registry"]
        {
            assert!(found.contains(part), "{found}");
        }
    }
}
