//! `kill -9` at random moments: nothing that was answered is lost, nothing is accepted twice.

use super::open;
use hallpass_core::{
    entropy::{SystemEntropy, random},
    id::GrantId,
};
use hallpass_store::{GrantRotated, RotationWindows, SqliteSettings, SqliteStore, contract::Story};
use std::{
    collections::HashMap,
    io::{BufRead, BufReader, Write},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

const LIVES: usize = 8;

/// What the child has said so far.
#[derive(Default)]
struct Heard {
    generations: HashMap<GrantId, u32>,
    revoked: Vec<GrantId>,
}

#[tokio::test(flavor = "multi_thread")]
async fn as_142_t_21_kill_9_loses_nothing_that_was_answered() {
    let folder = tempfile::tempdir().unwrap();
    let mut heard = Heard::default();
    let mut total = 0;
    for _ in 0..LIVES {
        total += one_life(&folder, &mut heard);
        check(&folder, &mut heard).await;
    }
    assert!(total > 100, "{total} answers are too few to mean anything");
    assert!(!heard.revoked.is_empty());
}

/// Starts the child, kills it, and reads what it said. Only whole lines count as answered.
fn one_life(folder: &tempfile::TempDir, heard: &mut Heard) -> usize {
    let mut child = start();
    let mut stdin = child.stdin.take().unwrap();
    writeln!(stdin, "{}", folder.path().join("hallpass.db").display()).unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.starts_with("ready") {
        line.clear();
        assert!(stdout.read_line(&mut line).unwrap() > 0, "the child ended");
    }
    // Nothing is read meanwhile: the pipe holds what was said, and when it is full the child waits to be killed.
    std::thread::sleep(Duration::from_millis(u64::from(random::<1>(&SystemEntropy)[0]) + 20));
    child.kill().unwrap();
    child.wait().unwrap();
    let mut count = 0;
    line.clear();
    while stdout.read_line(&mut line).unwrap() > 0 {
        if line.ends_with('\n') {
            count += usize::from(note(&line, heard));
        }
        line.clear();
    }
    count
}

fn note(line: &str, heard: &mut Heard) -> bool {
    let words: Vec<_> = line.split_whitespace().collect();
    match words[..] {
        ["acked", id, generation] => {
            heard.generations.insert(GrantId::parse(id).unwrap(), generation.parse().unwrap());
        }
        ["revoked", id] => heard.revoked.push(GrantId::parse(id).unwrap()),
        _ => return false,
    }
    true
}

async fn check(folder: &tempfile::TempDir, heard: &mut Heard) {
    let store = Arc::new(open(folder));
    let now = hallpass_core::time::Timestamp::from_seconds(1_800_000_000);
    let person = hallpass_store::People::person_by_name(&*store, "ada".into()).await.unwrap().unwrap().id;
    let windows = RotationWindows { same_successor: Duration::from_secs(30), new_successor: Duration::MAX };
    let story = Story { store, person, now, windows };
    for id in &heard.revoked {
        assert_eq!(story.rotate(*id, 0).await, GrantRotated::Revoked);
    }
    for (id, acked) in &mut heard.generations {
        let kept = story.read(*id).await.generation;
        // One request was on its way; its answer may or may not have been lost.
        assert!(kept == *acked || kept == *acked + 1, "answered {acked}, kept {kept}");
        match story.rotate(*id, *acked).await {
            GrantRotated::Rotated { generation } => assert_eq!((kept, generation), (*acked, *acked + 1)),
            GrantRotated::Repeated { generation } => assert_eq!((kept, generation), (*acked + 1, *acked + 1)),
            other => panic!("an honest client is refused: {other:?}"),
        }
        *acked += 1;
        assert_eq!(story.rotate(*id, *acked).await, GrantRotated::Rotated { generation: *acked + 1 });
        *acked += 1;
        assert_eq!(story.rotate(*id, *acked - 2).await, GrantRotated::Reused, "accepted twice");
    }
}

fn start() -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kill::the_child", "--ignored", "--nocapture"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap()
}

/// Not a test of its own: the process that is killed. It is told the file on its standard input.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "started by the test above"]
async fn the_child() {
    let mut path = String::new();
    if std::io::stdin().read_line(&mut path).unwrap() == 0 {
        return;
    }
    let path = std::path::Path::new(path.trim());
    let store = Arc::new(SqliteStore::open(path, SqliteSettings::default()).unwrap());
    let person = hallpass_store::People::person_by_name(&*store, "ada".into()).await.unwrap();
    let story = match person {
        None => Story::begin(store).await,
        Some(person) => Story {
            store,
            person: person.id,
            now: hallpass_core::time::Timestamp::from_seconds(1_800_000_000),
            windows: RotationWindows {
                same_successor: Duration::from_secs(30),
                new_successor: Duration::MAX,
            },
        },
    };
    let grants = story.store.grants_of_person(story.person, None, 8).await.unwrap();
    println!("\nready");
    for place in 0..8 {
        let (story, grant) = (story.clone(), grants.get(place).cloned());
        tokio::spawn(async move {
            let (id, mut generation) = match grant {
                Some(grant) => (grant.id, grant.generation),
                None => (story.open().await, 0),
            };
            loop {
                assert_eq!(
                    story.rotate(id, generation).await,
                    GrantRotated::Rotated { generation: generation + 1 }
                );
                generation += 1;
                println!("acked {id} {generation}");
                if generation % 16 == 0 {
                    let short = story.open().await;
                    assert!(story.revoke(short).await);
                    println!("revoked {short}");
                }
            }
        });
    }
    std::future::pending::<()>().await;
}
