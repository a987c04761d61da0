//! Other authorization servers, right and wrong.

use super::{problems, *};
use hallpass_core::jwt::foreign_token::TokenType;
use hallpass_gateway::{Members, RecordedArguments};

const FILE: &str = r#"
public_url = "https://mcp.example.com"

[[authorization_server]]
name = "company"
issuer = "https://login.example/tenant/"
token_type = "jwt"
scope_claims = ["scp"]
groups_claim = "groups"

[groups]
staff = ["AaIt0x18ovBNi-BYpVLE7w", "company:bob"]
nobody = []

[[server]]
name = "files"
path = "/files"
upstream = "http://10.0.0.5:3001/mcp"
scopes = [{ name = "read" }, { name = "write" }]
authorization_servers = ["company", "self"]
[server.tokens.company]
audiences = ["api://files"]
scopes = { read = ["Files.Read", "Files.ReadWrite"] }
scope_prefix = "api://files/"

[[server.rules]]
tools = ["*"]
people = ["company:ann"]
clients = ["company:app", "https://c.example/client.json"]

[[server.rules]]
tools = ["*"]
groups = ["staff", "company:admins"]
"#;

#[test]
fn a_server_may_trust_others_before_us() {
    let config = parse(FILE, Path::new("/x")).unwrap();
    let trust = &config.servers[0].trust;
    let order: Vec<_> = trust.order.iter().map(|named| named.as_ref().map(Issuer::as_str)).collect();
    assert_eq!(order, [Some("https://login.example/tenant/"), None]);
    let company = &trust.others[0];
    assert!(trust.own && company.server.typ == TokenType::Plain);
    assert_eq!((&*company.audiences[0], &*company.scopes.prefix), ("api://files", "api://files/"));
    let callers = &config.servers[0].policy.rules[0].callers;
    assert_eq!(callers.people.as_deref(), Some(&["https://login.example/tenant/ ann".to_owned()][..]));
    let clients = callers.clients.as_deref().unwrap();
    assert_eq!(clients, ["https://login.example/tenant/ app", "https://c.example/client.json"]);
    let groups = config.servers[0].policy.rules[1].callers.groups.clone().unwrap();
    let named: Vec<&str> = groups.iter().map(|group| &*group.name).collect();
    assert_eq!(named, ["staff", "company:admins"]);
    let members = ["AaIt0x18ovBNi-BYpVLE7w", "https://login.example/tenant/ bob"].map(str::to_owned);
    assert_eq!(groups[0].members, Members::Listed(members.to_vec().into()));
    assert_eq!(groups[1].members, Members::Claimed("https://login.example/tenant/ admins".into()));
    let usual = parse(GOOD, Path::new("/x")).unwrap();
    assert!(usual.servers[0].trust.own && usual.servers[0].trust.others.is_empty());
}

#[test]
fn t_101_what_is_wrong_with_another_authorization_server_is_told_with_its_fix() {
    for (from, to, what) in [
        ("\"company\"\nissuer", "\"https\"\nissuer", "cannot be the name"),
        ("\"company\"\nissuer", "\"self\"\nissuer", "cannot be the name"),
        ("https://login.example/tenant/", "https://mcp.example.com", "hallpass itself"),
        ("https://login.example/tenant/", "http://login.example", "the scheme must be https"),
        ("token_type = \"jwt\"", "token_type = \"id\"", "typ of its access tokens"),
        ("token_type = \"jwt\"", "algorithms = [\"HS256\"]", "not algorithms"),
        ("token_type = \"jwt\"", "jwks_uri = \"ftp://x\"", "ftp://x"),
        ("token_type = \"jwt\"", "jwks_uri = \"https://a.example/k\"\njwks_file = \"k\"", "more than one"),
        ("token_type = \"jwt\"", "jwks_file = \"none.json\"", "cannot be read"),
        ("\"scp\"", "\"groups\"", "scope_claims"),
        ("[\"company\", \"self\"]", "[\"company\", \"other\"]", "names \"other\""),
        ("[\"company\", \"self\"]", "[\"company\", \"company\"]", "twice"),
        ("[\"company\", \"self\"]", "[\"self\"]", "does not name it"),
        ("[\"company\", \"self\"]", "[]", "nobody"),
        ("[\"api://files\"]", "[]", "an audience is missing"),
        ("{ read = [\"Files.Read\"", "{ red = [\"Files.Read\"", "not one of the server's scopes"),
        ("\"Files.Read\",", "\"Files Read\",", "is no scope"),
        ("\"company:ann\"", "\"other:ann\"", "not the id of a person"),
        ("\"company:ann\"", "\"company:\"", "not the id of a person"),
        ("\"staff\", \"c", "\"stuff\", \"c", "groups names \"stuff\""),
        ("company:admins", "other:admins", "groups names \"other:admins\""),
        ("company:admins", "company:", "groups names \"company:\""),
        ("groups_claim = \"groups\"\n", "", "has no groups_claim"),
        ("\"groups\"\n", "\"gro ups\"\n", "groups_claim is the claim"),
        ("company:bob", "bob", "\"bob\" is not the id of a person"),
        ("nobody =", "\"company:x\" =", "cannot be the name of a group"),
        ("nobody =", "\"\" =", "cannot be the name of a group"),
        ("groups = [\"staff\", ", "open = true\ngroups = [\"staff\", ", "for anybody"),
    ] {
        let text = FILE.replacen(from, to, 1);
        assert_ne!(text, FILE, "{from}");
        let found = problems(&text);
        assert!(
            found.iter().any(|problem| problem.what.contains(what) && !problem.fix.is_empty()),
            "{what}: {found:?}"
        );
    }
}

