//! EDGE: answers who asks how the agent does, over HTTP.
//!
//! In: [`Address`]es, a [`Desk`] of the main loop. Out: `/metrics`, `/healthz`, `/readyz`, and nothing else. Touches its sockets,
//! the timer, and the files of a certificate.
//!
//! Plain HTTP is for the host itself, where the kubelet probes; the network is answered over TLS, so it takes a certificate. Both
//! may be listened to. Nobody is asked who he is: what is
//! said is no secret to who may reach the port. Who asks is not trusted all the same: an address has `MOST` connections, each of
//! one request with a small head, and each ends after `WITHIN`; where one comes that is too many the oldest has to go, so that
//! those who hold on to theirs keep nobody out.

mod answers;
mod secure;

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};

use self::answers::Answers;
pub use self::answers::{Desk, Question};
use self::secure::Secure;
use super::tls;

/// Connections at a time, of each address.
const MOST: usize = 16;
/// What a connection may last, the handshake of TLS included.
const WITHIN: Duration = Duration::from_secs(10);
/// What a request's head may take.
const HEAD_WITHIN: Duration = Duration::from_secs(5);
/// Bytes, and lines, of a request's head.
const HEAD: usize = 8192;
const LINES: usize = 64;
/// Until the next try where the system has no socket left.
const PAUSE: Duration = Duration::from_millis(100);

/// Where to listen.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Address {
    /// At no place.
    Off,
    /// At this address and port.
    At(SocketAddr),
}

