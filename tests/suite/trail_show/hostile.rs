//! Records that somebody has made up: none of them drives the terminal, or looks like another one.

use super::path;
use crate::harness::Run;

/// The lines of a trail, and what each of them has to show.
const LINES: [(&[u8], &str); 13] = [
    (br#"{"metadata":{"event":"code.evaluate","code":"\u001b[2J\u001b]0;x\u0007\u009b31m\r\u202e"}}"#, "\\u{1B}[2J\\u{1B}]0;x\\u{7}\\u{9B}31m\\u{D}\\u{202E}"),
    (br#"{"time":"2026-01-01T00:00:00Z","metadata":{"code":"1","users":[{"name":"Ann\n99  2026-01-01 00:00:00Z  app"}]}}"#, "Ann\\u{A}99  2026"),
    (br#"{"time":"\n99  \u001b[31m","metadata":{"code":"1","session_mode":"x\n99  y"}}"#, "x\\u{A}99  y"),
    (br#"{"message":"first\n99  second","severity":"\u001b[0m"}"#, "\n    99  second"),
    (br#"{"metadata":{"code":"\ud83d\ude00 \u0000"}}"#, "\u{1f600} \\u{0}"),
    ("{\"metadata\":{\"code\":\"a\u{200b}b\u{ad}c\u{2060}d\u{feff}e\u{e0041}f\u{2764}\u{fe0f}\"}}".as_bytes(), "a\\u{200B}b\\u{AD}c\\u{2060}d\\u{FEFF}e\\u{E0041}f\u{2764}\u{fe0f}"),
    (b"\x1b[2J no JSON \x9b \xff\r", "\\u{1B}[2J no JSON \\x9B \\xFF\\u{D}"),
    (b"{\"message\":\"\xff\"}", "{\"message\":\"\\xFF\"}"),
    (br#"{"metadata":{"code":"\ud800"}}"#, "(no JSON object)\n    {\"metadata\":{\"code\":\"\\ud800\"}}"),
    (b"[1,2]", "(no JSON object)\n    [1,2]"),
    (b"", "(no JSON object)\n    \n"),
    (br#"{"metadata":[{"code":"x"}],"users":7,"time":{}}"#, "{\"metadata\":[{\"code\":\"x\"}]"),
    (br#"{"metadata":{"code":"first","code":"last","users":{"name":"u"},"session_mode":["m"]}}"#, "    last"),
];

fn run(args: &[&str]) -> Run {
    let text: Vec<u8> = LINES.iter().flat_map(|(line, _)| [*line, b"\n"].concat()).collect();
    Run::new(&["trail", "show", "audit"]).arg_all(args).file(&path(0), "").bytes(&path(0), &text)
}

#[test]
fn records_act_on_nothing_and_look_like_no_other() {
    let shown = run(&[]).run().exits(0).stdout;
    let is_odd = |char: char| (char.is_control() && char != '\n') || char == '\u{202e}';
    assert!(!shown.contains(is_odd), "{shown:?}");
    let heads: Vec<&str> =
        shown.lines().filter(|line| !line.is_empty() && !line.starts_with("    ")).collect();
    assert_eq!(heads.len(), LINES.len(), "{shown}");
    let mut rest = shown.as_str();
    for (index, (_, wanted)) in LINES.iter().enumerate() {
        assert!(heads[index].starts_with(&format!("{index}  ")), "{heads:#?}");
        let at = rest.find(wanted).unwrap_or_else(|| panic!("{wanted}\nin:\n{rest}"));
        rest = &rest[at..];
    }
}

#[test]
fn no_condition_makes_them_worse() {
    for (args, expected) in [
        (&["--user", "*"][..], 1),
        (&["--mode", "app"], 0),
        (&["--grep", "\x1b[2J"], 2),
        (&["--grep", "no json", "-i"], 1),
        (&["--grep", "last"], 1),
        (&["--grep", "first"], 1),
        (&["--since", "2025-01-01"], 1),
        (&["--reverse"], 13),
        (&["-n", "13"], 13),
    ] {
        let shown = run(args).run().exits(0).stdout;
        let heads = shown.lines().filter(|line| !line.is_empty() && !line.starts_with("    ")).count();
        assert_eq!(heads, expected, "{args:?}: {shown}");
    }
}

#[test]
fn what_is_deep_or_long_is_shown_too() {
    let deep = "{\"metadata\":{\"code\":".to_owned() + &"[".repeat(100_000);
    let long = format!("{{\"metadata\":{{\"code\":\"{}end\"}}}}", "x = 1\\n".repeat(300_000));
    let text = format!("{deep}\n{long}\n{{\"message\":\"behind\"}}\n");
    let run = |args: &[&str]| Run::new(&["trail", "show", "audit"]).arg_all(args).file(&path(0), &text);
    let shown = run(&[]).run().exits(0).stdout;
    assert!(shown.starts_with("0  (no JSON object)\n    {\"metadata\"") && shown.ends_with("\n2  behind\n"));
    assert_eq!(shown.lines().count(), 2 + 1 + 300_002 + 2);
    assert!(run(&["--grep", "1\nend"]).run().exits(0).stdout.starts_with("1  unknown mode\n"));
    assert_eq!(run(&["-n", "1"]).run().exits(0).stdout, "2  behind\n");
}
