//! The audit log: one event for each security decision, chained, without a secret, complete for a restore.

use crate::support::*;
use hallpass_core::{
    seal::{KeyRing, MasterKey},
    secret::SecretBytes,
};
use hallpass_server::audit::{AuditSettings, AuditTo, Broken, Kind, Verified, files, remember, verify};
use http::StatusCode;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

pub fn audited(folder: &Path) -> hallpass_server::Settings {
    let audit = AuditSettings { to: AuditTo::Folder(folder.to_owned()), ..AuditSettings::nothing() };
    hallpass_server::Settings { audit, ..settings() }
}

/// What was written, without the log's own lines.
pub fn lines(server: &Server, folder: &Path) -> Vec<Value> {
    server.app.audit.flush();
    let mut all = Vec::new();
    for file in files(folder, None).unwrap() {
        let text = std::fs::read_to_string(file.path).unwrap();
        all.extend(text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()));
    }
    all.retain(|line| line["event"] != "log_opened" && line["event"] != "log_closed");
    all
}

fn events(lines: &[Value]) -> Vec<&str> {
    lines.iter().map(|line| text(line, "event")).collect()
}

fn checked(server: &Server, folder: &Path) -> (Verified, Vec<String>) {
    let mut seen = Vec::new();
    let found = files(folder, None).unwrap();
    let verified = verify(&server.app.keys, &found, |line, _| seen.push(line.event)).unwrap();
    (verified, seen)
}

fn only_file(folder: &Path) -> PathBuf {
    let found = files(folder, None).unwrap();
    assert_eq!(found.len(), 1);
    found[0].path.clone()
}

#[tokio::test]
async fn as_222_every_step_of_a_life_is_one_line_with_who_what_and_from_where() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::with(audited(folder.path())).await;
    let client = server.register(REDIRECT).await;
    let mut browser = server.set_up().await;
    let code = browser.allow(&Server::request(&client)).await;
    let tokens = server.redeem(&client, &code).await.json();
    let first = text(&tokens, "refresh_token").to_owned();
    let answer = server.refresh(&client, &first).await;
    let request = answer.header("x-request-id").to_owned();
    let second = text(&answer.json(), "refresh_token").to_owned();
    server.refresh(&client, &first).await;
    server.push(60);
    let third = text(&server.refresh(&client, &first).await.json(), "refresh_token").to_owned();
    assert_eq!(server.refresh(&client, &second).await.error(), "invalid_grant");
    server.refresh(&client, &third).await;
    let page = browser.ask(&Server::request(&client)).await;
    browser.answer(&page, "deny").await;
    server.post_json("/register", &json!({})).await;
    let lines = lines(&server, folder.path());
    assert_eq!(
        events(&lines),
        [
            "started",
            "key_made",
            "client_registered",
            "setup_used",
            "consent_allowed",
            "grant_opened",
            "refresh_rotated",
            "refresh_repeated",
            "refresh_replaced",
            "refresh_reused",
            "token_refused",
            "token_refused",
            "consent_denied",
            "registration_refused",
        ]
    );
    let (allowed, opened, rotated, reused) = (&lines[4], &lines[5], &lines[6], &lines[9]);
    assert_eq!((text(allowed, "name"), text(allowed, "receiver")), (NAME, "127.0.0.1:5000"));
    for member in ["grant", "person", "client", "resource", "scope"] {
        assert_eq!(allowed[member], opened[member], "{member}");
    }
    assert_eq!(text(opened, "client"), client);
    assert_eq!((text(rotated, "request"), &rotated["generation"]), (&*request, &json!(1)));
    assert_eq!((text(rotated, "address"), text(rotated, "node")), ("127.0.0.1", "main"));
    // Enough to revoke again after a restore.
    assert_eq!(reused["grant"], opened["grant"]);
    assert!(text(reused, "until") > text(reused, "at"));
    assert_eq!((text(&lines[10], "reason"), text(&lines[10], "client")), ("refresh_reused", &*client));
    assert_eq!((text(&lines[11], "reason"), &lines[11]["grant"]), ("revoked", &opened["grant"]));
    let counted = server.app.audit.counted();
    assert!(counted.contains(&(Kind::RefreshRepeated, None, 1)), "the grace is counted: {counted:?}");
    assert!(counted.contains(&(Kind::TokenRefused, Some("revoked"), 1)));
}

