//! Writes `src/schema/table` out of folders of CRD files:
//!
//! ```text
//! cargo run --example crd-table -- ../shared/crds
//! ```

#![allow(clippy::disallowed_methods, clippy::print_stdout, reason = "a command for developers: reads and writes files")]

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;

use dpu_render::diagnostic::{self, Severity};
use dpu_render::node::Node;
use dpu_render::schema::generate;
use dpu_render::source::SourceTree;
use dpu_render::yaml::read;

fn main() -> Result<(), Box<dyn Error>> {
    let crds = std::env::args().nth(1).ok_or("usage: crd-table FOLDER-OF-CRD-FOLDERS")?;
    for api in generate::APIS {
        let mut sets = Vec::new();
        for (folder, release) in api.folders {
            sets.push((*release, read_folder(&Path::new(&crds).join(folder))?));
        }
        let generated = generate::table(sets.iter().map(|(release, crds)| (*release, &crds[..])), api.without);
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("src/schema/table/{}.jsonl", api.name));
        std::fs::write(&file, &generated.text)?;
        println!("{}: {} KiB, not kept: {:?}", api.name, generated.text.len() >> 10, generated.ignored);
    }
    Ok(())
}

fn read_folder(folder: &Path) -> Result<Vec<Node>, Box<dyn Error>> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))? {
        let path = entry?.path();
        files.insert(path.display().to_string(), std::fs::read_to_string(&path)?);
    }
    let tree = SourceTree::new(&files);
    let mut nodes = Vec::new();
    for path in files.keys() {
        let (id, source) = tree.load(path)?;
        let mut faults = Vec::new();
        nodes.extend(read::documents(&source, id, &mut faults));
        if let Some(fault) = faults.iter().find(|fault| fault.severity == Severity::Error) {
            return Err(diagnostic::render(fault, &tree, false).into());
        }
    }
    Ok(nodes)
}
