//! EDGE: what a process sees of the sidecar that it runs in.
#![expect(clippy::disallowed_methods, reason = "a container is looked at from inside")]

use std::collections::BTreeMap;
use std::env;
use std::fs::{self, File};
use std::io::{ErrorKind, Read as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use super::sidecar::{Facts, Program};

/// The configuration of a plugin.
pub(super) const FILE: &str = "plugin.yaml";
const SOCKETS: &str = "/home/argocd/cmp-server/plugins";
/// What a repo-server keeps in its own temporary folder.
const OF_REPO_SERVER: [&str; 2] = ["_argocd-repo", "reposerver-ask-pass.sock"];
/// A larger configuration, or list of mounts, is not read whole.
const MAX_BYTES: u64 = 1 << 20;

/// Looks at everything once.
pub(super) fn look(config: &Path) -> Facts {
    let sockets = env::var_os("ARGOCD_PLUGINSOCKFILEPATH").filter(|folder| !folder.is_empty());
    let sockets = sockets.map_or_else(|| SOCKETS.into(), PathBuf::from);
    let work = env::var_os("ARGOCD_CMP_WORKDIR").filter(|folder| !folder.is_empty());
    let work = work.map_or_else(env::temp_dir, PathBuf::from);
    let temporary = env::temp_dir();
    let plugin = read(&config.join(FILE));
    Facts {
        plugin: plugin.map_err(|error| format!("cannot read `{}`: {error}", config.join(FILE).display())),
        programs: programs(),
        there: listed(&sockets),
        sockets,
        writable: writable(&work),
        work,
        user: fs::metadata("/proc/self").ok().map(|process| process.uid()),
        status: status(&read(Path::new("/proc/self/status")).unwrap_or_default()),
        mounts: read(Path::new("/proc/self/mountinfo")).unwrap_or_default(),
        of_repo_server: OF_REPO_SERVER.into_iter().map(|name| temporary.join(name)).find(|path| path.exists()),
    }
}

fn read(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(MAX_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

/// Finds programs as a process does that is started here, and says whether they are this one.
fn programs() -> Box<dyn Fn(&str) -> Program> {
    let path = env::var_os("PATH").unwrap_or_default();
    let own = env::current_exe().and_then(fs::canonicalize).ok();
    Box::new(move |name| {
        let found = match name.contains('/') {
            true => Some(PathBuf::from(name)).filter(|program| program.is_file()),
            false => env::split_paths(&path).map(|folder| folder.join(name)).find(|program| program.is_file()),
        };
        match found {
            None => Program::Missing,
            Some(found) if fs::canonicalize(&found).ok() == own => Program::Own,
            Some(found) => Program::Other(found.display().to_string()),
        }
    })
}

/// Names in the folder of the sockets, and whether each is a socket.
fn listed(folder: &Path) -> Result<BTreeMap<String, bool>, String> {
    let entries = fs::read_dir(folder).map_err(|error| error.to_string())?;
    let name = |entry: std::io::Result<fs::DirEntry>| {
        let entry = entry.ok()?;
        let is_socket = entry.file_type().ok()?.is_socket();
        Some((entry.file_name().to_string_lossy().into_owned(), is_socket))
    };
    Ok(entries.filter_map(name).collect())
}

/// Whether a file can be made there; it is taken away again.
fn writable(folder: &Path) -> Result<(), String> {
    let file = folder.join(format!(".dpu-render-doctor-{}", std::process::id()));
    match File::options().write(true).create_new(true).open(&file) {
        Ok(_) => fs::remove_file(&file).map_err(|error| error.to_string()),
        Err(error) if error.kind() == ErrorKind::NotFound => Err("no such folder".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// `Name: value` lines.
fn status(text: &str) -> BTreeMap<String, String> {
    let line = |line: &str| line.split_once(':').map(|(name, value)| (name.to_owned(), value.trim().to_owned()));
    text.lines().filter_map(line).collect()
}
