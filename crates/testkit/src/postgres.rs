//! A real PostgreSQL for tests: the one that `DATABASE_URL` names, or one of our own from Debian's packages.
//!
//! Each test runs in a process of its own, so ours is shared: whoever comes first starts it, and a small watcher stops it
//! and removes its folder when for some seconds no test has held the lock, however the tests ended.

#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a part of tests: what it cannot do, it says by panicking"
)]
#![allow(clippy::zombie_processes, reason = "the server and its watcher outlive the test that starts them")]

use hallpass_core::secret::SecretString;
use hallpass_store::{PostgresSettings, PostgresStore};
use std::{
    fs::{self, File, OpenOptions},
    io::ErrorKind,
    net::{TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    thread::sleep,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
use tokio_postgres::NoTls;

/// Stops the server `$1` seconds after the last test let the lock go. A test that comes in between waits for the lock
/// and finds nothing.
const WATCHER: &str = r#"
folder=$2
while :; do
    sleep "$1"
    if flock --exclusive --nonblock "$folder/users.lock" true; then
        sleep "$1"
        flock --exclusive --nonblock "$folder/users.lock" sh -c '
            kill -INT "$(head -n 1 "$1/data/postmaster.pid")" 2>/dev/null
            while [ -e "$1/data/postmaster.pid" ]; do sleep 0.1; done
            rm -rf "$1/data" "$1/port"' - "$folder" && exit
    fi
done"#;

/// A server, for as long as this value lives.
#[derive(Debug)]
pub struct Cluster {
    base: Base,
    _user: Option<File>,
}

#[derive(Debug)]
enum Base {
    /// Somebody's; its URL names a database to which new ones can be added.
    Given(String),
    /// Ours.
    Own { folder: PathBuf, port: u16, private: bool },
}

impl Cluster {
    /// The server that tests share. Its `fsync` is off: what is tested there does not depend on a disk.
    ///
    /// # Panics
    /// Where PostgreSQL is not installed or does not start: the message says what to do.
    #[allow(clippy::disallowed_methods, reason = "tests are told by the environment which server to use")]
    pub fn shared() -> Self {
        if let Ok(url) = std::env::var("DATABASE_URL") {
            return Self { base: Base::Given(url), _user: None };
        }
        let folder = std::env::temp_dir().join(format!("hallpass-postgres-{}", who()));
        make(&folder);
        let user = lock_file(&folder.join("users.lock"));
        user.lock_shared().expect("a lock");
        let starting = lock_file(&folder.join("start.lock"));
        starting.lock().expect("a lock");
        let known = fs::read_to_string(folder.join("port")).ok().and_then(|port| port.parse().ok());
        let port = known.filter(|port| answers(*port)).unwrap_or_else(|| {
            let port = begin(&folder, "fsync=off");
            fs::write(folder.join("port"), port.to_string()).expect("the folder can be written");
            watch(&folder);
            port
        });
        drop(starting);
        Self { base: Base::Own { folder, port, private: false }, _user: Some(user) }
    }

    /// A server of this test alone, durable, to be stopped and started.
    ///
    /// # Panics
    /// As [`Cluster::shared`].
    pub fn private() -> Self {
        let name = format!("hallpass-postgres-{}-{}", who(), unique());
        let folder = std::env::temp_dir().join(name);
        make(&folder);
        let port = begin(&folder, "fsync=on");
        Self { base: Base::Own { folder, port, private: true }, _user: None }
    }

    /// An empty database.
    pub async fn database(&self) -> Database {
        let name = format!("test_{}", unique());
        let admin = self.url(None);
        ask(&admin, &format!("CREATE DATABASE {name}")).await;
        Database { url: self.url(Some(&name)), name, admin }
    }

    /// Ends all connections to a database, as a failover does.
    pub async fn cut(&self, database: &Database) {
        let name = &database.name;
        ask(
            &database.admin,
            &format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'"),
        )
        .await;
    }

    /// Stops the server at once, as a crash does. Only a private one.
    ///
    /// # Panics
    /// For a shared one.
    pub fn stop(&self) {
        let Base::Own { folder, private: true, .. } = &self.base else { panic!("others use this server") };
        halt(folder, "immediate");
    }

    /// Starts it again, on the same port.
    ///
    /// # Panics
    /// For a shared one.
    pub fn start(&self) {
        let Base::Own { folder, port, private: true } = &self.base else { panic!("others use this server") };
        launch(folder, *port, "fsync=on");
    }

    /// A program of PostgreSQL that talks to this server, such as `pgbench`, as its administrator.
    ///
    /// # Panics
    /// For a server that is not ours.
    pub fn program(&self, name: &str) -> Command {
        let Base::Own { port, .. } = &self.base else { panic!("only for a server of our own") };
        let mut command = as_owner(name);
        command.env("PGHOST", "127.0.0.1").env("PGPORT", port.to_string()).env("PGUSER", "hallpass");
        command.env("PGDATABASE", "postgres");
        command
    }

    fn url(&self, database: Option<&str>) -> String {
        match &self.base {
            Base::Own { port, .. } => {
                format!("postgres://hallpass@127.0.0.1:{port}/{}", database.unwrap_or("postgres"))
            }
            Base::Given(url) => match database {
                None => url.clone(),
                Some(name) => {
                    let (rest, options) = url.split_once('?').map_or((url.as_str(), ""), |(a, b)| (a, b));
                    let server = rest.rfind('/').and_then(|at| rest.get(..at)).unwrap_or(rest);
                    format!("{server}/{name}?{options}")
                }
            },
        }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if let Base::Own { folder, private: true, .. } = &self.base {
            halt(folder, "immediate");
            let _ = fs::remove_dir_all(folder);
        }
    }
}

/// An empty database, dropped with this value.
#[derive(Debug)]
pub struct Database {
    /// To be connected to.
    pub url: String,
    name: String,
    admin: String,
}

impl Database {
    /// A store on it, as one node has.
    ///
    /// # Panics
    /// When it cannot be opened.
    pub async fn store(&self) -> PostgresStore {
        let settings =
            PostgresSettings { connections: 16, ..PostgresSettings::new(SecretString::new(&self.url)) };
        PostgresStore::open(settings).await.unwrap_or_else(|error| panic!("{error:?}"))
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let (admin, name) = (self.admin.clone(), self.name.clone());
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
            runtime.block_on(async {
                let (client, connection) = tokio_postgres::connect(&admin, NoTls).await.ok()?;
                let sql = format!("DROP DATABASE {name} WITH (FORCE)");
                let asking = client.batch_execute(&sql);
                tokio::select! { _ = connection => None, done = asking => done.ok() }
            })
        });
        let _ = dropping.join();
    }
}

