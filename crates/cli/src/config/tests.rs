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
fn t_73_trusted_proxies_are_addresses_or_networks() {
    let with = |entries: &str| format!("trusted_proxies = [{entries}]\n{GOOD}");
    let settings = parse(&with("\"127.0.0.1\", \"10.0.0.0/8\""), Path::new("/x")).unwrap().settings;
    let trusted = |address: &str| {
        settings.trusted_proxies.iter().any(|network| network.contains(address.parse().unwrap()))
    };
    assert!(trusted("127.0.0.1") && trusted("10.9.8.7") && !trusted("127.0.0.2") && !trusted("11.0.0.1"));
    for wrong in ["\"proxy\"", "\"10.0.0.0/40\"", "\"\""] {
        let found = problems(&with(wrong));
        assert!(
            found.len() == 1 && found[0].line == Some(1) && found[0].what.contains("network"),
            "{found:?}"
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

const COMMAND: &str = r#"
public_url = "https://mcp.example.com"
[[server]]
name = "files"
path = "/files"
command = ["npx", "-y", "some-server", "/data"]
cwd = "work"
env = { API_KEY = "k" }
pass_env = ["GITHUB_TOKEN"]
max_processes = 5
shared_processes = 2
idle_time = "1h"
"#;

#[test]
fn a_command() {
    let config = parse(COMMAND, Path::new("/x")).unwrap();
    let Behind::Command { command, pass } = &config.servers[0].behind else { panic!() };
    assert_eq!(
        (command.program.as_str(), command.arguments.join(" ")),
        ("npx", "-y some-server /data".into())
    );
    assert_eq!(command.folder.as_deref(), Some(Path::new("/x/work")));
    assert_eq!(
        (command.environment.as_slice(), pass.as_slice()),
        (&[("API_KEY".into(), "k".into())][..], &["GITHUB_TOKEN".to_owned()][..])
    );
    assert_eq!(command.shared_processes, 2);
    let limits = command.limits;
    assert_eq!(
        (limits.processes, limits.processes_per_subject, limits.idle),
        (5, 5, Duration::from_hours(1))
    );
    assert!(!format!("{config:?}").contains("API_KEY"), "what a command is given may be secret");
}

#[test]
fn t_101_what_is_wrong_with_a_command_is_told_with_line_and_fix() {
    for (from, to, line, what) in [
        ("[\"npx\", \"-y\", \"some-server\", \"/data\"]", "[]", 6, "no program"),
        ("[\"npx\", \"-y\", \"some-server\", \"/data\"]", "[\"npx -y some-server\"]", 6, "no shell"),
        ("[\"npx\",", "[\"npx\\u0000\",", 6, "NUL"),
        ("[\"npx\", \"-y\", \"some-server\", \"/data\"]", "\"npx\"", 6, "invalid type"),
        ("cwd = \"work\"", "upstream = \"http://h/mcp\"", 6, "an upstream and a command"),
        ("API_KEY", "\"A=B\"", 8, "env"),
        ("GITHUB_TOKEN", "HALLPASS_LOG", 9, "hallpass itself"),
        ("GITHUB_TOKEN", "A=B", 9, "pass_env"),
        ("= 5", "= 0", 10, "no process"),
        ("shared_processes = 2", "shared_processes = 6", 11, "more than max_processes"),
        ("1h", "1 hour", 12, "length of time"),
    ] {
        let text = COMMAND.replacen(from, to, 1);
        assert_ne!(text, COMMAND);
        let found = problems(&text);
        assert_eq!(found.len(), 1, "{found:?}");
        let right = found[0].line == Some(line) && found[0].what.contains(what) && !found[0].fix.is_empty();
        assert!(right, "{from}: {found:?}");
    }
    let stray = problems(&COMMAND.replace("command = [\"npx\", \"-y\", \"some-server\", \"/data\"]", ""));
    assert_eq!(stray.len(), 6, "{stray:?}");
}

#[test]
fn a_local_command() {
    let text = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let (command, env) = (text(&["npx", "-y", "a \"b\" \\ c"]), text(&["KEY=a=b \"c\"", "HOME_OF"]));
    let config = on_this_computer(Given::Command(&command, &env), 8080, Path::new(".")).unwrap();
    let Behind::Command { command, pass } = &config.servers[0].behind else { panic!() };
    assert_eq!(command.arguments[1], "a \"b\" \\ c");
    assert_eq!(command.environment, [("KEY".into(), "a=b \"c\"".into())]);
    assert_eq!((pass.as_slice(), command.folder.as_deref()), (&["HOME_OF".to_owned()][..], None));
    assert!(on_this_computer(Given::Command(&[String::new()], &[]), 8080, Path::new(".")).is_err());
}

const RULES: &str = r#"
public_url = "https://mcp.example.com"
[[server]]
name = "files"
path = "/files"
scopes = [{ name = "admin", implies = ["write"] }, { name = "read" }, { name = "write", implies = ["read"] }]
required_scopes = []

[[server.rules]]
tools = ["read_*", "list"]
resources = ["file:///*"]
scopes = ["read"]

[[server.rules]]
tools = ["ping"]
"#;

#[test]
fn rules_for_tools() {
    let of = |text: &str| parse(text, Path::new("/x")).unwrap().servers[0].policy.clone();
    let policy = of(RULES);
    assert_eq!(
        (policy.rules.len(), policy.rules[0].tools.len(), policy.rules[0].scopes.to_string()),
        (2, 2, "read".into())
    );
    assert!(policy.rules[1].scopes.is_empty());
    assert_eq!(policy.implies[0].0, "admin");
    assert_eq!(policy.unlisted, hallpass_gateway::Unlisted::Deny, "what is forgotten is not open");
    let open = RULES.replace("required_scopes", "unlisted = \"default\"\nrequired_scopes");
    assert_eq!(of(&open).unlisted, hallpass_gateway::Unlisted::Default);
    assert_eq!(of(GOOD).unlisted, hallpass_gateway::Unlisted::Default);
}

#[test]
fn t_101_what_is_wrong_with_a_rule_is_told_with_line_and_fix() {
    for (from, to, line, what) in [
        ("scopes = [\"read\"]", "scopes = [\"raed\"]", 12, "raed"),
        ("implies = [\"write\"]", "implies = [\"wirte\"]", 6, "wirte"),
        ("tools = [\"ping\"]", "scopes = [\"read\"]", 14, "names nothing"),
        ("tools = [\"ping\"]", "tools = [\"\"]", 14, "empty name"),
        ("tools = [\"ping\"]", "tool = [\"ping\"]", 15, "unknown field"),
        ("required_scopes = []", "unlisted = \"allow\"", 7, "unknown value"),
        ("{ name = \"read\" }", "{ name = \"read\", implies = [\"admin\"] }", 6, "implies itself"),
        ("scopes = [\"read\"]", "people = [\"ann\"]", 12, "not the id of a person"),
        ("scopes = [\"read\"]", "clients = [\"\"]", 12, "empty client id"),
        ("scopes = [\"read\"]", "grants = [\"x\"]", 12, "not the id of a grant"),
        ("scopes = [\"read\"]", "arguments = { path = \"/a\" }", 12, "resources have no arguments"),
        ("tools = [\"ping\"]", "tools = [\"ping\"]\narguments = {}", 16, "without a condition"),
        ("tools = [\"ping\"]", "tools = [\"ping\"]\narguments = { a = { max = \"1\" } }", 16, "2^53"),
        ("tools = [\"ping\"]", "tools = [\"ping\"]\ncalls_per_minute = 0", 16, "nobody"),
        ("tools = [\"ping\"]", "tools = [\"ping\"]\nname = \"a\\nb\"", 16, "for the log"),
        ("scopes = [\"read\"]", "scopes = [\"read\"]\ndeny = true", 12, "takes no scopes"),
        ("required_scopes = []", "calls_per_minute = 0", 7, "nobody"),
        ("required_scopes = []", "caller_audience = \"files\"", 7, "takes an upstream"),
        ("required_scopes = []", "upstream = \"http://h/\"\ncaller_audience = \"https://h\"", 8, "no URL"),
    ] {
        let text = RULES.replacen(from, to, 1);
        assert_ne!(text, RULES);
        let found = problems(&text);
        assert_eq!(found.len(), 1, "{found:?}");
        let right = found[0].line == Some(line) && found[0].what.contains(what) && !found[0].fix.is_empty();
        assert!(right, "{from}: {found:?}");
    }
}

#[test]
fn rs_018_rs_035_rules_for_some_and_limits() {
    let id = hallpass_core::id::PersonId::from_bytes([1; 16]).to_string();
    let grant = hallpass_core::id::GrantId::from_bytes([2; 16]).to_string();
    let more = format!(
        "name = \"public files\"\npeople = [\"{id}\"]\nclients = [\"c\"]\ngrants = [\"{grant}\"]\n\
         calls_per_minute = 5\narguments = {{ path = {{ matches = \"/public/*\" }}, \"/n/0\" = {{ max = 3 }} }}\n"
    );
    let text = RULES
        .replace("tools = [\"ping\"]", &format!("tools = [\"ping\"]\n{more}"))
        .replace("required_scopes = []", "required_scopes = []\nchallenge_scopes = \"granted\"\ncalls_per_minute = 60\nmax_streams_per_person = 4");
    let text = format!(
        "{text}\n[limits]\nmessage_kilobytes = 64\nanswer_megabytes = 2\nanswer_time = \"1m\"\nkeep_alive = \"5s\"\n\
         [clients]\ntool_result_challenges = [\"own-*\"]\n[dangerous]\nrules_dry_run = [\"files\"]\n"
    );
    let config = parse(&text, Path::new("/x")).unwrap();
    let server = &config.servers[0];
    let rule = &server.policy.rules[1];
    assert_eq!(rule.name.as_deref(), Some("public files"));
    assert_eq!(rule.callers.people.as_deref(), Some(&[id][..]));
    assert_eq!(rule.arguments.in_words().count(), 2);
    assert_eq!((rule.calls_per_minute, server.callers.calls_per_minute), (Some(5), Some(60)));
    assert_eq!(server.callers.streams, Some(4));
    assert!(server.policy.dry_run);
    assert_eq!(server.policy.challenge, hallpass_gateway::ChallengeScopes::Granted);
    assert_eq!((config.gateway.body, config.gateway.keep_alive.as_secs()), (65_536, 5));
    assert_eq!(config.gateway.answer_length, 2 * 1024 * 1024);
    assert_eq!(config.challenge_styles[0].client, "own-*");
    assert!(config.dangerous[0].contains("files"), "{:?}", config.dangerous);
    let unknown = text.replace("rules_dry_run = [\"files\"]", "rules_dry_run = [\"flies\"]");
    assert!(problems(&unknown)[0].what.contains("flies"));
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
    assert!(local(None, 8080, Path::new(".")).unwrap().servers[0].behind.is_demo());
}

#[test]
fn as_133_as_034_clients_of_the_file() {
    let folder = tempfile::tempdir().unwrap();
    let secrets = "a-new-secret-that-is-long-enough\nthe-old-secret-that-is-long-enough\n";
    std::fs::write(folder.path().join("good.secret"), secrets).unwrap();
    std::fs::write(folder.path().join("bad.secret"), "short\n").unwrap();
    std::fs::write(folder.path().join("keys.json"), "{\"keys\": []}").unwrap();
    let checked = |more: &str| parse(&format!("{GOOD}\n{more}"), folder.path());
    let config = checked(
        "[clients]\nregistration = \"token\"\ndocuments_only = [\"claude.ai\", \"*.vscode.dev\"]\n\
         [[client]]\nid = \"reports\"\nname = \"Reports\"\nredirect_uris = [\"https://r.example/cb\"]\n\
         auth = \"client_secret_basic\"\nsecret_file = \"good.secret\"\nscopes = [\"read\"]\n\
         [[client]]\nid = \"gpt\"\nname = \"ChatGPT\"\nredirect_rules = [\"chatgpt-connector\"]\n\
         [dangerous]\ntoken_endpoint_audience = [\"reports\"]\n",
    )
    .unwrap();
    let settings = &config.settings;
    assert_eq!(settings.registration, hallpass_server::RegistrationPolicy::WithToken);
    assert!(settings.documents.allow("insiders.vscode.dev") && !settings.documents.allow("evil.example"));
    assert!(!settings.require_pushed_authorization_requests);
    let pushed = "[clients]\nrequire_pushed_authorization_requests = true\n[[client]]\nid = \"p\"\nname = \"P\"\n\
         redirect_uris = [\"https://r.example/cb\"]\nrequire_pushed_authorization_requests = true\n";
    assert!(checked(pushed).unwrap().settings.require_pushed_authorization_requests);
    assert!(settings.clients[0].accepts("the-old-secret-that-is-long-enough"));
    assert_eq!(settings.clients[1].id(), "gpt");
    assert!(config.dangerous[0].contains("reports"));
    let one = |line: &str| format!("[[client]]\nname = \"R\"\nid = \"r\"\n{line}");
    for (more, what) in [
        (one(""), "no redirect URI"),
        (one("redirect_uris = [\"http://r.example/\"]"), "redirect URI"),
        (one("redirect_rules = [\"nobody\"]"), "no redirect rule"),
        (one("redirect_uris = [\"https://r.example/\"]\nauth = \"basic\""), "auth is"),
        (one("redirect_uris = [\"https://r.example/\"]\nauth = \"client_secret_post\""), "one secret"),
        (
            one("redirect_uris = [\"https://r.example/\"]\nsecret_file = \"bad.secret\""),
            "secret_file must hold",
        ),
        (one("redirect_uris = [\"https://r.example/\"]\nsecret_file = \"none.secret\""), "cannot be read"),
        (
            one(
                "redirect_uris = [\"https://r.example/\"]\nauth = \"private_key_jwt\"\njwks_file = \"keys.json\"",
            ),
            "public keys",
        ),
        (one("redirect_uris = [\"https://r.example/\"]\nscope = [\"x\"]"), "unknown field"),
        ("[clients]\ndocuments_never = [\"https://a.example\"]".to_owned(), "is not a host"),
        ("[clients]\nregistration = \"maybe\"".to_owned(), "unknown value"),
        (
            format!(
                "{0}\nredirect_uris = [\"https://r.example/\"]\n{0}\nredirect_uris = [\"https://r.example/\"]",
                one("")
            ),
            "two clients",
        ),
    ] {
        let found = checked(&more).map_or_else(|problems| problems, |_| Vec::new());
        assert!(
            found.len() == 1 && found[0].what.contains(what) && !found[0].fix.is_empty(),
            "{more}: {found:?}"
        );
    }
}

#[test]
fn as_195_rs_005_who_gets_bound_tokens() {
    let read = |section: &str, entry: &str| {
        let text = format!(
            "public_url = \"https://a.example\"\n{section}\n[[server]]\nname = \"a\"\npath = \"/a\"\nupstream = \"http://10.0.0.1/\"\n{entry}\n\
             [[server]]\nname = \"b\"\npath = \"/b\"\nupstream = \"http://10.0.0.1/\"\n"
        );
        let settings = parse(&text, Path::new(".")).map(|config| config.settings)?;
        let only = settings.resources.iter().map(|one| one.bound_tokens_only).collect::<Vec<_>>();
        Ok::<_, Vec<Problem>>((settings.proofs.offered, settings.proofs.nonces, only))
    };
    assert_eq!(read("", "").unwrap(), (true, false, vec![false, false]));
    assert_eq!(read("[dpop]\nnonces = true", "").unwrap(), (true, true, vec![false, false]));
    assert_eq!(read("[dpop]\nmode = \"off\"", "").unwrap(), (false, false, vec![false, false]));
    assert_eq!(read("[dpop]\nmode = \"required\"", "").unwrap(), (true, false, vec![true, true]));
    assert_eq!(read("", "bound_tokens_only = true").unwrap(), (true, false, vec![true, false]));
    for (section, entry, what) in [
        ("[dpop]\nmode = \"off\"", "bound_tokens_only = true", "bound tokens only"),
        ("[dpop]\nmode = \"on\"", "", "unknown value"),
        ("[dpop]\nnonce = true", "", "unknown field"),
        ("", "bound_tokens_only = \"yes\"", "invalid type"),
    ] {
        let found = read(section, entry).unwrap_err();
        assert!(found.len() == 1 && found[0].what.contains(what) && !found[0].fix.is_empty(), "{found:?}");
    }
}

#[test]
fn t_101_the_database_is_a_file_unless_a_server_is_named_and_the_way_to_it_is_guarded() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("url"), "postgres://hallpass:canary@db.example/hallpass\n").unwrap();
    let read = |section: &str| {
        let text = format!(
            "public_url = \"https://a.example\"\n{section}\n[[server]]\nname = \"a\"\npath = \"/mcp\"\nupstream = \"http://10.0.0.1/\"\n"
        );
        parse(&text, folder.path()).map(|config| config.database).map_err(|problems| format!("{problems:?}"))
    };
    assert_eq!(read("").unwrap(), Database::File);
    let Database::Server { url, connections } = read("[database]\nurl_file = \"url\"").unwrap() else {
        panic!("a file")
    };
    assert_eq!((url.expose(), connections), ("postgres://hallpass:canary@db.example/hallpass", 32));
    let open = "postgres://u:canary@db.example/d?sslmode=disable";
    for (section, said) in [
        ("[database]\nconnections = 3".to_owned(), "only for a database server"),
        ("[database]\nurl = \"postgres://localhost/d\"\nurl_file = \"url\"".to_owned(), "keep one of them"),
        ("[database]\nurl_file = \"absent\"".to_owned(), "cannot be read"),
        ("[database]\nurl = \"mysql://u:canary@h/d\"".to_owned(), "cannot be read"),
        ("[database]\nurl = \"postgres://localhost/d\"\nconnections = 0".to_owned(), "no connection"),
        (format!("[database]\nurl = \"{open}\""), "in the open"),
    ] {
        let problems = read(&section).unwrap_err();
        assert!(problems.contains(said) && !problems.contains("canary"), "{section}: {problems}");
    }
    assert!(read(&format!("[dangerous]\ndatabase_without_tls = true\n[database]\nurl = \"{open}\"")).is_ok());
}

#[test]
fn as_208_t_101_who_may_introspect_exists_and_proves_it() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("secret"), "a-secret-of-the-calendar-server\n").unwrap();
    let read = |clients: &str, named: &str| {
        let text = format!(
            "public_url = \"https://a.example\"\n{clients}\n[[server]]\nname = \"a\"\npath = \"/mcp\"\nupstream = \"http://10.0.0.1/\"\nintrospection_clients = [\"{named}\"]\n"
        );
        parse(&text, folder.path()).map_err(|problems| format!("{problems:?}"))
    };
    let asks = "[[client]]\nid = \"asks\"\nname = \"A\"\nauth = \"client_secret_basic\"\nsecret_file = \"secret\"\ngrant_types = []\n";
    let config = read(asks, "asks").unwrap();
    assert_eq!(config.settings.resources[0].introspectors, ["asks"]);
    assert!(read(asks, "aks").unwrap_err().contains("no [[client]] has this id"));
    let public = "[[client]]\nid = \"open\"\nname = \"A\"\nredirect_uris = [\"https://r.example/\"]\n";
    assert!(read(public, "open").unwrap_err().contains("proves nothing"));
}

