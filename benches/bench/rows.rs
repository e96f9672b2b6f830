//! The rows: each one makes its input, runs its programs in turn and fills its lines of the table.
//! Touches: the work folder of the bench.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::Bench;
use crate::measure::{Job, Run, interleaved};
use crate::table::{Table, figure};

type Row = fn(&Bench, &mut Table) -> Result<(), Box<dyn Error>>;

/// All rows, by the names that `--row` picks from.
pub(crate) const ROWS: [(&str, Row); 11] = [
    ("same objects", same_objects),
    ("stream", stream),
    ("growth", growth),
    ("one destination", one_destination),
    ("tree unchanged", tree_unchanged),
    ("standalone expansion", standalone),
    ("YAML emission", emission),
    ("validate", validate),
    ("diff", diff),
    ("agent, folder", agent_folder),
    ("agent, API server", agent_cluster),
];

/// Clusters that kustomize renders; the rest follows from its cost per cluster.
const KUSTOMIZE_CLUSTERS: usize = 40;

/// Speed is worth nothing before the output is right: compares what everybody renders with what was expected.
fn same_objects(bench: &Bench, table: &mut Table) -> Result<(), Box<dyn Error>> {
    let expected = expected(bench)?;
    let compare = |actual: &Path| -> Result<String, Box<dyn Error>> {
        let args = ["equal".to_owned(), text(&expected), text(actual)];
        let run = Job::new(&bench.copy_print, &bench.work, &bench.work.join("equal.out")).args(args).reports().run()?;
        let [known, of, equal, otherwise, first] =
            ["destinations", "of", "equal", "otherwise", "first"].map(|name| &run.report[name]);
        Ok(format!("{equal} equal in {known} of {of} clusters; otherwise: {otherwise} {first}"))
    };
    for (peer, options) in [("helm", &["-json"][..]), ("kustomize", &["-json", "-limit", "40"])] {
        if let Some(job) = bench.peer(peer, options)? {
            job.run()?;
            table.note(
                &format!("objects of {peer} beside the expected"),
                &compare(&bench.work.join(format!("{peer}.out")))?,
            );
        }
    }
    let job = bench.program(&bench.fleet("dpu-render", &[])?, "lines.out").args(bench.sites(bench.sites));
    job.args(["--format", "json"]).run()?;
    table.note("objects of dpu-render beside the expected", &compare(&bench.work.join("lines.out"))?);
    Ok(())
}

fn stream(bench: &Bench, table: &mut Table) -> Result<(), Box<dyn Error>> {
    let fleet = bench.fleet("dpu-render", &[])?;
    let clusters = bench.sites * 10;
    let mut jobs = vec![
        bench.program(&fleet, "stream.out").args(bench.sites(bench.sites)),
        bench.copy_print("copy", &expected(bench)?),
    ];
    let limit = KUSTOMIZE_CLUSTERS.to_string();
    jobs.extend(bench.peer("helm", &[])?);
    jobs.extend(bench.peer("helm", &["-sort"])?);
    jobs.extend(bench.peer("kustomize", &["-limit", &limit])?);
    jobs.extend(bench.peer("kustomize", &["-limit", "1"])?);
    let runs = interleaved(&jobs, bench.rounds)?;
    let [own, copy, peers @ ..] = &runs[..] else { return Err("no runs".into()) };
    let what = format!("{clusters} clusters, one stream");
    table.at_most(&format!("{what}: wall"), own.wall, 0.20, "s");
    table.at_most(&format!("{what}: CPU"), own.cpu, 0.27, "s");
    table.at_most(&format!("{what}: memory"), own.mib, 64.0, "MiB");
    versus(table, "copy-and-print", own, copy, |ratio| (1.0 / ratio, 1.3, "at most"));
    if let [helm, helm_sorted, some, one] = peers {
        versus(table, "Helm's engine, text as it comes", own, helm, |ratio| (ratio, 3.5, "at least"));
        versus(table, "Helm's engine and the sorting of `helm template`", own, helm_sorted, |ratio| (ratio, 0.0, ""));
        let all = scaled(one, some, KUSTOMIZE_CLUSTERS.min(clusters), clusters);
        let name = format!("kustomize's library ({KUSTOMIZE_CLUSTERS} clusters measured, scaled to {clusters})");
        versus(table, &name, own, &all, |ratio| (ratio, 100.0, "at least"));
    }
    Ok(())
}