#[tokio::test]
async fn as_222_signing_in_and_out_and_taking_back() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::with(audited(folder.path())).await;
    let (client, tokens) = server.granted().await;
    let mut browser = Browser::new(&server);
    for password in ["not the password", PASSWORD] {
        let form = browser.get("/sign-in").await;
        let typed = [("name", NAME), ("password", password)];
        browser.submit(&form, "/sign-in", &["csrf", "waiting"], &typed).await;
    }
    let page = browser.get("/account").await;
    browser.submit(&page, "/account", &["csrf", "grant"], &[("action", "revoke")]).await;
    let page = browser.get("/account").await;
    browser.submit(&page, "/account", &["csrf"], &[("action", "everywhere")]).await;
    server.form("/revoke", &[("client_id", &client), ("token", text(&tokens, "refresh_token"))]).await;
    let lines = lines(&server, folder.path());
    let (_, rest) = lines.split_at(6);
    assert_eq!(events(rest), ["sign_in_refused", "signed_in", "grant_revoked", "signed_out_everywhere"]);
    assert_eq!((text(&rest[0], "reason"), text(&rest[0], "name")), ("wrong_password", NAME));
    assert_eq!(text(&rest[2], "by"), "person");
    assert_eq!((&rest[3]["epoch"], &rest[3]["person"]), (&json!(1), &rest[1]["person"]));
}