#[test]
fn as_208_a_server_elsewhere_checks_tokens_itself() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("secret"), "a-secret-of-the-notes-server\n").unwrap();
    let read = |entry: &str| {
        let client = "[[client]]\nid = \"asks\"\nname = \"A\"\nauth = \"client_secret_basic\"\nsecret_file = \"secret\"\ngrant_types = []\n";
        let text = format!("public_url = \"https://a.example\"\n{client}[[resource]]\n{entry}");
        parse(&text, folder.path()).map_err(|problems| format!("{problems:?}"))
    };
    let good = "url = \"https://notes.example/mcp\"\ntitle = \"Notes\"\nscopes = [{ name = \"notes:read\", title = \"Read\" }]\n\
                introspection_clients = [\"asks\"]\nbound_tokens_only = true\n";
    // No server is behind us, and none has to be.
    let config = read(good).unwrap();
    let resource = &config.settings.resources[0];
    assert!(config.servers.is_empty() && config.settings.resources.len() == 1);
    assert_eq!((resource.uri.as_str(), &*resource.title), ("https://notes.example/mcp", "Notes"));
    assert_eq!((&resource.introspectors[..], resource.bound_tokens_only), (&["asks".to_owned()][..], true));
    assert_eq!(resource.usual().to_string(), "notes:read");
    let plain = read("url = \"http://localhost:3000/mcp\"").unwrap();
    assert_eq!(plain.settings.resources[0].usual().to_string(), "mcp");

    // Beside those that are, each keeps its own place.
    let server = "[[server]]\nname = \"a\"\npath = \"/mcp\"\nupstream = \"http://10.0.0.1/\"\n";
    let config = read(&format!("{good}{server}")).unwrap();
    let uris: Vec<&str> = config.settings.resources.iter().map(|one| one.uri.as_str()).collect();
    assert_eq!(uris, ["https://a.example/mcp", "https://notes.example/mcp"]);
    let introspectors = config.settings.resources.iter().map(|one| one.introspectors.len());
    assert_eq!(introspectors.collect::<Vec<_>>(), [0, 1]);

    for (from, to, what) in [
        ("https://notes.example/mcp", "http://notes.example/mcp", "https"),
        ("https://notes.example/mcp", "notes", "url is not usable"),
        ("\"Read\" }", "\"Read\", implies = [\"x\"] }", "remove implies"),
        ("[\"asks\"]", "[\"aks\"]", "no [[client]] has this id"),
        ("notes:read", "notes read", "scope"),
        ("url =", "path =", "unknown field"),
    ] {
        let problems = read(&good.replacen(from, to, 1)).unwrap_err();
        assert!(problems.contains(what), "{to}: {problems}");
    }
    let twice = format!("{good}[[resource]]\n{good}");
    assert!(read(&twice).unwrap_err().contains("the same resource identifier"));
    let none = parse("public_url = \"https://a.example\"\n", folder.path()).unwrap_err();
    assert!(none.len() == 1 && none[0].fix.contains("[[resource]]"), "{none:?}");
}

