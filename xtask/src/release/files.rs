//! The files of a release: an archive that is the same wherever it is packed, checksums of all files, and a signature over
//! the checksums. Who downloads them needs `ssh-keygen` and `sha256sum`, which are there.

use crate::steps::pass;
use anyhow::{Context, Result, bail};
use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

/// What a signature is for (`ssh-keygen -n`): one that was made for something else does not count here.
const NAMESPACE: &str = "hallpass-release";
const SUMS: &str = "SHA256SUMS";
/// What is packed beside the program.
const BESIDE: [&str; 4] = ["README.md", "CHANGELOG.md", "LICENSE-APACHE", "LICENSE-MIT"];

/// Packs the program and its papers. Names, order, times, owners and modes are the same on each machine.
pub fn archive(program: &Path, root: &Path, to: &Path, seconds: u64) -> Result<()> {
    let name = to.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let name = name.strip_suffix(".tar.gz").context("an archive ends with .tar.gz")?;
    let folder = to.with_file_name(format!(".{name}"));
    let inside = folder.join(name);
    fs::create_dir_all(&inside)?;
    fs::copy(program, inside.join("hallpass")).context("the program cannot be copied")?;
    for paper in BESIDE {
        fs::copy(root.join(paper), inside.join(paper))
            .with_context(|| format!("{paper} cannot be copied"))?;
    }
    let mut tar = Command::new("tar");
    tar.args(["--sort=name", "--owner=0", "--group=0", "--numeric-owner", "--format=ustar"]);
    tar.args(["--mode=u=rwX,go=rX", "--use-compress-program=gzip -n -9"]);
    tar.arg(format!("--mtime=@{seconds}")).arg("-cf").arg(to).arg("-C").arg(&folder).arg(name);
    pass("tar", &mut tar)?;
    fs::remove_dir_all(folder).context("the folder that was packed cannot be removed")
}

/// Writes the checksums of all files.
pub fn sums(folder: &Path) -> Result<()> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        names.push(entry?.file_name());
    }
    names.sort();
    let done = Command::new("sha256sum").arg("--").args(&names).current_dir(folder).output();
    let done = done.context("sha256sum cannot be started")?;
    if !done.status.success() {
        bail!("sha256sum: {}", String::from_utf8_lossy(&done.stderr));
    }
    Ok(fs::write(folder.join(SUMS), done.stdout)?)
}

/// Signs the checksums with a private SSH key, to `SHA256SUMS.sig`.
pub fn sign(folder: &Path, key: &Path) -> Result<()> {
    let mut sign = Command::new("ssh-keygen");
    sign.args(["-q", "-Y", "sign", "-n", NAMESPACE, "-f"]).arg(key).arg(folder.join(SUMS));
    pass("ssh-keygen -Y sign", sign.stdin(Stdio::inherit()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs::File, path::PathBuf, time::SystemTime};
    use tempfile::TempDir;

    /// As README and SECURITY.md tell people to check a download.
    const CHECK: &str = "ssh-keygen -Y verify -f allowed_signers -I releases@hallpass -n hallpass-release \
        -s SHA256SUMS.sig < SHA256SUMS && sha256sum --check --strict SHA256SUMS";

    fn passes(folder: &Path) -> bool {
        let mut shell = Command::new("sh");
        shell.args(["-c", CHECK]).current_dir(folder).stdout(Stdio::null()).stderr(Stdio::null());
        shell.status().unwrap().success()
    }

    fn key(folder: &Path, name: &str) -> PathBuf {
        let path = folder.join(name);
        let mut make = Command::new("ssh-keygen");
        make.args(["-q", "-t", "ed25519", "-N", "", "-C", "", "-f"]).arg(&path);
        pass("ssh-keygen", &mut make).unwrap();
        path
    }

    fn papers(folder: &Path) {
        for paper in BESIDE.iter().chain(&["program"]) {
            fs::write(folder.join(paper), paper).unwrap();
        }
    }

    /// A release of a program that is none, and the key that signed it.
    fn release() -> (TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let (keys, to) = (folder.path().join("keys"), folder.path().join("files"));
        for each in [&keys, &to] {
            fs::create_dir(each).unwrap();
        }
        papers(&keys);
        archive(&keys.join("program"), &keys, &to.join("hallpass-1-x.tar.gz"), 1_700_000_000).unwrap();
        fs::write(to.join("hallpass-1-x.cdx.json"), "{}").unwrap();
        sums(&to).unwrap();
        let signer = key(&keys, "signer");
        sign(&to, &signer).unwrap();
        let public = fs::read_to_string(keys.join("signer.pub")).unwrap();
        fs::write(to.join("allowed_signers"), format!("releases@hallpass {public}")).unwrap();
        (folder, keys)
    }

    #[test]
    fn t_100_a_release_that_was_changed_or_signed_by_somebody_else_is_refused() {
        let (folder, keys) = release();
        let to = folder.path().join("files");
        assert!(passes(&to));

        for name in ["hallpass-1-x.tar.gz", "hallpass-1-x.cdx.json", "SHA256SUMS"] {
            let before = fs::read(to.join(name)).unwrap();
            let mut changed = before.clone();
            let last = changed.len() - 2;
            changed[last] ^= 1;
            fs::write(to.join(name), changed).unwrap();
            assert!(!passes(&to), "{name} was changed");
            fs::write(to.join(name), before).unwrap();
        }
        assert!(passes(&to));

        // Made anew with other sums, and signed by another key, or for another purpose.
        fs::write(to.join("hallpass-1-x.cdx.json"), "{\"evil\":true}").unwrap();
        for extra in ["SHA256SUMS", "SHA256SUMS.sig"] {
            fs::remove_file(to.join(extra)).unwrap();
        }
        let signers = fs::read(to.join("allowed_signers")).unwrap();
        fs::remove_file(to.join("allowed_signers")).unwrap();
        sums(&to).unwrap();
        fs::write(to.join("allowed_signers"), signers).unwrap();
        assert!(!passes(&to), "nobody signed it");
        sign(&to, &key(&keys, "other")).unwrap();
        assert!(!passes(&to), "somebody else signed it");
        fs::remove_file(to.join("SHA256SUMS.sig")).unwrap();
        let mut elsewhere = Command::new("ssh-keygen");
        elsewhere.args(["-q", "-Y", "sign", "-n", "git", "-f"]).arg(keys.join("signer")).arg(to.join(SUMS));
        pass("ssh-keygen", &mut elsewhere).unwrap();
        assert!(!passes(&to), "it was signed for something else");
    }

    #[test]
    fn t_100_the_same_program_is_the_same_archive_wherever_and_whenever_it_is_packed() {
        let packed = |age: u64| {
            let folder = tempfile::tempdir().unwrap();
            papers(folder.path());
            let at = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_600_000_000 + age);
            File::options()
                .append(true)
                .open(folder.path().join("program"))
                .unwrap()
                .set_modified(at)
                .unwrap();
            let to = folder.path().join("hallpass-1-x.tar.gz");
            archive(&folder.path().join("program"), folder.path(), &to, 1_700_000_000).unwrap();
            fs::read(to).unwrap()
        };
        assert_eq!(packed(0), packed(86_400));
    }
}
