//! The evaltrail program.
fn main() {}
