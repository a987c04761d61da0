//! The bytes of the file: a line that says what it is, a nonce, and JSON sealed by AES-256-GCM-SIV.
//!
//! The first line is authenticated too. A new version gets a new line; releases read a version before any
//! release writes it.

use super::{
    Begun, ClientCredentials, Contents, Entry, EntryKey, MachineProof, Registration, Renewal, Through,
    TokenAuth, Tokens,
};
use crate::{
    assertion::KeyFile,
    platform::{Platform, TokenSource},
    proof::ProofKey,
};
use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use hallpass_core::{
    encoding::{base64url, from_base64url},
    entropy::{Entropy, random},
    json,
    scope::Scope,
    secret::SecretString,
    time::Timestamp,
};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

const FIRST_LINE: &[u8] = b"hallpass credentials 1\n";
const ANY_VERSION: &[u8] = b"hallpass credentials ";

/// Why the bytes say nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    Damaged,
    Newer,
}

/// `None` if the key has the wrong length.
pub(super) fn seal(key: &[u8], contents: &Contents, entropy: &dyn Entropy) -> Option<Vec<u8>> {
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM_SIV, key).ok()?);
    let nonce = random::<NONCE_LEN>(entropy);
    let mut text = Zeroizing::new(write(contents).to_string().into_bytes());
    let sealed = Nonce::assume_unique_for_key(nonce);
    key.seal_in_place_append_tag(sealed, Aad::from(FIRST_LINE), &mut *text).ok()?;
    Some([FIRST_LINE, &nonce, &text].concat())
}

pub(super) fn open(key: &[u8], sealed: &[u8]) -> Result<Contents, Broken> {
    let Some(rest) = sealed.strip_prefix(FIRST_LINE) else {
        return Err(if sealed.starts_with(ANY_VERSION) { Broken::Newer } else { Broken::Damaged });
    };
    let (nonce, ciphertext) = rest.split_first_chunk::<NONCE_LEN>().ok_or(Broken::Damaged)?;
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM_SIV, key).map_err(|_| Broken::Damaged)?);
    let mut text = Zeroizing::new(ciphertext.to_vec());
    let nonce = Nonce::assume_unique_for_key(*nonce);
    let plain = key.open_in_place(nonce, Aad::from(FIRST_LINE), &mut text).map_err(|_| Broken::Damaged)?;
    let limits = json::Limits { bytes: usize::MAX, depth: 8 };
    let members = json::parse_object(plain, limits).map_err(|_| Broken::Damaged)?;
    read(&members).ok_or(Broken::Damaged)
}

fn write(contents: &Contents) -> Value {
    let registrations: Vec<Value> = contents.registrations.iter().map(write_registration).collect();
    let entries: Vec<Value> = contents.entries.iter().map(write_entry).collect();
    let begun: Vec<Value> = contents.begun.iter().map(write_begun).collect();
    serde_json::json!({ "registrations": registrations, "entries": entries, "begun": begun })
}

fn read(members: &Map<String, Value>) -> Option<Contents> {
    Some(Contents {
        registrations: list(members, "registrations")?.map(read_registration).collect::<Option<_>>()?,
        entries: list(members, "entries")?.map(read_entry).collect::<Option<_>>()?,
        begun: match members.get("begun") {
            None => Vec::new(),
            Some(_) => list(members, "begun")?.map(read_begun).collect::<Option<_>>()?,
        },
    })
}

fn write_client(client: &ClientCredentials) -> Value {
    serde_json::json!({
        "client_id": client.client_id,
        "client_secret": client.client_secret.as_ref().map(SecretString::expose),
        "auth": client.auth.name(),
    })
}

fn read_client(members: &Map<String, Value>) -> Option<ClientCredentials> {
    let members = members.get("client")?.as_object()?;
    Some(ClientCredentials {
        client_id: text(members, "client_id")?,
        client_secret: secret(members, "client_secret"),
        auth: TokenAuth::of_name(&text(members, "auth")?)?,
    })
}

