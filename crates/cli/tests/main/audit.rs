//! The audit log of a whole node, and a restore.

use super::{
    http,
    node::{Node, command, finished, free_port},
    person::{self, Person},
};
use std::{
    fs,
    path::Path,
    process::Stdio,
    time::{Duration, Instant},
};

pub fn hallpass(state: &Path, port: u16, words: &[&str]) -> (i32, String, String) {
    let (state, port) = (state.to_str().unwrap().to_owned(), port.to_string());
    let mut arguments = words.to_vec();
    arguments.extend(["--state", &state, "--port", &port]);
    finished(&arguments)
}

pub fn copy(from: &Path, to: &Path) {
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
}

#[test]
fn as_222_p36_the_log_of_a_node_is_shown_verified_and_exported() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let node = Node::run(folder.path(), port);
    let (_, client, tokens) = person::granted(port, node.setup_link.as_deref());
    let run = |words: &[&str]| hallpass(folder.path(), port, words);
    assert_eq!(run(&["user", "disable", "ada"]).0, 0);
    assert!(node.stop());
    let (code, out, err) = run(&["audit", "verify"]);
    assert!(code == 0 && out.contains("0 not as written"), "{out}{err}");
    assert!(
        out.contains("main: ends with") && out.contains("operator: ends with") && err.is_empty(),
        "{err}"
    );
    let (_, shown, _) = run(&["audit", "tail", "-n", "100"]);
    assert!(shown.contains("grant_opened") && shown.contains(&client) && shown.contains("person_disabled"));
    let (_, exported, _) =
        run(&["audit", "export", "--json", "--event", "grant_opened", "--since", "2020-01-01"]);
    let rows: serde_json::Value = serde_json::from_str(&exported).unwrap();
    assert_eq!((rows.as_array().unwrap().len(), rows[0]["client"].as_str()), (1, Some(&*client)));
    assert_eq!(run(&["audit", "export", "--json", "--until", "2020-01-01"]).1.trim(), "[]");
    let (_, table, _) = run(&["audit", "export", "--csv"]);
    assert!(
        table.starts_with("at,node,sequence,event,") && table.contains(",\"person_disabled\","),
        "{table}"
    );
    let (code, _, err) = run(&["audit", "export", "--since", "yesterday"]);
    assert!(code == 2 && err.contains("2026-11-27"), "{err}");
    for secret in ["access_token", "refresh_token"].map(|name| tokens[name].as_str().unwrap()) {
        assert!(!shown.contains(secret) && !table.contains(secret));
    }
    let path = folder.path().join("audit/main-00000001.jsonl");
    let text = fs::read_to_string(&path).unwrap();
    // A log that is cut back to where it was closed once looks whole; the database knows better.
    assert!(Node::run(folder.path(), port).stop());
    let whole = fs::read_to_string(&path).unwrap();
    assert_eq!(run(&["audit", "verify"]).0, 0);
    fs::write(&path, &text).unwrap();
    let (code, _, err) = run(&["audit", "verify"]);
    let (last, remembered) = (text.lines().count(), whole.lines().count());
    assert!(
        code == 1
            && err.contains(&format!(
                "line {last}: is the last one, and the database remembers line {remembered}"
            )),
        "{err}"
    );
    fs::write(&path, &whole).unwrap();
    fs::write(&path, text.replacen("grant_opened", "grant_opemed", 1)).unwrap();
    let (code, _, err) = run(&["audit", "verify"]);
    let line = text.lines().take_while(|line| !line.contains("grant_opened")).count() + 1;
    assert!(code == 1 && err.contains(&format!("line {line}: was changed")), "{err}");
    let (code, out, _) = run(&["audit", "verify", "--json", path.to_str().unwrap()]);
    let said: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, said["findings"][0]["line"].to_string()), (1, line.to_string()));
    let empty = tempfile::tempdir().unwrap();
    assert!(hallpass(empty.path(), port, &["audit", "tail"]).2.contains("no audit log"));
}

