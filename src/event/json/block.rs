//! Which bytes of a block are special, as the bits of one integer.
//!
//! Strings are most of a log. Looking at a block at once, and then only at its set bits, costs a few instructions for
//! 32 bytes however many escapes they hold; a loop over bytes or words pays for each one anew. The vectors are the
//! `wide` crate's, which uses what the target is sure to have (on x86-64: SSE2) and keeps this free of `unsafe`.

use wide::u8x16;

/// Bytes in a block.
pub const BLOCK: usize = 32;

/// Sets the bit of every byte that is a quote, a backslash or a control character.
#[inline]
pub fn special(block: &[u8; BLOCK]) -> u32 {
    mask(block, |half| {
        let control = half.min(u8x16::splat(0x1F)).simd_eq(half);
        half.simd_eq(u8x16::splat(b'"')) | half.simd_eq(u8x16::splat(b'\\')) | control
    })
}

/// Sets the bit of every byte that is a backslash.
#[inline]
pub fn backslashes(block: &[u8; BLOCK]) -> u32 {
    mask(block, |half| half.simd_eq(u8x16::splat(b'\\')))
}

#[inline]
fn mask(block: &[u8; BLOCK], hits: impl Fn(u8x16) -> u8x16) -> u32 {
    let half = |bytes: Option<&[u8; 16]>| bytes.map_or(0, |bytes| hits(u8x16::new(*bytes)).to_bitmask());
    half(block.first_chunk()) | (half(block.last_chunk()) << 16)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_bit_stands_for_each_special_byte(bytes in proptest::collection::vec(
            prop_oneof![Just(b'"'), Just(b'\\'), Just(0x1F), Just(0x20), any::<u8>()], BLOCK)) {
            let block: &[u8; BLOCK] = bytes.as_slice().try_into().unwrap();
            for (at, &byte) in block.iter().enumerate() {
                prop_assert_eq!(special(block) >> at & 1 == 1, byte == b'"' || byte == b'\\' || byte < 0x20);
                prop_assert_eq!(backslashes(block) >> at & 1 == 1, byte == b'\\');
            }
        }
    }
}
