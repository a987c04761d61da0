//! Taking back what one person allowed two thousand times, beside a running server that others use meanwhile.

use super::{
    audit::hallpass,
    http,
    node::{Node, free_port},
    person::{self, Person},
};
use hallpass_core::{
    encoding,
    entropy::SystemEntropy,
    id::{AttemptId, GrantId},
    seal::{KeyRing, MasterKey},
    secret::SecretBytes,
    time::{Clock as _, SystemClock},
    token::RefreshToken,
};
use hallpass_store::{Grant, GrantOpened, Grants as _, Keys as _, NewGrant, SqliteSettings, SqliteStore};
use std::{
    fs,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::task::JoinSet;

const MANY: usize = 2_000;
/// Written at the same time, so that they share commits.
const AT_A_TIME: usize = 250;

/// The store of a server that runs, and the keys under which it makes refresh tokens.
struct Beside {
    runtime: tokio::runtime::Runtime,
    store: Arc<SqliteStore>,
    keys: KeyRing,
}

impl Beside {
    fn new(state: &Path, port: u16) -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let settings = SqliteSettings { exclusive: false, ..SqliteSettings::default() };
        let (store, root) = runtime.block_on(async {
            let store = SqliteStore::open(&state.join("hallpass.sqlite"), settings).unwrap();
            let root = store.root_secret(SecretBytes::new([0; 32])).await.unwrap();
            (Arc::new(store), root)
        });
        let file = fs::read_to_string(state.join("master.key")).unwrap();
        let line = file.lines().find(|line| !line.starts_with('#')).unwrap();
        let (number, key) = line.split_once(' ').unwrap();
        let bytes = SecretBytes::new(encoding::array_from_base64url(key.trim()).unwrap());
        let master = MasterKey { number: number.parse().unwrap(), bytes };
        let keys = KeyRing::new(&[master], &root, &format!("http://localhost:{port}")).unwrap();
        Self { runtime, store, keys }
    }

    /// The newest grant.
    fn newest(&self) -> Grant {
        self.runtime.block_on(self.store.grants_list(None, 1)).unwrap().remove(0)
    }

    /// More grants like this one, by their first refresh tokens.
    fn more(&self, like: &Grant, count: usize) -> Vec<String> {
        let now = SystemClock.now();
        let new = |_| NewGrant {
            id: GrantId::new(now, &SystemEntropy),
            attempt: AttemptId::new(now, &SystemEntropy),
            person: like.person,
            epoch: like.epoch,
            client_id: like.client_id.clone(),
            client_name: like.client_name.clone(),
            redirect_host: like.redirect_host.clone(),
            resource: like.resource.clone(),
            scope: like.scope.clone(),
            consented_at: now,
            code_digest: [1; 32],
            from: None,
            key_thumbprint: None,
            details: None,
        };
        let grants: Vec<NewGrant> = (0..count).map(new).collect();
        self.runtime.block_on(async {
            for some in grants.chunks(AT_A_TIME) {
                let mut opening = JoinSet::new();
                for grant in some {
                    let (store, grant) = (Arc::clone(&self.store), grant.clone());
                    opening.spawn(async move { store.grant_open(grant, now).await });
                }
                for opened in opening.join_all().await {
                    assert_eq!(opened.unwrap(), GrantOpened::Opened);
                }
            }
        });
        let token = |grant: &NewGrant| RefreshToken { grant: grant.id, generation: 0 }.mint(&self.keys);
        grants.iter().map(|grant| token(grant).expose().to_owned()).collect()
    }
}

/// Does this with each of them, four at a time.
fn each<T: Sync, R: Send>(all: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let work = &work;
    std::thread::scope(|scope| {
        let parts: Vec<_> = all
            .chunks(all.len().div_ceil(4))
            .map(|part| scope.spawn(move || part.iter().map(work).collect::<Vec<R>>()))
            .collect();
        parts.into_iter().flat_map(|part| part.join().unwrap()).collect()
    })
}

#[test]
fn as_227_all_grants_of_a_person_end_with_one_command_however_many_and_nobody_waits_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let node = Node::run(folder.path(), port);
    let run = |words: &[&str]| hallpass(folder.path(), port, words);
    let (_ada, client, _) = person::granted(port, node.setup_link.as_deref());
    let beside = Beside::new(folder.path(), port);
    let of_ada = beside.newest();
    let (_, link, _) = run(&["user", "add", "grace"]);
    let path = link.trim().split_once(&port.to_string()).unwrap().1.to_owned();
    let code = Person::invited(port, &path, "nanoseconds of wire").allow(&client).unwrap();
    assert_eq!(person::redeem(port, &client, &code).unwrap().status, 200);
    let of_grace = beside.newest();
    assert_ne!(of_grace.person, of_ada.person);

    let refresh = |token: &String| {
        let answer = person::refresh(port, &client, token).unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        let tokens = answer.json();
        ["refresh_token", "access_token"].map(|name| tokens[name].as_str().unwrap().to_owned())
    };
    let ping = serde_json::json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
    let call = |access: &str| {
        let bearer = format!("Bearer {access}");
        http::json(port, "/mcp", &ping, &[("Authorization", &bearer)]).unwrap().status
    };
    let held = each(&beside.more(&of_ada, MANY), refresh);
    assert_eq!(call(&held[0][1]), 200);
    let mut others: Vec<String> = beside.more(&of_grace, 16);

    let began = Instant::now();
    let ending = std::thread::spawn({
        let state = folder.path().to_owned();
        move || hallpass(&state, port, &["grant", "revoke", "--user", "ada", "--json"])
    });
    let (mut answered, mut slowest) = (0, Duration::ZERO);
    while !ending.is_finished() || answered == 0 {
        let asked = Instant::now();
        let at = answered % others.len();
        others[at] = refresh(&others[at])[0].clone();
        (answered, slowest) = (answered + 1, slowest.max(asked.elapsed()));
    }
    let (status, said, err) = ending.join().unwrap();
    let took = began.elapsed();
    assert_eq!(
        (status, said.trim()),
        (0, &*format!("{{\"revoked\":{},\"revoked_before\":0}}", MANY + 1)),
        "{err}"
    );
    assert!(took < Duration::from_mins(1), "{took:?}");
    assert!(
        answered >= 3 && slowest < Duration::from_secs(5),
        "{answered} answers, the slowest after {slowest:?}"
    );

    // The last entry of the feed is the last that the gateway hears of.
    std::thread::sleep(Duration::from_secs(1));
    let alive = each(&held, |[refresh, access]| {
        let refused = person::refresh(port, &client, refresh).unwrap();
        call(access) != 401 || refused.status != 400 || refused.json()["error"] != "invalid_grant"
    });
    assert_eq!(alive.iter().filter(|alive| **alive).count(), 0, "tokens that are still good");
    assert_eq!(run(&["grant", "list", "--user", "ada"]).1, "");
    assert_eq!(run(&["grant", "list", "--user", "grace"]).1.lines().count(), 17);
    each(&others, refresh);
    let recorded = run(&["audit", "export", "--event", "grant_revoked"]).1;
    assert_eq!(recorded.lines().count(), MANY + 1);
}
