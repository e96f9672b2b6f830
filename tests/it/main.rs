//! The tests that need more than the pure functions: other programs, files, the binary.

mod readers;
