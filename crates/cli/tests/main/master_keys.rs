//! `hallpass key master` beside a running server: another master key, and nobody notices until the old one is removed.

use super::{
    node::{Node, command, finished, free_port},
    person::{self, Person},
};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

fn within(what: &str, holds: impl Fn() -> bool) {
    let since = Instant::now();
    while !holds() {
        assert!(since.elapsed() < Duration::from_mins(2), "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A server's folder, and what commands say about its keys. No output ever holds a key.
struct Keys {
    folder: PathBuf,
    port: u16,
}

impl Keys {
    fn file(&self) -> PathBuf {
        self.folder.join("master.key")
    }

    fn run(&self, arguments: &[&str]) -> (i32, String, String) {
        let port = self.port.to_string();
        let before = fs::read_to_string(self.file()).unwrap();
        let all = ["key", "master"].iter().chain(arguments);
        let place = ["--state", self.folder.to_str().unwrap(), "--port", &port];
        let (code, out, err) = finished(&all.chain(&place).copied().collect::<Vec<_>>());
        let after = fs::read_to_string(self.file()).unwrap();
        for line in before.lines().chain(after.lines()).filter(|line| !line.starts_with('#')) {
            let key = line.split(' ').nth(1).unwrap();
            assert!(!out.contains(key) && !err.contains(key), "a command shows a key");
        }
        (code, out, err)
    }

    fn good(&self, arguments: &[&str]) -> Value {
        let (code, out, err) = self.run(&[arguments, &["--json"]].concat());
        assert_eq!(code, 0, "{arguments:?}: {err}");
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error} in {out}"))
    }

    /// What `list` says of a key.
    fn of(&self, number: u64, what: &str) -> Value {
        let list = self.good(&["list"]);
        let found = list.as_array().unwrap().iter().find(|key| key["number"] == number);
        found.unwrap_or_else(|| panic!("{number} in {list}"))[what].clone()
    }

    /// How often the server has written this into its audit log.
    fn said(&self, event: &str) -> usize {
        let text = fs::read_to_string(self.folder.join("audit/main-00000001.jsonl")).unwrap();
        text.matches(&format!("\"event\":\"{event}\"")).count()
    }

    /// Does something that changes the file, and waits until the server has taken it.
    fn taken(&self, change: impl FnOnce()) {
        let before = self.said("master_keys_taken");
        change();
        within("the server takes the keys", || self.said("master_keys_taken") > before);
    }
}

/// Does something again and again, until told to stop; every time has to go well.
struct Steadily {
    done: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    thread: std::thread::JoinHandle<()>,
}

impl Steadily {
    fn begin(mut once: impl FnMut() + Send + 'static) -> Self {
        let (done, stop) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (count, stopped) = (Arc::clone(&done), Arc::clone(&stop));
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                once();
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        Self { done, stop, thread }
    }

    /// Waits for some more of it.
    fn some_more(&self) {
        let before = self.done.load(Ordering::Relaxed);
        within("it goes on", || {
            assert!(!self.thread.is_finished(), "an answer failed");
            self.done.load(Ordering::Relaxed) >= before + 8
        });
    }

    fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("no answer failed");
    }
}

fn refreshing(port: u16, client: &str, first: &Value) -> impl FnMut() + Send + use<> {
    let (client, mut token) = (client.to_owned(), first["refresh_token"].as_str().unwrap().to_owned());
    move || {
        let answer = person::refresh(port, &client, &token).expect("an answer");
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["refresh_token"].as_str().unwrap().clone_into(&mut token);
    }
}

fn allowing(port: u16, client: &str, mut person: Person) -> impl FnMut() + Send + use<> {
    let client = client.to_owned();
    move || {
        let code = person.allow(&client).expect("a page and its answer");
        let redeemed = person::redeem(port, &client, &code).expect("an answer");
        assert_eq!(redeemed.status, 200, "{redeemed:?}");
    }
}

#[test]
fn t_49_t_99_as_227_a_master_key_is_replaced_under_load_and_no_answer_fails_until_it_is_removed() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let node = Node::run(folder.path(), port);
    let keys = Keys { folder: folder.path().to_owned(), port };
    let (person, client, tokens) = person::granted(port, node.setup_link.as_deref());
    let access = tokens["access_token"].clone();
    let work = [
        Steadily::begin(refreshing(port, &client, &tokens)),
        Steadily::begin(allowing(port, &client, person)),
    ];
    let some_more = || work.iter().for_each(Steadily::some_more);
    some_more();
    keys.taken(|| assert_eq!(keys.good(&["add"])["number"], 1));
    some_more();
    assert_eq!((keys.of(1, "never_used"), keys.of(1, "removable")), (true.into(), true.into()));
    keys.taken(|| drop(keys.good(&["use", "1"])));
    some_more();
    within("the signing key follows", || keys.of(0, "signing_keys") == 0 && keys.of(1, "signing_keys") == 1);
    assert!(keys.of(0, "only_read_since").is_string() && keys.of(0, "tokens_until").is_string());
    assert_eq!((keys.of(0, "removable"), keys.of(0, "its_clients_with_grants")), (false.into(), 1.into()));
    some_more();
    // Refused while something hangs on it, and nothing is changed by that.
    let before = fs::read_to_string(keys.file()).unwrap();
    let (code, _, err) = keys.run(&["remove", "0"]);
    assert!(code == 1 && err.contains("--end-what-it-made") && err.contains("live grant"), "{err}");
    for (wrong, says) in
        [(["remove", "1"], "key master use"), (["remove", "9"], "list"), (["use", "1"], "already")]
    {
        let (code, _, err) = keys.run(&wrong);
        assert!(code == 1 && err.contains(says), "{wrong:?}: {err}");
    }
    assert_eq!(fs::read_to_string(keys.file()).unwrap(), before);
    some_more();
    work.into_iter().for_each(Steadily::end);

    let older = folder.path().join("older.key");
    fs::copy(keys.file(), &older).unwrap();
    // The drill for a stolen master key: the signing keys too, then nothing of the old one is left.
    let signing = |arguments: &[&str]| {
        let port = port.to_string();
        let place = ["--state", folder.path().to_str().unwrap(), "--port", &port];
        let (code, out, err) = finished(&[&["key"], arguments, &place].concat());
        assert_eq!(code, 0, "{arguments:?}: {err}");
        out
    };
    signing(&["rotate", "--now"]);
    let listed: Value = serde_json::from_str(&signing(&["list", "--json"])).unwrap();
    signing(&["retire", listed[0]["kid"].as_str().unwrap()]);
    keys.taken(|| assert_eq!(keys.good(&["remove", "0", "--end-what-it-made"])["clients_ended"], 1));
    within("the old client is refused", || {
        person::refresh(port, &client, tokens["refresh_token"].as_str().unwrap()).unwrap().status == 401
    });
    let mcp = |token: &Value| {
        let body = serde_json::json!({ "jsonrpc": "2.0", "id": 1, "method": "ping" });
        let bearer = format!("Bearer {}", token.as_str().unwrap());
        super::http::json(port, "/mcp", &body, &[("Authorization", &bearer)]).unwrap().status
    };
    within("its access token too", || mcp(&access) == 401);
    let mut again = Person::signed_in(port, port);
    let fresh = person::register(port);
    let code = again.allow(&fresh).unwrap();
    assert_eq!(person::redeem(port, &fresh, &code).unwrap().status, 200);
    assert!(node.stop());

    // It starts with what is left, the audit log is whole, and says what was done.
    let node = Node::run(folder.path(), port);
    assert_eq!(keys.good(&["list"]).as_array().unwrap().len(), 1);
    assert_eq!(keys.good(&["add"])["number"], 2, "a number is given once");
    let verify = |more: &[&str]| {
        let port = port.to_string();
        let place = ["audit", "verify", "--state", folder.path().to_str().unwrap(), "--port", &port];
        finished(&[&place, more].concat())
    };
    let (code, _, err) = verify(&[]);
    assert!(code == 1 && err.contains("master key 0, which is not in master.key"), "{err}");
    let (code, _, err) = verify(&["--master-key", older.to_str().unwrap()]);
    assert_eq!(code, 0, "{err}");
    let operator = fs::read_to_string(folder.path().join("audit/operator-00000001.jsonl")).unwrap();
    for event in ["master_key_added", "master_key_used", "master_key_removed"] {
        assert!(operator.contains(&format!("\"event\":\"{event}\"")), "{event} in {operator}");
    }
    assert_eq!((keys.said("key_resealed"), keys.said("master_keys_taken")), (1, 3));
    assert!(node.stop());
}

