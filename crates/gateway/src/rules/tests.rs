//! Rules, right and near misses.
use super::*;
use crate::config::Rule as Line;
use hallpass_core::mcp::Message;
use serde_json::json;

pub(crate) const ANN: Asker<'_> = Asker {
    person: Some("ann"),
    client: "c",
    machine: None,
    groups: &[],
    actors: &[],
    grant: None,
    anonymous: false,
    schemes: None,
    details: None,
};

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
        ..Line::default()
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
        ..Policy::default()
    };
    Rules::new(scope("base"), &policy)
}

fn needs(rules: &Rules, method: &str, params: &str) -> Option<String> {
    let text = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#);
    let message = Message::parse(text.as_bytes(), Message::LIMITS).unwrap();
    match rules.decide(&ANN, &Scope::none(), Operation::of(&message)).outcome {
        Outcome::Allowed => Some(String::new()),
        Outcome::Lacks(scope) | Outcome::SignIn(scope) => Some(scope.to_string()),
        Outcome::Denied(_) => None,
    }
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
        assert!(!rules.shows(&ANN, Kind::Tool, name));
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
        assert_eq!(rules.shows_template(&ANN, template), shown, "{template}");
    }
}

/// One decision of these rules about a tool.
fn decision(rules: &[Line], unlisted: Unlisted, asker: &Asker<'_>, granted: &str, call: &Value) -> String {
    let policy = Policy { rules: rules.to_vec(), unlisted, ..Policy::default() };
    let rules = Rules::new(Scope::none(), &policy);
    let text = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": call }).to_string();
    let message = Message::parse(text.as_bytes(), Message::LIMITS).unwrap();
    let Decision { rule, outcome } = rules.decide(asker, &scope(granted), Operation::of(&message));
    match outcome {
        Outcome::Allowed => format!("{rule}: allowed"),
        Outcome::Lacks(scope) => format!("{rule}: {scope}"),
        Outcome::SignIn(scope) => format!("{rule}: sign in for {scope}"),
        Outcome::Denied(why) => format!("{rule}: {why:?}"),
    }
}

fn line(tools: &[&str], scopes: &str) -> Line {
    Line { tools: strings(tools), scopes: scope(scopes), ..Line::default() }
}

fn by<'a>(person: Option<&'a str>, client: &'a str, actors: &'a [String]) -> Asker<'a> {
    Asker { person, client, actors, ..ANN }
}

#[test]
fn rs_035_a_scope_is_not_enough_for_who_is_not_named() {
    let people = |names: &[&str]| Callers { people: Some(strings(names)), ..Callers::default() };
    let rules = [
        line(&["*"], "read"),
        Line { callers: people(&["ann", "eve"]), ..line(&["delete"], "write") },
        Line { name: Some("eve only".into()), callers: people(&["eve"]), ..line(&["delete"], "admin") },
        Line { callers: people(&[]), ..line(&["never"], "") },
    ];
    let ask = |who, granted, tool| {
        decision(&rules, Unlisted::Default, &by(who, "c", &[]), granted, &json!({ "name": tool }))
    };
    for (who, granted, tool, said) in [
        (Some("ann"), "read write", "delete", "#2: allowed"),
        (Some("ann"), "read", "delete", "#2: read write"),
        (Some("ann"), "write", "delete", "#2: read write"),
        (Some("eve"), "read admin", "delete", "eve only: allowed"),
        (Some("eve"), "read", "delete", "#2: read write"),
        (Some("bob"), "read write admin", "delete", "#2: Caller"),
        (Some("Ann"), "read write", "delete", "#2: Caller"),
        (None, "read write", "delete", "#2: Caller"),
        (Some("ann"), "read write", "never", "#4: Caller"),
        (Some("bob"), "read", "list", "#1: allowed"),
        (Some("bob"), "", "list", "#1: read"),
    ] {
        assert_eq!(ask(who, granted, tool), said, "{who:?} {granted} {tool}");
    }
    let machine_of_that_name = by(None, "ann", &[]);
    let call = json!({ "name": "delete" });
    assert_eq!(decision(&rules, Unlisted::Default, &machine_of_that_name, "read write", &call), "#2: Caller");
}

#[test]
fn rs_035_t_31_a_second_client_is_no_way_around_a_rule_about_the_first() {
    let clients = |names: &[&str]| Callers { clients: Some(strings(names)), ..Callers::default() };
    let rules = [
        Line { callers: clients(&["good", "helper"]), ..line(&["pay"], "") },
        Line { callers: clients(&["bad"]), deny: true, ..line(&["*"], "") },
        line(&["list"], ""),
    ];
    let ask = |client, actors: &[&str], tool| {
        let actors = strings(actors);
        let asker = by(Some("ann"), client, &actors);
        decision(&rules, Unlisted::Deny, &asker, "", &json!({ "name": tool }))
    };
    assert_eq!(ask("good", &[], "pay"), "#1: allowed");
    assert_eq!(ask("helper", &["helper", "good"], "pay"), "#1: allowed");
    assert_eq!(ask("helper", &["helper", "other"], "pay"), "#1: Caller");
    assert_eq!(ask("other", &["other", "good"], "pay"), "#1: Caller");
    assert_eq!(ask("bad", &[], "list"), "#2: Caller");
    assert_eq!(ask("good", &["good", "bad"], "list"), "#2: Caller");
    assert_eq!(ask("good", &["good", "bad"], "li\u{200b}st"), "#2: Caller", "who forbids all means all");
    assert_eq!(ask("good", &[], "list"), "#3: allowed");
}

