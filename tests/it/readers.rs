//! What we write is read the same by every reader of YAML that may meet it: kubectl and Argo CD (`sigs.k8s.io/yaml`), kustomize
//! (go-yaml 3), Helm's engine, PyYAML, libyaml (all YAML 1.1) and ruamel.yaml (YAML 1.2).
#![expect(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests run other programs and read files")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use dpu_render::diagnostic::Severity;
use dpu_render::node::Node;
use dpu_render::source::{Origin, SourceTree};
use dpu_render::yaml::{read, write};
use serde_json::{Value as Json, json};

/// Fails unless all readers see in each file (path, YAML stream) what our own reader sees.
pub(crate) fn agree(files: &[(String, String)]) {
    let (mut answers, expected) = (python(files), 6 * files.len());
    answers.extend(go(files));
    assert_eq!(answers.len(), expected, "each reader answers for each file");
    compare(files, &answers);
}

/// What one reader said of one file.
struct Answer {
    path: String,
    reader: String,
    documents: Result<Vec<Json>, String>,
}

fn python(files: &[(String, String)]) -> Vec<Answer> {
    let program = part("DPU_RENDER_PYTHON", "target/python/bin/python", "make python");
    ask(Command::new(program).arg(root().join("tests/it/readers.py")), files)
}

fn go(files: &[(String, String)]) -> Vec<Answer> {
    ask(&mut Command::new(part("DPU_RENDER_GO_READERS", "target/readers-go", "make go-readers")), files)
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A program that `make` sets up.
fn part(variable: &str, path: &str, command: &str) -> PathBuf {
    let program = std::env::var_os(variable).map_or_else(|| root().join(path), PathBuf::from);
    assert!(program.exists(), "{} is missing: run `{command}`, or set {variable}", program.display());
    program
}

/// Runs a program that takes all files, a JSON object a line, and answers so.
fn ask(command: &mut Command, files: &[(String, String)]) -> Vec<Answer> {
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut questions = String::new();
    for (path, text) in files {
        writeln!(questions, "{}", json!({"path": path, "text": text})).unwrap();
    }
    let mut stdin = child.stdin.take().unwrap();
    let asking = std::thread::spawn(move || stdin.write_all(questions.as_bytes()));
    let output = child.wait_with_output().unwrap();
    asking.join().unwrap().unwrap();
    assert!(output.status.success(), "{command:?}: {}", output.status);
    let lines = String::from_utf8(output.stdout).unwrap();
    let text = |value: &Json| value.as_str().unwrap().to_owned();
    lines
        .lines()
        .map(|line| {
            let mut answer: Json = serde_json::from_str(line).unwrap();
            let documents = match answer["documents"].take() {
                Json::Array(documents) => Ok(documents),
                _ => Err(text(&answer["error"])),
            };
            Answer { path: text(&answer["path"]), reader: text(&answer["reader"]), documents }
        })
        .collect()
}

/// Fails where an answer is not what our reader sees in that file; shows the first few.
fn compare(files: &[(String, String)], answers: &[Answer]) {
    let ours: BTreeMap<&str, (Vec<Json>, &str)> = files
        .iter()
        .map(|(path, text)| (&**path, (documents(path, text).iter().map(as_json).collect(), &**text)))
        .collect();
    assert_eq!(ours.len(), files.len(), "paths are given once");
    let mut faults = Vec::new();
    for Answer { path, reader, documents } in answers {
        let (expected, text) = &ours[&**path];
        let fault = match documents {
            Err(error) => Some(error.clone()),
            Ok(seen) if seen.len() != expected.len() => {
                Some(format!("{} documents, not {}", seen.len(), expected.len()))
            }
            Ok(seen) => {
                seen.iter().zip(expected).find_map(|(seen, expected)| difference(seen, expected, reader == "helm"))
            }
        };
        if let Some(fault) = fault {
            let text: String = text.chars().take(300).collect();
            faults.push(format!("{path}: {reader}: {fault}\n{text}\n"));
        }
    }
    let shown: Vec<&str> = faults.iter().take(10).map(String::as_str).collect();
    assert!(faults.is_empty(), "{} files or readers differ:\n{}", faults.len(), shown.join("\n"));
}

/// Where two values differ. Doubles may differ in the last digit, because `serde_json` reads the answers no better; in Helm's
/// templates every number is a double.
fn difference(seen: &Json, expected: &Json, doubles: bool) -> Option<String> {
    match (seen, expected) {
        (Json::Array(a), Json::Array(b)) if a.len() == b.len() => {
            a.iter().zip(b).find_map(|(a, b)| difference(a, b, doubles))
        }
        (Json::Object(a), Json::Object(b)) if a.keys().eq(b.keys()) => {
            a.iter().find_map(|(key, a)| difference(a, &b[key], doubles).map(|fault| format!("{key:?}: {fault}")))
        }
        (Json::Number(a), Json::Number(b)) if doubles || a.is_f64() || b.is_f64() => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            ((a - b).abs() > a.abs() * 1e-15).then(|| format!("{a} instead of {b}"))
        }
        _ => (seen != expected).then(|| format!("{seen} instead of {expected}")),
    }
}

