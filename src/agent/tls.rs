//! EDGE: certificates and keys out of PEM files.
//!
//! In: paths. Out: what rustls takes, or which file is not what it should be. A key is never part of a message.

use std::path::{Path, PathBuf};

use rustls_pki_types::pem::{Error as PemError, PemObject as _};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// Longer files are not read: a chain of certificates has some kilobytes.
const LONGEST: u64 = 1 << 20;

/// A file that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot use `{path}`: {why}", path = path.display())]
pub struct Unusable {
    path: PathBuf,
    why: String,
}

impl Unusable {
    /// Of a file, and why.
    #[must_use]
    pub fn new(path: &Path, why: impl Into<String>) -> Self {
        Self { path: path.to_owned(), why: why.into() }
    }
}

/// The certificates of a file, at least one, in order.
///
/// # Errors
/// Where the file is none, too long, or without a certificate.
pub fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Unusable> {
    bounded(path)?;
    let all: Result<Vec<_>, PemError> = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
    let all = all.map_err(|error| unusable(path, &error, "certificate"))?;
    if all.is_empty() {
        return Err(unusable(path, &PemError::NoItemsFound, "certificate"));
    }
    Ok(all)
}

/// The first private key of a file.
///
/// # Errors
/// Where the file is none, too long, or without a key.
pub fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, Unusable> {
    bounded(path)?;
    PrivateKeyDer::from_pem_file(path).map_err(|error| unusable(path, &error, "private key"))
}

fn bounded(path: &Path) -> Result<(), Unusable> {
    let length = std::fs::metadata(path).map_err(|error| Unusable::new(path, error.to_string()))?.len();
    if length > LONGEST {
        return Err(Unusable::new(path, format!("it has {length} bytes, more than {LONGEST}")));
    }
    Ok(())
}

fn unusable(path: &Path, error: &PemError, wanted: &str) -> Unusable {
    Unusable::new(
        path,
        match error {
            PemError::NoItemsFound => format!("there is no {wanted} in it; it must be PEM, `-----BEGIN …-----`"),
            PemError::Io(error) => error.to_string(),
            // In the words of the reader there may be a line of the file.
            _ => "it is no PEM".to_owned(),
        },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a file is made to be read")]
    fn what_is_no_pem_is_named_and_not_told() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("tls.key");
        assert!(private_key(&path).unwrap_err().to_string().contains("No such file"));
        for (text, why) in [
            ("secret", "there is no private key in it"),
            ("-----BEGIN PRIVATE KEY-----\nsecret!\n-----END PRIVATE KEY-----\n", "it is no PEM"),
            ("-----BEGIN PRIVATE KEY-----\nsecret\n", "it is no PEM"),
        ] {
            std::fs::write(&path, text).unwrap();
            let error = private_key(&path).unwrap_err().to_string();
            assert!(error.contains(why) && error.contains("tls.key") && !error.contains("secret"), "{error}");
            assert!(certificates(&path).is_err());
        }
        std::fs::File::create(&path).unwrap().set_len(LONGEST + 1).unwrap();
        assert!(private_key(&path).unwrap_err().to_string().contains("more than 1048576"));
    }
}
