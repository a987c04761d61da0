//! Accounts and grants by command, beside a running server: somebody who forgot a password is not lost.

use super::{
    http,
    node::{Node, command, finished, free_port},
    person::{self, Person},
};

fn hallpass(state: &std::path::Path, port: u16, words: &[&str]) -> (i32, String, String) {
    let (state, port) = (state.to_str().unwrap().to_owned(), port.to_string());
    let mut arguments = words.to_vec();
    arguments.extend(["--state", &state, "--port", &port]);
    finished(&arguments)
}

#[test]
fn a_forgotten_password_is_recovered_beside_the_running_server_and_ends_what_was_given() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let node = Node::run(folder.path(), port);
    let (_, client, tokens) = person::granted(port, node.setup_link.as_deref());
    let (code, link, _) = hallpass(folder.path(), port, &["user", "recover", "Ada"]);
    assert!(code == 0 && link.starts_with(&format!("http://localhost:{port}/invitation?code=")), "{link}");
    let path = link.trim().split_once(&port.to_string()).unwrap().1.to_owned();
    let page = http::send(port, "GET", &path, &[], "").unwrap();
    assert!(page.status == 200 && page.body.contains("ada"));
    let mut recovered = Person::invited(port, &path, "a different engine");
    assert!(recovered.allow(&client).is_some());
    assert_eq!(http::send(port, "GET", &path, &[], "").unwrap().status, 403);
    let refresh = tokens["refresh_token"].as_str().unwrap();
    assert_eq!(person::refresh(port, &client, refresh).unwrap().status, 400);
}

#[test]
fn accounts_and_grants_are_listed_added_disabled_and_revoked() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let node = Node::run(folder.path(), port);
    let (_, client, tokens) = person::granted(port, node.setup_link.as_deref());
    let run = |words: &[&str]| hallpass(folder.path(), port, words);
    let (code, link, _) = run(&["user", "add", "Grace"]);
    assert_eq!(code, 0);
    let path = link.trim().split_once(&port.to_string()).unwrap().1.to_owned();
    let _grace = Person::invited(port, &path, "nanoseconds of wire");
    let (code, _, err) = run(&["user", "add", "grace"]);
    assert!(code == 1 && err.contains("hallpass user recover"), "{err}");
    let people: serde_json::Value = serde_json::from_str(&run(&["user", "list", "--json"]).1).unwrap();
    let names: Vec<_> = people.as_array().unwrap().iter().map(|row| row["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["ada", "grace"]);
    let grants: serde_json::Value = serde_json::from_str(&run(&["grant", "list", "--json"]).1).unwrap();
    let id = grants[0]["id"].as_str().unwrap().to_owned();
    assert_eq!(grants[0]["client_id"].as_str().unwrap(), client);
    assert!(
        run(&["grant", "list", "--user", "ada"]).1.contains(&id)
            && !run(&["grant", "list", "--user", "grace"]).1.contains(&id)
    );
    let (code, _, err) = run(&["grant", "revoke", &id]);
    assert!(code == 0 && err.contains("revoked"));
    assert_eq!(
        person::refresh(port, &client, tokens["refresh_token"].as_str().unwrap()).unwrap().status,
        400
    );
    assert_eq!(run(&["grant", "revoke", "nonsense"]).0, 1);
    assert_eq!(run(&["user", "disable", "ada"]).0, 0);
    assert!(run(&["user", "list"]).1.contains("disabled"));
    let bearer = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
    std::thread::sleep(std::time::Duration::from_secs(1));
    let body = serde_json::json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
    assert_eq!(http::json(port, "/mcp", &body, &[("Authorization", &bearer)]).unwrap().status, 401);
    let (code, _, err) = run(&["user", "recover", "nobody"]);
    assert!(code == 1 && err.contains("hallpass user list"), "{err}");
    let empty = tempfile::tempdir().unwrap();
    assert!(hallpass(empty.path(), port, &["user", "list"]).2.contains("--state"));
}

#[test]
fn as_227_as_185_an_account_is_shown_and_removed_with_all_it_gave() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let node = Node::run(folder.path(), port);
    let (mut ada, client, tokens) = person::granted(port, node.setup_link.as_deref());
    let run = |words: &[&str]| hallpass(folder.path(), port, words);
    assert_eq!(run(&["user", "add", "grace"]).0, 0);
    let shown = |name: &str| {
        serde_json::from_str::<serde_json::Value>(&run(&["user", "show", name, "--json"]).1).unwrap()
    };
    let before = shown("ada");
    assert_eq!((&before["grants"], &before["disabled"]), (&1.into(), &false.into()));
    assert!(run(&["user", "show", "Ada"]).1.contains("state    active"));
    let code = ada.allow(&client).unwrap();
    let (status, _, err) = run(&["user", "remove", "ada"]);
    assert!(status == 1 && err.contains("nothing was done") && err.contains("--yes"), "{err}");
    assert_eq!(shown("ada"), before, "who did not agree has changed nothing");
    let (status, _, err) = run(&["user", "remove", "ada", "--yes"]);
    assert!(status == 0 && err.contains("ada is removed") && !err.contains("no account is left"), "{err}");
    assert_eq!(person::redeem(port, &client, &code).unwrap().status, 400);
    let refresh = tokens["refresh_token"].as_str().unwrap();
    assert_eq!(person::refresh(port, &client, refresh).unwrap().status, 400);
    let bearer = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
    std::thread::sleep(std::time::Duration::from_secs(1));
    let body = serde_json::json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
    assert_eq!(http::json(port, "/mcp", &body, &[("Authorization", &bearer)]).unwrap().status, 401);
    assert!(run(&["user", "show", "ada"]).2.contains("hallpass user list"));
    // Whoever gets the name is somebody else.
    let (_, link, _) = run(&["user", "add", "ada"]);
    let path = link.trim().split_once(&port.to_string()).unwrap().1.to_owned();
    let mut second = Person::invited(port, &path, "a difference engine");
    assert_ne!(shown("ada")["id"], before["id"]);
    assert_eq!(shown("ada")["grants"], 0);
    assert!(second.allow(&client).is_some());
    assert_eq!(person::refresh(port, &client, refresh).unwrap().status, 400);
}

