//! TLS to a database server.
//!
//! In: a connected socket, and the files of certificates. Out: a stream of which only the server that it is meant for reads. Touches these files, anew for
//! each connection, so that a renewed certificate is taken without a restart. EDGE.
//!
//! The server's certificate has to be signed by the CA that was given. The certificates that `ovs-pki` makes name no host, and no program of
//! Open vSwitch asks for one: the CA is the switch's own. So a certificate without the name of a host is good for every host; one that names
//! hosts is good for these.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use tokio_rustls::rustls::client::{verify_server_cert_signed_by_trust_anchor, verify_server_name};
use tokio_rustls::rustls::crypto::{self, CryptoProvider};
use tokio_rustls::rustls::pki_types::{CertificateDer, DnsName, ServerName, UnixTime};
use tokio_rustls::rustls::server::ParsedCertificate;
use tokio_rustls::rustls::{
    AlertDescription, CertificateError, ClientConfig, DigitallySignedStruct, Error, InvalidMessage, RootCertStore,
    SignatureScheme,
};

use crate::agent::tls;

/// PEM files, as `ovs-vsctl` takes them.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Files {
    /// Certificates of the CAs that may have signed the server's (`--ca-cert`).
    pub ca: PathBuf,
    /// What the agent shows of itself; nothing without it, which ovsdb-server refuses unless it is told otherwise.
    pub own: Option<Own>,
}

/// Who the agent is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Own {
    /// Its certificate, and those between it and the CA (`--certificate`).
    pub certificate: PathBuf,
    /// The key of the certificate (`--private-key`).
    pub key: PathBuf,
}

/// Makes a connection secure; on failure says what is wrong.
pub(super) async fn secure(files: &Files, host: &str, stream: TcpStream) -> Result<TlsStream<TcpStream>, String> {
    let name = ServerName::try_from(host.to_owned()).map_err(|_| format!("`{host}` is no name of a host"))?;
    let connector = TlsConnector::from(Arc::new(config(files)?));
    connector.connect(name, stream).await.map_err(|error| explain(files, &error))
}

fn config(files: &Files) -> Result<ClientConfig, String> {
    let mut authorities = RootCertStore::empty();
    for certificate in tls::certificates(&files.ca).map_err(|error| error.to_string())? {
        authorities
            .add(certificate)
            .map_err(|error| format!("`{}` holds a certificate that is of no CA: {error}", files.ca.display()))?;
    }
    let provider = Arc::new(crypto::ring::default_provider());
    let verifier = Arc::new(Verifier { authorities, provider: provider.clone() });
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let Some(Own { certificate, key }) = &files.own else { return Ok(builder.with_no_client_auth()) };
    let chain = tls::certificates(certificate).map_err(|error| error.to_string())?;
    let secret = tls::private_key(key).map_err(|error| error.to_string())?;
    builder.with_client_auth_cert(chain, secret).map_err(|error| {
        format!("`{}` and `{}` are not a certificate and its key: {error}", certificate.display(), key.display())
    })
}

/// What TLS has to say about a broken connection, where it is TLS that broke it.
pub(super) fn explain(files: &Files, error: &io::Error) -> String {
    let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<Error>()) else {
        return match error.kind() {
            io::ErrorKind::UnexpectedEof => {
                "the server hangs up where TLS begins; does it listen with pssl:?".to_owned()
            }
            _ => format!("TLS cannot begin: {error}"),
        };
    };
    match error {
        Error::InvalidCertificate(CertificateError::UnknownIssuer) => {
            format!("the server's certificate is not signed by a CA of `{}`", files.ca.display())
        }
        Error::InvalidCertificate(
            error @ (CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. }),
        ) => {
            format!("the server is another: {error}; write the host as its certificate does")
        }
        Error::InvalidCertificate(error) => format!("the server's certificate is refused: {error}"),
        Error::AlertReceived(alert) => refused(files, *alert),
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
            "the server does not speak TLS; does it listen with pssl:?".to_owned()
        }
        other => format!("TLS: {other}"),
    }
}

/// Alerts by which a server says that it does not like who asks.
const ABOUT_US: [AlertDescription; 9] = [
    AlertDescription::HandshakeFailure,
    AlertDescription::NoCertificate,
    AlertDescription::BadCertificate,
    AlertDescription::UnsupportedCertificate,
    AlertDescription::CertificateRevoked,
    AlertDescription::CertificateExpired,
    AlertDescription::CertificateUnknown,
    AlertDescription::UnknownCA,
    AlertDescription::CertificateRequired,
];

fn refused(files: &Files, alert: AlertDescription) -> String {
    match &files.own {
        _ if !ABOUT_US.contains(&alert) => format!("the server ends the conversation: TLS alert {alert:?}"),
        None => format!("the server wants a certificate (TLS alert {alert:?}); give --ovsdb-cert and --ovsdb-key"),
        Some(own) => format!(
            "the server refuses the certificate in `{}` (TLS alert {alert:?}); is it signed by the CA that the server was given?",
            own.certificate.display()
        ),
    }
}

#[derive(Debug)]
struct Verifier {
    authorities: RootCertStore,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let certificate = ParsedCertificate::try_from(certificate)?;
        let algorithms = self.provider.signature_verification_algorithms.all;
        verify_server_cert_signed_by_trust_anchor(&certificate, &self.authorities, between, now, algorithms)?;
        match verify_server_name(&certificate, name) {
            Err(Error::InvalidCertificate(CertificateError::NotValidForNameContext { presented, .. }))
                if !presented.iter().any(|name| may_be_a_host(name)) => {}
            verified => verified?,
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Whether an alternative name, in rustls's words, can be a host's. `ovs-pki` writes `DnsName("br0 id:1234-…")`, which cannot; what is not
/// understood may be.
fn may_be_a_host(name: &str) -> bool {
    let dns = name.strip_prefix("DnsName(\"").and_then(|rest| rest.strip_suffix("\")"));
    dns.is_none_or(|dns| DnsName::try_from(dns.strip_prefix("*.").unwrap_or(dns)).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_name_that_no_host_can_have_is_none() {
        for (name, may) in [
            ("DnsName(\"sw id:c2758c93-6d7a-493d-8405-b8b55e1dba41\")", false),
            ("DnsName(\"db.example.net\")", true),
            ("DnsName(\"*.example.net\")", true),
            ("IpAddress(127.0.0.1)", true),
            ("UniformResourceIdentifier(\"spiffe://x\")", true),
        ] {
            assert_eq!(may_be_a_host(name), may, "{name}");
        }
    }
}
