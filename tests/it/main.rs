//! The integration tests: one binary, a module per subject.
#![expect(clippy::disallowed_methods, clippy::print_stderr, reason = "tests read the disk, the environment, and say what they skip")]

mod oracle;
