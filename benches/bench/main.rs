//! Measures the numbers that `dpu-render` has to reach in rendering, beside its peers on the same objects, and those of
//! `dpu-agent` on a switch, and prints a table. In: the programs beside this one, Go if it is there. Out: a Markdown table on stdout, progress on stderr; exit
//! code 2 if a row could not be measured. Touches: a work folder of its own, removed at the end.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a program of the bench: the table is its product")]
#![expect(clippy::disallowed_methods, reason = "a program of the bench: it runs programs and reads clocks")]

mod measure;
mod rows;
mod table;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::Parser;

use measure::Job;
use table::Table;

/// Measure rendering against the numbers to reach and against the peers
#[derive(Parser)]
struct Args {
    /// The program to measure; beside this one's folder unless given
    #[arg(long)]
    program: Option<PathBuf>,
    /// Rounds of which the median counts
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Sites of the large fleet, ten clusters each
    #[arg(long, default_value_t = 100)]
    sites: usize,
    /// Folder for the fleets and outputs; memory (/dev/shm) if there is one, else the temporary folder
    #[arg(long)]
    work: Option<PathBuf>,
    /// Only the rows whose name has this text
    #[arg(long)]
    row: Option<String>,
}

fn main() -> ExitCode {
    match run(Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(2),
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::from(2)
        }
    }
}

/// Returns whether every row could be measured.
fn run(args: Args) -> Result<bool, Box<dyn Error>> {
    let memory = Path::new("/dev/shm");
    let parent = args.work.unwrap_or_else(|| if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() });
    let work = tempfile::Builder::new().prefix("dpu-render-bench-").tempdir_in(&parent)?;
    let here = std::env::current_exe()?;
    let examples = here.parent().ok_or("this program has no folder")?;
    let program = match args.program {
        Some(program) => std::path::absolute(program)?,
        None => examples.with_file_name("dpu-render"),
    };
    if !program.is_file() {
        return Err(format!("{} is not there: build it, or name another with --program", program.display()).into());
    }
    let bench = Bench {
        program,
        fleet: examples.join("fleet"),
        copy_print: examples.join("copy-print"),
        agent_bench: examples.join("agent-bench"),
        peers: peers(examples),
        in_memory: parent.starts_with(memory),
        work: work.path().to_owned(),
        rounds: args.rounds.max(1),
        sites: args.sites.max(1),
    };
    let mut table = Table::default();
    for (name, row) in rows::ROWS {
        if args.row.as_ref().is_some_and(|only| !name.contains(only.as_str())) {
            continue;
        }
        eprintln!("bench: {name}");
        if let Err(error) = row(&bench, &mut table) {
            table.failed(name, &error.to_string());
        }
    }
    println!("{}", table.text(&bench.preamble()));
    Ok(table.complete())
}

/// What every row works with.
struct Bench {
    program: PathBuf,
    fleet: PathBuf,
    copy_print: PathBuf,
    agent_bench: PathBuf,
    peers: Option<PathBuf>,
    in_memory: bool,
    work: PathBuf,
    rounds: usize,
    sites: usize,
}

impl Bench {
    fn preamble(&self) -> String {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let medium = if self.in_memory { "memory" } else { "the disk" };
        let peers = if self.peers.is_some() {
            ""
        } else {
            " Without kustomize and Helm: Go is missing, or could not build them."
        };
        format!(
            "{cores} cores; median of {} rounds, the programs of a row in turn; input and output in {medium}. \
             Whole processes, except the steps of `copy-print`, which leave out loading their input.{peers}\n",
            self.rounds
        )
    }

    /// Writes a fleet unless it is there; returns its folder.
    fn fleet(&self, form: &str, options: &[&str]) -> Result<PathBuf, Box<dyn Error>> {
        let folder = self.work.join([&[form], options].concat().join(""));
        if !folder.exists() {
            let out = folder.to_string_lossy().into_owned();
            let sites = self.sites.to_string();
            let job = Job::new(&self.fleet, &self.work, &self.work.join("fleet.out"));
            job.args(["--form", form, "--sites", &sites, "--out", &out]).args(options.iter().copied()).run()?;
        }
        Ok(folder)
    }

    /// Returns a run of the program under test in a fleet, with its stdout in a file of that name.
    fn program(&self, fleet: &Path, out: &str) -> Job {
        Job::new(&self.program, fleet, &self.work.join(out))
    }

    fn copy_print(&self, step: &str, input: &Path) -> Job {
        let out = self.work.join(format!("{step}.out"));
        Job::new(&self.copy_print, &self.work, &out).args([step, &input.to_string_lossy()]).step()
    }

    /// Returns a run of a Go peer on its form of the large fleet.
    fn peer(&self, peer: &str, options: &[&str]) -> Result<Option<Job>, Box<dyn Error>> {
        let Some(program) = &self.peers else { return Ok(None) };
        let folder = self.fleet(peer, &[])?;
        let job = Job::new(program, &self.work, &self.work.join(format!("{peer}.out")));
        let job = job.args([peer]).args(options.iter().copied()).args([folder.to_string_lossy()]).reports();
        Ok(Some(job))
    }

    /// Returns the arguments that name the first `count` sites.
    fn sites(&self, count: usize) -> Vec<String> {
        (0..count.min(self.sites)).map(|site| format!("sites/site-{site:03}")).collect()
    }
}

/// Builds the Go module of the peers; says what is missing if that cannot be done.
fn peers(folder: &Path) -> Option<PathBuf> {
    let module = Path::new("benches/peers");
    let program = folder.join("peers");
    let skipped = "bench: the rows beside kustomize and Helm are skipped:";
    let build = Command::new("go").args(["build", "-p", "2", "-o"]).arg(&program).arg(".").current_dir(module).output();
    match build {
        Ok(output) if output.status.success() => Some(program),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            eprintln!("{skipped} `go build` in {} failed: {}", module.display(), said.trim());
            None
        }
        Err(_) if !module.is_dir() => {
            eprintln!("{skipped} run this from the top of the repository");
            None
        }
        Err(error) => {
            eprintln!("{skipped} `go`: {error}; install Go 1.26 or later (https://go.dev/dl)");
            None
        }
    }
}
