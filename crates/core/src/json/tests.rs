//! Every rule is broken once.

use super::*;
use proptest::prelude::*;
use serde_json::json;

fn parse(text: &str) -> Result<Value, JsonError> {
    parse_value(text.as_bytes(), Limits { bytes: 200, depth: 3 })
}

#[test]
fn one_rule_one_variant() {
    let long = format!("\"{}\"", "a".repeat(200));
    for (text, rule) in [
        (long.as_str(), JsonError::TooLong),
        ("\u{feff}{}", JsonError::ByteOrderMark),
        ("", JsonError::Syntax),
        ("{", JsonError::Syntax),
        ("{'a':1}", JsonError::Syntax),
        ("{\"a\":1,}", JsonError::Syntax),
        ("[01]", JsonError::Syntax),
        ("1e999", JsonError::Syntax),
        ("\"\\ud800\"", JsonError::Syntax),
        ("\"a\nb\"", JsonError::Syntax),
        ("// x\n1", JsonError::Syntax),
        ("[[[[]]]]", JsonError::TooDeep),
        ("{\"a\":{\"b\":{\"c\":{}}}}", JsonError::TooDeep),
        ("{\"a\":1,\"a\":1}", JsonError::DuplicateMember),
        ("{\"a\":1,\"\\u0061\":2}", JsonError::DuplicateMember),
        ("[{\"b\":{\"a\":1,\"c\":2,\"a\":1}}]", JsonError::DuplicateMember),
        ("{} {}", JsonError::TrailingData),
        ("1\0", JsonError::TrailingData),
    ] {
        assert_eq!(parse(text), Err(rule), "{text}");
    }
    assert_eq!(parse_value(b"\"\xff\"", Limits::default()), Err(JsonError::NotUtf8));
    for text in ["[]", "null", "1", "\"{}\"", "true", "[{\"a\":1}]"] {
        assert_eq!(parse_object(text.as_bytes(), Limits::default()), Err(JsonError::NotAnObject), "{text}");
    }
}

#[test]
fn what_stands_side_by_side_is_not_deep() {
    assert_eq!(parse(" [[],[],{},[[]],{\"a\":[]},1] ").unwrap(), json!([[], [], {}, [[]], {"a": []}, 1]));
}

#[test]
fn depth_is_bounded_before_the_stack_is() {
    let limits = Limits { bytes: usize::MAX, depth: 16 };
    assert_eq!(parse_value("[".repeat(1_000_000).as_bytes(), limits), Err(JsonError::TooDeep));
}

#[test]
fn members_are_picked_by_name_and_type() {
    let members = parse_object(
        br#"{"s":"x","l":["a","b"],"m":["a",1],"b":true,"i":-7,"f":1.5,"e":1e3,"n":null,"o":{}}"#,
        Limits::default(),
    )
    .unwrap();
    assert_eq!(string(&members, "s"), Ok(Some("x")));
    assert_eq!(string(&members, "i"), Err(WrongType("i")));
    assert_eq!(strings(&members, "l"), Ok(Some(vec!["a".into(), "b".into()])));
    assert_eq!(strings(&members, "m"), Err(WrongType("m")));
    assert_eq!(strings(&members, "s"), Err(WrongType("s")));
    assert_eq!(string_or_strings(&members, "s"), Ok(Some(vec!["x".into()])));
    assert_eq!(string_or_strings(&members, "l"), Ok(Some(vec!["a".into(), "b".into()])));
    assert_eq!(string_or_strings(&members, "b"), Err(WrongType("b")));
    assert_eq!(boolean(&members, "b"), Ok(Some(true)));
    assert_eq!(boolean(&members, "s"), Err(WrongType("s")));
    assert_eq!(integer(&members, "i"), Ok(Some(-7)));
    assert_eq!(integer(&members, "f"), Err(WrongType("f")));
    assert_eq!(numeric_date(&members, "f"), Ok(Some(1)));
    assert_eq!(numeric_date(&members, "e"), Ok(Some(1000)));
    assert_eq!(numeric_date(&members, "i"), Ok(Some(-7)));
    assert_eq!(numeric_date(&members, "s"), Err(WrongType("s")));
    assert!(object(&members, "o").unwrap().unwrap().is_empty());
    assert_eq!(object(&members, "l"), Err(WrongType("l")));
    for absent in ["n", "z"] {
        assert_eq!(string(&members, absent), Ok(None));
        assert_eq!(strings(&members, absent), Ok(None));
        assert_eq!(string_or_strings(&members, absent), Ok(None));
        assert_eq!(boolean(&members, absent), Ok(None));
        assert_eq!(integer(&members, absent), Ok(None));
        assert_eq!(numeric_date(&members, absent), Ok(None));
        assert_eq!(object(&members, absent), Ok(None));
    }
}

#[test]
fn numbers_out_of_range_are_not_dates() {
    let members = parse_object(br#"{"big":1e300,"max":18446744073709551615}"#, Limits::default()).unwrap();
    assert_eq!(numeric_date(&members, "big"), Err(WrongType("big")));
    assert_eq!(numeric_date(&members, "max"), Err(WrongType("max")));
    assert_eq!(integer(&members, "max"), Err(WrongType("max")));
}

proptest! {
    #[test]
    fn agrees_with_serde_json_wherever_it_accepts(text in r#"[\[\]{}",:0-9a\\. -]{0,40}"#) {
        if let Ok(value) = parse_value(text.as_bytes(), Limits::default()) {
            prop_assert_eq!(Ok(value), serde_json::from_str::<Value>(&text).map_err(|_| ()));
        }
    }

    #[test]
    fn never_panics(bytes: Vec<u8>) {
        let _ = parse_value(&bytes, Limits::default());
    }
}
