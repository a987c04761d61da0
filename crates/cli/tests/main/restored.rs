//! What was ended since a backup stays ended after it was put back: each way in which something ends (T-21).

use super::{
    audit::{copy, hallpass},
    http,
    node::{Node, free_port},
    person::{self, Person},
};
use serde_json::Value;
use std::{
    fs,
    path::Path,
    time::{Duration, Instant},
};

fn put_back(backup: &Path, folder: &Path) {
    for name in ["hallpass.sqlite", "hallpass.sqlite-wal", "hallpass.sqlite-shm"] {
        let _ = fs::remove_file(folder.join(name));
    }
    copy(backup, folder);
}

fn machine(port: u16, id: &str, secret: &str) -> String {
    let pairs = [("grant_type", "client_credentials"), ("client_id", id), ("client_secret", secret)];
    let answer = http::form(port, "/token", &pairs, &[]).unwrap();
    answer.json()["access_token"].as_str().unwrap().to_owned()
}

fn call(port: u16, token: &str) -> u16 {
    let body = serde_json::json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
    http::json(port, "/mcp", &body, &[("Authorization", &format!("Bearer {token}"))]).unwrap().status
}

/// Everything here that is over, or will be.
struct Things {
    port: u16,
    client: String,
    machine: String,
    links: [String; 2],
    browsers: [Person; 3],
}

impl Things {
    fn link(&self, which: usize) -> u16 {
        http::send(self.port, "GET", &self.links[which], &[], "").unwrap().status
    }

    fn refresh(&self, token: &str) -> (u16, Value) {
        let answer = person::refresh(self.port, &self.client, token).unwrap();
        (answer.status, answer.json())
    }

    fn signed_in(&mut self) -> [bool; 3] {
        self.browsers.each_mut().map(Person::is_signed_in)
    }
}

fn refresh_token(tokens: &Value) -> String {
    tokens["refresh_token"].as_str().unwrap().to_owned()
}

#[test]
fn t_21_each_way_in_which_something_ends_is_repeated_and_counted() {
    let (folder, backup) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let port = free_port();
    let node = Node::run(folder.path(), port);
    let run = |words: &[&str]| hallpass(folder.path(), port, words);
    let json = |words: &[&str]| serde_json::from_str::<Value>(&run(words).1).unwrap();
    let link_of = |words: &[&str]| {
        let made = json(words);
        made["link"].as_str().unwrap().split_once(&port.to_string()).unwrap().1.to_owned()
    };
    // Before the backup.
    let (mut ada, client, reused) = person::granted(port, node.setup_link.as_deref());
    let add = ["client", "add", "--id", "nightly", "--name", "N", "--machine", "--scopes", "mcp", "--json"];
    let secret = json(&add)["client_secret"].as_str().unwrap().to_owned();
    let links = ["bob", "dave"].map(|name| link_of(&["user", "add", name, "--json"]));
    let carol = Person::invited(port, &link_of(&["user", "add", "carol", "--json"]), "a punched card loom");
    let browsers = [carol, Person::signed_in(port, port), Person::signed_in(port, port)];
    let machine = machine(port, "nightly", &secret);
    let mut things = Things { port, client: client.clone(), machine, links, browsers };
    // Newest first: the last one that signed in, the one before, and the one of the set-up.
    let sessions = json(&["user", "sessions", "ada", "--json"]);
    let ended = sessions[1]["id"].as_str().unwrap().to_owned();
    let second = things.refresh(&refresh_token(&reused)).1;
    let third = refresh_token(&things.refresh(&refresh_token(&second)).1);
    let code = ada.allow(&client).unwrap();
    let replayed = refresh_token(&person::redeem(port, &client, &code).unwrap().json());
    assert!(node.stop());
    copy(folder.path(), backup.path());
    // Since.
    let node = Node::run(folder.path(), port);
    assert_eq!(person::redeem(port, &client, &code).unwrap().status, 400);
    assert_eq!(things.refresh(&refresh_token(&reused)).0, 400);
    let pairs = [("client_id", "nightly"), ("client_secret", &*secret), ("token", &*things.machine)];
    assert_eq!(http::form(port, "/revoke", &pairs, &[]).unwrap().status, 200);
    // Somebody has copied the cookies, which these browsers forget.
    let [carol, _, third_browser] = &things.browsers;
    carol.clone().sign_out_everywhere();
    third_browser.clone().sign_out();
    ada.end_session(&ended);
    Person::invited(port, &things.links[0], "nanoseconds of wire");
    let newer = link_of(&["user", "recover", "dave", "--json"]);
    assert_eq!((things.link(0), things.link(1), things.signed_in()), (403, 403, [false; 3]));
    assert!(node.stop());
    put_back(backup.path(), folder.path());
    let node = Node::run(folder.path(), port);
    assert_eq!((things.link(0), things.link(1), things.signed_in()), (200, 200, [true; 3]), "all back");
    let [revived, replayed] = [third, replayed].map(|token| {
        let (status, next) = things.refresh(&token);
        assert_eq!(status, 200, "the backup brought the grant back to life");
        refresh_token(&next)
    });
    assert_ne!(call(port, &things.machine), 401);
    assert_eq!(http::send(port, "GET", &newer, &[], "").unwrap().status, 403, "made since, so not here");
    let files = ["main", "operator"].map(|node| folder.path().join(format!("audit/{node}-00000001.jsonl")));
    let mut words = vec!["admin", "restored", "--json", "--since", "2020-01-01", "--audit"];
    words.extend(files.iter().map(|path| path.to_str().unwrap()));
    let done = json(&words);
    let counts = |done: &Value| {
        ["grants_revoked", "signed_out_everywhere", "browsers_signed_out", "one_time_links_ended"]
            .map(|name| done[name].as_u64().unwrap())
    };
    // The code that was replayed, the token that was reused, and the machine's; carol and bob; two browsers; bob and dave.
    assert_eq!(counts(&done), [3, 2, 2, 2], "{done}");
    assert_eq!(done["passwords_set_back"], serde_json::json!(["bob"]));
    assert_eq!((things.link(0), things.link(1), things.signed_in()), (403, 403, [false; 3]));
    assert_eq!((things.refresh(&revived).0, things.refresh(&replayed).0), (400, 400));
    let began = Instant::now();
    while call(port, &things.machine) != 401 {
        assert!(began.elapsed() < Duration::from_secs(5), "the machine's token");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(ada.is_signed_in(), "she signed out in other browsers");
    // Once more changes nothing, and a link that was made after the restore stays good.
    let after = link_of(&["user", "recover", "bob", "--json"]);
    assert_eq!(counts(&json(&words)), [0; 4]);
    let link = |path: &str| http::send(port, "GET", path, &[], "").unwrap().status;
    assert_eq!(link(&after), 200);
    // Without the log nobody knows which were used: none is good.
    let everybody = ["admin", "restored", "--json", "--since", "2020-01-01", "--everybody"];
    let (code, out, err) = run(&everybody);
    let done: Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, counts(&done)), (0, [0, 4, 0, 1]), "{out}");
    assert!(err.contains("hallpass user recover"), "{err}");
    assert_eq!((link(&after), ada.is_signed_in()), (403, false));
    assert!(node.stop());
    let (code, out, err) = run(&["audit", "verify"]);
    assert_eq!(code, 0, "{out}{err}");
}