#[test]
fn as_227_grants_of_a_client_an_account_or_everybody_are_revoked_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let node = Node::run(folder.path(), port);
    let (mut ada, first, _) = person::granted(port, node.setup_link.as_deref());
    let run = |words: &[&str]| hallpass(folder.path(), port, words);
    let (_, link, _) = run(&["user", "add", "grace"]);
    let path = link.trim().split_once(&port.to_string()).unwrap().1.to_owned();
    let mut grace = Person::invited(port, &path, "nanoseconds of wire");
    let second = person::register(port);
    let allow = |person: &mut Person, client: &str| {
        let code = person.allow(client).unwrap();
        let tokens = person::redeem(port, client, &code).unwrap().json();
        tokens["refresh_token"].as_str().unwrap().to_owned()
    };
    let of_ada = allow(&mut ada, &second);
    let of_grace = [allow(&mut grace, &first), allow(&mut grace, &second)];
    let live = |client: &str, token: &str| person::refresh(port, client, token).unwrap().status == 200;
    let (status, _, err) = run(&["grant", "revoke"]);
    assert!(status == 1 && err.contains("--client"), "{err}");
    let (status, out, _) = run(&["grant", "revoke", "--user", "grace", "--client", &second, "--json"]);
    assert_eq!((status, out.trim()), (0, "{\"revoked\":1,\"revoked_before\":0}"));
    assert!(live(&second, &of_ada) && !live(&second, &of_grace[1]));
    let (status, _, err) = run(&["grant", "revoke", "--client", &first]);
    assert!(status == 0 && err.contains("2 grants revoked"), "{err}");
    assert!(!live(&first, &of_grace[0]));
    let (status, _, err) = run(&["grant", "revoke", "--all"]);
    assert!(status == 1 && err.contains("--yes"), "{err}");
    // Which of two tokens is presented does not matter here: the first refresh was a success.
    assert_eq!(run(&["grant", "list"]).1.lines().count(), 1);
    let kept = run(&["grant", "list"]).1.split_whitespace().next().unwrap().to_owned();
    let (status, _, err) = run(&["grant", "revoke", &kept, "0123"]);
    assert!(status == 1 && err.contains("0123"), "{err}");
    assert_eq!(run(&["grant", "list"]).1.lines().count(), 1, "a mistyped id revokes nothing");
    assert_eq!(run(&["grant", "revoke", "--all", "--yes"]).0, 0);
    assert!(run(&["grant", "list"]).1.is_empty());
    // Nothing of a client that is there is a success, also for one that registered itself; a mistyped one is none.
    let (status, out, _) = run(&["grant", "revoke", "--client", &first, "--json"]);
    assert_eq!((status, out.trim()), (0, "{\"revoked\":0,\"revoked_before\":0}"));
    let (_, made, _) =
        run(&["client", "add", "--id", "reports", "--name", "R", "--redirect-uri", person::REDIRECT]);
    assert!(made.contains("reports"), "{made}");
    let (status, _, err) = run(&["grant", "revoke", "--client", "reports"]);
    assert!(status == 0 && err.contains("0 grants"), "{err}");
    let (head, tail) = first.split_at(20);
    let forged = format!("{head}{}{}", if tail.starts_with('A') { 'B' } else { 'A' }, &tail[1..]);
    for nobody in ["nobody", "https://unheard.example/client.json", &*forged] {
        for more in [&[][..], &["--json"], &["--user", "ada"]] {
            let (status, out, err) = run(&[&["grant", "revoke", "--client", nobody], more].concat());
            assert!(status == 1 && out.is_empty(), "{nobody} {more:?}: {out}");
            assert!(err.contains(&format!("there is no client {nobody:?}")), "{err}");
        }
    }
    // Signed in they still are.
    assert!(ada.allow(&first).is_some() && grace.allow(&second).is_some());
    assert_eq!(run(&["audit", "verify"]).0, 0);
    let revoked = run(&["audit", "export", "--event", "grant_revoked"]).1;
    assert_eq!(revoked.lines().filter(|line| line.contains("\"by\":\"operator\"")).count(), 4);
}

