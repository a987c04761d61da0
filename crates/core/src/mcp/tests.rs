//! One reading or none: what other parsers were fooled by, and what must pass unchanged.

use super::{Message, MessageError, Outcome, Raw, error_body};
use crate::json::Limits;
use serde_json::{Value, json};

fn parse(text: &str) -> Result<Message, MessageError> {
    Message::parse(text.as_bytes(), Message::LIMITS)
}

fn canonical(text: &str) -> String {
    String::from_utf8(parse(text).expect(text).to_canonical()).unwrap()
}

/// A `tools/call` with more members of the envelope, and with these parameters.
fn call(envelope: &str, params: &str) -> String {
    format!(r#"{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}{envelope}}}"#)
}

/// So many members, all different.
fn numbered(count: usize) -> String {
    (0..count).map(|n| format!("\"m{n}\":0,")).collect::<Vec<_>>().concat()
}

#[test]
fn rs_049_the_three_kinds() {
    let request =
        parse(r#"{"jsonrpc":"2.0","id":"a-1","method":"tools/call","params":{"name":"echo"}}"#).unwrap();
    assert!(matches!(request, Message::Request { .. }));
    assert_eq!(request.id().map(Raw::as_str), Some("\"a-1\""));
    assert_eq!((request.method(), request.name()), (Some("tools/call"), Some("echo")));
    let notification = parse(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).unwrap();
    assert!(matches!(notification, Message::Notification { .. }));
    assert_eq!((notification.id(), notification.name()), (None, None));
    let response = parse(r#"{"jsonrpc":"2.0","id":-7,"result":{"tools":[]}}"#).unwrap();
    let Message::Response { id: Some(id), outcome: Outcome::Result(result) } = &response else { panic!() };
    assert_eq!((id.as_str(), result.to_value()), ("-7", Some(json!({"tools": []}))));
    for id in ["null", "1"] {
        let text = format!(r#"{{"jsonrpc":"2.0","id":{id},"error":{{"code":-1,"message":"x"}}}}"#);
        assert_eq!(canonical(&text), text);
    }
    let text = r#"{"jsonrpc":"2.0","error":{"code":-1}}"#;
    assert_eq!(canonical(text), r#"{"jsonrpc":"2.0","id":null,"error":{"code":-1}}"#);
}

#[test]
fn rs_049_what_is_no_message() {
    use MessageError as E;
    for (text, rule) in [
        ("", E::Syntax),
        ("{}", E::JsonRpcVersion),
        ("\u{feff}{}", E::ByteOrderMark),
        ("null", E::NotAnObject),
        ("\"{}\"", E::NotAnObject),
        ("[]", E::Batch),
        (r#"[{"jsonrpc":"2.0","id":1,"method":"ping"}]"#, E::Batch),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping"}{}"#, E::TrailingData),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping"}x"#, E::TrailingData),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping"},"#, E::TrailingData),
        ("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"ping\"}\0", E::TrailingData),
        (r#"{"jsonrpc":"1.0","id":1,"method":"ping"}"#, E::JsonRpcVersion),
        (r#"{"jsonrpc":2.0,"id":1,"method":"ping"}"#, E::JsonRpcVersion),
        (r#"{"id":1,"method":"ping"}"#, E::JsonRpcVersion),
        (r#"{"jsonrpc":"2.0"}"#, E::Incomplete),
        (r#"{"jsonrpc":"2.0","id":1}"#, E::Incomplete),
        (r#"{"jsonrpc":"2.0","id":1,"params":{}}"#, E::Incomplete),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}"#, E::Ambiguous),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","error":{}}"#, E::Ambiguous),
        (r#"{"jsonrpc":"2.0","id":1,"result":{},"error":{}}"#, E::Ambiguous),
        (r#"{"jsonrpc":"2.0","id":1,"result":{},"params":{}}"#, E::Ambiguous),
        (r#"{"jsonrpc":"2.0","id":1,"error":"x"}"#, E::Error),
        (r#"{"jsonrpc":"2.0","result":{}}"#, E::Id),
        (r#"{"jsonrpc":"2.0","id":null,"result":{}}"#, E::Id),
        (r#"{"jsonrpc":"2.0","id":null,"method":"ping"}"#, E::Id),
        (r#"{"jsonrpc":"2.0","id":1.0,"method":"ping"}"#, E::Id),
        (r#"{"jsonrpc":"2.0","id":1e0,"method":"ping"}"#, E::Id),
        (r#"{"jsonrpc":"2.0","id":true,"method":"ping"}"#, E::Id),
        (r#"{"jsonrpc":"2.0","id":[1],"method":"ping"}"#, E::Id),
        (r#"{"jsonrpc":"2.0","id":{},"method":"ping"}"#, E::Id),
        (r#"{"jsonrpc":"2.0","id":123456789012345678901,"method":"ping"}"#, E::Id),
        (r#"{"jsonrpc":"2.0","id":1,"method":1}"#, E::Method),
        (r#"{"jsonrpc":"2.0","id":1,"method":null}"#, E::Method),
        (r#"{"jsonrpc":"2.0","id":1,"method":""}"#, E::Method),
        (r#"{"jsonrpc":"2.0","id":1,"method":["tools/call"]}"#, E::Method),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":null}"#, E::Params),
        (r#"{"jsonrpc":"2.0","id":1,"method":"ping","params":"x"}"#, E::Params),
    ] {
        assert_eq!(parse(text), Err(rule), "{text}");
    }
    assert_eq!(Message::parse(b"{\"jsonrpc\":\"2.0\",\"id\":\"\xff\"}", Message::LIMITS), Err(E::NotUtf8));
}

#[test]
fn rs_049_sizes_are_bounded() {
    let ping = |id: &str, method: &str| format!(r#"{{"jsonrpc":"2.0","id":{id},"method":"{method}"}}"#);
    assert!(parse(&ping("1", &"m".repeat(256))).is_ok());
    assert_eq!(parse(&ping("1", &"m".repeat(257))), Err(MessageError::Method));
    assert!(parse(&ping(&format!("\"{}\"", "i".repeat(254)), "m")).is_ok());
    assert_eq!(parse(&ping(&format!("\"{}\"", "i".repeat(255)), "m")), Err(MessageError::Id));
    assert!(parse(&ping("-9223372036854775808", "m")).is_ok());
    let text = call("", r#"{"name":"a"}"#);
    let limits = Limits { bytes: text.len(), depth: 2 };
    assert!(Message::parse(text.as_bytes(), limits).is_ok());
    assert_eq!(
        Message::parse(text.as_bytes(), Limits { bytes: text.len() - 1, ..limits }),
        Err(MessageError::TooLong)
    );
    assert_eq!(Message::parse(text.as_bytes(), Limits { depth: 1, ..limits }), Err(MessageError::TooDeep));
    assert!(parse(&call("", &format!(r#"{{{}"name":"a"}}"#, numbered(63)))).is_ok());
    let many =
        [call("", &format!(r#"{{{}"name":"a"}}"#, numbered(64))), format!("{{{}\"a\":1}}", numbered(64))];
    for text in many {
        assert_eq!(parse(&text), Err(MessageError::TooManyMembers));
    }
    let name = |length| call("", &format!(r#"{{"name":"{}"}}"#, "n".repeat(length)));
    assert!(parse(&name(4096)).is_ok());
    assert_eq!(parse(&name(4097)), Err(MessageError::Name));
}

#[test]
fn rs_049_nesting_ends_before_the_stack_does() {
    let nested = |depth: usize| {
        call("", &format!(r#"{{"name":"a","arguments":{}{}}}"#, "[".repeat(depth), "]".repeat(depth)))
    };
    assert!(parse(&nested(62)).is_ok());
    assert_eq!(parse(&nested(63)), Err(MessageError::TooDeep));
    for open in ["[", "{\"a\":", "[{\"a\":"] {
        let bomb = call("", &format!(r#"{{"name":"a","arguments":{}"#, open.repeat(500_000)));
        assert_eq!(parse(&bomb), Err(MessageError::TooDeep));
    }
}

#[test]
fn rs_049_json_is_strict() {
    for value in [
        "01",
        "-",
        "1.",
        ".5",
        "1e",
        "+1",
        "0x1",
        "NaN",
        "Infinity",
        "tru",
        "nul",
        "True",
        "'a'",
        "\"a",
        "\"\\x\"",
        "\"\\u12g4\"",
        "\"\\u+123\"",
        "\"\\u12\"",
        "\"a\nb\"",
        "\"\t\"",
        "\"\0\"",
        "[1,]",
        "[,]",
        "[1 2]",
        "{\"a\":1,}",
        "{a:1}",
        "{\"a\"}",
        "{1:1}",
        "{\"a\":}",
        "[1}",
        "/**/1",
        "\u{a0}1",
        "\u{b}1",
    ] {
        assert_eq!(
            parse(&call("", &format!(r#"{{"name":"a","x":{value}}}"#))),
            Err(MessageError::Syntax),
            "{value}"
        );
    }
    let long = "1".repeat(129);
    assert_eq!(parse(&call("", &format!(r#"{{"name":"a","x":{long}}}"#))), Err(MessageError::NumberTooLong));
}

#[test]
fn rs_049_half_a_surrogate_pair_is_no_character() {
    for text in
        [r"\ud800", r"\udc00", r"\ud800\ud800", r"\ud800x", r"\ud800\n", r"\udc00\ud800", r"\uD83D\u0041"]
    {
        assert_eq!(
            parse(&call("", &format!(r#"{{"name":"a","x":"{text}"}}"#))),
            Err(MessageError::Syntax),
            "{text}"
        );
        assert_eq!(parse(&call("", &format!(r#"{{"name":"{text}"}}"#))), Err(MessageError::Syntax), "{text}");
    }
    assert_eq!(parse(&call("", r#"{"name":"\ud83d\ude00"}"#)).unwrap().name(), Some("😀"));
}

#[test]
fn rs_049_big_numbers_pass_unchanged() {
    for number in [
        "9007199254740993",
        "18446744073709551616",
        "-0",
        "1e400",
        "1E-400",
        "0.1000000000000000055511151231257827",
    ] {
        let text = call("", &format!(r#"{{"name":"a","arguments":{{"n":{number}}}}}"#));
        assert!(canonical(&text).contains(&format!(r#"{{"n":{number}}}"#)), "{number}");
    }
}

#[test]
fn t_76_duplicates_are_refused_at_every_depth() {
    let many: String = numbered(50);
    let wide: String = numbered(50_000);
    for text in [
        call("", &format!(r#"{{"name":"a","arguments":{{"m7":1,{wide}"z":0}}}}"#)),
        call(r#","method":"tools/list""#, r#"{"name":"a"}"#),
        call(r#","\u006dethod":"tools/list""#, r#"{"name":"a"}"#),
        call(r#","params":{"name":"b"}"#, r#"{"name":"a"}"#),
        call(r#","id":1"#, r#"{"name":"a"}"#),
        call(r#","x":1,"x":1"#, r#"{"name":"a"}"#),
        call(r#","x":{"y":1,"y":1}"#, r#"{"name":"a"}"#),
        call("", r#"{"name":"a","name":"b"}"#),
        call("", r#"{"name":"a","n\u0061me":"b"}"#),
        call("", r#"{"name":"a","arguments":{"path":"x","path":"y"}}"#),
        call("", r#"{"name":"a","arguments":{"a":[[{"b":{"c":1,"d":2,"c":3}}]]}}"#),
        call("", r#"{"name":"a","arguments":{"":1,"":2}}"#),
        call("", &format!(r#"{{"name":"a","arguments":{{"m7":1,{many}"z":0}}}}"#)),
        call("", &format!(r#"{{"name":"a",{many}"n\u0061me":"b"}}"#)),
    ] {
        assert_eq!(parse(&text), Err(MessageError::DuplicateMember), "{text}");
    }
    // The same name in different objects is no duplicate.
    let text = call(
        "",
        &format!(r#"{{"name":"a","arguments":{{{many}"name":{{"name":[{{"name":1}},{{"name":2}}]}}}}}}"#),
    );
    assert!(parse(&text).is_ok());
}

#[test]
fn t_76_names_that_fold_to_known_ones_are_refused() {
    for text in [
        call(r#","Method":"tools/list""#, r#"{"name":"a"}"#),
        call(r#","METHOD":"tools/list""#, r#"{"name":"a"}"#),
        call(r#","Params":{"name":"b"}"#, r#"{"name":"a"}"#),
        call(",\"param\u{17f}\":{\"name\":\"b\"}", r#"{"name":"a"}"#),
        call(r#","param\u017f":{"name":"b"}"#, r#"{"name":"a"}"#),
        call(r#","method\u0000":"tools/list""#, r#"{"name":"a"}"#),
        call(r#","method\u0000\u0000":"tools/list""#, r#"{"name":"a"}"#),
        call(r#","METHOD\u0000":"tools/list""#, r#"{"name":"a"}"#),
        call(r#","Id":2"#, r#"{"name":"a"}"#),
        call(",\"re\u{17f}ult\":{}", r#"{"name":"a"}"#),
        call(r#","Error":{}"#, r#"{"name":"a"}"#),
        call("", r#"{"name":"a","Name":"b"}"#),
        call("", r#"{"name":"a","name\u0000":"b"}"#),
        call("", r#"{"Name":"b"}"#),
        call("", r#"{"name":"a","URI":"b"}"#),
        call("", "{\"name\":\"a\",\"argument\u{17f}\":{}}"),
        call("", r#"{"name":"a","_META":{}}"#),
        call("", r#"{"name":"a","token":1,"Token":2}"#),
        call("", "{\"name\":\"a\",\"token\":1,\"to\u{212a}en\":2}"),
        call("", r#"{"name":"a","to\u212aen":1,"token\u0000":2}"#),
        call("", r#"{"name":"a","_meta":{"io.modelcontextprotocol/protocolversion":"2026-07-28"}}"#),
        call("", r#"{"name":"a","_meta":{"a":1,"A":2}}"#),
    ] {
        assert_eq!(parse(&text), Err(MessageError::FoldedMember), "{text}");
    }
    let wide: String = numbered(20);
    assert_eq!(parse(&call("", &format!(r#"{{{wide}"M7":1,"name":"a"}}"#))), Err(MessageError::FoldedMember));
    // Arguments belong to the tool: nobody decides on them, and schemas may know `id` and `ID`.
    assert!(parse(&call("", r#"{"name":"a","arguments":{"id":1,"ID":2,"Name":3}}"#)).is_ok());
    assert!(
        parse(&call(r#","Trace":1,"methods":2,"\u0000method":3"#, r#"{"name":"a","requestState":"x"}"#))
            .is_ok()
    );
}

#[test]
fn b_37_arrays_are_no_objects() {
    assert_eq!(parse(r#"["2.0",1,"tools/call",["danger"]]"#), Err(MessageError::Batch));
    assert_eq!(parse(&call("", r#"["danger"]"#)), Err(MessageError::Params));
    assert_eq!(parse(&call("", r#"[{"name":"danger"}]"#)), Err(MessageError::Params));
}

#[test]
fn b_37_what_is_acted_on_is_a_plain_string() {
    let with = |method: &str, params: &str| {
        parse(&format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}","params":{params}}}"#))
    };
    for method in ["tools/call", "prompts/get", "resources/read", r"tools\/call", r"tools\u002fcall"] {
        for params in [
            "{}",
            r#"{"name":null,"uri":null}"#,
            r#"{"name":1,"uri":1}"#,
            r#"{"name":["a"],"uri":["a"]}"#,
            r#"{"name":"","uri":""}"#,
            r#"{"name":"a\u0000","uri":"a\u0000"}"#,
            r#"{"name":"a\n","uri":"a\n"}"#,
            r#"{"name":"a\u0085","uri":"a\u0085"}"#,
        ] {
            assert_eq!(with(method, params), Err(MessageError::Name), "{method} {params}");
        }
    }
    assert_eq!(parse(r#"{"jsonrpc":"2.0","method":"tools/call"}"#), Err(MessageError::Name));
    let both = r#"{"name":"n\u0061me","uri":"file:\/\/\/x"}"#;
    assert_eq!(with("tools/call", both).unwrap().name(), Some("name"));
    assert_eq!(with("prompts/get", both).unwrap().name(), Some("name"));
    assert_eq!(with("resources/read", both).unwrap().name(), Some("file:///x"));
    assert_eq!(with("tools/list", both).unwrap().name(), None);
    assert_eq!(with("Tools/Call", "{}").unwrap().name(), None);
    assert_eq!(with(r"tools/call\u0000", "{}"), Err(MessageError::Method));
}

#[test]
fn b_37_only_the_envelope_is_sent_on_in_plain_form() {
    let text = " {\n\"x\": 1, \"params\" :\t{ \"name\" : \"a b\\\\\" , \"arguments\":{\"z\":1,\"a\":[ 1 , \" \\\" \" ]}},\r\n \
                \"m\\u0065thod\": \"tools\\/call\",\"id\" : \"\\u0061\", \"jsonrpc\":\"2\\u002e0\" } ";
    assert_eq!(
        canonical(text),
        r#"{"jsonrpc":"2.0","id":"\u0061","method":"tools/call","params":{"name":"a b\\","arguments":{"z":1,"a":[1," \" "]}}}"#
    );
    let plain = r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"x"}}"#;
    assert_eq!(canonical(plain), plain);
}

/// Behind stdio a line is a message: what stands on a line of its own was not looked at.
#[test]
fn t_76_a_message_is_one_line() {
    let inner = r#"{"jsonrpc":"2.0","id":2,"method":"tools/call","params":{"name":"danger"}}"#;
    for end in ["\n", "\r", "\r\n", "\n\n"] {
        let text = call("", &format!("{{\"name\":\"a\",\"arguments\":{{\"x\":{end}{inner}{end}}}}}"));
        assert!(!canonical(&text).contains(['\n', '\r']));
    }
    for end in ["\u{2028}", "\u{2029}", "\u{85}"] {
        let text = call("", &format!(r#"{{"name":"a","arguments":{{"x":"{end}é\\{end}"}}}}"#));
        let written = canonical(&text);
        assert!(!written.contains(end) && written.contains('é'));
        let reread: Value = serde_json::from_str(&written).unwrap();
        assert_eq!(reread, serde_json::from_str::<Value>(&text).unwrap());
    }
}

#[test]
fn rs_051_the_version_inside_is_found() {
    let with = |version: &str| {
        parse(&call(
            "",
            &format!(r#"{{"_meta":{{"io.modelcontextprotocol/protocolVersion":{version}}},"name":"a"}}"#),
        ))
    };
    assert_eq!(with("\"2026-07-28\"").unwrap().protocol_version(), Some("2026-07-28"));
    assert_eq!(with("1"), Err(MessageError::ProtocolVersion));
    let elsewhere =
        r#"{"name":"a","arguments":{"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}}}"#;
    assert_eq!(parse(&call("", elsewhere)).unwrap().protocol_version(), None);
    let top = r#","_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28"}"#;
    assert_eq!(parse(&call(top, r#"{"name":"a"}"#)).unwrap().protocol_version(), None);
}

#[test]
fn ids_can_be_changed_and_errors_name_them() {
    let message = parse(&call("", r#"{"name":"a"}"#)).unwrap().with_id(Raw::integer(77));
    assert_eq!(
        message.to_canonical(),
        br#"{"jsonrpc":"2.0","id":77,"method":"tools/call","params":{"name":"a"}}"#
    );
    let body = error_body(message.id(), super::error::HEADER_MISMATCH, "a \"b\"\n\u{2028}");
    assert_eq!(
        String::from_utf8(body.clone()).unwrap(),
        r#"{"jsonrpc":"2.0","id":77,"error":{"code":-32020,"message":"a \"b\"\u000a\u2028"}}"#
    );
    assert!(Message::parse(&body, Message::LIMITS).is_ok());
    assert!(error_body(None, -32700, "x").starts_with(br#"{"jsonrpc":"2.0","id":null,"#));
    assert_eq!(MessageError::Syntax.code(), -32700);
    assert_eq!(MessageError::Batch.code(), -32600);
    assert_eq!(MessageError::Name.code(), -32602);
}

#[test]
fn t_98_arguments_are_not_in_debug_output() {
    let shown = format!("{:?}", parse(&call("", r#"{"name":"a","arguments":{"password":"hunter2"}}"#)));
    assert!(!shown.contains("hunter2"), "{shown}");
    assert_eq!(Raw::from_value(&json!({"a": "\u{2028}"})).as_str(), r#"{"a":"\u2028"}"#);
}
