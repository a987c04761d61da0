//! The folder under crashes, races, foreign hands and hostile names.
use super::*;
use crate::{assertion::KeyFile, proof::ProofKey};
use hallpass_core::{entropy::SystemEntropy, scope::Scope, secret::SecretString};
use std::{fs, sync::Barrier, thread, time::Duration};

pub(super) const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

/// Fresh for each test, and gone after it.
pub(crate) struct Folder(pub(super) tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> (Self, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::new(folder.path().join("hallpass"));
        (Self(folder), store)
    }
}

pub(crate) fn entry(issuer: &str, account: &str, refresh: &str) -> Entry {
    Entry {
        renewal: None,
        key: EntryKey {
            issuer: issuer.into(),
            resource: "https://mcp.example/mcp".into(),
            account: account.into(),
        },
        server: "https://mcp.example/mcp".into(),
        client: ClientCredentials {
            client_id: "client".into(),
            client_secret: Some(SecretString::new("client-secret-canary")),
            auth: TokenAuth::Basic,
        },
        token_endpoint: format!("{issuer}/token"),
        revocation_endpoint: None,
        client_is_given: true,
        endpoints_read_at: NOW,
        requested_scope: Scope::parse("read").unwrap(),
        tokens: tokens(refresh),
        signed_in_at: NOW,
    }
}

fn tokens(refresh: &str) -> Tokens {
    Tokens {
        access_token: SecretString::new("access-token-canary"),
        issued_at: NOW,
        expires_at: Some(NOW),
        refresh_token: Some(SecretString::new(refresh)),
        scope: Scope::none(),
        proof_key: None,
    }
}

fn begun(account: &str) -> Begun {
    let entry = entry("https://as.example", account, "r");
    Begun {
        server: entry.server,
        account: account.into(),
        ends_at: NOW.plus(LIFETIME),
        issuer: entry.key.issuer,
        token_endpoint: entry.token_endpoint,
        revocation_endpoint: Some("https://as.example/revoke".into()),
        sends_iss: true,
        client: entry.client,
        redirect_uri: "http://127.0.0.1:1/callback".into(),
        resource: entry.key.resource,
        scope: entry.requested_scope,
        state: SecretString::new(format!("state-canary-{account}")),
        verifier: SecretString::new("verifier-canary"),
        proof_key: Some(ProofKey::generate().unwrap()),
        registered_before: true,
    }
}

pub(super) fn put(store: &Store, entry: Entry) {
    store.update(NOW, &SystemEntropy, |contents| contents.put_entry(entry)).unwrap();
}

#[test]
fn what_is_kept_is_read_back() {
    let (_folder, store) = Folder::new();
    assert_eq!(store.read().unwrap(), Contents::default());
    let registration = Registration {
        issuer: "https://as.example".into(),
        client: entry("", "", "").client,
        redirect_uri: "http://127.0.0.1:1/callback".into(),
        secret_expires_at: Some(NOW),
        used_at: NOW,
    };
    let kept = Contents {
        registrations: vec![registration],
        entries: vec![entry("https://as.example", "default", "r")],
        begun: vec![begun("other")],
    };
    store.update(NOW, &SystemEntropy, |contents| *contents = kept.clone()).unwrap();
    assert_eq!(store.read().unwrap(), kept);
    assert_eq!(kept.registration("https://as.example", NOW), None);
    assert!(kept.registration("https://as.example", NOW.minus(Duration::from_secs(1))).is_some());
}

#[test]
fn cl_061_t_52_what_a_server_says_does_not_cost_the_sign_ins_at_others() {
    let (_folder, store) = Folder::new();
    put(&store, entry("https://as.example", "default", "r"));
    let names: Vec<String> = (0..1000).map(|number| format!("scope:{number}")).collect();
    let mut long = entry("https://evil.example", "default", "r");
    long.server = "https://evil.example/mcp".into();
    long.requested_scope = Scope::of(names.iter().map(String::as_str));
    long.tokens.scope = long.requested_scope.clone();
    put(&store, long.clone());
    let kept = store.read().unwrap();
    assert_eq!((kept.entries.len(), kept.for_server(&long.server, "default")), (2, Some(&long)));
}

