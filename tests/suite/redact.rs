//! `redact`: what it finds, what it spares, and that nothing of it is left anywhere.

mod labelled;
mod nowhere;
mod rules;

use crate::dice::Dice;
use crate::harness::{Run, root};
use crate::logs::structured_json;
use expect_test::expect_file;
use labelled::Cell;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// A pipeline of a `redact` alone, with its options.
fn config(options: &str) -> String {
    format!(
        "[sources.in]\ntype = \"stdin\"\n[transforms.redact]\ntype = \"redact\"\ninputs = [\"in\"]\n{options}\n\
         [sinks.out]\ntype = \"console\"\ninputs = [\"redact\"]\n"
    )
}

fn through(options: &str, log: String) -> crate::harness::Outcome {
    Run::new(&[]).config(&config(options)).stdin(log).run().exits(0)
}

/// What becomes of each code.
fn redacted(cells: &[Cell]) -> Vec<String> {
    let log: String = cells.iter().map(|cell| structured_json(1, &cell.code)).collect();
    let events = through("", log).events();
    events.iter().map(|event| event["metadata"]["code"].as_str().unwrap().to_owned()).collect()
}

/// Counts of a rule or a language.
#[derive(Default)]
struct Score {
    secrets: usize,
    found: usize,
    /// With nothing else of the cell touched.
    exact: usize,
    /// By the name that is meant.
    named: usize,
}

/// The cell with a mark for each secret, whatever the rule.
fn is_exact(cell: &Cell, output: &str) -> bool {
    let mut rest = output;
    let mut source = cell.code.as_str();
    for secret in &cell.secrets {
        let (before, behind) = source.split_once(secret.as_str()).unwrap();
        let Some(marked) = rest.strip_prefix(before).and_then(|rest| rest.strip_prefix("[REDACTED:")) else {
            return false;
        };
        let Some((_, after)) = marked.split_once(']') else { return false };
        (source, rest) = (behind, after);
    }
    source == rest
}

#[test]
fn the_labelled_set_gives_the_promised_recall_and_few_false_alarms() {
    let mut dice = Dice::new(1);
    let (secrets, look_alikes) = (labelled::secrets(&mut dice), labelled::look_alikes(&mut dice));
    let (mut rules, mut languages): (BTreeMap<&str, Score>, BTreeMap<&str, Score>) = Default::default();
    for (cell, output) in secrets.iter().zip(redacted(&secrets)) {
        for secret in &cell.secrets {
            let is_found = !output.contains(secret.as_str());
            let is_named = output.contains(&format!("[REDACTED:{}]", cell.rule));
            if !is_found || !is_exact(cell, &output) {
                println!("{} ({}): {} -> {output}", cell.rule, cell.language, cell.code);
            }
            for score in [rules.entry(&cell.rule).or_default(), languages.entry(cell.language).or_default()] {
                score.secrets += 1;
                score.found += usize::from(is_found);
                score.exact += usize::from(is_exact(cell, &output));
                score.named += usize::from(is_named);
            }
        }
    }
    let mut alarms: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for (cell, output) in look_alikes.iter().zip(redacted(&look_alikes)) {
        let (all, wrong) = alarms.entry(cell.language).or_default();
        *all += 1;
        if output != cell.code {
            *wrong += 1;
            println!("false alarm ({}): {} -> {output}", cell.language, cell.code);
        }
    }
    let mut table = String::new();
    let mut row = |name: &str, score: &Score| {
        let Score { secrets, found, exact, named } = score;
        writeln!(table, "{name:28} {secrets:>7} {found:>7} {exact:>7} {named:>7}").unwrap();
    };
    let sum = |pick: fn(&Score) -> usize| rules.values().map(pick).sum::<usize>();
    let total = Score {
        secrets: sum(|s| s.secrets),
        found: sum(|s| s.found),
        exact: sum(|s| s.exact),
        named: sum(|s| s.named),
    };
    rules.iter().for_each(|(rule, score)| row(rule, score));
    languages.iter().for_each(|(language, score)| row(&format!("in {language}"), score));
    row("all", &total);
    let wrong: usize = alarms.values().map(|(_, wrong)| wrong).sum();
    let head = format!("{:28} {:>7} {:>7} {:>7} {:>7}\n", "rule", "secrets", "found", "exact", "named");
    let mut table = head + &table + "\nlook-alikes                    cells  alarms\n";
    for (language, (all, wrong)) in &alarms {
        writeln!(table, "{:28} {all:>7} {wrong:>7}", format!("in {language}")).unwrap();
    }
    writeln!(table, "{:28} {:>7} {wrong:>7}", "all", look_alikes.len()).unwrap();
    println!("{table}");
    assert!(secrets.len() + look_alikes.len() >= 400);
    assert!(total.found * 100 >= total.secrets * 99, "{} of {}", total.found, total.secrets);
    assert!(wrong * 100 <= look_alikes.len(), "{wrong} of {}", look_alikes.len());
    expect_file![root().join("tests/redact/figures.txt")].assert_eq(&table);
}
