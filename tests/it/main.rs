//! The integration tests: one binary, a module per subject.
#![expect(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "tests read the disk and the environment, say what they skip, and end where they are surprised"
)]

mod oracle;
