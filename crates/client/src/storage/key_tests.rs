//! The key of the folder: in its file, in a keyring, and under way between the two.
use super::{
    tests::{Folder, NOW, entry, put},
    *,
};
use hallpass_core::entropy::SystemEntropy;
use std::{
    fs,
    sync::Barrier,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Duration,
};

/// A keyring of one file, and the command that looks into it.
fn ring(folder: &Folder) -> (PathBuf, KeyCommand) {
    let path = folder.0.path().join("ring");
    (path.clone(), KeyCommand::new(vec!["cat".into(), path.to_str().unwrap().into()]).unwrap())
}

#[test]
fn p25_cl_061_the_key_moves_into_a_keyring_and_back() {
    let (folder, store) = Folder::new();
    let (path, command) = ring(&folder);
    put(&store, entry("https://as.example", "default", "r"));
    let key = fs::read(store.key_file()).unwrap();
    let into = |text: &SecretString| fs::write(&path, text.expose());
    store.move_key(&command, into, &SystemEntropy).unwrap();
    assert_eq!(store.key_place().unwrap(), KeyPlace::Command(command.clone()));
    let beside = fs::read(store.key_file()).unwrap();
    assert!(!beside.windows(8).any(|part| part == &key[..8]), "no copy stays behind");
    // Another process, which has nothing but the folder.
    let other = Store::new(store.folder().to_owned());
    put(&other, entry("https://as.example", "more", "r"));
    assert_eq!(store.read().unwrap().entries.len(), 2);
    // Where it is away, nothing is made in its place and nothing is lost.
    fs::rename(&path, folder.0.path().join("away")).unwrap();
    let later = Store::new(store.folder().to_owned());
    let refused = later.read().unwrap_err();
    assert!(matches!(refused, StorageError::KeyAway { .. }));
    let says = refused.to_string();
    assert!(
        says.contains("cat") && says.contains("hallpass keyring off") && says.contains("nothing is lost")
    );
    let change = later.update(NOW, &SystemEntropy, |contents| contents.entries.clear());
    assert!(matches!(change, Err(StorageError::KeyAway { .. })));
    assert!(matches!(later.bring_key_back(&SystemEntropy), Err(StorageError::KeyAway { .. })));
    assert_eq!(store.read().unwrap().entries.len(), 2, "a process that has it goes on");
    fs::rename(folder.0.path().join("away"), &path).unwrap();
    assert!(later.bring_key_back(&SystemEntropy).unwrap());
    assert!(!later.bring_key_back(&SystemEntropy).unwrap());
    assert_eq!((fs::read(store.key_file()).unwrap(), later.read().unwrap().entries.len()), (key, 2));
}

#[test]
fn p25_cl_061_a_keyring_that_does_not_hold_this_key_gets_nothing() {
    let (folder, store) = Folder::new();
    let (path, command) = ring(&folder);
    put(&store, entry("https://as.example", "default", "r"));
    let key = fs::read(store.key_file()).unwrap();
    let moved = |put: &dyn Fn(&SecretString) -> io::Result<()>| {
        let outcome = store.move_key(&command, put, &SystemEntropy);
        assert_eq!(fs::read(store.key_file()).unwrap(), key);
        outcome.unwrap_err()
    };
    let refuses = |_: &SecretString| Err(io::ErrorKind::PermissionDenied.into());
    assert!(matches!(moved(&refuses), StorageError::KeyNotMoved(_)));
    assert!(matches!(moved(&|_| Ok(())), StorageError::KeyCommand { source: KeyCommandError::Failed, .. }));
    fs::write(&path, "00".repeat(32)).unwrap();
    assert!(matches!(
        moved(&|_| Ok(())),
        StorageError::KeyCommand { source: KeyCommandError::AnotherKey, .. }
    ));
    // A file without its key gets no other one.
    fs::remove_file(store.key_file()).unwrap();
    let outcome = store.move_key(&command, |_| Ok(()), &SystemEntropy);
    assert!(matches!(outcome, Err(StorageError::KeyMissing { .. })));
    assert!(!store.key_file().exists());
    // Before the first sign-in one is made, and goes there at once.
    fs::remove_file(store.file()).unwrap();
    store.move_key(&command, |text| fs::write(&path, text.expose()), &SystemEntropy).unwrap();
    put(&store, entry("https://as.example", "default", "r"));
    assert_eq!(Store::new(store.folder().to_owned()).read().unwrap().entries.len(), 1);
}

