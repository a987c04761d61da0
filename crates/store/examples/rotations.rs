//! Prints how many durable rotations a second the SQLite store does with 1, 32 and 256 callers.
//!
//! `cargo run --release -p hallpass-store --features contract --example rotations [folder]`

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::similar_names,
    clippy::indexing_slicing,
    reason = "a measurement for the terminal"
)]

use hallpass_store::{GrantRotated, Maintenance as _, SqliteSettings, SqliteStore, contract::Story};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};

const GRANTS: usize = 20_000;
const EACH: Duration = Duration::from_secs(4);

fn main() {
    let folder = std::env::args().nth(1).map_or_else(std::env::temp_dir, Into::into);
    let folder = folder.join(format!("hallpass-rotations-{}", std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(measure(&folder));
    std::fs::remove_dir_all(&folder).unwrap();
}

async fn measure(folder: &std::path::Path) {
    let path = folder.join("hallpass.db");
    let store = Arc::new(SqliteStore::open(&path, SqliteSettings::default()).unwrap());
    let story = Story::begin(store.clone()).await;
    let mut openers = Vec::new();
    for _ in 0..64 {
        let story = story.clone();
        openers.push(tokio::spawn(async move {
            let mut ids = Vec::new();
            for _ in 0..GRANTS / 64 {
                ids.push(story.open().await);
            }
            ids
        }));
    }
    let mut ids = Vec::new();
    for opener in openers {
        ids.extend(opener.await.unwrap());
    }
    println!("{} grants", ids.len());
    for (callers, reading) in [(1, false), (32, false), (32, true), (256, false), (256, true)] {
        let cpu = cpu_time();
        let rotations = rotate(&story, &ids, callers, reading).await;
        let micros = cpu_time().saturating_sub(cpu).as_micros() / rotations.max(1);
        let a_second = rotations / u128::from(EACH.as_secs());
        let what = if reading { "read and rotate" } else { "rotate" };
        println!("{callers:4} callers, {what}: {a_second} rotations/s, {micros} µs CPU each");
    }
    store.close().await.unwrap();
    let begun = Instant::now();
    drop(store);
    let store = SqliteStore::open(&path, SqliteSettings::default()).unwrap();
    println!("opened again in {:?}", begun.elapsed());
    drop(store);
}

async fn rotate(story: &Story, ids: &[hallpass_core::id::GrantId], callers: usize, reading: bool) -> u128 {
    let begun = Instant::now();
    let mut tasks = Vec::new();
    for mine in ids.chunks(ids.len() / callers).take(callers) {
        let (mine, story) = (mine.to_vec(), story.clone());
        tasks.push(tokio::spawn(async move {
            let (mut count, mut place) = (0, 0_usize);
            let mut generations = Vec::new();
            for id in &mine {
                generations.push(story.read(*id).await.generation);
            }
            while begun.elapsed() < EACH {
                // A step that has no factor in common with the number of grants: pages are met out of order.
                place = (place + 7919) % mine.len();
                let (id, generation) = (mine[place], &mut generations[place]);
                if reading {
                    story.read(id).await;
                }
                let answer = story.rotate(id, *generation).await;
                assert!(matches!(answer, GrantRotated::Rotated { .. }), "{answer:?}");
                *generation += 1;
                count += 1;
            }
            count
        }));
    }
    let mut count = 0;
    for task in tasks {
        count += task.await.unwrap();
    }
    count
}

/// User and system time of this process (Linux; zero elsewhere).
fn cpu_time() -> Duration {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = text.rsplit(')').next().unwrap_or_default().split_whitespace();
    let ticks: u64 = fields.skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 10)
}
