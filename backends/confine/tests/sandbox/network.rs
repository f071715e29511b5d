//! No way out for the data: independent walls, each of which is shown to hold alone.

use std::io::Write as _;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::Path;

use brizo_confine::{Network, Sandbox, Wall, Walls};
use libtest_mimic::Trial;

use crate::harness::{python, run, trial};

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        trial("sockets_are_unix_only", families),
        trial("each_wall_keeps_it_from_the_host_alone", tcp),
        trial("no_interface_is_there", interfaces),
        trial("the_hosts_network_is_reached_only_where_it_was_given", host),
        trial("abstract_sockets_of_the_host_are_out_of_reach", abstract_sockets),
    ]
}

fn families() {
    let outcome = run(&python(
        "import ctypes, errno, socket
libc = ctypes.CDLL(None, use_errno=True)
open_families = []
for family in range(1, 46):
    for kind in (1, 2, 3, 5):
        for call in (lambda: libc.socket(family, kind, 0), lambda: libc.socketpair(family, kind, 0, (ctypes.c_int * 2)())):
            if call() >= 0: open_families.append(family)
            elif family != 1: assert ctypes.get_errno() == errno.EPERM, (family, kind, ctypes.get_errno())
print(set(open_families))
a, b = socket.socketpair(); a.send(b'x'); print(b.recv(1))
s = socket.socket(socket.AF_UNIX); s.bind('/tmp/s'); s.listen()
c = socket.socket(socket.AF_UNIX); c.connect('/tmp/s'); print('connected')",
    ));
    assert_eq!(outcome.success(), "{1}\nb'x'\nconnected\n");
}

/// Tries to reach a listener of the host; prints what happened.
fn connect(port: u16) -> Sandbox {
    python(&format!(
        "import errno, socket
try:
    s = socket.socket(socket.AF_INET); s.settimeout(5); s.connect(('127.0.0.1', {port})); print(s.recv(9).decode())
except OSError as e: print(errno.errorcode[e.errno])"
    ))
}

fn tcp() {
    use Wall::{LandlockTcp, NetworkNamespace, Seccomp};

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = stream.unwrap().write_all(b"reached");
        }
    });
    let attempt = |removed: &[Wall]| {
        let mut sandbox = connect(port);
        sandbox.walls = removed.iter().fold(Walls::demanded(), |walls, wall| walls.without(*wall));
        run(&sandbox).success().trim().to_owned()
    };
    assert_eq!(attempt(&[]), "EPERM");
    assert_eq!(attempt(&[NetworkNamespace, LandlockTcp]), "EPERM", "seccomp alone");
    assert_eq!(attempt(&[Seccomp, NetworkNamespace]), "EACCES", "Landlock alone");
    assert_eq!(attempt(&[Seccomp, LandlockTcp]), "ENETUNREACH", "the namespace alone");
    assert_eq!(attempt(&[Seccomp, LandlockTcp, NetworkNamespace]), "reached", "no wall");
}

fn interfaces() {
    let outcome = run(&python(
        "print([line.split(':')[0].strip() for line in open('/proc/net/dev').readlines()[2:] if ' 0 ' not in line])
print(len(open('/proc/net/route').readlines()) <= 1)",
    ));
    assert_eq!(outcome.success(), "[]\nTrue\n");
}

fn host() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || listener.accept().unwrap().0.write_all(b"reached").unwrap());
    let mut sandbox = connect(port);
    sandbox.network = Network::Host;
    let outcome = run(&sandbox);
    for report in &outcome.walls {
        if [Wall::NetworkNamespace, Wall::LandlockTcp].contains(&report.wall) {
            assert_eq!(report.state, brizo_confine::WallState::Absent, "{report:?}");
        }
    }
    assert_eq!(outcome.success(), "reached\n");
    for (network, expected) in [(Network::Host, Path::new("/etc/resolv.conf").exists()), (Network::None, false)] {
        let mut sandbox = python("import os; print(os.path.isfile('/etc/resolv.conf'))");
        sandbox.network = network;
        assert_eq!(run(&sandbox).success(), if expected { "True\n" } else { "False\n" }, "{network:?}");
    }
}

/// With the host's network its abstract sockets are there, too: a desktop's D-Bus, an X server.
fn abstract_sockets() {
    let name = format!("brizo-test-{}", std::process::id());
    let listener = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = stream.unwrap().write_all(b"reached");
        }
    });
    let attempt = |network, walls| {
        let mut sandbox = python(&format!(
            "import errno, socket
try:
    s = socket.socket(socket.AF_UNIX); s.connect('\\0{name}'); print(s.recv(9).decode())
except OSError as e: print(errno.errorcode[e.errno])"
        ));
        sandbox.network = network;
        sandbox.walls = walls;
        run(&sandbox).success().trim().to_owned()
    };
    assert_eq!(attempt(Network::None, Walls::demanded()), "ECONNREFUSED", "its own namespace has no such name");
    assert_eq!(attempt(Network::Host, Walls::demanded()), "EPERM", "Landlock's scope");
    let unscoped = Walls::demanded().without(Wall::LandlockScope);
    assert_eq!(attempt(Network::Host, unscoped.clone()), "EPERM", "seccomp closes AF_UNIX where nothing else does");
    assert_eq!(attempt(Network::Host, unscoped.without(Wall::Seccomp)), "reached", "no wall");
}
