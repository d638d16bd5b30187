//! Options of `redact`, and configurations of gitleaks, as a user meets them.

use super::{config, through};
use crate::dice::Dice;
use crate::harness::Run;
use crate::logs::{structured_json, twins_json};
use serde_json::{Value, json};

fn code_of(event: &Value) -> &str {
    event["metadata"]["code"].as_str().unwrap()
}

/// What becomes of a code under a file of rules.
#[track_caller]
fn by(rules: &str, code: &str) -> String {
    let text = config("built_in = false\nrules_file = \"rules.toml\"");
    let run = Run::new(&["-c", "c.toml"]).file("c.toml", &text).file("rules.toml", rules);
    let events = run.stdin(structured_json(1, code)).run().exits(0).events();
    code_of(&events[0]).to_owned()
}

#[track_caller]
fn refused(rules: &str) -> String {
    let text = config("rules_file = \"rules.toml\"");
    let run = Run::new(&["validate", "-c", "c.toml"]).file("c.toml", &text).file("rules.toml", rules);
    run.run().exits(2).stderr
}

#[test]
fn a_rule_of_a_file_finds_what_it_says() {
    let rule = "title = \"ours\"\n[[rules]]\nid = \"badge\"\ndescription = \"d\"\ntags = [\"x\"]\n";
    for (more, code, expected) in [
        ("regex = '''badge-[0-9]{4}'''\nkeywords = [\"BADGE\"]", "a badge-1234 b", "a [REDACTED:badge] b"),
        ("regex = '''badge-[0-9]{4}'''", "a badge-1234 b", "a [REDACTED:badge] b"),
        ("regex = '''badge-[0-9]{4}'''\nkeywords = [\"none\"]", "a badge-1234 b", "a badge-1234 b"),
        ("regex = '''badge=(\\w+);(\\w+)'''", "badge=ab;cd", "badge=[REDACTED:badge];cd"),
        ("regex = '''badge=(\\w+);(\\w+)'''\nsecretGroup = 2", "badge=ab;cd", "badge=ab;[REDACTED:badge]"),
        (
            "regex = '''badge=(\\w+)'''\nentropy = 1.0",
            "badge=ab badge=abc",
            "badge=ab badge=[REDACTED:badge]",
        ),
        ("regex = '''(?i)\\bbadge\\x3d([^\\s]+)'''", "BADGE=zażółć", "BADGE=[REDACTED:badge]"),
        ("regex = '''x{,2}[[]'''", "x{,2}[", "[REDACTED:badge]"),
        ("regex = '''badge \\p{Lu}+'''", "badge ŻÓŁĆ", "[REDACTED:badge]"),
        ("regex = '''badge-.'''", "badge-ż", "[REDACTED:badge]"),
        (
            "regex = '''b=(\\w+)'''\nallowlist = { regexes = [\"^ok\"] }",
            "b=ok1 b=no",
            "b=ok1 b=[REDACTED:badge]",
        ),
        (
            "regex = '''b=(\\w+)'''\n[[rules.allowlists]]\nstopwords = [\"OK\"]",
            "b=1ok b=no",
            "b=1ok b=[REDACTED:badge]",
        ),
        (
            "regex = '''b=(\\w+)'''\n[[rules.allowlists]]\nregexTarget = \"match\"\nregexes = [\"^b=o\"]",
            "b=ok b=no",
            "b=ok b=[REDACTED:badge]",
        ),
        (
            "regex = '''b=(\\w+)'''\n[[rules.allowlists]]\nregexTarget = \"line\"\nregexes = [\"# ok\"]",
            "b=a # ok\nb=a",
            "b=a # ok\nb=[REDACTED:badge]",
        ),
        (
            "regex = '''b=(\\w+)'''\n[[rules.allowlists]]\ncondition = \"AND\"\nregexes = [\"^a\"]\nstopwords = [\"z\"]",
            "b=az b=ax",
            "b=az b=[REDACTED:badge]",
        ),
        (
            "regex = '''b=(\\w+)'''\n[[allowlists]]\ntargetRules = [\"other\"]\nregexes = [\".\"]",
            "b=ax",
            "b=[REDACTED:badge]",
        ),
        (
            "regex = '''b=(\\w+)'''\n[allowlist]\npaths = [\"x\"]\nregexes = [\"^a\"]",
            "b=ax b=bx",
            "b=ax b=[REDACTED:badge]",
        ),
    ] {
        assert_eq!(by(&format!("{rule}{more}\n"), code), expected, "{more}");
    }
}

