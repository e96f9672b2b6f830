//! Programs that run beside the tests, each with its log in the lab's folder. EDGE of the tests: it starts processes.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

/// A command with nothing of this process' environment but the path, and a home of its own.
pub(crate) fn command(program: &Path, home: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", home).stdin(Stdio::null());
    command
}

/// Starts a program that runs until the lab ends; what it says goes into the log.
pub(crate) fn start(command: &mut Command, log: &Path) {
    std::mem::forget(Running::start(command, log));
}

/// A program that runs until it is stopped, or this value goes.
pub(crate) struct Running(Child);

impl Running {
    /// Starts it; what it says goes to the end of the log.
    pub(crate) fn start(command: &mut Command, log: &Path) -> Self {
        let file = File::options().create(true).append(true).open(log).unwrap();
        let child = command.stdout(file.try_clone().unwrap()).stderr(file).spawn();
        Self(child.unwrap_or_else(|error| panic!("{command:?}: {error}")))
    }

    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    /// Sends a signal, as `kill` names it.
    pub(crate) fn signal(&self, name: &str) {
        answer(Command::new("kill").arg(format!("-{name}")).arg(self.id().to_string()));
    }

    /// Ends it at once.
    pub(crate) fn stop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}

/// What a program answers that ends by itself; panics where it fails.
pub(crate) fn answer(command: &mut Command) -> String {
    match try_answer(command) {
        Ok(out) => out,
        Err(said) => panic!("{command:?}: {said}"),
    }
}

/// The same, with the failure as a value: the exit status and stderr.
pub(crate) fn try_answer(command: &mut Command) -> Result<String, String> {
    let Output { status, stdout, stderr } = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if status.success() {
        return Ok(String::from_utf8(stdout).unwrap());
    }
    Err(format!("{status}: {}", String::from_utf8_lossy(&stderr)))
}

/// The end of logs, to be read where a test failed.
pub(crate) fn tails(logs: &[PathBuf]) -> String {
    const LINES: usize = 6;
    const NOISE: [&str; 4] =
        ["started call", "finished call\" grpc.code=OK", "received unary call", "Normalized app spec"];
    let mut text = String::new();
    for log in logs {
        let said =
            fs::read(log).map_or_else(|error| error.to_string(), |all| String::from_utf8_lossy(&all).into_owned());
        let telling = |line: &&str| !NOISE.iter().any(|noise| line.contains(noise));
        let lines: Vec<&str> = said.lines().filter(telling).collect();
        let from = lines.len().saturating_sub(LINES);
        text += &format!("--- {} (its end)\n", log.display());
        for line in &lines[from..] {
            text.extend(line.chars().take(400));
            text.push('\n');
        }
    }
    text
}
