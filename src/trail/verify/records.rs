//! The records of a trail in their order, over all files, for the pass in which everything is as it should be.

use super::lines::{Leaf, Lines, RECORD_BYTES_MAX};
use crate::trail::layout::Segment;
use std::io;

/// Where a record is.
#[derive(Clone, Copy, Debug, Default)]
pub struct At {
    /// Which file, counted in the order of the records.
    pub segment: usize,
    /// In bytes.
    pub offset: u64,
    /// In bytes, without the newline.
    pub len: u64,
}

/// Goes through the records of some files as long as each begins where the one before has ended.
pub struct Records<'a> {
    segments: &'a [Segment],
    at: usize,
    lines: Option<Lines>,
}

impl Records<'_> {
    /// Goes through `segments`.
    pub fn new(segments: &[Segment]) -> Records<'_> {
        Records { segments, at: 0, lines: None }
    }

    /// The record `index`, which is the next one; none where something is missing, torn, or too much.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn next(&mut self, index: u64) -> io::Result<Option<(Leaf, At)>> {
        loop {
            if let Some(lines) = &mut self.lines {
                if let Some(leaf) = lines.read()? {
                    let at = At { segment: self.at, offset: leaf.offset, len: leaf.len };
                    let is_good = leaf.is_whole && leaf.len <= RECORD_BYTES_MAX;
                    return Ok(is_good.then_some((leaf, at)));
                }
                self.lines = None;
                self.at += 1;
            }
            let Some(segment) = self.segments.get(self.at).filter(|segment| segment.first == index) else {
                return Ok(None);
            };
            self.lines = Some(Lines::open(&segment.path)?);
        }
    }

    /// Whether nothing comes behind the last record.
    ///
    /// # Errors
    ///
    /// What the system says.
    pub fn is_at_end(&mut self) -> io::Result<bool> {
        let rest = match &mut self.lines {
            Some(lines) => lines.read()?,
            // Of a trail without records, the file that the first will be written to.
            None => {
                let is_empty = |segment: &Segment| Ok(std::fs::metadata(&segment.path)?.len() == 0);
                return self
                    .segments
                    .iter()
                    .map(is_empty)
                    .try_fold(true, |all, one: io::Result<bool>| Ok(all && one?));
            }
        };
        Ok(rest.is_none() && self.at + 1 == self.segments.len())
    }
}