/// A group of the operator's, and one that tokens of another authorization server name.
fn groups(names: &[&str]) -> Callers {
    let group = |name: &&str| match *name {
        "staff" => Members::Listed(strings(&["ann", "bob"]).into()),
        other => Members::Claimed(format!("https://login.example {other}")),
    };
    let groups = names.iter().map(|name| Group { name: (*name).to_owned(), members: group(name) });
    Callers { groups: Some(groups.collect()), ..Callers::default() }
}

#[test]
fn rs_035_who_is_in_a_group_and_who_only_looks_so() {
    let in_both = Callers { clients: Some(strings(&["good"])), ..groups(&["staff"]) };
    let rules = [
        Line { callers: groups(&["staff"]), ..line(&["delete"], "write") },
        Line { callers: groups(&["admins", "staff"]), ..line(&["audit"], "") },
        Line { callers: in_both, ..line(&["pay"], "") },
        Line { callers: groups(&["guests"]), deny: true, ..line(&["*"], "") },
        Line { callers: groups(&[]), ..line(&["never"], "") },
        line(&["list"], ""),
    ];
    let ask = |person, client, named: &[&str], tool| {
        let named = strings(named);
        let asker = Asker { person, client, groups: &named, ..ANN };
        decision(&rules, Unlisted::Deny, &asker, "write", &json!({ "name": tool }))
    };
    let (admins, guests) = ("https://login.example admins", "https://login.example guests");
    for (person, client, named, tool, said) in [
        (Some("ann"), "c", &[][..], "delete", "#1: allowed"),
        (Some("bob"), "c", &[], "delete", "#1: allowed"),
        (Some("eve"), "c", &[], "delete", "#1: Caller"),
        (Some("Ann"), "c", &[], "delete", "#1: Caller"),
        (None, "ann", &[], "delete", "#1: Caller"),
        (Some("eve"), "staff", &[], "delete", "#1: Caller"),
        (Some("staff"), "staff", &[], "delete", "#1: Caller"),
        (Some("eve"), "c", &["staff"], "delete", "#1: Caller"),
        (Some("eve"), "c", &["https://login.example staff"], "delete", "#1: Caller"),
        (Some("eve"), "c", &[admins], "audit", "#2: allowed"),
        (Some("eve"), "c", &["admins", "https://other.example admins"], "audit", "#2: Caller"),
        (None, "c", &[admins], "audit", "#2: Caller"),
        (Some("ann"), "c", &[], "audit", "#2: allowed"),
        (Some("ann"), "good", &[], "pay", "#3: allowed"),
        (Some("ann"), "bad", &[], "pay", "#3: Caller"),
        (Some("eve"), "good", &[], "pay", "#3: Caller"),
        (Some("ann"), "c", &[guests], "list", "#4: Caller"),
        (Some("ann"), "c", &[], "list", "#6: allowed"),
        (Some("ann"), "c", &[], "never", "#5: Caller"),
    ] {
        assert_eq!(ask(person, client, named, tool), said, "{person:?} {client} {named:?} {tool}");
    }
}

#[test]
fn rs_035_lists_and_explanations_know_groups() {
    let policy = Policy {
        rules: vec![
            Line { callers: groups(&["staff", "admins"]), ..line(&["delete"], "") },
            line(&["list"], ""),
        ],
        unlisted: Unlisted::Deny,
        ..Policy::default()
    };
    let rules = Rules::new(Scope::none(), &policy);
    let named = strings(&["https://login.example admins"]);
    let eve = Asker { person: Some("eve"), ..ANN };
    let admin = Asker { groups: &named, ..eve };
    for (asker, shown) in [(ANN, true), (eve, false), (admin, true), (Viewer::of(&admin).asker(), true)] {
        assert_eq!(rules.shows(&asker, Kind::Tool, "delete"), shown, "{asker:?}");
        assert!(rules.shows(&asker, Kind::Tool, "list") && rules.hides());
    }
    let text = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": { "name": "delete" } });
    let message = Message::parse(text.to_string().as_bytes(), Message::LIMITS).unwrap();
    let by = |asker: Asker<'_>| {
        let question = crate::Question {
            person: asker.person,
            groups: asker.groups,
            client: "c",
            machine: asker.machine,
            grant: None,
            anonymous: false,
            scope: &Scope::none(),
            message: &message,
        };
        let found = crate::explain(&Scope::none(), &policy, &question);
        (found.decision, found.rules[0].group.clone())
    };
    assert_eq!(by(ANN), ("allowed", Some("staff".into())));
    assert_eq!(by(admin), ("allowed", Some("admins".into())));
    assert_eq!(by(eve), ("denied", None));
}

