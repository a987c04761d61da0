//! Two nodes on one PostgreSQL: any node serves any step.

use super::{
    http,
    node::{Node, command, finished, free_port},
    person::{self, Person},
};
use hallpass_testkit::postgres::{Cluster, Database};
use serde_json::json;
use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

/// Two nodes of one server, with folders of their own and the same master key.
pub struct Pair {
    pub ports: [u16; 2],
    pub nodes: Vec<Node>,
    pub link: String,
    folder: tempfile::TempDir,
    _database: Database,
    pub cluster: Cluster,
}

fn configure(folder: &Path, name: &str, issuer_port: u16, port: u16) -> String {
    let path = folder.join(format!("{name}.toml"));
    let text = format!(
        "public_url = \"http://localhost:{issuer_port}\"\nlisten = \"127.0.0.1:{port}\"\nstate = \"{name}\"\n\
         [database]\nurl_file = \"database.url\"\n[audit]\nnode = \"{name}\"\n[[server]]\nname = \"demo\"\npath = \"/mcp\"\n"
    );
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

impl Pair {
    fn start() -> Self {
        Self::on(Cluster::shared())
    }

    pub fn on(cluster: Cluster) -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let database = runtime.block_on(cluster.database());
        let folder = tempfile::tempdir().unwrap();
        let ports = [free_port(), free_port()];
        fs::write(folder.path().join("database.url"), format!("{}\n", database.url)).unwrap();
        let one = configure(folder.path(), "one", ports[0], ports[0]);
        let two = configure(folder.path(), "two", ports[0], ports[1]);
        let serve = |file: &str, port| {
            Node::spawn_until(
                command(&["serve", "--config", file]),
                port,
                std::process::Stdio::null(),
                "Setup link",
            )
        };
        let first = serve(&one, ports[0]);
        fs::create_dir(folder.path().join("two")).unwrap();
        fs::copy(folder.path().join("one/master.key"), folder.path().join("two/master.key")).unwrap();
        let second = serve(&two, ports[1]);
        // The newest link is the one that counts.
        let link = second.setup_link.clone().unwrap();
        Self { ports, nodes: vec![first, second], link, folder, _database: database, cluster }
    }

    fn call(port: u16, token: &str) -> http::Answer {
        let initialize = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
            "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } } });
        let authorization = format!("Bearer {token}");
        http::json(port, "/mcp", &initialize, &[("Authorization", &authorization)]).unwrap()
    }
}

fn text(answer: &http::Answer, name: &str) -> String {
    answer.json()[name].as_str().unwrap_or_else(|| panic!("{name} in {answer:?}")).to_owned()
}

#[test]
fn p23_every_step_of_an_authorization_on_another_node() {
    let pair = Pair::start();
    let [one, two] = pair.ports;
    Person::set_up(two, &pair.link);
    let mut person = Person::signed_in(two, one);
    let client = person::register(one);
    let code = person.over(two).allow_over(&client, one).unwrap();
    let redeemed = person::redeem(two, &client, &code).unwrap();
    assert_eq!(redeemed.status, 200, "{redeemed:?}");
    let mut refresh = text(&redeemed, "refresh_token");
    for port in [one, two, one, two] {
        let refreshed = person::refresh(port, &client, &refresh).unwrap();
        assert_eq!(refreshed.status, 200, "{refreshed:?}");
        refresh = text(&refreshed, "refresh_token");
        for port in [one, two] {
            assert_eq!(Pair::call(port, &text(&refreshed, "access_token")).status, 200);
        }
    }
    // The same code again, on the node that has not seen it.
    assert_eq!(person::redeem(one, &client, &code).unwrap().status, 400);
    assert_eq!(
        person::refresh(two, &client, &refresh).unwrap().status,
        400,
        "a replay ends the grant everywhere"
    );
}

