//! Reads the text of OpenMetrics, as far as counters and gauges go.
//!
//! <https://prometheus.io/docs/specs/om/open_metrics_spec/>: a line for each sample, with labels whose values are quoted;
//! comments; and an end that says that nothing is missing.

/// One value of a metric.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Name of the metric, with the ending of its kind: `evaltrail_events_in_total`.
    pub name: String,
    /// Names and values of its labels, in their order.
    pub labels: Vec<(String, String)>,
    /// The value.
    pub value: f64,
}

impl Sample {
    /// The value of a label; empty where it has no such label, as the format has it.
    pub fn label(&self, name: &str) -> &str {
        self.labels.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }
}

/// The samples of a text. An error says which line is wrong.
pub fn parse(text: &str) -> Result<Vec<Sample>, String> {
    let mut samples = Vec::new();
    for (at, line) in text.lines().enumerate() {
        if line == "# EOF" {
            return Ok(samples);
        }
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let read = sample(line).ok_or_else(|| format!("line {} of the metrics can't be read", at + 1))?;
        samples.push(read);
    }
    Err("the metrics break off".to_owned())
}

fn sample(line: &str) -> Option<Sample> {
    let end = line.find(['{', ' '])?;
    let (name, mut rest) = line.split_at_checked(end)?;
    let mut labels = Vec::new();
    if let Some(inside) = rest.strip_prefix('{') {
        rest = inside;
        while !rest.starts_with('}') {
            let (name, quoted) = rest.split_once("=\"")?;
            let (value, behind) = unquote(quoted)?;
            labels.push((name.to_owned(), value));
            rest = behind.strip_prefix(',').unwrap_or(behind);
        }
        rest = rest.strip_prefix('}')?;
    }
    // Behind the value there may be a time and an example.
    let value = rest.strip_prefix(' ')?.split(' ').next()?.parse().ok()?;
    (!name.is_empty()).then(|| Sample { name: name.to_owned(), labels, value })
}

/// The text up to the next quote, and what stands behind that.
fn unquote(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Some((value, text.get(at + 1..)?)),
            '\\' => match chars.next()?.1 {
                'n' => value.push('\n'),
                escaped => value.push(escaped),
            },
            char => value.push(char),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_read_with_their_labels() {
        let text = "# HELP a What.\n# TYPE a counter\na_total{x=\"1\",y=\"a\\\"b\\\\c\\nd,}\"} 5\nb 1.5 1700000000\n\
                    c{} +Inf # {id=\"7\"} 1\n# EOF\n";
        let samples = parse(text).unwrap();
        assert_eq!((samples[0].name.as_str(), samples[0].value), ("a_total", 5.0));
        assert_eq!((samples[0].label("x"), samples[0].label("y")), ("1", "a\"b\\c\nd,}"));
        assert_eq!(samples[0].label("z"), "");
        assert_eq!((samples[1].value, samples[2].value), (1.5, f64::INFINITY));
    }

    #[test]
    fn what_is_no_metric_is_told() {
        assert!(parse("a 1\n").unwrap_err().contains("break off"));
        for line in ["a", "a{x=\"1} 2", "a{x=1} 2", "a{x=\"1\"}2", "a b", " 1", "a{x=\"1\\"] {
            let why = parse(&format!("b 1\n{line}\n# EOF\n")).unwrap_err();
            assert!(why.starts_with("line 2 of"), "{line}: {why}");
        }
    }
}
