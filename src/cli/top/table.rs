//! What was seen, as lines of text.

use super::sight::{Component, Sight};

/// Between two columns.
const GAP: &str = "  ";
/// What stands where a component has nothing of the kind.
const NONE: &str = "-";

/// What a line is, for its looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A line like others.
    Plain,
    /// The names of the columns.
    Head,
    /// Something is wrong.
    Bad,
}

/// A line of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// What it is.
    pub kind: Kind,
    /// Its text, without anything that a terminal would act on.
    pub text: String,
}

impl Line {
    fn new(kind: Kind, text: impl AsRef<str>) -> Line {
        // Ids and reasons are whatever somebody has written.
        let shown = text.as_ref().trim_end().chars();
        Line { kind, text: shown.map(|char| if char.is_control() { '\u{FFFD}' } else { char }).collect() }
    }
}

const HEADS: [&str; 12] = [
    "ID",
    "TYPE",
    "IN/s",
    "OUT/s",
    "IN",
    "OUT",
    "DROPPED",
    "REJECTED",
    "RETRIES",
    "LAG",
    "BUFFER",
    "DROPPED FOR",
];
/// Words stand on the left of their columns, numbers on the right.
const LEFT: [bool; 12] = [true, true, false, false, false, false, false, false, false, false, false, true];

/// All lines: what it is and how it stands, a line for each component, and what is wrong. `lost` says why it can't be
/// seen any more.
pub fn lines(address: &str, before: Option<&Sight>, now: &Sight, lost: Option<&str>) -> Vec<Line> {
    let state = match (lost, now.reasons.len()) {
        (Some(_), _) => "not to be seen",
        (None, 0) => "ready",
        (None, _) => "not ready",
    };
    let up = duration(now.up_secs);
    let title = format!("evaltrail {} at {address}, up {up}, {state}", now.version);
    let mut lines = vec![Line::new(Kind::Plain, title)];
    if let Some(why) = lost {
        lines
            .push(Line::new(Kind::Bad, format!("connection lost: {why}; trying again. What was seen last:")));
    }
    lines.extend(now.reasons.iter().map(|reason| {
        let whose = reason.component.as_ref().map(|id| format!("{id}: ")).unwrap_or_default();
        Line::new(Kind::Bad, format!("{whose}{}", reason.reason))
    }));
    let row = |one: &Component| {
        let secs = before.map_or(0.0, |before| now.at.duration_since(before.at).as_secs_f64());
        let same = before.and_then(|before| before.find(one)).filter(|_| secs > 0.0);
        cells(one, same.map(|same| one.rates(same, secs)))
    };
    let rows: Vec<[String; 12]> = now.components.iter().map(row).collect();
    let heads = HEADS.map(str::to_owned);
    let longest = |column: usize| {
        let of = |row: &[String; 12]| row.get(column).map_or(0, |cell| cell.chars().count());
        rows.iter().chain([&heads]).map(of).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..HEADS.len()).map(longest).collect();
    let written = |row: &[String; 12]| {
        let cells = row.iter().zip(&widths).zip(LEFT).map(|((cell, &width), left)| match left {
            true => format!("{cell:<width$}"),
            false => format!("{cell:>width$}"),
        });
        cells.collect::<Vec<String>>().join(GAP)
    };
    lines.push(Line::new(Kind::Head, written(&heads)));
    for (row, one) in rows.iter().zip(&now.components) {
        let is_bad = now.reasons.iter().any(|reason| reason.component.as_ref() == Some(&one.id));
        lines.push(Line::new(if is_bad { Kind::Bad } else { Kind::Plain }, written(row)));
    }
    lines
}

fn cells(one: &Component, rates: Option<[f64; 2]>) -> [String; 12] {
    let none = || NONE.to_owned();
    let [rate_in, rate_out] = rates.map_or([none(), none()], |rates| rates.map(rate));
    let [events_in, events_out] = one.events.map(count);
    let counted = |value: Option<f64>| value.map_or_else(none, count);
    let lag = one.lag.map(|[behind, secs]| match behind > 0.0 {
        true => format!("{} {}", bytes(behind), duration(secs)),
        false => "0".to_owned(),
    });
    let buffer = one.buffer.map(|[used, max]| {
        let percent = if max > 0.0 { used / max * 100.0 } else { 0.0 };
        format!("{percent:.0} % {}", bytes(used))
    });
    let mut dropped: Vec<(&String, &f64)> = one.dropped.iter().collect();
    dropped.sort_by(|a, b| b.1.total_cmp(a.1));
    let reasons: Vec<String> =
        dropped.iter().map(|(reason, value)| format!("{reason} {}", count(**value))).collect();
    [
        one.id.clone(),
        one.component_type.clone(),
        rate_in,
        rate_out,
        events_in,
        events_out,
        count(one.dropped.values().fold(0.0, |all, value| all + value)),
        counted(one.rejected),
        counted(one.retries),
        lag.unwrap_or_else(none),
        buffer.unwrap_or_else(none),
        reasons.join(", "),
    ]
}

/// `12345`, `123k`, `1.23M`.
fn count(value: f64) -> String {
    scaled(value, 100_000.0, 1000.0, &["", "k", "M", "G", "T"], "")
}

/// `0.5`, `120`, `123k`.
fn rate(value: f64) -> String {
    if value > 0.0 && value < 10.0 { format!("{value:.1}") } else { count(value) }
}

/// `512 B`, `1.5 MiB`.
fn bytes(value: f64) -> String {
    scaled(value, 1024.0, 1024.0, &["B", "KiB", "MiB", "GiB", "TiB"], " ")
}