#[test]
fn rs_035_one_installation_of_a_client() {
    let grant = GrantId::from_bytes([7; 16]);
    let callers = Callers { grants: Some(vec![grant]), ..Callers::default() };
    let rules = [Line { callers, ..line(&["pay"], "") }];
    let ask = |grant| {
        let asker = Asker { grant, ..ANN };
        decision(&rules, Unlisted::Deny, &asker, "", &json!({ "name": "pay" }))
    };
    assert_eq!(ask(Some(grant)), "#1: allowed");
    assert_eq!(ask(Some(GrantId::from_bytes([8; 16]))), "#1: Caller");
    assert_eq!(ask(None), "#1: Caller");
}

#[test]
fn rs_035_arguments_decide_and_what_is_unclear_is_against_the_caller_both_ways() {
    let when = |text: Value| Constraints::parse(&text).unwrap();
    let rules = [
        Line { arguments: when(json!({ "path": { "matches": "/public/*" } })), ..line(&["read"], "") },
        Line {
            callers: Callers { people: Some(strings(&["ann"])), ..Callers::default() },
            arguments: when(json!({ "path": { "matches": "/home/*" } })),
            ..line(&["read"], "home")
        },
        line(&["pay"], ""),
        Line { arguments: when(json!({ "amount": { "min": 1000 } })), deny: true, ..line(&["pay"], "") },
    ];
    let ask = |who, granted, tool: &str, arguments: Value| {
        let call = json!({ "name": tool, "arguments": arguments });
        decision(&rules, Unlisted::Default, &by(Some(who), "c", &[]), granted, &call)
    };
    assert_eq!(ask("bob", "", "read", json!({ "path": "/public/a" })), "#1: allowed");
    assert_eq!(ask("bob", "home", "read", json!({ "path": "/home/a" })), "#1: Arguments");
    assert_eq!(ask("ann", "home", "read", json!({ "path": "/home/a" })), "#2: allowed");
    assert_eq!(ask("ann", "", "read", json!({ "path": "/home/a" })), "#2: home");
    for arguments in [
        json!({}),
        json!({ "path": "/public/../etc/passwd" }),
        json!({ "path": "/public/a", "Path": "/etc/passwd" }),
        json!({ "path": ["/public/a"] }),
        json!([]),
    ] {
        assert_eq!(ask("ann", "home", "read", arguments.clone()), "#1: Arguments", "{arguments}");
    }
    assert_eq!(ask("bob", "", "pay", json!({ "amount": 999 })), "#3: allowed");
    for arguments in [json!({ "amount": 1000 }), json!({}), json!({ "amount": "1000" }), Value::Null] {
        assert_eq!(ask("bob", "", "pay", arguments.clone()), "#4: Arguments", "{arguments}");
    }
}

#[test]
fn rs_054_lists_show_to_each_what_it_may_use() {
    let people = Callers { people: Some(strings(&["ann"])), ..Callers::default() };
    let when = Constraints::parse(&json!({ "path": "/public" })).unwrap();
    let policy = Policy {
        rules: vec![
            Line { callers: people.clone(), ..line(&["delete"], "write") },
            Line { arguments: when.clone(), ..line(&["read"], "") },
            Line { callers: people, deny: true, ..line(&["bob_*"], "") },
            Line { arguments: when, deny: true, ..line(&["bob_*"], "") },
        ],
        ..Policy::default()
    };
    let rules = Rules::new(Scope::none(), &policy);
    let (ann, bob) = (by(Some("ann"), "c", &[]), by(Some("bob"), "c", &[]));
    let shown = |asker: &Asker<'_>| {
        ["delete", "read", "bob_x", "other"].map(|tool| rules.shows(asker, Kind::Tool, tool))
    };
    assert!(rules.hides());
    assert_eq!(shown(&ann), [true, true, false, true]);
    assert_eq!(shown(&bob), [false, true, true, true]);
    let told = Rules::new(Scope::none(), &Policy { dry_run: true, ..policy });
    assert!(!told.hides());
}

#[test]
fn p20_a_challenge_may_ask_for_what_was_granted_too() {
    let policy = |challenge| Policy { challenge, ..Policy::default() };
    let of = |challenge| Rules::new(Scope::none(), &policy(challenge));
    let (needed, granted) = (scope("write"), scope("read"));
    let told = |challenge| of(challenge).challenged(needed.clone(), &granted).to_string();
    assert_eq!(told(ChallengeScopes::Operation), "write");
    assert_eq!(told(ChallengeScopes::Granted), "write read");
}
