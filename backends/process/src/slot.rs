//! A uid for each running job: no two on this host share one, whichever gateway and state folder they belong to.

use std::io;
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// So many uids are tried before there is none.
const SLOTS: u32 = 10_000;

/// A uid that is taken as long as the descriptor, or a copy of it in a shim, is open.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) uid: u32,
    pub(crate) held: OwnedFd,
}

/// Takes the first free uid from `first_uid` on: a name in the abstract namespace of the host's network namespace,
/// which the kernel frees with its last holder, and which no sandbox reaches.
pub(crate) fn take(first_uid: u32) -> io::Result<Slot> {
    for uid in first_uid..first_uid.saturating_add(SLOTS) {
        let name = SocketAddr::from_abstract_name(format!("brizo-uid-{uid}"))?;
        match UnixDatagram::bind_addr(&name) {
            Ok(socket) => return Ok(Slot { uid, held: socket.into() }),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("all uids of backend.process.first_uid are taken"))
}

#[cfg(test)]
mod tests {
    #[test]
    fn no_two_running_jobs_share_a_uid_and_an_ended_one_gives_it_back() {
        let first = super::take(1_000_000).unwrap();
        let second = super::take(1_000_000).unwrap();
        assert_ne!(first.uid, second.uid);
        let copy = first.held.try_clone().unwrap();
        let uid = first.uid;
        drop(first);
        assert_ne!(super::take(1_000_000).unwrap().uid, uid, "a shim still holds it");
        drop(copy);
        assert_eq!(super::take(1_000_000).unwrap().uid, uid);
    }
}
