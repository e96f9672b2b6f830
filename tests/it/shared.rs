//! The facts that tests read in place: published schemas, public examples, what the real controllers answered.

use std::io::Write as _;
use std::path::{Path, PathBuf};

/// A folder of the facts, beside the project or in `$DPU_RENDER_SHARED`. Absent: said loudly, and in CI a failure.
pub(crate) fn shared(folder: &str) -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let found = std::env::var_os("DPU_RENDER_SHARED").map_or(beside, PathBuf::from).join(folder);
    if found.is_dir() {
        return Some(found);
    }
    assert!(std::env::var_os("CI").is_none(), "{} is missing: set DPU_RENDER_SHARED", found.display());
    // Not `eprintln`: the harness hides that where a test passes.
    let line = format!("NOT TESTED: {} is missing; set DPU_RENDER_SHARED to the folder of facts\n", found.display());
    std::io::stderr().write_all(line.as_bytes()).unwrap();
    None
}