/// Returns what all clusters would take: what one takes, start-up included, and the rest at the cost of each further one.
fn scaled(one: &Run, some: &Run, measured: usize, clusters: usize) -> Run {
    let per_cluster = |one: f64, some: f64| one + (some - one) / (measured.max(2) - 1) as f64 * (clusters - 1) as f64;
    Run { wall: per_cluster(one.wall, some.wall), cpu: per_cluster(one.cpu, some.cpu), ..some.clone() }
}

/// Adds a peer's figures and the ratio of wall times; `judge` says which way round the ratio goes and what it has to be.
fn versus(table: &mut Table, peer: &str, own: &Run, other: &Run, judge: fn(f64) -> (f64, f64, &'static str)) {
    let took = format!("{} s wall, {} s CPU, {} MiB", figure(other.wall), figure(other.cpu), figure(other.mib));
    table.note(&format!("… {peer}"), &took);
    let (wall, bound, way) = judge(other.wall / own.wall);
    let (cpu, ..) = judge(other.cpu / own.cpu);
    match way {
        "at most" => table.at_most("… ratio of wall times, own to theirs", wall, bound, "×"),
        "at least" => table.at_least("… ratio of wall times, theirs to own", wall, bound, "×"),
        _ => table.note("… ratio of wall times, theirs to own", &format!("{} ×", figure(wall))),
    }
    table.note("… ratio of CPU times", &format!("{} ×", figure(cpu)));
}

fn growth(bench: &Bench, table: &mut Table) -> Result<(), Box<dyn Error>> {
    let fleet = bench.fleet("dpu-render", &[])?;
    let few = bench.sites.div_ceil(10);
    let factor = bench.sites as f64 / few as f64;
    let jobs = [few, bench.sites].map(|count| bench.program(&fleet, "growth.out").args(bench.sites(count)));
    let runs = interleaved(&jobs, bench.rounds)?;
    let [small, large] = &runs[..] else { return Err("no runs".into()) };
    let what = format!("{} to {} clusters", few * 10, bench.sites * 10);
    // A fifth for what a ratio of two short times is off by.
    table.at_most(&format!("growth, {what}: wall per cluster"), large.wall / small.wall / factor, 1.2, "×");
    table.at_most(&format!("growth, {what}: CPU per cluster"), large.cpu / small.cpu / factor, 1.2, "×");
    table.at_most(&format!("growth, {what}: memory"), large.mib / small.mib, 1.2, "×");
    Ok(())
}

fn one_destination(bench: &Bench, table: &mut Table) -> Result<(), Box<dyn Error>> {
    let fleet = bench.fleet("dpu-render", &[])?;
    let site = bench.sites / 2;
    let cluster = format!("dpu-{site:03}-03");
    let folder = format!("sites/site-{site:03}");
    let parameters = format!(r#"[{{"name":"destination","string":"{cluster}"}}]"#);
    // As Argo CD calls it: in the folder of the application, with its variables and no others.
    let env = [("ARGOCD_APP_SOURCE_PATH", folder.as_str()), ("ARGOCD_APP_PARAMETERS", parameters.as_str())];
    let job = bench.program(&fleet.join(&folder), "one.out").args(["plugin", "generate"]).only_env(&env);
    let mut jobs = vec![job.clone()];
    jobs.extend(bench.peer("kustomize", &["-only", &cluster])?);
    let runs = interleaved(&jobs, bench.rounds * 4)?;
    let own = &runs[0];
    if BufReader::new(File::open(bench.work.join("one.out"))?).lines().count() < 40 {
        return Err("fewer objects came out than the cluster has".into());
    }
    table.at_most("one destination, `plugin generate`: wall", own.wall * 1e3, 6.0, "ms");
    table.note("… CPU", &format!("{} ms", figure(own.cpu * 1e3)));
    table.at_most("… memory", own.mib, 16.0, "MiB");
    table.note("… files opened in the repository", &opened(bench, job, &fleet, &folder)?);
    if let Some(kustomize) = runs.get(1) {
        versus(table, "kustomize's library, the same cluster", own, kustomize, |ratio| (ratio, 12.0, "at least"));
    }
    Ok(())
}

/// Counts what a run opens below the fleet, and refuses what is neither of the site nor of shared layers.
fn opened(bench: &Bench, job: Job, fleet: &Path, site: &str) -> Result<String, Box<dyn Error>> {
    let Some(strace) = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())
        .map(|folder| folder.join("strace"))
        .find(|program| program.is_file())
    else {
        return Ok("not counted: strace is missing".to_owned());
    };
    let calls = bench.work.join("one.calls");
    job.under(&strace, &["-f", "-y", "-e", "trace=openat", "-o", &text(&calls)]).run()?;
    let (mut files, mut folders) = (0, 0);
    for line in fs::read_to_string(&calls)?.lines() {
        // `… = 3</folder/file>`: with -y, whatever was opened is told by its whole path.
        let Some(path) = line.rsplit_once('<').and_then(|(_, path)| path.strip_suffix('>')) else { continue };
        let Ok(below) = Path::new(path).strip_prefix(fleet) else { continue };
        if below.starts_with("sites") && !below.starts_with(site) {
            return Err(format!("`{}` was opened for `{site}`", below.display()).into());
        }
        if Path::new(path).is_dir() { folders += 1 } else { files += 1 }
    }
    if files == 0 {
        return Err("strace saw no file of the repository opened".into());
    }
    Ok(format!("{files}, and {folders} folders, none of another site"))
}

fn tree_unchanged(bench: &Bench, table: &mut Table) -> Result<(), Box<dyn Error>> {
    let fleet = bench.fleet("dpu-render", &[])?;
    let tree = bench.work.join("tree");
    let job = bench.program(&fleet, "tree.out").args(bench.sites(bench.sites)).args(["-o", &text(&tree)]);
    let fresh = job.run()?;
    let before = states(&tree)?;
    let jobs = [job, bench.copy_print("compare", &tree)];
    let runs = interleaved(&jobs, bench.rounds)?;
    let [own, compare] = &runs[..] else { return Err("no runs".into()) };
    let after = states(&tree)?;
    let written = after.iter().filter(|(path, state)| before.get(*path) != Some(state)).count();
    let gone = before.keys().filter(|path| !after.contains_key(*path)).count();
    let medium = if bench.in_memory { "memory" } else { "the disk" };
    table
        .note(&format!("tree of {} files in {medium}, fresh: wall", after.len()), &format!("{} s", figure(fresh.wall)));
    table.at_most("tree, nothing changed: wall", own.wall, 0.35, "s");
    table.at_most("… files written or removed", (written + gone) as f64, 0.0, "");
    versus(table, "read-and-compare of that tree", own, compare, |ratio| (1.0 / ratio, 1.5, "at most"));
    fs::remove_dir_all(&tree)?;
    Ok(())
}

/// What a file shows if it was written or replaced: its inode, and when it changed.
type State = (u64, i64, i64);

fn states(folder: &Path) -> Result<BTreeMap<PathBuf, State>, Box<dyn Error>> {
    let mut states = BTreeMap::new();
    for entry in walkdir::WalkDir::new(folder) {
        let entry = entry?;
        if entry.file_type().is_file() {
            let metadata = entry.metadata()?;
            states.insert(entry.into_path(), (metadata.ino(), metadata.ctime(), metadata.ctime_nsec()));
        }
    }
    Ok(states)
}

fn standalone(bench: &Bench, table: &mut Table) -> Result<(), Box<dyn Error>> {
    let plain = bench.fleet("dpu-render", &[])?;
    let expanded = bench.fleet("dpu-render", &["--standalone"])?;
    let sites = bench.sites(bench.sites);
    let jobs =
        [bench.program(&plain, "plain.out").args(sites.clone()), bench.program(&expanded, "expanded.out").args(sites)];
    let runs = interleaved(&jobs, bench.rounds)?;
    let [own, expansion] = &runs[..] else { return Err("no runs".into()) };
    let each = |run: &Run, out: &str| -> Result<(usize, f64, f64), Box<dyn Error>> {
        let count = documents(&bench.work.join(out))?;
        Ok((count, run.wall * 1e6 / count as f64, run.cpu * 1e6 / count as f64))
    };
    let (_, plain_wall, plain_cpu) = each(own, "plain.out")?;
    let (count, wall, cpu) = each(expansion, "expanded.out")?;
    let took = format!("{count} objects, {} s wall, {} s CPU", figure(expansion.wall), figure(expansion.cpu));
    table.note("standalone expansion", &took);
    table.at_most("… wall per object, to the plain run's", wall / plain_wall, 2.0, "×");
    table.note("… CPU per object, to the plain run's", &format!("{} ×", figure(cpu / plain_cpu)));
    Ok(())
}

fn emission(bench: &Bench, table: &mut Table) -> Result<(), Box<dyn Error>> {
    let objects = expected(bench)?;
    let jobs = ["own", "serde", "hand"].map(|emitter| bench.copy_print(emitter, &objects));
    let runs = interleaved(&jobs, bench.rounds)?;
    let rates: Vec<f64> = runs.iter().map(|run| run.report["bytes"].as_f64().unwrap_or(0.0) / 1e6 / run.wall).collect();
    let [own, serde, hand] = rates[..] else { return Err("no runs".into()) };
    if runs[0].report["objects"] != runs[1].report["objects"] {
        return Err("the emitter of dpu-render did not print every object".into());
    }
    table.at_least("YAML emission", own, 250.0, "MB/s");
    table.at_least("… ratio to a serde emitter (serde-saphyr)", own / serde, 4.0, "×");
    table.note("… the plain emitter of this bench", &format!("{} MB/s", figure(hand)));
    Ok(())
}

/// One value that every cluster has, changed in a copy of the fleet: all sites, beside one render of them; and one site.
fn diff(bench: &Bench, table: &mut Table) -> Result<(), Box<dyn Error>> {
    let fleet = bench.fleet("dpu-render", &[])?;
    let head = bench.work.join("diff-head");
    for entry in walkdir::WalkDir::new(&fleet) {
        let entry = entry?;
        let to = head.join(entry.path().strip_prefix(&fleet)?);
        if entry.file_type().is_dir() {
            fs::create_dir_all(&to)?;
        } else {
            fs::copy(entry.path(), &to)?;
        }
    }
    let changed = head.join("base/configmap.yaml");
    let before = fs::read_to_string(&changed)?;
    let after = before.replace("timezone: UTC", "timezone: CET");
    if after == before {
        return Err("the fleet has no timezone to change".into());
    }
    fs::write(&changed, after)?;
    let sides = ["diff", "--base-dir", &text(&fleet), "--head-dir", &text(&head), "--format", "markdown"];
    let all = bench.program(&bench.work, "diff.md").args(sides).ends_with(1);
    let one = bench.program(&bench.work, "diff-one.md").args(sides).args(["sites/site-000"]).ends_with(1);
    let jobs = [all, bench.program(&fleet, "stream.out").args(bench.sites(bench.sites)), one];
    let runs = interleaved(&jobs, bench.rounds)?;
    let [own, render, one] = &runs[..] else { return Err("no runs".into()) };
    let comment = fs::read_to_string(bench.work.join("diff.md"))?;
    let objects = format!("{} objects changed", bench.sites * 10);
    if !comment.contains(&objects) && !comment.contains("1,000 objects changed") {
        return Err(format!("the comment does not tell of {objects}").into());
    }
    table.at_most(&format!("diff, one value of {} clusters: wall", bench.sites * 10), own.wall, 0.5, "s");
    table.note("… CPU and memory", &format!("{} s, {} MiB", figure(own.cpu), figure(own.mib)));
    table.at_most("… ratio of wall times, to one render", own.wall / render.wall, 2.5, "×");
    table.at_most("… the comment", comment.chars().count() as f64, 20_000.0, "characters");
    table.at_most("diff, one site: wall", one.wall * 1e3, 50.0, "ms");
    Ok(())
}

/// 50,000 objects twice: each one written out, as a parser would have to read them too, and from shared layers.
fn validate(bench: &Bench, table: &mut Table) -> Result<(), Box<dyn Error>> {
    let options = ["--objects", "50"];
    let (full, shared) = (bench.fleet("written-out", &options)?, bench.fleet("dpu-render", &options)?);
    let validate =
        |fleet: &Path| bench.program(fleet, "validate.out").args(["validate"]).args(bench.sites(bench.sites));
    let jobs = [validate(&full), validate(&shared), bench.copy_print("parse", &full)];
    let runs = interleaved(&jobs, bench.rounds)?;
    let [own, layers, parse] = &runs[..] else { return Err("no runs".into()) };
    let what = format!("validate, {} objects", bench.sites * 500);
    table.at_most(&format!("{what}, all written out: wall"), own.wall, 0.8, "s");
    table.note("… CPU and memory", &format!("{} s, {} MiB", figure(own.cpu), figure(own.mib)));
    versus(table, "parsing those files", own, parse, |ratio| (1.0 / ratio, 2.0, "at most"));
    table.at_most(&format!("{what}, from shared layers: wall"), layers.wall, 0.8, "s");
    Ok(())
}

fn agent_folder(bench: &Bench, table: &mut Table) -> Result<(), Box<dyn Error>> {
    let report = agent(bench, table, "folder", &["--peer"])?;
    let peer = &report["peer"];
    let [ports, chains, chain] = [&peer["ports_ms"], &peer["chains_ms"], &peer["chain_ms"]["median"]];
    let number = |value: &Value| value.as_f64().ok_or("a report without the peer");
    let (ports, chains, chain) = (number(ports)?, number(chains)?, number(chain)?);
    let one_each = format!("{} s for ports, {} s for chains", figure(ports / 1e3), figure(chains / 1e3));
    table.note("… `ovs-vsctl` for each port, `ovs-ofctl --bundle` for each chain", &one_each);
    let ratio = (ports + chains) / number(&report["from_nothing_ms"])?;
    table.note("… ratio of wall times, theirs to own", &format!("{} ×", figure(ratio)));
    table.note("… one `ovs-ofctl --bundle` of one chain", &format!("{} ms", figure(chain)));
    Ok(())
}

fn agent_cluster(bench: &Bench, table: &mut Table) -> Result<(), Box<dyn Error>> {
    agent(bench, table, "cluster", &[]).map(drop)
}

/// 256 interfaces and 50 chains on a real switch, their objects in a folder or on an API server of the bench's own.
fn agent(bench: &Bench, table: &mut Table, objects: &str, options: &[&str]) -> Result<Value, Box<dyn Error>> {
    let program = bench.program.with_file_name("dpu-agent");
    for needed in [&program, &bench.agent_bench] {
        if !needed.is_file() {
            return Err(format!("{} is not there: build it with --features agent", needed.display()).into());
        }
    }
    let folders = std::env::var_os("PATH").unwrap_or_default();
    for needed in ["ovsdb-server", "ovs-vswitchd", "ovs-vsctl", "ovs-ofctl", "setpriv"] {
        if !std::env::split_paths(&folders).any(|folder| folder.join(needed).is_file()) {
            return Err(format!("{needed} is missing: run make debian").into());
        }
    }
    let job = Job::new(&bench.agent_bench, &bench.work, &bench.work.join("agent.out"));
    let job = job.args([objects, "--program", &text(&program)]).args(options.iter().copied()).reports();
    let report = job.run()?.report;
    let number = |pointer: &str| report.pointer(pointer).and_then(Value::as_f64).ok_or(format!("no {pointer}"));
    let mib = |pointer: &str| number(pointer).map(|kib| kib / 1024.0);
    let from = if objects == "folder" { "objects in a folder" } else { "objects on an API server" };
    let change = format!("agent, {from}: change of a chain to its flows, median of {}", report["changes_ms"]["count"]);
    table.at_most(&change, number("/changes_ms/median")?, 20.0, "ms");
    table.at_most("… 99 of 100", number("/changes_ms/p99")?, 100.0, "ms");
    table.note("… the longest", &format!("{} ms", figure(number("/changes_ms/most")?)));
    let nothing = format!("agent, {from}: 256 interfaces and 50 chains from nothing");
    table.at_most(&nothing, number("/from_nothing_ms")? / 1e3, 1.0, "s");
    table.note("… until the status says so", &format!("{} s", figure(number("/to_status_ms")? / 1e3)));
    table.at_most(&format!("agent, {from}: at rest for 10 s, clock ticks of CPU"), number("/rest_ticks")?, 0.0, "");
    table.at_most(&format!("agent, {from}: resident memory at rest"), mib("/resident_kib")?, 20.0, "MiB");
    table.at_most("… the peak of all this", mib("/peak_kib")?, 20.0, "MiB");
    let restart = format!(
        "agent, {from}: flows back after a restarted switch answers, median of {}",
        report["restarts_ms"]["count"]
    );
    table.at_most(&restart, number("/restarts_ms/median")?, 100.0, "ms");
    table.note("… the longest", &format!("{} ms", figure(number("/restarts_ms/most")?)));
    Ok(report)
}

fn expected(bench: &Bench) -> Result<PathBuf, Box<dyn Error>> {
    Ok(bench.fleet("objects", &[])?.join("objects.jsonl"))
}

/// Counts the documents of a stream.
fn documents(stream: &Path) -> Result<usize, Box<dyn Error>> {
    let mut count = 0;
    for line in BufReader::new(File::open(stream)?).lines() {
        count += usize::from(line?.starts_with("apiVersion:"));
    }
    Ok(count)
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
