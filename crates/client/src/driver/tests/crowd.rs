//! Many processes that share one sign-in, at a server whose answers get lost.
use super::{processes, world::*};
use crate::{
    driver::{Client, Credentials, LoginOptions, Next, Settings, server_policy},
    error::Failed,
    storage::Store,
};
use bytes::Bytes;
use hallpass_core::{
    entropy::SystemEntropy,
    time::{Clock, SystemClock, Timestamp},
};
use hallpass_fetch::Limits;
use http::{Request, StatusCode, Uri};
use std::{path::PathBuf, sync::Arc, time::Duration};

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

/// One call: whether it was answered. As the layer does it, with the caller's name for the server of the test.
async fn call(client: &Client, credentials: &Credentials) -> Result<StatusCode, Failed> {
    let uri: Uri = credentials.server().as_str().parse().unwrap();
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"tools/list"}"#;
    let mut again = 0;
    loop {
        let entry = credentials.current().await?;
        let request = Request::post(&uri)
            .header("content-type", "application/json")
            .header("x-caller", std::process::id())
            .body(Bytes::from_static(body.as_bytes()))
            .unwrap();
        let request = credentials.put_into(request, entry.as_deref())?;
        let answer = client.fetch.send(request, &server_policy(credentials.server()), Limits::DOCUMENT).await;
        let Ok(answer) = answer else { return Ok(StatusCode::GATEWAY_TIMEOUT) };
        let seen = (answer.status(), answer.headers());
        again += 1;
        if again > 3 {
            credentials.learn(&uri, entry.as_deref(), seen).await;
            return Ok(answer.status());
        }
        if credentials.after((&uri, "tools/list"), entry.as_deref(), seen).await? == Next::Done {
            return Ok(answer.status());
        }
    }
}

/// Not a test of its own: one of the processes of the next one. Makes calls until there is a file `stop`, and prints how
/// often it was answered, how often there was no token for the moment, and how often it was signed out.
#[test]
#[ignore = "started by cl_068_cl_071_t_22_p01_ten_thousand_refreshes_of_sixty_four_processes"]
fn one_of_sixty_four_processes() {
    let [folder, server] = processes::lines();
    let folder = PathBuf::from(folder);
    let fetch = hallpass_fetch::Fetch::new(hallpass_fetch::Settings::default()).unwrap();
    let store = Store::new(folder.join("state"));
    let client = Client::with(fetch, store, Settings::default(), Arc::new(Fast), Arc::new(SystemEntropy));
    let credentials = client.credentials(&server, LoginOptions::default(), None).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (mut had, mut later, mut signed_out) = (0, 0, 0);
    while !folder.join("stop").exists() {
        match runtime.block_on(call(&client, &credentials)) {
            Ok(StatusCode::OK) => {
                had += 1;
                // As somebody who uses an answer: without it 63 look at each token, and few of the looks are refreshes.
                std::thread::sleep(Duration::from_millis(100));
            }
            // Of a crowd this fast, somebody else's token is newer by the time that this one arrives.
            Ok(StatusCode::UNAUTHORIZED)
                if runtime.block_on(credentials.current()).is_ok_and(|kept| kept.is_some()) =>
            {
                later += 1;
            }
            Ok(StatusCode::UNAUTHORIZED) => signed_out += 1,
            Ok(_) => later += 1,
            Err(failed) if failed.error.is_passing() => later += 1,
            Err(failed) => panic!("{failed}"),
        }
    }
    println!("had={had} later={later} out={signed_out}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cl_068_cl_071_t_22_p01_ten_thousand_refreshes_of_sixty_four_processes() {
    let world = World::new().await;
    // Tokens that last a fifth of a second, and are taken four times: those that seem good are dead most of the time, and
    // refreshed by whoever comes first.
    world.set(|knobs| {
        (knobs.expires_in, knobs.forgiving, knobs.loses, knobs.uses) = (Some(200), true, 10, Some(4));
    });
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
    let name = concat!(module_path!(), "::one_of_sixty_four_processes");
    let told = [folder.to_str().unwrap(), &world.mcp];
    let children = (0..PROCESSES).map(|_| processes::start(name, told)).collect();
    let so_far = || {
        let knobs = world.knobs.lock().unwrap();
        (knobs.issued, knobs.reused)
    };
    // No deadline: the runner has one, and a machine may be slow.
    while matches!(so_far(), (..REFRESHES, 0)) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    std::fs::write(folder.join("stop"), "").unwrap();
    for output in processes::outputs(children).await {
        assert!(output.contains(" out=0"), "signed out: {output}");
        assert!(!output.contains("had=0 "), "never had a token: {output}");
    }
    // No token that was over was used again: the server would have taken it for a thief's.
    let knobs = world.knobs.lock().unwrap();
    assert_eq!(knobs.reused, 0);
    // And an access token that the resource has refused somebody is not sent there by them again.
    let (most, refused) = (knobs.dead.values().max().copied(), knobs.dead.len());
    assert!(refused > PROCESSES, "{refused} refused: this says nothing");
    assert_eq!(most, Some(1), "of {refused} refused");
    drop(knobs);
    assert_eq!(world.kept().entries.len(), 1);
}
