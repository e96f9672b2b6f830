//! EDGE: the control socket of ovs-vswitchd, by which a person asks it for a trace. One question, one answer.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

/// How long the daemon may take.
const WITHIN: Duration = Duration::from_secs(10);
/// More than this is no answer of its.
const MOST_BYTES: u64 = 16 << 20;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// No daemon, or not ours to ask.
    #[error("cannot ask ovs-vswitchd at `{}`: {source}", path.display())]
    Socket {
        /// Its control socket.
        path: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
    /// The daemon refuses.
    #[error("ovs-vswitchd says: {0}")]
    Refused(String),
}

/// The control socket of the daemon that has its files in this folder: `ovs-vswitchd.<pid>.ctl`, the process named by
/// `ovs-vswitchd.pid`.
///
/// # Errors
/// Where the file with the process cannot be read.
#[expect(clippy::disallowed_methods, reason = "an edge: where the daemon is")]
pub fn socket_in(rundir: &Path) -> Result<PathBuf, Error> {
    let path = rundir.join("ovs-vswitchd.pid");
    let pid = std::fs::read_to_string(&path).map_err(|source| Error::Socket { path, source })?;
    Ok(rundir.join(format!("ovs-vswitchd.{}.ctl", pid.trim())))
}

/// Asks the daemon behind `path` (JSON-RPC 1.0, a bare value each way).
///
/// # Errors
/// Where it cannot be asked, does not answer in ten seconds, or refuses.
pub fn call(path: &Path, method: &str, arguments: &[&str]) -> Result<String, Error> {
    let failed = |source| Error::Socket { path: path.to_owned(), source };
    let mut stream = UnixStream::connect(path).map_err(failed)?;
    stream.set_read_timeout(Some(WITHIN)).and_then(|()| stream.set_write_timeout(Some(WITHIN))).map_err(failed)?;
    let question = json!({"id": 0, "method": method, "params": arguments});
    stream.write_all(question.to_string().as_bytes()).map_err(failed)?;
    // The daemon keeps the connection open: the answer ends where its value ends.
    let answer = serde_json::Deserializer::from_reader(stream.take(MOST_BYTES)).into_iter::<Value>().next();
    let answer = match answer {
        Some(Ok(answer)) => answer,
        Some(Err(error)) => return Err(failed(error.into())),
        None => return Err(failed(std::io::ErrorKind::UnexpectedEof.into())),
    };
    match (answer.get("error").and_then(Value::as_str), answer.get("result").and_then(Value::as_str)) {
        (Some(error), _) => Err(Error::Refused(error.trim().to_owned())),
        (None, Some(result)) => Ok(result.to_owned()),
        (None, None) => Err(Error::Refused("nothing".to_owned())),
    }
}
