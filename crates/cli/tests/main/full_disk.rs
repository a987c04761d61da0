//! A disk that is full, and one that takes no writes, under a node that is used: what was answered is kept, nothing is
//! accepted twice, and it goes on by itself.

use super::{
    crowd::{Answers, Crowd, is_away, is_away_page},
    disk::Disk,
    http::{self, Answer},
    node::{Node, free_port},
    person::{self, Person},
};
use std::{
    fs,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

/// A node with its state on the disk and its configuration beside it.
struct Serving {
    disk: Disk,
    port: u16,
    admin: u16,
    config: String,
}

impl Serving {
    fn on(disk: Disk) -> Self {
        let (port, admin) = (free_port(), free_port());
        let path = disk.beside().join("hallpass.toml");
        let state = disk.path().join("state");
        let text = format!(
            "public_url = \"http://localhost:{port}\"\nlisten = \"127.0.0.1:{port}\"\nstate = \"{}\"\n\
             [admin]\nlisten = \"127.0.0.1:{admin}\"\n[[server]]\nname = \"mcp\"\npath = \"/mcp\"\n",
            state.display()
        );
        fs::write(&path, text).unwrap();
        Self { disk, port, admin, config: path.to_str().unwrap().to_owned() }
    }

    fn node(&self) -> Node {
        Node::spawn_until(self.command(), self.port, self.log(), "Setup link")
    }

    fn again(&self) -> Node {
        Node::spawn_until(self.command(), self.port, self.log(), "MCP URL")
    }

    /// On the usual disk.
    fn log(&self) -> Stdio {
        let mut options = fs::OpenOptions::new();
        options.create(true).append(true).open(self.disk.beside().join("log")).unwrap().into()
    }

    fn command(&self) -> Command {
        self.disk.hallpass(&["serve", "--config", &self.config])
    }

    /// A start that fails: one sentence on standard error.
    fn refuses_to_start(&self) -> String {
        let (code, _, err) = self.disk.finished(&["serve", "--config", &self.config]);
        assert_eq!(code, 1, "{err}");
        let said: Vec<&str> = err.lines().filter(|line| line.starts_with("hallpass: ")).collect();
        assert_eq!(said.len(), 1, "{err}");
        said.concat()
    }

    fn numbers(&self) -> String {
        http::send(self.admin, "GET", "/metrics", &[], "").unwrap().body
    }

    fn ready(&self) -> Answer {
        http::send(self.admin, "GET", "/health/ready", &[], "").unwrap()
    }

    /// Waits for a line of the numbers.
    fn says(&self, line: &str) {
        let deadline = Instant::now() + Duration::from_mins(1);
        while !self.numbers().contains(line) {
            assert!(Instant::now() < deadline, "{line} never came in\n{}", self.numbers());
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

#[test]
fn as_218_t_97_t_21_a_full_disk_is_503_loses_nothing_that_was_answered_and_goes_on_when_there_is_room() {
    // So large that what the crowd writes never fills it.
    let serving = Serving::on(Disk::of("128m"));
    let (port, node) = (serving.port, serving.node());
    let person = Person::set_up(port, &node.setup_link.clone().unwrap());
    let crowd = Crowd::over(&[port], &person::register(port), &person);
    for _ in 0..3 {
        crowd.more(Answers::Good, 150);
        serving.disk.fill();
        crowd.more(Answers::Away, 60);
        is_away_page(&Person::sign_in(port));
        serving.says("hallpass_audit_failing 1\n");
        assert_eq!(serving.ready().status, 200, "what can be read is still answered");
        serving.disk.make_room();
        serving.says("hallpass_audit_failing 0\n");
    }
    crowd.more(Answers::Good, 150);
    crowd.nothing_lost_nothing_twice();
    Person::signed_in(port, port);
    assert!(node.stop());
    let (code, out, err) = serving.disk.finished(&["audit", "verify", "--config", &serving.config]);
    assert!(code == 0 && out.contains("0 not as written"), "{out}{err}");
}

#[test]
fn as_218_t_97_on_a_full_disk_people_still_take_back_what_they_gave_and_nothing_else_uses_that_room() {
    let serving = Serving::on(Disk::of("24m"));
    let (port, node) = (serving.port, serving.node());
    let run = |words: &[&str]| serving.disk.finished(&[words, &["--config", &serving.config]].concat());
    let (mut person, client, tokens) = person::granted(port, node.setup_link.as_deref());
    let token = |tokens: &serde_json::Value| tokens["refresh_token"].as_str().unwrap().to_owned();
    let given: Vec<String> = (0..30)
        .map(|_| token(&person::redeem(port, &client, &person.allow(&client).unwrap()).unwrap().json()))
        .collect();
    let (_, link, _) = run(&["user", "add", "grace"]);
    let path = link.find("/invitation").map(|at| link[at..].trim().to_owned()).unwrap();
    let mut grace = Person::invited(port, &path, "a compiler of compilers");
    let crowd = Crowd::over(&[port], &client, &person);
    crowd.more(Answers::Good, 30);
    serving.disk.fill();
    crowd.more(Answers::Away, 60);
    let size = || serving.disk.shell(r#"stat -c %s "$1/state/hallpass.reserve""#).trim().to_owned();
    let whole = "8388608";
    for token in &given {
        let revoked = [("client_id", client.as_str()), ("token", token)];
        let answer = http::form(port, "/revoke", &revoked, &[]).unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(person::refresh(port, &client, token).unwrap().status, 400, "it is revoked");
    }
    assert_ne!(size(), whole, "from the reserve");
    serving.says("hallpass_store_full 1\n");
    is_away(&person::refresh(port, &client, &token(&tokens)).unwrap());
    is_away_page(&Person::sign_in(port));
    grace.sign_out_everywhere();
    // A command beside the server uses it too.
    let (code, _, err) = run(&["user", "disable", "grace"]);
    assert!(code == 0 || err.contains("done, but not written to the audit log: make room"), "{err}");
    assert!(run(&["user", "list"]).1.contains("disabled  grace"));
    serving.disk.make_room();
    crowd.more(Answers::Good, 60);
    assert_eq!(size(), whole, "made again");
    serving.says("hallpass_store_full 0\n");
    crowd.nothing_lost_nothing_twice();
    assert!(node.stop());
}

#[test]
fn as_218_t_97_a_start_on_a_full_or_read_only_disk_says_one_sentence_with_the_fix_and_leaves_nothing_half_made()
 {
    let serving = Serving::on(Disk::of("12m"));
    serving.disk.fill();
    let said = serving.refuses_to_start();
    assert!(said.contains("make room"), "{said}");
    serving.disk.make_room();
    // Now with a state that is there.
    assert!(serving.node().stop());
    serving.disk.fill();
    let said = serving.refuses_to_start();
    assert!(said.contains("make room"), "{said}");
    serving.disk.make_room();
    serving.disk.shell(r#"mount -o remount,bind,ro "$1""#);
    let said = serving.refuses_to_start();
    assert!(said.contains("Read-only file system") && said.contains("writable"), "{said}");
    let (code, _, err) = serving.disk.finished(&["user", "disable", "ada", "--config", &serving.config]);
    assert!(code == 1 && err.contains("writable"), "{err}");
    serving.disk.shell(r#"mount -o remount,bind,rw "$1""#);
    let node = serving.again();
    assert!(node.stop());
}

#[test]
fn as_218_t_97_t_21_a_disk_that_takes_no_writes_is_503_and_the_node_goes_on_when_it_does() {
    let serving = Serving::on(Disk::of("24m"));
    let (port, node) = (serving.port, serving.node());
    let person = Person::set_up(port, &node.setup_link.clone().unwrap());
    let crowd = Crowd::over(&[port], &person::register(port), &person);
    for _ in 0..2 {
        crowd.more(Answers::Good, 100);
        serving.disk.forbid_writing(node.id());
        crowd.more(Answers::Away, 30);
        is_away_page(&Person::sign_in(port));
        assert_eq!(serving.ready().status, 200, "what can be read is still answered");
        serving.disk.allow_writing(node.id());
    }
    crowd.more(Answers::Good, 100);
    crowd.nothing_lost_nothing_twice();
    Person::signed_in(port, port);
    assert!(node.stop());
    assert!(serving.again().stop());
}

#[test]
fn as_218_t_97_a_backup_put_in_the_place_of_the_file_of_a_running_node_is_not_used_before_a_restart() {
    let serving = Serving::on(Disk::of("24m"));
    let (port, node) = (serving.port, serving.node());
    let (mut person, client, tokens) = person::granted(port, node.setup_link.as_deref());
    let refresh = |token: &str| person::refresh(port, &client, token).unwrap();
    let first = tokens["refresh_token"].as_str().unwrap();
    let backup = serving.disk.path().join("backup");
    let words = ["store", "backup", backup.to_str().unwrap(), "--config", &serving.config];
    assert_eq!(serving.disk.finished(&words).0, 0);
    let later = person::redeem(port, &client, &person.allow(&client).unwrap()).unwrap().json();
    let later = later["refresh_token"].as_str().unwrap();
    serving.disk.shell(r#"cd "$1/state" && mv hallpass.sqlite away"#);
    is_away(&refresh(first));
    is_away_page(&Person::sign_in(port));
    let ready = serving.ready();
    assert_eq!((ready.status, &ready.json()["reasons"][0]), (503, &"database_moved".into()));
    serving.disk.shell(r#"cd "$1/state" && mv away hallpass.sqlite"#);
    assert_eq!(refresh(later).status, 200, "back, and it goes on");
    assert_eq!(serving.ready().status, 200);
    serving.disk.shell(r#"mv "$1/backup" "$1/state/hallpass.sqlite""#);
    is_away(&refresh(first));
    node.kill();
    let log = fs::read_to_string(serving.disk.beside().join("log")).unwrap();
    let told = |line: &&str| {
        line.contains("ERROR the database") && line.contains("was replaced while the server runs")
    };
    assert_eq!(log.lines().filter(told).count(), 1, "{log}");
    let node = serving.again();
    assert_eq!(refresh(first).status, 200, "it is in the backup");
    assert_eq!(refresh(later).status, 400, "it is not, and comes from no log of another database either");
    assert!(node.stop());
}
