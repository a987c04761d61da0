//! What a document at a `client_id` says (draft-ietf-oauth-client-id-metadata-document-01). Pure; who fetches it is
//! [`super::source`].

use super::{
    AuthMethod, Client, ClientRefusal, Origin, Proofs, Redirects,
    display::DisplayName,
    keys::{ClientKeys, KeyPlace},
    known,
    operator::TOKEN_EXCHANGE,
};
use crate::device;
use bytes::Bytes;
use hallpass_core::{
    jose::{Algorithm, KeySet},
    metadata::client::ClientMetadata,
    time::Timestamp,
    uri::{ClientMetadataUrl, RedirectUri},
};
use std::sync::Arc;

/// Whether this `client_id` is the URL of a metadata document.
pub fn is_document(id: &str) -> bool {
    id.starts_with("https://")
}

/// The rules for what a document says.
pub fn read(url: &ClientMetadataUrl, body: &Bytes) -> Result<Client, ClientRefusal> {
    let metadata =
        ClientMetadata::parse_document(body, url.as_str()).map_err(|_| ClientRefusal::DocumentInvalid)?;
    if !speaks_code(&metadata) {
        return Err(ClientRefusal::DocumentInvalid);
    }
    let proofs = proofs(&metadata)?;
    let texts: Vec<RedirectUri> =
        metadata.redirect_uris.iter().filter_map(|text| RedirectUri::parse(text).ok()).collect();
    if texts.is_empty() {
        return Err(ClientRefusal::DocumentInvalid);
    }
    let types = metadata.grant_types.unwrap_or_default();
    let lists = |name: &str| types.iter().any(|one| one == name);
    Ok(Client {
        id: url.as_str().to_owned(),
        name: DisplayName::new(metadata.client_name.as_deref().unwrap_or_default()),
        origin: Origin::Document {
            url: url.clone(),
            body: body.clone(),
            fresh_until: Timestamp::from_millis(0),
        },
        refresh: lists("refresh_token") || known::refreshes(url.as_str()),
        exchange: lists(TOKEN_EXCHANGE).then(Arc::default),
        device: lists(device::GRANT_TYPE),
        redirects: Redirects { texts, ..Redirects::default() },
        proofs,
        scopes: None,
        pushed_only: metadata.require_pushed_authorization_requests.unwrap_or_default(),
        bound: metadata.dpop_bound_access_tokens.unwrap_or(false),
    })
}

/// Unknown grant and response types are ignored; those that we need must not be missing.
fn speaks_code(metadata: &ClientMetadata) -> bool {
    let lists = |list: &Option<Vec<String>>, name: &str| {
        list.as_ref().is_none_or(|have| have.iter().any(|one| one == name))
    };
    lists(&metadata.grant_types, "authorization_code") && lists(&metadata.response_types, "code")
}

/// The method that it prefers and those that it lists beside: ChatGPT's document prefers `private_key_jwt` and lists
/// `none` as well. What it lists is what it may use; the token endpoint holds a client to the key that it once proved.
fn proofs(metadata: &ClientMetadata) -> Result<Proofs, ClientRefusal> {
    let preferred = metadata.token_endpoint_auth_method.as_deref().unwrap_or(AuthMethod::None.name());
    let listed = metadata.token_endpoint_auth_methods_supported.as_deref().unwrap_or_default();
    let lists =
        |method: AuthMethod| preferred == method.name() || listed.iter().any(|one| one == method.name());
    let none = lists(AuthMethod::None);
    let keys = if lists(AuthMethod::PrivateKeyJwt) { keys(metadata)? } else { None };
    if none || keys.is_some() {
        Ok(Proofs { none, secret: false, keys })
    } else {
        Err(ClientRefusal::DocumentAuthMethod)
    }
}