fn serve(folder: &Path, port: u16, log: &Path, more: &[&str]) -> Node {
    let file = folder.join("hallpass.toml");
    let text = format!(
        "public_url = \"http://localhost:{port}\"\nlisten = \"127.0.0.1:{port}\"\nstate = \"{}\"\n\
         [[server]]\nname = \"demo\"\npath = \"/mcp\"\n",
        folder.display()
    );
    fs::write(&file, text).unwrap();
    let command = command(&[&["serve", "--config", file.to_str().unwrap()], more].concat());
    Node::spawn_until(command, port, fs::File::create(log).unwrap().into(), "Setup link")
}

#[test]
fn t_101_as_187_a_broken_key_file_changes_nothing_and_a_mended_one_is_taken() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let (port, log) = (free_port(), folder.path().join("log"));
    let node = serve(folder.path(), port, &log, &[]);
    let keys = Keys { folder: folder.path().to_owned(), port };
    let client = person::register(port);
    let good = fs::read_to_string(keys.file()).unwrap();
    let other = "1 AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n";
    let refused = |text: &str, mode: u32, says: &str| {
        let before = keys.said("master_keys_refused");
        fs::write(keys.file(), text).unwrap();
        fs::set_permissions(keys.file(), fs::Permissions::from_mode(mode)).unwrap();
        within("the file is refused", || keys.said("master_keys_refused") > before);
        let log = fs::read_to_string(&log).unwrap();
        assert!(log.contains(says), "{says} in {log}");
        assert!(!log.contains("AAAAAA"), "the log shows a key");
        let answer = person::refresh(port, &client, "x").unwrap();
        assert_eq!(answer.status, 400, "the client is known: {answer:?}");
    };
    refused("", 0o600, "damaged");
    refused("1 half of a ke", 0o600, "damaged");
    refused(other, 0o600, "key 0 is gone");
    refused(&other.replace("1 ", "0 "), 0o600, "key 0 is another one than before");
    refused(&format!("{other}{good}"), 0o644, "chmod 600");
    // Nothing but its mode changes, and it is taken.
    keys.taken(|| fs::set_permissions(keys.file(), fs::Permissions::from_mode(0o600)).unwrap());
    assert_eq!(hallpass_server::master_key_of_client(&person::register(port)), Some(1));
    assert_eq!(person::refresh(port, &client, "x").unwrap().status, 400, "known still");
    assert!(node.stop());
}

