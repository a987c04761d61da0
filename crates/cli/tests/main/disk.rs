//! A small disk of a test's own, mounted where nobody else sees it, that can be filled, made read-only and taken away.

use super::node::command;
use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// Keeps the mount alive until its input ends.
const HOLDER: &str =
    r#"mount -t tmpfs -o "size=$2,mode=0700" tmpfs "$1" && echo mounted && exec cat > /dev/null"#;

/// A file system in memory, in a mount namespace that ends with this value.
pub struct Disk {
    holder: Child,
    folder: tempfile::TempDir,
    by_root: bool,
}

impl Disk {
    /// Of this size, in the words of `mount -t tmpfs -o size=`.
    pub fn of(size: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().join("disk");
        std::fs::create_dir(&at).unwrap();
        let mut said = String::new();
        for (by_root, options) in [(true, "-m"), (false, "-Urm")] {
            let mut holder = Command::new("unshare");
            holder.args([options, "sh", "-c", HOLDER, "holder", at.to_str().unwrap(), size]);
            holder.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut holder = holder.spawn().unwrap_or_else(|error| panic!("unshare (util-linux): {error}"));
            let mut line = String::new();
            BufReader::new(holder.stdout.take().unwrap()).read_line(&mut line).unwrap();
            if line == "mounted\n" {
                return Self { holder, folder, by_root };
            }
            let output = holder.wait_with_output().unwrap();
            said.push_str(&String::from_utf8_lossy(&output.stderr));
        }
        panic!(
            "a disk of its own cannot be mounted: run the tests as root, or allow namespaces of users \
             (sysctl kernel.unprivileged_userns_clone=1, kernel.apparmor_restrict_unprivileged_userns=0): {said}"
        );
    }

    /// Where it is mounted, for programs that see it.
    pub fn path(&self) -> PathBuf {
        self.folder.path().join("disk")
    }

    /// A folder beside it, on the usual disk.
    pub fn beside(&self) -> &Path {
        self.folder.path()
    }

    /// `hallpass` with these arguments, where the disk is seen. A write that is not allowed is an error for it, no signal.
    pub fn hallpass(&self, arguments: &[&str]) -> Command {
        let plain = command(arguments);
        let program = plain.get_program().to_str().unwrap().to_owned();
        let mut words = vec!["env", "--ignore-signal=XFSZ", program.as_str()];
        words.extend(arguments);
        self.seeing(&words)
    }

    /// Runs it to its end: exit code, standard output, standard error.
    pub fn finished(&self, arguments: &[&str]) -> (i32, String, String) {
        let output = self.hallpass(arguments).output().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.code().unwrap_or(-1), text(output.stdout), text(output.stderr))
    }

    /// Any program, where the disk is seen.
    pub fn seeing(&self, words: &[&str]) -> Command {
        let mut entering = Command::new("nsenter");
        entering.args(["--target", &self.holder.id().to_string(), "--mount"]);
        if !self.by_root {
            entering.args(["--user", "--preserve-credentials"]);
        }
        entering.arg("--").args(words).stdin(Stdio::null());
        entering
    }

    /// A line of shell, where the disk is seen and named `$1`.
    pub fn shell(&self, script: &str) -> String {
        let path = self.path();
        let output = self.seeing(&["sh", "-c", script, "sh", path.to_str().unwrap()]).output().unwrap();
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Takes all the room there is.
    pub fn fill(&self) {
        self.shell(r#"cat /dev/zero >> "$1/ballast" 2> /dev/null; [ "$(df --output=avail "$1" | tail -n 1)" -eq 0 ]"#);
    }

    /// Makes it read-only under a running program. No system lets one do that while files are open for writing, so both halves
    /// of it are made apart: nothing can be opened for writing, and no write of this process succeeds.
    pub fn forbid_writing(&self, process: u32) {
        // At once: a program that opens something for writing in between would hold it.
        self.shell(
            r#"mkdir "$1.ro" && mount --bind "$1" "$1.ro" && mount -o remount,bind,ro "$1.ro" && mount --bind "$1.ro" "$1""#,
        );
        self.shell(&format!("prlimit --pid {process} --fsize=0:unlimited"));
    }

    /// Undoes it.
    pub fn allow_writing(&self, process: u32) {
        self.shell(&format!("prlimit --pid {process} --fsize=unlimited:unlimited"));
        // Whoever opened something meanwhile holds it.
        self.shell(r#"umount --lazy "$1" && umount --lazy "$1.ro" && rmdir "$1.ro""#);
    }

    /// Gives it back.
    pub fn make_room(&self) {
        self.shell(r#"rm "$1/ballast""#);
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        drop(self.holder.stdin.take());
        let _ = self.holder.wait();
    }
}