#[test]
fn as_223_p27_limits_are_numbers_and_networks() {
    let read = |section: &str| {
        let text = format!(
            "public_url = \"https://a.example\"\n[limits]\n{section}\n[[server]]\nname = \"a\"\npath = \"/mcp\"\nupstream = \"http://10.0.0.1/\"\n"
        );
        parse(&text, Path::new(""))
            .map(|config| config.settings.limits)
            .map_err(|problems| format!("{problems:?}"))
    };
    let limits =
        read("failures_per_minute = 7\nshared_networks = [\"10.0.0.0/8\"]\nshared_factor = 3").unwrap();
    assert_eq!((limits.failures, limits.registrations), (7, 60));
    assert_eq!(limits.for_address("10.1.2.3".parse().unwrap(), 7), 21);
    assert_eq!(
        limits.for_address("160.79.104.1".parse().unwrap(), 7),
        7,
        "named ones replace the known ones"
    );
    assert!(read("shared_networks = [\"10.0.0.0/40\"]").unwrap_err().contains("write networks"));
}

#[test]
fn as_187_t_101_keys_have_a_known_algorithm_and_are_not_made_faster_than_given_up() {
    let read = |section: &str| {
        let text = format!(
            "public_url = \"https://a.example\"\n[keys]\n{section}\n[[server]]\nname = \"a\"\npath = \"/mcp\"\nupstream = \"http://10.0.0.1/\"\n"
        );
        parse(&text, Path::new(""))
            .map(|config| config.settings.keys)
            .map_err(|problems| format!("{problems:?}"))
    };
    assert_eq!(read("").unwrap().rotate_every, Some(Duration::from_hours(90 * 24)));
    assert_eq!(read("rotate_every = \"0s\"").unwrap().rotate_every, None);
    assert_eq!(read("algorithm = \"EdDSA\"").unwrap().algorithm.name(), "EdDSA");
    assert!(read("algorithm = \"HS256\"").unwrap_err().contains("ES256"));
    assert!(read("rotate_every = \"1h\"").unwrap_err().contains("1d"));
}

