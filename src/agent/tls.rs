//! Certificates and keys in files.
//!
//! In: paths of PEM files, as `openssl` and `ovs-pki` write them. Out: certificates, a private key, or which file has what wrong with it; what a key
//! file holds is in no message. Touches these files. EDGE.
#![expect(clippy::disallowed_methods, reason = "these files are the agent's own business")]

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// No file of certificates is longer; a CA bundle of a distribution has a quarter of it.
const LONGEST: u64 = 1 << 20;

/// A file that gives no certificate or no key.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read.
    #[error("cannot read `{path}`: {source}", path = path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It is too long to be one.
    #[error("`{path}` is longer than {LONGEST} bytes", path = .0.display())]
    Long(PathBuf),
    /// Its PEM is broken.
    #[error("`{path}` is no PEM file: {why}", path = path.display())]
    Pem {
        /// Which.
        path: PathBuf,
        /// Why not.
        why: &'static str,
    },
    /// What is wanted is not in it.
    #[error("`{path}` holds no {wanted}{hint}", path = path.display())]
    Without {
        /// Which.
        path: PathBuf,
        /// What is not in it.
        wanted: &'static str,
        /// What else is, where that explains it.
        hint: &'static str,
    },
    /// What is in it does not serve.
    #[error("cannot use `{path}`: {why}", path = path.display())]
    Unfit {
        /// Which.
        path: PathBuf,
        /// Why not.
        why: String,
    },
}

/// Every certificate of a file, in its order; there is one at least.
///
/// # Errors
/// Where the file cannot be read, is no PEM, or holds no certificate.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let text = read(path)?;
    let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match all.map_err(|error| broken(path, &error))? {
        none if none.is_empty() => {
            let hint = if has(&text, "PRIVATE KEY-----") { ", but a private key" } else { "" };
            Err(Error::Without { path: path.to_owned(), wanted: "certificate", hint })
        }
        all => Ok(all),
    }
}

/// The first private key of a file.
///
/// # Errors
/// Where the file cannot be read, is no PEM, or holds no private key that can be read without a passphrase.
pub fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, Error> {
    let text = read(path)?;
    PrivateKeyDer::from_pem_slice(&text).map_err(|error| {
        let hint = match error {
            pem::Error::NoItemsFound if has(&text, "BEGIN ENCRYPTED PRIVATE KEY") => {
                ", but an encrypted one; write it without a passphrase"
            }
            pem::Error::NoItemsFound if has(&text, "BEGIN CERTIFICATE-----") => ", but a certificate",
            pem::Error::NoItemsFound => "",
            other => return broken(path, &other),
        };
        Error::Without { path: path.to_owned(), wanted: "private key", hint }
    })
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    let failure = |source| Error::Read { path: path.to_owned(), source };
    let mut text = Vec::new();
    File::open(path).map_err(failure)?.take(LONGEST + 1).read_to_end(&mut text).map_err(failure)?;
    if text.len() as u64 > LONGEST { Err(Error::Long(path.to_owned())) } else { Ok(text) }
}

/// The reader's own words quote the file, which may be a key.
fn broken(path: &Path, error: &pem::Error) -> Error {
    let why = match error {
        pem::Error::MissingSectionEnd { .. } => "a section has no end",
        pem::Error::IllegalSectionStart { .. } => "a section does not begin as it should",
        pem::Error::Base64Decode(_) => "a section is not base64",
        _ => "it is damaged",
    };
    Error::Pem { path: path.to_owned(), why }
}

fn has(text: &[u8], words: &str) -> bool {
    text.windows(words.len()).any(|window| window == words.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        file
    }

    fn said(text: &str, certificate: bool) -> String {
        let file = file(text);
        let error = if certificate { certificates(file.path()).map(drop) } else { private_key(file.path()).map(drop) };
        let error = error.unwrap_err().to_string();
        error.replace(&file.path().display().to_string(), "FILE")
    }

    const CERTIFICATE: &str = "words before\n-----BEGIN CERTIFICATE-----\nAQID\n-----END CERTIFICATE-----\n";
    const KEY: &str = "-----BEGIN PRIVATE KEY-----\nAQID\n-----END PRIVATE KEY-----\n";

    #[test]
    fn certificates_and_keys_are_found_in_one_file() {
        let both = file(&format!("{CERTIFICATE}{KEY}{CERTIFICATE}"));
        assert_eq!(certificates(both.path()).unwrap().len(), 2);
        assert_eq!(private_key(both.path()).unwrap().secret_der(), [1, 2, 3]);
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said_without_what_it_holds() {
        for (text, certificate, words) in [
            ("", true, "`FILE` holds no certificate"),
            (KEY, true, "`FILE` holds no certificate, but a private key"),
            (CERTIFICATE, false, "`FILE` holds no private key, but a certificate"),
            (
                "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAQID\n-----END ENCRYPTED PRIVATE KEY-----\n",
                false,
                "`FILE` holds no private key, but an encrypted one; write it without a passphrase",
            ),
            (
                "-----BEGIN PRIVATE KEY-----\nAQ!SECRET\n-----END PRIVATE KEY-----\n",
                false,
                "`FILE` is no PEM file: a section is not base64",
            ),
            ("-----BEGIN PRIVATE KEY-----\nAQID\n", false, "`FILE` is no PEM file: a section has no end"),
            ("-----BEGIN SECRET\n", false, "`FILE` is no PEM file: a section does not begin as it should"),
        ] {
            assert_eq!(said(text, certificate), words, "{text}");
        }
        assert!(said(&"x".repeat(1 + (1 << 20)), true).contains("longer than 1048576 bytes"));
        assert!(certificates(Path::new("/gone")).unwrap_err().to_string().starts_with("cannot read `/gone`: No such"));
    }
}