fn documents(path: &str, text: &str) -> Vec<Node> {
    let files = BTreeMap::from([(path.to_owned(), text.to_owned())]);
    let tree = SourceTree::new(&files);
    let (id, source) = tree.load(path).unwrap();
    let mut diagnostics = Vec::new();
    let nodes = read::documents(&source, id, &mut diagnostics);
    assert!(diagnostics.iter().all(|found| found.severity != Severity::Error), "{path}: {diagnostics:?}");
    nodes
}

fn as_json(node: &Node) -> Json {
    let mut text = String::new();
    write::json(node, &mut text);
    serde_json::from_str(&text).unwrap()
}

/// A stream of documents as the renderer writes it.
fn stream(nodes: &[Node]) -> String {
    let mut text = String::new();
    for node in nodes {
        text += "---\n# lab1/management\n";
        write::yaml(node, &mut text);
    }
    text
}

/// Strings that some reader takes for something else, or stumbles over, unless they are written with care.
const NASTY: &str = r#"
~ null Null NULL nULL true True TRUE tRUE false False yes Yes YES no No on On ON off OFF y Y n N
0 1 -1 +1 -0 00 007 08 089 0777 0o17 0O17 0b1 0B1 0x1F 0XFF 0xfg 1_000 _1 1_ 1,000 1. .5 +.5 1.5 1.2.3 1..2 10.0.0.1 1e3 1E3 1e+3 1.e3 1.0e+3 e3 1e
.inf -.inf +.INF .Inf .nan .NaN .NAN inf nan Infinity NaN 685_230.15 190:20:30 190:20:30.15 12:30 1:60 -1:30 00:11:22:33:44:55 0000:90:00 0000:90:00.0
0000-90-00 2001-01-01 2001-1-1 2001-13-45 2001-12-14t21:59:43.10-05:00 2001-12-15T02:59:43.1Z 18446744073709551615 18446744073709551616 9223372036854775808
0x8000000000000000 99999999999999999999 1e400 0.1e-400 123abc 12e34 7e1
- -- --- ---- .  .. ... .... = << < > | >- |+ ? ?a : :: :a a: a:b - -a --flag , [ ] { } [] {} {{x}} ${{x}} $X # #a a#b & &a * *a ! !a !!str % %YAML @ @a ` `a`
' '' 'a' it's " "" "a" \ \n \" a\b %d &amp; <a> <=
"#;

/// The same with blanks, breaks and characters that cannot stand in the list above.
const NASTY_BLANKS: [&str; 64] = [
    "",
    " ",
    "  ",
    "\t",
    "\n",
    "\n\n",
    "\r",
    "\r\n",
    " a",
    "a ",
    "\ta",
    "a\t",
    "a\tb",
    "a: b",
    "a:\tb",
    "a : b",
    "a: ",
    "a #b",
    "a\t#b",
    "a # b",
    "- a",
    "-\ta",
    "? a",
    ": a",
    "--- a",
    "... a",
    "---\ta",
    "2001-12-14 21:59:43.10 -5",
    "2001-12-14 21:59:43 Z",
    "0 ",
    "null ",
    "y: 1",
    "a\n",
    "a\nb",
    "a\nb\n",
    "a\nb\n\n",
    "a\n\n\n",
    "\na",
    "\n\na\n",
    "\n a\n",
    " a\nb\n",
    "  a\n b",
    "\ta\nb",
    "a\n\tb",
    "a \nb",
    "a\nb ",
    "a\n \nb",
    "a\n  \n\n b\n",
    " \na",
    "\n \na",
    "a\n ",
    "a\n\t",
    "a\r\nb\r\n",
    "a\n---\nb\n",
    "---\n",
    "...\na\n",
    "# a\nb\n",
    "- a\n- b\n",
    "a: b\nc: d\n",
    "{\n}\n",
    "%YAML 1.1\n---\n",
    "|\n a\n",
    "\"\n\"",
    "'\n'",
];

/// Characters that readers refuse, drop or take for breaks; and some that they must not.
const NASTY_CHARACTERS: &str = "\0\u{1}\u{7}\u{8}\u{b}\u{c}\u{1b}\u{1f}\u{7f}\u{80}\u{84}\u{85}\u{86}\u{9f}\u{a0}\u{ad}\u{300}\u{200b}\u{2000}\u{2028}\u{2029}\u{202e}\
     \u{3000}\u{d7ff}\u{e000}\u{fdd0}\u{feff}\u{fffd}\u{fffe}\u{ffff}\u{10000}\u{1f680}\u{1fffe}\u{10ffff}üß日";

