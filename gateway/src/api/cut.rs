//! Breaking off an answer so that it does not look whole.
//!
//! An answer without a length ends, for the client, with the last chunk that the server marks as such. hyper does not mark
//! the end of a body that fails; poem's server polls the connection once more after the failure, and then it is marked. So
//! whoever must not be taken for whole cuts the connection itself: its socket has a switch, found by the peer's address.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use futures::{Stream, StreamExt};
use poem::Addr;
use poem::web::RemoteAddr;

static SWITCHES: LazyLock<Mutex<HashMap<SocketAddr, Switch>>> = LazyLock::new(Mutex::default);

fn switches() -> MutexGuard<'static, HashMap<SocketAddr, Switch>> {
    SWITCHES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The switch of one connection.
#[derive(Debug, Clone, Default)]
pub(crate) struct Switch(Arc<AtomicBool>);

impl Switch {
    /// Whether nothing may be written to the connection any more.
    pub(crate) fn is_off(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    /// The switch of a new connection.
    pub(crate) fn install(peer: SocketAddr) -> Self {
        let switch = Self::default();
        switches().insert(peer, switch.clone());
        switch
    }

    /// Forgets the switch of a connection that is gone.
    pub(crate) fn remove(&self, peer: &SocketAddr) {
        let mut switches = switches();
        if switches.get(peer).is_some_and(|known| Arc::ptr_eq(&known.0, &self.0)) {
            switches.remove(peer);
        }
    }
}

/// `stream`, whose first error cuts the connection that it goes to.
pub(crate) fn cut_on_error<S, T, E>(stream: S, peer: &RemoteAddr) -> impl Stream<Item = Result<T, E>> + Send + 'static
where
    S: Stream<Item = Result<T, E>> + Send + 'static,
{
    let switch = match &peer.0 {
        Addr::SocketAddr(peer) => switches().get(peer).cloned(),
        _ => None,
    };
    stream.inspect(move |item| {
        if let (Err(_), Some(switch)) = (item, &switch) {
            switch.0.store(true, Ordering::Release);
        }
    })
}
