//! Mistakes that once passed as good, and did nothing or something else.

use super::{problems, *};

const FILE: &str = r#"
public_url = "https://mcp.example.com"
[[server]]
name = "files"
path = "/files"
upstream = "http://10.0.0.5:3001/mcp"
"#;

#[test]
fn what_would_silently_do_nothing_is_said() {
    let another = "[[server]]\nname = \"files\"\npath = \"/other\"\nupstream = \"http://10.0.0.6/\"";
    for (section, said) in [
        (another, "another server is named"),
        ("[limits]\nregistrations_per_minute = 0", "nobody could do anything"),
        ("[limits]\nshared_factor = 0", "nobody could do anything"),
        ("[clients]\ndocument_suspended_after = \"3h\"\ndocument_refused_after = \"2h\"", "is shorter than"),
        ("[dangerous]\nprivate_hosts = [\"https://intranet.example\"]", "not the name of a host"),
        ("[dangerous]\nprivate_hosts = [\"intranet.example:8443\"]", "not the name of a host"),
        ("[dangerous]\nprivate_hosts = [\"\"]", "not the name of a host"),
        ("[database]", "[database] names no database"),
        (
            "scopes = [{ name = \"read\" }]\n[[client]]\nid = \"app\"\nname = \"App\"\nredirect_uris = [\"https://app.example/cb\"]\nscopes = [\"raed\"]",
            "no server has the scope \"raed\"",
        ),
    ] {
        let found = problems(&format!("{FILE}{section}\n"));
        assert!(found.iter().any(|problem| problem.what.contains(said)), "{section}: {found:?}");
    }
    let good = "[limits]\nregistrations_per_minute = 1\n[dangerous]\nprivate_hosts = [\"Intranet.example\", \"10.0.0.7\", \"[fd00::1]\"]";
    assert!(parse(&format!("{FILE}{good}\n"), Path::new("")).is_ok());
}

/// Each of them was once checked by nothing but the line that says it.
#[test]
fn t_101_every_complaint_is_heard() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("a.secret", "x"), ("empty.secret", ""), ("no.jwks", "none")] {
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    let server = |rest: &str| format!("[[server]]\nname = \"other\"\npath = \"/other\"\n{rest}");
    let asked = |rest: &str| {
        let issuer = "[[authorization_server]]\nname = \"company\"\nissuer = \"https://login.example\"";
        format!("{issuer}\nintrospection = {{ client_id = \"us\", {rest}")
    };
    let client = "[[client]]\nid = \"app\"\nname = \"App\"\ngrant_types = [\"client_credentials\"]\nscopes = [\"mcp\"]";
    for (section, said) in [
        (server("").replace("/other", "/files"), "another server has this path"),
        (server("connection = \"git\""), "connection takes an upstream or a command"),
        (server("command = [\"true\"]\nconnection_env = \"A\""), "is for a server with a connection"),
        ("[limits]\nmessage_kilobytes = 0".into(), "between 1 and 65536"),
        ("[limits]\nanswer_megabytes = 0".into(), "between 1 and 4096"),
        ("[clients]\ntool_result_challenges = [\"\"]".into(), "an empty client id"),
        (format!("{client}\nauth = \"private_key_jwt\"\njwks_file = \"no.jwks\""), "is not JSON"),
        ("[traces]\nendpoint = \"collector\"".into(), "endpoint is no URL"),
        ("[traces]\nendpoint = \"http://192.0.2.1/v1/traces\"".into(), "in the open"),
        ("[traces]\nendpoint = \"https://collector.example/\"\none_in = 0".into(), "one_in is 0"),
        (
            "[traces]\nendpoint = \"https://collector.example/\"\nheader = { name = \"a b\", secret_file = \"a.secret\" }".into(),
            "header cannot be sent",
        ),
        (asked("secret_file = \"a.secret\" }\nalgorithms = [\"ES256\"]"), "algorithms are of keys"),
        (asked("secret_file = \"empty.secret\" }"), "must not be empty"),
        ("[admin]\nlisten = \"9090\"".into(), "not an address with a port"),
        ("[audit]\nnode = \"Node 1\"".into(), "not usable as a name of files"),
        ("[audit]\nfile_megabytes = 0".into(), "between 1 and 4096"),
    ] {
        let found = parse(&format!("{FILE}{section}\n"), folder.path()).map_or_else(|found| found, |_| Vec::new());
        assert!(found.iter().any(|problem| problem.what.contains(said)), "{section}: {found:?}");
    }
    let here = "listen = \"127.0.0.1:8080\"\n";
    let twice = format!("{here}{FILE}[admin]\nlisten = \"127.0.0.1:8080\"\n");
    assert!(
        problems(&twice)[0].what.contains("the address of the public listener"),
        "{:?}",
        problems(&twice)
    );
    let address = FILE.replace("mcp.example.com", "mcp.example.com?x=1");
    assert!(problems(&address)[0].what.contains("public_url is not usable"), "{:?}", problems(&address));
    let trusted = FILE.replacen(
        "[[server]]",
        "[[authorization_server]]\nname = \"company\"\nissuer = \"https://login.example\"\n[[server]]\nauthorization_servers = [\"company\"]",
        1,
    );
    let prefix = format!("{trusted}[server.tokens.company]\nscope_prefix = \"a b\"\n");
    let found = problems(&prefix);
    assert!(found.iter().any(|problem| problem.what.contains("no beginning of a scope")), "{found:?}");
}

