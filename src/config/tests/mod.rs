//! The layer as a whole, over components made for the purpose.

mod anything;
mod components;

use super::*;
use crate::delivery::WhenFull;
use components::{TESTED, variable};
use expect_test::{Expect, expect};

fn sources(texts: &[&str]) -> Vec<Source> {
    let name = |index| format!("{index}.toml");
    texts
        .iter()
        .enumerate()
        .map(|(index, text)| Source { name: name(index), text: (*text).to_owned() })
        .collect()
}

fn load_one(text: &str) -> Result<Loaded, Vec<Diagnostic>> {
    load(&sources(&[text]), &TESTED, Environment::Of(&variable))
}

/// One line for each diagnostic: `line token: title: label (help) + first line and token`.
fn check_all(texts: &[&str], environment: Environment<'_>, expected: &Expect) {
    let files = sources(texts);
    let diagnostics = match load(&files, &TESTED, environment) {
        Ok(loaded) => loaded.warnings,
        Err(diagnostics) => diagnostics,
    };
    let place = |place: &Place| {
        let text = &files[place.file].text;
        let line = 1 + text[..place.span.start].matches('\n').count();
        format!("{}:{line} {}", files[place.file].name, &text[place.span.clone()]).trim_end().to_owned()
    };
    let mut seen = String::new();
    for one in diagnostics {
        let at = one.at.as_ref().map_or_else(|| "as a whole".to_owned(), place);
        let label = if one.label.is_empty() { String::new() } else { format!(": {}", one.label) };
        seen.push_str(&format!("{at}\n    {:?}: {}{label}\n", one.severity, one.title));
        one.more.iter().for_each(|(more, label)| seen.push_str(&format!("    {}: {label}\n", place(more))));
        one.help.iter().for_each(|help| seen.push_str(&format!("    help: {help}\n")));
    }
    for secret in ["1_000", "70000", "hunter2", "demp", "0.25"] {
        assert!(!seen.contains(secret), "{secret} is shown:\n{seen}");
    }
    expected.assert_eq(&seen);
}

fn check(text: &str, expected: &Expect) {
    check_all(&[text], Environment::Of(&variable), expected);
}

const DEMO: &str = "[sources.demo]\ntype = \"demo\"\n_format = \"livebook_json\"\n";
const NULL: &str = "[sinks.null]\ntype = \"null\"\ninputs = [\"demo\"]\n";