#[test]
fn as_222_where_somebody_is_signed_in_is_listed_and_ended_by_command() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let node = Node::run(folder.path(), port);
    let (mut ada, client, _) = person::granted(port, node.setup_link.as_deref());
    let mut other = Person::signed_in(port, port);
    let run = |words: &[&str]| hallpass(folder.path(), port, words);
    let json = |words: &[&str]| serde_json::from_str::<serde_json::Value>(&run(words).1).unwrap();
    let sessions = json(&["user", "sessions", "Ada", "--json"]);
    assert_eq!(
        (sessions.as_array().unwrap().len(), &sessions[0]["signed_in_from"]),
        (2, &"127.0.0.1".into())
    );
    let newest = sessions[0]["id"].as_str().unwrap().to_owned();
    let text = run(&["user", "sessions", "ada"]).1;
    assert!(text.starts_with(&format!("{newest}  ")) && text.contains(" from 127.0.0.1  until "), "{text}");
    assert_eq!(json(&["user", "show", "ada", "--json"])["sessions"], 2);
    assert_eq!(run(&["user", "add", "grace"]).0, 0);
    for (name, id) in [("grace", newest.as_str()), ("ada", "0123")] {
        let (code, _, err) = run(&["user", "end-session", name, id]);
        assert!(code == 1 && err.contains("hallpass user sessions"), "{err}");
    }
    assert!(other.is_signed_in(), "it is not hers to end");
    let done = json(&["user", "end-session", "ada", &newest, "--json"]);
    assert_eq!((&done["id"], &done["ended"]), (&newest.clone().into(), &true.into()));
    assert!(ada.is_signed_in() && !other.is_signed_in());
    assert_eq!(run(&["user", "end-session", "ada", &newest]).0, 1, "it is over");
    let ended = json(&["audit", "export", "--json", "--event", "session_ended"]);
    assert_eq!((&ended[0]["session"], &ended[0]["by"]), (&newest.into(), &"operator".into()));
    // Whose a grant is, and when and from where it was used last.
    let grants = run(&["grant", "list"]).1;
    assert!(
        grants.contains("  ada  ") && grants.contains("  used 2") && grants.contains("Z from 127.0.0.1"),
        "{grants}"
    );
    assert_eq!(json(&["grant", "list", "--json"])[0]["name"], "ada");
    assert!(ada.allow(&client).is_some());
}

