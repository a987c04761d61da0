//! What a server is told about who calls: by us, signed, for it alone.

use crate::support::{Answer, ORIGIN, PING, START, World, world_with};
use hallpass_core::{
    jose::{KeySet, SigningKey},
    jwt::caller_assertion::{self, Caller, CallerAssertionSigner, Terms, VerifiedCaller},
};
use hallpass_gateway::SignsCallers;
use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

/// Signs with the key of the world, once that is there.
#[derive(Default)]
struct Signs(Mutex<Option<SigningKey>>, AtomicUsize);

impl SignsCallers for Signs {
    fn sign(&self, caller: &Caller<'_>, terms: &Terms<'_>) -> Option<String> {
        self.1.fetch_add(1, Ordering::SeqCst);
        let key = self.0.lock().unwrap();
        let signed = CallerAssertionSigner::new(key.as_ref()?).sign(caller, terms);
        signed.ok().map(|assertion| assertion.expose().to_owned())
    }
}

async fn world() -> (World, Arc<Signs>) {
    let signs = Arc::new(Signs::default());
    let signer = Arc::clone(&signs);
    let world = world_with("echo", |config| {
        config.servers[0].caller_audience = Some("files.internal".into());
        config.caller_signer = Some(signer);
    })
    .await;
    *signs.0.lock().unwrap() = Some(world.key.clone());
    (world, signs)
}

fn verified(world: &World, answer: &Answer, after: Duration) -> VerifiedCaller {
    let seen = answer.seen("hallpass-caller");
    assert_eq!(seen.len(), 1, "{}", answer.text);
    let keys = KeySet::from_keys(vec![world.key.verifying_key()]);
    let now = START.plus(after);
    caller_assertion::verify(&seen[0], &keys, (ORIGIN, "files.internal"), now).unwrap().into_inner()
}

#[tokio::test]
async fn rs_045_the_server_is_told_who_calls_in_a_way_that_it_can_check() {
    let (world, signs) = world().await;
    let said = verified(&world, &world.post(PING, &[]).await, Duration::ZERO);
    assert_eq!((said.person(), &*said.client_id, &*said.scope), (Some("ann"), "client", "files:read"));
    assert_eq!(said.grant.as_deref(), Some(&*crate::support::GRANT.to_string()));
    let chained = world.token_of(|token| {
        "bob".clone_into(&mut token.subject);
        token.actors = vec!["client".into(), "agent".into()];
    });
    let answer = world.post(PING, &[("authorization", &format!("Bearer {chained}"))]).await;
    let said = verified(&world, &answer, Duration::ZERO);
    assert_eq!((said.person(), said.actors.len()), (Some("bob"), 2));
    // A signature is used again for a moment, by the same caller alone, and for a minute never.
    assert_eq!(signs.1.load(Ordering::SeqCst), 2);
    world.post(PING, &[]).await;
    assert_eq!(signs.1.load(Ordering::SeqCst), 2);
    world.clock.push(Duration::from_secs(45));
    verified(&world, &world.post(PING, &[]).await, Duration::from_secs(45));
    assert_eq!(signs.1.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn rs_045_t_72_nobody_else_says_who_calls() {
    let (world, _) = world().await;
    let forged = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJldmUifQ.";
    for name in
        ["hallpass-caller", "Hallpass-Caller", "HALLPASS-CALLER", "hallpass_caller", "x-hallpass-caller"]
    {
        let answer = world.post(PING, &[(name, forged)]).await;
        assert_eq!(verified(&world, &answer, Duration::ZERO).person(), Some("ann"), "{name}");
        assert!(!answer.text.contains(forged), "{name}");
    }
    let without = crate::support::world("echo").await;
    let answer = without.post(PING, &[("hallpass-caller", forged)]).await;
    assert!(
        answer.seen("hallpass-caller").is_empty(),
        "a server that is told nothing is told nothing by clients"
    );
}

#[tokio::test]
async fn rs_025_t_43_an_assertion_is_no_access_token_and_without_one_nothing_is_sent() {
    let (world, signs) = world().await;
    let answer = world.post(PING, &[]).await;
    let assertion = answer.seen("hallpass-caller").remove(0);
    let refused = world.post(PING, &[("authorization", &format!("Bearer {assertion}"))]).await;
    assert_eq!(refused.status, 401);
    *signs.0.lock().unwrap() = None;
    let asked = world.upstream.asked();
    world.clock.push(Duration::from_secs(30));
    assert_eq!(world.post(PING, &[]).await.status, 502);
    assert_eq!(world.upstream.asked(), asked);
}
