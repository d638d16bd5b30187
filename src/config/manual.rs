//! Reference pages: of components, made of the doc comment of their file and of what their options say of themselves
//! when they are given something wrong; and of functions, made of what these say of themselves.

use super::component::Role;
use super::diagnostic::Source;
use super::environment::Environment;
use super::registry::Registry;
use super::{Collected, Purpose, suggest, syntax};
use crate::language::{function_names, function_page, function_summary};
use std::fmt::Write;

/// How a value of any option's type is not written, so that the option says what it wants.
const WRONG: &str = "1979-05-27";
/// A string that is near to no value of any option.
const WRONG_WORD: &str = "\"?\"";
/// What stands in the place of a default where there is none, because the option is needed.
const NEEDED: [&str; 2] = ["required", "needed"];
/// What the option `inputs` takes.
pub(super) const INPUTS: &str = "ids of components, ports and globs";
/// What a function is called in the place of a role.
const FUNCTION: &str = "function";

/// What is known of a component without its options.
struct Line {
    role: Role,
    name: &'static str,
    summary: &'static str,
    source: &'static str,
}

/// The pages that `words` ask for: a name, or a role (`sink`, `function`) and a name; without words, a list of all.
///
/// # Errors
///
/// What to say where there is no such page.
pub fn describe(registry: &Registry<'_>, words: &[&str]) -> Result<String, String> {
    let lines = lines(registry);
    let (role, name) = match words {
        [] => return Ok(list(&lines)),
        [name] => (None, *name),
        [role, name, ..] => (Some(*role), *name),
    };
    let roles: Vec<&str> = Role::ALL.iter().map(|(_, role)| role.noun()).chain([FUNCTION]).collect();
    if let Some(role) = role.filter(|role| !roles.contains(role)) {
        let help = suggest::help(role, &roles, "there are").unwrap_or_default();
        return Err(format!("there is nothing called a `{role}`: {help}"));
    }
    let is_meant = |noun: &str| role.is_none_or(|role| role == noun);
    let meant = lines.iter().filter(|line| line.name == name && is_meant(line.role.noun()));
    let mut pages: Vec<String> = meant.map(|line| page(registry, line)).collect();
    pages.extend(function_page(name.trim_end_matches(['!', '(', ')'])).filter(|_| is_meant(FUNCTION)));
    if pages.is_empty() {
        let known = lines.iter().filter(|line| is_meant(line.role.noun())).map(|line| line.name);
        let functions = function_names(false).into_iter().filter(|_| is_meant(FUNCTION));
        let known: Vec<&str> = known.chain(functions).collect();
        let near = suggest::nearest(name, known.iter().copied());
        let help = near.map(|near| format!("did you mean `{near}`?"));
        let help = help.unwrap_or_else(|| "`evaltrail describe` lists what there is".to_owned());
        let noun = role.map_or("component or function", |role| role);
        return Err(format!("there is no {noun} `{name}`: {help}"));
    }
    Ok(pages.join(&format!("\n{}\n\n", "-".repeat(100))))
}

fn lines(registry: &Registry<'_>) -> Vec<Line> {
    let sources = registry.sources.iter().map(|one| (Role::Source, one.name, one.summary, one.page));
    let transforms = registry.transforms.iter().map(|one| (Role::Transform, one.name, one.summary, one.page));
    let sinks = registry.sinks.iter().map(|one| (Role::Sink, one.name, one.summary, one.page));
    let all = sources.chain(transforms).chain(sinks);
    all.map(|(role, name, summary, source)| Line { role, name, summary, source }).collect()
}

fn list(lines: &[Line]) -> String {
    let components = lines.iter().map(|line| (line.role.noun(), line.name, line.summary.to_owned()));
    let own = function_names(true).into_iter();
    let own = own.map(|name| (FUNCTION, name, function_summary(name).unwrap_or_default()));
    let all: Vec<(&str, &str, String)> = components.chain(own).collect();
    let width = all.iter().map(|(_, name, _)| name.len()).max().unwrap_or(0);
    let mut text = String::new();
    for (role, name, summary) in &all {
        // Writing to a String can't fail.
        writeln!(text, "{role:<9}  {name:<width$}  {summary}").unwrap_or_default();
    }
    text.push_str("\nFunctions of VRL:\n");
    let mut line = String::new();
    let ours = function_names(true);
    for name in function_names(false).into_iter().filter(|name| !ours.contains(name)) {
        if line.len() + name.len() > 98 {
            writeln!(text, " {line}").unwrap_or_default();
            line.clear();
        }
        write!(line, " {name}").unwrap_or_default();
    }
    writeln!(text, " {line}").unwrap_or_default();
    text
}