#[test]
fn p23_as_207_a_revocation_on_one_node_is_honoured_by_the_gateway_of_the_other() {
    let pair = Pair::start();
    let [one, two] = pair.ports;
    let mut person = Person::set_up(one, &pair.link);
    let client = person::register(two);
    let mut fastest = Duration::MAX;
    for everywhere in [false, false, false, false, true] {
        let code = person.allow(&client).unwrap();
        let tokens = person::redeem(two, &client, &code).unwrap();
        let access = text(&tokens, "access_token");
        assert_eq!(Pair::call(two, &access).status, 200);
        if everywhere {
            person.sign_out_everywhere();
        } else {
            let token = text(&tokens, "refresh_token");
            let revoked =
                http::form(one, "/revoke", &[("client_id", &client), ("token", &token)], &[]).unwrap();
            assert_eq!(revoked.status, 200);
        }
        let since = Instant::now();
        while Pair::call(two, &access).status != 401 {
            assert!(since.elapsed() < Duration::from_mins(1), "the other node never learnt of it");
            std::thread::sleep(Duration::from_millis(10));
        }
        fastest = fastest.min(since.elapsed());
    }
    // A busy machine only adds to it, so the best of five says what the nodes do by themselves.
    assert!(fastest < Duration::from_secs(1), "the other node learns of it after {fastest:?} at best");
}

#[test]
fn p23_commands_work_beside_the_nodes_and_another_master_key_is_refused() {
    let mut pair = Pair::start();
    let [one, _] = pair.ports;
    let mut person = Person::set_up(one, &pair.link);
    let client = person::register(one);
    let code = person.allow(&client).unwrap();
    person::redeem(one, &client, &code).unwrap();
    let config = pair.folder.path().join("two.toml");
    let (status, listed, err) = finished(&["grant", "list", "--json", "--config", config.to_str().unwrap()]);
    assert_eq!(status, 0, "{err}");
    assert!(listed.contains(&client), "{listed}");
    pair.nodes.pop().unwrap().kill();
    fs::remove_file(pair.folder.path().join("two/master.key")).unwrap();
    let key = pair.folder.path().join("two/master.key");
    let serve = || finished(&["serve", "--config", config.to_str().unwrap()]);
    let (status, _, err) = serve();
    assert!(status == 1 && err.contains("copy it from another node"), "{err}");
    assert!(!err.contains("postgres://"), "{err}");
    assert!(!key.exists(), "a key that belongs to nothing is in the way of the right one");
    fs::write(&key, "0 AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n").unwrap();
    std::process::Command::new("chmod").arg("600").arg(&key).status().unwrap();
    let (status, _, err) = serve();
    assert!(status == 1 && err.contains("another master key"), "{err}");
    assert!(key.exists(), "what somebody put there stays");
    // Neither start has written anything that looks like a changed line.
    hand_over(&pair);
    let (status, out, err) = finished(&["audit", "verify", "--config", config.to_str().unwrap()]);
    assert!(status == 0 && out.contains("0 not as written"), "{out}{err}");
}

#[test]
fn as_222_p23_each_node_verifies_its_own_log_and_the_commands_of_both_are_two_logs() {
    let pair = Pair::start();
    let run = |node: &str, words: &[&str]| {
        let config = pair.folder.path().join(format!("{node}.toml"));
        finished(&[words, &["--config", config.to_str().unwrap()]].concat())
    };
    for (node, name) in [("one", "ann"), ("two", "bob"), ("one", "eve")] {
        assert_eq!(run(node, &["user", "add", name]).0, 0);
    }
    for (node, other) in [("one", "two"), ("two", "one")] {
        let (status, out, err) = run(node, &["audit", "verify"]);
        assert_eq!(status, 0, "{out}{err}");
        assert!(out.contains(&format!("operator-{node}: ends with")), "{out}");
        assert!(err.contains(&format!("the log of operator-{other} is not here")), "{err}");
        let (status, _, err) = run(node, &["audit", "verify", "--all"]);
        assert!(status == 1 && err.contains("was taken off"), "{err}");
    }
    // What is this node's own is missed without being asked for.
    let folder = pair.folder.path().join("one/audit");
    for entry in fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.to_str().unwrap().contains("operator-one") {
            fs::remove_file(path).unwrap();
        }
    }
    let (status, _, err) = run("one", &["audit", "verify"]);
    assert!(status == 1 && err.contains("operator-one"), "{err}");
}

