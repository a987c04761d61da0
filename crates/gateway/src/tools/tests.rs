//! Rules, right and near misses.
use super::*;
use crate::config::Rule as Line;

fn scope(text: &str) -> Scope {
    Scope::parse(text).unwrap()
}

fn strings(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn rules(unlisted: Unlisted) -> Rules {
    let line = |tools: &[&str], prompts: &[&str], resources: &[&str], text: &str| Line {
        tools: strings(tools),
        prompts: strings(prompts),
        resources: strings(resources),
        scopes: scope(text),
    };
    let policy = Policy {
        rules: vec![
            line(&["read_*", "list", "naïve"], &["read"], &["file:///public/*", "db://{table}"], "read"),
            line(&["*_all", "write"], &[], &["file:///public/drafts/*"], "write"),
        ],
        unlisted,
        implies: vec![
            ("admin".into(), scope("write")),
            ("write".into(), scope("read")),
            ("read".into(), scope("read")),
        ],
    };
    Rules::new(scope("base"), &policy)
}

fn needs(rules: &Rules, method: &str, params: &str) -> Option<String> {
    let text = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#);
    let message = Message::parse(text.as_bytes(), Message::LIMITS).unwrap();
    rules.required(Operation::of(&message)).ok().map(|scope| scope.to_string())
}

fn tool(rules: &Rules, name: &str) -> Option<String> {
    needs(rules, "tools/call", &serde_json::json!({ "name": name }).to_string())
}

#[test]
fn rs_010_rs_017_all_scopes_of_an_operation_always_the_same() {
    let rules = rules(Unlisted::Default);
    for _ in 0..100 {
        for (name, scopes) in [
            ("read_file", "base read"),
            ("read_all", "base read write"),
            ("write", "base write"),
            ("other", "base"),
        ] {
            assert_eq!(tool(&rules, name).as_deref(), Some(scopes), "{name}");
        }
    }
    assert_eq!(needs(&rules, "ping", "{}").as_deref(), Some("base"));
}

#[test]
fn rs_053_t_78_near_misses_are_not_listed() {
    let rules = rules(Unlisted::Deny);
    assert_eq!(tool(&rules, "naïve").as_deref(), Some("base read"), "named in full");
    for name in [
        "List",
        "list ",
        "list.",
        "l\u{131}st",
        "lis\u{200b}t",
        "lıst",
        "nai\u{308}ve",
        "read",
        "Read_file",
        "other",
        "read_\u{202e}elif",
        "read_ﬁle",
        "read_ file",
        "read_*\u{e9}",
    ] {
        assert_eq!(tool(&rules, name), None, "{name:?}");
        assert!(!rules.shows(Kind::Tool, name));
    }
    assert_eq!(
        needs(&rules, "prompts/get", r#"{"name":"list"}"#),
        None,
        "a tool's rule is none of a prompt's"
    );
    assert_eq!(needs(&rules, "tools/list", "{}").as_deref(), Some("base"));
}

#[test]
fn resources_are_named_by_uri_and_nothing_in_it_leads_elsewhere() {
    let rules = rules(Unlisted::Deny);
    let read = |uri: &str| needs(&rules, "resources/read", &serde_json::json!({ "uri": uri }).to_string());
    assert_eq!(read("file:///public/a/b").as_deref(), Some("base read"));
    assert_eq!(read("file:///public/drafts/b").as_deref(), Some("base read write"));
    for uri in [
        "file:///public/../secret",
        "file:///public/%2e%2E/secret",
        "file:///public/..%2fsecret",
        "file:///public/..\\secret",
        "file:///public/%252e%252e/secret",
        "file:///public/./x",
        "file:///Public/x",
        "file:///secret",
        "file:///public/a b",
    ] {
        assert_eq!(read(uri), None, "{uri}");
    }
    for method in ["resources/subscribe", "resources/unsubscribe"] {
        assert_eq!(needs(&rules, method, r#"{"uri":"file:///public/x"}"#).as_deref(), Some("base read"));
        assert_eq!(needs(&rules, method, r#"{"uri":"file:///secret"}"#), None);
        assert_eq!(needs(&rules, method, r#"{"uri":7}"#), None);
    }
}

#[test]
fn completions_take_what_they_complete() {
    let rules = rules(Unlisted::Deny);
    let complete =
        |reference: &str| needs(&rules, "completion/complete", &format!(r#"{{"ref":{reference}}}"#));
    assert_eq!(complete(r#"{"type":"ref/prompt","name":"read"}"#).as_deref(), Some("base read"));
    assert_eq!(complete(r#"{"type":"ref/resource","uri":"db://{table}"}"#).as_deref(), Some("base read"));
    for bad in [r#"{"type":"ref/prompt","name":"other"}"#, r#"{"type":"ref/other","name":"read"}"#, "7"] {
        assert_eq!(complete(bad), None, "{bad}");
    }
}

#[test]
fn rs_016_a_broader_scope_is_enough_through_any_number_of_steps() {
    let rules = rules(Unlisted::Default);
    for (granted, required, enough) in [
        ("admin", "read write", true),
        ("admin", "admin", true),
        ("write", "read", true),
        ("read", "write", false),
        ("write", "admin", false),
        ("administrator", "read", false),
        ("", "read", false),
        ("", "", true),
    ] {
        assert_eq!(rules.covers(&scope(granted), &scope(required)), enough, "{granted} {required}");
    }
}

#[test]
fn rs_034_scopes_are_exact_tokens() {
    let rules = rules(Unlisted::Default);
    for near in ["Read", "rea", "readwrite", "read:x", "*"] {
        assert!(!rules.covers(&scope(near), &scope("read")), "{near}");
    }
}

#[test]
fn templates_are_shown_when_a_rule_may_name_what_they_make() {
    let rules = rules(Unlisted::Deny);
    for (template, shown) in [
        ("file:///public/{path}", true),
        ("file:///{+path}", true),
        ("file:///secret/{path}", false),
        ("db://{table}", true),
        ("mail://{x}", false),
    ] {
        assert_eq!(rules.shows_template(template), shown, "{template}");
    }
}