#[test]
fn t_70_of_no_issuer_do_two_servers_have_one_audience() {
    let second = |audience: &str| {
        format!(
            "{FILE}\n[[server]]\nname = \"mail\"\npath = \"/mail\"\nupstream = \"http://10.0.0.6/mcp\"\n\
             authorization_servers = [\"company\"]\n[server.tokens.company]\naudiences = [\"{audience}\"]\n"
        )
    };
    assert!(parse(&second("api://mail"), Path::new("/x")).is_ok());
    for shared in ["api://files", "https://mcp.example.com/files"] {
        let found = problems(&second(shared));
        assert!(
            found.iter().any(|problem| problem.what.contains("would be one for this too")),
            "{shared}: {found:?}"
        );
    }
}

#[test]
fn rs_031_of_several_servers_one_may_be_asked() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("secret"), "the-secret\n").unwrap();
    let asked = |name: &str| {
        format!(
            "[[authorization_server]]\nname = \"{name}\"\nissuer = \"https://{name}.example\"\n\
             introspection = {{ client_id = \"us\", secret_file = \"secret\", used_for = \"10s\" }}\n"
        )
    };
    let server = |named: &str| {
        format!(
            "[[server]]\nname = \"files\"\npath = \"/files\"\nupstream = \"http://10.0.0.5/mcp\"\n\
             authorization_servers = [{named}]\n"
        )
    };
    let file = |named| {
        format!("public_url = \"https://mcp.example.com\"\n{}{}{}", asked("a"), asked("b"), server(named))
    };
    let config = parse(&file("\"a\""), folder.path()).unwrap();
    let VerifiedBy::Introspection { secret, used_for, endpoint, .. } =
        &config.authorization_servers[0].verified
    else {
        panic!("not asked")
    };
    assert_eq!((secret.expose(), used_for.as_secs(), endpoint), ("the-secret", 10, &None));
    let both = parse(&file("\"a\", \"b\""), folder.path()).unwrap_err();
    assert!(both[0].what.contains("two of them would be asked"), "{both:?}");
    let long = file("\"a\"").replace("10s", "2m");
    assert!(parse(&long, folder.path()).unwrap_err()[0].what.contains("between 0s and 60s"));
    let away = file("\"a\"").replace("secret_file = \"secret\"", "secret_file = \"none\"");
    assert!(parse(&away, folder.path()).is_err());
}

#[test]
fn rs_067_arguments_for_the_audit_log_are_named_by_server_and_tool() {
    let audit = "\n[audit]\ncalls = true\n[audit.arguments.files]\nread_file = [\"path\"]\n";
    let config = parse(&format!("{FILE}{audit}"), Path::new("/x")).unwrap();
    let named = vec![("read_file".to_owned(), vec!["path".to_owned()])];
    assert_eq!(config.servers[0].recorded, RecordedArguments(named));
    for (from, to, what) in [
        ("calls = true\n", "", "and there are none"),
        ("arguments.files", "arguments.flies", "names \"flies\""),
        ("[\"path\"]", "[]", "the arguments of \"read_file\""),
        ("[\"path\"]", "[\"*\"]", "the arguments of \"read_file\""),
        ("read_file", "\"read_*\"", "the arguments of \"read_*\""),
    ] {
        let found = problems(&format!("{FILE}{}", audit.replacen(from, to, 1)));
        assert!(found.iter().any(|problem| problem.what.contains(what)), "{what}: {found:?}");
    }
}