#[cfg(unix)]
#[test]
fn cl_061_only_the_owner_can_read_and_nothing_stands_in_clear() {
    use std::os::unix::fs::PermissionsExt as _;
    let (folder, store) = Folder::new();
    put(&store, entry("https://as.example", "default", "refresh-token-canary"));
    for file in fs::read_dir(folder.0.path().join("hallpass")).unwrap() {
        let path = file.unwrap().path();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "{path:?}");
        let bytes = fs::read(&path).unwrap();
        for canary in ["canary", "as.example", "mcp.example"] {
            assert!(!bytes.windows(canary.len()).any(|part| part == canary.as_bytes()), "{path:?}");
        }
    }
    let mode = fs::metadata(folder.0.path().join("hallpass")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    fs::set_permissions(store.key_file(), fs::Permissions::from_mode(0o640)).unwrap();
    let refused = store.read().unwrap_err();
    assert!(matches!(refused, StorageError::Readable(_)));
    assert!(refused.to_string().contains("chmod 600"));
}

#[test]
fn cl_061_damage_is_an_error_and_deletes_nothing() {
    let (_folder, store) = Folder::new();
    put(&store, entry("https://as.example", "default", "r"));
    let good = fs::read(store.file()).unwrap();
    let mut flipped = good.clone();
    *flipped.last_mut().unwrap() ^= 1;
    let newer = String::from_utf8_lossy(&good).replacen("credentials 1", "credentials 2", 1).into_bytes();
    for bad in [&flipped[..], &good[..good.len() - 1], b"", b"garbage"] {
        fs::write(store.file(), bad).unwrap();
        assert!(matches!(store.read(), Err(StorageError::Unreadable(_))));
        let change = store.update(NOW, &SystemEntropy, |contents| contents.entries.clear());
        assert!(matches!(change, Err(StorageError::Unreadable(_))));
        assert_eq!(fs::read(store.file()).unwrap(), bad);
    }
    fs::write(store.file(), newer).unwrap();
    assert!(matches!(store.read(), Err(StorageError::Newer(_))));
    fs::write(store.file(), &good).unwrap();
    fs::remove_file(store.key_file()).unwrap();
    assert!(matches!(store.read(), Err(StorageError::KeyMissing { .. })));
    assert!(matches!(store.update(NOW, &SystemEntropy, |_| ()), Err(StorageError::KeyMissing { .. })));
}

#[test]
fn cl_061_a_crash_while_writing_leaves_the_old_file() {
    let (_folder, store) = Folder::new();
    put(&store, entry("https://as.example", "default", "old"));
    // What a crash leaves: half a new file beside the old one.
    fs::write(store.file().with_extension("half.tmp"), b"hallpass cred").unwrap();
    assert_eq!(store.read().unwrap().entries.len(), 1);
    put(&store, entry("https://as.example", "other", "new"));
    assert_eq!(store.read().unwrap().entries.len(), 2);
}

#[test]
fn t_64_names_of_servers_are_no_paths() {
    let (folder, store) = Folder::new();
    let names = ["../../.ssh/config", "/etc/passwd", "a\0b", "..\\..\\x", "CON", &"x".repeat(4096), "\n"];
    for name in names {
        let mut entry = entry(name, name, "r");
        entry.key.resource = name.to_owned();
        entry.server = name.to_owned();
        let _lock = store.try_refresh_lock(&entry.key).unwrap().unwrap();
        put(&store, entry);
    }
    assert_eq!(store.read().unwrap().entries.len(), names.len());
    let around: Vec<_> =
        fs::read_dir(folder.0.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
    assert_eq!(around, ["hallpass"]);
    for file in fs::read_dir(folder.0.path().join("hallpass")).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        assert!(name.starts_with("credentials") || name.starts_with("refresh-"), "{name}");
    }
}

