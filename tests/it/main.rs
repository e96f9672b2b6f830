//! One test binary; a module per subject.
#![expect(clippy::disallowed_methods, reason = "tests read files and the environment")]

mod rejected;
