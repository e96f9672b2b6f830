//! The peers that need no other program: what the objects cost by themselves. Each one loads its input first and
//! measures only its own step.
//! In: lines `{"site","destination","object"}`, or a folder. Out: the step's product on stdout (`copy` alone), one line of
//! JSON with the measurement on stderr. Touches nothing.
#![expect(clippy::print_stderr, reason = "a program of the bench: the measurement goes to stderr")]
#![expect(clippy::disallowed_methods, reason = "a program of the bench: it reads files and clocks")]

#[path = "support/clock.rs"]
mod clock;
#[path = "support/yaml.rs"]
mod yaml;

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Parser, Subcommand};
use dpu_render::node::Node;
use dpu_render::source::Origin;
use serde_json::{Value, json};

use clock::Clock;

/// Measure what copying, printing, parsing and comparing cost by themselves
#[derive(Parser)]
struct Args {
    #[command(subcommand)]
    peer: Peer,
}

#[derive(Subcommand)]
enum Peer {
    /// Copy every object, print it into one buffer, write the buffer to stdout
    Copy {
        /// Lines of objects
        objects: PathBuf,
    },
    /// Print every object with the emitter written by hand
    Hand {
        /// Lines of objects
        objects: PathBuf,
    },
    /// Print every object with the emitter of `dpu-render`
    Own {
        /// Lines of objects
        objects: PathBuf,
    },
    /// Print every object with a serde emitter (serde-saphyr)
    Serde {
        /// Lines of objects
        objects: PathBuf,
    },
    /// Parse every YAML file of a folder into plain values
    Parse {
        /// The folder
        folder: PathBuf,
    },
    /// Read every file of a folder and compare it with what it was
    Compare {
        /// The folder
        folder: PathBuf,
    },
    /// Compare two files of objects, whatever their order; objects of a destination that the first has not are left out
    Equal {
        /// Lines of objects that are expected
        expected: PathBuf,
        /// Lines of objects that came out
        actual: PathBuf,
    },
}

fn main() -> Result<(), Box<dyn Error>> {
    let report = match Args::parse().peer {
        Peer::Copy { objects } => copy(&load(&objects)?)?,
        Peer::Hand { objects } => hand(&load(&objects)?)?,
        Peer::Own { objects } => own(&load(&objects)?)?,
        Peer::Serde { objects } => serde(&load(&objects)?)?,
        Peer::Parse { folder } => parse(&folder)?,
        Peer::Compare { folder } => compare(&folder)?,
        Peer::Equal { expected, actual } => equal(&expected, &actual)?,
    };
    eprintln!("{report}");
    Ok(())
}

/// Deep copies live one at a time: the cheapest way to copy them all.
fn copy(objects: &[Value]) -> Result<Value, Box<dyn Error>> {
    let mut out = String::new();
    let clock = Clock::start();
    for object in objects {
        let copy = object.clone();
        out.push_str("---\n");
        yaml::emit(&copy, &mut out);
    }
    std::io::stdout().lock().write_all(out.as_bytes())?;
    let stretch = clock.stop();
    Ok(stretch.report(&[("objects", objects.len().into()), ("bytes", out.len().into())]))
}

fn hand(objects: &[Value]) -> Result<Value, Box<dyn Error>> {
    print(objects, |object, out| {
        yaml::emit(object, out);
        Ok(())
    })
}

fn serde(objects: &[Value]) -> Result<Value, Box<dyn Error>> {
    print(objects, |object, out| serde_saphyr::to_fmt_writer(out, object).map_err(|error| error.to_string()))
}

fn own(objects: &[Value]) -> Result<Value, Box<dyn Error>> {
    let nodes: Vec<Node> = objects.iter().map(|object| Node::from_json(object, Origin::NONE)).collect();
    print(&nodes, |node, out| {
        dpu_render::yaml::write::yaml(node, out);
        Ok(())
    })
}

