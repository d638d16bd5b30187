//! The cells that the invented team evaluates.
//!
//! They are kept as the notebook that they could be: code in a file of its own is written, and read, without a second
//! layer of escapes.

use super::prng::Prng;
use super::template::Template;

const NOTEBOOK: &str = include_str!("cells.livemd");

/// One evaluation in so many is of a cell with hundreds of lines of data.
const LONG_ONCE_IN: u64 = 300;

/// All cells.
#[derive(Debug)]
pub struct Cells {
    usual: Vec<Template>,
    long: Vec<Template>,
}

/// Which cell.
#[derive(Clone, Copy, Debug)]
pub enum Choice {
    /// One of the usual ones.
    Usual(usize),
    /// One with rows of data.
    Long(usize),
}

impl Cells {
    /// Reads the notebook.
    pub fn new() -> Self {
        let (long, usual) = sources(NOTEBOOK).map(Template::new).partition(Template::has_rows);
        Cells { usual, long }
    }

    /// A cell as people run them.
    pub fn choose(&self, prng: &mut Prng) -> Choice {
        if prng.once_in(LONG_ONCE_IN) {
            Choice::Long(prng.below(self.long.len() as u64) as usize)
        } else {
            Choice::Usual(prng.below(self.usual.len() as u64) as usize)
        }
    }

    /// The cell that was chosen.
    pub fn get(&self, choice: Choice) -> Option<&Template> {
        match choice {
            Choice::Usual(at) => self.usual.get(at),
            Choice::Long(at) => self.long.get(at),
        }
    }
}

/// What stands between the fences, without the newline before the closing one.
fn sources(notebook: &str) -> impl Iterator<Item = &str> {
    notebook.split("\n```").skip(1).step_by(2).filter_map(|block| Some(block.split_once('\n')?.1))
}

#[cfg(test)]
mod tests {
    use super::super::holes::Facts;
    use super::super::template::Form;
    use super::*;
    use crate::livebook::inspect::is_string_printable;

    fn write(template: &Template, seed: u64) -> String {
        let mut out = Vec::new();
        template.write(Form::Raw, &Facts::of_seed(seed), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_cell_is_filled_and_printable() {
        let cells = Cells::new();
        assert!(cells.usual.len() > 36 && cells.long.len() == 1);
        for cell in cells.usual.iter().chain(&cells.long) {
            let text = write(cell, 1);
            assert!(!text.contains(['‹', '›']), "an unknown hole: {text}");
            assert!(!text.contains("```") && !text.is_empty() && text == text.trim_end());
            assert!(is_string_printable(text.as_bytes()));
        }
    }

    #[test]
    fn cells_have_the_lengths_of_real_ones() {
        let cells = Cells::new();
        let lengths: Vec<usize> = cells.usual.iter().map(|cell| write(cell, 1).len()).collect();
        let mean = lengths.iter().sum::<usize>() / lengths.len();
        assert!((250..450).contains(&mean), "{mean}");
        assert!(cells.usual.iter().any(|cell| write(cell, 1).lines().count() >= 60));
        assert!((0..20).any(|seed| write(&cells.long[0], seed).len() > 8_096));
    }
}
