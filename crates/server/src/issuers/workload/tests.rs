//! Which tokens fit, and which rules are none.

use super::*;
use serde_json::json;

fn workload(claims: &[(&str, &str)]) -> Result<Workload, WorkloadError> {
    let claims = claims.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let scopes = ["read".to_owned()];
    Workload::new(&WrittenWorkload {
        id: "deploy",
        subject: None,
        claims: &claims,
        scopes: &scopes,
        resources: None,
    })
}

fn fits(rule: (&str, &str), claims: &Value) -> bool {
    workload(&[rule]).unwrap().fits(claims.as_object().unwrap())
}

#[test]
fn as_174_t_44_a_star_stays_within_its_part_and_patterns_are_anchored() {
    for (pattern, text, outcome) in [
        ("ns/default/sa/*", "ns/default/sa/web", true),
        ("ns/default/sa/*", "ns/default-evil/sa/web", false),
        ("ns/default/sa/*", "ns/default/sa/", false),
        ("ns/default/sa/*", "ns/default/sa/web/extra", false),
        ("ns/default/sa/*", "xns/default/sa/web", false),
        ("ns/default/sa/*", "NS/default/sa/web", false),
        ("system:serviceaccount:ci:*", "system:serviceaccount:ci:deploy", true),
        ("system:serviceaccount:ci:*", "system:serviceaccount:ci-evil:deploy", false),
        ("system:serviceaccount:ci:*", "system:serviceaccount:ci:deploy:x", false),
        ("system:serviceaccount:*:deploy", "system:serviceaccount:a/b:deploy", false),
        ("spiffe://example.org/ns/ci/sa/build-*", "spiffe://example.org/ns/ci/sa/build-7", true),
        ("spiffe://example.org/ns/ci/sa/build-*", "spiffe://example.org.evil/ns/ci/sa/build-7", false),
        ("repo:acme/*:ref:refs/heads/main", "repo:acme/app:ref:refs/heads/main", true),
        ("repo:acme/*:ref:refs/heads/main", "repo:acme/app:ref:refs/heads/main2", false),
        ("repo:acme/*:ref:refs/heads/main", "repo:acme-evil/app:ref:refs/heads/main", false),
        ("repo:acme/*:ref:refs/heads/main", "repo:acme/app:pull_request", false),
        ("repo:acme/*:ref:refs/heads/main", "repo:acme/app/ref/refs/heads/main", false),
        ("a*b", "aXb", true),
        ("a*b", "ab", false),
        ("aba*aba", "ababa", false),
        ("a.c", "abc", false),
        ("exact", "exact", true),
        ("exact", "exact ", false),
        ("exact", "ex\u{200b}act", false),
    ] {
        assert_eq!(matches(pattern, text), outcome, "{pattern} {text}");
    }
}

#[test]
fn as_174_all_conditions_hold_and_claims_have_one_spelling() {
    let claims = json!({
        "sub": "system:serviceaccount:ci:deploy", "repository_id": 123, "protected": true, "environment": "production",
        "kubernetes.io": {"namespace": "ci", "serviceaccount": {"name": "deploy"}}, "groups": ["admin"], "ratio": 1.5,
        "a/b": "whole", "a": {"b": "path"}, "empty": "", "nothing": null,
    });
    for (name, value, outcome) in [
        ("environment", "production", true),
        ("environment", "prod*", true),
        ("environment", "staging", false),
        ("kubernetes.io/namespace", "ci", true),
        ("kubernetes.io/serviceaccount/name", "deploy", true),
        ("kubernetes.io/serviceaccount", "deploy", false),
        ("kubernetes.io/namespace/x", "ci", false),
        ("repository_id", "123", true),
        ("repository_id", "12", false),
        ("protected", "true", true),
        ("groups", "admin", false),
        ("ratio", "1.5", false),
        ("a/b", "whole", true),
        ("a/b", "path", false),
        ("missing", "x", false),
        ("nothing", "null", false),
    ] {
        assert_eq!(fits((name, value), &claims), outcome, "{name} {value}");
    }
    let both = workload(&[("environment", "production"), ("kubernetes.io/namespace", "other")]).unwrap();
    assert!(!both.fits(claims.as_object().unwrap()));
}

#[test]
fn as_174_rules_that_would_let_strangers_in_are_none() {
    use WorkloadError::*;
    let claims = |list: &[(&str, &str)]| workload(list).map(|_| ()).unwrap_err();
    assert_eq!(claims(&[]), NoClaims("deploy".into()));
    for all in ["*", "", "**"] {
        assert_eq!(claims(&[("sub", "x"), ("ref", all)]), Anything("deploy".into(), "ref".into()));
    }
    assert_eq!(claims(&[("sub", "a*b*c")]), Stars("deploy".into(), "sub".into()));
    assert!(workload(&[("sub", "a*:b*")]).is_ok());
    let scopes = ["read".to_owned()];
    let sub = BTreeMap::from([("sub".to_owned(), "x".to_owned())]);
    for id in ["", "a b", "hpc_x", "https://a.example/x"] {
        let written = WrittenWorkload { id, subject: None, claims: &sub, scopes: &scopes, resources: None };
        assert_eq!(Workload::new(&written).map(|_| ()).unwrap_err(), Id(id.into()));
    }
    let (longest, longer) = ("x".repeat(255), "x".repeat(256));
    for (subject, usable) in [
        ("{sub}", true),
        ("nightly", true),
        (&*longest, true),
        ("", false),
        (" ", false),
        ("a b", false),
        ("{sub}x", false),
        ("{iss}", false),
        ("ä", false),
        (&*longer, false),
    ] {
        let subject = Some(subject);
        let written =
            WrittenWorkload { id: "deploy", subject, claims: &sub, scopes: &scopes, resources: None };
        assert_eq!(Workload::new(&written).is_ok(), usable, "{subject:?}");
    }
    let none = WrittenWorkload { id: "deploy", subject: None, claims: &sub, scopes: &[], resources: None };
    assert!(matches!(Workload::new(&none).map(|_| ()).unwrap_err(), Ceiling(..)));
}

#[test]
fn as_174_t_44_an_issuer_for_everybody_needs_the_owner() {
    let github = "https://token.actions.githubusercontent.com";
    for (claims, enough) in [
        (&[("repository", "acme/app")][..], true),
        (&[("repository", "acme/*"), ("ref", "refs/heads/main")][..], true),
        (&[("sub", "repo:acme/*:ref:refs/heads/main")][..], true),
        (&[("repository_owner", "acme")][..], true),
        (&[("ref", "refs/heads/main")][..], false),
        (&[("repository", "*/app")][..], false),
        (&[("repository", "ac*/app")][..], false),
        (&[("sub", "repo:*/*:ref:refs/heads/main")][..], false),
        (&[("sub", "repo:a*/app:environment:production")][..], false),
        (&[("repository_owner", "acme*")][..], false),
    ] {
        let rule = workload(claims).unwrap();
        assert_eq!(rule.is_enough_for(github).is_ok(), enough, "{claims:?}");
        assert!(rule.is_enough_for("https://kubernetes.example").is_ok());
    }
}
