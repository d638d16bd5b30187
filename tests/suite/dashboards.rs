//! The dashboard and the alerts that we hand out ask for what there is: each metric and label, held against a pipeline
//! that has all of them.

use crate::api::{metrics, of, start};
use crate::harness::{TIMEOUT, TempDir, root, until};
use crate::logs::*;
use crate::tools::free_address;
use regex::Regex;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// Labels that Prometheus puts there itself.
const OF_PROMETHEUS: [&str; 2] = ["instance", "job"];

fn read(name: &str) -> String {
    std::fs::read_to_string(root().join("configs").join(name)).unwrap()
}

/// The labels of each metric of a pipeline that has seen everything.
fn real() -> BTreeMap<String, BTreeSet<String>> {
    let (address, dir) = (free_address(), TempDir::new());
    dir.write("livebook.log", &(twins_json(1, "1 + 1") + &twins_json(2, "2") + &other_json(3) + "{\"torn\n"));
    let folder = dir.path().display();
    let config = format!(
        "data_dir = \"{folder}/data\"\n\
         [sources.in]\ntype = \"file\"\ninclude = [\"{folder}/*.log\"]\n\
         [transforms.parse]\ntype = \"legacy_message\"\ninputs = [\"in\"]\n\
         [transforms.policy]\ntype = \"audit_policy\"\ninputs = [\"parse\"]\n\
         rules = [{{ name = \"one\", when = '.metadata.code == \"2\"', level = \"none\" }}]\n\
         [sinks.out]\ntype = \"blackhole\"\ninputs = [\"policy\"]\n\
         buffer = {{ type = \"disk\", max_size_bytes = 1048576 }}\n"
    );
    let mut live = start(address, &config);
    assert!(until(TIMEOUT, || of(&metrics(address), "events_out_total", "out") == 1.0));
    let mut all: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let label = Regex::new(r#"(\w+)=""#).unwrap();
    for sample in metrics(address).into_keys() {
        let (name, labels) = sample.split_once('{').unwrap_or((&sample, ""));
        let labels = label.captures_iter(labels).map(|found| found[1].to_owned());
        all.entry(name.to_owned()).or_default().extend(labels);
    }
    live.signal("TERM");
    assert!(until(TIMEOUT, || !live.is_running()));
    all
}

/// What is wrong with a text of expressions: names that no metric has, labels that the metrics in it do not have.
fn wrong(text: &str, real: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let names = Regex::new(r"\bevaltrail_\w+").unwrap();
    let selected = Regex::new(r#"(\w+)(?:=~|!~|!=|=)"[^"]*""#).unwrap();
    let grouped = Regex::new(r"\b(?:by|on|ignoring|without) ?\(([^)]*)\)").unwrap();
    let shown = Regex::new(r"\{\{ ?(?:\$labels\.)?(\w+) ?\}\}").unwrap();
    let mut wrong = Vec::new();
    let mut known: BTreeSet<&str> = OF_PROMETHEUS.into();
    for name in names.find_iter(text).map(|found| found.as_str()) {
        match real.get(name) {
            Some(labels) => known.extend(labels.iter().map(String::as_str)),
            None => wrong.push(format!("no metric `{name}`: {text}")),
        }
    }
    let mut asked: BTreeSet<&str> = BTreeSet::new();
    for pattern in [&selected, &shown] {
        asked.extend(pattern.captures_iter(text).map(|found| found.get(1).unwrap().as_str()));
    }
    let groups = grouped.captures_iter(text).map(|found| found.get(1).unwrap().as_str());
    asked.extend(groups.flat_map(|list| list.split(", ")));
    wrong.extend(asked.difference(&known).map(|label| format!("no label `{label}`: {text}")));
    wrong
}

#[test]
fn every_metric_and_label_in_the_dashboard_and_the_alerts_is_there() {
    let real = real();
    let dashboard: Value = serde_json::from_str(&read("grafana-dashboard.json")).unwrap();
    let mut found = Vec::new();
    let name = Regex::new(r"\bevaltrail_\w+").unwrap();
    let (mut ids, mut asked) = (BTreeSet::new(), BTreeSet::new());
    for panel in dashboard["panels"].as_array().unwrap() {
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "two panels have one id: {panel}");
        let is_row = panel["type"] == "row";
        let targets = panel["targets"].as_array().cloned().unwrap_or_default();
        assert!(is_row || (!targets.is_empty() && panel["description"].is_string()), "{panel}");
        for target in targets {
            let expr = target["expr"].as_str().unwrap();
            asked.extend(name.find_iter(expr).map(|one| one.as_str().to_owned()));
            found.extend(wrong(&format!("{expr} {}", target["legendFormat"].as_str().unwrap()), &real));
            assert_eq!(target["datasource"]["uid"], "${datasource}");
        }
    }
    let missing: Vec<&String> = real.keys().filter(|name| !asked.contains(*name)).collect();
    assert_eq!(missing, [""; 0], "the dashboard shows all there is");
    for variable in dashboard["templating"]["list"].as_array().unwrap() {
        found.extend(wrong(variable["query"]["query"].as_str().unwrap_or_default(), &real));
    }
    let alerts = read("alerts.yml");
    let rules: Vec<&str> = alerts.split("- alert: ").skip(1).collect();
    assert!(rules.len() >= 12);
    for rule in rules {
        for needed in ["expr: ", "severity: ", "summary: ", "description: "] {
            assert!(rule.contains(needed), "{needed}: {rule}");
        }
        // Of what is asked, not of what is said.
        found.extend(wrong(rule, &real));
    }
    assert_eq!(found, [""; 0]);
}

#[test]
fn what_is_not_there_is_found() {
    let real = [("evaltrail_a_total".to_owned(), ["x".to_owned()].into())].into();
    let wrong = |text: &str| wrong(text, &real).len();
    assert_eq!(wrong("sum by (instance, x) (rate(evaltrail_a_total{x=\"1\"}[5m])) {{x}} {{ $labels.x }}"), 0);
    assert_eq!(wrong("evaltrail_b_total"), 1);
    assert_eq!(wrong("evaltrail_a_total{y=~\"1\"}"), 1);
    assert_eq!(wrong("sum by (y) (evaltrail_a_total)"), 1);
    assert_eq!(wrong("evaltrail_a_total {{y}}"), 1);
}
