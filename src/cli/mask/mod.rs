//! Blots secrets out of a config before a line of it is shown.
//!
//! Whoever reads a diagnostic on a screen, in a ticket or in the log of a build need not see the token that stands in
//! the line at fault. What is a secret is told by the keys that lead to it. A config is shown because something is
//! wrong with it, so nothing relies on its being TOML, or on names that are spelled right: in doubt, a value is
//! blotted. The text keeps its length in bytes and its lines, so that places in it stay true.

mod blot;
mod program;
mod scan;
mod sight;
#[cfg(test)]
mod tests;

pub use program::mask_program;

/// `text` with a `*` for each byte of a secret. Quotes, brackets and the names of variables stay.
pub fn mask(text: &str) -> String {
    let bytes = scan::Scan::new(text).run();
    // What is blotted begins and ends at ASCII, so the rest is text. Were it not, nothing of it should be shown.
    String::from_utf8(bytes).unwrap_or_else(|_| {
        text.bytes().map(|byte| if matches!(byte, b'\n' | b'\r') { char::from(byte) } else { '*' }).collect()
    })
}