#[tokio::test]
async fn t_21_a_browser_or_a_link_that_is_over_is_named_so_that_a_restore_can_end_it_again() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::with(audited(folder.path())).await;
    let mut browser = server.set_up().await;
    let person = server.app.store.person_by_name(NAME.into()).await.unwrap().unwrap();
    let session = async || {
        let sessions = server.app.store.sessions_of_person(person.id, server.now(), 9).await.unwrap();
        sessions[0].id.to_string()
    };
    let first = session().await;
    let form = browser.get("/sign-in").await;
    server.push(1);
    assert_eq!(browser.sign_in(&form).await.status, StatusCode::SEE_OTHER);
    let second = session().await;
    let page = browser.get("/account").await;
    browser.submit(&page, "/sign-out", &["csrf"], &[]).await;
    let mut other = Browser::new(&server);
    for browser in [&mut browser, &mut other] {
        let form = browser.get("/sign-in").await;
        browser.sign_in(&form).await;
        server.push(1);
    }
    let third = session().await;
    let page = browser.get("/account").await;
    browser.submit(&page, "/account", &["csrf"], &[("action", "end"), ("session", &third)]).await;
    assert_eq!(other.get("/account").await.header("location"), "/sign-in");
    let lines = lines(&server, folder.path());
    let named = |event: &str| {
        let of = lines.iter().filter(|line| line["event"] == event);
        of.map(|line| text(line, "session").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(named("signed_out"), [first, second], "one was replaced by a sign-in, one signed out");
    assert_eq!(named("session_ended"), [third]);
    let set_up = lines.iter().find(|line| line["event"] == "setup_used").unwrap();
    assert_eq!(text(set_up, "link").len(), 43);
    assert!(
        Kind::SignedOut.is_urgent() && Kind::SessionEnded.is_urgent() && Kind::InvitationMade.is_urgent()
    );
}

#[tokio::test]
async fn as_222_a_changed_a_missing_and_a_moved_line_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::with(audited(folder.path())).await;
    for _ in 0..6 {
        server.register(REDIRECT).await;
    }
    server.app.audit.close(server.now());
    let path = only_file(folder.path());
    let good = std::fs::read_to_string(&path).unwrap();
    let (verified, seen) = checked(&server, folder.path());
    assert!(verified.findings.is_empty() && verified.notes.is_empty(), "{verified:?}");
    assert_eq!((verified.lines, seen.len()), (10, 10));
    let lines: Vec<&str> = good.split_inclusive('\n').collect();
    let with = |change: &dyn Fn(&mut Vec<String>)| {
        let mut changed = lines.iter().map(ToString::to_string).collect();
        change(&mut changed);
        std::fs::write(&path, changed.concat()).unwrap();
        let verified = checked(&server, folder.path()).0;
        verified.findings.iter().map(|finding| (finding.line, finding.broken.clone())).collect::<Vec<_>>()
    };
    assert_eq!(
        with(&|lines| lines[3] = lines[3].replace("Test client", "Best client")),
        [(4, Broken::Changed)]
    );
    assert_eq!(with(&|lines| drop(lines.drain(3..5))), [(4, Broken::Missing { from: 4, to: 5 })]);
    let swapped = with(&|lines| lines.swap(3, 4));
    assert_eq!(swapped[0], (4, Broken::Missing { from: 4, to: 4 }));
    assert_eq!(swapped[1], (5, Broken::OutOfOrder { expected: 6, found: 4 }));
    let copied = with(&|lines| lines.insert(5, lines[2].clone()));
    assert_eq!(copied, [(6, Broken::OutOfOrder { expected: 6, found: 3 })]);
    assert_eq!(with(&|lines| lines[9].truncate(40)), [(10, Broken::CutOff)]);
    // A line that is right in form but made without the key.
    let other = KeyRing::new(
        &[MasterKey { number: 0, bytes: SecretBytes::new([8; 32]) }],
        &SecretBytes::new([1; 32]),
        ISSUER,
    )
    .unwrap();
    std::fs::write(&path, &good).unwrap();
    let forged = verify(&other, &files(folder.path(), None).unwrap(), |_, _| {}).unwrap();
    assert_eq!(forged.findings.len(), 10);
    // What was cut off at a line's end shows as a log that was never closed.
    std::fs::write(&path, lines[..6].concat()).unwrap();
    let (verified, _) = checked(&server, folder.path());
    assert!(verified.findings.is_empty());
    assert!(verified.notes[0].contains("is not closed"), "{verified:?}");
}

#[tokio::test]
async fn as_222_the_chain_goes_on_over_restarts_crashes_and_files() {
    let folder = tempfile::tempdir().unwrap();
    let mut settings = audited(folder.path());
    settings.audit.file_bytes = 1_500;
    let server = Server::with(settings).await;
    for _ in 0..20 {
        server.register(REDIRECT).await;
        server.app.audit.flush();
    }
    server.app.audit.close(server.now());
    let server = server.restarted().await;
    server.register(REDIRECT).await;
    server.app.audit.close(server.now());
    let (verified, _) = checked(&server, folder.path());
    assert!(verified.findings.is_empty() && verified.notes.is_empty(), "{verified:?}");
    assert!(files(folder.path(), None).unwrap().len() >= 5);
    assert_eq!(verified.lines, verified.heads["main"].0);
    // A crash in the middle of a line: the next start begins a new file and says so.
    let last = files(folder.path(), None).unwrap().pop().unwrap().path;
    let text = std::fs::read_to_string(&last).unwrap();
    std::fs::write(&last, &text[..text.len() - 30]).unwrap();
    let server = server.restarted().await;
    server.register(REDIRECT).await;
    server.app.audit.close(server.now());
    let (verified, _) = checked(&server, folder.path());
    assert_eq!(verified.findings.len(), 1, "{verified:?}");
    assert_eq!(verified.findings[0].broken, Broken::CutOff);
    assert!(verified.notes.iter().any(|note| note.contains("after_cut_off_line")), "{verified:?}");
    let number = files(folder.path(), None).unwrap().pop().unwrap().number;
    assert_ne!(files(folder.path(), None).unwrap().pop().unwrap().path, last);
    // A crash between making a file and writing into it.
    std::fs::write(folder.path().join(format!("main-{:08}.jsonl", number + 1)), "").unwrap();
    let server = server.restarted().await;
    server.app.audit.close(server.now());
    let (verified, _) = checked(&server, folder.path());
    assert_eq!(verified.findings.len(), 1, "no further one: {verified:?}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&last), 0o600);
    }
}

