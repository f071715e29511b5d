//! Bare poem servers, on a runtime of their own: the floors.

use std::net::SocketAddr;
use std::thread::JoinHandle;

use brizo_tests::deploy::Result;
use poem::listener::{Acceptor, Listener, TcpListener};
use poem::{IntoEndpoint, Server};
use tokio::sync::oneshot;

/// Any free port of loopback.
pub(crate) const ANYWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

/// A server that ends when it is dropped.
pub(crate) struct Bare {
    pub(crate) address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Bare {
    /// Serves what `endpoint` makes, with as many threads as a gateway has.
    pub(crate) async fn start<E>(listen: SocketAddr, endpoint: impl FnOnce() -> E + Send + 'static) -> Result<Self>
    where
        E: IntoEndpoint,
        E::Endpoint: 'static,
    {
        let (tell, told) = oneshot::channel();
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            let Ok(runtime) = tokio::runtime::Builder::new_multi_thread().enable_all().build() else { return };
            runtime.block_on(async move {
                let Ok(acceptor) = TcpListener::bind(listen.to_string()).into_acceptor().await else { return };
                let address = acceptor.local_addr().first().and_then(|local| local.as_socket_addr().copied());
                let _ = tell.send(address);
                let until = async {
                    let _ = stopped.await;
                };
                let _ = Server::new_with_acceptor(acceptor).run_with_graceful_shutdown(endpoint(), until, None).await;
            });
            runtime.shutdown_background();
        });
        let address = told.await?.ok_or("no address")?;
        Ok(Self { address, stop: Some(stop), thread: Some(thread) })
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