#[test]
fn as_153_t_101_machines_name_servers_that_there_are() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("nightly.secret"), "a-secret-of-the-nightly-report").unwrap();
    let second =
        "\n[[server]]\nname = \"notes\"\npath = \"/notes\"\nupstream = \"http://10.0.0.6:3001/mcp\"\n";
    let file = |more: &str, servers: &str| {
        format!(
            "{GOOD}{servers}\n[[client]]\nid = \"nightly\"\nname = \"Nightly\"\nauth = \"client_secret_basic\"\n\
             secret_file = \"nightly.secret\"\ngrant_types = [\"client_credentials\"]\nscopes = [\"read\"]\n{more}"
        )
    };
    let settings = parse(&file("", ""), folder.path()).unwrap().settings;
    assert!(settings.clients[0].machine().is_some_and(|machine| machine.resources.is_none()));
    let notes = "resources = [\"https://mcp.example.com/notes\"]\n";
    assert!(parse(&file(notes, second), folder.path()).is_ok());
    for (more, servers, what) in [
        ("", second, "names the servers"),
        (notes, "", "there is no server https://mcp.example.com/notes"),
        ("resources = []\n", "", "names no server"),
        ("resources = [\"notes\"]\n", second, "not the URL of a server"),
        ("redirect_uris = [\"https://a.example/cb\"]\n", "", "no redirect URIs"),
    ] {
        let found = parse(&file(more, servers), folder.path()).map(|_| ()).unwrap_err();
        assert!(found.len() == 1 && found[0].what.contains(what) && !found[0].fix.is_empty(), "{found:?}");
    }
}