/// The lines of a file's doc comment.
fn doc(source: &str) -> impl Iterator<Item = &str> {
    let lines = source.lines().map_while(|line| line.strip_prefix("//!"));
    lines.map(|line| line.strip_prefix(' ').unwrap_or(line))
}

/// What the page of a component says first: all of its first paragraph behind the name.
pub(super) fn summary(source: &str) -> String {
    let lines: Vec<&str> = doc(source).take_while(|line| !line.is_empty()).collect();
    without_name(&lines.join(" "))
}

/// What the tables of a page say of an option.
#[derive(Clone, Copy)]
pub(super) struct Row<'a> {
    pub option: &'a str,
    pub meaning: &'a str,
    /// What there is without it: a value (`` `5` ``), or words; empty where it is needed.
    pub default: &'a str,
    /// Whether other options are in the same row.
    pub is_shared: bool,
}

/// The options in the tables of a page.
pub(super) fn rows(source: &str) -> Vec<Row<'_>> {
    let mut found = Vec::new();
    let mut is_open = false;
    for cells in doc(source).map(cells) {
        match cells.as_deref() {
            None => is_open = false,
            Some(["option", ..]) => is_open = true,
            Some([options, meaning, default]) if is_open => {
                let options = names(options);
                let is_shared = options.len() > 1;
                let default = if NEEDED.contains(default) { "" } else { *default };
                found.extend(options.into_iter().map(|option| Row { option, meaning, default, is_shared }));
            }
            Some(_) => {}
        }
    }
    found
}

/// The cells of a row of a table.
fn cells(line: &str) -> Option<Vec<&str>> {
    let inner = line.strip_prefix('|')?.strip_suffix('|')?;
    Some(inner.split(" | ").map(str::trim).collect())
}

/// The options that a cell names.
fn names(cell: &str) -> Vec<&str> {
    cell.split('`').filter(|part| part.starts_with(char::is_alphabetic)).collect()
}

/// The beginning of a page without the name of the component, which the title has said.
fn without_name(first: &str) -> String {
    capital(first.split_once(": ").map_or(first, |(_, rest)| rest))
}

/// The words of a cell as a sentence.
pub(super) fn sentence(cell: &str) -> String {
    capital(cell) + if cell.ends_with(['.', '!', '?']) { "" } else { "." }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    let upper = letters.next().map(char::to_uppercase);
    upper.into_iter().flatten().collect::<String>() + letters.as_str()
}

fn page(registry: &Registry<'_>, line: &Line) -> String {
    let Line { role, name, source, .. } = line;
    let mut text = format!("{name} ({})\n\n", role.noun());
    let mut table: Option<Vec<&str>> = None;
    let mut is_code = false;
    let mut is_first = true;
    for line in doc(source) {
        // Writing to a String can't fail.
        if let Some(cells) = cells(line).filter(|_| !is_code) {
            if cells.iter().all(|cell| cell.starts_with('-')) {
                continue;
            }
            match &table {
                None => {
                    writeln!(text, "{}", heading(&cells)).unwrap_or_default();
                    table = Some(cells);
                }
                Some(header) => row(registry, *role, name, header, &cells, &mut text),
            }
            continue;
        }
        table = None;
        match line {
            "```toml" => {
                is_code = true;
                text.push_str("Example\n\n");
            }
            "```" => is_code = false,
            line if is_code => writeln!(text, "    {line}").unwrap_or_default(),
            line if is_first => writeln!(text, "{}", without_name(line)).unwrap_or_default(),
            line => writeln!(text, "{line}").unwrap_or_default(),
        }
        is_first = false;
    }
    text.push_str(&common(registry, line));
    text
}

fn heading(cells: &[&str]) -> String {
    match cells {
        ["option", ..] => "Options\n".to_owned(),
        [first, rest @ ..] => {
            let first =
                first.get(..1).unwrap_or_default().to_uppercase() + first.get(1..).unwrap_or_default();
            format!("{first}: {}\n", rest.join(", "))
        }
        [] => String::new(),
    }
}

