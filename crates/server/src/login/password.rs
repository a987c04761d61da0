//! Passwords: argon2id, off the runtime's threads, behind limits that lock nobody's owner out.

use super::argon2id;
use crate::{
    app::App,
    audit::{Event, Who},
    cx::Cx,
    http::{browser, rate_limit::Limited},
    router::Incoming,
};
use hallpass_core::{entropy::Entropy, secret::SecretString};
use hallpass_store::{Attempt, Person, StoreError};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::sync::{Semaphore, oneshot};

/// Hashes computed at once, and how many more may wait. Half of the processors stay free for everything else, so that a
/// flood of sign-ins does not hold up those who only refresh; the memory is bounded by the same number.
const MOST_AT_ONCE: usize = 2;
const WAITING: usize = 32;
/// Tries for one account in [`WINDOW`], over all addresses.
const TRIES: u32 = 100;
/// Tries from one address, per minute: an office behind one address still gets in.
const TRIES_FROM_HERE: u32 = 20;
const WINDOW: Duration = Duration::from_mins(15);
/// Shortest and longest password, in characters and bytes. Nobody may make us hash a megabyte.
pub const SHORTEST: usize = 12;
const LONGEST: usize = 1024;

/// Computes hashes on threads of their own, a few at a time.
pub struct PasswordHasher {
    running: Arc<Semaphore>,
    places: Arc<Semaphore>,
    computed: Arc<AtomicU64>,
}

/// Why there is no hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy;

impl PasswordHasher {
    /// With nobody waiting.
    pub fn new() -> Self {
        Self {
            running: Arc::new(Semaphore::new(at_once())),
            places: Arc::new(Semaphore::new(at_once() + WAITING)),
            computed: Arc::default(),
        }
    }

    async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Busy> {
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| Busy)?;
        let running = Arc::clone(&self.running).acquire_owned().await.map_err(|_| Busy)?;
        self.computed.fetch_add(1, Ordering::Relaxed);
        let (done, answer) = oneshot::channel();
        let thread = move || {
            step_back();
            let answer = work();
            // Whoever asked may have left: the work was still going on, and its place was taken.
            drop((running, place));
            drop(done.send(answer));
        };
        std::thread::Builder::new().name("password".into()).spawn(thread).map_err(|_| Busy)?;
        answer.await.map_err(|_| Busy)
    }

    /// Hashes computed so far. A sign-in costs one, all of them with the same parameters, whoever it is for.
    pub fn computed(&self) -> u64 {
        self.computed.load(Ordering::Relaxed)
    }

    /// PHC string of a new password.
    pub async fn hash(&self, password: SecretString, entropy: &dyn Entropy) -> Result<String, Busy> {
        let salt = hallpass_core::entropy::random::<16>(entropy);
        let hashed = self.run(move || argon2id::hash(password.expose().as_bytes(), &salt)).await?;
        hashed.ok_or(Busy)
    }

    /// Whether this is the password. Without a hash to compare, the same work is done for nothing, so that time does
    /// not tell who has an account.
    pub async fn verify(&self, password: SecretString, phc: Option<String>) -> Result<bool, Busy> {
        self.run(move || {
            if let Some(phc) = phc {
                argon2id::is_right(password.expose().as_bytes(), &phc).unwrap_or(false)
            } else {
                let _ = argon2id::hash(password.expose().as_bytes(), &[0; 16]);
                false
            }
        })
        .await
    }
}

/// A hash takes tens of milliseconds of a processor; requests and the writer go first when there is only one. At this
/// priority it gets what nobody else wants, and a hundredth of a processor that everybody does.
#[cfg(target_os = "linux")]
fn step_back() {
    // Of this thread alone (`setpriority(2)`, under "C library/kernel differences"), which is why each hash has its own: the way
    // back takes a privilege. Where the whole program runs at a lower one already, this is refused, and rightly.
    let _ = rustix::process::setpriority_process(None, 19);
}

