//! Many processes that share one sign-in, at a server whose answers get lost.
use super::world::*;
use crate::{
    driver::{Client, Settings},
    storage::Store,
};
use hallpass_core::{
    entropy::SystemEntropy,
    time::{Clock, SystemClock, Timestamp},
    uri::ResourceUri,
};
use std::{
    io::{BufRead as _, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

const PROCESSES: usize = 64;
const REFRESHES: u32 = 10_000;

/// The clock of these processes, all the same: a second in each millisecond.
#[derive(Debug)]
struct Fast;

impl Clock for Fast {
    fn now(&self) -> Timestamp {
        const START: i64 = 1_790_000_000_000;
        Timestamp::from_millis(START + (SystemClock.now().millis() - START) * 1000)
    }
}

/// Not a test of its own: one of the processes of the next one. Asks for a token until there is a file `stop`, and
/// prints how often there was one, how often there was none for the moment, and how often it was signed out.
#[test]
#[ignore = "started by cl_068_cl_071_t_22_p01_ten_thousand_refreshes_of_sixty_four_processes"]
fn one_of_sixty_four_processes() {
    let mut lines = std::io::stdin().lock().lines().map(Result::unwrap);
    let (folder, server) = (PathBuf::from(lines.next().unwrap()), lines.next().unwrap());
    let fetch = hallpass_fetch::Fetch::new(hallpass_fetch::Settings::default()).unwrap();
    let store = Store::new(folder.join("state"));
    let client = Client::with(fetch, store, Settings::default(), Arc::new(Fast), Arc::new(SystemEntropy));
    let server = ResourceUri::parse(&server).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (mut had, mut later, mut signed_out) = (0, 0, 0);
    while !folder.join("stop").exists() {
        match runtime.block_on(client.access(&server, "default")) {
            Ok(Some(_)) => {
                had += 1;
                // As somebody who makes a call now: without it 63 look at each token, and few of the looks are refreshes.
                std::thread::sleep(Duration::from_millis(100));
            }
            Ok(None) => signed_out += 1,
            Err(failed) if failed.error.is_passing() => later += 1,
            Err(failed) => panic!("{failed}"),
        }
    }
    println!("had={had} later={later} out={signed_out}");
}

fn start(folder: &Path, server: &str) -> Child {
    let name = format!("{}::one_of_sixty_four_processes", module_path!().split_once("::").unwrap().1);
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture", &name])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let input = format!("{}\n{server}\n", folder.display());
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cl_068_cl_071_t_22_p01_ten_thousand_refreshes_of_sixty_four_processes() {
    let world = World::new().await;
    // Tokens that last a millisecond: nearly every look at one is a refresh, by whoever comes first.
    world.set(|knobs| (knobs.expires_in, knobs.forgiving, knobs.loses) = (Some(1), true, 10));
    world.login().await.unwrap();
    // The test's clock is not the processes': for theirs the first token has ended too.
    let ended = |contents: &mut crate::storage::Contents| {
        for entry in &mut contents.entries {
            entry.tokens.issued_at = Timestamp::from_seconds(0);
            entry.tokens.expires_at = Some(Timestamp::from_seconds(1));
        }
    };
    world.client.store().update(world.clock.now(), &SystemEntropy, ended).unwrap();
    let folder = world.folder.path().to_owned();
    let (at, server) = (folder.clone(), world.mcp.clone());
    let children: Vec<Child> = (0..PROCESSES).map(|_| start(&at, &server)).collect();
    let so_far = || {
        let knobs = world.knobs.lock().unwrap();
        (knobs.issued, knobs.reused)
    };
    // No deadline: the runner has one, and a machine may be slow.
    while matches!(so_far(), (..REFRESHES, 0)) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    std::fs::write(folder.join("stop"), "").unwrap();
    let ends = tokio::task::spawn_blocking(move || {
        let output = |child: Child| String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap();
        children.into_iter().map(output).collect::<Vec<_>>()
    });
    for output in ends.await.unwrap() {
        assert!(output.contains(" out=0"), "signed out: {output}");
        assert!(!output.contains("had=0 "), "never had a token: {output}");
    }
    // No token that was over was used again: the server would have taken it for a thief's.
    assert_eq!(world.knobs.lock().unwrap().reused, 0);
    assert_eq!(world.kept().entries.len(), 1);
}
