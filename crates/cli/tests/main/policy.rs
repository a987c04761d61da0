//! `hallpass policy explain`, as an operator uses it.

use super::node::finished;

const FILE: &str = r#"
public_url = "https://mcp.example.com"
[[server]]
name = "files"
path = "/files"
upstream = "http://127.0.0.1:3001/mcp"
scopes = [{ name = "read" }, { name = "write", implies = ["read"] }]
required_scopes = []

[[server.rules]]
name = "public files"
tools = ["read_file"]
arguments = { path = { matches = "/public/*" } }
scopes = ["read"]

[[server.rules]]
tools = ["delete_*"]
clients = ["good"]
scopes = ["write"]

[[server.rules]]
tools = ["find"]
open = true
"#;

fn explain(file: &str, more: &[&str]) -> (i32, String) {
    let mut arguments = vec!["policy", "explain", "--config", file];
    arguments.extend(more);
    let (code, out, error) = finished(&arguments);
    (code, format!("{out}{error}"))
}

#[test]
fn rs_035_the_operator_is_told_which_rule_decides_and_why() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hallpass.toml");
    std::fs::write(&path, FILE).unwrap();
    let file = path.to_str().unwrap();
    for (more, code, parts) in [
        (
            &["tools/call", "read_file", "--arguments", r#"{"path":"/public/a"}"#][..],
            0,
            &["allowed", "public files"][..],
        ),
        (
            &["tools/call", "read_file", "--arguments", r#"{"path":"/etc"}"#],
            1,
            &["denied", "other values of the argument \"path\""],
        ),
        (
            &["tools/call", "delete_x", "--client", "good", "--scope", "read"],
            1,
            &["scope", "asks for    write", "#2"],
        ),
        (&["tools/call", "delete_x", "--client", "good", "--scope", "write"], 0, &["allowed", "#2"]),
        (&["tools/call", "delete_x", "--client", "other"], 1, &["denied", "is for other callers"]),
        (&["tools/call", "other"], 1, &["denied", "unlisted", "no rule names it"]),
        (&["tools/list"], 0, &["allowed", "required_scopes"]),
        (&["tools/list", "--anonymous"], 0, &["allowed", "open_protocol", "open to anybody"]),
        (&["tools/call", "find", "--anonymous"], 0, &["allowed", "#3", "open to anybody"]),
        (&["tools/call", "delete_x", "--anonymous"], 1, &["sign_in", "takes a token"]),
        (&["tools/call", "other", "--anonymous"], 1, &["denied"]),
        (&["tools/call", "--arguments", "{"], 1, &["not JSON"]),
        (&["tools/call"], 1, &["no such call"]),
        (&["tools/call", "x", "--server", "flies"], 1, &["there is files"]),
    ] {
        let (found, said) = explain(file, more);
        assert_eq!(found, code, "{more:?}: {said}");
        for part in parts {
            assert!(said.contains(part), "{more:?}: {part:?} in {said}");
        }
    }
    let (_, said) =
        explain(file, &["tools/call", "delete_x", "--client", "good", "--scope", "read", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&json["decision"], &json["asks_for"]), (&"scope".into(), &"write".into()));
    std::fs::write(&path, format!("{FILE}\n[dangerous]\nrules_dry_run = [\"files\"]\n")).unwrap();
    let (code, said) = explain(file, &["tools/call", "other"]);
    assert!(code == 0 && said.contains("dry run"), "{said}");
}

const GROUPS: &str = r#"
[[authorization_server]]
name = "company"
issuer = "https://login.example/"
groups_claim = "groups"

[groups]
staff = ["company:ann"]

[[server]]
name = "mail"
path = "/mail"
upstream = "http://127.0.0.1:3002/mcp"
authorization_servers = ["company"]

[[server.rules]]
tools = ["send"]
groups = ["staff", "company:admins"]
"#;

#[test]
fn rs_035_the_operator_is_told_by_which_group_a_rule_is_about_somebody() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hallpass.toml");
    std::fs::write(&path, format!("{FILE}{GROUPS}")).unwrap();
    let ask = |more: &[&str]| {
        explain(path.to_str().unwrap(), &[&["tools/call", "send", "--server", "mail"], more].concat())
    };
    for (more, code, part) in [
        (&["--as", "company:ann"][..], 0, "by the group staff"),
        (&["--as", "company:bob"], 1, "is for other callers\n"),
        (&["--as", "company:bob", "--group", "company:admins"], 0, "by the group company:admins"),
        (&["--as", "company:bob", "--group", "staff"], 1, "is not NAME:GROUP"),
        (&["--as", "company:bob", "--group", "other:admins"], 1, "is not NAME:GROUP"),
        (&["--client", "staff"], 1, "is for other callers\n"),
    ] {
        let (found, said) = ask(more);
        assert!(found == code && said.contains(part), "{more:?}: {said}");
    }
    let (_, said) = ask(&["--as", "company:ann", "--json"]);
    let json: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(json["rules"][0]["group"], "staff");
}

const PROGRAMS: &str = r#"
[[server.rules]]
name = "deploy alone"
tools = ["ship"]
clients = ["ci system:serviceaccount:ci:deploy"]

[[server.rules]]
name = "all of ci"
tools = ["build"]
clients = ["ci"]

[[server.rules]]
name = "not the intern"
tools = ["build"]
clients = ["ci system:serviceaccount:ci:intern"]
deny = true

[[workload_issuer]]
issuer = "https://kubernetes.example"
jwks_uri = "https://kubernetes.example/keys"

[[workload_issuer.workload]]
id = "ci"
subject = "{sub}"
claims = { sub = "system:serviceaccount:ci:*" }
scopes = ["read"]

[[workload_issuer.workload]]
id = "nightly"
subject = "backup"
claims = { sub = "system:serviceaccount:nightly:backup" }
scopes = ["read"]
"#;

#[test]
fn rs_035_the_operator_is_told_which_rule_decides_for_one_of_many_programs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("hallpass.toml");
    std::fs::write(&path, format!("{FILE}{PROGRAMS}")).unwrap();
    let ask =
        |tool: &str, more: &[&str]| explain(path.to_str().unwrap(), &[&["tools/call", tool], more].concat());
    let [deploy, intern] = ["deploy", "intern"].map(|name| format!("ci system:serviceaccount:ci:{name}"));
    for by in ["--as", "--client"] {
        for (tool, who, code, part) in [
            ("ship", &*deploy, 0, "rule        deploy alone: fits"),
            ("ship", &intern, 1, "rule        deploy alone: is for other callers"),
            ("build", &deploy, 0, "rule        all of ci: fits"),
            ("build", &intern, 1, "rule        not the intern: forbids it"),
            ("ship", "nightly backup", 1, "is for other callers"),
            // Of these there are no tokens, so that an answer would be about nothing.
            (
                "ship",
                "nightly restore",
                1,
                "no program of the workload \"nightly\" is called \"nightly restore\"",
            ),
            ("ship", "ci two words", 1, "is called \"ci two words\""),
        ] {
            let (found, said) = ask(tool, &[by, who]);
            assert!(found == code && said.contains(part), "{by} {tool} {who}: {said}");
        }
    }
    let (code, said) = ask("build", &["--client", "ci"]);
    assert!(code == 0 && said.contains("all of ci"), "{said}");
    let (code, said) = ask("ship", &["--client", "other x"]);
    assert!(code == 1 && said.contains("no workload \"other\""), "{said}");
    let (code, said) = ask("ship", &["--as", &deploy, "--client", "ci"]);
    assert!(code == 1 && said.contains("for nobody but itself"), "{said}");
}