#[test]
fn a_file_brings_the_built_in_rules_or_replaces_some_of_them() {
    let token = crate::redact::labelled::draw("ghp_⟦X:36⟧", &mut Dice::new(1));
    let rule = "[[rules]]\nid = \"github-token\"\nregex = '''badge-\\d+'''\n";
    assert_eq!(by(rule, &format!("badge-1 {token}")), format!("[REDACTED:github-token] {token}"));
    let extended = "[extend]\nuseDefault = true\n[[rules]]\nid = \"badge\"\nregex = '''badge-\\d+'''\n";
    assert_eq!(by(extended, &format!("badge-1 {token}")), "[REDACTED:badge] [REDACTED:github-token]");
    let off = extended.replace("= true", "= true\ndisabledRules = [\"github-token\"]");
    assert_eq!(by(&off, &format!("badge-1 {token}")), format!("[REDACTED:badge] {token}"));
}

#[test]
fn what_means_nothing_here_is_said_when_a_run_starts() {
    let rules = "[[rules]]\nid = \"p12\"\npath = '''\\.p12$'''\n[[rules]]\nid = \"badge\"\nregex = '''badge-\\d+'''\npath = '''x'''\n";
    let text = config("rules_file = \"rules.toml\"");
    let outcome = Run::new(&["-c", "c.toml"]).file("c.toml", &text).file("rules.toml", rules).run().exits(0);
    for words in ["p12: these are skipped", "`badge`: these ask for a path"] {
        assert!(outcome.stderr.contains(words), "{}", outcome.stderr);
    }
}

#[test]
fn a_file_that_can_t_be_used_is_refused_with_its_place() {
    for (rules, words) in [
        (
            "[[rules]]\nid = \"one\"\nregex = '''a('''\n[[rules]]\nid = \"two\"\nregex = '''(?=x)'''\n",
            vec!["rules.toml: rule `one`: regex: unclosed group", "rule `two`: regex: look-around"],
        ),
        ("[[rules]]\nid = \"big\"\nregex = '''((a{1000}){1000}){10}'''\n", vec!["rule `big`: regex: "]),
        (
            "[[rules]]\nid = \"group\"\nregex = '''(a)'''\nsecretGroup = 2\n",
            vec!["rule `group`: `secretGroup` is 2, and its regex has 1"],
        ),
        ("[[rules]]\nregex = '''a'''\n", vec!["a rule without an `id`"]),
        ("[[rules]]\nid = \"empty\"\n", vec!["rule `empty`: it has no `regex`"]),
        (
            "[[rules]]\nid = \"a\"\nregex = 'a'\n[[rules.allowlists]]\nregexes = ['[']\n",
            vec!["rule `a`: an allowlist: unclosed"],
        ),
        ("[extend]\npath = \"other.toml\"\n", vec!["`extend.path` and `extend.url` are not followed"]),
        ("\n[[rules]\n", vec!["rules.toml: line 2: "]),
        ("[[rules]]\nid = 7\n", vec!["rules.toml: line 2: invalid type: integer"]),
    ] {
        let stderr = refused(rules);
        for word in words {
            assert!(stderr.contains(word) && stderr.contains("rules_file = "), "{rules}\n{stderr}");
        }
    }
    let missing = Run::new(&["validate"]).config(&config("rules_file = \"none.toml\"")).run().exits(2).stderr;
    assert!(missing.contains("none.toml: can't be read: No such file"), "{missing}");
    let unknown =
        Run::new(&["validate", "--no-environment"]).config(&config("rules_file = \"${RULES}\"")).run();
    unknown.exits(0);
}

#[test]
fn what_is_allowed_stays() {
    let code = "password: \"demo-123\", token: \"aZ81kQp0vB27xY\"";
    let outcome = through("allow = [\"^demo-\"]", structured_json(1, code));
    assert_eq!(code_of(&outcome.events()[0]), "password: \"demo-123\", token: \"[REDACTED:secret]\"");
}

#[test]
fn digests_tell_where_the_same_secret_was_used() {
    let log = structured_json(1, "password: \"hunter2x\"")
        + &structured_json(2, "x = [pwd: \"hunter2x\", pass: \"other1z\"]")
        + &structured_json(3, "1 + 1");
    let events = through("digest_key = \"0123456789abcdef\"", log).events();
    let list = |at: usize| events[at]["metadata"]["redacted"].clone();
    // printf hunter2x | openssl dgst -sha256 -hmac 0123456789abcdef
    let hunter = json!({"rule": "password", "hmac_sha256": HUNTER});
    assert_eq!(list(0), json!([hunter]));
    assert_eq!(list(1).as_array().unwrap().len(), 2);
    assert_eq!(list(1)[0], hunter);
    assert_eq!(list(2), Value::Null);
    let plain = through("", structured_json(1, "password: \"hunter2x\"")).events();
    assert_eq!(plain[0]["metadata"].get("redacted"), None);
}

