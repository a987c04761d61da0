//! Each target briefly: its corpus, and mutations of it that are the same every time.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that cannot go on has failed"
)]

use hallpass_fuzz::{
    TARGETS,
    mutate::{Dice, mutated},
    target,
};
use std::{fs, panic, path::PathBuf};

const RUNS: usize = 50_000;

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    let mut files: Vec<PathBuf> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files.into_iter().map(|path| fs::read(path).unwrap()).collect()
}

fn briefly(name: &str) {
    let run = target(name).expect("a target").run;
    let corpus = corpus(name);
    assert!(corpus.len() > 1, "{name} has no corpus");
    let mut dice = Dice(corpus.len().try_into().unwrap());
    let mutations = (0..RUNS).map(|_| mutated(&mut dice, &corpus));
    for input in corpus.iter().cloned().chain(mutations) {
        let outcome = panic::catch_unwind(|| run(&input));
        assert!(
            outcome.is_ok(),
            "{name} fails on this input; keep it in corpus/{name}: {:?}",
            String::from_utf8_lossy(&input).escape_debug().to_string()
        );
    }
}

#[test]
fn no_target_is_without_a_test_and_no_corpus_without_a_target() {
    let text = include_str!("brief.rs");
    for target in &TARGETS {
        assert!(text.contains(&format!("briefly(\"{}\")", target.name)), "{}", target.name);
    }
    let folders = fs::read_dir(PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("corpus")).unwrap();
    for folder in folders {
        let name = folder.unwrap().file_name().into_string().unwrap();
        assert!(target(&name).is_some(), "{name}");
    }
}

#[test]
fn t_89_as_190_proof() {
    briefly("proof");
}

#[test]
fn t_16_parameters() {
    briefly("parameters");
}

#[test]
fn t_25_basic() {
    briefly("basic");
}

#[test]
fn t_24_scope() {
    briefly("scope");
}

#[test]
fn as_037_t_01_redirect() {
    briefly("redirect");
}

#[test]
fn identifiers() {
    briefly("identifiers");
}

#[test]
fn t_47_json() {
    briefly("json");
}

#[test]
fn client_document() {
    briefly("client-document");
}

#[test]
fn server_metadata() {
    briefly("server-metadata");
}

#[test]
fn resource_metadata() {
    briefly("resource-metadata");
}

#[test]
fn as_089_authorization_details() {
    briefly("authorization-details");
}

#[test]
fn registration() {
    briefly("registration");
}

#[test]
fn t_46_key_set() {
    briefly("key-set");
}

#[test]
fn t_41_t_42_jws() {
    briefly("jws");
}

#[test]
fn t_47_access_token() {
    briefly("access-token");
}

#[test]
fn as_163_t_43_t_47_grant_assertion() {
    briefly("grant-assertion");
}

#[test]
fn refresh_token() {
    briefly("refresh-token");
}

#[test]
fn t_99_sealed() {
    briefly("sealed");
}

#[test]
fn t_76_message() {
    briefly("message");
}

#[test]
fn t_90_challenge() {
    briefly("challenge");
}

#[test]
fn header_value() {
    briefly("header-value");
}