/// `master.key` of node one, as the other node gets it.
fn hand_over(pair: &Pair) {
    let (from, to) = (pair.folder.path().join("one/master.key"), pair.folder.path().join("two/master.key"));
    fs::copy(from, to).unwrap();
}

#[test]
fn t_49_t_97_p23_a_master_key_goes_through_two_nodes_and_one_that_is_late_loses_nobody() {
    let pair = Pair::start();
    let [one, two] = pair.ports;
    let mut person = Person::set_up(one, &pair.link);
    let old = person::register(one);
    let code = person.allow(&old).unwrap();
    let mut refresh = text(&person::redeem(two, &old, &code).unwrap(), "refresh_token");
    let config = pair.folder.path().join("one.toml");
    let master = |arguments: &[&str]| {
        let place = ["--config", config.to_str().unwrap()];
        finished(&[&["key", "master"], arguments, &place].concat())
    };
    let deadline = Instant::now() + Duration::from_mins(4);
    // Refreshes over a node until it answers so; whatever it answers on the way, nobody is sent away.
    let comes = |port: u16, client: &str, refresh: &str, status: u16| loop {
        let answer = person::refresh(port, client, refresh).unwrap();
        if answer.status == status {
            return answer;
        }
        assert!([200, 503].contains(&answer.status), "{answer:?}");
        assert!(Instant::now() < deadline, "{answer:?}");
        std::thread::sleep(Duration::from_millis(50));
    };

    assert_eq!(master(&["add"]).0, 0);
    let (status, _, err) = master(&["use", "1"]);
    assert!(status == 1 && err.contains("503") && err.contains("--on-every-node"), "{err}");
    // Said too early: node two does not have it.
    assert_eq!(master(&["use", "1", "--on-every-node"]).0, 0);
    let fresh = loop {
        let id = person::register(one);
        if hallpass_server::master_key_of_client(&id) == Some(1) {
            break id;
        }
        assert!(Instant::now() < deadline);
        std::thread::sleep(Duration::from_millis(50));
    };
    for _ in 0..3 {
        refresh = text(&person::refresh(one, &old, &refresh).unwrap(), "refresh_token");
        let late = person::refresh(two, &old, &refresh).unwrap();
        assert_eq!((late.status, text(&late, "error")), (503, "temporarily_unavailable".to_owned()));
    }
    assert_eq!(person::refresh(two, &fresh, "x").unwrap().status, 503, "a client of now");
    hand_over(&pair);
    refresh = text(&comes(two, &old, &refresh, 200), "refresh_token");
    for port in [one, two, one] {
        let answer = person::refresh(port, &old, &refresh).unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        refresh = text(&answer, "refresh_token");
        assert_eq!(Pair::call(two, &text(&answer, "access_token")).status, 200);
    }
    // Every step on another node, with what is new and what is old.
    let code = person.over(two).allow_over(&old, one).unwrap();
    assert_eq!(person::redeem(two, &old, &code).unwrap().status, 200);

    assert_eq!(master(&["remove", "0", "--end-what-it-made"]).0, 0);
    hand_over(&pair);
    for port in [one, two] {
        while person::refresh(port, &old, &refresh).unwrap().status != 401 {
            assert!(Instant::now() < deadline);
            std::thread::sleep(Duration::from_millis(50));
        }
        assert_eq!(person::refresh(port, &fresh, "x").unwrap().status, 400, "a client of now goes on");
    }
}
