//! Where bytes stood in a stream that lie together here.
//!
//! Lines that were unwrapped follow each other here and not in the stream: between two of them stood the rest of their
//! wrappers, and lines of others. An offset is what tells a record from every other, so each line keeps its own.

/// How many gaps are remembered; behind the last, offsets are counted on. They are then too small, but still in order.
const GAPS_MAX: usize = 64 * 1024;

/// Tells the offset in the stream of every byte of a buffer.
#[derive(Clone, Debug)]
pub struct Places {
    first: u64,
    /// From this byte of the buffer on, offsets are counted from there; in order.
    gaps: Vec<(u32, u64)>,
}

impl Places {
    /// The buffer stood in the stream as it is, from `offset` on.
    pub fn from(offset: u64) -> Places {
        Places { first: offset, gaps: Vec::new() }
    }

    /// Offset in the stream of the byte at `at`.
    #[inline]
    pub fn offset_at(&self, at: usize) -> u64 {
        if self.gaps.is_empty() { self.first + at as u64 } else { self.offset_behind_a_gap(at) }
    }

    fn offset_behind_a_gap(&self, at: usize) -> u64 {
        let before = self.gaps.partition_point(|(start, _)| *start as usize <= at);
        match before.checked_sub(1).and_then(|gap| self.gaps.get(gap)) {
            Some(&(start, offset)) => offset + (at - start as usize) as u64,
            None => self.first + at as u64,
        }
    }

    /// From the byte at `at` on, which is behind all others, the bytes stood at `offset`.
    pub fn push(&mut self, at: usize, offset: u64) {
        if at == 0 {
            *self = Places::from(offset);
        } else if self.gaps.len() < GAPS_MAX && self.offset_at(at) != offset {
            self.gaps.push((at as u32, offset));
        }
    }

    /// The bytes in `range` of another buffer follow behind the first `len` of this one.
    pub fn append(&mut self, len: usize, other: &Places, range: std::ops::Range<usize>) {
        self.push(len, other.offset_at(range.start));
        let inside = other.gaps.partition_point(|(start, _)| *start as usize <= range.start);
        for &(start, offset) in other.gaps.get(inside..).unwrap_or_default() {
            if start as usize >= range.end {
                break;
            }
            self.push(len + (start as usize - range.start), offset);
        }
    }

    /// The same for a buffer without its first `len` bytes.
    pub fn behind(&self, len: usize) -> Places {
        let mut rest = Places::from(self.offset_at(len));
        rest.append(0, self, len..usize::MAX);
        rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_byte_keeps_its_offset(
            lines in proptest::collection::vec((1usize..9, 0u64..5), 1..12),
            cut in any::<prop::sample::Index>(),
            head in 0usize..5,
        ) {
            let (mut places, mut all, mut at) = (Places::from(0), Vec::new(), 7);
            for (len, gap) in lines {
                at += gap;
                places.push(all.len(), at);
                all.extend(at..at + len as u64);
                at += len as u64;
            }
            let shown = |places: &Places, len: usize| (0..len).map(|at| places.offset_at(at)).collect::<Vec<_>>();
            prop_assert_eq!(&shown(&places, all.len()), &all);
            let cut = cut.index(all.len());
            prop_assert_eq!(&shown(&places.behind(cut), all.len() - cut), &all[cut..]);
            let mut joined = Places::from(1000);
            joined.append(head, &places, cut..all.len());
            let expected: Vec<u64> = (1000..1000 + head as u64).chain(all[cut..].iter().copied()).collect();
            prop_assert_eq!(&shown(&joined, expected.len()), &expected);
        }
    }

    #[test]
    fn gaps_without_end_take_no_memory_without_end() {
        let mut places = Places::from(0);
        for line in 1..200_000 {
            places.push(line, line as u64 * 10);
        }
        assert_eq!(places.gaps.len(), GAPS_MAX);
        assert!(places.offset_at(199_999) >= places.offset_at(GAPS_MAX));
    }
}