#[test]
fn t_21_what_was_ended_since_a_backup_is_ended_again_from_the_audit_log() {
    let (folder, backup) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let port = free_port();
    let node = Node::run(folder.path(), port);
    let (mut ada, client, tokens) = person::granted(port, node.setup_link.as_deref());
    let run = |words: &[&str]| hallpass(folder.path(), port, words);
    let refresh = |tokens: &serde_json::Value| {
        let answer = person::refresh(port, &client, tokens["refresh_token"].as_str().unwrap()).unwrap();
        (answer.status, serde_json::from_str::<serde_json::Value>(&answer.body).unwrap())
    };
    assert_eq!(run(&["user", "add", "grace"]).0, 0);
    assert_eq!(run(&["user", "add", "mary"]).0, 0);
    let keys: serde_json::Value = serde_json::from_str(&run(&["key", "list", "--json"]).1).unwrap();
    let stolen = keys[0]["kid"].as_str().unwrap().to_owned();
    assert_eq!(run(&["key", "rotate", "--now"]).0, 0);
    let add = ["client", "add", "--id", "old", "--name", "Old", "--redirect-uri", person::REDIRECT];
    assert_eq!(run(&add).0, 0);
    assert!(node.stop());
    copy(folder.path(), backup.path());
    // After the backup: a grant is revoked, an account is disabled, another is made.
    let node = Node::run(folder.path(), port);
    let form = http::form(
        port,
        "/revoke",
        &[("client_id", &client), ("token", tokens["refresh_token"].as_str().unwrap())],
        &[],
    );
    assert_eq!(form.unwrap().status, 200);
    assert_eq!(refresh(&tokens).0, 400);
    assert_eq!(run(&["user", "disable", "grace"]).0, 0);
    assert_eq!(run(&["user", "add", "joan"]).0, 0);
    assert_eq!(run(&["user", "remove", "mary", "--yes"]).0, 0);
    assert_eq!(run(&["client", "block", "--host", "evil.example"]).0, 0);
    assert_eq!(run(&["client", "block", "--host", "forgiven.example"]).0, 0);
    assert_eq!(run(&["client", "unblock", "--host", "forgiven.example"]).0, 0);
    assert_eq!(run(&["client", "remove", "old"]).0, 0);
    assert_eq!(run(&["key", "retire", &stolen]).0, 0);
    assert!(node.stop());
    for name in ["hallpass.sqlite", "hallpass.sqlite-wal", "hallpass.sqlite-shm"] {
        let _ = fs::remove_file(folder.path().join(name));
    }
    copy(backup.path(), folder.path());
    let node = Node::run(folder.path(), port);
    let (status, revived) = refresh(&tokens);
    assert_eq!(status, 200, "the backup brought the grant back to life");
    let (code, _, err) = run(&["admin", "restored", "--since", "2020-01-01"]);
    assert!(code == 1 && err.contains("--audit") && err.contains("--everybody"), "{err}");
    let files = ["main", "operator"].map(|node| folder.path().join(format!("audit/{node}-00000001.jsonl")));
    let named = files.each_ref().map(|path| path.to_str().unwrap());
    let mut words = vec!["admin", "restored", "--json", "--since", "2020-01-01", "--audit"];
    words.extend(named);
    let (code, out, err) = run(&words);
    let done: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &done["grants_revoked"], &done["disabled"]), (0, &1.into(), &1.into()), "{err}");
    assert_eq!(done["accounts_gone"][0], "joan");
    assert_eq!(
        (&done["blocked"], &done["unblocked"], &done["clients_removed"]),
        (&1.into(), &0.into(), &1.into())
    );
    assert_eq!((&done["keys_retired"], &done["accounts_removed"]), (&1.into(), &1.into()));
    assert!(!run(&["user", "list"]).1.contains("mary"));
    let blocks = run(&["client", "blocks"]).1;
    assert!(blocks.contains("evil.example") && !blocks.contains("forgiven"), "{blocks}");
    assert!(err.contains("hallpass user add joan"), "{err}");
    assert_eq!(refresh(&revived).0, 400);
    assert!(run(&["user", "list"]).1.contains("disabled  grace"));
    // Once more changes nothing.
    let again: serde_json::Value = serde_json::from_str(&run(&words).1).unwrap();
    for what in
        ["grants_revoked", "disabled", "blocked", "clients_removed", "keys_retired", "accounts_removed"]
    {
        assert_eq!(again[what], 0, "{what}");
    }
    // Without the log: everybody.
    let code = ada.allow(&client).unwrap();
    let further = person::redeem(port, &client, &code).unwrap().json();
    let (code, out, _) = run(&["admin", "restored", "--since", "2020-01-01", "--everybody"]);
    assert!(code == 0 && out.contains("2 account(s)"), "{out}");
    assert_eq!(refresh(&further).0, 400);
    let (code, out, err) = run(&["audit", "verify"]);
    assert!(code == 0, "{out}{err}");
    drop(node);
}