#[test]
fn as_174_t_101_platforms_and_their_workloads() {
    let folder = tempfile::tempdir().unwrap();
    let key = "{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"1\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}";
    std::fs::write(folder.path().join("cluster.jwks"), key).unwrap();
    std::fs::write(folder.path().join("empty.jwks"), "{\"keys\":[]}").unwrap();
    let file = |issuer: &str, workload: &str| {
        format!("{GOOD}\n[[workload_issuer]]\n{issuer}\n[[workload_issuer.workload]]\n{workload}")
    };
    let cluster =
        "issuer = \"https://kubernetes.default.svc\"\njwks_file = \"cluster.jwks\"\nalgorithms = [\"EdDSA\"]";
    let deploy = "id = \"deploy\"\nclaims = { sub = \"system:serviceaccount:ci:*\" }\nscopes = [\"read\"]";
    let good = parse(&file(cluster, deploy), folder.path()).unwrap().settings;
    assert!(good.is_workload("deploy") && !good.is_workload("other"));
    let github = "issuer = \"https://token.actions.githubusercontent.com\"";
    let release = deploy.replace("sub = \"system:serviceaccount:ci:*\"", "repository = \"acme/app\"");
    assert!(parse(&file(github, &release), folder.path()).is_ok());
    let twice = format!(
        "{}\n[[workload_issuer]]\n{cluster}\n[[workload_issuer.workload]]\n{}",
        file(cluster, deploy),
        deploy.replace("\"deploy\"", "\"two\"")
    );
    let client = format!(
        "{}\n[[client]]\nid = \"deploy\"\nname = \"x\"\nredirect_uris = [\"https://a.example/cb\"]",
        file(cluster, deploy)
    );
    for (text, what) in [
        (
            file(github, &release.replace("repository = \"acme/app\"", "ref = \"refs/heads/main\"")),
            "signs for everybody",
        ),
        (file(cluster, &deploy.replace("ci:*", "c*:*i*")), "once in each part"),
        (file(cluster, &deploy.replace("system:serviceaccount:ci:*", "*")), "takes any sub"),
        (file(cluster, &deploy.replace("{ sub = \"system:serviceaccount:ci:*\" }", "{}")), "has no claims"),
        (file(cluster, &deploy.replace("scopes = [\"read\"]", "")), "takes scopes"),
        (file(cluster, &deploy.replace("\"deploy\"", "\"hpc_x\"")), "the id"),
        (
            file(cluster, &format!("{deploy}\nresources = [\"https://mcp.example.com/no\"]")),
            "there is no server",
        ),
        (file(&cluster.replace("EdDSA", "HS256"), deploy), "no algorithm \"HS256\""),
        (file(&cluster.replace("[\"EdDSA\"]", "[]"), deploy), "algorithms is empty"),
        (file(&cluster.replace("cluster.jwks", "empty.jwks"), deploy), "not a set of public keys"),
        (file(&cluster.replace("cluster.jwks", "none.jwks"), deploy), "cannot be read"),
        (
            file(&format!("{cluster}\njwks_uri = \"https://a.example/jwks\""), deploy),
            "one of jwks_file and jwks_uri",
        ),
        (file("issuer = \"kubernetes/serviceaccount\"", deploy), "write jwks_file"),
        (
            file("issuer = \"https://a.example\"\njwks_uri = \"http://a.example/jwks\"", deploy),
            "not an https URL",
        ),
        (format!("{GOOD}\n[[workload_issuer]]\n{cluster}"), "has no workload"),
        (twice, "two sections have the issuer"),
        (client, "two clients have the id deploy"),
    ] {
        let found = parse(&text, folder.path()).map(|_| ()).expect_err(what);
        assert!(
            found.len() == 1 && found[0].what.contains(what) && !found[0].fix.is_empty(),
            "{what}: {found:?}"
        );
    }
}

