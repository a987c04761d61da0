//! A crate imports only from lower floors (ARCHITECTURE.md, "Floors").

use super::files::File;
use super::finding::Finding;
use toml::Table;

/// The floor of each package. What is not here does not build until somebody gives it a floor.
const FLOORS: [(&str, u8); 9] = [
    ("hallpass-core", 1),
    ("hallpass-store", 2),
    ("hallpass-fetch", 2),
    ("hallpass-client", 3),
    ("hallpass-resource", 3),
    ("hallpass-server", 4),
    ("hallpass-gateway", 4),
    ("hallpass-doctor", 4),
    ("hallpass-cli", 5),
];

/// Packages for development: free in what they import, never part of the program.
const DEVELOPMENT: [&str; 5] =
    ["hallpass-testkit", "hallpass-bench", "hallpass-conformance", "hallpass-fuzz", "xtask"];

/// Imports that the floors would allow and the design does not: libraries for other people's programs need no database.
const FORBIDDEN: [(&str, &str); 2] =
    [("hallpass-client", "hallpass-store"), ("hallpass-resource", "hallpass-store")];

/// Checks all manifests. Test-only imports may point anywhere: they do not reach the built crate.
pub fn check(manifests: &[File], findings: &mut Vec<Finding>) {
    for (path, text) in manifests {
        match text.parse::<Table>() {
            Ok(manifest) => one(path, text, &manifest, findings),
            Err(error) => {
                findings.push(Finding::new(path, 1, format!("not a manifest: {}", error.message())));
            }
        }
    }
}

fn one(path: &str, text: &str, manifest: &Table, findings: &mut Vec<Finding>) {
    let name = manifest.get("package").and_then(|package| package.get("name")).and_then(toml::Value::as_str);
    let name = name.unwrap_or_default();
    if DEVELOPMENT.contains(&name) {
        return;
    }
    let Some(floor) = floor_of(name) else {
        let what =
            format!("{name} has no floor; give it one in xtask/src/check/floors.rs and ARCHITECTURE.md");
        findings.push(Finding::new(path, 1, what));
        return;
    };
    for dependency in dependencies(manifest) {
        if let Some(what) = broken(name, floor, &dependency) {
            let line = text.lines().position(|line| line.contains(&dependency)).map_or(1, |at| at + 1);
            findings.push(Finding::new(path, line, what));
        }
    }
}

fn broken(name: &str, floor: u8, dependency: &str) -> Option<String> {
    if DEVELOPMENT.contains(&dependency) {
        return Some(format!("{dependency} is for development; move it to [dev-dependencies]"));
    }
    if FORBIDDEN.contains(&(name, dependency)) {
        return Some(format!("{name} must build without {dependency}; move what both need to hallpass-core"));
    }
    let below = floor_of(dependency)?;
    (below >= floor).then(|| {
        format!(
            "{name} (floor {floor}) imports {dependency} (floor {below}); move what it needs to a lower floor"
        )
    })
}

fn floor_of(name: &str) -> Option<u8> {
    FLOORS.iter().find(|(known, _)| *known == name).map(|(_, floor)| *floor)
}

/// The packages that the built crate uses: plain and build dependencies, also those of one platform.
pub(super) fn dependencies(manifest: &Table) -> Vec<String> {
    let platforms = manifest.get("target").and_then(toml::Value::as_table);
    let platforms = platforms.into_iter().flat_map(Table::values).filter_map(toml::Value::as_table);
    let mut found = Vec::new();
    for part in std::iter::once(manifest).chain(platforms) {
        for key in ["dependencies", "build-dependencies"] {
            let entries = part.get(key).and_then(toml::Value::as_table).into_iter().flatten();
            // A renamed dependency is known by its package, not by its key.
            found.extend(entries.map(|(key, value)| {
                value.get("package").and_then(toml::Value::as_str).unwrap_or(key).to_owned()
            }));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::lines;
    use super::*;

    fn found(manifest: &str) -> Vec<String> {
        let mut findings = Vec::new();
        check(&[("crates/x/Cargo.toml".to_owned(), manifest.to_owned())], &mut findings);
        lines(&findings)
    }

    #[test]
    fn a_lower_floor_may_be_imported() {
        let manifest = "[package]\nname = \"hallpass-server\"\n[dependencies]\nhallpass-store.workspace = true\nurl = \"2\"";
        assert_eq!(found(manifest), Vec::<String>::new());
    }

    #[test]
    fn the_same_floor_and_a_higher_one_may_not() {
        let same =
            found("[package]\nname = \"hallpass-gateway\"\n[dependencies]\nhallpass-server.workspace = true");
        assert_eq!(same.len(), 1);
        assert!(
            same[0].starts_with("crates/x/Cargo.toml:4: hallpass-gateway (floor 4) imports hallpass-server")
        );
        assert_eq!(
            found("[package]\nname = \"hallpass-core\"\n[build-dependencies]\nhallpass-cli = \"1\"").len(),
            1
        );
    }

    #[test]
    fn a_new_name_or_a_platform_hides_nothing() {
        let renamed =
            "[package]\nname = \"hallpass-core\"\n[dependencies]\nx = { package = \"hallpass-fetch\" }";
        assert_eq!(found(renamed).len(), 1);
        let platform =
            "[package]\nname = \"hallpass-core\"\n[target.'cfg(unix)'.dependencies]\nhallpass-fetch = \"1\"";
        assert_eq!(found(platform).len(), 1);
    }

    #[test]
    fn client_and_resource_build_without_a_database() {
        for name in ["hallpass-client", "hallpass-resource"] {
            let manifest =
                format!("[package]\nname = \"{name}\"\n[dependencies]\nhallpass-store.workspace = true");
            assert!(found(&manifest)[0].contains("must build without hallpass-store"));
        }
    }

    #[test]
    fn development_crates_are_for_tests_only() {
        let manifest =
            "[package]\nname = \"hallpass-core\"\n[dev-dependencies]\nhallpass-testkit.workspace = true";
        assert_eq!(found(manifest), Vec::<String>::new());
        assert_eq!(found(&manifest.replace("dev-dependencies", "dependencies")).len(), 1);
        let bench = "[package]\nname = \"hallpass-bench\"\n[dependencies]\nhallpass-server.workspace = true";
        assert_eq!(found(bench), Vec::<String>::new());
    }

    #[test]
    fn a_crate_without_a_floor_is_a_finding() {
        assert!(found("[package]\nname = \"hallpass-new\"")[0].contains("has no floor"));
    }
}
