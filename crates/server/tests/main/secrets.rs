//! Where secrets must not be: logs, caches, error texts, the database, a difference between "unknown" and "wrong".

use crate::support::*;
use hallpass_core::jose::{Algorithm, SigningKey};
use http::StatusCode;
use serde_json::json;
use std::{
    io::Write,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::{filter::LevelFilter, fmt::MakeWriter};

/// A log that a test reads.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<u8>>>);

/// Two logs at once in one process can switch each other off.
static ONE: Mutex<()> = Mutex::new(());

/// Ends the log.
pub type Logging = (DefaultGuard, MutexGuard<'static, ()>);

impl Log {
    /// Everything that this thread logs from here on, at every level.
    pub fn of_this_thread() -> (Self, Logging) {
        let one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let log = Self::default();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(LevelFilter::TRACE)
            .with_writer(log.clone())
            .with_ansi(false)
            .finish();
        (log, (tracing::subscriber::set_default(subscriber), one))
    }

    pub fn written(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn b_43_as_221_t_98_t_34_no_secret_is_in_the_log_at_any_level() {
    let (log, _logging) = Log::of_this_thread();
    let folder = tempfile::tempdir().unwrap();
    let server = Server::with(crate::audit::audited(folder.path())).await;
    let body = json!({"redirect_uris": [REDIRECT], "grant_types": ["authorization_code", "refresh_token"], "token_endpoint_auth_method": "client_secret_post"});
    let registered = server.post_json("/register", &body).await.json();
    let (client, secret) = (text(&registered, "client_id"), text(&registered, "client_secret"));
    let mut browser = server.set_up().await;
    let page = browser.ask(&Server::request(client)).await;
    let code = browser.answer(&page, "allow").await.answered("code").unwrap();
    let tokens = server.redeem_with(client, &code, &[("client_secret", secret)]).await.json();
    let (access, refresh) = (text(&tokens, "access_token"), text(&tokens, "refresh_token"));
    // Errors are where requests tend to be printed.
    server.redeem_with(client, &code, &[("client_secret", secret)]).await;
    server.redeem_with(client, &code, &[("client_secret", "wrong-canary-secret")]).await;
    server
        .form(
            "/token",
            &[
                ("grant_type", "refresh_token"),
                ("client_id", client),
                ("client_secret", secret),
                ("refresh_token", refresh),
            ],
        )
        .await;
    server.form("/revoke", &[("client_id", client), ("client_secret", secret), ("token", access)]).await;
    let form = Browser::new(&server).get("/sign-in").await;
    Browser::new(&server).sign_in(&form).await;
    let lines = crate::audit::lines(&server, folder.path());
    let audit = lines.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    assert!(audit.contains("grant_opened") && audit.contains("code_replayed"), "{audit}");
    let written = log.written();
    assert!(written.contains("grant opened") && written.contains("code replayed"), "{written}");
    let mut secrets = vec![PASSWORD, VERIFIER, "wrong-canary-secret", secret, &code, access, refresh];
    secrets.extend(browser.cookies.values().map(String::as_str));
    let sealed = page.hidden("page").unwrap();
    secrets.push(&sealed);
    for secret in secrets {
        assert!(!written.contains(secret), "{secret} in the log");
        assert!(!audit.contains(secret), "{secret} in the audit");
    }
}

#[tokio::test]
async fn as_173_b_43_as_221_no_assertion_and_no_proof_is_in_the_log_at_any_level() {
    let (log, _logging) = Log::of_this_thread();
    let (folder, platforms) = (tempfile::tempdir().unwrap(), crate::workloads::platforms());
    let generate = || SigningKey::generate(Algorithm::Es256).unwrap();
    let (company, own, key) = (generate(), generate(), crate::proofs::Key::new());
    let mut settings = crate::identity_assertions::trusting(&company);
    settings.workload_issuers = crate::workloads::trusting(&platforms).workload_issuers;
    settings.clients.push(crate::machines::that_signs("signer", &own));
    settings.audit = crate::audit::audited(folder.path()).audit;
    let server = Server::with(settings).await;
    server.set_up().await;
    let for_person = || crate::identity_assertions::made(&server, &company, "scope", json!("read"));
    let of_platform = || platforms[0].token(&server, crate::workloads::kubernetes("ci", "deploy"));
    let (person, platform) = (for_person(), of_platform());
    let (client, proof) = (crate::machines::assertion(&server, &own, "signer"), key.proof(&server));
    let mut secrets = vec![person.clone(), platform.clone(), client.clone(), proof.clone()];
    secrets.extend([altered(&for_person()), altered(&of_platform()), altered(&key.proof(&server))]);
    // Good, used again, and broken: errors are where requests tend to be printed.
    for assertion in [&person, &person, &secrets[4]] {
        crate::identity_assertions::ask(&server, assertion).await;
    }
    for assertion in [&platform, &platform, &secrets[5]] {
        crate::workloads::ask(&server, assertion, &[]).await;
    }
    let pairs = crate::assertions::signed(&client, &[crate::machines::MACHINE]);
    for proof in [&secrets[6], &proof, &proof] {
        crate::proofs::send(&server, &[proof], &pairs).await;
    }
    let lines = crate::audit::lines(&server, folder.path());
    let audit = lines.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    let written = log.written();
    for (place, text) in [("log", &written), ("audit", &audit)] {
        for reason in ["assertion_spent", "assertion_signature", "proof_"] {
            assert!(text.contains(reason), "{reason} is not in the {place}: {text}");
        }
        for secret in &secrets {
            for part in secret.split('.').skip(1) {
                assert!(!text.contains(part), "{part} in the {place}");
            }
        }
    }
}

#[tokio::test]
async fn b_26_as_148_t_99_the_database_holds_nothing_that_could_be_presented() {
    let server = Server::start().await;
    let client = server.register(REDIRECT).await;
    let mut browser = server.set_up().await;
    let code = browser.allow(&Server::request(&client)).await;
    let tokens = server.redeem(&client, &code).await.json();
    let cookies = browser.cookies.clone();
    server.app.store.close().await.unwrap();
    let mut dump = Vec::new();
    for entry in std::fs::read_dir(server.folder.path()).unwrap() {
        // SQLite removes its log when the last connection closes, perhaps just now.
        dump.extend(std::fs::read(entry.unwrap().path()).unwrap_or_default());
    }
    let holds = |text: &str| dump.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(holds(&client), "the dump is what it should be");
    for secret in [text(&tokens, "access_token"), text(&tokens, "refresh_token"), &code, PASSWORD] {
        assert!(!holds(secret));
    }
    assert!(cookies.values().all(|cookie| !holds(cookie)));
}

#[tokio::test]
async fn b_27_as_011_t_35_nothing_with_a_token_or_an_error_is_ever_cached() {
    let server = Server::start().await;
    let (client, tokens) = server.granted().await;
    let token = text(&tokens, "refresh_token").to_owned();
    let answers = [
        server.refresh(&client, &token).await,
        server.refresh(&client, "x").await,
        server.refresh("nobody", "x").await,
        server.form("/revoke", &[("client_id", &client), ("token", &token)]).await,
        server.form("/revoke", &[("client_id", "nobody"), ("token", "x")]).await,
        server.post_json("/register", &json!({"redirect_uris": [REDIRECT]})).await,
        server.post_json("/register", &json!({})).await,
        server.get("/token").await,
    ];
    for answer in answers {
        assert_eq!(
            (answer.header("cache-control"), answer.header("pragma")),
            ("no-store", "no-cache"),
            "{answer:?}"
        );
    }
}

#[tokio::test]
async fn b_14_as_131_unknown_and_wrong_look_the_same() {
    let server = Server::start().await;
    let _ = server.set_up().await;
    let mut shown = Vec::new();
    for name in [NAME, "nobody"] {
        let mut browser = Browser::new(&server);
        let form = browser.get("/sign-in").await;
        let typed = [("name", name), ("password", "not the password")];
        let answer = browser.submit(&form, "/sign-in", &["csrf", "waiting"], &typed).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
        let (csrf, waiting) = (answer.hidden("csrf").unwrap(), answer.hidden("waiting").unwrap());
        // What was typed comes back, whoever it is.
        let typed = format!("value=\"{name}\"");
        assert!(answer.text.contains(&typed));
        shown.push(answer.text.replace(&csrf, "").replace(&waiting, "").replace(&typed, ""));
    }
    assert_eq!(shown[0], shown[1]);
    let body = json!({"redirect_uris": [REDIRECT], "token_endpoint_auth_method": "client_secret_post"});
    let id = text(&server.post_json("/register", &body).await.json(), "client_id").to_owned();
    let wrong = server.redeem_with(&id, "x", &[("client_secret", "wrong")]).await;
    let unknown = server.redeem_with("hpc_nobody", "x", &[("client_secret", "wrong")]).await;
    assert_eq!((wrong.status, &wrong.text), (unknown.status, &unknown.text));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t_95_as_070_a_million_registrations_leave_the_database_as_it_was() {
    let mut settings = settings();
    settings.limits.registrations = u32::MAX;
    let server = Arc::new(Server::with(settings).await);
    let size = |server: &Server| {
        std::fs::read_dir(server.folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().metadata().unwrap().len())
            .sum::<u64>()
    };
    // The checkpoint of what the start wrote.
    tokio::time::sleep(std::time::Duration::from_secs(3)).await;
    let before = size(&server);
    let body =
        json!({"redirect_uris": [REDIRECT], "client_name": "Flood", "token_endpoint_auth_method": "none"});
    let workers: Vec<_> = (0..8)
        .map(|_| {
            let (server, body) = (Arc::clone(&server), body.clone());
            tokio::spawn(async move {
                for _ in 0..125_000 {
                    assert_eq!(server.post_json("/register", &body).await.status, StatusCode::CREATED);
                }
            })
        })
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
    assert_eq!(size(&server), before);
    let mut browser = server.set_up().await;
    let client = server.register(REDIRECT).await;
    assert!(!browser.allow(&Server::request(&client)).await.is_empty());
}
