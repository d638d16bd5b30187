//! What only a component's page knows of its options.
//!
//! The doc comment of a field is for who reads the code; the page tells more to who writes a config, so that its words
//! stand in the place of the comment. Where they do no more than name the values, they go behind it.
//! Most defaults come out of the code, as values. Where an option that is left out is no value (`None`), the table of
//! the page says what happens then: by a value, or in words, which go behind the description.

use super::manual::Row;
use super::{Members, manual};
use serde_json::Value;

/// Adds to the schema of a component's options what the tables in `page` say of them.
pub(super) fn add(options: &mut Members, page: &str) {
    for row in manual::rows(page) {
        let steps: Vec<&str> = row.option.split('.').collect();
        add_row(options, &steps, row);
    }
}

/// Adds `row` to the option that is `steps` below `table`.
fn add_row(table: &mut Members, steps: &[&str], mut row: Row<'_>) {
    let [step, rest @ ..] = steps else { return };
    let option = table.get_mut("properties").and_then(|options| options.get_mut(*step));
    let Some(option) = option.and_then(Value::as_object_mut) else { return };
    let Some(next) = rest.first() else {
        // What is said of several options at once is not exact enough for each.
        if !row.is_shared {
            describe(option, row.meaning);
        }
        return state(option, row.default);
    };
    if let Some(Value::Object(items)) = option.get_mut("items") {
        return add_row(items, rest, row);
    }
    // What a table can't be without says by its default what there is without the table.
    let needed = option.get("required").and_then(Value::as_array);
    if needed.is_some_and(|needed| needed.iter().any(|one| one == next)) {
        state(option, std::mem::take(&mut row.default));
    }
    add_row(option, rest, row);
}

/// Puts the words of the page in the place of the description, or behind it where they only say what the values are.
fn describe(option: &mut Members, meaning: &str) {
    let own = option.get("description").and_then(Value::as_str).unwrap_or_default();
    let more = manual::sentence(meaning);
    let all = match own {
        // The comment says it all, and more.
        own if own.starts_with(more.trim_end_matches('.')) => return,
        own if more.starts_with('`') && !own.is_empty() => format!("{own}\n\n{more}"),
        _ => more,
    };
    option.insert("description".to_owned(), all.into());
}

fn state(option: &mut Members, default: &str) {
    if default.is_empty() || option.contains_key("default") {
        return;
    }
    match literal(default) {
        Some(value) => {
            option.insert("default".to_owned(), value);
        }
        None => {
            let own = option.get("description").and_then(Value::as_str).unwrap_or_default();
            let note = format!("Default: {default}.");
            let all = if own.ends_with(&note) { own.to_owned() } else { format!("{own}\n\n{note}") };
            option.insert("description".to_owned(), all.into());
        }
    }
}

/// The value of a cell that is code and nothing else; a word is a string.
fn literal(cell: &str) -> Option<Value> {
    let code = cell.strip_prefix('`')?.strip_suffix('`').filter(|code| !code.contains('`'))?;
    Some(serde_json::from_str(code).unwrap_or_else(|_| code.into()))
}