/// `value` below `whole_max` as it is; others with three digits, in the unit for which these are enough.
fn scaled(value: f64, whole_max: f64, step: f64, units: &[&str], gap: &str) -> String {
    let first = units.first().copied().unwrap_or_default();
    if value < whole_max {
        return format!("{value:.0}{gap}{first}");
    }
    let (mut value, mut unit) = (value, first);
    for larger in units.iter().skip(1) {
        if value < step {
            break;
        }
        (value, unit) = (value / step, larger);
    }
    let digits = if value < 9.995 { 2 } else { usize::from(value < 99.95) };
    format!("{value:.digits$}{gap}{unit}")
}

/// `0.4 s`, `59 s`, `3 min`, `2.5 h`, `4 d`.
fn duration(secs: f64) -> String {
    match secs {
        secs if secs < 10.0 => format!("{secs:.1} s"),
        secs if secs < 120.0 => format!("{secs:.0} s"),
        secs if secs < 7_200.0 => format!("{:.0} min", secs / 60.0),
        secs if secs < 172_800.0 => format!("{:.1} h", secs / 3_600.0),
        secs => format!("{:.0} d", secs / 86_400.0),
    }
}

/// The lines that fit on a screen of `height` lines of `width` characters each; the last one says where some do not.
pub fn fitting(mut lines: Vec<Line>, height: usize, width: usize) -> Vec<Line> {
    if lines.len() > height {
        let more = lines.len() - height.saturating_sub(1);
        lines.truncate(height.saturating_sub(1));
        lines.push(Line::new(Kind::Plain, format!("... and {more} lines more: make the window larger")));
    }
    for line in &mut lines {
        if line.text.chars().count() > width {
            line.text = line.text.chars().take(width.saturating_sub(1)).chain(['…']).collect();
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::top::sight::Reason;
    use crate::delivery::clock;
    use expect_test::expect;
    use std::time::Duration;

    fn sight(components: Vec<Component>) -> Sight {
        let (version, at) = ("1.2.3".to_owned(), clock::monotonic());
        Sight { at, version, up_secs: 4000.0, components, reasons: Vec::new() }
    }

    fn component(id: &str, component_type: &str, events: [f64; 2]) -> Component {
        Component { id: id.into(), component_type: component_type.into(), events, ..Component::default() }
    }

    fn text(lines: &[Line]) -> String {
        lines.iter().map(|line| format!("{}\n", line.text)).collect()
    }

    #[test]
    fn a_line_for_each_component_and_what_is_wrong_above() {
        let dropped = [("policy".to_owned(), 5.0), ("other_event".to_owned(), 70.0)].into();
        let mut before =
            sight(vec![component("logs", "file", [100.0, 50.0]), component("siem", "http", [9.0, 9.0])]);
        let mut now = sight(vec![
            Component { lag: Some([1536.0, 61.0]), ..component("logs", "file", [300.0, 50.0]) },
            Component { dropped, ..component("policy", "audit_policy", [1_234_567.0, 75.0]) },
            Component {
                rejected: Some(1.0),
                retries: Some(2.0),
                buffer: Some([3_145_728.0, 12_582_912.0]),
                ..component("siem", "http", [4.0, 0.0])
            },
        ]);
        before.at = now.at - Duration::from_secs(2);
        now.reasons =
            vec![Reason { component: Some("siem".into()), reason: "it answers 401\u{1b}[2J".into() }];
        let shown = lines("h:1", Some(&before), &now, None);
        expect![[r#"
            evaltrail 1.2.3 at h:1, up 67 min, not ready
            siem: it answers 401�[2J
            ID      TYPE          IN/s  OUT/s     IN  OUT  DROPPED  REJECTED  RETRIES            LAG         BUFFER  DROPPED FOR
            logs    file           100      0    300   50        0         -        -  1.50 KiB 61 s              -
            policy  audit_policy     -      -  1.23M   75       75         -        -              -              -  other_event 70, policy 5
            siem    http           2.0      0      4    0        0         1        2              -  25 % 3.00 MiB
        "#]]
        .assert_eq(&text(&shown));
        let kinds: Vec<Kind> = shown.iter().map(|line| line.kind).collect();
        assert_eq!(kinds, [Kind::Plain, Kind::Bad, Kind::Head, Kind::Plain, Kind::Plain, Kind::Bad]);
        let lost = lines("h:1", None, &now, Some("refused"));
        assert!(
            lost[0].text.ends_with("not to be seen") && lost[1].text.contains("connection lost: refused")
        );
    }

    #[test]
    fn it_fits_however_small_the_window_is() {
        let many = (0..50).map(|n| component(&format!("component_{n}"), "file", [0.0; 2])).collect();
        let all = lines("h:1", None, &sight(many), None);
        for (height, width) in [(24, 80), (3, 10), (1, 1), (0, 0)] {
            let fits = fitting(all.clone(), height, width);
            assert!(fits.len() <= height.max(1));
            assert!(fits.iter().all(|line| line.text.chars().count() <= width.max(1)));
        }
        assert!(fitting(all.clone(), 24, 80)[23].text.contains("and 29 lines more"));
        assert_eq!(fitting(all.clone(), 60, 200), all);
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!(
            [0.0, 99_999.0, 123_456.0, 2e9, 9.999e6].map(count),
            ["0", "99999", "123k", "2.00G", "10.0M"]
        );
        assert_eq!([0.0, 0.25, 9.96, 12.4, 1e6].map(rate), ["0", "0.2", "10.0", "12", "1.00M"]);
        assert_eq!([0.0, 1023.0, 1024.0, 1e15].map(bytes), ["0 B", "1023 B", "1.00 KiB", "909 TiB"]);
        assert_eq!(
            [0.0, 45.0, 600.0, 9000.0, 1e6].map(duration),
            ["0.0 s", "45 s", "10 min", "2.5 h", "12 d"]
        );
    }
}
