//! Many callers at once over the same connections: each gets its own answer.

use crate::support::world;
use serde_json::json;
use std::{sync::Arc, time::Duration};

const CALLERS: usize = 48;
const CALLS: usize = 120;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t_82_an_answer_never_reaches_another_caller_however_they_interleave() {
    let world = Arc::new(world("echo").await);
    let callers: Vec<_> = (0..CALLERS).map(|caller| tokio::spawn(call(Arc::clone(&world), caller))).collect();
    for caller in callers {
        caller.await.unwrap();
    }
    assert!(world.upstream.asked() >= CALLERS * (CALLS - CALLS / 10));
}

/// All callers use the same ids for their messages, as clients do; what tells them apart is in the arguments.
async fn call(world: Arc<crate::support::World>, caller: usize) {
    let name = format!("caller-{caller}");
    let token = world.token_of(|token| token.subject.clone_from(&name));
    let bearer = format!("Bearer {token}");
    for call in 0..CALLS {
        let canary = format!("canary-{caller}-{call}.");
        let params = json!({ "name": "echo", "arguments": { "message": canary.repeat(1 + call % 40) } });
        let body =
            json!({ "jsonrpc": "2.0", "id": call, "method": "tools/call", "params": params }).to_string();
        if call % 10 == 0 {
            // Given up before it is answered: what comes for it then must not be taken for the next answer.
            let more = [("authorization", &*bearer)];
            let sent = world.post(&body, &more);
            drop(tokio::time::timeout(Duration::from_micros(100), sent).await);
            continue;
        }
        let answer = world.post(&body, &[("authorization", &bearer)]).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let seen = answer.json();
        assert!(seen["body"].as_str().unwrap().contains(&canary), "{canary}: {seen}");
        let others = answer.text.split("canary-").skip(1).filter(|rest| !rest.starts_with(&canary[7..]));
        assert_eq!(others.count(), 0, "{name} sees what is not its own: {seen}");
    }
}
