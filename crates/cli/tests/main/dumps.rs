//! A crash leaves nothing behind that somebody could read keys from.

use super::node::{Node, free_port};
use std::process::Command;

#[test]
#[cfg(target_os = "linux")]
fn t_98_a_server_leaves_no_core_dump_where_the_system_would_make_them() {
    let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
    let script = "ulimit -S -c \"$(ulimit -H -c)\" && exec \"$@\"";
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh", env!("CARGO_BIN_EXE_hallpass"), "run", "--port", &port.to_string()]);
    command.arg("--state").arg(folder.path()).env("HALLPASS_CLIENT_KEYRING", "off");
    let node = Node::spawn(command, port);
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", node.id())).unwrap();
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
}
