//! Conditions, met and nearly met.

use super::*;
use crate::mcp::Message;
use serde_json::json;

fn constraints(text: &Value) -> Constraints {
    Constraints::parse(text).unwrap()
}

fn judge(condition: &Value, value: &Value) -> &'static str {
    let constraints = constraints(&json!({ "x": condition }));
    match constraints.judge(Some(&json!({ "x": value }))) {
        Verdict::Met => "met",
        Verdict::Unmet(_) => "unmet",
        Verdict::Unclear(_) => "unclear",
    }
}

#[test]
fn rs_035_exact_values_and_one_of_several() {
    for (condition, value, verdict) in [
        (json!("a"), json!("a"), "met"),
        (json!("a"), json!("A"), "unmet"),
        (json!("a"), json!("a "), "unmet"),
        (json!({ "equals": "a" }), json!("a"), "met"),
        (json!({ "one_of": ["a", 1, true] }), json!(true), "met"),
        (json!({ "one_of": ["a", 1, true] }), json!(1.0), "met"),
        (json!({ "one_of": ["a", 1, true] }), json!(2), "unmet"),
        (json!({ "one_of": ["a", 1] }), json!(false), "unclear"),
        (json!(0), json!(-0.0), "met"),
        (json!(1), json!("1"), "unclear"),
        (json!("1"), json!(1), "unclear"),
        (json!("a"), json!(["a"]), "unclear"),
        (json!("a"), json!({ "a": "a" }), "unclear"),
        (json!("a"), Value::Null, "unclear"),
        (json!(true), json!("true"), "unclear"),
        (json!(9_007_199_254_740_991_u64), json!(9_007_199_254_740_993_u64), "unmet"),
    ] {
        assert_eq!(judge(&condition, &value), verdict, "{condition} {value}");
    }
}

#[test]
fn rs_035_ranges_of_numbers() {
    for (condition, value, verdict) in [
        (json!({ "min": 1, "max": 100 }), json!(1), "met"),
        (json!({ "min": 1, "max": 100 }), json!(100.0), "met"),
        (json!({ "min": 1, "max": 100 }), json!(100.001), "unmet"),
        (json!({ "min": 1, "max": 100 }), json!(-1), "unmet"),
        (json!({ "max": 100 }), json!(u64::MAX), "unmet"),
        (json!({ "max": 100 }), json!(1e300), "unmet"),
        (json!({ "min": -5 }), json!(i64::MIN), "unmet"),
        (json!({ "max": 9_007_199_254_740_991_u64 }), json!(9_007_199_254_740_992_u64), "unmet"),
        (json!({ "max": 100 }), json!("7"), "unclear"),
        (json!({ "max": 100 }), json!([7]), "unclear"),
    ] {
        assert_eq!(judge(&condition, &value), verdict, "{condition} {value}");
    }
}

#[test]
fn rs_035_t_78_patterns_do_not_speak_for_what_leads_elsewhere() {
    let condition = json!({ "matches": ["/public/*", "/exact/../path"] });
    for (value, verdict) in [
        ("/public/a b/\u{fc}", "met"),
        ("/exact/../path", "met"),
        ("/secret/a", "unmet"),
        ("/Public/a", "unmet"),
        ("/public/../etc/passwd", "unclear"),
        ("/public/..;x/etc", "unclear"),
        ("/public/ .. /etc", "unclear"),
        ("/public/./a", "unclear"),
        ("/public/%2E%2e/etc", "unclear"),
        ("/public/%252e/etc", "unclear"),
        ("/public/a%00", "unclear"),
        ("/public/a\0", "unclear"),
        ("/public/..\\etc", "unclear"),
        ("/public/\u{ff0e}\u{ff0e}/etc", "unclear"),
        ("/public/\u{2025}/etc", "unclear"),
        ("/public/..\u{ff0f}etc", "unclear"),
        ("/public/a\nb", "unclear"),
    ] {
        assert_eq!(judge(&condition, &json!(value)), verdict, "{value:?}");
    }
    assert_eq!(judge(&condition, &json!(7)), "unclear");
}

