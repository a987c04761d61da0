//! Which files the checks look at. Paths are given from the root, with `/`.

use anyhow::{Context, Result};
use std::fs;
use std::path::Path;

/// One file: its path from the root, and its text.
pub type File = (String, String);

/// The text of one file.
pub fn read(root: &Path, path: &str) -> Result<String> {
    fs::read_to_string(root.join(path)).with_context(|| format!("cannot read {path}"))
}

/// The manifests of all crates.
pub fn manifests(root: &Path) -> Result<Vec<File>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(root.join("crates")).context("cannot list crates/")? {
        let path = format!("crates/{}/Cargo.toml", entry?.file_name().to_string_lossy());
        if root.join(&path).is_file() {
            let text = read(root, &path)?;
            found.push((path, text));
        }
    }
    found.sort();
    Ok(found)
}

/// All Rust and SQL files of the crates and of xtask.
pub fn sources(root: &Path) -> Result<Vec<File>> {
    let mut found = Vec::new();
    for folder in ["crates", "xtask"] {
        walk(root, folder, &mut found)?;
    }
    found.sort();
    Ok(found)
}

fn walk(root: &Path, folder: &str, found: &mut Vec<File>) -> Result<()> {
    for entry in fs::read_dir(root.join(folder)).with_context(|| format!("cannot list {folder}/"))? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{folder}/{name}");
        if entry.file_type()?.is_dir() {
            if name != "target" && !name.starts_with('.') {
                walk(root, &path, found)?;
            }
        } else if has_extension(&name, "rs") || has_extension(&name, "sql") {
            let text = read(root, &path)?;
            found.push((path, text));
        }
    }
    Ok(())
}

/// Whether a file is of this kind.
pub fn has_extension(name: &str, extension: &str) -> bool {
    Path::new(name).extension().is_some_and(|found| found == extension)
}

/// Whether a file is made of tests only, and so has no size limit and no purity.
pub fn is_test(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    name == "tests.rs" || name.ends_with("_tests.rs") || path.contains("/tests/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_sources_are_found_and_the_build_folder_is_not_entered() {
        let folder = tempfile::tempdir().unwrap();
        for path in
            ["crates/a/src/lib.rs", "crates/a/src/one.sql", "crates/a/target/x.rs", "crates/a/notes.md"]
        {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        fs::create_dir(folder.path().join("xtask")).unwrap();
        let paths: Vec<String> = sources(folder.path()).unwrap().into_iter().map(|(path, _)| path).collect();
        assert_eq!(paths, ["crates/a/src/lib.rs", "crates/a/src/one.sql"]);
    }

    #[test]
    fn test_files_are_known_by_name_or_folder() {
        assert!(is_test("crates/core/src/uri/tests.rs"));
        assert!(is_test("crates/fetch/src/client_tests.rs"));
        assert!(is_test("crates/server/tests/story.rs"));
        assert!(!is_test("crates/server/src/contests.rs"));
    }
}