fn write_registration(registration: &Registration) -> Value {
    serde_json::json!({
        "issuer": registration.issuer,
        "client": write_client(&registration.client),
        "redirect_uri": registration.redirect_uri,
        "secret_expires_at": registration.secret_expires_at.map(Timestamp::millis),
        "used_at": registration.used_at.millis(),
    })
}

fn read_registration(members: &Map<String, Value>) -> Option<Registration> {
    Some(Registration {
        issuer: text(members, "issuer")?,
        client: read_client(members)?,
        redirect_uri: text(members, "redirect_uri")?,
        secret_expires_at: time(members, "secret_expires_at"),
        used_at: time(members, "used_at")?,
    })
}

fn write_entry(entry: &Entry) -> Value {
    let tokens = &entry.tokens;
    serde_json::json!({
        "issuer": entry.key.issuer,
        "resource": entry.key.resource,
        "account": entry.key.account,
        "server": entry.server,
        "client": write_client(&entry.client),
        "client_is_given": entry.client_is_given,
        "token_endpoint": entry.token_endpoint,
        "revocation_endpoint": entry.revocation_endpoint,
        "endpoints_read_at": entry.endpoints_read_at.millis(),
        "requested_scope": entry.requested_scope.to_string(),
        "signed_in_at": entry.signed_in_at.millis(),
        "access_token": tokens.access_token.expose(),
        "issued_at": tokens.issued_at.millis(),
        "expires_at": tokens.expires_at.map(Timestamp::millis),
        "refresh_token": tokens.refresh_token.as_ref().map(SecretString::expose),
        "scope": tokens.scope.to_string(),
        "proof_key": write_key(tokens.proof_key.as_ref()),
        "through": entry.through().map(|one| serde_json::json!({ "server": one.server, "account": one.account })),
        "platform": write_platform(entry),
        "machine": entry.machine().map(write_machine),
    })
}

fn read_entry(members: &Map<String, Value>) -> Option<Entry> {
    Some(Entry {
        key: EntryKey {
            issuer: text(members, "issuer")?,
            resource: text(members, "resource")?,
            account: text(members, "account")?,
        },
        server: text(members, "server")?,
        client: read_client(members)?,
        client_is_given: members.get("client_is_given").and_then(Value::as_bool).unwrap_or_default(),
        token_endpoint: text(members, "token_endpoint")?,
        revocation_endpoint: text(members, "revocation_endpoint"),
        endpoints_read_at: time(members, "endpoints_read_at").or_else(|| time(members, "signed_in_at"))?,
        requested_scope: scope(members, "requested_scope")?,
        tokens: Tokens {
            access_token: secret(members, "access_token")?,
            issued_at: time(members, "issued_at")?,
            expires_at: time(members, "expires_at"),
            refresh_token: secret(members, "refresh_token"),
            scope: scope(members, "scope")?,
            proof_key: match secret(members, "proof_key") {
                None => None,
                Some(key) => Some(read_key(&key)?),
            },
        },
        signed_in_at: time(members, "signed_in_at")?,
        renewal: read_renewal(members),
    })
}

fn write_begun(begun: &Begun) -> Value {
    serde_json::json!({
        "server": begun.server,
        "account": begun.account,
        "ends_at": begun.ends_at.millis(),
        "issuer": begun.issuer,
        "token_endpoint": begun.token_endpoint,
        "revocation_endpoint": begun.revocation_endpoint,
        "sends_iss": begun.sends_iss,
        "client": write_client(&begun.client),
        "redirect_uri": begun.redirect_uri,
        "resource": begun.resource,
        "scope": begun.scope.to_string(),
        "state": begun.state.expose(),
        "verifier": begun.verifier.expose(),
        "proof_key": write_key(begun.proof_key.as_ref()),
        "registered_before": begun.registered_before,
    })
}

