//! Results of tests as JUnit XML, which most build servers read.

use super::text::Style;
use crate::config::{Flaw, Source};
use std::fmt::Write;
use std::time::Duration;

/// What has become of one test.
#[derive(Debug)]
pub(super) struct Case<'a> {
    pub name: &'a str,
    pub took: Duration,
    /// None where it has passed.
    pub flaws: Vec<Flaw>,
}

/// The report over `cases`, whose places refer to `files`.
pub(super) fn report(cases: &[Case<'_>], files: &[Source]) -> String {
    let failures = cases.iter().filter(|case| !case.flaws.is_empty()).count();
    let took: Duration = cases.iter().map(|case| case.took).sum();
    let counts = format!("tests=\"{}\" failures=\"{failures}\" errors=\"0\"", cases.len());
    let time = took.as_secs_f64();
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let suite = format!("name=\"evaltrail\" {counts} time=\"{time:.6}\"");
    xml.push_str(&format!("<testsuites {suite}>\n  <testsuite {suite}>\n"));
    for case in cases {
        xml.push_str(&self::case(case, files));
    }
    xml.push_str("  </testsuite>\n</testsuites>\n");
    xml
}

fn case(case: &Case<'_>, files: &[Source]) -> String {
    let Case { name, took, flaws } = case;
    let time = took.as_secs_f64();
    let head = format!("    <testcase name=\"{}\" classname=\"evaltrail\" time=\"{time:.6}\"", escape(name));
    let Some(first) = flaws.first() else { return head + "/>\n" };
    let style = Style { coloured: false };
    let all: Vec<String> = flaws.iter().map(|flaw| style.flaw(flaw, files)).collect();
    // A test case has one failure at most, or some readers count it twice.
    let message = match flaws.len() {
        1 => first.title.clone(),
        count => format!("{} (and {} more)", first.title, count - 1),
    };
    let (message, text) = (escape(&message), escape(&all.join("\n")).replace("&#10;", "\n"));
    format!("{head}>\n      <failure message=\"{message}\">{text}</failure>\n    </testcase>\n")
}

/// `text` inside of an element or of an attribute. XML has no way to write most control characters.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\n' | '\t' | '\r' => {
                // Writing to a String can't fail.
                write!(escaped, "&#{};", u32::from(char)).unwrap_or_default();
            }
            '\0'..='\x1f' | '\u{fffe}' | '\u{ffff}' => escaped.push('\u{fffd}'),
            '\x7f'..='\u{9f}' => {
                write!(escaped, "&#{};", u32::from(char)).unwrap_or_default();
            }
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_xml_whatever_stands_in_it() {
        assert_eq!(
            escape("a<b>&\"c\"\x1b[1m\n\t\u{fffe}\u{85}é"),
            "a&lt;b&gt;&amp;&quot;c&quot;\u{fffd}[1m&#10;&#9;\u{fffd}&#133;é"
        );
    }
}