/// Elsewhere a priority belongs to the whole program.
#[cfg(not(target_os = "linux"))]
const fn step_back() {}

fn at_once() -> usize {
    let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    (processors / 2).clamp(1, MOST_AT_ONCE)
}

/// Name as compared: case and outer white space do not matter.
pub fn fold(name: &str) -> String {
    name.trim().to_lowercase()
}

/// What is wrong with a new name, in words.
pub fn name_complaint(folded: &str) -> Option<&'static str> {
    let wrong = folded.is_empty() || folded.chars().count() > 64 || folded.chars().any(char::is_control);
    wrong.then_some("Please choose a name of 1 to 64 characters.")
}

/// What is wrong with a new name or password, in words for the form.
pub fn complaint(name: &str, password: &str) -> Option<&'static str> {
    let folded = fold(name);
    if let Some(complaint) = name_complaint(&folded) {
        return Some(complaint);
    }
    if password.chars().count() < SHORTEST {
        return Some("Please choose a password of at least 12 characters; a few words are fine.");
    }
    if password.len() > LONGEST {
        return Some("This password is too long: 1,024 bytes at most.");
    }
    if fold(password).contains(&folded) && folded.chars().count() > 2 {
        return Some("The password must not contain the name.");
    }
    None
}

/// A person whose password was right.
pub struct Checked {
    /// The person.
    pub person: Person,
}

/// Why nobody is signed in.
#[derive(Debug)]
pub enum SignInError {
    /// Unknown name or wrong password: the two look the same.
    Wrong,
    /// Over the limit of this account or of this address.
    TooMany(Duration),
    /// All places for hashing are taken.
    Busy,
    /// The store failed.
    Store(StoreError),
}

impl From<StoreError> for SignInError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Takes one try of this address, at whatever shows who somebody is: a password, a provider's word, a code.
pub(super) fn address_limit(app: &App, cx: Cx) -> Result<(), Duration> {
    if app.settings.is_local() {
        return Ok(());
    }
    let most = app.settings.limits.for_address(cx.address, TRIES_FROM_HERE);
    app.limits.take(Limited::Password, cx.address, most, cx.now)
}

