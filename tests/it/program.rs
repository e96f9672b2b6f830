//! Runs the program, and makes the folders it works on.
#![expect(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests set files up and run the program")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

/// The program in `folder`, with nothing of this process' environment that it could read.
pub(crate) fn program(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dpu-render"));
    command.current_dir(folder).env_clear();
    command
}

/// What the program says to `arguments`.
pub(crate) fn run(folder: &Path, arguments: &[&str]) -> Said {
    Said::of(program(folder).args(arguments).output().unwrap())
}

/// What a shell says that has the program as `$P`.
pub(crate) fn shell(folder: &Path, script: &str) -> Said {
    let path = std::env::var_os("PATH").unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", script]).current_dir(folder).env_clear().env("PATH", path);
    Said::of(command.env("P", env!("CARGO_BIN_EXE_dpu-render")).output().unwrap())
}

/// Exit code and streams.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    pub(crate) fn of(output: Output) -> Self {
        let text = |bytes| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    }
}

/// A folder with these files; `link -> target` makes a link.
pub(crate) fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        match text.strip_prefix("-> ") {
            Some(target) => symlink(target, path).unwrap(),
            None => fs::write(path, text).unwrap(),
        }
    }
    folder
}

/// Makes a pipe that nobody writes to.
pub(crate) fn pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}
