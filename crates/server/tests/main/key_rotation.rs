//! Keys follow each other, and nobody notices; a stolen one is given up, and its tokens with it.

use crate::support::*;
use hallpass_core::jose::Algorithm;
use hallpass_server::keys;
use http::StatusCode;
use serde_json::{Value, json};
use std::time::Duration;

const HOUR: u64 = 3_600;

async fn key_ids(server: &Server) -> Vec<String> {
    let set = server.get("/jwks").await.json();
    let ids = set["keys"].as_array().unwrap().iter().map(|key| text(key, "kid").to_owned());
    ids.collect()
}

fn signed_by(tokens: &Value) -> String {
    let token = text(tokens, "access_token");
    let header = hallpass_core::encoding::from_base64url(token.split('.').next().unwrap()).unwrap();
    text(&serde_json::from_slice(&header).unwrap(), "kid").to_owned()
}

/// Whether the server takes the token for one of its own, as it does before it revokes.
fn is_verified(server: &Server, tokens: &Value) -> bool {
    let token = text(tokens, "access_token");
    let set = server.app.tokens.current();
    let expected = hallpass_core::jwt::Expectations {
        issuer: ISSUER,
        audiences: &[RESOURCE],
        now: server.now(),
        leeway: Duration::ZERO,
    };
    hallpass_core::jwt::access_token::verify(token, &set.verifying, &expected).is_ok()
}

#[tokio::test]
async fn as_186_a_rotation_is_published_first_then_signs_and_no_token_is_ever_refused() {
    let mut settings = settings();
    settings.keys.rotate_every = Some(Duration::from_hours(24 * 30));
    settings.access_token_lifetime = Duration::from_hours(1);
    let server = Server::with(settings).await;
    let (client, tokens) = server.granted().await;
    let first = signed_by(&tokens);
    let mut refresh = text(&tokens, "refresh_token").to_owned();
    let mut alive: Vec<Value> = vec![tokens];
    let (mut seen, mut signers) = (vec![first.clone()], vec![first.clone()]);
    // A drill: forty days in steps of ten minutes around the rotation, of hours elsewhere.
    for step in 0..(24 * 41) {
        let near = (24 * 30 - 1..24 * 30 + 3).contains(&step);
        for _ in 0..(if near { 12 } else { 1 }) {
            server.push(if near { 300 } else { HOUR });
            keys::step(&server.app).await.unwrap();
            for id in key_ids(&server).await {
                if !seen.contains(&id) {
                    seen.push(id);
                }
            }
            let tokens = server.refresh(&client, &refresh).await.json();
            refresh = text(&tokens, "refresh_token").to_owned();
            let by = signed_by(&tokens);
            assert!(seen.contains(&by), "published before it signs");
            if !signers.contains(&by) {
                signers.push(by);
            }
            alive.push(tokens);
            alive.retain(|tokens| {
                claims(text(tokens, "access_token"))["exp"].as_i64().unwrap() > server.now().seconds()
            });
            for tokens in &alive {
                assert!(is_verified(&server, tokens), "a live token was refused");
            }
        }
    }
    assert_eq!((seen.len(), signers.len()), (2, 2));
    assert_eq!(key_ids(&server).await, [signers[1].clone()], "the old one is not published for ever");
}

#[tokio::test]
async fn as_186_two_nodes_agree_on_the_next_key() {
    let mut settings = settings();
    settings.keys.rotate_every = Some(Duration::from_hours(24));
    let server = Server::with(settings.clone()).await;
    let other = hallpass_server::App::start(hallpass_server::Parts {
        settings,
        masters: vec![hallpass_core::seal::MasterKey {
            number: 0,
            bytes: hallpass_core::secret::SecretBytes::new([7; 32]),
        }]
        .into(),
        store: server.app.store.clone(),
        clock: server.app.clock.clone(),
        entropy: server.app.entropy.clone(),
        fetch: hallpass_fetch::Fetch::new(hallpass_fetch::Settings::default()).unwrap(),
    })
    .await
    .unwrap();
    server.push(25 * HOUR);
    let both = tokio::join!(keys::step(&server.app), keys::step(&other));
    both.0.unwrap();
    both.1.unwrap();
    assert_eq!(server.app.store.keys_read().await.unwrap().len(), 2, "one next key");
    server.push(700);
    keys::step(&server.app).await.unwrap();
    keys::step(&other).await.unwrap();
    let (one, two) = (server.app.tokens.current(), other.tokens.current());
    assert_eq!(one.signer.key().key_id(), two.signer.key().key_id());
    assert_eq!(one.verifying.keys().len(), 2);
}

#[tokio::test]
async fn as_187_every_algorithm_signs_and_a_change_of_the_setting_is_a_rotation() {
    for algorithm in [Algorithm::EdDsa, Algorithm::Rs256] {
        let server = Server::start().await;
        let (client, tokens) = server.granted().await;
        let mut settings = server.app.settings.clone();
        settings.keys.algorithm = algorithm;
        let changed = server.app.with_settings(settings, None).unwrap();
        keys::step(&changed).await.unwrap();
        let set = server.get("/jwks").await.json();
        let list = set["keys"].as_array().unwrap();
        assert_eq!(list.len(), 2);
        for key in list {
            assert_eq!(key["use"], "sig");
            for private in ["d", "p", "q", "dp", "dq", "qi", "k"] {
                assert_eq!(key.get(private), None);
            }
        }
        assert!(list.iter().any(|key| key["alg"] == json!(algorithm.name())));
        server.push(601);
        keys::step(&changed).await.unwrap();
        let refreshed = server.refresh(&client, text(&tokens, "refresh_token")).await.json();
        assert_ne!(signed_by(&refreshed), signed_by(&tokens));
        assert!(is_verified(&server, &refreshed));
    }
}

