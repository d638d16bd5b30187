//! Numbers of things, for people.
//!
//! What a person reads says "1 record" and "2 records"; programs read fields and JSON.

/// A number of things: `1 record`, `2 records`.
pub fn counted(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}

/// `is` of one, `are` of several.
pub fn are(count: u64) -> &'static str {
    if count == 1 { "is" } else { "are" }
}