#[test]
fn without_watching_a_word_is_enough() {
    let folder = tempfile::tempdir().unwrap();
    let (port, log) = (free_port(), folder.path().join("log"));
    let node = serve(folder.path(), port, &log, &["--no-watch"]);
    let keys = Keys { folder: folder.path().to_owned(), port };
    keys.good(&["add"]);
    keys.good(&["use", "1"]);
    let hang_up = || {
        let told = std::process::Command::new("kill").args(["-HUP", &node.id().to_string()]).status();
        assert!(told.unwrap().success());
    };
    std::thread::sleep(Duration::from_millis(2500));
    assert_eq!(hallpass_server::master_key_of_client(&person::register(port)), Some(0), "it was not told");
    keys.taken(hang_up);
    assert_eq!(hallpass_server::master_key_of_client(&person::register(port)), Some(1));
    assert!(node.stop());
}

#[test]
fn rs_061_as_187_as_097_connections_and_second_factors_under_an_old_master_key_are_counted_before_it_goes() {
    use hallpass_core::{
        entropy::SystemEntropy,
        id::{ConnectionId, FactorId, PersonId},
        time::{Clock, SystemClock},
    };
    use hallpass_store::{
        Connections, Maintenance, NewConnection, NewSecondFactor, SecondFactors,
        sqlite::{SqliteSettings, SqliteStore},
    };
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let node = Node::run(folder.path(), port);
    Person::set_up(port, node.setup_link.as_deref().unwrap());
    assert!(node.stop());
    let keys = Keys { folder: folder.path().to_owned(), port };
    let old = keys.good(&["list"])[0]["number"].as_u64().unwrap();
    let newest = keys.good(&["add"])["number"].to_string();
    keys.good(&["use", &newest]);
    assert_eq!((keys.of(old, "connections"), keys.of(old, "removable")), (0.into(), false.into()));
    let place = [folder.path().to_str().unwrap(), "--port", &port.to_string()].map(str::to_owned);
    let user = |words: &[&str]| {
        finished(&[&["user"], words, &["--state", &place[0], &place[1], &place[2]]].concat())
    };
    let (code, shown, err) = user(&["show", "ada", "--json"]);
    assert_eq!(code, 0, "{err}");
    let person = serde_json::from_str::<Value>(&shown).unwrap()["id"].as_str().unwrap().to_owned();
    let now = SystemClock.now();
    let factor = NewSecondFactor {
        person: PersonId::parse(&person).unwrap(),
        epoch: 0,
        id: FactorId::new(now, &SystemEntropy),
        sealed: vec![1, u8::try_from(old).unwrap(), 0, 0],
        turned_on_at: now,
        step: 1,
        replaces: None,
        codes: vec![[1; 32], [2; 32]],
        session: None,
    };
    let put = NewConnection {
        id: ConnectionId::new(now, &SystemEntropy),
        person: PersonId::parse(&person).unwrap(),
        epoch: 0,
        name: "git".into(),
        // As it begins: what follows does not open, so it cannot be sealed anew.
        sealed: vec![1, u8::try_from(old).unwrap(), 0, 0],
        connected_at: now,
    };
    tokio::runtime::Runtime::new().unwrap().block_on(async {
        let store =
            SqliteStore::open(&folder.path().join("hallpass.sqlite"), SqliteSettings::default()).unwrap();
        assert!(store.connection_put(put).await.unwrap());
        assert!(store.second_factor_put(factor).await.unwrap());
        store.close().await.unwrap();
    });
    assert_eq!((keys.of(old, "connections"), keys.of(old, "second_factors")), (1.into(), 1.into()));
    let (code, _, err) = keys.run(&["remove", &old.to_string()]);
    assert!(code == 1 && err.contains("the tokens of 1 connection(s)"), "{err}");
    assert!(err.contains("the second factor of 1 account(s)"), "{err}");
    let gone = keys.good(&["remove", &old.to_string(), "--end-what-it-made"]);
    assert_eq!((&gone["connections_ended"], &gone["second_factors_ended"]), (&1.into(), &1.into()), "{gone}");
    // Nobody gets in with it now, so an operator takes it away; no server runs.
    let shown = |words: &[&str]| serde_json::from_str::<Value>(&user(words).1).unwrap();
    let factor = &shown(&["second-factor", "Ada", "--json"])["second_factor"];
    assert_eq!(factor["recovery_codes_left"], 2, "{factor}");
    assert!(user(&["list"]).1.contains("ada  second factor"));
    let (code, _, err) = user(&["recover", "ada"]);
    assert!(code == 0 && err.contains("hallpass user second-factor ada --remove"), "{err}");
    assert!(user(&["show", "ada"]).1.contains("2 recovery code(s) left"), "a new password takes none away");
    let (code, _, err) = user(&["second-factor", "ada", "--remove"]);
    assert!(code == 0 && err.contains("hallpass user sign-out ada"), "{err}");
    assert!(shown(&["show", "ada", "--json"])["second_factor"].is_null());
    let (code, _, err) = user(&["second-factor", "ada", "--remove"]);
    assert!(code == 1 && err.contains("ada has no second factor"), "{err}");
}
