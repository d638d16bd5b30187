//! `evaltrail describe`: a page for every component and every function.

use crate::harness::Run;

#[track_caller]
fn describe(words: &[&str]) -> String {
    let outcome = Run::new(&["describe"]).arg_all(words).run().exits(0);
    assert_eq!(outcome.stderr, "");
    outcome.stdout
}

/// Role and name of every component.
fn components() -> Vec<(&'static str, &'static str, &'static str)> {
    let registry = &evaltrail::config::BUILTIN;
    let sources = registry.sources.iter().map(|entry| ("source", entry.name, entry.page));
    let transforms = registry.transforms.iter().map(|entry| ("transform", entry.name, entry.page));
    let sinks = registry.sinks.iter().map(|entry| ("sink", entry.name, entry.page));
    sources.chain(transforms).chain(sinks).collect()
}

#[test]
fn every_component_has_a_page_with_its_options_and_an_example() {
    for (role, name, source) in components() {
        let page = describe(&[role, name]);
        assert!(page.starts_with(&format!("{name} ({role})\n")), "{page}");
        assert!(page.contains("Example\n"), "{name}: {page}");
        assert!(page.contains(&format!("    type = \"{name}\"\n")), "{name}: {page}");
        assert!(!page.contains("|---"), "{name}: {page}");
        assert!(source.starts_with(&format!("//! `{name}`: ")), "{name}: the page is that of its own file");
        // Each option of the table, with what it wants to be.
        let rows = source.lines().filter_map(|line| line.strip_prefix("//! | `"));
        for option in rows.filter_map(|row| row.split('`').next()).filter(|row| row.contains('_')) {
            assert!(page.contains(option), "{name}: {option}");
        }
        assert!(describe(&[name]).contains(&page), "{name}");
    }
}

#[test]
fn options_say_their_types_and_defaults() {
    let page = describe(&["sink", "file"]);
    for line in [
        "  path (a string; needed)",
        "  rotation.max_bytes (",
        "  fsync (`batch`, `never`; default: `batch`)",
        "  idle_timeout_secs (",
    ] {
        assert!(page.contains(line), "{line}: {page}");
    }
    let mut untyped = Vec::new();
    for (role, name, _) in components() {
        let page = describe(&[role, name]);
        let options = page.split("\nOptions\n").nth(1).unwrap_or_default();
        let options = options.lines().skip(1).take_while(|line| !line.is_empty());
        let titles = options.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
        untyped.extend(titles.filter(|title| !title.contains(" (")).map(|title| format!("{name}: {title}")));
    }
    assert!(untyped.is_empty(), "{untyped:#?}");
}

#[test]
fn functions_have_pages_too() {
    let page = describe(&["parse_elixir_inspect"]);
    for part in ["parse_elixir_inspect(value, [partial])", "of evaltrail", "Parameters", "Examples", "=> "] {
        assert!(page.contains(part), "{part}: {page}");
    }
    let page = describe(&["parse_json"]);
    assert!(page.contains("of VRL, whose own page this is"), "{page}");
    for name in evaltrail::language::function_names(false) {
        let page = evaltrail::language::function_page(name).unwrap();
        assert!(page.lines().count() > 4, "{name}: {page}");
    }
    // A component and a function of one name: both, unless one is asked for.
    let both = describe(&["filter"]);
    assert!(both.contains("filter (transform)") && both.contains("filter(value) -> "), "{both}");
    assert!(!describe(&["function", "filter"]).contains("(transform)"));
}

#[test]
fn what_there_is_no_page_of_is_answered_with_the_nearest() {
    for (words, said) in [
        (&["remp"][..], "did you mean `remap`?"),
        (&["parse_elixir_inspct"], "did you mean `parse_elixir_inspect`?"),
        (&["kubernetes"], "`evaltrail describe` lists"),
        (&["sink", "stdin"], "there is no sink `stdin`"),
        (&["snk", "file"], "did you mean `sink`?"),
    ] {
        let outcome = Run::new(&["describe"]).arg_all(words).run().exits(2);
        assert!(outcome.stderr.contains(said), "{said}: {}", outcome.stderr);
        assert_eq!(outcome.stdout, "");
    }
}

#[test]
fn without_a_name_all_are_listed() {
    let list = describe(&[]);
    for (role, name, _) in components() {
        assert!(list.lines().any(|line| line.split_whitespace().take(2).eq([role, name])), "{name}: {list}");
    }
    for name in evaltrail::language::function_names(false) {
        assert!(list.contains(name), "{name}");
    }
}