#[test]
fn an_empty_state_folder_is_no_folder() {
    for state in ["", " "] {
        let found = problems(&format!("state = \"{state}\"\n{FILE}"));
        assert!(
            found.len() == 1 && found[0].line == Some(1) && found[0].what.contains("no folder"),
            "{found:?}"
        );
    }
}

#[test]
fn scopes_of_a_client_that_servers_have_are_good() {
    let client = "scopes = [{ name = \"read\" }]\n[[client]]\nid = \"app\"\nname = \"App\"\nredirect_uris = [\"https://app.example/cb\"]\n";
    let good = format!("{FILE}{client}scopes = [\"read\", \"offline_access\"]\n");
    assert!(parse(&good, Path::new("")).is_ok(), "{:?}", problems(&good));
}

#[cfg(unix)]
#[test]
fn a_program_or_folder_that_is_not_there_fails_a_check_and_no_start() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("server"), "").unwrap();
    let absent = |lines: &str| {
        let text = FILE.replace("upstream = \"http://10.0.0.5:3001/mcp\"", lines);
        let absent = parse(&text, folder.path()).unwrap().absent;
        absent.iter().map(|problem| (problem.line.unwrap(), problem.what.clone())).collect::<Vec<_>>()
    };
    assert_eq!(absent("command = [\"sh\"]\ncwd = \".\""), []);
    assert_eq!(absent("command = [\"./server\"]"), []);
    assert_eq!(absent("command = [\"no-such-program-of-anybody\"]")[0].0, 6);
    assert!(absent("command = [\"./sevrer\"]")[0].1.contains("sevrer"));
    assert!(absent("command = [\"sh\"]\nenv = { PATH = \"/nonexistent\" }")[0].1.contains("no program"));
    let both = absent("command = [\"nowhere/x\"]\ncwd = \"nowhere\"");
    assert!(both.len() == 2 && both[1].0 == 7 && both[1].1.contains("no folder"), "{both:?}");
    assert_eq!(absent("command = [\"sh\"]\ncwd = \"server\"").len(), 1, "a file is no folder");
}

