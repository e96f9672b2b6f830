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

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};

use clap::{Parser, Subcommand};
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
        Peer::Hand { objects } => print(&load(&objects)?, |object, out| {
            yaml::emit(object, out);
            Ok(())
        })?,
        Peer::Serde { objects } => print(&load(&objects)?, |object, out| {
            serde_saphyr::to_fmt_writer(out, object).map_err(|error| error.to_string())
        })?,
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

fn print(
    objects: &[Value],
    emit: impl Fn(&Value, &mut String) -> Result<(), String>,
) -> Result<Value, Box<dyn Error>> {
    let mut out = String::new();
    let clock = Clock::start();
    for object in objects {
        out.push_str("---\n");
        emit(object, &mut out)?;
    }
    let stretch = clock.stop();
    let rate = out.len() as f64 / 1e6 / stretch.wall.as_secs_f64();
    Ok(stretch.report(&[
        ("objects", objects.len().into()),
        ("bytes", out.len().into()),
        ("mb_per_s", rate.into()),
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

fn equal(expected: &Path, actual: &Path) -> Result<Value, Box<dyn Error>> {
    let (expected, actual) = (keyed(expected)?, keyed(actual)?);
    let mut tally: BTreeMap<&str, usize> = BTreeMap::new();
    let mut first = Vec::new();
    for (key, object) in &expected {
        let verdict = match actual.get(key) {
            Some(other) if other == object => "equal",
            Some(_) => "different",
            None => "missing",
        };
        *tally.entry(verdict).or_default() += 1;
        if verdict != "equal" && first.len() < 5 {
            first.push(format!("{verdict}: {key}"));
        }
    }
    let destinations: std::collections::BTreeSet<&str> =
        expected.keys().filter_map(|key| key.split_whitespace().next()).collect();
    let surplus = actual.keys().filter(|key| {
        !expected.contains_key(*key) && key.split_whitespace().next().is_some_and(|name| destinations.contains(name))
    });
    for key in surplus {
        *tally.entry("surplus").or_default() += 1;
        if first.len() < 10 {
            first.push(format!("surplus: {key}"));
        }
    }
    Ok(json!({"equal": tally.get("equal"), "tally": tally, "first": first}))
}

/// Reads objects by where they go and what they are called.
fn keyed(path: &Path) -> Result<BTreeMap<String, Value>, Box<dyn Error>> {
    let mut objects = BTreeMap::new();
    for line in BufReader::new(fs::File::open(path)?).lines() {
        let mut line: Value = serde_json::from_str(&line?)?;
        let object = line["object"].take();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let key = format!(
            "{}/{} {} {} {}",
            text(&line["site"]),
            text(&line["destination"]),
            text(&object["kind"]),
            text(&object["metadata"]["namespace"]),
            text(&object["metadata"]["name"])
        );
        objects.insert(key, object);
    }
    Ok(objects)
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