#[tokio::test]
async fn as_222_a_log_that_was_cut_back_to_an_earlier_end_does_not_go_unseen() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::with(audited(folder.path())).await;
    server.register(REDIRECT).await;
    server.app.audit.close(server.now());
    remember(&server.app.audit, &*server.app.store).await.unwrap();
    let path = only_file(folder.path());
    let early = std::fs::read_to_string(&path).unwrap();
    let server = server.restarted().await;
    for _ in 0..3 {
        server.register(REDIRECT).await;
    }
    server.app.audit.close(server.now());
    remember(&server.app.audit, &*server.app.store).await.unwrap();
    let server = server.restarted().await;
    let set_back =
        |server: &Server| server.app.audit.counted().iter().any(|(kind, _, _)| *kind == Kind::LogSetBack);
    assert!(!set_back(&server));
    server.app.audit.close(server.now());
    remember(&server.app.audit, &*server.app.store).await.unwrap();
    std::fs::write(&path, early).unwrap();
    let server = server.restarted().await;
    assert!(set_back(&server));
    let line =
        lines(&server, folder.path()).into_iter().find(|line| line["event"] == "log_set_back").unwrap();
    assert_eq!(line["count"], 9, "five lines of the second run, four of the third");
}

#[tokio::test]
async fn as_222_two_nodes_never_write_one_log() {
    let folder = tempfile::tempdir().unwrap();
    let first = Server::with(audited(folder.path())).await;
    let audit = audited(folder.path()).audit;
    let clock = std::sync::Arc::new(first.clock.clone());
    let second = hallpass_server::audit::Audit::open(&audit, first.app.keys.clone(), clock.clone());
    assert!(second.is_err_and(|error| error.to_string().contains("another hallpass")));
    let other = AuditSettings { node: "other".into(), ..audit };
    assert!(hallpass_server::audit::Audit::open(&other, first.app.keys.clone(), clock).is_ok());
}

#[tokio::test]
async fn as_222_a_strict_operator_gets_no_token_without_its_line() {
    use hallpass_server::audit::OnFailure;
    for (on_failure, expected) in
        [(OnFailure::Continue, StatusCode::OK), (OnFailure::Refuse, StatusCode::SERVICE_UNAVAILABLE)]
    {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = audited(folder.path());
        settings.audit.on_failure = on_failure;
        settings.audit.file_bytes = 100;
        let server = Server::with(settings).await;
        let (client, tokens) = server.granted().await;
        server.app.audit.flush();
        // The next file cannot be made.
        let hidden = folder.path().with_extension("away");
        std::fs::rename(folder.path(), &hidden).unwrap();
        server.register(REDIRECT).await;
        server.app.audit.flush();
        assert!(server.app.audit.state().2, "writing fails");
        let token = text(&tokens, "refresh_token");
        let answer = server.refresh(&client, token).await;
        assert_eq!(answer.status, expected);
        // Revoking always works: nothing keeps anybody from closing a door.
        let revoked = server.form("/revoke", &[("client_id", &client), ("token", token)]).await;
        assert_eq!(revoked.status, StatusCode::OK);
        std::fs::rename(&hidden, folder.path()).unwrap();
        server.app.audit.close(server.now());
        let (verified, seen) = checked(&server, folder.path());
        assert!(verified.findings.is_empty() && verified.notes.is_empty(), "{verified:?}");
        assert_eq!(seen.iter().filter(|event| *event == "grant_revoked").count(), 1, "the lines waited");
    }
}