async fn ask(url: &str, sql: &str) {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.expect("PostgreSQL answers");
    let running = tokio::spawn(connection);
    client.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    running.abort();
}

/// Makes a cluster and starts it. Answers its port.
fn begin(folder: &Path, durability: &str) -> u16 {
    let data = folder.join("data");
    let _ = fs::remove_dir_all(&data);
    let made = as_owner("initdb")
        .args(["--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C", "--username=hallpass", "-D"])
        .arg(&data)
        .output();
    let made = made.unwrap_or_else(|error| panic!("initdb cannot be started: {error}"));
    assert!(made.status.success(), "initdb: {}", String::from_utf8_lossy(&made.stderr));
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let port = free.expect("a free port").port();
    launch(folder, port, durability);
    port
}

fn launch(folder: &Path, port: u16, durability: &str) {
    let log = OpenOptions::new().create(true).append(true).open(folder.join("log")).expect("a log");
    let mut command = as_owner("postgres");
    command.arg("-D").arg(folder.join("data")).args(["-p", &port.to_string()]);
    for setting in [
        durability,
        "listen_addresses=127.0.0.1",
        "unix_socket_directories=",
        "max_connections=400",
        "shared_buffers=64MB",
    ] {
        command.args(["-c", setting]);
    }
    let errors = log.try_clone().expect("a log");
    command.stdin(Stdio::null()).stdout(log).stderr(errors);
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    command.spawn().unwrap_or_else(|error| panic!("postgres cannot be started: {error}"));
    let end = Instant::now() + Duration::from_mins(1);
    while !answers(port) {
        let log = fs::read_to_string(folder.join("log")).unwrap_or_default();
        assert!(Instant::now() < end, "PostgreSQL does not start: {log}");
        sleep(Duration::from_millis(20));
    }
}

fn halt(folder: &Path, mode: &str) {
    let stopped = as_owner("pg_ctl")
        .arg("-D")
        .arg(folder.join("data"))
        .args(["-m", mode, "-w", "stop"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    let _ = stopped;
}

fn watch(folder: &Path) {
    let mut command = Command::new("sh");
    command.args(["-c", WATCHER, "watcher", "10"]).arg(folder);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    command.spawn().unwrap_or_else(|error| panic!("no watcher: {error}"));
}

/// A program of PostgreSQL, as a user that it accepts: it refuses to be run by root.
fn as_owner(program: &str) -> Command {
    let path = programs().join(program);
    if who() != 0 {
        return Command::new(path);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]).arg(path);
    command.current_dir("/");
    command
}

/// Where Debian keeps the newest version.
fn programs() -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let newest = versions
        .filter(|entry| entry.path().join("bin/initdb").exists())
        .max_by_key(|entry| entry.file_name().to_string_lossy().parse::<u32>().unwrap_or(0));
    match newest {
        Some(entry) => entry.path().join("bin"),
        None => panic!("PostgreSQL is not installed: apt-get install postgresql, or set DATABASE_URL"),
    }
}

/// A folder of the server's user.
fn make(folder: &Path) {
    match fs::create_dir(folder) {
        Ok(()) if who() == 0 => {
            let owned = Command::new("chown").arg("postgres:postgres").arg(folder).status();
            assert!(owned.is_ok_and(|status| status.success()), "{} has no owner", folder.display());
        }
        Ok(()) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::AlreadyExists, "{}: {error}", folder.display()),
    }
}

fn lock_file(path: &Path) -> File {
    let mut options = OpenOptions::new();
    let opened = options.create(true).write(true).truncate(false).open(path);
    opened.unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn answers(port: u16) -> bool {
    // A server that starts up takes connections before it takes questions.
    TcpStream::connect(("127.0.0.1", port)).is_ok()
        && Command::new(programs().join("pg_isready"))
            .args(["-q", "-h", "127.0.0.1", "-p", &port.to_string()])
            .status()
            .is_ok_and(|status| status.success())
}

/// The user that runs the tests.
fn who() -> u32 {
    fs::metadata("/proc/self").map_or(u32::MAX, |own| std::os::unix::fs::MetadataExt::uid(&own))
}

#[allow(clippy::disallowed_methods, reason = "only for a name that nobody else has")]
fn unique() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let nanos = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    format!("{}_{nanos}_{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
}