/// The keys of a document; none where it names no place for them or an algorithm that is not offered.
fn keys(metadata: &ClientMetadata) -> Result<Option<ClientKeys>, ClientRefusal> {
    let algorithm = match metadata.token_endpoint_auth_signing_alg.as_deref() {
        None => None,
        Some(name) => match Algorithm::from_name(name) {
            Some(algorithm) => Some(algorithm),
            None => return Ok(None),
        },
    };
    let place = match (&metadata.jwks, metadata.jwks_uri.as_deref()) {
        (Some(set), _) => {
            let set =
                KeySet::parse(set.to_string().as_bytes()).map_err(|_| ClientRefusal::DocumentInvalid)?;
            KeyPlace::Inline(set)
        }
        (None, Some(url)) => KeyPlace::At(url.parse().map_err(|_| ClientRefusal::DocumentInvalid)?),
        (None, None) => return Ok(None),
    };
    let named =
        metadata.jwks.as_ref().map(serde_json::Value::to_string).or_else(|| metadata.jwks_uri.clone());
    Ok(Some(ClientKeys::new(place, algorithm, &named.unwrap_or_default())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(change: impl FnOnce(&mut serde_json::Value)) -> Result<Client, ClientRefusal> {
        let url = ClientMetadataUrl::parse("https://client.example/id.json").unwrap();
        let mut document = json!({
            "client_id": url.as_str(),
            "client_name": "Client",
            "redirect_uris": ["http://127.0.0.1/cb", "https://client.example/cb"],
            "grant_types": ["authorization_code", "refresh_token"],
            "token_endpoint_auth_method": "none",
        });
        change(&mut document);
        read(&url, &Bytes::from(document.to_string()))
    }

    #[test]
    fn as_047_a_usable_document() {
        let client = check(|_| {}).unwrap();
        assert_eq!((client.name.as_str(), client.refresh, client.redirects.texts.len()), ("Client", true, 2));
        let odd = check(|d| {
            d["grant_types"] = json!(["authorization_code", "urn:ietf:params:oauth:grant-type:jwt-bearer"]);
        });
        assert!(!odd.unwrap().refresh);
    }

    #[test]
    fn as_045_as_048_what_a_document_must_not_say() {
        for (key, value) in [
            ("client_id", json!("https://client.example/ID.json")),
            ("client_secret", json!("x")),
            ("token_endpoint_auth_method", json!("client_secret_basic")),
            ("grant_types", json!(["client_credentials"])),
            ("response_types", json!(["token"])),
        ] {
            assert!(check(|d| d[key] = value.clone()).is_err(), "{key}");
        }
        assert_eq!(
            check(|d| d["redirect_uris"] = json!(["javascript:x"])).unwrap_err(),
            ClientRefusal::DocumentInvalid
        );
        for keyless in [json!(null), json!({"keys": [{"kty": "oct", "k": "AA"}]})] {
            let refused = check(|d| {
                d["token_endpoint_auth_method"] = json!("private_key_jwt");
                d["jwks"] = keyless.clone();
            });
            assert!(refused.is_err(), "{keyless}");
        }
    }

    #[test]
    fn as_054_which_proofs_a_document_allows() {
        let place = json!("https://client.example/jwks.json");
        let proofs = |method: &str, listed: serde_json::Value, algorithm: serde_json::Value| {
            let read = check(|d| {
                d["token_endpoint_auth_method"] = json!(method);
                d["token_endpoint_auth_methods_supported"] = listed;
                d["token_endpoint_auth_signing_alg"] = algorithm;
                d["jwks_uri"] = place.clone();
            });
            read.map(|client| (client.proofs.none, client.proofs.keys.is_some()))
        };
        let none = || json!(null);
        assert_eq!(proofs("private_key_jwt", none(), none()), Ok((false, true)));
        assert_eq!(proofs("private_key_jwt", none(), json!("RS256")), Ok((false, true)));
        assert_eq!(proofs("private_key_jwt", json!(["none"]), none()), Ok((true, true)));
        assert_eq!(proofs("none", json!(["private_key_jwt"]), none()), Ok((true, true)));
        assert_eq!(proofs("none", none(), none()), Ok((true, false)));
        assert_eq!(proofs("private_key_jwt", json!(["none"]), json!("PS512")), Ok((true, false)));
        let unusable = proofs("private_key_jwt", none(), json!("HS256"));
        assert_eq!(unusable, Err(ClientRefusal::DocumentAuthMethod));
        assert_eq!(proofs("tls_client_auth", none(), none()), Err(ClientRefusal::DocumentAuthMethod));
    }

    #[test]
    fn chatgpt_lists_none_beside_its_key() {
        let both = check(|d| {
            d["token_endpoint_auth_method"] = json!("private_key_jwt");
            d["jwks_uri"] = json!("https://client.example/jwks.json");
            d["token_endpoint_auth_methods_supported"] = json!(["none", "private_key_jwt"]);
        });
        assert!(both.is_ok(), "{both:?}");
    }
}
