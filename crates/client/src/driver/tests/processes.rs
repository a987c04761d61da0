//! This very program again, as a process beside this one.
use std::{
    io::{BufRead as _, Write as _},
    process::{Child, Command, Stdio},
};

/// Starts the ignored test of this path as a process, which reads these lines with [`lines`].
pub(super) fn start(test: &str, lines: [&str; 2]) -> Child {
    let (_, name) = test.split_once("::").unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", name])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(format!("{}\n{}\n", lines[0], lines[1]).as_bytes()).unwrap();
    child
}

/// What the process that was started is told.
pub(super) fn lines() -> [String; 2] {
    let mut lines = std::io::stdin().lock().lines().map(Result::unwrap);
    [lines.next().unwrap(), lines.next().unwrap()]
}

/// What each printed. Waits for their ends.
pub(super) async fn outputs(children: Vec<Child>) -> Vec<String> {
    let output = |child: Child| String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
    tokio::task::spawn_blocking(move || children.into_iter().map(output).collect()).await.unwrap()
}
