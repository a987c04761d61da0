//! Files, right and wrong.
use super::*;

const GOOD: &str = r#"
public_url = "https://mcp.example.com"
listen = "127.0.0.1:8080"
state = "state"

[tokens]
access_token_lifetime = "5m"

[[server]]
name = "calendar"
path = "/calendar"
title = "Calendar"
upstream = "http://10.0.0.5:3001/mcp"
scopes = [{ name = "read", title = "Read your calendar" }, { name = "write", title = "Change your calendar" }]
"#;

fn problems(text: &str) -> Vec<Problem> {
    parse(text, Path::new("/x")).map_or_else(|problems| problems, |_| Vec::new())
}

#[test]
fn a_good_file() {
    let config = parse(GOOD, Path::new("/x")).unwrap();
    assert_eq!(config.settings.resources[0].uri.as_str(), "https://mcp.example.com/calendar");
    assert_eq!(config.settings.access_token_lifetime, Duration::from_mins(5));
    assert_eq!(config.state, Path::new("/x/state"));
    assert_eq!(config.settings.resources[0].scopes[1].title, "Change your calendar");
}

#[test]
fn t_101_what_is_wrong_is_told_with_line_and_fix() {
    for (from, to, line, what) in [
        ("https://mcp", "http://mcp", 2, "https"),
        ("example.com\"", "example.com/\"", 2, "slash"),
        ("127.0.0.1:8080", "8080", 3, "listen"),
        ("\"5m\"", "\"5 minutes\"", 7, "length of time"),
        ("\"5m\"", "\"5d\"", 7, "between"),
        ("access_token_lifetime", "acces_token_lifetime", 7, "unknown field"),
        ("\"/calendar\"", "\"/token\"", 11, "path"),
        ("\"/calendar\"", "\"calendar\"", 11, "path"),
        ("http://10.0.0.5", "ftp://10.0.0.5", 13, "upstream"),
        ("\"write\"", "\"read\"", 11, "twice"),
        ("name = \"calendar\"\n", "", 9, "missing field"),
    ] {
        let text = GOOD.replacen(from, to, 1);
        assert_ne!(text, GOOD);
        let found = problems(&text);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(
            found[0].line == Some(line) && found[0].what.contains(what) && !found[0].fix.is_empty(),
            "{from}: {found:?}"
        );
    }
}

#[test]
fn what_every_call_needs() {
    let config = parse(GOOD, Path::new("/x")).unwrap();
    assert!(config.servers[0].required_scope.is_empty());
    let text = GOOD.replace("[[server]]", "[[server]]\nrequired_scopes = [\"read\"]");
    assert_eq!(parse(&text, Path::new("/x")).unwrap().servers[0].required_scope.to_string(), "read");
    assert!(problems(&text.replace("[\"read\"]", "[\"raed\"]"))[0].what.contains("raed"));
    let local = local(None, 8080, Path::new(".")).unwrap();
    assert_eq!(local.servers[0].required_scope.to_string(), "mcp");
}

#[test]
fn several_at_once() {
    let text = GOOD.replace("https://mcp", "http://mcp").replace("\"5m\"", "\"x\"");
    assert_eq!(problems(&text).len(), 2);
}

#[test]
fn the_local_one() {
    let config = local(Some("http://127.0.0.1:3001/mcp"), 8080, Path::new(".hallpass")).unwrap();
    assert_eq!(config.settings.issuer.as_str(), "http://localhost:8080");
    assert_eq!(config.settings.resources[0].uri.as_str(), "http://localhost:8080/mcp");
    assert!(local(Some("not a url"), 8080, Path::new(".")).is_err());
    assert!(local(None, 8080, Path::new(".")).unwrap().servers[0].upstream.is_none());
}
