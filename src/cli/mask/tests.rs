//! What is blotted, and what is not.

use super::mask;
use proptest::prelude::*;
use std::fmt::Write;

/// Each line with what is to be shown of it.
fn check(lines: &[(&str, &str)]) {
    for (line, shown) in lines {
        assert_eq!(mask(line), *shown, "{line}");
    }
}

#[test]
fn secrets_are_blotted_out_and_nothing_else_is() {
    check(&[
        (
            "auth = { strategy = \"bearer\", token = \"s3cret\" }\n",
            "auth = { strategy = \"bearer\", token = \"******\" }\n",
        ),
        ("auth.password='p\"w'", "auth.password='***'"),
        ("\"token\" = \"a\\\"b\" # x", "\"token\" = \"****\" # *"),
        ("token = \"zażółć\"", "token = \"**********\""),
        ("token = \"${TOKEN}\"", "token = \"${TOKEN}\""),
        (
            "uri = \"https://ann:pw@h.example/x?token=1&a=2\"",
            "uri = \"https://******@h.example/x?***********\"",
        ),
        ("uri = \"https://h.example/a@b\"", "uri = \"https://h.example/a@b\""),
        ("headers = { x-key = \"abc\", y = 'd' }", "headers = { x-key = \"***\", y = '*' }"),
        ("headers.x-key = \"abc\"", "headers.x-key = \"***\""),
        (
            "[sinks.a.headers]\nx-key = \"abc\"\n[sinks.b]\nuri = \"abc\"",
            "[sinks.a.headers]\nx-key = \"***\"\n[sinks.b]\nuri = \"abc\"",
        ),
        ("path = \"token\"", "path = \"token\""),
        ("token = \"open", "token = \"****"),
        ("keys = [\"token\", \"a\"]", "keys = [\"token\", \"a\"]"),
    ]);
}

#[test]
fn what_a_reader_needs_stays() {
    for text in [
        "[sources.in]\ntype = \"stdni\" # which?\ndecoding.codec = \"jsn\"\n",
        "[sinks.auth_log]\ntype = \"console\"\ninputs = [\"in\"]\n[sinks.headers]\nbatch = { max_bytes = 0 }\n",
        "users = [\"ann@example.com\", \"robot-?\"]\nwhen = '.metadata.session_mode == \"app\"'\n",
        "tls = { crt_file = \"a.crt\", key_file = \"a.key\" }\nheader_read_timeout_secs = 0\n",
        "auth = { strategy = \"baerer\", user = \"ann\" }\n",
        "inputs = [\n  \"a\", # one\n  \"b\"\n]\npath = \"%Y/{{ metadata.session_mode }}.jsonl\"\n",
        "include = [\"/var/log/a?.log\"]\nuri = \"https://siem.example.com/#top\"\naddress = \"0.0.0.0:80\"\n",
        "type = stdin\n\n[sinks.out\ntype = \"console\"\ninputs = [\"in\"\n",
        "kyes = [\"code\"]\nrename = { code = \"x y\" }\ntype: \"console\"\n",
        "count = \"${N:-five}\"\n",
    ] {
        assert_eq!(mask(text), text);
    }
}

#[test]
fn names_need_not_be_right() {
    check(&[
        (
            "auth={strategy=\"basic\",user=\"u\",pasword=\"SEKRET\"}",
            "auth={strategy=\"basic\",user=\"u\",pasword=\"******\"}",
        ),
        ("tken=\"SEKRET\"", "tken=\"******\""),
        ("tokn = 'SEKRET'", "tokn = '******'"),
        ("api_key = \"SEKRET\"", "api_key = \"******\""),
        ("header = {Authorization=\"Bearer SEKRET\"}", "header = {Authorization=\"*************\"}"),
        ("auth = \"SEKRET\"", "auth = \"******\""),
        ("auth.strategy = \"Bearer SEKRET\"", "auth.strategy = \"*************\""),
        ("user = \"a:SEKRET\"", "user = \"a:******\""),
        ("[sinks.a.auth]\nusr = \"SEKRET\"", "[sinks.a.auth]\nusr = \"******\""),
        (
            "[sinks.headers]\nx = \"SEKRET\"\ntype = \"http\"",
            "[sinks.headers]\nx = \"******\"\ntype = \"http\"",
        ),
    ]);
}

#[test]
fn values_may_have_any_form() {
    check(&[
        ("token = [\"SEKRET\",\n'SEKRET']\nrate = 1", "token = [\"******\",\n'******']\nrate = 1"),
        ("token = \"\"\"\nSEKRET\n\"\"\"\nrate = 1", "token = \"\"\"\n******\n\"\"\"\nrate = 1"),
        ("token = '''SEK'RET''''\nrate = 1", "token = '''*******''''\nrate = 1"),
        ("token = \"${T:-SEK RET SEKRET}x\"", "token = \"${T:-**************}*\""),
        ("token = \"$${SEKRET}${T}\"", "token = \"**********${T}\""),
        ("token = \"${T-SEKRET}${T:-SEKRET\"", "token = \"${T*******}***********\""),
        ("token = { a = \"SEKRET\" }", "token = { a = \"******\" }"),
        ("token = 12345", "token = *****"),
        ("auth = { # SEKRET\n  token = \"SEKRET\"\n}", "auth = { # ******\n  token = \"******\"\n}"),
    ]);
}