/// A text that is no [`Address`].
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{0}` is no address to listen on; write ADDRESS:PORT as 127.0.0.1:61182, an IPv6 address in brackets, or off")]
pub struct InvalidAddress(String);

impl FromStr for Address {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        match text {
            "off" | "none" => Ok(Self::Off),
            other => other.parse().map(Self::At).map_err(|_| InvalidAddress(text.to_owned())),
        }
    }
}

/// Files of a certificate, and of its key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Files {
    /// The certificate, and those that it was signed with.
    pub certificate: PathBuf,
    /// The key.
    pub key: PathBuf,
}

/// What a person set.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Options {
    /// Where to listen.
    pub addresses: Vec<Address>,
    /// What to be known by in the network.
    pub files: Option<Files>,
}

/// Why nobody can be listened to.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The network would read along.
    #[error(
        "--listen {0}: that is open to the network, which needs --tls-cert FILE and --tls-key FILE; \
         or write --listen 127.0.0.1:{port} for this host alone, or --listen off",
        port = .0.port()
    )]
    Open(SocketAddr),
    /// The address cannot be had.
    #[error("--listen {address}: {source}; write --listen with another address or port, or --listen off")]
    Bind {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The certificate or the key cannot be used.
    #[error(transparent)]
    Files(#[from] tls::Error),
}

/// A socket that is listened on.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    secure: Option<Secure>,
}

impl fmt::Display for Listener {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.secure.is_some() { "https" } else { "http" };
        write!(out, "{scheme}://{}", self.address)
    }
}

/// Begins to listen, where that is asked for. Who connects waits until [`serve`].
///
/// # Errors
/// As [`Failure`] says.
pub async fn open(options: &Options) -> Result<Vec<Listener>, Failure> {
    let mut listeners = Vec::new();
    for address in &options.addresses {
        let Address::At(address) = *address else { continue };
        let secure = match (address.ip().to_canonical().is_loopback(), &options.files) {
            (true, _) => None,
            (false, Some(files)) => Some(Secure::open(files.clone())?),
            (false, None) => return Err(Failure::Open(address)),
        };
        let bound = async { TcpListener::bind(address).await.and_then(|socket| Ok((socket.local_addr()?, socket))) };
        let (address, socket) = bound.await.map_err(|source| Failure::Bind { address, source })?;
        listeners.push(Listener { socket, address, secure });
    }
    Ok(listeners)
}

/// Answers for as long as the program runs. All have the same to say.
pub fn serve(listeners: Vec<Listener>, desk: Desk, say: fn(&str)) {
    let answers = Arc::new(Answers::new(desk));
    for listener in listeners {
        say(&format!("metrics and health at {listener}\n"));
        tokio::spawn(listener.serve(Arc::clone(&answers), say));
    }
}

impl Listener {
    async fn serve(mut self, answers: Arc<Answers>, say: fn(&str)) {
        let mut open: VecDeque<AbortHandle> = VecDeque::new();
        loop {
            let Ok((stream, _)) = self.socket.accept().await else {
                sleep(PAUSE).await;
                continue;
            };
            open.retain(|one| !one.is_finished());
            if open.len() >= MOST
                && let Some(oldest) = open.pop_front()
            {
                oldest.abort();
            }
            let acceptor = self.secure.as_mut().map(|secure| secure.acceptor(say));
            let answers = Arc::clone(&answers);
            let conversation = async move {
                match acceptor {
                    None => converse(stream, answers).await,
                    Some(acceptor) => {
                        // Who does not get through the handshake knows why.
                        if let Ok(stream) = acceptor.accept(stream).await {
                            converse(stream, answers).await;
                        }
                    }
                }
            };
            open.push_back(tokio::spawn(async { drop(timeout(WITHIN, conversation).await) }).abort_handle());
        }
    }
}

/// One request, one answer.
async fn converse(stream: impl AsyncRead + AsyncWrite + Unpin, answers: Arc<Answers>) {
    let service = service_fn(move |request| {
        let answers = Arc::clone(&answers);
        async move { answers.answer(&request).await }
    });
    let mut protocol = http1::Builder::new();
    protocol.timer(TokioTimer::new()).header_read_timeout(HEAD_WITHIN).keep_alive(false);
    protocol.max_buf_size(HEAD).max_headers(LINES);
    // How a conversation ends is the business of who began it.
    drop(protocol.serve_connection(TokioIo::new(stream), service).await);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read() {
        assert_eq!("off".parse(), Ok(Address::Off));
        assert_eq!("none".parse(), Ok(Address::Off));
        for text in ["127.0.0.1:0", "[::1]:9", "0.0.0.0:61182"] {
            assert_eq!(text.parse(), Ok(Address::At(text.parse().unwrap())));
        }
        for text in ["", "localhost:1", ":8080", "127.0.0.1", "::1:9", "unix:/x"] {
            assert!(text.parse::<Address>().unwrap_err().to_string().contains("127.0.0.1:61182"), "{text}");
        }
    }

    #[tokio::test]
    async fn what_is_open_to_the_network_needs_a_certificate() {
        for text in ["0.0.0.0:0", "192.0.2.1:1", "[::]:0", "[::ffff:192.0.2.1]:1"] {
            let options = Options { addresses: vec![text.parse().unwrap()], files: None };
            let failure = open(&options).await.unwrap_err();
            assert!(matches!(failure, Failure::Open(_)), "{failure}");
            assert!(failure.to_string().contains("--tls-cert FILE"), "{failure}");
        }
        for text in ["127.0.0.1:0", "127.9.9.9:0", "[::ffff:127.0.0.1]:0"] {
            let options = Options { addresses: vec![text.parse().unwrap()], files: None };
            assert_eq!(open(&options).await.unwrap().len(), 1, "{text}");
        }
        let none = Options { addresses: vec![Address::Off], files: None };
        assert!(open(&none).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn an_address_that_is_taken_is_named() {
        let options = Options { addresses: vec!["127.0.0.1:0".parse().unwrap()], files: None };
        let first = open(&options).await.unwrap();
        let taken = first[0].address;
        let failure = open(&Options { addresses: vec![Address::At(taken)], files: None }).await.unwrap_err();
        let said = failure.to_string();
        assert!(said.contains(&taken.to_string()) && said.contains("--listen off"), "{said}");
    }
}
