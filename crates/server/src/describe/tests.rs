use super::*;
use hallpass_core::uri::{Issuer, ResourceUri};

fn written(issuer: &str) -> Value {
    let resource = ResourceUri::parse("https://auth.example/mcp").unwrap();
    let scopes = vec![crate::ScopeEntry { name: "read".into(), title: "May read".into() }];
    let resource = crate::Resource::new(resource, "Things".into(), scopes).unwrap();
    let settings = Settings::new(Issuer::parse(issuer).unwrap(), vec![resource]);
    let paths: Vec<Path> = own(&settings).into_iter().chain(admin_listener::described()).collect();
    openapi::document(frame(&settings), &paths, &schemas::REFUSAL)
}

fn methods(item: &Value) -> Vec<&str> {
    item.as_object().unwrap().keys().map(String::as_str).filter(|name| *name != "servers").collect()
}

#[test]
fn the_table_and_the_document_say_the_same_both_ways() {
    for (issuer, prefix) in [("https://auth.example", ""), ("https://auth.example/tenant", "/tenant")] {
        let document = written(issuer);
        let mut described = document["paths"].as_object().unwrap().clone();
        let (rows, found) = router::table();
        for row in rows {
            let path = match (row.path, prefix) {
                ("/", prefix) if !prefix.is_empty() => prefix.to_owned(),
                (path, prefix) => format!("{prefix}{path}"),
            };
            let item = described.remove(&path).unwrap_or_else(|| panic!("{path} is not described"));
            let expected: Vec<String> = [http::Method::GET, http::Method::POST]
                .iter()
                .filter(|verb| row.methods.contains(verb))
                .map(|verb| verb.as_str().to_ascii_lowercase())
                .collect();
            assert_eq!(methods(&item), expected, "{path}");
        }
        assert!(described.keys().any(|path| path.starts_with(found.path)), "the metadata document");
        for path in ["/metrics", "/health/live", "/health/ready"] {
            assert!(
                described.remove(path).unwrap()["servers"].is_array(),
                "{path} has a listener of its own"
            );
        }
        // What is left is the metadata document at each of its places.
        assert!(described.keys().all(|path| path.contains("/.well-known/")), "{:?}", described.keys());
    }
}

#[test]
fn no_operation_is_named_twice_and_none_lacks_words_or_answers() {
    let document = written("https://auth.example/tenant");
    let groups: Vec<&str> =
        document["tags"].as_array().unwrap().iter().map(|tag| tag["name"].as_str().unwrap()).collect();
    let schemes = document["components"]["securitySchemes"].as_object().unwrap();
    let mut ids = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for name in methods(item) {
            let operation = &item[name];
            ids.push(operation["operationId"].as_str().unwrap());
            assert!(!operation["summary"].as_str().unwrap().is_empty(), "{path}");
            assert!(groups.contains(&operation["tags"][0].as_str().unwrap()), "{path}");
            let statuses = operation["responses"].as_object().unwrap();
            assert!(statuses.keys().any(|status| status < &"400".to_owned()), "{path}: no good answer");
            for requirement in operation["security"].as_array().unwrap() {
                assert!(
                    requirement.as_object().unwrap().keys().all(|name| schemes.contains_key(name)),
                    "{path}"
                );
            }
        }
    }
    let all = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), all);
}

#[test]
fn a_refusal_has_the_status_of_the_table() {
    let document = written("https://auth.example");
    let responses = &document["paths"]["/token"]["post"]["responses"];
    let codes = |status: &str| {
        responses[status]["content"]["application/json"]["schema"]["properties"]["error"]["enum"].clone()
    };
    assert_eq!(codes("401"), json!(["invalid_client"]));
    assert_eq!(codes("429"), json!(["temporarily_unavailable"]));
    assert_eq!(codes("503"), json!(["temporarily_unavailable"]));
    assert!(codes("400").as_array().unwrap().contains(&json!("invalid_grant")));
}
