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
    ] {
        let found = problems(&format!("{FILE}{section}\n"));
        assert!(found.iter().any(|problem| problem.what.contains(said)), "{section}: {found:?}");
    }
    let good = "[limits]\nregistrations_per_minute = 1\n[dangerous]\nprivate_hosts = [\"Intranet.example\", \"10.0.0.7\", \"[fd00::1]\"]";
    assert!(parse(&format!("{FILE}{good}\n"), Path::new("")).is_ok());
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
