//! A page as its blocks.
//!
//! Only what is fenced is run. The words behind the kind of a block say what is done with it; a word that nobody knows
//! would switch a check off without a trace, so it is a fault.

use crate::tools::free_address;
use regex::Regex;
use std::collections::BTreeMap;

/// A page in parts.
pub struct Page {
    pub blocks: Vec<Block>,
    /// What stands around the blocks.
    pub prose: String,
}

/// A fenced block.
#[derive(Debug)]
pub struct Block {
    /// Its page and the line of its fence: `docs/a.md:12`.
    pub place: String,
    /// What it is: `sh`, `toml`, ...
    pub kind: String,
    /// The other words of the fence.
    pub words: Vec<String>,
    pub text: String,
}

impl Block {
    /// Whether a word stands behind the kind.
    pub fn has(&self, word: &str) -> bool {
        self.words.iter().any(|one| one == word)
    }

    /// What stands behind `key=`.
    pub fn value(&self, key: &str) -> Option<&str> {
        self.words.iter().find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
    }

    /// Puts the place in front of what is wrong.
    pub fn fault(&self, what: impl std::fmt::Display) -> String {
        format!("{}: {what}", self.place)
    }
}

impl Page {
    /// Takes a page apart.
    pub fn parse(name: &str, text: &str) -> Result<Page, String> {
        let mut page = Page { blocks: Vec::new(), prose: String::new() };
        // The block that is open, and the white space in front of its fence.
        let mut open: Option<(Block, usize)> = None;
        for (at, line) in text.lines().enumerate() {
            let bare = line.trim_start();
            let indent = line.len() - bare.len();
            match &mut open {
                None if bare.starts_with("```") => {
                    let mut words = bare.trim_start_matches('`').split_whitespace().map(str::to_owned);
                    let kind = words.next().unwrap_or_default();
                    let place = format!("{name}:{}", at + 1);
                    open = Some((Block { place, kind, words: words.collect(), text: String::new() }, indent));
                }
                None => page.prose += &format!("{line}\n"),
                Some(_) if bare == "```" => page.blocks.extend(open.take().map(|(block, _)| block)),
                Some((block, indent)) => {
                    block.text += line.get(*indent..).unwrap_or(bare);
                    block.text.push('\n');
                }
            }
        }
        match open {
            Some((block, _)) => Err(block.fault("this block never ends")),
            None => Ok(page),
        }
    }
}

/// The page with a free port in the place of each port on this machine, the same everywhere.
///
/// So pages name the ports that a user would, and several of them run at a time.
pub fn with_free_ports(text: &str) -> String {
    let address = Regex::new(r"(127\.0\.0\.1|0\.0\.0\.0|localhost):(\d{4,5})\b").unwrap();
    let mut ports = BTreeMap::new();
    let replace = |found: &regex::Captures<'_>| {
        let port = ports.entry(found[2].to_owned()).or_insert_with(|| free_address().port());
        format!("{}:{port}", &found[1])
    };
    address.replace_all(text, replace).into_owned()
}

/// The commands of a `console` block, each with its line in the block and the output that is printed below it.
pub fn commands(text: &str) -> Vec<(usize, String, String)> {
    let mut commands: Vec<(usize, String, String)> = Vec::new();
    let mut continues = false;
    for (at, line) in text.lines().enumerate() {
        if let Some(command) = line.strip_prefix("$ ") {
            commands.push((at, command.to_owned(), String::new()));
            continues = command.ends_with('\\');
        } else if let Some((_, command, output)) = commands.last_mut() {
            let part = if continues { &mut *command } else { &mut *output };
            if continues {
                part.push('\n');
                part.push_str(line.strip_prefix("> ").unwrap_or(line));
                continues = line.ends_with('\\');
            } else {
                part.push_str(line);
                part.push('\n');
            }
        }
    }
    commands
}

/// Whether `got` is what is printed: `…` stands for anything within a line, alone on a line for any lines.
pub fn fits(expected: &str, got: &str) -> bool {
    let mut pattern = String::from("^");
    for line in expected.trim_end().lines() {
        if line.trim() == "…" {
            pattern += r"(?:[^\n]*\n)*";
            continue;
        }
        let parts: Vec<String> = line.trim_end().split('…').map(regex::escape).collect();
        pattern += &parts.join(r"[^\n]*");
        pattern += r"[ \t]*\n";
    }
    pattern.push('$');
    let got = format!("{}\n", got.trim_end());
    let got = if got == "\n" { "" } else { &got };
    Regex::new(&pattern).unwrap().is_match(got)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_fits_but_for_what_is_left_open() {
        assert!(fits("a\nb\n", "a\nb"));
        assert!(!fits("a\n", "a\nb\n") && !fits("a\nb\n", "a\n") && !fits("a.c", "abc"));
        assert!(fits("took … s\n", "took 0.12 s\n") && !fits("took … s\n", "took 0.12 min\n"));
        assert!(fits("a\n…\nd\n", "a\nb\nc\nd\n") && fits("a\n…\n", "a\n") && !fits("a\n…\nd\n", "a\nb\n"));
        assert!(fits("", "") && !fits("", "x\n"));
    }

    #[test]
    fn commands_have_their_lines() {
        let all = commands("$ a \\\n>   b\nout\n$ c\n");
        assert_eq!(all[0], (0, "a \\\n  b".to_owned(), "out\n".to_owned()));
        assert_eq!(all[1], (3, "c".to_owned(), String::new()));
    }
}