#[tokio::test]
async fn t_49_a_retired_keys_tokens_are_refused_and_the_refresh_token_goes_on() {
    let server = Server::start().await;
    let (client, tokens) = server.granted().await;
    let stolen = signed_by(&tokens);
    assert!(!server.app.store.key_retire(stolen.clone(), server.now()).await.unwrap(), "the only one");
    let known = server.app.store.keys_read().await.unwrap();
    server.push(1);
    let now = server.now();
    let next = keys::fresh(&server.app.keys, Algorithm::Es256, &*server.app.entropy, (now, now)).unwrap();
    assert!(keys::put_after(&*server.app.store, &next, &known).await.unwrap());
    assert!(server.app.store.key_retire(stolen.clone(), now).await.unwrap());
    keys::step(&server.app).await.unwrap();
    assert!(!is_verified(&server, &tokens));
    assert!(!key_ids(&server).await.contains(&stolen));
    let refreshed = server.refresh(&client, text(&tokens, "refresh_token")).await;
    assert_eq!(refreshed.status, StatusCode::OK);
    assert!(is_verified(&server, &refreshed.json()));
}

#[tokio::test]
async fn as_030_documents_have_a_lifetime_and_a_validator() {
    let server = Server::start().await;
    for path in ["/jwks", "/.well-known/oauth-authorization-server"] {
        let first = server.get(path).await;
        assert_eq!(first.header("cache-control"), "public, max-age=300");
        let tag = first.header("etag").to_owned();
        assert!(tag.starts_with('"') && tag.ends_with('"') && tag.len() == 24, "{tag}");
        let ask = |value: String| {
            let request = http::Request::get(path).header("if-none-match", value);
            server.send(request.body(axum::body::Body::empty()).unwrap())
        };
        for same in [tag.clone(), format!("W/{tag}"), format!("\"x\", {tag}"), "*".to_owned()] {
            let again = ask(same.clone()).await;
            assert_eq!((again.status, again.text.as_str()), (StatusCode::NOT_MODIFIED, ""), "{same}");
            assert_eq!(again.header("etag"), tag);
        }
        let other = ask("\"x\"".to_owned()).await;
        assert_eq!((other.status, other.text), (StatusCode::OK, first.text));
    }
}

fn holds(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|part| part == needle)
}

/// What only the private key has: `d`, and of an RSA key its exponent and primes and what follows from them, in pieces.
fn private_parts(algorithm: Algorithm, document: &[u8]) -> Vec<&[u8]> {
    let after = |marker: &[u8]| {
        let at = document.windows(marker.len()).position(|part| part == marker).unwrap() + marker.len();
        vec![&document[at..at + 32]]
    };
    match algorithm {
        // RFC 5915 §3 and RFC 8410 §7: what stands before the 32 bytes.
        Algorithm::Es256 => after(&[0x02, 0x01, 0x01, 0x04, 0x20]),
        Algorithm::EdDsa => after(&[0x04, 0x22, 0x04, 0x20]),
        Algorithm::Rs256 => document[document.len() - 800..].chunks(32).step_by(5).collect(),
    }
}

#[tokio::test]
async fn as_187_t_49_no_private_key_stands_in_the_database_or_its_log() {
    use hallpass_core::encoding::base64url;
    for algorithm in [Algorithm::Es256, Algorithm::EdDsa, Algorithm::Rs256] {
        let mut settings = settings();
        settings.keys.algorithm = algorithm;
        let server = Server::with(settings).await;
        server.granted().await;
        let files = || {
            let folder = std::fs::read_dir(server.folder.path()).unwrap();
            let files = folder.map(|file| file.unwrap().path()).filter(|path| path.is_file());
            files.map(|path| (path.clone(), std::fs::read(path).unwrap())).collect::<Vec<_>>()
        };
        let running = files();
        assert!(
            running.iter().any(|(path, bytes)| path.to_str().unwrap().ends_with("-wal") && !bytes.is_empty())
        );
        let stored = server.app.store.keys_read().await.unwrap();
        server.app.store.close().await.unwrap();
        let stopped = files();
        // Where a sealed key is, it is found.
        let sealed = &stored[0].sealed[..32];
        assert!(running.iter().any(|(_, bytes)| holds(bytes, sealed)));
        assert!(stopped.iter().any(|(_, bytes)| holds(bytes, sealed)));
        let current = server.app.tokens.current();
        let key = current.signer.key();
        assert_eq!((key.algorithm(), key.key_id()), (algorithm, &*stored[0].kid));
        let document = key.to_pkcs8().unwrap();
        for (path, bytes) in running.iter().chain(&stopped) {
            assert!(!holds(bytes, &document), "{algorithm} {}", path.display());
            for part in private_parts(algorithm, &document) {
                let hex = part.iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
                // The last letter of an encoding may stand for bits of what follows.
                let letters = base64url(part);
                for form in [part, hex.as_bytes(), &letters.as_bytes()[..letters.len() - 1]] {
                    assert!(!holds(bytes, form), "{algorithm} {}", path.display());
                }
            }
        }
    }
}
