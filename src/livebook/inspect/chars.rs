//! What Elixir takes for printable, and how it escapes what it prints.
//!
//! Facts from Elixir's `String.printable?/1` and `Code.Identifier.escape/2`, checked against real output of Elixir
//! 1.18 and 1.20.

/// Whether `inspect` prints a string that holds `char` between quotes; one character for which this is false turns
/// the whole string into `<<...>>`.
pub fn is_printable(char: char) -> bool {
    match char {
        '\u{07}'..='\u{0D}' | '\u{1B}' => true,
        '\u{00}'..='\u{1F}' | '\u{80}'..='\u{9F}' => false,
        '\u{FFFE}' | '\u{FFFF}' => false,
        _ => true,
    }
}

/// The letter behind the backslash, for characters that have an escape of their own.
pub fn short_escape(char: char) -> Option<u8> {
    Some(match char {
        '"' => b'"',
        '\\' => b'\\',
        '\n' => b'n',
        '\r' => b'r',
        '\t' => b't',
        '\u{0B}' => b'v',
        '\u{08}' => b'b',
        '\u{0C}' => b'f',
        '\u{1B}' => b'e',
        '\u{7F}' => b'd',
        '\u{07}' => b'a',
        _ => return None,
    })
}

/// The character that an escape's letter stands for.
pub fn unescape(letter: u8) -> Option<u8> {
    Some(match letter {
        b'"' => b'"',
        b'\\' => b'\\',
        b'#' => b'#',
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 0x0B,
        b'b' => 0x08,
        b'f' => 0x0C,
        b'e' => 0x1B,
        b'd' => 0x7F,
        b'a' => 0x07,
        _ => return None,
    })
}

/// Whether newer versions print `char` as `\uHHHH` because a reader would be misled by it: spaces of odd widths,
/// joiners, marks of direction, separators, annotations. Older versions print them raw.
pub fn is_confusing(char: char) -> bool {
    matches!(char,
        '\u{A0}' | '\u{34F}' | '\u{61C}' | '\u{2000}'..='\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{205F}'..='\u{2064}'
        | '\u{2066}'..='\u{2069}' | '\u{FEFF}' | '\u{FFF9}'..='\u{FFFC}')
}