#[test]
fn rs_035_what_is_missing_or_can_be_read_in_two_ways_meets_nothing() {
    let all = constraints(&json!({ "path": "a", "/to/0/bank~1id": { "max": 3 } }));
    let good = json!({ "path": "a", "to": [{ "bank/id": 3 }], "other": [1] });
    assert!(all.allow(Some(&good)));
    assert_eq!(all.judge(None), Verdict::Unclear("/to/0/bank~1id"));
    for bad in [
        json!({ "path": "a" }),
        json!({ "path": "a", "to": [] }),
        json!({ "path": "a", "to": { "1": { "bank/id": 3 } } }),
        json!({ "path": "a", "to": [{ "bank/id": 4 }] }),
        json!({ "path": "b", "to": [{ "bank/id": 3 }] }),
        // Whoever folds names reads another value: Go, and whatever ends at NUL.
        json!({ "path": "a", "PATH": "b", "to": [{ "bank/id": 3 }] }),
        json!({ "path": "a", "path\0": "b", "to": [{ "bank/id": 3 }] }),
        json!({ "path": "a", "to": [{ "bank/id": 3, "ban\u{212a}/id": 9 }] }),
        json!(["a"]),
        json!("path"),
    ] {
        assert!(!all.allow(Some(&bad)), "{bad}");
    }
    assert!(Constraints::NONE.allow(None), "nothing is asked");
    let unlike = constraints(&json!({ "gr\u{f6}\u{df}e": 1 }));
    assert!(!unlike.allow(Some(&json!({ "gr\u{f6}\u{df}e": 1, "GR\u{d6}\u{df}E": 9 }))));
}

#[test]
fn rs_035_unmet_counts_more_than_unclear() {
    let two = constraints(&json!({ "a": 1, "b": 1 }));
    assert_eq!(two.judge(Some(&json!({ "b": 2 }))), Verdict::Unmet("b"));
    assert_eq!(two.judge(Some(&json!({ "b": 1 }))), Verdict::Unclear("a"));
}

#[test]
fn t_101_conditions_that_make_no_sense_are_refused() {
    let long = "x".repeat(1025);
    let many: Map<String, Value> = (0..33).map(|n| (n.to_string(), json!(1))).collect();
    for bad in [
        json!([]),
        json!("x"),
        Value::Object(many),
        json!({ "": 1 }),
        json!({ (long.as_str()): 1 }),
        json!({ "/a~2b": 1 }),
        json!({ "/a~": 1 }),
        json!({ "/1/2/3/4/5/6/7/8/9": 1 }),
        json!({ "x": null }),
        json!({ "x": ["a"] }),
        json!({ "x": {} }),
        json!({ "x": { "equals": [1] } }),
        json!({ "x": { "one_of": [] } }),
        json!({ "x": { "one_of": "a" } }),
        json!({ "x": { "one_of": vec![1; 65] } }),
        json!({ "x": (long.as_str()) }),
        json!({ "x": { "matches": 1 } }),
        json!({ "x": { "matches": [] } }),
        json!({ "x": { "matches": "a", "max": 1 } }),
        json!({ "x": { "maximum": 1 } }),
        json!({ "x": { "max": "1" } }),
        json!({ "x": { "min": 2, "max": 1 } }),
        json!({ "x": { "max": 9_007_199_254_740_992_u64 } }),
        json!({ "x": 1e300 }),
    ] {
        assert!(Constraints::parse(&bad).is_err(), "{bad}");
    }
}

#[test]
fn they_are_written_as_they_are_read_and_said_in_words() {
    let text = json!({
        "a": "x",
        "b": { "one_of": ["x", 1] },
        "c": { "matches": "y*" },
        "d": { "matches": ["y*", "z"] },
        "e": { "min": 1, "max": 2.5 },
        "f": { "max": 3 },
    });
    let read = constraints(&text);
    assert_eq!(read.to_value(), text);
    assert_eq!(constraints(&json!({ "a": { "equals": "x" } })).to_value(), json!({ "a": "x" }));
    let words: Vec<String> = read.in_words().collect();
    assert_eq!(
        words,
        [
            "a: \"x\"",
            "b: \"x\" or 1",
            "c: like \"y*\"",
            "d: like \"y*\" or \"z\"",
            "e: at least 1 and at most 2.5",
            "f: at most 3"
        ]
    );
}

#[test]
fn rs_035_the_arguments_of_a_call_are_read_as_they_are_sent_on() {
    let text = br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","\u0061rguments":{"p\u0061th":"a"}}}"#;
    let message = Message::parse(text, Message::LIMITS).unwrap();
    let arguments = message.call().unwrap().arguments();
    assert!(constraints(&json!({ "path": "a" })).allow(arguments.as_ref()));
    let twice = br#"{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"t","arguments":{"path":"a","path":"b"}}}"#;
    assert!(Message::parse(twice, Message::LIMITS).is_err());
}