fn read_begun(members: &Map<String, Value>) -> Option<Begun> {
    let is = |name| members.get(name).and_then(Value::as_bool);
    Some(Begun {
        server: text(members, "server")?,
        account: text(members, "account")?,
        ends_at: time(members, "ends_at")?,
        issuer: text(members, "issuer")?,
        token_endpoint: text(members, "token_endpoint")?,
        revocation_endpoint: text(members, "revocation_endpoint"),
        sends_iss: is("sends_iss")?,
        client: read_client(members)?,
        redirect_uri: text(members, "redirect_uri")?,
        resource: text(members, "resource")?,
        scope: scope(members, "scope")?,
        state: secret(members, "state")?,
        verifier: secret(members, "verifier")?,
        proof_key: match secret(members, "proof_key") {
            None => None,
            Some(key) => Some(read_key(&key)?),
        },
        registered_before: is("registered_before")?,
    })
}

fn write_platform(entry: &Entry) -> Option<Value> {
    let Some(Renewal::Platform(platform, used)) = &entry.renewal else { return None };
    Some(serde_json::json!({
        "source": platform.source.to_string(),
        "audience": platform.audience,
        "used": used,
    }))
}

fn write_machine(proof: &MachineProof) -> Value {
    let file = proof.key_file();
    serde_json::json!({
        "key_file": file.map(|file| &file.path),
        "key_id": file.and_then(|file| file.key_id.as_ref()),
    })
}

fn read_machine(members: &Map<String, Value>) -> Renewal {
    Renewal::Machine(match text(members, "key_file") {
        None => MachineProof::Secret,
        Some(path) => MachineProof::KeyFile(KeyFile { path, key_id: text(members, "key_id") }),
    })
}

/// Of what this release does not know, no token comes: the sign-in is good as long as the one that it has.
fn read_renewal(members: &Map<String, Value>) -> Option<Renewal> {
    let object = |name| members.get(name).and_then(Value::as_object);
    let through = object("through").and_then(read_through).map(Renewal::Through);
    through
        .or_else(|| object("platform").and_then(read_platform))
        .or_else(|| object("machine").map(read_machine))
}

fn read_platform(members: &Map<String, Value>) -> Option<Renewal> {
    let source = TokenSource::parse(&text(members, "source")?)?;
    Some(Renewal::Platform(Platform { source, audience: text(members, "audience") }, text(members, "used")?))
}

fn read_through(members: &Map<String, Value>) -> Option<Through> {
    Some(Through { server: text(members, "server")?, account: text(members, "account")? })
}

fn write_key(key: Option<&ProofKey>) -> Option<String> {
    key.and_then(ProofKey::to_pkcs8).map(|key| base64url(&key))
}

/// A key that cannot be read is damage: its tokens would be sent without a proof.
fn read_key(key: &SecretString) -> Option<ProofKey> {
    ProofKey::from_pkcs8(&Zeroizing::new(from_base64url(key.expose())?))
}

fn list<'a>(
    members: &'a Map<String, Value>,
    name: &str,
) -> Option<impl Iterator<Item = &'a Map<String, Value>>> {
    let values = members.get(name)?.as_array()?;
    let objects: Option<Vec<_>> = values.iter().map(Value::as_object).collect();
    objects.map(Vec::into_iter)
}

fn text(members: &Map<String, Value>, name: &str) -> Option<String> {
    members.get(name)?.as_str().map(str::to_owned)
}

/// However long: metadata of a server may list more than one parameter may hold, and what was kept has to be read.
fn scope(members: &Map<String, Value>, name: &str) -> Option<Scope> {
    text(members, name).map(|text| Scope::of(text.split(' ')))
}

fn secret(members: &Map<String, Value>, name: &str) -> Option<SecretString> {
    text(members, name).map(SecretString::new)
}

fn time(members: &Map<String, Value>, name: &str) -> Option<Timestamp> {
    members.get(name)?.as_i64().map(Timestamp::from_millis)
}
