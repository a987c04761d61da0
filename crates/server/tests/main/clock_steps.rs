//! The machine's clock steps by an hour, both ways, under everything at once: nothing that was over comes back, nothing
//! that is alive ends.

use crate::support::*;
use hallpass_core::time::{Clock as _, Timestamp};
use hallpass_server::{Settings, SteadyClock};
use hallpass_testkit::{DocumentHost, ManualClock};
use http::StatusCode;
use std::{sync::Arc, time::Duration};

const MINUTE: u64 = 60;
const HOUR: u64 = 3_600;
const PATH: &str = "/client.json";

/// How far the machine's clock is off, so many seconds after the start.
type Course = fn(u64) -> i64;

const COURSES: [(&str, Course); 4] = [
    ("right", |_| 0),
    ("set back for good", |passed| if passed >= 1_000 { -3_600 } else { 0 }),
    ("set back and right again, twice", |passed| if steps(passed) { -3_600 } else { 0 }),
    ("ahead and right again, twice", |passed| if steps(passed) { 3_600 } else { 0 }),
];

/// Five minutes early on, and five shortly before the first session ends.
const fn steps(passed: u64) -> bool {
    matches!(passed, 1_000..1_300 | 9_000..9_300)
}

/// A machine whose clock takes a course, and time that passes whatever it says.
struct Machine {
    server: Server,
    passed: ManualClock,
    course: Course,
}

impl Machine {
    async fn on(course: Course) -> (Self, DocumentHost) {
        let settings = Settings {
            session_lifetime: Duration::from_secs(3 * HOUR),
            refresh_idle_lifetime: Duration::from_secs(4 * HOUR),
            ..settings()
        };
        let (server, host) = Server::with_documents(settings).await;
        let document = serde_json::json!({
            "client_id": host.url(PATH), "client_name": "Documented", "redirect_uris": [REDIRECT],
            "token_endpoint_auth_method": "none", "grant_types": ["authorization_code", "refresh_token"],
        });
        host.publish(PATH, &document.to_string());
        let passed = ManualClock::at(Timestamp::from_millis(0));
        let elapsed = {
            let passed = passed.clone();
            move || Duration::from_millis(passed.now().millis().unsigned_abs())
        };
        let steady = SteadyClock::measured(Arc::new(server.clock.clone()), Box::new(elapsed));
        (Self { server: server.by_clock(Arc::new(steady)).await, passed, course }, host)
    }

    /// On to so many seconds after the start.
    fn until(&self, seconds: u64) {
        let at = Timestamp::from_seconds(i64::try_from(seconds).unwrap());
        let seconds = i64::try_from(seconds).unwrap();
        self.passed.set(at);
        let off = (self.course)(seconds.unsigned_abs());
        self.server.clock.set(Timestamp::from_seconds(NOW.seconds() + seconds + off));
    }
}

async fn is_signed_in(browser: &mut Browser<'_>) -> bool {
    let page = browser.get("/account").await;
    assert!(matches!(page.status, StatusCode::OK | StatusCode::SEE_OTHER), "{page:?}");
    page.status == StatusCode::OK
}

async fn redeemed(server: &Server, client: &str, browser: &mut Browser<'_>) -> String {
    let code = browser.allow(&Server::request(client)).await;
    let tokens = server.redeem(client, &code).await;
    assert_eq!(tokens.status, StatusCode::OK, "{tokens:?}");
    text(&tokens.json(), "refresh_token").to_owned()
}

/// One life under one course.
async fn live(course: Course, named: &str) {
    let (machine, host) = Machine::on(course).await;
    let server = &machine.server;
    let mut first = server.set_up().await;
    let client = server.register(REDIRECT).await;
    let documented = host.url(PATH);
    let mut used = redeemed(server, &client, &mut first).await;
    let mut by_document = redeemed(server, &documented, &mut first).await;
    let (revoked, idle) =
        (redeemed(server, &client, &mut first).await, redeemed(server, &client, &mut first).await);
    let unused = first.allow(&Server::request(&client)).await;
    machine.until(10 * MINUTE);
    let pairs = [("client_id", client.as_str()), ("token", &revoked)];
    assert_eq!(server.form("/revoke", &pairs).await.status, StatusCode::OK);
    let mut second = Browser::new(server);
    let form = second.get("/sign-in").await;
    assert_eq!(second.sign_in(&form).await.status, StatusCode::SEE_OTHER);
    for seconds in [999, 1_000, 1_100, 1_299, 1_300, 1_400, 5_000, 9_000, 9_100, 9_299, 9_300, 9_400, 10_700]
    {
        machine.until(seconds);
        let at = format!("{named}, after {seconds} s");
        // A clock that is ahead is believed meanwhile: the machine may have slept.
        let is_ahead = course(seconds) > 0;
        for (client, token) in [(&client, &mut used), (&documented, &mut by_document)] {
            let answer = server.refresh(client, token).await;
            assert_eq!(answer.status, StatusCode::OK, "{at}: {answer:?}");
            text(&answer.json(), "refresh_token").clone_into(token);
        }
        assert_eq!(server.refresh(&client, &revoked).await.error(), "invalid_grant", "{at}");
        assert_eq!(server.redeem(&client, &unused).await.error(), "invalid_grant", "{at}");
        hallpass_server::sweep(&server.app).await.unwrap();
        if !is_ahead {
            assert!(is_signed_in(&mut first).await && is_signed_in(&mut second).await, "{at}");
            let page = second.ask(&Server::request(&documented)).await;
            assert!(second.answer(&page, "allow").await.answered("code").is_some(), "{at}");
        }
    }
    for (seconds, first_lives, second_lives) in
        [(10_801, false, true), (11_401, false, false), (14_401, false, false)]
    {
        machine.until(seconds);
        let at = format!("{named}, after {seconds} s");
        assert_eq!(is_signed_in(&mut first).await, first_lives, "{at}");
        assert_eq!(is_signed_in(&mut second).await, second_lives, "{at}");
        assert_eq!(server.refresh(&client, &used).await.status, StatusCode::OK, "{at}");
    }
    assert_eq!(server.refresh(&client, &idle).await.error(), "invalid_grant", "{named}: idle for four hours");
    let kept = server.app.store.feed_after(0, 10).await.unwrap().entries;
    assert_eq!(kept.len(), 1, "{named}: the revocation");
}

#[tokio::test]
async fn as_219_t_97_a_step_of_an_hour_revives_nothing_and_ends_nothing() {
    for (named, course) in COURSES {
        live(course, named).await;
    }
}