#[test]
fn t_21_an_account_elsewhere_that_was_unlinked_since_a_backup_is_unlinked_again() {
    let (folder, backup) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (file, port) = (folder.path().join("hallpass.toml"), free_port());
    let text = format!(
        "public_url = \"http://localhost:{port}\"\nlisten = \"127.0.0.1:{port}\"\nstate = \"state\"\n\
         [[server]]\nname = \"mcp\"\npath = \"/mcp\"\n[[identity_provider]]\nissuer = \"https://login.example.com\"\n"
    );
    fs::write(&file, text).unwrap();
    let run = |words: &[&str]| {
        let mut words = words.to_vec();
        words.extend(["--config", file.to_str().unwrap()]);
        finished(&words)
    };
    let ties = ["ada", "--issuer", "https://login.example.com", "--subject", "248289761001"];
    let said = |command: &str| run(&[&["user", command][..], &ties].concat());
    assert!(
        run(&["user", "add", "ada"]).2.contains("start the server once"),
        "a server that never ran has no database"
    );
    let serve = ["serve", "--config", file.to_str().unwrap()];
    assert!(Node::spawn_until(command(&serve), port, Stdio::null(), "Setup link").stop());
    assert_eq!(run(&["user", "add", "ada"]).0, 0);
    assert_eq!(said("link").0, 0);
    copy(&folder.path().join("state"), backup.path());
    assert_eq!(said("unlink").0, 0);
    let add = ["client", "add", "--id", "new", "--name", "New", "--redirect-uri", person::REDIRECT];
    assert_eq!(run(&add).0, 0);
    for name in ["hallpass.sqlite", "hallpass.sqlite-wal", "hallpass.sqlite-shm"] {
        let _ = fs::remove_file(folder.path().join("state").join(name));
    }
    copy(backup.path(), &folder.path().join("state"));
    assert!(run(&["user", "show", "ada"]).1.contains("248289761001"), "the backup brought the link back");
    let log = folder.path().join("state/audit/operator-00000001.jsonl");
    let words = ["admin", "restored", "--json", "--since", "2020-01-01", "--audit", log.to_str().unwrap()];
    let (code, out, err) = run(&words);
    let done: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (code, &done["links_removed"], &done["clients_gone"][0]),
        (0, &1.into(), &"new".into()),
        "{err}"
    );
    assert!(err.contains("hallpass client add"), "{err}");
    assert!(!run(&["user", "show", "ada"]).1.contains("248289761001"));
    assert_eq!(serde_json::from_str::<serde_json::Value>(&run(&words).1).unwrap()["links_removed"], 0);
}

#[test]
fn t_101_a_command_with_another_public_url_does_nothing_and_says_so() {
    let (folder, port) = (tempfile::tempdir().unwrap(), free_port());
    let node = Node::run(folder.path(), port);
    let (other, state) = ((port + 1).to_string(), folder.path().to_str().unwrap());
    for words in [&["audit", "verify"][..], &["user", "add", "grace"], &["user", "list"]] {
        let (code, _, err) = finished(&[words, &["--state", state, "--port", &other]].concat());
        assert!(
            code == 1 && err.contains("another public URL") && err.contains("--port"),
            "{words:?}: {err}"
        );
    }
    assert!(node.stop());
    assert!(!hallpass(folder.path(), port, &["user", "list"]).1.contains("grace"));
    let (code, out, err) = hallpass(folder.path(), port, &["audit", "verify"]);
    assert!(code == 0, "{out}{err}");
}