#[test]
fn b_41_cl_025_credentials_belong_to_one_issuer_as_written() {
    let mut contents = Contents::default();
    let issuers =
        ["https://as.example", "https://as.example/", "https://AS.example", "https://other.example"];
    for (number, issuer) in issuers.iter().enumerate() {
        let mut entry = entry(issuer, "default", "r");
        entry.server = format!("https://mcp{number}.example/");
        contents.put_entry(entry);
        contents.put_registration(Registration {
            issuer: (*issuer).to_owned(),
            client: ClientCredentials {
                client_id: format!("c{number}"),
                client_secret: None,
                auth: TokenAuth::None,
            },
            redirect_uri: String::new(),
            secret_expires_at: None,
            used_at: NOW,
        });
    }
    assert_eq!((contents.entries.len(), contents.registrations.len()), (4, 4));
    for (number, issuer) in issuers.iter().enumerate() {
        assert_eq!(contents.registration(issuer, NOW).unwrap().client.client_id, format!("c{number}"));
    }
    assert_eq!(contents.registration("https://as.example//", NOW), None);
}

#[test]
fn b_39_cl_069_a_loser_neither_deletes_nor_overwrites_the_winner() {
    let mut contents = Contents::default();
    let winner = entry("https://as.example", "default", "new");
    contents.put_entry(winner.clone());
    let old = SecretString::new("old");
    assert!(!contents.remove_refused(&winner.key, &old));
    assert!(!contents.replace_tokens(&winner.key, &old, tokens("stolen")));
    assert_eq!(contents.entry(&winner.key), Some(&winner));
    assert!(contents.replace_tokens(&winner.key, &SecretString::new("new"), tokens("newer")));
    assert!(contents.remove_refused(&winner.key, &SecretString::new("newer")));
    // Signed out meanwhile: an answer that comes later brings nothing back.
    assert!(!contents.replace_tokens(&winner.key, &SecretString::new("newer"), tokens("late")));
    assert!(contents.entries.is_empty());
}

#[test]
fn p25_the_file_does_not_grow_without_bound() {
    let (_folder, store) = Folder::new();
    store
        .update(NOW, &SystemEntropy, |contents| {
            for number in 0..1_700 {
                let mut entry = entry("https://as.example", &number.to_string(), "r");
                entry.tokens.issued_at = Timestamp::from_seconds(number);
                contents.put_entry(entry);
            }
        })
        .unwrap();
    let entries = store.read().unwrap().entries;
    assert_eq!(entries.len(), 256);
    assert!(entries.iter().all(|entry| entry.tokens.issued_at >= Timestamp::from_seconds(1_700 - 256)));
    // Without a refresh token, an ended access token is of no use.
    let later = NOW.plus(Duration::from_hours(25));
    let mut dead = entry_without_refresh();
    dead.key.account = "dead".into();
    put(&store, dead);
    store.update(later, &SystemEntropy, |_| ()).unwrap();
    assert!(store.read().unwrap().entries.iter().all(|entry| entry.key.account != "dead"));
}

fn entry_without_refresh() -> Entry {
    let mut entry = entry("https://as.example", "default", "");
    entry.tokens.refresh_token = None;
    entry
}

#[test]
fn changes_of_many_at_once_are_all_kept() {
    let (_folder, store) = Folder::new();
    let barrier = Barrier::new(8);
    thread::scope(|scope| {
        for number in 0..8 {
            let (store, barrier) = (&store, &barrier);
            scope.spawn(move || {
                barrier.wait();
                for round in 0..5 {
                    put(store, entry("https://as.example", &format!("{number}-{round}"), "r"));
                }
            });
        }
    });
    assert_eq!(store.read().unwrap().entries.len(), 40);
}