#[test]
fn as_159_t_101_access_across_domains_is_written_down_in_full() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("secret"), "a-secret-of-the-assistant-here").unwrap();
    let client = "[[client]]\nid = \"assistant\"\nname = \"A\"\nauth = \"client_secret_basic\"\nsecret_file = \"secret\"\nredirect_uris = [\"http://127.0.0.1/callback\"]\ngrant_types = [\"authorization_code\", \"refresh_token\", \"urn:ietf:params:oauth:grant-type:token-exchange\"]";
    let good = "client = \"assistant\"\naudience = \"https://partner.example\"\nclient_id = \"acme\"\nresources = [\"https://partner.example/mcp\"]\nscopes = [\"read\"]\nmax_age = \"12h\"";
    let file = |client: &str, entry: &str| format!("{GOOD}\n{client}\n[[cross_domain_access]]\n{entry}");
    let settings = parse(&file(client, good), folder.path()).unwrap().settings;
    let access = &settings.cross_domain[0];
    assert_eq!((access.audience.as_str(), &*access.client_id), ("https://partner.example", "acme"));
    assert_eq!(access.max_age, Some(Duration::from_hours(12)));
    let same = parse(&file(client, &good.replace("client_id = \"acme\"\n", "")), folder.path()).unwrap();
    assert_eq!(same.settings.cross_domain[0].client_id, "assistant");
    // One that a command made is judged when it asks.
    assert!(parse(&file("", good), folder.path()).is_ok());
    for (client, entry, what) in [
        (
            client,
            good.replace("https://partner.example\"\nclient", "http://partner.example\"\nclient"),
            "is not an issuer",
        ),
        (client, good.replace("\"https://partner.example/mcp\"", "\"calendar\""), "not the URL of a server"),
        (client, good.replace("\"https://partner.example/mcp\"", ""), "resources is empty"),
        (client, good.replace("\"read\"", "\"a b\""), "is not a scope token"),
        (client, good.replace("\"read\"", ""), "scopes is empty"),
        (client, good.replace("\"acme\"", "\"\""), "client_id is empty"),
        (client, good.replace("12h", "soon"), "not a length of time"),
        (
            client,
            good.replace("https://partner.example\"\nclient", "https://mcp.example.com\"\nclient"),
            "is asked for a token directly",
        ),
        (client, format!("{good}\n[[cross_domain_access]]\n{good}"), "two [[cross_domain_access]]"),
        (client, format!("{good}\nemail = true"), "unknown field"),
        (
            &*client.replace(", \"urn:ietf:params:oauth:grant-type:token-exchange\"", ""),
            good.to_owned(),
            "cannot ask",
        ),
        (&*client.replace(", \"refresh_token\"", ""), good.to_owned(), "cannot ask"),
    ] {
        let found = parse(&file(client, &entry), folder.path()).map(|_| ()).expect_err(what);
        assert!(found.len() == 1 && found[0].what.contains(what), "{what}: {found:?}");
    }
}