#[test]
fn addresses_need_no_scheme() {
    check(&[
        ("uri = \"user:SEKRET@127.0.0.1/x\"", "uri = \"***********@127.0.0.1/x\""),
        ("uri = \"h/?token=SEKRET\"", "uri = \"h/?************\""),
        ("x = \"http://u:SEK/RET@h/?a\"", "x = \"http://*********@h/?*\""),
        ("x = \"u:SEKRET@h\"", "x = \"********@h\""),
        ("x = \"host=h password=SEKRET\"", "x = \"host=h password=******\""),
        ("x = \"Bearer SEKRET\"", "x = \"Bearer ******\""),
        ("uri = [\"u:SEKRET@h\"]", "uri = [\"********@h\"]"),
        ("uri = http://u:SEKRET@h/", "uri = http://********@h/"),
    ]);
}

#[test]
fn it_need_not_be_toml() {
    check(&[
        ("token=SEKRET", "token=******"),
        ("token = SEK=RET, SEKRET # x", "token = *******, ****** # *"),
        ("headers={Authorization:\"Bearer SEKRET\"}", "headers={Authorization:\"*************\"}"),
        ("token: \"SEKRET\"", "token: \"******\""),
        ("token \"SEKRET\"", "token \"******\""),
        ("api token = \"SEKRET\"", "api token = \"******\""),
        ("token =\n\"SEKRET\"\nrate = 1", "token =\n\"******\"\nrate = 1"),
        ("token = \"SEK\nRET=\"\nrate = 1", "token = \"***\n****\"\nrate = 1"),
        ("inputs = [\"in\"\ntoken = \"SEKRET\"", "inputs = [\"in\"\ntoken = \"******\""),
        (
            "a = [{\n[sinks.b.headers]\nx = \"SEKRET\"\n[sinks.c]\nx = 1",
            "a = [{\n[sinks.b.headers]\nx = \"******\"\n[sinks.c]\nx = 1",
        ),
        ("message = \"\"\"x\ntoken = \"SEKRET\"", "message = \"\"\"x\ntoken = \"******\""),
        ("message = \"x, token = \"SEKRET\"", "message = \"x, token = \"******\""),
        ("[sinks.a.headers\nx = \"SEKRET\"", "[sinks.a.headers\nx = \"******\""),
    ]);
}

#[test]
fn the_time_grows_with_the_length_only() {
    let parts = [
        "{",
        "[",
        "\"",
        "'",
        "=",
        "a",
        " ",
        "$",
        "${",
        "${a:-",
        "a.",
        "\"\"\"",
        "'''",
        "{a=1},",
        "?",
        "@",
        "#",
        "\n",
        "a\n",
        "token=",
        "token ",
        "\\",
        "[a\n",
        "://",
        "\"a\",",
        "auth.",
        "=\"",
        "a=\"\"\"\n",
        ",",
    ];
    for part in parts {
        for before in ["", "token = ", "token = \"", "x = [", "token = [", "uri = "] {
            let mut text = before.to_owned();
            for _ in 0..20_000 {
                text.write_str(part).unwrap();
            }
            assert_eq!(mask(&text).len(), text.len(), "{before}{part}");
        }
    }
}

proptest! {
    #[test]
    fn the_length_and_the_lines_stay_whatever_the_text(
        text in "([a-z\"'=. \\\\\n\r\\[\\]{}#é?:/@$,]|token|headers|auth|user|strategy|uri|://|\"\"\"|'''|\\$\\{A|:-|\\[sinks){0,80}"
    ) {
        let masked = mask(&text);
        prop_assert_eq!(masked.len(), text.len());
        let lines = |text: &str| text.match_indices(['\n', '\r']).map(|(at, _)| at).collect::<Vec<usize>>();
        prop_assert_eq!(lines(&masked), lines(&text));
        // What is not blotted is as it was, so that it may be masked again.
        prop_assert!(text.bytes().zip(masked.bytes()).all(|(old, new)| old == new || new == b'*'));
    }

    #[test]
    fn the_value_of_a_secret_is_never_shown(
        before in "([a-z\"'=. \n\\[\\]{}#:,]|\"\"\"|uri|inputs){0,20}",
        value in "(Q|[ \\\\$}:,\\[\\]]){1,12}",
    ) {
        for (open, close) in [("\"", "\""), ("\"\"\"", "\"\"\""), ("\"\"\"\n", "\n\"\"\""), ("[\"", "\"]")] {
            // Its own line in a table of its own: what is in front may not be closed.
            let text = format!("{before}\n[sinks.a.auth]\ntoken = {open}{value}{close}\nrate = 1\n");
            let in_string = before.contains("\"\"\"") || before.contains("'''");
            let masked = mask(&text);
            prop_assert!(in_string || !masked.contains('Q'), "{}\n{}", text, masked);
        }
    }
}
