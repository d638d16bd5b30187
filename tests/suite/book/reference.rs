//! The reference is what the program says of itself.