const HUNTER: &str = "50b3fc08e2784f759a571441bc9fc3183aa5252e916fd850d0251b882d45afca";

#[test]
fn of_two_that_lie_over_each_other_the_known_format_gives_the_name() {
    let draw = |text: &str| crate::redact::labelled::draw(text, &mut Dice::new(9));
    for (code, expected) in [
        (format!("token: \"{}\"", draw("ghp_⟦X:36⟧")), "token: \"[REDACTED:github-token]\""),
        (format!("token: \"a {}\"", draw("ghp_⟦X:36⟧ 1x⟦X:9⟧")), "token: \"[REDACTED:github-token]\""),
        (
            format!("Authorization: Bearer {}", draw("eyJ⟦X:20⟧.eyJ⟦X:30⟧.⟦W:43⟧")),
            "Authorization: Bearer [REDACTED:jwt]",
        ),
    ] {
        let once = through("", structured_json(1, &code)).events();
        assert_eq!(code_of(&once[0]), expected);
        let twice = through("", structured_json(1, code_of(&once[0]))).events();
        assert_eq!(code_of(&twice[0]), expected, "what was redacted stays as it is");
    }
}

#[test]
fn it_stands_between_the_others_and_counts_a_secret_once() {
    let text = "[sources.in]\ntype = \"stdin\"\n[transforms.parse]\ntype = \"legacy_message\"\ninputs = [\"in\"]\n\
        [transforms.policy]\ntype = \"audit_policy\"\ninputs = [\"parse\"]\n\
        [transforms.hide]\ntype = \"redact\"\ninputs = [\"policy\"]\n\
        [transforms.project]\ntype = \"metadata_projection\"\ninputs = [\"hide\"]\n\
        [sinks.out]\ntype = \"console\"\ninputs = [\"project\"]\n";
    let log = twins_json(1, "password: \"hunter2x\"") + &twins_json(900, "1 + 1");
    let outcome = Run::new(&[]).config(text).stdin(log).run().exits(0);
    let events = outcome.events();
    assert_eq!(events.len(), 2);
    assert_eq!(code_of(&events[0]), "password: \"[REDACTED:password]\"");
    assert_eq!(
        events[0]["message"],
        "Evaluating code\n  Session mode: default\n  Code: \"password: \\\"[REDACTED:password]\\\"\""
    );
    assert!(outcome.stderr.contains("1 (password 1)"), "{}", outcome.stderr);
    assert!(outcome.summary().contains("delivered=2"), "{}", outcome.stderr);
}

#[test]
fn a_password_whose_end_is_lost_is_not_shown() {
    let legacy = |literal: &str| {
        let message = format!("Evaluating code\n  Session mode: default\n  Code: {literal}");
        format!("{}\n", json!({"message": message, "metadata": {}, "severity": "info"}))
    };
    for (literal, expected) in [
        (r#""x\npassword: \"hunter2 (truncated)"#, r#""x\npassword: \"[REDACTED:password] (truncated)"#),
        (r#""password = 'hunter2 (truncated)"#, r#""password = '[REDACTED:password] (truncated)"#),
        (r#""password: \"hunter2" <> ..."#, r#""password: \"[REDACTED:password]" <> ..."#),
        (r#""a" and password: "hunter2""#, r#""a" and password: "[REDACTED:password]""#),
    ] {
        let events = through("", legacy(literal)).events();
        let message = events[0]["message"].as_str().unwrap();
        assert_eq!(message.split_once("Code: ").unwrap().1, expected);
    }
    let event = json!({"metadata": {"code": "1\npassword: \"hunter2", "code_incomplete": true}});
    let events = through("", format!("{event}\n")).events();
    assert_eq!(code_of(&events[0]), "1\npassword: \"[REDACTED:password]");
}

#[test]
fn a_text_of_nothing_but_beginnings_is_searched_once() {
    let code = "-----BEGIN PRIVATE KEY-----".repeat(20_000);
    let outcome = through("", structured_json(1, &code));
    assert_eq!(outcome.events().len(), 1);
}