#[test]
fn as_172_t_101_companies_and_the_accounts_that_they_speak_for() {
    let folder = Path::new("/x");
    let file = |entry: &str| format!("{GOOD}\n[[identity_provider]]\n{entry}");
    let good = "issuer = \"https://acme.okta.com\"\naccounts = { \"00u1\" = \"ada\" }";
    let settings = parse(&file(good), folder).unwrap().settings;
    assert_eq!(settings.identity_providers[0].accounts["00u1"], "ada");
    assert!(parse(&file("issuer = \"https://acme.okta.com\""), folder).is_ok(), "accounts may be linked");
    for (entry, what) in [
        (good.replace("https://acme", "http://acme"), "write jwks_file"),
        (good.replace("https://acme.okta.com", "https://mcp.example.com"), "cannot trust itself"),
        (format!("{good}\n[[identity_provider]]\n{good}"), "two sections have the issuer"),
        (format!("{good}\nemail = true"), "unknown field"),
    ] {
        let found = parse(&file(&entry), folder).map(|_| ()).expect_err(what);
        assert!(found.len() == 1 && found[0].what.contains(what), "{what}: {found:?}");
    }
}

mod mistakes;
mod trust;

#[test]
fn t_85_what_is_open_is_open_to_anybody() {
    let file = |rule: &str| {
        format!(
            "public_url = \"https://mcp.example.com\"\n[[server]]\nname = \"f\"\npath = \"/f\"\nupstream = \"http://10.0.0.5/mcp\"\n\
             anonymous_calls_per_minute = 7\nscopes = [{{ name = \"read\" }}]\n[[server.rules]]\ntools = [\"find\"]\n{rule}\n"
        )
    };
    let config = parse(&file("open = true"), Path::new("/x")).unwrap();
    assert!(config.servers[0].policy.rules[0].open);
    assert_eq!(config.servers[0].callers.anonymous_per_minute, Some(7));
    for more in ["scopes = [\"read\"]", "clients = [\"c\"]", "people = []", "grants = []", "deny = true"] {
        let found = problems(&file(&format!("open = true\n{more}")));
        assert!(found.iter().any(|problem| problem.what.contains("is for anybody")), "{more}: {found:?}");
    }
}
