//! The screen: how what the library found is shown to people. No logic.

pub mod render;
