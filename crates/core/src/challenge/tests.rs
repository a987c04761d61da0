//! Reading is checked against a corpus, writing against what strangers may put in.

use super::{
    Challenge,
    corpus::{BROKEN, Case, TRICKY, WELL_FORMED},
    parse,
};
use proptest::prelude::*;
use std::fmt::Write as _;

fn shown(challenge: &Challenge) -> String {
    let mut text = challenge.scheme().to_owned();
    if let Some(token68) = challenge.token68() {
        write!(text, " [{token68}]").unwrap();
    }
    for (name, value) in challenge.parameters() {
        write!(text, " {name}=<{value}>").unwrap();
    }
    text
}

fn check(cases: &[Case]) {
    for (lines, expected) in cases {
        let read: Vec<String> = parse(lines).iter().map(shown).collect();
        assert_eq!(&read, expected, "{lines:?}");
    }
}

#[test]
fn cl_001_standard_headers_are_read() {
    check(WELL_FORMED);
}

#[test]
fn cl_001_tricky_headers_are_read() {
    check(TRICKY);
}

#[test]
fn cl_001_broken_headers_lose_only_what_is_broken() {
    check(BROKEN);
}

#[test]
fn cl_001_the_corpus_is_not_small() {
    assert!(WELL_FORMED.len() + TRICKY.len() + BROKEN.len() >= 60);
}

#[test]
fn cl_001_names_and_schemes_have_no_case() {
    let read = parse(&["bEaReR Scope=\"A b\", RESOURCE_METADATA=\"https://h/m\""]);
    assert!(read[0].is("Bearer") && !read[0].is("Basic"));
    assert_eq!(read[0].parameter("scope"), Some("A b"));
    assert_eq!(read[0].parameter("resource_metadata"), Some("https://h/m"));
    assert_eq!(read[0].parameter("error"), None);
}

#[test]
fn cl_001_two_different_values_are_no_value() {
    let read = parse(&[concat!(
        "Bearer error_description=\"x\", resource_metadata=\"https://evil\", y=\"\", ",
        "RESOURCE_METADATA=\"https://h/m\", scope=\"a\", scope=\"a\""
    )]);
    assert_eq!(read[0].parameter("resource_metadata"), None);
    assert_eq!(read[0].parameter("scope"), Some("a"));
}

#[test]
fn cl_001_sizes_are_bounded() {
    let many = "Basic,".repeat(1000);
    assert_eq!(parse(&[&many]).len(), 32);
    assert_eq!(parse(&["Basic"; 100]).len(), 16);
    let long = format!("Bearer scope=\"{}\"", "a".repeat(8192));
    assert_eq!(parse(&[&long, "Basic"]).iter().map(shown).collect::<Vec<_>>(), ["Basic"]);
    let wide = format!("Bearer {}", "a=1,".repeat(100));
    assert_eq!(parse(&[&wide])[0].parameters().count(), 32);
}

#[test]
fn rs_012_each_parameter_once_and_one_line() {
    let written = Challenge::bearer()
        .realm("hall \"pass\" \\")
        .error("invalid_token")
        .error_description("first")
        .error_description("The token has expired")
        .scope("a b")
        .resource_metadata("https://h/.well-known/oauth-protected-resource/mcp")
        .to_string();
    assert_eq!(
        written,
        "Bearer realm=\"hall \\\"pass\\\" \\\\\", error=\"invalid_token\", \
         error_description=\"The token has expired\", scope=\"a b\", \
         resource_metadata=\"https://h/.well-known/oauth-protected-resource/mcp\""
    );
    assert_eq!(Challenge::bearer().to_string(), "Bearer");
    assert_eq!(Challenge::new("DPoP").with("algs", "ES256 EdDSA").to_string(), "DPoP algs=\"ES256 EdDSA\"");
    assert_eq!(Challenge::bearer().scope("").error_description("").to_string(), "Bearer");
}

#[test]
fn rs_012_schemes_side_by_side_are_parsed_apart() {
    let bearer = Challenge::bearer().error("invalid_token").scope("a b");
    let dpop = Challenge::new("DPoP").error("invalid_token").with("algs", "ES256");
    let joined = format!("{bearer}, {dpop}");
    assert_eq!(parse(&[&joined]), [bearer, dpop]);
}

#[test]
fn t_90_a_tool_name_cannot_break_out_of_the_description() {
    for name in [
        "x\", resource_metadata=\"https://evil",
        "x\\\", resource_metadata=\\\"https://evil",
        "x\r\nSet-Cookie: a=b",
        "x\n, Basic realm=\"evil\"",
        "x\\",
        "\u{2028}\u{85}\u{202e}\0\u{7f}",
        "ä\"ö",
    ] {
        let written = Challenge::bearer()
            .error("insufficient_scope")
            .error_description(&format!("The tool {name} needs more"))
            .realm(name)
            .scope(name)
            .with("algs", name)
            .resource_metadata("https://h/m")
            .to_string();
        assert!(written.bytes().all(|b| matches!(b, b' '..=b'~')), "{written}");
        let read = parse(&[&written]);
        assert_eq!(read.len(), 1, "{written}");
        assert_eq!(read[0].parameter("resource_metadata"), Some("https://h/m"), "{written}");
        assert_eq!(read[0].parameter("error"), Some("insufficient_scope"), "{written}");
        let description = read[0].parameter("error_description").unwrap();
        assert!(
            description.bytes().all(|b| matches!(b, 0x20 | 0x21 | 0x23..=0x5b | 0x5d..=0x7e)),
            "{description}"
        );
    }
}

#[test]
fn t_90_a_scope_is_written_whole_or_not_at_all() {
    assert_eq!(Challenge::bearer().scope("a  b\"c d\\ \u{e9} e").to_string(), "Bearer scope=\"a e\"");
}

#[test]
fn t_90_urls_are_escaped_as_urls_are() {
    assert_eq!(
        Challenge::bearer().resource_metadata("https://h/\"a b\\\u{e9}\r\n").to_string(),
        "Bearer resource_metadata=\"https://h/%22a%20b%5C%C3%A9%0D%0A\""
    );
}

#[test]
fn t_90_a_long_description_is_cut() {
    assert_eq!(
        Challenge::bearer().error_description(&"a".repeat(10_000)).to_string().len(),
        9 + 17 + 256 + 1
    );
}

proptest! {
    #[test]
    fn cl_001_never_panics(lines in prop::collection::vec("(\\PC|[ ,=\"\\\\\t;])*", 0..4)) {
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let _ = parse(&lines);
    }

    #[test]
    fn cl_001_never_panics_on_what_looks_right(line in "(Bearer|a|=|\"|\\\\|,| |;|é|1){0,40}") {
        for challenge in parse(&[&line]) {
            let _ = challenge.to_string();
        }
    }

    #[test]
    fn rs_012_what_is_written_is_read_back(realm: String, description: String, scope: String, url: String) {
        let written = Challenge::bearer()
            .error("invalid_token")
            .realm(&realm)
            .error_description(&description)
            .scope(&scope)
            .resource_metadata(&url);
        let line = written.to_string();
        prop_assert!(line.bytes().all(|b| matches!(b, b' '..=b'~')));
        prop_assert_eq!(parse(&[&line]), [written]);
    }
}
