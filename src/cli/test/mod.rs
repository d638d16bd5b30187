//! `evaltrail test`.

mod diff;
mod junit;
mod text;

use super::args::TestArgs;
use super::load::{read, show, variable};
use super::{EXIT_FAILED, EXIT_REFUSED, complain, print};
use crate::config::{self, BUILTIN, Environment, Source};
use crate::delivery::clock;
use junit::Case;
use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use text::Style;

/// Runs the tests of a config: 0 when all pass, 1 when one does not, 2 when none was run because something is wrong
/// with the config or with what was asked for.
pub fn run(args: &TestArgs) -> ExitCode {
    let environment = Environment::Of(&variable);
    let read = read(&args.config, |files| config::tests(files, &BUILTIN, environment));
    let Some((mut tests, files)) = read else { return EXIT_REFUSED.into() };
    show(&tests.warnings, &files);
    if args.config.config.is_empty() {
        complain("evaltrail: without -c, these are the tests of the embedded pipeline\n");
    }
    let names: Vec<String> = tests.names().into_iter().map(str::to_owned).collect();
    let is_meant = |name: &str| args.name.as_ref().is_none_or(|part| name.contains(part));
    let chosen: Vec<(usize, &String)> = names.iter().enumerate().filter(|(_, name)| is_meant(name)).collect();
    if let Some(part) = args.name.as_ref().filter(|_| chosen.is_empty() && !names.is_empty()) {
        return refuse(&text::no_such_test(part));
    }
    let report = match args.junit_report.as_ref().map(File::create).transpose() {
        Ok(report) => report,
        Err(e) => return refuse(&format!("can't write the report: {e}")),
    };
    let style = Style { coloured: io::stdout().is_terminal() };
    let mut cases = Vec::new();
    for &(at, name) in &chosen {
        let start = clock::monotonic();
        let flaws = match tests.run(at) {
            Ok(flaws) => flaws,
            Err(unbuildable) => {
                return refuse(&format!("can't start `{}`: {}", unbuildable.id, unbuildable.why));
            }
        };
        print(&style.line(name, flaws.is_empty()));
        cases.push(Case { name, took: start.elapsed(), flaws });
    }
    tell(style, &cases, names.len() - chosen.len(), &files);
    if let Some(mut report) = report
        && let Err(e) = report.write_all(junit::report(&cases, &files).as_bytes())
    {
        complain(&format!("evaltrail: can't write the report: {e}\n"));
        return EXIT_FAILED.into();
    }
    if cases.iter().all(|case| case.flaws.is_empty()) { ExitCode::SUCCESS } else { EXIT_FAILED.into() }
}

/// Why tests have failed, and how many.
fn tell(style: Style, cases: &[Case<'_>], left_out: usize, files: &[Source]) {
    for case in cases {
        for flaw in &case.flaws {
            print(&style.heading(case.name, flaw));
            print(&style.flaw(flaw, files));
        }
    }
    print(&style.summary(cases, left_out));
}

fn refuse(why: &str) -> ExitCode {
    complain(&format!("evaltrail: {why}\n"));
    EXIT_REFUSED.into()
}