#[test]
fn cl_068_one_refresher_at_a_time_and_a_dead_one_blocks_nobody() {
    let (_folder, store) = Folder::new();
    let key = entry("https://as.example", "default", "r").key;
    let held = store.try_refresh_lock(&key).unwrap().unwrap();
    assert!(store.clone().try_refresh_lock(&key).unwrap().is_none());
    drop(held);
    assert!(store.try_refresh_lock(&key).unwrap().is_some());
}

#[test]
fn cl_065_debug_shows_no_secret() {
    let shown = format!("{:?}", entry("https://as.example", "default", "refresh-canary"));
    assert!(!shown.contains("canary"), "{shown}");
}

#[test]
fn cl_083_the_key_of_bound_tokens_is_kept_with_them_and_only_sealed() {
    let (_folder, store) = Folder::new();
    let key = ProofKey::generate().unwrap();
    let mut bound = entry("https://as.example", "default", "r");
    bound.tokens.proof_key = Some(key.clone());
    bound.client.auth = TokenAuth::PrivateKey;
    put(&store, bound.clone());
    assert_eq!(store.read().unwrap().entries, [bound]);
    let secret = key.to_pkcs8().unwrap();
    let bytes = fs::read(store.file()).unwrap();
    assert!(!bytes.windows(16).any(|part| secret.windows(16).any(|other| other == part)));
}

#[test]
fn cl_030_what_was_begun_is_one_for_each_account_and_ends() {
    let (_folder, store) = Folder::new();
    let put = |begun: Begun, now| store.update(now, &SystemEntropy, |all| all.put_begun(begun)).unwrap();
    for number in 0..20 {
        put(begun(&number.to_string()), NOW);
    }
    let kept = store.read().unwrap().begun;
    assert_eq!((kept.len(), kept[0].account.as_str(), kept[15].account.as_str()), (16, "4", "19"));
    let again = Begun { state: SecretString::new("another"), ..begun("19") };
    put(again.clone(), NOW);
    let mut all = store.read().unwrap();
    let found = |all: &Contents, account, now| all.begun(&again.server, account, now).cloned();
    assert_eq!((all.begun.len(), found(&all, "19", NOW)), (16, Some(again.clone())));
    assert_eq!(found(&all, "none", NOW), None);
    // Neither too late, nor by a clock that went back.
    assert_eq!(found(&all, "19", again.ends_at), None);
    assert_eq!(found(&all, "19", NOW.minus(Duration::from_secs(1))), None);
    // Once, and not by the state of the one that it replaced.
    let claims = |all: &mut Contents, state: &SecretString| all.claim_begun(state);
    assert!(!claims(&mut all, &begun("19").state));
    assert!(claims(&mut all, &again.state) && !claims(&mut all, &again.state));
    // A sign-in of the account ends what was begun for it, and time all of them.
    all.put_entry(entry("https://as.example", "18", "r"));
    assert_eq!((found(&all, "18", NOW), found(&all, "17", NOW).is_some()), (None, true));
    put(begun("late"), again.ends_at);
    let late = store.read().unwrap().begun;
    assert!(late.is_empty(), "it would have ended with the others");
}

#[test]
fn cl_089_how_a_program_renews_is_read_back() {
    let (_folder, store) = Folder::new();
    let file = |key_id: Option<&str>| {
        MachineProof::KeyFile(KeyFile { path: "/keys/robot.pem".into(), key_id: key_id.map(str::to_owned) })
    };
    for proof in [MachineProof::Secret, file(None), file(Some("k1"))] {
        let renewal = Some(Renewal::Machine(proof.clone()));
        put(&store, Entry { renewal, ..entry("https://as.example", "robot", "r") });
        let kept = store.read().unwrap().entries;
        assert_eq!((kept.len(), kept[0].machine()), (1, Some(&proof)));
        assert!(kept[0].is_renewable() && kept[0].is_of_a_program());
    }
}
