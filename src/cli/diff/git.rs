//! EDGE: git's own plumbing: revisions, trees and blobs. No shell; neither the work tree nor the index is touched.
//!
//! Objects are read from the repository as it is here: nothing is fetched.
#![expect(clippy::disallowed_methods, reason = "git is the one program that is run: it alone knows its repositories")]

use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use crate::cli::Failure;
use crate::source::{FileError, MAX_FILE_BYTES};

/// A git repository, seen from a folder in it.
#[derive(Debug)]
pub(super) struct Git {
    /// Where git is run.
    folder: PathBuf,
    /// The top of the work tree, without links; absent in a bare repository.
    pub(super) top: Option<PathBuf>,
    shallow: bool,
}

/// An entry of a tree.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct TreeEntry {
    /// What it is.
    pub(super) kind: EntryKind,
    /// Its object.
    pub(super) id: String,
    /// Path from the top.
    pub(super) path: Vec<u8>,
}

/// What an entry of a tree is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum EntryKind {
    /// A regular file.
    File,
    /// A symbolic link; the object is its target.
    Link,
    /// A commit of another repository.
    Submodule,
}

impl Git {
    /// The repository that `folder` is in.
    pub(super) fn open(folder: &Path) -> Result<Self, Failure> {
        let mut git = Self { folder: folder.to_owned(), top: None, shallow: false };
        let said = git.say(&["rev-parse", "--is-bare-repository", "--is-shallow-repository"])?;
        let mut answers = said.lines();
        let bare = answers.next() == Some("true");
        git.shallow = answers.next() == Some("true");
        if !bare {
            let top = PathBuf::from(git.say(&["rev-parse", "--show-toplevel"])?.trim_end_matches('\n'));
            git.top = Some(std::fs::canonicalize(&top).map_err(|source| Failure::File {
                action: "open",
                path: top,
                source,
            })?);
        }
        Ok(git)
    }

    /// The commit that a revision names.
    pub(super) fn commit(&self, revision: &str) -> Result<String, Failure> {
        if revision.starts_with('-') || revision.is_empty() {
            return Err(Failure::Usage(format!("`{revision}` is not a revision")));
        }
        let output = self.run(&["rev-parse", "--verify", "--quiet", &format!("{revision}^{{commit}}")])?;
        match output {
            Ok(id) => Ok(id.trim().to_owned()),
            Err(_) => {
                Err(Failure::Usage(format!("git knows no revision `{revision}` here{}", self.fetch_help(revision))))
            }
        }
    }

    /// The commit that two have in common.
    pub(super) fn merge_base(&self, base: &str, head: &str) -> Result<String, Failure> {
        match self.run(&["merge-base", base, head])? {
            Ok(id) => Ok(id.trim().to_owned()),
            Err(_) => {
                let help = if self.shallow {
                    "\n  = help: the clone is shallow: `git fetch --unshallow` brings the history"
                } else {
                    ""
                };
                Err(Failure::Usage(format!("the two sides have no commit in common{help}")))
            }
        }
    }

    fn fetch_help(&self, revision: &str) -> String {
        if !self.shallow {
            return String::new();
        }
        let name = revision.strip_prefix("origin/").unwrap_or(revision);
        format!(
            "\n  = help: the clone is shallow: `git fetch --depth=1 origin {name}` brings that one, `git fetch --unshallow` all"
        )
    }

    /// Everything in the tree of `commit` below `folder`, which is from the top.
    pub(super) fn tree(&self, commit: &str, folder: &str) -> Result<Vec<TreeEntry>, Failure> {
        let wanted = format!("{commit}:{folder}");
        let output = self.output(&["ls-tree", "-r", "-z", "--full-tree", &wanted])?;
        if !output.status.success() {
            // A folder that this revision does not have is an empty one.
            let there = self.run(&["rev-parse", "--verify", "--quiet", &wanted])?.is_ok();
            return if there { Err(refusal("ls-tree", &output.stderr)) } else { Ok(Vec::new()) };
        }
        output.stdout.split(|byte| *byte == 0).filter(|line| !line.is_empty()).map(entry).collect()
    }

    /// A process that hands out objects.
    pub(super) fn objects(&self) -> Result<Objects, Failure> {
        let mut command = self.command(&["cat-file", "--batch"]);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().map_err(missing)?;
        let pipes = child.stdin.take().zip(child.stdout.take());
        let (ask, answers) = pipes.ok_or_else(|| Failure::Usage("`git cat-file` has no pipes".to_owned()))?;
        Ok(Objects { child, ask: Some(ask), answers: BufReader::new(answers) })
    }

