//! Writes what is made in `plugin/` and `base/argocd-plugin/`:
//!
//! ```text
//! cargo run --example plugin-files
//! ```

#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "a command for developers: reads and writes files")]

#[path = "mod.rs"]
mod forms;

use std::error::Error;
use std::fs;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = forms::Texts::new();
    for folder in ["plugin", "plugin/health", "plugin/health/shapes"] {
        for entry in fs::read_dir(root.join(folder))? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "yaml" || extension == "lua") {
                sources.insert(path.strip_prefix(root)?.display().to_string(), fs::read_to_string(&path)?);
            }
        }
    }
    let made = forms::forms(&sources, env!("CARGO_PKG_VERSION"))?;
    for script in sources.keys().filter(|path| path.starts_with("plugin/health/") && path.ends_with(".lua")) {
        if !script.contains("/shapes/") && !made.contains_key(script) {
            fs::remove_file(root.join(script))?;
        }
    }
    for (path, text) in &made {
        fs::create_dir_all(root.join(path).parent().unwrap_or(root))?;
        fs::write(root.join(path), text)?;
    }
    println!("{} files", made.len());
    Ok(())
}
