//! Listening: sockets that send small pieces at once, and TLS.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use poem::http::uri::Scheme;
use poem::listener::{RustlsCertificate, RustlsConfig, TcpAcceptor};
use poem::web::{LocalAddr, RemoteAddr};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

use super::ServeError;
use crate::api::cut::Switch;
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
    type Io = Socket;

    fn local_addr(&self) -> Vec<LocalAddr> {
        self.0.local_addr()
    }

    async fn accept(&mut self) -> io::Result<(Socket, LocalAddr, RemoteAddr, Scheme)> {
        const PAUSE: Duration = Duration::from_millis(50);
        loop {
            match self.0.accept().await {
                Ok((stream, local, remote, scheme)) => match Socket::new(stream) {
                    Ok(socket) => return Ok((socket, local, remote, scheme)),
                    Err(error) => tracing::debug!(%error, "a connection broke off at once"),
                },
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}

/// A connection that its answers can cut.
pub(super) struct Socket {
    stream: TcpStream,
    peer: SocketAddr,
    switch: Switch,
}

impl Socket {
    fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        let peer = stream.peer_addr()?;
        Ok(Self { stream, peer, switch: Switch::install(peer) })
    }

    fn check(&self) -> io::Result<()> {
        if self.switch.is_off() { Err(io::ErrorKind::ConnectionAborted.into()) } else { Ok(()) }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.switch.remove(&self.peer);
    }
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.get_mut().stream).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check()?;
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
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