    /// What git says, or its refusal.
    fn say(&self, arguments: &[&str]) -> Result<String, Failure> {
        let output = self.output(arguments)?;
        if !output.status.success() {
            return Err(refusal(arguments[0], &output.stderr));
        }
        String::from_utf8(output.stdout).map_err(|_| Failure::Usage("git names a path that is no text".to_owned()))
    }

    /// What git says, or that it says no.
    fn run(&self, arguments: &[&str]) -> Result<Result<String, ()>, Failure> {
        let output = self.output(arguments)?;
        let text = String::from_utf8(output.stdout).unwrap_or_default();
        Ok(if output.status.success() { Ok(text) } else { Err(()) })
    }

    fn output(&self, arguments: &[&str]) -> Result<std::process::Output, Failure> {
        self.command(arguments).stdin(Stdio::null()).output().map_err(missing)
    }

    fn command<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Command {
        let mut command = Command::new("git");
        command.arg("-C").arg(&self.folder).args(arguments);
        // Nothing is written, asked or fetched, and what git says is English.
        command.envs([
            ("GIT_OPTIONAL_LOCKS", "0"),
            ("GIT_NO_LAZY_FETCH", "1"),
            ("GIT_TERMINAL_PROMPT", "0"),
            ("LC_ALL", "C"),
        ]);
        command
    }
}

fn missing(error: std::io::Error) -> Failure {
    match error.kind() {
        ErrorKind::NotFound => Failure::Usage(
            "`git` is not installed, or not on the path\n  = help: install git, or compare two folders with `--base-dir` and `--head-dir`"
                .to_owned(),
        ),
        _ => Failure::Usage(format!("`git` cannot be run: {error}")),
    }
}

fn refusal(verb: &str, said: &[u8]) -> Failure {
    let said = String::from_utf8_lossy(said);
    let said: String = said.trim().chars().map(|c| if c.is_control() && c != '\n' { '\u{fffd}' } else { c }).collect();
    let said = said.strip_prefix("fatal: ").unwrap_or(&said);
    Failure::Usage(format!("`git {verb}` says: {said}"))
}

/// `100644 blob <id>\t<path>`.
fn entry(line: &[u8]) -> Result<TreeEntry, Failure> {
    let odd = || Failure::Usage("`git ls-tree` answers in a way that is not known".to_owned());
    let tab = line.iter().position(|byte| *byte == b'\t').ok_or_else(odd)?;
    let head = std::str::from_utf8(&line[..tab]).map_err(|_| odd())?;
    let mut words = head.split(' ');
    let (mode, _, id) = (words.next().ok_or_else(odd)?, words.next(), words.next().ok_or_else(odd)?);
    let kind = match mode {
        "120000" => EntryKind::Link,
        "160000" => EntryKind::Submodule,
        _ => EntryKind::File,
    };
    Ok(TreeEntry { kind, id: id.to_owned(), path: line[tab + 1..].to_vec() })
}

/// `git cat-file --batch`, ended when it is dropped.
#[derive(Debug)]
pub(super) struct Objects {
    child: Child,
    /// Absent once it is told that nothing more is asked.
    ask: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Objects {
    /// The bytes of a blob.
    pub(super) fn blob(&mut self, id: &str) -> Result<Vec<u8>, FileError> {
        let broken = |error: std::io::Error| FileError::Io(format!("cannot be read by `git cat-file`: {error}"));
        let ask = self.ask.as_mut().ok_or_else(|| FileError::Io("is asked for after the end".to_owned()))?;
        ask.write_all(format!("{id}\n").as_bytes()).and_then(|()| ask.flush()).map_err(broken)?;
        let mut head = String::new();
        self.answers.read_line(&mut head).map_err(broken)?;
        let size: u64 = match head.trim_end().split(' ').collect::<Vec<_>>()[..] {
            [_, "blob", size] => size.parse().map_err(|_| FileError::Io("has no size in git".to_owned()))?,
            [_, "missing"] => return Err(FileError::Io("is not in this clone: git would have to fetch it".to_owned())),
            _ => return Err(FileError::Io("cannot be read by `git cat-file`".to_owned())),
        };
        // One byte more is the line feed behind it.
        if size > MAX_FILE_BYTES {
            std::io::copy(&mut (&mut self.answers).take(size + 1), &mut std::io::sink()).map_err(broken)?;
            return Err(FileError::TooLarge);
        }
        let mut bytes = Vec::with_capacity(usize::try_from(size + 1).unwrap_or_default());
        (&mut self.answers).take(size + 1).read_to_end(&mut bytes).map_err(broken)?;
        if bytes.pop() != Some(b'\n') {
            return Err(FileError::Io("ends early in git".to_owned()));
        }
        Ok(bytes)
    }
}

impl Drop for Objects {
    fn drop(&mut self) {
        drop(self.ask.take());
        // It ends as its input does.
        let _ = self.child.wait();
    }
}