#[test]
fn as_185_what_a_command_did_is_json_for_scripts() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let _node = Node::run(folder.path(), port);
    let run = |words: &[&str]| {
        let (code, out, err) = hallpass(folder.path(), port, &[words, &["--json"]].concat());
        assert_eq!(code, 0, "{words:?}: {err}");
        serde_json::from_str::<serde_json::Value>(&out)
            .unwrap_or_else(|error| panic!("{words:?}: {error}: {out}"))
    };
    let set_up = run(&["admin", "recover"]);
    assert!(set_up["link"].as_str().unwrap().contains("/setup?code="), "{set_up}");
    for command in ["add", "recover"] {
        let made = run(&["user", command, "grace"]);
        let path = made["link"].as_str().unwrap().split_once(&port.to_string()).unwrap().1;
        assert_eq!(http::send(port, "GET", path, &[], "").unwrap().status, 200);
        assert!(
            made["name"] == "grace" && made["id"].is_string() && made["expires_at"].is_string(),
            "{made}"
        );
    }
    assert_eq!(run(&["user", "disable", "grace"])["disabled"], true);
    assert_eq!(run(&["user", "enable", "grace"])["disabled"], false);
    assert_eq!(run(&["user", "sign-out", "grace"])["signed_out_everywhere"], true);
    assert_eq!(run(&["user", "remove", "grace", "--yes"])["removed"], true);
    let old = run(&["key", "list"])[0]["kid"].as_str().unwrap().to_owned();
    let new = run(&["key", "rotate", "--now"]);
    assert_eq!((&new["stage"], new["kid"] == *old), (&"signing".into(), false));
    assert_eq!(run(&["key", "rotate"])["stage"], "published");
    assert_eq!(run(&["key", "retire", &old])["kid"], *old);
    let add = ["client", "add", "--id", "a", "--name", "A", "--redirect-uri", person::REDIRECT];
    let first = run(&[&add[..], &["--auth", "client_secret_basic"]].concat())["client_secret"].clone();
    let second = run(&["client", "rotate-secret", "a"]);
    assert!(second["client_secret"].is_string() && second["client_secret"] != first, "{second}");
    assert_eq!(run(&["client", "remove", "a"])["removed"], true);
    let blocked = run(&["client", "block", "--host", "evil.example"]);
    assert_eq!((&blocked["key"], &blocked["blocked_before"]), (&"evil.example".into(), &false.into()));
    assert_eq!(run(&["client", "unblock", "--host", "evil.example"])["unblocked"], true);
    assert!(run(&["client", "token"])["initial_access_token"].as_str().unwrap().starts_with("hpi_"));
}

/// How many times there are in it, each of which has to be one that people can read too.
fn times(value: &serde_json::Value) -> usize {
    use serde_json::Value;
    let is_time =
        |name: &str| name.ends_with("_at") || ["since", "signs_from", "verifies_until"].contains(&name);
    match value {
        Value::Object(members) => {
            let of = |(name, value): (&String, &Value)| {
                if value.is_null() || !is_time(name) {
                    return times(value);
                }
                let time = value.as_str().and_then(hallpass_core::time::Timestamp::from_rfc3339);
                usize::from(time.unwrap_or_else(|| panic!("{name}: {value}")).millis() > 0)
            };
            members.iter().map(of).sum()
        }
        Value::Array(values) => values.iter().map(times).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

#[test]
fn as_185_times_in_json_are_written_as_people_read_them() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let node = Node::run(folder.path(), port);
    person::granted(port, node.setup_link.as_deref());
    let add = ["client", "add", "--id", "a", "--name", "A", "--redirect-uri", person::REDIRECT];
    for (words, expected) in [
        (&add[..], 0),
        (&["user", "add", "grace", "--json"], 1),
        (&["user", "recover", "grace", "--json"], 1),
        (&["user", "disable", "grace"], 0),
        (&["user", "list", "--json"], 2),
        (&["user", "show", "grace", "--json"], 2),
        (&["user", "sessions", "ada", "--json"], 2),
        (&["user", "second-factor", "ada", "--json"], 0),
        (&["grant", "list", "--json"], 2),
        (&["client", "list", "--json"], 1),
        (&["client", "show", "a"], 1),
        (&["client", "token", "--json"], 1),
        (&["client", "block", "--host", "evil.example"], 0),
        (&["client", "blocks", "--json"], 1),
        (&["key", "rotate", "--json"], 2),
        (&["key", "list", "--json"], 4),
    ] {
        let (code, out, err) = hallpass(folder.path(), port, words);
        assert_eq!(code, 0, "{words:?}: {err}");
        let json: serde_json::Value = serde_json::from_str(&out).unwrap_or_default();
        assert_eq!(times(&json), expected, "{words:?}: {out}");
    }
}

#[test]
fn t_101_a_lost_link_or_password_is_recovered_without_a_server() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let run = |words: &[&str]| hallpass(folder.path(), port, words);
    let lost = Node::run(folder.path(), port);
    let first = lost.setup_link.clone().unwrap();
    assert!(lost.stop());
    let (status, link, err) = run(&["admin", "recover", "eve"]);
    assert!(status == 1 && link.is_empty() && err.contains("no account \"eve\""), "{link}{err}");
    let (status, link, err) = run(&["admin", "recover"]);
    assert!(status == 0 && link.contains("/setup?code=") && err.contains("no account yet"), "{link}{err}");
    let node = Node::run(folder.path(), port);
    let newest = run(&["admin", "recover"]).1;
    for dead in [&first, &link] {
        let code = dead.trim().split_once("code=").unwrap().1;
        assert_ne!(code, newest.trim().split_once("code=").unwrap().1);
    }
    let ada = Person::set_up(port, newest.trim());
    drop(ada);
    assert!(node.stop());
    let (status, link, _) = run(&["admin", "recover"]);
    assert!(status == 0 && link.contains("/invitation?code="), "the only account: {link}");
    assert_eq!(run(&["user", "add", "grace"]).0, 0);
    let (status, _, err) = run(&["admin", "recover"]);
    assert!(status == 1 && err.contains("whose account"), "{err}");
    assert_eq!(run(&["user", "disable", "ada"]).0, 0);
    let (status, link, err) = run(&["admin", "recover", "ada"]);
    assert!(status == 0 && err.contains("ada is enabled"), "{err}");
    let _node = Node::run(folder.path(), port);
    let path = link.trim().split_once(&port.to_string()).unwrap().1.to_owned();
    let mut ada = Person::invited(port, &path, "a different engine");
    let client = person::register(port);
    assert!(ada.allow(&client).is_some());
}

