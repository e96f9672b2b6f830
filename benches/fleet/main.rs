//! Writes a fleet of sites as files: the same objects as a repository of `dpu-render`, as kustomizations or as a Helm
//! chart with values, or the objects themselves as lines of JSON. Same arguments, same bytes.
//! In: arguments, the data beside this file. Out: one line about the fleet. Touches: the folder named by `--out`.
#![expect(clippy::print_stdout, reason = "a program of the bench: its product goes to stdout")]
#![expect(clippy::disallowed_methods, reason = "a program of the bench: it writes files")]

mod forms;
mod model;
mod standalone;
#[path = "../support/yaml.rs"]
mod yaml;

use std::collections::BTreeSet;
use std::error::Error;
use std::fs;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

use clap::{Parser, ValueEnum};
use serde_json::json;

use model::Fleet;

/// Write a fleet of DPU sites
#[derive(Parser)]
struct Args {
    /// Number of sites
    #[arg(long, default_value_t = 100)]
    sites: usize,
    /// DPU clusters per site
    #[arg(long, default_value_t = 10)]
    clusters: usize,
    /// Objects per DPU cluster
    #[arg(long, default_value_t = 40)]
    objects: usize,
    /// Folder to write into; must not exist, or be empty
    #[arg(long)]
    out: PathBuf,
    /// What to write
    #[arg(long, value_enum, default_value = "dpu-render")]
    form: Form,
    /// Write DPF's own service objects on the management cluster, for `dpu-render` to expand
    #[arg(long)]
    standalone: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Form {
    /// A repository of sites with layers
    DpuRender,
    /// A repository of sites in which every object is written out for its cluster
    WrittenOut,
    /// Kustomizations: base, overlays, sites, clusters
    Kustomize,
    /// One chart, and values per overlay, site and cluster
    Helm,
    /// The expected objects as lines `{"site","destination","object"}` in `objects.jsonl`
    Objects,
}

fn main() -> Result<(), Box<dyn Error>> {
    let args = Args::parse();
    let mut tree = Tree::new(&args.out)?;
    let fleet = Fleet::new(args.sites, args.clusters, args.objects)?;
    let mut line = json!({"sites": fleet.sites, "clusters": fleet.sites * fleet.clusters});
    match (args.form, args.standalone) {
        (Form::DpuRender, true) => standalone::write(&fleet, &mut tree)?,
        (_, true) => return Err("--standalone goes with the form dpu-render only".into()),
        (Form::DpuRender, false) => forms::dpu_render(&fleet, &mut tree)?,
        (Form::WrittenOut, false) => forms::written_out(&fleet, &mut tree)?,
        (Form::Kustomize, false) => forms::kustomize(&fleet, &mut tree)?,
        (Form::Helm, false) => forms::helm(&fleet, &mut tree)?,
        (Form::Objects, false) => {
            let (objects, distinct, text) = expected(&fleet, &args.out.join("objects.jsonl"))?;
            line["objects"] = objects.into();
            line["distinct"] = distinct.into();
            line["yaml_bytes"] = text.into();
        }
    }
    if !matches!(args.form, Form::Objects) {
        line["files"] = tree.files.into();
        line["bytes"] = tree.bytes.into();
    }
    println!("{line}");
    Ok(())
}

/// Writes the expected objects; returns how many, how many different ones, and what they measure as YAML.
fn expected(fleet: &Fleet, path: &Path) -> Result<(usize, usize, usize), Box<dyn Error>> {
    let mut out = BufWriter::new(fs::File::create(path)?);
    let (mut objects, mut bytes, mut text) = (0, 0, String::new());
    let mut distinct = BTreeSet::new();
    for site in 0..fleet.sites {
        let merged = fleet.merged(site)?;
        for cluster in 0..fleet.clusters {
            let scope = fleet.scope(site, cluster);
            for object in &merged {
                let object = model::evaluate(object, &scope);
                text.clear();
                yaml::emit(&object, &mut text);
                bytes += text.len();
                objects += 1;
                if !distinct.contains(&text) {
                    distinct.insert(text.clone());
                }
                let destination = model::cluster_name(site, cluster);
                let line = json!({"site": model::site_name(site), "destination": destination, "object": object});
                serde_json::to_writer(&mut out, &line)?;
                out.write_all(b"\n")?;
            }
        }
    }
    out.flush()?;
    Ok((objects, distinct.len(), bytes))
}

/// The folder that is written, and what went into it.
struct Tree {
    root: PathBuf,
    files: usize,
    bytes: usize,
}

impl Tree {
    fn new(root: &Path) -> Result<Self, Box<dyn Error>> {
        fs::create_dir_all(root)?;
        if fs::read_dir(root)?.next().is_some() {
            return Err(format!("{} is not empty", root.display()).into());
        }
        Ok(Self { root: root.to_owned(), files: 0, bytes: 0 })
    }

    fn write(&mut self, path: &str, text: &str) -> Result<(), Box<dyn Error>> {
        let path = self.root.join(path);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(path, text)?;
        self.files += 1;
        self.bytes += text.len();
        Ok(())
    }
}