#[cfg(unix)]
#[test]
fn t_60_the_command_of_somebody_elses_folder_is_not_run() {
    let (folder, store) = Folder::new();
    let (path, command) = ring(&folder);
    put(&store, entry("https://as.example", "default", "r"));
    store.move_key(&command, |text| fs::write(&path, text.expose()), &SystemEntropy).unwrap();
    // Only root can give a file away.
    if std::os::unix::fs::chown(store.key_file(), Some(65_534), None).is_err() {
        return;
    }
    let fresh = Store::new(store.folder().to_owned());
    assert!(matches!(fresh.read(), Err(StorageError::Foreign(_))));
    assert!(matches!(fresh.bring_key_back(&SystemEntropy), Err(StorageError::Foreign(_))));
}

/// A keyring of one file; what it does with a key is the test's.
struct Ring {
    path: PathBuf,
    command: Option<KeyCommand>,
    puts: AtomicUsize,
    keeps: fn(&Path, &SecretString) -> io::Result<()>,
}

impl std::fmt::Debug for Ring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Ring")
    }
}

impl Keyring for Ring {
    fn command(&self) -> Option<KeyCommand> {
        self.command.clone()
    }

    fn put(&self, key: &SecretString, _: Duration) -> io::Result<()> {
        self.puts.fetch_add(1, Ordering::Relaxed);
        (self.keeps)(&self.path, key)
    }
}

fn offered(folder: &Folder, keeps: fn(&Path, &SecretString) -> io::Result<()>) -> Arc<Ring> {
    let (path, command) = ring(folder);
    Arc::new(Ring { path, command: Some(command), puts: AtomicUsize::new(0), keeps })
}

fn good(path: &Path, key: &SecretString) -> io::Result<()> {
    fs::write(path, key.expose())
}

#[test]
fn p25_cl_061_a_new_key_goes_into_a_keyring_that_answers() {
    let (folder, store) = Folder::new();
    let ring = offered(&folder, good);
    let store = store.with_keyring(ring.clone());
    assert_eq!(store.read().unwrap(), Contents::default());
    assert_eq!(
        (ring.puts.load(Ordering::Relaxed), store.key_made()),
        (0, None),
        "only when something is kept"
    );
    put(&store, entry("https://as.example", "default", "r"));
    let place = KeyPlace::Command(ring.command.clone().unwrap());
    assert_eq!((store.key_place().unwrap(), store.key_made()), (place.clone(), Some(&place)));
    // Others find it by the folder alone, and do not speak of a new one.
    let other = Store::new(store.folder().to_owned());
    put(&other, entry("https://as.example", "more", "r"));
    assert_eq!((other.read().unwrap().entries.len(), other.key_made()), (2, None));
    let text = fs::read_to_string(&ring.path).unwrap();
    for file in fs::read_dir(store.folder()).unwrap() {
        let bytes = fs::read(file.unwrap().path()).unwrap();
        assert!(!bytes.windows(16).any(|part| part == &text.as_bytes()[..16]));
    }
}

#[test]
fn p25_cl_061_without_a_keyring_that_keeps_this_very_key_it_stays_in_its_file() {
    let refuses: fn(&Path, &SecretString) -> io::Result<()> = |_, _| Err(io::ErrorKind::TimedOut.into());
    let loses: fn(&Path, &SecretString) -> io::Result<()> = |_, _| Ok(());
    let another: fn(&Path, &SecretString) -> io::Result<()> = |path, _| fs::write(path, "00".repeat(32));
    for keeps in [refuses, loses, another] {
        let (folder, store) = Folder::new();
        let store = store.with_keyring(offered(&folder, keeps));
        put(&store, entry("https://as.example", "default", "r"));
        assert_eq!((store.key_place().unwrap(), store.key_made()), (KeyPlace::File, Some(&KeyPlace::File)));
        assert_eq!(Store::new(store.folder().to_owned()).read().unwrap().entries.len(), 1);
    }
    // None at all, one whose program is not there, one that prints something else, one that does not answer.
    let command = |words: &[&str]| KeyCommand::new(words.iter().map(|&word| word.to_owned()).collect());
    let none = [None, command(&["/no/such/program"]), command(&["echo", "x"]), command(&["sleep", "60"])];
    for command in none {
        let (folder, store) = Folder::new();
        let ring = Arc::new(Ring { command, ..Arc::into_inner(offered(&folder, good)).unwrap() });
        let store = store.with_keyring(ring.clone());
        put(&store, entry("https://as.example", "default", "r"));
        assert_eq!((store.key_place().unwrap(), ring.puts.load(Ordering::Relaxed)), (KeyPlace::File, 0));
    }
}

