//! Listening: sockets that send small pieces at once, and TLS.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use poem::http::uri::Scheme;
use poem::listener::{RustlsCertificate, RustlsConfig, TcpAcceptor};
use poem::web::{LocalAddr, RemoteAddr};
use tokio::net::{TcpListener, TcpStream};

use super::ServeError;
use crate::config::ServerConfig;

/// Listens on `address`, which `key` of the configuration names.
pub(super) async fn bind(key: &'static str, address: SocketAddr) -> Result<TcpListener, ServeError> {
    TcpListener::bind(address).await.map_err(|source| ServeError::Listen { key, address, source })
}

/// Accepts connections. An event of a few bytes must not wait for the acknowledgement of the one before (TCP_NODELAY), and
/// a lack of file descriptors must not spin.
pub(super) struct Acceptor(TcpAcceptor);

impl Acceptor {
    pub(super) fn new(listener: TcpListener) -> io::Result<Self> {
        TcpAcceptor::from_tokio(listener).map(Self)
    }
}

impl poem::listener::Acceptor for Acceptor {
    type Io = TcpStream;

    fn local_addr(&self) -> Vec<LocalAddr> {
        self.0.local_addr()
    }

    async fn accept(&mut self) -> io::Result<(TcpStream, LocalAddr, RemoteAddr, Scheme)> {
        const PAUSE: Duration = Duration::from_millis(50);
        loop {
            match self.0.accept().await {
                Ok(accepted) => {
                    if let Err(error) = accepted.0.set_nodelay(true) {
                        tracing::debug!(%error, "a connection broke off at once");
                    }
                    return Ok(accepted);
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}

/// Certificate and key, if the configuration has them; tried before they are used.
pub(super) fn tls(server: &ServerConfig) -> Result<Option<RustlsConfig>, ServeError> {
    let (Some(certificate), Some(key)) = (&server.tls_cert_file, &server.tls_key_file) else { return Ok(None) };
    let read = |key: &str, file: &Path| {
        std::fs::read(file).map_err(|error| ServeError::Tls(format!("{key} {}: {error}", file.display())))
    };
    let (chain, private) = (read("server.tls_cert_file", certificate)?, read("server.tls_key_file", key)?);
    for (name, file, pem, mark) in [
        ("server.tls_cert_file", certificate, &chain, "BEGIN CERTIFICATE"),
        ("server.tls_key_file", key, &private, "PRIVATE KEY"),
    ] {
        if !String::from_utf8_lossy(pem).contains(mark) {
            return Err(ServeError::Tls(format!("{name} {} is not PEM with a {mark} part", file.display())));
        }
    }
    Ok(Some(RustlsConfig::new().fallback(RustlsCertificate::new().cert(chain).key(private))))
}