fn print<T>(objects: &[T], emit: impl Fn(&T, &mut String) -> Result<(), String>) -> Result<Value, Box<dyn Error>> {
    let mut out = String::new();
    let clock = Clock::start();
    for object in objects {
        out.push_str("---\n");
        emit(object, &mut out)?;
    }
    let stretch = clock.stop();
    // Counted by our own reader: an emitter that loses objects is not fast.
    let read = yaml::parse(&out)?.iter().filter(|object| object["kind"].is_string()).count();
    let rate = |time: Duration| out.len() as f64 / 1e6 / time.as_secs_f64();
    Ok(stretch.report(&[
        ("objects", read.into()),
        ("bytes", out.len().into()),
        ("mb_per_s", rate(stretch.wall).into()),
        ("mb_per_cpu_s", rate(stretch.cpu).into()),
    ]))
}

fn parse(folder: &Path) -> Result<Value, Box<dyn Error>> {
    let files: Vec<String> = read_tree(folder)?.into_values().map(String::from_utf8).collect::<Result<_, _>>()?;
    let mut objects = 0;
    let clock = Clock::start();
    for text in &files {
        objects += yaml::parse(text)?.len();
    }
    let stretch = clock.stop();
    let bytes: usize = files.iter().map(String::len).sum();
    Ok(stretch.report(&[("objects", objects.into()), ("bytes", bytes.into())]))
}

fn compare(folder: &Path) -> Result<Value, Box<dyn Error>> {
    let known = read_tree(folder)?;
    let clock = Clock::start();
    let mut same = 0;
    for (path, bytes) in &known {
        same += usize::from(fs::read(path)? == *bytes);
    }
    let stretch = clock.stop();
    Ok(stretch.report(&[("files", known.len().into()), ("same", same.into())]))
}

/// Objects by destination, then by what they are called.
type Destinations = BTreeMap<String, BTreeMap<String, Value>>;

fn equal(expected: &Path, actual: &Path) -> Result<Value, Box<dyn Error>> {
    let (expected, actual) = (destinations(expected)?, destinations(actual)?);
    let (mut known, mut same, mut first) = (0, 0, Vec::new());
    let mut tally: BTreeMap<&str, usize> = BTreeMap::new();
    for (destination, objects) in &expected {
        let Some(others) = actual.get(destination) else { continue };
        known += 1;
        let names: BTreeSet<&String> = objects.keys().chain(others.keys()).collect();
        for name in names {
            let verdict = match (objects.get(name), others.get(name)) {
                (Some(one), Some(other)) if one == other => {
                    same += 1;
                    continue;
                }
                (Some(_), Some(_)) => "different",
                (Some(_), None) => "missing",
                (None, _) => "surplus",
            };
            *tally.entry(verdict).or_default() += 1;
            if first.len() < 5 {
                first.push(format!("{verdict}: {destination} {name}"));
            }
        }
    }
    Ok(json!({"destinations": known, "of": expected.len(), "equal": same, "otherwise": tally, "first": first}))
}

fn destinations(path: &Path) -> Result<Destinations, Box<dyn Error>> {
    let mut found = Destinations::new();
    for line in BufReader::new(fs::File::open(path)?).lines() {
        let mut line: Value = serde_json::from_str(&line?)?;
        let object = line["object"].take();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (kind, metadata) = (text(&object["kind"]), &object["metadata"]);
        let name = format!("{kind} {}/{}", text(&metadata["namespace"]), text(&metadata["name"]));
        let destination = format!("{}/{}", text(&line["site"]), text(&line["destination"]));
        found.entry(destination).or_default().insert(name, object);
    }
    Ok(found)
}

fn load(path: &Path) -> Result<Vec<Value>, Box<dyn Error>> {
    let read = |line: Result<String, std::io::Error>| -> Result<Value, Box<dyn Error>> {
        let mut line: Value = serde_json::from_str(&line?)?;
        Ok(line["object"].take())
    };
    BufReader::new(fs::File::open(path)?).lines().map(read).collect()
}

/// Reads every file below a folder, in byte order of the paths.
fn read_tree(folder: &Path) -> Result<BTreeMap<PathBuf, Vec<u8>>, Box<dyn Error>> {
    let mut files = BTreeMap::new();
    for entry in walkdir::WalkDir::new(folder) {
        let entry = entry?;
        if entry.file_type().is_file() {
            let bytes = fs::read(entry.path())?;
            files.insert(entry.into_path(), bytes);
        }
    }
    Ok(files)
}