#[test]
fn as_214_t_101_an_account_is_linked_to_whom_a_provider_means_by_command() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let file = folder.path().join("hallpass.toml");
    let text = format!(
        "public_url = \"http://localhost:{port}\"\nlisten = \"127.0.0.1:{port}\"\n[sign_in]\npasswords = false\n\
         [[sign_in.provider]]\nname = \"company\"\nissuer = \"https://login.example.com\"\nclient_id = \"us\"\n\
         [[server]]\nname = \"demo\"\npath = \"/mcp\"\n"
    );
    std::fs::write(&file, text).unwrap();
    let file = file.to_str().unwrap();
    // Who has just switched passwords off is told how the first person gets in, before and when it starts.
    let how = "First account: hallpass user add NAME --config";
    let (code, _, err) = finished(&["config", "check", file]);
    assert!(code == 0 && err.to_lowercase().contains(&how.to_lowercase()), "{err}");
    let serve = command(&["serve", "--config", file]);
    let node = Node::spawn_until(serve, port, std::process::Stdio::null(), how);
    assert_eq!(
        node.last,
        format!(
            "{how} {file}, then hallpass user link NAME --issuer https://login.example.com --subject SUBJECT --config {file}; nobody else can sign in"
        )
    );
    assert_eq!(http::send(port, "GET", "/setup", &[], "").unwrap().status, 303, "nobody needs a password");
    let run = |words: &[&str]| finished(&[words, &["--config", file]].concat());
    let (code, out, err) = run(&["user", "add", "Ada"]);
    assert!(code == 0 && out.is_empty() && err.contains("hallpass user link"), "{out}{err}");
    assert_eq!(run(&["user", "recover", "ada"]).0, 1, "no link for a password");
    run(&["user", "add", "bob"]);
    let link = |name: &str, issuer: &str, subject: &str| {
        run(&["user", "link", name, "--issuer", issuer, "--subject", subject])
    };
    let (code, _, err) = link("ada", "https://login.example.com/", "248289761001");
    assert!(code == 1 && err.contains("https://login.example.com)"), "{err}");
    assert_eq!(link("ada", "https://login.example.com", "").0, 1);
    assert_eq!(link("eve", "https://login.example.com", "1").0, 1);
    for _ in 0..2 {
        let (code, _, err) = link("ada", "https://login.example.com", "248289761001");
        assert_eq!(code, 0, "{err}");
    }
    let (code, _, err) = link("bob", "https://login.example.com", "248289761001");
    assert!(code == 1 && err.contains("linked to ada"), "{err}");
    let (_, shown, _) = run(&["user", "show", "ada"]);
    assert!(shown.contains("248289761001 at https://login.example.com, never used"), "{shown}");
    let people: serde_json::Value = serde_json::from_str(&run(&["user", "list", "--json"]).1).unwrap();
    assert_eq!(people[0]["links"][0]["subject"], "248289761001");
    assert_eq!(people[1]["links"], serde_json::json!([]));
    let unlink =
        &["user", "unlink", "ada", "--issuer", "https://login.example.com", "--subject", "248289761001"];
    assert_eq!((run(unlink).0, run(unlink).0), (0, 1));
    assert_eq!(link("bob", "https://login.example.com", "248289761001").0, 0, "free again");
}
