//! How diagnostics look on a screen: the only place that knows the library which draws them.

use super::mask::{mask, mask_program};
use crate::config::{Diagnostic, Place, Severity, Source};
use annotate_snippets::{
    Annotation, AnnotationKind, Group, Level, Renderer, Snippet, normalize_untrusted_str as clean,
};
use std::ops::Range;

/// Draws `diagnostics`, whose places refer to `sources`, one below the other, with their count in the last line,
/// and with secrets blotted out. Empty where there are none.
pub fn render(diagnostics: &[Diagnostic], sources: &[Source], coloured: bool) -> String {
    with_count(&draw(diagnostics, sources, coloured), diagnostics, sources)
}

/// The same without their count.
pub fn draw(diagnostics: &[Diagnostic], sources: &[Source], coloured: bool) -> String {
    draw_masked(diagnostics, sources, mask, coloured)
}

/// The same for diagnostics that refer to a program.
pub fn render_program(diagnostics: &[Diagnostic], program: &Source, coloured: bool) -> String {
    let sources = std::slice::from_ref(program);
    with_count(&draw_masked(diagnostics, sources, mask_program, coloured), diagnostics, sources)
}

fn with_count(text: &str, diagnostics: &[Diagnostic], sources: &[Source]) -> String {
    match diagnostics {
        [] => text.to_owned(),
        _ => format!("{text}{}\n", count(diagnostics, sources)),
    }
}

fn draw_masked(
    diagnostics: &[Diagnostic],
    sources: &[Source],
    mask: fn(&str) -> String,
    coloured: bool,
) -> String {
    let sources: Vec<Source> =
        sources.iter().map(|source| Source { name: source.name.clone(), text: mask(&source.text) }).collect();
    let sources = sources.as_slice();
    let renderer = if coloured { Renderer::styled() } else { Renderer::plain() };
    let mut text = String::new();
    for diagnostic in diagnostics {
        text.push_str(renderer.render(&[group(diagnostic, sources)]).trim_end());
        text.push_str("\n\n");
    }
    text
}

fn group<'a>(diagnostic: &'a Diagnostic, sources: &'a [Source]) -> Group<'a> {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut group = Group::with_title(level.primary_title(clean(&diagnostic.title)));
    let primary =
        diagnostic.at.iter().map(|place| (place, diagnostic.label.as_str(), AnnotationKind::Primary));
    let more = diagnostic.more.iter().map(|(place, label)| (place, label.as_str(), AnnotationKind::Context));
    let marks: Vec<(&Place, &str, AnnotationKind)> = primary.chain(more).collect();
    // One drawing for each file, that of the token to blame first.
    let mut files: Vec<usize> = Vec::new();
    for (place, ..) in &marks {
        if !files.contains(&place.file) {
            files.push(place.file);
        }
    }
    for file in files {
        let Some(source) = sources.get(file) else { continue };
        let own = marks.iter().filter(|(place, ..)| place.file == file);
        let own = own.map(|(place, label, kind)| mark(source, place, label, *kind));
        group = group.element(Snippet::source(&source.text).path(clean(&source.name)).annotations(own));
    }
    match &diagnostic.help {
        Some(help) => group.element(Level::HELP.message(clean(help))),
        None => group,
    }
}

fn mark<'a>(source: &Source, place: &Place, label: &str, kind: AnnotationKind) -> Annotation<'a> {
    let label = (!label.is_empty()).then(|| clean(label));
    kind.span(inside(&source.text, &place.span)).label(label)
}

/// `span`, where `text` has it; its end where not, which takes a place in another text than this.
fn inside(text: &str, span: &Range<usize>) -> Range<usize> {
    if text.get(span.clone()).is_some() { span.clone() } else { text.len()..text.len() }
}

/// "5 errors, 1 warning in evaltrail.toml".
fn count(diagnostics: &[Diagnostic], sources: &[Source]) -> String {
    let of = |severity, noun: &str| {
        let count = diagnostics.iter().filter(|one| one.severity == severity).count();
        let plural = if count == 1 { "" } else { "s" };
        (count > 0).then(|| format!("{count} {noun}{plural}"))
    };
    let counts: Vec<String> =
        [of(Severity::Error, "error"), of(Severity::Warning, "warning")].into_iter().flatten().collect();
    let place = match sources {
        [] => String::new(),
        [source] => format!(" in {}", clean(&source.name)),
        _ => format!(" in {} files", sources.len()),
    };
    format!("{}{place}", counts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    fn sources() -> Vec<Source> {
        let source = |name: &str, text: &str| Source { name: name.to_owned(), text: text.to_owned() };
        vec![
            source("a.toml", "[sources.é]\ntype = \"stdni\"\n"),
            source("b.toml", "\n[sinks.é]\ntype = \"console\""),
        ]
    }

    #[test]
    fn the_token_is_underlined_and_the_other_place_shown() {
        let diagnostics = [
            Diagnostic::error("unknown type `stdni`")
                .at(Place::new(0, 20..27), "there is no such source")
                .help("did you mean `stdin`?".to_owned()),
            Diagnostic::error("the id `é` is given twice")
                .at(Place::new(1, 8..10), "defined again here")
                .also(Place::new(0, 9..11), "first defined here"),
            Diagnostic::warning("nothing to say"),
        ];
        expect![[r#"
            error: unknown type `stdni`
             --> a.toml:2:8
              |
            2 | type = "stdni"
              |        ^^^^^^^ there is no such source
              |
              = help: did you mean `stdin`?

            error: the id `é` is given twice
             --> b.toml:2:8
              |
            2 | [sinks.é]
              |        ^ defined again here
              |
             ::: a.toml:1:10
              |
            1 | [sources.é]
              |          - first defined here

            warning: nothing to say

            2 errors, 1 warning in 2 files
        "#]]
        .assert_eq(&render(&diagnostics, &sources(), false));
    }

    #[test]
    fn a_single_file_is_named_in_the_count() {
        let text = render(&[Diagnostic::error("x"), Diagnostic::error("y")], &sources()[..1], false);
        assert!(text.ends_with("2 errors in a.toml\n"), "{text}");
        assert_eq!(render(&[], &sources(), false), "");
    }

    #[test]
    fn colours_are_asked_for_and_control_characters_are_made_visible() {
        let diagnostics = [Diagnostic::error("a \u{1b}[31mred\u{1b}[0m title")];
        assert!(render(&diagnostics, &sources(), true).contains('\u{1b}'));
        assert!(!render(&diagnostics, &sources(), false).contains('\u{1b}'));
    }

    #[test]
    fn places_at_and_beyond_the_end_do_no_harm() {
        for span in [26..27, 27..27, 28..28, 500..700, 10..11] {
            let diagnostic = Diagnostic::error("x").at(Place::new(0, span.clone()), "here");
            assert!(render(&[diagnostic], &sources(), false).contains("a.toml"), "{span:?}");
        }
    }
}
