//! What the program is made of: every package that is built into `hallpass`, from `cargo metadata` and Cargo.lock.

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

const PROGRAM: &str = "hallpass-cli";

/// One package.
#[derive(Clone, Debug, Default)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// An SPDX expression, or an older spelling of one; empty where there is none.
    pub licence: String,
    /// From a registry, from elsewhere, or of this repository.
    pub origin: Origin,
    /// SHA-256 of what is downloaded, from Cargo.lock.
    pub checksum: Option<String>,
    /// Keys of the packages it is built with.
    pub needs: BTreeSet<String>,
}

/// Where a package comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// This repository.
    #[default]
    Here,
    /// A registry: a version there never changes.
    Registry,
    /// A git repository or a patch.
    Elsewhere,
}

/// Everything that is built into the program, on whatever platform, by `name@version`. What only tests need is not
/// in it.
pub fn of_program(root: &Path) -> Result<BTreeMap<String, Package>> {
    let output = Command::new("cargo")
        .args(["metadata", "--format-version", "1", "--locked"])
        .current_dir(root)
        .output()
        .context("cannot start cargo metadata")?;
    if !output.status.success() {
        bail!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let metadata = serde_json::from_slice(&output.stdout).context("cargo metadata")?;
    let lock = fs::read_to_string(root.join("Cargo.lock")).context("cannot read Cargo.lock")?;
    let mut packages = read(&metadata, &checksums(&lock)?)?;
    // The metadata has the features that anything in the workspace asks for, tests and harnesses too; the tree has those of the
    // program.
    let built = tree(root)?;
    packages.retain(|key, _| built.contains(key));
    for package in packages.values_mut() {
        package.needs.retain(|key| built.contains(key));
    }
    Ok(packages)
}

/// `name@version` of all that the program alone is built of.
fn tree(root: &Path) -> Result<BTreeSet<String>> {
    let output = Command::new("cargo")
        .args(["tree", "--package", PROGRAM, "--edges", "normal,build", "--target", "all"])
        .args(["--prefix", "none", "--format", "{p}", "--locked"])
        .current_dir(root)
        .output()
        .context("cannot start cargo tree")?;
    if !output.status.success() {
        bail!("cargo tree: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(keys_of(&String::from_utf8_lossy(&output.stdout)))
}

/// Of lines such as `serde v1.0.228 (*)`.
fn keys_of(tree: &str) -> BTreeSet<String> {
    let key = |line: &str| {
        let mut words = line.split(' ');
        Some(format!("{}@{}", words.next()?, words.next()?.strip_prefix('v')?))
    };
    tree.lines().filter_map(key).collect()
}

fn checksums(lock: &str) -> Result<BTreeMap<String, String>> {
    let lock: toml::Table = lock.parse().context("Cargo.lock")?;
    let packages =
        lock.get("package").and_then(toml::Value::as_array).context("Cargo.lock has no packages")?;
    let text = |package: &toml::Value, name: &str| package.get(name)?.as_str().map(str::to_owned);
    Ok(packages
        .iter()
        .filter_map(|package| {
            let key = format!("{}@{}", text(package, "name")?, text(package, "version")?);
            Some((key, text(package, "checksum")?))
        })
        .collect())
}

fn read(metadata: &Value, checksums: &BTreeMap<String, String>) -> Result<BTreeMap<String, Package>> {
    let mut keys = BTreeMap::new();
    let mut all = BTreeMap::new();
    for one in list(metadata, "packages") {
        let (name, version) = (text(one, "name"), text(one, "version"));
        let key = format!("{name}@{version}");
        let origin = match text(one, "source").as_str() {
            "" => Origin::Here,
            source if source.starts_with("registry+") => Origin::Registry,
            _ => Origin::Elsewhere,
        };
        let checksum = checksums.get(&key).cloned();
        let package =
            Package { name, version, licence: text(one, "license"), origin, checksum, ..Package::default() };
        keys.insert(text(one, "id"), key.clone());
        all.insert(key, package);
    }
    let resolve = metadata.get("resolve").unwrap_or(&Value::Null);
    for node in list(resolve, "nodes") {
        let needs = list(node, "deps").filter(|dependency| is_built_in(dependency));
        let needs = needs.filter_map(|dependency| keys.get(&text(dependency, "pkg"))).cloned().collect();
        if let Some(package) = keys.get(&text(node, "id")).and_then(|key| all.get_mut(key)) {
            package.needs = needs;
        }
    }
    let program = all.iter().find(|(_, package)| package.name == PROGRAM);
    let mut waiting = vec![program.map(|(key, _)| key.clone()).context("the program is not a package")?];
    let mut found = BTreeMap::new();
    while let Some(key) = waiting.pop() {
        if let Some(package) = all.remove(&key) {
            waiting.extend(package.needs.iter().cloned());
            found.insert(key, package);
        }
    }
    Ok(found)
}

fn is_built_in(dependency: &Value) -> bool {
    list(dependency, "dep_kinds").any(|kind| kind.get("kind").and_then(Value::as_str) != Some("dev"))
}

fn list<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    value.get(name).and_then(Value::as_array).into_iter().flatten()
}

fn text(value: &Value, name: &str) -> String {
    value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// `cargo xtask sbom`: the bill of materials on standard output.
pub fn sbom(root: &Path) -> Result<()> {
    std::io::stdout().write_all(bill_of_materials(root)?.as_bytes()).context("cannot print the bill")
}

/// As CycloneDX 1.6. The same tree gives the same bytes.
pub fn bill_of_materials(root: &Path) -> Result<String> {
    Ok(serde_json::to_string_pretty(&bill(&of_program(root)?))? + "\n")
}

fn bill(packages: &BTreeMap<String, Package>) -> Value {
    let (program, others): (Vec<_>, Vec<_>) = packages.values().partition(|package| package.name == PROGRAM);
    let dependencies: Vec<Value> = packages
        .values()
        .map(|package| {
            let needs: Vec<String> =
                package.needs.iter().filter_map(|key| packages.get(key)).map(reference).collect();
            json!({ "ref": reference(package), "dependsOn": needs })
        })
        .collect();
    json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": { "component": program.first().map(|package| component(package, "application")) },
        "components": others.iter().map(|package| component(package, "library")).collect::<Vec<_>>(),
        "dependencies": dependencies,
    })
}

fn component(package: &Package, kind: &str) -> Value {
    let mut component = json!({
        "type": kind,
        "bom-ref": reference(package),
        "name": package.name,
        "version": package.version,
        "purl": reference(package),
        "licenses": [{ "expression": package.licence.replace('/', " OR ") }],
    });
    if let (Some(checksum), Some(members)) = (&package.checksum, component.as_object_mut()) {
        members.insert("hashes".into(), json!([{ "alg": "SHA-256", "content": checksum }]));
    }
    component
}

fn reference(package: &Package) -> String {
    format!("pkg:cargo/{}@{}", package.name, package.version)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata() -> Value {
        let package = |name: &str, source: Value| json!({ "name": name, "version": "1.0.0", "id": format!("id-{name}"), "license": "MIT/Apache-2.0", "source": source });
        let needs =
            |name: &str, kind: Value| json!({ "pkg": format!("id-{name}"), "dep_kinds": [{ "kind": kind }] });
        json!({
            "packages": [
                package(PROGRAM, Value::Null), package("a", json!("registry+r")), package("b", json!("registry+r")),
                package("only-tests", json!("registry+r")), package("builds", json!("git+g")),
            ],
            "resolve": { "nodes": [
                { "id": format!("id-{PROGRAM}"), "deps": [needs("a", Value::Null), needs("only-tests", json!("dev"))] },
                { "id": "id-a", "deps": [needs("b", Value::Null), needs("builds", json!("build"))] },
            ] },
        })
    }

    #[test]
    fn the_tree_is_read_line_by_line() {
        let keys = keys_of(
            "hallpass-cli v0.1.0 (/x)\nserde v1.0.228\nserde v1.0.228 (*)\ntime-macros v0.2.1 (proc-macro)\n\n",
        );
        let expected = ["hallpass-cli@0.1.0", "serde@1.0.228", "time-macros@0.2.1"];
        assert_eq!(keys.into_iter().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn t_100_what_is_built_in_is_listed_and_what_only_tests_need_is_not() {
        let sums =
            checksums("[[package]]\nname = \"a\"\nversion = \"1.0.0\"\nchecksum = \"00ff\"\n").unwrap();
        let found = read(&metadata(), &sums).unwrap();
        let names: Vec<&str> = found.values().map(|package| &*package.name).collect();
        assert_eq!(names, ["a", "b", "builds", PROGRAM]);
        assert_eq!(found["builds@1.0.0"].origin, Origin::Elsewhere);
        let bill = bill(&found);
        assert_eq!(bill["metadata"]["component"]["name"], PROGRAM);
        let a = &bill["components"][0];
        assert_eq!((&a["purl"], &a["hashes"][0]["content"]), (&json!("pkg:cargo/a@1.0.0"), &json!("00ff")));
        assert_eq!(a["licenses"][0]["expression"], "MIT OR Apache-2.0");
        assert_eq!(
            bill["dependencies"][0]["dependsOn"],
            json!(["pkg:cargo/b@1.0.0", "pkg:cargo/builds@1.0.0"])
        );
    }
}