#[test]
fn on_this_computer_the_port_of_the_public_url_is_the_one_that_is_listened_on() {
    for (url, port) in
        [("http://localhost:8081", 8081), ("http://localhost", 8080), ("https://mcp.example.com:8443", 8080)]
    {
        let config = parse(&FILE.replace("https://mcp.example.com", url), Path::new("")).unwrap();
        assert_eq!(config.listen, [SocketAddr::from(([127, 0, 0, 1], port))], "{url}");
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let found = read(Path::new("nowhere.toml")).unwrap_err();
    assert!(found[0].what.contains("nowhere.toml cannot be read"), "{found:?}");
}

#[test]
fn t_101_the_names_of_this_program_are_not_shown() {
    for (line, what, fix) in [
        ("scopes = [\"read\"]", "expected a table", "correct the line"),
        ("upstream_tls = \"ca.pem\"", "expected a table", "correct the line"),
        ("env = [\"A=B\"]", "expected a table", "correct the line"),
        ("required_scopes = \"read\"", "expected a list in brackets", "correct the line"),
        ("calls_per_minute = \"many\"", "expected a whole number", "correct the line"),
        ("calls_per_minute = -1", "expected a whole number", "correct the line"),
        ("bound_tokens_only = \"yes\"", "expected true or false", "correct the line"),
        ("unlisted = \"allow\"", "unknown value `allow`, expected `deny` or `default`", "correct the line"),
        ("path = \"/other\"", "duplicate key", "remove one"),
        ("listen = \"127.0.0.1:8081\"", "unknown field `listen`", "top of the file"),
        ("listens = \"127.0.0.1:8081\"", "unknown field `listens`", "correct the spelling"),
    ] {
        let found = problems(&format!("{FILE}{line}\n"));
        assert_eq!(found.len(), 1, "{line}: {found:?}");
        assert_eq!(found[0].line, Some(7), "{line}: {found:?}");
        assert!(found[0].what.contains(what) && found[0].fix.contains(fix), "{line}: {found:?}");
        assert!(!found[0].what.contains("Entry") && !found[0].what.contains("struct"), "{found:?}");
    }
}

const ACTS: &str = "[[client]]\nid = \"acts\"\nname = \"Acts\"\nredirect_uris = [\"https://app.example/cb\"]\n\
     grant_types = [\"authorization_code\", \"urn:ietf:params:oauth:grant-type:token-exchange\"]\n";

#[test]
fn as_201_as_195_as_177_what_is_written_of_a_client_is_what_it_is_held_to() {
    let client = |more: &str| {
        let config = parse(&format!("{FILE}{ACTS}{more}"), Path::new("")).unwrap();
        let client = &config.settings.clients[0];
        (client.client().pushed_only, client.wants_bound(), client.exchange().unwrap().lifetime)
    };
    assert_eq!(client(""), (false, false, None));
    assert_eq!(client("require_pushed_authorization_requests = true"), (true, false, None));
    assert_eq!(client("dpop_bound_access_tokens = true"), (false, true, None));
    assert_eq!(client("exchange_lifetime = \"2m\""), (false, false, Some(Duration::from_mins(2))));
    for (value, said) in [
        ("9s", "must be between 10s and 86400s"),
        ("2d", "must be between 10s and 86400s"),
        ("soon", "not a length of time"),
    ] {
        let found = problems(&format!("{FILE}{ACTS}exchange_lifetime = \"{value}\"\n"));
        assert!(found.len() == 1 && found[0].what.contains(said), "{value}: {found:?}");
    }
    let unused = ACTS.replace(", \"urn:ietf:params:oauth:grant-type:token-exchange\"", "");
    let found = problems(&format!("{FILE}{unused}exchange_lifetime = \"2m\"\n"));
    assert!(found.len() == 1 && found[0].what.contains("token-exchange in grant_types"), "{found:?}");
}

#[test]
fn as_174_t_101_scopes_and_subjects_that_no_token_could_have() {
    let folder = tempfile::tempdir().unwrap();
    let key = "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"1\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}";
    std::fs::write(folder.path().join("cluster.jwks"), key).unwrap();
    let read = |rest: &str| {
        let text = format!(
            "{FILE}scopes = [{{ name = \"read\" }}]\n[[workload_issuer]]\nissuer = \"https://kubernetes.default.svc\"\n\
             jwks_file = \"cluster.jwks\"\n[[workload_issuer.workload]]\nid = \"ci\"\nclaims = {{ sub = \"ci:*\" }}\n{rest}\n"
        );
        parse(&text, folder.path())
    };
    let subject = |rest: &str| {
        let settings = read(&format!("scopes = [\"read\"]\n{rest}")).unwrap().settings;
        settings.workload_issuers[0].workloads[0].subject("ci:deploy").unwrap()
    };
    assert_eq!(subject(""), "ci");
    assert_eq!(subject("subject = \"{sub}\""), "ci ci:deploy");
    assert_eq!(subject("subject = \"nightly\""), "ci nightly");
    for (rest, said) in [
        ("scopes = [\"nope\"]", "no server has the scope \"nope\""),
        ("scopes = [\"read\", \"nope\"]", "no server has the scope \"nope\""),
        ("scopes = [\"read\"]\nsubject = \"a b\"", "the subject \"a b\""),
        ("scopes = [\"read\"]\nsubject = \"{sub}/x\"", "for what its platform calls it"),
    ] {
        let found = read(rest).map_or_else(|found| found, |_| Vec::new());
        assert!(
            found.len() == 1 && found[0].what.contains(said) && !found[0].fix.is_empty(),
            "{rest}: {found:?}"
        );
    }
}
