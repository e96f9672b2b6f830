//! Runs one program and says what it took: wall and CPU time, peak memory, and what it reported itself.
//! In: a program, its arguments and folder. Out: a [`Run`]. Touches: the file that takes the program's stdout.

use std::error::Error;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::Value;
use wait4::Wait4 as _;

/// A program to run, always in the same way.
#[derive(Clone)]
pub(crate) struct Job {
    program: PathBuf,
    args: Vec<String>,
    folder: PathBuf,
    stdout: PathBuf,
    env: Option<Vec<(String, String)>>,
    reports: bool,
    step: bool,
    /// The exit code of a run that did what it was asked.
    code: i32,
}

/// What one run took.
#[derive(Clone)]
pub(crate) struct Run {
    pub(crate) wall: f64,
    pub(crate) cpu: f64,
    pub(crate) mib: f64,
    pub(crate) report: Value,
}

impl Job {
    /// A job whose stdout goes to the file `stdout`.
    pub(crate) fn new(program: &Path, folder: &Path, stdout: &Path) -> Self {
        Self {
            program: program.to_owned(),
            args: Vec::new(),
            folder: folder.to_owned(),
            stdout: stdout.to_owned(),
            env: None,
            reports: false,
            step: false,
            code: 0,
        }
    }

    /// Adds arguments.
    pub(crate) fn args(mut self, args: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// Nothing but these in the environment.
    pub(crate) fn only_env(mut self, env: &[(&str, &str)]) -> Self {
        self.env = Some(env.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect());
        self
    }

    /// The same job, run by another program that takes the first as its last arguments.
    pub(crate) fn under(mut self, program: &Path, args: &[&str]) -> Self {
        let first = std::mem::replace(&mut self.program, program.to_owned());
        let args = args.iter().map(|arg| (*arg).to_owned()).chain([first.to_string_lossy().into_owned()]);
        self.args.splice(0..0, args);
        self
    }

    /// The exit code is `code` where all is well.
    pub(crate) fn ends_with(mut self, code: i32) -> Self {
        self.code = code;
        self
    }

    /// The last line on stderr is the program's report, as JSON.
    pub(crate) fn reports(mut self) -> Self {
        self.reports = true;
        self
    }

    /// The same, and what counts is the step that the program measured itself, without loading its input.
    pub(crate) fn step(mut self) -> Self {
        self.step = true;
        self.reports()
    }

    /// Runs the job once; an exit code other than the expected is an error that quotes stderr.
    pub(crate) fn run(&self) -> Result<Run, Box<dyn Error>> {
        let errors = self.stdout.with_extension("stderr");
        let mut command = Command::new(&self.program);
        command.args(&self.args).current_dir(&self.folder).stdin(Stdio::null());
        if let Some(env) = &self.env {
            command.env_clear().envs(env.iter().cloned());
        }
        command.stdout(File::create(&self.stdout)?).stderr(File::create(&errors)?);
        let start = Instant::now();
        let mut child = command.spawn().map_err(|error| format!("{}: {error}", self.program.display()))?;
        let done = child.wait4()?;
        let wall = start.elapsed().as_secs_f64();
        let said = fs::read_to_string(&errors)?;
        if done.status.code() != Some(self.code) {
            let first: Vec<&str> = said.lines().take(3).collect();
            return Err(format!("{}: {}: {}", self.name(), done.status, first.join(" / ")).into());
        }
        let cpu = (done.rusage.utime + done.rusage.stime).as_secs_f64();
        let mib = done.rusage.maxrss as f64 / f64::from(1 << 20);
        let mut run = Run { wall, cpu, mib, report: Value::Null };
        if self.reports {
            run.report = serde_json::from_str(said.lines().last().unwrap_or_default())
                .map_err(|error| format!("{}: no report on stderr: {error}", self.name()))?;
        }
        if self.step {
            let milliseconds = |name: &str| run.report[name].as_f64().ok_or("a report without times");
            (run.wall, run.cpu) = (milliseconds("wall_ms")? / 1e3, milliseconds("cpu_ms")? / 1e3);
        }
        Ok(run)
    }

    fn name(&self) -> String {
        let program = self.program.file_name().unwrap_or_default().to_string_lossy();
        format!("{program} {}", self.args.first().map_or("", String::as_str))
    }
}

/// Runs the jobs in turn, `rounds` times each after one round that does not count; returns the median of each job. What
/// disturbs the machine for a while so disturbs them alike.
pub(crate) fn interleaved(jobs: &[Job], rounds: usize) -> Result<Vec<Run>, Box<dyn Error>> {
    let mut runs: Vec<Vec<Run>> = vec![Vec::new(); jobs.len()];
    for round in 0..=rounds {
        for (job, runs) in jobs.iter().zip(&mut runs) {
            let run = job.run()?;
            if round > 0 {
                runs.push(run);
            }
        }
    }
    runs.iter().map(|runs| median(runs)).collect()
}

fn median(runs: &[Run]) -> Result<Run, Box<dyn Error>> {
    let last = runs.last().ok_or("no rounds")?;
    let middle = |field: fn(&Run) -> f64| {
        let mut values: Vec<f64> = runs.iter().map(field).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    Ok(Run {
        wall: middle(|run| run.wall),
        cpu: middle(|run| run.cpu),
        mib: middle(|run| run.mib),
        report: last.report.clone(),
    })
}