fn nasty() -> BTreeSet<String> {
    let mut strings: BTreeSet<String> = NASTY.split_whitespace().chain(NASTY_BLANKS).map(str::to_owned).collect();
    for character in NASTY_CHARACTERS.chars() {
        for (before, after) in [("", ""), ("a", "b"), ("a", ""), ("", "a"), ("a\n", "\nb\n"), ("", "\na"), ("a ", " b")]
        {
            strings.insert(format!("{before}{character}{after}"));
        }
    }
    for length in [120, 128, 129, 1000, 1010, 1024, 1030, 3000] {
        strings.insert("k".repeat(length));
        strings.insert("k v: ".repeat(length / 5));
        strings.insert("\u{1}".repeat(length / 6));
        strings.insert("ü".repeat(length));
    }
    strings
}

/// Numbers without end, the same in every run (xorshift).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(sides).unwrap()).unwrap()
    }

    /// A tree of strings, numbers and the like.
    fn tree(&mut self, strings: &[String], depth: usize) -> Json {
        match self.roll(if depth == 0 { 8 } else { 14 }) {
            0 => json!(null),
            1 => json!(self.roll(2) == 0),
            2 => [json!(0), json!(-1), json!(i64::MIN), json!(u64::MAX), json!(9_007_199_254_740_993_u64)]
                [self.roll(5)]
            .clone(),
            3 => [json!(1e22), json!(0.1), json!(-2.5e-9), json!(1.0), json!(f64::MAX), json!(1.234_567_890_123_45e17)]
                [self.roll(6)]
            .clone(),
            4..8 => json!(self.string(strings)),
            8..11 => (0..self.roll(5)).map(|_| self.tree(strings, depth - 1)).collect(),
            _ => {
                Json::Object((0..self.roll(5)).map(|_| (self.string(strings), self.tree(strings, depth - 1))).collect())
            }
        }
    }

    /// One of the strings, or some of them run together.
    fn string(&mut self, strings: &[String]) -> String {
        (0..=self.roll(6).saturating_sub(2)).map(|_| strings[self.roll(strings.len())].as_str()).collect()
    }
}

#[test]
fn nasty_strings_are_read_back_by_every_reader() {
    let files: Vec<(String, String)> = nasty()
        .iter()
        .enumerate()
        .map(|(index, text)| {
            let value = json!({"a": text, "list": [text, {"b": text}, [text]], "map": {text: text, "k": {text: [1]}}, "z": text});
            let node = Node::from_json(&value, Origin::NONE);
            (format!("nasty/{index}"), stream(&[node]))
        })
        .collect();
    agree(&files);
}

#[test]
fn generated_trees_are_read_back_by_every_reader() {
    let strings: Vec<String> = nasty().into_iter().filter(|text| text.len() < 100).collect();
    let mut dice = Dice(0x5eed);
    let files: Vec<(String, String)> = (0..300)
        .map(|index| {
            let trees: Vec<Node> = (0..3)
                .map(|_| {
                    Node::from_json(
                        &json!({"spec": dice.tree(&strings, 5), "status": dice.tree(&strings, 2)}),
                        Origin::NONE,
                    )
                })
                .collect();
            for (tree, read) in trees.iter().zip(documents("f", &stream(&trees))) {
                assert_eq!(as_json(tree), as_json(&read));
            }
            (format!("generated/{index}"), stream(if index % 2 == 0 { &trees } else { &trees[..1] }))
        })
        .collect();
    agree(&files);
}

/// Objects of the real controllers, and their public examples: read as kubectl reads them, and written for all.
#[test]
fn real_objects_are_read_back_by_every_reader() {
    let mut originals = Vec::new();
    for folder in ["oracle", "examples"] {
        let Some(folder) = crate::shared::shared(folder) else { return };
        yaml_files(&folder, &mut originals);
    }
    assert!(originals.len() > 100, "{} files", originals.len());
    let mut answers = go(&originals);
    answers.retain(|answer| answer.reader.starts_with("kubectl"));
    compare(&originals, &answers);
    let written: Vec<(String, String)> =
        originals.iter().map(|(path, text)| (path.clone(), stream(&documents(path, text)))).collect();
    agree(&written);
}

fn yaml_files(folder: &Path, files: &mut Vec<(String, String)>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    for path in paths {
        if path.is_dir() {
            yaml_files(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "yaml") {
            files.push((path.display().to_string(), std::fs::read_to_string(&path).unwrap()));
        }
    }
}