/// A row of a table: the first cell, with the type and the default where it is an option, and the meaning below.
fn row(registry: &Registry<'_>, role: Role, kind: &str, header: &[&str], cells: &[&str], text: &mut String) {
    let [first, rest @ ..] = cells else { return };
    let mut title = (*first).to_owned();
    let meaning = rest.first().copied().unwrap_or_default();
    if header.first() == Some(&"option") {
        let options = names(first);
        let types = options.iter().filter_map(|option| option_type(registry, role, kind, option));
        let mut notes: Vec<String> = types.collect();
        notes.dedup();
        match rest.get(1).copied().unwrap_or_default() {
            "" => {}
            default if NEEDED.contains(&default) => notes.push("needed".to_owned()),
            default => notes.push(format!("default: {default}")),
        }
        title = options.join(", ");
        if !notes.is_empty() {
            write!(title, " ({})", notes.join("; ")).unwrap_or_default();
        }
    }
    write!(text, "  {title}\n{}\n", wrapped(meaning)).unwrap_or_default();
}

/// What an option wants, as it says when it is given something else.
fn option_type(registry: &Registry<'_>, role: Role, kind: &str, option: &str) -> Option<String> {
    let refused = |value: &str| {
        let config = format!("[{}s.probe]\ntype = \"{kind}\"\n{option} = {value}\n", role.noun());
        collect(registry, &config).diagnostics
    };
    let title = format!("wrong type of `{option}`");
    let faults = refused(WRONG);
    let fault = faults.iter().find(|fault| fault.title == title)?;
    let expected = fault.label.strip_prefix("expected ")?.split(", found ").next()?;
    // A string may be one of a few.
    let faults = refused(WRONG_WORD);
    let mut values = faults.iter().filter_map(|fault| fault.help.as_deref()?.strip_prefix("the values are "));
    Some(values.next().unwrap_or(expected).to_owned())
}

fn collect(registry: &Registry<'_>, config: &str) -> Collected {
    let source = Source { name: String::new(), text: config.to_owned() };
    let mut collected = Collected::default();
    if let Some(root) = syntax::parse(0, &source, Environment::Absent, &[]).root {
        collected.file(0, config, root, registry, Purpose::Run);
    }
    collected
}

/// The ports of the example, and the keys that all components of the role have.
fn common(registry: &Registry<'_>, line: &Line) -> String {
    let mut text = String::new();
    let example = examples(line.source).into_iter().next().unwrap_or_default();
    let collected = collect(registry, &example);
    let component = collected.components.iter().find(|one| one.role == line.role);
    if let Some(component) = component {
        let ports: Vec<String> = component
            .ports()
            .unwrap_or_default()
            .iter()
            .map(|port| format!("{}.{port}", component.id))
            .collect();
        let main = if component.has_main_output() { vec![component.id.clone()] } else { Vec::new() };
        let outputs: Vec<String> =
            main.into_iter().chain(ports).map(|output| format!("`{output}`")).collect();
        if !outputs.is_empty() {
            writeln!(text, "\nOutputs of the example, for `inputs` of others: {}", outputs.join(", "))
                .unwrap_or_default();
        }
    }
    let keys = match line.role {
        Role::Source => String::new(),
        Role::Transform => format!("`inputs`: {INPUTS}"),
        Role::Sink => format!(
            "`inputs`: {INPUTS}; `buffer`: a table with `type` (`memory` or `disk`), `max_events`, `max_size_bytes`, `when_full` (`block` or `drop_newest`)"
        ),
    };
    if !keys.is_empty() {
        writeln!(text, "\nAs all {}s it has\n{}", line.role.noun(), wrapped(&keys)).unwrap_or_default();
    }
    text
}

/// The examples of a page, as configs.
fn examples(source: &str) -> Vec<String> {
    let mut examples = Vec::new();
    let mut open: Option<String> = None;
    for line in doc(source) {
        match (&mut open, line) {
            (None, "```toml") => open = Some(String::new()),
            (Some(_), "```") => examples.extend(open.take()),
            (Some(example), line) => {
                example.push_str(line);
                example.push('\n');
            }
            (None, _) => {}
        }
    }
    examples
}

/// Lines of at most a hundred letters, indented.
fn wrapped(text: &str) -> String {
    let mut all = String::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > 94 {
            writeln!(all, "      {line}").unwrap_or_default();
            line.clear();
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    writeln!(all, "      {line}").unwrap_or_default();
    all.trim_end().to_owned()
}
