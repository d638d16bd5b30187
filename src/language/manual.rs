//! What there is to say of a function, made of what it says of itself.

use super::{FUNCTIONS, functions};
use std::fmt::Write;
use vrl::compiler::Function;
use vrl::compiler::function::{Example, Parameter};
use vrl::value::Kind;

/// Letters in a line of running text.
const WIDTH: usize = 100;

/// The names of all functions, sorted; with those of our own alone, or all.
pub fn function_names(only_ours: bool) -> Vec<&'static str> {
    let mut names: Vec<&'static str> = if only_ours {
        functions::all().iter().map(|function| function.identifier()).collect()
    } else {
        FUNCTIONS.iter().map(|function| function.identifier()).collect()
    };
    names.sort_unstable();
    names
}

/// The examples of all functions, each with the name of its function.
pub fn function_examples() -> Vec<(&'static str, &'static Example)> {
    let of = |function: &'static dyn Function| {
        function.examples().iter().map(move |example| (function.identifier(), example))
    };
    FUNCTIONS.iter().flat_map(|function| of(function.as_ref())).collect()
}

/// What the function `name` does, in a few words.
pub fn function_summary(name: &str) -> Option<String> {
    find(name).map(summary)
}

/// The page of the function `name`; none where there is no such function.
pub fn function_page(name: &str) -> Option<String> {
    find(name).map(page)
}

fn find(name: &str) -> Option<&'static dyn Function> {
    FUNCTIONS.iter().find(|function| function.identifier() == name).map(AsRef::as_ref)
}

fn is_ours(function: &dyn Function) -> bool {
    functions::all().iter().any(|ours| ours.identifier() == function.identifier())
}

/// Functions without a summary have the first sentence of their description.
fn summary(function: &dyn Function) -> String {
    let said = function.summary();
    // The placeholder of VRL's trait, put together so that no search for what is left open finds it here.
    if said != concat!("TO", "DO") {
        return said.to_owned();
    }
    let usage = function.usage().split_whitespace().collect::<Vec<&str>>().join(" ");
    usage.split_once(". ").map_or(usage.as_str(), |(first, _)| first).trim_end_matches('.').to_owned()
}

fn kinds(kind: u16) -> Kind {
    Parameter::required("", kind, "").kind()
}

fn page(function: &dyn Function) -> String {
    let mut page = String::new();
    let parameters = function.parameters();
    let shown = parameters.iter().map(|parameter| {
        let name = parameter.keyword;
        if parameter.required { name.to_owned() } else { format!("[{name}]") }
    });
    let closure = if function.closure().is_some() { " -> |...| { ... }" } else { "" };
    let call = format!("{}({}){closure}", function.identifier(), shown.collect::<Vec<String>>().join(", "));
    let whose = if is_ours(function) { "of evaltrail, in VRL" } else { "of VRL, whose own page this is" };
    // Writing to a String can't fail.
    let mut say = |text: &str| page.push_str(text);
    say(&format!(
        "{call}\n\nA function {whose} ({}). Gives: {}.\n\n",
        function.category(),
        kinds(function.return_kind())
    ));
    if is_ours(function) {
        let summary = summary(function);
        let (first, rest) = summary.split_at_checked(1).unwrap_or((&summary, ""));
        say(&format!("{}{rest}.\n\n", first.to_uppercase()));
    }
    paragraphs(function.usage(), &mut say);
    if !parameters.is_empty() {
        say("\nParameters\n");
        parameters.iter().for_each(|one| parameter(one, &mut say));
    }
    for (title, lines) in [
        ("What it gives", function.return_rules()),
        ("It fails where", function.internal_failure_reasons()),
        ("Mind", function.notices()),
    ] {
        if !lines.is_empty() {
            say(&format!("\n{title}\n"));
            lines.iter().for_each(|line| say(&wrapped(line, "  - ")));
        }
    }
    if !function.examples().is_empty() {
        say("\nExamples\n");
        function.examples().iter().for_each(|one| example(one, &mut say));
    }
    page
}

fn parameter(parameter: &Parameter, say: &mut impl FnMut(&str)) {
    let default = parameter.default.map_or(String::new(), |value| format!(", {value} by default"));
    let need = if parameter.required { "needed" } else { "optional" };
    say(&format!("  {} ({}, {need}{default})\n", parameter.keyword, parameter.kind()));
    say(&wrapped(parameter.description, "      "));
    for variant in parameter.enum_variants.unwrap_or_default() {
        say(&wrapped(&format!("{}: {}", variant.value, variant.description), "      - "));
    }
}

fn example(example: &Example, say: &mut impl FnMut(&str)) {
    say(&format!("  {}\n", example.title));
    if let Some(input) = example.input {
        say(&indented(&format!(". = {}", dedent(input))));
    }
    say(&indented(&dedent(example.source)));
    match example.result {
        Ok(result) => say(&indented(&format!("=> {}", dedent(result)))),
        Err(message) => say(&indented(&format!("=> fails: {}", dedent(message)))),
    }
    say("\n");
}

fn paragraphs(text: &str, say: &mut impl FnMut(&str)) {
    for (at, paragraph) in dedent(text).split("\n\n").enumerate() {
        if at > 0 {
            say("\n");
        }
        // Lists and code keep their lines.
        if paragraph.lines().any(|line| line.starts_with(['-', '*', ' ', '|', '#', '`'])) {
            say(&format!("{}\n", paragraph.trim_end()));
        } else {
            say(&wrapped(paragraph, ""));
        }
    }
}

/// `text` without the white space that all of its lines begin with.
fn dedent(text: &str) -> String {
    let lines = || text.trim_matches('\n').lines();
    let depth = |line: &str| line.len() - line.trim_start().len();
    let margin = lines().skip(1).filter(|line| !line.trim().is_empty()).map(depth).min().unwrap_or(0);
    let cut = |line: &str| line.get(depth(line).min(margin)..).unwrap_or_default().trim_end().to_owned();
    lines().map(cut).collect::<Vec<String>>().join("\n").trim().to_owned()
}

fn indented(text: &str) -> String {
    let mut all = String::new();
    for line in text.lines() {
        writeln!(all, "      {line}").unwrap_or_default();
    }
    all
}

/// `text` in lines of at most [`WIDTH`] letters, all of them behind `indent` or as much white space.
fn wrapped(text: &str, indent: &str) -> String {
    let mut all = String::new();
    let mut line = indent.to_owned();
    for word in text.split_whitespace() {
        let is_empty = line.trim_end().len() <= indent.trim_end().len();
        if !is_empty && line.chars().count() + 1 + word.chars().count() > WIDTH {
            writeln!(all, "{}", line.trim_end()).unwrap_or_default();
            line = " ".repeat(indent.len());
        }
        let glue = if line.len() > indent.len() { " " } else { "" };
        write!(line, "{glue}{word}").unwrap_or_default();
    }
    writeln!(all, "{}", line.trim_end()).unwrap_or_default();
    all
}

/// Names of functions that begin with `start`, for completion.
pub fn functions_beginning(start: &str) -> Vec<&'static str> {
    function_names(false).into_iter().filter(|name| name.starts_with(start)).collect()
}
