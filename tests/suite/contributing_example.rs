//! The worked example of CONTRIBUTING.md: a transform, registered beside those of the program, and run.
