//! Where a database server listens, as `--ovsdb` and Open vSwitch's own tools write it.
//!
//! In: text. Out: a value. PURE.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Where a database server listens.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Endpoint {
    /// `unix:PATH`.
    Unix(PathBuf),
    /// `tcp:HOST:PORT`.
    Tcp(String, u16),
    /// `ssl:HOST:PORT`; [`super::secure`] says whom it trusts.
    Ssl(String, u16),
}

/// A text that is no endpoint.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "`{0}` is no endpoint of a database; write unix:PATH, tcp:HOST:PORT or ssl:HOST:PORT, an IPv6 address in brackets"
)]
pub struct InvalidEndpoint(String);

impl FromStr for Endpoint {
    type Err = InvalidEndpoint;

    fn from_str(text: &str) -> Result<Self, InvalidEndpoint> {
        let invalid = || InvalidEndpoint(text.to_owned());
        let (kind, place) = text.split_once(':').filter(|(_, place)| !place.is_empty()).ok_or_else(invalid)?;
        if kind == "unix" {
            return Ok(Self::Unix(PathBuf::from(place)));
        }
        let (host, port) = place.rsplit_once(':').ok_or_else(invalid)?;
        let host = match host.strip_prefix('[') {
            Some(host) => host.strip_suffix(']').ok_or_else(invalid)?,
            None => Some(host).filter(|host| !host.contains(':')).ok_or_else(invalid)?,
        };
        let port = port.parse().ok().filter(|port| *port != 0).ok_or_else(invalid)?;
        match kind {
            _ if host.is_empty() => Err(invalid()),
            "tcp" => Ok(Self::Tcp(host.to_owned(), port)),
            "ssl" => Ok(Self::Ssl(host.to_owned(), port)),
            _ => Err(invalid()),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (kind, host, port) = match self {
            Self::Unix(path) => return write!(out, "unix:{}", path.display()),
            Self::Tcp(host, port) => ("tcp", host, port),
            Self::Ssl(host, port) => ("ssl", host, port),
        };
        if host.contains(':') { write!(out, "{kind}:[{host}]:{port}") } else { write!(out, "{kind}:{host}:{port}") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_read_as_they_are_written() {
        for text in
            ["unix:/run/openvswitch/db.sock", "tcp:10.0.0.1:6640", "ssl:db.example.net:6640", "tcp:[fd00::1]:6640"]
        {
            assert_eq!(text.parse::<Endpoint>().unwrap().to_string(), text);
        }
        for wrong in [
            "",
            "unix:",
            "tcp:host",
            "tcp::6640",
            "tcp:h:0",
            "tcp:h:66400",
            "tcp:fd00::1:6640",
            "tcp:[::1:1",
            "pipe:x:1",
        ] {
            assert!(wrong.parse::<Endpoint>().is_err(), "{wrong}");
        }
    }
}