/// Checks name and password. The try is counted before the hash is computed, by one conditional write, so that no
/// number of nodes or restarts gives more guesses. A browser in which this person signed in before is not counted
/// with the rest of the world: strangers cannot lock the owner out of it.
pub async fn check(
    app: &App,
    incoming: &Incoming,
    name: &str,
    password: &str,
) -> Result<Checked, SignInError> {
    let cx = incoming.cx;
    if let Err(wait) = address_limit(app, cx) {
        app.audit.record(cx, Event::sign_in_throttled(None, "address_limit"));
        return Err(SignInError::TooMany(wait));
    }
    let person = if password.len() > LONGEST { None } else { app.store.person_by_name(fold(name)).await? };
    let known = person.as_ref().is_some_and(|person| browser::is_known(app, incoming, person.id));
    if let Some(person) = &person
        && !known
        && let Attempt::Refused { .. } = app.store.person_attempt(person.id, TRIES, WINDOW, cx.now).await?
    {
        app.audit.record(cx, Event::sign_in_throttled(Some(Who::of(person)), "account_limit"));
        return Err(SignInError::TooMany(WINDOW));
    }
    let phc = person.as_ref().map(|person| person.password.clone());
    let Ok(right) = app.passwords.verify(SecretString::new(password), phc).await else {
        app.audit.record(cx, Event::sign_in_throttled(person.as_ref().map(Who::of), "busy"));
        return Err(SignInError::Busy);
    };
    match person {
        Some(person) if right && person.disabled_at.is_none() => {
            if !known {
                app.store.person_attempts_clear(person.id).await?;
            }
            Ok(Checked { person })
        }
        Some(_) | None => {
            let reason = match &person {
                Some(_) if right => "disabled",
                Some(_) => "wrong_password",
                None => "no_such_account",
            };
            app.audit.record(cx, Event::sign_in_refused(person.as_ref().map(Who::of), reason));
            Err(SignInError::Wrong)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hallpass_core::entropy::SystemEntropy;

    #[tokio::test]
    async fn a_password_is_argon2id_with_its_parameters() {
        let hasher = PasswordHasher::new();
        let phc = hasher.hash(SecretString::new("correct horse"), &SystemEntropy).await.unwrap();
        assert!(phc.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{phc}");
        assert!(hasher.verify(SecretString::new("correct horse"), Some(phc.clone())).await.unwrap());
        assert!(!hasher.verify(SecretString::new("wrong horse"), Some(phc)).await.unwrap());
        assert!(!hasher.verify(SecretString::new("wrong horse"), None).await.unwrap());
    }

    /// Two of the reference implementation's vectors: a kept hash stays readable with the parameters that it was made with.
    #[test]
    fn hashes_of_others_are_read_and_garbage_is_nobodys() {
        for phc in [
            "$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4",
            "$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc",
        ] {
            assert_eq!(argon2id::is_right(b"password", phc), Some(true), "{phc}");
            assert_eq!(argon2id::is_right(b"passwore", phc), Some(false), "{phc}");
        }
        for garbage in
            ["", "$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ", "$2b$12$abcdefghijklmnopqrstuv", "x"]
        {
            assert_ne!(argon2id::is_right(b"password", garbage), Some(true), "{garbage}");
        }
    }

    #[tokio::test]
    async fn b_13_t_30_a_flood_is_turned_away_and_not_queued_without_end() {
        let hasher = Arc::new(PasswordHasher::new());
        let tries: Vec<_> = (0..MOST_AT_ONCE + WAITING + 20)
            .map(|_| {
                let hasher = Arc::clone(&hasher);
                tokio::spawn(async move { hasher.verify(SecretString::new("x"), None).await })
            })
            .collect();
        let mut busy = 0;
        for one in tries {
            busy += usize::from(one.await.unwrap() == Err(Busy));
        }
        assert!(busy >= 1);
        assert_eq!(hasher.verify(SecretString::new("x"), None).await, Ok(false));
    }

    /// Many threads have hashed, as after a flood: what each took has gone back to the system.
    #[cfg(target_os = "linux")]
    #[test]
    fn b_13_t_30_what_a_flood_of_hashes_took_is_given_back() {
        let resident_kib = || -> u32 {
            let status = std::fs::read_to_string("/proc/self/status").unwrap();
            let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
            line.split_whitespace().next().unwrap().parse().unwrap()
        };
        let before = resident_kib();
        let all_are_there = Arc::new(std::sync::Barrier::new(8));
        let threads: Vec<_> = (0..8)
            .map(|_| {
                let all_are_there = Arc::clone(&all_are_there);
                std::thread::spawn(move || {
                    // The second hash is the one that an allocator keeps: it has learned the size from the first.
                    let hashed = [0_u8, 1].map(|salt| argon2id::hash(b"x", &[salt; 16]).is_some());
                    all_are_there.wait();
                    hashed
                })
            })
            .collect();
        for thread in threads {
            assert_eq!(thread.join().unwrap(), [true, true]);
        }
        let kept = resident_kib().saturating_sub(before);
        assert!(kept < argon2id::MEMORY_KIB, "{kept} KiB are kept");
    }

    #[test]
    fn complaints() {
        assert!(complaint("ada", "analytical engine").is_none());
        assert!(complaint("", "analytical engine").is_some());
        assert!(complaint("ada", "short").is_some());
        assert!(complaint("analytical", "Analytical engine").is_some());
        assert!(complaint("ada", &"x".repeat(2000)).is_some());
        assert_eq!(fold("  Ada "), "ada");
    }
}