#[test]
fn p25_cl_061_a_key_that_lies_in_the_keyring_is_never_written_over() {
    let (folder, store) = Folder::new();
    let ring = offered(&folder, good);
    let store = store.with_keyring(ring.clone());
    put(&store, entry("https://as.example", "default", "r"));
    let (sealed, says) = (fs::read(store.file()).unwrap(), fs::read(store.key_file()).unwrap());
    // The folder is gone, and comes back from a backup after a new sign-in.
    fs::remove_dir_all(store.folder()).unwrap();
    let anew = Store::new(store.folder().to_owned()).with_keyring(ring.clone());
    put(&anew, entry("https://as.example", "other", "r"));
    assert_eq!(ring.puts.load(Ordering::Relaxed), 1);
    fs::write(store.file(), sealed).unwrap();
    fs::write(store.key_file(), says).unwrap();
    assert_eq!(Store::new(store.folder().to_owned()).read().unwrap().entries[0].key.account, "default");
    // Away, it is not replaced, with a keyring at hand as little as without.
    fs::remove_file(&ring.path).unwrap();
    let later = Store::new(store.folder().to_owned()).with_keyring(ring.clone());
    let change = later.update(NOW, &SystemEntropy, |contents| contents.entries.clear());
    assert!(matches!(change, Err(StorageError::KeyAway { .. })));
    fs::remove_file(store.key_file()).unwrap();
    let change = later.update(NOW, &SystemEntropy, |contents| contents.entries.clear());
    assert!(matches!(change, Err(StorageError::KeyMissing { .. })));
    assert!((ring.puts.load(Ordering::Relaxed), later.key_made(), ring.path.exists()) == (1, None, false));
}

#[test]
fn p25_cl_061_a_folder_that_has_its_key_stays_as_it_is() {
    let (folder, store) = Folder::new();
    put(&store, entry("https://as.example", "default", "r"));
    let key = fs::read(store.key_file()).unwrap();
    let ring = offered(&folder, good);
    let later = Store::new(store.folder().to_owned()).with_keyring(ring.clone());
    put(&later, entry("https://as.example", "more", "r"));
    assert_eq!((fs::read(store.key_file()).unwrap(), ring.puts.load(Ordering::Relaxed)), (key, 0));
    // Whoever wants that before the first sign-in, says so once.
    let (folder, store) = Folder::new();
    assert!(!store.bring_key_back(&SystemEntropy).unwrap());
    let store = Store::new(store.folder().to_owned()).with_keyring(offered(&folder, good));
    put(&store, entry("https://as.example", "default", "r"));
    assert_eq!(store.key_place().unwrap(), KeyPlace::File);
}

#[test]
fn p25_cl_061_two_that_start_at_once_make_one_key() {
    let (folder, store) = Folder::new();
    let ring = offered(&folder, |path, key| {
        thread::sleep(Duration::from_millis(50));
        good(path, key)
    });
    let barrier = Barrier::new(4);
    thread::scope(|scope| {
        for number in 0..4 {
            let store = Store::new(store.folder().to_owned()).with_keyring(ring.clone());
            let barrier = &barrier;
            scope.spawn(move || {
                barrier.wait();
                put(&store, entry("https://as.example", &number.to_string(), "r"));
            });
        }
    });
    assert_eq!((ring.puts.load(Ordering::Relaxed), store.read().unwrap().entries.len()), (1, 4));
}
