//! `hallpass exec` becomes the program that it runs.

use super::node::{command, finished};
use hallpass_client::storage::{ClientCredentials, Entry, EntryKey, Store, TokenAuth, Tokens};
use hallpass_core::{
    entropy::SystemEntropy,
    scope::Scope,
    secret::SecretString,
    time::{Clock, SystemClock, Timestamp},
};
use std::{
    io::{BufRead as _, BufReader},
    os::unix::process::ExitStatusExt as _,
    path::Path,
    process::{Command, Stdio},
};

const SERVER: &str = "http://127.0.0.1:9/mcp";

/// A sign-in whose token ends then, if at all.
fn sign_in(folder: &Path, expires_at: Option<Timestamp>) {
    let now = SystemClock.now();
    let entry = Entry {
        key: EntryKey {
            issuer: "http://127.0.0.1:9".into(),
            resource: SERVER.into(),
            account: "default".into(),
        },
        server: SERVER.into(),
        client: ClientCredentials { client_id: "c".into(), client_secret: None, auth: TokenAuth::None },
        token_endpoint: "http://127.0.0.1:9/token".into(),
        revocation_endpoint: None,
        client_is_given: false,
        endpoints_read_at: now,
        requested_scope: Scope::none(),
        tokens: Tokens {
            access_token: SecretString::new("token-canary"),
            issued_at: now,
            expires_at,
            refresh_token: None,
            scope: Scope::none(),
            proof_key: None,
        },
        signed_in_at: now,
        renewal: None,
    };
    Store::new(folder.to_owned()).update(now, &SystemEntropy, |all| all.put_entry(entry)).unwrap();
}

fn exec(folder: &Path, program: &[&str]) -> Command {
    let words = ["exec", SERVER, "--state", folder.to_str().unwrap(), "--"];
    let mut command = command(&[&words[..], program].concat());
    command.stdout(Stdio::piped());
    command
}

#[test]
fn who_ends_exec_ends_the_program_that_it_runs() {
    let folder = tempfile::tempdir().unwrap();
    sign_in(folder.path(), None);
    let script = "trap 'exit 7' USR1; echo $$ $MCP_TOKEN; while :; do sleep 0.05; done";
    let begin = || {
        let mut child = exec(folder.path(), &["sh", "-c", script]).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(
            line.trim(),
            format!("{} token-canary", child.id()),
            "the same process, not one beside it"
        );
        child
    };
    let signal = |signal: &str, id: u32| {
        assert!(Command::new("kill").args([signal, &id.to_string()]).status().unwrap().success());
    };
    let mut child = begin();
    signal("-TERM", child.id());
    assert_eq!(child.wait().unwrap().signal(), Some(15));
    // One that it handles reaches it, and its own code comes back.
    let mut child = begin();
    signal("-USR1", child.id());
    assert_eq!(child.wait().unwrap().code(), Some(7));
    // And one that ends itself is seen to.
    let ended = exec(folder.path(), &["sh", "-c", "kill -KILL $$"]).status().unwrap();
    assert_eq!((ended.signal(), ended.code()), (Some(9), None));
}

#[test]
fn the_end_of_a_token_is_written_as_people_read_it() {
    let folder = tempfile::tempdir().unwrap();
    let end = Timestamp::from_millis(4_102_444_800_123);
    sign_in(folder.path(), Some(end));
    let said = |words: &[&str]| {
        let (code, out, err) =
            finished(&[words, &["--json", "--state", folder.path().to_str().unwrap()]].concat());
        assert_eq!(code, 0, "{err}");
        serde_json::from_str::<serde_json::Value>(&out).unwrap()
    };
    assert_eq!(said(&["token", SERVER])["expires_at"], "2100-01-01T00:00:00.123Z");
    let account = &said(&["status"])["accounts"][0];
    assert_eq!(account["expires_at"], "2100-01-01T00:00:00.123Z");
    assert!(account["signed_in_at"].as_str().unwrap().ends_with('Z'), "{account}");
}