#[test]
fn t_98_an_audit_log_on_standard_output_is_nothing_else_and_verifies() {
    let folder = tempfile::tempdir().unwrap();
    let (file, port) = (folder.path().join("hallpass.toml"), free_port());
    let [out, err] = ["out.log", "err.log"].map(|name| folder.path().join(name));
    let text = format!(
        "public_url = \"http://localhost:{port}\"\nlisten = \"127.0.0.1:{port}\"\nstate = \"state\"\n\
         [audit]\nto = \"stdout\"\n[[server]]\nname = \"mcp\"\npath = \"/mcp\"\n"
    );
    fs::write(&file, text).unwrap();
    let config = file.to_str().unwrap();
    let mut serve = command(&["serve", "--config", config]);
    let mut child = serve
        .stdout(fs::File::create(&out).unwrap())
        .stderr(fs::File::create(&err).unwrap())
        .spawn()
        .unwrap();
    let began = Instant::now();
    let link = loop {
        let said = fs::read_to_string(&err).unwrap();
        if let Some(link) = said.lines().find_map(|line| line.strip_prefix("Setup link: "))
            && http::send(port, "GET", "/jwks", &[], "").is_some()
        {
            assert!(said.contains("MCP URL: "), "{said}");
            break link.to_owned();
        }
        assert!(began.elapsed() < Duration::from_secs(20), "no link: {said}");
        std::thread::sleep(Duration::from_millis(20));
    };
    Person::set_up(port, &link).sign_out_everywhere();
    std::process::Command::new("kill").arg(child.id().to_string()).status().unwrap();
    assert!(child.wait().unwrap().success());
    let shipped = fs::read_to_string(&out).unwrap();
    assert!(shipped.contains("signed_out_everywhere") && shipped.contains("log_closed"), "{shipped}");
    assert!(!shipped.contains(link.split_once("code=").unwrap().1), "the set-up code is shipped: {shipped}");
    let path = out.to_str().unwrap();
    let (code, said, complaints) = finished(&["audit", "verify", path, "--config", config]);
    assert_eq!(code, 0, "{said}{complaints}");
    assert!(said.contains("0 not as written"), "{said}{complaints}");
    let words = ["admin", "restored", "--since", "2020-01-01", "--audit", path, "--json", "--config", config];
    let (code, said, complaints) = finished(&words);
    assert_eq!(code, 0, "{said}{complaints}");
    assert_eq!(serde_json::from_str::<serde_json::Value>(&said).unwrap()["lines"], 2, "{said}");
}

#[test]
fn rs_067_t_98_a_line_of_a_call_has_the_arguments_that_the_file_names() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let file = folder.path().join("hallpass.toml");
    let text = format!(
        "public_url = \"http://localhost:{port}\"\nlisten = \"127.0.0.1:{port}\"\n[audit]\ncalls = true\n\
         [audit.arguments.mcp]\necho = [\"text\", \"api_key\"]\n[[server]]\nname = \"mcp\"\npath = \"/mcp\"\n"
    );
    fs::write(&file, &text).unwrap();
    let serve = command(&["serve", "--config", file.to_str().unwrap()]);
    let node = Node::spawn_until(serve, port, Stdio::null(), "Setup link");
    let (_, _, tokens) = person::granted(port, node.setup_link.as_deref());
    let bearer = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
    let canary = "canary-of-an-argument";
    let arguments = serde_json::json!({ "text": "shown", "api_key": canary, "other": canary });
    for tool in ["echo", "add"] {
        let params = serde_json::json!({ "name": tool, "arguments": arguments });
        let call = serde_json::json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params });
        http::json(port, "/mcp", &call, &[("Authorization", &bearer)]).unwrap();
    }
    assert!(node.stop());
    let (_, shown, _) = finished(&["audit", "tail", "--json", "--config", file.to_str().unwrap()]);
    assert!(!shown.contains(canary), "{shown}");
    let lines: Vec<serde_json::Value> =
        shown.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |tool: &str| lines.iter().find(|line| line["target"] == tool).unwrap()["arguments"].clone();
    assert_eq!(of("echo"), serde_json::json!({ "text": "shown", "api_key": "[redacted]" }));
    assert_eq!(of("add"), serde_json::Value::Null);
}

#[test]
fn as_222_who_named_the_configuration_is_told_what_is_missing_and_not_to_name_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("hallpass.toml");
    let write = |audit: &str| {
        let server = "[[server]]\nname = \"mcp\"\npath = \"/mcp\"\n";
        fs::write(
            &file,
            format!("public_url = \"http://localhost:8080\"\nstate = \"state\"\n{audit}{server}"),
        )
        .unwrap();
    };
    let config = file.to_str().unwrap();
    let tail = || {
        let (code, out, err) = finished(&["audit", "tail", "--config", config]);
        assert!(code == 1 && out.is_empty() && !err.contains("name the"), "{out}{err}");
        err
    };
    write("");
    let begin = format!("start the server once, which begins it: hallpass serve --config {config}");
    let state = folder.path().join("state");
    let said = tail();
    assert!(
        said.contains(&format!("no state folder {}", state.display())) && said.contains(&begin),
        "{said}"
    );
    fs::create_dir(&state).unwrap();
    let said = tail();
    assert!(said.contains(&format!("no audit log in {}", state.join("audit").display())), "{said}");
    assert!(said.contains(&begin), "{said}");
    // Below a file there can be no folder: that is no log that has not begun.
    fs::write(state.join("audit"), "").unwrap();
    assert!(tail().contains("cannot be read"));
    fs::remove_file(state.join("audit")).unwrap();
    write("[audit]\nto = \"stdout\"\n");
    let said = tail();
    assert!(said.contains("standard output") && !said.contains("start the server"), "{said}");
}