#[test]
fn a_whole_config_becomes_a_plan() {
    let text = format!(
        "data_dir = \"/var/lib\"\nshutdown_timeout_secs = 5\n{DEMO}count = \"${{COUNT}}\"\nrate = \"${{RATE}}\"
on = \"${{ON}}\"\nsize = \"${{NONE:-7}}\"\ndecoding.codec = \"livebook_text\"\ndecoding.timezone = \"$$UTC\"
[transforms.b]\ntype = \"pass\"\ninputs = \"demo\"\nports = [\"dropped\"]
[transforms.a]\ntype = \"pass\"\ninputs = [\"*o\", \"d?mo.faults\"]
[sinks.out]\ntype = \"out\"\ninputs = [\"?\"]\nuri = \"http://x\"\n_token = \"${{SECRET}}\"
[sinks.null]\ntype = \"null\"\ninputs = [\"*.dropped\", \"out.rejected\"]
buffer = {{ type = \"memory\", max_events = 5, when_full = \"drop_newest\" }}\n"
    );
    let Loaded { plan, warnings, .. } = load_one(&text).unwrap_or_else(|faults| panic!("{faults:#?}"));
    assert!(warnings.is_empty(), "{warnings:?}");
    let read = plan.sources[0].config.ports().remove(1);
    assert_eq!(read, "Some(1000) 0.25 Some(true) Some(7) Some(true) Some(\"$UTC\")");
    let inputs = |node: &[crate::topology::OutputId]| {
        node.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    };
    let transforms: Vec<_> =
        plan.transforms.iter().map(|node| (node.id.as_str(), inputs(&node.inputs))).collect();
    assert_eq!(transforms, [("a", "demo demo.faults".to_owned()), ("b", "demo".to_owned())]);
    let sinks: Vec<_> = plan.sinks.iter().map(|node| (node.kind, inputs(&node.inputs))).collect();
    assert_eq!(sinks, [("null", "b.dropped out.rejected".to_owned()), ("out", "a b".to_owned())]);
    assert_eq!(plan.sinks[0].limits.events_max, 5);
    assert_eq!(plan.sinks[0].limits.when_full, WhenFull::DropNewest);
    assert_eq!(plan.sinks[1].limits.events_max, 10_000);
    assert_eq!(plan.shutdown_timeout, Duration::from_secs(5));
    assert_eq!(plan.data_dir, Some("/var/lib".into()));
}

#[test]
fn all_faults_of_a_component_are_found() {
    let text = "[sources.demo]
type = \"demo\"
_format = \"livebook_jsn\"
cuont = 5
count = \"five\"
rate = 7
on = 1
size = 70_001
decoding.codec = \"xml\"
decoding.zone = \"UTC\"
";
    check(
        &format!("{text}{NULL}"),
        &expect![[r#"
            0.toml:3 "livebook_jsn"
                Error: invalid value of `_format`: `livebook_jsn` is not one of its values
                help: did you mean `livebook_json`?
            0.toml:4 cuont
                Error: unknown option `cuont`: not an option of `demo`
                help: did you mean `count`?
            0.toml:5 "five"
                Error: wrong type of `count`: expected a whole number, found a string
            0.toml:6 7
                Error: invalid value of `rate`: must be from 0 to below 1, not 7
            0.toml:7 1
                Error: wrong type of `on`: expected true or false, found a whole number
            0.toml:8 70_001
                Error: invalid value of `size`: expected a whole number from 0 to 65535, found 70001
            0.toml:9 decoding
                Error: the option `timezone` is missing: `decoding` needs it
            0.toml:9 "xml"
                Error: invalid value of `decoding.codec`: `xml` is not one of its values
                help: the values are `livebook_json`, `livebook_text`
            0.toml:10 zone
                Error: unknown option `zone`: not an option of `decoding`
                help: the options are `codec`, `timezone`
        "#]],
    );
}

#[test]
fn missing_options_are_found_one_by_one() {
    check(
        &format!("{DEMO}decoding = {{}}\n[sinks.out]\ntype = \"out\"\ninputs = [\"demo\"]\n"),
        &expect![[r#"
            0.toml:4 {}
                Error: the option `codec` is missing: `decoding` needs it
            0.toml:4 {}
                Error: the option `timezone` is missing: `decoding` needs it
            0.toml:5 [sinks.out]
                Error: the option `uri` is missing: `out` needs it
            0.toml:5 [sinks.out]
                Error: the option `_token` is missing: `out` needs it
        "#]],
    );
}

#[test]
fn what_a_component_finds_itself_is_shown_at_its_key() {
    let text = format!(
        "{DEMO}count = 1_001\ndecoding = {{ codec = \"livebook_text\", timezone = \"\" }}
[transforms.t]\ntype = \"pass\"\ninputs = [\"demo\"]\nports = [\"fine\", \"not fine\"]
[sinks.out]\ntype = \"out\"\ninputs = [\"t\"]\nuri = \"ftp\"\n_token = \"\"\n"
    );
    check(
        &text,
        &expect![[r#"
            0.toml:1 [sources.demo]
                Error: invalid options of `demo`: 1001 is too many to decode
            0.toml:9 "not fine"
                Error: invalid value of `ports[1]`: "not fine" has a space
                help: use `_`
            0.toml:13 "ftp"
                Error: invalid value of `uri`: ftp is no address
        "#]],
    );
}

#[test]
fn values_of_variables_are_never_shown() {
    let text = "data_dir = \"${NONE}\"
[sources.demo]
type = \"demo\"
_format = \"${SECRET}\"
count = \"${SECRET}\"
rate = \"${SIZE}\"
on = \"at ${SECRET}\"
size = \"${SIZE}\"
decoding = \"${SECRET}\"
[sources.other]
type = \"${SECRET}\"
[transforms.t]
type = \"pass\"
inputs = [\"${IN}\"]
ports = [\"a\", \"${SPACED}\"]
[sinks.out]
type = \"out\"
inputs = [\"t\", \"t.${SECRET}\"]
uri = \"${SECRET}\"
_token = \"${SECRET} ${MISSING:?say who you are}\"
";
    check(
        text,
        &expect![[r#"
            0.toml:1 ${NONE}
                Error: the variable `NONE` is not set: there is no value for it
                help: set it, or give a default: `${NONE:-default}`
            0.toml:4 "${SECRET}"
                Error: invalid value of `_format`: what comes from the environment is not one of its values
                help: the values are `livebook_json`, `livebook_text`
            0.toml:5 "${SECRET}"
                Error: wrong type of `count`: expected a whole number, found a string
                help: the value comes from `${SECRET}`
            0.toml:6 "${SIZE}"
                Error: invalid value of `rate`: what comes from the environment here is not valid
                help: the value comes from `${SIZE}`
            0.toml:7 "at ${SECRET}"
                Error: wrong type of `on`: expected true or false, found a string
                help: the value comes from `at ${SECRET}`
            0.toml:8 "${SIZE}"
                Error: invalid value of `size`: expected a whole number from 0 to 65535
                help: the value comes from `${SIZE}`
            0.toml:9 "${SECRET}"
                Error: wrong type of `decoding`: expected a table, found a string
                help: the value comes from `${SECRET}`
            0.toml:10 [sources.other]
                Warning: nothing consumes the source `other`: its events go nowhere
                help: name it in the `inputs` of a sink or transform: `"other"`
            0.toml:11 "${SECRET}"
                Error: unknown type `${SECRET}`: there is no such source
                help: the types are `demo`
            0.toml:14 "${IN}"
                Error: unknown input `${IN}`: there is no such component
                help: the sources and transforms are `demo`, `other`
            0.toml:15 "${SPACED}"
                Error: invalid value of `ports[1]`: what comes from the environment here is not valid
                help: use `_`
            0.toml:19 "${SECRET}"
                Error: invalid value of `uri`: what comes from the environment here is not valid
                help: the value comes from `${SECRET}`
            0.toml:20 ${MISSING:?say who you are}
                Error: the variable `MISSING` is not set: say who you are
                help: set it, or give a default: `${MISSING:-default}`
        "#]],
    );
}

#[test]
fn without_an_environment_what_is_unknown_fits() {
    let text = "[sources.demo]
type = \"demo\"
_format = \"${FORMAT}\"
count = \"${COUNT}\"
rate = \"${SIZE:-7}\"
on = \"at ${SECRET}\"
decoding = { codec = \"${CODEC:?needed}\", timezone = \"${ZONE}\" }
[transforms.t]
type = \"${TYPE}\"
inputs = [\"demo\", \"${IN}\"]
[transforms.u]
type = \"pass\"
inputs = [\"${IN}\", \"x${IN}\"]
ports = [\"${PORT}\"]
[transforms.unconsumed]
type = \"pass\"
inputs = [\"demo\"]
[sinks.out]
type = \"out\"
inputs = [\"t.port\", \"u.any\"]
uri = \"${URI}\"
_token = \"x${SECRET}\"
";
    check_all(
        &[text],
        Environment::Absent,
        &expect![[r#"
        0.toml:5 "${SIZE:-7}"
            Error: invalid value of `rate`: must be from 0 to below 1, not 7
        0.toml:6 "at ${SECRET}"
            Error: wrong type of `on`: expected true or false, found a string
    "#]],
    );
}

#[test]
fn a_component_is_made_without_what_is_unknown() {
    let text = format!("{DEMO}rate = \"${{RATE}}\"\nsize = \"${{SIZE}}\"\n{NULL}")
        .replace("livebook_json", "${FORMAT}");
    let loaded = load(&sources(&[&text]), &TESTED, Environment::Absent);
    let Loaded { plan, warnings, .. } = loaded.unwrap_or_else(|faults| panic!("{faults:#?}"));
    assert_eq!((plan.ids(), warnings), (vec!["demo", "null"], Vec::new()));
}

#[test]
fn wrong_common_keys_are_found() {
    let text = format!(
        "shutdown_timeout_secs = 0\nshutdown_timeout = 5\n[api]\naddress = \"x\"\n{DEMO}inputs = [\"x\"]
[sources.\"a b\"]\n[sources]\nnone = 5\n[sinks.a]\ntype = \"nul\"\ninputs = []\nbuffer = {{ type = \"disk\", max_events = 0, size = 1 }}
[sinks.b]\ntype = \"demo\"\ninputs = [5, \"demo\"]\nbuffer = 5\n[sinks.c]\ntype = 5\nbuffer.when_full = \"blok\"\n"
    );
    check(
        &text,
        &expect![[r#"
            0.toml:1 0
                Error: invalid value of `shutdown_timeout_secs`: expected a whole number, 1 or more, found 0
            0.toml:2 shutdown_timeout
                Error: unknown option `shutdown_timeout`: not an option of the top level
                help: did you mean `shutdown_timeout_secs`?
            0.toml:4 "x"
                Error: invalid value of `api.address`: `x` is no address to listen on: write an IP address and a port, such as `0.0.0.0:8080` or `[::1]:8080`
            0.toml:8 inputs
                Error: unknown option `inputs`: not an option of `demo`
                help: only transforms and sinks have `inputs`
            0.toml:9 [sources."a b"]
                Error: the option `type` is missing: which source is it?
                help: the types are `demo`
            0.toml:9 "a b"
                Error: `a b` can't be an id: not an id
                help: an id has letters, digits, `_` and `-`
            0.toml:11 5
                Error: the source `none` is no table: expected a table, found a whole number
                help: a source is declared by `[sources.none]`
            0.toml:13 "nul"
                Error: unknown type `nul`: there is no such sink
                help: did you mean `null`?
            0.toml:14 []
                Error: `inputs` is empty: gets its events from nowhere
                help: name what it consumes: `inputs = ["<id>"]`
            0.toml:15 { type = "disk", max_events = 0, size = 1 }
                Error: the option `max_size_bytes` is missing: `buffer` needs it
            0.toml:15 0
                Error: invalid value of `buffer.max_events`: expected a whole number, 1 or more, found 0
            0.toml:15 size
                Error: unknown option `size`: not an option of `buffer`
                help: the options are `type`, `max_events`, `max_size_bytes`, `when_full`
            0.toml:17 "demo"
                Error: unknown type `demo`: there is no such sink
                help: it is a source: declare it by `[sources.<id>]`
            0.toml:18 5
                Error: wrong type of `inputs`: expected a string, found a whole number
            0.toml:19 5
                Error: wrong type of `buffer`: expected a table, found a whole number
            0.toml:20 [sinks.c]
                Error: the option `inputs` is missing: gets its events from nowhere
                help: name what it consumes: `inputs = ["<id>"]`
            0.toml:21 5
                Error: wrong type of `type`: expected a string, found a whole number
            0.toml:22 "blok"
                Error: invalid value of `buffer.when_full`: `blok` is not one of its values
                help: did you mean `block`?
        "#]],
    );
}

#[test]
fn the_same_id_twice_shows_both_places() {
    let first =
        format!("shutdown_timeout_secs = 1\n{DEMO}[transforms.null]\ntype = \"pass\"\ninputs = [\"demo\"]\n");
    let second =
        format!("shutdown_timeout_secs = 2\n{NULL}[sinks.other]\ntype = \"null\"\ninputs = [\"null\"]\n");
    check_all(
        &[&first, &second],
        Environment::Of(&variable),
        &expect![[r#"
        1.toml:1 shutdown_timeout_secs
            Error: `shutdown_timeout_secs` is given twice: defined again here
            0.toml:1 shutdown_timeout_secs: first defined here
        1.toml:2 null
            Error: the id `null` is given twice: defined again here
            0.toml:5 null: first defined here
    "#]],
    );
}

#[test]
fn inputs_that_lead_nowhere_are_found() {
    let text = format!(
        "{DEMO}[transforms.t]\ntype = \"pass\"\ninputs = [\"dem\", \"sink\", \"demo.fault\", \"demo.x\", \"x.y\"]
[sinks.sink]\ntype = \"null\"\ninputs = [\"t.port\", \"nobody\", \"x*\", \"*.x\", \"out\", \"dmo.faults\"]
[sinks.out]\ntype = \"out\"\nuri = \"http\"\n_token = \"\"\ninputs = [\"demo\"]\n"
    );
    check(
        &text,
        &expect![[r#"
        0.toml:6 "dem"
            Error: unknown input `dem`: there is no such component
            help: did you mean `demo`?
        0.toml:6 "sink"
            Error: `sink` is a sink and can't be an input: nothing comes out of a sink, except by a port
        0.toml:6 "demo.fault"
            Error: unknown port `demo.fault`: `demo` has no port `fault`
            help: did you mean `demo.faults`?
        0.toml:6 "demo.x"
            Error: unknown port `demo.x`: `demo` has no port `x`
            help: its ports are `demo.faults`, `demo.None 0 None None None None`
        0.toml:6 "x.y"
            Error: unknown input `x.y`: there is no such component
            help: the sources and transforms are `demo`
        0.toml:9 "t.port"
            Error: unknown port `t.port`: `t` has no ports
        0.toml:9 "nobody"
            Error: unknown input `nobody`: there is no such component
            help: the sources and transforms are `demo`, `t`
        0.toml:9 "x*"
            Error: an input that matches nothing: no component fits this pattern
            help: a pattern is compared with the ids of all other sources and transforms
        0.toml:9 "*.x"
            Error: an input that matches nothing: no component fits this pattern
            help: with a `.`, a pattern is compared with ports (`livebook.faults`)
        0.toml:9 "out"
            Error: `out` is a sink and can't be an input: nothing comes out of a sink, except by a port
            help: it has the port `out.rejected`
        0.toml:9 "dmo.faults"
            Error: unknown input `dmo.faults`: there is no such component
            help: did you mean `demo.faults`?
    "#]],
    );
}

#[test]
fn rings_are_shown_whole() {
    let text = format!(
        "{DEMO}[transforms.a]\ntype = \"pass\"\ninputs = [\"demo\", \"c\"]\n[transforms.b]\ntype = \"pass\"\ninputs = [\"a\"]
[transforms.c]\ntype = \"pass\"\ninputs = [\"b\"]\n[transforms.self]\ntype = \"pass\"\ninputs = [\"self\"]
[sinks.out]\ntype = \"out\"\nuri = \"http\"\n_token = \"\"\ninputs = [\"c\", \"out.rejected\"]\n"
    );
    check(
        &text,
        &expect![[r#"
        0.toml:6 "c"
            Error: a ring of components: a → b → c → a: this closes the ring
            help: events would go round for ever: take one of these inputs away
        0.toml:15 "self"
            Error: a ring of components: self → self: this closes the ring
            help: events would go round for ever: take one of these inputs away
        0.toml:20 "out.rejected"
            Error: a ring of components: out → out: this closes the ring
            help: events would go round for ever: take one of these inputs away
    "#]],
    );
}

#[test]
fn loose_ends_are_warnings_and_nothing_at_all_is_an_error() {
    let text = format!("{DEMO}{NULL}[transforms.t]\ntype = \"pass\"\ninputs = [\"demo\"]\n");
    check(
        &text,
        &expect![[r#"
        0.toml:7 [transforms.t]
            Warning: nothing consumes the transform `t`: its events go nowhere
            help: name it in the `inputs` of a sink or transform: `"t"`
    "#]],
    );
    check(
        "",
        &expect![[r#"
            as a whole
                Error: nothing to run: there is no source
                help: declare one by `[sources.<id>]`
            as a whole
                Error: nothing to run: there is no sink
                help: declare one by `[sinks.<id>]`
        "#]],
    );
    check(
        "[[sources]]\n",
        &expect![[r#"
            0.toml:1 sources
                Error: `sources` is no table: expected a table, found an array
                help: a source is declared by `[sources.<id>]`
            as a whole
                Error: nothing to run: there is no source
                help: declare one by `[sources.<id>]`
            as a whole
                Error: nothing to run: there is no sink
                help: declare one by `[sinks.<id>]`
        "#]],
    );
}

#[test]
fn a_file_that_is_no_toml_hides_no_faults_of_another() {
    let broken = "[sources.demo\ntype = \n";
    let other = "[sinks.null]\ntype = \"nul\"\ninputs = [\"demo\"]\n";
    check_all(
        &[broken, other],
        Environment::Of(&variable),
        &expect![[r#"
        0.toml:1
            Error: this is not TOML: unclosed table, expected `]`
        1.toml:2 "nul"
            Error: unknown type `nul`: there is no such sink
            help: did you mean `null`?
    "#]],
    );
}
