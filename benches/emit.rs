//! How fast the YAML writer is, beside a serde emitter and the JSON writer: `cargo run --release --example emit -- FILE…`.
#![expect(clippy::disallowed_methods, clippy::print_stdout, reason = "a program for developers")]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

use dpu_render::node::Node;
use dpu_render::source::SourceTree;
use dpu_render::yaml::{read, write};

const ROUNDS: u32 = 50;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut nodes = Vec::new();
    for path in std::env::args().skip(1) {
        let files = BTreeMap::from([(path.clone(), std::fs::read_to_string(&path)?)]);
        let tree = SourceTree::new(&files);
        let (id, source) = tree.load(&path).map_err(|error| format!("{path}: {error:?}"))?;
        nodes.extend(read::documents(&source, id, &mut Vec::new()));
    }
    let values: Vec<serde_json::Value> = nodes.iter().map(Node::to_json).collect();
    let ours = measure("yaml::write::yaml", || {
        let mut out = String::new();
        nodes.iter().for_each(|node| write::yaml(node, &mut out));
        out
    });
    let serde = measure("serde_norway", || {
        let mut out = Vec::new();
        for value in &values {
            // A vector takes everything.
            let _ = serde_norway::to_writer(&mut out, value);
        }
        out
    });
    measure("yaml::write::json", || {
        let mut out = String::new();
        nodes.iter().for_each(|node| write::json(node, &mut out));
        out
    });
    println!("{:.1} times as fast as the serde emitter", serde.as_secs_f64() / ours.as_secs_f64());
    Ok(())
}

/// The best of the rounds, after printing it.
fn measure<T: AsRef<[u8]>>(name: &str, mut emit: impl FnMut() -> T) -> Duration {
    let mut best = Duration::MAX;
    let mut bytes = 0;
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let out = black_box(emit());
        best = best.min(start.elapsed());
        bytes = out.as_ref().len();
    }
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let speed = bytes as f64 / best.as_secs_f64() / 1e6;
    println!("{name:18} {bytes} bytes, {speed:.0} MB/s");
    best
}
