//! EDGE: TLS for who listens, with a certificate that is renewed while the program runs.
//!
//! In: two files. Out: acceptors of connections. Touches the files: when one of them was written since, both are read again. Half
//! of a renewal is not used, and what was used before stays until the two fit each other.

use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;

use super::Files;
use crate::agent::tls;

/// When the files were written, and how long they are: two writes in one tick of the clock have the same time.
type Written = [Option<(SystemTime, u64)>; 2];

/// A certificate in use.
#[derive(Debug)]
pub(super) struct Secure {
    files: Files,
    read: Written,
    config: Arc<ServerConfig>,
}

impl Secure {
    pub(super) fn open(files: Files) -> Result<Self, tls::Error> {
        let read = written(&files);
        let config = config(&files)?;
        Ok(Self { files, read, config })
    }

    /// Accepts one connection.
    pub(super) fn acceptor(&mut self, say: fn(&str)) -> TlsAcceptor {
        let now = written(&self.files);
        if now != self.read {
            self.read = now;
            match config(&self.files) {
                Ok(config) => self.config = config,
                Err(error) => say(&format!("error: {error}; the certificate of before stays in use\n")),
            }
        }
        TlsAcceptor::from(Arc::clone(&self.config))
    }
}

fn written(files: &Files) -> Written {
    let of = |path: &Path| std::fs::metadata(path).and_then(|file| Ok((file.modified()?, file.len()))).ok();
    [of(&files.certificate), of(&files.key)]
}

fn config(files: &Files) -> Result<Arc<ServerConfig>, tls::Error> {
    let (chain, key) = (tls::certificates(&files.certificate)?, tls::private_key(&files.key)?);
    let unusable = |error: tokio_rustls::rustls::Error| tls::Error::Unfit {
        path: files.certificate.clone(),
        why: error.to_string(),
    };
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().map_err(unusable)?;
    let config = builder.with_no_client_auth().with_single_cert(chain, key).map_err(unusable)?;
    Ok(Arc::new(config))
}
