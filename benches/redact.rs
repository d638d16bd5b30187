//! What `redact` costs: loading 200 rules in the form of gitleaks, and an event of 1 KB without a secret.
//!
//! `cargo bench --bench redact`

#![allow(clippy::expect_used, reason = "a bench that can't be set up has nothing to say")]

use bytes::Bytes;
use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use evaltrail::event::{Acks, Batch, Event, Origin};
use evaltrail::transforms::redact::Redact;
use evaltrail::transforms::{Ports, TransformConfig};
use std::fmt::Write as _;

const RULES: usize = 200;
const EVENTS: usize = 1000;
const CODE_BYTES: usize = 1024;

fn main() {
    divan::main();
}

/// A configuration of the usual kind: a vendor's name, what may stand behind it, and a token.
fn rules_file() -> String {
    let mut text = String::from("title = \"bench\"\n");
    for at in 0..RULES {
        let (set, len) = match at % 4 {
            0 => ("[a-z0-9]", 32),
            1 => ("[a-f0-9]", 40),
            2 => ("[a-z0-9_-]", 24),
            _ => ("[A-Za-z0-9+/]", 64),
        };
        let regex = if at % 2 == 0 {
            format!(
                r#"(?i)[\w.-]{{0,50}}?(?:vendor{at}x)[ \t\w.-]{{0,20}}[\s'"]{{0,3}}(?:=|:|=>|,)[\x60'"\s=]{{0,5}}({set}{{{len}}})(?:[\x60'"\s;]|\\[nr]|$)"#
            )
        } else {
            format!(r"\b(vx{at}_{set}{{{len}}})\b")
        };
        let keyword = if at % 2 == 0 { format!("vendor{at}x") } else { format!("vx{at}_") };
        writeln!(text, "\n[[rules]]\nid = \"vendor-{at}\"\nregex = '''{regex}'''\nentropy = 3.0\nkeywords = [\"{keyword}\"]")
            .expect("a string takes all");
    }
    text
}

fn options(built_in: bool, rules: Option<&str>) -> Redact {
    let mut options = Redact::default();
    options.built_in = built_in;
    if let Some(rules) = rules {
        options.rules_file = Some("rules.toml".into());
        options.take_files(&|_| Ok(rules.to_owned())).expect("the text is there");
    }
    options
}

/// Code without a word that a rule looks for.
const PLAIN: &str = "rows = Enum.map(1..20, fn n -> %{x: n, y: :math.sin(n / 3), label: \"row #{n}\"} end)\n\
    VegaLite.new(width: 640) |> VegaLite.data_from_values(rows) |> VegaLite.mark(:line)\n";
/// The same with words that many rules look for.
const WORDY: &str = "token = System.fetch_env!(\"LB_TOKEN\")\nrows = Enum.map(1..20, fn n -> %{key: n, y: n / 3} end)\n\
    Req.get!(\"https://api.internal/\", auth: {:bearer, token}) # as the secret of the session says\n";

fn batch(part: &str) -> Batch {
    let mut code = part.repeat(CODE_BYTES / part.len() + 1);
    code.truncate(CODE_BYTES);
    let code = serde_json::to_string(&code).expect("a string is JSON");
    let text = format!(
        "{{\"message\":\"Evaluating code\",\"metadata\":{{\"event\":\"code.evaluate\",\"session_mode\":\"default\",\"code\":{code}}}}}"
    );
    let event =
        |_| Event::from_json(Bytes::from(text.clone()), Origin::nowhere()).expect("the record is valid");
    Batch::new((0..EVENTS).map(event).collect(), 0, Acks::default())
}

#[divan::bench]
fn load_200_rules(bencher: Bencher<'_, '_>) {
    let rules = rules_file();
    bencher.with_inputs(|| options(false, Some(&rules))).bench_values(|options| options.build().is_ok());
}

#[divan::bench]
fn load_built_in(bencher: Bencher<'_, '_>) {
    bencher.with_inputs(|| options(true, None)).bench_values(|options| options.build().is_ok());
}

/// A thousand events that nothing is found in.
fn spared(bencher: Bencher<'_, '_>, options: &Redact, part: &str) {
    let mut transform = options.build().expect("the rules are valid");
    let mut events = batch(part);
    transform.apply(&mut events, &mut Ports::default());
    assert!(events.take_hits().is_empty(), "nothing is a secret");
    bencher.counter(ItemsCount::new(EVENTS)).bench_local(|| {
        transform.apply(&mut events, &mut Ports::default());
        black_box(&events);
    });
}

#[divan::bench]
fn events_200_rules(bencher: Bencher<'_, '_>) {
    spared(bencher, &options(false, Some(&rules_file())), PLAIN);
}

#[divan::bench]
fn events_built_in(bencher: Bencher<'_, '_>) {
    spared(bencher, &options(true, None), PLAIN);
}

#[divan::bench]
fn events_both(bencher: Bencher<'_, '_>) {
    spared(bencher, &options(true, Some(&rules_file())), PLAIN);
}

#[divan::bench]
fn events_both_wordy(bencher: Bencher<'_, '_>) {
    spared(bencher, &options(true, Some(&rules_file())), WORDY);
}
